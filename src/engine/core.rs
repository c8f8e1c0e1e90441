//! The engine's heart: the one owner of the state, and the only place that decides and applies.
//!
//! One turn: take what has come in, decide it, append all that it led to with one sync, and only then answer, publish
//! and start effects. What came in while the disk was busy is the next turn, so many writers share one sync by
//! themselves. Effects are derived from the state ([`super::reconcile`]), not from the moment: a restart is nothing
//! special.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::picture::Picture;
use super::recorder::{Recorder, Shift};
use super::records::TimelineFiles;
use super::samples::Samples;
use super::schedule::{Observation, Schedule};
use super::timekeeper::Timekeeper;
use crate::backup::{BackupReport, Catalogue};
use crate::config::Config;
use crate::domain::command::Refusal;
use crate::domain::event::{Entry, Event};
use crate::domain::health::board::Board;
use crate::domain::recovery::{OfStep, RecoveryPlan};
use crate::domain::run::Work;
use crate::domain::state::State;
use crate::domain::{Actor, Time};
use crate::notify;
use crate::recovery::plan::Planned;
use crate::sys::clock::Clock;
use crate::text::Mask;
use crate::wire::{Answer, Ask};

/// Messages taken in one turn at the most.
const TURN: usize = 512;
/// Between two times that the checks' machines are kept, in milliseconds.
const SAVE_EVERY_MS: u64 = 60_000;
/// Made plans that wait to be started.
pub(super) const PLANS: usize = 64;

/// What comes to the core.
#[allow(clippy::large_enum_variant, reason = "a request is the common one; boxing it costs each of them an allocation")]
pub enum Message {
    Ask {
        actor: Actor,
        key: String,
        ask: Ask,
        reply: oneshot::Sender<Answer>,
    },
    /// A plan is made, or cannot be.
    Planned {
        made: Box<Result<Planned, Refusal>>,
        reply: oneshot::Sender<Answer>,
    },
    /// A recovery's plan is made, or cannot be.
    RecoveryPlanned {
        made: Box<Result<RecoveryPlan, Refusal>>,
        reply: oneshot::Sender<Answer>,
    },
    /// The plan of a recovery's step, for this try of it.
    StepPlanned {
        of: OfStep,
        attempt: u32,
        made: Box<Result<Planned, Refusal>>,
    },
    /// The plan of a head start, or of the drop of one.
    HeadStartPlanned {
        of: super::headstart::Planning,
        made: Box<Result<Planned, Refusal>>,
    },
    /// What a run's folder says.
    Run(super::follow::News),
    /// What a channel answered.
    Delivered {
        message: String,
        channel: String,
        number: u32,
        attempt: notify::Attempt,
    },
    /// The configuration was read again, by the request with this number.
    Config {
        ticket: u64,
        read: Result<Box<Config>, (String, Vec<String>)>,
        reply: Option<oneshot::Sender<Answer>>,
    },
    /// Places in the journal that failed their verification: part, line, why.
    Damaged(Vec<(String, u64, String)>),
    /// Read the configuration again; renewed secrets are taken up even when the file is the same.
    Reload,
    /// The configuration's file was saved.
    Saved,
    /// What the configuration of this generation needs is set up.
    SetUp {
        generation: u64,
        setup: Box<super::setup::Setup>,
    },
    /// Evidence is in its folder, or cannot be.
    Kept {
        actor: Actor,
        key: String,
        title: String,
        made: Box<super::evidence::Made>,
        reply: oneshot::Sender<Answer>,
    },
    /// A draft of what is due soon.
    Prepared {
        incident: String,
        template: crate::domain::message::Template,
        subject: String,
        body: String,
    },
    /// An incident's samples are sealed: file digest and samples.
    Sealed {
        incident: String,
        digest: String,
        samples: u64,
    },
    /// A connection runs this command in a shell, or (`held: false`) has ended.
    Shell {
        id: String,
        held: bool,
    },
    /// What is to be redacted was looked for.
    RedactionFound {
        looked: Box<super::redact::Looked>,
        reply: oneshot::Sender<Answer>,
    },
    /// A round of a redaction is done.
    Redacted(Box<Result<super::redact::Outcome, String>>),
    /// Answered by a core that works.
    Ping(oneshot::Sender<()>),
    /// Answered when the picture shows what is known now.
    Draw(oneshot::Sender<()>),
}

