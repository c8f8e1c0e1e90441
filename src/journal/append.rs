//! Recording: one write and one sync for all drafts of a call, into space that is there already.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::heal::{self, Healed, MAX_BATCH};
use super::index::PartIndex;
use super::line::{self, Hash64, MAX_LINE};
use super::lines::{Head, Lines};
use super::parts::{self, LIVE, NEXT, Part};
use super::reserve::Reserve;
use super::storage::{Access, StoredFile, copy_range, is_full, write_all};
use super::{Draft, Journal, JournalError, Live, entry_of};
use crate::domain::event::{Entry, Event};

/// Why drafts are not on record. Whatever the reason, none of them is, and the head is where it was.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk, or the share of it that this user may have, is full, and the reserve is used up.
    #[error("record in {}: {source}, and the reserve is used up: free space there", path.display())]
    Full { path: PathBuf, source: io::Error },
    /// Writing or syncing failed, or had failed before.
    #[error("record in {}: {why}: nothing is recorded until it works again", path.display())]
    Failed { path: PathBuf, why: String },
    /// One entry, or all of them together, are beyond 16 MiB, or an entry cannot be written as JSON.
    #[error("record in {}: {why}", path.display())]
    Unfit { path: PathBuf, why: String },
}

impl AppendError {
    /// There is no room, and nothing else is wrong.
    pub fn is_full(&self) -> bool {
        matches!(self, AppendError::Full { .. })
    }
}

/// What a round of [`Journal::tend`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tended {
    /// Recording had failed and works again.
    pub recovered: bool,
    /// What something else had written behind the record and was moved aside.
    pub healed: Option<Healed>,
    /// Why nothing can be recorded, if so.
    pub failed: Option<String>,
    /// Bytes that can be recorded when the disk has no room at all.
    pub reserve_left: u64,
    /// The reserve is as large as it should be.
    pub reserve_whole: bool,
    /// An entry is still to be blanked: why that failed.
    pub unredacted: Option<String>,
}

/// For each line that is to be written: the head it makes, and its bytes.
type Written = Vec<(Head, u64)>;

impl Journal {
    /// Puts drafts on record, in their order, with one write and one sync for all of them; returns them as entries once
    /// they are on disk. Errors: none of them is on record then.
    pub fn append(&mut self, drafts: &[Draft]) -> Result<Vec<Entry>, AppendError> {
        if let Some(why) = &self.failed {
            return Err(AppendError::Failed {
                path: self.live_path(),
                why: why.clone(),
            });
        }
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        if self.live.len() >= self.rotate_at {
            self.rotate();
        }
        let (bytes, heads) = self.encode(drafts)?;
        let len = self.live.len();
        self.write(&bytes, len)?;
        let mut place = self.live.index.covered();
        let mut entries = Vec::with_capacity(drafts.len());
        for (draft, (head, size)) in drafts.iter().zip(&heads) {
            self.live
                .index
                .push(place, *size, Some((head.seq, draft.incident.as_deref())));
            place = self.live.index.covered();
            self.head = *head;
            if let Event::EntryRedacted(e) = &draft.event {
                self.redactions.push((e.seq, head.seq));
            }
            entries.push(entry_of(draft, head.seq, &self.options.host));
        }
        self.feed_mirror();
        Ok(entries)
    }

    /// To be called every few seconds: tries again what failed, and fills the reserve up where the disk has room again.
    pub fn tend(&mut self) -> Tended {
        let (mut recovered, mut healed) = (false, None);
        if self.failed.is_some() {
            if let Ok(found) = self.reopen() {
                recovered = true;
                healed = found;
            }
        } else if let Err(why) = self.still_ours() {
            self.failed = Some(why);
        }
        let len = self.live.len();
        if self.failed.is_none() {
            // A full disk is no news here: `reserve_left` tells it.
            let _ = self.reserve.top_up(self.live.file.as_ref(), len);
        }
        let redactions = if self.failed.is_none() {
            self.carry_out_redactions().err()
        } else {
            None
        };
        let reserve_left = self.reserve_left();
        let reserve_whole = reserve_left >= self.options.reserve_bytes;
        Tended {
            recovered,
            healed,
            failed: self.failed.clone(),
            reserve_left,
            reserve_whole,
            unredacted: redactions.map(|e| e.to_string()),
        }
    }

    /// Opens the live part anew after a failure: brings it back to what was synced, drops the cache and reads the last
    /// entry back from the disk. What something else had added to it is moved aside and told. Errors: it still does not
    /// work, and nothing is recorded.
    pub fn reopen(&mut self) -> Result<Option<Healed>, AppendError> {
        let path = self.live_path();
        match self.try_reopen() {
            Ok(healed) => {
                self.failed = None;
                Ok(healed)
            }
            Err(e) => {
                let why = e.to_string();
                self.failed = Some(why.clone());
                Err(AppendError::Failed { path, why })
            }
        }
    }

