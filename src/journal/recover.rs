//! Getting back to recording after a failure, and the round that is made every few seconds.

use std::io;
use std::sync::Arc;

use super::heal::{self, Healed};
use super::lines::{Head, Lines};
use super::parts::NEXT;
use super::reserve::Reserve;
use super::storage::{Access, StoredFile, copy_range, read_full};
use super::{AppendError, Journal};

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

impl Journal {
    /// To be called every few seconds: tries again what failed, and fills the reserve up where the disk has room again.
    pub fn tend(&mut self) -> Tended {
        let (mut recovered, mut healed) = (false, None);
        if self.failed.is_none()
            && let Err(why) = self.still_ours().and_then(|()| self.still_named())
        {
            self.failed = Some(why);
        }
        if self.failed.is_some()
            && let Ok(found) = self.reopen()
        {
            recovered = true;
            healed = found;
        }
        let len = self.live.len();
        if self.failed.is_none() {
            // A full disk is no news here: `reserve_left` tells it.
            let _ = self.reserve.top_up(self.live.file.as_ref(), len);
        }
        let redactions = if self.failed.is_none() { self.carry_out_redactions().err() } else { None };
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

    /// The live part is the file that was opened, and as long as it was left. Errors: in words.
    pub(super) fn still_ours(&self) -> Result<(), String> {
        let meta = self.live.file.meta().map_err(|e| format!("look at it: {e}"))?;
        if meta.links == 0 {
            return Err("it was deleted".into());
        }
        let len = self.live.len();
        if meta.len != len {
            return Err(format!("it has {} bytes and was left with {len}: something else wrote to it", meta.len));
        }
        Ok(())
    }

    /// The live part is still what its name leads to: whatever is written to a file that was moved away is lost to the
    /// next opening. Errors: in words.
    fn still_named(&self) -> Result<(), String> {
        let named = self.storage().open(&self.live_path(), Access::Read).and_then(|file| file.meta());
        match named {
            Ok(meta) if meta.id == self.live.id => Ok(()),
            Ok(_) => Err("it was replaced by another file".into()),
            Err(e) => Err(format!("it was moved away: {e}")),
        }
    }

    fn try_reopen(&mut self) -> io::Result<Option<Healed>> {
        let len = self.live.len();
        let path = self.live_path();
        let storage = self.options.storage.clone();
        let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        let (file, brought_back) = match storage.open(&path, Access::Write) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => (self.bring_back()?, true),
            other => (other?, false),
        };
        let meta = file.meta()?;
        if meta.len < len {
            let why = format!("it has {} bytes, and {len} were synced: entries are gone from it", meta.len);
            return Err(wrong(why));
        }
        let mut healed = None;
        if meta.id != self.live.id && !brought_back && self.differs(file.as_ref())? {
            return Err(wrong("it was replaced by another file: put the right one back".into()));
        }
        if meta.len > len {
            healed = Some(heal::move_aside(storage.as_ref(), &self.dir, file.as_ref(), len, meta.len)?);
            self.reserve.was_cut(len);
        }
        file.sync()?;
        file.forget();
        // The last entry as the disk has it.
        if self.appended && self.live.index.entries() > 0 {
            let mut lines = Lines::new(file.clone(), self.live.index.before(self.head.seq), len);
            let mut last = None;
            while let Some(raw) = lines.next()? {
                let line = raw.read().and_then(|line| line.check().map(|()| Head { seq: line.seq(), hash: line.hash }));
                last = line.ok();
            }
            if last != Some(self.head) {
                let why = format!("entry {} does not stand at its end as it was written", self.head.seq);
                return Err(wrong(why));
            }
        }
        self.reserve =
            Reserve::new(self.options.storage.as_ref(), &self.dir, file.as_ref(), len, self.options.reserve_bytes)?;
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

    /// Another file does not begin with what is on record.
    fn differs(&self, file: &dyn StoredFile) -> io::Result<bool> {
        let (mut ours, mut theirs) = (vec![0; 256 << 10], vec![0; 256 << 10]);
        let (len, mut at) = (self.live.len(), 0);
        while at < len {
            let n = read_full(self.live.file.as_ref(), &mut ours, at)?;
            let n = n.min(usize::try_from(len - at).unwrap_or(usize::MAX));
            let m = read_full(file, &mut theirs, at)?;
            if n == 0 || m < n || ours.get(..n) != theirs.get(..n) {
                return Ok(true);
            }
            at += n as u64;
        }
        Ok(false)
    }
}
