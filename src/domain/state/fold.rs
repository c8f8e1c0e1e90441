//! What entries make of services, incidents, runs and messages.

use std::collections::BTreeMap;

use super::{KEEP, State, parse_id};
use crate::domain::backup::proof;
use crate::domain::event::{Entry, Event};
use crate::domain::health::Health;
use crate::domain::incident::{Incident, Status};
use crate::domain::message::{ChannelDelivery, Delivery, Message, Template};
use crate::domain::run::{Run, RunState, Verdict};
use crate::domain::{clock, headstart};

impl State {
    pub(super) fn apply_health(&mut self, entry: &Entry) {
        match &entry.event {
            Event::HealthChanged(e) => {
                let record = self.services.entry(e.service.clone()).or_default();
                record.state = e.to;
                record.since = entry.happened_at();
                record.confirmed_at = (entry.at != record.since).then_some(entry.at);
                record.detail = e.detail.clone();
                record.because = e.because.clone();
                record.down_since = match (e.to, record.down_since) {
                    (Health::Down, Some(since)) => Some(since),
                    (Health::Down, None) => Some(entry.happened_at()),
                    // What cannot be seen has not recovered: the clock goes on.
                    (Health::Unknown, since) => since,
                    _ => None,
                };
                if e.to == Health::Up {
                    self.take_back_contradictions(&e.service);
                }
            }
            Event::HealthBecause(e) => {
                if let Some(record) = self.services.get_mut(&e.service) {
                    record.because = e.because.clone();
                }
            }
            Event::ServicePaused(e) => {
                let record = self.services.entry(e.service.clone()).or_default();
                record.state = Health::Paused;
                record.since = entry.at;
                record.confirmed_at = None;
                record.down_since = None;
                record.because = None;
                record.paused_until = Some(e.until);
                record.paused_reason = e.reason.clone();
            }
            Event::ServiceResumed(e) => {
                let record = self.services.entry(e.service.clone()).or_default();
                record.state = Health::Unknown;
                record.since = entry.at;
                record.confirmed_at = None;
                record.paused_until = None;
                record.paused_reason.clear();
            }
            _ => {}
        }
    }

    /// A restart that was contradicted because the service stayed down is contradicted no more once it is seen up.
    pub(super) fn take_back_contradictions(&mut self, service: &str) {
        use crate::domain::run::Work;
        for run in self.runs.values_mut().filter(|r| r.stands_contradicted()) {
            let work = &run.plan.work;
            let brings_up =
                matches!(work, Work::Restart { .. } | Work::Start { .. } | Work::Redeploy { .. } | Work::Scale { .. });
            run.superseded |= brings_up && work.service() == Some(service);
        }
    }

