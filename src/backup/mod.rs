//! The backup catalogue: which copies exist, how old and how large they are, and whether they can be trusted.
//!
//! A source ([`Source`]) lists and reads; it has opinions about nothing. The [`Catalogue`] decides when: at the start,
//! when the folder reports a change, at intervals for file systems that report none, and on request. What a listing
//! means is decided by the pure rules of [`crate::domain::backup::judge`], again whenever time alone changes the answer.
//!
//! Every call of a source may block for ever (a dead NFS server, a stopped FUSE process). It is therefore made on a
//! thread of its own; one that does not come back is told as such, waited for by nobody, and not made again until it
//! returns. Reading copies to their end happens on another thread at idle priority, one copy at a time.
//!
//! The catalogue never writes, never deletes, never follows a name out of the listed folder except through a symbolic
//! link to a file, and never hands out a name that a terminal would obey.

pub mod catalogue;
pub mod files;
mod log;
mod look;
pub mod pgdump;
pub mod repo;
pub mod vault;
pub mod verify;
mod watch;
mod whole;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::config::{self, BackupSource, Restore};
use crate::domain::Time;
use crate::domain::backup::{Found, Judged, Listing, Reading, Rules};

pub use catalogue::{Catalogue, Limits};

/// What is known of one backup set, as of its last look or its last change by time.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupReport {
    /// The set's name in the configuration.
    pub backup: String,
    /// The facts: the newest copies (at most [`Limits::kept`]), and count and bytes of all.
    pub listing: Arc<Listing>,
    /// When the last look began; `None` before the first.
    pub scanned_at: Option<Time>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Why it cannot be looked at now: unreadable, or "has not answered for 34s".
    pub problem: Option<String>,
    /// What the facts mean. `judged.copies` is the list to show and to restore from.
    pub judged: Judged,
}

/// The rules of a configured backup set.
pub fn rules_of(backup: &config::Backup) -> Rules {
    let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let settle = match &backup.source {
        BackupSource::Files(f) => f.settle,
        // A snapshot appears when it is complete.
        BackupSource::Vault(_) | BackupSource::Repo(_) => Some(Duration::ZERO),
    };
    Rules {
        rpo_ms: backup.rpo.map(ms),
        every_ms: backup.every.map(ms),
        grace_ms: backup.grace.map(ms),
        settle_ms: ms(settle.unwrap_or(Duration::from_secs(10))),
    }
}

/// What makes a copy the same one as before: device, inode, size and date. Anything learnt of its content holds for as
/// long as this stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mark(pub [u64; 4]);

impl Mark {
    /// The same device and inode, whatever size and date.
    pub fn same_place(&self, other: &Mark) -> bool {
        let ([a, b, ..], [c, d, ..]) = (self.0, other.0);
        (a, b) == (c, d)
    }
}

/// A copy with its mark.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub found: Found,
    pub mark: Mark,
}

/// What a look brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    /// The newest, newest first.
    pub copies: Vec<Seen>,
    pub count: u64,
    pub bytes: u64,
    pub remark: Option<String>,
}

/// A folder whose changes are worth another look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    pub path: PathBuf,
    pub recursive: bool,
    /// Device and inode: a folder that was put in its place has to be followed anew.
    pub identity: (u64, u64),
}

/// Signs of life of a blocking call, and the wish that it ends.
#[derive(Debug, Default)]
pub struct Beat {
    count: AtomicU64,
    read: AtomicU64,
    pace: AtomicU64,
    stop: AtomicBool,
}

impl Beat {
    /// Something was achieved: an entry read, a block decoded. True when the caller should give up.
    pub fn tick(&self) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.stop.load(Ordering::Relaxed)
    }

    /// How often something was achieved so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Notes how many bytes of the copy were read so far.
    pub fn read_up_to(&self, bytes: u64) {
        self.read.store(bytes, Ordering::Relaxed);
    }

    /// Bytes of the copy read so far; compare with its size.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes a second that may be read; 0, the beginning, for as many as there are.
    pub fn pace(&self, bytes_per_second: u64) {
        self.pace.store(bytes_per_second, Ordering::Relaxed);
    }

    /// How long to wait before going on, having read `bytes` since `began`. In short pieces, so that a stop is heard.
    pub fn rest(&self, bytes: u64, began: std::time::Instant) -> Duration {
        let Some(due) = bytes.saturating_mul(1000).checked_div(self.pace.load(Ordering::Relaxed)) else {
            return Duration::ZERO;
        };
        Duration::from_millis(due).saturating_sub(began.elapsed()).min(Duration::from_millis(100))
    }

    /// Whether the end was asked for.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Asks the call to end at its next tick.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// One way to find the copies of a backup set. All calls block and may hang; they are made off the async threads.
pub trait Source: Send + Sync + 'static {
    /// Where the copies lie, in words: `/backups/pg/*.dump`.
    fn place(&self) -> String;
    /// Sources with the same lane are never called at the same time, and hang together: the folder.
    fn lane(&self) -> String;
    /// Looks: at most `kept` copies, the newest. Errors are sentences that say what was tried, why not and what to do.
    fn list(&self, kept: usize, beat: &Beat) -> Result<Listed, String>;
    /// What to follow for changes; `None` where nothing would be reported (network file systems). Called after `list`.
    fn follow(&self) -> Option<Followed>;
    /// Reads one copy to its end. `Err`: what is wrong with it. `None`: it changed meanwhile, or was asked to stop.
    fn read(&self, copy: &Seen, beat: &Beat) -> Option<Result<Reading, String>>;
}

/// The source that a configuration asks for.
pub fn source_of(backup: &config::Backup) -> Arc<dyn Source> {
    match &backup.source {
        BackupSource::Files(f) => {
            let files = files::Files::new(f.clone(), backup.restore.as_ref());
            match &backup.restore {
                Some(Restore::PostgresPitr(how)) => Arc::new(log::WithLog::new(files, how)),
                _ => Arc::new(files),
            }
        }
        BackupSource::Vault(v) => Arc::new(vault::Vault::new(v)),
        BackupSource::Repo(r) => Arc::new(repo::Repository::new(r)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_paced_reading_rests_when_it_was_too_quick() {
        let beat = Beat::default();
        let now = Instant::now();
        assert_eq!(beat.rest(u64::MAX, now), Duration::ZERO, "as quick as it can");
        beat.pace(1000);
        assert_eq!(beat.rest(0, now), Duration::ZERO);
        let rest = beat.rest(50, now);
        assert!(rest <= Duration::from_millis(50), "{rest:?}");
        assert_eq!(beat.rest(1_000_000, now), Duration::from_millis(100), "in pieces");
        let Some(long_ago) = now.checked_sub(Duration::from_secs(5)) else { return };
        assert_eq!(beat.rest(5000, long_ago), Duration::ZERO);
    }
}
