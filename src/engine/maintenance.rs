//! Announced maintenance, made so in the record: its windows begin and end as entries, found again by any engine from the
//! state and the configuration.

use super::core::Core;
use crate::domain::Time;
use crate::domain::event::{MaintenanceBegan, MaintenanceEnded};
use crate::wire::WindowView;

impl Core {
    /// Windows that `now` lies in begin, others end.
    pub(super) fn maintain(&mut self, now: Time) {
        let mut wanted = Vec::new();
        for window in &self.config.maintenance {
            if let Some((_, until)) = window.at(now) {
                wanted.push((window.name.clone(), window.services.clone(), until));
            }
        }
        let known = self.state.availability.windows.clone();
        let incident = || self.state.open_incidents().first().map(|i| i.id.clone());
        let incident = incident();
        for (window, services) in &known {
            // One that is now about other services ends and begins anew, so that the record says which.
            if !wanted.iter().any(|(name, of, _)| name == window && of == services) {
                let ended = MaintenanceEnded { window: window.clone(), services: services.clone() };
                self.record_own(incident.clone(), ended);
                self.dirty.everything = true;
            }
        }
        for (window, services, until) in wanted {
            if known.get(&window) != Some(&services) {
                self.record_own(incident.clone(), MaintenanceBegan { window, services, until });
                self.dirty.everything = true;
            }
        }
        let shown = self.windows(now);
        if shown != self.windows {
            self.windows = shown;
            self.dirty.head = true;
        }
    }

    /// The windows that are under way or announced, next first.
    fn windows(&self, now: Time) -> Vec<WindowView> {
        let mut out = Vec::new();
        for m in &self.config.maintenance {
            let view = |(from, until), under_way| WindowView {
                name: m.name.clone(),
                services: m.services.clone(),
                from,
                until,
                under_way,
            };
            if let Some(window) = m.at(now) {
                out.push(view(window, true));
            } else if let Some(window) = m.next(now).filter(|(from, _)| from.minus(m.announce) <= now) {
                out.push(view(window, false));
            }
        }
        out.sort_by_key(|w| (!w.under_way, w.from));
        out
    }
}
