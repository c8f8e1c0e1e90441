//! What entries make of playbooks.

use super::{Changed, Evidence, Failure, Play, PlayState, StepRecord, StepState};
use crate::domain::event::{Entry, Event};
use crate::domain::state::State;

/// Playbooks that are over, kept in the fold.
const KEEP: usize = 50;

/// Folds an entry about a playbook, or about what was started for a step of one.
pub fn apply(state: &mut State, entry: &Entry) {
    if let Event::PlaybookStarted(e) = &entry.event {
        let mut play = Play {
            id: e.id.clone(),
            text: e.text.clone(),
            incident: entry.incident.clone(),
            started_at: entry.at,
            started_by: entry.actor.user.clone(),
            started_seq: entry.seq,
            state: PlayState::UnderWay,
            at: None,
            steps: e.text.steps.iter().map(|s| (s.name.clone(), StepRecord::default())).collect(),
            path: Vec::new(),
            changed: None,
            kept: String::new(),
            led_by: entry.actor.user.clone(),
            finished_at: None,
            reason: String::new(),
        };
        let first = e.text.steps.first().map(|s| s.name.clone());
        come_to(&mut play, first, entry);
        if state.playbooks.insert(e.id.clone(), play).is_none() {
            state.playbook_order.push(e.id.clone());
        }
        trim(state);
        return;
    }
    let id = match &entry.event {
        Event::PlaybookBegan(e) => Some(&e.playbook),
        Event::PlaybookStep(e) => Some(&e.playbook),
        Event::PlaybookAgain(e) => Some(&e.playbook),
        Event::PlaybookPassed(e) => Some(&e.playbook),
        Event::PlaybookChosen(e) => Some(&e.playbook),
        Event::PlaybookEvidence(e) => Some(&e.playbook),
        Event::PlaybookLeft(e) => Some(&e.playbook),
        Event::PlaybookChanged(e) => Some(&e.playbook),
        Event::PlaybookResumed(e) => Some(&e.playbook),
        Event::PlaybookFinished(e) => Some(&e.playbook),
        _ => None,
    };
    let Some(play) = id.and_then(|id| state.playbooks.get_mut(id)) else { return };
    if play.state.is_open() {
        fold(play, entry);
    }
}

/// The step that it is at from now on.
fn come_to(play: &mut Play, step: Option<String>, entry: &Entry) {
    play.at.clone_from(&step);
    let Some(name) = step else { return };
    let record = play.steps.entry(name.clone()).or_default();
    // It may have been come to before: what it showed then stays with it.
    *record = StepRecord {
        state: StepState::UnderWay,
        attempts: record.attempts + 1,
        begun_at: Some(entry.at),
        box_from: Some(entry.at),
        runs: std::mem::take(&mut record.runs),
        evidence: std::mem::take(&mut record.evidence),
        failures: std::mem::take(&mut record.failures),
        ..StepRecord::default()
    };
    play.path.push(name);
}

fn fold(play: &mut Play, entry: &Entry) {
    let by = if entry.actor.is_engine() { String::new() } else { entry.actor.user.clone() };
    if !by.is_empty() {
        play.led_by.clone_from(&by);
    }
    match &entry.event {
        Event::PlaybookBegan(e) => {
            let Some(record) = play.steps.get_mut(&e.step) else { return };
            // A step that had failed is tried again by it.
            if matches!(record.state, StepState::Failed | StepState::Unproven) {
                record.attempts += 1;
                record.box_from = Some(entry.at);
            }
            record.state = StepState::UnderWay;
            record.ended_at = None;
            record.vouched = false;
            record.detail.clear();
            record.part = e.part;
            record.run.clone_from(&e.run);
            record.recovery.clone_from(&e.recovery);
            record.message.clone_from(&e.message);
            record.runs.extend(e.run.clone());
        }
        Event::PlaybookStep(e) => {
            let Some(record) = play.steps.get_mut(&e.step) else { return };
            record.state = e.state;
            record.detail.clone_from(&e.detail);
            record.by = by;
            match e.state {
                StepState::UnderWay => record.vouched = true,
                StepState::Failed => {
                    record.ended_at = Some(entry.at);
                    record.failures.push(Failure { at: entry.at, detail: e.detail.clone() });
                }
                StepState::Done | StepState::Skipped => {
                    record.ended_at = Some(entry.at);
                    come_to(play, e.next.clone(), entry);
                }
                StepState::Unproven | StepState::Waiting => {}
            }
        }
        Event::PlaybookAgain(e) => {
            if let Some(record) = play.steps.get_mut(&e.step) {
                record.state = StepState::UnderWay;
                record.attempts += 1;
                record.box_from = Some(entry.at);
                record.ended_at = None;
                record.run = None;
                record.recovery = None;
                record.message = None;
                record.vouched = false;
                record.detail.clear();
            }
        }
        Event::PlaybookPassed(e) => {
            if let Some(record) = play.steps.get_mut(&e.step) {
                record.passed.clone_from(&e.reason);
                record.by = by;
            }
            come_to(play, e.next.clone(), entry);
        }
        Event::PlaybookChosen(e) => {
            if let Some(record) = play.steps.get_mut(&e.step) {
                record.state = StepState::Done;
                record.chosen = Some(e.option.clone());
                record.detail.clone_from(&e.reason);
                record.by = by;
                record.ended_at = Some(entry.at);
            }
            come_to(play, e.next.clone(), entry);
        }
        Event::PlaybookEvidence(e) => {
            if let Some(record) = play.steps.get_mut(&e.step) {
                record.evidence.push(Evidence {
                    at: entry.at,
                    by: entry.actor.user.clone(),
                    text: e.text.clone(),
                    file: e.file.clone(),
                    digest: e.digest.clone(),
                    size: e.size,
                });
            }
        }
        Event::PlaybookLeft(e) => {
            play.state = PlayState::Left;
            play.reason.clone_from(&e.reason);
        }
        Event::PlaybookChanged(e) => {
            play.changed = (e.digest != play.text.digest).then(|| Changed {
                at: entry.at,
                digest: e.digest.clone(),
                difference: e.difference.clone(),
                now: e.now.clone().map(Box::new),
            });
        }
        Event::PlaybookResumed(e) => {
            if let Some(changed) = play.changed.take() {
                play.kept = changed.digest;
            }
            // Time away does not count against the box of the step it is at.
            if play.state == PlayState::Left
                && let Some(record) = play.at.as_ref().and_then(|at| play.steps.get_mut(at))
            {
                record.box_from = Some(entry.at);
            }
            play.state = PlayState::UnderWay;
            play.reason.clear();
            if let (Some(text), Some(from)) = (&e.taken, &e.from) {
                play.text = text.clone();
                play.kept.clear();
                for step in &text.steps {
                    play.steps.entry(step.name.clone()).or_default();
                }
                come_to(play, Some(from.clone()), entry);
            }
        }
        Event::PlaybookFinished(e) => {
            play.state = if e.complete { PlayState::Complete } else { PlayState::Stopped };
            play.finished_at = Some(entry.at);
            play.reason.clone_from(&e.reason);
            play.changed = None;
        }
        _ => {}
    }
}

fn trim(state: &mut State) {
    while state.playbook_order.len() > KEEP {
        let over = |id: &String| state.playbooks.get(id).is_none_or(|p| !p.state.is_open());
        let Some(at) = state.playbook_order.iter().position(over) else { return };
        let id = state.playbook_order.remove(at);
        state.playbooks.remove(&id);
    }
}
