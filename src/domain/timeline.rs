//! The timeline's rows: one plain sentence per entry, the same in the cockpit, in timeline.md and in exports.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::{Entry, Event};
use super::health::Health;
use super::message::Delivery;
use super::run::{RunState, Verdict};
use super::time::Time;
use crate::text;

/// How much an entry weighs for somebody who reads the story.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Only for the record.
    Detail,
    /// Part of the story.
    #[default]
    Info,
    /// Something got better.
    Good,
    /// Something is doubtful.
    Warn,
    /// Something got worse.
    Bad,
}

/// One row of a timeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub seq: u64,
    /// When it was recorded.
    pub at: Time,
    /// When it happened, where that differs from `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub happened_at: Option<Time>,
    /// Login name, or `engine`.
    pub actor: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub via: String,
    pub kind: String,
    /// One line, cleaned.
    pub text: String,
    pub level: Level,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Stands out, because a person said so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// Left out of the timeline for people, because a person said so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// The heading it stands under, with others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What people did to it since, oldest first: see [`super::curation`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amended: Vec<Amendment>,
    /// How it was recorded, where it reads otherwise by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Box<Original>>,
    /// The entries that it says something of: a correction, evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<u64>,
    /// Entries with evidence for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<u64>,
    /// The entry's fields as they are stored; only where they were asked for, because they can be long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Box<serde_json::Value>>,
}

/// A row's text and time as they were recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Original {
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub happened_at: Option<Time>,
}

/// One correction of a row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Amendment {
    /// The entry that says so.
    pub seq: u64,
    pub at: Time,
    pub by: String,
    /// `corrected`, `retimed`, `pinned`, `unpinned`, `hidden`, `shown again`, `joined`, `taken from its title`.
    pub what: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The text of a correction, whole; the title of a joining.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The time that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub happened_at: Option<Time>,
}

impl Row {
    /// Written by a person, here or elsewhere.
    pub fn is_note(&self) -> bool {
        matches!(self.kind.as_str(), "note.added" | "note.imported")
    }

    /// It only says something of another entry.
    pub fn is_correction(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "note.corrected"
                | "entry.retimed"
                | "entry.pinned"
                | "entry.hidden"
                | "entry.joined"
                | "entry.redacted"
                | "entry.left"
                | "redaction.finished"
        )
    }

    /// When it happened, as far as is known.
    pub fn happened(&self) -> Time {
        self.happened_at.unwrap_or(self.at)
    }

    /// When it was recorded, where that is told apart from when it happened: by a second at the least.
    pub fn recorded(&self) -> Option<Time> {
        self.happened_at.filter(|at| at.ms().div_euclid(1000) != self.at.ms().div_euclid(1000)).map(|_| self.at)
    }

    /// What a person wrote, whole and with its lines, as it reads now; `None` for what nobody wrote, and where the fields
    /// were not asked for.
    pub fn written(&self) -> Option<&str> {
        let corrected = self.amended.iter().rev().find(|a| a.what == super::curation::CORRECTED);
        match corrected.and_then(|a| a.text.as_deref()) {
            Some(text) => Some(text),
            None => self.fields.as_ref()?.get("text")?.as_str().filter(|_| self.is_note()),
        }
    }

    /// The row as it was recorded: another wording and another time taken back, what was done to it still told.
    pub fn as_recorded(&self) -> Row {
        let mut row = Row { original: None, ..self.clone() };
        if let Some(original) = self.original.as_deref() {
            row.text.clone_from(&original.text);
            row.happened_at = original.happened_at;
        }
        row
    }

    /// `corrected by bob`, for whoever reads a row that does not read as it was recorded; empty for all others.
    pub fn mark(&self) -> String {
        let last = |what: &[&str]| self.amended.iter().rev().find(|a| what.contains(&a.what.as_str()));
        let Some(original) = &self.original else { return String::new() };
        let mut said = Vec::new();
        if original.text != self.text
            && let Some(a) = last(&[super::curation::CORRECTED])
        {
            said.push(format!("corrected by {}", a.by));
        }
        if original.happened_at != self.happened_at
            && let Some(a) = last(&[super::curation::RETIMED])
        {
            said.push(format!("retimed by {}", a.by));
        }
        said.join(", ")
    }

    /// The same for whoever reads the raw record, with the entries that say so: `corrected by bob (71), hidden by ann (74)`.
    pub fn marks(&self) -> String {
        let said: Vec<String> = self.amended.iter().map(|a| format!("{} by {} ({})", a.what, a.by, a.seq)).collect();
        said.join(", ")
    }

    /// Part of the timeline for people: pinned, or more than a detail and neither hidden nor a correction of another row.
    pub fn is_told(&self) -> bool {
        !self.hidden && (self.pinned || (self.level > Level::Detail && !self.is_correction()))
    }
}

