//! Answering: commands, plans, drafts, looks.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;

use super::answered::{KEY, recordable, whose};
use super::core::{Core, Message, PLANS};
use super::drafts::Drafting;
use crate::domain::Actor;
use crate::domain::command::{Command, Context, Refusal};
use crate::domain::decide::{Decided, decide};
use crate::domain::event::{CommandRefused, Event, IncidentOnset};
use crate::domain::handoff;
use crate::domain::message::Template;
use crate::domain::run::{Plan, Work};
use crate::recovery::plan::{PlanContext, Planned, digest, make};
use crate::text;
use crate::wire::{Answer, Ask, EngineStatus};

/// A plan looks at the world; after this long it would have to look again.
pub(super) const PLAN_LIVES: Duration = Duration::from_secs(600);
/// Longest time for making a plan.
const PLANNING: Duration = Duration::from_secs(90);
/// How long a just started engine lets a question about a backup set wait until that is listed, and how often it looks.
const LISTED_WITHIN: Duration = Duration::from_secs(5);
const LISTED_SOON: Duration = Duration::from_millis(50);

impl Core {
    pub(super) fn ask(&mut self, actor: Actor, key: String, ask: Ask, reply: oneshot::Sender<Answer>) {
        if key.len() > KEY {
            let reason = format!("the request's key has more than {KEY} bytes");
            let _ = reply.send(Answer::Failed { reason });
            return;
        }
        let actor = Actor { key: recordable(&key), ..actor };
        let key = whose(&actor, &key);
        if !key.is_empty() {
            if let Some(before) = self.answered.get(&key) {
                let _ = reply.send(before.clone());
                return;
            }
            // The same request waits for the disk right now: it was sent again over a new connection.
            if let Some((_, _, answer)) = self.waiting.iter().find(|(_, k, _)| *k == key) {
                let answer = answer.clone();
                self.waiting.push((reply, String::new(), answer));
                return;
            }
        }
        let (step, ask) = match ask {
            Ask::Step { playbook, ask } => (Some(playbook), *ask),
            ask => (None, ask),
        };
        if let Some(playbook) = step {
            return self.ask_for_step(actor, key, &playbook, ask, reply);
        }
        if self.is_too_early(&ask) {
            let inbox = self.inbox.clone();
            tokio::spawn(async move {
                tokio::time::sleep(LISTED_SOON).await;
                let _ = inbox.send(Message::Ask { actor, key: String::new(), ask, reply }).await;
            });
            return;
        }
        self.answer_ask(actor, key, ask, reply);
    }

