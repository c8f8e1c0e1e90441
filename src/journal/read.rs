//! Entries by position: from one on, a page, the last ones, the rows of one incident.
//!
//! Each entry that is handed out was checked against its own hash and digest first. What does not pass comes out as
//! [`Damage`] in its place, and what follows is still read: never a silent hole, never altered text shown as the record.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::index::PartIndex;
use super::left::Lefts;
use super::lines::{Damage, Lines, Place, RawLine};
use super::parts::Part;
use super::storage::StoredFile;
use crate::domain::event::Entry;

/// Some entries in a row, and what could not be read among them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    pub entries: Vec<Entry>,
    pub damage: Vec<Damage>,
}

impl Page {
    fn take(&mut self, next: Result<Entry, Damage>) {
        match next {
            Ok(entry) => self.entries.push(entry),
            Err(damage) => self.damage.push(damage),
        }
    }
}

/// The part that is being written, as far as it is synced.
#[derive(Clone)]
pub(super) struct LiveView<'a> {
    pub name: &'a str,
    pub file: &'a Arc<dyn StoredFile>,
    pub len: u64,
    pub index: &'a PartIndex,
}

enum Source {
    Closed(Arc<Part>),
    Open(String, Lines),
}

/// Entries in the order of the record. Keeps the files it needs open, so it may be taken to another thread and goes on
/// while entries are appended; it ends where the record ended when it was made.
pub struct Entries {
    sources: VecDeque<Source>,
    from: u64,
    failed: bool,
    lefts: Lefts,
}

impl Entries {
    pub(super) fn new(closed: &[Arc<Part>], live: Option<LiveView<'_>>, from: u64) -> io::Result<Self> {
        let lefts = Lefts::new(closed, None);
        let mut sources = VecDeque::new();
        let live_first = live.as_ref().map(|l| l.index.first()).filter(|first| *first > 0);
        if live_first.is_none_or(|first| from < first) {
            // The last closed part that begins at or before `from`; those that cannot be read are walked through.
            let start = closed.iter().rposition(|part| part.first() > 0 && part.first() <= from).unwrap_or(0);
            for (i, part) in closed.iter().enumerate().skip(start) {
                // The first one is opened now, because its place is only good for the file as it is.
                sources.push_back(match i == start {
                    true => Source::Open(part.name().to_owned(), part.lines(part.index()?.before(from))?),
                    false => Source::Closed(part.clone()),
                });
            }
        }
        if let Some(live) = live {
            let start = if sources.is_empty() { live.index.before(from) } else { Place::START };
            let lines = Lines::new(live.file.clone(), start, live.len);
            sources.push_back(Source::Open(live.name.to_owned(), lines));
        }
        Ok(Entries { sources, from, failed: false, lefts })
    }

    /// Redacted entries in the part that is being written are found by its index.
    pub(super) fn with_live(mut self, closed: &[Arc<Part>], live: &LiveView<'_>) -> Self {
        self.lefts = Lefts::new(closed, Some(live));
        self
    }

