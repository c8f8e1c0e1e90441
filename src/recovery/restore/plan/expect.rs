//! What earlier runs tell of the next one: how long a step takes, how large a copy becomes.

use crate::domain::run::{Run, RunState, Work};

/// An expected duration and how many runs it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    pub ms: u64,
    pub from: u32,
}

/// Runs looked at, the latest ones.
const RUNS: usize = 5;

/// The median of the latest succeeded runs with this verb about this target. The shared rule compares what a run is about,
/// which for steps after a restore is another run's id each time.
pub fn of_steps(runs: &[Run], work: &Work, target: &str) -> Option<Expected> {
    let mut took: Vec<u64> = runs
        .iter()
        .rev()
        .filter(|r| r.state == RunState::Succeeded && r.plan.work.verb() == work.verb() && r.plan.target == target)
        .filter_map(|r| u64::try_from(r.finished_at?.ms_since(r.started_at?)).ok())
        .take(RUNS)
        .collect();
    took.sort_unstable();
    let ms = took.get(took.len() / 2).copied()?;
    Some(Expected { ms, from: u32::try_from(took.len()).unwrap_or(u32::MAX) })
}

/// Bytes on disk per byte of the copy, from the latest restore of this backup that said how large it became.
pub fn growth(runs: &[Run], backup: &str) -> Option<f64> {
    runs.iter().rev().filter(|r| matches!(&r.plan.work, Work::Restore { backup: b, .. } if b == backup)).find_map(|r| {
        let copy = r.plan.copy.as_ref()?.size;
        let side = r.sides.iter().map(|s| s.size).max().unwrap_or(0).max(r.largest);
        (copy > 0 && side > 0).then(|| side as f64 / copy as f64)
    })
}
