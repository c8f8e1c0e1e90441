//! Every line of the record as it is stored, for looking whether a text stands in it.

use std::path::Path;
use std::sync::Arc;

use super::JournalError;
use super::lines::Place;
use super::reader::Reader;
use super::storage::{Disk, Storage};

/// A line as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// File name of the part, and the line in it, from 1.
    pub part: &'a str,
    pub line: u64,
    /// `None`: it is damaged, and `payload` is all of it.
    pub entry: Option<StoredEntry<'a>>,
    pub payload: &'a [u8],
}

/// What is known of a line that reads.
#[derive(Clone, Copy, Debug)]
pub struct StoredEntry<'a> {
    pub seq: u64,
    pub kind: &'a str,
    /// The bytes before the payload: they cannot be blanked.
    pub header: &'a [u8],
    /// It was blanked before.
    pub blanked: bool,
}

/// Shows all lines of the record in `dir` to `see`, oldest first. Errors: it cannot be read.
pub fn search(dir: &Path, see: &mut dyn FnMut(&Stored<'_>)) -> Result<(), JournalError> {
    let storage = Arc::new(Disk::default()) as Arc<dyn Storage>;
    let mut walk = || {
        let reader = Reader::look(&storage, dir)?;
        for part in reader.parts() {
            let mut lines = part.lines(Place::START)?;
            while let Some(raw) = lines.next()? {
                let line = raw.read();
                let entry = line.as_ref().ok().map(|line| StoredEntry {
                    seq: line.seq(),
                    kind: line.kind(),
                    header: line.header(),
                    blanked: line.redacted_by().is_some(),
                });
                let payload = line.as_ref().map_or(raw.bytes, |line| line.payload().as_bytes());
                see(&Stored { part: part.name(), line: raw.place.line, entry, payload });
            }
        }
        Ok(())
    };
    walk().map_err(JournalError::new("read the journal in", dir))
}
