//! Leading an incident: the word that is due, whom to call, another end, another beginning.

use crate::domain::incident::Status;
use crate::domain::message::Template;
use crate::viewer::app::{App, Pending};
use crate::viewer::overlays::{Asked, Compose, Contacts, Item, Leading, Overlay, Pick, Picker, Prompt};
use crate::viewer::theme::Role;
use crate::viewer::watched::LinkState;
use crate::wire::Ask;

/// Asks for the draft of what is due; its preview opens at once.
pub fn send_due(app: &mut App) {
    let Some(view) = app.incident() else { return };
    let incident = Some(view.incident.id.clone());
    let due = view.leading.due.and_then(|d| d.what.template());
    let template = due.unwrap_or(match view.incident.status {
        Status::Resolved | Status::Closed => Template::Resolution,
        _ => Template::Update,
    });
    // Without a link what lies ready is shown.
    let ready = view.leading.draft.clone().filter(|_| matches!(app.watched.link(), LinkState::Lost(..)));
    if let Some(draft) = ready {
        let channels = app.mirror().head.channels.iter().map(|c| c.name.clone()).collect();
        let mut compose = Compose::new(app, draft.template, &draft.subject, &draft.body, channels);
        compose.preview(app);
        return app.open_overlay(Overlay::Compose(Box::new(compose)));
    }
    app.record_step(format!("opened the {} message", template.word()), None);
    app.ask(Pending::DueDraft(template), Ask::Draft { template, incident });
}

pub fn contacts(app: &mut App) {
    let contacts = Contacts::new(app);
    app.open_overlay(Overlay::Contacts(contacts));
}

fn prompt(app: &mut App, asked: Leading, title: String, help: &str, text: &str) {
    app.open_overlay(Overlay::Prompt(Prompt::new(Asked::Leading(asked), title, help, text)));
}

pub fn snooze(app: &mut App) {
    let Some(incident) = app.incident().map(|i| i.incident.id.clone()) else { return };
    let title = format!("snooze the next update of {incident}");
    let help = "for how long from now and why, as in: 10m restore ends in five minutes";
    prompt(app, Leading::Snooze { incident }, title, help, "10m ");
}

pub fn onset(app: &mut App) {
    let Some(view) = app.incident() else { return };
    let incident = view.incident.id.clone();
    let is = match view.incident.onset {
        Some(at) => format!("It is {} UTC now.", at.hms()),
        None => "None is on record.".to_owned(),
    };
    let help = format!("{is} When did it begin (UTC) and how is that known, as in: 02:03 first complaint of a user");
    prompt(app, Leading::Onset { incident: incident.clone() }, format!("onset of {incident}"), &help, "");
}

pub fn false_alarm(app: &mut App) {
    let Some(view) = app.incident() else { return };
    let incident = view.incident.id.clone();
    let force = view.incident.status.is_open() && !view.against_resolving.is_empty();
    let help = match force {
        true => format!("{}. Calling it a false alarm all the same needs a reason:", view.against_resolving.join("; ")),
        false => "what was taken for an incident? (needed)".to_owned(),
    };
    let title = format!("{}close {incident} as a false alarm", if force { "FORCE: " } else { "" });
    prompt(app, Leading::FalseAlarm { incident, force }, title, &help, "");
}

pub fn merge(app: &mut App) {
    let Some(incident) = app.incident().map(|i| i.incident.id.clone()) else { return };
    let others: Vec<Item> = app
        .mirror()
        .open_incidents()
        .into_iter()
        .filter(|v| v.incident.id != incident)
        .map(|v| {
            let i = &v.incident;
            Item { asks: true, ..Item::new(i.id.clone(), format!("{} {}", i.severity, i.id), i.title.clone()) }
        })
        .collect();
    let title = format!("merge {incident} into which?");
    let mut picker = Picker::of(Pick::Merge { incident }, title, others);
    picker.head.push((Role::Dim, "it is closed; what it was about goes on in the other one".into()));
    app.open_overlay(Overlay::Picker(picker));
}

/// The other one was chosen.
pub fn merge_into(app: &mut App, incident: &str, into: &str) {
    let title = format!("merge {incident} into {into}");
    let asked = Leading::Merge { incident: incident.to_owned(), into: into.to_owned() };
    prompt(app, asked, title, "why are they one? (needed)", "");
}
