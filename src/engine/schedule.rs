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

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::config::{Check, Timing};
use crate::domain::health::machine::{Change, CheckStatus, Machine, Rules, Seed};
use crate::domain::health::{Outcome, ProbeResult};
use crate::domain::time::Time;
use crate::probe::Probe;
use crate::sys::clock::Clock;

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
        Schedule { shared, task: tokio::spawn(wheel.run()) }
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
        change(&mut lock(&self.shared.inbox));
        self.shared.wake.notify_one();
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Slot {
    service: Arc<str>,
    check: Arc<str>,
    config: Check,
    probe: Arc<dyn Probe>,
    parents: Arc<[String]>,
    machine: Machine,
    /// A point of the grid that the regular slots lie on.
    anchor: Instant,
    due: Instant,
    /// The due moment is a point of the grid.
    on_grid: bool,
    /// Tells the one valid entry of the heap from outdated ones.
    turn: u32,
    running: bool,
    /// Result of the run under way is not wanted: paused, or replaced by another target.
    discard: bool,
    /// Asked for while running.
    again: bool,
    paused: bool,
    started: Option<Instant>,
}

struct Finished {
    slot: usize,
    result: ProbeResult,
}

struct Wheel {
    slots: Vec<Option<Slot>>,
    by_service: HashMap<Arc<str>, Vec<usize>>,
    heap: BinaryHeap<Reverse<(Instant, usize, u32)>>,
    /// Due, and waiting for room.
    ready: VecDeque<usize>,
    running: JoinSet<Finished>,
    limit: usize,
    outbox: VecDeque<Observation>,
    incident: BTreeSet<String>,
    tx: mpsc::Sender<Observation>,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    next_tick: Instant,
    /// Boot clock less monotonic clock: grows by what the machine slept.
    asleep_ms: u64,
    stats: Stats,
}

/// Observations that may wait for the engine before probing pauses.
const OUTBOX: usize = 1024;
const TICK: Duration = Duration::from_secs(1);

impl Wheel {
    fn new(tx: mpsc::Sender<Observation>, clock: Arc<dyn Clock>, shared: Arc<Shared>) -> Self {
        Wheel {
            slots: Vec::new(),
            by_service: HashMap::new(),
            heap: BinaryHeap::new(),
            ready: VecDeque::new(),
            running: JoinSet::new(),
            limit: in_flight_limit(),
            outbox: VecDeque::new(),
            incident: BTreeSet::new(),
            tx,
            asleep_ms: clock.boot_ms().saturating_sub(clock.mono_ms()),
            clock,
            shared,
            next_tick: Instant::now() + TICK,
            stats: Stats::default(),
        }
    }

    async fn run(mut self) {
        let sleep = tokio::time::sleep_until(self.next_tick);
        tokio::pin!(sleep);
        let (shared, tx) = (Arc::clone(&self.shared), self.tx.clone());
        loop {
            self.start_due(Instant::now());
            let wake_at = match self.heap.peek() {
                Some(Reverse((due, ..))) => self.next_tick.min(*due),
                None => self.next_tick,
            };
            if sleep.deadline() != wake_at {
                sleep.as_mut().reset(wake_at);
            }
            *lock(&shared.stats) = Stats { running: self.running.len(), ..self.stats };
            tokio::select! {
                biased;
                () = shared.wake.notified() => {
                    if self.read_inbox() {
                        return;
                    }
                }
                permit = tx.reserve(), if !self.outbox.is_empty() => match permit {
                    Ok(permit) => if let Some(observation) = self.outbox.pop_front() { permit.send(observation) },
                    // The engine is gone.
                    Err(_) => return,
                },
                Some(done) = self.running.join_next(), if !self.running.is_empty() => {
                    // A probe never panics through: see `start`. What is left is the end of the runtime.
                    if let Ok(done) = done {
                        self.finish(done);
                    }
                }
                () = &mut sleep => {
                    let now = Instant::now();
                    if now >= self.next_tick {
                        self.next_tick = now + TICK;
                        self.tick(now);
                    }
                }
            }
        }
    }

