//! Playbooks: choosing one, carrying out the step it is at, answering it, ticking.

use crate::domain::command::Command;
use crate::domain::playbook::{Answer, Does, Offer, Play, PlayState, StepState};
use crate::domain::run::Work;
use crate::viewer::app::{App, Detail, Pending};
use crate::viewer::detail::playbook::{checklist, shown};
use crate::viewer::overlays::{Asked, Overlay, Picker, Prompt};
use crate::viewer::theme::Role;
use crate::wire::Ask;

/// The key of playbooks: shows the one that is under way, else lets one be chosen.
pub fn open(app: &mut App) {
    match app.mirror().active_playbook().map(|v| v.play.id.clone()) {
        Some(id) => show(app, id),
        None => {
            let picker = Picker::playbooks(app);
            app.open_overlay(Overlay::Picker(picker));
        }
    }
}

/// Opens its view.
pub fn show(app: &mut App, id: String) {
    app.detail = Some(Detail::Playbook(id));
    app.detail_top = 0;
    app.tick_at = 0;
}

/// Starts one: nothing is done by that, so it needs no more than the choice.
pub fn start(app: &mut App, name: String) {
    let incident = app.incident().filter(|i| i.incident.status.is_open()).map(|i| i.incident.id.clone());
    let command = Command::PlaybookStart { name: name.clone(), incident, reason: String::new(), text: None };
    app.ask(Pending::Playbook(name), Ask::Do(command));
}

fn this(app: &App) -> Option<Play> {
    shown(app).map(|v| v.play.clone())
}

pub fn say(app: &mut App, said: &str, playbook: &str, answer: Answer) {
    (app.detail_top, app.tick_at) = (0, 0);
    app.act(said, Command::Playbook { playbook: Some(playbook.to_owned()), answer, reason: String::new() });
}

fn ask(app: &mut App, answer: Answer, title: &str, help: &str, needed: bool) {
    let Some(play) = this(app) else { return };
    let title = format!("{title} {}", play.place());
    app.detail_top = 0;
    let asked = Asked::Playbook { playbook: play.id.clone(), answer, needed };
    app.open_overlay(Overlay::Prompt(Prompt::new(asked, title, help, "")));
}

/// What Enter does: carries the step out, says that it is done, opens the choice, resumes.
pub fn go(app: &mut App) {
    let Some(view) = shown(app) else { return };
    let (play, offer, waits, busy) = (view.play.clone(), view.offer.clone(), view.waits.clone(), view.busy);
    let id = play.id.clone();
    if play.changed.is_some() {
        let picker = Picker::playbook_texts(app, &play);
        return app.open_overlay(Overlay::Picker(picker));
    }
    if play.state == PlayState::Left {
        return say(app, "playbook resumed", &id, Answer::Resume { take: None });
    }
    let Some((step, record)) = play.current().filter(|_| play.state.is_open()) else { return };
    match offer {
        Some(Offer::Run { work: Work::Restore { backup, .. }, .. }) => {
            app.for_step = Some(id);
            super::runs::copies(app, backup);
        }
        Some(Offer::Run { work, .. }) => {
            app.for_step = Some(id);
            super::runs::plan(app, work);
        }
        Some(Offer::Recovery { recovery }) => {
            app.for_step = Some(id);
            super::recovery::plan(app, recovery);
        }
        Some(Offer::Message { template, .. }) => {
            app.ask_for_step(Pending::Draft(template), Ask::Draft { template, incident: play.incident.clone() }, id);
        }
        Some(Offer::Hold { services, reason }) => {
            let named = if services.is_empty() { "EVERYTHING".to_owned() } else { services.join(", ") };
            let help =
                format!("{reason}. Nobody restarts or restores it, and no script, until the commander releases it.");
            ask(app, Answer::Done, &format!("HOLD {named}:"), &help, false);
        }
        None => match (record.state, &step.does) {
            _ if busy => app.tell(Role::BannerInfo, waits),
            (StepState::Failed, _) => app.tell(Role::BannerInfo, "it failed: A tries again, O goes on with a reason"),
            (StepState::Unproven, _) => {
                ask(app, Answer::Done, "good:", "what shows it? it goes into the record; it may stay empty", false);
            }
            (_, Does::Manual { evidence }) => {
                let needed = *evidence && record.evidence.is_empty();
                let help = match needed {
                    true => "what was seen or done? (needed; paste it)",
                    false => "what was seen or done? it goes into the record; it may stay empty",
                };
                ask(app, Answer::Done, "done:", help, needed);
            }
            (_, Does::Decide { .. }) => {
                let picker = Picker::playbook_options(app, &play);
                app.open_overlay(Overlay::Picker(picker));
            }
            (_, Does::Checklist { .. }) => say(app, "the checklist is through", &id, Answer::Done),
            _ => app.tell(Role::BannerInfo, if waits.is_empty() { "mayday sees by itself".into() } else { waits }),
        },
    }
}

/// Ticks the item under the cursor, or takes the tick back; the cursor goes on to the next that is not ticked.
pub fn tick(app: &mut App) {
    let Some(play) = this(app) else { return };
    let Some(open) = checklist(app, &play) else { return };
    let at = app.tick_at.min(open.list.items.len().saturating_sub(1));
    let Some(item) = open.list.items.get(at).cloned() else { return };
    let (name, ticked) = (open.list.name.clone(), !open.ticks.contains_key(&item));
    let open_after = |i: &usize| open.list.items.get(*i).is_some_and(|x| !open.ticks.contains_key(x) && *x != item);
    let next = (at + 1..open.list.items.len()).find(open_after).or_else(|| (0..at).find(open_after));
    let said = if ticked { "ticked" } else { "tick taken back" };
    let incident = play.incident.clone();
    app.act(said, Command::Tick { checklist: name, incident, item, ticked, note: String::new(), text: None });
    if let (true, Some(next)) = (ticked, next) {
        app.tick_at = next;
    }
}

pub fn failed(app: &mut App) {
    ask(app, Answer::Fail, "failed:", "what failed? (needed)", true);
}

pub fn skip(app: &mut App) {
    ask(app, Answer::Skip, "skip", "why is it passed over? (needed; it stands in the timeline)", true);
}

pub fn again(app: &mut App) {
    if let Some(play) = this(app) {
        say(app, "tried again", &play.id, Answer::Again);
    }
}

pub fn go_on(app: &mut App) {
    ask(app, Answer::GoOn, "go on after the failed", "why all the same? (needed; the step stays failed)", true);
}

pub fn evidence(app: &mut App) {
    let text =
        Answer::Evidence { step: None, text: String::new(), file: String::new(), digest: String::new(), size: None };
    ask(app, text, "evidence for", "what shows it? paste or write; a file: mayday playbook evidence --file PATH", true);
}

pub fn leave(app: &mut App) {
    ask(app, Answer::Leave, "leave at", "why? whoever comes next resumes it with p; it may stay empty", false);
}

pub fn stop(app: &mut App) {
    ask(app, Answer::Stop, "stop the playbook at", "why? (needed) a run that is under way goes on", true);
}
