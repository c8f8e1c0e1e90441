//! Blanking one payload: the only time that something on record is written anew.
//!
//! First the `entry.redacted` that says who and why is recorded. Then the checkpoint is removed (its state may hold the
//! text), the part is written beside itself with the payload replaced by `{"redacted":<seq of the entry.redacted>}` and
//! the salt gone, synced, and renamed over the old one. The digest stays, so the chain holds; without the salt the text
//! cannot be guessed from it. Whatever cuts this short, the next opening finds the `entry.redacted` whose entry is not
//! blanked, and does it. Then the bytes that were given back to the disk are overwritten, as far as the file system
//! writes in place, and payloads are removed from torn fragments. The mirror does the same when it comes to the entry.
//!
//! What is left of a blanked entry may stand behind it as an `entry.left`, and it then reads so (`left`).
//!
//! A header cannot be blanked: who, when, which incident and which kind stay on record.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::heal::TORN_PREFIX;
use super::index::PartIndex;
use super::line::Line;
use super::lines::{Lines, Place};
use super::parts::{self, LIVE, Part, REWRITE_SUFFIX};
use super::reserve::Reserve;
use super::storage::{Access, Storage, StoredFile, copy_range, is_full, read_small, replace, write_all};
use super::{AppendError, Draft, Journal, JournalError, Live, checkpoint};
use crate::domain::event::{Entry, Event};

const REDACTED: &str = "entry.redacted";
const TORN_LIMIT: u64 = 64 << 20;

/// Why an entry is not blanked.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// It cannot be: nothing was recorded.
    #[error("redact entry {seq}: {why}")]
    Refused { seq: u64, why: String },
    /// The `entry.redacted` could not be recorded.
    #[error(transparent)]
    NotRecorded(#[from] AppendError),
    /// It is on record that it is to be blanked, and it is not yet: it is tried again by every [`Journal::tend`] and on
    /// the next opening.
    #[error("redact entry {seq}, as entry {by} on record says: {source}: it is tried again")]
    Unfinished { seq: u64, by: u64, source: JournalError },
}

/// Where an entry stands and what it takes to blank it.
struct Target {
    /// Index of the closed part, or `None` for the live one.
    part: Option<usize>,
    place: Place,
    len: u64,
    payload_at: u64,
    kind: String,
    blanked: bool,
    line: Vec<u8>,
}

impl Journal {
    /// Records `draft`, whose event must be an `entry.redacted`, and blanks the payload of the entry it names. A state that
    /// was folded before still holds the text: fold anew, and take a new checkpoint, because the old one is gone.
    pub fn redact(&mut self, draft: Draft) -> Result<Entry, RedactError> {
        let Event::EntryRedacted(event) = &draft.event else {
            return Err(RedactError::Refused { seq: 0, why: "the event is no entry.redacted".into() });
        };
        let seq = event.seq;
        if let Some(why) = self.why_not_redacted(seq).map_err(|e| RedactError::Refused { seq, why: e.to_string() })? {
            return Err(RedactError::Refused { seq, why });
        }
        let mut recorded = self.append(std::slice::from_ref(&draft))?;
        let Some(entry) = recorded.pop() else {
            return Err(RedactError::Refused { seq, why: "nothing was recorded".into() });
        };
        match self.carry_out_redactions() {
            Ok(_) => Ok(entry),
            Err(source) => Err(RedactError::Unfinished { seq, by: entry.seq, source }),
        }
    }

    /// Why the entry `seq` cannot be blanked, if so. Errors: the record cannot be read.
    pub fn why_not_redacted(&self, seq: u64) -> Result<Option<String>, JournalError> {
        let target = self.target(seq).map_err(JournalError::new("read the journal in", &self.dir))?;
        Ok(match target {
            None => Some(format!("there is no entry {seq} on record that can be read")),
            Some(t) if t.blanked => Some("it is redacted already".into()),
            Some(t) if t.kind == REDACTED => Some("it says itself that another entry was redacted".into()),
            Some(_) => None,
        })
    }

    /// Blanks what entries on record say and what is not blanked yet; says which entries it blanked. Nothing to do is no
    /// error. Errors: one of them could not be blanked; what is left is tried again by [`Journal::tend`].
    pub fn carry_out_redactions(&mut self) -> Result<Vec<u64>, JournalError> {
        let mut done = Vec::new();
        while let Some((seq, by)) = self.redactions.first().copied() {
            if self.blank(seq, by)? {
                done.push(seq);
            }
            self.redactions.remove(0);
        }
        Ok(done)
    }

    fn target(&self, seq: u64) -> io::Result<Option<Target>> {
        let Some((part, mut lines)) = self.lines_before(seq)? else {
            return Ok(None);
        };
        while let Some(raw) = lines.next()? {
            let Ok(line) = raw.read() else { continue };
            if line.seq() > seq {
                break;
            }
            if line.seq() == seq {
                let payload_at = raw.place.offset + (raw.bytes.len() - line.payload().len() - 1) as u64;
                return Ok(Some(Target {
                    part,
                    place: raw.place,
                    len: raw.len,
                    payload_at,
                    kind: line.kind().to_owned(),
                    blanked: line.redacted_by().is_some(),
                    line: raw.bytes.to_vec(),
                }));
            }
        }
        Ok(None)
    }

