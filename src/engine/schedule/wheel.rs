//! The one task behind a schedule: what is due, what runs, what came of it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::grid::{beat, in_flight_limit, next_slot, phase, slots_between};
use super::{Observation, Shared, Stats, lock};
use crate::config::Check;
use crate::domain::event::Event;
use crate::domain::health::machine::Machine;
use crate::domain::health::{Outcome, ProbeResult};
use crate::domain::time::Time;
use crate::engine::timekeeper::Timekeeper;
use crate::probe::Probe;
use crate::sys::clock::Clock;

pub(super) struct Slot {
    pub(super) service: Arc<str>,
    pub(super) check: Arc<str>,
    pub(super) config: Check,
    pub(super) probe: Arc<dyn Probe>,
    pub(super) parents: Arc<[String]>,
    pub(super) machine: Machine,
    /// A point of the grid that the regular slots lie on.
    pub(super) anchor: Instant,
    pub(super) due: Instant,
    /// The due moment is a point of the grid.
    pub(super) on_grid: bool,
    /// Tells the one valid entry of the heap from outdated ones.
    pub(super) turn: u32,
    pub(super) running: bool,
    /// Result of the run under way is not wanted: paused, or replaced by another target.
    pub(super) discard: bool,
    /// Asked for while running.
    pub(super) again: bool,
    pub(super) paused: bool,
    pub(super) started: Option<Instant>,
}

pub(super) struct Finished {
    slot: usize,
    result: ProbeResult,
}

pub(super) struct Wheel {
    pub(super) slots: Vec<Option<Slot>>,
    pub(super) by_service: HashMap<Arc<str>, Vec<usize>>,
    pub(super) heap: BinaryHeap<Reverse<(Instant, usize, u32)>>,
    /// Due, and waiting for room.
    pub(super) ready: VecDeque<usize>,
    pub(super) running: JoinSet<Finished>,
    pub(super) limit: usize,
    pub(super) outbox: VecDeque<Observation>,
    pub(super) incident: BTreeSet<String>,
    pub(super) tx: mpsc::Sender<Observation>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shared: Arc<Shared>,
    /// What beats are counted from.
    pub(super) origin: Instant,
    pub(super) next_tick: Instant,
    /// Boot clock less monotonic clock: grows by what the machine slept.
    pub(super) asleep_ms: u64,
    /// Notices that the wall clock was stepped.
    pub(super) timekeeper: Timekeeper,
    pub(super) stats: Stats,
}

/// Observations that may wait for the engine before probing pauses.
const OUTBOX: usize = 1024;
const TICK: Duration = Duration::from_secs(1);

impl Wheel {
    pub(super) fn new(tx: mpsc::Sender<Observation>, clock: Arc<dyn Clock>, shared: Arc<Shared>) -> Self {
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
            timekeeper: Timekeeper::new(clock.as_ref()),
            clock,
            shared,
            origin: Instant::now(),
            next_tick: Instant::now() + TICK,
            stats: Stats::default(),
        }
    }

    pub(super) async fn run(mut self) {
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

    /// Plans the next start: regular slots at their [`beat`], what is wanted out of turn exactly then.
    pub(super) fn set_due(&mut self, i: usize, due: Instant, on_grid: bool) {
        let Some(slot) = self.slots.get_mut(i).and_then(Option::as_mut) else {
            return;
        };
        slot.due = due;
        slot.on_grid = on_grid;
        slot.turn = slot.turn.wrapping_add(1);
        let start = if on_grid { beat(self.origin, due, slot.config.timing.every) } else { due };
        self.heap.push(Reverse((start, i, slot.turn)));
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
        let planned = if slot.on_grid { beat(self.origin, slot.due, slot.config.timing.every) } else { slot.due };
        let late = u64::try_from(now.saturating_duration_since(planned).as_millis()).unwrap_or(u64::MAX);
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

    /// A wall clock that was stepped must not bend what the machines measure.
    fn look_at_clocks(&mut self) {
        for event in self.timekeeper.look(self.clock.as_ref()) {
            if let Event::ClockStepped(e) = event {
                self.slots.iter_mut().flatten().for_each(|slot| slot.machine.step_clock(e.by_ms));
            }
        }
    }

    fn finish(&mut self, done: Finished) {
        self.look_at_clocks();
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

    fn tick(&mut self, now: Instant) {
        self.look_at_clocks();
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
