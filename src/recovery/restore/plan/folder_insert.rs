//! Planning the copying of chosen names into the live folder, and its undo; and what a cut-over of any kind would change.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::folder::{self, Ear, Only, Question};
use super::super::format;
use super::super::job::{self, FolderCopyIn};
use super::super::names::{Beside, PARTIAL};
use super::folder::{beside, blocking, incomplete, live_folder, name_of, patterns, resolve};
use super::folder_step::{pinned, still_of};
use super::{Draft, Found, STEP_TIMEOUT_MS, Say, begin, disk, expect};
use crate::config::{FolderCompare, FolderRestore};
use crate::domain::command::Refusal;
use crate::domain::run::{Risk, Work};
use crate::recovery::plan::{PlanContext, Planned};
use crate::text;

/// For comparing while planning.
const COMPARE: Duration = Duration::from_secs(5);
/// Differences named in a plan.
const NAMED: usize = 8;

/// What is copied in.
pub enum Insert {
    Names(Vec<String>),
    /// What an earlier copying in has kept.
    Back,
}

/// Whether a step copies names, instead of exchanging whole folders.
pub(super) fn of(work: &Work, found: &Found<'_>) -> Option<Insert> {
    let kept = &found.args.only;
    match work {
        Work::CopyIn { only, .. } => Some(Insert::Names(only.clone())),
        Work::CutOver { .. } if !kept.is_empty() => Some(Insert::Names(kept.clone())),
        Work::Undo { .. } if found.args.copied_in => Some(Insert::Back),
        _ => None,
    }
}

pub(super) async fn plan(
    ctx: &PlanContext,
    work: &Work,
    found: &Found<'_>,
    how: &FolderRestore,
    insert: Insert,
) -> Result<Planned, Refusal> {
    let side = found.side;
    let path = how.path.clone();
    let live = blocking("look at the live folder", move || resolve(&path)).await.unwrap_or_else(|_| how.path.clone());
    still_of(found, &live)?;
    let (undo, names) = match insert {
        Insert::Back => (true, Vec::new()),
        Insert::Names(names) => (false, names),
    };
    let only = Only::new(&names)
        .map_err(|why| Refusal::usage(why, "write it as a path below the folder: 'nginx/**', '*.pem'"))?;
    let mut draft = begin(ctx, work, found.set, Risk::Destructive);
    draft.plan.holds.push(format!("folder {}", side.live));
    let enter = pinned(&mut draft, found).await;
    live_folder(&mut draft, ctx, &live, &format::path_of(&found.args.copy)).await;
    let look = live.clone();
    let leave = blocking("look at the live folder", move || folder::pin(&look))
        .await
        .and_then(|p| p.map_err(|e| e.to_string()));
    let leave = leave.unwrap_or_else(|why| {
        draft.fail("live folder", format!("there is nothing to copy into ({why}): restore the whole folder"));
        job::PinnedFolder { path: live.clone(), inode: 0 }
    });
    let kind = if undo { Beside::Abandoned } else { Beside::Before };
    let job = FolderCopyIn {
        backup: found.set.name.clone(),
        run: ctx.run_id.clone(),
        kept_as: beside(&live, kind, &ctx.run_id),
        live,
        enter,
        leave,
        only: names,
        undo,
        verify: if undo { Vec::new() } else { how.verify.clone() },
        copy: found.args.copy.clone(),
    };
    if job.kept_as.symlink_metadata().is_ok() {
        draft.fail("name free", format!("there is already a {}: rename or remove it", job.kept_as.display()));
    }
    room(&mut draft, &job).await;
    take_back_first(&mut draft, found, &job.live).await;
    let (live, kept) = (job.live.display().to_string(), job.kept_as.display().to_string());
    draft.plan.target = name_of(&job.live);
    let word = |p: &Path| text::shell_word(&p.display().to_string());
    let shown = if undo {
        draft.plan.title = format!("undo the copying into {live}");
        draft.effects(&format!("what was replaced in {live} comes back, what was added goes"));
        let lost = text::duration(ctx.now.since(side.created_at));
        draft.effect(format!(
            "changes of these names since {} ({lost}) are no longer live; they stay in {kept}",
            side.created_at
        ));
        draft.plan.undo = super::undo_again(ctx, found.set, &kept);
        vec![format!("cp -a {}/. {}, each name in one step", word(&job.enter.path.join("replaced")), word(&job.live))]
    } else {
        let chosen = patterns(&job.only);
        draft.plan.title = format!("copy {chosen} of {} into {live}", side.name);
        draft.effects(&format!(
            "what matches {chosen} in {} comes into {live}; nothing else there is touched",
            side.name
        ));
        draft.effect("whoever has files of it open goes on with those until it is started again");
        draft.copy_of(found.set, &found.args.copy.clone());
        difference(&mut draft, found, &job.live, &only).await;
        draft.plan.undo = format!("undo puts back what is kept in {kept} until it is dropped");
        let side = word(&job.enter.path);
        vec![format!("cp -a {side}/{{{}}} {}, each name in one step", job.only.join(","), word(&job.live))]
    };
    let target = draft.plan.target.clone();
    draft.expect(expect::of_steps(&ctx.runs, work, &target));
    if !undo {
        draft.after_checks(found.set);
    }
    let name = if undo { "put back" } else { "copy in" };
    draft.native(name, 1, folder::COPY_IN, &job::write(&job), shown);
    let bytes = if undo { found.side.size } else { side.size };
    // A large side folder is written once more.
    Ok(draft.done(STEP_TIMEOUT_MS.saturating_add(bytes / 10_000)))
}

