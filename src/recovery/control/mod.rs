//! Restarting, stopping and starting services: one file for each kind of platform, with its exact argument lists.
//!
//! Platforms are driven by their own command-line tools, so that what is done can be read, copied and audited. What a
//! platform cannot do is refused in words, never imitated. Exit 0 of such a tool says little (a unit counts as started
//! when its process was forked): the service's own checks have the last word, and where it has none, the platform's own
//! state.

use std::time::Duration;

use super::plan::draft::{Draft, service};
use super::plan::{PlanContext, Planned, after};
use crate::config::{CheckKind, Control, Service};
use crate::domain::command::Refusal;
use crate::domain::run::{Risk, Work};

mod commands;
mod compose;
mod docker;
mod further;
mod kubernetes;
mod railway;
mod systemd;

/// Time of one command of a tool that acts on this host.
const LOCAL: Duration = Duration::from_secs(300);
/// Time of one command of a tool that waits for a remote platform.
const REMOTE: Duration = Duration::from_secs(600);
/// Time until the effect has to be seen.
const WITHIN: Duration = Duration::from_secs(120);
/// How often in a row.
const TIMES: u32 = 2;

/// What is to be done to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Restart,
    Stop,
    Start,
}

impl Verb {
    pub const fn word(self) -> &'static str {
        match self {
            Verb::Restart => "restart",
            Verb::Stop => "stop",
            Verb::Start => "start",
        }
    }
}

/// Plans a restart, stop or start. Errors: the service is not known, has no control, or its platform has no such verb.
pub async fn plan(ctx: &PlanContext, work: &Work) -> Result<Planned, Refusal> {
    if matches!(work, Work::Redeploy { .. } | Work::Scale { .. } | Work::Promote { .. } | Work::Logs { .. }) {
        return further::plan(ctx, work).await;
    }
    // Stopping is a shutdown: what depends on it goes down and stays down, so its name is typed.
    let (verb, risk) = match work {
        Work::Stop { .. } => (Verb::Stop, Risk::Destructive),
        Work::Start { .. } => (Verb::Start, Risk::Disruptive),
        _ => (Verb::Restart, Risk::Disruptive),
    };
    let service = service(ctx, work.object())?;
    let Some(control) = &service.control else {
        return Err(Refusal::new(
            format!("it is not configured how {} is to be {}", service.name, past(verb)),
            "add `control` to the service: systemd, docker, compose, kubernetes, railway, or commands of your own",
        ));
    };
    let mut draft = Draft::new(ctx, work, Some(service), risk);
    let own: Option<CheckKind> = match control {
        Control::Systemd { unit, user } => systemd::plan(&mut draft, verb, unit, *user).await,
        Control::Docker { container } => docker::plan(&mut draft, verb, container).await,
        Control::Compose { project_dir, file, service } => {
            compose::plan(&mut draft, verb, project_dir.as_deref(), file.as_deref(), service).await
        }
        Control::Kubernetes { namespace, context, workload } => {
            kubernetes::plan(&mut draft, verb, namespace.as_deref(), context.as_deref(), workload).await
        }
        Control::Railway { service, environment, project_dir } => {
            railway::plan(&mut draft, verb, service, environment.as_deref(), project_dir.as_deref()).await
        }
        Control::Commands(commands) => commands::plan(&mut draft, verb, &service.name, commands).await,
    }?;
    look_after(&mut draft, verb, service, own.as_ref());
    if verb == Verb::Stop {
        draft.plan.undo = format!("start it again: mayday start {}", service.name);
    }
    Ok(draft.finish())
}

/// The service's own checks see the effect; without one, the platform's state does.
fn look_after(draft: &mut Draft<'_>, verb: Verb, service: &Service, own: Option<&CheckKind>) {
    let mut checks = match verb {
        Verb::Stop => after::of_stopped(&service.checks),
        _ => after::of_service(&service.checks),
    };
    if checks.is_empty() {
        checks.extend(own.map(|kind| (kind.word().to_owned(), kind)));
    }
    draft.after(checks, verb == Verb::Stop, WITHIN, TIMES);
}

fn past(verb: Verb) -> &'static str {
    match verb {
        Verb::Restart => "restarted",
        Verb::Stop => "stopped",
        Verb::Start => "started",
    }
}
