//! Handing over by replication, and what takes it back.
//!
//! The live server takes over the replication id of the scratch one together with its data, at the end of the transfer and
//! never before: that id tells what it holds, to this run and to whoever finds the run broken. Until the transfer is
//! complete the live server keeps what it had and answers reads with it.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use super::client::{Conn, Info, Target};
use super::live::{self, Hold};
use super::scratch::{self, DUMP, Note, Stage};
use super::{Hand, SETTLE, blocking, compensation, connect, fetch, keys_word, load, recorded, side};
use crate::domain::run::SideRole;
use crate::recovery::op::{Done, OpContext, OpError};
use crate::recovery::restore::{folder, job};
use crate::sys::rdb;
use crate::text;

/// For the live server to find the scratch one.
const LINK: Duration = Duration::from_secs(15);
/// For a data set that is being loaded, when the run is lost.
const SETTLED: Duration = Duration::from_secs(25);
/// For saving what was taken over.
const SAVED: Duration = Duration::from_secs(60);

pub fn word(job: &Hand) -> String {
    if job.undo { format!("undo the cut-over of {}", job.live) } else { format!("cut {} over", job.live) }
}

/// The folder is the one that was planned with.
pub fn pinned(job: &Hand, what: &str) -> Result<(), OpError> {
    match folder::pin(&job.enter.path) {
        Ok(there) if there == job.enter => Ok(()),
        _ => {
            let path = job.enter.path.display();
            Err(OpError::Failed(format!("{what}: {path} is not the folder it was when this was planned: plan anew")))
        }
    }
}

/// Starts the server of a folder whose data are to go live, where it does not run.
pub async fn wake(job: &Hand, ctx: &OpContext) -> Result<Done, OpError> {
    let what = word(job);
    pinned(job, &what)?;
    if scratch::running(&job.enter.path).await.is_some() {
        ctx.sink.line("the scratch server runs");
        return Ok(Done::default());
    }
    let path = &job.enter.path;
    let failed = |why: String| OpError::Failed(format!("{what}: {why}"));
    let mut note = Note::read(path).ok_or_else(|| failed(format!("{} has no note", path.display())))?;
    whole(&path.join(DUMP), &what, ctx).await?;
    scratch::end(path).await;
    let target = scratch::start(path, &mut note, None, ctx).await?;
    let mut conn = Conn::open(&target).await.map_err(|e| failed(e.to_string()))?;
    let counts = conn.info().await.map_err(|e| failed(e.to_string()))?.keys();
    ctx.sink.line(&format!("loaded {}", keys_word(&counts)));
    Ok(Done::default())
}

/// Reads an RDB file to its end.
pub async fn whole(path: &Path, what: &str, ctx: &OpContext) -> Result<(), OpError> {
    let (path, again) = (path.to_path_buf(), what.to_owned());
    blocking(what, ctx, move |ctx| {
        let failed = |why: String| OpError::Failed(format!("{again}: {}: {why}", path.display()));
        let file = std::fs::File::open(&path).map_err(|e| failed(e.to_string()))?;
        let stop = |_| if ctx.cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        rdb::check(file, &mut { stop }).map_err(failed)?.ok_or(OpError::Cancelled).map(drop)
    })
    .await
}

