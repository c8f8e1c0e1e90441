//! What an incident's clocks and ladders have come to: phases, time in each severity, cadence, escalation, its end.
//!
//! Folded beside [`State::apply`], from the same entries. Moments that something is counted from are carried over when
//! the wall clock is stepped, so that no deadline is passed or put off by it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cadence::Snooze;
use super::catalog::Severity;
use super::escalation::{Call, Called, Escalation};
use super::event::{Entry, Event};
use super::health::Health;
use super::incident::{Incident, Status};
use super::message::{Delivery, Template};
use super::phases::{Mark, Marks};
use super::response::Since;
use super::state::State;
use super::time::Time;

/// How an incident ended without having been resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum Ending {
    FalseAlarm,
    Merged { into: String },
}

/// The part of an incident that this file folds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IncidentClock {
    pub marks: Marks,
    /// The severities until somebody acknowledged it, the declaration's first: what the response time goes by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<Since>,
    /// Milliseconds in each severity while it was open, without the time since `severity_from_ms`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub spent_ms: BTreeMap<Severity, i64>,
    /// T+ since which it is in its severity; `None` while it is not open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity_from_ms: Option<i64>,
    /// When it was reopened last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reopened_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snooze: Option<Snooze>,
    /// A channel accepted the message that it is resolved.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub told_resolved: bool,
    pub escalation: Escalation,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// When it was closed without having been resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// Steps of the wall clock on record up to then.
    #[serde(skip_serializing_if = "is_zero")]
    pub ended_stepped_ms: i64,
    /// Incidents that were merged into it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absorbed: Vec<String>,
    /// Hypotheses that went on in another incident: their numbers are not given again.
    #[serde(skip_serializing_if = "is_zero")]
    pub hypotheses_gone: u32,
    /// The onset was set by this person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onset_by: Option<String>,
}

fn is_zero<T: Default + PartialEq>(n: &T) -> bool {
    *n == T::default()
}

impl IncidentClock {
    /// Milliseconds in each severity at T+ `t_ms` of an incident that is of `severity` now.
    pub fn severity_ms(&self, severity: Severity, t_ms: i64) -> BTreeMap<Severity, i64> {
        let mut spent = self.spent_ms.clone();
        if let Some(from) = self.severity_from_ms {
            *spent.entry(severity).or_default() += t_ms.saturating_sub(from).max(0);
        }
        spent
    }

    fn count(&mut self, severity: Severity, t_ms: i64) {
        if let Some(from) = self.severity_from_ms.take() {
            *self.spent_ms.entry(severity).or_default() += t_ms.saturating_sub(from).max(0);
        }
    }

    /// The wall clock was stepped while the incident is open.
    pub fn step(&mut self, by_ms: i64) {
        self.reopened_at = self.reopened_at.map(|at| at.stepped(by_ms));
        if let Some(snooze) = &mut self.snooze {
            snooze.until = snooze.until.stepped(by_ms);
        }
        for called in &mut self.escalation.called {
            called.at = called.at.stepped(by_ms);
        }
    }

    /// Entries from `from` on are on record under numbers that differ by `by`.
    pub fn renumber(&mut self, from: u64, by: i64) {
        let m = &mut self.marks;
        let marks = [
            &mut m.acknowledged,
            &mut m.identified,
            &mut m.mitigated,
            &mut m.recovered,
            &mut m.resolved,
            &mut m.closed,
            &mut m.reopened,
            &mut self.escalation.ended,
        ];
        let called = self.escalation.called.iter_mut().map(|c| &mut c.mark);
        for mark in marks.into_iter().flatten().chain(called).filter(|m| m.seq >= from) {
            mark.seq = mark.seq.saturating_add_signed(by);
        }
    }
}

/// The moment of `entry` for `incident`, with the steps of the clock so far.
fn mark(entry: &Entry, incident: &Incident, stepped_ms: i64) -> Mark {
    let declared = incident.declared_at.stepped(stepped_ms.saturating_sub(incident.declared_stepped_ms));
    Mark { at: entry.at, seq: entry.seq, t_ms: entry.at.ms_since(declared).max(0), severity: incident.severity }
}

