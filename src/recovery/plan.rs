//! Making plans: from what a person asks to the exact commands, with every precondition looked at first.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::{Config, SecretRef};
use crate::domain::Time;
use crate::domain::backup::Copy;
use crate::domain::run::Run;

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
