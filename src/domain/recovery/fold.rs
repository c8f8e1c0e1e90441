//! What entries make of recoveries.

use super::{Halt, Recovery, RecoveryState, StepRecord, StepState};
use crate::domain::event::{Entry, Event};
use crate::domain::state::State;

/// Recoveries that are over, kept in the fold.
const KEEP: usize = 50;

/// Folds an entry about a recovery, or about a run that belongs to one.
pub fn apply(state: &mut State, entry: &Entry) {
    if let Event::RecoveryStarted(e) = &entry.event {
        let recovery = Recovery {
            plan: e.plan.clone(),
            incident: entry.incident.clone(),
            started_at: entry.at,
            started_by: state.asked_by(&e.plan.id, entry),
            started_seq: entry.seq,
            state: RecoveryState::UnderWay,
            step: 0,
            steps: vec![StepRecord::default(); e.plan.steps.len()],
            halt: None,
            finished_at: None,
            reason: String::new(),
        };
        let id = e.plan.id.clone();
        if state.recoveries.insert(id.clone(), recovery).is_none() {
            state.recovery_order.push(id);
        }
        trim(state);
        return;
    }
    let id = match &entry.event {
        Event::RunRequested(e) => e.recovery.as_ref().map(|of| &of.recovery),
        Event::RecoveryStep(e) => Some(&e.recovery),
        Event::RecoveryStopped(e) => Some(&e.recovery),
        Event::RecoveryResumed(e) => Some(&e.recovery),
        Event::RecoverySkipped(e) => Some(&e.recovery),
        Event::RecoveryFinished(e) => Some(&e.recovery),
        _ => None,
    };
    // Which part of its step a run that counts on is.
    let part = match &entry.event {
        Event::RecoveryResumed(e) => {
            e.run.as_ref().and_then(|id| state.runs.get(id)?.of_step.as_ref().map(|of| of.part))
        }
        _ => None,
    };
    let Some(recovery) = id.and_then(|id| state.recoveries.get_mut(id)) else { return };
    if recovery.state.is_open() {
        fold(recovery, entry, part.unwrap_or(0));
    }
}

fn fold(recovery: &mut Recovery, entry: &Entry, part: usize) {
    match &entry.event {
        Event::RunRequested(e) => {
            let Some(of) = &e.recovery else { return };
            if let Some(step) = recovery.steps.get_mut(of.step) {
                step.run = Some(e.plan.id.clone());
                step.part = of.part;
                step.vouched = false;
                step.runs.push(e.plan.id.clone());
            }
        }
        Event::RecoveryStep(e) => {
            let by = if entry.actor.is_engine() { String::new() } else { entry.actor.user.clone() };
            let Some(step) = recovery.steps.get_mut(e.step) else { return };
            step.state = e.state;
            step.detail.clone_from(&e.detail);
            if e.state == StepState::UnderWay {
                step.attempts += 1;
                step.begun_at = step.begun_at.or(Some(entry.at));
                step.box_from = Some(entry.at);
            } else {
                step.ended_at = Some(entry.at);
                step.by = by;
                pass(recovery, e.step);
            }
        }
        Event::RecoveryStopped(e) => {
            recovery.state = RecoveryState::Asks;
            recovery.halt = Some(Halt { why: e.why, at: entry.at, detail: e.detail.clone(), now: e.now.clone() });
            if let Some(step) = recovery.steps.get_mut(e.step) {
                step.state = StepState::Asks;
                step.detail.clone_from(&e.detail);
            }
        }
        Event::RecoveryResumed(e) => {
            recovery.state = RecoveryState::UnderWay;
            recovery.halt = None;
            if let (Some(accepts), Some(step)) = (&e.accepts, recovery.plan.steps.get_mut(e.step))
                && let Some(shown) = step.runs.get_mut(e.part)
            {
                *shown = accepts.clone();
            }
            if let Some(step) = recovery.steps.get_mut(e.step) {
                step.state = StepState::UnderWay;
                step.attempts += u32::from(e.again);
                step.box_from = Some(entry.at);
                step.run.clone_from(&e.run);
                step.vouched = e.vouched;
                step.part = part;
                step.detail.clear();
            }
        }
        Event::RecoverySkipped(e) => {
            if let Some(step) = recovery.steps.get_mut(e.step) {
                step.state = StepState::Skipped;
                step.detail.clone_from(&e.reason);
                step.by.clone_from(&entry.actor.user);
                step.ended_at = Some(entry.at);
            }
            pass(recovery, e.step);
        }
        Event::RecoveryFinished(e) => {
            recovery.state = if e.complete { RecoveryState::Complete } else { RecoveryState::Ended };
            recovery.finished_at = Some(entry.at);
            recovery.reason.clone_from(&e.reason);
            recovery.halt = None;
            for step in recovery.steps.iter_mut() {
                if matches!(step.state, StepState::Waiting | StepState::UnderWay | StepState::Asks) {
                    step.state = StepState::NotDone;
                }
            }
        }
        _ => {}
    }
}

/// On to the step after `step`.
fn pass(recovery: &mut Recovery, step: usize) {
    recovery.step = step + 1;
    recovery.state = RecoveryState::UnderWay;
    recovery.halt = None;
}

fn trim(state: &mut State) {
    while state.recovery_order.len() > KEEP {
        let over = |id: &String| state.recoveries.get(id).is_none_or(|r| !r.state.is_open());
        let Some(at) = state.recovery_order.iter().position(over) else { return };
        let id = state.recovery_order.remove(at);
        state.recoveries.remove(&id);
    }
}