    pub(super) fn answer_ask(&mut self, actor: Actor, key: String, ask: Ask, reply: oneshot::Sender<Answer>) {
        match ask {
            Ask::Do(command) => self.command(actor, key, command, reply),
            Ask::Start { plan, confirm, reason, unlogged } => {
                self.start_plan(actor, key, &plan, confirm, reason, unlogged, reply);
            }
            Ask::Plan(work) => self.plan(work, reply),
            Ask::PlanRecovery { name } => self.plan_recovery(&name, reply),
            Ask::Recover { plan, confirm, reason } => self.start_recovery(actor, key, &plan, confirm, reason, reply),
            Ask::Playbook { name } => {
                let _ = reply.send(self.playbook_text(&name));
            }
            Ask::Checklists => {
                let lists = self.config.all_checklists().into_iter().cloned().collect();
                let _ = reply.send(Answer::Checklists(lists));
            }
            Ask::Copies { backup } => {
                let _ = reply.send(match self.reports.get(&backup) {
                    Some(report) => Answer::Copies { copies: report.judged.copies.clone() },
                    None => Answer::Refused(Refusal::usage(
                        format!("there is no backup set \"{backup}\", or it was not looked at yet"),
                        "mayday backups lists them",
                    )),
                });
            }
            Ask::Refresh { service, backup } => {
                match (&service, &backup) {
                    (Some(name), _) => self.schedule.probe_now(name),
                    (None, Some(name)) => self.catalogue.rescan(name),
                    (None, None) => {
                        let services: Vec<String> = self.state.catalog.services.keys().cloned().collect();
                        services.iter().for_each(|s| self.schedule.probe_now(s));
                        let sets: Vec<String> = self.state.catalog.backups.keys().cloned().collect();
                        sets.iter().for_each(|s| self.catalogue.rescan(s));
                    }
                }
                let _ = reply.send(Answer::Ok);
            }
            Ask::Draft { template, incident } => {
                let drafting = self.drafting(Some(self.state_dir.clone()));
                tokio::task::spawn_blocking(move || {
                    let _ = reply.send(drafting.draft(template, incident.as_deref()));
                });
            }
            Ask::Capsule { incident } => {
                let _ = reply.send(self.capsule(incident.as_deref()));
            }
            // That the connection says so is what counts: see the session.
            Ask::ShellRuns { .. } => {
                let _ = reply.send(Answer::Ok);
            }
            Ask::ShellOutput { id, text, first } => self.keep_shell_output(&actor, &id, &text, first, reply),
            Ask::Redact(ask) => self.redact(actor, ask, reply),
            Ask::Status => {
                let _ = reply.send(Answer::Status(Box::new(self.status())));
            }
            Ask::Reload => match self.may_manage(&actor, "reading the configuration again") {
                Ok(()) => self.reload(true, Some(reply)),
                Err(refusal) => self.refuse(actor, "read the configuration again".into(), refusal, reply),
            },
            Ask::Stop => {
                if let Err(refusal) = self.may_manage(&actor, "stopping the engine") {
                    return self.refuse(actor, "stop the engine".into(), refusal, reply);
                }
                self.stopping = Some(format!("asked by {}", actor.user));
                self.waiting.push((reply, key, Answer::Ok));
            }
            Ask::Evidence(ask) => self.keep_evidence(actor, key, ask, reply),
            // Answered by the session itself.
            Ask::Step { .. }
            | Ask::Follow
            | Ask::Picture
            | Ask::Timeline(_)
            | Ask::Find(_)
            | Ask::Upload { .. }
            | Ask::Output { .. } => {
                let _ = reply.send(Answer::Failed { reason: "the engine's parts disagree about this request".into() });
            }
        }
    }

    pub(super) fn context(&self, actor: Actor) -> Context {
        Context { now: self.now(), boot_ms: self.clock.boot_ms(), boot: self.boot.clone(), actor, fresh: short_id() }
    }

    /// Known secrets are masked before anything is made of what a person wrote.
    fn masked(&self, mut command: Command) -> Command {
        for words in command.words_mut() {
            if let std::borrow::Cow::Owned(masked) = self.mask.apply(words) {
                *words = masked;
            }
        }
        command
    }

