//! Which database stands where, after a cut-over that nobody saw the end of: taken from the server, by what it calls the
//! databases inside, never from what was meant to happen.

use std::time::{Duration, Instant};

use super::super::job::{self, PgSwap, SideArgs};
use super::server::{self, Session};
use super::swap;
use crate::domain::Time;
use crate::domain::run::{Side, SideRole};
use crate::recovery::op::{Done, OpContext, OpError};
use crate::sys::clock;
use crate::sys::pg::{PgError, PgTarget, quote_ident};

/// How a swap ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Swapped,
    NotSwapped,
}

/// One mayday at a time works on a database's name. Held by the session.
pub async fn lock(session: &Session, live: &str, wait: Duration) -> Result<(), String> {
    let until = Instant::now() + wait;
    let key = "select pg_try_advisory_lock(1835104612, hashtext($1))::text";
    loop {
        let row = session.row(key, &[&live]).await.map_err(|e| e.to_string())?;
        if row.try_get::<_, String>(0).is_ok_and(|got| got == "true") {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(format!("another cut-over of {live} is going on on this server: wait until it has ended"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Asks the server how the swap ended, and sees to it that the live database takes connections. Goes on asking for
/// `patience` when the server does not answer. Errors: in words; the compensation must stay open then.
pub async fn settle(job: &PgSwap, ctx: &OpContext, target: &PgTarget, patience: Duration) -> Result<Standing, String> {
    let until = Instant::now() + patience;
    let mut pause = Duration::from_millis(50);
    loop {
        match attempt(job, ctx, target).await {
            Ok(standing) => return Ok(standing),
            Err(why) if Instant::now() >= until => return Err(why),
            Err(_) => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

async fn attempt(job: &PgSwap, ctx: &OpContext, target: &PgTarget) -> Result<Standing, String> {
    let avoid = [job.live.as_str(), job.enter.name.as_str(), job.kept_as.as_str()];
    let session = server::beside(target, &avoid, "mayday compensation").await.map_err(|e| e.to_string())?;
    let said = |e: PgError| e.to_string();
    // The session that was at it must be gone: what it had sent may still be carried out.
    let name = swap::session_name(&job.run);
    let sql = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 and pid <> pg_backend_pid()";
    session.rows(sql, &[&name]).await.map_err(said)?;
    lock(&session, &job.live, Duration::from_secs(3)).await?;

    let rows = session
        .rows(
            "select oid, datname::text from pg_database where datname = $1 or oid = any($2)",
            &[&job.live, &oids(job)],
        )
        .await
        .map_err(said)?;
    let mut found: Vec<(u32, String)> = Vec::new();
    for row in &rows {
        found.push((row.try_get(0).map_err(|e| e.to_string())?, row.try_get(1).map_err(|e| e.to_string())?));
    }
    let at_live = found.iter().find(|(_, name)| *name == job.live).map(|(oid, _)| *oid);
    let leave = job.leave.as_ref().map(|p| p.oid);
    let live = quote_ident(&job.live);
    match at_live {
        Some(oid) if oid == job.enter.oid => {
            session.run(&format!("ALTER DATABASE {live} WITH ALLOW_CONNECTIONS true")).await.map_err(said)?;
            Ok(Standing::Swapped)
        }
        Some(oid) if Some(oid) == leave => {
            session.run(&format!("ALTER DATABASE {live} WITH ALLOW_CONNECTIONS true")).await.map_err(said)?;
            open_side(job, &session, &found).await?;
            ctx.sink.line(&format!("connections to {} are allowed again", job.live));
            Ok(Standing::NotSwapped)
        }
        Some(_) => Err(format!(
            "another database is called {} now: whoever made it has to say which is the right one",
            job.live
        )),
        // Nobody has the live name although somebody had: not by our doing, since both renames are one transaction.
        None if leave.is_some() => {
            let was = found.iter().find(|(oid, _)| Some(*oid) == leave);
            let Some((_, name)) = was else { return Err(format!("{} no longer exists under any name", job.live)) };
            let sql = format!("ALTER DATABASE {} RENAME TO {live}", quote_ident(name));
            session.run(&sql).await.map_err(said)?;
            session.run(&format!("ALTER DATABASE {live} WITH ALLOW_CONNECTIONS true")).await.map_err(said)?;
            ctx.sink.line(&format!("{sql}; connections are allowed again"));
            Ok(Standing::NotSwapped)
        }
        None => {
            open_side(job, &session, &found).await?;
            Ok(Standing::NotSwapped)
        }
    }
}

fn oids(job: &PgSwap) -> Vec<u32> {
    std::iter::once(job.enter.oid).chain(job.leave.as_ref().map(|p| p.oid)).collect()
}

/// A side copy took connections before; a kept database did not.
async fn open_side(job: &PgSwap, session: &Session, found: &[(u32, String)]) -> Result<(), String> {
    let Some((_, name)) = found.iter().find(|(oid, _)| *oid == job.enter.oid) else { return Ok(()) };
    if job.undo {
        return Ok(());
    }
    let sql = format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true", quote_ident(name));
    session.run(&sql).await.map_err(|e| e.to_string())
}

/// Writes down what is kept now and what has gone, after a swap. What cannot be written is said in the output.
pub async fn record(job: &PgSwap, ctx: &OpContext, target: &PgTarget) {
    let mut faults = Vec::new();
    if let Some(leave) = &job.leave {
        let session = server::beside(target, &[&job.live, &job.kept_as], "mayday").await.ok();
        let size = match &session {
            Some(session) => session.size(&job.kept_as).await.unwrap_or(0),
            None => 0,
        };
        let args = SideArgs {
            backup: job.backup.clone(),
            copy: job.copy.clone(),
            oid: Some(leave.oid),
            folder: None,
            incomplete: false,
            ..SideArgs::default()
        };
        let side = Side {
            kind: "database".into(),
            name: job.kept_as.clone(),
            live: job.live.clone(),
            created_at: Time::from_ms(clock::now_ms()),
            size,
            role: if job.undo { SideRole::Abandoned } else { SideRole::Before },
            args: job::write(&args),
        };
        faults.extend(ctx.sink.side(&side).err());
    }
    faults.extend(ctx.sink.gone(&job.enter.name).err());
    faults.extend(ctx.sink.compensation(None).err());
    for e in faults {
        ctx.sink.line(&format!("{} is kept as {}, which could not be recorded: {e}", job.live, job.kept_as));
    }
}

/// The compensation of a run that died: safe to execute any number of times.
pub async fn compensate(job: &PgSwap, ctx: &OpContext) -> Result<Done, OpError> {
    let target = job.reach.target_for(ctx)?;
    let what = format!("allow connections to {} again", job.live);
    let standing = settle(job, ctx, &target, Duration::from_secs(60)).await;
    match standing.map_err(|why| OpError::Failed(format!("{what}: {why}")))? {
        Standing::Swapped => {
            record(job, ctx, &target).await;
            Ok(Done { verified: Some(format!("{} had been done: {} takes connections", swap::word(job), job.live)) })
        }
        Standing::NotSwapped => {
            ctx.sink.compensation(None).map_err(super::recorded(&what))?;
            Ok(Done {
                verified: Some(format!("{} takes connections and is as it was: nothing was exchanged", job.live)),
            })
        }
    }
}
