//! Samples: what each probe said and how long it took, for percentiles and sparklines, and as they are sealed into an
//! incident's folder.
//!
//! A [`Ring`] keeps at least the last hour (or the last [`LEAST`] samples, where an hour holds fewer) and forgets the rest.
//! Only conclusive results are samples; our own faults say nothing about the service. In a percentile a failure counts as
//! endless, so that an outage cannot improve it. Samples are never journal entries; a [`Sealed`] one is a line of
//! `samples.jsonl`, which a replay and a review read again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Outcome, ProbeResult};
use crate::domain::time::Time;

/// How far back a ring reaches.
pub const SPAN: Duration = Duration::from_secs(3600);
/// Samples kept however old they are.
pub const LEAST: usize = 32;
/// Milliseconds per point of a sparkline.
pub const BUCKET_MS: i64 = 10_000;
/// The value of a sparkline's bucket in which a probe failed.
pub const FAILED: u32 = u32::MAX;

/// What a sample says, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Class {
    Ok,
    Warn,
    Fail,
}

impl Class {
    /// `None` for what is no sample.
    pub const fn of(outcome: Outcome) -> Option<Class> {
        match outcome {
            Outcome::Ok => Some(Class::Ok),
            Outcome::Warn => Some(Class::Warn),
            Outcome::Fail => Some(Class::Fail),
            Outcome::Error | Outcome::Skipped => None,
        }
    }
}

/// One probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Wall clock at its end, milliseconds since 1970.
    pub at_ms: i64,
    /// What it took; for a failure, until it failed.
    pub latency_us: u32,
    pub class: Class,
}

/// A latency out of a series: endless where failures reach that far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Latency {
    Us(u32),
    /// A failure; shown as "more than the timeout".
    Endless,
}

impl Latency {
    /// Microseconds for the wire; a failure is worse than any number.
    pub fn us(self) -> u32 {
        match self {
            Latency::Us(us) => us.min(u32::MAX - 1),
            Latency::Endless => u32::MAX,
        }
    }
}

/// Percentiles by nearest rank. `None` where there are too few samples to say: 1 for p50, 20 for p95, 100 for p99.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Samples they were taken from.
    pub n: u32,
    pub p50: Option<Latency>,
    pub p95: Option<Latency>,
    pub p99: Option<Latency>,
}

/// The samples of one check, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    samples: VecDeque<Sample>,
    /// What the warns and fails said, by moment. Equal texts in a row share one allocation.
    details: VecDeque<(i64, Arc<str>)>,
}

impl Ring {
    /// Adds a result that came at `at`; what is no sample is ignored.
    pub fn push(&mut self, at: Time, result: &ProbeResult) {
        let Some(class) = Class::of(result.outcome) else { return };
        let at_ms = at.ms();
        let latency_us = u32::try_from(result.took_us).unwrap_or(u32::MAX);
        self.forget(at_ms);
        self.samples.push_back(Sample { at_ms, latency_us, class });
        if class != Class::Ok {
            let text = match self.details.back() {
                Some((_, last)) if **last == *result.detail => Arc::clone(last),
                _ => Arc::from(result.detail.as_str()),
            };
            self.details.push_back((at_ms, text));
        }
    }

    fn forget(&mut self, now_ms: i64) {
        let oldest = now_ms.saturating_sub(i64::try_from(SPAN.as_millis()).unwrap_or(i64::MAX));
        while self.samples.len() >= LEAST && self.samples.front().is_some_and(|s| s.at_ms < oldest) {
            self.samples.pop_front();
        }
        // A wall clock that was set back may have left samples that seem younger than they are; never keep more than the
        // fastest interval can have made.
        while self.samples.len() > 2 * SPAN.as_secs() as usize {
            self.samples.pop_front();
        }
        let first = self.samples.front().map_or(now_ms, |s| s.at_ms);
        while self.details.len() > self.samples.len() || self.details.front().is_some_and(|(at, _)| *at < first) {
            self.details.pop_front();
        }
    }

    pub fn len(&self) -> usize {
        self.samples.len()
    }

    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    pub fn last(&self) -> Option<&Sample> {
        self.samples.back()
    }

