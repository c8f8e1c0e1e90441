//! Second persons, tags and holds by keys.

use crate::domain::command::Command;
use crate::viewer::allowed;
use crate::viewer::app::App;
use crate::viewer::overlays::{Asked, Confirm, Overlay, Picker, Prompt};

type Why = Option<String>;

/// Reading what is asked for needs neither a link nor the right to act.
pub fn someone_waits(app: &App) -> Why {
    allowed::waiting(app).is_empty().then(|| "nobody asks for a second person".into())
}

/// The key of approvals: the one that waits, else a choice.
pub fn approvals(app: &mut App) {
    let ids: Vec<String> = allowed::waiting(app).iter().map(|a| a.id.clone()).collect();
    match ids.as_slice() {
        [only] => open(app, only),
        _ => {
            let picker = Picker::approvals(app);
            app.open_overlay(Overlay::Picker(picker));
        }
    }
}

/// Opens a request: of another it can be approved, of one's own gone on with alone or taken back.
pub fn open(app: &mut App, id: &str) {
    let Some(approval) = app.mirror().head.guard.approval(id).cloned() else { return };
    if allowed::is_own(app, &approval) {
        let picker = Picker::own_approval(app, &approval);
        return app.open_overlay(Overlay::Picker(picker));
    }
    app.record_step(format!("looked at the request for {}", approval.title), None);
    let confirm = Confirm::of_approval(app, &approval);
    app.open_overlay(Overlay::Confirm(Box::new(confirm)));
}

fn ask(app: &mut App, asked: Asked, title: String, help: &str) {
    app.open_overlay(Overlay::Prompt(Prompt::new(asked, title, help, "")));
}

/// Asks for the reason of going on alone.
pub fn glass(app: &mut App, id: &str) {
    let Some(approval) = app.mirror().head.guard.approval(id) else { return };
    let title = format!("BREAK THE GLASS: {}", approval.title);
    let asked = Asked::Glass { approval: id.to_owned() };
    ask(app, asked, title, "why is there no second person? it is recorded, sent out, and stands in the review");
}

pub fn withdraw(app: &mut App, id: &str) {
    app.act("the request is taken back", Command::Decline { approval: id.to_owned(), reason: String::new() });
}

pub fn others_wait(app: &App) -> Why {
    crate::viewer::why::may_act(app).or_else(|| someone_waits(app)).or_else(|| {
        let others = allowed::waiting(app).iter().any(|a| !allowed::is_own(app, a));
        (!others).then(|| "only your own request waits: Y takes it back".into())
    })
}

pub fn decline(app: &mut App) {
    let Some(approval) = allowed::waiting(app).into_iter().find(|a| !allowed::is_own(app, a)) else { return };
    let (id, title) = (approval.id.clone(), format!("decline: {}", approval.title));
    ask(app, Asked::Decline { approval: id }, title, "why not? (needed; whoever asked sees it)");
}

fn service(app: &App) -> Option<String> {
    app.selected_service().map(|s| s.name.clone())
}

pub fn service_chosen(app: &App) -> Why {
    crate::viewer::why::may_act(app).or_else(|| service(app).is_none().then(|| "select a service first".into()))
}

/// Puts a tag on the service, takes one's own off, or takes another's over.
pub fn tag(app: &mut App) {
    let Some(name) = service(app) else { return };
    let tag = app.mirror().head.guard.guards.tag(&name).cloned();
    match tag {
        None => {
            let asked = Asked::Tag { service: name.clone(), over: false };
            ask(app, asked, format!("tag {name}"), "why is it not to be touched? as in: restore running");
        }
        Some(tag) if tag.by.user == app.watched.peer.user => {
            app.act(format!("took the tag off {name}"), Command::Untag { service: name, reason: String::new() });
        }
        Some(tag) => {
            let title = format!("take {}'s tag on {name} over", tag.by.user);
            let help = format!("\"{}\". Why do you take it over? (needed)", tag.reason);
            ask(app, Asked::Tag { service: name, over: true }, title, &help);
        }
    }
}

pub fn can_untag(app: &App) -> Why {
    service_chosen(app).or_else(|| {
        let name = service(app)?;
        app.mirror().head.guard.guards.tag(&name).is_none().then(|| format!("{name} is not tagged: # tags it"))
    })
}

pub fn untag(app: &mut App) {
    let Some(name) = service(app) else { return };
    let Some(tag) = app.mirror().head.guard.guards.tag(&name).cloned() else { return };
    if tag.by.user == app.watched.peer.user {
        return app.act(format!("took the tag off {name}"), Command::Untag { service: name, reason: String::new() });
    }
    let title = format!("take {}'s tag off {name}", tag.by.user);
    let help = format!("\"{}\". Why do you take it off? (needed)", tag.reason);
    ask(app, Asked::Untag { service: name }, title, &help);
}

/// Holds the service, or asks for the reason of its release.
pub fn hold(app: &mut App) {
    let Some(name) = service(app) else { return };
    if app.mirror().head.guard.guards.hold(Some(&name)).is_some() {
        let title = format!("release {name}");
        return ask(app, Asked::Release { service: Some(name) }, title, "why may it be restarted again? (needed)");
    }
    let title = format!("hold {name}");
    let help = "why? nothing of it is restarted or restored until the commander releases it";
    ask(app, Asked::Hold { service: Some(name) }, title, help);
}

pub fn hold_everything(app: &mut App) {
    let help = "why? nothing at all is restarted or restored until the commander releases it";
    ask(app, Asked::Hold { service: None }, "hold everything".into(), help);
}

pub fn something_held(app: &App) -> Why {
    let guards = &app.mirror().head.guard.guards;
    let none = guards.holds.is_empty() && guards.all.is_none();
    crate::viewer::why::may_act(app).or_else(|| none.then(|| "nothing is held".into()))
}

pub fn release_everything(app: &mut App) {
    ask(app, Asked::Release { service: None }, "release all that is held".into(), "why may it go on? (needed)");
}
