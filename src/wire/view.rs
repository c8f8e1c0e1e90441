//! The picture: what a viewer shows, in parts that are sent when they change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::Time;
use crate::domain::backup::proof::{Proof, Test};
use crate::domain::backup::{BackupState, Copy};
use crate::domain::cadence::Due;
use crate::domain::catalog::{ActionFacts, ChannelFacts, Cost, RecoveryFacts, SeverityFacts};
use crate::domain::checklist::OpenChecklist;
use crate::domain::escalation::Reached;
use crate::domain::headstart::Standing;
use crate::domain::health::{Health, ProbeResult};
use crate::domain::incident::Incident;
use crate::domain::message::Message;
use crate::domain::playbook::{Offer, Play, Suggested};
use crate::domain::recovery::Recovery;
use crate::domain::run::{Risk, RunState, Side, Verdict, Work};

/// What changed since the picture that the viewer has. The first one after following holds everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Change {
    pub epoch: String,
    /// Grows with every change of any part.
    pub rev: u64,
    /// The engine's clock. Sent at least every second, so that a silent link shows.
    pub at: Time,
    /// The receiver forgets what it had: this is the whole picture.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services_gone: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backups: Vec<BackupView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backups_gone: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<IncidentView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incidents_gone: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs_gone: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recoveries: Vec<RecoveryView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recoveries_gone: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub playbooks: Vec<PlaybookView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub playbooks_gone: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages_gone: Vec<String>,
    /// Position of the newest journal entry: rows after the last known one can be asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// Facts of the system and the engine that change rarely.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Head {
    pub system: String,
    pub environment: String,
    pub version: String,
    pub pid: u32,
    pub host: String,
    pub recording: Recording,
    /// Why the newest configuration is not in force; empty when it is.
    pub config_faults: Vec<String>,
    pub config_source: String,
    pub actions: BTreeMap<String, ActionFacts>,
    /// Recoveries that can be started.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub recoveries: BTreeMap<String, RecoveryFacts>,
    /// Playbooks that can be started, in the order of the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub playbooks: Vec<PlaybookFacts>,
    /// Those that fit what is down.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suggested_playbooks: Vec<Suggested>,
    /// Checklists that were opened without an incident.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checklists: Vec<OpenChecklist>,
    pub channels: Vec<ChannelFacts>,
    pub severities: BTreeMap<crate::domain::catalog::Severity, SeverityFacts>,
    /// Whom to call, in the order of the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<ContactView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// The severity suggested for a new incident.
    pub suggested: crate::domain::catalog::Severity,
    /// Set in the sandbox: the names of faults that can be made, as actions.
    pub sandbox: bool,
    /// Windows of maintenance that are under way or announced, next first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub maintenance: Vec<WindowView>,
    /// Warnings about the engine's own means, told plainly.
    pub warnings: Vec<String>,
    /// Who may do what, tags and holds, requests for a second person.
    #[serde(skip_serializing_if = "super::GuardView::is_empty")]
    pub guard: super::GuardView,
    /// What is to be done after incidents, what is due first before the rest, and what was closed last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub followups: Vec<crate::domain::followup::Followup>,
    /// The last redaction that was carried out, by its entry: rows that were read before are read again.
    #[serde(skip_serializing_if = "is_zero")]
    pub redacted: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// A window of announced maintenance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WindowView {
    pub name: String,
    /// All services when there are none.
    pub services: Vec<String>,
    pub from: Time,
    pub until: Time,
    pub under_way: bool,
}

impl WindowView {
    pub fn is_of(&self, service: &str) -> bool {
        self.services.is_empty() || self.services.iter().any(|s| s == service)
    }

    /// `maintenance patches of api, db until 2026-12-06T00:00:00.000Z`.
    pub fn said(&self) -> String {
        let of = if self.services.is_empty() { "every service".to_owned() } else { self.services.join(", ") };
        let when = if self.under_way {
            format!("under way until {}", self.until)
        } else {
            format!("from {} to {}", self.from, self.until)
        };
        crate::text::clean(&format!("maintenance {} of {of} {when}", self.name)).into_owned()
    }
}

