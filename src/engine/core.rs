//! The engine's heart: the one owner of the state, and the only place that decides and applies.
//!
//! One turn: take what has come in, decide it, append all that it led to with one sync, and only then answer, publish
//! and start effects. What came in while the disk was busy is the next turn, so many writers share one sync by
//! themselves. Effects are derived from the state ([`super::reconcile`]), not from the moment: a restart is nothing
//! special.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::picture::Picture;
use super::recorder::Recorder;
use super::records::TimelineFiles;
use super::samples::Samples;
use super::schedule::{Observation, Schedule};
use super::timekeeper::Timekeeper;
use crate::backup::{BackupReport, Catalogue};
use crate::config::Config;
use crate::domain::command::Refusal;
use crate::domain::event::{Entry, Event};
use crate::domain::health::board::Board;
use crate::domain::state::State;
use crate::domain::{Actor, Time};
use crate::notify;
use crate::recovery::plan::Planned;
use crate::sys::clock::Clock;
use crate::text::Mask;
use crate::wire::{Answer, Ask};

/// Messages taken in one turn at the most.
const TURN: usize = 512;
/// Answers remembered by their key, so that a repeated request is not carried out twice.
const REMEMBERED: usize = 1000;
/// Made plans that wait to be started.
pub(super) const PLANS: usize = 64;

/// What comes to the core.
pub enum Message {
    Ask { actor: Actor, key: String, ask: Ask, reply: oneshot::Sender<Answer> },
    /// A plan is made, or cannot be.
    Planned { made: Box<Result<Planned, Refusal>>, reply: oneshot::Sender<Answer> },
    /// What a run's folder says.
    Run(super::follow::News),
    /// What a channel answered.
    Delivered { message: String, channel: String, number: u32, attempt: notify::Attempt },
    /// The configuration was read again.
    Config(Result<Box<Config>, (String, Vec<String>)>),
    /// Places in the journal that failed their verification: part, line, why.
    Damaged(Vec<(String, u64, String)>),
    /// Read the configuration again.
    Reload,
    /// What a new configuration needs is set up.
    SetUp(Box<super::start::Setup>),
    /// End.
    Stop { reason: String },
}

/// Everything the engine holds.
pub struct Core {
    pub(super) state: State,
    pub(super) recorder: Recorder,
    pub(super) config: Arc<Config>,
    pub(super) config_path: Option<PathBuf>,
    pub(super) board: Board,
    pub(super) samples: Samples,
    pub(super) schedule: Schedule,
    pub(super) catalogue: Catalogue,
    pub(super) reports: BTreeMap<String, BackupReport>,
    pub(super) picture: Arc<RwLock<Picture>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) timekeeper: Timekeeper,
    pub(super) started_at: Time,
    pub(super) host: String,
    pub(super) boot: String,
    pub(super) state_dir: PathBuf,
    pub(super) runtime_dir: Option<PathBuf>,
    pub(super) exe: PathBuf,
    pub(super) inbox: mpsc::Sender<Message>,
    pub(super) answered: HashMap<String, Answer>,
    pub(super) answered_order: VecDeque<String>,
    pub(super) plans: VecDeque<Planned>,
    pub(super) runs: super::follow::Followed,
    pub(super) outbox: super::deliver::Outbox,
    pub(super) sealing: super::seal::Sealing,
    pub(super) timelines: TimelineFiles,
    pub(super) mask: Mask,
    pub(super) dirty: Dirty,
    pub(super) warnings: Vec<String>,
    pub(super) sandbox: bool,
    pub(super) viewers: Arc<super::session::Shared>,
    /// Answers that wait for the disk.
    pub(super) waiting: Vec<(oneshot::Sender<Answer>, String, Answer)>,
    pub(super) stopping: Option<String>,
    /// Spooled notes whose entries were written in the turn before; their files can go.
    pub(super) spooled: Vec<PathBuf>,
    pub(super) checkpoint_at: u64,
}