    pub(super) fn command(&mut self, actor: Actor, key: String, command: Command, reply: oneshot::Sender<Answer>) {
        if matches!(command, Command::Run { .. } | Command::Recover { .. }) {
            let refusal = Refusal::usage("a run or a recovery is started by its plan's id", "make a plan first");
            let _ = reply.send(Answer::Refused(refusal));
            return;
        }
        if self.recorder.is_full() {
            let reason = "nothing can be recorded, and the memory for what is kept meanwhile is used up: \
                          mend the journal's disk, then ask again";
            let _ = reply.send(Answer::Failed { reason: reason.into() });
            return;
        }
        let command = self.with_text(self.masked(command));
        let title = command.title();
        let lines = match &command {
            Command::Import { lines, incident, .. } => Some((lines.len(), incident.clone())),
            _ => None,
        };
        match self.decided(&actor, command) {
            Ok(decided) => {
                let new = decided.len();
                let (mut seq, mut incident, mut message) = (self.state.seq, None, None);
                let (mut recovery, mut run) = (None, None);
                for one in decided {
                    incident = one.incident.clone().or(incident);
                    if let Event::RunRequested(e) = &one.event {
                        run = Some(e.plan.id.clone());
                    }
                    recovery = super::recover::about(&one.event).or(recovery);
                    if let Event::MessageQueued(e) = &one.event {
                        message = Some(e.id.clone());
                    }
                    let declared = matches!(one.event, Event::IncidentDeclared(_));
                    let broken = match &one.event {
                        Event::GlassBroken(e) => Some(e.clone()),
                        _ => None,
                    };
                    self.before_effects(&one.event);
                    self.approval_effects(&one.event);
                    seq = self.record(actor.clone(), one.incident.clone(), one.event);
                    if let Some(broken) = broken {
                        self.tell_of_glass(&actor, one.incident.as_ref(), &broken);
                    }
                    if declared && let Some(id) = one.incident {
                        self.after_declaring(&id);
                    }
                }
                let done = match lines {
                    Some((all, named)) => {
                        let incident = incident.or(named).unwrap_or_default();
                        Answer::Imported { incident, new, known: all - new, seq, recorded: true }
                    }
                    None => Answer::Done { seq, incident, run, message, recovery, recorded: true },
                };
                self.waiting.push((reply, key, done));
            }
            Err(refusal) => self.refuse(actor, title, refusal, reply),
        }
    }

    /// What a command leads to now, or why not.
    pub(super) fn decided(&self, actor: &Actor, command: Command) -> Result<Vec<Decided>, Refusal> {
        decide(&self.state, self.masked(command), &self.context(actor.clone()))
    }

    pub(super) fn refuse(&mut self, actor: Actor, asked: String, refusal: Refusal, reply: oneshot::Sender<Answer>) {
        if !refusal.usage {
            let incident = self.state.open_incidents().first().map(|i| i.id.clone());
            self.record(actor, incident, CommandRefused { asked, reason: refusal.reason.clone() });
        }
        let _ = reply.send(Answer::Refused(refusal));
    }

    /// Parts of the engine that hold state of their own follow an event.
    fn before_effects(&mut self, event: &Event) {
        match event {
            Event::ServicePaused(e) => {
                let now = self.now();
                let _ = self.board.pause(&e.service, now);
                self.schedule.pause(&e.service);
            }
            Event::ServiceResumed(e) => {
                let now = self.now();
                let _ = self.board.resume(&e.service, now);
                self.schedule.resume(&e.service);
            }
            _ => {}
        }
    }

    /// The onset by the probes, and the alerts that go out by themselves.
    fn after_declaring(&mut self, id: &str) {
        let Some(incident) = self.state.incidents.get(id) else { return };
        if incident.onset.is_none()
            && let Some((onset, why)) = self.onset_of(incident)
        {
            self.record_own(Some(id.to_owned()), IncidentOnset { onset, why });
        }
        let channels: Vec<String> = self
            .config
            .channels
            .iter()
            .filter(|c| c.auto.iter().any(|a| a == "declared"))
            .map(|c| c.name.clone())
            .collect();
        if channels.is_empty() {
            return;
        }
        if let Answer::Draft { subject, body, .. } = self.drafting(None).draft(Template::Initial, Some(id)) {
            let event = crate::domain::event::MessageQueued {
                id: format!("m-{}", short_id()),
                template: Template::Initial,
                subject,
                body,
                channels,
                automatic: true,
            };
            self.record_own(Some(id.to_owned()), event);
        }
    }

    /// What planning may know, for one plan.
    pub(super) fn plan_context(&self) -> PlanContext {
        let now = self.now();
        PlanContext {
            config: self.config.clone(),
            now,
            run_id: short_id(),
            copies: self.reports.iter().map(|(name, r)| (name.clone(), r.judged.copies.clone())).collect(),
            runs: self.state.runs_in_order().cloned().collect(),
            down_ms: self
                .state
                .services
                .iter()
                .filter_map(|(n, r)| r.down_since.map(|at| (n.clone(), now.since(at).as_millis() as u64)))
                .collect(),
            state_dir: self.state_dir.clone(),
            tool_path: None,
        }
    }

