//! Whether what is about to be restored lies beside the live data already: cutting over to that takes no restore.

use std::collections::BTreeSet;

use super::super::secrets;
use super::facts;
use super::folder::blocking;
use crate::config::{Backup, PostgresRestore, Restore};
use crate::domain::run::{Checked, Precondition, Run, Side, SideRole, Work};
use crate::recovery::plan::PlanContext;
use crate::recovery::restore::job::SideArgs;
use crate::text;

/// The newest side copy of the same backup set that holds the same (the whole, or the same parts) and is still there.
pub(super) async fn restored(ctx: &PlanContext, set: &Backup, only: &[String]) -> Option<Precondition> {
    let wanted = wanted(set, only);
    let of = |r: &&Run| matches!(&r.plan.work, Work::Restore { backup, .. } if *backup == set.name);
    for run in ctx.runs.iter().rev().filter(of) {
        let Some(side) = run.sides.iter().find(|s| s.role == SideRole::Ready) else { continue };
        if holds(run, side) == wanted && is_there(ctx, set, side).await {
            return Some(said(ctx, set, run, side));
        }
    }
    None
}

fn said(ctx: &PlanContext, set: &Backup, run: &Run, side: &Side) -> Precondition {
    let began = if run.head_start { ", a head start," } else { "" };
    let copy = run.plan.copy.as_ref().map(|c| format!("copy {} ", text::clean(&c.id))).unwrap_or_default();
    let (only, put) = match side.only() {
        Some(only) => (format!(" ({only})"), "put that in"),
        None => (String::new(), "cut over to that"),
    };
    Precondition {
        name: "restored already".into(),
        result: Checked::Warned,
        detail: format!(
            "run {}{began} has {copy}ready as {}{only}, {} old: {put} with C, or: mayday restore {} --cut-over --run {}",
            run.id(),
            text::clean(&side.name),
            text::duration(ctx.now.since(side.created_at)),
            text::shell_word(&set.name),
            run.id(),
        ),
    }
}

/// The parts that this restore brings back; none means the whole.
fn wanted(set: &Backup, only: &[String]) -> BTreeSet<String> {
    let configured: &[String] = match &set.restore {
        Some(Restore::PostgresDump(how)) => &how.only,
        Some(Restore::Folder(how)) => &how.only,
        _ => &[],
    };
    (if only.is_empty() { configured } else { only }).iter().cloned().collect()
}

/// The parts that a side copy was restored with. Those that were asked for are compared as they were written; what the
/// configuration named then is known by what is there.
fn holds(run: &Run, side: &Side) -> BTreeSet<String> {
    match &run.plan.work {
        Work::Restore { only, .. } if !only.is_empty() => only.iter().cloned().collect(),
        _ => side.parts().into_iter().collect(),
    }
}

/// What was dropped by hand is not there to be cut over to. What cannot be found out is taken to be there: its own plan
/// says more.
async fn is_there(ctx: &PlanContext, set: &Backup, side: &Side) -> bool {
    let Ok(args) = serde_json::from_value::<SideArgs>(side.args.clone()) else { return true };
    match &set.restore {
        Some(Restore::PostgresDump(how)) if side.kind == "database" => database(ctx, set, how, side, args.oid).await,
        _ => {
            let Some(folder) = args.folder else { return true };
            let path = folder.path;
            let gone = move || path.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound);
            !blocking("look for the side copy", gone).await.unwrap_or(false)
        }
    }
}

async fn database(ctx: &PlanContext, set: &Backup, how: &PostgresRestore, side: &Side, oid: Option<u32>) -> bool {
    let (reach, from) = secrets::reach(&ctx.config, &set.name, how);
    let target = secrets::resolve(&from).await.and_then(|values| reach.target(&values));
    let Ok(target) = target else { return true };
    match facts::look(&target, &side.live, &[&side.name], &[]).await {
        Ok((seen, _)) => seen.others.iter().any(|d| oid.is_none_or(|oid| d.oid == oid)),
        Err(_) => true,
    }
}
