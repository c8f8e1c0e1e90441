//! The step that copies chosen names into the live folder, and its undo: what is journaled around it.

use std::path::{Path, PathBuf};

use super::super::job::{self, FolderCopyIn, PinnedFolder, SideArgs};
use super::only::Only;
use super::{TAKE_BACK, copy_in, partial, pin, recorded};
use crate::domain::run::SideRole;
use crate::recovery::op::{Compensation, Done, OpContext, OpError};
use crate::sys::disk;
use crate::text;

fn word(job: &FolderCopyIn) -> String {
    if job.undo {
        format!("undo the copying into {}", job.live.display())
    } else {
        format!("copy names of {} into {}", job.enter.path.display(), job.live.display())
    }
}

pub async fn run(job: FolderCopyIn, ctx: &OpContext) -> Result<Done, OpError> {
    let what = word(&job);
    let own = job.clone();
    let moved = super::blocking(&what, ctx, move |ctx| copy(&own, ctx)).await?;
    if moved.sockets > 0 {
        let names = text::plural(usize::try_from(moved.sockets).unwrap_or(usize::MAX), "name");
        ctx.sink.line(&format!("{names} left out: sockets are made anew by whoever listens"));
    }
    let kept = format!("what was there is kept in {}", job.kept_as.display());
    let said = moved.said();
    match super::commands(&job.verify, &job.live, ctx).await {
        Ok(verified) if job.verify.is_empty() => {
            drop(verified);
            Ok(Done { verified: Some(format!("{}: {said}; {kept}", job.live.display())) })
        }
        Ok(verified) => Ok(Done { verified: Some(format!("{}: {said}; {verified}; {kept}", job.live.display())) }),
        Err(OpError::Failed(why)) => Err(OpError::Contradicted(format!("{what}: done ({said}), yet {why}; {kept}"))),
        // It is done all the same.
        Err(OpError::Cancelled) => Ok(Done { verified: None }),
        Err(other) => Err(other),
    }
}

fn copy(job: &FolderCopyIn, ctx: &OpContext) -> Result<copy_in::Moved, OpError> {
    let what = word(job);
    let failed = |why: String| OpError::Failed(format!("{what}: {why}; {} is as it was", job.live.display()));
    for planned in [&job.enter, &job.leave] {
        if !pin(&planned.path).is_ok_and(|now| now.inode == planned.inode) {
            let path = planned.path.display();
            return Err(failed(format!("{path} is not the folder it was when this was planned: plan anew")));
        }
    }
    for taken in [&job.kept_as, &partial(&job.kept_as)] {
        if taken.symlink_metadata().is_ok() {
            return Err(failed(format!("there is already a {}: rename it or drop it", taken.display())));
        }
    }
    let only = Only::new(&job.only).map_err(failed)?;
    if ctx.cancel.is_cancelled() {
        return Err(OpError::Cancelled);
    }
    let compensation = Compensation {
        op: TAKE_BACK.to_owned(),
        args: job::write(job),
        shown: format!(
            "take back what was copied into {}, and remove {}",
            job.live.display(),
            partial(&job.kept_as).display()
        ),
    };
    ctx.sink.compensation(Some(&compensation)).map_err(recorded(&what))?;
    let prepared = match copy_in::prepare(job, &only, ctx) {
        Ok(prepared) => prepared,
        Err(fault) => return Err(give_up(job, ctx, fault.into_op(&what))),
    };
    if ctx.cancel.is_cancelled() {
        return Err(give_up(job, ctx, OpError::Cancelled));
    }
    ctx.sink.line("all of it lies beside: the names change places now");
    match copy_in::exchange(job, prepared, ctx) {
        Ok(moved) => {
            settle(job, ctx);
            Ok(moved)
        }
        // The last rename may have been done, and only what follows it not.
        Err(_) if job.kept_as.symlink_metadata().is_ok() => {
            settle(job, ctx);
            Ok(copy_in::Moved::default())
        }
        Err(why) => Err(give_up(job, ctx, OpError::Failed(format!("{what}: {why}")))),
    }
}