    /// It is about a backup set that this engine, just started, has not listed yet: it is looked at again in a moment.
    fn is_too_early(&self, ask: &Ask) -> bool {
        let (Ask::Plan(Work::Restore { backup, .. }) | Ask::Copies { backup }) = ask else { return false };
        !self.reports.contains_key(backup)
            && self.config.backups.iter().any(|b| b.name == *backup)
            && self.now().since(self.started_at) < LISTED_WITHIN
    }

    fn plan(&mut self, work: Work, reply: oneshot::Sender<Answer>) {
        let ctx = self.plan_context();
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            let made = make_in_time(&ctx, &work).await;
            let _ = inbox.send(Message::Planned { made: Box::new(made), reply }).await;
        });
    }

    pub(super) fn take_plan(&mut self, made: Result<Planned, Refusal>, reply: oneshot::Sender<Answer>) {
        let answer = match made {
            Ok(mut planned) => {
                self.mask_plan(&mut planned.plan);
                let plan = Box::new(planned.plan.clone());
                let digest = digest(&plan);
                self.plans.push_back(planned);
                while self.plans.len() > PLANS {
                    self.plans.pop_front();
                }
                Answer::Plan { plan, digest }
            }
            Err(refusal) => Answer::Refused(refusal),
        };
        let _ = reply.send(answer);
    }

    /// What is shown of a plan never shows a known secret, whatever a tool's error text carried.
    pub(super) fn mask_plan(&self, plan: &mut Plan) {
        for p in &mut plan.preconditions {
            p.detail = self.mask.apply(&p.detail).into_owned();
        }
        for e in &mut plan.effects {
            *e = self.mask.apply(e).into_owned();
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they are the request's own fields")]
    fn start_plan(
        &mut self,
        actor: Actor,
        key: String,
        id: &str,
        confirm: String,
        reason: String,
        unlogged: bool,
        reply: oneshot::Sender<Answer>,
    ) {
        let now = self.now();
        let Some(at) = self.plans.iter().position(|p| p.plan.id == id) else {
            let refusal =
                Refusal::new("this engine does not know that plan, so nothing was started", "make the plan again");
            let _ = reply.send(Answer::Refused(refusal));
            return;
        };
        let Some(planned) = self.plans.get(at).cloned() else { return };
        let title = planned.plan.title.clone();
        if now.since(planned.plan.made_at) > PLAN_LIVES {
            self.plans.remove(at);
            let age = text::duration(now.since(planned.plan.made_at));
            let refusal =
                Refusal::new(format!("the plan is {age} old: what it looked at may have changed"), "make it again");
            let _ = reply.send(Answer::Refused(refusal));
            return;
        }
        if !self.recorder.is_on() && !unlogged {
            let refusal = Refusal::new(
                "nothing is being recorded right now",
                "type unlogged to run it all the same, or mend the disk first",
            );
            let _ = reply.send(Answer::Refused(refusal));
            return;
        }
        let unlogged = unlogged && !self.recorder.is_on();
        let plan = Box::new(planned.plan.clone());
        let again = Command::Run { plan, confirm, reason, unlogged };
        match self.decided(&actor, again.clone()) {
            Ok(decided) => {
                self.plans.remove(at);
                let asked = decided.iter().find_map(|one| super::approve::requested(&one.event));
                match &asked {
                    Some(id) => {
                        self.asking.insert(id.clone(), planned);
                    }
                    None => self.runs.keep_secrets(id, planned.secrets),
                }
                let (mut seq, mut incident) = (self.state.seq, None);
                for one in decided {
                    incident = one.incident.clone();
                    self.approval_effects(&one.event);
                    seq = self.record(actor.clone(), one.incident, one.event);
                }
                if let Some(id) = asked {
                    let answer = self.asked_for(&id);
                    self.waiting.push((reply, key, answer));
                    return;
                }
                let done = Answer::Done {
                    seq,
                    incident,
                    run: Some(id.to_owned()),
                    message: None,
                    recovery: None,
                    recorded: true,
                };
                self.waiting.push((reply, key, done));
            }
            Err(refusal) => match self.in_its_way(&actor, &again) {
                Some(run) => {
                    let Command::Run { confirm, reason, unlogged, .. } = again else { return };
                    let ask = Ask::Start { plan: id.to_owned(), confirm, reason, unlogged };
                    self.give_way(actor, key, &run, &title, ask, reply);
                }
                None => self.refuse(actor, title, refusal, reply),
            },
        }
    }

    /// How an incident stands: the one that is named, else the worst that is open, else the last.
    fn capsule(&self, named: Option<&str>) -> Answer {
        let found = match named {
            Some(id) => self.state.incidents.get(id),
            None => self
                .state
                .open_incidents()
                .first()
                .copied()
                .or_else(|| self.state.incidents.values().max_by_key(|i| i.last_seq)),
        };
        match found {
            Some(incident) => {
                let at = self.now();
                let sections = handoff::capsule(&handoff::Facts::of(&self.state, incident, at));
                Answer::Capsule { incident: incident.id.clone(), at, sections }
            }
            None => Answer::Refused(match named {
                Some(id) => Refusal::usage(format!("there is no incident \"{id}\""), "mayday incident list shows them"),
                None => Refusal::new("no incident was ever declared here", "declare one with d"),
            }),
        }
    }

    /// What messages are made from now; with a `record` also from what is written there.
    pub(super) fn drafting(&self, record: Option<std::path::PathBuf>) -> Drafting {
        Drafting {
            state: self.state.clone(),
            mask: self.mask.clone(),
            channels: self.config.channels.iter().map(|c| c.name.clone()).collect(),
            head: self.recorder.head8(),
            now: self.now(),
            record,
            level: None,
        }
    }

    pub(super) fn status(&self) -> EngineStatus {
        let (seq, head) = self.recorder.head();
        EngineStatus {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").into(),
            started_at: self.started_at,
            state_dir: self.state_dir.display().to_string(),
            config: self.config_path.as_ref().map(|p| p.display().to_string()).unwrap_or_default(),
            viewers: self.viewers.viewers.load(Ordering::Relaxed),
            checks: self.schedule.stats().checks,
            seq,
            head: head.to_owned(),
            recording: self.recorder.recording(),
        }
    }
}

/// A plan, or why there is none within the time that anybody waits for it.
pub(super) async fn make_in_time(ctx: &PlanContext, work: &Work) -> Result<Planned, Refusal> {
    tokio::time::timeout(PLANNING, make(ctx, work)).await.unwrap_or_else(|_| {
        Err(Refusal::new(
            format!("making the plan took more than {} s", PLANNING.as_secs()),
            "something it looks at does not answer: see the service's checks",
        ))
    })
}

/// Ten lower-case characters, unique enough for one host: time first, so that they sort.
pub(super) fn short_id() -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let id = uuid::Uuid::now_v7();
    let bytes = id.as_bytes();
    // 25 bits of time (about nine hours' worth of milliseconds), 25 bits of chance.
    let time = bytes.get(2..6).unwrap_or_default().iter().fold(0u64, |n, b| n << 8 | u64::from(*b)) & 0x1ff_ffff;
    let chance = bytes.get(10..14).unwrap_or_default().iter().fold(0u64, |n, b| n << 8 | u64::from(*b)) & 0x1ff_ffff;
    let mut bits = time << 25 | chance;
    let mut out = [0u8; 10];
    for slot in out.iter_mut().rev() {
        *slot = ALPHABET.get((bits & 31) as usize).copied().unwrap_or(b'0');
        bits >>= 5;
    }
    String::from_utf8_lossy(&out).into_owned()
}