    fn blank(&mut self, seq: u64, by: u64) -> Result<bool, JournalError> {
        let dir = self.dir.clone();
        let target = self.target(seq).map_err(JournalError::new("read the journal in", &dir))?;
        let Some(target) = target.filter(|t| !t.blanked && t.kind != REDACTED) else {
            return Ok(false);
        };
        let storage = self.options.storage.clone();
        // A checkpoint that is being written holds the text too: it is waited for, and one that is still to come is not
        // written any more.
        self.gate.close();
        match storage.remove(&dir.join(checkpoint::NAME)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(JournalError::new("remove", dir.join(checkpoint::NAME))(e));
            }
            _ => {}
        }
        let name = match target.part {
            Some(i) => self.closed.get(i).map_or(LIVE, |part| part.name()).to_owned(),
            None => LIVE.to_owned(),
        };
        // First what would be forgotten when this is cut short behind the rename.
        blank_fragments(storage.as_ref(), &dir)
            .map_err(JournalError::new("remove payloads from fragments in", &dir))?;
        self.rewrite(&target, &name, by).map_err(JournalError::new("write anew", dir.join(&name)))?;
        Ok(true)
    }

    fn rewrite(&mut self, target: &Target, name: &str, by: u64) -> io::Result<()> {
        let storage = self.options.storage.clone();
        let path = self.dir.join(name);
        let old = storage.open(&path, Access::Write)?;
        let end = match target.part.and_then(|i| self.closed.get(i)) {
            Some(part) => part.len(),
            None => self.live.len(),
        };
        let beside = self.dir.join(format!("{name}{REWRITE_SUFFIX}"));
        let (file, len) = match write_beside(storage.as_ref(), &beside, &old, target, end, by) {
            Ok(written) => written,
            Err(e) => {
                let _ = storage.remove(&beside);
                return Err(e);
            }
        };
        let index = parts::complete(PartIndex::empty(), |place| Ok(Lines::new(file.clone(), place, len)))?;
        let meta = file.meta()?;
        // An index of the old bytes must not outlive them.
        let _ = storage.remove(&self.dir.join(parts::index_name(name)));
        storage.rename(&beside, &path)?;
        match target.part {
            Some(i) => {
                let part = Part::closed(&storage, &self.dir, name, index);
                let mut closed = self.closed.to_vec();
                if let Some(slot) = closed.get_mut(i) {
                    *slot = Arc::new(part);
                }
                self.closed = closed.into();
            }
            None => {
                self.live = Live { file: file.clone(), id: meta.id, index };
                self.reserve =
                    Reserve::new(storage.as_ref(), &self.dir, file.as_ref(), len, self.options.reserve_bytes)?;
            }
        }
        // Before the old bytes go, so that whoever still reads them knows where the new ones are.
        self.feed_mirror();
        storage.sync_dir(&self.dir)?;
        wipe(old.as_ref(), target);
        Ok(())
    }
}

fn write_beside(
    storage: &dyn Storage,
    beside: &Path,
    old: &Arc<dyn StoredFile>,
    target: &Target,
    end: u64,
    by: u64,
) -> io::Result<(Arc<dyn StoredFile>, u64)> {
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let blanked = Line::read(&target.line).map_err(wrong)?.redacted(by);
    let file = storage.open(beside, Access::Create)?;
    // Whether it fits is better known before a large part was copied.
    match file.reserve(0, end) {
        Err(e) if is_full(&e) => return Err(e),
        _ => {}
    }
    copy_range(old.as_ref(), 0, file.as_ref(), 0, target.place.offset)?;
    write_all(file.as_ref(), &blanked, target.place.offset)?;
    let at = target.place.offset + blanked.len() as u64;
    let rest = target.place.offset + target.len;
    copy_range(old.as_ref(), rest, file.as_ref(), at, end.saturating_sub(rest))?;
    file.sync()?;
    Ok((file, at + end.saturating_sub(rest)))
}

/// Overwrites the payload in the file that has lost its name. Best effort: the file system may write elsewhere.
fn wipe(old: &dyn StoredFile, target: &Target) {
    let len = (target.place.offset + target.len).saturating_sub(target.payload_at + 2);
    let spaces = vec![b' '; usize::try_from(len).unwrap_or(0)];
    let _ = write_all(old, &spaces, target.payload_at).and_then(|()| old.sync());
}

/// Cuts the payloads out of torn fragments: an entry that was torn was often recorded again, with the same text.
fn blank_fragments(storage: &dyn Storage, dir: &Path) -> io::Result<()> {
    for name in storage.list(dir)?.into_iter().filter(|name| name.starts_with(TORN_PREFIX)) {
        let bytes = read_small(storage, &dir.join(&name), TORN_LIMIT)?;
        let mut kept = Vec::with_capacity(bytes.len());
        for line in bytes.split(|b| *b == b'\n').filter(|line| line.starts_with(b"{\"v\":")) {
            let salt_at = find(line, b",\"salt\":").unwrap_or(line.len());
            kept.extend_from_slice(line.get(..salt_at).unwrap_or_default());
            kept.push(b'\n');
        }
        if kept != bytes {
            replace(storage, dir, &name, &kept)?;
        }
    }
    Ok(())
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
