//! Planning the restore of a folder, and the steps that follow it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::folder::{self, Contents, Only, Way};
use super::super::format::{self, Kind, Shape, Wrap};
use super::super::job::{self, FolderRestore as Job};
use super::super::names::{self, Beside, PARTIAL};
use super::{Draft, Say, begin, copy, disk, timeout_ms, vault};
use crate::config::{Backup, BackupSource, FolderCompare, FolderRestore};
use crate::domain::command::Refusal;
use crate::domain::run::{Risk, Work};
use crate::recovery::plan::expect::expect as expect_runs;
use crate::recovery::plan::look::Tools;
use crate::recovery::plan::{PlanContext, Planned};
use crate::text;

/// Copies up to this size are read to their end while planning; larger ones as the first phase.
const READ_NOW: u64 = 32 << 20;
const READ_LIMIT: Duration = Duration::from_secs(6);
/// For looking at a file system that may be dead.
const LOOK_LIMIT: Duration = Duration::from_secs(10);

/// The live folder with links resolved: a link stays what it is, and what it leads to is exchanged.
pub(super) fn resolve(live: &Path) -> PathBuf {
    if let Ok(real) = live.canonicalize() {
        return real;
    }
    match (live.parent().map(Path::canonicalize), live.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => live.to_path_buf(),
    }
}

pub(super) fn name_of(live: &Path) -> String {
    live.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

pub(super) fn beside(live: &Path, what: Beside, run: &str) -> PathBuf {
    live.with_file_name(names::folder(&name_of(live), what, run))
}

pub(super) async fn blocking<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
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
    only: &[String],
) -> Result<Planned, Refusal> {
    let work =
        Work::Restore { backup: set.name.clone(), copy: asked.map(str::to_owned), test, to: None, only: only.to_vec() };
    let only = if only.is_empty() { how.only.clone() } else { only.to_vec() };
    if let Err(why) = Only::new(&only) {
        return Err(Refusal::usage(why, "write it as a path below the folder: 'nginx/**', '*.pem'"));
    }
    let chosen = copy::choose(ctx, set, asked)?;
    let mut draft = begin(ctx, &work, set, Risk::Disruptive);
    copy::judge(&mut draft, ctx, set, chosen, asked.is_some());
    copy::manifest(&mut draft, chosen).await;
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
        links: how.links.clone(),
        verify: how.verify.clone(),
        test,
        leftovers: Vec::new(),
        wrap: Wrap::Plain,
        only,
        compare: how.compare,
        identity: how.identity.clone(),
        vault: None,
    };
    let place = format::path_of(chosen);
    let shape = match &set.source {
        BackupSource::Vault(source) => {
            job.kind = Kind::Vault;
            job.vault = vault::look(&mut draft, ctx, set, source, how, &job).await;
            None
        }
        BackupSource::Files(_) | BackupSource::Repo(_) => {
            Some(blocking("look at the copy", move || format::look(&place)).await.and_then(|s| s))
        }
    };
    let contents = match shape {
        None => None,
        Some(Ok(shape)) => {
            job.kind = shape.kind;
            job.wrap = shape.wrap;
            if shape.size > 0 {
                job.copy.size = shape.size;
            }
            readable(&mut draft, &job, &shape).await
        }
        Some(Err(why)) => {
            draft.fail("copy readable", why);
            None
        }
    };
    live_folder(&mut draft, ctx, &job.live, &format::path_of(chosen)).await;
    room(&mut draft, &job, contents).await;
    names_free(&mut draft, ctx, &mut job).await;
    for argv in &how.verify {
        let program = argv.first().map(String::as_str).unwrap_or_default();
        match Tools::of(ctx).which(program) {
            Some(found) => draft.pass(&format!("tool {program}"), found.display().to_string()),
            None => draft.fail(
                &format!("tool {program}"),
                "verifies the folder and is not on this host: install it, or take it out of `verify`",
            ),
        }
    }

    let live = job.live.display().to_string();
    let of = if job.only.is_empty() { String::new() } else { format!("only {} of ", patterns(&job.only)) };
    draft.plan.title = format!("{} {of}{} beside {live}", if test { "test" } else { "restore" }, set.name);
    draft.plan.target = name_of(&job.live);
    draft.plan.holds.push(format!("folder {live}"));
    draft.effects(&format!("unpacks into {}", job.side.display()));
    draft.effect(format!("{live} is not touched"));
    if !job.only.is_empty() {
        draft.effect(format!("only what matches {} comes back, copied into {live} one by one", patterns(&job.only)));
    }
    match job.only.is_empty() {
        true => draft.price(set, &job.copy.clone()),
        false => draft.copy_of(set, &job.copy.clone()),
    }
    if test {
        draft.effect(format!("a test: {} is removed after the proof", job.side.display()));
        draft.plan.undo = "nothing is left to undo".into();
    } else {
        draft.effect(match job.only.is_empty() {
            true => "stops at ready to cut over; the cut-over is a step of its own",
            false => "stops when they are ready; copying them in is a step of its own",
        });
        draft.plan.undo = format!("dropping {} undoes it", job.side.display());
    }
    let (ms, from) = expect_runs(&ctx.runs, &work, Some(job.copy.size));
    (draft.plan.expected_ms, draft.plan.expected_from) = (ms, from);
    phases(&mut draft, &job);
    Ok(draft.done(timeout_ms(how.timeout)))
}

