//! Why a command cannot be done now: in words a person can act on. What cannot be done stays visible.

use super::app::{App, Detail, Pane};
use super::watched::LinkState;
use crate::domain::health::Health;
use crate::domain::playbook::StepState;
use crate::domain::run::SideRole;

type Why = Option<String>;

pub fn never(_: &App) -> Why {
    None
}

pub fn not_read_only(app: &App) -> Why {
    if app.past.is_some() {
        return Some(super::past::PAST.into());
    }
    app.watched.peer.read_only.then(|| "this screen is read-only: open mayday without --read-only".into())
}

/// Read-only or without a link nothing can be changed. What only shows something never asks this.
pub fn may_act(app: &App) -> Why {
    if let Some(why) = not_read_only(app) {
        return Some(why);
    }
    match app.watched.link() {
        LinkState::Lost(..) => Some("no link to the engine: E starts one if none runs".into()),
        _ => None,
    }
}

pub fn may_plan(app: &App) -> Why {
    may_act(app).or_else(|| {
        let verbless = |s: &crate::wire::ServiceView| s.control.is_empty();
        match app.selected_service() {
            Some(s) if verbless(s) => {
                Some(format!("{} has no control: add control = {{ … }} to it in mayday.toml", s.name))
            }
            Some(s) => {
                // A head start gives way to whatever a person starts.
                let gives_way = |run: &&String| app.mirror().runs.get(*run).is_some_and(|r| r.head_start);
                let holder = s.held_by.as_ref().filter(|run| !gives_way(run));
                holder.map(|run| format!("{} is held by run {run}: wait for it or cancel it", s.name))
            }
            None if app.mirror().services.values().all(verbless) => {
                Some("no service has a control: add control = { … } in mayday.toml".into())
            }
            None => None,
        }
    })
}

/// Reading a log is in nobody's way, and nobody in its.
pub fn may_read_log(app: &App) -> Why {
    may_act(app).or_else(|| {
        let can = |s: &crate::wire::ServiceView| s.control.iter().any(|verb| verb == "logs");
        match app.selected_service() {
            Some(s) if !can(s) => Some(format!("{} has no log to be read: see control in mayday.toml", s.name)),
            None if !app.mirror().services.values().any(can) => {
                Some("no service has a log to be read: see control in mayday.toml".into())
            }
            _ => None,
        }
    })
}

pub fn may_restore(app: &App) -> Why {
    may_act(app).or_else(|| {
        if let Some(b) = app.selected_backup() {
            return (!b.restorable)
                .then(|| format!("{} has no restore: add restore = {{ … }} to it in mayday.toml", b.name));
        }
        let any = app.mirror().backups.values().any(|b| b.restorable);
        (!any).then(|| "no backup can be restored: add restore = { … } to a [[backup]] in mayday.toml".into())
    })
}

pub fn has_actions(app: &App) -> Why {
    may_act(app).or_else(|| {
        app.mirror().head.actions.is_empty().then(|| "no action is configured: add an [[action]] to mayday.toml".into())
    })
}

pub fn has_channels(app: &App) -> Why {
    may_act(app).or_else(|| no_channel(app))
}

fn no_channel(app: &App) -> Why {
    let none = app.mirror().head.channels.is_empty();
    none.then(|| "no channel is configured: add a [[channel]] to mayday.toml".into())
}

pub fn any_incident(app: &App) -> Why {
    may_act(app).or_else(|| app.incident().is_none().then(|| "there is no incident: declare one with d".into()))
}

/// Reading how it stands needs neither a link nor the right to act.
pub fn any_incident_known(app: &App) -> Why {
    app.incident().is_none().then(|| "there is no incident: declare one with d".into())
}

pub fn open_incident(app: &App) -> Why {
    may_act(app).or_else(|| match app.incident() {
        Some(i) if i.incident.status.is_open() => None,
        Some(i) => Some(format!("{} is {}: reopen it first", i.incident.id, i.incident.status.word())),
        None => Some("no incident is open: declare one with d".into()),
    })
}

/// A message about the incident can be looked at: from the draft that lies ready, else by asking the engine for one.
pub fn draft_readable(app: &App) -> Why {
    any_incident_known(app).or_else(|| {
        if let Some(none) = no_channel(app) {
            return Some(none);
        }
        let ready = app.incident().is_some_and(|view| view.leading.draft.is_some());
        let lost = matches!(app.watched.link(), LinkState::Lost(..));
        (lost && !ready).then(|| "no link to the engine, and no draft lies ready: E starts one if none runs".into())
    })
}

pub fn update_is_due(app: &App) -> Why {
    open_incident(app).or_else(|| {
        let view = app.incident()?;
        let none = view.leading.due.is_none();
        none.then(|| format!("{} has no cadence: no update is due", view.incident.severity))
    })
}

/// Reading it needs neither a link nor the right to act.
pub fn has_contacts(app: &App) -> Why {
    app.mirror().head.contacts.is_empty().then(|| "no contact is configured: add a [[contact]] to mayday.toml".into())
}

pub fn two_incidents(app: &App) -> Why {
    open_incident(app).or_else(|| {
        (app.mirror().open_incidents().len() < 2).then(|| "no other incident is open to merge it into".into())
    })
}

pub fn closed_incident(app: &App) -> Why {
    may_act(app).or_else(|| match app.last_closed() {
        Some(_) => None,
        None => Some("no incident was resolved".into()),
    })
}

