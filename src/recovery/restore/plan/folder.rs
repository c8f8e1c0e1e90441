//! Planning the restore of a folder, and the steps that follow it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::folder::{self, Contents};
use super::super::format::{self, Kind, Shape};
use super::super::job::{self, FolderDrop, FolderRestore as Job, FolderSwap, PinnedFolder};
use super::super::names::{self, Beside, PARTIAL};
use super::{Draft, Found, STEP_TIMEOUT_MS, copy, disk, expect, timeout_ms};
use crate::config::{Backup, FolderRestore};
use crate::domain::command::Refusal;
use crate::domain::run::{Risk, SideRole, Work};
use crate::recovery::plan::{PlanContext, Planned};
use crate::sys::proc;
use crate::text;

/// Copies up to this size are read to their end while planning; larger ones as the first phase.
const READ_NOW: u64 = 32 << 20;
const READ_LIMIT: Duration = Duration::from_secs(6);
/// For looking at a file system that may be dead.
const LOOK_LIMIT: Duration = Duration::from_secs(10);

/// The live folder with links resolved: a link stays what it is, and what it leads to is exchanged.
fn resolve(live: &Path) -> PathBuf {
    if let Ok(real) = live.canonicalize() {
        return real;
    }
    match (live.parent().map(Path::canonicalize), live.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => live.to_path_buf(),
    }
}

fn name_of(live: &Path) -> String {
    live.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

fn beside(live: &Path, what: Beside, run: &str) -> PathBuf {
    live.with_file_name(names::folder(&name_of(live), what, run))
}

async fn blocking<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    match tokio::time::timeout(LOOK_LIMIT, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(e)) => Err(format!("{what}: {e}")),
        Err(_) => Err(format!("{what}: its file system does not answer")),
    }
}

pub async fn plan(
    ctx: &PlanContext,
    set: &Backup,
    how: &FolderRestore,
    asked: Option<&str>,
    test: bool,
) -> Result<Planned, Refusal> {
    let work = Work::Restore { backup: set.name.clone(), copy: asked.map(str::to_owned), test };
    let chosen = copy::choose(ctx, set, asked)?;
    let mut draft = Draft::new(ctx, &work, set, Risk::Disruptive);
    copy::judge(&mut draft, ctx, set, chosen, asked.is_some());
    let path = how.path.clone();
    let live = blocking("look at the live folder", move || resolve(&path)).await.unwrap_or_else(|_| how.path.clone());
    let mut job = Job {
        backup: set.name.clone(),
        run: ctx.run_id.clone(),
        side: beside(&live, Beside::Restore, &ctx.run_id),
        live,
        copy: chosen.clone(),
        kind: Kind::Tar,
        strip: how.strip,
        verify: how.verify.clone(),
        test,
        leftovers: Vec::new(),
    };
    let place = PathBuf::from(&chosen.place);
    let shape = blocking("look at the copy", move || format::look(&place)).await.and_then(|s| s);
    let contents = match shape {
        Ok(shape) => {
            job.kind = shape.kind;
            job.copy.size = shape.size;
            readable(&mut draft, &job, &shape).await
        }
        Err(why) => {
            draft.fail("copy readable", why);
            None
        }
    };
    live_folder(&mut draft, ctx, &job.live, &chosen.place).await;
    room(&mut draft, &job, contents).await;
    names_free(&mut draft, ctx, &mut job).await;
    for argv in &how.verify {
        let program = argv.first().map(String::as_str).unwrap_or_default();
        let path = std::env::var_os("PATH").unwrap_or_default();
        match proc::which(program, path) {
            Some(found) => draft.pass(&format!("tool {program}"), found.display().to_string()),
            None => draft.fail(
                &format!("tool {program}"),
                "verifies the folder and is not on this host: install it, or take it out of `verify`",
            ),
        }
    }

    let live = job.live.display().to_string();
    draft.plan.title = format!("{} {} beside {live}", if test { "test" } else { "restore" }, set.name);
    draft.plan.target = name_of(&job.live);
    draft.plan.holds.push(format!("folder {live}"));
    draft.plan.timeout_ms = timeout_ms(how.timeout);
    draft.environment(ctx);
    draft.effect(format!("Unpacks into {}; {live} is not touched.", job.side.display()));
    draft.price(ctx, set, &job.copy.clone());
    if test {
        draft.effect(format!("A test: {} is removed after the proof.", job.side.display()));
        draft.plan.undo = "Nothing is left to undo.".into();
    } else {
        draft.effect("Stops at ready to cut over; the cut-over is a step of its own.");
        draft.plan.undo = format!("Dropping {} undoes it.", job.side.display());
    }
    let expected = expect::expected(&ctx.runs, &work, |r| r.plan.work.object() == set.name, Some(job.copy.size));
    draft.time(ctx, expected);
    phases(&mut draft, &job);
    Ok(draft.done())
}

