//! Leading an incident while people are busy: levels that are called, drafts that lie ready, the onset by the probes.
//!
//! What is due is derived from the state at every turn. A level is called by an entry; its message has an id that follows
//! from incident and level, so that an engine that was killed between the two queues it, and never twice.

use std::collections::HashMap;
use std::time::Duration;

use super::core::{Core, Message};
use super::samples::Class;
use crate::domain::Time;
use crate::domain::cadence;
use crate::domain::escalation::{self, Called, Due, Reached};
use crate::domain::event::{IncidentEscalated, IncidentUnanswered, MessageQueued};
use crate::domain::health::Health;
use crate::domain::incident::Incident;
use crate::domain::message::Template;
use crate::domain::outage;
use crate::notify::facts::LevelFact;
use crate::wire::{Answer, ClockView, DraftView, NextLevel};

/// A draft that lies ready is made anew for what happens meanwhile, not more often than this.
const DRAFT_AGAIN: Duration = Duration::from_secs(10);
/// How far back an onset is looked for.
const LEAD_UP: Duration = Duration::from_secs(3600);

/// Drafts that lie ready, by incident.
#[derive(Debug, Default)]
pub struct Prepared {
    drafts: HashMap<String, Draft>,
}

#[derive(Debug)]
struct Draft {
    /// The deadline it is for.
    due: cadence::Due,
    /// The incident's last entry when it was asked for.
    seq: u64,
    asked_at: Time,
    view: Option<DraftView>,
}

impl Core {
    /// Calls the levels that are due.
    pub(super) fn reconcile_escalation(&mut self) {
        let now = self.now();
        let open: Vec<String> = self.state.open_incidents().iter().map(|i| i.id.clone()).collect();
        for id in open {
            let Some(incident) = self.state.incidents.get(&id) else { continue };
            match escalation::due(&self.state, incident, now) {
                Due::Nothing | Due::Wait { .. } => {}
                Due::Call { level, name, why } => self.call_level(&id, level, name, why),
                Due::Queue(called) => self.queue_level(&id, &called),
                Due::End { why } => {
                    self.record_own(Some(id), IncidentUnanswered { why });
                }
            }
        }
    }

    fn call_level(&mut self, id: &str, level: u32, name: String, why: String) {
        let (contacts, mut channels) = escalation::reach(&self.state, &name);
        for channel in &self.config.channels {
            if channel.auto.iter().any(|a| a == "escalated") && !channels.contains(&channel.name) {
                channels.push(channel.name.clone());
            }
        }
        let before = self.state.incidents.get(id).map_or(0, |i| i.clock.escalation.called.len());
        let message = if channels.is_empty() { String::new() } else { escalation::message_id(id, before) };
        let event = IncidentEscalated { level, name, contacts, channels, message, why };
        self.record_own(Some(id.to_owned()), event);
        // The message with it, in one write where all goes well.
        let called = self.state.incidents.get(id).and_then(|i| i.clock.escalation.called.last()).cloned();
        if let Some(called) = called.filter(|c| !c.message.is_empty()) {
            self.queue_level(id, &called);
        }
    }

    fn queue_level(&mut self, id: &str, called: &Called) {
        let mut drafting = self.drafting(None);
        let why = if called.level == 1 {
            "the incident was declared".to_owned()
        } else {
            let after = self.state.catalog.severities.get(&called.mark.severity);
            let after = after.and_then(|f| f.escalate_after_ms.or(f.respond_within_ms)).map(Duration::from_millis);
            format!("nobody acknowledged within {}", crate::text::duration(after.unwrap_or_default()))
        };
        drafting.level = Some(LevelFact { number: called.level, name: called.name.clone(), why });
        let Answer::Draft { subject, body, .. } = drafting.draft(Template::Escalation, Some(id)) else { return };
        let event = MessageQueued {
            id: called.message.clone(),
            template: Template::Escalation,
            subject,
            body,
            channels: called.channels.clone(),
            automatic: true,
        };
        self.record_own(Some(id.to_owned()), event);
    }

