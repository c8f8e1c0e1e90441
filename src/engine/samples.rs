//! The recent past of every check: what each probe said and how long it took, for percentiles, sparklines and the evidence
//! that is sealed into an incident's folder.
//!
//! A [`Ring`] keeps at least the last hour (or the last [`LEAST`] samples, where an hour holds fewer) and forgets the rest.
//! Only conclusive results are samples; our own faults say nothing about the service. In a percentile a failure counts as
//! endless, so that an outage cannot improve it. Samples are never journal entries.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::schedule::Observation;
use crate::domain::health::{Outcome, ProbeResult};
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
        let mut values: Vec<u64> =
            self.since(t).map(|s| if s.class == Class::Fail { u64::MAX } else { u64::from(s.latency_us) }).collect();
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
    pub fn spark(&self, now: Time, n: usize) -> Vec<Option<u32>> {
        let mut out = vec![None; n];
        let last = now.ms().div_euclid(BUCKET_MS);
        for s in self.samples.iter().rev() {
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
}

/// The rings of all checks.
#[derive(Debug, Default)]
pub struct Samples {
    /// By service, then by check; a service has few.
    rings: HashMap<Arc<str>, Vec<(Arc<str>, Ring)>>,
}

impl Samples {
    /// Keeps what an observation saw.
    pub fn take(&mut self, o: &Observation) {
        if Class::of(o.result.outcome).is_none() {
            return;
        }
        let checks = self.rings.entry(Arc::clone(&o.service)).or_default();
        match checks.iter_mut().find(|(name, _)| *name == o.check) {
            Some((_, ring)) => ring.push(o.at, &o.result),
            None => {
                let mut ring = Ring::default();
                ring.push(o.at, &o.result);
                checks.push((Arc::clone(&o.check), ring));
            }
        }
    }

    pub fn ring(&self, service: &str, check: &str) -> Option<&Ring> {
        self.rings.get(service)?.iter().find(|(name, _)| **name == *check).map(|(_, ring)| ring)
    }

    /// How many samples [`Samples::seal`] would give.
    pub fn count(&self, services: &BTreeSet<String>, t: Time) -> usize {
        let wanted = |service: &str| services.is_empty() || services.contains(service);
        let rings = self.rings.iter().filter(|(service, _)| wanted(service)).flat_map(|(_, checks)| checks);
        rings.map(|(_, ring)| ring.since(t).count()).sum()
    }

    /// Forgets the checks that `keep` refuses, after a reload.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        for (service, checks) in &mut self.rings {
            checks.retain(|(check, _)| keep(service, check));
        }
        self.rings.retain(|_, checks| !checks.is_empty());
    }

    /// The samples of `services` (of all when empty) at or after `t`, ordered by moment, then service and check: what is
    /// sealed when an incident is declared.
    pub fn seal(&self, services: &BTreeSet<String>, t: Time) -> Vec<Sealed> {
        let wanted = |service: &str| services.is_empty() || services.contains(service);
        let mut out: Vec<Sealed> = Vec::new();
        let all = self.rings.iter().filter(|(service, _)| wanted(service));
        for (service, (check, ring)) in all.flat_map(|(service, checks)| checks.iter().map(move |c| (service, c))) {
            out.extend(ring.since(t).map(|s| Sealed {
                service: service.to_string(),
                check: check.to_string(),
                at: Time::from_ms(s.at_ms),
                us: s.latency_us,
                class: s.class,
                detail: match s.class {
                    Class::Ok => String::new(),
                    _ => ring.detail(s.at_ms).unwrap_or_default().to_owned(),
                },
            }));
        }
        out.sort_by(|a, b| (a.at, &a.service, &a.check).cmp(&(b.at, &b.service, &b.check)));
        out
    }
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
    /// From an observation while an incident is open; `None` for what is no sample.
    pub fn of(o: &Observation) -> Option<Sealed> {
        let class = Class::of(o.result.outcome)?;
        Some(Sealed {
            service: o.service.to_string(),
            check: o.check.to_string(),
            at: o.at,
            us: u32::try_from(o.result.took_us).unwrap_or(u32::MAX),
            class,
            detail: if class == Class::Ok { String::new() } else { o.result.detail.clone() },
        })
    }

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
    use crate::domain::health::machine::CheckStatus;
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

    fn observation(service: &str, check: &str, ms: i64, outcome: Outcome, us: u64) -> Observation {
        Observation {
            service: service.into(),
            check: check.into(),
            at: at(ms),
            boot_ms: 0,
            result: Arc::new(result(outcome, us)),
            status: CheckStatus::default(),
            change: None,
        }
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

    #[test]
    fn what_is_sealed_reads_back() {
        let mut samples = Samples::default();
        samples.take(&observation("db", "postgres", 3000, Outcome::Fail, 9));
        samples.take(&observation("api", "http", 1000, Outcome::Ok, 1));
        samples.take(&observation("api", "http", 3000, Outcome::Warn, 2));
        samples.take(&observation("api", "tcp", 500, Outcome::Error, 2));
        let all = samples.seal(&BTreeSet::new(), at(0));
        let told: Vec<_> =
            all.iter().map(|s| (s.service.as_str(), s.check.as_str(), s.us, s.detail.as_str())).collect();
        assert_eq!(
            told,
            [("api", "http", 1, ""), ("api", "http", 2, "refused"), ("db", "postgres", 9, "refused")],
            "by moment, then by name"
        );
        assert_eq!(samples.seal(&BTreeSet::from(["api".to_owned()]), at(2000)).len(), 1);
        let mut bytes = Vec::new();
        for sample in &all {
            sample.encode(&mut bytes);
        }
        assert_eq!(bytes.iter().filter(|b| **b == b'\n').count(), 3);
        assert_eq!(decode(&bytes), (all.clone(), 0));
        // A torn last line costs that line only.
        assert_eq!(decode(&bytes[..bytes.len() - 5]), (all[..2].to_vec(), 1));
        assert_eq!(samples.ring("api", "http").map(Ring::len), Some(2));
        samples.retain(|service, _| service == "db");
        assert!(samples.ring("api", "http").is_none() && samples.ring("db", "postgres").is_some());
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
