//! Recording: one write and one sync for all drafts of a call, into space that is there already.

use std::io;
use std::path::PathBuf;

use super::heal::MAX_BATCH;
use super::line::{self, Hash64, MAX_LINE};
use super::lines::Head;
use super::parts::LIVE;
use super::storage::{is_full, write_all};
use super::{Draft, Journal, entry_of};
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

/// For each line that is to be written: the head it makes, and its bytes.
type Written = Vec<(Head, u64)>;

impl Journal {
    /// Puts drafts on record, in their order, with one write and one sync for all of them; returns them as entries once
    /// they are on disk. Errors: none of them is on record then.
    pub fn append(&mut self, drafts: &[Draft]) -> Result<Vec<Entry>, AppendError> {
        if let Some(why) = &self.failed {
            return Err(AppendError::Failed { path: self.live_path(), why: why.clone() });
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
            self.live.index.push(place, *size, Some((head.seq, draft.incident.as_deref())));
            place = self.live.index.covered();
            self.head = *head;
            if let Event::EntryRedacted(e) = &draft.event
                && e.seq > 0
            {
                self.redactions.push((e.seq, head.seq));
            }
            entries.push(entry_of(draft, head.seq, &self.options.host));
        }
        self.appended = true;
        self.feed_mirror();
        Ok(entries)
    }

    pub(super) fn live_path(&self) -> PathBuf {
        self.dir.join(LIVE)
    }

    fn encode(&self, drafts: &[Draft]) -> Result<(Vec<u8>, Written), AppendError> {
        let unfit = |why: String| AppendError::Unfit { path: self.live_path(), why };
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
                return Err(unfit(format!("an entry {} of {size} bytes is beyond {MAX_LINE}", draft.event.kind())));
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
            return Err(AppendError::Failed { path: self.live_path(), why });
        }
        let more = bytes.len() as u64;
        let file = self.live.file.clone();
        // Whatever else is the matter with reserving, writing may work all the same.
        if let Err(e) = self.reserve.make_room(file.as_ref(), len, more)
            && is_full(&e)
        {
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
        AppendError::Failed { path, why: format!("{doing}: {e}") }
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