    pub(super) fn apply_incident(&mut self, entry: &Entry) {
        let Some(id) = entry.incident.clone() else { return };
        if let Event::IncidentDeclared(e) = &entry.event {
            if let Some((year, number)) = parse_id(&id) {
                let highest = self.numbers.entry(year).or_default();
                *highest = number.max(*highest);
            }
            let incident = Incident {
                id: id.clone(),
                title: e.title.clone(),
                severity: e.severity,
                status: Status::Investigating,
                services: e.services.clone(),
                declared_at: entry.at,
                declared_by: entry.actor.user.clone(),
                declared_seq: entry.seq,
                onset: e.onset,
                acknowledged_at: None,
                acknowledged_by: None,
                roles: BTreeMap::new(),
                mitigated_at: None,
                resolved_at: None,
                last_update_at: None,
                updates: 0,
                notes: 0,
                declared_boot_ms: entry.boot_ms,
                declared_boot: entry.boot.clone(),
                declared_stepped_ms: self.stepped_ms,
                resolved_stepped_ms: 0,
                unsealed: false,
                reopened: 0,
                hypotheses: Vec::new(),
                handoff: None,
                last_seq: entry.seq,
                clock: clock::IncidentClock::default(),
            };
            self.incidents.insert(id, incident);
            self.trim_incidents();
            return;
        }
        let Some(incident) = self.incidents.get_mut(&id) else {
            return;
        };
        crate::domain::hypothesis::apply(incident, entry);
        crate::domain::handoff::apply(incident, entry);
        match &entry.event {
            Event::IncidentOnset(e) => incident.onset = Some(e.onset),
            Event::IncidentAcknowledged(_) if incident.acknowledged_at.is_none() => {
                incident.acknowledged_at = Some(entry.at);
                incident.acknowledged_by = Some(entry.actor.user.clone());
            }
            Event::IncidentSeverity(e) => incident.severity = e.to,
            Event::IncidentStatus(e) => {
                incident.status = e.to;
                match e.to {
                    Status::Monitoring => incident.mitigated_at = incident.mitigated_at.or(Some(entry.at)),
                    Status::Resolved => {
                        incident.resolved_at = Some(entry.at);
                        incident.resolved_stepped_ms = self.stepped_ms;
                        incident.unsealed = true;
                    }
                    _ => {}
                }
            }
            Event::IncidentAssigned(e) => {
                incident.roles.insert(e.role.clone(), e.user.clone());
            }
            Event::IncidentServices(e) => {
                incident.services.extend(e.added.iter().cloned());
                incident.services.retain(|s| !e.removed.contains(s));
            }
            Event::IncidentTitled(e) => incident.title = e.title.clone(),
            Event::IncidentReopened(_) => {
                // The last word was carried over no further than to the end.
                let ended = match incident.resolved_at {
                    Some(_) => incident.resolved_stepped_ms,
                    None => incident.clock.ended_stepped_ms,
                };
                let stepped = self.stepped_ms.saturating_sub(ended);
                incident.last_update_at = incident.last_update_at.map(|at| at.stepped(stepped));
                incident.status = Status::Investigating;
                incident.resolved_at = None;
                incident.unsealed = false;
                incident.reopened += 1;
            }
            Event::NoteAdded(_) | Event::NoteImported(_) => incident.notes += 1,
            Event::IncidentSealed(_) => incident.unsealed = false,
            _ => {}
        }
    }

