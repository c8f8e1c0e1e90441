//! The copy elsewhere: every entry's line also goes to a second file or to a command, so that the record does not die
//! with its disk.
//!
//! A thread of its own follows the record by position. It has no queue: a mirror that is slow, full, hangs or was not
//! there for a while is behind, holds up nothing, and catches up: a file from where its own last line stands, a command
//! from what it had read (see [`command`]). What it cannot do is told in [`MirrorState`] and tried again. A file whose
//! last entry is not in this record is never touched.

mod child;
mod command;
mod file;
mod source;
mod target;

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::lines::Head;
use super::parts::Part;
use super::storage::{Storage, StoredFile};
use crate::config::MirrorTo;

/// How long a command's end is waited for: its grace, and the end of it by force.
const END: Duration = Duration::from_secs(4);

/// How far the mirror is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorState {
    /// The file, or the command's program.
    pub name: String,
    /// The last entry that is synced there, or that the command has read.
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
    /// The thread has ended, and with it what it started.
    done: bool,
    head: u64,
    state: MirrorState,
}

type SharedRef = Arc<(Mutex<Shared>, Condvar)>;

#[derive(Debug)]
pub(super) struct Mirror {
    shared: SharedRef,
    /// What it started must not be left behind.
    is_command: bool,
}

impl Mirror {
    /// `dir` is the record's folder.
    pub fn start(storage: Arc<dyn Storage>, dir: &Path, to: MirrorTo) -> io::Result<Self> {
        let state = MirrorState { name: to.name(), ..MirrorState::default() };
        let shared = Arc::new((Mutex::new(Shared { state, ..Shared::default() }), Condvar::new()));
        // Not joined anywhere: it may hang in a file system that does not answer.
        let thread = thread::Builder::new().name("journal-mirror".into());
        let is_command = matches!(to, MirrorTo::Command(_));
        match to {
            MirrorTo::File(path) => {
                let source = source::Source::default();
                let follower = file::Follower { storage, path, shared: shared.clone(), open: None, source };
                thread.spawn(move || follower.run())?
            }
            MirrorTo::Command(argv) => {
                let feeder = command::Feeder::new(dir, argv, shared.clone());
                thread.spawn(move || feeder.run())?
            }
        };
        Ok(Mirror { shared, is_command })
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

    /// Ends it, and waits for the end of what it started; at most some seconds.
    pub fn end(&self) {
        let mut shared = lock(&self.shared.0);
        shared.stop = true;
        self.shared.1.notify_all();
        let until = Instant::now() + END;
        while self.is_command && !shared.done {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
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
