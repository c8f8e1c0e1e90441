//! The files of a journal: `journal-000001.jsonl`, `journal-000002.jsonl` … and `journal.jsonl`, which is written to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::index::PartIndex;
use super::lines::{Lines, Place};
use super::storage::{Access, Storage, StoredFile, read_full, read_small, replace};

/// The part that is written to.
pub const LIVE: &str = "journal.jsonl";
/// What a new part is called until it becomes [`LIVE`].
pub const NEXT: &str = "journal.next";
/// What a part is called while it is written anew.
pub const REWRITE_SUFFIX: &str = ".rewrite";
const INDEX_LIMIT: u64 = 64 << 20;

/// `journal-000007.jsonl`.
pub fn part_name(number: u32) -> String {
    format!("journal-{number:06}.jsonl")
}

/// `journal-000007.index` for `journal-000007.jsonl`.
pub fn index_name(part: &str) -> String {
    format!("{}.index", part.strip_suffix(".jsonl").unwrap_or(part))
}

/// The number in a closed part's name.
pub fn part_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("journal-")?.strip_suffix(".jsonl")?;
    if !(6..=9).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// The parts in a folder, oldest first, with [`LIVE`] at the end when it is there.
pub fn list(storage: &dyn Storage, dir: &Path) -> io::Result<Vec<String>> {
    let names = storage.list(dir)?;
    let mut closed: Vec<(u32, &String)> = names.iter().filter_map(|n| Some((part_number(n)?, n))).collect();
    closed.sort();
    let mut parts: Vec<String> = closed.into_iter().map(|(_, n)| n.clone()).collect();
    parts.extend(names.iter().find(|n| *n == LIVE).cloned());
    Ok(parts)
}

/// A part that is not written to (or is looked at from outside, as long as it was then).
#[derive(Debug)]
pub struct Part {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    name: String,
    /// Its first entry; 0 when no line of it can be read.
    first: u64,
    file: Mutex<Option<Arc<dyn StoredFile>>>,
    len: u64,
    index: Mutex<Option<Arc<PartIndex>>>,
}

impl Part {
    /// Looks at a part: its length and its first entry.
    pub fn open(storage: &Arc<dyn Storage>, dir: &Path, name: &str) -> io::Result<Self> {
        let file = storage.open(&dir.join(name), Access::Read)?;
        let len = file.meta()?.len;
        let first = first_seq(&file, len)?;
        Ok(Part {
            storage: storage.clone(),
            dir: dir.to_owned(),
            name: name.to_owned(),
            first,
            file: Mutex::new(None),
            len,
            index: Mutex::new(None),
        })
    }

    /// As [`Part::open`], and keeps the file open, so that it stays readable when it is renamed or replaced. A last line
    /// without a line end is left out, unless it is a whole entry: someone may be writing it. Says its length as well.
    pub fn snapshot(storage: &Arc<dyn Storage>, dir: &Path, name: &str) -> io::Result<(Self, u64)> {
        let mut part = Part::open(storage, dir, name)?;
        let file = storage.open(&dir.join(name), Access::Read)?;
        part.len = file.meta()?.len;
        let whole = last_line_end(file.as_ref(), part.len)?;
        let mut rest = Lines::new(file.clone(), Place { offset: whole, line: 1 }, part.len);
        let valid = matches!(rest.next()?, Some(raw) if raw.read().is_ok_and(|line| line.check().is_ok()));
        let unfinished = if valid { 0 } else { part.len - whole };
        part.len -= unfinished;
        part.file = Mutex::new(Some(file));
        Ok((part, unfinished))
    }

    /// A part that was just closed, with the index that was kept while it was written.
    pub fn closed(storage: &Arc<dyn Storage>, dir: &Path, name: &str, index: PartIndex) -> Self {
        Part {
            storage: storage.clone(),
            dir: dir.to_owned(),
            name: name.to_owned(),
            first: index.first(),
            file: Mutex::new(None),
            len: index.covered().offset,
            index: Mutex::new(Some(Arc::new(index))),
        }
    }

    /// File name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length in bytes when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Its first entry; 0 when no line of it can be read.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The file, for reading.
    pub fn file(&self) -> io::Result<Arc<dyn StoredFile>> {
        let held = self.file.lock().unwrap_or_else(PoisonError::into_inner).clone();
        held.map_or_else(|| self.storage.open(&self.dir.join(&self.name), Access::Read), Ok)
    }