/// What follows a copying in that was done.
fn settle(job: &FolderCopyIn, ctx: &OpContext) {
    let mut faults = Vec::new();
    if let Err(why) = copy_in::tidy(job) {
        ctx.sink.line(&format!("folders that are empty now could not be removed: {why}"));
    }
    let _ = disk::fsync_dir(job.live.parent().unwrap_or(Path::new("/")));
    let role = if job.undo { SideRole::Abandoned } else { SideRole::Before };
    let folder = pin(&job.kept_as).unwrap_or(PinnedFolder { path: job.kept_as.clone(), inode: 0 });
    let args = SideArgs {
        backup: job.backup.clone(),
        copy: job.copy.clone(),
        folder: Some(folder),
        only: job.only.clone(),
        copied_in: true,
        ..SideArgs::default()
    };
    let size = super::format::folder_size(&job.kept_as).unwrap_or(0);
    faults.extend(ctx.sink.side(&super::side(&job.kept_as, &job.live, role, size, &args)).err());
    if job.undo {
        // Its files are back in their places; nothing in it is only there.
        match super::remove_tree(&job.enter.path) {
            Ok(()) => faults.extend(ctx.sink.gone(&job.enter.path.display().to_string()).err()),
            Err(why) => ctx.sink.line(&why.to_string()),
        }
    }
    faults.extend(ctx.sink.compensation(None).err());
    for e in faults {
        ctx.sink
            .line(&format!("what was there is kept in {}, which could not be recorded: {e}", job.kept_as.display()));
    }
}

/// Takes back what was done and removes what lies beside, unless that has what was live and could not go back. Safe to do
/// again.
fn back(job: &FolderCopyIn, ctx: &OpContext) -> Result<String, OpError> {
    let back = copy_in::take_back(job).map_err(OpError::Failed)?;
    let names = |n: u64| text::plural(usize::try_from(n).unwrap_or(usize::MAX), "name");
    let (beside, live, rest) = (partial(&job.kept_as), job.live.display(), rest(&job.kept_as));
    if back.stays > 0 {
        std::fs::rename(&beside, &rest)
            .map_err(|e| OpError::Failed(format!("rename {} to {}: {e}", beside.display(), rest.display())))?;
    }
    let mut said = match back.put {
        0 => format!("{live} is untouched"),
        put if back.stays > 0 => format!("{} put back in {live}", names(put)),
        put => format!("{} put back: {live} is as it was", names(put)),
    };
    // It may also have its name of a try that was cut short before it was recorded.
    if rest.symlink_metadata().is_ok() {
        let args = SideArgs {
            backup: job.backup.clone(),
            copy: job.copy.clone(),
            folder: pin(&rest).ok(),
            incomplete: true,
            ..SideArgs::default()
        };
        let size = super::format::folder_size(&rest).unwrap_or(0);
        let side = super::side(&rest, &job.live, SideRole::Before, size, &args);
        ctx.sink.side(&side).map_err(recorded("what is kept"))?;
        let changed = if back.stays > 0 { names(back.stays) } else { "names".into() };
        said.push_str(&format!(
            "; {changed} changed by somebody else meanwhile and left alone, what was there before is kept in {}",
            rest.display()
        ));
    }
    super::remove_tree(&beside)?;
    ctx.sink.compensation(None).map_err(recorded("that it was taken back"))?;
    Ok(said)
}

/// What is kept when not all could be taken back.
fn rest(kept_as: &Path) -> PathBuf {
    let mut name = kept_as.as_os_str().to_owned();
    name.push(".rest");
    PathBuf::from(name)
}

fn give_up(job: &FolderCopyIn, ctx: &OpContext, error: OpError) -> OpError {
    let add = match back(job, ctx) {
        Ok(said) => said,
        Err(why) => format!("not all could be taken back ({why}): this stays open and is tried again"),
    };
    match error {
        OpError::Failed(why) => OpError::Failed(format!("{why}; {add}")),
        other => {
            ctx.sink.line(&add);
            other
        }
    }
}

/// The compensation of a run that died: safe to execute any number of times.
pub async fn compensate(job: FolderCopyIn, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("take back what was copied into {}", job.live.display());
    super::blocking(&what, ctx, move |ctx| {
        if job.kept_as.symlink_metadata().is_ok() {
            settle(&job, ctx);
            return Ok(Done { verified: Some(format!("{} had been done", word(&job))) });
        }
        let said = back(&job, ctx)?;
        ctx.sink.line(&said);
        Ok(Done { verified: Some(said) })
    })
    .await
}
