//! Putting one folder in the place of another, and back.
//!
//! Where the file system can exchange two names in one step there is no moment without a live folder. Where it cannot,
//! two renames follow one another and what takes the first one back is on disk before it. Which folder stands where is
//! afterwards told by inode, which a rename does not change.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::job::{self, FolderSwap, PinnedFolder, SideArgs};
use super::{PUT_BACK, recorded};
use crate::domain::run::SideRole;
use crate::recovery::op::{Compensation, Done, OpContext, OpError};
use crate::sys::disk::{self, ExchangeError};
use crate::text;

/// A folder by path and inode; links are not followed.
pub fn pin(path: &Path) -> io::Result<PinnedFolder> {
    let meta = path.symlink_metadata()?;
    if !meta.is_dir() {
        return Err(io::Error::from(io::ErrorKind::NotADirectory));
    }
    Ok(PinnedFolder { path: path.to_path_buf(), inode: meta.ino() })
}

fn word(job: &FolderSwap) -> String {
    if job.undo {
        format!("undo the cut-over of {}", job.live.display())
    } else {
        format!("cut {} over to {}", job.live.display(), job.enter.path.display())
    }
}

fn is_at(folder: &PinnedFolder, path: &Path) -> bool {
    pin(path).is_ok_and(|now| now.inode == folder.inode)
}

pub async fn run(job: FolderSwap, ctx: &OpContext) -> Result<Done, OpError> {
    let what = word(&job);
    let own = job.clone();
    let down = super::blocking(&what, ctx, move |ctx| exchange(&own, ctx)).await?;
    let kept = match &job.leave {
        Some(_) => format!("; what was live is kept as {}", job.kept_as.display()),
        None => String::new(),
    };
    let verified = super::commands(&job.verify, &job.live, ctx).await;
    match verified {
        Ok(said) => {
            let gap = if down.is_zero() {
                "exchanged in one step".to_owned()
            } else {
                format!("there was no folder for {}", text::duration(down))
            };
            Ok(Done {
                verified: Some(format!("{} is {}: {said}; {gap}{kept}", job.live.display(), job.enter.path.display())),
            })
        }
        Err(OpError::Failed(why)) => Err(OpError::Contradicted(format!("{what}: done, yet {why}{kept}"))),
        // It is done all the same.
        Err(OpError::Cancelled) => Ok(Done { verified: None }),
        Err(other) => Err(other),
    }
}

/// How long there was no live folder.
fn exchange(job: &FolderSwap, ctx: &OpContext) -> Result<Duration, OpError> {
    let what = word(job);
    let failed = |why: String| OpError::Failed(format!("{what}: {why}; {} is as it was", job.live.display()));
    let planned = |ok: bool, path: &Path| {
        if ok {
            Ok(())
        } else {
            Err(failed(format!("{} is not the folder it was when this was planned: plan anew", path.display())))
        }
    };
    planned(is_at(&job.enter, &job.enter.path), &job.enter.path)?;
    match &job.leave {
        Some(leave) => planned(is_at(leave, &job.live), &job.live)?,
        None => planned(job.live.symlink_metadata().is_err(), &job.live)?,
    }
    if job.kept_as.symlink_metadata().is_ok() {
        return Err(failed(format!("there is already a {}: rename it or drop it", job.kept_as.display())));
    }
    if ctx.cancel.is_cancelled() {
        return Err(OpError::Cancelled);
    }
    let compensation = Compensation {
        op: PUT_BACK.to_owned(),
        args: job::write(job),
        shown: format!("see to it that {} is there", job.live.display()),
    };
    ctx.sink.compensation(Some(&compensation)).map_err(recorded(&what))?;
    let outcome = swap(job);
    let stands = settle(job);
    match (outcome, stands) {
        (Ok(down), Ok(true)) => {
            record(job, ctx);
            Ok(down)
        }
        (outcome, Ok(swapped)) => {
            let why = outcome.err().unwrap_or_else(|| "the names were changed by somebody else meanwhile".into());
            if swapped {
                record(job, ctx);
                ctx.sink.line(&why);
                return Ok(Duration::ZERO);
            }
            ctx.sink.compensation(None).map_err(recorded(&what))?;
            Err(failed(why))
        }
        (outcome, Err(why)) => {
            let first = outcome.err().map(|e| format!("{e}; ")).unwrap_or_default();
            Err(OpError::Failed(format!("{what}: {first}{why}: this stays open and is tried again")))
        }
    }
}

fn swap(job: &FolderSwap) -> Result<Duration, String> {
    let rename = |from: &Path, to: &Path| {
        std::fs::rename(from, to)
            .map_err(|e| format!("rename {} to {}: {}", from.display(), to.display(), rename_error(&e)))
    };
    if job.leave.is_none() {
        rename(&job.enter.path, &job.live)?;
        return sync(job).map(|()| Duration::ZERO);
    }
    match disk::rename_exchange(&job.live, &job.enter.path) {
        Ok(()) => {
            rename(&job.enter.path, &job.kept_as)?;
            sync(job).map(|()| Duration::ZERO)
        }
        Err(ExchangeError::Unsupported(_)) => two_renames(job),
        Err(e) => Err(e.to_string()),
    }
}