pub async fn run(mut job: Hand, ctx: &OpContext) -> Result<Done, OpError> {
    let what = word(&job);
    let failed = |why: String| OpError::Failed(format!("{what}: {why}; {} is as it was", job.live));
    pinned(&job, &what)?;
    let gone = || failed("the scratch server does not run: plan anew".into());
    let scratch = scratch::running(&job.enter.path).await.ok_or_else(gone)?;
    let mut beside = Conn::open(&scratch).await.map_err(|e| failed(e.to_string()))?;
    let (target, mut conn) = connect(&job.reach, &what, ctx).await?;
    let facts = live::look(&mut conn).await.map_err(|e| failed(e.to_string()))?;
    if let Some(why) = facts.obstacle(&job.live).or_else(|| facts.no_follower(&job.live)) {
        return Err(failed(why));
    }
    if facts.info.get("run_id") != job.live_run {
        return Err(failed("the server was started again since this was planned: plan anew".into()));
    }
    let replid = identity(&scratch, &mut beside).await.map_err(failed)?;
    if ctx.cancel.is_cancelled() {
        return Err(OpError::Cancelled);
    }
    let mut note = Note::read(&job.enter.path).ok_or_else(gone)?;
    let port = note.port;
    job.replid = Some(replid);
    let shown = format!("see to it that {} is a master again and has its own settings", job.live);
    ctx.sink.compensation(Some(&compensation(SETTLE, job::write(&job), shown))).map_err(recorded(&what))?;

    note.run.clone_from(&job.run);
    note.stage = Stage::Incomplete;
    let began = hand_over(&job, note, port, &target, &mut conn, ctx).await;
    let done = match began {
        // Whatever happened: what the live server holds now says how it ended.
        Err(error) => match settle(&job, &what, ctx).await {
            Ok(Held::New) => Err(OpError::Contradicted(format!("{what}: done, yet {error}"))),
            Ok(Held::Old) => {
                leave(&job, &what, ctx).await?;
                return Err(match error {
                    OpError::Failed(why) => OpError::Failed(format!("{what}: {why}; {} has the data it had", job.live)),
                    other => other,
                });
            }
            Ok(Held::Unknown(why)) => Err(OpError::Failed(format!("{what}: {error}; {why}"))),
            Err(why) => {
                return Err(OpError::Failed(format!("{what}: {error}; {why}: this stays open and is tried again")));
            }
        },
        Ok(times) => {
            match settle(&job, &what, ctx).await {
                Ok(Held::New) => {}
                Ok(Held::Old) => return Err(failed("it did not take the data over".into())),
                Ok(Held::Unknown(why)) => return Err(OpError::Failed(format!("{what}: {why}"))),
                Err(why) => return Err(OpError::Failed(format!("{what}: {why}: this stays open and is tried again"))),
            }
            Ok((times, Instant::now()))
        }
    };
    let counts = beside.info().await.map(|i| i.keys()).unwrap_or_default();
    record(&job, ctx).await;
    let (times, ended) = done?;
    conclude(&job, &what, times, ended, &counts, &target, ctx).await
}

