//! Making the side database, giving it what the live one has, and taking it away again.

use std::time::Duration;

use super::super::job::{self, CreateAs, Described, PgRestore, SideArgs, SideTables};
use super::carry::{self, Properties};
use super::server::{self, Database, Session, failed};
use super::{Facts, recorded, removal, tables, told};
use crate::domain::Time;
use crate::domain::run::{Side, SideRole};
use crate::recovery::op::{Done, OpContext, OpError};
use crate::sys::clock;
use crate::sys::pg::{PgError, PgTarget, quote_ident, quote_literal};
use crate::text;

/// Copying template0 and waiting for a checkpoint can take long on a busy server.
const CREATE_LIMIT: Duration = Duration::from_secs(300);
const DROP_LIMIT: Duration = Duration::from_secs(120);

/// How the comment of every side database begins.
pub const MARK: &str = "mayday: restore of ";
const INCOMPLETE: &str = "INCOMPLETE, do not use";

fn comment(job: &PgRestore, state: &str) -> String {
    let taken = job.copy.taken_at;
    format!("{MARK}{} from {} taken {taken}, run {}: {state}", job.live, text::clean(&job.copy.id), job.run)
}

/// Whether a database's comment says that it is a restore that did not finish.
pub fn is_incomplete(comment: Option<&str>) -> bool {
    comment.is_some_and(|c| c.starts_with(MARK) && c.ends_with(INCOMPLETE))
}

/// Connects to the server, in another database than the two.
async fn session(job: &PgRestore, ctx: &OpContext, what: &str) -> Result<(PgTarget, Session), OpError> {
    let target = job.reach.target_for(ctx)?;
    let name = format!("mayday restore {}", job.run);
    let session = server::beside(&target, &[&job.live, &job.side], &name).await;
    let session = session.map_err(failed(format!("{what} on {}", target.label())))?;
    Ok((target, session))
}

/// Removes what runs left that ended without doing it.
pub async fn clean(job: &PgRestore, ctx: &OpContext) -> Result<Done, OpError> {
    let (_, session) = session(job, ctx, "remove what an earlier run left").await?;
    let mut removed = Vec::new();
    for left in &job.leftovers {
        let what = format!("drop {}, left by an earlier run", left.name);
        let found = session.database(&left.name).await.map_err(failed(&what))?;
        let Some(found) = found.filter(|d| d.oid == left.oid) else { continue };
        if !is_incomplete(found.comment.as_deref()) {
            ctx.sink.line(&format!("{} is no longer marked as incomplete: left alone", left.name));
            continue;
        }
        drop_database(&session, &left.name, false).await.map_err(failed(&what))?;
        ctx.sink.gone(&left.name).map_err(recorded(&what))?;
        ctx.sink.line(&format!("dropped {}, left incomplete by an earlier run", left.name));
        removed.push(left.name.clone());
    }
    Ok(Done { verified: (!removed.is_empty()).then(|| format!("removed {}", removed.join(", "))) })
}

/// That nobody has the name of the side database. One who has keeps it: it is no side copy of this run.
pub async fn still_free(job: &PgRestore, ctx: &OpContext) -> Result<(), OpError> {
    let what = format!("create database {}", job.side);
    let (_, session) = session(job, ctx, &what).await?;
    match session.database(&job.side).await.map_err(failed(&what))? {
        None => Ok(()),
        Some(_) => Err(OpError::Failed(format!(
            "{what}: one of this name exists by now, and is left as it is: plan anew; nothing was begun"
        ))),
    }
}

pub async fn create(job: &PgRestore, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("create database {}", job.side);
    let (target, session) = session(job, ctx, &what).await?;
    let live = session.database(&job.live).await.map_err(failed(&what))?;
    let sql = match &live {
        Some(live) => live.create_like(&job.side),
        None => create_as(&job.side, &lost_as(job, ctx), session.major),
    };
    if ctx.cancel.is_cancelled() {
        return Err(OpError::Cancelled);
    }
    ctx.sink.compensation(Some(&removal(job))).map_err(recorded(&what))?;
    ctx.sink.line(&sql);
    session.run_in(CREATE_LIMIT, &sql).await.map_err(failed(&what))?;
    // Nobody but its owner gets in before it is complete, and the comment says why.
    let db = quote_ident(&job.side);
    let close = format!(
        "REVOKE ALL ON DATABASE {db} FROM PUBLIC; {}",
        carry::comment_on(&job.side, Some(&comment(job, INCOMPLETE)))
    );
    session.run(&close).await.map_err(failed(&what))?;
    ctx.sink.line(&format!("created {} on {}", job.side, target.label()));
    Ok(Done::default())
}

