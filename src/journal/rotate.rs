//! Closing a full part and beginning the next one.
//!
//! The new part is made beside, with its reserve; then the full one gets its number, and the new one its name. Cut short
//! between the two renames, the next opening finds no live part and begins one behind the last entry of the closed ones.

use std::io;
use std::sync::Arc;

use super::index::PartIndex;
use super::parts::{self, LIVE, NEXT, Part};
use super::reserve::Reserve;
use super::storage::Access;
use super::{Journal, JournalError, Live};

impl Journal {
    /// Closes the live part and begins a new one. Where that fails, recording goes on in the old one, which is tried again
    /// a mebibyte later.
    pub(super) fn rotate(&mut self) {
        if self.try_rotate().is_err() {
            self.rotate_at = self.live.len() + (1 << 20);
        }
    }

    fn try_rotate(&mut self) -> Result<(), JournalError> {
        let dir = self.dir.clone();
        let storage = self.options.storage.clone();
        let err = |doing| JournalError::new(doing, dir.join(LIVE));
        let number = self.closed.iter().filter_map(|part| parts::part_number(part.name())).max().unwrap_or(0) + 1;
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
        let meta = file.meta().and_then(|meta| file.sync().map(|()| meta)).map_err(err("begin a part after"))?;
        storage.rename(&dir.join(LIVE), &dir.join(&name)).map_err(err("close"))?;
        if let Err(e) = storage.rename(&next, &dir.join(LIVE)).and_then(|()| storage.sync_dir(&dir)) {
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
        self.live = Live { file, id: meta.id, index: PartIndex::empty() };
        self.reserve = reserve;
        self.rotate_at = self.options.rotate_bytes;
        Ok(())
    }
}