/// The replication id that whoever follows this server takes over. A server makes a new one when its first replica comes,
/// so one comes and goes before it is asked.
async fn identity(scratch: &Target, beside: &mut Conn) -> Result<String, String> {
    let until = Instant::now() + LINK;
    let mut first = Conn::open(scratch).await.map_err(|e| e.to_string())?;
    first.send(&["SYNC"]).await.map_err(|e| e.to_string())?;
    loop {
        let info = beside.info().await.map_err(|e| e.to_string())?;
        if info.get("repl_backlog_active") == "1" {
            return Ok(info.get("master_replid").to_owned());
        }
        if Instant::now() > until {
            return Err("the scratch server does not let itself be followed: plan anew".into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// When writes were first held or refused, and how long reads were answered with LOADING.
struct Times {
    since: Instant,
    loading: Duration,
    held: bool,
}

/// Keeps what is live, then lets the live server follow the scratch one until it has everything.
async fn hand_over(
    job: &Hand,
    mut note: Note,
    port: u16,
    target: &Target,
    conn: &mut Conn,
    ctx: &OpContext,
) -> Result<Times, OpError> {
    let failed = |why: String| OpError::Failed(why);
    scratch::create(&job.kept_as, &note).map_err(failed)?;
    let scratch = scratch::running(&job.enter.path).await.ok_or_else(|| failed("the scratch server ended".into()))?;
    let password =
        scratch.password.as_ref().map(|p| secrecy::ExposeSecret::expose_secret(p).to_owned()).unwrap_or_default();
    live::set(conn, &job.kept_as, Some(&password)).await.map_err(failed)?;
    let mut hold = keep(job, &mut note, target, conn, ctx).await?;
    if ctx.cancel.is_cancelled() {
        return Err(OpError::Cancelled);
    }
    conn.say(&["REPLICAOF", &job.host, &port.to_string()]).await.map_err(|e| failed(e.to_string()))?;
    hold.end(conn).await;
    if !hold.holds {
        hold.since = Instant::now();
    }
    let loading = follow(job, &scratch, conn, ctx).await?;
    Ok(Times { since: hold.since, loading, held: hold.holds })
}

/// Holds writes and fetches what is live into the folder that it is kept in.
pub async fn keep(
    job: &Hand,
    note: &mut Note,
    target: &Target,
    conn: &mut Conn,
    ctx: &OpContext,
) -> Result<Hold, OpError> {
    let mut hold = Hold::begin(conn).await;
    if !hold.holds {
        ctx.sink.line("this server cannot hold writes: those of the next moments are not in what is kept");
    }
    let user = note.user.clone();
    let work = async {
        let bytes = fetch::run(target, &job.kept_as, DUMP, user.as_ref(), ctx).await?;
        whole(&job.kept_as.join(DUMP), "what was live", ctx).await?;
        Ok(bytes)
    };
    let bytes: Result<u64, OpError> = hold.during(conn, work).await;
    let counts = conn.info().await.map(|i| i.keys()).unwrap_or_default();
    let bytes = bytes?;
    note.counts = counts;
    note.stage = Stage::Kept;
    note.write(&job.kept_as).map_err(OpError::Failed)?;
    ctx.sink.line(&format!("kept {} in {} ({})", keys_word(&note.counts), job.kept_as.display(), text::size(bytes)));
    Ok(hold)
}

/// Waits until the live server has everything. How long it was loading.
async fn follow(job: &Hand, scratch: &Target, conn: &mut Conn, ctx: &OpContext) -> Result<Duration, OpError> {
    let failed = |why: String| OpError::Failed(why);
    let mut beside = Conn::open(scratch).await.map_err(|e| failed(e.to_string()))?;
    let mut heard = Instant::now();
    let (mut loading, mut since) = (Duration::ZERO, None::<Instant>);
    loop {
        let info = conn.info().await.map_err(|e| failed(e.to_string()))?;
        let now = Instant::now();
        match (info.get("loading") == "1", since) {
            (true, None) => since = Some(now),
            (false, Some(began)) => {
                loading += now - began;
                since = None;
            }
            _ => {}
        }
        let syncing = info.get("master_sync_in_progress") == "1";
        if syncing || since.is_some() {
            heard = now;
            let (done, total) = match since {
                Some(_) => (info.number("loading_loaded_bytes"), info.number("loading_total_bytes")),
                None => (info.number("master_sync_read_bytes"), info.number("master_sync_total_bytes")),
            };
            ctx.sink.progress(done, total.max(done), "handing over");
        } else if info.get("master_link_status") == "up" && Some(info.get("master_replid")) == job.replid.as_deref() {
            let theirs = beside.info().await.map_err(|e| failed(e.to_string()))?;
            if info.get("slave_repl_offset") == theirs.get("master_repl_offset") {
                return Ok(loading);
            }
        }
        if info.get("role") != "slave" {
            return Err(failed("somebody made it a master again meanwhile".into()));
        }
        if now.duration_since(heard) > LINK {
            return Err(failed(format!(
                "it does not reach the scratch server at {}:{}: set `reachable_as` to an address of this host that it does reach",
                job.host,
                info.get("master_port")
            )));
        }
        // Once it loads there is nothing to go back to: that is seen through.
        if ctx.cancel.is_cancelled() && since.is_none() && info.get("master_link_status") != "up" {
            return Err(OpError::Cancelled);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What the live server holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Held {
    New,
    Old,
    Unknown(String),
}

/// Makes the live server a master with its own settings, whatever it is doing, and says what it holds. Safe to do again.
async fn settle(job: &Hand, what: &str, ctx: &OpContext) -> Result<Held, String> {
    let until = Instant::now() + SETTLED;
    let target = job.reach.target(&ctx.secrets)?;
    loop {
        match settled(job, &target, what).await {
            Ok(Some(held)) => return Ok(held),
            Ok(None) => {}
            Err(why) if Instant::now() > until => return Err(why),
            Err(_) => {}
        }
        if Instant::now() > until {
            return Err(format!("{} is still loading", job.live));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// `None`: not yet.
async fn settled(job: &Hand, target: &Target, what: &str) -> Result<Option<Held>, String> {
    let said = |e: super::client::Fault| e.to_string();
    let mut conn = Conn::open(target).await.map_err(said)?;
    let info = conn.info().await.map_err(said)?;
    if info.get("loading") == "1" {
        return Ok(None);
    }
    if info.get("role") == "slave" {
        match conn.say(&["REPLICAOF", "NO", "ONE"]).await {
            Err(e) if e.is_loading() => return Ok(None),
            answer => drop(answer.map_err(said)?),
        }
    }
    let _ = conn.say(&["CLIENT", "UNPAUSE"]).await;
    live::put_back(&mut conn, &job.kept_as).await?;
    let info = conn.info().await.map_err(said)?;
    Ok(Some(held(job, &info, what)))
}

fn held(job: &Hand, info: &Info, what: &str) -> Held {
    let ids = [info.get("master_replid"), info.get("master_replid2")];
    if job.replid.as_deref().is_some_and(|id| ids.contains(&id)) {
        return Held::New;
    }
    if info.get("run_id") == job.live_run {
        return Held::Old;
    }
    // A server that was started anew has forgotten whom it followed. Its files say which data it came up with.
    let counts = Note::read(&job.enter.path).map(|n| n.counts).unwrap_or_default();
    let before = Note::read(&job.kept_as).filter(|n| n.stage == Stage::Kept).map(|n| n.counts);
    match info.keys() {
        now if Some(&now) == before.as_ref() && now != counts => Held::Old,
        now if before.is_none() && now != counts => Held::Old,
        now => Held::Unknown(format!(
            "{what}: {} was started again meanwhile and holds {}: look at it; what was live is kept as {}",
            job.live,
            keys_word(&now),
            job.kept_as.display()
        )),
    }
}

/// It did not happen: what was kept goes.
async fn leave(job: &Hand, what: &str, ctx: &OpContext) -> Result<(), OpError> {
    if let Err(why) = scratch::remove(&job.kept_as).await {
        ctx.sink.line(&why);
    }
    ctx.sink.compensation(None).map_err(recorded(what))
}

/// What was live, as it is listed.
fn kept_side(job: &Hand) -> crate::domain::run::Side {
    let role = if job.undo { SideRole::Abandoned } else { SideRole::Before };
    let size = job.kept_as.join(DUMP).metadata().map_or(0, |m| m.len());
    side(&job.kept_as, &job.live, role, size, &job.backup, &job.copy)
}

/// It happened: what was live is listed, and the scratch server, which holds the same as the live one, goes.
pub async fn record(job: &Hand, ctx: &OpContext) {
    let mut faults = Vec::new();
    faults.extend(ctx.sink.side(&kept_side(job)).err().map(|e| e.to_string()));
    match scratch::remove(&job.enter.path).await {
        Ok(()) => faults.extend(ctx.sink.gone(&job.enter.path.display().to_string()).err().map(|e| e.to_string())),
        Err(why) => faults.push(why),
    }
    faults.extend(ctx.sink.compensation(None).err().map(|e| e.to_string()));
    for why in faults {
        ctx.sink.line(&format!("what was live is kept as {}; {why}", job.kept_as.display()));
    }
}

/// Counts and checks the live server after it was done.
async fn conclude(
    job: &Hand,
    what: &str,
    times: Times,
    ended: Instant,
    counts: &std::collections::BTreeMap<u32, u64>,
    target: &Target,
    ctx: &OpContext,
) -> Result<Done, OpError> {
    let kept = format!("what was live is kept as {}", job.kept_as.display());
    let contradicted = |why: String| OpError::Contradicted(format!("{what}: done, yet {why}; {kept}"));
    let mut conn = Conn::open(target).await.map_err(|e| contradicted(e.to_string()))?;
    let now = conn.info().await.map_err(|e| contradicted(e.to_string()))?.keys();
    let fewer = counts.iter().find(|(db, n)| now.get(*db).copied().unwrap_or(0) + expiring(**n) < **n);
    if let Some((db, n)) = fewer {
        let found = now.get(db).copied().unwrap_or(0);
        return Err(contradicted(format!("database {db} has {found} keys where the copy has {n}")));
    }
    match load::wanted(&mut conn, &job.wanted, &now, ctx).await {
        Err(OpError::Failed(why)) => return Err(contradicted(why)),
        Err(OpError::Cancelled) | Ok(()) => {}
        Err(other) => return Err(other),
    }
    let down = text::duration(ended.duration_since(times.since));
    let loading = match times.loading {
        t if t.is_zero() => String::new(),
        t => format!(", reads were answered with LOADING for {}", text::duration(t)),
    };
    let verb = if times.held { "held or refused" } else { "refused" };
    let saved = live::saved(&mut conn, SAVED).await.map(|s| format!("; {s}")).unwrap_or_default();
    let said = format!("{} has {}; writes were {verb} for {down}{loading}; {kept}{saved}", job.live, keys_word(&now));
    Ok(Done { verified: Some(said) })
}

/// Keys that may expire or be deleted by clients between two counts.
const fn expiring(n: u64) -> u64 {
    n / 100 + 5
}

/// The compensation of a run that died: safe to execute any number of times.
pub async fn compensate(job: &Hand, ctx: &OpContext) -> Result<Done, OpError> {
    let what = word(job);
    match settle(job, &what, ctx).await.map_err(OpError::Failed)? {
        Held::New => {
            record(job, ctx).await;
            Ok(Done { verified: Some(format!("{what} had been done")) })
        }
        Held::Old => {
            leave(job, &what, ctx).await?;
            Ok(Done { verified: Some(format!("{} is as it was: nothing was taken over", job.live)) })
        }
        Held::Unknown(why) => {
            // Both are kept: a person has to look.
            ctx.sink.side(&kept_side(job)).map_err(recorded(&what))?;
            ctx.sink.compensation(None).map_err(recorded(&what))?;
            Ok(Done { verified: Some(why) })
        }
    }
}
