//! Space for the hours in which the disk is full.
//!
//! The reserve is allocated at the journal's own tail, beyond the end of the file (`fallocate` with `KEEP_SIZE`): nobody
//! can take it, the file keeps its true length, so `tail -f`, copies and healing see nothing of it, and while the disk
//! is full the entries simply grow into it. It is kept topped up a little ahead of every append, so that ordinary
//! appends always land in space that is already there.
//!
//! Where the file system cannot allocate beyond the end, a file `journal.reserve` beside the journal is filled with
//! bytes instead and cut shorter piece by piece when an append finds no room. That is weaker, because whoever fills the
//! disk may be quicker to take what was cut off, and [`Reserve::is_tail`] says so.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::storage::{Access, Storage, StoredFile, is_full, is_unsupported, write_all};

/// The file of the weaker kind.
pub const BESIDE: &str = "journal.reserve";
const STEP: u64 = 1 << 20;
const SMALLEST: u64 = 4096;
/// What is cut off [`BESIDE`] at a time, at least.
const SLICE: u64 = 256 << 10;

#[derive(Debug)]
enum Kind {
    /// Allocated from the end of the file to here.
    Tail { until: u64 },
    /// A file of that many bytes beside the journal.
    Beside { file: Arc<dyn StoredFile>, len: u64 },
}

/// What is kept for a full disk.
#[derive(Debug)]
pub struct Reserve {
    wanted: u64,
    kind: Kind,
}

impl Reserve {
    /// Sets it up behind a part that is `len` bytes long: finds again what was allocated before and tops it up as far as
    /// the disk has room. Errors: those other than a full disk.
    pub fn new(storage: &dyn Storage, dir: &Path, live: &dyn StoredFile, len: u64, wanted: u64) -> io::Result<Self> {
        let mut reserve = Reserve { wanted, kind: Kind::Tail { until: len } };
        match grow(live, &mut reserve.kind, len + wanted) {
            Ok(()) => {
                let _ = storage.remove(&dir.join(BESIDE));
            }
            Err(e) if is_full(&e) => {}
            Err(e) if is_unsupported(&e) => {
                let file = storage.open(&dir.join(BESIDE), Access::Append)?;
                let len = file.meta()?.len;
                reserve.kind = Kind::Beside { file, len };
                match reserve.top_up(live, 0) {
                    Err(e) if !is_full(&e) => return Err(e),
                    _ => {}
                }
            }
            Err(e) => return Err(e),
        }
        Ok(reserve)
    }

    /// It lies at the journal's own tail, where nobody can take it.
    pub fn is_tail(&self) -> bool {
        matches!(self.kind, Kind::Tail { .. })
    }

    /// Bytes that can still be written when the disk has none left, for a part that is `len` bytes long.
    pub fn left(&self, len: u64) -> u64 {
        match &self.kind {
            Kind::Tail { until } => until.saturating_sub(len).min(self.wanted),
            Kind::Beside { len, .. } => *len,
        }
    }

    /// Makes sure that `more` bytes fit behind `len`, and keeps the reserve ahead of them where the disk has room.
    /// Errors: the disk is full and the reserve does not hold them; then nothing was written.
    pub fn make_room(&mut self, live: &dyn StoredFile, len: u64, more: u64) -> io::Result<()> {
        let Kind::Tail { until } = self.kind else { return Ok(()) };
        let end = len + more;
        // A quarter ahead, so that it is not every append that allocates; and not again while the disk is full, which
        // would cost a failing call each time: `top_up` finds out when there is room again.
        let low = until.saturating_sub(end) < self.wanted;
        let tapped = until.saturating_sub(len) < self.wanted;
        if low && !tapped {
            let ahead = grow(live, &mut self.kind, end + self.wanted + self.wanted / 4);
            if let Err(e) = ahead
                && !is_full(&e)
            {
                return Err(e);
            }
        }
        match self.kind {
            Kind::Tail { until } if until < end => grow(live, &mut self.kind, end),
            _ => Ok(()),
        }
    }

    /// A write found no room: gives back a piece of [`BESIDE`] for another try. False when there is none left.
    pub fn give_way(&mut self, more: u64) -> bool {
        match &mut self.kind {
            Kind::Tail { .. } => false,
            Kind::Beside { len: 0, .. } => false,
            Kind::Beside { file, len } => {
                let less = len.saturating_sub(more.max(SLICE));
                let cut = file.set_len(less).and_then(|()| file.sync());
                *len = less;
                cut.is_ok()
            }
        }
    }

    /// Fills it up again where the disk has room; true when it is whole. Errors: the disk is full, or fails.
    pub fn top_up(&mut self, live: &dyn StoredFile, len: u64) -> io::Result<()> {
        let wanted = self.wanted;
        match &mut self.kind {
            Kind::Tail { until } if until.saturating_sub(len) >= wanted => Ok(()),
            Kind::Tail { .. } => grow(live, &mut self.kind, len + wanted + wanted / 4),
            Kind::Beside { len: has, .. } if *has >= wanted => Ok(()),
            Kind::Beside { file, len: has } => {
                // Not zeros: some file systems store those without using space.
                let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
                let mut piece = Vec::with_capacity(SLICE as usize);
                while *has < wanted {
                    piece.clear();
                    while piece.len() < SLICE as usize {
                        noise ^= noise << 13;
                        noise ^= noise >> 7;
                        noise ^= noise << 17;
                        piece.extend_from_slice(&noise.to_le_bytes());
                    }
                    if let Err(e) = write_all(file.as_ref(), &piece, *has).and_then(|()| file.sync()) {
                        let _ = file.set_len(*has);
                        return Err(e);
                    }
                    *has += SLICE;
                }
                Ok(())
            }
        }
    }

    /// The part was cut to `len`, which gave back what lay behind it.
    pub fn was_cut(&mut self, len: u64) {
        if let Kind::Tail { until } = &mut self.kind {
            *until = len;
        }
    }
}

/// Allocates up to `target`, in steps that become smaller as the disk fills up. What was allocated before is never asked
/// for again: some file systems give it back when the request as a whole fails.
fn grow(live: &dyn StoredFile, kind: &mut Kind, target: u64) -> io::Result<()> {
    let Kind::Tail { until } = kind else { return Ok(()) };
    let mut step = STEP;
    while *until < target {
        let piece = step.min(target - *until);
        match live.reserve(*until, piece) {
            Ok(()) => *until += piece,
            Err(e) if is_full(&e) && step > SMALLEST => step /= 2,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
