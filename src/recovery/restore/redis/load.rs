//! The phases of a restore beside the live server: read the copy, load it, count it, or take everything away again.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use super::client::{Conn, Reply, Target};
use super::copy;
use super::scratch::{self, DUMP, Note, Stage};
use super::{
    CHECK, CLEAN, Job, LOAD, PROOF, REMOVE, VERIFY, Wanted, blocking, compensation, keys_word, recorded, side,
};
use crate::domain::run::SideRole;
use crate::recovery::op::{Done, OpContext, OpError};
use crate::recovery::restore::{format, job, manifest, still_free};
use crate::text;

/// For writing an RDB file of everything.
const SAVE: Duration = Duration::from_secs(3600);
/// Keys looked up in the live data for comparison.
const SAMPLES: usize = 200;

pub async fn execute(op: &str, job: &Job, ctx: &OpContext) -> Result<Done, OpError> {
    if op == LOAD {
        still_free("make the scratch server", &[&job.side])?;
    }
    let result = match op {
        CLEAN => return clean(job, ctx).await,
        CHECK => return check(job, ctx).await,
        LOAD => load(job, ctx).await,
        VERIFY => verify(job, ctx).await,
        PROOF => {
            remove(job, ctx).await?;
            let said = format!("proven: copy {} loads and holds what it should; it was removed again", job.copy.id);
            return Ok(Done { verified: Some(text::clean(&said).into_owned()) });
        }
        _ => return Err(crate::recovery::restore::unknown(op)),
    };
    match result {
        Err(error) => Err(give_up(job, ctx, error).await),
        done => done,
    }
}

async fn clean(job: &Job, ctx: &OpContext) -> Result<Done, OpError> {
    for left in &job.leftovers {
        // Only what says of itself that it is incomplete.
        if Note::read(left).is_none_or(|n| n.stage != Stage::Incomplete) {
            continue;
        }
        scratch::remove(left).await.map_err(OpError::Failed)?;
        let name = left.display().to_string();
        ctx.sink.gone(&name).map_err(recorded("what was removed"))?;
        ctx.sink.line(&format!("removed {name}, left incomplete by an earlier run"));
    }
    Ok(Done::default())
}