/// What the copy says for making the database, once it was read.
fn lost_as(job: &PgRestore, ctx: &OpContext) -> CreateAs {
    let read = Facts::read(ctx).lost.map(|lost| lost.create);
    read.or_else(|| job.create_as.clone()).unwrap_or_default()
}

/// First version of PostgreSQL in which a database says who provides its locale.
const PROVIDERS_SINCE: u32 = 15;

/// Without a live database: what the copy says of the one that was dumped, on a server of version `major`.
pub fn create_as(side: &str, like: &CreateAs, major: u32) -> String {
    let mut sql = format!("CREATE DATABASE {} WITH TEMPLATE template0", quote_ident(side));
    let mut add = |word: &str, value: &Option<String>, quote: fn(&str) -> String| {
        if let Some(value) = value {
            sql.push_str(&format!(" {word} {}", quote(value).trim_start()));
        }
    };
    add("OWNER", &like.owner, quote_ident);
    add("ENCODING", &like.encoding, quote_literal);
    add("LC_COLLATE", &like.collate, quote_literal);
    add("LC_CTYPE", &like.ctype, quote_literal);
    match like.provider.as_deref() {
        Some("icu") => {
            add("LOCALE_PROVIDER", &like.provider, str::to_owned);
            add("ICU_LOCALE", &like.locale, quote_literal);
        }
        Some("builtin") => {
            add("LOCALE_PROVIDER", &like.provider, str::to_owned);
            add("BUILTIN_LOCALE", &like.locale, quote_literal);
        }
        // Otherwise it would be that of template0, which may be another one.
        Some("libc") if major >= PROVIDERS_SINCE => add("LOCALE_PROVIDER", &like.provider, str::to_owned),
        _ => {}
    }
    sql
}

/// Gives the side database the properties of the live one, and the planner its statistics.
pub async fn settle(job: &PgRestore, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("carry the properties of {} over to {}", job.live, job.side);
    let (target, session) = session(job, ctx, &what).await?;
    let side = existing(&session, &job.side).await?;
    let mut facts = Facts::read(ctx);
    let mut said = String::new();
    match session.database(&job.live).await.map_err(failed(&what))? {
        Some(live) => {
            let like = carry::read(&session, &live).await.map_err(failed(&what))?;
            apply(&session, ctx, &side, &like).await.map_err(failed(&what))?;
            // Should it be lost before the cut-over, this is how it was.
            facts.lost = Some(Described { like, ..Described::default() });
        }
        None => {
            let lost = facts.lost.get_or_insert_with(told::nothing);
            ctx.sink.line(&format!("{} does not exist: what the copy says of it is given to {}", job.live, job.side));
            let mut refused = carry::give(&session, ctx, &side, lost, true).await.map_err(failed(&what))?;
            refused.splice(0..0, lost.lacking().map(|what| format!("the copy does not say {what}")));
            if !refused.is_empty() {
                said = format!("; {} is not what {} was: {}", job.side, job.live, refused.join("; "));
            }
        }
    }
    facts.write(ctx)?;
    drop(session);
    let count = tables::analyze(job, ctx, &target).await?;
    Ok(Done { verified: Some(format!("{} analyzed{said}", text::plural(count, "table"))) })
}

async fn apply(session: &Session, ctx: &OpContext, side: &Database, wanted: &Properties) -> Result<(), PgError> {
    let now = carry::read(session, side).await?;
    let statements = wanted.statements(&side.name, &now);
    if statements.is_empty() {
        return Ok(());
    }
    session.run(&format!("BEGIN; {}; COMMIT", statements.join("; "))).await?;
    for sql in &statements {
        ctx.sink.line(sql);
    }
    Ok(())
}

async fn existing(session: &Session, name: &str) -> Result<Database, OpError> {
    let found = session.database(name).await.map_err(failed(format!("look for database {name}")))?;
    found.ok_or_else(|| {
        OpError::Failed(format!("database {name} is gone: somebody dropped or renamed it; start the restore again"))
    })
}

