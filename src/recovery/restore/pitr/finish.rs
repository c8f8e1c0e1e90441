//! The end of a restore to a moment: verified and ready, or removed without a trace.

use std::io;
use std::path::Path;

use super::super::folder;
use super::super::job::{self, PinnedFolder, SideArgs};
use super::super::pg;
use super::server::{self, Stop};
use super::state::{Cluster, FILE, Stage};
use super::{Drop, Job, blocking, data, recorded};
use crate::domain::Time;
use crate::domain::run::{Side, SideRole};
use crate::recovery::op::{Done, OpContext, OpError};
use crate::sys::pg::PgTarget;
use crate::sys::{clock, disk};
use crate::text;

/// Removes what runs left that ended without doing it.
pub async fn clean(job: &Job, ctx: &OpContext) -> Result<Done, OpError> {
    let own = job.clone();
    blocking("remove what earlier runs left", ctx, move |ctx| {
        let folder = own.side.parent().unwrap_or(Path::new("/")).to_path_buf();
        let unfinished = super::state::unfinished(&folder, &own.database);
        for left in &own.leftovers {
            let name = left.display().to_string();
            if !unfinished.iter().any(|(path, _)| path == left) {
                ctx.sink.line(&format!("{name} is no longer marked as incomplete: left alone"));
                continue;
            }
            stop_and_remove(left)
                .map_err(|why| OpError::Failed(format!("remove {name}, left by an earlier run: {why}")))?;
            ctx.sink.gone(&name).map_err(recorded("what was removed"))?;
            ctx.sink.line(&format!("ended and removed {name}, left incomplete by an earlier run"));
        }
        Ok(Done::default())
    })
    .await
}

/// Ends the server of a side cluster and removes its folder. Half removed, it is not startable and still says that it is
/// incomplete. Blocks.
pub fn stop_and_remove(side: &Path) -> Result<(), String> {
    let gone = |result: io::Result<()>| match result {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(format!("{e}: remove {} by hand", side.display())),
        _ => Ok(()),
    };
    if side.symlink_metadata().is_err() {
        return Ok(());
    }
    if let Some(mut cluster) = Cluster::read(side)
        && cluster.stage != Stage::Incomplete
    {
        cluster.stage = Stage::Incomplete;
        gone(cluster.write(side))?;
    }
    server::stop(side, Stop::Now)?;
    gone(std::fs::remove_file(data(side).join("global/pg_control")))?;
    for entry in std::fs::read_dir(side).map_err(|e| e.to_string())? {
        let entry = entry.map_err(|e| e.to_string())?;
        if entry.file_name() == FILE {
            continue;
        }
        let is_dir = entry.file_type().is_ok_and(|t| t.is_dir());
        gone(if is_dir { std::fs::remove_dir_all(entry.path()) } else { std::fs::remove_file(entry.path()) })?;
    }
    gone(std::fs::remove_dir_all(side))?;
    gone(disk::fsync_dir(side.parent().unwrap_or(Path::new("/"))))
}

/// The configured queries, and what is in it; then it is ready.
pub async fn verify(job: &Job, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("verify {}", job.side.display());
    let failed = |why: String| OpError::Failed(format!("{what}: {why}"));
    let mut cluster = Cluster::read(&job.side).ok_or_else(|| failed("its cluster.json is gone".into()))?;
    let target = PgTarget::parse(&cluster.dsn(&job.side)).map_err(|e| failed(e.to_string()))?;
    let asked = pg::queries(&target, &job.database, &job.verify, false, ctx).await?;
    let held = pg::estimate(&target, &job.database).await.map_err(pg::server::failed(&what))?;
    let mut said = format!("{}: {}{asked}", job.database, held.said());
    ctx.sink.line(&said);
    if job.test {
        return Ok(Done { verified: Some(said) });
    }
    let own = job.side.clone();
    let size = tokio::task::spawn_blocking(move || super::super::format::folder_size(&own).unwrap_or(0)).await;
    let size = size.unwrap_or(0);
    cluster.stage = Stage::Ready;
    cluster.write(&job.side).map_err(|e| failed(e.to_string()))?;
    let pinned = folder::pin(&job.side).map_err(|e| failed(e.to_string()))?;
    let side = side(job, pinned, SideRole::Ready, size, SideArgs::default());
    ctx.sink.side(&side).map_err(recorded(&what))?;
    ctx.sink.compensation(None).map_err(recorded(&what))?;
    let address = cluster.dsn(&job.side);
    ctx.sink.line(&format!("look into it (read only, paused): psql \"{address}\""));
    said.push_str(&format!("; {} ready to hand over at {address}", text::size(size)));
    Ok(Done { verified: Some(said) })
}

fn side(job: &Job, pinned: PinnedFolder, role: SideRole, size: u64, state: SideArgs) -> Side {
    let args = SideArgs { backup: job.backup.clone(), copy: job.copy.clone(), folder: Some(pinned), ..state };
    Side {
        kind: "cluster".into(),
        name: job.side.display().to_string(),
        live: job.database.clone(),
        created_at: Time::from_ms(clock::now_ms()),
        size,
        role,
        args: job::write(&args),
    }
}

/// Test mode: the proof is done, the side cluster goes.
pub async fn proof(job: &Job, ctx: &OpContext) -> Result<Done, OpError> {
    remove(job, ctx).await?;
    let when = job.moment.map(super::target::shown).unwrap_or_else(|| job.target.to_string());
    Ok(Done {
        verified: Some(format!(
            "proven: {} and its log give the cluster as of {when}; {} was ended and removed again",
            text::clean(&job.copy.id),
            job.side.display()
        )),
    })
}

