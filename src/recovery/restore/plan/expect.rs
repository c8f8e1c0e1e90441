//! How long it should take: from earlier runs of the same thing, scaled by the size of the copy.

use crate::domain::run::{Run, RunState, Work};

/// An expected duration and how many runs it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    pub ms: u64,
    pub from: u32,
}

/// Runs looked at, the latest ones.
const RUNS: usize = 5;

/// The median of the latest succeeded runs with this verb about this target. With sizes on both sides each is scaled by
/// them; a tenth of it is taken to be there whatever the size.
pub fn expected(runs: &[Run], work: &Work, same: impl Fn(&Run) -> bool, size: Option<u64>) -> Option<Expected> {
    let mut took: Vec<u64> = runs
        .iter()
        .rev()
        .filter(|r| r.state == RunState::Succeeded && r.plan.work.verb() == work.verb() && same(r))
        .filter_map(|r| {
            let ms = r.finished_at?.ms_since(r.started_at?);
            let ms = u64::try_from(ms).ok()?;
            let then = r.plan.copy.as_ref().map(|c| c.size);
            Some(match (then, size) {
                (Some(then), Some(now)) if then > 0 && now > 0 => {
                    let scaled = ms as f64 * (0.1 + 0.9 * now as f64 / then as f64);
                    scaled.min(u64::MAX as f64) as u64
                }
                _ => ms,
            })
        })
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
        let side = r.sides.iter().map(|s| s.size).max()?;
        (copy > 0 && side > 0).then(|| side as f64 / copy as f64)
    })
}
