//! When to look, when to judge, when to report: one task that waits for everything and is held up by nothing.
//!
//! The task itself never touches a file system. Looks and readings run on threads that answer over a channel; a thread
//! that is silent for [`Limits::hang_after`] is told as a problem of every set in its lane and left alone. What others
//! want from the task (look again, other sets, stop) is kept as one latest wish each, so that nothing can pile up. Nor
//! can reports: a set that changed again before its report was taken is reported once, as it is then.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{BackupReport, Beat, Followed, Listed, Mark, Seen, Source, source_of};
use crate::config::{Backup, BackupSource};
use crate::domain::Time;
use crate::domain::backup::judge::WRITING;
use crate::domain::backup::{Judged, Listing, Reading, Rules, judge};
use crate::sys::clock::Clock;
use crate::text;

mod entry;
mod limits;
mod running;
mod thread;

use entry::Entry;
pub use limits::Limits;
use running::Running;
use thread::{Answer, Call, Watched, Work};

/// Makes the source of a set; [`source_of`] unless a test has its own.
pub type SourceFactory = Arc<dyn Fn(&Backup) -> Arc<dyn Source> + Send + Sync>;

/// The running catalogue. Dropping it ends it.
pub struct Catalogue {
    wishes: Arc<Wishes>,
    task: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Wish {
    look: BTreeSet<String>,
    changed: BTreeSet<u64>,
    replace: Option<Vec<Backup>>,
    stop: bool,
}

#[derive(Default)]
struct Wishes {
    wish: Mutex<Wish>,
    notify: Notify,
}

impl Wishes {
    fn lock(&self) -> MutexGuard<'_, Wish> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, change: impl FnOnce(&mut Wish)) {
        change(&mut self.lock());
        self.notify.notify_one();
    }
}

impl Catalogue {
    /// Starts looking at every set at once. A report is sent for each set when its first look ends, after every
    /// further look, and when time alone changes what is known. Must be called within a tokio runtime. Ends when the
    /// receiver is dropped.
    pub fn start(backups: &[Backup], tx: mpsc::Sender<BackupReport>, clock: Arc<dyn Clock>) -> Self {
        Self::start_with(backups, tx, clock, Limits::default(), Arc::new(source_of))
    }

    /// As [`Catalogue::start`], with limits and sources of one's own.
    pub fn start_with(
        backups: &[Backup],
        tx: mpsc::Sender<BackupReport>,
        clock: Arc<dyn Clock>,
        limits: Limits,
        factory: SourceFactory,
    ) -> Self {
        let wishes = Arc::new(Wishes::default());
        let (answers_tx, answers) = mpsc::channel(64);
        let mut keeper = Keeper {
            wishes: wishes.clone(),
            tx,
            clock,
            limits,
            factory,
            answers,
            answers_tx,
            entries: BTreeMap::new(),
            lanes: HashMap::new(),
            reading: None,
            lost_readings: 0,
            next_id: 0,
            outbox: BTreeSet::new(),
            at: (Instant::now(), 0),
        };
        keeper.at.1 = keeper.clock.wall_ms();
        keeper.replace(backups.to_vec());
        Catalogue { wishes, task: Some(tokio::spawn(keeper.run())) }
    }

    /// Look at one set now. Unknown names do nothing.
    pub fn rescan(&self, name: &str) {
        self.wishes.add(|w| {
            w.look.insert(name.to_owned());
        });
    }

    /// Other sets from now on. A set whose configuration did not change keeps what is known of it.
    pub fn replace(&self, backups: &[Backup]) {
        self.wishes.add(|w| w.replace = Some(backups.to_vec()));
    }

