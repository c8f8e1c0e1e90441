//! What a message may say of an incident, as text ready to be printed. What is not known is absent.

use serde::Serialize;

use super::template;

/// The facts of an incident at one moment. Field names are what templates use.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Facts {
    pub system: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub environment: String,
    /// `INC-2026-004`; empty for a test message outside of an incident.
    pub incident: String,
    /// `P0`.
    pub severity: String,
    pub title: String,
    /// `investigating`.
    pub status: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceFact>,
    /// Onset: when the trouble began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared_by: Option<String>,
    /// Since the declaration: `12m43s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commander: Option<String>,
    /// Impact sentences of the affected services, once each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub impact: Vec<String>,
    /// The number that the next update gets, from 1.
    pub update_number: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_update: Option<String>,
    /// One line per thing that happened since the last message.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub happened: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunFact>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<String>,
    /// From the declaration to the resolution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_time: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub downtime: Vec<DowntimeFact>,
    /// Affected services that are not up, for a resolution that was forced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub still_down: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// First 8 hex digits of the journal's head. Every message ends with it whatever the template says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal_head: Option<String>,
}

/// An affected service.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ServiceFact {
    pub name: String,
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub impact: String,
}

/// An action that belongs to the incident.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunFact {
    pub title: String,
    /// `running`, `succeeded, verified`, `failed: …`.
    pub outcome: String,
}

/// Downtime of one service.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DowntimeFact {
    pub service: String,
    /// `12m43s`.
    pub down: String,
    /// `RTO 10m missed by 2m43s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
}

impl Facts {
    pub(super) fn value(&self) -> minijinja::Value {
        template::value(serde_json::to_value(self).unwrap_or_default())
    }
}
