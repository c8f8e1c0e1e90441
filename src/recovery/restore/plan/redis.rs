//! Planning the restore of a copy of Redis beside the live server.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::super::format;
use super::super::job;
use super::super::names::Beside;
use super::super::redis::copy::{self as copies, Kind, Shape};
use super::super::redis::scratch::{Note, Stage};
use super::super::redis::{self, Job, Wanted};
use super::folder::blocking;
use super::redis_look::{self as look, Live, rdb_of, version_word};
use super::{Draft, Say, begin, copy, disk, timeout_ms};
use crate::config::{Backup, RedisRestore, Restore};
use crate::domain::command::Refusal;
use crate::domain::run::{Risk, Work};
use crate::recovery::plan::expect::expect as expect_runs;
use crate::recovery::plan::{PlanContext, Planned};
use crate::text;

/// Copies up to this size are read to their end while planning; larger ones as the first phase.
const READ_NOW: u64 = 32 << 20;
const READ_LIMIT: Duration = Duration::from_secs(6);

pub async fn plan(
    ctx: &PlanContext,
    work: &Work,
    set: &Backup,
    how: &RedisRestore,
    asked: Option<&str>,
    test: bool,
) -> Result<Planned, Refusal> {
    let chosen = copy::choose(ctx, set, asked)?;
    let mut draft = begin(ctx, work, set, Risk::Disruptive);
    copy::judge(&mut draft, ctx, set, chosen, asked.is_some());
    copy::manifest(&mut draft, chosen).await;
    let live = look::live(&mut draft, ctx, set, how).await;
    let (program, version) = look::program(&mut draft, ctx).await;
    let mut job = Job {
        reach: live.reach.clone(),
        backup: set.name.clone(),
        run: ctx.run_id.clone(),
        live: live.label.clone(),
        side: look::beside(ctx, how, &live.label, Beside::Restore),
        copy: chosen.clone(),
        kind: Kind::Rdb,
        program,
        version,
        user: look::user(&mut draft, ctx, how),
        bind: how.reachable_as.iter().filter(|a| *a != "127.0.0.1").cloned().collect(),
        databases: live.facts.as_ref().map_or(16, |f| f.databases),
        wanted: Wanted {
            must_exist: how.must_exist.clone(),
            db: live.target.as_ref().map_or(0, |t| t.db),
            at_least: how.at_least.clone(),
        },
        cut_torn: how.cut_torn,
        test,
        leftovers: Vec::new(),
    };
    let place = format::path_of(chosen);
    let shape = blocking("look at the copy", move || copies::look(&place)).await.and_then(|s| s);
    let mut need = None;
    match shape {
        Ok(shape) => {
            job.kind = shape.kind;
            job.copy.size = shape.size;
            need = shape.head.as_ref().and_then(|h| h.memory());
            readable(&mut draft, &job, &shape, version).await;
            room(&mut draft, ctx, how, &job, &shape).await;
        }
        Err(why) => draft.fail("copy readable", why),
    }
    server(&mut draft, &live, how);
    memory(&mut draft, &live, &job, need);
    names_free(&mut draft, ctx, how, &mut job);
    describe(&mut draft, set, &job);
    let (ms, from) = expect_runs(&ctx.runs, work, Some(job.copy.size));
    (draft.plan.expected_ms, draft.plan.expected_from) = (ms, from);
    phases(&mut draft, &job);
    Ok(draft.done(timeout_ms(how.timeout)))
}

