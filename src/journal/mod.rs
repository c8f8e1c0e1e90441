//! The record: an append-only, hash-chained file of entries that are on disk before anything comes of them.
//!
//! One [`Journal`] is the only writer of a state folder. It takes no lock of its own: whoever opens it holds the folder's
//! `engine.lock`, and no file is written here through any other door. All calls block on the disk; they belong on a
//! thread of their own. Many writers share one sync by handing their drafts to one [`Journal::append`].
//!
//! What it promises:
//! - An entry that `append` returned survives a crash: it was written with one write and synced.
//! - An entry that `append` did not return is not counted on: its bytes are cut off again before the next one is written.
//!   (After a crash in between it may be found whole, and is then kept.)
//! - Opening never drops silently. A torn end is moved to `journal.torn-<time>` and told; damage further in stays where it
//!   is, is told, and what follows it is still read.
//! - Nothing is rewritten, except that a redaction blanks one payload; the chain verifies before and after.
//!
//! Files in the folder: `journal.jsonl` (written to) and `journal-000001.jsonl` … (full); `*.index` where entries stand
//! and `checkpoint.json` the fold at some entry, both aids that are made anew when they are missing or do not fit;
//! `journal.torn-<time>` fragments; `journal.reserve` only where the file system cannot reserve space at a file's tail.
//!
//! After a failed sync the page cache is not believed: what it shows may never reach the disk. The journal then refuses
//! to record until [`Journal::reopen`] has cut the file to what was synced, dropped the cache and read the end back.
//!
//! Map: [`mod@line`] the format; `lines` walking and the chain; `index` and `parts` where things stand; `open` and `heal`
//! taking over a folder; `append`, `reserve`, `rotate`, `recover` writing; `read` and `reader` reading; [`verify`]
//! checking; `redact` blanking, `left` what stays, `search` looking for what is to go; `mirror` the copy elsewhere; [`storage`] what is asked of a file system.

mod append;
mod checkpoint;
mod heal;
mod index;
mod left;
pub mod line;
mod lines;
mod mirror;
mod open;
mod parts;
mod read;
mod reader;
mod recover;
mod redact;
mod reserve;
mod rotate;
mod search;
pub mod storage;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::domain::event::{Entry, Event};
use crate::domain::{Actor, Time};

pub use append::AppendError;
pub use checkpoint::{Checkpoint, Pending as PendingCheckpoint};
pub use heal::Healed;
pub use line::Hash64;
pub use lines::{Damage, Head};
pub use mirror::MirrorState;
pub use open::Opened;
pub use read::{Entries, Page};
pub use reader::Reader;
pub use recover::Tended;
pub use redact::RedactError;
pub use search::{Stored, StoredEntry, search};
pub use verify::{Anchor, Gap, PartReport, Redaction, Report, SentHead, verify, verify_all, verify_with};

use crate::config::MirrorTo;
use index::PartIndex;
use lines::{Lines, Place};
use mirror::{Mirror, OnRecord};
use parts::Part;
use reserve::Reserve;
use storage::{Disk, Storage, StoredFile};

/// A part is closed when it has this many bytes.
pub const ROTATE_BYTES: u64 = 64 << 20;
/// Space kept for the hours in which the disk is full.
pub const RESERVE_BYTES: u64 = 16 << 20;

/// How a journal is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Name of this host, put into every entry.
    pub host: String,
    /// A part is closed when it has this many bytes.
    pub rotate_bytes: u64,
    /// Space in bytes kept for the hours in which the disk is full.
    pub reserve_bytes: u64,
    /// A file or a command to which every entry's line goes as well, in the background.
    pub mirror: Option<MirrorTo>,
    /// The file system.
    pub storage: Arc<dyn Storage>,
}

impl OpenOptions {
    /// The usual sizes, on the real disk, files readable by their owner alone.
    pub fn new(host: impl Into<String>) -> Self {
        OpenOptions {
            host: host.into(),
            rotate_bytes: ROTATE_BYTES,
            reserve_bytes: RESERVE_BYTES,
            mirror: None,
            storage: Arc::new(Disk::default()),
        }
    }
}