/// Folds `entry` in, after the rest of the state has taken it.
pub fn apply(state: &mut State, entry: &Entry) {
    match &entry.event {
        Event::HealthChanged(e) => return recovered(state, entry, &e.service),
        Event::ServicePaused(e) => return recovered(state, entry, &e.service),
        Event::ServiceResumed(e) => return recovered(state, entry, &e.service),
        Event::MessageAttempted(e) if e.result == Delivery::Accepted => {
            let Some(message) = state.messages.get(&e.message) else { return };
            let template = message.template;
            let Some(incident) = message.incident.clone().and_then(|id| state.incidents.get_mut(&id)) else { return };
            if template.is_word() {
                incident.clock.snooze = None;
            }
            incident.clock.told_resolved |= template == Template::Resolution;
            return;
        }
        _ => {}
    }
    let stepped = state.stepped_ms;
    let Some(incident) = entry.incident.as_deref().and_then(|id| state.incidents.get_mut(id)) else { return };
    let mark = mark(entry, incident, stepped);
    let severity = incident.severity;
    let clock = &mut incident.clock;
    match &entry.event {
        Event::IncidentDeclared(_) => {
            clock.severity_from_ms = Some(0);
            clock.unanswered = vec![Since { t_ms: 0, severity }];
        }
        Event::IncidentAcknowledged(_) => clock.marks.acknowledged = clock.marks.acknowledged.or(Some(mark)),
        Event::IncidentSeverity(e) => {
            if clock.severity_from_ms.is_some() {
                clock.count(e.from, mark.t_ms);
                clock.severity_from_ms = Some(mark.t_ms);
            }
            if clock.marks.acknowledged.is_none() {
                clock.unanswered.push(Since { t_ms: mark.t_ms, severity });
            }
        }
        Event::IncidentStatus(e) => {
            let marks = &mut clock.marks;
            match e.to {
                Status::Investigating => {}
                Status::Identified => marks.identified = marks.identified.or(Some(mark)),
                Status::Monitoring => marks.mitigated = marks.mitigated.or(Some(mark)),
                Status::Resolved => {
                    marks.resolved = Some(mark);
                    clock.told_resolved = false;
                    clock.count(severity, mark.t_ms);
                }
                Status::Closed => {
                    marks.closed = Some(mark);
                    if e.from.is_open() {
                        clock.ended_at = Some(entry.at);
                        clock.ended_stepped_ms = stepped;
                        clock.count(severity, mark.t_ms);
                        incident.unsealed = true;
                    }
                }
            }
        }
        Event::IncidentReopened(_) => {
            clock.marks.reopen(mark);
            clock.severity_from_ms = Some(mark.t_ms);
            clock.reopened_at = Some(entry.at);
            (clock.snooze, clock.ending, clock.ended_at, clock.ended_stepped_ms) = (None, None, None, 0);
            // Nobody looked at it for this incident since it was resolved.
            recover(state, entry.incident.as_deref(), entry);
        }
        Event::IncidentOnset(_) => {
            clock.onset_by = Some(entry.actor.user.clone()).filter(|user| *user != super::Actor::engine().user);
        }
        Event::IncidentFalseAlarm(_) => clock.ending = Some(Ending::FalseAlarm),
        Event::IncidentMerged(e) => clock.ending = Some(Ending::Merged { into: e.into.clone() }),
        Event::IncidentAbsorbed(e) => clock.absorbed.push(e.incident.clone()),
        Event::IncidentServices(_) => recover(state, entry.incident.as_deref(), entry),
        Event::UpdateSnoozed(e) => {
            let (until, reason, by) = (e.until, e.reason.clone(), entry.actor.user.clone());
            clock.snooze = Some(Snooze { until, reason, by });
        }
        Event::IncidentEscalated(e) => {
            clock.escalation.ended = None;
            clock.escalation.called.push(Called {
                level: e.level,
                name: e.name.clone(),
                contacts: e.contacts.clone(),
                channels: e.channels.clone(),
                message: e.message.clone(),
                queued: false,
                at: entry.at,
                mark,
            });
        }
        Event::IncidentUnanswered(_) => clock.escalation.ended = Some(mark),
        Event::MessageQueued(e) => {
            for called in clock.escalation.called.iter_mut().filter(|c| c.message == e.id) {
                called.queued = true;
            }
        }
        Event::ContactCalled(e) => {
            let times = clock.escalation.calls.get(&e.contact).map_or(0, |c| c.times) + 1;
            let call = Call { answered: e.answered, at: entry.at, by: entry.actor.user.clone(), times };
            clock.escalation.calls.insert(e.contact.clone(), call);
        }
        _ => {}
    }
}

/// The state of `service` changed: incidents that name it may have all their services up, or no longer.
fn recovered(state: &mut State, entry: &Entry, service: &str) {
    let about: Vec<String> = state
        .incidents
        .values()
        .filter(|i| i.status.is_open() && i.services.contains(service))
        .map(|i| i.id.clone())
        .collect();
    about.iter().for_each(|id| recover(state, Some(id), entry));
}

fn recover(state: &mut State, incident: Option<&str>, entry: &Entry) {
    let stepped = state.stepped_ms;
    let services = &state.services;
    let Some(incident) = incident.and_then(|id| state.incidents.get_mut(id)).filter(|i| i.status.is_open()) else {
        return;
    };
    let up = |name: &String| services.get(name).is_some_and(|s| s.state == Health::Up);
    incident.clock.marks.recovered = match !incident.services.is_empty() && incident.services.iter().all(up) {
        true => incident.clock.marks.recovered.or(Some(mark(entry, incident, stepped))),
        false => None,
    };
}