/// The copy is one that can be unpacked, and where that is quickly done, read to its end with every name in it.
async fn readable(draft: &mut Draft<'_>, job: &Job, shape: &Shape) -> Option<Contents> {
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
    if shape.wrap == Wrap::Age {
        match (folder::cannot_decrypt(job.identity.as_deref()), Tools::of(draft.ctx).which("age")) {
            (Some(why), _) => {
                draft.fail("copy readable", why);
                return None;
            }
            (None, None) => {
                draft.fail("tool age", "the copy is encrypted and age is not in PATH of the engine: install age");
                return None;
            }
            (None, Some(found)) => draft.pass("tool age", found.display().to_string()),
        }
    }
    if shape.kind == Kind::Tar && shape.size > READ_NOW {
        draft.pass(
            "copy readable",
            format!("{word}; it is read to its end as the first phase, before anything is unpacked"),
        );
        return None;
    }
    let (own, until) = (job.clone(), Instant::now() + READ_LIMIT);
    let read = blocking("read the copy", move || {
        let (only, links) = (Only::new(&own.only)?, folder::Links::new(&own.live, &own.links)?);
        let mut watch = |_, _| if Instant::now() > until { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        match own.kind {
            Kind::Tar => folder::check_wrapped(&Way::of(&own), own.strip, &only, &links, &mut watch),
            _ => folder::check_folder(&format::path_of(&own.copy), &only, &links, &mut watch),
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
            if let Some(why) = folder::only_while_live(&contents) {
                draft.warn("links", why);
            }
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

pub(super) async fn live_folder(draft: &mut Draft<'_>, ctx: &PlanContext, live: &Path, copy: &Path) {
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
    if copy.starts_with(live) {
        draft.warn("copy", format!("the copy lies within {shown}: after the cut-over it is found in what is kept"));
    }
}

async fn room(draft: &mut Draft<'_>, job: &Job, contents: Option<Contents>) {
    let parent = job.live.parent().unwrap_or(Path::new("/"));
    let (need, sure) = match (contents, job.kind) {
        // A block for each name.
        (Some(c), _) => (c.bytes.saturating_add(c.entries.saturating_mul(4096)), true),
        (None, Kind::Folder) => (job.copy.size, job.only.is_empty()),
        (None, Kind::Vault) => {
            // Where the repository does not say it, as much as is live now.
            let live = job.live.clone();
            let live = blocking("add up the live folder", move || format::folder_size(&live).unwrap_or(0)).await;
            (job.copy.size.max(live.unwrap_or(0)), false)
        }
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
async fn names_free(draft: &mut Draft<'_>, ctx: &PlanContext, job: &mut Job) {
    if job.side.symlink_metadata().is_ok() || folder::partial(&job.side).symlink_metadata().is_ok() {
        draft.fail("name free", format!("there is already a {}: rename or remove it", job.side.display()));
    } else {
        draft.pass("name free", format!("{} is free", job.side.display()));
    }
    job.leftovers = incomplete(ctx, &job.live, &[Beside::Restore]).await;
    if !job.leftovers.is_empty() {
        let names: Vec<String> = job.leftovers.iter().map(|p| p.display().to_string()).collect();
        draft.warn(
            "leftovers",
            format!("left incomplete by earlier runs and removed at the start: {}", names.join(", ")),
        );
    }
}

/// Folders of these kinds beside the live one that say of themselves that they are incomplete, and that no run works on.
pub(super) async fn incomplete(ctx: &PlanContext, live: &Path, kinds: &[Beside]) -> Vec<PathBuf> {
    let parent = live.parent().unwrap_or(Path::new("/")).to_path_buf();
    let begin: Vec<String> = kinds.iter().map(|kind| name_of(&beside(live, *kind, ""))).collect();
    let found = blocking("look for what earlier runs left", move || {
        let names = std::fs::read_dir(&parent).into_iter().flatten().flatten().map(|e| e.path());
        let ours = |p: &PathBuf| {
            let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            begin.iter().any(|b| name.starts_with(b))
                && name.ends_with(PARTIAL)
                && p.symlink_metadata().is_ok_and(|m| m.is_dir())
        };
        names.filter(ours).collect::<Vec<_>>()
    });
    let running = |path: &PathBuf| {
        let name = path.display().to_string();
        ctx.runs.iter().any(|r| !r.state.is_over() && name.ends_with(&format!("-{}{PARTIAL}", r.id())))
    };
    let mut found: Vec<PathBuf> = found.await.unwrap_or_default().into_iter().filter(|p| !running(p)).collect();
    found.sort();
    found
}

fn phases(draft: &mut Draft<'_>, job: &Job) {
    let args = job::write(job);
    let word = |p: &Path| text::shell_word(&p.display().to_string());
    if !job.leftovers.is_empty() {
        let shown = job.leftovers.iter().map(|p| format!("rm -r {}", word(p))).collect();
        draft.native("remove what earlier runs left", 1, folder::CLEAN, &args, shown);
    }
    let copy = text::shell_word(&job.copy.place);
    let partial = folder::partial(&job.side);
    draft.native(
        "read the copy to its end",
        20,
        folder::CHECK,
        &args,
        vec![format!("read {copy} to its end and look at every name in it")],
    );
    if let Some(vault) = &job.vault {
        return vault::phases(draft, job, vault, &args);
    }
    let unpack = match (job.kind, job.wrap) {
        (Kind::Tar, Wrap::Age) => {
            let identity = job.identity.as_deref().map(word).unwrap_or_default();
            format!("age -d -i {identity} {copy} | tar -xp --strip-components={} -C {}", job.strip, word(&partial))
        }
        (Kind::Tar, _) if job.strip > 0 => {
            format!("tar -xpf {copy} --strip-components={} -C {}", job.strip, word(&partial))
        }
        (Kind::Tar, _) => format!("tar -xpf {copy} -C {}", word(&partial)),
        _ => format!("cp -a {copy}/. {}", word(&partial)),
    };
    let rename = format!("mv {} {}", word(&partial), word(&job.side));
    draft.native("unpack", 60, folder::EXTRACT, &args, vec![unpack, rename]);
    last_phases(draft, job, &args);
}

/// What follows once the side folder is whole.
pub(super) fn last_phases(draft: &mut Draft<'_>, job: &Job, args: &serde_json::Value) {
    let word = |p: &Path| text::shell_word(&p.display().to_string());
    let how = match job.compare {
        FolderCompare::Quick => "rsync -ain --delete",
        FolderCompare::Content => "rsync -ainc --delete",
    };
    let compare = format!("{how} {}/ {}/", word(&job.side), word(&job.live));
    draft.native("compare", 15, folder::COMPARE, args, vec![compare]);
    let shown = |argv: &Vec<String>| {
        let side = job.side.display().to_string();
        argv.iter().map(|a| text::shell_word(&a.replace("{side}", &side))).collect::<Vec<_>>().join(" ")
    };
    let verify = if job.only.is_empty() { job.verify.iter().map(shown).collect() } else { Vec::new() };
    draft.native("verify", 5, folder::VERIFY, args, verify);
    if job.test {
        draft.native("remove the proof", 2, folder::PROOF, args, vec![format!("rm -r {}", word(&job.side))]);
    }
}

/// Patterns as people write them.
pub(super) fn patterns(only: &[String]) -> String {
    only.iter().map(|p| format!("\"{}\"", text::clean(p))).collect::<Vec<_>>().join(", ")
}
