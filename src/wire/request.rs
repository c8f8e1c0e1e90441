//! Requests and replies.

use serde::{Deserialize, Serialize};

use super::view::Change;
use crate::domain::checklist::Checklist;
use crate::domain::command::{Command, Refusal};
use crate::domain::handoff::Section;
use crate::domain::message::Template;
use crate::domain::playbook::Playbook;
use crate::domain::recovery::RecoveryPlan;
use crate::domain::run::{Plan, Work};
use crate::domain::sift::{Layer, Sift};
use crate::domain::timeline::Row;
use crate::domain::{Access, Time};

/// The first line of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Protocols the client speaks, oldest and newest.
    pub protocol: (u32, u32),
    /// Its version, for messages.
    pub version: String,
    pub access: Access,
    /// `viewer`, `wall`, `command`.
    pub client: String,
    /// `SUDO_USER` and `SSH_CONNECTION` of the client: claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo_user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_connection: Option<String>,
}

/// The engine's first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Welcome {
    Welcome {
        protocol: u32,
        version: String,
        pid: u32,
        /// New with every start of the engine: revisions of another epoch mean nothing.
        epoch: String,
        access: Access,
        /// The user that the kernel says the client is.
        user: String,
        /// Which state directory it keeps, in the engine's own words: the same words, the same folder. Only for
        /// comparing; engines before it was there leave it empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        state: String,
    },
    /// The connection ends after this.
    No { reason: String, instead: String },
}

/// One request. `key` makes a repeat of the same command harmless.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub id: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// How the person asked: `key r`, `palette`, `command`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub via: String,
    pub ask: Ask,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// Change something; answered when it is on disk.
    Do(Command),
    /// Start a plan that was made by [`Ask::Plan`] on this engine.
    Start {
        plan: String,
        confirm: String,
        #[serde(default)]
        reason: String,
        #[serde(default)]
        unlogged: bool,
    },
    /// Make a plan: nothing happens.
    Plan(Work),
    /// Make the plan of a recovery, with those of all its steps: nothing happens.
    PlanRecovery { name: String },
    /// Start a recovery whose plan was made by [`Ask::PlanRecovery`] on this engine.
    Recover {
        plan: String,
        confirm: String,
        #[serde(default)]
        reason: String,
    },
    /// The same request (a start, a recovery, a message), for the step that a playbook is at.
    Step { playbook: String, ask: Box<Ask> },
    /// A configured playbook, with all its steps.
    Playbook { name: String },
    /// All checklists, configured and shipped.
    Checklists,
    /// From now on send changes.
    Follow,
    /// The whole picture once.
    Picture,
    /// Rows of the timeline.
    Timeline(TimelineQuery),
    /// Rows that fit, out of the whole record.
    Find(Find),
    /// A piece of what is to be kept as evidence, in hex; pieces come in their order. `size` is that of the whole.
    Upload { upload: String, offset: u64, size: u64, data: String },
    /// Keeps something in the incident's folder and puts it on record with its digest; answered when both are on disk.
    Evidence(EvidenceAsk),
    /// A piece of a run's output.
    Output { run: String, offset: u64, limit: u64 },
    /// All copies of a backup set.
    Copies { backup: String },
    /// Look again now: a service's checks, or a backup set.
    Refresh {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        backup: Option<String>,
    },
    /// A message made from a template, to be edited before it is sent.
    Draft {
        template: Template,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incident: Option<String>,
    },
    /// How an incident stands, for whoever takes over or joins. `None` means the open one.
    Capsule {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incident: Option<String>,
    },
    /// This connection runs a command in a person's own shell, whose start is on record: asked by one that comes back.
    ShellRuns { id: String },
    /// A piece of what such a command wrote, to be kept beside the record; the `first` one begins the file anew.
    ShellOutput {
        id: String,
        text: String,
        #[serde(default)]
        first: bool,
    },
    /// Destroy entries, or a text wherever it stands.
    Redact(RedactAsk),
    /// Facts of the engine itself.
    Status,
    /// Read the configuration again.
    Reload,
    /// End the engine; runs go on.
    Stop,
}

impl Ask {
    /// For the step that this playbook is at, where one is given.
    pub fn for_step(self, playbook: Option<String>) -> Ask {
        match playbook {
            Some(playbook) => Ask::Step { playbook, ask: Box::new(self) },
            None => self,
        }
    }
}

/// What is to be destroyed: entries by their numbers, or a text. Without `confirm` it is only looked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RedactAsk {
    pub entries: std::collections::BTreeSet<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Hush>,
    pub reason: String,
    /// What was typed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
}

/// A text that no log shows.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hush(pub String);

impl std::fmt::Debug for Hush {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hush(…)")
    }
}

