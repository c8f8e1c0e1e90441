//! Restoring copies: PostgreSQL dumps and folders, each beside the live data first.

use super::op::{Done, OpContext, OpError};
use super::plan::{PlanContext, Planned};
use crate::domain::command::Refusal;
use crate::domain::run::Work;

/// Plans a restore, cut-over, undo or drop.
pub async fn plan(_ctx: &PlanContext, work: &Work) -> Result<Planned, Refusal> {
    Err(Refusal::new(format!("cannot {} {} yet", work.verb(), work.object()), ""))
}

/// Executes a native operation of a plan.
pub async fn execute(op: &str, _args: &serde_json::Value, _ctx: &OpContext) -> Result<Done, OpError> {
    Err(OpError::Failed(format!("there is no operation {op}")))
}
