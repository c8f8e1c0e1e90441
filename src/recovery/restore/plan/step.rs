//! Planning what follows the restore of a database: the cut-over, its undo, and dropping what was left.

use super::super::job::{self, PgDrop, PgSwap, Pinned};
use super::super::names::{self, Beside};
use super::super::pg;
use super::super::secrets;
use super::facts::{self, Facts};
use super::{Draft, Found, STEP_TIMEOUT_MS, Say, begin, expect};
use crate::config::PostgresRestore;
use crate::domain::command::Refusal;
use crate::domain::run::{Risk, Run, SideRole, Step, Work};
use crate::recovery::plan::{PlanContext, Planned};
use crate::sys::pg::{PgTarget, quote_ident};
use crate::text;

pub async fn plan(
    ctx: &PlanContext,
    work: &Work,
    found: &Found<'_>,
    how: &PostgresRestore,
) -> Result<Planned, Refusal> {
    let side = found.side;
    if side.live != how.database {
        return Err(Refusal::new(
            format!(
                "{} was restored for {}, and backup {} is of {} now",
                side.name, side.live, found.set.name, how.database
            ),
            format!(
                "put `database = \"{}\"` back into the configuration, or deal with {} by hand",
                side.live, side.name
            ),
        ));
    }
    let drop = matches!(work, Work::Drop { .. });
    // What was made from a copy can be made again.
    let is_copy = matches!(side.role, SideRole::Ready | SideRole::Beside);
    let risk = if drop && is_copy { Risk::Disruptive } else { Risk::Destructive };
    let mut draft = begin(ctx, work, found.set, risk);
    let (reach, from) = secrets::reach(&ctx.config, &found.set.name, how);
    draft.hand_over(from.clone());
    let beside = if matches!(work, Work::Undo { .. }) { Beside::Abandoned } else { Beside::Before };
    let kept_as = names::database(&side.live, beside, &ctx.run_id);

    let target = match secrets::resolve(&from).await.and_then(|values| reach.target(&values)) {
        Ok(target) => Some(target),
        Err(why) => {
            draft.fail("server", why);
            None
        }
    };
    let mut facts = None;
    if let Some(target) = &target {
        match facts::look(target, &side.live, &[&side.name, &kept_as], &ctx.runs).await {
            Ok((seen, _session)) => facts = Some(seen),
            Err(e) => draft.fail("server", format!("{}: {e}: {}", target.label(), pg::server::advice(&e))),
        }
    }
    let place = target.as_ref().map_or_else(|| "its server".to_owned(), facts::place);
    draft.plan.holds.push(format!("database {place}/{}", side.live));
    let oid = pinned(&mut draft, found, facts.as_ref());
    if drop {
        let job = PgDrop {
            reach,
            live: side.live.clone(),
            run: ctx.run_id.clone(),
            gone: Pinned { name: side.name.clone(), oid },
        };
        if facts.as_ref().is_some_and(|f| f.live.is_none()) {
            draft.fail(
                "live database",
                format!("{} does not exist, so {} is all there is: cut over or undo first", side.live, side.name),
            );
        }
        if let Some(facts) = &facts {
            slots_of_dropped(&mut draft, facts, &side.name);
        }
        describe_drop(&mut draft, ctx, found, &place);
        let shown = vec![format!("DROP DATABASE {} WITH (FORCE)", quote_ident(&side.name))];
        draft.native("drop", 1, pg::DROP, &job::write(&job), shown);
        return Ok(draft.done(STEP_TIMEOUT_MS));
    }
    let undo = matches!(work, Work::Undo { .. });
    let live = facts.as_ref().and_then(|f| f.live.as_ref());
    let grace = how.grace.unwrap_or(std::time::Duration::from_secs(5)).min(pg::GRACE_MAX);
    let job = PgSwap {
        reach,
        backup: found.set.name.clone(),
        run: ctx.run_id.clone(),
        live: side.live.clone(),
        enter: Pinned { name: side.name.clone(), oid },
        leave: live.map(|l| Pinned { name: l.name.clone(), oid: l.oid }),
        kept_as: kept_as.clone(),
        undo,
        grace_ms: u64::try_from(grace.as_millis()).unwrap_or(0),
        verify: if undo { Vec::new() } else { how.verify.clone() },
        copy: found.args.copy.clone(),
        lost: if undo || live.is_some() { None } else { found.args.lost.clone() },
    };
    if let (Some(facts), Some(target)) = (&facts, &target) {
        swap_checks(&mut draft, facts, &job, how, target);
    }
    describe_swap(&mut draft, ctx, found, &job, facts.as_ref(), &place);
    let target = draft.plan.target.clone();
    draft.expect(expect::of_steps(&ctx.runs, work, &target));
    if !undo {
        draft.after_checks(found.set);
    }
    let phase = if undo { "put back" } else { "cut over" };
    let enter = facts.as_ref().and_then(|f| f.others.iter().find(|d| d.name == job.enter.name));
    draft.native(phase, 1, pg::SWAP, &job::write(&job), shown(&job, enter.map(|d| d.owner.as_str())));
    Ok(draft.done(STEP_TIMEOUT_MS))
}

