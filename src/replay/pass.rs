//! The first pass over a record: folds it from its beginning in a thread of its own and keeps what jumps need.
//!
//! Kept are the state every so many entries, when each entry was recorded, and which ones are key events; nothing before
//! the hour that led up to the incident. The number of states is bounded: when there are too many, every second one goes
//! and the stretch between two doubles. For a record of a million entries that makes some 250 states, 4096 entries apart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::folder;
use super::sealed::Sealings;
use crate::domain::Time;
use crate::domain::curation::Curation;
use crate::domain::event::{Entry, Event};
use crate::domain::state::State;
use crate::domain::timeline::{self, Level};
use crate::journal::Reader;
use crate::wire::past::{Point, Reach, Span};

/// How far back the lead-up to an incident goes.
const BEFORE: Duration = Duration::from_secs(3600);
/// Entries between two kept states, to begin with.
const STRETCH: u64 = 256;
/// States kept at the most.
const STATES: usize = 256;
/// Entries that are handed over at once.
const BATCH: usize = 256;

/// What was read so far.
#[derive(Debug, Default)]
struct Read {
    span: Option<Span>,
    failed: Option<String>,
    /// In the order of the record; the first one stands before the first entry of the span.
    states: Vec<Arc<State>>,
    stretch: u64,
    /// When each entry from the first of the span on was recorded, milliseconds since 1970.
    times: Vec<i64>,
    /// Key events: how far after the first entry of the span, and how bad.
    keys: Vec<(u32, Level)>,
    /// All corrections up to the end, once all is read.
    curation: Option<Curation>,
}

/// The reading of one record, shared with the thread that does it.
#[derive(Debug)]
pub struct Pass {
    read: Mutex<Read>,
    grown: Condvar,
    reader: OnceLock<Arc<Reader>>,
    sealed: OnceLock<Arc<Sealings>>,
}

/// What was read and is not handed over yet.
#[derive(Debug, Default)]
struct Batch {
    times: Vec<i64>,
    keys: Vec<(u32, Level)>,
    damaged: u64,
}

impl Pass {
    /// Begins to read the record in `dir`.
    pub fn start(dir: PathBuf, incident: Option<String>) -> Arc<Pass> {
        let pass = Arc::new(Pass {
            read: Mutex::new(Read { stretch: STRETCH, ..Read::default() }),
            grown: Condvar::new(),
            reader: OnceLock::new(),
            sealed: OnceLock::new(),
        });
        // Not an owner: when the last one is gone, the reading ends.
        let weak = Arc::downgrade(&pass);
        let work = move || {
            let Some(pass) = weak.upgrade() else { return };
            let (found, reader) = match find(&dir, incident) {
                Ok(found) => found,
                Err(why) => return pass.fail(why),
            };
            let reader = Arc::new(reader);
            let sealed = Sealings::read(found.incident.as_deref().and_then(|id| folder(&dir, id)).as_deref());
            let mut found = found;
            found.unsealed.clone_from(&sealed.missing);
            let _ = pass.sealed.set(Arc::new(sealed));
            let _ = pass.reader.set(reader.clone());
            pass.lock().span = Some(found.clone());
            pass.grown.notify_all();
            drop(pass);
            if let Err(why) = fold(&weak, &reader, &found)
                && let Some(pass) = weak.upgrade()
            {
                pass.fail(why);
            }
        };
        let thread = std::thread::Builder::new().name("replay".into()).spawn(work);
        if let Err(e) = thread {
            pass.fail(format!("start reading the record: {e}"));
        }
        pass
    }

    fn lock(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, why: String) {
        self.lock().failed = Some(why);
        self.grown.notify_all();
    }

    pub fn reach(&self) -> Reach {
        self.lock().reach()
    }

