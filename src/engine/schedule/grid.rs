//! The grid that regular slots lie on, and other small sums of the schedule.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Timing;
use crate::domain::health::machine::Rules;

pub(super) fn rules_of(timing: &Timing) -> Rules {
    Rules {
        down_after: timing.down_after,
        up_after: timing.up_after,
        degraded_after: timing.degraded_after,
        down_ratio: timing.down_ratio,
        degraded_ratio: timing.degraded_ratio,
        stale_after_ms: u64::try_from(timing.stale_after().as_millis()).unwrap_or(u64::MAX),
    }
}

/// A check's own share of `span`: the same in every run, different between checks.
pub(super) fn phase(service: &str, check: &str, span: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    (service, check).hash(&mut hasher);
    let us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX).max(1);
    Duration::from_micros(hasher.finish() % us)
}

/// The first point of the grid after `after`.
pub(super) fn next_slot(anchor: Instant, after: Instant, every: Duration) -> Instant {
    match after.checked_duration_since(anchor) {
        None => anchor,
        Some(gone) => {
            let rest = gone.as_nanos() % every.as_nanos().max(1);
            after + (every - Duration::from_nanos(u64::try_from(rest).unwrap_or(0)))
        }
    }
}

/// When a regular slot at `due` is started: at the next beat, the same one in every interval, so that many checks start
/// and end together. Each alone wakes the process, with cold caches, for one connection: three times the processor time.
/// Intervals below a second are kept to the millisecond.
pub(super) fn beat(origin: Instant, due: Instant, every: Duration) -> Instant {
    const BEAT: Duration = Duration::from_millis(250);
    if every < BEAT * 4 { due } else { next_slot(origin, due, BEAT).min(due + BEAT) }
}

/// Points of the grid that went by after `due` and up to `now`.
pub(super) fn slots_between(due: Instant, now: Instant, every: Duration) -> u32 {
    let gone = now.saturating_duration_since(due).as_nanos() / every.as_nanos().max(1);
    u32::try_from(gone).unwrap_or(u32::MAX)
}

/// Probes at once: half of the file descriptors this process may have, and never more than can be of use.
pub(super) fn in_flight_limit() -> usize {
    let soft = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(4096);
    usize::try_from(soft / 2).unwrap_or(4096).clamp(32, 4096)
}
