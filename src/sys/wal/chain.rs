//! Which segments follow a base backup without a gap. By names alone: nothing is opened but the histories of timelines.

use super::archive::{Listing, Source, Stored};
use super::{Lsn, Part, Way, parse_segment, segment_name};

/// Missing names that are told one by one.
const NAMED: usize = 8;

/// What segments are looked up in.
pub struct Log<'a> {
    pub source: &'a Source,
    pub archive: &'a Listing,
    /// What the base backup itself brings along.
    pub own: &'a Listing,
}

/// Segments one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// First and last, without a gap between them; the last is below the first when the first is missing.
    pub first: u64,
    pub last: Option<u64>,
    /// Segments that are missing, with others behind them: some names, and how many in all.
    pub missing: Vec<String>,
    pub missing_count: u64,
    /// The newest that is there, whatever is missing before it.
    pub newest: u64,
}

impl Log<'_> {
    pub fn find(&self, way: &Way, segment: u64, size: u64) -> Option<&Stored> {
        way.timelines_of(segment, size).find_map(|timeline| {
            let name = segment_name(timeline, segment, size);
            self.archive.segments.get(&name).or_else(|| self.own.segments.get(&name))
        })
    }

    /// The newest segment on this way, whatever is missing before it.
    pub fn newest(&self, way: &Way, size: u64) -> Option<u64> {
        let names = self.archive.segments.keys().chain(self.own.segments.keys());
        names
            .filter_map(|name| parse_segment(name, size))
            .filter(|(timeline, segment)| way.timelines_of(*segment, size).any(|t| t == *timeline))
            .map(|(_, segment)| segment)
            .max()
    }

    /// From segment `first` on.
    pub fn chain(&self, way: &Way, first: u64, size: u64) -> Chain {
        let newest = self.newest(way, size).unwrap_or(first);
        let mut chain = Chain { first, newest, ..Chain::default() };
        for segment in first..=newest {
            if self.find(way, segment, size).is_some() {
                if chain.missing_count == 0 {
                    chain.last = Some(segment);
                }
                continue;
            }
            chain.missing_count += 1;
            if chain.missing.len() < NAMED {
                chain.missing.push(name(way, segment, size));
            }
        }
        chain
    }

    /// The way from a base backup to the wanted timeline, or to the newest that it leads to; with what is odd about the
    /// others. Errors: why there is none to the wanted one.
    pub fn way(&self, base: u32, end: Lsn, wanted: Option<u32>, remarks: &mut Vec<String>) -> Result<Way, String> {
        let to = |timeline: u32| -> Result<Option<Way>, String> {
            let history = self.source.history(self.archive, timeline)?;
            Ok(Way::new(timeline, &history, base, end))
        };
        if let Some(wanted) = wanted {
            return to(wanted)?.ok_or_else(|| {
                format!(
                    "timeline {wanted} does not come from this base backup, which is of timeline {base}: choose another \
                     copy or another timeline"
                )
            });
        }
        let mut timelines: Vec<u32> = self.archive.histories.keys().copied().filter(|t| *t > base).collect();
        timelines.sort_unstable();
        for timeline in timelines.into_iter().rev() {
            match to(timeline) {
                Ok(Some(way)) => return Ok(way),
                Ok(None) => remarks.push(format!("timeline {timeline} branched off before this base backup was whole")),
                Err(why) => remarks.push(format!("the history of timeline {timeline} cannot be read: {why}")),
            }
        }
        Ok(to(base)?.unwrap_or(Way { parts: vec![Part { timeline: base, from: Lsn(0), until: None }] }))
    }
}

/// The name of a segment on a way.
pub fn name(way: &Way, segment: u64, size: u64) -> String {
    let timeline = way.timelines_of(segment, size).next().unwrap_or_else(|| way.timeline());
    segment_name(timeline, segment, size)
}

impl Chain {
    /// What is missing, in a sentence; `None` without a gap.
    pub fn gap(&self, newest: &str) -> Option<String> {
        if self.missing_count == 0 {
            return None;
        }
        let more = self.missing_count - self.missing.len() as u64;
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let missing = self.missing.join(", ");
        Some(format!("missing: {missing}{more}; the log behind it, up to {newest}, cannot be used"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::wal::SEGMENT;
    use crate::sys::wal::archive::Within;

    fn listing(names: &[&str]) -> Listing {
        let mut listing = Listing::default();
        for name in names {
            let stored = Stored { place: (*name).into(), size: 1, modified: 0, within: Within::Disk };
            assert!(listing.take(name, stored), "{name}");
        }
        listing
    }

    #[test]
    fn a_gap_is_named_and_ends_the_chain() {
        let source = Source::Folder("/".into());
        let of = |archive: &Listing, own: &Listing| {
            let log = Log { source: &source, archive, own };
            let way = log.way(1, Lsn(2 * SEGMENT + 1), None, &mut Vec::new()).unwrap();
            log.chain(&way, 2, SEGMENT)
        };
        let none = Listing::default();
        let name = |n: u64| segment_name(1, n, SEGMENT);
        let own = listing(&[&name(2)]);
        let whole = of(&listing(&[&name(2), &name(3), &name(4)]), &none);
        assert_eq!((whole.last, whole.missing_count, whole.newest), (Some(4), 0, 4));
        let gap = of(&listing(&[&name(3), &name(5), &name(6)]), &own);
        assert_eq!((gap.last, gap.missing.clone(), gap.newest), (Some(3), vec![name(4)], 6));
        assert!(gap.gap(&name(6)).is_some_and(|said| said.contains(&name(4)) && said.contains(&name(6))));
        let late = of(&listing(&[&name(3)]), &none);
        assert_eq!((late.last, late.missing), (None, vec![name(2)]));
        // Nothing at all.
        let nothing = of(&none, &none);
        assert_eq!((nothing.last, nothing.missing_count), (None, 1));
        // Many are counted, some are named.
        let long = of(&listing(&[&name(2), &name(200)]), &none);
        assert_eq!((long.missing.len(), long.missing_count), (NAMED, 197));
    }
}
