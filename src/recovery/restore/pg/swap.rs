//! Putting one database in the place of another, and back: the cut-over and its undo.
//!
//! New connections are refused, existing ones may finish the transaction they are in and are then ended, and both names
//! change in one transaction, made from a third database. From the first of these steps on the server refuses connections
//! to the live name, so what takes that back is on disk before it, and it is done here within [`CLOSED_MAX`] if the renames
//! cannot be. When the connection is lost at the commit, the server is asked which of the two databases stands where.
//!
//! The renames are sent as one message and their commit does not wait for the disk: a client that asks for the name while
//! they are in progress waits for them and is then told that the database was "just been dropped or renamed" (InitPostgres
//! in postinit.c), which is a worse word than that it takes no connections. What makes the commit durable follows at once,
//! before anything is recorded; a crash in between leaves the old state whole.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use super::super::job::PgSwap;
use super::carry::{self, Properties};
use super::server::{self, Database, Session, failed};
use super::standing::{self, Standing};
use super::{ALLOW, recorded, told, verify};
use crate::recovery::op::{Compensation, Done, OpContext, OpError};
use crate::sys::pg::{PgError, PgTarget, quote_ident};
use crate::text;

/// Connections are refused for no longer than this; taking it back takes a moment too.
const CLOSED_MAX: Duration = Duration::from_secs(9);
/// The longest grace for transactions in progress: after it sessions must still be ended and names changed in time.
pub const GRACE_MAX: Duration = Duration::from_secs(6);

pub fn session_name(run: &str) -> String {
    format!("mayday cut-over {run}")
}

/// What the swap is called.
pub fn word(job: &PgSwap) -> String {
    if job.undo {
        format!("undo the cut-over of {}", job.live)
    } else {
        format!("cut {} over to {}", job.live, job.enter.name)
    }
}

/// Why the closed part did not succeed.
enum Fault {
    Cancelled,
    Failed(String),
}

pub async fn run(job: &PgSwap, ctx: &OpContext) -> Result<Done, OpError> {
    let what = word(job);
    let target = job.reach.target_for(ctx)?;
    let session = session(job, &target).await.map_err(failed(format!("{what} on {}", target.label())))?;
    standing::lock(&session, &job.live, Duration::from_secs(2))
        .await
        .map_err(|why| OpError::Failed(format!("{what}: {why}")))?;
    let (enter, leave) = still_as_planned(job, &session, &what).await?;
    // The last word of a swap; also what makes it durable.
    let last = format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true", quote_ident(&job.live));
    let mut entering = Entering { live_exists: leave.is_some(), ..Entering::default() };
    match leave.as_ref().filter(|_| !job.undo) {
        Some(leave) => {
            let wanted = carry::read(&session, leave).await.map_err(failed(&what))?;
            carry_over(&session, ctx, &wanted, &enter).await.map_err(failed(&what))?;
            entering.comment = Some(wanted.comment_statement(&job.enter.name));
        }
        // There is none to ask: what was known of it.
        None if !job.undo => {
            let lost = job.lost.clone().unwrap_or_else(told::nothing);
            let mut missing = carry::give(&session, ctx, &enter, &lost, false).await.map_err(failed(&what))?;
            missing.splice(0..0, lost.lacking().map(|what| format!("nothing says {what}")));
            entering.comment = Some(lost.like.comment_statement(&job.enter.name));
            if !missing.is_empty() {
                entering.missing = Some(format!(
                    "{} is NOT as it was: {}: set by hand what it needs (\\l+ and \\drds in psql show what it has)",
                    job.live,
                    missing.join("; ")
                ));
            }
        }
        None => {}
    }
    if ctx.cancel.is_cancelled() {
        return Err(OpError::Cancelled);
    }
    let compensation = Compensation {
        op: ALLOW.to_owned(),
        args: super::job::write(job),
        shown: format!("allow connections to {} again", job.live),
    };
    ctx.sink.compensation(Some(&compensation)).map_err(recorded(&what))?;
    let began = Instant::now();
    let outcome = closed(job, ctx, &session, &entering, began).await;
    let outcome = match outcome {
        Ok(()) => session.run_in(Duration::from_secs(10), &last).await.map_err(|e| fault("make it durable", &e)),
        other => other,
    };
    drop(session);
    let fault = match outcome {
        Ok(()) => None,
        Err(fault) => match standing::settle(job, ctx, &target, Duration::from_secs(30)).await {
            Ok(Standing::Swapped) => None,
            Ok(Standing::NotSwapped) => Some(fault),
            Err(why) => {
                let said = match fault {
                    Fault::Cancelled => "it was cancelled".to_owned(),
                    Fault::Failed(why) => why,
                };
                let sql = format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true", quote_ident(&job.live));
                return Err(OpError::Failed(format!(
                    "{what}: {said}; connections to {} could not be allowed again ({why}): this stays open and is tried again; by hand: {sql}",
                    job.live
                )));
            }
        },
    };
    if let Some(fault) = fault {
        ctx.sink.compensation(None).map_err(recorded(&what))?;
        let refused = text::duration(began.elapsed());
        let took = format!("{} is as it was before and takes connections; they were refused for {refused}", job.live);
        return Err(match fault {
            Fault::Cancelled => {
                ctx.sink.line(&took);
                OpError::Cancelled
            }
            Fault::Failed(why) => OpError::Failed(format!("{what}: {why}; {took}")),
        });
    }
    done(job, ctx, &target, entering.missing, began).await
}

