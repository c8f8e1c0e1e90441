//! What can be asked of the engine: by a key, a command line, a script, all the same way.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::actor::Actor;
use super::catalog::Severity;
use super::checklist::Checklist;
use super::event::EvidenceAdded;
use super::followup::FollowupAsk;
use super::hypothesis::{Basis, Stance};
use super::incident::Status;
use super::message::Template;
use super::playbook::{self, Playbook};
use super::recovery::RecoveryPlan;
use super::run::Plan;
use super::shell::ShellAsk;
use super::time::Time;
use super::timeline::Row;

/// A request to change something. `incident: None` means the one open incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "command")]
pub enum Command {
    Declare {
        title: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        severity: Option<Severity>,
        #[serde(default)]
        services: BTreeSet<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        onset: Option<Time>,
    },
    Acknowledge {
        #[serde(default)]
        incident: Option<String>,
    },
    SetSeverity {
        #[serde(default)]
        incident: Option<String>,
        severity: Severity,
        #[serde(default)]
        reason: String,
    },
    /// Includes resolving; `force` needs a reason.
    SetStatus {
        #[serde(default)]
        incident: Option<String>,
        status: Status,
        #[serde(default)]
        reason: String,
        #[serde(default)]
        force: bool,
    },
    Assign {
        #[serde(default)]
        incident: Option<String>,
        role: String,
        user: String,
    },
    SetServices {
        #[serde(default)]
        incident: Option<String>,
        #[serde(default)]
        add: BTreeSet<String>,
        #[serde(default)]
        remove: BTreeSet<String>,
    },
    Retitle {
        #[serde(default)]
        incident: Option<String>,
        title: String,
    },
    Reopen {
        #[serde(default)]
        incident: Option<String>,
        reason: String,
    },
    /// Closes an incident that was none; `force` against services that are down.
    FalseAlarm {
        #[serde(default)]
        incident: Option<String>,
        reason: String,
        #[serde(default)]
        force: bool,
    },
    /// Closes `incident`; what it was about goes on in `into`.
    Merge {
        incident: String,
        into: String,
        reason: String,
    },
    /// Says when the trouble began.
    SetOnset {
        #[serde(default)]
        incident: Option<String>,
        onset: Time,
        reason: String,
    },
    /// Puts the next update off until `until`.
    Snooze {
        #[serde(default)]
        incident: Option<String>,
        until: Time,
        reason: String,
    },
    /// A contact was called by phone.
    ContactCalled {
        #[serde(default)]
        incident: Option<String>,
        contact: String,
        answered: bool,
        #[serde(default)]
        note: String,
    },
    Note {
        #[serde(default)]
        incident: Option<String>,
        text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        happened_at: Option<Time>,
    },
    /// Takes lines of another record in; those that are there already are passed over.
    Import {
        #[serde(default)]
        incident: Option<String>,
        lines: Vec<super::backfill::Decided>,
        format: super::backfill::Format,
        #[serde(default)]
        source: String,
    },
    /// Says something of an entry that is on record. `of` is what the engine has there, as it was recorded and with its
    /// fields; nobody else says what is in it.
    Amend {
        /// The entry, or those to pin, to hide or to join.
        entries: BTreeSet<u64>,
        #[serde(flatten)]
        how: Amend,
        #[serde(default)]
        reason: String,
        #[serde(skip)]
        of: Vec<Row>,
    },
    /// Puts evidence on record. `kept` is what the engine has in the incident's folder by then; nobody else says what it
    /// is.
    Evidence {
        #[serde(default)]
        incident: Option<String>,
        title: String,
        #[serde(skip)]
        kept: Option<Box<EvidenceAdded>>,
    },
    /// A command that a person runs in a shell of their own.
    Shell {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incident: Option<String>,
        #[serde(flatten)]
        ask: Box<ShellAsk>,
    },
    /// Opens a follow-up, changes it, closes it.
    Followup(FollowupAsk),
    /// Who writes the review, how far it is, when it is talked over. `incident: None` means the last one.
    Review {
        #[serde(default)]
        incident: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        meeting: Option<Time>,
        #[serde(default)]
        reason: String,
    },
    /// Opens a hypothesis, adds evidence to one, or closes it.
    Hypothesis {
        #[serde(default)]
        incident: Option<String>,
        #[serde(flatten)]
        ask: HypothesisAsk,
    },
    /// Offers the lead of an incident, with a capsule of how it stands. `to: None` means whoever takes it.
    HandOver {
        #[serde(default)]
        incident: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        #[serde(default)]
        remark: String,
    },
    /// Takes the lead that is offered.
    TakeOver {
        #[serde(default)]
        incident: Option<String>,
    },
    /// Takes an offer back.
    KeepLead {
        #[serde(default)]
        incident: Option<String>,
        #[serde(default)]
        reason: String,
    },
    /// A step on the way to an action, so that the record shows what a person meant to do.
    Step {
        what: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<String>,
    },
    /// Starts a plan that the engine made before. `confirm` is what the person typed (`y`, or the target's name).
    Run {
        plan: Box<Plan>,
        confirm: String,
        #[serde(default)]
        reason: String,
        /// The typed word `unlogged`, needed while nothing can be recorded.
        #[serde(default)]
        unlogged: bool,
    },
    Cancel {
        run: String,
        #[serde(default)]
        reason: String,
    },
    Send {
        #[serde(default)]
        incident: Option<String>,
        template: Template,
        subject: String,
        body: String,
        channels: Vec<String>,
    },
    Pause {
        service: String,
        until: Time,
        reason: String,
    },
    Resume {
        service: String,
        #[serde(default)]
        reason: String,
    },
    /// Starts a recovery whose plan the engine made before; confirmed as a run is.
    Recover {
        plan: Box<RecoveryPlan>,
        confirm: String,
        #[serde(default)]
        reason: String,
    },
    /// Starts a playbook. `text` is what the engine has configured under that name; nobody else says what is in it.
    PlaybookStart {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incident: Option<String>,
        #[serde(default)]
        reason: String,
        #[serde(skip)]
        text: Option<Box<Playbook>>,
    },
    /// Answers a playbook. `playbook: None` means the one that is under way.
    Playbook {
        #[serde(default)]
        playbook: Option<String>,
        #[serde(flatten)]
        answer: playbook::Answer,
        #[serde(default)]
        reason: String,
    },
    /// Ticks an item of a checklist, or takes the tick back. `text` is what the engine has configured.
    Tick {
        checklist: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incident: Option<String>,
        /// Its number, from 1, or its text.
        item: String,
        ticked: bool,
        #[serde(default)]
        note: String,
        #[serde(skip)]
        text: Option<Box<Checklist>>,
    },
    /// Answers a recovery. `recovery: None` means the one that is open.
    Answer {
        #[serde(default)]
        recovery: Option<String>,
        #[serde(flatten)]
        answer: RecoveryAnswer,
        #[serde(default)]
        reason: String,
    },
    /// Nothing of `services` is restarted or restored until they are released; none named means everything.
    Hold {
        #[serde(default)]
        services: BTreeSet<String>,
        reason: String,
    },
    /// Ends holds; none named means all of them.
    Release {
        #[serde(default)]
        services: BTreeSet<String>,
        #[serde(default)]
        reason: String,
    },
    /// Puts a tag on a service. With `over` it is taken from whoever has it.
    Tag {
        service: String,
        reason: String,
        #[serde(default)]
        over: bool,
    },
    /// Takes a tag off; another's only with a reason.
    Untag {
        service: String,
        #[serde(default)]
        reason: String,
    },
    /// A second person says yes to what has this digest.
    Approve {
        approval: String,
        digest: String,
    },
    /// No; or, from whoever asked, never mind.
    Decline {
        approval: String,
        #[serde(default)]
        reason: String,
    },
    /// Whoever asked starts it without a second person.
    BreakGlass {
        approval: String,
        reason: String,
    },
}

