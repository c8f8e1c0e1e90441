//! The timeline's rows: one plain sentence per entry, the same in the cockpit, in timeline.md and in exports.

mod sentence;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::{Entry, Event};
use super::time::Time;
use crate::text;
use sentence::sentence;

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
    /// `corrected`, `retimed`, `pinned`, `unpinned`, `hidden`, `shown again`, `joined`, `taken from its title`,
    /// `redacted`.
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
