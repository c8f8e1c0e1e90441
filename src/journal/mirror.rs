//! The copy elsewhere: every entry's line also goes to a second file, so that the record does not die with its disk.
//!
//! A thread of its own follows the record by position. It has no queue: a mirror that is slow, full, hangs or was not
//! there for a while is behind, holds up nothing, and catches up from where its own last line stands. What it cannot do
//! is told in [`MirrorState`] and tried again. A mirror whose last entry is not in this record is never touched.

mod target;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::lines::{Head, Lines, Place, RawLine};
use super::parts::Part;
use super::read::Entries;
use super::storage::{Storage, StoredFile};
use crate::domain::event::Event;
use target::Target;

/// Between two tries after a failure.
const RETRY: Duration = Duration::from_secs(5);
/// Bytes written and synced at a time.
const PIECE: usize = 1 << 20;

/// How far the mirror is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorState {
    /// The file.
    pub path: PathBuf,
    /// The last entry that is synced there.
    pub seq: u64,
    /// Entries on record that are not there yet.
    pub behind: u64,
    /// Why it does not get on, if so.
    pub error: Option<String>,
}

/// What is on record: enough to read all of it.
#[derive(Clone, Debug)]
pub(super) struct OnRecord {
    pub closed: Arc<[Arc<Part>]>,
    pub live: Arc<dyn StoredFile>,
    pub len: u64,
    pub head: Head,
}

#[derive(Debug, Default)]
struct Shared {
    work: Option<OnRecord>,
    /// A work that was not taken up yet.
    fresh: bool,
    stop: bool,
    head: u64,
    state: MirrorState,
}

#[derive(Debug)]
pub(super) struct Mirror {
    shared: Arc<(Mutex<Shared>, Condvar)>,
}

impl Mirror {
    pub fn start(storage: Arc<dyn Storage>, path: PathBuf) -> io::Result<Self> {
        let shared =
            Shared { state: MirrorState { path: path.clone(), ..MirrorState::default() }, ..Shared::default() };
        let shared = Arc::new((Mutex::new(shared), Condvar::new()));
        let follower = Follower { storage, path, shared: shared.clone(), open: None, cursor: None, doubt: None };
        // Not joined anywhere: it may hang in a file system that does not answer.
        thread::Builder::new().name("journal-mirror".into()).spawn(move || follower.run())?;
        Ok(Mirror { shared })
    }

    /// There is more on record.
    pub fn follow(&self, record: OnRecord) {
        let mut shared = lock(&self.shared.0);
        shared.head = record.head.seq;
        shared.work = Some(record);
        shared.fresh = true;
        self.shared.1.notify_all();
    }

    pub fn state(&self) -> MirrorState {
        let shared = lock(&self.shared.0);
        MirrorState { behind: shared.head.saturating_sub(shared.state.seq), ..shared.state.clone() }
    }

