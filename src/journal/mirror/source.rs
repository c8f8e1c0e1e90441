//! Reading the record for a mirror: from a position on, following as it grows.

use std::io;
use std::sync::Arc;

use super::super::lines::{Head, Lines, Place, RawLine};
use super::super::read::Entries;
use super::super::storage::StoredFile;
use super::OnRecord;
use crate::domain::event::Event;

/// Where the lines go.
pub trait Sink {
    /// Bytes that are gathered before they are put.
    const PIECE: usize;

    /// Puts what was gathered, which ends with the entry `last`, and empties it.
    fn put(&mut self, piece: &mut Vec<u8>, last: Head) -> io::Result<()>;

    /// The payload of the entry `of` is blanked, says the entry `by`, which follows.
    fn blank(&mut self, of: u64, by: u64) -> io::Result<()>;
}

/// Where it reads.
#[derive(Default)]
pub struct Source {
    /// In the live part: that file, and its lines.
    cursor: Option<(Arc<dyn StoredFile>, Lines)>,
    /// After this entry one was missing when it was looked at last.
    doubt: Option<u64>,
}

impl Source {
    /// Looks for its place anew.
    pub fn forget(&mut self) {
        self.cursor = None;
    }

    /// Hands everything after `from` to `sink`.
    pub fn copy<S: Sink>(&mut self, record: &OnRecord, from: Head, sink: &mut S) -> io::Result<()> {
        let mut round = Round { last: from, piece: Vec::new(), doubt: &mut self.doubt, sink };
        let same = self.cursor.as_ref().is_some_and(|(file, _)| Arc::ptr_eq(file, &record.live));
        if !same {
            let mut entries = Entries::new(&record.closed, None, from.seq + 1)?;
            loop {
                let next = entries.next_raw(|_, raw| take(&raw, round.last.seq, &mut round.piece));
                match next.map_err(|damage| io::Error::other(damage.to_string()))? {
                    None => break,
                    Some(taken) => round.taken(taken)?,
                }
            }
            self.cursor = Some((record.live.clone(), Lines::new(record.live.clone(), Place::START, record.len)));
        }
        let Some((file, mut lines)) = self.cursor.take() else {
            return Ok(());
        };
        lines.extend(record.len);
        while let Some(raw) = lines.next()? {
            let taken = take(&raw, round.last.seq, &mut round.piece);
            round.taken(taken)?;
        }
        round.flush()?;
        self.cursor = Some((file, lines));
        Ok(())
    }
}

struct Round<'a, S> {
    last: Head,
    piece: Vec<u8>,
    doubt: &'a mut Option<u64>,
    sink: &'a mut S,
}

impl<S: Sink> Round<'_, S> {
    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() { Ok(()) } else { self.sink.put(&mut self.piece, self.last) }
    }

    fn taken(&mut self, taken: Taken) -> io::Result<()> {
        let (new, redacted) = match taken {
            Taken::Nothing => return Ok(()),
            Taken::Entry(new) => (new, None),
            Taken::Redaction { line, head, of } => (head, Some((line, of))),
        };
        if new.seq != self.last.seq + 1 && *self.doubt != Some(self.last.seq) {
            // It may be damaged, or just being written anew with a payload blanked: the next try tells.
            *self.doubt = Some(self.last.seq);
            return Err(io::Error::other(format!("entry {} cannot be read from the record", self.last.seq + 1)));
        }
        if let Some((line, of)) = redacted {
            // Blanked before the entry that says so is there: cut short, it is begun again.
            self.flush()?;
            self.sink.blank(of, new.seq)?;
            self.piece.extend_from_slice(&line);
        }
        self.last = new;
        if self.piece.len() >= S::PIECE {
            self.flush()?;
        }
        Ok(())
    }
}

enum Taken {
    Nothing,
    /// Its line was added to the piece.
    Entry(Head),
    Redaction {
        line: Vec<u8>,
        head: Head,
        of: u64,
    },
}

/// Takes a line that is a whole entry after `seq`; damage is not copied, it is told where it is.
fn take(raw: &RawLine<'_>, seq: u64, piece: &mut Vec<u8>) -> Taken {
    let Ok(line) = raw.read() else { return Taken::Nothing };
    if line.seq() <= seq || line.check().is_err() {
        return Taken::Nothing;
    }
    let head = Head { seq: line.seq(), hash: line.hash };
    if line.kind() == "entry.redacted"
        && let Ok(entry) = line.entry()
        && let Event::EntryRedacted(e) = entry.event
        && e.seq > 0
    {
        let mut copy = raw.bytes.to_vec();
        copy.push(b'\n');
        return Taken::Redaction { line: copy, head, of: e.seq };
    }
    piece.extend_from_slice(raw.bytes);
    piece.push(b'\n');
    Taken::Entry(head)
}
