//! Recoveries of whole systems: choosing one, confirming it as a whole, answering the one that is under way.

use crate::domain::command::{Command, RecoveryAnswer};
use crate::domain::recovery::Why;
use crate::viewer::app::{App, Pending};
use crate::viewer::overlays::{Asked, Confirm, Overlay, Picker, Prompt};
use crate::viewer::theme::Role;
use crate::wire::Ask;

/// The key of recoveries: answers the one that is open, else starts one.
pub fn open(app: &mut App) {
    if app.mirror().open_recovery().is_some() {
        let picker = Picker::answers(app);
        return app.open_overlay(Overlay::Picker(picker));
    }
    let names: Vec<String> = app.mirror().head.recoveries.keys().cloned().collect();
    if let [only] = names.as_slice() {
        return plan(app, only.clone());
    }
    let picker = Picker::recoveries(app);
    app.open_overlay(Overlay::Picker(picker));
}

/// Asks for the plan of every step.
pub fn plan(app: &mut App, name: String) {
    app.tell(Role::Dim, format!("planning every step of {name}{}", app.look.g.ellipsis));
    match app.for_step.take() {
        Some(playbook) => app.ask_for_step(Pending::Recovery(name.clone()), Ask::PlanRecovery { name }, playbook),
        None => {
            app.ask(Pending::Recovery(name.clone()), Ask::PlanRecovery { name });
        }
    }
}

fn answer(app: &mut App, said: &str, answer: RecoveryAnswer) {
    app.act(said, Command::Answer { recovery: None, answer, reason: String::new() });
}

/// Tries the step again; what has changed is shown and confirmed first.
pub fn resume(app: &mut App) {
    let changed = app.mirror().open_recovery().and_then(|view| {
        let halt = view.recovery.halt.as_ref().filter(|h| h.why == Why::Changed)?;
        Some((halt.now.clone()?, halt.detail.clone()))
    });
    match changed {
        Some((now, detail)) => {
            let confirm = Confirm::of_changed(app, &now, &detail);
            app.open_overlay(Overlay::Confirm(Box::new(confirm)));
        }
        None => {
            let said = RecoveryAnswer::Resume { digest: String::new(), confirm: String::new() };
            answer(app, "recovery resumed", said);
        }
    }
}

pub fn done(app: &mut App) {
    answer(app, "the step is done", RecoveryAnswer::Done);
}

/// Asks for the reason of an answer, the step it is about in the title.
fn ask(app: &mut App, answer: RecoveryAnswer, title: &str, help: &str) {
    let Some(view) = app.mirror().open_recovery() else { return };
    let title = format!("{title} {}", view.recovery.place());
    let asked = Asked::Recovery { recovery: view.recovery.plan.id.clone(), answer };
    app.open_overlay(Overlay::Prompt(Prompt::new(asked, title, help, "")));
}

pub fn failed(app: &mut App) {
    ask(app, RecoveryAnswer::Failed, "failed:", "what failed? (needed)");
}

pub fn skip(app: &mut App) {
    ask(app, RecoveryAnswer::Skip, "skip", "why is it passed over? (needed; it stands in the timeline)");
}

pub fn stop(app: &mut App) {
    ask(app, RecoveryAnswer::Stop, "stop the recovery at", "why? a run that is under way goes on; it may stay empty");
}