/// How an engine ended.
#[derive(Debug)]
pub struct Ended {
    pub reason: String,
    /// Not asked to: a fault inside.
    pub failed: bool,
}

/// Everything the engine holds.
pub struct Core {
    pub(super) state: State,
    pub(super) recorder: Recorder,
    pub(super) config: Arc<Config>,
    pub(super) config_path: Option<PathBuf>,
    /// The folder of playbooks that is watched.
    pub(super) playbooks: tokio::sync::watch::Sender<Option<PathBuf>>,
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
    pub(super) other_places: Vec<PathBuf>,
    pub(super) exe: PathBuf,
    pub(super) inbox: mpsc::Sender<Message>,
    pub(super) answered: super::answered::Answered,
    pub(super) plans: VecDeque<Planned>,
    pub(super) recovering: super::recover::Recovering,
    pub(super) headstarts: super::headstart::HeadStarts,
    pub(super) lead: super::lead::Prepared,
    pub(super) asking: super::approve::Asking,
    pub(super) playing: super::playbook::Playing,
    pub(super) redacting: super::redact::Redacting,
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
    /// Who waits for the picture.
    pub(super) to_draw: Vec<oneshot::Sender<()>>,
    pub(super) stopping: Option<String>,
    /// Spooled notes whose entries were written in the turn before; their files can go.
    pub(super) spooled: Vec<PathBuf>,
    pub(super) shells: super::shell::Shells,
    pub(super) checkpoint_at: u64,
    /// When the checks' machines are kept next, on the boot clock.
    pub(super) save_at: u64,
    /// They are being kept.
    pub(super) saving: Option<tokio::task::JoinHandle<()>>,
    /// Reads of the configuration so far, and the newest that was taken in.
    pub(super) reads: u64,
    pub(super) read: u64,
    /// The next good read of the configuration is set up anew even if it says the same.
    pub(super) anew: bool,
    /// Counts configurations in force; what was set up for an earlier one is passed over.
    pub(super) generation: u64,
    /// Certificates, secrets and senders of the configuration in force are not there yet: nothing is sent or started.
    pub(super) setting_up: bool,
    /// What an earlier engine knew of the checks, until they are set up.
    pub(super) saved: Vec<super::schedule::SavedCheck>,
    /// Windows of maintenance that are under way or announced, as they are shown.
    pub(super) windows: Vec<crate::wire::WindowView>,
    /// Place of each service in the configuration.
    pub(super) places: HashMap<String, usize>,
    /// Percentiles of each service's latency, and the ten seconds that they were taken in.
    pub(super) percentiles: HashMap<String, (i64, super::samples::Percentiles)>,
    /// What the checks of each service look at, masked: looking for secrets in it costs more than a view.
    pub(super) targets: HashMap<String, Vec<String>>,
}

/// What has to be drawn anew in the picture.
#[derive(Debug, Default)]
pub struct Dirty {
    pub services: std::collections::BTreeSet<String>,
    pub backups: std::collections::BTreeSet<String>,
    pub runs: std::collections::BTreeSet<String>,
    /// All open incidents; and these.
    pub incidents: bool,
    pub incident_ids: std::collections::BTreeSet<String>,
    pub messages: std::collections::BTreeSet<String>,
    /// What people say of entries.
    pub curation: bool,
    pub recoveries: bool,
    pub playbooks: bool,
    pub head: bool,
    pub everything: bool,
}