/// How much of a month a service was up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MonthView {
    /// `2026-11`.
    pub month: String,
    /// Per cent of the known time; absent while nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability: Option<f64>,
    /// Per cent of the time in which the state was known, without pauses and maintenance.
    pub coverage: f64,
    /// Per cent promised.
    pub target: f64,
    pub down_s: u64,
    /// Seconds that it may still be down this month; negative when it was down for longer.
    pub budget_left_s: i64,
}

/// Whether what happens is being written down.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recording {
    #[default]
    On,
    /// The disk is full; entries go into the reserve, of which this many bytes are left.
    Reserve { left: u64 },
    /// Nothing is written: since when, why, and how many entries are kept in memory.
    Off { since: Time, why: String, kept: u64 },
}

/// A service, as shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceView {
    pub name: String,
    pub tier: u8,
    pub state: Health,
    pub since: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down_since: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// `n` of `m` results that would confirm a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirming: Option<(u32, u32)>,
    /// No conclusive result for too long.
    pub stale: bool,
    /// When the newest conclusive result came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Time>,
    /// After this long without news, milliseconds, the viewer itself marks it stale.
    pub stale_after_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rto_ms: Option<u64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub impact: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// Verbs of its control: restart, stop, start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub control: Vec<String>,
    /// The run that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Time>,
    /// It is in announced maintenance.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub maintenance: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub month: Option<MonthView>,
    /// Latest latency and percentiles over the last hour, microseconds, of its first check with latency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<u32>,
    /// `u32::MAX` stands for a failure: worse than any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95_us: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<u32>,
    /// One value per 10 s, oldest first: the worst latency in it, 0 for no sample, `u32::MAX` for a failure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spark: Vec<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckView>,
}

/// A check of a service, for its detail view.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckView {
    pub name: String,
    pub kind: String,
    /// What it looks at, masked: `GET https://api.example.org/health`.
    pub target: String,
    pub state: Health,
    pub since: Time,
    pub every_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<ProbeResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirming: Option<(u32, u32)>,
    /// Slots missed because the one before was still under way.
    pub lag: u32,
}

/// A backup set, as shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackupView {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    pub state: BackupState,
    pub detail: String,
    /// The newest good copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<Copy>,
    /// A newer one that is not to be trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspect: Option<Copy>,
    pub count: usize,
    pub total_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpo_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_due: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scanned_at: Option<Time>,
    /// Why it cannot be listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    pub restorable: bool,
    /// A restore of it can be told the moment to restore to.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub any_moment: bool,
    /// A restore of it can be told which parts to bring back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub any_part: bool,
    /// Where the copies lie, and their pattern.
    pub place: String,
    /// The newest test restore of the whole that went well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven: Option<Test>,
    /// One that failed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_failed: Option<Test>,
    /// Of each copy the newest that went well and the newest that failed, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<Test>,
}

impl BackupView {
    /// `proven 2h ago by run r5`, `never proven`; empty where nothing could be proven: no restore is configured.
    pub fn proof_said(&self, ago: impl Fn(Time) -> String) -> String {
        let said = Proof::of_set(&self.tests).said(ago);
        let never = self.restorable && self.proven.is_none();
        match (never, said.is_empty()) {
            (false, _) => said,
            (true, true) => NEVER_PROVEN.into(),
            (true, false) => format!("{said}; {NEVER_PROVEN}"),
        }
    }
}

/// No test restore of it went well.
pub const NEVER_PROVEN: &str = "never proven";