/// The side database is the one that the run left.
pub fn pinned(draft: &mut Draft<'_>, found: &Found<'_>, facts: Option<&Facts>) -> u32 {
    let name = &found.side.name;
    let Some(facts) = facts else { return found.args.oid.unwrap_or(0) };
    let there = facts.others.iter().find(|d| d.name == *name);
    match (there, found.args.oid) {
        (None, _) => {
            draft.fail(
                "side database",
                format!("{name} no longer exists: somebody dropped or renamed it; restore again"),
            );
            0
        }
        (Some(there), Some(oid)) if there.oid != oid => {
            draft.fail(
                "side database",
                format!("{name} is another database than run {} left: deal with it by hand", found.run.id()),
            );
            0
        }
        (Some(there), _) if found.side.role == SideRole::Ready && pg::is_incomplete(there.comment.as_deref()) => {
            draft.fail("side database", format!("{name} was not restored completely: restore again"));
            there.oid
        }
        (Some(there), _) => {
            draft.pass("side database", format!("{name} of {} is there", there.owner));
            there.oid
        }
    }
}

fn swap_checks(draft: &mut Draft<'_>, facts: &Facts, job: &PgSwap, how: &PostgresRestore, target: &PgTarget) {
    if facts.in_recovery {
        draft.fail(
            "server",
            format!("PostgreSQL {} is a standby: name the primary in the `dsn` of the restore", facts.version),
        );
    } else {
        draft.pass("server", format!("PostgreSQL {} answers at {}", facts.version, target.label()));
    }
    let role = quote_ident(&facts.role);
    if !facts.may_create {
        draft.fail(
            "role",
            format!("{} may not rename databases: ALTER ROLE {role} CREATEDB, or use another role", facts.role),
        );
    } else if !facts.may_own {
        let owner = facts.live.as_ref().map(|d| d.owner.clone()).unwrap_or_default();
        draft.fail(
            "role",
            format!(
                "{} is not a member of {owner}, who owns {}: GRANT {} TO {role}, or use another role",
                facts.role,
                job.live,
                quote_ident(&owner)
            ),
        );
    } else {
        draft.pass("role", format!("{} may rename databases", facts.role));
    }
    if facts.others.iter().any(|d| d.name == job.kept_as) {
        draft.fail("name free", format!("there is already a database {}: drop it or rename it", job.kept_as));
    } else {
        draft.pass("name free", format!("{} is free", job.kept_as));
    }
    if let Some(gid) = &facts.prepared {
        draft.fail("prepared transactions", format!("\"{gid}\" holds {}: commit it or roll it back first", job.live));
    }
    let slots: Vec<&str> = facts.slots.iter().filter(|s| s.database == job.live).map(|s| s.name.as_str()).collect();
    if !slots.is_empty() {
        draft.warn(
            "replication",
            format!(
                "logical replication slots stay with what is kept as {} and go with it when it is dropped: {}",
                job.kept_as,
                slots.join(", ")
            ),
        );
    }
    if facts.live.is_none() && !job.undo {
        properties(draft, job);
    }
    if how.grace.is_some_and(|g| g > pg::GRACE_MAX) {
        draft.warn(
            "grace",
            format!(
                "transactions get {} and not {}: connections are never refused for more than 10s",
                text::duration(pg::GRACE_MAX),
                text::duration(how.grace.unwrap_or_default())
            ),
        );
    }
    draft.pass("connections", format!("{} to {} will be ended", facts.live_connections, job.live));
}

