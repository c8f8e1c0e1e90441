//! Carrying recoveries out: their plans, the next run of the one that is open, what it waits for.
//!
//! What comes next is derived from the state at every turn ([`due`]). A run of a step is requested by an entry that names
//! the step, so that whoever reads the record knows of it whenever the engine was killed: nothing is begun twice.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::oneshot;

use super::ask::{PLAN_LIVES, make_in_time, short_id};
use super::core::{Core, Message};
use super::schedule::Observation;
use crate::domain::command::{Command, Refusal};
use crate::domain::event::{Event, RecoveryFinished, RecoveryStep, RecoveryStopped};
use crate::domain::health::{Health, Outcome};
use crate::domain::recovery::{
    Does, Due, Early, OfStep, PlannedStep, Recovery, RecoveryPlan, RecoveryState, Seen, Shown, StepState, Why,
    begun_early, due,
};
use crate::domain::run::Risk;
use crate::domain::{Actor, Time};
use crate::recovery::plan::{PlanContext, Planned, essence};
use crate::text;
use crate::wire::{Answer, RecoveryView, folded};

/// Plans of recoveries that wait to be started.
const PLANS: usize = 16;
/// Successes of a check that are remembered; no check needs more in a row.
const STREAK: usize = 64;
/// The digest of a step that could not be planned when its recovery was confirmed: no plan has it.
const UNPLANNED: &str = "unplanned";

/// What the engine knows of recoveries beside the state: nothing that must outlive it.
#[derive(Debug, Default)]
pub struct Recovering {
    plans: VecDeque<RecoveryPlan>,
    /// A plan that is being made, and for which try.
    planning: Option<(OfStep, u32)>,
    /// When the last successful probes in a row were begun, by service and check; kept while a recovery is open.
    oks: HashMap<(String, String), VecDeque<Time>>,
    open: bool,
}

impl Recovering {
    /// The clock was stepped: moments before and after are not to be compared. Successes are counted anew.
    pub fn forget(&mut self) {
        self.oks.clear();
    }

    pub fn take(&mut self, seen: &Observation) {
        if !self.open || seen.result.outcome == Outcome::Skipped {
            return;
        }
        let oks = self.oks.entry((seen.service.to_string(), seen.check.to_string())).or_default();
        match seen.result.outcome {
            Outcome::Ok => {
                oks.push_back(seen.at.minus(Duration::from_micros(seen.result.took_us)));
                while oks.len() > STREAK {
                    oks.pop_front();
                }
            }
            _ => oks.clear(),
        }
    }
}

/// The recovery that an event began or is about.
pub fn about(event: &Event) -> Option<String> {
    match event {
        Event::RecoveryStarted(e) => Some(e.plan.id.clone()),
        Event::RecoveryStep(e) => Some(e.recovery.clone()),
        Event::RecoveryStopped(e) => Some(e.recovery.clone()),
        Event::RecoveryResumed(e) => Some(e.recovery.clone()),
        Event::RecoverySkipped(e) => Some(e.recovery.clone()),
        Event::RecoveryFinished(e) => Some(e.recovery.clone()),
        _ => None,
    }
}

impl Core {
    /// Plans every step at once, each as a run of its own would be.
    pub(super) fn plan_recovery(&mut self, name: &str, reply: oneshot::Sender<Answer>) {
        let Some(configured) = self.config.recoveries.iter().find(|r| r.name == name) else {
            let known: Vec<&str> = self.config.recoveries.iter().map(|r| r.name.as_str()).collect();
            let instead = match known.is_empty() {
                true => "none is configured: add a [[recovery]]".to_owned(),
                false => format!("there are {}", known.join(", ")),
            };
            let refusal = Refusal::usage(format!("there is no recovery \"{}\"", text::clean(name)), instead);
            let _ = reply.send(Answer::Refused(refusal));
            return;
        };
        let mut plan = RecoveryPlan {
            id: short_id(),
            made_at: self.now(),
            name: configured.name.clone(),
            title: configured.title.clone(),
            kind: configured.kind.clone().unwrap_or_default(),
            risk: Risk::Observe,
            target: String::new(),
            steps: configured.steps.iter().map(|s| PlannedStep { spec: s.clone(), runs: Vec::new() }).collect(),
            blocked: Vec::new(),
        };
        let system = self.config.system.name.clone();
        let contexts: Vec<PlanContext> = plan.steps.iter().map(|_| self.plan_context()).collect();
        let (inbox, mask) = (self.inbox.clone(), self.mask.clone());
        tokio::spawn(async move {
            let makes = plan.steps.iter().zip(&contexts).map(|(step, ctx)| async move {
                match step.spec.does.work() {
                    Some(work) => Some(make_in_time(ctx, &work).await),
                    None => None,
                }
            });
            let made = futures_util::future::join_all(makes).await;
            let mut first = true;
            for (number, (step, made)) in plan.steps.iter_mut().zip(made).enumerate() {
                let Some(made) = made else { continue };
                let failing = shown_of(step, made, &mask);
                if let Some(why) = failing.filter(|_| first) {
                    plan.blocked.push(format!("step {} ({}): {why}", number + 1, step.spec.does.title()));
                }
                first = false;
            }
            confirmation_of(&mut plan, &system);
            let _ = inbox.send(Message::RecoveryPlanned { made: Box::new(Ok(plan)), reply }).await;
        });
    }

