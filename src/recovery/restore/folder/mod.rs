//! Folders: an archive or a copy is unpacked beside the live folder, on the same file system, and put in its place by
//! exchanging the two names.
//!
//! An archive is not trusted: a name that leads out of the folder, a link that points out of it and a device are refused
//! before anything is unpacked, and unpacking itself never follows a link. A folder that is not complete bears that in its
//! name; taking the name away is the last thing that is done to it.
//!
//! Where only some names are to come back, they are copied into the live folder one by one, each in one step, and what
//! they replace is kept (`copy_in`).

mod check;
mod compare;
mod copy;
mod copy_in;
pub mod entry;
mod extract;
mod fetch;
mod insert;
mod only;
mod open;
mod swap;
pub mod tree;

use super::{blocking, recorded, still_free};
use std::path::{Path, PathBuf};

pub use check::{Contents, archive as check_archive, folder as check_folder, wrapped as check_wrapped};
pub use compare::{Ear, Question, run as differences};
pub use entry::Links;
pub use extract::write_error;
pub use fetch::wanted;
pub use only::Only;
pub use open::{Way, cannot_decrypt};
pub use swap::pin;

use super::format::{self, Kind};
use super::job::{self, FolderCopyIn, FolderDrop, FolderRestore, FolderSwap, SideArgs};
use super::manifest;
use super::names::PARTIAL;
use crate::domain::Time;
use crate::domain::run::{Side, SideRole};
use crate::recovery::op::{Compensation, Done, OpContext, OpError};
use crate::sys::{clock, disk, proc};
use crate::text;

pub const CLEAN: &str = "folder.clean";
pub const CHECK: &str = "folder.check";
pub const EXTRACT: &str = "folder.extract";
pub const COMPARE: &str = "folder.compare";
pub const VERIFY: &str = "folder.verify";
pub const PROOF: &str = "folder.drop-proof";
pub const SWAP: &str = "folder.swap";
pub const COPY_IN: &str = "folder.copy-in";
pub const DROP: &str = "folder.drop";
/// Compensation: what was copied in is taken back.
pub const TAKE_BACK: &str = "folder.take-back";
/// Compensation: after two renames that were cut short, the live name stands for a folder again.
pub const PUT_BACK: &str = "folder.put-back";
/// Compensation: a side folder that was not completed goes.
pub const REMOVE: &str = "folder.remove-side";

/// For one verification command.
const VERIFY_LIMIT: std::time::Duration = std::time::Duration::from_secs(1800);

pub async fn execute(op: &str, args: &serde_json::Value, ctx: &OpContext) -> Result<Done, OpError> {
    match op {
        SWAP => swap::run(job::read::<FolderSwap>(op, args)?, ctx).await,
        PUT_BACK => swap::compensate(job::read::<FolderSwap>(op, args)?, ctx).await,
        COPY_IN => insert::run(job::read::<FolderCopyIn>(op, args)?, ctx).await,
        TAKE_BACK => insert::compensate(job::read::<FolderCopyIn>(op, args)?, ctx).await,
        DROP => drop_kept(job::read::<FolderDrop>(op, args)?, ctx).await,
        REMOVE => {
            let job = job::read::<FolderRestore>(op, args)?;
            remove(&job, ctx).await?;
            Ok(Done { verified: Some(format!("{} is gone", job.side.display())) })
        }
        _ => restore(op, job::read::<FolderRestore>(op, args)?, ctx).await,
    }
}

async fn restore(op: &str, job: FolderRestore, ctx: &OpContext) -> Result<Done, OpError> {
    if op == EXTRACT {
        still_free("make the side folder", &[&job.side, &partial(&job.side)])?;
    }
    let result = match op {
        CLEAN => clean(&job, ctx).await,
        CHECK => check(&job, ctx).await,
        EXTRACT => unpack(&job, ctx).await,
        COMPARE => compare(&job, ctx).await,
        VERIFY => verify(&job, ctx).await,
        PROOF => {
            remove(&job, ctx).await?;
            let said = format!(
                "proven: copy {} unpacks and holds what it should; {} was removed again",
                text::clean(&job.copy.id),
                job.side.display()
            );
            Ok(Done { verified: Some(said) })
        }
        _ => Err(super::unknown(op)),
    };
    match result {
        Err(error) if matches!(op, EXTRACT | COMPARE | VERIFY | PROOF) => Err(give_up(&job, ctx, error).await),
        other => other,
    }
}

