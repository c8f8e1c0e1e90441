//! What the handle asks of the wheel.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::grid::{phase, rules_of};
use super::wheel::{Slot, Wheel};
use super::{Planned, SavedCheck, lock};
use crate::config::Check;
use crate::domain::health::machine::Machine;
use crate::domain::time::Time;
use crate::probe::Probe;

impl Wheel {
    pub(super) fn read_inbox(&mut self) -> bool {
        let inbox = std::mem::take(&mut *lock(&self.shared.inbox));
        if inbox.shutdown {
            return true;
        }
        let now = Instant::now();
        if let Some(checks) = inbox.replace {
            self.replace(checks);
        }
        if let Some(incident) = inbox.incident {
            self.set_incident(incident, now);
        }
        for (service, paused) in inbox.pause {
            for i in self.of(&service) {
                self.set_paused(i, paused, now);
            }
        }
        for service in inbox.probe {
            for i in self.of(&service) {
                self.hurry(i, now, true);
            }
        }
        for reply in inbox.save {
            let saved = self.slots.iter().flatten().map(|s| SavedCheck {
                service: s.service.to_string(),
                check: s.check.to_string(),
                seed: s.machine.save(),
            });
            // Whoever asked may have gone.
            let _ = reply.send(saved.collect());
        }
        false
    }

    pub(super) fn of(&self, service: &str) -> Vec<usize> {
        self.by_service.get(service).cloned().unwrap_or_default()
    }

    pub(super) fn replace(&mut self, checks: Vec<Planned>) {
        let now = Instant::now();
        let mut known: HashMap<(Arc<str>, Arc<str>), usize> = HashMap::with_capacity(self.slots.len());
        for (i, slot) in self.slots.iter().enumerate() {
            if let Some(s) = slot {
                known.insert((Arc::clone(&s.service), Arc::clone(&s.check)), i);
            }
        }
        self.by_service.clear();
        // Spread over more time the more there are, so that a start is no burst.
        let spread = Duration::from_millis(200 + checks.len() as u64);
        let mut names: HashMap<String, Arc<str>> = HashMap::new();
        let mut count = 0;
        for planned in checks {
            count += 1;
            let service = Arc::clone(names.entry(planned.service).or_insert_with_key(|k| Arc::from(k.as_str())));
            let check: Arc<str> = Arc::from(planned.check.name.as_str());
            let index = match known.remove(&(Arc::clone(&service), Arc::clone(&check))) {
                Some(i) => {
                    self.renew(i, planned.check, planned.probe, planned.parents, now);
                    self.set_paused(i, planned.paused, now);
                    i
                }
                None => {
                    let every = planned.check.timing.every.max(Duration::from_millis(1));
                    let rules = rules_of(&planned.check.timing);
                    let (at, boot) = (Time::from_ms(self.clock.wall_ms()), self.clock.boot_ms());
                    let mut machine = match planned.seed {
                        Some(seed) => Machine::seeded(rules, seed, at, boot),
                        None => Machine::new(rules, at, boot),
                    };
                    // A seed from before the end of a pause is of a paused check.
                    let _ = if planned.paused { machine.pause(at) } else { machine.resume(at) };
                    self.slots.push(Some(Slot {
                        anchor: now + phase(&service, &check, every),
                        due: now,
                        on_grid: false,
                        turn: 0,
                        running: false,
                        discard: false,
                        again: false,
                        paused: planned.paused,
                        started: None,
                        service: Arc::clone(&service),
                        probe: planned.probe,
                        parents: planned.parents.into(),
                        machine,
                        config: planned.check,
                        check: Arc::clone(&check),
                    }));
                    let i = self.slots.len() - 1;
                    self.set_due(i, now + phase(&service, &check, spread.min(every)), false);
                    i
                }
            };
            self.by_service.entry(service).or_default().push(index);
        }
        for gone in known.into_values() {
            if let Some(slot) = self.slots.get_mut(gone) {
                *slot = None;
            }
        }
        self.stats.checks = count;
    }

    /// The check of a slot as it is configured now.
    fn renew(&mut self, i: usize, check: Check, probe: Arc<dyn Probe>, parents: Vec<String>, now: Instant) {
        let Some(slot) = self.slots.get_mut(i).and_then(Option::as_mut) else { return };
        slot.machine.set_rules(rules_of(&check.timing));
        slot.discard |= slot.running && slot.config != check;
        let regrid = slot.config.timing.every != check.timing.every;
        slot.config = check;
        slot.probe = probe;
        slot.parents = parents.into();
        if !regrid {
            return;
        }
        // The grid of before says nothing any more, and its next point may be an hour away.
        slot.anchor = now + phase(&slot.service, &slot.check, slot.config.timing.every);
        slot.on_grid = false;
        let (running, due, anchor) = (slot.running, slot.due, slot.anchor);
        if !running && due > anchor {
            self.set_due(i, anchor, true);
        }
    }

    /// Has a check probed at once: on request always, else at most once per retry interval.
    pub(super) fn hurry(&mut self, i: usize, now: Instant, requested: bool) {
        let Some(slot) = self.slots.get_mut(i).and_then(Option::as_mut) else {
            return;
        };
        if slot.paused {
            return;
        }
        if slot.running {
            // What it sees may be from before the request.
            slot.again |= requested;
            return;
        }
        let recent = slot.started.is_some_and(|t| now.duration_since(t) < slot.config.timing.retry_interval);
        if (requested || !recent) && slot.due > now {
            self.set_due(i, now, false);
        }
    }

    fn set_incident(&mut self, services: BTreeSet<String>, now: Instant) {
        let added: Vec<String> = services.difference(&self.incident).cloned().collect();
        self.incident = services;
        for service in added {
            for i in self.of(&service) {
                let Some(slot) = self.slots.get(i).and_then(Option::as_ref) else {
                    continue;
                };
                let soon = now + phase(&slot.service, &slot.check, slot.config.timing.incident_interval);
                if !slot.paused && !slot.running && slot.due > soon {
                    self.set_due(i, soon, false);
                }
            }
        }
    }

    fn set_paused(&mut self, i: usize, paused: bool, now: Instant) {
        let at = Time::from_ms(self.clock.wall_ms());
        let Some(slot) = self.slots.get_mut(i).and_then(Option::as_mut) else {
            return;
        };
        if slot.paused == paused {
            return;
        }
        slot.paused = paused;
        slot.again = false;
        if paused {
            slot.discard = true;
            let _ = slot.machine.pause(at);
        } else {
            let _ = slot.machine.resume(at);
            if slot.running {
                // The probe of before the pause still runs; its end starts the next one.
                slot.discard = true;
            } else {
                self.set_due(i, now, false);
            }
        }
    }
}