    /// Samples at or after `t`, oldest first.
    pub fn since(&self, t: Time) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |s| s.at_ms >= t.ms())
    }

    /// What was said at `at_ms`, for a warn or a fail.
    pub fn detail(&self, at_ms: i64) -> Option<&str> {
        let ordered = self.details.binary_search_by_key(&at_ms, |(at, _)| *at).ok();
        // A wall clock that was set back may have left them out of order.
        let at = ordered.or_else(|| self.details.iter().position(|(at, _)| *at == at_ms))?;
        self.details.get(at).map(|(_, text)| &**text)
    }

    /// Percentiles of the samples at or after `t`.
    pub fn percentiles(&self, t: Time) -> Percentiles {
        percentiles(self.since(t))
    }

    /// See [`spark`].
    pub fn spark(&self, now: Time, n: usize) -> Vec<Option<u32>> {
        spark(self.samples.iter().rev(), now, n)
    }
}

/// Percentiles of `samples`, which may come in any order.
pub fn percentiles<'a>(samples: impl Iterator<Item = &'a Sample>) -> Percentiles {
    let mut values: Vec<u64> =
        samples.map(|s| if s.class == Class::Fail { u64::MAX } else { u64::from(s.latency_us) }).collect();
    values.sort_unstable();
    let n = values.len();
    let rank = |per_cent: usize, least: usize| {
        if n < least.max(1) {
            return None;
        }
        // Nearest rank: the smallest value that at least so many per cent do not exceed.
        let index = (n * per_cent).div_ceil(100).saturating_sub(1);
        values.get(index).map(|v| u32::try_from(*v).map_or(Latency::Endless, Latency::Us))
    };
    Percentiles { n: u32::try_from(n).unwrap_or(u32::MAX), p50: rank(50, 1), p95: rank(95, 20), p99: rank(99, 100) }
}

/// The last `n` buckets of ten seconds up to `now`, oldest first: the longest latency of each in microseconds,
/// [`FAILED`] where a probe failed, `None` where none ended. Buckets lie on whole multiples of ten seconds, so that a
/// sparkline moves once in ten seconds and not with every sample.
pub fn spark<'a>(newest_first: impl Iterator<Item = &'a Sample>, now: Time, n: usize) -> Vec<Option<u32>> {
    let mut out = vec![None; n];
    let last = now.ms().div_euclid(BUCKET_MS);
    for s in newest_first {
        let back = last - s.at_ms.div_euclid(BUCKET_MS);
        let Ok(back) = usize::try_from(back) else { continue };
        if back >= n {
            break;
        }
        if let Some(slot) = out.get_mut(n - 1 - back) {
            let value = if s.class == Class::Fail { FAILED } else { s.latency_us.min(FAILED - 1) };
            *slot = Some(slot.map_or(value, |v: u32| v.max(value)));
        }
    }
    out
}

/// A sample as it stands in an incident's `samples.jsonl`, one line each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    pub service: String,
    pub check: String,
    pub at: Time,
    /// Latency in microseconds.
    pub us: u32,
    pub class: Class,
    /// What a warn or a fail said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Sealed {
    /// Appends the line, with its line end.
    pub fn encode(&self, out: &mut Vec<u8>) {
        // Writing strings and numbers into memory cannot fail.
        let _ = serde_json::to_writer(&mut *out, self);
        out.push(b'\n');
    }
}