    /// See [`crate::wire::Past::wait`].
    pub fn wait(&self, to: u64, limit: Duration) -> Reach {
        let until = Instant::now() + limit;
        let mut read = self.lock();
        loop {
            let reach = read.reach();
            let enough = match &reach {
                Reach::Failed(_) => true,
                Reach::Open(span) => to == 0 || span.whole || span.has(to),
                Reach::Opening => false,
            };
            let left = until.saturating_duration_since(Instant::now());
            if enough || left.is_zero() {
                return reach;
            }
            read = self.grown.wait_timeout(read, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub fn reader(&self) -> Result<Arc<Reader>, String> {
        self.reader.get().cloned().ok_or_else(|| "the record is not open".into())
    }

    pub fn sealed(&self) -> Arc<Sealings> {
        self.sealed.get().cloned().unwrap_or_default()
    }

    /// The kept state nearest before or at the entry `seq`.
    pub fn before(&self, seq: u64) -> Option<Arc<State>> {
        let read = self.lock();
        let after = read.states.partition_point(|s| s.seq <= seq);
        after.checked_sub(1).and_then(|i| read.states.get(i)).cloned()
    }

    pub fn curation(&self) -> Option<Curation> {
        self.lock().curation.clone()
    }

    pub fn recorded_at(&self, seq: u64) -> Option<Time> {
        let read = self.lock();
        let first = read.first()?;
        let at = usize::try_from(seq.checked_sub(first)?).ok()?;
        read.times.get(at).map(|ms| Time::from_ms(*ms))
    }

    pub fn entry_at(&self, at: Time) -> Option<u64> {
        let read = self.lock();
        let first = read.first()?;
        // From the end: of a time that the clock showed twice the later one is meant.
        let found = read.times.iter().rposition(|ms| *ms <= at.ms())?;
        Some(first + found as u64)
    }

    pub fn key_event(&self, seq: u64, forward: bool) -> Option<u64> {
        let read = self.lock();
        let first = read.first()?;
        let offset = |k: &(u32, Level)| first + u64::from(k.0);
        let at = match forward {
            true => read.keys.partition_point(|k| offset(k) <= seq),
            false => read.keys.partition_point(|k| offset(k) < seq).checked_sub(1)?,
        };
        read.keys.get(at).map(offset)
    }

    pub fn ticks(&self, from: Time, to: Time, columns: usize) -> Vec<Option<Level>> {
        let mut out = vec![None; columns];
        let read = self.lock();
        let whole = to.ms_since(from).max(1);
        for (offset, level) in &read.keys {
            let Some(ms) = read.times.get(*offset as usize) else { continue };
            let past = ms.saturating_sub(from.ms());
            let Ok(at) = usize::try_from(past.saturating_mul(columns as i64) / whole) else { continue };
            if let Some(slot) = out.get_mut(at.min(columns.saturating_sub(1))).filter(|_| past <= whole) {
                *slot = slot.map_or(Some(*level), |worst: Level| Some(worst.max(*level)));
            }
        }
        out
    }

    /// Takes over what was read, and the state when it is to be kept. Gives how far it is to the next one to keep.
    fn take(&self, batch: &mut Batch, state: &State, keep: bool) -> u64 {
        let mut read = self.lock();
        read.times.append(&mut batch.times);
        read.keys.append(&mut batch.keys);
        if keep {
            read.keep(Arc::new(state.clone()));
        }
        if let Some(span) = &mut read.span {
            span.damaged += std::mem::take(&mut batch.damaged);
            span.read = Point { seq: state.seq, at: state.at };
            if let Some(incident) = span.incident.as_ref().and_then(|id| state.incidents.get(id)) {
                span.marks = incident.clock.marks.clone();
            }
        }
        let stretch = read.stretch;
        drop(read);
        self.grown.notify_all();
        stretch
    }
}

impl Read {
    fn reach(&self) -> Reach {
        match (&self.failed, &self.span) {
            (Some(why), _) => Reach::Failed(why.clone()),
            (None, Some(span)) => Reach::Open(Box::new(span.clone())),
            (None, None) => Reach::Opening,
        }
    }

    fn first(&self) -> Option<u64> {
        Some(self.span.as_ref()?.first?.seq)
    }

    fn keep(&mut self, state: Arc<State>) {
        self.states.push(state);
        if self.states.len() > STATES {
            self.stretch *= 2;
            let mut n = 0;
            self.states.retain(|_| {
                n += 1;
                n % 2 == 1
            });
        }
    }
}

/// What is to be replayed. Errors: there is no such record, or no such incident.
fn find(dir: &Path, incident: Option<String>) -> Result<(Span, Reader), String> {
    let reader = Reader::open(dir).map_err(|e| format!("{e} (is {} a state directory?)", dir.display()))?;
    let fault = |e: crate::journal::JournalError| e.to_string();
    let last = reader.last_seq().map_err(fault)?;
    if last == 0 {
        return Err(format!("the record in {} has no entry that can be read", dir.display()));
    }
    let first_row = |id: &str| -> Result<Option<Entry>, String> {
        Ok(reader.incident_page(id, 0, 1).map_err(fault)?.entries.into_iter().next())
    };
    let known = reader.incidents().map_err(fault)?;
    let (id, declared) = match incident {
        Some(id) => {
            let entry = if known.contains(&id) { first_row(&id)? } else { None };
            let Some(entry) = entry else {
                let some: Vec<&str> = known.iter().rev().take(5).map(String::as_str).collect();
                let some = match some.is_empty() {
                    true => "no incident was ever declared here".to_owned(),
                    false => format!("there are {}", some.join(", ")),
                };
                return Err(format!("there is no incident \"{}\" in this record: {some}", crate::text::clean(&id)));
            };
            (Some(id), Some(entry))
        }
        None => {
            let mut newest: Option<(String, Entry)> = None;
            for id in known {
                if let Some(entry) = first_row(&id)?
                    && newest.as_ref().is_none_or(|(_, e)| e.seq < entry.seq)
                {
                    newest = Some((id, entry));
                }
            }
            newest.map_or((None, None), |(id, entry)| (Some(id), Some(entry)))
        }
    };
    let declared = declared.map(|e| Point { seq: e.seq, at: e.at });
    Ok((Span { incident: id, declared, last, ..Span::default() }, reader))
}

/// The last row of an incident.
fn last_row(reader: &Reader, id: &str) -> Option<u64> {
    let rows = reader.incident_rows(id).ok()?;
    (0..rows).rev().find_map(|row| reader.incident_page(id, row, 1).ok()?.entries.first().map(|e| e.seq))
}

/// The way through the record.
struct Folding<'a> {
    pass: &'a Weak<Pass>,
    state: State,
    batch: Batch,
    /// The first entry of the span, once it was met.
    first: Option<u64>,
    /// Entries of the span so far.
    count: usize,
    /// The entry of the last state that was kept, and how far it is to the next.
    kept: u64,
    stretch: u64,
}

impl Folding<'_> {
    /// Hands over what was read. False when nobody looks any more.
    fn hand_over(&mut self, keep: bool) -> bool {
        let Some(pass) = self.pass.upgrade() else { return false };
        self.stretch = pass.take(&mut self.batch, &self.state, keep);
        if keep {
            self.kept = self.state.seq;
        }
        true
    }

    /// Notes when an entry of the span was recorded, and whether it is a key event.
    fn note(&mut self, entry: &Entry, first: u64) {
        let offset = usize::try_from(entry.seq - first).unwrap_or(usize::MAX);
        // Entries that could not be read have the time of the one after them.
        while self.count <= offset {
            self.batch.times.push(entry.at.ms());
            self.count += 1;
        }
        let row = timeline::row(entry);
        if row.is_told()
            && let Ok(offset) = u32::try_from(offset)
        {
            self.batch.keys.push((offset, row.level));
        }
    }
}

fn fold(pass: &Weak<Pass>, reader: &Reader, span: &Span) -> Result<(), String> {
    let lead_up = span.declared.map(|d| d.at.minus(BEFORE));
    let starts = |entry: &Entry| match (span.declared, lead_up) {
        (Some(declared), Some(lead_up)) => entry.at >= lead_up || entry.seq >= declared.seq,
        _ => true,
    };
    let own_end = span.incident.as_deref().and_then(|id| last_row(reader, id));
    let mut way = Folding {
        pass,
        state: State::default(),
        batch: Batch::default(),
        first: None,
        count: 0,
        kept: 0,
        stretch: STRETCH,
    };
    let (mut end, mut since) = (span.last, 0usize);
    for next in reader.entries(1).map_err(|e| e.to_string())? {
        let Ok(entry) = next else {
            way.batch.damaged += 1;
            continue;
        };
        if entry.seq > end {
            break;
        }
        if way.first.is_none() && starts(&entry) {
            way.first = Some(entry.seq);
            // The state before the first entry is what it begins with.
            if !way.hand_over(true) {
                return Ok(());
            }
            if let Some(pass) = pass.upgrade()
                && let Some(span) = &mut pass.lock().span
            {
                span.first = Some(Point { seq: entry.seq, at: entry.at });
            }
        }
        way.state.apply(&entry);
        if let Some(first) = way.first {
            way.note(&entry, first);
        }
        since += 1;
        let due = way.first.is_some() && entry.seq.saturating_sub(way.kept) >= way.stretch;
        if due || since >= BATCH {
            since = 0;
            if !way.hand_over(due) {
                return Ok(());
            }
        }
        // An incident that is over ends its replay.
        if own_end == Some(entry.seq) {
            let incident = span.incident.as_ref().and_then(|id| way.state.incidents.get(id));
            if !incident.is_some_and(|i| i.status.is_open()) {
                end = entry.seq;
            }
        }
    }
    // Corrections that were made after the incident count as well, where somebody asks how it reads today.
    let mut curation = way.state.curation.clone();
    if end < span.last {
        let later = reader.entries(way.state.seq + 1).map_err(|e| e.to_string())?.filter_map(Result::ok);
        later.filter(|entry| is_correction(&entry.event)).for_each(|entry| curation.apply(&entry));
    }
    if !way.hand_over(false) {
        return Ok(());
    }
    let Some(pass) = pass.upgrade() else { return Ok(()) };
    let mut read = pass.lock();
    read.curation = Some(curation);
    if let Some(span) = &mut read.span {
        span.last = way.state.seq;
        span.whole = true;
    }
    drop(read);
    pass.grown.notify_all();
    Ok(())
}

fn is_correction(event: &Event) -> bool {
    matches!(
        event,
        Event::NoteCorrected(_)
            | Event::EntryRetimed(_)
            | Event::EntryPinned(_)
            | Event::EntryHidden(_)
            | Event::EntriesJoined(_)
            | Event::EntryRedacted(_)
    )
}
