//! What people ask of recoveries, and what stands against it.

use super::due::is_live_all_the_same;
use super::{Recovery, RecoveryState, Why, place};
use crate::domain::approval::{self, Wanted};
use crate::domain::authority;
use crate::domain::command::{Command, Context, RecoveryAnswer, Refusal};
use crate::domain::decide::{Decided, Outcome, checked_reason, confirmed, first_open, one, required_reason};
use crate::domain::event::{
    RecoveryFinished, RecoveryResumed, RecoverySkipped, RecoveryStarted, RecoveryStep, RecoveryStopped,
};
use crate::domain::guard;
use crate::domain::recovery::{RecoveryPlan, StepState};
use crate::domain::run::{Risk, Run, RunState, SideRole, Verdict, Work};
use crate::domain::state::State;

/// Decides a command about recoveries. Errors: the refusal, nothing having happened.
pub fn decide(state: &State, command: Command, ctx: &Context) -> Outcome {
    match command {
        Command::Recover { plan, confirm, reason } => start(state, *plan, &confirm, &reason, ctx),
        Command::Answer { recovery, answer, reason } => {
            let recovery = find(state, recovery)?;
            let needs = authority::needs_of_recovery(&state.catalog, &recovery.plan);
            authority::allowed(state, &ctx.actor, &format!("recover {}", recovery.plan.name), needs)?;
            match answer {
                RecoveryAnswer::Resume { digest, confirm } => resume(state, recovery, &digest, &confirm, &reason, ctx),
                RecoveryAnswer::Skip => skip(state, recovery, &reason),
                RecoveryAnswer::Stop => {
                    let event = RecoveryFinished {
                        recovery: recovery.id().to_owned(),
                        complete: false,
                        skipped: recovery.skipped(),
                        reason: checked_reason(&reason)?,
                    };
                    one(recovery.incident.clone(), event)
                }
                RecoveryAnswer::Done => done(state, recovery, &reason),
                RecoveryAnswer::Failed => failed(recovery, &reason),
            }
        }
        _ => Err(Refusal::usage("this is not about a recovery", "")),
    }
}

fn start(state: &State, plan: RecoveryPlan, confirm: &str, reason: &str, ctx: &Context) -> Outcome {
    if plan.steps.is_empty() {
        return Err(Refusal::usage(format!("recovery {} has no step", plan.name), "add a [[recovery.step]]"));
    }
    if let Some(why) = plan.blocked.first() {
        return Err(Refusal::new(why.clone(), "mend that and plan again"));
    }
    confirmed(plan.risk, &format!("recover {}", plan.name), &plan.target, confirm)?;
    let second = authority::second_person_of_recovery(&state.catalog, &plan, authority::worst(state));
    let reason = checked_reason(reason)?;
    let started = start_approved(state, plan.clone(), reason.clone(), ctx)?;
    let Some(why) = second else { return Ok(started) };
    let events = approval::request(state, Wanted::Recovery(Box::new(plan)), why, reason, false, ctx);
    Ok(events.into_iter().map(|event| Decided { incident: first_open(state), event }).collect())
}

/// The start of what was confirmed, with all that stands against it but the second person.
pub fn start_approved(state: &State, plan: RecoveryPlan, reason: String, ctx: &Context) -> Outcome {
    if let Some(open) = state.open_recovery() {
        return Err(Refusal::new(
            format!("recovery {} {} at {}", open.plan.name, open.state.word(), open.place()),
            "one at a time: see mayday recover status, or end it: mayday recover stop",
        ));
    }
    if state.recoveries.contains_key(&plan.id) {
        return Err(Refusal::new(format!("recovery {} was started before", plan.id), "make a new plan"));
    }
    let title = format!("recover {}", plan.name);
    authority::allowed(state, &ctx.actor, &title, authority::needs_of_recovery(&state.catalog, &plan))?;
    for step in &plan.steps {
        let Some(work) = step.spec.does.work() else { continue };
        let what = format!("{title}: {}", step.spec.does.title());
        let risk = step.runs.iter().map(|r| r.risk).max().unwrap_or(Risk::Disruptive);
        if let Some(refusal) = state.guards.against(&work, risk, &what, &guard::touched_by(state, &work)) {
            return Err(refusal);
        }
    }
    one(first_open(state), RecoveryStarted { plan, reason })
}

fn find(state: &State, id: Option<String>) -> Result<&Recovery, Refusal> {
    let recovery = match &id {
        Some(id) => state.recoveries.get(id).ok_or_else(|| {
            Refusal::usage(format!("there is no recovery \"{id}\""), "mayday recover status shows it")
        })?,
        None => state
            .open_recovery()
            .ok_or_else(|| Refusal::new("no recovery is under way", "start one: mayday recover NAME"))?,
    };
    if !recovery.state.is_open() {
        return Err(Refusal::new(format!("recovery {} is over: {}", recovery.id(), recovery.state.word()), ""));
    }
    Ok(recovery)
}

fn title(recovery: &Recovery) -> String {
    recovery.current().map(|(step, _)| step.spec.does.title()).unwrap_or_default()
}