impl Dirty {
    /// Nothing happened but that services were looked at.
    fn is_only_seen(&self) -> bool {
        let others =
            self.backups.is_empty() && self.runs.is_empty() && self.incident_ids.is_empty() && self.messages.is_empty();
        others && !(self.curation || self.incidents || self.recoveries || self.head || self.everything)
    }
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
        let mut probing = true;
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
                seen = inlets.observed.recv(), if probing => match seen {
                    Some(seen) => {
                        self.observe(&seen);
                        for _ in 1..TURN {
                            match inlets.observed.try_recv() {
                                Ok(seen) => self.observe(&seen),
                                Err(_) => break,
                            }
                        }
                    }
                    None => {
                        // Said loudly: a cockpit that shows old states as present ones is worse than none.
                        probing = false;
                        self.warnings.push("NOTHING IS PROBED any more: restart the engine (mayday engine stop)".into());
                        self.dirty.head = true;
                    }
                },
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
            Message::RecoveryPlanned { made, reply } => self.take_recovery_plan(*made, reply),
            Message::StepPlanned { of, attempt, made } => self.take_step_plan(of, attempt, *made),
            Message::HeadStartPlanned { of, made } => self.take_head_start(of, *made),
            Message::Run(news) => self.take_run_news(news),
            Message::Delivered { message, channel, number, attempt } => {
                self.take_delivery(&message, &channel, number, &attempt);
            }
            Message::Config { ticket, read, reply } => self.take_config(ticket, read, reply),
            Message::Damaged(damage) => self.record_damage(damage),
            Message::Reload => self.reload(true, None),
            Message::Saved => self.reload(false, None),
            Message::SetUp { generation, setup } => self.take_setup(generation, *setup),
            Message::Kept { actor, key, title, made, reply } => self.take_kept(actor, key, title, *made, reply),
            Message::Prepared { incident, template, subject, body } => {
                self.take_prepared(incident, template, subject, body);
            }
            Message::Sealed { incident, digest, samples } => self.take_sealed(incident, digest, samples),
            Message::Shell { id, held } => self.hold_shell(id, held),
            Message::RedactionFound { looked, reply } => self.take_redaction(*looked, reply),
            Message::Redacted(outcome) => self.take_redacted(*outcome),
            Message::Ping(reply) => {
                let _ = reply.send(());
            }
            Message::Draw(reply) => self.to_draw.push(reply),
        }
    }

    /// Notes what happened to the clocks, before anything is written or shown by them.
    pub(super) fn look_at_clocks(&mut self) {
        for event in self.timekeeper.look(self.clock.as_ref()) {
            self.note_clock(event);
        }
    }

    pub(super) fn note_clock(&mut self, event: Event) {
        let incident = self.state.open_incidents().first().map(|i| i.id.clone());
        if let Event::ClockStepped(e) = &event {
            self.board.step_clock(e.by_ms);
            self.recovering.forget();
        }
        self.playing.note_clock(&event, self.now());
        self.write(Actor::engine(), incident, event);
    }

    /// Takes an event into the record and the state. It is on disk at the end of the turn.
    pub(super) fn record(&mut self, actor: Actor, incident: Option<String>, event: impl Into<Event>) -> u64 {
        self.look_at_clocks();
        let event = event.into();
        self.bind_to_step(&actor, &event);
        self.write(actor, incident, event)
    }

    pub(super) fn write(&mut self, actor: Actor, incident: Option<String>, event: Event) -> u64 {
        let event = self.redacting.keep_out(event);
        let draft = crate::journal::Draft {
            at: self.now(),
            boot_ms: self.clock.boot_ms(),
            boot: self.boot.clone(),
            actor,
            incident,
            event,
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
        dirty.incident_ids.extend(entry.incident.clone());
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
            // Whatever is shown with a time is shown by the clock as it reads now.
            Event::ConfigLoaded(_) | Event::ClockStepped(_) => dirty.everything = true,
            // Whatever is open of the one goes on in the other.
            Event::IncidentAbsorbed(_) => dirty.everything = true,
            Event::ConfigRejected(_)
            | Event::ServiceHeld(_)
            | Event::ServiceReleased(_)
            | Event::ServiceTagged(_)
            | Event::ServiceUntagged(_)
            | Event::ApprovalRequested(_)
            | Event::ApprovalGiven(_)
            | Event::ApprovalEnded(_)
            | Event::GlassBroken(_) => dirty.head = true,
            of_run @ (Event::RunRequested(_) | Event::RunFinished(_) | Event::RunSide(_)) => {
                let run = match of_run {
                    Event::RunRequested(e) => e.plan.id.as_str(),
                    Event::RunFinished(e) => &e.run,
                    Event::RunSide(e) => &e.run,
                    _ => "",
                };
                // What is superseded, and who left what, may have changed anywhere.
                dirty.runs.extend(self.state.run_order.iter().cloned());
                let run = self.state.runs.get(run);
                dirty.services.extend(run.and_then(|r| r.plan.service.clone()));
                if let Some(Work::Restore { backup, test: true, .. }) = run.map(|r| &r.plan.work) {
                    dirty.backups.insert(backup.clone());
                }
                dirty.incidents = true;
                dirty.head = true;
            }
            Event::RecoveryStarted(_)
            | Event::RecoveryStep(_)
            | Event::RecoveryStopped(_)
            | Event::RecoveryResumed(_)
            | Event::RecoverySkipped(_)
            | Event::RecoveryFinished(_) => {
                dirty.recoveries = true;
                dirty.incidents = true;
            }
            Event::PlaybookStarted(_)
            | Event::PlaybookBegan(_)
            | Event::PlaybookStep(_)
            | Event::PlaybookAgain(_)
            | Event::PlaybookPassed(_)
            | Event::PlaybookChosen(_)
            | Event::PlaybookEvidence(_)
            | Event::PlaybookLeft(_)
            | Event::PlaybookChanged(_)
            | Event::PlaybookResumed(_)
            | Event::PlaybookFinished(_)
            | Event::ChecklistOpened(_)
            | Event::ChecklistTicked(_) => {
                dirty.playbooks = true;
                dirty.incidents = true;
            }
            Event::NoteCorrected(_) => {
                dirty.curation = true;
                dirty.head = true;
            }
            Event::EntryRetimed(_)
            | Event::EntryPinned(_)
            | Event::EntryHidden(_)
            | Event::EntriesJoined(_)
            | Event::EvidenceAdded(_)
            | Event::EntryRedacted(_) => dirty.curation = true,
            // A note may propose a follow-up.
            Event::NoteAdded(_)
            | Event::NoteImported(_)
            | Event::FollowupOpened(_)
            | Event::FollowupChanged(_)
            | Event::FollowupClosed(_) => dirty.head = true,
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
                dirty.incident_ids.extend(self.state.messages.get(&e.message).and_then(|m| m.incident.clone()));
            }
            _ => {}
        }
    }

    /// The end of a turn: disk, answers, effects, picture. Effects may lead to further entries, which go to disk too
    /// before anything comes of them.
    pub(super) async fn turn(&mut self) {
        self.look_at_clocks();
        for _ in 0..8 {
            self.commit().await;
            self.tend_redaction().await;
            self.reconcile();
            if !self.recorder.has_pending() {
                break;
            }
        }
        self.commit().await;
        // The picture first: whoever is told that something was done finds it there.
        self.share_curation();
        if self.is_looked_at() {
            self.publish();
        }
        for waiting in self.to_draw.drain(..) {
            let _ = waiting.send(());
        }
        self.answer();
    }

    /// Gives all sessions what people said of entries, up to the newest one.
    fn share_curation(&mut self) {
        let changed = std::mem::take(&mut self.dirty.curation) || self.dirty.everything;
        if let Ok(mut shared) = self.viewers.curated.write() {
            shared.upto = self.state.seq;
            if changed {
                shared.curation = Arc::new(self.state.curation.clone());
            }
        }
    }

    /// Whether the picture has to be drawn now. Nothing but results of probes can wait until somebody wants to see them:
    /// drawing a service costs about as much as looking at it.
    fn is_looked_at(&self) -> bool {
        !self.dirty.is_only_seen() || !self.to_draw.is_empty() || self.viewers.following.load(Ordering::Relaxed) > 0
    }

    /// Answers those who waited for the disk.
    fn answer(&mut self) {
        let recorded = self.recorder.is_on();
        for (reply, key, mut answer) in std::mem::take(&mut self.waiting) {
            if let Answer::Done { recorded: told, .. } | Answer::Imported { recorded: told, .. } = &mut answer {
                *told = recorded;
            }
            if !key.is_empty() {
                self.answered.keep(key, answer.clone());
            }
            let _ = reply.send(answer);
        }
    }

    /// Entries got other numbers than they were given: everybody who holds one learns it.
    pub(super) fn renumber(&mut self, shifts: &[Shift]) {
        for Shift { from, by } in shifts.iter().copied() {
            self.state.renumber(from, by);
            self.timelines.renumber(from, by);
            for (_, _, answer) in &mut self.waiting {
                if let Answer::Done { seq, .. } | Answer::Imported { seq, .. } = answer
                    && *seq >= from
                {
                    *seq = seq.saturating_add_signed(by);
                }
            }
            self.dirty.everything = true;
        }
    }

    /// Recording came back: the entry that tells of the gap stands before those that were folded in meanwhile.
    pub(super) fn take_gap(&mut self, gap: &Entry) {
        self.state.apply_gap(gap);
        self.timelines.take(gap);
        self.dirty.everything = true;
    }

    /// Brings what is pending to disk.
    async fn commit(&mut self) {
        let was_on = self.recorder.is_on();
        if self.recorder.has_pending() {
            let shifts = self.recorder.commit(self.now()).await;
            self.renumber(&shifts);
        }
        if was_on != self.recorder.is_on() {
            self.dirty.head = true;
            self.dirty.incidents = true;
        }
        let recorded = self.recorder.is_on();
        self.timelines.write(recorded).await;
        if recorded && self.recorder.head().0 >= self.checkpoint_at {
            self.checkpoint().await;
        }
    }

    pub(super) async fn checkpoint(&mut self) {
        self.checkpoint_at = self.recorder.head().0 + 2_000;
        match self.recorder.checkpoint(self.state.clone()).await {
            Ok(true) => {}
            // The one before is still being written.
            Ok(false) => self.checkpoint_at = self.recorder.head().0 + 200,
            Err(e) => tracing::warn!("writing the checkpoint failed: {e}"),
        }
        self.save_checks().await;
    }

    /// Keeps what the checks' machines know for the next start.
    pub(super) async fn save_checks(&mut self) {
        self.save_at = self.clock.boot_ms() + SAVE_EVERY_MS;
        if self.setting_up {
            // There are none yet; what the engine before knew stays.
            return;
        }
        if self.saving.as_ref().is_some_and(|work| !work.is_finished()) {
            return;
        }
        let saved = self.schedule.save().await;
        let path = self.state_dir.join(super::start::STATE_FILE);
        let forgotten = self.redacting.forgotten();
        // A disk that is slow holds up nothing.
        self.saving = Some(tokio::task::spawn_blocking(move || {
            let bytes = serde_json::to_vec(&saved).map_err(std::io::Error::other);
            let kept = bytes.map(|mut bytes| {
                super::redact::keep_out_of(&forgotten, &mut bytes);
                bytes
            });
            if let Err(e) = kept.and_then(|bytes| crate::sys::disk::write_atomic(&path, &bytes, 0o600)) {
                tracing::warn!("writing {} failed: {e}", super::start::STATE_FILE);
            }
        }));
    }

    /// Waits until what is kept for the next start is written.
    async fn saved(&mut self) {
        if let Err(e) = self.recorder.checkpointed().await {
            tracing::warn!("writing the checkpoint failed: {e}");
        }
        if let Some(work) = self.saving.take() {
            let _ = work.await;
        }
    }

    /// Goodbye: the last entry, the checkpoint, the end of the watching. Runs go on.
    async fn finish(mut self, reason: String) -> String {
        self.record_own(None, crate::domain::event::EngineStopped { reason: reason.clone() });
        self.commit().await;
        self.answer();
        // What was resolved a moment ago is sealed by the next engine.
        self.tend_seals().await;
        self.saved().await;
        if self.recorder.is_on() {
            self.checkpoint().await;
            self.saved().await;
        }
        self.schedule.shutdown().await;
        self.catalogue.shutdown().await;
        self.recorder.close().await;
        reason
    }
}
