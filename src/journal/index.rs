//! Where entries stand: for each part the place of every 64th entry, and for each incident the places of its rows.
//!
//! Only an aid: it is made anew from the part when it is missing or does not fit, and nothing is believed on its word (a
//! row found through it is checked to be the row that was looked for). A part's index is a few hundred kilobytes at
//! most, and is read when someone first asks for something in that part.

use std::collections::BTreeMap;

use super::lines::Place;

/// Entries from one mark to the next.
const STRIDE: u64 = 64;
/// Rows of one incident from one mark to the next.
const ROWS: u64 = 64;
const MAGIC: &[u8] = b"mayday index 1\n";
const DIGEST: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    seq: u64,
    place: Place,
}

/// The places of one incident's rows in a part, as differences, so that a row takes two or three bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rows {
    count: u64,
    last: u64,
    deltas: Vec<u8>,
    /// For rows 0, 64, 128 …: the place of that row and where the difference of the one after it begins.
    marks: Vec<(u64, usize)>,
}

impl Rows {
    fn push(&mut self, offset: u64) {
        if self.count == 0 {
            self.marks.push((offset, 0));
        } else {
            put(&mut self.deltas, offset.saturating_sub(self.last));
            if self.count.is_multiple_of(ROWS) {
                self.marks.push((offset, self.deltas.len()));
            }
        }
        self.last = offset;
        self.count += 1;
    }

    fn from(&self, row: u64, n: usize) -> Vec<u64> {
        let mut found = Vec::new();
        let mark = usize::try_from(row / ROWS).unwrap_or(usize::MAX);
        let Some((mut offset, at)) = self.marks.get(mark).copied() else {
            return found;
        };
        let mut deltas = self.deltas.get(at..).unwrap_or_default();
        let mut this = (row / ROWS) * ROWS;
        while this < self.count && found.len() < n {
            if this >= row {
                found.push(offset);
            }
            this += 1;
            match take(&mut deltas) {
                Some(delta) => offset += delta,
                None => break,
            }
        }
        found
    }
}

/// The index of one part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartIndex {
    entries: u64,
    first: u64,
    /// Everything before this place is in the index.
    covered: Place,
    marks: Vec<Mark>,
    incidents: BTreeMap<Box<str>, Rows>,
}

impl PartIndex {
    /// That of an empty part.
    pub fn empty() -> Self {
        PartIndex { covered: Place::START, ..PartIndex::default() }
    }

    /// The part's first entry; 0 when it has none.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Entries that could be read.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Everything before this place is in the index.
    pub fn covered(&self) -> Place {
        self.covered
    }

    /// Takes in the line at `place`, which must be where the index ends, and `len` bytes long. A line that is no entry
    /// has no `entry`.
    pub fn push(&mut self, place: Place, len: u64, entry: Option<(u64, Option<&str>)>) {
        if let Some((seq, incident)) = entry {
            if self.entries.is_multiple_of(STRIDE) {
                self.marks.push(Mark { seq, place });
            }
            if self.entries == 0 {
                self.first = seq;
            }
            self.entries += 1;
            if let Some(id) = incident {
                match self.incidents.get_mut(id) {
                    Some(rows) => rows.push(place.offset),
                    None => self.incidents.entry(id.into()).or_default().push(place.offset),
                }
            }
        }
        self.covered = Place { offset: place.offset + len, line: place.line + 1 };
    }

    /// The last line got the line end that it lacked.
    pub fn end_line(&mut self) {
        self.covered.offset += 1;
    }

    /// A place at or before the entry `seq`, less than 64 entries away from it.
    pub fn before(&self, seq: u64) -> Place {
        let after = self.marks.partition_point(|mark| mark.seq <= seq);
        after.checked_sub(1).and_then(|at| self.marks.get(at)).map_or(Place::START, |mark| mark.place)
    }

    /// The place at or before the byte `offset` for which the line number is known.
    pub fn before_byte(&self, offset: u64) -> Place {
        let after = self.marks.partition_point(|mark| mark.place.offset <= offset);
        after.checked_sub(1).and_then(|at| self.marks.get(at)).map_or(Place::START, |mark| mark.place)
    }

    /// Incidents that have rows in this part.
    pub fn incidents(&self) -> impl Iterator<Item = &str> {
        self.incidents.keys().map(AsRef::as_ref)
    }

    /// Rows of an incident in this part.
    pub fn rows(&self, incident: &str) -> u64 {
        self.incidents.get(incident).map_or(0, |rows| rows.count)
    }