/// Reads lines written by [`Sealed::encode`]. A line that does not read, such as a torn last one, is left out and counted.
pub fn decode(bytes: &[u8]) -> (Vec<Sealed>, usize) {
    let mut out = Vec::new();
    let mut bad = 0;
    for line in bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(sample) => out.push(sample),
            Err(_) => bad += 1,
        }
    }
    (out, bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: i64) -> Time {
        Time::from_ms(1_700_000_000_000 + ms)
    }

    fn result(outcome: Outcome, us: u64) -> ProbeResult {
        ProbeResult::new(outcome, None, if outcome == Outcome::Ok { "" } else { "refused" }, us)
    }

    fn ring(values: &[(Outcome, u64)]) -> Ring {
        let mut ring = Ring::default();
        for (i, (outcome, us)) in values.iter().enumerate() {
            ring.push(at(i64::try_from(i).unwrap() * 1000), &result(*outcome, *us));
        }
        ring
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank_and_failures_are_endless() {
        let oks: Vec<_> = (1..=100).map(|i| (Outcome::Ok, i * 10)).collect();
        let p = ring(&oks).percentiles(at(0));
        assert_eq!((p.n, p.p50, p.p95, p.p99), (100, us(500), us(950), us(990)));
        // One more than one in twenty fails: the 95th has no end.
        let mut some = oks[..94].to_vec();
        some.extend([(Outcome::Fail, 1); 6]);
        let p = ring(&some).percentiles(at(0));
        assert_eq!((p.p50, p.p95), (us(500), Some(Latency::Endless)));
        let p = ring(&oks[..19]).percentiles(at(0));
        assert_eq!((p.n, p.p50, p.p95, p.p99), (19, us(100), None, None));
        let p = ring(&oks[..20]).percentiles(at(0));
        assert_eq!((p.p95, p.p99), (us(190), None));
        assert_eq!(ring(&[]).percentiles(at(0)), Percentiles::default());
        // Only what lies in the window.
        assert_eq!(ring(&oks).percentiles(at(90_000)).n, 10);
    }

    fn us(n: u32) -> Option<Latency> {
        Some(Latency::Us(n))
    }

    #[test]
    fn our_own_faults_are_no_samples() {
        let ring = ring(&[(Outcome::Error, 1), (Outcome::Skipped, 1), (Outcome::Warn, 5)]);
        assert_eq!(ring.len(), 1);
        assert_eq!(ring.last().map(|s| s.class), Some(Class::Warn));
    }

    #[test]
    fn a_ring_spans_an_hour_and_at_least_its_least() {
        let mut ring = Ring::default();
        for i in 0..3000i64 {
            ring.push(at(i * 2000), &result(if i % 3 == 0 { Outcome::Fail } else { Outcome::Ok }, 1));
        }
        let (first, last) = (ring.samples.front().unwrap().at_ms, ring.last().unwrap().at_ms);
        assert!(last - first >= 3_600_000 - 2000, "{}", last - first);
        assert!(ring.len() <= 1802, "{}", ring.len());
        assert!(ring.details.len() <= ring.len() / 3 + 1, "details go with their samples");
        let mut slow = Ring::default();
        for i in 0..100i64 {
            slow.push(at(i * 600_000), &result(Outcome::Ok, 1));
        }
        assert_eq!(slow.len(), LEAST, "an hour would hold six");
        // A wall clock that goes back and forth cannot make it grow without end.
        let mut torn = Ring::default();
        for i in 0..20_000i64 {
            torn.push(at(-i), &result(Outcome::Fail, 1));
        }
        assert!(torn.len() <= 7201 && torn.details.len() <= 7201);
    }

    #[test]
    fn a_sparkline_moves_once_in_ten_seconds() {
        let mut ring = Ring::default();
        let start = 1_700_000_000_000i64;
        for (s, outcome, us) in
            [(0, Outcome::Ok, 5), (3, Outcome::Ok, 9), (11, Outcome::Fail, 1), (31, Outcome::Warn, 7)]
        {
            ring.push(Time::from_ms(start + s * 1000), &result(outcome, us));
        }
        let spark = |s: i64, n| ring.spark(Time::from_ms(start + s * 1000), n);
        assert_eq!(spark(31, 4), [Some(9), Some(FAILED), None, Some(7)]);
        assert_eq!(spark(39, 4), spark(31, 4));
        assert_eq!(spark(40, 4), [Some(FAILED), None, Some(7), None]);
        assert_eq!(spark(31, 6)[..2], [None, None]);
        assert_eq!(spark(31, 0), []);
        assert_eq!(spark(100_000, 3), [None; 3]);
    }

    proptest! {
        #[test]
        fn percentiles_are_samples_and_in_order(values in proptest::collection::vec((0u8..3, 0u64..1000), 1..200)) {
            let values: Vec<_> = values
                .into_iter()
                .map(|(k, v)| ([Outcome::Ok, Outcome::Warn, Outcome::Fail][usize::from(k)], v))
                .collect();
            let p = ring(&values).percentiles(at(0));
            let number = |l: Latency| match l { Latency::Us(n) => u64::from(n), Latency::Endless => u64::MAX };
            let found: Vec<u64> = [p.p50, p.p95, p.p99].into_iter().flatten().map(number).collect();
            prop_assert!(found.is_sorted());
            // At least half of the samples do not exceed p50, counted on its own.
            let below = values.iter().filter(|(o, v)| *o != Outcome::Fail && *v <= found[0]).count()
                + if found[0] == u64::MAX { values.iter().filter(|(o, _)| *o == Outcome::Fail).count() } else { 0 };
            prop_assert!(2 * below >= values.len());
        }

        #[test]
        fn a_sealed_sample_survives(detail in ".{0,80}", us in any::<u32>(), ms in 0i64..4_000_000_000_000) {
            let sample = Sealed {
                service: "s".into(),
                check: "c".into(),
                at: Time::from_ms(ms),
                us,
                class: Class::Fail,
                detail,
            };
            let mut bytes = Vec::new();
            sample.encode(&mut bytes);
            prop_assert_eq!(decode(&bytes), (vec![sample], 0));
        }
    }
}