/// How the one database is to come into the place of the other.
#[derive(Default)]
struct Entering {
    live_exists: bool,
    /// The statement that takes mayday's own comment off it: in the transaction of the renames, so that a database with
    /// the live name never has it.
    comment: Option<String>,
    /// In what it is not like the one that was lost.
    missing: Option<String>,
}

/// After the commit: the live name answers, what was live is kept, and it is proven once more.
async fn done(
    job: &PgSwap,
    ctx: &OpContext,
    target: &PgTarget,
    missing: Option<String>,
    began: Instant,
) -> Result<Done, OpError> {
    let answers = answers(target, &job.live).await;
    let down = began.elapsed();
    standing::record(job, ctx, target).await;
    let downtime = format!("{} was refused for {}", job.live, text::duration(down));
    ctx.sink.line(&downtime);
    let kept = match &job.leave {
        Some(_) => format!("; what was live is kept as {}", job.kept_as),
        None => String::new(),
    };
    // First that it is done, and how to take it back; then what is wrong with it.
    let is = format!("{} is {} now; {downtime}{kept}", job.live, job.enter.name);
    let back = if job.undo || job.leave.is_none() { "" } else { "; undo brings back what was live" };
    let yet = |why: String| Err(OpError::Contradicted(format!("{is}{back}; yet {why}")));
    if let Err(e) = answers {
        return yet(format!("{} does not answer: {e}", job.live));
    }
    let missing = missing.map(|m| format!("{m}; ")).unwrap_or_default();
    match verify::queries(target, &job.live, &job.verify, false, ctx).await {
        Ok(asked) => Ok(Done {
            verified: Some(format!("{missing}{} answers from {}{asked}; {downtime}{kept}", job.live, job.enter.name)),
        }),
        Err(OpError::Failed(why)) => yet(format!("{missing}{why}")),
        // It is done all the same.
        Err(OpError::Cancelled) => Ok(Done { verified: None }),
        Err(other) => Err(other),
    }
}

async fn session(job: &PgSwap, target: &PgTarget) -> Result<Session, PgError> {
    let avoid = [job.live.as_str(), job.enter.name.as_str(), job.kept_as.as_str()];
    server::beside(target, &avoid, &session_name(&job.run)).await
}