    /// Calls `see` with the part's name and the next raw line; `None` at the end.
    pub(super) fn next_raw<T>(&mut self, see: impl FnOnce(&str, RawLine<'_>) -> T) -> Result<Option<T>, Damage> {
        loop {
            match self.sources.front_mut() {
                None => return Ok(None),
                Some(Source::Closed(part)) => {
                    let lines = part.lines(Place::START).map_err(|e| unreadable(part.name(), Place::START, &e))?;
                    let name = part.name().to_owned();
                    self.sources.pop_front();
                    self.sources.push_front(Source::Open(name, lines));
                }
                Some(Source::Open(name, lines)) => {
                    let place = lines.place();
                    // Told apart first, because a line that is borrowed cannot be given up for the next source.
                    match lines.next() {
                        Ok(Some(raw)) => return Ok(Some(see(name, raw))),
                        Ok(None) => {}
                        Err(e) => return Err(unreadable(name, place, &e)),
                    }
                    self.sources.pop_front();
                }
            }
        }
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        loop {
            let from = self.from;
            match self.next_raw(|name, raw| read_one(name, &raw, from)) {
                Ok(Some(Some(mut found))) => {
                    if let Ok(entry) = &mut found {
                        self.lefts.complete(entry);
                    }
                    return Some(found);
                }
                Ok(Some(None)) => {}
                Ok(None) => return None,
                Err(damage) => {
                    self.failed = true;
                    return Some(Err(damage));
                }
            }
        }
    }
}

fn unreadable(part: &str, place: Place, e: &io::Error) -> Damage {
    let why = format!("cannot be read from here on: {e}");
    Damage::new(part, Some(place), why)
}

/// The entry in a raw line; nothing when it comes before `from`.
pub(super) fn read_one(part: &str, raw: &RawLine<'_>, from: u64) -> Option<Result<Entry, Damage>> {
    let read = match raw.read() {
        Ok(line) if line.seq() < from => return None,
        Ok(line) => line.check().and_then(|()| line.entry()),
        Err(why) => Err(why),
    };
    Some(read.map_err(|why| Damage::new(part, Some(raw.place), why)))
}

/// At most `n` entries from `from` on.
pub(super) fn page(entries: Entries, n: usize) -> Page {
    let mut page = Page::default();
    for next in entries {
        if page.entries.len() == n {
            break;
        }
        page.take(next);
    }
    page
}

/// Rows of an incident: at most `n` from its row `row` (from 0) on.
pub(super) fn incident_page(
    closed: &[Arc<Part>],
    live: Option<LiveView<'_>>,
    incident: &str,
    row: u64,
    n: usize,
) -> io::Result<Page> {
    let mut lefts = Lefts::new(closed, live.as_ref());
    let mut page = stored_page(closed, live, incident, row, n)?;
    page.entries.iter_mut().for_each(|entry| lefts.complete(entry));
    Ok(page)
}

fn stored_page(
    closed: &[Arc<Part>],
    live: Option<LiveView<'_>>,
    incident: &str,
    row: u64,
    n: usize,
) -> io::Result<Page> {
    let mut page = Page::default();
    let mut skip = row;
    for part in closed {
        let left = n.saturating_sub(page.entries.len() + page.damage.len());
        if left == 0 {
            return Ok(page);
        }
        let index = part.index()?;
        let rows = index.rows(incident);
        let found = rows_of(part.name(), &part.file()?, part.len(), &index, (incident, skip, left));
        let found = match found {
            Some(found) => found,
            // The index file did not fit the part: made anew, it does.
            None => {
                let index = part.reindex()?;
                rows_of(part.name(), &part.file()?, part.len(), &index, (incident, skip, left))
                    .unwrap_or_else(|| misfit(part.name()))
            }
        };
        page.entries.extend(found.entries);
        page.damage.extend(found.damage);
        skip = skip.saturating_sub(rows);
    }
    if let Some(live) = live {
        let left = n.saturating_sub(page.entries.len() + page.damage.len());
        let found = rows_of(live.name, live.file, live.len, live.index, (incident, skip, left))
            .unwrap_or_else(|| misfit(live.name));
        page.entries.extend(found.entries);
        page.damage.extend(found.damage);
    }
    Ok(page)
}

fn misfit(part: &str) -> Page {
    let why = "its index does not fit it: it was changed while it was read";
    Page { entries: Vec::new(), damage: vec![Damage::new(part, None, why)] }
}

/// The rows of one part; `None` when the index points at something that is no row of the incident.
fn rows_of(
    name: &str,
    file: &Arc<dyn StoredFile>,
    len: u64,
    index: &PartIndex,
    (incident, row, n): (&str, u64, usize),
) -> Option<Page> {
    let mut page = Page::default();
    let mut reader: Option<Lines> = None;
    for offset in index.rows_from(incident, row, n) {
        let place = index.before_byte(offset);
        // Rows of an incident often stand side by side: reading on is cheaper than asking anew.
        let near = reader.as_ref().is_some_and(|l| l.place().offset <= offset && offset - l.place().offset < 64 << 10);
        let mut lines = match reader.take() {
            Some(lines) if near => lines,
            _ => Lines::new(file.clone(), place, len),
        };
        loop {
            match lines.next() {
                Ok(Some(raw)) if raw.place.offset < offset => {}
                Ok(Some(raw)) if raw.place.offset == offset => {
                    let fits = raw.read().is_ok_and(|line| line.incident().as_deref() == Some(incident));
                    if !fits {
                        let altered = raw.read().and_then(|line| line.check()).is_err();
                        if !altered {
                            return None;
                        }
                    }
                    if let Some(found) = read_one(name, &raw, 0) {
                        page.take(found);
                    }
                    break;
                }
                Ok(_) => return None,
                Err(e) => {
                    page.damage.push(unreadable(name, lines.place(), &e));
                    return Some(page);
                }
            }
        }
        reader = Some(lines);
    }
    Some(page)
}
