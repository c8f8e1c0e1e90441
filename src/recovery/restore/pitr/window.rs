//! The window that can be reached: from the moment at which the base backup is consistent to the last transaction in the
//! log that follows it without a gap.
//!
//! A gap ends it. The server would end there too, and before PostgreSQL 13 would even have promoted without a word, so
//! it is found and named before anything is started.

use std::time::Instant;

use super::base::Base;
use super::scan::{Head, Scanner, Seen};
use super::target;
pub use super::wal::chain::Log;
use super::wal::chain::{self, Chain};
use super::wal::{self, Lsn, Way};

/// What can be reached from one base backup.
#[derive(Clone, Debug)]
pub struct Window {
    pub way: Way,
    pub segment_size: u64,
    pub head: Head,
    /// First and last segment, without a gap between them.
    pub first: u64,
    pub last: u64,
    /// Where the base backup is consistent.
    pub end: Lsn,
    /// Microseconds since 1970.
    pub earliest: i64,
    pub latest: Latest,
    /// The last end of a transaction, where one was found.
    pub last_ended: Option<Lsn>,
    pub last_record: Lsn,
    pub log_end: Lsn,
    /// What is missing, with log behind it, and the newest that is there.
    pub chain: Chain,
    pub newest: String,
    /// Where log that is there cannot be read on, in a sentence.
    pub damaged: Option<String>,
    /// What is odd about the archive, in sentences.
    pub remarks: Vec<String>,
}

/// The newest moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latest {
    /// The time of the last transaction, read in the log itself.
    Read(i64),
    /// The log could not be read or nothing ended in it: when its last file was written.
    Estimated(i64),
}

impl Latest {
    pub const fn micros(self) -> i64 {
        match self {
            Latest::Read(t) | Latest::Estimated(t) => t,
        }
    }
}

/// Segments read backwards for the last end of a transaction.
const BACK: u64 = 64;
/// Segments read before a base backup.
const AGO: u64 = 8;
/// Segments read for the end of a base backup that does not say where it is.
const AHEAD: u64 = 512;

/// Reads segments `from..=to`, which are there.
fn scan(
    log: &Log<'_>,
    (way, size): (&Way, u64),
    (from, to): (u64, u64),
    stop: Option<Lsn>,
    until: Instant,
) -> Result<Seen, String> {
    let mut scanner = Scanner::new(Lsn(from * size), size).until(stop);
    for segment in from..=to {
        let Some(stored) = log.find(way, segment, size) else { break };
        let read = log.source.open(stored).and_then(|mut from| scanner.segment(&mut from));
        read.map_err(|e| format!("{} cannot be read: {e}", stored.place))?;
        if Instant::now() > until {
            break;
        }
    }
    Ok(scanner.seen())
}

/// Finds out what can be reached. Blocks. Errors: why nothing can, and what to do.
pub fn find(log: &Log<'_>, base: &Base, timeline: Option<u32>, until: Instant) -> Result<Window, String> {
    let mut remarks = Vec::new();
    let way = log.way(base.timeline, base.end.unwrap_or(base.start), timeline, &mut remarks)?;
    let strange = log.archive.segments.keys().filter_map(|n| wal::parse_segment(n, wal::SEGMENT)).map(|(t, _)| t).max();
    if let Some(strange) =
        strange.filter(|t| timeline.is_none() && *t > way.timeline() && !log.archive.histories.contains_key(t))
    {
        remarks.push(format!("there is log of timeline {strange} without its history file {strange:08X}.history"));
    }
    let (head, size) = head(log, base)?;
    if let Some(system) = base.system.filter(|s| *s != head.system) {
        return Err(format!(
            "the log in {} is of another cluster ({}) than the base backup ({system}): correct `wal_archive` of the restore",
            log.source.shown(),
            head.system
        ));
    }
    let first = base.start.segment(size);
    let chain = log.chain(&way, first, size);
    let last = chain.last.unwrap_or(first);
    let name = |segment: u64| chain::name(&way, segment, size);
    let end = match base.end {
        Some(end) => end,
        None => end_of_base(log, base, (&way, size), (first, last), until)?,
    };
    if end.last_segment(size) > last {
        let lacking = chain.missing.first().cloned().unwrap_or_else(|| name(last + 1));
        return Err(format!(
            "{lacking} is missing in {}: the base backup needs the log up to {end} to be consistent; look for that segment, \
             or choose another copy",
            log.source.shown()
        ));
    }
    // What was committed while the base backup was taken is in it, wanted or not.
    let back = end.last_segment(size).saturating_sub(3).max(first);
    let during = scan(log, (&way, size), (back, end.last_segment(size)), Some(end), until)?;
    let earliest = match during.latest.or_else(|| before(log, (&way, size), first, until)) {
        Some(time) => Some(time),
        // A label tells the second in which it began.
        None => base.started.map(|s| s.saturating_add(1).saturating_mul(1_000_000)),
    };
    let (tail, whole) = tail(log, (&way, size), (first, last), until)?;
    let modified = log.find(&way, last, size).map_or(0, |s| s.modified).saturating_mul(1_000_000);
    // Log that is there, and in which the reader could not go on to the last segment.
    let stuck = tail.end.segment(size);
    let damaged = (tail.last_record.is_some() && stuck < last).then(|| {
        format!(
            "the log cannot be read on behind {} in {}: it is damaged there, or what continues it is not archived yet",
            tail.end,
            name(stuck)
        )
    });
    let earliest = earliest.or(tail.first.map(|e| e.time)).unwrap_or(modified);
    let latest = match tail.latest {
        Some(time) => Latest::Read(time.max(earliest)),
        // Nothing ended since the base backup: it is the newest there is.
        None if whole => Latest::Read(earliest),
        None => Latest::Estimated(modified.max(earliest)),
    };
    Ok(Window {
        segment_size: size,
        head,
        first,
        last,
        end,
        earliest,
        latest,
        // Before the end of the base backup nothing can be stopped at.
        last_ended: tail.last.map(|e| e.at).filter(|at| *at >= end),
        last_record: tail.last_record.unwrap_or(end),
        log_end: tail.end,
        newest: name(chain.newest),
        chain,
        damaged,
        remarks,
        way,
    })
}