    /// Ends the task and asks running looks and readings to end; does not wait for those.
    pub async fn shutdown(mut self) {
        self.wishes.add(|w| w.stop = true);
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

impl Drop for Catalogue {
    fn drop(&mut self) {
        self.wishes.add(|w| w.stop = true);
    }
}

struct Keeper {
    wishes: Arc<Wishes>,
    tx: mpsc::Sender<BackupReport>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    factory: SourceFactory,
    answers: mpsc::Receiver<Answer>,
    answers_tx: mpsc::Sender<Answer>,
    entries: BTreeMap<String, Entry>,
    lanes: HashMap<String, Running>,
    reading: Option<(u64, Running)>,
    /// Readings that were given up and whose threads have not come back.
    lost_readings: usize,
    next_id: u64,
    outbox: BTreeSet<String>,
    /// When the loop last turned, by both clocks: a difference is a suspend or a set clock.
    at: (Instant, i64),
}

/// The longest the task sleeps: wall-clock moments are looked at again at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(15);
/// Readings that may hang at the same time before no further one is begun.
const LOST_READINGS: usize = 4;

impl Keeper {
    async fn run(mut self) {
        loop {
            if self.take_wishes() {
                break;
            }
            self.notice_jump();
            self.start_looks();
            self.start_reading();
            self.judge_again();
            let sleep = self.sleep_for();
            let (wishes, tx) = (self.wishes.clone(), self.tx.clone());
            tokio::select! {
                () = wishes.notify.notified() => {}
                Some(answer) = self.answers.recv() => self.take(answer),
                permit = tx.reserve(), if !self.outbox.is_empty() => match permit {
                    Ok(permit) => {
                        if let Some(entry) = self.outbox.pop_first().and_then(|name| self.entries.get(&name)) {
                            permit.send(entry.report());
                        }
                    }
                    Err(_) => break,
                },
                () = tx.closed() => break,
                () = tokio::time::sleep(sleep) => {}
            }
        }
        for running in self.lanes.values().chain(self.reading.as_ref().map(|(_, r)| r)) {
            running.beat.stop();
        }
    }

    fn now(&self) -> Time {
        Time::from_ms(self.clock.wall_ms())
    }

    /// True: the end was asked for.
    fn take_wishes(&mut self) -> bool {
        let wish = std::mem::take(&mut *self.wishes.lock());
        if let Some(backups) = wish.replace {
            self.replace(backups);
        }
        let now = Instant::now();
        for name in &wish.look {
            if let Some(entry) = self.entries.get_mut(name) {
                entry.due = now;
            }
        }
        for entry in self.entries.values_mut().filter(|e| wish.changed.contains(&e.id)) {
            entry.changed(now, &self.limits);
        }
        wish.stop
    }

    fn replace(&mut self, backups: Vec<Backup>) {
        let mut before = std::mem::take(&mut self.entries);
        for backup in backups {
            let name = backup.name.clone();
            let kept = before.remove(&name).and_then(|mut entry| entry.adopt(&backup).then_some(entry));
            let entry = kept.unwrap_or_else(|| {
                self.next_id += 1;
                Entry::new(self.next_id, (self.factory)(&backup), backup)
            });
            self.outbox.insert(name.clone());
            self.entries.insert(name, entry);
        }
        // What is known is said again under the new rules; what was never looked at has nothing to say yet.
        let known = |name: &String| self.entries.get(name).is_some_and(Entry::is_known);
        self.outbox.retain(known);
    }

    /// After a suspend, or when the clock was set, everything is looked at again.
    fn notice_jump(&mut self) {
        let (now, wall) = (Instant::now(), self.clock.wall_ms());
        let passed = i64::try_from(now.duration_since(self.at.0).as_millis()).unwrap_or(i64::MAX);
        let jumped = wall.saturating_sub(self.at.1).saturating_sub(passed).unsigned_abs() > 5000;
        self.at = (now, wall);
        if jumped {
            for entry in self.entries.values_mut() {
                entry.due = entry.due.min(now);
                entry.judge_at = Some(Time::from_ms(wall));
            }
        }
    }

    fn start_looks(&mut self) {
        let now = Instant::now();
        let mut quick = self.lanes.values().filter(|r| r.since.elapsed() < self.limits.slow).count();
        let mut due: Vec<(Instant, String)> =
            self.entries.iter().filter(|(_, e)| e.due <= now).map(|(name, e)| (e.due, name.clone())).collect();
        due.sort();
        for (_, name) in due {
            if quick >= self.limits.at_once {
                break;
            }
            let Some(entry) = self.entries.get_mut(&name) else { continue };
            if self.lanes.contains_key(&entry.lane) {
                continue;
            }
            self.next_id += 1;
            let running = Running::new(self.next_id);
            let wishes = self.wishes.clone();
            let id = entry.id;
            let told = entry.told.clone();
            told.store(false, Ordering::SeqCst);
            let changed = move || {
                if !told.swap(true, Ordering::SeqCst) {
                    wishes.add(|w| {
                        w.changed.insert(id);
                    });
                }
            };
            let (kept, followed) = (self.limits.kept, entry.followed(now));
            let work = Work::Look { kept, followed, changed: Arc::new(changed) };
            entry.due = now + entry.rescan(&self.limits);
            let call = entry.call(&running);
            match thread::start(call, work, self.answers_tx.clone()) {
                Ok(()) => {
                    quick += 1;
                    self.lanes.insert(entry.lane.clone(), running);
                }
                Err(e) => {
                    if entry.set_problem(Some(format!("no thread could be started to look at it: {e}"))) {
                        entry.judge_at = Some(Time::from_ms(i64::MIN));
                    }
                }
            }
        }
    }

    fn start_reading(&mut self) {
        if self.reading.as_mut().is_some_and(|(_, r)| r.silent() >= self.limits.hang_after * 4)
            && let Some((id, running)) = self.reading.take()
        {
            running.beat.stop();
            self.lost_readings += 1;
            if let Some(entry) = self.entries.values_mut().find(|e| e.id == id) {
                entry.give_up_reading();
                entry.judge_at = Some(Time::from_ms(i64::MIN));
            }
        }
        if self.reading.is_some() || self.lost_readings >= LOST_READINGS {
            return;
        }
        let now = self.now();
        let next = self
            .entries
            .values()
            .filter(|e| self.lanes.get(&e.lane).is_none_or(|r| r.since.elapsed() <= self.limits.slow))
            .filter_map(|e| e.next_to_read(self.limits.read).map(|(rank, seen)| (rank, seen.found.copy.size, e, seen)))
            .min_by_key(|(rank, size, ..)| (*rank, *size));
        let Some((_, _, entry, seen)) = next else { return };
        let (id, seen) = (entry.id, seen.clone());
        self.next_id += 1;
        let running = Running::new(self.next_id);
        running.beat.pace(self.limits.pace);
        let call = entry.call(&running);
        let mark = seen.mark;
        if thread::start(call, Work::Read(Box::new(seen)), self.answers_tx.clone()).is_ok() {
            self.reading = Some((id, running));
            if let Some((name, entry)) = self.entries.iter_mut().find(|(_, e)| e.id == id) {
                entry.underway(mark);
                entry.judge(now);
                self.outbox.insert(name.clone());
            }
        }
    }

    fn take(&mut self, answer: Answer) {
        let now = self.now();
        match answer {
            Answer::Looked { id, lane, result, watched, took } => {
                self.lanes.remove(&lane);
                for entry in self.entries.values_mut().filter(|e| e.lane == lane) {
                    entry.silence_told = None;
                }
                if let Some((name, entry)) = self.entries.iter_mut().find(|(_, e)| e.id == id) {
                    entry.watched(watched, Instant::now());
                    entry.looked(result, took, now, &self.limits);
                    self.outbox.insert(name.clone());
                }
            }
            Answer::Read { id, token, mark, result } => {
                if self.reading.as_ref().is_some_and(|(_, running)| running.token == token) {
                    self.reading = None;
                } else {
                    self.lost_readings = self.lost_readings.saturating_sub(1);
                }
                if let Some((name, entry)) = self.entries.iter_mut().find(|(_, e)| e.id == id) {
                    if entry.read(mark, result) {
                        entry.changed(Instant::now(), &self.limits);
                    }
                    if entry.judge(now) {
                        self.outbox.insert(name.clone());
                    }
                }
            }
        }
    }

    /// What time alone changes: copies grow old, folders stay silent.
    fn judge_again(&mut self) {
        let now = self.now();
        for (name, entry) in &mut self.entries {
            let silent = self.lanes.get_mut(&entry.lane).map(Running::silent).filter(|s| *s >= self.limits.hang_after);
            let told = entry.tell_silence(silent);
            let due = entry.judge_at.is_some_and(|at| at <= now);
            if (told || due) && entry.judge(now) {
                self.outbox.insert(name.clone());
            }
        }
    }

    fn sleep_for(&self) -> Duration {
        let now = Instant::now();
        let wall = self.now();
        let mut sleep = LONGEST_SLEEP;
        if self.reading.is_some() {
            sleep = sleep.min(self.limits.hang_after * 2);
        }
        for entry in self.entries.values() {
            match self.lanes.get(&entry.lane) {
                Some(_) => sleep = sleep.min(self.limits.hang_after / 2),
                // One that waits for its turn is woken by an answer; this is only the last resort.
                None => sleep = sleep.min(entry.due.saturating_duration_since(now).max(Duration::from_millis(20))),
            }
            if let Some(at) = entry.judge_at {
                sleep = sleep.min(at.since(wall));
            }
        }
        sleep.max(Duration::from_millis(1))
    }
}