pub fn can_acknowledge(app: &App) -> Why {
    open_incident(app).or_else(|| {
        let view = app.incident()?;
        let by = view.incident.acknowledged_by.as_ref()?;
        Some(format!("{} is acknowledged already, by {by}", view.incident.id))
    })
}

pub fn has_runs(app: &App) -> Why {
    app.mirror().runs.is_empty().then(|| "there is no run yet".into())
}

pub fn can_cancel(app: &App) -> Why {
    may_act(app).or_else(|| match app.selected_run() {
        None => Some("select a run first".into()),
        Some(r) if r.state.is_over() => Some(format!("run {} is over: {}", r.id, r.state.word())),
        Some(r) if r.cancel_requested => Some(format!("run {} is being cancelled already", r.id)),
        Some(_) => None,
    })
}

fn side(app: &App, role: SideRole, what: &str) -> Why {
    may_act(app).or_else(|| match app.selected_run() {
        None => Some("select a restore's run first".into()),
        Some(r) if r.sides.iter().any(|s| s.role == role) => None,
        Some(r) => Some(format!("run {} has {what}", r.id)),
    })
}

pub fn can_cut_over(app: &App) -> Why {
    side(app, SideRole::Ready, "no side copy that is ready to cut over: restore one with R")
}

pub fn can_use_head_start(app: &App) -> Why {
    may_act(app).or_else(|| match app.head_start() {
        None => Some("no head start is ready to cut over: restore a copy with R".into()),
        Some(_) => None,
    })
}

pub fn can_undo(app: &App) -> Why {
    side(app, SideRole::Before, "nothing kept from before a cut-over")
}

pub fn can_drop(app: &App) -> Why {
    may_act(app).or_else(|| match app.selected_run() {
        None => Some("select a run first".into()),
        Some(r) if r.sides.is_empty() => Some(format!("run {} left nothing beside the live data", r.id)),
        Some(_) => None,
    })
}

pub fn can_pause(app: &App) -> Why {
    may_act(app).or_else(|| match app.selected_service() {
        None => Some("select a service first".into()),
        Some(s) if s.state == Health::Paused => Some(format!("{} is paused already", s.name)),
        Some(_) => None,
    })
}

pub fn can_resume(app: &App) -> Why {
    may_act(app).or_else(|| match app.selected_service() {
        None => Some("select a service first".into()),
        Some(s) if s.state != Health::Paused => Some(format!("{} is not paused", s.name)),
        Some(_) => None,
    })
}

pub fn may_recover(app: &App) -> Why {
    may_act(app).or_else(|| {
        let none = app.mirror().head.recoveries.is_empty() && app.mirror().open_recovery().is_none();
        none.then(|| "no recovery is configured: add a [[recovery]] to mayday.toml".into())
    })
}

pub fn recovery_open(app: &App) -> Why {
    may_act(app).or_else(|| app.mirror().open_recovery().is_none().then(|| "no recovery is under way".into()))
}

pub fn recovery_asks(app: &App) -> Why {
    recovery_open(app).or_else(|| {
        let recovery = &app.mirror().open_recovery()?.recovery;
        recovery.halt.is_none().then(|| format!("it is under way at {}", recovery.place()))
    })
}

pub fn recovery_wants_word(app: &App) -> Why {
    recovery_open(app).or_else(|| {
        let recovery = &app.mirror().open_recovery()?.recovery;
        (!recovery.wants_word()).then(|| format!("{} is not a person's to answer for", recovery.place()))
    })
}

/// Reading one needs neither a link nor the right to act; what answers it asks for both.
pub fn any_playbook(app: &App) -> Why {
    let none = app.mirror().head.playbooks.is_empty() && app.mirror().playbooks.is_empty();
    none.then(|| "no playbook is configured: add a [[playbook]] to mayday.toml (mayday playbook shipped)".into())
}

pub fn playbook_open(app: &App) -> Why {
    may_act(app).or_else(|| match super::detail::playbook::shown(app) {
        Some(view) if view.play.state.is_open() => None,
        Some(view) => Some(format!("this playbook is {}", view.play.state.word())),
        None => Some("no playbook is under way: p starts one".into()),
    })
}

pub fn playbook_failed(app: &App) -> Why {
    playbook_open(app).or_else(|| {
        let play = &super::detail::playbook::shown(app)?.play;
        let (_, record) = play.current()?;
        let asks = matches!(record.state, StepState::Failed | StepState::Unproven);
        (!asks).then(|| format!("{} has not failed", play.place()))
    })
}

pub fn playbook_ticks(app: &App) -> Why {
    playbook_open(app).or_else(|| {
        let play = &super::detail::playbook::shown(app)?.play;
        let list = super::detail::playbook::checklist(app, play);
        list.is_none().then(|| format!("{} is no checklist", play.place()))
    })
}

pub fn has_row(app: &App) -> Why {
    let nothing = match app.detail {
        Some(Detail::Output) => app.output.is_none(),
        Some(_) => false,
        None if app.pane == Pane::Incident => app.incident().is_none(),
        None => app.rows_len(app.pane) == 0,
    };
    nothing.then(|| "nothing is selected".into())
}

pub fn link_is_lost(app: &App) -> Why {
    match app.watched.link() {
        LinkState::Lost(..) => None,
        _ => Some("an engine runs and is linked".into()),
    }
}