    fn live_path(&self) -> PathBuf {
        self.dir.join(LIVE)
    }

    fn encode(&self, drafts: &[Draft]) -> Result<(Vec<u8>, Written), AppendError> {
        let unfit = |why: String| AppendError::Unfit {
            path: self.live_path(),
            why,
        };
        let mut salts = vec![[0u8; 16]; drafts.len()];
        for salt in &mut salts {
            random(salt).map_err(|e| unfit(format!("no random numbers: {e}")))?;
        }
        let mut bytes = Vec::with_capacity(drafts.len() * 640);
        let mut heads = Vec::with_capacity(drafts.len());
        let mut head = self.head;
        for (draft, salt) in drafts.iter().zip(&salts) {
            let before = bytes.len();
            let seq = head.seq + 1;
            let hash: Hash64 =
                line::write(&mut bytes, draft, seq, &self.options.host, &head.hash, salt).map_err(unfit)?;
            head = Head { seq, hash };
            let size = bytes.len() - before;
            if size > MAX_LINE {
                return Err(unfit(format!(
                    "an entry {} of {size} bytes is beyond {MAX_LINE}",
                    draft.event.kind()
                )));
            }
            heads.push((head, size as u64));
        }
        if bytes.len() as u64 > MAX_BATCH {
            return Err(unfit(format!(
                "{} entries of {} bytes at once are beyond {MAX_BATCH}",
                drafts.len(),
                bytes.len()
            )));
        }
        Ok((bytes, heads))
    }

    fn write(&mut self, bytes: &[u8], len: u64) -> Result<(), AppendError> {
        if let Err(why) = self.still_ours() {
            self.failed = Some(why.clone());
            return Err(AppendError::Failed {
                path: self.live_path(),
                why,
            });
        }
        let more = bytes.len() as u64;
        let file = self.live.file.clone();
        if let Err(e) = self.reserve.make_room(file.as_ref(), len, more) {
            return Err(self.give_up("make room for it", e));
        }
        while let Err(e) = write_all(file.as_ref(), bytes, len) {
            // Half of it may stand there now. It goes first, and for good, so that nothing of it comes back as an entry.
            let cut = file.set_len(len).and_then(|()| file.sync());
            self.reserve.was_cut(len);
            if let Err(cut) = cut {
                self.failed = Some(format!("cut off what was half written: {cut}"));
                return Err(self.give_up("write it", e));
            }
            if !is_full(&e) || !self.reserve.give_way(more) {
                if !is_full(&e) {
                    self.failed = Some(format!("write it: {e}"));
                }
                return Err(self.give_up("write it", e));
            }
        }
        if let Err(e) = file.sync() {
            // Linux tells a failed write-back once and then calls the pages clean, so a second sync would prove nothing.
            let _ = file.set_len(len);
            self.reserve.was_cut(len);
            self.failed = Some(format!("sync it: {e}"));
            return Err(self.give_up("sync it", e));
        }
        Ok(())
    }

    fn give_up(&self, doing: &str, e: io::Error) -> AppendError {
        let path = self.live_path();
        if is_full(&e) {
            return AppendError::Full { path, source: e };
        }
        AppendError::Failed {
            path,
            why: format!("{doing}: {e}"),
        }
    }

    /// The live part is the file that was opened, and as long as it was left. Errors: in words.
    fn still_ours(&self) -> Result<(), String> {
        let meta = self.live.file.meta().map_err(|e| format!("look at it: {e}"))?;
        if meta.links == 0 {
            return Err("it was deleted".into());
        }
        let len = self.live.len();
        if meta.len != len {
            return Err(format!(
                "it has {} bytes and was left with {len}: something else wrote to it",
                meta.len
            ));
        }
        Ok(())
    }

