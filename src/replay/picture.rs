//! From the state at a past moment, and what was sealed up to it, to the whole picture.

use std::time::Duration;

use super::sealed::{Sealings, Seen};
use crate::domain::Time;
use crate::domain::availability::Moment;
use crate::domain::health::samples::{Class, Latency, Sample, percentiles, spark};
use crate::domain::health::{Health, Outcome, ProbeResult};
use crate::domain::playbook::Look;
use crate::domain::recovery::Seen as SeenUp;
use crate::domain::state::State;
use crate::wire::folded;
use crate::wire::{Change, CheckView, ServiceView};

/// Buckets of ten seconds in a sparkline.
const SPARK: usize = 30;
/// Percentiles look back this far.
const WINDOW: Duration = Duration::from_secs(3600);
/// What is said where only an engine that looked could say something.
const NOT_KEPT: &str = "what its checks said then is not on record";
/// Checks without a latency worth showing, by the names they have unless they are given another.
const UNMEASURED: [&str; 4] = ["host", "systemd", "docker", "exec"];

/// The picture with `state` as all that was known, by a clock that shows `at`.
pub fn of(state: &State, at: Time, rev: u64, sealed: &Sealings) -> Change {
    let moment = Moment {
        at,
        boot_ms: state.boot_ms.saturating_add(u64::try_from(at.ms_since(state.at)).unwrap_or(0)),
        boot: state.boot.clone(),
    };
    let holders = folded::holders(state);
    let services = state.catalog.services.keys().map(|name| {
        let mut view = folded::service(state, name, &holders, &moment);
        measure(&mut view, state, at, sealed);
        view
    });
    let up = |service: &str, _: Time| SeenUp::Not(format!("{service}: {NOT_KEPT}"));
    let now = |_: &str, _: Time| None;
    let look = Look { up: &up, now: &now, since: Time::default() };
    Change {
        epoch: "past".into(),
        rev,
        at,
        whole: true,
        head: Some(folded::head(state)),
        services: services.collect(),
        backups: state.catalog.backups.keys().map(|name| folded::backup(state, name)).collect(),
        incidents: state.incidents.values().map(|i| folded::incident(state, i, &moment)).collect(),
        runs: state.runs.values().map(folded::run).collect(),
        recoveries: state.recoveries.values().map(|r| folded::recovery(state, r, at, &up)).collect(),
        playbooks: state.playbooks.values().map(|p| folded::playbook(state, p, &look)).collect(),
        messages: state.messages.values().cloned().collect(),
        seq: Some(state.seq),
        ..Change::default()
    }
}

/// What had been measured of a service by then.
fn measure(view: &mut ServiceView, state: &State, at: Time, sealed: &Sealings) {
    let facts = state.catalog.services.get(&view.name);
    let every = facts.and_then(|f| f.probe_every_ms).map(Duration::from_millis);
    let seen = sealed.seen(&view.name, at, every);
    view.observed_at = seen.iter().map(|(_, s)| Time::from_ms(s.last.at_ms)).min();
    view.checks = seen.iter().map(|(name, seen)| check(name, seen)).collect();
    let measured = facts.and_then(|f| f.measured.as_deref());
    let of = |wanted: &str| seen.iter().find(|(name, _)| *name == wanted);
    // Records of before the configuration's facts named the check.
    let chosen = match measured {
        Some(name) => of(name),
        None => seen.iter().find(|(name, _)| !UNMEASURED.contains(name)),
    };
    let Some((_, seen)) = chosen else { return };
    let first = at.minus(WINDOW).ms();
    let within: &[Sample] = seen.samples.get(seen.samples.partition_point(|s| s.at_ms < first)..).unwrap_or_default();
    let p = percentiles(within.iter());
    view.latency_us = Some(seen.last.latency_us);
    (view.p50_us, view.p95_us, view.p99_us) = (p.p50.map(Latency::us), p.p95.map(Latency::us), p.p99.map(Latency::us));
    view.spark = spark(seen.samples.iter().rev(), at, SPARK).into_iter().map(|v| v.unwrap_or(0)).collect();
}

/// A check by its last sample. Which state was confirmed for it is not on record; what it saw is.
fn check(name: &str, seen: &Seen<'_>) -> CheckView {
    let (outcome, state) = match seen.last.class {
        Class::Ok => (Outcome::Ok, Health::Up),
        Class::Warn => (Outcome::Warn, Health::Degraded),
        Class::Fail => (Outcome::Fail, Health::Down),
    };
    CheckView {
        name: name.to_owned(),
        state,
        last: Some(ProbeResult::new(outcome, None, seen.detail, seen.last.latency_us.into())),
        observed_at: Some(Time::from_ms(seen.last.at_ms)),
        ..CheckView::default()
    }
}
