//! Ending what a killed runner left running.
//!
//! A runner that was killed with KILL could not end its steps. What it started is found in two ways: by its session
//! (steps stay in the runner's session), and by a mark in the environment (tools of native operations get sessions of
//! their own, and carry the run's folder in `MAYDAY_RUNNER`). What a step that had ended left in the background on purpose
//! stays: its group was noted when the next phase began. So does what a step put into a session of its own.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::claim::{Claim, RunLock};
use super::folder::canonical;
use super::progress::{self, ProgressLine};
use crate::recovery::exec::procs::{self, Process};
use crate::sys::clock;

/// What [`reap`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Processes that were ended, `pid name`.
    pub ended: Vec<String>,
    /// Processes that could not be ended in time, with why.
    pub left: Vec<String>,
}

/// Ends every process that a lost run left. Does nothing (and says so by an empty answer) when the runner is alive, the
/// run has no claim, or it belongs to another boot. Blocks for up to two seconds.
pub fn reap(dir: &Path) -> io::Result<Reaped> {
    let boot = clock::boot_id();
    let Some(claim) = Claim::read(dir)? else {
        return Ok(Reaped::default());
    };
    if claim.expired || claim.boot != boot || claim.is_alive(&boot) || RunLock::is_held(dir) {
        return Ok(Reaped::default());
    }
    let spared = progress::all(dir)?.into_iter().rev().find_map(|line| match line {
        ProgressLine::Phase { left, .. } => Some(left),
        _ => None,
    });
    let spared = spared.unwrap_or_default();
    let mark = format!("{}={}", super::MARK, canonical(dir).display());
    let ours = |p: &Process| {
        let in_session = p.session.cast_unsigned() == claim.pid && p.start >= claim.start && !foreign_leader(&claim);
        (in_session && !spared.contains(&p.group)) || procs::has_environment(p.pid, mark.as_bytes())
    };
    let mut reaped = Reaped::default();
    let until = Instant::now() + Duration::from_secs(2);
    loop {
        // Looked at anew each time: a process may have forked between the look and the signal.
        let found: Vec<Process> = procs::list().into_iter().filter(ours).collect();
        if found.is_empty() {
            return Ok(reaped);
        }
        if Instant::now() > until {
            reaped.left = found.iter().map(|p| format!("{} {}", p.pid, p.name)).collect();
            return Ok(reaped);
        }
        for process in &found {
            match procs::kill(process) {
                Ok(()) => {
                    let said = format!("{} {}", process.pid, process.name);
                    if !reaped.ended.contains(&said) {
                        reaped.ended.push(said);
                    }
                }
                Err(e) => tracing::debug!(pid = process.pid, error = %e, "a left process could not be ended"),
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Process groups in the session of this runner besides its own: what earlier steps left in the background.
pub(super) fn groups_left() -> Vec<i32> {
    let me = std::process::id().cast_signed();
    let mut groups = procs::groups_of_this_session();
    groups.retain(|group| *group != me);
    groups
}

/// The claim's pid belongs to another process by now, whose session is not ours.
fn foreign_leader(claim: &Claim) -> bool {
    i32::try_from(claim.pid).ok().and_then(crate::sys::proc::pid_start_time).is_some_and(|start| start != claim.start)
}