/// What a redaction is about, or what it came to. Never the text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RedactionView {
    pub entries: Vec<RedactedRow>,
    /// Files of the state directory, and places in each.
    pub files: Vec<(String, u64)>,
    /// Other entries that hold the text of a named one.
    pub also: Vec<u64>,
    /// Where it stands and cannot be blanked.
    pub stuck: Vec<String>,
    /// Compressed files that nobody looked into.
    pub unread: Vec<String>,
    /// Files in which it was not destroyed, and why.
    pub failed: Vec<String>,
    /// Text of a named entry is too short to be looked for in other files than the timeline.
    pub short: bool,
    /// Where it may stand beyond the state directory.
    pub elsewhere: Vec<String>,
    /// What is typed for it.
    pub confirm: String,
    /// The entry that says it is done, and the places that were overwritten in files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished: Option<(u64, u64)>,
}

/// An entry of a redaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RedactedRow {
    pub seq: u64,
    pub at: Time,
    pub kind: String,
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// Nothing of its payload stays: what rests on it is lost to the fold.
    #[serde(default)]
    pub whole: bool,
}

/// Which rows of the timeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimelineQuery {
    /// Only this incident's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// Rows after this position (oldest first), or
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// rows before this position (the newest ones before it); neither gives the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// At the most this many; the engine caps it at 1,000.
    pub limit: usize,
}

/// Which rows of the record are wanted. The newest that fit are given, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Find {
    /// Only this incident's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// Only rows before this position.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Just these entries, whatever they are; the rest of the question counts for nothing then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<u64>,
    pub layer: Layer,
    pub only: Sift,
    /// With the entries' fields.
    pub whole: bool,
    /// At the most this many; the engine caps it at 1,000.
    pub limit: usize,
}

/// What is to be kept as evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceAsk {
    /// That of `about` by default, else the one that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// The entry that it speaks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<u64>,
    /// Its name by default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    pub source: EvidenceSource,
    /// What was uploaded; the session puts it here.
    #[serde(skip)]
    pub bytes: Handed,
}

/// Where evidence comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceSource {
    /// What was handed over by [`Ask::Upload`] on this connection, and how the file is called.
    Upload { upload: String, name: String },
    /// The output of a run: all that is kept of it, or these lines (from 1, both included).
    Output {
        run: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lines: Option<(u64, u64)>,
    },
}

/// Bytes on their way into an incident's folder.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Handed(pub std::sync::Arc<Vec<u8>>);

impl std::fmt::Debug for Handed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handed({} bytes)", self.0.len())
    }
}

/// The most that is kept of one piece of evidence, bytes.
pub const EVIDENCE_LIMIT: u64 = 64 << 20;

/// The answer to the request with the same id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    pub id: u64,
    pub answer: Answer,
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Done and on disk, at this journal position; `incident` or `run` names what it made.
    Done {
        seq: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incident: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recovery: Option<String>,
        /// False while nothing can be recorded: it took effect, but only in memory.
        recorded: bool,
    },
    /// Lines were taken in; the others were there already.
    Imported {
        incident: String,
        new: usize,
        known: usize,
        seq: u64,
        recorded: bool,
    },
    /// Not done.
    Refused(Refusal),
    /// Not done because the engine could not: what was attempted, why it failed, what to do.
    Failed {
        reason: String,
    },
    Plan {
        plan: Box<Plan>,
        digest: String,
    },
    /// The plan of a recovery.
    Recovery(Box<RecoveryPlan>),
    /// Confirmed and not started: it waits for a second person.
    Approval(Box<crate::domain::approval::Approval>),
    Playbook(Box<Playbook>),
    Checklists(Vec<Checklist>),
    Picture(Box<Change>),
    Timeline {
        rows: Vec<Row>,
        /** Position of the newest entry. */
        head: u64,
    },
    /// Rows that fit. Whatever lies from `reached` up to where was asked was looked at; 1 is the record's beginning.
    Found {
        rows: Vec<Row>,
        /// Position of the newest entry.
        head: u64,
        reached: u64,
    },
    Output(OutputChunk),
    Copies {
        copies: Vec<crate::domain::backup::Copy>,
    },
    Draft {
        subject: String,
        body: String,
        channels: Vec<String>,
    },
    Capsule {
        incident: String,
        at: Time,
        sections: Vec<Section>,
    },
    Redaction(Box<RedactionView>),
    Status(Box<EngineStatus>),
    /// The piece is kept: the file in the state directory, its bytes, and its SHA-256.
    Kept {
        file: String,
        size: u64,
        digest: String,
    },
    Ok,
}

/// A piece of a run's captured output, cleaned and masked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutputChunk {
    pub text: String,
    /// Byte position of `text` in the file, and of its end.
    pub offset: u64,
    pub next: u64,
    /// Bytes in the file now.
    pub total: u64,
    /// Bytes that were cut from the middle because of the limit.
    #[serde(default)]
    pub cut: u64,
    /// The run is over: nothing more will come.
    pub over: bool,
}

/// What `mayday engine status` prints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineStatus {
    pub pid: u32,
    pub version: String,
    pub started_at: Time,
    pub state_dir: String,
    pub config: String,
    pub viewers: usize,
    pub checks: usize,
    pub seq: u64,
    /// Full hash of the journal's last entry.
    pub head: String,
    pub recording: super::view::Recording,
}

/// One line from the engine after the welcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromEngine {
    Reply(Reply),
    Change(Box<Change>),
}
