//! The sealed samples of an incident, for the latency chart: one JSON object a line, as the engine sealed them.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::Time;

/// A sample as it stands in the incident's `samples.jsonl`; fields that the chart does not need are not read.
#[derive(Deserialize)]
struct Line {
    service: String,
    at: Time,
    /// Microseconds.
    us: u32,
    class: String,
}

/// One probe's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    pub at_ms: i64,
    pub us: u32,
    pub failed: bool,
}

/// Per service, in order of time, within `from` to `until`. What does not read is left out.
pub fn read(bytes: &[u8], from: Time, until: Time) -> BTreeMap<String, Vec<Sample>> {
    let mut out: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for line in bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let Ok(line) = serde_json::from_slice::<Line>(line) else { continue };
        if line.at < from || line.at > until {
            continue;
        }
        let sample = Sample { at_ms: line.at.ms(), us: line.us, failed: line.class == "fail" };
        match out.get_mut(&line.service) {
            Some(list) => list.push(sample),
            None => drop(out.insert(line.service, vec![sample])),
        }
    }
    out.values_mut().for_each(|list| list.sort_by_key(|s| s.at_ms));
    out
}

/// A stretch of the chart's width: the answers in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket {
    pub from_ms: i64,
    pub until_ms: i64,
    /// Microseconds of the answers that did not fail.
    pub low: u32,
    pub median: u32,
    pub high: u32,
    pub failed: usize,
    pub good: usize,
}

/// At most `most` stretches of equal length; those in which nobody measured are left out.
pub fn buckets(samples: &[Sample], from: Time, until: Time, most: usize) -> Vec<Bucket> {
    let span = until.ms_since(from).max(1);
    let most = i64::try_from(most).unwrap_or(1).max(1);
    // Not finer than what was measured, or a line would be all gaps.
    let step = usual_distance(samples).max(span / most + 1);
    let mut out: Vec<Bucket> = Vec::new();
    let mut rest = samples;
    while let Some(first) = rest.first() {
        let index = (first.at_ms - from.ms()).max(0) / step;
        let (begin, end) = (from.ms() + index * step, from.ms() + (index + 1) * step);
        let (inside, after) = rest.split_at(rest.partition_point(|s| s.at_ms < end).max(1));
        rest = after;
        let mut good: Vec<u32> = inside.iter().filter(|s| !s.failed).map(|s| s.us).collect();
        good.sort_unstable();
        out.push(Bucket {
            from_ms: begin,
            until_ms: end,
            low: good.first().copied().unwrap_or(0),
            median: good.get(good.len() / 2).copied().unwrap_or(0),
            high: good.last().copied().unwrap_or(0),
            failed: inside.len() - good.len(),
            good: good.len(),
        });
    }
    out
}

/// The median distance between two samples, in milliseconds.
pub fn usual_distance(samples: &[Sample]) -> i64 {
    let mut between: Vec<i64> =
        samples.iter().zip(samples.iter().skip(1)).map(|(a, b)| b.at_ms - a.at_ms).filter(|d| *d > 0).collect();
    between.sort_unstable();
    between.get(between.len() / 2).copied().unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_and_gathered_and_gaps_stay_gaps() {
        let line = |s: i64, us: u32, class: &str| {
            format!(
                "{{\"service\":\"api\",\"check\":\"http\",\"at\":\"{}\",\"us\":{us},\"class\":\"{class}\"}}\n",
                Time::from_ms(s * 1000)
            )
        };
        let mut text = String::from("not json\n");
        for s in (0..50).chain(200..250) {
            text.push_str(&line(s * 10, 1000 + s as u32, if s == 5 { "fail" } else { "ok" }));
        }
        let (from, until) = (Time::from_ms(0), Time::from_ms(2_500_000));
        let all = read(text.as_bytes(), from, until);
        let list = all.get("api").unwrap();
        assert_eq!(list.len(), 100);
        assert_eq!(usual_distance(list), 10_000);
        let found = buckets(list, from, until, 25);
        assert_eq!(found.iter().map(|b| b.good).sum::<usize>(), 99);
        assert_eq!(found.iter().map(|b| b.failed).sum::<usize>(), 1);
        assert!(found.len() < 12 && found.windows(2).any(|w| w[1].from_ms > w[0].until_ms), "{found:?}");
        assert!(found.iter().all(|b| b.low <= b.median && b.median <= b.high));
    }
}