/// What is shown of rows, in its order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Told<'a> {
    /// The title that the next `rows` rows stand under.
    Heading {
        title: &'a str,
        rows: usize,
    },
    Row(&'a Row),
}

/// Rows with the headings of joined ones: those of one title (and incident) stand together where the first of them is. Of
/// the raw record nothing is moved.
pub fn grouped<'a>(rows: &[&'a Row], raw: bool) -> Vec<Told<'a>> {
    let title = |row: &'a Row| row.title.as_deref().filter(|_| !raw).map(|title| (row.incident.as_deref(), title));
    let mut members: BTreeMap<(Option<&str>, &str), Vec<&'a Row>> = BTreeMap::new();
    for row in rows {
        if let Some(key) = title(row) {
            members.entry(key).or_default().push(row);
        }
    }
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(key) = title(row) else {
            out.push(Told::Row(row));
            continue;
        };
        // At the first of them all are told.
        if let Some(all) = members.remove(&key) {
            out.push(Told::Heading { title: key.1, rows: all.len() });
            out.extend(all.into_iter().map(Told::Row));
        }
    }
    out
}

/// The row of `entry`.
pub fn row(entry: &Entry) -> Row {
    let (level, sentence) = sentence(&entry.event);
    let happened = entry.happened_at();
    Row {
        seq: entry.seq,
        at: entry.at,
        happened_at: (happened != entry.at).then_some(happened),
        actor: entry.actor.user.clone(),
        via: entry.actor.via.clone(),
        kind: entry.event.kind().to_owned(),
        text: text::clean(&sentence).into_owned(),
        level,
        incident: entry.incident.clone(),
        service: service_of(&entry.event),
        run: run_of(&entry.event).map(str::to_owned),
        pinned: false,
        hidden: false,
        title: None,
        amended: Vec::new(),
        original: None,
        about: about(&entry.event),
        evidence: Vec::new(),
        fields: None,
    }
}

/// The row of `entry` with the entry's fields.
pub fn whole_row(entry: &Entry) -> Row {
    Row { fields: Some(Box::new(entry.event.payload())), ..row(entry) }
}

/// The entry's sentence, not cut for a screen.
pub fn whole_sentence(entry: &Entry) -> String {
    sentence(&entry.event).1
}

/// The entries that an entry says something of.
fn about(event: &Event) -> Vec<u64> {
    match event {
        Event::NoteCorrected(e) => vec![e.entry],
        Event::EntryRetimed(e) => vec![e.entry],
        Event::EntryPinned(e) => vec![e.entry],
        Event::EntryHidden(e) => vec![e.entry],
        Event::EntriesJoined(e) => e.entries.iter().copied().collect(),
        Event::EntryRedacted(e) => vec![e.seq],
        Event::EvidenceAdded(e) => e.about.into_iter().collect(),
        _ => Vec::new(),
    }
}

