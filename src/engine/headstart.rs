//! Carrying head starts out: the plan of what [`due`](headstart::due) says, and its request or why there is none.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::ask::make_in_time;
use super::core::{Core, Message};
use crate::config::Restore;
use crate::domain::Actor;
use crate::domain::authority;
use crate::domain::command::{Command, Refusal};
use crate::domain::decide::decide;
use crate::domain::event::{Event, HeadStartWithheld, RunCancelRequested};
use crate::domain::headstart::{self, Due};
use crate::domain::run::{Checked, Plan, Risk, Work};
use crate::recovery::plan::{PlanContext, Planned};
use crate::wire::{Answer, Ask};

/// A person's run that a head start gives way to is tried again after this.
const SOON: Duration = Duration::from_millis(200);

/// One that is being planned: incident, backup, and the run to drop, if that is what is planned.
pub type Planning = (String, String, Option<String>);

/// What the engine knows of head starts beside the state: nothing that must outlive it.
#[derive(Debug, Default)]
pub struct HeadStarts {
    planning: BTreeSet<Planning>,
}

impl Core {
    /// Begins what is due, as far as it can be recorded.
    pub(super) fn reconcile_head_starts(&mut self) {
        // Before the set-up is done secrets are not known, and copies are not listed yet.
        if !self.recorder.is_on() || self.setting_up {
            return;
        }
        for due in headstart::due(&self.state) {
            match due {
                Due::Begin { incident, backup } => {
                    if self.reports.contains_key(&backup) {
                        let work =
                            Work::Restore { backup: backup.clone(), copy: None, test: false, to: None, only: vec![] };
                        self.plan_head_start((incident, backup, None), work);
                    }
                }
                Due::Withhold { incident, backup, why } => self.withhold(incident, backup, why),
                Due::Cancel { incident, run } => {
                    let reason = format!("{incident} is closed, and this head start was not used");
                    self.record(via(&incident), Some(incident), RunCancelRequested { run, reason });
                }
                Due::Drop { incident, backup, run } => {
                    self.plan_head_start((incident, backup, Some(run.clone())), Work::Drop { of: run });
                }
            }
        }
    }

    fn plan_head_start(&mut self, of: Planning, work: Work) {
        if !self.headstarts.planning.insert(of.clone()) {
            return;
        }
        let (ctx, inbox) = (gentle(self.plan_context(), &of.1), self.inbox.clone());
        tokio::spawn(async move {
            let made = Box::new(make_in_time(&ctx, &work).await);
            let _ = inbox.send(Message::HeadStartPlanned { of, made }).await;
        });
    }

    /// The plan is there: it is started if it is still due and nothing stands against it.
    pub(super) fn take_head_start(&mut self, of: Planning, made: Result<Planned, Refusal>) {
        self.headstarts.planning.remove(&of);
        let (incident, backup, dropping) = of;
        let still = headstart::due(&self.state).into_iter().any(|due| match due {
            Due::Begin { incident: i, backup: b } => dropping.is_none() && i == incident && b == backup,
            Due::Drop { run, .. } => dropping.as_ref() == Some(&run),
            _ => false,
        });
        if !still || !self.recorder.is_on() {
            return;
        }
        let planned = match made {
            Ok(planned) => planned,
            Err(refusal) => return self.withhold(incident, backup, refusal.to_string()),
        };
        let (mut plan, secrets) = (planned.plan, planned.secrets);
        self.mask_plan(&mut plan);
        plan.gentle = dropping.is_none();
        if let Some(why) = self.against_head_start(&plan, dropping.is_some()) {
            return self.withhold(incident, backup, why);
        }
        let actor = via(&incident);
        let reason = match dropping {
            None => format!("head start: {incident} names {}", plan.service.as_deref().unwrap_or("it")),
            Some(_) => format!("{incident} is closed, and this head start was not used"),
        };
        let (id, confirm) = (plan.id.clone(), plan.target.clone());
        match self.decided(&actor, Command::Run { plan: Box::new(plan), confirm, reason, unlogged: false }) {
            Ok(decided) => {
                self.runs.keep_secrets(&id, secrets);
                for mut one in decided {
                    if let Event::RunRequested(e) = &mut one.event {
                        e.head_start = true;
                    }
                    self.record(actor.clone(), Some(incident.clone()), one.event);
                }
            }
            Err(refusal) => self.withhold(incident, backup, refusal.to_string()),
        }
    }

    /// What keeps a plan from beginning by itself, beside what keeps anybody from starting it.
    fn against_head_start(&self, plan: &Plan, dropping: bool) -> Option<String> {
        if let Some(b) = plan.blockers().next() {
            return Some(format!("{}: {}", b.name, b.detail));
        }
        if let Some(why) = authority::second_person(&self.state, plan) {
            return Some(format!("a second person is needed: {why}"));
        }
        if dropping {
            return None;
        }
        if plan.risk == Risk::Destructive {
            return Some("it would touch the live data".into());
        }
        // A person may judge that a disk that is not known to suffice will do. Nobody is asked here.
        let disk = plan.preconditions.iter().find(|p| p.name.starts_with("disk") && p.result == Checked::Warned);
        disk.map(|d| format!("{}: {}", d.name, d.detail))
    }

    /// The head start under way that is all that keeps a person's run from starting; but for another restore of the same,
    /// which it does already.
    pub(super) fn in_its_way(&self, actor: &Actor, command: &Command) -> Option<String> {
        let Command::Run { plan, .. } = command else { return None };
        let holder = self.state.holder(&plan.holds).filter(|r| r.head_start && !actor.is_engine())?;
        if plan.work.verb() == holder.plan.work.verb() && plan.work.object() == holder.plan.work.object() {
            return None;
        }
        let mut without = self.state.clone();
        without.runs.remove(holder.id());
        let ctx = self.context(actor.clone());
        decide(&without, command.clone(), &ctx).is_ok().then(|| holder.id().to_owned())
    }

    /// Ends the head start, and asks again until it is over: what nobody asked for never holds up what somebody did.
    pub(super) fn give_way(
        &mut self,
        actor: Actor,
        key: String,
        run: &str,
        to: &str,
        ask: Ask,
        reply: oneshot::Sender<Answer>,
    ) {
        if let Some(known) = self.state.runs.get(run).filter(|r| !r.cancel_requested) {
            let reason = format!("the head start gives way to: {to}");
            let incident = known.incident.clone();
            self.record(actor.clone(), incident, RunCancelRequested { run: run.to_owned(), reason });
        }
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            tokio::time::sleep(SOON).await;
            let _ = inbox.send(Message::Ask { actor, key, ask, reply }).await;
        });
    }

    fn withhold(&mut self, incident: String, backup: String, why: String) {
        let why = self.mask.apply(&why).into_owned();
        self.record(via(&incident), Some(incident), HeadStartWithheld { backup, why });
    }
}

fn via(incident: &str) -> Actor {
    Actor { via: format!("head start {incident}"), ..Actor::engine() }
}

/// The same context, with one job instead of as many as there are cores.
fn gentle(mut ctx: PlanContext, backup: &str) -> PlanContext {
    let of = |b: &&mut crate::config::Backup| b.name == backup;
    let config = Arc::make_mut(&mut ctx.config);
    if let Some(Restore::PostgresDump(p)) = config.backups.iter_mut().find(of).and_then(|b| b.restore.as_mut()) {
        p.jobs = Some(1);
    }
    ctx
}
