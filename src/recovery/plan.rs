//! Making plans: from what a person asks to the exact commands, with every precondition looked at first.
//!
//! Planning looks and changes nothing, and it ends: every look has a time limit, and so has the whole. A plan holds no
//! secret; where its secrets come from stands beside it. A refusal is for what cannot be planned at all (an unknown name,
//! a platform that has no such verb); whatever merely stands in the way now is a failing precondition, so that the
//! person sees the whole plan and what is missing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{Config, SecretRef};
use crate::domain::Time;
use crate::domain::backup::Copy;
use crate::domain::command::Refusal;
use crate::domain::run::{Plan, Run, Work};

pub mod after;
pub mod draft;
pub mod expect;
pub mod look;

/// Longest time for making one plan.
const PATIENCE: Duration = Duration::from_secs(60);

/// What planning may know beside what it looks at itself.
#[derive(Clone, Debug, Default)]
pub struct PlanContext {
    pub config: std::sync::Arc<Config>,
    pub now: Time,
    /// A fresh run id: at most 10 lower-case letters and digits.
    pub run_id: String,
    /// Copies per backup set as last listed, newest first, suspect ones included.
    pub copies: BTreeMap<String, Vec<Copy>>,
    /// Runs known so far, oldest first: expected durations and side copies come from here.
    pub runs: Vec<Run>,
    /// Milliseconds that the service has been down, per service, for the RTO left.
    pub down_ms: BTreeMap<String, u64>,
    /// The engine's state folder: a restore never goes there.
    pub state_dir: PathBuf,
    /// Where tools are looked up, in the form of `$PATH`; that of this process when left out.
    pub tool_path: Option<std::ffi::OsString>,
}

/// A plan together with where its secrets come from. The values are resolved by the engine when the run starts.
#[derive(Clone, Debug)]
pub struct Planned {
    pub plan: Plan,
    /// Name in the plan → where the value comes from.
    pub secrets: BTreeMap<String, SecretRef>,
}

/// Makes the plan for `work`. Looks only, and for a bounded time; nothing is changed. A refusal says why there can be no
/// plan at all; what merely forbids its start stands in the plan's preconditions.
pub async fn make(ctx: &PlanContext, work: &Work) -> Result<Planned, Refusal> {
    let made = async {
        match work {
            Work::Act { action } => super::act::plan(ctx, work, action).await,
            Work::Restore { .. }
            | Work::CutOver { .. }
            | Work::CopyIn { .. }
            | Work::Undo { .. }
            | Work::Drop { .. } => super::restore::plan(ctx, work).await,
            // All that names a service goes by its control.
            _ => super::control::plan(ctx, work).await,
        }
    };
    tokio::time::timeout(PATIENCE, made).await.unwrap_or_else(|_| {
        Err(Refusal::new(
            format!("planning \"{} {}\" took longer than {} s", work.verb(), work.object(), PATIENCE.as_secs()),
            "something that was looked at does not answer: a network file system, or a tool's server",
        ))
    })
}

/// The same of what a person is shown of a plan: what is executed, on what, from which copy. Two plans that show the same
/// have the same one, whenever they were made and whatever their ids.
pub fn essence(plan: &Plan) -> String {
    use sha2::{Digest, Sha256};
    let copy = plan.copy.as_ref().map(|c| (&c.id, &c.place, c.taken_at, c.size));
    let phases: Vec<(&str, Vec<String>)> = plan.phases.iter().map(|p| (p.name.as_str(), p.step.shown())).collect();
    let after = plan.after.as_ref().map(|a| &a.shown);
    let all = serde_json::json!([
        plan.work,
        plan.title,
        plan.target,
        plan.service,
        plan.holds,
        plan.risk,
        copy,
        phases,
        after
    ]);
    // Names of what is made carry the id of the run.
    let mut hex = hex::encode(Sha256::digest(all.to_string().replace(&plan.id, "RUN")));
    hex.truncate(16);
    hex
}

/// The first 16 hex digits of the SHA-256 of the plan's JSON: what a confirmation is bound to.
pub fn digest(plan: &Plan) -> String {
    use sha2::{Digest, Sha256};
    let bytes = serde_json::to_vec(plan).unwrap_or_default();
    let mut hex = hex::encode(Sha256::digest(bytes));
    hex.truncate(16);
    hex
}
