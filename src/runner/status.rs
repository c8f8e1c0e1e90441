//! How a run ended: one file, there whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder::{STATUS, read_json};
use crate::domain::Time;
use crate::domain::run::{RunState, Verdict};
use crate::sys::disk;

/// Room allocated at the start, so that the end can be told on a full disk.
const RESERVE: u64 = 64 << 10;

/// The contents of `status.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub run: String,
    /// Succeeded, failed, timed-out or cancelled.
    pub state: RunState,
    /// Exit code of the last command; 127 when a program was not found, 126 when it could not be run, 128 + n when
    /// signal n ended it. Absent when no command was executed.
    #[serde(default)]
    pub exit: Option<i32>,
    pub verdict: Verdict,
    /// The last sentence, cleaned and masked.
    pub detail: String,
    /// What looked at the effect once all was done, and found it wanting: `smoke test: curl exited with 22 …`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    pub started_at: Time,
    pub finished_at: Time,
    /// How long each phase took, as far as it got.
    #[serde(default)]
    pub phases: Vec<PhaseTime>,
    /// SHA-256 of `output.log`, hex.
    #[serde(default)]
    pub output_digest: String,
    /// The last lines of the output.
    #[serde(default)]
    pub excerpt: String,
    #[serde(default)]
    pub output: OutputMap,
}

/// The time of one phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseTime {
    pub name: String,
    /// Milliseconds.
    pub took_ms: u64,
}

/// Which parts of the whole output `output.log` holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutputMap {
    /// Bytes that the run put out, masked and cleaned.
    pub total: u64,
    /// Bytes of them that were not kept.
    pub cut: u64,
    pub parts: Vec<Part>,
}

/// A part of the whole output within a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Where it begins in the whole output.
    pub start: u64,
    pub len: u64,
    /// Where it begins in the file.
    pub at: u64,
}

impl Status {
    /// What was done, what it has cost (`measured`), and last what was wrong with it.
    pub fn said(&self, measured: &str) -> String {
        let yet = if self.failed.is_empty() { String::new() } else { format!("; yet {}", self.failed.join("; ")) };
        format!("{}{measured}{yet}", self.detail)
    }

    /// `None` as long as the run has not ended.
    pub fn read(dir: &Path) -> io::Result<Option<Status>> {
        match read_json(&dir.join(STATUS)) {
            Ok(status) => Ok(Some(status)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// The status file before its time: made at the start with its room allocated, renamed at the end.
#[derive(Debug)]
pub(super) struct StatusFile {
    dir: PathBuf,
    beside: PathBuf,
    file: File,
}

impl StatusFile {
    pub(super) fn prepare(dir: &Path) -> io::Result<StatusFile> {
        let beside = dir.join(format!("{STATUS}.new"));
        let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        // Not every file system can; then it is written without a reserve.
        let _ = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, RESERVE);
        Ok(StatusFile { dir: dir.to_path_buf(), beside, file })
    }

    /// Writes, syncs, renames, syncs the folder.
    pub(super) fn finish(mut self, status: &Status) -> io::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(status).map_err(io::Error::other)?;
        bytes.push(b'\n');
        self.file.rewind()?;
        self.file.write_all(&bytes)?;
        self.file.set_len(bytes.len() as u64)?;
        self.file.sync_all()?;
        std::fs::rename(&self.beside, self.dir.join(STATUS))?;
        disk::fsync_dir(&self.dir)
    }
}
