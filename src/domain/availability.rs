//! How much of a month each service was up: from confirmed states, on the clock that is never stepped.
//!
//! Pure. What was not watched, what was paused and announced maintenance are in neither the good nor the bad part, and
//! how much was watched is said beside the figure: it can never exceed 100 %, and never be better known than it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::{Entry, Event};
use super::health::{Health, ServiceRecord};
use super::time::Time;

/// Months kept per service.
const MONTHS: usize = 13;
/// What is promised where the configuration promises nothing, per cent.
pub const TARGET: f64 = 99.9;

/// Time of one service in one month, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Up or degraded.
    pub up_ms: u64,
    pub down_ms: u64,
    /// Not watched, or nothing could be seen.
    pub unknown_ms: u64,
    /// Paused, or in announced maintenance.
    pub excluded_ms: u64,
}

impl Tally {
    /// Per cent of the known time; `None` when nothing is known.
    pub fn availability(&self) -> Option<f64> {
        let known = self.up_ms + self.down_ms;
        (known > 0).then(|| self.up_ms as f64 * 100.0 / known as f64)
    }

    /// Per cent of the time that counts in which the state was known.
    pub fn coverage(&self) -> Option<f64> {
        let counted = self.up_ms + self.down_ms + self.unknown_ms;
        (counted > 0).then(|| (self.up_ms + self.down_ms) as f64 * 100.0 / counted as f64)
    }

    /// Milliseconds that it may still be down in a month of `month_ms` without missing `target` per cent; negative when
    /// it was down for longer. Excluded time promises nothing.
    pub fn budget_left_ms(&self, month_ms: u64, target: f64) -> i64 {
        let counted = month_ms.saturating_sub(self.excluded_ms) as f64;
        let allowed = counted * (100.0 - target.clamp(0.0, 100.0)) / 100.0;
        (allowed - self.down_ms as f64).round() as i64
    }

    fn add(&mut self, what: What, ms: u64) {
        let part = match what {
            What::Up => &mut self.up_ms,
            What::Down => &mut self.down_ms,
            What::Unknown => &mut self.unknown_ms,
            What::Excluded => &mut self.excluded_ms,
        };
        *part = part.saturating_add(ms);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Up,
    Down,
    Unknown,
    Excluded,
}

/// A moment by the clocks that the journal has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Moment {
    pub at: Time,
    pub boot_ms: u64,
    pub boot: String,
}

impl Moment {
    pub fn of(entry: &Entry) -> Moment {
        Moment { at: entry.at, boot_ms: entry.boot_ms, boot: entry.boot.clone() }
    }

    /// Milliseconds since `earlier`, and whether they were measured by the clock that is never stepped.
    fn since(&self, earlier: &Moment) -> (u64, bool) {
        if self.boot == earlier.boot {
            return (self.boot_ms.saturating_sub(earlier.boot_ms), true);
        }
        (u64::try_from(self.at.ms_since(earlier.at)).unwrap_or(0), false)
    }
}

/// One service's months, up to a moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Ledger {
    until: Moment,
    /// `2026-11` → its tally.
    months: BTreeMap<String, Tally>,
}

/// The windows of announced maintenance that are under way: name → services, all when there are none.
type Windows = BTreeMap<String, Vec<String>>;

/// All services' months.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Availability {
    /// An engine watches.
    watched: bool,
    services: BTreeMap<String, Ledger>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub windows: Windows,
}

/// `2026-11`.
pub fn month_of(at: Time) -> String {
    at.to_chrono().format("%Y-%m").to_string()
}

/// Milliseconds of the month that `at` lies in.
pub fn month_ms(at: Time) -> u64 {
    let (from, to) = bounds(at);
    u64::try_from(to.ms_since(from)).unwrap_or(0)
}

/// The month that `at` lies in: its beginning and that of the next.
fn bounds(at: Time) -> (Time, Time) {
    use chrono::{Datelike, NaiveDate};
    let date = at.to_chrono().date_naive();
    let midnight = |year, month| {
        let day: Option<NaiveDate> = NaiveDate::from_ymd_opt(year, month, 1);
        day.and_then(|d| d.and_hms_opt(0, 0, 0)).map_or(at, |t| Time::from_ms(t.and_utc().timestamp_millis()))
    };
    let (year, month) = (date.year(), date.month());
    let next = if month == 12 { midnight(year + 1, 1) } else { midnight(year, month + 1) };
    (midnight(year, month), next)
}