    pub(super) fn take_recovery_plan(&mut self, made: Result<RecoveryPlan, Refusal>, reply: oneshot::Sender<Answer>) {
        let answer = match made {
            Ok(mut plan) => {
                plan.steps.iter_mut().for_each(|step| self.name_head_start(step));
                self.recovering.plans.push_back(plan.clone());
                while self.recovering.plans.len() > PLANS {
                    self.recovering.plans.pop_front();
                }
                Answer::Recovery(Box::new(plan))
            }
            Err(refusal) => Answer::Refused(refusal),
        };
        let _ = reply.send(answer);
    }

    /// What a head start has done of a step already is told where its checks are.
    fn name_head_start(&self, step: &mut PlannedStep) {
        let said = match begun_early(&self.state, step) {
            Some(Early::Ready(run)) => {
                format!("NOTE head start: run {} has this copy ready: the step only cuts it over", run.id())
            }
            Some(Early::UnderWay(run)) => {
                format!("NOTE head start: run {} restores this copy already: the step waits for it", run.id())
            }
            None => return,
        };
        if let Some(shown) = step.runs.first_mut() {
            shown.checks.retain(|check| !check.starts_with("WARN restored already"));
            shown.checks.push(said);
        }
    }

    /// The name of a recovery whose plan waits to be started.
    pub(super) fn planned_recovery(&self, id: &str) -> Option<String> {
        self.recovering.plans.iter().find(|p| p.id == id).map(|p| p.name.clone())
    }

    pub(super) fn start_recovery(
        &mut self,
        actor: Actor,
        key: String,
        id: &str,
        confirm: String,
        reason: String,
        reply: oneshot::Sender<Answer>,
    ) {
        let now = self.now();
        let known = self.recovering.plans.iter().find(|p| p.id == id).cloned();
        let Some(plan) = known.filter(|p| now.since(p.made_at) <= PLAN_LIVES) else {
            let refusal = Refusal::new(
                "this engine does not know that plan, or it is too old, so nothing was started",
                "make the plan again",
            );
            let _ = reply.send(Answer::Refused(refusal));
            return;
        };
        if !self.recorder.is_on() {
            let refusal = Refusal::new(
                "nothing is being recorded right now, and a recovery goes by its record",
                "mend the disk first, or run the steps one by one with --unlogged unlogged",
            );
            let _ = reply.send(Answer::Refused(refusal));
            return;
        }
        let title = format!("recover {}", plan.name);
        match self.decided(&actor, Command::Recover { plan: Box::new(plan), confirm, reason }) {
            Ok(decided) => {
                self.recovering.plans.retain(|p| p.id != id);
                let asked = decided.iter().find_map(|one| super::approve::requested(&one.event));
                let (mut seq, mut incident) = (self.state.seq, None);
                for one in decided {
                    incident = one.incident.clone();
                    seq = self.record(actor.clone(), one.incident, one.event);
                }
                if let Some(id) = asked {
                    let answer = self.asked_for(&id);
                    self.waiting.push((reply, key, answer));
                    return;
                }
                let recovery = Some(id.to_owned());
                let done = Answer::Done { seq, incident, run: None, message: None, recovery, recorded: true };
                self.waiting.push((reply, key, done));
            }
            Err(refusal) => self.refuse(actor, title, refusal, reply),
        }
    }

