//! Whether what is about to be restored lies beside the live data already: cutting over to that takes no restore.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::secrets;
use super::facts;
use super::folder::blocking;
use crate::config::{Backup, PostgresRestore, Restore};
use crate::domain::run::{Checked, Plan, Precondition, Run, Side, SideRole, Step, Work};
use crate::recovery::plan::PlanContext;
use crate::recovery::restore::job::SideArgs;
use crate::recovery::restore::pitr;
use crate::recovery::restore::pitr::state::Cluster;
use crate::text;

/// The newest side copy of the same backup set that holds the same (the whole, or the same parts) and is still there.
/// Of clusters one that is paused at the moment that `plan` is for goes before others; one that the plan itself replays
/// further is not there afterwards.
pub(super) async fn restored(ctx: &PlanContext, set: &Backup, only: &[String], plan: &Plan) -> Option<Precondition> {
    let wanted = wanted(set, only);
    let mut elsewhere = None;
    let of = |r: &&Run| matches!(&r.plan.work, Work::Restore { backup, .. } if *backup == set.name);
    for run in ctx.runs.iter().rev().filter(of) {
        let Some(side) = run.sides.iter().find(|s| s.role == SideRole::Ready) else { continue };
        if is_used_up(plan, side) || holds(run, side) != wanted || !is_there(ctx, set, side).await {
            continue;
        }
        let paused = (side.kind == "cluster").then(|| Cluster::read(Path::new(&side.name))).flatten();
        let said = said(ctx, set, run, side, paused.as_ref());
        if side.kind != "cluster" || is_of_moment(plan, run, side) {
            return Some(said);
        }
        elsewhere.get_or_insert(said);
    }
    let mut other = elsewhere?;
    other.name = "another moment".into();
    other.detail = format!("not the moment that is asked for: only if that one will do: {}", other.detail);
    Some(other)
}

/// Whether the plan goes on with this cluster.
fn is_used_up(plan: &Plan, side: &Side) -> bool {
    plan.phases.iter().any(|phase| match &phase.step {
        Step::Native { op, args, .. } if op == pitr::FURTHER => {
            args.get("side").and_then(serde_json::Value::as_str) == Some(side.name.as_str())
        }
        _ => false,
    })
}

/// Whether a paused cluster is at the moment that a plan is for: the same words, or the same last transaction.
fn is_of_moment(plan: &Plan, run: &Run, side: &Side) -> bool {
    let to = |work: &Work| match work {
        Work::Restore { to, .. } => to.clone().filter(|to| !to.starts_with("newest")),
        _ => None,
    };
    let asked = to(&plan.work);
    if asked.is_some() && asked == to(&run.plan.work) {
        return true;
    }
    let of_side = serde_json::from_value::<SideArgs>(side.args.clone()).map(|args| args.copy.taken_at);
    let planned = plan.copy.as_ref().filter(|_| plan.data_lost_ms.is_some()).map(|c| c.taken_at);
    planned.is_some() && planned == of_side.ok()
}

fn said(ctx: &PlanContext, set: &Backup, run: &Run, side: &Side, paused: Option<&Cluster>) -> Precondition {
    let paused = paused.map(|c| format!(", paused at {}", super::pitr::at(c))).unwrap_or_default();
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
            "run {}{began} has {copy}ready as {}{only}{paused}, {} old: {put} with C, or: mayday restore {} --cut-over --run {}",
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
