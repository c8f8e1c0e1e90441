//! Recording, and not being able to: the journal's writer with the entries that wait for it.
//!
//! While nothing can be written, entries are kept in memory and the screen says so in red. When writing works again, a
//! `journal.gap` entry tells from when to when and why, and the kept entries follow it. Its place in the sequence is set
//! aside the moment the trouble begins, so that the kept entries keep their numbers.

use std::time::Duration;

use serde::Serialize;

use crate::domain::event::JournalGap;
use crate::domain::{Actor, Time};
use crate::journal::{AppendError, Draft, Journal};
use crate::wire::Recording;

/// Entries kept in memory at the most while nothing can be written.
const KEPT: usize = 100_000;
/// Between two tries to write again.
const RETRY: Duration = Duration::from_secs(2);

/// The journal and what has not reached it yet.
pub struct Recorder {
    journal: Option<Journal>,
    pending: Vec<Draft>,
    off: Option<Off>,
    head: (u64, String),
    reserve_left: u64,
    reserve_size: u64,
    /// The file system of the journal is full, as told by the last look.
    full: bool,
}

struct Off {
    since: Time,
    why: String,
    lost: u64,
    tried: tokio::time::Instant,
    /// The gap's own entry is on record, and writing failed again within what follows it.
    gap_written: bool,
}

impl Recorder {
    pub fn new(journal: Journal) -> Self {
        let mut recorder = Recorder {
            journal: Some(journal),
            pending: Vec::new(),
            off: None,
            head: (0, String::new()),
            reserve_left: 0,
            reserve_size: 0,
            full: false,
        };
        recorder.look();
        recorder
    }

    fn look(&mut self) {
        if let Some(journal) = &self.journal {
            let head = journal.head();
            self.head = (head.seq, head.hash.to_string());
            self.reserve_left = journal.reserve_left();
            self.reserve_size = journal.reserve_size();
        }
    }

    /// Position and full hash of the last entry on disk.
    pub fn head(&self) -> (u64, &str) {
        (self.head.0, &self.head.1)
    }

    /// First 8 hex digits of the head, for messages.
    pub fn head8(&self) -> String {
        self.head.1.chars().take(8).collect()
    }

    pub fn is_on(&self) -> bool {
        self.off.is_none()
    }

    pub fn has_pending(&self) -> bool {
        self.off.is_none() && !self.pending.is_empty()
    }

    /// The position that the next entry gets; one is set aside for the gap's own entry while nothing is written.
    pub fn next_seq(&self) -> u64 {
        let gap = self.off.as_ref().is_some_and(|off| !off.gap_written);
        self.head.0 + 1 + self.pending.len() as u64 + u64::from(gap)
    }

    /// Takes an entry. False when it is lost: nothing can be written and the memory for it is used up.
    pub fn take(&mut self, draft: Draft) -> bool {
        if let Some(off) = &mut self.off
            && self.pending.len() >= KEPT
        {
            off.lost += 1;
            return false;
        }
        self.pending.push(draft);
        true
    }

    pub fn recording(&self) -> Recording {
        match &self.off {
            Some(off) => {
                Recording::Off { since: off.since, why: off.why.clone(), kept: self.pending.len() as u64 }
            }
            None if self.full => Recording::Reserve { left: self.reserve_left },
            None => Recording::On,
        }
    }

    /// Writes and syncs what is pending. When that fails, nothing is lost: recording is off from here.
    pub async fn commit(&mut self, now: Time) {
        let drafts = std::mem::take(&mut self.pending);
        if let Some((back, why)) = self.append(drafts).await {
            tracing::error!("nothing is being recorded: {why}");
            self.pending = back;
            let tried = tokio::time::Instant::now();
            self.off = Some(Off { since: now, why, lost: 0, tried, gap_written: false });
        }
    }

    /// Appends off the async threads. Gives back what is not on record, with the reason, when it failed.
    async fn append(&mut self, drafts: Vec<Draft>) -> Option<(Vec<Draft>, String)> {
        let Some(mut journal) = self.journal.take() else {
            return Some((drafts, "the journal's writer is gone".into()));
        };
        let work = tokio::task::spawn_blocking(move || {
            let mut drafts = drafts;
            let failed = append_in_pieces(&mut journal, &drafts).err().map(|(written, why)| {
                drafts.drain(..written);
                (drafts, why)
            });
            (journal, failed)
        });
        match work.await {
            Ok((journal, failed)) => {
                self.journal = Some(journal);
                self.look();
                failed
            }
            // The writer's thread panicked and took the drafts along; that is told, never passed over.
            Err(e) => Some((Vec::new(), format!("the journal's writer failed: {e}"))),
        }
    }