    /// Its lines from a place on.
    pub fn lines(&self, start: Place) -> io::Result<Lines> {
        let held = self.file.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match held {
            Some(file) => Ok(Lines::new(file, start, self.len)),
            None => {
                // It may have been written anew with a payload blanked, and have another length since.
                let file = self.file()?;
                let len = file.meta()?.len;
                Ok(Lines::new(file, start, len))
            }
        }
    }

    /// Its index: kept, read from its file, or made from the part.
    pub fn index(&self) -> io::Result<Arc<PartIndex>> {
        let mut kept = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = kept.as_ref() {
            return Ok(index.clone());
        }
        let saved = load_index(self.storage.as_ref(), &self.dir, &self.name);
        let index = match saved.filter(|index| fits(index, |place| self.lines(place))) {
            Some(index) => complete(index, |place| self.lines(place))?,
            None => complete(PartIndex::empty(), |place| self.lines(place))?,
        };
        let index = Arc::new(index);
        *kept = Some(index.clone());
        Ok(index)
    }

    /// Puts an index in its place, made from the part where none is given.
    pub fn set_index(&self, index: PartIndex) {
        *self.index.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(index));
    }

    /// Makes the index anew from the part, for when it turned out not to fit.
    pub fn reindex(&self) -> io::Result<Arc<PartIndex>> {
        let index = complete(PartIndex::empty(), |place| self.lines(place))?;
        self.set_index(index);
        self.index()
    }
}

/// Takes the lines into an index that come after what it covers.
pub fn complete(mut index: PartIndex, lines: impl FnOnce(Place) -> io::Result<Lines>) -> io::Result<PartIndex> {
    let mut lines = lines(index.covered())?;
    while let Some(raw) = lines.next()? {
        match raw.read() {
            Ok(line) => index.push(raw.place, raw.len, Some((line.seq(), line.incident().as_deref()))),
            Err(_) => index.push(raw.place, raw.len, None),
        }
    }
    Ok(index)
}

/// Whether a saved index can be that of the part: the entry of its last mark stands where it says, and what it covers
/// ends with a line. (It may still be wrong about a row; whoever follows it looks.)
pub fn fits(index: &PartIndex, lines: impl FnOnce(Place) -> io::Result<Lines>) -> bool {
    if index.entries() == 0 {
        return false;
    }
    let mark = index.before(u64::MAX);
    let Ok(mut lines) = lines(mark) else { return false };
    let mut end = None;
    while let Ok(Some(raw)) = lines.next() {
        if raw.place == mark && !raw.read().is_ok_and(|line| index.before(line.seq()) == mark) {
            return false;
        }
        let after = raw.after();
        end = Some(after);
        if after.offset >= index.covered().offset {
            break;
        }
    }
    end == Some(index.covered())
}

/// Reads the index file of a part, when there is one that is as it was written.
pub fn load_index(storage: &dyn Storage, dir: &Path, part: &str) -> Option<PartIndex> {
    let bytes = read_small(storage, &dir.join(index_name(part)), INDEX_LIMIT).ok()?;
    PartIndex::from_bytes(&bytes)
}

/// Writes the index file of a part.
pub fn save_index(storage: &dyn Storage, dir: &Path, part: &str, index: &PartIndex) -> io::Result<()> {
    replace(storage, dir, &index_name(part), &index.to_bytes())
}

/// Where the last whole line ends.
pub fn last_line_end(file: &dyn StoredFile, len: u64) -> io::Result<u64> {
    let mut end = len;
    let mut buf = vec![0; 64 << 10];
    while end > 0 {
        let size = usize::try_from(end).unwrap_or(usize::MAX).min(buf.len());
        let start = end - size as u64;
        let piece = buf.get_mut(..size).unwrap_or_default();
        let n = read_full(file, piece, start)?;
        if let Some(at) = piece.get(..n).unwrap_or_default().iter().rposition(|b| *b == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn first_seq(file: &Arc<dyn StoredFile>, len: u64) -> io::Result<u64> {
    let mut lines = Lines::new(file.clone(), Place::START, len);
    while let Some(raw) = lines.next()? {
        let before = raw.place.line - 1;
        if let Ok(line) = raw.read() {
            return Ok(line.seq().saturating_sub(before).max(1));
        }
    }
    Ok(0)
}