/// An entry before it has its place in the record.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// When it is recorded.
    pub at: Time,
    /// Milliseconds of the boot clock.
    pub boot_ms: u64,
    /// Which boot that is.
    pub boot: String,
    pub actor: Actor,
    pub incident: Option<String>,
    pub event: Event,
}

/// A file operation of the journal that failed, outside of recording.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {}: {source}", path.display())]
pub struct JournalError {
    /// What was attempted, as in "open".
    pub doing: &'static str,
    /// On which file or folder.
    pub path: PathBuf,
    pub source: io::Error,
}

impl JournalError {
    fn new(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> JournalError {
        let path = path.into();
        move |source| JournalError { doing, path, source }
    }
}

/// The writer of a state folder's record. See the module.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    options: OpenOptions,
    closed: Arc<[Arc<Part>]>,
    live: Live,
    reserve: Reserve,
    head: Head,
    /// The head was recorded here, not found on opening.
    appended: bool,
    /// Why nothing can be recorded until it was reopened.
    failed: Option<String>,
    /// The live part is not closed before it has this many bytes: put off when closing it failed.
    rotate_at: u64,
    /// Entries that are to be blanked, each with the entry that says so.
    redactions: Vec<(u64, u64)>,
    mirror: Option<Mirror>,
    gate: Arc<checkpoint::Gate>,
}

/// The part that is written to.
#[derive(Debug)]
struct Live {
    file: Arc<dyn StoredFile>,
    /// Which file that is.
    id: (u64, u64),
    /// Covers all that is synced; its end is the end of the record.
    index: PartIndex,
}

impl Live {
    fn len(&self) -> u64 {
        self.index.covered().offset
    }
}

impl Journal {
    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The last entry on record, and its hash.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The seq that the next entry will have.
    pub fn next_seq(&self) -> u64 {
        self.head.seq + 1
    }

    /// Why nothing is being recorded, if so.
    pub fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Bytes that can still be recorded when the disk has no room at all.
    pub fn reserve_left(&self) -> u64 {
        self.reserve.left(self.live.len())
    }

    /// Bytes that the reserve has when it is whole.
    pub fn reserve_size(&self) -> u64 {
        self.options.reserve_bytes
    }

    /// The reserve lies at the journal's own tail, where nobody can take it; else it is a file beside it.
    pub fn reserve_is_tail(&self) -> bool {
        self.reserve.is_tail()
    }

    /// All entries from `from` on, as far as they are synced now.
    pub fn entries(&self, from: u64) -> Result<Entries, JournalError> {
        let entries = Entries::new(&self.closed, Some(self.view()), from);
        entries
            .map(|e| e.with_live(&self.closed, &self.view()))
            .map_err(JournalError::new("read the journal in", &self.dir))
    }

    /// At most `n` entries from `from` on.
    pub fn read_range(&self, from: u64, n: usize) -> Result<Page, JournalError> {
        Ok(read::page(self.entries(from)?, n))
    }

    /// The last `n` entries.
    pub fn tail(&self, n: usize) -> Result<Page, JournalError> {
        self.read_range(self.next_seq().saturating_sub(n as u64), n)
    }

    /// Rows that an incident has in the record.
    pub fn incident_rows(&self, incident: &str) -> Result<u64, JournalError> {
        let mut rows = self.live.index.rows(incident);
        for part in self.closed.iter() {
            rows += part.index().map_err(JournalError::new("read", self.dir.join(part.name())))?.rows(incident);
        }
        Ok(rows)
    }

    /// Rows of an incident: at most `n` from its row `row` (from 0) on, found without reading the others.
    pub fn incident_page(&self, incident: &str, row: u64, n: usize) -> Result<Page, JournalError> {
        read::incident_page(&self.closed, Some(self.view()), incident, row, n)
            .map_err(JournalError::new("read the journal in", &self.dir))
    }

    /// All rows of an incident.
    pub fn incident_entries(&self, incident: &str) -> Result<Page, JournalError> {
        self.incident_page(incident, 0, usize::MAX)
    }

    /// Keeps `state`, which holds all entries up to and including `seq`, so that the next start begins there. Errors: the
    /// journal is none the worse for them.
    pub fn checkpoint(&mut self, seq: u64, state: &impl Serialize) -> Result<(), JournalError> {
        self.begin_checkpoint(seq)?.write(state).map(|_| ())
    }

