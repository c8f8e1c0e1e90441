//! The files of a journal: `journal-000001.jsonl`, `journal-000002.jsonl` … and `journal.jsonl`, which is written to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::index::PartIndex;
use super::lines::{Lines, Place};
use super::storage::{Access, Storage, StoredFile, read_small, replace};

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
    if digits.len() < 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
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
        Ok(Lines::new(self.file()?, start, self.len))
    }

    /// Its index: kept, read from its file, or made from the part.
    pub fn index(&self) -> io::Result<Arc<PartIndex>> {
        let mut kept = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = kept.as_ref() {
            return Ok(index.clone());
        }
        let index = match load_index(self.storage.as_ref(), &self.dir, &self.name) {
            Some(index) if index.covered().offset == self.len => index,
            _ => build_index(self.lines(Place::START)?)?,
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
        let index = build_index(self.lines(Place::START)?)?;
        self.set_index(index);
        self.index()
    }
}

/// Makes an index from all lines.
pub fn build_index(mut lines: Lines) -> io::Result<PartIndex> {
    let mut index = PartIndex::new();
    while let Some(raw) = lines.next()? {
        match raw.read() {
            Ok(line) => index.push(raw.place, raw.len, Some((line.seq(), line.incident().as_deref()))),
            Err(_) => index.push(raw.place, raw.len, None),
        }
    }
    Ok(index)
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
