//! The review of an incident: who writes it, how far it is, when it is talked over, until when it is due.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::Refusal;
use super::decide::{Outcome, checked_reason, checked_text, find_incident, last_incident, one};
use super::event::{Entry, Event, ReviewChanged};
use super::incident::{Incident, Status};
use super::state::State;
use super::time::Time;

/// How far it is. "Closed" is the incident's word.
pub const STATUSES: [&str; 3] = ["draft", "in-review", "reviewed"];

/// What is on record of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReviewState {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// One of [`STATUSES`]; empty while nobody said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meeting: Option<Time>,
}

impl ReviewState {
    pub fn is_reviewed(&self) -> bool {
        self.status == "reviewed"
    }

    /// `in-review, by ann, talked over 2026-12-01T10:00:00.000Z`; nothing while nothing is on record.
    pub fn said(&self) -> String {
        let mut parts = Vec::new();
        if !self.status.is_empty() {
            parts.push(self.status.clone());
        }
        if !self.owner.is_empty() {
            parts.push(format!("by {}", self.owner));
        }
        parts.extend(self.meeting.map(|at| format!("talked over {at}")));
        parts.join(", ")
    }
}

/// Until when the review of a resolved incident is due, by its severity; nothing once it is reviewed.
pub fn due(state: &State, incident: &Incident) -> Option<Time> {
    let reviewed = state.reviews.get(&incident.id).is_some_and(ReviewState::is_reviewed);
    if reviewed || incident.status != Status::Resolved {
        return None;
    }
    let within = state.catalog.severities.get(&incident.severity)?.review_within_ms?;
    Some(incident.resolved_at?.plus(Duration::from_millis(within)))
}

/// Folds one entry in.
pub(super) fn apply(reviews: &mut BTreeMap<String, ReviewState>, entry: &Entry) {
    let (Event::ReviewChanged(e), Some(incident)) = (&entry.event, &entry.incident) else { return };
    let review = reviews.entry(incident.clone()).or_default();
    if let Some(owner) = &e.owner {
        review.owner.clone_from(owner);
    }
    if let Some(status) = &e.status {
        review.status.clone_from(status);
    }
    review.meeting = e.meeting.or(review.meeting);
}

/// The incident named, else the one that was last. Errors: a word that is none, or what is so already.
pub(super) fn decide(
    state: &State,
    incident: Option<String>,
    owner: Option<String>,
    status: Option<String>,
    meeting: Option<Time>,
    reason: &str,
) -> Outcome {
    let incident = match incident {
        Some(id) => find_incident(state, &id)?.id.clone(),
        None => last_incident(state)
            .ok_or_else(|| Refusal::new("no incident was ever declared here", "there is nothing to review"))?,
    };
    let is = state.reviews.get(&incident).cloned().unwrap_or_default();
    let owner = owner.map(|o| checked_text("owner", o.trim_start_matches('@'), 80)).transpose()?;
    if let Some(status) = &status
        && !STATUSES.contains(&status.as_str())
    {
        return Err(Refusal::usage(format!("\"{status}\" is no status of a review"), STATUSES.join(", ")));
    }
    let change = ReviewChanged {
        owner: owner.filter(|o| *o != is.owner),
        status: status.filter(|s| *s != is.status),
        meeting: meeting.filter(|m| Some(*m) != is.meeting),
        reason: checked_reason(reason)?,
    };
    if change.owner.is_none() && change.status.is_none() && change.meeting.is_none() {
        return Err(Refusal::new(format!("the review of {incident} is so already"), ""));
    }
    one(Some(incident), change)
}