/// `docs.restore-k3f9.partial`.
pub fn partial(side: &Path) -> PathBuf {
    let mut name = side.as_os_str().to_owned();
    name.push(PARTIAL);
    PathBuf::from(name)
}

async fn clean(job: &FolderRestore, ctx: &OpContext) -> Result<Done, OpError> {
    let leftovers = job.leftovers.clone();
    blocking("remove what earlier runs left", ctx, move |ctx| {
        for left in &leftovers {
            // Only what says of itself that it is incomplete.
            if left.extension().is_none_or(|e| e != "partial") {
                continue;
            }
            remove_tree(left)?;
            let name = left.display().to_string();
            ctx.sink.gone(name.trim_end_matches(PARTIAL)).map_err(recorded("what was removed"))?;
            ctx.sink.line(&format!("removed {name}, left incomplete by an earlier run"));
        }
        Ok(Done::default())
    })
    .await
}

async fn check(job: &FolderRestore, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("check copy {}", text::clean(&job.copy.id));
    let (own, again) = (job.clone(), what.clone());
    if job.kind == Kind::Vault {
        let contents = fetch::look(job, ctx).await?;
        remember(ctx, CONTENTS, &contents);
        return checked(job, ctx, &what, contents, "every one looked at");
    }
    let manifest = manifest::check(&job.copy, ctx, &what).await?;
    let (only, links) = (only_of(job)?, links_of(job)?);
    let contents = blocking(&what, ctx, move |ctx| {
        let progress = |done, total| {
            ctx.sink.progress(done, total, "reading the copy to its end");
            if ctx.cancel.is_cancelled() {
                std::ops::ControlFlow::Break(())
            } else {
                std::ops::ControlFlow::Continue(())
            }
        };
        let contents = match own.kind {
            Kind::Tar => check::wrapped(&open::Way::of(&own), own.strip, &only, &links, &mut { progress }),
            _ => check::folder(&format::path_of(&own.copy), &only, &links, &mut { progress }),
        };
        contents.map_err(|why| OpError::Failed(format!("{again}: {why}")))?.ok_or(OpError::Cancelled)
    })
    .await?;
    let mut how = "read to the end".to_owned();
    if let Some(manifest) = manifest {
        if manifest.sha256.is_some() {
            how.push_str(", its checksum is its manifest's");
        }
        match manifest.entries {
            Some(entries) if job.only.is_empty() && job.strip == 0 && entries != contents.entries => {
                return Err(OpError::Failed(format!(
                    "{what}: it has {} names and its manifest says {entries}: choose another copy",
                    contents.entries
                )));
            }
            _ => {}
        }
    }
    checked(job, ctx, &what, contents, &how)
}

/// What is to be known of links that come back only while the live folder has the same.
pub fn only_while_live(contents: &Contents) -> Option<String> {
    let list = contents.as_live.join("\", \"");
    (!contents.as_live.is_empty()).then(|| {
        format!(
            "links that lead out of the folder pass only because the live one has the same: if that is lost they are \
             refused; add to `links` of [backup.restore.folder]: \"{list}\""
        )
    })
}

/// Is there room, and what was seen.
fn checked(job: &FolderRestore, ctx: &OpContext, what: &str, contents: Contents, how: &str) -> Result<Done, OpError> {
    let free = disk::free_bytes(job.live.parent().unwrap_or(Path::new("/"))).unwrap_or(u64::MAX);
    if contents.bytes > free {
        let (need, free) = (text::size(contents.bytes), text::size(free));
        let parent = job.live.parent().unwrap_or(Path::new("/")).display().to_string();
        return Err(OpError::Failed(format!(
            "{what}: {need} are needed and {free} are free beside {parent}: make room there"
        )));
    }
    let names = text::plural(contents.entries as usize, "name");
    let mut said = format!("{names} with {}, {how}", text::size(contents.bytes));
    if let Some(only) = only_while_live(&contents) {
        said.push_str(&format!("; {only}"));
    }
    ctx.sink.line(&format!("{}: {said}", text::clean(&job.copy.id)));
    Ok(Done { verified: Some(format!("copy of {said}")) })
}

