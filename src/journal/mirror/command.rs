//! A mirror that is a command: it is given every entry's line on standard input, from the first one on.
//!
//! It runs as long as the record is open, and is started again when it ends, after a pause that grows. What it had not
//! read by then, and what came meanwhile, is read from the record and given to the next one. How far it is stands in a
//! file beside the record, so that a restart of the engine goes on there; after a crash it may be given entries of the
//! last second twice, which their `seq` tells. It is given what the record holds: a payload that is blanked later has
//! left the house, and the entry that says so follows it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::lines::Head;
use super::child::{Fed, Taken};
use super::source::{Sink, Source};
use super::target::hash_at;
use super::{OnRecord, Shared, SharedRef, lock};

/// Pauses before it is started again: doubling from the first to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// One that lived this long has not failed at once.
const LIVED: Duration = Duration::from_secs(10);
/// Between two tries to read what cannot be read from the record.
const RETRY: Duration = Duration::from_secs(5);
/// Between two looks while it has not read all, and while it has.
const LOOK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How long it may take to end once its input is closed.
const GRACE: Duration = Duration::from_secs(2);
/// Between two times that its place is written down.
const SAVE: Duration = Duration::from_secs(1);
const PLACE: &str = "mirror.json";

/// How far a command was, as it is written down.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// SHA-256 of its arguments: another command begins at the first entry.
    command: String,
    seq: u64,
    hash: String,
    torn: bool,
}

/// Feeds the command.
pub struct Feeder {
    path: PathBuf,
    argv: Vec<String>,
    shared: SharedRef,
    child: Option<Fed>,
    source: Source,
    /// Where it is; none before that was looked for.
    place: Option<Taken>,
    saved: (Option<Taken>, Instant),
    pause: Duration,
    not_before: Instant,
}

struct Feed<'a> {
    child: &'a mut Fed,
    shared: &'a SharedRef,
}

impl Sink for Feed<'_> {
    /// Each entry by itself, because each can be the last one that is read.
    const PIECE: usize = 1;

    fn put(&mut self, piece: &mut Vec<u8>, last: Head) -> io::Result<()> {
        while !piece.is_empty() {
            let before = piece.len();
            self.child.write(piece, LOOK.0)?;
            if piece.len() == before {
                let taken = self.child.taken();
                let mut shared = lock(&self.shared.0);
                shared.state.seq = taken.head.seq;
                if shared.stop || self.child.is_over() {
                    return Err(io::Error::other("nobody reads it"));
                }
            }
        }
        self.child.mark(last);
        Ok(())
    }

    fn blank(&mut self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }
}

impl Feeder {
    /// `dir` is the record's folder.
    pub fn new(dir: &Path, argv: Vec<String>, shared: SharedRef) -> Self {
        let now = Instant::now();
        Feeder {
            path: dir.join(PLACE),
            argv,
            shared,
            child: None,
            source: Source::default(),
            place: None,
            saved: (None, now),
            pause: BACKOFF.0,
            not_before: now,
        }
    }

    pub fn run(mut self) {
        while let Some(record) = self.next_work() {
            self.round(&record);
            self.save(false);
        }
        if let Some(child) = self.child.take() {
            let taken = child.finish(GRACE);
            self.place = Some(taken);
            self.tell(|shared| shared.state.seq = taken.head.seq);
        }
        self.save(true);
        self.tell(|shared| shared.done = true);
    }

    fn tell(&self, change: impl FnOnce(&mut Shared)) {
        change(&mut lock(&self.shared.0));
        self.shared.1.notify_all();
    }