/// What is said of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "amend")]
pub enum Amend {
    /// A note reads so.
    Correct {
        text: String,
    },
    /// It happened then.
    Retime {
        happened_at: Time,
    },
    Pin {
        pinned: bool,
    },
    Hide {
        hidden: bool,
    },
    /// They stand under this title; an empty one takes them apart.
    Join {
        title: String,
    },
}

impl Amend {
    pub const fn word(&self) -> &'static str {
        match self {
            Amend::Correct { .. } => "correct",
            Amend::Retime { .. } => "retime",
            Amend::Pin { pinned: true } => "pin",
            Amend::Pin { .. } => "unpin",
            Amend::Hide { hidden: true } => "hide",
            Amend::Hide { .. } => "show again",
            Amend::Join { .. } => "join",
        }
    }
}

/// What is asked of hypotheses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ask")]
pub enum HypothesisAsk {
    Open { text: String },
    Evidence { hypothesis: String, stance: Stance, basis: Basis, text: String },
    Confirm { hypothesis: String, reason: String },
    Eliminate { hypothesis: String, reason: String },
    Reopen { hypothesis: String, reason: String },
}

/// What a person says to a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum RecoveryAnswer {
    /// Try the step again, or wait on. `digest` and `confirm` are given for a step whose plan has changed: of what was
    /// shown, and what was typed.
    Resume {
        #[serde(default)]
        digest: String,
        #[serde(default)]
        confirm: String,
    },
    /// Pass the step over; needs a reason.
    Skip,
    /// End the recovery; what is under way goes on.
    Stop,
    /// The step that a person does is done, or the effect was seen.
    Done,
    /// It is not.
    Failed,
}