/// Takes the side cluster of this run away and closes the open compensation. Safe to call again.
pub async fn remove(job: &Job, ctx: &OpContext) -> Result<(), OpError> {
    let own = job.clone();
    blocking("remove the side cluster", ctx, move |ctx| {
        let name = own.side.display().to_string();
        if let Some(cluster) = Cluster::read(&own.side)
            && cluster.run != own.run
        {
            return Err(OpError::Failed(format!("remove {name}: run {} works on it by now", cluster.run)));
        }
        stop_and_remove(&own.side).map_err(|why| OpError::Failed(format!("remove {name}: {why}")))?;
        ctx.sink.gone(&name).map_err(recorded("what was removed"))?;
        ctx.sink.compensation(None).map_err(recorded("what was removed"))?;
        ctx.sink.line(&format!("ended and removed {name}"));
        Ok(())
    })
    .await
}

/// After a failed phase: the side cluster ends and goes, and the error says so.
pub async fn give_up(job: &Job, ctx: &OpContext, error: OpError) -> OpError {
    // Planned, but never begun: what lies there is somebody else's.
    let began = Cluster::read(&job.side).is_some_and(|c| c.run == job.run) || job.side.symlink_metadata().is_err();
    let add = if !began {
        "the live cluster is untouched".to_owned()
    } else {
        match remove(job, ctx).await {
            Ok(()) => "the live cluster is untouched and the side cluster was removed".to_owned(),
            Err(why) => {
                let pinned = folder::pin(&job.side).unwrap_or(PinnedFolder { path: job.side.clone(), inode: 0 });
                let state = SideArgs { incomplete: true, ..SideArgs::default() };
                let listed = ctx.sink.side(&side(job, pinned, SideRole::Abandoned, 0, state));
                let listed = if listed.is_ok() { "it is listed as incomplete" } else { "it could not be listed" };
                format!(
                    "the live cluster is untouched; {} could not be removed ({why}): {listed}, and is removed by the next \
                     restore",
                    job.side.display()
                )
            }
        }
    };
    match error {
        OpError::Failed(why) => OpError::Failed(format!("{why}; {add}")),
        OpError::Contradicted(why) => OpError::Contradicted(format!("{why}; {add}")),
        OpError::Cancelled => {
            ctx.sink.line(&add);
            OpError::Cancelled
        }
    }
}

/// After a verification that failed: the side cluster is at the moment that was asked for, and whoever asked has to see
/// what is in it. It stays paused, is never offered for a cut-over, and is listed as what it is.
pub async fn keep(job: &Job, ctx: &OpContext, error: OpError) -> OpError {
    let (own, context) = (job.clone(), ctx.clone());
    let kept = blocking("keep the side cluster", ctx, move |_| {
        let failed = |why: String| OpError::Failed(why);
        let mut cluster = Cluster::read(&own.side).ok_or_else(|| failed("its cluster.json is gone".into()))?;
        if cluster.run != own.run || server::find(&own.side).is_none() {
            return Err(failed("its server has ended".into()));
        }
        let size = super::super::format::folder_size(&own.side).unwrap_or(0);
        cluster.stage = Stage::Unverified;
        cluster.write(&own.side).map_err(|e| failed(e.to_string()))?;
        let pinned = folder::pin(&own.side).map_err(|e| failed(e.to_string()))?;
        let state = SideArgs { unverified: true, ..SideArgs::default() };
        let side = side(&own, pinned, SideRole::Abandoned, size, state);
        context.sink.side(&side).map_err(recorded("the side cluster"))?;
        context.sink.compensation(None).map_err(recorded("the side cluster"))?;
        Ok(cluster.dsn(&own.side))
    })
    .await;
    let address = match kept {
        Ok(address) => address,
        Err(why) => {
            ctx.sink.line(&format!("{} is not kept: {why}", job.side.display()));
            return give_up(job, ctx, error).await;
        }
    };
    let set = text::shell_word(&job.backup);
    let add = format!(
        "the live cluster is untouched; {} stays paused, NOT verified and not to be cut over to: look into it: psql \
         \"{address}\"; to another moment, onwards: mayday restore {set} --to MOMENT; to remove it: mayday restore {set} \
         --drop --run {}",
        job.side.display(),
        job.run
    );
    match error {
        OpError::Failed(why) => OpError::Failed(format!("{why}; {add}")),
        OpError::Contradicted(why) => OpError::Contradicted(format!("{why}; {add}")),
        OpError::Cancelled => {
            ctx.sink.line(&add);
            OpError::Cancelled
        }
    }
}

/// Ends and removes a side cluster that is no longer wanted.
pub async fn drop(job: Drop, ctx: &OpContext) -> Result<Done, OpError> {
    let name = job.gone.path.display().to_string();
    let what = format!("drop {name}");
    let again = what.clone();
    blocking(&what, ctx, move |ctx| {
        let failed = |why: String| OpError::Failed(format!("{again}: {why}"));
        let name = job.gone.path.display().to_string();
        match folder::pin(&job.gone.path) {
            Ok(now) if now == job.gone => {
                if ctx.cancel.is_cancelled() {
                    return Err(OpError::Cancelled);
                }
                if Cluster::read(&job.gone.path).is_none() {
                    return Err(failed(format!(
                        "it has no {FILE}: it is no side cluster of mayday; remove it by hand"
                    )));
                }
                stop_and_remove(&job.gone.path).map_err(failed)?;
                ctx.sink.line(&format!("ended and removed {name}"));
            }
            Ok(_) => return Err(failed("it is not the folder it was when this was planned: plan anew".into())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => ctx.sink.line(&format!("{name} is gone already")),
            Err(e) => return Err(failed(e.to_string())),
        }
        ctx.sink.gone(&name).map_err(recorded(&again))?;
        Ok(Done { verified: Some(format!("{name} is gone")) })
    })
    .await
}
