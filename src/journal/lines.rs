//! Walking through a part line by line, in bounded memory, and checking that each line follows the one before.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use super::line::{Hash64, Line, MAX_LINE};
use super::storage::StoredFile;
use crate::text::clean;

const BUFFER: usize = 256 << 10;

/// Something in the record that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// File name of the part.
    pub part: String,
    /// Line in the part, from 1; 0 where it concerns the part as a whole.
    pub line: u64,
    /// Byte in the part at which that line begins.
    pub byte: u64,
    /// What is wrong, in words.
    pub why: String,
}

impl Damage {
    /// Damage at a place, or of the part as a whole. The words may quote the record, which is not to be trusted then.
    pub(super) fn new(part: &str, place: Option<Place>, why: impl AsRef<str>) -> Self {
        let Place { offset, line } = place.unwrap_or_default();
        Damage { part: clean(part).into_owned(), line, byte: offset, why: clean(why.as_ref()).into_owned() }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { part, line, byte, why } = self;
        match line {
            0 => write!(f, "{part}: {why}"),
            _ => write!(f, "{part} line {line} (byte {byte}): {why}"),
        }
    }
}

/// Where a line stands in its part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Byte at which it begins.
    pub offset: u64,
    /// From 1.
    pub line: u64,
}

impl Place {
    /// Where a part begins.
    pub const START: Place = Place { offset: 0, line: 1 };
}

/// One line as it stands in the file.
pub struct RawLine<'a> {
    /// Without the line end, and without what lies beyond [`MAX_LINE`].
    pub bytes: &'a [u8],
    /// Where it begins.
    pub place: Place,
    /// Bytes it takes in the file, with its line end.
    pub len: u64,
    /// It has a line end.
    pub ended: bool,
    /// It is longer than [`MAX_LINE`].
    pub too_long: bool,
}

impl RawLine<'_> {
    /// Where the next one begins.
    pub fn after(&self) -> Place {
        Place { offset: self.place.offset + self.len, line: self.place.line + 1 }
    }

    /// Takes it apart. Errors: in words.
    pub fn read(&self) -> Result<Line<'_>, String> {
        if self.too_long {
            return Err(format!("{} bytes without a line end", self.len));
        }
        Line::read(self.bytes)
    }
}

/// The lines of one file from a place on, up to a length that was read once: what is appended meanwhile is not seen.
pub struct Lines {
    input: BufReader<From>,
    next: Place,
    buf: Vec<u8>,
}

struct From {
    file: Arc<dyn StoredFile>,
    at: u64,
    end: u64,
}

impl Read for From {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = buf.len().min(left);
        let Some(buf) = buf.get_mut(..wanted).filter(|buf| !buf.is_empty()) else {
            return Ok(0);
        };
        let n = self.file.read_at(buf, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Lines {
    /// Lines from `start` on, none of which begins at or after `end`.
    pub fn new(file: Arc<dyn StoredFile>, start: Place, end: u64) -> Self {
        // A page of a few rows should not cost a read of the full buffer.
        let capacity = usize::try_from(end.saturating_sub(start.offset)).unwrap_or(BUFFER).clamp(512, BUFFER);
        let input = BufReader::with_capacity(capacity, From { file, at: start.offset, end });
        Lines { input, next: start, buf: Vec::with_capacity(1024) }
    }

    /// Goes on up to `end`, when more was written to the file.
    pub fn extend(&mut self, end: u64) {
        self.input.get_mut().end = end;
    }

    /// Where the line begins that comes next.
    pub fn place(&self) -> Place {
        self.next
    }

    /// The next line. Errors: those of reading; the same call may be tried again.
    pub fn next(&mut self) -> io::Result<Option<RawLine<'_>>> {
        self.buf.clear();
        let limit = MAX_LINE as u64 + 1;
        let mut len = (&mut self.input).take(limit).read_until(b'\n', &mut self.buf)? as u64;
        if len == 0 {
            return Ok(None);
        }
        let mut ended = self.buf.last() == Some(&b'\n');
        let too_long = !ended && len == limit;
        if too_long {
            let (rest, end) = skip_line(&mut self.input)?;
            len += rest;
            ended = end;
        } else if ended {
            self.buf.pop();
        }
        let place = self.next;
        self.next = Place { offset: place.offset + len, line: place.line + 1 };
        Ok(Some(RawLine { bytes: &self.buf, place, len, ended, too_long }))
    }
}

fn skip_line(input: &mut BufReader<From>) -> io::Result<(u64, bool)> {
    let mut skipped = 0;
    loop {
        let seen = input.fill_buf()?;
        if seen.is_empty() {
            return Ok((skipped, false));
        }
        let (n, ended) = match seen.iter().position(|b| *b == b'\n') {
            Some(at) => (at + 1, true),
            None => (seen.len(), false),
        };
        input.consume(n);
        skipped += n as u64;
        if ended {
            return Ok((skipped, true));
        }
    }
}

/// The last entry that is on record: what the next one follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// 0 when there is no entry.
    pub seq: u64,
    pub hash: Hash64,
}

impl Head {
    /// The head of an empty journal.
    pub const GENESIS: Head = Head { seq: 0, hash: Hash64::GENESIS };
}

/// Follows the chain from entry to entry. After a fault it goes on with what comes, so that one broken line is told as
/// one fault.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    /// The last entry that was taken, or what a broken line must have been.
    head: Head,
    /// False behind a broken line, where the hash that the next entry has to follow is not known.
    certain: bool,
}

impl Chain {
    /// The next entry must follow `head`.
    pub fn after(head: Head) -> Self {
        Chain { head, certain: true }
    }

    /// What the next entry has to follow, as far as it is known.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Checks a line in itself and against the one before. Errors: in words; the chain goes on behind it.
    pub fn step(&mut self, line: &Line<'_>) -> Result<(), String> {
        let before = *self;
        self.head = Head { seq: line.seq(), hash: line.hash };
        self.certain = true;
        let (seq, wanted) = (line.seq(), before.head.seq + 1);
        if let Err(why) = line.check() {
            // Its own number is not to be believed; the hash it names is what the next entry follows all the same.
            self.head.seq = wanted;
            return Err(why);
        }
        if seq != wanted {
            self.head.seq = seq.max(before.head.seq);
            return Err(match seq.checked_sub(wanted) {
                Some(1) => format!("entry {wanted} is missing before entry {seq}"),
                Some(_) => format!("entries {wanted} to {} are missing before entry {seq}", seq - 1),
                None => format!("entry {seq} stands where entry {wanted} is due"),
            });
        }
        if before.certain && line.prev != before.head.hash {
            return Err(format!(
                "entry {seq} follows {}, but the entry before it is {}: one of them was replaced",
                line.prev.short(),
                before.head.hash.short()
            ));
        }
        Ok(())
    }

    /// A line that cannot be read stood here: it counts as one entry.
    pub fn broken(&mut self) {
        self.head.seq += 1;
        self.certain = false;
    }
}
