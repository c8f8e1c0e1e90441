//! Reading a record without its engine and without writing anything: a copy, a mirror, or a folder that an engine is
//! writing to right now.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::line::Hash64;
use super::lines::Damage;
use super::parts::{self, LIVE, Part};
use super::read::{self, Entries, Page};
use super::storage::{Disk, Storage};
use super::{JournalError, part_gaps};

/// Times that the list of parts is read again when a part was closed in between.
const TRIES: usize = 5;

/// The record as it stood when it was opened.
#[derive(Debug)]
pub struct Reader {
    parts: Vec<Arc<Part>>,
    path: PathBuf,
    unfinished: u64,
}

impl Reader {
    /// Opens a state folder (or a copy of one), or a single file such as a mirror. Needs the right to read, takes no lock,
    /// changes nothing. Errors: there is nothing to read, or no right to.
    pub fn open(path: &Path) -> Result<Reader, JournalError> {
        Reader::open_with(&(Arc::new(Disk::default()) as Arc<dyn Storage>), path)
    }

    /// As [`Reader::open`], in a storage of one's own.
    pub fn open_with(storage: &Arc<dyn Storage>, path: &Path) -> Result<Reader, JournalError> {
        Reader::look(storage, path).map_err(JournalError::new("read the journal in", path))
    }

    pub(super) fn look(storage: &Arc<dyn Storage>, path: &Path) -> io::Result<Reader> {
        if let Err(e) = storage.list(path)
            && e.kind() == io::ErrorKind::NotADirectory
        {
            let dir = path.parent().unwrap_or(Path::new("."));
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let (part, unfinished) = Part::snapshot(storage, dir, name)?;
            return Ok(Reader { parts: vec![Arc::new(part)], path: path.to_owned(), unfinished });
        }
        let mut names = parts::list(storage.as_ref(), path)?;
        for _ in 0..TRIES {
            if names.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no {LIVE} in it")));
            }
            let opened = Reader::snapshot(storage, path, &names);
            let now = parts::list(storage.as_ref(), path)?;
            if now == names {
                return opened;
            }
            names = now;
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "its parts keep changing: try again"))
    }

    fn snapshot(storage: &Arc<dyn Storage>, dir: &Path, names: &[String]) -> io::Result<Reader> {
        let mut reader = Reader { parts: Vec::new(), path: dir.to_owned(), unfinished: 0 };
        for name in names {
            let part = if name == LIVE {
                let (part, unfinished) = Part::snapshot(storage, dir, name)?;
                reader.unfinished = unfinished;
                part
            } else {
                Part::open(storage, dir, name)?
            };
            reader.parts.push(Arc::new(part));
        }
        Ok(reader)
    }

    /// Bytes at the end that are no whole line: an entry that is being written, or a torn one.
    pub fn unfinished(&self) -> u64 {
        self.unfinished
    }

    /// Parts that are missing between or before those that are there.
    pub fn gaps(&self) -> Vec<Damage> {
        part_gaps(&self.parts)
    }

    /// All entries from `from` on.
    pub fn entries(&self, from: u64) -> Result<Entries, JournalError> {
        Entries::new(&self.parts, None, from).map_err(self.err())
    }

    /// At most `n` entries from `from` on.
    pub fn read_range(&self, from: u64, n: usize) -> Result<Page, JournalError> {
        Ok(read::page(self.entries(from)?, n))
    }

    /// The last `n` entries.
    pub fn tail(&self, n: usize) -> Result<Page, JournalError> {
        let last = self.last_seq()?;
        self.read_range((last + 1).saturating_sub(n as u64), n)
    }

    /// The last entry that can be read; 0 when there is none.
    pub fn last_seq(&self) -> Result<u64, JournalError> {
        for part in self.parts.iter().rev() {
            let mut last = 0;
            let start = part.index().map_err(self.err())?.before(u64::MAX);
            let mut lines = part.lines(start).map_err(self.err())?;
            while let Some(raw) = lines.next().map_err(self.err())? {
                last = raw.read().map_or(last, |line| line.seq().max(last));
            }
            if last > 0 {
                return Ok(last);
            }
        }
        Ok(0)
    }

    /// The hash of the entry `seq`: the head of the record when that was its last one. `None` when it cannot be read.
    pub fn hash_of(&self, seq: u64) -> Result<Option<Hash64>, JournalError> {
        let mut entries = self.entries(seq)?;
        loop {
            match entries.next_raw(|_, raw| raw.read().map(|line| (line.seq(), line.hash))) {
                Ok(Some(Ok((found, hash)))) if found == seq => return Ok(Some(hash)),
                Ok(Some(Ok((found, _)))) if found > seq => return Ok(None),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Ok(None),
            }
        }
    }

    /// The incidents that have rows in the record, by their ids.
    pub fn incidents(&self) -> Result<BTreeSet<String>, JournalError> {
        let mut found = BTreeSet::new();
        for part in &self.parts {
            found.extend(part.index().map_err(self.err())?.incidents().map(str::to_owned));
        }
        Ok(found)
    }

    /// Rows that an incident has in the record.
    pub fn incident_rows(&self, incident: &str) -> Result<u64, JournalError> {
        self.parts.iter().try_fold(0, |rows, part| Ok(rows + part.index().map_err(self.err())?.rows(incident)))
    }

    /// Rows of an incident: at most `n` from its row `row` (from 0) on.
    pub fn incident_page(&self, incident: &str, row: u64, n: usize) -> Result<Page, JournalError> {
        read::incident_page(&self.parts, None, incident, row, n).map_err(self.err())
    }

    /// The incident's first row (from 0) whose entry comes after `seq`; the number of its rows when there is none. Found by
    /// halving, so that the newest rows of a long history cost no more than the first.
    pub fn incident_row_after(&self, incident: &str, seq: u64) -> Result<u64, JournalError> {
        let rows = self.incident_rows(incident)?;
        let (mut low, mut high) = (0, rows);
        while low < high {
            let middle = low + (high - low) / 2;
            // A row that cannot be read says nothing: the next one that can speaks for it.
            let mut probe = middle;
            let found = loop {
                if probe >= high {
                    break None;
                }
                let page = self.incident_page(incident, probe, 1)?;
                match page.entries.first() {
                    Some(entry) => break Some(entry.seq),
                    None => probe += 1,
                }
            };
            match found {
                Some(found) if found <= seq => low = probe + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// All rows of an incident.
    pub fn incident_entries(&self, incident: &str) -> Result<Page, JournalError> {
        self.incident_page(incident, 0, usize::MAX)
    }

    pub(super) fn parts(&self) -> &[Arc<Part>] {
        &self.parts
    }

    fn err(&self) -> impl FnOnce(io::Error) -> JournalError + use<'_> {
        JournalError::new("read the journal in", &self.path)
    }
}