    /// As [`Journal::checkpoint`], to be written beside the recording.
    pub fn begin_checkpoint(&self, seq: u64) -> Result<PendingCheckpoint, JournalError> {
        let path = self.dir.join(checkpoint::NAME);
        let (head, part, place) = self.find(seq).map_err(JournalError::new("write", path))?;
        Ok(PendingCheckpoint {
            storage: self.options.storage.clone(),
            dir: self.dir.clone(),
            head,
            part,
            place,
            index: self.live.index.clone(),
            gate: self.gate.clone(),
            turn: self.gate.turn(),
        })
    }

    /// How far the mirror is; `None` when there is none.
    pub fn mirror(&self) -> Option<MirrorState> {
        self.mirror.as_ref().map(Mirror::state)
    }

    /// Ends the writing: waits for the mirror, at most `patience`, and some seconds more for the end of its command. False
    /// when it does not have everything.
    pub fn close(self, patience: Duration) -> bool {
        self.mirror.as_ref().is_none_or(|mirror| {
            let whole = mirror.wait(patience);
            mirror.end();
            whole
        })
    }

    fn feed_mirror(&self) {
        if let Some(mirror) = &self.mirror {
            let (closed, live) = (self.closed.clone(), self.live.file.clone());
            mirror.follow(OnRecord { closed, live, len: self.live.len(), head: self.head });
        }
    }

    /// The entry `seq` as a head, the first entry of its part, and where it stands.
    fn find(&self, seq: u64) -> io::Result<(Head, u64, Place)> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("there is no entry {seq} on record"));
        let (part, mut lines) = self.lines_before(seq)?.ok_or_else(missing)?;
        let first = part.and_then(|i| self.closed.get(i)).map_or(self.live.index.first(), |part| part.first());
        while let Some(raw) = lines.next()? {
            match raw.read() {
                Ok(line) if line.seq() == seq => return Ok((Head { seq, hash: line.hash }, first, raw.place)),
                Ok(line) if line.seq() > seq => break,
                _ => {}
            }
        }
        Err(missing())
    }

    /// Lines that begin a little before the entry `seq`, and which closed part they are of (`None`: the live one).
    fn lines_before(&self, seq: u64) -> io::Result<Option<(Option<usize>, Lines)>> {
        let first = self.live.index.first();
        if first > 0 && first <= seq {
            let start = self.live.index.before(seq);
            return Ok(Some((None, Lines::new(self.live.file.clone(), start, self.live.len()))));
        }
        let Some(i) = self.closed.iter().rposition(|part| part.first() > 0 && part.first() <= seq) else {
            return Ok(None);
        };
        let Some(part) = self.closed.get(i) else {
            return Ok(None);
        };
        Ok(Some((Some(i), part.lines(part.index()?.before(seq))?)))
    }

    fn storage(&self) -> &dyn Storage {
        self.options.storage.as_ref()
    }

    fn view(&self) -> read::LiveView<'_> {
        read::LiveView { name: parts::LIVE, file: &self.live.file, len: self.live.len(), index: &self.live.index }
    }
}

/// Parts that are missing before or between those that are there.
fn part_gaps(parts: &[Arc<Part>]) -> Vec<Damage> {
    let mut gaps = Vec::new();
    let mut wanted = 1;
    for part in parts {
        let Some(number) = parts::part_number(part.name()) else {
            continue;
        };
        let why = match number.checked_sub(wanted) {
            None | Some(0) => None,
            Some(1) => Some(format!("{} is missing before it", parts::part_name(wanted))),
            Some(_) => {
                Some(format!("{} to {} are missing before it", parts::part_name(wanted), parts::part_name(number - 1)))
            }
        };
        gaps.extend(why.map(|why| Damage::new(part.name(), None, why)));
        wanted = number + 1;
    }
    gaps
}

/// The entry that a draft becomes.
fn entry_of(draft: &Draft, seq: u64, host: &str) -> Entry {
    Entry {
        seq,
        at: draft.at,
        boot_ms: draft.boot_ms,
        boot: draft.boot.clone(),
        host: host.to_owned(),
        actor: draft.actor.clone(),
        incident: draft.incident.clone(),
        event: draft.event.clone(),
    }
}
