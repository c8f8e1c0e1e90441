//! What a run says while it goes: one line of JSON for each thing, appended.
//!
//! Lines that others must act on after a crash (what lies beside the live data, what has to be taken back) are synced
//! before the operation goes on. Lines about progress are neither synced nor missed when the disk is full. The room for
//! the synced ones is allocated at the start, so that a disk that fills up meanwhile does not strand a cut-over.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::folder::PROGRESS;
use super::status::Status;
use crate::domain::Time;
use crate::domain::run::{Side, Verdict};
use crate::recovery::op::Compensation;

/// Bytes allocated ahead, so that the lines that matter can be written on a full disk.
const RESERVE: u64 = 64 << 10;
/// Bytes looked at by [`tail`].
const TAIL: u64 = 64 << 10;
/// Bytes read at once by [`progress_since`].
const PORTION: u64 = 1 << 20;

/// One line of `progress.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "line")]
pub enum ProgressLine {
    Started {
        at: Time,
        pid: u32,
    },
    /// A phase began. The index one past the last phase is the after-check.
    Phase {
        at: Time,
        index: usize,
        name: String,
        /// Process groups that earlier steps left in the background on purpose: they are no part of this phase.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left: Vec<i32>,
    },
    Progress {
        at: Time,
        #[serde(flatten)]
        progress: Progress,
    },
    /// Something lies beside the live data, or was kept.
    Side {
        at: Time,
        side: Side,
    },
    /// Something listed before no longer exists.
    Gone {
        at: Time,
        name: String,
    },
    /// What has to be done if the runner dies now; `None` when nothing has to any more.
    Compensation {
        at: Time,
        what: Option<Compensation>,
    },
    Verdict {
        at: Time,
        verdict: Verdict,
        detail: String,
    },
    /// The end, as in `status.json`: it can be told here even when that file could not be written.
    Finished {
        at: Time,
        status: Box<Status>,
    },
    /// A line of another version.
    #[serde(other)]
    Unknown,
}

/// How far the present phase is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Units done, bytes where possible.
    pub done: u64,
    /// 0 when unknown.
    #[serde(default)]
    pub total: u64,
    /// `tables`, `bytes read`: what is counted.
    #[serde(default)]
    pub what: String,
    /// Milliseconds left in this phase, where they can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_ms: Option<u64>,
    /// Everything is read, and it goes on for as long as it takes: the share done says nothing of the time left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_read: bool,
}

impl Progress {
    /// What it is doing, with the counts where they say something.
    pub fn doing(&self) -> String {
        match (self.all_read, self.total) {
            (true, _) if self.what.is_empty() => ALL_READ.to_owned(),
            (true, _) => format!("{ALL_READ}: {}", self.what),
            (false, 0) => self.what.clone(),
            (false, total) => format!("{} {}/{total}", self.what, self.done),
        }
    }

    /// 0 to 1; `None` when the total is unknown.
    pub fn share(&self) -> Option<f64> {
        (self.total > 0).then(|| (self.done as f64 / self.total as f64).clamp(0.0, 1.0))
    }
}

/// What is said instead of a time left.
const ALL_READ: &str = "all read, the server is still working";

/// Milliseconds that a run has left, `share` of which was done in `spent`; from earlier runs where it does not tell yet
/// itself. `None` where neither can be told.
pub fn time_left(share: f64, spent: u64, progress: Option<&Progress>, expected_ms: Option<u64>) -> Option<u64> {
    match progress {
        Some(p) if p.all_read => None,
        Some(_) if share > 0.05 => Some(((spent as f64) * (1.0 - share) / share) as u64),
        // One that takes longer than earlier ones did has no time left to tell.
        _ => expected_ms.and_then(|e| e.checked_sub(spent)).filter(|left| *left > 0),
    }
}

/// Appends to `progress.jsonl`.
#[derive(Debug)]
pub(super) struct ProgressLog {
    file: File,
    at: u64,
}

