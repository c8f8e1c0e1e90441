//! Rows of the record that somebody looks for, and how they read by now.
//!
//! The record is read from the disk by whoever asks, beside the core; what people corrected in it is taken from the
//! core's state, which shares it with all sessions. What was recorded since is folded in from the record itself, so that
//! nobody is shown a correction and the row that it corrects as it was before.

use std::path::Path;
use std::sync::Arc;

use crate::domain::curation::{Amended, Curation};
use crate::domain::event::Entry;
use crate::domain::timeline::{self, Row};
use crate::journal::{JournalError, Page, Reader};
use crate::wire::{Answer, Find};

/// Rows given at once at the most.
const ROWS: usize = 1000;
/// Entries looked at for one answer: whoever wants more asks on from where it ends.
const LOOKED: usize = 20_000;
/// Entries that one correction can be about; one more than may be, so that it is refused.
pub const AMENDED: usize = 501;
/// Entries read at once.
const PIECE: usize = 1000;

/// All corrections up to an entry.
#[derive(Clone, Debug, Default)]
pub struct Curated {
    pub upto: u64,
    pub curation: Arc<Curation>,
}

impl Curated {
    /// The corrections up to `head`, the last entry that can be read.
    pub fn up_to(&self, reader: &Reader, head: u64) -> Result<Arc<Curation>, String> {
        let (mut next, mut curation) = (self.upto + 1, Arc::clone(&self.curation));
        while next <= head {
            let n = usize::try_from(head - next + 1).unwrap_or(PIECE).min(PIECE);
            let page = reader.read_range(next, n).map_err(|e| e.to_string())?;
            for entry in page.entries.iter().filter(|e| e.seq > self.upto && is_said_of_others(e)) {
                Arc::make_mut(&mut curation).apply(entry);
            }
            next += n as u64;
        }
        Ok(curation)
    }
}

fn is_said_of_others(entry: &Entry) -> bool {
    !timeline::row(entry).about.is_empty()
}

/// Answers the question. Blocks on the disk.
pub fn find(dir: &Path, find: &Find, curated: &Curated) -> Answer {
    match look(dir, find, curated) {
        Ok((rows, head, reached)) => Answer::Found { rows, head, reached },
        Err(why) => Answer::Failed { reason: format!("the journal in {} cannot be read: {why}", dir.display()) },
    }
}

/// The rows of entries as they were recorded, with their fields; those that are not on record are left out. Blocks on
/// the disk.
pub fn recorded(dir: &Path, seqs: impl IntoIterator<Item = u64>) -> Result<Vec<Row>, String> {
    let reader = Reader::open(dir).map_err(|e| e.to_string())?;
    let mut rows = Vec::new();
    for seq in seqs {
        rows.extend(one(&reader, seq)?.as_ref().map(timeline::whole_row));
    }
    Ok(rows)
}

fn one(reader: &Reader, seq: u64) -> Result<Option<Entry>, String> {
    let page = reader.read_range(seq, 1).map_err(|e| e.to_string())?;
    Ok(page.entries.into_iter().find(|e| e.seq == seq))
}