/// Copying in that was cut short and never taken back comes first: afterwards nobody could tell what was its doing.
pub(super) async fn take_back_first(draft: &mut Draft<'_>, found: &Found<'_>, live: &Path) {
    let nobody = job::PinnedFolder { path: live.to_path_buf(), inode: 0 };
    for left in incomplete(draft.ctx, live, &[Beside::Before, Beside::Abandoned]).await {
        let shown = left.display().to_string();
        let Some(kept_as) = shown.strip_suffix(PARTIAL).map(PathBuf::from) else { continue };
        draft.warn(
            "leftovers",
            format!(
                "an earlier run that copied into {} was cut short: what it changed is taken back at the start, and {shown} \
                 removed",
                live.display()
            ),
        );
        let job = FolderCopyIn {
            backup: found.set.name.clone(),
            run: draft.ctx.run_id.clone(),
            live: live.to_path_buf(),
            enter: nobody.clone(),
            leave: nobody.clone(),
            kept_as,
            only: Vec::new(),
            undo: false,
            verify: Vec::new(),
            copy: found.args.copy.clone(),
        };
        let word = text::shell_word(&shown);
        let shown = vec![format!("take back what {word}/list says; rm -r {word}")];
        draft.native("take back what was cut short", 1, folder::TAKE_BACK, &job::write(&job), shown);
    }
}

/// What comes in is first written beside.
async fn room(draft: &mut Draft<'_>, job: &FolderCopyIn) {
    let parent = job.live.parent().unwrap_or(Path::new("/"));
    let (enter, only) = (job.enter.path.clone(), Only::new(&job.only).unwrap_or_else(|_| Only::all()));
    let until = Instant::now() + COMPARE;
    let need = blocking("add up what comes in", move || {
        let mut need = 0u64;
        let mut open = vec![std::path::PathBuf::new()];
        while let Some(dir) = open.pop() {
            for found in std::fs::read_dir(enter.join(&dir)).into_iter().flatten().flatten() {
                let below = dir.join(found.file_name());
                let Ok(meta) = found.metadata() else { continue };
                if meta.is_dir() {
                    open.push(below);
                } else if only.has(&below) {
                    need = need.saturating_add(meta.len()).saturating_add(4096);
                }
            }
            if Instant::now() > until {
                break;
            }
        }
        need
    });
    let need = need.await.unwrap_or(0);
    match disk::space(parent).await {
        Err(e) => draft.fail("disk", format!("{}: {e}", parent.display())),
        Ok(space) if space.free < need => draft.fail(
            "disk",
            format!(
                "{} needed, {} free beside {}: make room there",
                text::size(need),
                text::size(space.free),
                job.live.display()
            ),
        ),
        Ok(space) => draft.pass("disk", format!("{} needed, {} free", text::size(need), text::size(space.free))),
    }
}

/// Hears the first differences, and ends when the time is over.
struct Hearing {
    named: Vec<String>,
    until: Instant,
}

impl Ear for Hearing {
    fn difference(&mut self, what: &str, below: &Path, of_it: &str) {
        if self.named.len() < NAMED {
            let of_it = if of_it.is_empty() { String::new() } else { format!(" ({of_it})") };
            self.named.push(format!("{what}: {}{of_it}", text::clean_bytes(below.as_os_str().as_bytes())));
        }
    }

    fn go_on(&mut self, _: u64) -> bool {
        Instant::now() < self.until
    }
}

/// What the step would change in the live folder as it is now, and where the list of the restore is.
pub(super) async fn difference(draft: &mut Draft<'_>, found: &Found<'_>, live: &Path, only: &Only) {
    let (side, own, only) = (std::path::PathBuf::from(&found.side.name), live.to_path_buf(), only.clone());
    let looked = blocking("compare", move || {
        let owners = rustix::process::geteuid().is_root();
        let question = Question { side: &side, live: &own, only: &only, how: FolderCompare::Quick, owners };
        let mut ear = Hearing { named: Vec::new(), until: Instant::now() + COMPARE };
        let seen = folder::differences(&question, &mut ear).ok().flatten();
        (seen, ear.named)
    });
    let restored = found.args.differences.as_ref();
    match looked.await {
        Ok((Some(seen), named)) => {
            draft.effect(seen.said(live, FolderCompare::Quick));
            let all = seen.added + seen.changed + seen.gone;
            let more = all.saturating_sub(named.len() as u64);
            if !named.is_empty() {
                let more = if more > 0 { format!("; and {more} more") } else { String::new() };
                draft.effect(format!("{}{more}", named.join("; ")));
            }
            // A plan is made in seconds and reads no contents; the restore did.
            let counts = |d: &job::Differences| (d.added, d.changed, d.gone);
            if let Some(d) = restored.filter(|d| counts(d) != counts(&seen)) {
                let age = text::duration(draft.ctx.now.since(found.side.created_at));
                draft.effect(format!(
                    "when it was restored, {age} ago: {} added, {} changed, {} gone",
                    d.added, d.changed, d.gone
                ));
            }
        }
        _ => {
            let age = text::duration(draft.ctx.now.since(found.side.created_at));
            let said = restored.map(|d| {
                format!(
                    "when it was restored, {age} ago: {} added, {} changed, {} gone; comparing anew takes too long here",
                    d.added, d.changed, d.gone
                )
            });
            draft.effect(said.unwrap_or_else(|| "what it would change could not be compared in time".into()));
        }
    }
    if let Some(list) = restored.and_then(|d| d.list.as_ref()) {
        draft.effect(format!("every difference found by the restore is listed in {}", list.display()));
    }
}
