//! The fold at some entry, kept so that starting does not mean reading everything. Never the truth: what does not fit
//! the journal, or is of another version, is dropped, and the fold begins at the first entry.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::index::PartIndex;
use super::line::Hash64;
use super::lines::{Head, Place};
use super::storage::{Storage, read_small, replace};
use super::{JournalError, parts};

/// Its file.
pub const NAME: &str = "checkpoint.json";
/// Counted up when the same entries come to another state.
const FORMAT: u32 = 2;
const LIMIT: u64 = 256 << 20;

/// What the engine gave to be kept, and the entry it stands at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last entry that is in `state_json`.
    pub seq: u64,
    /// The state, as it was given.
    pub state_json: String,
}

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    format: u32,
    /// Of mayday: a fold is only as good as the rules that made it.
    version: String,
    seq: u64,
    hash: String,
    /// The first entry of the part that the entry is in, and where in it the entry begins.
    part: u64,
    offset: u64,
    line: u64,
    /// SHA-256 of the state's bytes.
    digest: String,
    #[serde(borrow)]
    state: &'a RawValue,
}

/// A checkpoint that is whole in itself; whether it fits the journal is still to be seen.
pub(super) struct Found {
    pub checkpoint: Checkpoint,
    pub head: Head,
    /// First entry of the part.
    pub part: u64,
    /// Where the entry stands in it.
    pub place: Place,
}

/// A checkpoint that is still to be written. It needs nothing of the journal's writer, so that entries are recorded
/// meanwhile; of two, the later one stays, whichever is written first.
#[derive(Debug)]
pub struct Pending {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) dir: PathBuf,
    pub(super) head: Head,
    /// First entry of the part.
    pub(super) part: u64,
    pub(super) place: Place,
    /// That of the part that is written to, as it was then.
    pub(super) index: PartIndex,
    pub(super) gate: Arc<Gate>,
    /// Of the gate.
    pub(super) turn: u64,
}

/// What a checkpoint that is still to be written has to know of what happened since it was begun.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Grows when the record is written anew: what was folded before is not to be kept.
    turn: AtomicU64,
    /// The entry of the last checkpoint. Held while one is written.
    last: Mutex<u64>,
}

impl Gate {
    pub fn turn(&self) -> u64 {
        self.turn.load(Ordering::SeqCst)
    }

    /// From here on no checkpoint is written that was begun before; one that is being written is waited for.
    pub fn close(&self) {
        self.turn.fetch_add(1, Ordering::SeqCst);
        drop(self.last.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Pending {
    /// Writes it. False when it was overtaken: by a later one, or by a redaction. Errors: the journal is none the worse.
    pub fn write(self, state: &impl Serialize) -> Result<bool, JournalError> {
        let path = self.dir.join(NAME);
        self.save(state).map_err(JournalError::new("write", path))
    }

    fn save(self, state: &impl Serialize) -> io::Result<bool> {
        let mut last = self.gate.last.lock().unwrap_or_else(PoisonError::into_inner);
        if self.gate.turn() != self.turn || *last > self.head.seq {
            return Ok(false);
        }
        // First the index: a checkpoint without it would make the next start read the whole part for it.
        parts::save_index(self.storage.as_ref(), &self.dir, parts::LIVE, &self.index)?;
        save(self.storage.as_ref(), &self.dir, self.head, self.part, self.place, state)?;
        *last = self.head.seq;
        Ok(true)
    }
}

/// Reads it. `Ok(None)` when there is none. Errors: in words, why it cannot be used.
pub(super) fn load(storage: &dyn Storage, dir: &Path) -> Result<Option<Found>, String> {
    let bytes = match read_small(storage, &dir.join(NAME), LIMIT) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    let read: Stored<'_> = serde_json::from_slice(&bytes).map_err(|e| format!("it does not read: {e}"))?;
    if read.format != FORMAT || read.version != env!("CARGO_PKG_VERSION") {
        return Err(format!("it was written by mayday {}", read.version));
    }
    let hash = Hash64::parse(&read.hash).ok_or("its hash is not 64 hex digits")?;
    if Hash64::of(&[read.state.get().as_bytes()]).as_str() != read.digest {
        return Err("its state is not as it was written".into());
    }
    Ok(Some(Found {
        checkpoint: Checkpoint { seq: read.seq, state_json: read.state.get().to_owned() },
        head: Head { seq: read.seq, hash },
        part: read.part,
        place: Place { offset: read.offset, line: read.line },
    }))
}

/// The entry it stands at and that entry's hash, whichever version wrote it.
pub(super) fn seen(storage: &dyn Storage, dir: &Path) -> Option<Head> {
    #[derive(Deserialize)]
    struct Seen {
        seq: u64,
        hash: String,
    }
    let bytes = read_small(storage, &dir.join(NAME), LIMIT).ok()?;
    let seen: Seen = serde_json::from_slice(&bytes).ok()?;
    Some(Head { seq: seen.seq, hash: Hash64::parse(&seen.hash)? })
}

/// Writes it, synced and renamed.
fn save(
    storage: &dyn Storage,
    dir: &Path,
    head: Head,
    part: u64,
    place: Place,
    state: &impl Serialize,
) -> io::Result<()> {
    let state = serde_json::value::to_raw_value(state)?;
    let stored = Stored {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
        seq: head.seq,
        hash: head.hash.to_string(),
        part,
        offset: place.offset,
        line: place.line,
        digest: Hash64::of(&[state.get().as_bytes()]).to_string(),
        state: &state,
    };
    let mut bytes = serde_json::to_vec(&stored)?;
    bytes.push(b'\n');
    replace(storage, dir, NAME, &bytes)
}
