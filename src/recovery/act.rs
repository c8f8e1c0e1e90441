//! Free actions: a command of the configuration, with its risk, its time and the check that shows its effect.

use std::time::Duration;

use super::plan::draft::{Command, Draft, service};
use super::plan::{PlanContext, Planned, look};
use crate::domain::command::Refusal;
use crate::domain::run::{Risk, Work};
use crate::text;

/// Time of an action that has none of its own.
const TIMEOUT: Duration = Duration::from_secs(600);
/// Time until the check of an action has to hold.
const WITHIN: Duration = Duration::from_secs(60);

/// Plans a free action. Errors: there is none of that name.
pub async fn plan(ctx: &PlanContext, work: &Work, name: &str) -> Result<Planned, Refusal> {
    let Some(action) = ctx.config.actions.iter().find(|a| a.name == name) else {
        let known: Vec<&str> = ctx.config.actions.iter().map(|a| a.name.as_str()).collect();
        let instead = match known.is_empty() {
            true => "no action is configured: add an [[action]]".to_owned(),
            false => format!("there are {}", known.join(", ")),
        };
        return Err(Refusal::usage(format!("there is no action \"{}\"", text::clean(name)), instead));
    };
    let service = action.service.as_deref().map(|name| service(ctx, name)).transpose()?;
    let mut draft = Draft::new(ctx, work, service, action.risk);
    draft.plan.title = action.name.clone();
    match (action.risk, service) {
        // Looking keeps nobody from acting.
        (Risk::Observe, _) => draft.plan.holds.clear(),
        (_, None) => draft.plan.holds.push(format!("action {}", action.name)),
        (_, Some(_)) => {}
    }
    let what = if action.doc.is_empty() { format!("runs {}", action.name) } else { action.doc.clone() };
    draft.effects(text::clean(what.trim_end_matches('.')).as_ref());

    let mut command = Command::new(action.run.iter().cloned(), action.timeout.unwrap_or(TIMEOUT));
    command.cwd.clone_from(&action.cwd);
    command.env.clone_from(&action.env);
    if let Some(dir) = &action.cwd {
        draft.look(look::folder("working folder", dir).await);
    }
    draft.look(draft.tools().program(&action.run, action.cwd.as_deref(), &command.plain_env()).await);
    if let Some(warning) = look::arguments(&action.run) {
        draft.look(warning);
    }
    draft.phase(&action.name, command);
    if let Some(verify) = &action.verify {
        let within = action.verify_within.unwrap_or(WITHIN);
        draft.after([("verify".to_owned(), verify)], false, within, 1);
    }
    Ok(draft.finish())
}