impl ProgressLog {
    /// Opens for appending; a line that was torn by a crash is ended first.
    pub(super) fn open(dir: &Path) -> io::Result<ProgressLog> {
        let path = dir.join(PROGRESS);
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
        let at = file.metadata()?.len();
        let mut log = ProgressLog { file, at };
        let mut last = [0u8];
        if at > 0 && log.file.read_at(&mut last, at - 1)? == 1 && last != [b'\n'] {
            log.write_bytes(b"\n")?;
        }
        // Not every file system can; then the lines are written without a reserve.
        let _ = rustix::fs::fallocate(&log.file, rustix::fs::FallocateFlags::KEEP_SIZE, log.at, RESERVE);
        Ok(log)
    }

    /// One line; `sync` has it on disk on return.
    pub(super) fn write(&mut self, line: &ProgressLine, sync: bool) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line).map_err(io::Error::other)?;
        bytes.push(b'\n');
        self.write_bytes(&bytes)?;
        if sync { self.file.sync_data() } else { Ok(()) }
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Written at a position of our own, so that a half-written line is overwritten by the next one.
        self.file.seek(SeekFrom::Start(self.at))?;
        match self.file.write_all(bytes) {
            Ok(()) => {
                self.at += bytes.len() as u64;
                Ok(())
            }
            Err(e) => {
                let _ = self.file.set_len(self.at);
                Err(e)
            }
        }
    }
}

/// The lines that were added after `offset` bytes, and the offset to go on from. Begin with 0. A line that is still
/// being written is left for the next call. No file means no lines.
pub fn progress_since(dir: &Path, offset: u64) -> io::Result<(Vec<ProgressLine>, u64)> {
    let mut file = match File::open(dir.join(PROGRESS)) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), offset)),
        Err(e) => return Err(e),
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(PORTION).read_to_end(&mut bytes)?;
    let whole = match bytes.iter().rposition(|b| *b == b'\n') {
        Some(end) => bytes.get(..=end).unwrap_or_default(),
        // A single line of a mebibyte is nothing that this program writes: step over it.
        None if bytes.len() as u64 >= PORTION => return Ok((Vec::new(), offset + PORTION)),
        None => return Ok((Vec::new(), offset)),
    };
    let lines = whole.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    Ok((lines, offset + whole.len() as u64))
}

/// Every line there is.
pub(super) fn all(dir: &Path) -> io::Result<Vec<ProgressLine>> {
    let (mut lines, mut offset) = (Vec::new(), 0);
    loop {
        let (more, next) = progress_since(dir, offset)?;
        if next == offset {
            return Ok(lines);
        }
        lines.extend(more);
        offset = next;
    }
}

/// The lines in the last part of the file; the first of them may have been cut and is then not among them.
pub(super) fn tail(dir: &Path) -> io::Result<Vec<ProgressLine>> {
    let len = match std::fs::metadata(dir.join(PROGRESS)) {
        Ok(meta) => meta.len(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
        Err(e) => return Err(e),
    };
    Ok(progress_since(dir, len.saturating_sub(TAIL))?.0)
}

/// The compensation that is open after these lines.
pub(super) fn open_compensation(lines: &[ProgressLine]) -> Option<Compensation> {
    lines.iter().rev().find_map(|line| match line {
        ProgressLine::Compensation { what, .. } => Some(what.clone()),
        _ => None,
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_told_once_all_is_read() {
        let mut progress = Progress { done: 60, total: 100, what: "loading".into(), ..Progress::default() };
        assert_eq!(progress.doing(), "loading 60/100");
        assert_eq!(time_left(0.6, 6_000, Some(&progress), None), Some(4_000));
        (progress.done, progress.all_read) = (100, true);
        assert_eq!(progress.doing(), "all read, the server is still working: loading");
        assert_eq!(time_left(0.75, 20_000, Some(&progress), Some(30_000)), None);
    }

    #[test]
    fn earlier_runs_tell_until_it_takes_longer_than_they_did() {
        assert_eq!(time_left(0.0, 4_000, None, Some(10_000)), Some(6_000));
        assert_eq!(time_left(0.0, 11_000, None, Some(10_000)), None, "not 0: nobody knows");
        assert_eq!(time_left(0.0, 4_000, None, None), None);
    }
}
