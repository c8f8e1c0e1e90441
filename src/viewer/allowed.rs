//! What authority, tags and holds have against a command: the reason, and what would allow it.
//!
//! The engine decides; the same rules are asked here so that what it would refuse is seen before it is tried. What cannot
//! be done stays visible.

use std::collections::BTreeSet;

use super::app::App;
use super::commands::Command;
use crate::domain::approval::{Approval, Wanted};
use crate::domain::authority::{Deed, Level};
use crate::domain::command::Refusal;
use crate::domain::incident::Incident;
use crate::domain::run::{Plan, Risk, Work};
use crate::wire::{GuardView, RunView};

type Why = Option<String>;

/// Why a command cannot be done now.
pub fn why_not(app: &App, command: &Command) -> Why {
    // The past is looked at, and nothing else is done with it.
    if app.past.is_some() && !super::past::SHOWS.contains(&command.id) {
        return Some(super::past::PAST.into());
    }
    // Its preview is for everybody to read; sending from there asks for the level.
    let beyond = || if command.id == "update.send" { None } else { beyond(app, command) };
    (command.why_not)(app).or_else(|| guarded(app, command.id)).or_else(beyond)
}

/// Why a message that is previewed cannot be sent.
pub fn may_send(app: &App) -> Why {
    let command = super::commands::find("update.send");
    super::why::has_channels(app).or_else(|| beyond(app, command?))
}

fn guard(app: &App) -> &GuardView {
    &app.mirror().head.guard
}

fn said(refusal: &Refusal) -> String {
    refusal.to_string()
}

fn refused(app: &App, what: &str, need: Level) -> Option<Refusal> {
    let peer = &app.watched.peer;
    guard(app).authority.refusal(what, need, &peer.user, &peer.groups, &open(app))
}

fn open(app: &App) -> Vec<&Incident> {
    app.mirror().open_incidents().into_iter().map(|v| &v.incident).collect()
}

/// The deed that a command of the table is, where it needs a level.
pub fn deed(id: &str) -> Option<Deed> {
    Some(match id {
        "service.restart" => Deed::Restart,
        "service.stop" => Deed::Stop,
        "service.start" => Deed::Start,
        "service.redeploy" => Deed::Redeploy,
        "service.promote" => Deed::Promote,
        "service.logs" => Deed::Logs,
        "backup.restore" => Deed::Restore,
        "action.run" => Deed::Act,
        "incident.status"
        | "incident.services"
        | "incident.title"
        | "incident.reopen"
        | "incident.false-alarm"
        | "incident.merge"
        | "incident.onset" => Deed::Status,
        "notify.compose" | "update.send" | "update.snooze" => Deed::Message,
        "playbook.tick" | "playbook.failed" | "playbook.again" | "playbook.go-on" | "playbook.skip"
        | "playbook.evidence" | "playbook.leave" | "playbook.stop" => Deed::Playbook,
        "run.cancel" => Deed::Cancel,
        "run.cut-over" | "incident.cut-over" => Deed::CutOver,
        "run.undo" => Deed::Undo,
        "run.drop" => Deed::Drop,
        "service.pause" | "service.resume" => Deed::Pause,
        _ => return None,
    })
}

fn beyond(app: &App, command: &Command) -> Why {
    let authority = &guard(app).authority;
    if authority.is_empty() {
        return None;
    }
    let deed = deed(command.id)?;
    let need = match deed {
        // Where a restore may at least be tried out, the plan says which of the two is refused.
        Deed::Restore => authority.needs(Deed::Restore).min(authority.needs(Deed::TestRestore)),
        Deed::Act => {
            let of = |(name, facts): (&String, &crate::domain::catalog::ActionFacts)| {
                authority.needs_of(&Work::Act { action: name.clone() }, facts.risk)
            };
            app.mirror().head.actions.iter().map(of).min()?
        }
        // What one has begun oneself one may end.
        Deed::Cancel if app.selected_run().is_some_and(|r| r.requested_by == app.watched.peer.user) => return None,
        deed => authority.needs(deed),
    };
    let peer = &app.watched.peer;
    let brief = authority.brief(command.title, need, &peer.user, &peer.groups, &open(app));
    brief.as_ref().map(said)
}