impl RecoveryAnswer {
    pub const fn word(&self) -> &'static str {
        match self {
            RecoveryAnswer::Resume { .. } => "resume",
            RecoveryAnswer::Skip => "skip",
            RecoveryAnswer::Stop => "stop",
            RecoveryAnswer::Done => "done",
            RecoveryAnswer::Failed => "failed",
        }
    }
}

impl Command {
    /// The words for refusals and logs.
    pub fn title(&self) -> String {
        match self {
            Command::Declare { title, .. } => format!("declare \"{title}\""),
            Command::Acknowledge { .. } => "acknowledge".into(),
            Command::SetSeverity { severity, .. } => format!("set severity {severity}"),
            Command::SetStatus { status: Status::Resolved, .. } => "resolve".into(),
            Command::SetStatus { status, .. } => format!("set status {}", status.word()),
            Command::Assign { role, user, .. } => format!("assign {role} to {user}"),
            Command::SetServices { .. } => "change the affected services".into(),
            Command::Retitle { .. } => "change the title".into(),
            Command::Reopen { .. } => "reopen".into(),
            Command::FalseAlarm { .. } => "close as a false alarm".into(),
            Command::Merge { incident, into, .. } => format!("merge {incident} into {into}"),
            Command::SetOnset { .. } => "set the onset".into(),
            Command::Snooze { .. } => "snooze the next update".into(),
            Command::ContactCalled { contact, .. } => format!("log a call to {contact}"),
            Command::Note { .. } => "note".into(),
            Command::Import { lines, .. } => format!("import {}", crate::text::plural(lines.len(), "line")),
            Command::Amend { entries, how, .. } => {
                let list: Vec<String> = entries.iter().map(u64::to_string).collect();
                format!("{} entry {}", how.word(), list.join(", "))
            }
            Command::Evidence { title, .. } => format!("add evidence \"{title}\""),
            Command::Hypothesis { ask, .. } => match ask {
                HypothesisAsk::Open { .. } => "open a hypothesis".into(),
                HypothesisAsk::Evidence { hypothesis, .. } => format!("add evidence to {hypothesis}"),
                HypothesisAsk::Confirm { hypothesis, .. } => format!("confirm {hypothesis}"),
                HypothesisAsk::Eliminate { hypothesis, .. } => format!("eliminate {hypothesis}"),
                HypothesisAsk::Reopen { hypothesis, .. } => format!("open {hypothesis} again"),
            },
            Command::Followup(ask) => ask.title(),
            Command::Review { .. } => "change the review".into(),
            Command::Shell { ask, .. } => format!("run {}", ask.line()),
            Command::HandOver { .. } => "hand over".into(),
            Command::TakeOver { .. } => "take over".into(),
            Command::KeepLead { .. } => "take the handoff back".into(),
            Command::Step { what, .. } => what.clone(),
            Command::Run { plan, .. } => plan.title.clone(),
            Command::Cancel { run, .. } => format!("cancel run {run}"),
            Command::Send { template, .. } => format!("send {}", template.word()),
            Command::Pause { service, .. } => format!("pause {service}"),
            Command::Resume { service, .. } => format!("resume {service}"),
            Command::Recover { plan, .. } => format!("recover {}", plan.name),
            Command::Answer { answer, .. } => format!("recovery: {}", answer.word()),
            Command::PlaybookStart { name, .. } => format!("start playbook {name}"),
            Command::Playbook { answer, .. } => format!("playbook: {}", answer.word()),
            Command::Tick { checklist, ticked: true, .. } => format!("tick {checklist}"),
            Command::Tick { checklist, .. } => format!("untick {checklist}"),
            Command::Hold { services, .. } => format!("hold {}", named(services)),
            Command::Release { services, .. } => format!("release {}", named(services)),
            Command::Tag { service, .. } => format!("tag {service}"),
            Command::Untag { service, .. } => format!("untag {service}"),
            Command::Approve { approval, .. } => format!("approve {approval}"),
            Command::Decline { approval, .. } => format!("decline {approval}"),
            Command::BreakGlass { approval, .. } => format!("break the glass for {approval}"),
        }
    }