    /// Waits until it has everything; false when `patience` ran out or it stands still with an error.
    pub fn wait(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut shared = lock(&self.shared.0);
        loop {
            if shared.state.seq >= shared.head {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || (shared.state.error.is_some() && !shared.fresh) {
                return false;
            }
            shared = self.shared.1.wait_timeout(shared, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        lock(&self.shared.0).stop = true;
        self.shared.1.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Follower {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    shared: Arc<(Mutex<Shared>, Condvar)>,
    open: Option<Target>,
    /// Where it reads in the live part: that file, and its lines.
    cursor: Option<(Arc<dyn StoredFile>, Lines)>,
    /// After this entry one was missing when it was looked at last.
    doubt: Option<u64>,
}

impl Follower {
    fn run(mut self) {
        while let Some(record) = self.next_work() {
            let round = self.catch_up(&record);
            let mut shared = lock(&self.shared.0);
            shared.state.seq = self.open.as_ref().map_or(shared.state.seq, |open| open.seq);
            match round {
                Ok(()) => shared.state.error = None,
                Err(e) => {
                    shared.state.error = Some(format!("mirror the journal to {}: {e}", self.path.display()));
                    // What was written is looked at anew: only its own last line says how far it is.
                    self.open = None;
                    self.cursor = None;
                }
            }
            self.shared.1.notify_all();
        }
    }

    /// Waits for more on record, or for the next try.
    fn next_work(&mut self) -> Option<OnRecord> {
        let mut shared = lock(&self.shared.0);
        let since = Instant::now();
        loop {
            if shared.stop {
                return None;
            }
            let retry = shared.state.error.is_some();
            let left = RETRY.saturating_sub(since.elapsed());
            // After a failure new entries do not bring the next try nearer: one a second would hammer what is broken.
            if let Some(work) = &shared.work
                && if retry { left.is_zero() } else { shared.fresh }
            {
                let work = work.clone();
                shared.fresh = false;
                return Some(work);
            }
            shared = match retry {
                true => self.shared.1.wait_timeout(shared, left).unwrap_or_else(PoisonError::into_inner).0,
                false => self.shared.1.wait(shared).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn catch_up(&mut self, record: &OnRecord) -> io::Result<()> {
        let mut target = match self.open.take() {
            Some(target) => target,
            None => target::open(self.storage.as_ref(), &self.path, record)?,
        };
        let mut piece = Vec::new();
        let mut seq = target.seq;
        let same = self.cursor.as_ref().is_some_and(|(file, _)| Arc::ptr_eq(file, &record.live));
        if !same {
            let mut entries = Entries::new(&record.closed, None, seq + 1)?;
            loop {
                let next = entries.next_raw(|_, raw| take(&raw, seq, &mut piece));
                match next.map_err(|damage| io::Error::other(damage.to_string()))? {
                    None => break,
                    Some(taken) => self.taken(taken, &mut seq, &mut piece, &mut target)?,
                }
            }
            self.cursor = Some((record.live.clone(), Lines::new(record.live.clone(), Place::START, record.len)));
        }
        let Some((file, mut lines)) = self.cursor.take() else {
            return Ok(());
        };
        lines.extend(record.len);
        while let Some(raw) = lines.next()? {
            let taken = take(&raw, seq, &mut piece);
            self.taken(taken, &mut seq, &mut piece, &mut target)?;
        }
        target::flush(&mut piece, &mut target, seq)?;
        self.cursor = Some((file, lines));
        self.open = Some(target);
        Ok(())
    }

    fn taken(&mut self, taken: Taken, seq: &mut u64, piece: &mut Vec<u8>, target: &mut Target) -> io::Result<()> {
        let (new, redacted) = match taken {
            Taken::Nothing => return Ok(()),
            Taken::Entry(new) => (new, None),
            Taken::Redaction { line, seq, of } => (seq, Some((line, of))),
        };
        if new != *seq + 1 && self.doubt != Some(*seq) {
            // It may be damaged, or just being written anew with a payload blanked: the next try tells.
            self.doubt = Some(*seq);
            return Err(io::Error::other(format!("entry {} cannot be read from the record", *seq + 1)));
        }
        if let Some((line, of)) = redacted {
            // Blanked before the entry that says so is there: cut short, it is begun again.
            target::flush(piece, target, *seq)?;
            target::blank(self.storage.as_ref(), &self.path, target, of, new)?;
            piece.extend_from_slice(&line);
        }
        *seq = new;
        if piece.len() >= PIECE {
            target::flush(piece, target, new)?;
        }
        Ok(())
    }
}

enum Taken {
    Nothing,
    /// Its line was added to the piece.
    Entry(u64),
    Redaction {
        line: Vec<u8>,
        seq: u64,
        of: u64,
    },
}

/// Takes a line that is a whole entry after `seq`; damage is not copied, it is told where it is.
fn take(raw: &RawLine<'_>, seq: u64, piece: &mut Vec<u8>) -> Taken {
    let Ok(line) = raw.read() else { return Taken::Nothing };
    if line.seq() <= seq || line.check().is_err() {
        return Taken::Nothing;
    }
    if line.kind() == "entry.redacted"
        && let Ok(entry) = line.entry()
        && let Event::EntryRedacted(e) = entry.event
    {
        let mut copy = raw.bytes.to_vec();
        copy.push(b'\n');
        return Taken::Redaction { line: copy, seq: line.seq(), of: e.seq };
    }
    piece.extend_from_slice(raw.bytes);
    piece.push(b'\n');
    Taken::Entry(line.seq())
}