/// An incident with what is derived from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentView {
    #[serde(flatten)]
    pub incident: Incident,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_due: Option<Time>,
    /// Milliseconds from the declaration to `Change::at` by the clock that is never stepped, at the time of sending.
    #[serde(default)]
    pub elapsed_ms: u64,
    /// What stands against resolving it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub against_resolving: Vec<String>,
    /// What does not stand against it, and is to be thought of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to_consider: Vec<String>,
    /// Its checklists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checklists: Vec<OpenChecklist>,
    /// Path of its timeline.md on the engine's host.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub timeline_file: String,
    /// What is due, who is called next, what is said on the phone.
    #[serde(default)]
    pub leading: ClockView,
    /// Restores that began by themselves for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub head_starts: Vec<HeadStartView>,
}

/// A head start as it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeadStartView {
    pub backup: String,
    pub standing: Standing,
    /// Why it was withheld, or failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The moment that its data is of: what was written since is lost by the cut-over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_as_of: Option<Time>,
    /// Milliseconds of data whose loss was accepted beforehand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpo_ms: Option<u64>,
    /// When it was restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Time>,
}

/// What an incident's clocks say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClockView {
    /// The next word to those who wait; after the resolution the message that says so, then the review.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<Due>,
    /// A draft of it that lies ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft: Option<DraftView>,
    /// When the next level is called, unless somebody acknowledges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_level: Option<NextLevel>,
    /// What came of calling each level, in the order of the incident's own list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reached: Vec<Reached>,
    /// What is said on the phone.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub say: String,
    /// Until when its review is due, and how far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review_due: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<crate::domain::review::ReviewState>,
    /// The downtime it is charged for, while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charged: Option<crate::domain::outage::Charged>,
}

/// A message that was prepared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DraftView {
    pub template: crate::domain::message::Template,
    pub subject: String,
    pub body: String,
    pub made_at: Time,
}

/// What comes on the ladder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NextLevel {
    pub at: Time,
    /// From 1, with its name; absent when nobody is left to call then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<(u32, String)>,
}

/// A contact, with what is needed to call it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContactView {
    pub name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub phone: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub vendor: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hours: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub notes: String,
}

/// Numbers and addresses come from the configuration: they do not stand in the record.
impl From<&crate::config::Contact> for ContactView {
    fn from(c: &crate::config::Contact) -> Self {
        ContactView {
            name: c.name.clone(),
            levels: c.levels.clone(),
            roles: c.roles.clone(),
            phone: c.phone.clone(),
            address: c.address.clone(),
            channels: c.channels.clone(),
            vendor: c.vendor,
            hours: c.hours.clone(),
            notes: c.notes.clone(),
        }
    }
}

/// A recovery, as shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecoveryView {
    #[serde(flatten)]
    pub recovery: Recovery,
    /// What it waits for, in words; empty when it is over.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub waits: String,
}

/// A playbook that can be started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlaybookFacts {
    pub name: String,
    pub title: String,
    pub steps: usize,
}

/// A playbook that was started, as shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlaybookView {
    #[serde(flatten)]
    pub play: Play,
    /// What it waits for, in words; empty when it is over.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub waits: String,
    /// What can be started for the step it is at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Offer>,
    /// Something of that step is under way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub busy: bool,
}

/// A run, as shown: the plan's outline and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    pub id: String,
    pub work: Work,
    pub title: String,
    pub target: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    pub risk: Risk,
    pub state: RunState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    pub requested_at: Time,
    pub requested_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Names of all phases, and the index of the one under way.
    pub phases: Vec<String>,
    pub phase: usize,
    /// Share done of the whole, 0 to 1000; absent when it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permille: Option<u16>,
    /// Milliseconds left, from bytes or from earlier runs; absent when it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_ms: Option<u64>,
    /// What it is doing, in its own words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doing: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    #[serde(default)]
    pub superseded: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    #[serde(default)]
    pub cancel_requested: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sides: Vec<Side>,
    #[serde(default)]
    pub unlogged: bool,
    /// It began by itself, for the incident.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub head_start: bool,
    /// The moment that the restored data is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_as_of: Option<Time>,
    /// Milliseconds of data whose loss was accepted beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_ms: Option<u64>,
}
