//! Recording, and not being able to: the journal's writer with the entries that wait for it.
//!
//! While nothing can be written, entries are kept in memory and the screen says so in red. When writing works again, a
//! `journal.gap` entry tells from when to when and why, and the kept entries follow it. Its place in the sequence is set
//! aside the moment the trouble begins; entries that were numbered before that moment move by one, and whoever holds a
//! number is told by a [`Shift`]. So the live state is what a replay of the record gives, trouble or not.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::domain::event::{Entry, Event, JournalGap};
use crate::domain::{Actor, Time};
use crate::journal::{AppendError, Draft, Healed, Journal, OpenOptions};
use crate::wire::Recording;

/// Entries kept in memory at the most while nothing can be written, and their bytes, about.
const KEPT: usize = 100_000;
const KEPT_BYTES: usize = 64 << 20;
/// A mirror that lacks entries and has not moved for this long is told.
const MIRROR_HANGS: Duration = Duration::from_secs(30);
/// Between two tries to write again.
const RETRY: Duration = Duration::from_secs(2);

/// Entries that were numbered already turned out to get other numbers: those from `from` on moved by `by`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    pub from: u64,
    pub by: i64,
}

/// Where and in which incident's story a gap is told.
#[derive(Clone, Debug)]
pub struct Moment {
    pub at: Time,
    pub boot_ms: u64,
    pub boot: String,
    pub incident: Option<String>,
}

/// What a look after the journal came to.
#[derive(Debug, Default)]
pub struct Tended {
    /// Recording came back; this entry tells of the gap, and stands before the kept ones.
    pub gap: Option<Entry>,
    /// In this order.
    pub shifts: Vec<Shift>,
    /// Something else had written behind the record: it was moved aside.
    pub healed: Option<Healed>,
}

/// The journal and what has not reached it yet.
pub struct Recorder {
    journal: Option<Journal>,
    /// How to open the journal again should its writer be gone.
    options: OpenOptions,
    dir: PathBuf,
    pending: Vec<Draft>,
    /// Position of the first pending entry.
    base: u64,
    off: Option<Off>,
    head: (u64, String),
    reserve_left: u64,
    reserve_size: u64,
    /// The file system of the journal is full, as told by the last look.
    full: bool,
    /// Where the mirror was last seen to move, and when.
    mirrored: (u64, tokio::time::Instant),
    /// A checkpoint that is being written.
    checkpointing: Option<tokio::task::JoinHandle<Result<bool, String>>>,
}

struct Off {
    since: Time,
    why: String,
    lost: u64,
    bytes: usize,
    tried: tokio::time::Instant,
}