/// For file systems that cannot exchange. Returns how long there was no live folder.
fn two_renames(job: &FolderSwap) -> Result<Duration, String> {
    let rename = |from: &Path, to: &Path| {
        std::fs::rename(from, to)
            .map_err(|e| format!("rename {} to {}: {}", from.display(), to.display(), rename_error(&e)))
    };
    let began = Instant::now();
    rename(&job.live, &job.kept_as)?;
    rename(&job.enter.path, &job.live)?;
    let down = began.elapsed();
    sync(job).map(|()| down)
}

fn rename_error(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::ResourceBusy => "it is a mount point, which cannot be renamed: restore a folder below it".into(),
        io::ErrorKind::PermissionDenied => "this user may not: run mayday as one who may write there".into(),
        io::ErrorKind::CrossesDevices => "they are on different file systems".into(),
        _ => e.to_string(),
    }
}

fn sync(job: &FolderSwap) -> Result<(), String> {
    let parent = job.live.parent().unwrap_or(Path::new("/"));
    disk::fsync_dir(parent).map_err(|e| format!("sync {}: {e}", parent.display()))
}

/// Which folder is live now, with half a swap made whole: true when it is the entering one. Safe to do again.
fn settle(job: &FolderSwap) -> Result<bool, String> {
    let go = |from: &Path, to: &PathBuf| {
        std::fs::rename(from, to)
            .map_err(|e| format!("rename {} to {}: {}", from.display(), to.display(), rename_error(&e)))
    };
    if is_at(&job.enter, &job.live) {
        // Exchanged, and the old one not yet called what it is.
        if let Some(leave) = &job.leave
            && is_at(leave, &job.enter.path)
        {
            go(&job.enter.path, &job.kept_as)?;
            sync(job)?;
        }
        return Ok(true);
    }
    let Some(leave) = &job.leave else { return Ok(false) };
    if is_at(leave, &job.live) {
        return Ok(false);
    }
    if job.live.symlink_metadata().is_err() && is_at(leave, &job.kept_as) {
        go(&job.kept_as, &job.live)?;
        sync(job)?;
        return Ok(false);
    }
    Err(format!(
        "{} is neither the folder it was nor the restored one: look at {} and {}",
        job.live.display(),
        job.kept_as.display(),
        job.enter.path.display()
    ))
}

fn record(job: &FolderSwap, ctx: &OpContext) {
    let mut faults = Vec::new();
    if let Some(leave) = &job.leave {
        let role = if job.undo { SideRole::Abandoned } else { SideRole::Before };
        let kept = PinnedFolder { path: job.kept_as.clone(), ..leave.clone() };
        let args = SideArgs {
            backup: job.backup.clone(),
            copy: job.copy.clone(),
            oid: None,
            folder: Some(kept),
            incomplete: false,
            ..SideArgs::default()
        };
        let size = super::super::format::folder_size(&job.kept_as).unwrap_or(0);
        faults.extend(ctx.sink.side(&super::side(&job.kept_as, &job.live, role, size, &args)).err());
    }
    faults.extend(ctx.sink.gone(&job.enter.path.display().to_string()).err());
    faults.extend(ctx.sink.compensation(None).err());
    for e in faults {
        ctx.sink.line(&format!("what was live is kept as {}, which could not be recorded: {e}", job.kept_as.display()));
    }
}

/// The compensation of a run that died: safe to execute any number of times.
pub async fn compensate(job: FolderSwap, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("see to it that {} is there", job.live.display());
    let again = what.clone();
    super::blocking(&what, ctx, move |ctx| {
        let swapped = settle(&job).map_err(|why| OpError::Failed(format!("{again}: {why}")))?;
        let live = job.live.display();
        if swapped {
            record(&job, ctx);
            return Ok(Done { verified: Some(format!("{} had been done", word(&job))) });
        }
        ctx.sink.compensation(None).map_err(recorded(&again))?;
        Ok(Done { verified: Some(format!("{live} is as it was: nothing was exchanged")) })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(dir: &Path) -> FolderSwap {
        for (name, text) in [("docs", "old"), ("side", "new")] {
            std::fs::create_dir(dir.join(name)).unwrap();
            std::fs::write(dir.join(name).join("f"), text).unwrap();
        }
        FolderSwap {
            backup: "full".into(),
            run: "r1".into(),
            live: dir.join("docs"),
            enter: pin(&dir.join("side")).unwrap(),
            leave: Some(pin(&dir.join("docs")).unwrap()),
            kept_as: dir.join("docs.before-r1"),
            undo: false,
            verify: Vec::new(),
            copy: Default::default(),
        }
    }

    #[test]
    fn two_renames_do_what_an_exchange_does() {
        let dir = tempfile::tempdir().unwrap();
        let job = job(dir.path());
        assert!(two_renames(&job).unwrap() < Duration::from_secs(5));
        assert_eq!(settle(&job), Ok(true));
        let text = |name: &str| std::fs::read_to_string(dir.path().join(name).join("f")).unwrap();
        assert_eq!((text("docs").as_str(), text("docs.before-r1").as_str()), ("new", "old"));
    }

    #[test]
    fn when_the_second_rename_fails_the_first_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let job = job(dir.path());
        std::fs::rename(dir.path().join("side"), dir.path().join("elsewhere")).unwrap();
        assert!(two_renames(&job).unwrap_err().contains("side"));
        assert!(!job.live.exists());
        assert_eq!(settle(&job), Ok(false));
        assert_eq!(std::fs::read_to_string(job.live.join("f")).unwrap(), "old");
        assert!(!job.kept_as.exists());
    }
}