async fn unpack(job: &FolderRestore, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("unpack {} into {}", text::clean(&job.copy.id), job.side.display());
    if ctx.cancel.is_cancelled() {
        return Err(OpError::Cancelled);
    }
    let removal = Compensation {
        op: REMOVE.to_owned(),
        args: job::write(job),
        shown: format!("remove {}, which was not completed", partial(&job.side).display()),
    };
    ctx.sink.compensation(Some(&removal)).map_err(recorded(&what))?;
    if job.kind == Kind::Vault {
        let proven = fetch::fetch(job, ctx, recall(ctx, CONTENTS)).await?;
        ctx.sink.line(&proven);
        return Ok(Done { verified: Some(proven) });
    }
    let (own, again, only) = (job.clone(), what.clone(), only_of(job)?);
    blocking(&what, ctx, move |ctx| {
        let failed = |why: String| OpError::Failed(format!("{again}: {why}"));
        let beside = partial(&own.side);
        let mut tree = tree::Tree::create(&beside).map_err(failed)?;
        let done = match own.kind {
            Kind::Tar => extract::run(&own, &only, &mut tree, ctx),
            _ => copy::run(&own, &only, &mut tree, ctx),
        };
        let lost = done.map_err(|e| e.into_op(&again))?;
        tree.finish(&own.live).map_err(failed)?;
        for line in lost.said() {
            ctx.sink.line(&line);
        }
        // From here on it may be used: everything in it is on the disk, and now its name says so too.
        std::fs::rename(&beside, &own.side).map_err(|e| failed(format!("take {PARTIAL} off its name: {e}")))?;
        disk::fsync_dir(own.side.parent().unwrap_or(Path::new("/"))).map_err(|e| failed(e.to_string()))?;
        ctx.sink.line(&format!("unpacked {}", text::plural(tree.made() as usize, "name")));
        Ok(Done::default())
    })
    .await
}

/// Contents of a copy, for the phases after the check.
const CONTENTS: &str = "contents.json";

/// Keeps something for a later phase of the same run. Without it that phase knows less, and works.
fn remember<T: serde::Serialize>(ctx: &OpContext, name: &str, what: &T) {
    let bytes = serde_json::to_vec(what).unwrap_or_default();
    let _ = disk::write_atomic(&ctx.dir.join(name), &bytes, 0o600);
}

fn recall<T: serde::de::DeserializeOwned>(ctx: &OpContext, name: &str) -> Option<T> {
    serde_json::from_slice(&std::fs::read(ctx.dir.join(name)).ok()?).ok()
}

fn only_of(job: &FolderRestore) -> Result<Only, OpError> {
    Only::new(&job.only).map_err(|why| OpError::Failed(format!("{why}: correct `only` and plan anew")))
}

fn links_of(job: &FolderRestore) -> Result<Links, OpError> {
    Links::new(&job.live, &job.links).map_err(|why| OpError::Failed(format!("{why}: correct `links` and plan anew")))
}

/// Differences said by name; all of them stand in the list.
const LISTED: u64 = 20;

/// Tells a run's output of the first differences and its list of all of them.
struct Teller<'a> {
    ctx: &'a OpContext,
    list: compare::List,
    told: u64,
}

impl compare::Ear for Teller<'_> {
    fn difference(&mut self, what: &str, below: &Path, of_it: &str) {
        self.list.add(what, below, of_it);
        self.told += 1;
        if self.told <= LISTED {
            let of_it = if of_it.is_empty() { String::new() } else { format!(" ({of_it})") };
            let below = text::clean_bytes(std::os::unix::ffi::OsStrExt::as_bytes(below.as_os_str()));
            self.ctx.sink.line(&format!("{what}: {below}{of_it}"));
        }
    }

    fn go_on(&mut self, seen: u64) -> bool {
        if seen > 0 {
            self.ctx.sink.progress(seen, 0, "comparing");
        }
        !self.ctx.cancel.is_cancelled()
    }
}