    fn read_inbox(&mut self) -> bool {
        let inbox = std::mem::take(&mut *lock(&self.shared.inbox));
        if inbox.shutdown {
            return true;
        }
        let now = Instant::now();
        if let Some(checks) = inbox.replace {
            self.replace(checks);
        }
        if let Some(incident) = inbox.incident {
            self.set_incident(incident, now);
        }
        for (service, paused) in inbox.pause {
            for i in self.of(&service) {
                self.set_paused(i, paused, now);
            }
        }
        for service in inbox.probe {
            for i in self.of(&service) {
                self.hurry(i, now, true);
            }
        }
        for reply in inbox.save {
            let saved = self.slots.iter().flatten().map(|s| SavedCheck {
                service: s.service.to_string(),
                check: s.check.to_string(),
                seed: s.machine.save(),
            });
            // Whoever asked may have gone.
            let _ = reply.send(saved.collect());
        }
        false
    }

    fn of(&self, service: &str) -> Vec<usize> {
        self.by_service.get(service).cloned().unwrap_or_default()
    }

    fn replace(&mut self, checks: Vec<Planned>) {
        let now = Instant::now();
        let mut known: HashMap<(Arc<str>, Arc<str>), usize> = HashMap::with_capacity(self.slots.len());
        for (i, slot) in self.slots.iter().enumerate() {
            if let Some(s) = slot {
                known.insert((Arc::clone(&s.service), Arc::clone(&s.check)), i);
            }
        }
        self.by_service.clear();
        // Spread over more time the more there are, so that a start is no burst.
        let spread = Duration::from_millis(200 + checks.len() as u64);
        let mut names: HashMap<String, Arc<str>> = HashMap::new();
        let mut count = 0;
        for planned in checks {
            count += 1;
            let service = Arc::clone(names.entry(planned.service).or_insert_with_key(|k| Arc::from(k.as_str())));
            let check: Arc<str> = Arc::from(planned.check.name.as_str());
            let rules = rules_of(&planned.check.timing);
            let index = match known.remove(&(Arc::clone(&service), Arc::clone(&check))) {
                Some(i) => {
                    if let Some(slot) = self.slots.get_mut(i).and_then(Option::as_mut) {
                        slot.machine.set_rules(rules);
                        slot.discard |= slot.running && slot.config != planned.check;
                        let regrid = slot.config.timing.every != planned.check.timing.every;
                        slot.config = planned.check;
                        slot.probe = planned.probe;
                        slot.parents = planned.parents.into();
                        if regrid {
                            slot.anchor = now + phase(&slot.service, &slot.check, slot.config.timing.every);
                        }
                    }
                    i
                }
                None => {
                    let every = planned.check.timing.every.max(Duration::from_millis(1));
                    let (at, boot) = (Time::from_ms(self.clock.wall_ms()), self.clock.boot_ms());
                    let mut machine = match planned.seed {
                        Some(seed) => Machine::seeded(rules, seed, at, boot),
                        None => Machine::new(rules, at, boot),
                    };
                    if planned.paused {
                        let _ = machine.pause(at);
                    }
                    self.slots.push(Some(Slot {
                        anchor: now + phase(&service, &check, every),
                        due: now,
                        on_grid: false,
                        turn: 0,
                        running: false,
                        discard: false,
                        again: false,
                        paused: planned.paused,
                        started: None,
                        service: Arc::clone(&service),
                        probe: planned.probe,
                        parents: planned.parents.into(),
                        machine,
                        config: planned.check,
                        check: Arc::clone(&check),
                    }));
                    let i = self.slots.len() - 1;
                    self.set_due(i, now + phase(&service, &check, spread.min(every)), false);
                    i
                }
            };
            self.by_service.entry(service).or_default().push(index);
        }
        for gone in known.into_values() {
            if let Some(slot) = self.slots.get_mut(gone) {
                *slot = None;
            }
        }
        self.stats.checks = count;
    }

    fn set_due(&mut self, i: usize, due: Instant, on_grid: bool) {
        let Some(slot) = self.slots.get_mut(i).and_then(Option::as_mut) else {
            return;
        };
        slot.due = due;
        slot.on_grid = on_grid;
        slot.turn = slot.turn.wrapping_add(1);
        self.heap.push(Reverse((due, i, slot.turn)));
    }