fn look(dir: &Path, find: &Find, curated: &Curated) -> Result<(Vec<Row>, u64, u64), String> {
    let reader = Reader::open(dir).map_err(|e| e.to_string())?;
    let head = reader.last_seq().map_err(|e| e.to_string())?;
    let curation = curated.up_to(&reader, head)?;
    let read = |entry: &Entry| {
        let mut row = if find.whole { timeline::whole_row(entry) } else { timeline::row(entry) };
        curation.amend(&mut row);
        row
    };
    if !find.entries.is_empty() {
        let mut rows = Vec::new();
        for seq in find.entries.iter().take(ROWS) {
            rows.extend(one(&reader, *seq)?.as_ref().map(read));
        }
        return Ok((rows, head, 1));
    }
    let limit = find.limit.clamp(1, ROWS);
    let end = find.before.unwrap_or(u64::MAX).min(head + 1);
    let fits = |row: &Row| {
        find.incident.as_ref().is_none_or(|id| row.incident.as_ref() == Some(id)) && find.only.takes(row, find.layer)
    };
    let mut found = Vec::new();
    // What stands out or is hidden is known without looking through anything.
    if find.only.pinned || find.only.hidden {
        let mut reached = 1;
        let wanted = |a: &Amended| (!find.only.pinned || a.pinned) && (!find.only.hidden || a.hidden);
        for (&seq, _) in curation.entries.range(..end).rev().filter(|(_, a)| wanted(a)) {
            if found.len() == limit {
                reached = found.last().map_or(1, |r: &Row| r.seq);
                break;
            }
            found.extend(one(&reader, seq)?.as_ref().map(read).filter(fits));
        }
        found.reverse();
        return Ok((found, head, reached));
    }
    let reached = backwards(&reader, find.incident.as_deref(), end, |entry| {
        let row = read(entry);
        if fits(&row) {
            found.push(row);
        }
        found.len() < limit
    })?;
    found.reverse();
    Ok((found, head, reached))
}

