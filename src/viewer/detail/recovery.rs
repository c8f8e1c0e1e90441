//! The recovery that is under way, and the last one of an incident: its steps, the time used of each box, what it waits for.

use std::time::Duration;

use super::{Lines, Page};
use crate::domain::recovery::{Recovery, RecoveryState, StepRecord, StepState};
use crate::text;
use crate::viewer::app::App;
use crate::viewer::header::coarse;
use crate::viewer::theme::Role;
use crate::wire::RecoveryView;

/// Steps shown where not all of the room is for them.
const FEW: usize = 4;

/// The recovery to be shown with an incident: the one that is open, else the newest of it.
pub fn shown<'a>(app: &'a App, incident: Option<&str>) -> Option<&'a RecoveryView> {
    let newest = || app.mirror().recoveries_newest_first();
    let of_it = |r: &&RecoveryView| incident.is_some() && r.recovery.incident.as_deref() == incident;
    app.mirror().open_recovery().or_else(|| newest().into_iter().find(of_it))
}

/// Sign and role of a step.
fn sign(app: &App, state: StepState) -> (&'static str, Role) {
    let g = &app.look.g;
    match state {
        StepState::Good => (g.up, Role::Good),
        StepState::UnderWay => (g.running, Role::Running),
        StepState::Asks => (g.lost, Role::Bad),
        StepState::Skipped => (g.paused, Role::Unsure),
        StepState::Waiting => (g.waiting, Role::Dim),
        StepState::NotDone => (g.dot, Role::Dim),
    }
}

/// All of it with `whole`, else the steps around the one it is at.
pub fn lines(app: &App, view: &RecoveryView, columns: usize, whole: bool) -> Lines {
    let r = &view.recovery;
    let mut page = Page::new(columns);
    let role = match r.state {
        RecoveryState::Asks => Role::Bad,
        RecoveryState::Complete => Role::Good,
        _ if r.wants_word() => Role::Unsure,
        _ => Role::Strong,
    };
    let state = match r.state {
        RecoveryState::Asks => "STOPPED, asks".to_owned(),
        RecoveryState::UnderWay if r.wants_word() => "waits for a person".to_owned(),
        state => state.word().to_owned(),
    };
    let at = if r.state.is_open() { format!(" at step {} of {}", r.step + 1, r.steps.len()) } else { String::new() };
    page.push(vec![
        (Role::Label, "recovery ".into()),
        (Role::Strong, format!("{}  ", r.plan.name)),
        (role, format!("{state}{at}")),
    ]);
    if !r.state.is_open() && !whole {
        return page.lines;
    }
    // What needs an answer stands first: where there is little room, the steps are cut and not this.
    if let Some(halt) = &r.halt {
        let said = format!("{}: {}", halt.why.word(), halt.detail);
        if whole {
            page.text(Role::Bad, 0, &said);
        } else {
            page.push(vec![(Role::Bad, said)]);
        }
    }
    if !view.waits.is_empty() {
        page.push(vec![(Role::Dim, view.waits.clone())]);
    }
    if r.wants_person() {
        let said = match (r.wants_word(), r.state) {
            (true, RecoveryState::Asks) => "done, failed, resume, skip or stop",
            (true, _) => "done or failed; skip, stop",
            _ => "resume, skip or stop",
        };
        let key = app.keymap.keys_of("recovery.open").into_iter().next().unwrap_or_else(|| ":".into());
        page.push(vec![(Role::Key, key), (Role::KeyDoc, format!(" answers it: {said}"))]);
    }
    // How each step was seen to be good is for the view of its own.
    let told = app.detail.is_some();
    let from = if whole { 0 } else { r.step.saturating_sub(1).min(r.steps.len().saturating_sub(FEW)) };
    let n = if whole { r.steps.len() } else { FEW };
    for (number, (step, record)) in r.plan.steps.iter().zip(&r.steps).enumerate().skip(from).take(n) {
        let (sign, role) = sign(app, record.state);
        let here = number == r.step && r.state.is_open();
        page.push(vec![
            (role, format!("{sign} {:>2} {:<8} ", number + 1, step.spec.phase.word())),
            (if here { Role::Strong } else { Role::Text }, step.spec.does.title()),
            (time_role(r, number, record, app), format!("  {}", time(app, step.spec.within_ms, record))),
        ]);
        // Why it asks stands above, where the answers are.
        if told && !record.detail.is_empty() && record.state != StepState::Asks {
            let by = if record.by.is_empty() { String::new() } else { format!("{}: ", record.by) };
            page.text(Role::Dim, 5, &format!("{by}{}", record.detail));
        }
    }
    page.lines
}

/// `40s of 30m`, by coarse steps while it runs.
fn time(app: &App, within_ms: u64, record: &StepRecord) -> String {
    let within = text::duration(Duration::from_millis(within_ms));
    match (record.begun_at, record.ended_at) {
        (Some(begun), Some(ended)) => format!("{} of {within}", text::duration(ended.since(begun))),
        (Some(begun), None) if record.state != StepState::NotDone => {
            format!(
                "{} of {within}",
                match coarse(app.watched.ago(begun)).as_str() {
                    "now" => "<10s",
                    used => used,
                }
            )
        }
        _ => within,
    }
}

fn time_role(r: &Recovery, number: usize, record: &StepRecord, app: &App) -> Role {
    let over = number == r.step && r.box_ends().is_some_and(|end| app.watched.engine_now() >= end);
    match record.state {
        StepState::UnderWay | StepState::Asks if over => Role::DueOver,
        _ => Role::Dim,
    }
}
