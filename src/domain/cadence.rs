//! The cadence of words to the outside: when the next one is due, and when a draft of it is prepared.
//!
//! Counted from the last message that a channel accepted, also over a reopening: what was only queued, or refused, tells
//! nobody anything. What would have been due while it was resolved is due when it is opened again. Alerts
//! to those who are called ([`Template::Escalation`]) and tests are no words to those who wait.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::incident::{Incident, Status};
use super::message::Template;
use super::state::State;
use super::time::Time;

/// How long before it is due a draft is prepared.
pub const DRAFT_BEFORE: Duration = Duration::from_secs(120);
/// The longest snooze.
pub const SNOOZE_MOST: Duration = Duration::from_secs(4 * 3600);

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// The first word to those who wait.
    First,
    Update,
    /// That it is over.
    Resolution,
    /// The review, with which the incident is closed.
    Review,
}

impl Word {
    /// For people: `first word`, `update`.
    pub const fn title(self) -> &'static str {
        match self {
            Word::First => "first word",
            Word::Update => "update",
            Word::Resolution => "resolution message",
            Word::Review => "review",
        }
    }

    /// The template it is made from; a review is not a message.
    pub const fn template(self) -> Option<Template> {
        match self {
            Word::First => Some(Template::Initial),
            Word::Update => Some(Template::Update),
            Word::Resolution => Some(Template::Resolution),
            Word::Review => None,
        }
    }
}

/// The next deadline of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    pub what: Word,
    pub at: Time,
    /// What was promised; differs from `at` when a person snoozed it.
    pub promised: Time,
}

impl Due {
    /// From then on a draft lies ready.
    pub fn draft_from(&self) -> Time {
        self.at.minus(DRAFT_BEFORE)
    }

    pub fn is_snoozed(&self) -> bool {
        self.at != self.promised
    }
}

/// A deadline that a person moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snooze {
    pub until: Time,
    pub reason: String,
    pub by: String,
}

/// What is due next for `incident`.
pub fn due(state: &State, incident: &Incident) -> Option<Due> {
    let facts = state.catalog.severities.get(&incident.severity)?;
    let after = |from: Time, ms: u64| from.plus(Duration::from_millis(ms));
    if incident.status.is_open() {
        let (what, promised) = match incident.last_update_at {
            Some(at) => (Word::Update, after(at, facts.update_every_ms?)),
            None => {
                let declared = state.declared_now(incident);
                match (facts.first_word_within_ms, facts.update_every_ms) {
                    (Some(first), every) if every.is_none_or(|e| first <= e) => (Word::First, after(declared, first)),
                    (_, every) => (Word::Update, after(declared, every?)),
                }
            }
        };
        // A reopening puts nothing off; but while it was resolved nothing was due either.
        let promised = incident.clock.reopened_at.map_or(promised, |reopened| promised.max(reopened));
        let at = incident.clock.snooze.as_ref().map_or(promised, |s| promised.max(s.until));
        return Some(Due { what, at, promised });
    }
    if incident.status != Status::Resolved {
        return None;
    }
    let resolved = incident.resolved_at?;
    let (what, within) = match (incident.clock.told_resolved, facts.resolution_within_ms) {
        (false, Some(ms)) => (Word::Resolution, ms),
        _ => {
            let at = super::review::due(state, incident)?;
            return Some(Due { what: Word::Review, at, promised: at });
        }
    };
    let at = after(resolved, within);
    Some(Due { what, at, promised: at })
}

/// What comes next by plan, in words for a draft: the step of the recovery under way, else of the playbook.
pub fn next_step(state: &State, incident: &Incident) -> Option<String> {
    let own = |of: &Option<String>| of.as_deref() == Some(incident.id.as_str());
    if let Some(recovery) = state.open_recovery().filter(|r| own(&r.incident)) {
        return Some(format!("{} ({}), {}", recovery.plan.title, recovery.state.word(), recovery.place()));
    }
    let play = state.active_playbook().filter(|p| own(&p.incident))?;
    Some(format!("{}, {}", play.text.title, play.place()))
}