/// The copy is one that can be unpacked, and where that is quickly done, read to its end with every name in it.
async fn readable(draft: &mut Draft, job: &Job, shape: &Shape) -> Option<Contents> {
    if !matches!(shape.kind, Kind::Tar | Kind::Folder) {
        draft.fail(
            "copy readable",
            format!(
                "{} is a {} and neither a tar archive nor a folder: choose another copy",
                job.copy.place,
                shape.word()
            ),
        );
        return None;
    }
    let word = shape.word();
    if shape.kind == Kind::Tar && shape.size > READ_NOW {
        draft.pass(
            "copy readable",
            format!("{word}; it is read to its end as the first phase, before anything is unpacked"),
        );
        return None;
    }
    let (own, until) = (job.clone(), Instant::now() + READ_LIMIT);
    let read = blocking("read the copy", move || {
        let place = Path::new(&own.copy.place);
        let mut watch = |_, _| if Instant::now() > until { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        match own.kind {
            Kind::Tar => folder::check_archive(place, own.strip, &own.live, &mut watch),
            _ => folder::check_folder(place, &own.live, &mut watch),
        }
    });
    match read.await.and_then(|r| r) {
        Ok(Some(contents)) => {
            draft.pass(
                "copy readable",
                format!(
                    "{word}, {} with {}, read to its end",
                    text::plural(contents.entries as usize, "name"),
                    text::size(contents.bytes)
                ),
            );
            Some(contents)
        }
        Ok(None) => {
            draft.pass(
                "copy readable",
                format!("{word}; reading it takes long, so it is read to its end as the first phase"),
            );
            None
        }
        Err(why) => {
            draft.fail("copy readable", why);
            None
        }
    }
}

/// What is known of a place that may become, or is, live.
struct Seen {
    is_folder: bool,
    exists: bool,
    parent_exists: bool,
    parent_writable: bool,
    mount_point: bool,
    owner: Option<u32>,
}

fn see(live: &Path) -> Seen {
    use std::os::unix::fs::MetadataExt;
    let parent = live.parent().unwrap_or(Path::new("/"));
    let meta = live.symlink_metadata().ok();
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    let stat = rustix::fs::statx(rustix::fs::CWD, live, flags, rustix::fs::StatxFlags::BASIC_STATS).ok();
    let root = stat.is_some_and(|s| s.stx_attributes.contains(rustix::fs::StatxAttributes::MOUNT_ROOT));
    let devices = (meta.as_ref().map(MetadataExt::dev), parent.metadata().ok().map(|m| m.dev()));
    Seen {
        is_folder: meta.as_ref().is_some_and(std::fs::Metadata::is_dir),
        exists: meta.is_some(),
        parent_exists: parent.is_dir(),
        parent_writable: rustix::fs::access(parent, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok(),
        mount_point: root || matches!(devices, (Some(a), Some(b)) if a != b),
        owner: meta.as_ref().map(MetadataExt::uid),
    }
}

async fn live_folder(draft: &mut Draft, ctx: &PlanContext, live: &Path, copy: &str) {
    let shown = live.display().to_string();
    let path = live.to_path_buf();
    let seen = match blocking("look at the live folder", move || see(&path)).await {
        Ok(seen) => seen,
        Err(why) => return draft.fail("live folder", why),
    };
    let state = ctx.state_dir.canonicalize().unwrap_or_else(|_| ctx.state_dir.clone());
    let parent = live.parent().map(|p| p.display().to_string()).unwrap_or_default();
    let why = if live.parent().is_none() || live.file_name().is_none() {
        Some(format!("{shown} cannot be exchanged: name a folder below it"))
    } else if !ctx.state_dir.as_os_str().is_empty() && (live.starts_with(&state) || state.starts_with(live)) {
        Some(format!(
            "{shown} holds mayday's own record ({}): move `state_dir` elsewhere, or restore a folder below",
            state.display()
        ))
    } else if seen.exists && !seen.is_folder {
        Some(format!("{shown} is a file and no folder: correct `path` of the restore"))
    } else if !seen.parent_exists {
        Some(format!("{parent} does not exist: make it, or correct `path` of the restore"))
    } else if seen.mount_point {
        Some(format!("{shown} is a mount point, which cannot be renamed: restore a folder below it"))
    } else if !seen.parent_writable {
        Some(format!("this user may not write in {parent}: run mayday as one who may"))
    } else {
        None
    };
    if let Some(why) = why {
        return draft.fail("live folder", why);
    }
    let root = rustix::process::geteuid().is_root();
    let mine = seen.owner.is_none_or(|uid| uid == rustix::process::geteuid().as_raw());
    if !seen.exists {
        draft.warn("live folder", format!("{shown} does not exist: the cut-over has nothing to keep"));
    } else if !root && !mine {
        draft.warn("live folder", format!("{shown} belongs to another user: owners cannot be kept without root"));
    } else {
        draft.pass("live folder", format!("{shown} is not touched before the cut-over"));
    }
    if Path::new(copy).starts_with(live) {
        draft.warn("copy", format!("the copy lies within {shown}: after the cut-over it is found in what is kept"));
    }
}

async fn room(draft: &mut Draft, job: &Job, contents: Option<Contents>) {
    let parent = job.live.parent().unwrap_or(Path::new("/"));
    let (need, sure) = match (contents, job.kind) {
        // A block for each name.
        (Some(c), _) => (c.bytes.saturating_add(c.entries.saturating_mul(4096)), true),
        (None, Kind::Folder) => (job.copy.size, true),
        (None, _) => (job.copy.size.saturating_mul(4), false),
    };
    match disk::space(parent).await {
        Err(e) => draft.fail("disk", format!("{}: {e}", parent.display())),
        Ok(space) if space.read_only => {
            draft.fail("disk", format!("the file system of {} is mounted read-only", parent.display()))
        }
        Ok(space) => {
            let said = format!(
                "{}{} needed, {} free beside {}",
                if sure { "" } else { "about " },
                text::size(need),
                text::size(space.free),
                job.live.display()
            );
            match (space.free >= need, sure) {
                (true, _) => draft.pass("disk", said),
                (false, true) => draft.fail("disk", format!("{said}: make room there")),
                (false, false) => draft.warn("disk", format!("{said}; what it takes is known once the copy was read")),
            }
        }
    }
}

/// The side's name is free, and what earlier runs left incomplete goes first.
async fn names_free(draft: &mut Draft, ctx: &PlanContext, job: &mut Job) {
    if job.side.symlink_metadata().is_ok() || folder::partial(&job.side).symlink_metadata().is_ok() {
        draft.fail("name free", format!("there is already a {}: rename or remove it", job.side.display()));
    } else {
        draft.pass("name free", format!("{} is free", job.side.display()));
    }
    let parent = job.live.parent().unwrap_or(Path::new("/")).to_path_buf();
    let begin = format!("{}.restore-", name_of(&job.live));
    let found = blocking("look for what earlier runs left", move || {
        let names = std::fs::read_dir(&parent).into_iter().flatten().flatten().map(|e| e.path());
        let ours = |p: &PathBuf| {
            let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with(&begin) && name.ends_with(PARTIAL) && p.symlink_metadata().is_ok_and(|m| m.is_dir())
        };
        names.filter(ours).collect::<Vec<_>>()
    });
    let running = |path: &PathBuf| {
        let name = path.display().to_string();
        ctx.runs.iter().any(|r| !r.state.is_over() && name.ends_with(&format!("-{}{PARTIAL}", r.id())))
    };
    job.leftovers = found.await.unwrap_or_default().into_iter().filter(|p| !running(p)).collect();
    if !job.leftovers.is_empty() {
        let names: Vec<String> = job.leftovers.iter().map(|p| p.display().to_string()).collect();
        draft.warn(
            "leftovers",
            format!("left incomplete by earlier runs and removed at the start: {}", names.join(", ")),
        );
    }
}

fn phases(draft: &mut Draft, job: &Job) {
    let args = job::write(job);
    let word = |p: &Path| text::shell_word(&p.display().to_string());
    if !job.leftovers.is_empty() {
        let shown = job.leftovers.iter().map(|p| format!("rm -r {}", word(p))).collect();
        draft.phase("remove what earlier runs left", 1, folder::CLEAN, &args, shown);
    }
    let copy = text::shell_word(&job.copy.place);
    let partial = folder::partial(&job.side);
    draft.phase(
        "read the copy to its end",
        20,
        folder::CHECK,
        &args,
        vec![format!("read {copy} to its end and look at every name in it")],
    );
    let unpack = match job.kind {
        Kind::Tar if job.strip > 0 => format!("tar -xpf {copy} --strip-components={} -C {}", job.strip, word(&partial)),
        Kind::Tar => format!("tar -xpf {copy} -C {}", word(&partial)),
        _ => format!("cp -a {copy}/. {}", word(&partial)),
    };
    let rename = format!("mv {} {}", word(&partial), word(&job.side));
    draft.phase("unpack", 60, folder::EXTRACT, &args, vec![unpack, rename]);
    draft.phase(
        "compare",
        15,
        folder::COMPARE,
        &args,
        vec![format!("diff -rq {} {}", word(&job.side), word(&job.live))],
    );
    let shown = |argv: &Vec<String>| {
        let side = job.side.display().to_string();
        argv.iter().map(|a| text::shell_word(&a.replace("{side}", &side))).collect::<Vec<_>>().join(" ")
    };
    draft.phase("verify", 5, folder::VERIFY, &args, job.verify.iter().map(shown).collect());
    if job.test {
        draft.phase("remove the proof", 2, folder::PROOF, &args, vec![format!("rm -r {}", word(&job.side))]);
    }
}

/// Cut-over, undo, drop.
pub async fn step(ctx: &PlanContext, work: &Work, found: &Found<'_>, how: &FolderRestore) -> Result<Planned, Refusal> {
    let side = found.side;
    let drop = matches!(work, Work::Drop { .. });
    let undo = matches!(work, Work::Undo { .. });
    let path = how.path.clone();
    let live = blocking("look at the live folder", move || resolve(&path)).await.unwrap_or_else(|_| how.path.clone());
    if live.display().to_string() != side.live {
        return Err(Refusal::new(
            format!(
                "{} was restored for {}, and backup {} is of {} now",
                side.name,
                side.live,
                found.set.name,
                live.display()
            ),
            format!("put `path = \"{}\"` back into the configuration, or deal with {} by hand", side.live, side.name),
        ));
    }
    let risk = if drop && side.role == SideRole::Ready { Risk::Disruptive } else { Risk::Destructive };
    let mut draft = Draft::new(ctx, work, found.set, risk);
    draft.plan.holds.push(format!("folder {}", side.live));
    draft.plan.timeout_ms = STEP_TIMEOUT_MS;
    draft.environment(ctx);
    let enter = pinned(&mut draft, found).await;
    if drop {
        let job = FolderDrop { live, run: ctx.run_id.clone(), gone: enter };
        draft.plan.target = name_of(&job.gone.path);
        draft.plan.title = format!("drop {}", side.name);
        let age = text::duration(ctx.now.since(side.created_at));
        let what = match side.role {
            SideRole::Ready => "the side folder",
            SideRole::Before => "what was live before the cut-over: it can no longer be undone",
            SideRole::Abandoned if found.args.incomplete => "what an unfinished restore left",
            SideRole::Abandoned => "what was live between cut-over and undo, with the changes of that time",
        };
        draft.effect(format!("Removes {}, {what}, {age} old; frees {}.", side.name, text::size(side.size)));
        draft.phase(
            "drop",
            1,
            folder::DROP,
            &job::write(&job),
            vec![format!("rm -r {}", text::shell_word(&side.name))],
        );
        return Ok(draft.done());
    }
    let kind = if undo { Beside::Abandoned } else { Beside::Before };
    let look = live.clone();
    let leave = blocking("look at the live folder", move || folder::pin(&look)).await.ok().and_then(Result::ok);
    let job = FolderSwap {
        backup: found.set.name.clone(),
        run: ctx.run_id.clone(),
        kept_as: beside(&live, kind, &ctx.run_id),
        live,
        enter,
        leave,
        undo,
        verify: if undo { Vec::new() } else { how.verify.clone() },
        copy: found.args.copy.clone(),
        since: undo.then_some(side.created_at),
    };
    live_folder(&mut draft, ctx, &job.live, &job.copy.place).await;
    if job.kept_as.symlink_metadata().is_ok() {
        draft.fail("name free", format!("there is already a {}: rename or remove it", job.kept_as.display()));
    }
    let live = job.live.display().to_string();
    draft.plan.target = name_of(&job.live);
    draft.effect(format!("{} becomes {live}.", side.name));
    if job.leave.is_some() {
        draft.effect(format!("What is there now is kept as {}; whoever has files of it open goes on with those until it is started again.", job.kept_as.display()));
    }
    if undo {
        draft.plan.title = format!("undo the cut-over of {live}");
        let lost = text::duration(ctx.now.since(side.created_at));
        draft.plan.data_lost_ms = Some(ctx.now.ms_since(side.created_at).max(0));
        draft.effect(format!(
            "Changes since {} ({lost}) are no longer live; they stay in {}.",
            side.created_at,
            job.kept_as.display()
        ));
        draft.plan.undo = format!("Undoing this run puts {} back while it is kept.", job.kept_as.display());
    } else {
        draft.plan.title = format!("cut {live} over to {}", side.name);
        draft.price(ctx, found.set, &found.args.copy.clone());
        if job.leave.is_some() {
            draft.plan.undo = format!(
                "Undo puts {} back until it is dropped; changes made in between are lost with it.",
                job.kept_as.display()
            );
        }
    }
    let target = draft.plan.target.clone();
    draft.time(ctx, expect::expected(&ctx.runs, work, |r| r.plan.target == target, None));
    let word = |p: &Path| text::shell_word(&p.display().to_string());
    let shown = match &job.leave {
        Some(_) => vec![
            format!("mv --exchange {} {}", word(&job.enter.path), word(&job.live)),
            format!("mv {} {}", word(&job.enter.path), word(&job.kept_as)),
        ],
        None => vec![format!("mv {} {}", word(&job.enter.path), word(&job.live))],
    };
    draft.phase(if undo { "put back" } else { "cut over" }, 1, folder::SWAP, &job::write(&job), shown);
    Ok(draft.done())
}

/// The side folder is the one that the run left.
async fn pinned(draft: &mut Draft, found: &Found<'_>) -> PinnedFolder {
    let path = PathBuf::from(&found.side.name);
    let none = PinnedFolder { path: path.clone(), inode: 0 };
    let look = path.clone();
    match blocking("look at the side folder", move || folder::pin(&look)).await {
        Err(why) => {
            draft.fail("side folder", why);
            none
        }
        Ok(Err(e)) => {
            draft.fail("side folder", format!("{} cannot be found: {e}: restore again", path.display()));
            none
        }
        Ok(Ok(there)) => match &found.args.folder {
            Some(was) if was.inode != there.inode => {
                draft.fail(
                    "side folder",
                    format!(
                        "{} is another folder than run {} left: deal with it by hand",
                        path.display(),
                        found.run.id()
                    ),
                );
                none
            }
            _ => {
                draft.pass("side folder", format!("{} is there", path.display()));
                there
            }
        },
    }
}
