//! The readable line per entry, appended to an incident's `timeline.md` as it happens.

use super::escape;
use crate::domain::event::{Entry, Event};
use crate::domain::timeline::{Level, row, whole_sentence};

/// One line without its line end: `- 2026-11-20 02:14:07Z · oncall1 · requested restart api · 61`. `None` for what is only
/// for the record (phases of a run, opened dialogs): the journal has it.
pub fn timeline_md(entry: &Entry) -> Option<String> {
    let row = row(entry);
    let noise = matches!(entry.event, Event::StepTaken(_) | Event::RunClaimed(_) | Event::RunPhase(_));
    if noise && row.level == Level::Detail {
        return None;
    }
    let mark = match row.level {
        Level::Bad => "**▼** ",
        Level::Warn => "▲ ",
        Level::Good => "✓ ",
        Level::Detail | Level::Info => "",
    };
    let at = row.happened_at.unwrap_or(row.at);
    let recorded =
        row.happened_at.map(|_| format!(" (recorded {} {}Z)", row.at.date(), row.at.hms())).unwrap_or_default();
    let text = match &entry.event {
        // The row is cut for screens; what a person wrote is kept whole.
        Event::NoteAdded(_) | Event::NoteImported(_) | Event::NoteCorrected(_) => {
            escape::inline(&whole_sentence(entry))
        }
        _ => escape::inline(&row.text),
    };
    let actor = escape::inline(&row.actor);
    Some(format!("- {} {}Z · {actor} · {mark}{text}{recorded} · {}", at.date(), at.hms(), row.seq))
}
