//! Making plans: from what a person asks to the exact commands, with every precondition looked at first.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::{Config, SecretRef};
use crate::domain::Time;
use crate::domain::backup::Copy;
use crate::domain::command::Refusal;
use crate::domain::run::{Plan, Run, Work};

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
}

/// A plan together with where its secrets come from. The values are resolved by the engine when the run starts.
#[derive(Clone, Debug)]
pub struct Planned {
    pub plan: crate::domain::run::Plan,
    /// Name in the plan → where the value comes from.
    pub secrets: BTreeMap<String, SecretRef>,
}

/// Makes the plan for `work`. Looks only, and for a bounded time; nothing is changed. A refusal says why there can be no
/// plan at all; what merely forbids its start stands in the plan's preconditions.
pub async fn make(ctx: &PlanContext, work: &Work) -> Result<Planned, Refusal> {
    match work {
        Work::Restore { .. } | Work::CutOver { .. } | Work::Undo { .. } | Work::Drop { .. } => {
            super::restore::plan(ctx, work).await
        }
        _ => Err(Refusal::new(format!("cannot {} {}", work.verb(), work.object()), "")),
    }
}

/// The first 16 hex digits of the SHA-256 of the plan's JSON: what a confirmation is bound to.
pub fn digest(plan: &Plan) -> String {
    use sha2::{Digest, Sha256};
    let bytes = serde_json::to_vec(plan).unwrap_or_default();
    let mut hex = hex::encode(Sha256::digest(bytes));
    hex.truncate(16);
    hex
}
