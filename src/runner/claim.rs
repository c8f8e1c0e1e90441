//! Who executes a plan: exactly one process, ever.
//!
//! The claim is created exclusively and is on disk before the first command. It names the process for good: pid, start
//! time and boot id together. Beside it the runner holds an advisory lock for its life, so that a claim can be judged
//! even where pids say little. A request that waited too long is claimed by the engine itself, as *expired*: after that
//! no runner can start it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::folder::{CLAIM, LOCK, read_json};
use crate::domain::Time;
use crate::sys::{clock, disk, proc};

/// The process that executes, or executed, a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Also the id of its session.
    pub pid: u32,
    /// Clock ticks since boot when it started.
    pub start: u64,
    pub boot: String,
    pub at: Time,
    /// Taken by the engine so that nobody executes the plan any more.
    #[serde(default)]
    pub expired: bool,
}

/// Why the plan was not claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    #[error("this plan was claimed before; a plan is executed at most once")]
    Taken,
    #[error("another runner holds this run's lock")]
    Locked,
    #[error("the claim cannot be written: {0}")]
    Io(#[from] io::Error),
}

impl Claim {
    pub(super) fn of_this_process() -> Claim {
        let pid = std::process::id();
        Claim {
            pid,
            start: i32::try_from(pid).ok().and_then(proc::pid_start_time).unwrap_or(0),
            boot: clock::boot_id(),
            at: Time::from_ms(clock::now_ms()),
            expired: false,
        }
    }

    /// The claiming process still runs, on the boot `boot`.
    pub fn is_alive(&self, boot: &str) -> bool {
        self.boot == boot && i32::try_from(self.pid).is_ok_and(|pid| proc::is_alive(pid, self.start))
    }

    /// Creates the claim file. On disk, with its name, when this returns.
    pub(super) fn write(&self, dir: &Path) -> Result<(), ClaimError> {
        let path = dir.join(CLAIM);
        let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(ClaimError::Taken),
            Err(e) => return Err(e.into()),
        };
        let written = serde_json::to_vec(self)
            .map_err(io::Error::other)
            .and_then(|bytes| file.write_all(&bytes))
            .and_then(|()| file.sync_all())
            .and_then(|()| disk::fsync_dir(dir));
        if let Err(e) = written {
            // Nothing was executed: the plan may be claimed again, or expire.
            let _ = std::fs::remove_file(&path);
            return Err(e.into());
        }
        Ok(())
    }

    /// `None` when there is no claim. A claim that does not read (its process died while writing it) is a claim of
    /// nobody: it is not alive.
    pub fn read(dir: &Path) -> io::Result<Option<Claim>> {
        match read_json(&dir.join(CLAIM)) {
            Ok(claim) => Ok(Some(claim)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) if e.kind() == io::ErrorKind::InvalidData => Ok(Some(Claim::default())),
            Err(e) => Err(e),
        }
    }
}

/// The lock of a run folder; given back when dropped or when the process ends, however that happens.
#[derive(Debug)]
pub(super) struct RunLock {
    _file: File,
}

impl RunLock {
    /// Waits up to `patience`: someone who only looks holds it for a moment.
    pub(super) fn take(path: &Path, patience: Duration) -> Result<RunLock, ClaimError> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        let until = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(RunLock { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => return Err(ClaimError::Locked),
                Err(TryLockError::Error(e)) => return Err(e.into()),
            }
        }
    }

    /// Whether somebody holds it; `false` when that cannot be told.
    pub(super) fn is_held(dir: &Path) -> bool {
        let Ok(file) = File::open(dir.join(LOCK)) else {
            return false;
        };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

/// Takes the claim away from any runner that might still come: the request waited too long. `true` when nobody had
/// claimed it; `false` when a runner was faster, and the run is to be followed as any other. On disk on return.
pub fn expire(dir: &Path) -> io::Result<bool> {
    match (Claim { expired: true, ..Claim::of_this_process() }).write(dir) {
        Ok(()) => Ok(true),
        Err(ClaimError::Taken | ClaimError::Locked) => Ok(false),
        Err(ClaimError::Io(e)) => Err(e),
    }
}