/// Hands the entries before `end` to `see`, newest first, until it has seen enough or [`LOOKED`] were looked at. Gives the
/// position that it got down to.
fn backwards(
    reader: &Reader,
    incident: Option<&str>,
    end: u64,
    mut see: impl FnMut(&Entry) -> bool,
) -> Result<u64, String> {
    let fault = |e: JournalError| e.to_string();
    // Of one incident by its rows' places, so that a long history costs nothing; else by position.
    let mut last = match incident {
        Some(id) => reader.incident_row_after(id, end.saturating_sub(1)).map_err(fault)?,
        None => end.saturating_sub(1),
    };
    let mut reached = end;
    let mut looked = 0;
    while last > 0 && looked < LOOKED {
        let first = last.saturating_sub(PIECE as u64);
        let n = usize::try_from(last - first).unwrap_or(PIECE);
        let page: Page = match incident {
            Some(id) => reader.incident_page(id, first, n),
            None => reader.read_range(first + 1, n),
        }
        .map_err(fault)?;
        for entry in page.entries.iter().rev().filter(|e| e.seq < end) {
            reached = entry.seq;
            if !see(entry) {
                return Ok(reached);
            }
        }
        looked += n;
        last = first;
        if incident.is_none() {
            reached = first + 1;
        }
    }
    Ok(if last == 0 { 1 } else { reached })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{EntryHidden, EntryPinned, Event, NoteAdded, NoteCorrected, StepTaken};
    use crate::domain::sift::{Layer, Sift};
    use crate::domain::{Actor, Time};
    use crate::journal::{Draft, Journal, OpenOptions};

    /// Notes of two incidents, one of each three of the second, every tenth an entry that is only a detail.
    fn record(dir: &Path, entries: u64) -> Journal {
        let (mut journal, _) =
            Journal::open(dir, OpenOptions { rotate_bytes: 8_000, ..OpenOptions::new("h") }).unwrap();
        for n in 1..=entries {
            let event = match n % 10 {
                0 => StepTaken { what: format!("opened {n}"), about: None }.into(),
                _ => NoteAdded { text: format!("note {n} of {}", ["api", "web"][n as usize % 2]), happened_at: None }
                    .into(),
            };
            append(&mut journal, if n % 3 == 0 { "INC-2026-002" } else { "INC-2026-001" }, event);
        }
        journal
    }

    fn append(journal: &mut Journal, incident: &str, event: Event) -> u64 {
        let draft = Draft {
            at: Time::from_ms(1_800_000_000_000),
            boot_ms: 1,
            boot: "b".into(),
            actor: Actor::engine(),
            incident: Some(incident.into()),
            event,
        };
        journal.append(&[draft]).unwrap();
        journal.head().seq
    }

    fn seqs(dir: &Path, question: &Find, curated: &Curated) -> (Vec<u64>, u64) {
        match find(dir, question, curated) {
            Answer::Found { rows, reached, .. } => (rows.iter().map(|r| r.seq).collect(), reached),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_newest_that_fit_are_found_from_any_place_on() {
        let dir = tempfile::tempdir().unwrap();
        drop(record(dir.path(), 200));
        let mine = |n: &u64| !n.is_multiple_of(3);
        for (incident, only, wanted) in [
            (None, "", Box::new(|_: &u64| true) as Box<dyn Fn(&u64) -> bool>),
            (Some("INC-2026-001"), "", Box::new(mine)),
            (None, "kind:step", Box::new(|n: &u64| n.is_multiple_of(10))),
            (
                Some("INC-2026-001"),
                "service:api kind:note",
                Box::new(move |n: &u64| mine(n) && n.is_multiple_of(2) && !n.is_multiple_of(10)),
            ),
        ] {
            for limit in [1, 7, 1000] {
                let mut question =
                    Find { incident: incident.map(str::to_owned), only: Sift::parse(only), limit, ..Find::default() };
                let mut all = Vec::new();
                loop {
                    let (mut found, reached) = seqs(dir.path(), &question, &Curated::default());
                    assert!(found.len() <= limit);
                    found.append(&mut all);
                    all = found;
                    if reached <= 1 {
                        break;
                    }
                    question.before = Some(reached);
                }
                assert_eq!(all, (1..=200).filter(|n| wanted(n)).collect::<Vec<_>>(), "{only} {limit}");
            }
        }
    }

    #[test]
    fn what_was_corrected_a_moment_ago_reads_so() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = record(dir.path(), 20);
        let one = "INC-2026-001";
        let pin = |entry, pinned| EntryPinned { entry, pinned, reason: String::new() }.into();
        append(&mut journal, one, pin(10, true));
        append(&mut journal, one, EntryHidden { entry: 7, hidden: true, reason: "x".into() }.into());
        let upto = append(&mut journal, one, pin(4, true));
        // The state of the core is behind the record, or ahead of what is asked for: it makes no difference.
        let all: Vec<Entry> = journal.entries(1).unwrap().flatten().collect();
        let early = Curated { upto: 5, curation: Arc::new(Curation::of(&all[..5])) };
        let late = Curated { upto, curation: Arc::new(Curation::of(&all)) };
        append(&mut journal, one, NoteCorrected { entry: 4, text: "so".into(), reason: String::new() }.into());
        for curated in [&early, &late] {
            let question = Find { layer: Layer::Curated, only: Sift::parse("pinned"), limit: 9, ..Find::default() };
            assert_eq!(seqs(dir.path(), &question, curated), (vec![4, 10], 1));
            let question = Find { limit: 1, ..question };
            assert_eq!(seqs(dir.path(), &question, curated), (vec![10], 10));
            let question = Find { before: Some(10), ..question };
            assert_eq!(seqs(dir.path(), &question, curated), (vec![4], 1));
            let told = Find { layer: Layer::Curated, limit: 1000, before: Some(9), ..Find::default() };
            assert_eq!(seqs(dir.path(), &told, curated).0, [1, 2, 3, 4, 5, 6, 8]);
            let these = Find { entries: vec![4, 99, 7], whole: true, ..Find::default() };
            let Answer::Found { rows, .. } = find(dir.path(), &these, curated) else { panic!() };
            assert_eq!(rows.iter().map(|r| (r.seq, r.hidden)).collect::<Vec<_>>(), [(4, false), (7, true)]);
            assert_eq!((rows[0].text.as_str(), rows[0].written()), ("so", Some("so")));
            assert_eq!(rows[0].original.as_ref().unwrap().text, "note 4 of api");
        }
        assert_eq!(recorded(dir.path(), [4, 99]).unwrap()[0].text, "note 4 of api");
    }
}