async fn readable(draft: &mut Draft<'_>, job: &Job, shape: &Shape, version: u32) {
    if let (Some(head), Some(newest)) = (&shape.head, rdb_of(version))
        && version > 0
        && head.version > newest
    {
        return draft.fail(
            "copy readable",
            format!(
                "it is an RDB file of {}, and redis-server {} reads them up to version {newest}: install a newer redis-server, or choose another copy",
                head.word(),
                version_word(version)
            ),
        );
    }
    if shape.kind == Kind::AofFolder && (1..700).contains(&version) {
        let has = version_word(version);
        return draft
            .fail("copy readable", format!("it is in parts, which redis-server {has} cannot read: install 7.0"));
    }
    let word = shape.kind.word();
    let later = format!("{word}; it is read to its end as the first phase, before anything is made");
    if shape.size > READ_NOW {
        return draft.pass("copy readable", later);
    }
    let (path, kind, until) = (format::path_of(&job.copy), shape.kind, Instant::now() + READ_LIMIT);
    let read = blocking("read the copy", move || {
        let mut stop = |_| if Instant::now() > until { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        copies::read(&path, kind, &mut stop)
    });
    match read.await.and_then(|r| r) {
        Ok(None) => draft.pass("copy readable", later),
        Ok(Some(found)) => match found.torn {
            None => draft.pass("copy readable", format!("{}, read to its end", found.said)),
            Some(torn) if job.cut_torn => {
                draft.warn("copy readable", format!("{}; that end is cut off, on a copy of it", torn.word()));
            }
            Some(torn) => draft.fail(
                "copy readable",
                format!(
                    "{}; set `cut_torn = true` in the restore to load it up to there, or choose another copy",
                    torn.word()
                ),
            ),
        },
        Err(why) => draft.fail("copy readable", why),
    }
}

/// Room for the copy beside.
async fn room(draft: &mut Draft<'_>, ctx: &PlanContext, how: &RedisRestore, job: &Job, shape: &Shape) {
    let dir = look::directory(ctx, how);
    let there = dir.ancestors().find(|d| d.is_dir()).map(PathBuf::from).unwrap_or_default();
    // An append-only file is written once more as an RDB file; a packed copy is unpacked.
    let times = if shape.packed || shape.kind != Kind::Rdb { 4 } else { 1 };
    let need = job.copy.size.saturating_mul(times);
    match disk::space(&there).await {
        Err(e) => draft.fail("disk", format!("{}: {e}", there.display())),
        Ok(space) => {
            let about = if times > 1 { "about " } else { "" };
            let said =
                format!("{about}{} needed, {} free in {}", text::size(need), text::size(space.free), dir.display());
            match (space.free >= need, times) {
                (true, _) => draft.pass("disk", said),
                (false, 1) => draft.fail("disk", format!("{said}: make room there, or set `directory`")),
                (false, _) => draft.warn("disk", said),
            }
        }
    }
}

fn server(draft: &mut Draft<'_>, live: &Live, how: &RedisRestore) {
    let facts = match &live.facts {
        // A copy can be loaded and looked at while the live server is down.
        Err(why) => return draft.warn("live server", format!("{why}; it is needed for the cut-over")),
        Ok(facts) => facts,
    };
    let version = facts.info.get("redis_version").to_owned();
    if let Some(why) = facts.obstacle(&live.label) {
        return draft.fail("live server", why);
    }
    draft.pass(
        "live server",
        format!("Redis {version} answers at {}, {}", live.label, redis::keys_word(&facts.info.keys())),
    );
    if how.by == crate::config::RedisBy::Replication && how.keys.is_empty() {
        if let Some(why) = facts.no_follower(&live.label) {
            draft.warn("hand-over", why);
        }
        if !live.target.as_ref().is_some_and(|t| t.is_here()) && how.reachable_as.is_none() {
            draft.warn("hand-over", unreachable(&live.label));
        }
    }
}

/// The live server is elsewhere, and nothing says how it reaches this host.
pub(super) fn unreachable(label: &str) -> String {
    format!("{label} is not on this host: set `reachable_as` to the address under which it reaches this one")
}

fn memory(draft: &mut Draft<'_>, live: &Live, job: &Job, need: Option<u64>) {
    let (need, sure) = match need {
        Some(need) => (need, true),
        None => (job.copy.size.saturating_mul(4), false),
    };
    if let Some(free) = look::available() {
        let said = format!("the scratch server takes about {}, {} are available", text::size(need), text::size(free));
        match (need < free, sure) {
            (true, _) => draft.pass("memory", said),
            (false, true) => draft.fail("memory", format!("{said}: free some, or restore on another host")),
            (false, false) => draft.warn("memory", said),
        }
    }
    if let Ok(facts) = &live.facts {
        look::maxmemory(draft, facts, need, false);
    }
}

/// The side's name is free, and what earlier runs left incomplete goes first.
fn names_free(draft: &mut Draft<'_>, ctx: &PlanContext, how: &RedisRestore, job: &mut Job) {
    if job.side.symlink_metadata().is_ok() {
        draft.fail("name free", format!("there is already a {}: remove it", job.side.display()));
    } else {
        draft.pass("name free", format!("{} is free", job.side.display()));
    }
    let running = |id: &str| ctx.runs.iter().any(|r| !r.state.is_over() && r.id() == id);
    let found = std::fs::read_dir(look::directory(ctx, how)).into_iter().flatten().flatten();
    let left = |path: &PathBuf| {
        Note::read(path).is_some_and(|n| n.stage == Stage::Incomplete && n.live == job.live && !running(&n.run))
    };
    job.leftovers = found.map(|e| e.path()).filter(left).collect();
    if !job.leftovers.is_empty() {
        let names: Vec<String> = job.leftovers.iter().map(|p| p.display().to_string()).collect();
        let names = names.join(", ");
        draft.warn("leftovers", format!("left incomplete by earlier runs and removed at the start: {names}"));
    }
}

fn describe(draft: &mut Draft<'_>, set: &Backup, job: &Job) {
    let live = &job.live;
    draft.plan.title = format!("{} {} beside {live}", if job.test { "test" } else { "restore" }, set.name);
    draft.plan.target = look::typed(set);
    draft.plan.holds.push(format!("redis {live}"));
    draft.effects(&format!("loads the copy into a scratch server on this host, in {}", job.side.display()));
    draft.effect(format!("{live} is not touched"));
    match &set.restore {
        Some(Restore::Redis(how)) if !how.keys.is_empty() => {
            let patterns: Vec<String> = how.keys.iter().map(|k| text::clean(k).into_owned()).collect();
            draft.effect(format!("only keys like {} are brought back from it", patterns.join(", ")));
            draft.copy_of(set, &job.copy.clone());
        }
        _ => draft.price(set, &job.copy.clone()),
    }
    if job.test {
        draft.effect("a test: the scratch server is removed after the proof");
        draft.plan.undo = "nothing is left to undo".into();
    } else {
        draft.effect("stops at ready to cut over, the scratch server keeps running; the cut-over is a step of its own");
        draft.plan.undo = format!("dropping {} undoes it", job.side.display());
    }
}

fn phases(draft: &mut Draft<'_>, job: &Job) {
    let args = job::write(job);
    let word = |p: &std::path::Path| text::shell_word(&p.display().to_string());
    if !job.leftovers.is_empty() {
        let shown = job.leftovers.iter().map(|p| format!("rm -r {}", word(p))).collect();
        draft.native("remove what earlier runs left", 1, redis::CLEAN, &args, shown);
    }
    let copy = text::shell_word(&job.copy.place);
    let check = match job.kind {
        Kind::Rdb => format!("read {copy} to its end and compare its checksum"),
        _ => format!("read every command of {copy}"),
    };
    draft.native("read the copy to its end", 20, redis::CHECK, &args, vec![check]);
    let conf = job.side.join("redis.conf");
    let run = format!("{} {}", word(&job.program), word(&conf));
    draft.native("load", 60, redis::LOAD, &args, vec![format!("cp {copy} {}", word(&job.side)), run]);
    let mut shown = vec!["INFO keyspace, beside that of the live server".to_owned()];
    shown.extend(job.wanted.must_exist.iter().map(|k| format!("EXISTS {}", text::clean(k))));
    shown.extend(job.wanted.at_least.iter().map(|(p, n)| format!("at least {n} keys like {}", text::clean(p))));
    draft.native("verify", 20, redis::VERIFY, &args, shown);
    if job.test {
        draft.native("remove it again", 1, redis::PROOF, &args, vec![format!("rm -r {}", word(&job.side))]);
    }
}