/// What has to be drawn anew in the picture.
#[derive(Debug, Default)]
pub struct Dirty {
    pub services: std::collections::BTreeSet<String>,
    pub backups: std::collections::BTreeSet<String>,
    pub runs: std::collections::BTreeSet<String>,
    pub incidents: bool,
    pub messages: std::collections::BTreeSet<String>,
    pub head: bool,
    pub everything: bool,
}

/// The core's inlets.
pub struct Inlets {
    pub inbox: mpsc::Receiver<Message>,
    pub observed: mpsc::Receiver<Observation>,
    pub reported: mpsc::Receiver<BackupReport>,
    pub stop: CancellationToken,
}

impl Core {
    pub(super) fn now(&self) -> Time {
        Time::from_ms(self.clock.wall_ms())
    }

    /// Runs until asked to stop. Returns why it ended.
    pub async fn run(mut self, mut inlets: Inlets) -> String {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = inlets.inbox.recv() => match message {
                    Some(message) => {
                        self.take(message);
                        for _ in 1..TURN {
                            match inlets.inbox.try_recv() {
                                Ok(message) => self.take(message),
                                Err(_) => break,
                            }
                        }
                    }
                    None => self.stopping = Some("nobody is left to ask".into()),
                },
                Some(seen) = inlets.observed.recv() => {
                    self.observe(&seen);
                    for _ in 1..TURN {
                        match inlets.observed.try_recv() {
                            Ok(seen) => self.observe(&seen),
                            Err(_) => break,
                        }
                    }
                }
                Some(report) = inlets.reported.recv() => self.take_report(report),
                _ = tick.tick() => self.tick().await,
                () = inlets.stop.cancelled(), if self.stopping.is_none() => {
                    self.stopping = Some("asked by a signal".into());
                }
            }
            self.turn().await;
            if let Some(reason) = self.stopping.take() {
                return self.finish(reason).await;
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Ask { actor, key, ask, reply } => self.ask(actor, key, ask, reply),
            Message::Planned { made, reply } => self.take_plan(*made, reply),
            Message::Run(news) => self.take_run_news(news),
            Message::Delivered { message, channel, number, attempt } => {
                self.take_delivery(&message, &channel, number, &attempt);
            }
            Message::Config(Ok(config)) => self.reconfigure(*config),
            Message::Config(Err((source, faults))) => self.reject_config(source, faults),
            Message::Damaged(damage) => self.record_damage(damage),
            Message::Reload => self.reload(),
            Message::SetUp(setup) => self.take_setup(*setup),
            Message::Stop { reason } => self.stopping = Some(reason),
        }
    }

    /// Takes an event into the record and the state. It is on disk at the end of the turn.
    pub(super) fn record(&mut self, actor: Actor, incident: Option<String>, event: impl Into<Event>) -> u64 {
        let draft = crate::journal::Draft {
            at: self.now(),
            boot_ms: self.clock.boot_ms(),
            boot: self.boot.clone(),
            actor,
            incident,
            event: event.into(),
        };
        let seq = self.recorder.next_seq();
        let entry = Entry {
            seq,
            at: draft.at,
            boot_ms: draft.boot_ms,
            boot: draft.boot.clone(),
            host: self.host.clone(),
            actor: draft.actor.clone(),
            incident: draft.incident.clone(),
            event: draft.event.clone(),
        };
        if self.recorder.take(draft) {
            self.state.apply(&entry);
            self.mark(&entry);
            self.timelines.take(&entry);
            self.follow_seals(&entry);
        }
        seq
    }

    /// What the engine does by itself.
    pub(super) fn record_own(&mut self, incident: Option<String>, event: impl Into<Event>) -> u64 {
        self.record(Actor::engine(), incident, event)
    }

    /// Marks what an entry changes in the picture.
    fn mark(&mut self, entry: &Entry) {
        let dirty = &mut self.dirty;
        dirty.incidents |= entry.incident.is_some();
        match &entry.event {
            Event::HealthChanged(e) => {
                dirty.services.insert(e.service.clone());
                dirty.incidents = true;
                dirty.head = true;
            }
            Event::HealthBecause(e) => {
                dirty.services.insert(e.service.clone());
            }
            Event::ServicePaused(e) => {
                dirty.services.insert(e.service.clone());
            }
            Event::ServiceResumed(e) => {
                dirty.services.insert(e.service.clone());
            }
            Event::BackupChanged(e) => {
                dirty.backups.insert(e.backup.clone());
            }
            Event::ConfigLoaded(_) => dirty.everything = true,
            Event::ConfigRejected(_) => dirty.head = true,
            Event::RunRequested(_) | Event::RunFinished(_) | Event::RunSide(_) => {
                // Who holds what, and what is superseded, may have changed anywhere.
                dirty.runs.extend(self.state.run_order.iter().cloned());
                dirty.services.extend(self.state.catalog.services.keys().cloned());
                dirty.incidents = true;
            }
            Event::RunClaimed(e) => {
                dirty.runs.insert(e.run.clone());
            }
            Event::RunStarted(e) => {
                dirty.runs.insert(e.run.clone());
            }
            Event::RunPhase(e) => {
                dirty.runs.insert(e.run.clone());
            }
            Event::RunCancelRequested(e) => {
                dirty.runs.insert(e.run.clone());
            }
            Event::MessageQueued(e) => {
                dirty.messages.insert(e.id.clone());
            }
            Event::MessageAttempted(e) => {
                dirty.messages.insert(e.message.clone());
                dirty.incidents = true;
            }
            _ => {}
        }
    }

    /// The end of a turn: disk, answers, effects, picture. Effects may lead to further entries, which go to disk too
    /// before anything comes of them.
    pub(super) async fn turn(&mut self) {
        for _ in 0..8 {
            self.commit().await;
            self.reconcile();
            if !self.recorder.has_pending() {
                break;
            }
        }
        self.commit().await;
        // The picture first: whoever is told that something was done finds it there.
        self.publish();
        self.answer();
    }

    /// Answers those who waited for the disk.
    fn answer(&mut self) {
        let recorded = self.recorder.is_on();
        for (reply, key, mut answer) in std::mem::take(&mut self.waiting) {
            if let Answer::Done { recorded: told, .. } = &mut answer {
                *told = recorded;
            }
            if !key.is_empty() {
                if self.answered_order.len() >= REMEMBERED
                    && let Some(oldest) = self.answered_order.pop_front()
                {
                    self.answered.remove(&oldest);
                }
                self.answered_order.push_back(key.clone());
                self.answered.insert(key, answer.clone());
            }
            let _ = reply.send(answer);
        }
    }

    /// Brings what is pending to disk.
    async fn commit(&mut self) {
        let was_on = self.recorder.is_on();
        if self.recorder.has_pending() {
            self.recorder.commit(self.now()).await;
        }
        if was_on != self.recorder.is_on() {
            self.dirty.head = true;
            self.dirty.incidents = true;
        }
        let recorded = self.recorder.is_on();
        self.timelines.write(recorded);
        if recorded && self.recorder.head().0 >= self.checkpoint_at {
            self.checkpoint().await;
        }
    }

    pub(super) async fn checkpoint(&mut self) {
        self.checkpoint_at = self.recorder.head().0 + 2_000;
        if let Err(e) = self.recorder.checkpoint(&self.state).await {
            tracing::warn!("writing the checkpoint failed: {e}");
        }
        let saved = self.schedule.save().await;
        if let Ok(bytes) = serde_json::to_vec(&saved) {
            let path = self.state_dir.join(super::start::STATE_FILE);
            if let Err(e) = crate::sys::disk::write_atomic(&path, &bytes, 0o600) {
                tracing::warn!("writing {} failed: {e}", path.display());
            }
        }
    }

    /// Goodbye: the last entry, the checkpoint, the end of the watching. Runs go on.
    async fn finish(mut self, reason: String) -> String {
        self.record_own(None, crate::domain::event::EngineStopped { reason: reason.clone() });
        self.commit().await;
        self.answer();
        self.checkpoint().await;
        self.schedule.shutdown().await;
        self.catalogue.shutdown().await;
        reason
    }
}