    /// Bytes at which rows of an incident begin: at most `n` from its row `row` (from 0) on.
    pub fn rows_from(&self, incident: &str, row: u64, n: usize) -> Vec<u64> {
        self.incidents.get(incident).map(|rows| rows.from(row, n)).unwrap_or_default()
    }

    /// The bytes of an index file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(64 + self.marks.len() * 8);
        for n in [self.entries, self.first, self.covered.offset, self.covered.line, self.marks.len() as u64] {
            put(&mut body, n);
        }
        for mark in &self.marks {
            put(&mut body, mark.seq);
            put(&mut body, mark.place.offset);
            put(&mut body, mark.place.line);
        }
        put(&mut body, self.incidents.len() as u64);
        for (id, rows) in &self.incidents {
            put(&mut body, id.len() as u64);
            body.extend_from_slice(id.as_bytes());
            put(&mut body, rows.count);
            put(&mut body, rows.marks.first().map_or(0, |mark| mark.0));
            put(&mut body, rows.deltas.len() as u64);
            body.extend_from_slice(&rows.deltas);
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&digest(&body));
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Reads an index file; `None` when it is of another version or not as it was written.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (sum, mut body) = bytes.strip_prefix(MAGIC)?.split_at_checked(DIGEST)?;
        if digest(body) != *sum {
            return None;
        }
        let body = &mut body;
        let mut index = PartIndex {
            entries: take(body)?,
            first: take(body)?,
            covered: Place { offset: take(body)?, line: take(body)? },
            ..PartIndex::default()
        };
        for _ in 0..take(body)? {
            index.marks.push(Mark { seq: take(body)?, place: Place { offset: take(body)?, line: take(body)? } });
        }
        for _ in 0..take(body)? {
            let id = std::str::from_utf8(take_bytes(body)?).ok()?;
            let (count, mut offset) = (take(body)?, take(body)?);
            let mut deltas = take_bytes(body)?;
            let mut rows = Rows::default();
            for row in 0..count {
                if row > 0 {
                    offset = offset.checked_add(take(&mut deltas)?)?;
                }
                rows.push(offset);
            }
            index.incidents.insert(id.into(), rows);
        }
        Some(index)
    }
}

fn digest(body: &[u8]) -> [u8; DIGEST] {
    use sha2::Digest;
    sha2::Sha256::digest(body).into()
}

/// Seven bits a byte, the lowest first.
fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn take(from: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        n |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

fn take_bytes<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take(from)?).ok()?;
    let (bytes, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn finds_what_was_put_in(lens in proptest::collection::vec((1u64..5000, 0usize..4), 0..400), row in 0u64..300, n in 0usize..80) {
            let ids = [None, Some("INC-1"), Some("INC-2"), Some("é\n")];
            let mut index = PartIndex::empty();
            let mut rows: Vec<u64> = Vec::new();
            let mut places = Vec::new();
            let mut at = Place::START;
            for (i, (len, id)) in lens.iter().enumerate() {
                index.push(at, *len, Some((100 + i as u64, ids[*id])));
                places.push(at);
                if *id == 1 { rows.push(at.offset) }
                at = Place { offset: at.offset + len, line: at.line + 1 };
            }
            let again = PartIndex::from_bytes(&index.to_bytes());
            proptest::prop_assert_eq!(again.as_ref(), Some(&index));
            proptest::prop_assert_eq!(index.covered(), at);
            proptest::prop_assert_eq!(index.rows("INC-1"), rows.len() as u64);
            let wanted: Vec<u64> = rows.iter().skip(row as usize).take(n).copied().collect();
            proptest::prop_assert_eq!(index.rows_from("INC-1", row, n), wanted);
            for (i, place) in places.iter().enumerate() {
                let found = index.before(100 + i as u64);
                proptest::prop_assert!(found.line <= place.line && place.line - found.line < STRIDE);
            }
        }

        #[test]
        fn refuses_what_was_changed(flip in 0usize..200, bit in 0u8..8) {
            let mut index = PartIndex::empty();
            for i in 0..90u64 {
                index.push(Place { offset: i * 10, line: i + 1 }, 10, Some((i + 1, Some("INC-1"))));
            }
            let mut bytes = index.to_bytes();
            let at = flip % bytes.len();
            bytes[at] ^= 1 << bit;
            proptest::prop_assert_eq!(PartIndex::from_bytes(&bytes), None);
            proptest::prop_assert_eq!(PartIndex::from_bytes(&bytes[..at]), None);
        }
    }
}