/// The first page of the segment that replaying begins with: which cluster it is of, and how large its segments are.
fn head(log: &Log<'_>, base: &Base) -> Result<(Head, u64), String> {
    let wanted = |size: u64| wal::segment_name(base.timeline, base.start.segment(size), size);
    // The name depends on the size, which stands within.
    for size in [wal::SEGMENT].into_iter().chain((20..=30).map(|n| 1u64 << n)) {
        let name = wanted(size);
        let Some(stored) = log.archive.segments.get(&name).or_else(|| log.own.segments.get(&name)) else { continue };
        let mut page = [0; 64];
        let read = log.source.open(stored).and_then(|mut from| from.read_exact(&mut page));
        read.map_err(|e| format!("{} cannot be read: {e}", stored.place))?;
        let head = Head::parse(&page).ok_or_else(|| {
            format!("{} is no segment of a log: it is damaged, or encrypted by whoever archived it", stored.place)
        })?;
        if head.segment_size == size {
            return Ok((head, size));
        }
    }
    Err(format!(
        "{} is missing in {}: the base backup begins with it; look for that segment, correct `wal_archive`, or choose \
         another copy",
        wanted(wal::SEGMENT),
        log.source.shown()
    ))
}

/// Where a base backup ends that does not say so: at the record that its end left in the log.
fn end_of_base(
    log: &Log<'_>,
    base: &Base,
    window: (&Way, u64),
    (first, last): (u64, u64),
    until: Instant,
) -> Result<Lsn, String> {
    let mut from = first;
    while from <= last && from - first < AHEAD {
        let seen = scan(log, window, (from, (from + 15).min(last)), None, until)?;
        if let Some((_, end)) = seen.backups.iter().find(|(start, _)| *start == base.start) {
            return Ok(*end);
        }
        if Instant::now() > until {
            break;
        }
        // One again: a record may lie over the border.
        from += 15;
    }
    Err(format!(
        "the end of the base backup is not in the log that follows it without a gap, up to {}: without that it cannot be \
         consistent; look for the log behind that, or choose another copy",
        wal::segment_name(base.timeline, last, window.1)
    ))
}

/// The last end of a transaction before a base backup was begun, where the archive still has that log: any moment from
/// there on is one that the base backup does not lie behind.
fn before(log: &Log<'_>, window: (&Way, u64), first: u64, until: Instant) -> Option<i64> {
    let (way, size) = window;
    let mut from = first;
    while from > 0 && first - from < AGO && Instant::now() < until {
        // On the way to here; where that begins later, it was another cluster's life.
        log.find(way, from - 1, size)?;
        from -= 1;
        let seen = scan(log, window, (from, first - 1), None, until).ok()?;
        if seen.latest.is_some() {
            return seen.latest;
        }
    }
    None
}

/// The end of the log, read far enough back to meet the end of a transaction; and whether that was all there is.
fn tail(log: &Log<'_>, window: (&Way, u64), (first, last): (u64, u64), until: Instant) -> Result<(Seen, bool), String> {
    let mut back = 1;
    loop {
        let from = last.saturating_sub(back).max(first);
        let seen = scan(log, window, (from, last), None, until)?;
        if seen.last.is_some() || from == first || back >= BACK || Instant::now() > until {
            return Ok((seen, from == first && Instant::now() <= until));
        }
        back *= 4;
    }
}

impl Window {
    /// `2026-11-20T02:00:07.1Z to 2026-11-20T02:14:07.318204Z on timeline 1`.
    pub fn shown(&self) -> String {
        let about = if matches!(self.latest, Latest::Estimated(_)) { "about " } else { "" };
        format!(
            "{} to {about}{} on timeline {}",
            target::shown(self.earliest),
            target::shown(self.latest.micros()),
            self.way.timeline()
        )
    }

    /// Bytes of log to replay, at most.
    pub fn bytes(&self) -> u64 {
        (self.last - self.first + 1).saturating_mul(self.segment_size)
    }

    /// What is missing, in a sentence.
    pub fn gap(&self) -> Option<String> {
        self.chain.gap(&self.newest)
    }
}