/// There is no live database to take its properties from.
fn properties(draft: &mut Draft<'_>, job: &PgSwap) {
    let live = &job.live;
    let nothing = pg::told::nothing();
    let lost = job.lost.as_ref().unwrap_or(&nothing);
    match lost.lacking() {
        None => draft.pass("properties", format!("of {live}, which does not exist: {}", lost.summary())),
        Some(what) => {
            draft.warn(
                "properties",
                format!("{live} does not exist and nothing says {what}: these will be PostgreSQL's defaults; set them by hand"),
            );
            draft.effect(format!("{live} will lack what it had of {}", what.trim_start_matches("its ")));
        }
    }
}

fn describe_swap(
    draft: &mut Draft<'_>,
    ctx: &PlanContext,
    found: &Found<'_>,
    job: &PgSwap,
    facts: Option<&Facts>,
    place: &str,
) {
    draft.plan.target.clone_from(&job.live);
    let ended = facts.map_or(0, |f| f.live_connections);
    let ended = text::plural(usize::try_from(ended).unwrap_or(0), "connection");
    let grace = text::duration(std::time::Duration::from_millis(job.grace_ms));
    draft.effects(&format!("{} becomes {} on {place}", job.enter.name, job.live));
    draft.effect(format!("{ended} to it will be ended, transactions in progress after at most {grace}"));
    if job.leave.is_some() {
        draft.effect(format!("what is {} now is kept as {}, closed to connections", job.live, job.kept_as));
    } else if facts.is_some() {
        draft.effect(format!("there is no {} now: nothing is kept", job.live));
    }
    if job.undo {
        draft.plan.title = format!("undo the cut-over of {}", job.live);
        let since = found.side.created_at;
        let lost = text::duration(ctx.now.since(since));
        if is_of(draft, ctx, found, job) {
            draft.plan.data_lost_ms = Some(ctx.now.ms_since(since).max(0));
            draft.effect(format!("writes since {since} ({lost}) are no longer served; they stay in {}", job.kept_as));
        } else {
            draft.effect(format!(
                "what comes back was live until {since} ({lost} ago), and what it lacks of what is live now nobody knows; \
                 that stays in {}",
                job.kept_as
            ));
        }
        draft.plan.undo = super::undo_again(ctx, found.set, &job.kept_as);
    } else {
        draft.plan.title = format!("cut {} over to {}", job.live, job.enter.name);
        draft.price(found.set, &found.args.copy.clone());
        draft.plan.undo = if job.leave.is_some() {
            format!("undo puts {} back until it is dropped; writes made in between are lost with it", job.kept_as)
        } else {
            String::new()
        };
    }
}

/// Whether what is live now is what the run that is undone put there. Only then is it known what the undo costs.
fn is_of(draft: &mut Draft<'_>, ctx: &PlanContext, found: &Found<'_>, job: &PgSwap) -> bool {
    let live = &job.live;
    let (Some(now), Some(put)) = (&job.leave, entered(found.run)) else { return true };
    let run = found.run.id();
    if put.oid == now.oid {
        draft.pass("live database", format!("{live} is what run {run} put there"));
        return true;
    }
    let since = ctx.runs.iter().rev().find(|r| r.id() != run && entered(r).is_some_and(|p| p.oid == now.oid));
    let (whose, instead) = match since {
        Some(since) => (
            format!("run {} ({}) put it there", since.id(), text::clean(&since.plan.title)),
            format!("to take that back, undo run {} instead", since.id()),
        ),
        None => ("no run of mayday put it there".to_owned(), "look into both before you go on".to_owned()),
    };
    draft.warn(
        "live database",
        format!(
            "{live} is not what run {run} put there: {whose}; this puts {} in its place all the same, which was live until \
             {}; how much is lost by that is not known; {instead}",
            found.side.name, found.side.created_at
        ),
    );
    false
}

