//! Which entries tell the story of an incident, as rows in the order in which things happened.
//!
//! Two layers: the record itself, and the timeline for people, where rows read as they were corrected, at the time that
//! was said last, under their titles, without what somebody hid.

use std::collections::BTreeSet;
use std::time::Duration;

use super::story::{LEAD_UP, Mark, Story, corrected};
use crate::domain::Time;
use crate::domain::event::{Entry, Event};
use crate::domain::timeline::{Row, row, run_of};

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

/// A row's place in the story; the row itself is made when it is wanted: a long incident has very many.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    index: usize,
    pub seq: u64,
    /// When it happened, as far as known; `level` by the clock as it read at the declaration.
    pub at: Time,
    pub level: Time,
    pub told: bool,
    pub hidden: bool,
    pub is_correction: bool,
    own: bool,
}

/// The rows of a story, in the order in which things happened.
pub struct Lines<'s, 'a> {
    around: Around<'s, 'a>,
    slots: Vec<Slot>,
}

impl Lines<'_, '_> {
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The row of a place.
    pub fn line(&self, slot: &Slot) -> Option<Line> {
        Some(self.around.line(self.around.story.entries.get(slot.index)?, slot.own))
    }

    /// Every row, made one after the other.
    pub fn iter(&self) -> impl Iterator<Item = Line> + '_ {
        self.slots.iter().filter_map(|slot| self.line(slot))
    }
}

/// All rows from an hour before `start` to the incident's last entry: its own, and what happened to the system around it.
///
/// A correction changes only the rows that it names: where the onset was said to be later, the lead-up stays as long.
pub fn lines<'s, 'a>(story: &'s Story<'a>, start: Time) -> Lines<'s, 'a> {
    let mut around = Around {
        story,
        from: start.minus(LEAD_UP),
        until: story.told_until(),
        runs: story.runs.iter().map(|r| r.plan.id.as_str()).collect(),
        messages: story.messages.iter().map(|m| m.id).collect(),
        told: BTreeSet::new(),
    };
    let mut slots: Vec<Slot> = Vec::new();
    for (index, entry) in story.entries.iter().enumerate() {
        let Some(own) = around.belongs(entry) else { continue };
        around.told.insert(entry.seq);
        let line = around.line(entry, own);
        slots.push(Slot {
            index,
            seq: entry.seq,
            at: line.at,
            level: line.level,
            told: line.is_told(),
            hidden: line.row.hidden,
            is_correction: line.row.is_correction(),
            own,
        });
    }
    slots.sort_by_key(|s| (s.level, s.seq));
    around.told.clear();
    Lines { around, slots }
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
    /// Whether an entry is part of the story, and if so whether it is the incident's own.
    fn belongs(&self, entry: &Entry) -> Option<bool> {
        let own = entry.incident.as_deref() == Some(self.story.id.as_str())
            || run_of(&entry.event).is_some_and(|id| self.runs.contains(id))
            || matches!(&entry.event, Event::MessageAttempted(e) if self.messages.contains(e.message.as_str()));
        (own || self.is_around(entry)).then_some(own)
    }

    fn line(&self, entry: &Entry, own: bool) -> Line {
        let story = self.story;
        let mut row = row(entry);
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
        // The text stands once.
        row.text = String::new();
        let mut original = None;
        if let Some(corrected) = story.curation.entries.get(&entry.seq).and_then(|a| a.text.as_ref()) {
            original = Some(std::mem::replace(&mut text, corrected.clone()));
        }
        let at = row.happened_at.unwrap_or(row.at);
        let level = story.steps.level(at, entry.seq);
        Line { row, at, level, text, author, source, original, own }
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