fn service_of(event: &Event) -> Option<String> {
    match event {
        Event::HealthChanged(e) => Some(e.service.clone()),
        Event::HealthBecause(e) => Some(e.service.clone()),
        Event::ServicePaused(e) => Some(e.service.clone()),
        Event::ServiceResumed(e) => Some(e.service.clone()),
        Event::ServiceTagged(e) => Some(e.service.clone()),
        Event::ServiceUntagged(e) => Some(e.service.clone()),
        Event::RunRequested(e) => e.plan.service.clone(),
        _ => None,
    }
}

/// The run that an entry is about.
pub fn run_of(event: &Event) -> Option<&str> {
    match event {
        Event::RunRequested(e) => Some(&e.plan.id),
        Event::ApprovalRequested(e) => e.plan.as_ref().map(|p| p.id.as_str()),
        Event::RunClaimed(e) => Some(&e.run),
        Event::RunStarted(e) => Some(&e.run),
        Event::RunPhase(e) => Some(&e.run),
        Event::RunCancelRequested(e) => Some(&e.run),
        Event::RunSide(e) => Some(&e.run),
        Event::RunFinished(e) => Some(&e.run),
        _ => None,
    }
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

fn list(items: &std::collections::BTreeSet<String>) -> String {
    items.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The first digits of a digest.
fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

fn all_or(items: &std::collections::BTreeSet<String>) -> String {
    if items.is_empty() { "everything".into() } else { list(items) }
}

fn sentence(event: &Event) -> (Level, String) {
    use Level::{Bad, Detail, Good, Info, Warn};
    match event {
        Event::EngineStarted(e) if e.clean => (Detail, format!("engine {} started", e.version)),
        Event::EngineStarted(e) => {
            (Warn, format!("engine {} started; the one before had ended without goodbye", e.version))
        }
        Event::EngineStopped(e) => (Detail, format!("engine stopped{}", because(&e.reason))),
        Event::ClockStepped(e) => (Warn, format!("the clock was moved by {} s", e.by_ms as f64 / 1000.0)),
        Event::HostSuspended(e) => {
            (Warn, format!("the host was suspended for {}", text::duration(std::time::Duration::from_millis(e.for_ms))))
        }
        Event::JournalHealed(e) => {
            (Warn, format!("a torn last line of {} bytes was moved aside to {}", e.bytes, e.moved_to))
        }
        Event::JournalGap(e) => (
            Bad,
            format!(
                "nothing could be recorded from {} to {}: {}; {} entries were kept in memory, {} are lost",
                e.since, e.until, e.why, e.kept, e.lost
            ),
        ),
        Event::JournalDamaged(e) => (Bad, format!("the journal is damaged: {} line {}: {}", e.part, e.line, e.why)),
        Event::ConfigLoaded(e) => (
            Detail,
            format!("configuration {} in force: {}", e.source, text::plural(e.catalog.services.len(), "service")),
        ),
        Event::ConfigRejected(e) => (
            Warn,
            format!(
                "configuration {} refused ({}); the one before stays in force{}",
                e.source,
                text::plural(e.faults.len(), "fault"),
                e.faults.first().map(|f| format!(": {f}")).unwrap_or_default()
            ),
        ),
        Event::HealthChanged(e) => {
            let level = match e.to {
                Health::Down => Bad,
                Health::Degraded | Health::Unknown => Warn,
                Health::Up if e.from == Health::Unknown => Detail,
                Health::Up => Good,
                Health::Paused => Info,
            };
            let cause = e.because.as_ref().map(|b| format!(" because of {b}")).unwrap_or_default();
            (level, format!("{} {} → {}{cause}{}", e.service, e.from.word(), e.to.word(), because(&e.detail)))
        }
        Event::HealthBecause(e) => match &e.because {
            Some(cause) => (Info, format!("{} is down because of {cause}", e.service)),
            None => (Detail, format!("{} is still down; what it depends on is not", e.service)),
        },
        Event::ServicePaused(e) => (Info, format!("paused {} until {}{}", e.service, e.until, because(&e.reason))),
        Event::ServiceResumed(e) => (Info, format!("resumed {}{}", e.service, because(&e.reason))),
        Event::ServiceHeld(e) => (
            Warn,
            format!("HELD {}: nothing of it is restarted or restored{}", all_or(&e.services), because(&e.reason)),
        ),
        Event::ServiceReleased(e) => (Info, format!("released {}{}", all_or(&e.services), because(&e.reason))),
        Event::ServiceTagged(e) => match &e.from {
            Some(from) => (Warn, format!("took the tag on {} over from {from}{}", e.service, because(&e.reason))),
            None => (Info, format!("tagged {}{}", e.service, because(&e.reason))),
        },
        Event::ServiceUntagged(e) => match &e.from {
            Some(from) => (Warn, format!("took {from}'s tag off {}{}", e.service, because(&e.reason))),
            None => (Info, format!("took the tag off {}{}", e.service, because(&e.reason))),
        },
        Event::MaintenanceBegan(e) => {
            let of = if e.services.is_empty() { "every service".into() } else { e.services.join(", ") };
            (Info, format!("maintenance {} of {of} began, until {}", e.window, e.until))
        }
        Event::MaintenanceEnded(e) => (Info, format!("maintenance {} ended", e.window)),
        Event::BackupChanged(e) => {
            use super::backup::BackupState as B;
            let level = match e.to {
                B::Missing | B::Stale => Bad,
                B::Suspect | B::Unknown => Warn,
                B::Fresh if e.from == B::Unknown => Detail,
                B::Fresh => Good,
            };
            (level, format!("backup {} {} → {}{}", e.backup, e.from.word(), e.to.word(), because(&e.detail)))
        }
        Event::BackupArrived(e) => {
            (Detail, format!("backup {} has a new copy {} ({})", e.backup, e.copy.id, e.copy.size_said()))
        }
        Event::IncidentDeclared(e) => {
            let on = if e.services.is_empty() { String::new() } else { format!(" affecting {}", list(&e.services)) };
            (Bad, format!("declared {} \"{}\"{on}", e.severity, e.title))
        }
        Event::IncidentOnset(e) => (Info, format!("onset {}{}", e.onset, because(&e.why))),
        Event::IncidentAcknowledged(_) => (Info, "acknowledged".into()),
        Event::IncidentSeverity(e) => {
            let level = if e.to < e.from { Bad } else { Info };
            (level, format!("severity {} → {}{}", e.from, e.to, because(&e.reason)))
        }
        Event::IncidentStatus(e) => {
            let forced = if e.forced { " FORCED" } else { "" };
            let level = match (e.to, e.forced) {
                (_, true) => Warn,
                (super::incident::Status::Resolved, _) => Good,
                _ => Info,
            };
            (level, format!("status {} → {}{forced}{}", e.from.word(), e.to.word(), because(&e.reason)))
        }
        Event::IncidentAssigned(e) => (Info, format!("{} is {}", e.role, e.user)),
        Event::IncidentServices(e) => {
            let mut parts = Vec::new();
            if !e.added.is_empty() {
                parts.push(format!("affected as well: {}", list(&e.added)));
            }
            if !e.removed.is_empty() {
                parts.push(format!("no longer affected: {}", list(&e.removed)));
            }
            (Info, parts.join("; "))
        }
        Event::IncidentTitled(e) => (Info, format!("title \"{}\"", e.title)),
        Event::IncidentReopened(e) => (Bad, format!("reopened{}", because(&e.reason))),
        Event::IncidentFalseAlarm(e) => (Info, format!("false alarm{}", because(&e.reason))),
        Event::IncidentMerged(e) => (Info, format!("merged into {}{}", e.into, because(&e.reason))),
        Event::IncidentAbsorbed(e) => {
            (Info, format!("{} \"{}\" was merged into this one{}", e.incident, e.title, because(&e.reason)))
        }
        Event::UpdateSnoozed(e) => {
            (Warn, format!("update due {}Z snoozed until {}Z{}", e.due.hms(), e.until.hms(), because(&e.reason)))
        }
        Event::IncidentEscalated(e) => {
            let via = match (e.channels.is_empty(), e.contacts.is_empty()) {
                (false, _) => format!("via {}", e.channels.join(", ")),
                (true, false) => format!("by no channel: call {}", e.contacts.join(", ")),
                (true, true) => "but nobody stands for it".into(),
            };
            let level = if e.level > 1 { Bad } else { Info };
            (level, format!("escalation level {}: {}, {via}{}", e.level, e.name, because(&e.why)))
        }
        Event::IncidentUnanswered(e) => {
            (Bad, format!("NOBODY IS LEFT TO CALL and nobody acknowledged{}", because(&e.why)))
        }
        Event::ContactCalled(e) => match e.answered {
            true => (Good, format!("called {}, who answered{}", e.contact, because(&e.note))),
            false => (Warn, format!("called {}: no answer{}", e.contact, because(&e.note))),
        },
        Event::IncidentSealed(e) => (Detail, format!("{} samples sealed into {}", e.samples, e.file)),
        Event::HypothesisOpened(_)
        | Event::HypothesisEvidence(_)
        | Event::HypothesisClosed(_)
        | Event::HypothesisReopened(_) => (Info, super::hypothesis::sentence(event).unwrap_or_default()),
        Event::HandoffOffered(_) | Event::HandoffTaken(_) | Event::HandoffWithdrawn(_) => {
            (Info, super::handoff::sentence(event).unwrap_or_default())
        }
        Event::NoteAdded(e) => (Info, e.text.clone()),
        Event::NoteImported(e) => {
            let author = if e.author.is_empty() { String::new() } else { format!("{}: ", e.author) };
            (Info, format!("{author}{}", e.text))
        }
        Event::NoteCorrected(_)
        | Event::EntryRetimed(_)
        | Event::EntryPinned(_)
        | Event::EntryHidden(_)
        | Event::EntriesJoined(_) => (Info, super::curation::sentence(event).unwrap_or_default()),
        Event::EvidenceAdded(e) => {
            let about = e.about.map(|seq| format!(" for entry {seq}")).unwrap_or_default();
            let size = text::size(e.size);
            let masked = if e.masked { ", secrets masked" } else { "" };
            (Info, format!("evidence{about}: {} ({}, {size}, sha256 {}{masked})", e.title, e.what, short(&e.digest)))
        }
        Event::ShellStarted(e) => (Detail, format!("runs in a shell: {}", super::shell::said(&e.title, &e.command))),
        Event::ShellFinished(e) => {
            let took = text::duration(std::time::Duration::from_millis(e.ms));
            let (level, end) = match (e.exit, e.signal) {
                (Some(0), _) => (Info, "exit 0".to_owned()),
                (Some(code), _) => (Warn, format!("exit {code}")),
                (None, Some(signal)) => (Warn, format!("ended by signal {signal}")),
                (None, None) => (Warn, "its end was not seen".to_owned()),
            };
            (level, format!("ran in a shell: {} ({end}, {took})", super::shell::said(&e.title, &e.command)))
        }
        Event::FollowupOpened(e) => {
            let owner = if e.owner.is_empty() { "nobody yet" } else { &e.owner };
            let due = e.due.map(|at| format!(", due {}", at.date())).unwrap_or_default();
            (Info, format!("follow-up {}: {} (owner {owner}{due})", e.id, e.text))
        }
        Event::FollowupChanged(e) => {
            let mut parts = Vec::new();
            parts.extend(e.text.as_ref().map(|t| format!("reads \"{t}\"")));
            parts.extend(e.owner.as_ref().map(|o| format!("owner {o}")));
            parts.extend(e.due.map(|at| format!("due {}", at.date())));
            parts.extend(e.class.as_ref().map(|c| format!("is to {c}")));
            (Info, format!("follow-up {}: {}", e.id, parts.join(", ")))
        }
        Event::FollowupClosed(e) => {
            let (level, word) = match (e.reopened, e.done) {
                (true, _) => (Warn, "is open again"),
                (false, true) => (Good, "is done"),
                (false, false) => (Warn, "will not be done"),
            };
            (level, format!("follow-up {} {word}{}", e.id, because(&e.reason)))
        }
        Event::ReviewChanged(e) => {
            let mut parts = Vec::new();
            parts.extend(e.status.as_ref().map(|s| format!("is {s}")));
            parts.extend(e.owner.as_ref().map(|o| format!("is written by {o}")));
            parts.extend(e.meeting.map(|at| format!("is talked over {at}")));
            (Info, format!("the review {}{}", parts.join(", "), because(&e.reason)))
        }
        Event::StepTaken(e) => (Detail, e.what.clone()),
        Event::RunRequested(e) => {
            let unlogged = if e.unlogged { " UNLOGGED" } else { "" };
            (Info, format!("requested {}{unlogged} (run {}){}", e.plan.title, e.plan.id, because(&e.reason)))
        }
        Event::HeadStartWithheld(e) => (Warn, format!("no head start of {}: {}", e.backup, e.why)),
        Event::RunClaimed(e) => (Detail, format!("run {} claimed by process {}", e.run, e.pid)),
        Event::RunStarted(e) => (Detail, format!("run {} started", e.run)),
        Event::RunPhase(e) => (Detail, format!("run {} phase {}", e.run, e.name)),
        Event::RunCancelRequested(e) => (Info, format!("asked to cancel run {}{}", e.run, because(&e.reason))),
        Event::RunSide(e) => {
            let mut parts = Vec::new();
            if let Some(side) = &e.side {
                let only = side.only();
                let role = match side.role {
                    _ if side.is_incomplete() => "is left incomplete beside",
                    _ if side.is_unverified() => "is paused, NOT verified, beside",
                    super::run::SideRole::Ready if only.is_some() => "is ready to be put into",
                    super::run::SideRole::Ready => "is ready to cut over to",
                    super::run::SideRole::Before => "is kept from before the cut-over of",
                    super::run::SideRole::Abandoned => "is kept, undone, beside",
                    super::run::SideRole::Beside if side.kind == "database" => "holds tables to be moved by hand into",
                    super::run::SideRole::Beside => "is put beside the live tables of",
                    super::run::SideRole::Serving => "was promoted and handed over for",
                };
                let only = only.map(|o| format!(" ({o})")).unwrap_or_default();
                parts.push(format!("{} {}{only} {role} {}", side.kind, side.name, side.live));
            }
            if !e.gone.is_empty() {
                parts.push(format!("dropped {}", e.gone.join(", ")));
            }
            (Info, format!("run {}: {}", e.run, parts.join("; ")))
        }
        Event::RunFinished(e) => {
            let level = match (e.state, e.verdict) {
                (_, Verdict::Contradicted) => Bad,
                (RunState::Succeeded, Verdict::Verified) => Good,
                (RunState::Succeeded, Verdict::Unverified) => Info,
                (RunState::Cancelled | RunState::Expired, _) => Warn,
                _ => Bad,
            };
            let exit = e.exit.map(|x| format!(", exit {x}")).unwrap_or_default();
            let verdict = match e.verdict {
                Verdict::Contradicted => "CONTRADICTED".to_owned(),
                v => v.word().to_owned(),
            };
            (level, format!("run {} {}{exit}, {verdict}{}", e.run, e.state.word(), because(&e.detail)))
        }
        Event::ApprovalRequested(e) => (
            Warn,
            format!(
                "asks for a second person to approve {} (mayday approve {}): \"{}\"{}",
                e.title,
                e.approval,
                e.words,
                because(&e.reason)
            ),
        ),
        Event::ApprovalGiven(e) => (Info, format!("approved {} for {} (\"{}\")", e.title, e.requested_by, e.words)),
        Event::ApprovalEnded(e) => (
            Warn,
            format!("the request for a second person to approve {} is {}{}", e.title, e.how.word(), because(&e.reason)),
        ),
        Event::GlassBroken(e) => {
            (Bad, format!("BROKE THE GLASS: {} without a second person{}", e.title, because(&e.reason)))
        }
        Event::RecoveryStarted(e) => (
            Info,
            format!(
                "started recovery {} ({}) of {} (recovery {}){}",
                e.plan.name,
                e.plan.title,
                text::plural(e.plan.steps.len(), "step"),
                e.plan.id,
                because(&e.reason)
            ),
        ),
        Event::RecoveryStep(e) => {
            let level = if e.state == super::recovery::StepState::Good { Good } else { Info };
            (
                level,
                format!(
                    "recovery {} step {} ({}) {}{}",
                    e.recovery,
                    e.step + 1,
                    e.title,
                    e.state.word(),
                    because(&e.detail)
                ),
            )
        }
        Event::RecoveryStopped(e) => (
            Bad,
            format!(
                "RECOVERY STOPPED at step {} ({}), {}{}; resume, skip or stop (recovery {})",
                e.step + 1,
                e.title,
                e.why.word(),
                because(&e.detail),
                e.recovery
            ),
        ),
        Event::RecoveryResumed(e) => {
            let how = match (&e.run, e.vouched) {
                (Some(run), true) => format!("vouched for run {run}, and went on with"),
                _ if e.again => "tried again".to_owned(),
                _ => "resumed".to_owned(),
            };
            let accepts = e.accepts.as_ref().map(|a| format!(", now {}", a.title)).unwrap_or_default();
            (
                Info,
                format!(
                    "{how} step {} ({}){accepts} of recovery {}{}",
                    e.step + 1,
                    e.title,
                    e.recovery,
                    because(&e.reason)
                ),
            )
        }
        Event::RecoverySkipped(e) => (
            Warn,
            format!("skipped step {} ({}) of recovery {}{}", e.step + 1, e.title, e.recovery, because(&e.reason)),
        ),
        Event::RecoveryFinished(e) => {
            let skipped =
                if e.skipped == 0 { String::new() } else { format!(", {} skipped", text::plural(e.skipped, "step")) };
            match e.complete {
                true if e.skipped == 0 => (Good, format!("recovery {} complete: every step is good", e.recovery)),
                true => (Warn, format!("recovery {} complete{skipped}", e.recovery)),
                false => (Warn, format!("recovery {} ended before its end{skipped}{}", e.recovery, because(&e.reason))),
            }
        }
        Event::PlaybookStarted(e) => (
            Info,
            format!(
                "started playbook {} ({}) of {}{}",
                e.text.name,
                e.text.title,
                text::plural(e.text.steps.len(), "step"),
                because(&e.reason)
            ),
        ),
        Event::PlaybookBegan(e) => {
            let what = [("run", &e.run), ("recovery", &e.recovery), ("message", &e.message)];
            let what = what.into_iter().find_map(|(what, id)| Some(format!("{what} {}", id.as_ref()?)));
            (Detail, format!("playbook step {} ({}) is carried out by {}", e.step, e.title, what.unwrap_or_default()))
        }
        Event::PlaybookStep(e) => {
            use super::playbook::StepState;
            let level = match e.state {
                StepState::Done => Good,
                StepState::Failed => Bad,
                StepState::Skipped | StepState::Unproven => Warn,
                StepState::Waiting | StepState::UnderWay => Info,
            };
            let word = if e.state == StepState::UnderWay { "vouched for" } else { e.state.word() };
            (level, format!("playbook step {} ({}) {word}{}", e.step, e.title, because(&e.detail)))
        }
        Event::PlaybookAgain(e) => {
            (Info, format!("playbook step {} ({}) is tried again{}", e.step, e.title, because(&e.reason)))
        }
        Event::PlaybookPassed(e) => {
            (Warn, format!("went on after the FAILED playbook step {} ({}){}", e.step, e.title, because(&e.reason)))
        }
        Event::PlaybookChosen(e) => {
            let title = if e.option_title.is_empty() { String::new() } else { format!(" ({})", e.option_title) };
            (Info, format!("chose {}{title} at playbook step {} ({}){}", e.option, e.step, e.title, because(&e.reason)))
        }
        Event::PlaybookEvidence(e) => {
            let file = if e.file.is_empty() { String::new() } else { format!(" (file {})", e.file) };
            (Info, format!("evidence for playbook step {} ({}){file}{}", e.step, e.title, because(&e.text)))
        }
        Event::PlaybookLeft(e) => {
            (Info, format!("left playbook {} at step {} ({}){}", e.playbook, e.step, e.title, because(&e.reason)))
        }
        Event::PlaybookChanged(e) if e.difference.is_empty() => {
            (Info, format!("playbook {} is configured again as it was started", e.name))
        }
        Event::PlaybookChanged(e) => {
            (Warn, format!("PLAYBOOK {} HAS CHANGED since it was started{}", e.name, because(&e.difference.join("; "))))
        }
        Event::PlaybookResumed(e) => {
            let how = match (&e.taken, &e.from) {
                (Some(_), Some(from)) => format!("with its new text from step {from} on"),
                _ => format!("at step {}", e.step),
            };
            (Info, format!("resumed playbook {} {how}{}", e.playbook, because(&e.reason)))
        }
        Event::PlaybookFinished(e) => {
            let told = [(e.skipped, "skipped"), (e.failed, "failed")]
                .into_iter()
                .filter(|(n, _)| *n > 0)
                .map(|(n, what)| format!(", {} {what}", text::plural(n, "step")))
                .collect::<String>();
            match e.complete {
                true if told.is_empty() => (Good, format!("playbook {} is through", e.name)),
                true => (Warn, format!("playbook {} is through{told}", e.name)),
                false => (Warn, format!("playbook {} was stopped before its end{told}{}", e.name, because(&e.reason))),
            }
        }
        Event::ChecklistOpened(e) => (
            Info,
            format!(
                "checklist {} ({}) is to be seen to",
                e.checklist.name,
                text::plural(e.checklist.items.len(), "item")
            ),
        ),
        Event::ChecklistTicked(e) => {
            let (level, word) = if e.ticked { (Good, "ticked") } else { (Warn, "took back the tick of") };
            (level, format!("{word} \"{}\" of checklist {}{}", e.item, e.checklist, because(&e.note)))
        }
        Event::MessageQueued(e) => {
            let auto = if e.automatic { ", by configuration" } else { "" };
            (Info, format!("{} message to {}{auto}: {}", e.template.word(), e.channels.join(", "), e.subject))
        }
        Event::MessageAttempted(e) => {
            let level = match e.result {
                Delivery::Accepted => Good,
                Delivery::Queued | Delivery::Retrying => Warn,
                Delivery::Refused | Delivery::Undelivered => Bad,
            };
            (
                level,
                format!(
                    "{} {} by {} (attempt {}){}",
                    e.message,
                    e.result.word(),
                    e.channel,
                    e.attempt,
                    because(&e.answer)
                ),
            )
        }
        Event::EntryRedacted(e) => (Warn, super::redaction::sentence(e)),
        Event::EntryLeft(e) => (Detail, format!("what is left of entry {}", e.entry)),
        Event::RedactionFinished(e) => super::redaction::finished(e),
        Event::CommandRefused(e) => (Detail, format!("refused: {}{}", e.asked, because(&e.reason))),
        Event::Unknown { kind, payload } => (Detail, format!("{kind} {payload}")),
    }
}
