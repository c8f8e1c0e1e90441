//! The recoveries of an incident: every step with the time it took against its box, and why one was skipped.

use serde_json::{Value as Json, json};

use super::cite::cite;
use super::markdown::{Page, ms};
use super::story::{Mark, Story};
use super::timeline::utc;
use crate::domain::event::{Entry, Event};
use crate::domain::recovery::{Recovery, StepState};
use crate::domain::state::State;
use crate::text;

/// One recovery, with the moments of its steps.
struct Told {
    recovery: Recovery,
    entries: Vec<u64>,
    /// First begun, and over, per step.
    steps: Vec<(Option<Mark>, Option<Mark>, Vec<u64>)>,
}

fn tell(story: &Story<'_>) -> Vec<Told> {
    let mut state = State::default();
    let mut told: Vec<Told> = Vec::new();
    for entry in story.entries {
        // Who started it is who asked, not who approved.
        if matches!(entry.event, Event::ApprovalRequested(_)) || story.is_of_merge(entry) {
            state.apply(entry);
            continue;
        }
        let Some((id, step)) = about(entry) else { continue };
        if matches!(entry.event, Event::RecoveryStarted(_)) && !story.is_of(entry) {
            continue;
        }
        state.apply(entry);
        let Some(recovery) = state.recoveries.get(&id) else { continue };
        let at = match told.iter().position(|t| t.recovery.plan.id == id) {
            Some(at) => at,
            None => {
                let steps = vec![(None, None, Vec::new()); recovery.steps.len()];
                told.push(Told { recovery: recovery.clone(), entries: Vec::new(), steps });
                told.len() - 1
            }
        };
        let Some(one) = told.get_mut(at) else { continue };
        one.recovery = recovery.clone();
        one.entries.push(entry.seq);
        let mark = Mark { at: entry.at, seq: entry.seq };
        let ends = matches!(&entry.event, Event::RecoverySkipped(_))
            || matches!(&entry.event, Event::RecoveryStep(e) if e.state != StepState::UnderWay);
        if let Some((begun, over, entries)) = step.and_then(|s| one.steps.get_mut(s)) {
            entries.push(entry.seq);
            *begun = begun.or(Some(mark));
            if ends {
                *over = Some(mark);
            }
        }
    }
    let elsewhere = |r: &Recovery| r.incident.as_deref() != Some(story.id.as_str());
    told.retain(|t| !state.recoveries.get(&t.recovery.plan.id).is_some_and(elsewhere));
    told
}

/// The recovery, and the step, that an entry is about.
fn about(entry: &Entry) -> Option<(String, Option<usize>)> {
    Some(match &entry.event {
        Event::RecoveryStarted(e) => (e.plan.id.clone(), None),
        Event::RecoveryStep(e) => (e.recovery.clone(), Some(e.step)),
        Event::RecoveryStopped(e) => (e.recovery.clone(), Some(e.step)),
        Event::RecoveryResumed(e) => (e.recovery.clone(), Some(e.step)),
        Event::RecoverySkipped(e) => (e.recovery.clone(), Some(e.step)),
        Event::RecoveryFinished(e) => (e.recovery.clone(), None),
        Event::RunRequested(e) => e.recovery.as_ref().map(|of| (of.recovery.clone(), Some(of.step)))?,
        _ => return None,
    })
}

/// How long a step took, in words; nothing for one that was never begun.
fn took(story: &Story<'_>, (begun, over, _): &(Option<Mark>, Option<Mark>, Vec<u64>)) -> Option<i64> {
    Some(story.ms((*begun)?, (*over)?))
}

/// Below "Actions taken", where there were any.
pub(super) fn markdown(page: &mut Page<'_, '_>) {
    let review = page.review;
    for one in tell(&review.story) {
        let r = &one.recovery;
        let title =
            format!("\n### Recovery {}: {} ({})\n", page.say(r.id()), page.say(&r.plan.title), page.say(&r.plan.name));
        page.line(&title);
        let kind = if r.plan.kind.is_empty() { String::new() } else { format!(", for {}", page.say(&r.plan.kind)) };
        let skipped = match r.skipped() {
            0 => String::new(),
            n => format!(", {} skipped", text::plural(n, "step")),
        };
        let reason = if r.reason.is_empty() { String::new() } else { format!(": {}", page.say(&r.reason)) };
        let line = format!(
            "Started by {} at {}{kind}; {}{skipped}{reason} {}\n",
            page.say(&r.started_by),
            utc(r.started_at),
            r.state.word(),
            cite(&one.entries)
        );
        page.line(&line);
        page.table(&["Step", "Phase", "What", "Took", "Time box", "Outcome", "From"]);
        for (number, ((step, record), told)) in r.plan.steps.iter().zip(&r.steps).zip(&one.steps).enumerate() {
            let within = i64::try_from(step.spec.within_ms).unwrap_or(i64::MAX);
            let took = match (took(&review.story, told), told.0) {
                (Some(took), _) if took > within => format!("{} **over its box by {}**", ms(took), ms(took - within)),
                (Some(took), _) => ms(took),
                (None, Some(_)) => "not over".into(),
                (None, None) => "not begun".into(),
            };
            let tries = if record.attempts > 1 { format!(", {} tries", record.attempts) } else { String::new() };
            let by = if record.by.is_empty() { String::new() } else { format!(" by {}", page.say(&record.by)) };
            let detail =
                if record.detail.is_empty() { String::new() } else { format!(": {}", page.say(&record.detail)) };
            let outcome = format!("{}{tries}{by}{detail}", record.state.word());
            let what = page.say(&step.spec.does.title());
            let from = cite(&told.2);
            page.row(&[&(number + 1).to_string(), step.spec.phase.word(), &what, &took, &ms(within), &outcome, &from]);
        }
    }
}

pub(super) fn json(story: &Story<'_>) -> Vec<Json> {
    tell(story)
        .iter()
        .map(|one| {
            let r = &one.recovery;
            json!({
                "id": r.id(), "name": r.plan.name, "title": r.plan.title, "kind": r.plan.kind, "state": r.state,
                "started_at": r.started_at, "started_by": r.started_by, "finished_at": r.finished_at, "reason": r.reason,
                "confirmed": r.plan.target, "risk": r.plan.risk, "entries": one.entries,
                "steps": r.plan.steps.iter().zip(&r.steps).zip(&one.steps).map(|((step, record), told)| json!({
                    "phase": step.spec.phase, "what": step.spec.does.title(), "state": record.state,
                    "took_ms": took(story, told), "within_ms": step.spec.within_ms, "tries": record.attempts,
                    "runs": record.runs, "by": record.by, "detail": record.detail, "entries": told.2,
                })).collect::<Vec<_>>(),
            })
        })
        .collect()
}