/// Reads the copy to its end. The end of it that is cut off, where it is torn.
async fn content(job: &Job, ctx: &OpContext) -> Result<copy::Content, OpError> {
    let what = format!("check copy {}", text::clean(&job.copy.id));
    let (own, again) = (job.clone(), what.clone());
    let found = blocking(&what, ctx, move |ctx| {
        let total = own.copy.size;
        let mut progress = |done| {
            ctx.sink.progress(done, total.max(done), "reading the copy to its end");
            if ctx.cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let found = copy::read(&format::path_of(&own.copy), own.kind, &mut progress);
        found.map_err(|why| OpError::Failed(format!("{again}: {why}")))?.ok_or(OpError::Cancelled)
    })
    .await?;
    if let Some(torn) = &found.torn
        && !job.cut_torn
    {
        return Err(OpError::Failed(format!(
            "{what}: {}; set `cut_torn = true` in the restore to load it up to there, or choose another copy",
            torn.word()
        )));
    }
    Ok(found)
}

async fn check(job: &Job, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("check copy {}", text::clean(&job.copy.id));
    let manifest = manifest::check(&job.copy, ctx, &what).await?;
    let compared = manifest.as_ref().and_then(|m| m.sha256.as_ref()).map_or("", |_| "; its checksum is its manifest's");
    let found = content(job, ctx).await?;
    let torn = found.torn.map(|t| format!("; {}", t.word())).unwrap_or_default();
    ctx.sink.line(&format!("{}: {}{torn}", text::clean(&job.copy.id), found.said));
    Ok(Done { verified: Some(format!("{}{compared}{torn}", found.said)) })
}

async fn load(job: &Job, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("load {} into a scratch server", text::clean(&job.copy.id));
    if ctx.cancel.is_cancelled() {
        return Err(OpError::Cancelled);
    }
    let shown = format!("end and remove the scratch server in {}, which was not completed", job.side.display());
    ctx.sink.compensation(Some(&compensation(REMOVE, job::write(job), shown))).map_err(recorded(&what))?;
    let cut = match job.kind {
        copy::Kind::Rdb => None,
        _ => content(job, ctx).await?.torn.map(|t| t.good),
    };
    let mut note = Note {
        run: job.run.clone(),
        live: job.live.clone(),
        stage: Stage::Incomplete,
        program: job.program.clone(),
        port: 0,
        user: job.user.clone(),
        bind: job.bind.clone(),
        databases: job.databases,
        counts: BTreeMap::new(),
    };
    let (own, fresh, again) = (job.clone(), note.clone(), what.clone());
    let append = blocking(&what, ctx, move |ctx| {
        let failed = |why: String| OpError::Failed(format!("{again}: {why}"));
        scratch::create(&own.side, &fresh).map_err(failed)?;
        let total = own.copy.size;
        let mut progress = |done| {
            ctx.sink.progress(done, total.max(done), "copying beside");
            if ctx.cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let from = format::path_of(&own.copy);
        let placed = copy::place(&from, own.kind, &own.side, own.user.as_ref(), cut, &mut progress);
        if ctx.cancel.is_cancelled() {
            return Err(OpError::Cancelled);
        }
        placed.map_err(failed)
    })
    .await?;
    let target = scratch::start(&job.side, &mut note, append.as_ref(), ctx).await?;
    let failed = |why: String| OpError::Failed(format!("{what}: {why}"));
    let mut conn = Conn::open(&target).await.map_err(|e| failed(e.to_string()))?;
    if append.is_some() {
        // From here on an RDB file is the copy: it can be loaded again, and put in the place of a live one.
        conn.say(&["CONFIG", "SET", "appendonly", "no"]).await.map_err(|e| failed(e.to_string()))?;
        conn.ask_within(&[b"SAVE"], SAVE).await.map_err(|e| failed(e.to_string()))?;
        let _ = std::fs::remove_file(job.side.join("appendonly.aof"));
        for dir in ["aof", "appendonlydir"] {
            let _ = std::fs::remove_dir_all(job.side.join(dir));
        }
    }
    let info = conn.info().await.map_err(|e| failed(e.to_string()))?;
    let expired = info.number("rdb_last_load_keys_expired");
    let counts = info.keys();
    if expired > 0 {
        ctx.sink.line(&format!("{expired} keys of the copy have expired since it was made"));
    }
    if let Some(good) = cut {
        ctx.sink.line(&format!("its torn end was cut off, on the copy of it: loaded up to byte {good}"));
    }
    ctx.sink.line(&format!("loaded {}", keys_word(&counts)));
    Ok(Done::default())
}

/// Counts what is in the scratch server, and compares it with what is wanted and with the live server.
async fn verify(job: &Job, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("verify {}", job.side.display());
    let failed = |why: String| OpError::Failed(format!("{what}: {why}"));
    let target = scratch::running(&job.side).await.ok_or_else(|| failed(scratch::explain(&job.side)))?;
    let mut conn = Conn::open(&target).await.map_err(|e| failed(e.to_string()))?;
    let counts = conn.info().await.map_err(|e| failed(e.to_string()))?.keys();
    wanted(&mut conn, &job.wanted, &counts, ctx).await.map_err(|e| match e {
        OpError::Failed(why) => failed(format!("{why}: look into the copy, or choose another one")),
        other => other,
    })?;
    match compare(job, &mut conn, &counts, ctx).await {
        Ok(said) => ctx.sink.line(&said),
        Err(why) => ctx.sink.line(&format!("not compared with the live server: {why}")),
    }
    let checks = job.wanted.must_exist.len() + job.wanted.at_least.len();
    let checked = if checks == 0 { String::new() } else { format!(", {} hold", text::plural(checks, "check")) };
    let total: u64 = counts.values().sum();
    let beside = job.copy.clone();
    let stated = blocking(&what, ctx, move |_| Ok(manifest::read(&beside).ok().flatten())).await?;
    // Keys may have expired since: that is said, and no fault.
    let of_manifest = match stated.and_then(|m| m.keys) {
        Some(keys) if keys == total => ", as many as its manifest says".to_owned(),
        Some(keys) => format!(", and its manifest says {keys}"),
        None => String::new(),
    };
    let said = format!("{}{of_manifest}{checked}", keys_word(&counts));
    if job.test {
        return Ok(Done { verified: Some(said) });
    }
    let mut note = Note::read(&job.side).ok_or_else(|| failed("its note cannot be read".into()))?;
    note.counts = counts;
    note.stage = Stage::Ready;
    note.write(&job.side).map_err(failed)?;
    let size = job.side.join(DUMP).metadata().map_or(0, |m| m.len());
    let ready = side(&job.side, &job.live, SideRole::Ready, size, &job.backup, &job.copy);
    ctx.sink.side(&ready).map_err(recorded(&what))?;
    ctx.sink.compensation(None).map_err(recorded(&what))?;
    Ok(Done { verified: Some(format!("{said}; ready to cut over")) })
}

/// The configured checks. Errors: the first that does not hold.
pub async fn wanted(
    conn: &mut Conn,
    wanted: &Wanted,
    counts: &BTreeMap<u32, u64>,
    ctx: &OpContext,
) -> Result<(), OpError> {
    let failed = |e: super::client::Fault| OpError::Failed(e.to_string());
    if !wanted.must_exist.is_empty() {
        conn.say(&["SELECT", &wanted.db.to_string()]).await.map_err(failed)?;
        for key in &wanted.must_exist {
            if conn.say(&["EXISTS", key]).await.map_err(failed)?.int() != 1 {
                let key = text::clean(key);
                return Err(OpError::Failed(format!("there is no key {key} in database {}", wanted.db)));
            }
        }
    }
    for (pattern, least) in &wanted.at_least {
        let mut found = 0;
        if pattern == "*" {
            found = counts.values().sum();
        } else {
            for db in counts.keys() {
                conn.say(&["SELECT", &db.to_string()]).await.map_err(failed)?;
                let mut cursor = "0".to_owned();
                loop {
                    if ctx.cancel.is_cancelled() {
                        return Err(OpError::Cancelled);
                    }
                    let (next, keys) = scan(conn, &cursor, pattern).await.map_err(failed)?;
                    found += keys.len() as u64;
                    cursor = next;
                    if cursor == "0" {
                        break;
                    }
                }
            }
        }
        if found < *least {
            let pattern = text::clean(pattern);
            return Err(OpError::Failed(format!("{found} keys are like {pattern}, at least {least} are wanted")));
        }
        ctx.sink.line(&format!("{found} keys are like {}, at least {least} are wanted", text::clean(pattern)));
    }
    Ok(())
}

/// One step of a scan: the next cursor and the keys, of which one may come twice.
pub async fn scan(
    conn: &mut Conn,
    cursor: &str,
    pattern: &str,
) -> Result<(String, Vec<Vec<u8>>), super::client::Fault> {
    let mut answer = conn.say(&["SCAN", cursor, "MATCH", pattern, "COUNT", "1000"]).await?.list().into_iter();
    let cursor = answer.next().map(Reply::text).filter(|c| !c.is_empty()).unwrap_or_else(|| "0".into());
    let keys = answer.next().map(Reply::list).unwrap_or_default();
    Ok((cursor, keys.into_iter().filter_map(Reply::bytes).collect()))
}

/// Counts beside those of the live server, and whether keys taken at random are there too.
async fn compare(job: &Job, conn: &mut Conn, counts: &BTreeMap<u32, u64>, ctx: &OpContext) -> Result<String, String> {
    let target: Target = job.reach.target(&ctx.secrets)?;
    let mut live = Conn::open(&target).await.map_err(|e| e.to_string())?;
    let theirs = live.info().await.map_err(|e| e.to_string())?.keys();
    let (mut looked, mut there) = (0, 0);
    for db in counts.keys() {
        let db = db.to_string();
        conn.say(&["SELECT", &db]).await.map_err(|e| e.to_string())?;
        if live.say(&["SELECT", &db]).await.is_err() {
            continue;
        }
        for _ in 0..SAMPLES.div_ceil(counts.len().max(1)) {
            let Ok(Reply::Bytes(key)) = conn.say(&["RANDOMKEY"]).await else { break };
            // Reading the whole value shows that it can be read.
            conn.ask(&[b"DUMP", &key]).await.map_err(|e| e.to_string())?;
            looked += 1;
            there += live.ask(&[b"EXISTS", &key]).await.map_err(|e| e.to_string())?.int();
        }
    }
    Ok(format!("live has {}; of {looked} keys of the copy taken at random {there} are there", keys_word(&theirs)))
}

/// Takes away what this run made and closes the open compensation. Safe to call again.
pub async fn remove(job: &Job, ctx: &OpContext) -> Result<(), OpError> {
    // One of this name that another run made is not this one's to remove.
    if Note::read(&job.side).is_none_or(|n| n.run == job.run) {
        scratch::remove(&job.side).await.map_err(OpError::Failed)?;
    }
    let name = job.side.display().to_string();
    ctx.sink.gone(&name).map_err(recorded("what was removed"))?;
    ctx.sink.compensation(None).map_err(recorded("what was removed"))?;
    ctx.sink.line(&format!("ended the scratch server and removed {name}"));
    Ok(())
}

async fn give_up(job: &Job, ctx: &OpContext, error: OpError) -> OpError {
    let live = &job.live;
    let add = match remove(job, ctx).await {
        Ok(()) => format!("{live} is untouched and the scratch server was removed"),
        Err(why) => format!("{live} is untouched; the scratch server could not be removed ({why})"),
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