    fn start_due(&mut self, now: Instant) {
        while let Some(Reverse((due, i, turn))) = self.heap.peek().copied() {
            if due > now {
                break;
            }
            self.heap.pop();
            let Some(slot) = self.slots.get_mut(i).and_then(Option::as_mut) else {
                continue;
            };
            if slot.turn == turn && !slot.running && !slot.paused {
                // Invalidates other entries; it is in the queue now.
                slot.turn = slot.turn.wrapping_add(1);
                self.ready.push_back(i);
            }
        }
        while self.running.len() < self.limit && self.outbox.len() < OUTBOX {
            let Some(i) = self.ready.pop_front() else { break };
            self.start(i, now);
        }
    }

    fn start(&mut self, i: usize, now: Instant) {
        let Some(slot) = self.slots.get_mut(i).and_then(Option::as_mut) else {
            return;
        };
        if slot.running || slot.paused {
            return;
        }
        slot.running = true;
        slot.discard = false;
        slot.started = Some(now);
        self.stats.started += 1;
        let late = u64::try_from(now.saturating_duration_since(slot.due).as_millis()).unwrap_or(u64::MAX);
        self.stats.late_ms = self.stats.late_ms.max(late);
        let (probe, timeout) = (Arc::clone(&slot.probe), slot.config.timing.timeout);
        self.running.spawn(async move {
            let began = Instant::now();
            let result = AssertUnwindSafe(probe.probe(timeout)).catch_unwind().await;
            let result = result.unwrap_or_else(|_| {
                let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                ProbeResult::new(Outcome::Error, None, "the probe itself failed: this is a fault of mayday", took)
            });
            Finished { slot: i, result }
        });
    }

    fn finish(&mut self, done: Finished) {
        let now = Instant::now();
        let Some(slot) = self.slots.get_mut(done.slot).and_then(Option::as_mut) else {
            return;
        };
        slot.running = false;
        if slot.paused {
            return;
        }
        if slot.discard {
            self.set_due(done.slot, now, false);
            return;
        }
        let timing = &slot.config.timing;
        let every = timing.every.max(Duration::from_millis(1));
        let missed = if slot.on_grid { slots_between(slot.due, now, every) } else { 0 };
        self.stats.missed += u64::from(missed);
        slot.machine.set_lag(missed);
        let (at, boot_ms) = (Time::from_ms(self.clock.wall_ms()), self.clock.boot_ms());
        let result = Arc::new(done.result);
        let change = slot.machine.observe(&result, at, boot_ms);
        let confirming = slot.machine.is_confirming();
        let incident = !self.incident.is_empty() && self.incident.contains(&*slot.service);
        let mut wait = every;
        if confirming {
            wait = wait.min(timing.retry_interval);
        }
        if incident {
            wait = wait.min(timing.incident_interval);
        }
        let (due, on_grid) = match std::mem::take(&mut slot.again) {
            true => (now, false),
            false if wait < every => (now + wait, false),
            // After a probe off the grid the next point may be too near to tell anything new.
            false if slot.on_grid => (next_slot(slot.anchor, now, every), true),
            false => (next_slot(slot.anchor, now + every / 2, every), true),
        };
        let failing = result.outcome == Outcome::Fail && (confirming || change.is_some());
        let parents = failing.then(|| Arc::clone(&slot.parents)).filter(|p| !p.is_empty());
        self.outbox.push_back(Observation {
            service: Arc::clone(&slot.service),
            check: Arc::clone(&slot.check),
            at,
            boot_ms,
            result,
            status: slot.machine.status().clone(),
            change,
        });
        self.set_due(done.slot, due, on_grid);
        for parent in parents.iter().flat_map(|p| p.iter()) {
            for i in self.of(parent) {
                self.hurry(i, now, false);
            }
        }
    }