/// Both databases are those of the plan, and nothing stands against renaming them.
async fn still_as_planned(
    job: &PgSwap,
    session: &Session,
    what: &str,
) -> Result<(Database, Option<Database>), OpError> {
    let refuse = |why: String| OpError::Failed(format!("{what}: {why}"));
    let changed = |name: &str| refuse(format!("{name} is not the database it was when this was planned: plan anew"));
    let enter = session.database(&job.enter.name).await.map_err(failed(what))?;
    let enter = enter.filter(|d| d.oid == job.enter.oid).ok_or_else(|| changed(&job.enter.name))?;
    if !job.undo && super::make::is_incomplete(enter.comment.as_deref()) {
        return Err(refuse(format!("{} was not restored completely: restore again", job.enter.name)));
    }
    let leave = session.database(&job.live).await.map_err(failed(what))?;
    if leave.as_ref().map(|d| d.oid) != job.leave.as_ref().map(|p| p.oid) {
        return Err(changed(&job.live));
    }
    if session.database(&job.kept_as).await.map_err(failed(what))?.is_some() {
        return Err(refuse(format!("there is already a database {}: drop it or rename it", job.kept_as)));
    }
    let names: Vec<&str> = vec![&job.live, &job.enter.name];
    let prepared =
        session.rows("select gid, database::text from pg_prepared_xacts where database = any($1)", &[&names]).await;
    if let Some(row) = prepared.map_err(failed(what))?.first() {
        let gid: String = row.try_get(0).unwrap_or_default();
        return Err(refuse(format!(
            "the prepared transaction \"{}\" holds it: commit it or roll it back first",
            text::clean(&gid)
        )));
    }
    Ok((enter, leave))
}

/// What changed of the live database's properties since the restore is given to the entering one as well.
async fn carry_over(session: &Session, ctx: &OpContext, wanted: &Properties, enter: &Database) -> Result<(), PgError> {
    let statements = wanted.statements(&enter.name, &carry::read(session, enter).await?);
    if !statements.is_empty() {
        session.run(&format!("BEGIN; {}; COMMIT", statements.join("; "))).await?;
    }
    for sql in &statements {
        ctx.sink.line(sql);
    }
    Ok(())
}

/// From refusing connections to the commit.
async fn closed(
    job: &PgSwap,
    ctx: &OpContext,
    session: &Session,
    entering: &Entering,
    began: Instant,
) -> Result<(), Fault> {
    let (live, enter) = (quote_ident(&job.live), quote_ident(&job.enter.name));
    let of = |e: PgError| fault("refuse new connections", &e);
    let mut close =
        format!("BEGIN; SET LOCAL lock_timeout = '2s'; ALTER DATABASE {enter} WITH ALLOW_CONNECTIONS false; ");
    if entering.live_exists {
        close.push_str(&format!("ALTER DATABASE {live} WITH ALLOW_CONNECTIONS false; "));
    }
    close.push_str("COMMIT");
    session.run_in(Duration::from_secs(5), &close).await.map_err(of)?;
    ctx.sink.line(&format!("new connections to {} are refused", job.live));

    let mut rename = entering.comment.as_ref().map(|c| format!("{c}; ")).unwrap_or_default();
    if entering.live_exists {
        rename.push_str(&format!("ALTER DATABASE {live} RENAME TO {}; ", quote_ident(&job.kept_as)));
    }
    rename.push_str(&format!("ALTER DATABASE {enter} RENAME TO {live}; "));
    rename.push_str(&format!("ALTER DATABASE {live} WITH ALLOW_CONNECTIONS true"));
    let mut pause = Duration::from_millis(10);
    let mut sessions = Sessions::new(job, began);
    loop {
        sessions.end_all(session, ctx).await?;
        let left = CLOSED_MAX.saturating_sub(began.elapsed());
        if left < Duration::from_millis(200) {
            return Err(Fault::Failed(format!(
                "it could not be done within {}: {}",
                text::duration(CLOSED_MAX),
                sessions.who(session).await
            )));
        }
        // Renaming waits by itself for sessions that are ending, and holds up clients meanwhile: better look again.
        let limit = left.min(Duration::from_millis(300)).as_millis();
        let all = format!(
            "BEGIN; SET LOCAL synchronous_commit = off; SET LOCAL statement_timeout = {limit}; \
             SET LOCAL lock_timeout = {limit}; {rename}; COMMIT"
        );
        match session.run_in(left + Duration::from_millis(500), &all).await {
            Ok(()) => return Ok(()),
            Err(e) if is_busy(&e) => {
                session.run("ROLLBACK").await.map_err(|e| fault("roll back", &e))?;
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(400));
            }
            // Without an answer of the server nobody knows what became of the commit: it is asked.
            Err(e) => return Err(fault("change the names", &e)),
        }
    }
}

fn fault(what: &str, e: &PgError) -> Fault {
    let hint = server::advice(e);
    let hint = if hint.is_empty() { String::new() } else { format!(": {hint}") };
    Fault::Failed(format!("{what}: {e}{hint}"))
}