    /// Brings the open recovery on, as far as that is due.
    pub(super) fn reconcile_recovery(&mut self) {
        let Some(recovery) = self.state.open_recovery().cloned() else {
            if self.state.active_playbook().is_some() {
                // Successes are counted for what a playbook waits for too.
                self.recovering.open = true;
            } else if self.recovering.open {
                self.recovering.open = false;
                self.recovering.oks.clear();
            }
            return;
        };
        self.recovering.open = true;
        // What cannot be recorded does not go on.
        if !self.recorder.is_on() {
            return;
        }
        let title = || recovery.current().map(|(s, _)| s.spec.does.title()).unwrap_or_default();
        let incident = recovery.incident.clone();
        let id = recovery.id().to_owned();
        match self.due_of(&recovery) {
            Due::Nothing => {}
            Due::Begin => {
                let (step, state) = (recovery.step, StepState::UnderWay);
                let event = RecoveryStep { recovery: id, step, title: title(), state, detail: String::new() };
                self.record_own(incident, event);
                if let Some((step, _)) = recovery.current()
                    && let Does::Healthy { services } = &step.spec.does
                {
                    services.iter().for_each(|s| self.schedule.probe_now(s));
                }
            }
            Due::Plan { part, work } => {
                let attempt = recovery.current().map_or(0, |(_, record)| record.attempts);
                let of = OfStep { recovery: id, step: recovery.step, part };
                // Before the set-up is done secrets are not known, and copies are not listed yet.
                if self.setting_up || self.recovering.planning == Some((of.clone(), attempt)) {
                    return;
                }
                self.recovering.planning = Some((of.clone(), attempt));
                let (ctx, inbox) = (self.plan_context(), self.inbox.clone());
                tokio::spawn(async move {
                    let made = Box::new(make_in_time(&ctx, &work).await);
                    let _ = inbox.send(Message::StepPlanned { of, attempt, made }).await;
                });
            }
            Due::Good { detail } => {
                let (step, state) = (recovery.step, StepState::Good);
                self.record_own(incident, RecoveryStep { recovery: id, step, title: title(), state, detail });
            }
            Due::Stop { why, detail } => self.stop_recovery(&recovery, why, detail, None),
            Due::Finish => {
                let skipped = recovery.skipped();
                let event = RecoveryFinished { recovery: id, complete: true, skipped, reason: String::new() };
                self.record_own(incident, event);
            }
        }
    }

    fn due_of(&self, recovery: &Recovery) -> Due {
        due(&self.state, recovery, self.now(), &|service, since| self.seen_since(service, since))
    }

    fn stop_recovery(&mut self, recovery: &Recovery, why: Why, detail: String, now: Option<Shown>) {
        let title = recovery.current().map(|(s, _)| s.spec.does.title()).unwrap_or_default();
        let detail = self.mask.apply(&detail).into_owned();
        let event =
            RecoveryStopped { recovery: recovery.id().to_owned(), step: recovery.step, title, why, detail, now };
        self.record_own(recovery.incident.clone(), event);
    }

    /// The plan of a step is there: it is started if it is the one that was confirmed.
    pub(super) fn take_step_plan(&mut self, of: OfStep, attempt: u32, made: Result<Planned, Refusal>) {
        self.recovering.planning = None;
        let Some(recovery) = self.state.open_recovery().cloned() else { return };
        let Some((step, record)) = recovery.current() else { return };
        let wanted = recovery.id() == of.recovery && recovery.step == of.step && record.attempts == attempt;
        let due = matches!(self.due_of(&recovery), Due::Plan { part, .. } if part == of.part);
        if !wanted || !due || !self.recorder.is_on() {
            return;
        }
        let planned = match made {
            Ok(planned) => planned,
            Err(refusal) => return self.stop_recovery(&recovery, Why::Blocked, refusal.to_string(), None),
        };
        let (mut plan, secrets) = (planned.plan, planned.secrets);
        self.mask_plan(&mut plan);
        if let Some(b) = plan.blockers().next() {
            let detail = format!("{}: {}", b.name, b.detail);
            return self.stop_recovery(&recovery, Why::Blocked, detail, None);
        }
        let now = masked(Shown::of(&plan, essence(&plan)), &self.mask);
        let confirmed = step.runs.get(of.part).cloned().unwrap_or_default();
        if !confirmed.covers(&now) {
            let detail = format!("this is not what was confirmed: {}", difference(&confirmed, &now));
            return self.stop_recovery(&recovery, Why::Changed, detail, Some(now));
        }
        let reason =
            format!("step {} of recovery {}, confirmed by {}", of.step + 1, recovery.plan.name, recovery.started_by);
        let actor = Actor { via: recovery.via(), ..Actor::engine() };
        let (id, confirm) = (plan.id.clone(), plan.target.clone());
        let command = Command::Run { plan: Box::new(plan), confirm, reason, unlogged: false };
        match self.decided(&actor, command) {
            Ok(decided) => {
                self.runs.keep_secrets(&id, secrets);
                for mut one in decided {
                    if let Event::RunRequested(e) = &mut one.event {
                        e.recovery = Some(of.clone());
                    }
                    self.record(actor.clone(), one.incident, one.event);
                }
            }
            Err(refusal) => self.stop_recovery(&recovery, Why::Blocked, refusal.to_string(), None),
        }
    }

