//! The checked types of a configuration. Reading and checking stand beside this file; whoever holds one of these values
//! may rely on it: names exist, dependencies have no cycle, every timeout is below its interval.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::secret::{MaybeSecret, SecretRef};
use crate::domain::catalog::{Cost, Severity};
use crate::domain::phases::IncidentPhase;
use crate::domain::run::Risk;

mod backups;
mod checks;

pub use backups::*;
pub use checks::*;

/// Durations in serialised checks (runner plans): milliseconds.
mod ms {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;
    pub fn serialize<S: Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_millis)
    }
}
mod opt_ms {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::time::Duration;
    pub fn serialize<S: Serializer>(d: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
        d.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)).serialize(s)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(d)?.map(Duration::from_millis))
    }
}

/// A whole configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    pub system: System,
    pub engine: EngineSettings,
    pub journal: JournalSettings,
    pub services: Vec<Service>,
    pub backups: Vec<Backup>,
    pub actions: Vec<Action>,
    pub recoveries: Vec<Recovery>,
    pub playbooks: Vec<crate::domain::playbook::Playbook>,
    /// Those of the file; the shipped ones stand beside them.
    pub checklists: Vec<crate::domain::checklist::Checklist>,
    pub playbook_folder: Option<PathBuf>,
    pub channels: Vec<Channel>,
    pub maintenance: Vec<Maintenance>,
    pub contacts: Vec<Contact>,
    pub severities: BTreeMap<Severity, SeverityPolicy>,
    /// Who may do what, and for what one person is not enough.
    pub authority: crate::domain::authority::Authority,
    /// The file it came from, for messages.
    pub source: PathBuf,
    /// SHA-256 of the file's bytes, hex.
    pub digest: String,
    /// What is odd but allowed: `file:line: text`.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct System {
    pub name: String,
    /// `production` marks the header and the dialogs.
    pub environment: String,
    pub availability_target: Option<f64>,
    pub downtime_cost: Option<Cost>,
    /// CA certificates (PEM files) trusted beside the system's own.
    pub extra_ca: Vec<PathBuf>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineSettings {
    pub state_dir: Option<PathBuf>,
    /// Shared engine: members of this group may connect.
    pub group: Option<String>,
    /// Bytes of output kept per run (default 16 MiB).
    pub output_limit: Option<u64>,
}

/// Where every entry also goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorTo {
    File(PathBuf),
    /// A program with its arguments that is given the entries' lines on standard input.
    Command(Vec<String>),
}

impl MirrorTo {
    /// The file, or the program without its arguments.
    pub fn name(&self) -> String {
        match self {
            MirrorTo::File(path) => path.display().to_string(),
            MirrorTo::Command(argv) => argv.first().cloned().unwrap_or_default(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct JournalSettings {
    /// A second place for every entry.
    pub mirror: Option<MirrorTo>,
    /// Bytes after which a new part begins (default 64 MiB).
    pub rotate: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeverityPolicy {
    pub respond_within: Option<Duration>,
    pub update_every: Option<Duration>,
    pub first_word_within: Option<Duration>,
    pub resolution_within: Option<Duration>,
    pub review_within: Option<Duration>,
    /// T+ at which each phase should be over.
    pub phases: BTreeMap<IncidentPhase, Duration>,
    /// Levels of contacts, the first told at the declaration.
    pub escalate: Vec<String>,
    /// Default: `respond_within`.
    pub escalate_after: Option<Duration>,
}

/// Somebody to call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contact {
    pub name: String,
    pub levels: Vec<String>,
    pub roles: Vec<String>,
    pub phone: String,
    pub address: String,
    /// Names of channels that reach it.
    pub channels: Vec<String>,
    /// Belongs to a supplier.
    pub vendor: bool,
    pub hours: String,
    pub notes: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    pub name: String,
    /// 1 to 4; default 3.
    pub tier: u8,
    pub rto: Option<Duration>,
    pub impact: String,
    pub depends_on: Vec<String>,
    pub labels: Vec<String>,
    pub control: Option<Control>,
    pub checks: Vec<Check>,
}

/// One check of a service: how, how often, and how many results confirm a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Unique within the service; the kind (`http`, `http 2`) unless named.
    pub name: String,
    pub kind: CheckKind,
    pub timing: Timing,
}

/// Intervals and counts of a check; `[defaults]` gives the values a check leaves out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    #[serde(with = "ms")]
    pub every: Duration,
    #[serde(with = "ms")]
    pub timeout: Duration,
    /// Used while a change is unconfirmed.
    #[serde(with = "ms")]
    pub retry_interval: Duration,
    /// Used while an open incident names the service.
    #[serde(with = "ms")]
    pub incident_interval: Duration,
    pub down_after: u32,
    pub up_after: u32,
    pub degraded_after: u32,
    /// Fails in the last ten that make it down, and degraded.
    pub down_ratio: u32,
    pub degraded_ratio: u32,
    /// `None`: max(3 × every + timeout, 15 s).
    #[serde(with = "opt_ms")]
    pub stale_after: Option<Duration>,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            every: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            retry_interval: Duration::from_secs(2),
            incident_interval: Duration::from_secs(2),
            down_after: 3,
            up_after: 2,
            degraded_after: 3,
            down_ratio: 7,
            degraded_ratio: 3,
            stale_after: None,
        }
    }
}