    pub(super) fn apply_run(&mut self, entry: &Entry) {
        if let Event::RunRequested(e) = &entry.event {
            let run = Run {
                plan: e.plan.clone(),
                incident: entry.incident.clone(),
                requested_at: entry.at,
                requested_by: self.asked_by(&e.plan.id, entry),
                requested_seq: entry.seq,
                requested_boot: entry.boot.clone(),
                state: RunState::Requested,
                started_at: None,
                finished_at: None,
                phase: 0,
                exit: None,
                verdict: None,
                detail: String::new(),
                cancel_requested: false,
                superseded: false,
                sides: Vec::new(),
                largest: 0,
                unlogged: e.unlogged,
                of_step: e.recovery.clone(),
                head_start: e.head_start,
            };
            let id = e.plan.id.clone();
            if self.runs.insert(id.clone(), run).is_none() {
                self.run_order.push(id);
            }
            self.trim_runs();
            return;
        }
        let id = match &entry.event {
            Event::RunClaimed(e) => &e.run,
            Event::RunStarted(e) => &e.run,
            Event::RunPhase(e) => &e.run,
            Event::RunCancelRequested(e) => &e.run,
            Event::RunSide(e) => &e.run,
            Event::RunFinished(e) => &e.run,
            _ => return,
        };
        if let Event::RunSide(e) = &entry.event {
            // What is gone may have been left by an earlier run.
            for run in self.runs.values_mut() {
                run.sides.retain(|s| !e.gone.contains(&s.name));
                if let Some(side) = &e.side {
                    run.sides.retain(|s| s.name != side.name);
                }
            }
        }
        let Some(run) = self.runs.get_mut(id) else { return };
        match &entry.event {
            Event::RunClaimed(_) if run.state == RunState::Requested => run.state = RunState::Claimed,
            Event::RunStarted(_) if !run.state.is_over() => {
                run.state = RunState::Running;
                run.started_at = Some(entry.at);
            }
            Event::RunPhase(e) if !run.state.is_over() => run.phase = e.phase,
            Event::RunCancelRequested(_) => run.cancel_requested = true,
            Event::RunSide(e) => {
                run.largest = run.largest.max(e.side.as_ref().map_or(0, |s| s.size));
                run.sides.extend(e.side.clone());
            }
            Event::RunFinished(e) => {
                run.state = e.state;
                run.exit = e.exit;
                run.verdict = Some(e.verdict);
                run.detail = e.detail.clone();
                run.finished_at = Some(entry.happened_at());
                if let Some((backup, test)) = proof::of_run(run) {
                    proof::keep(self.tests.entry(backup.to_owned()).or_default(), test);
                }
                if e.verdict == Verdict::Verified {
                    let (work, order) = (run.plan.work.clone(), run.requested_seq);
                    let (holds, service) = (run.plan.holds.clone(), run.plan.service.clone());
                    for other in self.runs.values_mut().filter(|r| r.requested_seq < order) {
                        let same = other.plan.work.verb() == work.verb() && other.plan.work.object() == work.object();
                        let same_thing = other.plan.holds == holds && other.plan.service == service;
                        other.superseded |= same || same_thing;
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn apply_message(&mut self, entry: &Entry) {
        match &entry.event {
            Event::MessageQueued(e) => {
                let id = e.id.clone();
                let fresh = |_| ChannelDelivery {
                    state: Delivery::Queued,
                    attempts: 0,
                    answer: String::new(),
                    at: entry.at,
                    next_at: None,
                };
                let message = Message {
                    id: id.clone(),
                    incident: entry.incident.clone(),
                    template: e.template,
                    subject: e.subject.clone(),
                    body: e.body.clone(),
                    queued_at: entry.at,
                    by: entry.actor.user.clone(),
                    channels: e.channels.iter().map(|c| (c.clone(), fresh(c))).collect(),
                };
                if e.template == Template::Update
                    && let Some(i) = entry.incident.as_deref().and_then(|i| self.incidents.get_mut(i))
                {
                    i.updates += 1;
                }
                self.messages.insert(id.clone(), message);
                self.message_order.push(id);
                self.trim_messages();
            }
            Event::MessageAttempted(e) => {
                let Some(message) = self.messages.get_mut(&e.message) else {
                    return;
                };
                if let Some(channel) = message.channels.get_mut(&e.channel) {
                    *channel = ChannelDelivery {
                        state: e.result,
                        attempts: e.attempt,
                        answer: e.answer.clone(),
                        at: entry.at,
                        next_at: e.next_at,
                    };
                }
                if e.result == Delivery::Accepted
                    && message.template.is_word()
                    && let Some(i) = message.incident.as_deref().and_then(|i| self.incidents.get_mut(i))
                {
                    i.last_update_at = Some(entry.at);
                }
            }
            _ => {}
        }
    }

    pub(super) fn trim_incidents(&mut self) {
        while self.incidents.len() > KEEP {
            let oldest = self.incidents.values().filter(|i| !i.status.is_open()).min_by_key(|i| i.declared_seq);
            let Some(id) = oldest.map(|i| i.id.clone()) else { return };
            self.incidents.remove(&id);
            self.reviews.remove(&id);
            self.imported.remove(&id);
            headstart::trim(self);
        }
    }

    pub(super) fn trim_runs(&mut self) {
        while self.run_order.len() > KEEP {
            let done = self.run_order.iter().position(|id| {
                self.runs.get(id).is_none_or(|r| r.state.is_over() && r.sides.is_empty() && !r.stands_contradicted())
            });
            let Some(at) = done else { return };
            let id = self.run_order.remove(at);
            self.runs.remove(&id);
        }
    }

    pub(super) fn trim_messages(&mut self) {
        while self.message_order.len() > KEEP {
            let done = self.message_order.iter().position(|id| self.messages.get(id).is_none_or(Message::is_done));
            let Some(at) = done else { return };
            let id = self.message_order.remove(at);
            self.messages.remove(&id);
        }
    }
}
