//! Leading an incident.

use crate::domain::command::Command;
use crate::domain::handoff;
use crate::viewer::app::{App, Pending};
use crate::viewer::overlays::{Asked, Capsule, Declare, Note, Overlay, Picker, Prompt};
use crate::viewer::theme::Role;
use crate::wire::Ask;

pub fn declare(app: &mut App) {
    if app.pending.values().any(|p| matches!(p, Pending::Declare)) {
        app.tell(Role::BannerInfo, "a declaration is under way: what came of it is told here");
        return;
    }
    let declare = Declare::new(app);
    app.open_overlay(Overlay::Declare(Box::new(declare)));
}

fn id(app: &App) -> Option<String> {
    app.incident().map(|i| i.incident.id.clone())
}

pub fn acknowledge(app: &mut App) {
    let incident = id(app);
    app.act("acknowledged", Command::Acknowledge { incident });
}

pub fn note(app: &mut App) {
    let incident = app.incident().filter(|i| i.incident.status.is_open()).map(|i| i.incident.id.clone());
    let draft = std::mem::take(&mut app.note_draft);
    app.open_overlay(Overlay::Note(Box::new(Note::new(&draft, incident))));
}

pub fn severity(app: &mut App) {
    let picker = Picker::severities(app);
    app.open_overlay(Overlay::Picker(picker));
}

pub fn status(app: &mut App) {
    let picker = Picker::statuses(app);
    app.open_overlay(Overlay::Picker(picker));
}

pub fn assign(app: &mut App) {
    let Some(incident) = id(app) else { return };
    let user = app.watched.peer.user.clone();
    let prompt = Prompt::new(
        Asked::Assign { incident },
        "assign a role",
        "role and user, as in: commander oncall1",
        &format!("commander {user}"),
    );
    app.open_overlay(Overlay::Prompt(prompt));
}

pub fn services(app: &mut App) {
    let picker = Picker::affected(app);
    app.open_overlay(Overlay::Picker(picker));
}

pub fn retitle(app: &mut App) {
    let Some(view) = app.incident() else { return };
    let (incident, title) = (view.incident.id.clone(), view.incident.title.clone());
    let prompt = Prompt::new(Asked::Retitle { incident }, "change the title", "the new title", &title);
    app.open_overlay(Overlay::Prompt(prompt));
}

pub fn hypotheses(app: &mut App) {
    let picker = Picker::hypotheses(app);
    app.open_overlay(Overlay::Picker(picker));
}

pub fn followups(app: &mut App) {
    let picker = Picker::followups(app);
    app.open_overlay(Overlay::Picker(picker));
}

pub fn past(app: &mut App) {
    let picker = Picker::past(app);
    app.open_overlay(Overlay::Picker(picker));
}

pub fn review(app: &mut App) {
    let Some(view) = app.incident() else { return };
    let incident = view.incident.id.clone();
    let is = view.leading.review.as_ref().map(crate::domain::review::ReviewState::said).filter(|said| !said.is_empty());
    let is = is.unwrap_or_else(|| "nobody has begun it".into());
    let help = format!(
        "{is}. Who writes it, how far it is (draft, in-review, reviewed), when it is talked over (UTC), any of the three, as in: @ann in-review 2026-12-01T10:00:00Z"
    );
    let title = format!("the review of {incident}");
    app.open_overlay(Overlay::Prompt(Prompt::new(Asked::Review { incident }, title, help, "")));
}

/// Asks how it stands; the answer opens the window. What the engine does not answer is read from the picture at hand.
pub fn capsule(app: &mut App) {
    let incident = id(app);
    if app.watched.is_stale()
        && let Some(facts) = incident.as_deref().and_then(|id| app.mirror().facts(id))
    {
        let (id, sections) = (facts.incident.id.clone(), handoff::capsule(&facts));
        let capsule = Capsule::new(app, &id, &sections).of_memory(app);
        return app.open_overlay(Overlay::Capsule(capsule));
    }
    app.ask(Pending::Capsule, Ask::Capsule { incident });
}

pub fn reopen(app: &mut App) {
    let Some(incident) = app.last_closed().map(|i| i.incident.id.clone()) else { return };
    let title = format!("reopen {incident}");
    app.open_overlay(Overlay::Prompt(Prompt::new(Asked::Reopen { incident }, title, "why? (needed)", "")));
}

pub fn pause(app: &mut App) {
    let Some(service) = app.selected_service().map(|s| s.name.clone()) else { return };
    let title = format!("pause {service}");
    let help = "how long and why, as in: 30m planned upgrade";
    app.open_overlay(Overlay::Prompt(Prompt::new(Asked::Pause { service }, title, help, "30m ")));
}

pub fn resume(app: &mut App) {
    let Some(service) = app.selected_service().map(|s| s.name.clone()) else { return };
    app.act(format!("resumed {service}"), Command::Resume { service, reason: String::new() });
}