    /// Regular care: refills the reserve, and tries to write again after trouble. True when recording came back.
    pub async fn tend(&mut self, now: Time) -> bool {
        let Some(off) = &mut self.off else {
            self.care().await;
            return false;
        };
        if off.tried.elapsed() < RETRY {
            return false;
        }
        off.tried = tokio::time::Instant::now();
        if !self.reopen().await {
            return false;
        }
        let Some(off) = self.off.take() else { return false };
        let kept = std::mem::take(&mut self.pending);
        let gap = JournalGap { since: off.since, until: now, kept: kept.len() as u64, lost: off.lost, why: off.why.clone() };
        let first = kept.first();
        let gap = Draft {
            at: now,
            boot_ms: first.map_or(0, |d| d.boot_ms),
            boot: first.map(|d| d.boot.clone()).unwrap_or_default(),
            actor: Actor::engine(),
            incident: first.and_then(|d| d.incident.clone()),
            event: gap.into(),
        };
        let mut drafts: Vec<Draft> = if off.gap_written { Vec::new() } else { vec![gap] };
        drafts.extend(kept);
        let all = drafts.len();
        match self.append(drafts).await {
            None => {
                tracing::info!("recording again");
                true
            }
            Some((mut back, why)) => {
                let gap_written = off.gap_written || back.len() < all;
                if !gap_written && !back.is_empty() {
                    back.remove(0);
                }
                self.pending = back;
                self.off = Some(Off { why, gap_written, ..off });
                false
            }
        }
    }

    async fn reopen(&mut self) -> bool {
        let Some(mut journal) = self.journal.take() else { return false };
        let work = tokio::task::spawn_blocking(move || {
            let ok = journal.reopen().is_ok();
            (journal, ok)
        });
        match work.await {
            Ok((journal, ok)) => {
                self.journal = Some(journal);
                self.look();
                ok
            }
            Err(_) => false,
        }
    }

    async fn care(&mut self) {
        let Some(mut journal) = self.journal.take() else { return };
        let work = tokio::task::spawn_blocking(move || {
            journal.tend();
            let dir = journal.dir().to_owned();
            let full = crate::sys::disk::free_bytes(&dir).is_ok_and(|free| free < 1 << 20);
            (journal, full)
        });
        if let Ok((journal, full)) = work.await {
            self.journal = Some(journal);
            self.look();
            // A whole reserve on a nearly full disk is worth a word too: the next thing to fail is somebody else's.
            self.full = full || self.reserve_left < self.reserve_size / 2;
        }
    }

    /// Writes a checkpoint of `state` at the head.
    pub async fn checkpoint<T: Serialize>(&mut self, state: &T) -> Result<(), String> {
        let value = serde_json::to_value(state).map_err(|e| e.to_string())?;
        let Some(mut journal) = self.journal.take() else { return Err("the journal's writer is gone".into()) };
        let seq = self.head.0;
        let work = tokio::task::spawn_blocking(move || {
            let result = journal.checkpoint(seq, &value).map_err(|e| e.to_string());
            (journal, result)
        });
        match work.await {
            Ok((journal, result)) => {
                self.journal = Some(journal);
                result
            }
            Err(e) => Err(e.to_string()),
        }
    }
}

/// Appends, in halves where all of it is more than one write may have. Errors: how many are on record, and why the rest
/// is not.
fn append_in_pieces(journal: &mut Journal, drafts: &[Draft]) -> Result<(), (usize, String)> {
    match journal.append(drafts) {
        Ok(_) => Ok(()),
        Err(AppendError::Unfit { .. }) if drafts.len() > 1 => {
            let (first, second) = drafts.split_at(drafts.len() / 2);
            append_in_pieces(journal, first)?;
            append_in_pieces(journal, second).map_err(|(written, why)| (first.len() + written, why))
        }
        Err(e) => Err((0, e.to_string())),
    }
}