impl Recorder {
    /// `options` are those that `journal` was opened with.
    pub fn new(journal: Journal, options: OpenOptions) -> Self {
        let mut recorder = Recorder {
            dir: journal.dir().to_owned(),
            options,
            journal: Some(journal),
            pending: Vec::new(),
            base: 0,
            off: None,
            head: (0, String::new()),
            reserve_left: 0,
            reserve_size: 0,
            full: false,
            mirrored: (0, tokio::time::Instant::now()),
            checkpointing: None,
        };
        recorder.look();
        recorder.base = recorder.head.0 + 1;
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

    /// Nothing can be written, and the memory for what is kept meanwhile is used up.
    pub fn is_full(&self) -> bool {
        self.off.as_ref().is_some_and(|off| self.pending.len() >= KEPT || off.bytes >= KEPT_BYTES)
    }

    /// The position that the next entry gets. While nothing is written, one is set aside for the gap's own entry.
    pub fn next_seq(&self) -> u64 {
        self.base + self.pending.len() as u64
    }

    /// Takes an entry. False when it is lost: nothing can be written and the memory for it is used up.
    pub fn take(&mut self, draft: Draft) -> bool {
        let full = self.is_full();
        if let Some(off) = &mut self.off {
            if full {
                off.lost += 1;
                return false;
            }
            off.bytes += weight(&draft);
        }
        self.pending.push(draft);
        true
    }

    pub fn recording(&self) -> Recording {
        match &self.off {
            Some(off) => Recording::Off { since: off.since, why: off.why.clone(), kept: self.pending.len() as u64 },
            None if self.full => Recording::Reserve { left: self.reserve_left },
            None => Recording::On,
        }
    }

    /// Writes and syncs what is pending. When that fails, nothing is lost: recording is off from here, and what was
    /// numbered already moves to make room for the gap's entry.
    pub async fn commit(&mut self, now: Time) -> Vec<Shift> {
        let drafts = std::mem::take(&mut self.pending);
        // Something else may have moved the head (a journal that was put back from a copy).
        let mut shifts: Vec<Shift> = shift(self.base, self.head.0 + 1).into_iter().collect();
        match self.append(drafts).await {
            None => self.base = self.head.0 + 1,
            Some((back, why)) => shifts.extend(self.go_off(back, why, now)),
        }
        shifts
    }

    /// From now on nothing is recorded. `back` are the entries that did not reach the disk.
    fn go_off(&mut self, back: Vec<Draft>, why: String, since: Time) -> Option<Shift> {
        tracing::error!("nothing is being recorded: {why}");
        let first = self.head.0 + 1;
        let bytes = back.iter().map(weight).sum();
        let shift = (!back.is_empty()).then_some(Shift { from: first, by: 1 });
        self.pending = back;
        self.base = first + 1;
        self.off = Some(Off { since, why, lost: 0, bytes, tried: tokio::time::Instant::now() });
        shift
    }

    /// Appends off the async threads. Gives what is not on disk back with the reason when it failed.
    async fn append(&mut self, drafts: Vec<Draft>) -> Option<(Vec<Draft>, String)> {
        let Some(mut journal) = self.journal.take() else {
            return Some((drafts, "the journal's writer failed inside and is being set up again".into()));
        };
        let drafts = Arc::new(drafts);
        let shared = Arc::clone(&drafts);
        let work = tokio::task::spawn_blocking(move || {
            let (written, result) = write_all(&mut journal, &shared);
            (journal, written, result)
        });
        let (written, why) = match work.await {
            Ok((journal, written, result)) => {
                self.journal = Some(journal);
                self.look();
                match result {
                    Ok(()) => return None,
                    Err(why) => (written, why),
                }
            }
            // How much of it was written is seen when the journal is opened again: see `reopen`.
            Err(e) => (0, format!("the journal's writer failed inside: {e}")),
        };
        let mut drafts = Arc::try_unwrap(drafts).unwrap_or_else(|shared| (*shared).clone());
        drafts.drain(..written.min(drafts.len()));
        Some((drafts, why))
    }

    /// Regular care: refills the reserve, and tries to write again after trouble.
    pub async fn tend(&mut self, moment: Moment) -> Tended {
        let Some(off) = &mut self.off else {
            return self.care(moment.at).await;
        };
        if off.tried.elapsed() < RETRY {
            return Tended::default();
        }
        off.tried = tokio::time::Instant::now();
        let Some(healed) = self.reopen().await else { return Tended::default() };
        let Some(off) = self.off.take() else { return Tended::default() };
        let kept = std::mem::take(&mut self.pending);
        let mut shifts: Vec<Shift> =
            shift(self.base, self.head.0 + 2).filter(|_| !kept.is_empty()).into_iter().collect();
        let gap = JournalGap {
            since: off.since,
            until: moment.at,
            kept: kept.len() as u64,
            lost: off.lost,
            why: off.why.clone(),
        };
        let seq = self.head.0 + 1;
        let Moment { at, boot_ms, boot, incident } = moment;
        let gap = Draft { at, boot_ms, boot, actor: Actor::engine(), incident, event: gap.into() };
        let entry = Entry {
            seq,
            at: gap.at,
            boot_ms: gap.boot_ms,
            boot: gap.boot.clone(),
            host: self.options.host.clone(),
            actor: gap.actor.clone(),
            incident: gap.incident.clone(),
            event: gap.event.clone(),
        };
        let mut drafts = Vec::with_capacity(kept.len() + 1);
        drafts.push(gap);
        drafts.extend(kept);
        let Some((mut back, why)) = self.append(drafts).await else {
            tracing::info!("recording again");
            self.base = self.head.0 + 1;
            return Tended { gap: Some(entry), shifts, healed };
        };
        if self.head.0 < seq {
            // Not even the gap's entry: everything stays as it was.
            if !back.is_empty() {
                back.remove(0);
            }
            self.base = seq + 1;
            self.pending = back;
            self.off = Some(Off { why, ..off });
            return Tended { gap: None, shifts, healed };
        }
        // Some of it is on record; what is left waits for a gap of its own.
        shifts.extend(self.go_off(back, why, at));
        Tended { gap: Some(entry), shifts, healed }
    }

    /// `None`: it still does not work.
    async fn reopen(&mut self) -> Option<Option<Healed>> {
        let journal = self.journal.take();
        let (dir, options) = (self.dir.clone(), self.options.clone());
        let work = tokio::task::spawn_blocking(move || match journal {
            Some(mut journal) => {
                let healed = journal.reopen().ok();
                (Some(journal), healed)
            }
            None => match Journal::open(&dir, options) {
                Ok((journal, opened)) => (Some(journal), Some(opened.healed)),
                Err(_) => (None, None),
            },
        });
        match work.await {
            Ok((journal, healed)) => {
                self.journal = journal;
                self.look();
                healed
            }
            Err(_) => None,
        }
    }

    async fn care(&mut self, now: Time) -> Tended {
        let Some(mut journal) = self.journal.take() else { return Tended::default() };
        let work = tokio::task::spawn_blocking(move || {
            let tended = journal.tend();
            let dir = journal.dir().to_owned();
            let full = crate::sys::disk::free_bytes(&dir).is_ok_and(|free| free < 1 << 20);
            (journal, full, tended)
        });
        let mut healed = None;
        let failed = match work.await {
            Ok((journal, full, tended)) => {
                self.journal = Some(journal);
                self.look();
                // A whole reserve on a nearly full disk is worth a word too: the next thing to fail is somebody else's.
                self.full = full || self.reserve_left < self.reserve_size / 2;
                healed = tended.healed;
                tended.failed
            }
            Err(e) => Some(format!("the journal's writer failed inside: {e}")),
        };
        let pending = !self.pending.is_empty();
        let mut shifts: Vec<Shift> = shift(self.base, self.head.0 + 1).filter(|_| pending).into_iter().collect();
        self.base = self.head.0 + 1;
        if let Some(why) = failed {
            // Found out before somebody needed it.
            let back = std::mem::take(&mut self.pending);
            shifts.extend(self.go_off(back, why, now));
        }
        Tended { gap: None, shifts, healed }
    }

    /// Blanks what is on record to be blanked. Errors: it is not, yet, and is tried again.
    pub async fn redact(&mut self) -> Result<(), String> {
        let Some(mut journal) = self.journal.take() else { return Err("the journal's writer is gone".into()) };
        let work = tokio::task::spawn_blocking(move || {
            let done = journal.carry_out_redactions().map_err(|e| e.to_string());
            (journal, done)
        });
        let (journal, done) = work.await.map_err(|e| format!("the journal's writer failed inside: {e}"))?;
        self.journal = Some(journal);
        self.look();
        done.map(|_| ())
    }

    /// What is the matter with the mirror, in words; `None` when there is none, or it gets on.
    pub fn mirror_fault(&mut self) -> Option<String> {
        let mirror = self.journal.as_ref()?.mirror()?;
        let now = tokio::time::Instant::now();
        if mirror.behind == 0 || mirror.seq != self.mirrored.0 {
            self.mirrored = (mirror.seq, now);
        }
        let still = now.duration_since(self.mirrored.1);
        let why = match mirror.error {
            Some(why) => why,
            None if mirror.behind > 0 && still >= MIRROR_HANGS => {
                format!("{} does not get on for more than {} s", mirror.name, MIRROR_HANGS.as_secs())
            }
            None => return None,
        };
        let (first, last) = (mirror.seq + 1, mirror.seq + mirror.behind);
        Some(match mirror.behind {
            0 => format!("its mirror lacks nothing yet, and does not go on: {why}"),
            1 => format!("its mirror lacks entry {first}: {why}"),
            _ => format!("its mirror lacks entries {first} to {last}: {why}"),
        })
    }

    /// Has a checkpoint of `state` at the head written, beside the recording. Not while another one still is: false then.
    pub async fn checkpoint<T: Serialize + Send + 'static>(&mut self, state: T) -> Result<bool, String> {
        if self.checkpointing.as_ref().is_some_and(|work| !work.is_finished()) {
            return Ok(false);
        }
        let told = self.checkpointed().await;
        let Some(journal) = self.journal.take() else { return Err("the journal's writer is gone".into()) };
        let seq = self.head.0;
        let begun = tokio::task::spawn_blocking(move || {
            let pending = journal.begin_checkpoint(seq).map_err(|e| e.to_string());
            (journal, pending)
        });
        let (journal, pending) = begun.await.map_err(|e| e.to_string())?;
        self.journal = Some(journal);
        let pending = pending?;
        self.checkpointing =
            Some(tokio::task::spawn_blocking(move || pending.write(&state).map_err(|e| e.to_string())));
        told.map(|()| true)
    }

