//! Health: what a probe can say, and the states a service can be in.
//!
//! The state machine that turns results into confirmed states stands in [`machine`], what checks mean for services and
//! services for one another in [`board`], what single probes measured in [`samples`].

use serde::{Deserialize, Serialize};

use super::time::Time;

pub mod board;
pub mod machine;
pub mod samples;

/// The confirmed state of a check or a service: exactly one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    Down,
    Degraded,
    #[default]
    Unknown,
    Up,
    Paused,
}

impl Health {
    pub const fn word(self) -> &'static str {
        match self {
            Health::Down => "down",
            Health::Degraded => "degraded",
            Health::Unknown => "unknown",
            Health::Up => "up",
            Health::Paused => "paused",
        }
    }

    /// The worse of two, in the order down, degraded, unknown, up; paused counts as up.
    pub fn worse(self, other: Health) -> Health {
        self.min(other)
    }
}

/// What one probe concluded. `Error` is our own fault (bad configuration, file descriptors used up); `Skipped` means it
/// was not tried. Neither says anything about the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Ok,
    Warn,
    Fail,
    Error,
    Skipped,
}

impl Outcome {
    /// Says something about the service.
    pub const fn is_conclusive(self) -> bool {
        matches!(self, Outcome::Ok | Outcome::Warn | Outcome::Fail)
    }
}

/// Why a probe failed or warned, told apart in words because the remedy differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    Dns,
    Refused,
    Unreachable,
    TimeoutConnect,
    TimeoutTls,
    TimeoutHeaders,
    TimeoutBody,
    TimeoutQuery,
    /// Of a command, or in no phase that is worth naming.
    Timeout,
    TlsExpired,
    TlsNotYet,
    TlsUntrusted,
    TlsName,
    TlsExpiring,
    Protocol,
    Status,
    Assertion,
    TooLarge,
    Redirect,
    Auth,
    Recovering,
    Loading,
    Role,
    Limit,
    Slow,
    NotRunning,
    Restarted,
    Exec,
    Missing,
}

impl Reason {
    /// Two or three plain words.
    pub const fn word(self) -> &'static str {
        match self {
            Reason::Dns => "name not found",
            Reason::Refused => "refused",
            Reason::Unreachable => "unreachable",
            Reason::TimeoutConnect => "timed out connecting",
            Reason::TimeoutTls => "timed out in TLS",
            Reason::TimeoutHeaders => "timed out, no answer",
            Reason::TimeoutBody => "timed out in body",
            Reason::TimeoutQuery => "query timed out",
            Reason::Timeout => "timed out",
            Reason::TlsExpired => "certificate expired",
            Reason::TlsNotYet => "certificate not yet valid",
            Reason::TlsUntrusted => "certificate untrusted",
            Reason::TlsName => "certificate of another name",
            Reason::TlsExpiring => "certificate expires soon",
            Reason::Protocol => "protocol error",
            Reason::Status => "wrong status",
            Reason::Assertion => "condition missed",
            Reason::TooLarge => "answer too large",
            Reason::Redirect => "redirect refused",
            Reason::Auth => "login refused",
            Reason::Recovering => "recovering",
            Reason::Loading => "loading",
            Reason::Role => "wrong role",
            Reason::Limit => "limit passed",
            Reason::Slow => "slow",
            Reason::NotRunning => "not running",
            Reason::Restarted => "restarted",
            Reason::Exec => "command failed",
            Reason::Missing => "missing",
        }
    }
}

/// One result of one probe. `detail` is cleaned text of at most 512 characters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeResult {
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What was seen, for people: `503 Service Unavailable`, `connection refused by 10.0.0.4:5432`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Microseconds the probe took, in whole or until it failed.
    pub took_us: u64,
    /// Further facts by name: `role` = `standby`, `days left` = `12`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<(String, String)>,
}

impl ProbeResult {
    pub fn new(outcome: Outcome, reason: Option<Reason>, detail: impl Into<String>, took_us: u64) -> Self {
        ProbeResult { outcome, reason, detail: detail.into(), took_us, facts: Vec::new() }
    }
}

/// What the journal knows of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceRecord {
    pub state: Health,
    /// When the confirmed state began.
    pub since: Time,
    /// When it was confirmed, where that is another moment: from here a screen counts how long it has been so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<Time>,
    /// First failure of the confirming streak, while down: the RTO clock runs from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_since: Option<Time>,
    /// The hard dependency it is down because of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Maintenance: until when it is paused, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Time>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub paused_reason: String,
}
