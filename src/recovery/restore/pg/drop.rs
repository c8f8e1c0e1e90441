//! Taking away a side copy or what was kept, after making sure that it is the one that was meant.

use super::super::job::PgDrop;
use super::make;
use super::recorded;
use super::server::{self, failed};
use crate::recovery::op::{Done, OpContext, OpError};

pub async fn run(job: &PgDrop, ctx: &OpContext) -> Result<Done, OpError> {
    let name = &job.gone.name;
    let what = format!("drop {name}");
    let target = job.reach.target_for(ctx)?;
    if *name == job.live {
        return Err(OpError::Failed(format!("{what}: it is the live database")));
    }
    let session = server::beside(&target, &[&job.live, name], &format!("mayday drop {}", job.run)).await;
    let session = session.map_err(failed(format!("{what} on {}", target.label())))?;
    super::standing::lock(&session, &job.live, std::time::Duration::from_secs(2))
        .await
        .map_err(|why| OpError::Failed(format!("{what}: {why}")))?;
    let found = session.database(name).await.map_err(failed(&what))?;
    match found {
        None => ctx.sink.line(&format!("{name} is gone already")),
        Some(found) if found.oid != job.gone.oid => {
            return Err(OpError::Failed(format!(
                "{what}: it is not the database it was when this was planned: plan anew"
            )));
        }
        Some(_) => {
            if ctx.cancel.is_cancelled() {
                return Err(OpError::Cancelled);
            }
            make::drop_database(&session, name, true).await.map_err(failed(&what))?;
            ctx.sink.line(&format!("dropped {name}"));
        }
    }
    ctx.sink.gone(name).map_err(recorded(&what))?;
    Ok(Done { verified: Some(format!("{name} is gone")) })
}