/// Somebody is still connected, or holds a lock: object_in_use, lock_not_available, query_canceled.
fn is_busy(e: &PgError) -> bool {
    matches!(e, PgError::Other { sqlstate: Some(code), .. } if matches!(code.as_str(), "55006" | "55P03" | "57014"))
}

/// The sessions of both databases, on their way out.
struct Sessions {
    names: Vec<String>,
    live: String,
    began: Instant,
    grace: Duration,
    /// Sessions with the transaction that they were in when connections began to be refused: they may finish that one.
    spared: Option<HashSet<(i32, SystemTime)>>,
}

impl Sessions {
    fn new(job: &PgSwap, began: Instant) -> Self {
        let grace = Duration::from_millis(job.grace_ms).min(GRACE_MAX);
        let names = vec![job.live.clone(), job.enter.name.clone()];
        Sessions { names, live: job.live.clone(), began, grace, spared: None }
    }

    /// Returns when there is none left, or when the time for it is over.
    async fn end_all(&mut self, session: &Session, ctx: &OpContext) -> Result<(), Fault> {
        let mut pause = Duration::from_millis(4);
        let mut ended = 0;
        loop {
            if ctx.cancel.is_cancelled() {
                return Err(Fault::Cancelled);
            }
            let open = self.look(session).await?;
            if open.is_empty() || self.began.elapsed() > CLOSED_MAX {
                if ended > 0 {
                    ctx.sink.line(&format!("ended {}", text::plural(ended, "connection")));
                }
                return Ok(());
            }
            let over = self.began.elapsed() >= self.grace;
            let spared = self.spared.get_or_insert_with(|| {
                open.iter().filter(|o| o.live).filter_map(|o| o.transaction.map(|t| (o.pid, t))).collect()
            });
            let ending: Vec<i32> = open
                .iter()
                .filter(|o| over || o.transaction.is_none_or(|t| !spared.contains(&(o.pid, t))))
                .map(|o| o.pid)
                .collect();
            if !ending.is_empty() {
                ended = ended.max(ending.len());
                session
                    .rows("select pg_terminate_backend(p) from unnest($1::int[]) p", &[&ending])
                    .await
                    .map_err(|e| fault(&format!("end the connections to {}", self.live), &e))?;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    async fn look(&self, session: &Session) -> Result<Vec<Open>, Fault> {
        let of = |e: PgError| fault("look for connections", &e);
        let sql = "select pid, datname = $2, xact_start from pg_stat_activity
                    where datname = any($1) and pid <> pg_backend_pid()
                      and backend_type is distinct from 'autovacuum worker'";
        let rows = session.rows(sql, &[&self.names, &self.live]).await.map_err(of)?;
        let open =
            |r: &tokio_postgres::Row| Ok(Open { pid: r.try_get(0)?, live: r.try_get(1)?, transaction: r.try_get(2)? });
        rows.iter().map(open).collect::<Result<_, tokio_postgres::Error>>().map_err(|e| of(e.into()))
    }

    /// Who is still connected, for the error.
    async fn who(&self, session: &Session) -> String {
        let sql = "select format('%s (pid %s, %s)', coalesce(nullif(application_name, ''), 'a session'), pid, usename)
                     from pg_stat_activity where datname = any($1) and pid <> pg_backend_pid() order by pid limit 3";
        match session.rows(sql, &[&self.names]).await {
            Ok(rows) if !rows.is_empty() => {
                let who: Vec<String> = rows.iter().filter_map(|r| r.try_get(0).ok()).collect();
                format!("still connected: {}: end it on the server", text::clean(&who.join(", ")))
            }
            _ => "something on the server holds the database: look into pg_locks and pg_prepared_xacts".into(),
        }
    }
}

struct Open {
    pid: i32,
    live: bool,
    transaction: Option<SystemTime>,
}

/// The live name takes a connection and answers.
async fn answers(target: &PgTarget, live: &str) -> Result<(), PgError> {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match server::within(target, live, "mayday verify").await {
            Ok(session) => match session.text("select 1").await {
                Ok(_) => return Ok(()),
                Err(e) if Instant::now() > until => return Err(e),
                Err(_) => {}
            },
            Err(e) if Instant::now() > until => return Err(e),
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
