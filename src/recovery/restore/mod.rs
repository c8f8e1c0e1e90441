//! Restoring: a copy is put beside the live data, proven there, and only then, as a step of its own, put in its place.
//!
//! Whatever happens (an error, a cancelled run, a killed process, a full disk), the live data is as it was before or the
//! cut-over is complete, never something between. What a broken run left beside is removed, or listed by name.
//!
//! [`plan`] looks and changes nothing. [`execute`] runs one phase of such a plan in the runner's process.

mod child;
mod folder;
mod format;
mod job;
pub mod manifest;
mod names;
mod only;
mod pg;
mod pitr;
mod plan;
mod rabbit;
mod redis;
mod secrets;
mod sql;
mod toc;

use super::op::{Done, OpContext, OpError};

pub use plan::plan;

/// Executes one phase of a plan made by [`plan`], or a compensation.
pub async fn execute(op: &str, args: &serde_json::Value, ctx: &OpContext) -> Result<Done, OpError> {
    match op.split_once('.') {
        Some(("pitr", _)) => pitr::execute(op, args, ctx).await,
        Some(("pg", _)) => pg::execute(op, args, ctx).await,
        Some(("folder", _)) => folder::execute(op, args, ctx).await,
        Some(("rabbit", _)) => rabbit::execute(op, args, ctx).await,
        Some(("redis", _)) => redis::execute(op, args, ctx).await,
        _ => Err(unknown(op)),
    }
}

fn unknown(op: &str) -> OpError {
    OpError::Failed(format!(
        "{op}: this version of mayday does not know this step: run it with the version that planned it"
    ))
}

/// What to say when something cannot be written down: then it is not done.
fn recorded(what: &str) -> impl FnOnce(std::io::Error) -> OpError {
    move |e| {
        OpError::Failed(format!(
            "{what} could not be recorded ({e}), so it is not done: make room on the disk of the state folder"
        ))
    }
}

/// A name that is to be made must be free: what somebody else has put there since the plan is theirs, and nothing of this
/// run's to take away again. Asked before anything is begun.
fn still_free(what: &str, paths: &[&std::path::Path]) -> Result<(), OpError> {
    match paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        None => Ok(()),
        Some(path) => Err(OpError::Failed(format!(
            "{what}: {} exists by now, and is left as it is: plan anew; nothing was begun",
            path.display()
        ))),
    }
}

/// Runs something that blocks, with a copy of the context, on a thread for that.
async fn blocking<T: Send + 'static>(
    what: &str,
    ctx: &OpContext,
    work: impl FnOnce(&OpContext) -> Result<T, OpError> + Send + 'static,
) -> Result<T, OpError> {
    let ctx = ctx.clone();
    let done = tokio::task::spawn_blocking(move || work(&ctx)).await;
    done.map_err(|e| OpError::Failed(format!("{what}: {e}")))?
}
