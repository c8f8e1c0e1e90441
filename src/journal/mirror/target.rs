//! The mirror's own file: how far it is, adding to it, blanking in it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::super::index::PartIndex;
use super::super::lines::{Head, Lines, Place, RawLine};
use super::super::parts::{self, LIVE, REWRITE_SUFFIX};
use super::super::read::{Entries, LiveView};
use super::super::storage::{Access, Storage, StoredFile, copy_range, write_all};
use super::OnRecord;

/// The mirror's file, and what is in it.
pub struct Target {
    file: Arc<dyn StoredFile>,
    len: u64,
    /// The last entry in it.
    pub last: Head,
}

/// Writes and syncs what was gathered, which ends with the entry `last`.
pub fn flush(piece: &mut Vec<u8>, target: &mut Target, last: Head) -> io::Result<()> {
    if piece.is_empty() {
        return Ok(());
    }
    let meta = target.file.meta()?;
    if meta.links == 0 || meta.len != target.len {
        return Err(io::Error::other("it was deleted, replaced or written to by something else"));
    }
    write_all(target.file.as_ref(), piece, target.len)?;
    target.file.sync()?;
    target.len += piece.len() as u64;
    target.last = last;
    piece.clear();
    Ok(())
}

/// Opens the mirror and finds how far it is. Errors: also when its last entry is not in this record.
pub fn open(storage: &dyn Storage, path: &Path, record: &OnRecord) -> io::Result<Target> {
    let other = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let file = storage.open(path, Access::Append)?;
    let len = file.meta()?.len;
    let whole = parts::last_line_end(file.as_ref(), len)?;
    if len > 0 && whole == 0 {
        return Err(other("it holds something else than a journal: it is not touched".into()));
    }
    if whole == 0 {
        return Ok(Target { file, len: 0, last: Head::GENESIS });
    }
    let start = parts::last_line_end(file.as_ref(), whole - 1)?;
    let mut lines = Lines::new(file.clone(), Place { offset: start, line: 1 }, whole);
    let last = match lines.next()? {
        Some(raw) => raw.read().map(|line| Head { seq: line.seq(), hash: line.hash }),
        None => Err("it is empty".into()),
    };
    let last = last.map_err(|why| other(format!("its last line: {why}: it is not touched")))?;
    let ours = hash_at(record, last.seq)?;
    if ours != Some(last) {
        return Err(other(format!(
            "it ends with entry {} ({}), which is not in this record: it is not touched",
            last.seq,
            last.hash.short()
        )));
    }
    if whole < len {
        file.set_len(whole)?;
    }
    Ok(Target { file, len: whole, last })
}

/// The entry `seq` of the record, if it is there.
pub fn hash_at(record: &OnRecord, seq: u64) -> io::Result<Option<Head>> {
    let index = PartIndex::empty();
    let live = LiveView { name: LIVE, file: &record.live, len: record.len, index: &index };
    let mut entries = Entries::new(&record.closed, Some(live), seq)?;
    let look = |raw: RawLine<'_>| raw.read().ok().map(|line| Head { seq: line.seq(), hash: line.hash });
    loop {
        match entries.next_raw(|_, raw| look(raw)).map_err(|damage| io::Error::other(damage.to_string()))? {
            None => return Ok(None),
            Some(Some(head)) if head.seq == seq => return Ok(Some(head)),
            Some(_) => {}
        }
    }
}

/// Blanks the payload of the entry `seq` in the mirror, written beside and renamed.
pub fn blank(storage: &dyn Storage, path: &Path, target: &mut Target, seq: u64, by: u64) -> io::Result<()> {
    let mut lines = Lines::new(target.file.clone(), Place::START, target.len);
    let mut found = None;
    while let Some(raw) = lines.next()? {
        let Ok(line) = raw.read() else { continue };
        if line.seq() == seq && line.redacted_by().is_none() && line.kind() != "entry.redacted" {
            found = Some((raw.place.offset, raw.len, line.redacted(by)));
            break;
        }
    }
    let Some((at, len, line)) = found else { return Ok(()) };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(REWRITE_SUFFIX);
    let beside = path.with_file_name(name);
    let file = storage.open(&beside, Access::Create)?;
    let rest = at + len;
    let after = at + line.len() as u64;
    copy_range(target.file.as_ref(), 0, file.as_ref(), 0, at)?;
    write_all(file.as_ref(), &line, at)?;
    copy_range(target.file.as_ref(), rest, file.as_ref(), after, target.len - rest)?;
    file.sync()?;
    storage.rename(&beside, path)?;
    target.len = after + target.len - rest;
    target.file = file;
    storage.sync_dir(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}
