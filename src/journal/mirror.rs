//! The copy elsewhere: every entry's line also goes to a second file, so that the record does not die with its disk.
//!
//! A thread of its own follows the record by position. It has no queue: a mirror that is slow, full, hangs or was not
//! there for a while is behind, holds up nothing, and catches up from where its own last line stands. What it cannot do
//! is told in [`MirrorState`] and tried again. A mirror whose last entry is not in this record is never touched.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::index::PartIndex;
use super::lines::{Head, Lines, Place, RawLine};
use super::parts::{self, LIVE, Part, REWRITE_SUFFIX};
use super::read::{Entries, LiveView};
use super::storage::{Access, Storage, StoredFile, copy_range, write_all};
use crate::domain::event::Event;

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
        let shared = Shared {
            state: MirrorState {
                path: path.clone(),
                ..MirrorState::default()
            },
            ..Shared::default()
        };
        let shared = Arc::new((Mutex::new(shared), Condvar::new()));
        let follower = Follower {
            storage,
            path,
            shared: shared.clone(),
            open: None,
            cursor: None,
        };
        // Not joined anywhere: it may hang in a file system that does not answer.
        thread::Builder::new()
            .name("journal-mirror".into())
            .spawn(move || follower.run())?;
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
        MirrorState {
            behind: shared.head.saturating_sub(shared.state.seq),
            ..shared.state.clone()
        }
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
            shared = self
                .shared
                .1
                .wait_timeout(shared, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
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

/// The mirror's file, and what is in it.
struct Target {
    file: Arc<dyn StoredFile>,
    len: u64,
    seq: u64,
}

struct Follower {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    shared: Arc<(Mutex<Shared>, Condvar)>,
    open: Option<Target>,
    /// Where it reads in the live part: that file, and its lines.
    cursor: Option<(Arc<dyn StoredFile>, Lines)>,
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
                true => {
                    self.shared
                        .1
                        .wait_timeout(shared, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                false => self.shared.1.wait(shared).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn catch_up(&mut self, record: &OnRecord) -> io::Result<()> {
        let mut target = match self.open.take() {
            Some(target) => target,
            None => open_target(self.storage.as_ref(), &self.path, record)?,
        };
        let mut piece = Vec::new();
        let mut seq = target.seq;
        let same = self
            .cursor
            .as_ref()
            .is_some_and(|(file, _)| Arc::ptr_eq(file, &record.live));
        if !same {
            let mut entries = Entries::new(&record.closed, None, seq + 1)?;
            loop {
                let next = entries.next_raw(|_, raw| take(&raw, seq, &mut piece));
                match next.map_err(|damage| io::Error::other(damage.to_string()))? {
                    None => break,
                    Some(taken) => self.taken(taken, &mut seq, &mut piece, &mut target)?,
                }
            }
            self.cursor = Some((
                record.live.clone(),
                Lines::new(record.live.clone(), Place::START, record.len),
            ));
        }
        let Some((file, mut lines)) = self.cursor.take() else {
            return Ok(());
        };
        lines.extend(record.len);
        while let Some(raw) = lines.next()? {
            let taken = take(&raw, seq, &mut piece);
            self.taken(taken, &mut seq, &mut piece, &mut target)?;
        }
        flush(&mut piece, &mut target, seq)?;
        self.cursor = Some((file, lines));
        self.open = Some(target);
        Ok(())
    }

    fn taken(&self, taken: Taken, seq: &mut u64, piece: &mut Vec<u8>, target: &mut Target) -> io::Result<()> {
        let (new, redacted) = match taken {
            Taken::Nothing => return Ok(()),
            Taken::Entry(new) => (new, None),
            Taken::Redaction { line, seq, of } => (seq, Some((line, of))),
        };
        if let Some((line, of)) = redacted {
            // Blanked before the entry that says so is there: cut short, it is begun again.
            flush(piece, target, *seq)?;
            blank(self.storage.as_ref(), &self.path, target, of, new)?;
            piece.extend_from_slice(&line);
        }
        *seq = new;
        if piece.len() >= PIECE {
            flush(piece, target, new)?;
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
        return Taken::Redaction {
            line: copy,
            seq: line.seq(),
            of: e.seq,
        };
    }
    piece.extend_from_slice(raw.bytes);
    piece.push(b'\n');
    Taken::Entry(line.seq())
}

fn flush(piece: &mut Vec<u8>, target: &mut Target, seq: u64) -> io::Result<()> {
    if piece.is_empty() {
        return Ok(());
    }
    let meta = target.file.meta()?;
    if meta.links == 0 || meta.len != target.len {
        return Err(io::Error::other(
            "it was deleted, replaced or written to by something else",
        ));
    }
    write_all(target.file.as_ref(), piece, target.len)?;
    target.file.sync()?;
    target.len += piece.len() as u64;
    target.seq = seq;
    piece.clear();
    Ok(())
}

/// Opens the mirror and finds how far it is. Errors: also when its last entry is not in this record.
fn open_target(storage: &dyn Storage, path: &Path, record: &OnRecord) -> io::Result<Target> {
    let other = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let file = storage.open(path, Access::Append)?;
    let len = file.meta()?.len;
    let whole = parts::last_line_end(file.as_ref(), len)?;
    if len > 0 && whole == 0 {
        return Err(other(
            "it holds something else than a journal: it is not touched".into(),
        ));
    }
    if whole == 0 {
        return Ok(Target { file, len: 0, seq: 0 });
    }
    let start = parts::last_line_end(file.as_ref(), whole - 1)?;
    let mut lines = Lines::new(file.clone(), Place { offset: start, line: 1 }, whole);
    let last = match lines.next()? {
        Some(raw) => raw.read().map(|line| Head {
            seq: line.seq(),
            hash: line.hash,
        }),
        None => Err("it is empty".into()),
    };
    let last = last.map_err(|why| other(format!("its last line: {why}: it is not touched")))?;
    let ours = hash_at(record, last.seq)?;
    if ours != Some(last) {
        return Err(other(format!(
            "it ends with entry {} ({}), which is not in this record: it is not touched",
            last.seq,
            last.hash.short()
        )));
    }
    if whole < len {
        file.set_len(whole)?;
    }
    Ok(Target {
        file,
        len: whole,
        seq: last.seq,
    })
}

fn hash_at(record: &OnRecord, seq: u64) -> io::Result<Option<Head>> {
    let index = PartIndex::empty();
    let live = LiveView {
        name: LIVE,
        file: &record.live,
        len: record.len,
        index: &index,
    };
    let mut entries = Entries::new(&record.closed, Some(live), seq)?;
    let look = |raw: RawLine<'_>| {
        raw.read().ok().map(|line| Head {
            seq: line.seq(),
            hash: line.hash,
        })
    };
    loop {
        match entries
            .next_raw(|_, raw| look(raw))
            .map_err(|damage| io::Error::other(damage.to_string()))?
        {
            None => return Ok(None),
            Some(Some(head)) if head.seq == seq => return Ok(Some(head)),
            Some(_) => {}
        }
    }
}

/// Blanks the payload of the entry `seq` in the mirror, written beside and renamed.
fn blank(storage: &dyn Storage, path: &Path, target: &mut Target, seq: u64, by: u64) -> io::Result<()> {
    let mut lines = Lines::new(target.file.clone(), Place::START, target.len);
    let mut found = None;
    while let Some(raw) = lines.next()? {
        let Ok(line) = raw.read() else { continue };
        if line.seq() == seq && line.redacted_by().is_none() && line.kind() != "entry.redacted" {
            found = Some((raw.place.offset, raw.len, line.redacted(by)));
            break;
        }
    }
    let Some((at, len, line)) = found else { return Ok(()) };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(REWRITE_SUFFIX);
    let beside = path.with_file_name(name);
    let file = storage.open(&beside, Access::Create)?;
    let rest = at + len;
    let after = at + line.len() as u64;
    copy_range(target.file.as_ref(), 0, file.as_ref(), 0, at)?;
    write_all(file.as_ref(), &line, at)?;
    copy_range(target.file.as_ref(), rest, file.as_ref(), after, target.len - rest)?;
    file.sync()?;
    storage.rename(&beside, path)?;
    target.len = after + target.len - rest;
    target.file = file;
    storage.sync_dir(
        path.parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new(".")),
    )
}