    /// What a person wrote freely, as far as the command holds it: a secret can stand in any of it.
    pub fn words_mut(&mut self) -> Vec<&mut String> {
        match self {
            Command::Playbook { answer: playbook::Answer::Evidence { text, file, .. }, reason, .. } => {
                vec![text, file, reason]
            }
            Command::PlaybookStart { reason, .. } | Command::Playbook { reason, .. } => vec![reason],
            Command::Tick { note, .. } => vec![note],
            Command::Declare { title, .. } | Command::Retitle { title, .. } => vec![title],
            Command::SetSeverity { reason, .. }
            | Command::SetStatus { reason, .. }
            | Command::Reopen { reason, .. }
            | Command::FalseAlarm { reason, .. }
            | Command::Merge { reason, .. }
            | Command::SetOnset { reason, .. }
            | Command::Snooze { reason, .. }
            | Command::Run { reason, .. }
            | Command::Cancel { reason, .. }
            | Command::Pause { reason, .. }
            | Command::Resume { reason, .. }
            | Command::Recover { reason, .. }
            | Command::Answer { reason, .. }
            | Command::Hold { reason, .. }
            | Command::Release { reason, .. }
            | Command::Tag { reason, .. }
            | Command::Untag { reason, .. }
            | Command::Decline { reason, .. }
            | Command::BreakGlass { reason, .. } => vec![reason],
            Command::Note { text, .. } | Command::ContactCalled { note: text, .. } => vec![text],
            Command::Import { lines, source, .. } => {
                let words = lines.iter_mut().flat_map(|l| [&mut l.author, &mut l.text]);
                words.chain([source]).collect()
            }
            Command::Amend { how: Amend::Correct { text } | Amend::Join { title: text }, reason, .. } => {
                vec![text, reason]
            }
            Command::Amend { reason, .. } => vec![reason],
            Command::Evidence { title, kept, .. } => {
                std::iter::once(title).chain(kept.iter_mut().map(|k| &mut k.excerpt)).collect()
            }
            Command::Hypothesis { ask, .. } => match ask {
                HypothesisAsk::Open { text } | HypothesisAsk::Evidence { text, .. } => vec![text],
                HypothesisAsk::Confirm { reason, .. }
                | HypothesisAsk::Eliminate { reason, .. }
                | HypothesisAsk::Reopen { reason, .. } => vec![reason],
            },
            Command::Followup(ask) => ask.words_mut(),
            Command::Review { owner, reason, .. } => owner.iter_mut().chain([reason]).collect(),
            Command::Shell { ask, .. } => ask.words_mut(),
            Command::HandOver { remark, .. } => vec![remark],
            Command::KeepLead { reason, .. } => vec![reason],
            Command::Step { what, about } => std::iter::once(what).chain(about).collect(),
            Command::Send { subject, body, .. } => vec![subject, body],
            Command::Acknowledge { .. }
            | Command::Assign { .. }
            | Command::SetServices { .. }
            | Command::TakeOver { .. }
            | Command::Approve { .. } => Vec::new(),
        }
    }
}

fn named(services: &BTreeSet<String>) -> String {
    if services.is_empty() {
        return "everything".into();
    }
    services.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Who asks, and when.
#[derive(Clone, Debug)]
pub struct Context {
    pub now: Time,
    /// Boot clock, milliseconds, and the boot it belongs to.
    pub boot_ms: u64,
    pub boot: String,
    pub actor: Actor,
    /// A fresh unique id, for what the command makes and the outside must recognise when it is repeated.
    pub fresh: String,
}

/// Why not, in words a person can act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What stands against it.
    pub reason: String,
    /// What would allow it, or what to do instead; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instead: String,
    /// The request itself makes no sense (wrong usage) rather than being forbidden now.
    #[serde(default)]
    pub usage: bool,
}

impl Refusal {
    pub fn new(reason: impl Into<String>, instead: impl Into<String>) -> Self {
        Refusal { reason: reason.into(), instead: instead.into(), usage: false }
    }

    pub fn usage(reason: impl Into<String>, instead: impl Into<String>) -> Self {
        Refusal { reason: reason.into(), instead: instead.into(), usage: true }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)?;
        if !self.instead.is_empty() {
            write!(f, ": {}", self.instead)?;
        }
        Ok(())
    }
}
