//! Looking at a run folder from outside: is it going on, how did it end, is it lost?

use std::io;
use std::path::Path;

use super::claim::{Claim, RunLock};
use super::folder::{CANCEL, PLAN};
use super::progress::{self, Progress, ProgressLine};
use super::status::Status;
use crate::domain::Time;
use crate::domain::run::{Plan, Side};
use crate::recovery::op::Compensation;
use crate::sys::clock;

/// What a run folder says at this moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// There is no plan in it.
    NoPlan,
    /// A plan that nobody has begun: it may be started, or [`expire`](super::expire)d.
    Unclaimed,
    /// The engine took it back before any runner came.
    Expired,
    Running {
        pid: u32,
        claimed_at: Time,
        /// Index of the phase last begun; one past the last is the after-check.
        phase: usize,
        progress: Option<Progress>,
        cancel_requested: bool,
    },
    Finished(Status),
    /// Claimed by a process that is gone, and no status.
    Lost {
        why: String,
        /// What somebody has to take back now; see [`compensate`](super::compensate).
        compensation: Option<Compensation>,
        /// What it left beside the live data, or kept.
        sides: Vec<Side>,
        /// The phase it was in.
        phase: usize,
    },
}

/// Looks at a run folder, on the present boot.
pub fn look(dir: &Path) -> io::Result<Seen> {
    look_on(dir, &clock::boot_id())
}

/// As [`look`], on the boot `boot`.
pub fn look_on(dir: &Path, boot: &str) -> io::Result<Seen> {
    if let Some(status) = Status::read(dir)? {
        return Ok(Seen::Finished(status));
    }
    let Some(claim) = Claim::read(dir)? else {
        return Ok(if dir.join(PLAN).try_exists()? { Seen::Unclaimed } else { Seen::NoPlan });
    };
    if claim.expired {
        return Ok(Seen::Expired);
    }
    // On another boot nobody can hold the lock; on this one both have to say that the process is gone.
    let here = claim.boot == boot || claim.boot.is_empty();
    if here && (claim.is_alive(boot) || RunLock::is_held(dir)) {
        let (phase, progress) = latest(dir)?;
        let cancel_requested = dir.join(CANCEL).exists();
        return Ok(Seen::Running { pid: claim.pid, claimed_at: claim.at, phase, progress, cancel_requested });
    }
    // It may have ended between the two looks.
    if let Some(status) = Status::read(dir)? {
        return Ok(Seen::Finished(status));
    }
    let lines = progress::all(dir)?;
    if let Some(ProgressLine::Finished { status, .. }) =
        lines.iter().rev().find(|l| matches!(l, ProgressLine::Finished { .. }))
    {
        return Ok(Seen::Finished((**status).clone()));
    }
    let why = if here {
        format!("its process {} is gone and left no status: it was killed, or it crashed", claim.pid)
    } else {
        "the host was restarted while it ran".to_owned()
    };
    Ok(Seen::Lost {
        why,
        compensation: progress::open_compensation(&lines),
        sides: sides(&lines),
        phase: position(&lines).0,
    })
}

/// The phase last begun, and how far it is: from the end of the file where that tells, since a long run is looked at
/// often.
fn latest(dir: &Path) -> io::Result<(usize, Option<Progress>)> {
    let lines = progress::tail(dir)?;
    if lines.iter().any(|l| matches!(l, ProgressLine::Phase { .. })) {
        return Ok(position(&lines));
    }
    Ok(position(&progress::all(dir)?))
}

fn position(lines: &[ProgressLine]) -> (usize, Option<Progress>) {
    let mut progress = None;
    for line in lines.iter().rev() {
        match line {
            ProgressLine::Progress { progress: p, .. } if progress.is_none() => progress = Some(p.clone()),
            ProgressLine::Phase { index, .. } => return (*index, progress),
            _ => {}
        }
    }
    (0, progress)
}

/// What the lines leave lying beside the live data, the last word on each name.
pub fn sides(lines: &[ProgressLine]) -> Vec<Side> {
    let mut left: Vec<Side> = Vec::new();
    for line in lines {
        match line {
            ProgressLine::Side { side, .. } => {
                left.retain(|s| s.name != side.name);
                left.push(side.clone());
            }
            ProgressLine::Gone { name, .. } => left.retain(|s| s.name != *name),
            _ => {}
        }
    }
    left
}

/// How much of the whole run is done, 0 to 1, by the weights of the phases. The after-check counts as done.
pub fn share(plan: &Plan, phase: usize, progress: Option<&Progress>) -> f64 {
    let total: f64 = plan.phases.iter().map(|p| f64::from(p.weight.max(1))).sum();
    if total == 0.0 {
        return 1.0;
    }
    let before: f64 = plan.phases.iter().take(phase).map(|p| f64::from(p.weight.max(1))).sum();
    let within = plan.phases.get(phase).map_or(0.0, |p| f64::from(p.weight.max(1)))
        * progress.and_then(Progress::share).unwrap_or(0.0);
    ((before + within) / total).clamp(0.0, 1.0)
}
