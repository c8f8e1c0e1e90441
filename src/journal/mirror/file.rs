//! A mirror that is a file: written in large pieces, each synced.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::super::lines::Head;
use super::super::storage::Storage;
use super::source::{Sink, Source};
use super::target::{self, Target};
use super::{OnRecord, SharedRef, lock};

/// Between two tries after a failure.
const RETRY: Duration = Duration::from_secs(5);

/// Writes the file.
pub struct Follower {
    pub storage: Arc<dyn Storage>,
    pub path: PathBuf,
    pub shared: SharedRef,
    pub open: Option<Target>,
    pub source: Source,
}

struct Writing<'a> {
    storage: &'a dyn Storage,
    path: &'a std::path::Path,
    target: &'a mut Target,
}

impl Sink for Writing<'_> {
    const PIECE: usize = 1 << 20;

    fn put(&mut self, piece: &mut Vec<u8>, last: Head) -> io::Result<()> {
        target::flush(piece, self.target, last)
    }

    fn blank(&mut self, of: u64, by: u64) -> io::Result<()> {
        target::blank(self.storage, self.path, self.target, of, by)
    }
}

impl Follower {
    pub fn run(mut self) {
        while let Some(record) = self.next_work() {
            let round = self.catch_up(&record);
            let mut shared = lock(&self.shared.0);
            shared.state.seq = self.open.as_ref().map_or(shared.state.seq, |open| open.last.seq);
            match round {
                Ok(()) => shared.state.error = None,
                Err(e) => {
                    shared.state.error = Some(format!("mirror the journal to {}: {e}", self.path.display()));
                    // What was written is looked at anew: only its own last line says how far it is.
                    self.open = None;
                    self.source.forget();
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
        let from = target.last;
        let mut sink = Writing { storage: self.storage.as_ref(), path: &self.path, target: &mut target };
        self.source.copy(record, from, &mut sink)?;
        self.open = Some(target);
        Ok(())
    }
}