    /// Has drafts made of what is due soon.
    pub(super) fn prepare_drafts(&mut self, now: Time) {
        let mut wanted: Vec<(String, cadence::Due, u64, Template)> = Vec::new();
        for incident in self.state.open_incidents() {
            let Some(due) = cadence::due(&self.state, incident).filter(|d| now >= d.draft_from()) else { continue };
            let Some(template) = due.what.template() else { continue };
            wanted.push((incident.id.clone(), due, incident.last_seq, template));
        }
        let gone: Vec<String> = self
            .lead
            .drafts
            .iter()
            .filter(|(id, d)| !wanted.iter().any(|(w, due, ..)| w == *id && *due == d.due))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.lead.drafts.remove(&id);
            self.dirty.incident_ids.insert(id);
        }
        for (id, due, seq, template) in wanted {
            let known = self.lead.drafts.get(&id);
            let fresh = known.is_some_and(|d| d.seq == seq || now.since(d.asked_at) < DRAFT_AGAIN);
            if fresh {
                continue;
            }
            let view = self.lead.drafts.remove(&id).and_then(|d| d.view);
            self.lead.drafts.insert(id.clone(), Draft { due, seq, asked_at: now, view });
            let drafting = self.drafting(Some(self.state_dir.clone()));
            let inbox = self.inbox.clone();
            tokio::spawn(async move {
                let incident = id.clone();
                let made = tokio::task::spawn_blocking(move || drafting.draft(template, Some(&incident))).await;
                if let Ok(Answer::Draft { subject, body, .. }) = made {
                    let _ = inbox.send(Message::Prepared { incident: id, template, subject, body }).await;
                }
            });
        }
    }

    pub(super) fn take_prepared(&mut self, incident: String, template: Template, subject: String, body: String) {
        let made_at = self.now();
        if let Some(draft) = self.lead.drafts.get_mut(&incident).filter(|d| d.due.what.template() == Some(template)) {
            draft.view = Some(DraftView { template, subject, body, made_at });
            self.dirty.incident_ids.insert(incident);
        }
    }

    /// What the clocks of an incident say now.
    pub(super) fn clock_view(&self, incident: &Incident, now: Time) -> ClockView {
        let due = cadence::due(&self.state, incident);
        let draft = self.lead.drafts.get(&incident.id).filter(|d| Some(d.due) == due);
        let next_level = match escalation::due(&self.state, incident, now) {
            Due::Wait { at, next } => Some(NextLevel { at, level: next }),
            _ => None,
        };
        let open = incident.status.is_open();
        let called = incident.clock.escalation.called.iter();
        let reached = called.map(|c| Reached::of(c, self.state.messages.get(&c.message))).collect();
        ClockView {
            reached,
            due,
            draft: draft.and_then(|d| d.view.clone()),
            next_level,
            say: if open { escalation::sentence(&self.state, incident) } else { String::new() },
            review_due: crate::domain::review::due(&self.state, incident),
            review: self.state.reviews.get(&incident.id).cloned(),
            charged: open.then(|| outage::charged(&self.state, incident)),
        }
    }

    /// When the trouble of `incident` began by the probes: the first failure of a streak that goes on, of a service that
    /// it is about. With the service's name and the check's, where a sample says so.
    pub(super) fn onset_of(&self, incident: &Incident) -> Option<(Time, String)> {
        let concerned = |name: &str| incident.services.is_empty() || incident.services.contains(name);
        let declared = incident.declared_at;
        let down = self
            .state
            .services
            .iter()
            .filter(|(name, record)| concerned(name) && record.state == Health::Down)
            .filter_map(|(name, record)| Some((record.down_since?, name.clone(), None)));
        let mut found: Vec<(Time, String, Option<String>)> = down.collect();
        for service in self.config.services.iter().filter(|s| incident.services.contains(&s.name)) {
            for check in &service.checks {
                let Some(ring) = self.samples.ring(&service.name, &check.name) else { continue };
                let seen: Vec<_> = ring.since(declared.minus(LEAD_UP)).filter(|s| s.at_ms <= declared.ms()).collect();
                let streak = seen.iter().rev().take_while(|s| s.class == Class::Fail).last();
                if let Some(first) = streak {
                    found.push((Time::from_ms(first.at_ms), service.name.clone(), Some(check.name.clone())));
                }
            }
        }
        let (at, service, check) = found.into_iter().filter(|(at, ..)| *at <= declared).min()?;
        let check = check.map(|c| format!(" (check {c})")).unwrap_or_default();
        Some((at, format!("first failing probe of {service}{check}")))
    }
}
