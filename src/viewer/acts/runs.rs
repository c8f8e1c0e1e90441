//! Acting on services, backups and runs: everything goes through a plan and its confirmation.

use crate::domain::run::{SideRole, Work};
use crate::viewer::app::{App, Pane, Pending};
use crate::viewer::overlays::{Confirm, Overlay, Picker, Verb};
use crate::viewer::theme::Role;
use crate::wire::Ask;

/// Asks for a plan of `work`.
pub fn plan(app: &mut App, work: Work) {
    app.tell(Role::Dim, format!("planning {} {}{}", work.verb(), work.object(), app.look.g.ellipsis));
    // A test is no step of anything.
    let test = matches!(work, Work::Restore { test: true, .. });
    match app.for_step.take().filter(|_| !test) {
        Some(playbook) => app.ask_for_step(Pending::Plan(work.clone()), Ask::Plan(work), playbook),
        None => {
            app.ask(Pending::Plan(work.clone()), Ask::Plan(work));
        }
    }
}

fn control(app: &mut App, verb: Verb) {
    match app.selected_service().map(|s| (s.name.clone(), s.control.iter().any(|c| c == verb.word()))) {
        Some((name, true)) => plan(app, verb.work(name)),
        Some((name, false)) => {
            app.tell(Role::BannerInfo, format!("{name}'s control cannot {}: see control in mayday.toml", verb.word()));
        }
        None => {
            let picker = Picker::services(app, verb);
            app.open_overlay(Overlay::Picker(picker));
        }
    }
}

pub fn restart(app: &mut App) {
    control(app, Verb::Restart);
}

pub fn stop(app: &mut App) {
    control(app, Verb::Stop);
}

pub fn start(app: &mut App) {
    control(app, Verb::Start);
}

pub fn redeploy(app: &mut App) {
    control(app, Verb::Redeploy);
}

pub fn promote(app: &mut App) {
    control(app, Verb::Promote);
}

pub fn logs(app: &mut App) {
    control(app, Verb::Logs);
}

/// Asks for the copies of a backup set, to choose from.
pub fn copies(app: &mut App, backup: String) {
    app.record_step(format!("opened restore of {backup}"), Some(backup.clone()));
    app.ask(Pending::Copies { backup: backup.clone(), choose: true }, Ask::Copies { backup });
}

pub fn restore(app: &mut App) {
    if let Some(backup) = app.selected_backup().map(|b| b.name.clone()) {
        return copies(app, backup);
    }
    let service = app.selected_service().map(|s| s.name.clone());
    let of_service: Vec<String> = app
        .mirror()
        .backups
        .values()
        .filter(|b| b.restorable && service.is_some() && b.service == service)
        .map(|b| b.name.clone())
        .collect();
    if let [only] = of_service.as_slice() {
        return copies(app, only.clone());
    }
    let picker = Picker::backups(app, if of_service.is_empty() { None } else { service });
    app.open_overlay(Overlay::Picker(picker));
}

pub fn action(app: &mut App) {
    let picker = Picker::actions(app);
    app.open_overlay(Overlay::Picker(picker));
}

pub fn output(app: &mut App) {
    let newest = || app.mirror().runs_newest_first().first().map(|r| r.id.clone());
    let Some(id) = app.selected_run().map(|r| r.id.clone()).or_else(newest) else { return };
    app.pane = Pane::Runs;
    app.open_output(&id);
}

pub fn cancel(app: &mut App) {
    let Some(run) = app.selected_run().cloned() else { return };
    let confirm = Confirm::of_cancel(app, &run);
    app.open_overlay(Overlay::Confirm(Box::new(confirm)));
}

fn side(app: &mut App, role: Option<SideRole>, work: impl Fn(String) -> Work) {
    let Some(run) = app.selected_run() else { return };
    if run.sides.iter().any(|s| role.is_none_or(|r| s.role == r)) {
        let id = run.id.clone();
        plan(app, work(id));
    }
}

pub fn cut_over(app: &mut App) {
    side(app, Some(SideRole::Ready), |of| Work::CutOver { of });
}

pub fn use_head_start(app: &mut App) {
    let Some(of) = app.head_start().map(|r| r.id.clone()) else { return };
    plan(app, Work::CutOver { of });
}

pub fn undo(app: &mut App) {
    side(app, Some(SideRole::Before), |of| Work::Undo { of });
}

pub fn drop(app: &mut App) {
    side(app, None, |of| Work::Drop { of });
}