async fn compare(job: &FolderRestore, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("compare {} with {}", job.side.display(), job.live.display());
    let (own, only, again) = (job.clone(), only_of(job)?, what.clone());
    let (seen, said) = blocking(&what, ctx, move |ctx| {
        let owners = rustix::process::geteuid().is_root();
        let question = Question { side: &own.side, live: &own.live, only: &only, how: own.compare, owners };
        let mut teller = Teller { ctx, list: compare::List::create(ctx.dir.join(compare::LIST)), told: 0 };
        ctx.sink.progress(0, 0, "comparing");
        let seen = compare::run(&question, &mut teller).map_err(|why| OpError::Failed(format!("{again}: {why}")))?;
        let mut seen = seen.ok_or(OpError::Cancelled)?;
        let said = seen.said(&own.live, own.compare);
        let told = teller.told;
        match teller.list.finish() {
            Ok(path) if told > 0 => {
                ctx.sink.line(&format!("all {told} are listed in {}", path.display()));
                seen.list = Some(path);
            }
            Ok(_) => {}
            Err(e) => ctx.sink.line(&format!("the list of all {told} could not be kept: {e}")),
        }
        Ok((seen, said))
    })
    .await?;
    remember(ctx, compare::COUNTS, &seen);
    ctx.sink.line(&said);
    let list = seen.list.map(|l| format!("; listed in {}", l.display())).unwrap_or_default();
    Ok(Done { verified: Some(format!("{said}{list}")) })
}

async fn verify(job: &FolderRestore, ctx: &OpContext) -> Result<Done, OpError> {
    let said = match job.only.as_slice() {
        [] => commands(&job.verify, &job.side, ctx).await?,
        // The commands are about a whole folder: they run when the names are in the live one.
        _ => "the chosen names unpacked whole".to_owned(),
    };
    if job.test {
        return Ok(Done { verified: Some(said) });
    }
    let what = format!("mark {} as ready", job.side.display());
    let folder = pin(&job.side).map_err(|e| OpError::Failed(format!("{what}: {e}")))?;
    let size = super::format::folder_size(&job.side).unwrap_or(0);
    let args = SideArgs {
        backup: job.backup.clone(),
        copy: job.copy.clone(),
        oid: None,
        folder: Some(folder),
        only: job.only.clone(),
        differences: recall(ctx, compare::COUNTS),
        incomplete: false,
        ..SideArgs::default()
    };
    let ready = side(&job.side, &job.live, SideRole::Ready, size, &args);
    ctx.sink.side(&ready).map_err(recorded(&what))?;
    ctx.sink.compensation(None).map_err(recorded(&what))?;
    Ok(Done { verified: Some(format!("{said}; {}, {}", text::size(size), ready.said())) })
}

fn side(path: &Path, live: &Path, role: SideRole, size: u64, args: &SideArgs) -> Side {
    Side {
        kind: "folder".into(),
        name: path.display().to_string(),
        live: live.display().to_string(),
        created_at: Time::from_ms(clock::now_ms()),
        size,
        role,
        args: job::write(args),
    }
}

/// Runs the configured commands on a folder; each must end with exit 0.
async fn commands(verify: &[Vec<String>], folder: &Path, ctx: &OpContext) -> Result<String, OpError> {
    let shown_folder = folder.display().to_string();
    for argv in verify {
        let argv: Vec<String> = argv.iter().map(|a| a.replace("{side}", &shown_folder)).collect();
        let shown = argv.iter().map(|a| text::shell_word(a)).collect::<Vec<_>>().join(" ");
        let what = format!("verify {shown_folder}: {shown}");
        let Some(cmd) = proc::Cmd::from_argv(&argv) else { continue };
        let outcome = tokio::select! {
            outcome = proc::run(cmd.timeout(VERIFY_LIMIT)) => outcome,
            () = ctx.cancel.cancelled() => return Err(OpError::Cancelled),
        };
        for line in outcome.stdout.text().lines().chain(outcome.stderr.text().lines()) {
            ctx.sink.line(line);
        }
        if !outcome.success() {
            let last =
                outcome.stderr.text().lines().last().map(|l| format!(" ({})", text::clean(l))).unwrap_or_default();
            return Err(OpError::Failed(format!(
                "{what}: {}{last}: look into the copy, or choose another one",
                outcome.end
            )));
        }
        ctx.sink.line(&format!("exit 0: {shown}"));
    }
    Ok(match verify.len() {
        0 => "unpacked whole".into(),
        n => format!("unpacked whole, {} exit 0", text::plural(n, "command")),
    })
}

