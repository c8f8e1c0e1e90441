//! A wall clock that was stepped, taken out: the same entries with all moments by the clock as it read at the declaration.
//!
//! Numbers are measured on these, so that neither downtime nor any other duration is bent. What is cited and shown as
//! recorded stays as the journal has it.

use std::borrow::Cow;

use crate::domain::Time;
use crate::domain::event::{Entry, Event};

/// The steps of the wall clock on record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Position of the entry that tells of it, and by how much; the first entry that was written by the new clock.
    steps: Vec<(u64, i64)>,
    declared: u64,
}

impl Steps {
    /// Those in `entries`, seen from the one with the position `declared`.
    pub fn of(entries: &[Entry], declared: u64) -> Steps {
        let steps = entries.iter().filter_map(|e| match &e.event {
            Event::ClockStepped(step) => Some((e.seq, step.by_ms)),
            _ => None,
        });
        Steps { steps: steps.collect(), declared }
    }

    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// A moment that the entry at `seq` tells, by the clock as it read at the declaration.
    pub fn level(&self, at: Time, seq: u64) -> Time {
        let up_to = |seq: u64| self.steps.iter().filter(|(s, _)| *s <= seq).map(|(_, by)| by).sum::<i64>();
        if self.steps.is_empty() { at } else { at.stepped(up_to(self.declared) - up_to(seq)) }
    }
}

/// All entries with their moments level.
pub fn levelled<'a>(entries: &'a [Entry], steps: &Steps) -> Cow<'a, [Entry]> {
    if steps.is_empty() {
        return Cow::Borrowed(entries);
    }
    let mut all = entries.to_vec();
    for entry in &mut all {
        let seq = entry.seq;
        let level = |at: &mut Time| *at = steps.level(*at, seq);
        level(&mut entry.at);
        match &mut entry.event {
            Event::HealthChanged(e) => e.happened_at.iter_mut().for_each(level),
            Event::NoteAdded(e) => e.happened_at.iter_mut().for_each(level),
            Event::NoteImported(e) => level(&mut e.happened_at),
            Event::EntryRetimed(e) => level(&mut e.happened_at),
            Event::RunFinished(e) => e.finished_at.iter_mut().for_each(level),
            Event::IncidentDeclared(e) => e.onset.iter_mut().for_each(level),
            Event::IncidentOnset(e) => level(&mut e.onset),
            _ => {}
        }
    }
    Cow::Owned(all)
}
