//! The recent past of every check: what each probe said and how long it took, for percentiles, sparklines and the evidence
//! that is sealed into an incident's folder. What a sample is stands in [`crate::domain::health::samples`].

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::schedule::Observation;
pub use crate::domain::health::samples::*;
use crate::domain::time::Time;

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

/// From an observation while an incident is open; `None` for what is no sample.
pub fn sealed(o: &Observation) -> Option<Sealed> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::health::machine::CheckStatus;
    use crate::domain::health::{Outcome, ProbeResult};

    fn at(ms: i64) -> Time {
        Time::from_ms(1_700_000_000_000 + ms)
    }

    fn result(outcome: Outcome, us: u64) -> ProbeResult {
        ProbeResult::new(outcome, None, if outcome == Outcome::Ok { "" } else { "refused" }, us)
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
}
