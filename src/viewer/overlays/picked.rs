//! What follows from a choice.

use std::collections::BTreeSet;

use super::picker::{Item, Pick};
use super::restoring::Restoring;
use super::{Asked, Overlay, Prompt, followups, thinking};
use crate::domain::command::Command;
use crate::domain::incident::Status;
use crate::domain::message::Template;
use crate::domain::playbook::{Answer, Take};
use crate::domain::run::Work;
use crate::viewer::acts;
use crate::viewer::app::{App, Pending};
use crate::viewer::commands;
use crate::wire::Ask;

/// One was chosen, when this was typed.
pub fn one(app: &mut App, pick: &Pick, item: &Item, typed: &str) {
    match pick {
        Pick::Command => {
            if let Some(command) = commands::find(&item.id) {
                app.via = "palette".into();
                // The same door as a key: what is refused there is refused here.
                app.do_command(command);
            }
        }
        // Its reason is asked for first.
        Pick::Severity { .. } => {}
        Pick::Status { incident } => status(app, incident, &item.id),
        Pick::Service(verb) => acts::runs::plan(app, verb.work(item.id.clone())),
        Pick::Backup => acts::runs::copies(app, item.id.clone()),
        Pick::Copy { backup, test, .. } => {
            app.record_step(format!("chose copy {} of {backup}", item.id), Some(backup.clone()));
            let mut to_come = Restoring { backup: backup.clone(), copy: Some(item.id.clone()), test: *test };
            let view = app.mirror().backups.get(backup);
            if view.is_some_and(|b| b.any_moment) {
                // The newest was only where the cursor stood: an earlier moment may need an earlier one.
                to_come.copy =
                    to_come.copy.filter(|id| view.and_then(|b| b.newest.as_ref()).is_none_or(|n| n.id != *id));
                let prompt = to_come.asks_moment(app);
                app.open_overlay(Overlay::Prompt(prompt));
            } else {
                acts::runs::plan(app, to_come.work(None, Vec::new()));
            }
        }
        Pick::Merge { incident } => acts::leading::merge_into(app, incident, &item.id),
        Pick::Recovery => acts::recovery::plan(app, item.id.clone()),
        Pick::Approval => acts::guard::open(app, &item.id),
        Pick::OwnApproval { approval } => match item.id.as_str() {
            "glass" => acts::guard::glass(app, approval),
            "withdraw" => acts::guard::withdraw(app, approval),
            _ => {}
        },
        Pick::Playbook => match item.id.strip_prefix(super::choices::LEFT) {
            Some(id) => {
                acts::playbook::show(app, id.to_owned());
                // Shown to everybody; gone on with by those who may.
                if crate::viewer::why::may_act(app).is_none() {
                    acts::playbook::go(app);
                }
            }
            None => acts::playbook::start(app, item.id.clone()),
        },
        Pick::PlaybookOption { playbook } => {
            let answer = Answer::Choose { option: item.id.clone() };
            acts::playbook::say(app, &format!("chose {}", item.id), playbook, answer);
        }
        Pick::PlaybookText { playbook } => {
            let take = match item.id.as_str() {
                "" => Take::Old,
                from => Take::New { from: from.to_owned() },
            };
            acts::playbook::say(app, "playbook resumed", playbook, Answer::Resume { take: Some(take) });
        }
        Pick::Action => acts::runs::plan(app, Work::Act { action: item.id.clone() }),
        Pick::Theme { .. } => acts::view::choose_theme(app, &item.id),
        Pick::Template => {
            if let Ok(template) = Template::parse(&item.id) {
                let incident = match template {
                    Template::Test => None,
                    _ => app.incident().map(|i| i.incident.id.clone()),
                };
                app.ask(Pending::Draft(template), Ask::Draft { template, incident });
            }
        }
        Pick::Followups { incident } => followups::chosen(app, incident, &item.id, typed),
        Pick::OfFollowup { id } => followups::about(app, id, &item.id),
        Pick::Past => followups::go_to(app, &item.id),
        Pick::Hypothesis { incident } => thinking::chosen(app, incident, &item.id, typed),
        Pick::OfHypothesis { incident, hypothesis } => thinking::said(app, incident, hypothesis, &item.id),
        Pick::Affected { .. } => {}
    }
}

fn status(app: &mut App, incident: &str, word: &str) {
    let Some(view) = app.mirror().incidents.get(incident) else { return };
    let Some(status) = Status::ALL.into_iter().find(|s| s.word() == word) else { return };
    let open = view.incident.status.is_open();
    let id = incident.to_owned();
    if status == Status::Resolved && open && !view.against_resolving.is_empty() {
        let help = format!("{}. Resolving all the same needs a reason:", view.against_resolving.join("; "));
        let prompt = Prompt::new(Asked::Force { incident: id }, format!("FORCE {incident} to resolved"), help, "");
        app.open_overlay(Overlay::Prompt(prompt));
    } else if !open && status.is_open() {
        let prompt = Prompt::new(Asked::Reopen { incident: id }, format!("reopen {incident}"), "why? (needed)", "");
        app.open_overlay(Overlay::Prompt(prompt));
    } else {
        let command = Command::SetStatus { incident: Some(id), status, reason: String::new(), force: false };
        app.act(format!("status {}", status.word()), command);
    }
}

/// Several were chosen.
pub fn several(app: &mut App, pick: &Pick, chosen: &BTreeSet<String>) {
    if let Pick::Affected { incident, before } = pick {
        let add: BTreeSet<String> = chosen.difference(before).cloned().collect();
        let remove: BTreeSet<String> = before.difference(chosen).cloned().collect();
        if !(add.is_empty() && remove.is_empty()) {
            let incident = Some(incident.clone());
            app.act("affected services changed", Command::SetServices { incident, add, remove });
        }
    }
}