    /// Waits for the checkpoint that is being written, if one is.
    pub async fn checkpointed(&mut self) -> Result<(), String> {
        match self.checkpointing.take() {
            None => Ok(()),
            Some(work) => work.await.map_err(|e| e.to_string())?.map(|_| ()),
        }
    }

    /// Ends the writing: what the mirror lacks is given a moment to reach it.
    pub async fn close(mut self) {
        if !self.pending.is_empty() {
            tracing::error!("{} entries could not be recorded and end with this engine", self.pending.len());
        }
        if let Some(journal) = self.journal.take() {
            let _ = tokio::task::spawn_blocking(move || journal.close(Duration::from_secs(2))).await;
        }
    }
}

fn shift(numbered: u64, real: u64) -> Option<Shift> {
    let by = real.cast_signed() - numbered.cast_signed();
    (by != 0).then_some(Shift { from: numbered, by })
}

/// About how many bytes an entry takes.
fn weight(draft: &Draft) -> usize {
    512 + serde_json::to_vec(&draft.event.payload()).map_or(0, |v| v.len())
}

/// Writes in pieces that the journal takes: one sync for all where they fit. Gives how many are on disk.
fn write_all(journal: &mut Journal, drafts: &[Draft]) -> (usize, Result<(), String>) {
    let (mut done, mut piece) = (0, drafts.len());
    while done < drafts.len() {
        let Some(some) = drafts.get(done..(done + piece).min(drafts.len())) else { break };
        match journal.append(some) {
            Ok(_) => done += some.len(),
            Err(AppendError::Unfit { .. }) if some.len() > 1 => piece = some.len().div_ceil(2),
            Err(AppendError::Unfit { why, .. }) => {
                // Alone too large: its place is kept, and what it was is told. One entry must not stop the record.
                let stub = some.iter().map(|d| Draft {
                    event: Event::Unknown {
                        kind: d.event.kind().to_owned(),
                        payload: serde_json::json!({ "unfit": why }),
                    },
                    ..d.clone()
                });
                match journal.append(&stub.collect::<Vec<_>>()) {
                    Ok(_) => done += 1,
                    Err(e) => return (done, Err(e.to_string())),
                }
            }
            Err(e) => return (done, Err(e.to_string())),
        }
    }
    (done, Ok(()))
}