/// Takes the side folder of this run away and closes the open compensation. Safe to call again.
async fn remove(job: &FolderRestore, ctx: &OpContext) -> Result<(), OpError> {
    let own = job.clone();
    blocking("remove the side folder", ctx, move |ctx| {
        let beside = partial(&own.side);
        if own.side.symlink_metadata().is_ok() {
            // What it was lifted out of may still be there.
            remove_tree(&beside)?;
            // Half removed it must not look complete.
            std::fs::rename(&own.side, &beside)
                .map_err(|e| OpError::Failed(format!("remove {}: {e}", own.side.display())))?;
        }
        remove_tree(&beside)?;
        let name = own.side.display().to_string();
        for name in [&name, &beside.display().to_string()] {
            ctx.sink.gone(name).map_err(recorded("what was removed"))?;
        }
        ctx.sink.compensation(None).map_err(recorded("what was removed"))?;
        ctx.sink.line(&format!("removed {name}"));
        Ok(())
    })
    .await
}

fn remove_tree(path: &Path) -> Result<(), OpError> {
    let removed = match std::fs::remove_dir_all(path) {
        // Without root a folder that may not be written into keeps what is in it.
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            let _ = make_writable(path);
            std::fs::remove_dir_all(path)
        }
        other => other,
    };
    match removed {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(OpError::Failed(format!("remove {}: {e}: remove it by hand", path.display()))),
    }
}

fn make_writable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut open = vec![path.to_path_buf()];
    while let Some(dir) = open.pop() {
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700))?;
        for found in std::fs::read_dir(&dir)? {
            let found = found?;
            if found.file_type()?.is_dir() {
                open.push(found.path());
            }
        }
    }
    Ok(())
}

async fn give_up(job: &FolderRestore, ctx: &OpContext, error: OpError) -> OpError {
    let live = job.live.display();
    let add = match remove(job, ctx).await {
        Ok(()) => format!("{live} is untouched and the side folder was removed"),
        Err(why) => {
            let args = SideArgs {
                backup: job.backup.clone(),
                copy: job.copy.clone(),
                oid: None,
                folder: None,
                incomplete: true,
                ..SideArgs::default()
            };
            let listed = ctx.sink.side(&side(&partial(&job.side), &job.live, SideRole::Abandoned, 0, &args));
            let listed = if listed.is_ok() { "it is listed as incomplete" } else { "it could not be listed" };
            format!("{live} is untouched; the side folder could not be removed ({why}): {listed}")
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

async fn drop_kept(job: FolderDrop, ctx: &OpContext) -> Result<Done, OpError> {
    let name = job.gone.path.display().to_string();
    let what = format!("remove {name}");
    let again = what.clone();
    blocking(&what, ctx, move |ctx| {
        let failed = |why: String| OpError::Failed(format!("{again}: {why}"));
        if job.gone.path == job.live {
            return Err(failed("it is the live folder".into()));
        }
        let name = job.gone.path.display().to_string();
        // Half removed it must not be put back by anybody.
        let going = partial(&job.gone.path);
        match pin(&job.gone.path) {
            Ok(now) if now == job.gone => {
                if ctx.cancel.is_cancelled() {
                    return Err(OpError::Cancelled);
                }
                std::fs::rename(&job.gone.path, &going).map_err(|e| failed(e.to_string()))?;
            }
            Ok(_) => return Err(failed("it is not the folder it was when this was planned: plan anew".into())),
            Err(_) if going.symlink_metadata().is_ok() || job.gone.inode == 0 => {}
            Err(_) => ctx.sink.line(&format!("{name} is gone already")),
        }
        remove_tree(&going)?;
        ctx.sink.line(&format!("removed {name}"));
        ctx.sink.gone(&name).map_err(recorded(&again))?;
        Ok(Done { verified: Some(format!("{name} is gone")) })
    })
    .await
}
