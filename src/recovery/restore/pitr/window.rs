//! The window that can be reached: from the moment at which the base backup is consistent to the last transaction in the
//! log that follows it without a gap.
//!
//! A gap ends it. The server would end there too, and before PostgreSQL 13 would even have promoted without a word, so
//! it is found and named before anything is started.

use std::time::Instant;

use super::archive::{Listing, Source, Stored};
use super::base::Base;
use super::scan::{Head, Scanner, Seen};
use super::target;
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
    /// Segments that are missing, with others behind them.
    pub missing: Vec<String>,
    /// How many are missing in all, and the newest that is there.
    pub missing_count: u64,
    pub newest: String,
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

/// Missing names that are told one by one.
const NAMED: usize = 8;
/// Segments read backwards for the last end of a transaction.
const BACK: u64 = 64;
/// Segments read before a base backup.
const AGO: u64 = 8;
/// Segments read for the end of a base backup that does not say where it is.
const AHEAD: u64 = 512;

/// Everything that segments are looked up in.
pub struct Log<'a> {
    pub source: &'a Source,
    pub archive: &'a Listing,
    /// What the base backup itself brings along.
    pub own: &'a Listing,
}

impl Log<'_> {
    fn find(&self, way: &Way, segment: u64, size: u64) -> Option<&Stored> {
        way.timelines_of(segment, size).find_map(|timeline| {
            let name = wal::segment_name(timeline, segment, size);
            self.archive.segments.get(&name).or_else(|| self.own.segments.get(&name))
        })
    }

    /// The newest segment on this way, whatever is missing before it.
    fn newest(&self, way: &Way, size: u64) -> Option<u64> {
        let names = self.archive.segments.keys().chain(self.own.segments.keys());
        names
            .filter_map(|name| wal::parse_segment(name, size))
            .filter(|(timeline, segment)| way.timelines_of(*segment, size).any(|t| t == *timeline))
            .map(|(_, segment)| segment)
            .max()
    }

    /// Reads segments `from..=to`, which are there.
    fn scan(&self, window: (&Way, u64), from: u64, to: u64, stop: Option<Lsn>, until: Instant) -> Result<Seen, String> {
        let (way, size) = window;
        let mut scanner = Scanner::new(Lsn(from * size), size).until(stop);
        for segment in from..=to {
            let Some(stored) = self.find(way, segment, size) else { break };
            let read = self.source.open(stored).and_then(|mut from| scanner.segment(&mut from));
            read.map_err(|e| format!("{} cannot be read: {e}", stored.place))?;
            if Instant::now() > until {
                break;
            }
        }
        Ok(scanner.seen())
    }
}

/// Finds out what can be reached. Blocks. Errors: why nothing can, and what to do.
pub fn find(log: &Log<'_>, base: &Base, timeline: Option<u32>, until: Instant) -> Result<Window, String> {
    let mut remarks = Vec::new();
    let way = way(log, base, timeline, &mut remarks)?;
    let (head, size) = head(log, base)?;
    if let Some(system) = base.system.filter(|s| *s != head.system) {
        return Err(format!(
            "the log in {} is of another cluster ({}) than the base backup ({system}): correct `wal_archive` of the restore",
            log.source.shown(),
            head.system
        ));
    }
    let first = base.start.segment(size);
    let newest = log.newest(&way, size).unwrap_or(first);
    let mut last = first;
    let mut missing = Vec::new();
    let mut missing_count = 0;
    for segment in first..=newest {
        if log.find(&way, segment, size).is_some() {
            if missing_count == 0 {
                last = segment;
            }
            continue;
        }
        missing_count += 1;
        if missing.len() < NAMED {
            let timeline = way.timelines_of(segment, size).next().unwrap_or(base.timeline);
            missing.push(wal::segment_name(timeline, segment, size));
        }
    }
    let name = |segment: u64| {
        wal::segment_name(way.timelines_of(segment, size).next().unwrap_or(base.timeline), segment, size)
    };
    let end = match base.end {
        Some(end) => end,
        None => end_of_base(log, base, (&way, size), (first, last), until)?,
    };
    if end.last_segment(size) > last {
        let lacking = missing.first().cloned().unwrap_or_else(|| name(last + 1));
        return Err(format!(
            "{lacking} is missing in {}: the base backup needs the log up to {end} to be consistent; look for that segment, \
             or choose another copy",
            log.source.shown()
        ));
    }
    // What was committed while the base backup was taken is in it, wanted or not.
    let back = end.last_segment(size).saturating_sub(3).max(first);
    let during = log.scan((&way, size), back, end.last_segment(size), Some(end), until)?;
    let earliest = match during.latest.or_else(|| before(log, (&way, size), first, until)) {
        Some(time) => Some(time),
        // A label tells the second in which it began.
        None => base.started.map(|s| s.saturating_add(1).saturating_mul(1_000_000)),
    };
    let (tail, whole) = tail(log, (&way, size), (first, last), until)?;
    let modified = log.find(&way, last, size).map_or(0, |s| s.modified).saturating_mul(1_000_000);
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
        missing,
        missing_count,
        newest: name(newest),
        remarks,
        way,
    })
}

/// The way to the wanted timeline, or to the newest that this base backup leads to.
fn way(log: &Log<'_>, base: &Base, wanted: Option<u32>, remarks: &mut Vec<String>) -> Result<Way, String> {
    let end = base.end.unwrap_or(base.start);
    let to = |timeline: u32| -> Result<Option<Way>, String> {
        let history = log.source.history(log.archive, timeline)?;
        Ok(Way::new(timeline, &history, base.timeline, end))
    };
    if let Some(wanted) = wanted {
        return to(wanted)?.ok_or_else(|| {
            format!(
                "timeline {wanted} does not come from this base backup, which is of timeline {}: choose another copy or \
                 another timeline",
                base.timeline
            )
        });
    }
    let mut timelines: Vec<u32> = log.archive.histories.keys().copied().filter(|t| *t > base.timeline).collect();
    timelines.sort_unstable();
    let mut found = None;
    for timeline in timelines.into_iter().rev() {
        match to(timeline) {
            Ok(Some(way)) => {
                found = Some(way);
                break;
            }
            Ok(None) => remarks.push(format!("timeline {timeline} branched off before this base backup was whole")),
            Err(why) => remarks.push(format!("the history of timeline {timeline} cannot be read: {why}")),
        }
    }
    let way = match found {
        Some(way) => way,
        None => to(base.timeline)?
            .unwrap_or(Way { parts: vec![wal::Part { timeline: base.timeline, from: Lsn(0), until: None }] }),
    };
    let strange = log.archive.segments.keys().filter_map(|n| wal::parse_segment(n, wal::SEGMENT)).map(|(t, _)| t).max();
    if let Some(strange) = strange.filter(|t| *t > way.timeline() && !log.archive.histories.contains_key(t)) {
        remarks.push(format!("there is log of timeline {strange} without its history file {strange:08X}.history"));
    }
    Ok(way)
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
        let seen = log.scan(window, from, (from + 15).min(last), None, until)?;
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
        let seen = log.scan(window, from, first - 1, None, until).ok()?;
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
        let seen = log.scan(window, from, last, None, until)?;
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
        if self.missing_count == 0 {
            return None;
        }
        let more = self.missing_count - self.missing.len() as u64;
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!(
            "missing: {}{more}; the log behind it, up to {}, cannot be used",
            self.missing.join(", "),
            self.newest
        ))
    }
}
