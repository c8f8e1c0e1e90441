//! Which entries tell the story of an incident, as rows in the order in which things happened.

use std::time::Duration;

use super::story::{LEAD_UP, Mark, Story};
use crate::domain::Time;
use crate::domain::event::{Entry, Event};
use crate::domain::timeline::{Level, Row, row};

/// Families of kinds that happen to the system, whichever incident is open.
const OF_THE_SYSTEM: [&str; 9] =
    ["engine", "clock", "host", "journal", "config", "health", "service", "backup", "entry"];

/// One row of the story.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub row: Row,
    /// When it happened, as far as known.
    pub at: Time,
    /// The same by the clock as it read at the declaration.
    pub level: Time,
    /// The row's text, whole where the row is cut for screens.
    pub text: String,
    /// The entry carries the incident's name, or belongs to one of its runs or messages.
    pub own: bool,
}

impl Line {
    /// Part of the story for somebody who reads it, not only for the record.
    pub fn is_told(&self) -> bool {
        self.row.level != Level::Detail
    }
}

/// All rows from an hour before `start` to the incident's last entry: its own, and what happened to the system around it.
pub fn lines(story: &Story<'_>, start: Time) -> Vec<Line> {
    let from = start.minus(LEAD_UP);
    let mut out: Vec<Line> = story.entries.iter().filter_map(|e| line(story, e, from)).collect();
    out.sort_by_key(|l| (l.level, l.row.seq));
    out
}

fn line(story: &Story<'_>, entry: &Entry, from: Time) -> Option<Line> {
    let row = row(entry);
    let at = row.happened_at.unwrap_or(row.at);
    let of_run = row.run.as_ref().is_some_and(|id| story.runs.iter().any(|r| r.plan.id == *id));
    let own = entry.incident.as_deref() == Some(story.id.as_str())
        || of_run
        || matches!(&entry.event, Event::MessageAttempted(e) if story.messages.iter().any(|m| m.id == e.message));
    // What people did for another incident is told there.
    let kind = entry.event.kind().split('.').next().unwrap_or_default();
    let around = story.steps.level(entry.at, entry.seq) >= from && OF_THE_SYSTEM.contains(&kind);
    if !own && !around {
        return None;
    }
    let text = match &entry.event {
        Event::NoteAdded(note) => note.text.clone(),
        _ => row.text.clone(),
    };
    let level = story.steps.level(at, entry.seq);
    Some(Line { row, at, level, text, own })
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