/// The database that a cut-over, or its undo, makes the live one.
fn entered(run: &Run) -> Option<Pinned> {
    run.plan.phases.iter().find_map(|phase| match &phase.step {
        Step::Native { op, args, .. } if op == pg::SWAP => job::read::<PgSwap>(op, args).ok().map(|swap| swap.enter),
        _ => None,
    })
}

/// A logical replication slot belongs to a database and goes with it, unless it is in use.
fn slots_of_dropped(draft: &mut Draft<'_>, facts: &Facts, name: &str) {
    let names = |active: bool| {
        let of = facts.slots.iter().filter(|s| s.database == name && s.active == active);
        of.map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (used, idle) = (names(true), names(false));
    if !used.is_empty() {
        draft.fail(
            "replication",
            format!("logical replication slots of {name} are in use: {used}: end their subscribers first; then they go with it"),
        );
    }
    if !idle.is_empty() {
        draft.warn(
            "replication",
            format!("logical replication slots go with {name}, and their subscribers lose their place: {idle}"),
        );
        draft.effect(format!("drops the logical replication slots {idle} with it"));
    }
}

fn describe_drop(draft: &mut Draft<'_>, ctx: &PlanContext, found: &Found<'_>, place: &str) {
    let side = found.side;
    let age = text::duration(ctx.now.since(side.created_at));
    draft.plan.target.clone_from(&side.name);
    draft.plan.title = format!("drop {}", side.name);
    let what = match side.role {
        SideRole::Ready => format!("the side copy of {}, restored {age} ago", side.live),
        SideRole::Before => format!("what was {} before the cut-over {age} ago: it can no longer be undone", side.live),
        SideRole::Serving => "what was handed over".to_owned(),
        SideRole::Abandoned if found.args.incomplete => {
            format!("what an unfinished restore of {} left {age} ago", side.live)
        }
        SideRole::Abandoned => {
            format!("what was {} between cut-over and undo, with the writes of that time", side.live)
        }
        SideRole::Beside => format!("what a restore of {} put beside {age} ago", side.live),
    };
    let size = if side.size > 0 { format!("; frees {}", text::size(side.size)) } else { String::new() };
    draft.effects(&format!("drops {} on {place}", side.name));
    draft.effect(format!("it is {what}{size}"));
}

/// The statements of a swap, for people. `owner` is whose the entering database is.
fn shown(job: &PgSwap, owner: Option<&str>) -> Vec<String> {
    let (live, enter) = (quote_ident(&job.live), quote_ident(&job.enter.name));
    let mut shown = Vec::new();
    if job.leave.is_none() && !job.undo {
        let lost = job.lost.clone().unwrap_or_else(pg::told::nothing);
        if let Some(owner) = owner {
            shown.extend(lost.shown(&job.enter.name, owner, false));
        }
        shown.push(pg::carry::comment_on(&job.enter.name, lost.like.comment.as_deref()));
    }
    if job.leave.is_some() {
        shown.push(format!("ALTER DATABASE {live} WITH ALLOW_CONNECTIONS false"));
        shown.push(format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'", job.live));
    }
    let mut renames = String::from("BEGIN; ");
    if job.leave.is_some() {
        renames.push_str(&format!("ALTER DATABASE {live} RENAME TO {}; ", quote_ident(&job.kept_as)));
    }
    renames.push_str(&format!(
        "ALTER DATABASE {enter} RENAME TO {live}; ALTER DATABASE {live} WITH ALLOW_CONNECTIONS true; COMMIT"
    ));
    shown.push(renames);
    shown.extend(job.verify.iter().map(|q| text::clean(q).into_owned()));
    shown
}
