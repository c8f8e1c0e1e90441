//! What the fold needs to know of the configuration: names, tiers, objectives, dependencies.
//!
//! It stands in the journal (`config.loaded`), so that a review made a year later uses the objectives that were in force
//! then, and the same journal gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::authority::Authority;

/// How bad an incident is. P0 is the worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Severity {
    P0,
    #[default]
    P1,
    P2,
    P3,
}

impl Severity {
    /// All of them, worst first.
    pub const ALL: [Severity; 4] = [Severity::P0, Severity::P1, Severity::P2, Severity::P3];

    /// `P0` … `P3`.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::P0 => "P0",
            Severity::P1 => "P1",
            Severity::P2 => "P2",
            Severity::P3 => "P3",
        }
    }

    /// Reads `P0`, `p0` or `0`. Errors: what is accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.trim_start_matches(['P', 'p']) {
            "0" => Ok(Severity::P0),
            "1" => Ok(Severity::P1),
            "2" => Ok(Severity::P2),
            "3" => Ok(Severity::P3),
            _ => Err(format!("\"{text}\" is not a severity: P0, P1, P2 or P3")),
        }
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// The facts of a configuration that history depends on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Catalog {
    pub system: String,
    pub environment: String,
    pub services: BTreeMap<String, ServiceFacts>,
    pub backups: BTreeMap<String, BackupFacts>,
    /// Names of the free actions.
    pub actions: BTreeMap<String, ActionFacts>,
    /// Recoveries of whole systems.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub recoveries: BTreeMap<String, RecoveryFacts>,
    /// Names of the channels, in configured order.
    pub channels: Vec<ChannelFacts>,
    pub severities: BTreeMap<Severity, SeverityFacts>,
    /// Whom to call, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub contacts: BTreeMap<String, super::escalation::ContactFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Per cent of a month that services are promised to be up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability_target: Option<f64>,
    /// Who may do what, and for what one person is not enough.
    #[serde(skip_serializing_if = "Authority::is_empty")]
    pub authority: Authority,
}

/// What downtime costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Money lost per hour of downtime, in whole units of `currency`.
    pub per_hour: f64,
    pub currency: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceFacts {
    /// 1 (most important) to 4.
    pub tier: u8,
    /// Recovery time objective, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rto_ms: Option<u64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub impact: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// Milliseconds between two probes of its most frequent check: the ± of measured downtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_every_ms: Option<u64>,
    /// The check whose latency is the service's, by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<String>,
    /// Has at least one check; without one its state stays unknown.
    pub checked: bool,
    /// Verbs that its control offers: restart, stop, start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub control: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackupFacts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Recovery point objective, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpo_ms: Option<u64>,
    /// A restore is configured.
    pub restorable: bool,
    /// It is restored beside the live data as soon as an incident names its service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_start: Option<super::headstart::HeadStartFacts>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ActionFacts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    pub risk: crate::domain::run::Risk,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub doc: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecoveryFacts {
    pub title: String,
    /// Kind of incident that it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    pub steps: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelFacts {
    pub name: String,
    /// `slack`, `webhook`, `email`.
    pub kind: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeverityFacts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub respond_within_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_every_ms: Option<u64>,
    /// From the declaration to the first word that a channel accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_word_within_ms: Option<u64>,
    /// From the resolution to the message that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution_within_ms: Option<u64>,
    /// From the resolution to closing, with the review.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review_within_ms: Option<u64>,
    /// T+ at which each phase should be over.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub phases: BTreeMap<super::phases::IncidentPhase, u64>,
    /// Levels that are called one after another while nobody acknowledges.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub escalate: Vec<String>,
    /// How long each of them has; else `respond_within_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalate_after_ms: Option<u64>,
}

impl Catalog {
    /// `service` and everything that depends on it, directly or not.
    pub fn affected_by(&self, service: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::from([service.to_owned()]);
        loop {
            let more: Vec<String> = self
                .services
                .iter()
                .filter(|(name, facts)| !found.contains(*name) && facts.depends_on.iter().any(|d| found.contains(d)))
                .map(|(name, _)| name.clone())
                .collect();
            if more.is_empty() {
                return found;
            }
            found.extend(more);
        }
    }
}
