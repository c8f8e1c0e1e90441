//! Updates due against updates sent.
//!
//! An update is due `update_every` of the severity in force after the last message that a channel accepted, else after
//! the declaration; the first word after the declaration may be due sooner. Only while the incident is open: what would
//! have been due between a resolution and a reopening is due at the reopening. The first acceptance of a message counts.

use super::story::{Mark, Story};
use crate::domain::Time;

/// One deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub due: Time,
    /// What the deadline is counted from.
    pub counted_from: Mark,
    /// The message that met or missed it; `None`: none was sent before the incident was resolved or the record ends.
    pub sent: Option<Mark>,
    /// Milliseconds after the deadline; 0 when it was met.
    pub late_ms: i64,
}

/// All deadlines that were met or passed, in order. `None` when no severity of the incident has an interval.
pub fn dues(story: &Story<'_>) -> Option<Vec<Due>> {
    let facts = |severity| story.catalog_at(story.declared.seq)?.1.severities.get(&severity);
    let within = |severity, first: bool| {
        let facts = facts(severity)?;
        let word = facts.first_word_within_ms.filter(|_| first);
        word.into_iter().chain(facts.update_every_ms).min()
    };
    if !story.severities.iter().any(|(_, s)| within(*s, true).is_some()) {
        return None;
    }
    let mut sent: Vec<Mark> =
        story.messages.iter().filter(|m| m.template.is_word()).filter_map(|m| m.accepted()).collect();
    sent.sort_by_key(|m| m.seq);
    let mut out = Vec::new();
    for (from, to) in story.open_spans() {
        let mut anchor = sent.iter().rev().find(|m| m.seq < from.seq).copied().unwrap_or(story.declared);
        let inside = sent.iter().filter(|m| m.seq > from.seq && m.seq < to.seq).map(|m| (*m, true));
        for (mark, is_sent) in inside.chain(std::iter::once((to, false))) {
            let severity = story.severities.iter().rev().find(|(m, _)| m.seq <= mark.seq).map(|(_, s)| *s);
            let first = anchor == story.declared;
            let within = severity.and_then(|s| within(s, first)).map(std::time::Duration::from_millis);
            let due = within.map(|within| anchor.at.plus(within).max(from.at));
            if let Some(due) = due {
                let late_ms = mark.at.ms_since(due).max(0);
                if is_sent {
                    out.push(Due { due, counted_from: anchor, sent: Some(mark), late_ms });
                } else if late_ms > 0 {
                    out.push(Due { due, counted_from: anchor, sent: None, late_ms });
                }
            }
            anchor = mark;
        }
    }
    Some(out)
}
