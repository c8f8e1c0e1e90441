//! One incident: what was declared, who leads, how far it is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::catalog::Severity;
use super::clock::IncidentClock;
use super::time::Time;

/// Where an incident stands. `Closed` comes after resolved and carries why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    #[default]
    Investigating,
    Identified,
    Monitoring,
    Resolved,
    Closed,
}

impl Status {
    /// All of them, in order.
    pub const ALL: [Status; 5] =
        [Status::Investigating, Status::Identified, Status::Monitoring, Status::Resolved, Status::Closed];

    /// The word shown and typed.
    pub const fn word(self) -> &'static str {
        match self {
            Status::Investigating => "investigating",
            Status::Identified => "identified",
            Status::Monitoring => "monitoring",
            Status::Resolved => "resolved",
            Status::Closed => "closed",
        }
    }

    /// Reads the word. Errors: what is accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        Status::ALL.into_iter().find(|s| s.word() == text).ok_or_else(|| {
            format!("\"{text}\" is not a status: investigating, identified, monitoring, resolved or closed")
        })
    }

    /// The clock runs and updates are due.
    pub const fn is_open(self) -> bool {
        matches!(self, Status::Investigating | Status::Identified | Status::Monitoring)
    }
}

/// An incident as folded from its entries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// `INC-2026-004`.
    pub id: String,
    pub title: String,
    pub severity: Severity,
    pub status: Status,
    pub services: BTreeSet<String>,
    pub declared_at: Time,
    pub declared_by: String,
    /// Journal position of the declaration.
    pub declared_seq: u64,
    /// When the trouble began: stated, or the first failure the probes saw. T+ counts from the declaration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onset: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_by: Option<String>,
    /// Role → user: `commander`, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, String>,
    /// First time the status became monitoring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mitigated_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Time>,
    /// Last message to the outside that a channel accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update_at: Option<Time>,
    /// Number of update messages asked for so far.
    #[serde(default)]
    pub updates: u32,
    /// Number of notes so far.
    #[serde(default)]
    pub notes: u32,
    /// Milliseconds of monotonic (boot) clock at the declaration and the boot it belongs to, so that T+ does not run
    /// backwards when the wall clock is stepped.
    #[serde(default)]
    pub declared_boot_ms: u64,
    #[serde(default)]
    pub declared_boot: String,
    /// Steps of the wall clock on record up to the declaration, and up to the resolution: see
    /// [`State::elapsed`](super::state::State::elapsed).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub declared_stepped_ms: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resolved_stepped_ms: i64,
    /// It was resolved, and its samples are not sealed yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsealed: bool,
    /// How often it was reopened.
    #[serde(default)]
    pub reopened: u32,
    /// What was thought to be wrong, in the order it was said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hypotheses: Vec<super::hypothesis::Hypothesis>,
    /// The lead is offered to somebody and not taken yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handoff: Option<super::handoff::Handoff>,
    /// Last entry that belongs to it.
    #[serde(default)]
    pub last_seq: u64,
    /// Phases, time in each severity, cadence, escalation.
    #[serde(default)]
    pub clock: IncidentClock,
}

impl Incident {
    /// `id` is this incident, or one that was merged into it.
    pub fn is_or_absorbed(&self, id: Option<&str>) -> bool {
        id.is_some_and(|id| id == self.id || self.clock.absorbed.iter().any(|a| a == id))
    }

    /// The user who commands, if anyone does.
    pub fn commander(&self) -> Option<&str> {
        self.roles.get("commander").map(String::as_str)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_zero(ms: &i64) -> bool {
    *ms == 0
}