    /// Has a check probed at once: on request always, else at most once per retry interval.
    fn hurry(&mut self, i: usize, now: Instant, requested: bool) {
        let Some(slot) = self.slots.get_mut(i).and_then(Option::as_mut) else {
            return;
        };
        if slot.paused {
            return;
        }
        if slot.running {
            // What it sees may be from before the request.
            slot.again |= requested;
            return;
        }
        let recent = slot.started.is_some_and(|t| now.duration_since(t) < slot.config.timing.retry_interval);
        if (requested || !recent) && slot.due > now {
            self.set_due(i, now, false);
        }
    }

    fn set_incident(&mut self, services: BTreeSet<String>, now: Instant) {
        let added: Vec<String> = services.difference(&self.incident).cloned().collect();
        self.incident = services;
        for service in added {
            for i in self.of(&service) {
                let Some(slot) = self.slots.get(i).and_then(Option::as_ref) else {
                    continue;
                };
                let soon = now + phase(&slot.service, &slot.check, slot.config.timing.incident_interval);
                if !slot.paused && !slot.running && slot.due > soon {
                    self.set_due(i, soon, false);
                }
            }
        }
    }

    fn set_paused(&mut self, i: usize, paused: bool, now: Instant) {
        let at = Time::from_ms(self.clock.wall_ms());
        let Some(slot) = self.slots.get_mut(i).and_then(Option::as_mut) else {
            return;
        };
        if slot.paused == paused {
            return;
        }
        slot.paused = paused;
        slot.again = false;
        if paused {
            slot.discard = true;
            let _ = slot.machine.pause(at);
        } else {
            let _ = slot.machine.resume(at);
            if slot.running {
                // The probe of before the pause still runs; its end starts the next one.
                slot.discard = true;
            } else {
                self.set_due(i, now, false);
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        let (at, boot_ms) = (Time::from_ms(self.clock.wall_ms()), self.clock.boot_ms());
        for slot in self.slots.iter_mut().flatten() {
            if let Some(change) = slot.machine.tick(boot_ms) {
                self.outbox.push_back(Observation {
                    service: Arc::clone(&slot.service),
                    check: Arc::clone(&slot.check),
                    at,
                    boot_ms,
                    result: Arc::new(ProbeResult::new(Outcome::Skipped, None, change.detail.as_str(), 0)),
                    status: slot.machine.status().clone(),
                    change: Some(change),
                });
            }
        }
        let asleep = boot_ms.saturating_sub(self.clock.mono_ms());
        if asleep > self.asleep_ms.saturating_add(2000) {
            // The machine slept: what is known is old, so look at everything soon.
            let spread = Duration::from_millis(200 + self.stats.checks as u64);
            for i in 0..self.slots.len() {
                let Some(slot) = self.slots.get(i).and_then(Option::as_ref) else {
                    continue;
                };
                let soon = now + phase(&slot.service, &slot.check, spread);
                if !slot.paused && !slot.running && slot.due > soon {
                    self.set_due(i, soon, false);
                }
            }
        }
        self.asleep_ms = asleep;
    }
}

fn rules_of(timing: &Timing) -> Rules {
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
fn phase(service: &str, check: &str, span: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    (service, check).hash(&mut hasher);
    let us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX).max(1);
    Duration::from_micros(hasher.finish() % us)
}

/// The first point of the grid after `after`.
fn next_slot(anchor: Instant, after: Instant, every: Duration) -> Instant {
    match after.checked_duration_since(anchor) {
        None => anchor,
        Some(gone) => {
            let rest = gone.as_nanos() % every.as_nanos().max(1);
            after + (every - Duration::from_nanos(u64::try_from(rest).unwrap_or(0)))
        }
    }
}

/// Points of the grid that went by after `due` and up to `now`.
fn slots_between(due: Instant, now: Instant, every: Duration) -> u32 {
    let gone = now.saturating_duration_since(due).as_nanos() / every.as_nanos().max(1);
    u32::try_from(gone).unwrap_or(u32::MAX)
}

/// Probes at once: half of the file descriptors this process may have, and never more than can be of use.
fn in_flight_limit() -> usize {
    let soft = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(4096);
    usize::try_from(soft / 2).unwrap_or(4096).clamp(32, 4096)
}