impl Timing {
    /// No conclusive result for this long makes a check unknown.
    pub fn stale_after(&self) -> Duration {
        self.stale_after.unwrap_or_else(|| (self.every * 3 + self.timeout).max(Duration::from_secs(15)))
    }
}

/// How a service is restarted, stopped, started.
#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    Systemd { unit: String, user: bool },
    Docker { container: String },
    Compose { project_dir: Option<PathBuf>, file: Option<PathBuf>, service: String },
    Kubernetes { namespace: Option<String>, context: Option<String>, workload: String },
    Railway { service: String, environment: Option<String>, project_dir: Option<PathBuf> },
    Commands(CommandControl),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommandControl {
    pub restart: Option<Vec<String>>,
    pub stop: Option<Vec<String>>,
    pub start: Option<Vec<String>>,
    pub redeploy: Option<Vec<String>>,
    /// `{replicas}` in an argument is the number wanted.
    pub scale: Option<Vec<String>>,
    pub promote: Option<Vec<String>>,
    /// `{lines}` in an argument is how many are wanted.
    pub logs: Option<Vec<String>>,
    pub cwd: Option<PathBuf>,
    pub env: BTreeMap<String, MaybeSecret>,
    pub timeout: Option<Duration>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Action {
    pub name: String,
    pub doc: String,
    pub service: Option<String>,
    pub risk: Risk,
    pub run: Vec<String>,
    pub env: BTreeMap<String, MaybeSecret>,
    pub cwd: Option<PathBuf>,
    pub timeout: Option<Duration>,
    pub verify: Option<CheckKind>,
    /// How long the after-check may take to hold (default 60 s).
    pub verify_within: Option<Duration>,
}

/// Announced maintenance: what happens in it counts against nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Maintenance {
    pub name: String,
    /// All services when there are none.
    pub services: Vec<String>,
    pub when: MaintenanceWhen,
    pub lasts: Duration,
    /// How long before it is announced on the screen and in the status.
    pub announce: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub enum MaintenanceWhen {
    Once(crate::domain::Time),
    Every { cron: String, zone: chrono_tz::Tz },
}

/// Steps that bring a whole system back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovery {
    pub name: String,
    pub title: String,
    pub kind: Option<String>,
    /// Services whose dependency order gave the steps theirs; empty for the order of the file.
    pub services: Vec<String>,
    /// In the order in which they are carried out.
    pub steps: Vec<crate::domain::recovery::Spec>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    pub name: String,
    pub kind: ChannelKind,
    /// Alerts sent by themselves: `declared`, `escalated`.
    pub auto: Vec<String>,
    pub timeout: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ChannelKind {
    Slack { webhook: MaybeSecret },
    Webhook { url: MaybeSecret, secret: Option<SecretRef>, headers: BTreeMap<String, MaybeSecret> },
    Email(Box<EmailChannel>),
}

impl ChannelKind {
    pub const fn word(&self) -> &'static str {
        match self {
            ChannelKind::Slack { .. } => "slack",
            ChannelKind::Webhook { .. } => "webhook",
            ChannelKind::Email(_) => "email",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct EmailChannel {
    pub host: String,
    pub port: Option<u16>,
    pub tls: MailTls,
    pub user: Option<String>,
    pub password: Option<SecretRef>,
    pub from: String,
    pub to: Vec<String>,
    pub extra_ca: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MailTls {
    /// STARTTLS, required.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Implicit,
    /// None; only sensible on loopback.
    None,
}
