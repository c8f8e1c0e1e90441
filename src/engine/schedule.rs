//! When each check is probed, and the state machine of each check.
//!
//! One task owns all slots: a heap of due moments, the machines, and nothing that waits. A probe runs as a task of its
//! own, at most one per check; its result comes back here, goes through the machine, and leaves as an [`Observation`].
//!
//! - A check's regular slots lie on a grid whose phase is a hash of its name, so that checks of one interval spread out and
//!   stay spread out. A slot that passes while the probe before is still running is skipped and counted, never queued.
//! - While a change is unconfirmed, or an incident names the service, the next probe follows the *end* of the one before by
//!   the retry or incident interval. Then the grid is taken up again.
//! - A child's failure has what it depends on probed at once, at most once per retry interval.
//! - Staleness is measured on the boot clock once a second, so that a suspended machine does not wake up believing itself.
//! - When nobody takes the observations, no further probes are started; when file descriptors are scarce, fewer run at
//!   once. Both show as lag.
//!
//! What the handle asks for lies in an inbox of latest wishes, not in a queue: asking never blocks and cannot pile up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::config::Check;
use crate::domain::health::ProbeResult;
use crate::domain::health::machine::{Change, CheckStatus, Seed};
use crate::domain::time::Time;
use crate::probe::Probe;
use crate::sys::clock::Clock;

mod grid;
mod requests;
mod wheel;

use wheel::Wheel;

/// A check to be probed.
pub struct Planned {
    pub service: String,
    pub check: Check,
    pub probe: Arc<dyn Probe>,
    /// Services to probe at once when this fails: `Board::parents_to_probe`.
    pub parents: Vec<String>,
    /// What was known before a restart. A check that the schedule knows already goes on as it is.
    pub seed: Option<Seed>,
    /// Does not probe until resumed.
    pub paused: bool,
}

/// One result, or the lapse of time, and what it means for the check.
#[derive(Clone, Debug)]
pub struct Observation {
    pub service: Arc<str>,
    pub check: Arc<str>,
    /// When the probe ended.
    pub at: Time,
    /// The boot clock then.
    pub boot_ms: u64,
    /// What was seen; `Skipped` when only time went by.
    pub result: Arc<ProbeResult>,
    pub status: CheckStatus,
    /// The confirmed change, if this was one.
    pub change: Option<Change>,
}

/// A check's machine, as kept for the next start.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SavedCheck {
    pub service: String,
    pub check: String,
    pub seed: Seed,
}

/// How the schedule itself is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub checks: usize,
    pub running: usize,
    /// Probes started since the start.
    pub started: u64,
    /// Slots skipped since the start.
    pub missed: u64,
    /// The longest that a due probe waited for its start, milliseconds.
    pub late_ms: u64,
}

/// A running schedule. Dropping it ends it.
pub struct Schedule {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    wake: Notify,
    stats: Mutex<Stats>,
}

#[derive(Default)]
struct Inbox {
    incident: Option<BTreeSet<String>>,
    probe: BTreeSet<String>,
    pause: BTreeMap<String, bool>,
    replace: Option<Vec<Planned>>,
    save: Vec<oneshot::Sender<Vec<SavedCheck>>>,
    shutdown: bool,
    /// Nobody reads this any more.
    ended: bool,
}

/// Whoever waits for an answer is told when there will be none.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        *lock(&self.0.inbox) = Inbox { ended: true, ..Inbox::default() };
    }
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Schedule {
    /// Starts probing. The first probe of each check follows within a second or so, spread over more time the more checks
    /// there are.
    pub fn start(checks: Vec<Planned>, tx: mpsc::Sender<Observation>, clock: Arc<dyn Clock>) -> Schedule {
        let shared = Arc::new(Shared::default());
        let mut wheel = Wheel::new(tx, clock, Arc::clone(&shared));
        wheel.replace(checks);
        let end = End(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            let _end = end;
            wheel.run().await;
        });
        Schedule { shared, task }
    }

    /// The services that open incidents name: probed at their incident interval.
    pub fn set_incident(&self, services: BTreeSet<String>) {
        self.ask(|inbox| inbox.incident = Some(services));
    }

    /// Probes a service's checks at once, after what runs already.
    pub fn probe_now(&self, service: &str) {
        self.ask(|inbox| {
            inbox.probe.insert(service.to_owned());
        });
    }

    /// Stops probing a service; results under way are dropped.
    pub fn pause(&self, service: &str) {
        self.ask(|inbox| {
            inbox.pause.insert(service.to_owned(), true);
        });
    }

    /// Probes it again, from unknown.
    pub fn resume(&self, service: &str) {
        self.ask(|inbox| {
            inbox.pause.insert(service.to_owned(), false);
        });
    }

    /// Other checks, after a reload. Those of the same service and name keep their state and streaks.
    pub fn replace(&self, checks: Vec<Planned>) {
        self.ask(|inbox| inbox.replace = Some(checks));
    }

    /// All machines, for `state.json`; empty when the schedule has ended.
    pub async fn save(&self) -> Vec<SavedCheck> {
        let (tx, rx) = oneshot::channel();
        self.ask(|inbox| inbox.save.push(tx));
        rx.await.unwrap_or_default()
    }

    pub fn stats(&self) -> Stats {
        *lock(&self.shared.stats)
    }

    /// Ends it; probes under way are dropped.
    pub async fn shutdown(mut self) {
        self.ask(|inbox| inbox.shutdown = true);
        let _ = (&mut self.task).await;
    }

    fn ask(&self, change: impl FnOnce(&mut Inbox)) {
        let mut inbox = lock(&self.shared.inbox);
        if !inbox.ended {
            change(&mut inbox);
            drop(inbox);
            self.shared.wake.notify_one();
        }
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