/// The last thing written: from here on it may take the live place.
pub async fn ready(job: &PgRestore, ctx: &OpContext) -> Result<Side, OpError> {
    let what = format!("mark {} as ready", job.side);
    let (_, session) = session(job, ctx, &what).await?;
    let side = existing(&session, &job.side).await?;
    session.run(&carry::comment_on(&job.side, Some(&comment(job, "ready")))).await.map_err(failed(&what))?;
    let args = SideArgs {
        backup: job.backup.clone(),
        copy: job.copy.clone(),
        oid: Some(side.oid),
        folder: None,
        lost: Facts::read(ctx).lost,
        incomplete: false,
        only: job.by_hand.clone(),
        ..SideArgs::default()
    };
    let side = Side {
        kind: "database".into(),
        name: job.side.clone(),
        live: job.live.clone(),
        created_at: Time::from_ms(clock::now_ms()),
        size: session.size(&job.side).await.unwrap_or(0),
        // Some tables of many: it must never be offered for the live place.
        role: if job.by_hand.is_empty() { SideRole::Ready } else { SideRole::Beside },
        args: SideTables { chosen: job.chosen.clone(), put: Vec::new() }.add_to(&args),
    };
    ctx.sink.side(&side).map_err(recorded(&what))?;
    ctx.sink.compensation(None).map_err(recorded(&what))?;
    Ok(side)
}

/// Test mode: the proof is done, the side database goes.
pub async fn drop_proof(job: &PgRestore, ctx: &OpContext) -> Result<Done, OpError> {
    remove(job, ctx).await?;
    Ok(Done {
        verified: Some(format!(
            "proven: copy {} restores and holds what it should; {} was dropped again",
            text::clean(&job.copy.id),
            job.side
        )),
    })
}

/// Takes the side database of this run away and closes the open compensation. Safe to call again.
pub async fn remove(job: &PgRestore, ctx: &OpContext) -> Result<(), OpError> {
    let what = format!("drop {}", job.side);
    let (_, session) = session(job, ctx, &what).await?;
    let Some(found) = session.database(&job.side).await.map_err(failed(&what))? else {
        return gone(job, ctx, &what);
    };
    // Its name has this run's id in it. A comment of somebody else's says that it became something else since.
    if found.comment.as_deref().is_some_and(|c| !c.starts_with(MARK)) {
        return Err(OpError::Failed(format!(
            "{what}: its comment says that it is in use for something else: drop it by hand if it is not"
        )));
    }
    drop_database(&session, &job.side, false).await.map_err(failed(&what))?;
    ctx.sink.line(&format!("dropped {}", job.side));
    gone(job, ctx, &what)
}

fn gone(job: &PgRestore, ctx: &OpContext, what: &str) -> Result<(), OpError> {
    ctx.sink.gone(&job.side).map_err(recorded(what))?;
    ctx.sink.compensation(None).map_err(recorded(what))
}

/// Ends what is connected to a database and drops it.
pub async fn drop_database(session: &Session, name: &str, must_exist: bool) -> Result<(), PgError> {
    let db = quote_ident(name);
    let exists = if must_exist { "" } else { "IF EXISTS " };
    if session.major >= 13 {
        return session.run_in(DROP_LIMIT, &format!("DROP DATABASE {exists}{db} WITH (FORCE)")).await;
    }
    session.run(&format!("ALTER DATABASE {db} WITH ALLOW_CONNECTIONS false")).await?;
    session
        .rows(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()",
            &[&name],
        )
        .await?;
    // DROP DATABASE waits up to five seconds for sessions that are ending.
    session.run_in(DROP_LIMIT, &format!("DROP DATABASE {exists}{db}")).await
}

/// After a failed phase: the side database goes, and the error says so; where that fails, it is listed by name and its
/// removal stays open.
pub async fn give_up(job: &PgRestore, ctx: &OpContext, error: OpError) -> OpError {
    // A server that shuts down or restarts gets a moment.
    let mut outcome = Ok(());
    for pause in [0, 500, 2000] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        outcome = remove(job, ctx).await;
        if outcome.is_ok() {
            break;
        }
    }
    let add = match outcome {
        Ok(()) => format!("{} is untouched and the side copy was removed", job.live),
        Err(why) => {
            let args = SideArgs {
                backup: job.backup.clone(),
                copy: job.copy.clone(),
                oid: None,
                folder: None,
                incomplete: true,
                ..SideArgs::default()
            };
            let side = Side {
                kind: "database".into(),
                name: job.side.clone(),
                live: job.live.clone(),
                created_at: Time::from_ms(clock::now_ms()),
                size: 0,
                role: SideRole::Abandoned,
                args: job::write(&args),
            };
            let listed = ctx.sink.side(&side);
            let listed = if listed.is_ok() { "it is listed as incomplete" } else { "it could not be listed" };
            format!(
                "{} is untouched; {} could not be removed ({why}): {listed}, and is removed by the next restore",
                job.live, job.side
            )
        }
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
