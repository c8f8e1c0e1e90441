//! The write-ahead log of PostgreSQL as it is archived: positions and names, the timelines that a cluster has lived on,
//! what is in it, and the places where it is kept.
//!
//! | file | gives |
//! | --- | --- |
//! | `archive` `repo` `walg` `ask` | places: folders, and repositories asked through their own programs |
//! | `chain` | which segments follow a base backup without a gap |
//! | `label` | where a base backup begins |
//! | `scan` | what the log itself says of time |
//! | `user` | whom programs of the server run as |
//!
//! Formats: xlog_internal.h (`XLogFileName`, `XLogFromFileName`), timeline.c (`readTimeLineHistory`).

pub mod archive;
pub mod ask;
pub mod chain;
pub mod label;
pub mod repo;
pub mod scan;
pub mod user;
pub mod walg;

use std::fmt;

use serde::{Deserialize, Serialize};

/// A position in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl Lsn {
    /// Reads `0/16B3748`.
    pub fn parse(text: &str) -> Option<Lsn> {
        let (high, low) = text.trim().split_once('/')?;
        let part = |t: &str| if t.len() <= 8 { u32::from_str_radix(t, 16).ok() } else { None };
        Some(Lsn(u64::from(part(high)?) << 32 | u64::from(part(low)?)))
    }

    /// The segment that this position is in.
    pub const fn segment(self, size: u64) -> u64 {
        self.0 / if size == 0 { 1 } else { size }
    }

    /// The segment that holds the byte before this position: where a log that ends here ends.
    pub const fn last_segment(self, size: u64) -> u64 {
        Lsn(self.0.saturating_sub(1)).segment(size)
    }
}

/// The usual size of a segment (`--wal-segsize`); others are powers of two from 1 MiB to 1 GiB.
pub const SEGMENT: u64 = 16 << 20;

/// `000000010000000000000007`.
pub fn segment_name(timeline: u32, segment: u64, size: u64) -> String {
    let per = (1u64 << 32) / size.max(1);
    format!("{timeline:08X}{:08X}{:08X}", segment / per.max(1), segment % per.max(1))
}

/// Timeline and segment number out of a name of 24 hex digits.
pub fn parse_segment(name: &str, size: u64) -> Option<(u32, u64)> {
    if name.len() != 24 || !name.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)) {
        return None;
    }
    let part = |at: usize| u32::from_str_radix(name.get(at..at + 8)?, 16).ok();
    let per = (1u64 << 32) / size.max(1);
    Some((part(0)?, u64::from(part(8)?) * per + u64::from(part(16)?)))
}

/// The timelines that lead to one, oldest first, each with the position at which it was left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    pub parents: Vec<(u32, Lsn)>,
}

impl History {
    /// Reads a `.history` file: `1\t0/5000000\tno recovery target specified`, `#` begins a comment.
    pub fn parse(text: &str) -> History {
        let line = |line: &str| {
            let line = line.split('#').next().unwrap_or_default().trim();
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, Lsn::parse(words.next()?)?))
        };
        History { parents: text.lines().filter_map(line).collect() }
    }
}

/// The way from a base backup to the end of a timeline: each timeline with where it begins and where it was left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// Oldest first; the last one has no end.
    pub parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub timeline: u32,
    pub from: Lsn,
    pub until: Option<Lsn>,
}

impl Way {
    /// The way to timeline `to` by its history; `None` when a base backup that ended at `end` on timeline `base` does not
    /// lie on it.
    pub fn new(to: u32, history: &History, base: u32, end: Lsn) -> Option<Way> {
        let mut parts = Vec::new();
        let mut from = Lsn(0);
        for (timeline, until) in &history.parents {
            parts.push(Part { timeline: *timeline, from, until: Some(*until) });
            from = *until;
        }
        parts.push(Part { timeline: to, from, until: None });
        let own = parts.iter().position(|p| p.timeline == base)?;
        let part = parts.get(own)?;
        if part.until.is_some_and(|until| until < end) {
            return None;
        }
        Some(Way { parts: parts.split_off(own) })
    }

    /// The timeline that it leads to.
    pub fn timeline(&self) -> u32 {
        self.parts.last().map_or(0, |p| p.timeline)
    }

    /// The timelines whose file of a segment may be used, in the order in which the server tries them: the newest first.
    pub fn timelines_of(&self, segment: u64, size: u64) -> impl Iterator<Item = u32> + '_ {
        let fits = move |p: &&Part| {
            p.from.segment(size) <= segment && p.until.is_none_or(|until| segment <= until.segment(size))
        };
        self.parts.iter().rev().filter(fits).map(|p| p.timeline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_positions() {
        for (text, lsn) in [("0/0", Some(0)), ("0/16B3748", Some(0x16B_3748)), ("1A/FF", Some(0x1A_0000_00FF))] {
            assert_eq!(Lsn::parse(text), lsn.map(Lsn), "{text}");
        }
        assert!(Lsn::parse("0").is_none() && Lsn::parse("0/x").is_none() && Lsn::parse("0/123456789").is_none());
        assert_eq!(segment_name(1, 0x107, SEGMENT), "000000010000000100000007");
        assert_eq!(parse_segment("000000010000000100000007", SEGMENT), Some((1, 0x107)));
        assert_eq!(segment_name(2, 70, 64 << 20), "000000020000000100000006");
        for wrong in ["00000001000000010000000", "00000001000000010000000g", "0000000100000001000000aa"] {
            assert_eq!(parse_segment(wrong, SEGMENT), None, "{wrong}");
        }
    }

    #[test]
    fn a_way_leads_over_timelines() {
        let history = History::parse("1\t0/5000060\tno recovery target specified\n# x\n\n2\t0/9000000\tbefore 2026\n");
        assert_eq!(history.parents, [(1, Lsn(0x500_0060)), (2, Lsn(0x900_0000))]);
        let way = Way::new(3, &history, 1, Lsn(0x300_0000)).unwrap();
        let of = |n| way.timelines_of(n, SEGMENT).collect::<Vec<_>>();
        assert_eq!((of(3), of(5), of(6), of(9)), (vec![1], vec![2, 1], vec![2], vec![3, 2]));
        assert_eq!(of(12), [3]);
        // Left before the base backup had ended, or another branch.
        assert_eq!(Way::new(3, &history, 1, Lsn(0x600_0000)), None);
        assert_eq!(Way::new(3, &history, 4, Lsn(0)), None);
        assert_eq!(Way::new(3, &history, 2, Lsn(0x600_0000)).unwrap().parts.len(), 2);
    }

    proptest::proptest! {
        #[test]
        fn names_come_back(timeline in 1u32.., segment in 0u64..(1 << 40)) {
            let segment = segment % ((1u64 << 32) * 256);
            let name = segment_name(timeline, segment, SEGMENT);
            proptest::prop_assert_eq!(parse_segment(&name, SEGMENT), Some((timeline, segment)));
        }
    }
}