    /// Whether a service was seen up since a moment, by as many successes of each check as it takes to be called up.
    pub(super) fn seen_since(&self, service: &str, since: Time) -> Seen {
        let Some(config) = self.places.get(service).and_then(|i| self.config.services.get(*i)) else {
            return Seen::Not(format!("{service} is not configured any more"));
        };
        if config.checks.is_empty() {
            return Seen::Unwatched;
        }
        let state = self.board.service(service).map(|s| (s.state, s.detail.clone())).unwrap_or_default();
        if state.0 != Health::Up {
            let why = if state.1.is_empty() { String::new() } else { format!(" ({})", state.1) };
            return Seen::Not(format!("{service} is {}{why}", state.0.word()));
        }
        for check in &config.checks {
            let key = (service.to_owned(), check.name.clone());
            let oks = self.recovering.oks.get(&key).map_or(0, |oks| oks.iter().filter(|at| **at >= since).count());
            let wanted = usize::try_from(check.timing.up_after).unwrap_or(1).clamp(1, STREAK);
            if oks < wanted {
                return Seen::Not(format!("{service}: {oks} of {wanted} successes of {}", check.name));
            }
        }
        Seen::Up
    }

    pub(super) fn recovery_view(&self, recovery: &Recovery, now: Time) -> RecoveryView {
        let mut view = folded::recovery(&self.state, recovery, now, &|service, since| self.seen_since(service, since));
        if recovery.state == RecoveryState::UnderWay && !self.recorder.is_on() {
            view.waits = "nothing is being recorded: it goes on when that works again".into();
        }
        view
    }
}

/// Takes what planning gave into the step. `Some`: why it could not start now.
fn shown_of(step: &mut PlannedStep, made: Result<Planned, Refusal>, mask: &text::Mask) -> Option<String> {
    let (why, shown) = match made {
        Ok(planned) => {
            let why = planned.plan.blockers().next().map(|b| format!("{}: {}", b.name, b.detail));
            (why, Shown::of(&planned.plan, essence(&planned.plan)))
        }
        Err(refusal) => {
            let shown = Shown {
                title: step.spec.does.title(),
                risk: Risk::Disruptive,
                digest: UNPLANNED.into(),
                checks: vec![format!("FAIL plan: {refusal}")],
                ..Shown::default()
            };
            (Some(refusal.to_string()), shown)
        }
    };
    let shown = masked(shown, mask);
    let target = shown.target.clone();
    step.runs.push(shown);
    if matches!(step.spec.does, Does::Restore { .. }) {
        step.runs.push(Shown {
            title: format!("put the restored copy in the place of {target}"),
            target,
            risk: Risk::Destructive,
            ..Shown::default()
        });
    }
    why.map(|why| mask.apply(&why).into_owned())
}

fn masked(mut shown: Shown, mask: &text::Mask) -> Shown {
    for text in shown.commands.iter_mut().chain(&mut shown.checks) {
        *text = mask.apply(text).into_owned();
    }
    shown
}

/// The worst risk, and what is typed for it.
fn confirmation_of(plan: &mut RecoveryPlan, system: &str) {
    let runs = || plan.steps.iter().flat_map(|s| &s.runs);
    plan.risk = runs().map(|r| r.risk).max().unwrap_or(Risk::Observe);
    let mut targets: Vec<&str> =
        runs().filter(|r| r.risk == Risk::Destructive).map(|r| r.target.as_str()).filter(|t| !t.is_empty()).collect();
    targets.sort_unstable();
    targets.dedup();
    plan.target = match targets.as_slice() {
        [one] => (*one).to_owned(),
        _ if system.is_empty() => plan.name.clone(),
        _ => system.to_owned(),
    };
}

/// What differs between what was confirmed and what would be done now.
fn difference(confirmed: &Shown, now: &Shown) -> String {
    if confirmed.digest == UNPLANNED {
        return format!("it could not be planned then; now {}", now.title);
    }
    if confirmed.copy != now.copy {
        let of = |copy: &Option<String>| copy.clone().unwrap_or_else(|| "none".into());
        return format!("copy {} was shown, now it is {}", of(&confirmed.copy), of(&now.copy));
    }
    if confirmed.target != now.target || confirmed.title != now.title {
        return format!(
            "\"{}\" on {} was shown, now it is \"{}\" on {}",
            confirmed.title, confirmed.target, now.title, now.target
        );
    }
    if confirmed.risk != now.risk {
        return format!("it was {}, now it is {}", confirmed.risk.word(), now.risk.word());
    }
    "its commands or checks are others".into()
}
