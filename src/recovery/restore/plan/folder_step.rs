//! Planning what follows the restore of a folder: the cut-over, its undo, and dropping what was left.

use std::path::{Path, PathBuf};

use super::super::folder::{self, Only};
use super::super::format;
use super::super::job::{self, FolderDrop, FolderSwap, PinnedFolder};
use super::super::names::Beside;
use super::folder::{beside, blocking, live_folder, name_of, resolve};
use super::folder_insert::{difference, take_back_first};
use super::{Draft, Found, STEP_TIMEOUT_MS, Say, begin, expect};
use crate::config::FolderRestore;
use crate::domain::command::Refusal;
use crate::domain::run::{Risk, SideRole, Work};
use crate::recovery::plan::{PlanContext, Planned};
use crate::text;

/// Cut-over, undo, drop.
pub async fn plan(ctx: &PlanContext, work: &Work, found: &Found<'_>, how: &FolderRestore) -> Result<Planned, Refusal> {
    let side = found.side;
    let drop = matches!(work, Work::Drop { .. });
    let undo = matches!(work, Work::Undo { .. });
    let path = how.path.clone();
    let live = blocking("look at the live folder", move || resolve(&path)).await.unwrap_or_else(|_| how.path.clone());
    still_of(found, &live)?;
    let risk = if drop && side.role == SideRole::Ready { Risk::Disruptive } else { Risk::Destructive };
    let mut draft = begin(ctx, work, found.set, risk);
    draft.plan.holds.push(format!("folder {}", side.live));
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
            SideRole::Serving => "what was handed over",
            SideRole::Abandoned => "what was live between cut-over and undo, with the changes of that time",
            SideRole::Beside => "what a restore put beside",
        };
        draft.effects(&format!("removes {}, {what}, {age} old, and frees {}", side.name, text::size(side.size)));
        draft.native(
            "drop",
            1,
            folder::DROP,
            &job::write(&job),
            vec![format!("rm -r {}", text::shell_word(&side.name))],
        );
        return Ok(draft.done(STEP_TIMEOUT_MS));
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
    };
    live_folder(&mut draft, ctx, &job.live, &format::path_of(&job.copy)).await;
    if job.kept_as.symlink_metadata().is_ok() {
        draft.fail("name free", format!("there is already a {}: rename or remove it", job.kept_as.display()));
    }
    let live = job.live.display().to_string();
    draft.plan.target = name_of(&job.live);
    draft.effects(&format!("{} becomes {live}", side.name));
    if job.leave.is_some() {
        draft.effect(format!("what is there now is kept as {}; whoever has files of it open goes on with those until it is started again", job.kept_as.display()));
    }
    if undo {
        draft.plan.title = format!("undo the cut-over of {live}");
        let lost = text::duration(ctx.now.since(side.created_at));
        draft.plan.data_lost_ms = Some(ctx.now.ms_since(side.created_at).max(0));
        draft.effect(format!(
            "changes since {} ({lost}) are no longer live; they stay in {}",
            side.created_at,
            job.kept_as.display()
        ));
        draft.plan.undo = super::undo_again(ctx, found.set, &job.kept_as.display());
    } else {
        draft.plan.title = format!("cut {live} over to {}", side.name);
        draft.price(found.set, &found.args.copy.clone());
        difference(&mut draft, found, &job.live, &Only::all()).await;
        if job.leave.is_some() {
            draft.plan.undo = format!(
                "undo puts {} back until it is dropped; changes made in between are lost with it",
                job.kept_as.display()
            );
        }
    }
    take_back_first(&mut draft, found, &job.live).await;
    let target = draft.plan.target.clone();
    draft.expect(expect::of_steps(&ctx.runs, work, &target));
    if !undo {
        draft.after_checks(found.set);
    }
    let word = |p: &Path| text::shell_word(&p.display().to_string());
    let shown = match &job.leave {
        Some(_) => vec![
            format!("mv --exchange {} {}", word(&job.enter.path), word(&job.live)),
            format!("mv {} {}", word(&job.enter.path), word(&job.kept_as)),
        ],
        None => vec![format!("mv {} {}", word(&job.enter.path), word(&job.live))],
    };
    draft.native(if undo { "put back" } else { "cut over" }, 1, folder::SWAP, &job::write(&job), shown);
    Ok(draft.done(STEP_TIMEOUT_MS))
}

/// What was left is of the folder that is configured now.
pub(super) fn still_of(found: &Found<'_>, live: &Path) -> Result<(), Refusal> {
    let side = found.side;
    if live.display().to_string() == side.live {
        return Ok(());
    }
    Err(Refusal::new(
        format!(
            "{} was restored for {}, and backup {} is of {} now",
            side.name,
            side.live,
            found.set.name,
            live.display()
        ),
        format!("put `path = \"{}\"` back into the configuration, or deal with {} by hand", side.live, side.name),
    ))
}

/// The side folder is the one that the run left.
pub(super) async fn pinned(draft: &mut Draft<'_>, found: &Found<'_>) -> PinnedFolder {
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
