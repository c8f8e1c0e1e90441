//! A record looked at as it was: the whole picture at any past moment, by the same fold as the present one.
//!
//! It reads a state directory, or a copy of one, with [`crate::journal::Reader`], with an engine or without, and never
//! writes. A first pass in a thread of its own folds the record from its beginning ([`pass`]) and keeps the state every
//! so many entries; a jump takes the nearest one before and folds the few entries between. What was measured comes from
//! the samples that were sealed into the incident's folder ([`sealed`]), and is told as not sealed where there are none:
//! a replay invents nothing. Screens know it as [`crate::wire::Past`].

mod pass;
mod picture;
mod sealed;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::Time;
use crate::domain::event::Entry;
use crate::domain::state::State;
use crate::domain::timeline::{self, Level, Row};
use crate::journal::Reader;
use crate::wire::past::Reach;
use crate::wire::{Change, Past, TimelineQuery};
use pass::Pass;
use sealed::Sealings;

/// Rows given at once at the most.
const ROWS: usize = 1000;

/// A record that is being replayed.
#[derive(Debug)]
pub struct Tape {
    pass: Arc<Pass>,
    /// The state that was gone to last: the way on from it is short.
    here: Option<State>,
    /// Counts pictures, so that each is newer than the one before.
    rev: u64,
}

/// Opens the record in `dir`. See [`crate::wire::past::Opener`].
pub fn open(dir: &Path, incident: Option<&str>) -> Box<dyn Past> {
    Box::new(Tape::open(dir, incident))
}

impl Tape {
    /// Opens the record in `dir`, which is read in the background from here on.
    pub fn open(dir: &Path, incident: Option<&str>) -> Tape {
        Tape { pass: Pass::start(dir.to_owned(), incident.map(str::to_owned)), here: None, rev: 0 }
    }

    /// The state with `seq` as the last entry.
    pub fn state(&mut self, seq: u64) -> Result<&State, String> {
        let Reach::Open(span) = self.pass.reach() else {
            return Err("the record is not open".into());
        };
        if !span.has(seq) {
            return Err(format!("entry {seq} is not among those that can be shown"));
        }
        let kept = self.pass.before(seq);
        let near = |state: &State| state.seq <= seq && kept.as_ref().is_none_or(|k| k.seq <= state.seq);
        let mut state = match self.here.take().filter(near) {
            Some(here) => here,
            None => State::clone(&*kept.ok_or_else(|| format!("no state is kept before entry {seq}"))?),
        };
        if state.seq < seq {
            let reader = self.pass.reader()?;
            for entry in reader.entries(state.seq + 1).map_err(|e| e.to_string())? {
                match entry {
                    Ok(entry) if entry.seq > seq => break,
                    Ok(entry) => {
                        let last = entry.seq == seq;
                        state.apply(&entry);
                        if last {
                            break;
                        }
                    }
                    // It was counted when the record was read, and is told with every picture.
                    Err(_) => {}
                }
            }
        }
        Ok(self.here.insert(state))
    }

    fn sealed(&self) -> Arc<Sealings> {
        self.pass.sealed()
    }
}

impl Past for Tape {
    fn reach(&self) -> Reach {
        self.pass.reach()
    }

    fn wait(&self, to: u64, limit: Duration) -> Reach {
        self.pass.wait(to, limit)
    }

    fn recorded_at(&self, seq: u64) -> Option<Time> {
        self.pass.recorded_at(seq)
    }

    fn entry_at(&self, at: Time) -> Option<u64> {
        self.pass.entry_at(at)
    }

    fn key_event(&self, seq: u64, forward: bool) -> Option<u64> {
        self.pass.key_event(seq, forward)
    }

    fn ticks(&self, from: Time, to: Time, columns: usize) -> Vec<Option<Level>> {
        self.pass.ticks(from, to, columns)
    }

    fn picture(&mut self, seq: u64, at: Time) -> Result<Change, String> {
        self.rev += 1;
        let (rev, sealed) = (self.rev, self.sealed());
        let state = self.state(seq)?;
        Ok(picture::of(state, at.max(state.at), rev, &sealed))
    }

    fn rows(&mut self, query: &TimelineQuery, upto: u64, since: bool) -> Result<Vec<Row>, String> {
        let curation = match since {
            true => self.pass.curation().ok_or("the record is not read to its end yet")?,
            false => self.state(upto)?.curation.clone(),
        };
        let reader = self.pass.reader()?;
        let mut rows: Vec<Row> = page(&reader, query, upto)?.iter().map(timeline::row).collect();
        rows.iter_mut().for_each(|row| curation.amend(row));
        Ok(rows)
    }
}

/// The entries that a query is about, none after `upto`.
fn page(reader: &Reader, query: &TimelineQuery, upto: u64) -> Result<Vec<Entry>, String> {
    let limit = query.limit.clamp(1, ROWS);
    let wanted = |e: &Entry| query.incident.is_none() || e.incident == query.incident;
    let fault = |e: crate::journal::JournalError| e.to_string();
    if let Some(after) = query.after {
        let entries = reader.entries(after.saturating_add(1)).map_err(fault)?;
        let entries = entries.filter_map(Result::ok).take_while(|e| e.seq <= upto);
        return Ok(entries.filter(wanted).take(limit).collect());
    }
    // Backwards in stretches, until there are enough.
    let mut end = query.before.unwrap_or(u64::MAX).min(upto.saturating_add(1));
    let mut found: Vec<Entry> = Vec::new();
    while end > 1 && found.len() < limit {
        let from = end.saturating_sub(limit as u64).max(1);
        let entries = reader.entries(from).map_err(fault)?.filter_map(Result::ok).take_while(|e| e.seq < end);
        let mut stretch: Vec<Entry> = entries.filter(wanted).collect();
        stretch.append(&mut found);
        found = stretch;
        end = from;
    }
    let over = found.len().saturating_sub(limit);
    found.drain(..over);
    Ok(found)
}

/// The folder of an incident; nothing when its id is none.
fn folder(dir: &Path, incident: &str) -> Option<PathBuf> {
    let safe = !incident.is_empty() && incident.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    safe.then(|| dir.join("incidents").join(incident))
}