    /// Waits for more on record, for the next look, or for the next try. `None`: it is over.
    fn next_work(&mut self) -> Option<OnRecord> {
        let behind = self.child.as_mut().is_some_and(|child| child.taken().head != child.last);
        let look = Instant::now() + if behind { LOOK.0 } else { LOOK.1 };
        let mut shared = lock(&self.shared.0);
        loop {
            if shared.stop {
                return None;
            }
            let now = Instant::now();
            let due = now >= self.not_before;
            let looks = now >= look && self.child.is_some() || self.child.is_none();
            if due
                && (looks || shared.fresh)
                && let Some(work) = shared.work.clone()
            {
                shared.fresh = false;
                return Some(work);
            }
            let wake = if self.child.is_none() { self.not_before } else { look.max(self.not_before) };
            // Without a record there is nothing to wait for but the record.
            let left = wake.saturating_duration_since(now).max(LOOK.0);
            shared = self.shared.1.wait_timeout(shared, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn round(&mut self, record: &OnRecord) {
        let place = match self.place {
            Some(place) => place,
            None => {
                let place = self.load(record);
                *self.place.insert(place)
            }
        };
        if self.child.is_none() {
            match Fed::start(&self.argv, place) {
                Ok(child) => self.child = Some(child),
                Err(e) => return self.failed(place, Duration::ZERO, &format!("it cannot be started: {e}")),
            }
            self.source.forget();
        }
        let Some(child) = &mut self.child else { return };
        let from = child.last;
        let read = self.source.copy(record, from, &mut Feed { child, shared: &self.shared });
        if let Some(ended) = child.ended() {
            let lived = child.begun.elapsed();
            self.child = None;
            return self.failed(ended.taken, lived, &ended.how);
        }
        let (taken, last, lived) = (child.taken(), child.last, child.begun.elapsed());
        self.place = Some(taken);
        let error = read.err().map(|e| self.fault(&e.to_string()));
        if error.is_some() {
            self.source.forget();
            self.not_before = Instant::now() + RETRY;
        }
        self.tell(|shared| {
            shared.state.seq = taken.head.seq;
            if error.is_some() {
                shared.state.error = error;
            } else if taken.head == last && lived > LOOK.1 || lived > LIVED {
                shared.state.error = None;
            }
        });
    }

    /// It is not there any more; it is tried again after a pause.
    fn failed(&mut self, taken: Taken, lived: Duration, why: &str) {
        self.place = Some(taken);
        let pause = if lived > LIVED { BACKOFF.0 } else { self.pause };
        self.pause = (pause * 2).min(BACKOFF.1);
        self.not_before = Instant::now() + pause;
        let error = self.fault(&format!("{why}; it is started again after {}", crate::text::duration(pause)));
        self.tell(|shared| {
            shared.state.seq = taken.head.seq;
            shared.state.error = Some(error);
        });
        self.save(true);
    }

    fn fault(&self, why: &str) -> String {
        format!("feed the journal to {}: {why}", self.argv.first().map_or("nothing", String::as_str))
    }

    fn command(&self) -> String {
        let mut sha = Sha256::new();
        for arg in &self.argv {
            sha.update((arg.len() as u64).to_le_bytes());
            sha.update(arg);
        }
        hex::encode(sha.finalize())
    }

    /// Where this command was, if what it had last is still this record's.
    fn load(&mut self, record: &OnRecord) -> Taken {
        let nowhere = Taken { head: Head::GENESIS, torn: false };
        let Some(saved) = std::fs::read(&self.path).ok().and_then(|b| serde_json::from_slice::<Saved>(&b).ok()) else {
            return nowhere;
        };
        if saved.command != self.command() {
            return nowhere;
        }
        match hash_at(record, saved.seq) {
            Ok(Some(head)) if head.hash.to_string() == saved.hash => Taken { head, torn: saved.torn },
            _ => Taken { head: Head::GENESIS, torn: saved.torn },
        }
    }

    /// Writes down how far it is. When that fails, the next start gives it some entries twice.
    fn save(&mut self, now: bool) {
        let Some(place) = self.place else { return };
        if self.saved.0 == Some(place) || !now && self.saved.1.elapsed() < SAVE {
            return;
        }
        let saved =
            Saved { command: self.command(), seq: place.head.seq, hash: place.head.hash.to_string(), torn: place.torn };
        self.saved.1 = Instant::now();
        let Ok(text) = serde_json::to_vec(&saved) else { return };
        match crate::sys::disk::write_atomic(&self.path, &text, 0o600) {
            Ok(()) => self.saved.0 = Some(place),
            Err(e) => tracing::debug!("writing down how far the mirror is failed: {e}"),
        }
    }
}