impl Ledger {
    fn settle(&mut self, what: What, now: &Moment) {
        if self.until == Moment::default() {
            self.until = now.clone();
            return;
        }
        let (ms, measured) = now.since(&self.until);
        // Across a restart of the host nobody watched.
        let what = if measured { what } else { What::Unknown };
        // Counted back from now, so that a clock that was set right since does not move it into the wrong month.
        let mut left = ms;
        let mut end = now.at;
        while left > 0 {
            let (from, _) = bounds(Time::from_ms(end.ms() - 1));
            let in_month = left.min(u64::try_from(end.ms_since(from)).unwrap_or(left).max(1));
            self.months.entry(month_of(Time::from_ms(end.ms() - 1))).or_default().add(what, in_month);
            left -= in_month;
            end = from;
            if self.months.len() > MONTHS {
                break;
            }
        }
        while self.months.len() > MONTHS {
            self.months.pop_first();
        }
        self.until = now.clone();
    }
}

impl Availability {
    /// Services are in announced maintenance.
    pub fn in_maintenance(&self, service: &str) -> bool {
        self.windows.values().any(|services| services.is_empty() || services.iter().any(|s| s == service))
    }

    fn what(&self, service: &str, record: Option<&ServiceRecord>) -> What {
        if !self.watched {
            return What::Unknown;
        }
        let state = record.map(|r| r.state).unwrap_or_default();
        match state {
            Health::Paused => What::Excluded,
            _ if self.in_maintenance(service) => What::Excluded,
            Health::Up | Health::Degraded => What::Up,
            Health::Down => What::Down,
            Health::Unknown => What::Unknown,
        }
    }

    fn settle(&mut self, service: &str, record: Option<&ServiceRecord>, now: &Moment) {
        let what = self.what(service, record);
        self.services.entry(service.to_owned()).or_default().settle(what, now);
    }

    fn settle_all(&mut self, services: &BTreeMap<String, ServiceRecord>, now: &Moment) {
        let names: Vec<String> = services.keys().cloned().collect();
        for name in names {
            self.settle(&name, services.get(&name), now);
        }
    }

    /// Whether an entry of that kind changes what is counted: most do not, and a whole journal is folded at a time.
    pub(super) fn is_about(event: &Event) -> bool {
        matches!(
            event,
            Event::EngineStarted(_)
                | Event::EngineStopped(_)
                | Event::HealthChanged(_)
                | Event::ServicePaused(_)
                | Event::ServiceResumed(_)
                | Event::MaintenanceBegan(_)
                | Event::MaintenanceEnded(_)
                | Event::ConfigLoaded(_)
        )
    }

    /// Folds `entry` in, before the rest of the state is changed by it. `before`: the entry before it, which is the last
    /// that an engine without goodbye is known to have lived to.
    pub(super) fn apply(&mut self, entry: &Entry, services: &BTreeMap<String, ServiceRecord>, before: &Moment) {
        let now = Moment::of(entry);
        match &entry.event {
            Event::EngineStarted(_) => {
                if self.watched {
                    self.settle_all(services, before);
                    self.watched = false;
                }
                self.settle_all(services, &now);
                self.watched = true;
            }
            Event::EngineStopped(_) => {
                self.settle_all(services, &now);
                self.watched = false;
            }
            Event::HealthChanged(e) => self.settle(&e.service, services.get(&e.service), &now),
            Event::ServicePaused(e) => self.settle(&e.service, services.get(&e.service), &now),
            Event::ServiceResumed(e) => self.settle(&e.service, services.get(&e.service), &now),
            Event::MaintenanceBegan(e) => {
                self.settle_all(services, &now);
                self.windows.insert(e.window.clone(), e.services.clone());
            }
            Event::MaintenanceEnded(e) => {
                self.settle_all(services, &now);
                self.windows.remove(&e.window);
            }
            Event::ConfigLoaded(e) => self.services.retain(|name, _| e.catalog.services.contains_key(name)),
            _ => {}
        }
    }

    /// The months of `service`, with what goes on counted up to `now`.
    pub fn months(&self, service: &str, record: Option<&ServiceRecord>, now: &Moment) -> BTreeMap<String, Tally> {
        let Some(ledger) = self.services.get(service) else { return BTreeMap::new() };
        let mut ledger = ledger.clone();
        ledger.settle(self.what(service, record), now);
        ledger.months
    }

    /// This month's tally of `service`.
    pub fn this_month(&self, service: &str, record: Option<&ServiceRecord>, now: &Moment) -> Tally {
        self.months(service, record, now).remove(&month_of(now.at)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
