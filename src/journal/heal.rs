//! What a crash leaves at the end of the record, and how it is put right.
//!
//! A crash in the middle of an append leaves a beginning of what was being written, or on some file systems a stretch of
//! zeros with or without lines behind it. None of that was ever promised to anyone. It is moved aside, never thrown away.
//! A whole line at the end whose hash is wrong is no tear: it has its line end, so it was written and changed later. It
//! stays, as damage.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::lines::{Lines, Place};
use super::storage::{Access, Storage, StoredFile, is_full, read_full, write_all};
use crate::domain::Time;

/// Fragments are called this and the time.
pub const TORN_PREFIX: &str = "journal.torn-";
/// Drafts of one append lie no further apart than this on the boot clock, in milliseconds.
const ONE_APPEND_MS: u64 = 5_000;
/// Bytes of one append at most.
pub const MAX_BATCH: u64 = 16 << 20;

/// A torn end that was moved aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healed {
    /// File name of the fragment; `None` when the disk was too full to keep it.
    pub moved_to: Option<String>,
    /// Bytes in it.
    pub bytes: u64,
}

/// Whether zeros in the line at `hole` are a tear: everything from there on is what one append wrote.
pub fn is_torn_append(file: &Arc<dyn StoredFile>, hole: Place, end: u64) -> io::Result<bool> {
    if end - hole.offset > MAX_BATCH {
        return Ok(false);
    }
    let mut first: Option<(String, u64)> = None;
    let mut lines = Lines::new(file.clone(), hole, end);
    while let Some(raw) = lines.next()? {
        let Ok(line) = raw.read() else { continue };
        let (boot, ms) = line.boot();
        match &first {
            None => first = Some((boot.to_owned(), ms)),
            Some((b, m)) if b == boot && m.abs_diff(ms) <= ONE_APPEND_MS => {}
            Some(_) => return Ok(false),
        }
    }
    Ok(true)
}

/// Moves what stands behind `from` into a fragment and cuts it off.
pub fn move_aside(storage: &dyn Storage, dir: &Path, live: &dyn StoredFile, from: u64, end: u64) -> io::Result<Healed> {
    let mut bytes = vec![0; usize::try_from(end - from).unwrap_or(0)];
    let read = read_full(live, &mut bytes, from)?;
    bytes.truncate(read);
    let moved_to = match keep(storage, dir, &bytes) {
        Ok(name) => Some(name),
        // Recording must go on when the disk is full: that is what the reserve is for.
        Err(e) if is_full(&e) => None,
        Err(e) => return Err(e),
    };
    live.set_len(from)?;
    live.sync()?;
    Ok(Healed { moved_to, bytes: end - from })
}

fn keep(storage: &dyn Storage, dir: &Path, bytes: &[u8]) -> io::Result<String> {
    let taken = storage.list(dir)?;
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
    let at = Time::from_ms(i64::try_from(ms).unwrap_or(0)).to_chrono().format("%Y%m%dT%H%M%SZ");
    let mut name = format!("{TORN_PREFIX}{at}");
    let mut n = 1;
    while taken.contains(&name) {
        n += 1;
        name = format!("{TORN_PREFIX}{at}-{n}");
    }
    let path = dir.join(&name);
    let file = storage.open(&path, Access::Create)?;
    let written = write_all(file.as_ref(), bytes, 0).and_then(|()| file.sync()).and_then(|()| storage.sync_dir(dir));
    if let Err(e) = written {
        let _ = storage.remove(&path);
        return Err(e);
    }
    Ok(name)
}