/// Tags and holds on what the command would be about.
fn guarded(app: &App, id: &str) -> Why {
    let guards = &guard(app).guards;
    if guards.is_empty() {
        return None;
    }
    let of_run = |run: &RunView| run.service.iter().cloned().collect::<BTreeSet<String>>();
    let (work, services) = match id {
        "service.restart" | "service.stop" | "service.start" => {
            let service = app.selected_service()?.name.clone();
            let work = match id {
                "service.restart" => Work::Restart { service: service.clone() },
                "service.stop" => Work::Stop { service: service.clone() },
                _ => Work::Start { service: service.clone() },
            };
            (work, BTreeSet::from([service]))
        }
        "backup.restore" => {
            let backup = app.selected_backup()?;
            let work =
                Work::Restore { backup: backup.name.clone(), copy: None, test: false, only: Vec::new(), to: None };
            (work, backup.service.iter().cloned().collect())
        }
        "run.cut-over" | "run.undo" | "run.drop" | "incident.cut-over" => {
            let run = if id == "incident.cut-over" { app.head_start()? } else { app.selected_run()? };
            (Work::CutOver { of: run.id.clone() }, of_run(run))
        }
        _ => return None,
    };
    let title = super::commands::find(id).map_or("", |c| c.title);
    guards.against(&work, Risk::Disruptive, title, &services).as_ref().map(said)
}

/// Why the engine would refuse to start this plan.
pub fn against_plan(app: &App, plan: &Plan) -> Why {
    let guard = guard(app);
    let mut services: BTreeSet<String> = plan.service.iter().cloned().collect();
    services.extend(plan.holds.iter().filter_map(|h| h.strip_prefix("service ")).map(str::to_owned));
    let need = guard.authority.needs_of(&plan.work, plan.risk);
    let refusal = refused(app, &plan.title, need);
    refusal.or_else(|| guard.guards.against(&plan.work, plan.risk, &plan.title, &services)).as_ref().map(said)
}

/// Why this plan waits for a second person once it is confirmed.
pub fn second_person(app: &App, plan: &Plan) -> Why {
    let mirror = app.mirror();
    let worst = mirror.open_incidents().iter().map(|v| v.incident.severity).min();
    let mut work = &plan.work;
    let mut backup = None;
    // An undo is of a cut-over, and that of a restore.
    for _ in 0..8 {
        match work {
            Work::Restore { backup: name, .. } => backup = Some(name.as_str()),
            Work::CutOver { of } | Work::CopyIn { of, .. } | Work::Undo { of } | Work::Drop { of } => {
                let Some(run) = mirror.runs.get(of) else { break };
                work = &run.work;
                continue;
            }
            _ => {}
        }
        break;
    }
    guard(app).authority.second(&plan.work, plan.risk, backup, worst)
}

/// It was asked for by the one who looks at it.
pub fn is_own(app: &App, approval: &Approval) -> bool {
    approval.by.user == app.watched.peer.user
}

/// Requests that wait, those of others first.
pub fn waiting(app: &App) -> Vec<&Approval> {
    let mut all: Vec<&Approval> = guard(app).waiting().collect();
    all.sort_by_key(|a| (is_own(app, a), a.requested_at));
    all
}

/// The title, the target and the risk of what is to be approved.
pub fn about(approval: &Approval) -> (String, String, Risk) {
    let target = approval.wanted.as_ref().map(Wanted::target).unwrap_or_default().to_owned();
    let risk = approval.wanted.as_ref().map_or(Risk::Destructive, Wanted::risk);
    (format!("approve: {}", approval.title), target, risk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viewer::commands;

    /// What disrupts needs a level, but for what gets or gives help, and what asks for its level by its plan.
    #[test]
    fn every_command_that_disrupts_has_its_level() {
        let by_their_plan = ["recovery.open", "recovery.resume", "approval.open", "playbook.do"];
        for command in commands::ALL.iter().filter(|c| c.risk != Risk::Observe) {
            assert!(deed(command.id).is_some() || by_their_plan.contains(&command.id), "{}", command.id);
        }
        for always in ["incident.declare", "incident.acknowledge", "note.write", "incident.severity", "incident.assign"]
        {
            assert!(commands::find(always).is_some() && deed(always).is_none(), "{always}");
        }
    }
}
