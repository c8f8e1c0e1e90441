//! Which entries tell the story of an incident, as rows in the order in which things happened.
//!
//! Two layers: the record itself, and the timeline for people, where rows read as they were corrected, at the time that
//! was said last, under their titles, without what somebody hid.

use std::collections::BTreeSet;
use std::time::Duration;

use super::story::{LEAD_UP, Mark, Story, corrected};
use crate::domain::Time;
use crate::domain::event::{Entry, Event};
use crate::domain::timeline::{Row, row};

/// Families of kinds that happen to the system, whichever incident is open.
const OF_THE_SYSTEM: [&str; 8] = ["engine", "clock", "host", "journal", "config", "health", "service", "backup"];

/// One row of the story.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// As it reads now, with what was made of it; its text is [`Line::text`].
    pub row: Row,
    /// When it happened, as far as known.
    pub at: Time,
    /// The same by the clock as it read at the declaration.
    pub level: Time,
    /// The row's text, whole where the row is cut for screens.
    pub text: String,
    /// Who did or said it, where that is not who recorded it.
    pub author: Option<String>,
    /// Where a line of another record came from.
    pub source: Option<String>,
    /// What it read before it was corrected.
    pub original: Option<String>,
    /// The entry carries the incident's name, or belongs to one of its runs or messages.
    pub own: bool,
}

impl Line {
    /// Part of the story for somebody who reads it, not only for the record.
    pub fn is_told(&self) -> bool {
        self.row.is_told()
    }

    /// The last of its corrections of that name.
    pub fn last(&self, what: &str) -> Option<&crate::domain::timeline::Amendment> {
        self.row.amended.iter().rfind(|a| a.what == what)
    }

    /// It was given another time than it was recorded with, and still has that.
    pub fn retimed(&self) -> Option<&crate::domain::timeline::Amendment> {
        self.last("retimed")
    }
}

/// All rows from an hour before `start` to the incident's last entry: its own, and what happened to the system around it.
///
/// A correction changes only the rows that it names: where the onset was said to be later, the lead-up stays as long.
pub fn lines(story: &Story<'_>, start: Time) -> Vec<Line> {
    let mut around = Around {
        story,
        from: start.minus(LEAD_UP),
        until: story.told_until(),
        runs: story.runs.iter().map(|r| r.plan.id.as_str()).collect(),
        messages: story.messages.iter().map(|m| m.id).collect(),
        told: BTreeSet::new(),
    };
    let mut out: Vec<Line> = Vec::new();
    for entry in story.entries {
        if let Some(line) = around.line(entry) {
            around.told.insert(entry.seq);
            out.push(line);
        }
    }
    out.sort_by_key(|l| (l.level, l.row.seq));
    out
}

/// What decides whether an entry belongs.
struct Around<'s, 'a> {
    story: &'s Story<'a>,
    from: Time,
    until: Time,
    runs: BTreeSet<&'a str>,
    messages: BTreeSet<&'a str>,
    /// Positions that belong, so far.
    told: BTreeSet<u64>,
}

impl Around<'_, '_> {
    fn line(&self, entry: &Entry) -> Option<Line> {
        let story = self.story;
        let mut row = row(entry);
        let own = entry.incident.as_deref() == Some(story.id.as_str())
            || row.run.as_ref().is_some_and(|id| self.runs.contains(id.as_str()))
            || matches!(&entry.event, Event::MessageAttempted(e) if self.messages.contains(e.message.as_str()));
        if !own && !self.is_around(entry) {
            return None;
        }
        let mut text = match &entry.event {
            Event::NoteAdded(note) => note.text.clone(),
            Event::NoteImported(note) => note.text.clone(),
            _ => std::mem::take(&mut row.text),
        };
        let (author, source) = match &entry.event {
            Event::NoteImported(e) => {
                let given = |text: &String| Some(text.clone()).filter(|t| !t.is_empty());
                (given(&e.author), given(&e.source).or(Some(e.format.clone())))
            }
            _ => (None, None),
        };
        story.curation.amend(&mut row);
        // The text stands once: a long incident has very many rows.
        row.text = String::new();
        let mut original = None;
        if let Some(corrected) = story.curation.entries.get(&entry.seq).and_then(|a| a.text.as_ref()) {
            original = Some(std::mem::replace(&mut text, corrected.clone()));
        }
        let at = row.happened_at.unwrap_or(row.at);
        let level = story.steps.level(at, entry.seq);
        Some(Line { row, at, level, text, author, source, original, own })
    }

    /// What people did for another incident is told there.
    fn is_around(&self, entry: &Entry) -> bool {
        if entry.incident.is_none() && corrected(&entry.event).any(|seq| self.told.contains(&seq)) {
            return true;
        }
        let kind = entry.event.kind().split('.').next().unwrap_or_default();
        let at = self.story.steps.level(entry.at, entry.seq);
        OF_THE_SYSTEM.contains(&kind) && at >= self.from && at <= self.until
    }
}

/// `T+00:12:43`, counted from the declaration; `T-00:03:10` before it.
pub fn relative(declared: Mark, at: Time) -> String {
    let ms = at.ms_since(declared.at);
    let clock = crate::text::clock(Duration::from_millis(ms.unsigned_abs()));
    format!("T{}{clock}", if ms < 0 { '-' } else { '+' })
}

/// `2026-11-20 02:14:07Z`.
pub fn utc(at: Time) -> String {
    format!("{} {}Z", at.date(), at.hms())
}