fn resume(state: &State, recovery: &Recovery, digest: &str, confirm: &str, reason: &str, ctx: &Context) -> Outcome {
    let (Some(halt), Some((_, record))) = (&recovery.halt, recovery.current()) else {
        return Err(Refusal::new(
            format!("recovery {} is under way at {}: there is nothing to resume", recovery.plan.name, recovery.place()),
            "",
        ));
    };
    let mut event = RecoveryResumed {
        recovery: recovery.id().to_owned(),
        step: recovery.step,
        title: title(recovery),
        again: false,
        run: None,
        part: record.part,
        vouched: false,
        accepts: None,
        reason: checked_reason(reason)?,
    };
    if let (Why::Changed, Some(now)) = (halt.why, &halt.now) {
        if digest.is_empty() || digest != now.digest {
            return Err(Refusal::new(
                format!("{} is not what was confirmed: {}", place(&recovery.plan, recovery.step), halt.detail),
                "look at what would be done now (mayday recover resume --plan), and confirm that",
            ));
        }
        confirmed(now.risk, &now.title, &now.target, confirm)?;
        if let Some(refusal) = approval::against_resuming(state, recovery, ctx) {
            return Err(refusal);
        }
        // The cut-over of a restore keeps the restore that it belongs to.
        let kept = record.run.as_ref().and_then(|id| state.runs.get(id)).filter(|run| is_ready(run));
        event.run = kept.map(|run| run.id().to_owned());
        event.part = usize::from(kept.is_some());
        event.accepts = Some(now.clone());
        return one(recovery.incident.clone(), event);
    }
    let run = record.run.as_ref().and_then(|id| state.runs.get(id));
    if let Some(run) = run.filter(|run| is_live_all_the_same(run) && !is_undone(state, &record.runs)) {
        return Err(Refusal::new(
            format!(
                "{}: its copy is live since run {}, so trying it again would lose what was written since",
                recovery.place(),
                run.id()
            ),
            "look: if it is good, mayday recover done --reason WHY; else undo the cut-over (U, or restore … --undo), then resume",
        ));
    }
    match run {
        // Under way, or ended well since: it counts on, and nothing is executed twice.
        Some(run) if !run.state.is_over() || (run.state == RunState::Succeeded && is_good(run.verdict, halt.why)) => {
            event.run = Some(run.id().to_owned());
        }
        _ => {
            event.again = true;
            // A cut-over that failed is tried again with the copy that was restored, while it is there.
            let restored = record.runs.iter().rev().filter_map(|id| state.runs.get(id)).find(|run| is_ready(run));
            event.run = restored.filter(|_| record.part == 1).map(|run| run.id().to_owned());
        }
    }
    one(recovery.incident.clone(), event)
}

/// What one of these runs put in the live place was put back.
fn is_undone(state: &State, runs: &[String]) -> bool {
    state
        .runs_in_order()
        .any(|r| matches!(&r.plan.work, Work::Undo { of } if runs.contains(of)) && r.state == RunState::Succeeded)
}

/// It restored a copy that can be cut over to.
fn is_ready(run: &Run) -> bool {
    run.state == RunState::Succeeded && run.sides.iter().any(|s| s.role == SideRole::Ready)
}

/// Whether what ended well counts on: it was seen to be good, or what is missing may be seen yet.
fn is_good(verdict: Option<Verdict>, why: Why) -> bool {
    match verdict {
        Some(Verdict::Verified) => true,
        Some(Verdict::Unverified) => why == Why::Overdue,
        _ => false,
    }
}

fn skip(state: &State, recovery: &Recovery, reason: &str) -> Outcome {
    let reason = required_reason("skipping a step", reason)?;
    if let Some(run) = under_way(state, recovery) {
        return Err(Refusal::new(
            format!("run {run} of {} is still under way", recovery.place()),
            format!("wait for it, or cancel it: mayday runs cancel {run}"),
        ));
    }
    let event =
        RecoverySkipped { recovery: recovery.id().to_owned(), step: recovery.step, title: title(recovery), reason };
    one(recovery.incident.clone(), event)
}

fn under_way(state: &State, recovery: &Recovery) -> Option<String> {
    let (_, record) = recovery.current()?;
    let run = state.runs.get(record.run.as_ref()?)?;
    (!run.state.is_over()).then(|| run.id().to_owned())
}

fn no_word(recovery: &Recovery) -> Refusal {
    let instead = match recovery.state {
        RecoveryState::Asks => "resume, skip or stop it",
        _ => "mayday sees by itself how it goes",
    };
    Refusal::new(format!("{} is not a person's to answer for", recovery.place()), instead)
}

fn done(state: &State, recovery: &Recovery, note: &str) -> Outcome {
    if !recovery.wants_word() {
        return Err(no_word(recovery));
    }
    let run = recovery.current().and_then(|(_, record)| state.runs.get(record.run.as_ref()?));
    let note = match run.is_some_and(is_live_all_the_same) {
        true => required_reason("calling good what a check speaks against", note)?,
        false => checked_reason(note)?,
    };
    let restored = recovery.current().and_then(|(_, record)| {
        let run = state.runs.get(record.run.as_ref()?)?;
        is_ready(run).then(|| run.id().to_owned())
    });
    if let Some(run) = restored {
        // The copy is vouched for; it is still to be put in the live place.
        let event = RecoveryResumed {
            recovery: recovery.id().to_owned(),
            step: recovery.step,
            title: title(recovery),
            again: false,
            run: Some(run),
            part: 0,
            vouched: true,
            accepts: None,
            reason: note,
        };
        return one(recovery.incident.clone(), event);
    }
    let detail = if note.is_empty() { "said to be done".to_owned() } else { note };
    let event = RecoveryStep {
        recovery: recovery.id().to_owned(),
        step: recovery.step,
        title: title(recovery),
        state: StepState::Good,
        detail,
    };
    one(recovery.incident.clone(), event)
}

fn failed(recovery: &Recovery, reason: &str) -> Outcome {
    if !recovery.wants_word() {
        return Err(no_word(recovery));
    }
    let event = RecoveryStopped {
        recovery: recovery.id().to_owned(),
        step: recovery.step,
        title: title(recovery),
        why: Why::Failed,
        detail: required_reason("a step that failed", reason)?,
        now: None,
    };
    one(recovery.incident.clone(), event)
}
