//! Reading what a stretch of log says of time: when transactions ended, restore points, where a base backup ended, and
//! where the last whole record lies.
//!
//! Formats: xlog_internal.h (page headers), xlogrecord.h (records), xact.h and pg_control.h (what is in them), the same
//! since PostgreSQL 9.5. Contents are not checked here, the server does that when it replays; this reader only has to end
//! where the log ends, and never to read further than it was given.

use std::io::{self, Read};

use super::Lsn;

/// A page of the log (`XLOG_BLCKSZ`).
pub const PAGE: usize = 8192;
const RECORD: usize = 24;
/// Bytes kept of one record: the times stand at its beginning.
const KEPT: usize = 1024;
const CONTINUED: u16 = 0x0001;
const LONG: u16 = 0x0002;

/// Microseconds from 1970 to 2000, where PostgreSQL's time begins.
const EPOCH: i64 = 946_684_800_000_000;

/// The end of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub at: Lsn,
    /// Microseconds since 1970.
    pub time: i64,
    pub commit: bool,
}

/// A named point (`pg_create_restore_point`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub at: Lsn,
    pub name: String,
    pub time: i64,
}

/// What was seen in a stretch of log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub first: Option<Ended>,
    /// The last end of a transaction in the order of the log.
    pub last: Option<Ended>,
    /// The latest time of any of them: they are not strictly in order.
    pub latest: Option<i64>,
    /// Where the last whole record begins.
    pub last_record: Option<Lsn>,
    /// Behind the last whole record.
    pub end: Lsn,
    pub points: Vec<Named>,
    /// Ends of base backups: where each began, and the position behind its end.
    pub backups: Vec<(Lsn, Lsn)>,
}

/// What the first page of a segment says of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub magic: u16,
    pub timeline: u32,
    pub at: Lsn,
    pub system: u64,
    pub segment_size: u64,
}

impl Head {
    /// Reads the long header; `None` when it is none.
    pub fn parse(page: &[u8]) -> Option<Head> {
        let head = Head {
            magic: u16_at(page, 0)?,
            timeline: u32_at(page, 4)?,
            at: Lsn(u64_at(page, 8)?),
            system: u64_at(page, 24)?,
            segment_size: u64::from(u32_at(page, 32)?),
        };
        let sane = head.segment_size.is_power_of_two() && (1 << 20..=1 << 30).contains(&head.segment_size);
        (head.magic >> 8 == 0xD1 && u16_at(page, 2)? & LONG != 0 && sane).then_some(head)
    }
}

fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(b.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(b.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(b: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(b.get(at..at + 8)?.try_into().ok()?))
}

/// Reads segments that follow one another.
#[derive(Debug)]
pub struct Scanner {
    segment: u64,
    next_page: u64,
    /// Of the record being read.
    record: Vec<u8>,
    record_at: u64,
    /// Bytes still to come of it, or of the one that is passed over (`record_at` 0).
    missing: u64,
    previous: Option<u64>,
    /// The rest of this segment is empty.
    switched: bool,
    /// Records from here on do not count.
    stop: Option<Lsn>,
    over: bool,
    seen: Seen,
}

impl Scanner {
    /// From the beginning of a segment of `segment` bytes.
    pub fn new(at: Lsn, segment: u64) -> Scanner {
        Scanner {
            segment: segment.max(PAGE as u64),
            next_page: at.0,
            record: Vec::new(),
            record_at: 0,
            missing: 0,
            previous: None,
            switched: false,
            stop: None,
            over: false,
            seen: Seen { end: at, ..Seen::default() },
        }
    }

    /// Ends before the record at `stop`.
    pub fn until(self, stop: Option<Lsn>) -> Scanner {
        Scanner { stop, ..self }
    }

    /// Reads one segment. Ends early where the log ends; then nothing that follows counts. Errors: those of `from`.
    pub fn segment(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut page = vec![0; PAGE];
        for _ in 0..self.segment / PAGE as u64 {
            if self.over {
                return Ok(());
            }
            let mut n = 0;
            while let Some(rest) = page.get_mut(n..).filter(|r| !r.is_empty()) {
                match from.read(rest) {
                    Ok(0) => break,
                    Ok(k) => n += k,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            }
            if n < PAGE {
                self.over = true;
                return Ok(());
            }
            self.page(&page);
        }
        Ok(())
    }

    pub fn seen(self) -> Seen {
        self.seen
    }

    fn page(&mut self, page: &[u8]) {
        let at = self.next_page;
        self.next_page += PAGE as u64;
        if self.page_inner(page, at).is_none() {
            self.over = true;
        }
    }

    /// `None` where the log ends.
    fn page_inner(&mut self, page: &[u8], at: u64) -> Option<()> {
        if self.switched && !at.is_multiple_of(self.segment) {
            return Some(());
        }
        self.switched = false;
        let info = u16_at(page, 2)?;
        if u16_at(page, 0)? >> 8 != 0xD1 || u64_at(page, 8)? != at {
            return None;
        }
        let mut cursor = if info & LONG != 0 { 40 } else { 24 };
        if info & CONTINUED != 0 {
            let rest = u64::from(u32_at(page, 16)?);
            if self.missing != rest {
                // Its beginning is not known, or another record than the one begun: passed over.
                self.record.clear();
                (self.record_at, self.missing) = (0, rest);
            }
        } else if self.missing > 0 {
            // What was begun was never finished, and something else was written instead.
            self.record.clear();
            (self.record_at, self.missing) = (0, 0);
        }
        loop {
            if self.missing > 0 {
                let take = usize::try_from(self.missing).unwrap_or(usize::MAX).min(PAGE - cursor.min(PAGE));
                let bytes = page.get(cursor..cursor + take)?;
                if self.record_at > 0 && self.record.len() < KEPT {
                    self.record.extend_from_slice(bytes.get(..bytes.len().min(KEPT - self.record.len()))?);
                }
                cursor += take;
                self.missing -= take as u64;
                if self.missing > 0 {
                    return Some(());
                }
                cursor = cursor.next_multiple_of(8);
                if self.record_at > 0 {
                    self.whole(at + cursor as u64)?;
                }
                let switch = self.record_at > 0 && self.is_switch();
                self.record_at = 0;
                if switch {
                    self.switched = true;
                    self.seen.end = Lsn((at / self.segment + 1) * self.segment);
                    return Some(());
                }
            }
            if cursor >= PAGE {
                return Some(());
            }
            let length = u32_at(page, cursor)?;
            if (length as usize) < RECORD {
                return None;
            }
            (self.record_at, self.missing) = (at + cursor as u64, u64::from(length));
            self.record.clear();
        }
    }

    /// The record just read ends its segment.
    fn is_switch(&self) -> bool {
        self.record.get(17) == Some(&0) && self.record.get(16).is_some_and(|i| i & 0xF0 == 0x40)
    }

    /// A whole record. `None` when it does not follow the one before: then it is a leftover of an earlier use of the file.
    fn whole(&mut self, end: u64) -> Option<()> {
        let record = std::mem::take(&mut self.record);
        let previous = u64_at(&record, 8)?;
        if self.previous.is_some_and(|p| p != previous) {
            return None;
        }
        let at = Lsn(self.record_at);
        if self.stop.is_some_and(|stop| at >= stop) {
            return None;
        }
        self.previous = Some(self.record_at);
        (self.seen.last_record, self.seen.end) = (Some(at), Lsn(end));
        let info = *record.get(16)?;
        match (*record.get(17)?, info) {
            (1, info) if matches!(info & 0x70, 0x00 | 0x20 | 0x30 | 0x40) => {
                if let Some(time) = main_data(&record).and_then(|d| u64_at(d, 0)) {
                    let ended = Ended { at, time: unix(time), commit: matches!(info & 0x70, 0x00 | 0x30) };
                    self.seen.first.get_or_insert(ended);
                    self.seen.last = Some(ended);
                    self.seen.latest = self.seen.latest.max(Some(ended.time));
                }
            }
            (0, info) if info & 0xF0 == 0x70 => {
                if let Some(data) = main_data(&record)
                    && let (Some(time), Some(name)) = (u64_at(data, 0), data.get(8..72))
                {
                    let name = name.split(|b| *b == 0).next().unwrap_or_default();
                    let name = String::from_utf8_lossy(name).into_owned();
                    self.seen.points.push(Named { at, name, time: unix(time) });
                }
            }
            (0, info) if info & 0xF0 == 0x50 => {
                if let Some(start) = main_data(&record).and_then(|d| u64_at(d, 0)) {
                    self.seen.backups.push((Lsn(start), Lsn(end)));
                }
            }
            _ => {}
        }
        self.record = record;
        Some(())
    }
}

fn unix(time: u64) -> i64 {
    time.cast_signed().saturating_add(EPOCH)
}

/// What a record without blocks carries (xlogrecord.h: short and long data, origin, top-level transaction).
fn main_data(record: &[u8]) -> Option<&[u8]> {
    let mut at = RECORD;
    loop {
        match *record.get(at)? {
            255 => return record.get(at + 2..),
            254 => return record.get(at + 5..),
            253 => at += 3,
            252 => at += 5,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests;