    fn try_reopen(&mut self) -> io::Result<Option<Healed>> {
        let len = self.live.len();
        let path = self.live_path();
        let storage = self.options.storage.clone();
        let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        let file = match storage.open(&path, Access::Write) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.bring_back()?,
            other => other?,
        };
        let meta = file.meta()?;
        if meta.len < len {
            let why = format!(
                "it has {} bytes, and {len} were synced: entries are gone from it",
                meta.len
            );
            return Err(wrong(why));
        }
        let mut healed = None;
        if meta.len > len {
            if meta.id != self.live.id {
                return Err(wrong("it was replaced by another file: put the right one back".into()));
            }
            healed = Some(heal::move_aside(
                storage.as_ref(),
                &self.dir,
                file.as_ref(),
                len,
                meta.len,
            )?);
            self.reserve.was_cut(len);
        }
        file.sync()?;
        file.forget();
        // The last entry as the disk has it.
        if self.live.index.entries() > 0 {
            let mut lines = Lines::new(file.clone(), self.live.index.before(self.head.seq), len);
            let mut last = None;
            while let Some(raw) = lines.next()? {
                let line = raw.read().and_then(|line| {
                    line.check().map(|()| Head {
                        seq: line.seq(),
                        hash: line.hash,
                    })
                });
                last = line.ok();
            }
            if last != Some(self.head) {
                let why = format!("entry {} does not stand at its end as it was written", self.head.seq);
                return Err(wrong(why));
            }
        }
        self.reserve = Reserve::new(
            self.options.storage.as_ref(),
            &self.dir,
            file.as_ref(),
            len,
            self.options.reserve_bytes,
        )?;
        self.live.file = file;
        self.live.id = meta.id;
        Ok(healed)
    }

    /// The live part has no name any more: writes it anew from the file that is still open.
    fn bring_back(&self) -> io::Result<Arc<dyn StoredFile>> {
        let (storage, len) = (self.storage(), self.live.len());
        let next = self.dir.join(NEXT);
        let file = storage.open(&next, Access::Create)?;
        copy_range(self.live.file.as_ref(), 0, file.as_ref(), 0, len)?;
        file.sync()?;
        storage.rename(&next, &self.live_path())?;
        storage.sync_dir(&self.dir)?;
        Ok(file)
    }

    /// Closes the live part and begins a new one. Where that fails, recording goes on in the old one, which is tried again
    /// a mebibyte later.
    fn rotate(&mut self) {
        if self.try_rotate().is_err() {
            self.rotate_at = self.live.len() + (1 << 20);
        }
    }

    fn try_rotate(&mut self) -> Result<(), JournalError> {
        let dir = self.dir.clone();
        let storage = self.options.storage.clone();
        let err = |doing| JournalError::new(doing, dir.join(LIVE));
        let number = self
            .closed
            .iter()
            .filter_map(|part| parts::part_number(part.name()))
            .max()
            .unwrap_or(0)
            + 1;
        let name = parts::part_name(number);
        let next = dir.join(NEXT);
        let file = storage.open(&next, Access::Create).map_err(err("begin a part after"))?;
        // Without its reserve the new part would be worse than the old one.
        let reserve = Reserve::new(storage.as_ref(), &dir, file.as_ref(), 0, self.options.reserve_bytes);
        let whole = |r: &Reserve| r.left(0) >= self.options.reserve_bytes;
        let reserve = match reserve {
            Ok(reserve) if whole(&reserve) => reserve,
            other => {
                let _ = storage.remove(&next);
                let full = io::Error::from(io::ErrorKind::StorageFull);
                return Err(err("reserve space after")(other.err().unwrap_or(full)));
            }
        };
        let meta = file
            .meta()
            .and_then(|meta| file.sync().map(|()| meta))
            .map_err(err("begin a part after"))?;
        storage
            .rename(&dir.join(LIVE), &dir.join(&name))
            .map_err(err("close"))?;
        if let Err(e) = storage
            .rename(&next, &dir.join(LIVE))
            .and_then(|()| storage.sync_dir(&dir))
        {
            // Back to where it was; when even that fails, the next opening finds the part under its new name.
            if storage.rename(&dir.join(&name), &dir.join(LIVE)).is_err() {
                self.failed = Some(format!("begin a new part: {e}"));
            }
            return Err(err("begin a part after")(e));
        }
        let index = std::mem::replace(&mut self.live.index, PartIndex::empty());
        // Both only save time and space later on.
        let _ = parts::save_index(storage.as_ref(), &dir, &name, &index);
        let _ = storage.remove(&dir.join(parts::index_name(LIVE)));
        let _ = self.live.file.set_len(index.covered().offset);
        let part = Arc::new(Part::closed(&storage, &dir, &name, index));
        self.closed = self.closed.iter().cloned().chain([part]).collect();
        self.live = Live {
            file,
            id: meta.id,
            index: PartIndex::empty(),
        };
        self.reserve = reserve;
        self.rotate_at = self.options.rotate_bytes;
        Ok(())
    }
}

/// Fills `out` with random bytes of the kernel.
fn random(out: &mut [u8; 16]) -> io::Result<()> {
    loop {
        // SAFETY: the pointer and the length are those of one live, writable array.
        let n = unsafe { libc::getrandom(out.as_mut_ptr().cast(), out.len(), 0) };
        // Requests of up to 256 bytes are answered whole.
        if n == out.len() as isize {
            return Ok(());
        }
        let e = io::Error::last_os_error();
        if e.kind() != io::ErrorKind::Interrupted {
            return Err(e);
        }
    }
}
