//! `pg_amcheck` on the side database: is every page of every table, and every B-tree index, sound in itself?
//!
//! The extension that does it is made for the time of the check where the copy does not bring it along, and dropped again
//! before anything else is done: a copy is not changed by being checked. What was not looked at is said beside what was.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::super::child::{self, Tool};
use super::super::job::PgRestore;
use super::load::{conninfo, environment};
use super::server::{self, Session, failed};
use super::{check, explain};
use crate::recovery::op::{Done, OpContext, OpError};
use crate::sys::pg::{PgError, PgTarget};
use crate::text;

/// The server's major version that can look into tables (`verify_heapam` of amcheck 1.3).
pub const SINCE: u32 = 14;
/// Findings kept for the error.
const TOLD: usize = 3;

/// Whether the side database is checked, as it was decided while planning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Amcheck {
    /// With this program.
    With(PathBuf),
    /// Not, and why.
    Without(String),
    /// Of a plan made before there was a choice.
    #[default]
    Unasked,
}

pub async fn run(job: &PgRestore, ctx: &OpContext) -> Result<Done, OpError> {
    let program = match &job.amcheck {
        Amcheck::With(program) => program.clone(),
        Amcheck::Without(_) | Amcheck::Unasked => return Ok(Done::default()),
    };
    let what = format!("check the pages and indexes of {}", job.side);
    let target = job.reach.target_for(ctx)?;
    let session = server::within(&target, &job.side, "mayday amcheck").await.map_err(failed(&what))?;
    let made = install(&session).await.map_err(failed(&what))?;
    let outcome = examine(job, ctx, &target, program, &what).await;
    // After a failure the whole side database goes.
    let found = outcome?;
    let (tables, indexes, others) = extent(&session).await.map_err(failed(&what))?;
    if made {
        session.run("DROP EXTENSION amcheck").await.map_err(failed(format!("{what}: drop the extension amcheck")))?;
    }
    if !found.is_empty() {
        let shown: Vec<&str> = found.iter().take(TOLD).map(String::as_str).collect();
        let more = found.len().saturating_sub(TOLD);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        return Err(OpError::Failed(format!(
            "{what}: pg_amcheck finds damage in {}{more}: look into the output, look at memory and disk of the server, and restore again or choose another copy",
            shown.join("; ")
        )));
    }
    let mut said = format!(
        "pg_amcheck: {} and {} sound; not proven: that each index has every row",
        text::plural(tables, "table"),
        text::plural(indexes, "B-tree index").replace("indexs", "indexes"),
    );
    if others > 0 {
        said.push_str(&format!(", {} of other kinds", text::plural(others, "index").replace("indexs", "indexes")));
    }
    ctx.sink.line(&said);
    Ok(Done { verified: Some(said) })
}

/// Makes the extension where there is none. Returns whether it did.
async fn install(session: &Session) -> Result<bool, PgError> {
    let there = session.rows("select from pg_extension where extname = 'amcheck'", &[]).await?;
    if !there.is_empty() {
        return Ok(false);
    }
    // The copy's own event triggers have no business with this.
    session.run("SET session_replication_role = replica").await?;
    session.run("CREATE EXTENSION amcheck WITH SCHEMA pg_catalog").await?;
    Ok(true)
}

/// Tables and indexes of the database that were within the check's reach, and indexes that were not.
async fn extent(session: &Session) -> Result<(usize, usize, usize), PgError> {
    let row = session
        .row(
            "select count(*) filter (where c.relkind in ('r', 'm')),
                    count(*) filter (where c.relkind = 'i' and a.amname = 'btree'),
                    count(*) filter (where c.relkind = 'i' and a.amname <> 'btree')
               from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_am a on a.oid = c.relam
              where n.nspname <> 'information_schema' and n.nspname !~ '^pg_'",
            &[],
        )
        .await?;
    let count = |at: usize| row.try_get::<_, i64>(at).map(|n| usize::try_from(n).unwrap_or(0));
    Ok((count(0)?, count(1)?, count(2)?))
}

/// What `pg_amcheck` is called with.
pub fn args(job: &PgRestore) -> Vec<std::ffi::OsString> {
    let jobs = format!("--jobs={}", job.jobs.max(1));
    ["--no-password", "--progress", &jobs, "--", &conninfo(&job.side)].into_iter().map(Into::into).collect()
}

/// Runs the program. Returns the findings: each relation once, with what is wrong with it.
async fn examine(
    job: &PgRestore,
    ctx: &OpContext,
    target: &PgTarget,
    program: PathBuf,
    what: &str,
) -> Result<Vec<String>, OpError> {
    let target = target.clone().with_database(&job.side);
    // The live database's limits were carried over, and are not for this.
    let settings = "-c statement_timeout=0 -c lock_timeout=0 -c default_transaction_read_only=off";
    let env = environment(&target, &ctx.dir, &job.reach.extra_ca, settings);
    let password = target.password().cloned();
    let tool = Tool { program, args: args(job), env, password, feed: None, user: None };
    let heard = Arc::new(Mutex::new(Findings::default()));
    let line: Arc<dyn Fn(&str) + Send + Sync> = {
        let (heard, sink) = (heard.clone(), ctx.sink.clone());
        Arc::new(move |said: &str| match pages(said) {
            Some((done, total)) => sink.progress(done, total, "checking pages and indexes"),
            None => {
                sink.line(said);
                heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner).line(said);
            }
        })
    };
    let ended = child::run(tool, ctx, line, &mut |_| Ok(())).await.map_err(|e| check::stopped(what, e))?;
    let found = std::mem::take(&mut heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner).all);
    // pg_amcheck.c: 0 when nothing was found, 2 when something was, 1 when it could not look.
    match ended.status.code() {
        Some(0) if found.is_empty() => Ok(found),
        Some(0 | 2) if !found.is_empty() => Ok(found),
        _ => {
            let said: Vec<String> = ended.said.iter().filter(|l| pages(l).is_none()).cloned().collect();
            Err(OpError::Failed(format!("{what}: {}", explain::tool("pg_amcheck", &ended.word(), &said))))
        }
    }
}

/// `  12/297 relations (4%), 100/3000 pages (3%)`: the pages done and those there are.
fn pages(line: &str) -> Option<(u64, u64)> {
    let rest = line.split_once(" relations (")?.1.split_once(", ")?.1;
    let (done, total) = rest.split_once(" pages (")?.0.split_once('/')?;
    Some((done.trim().parse().ok()?, total.trim().parse().ok()?))
}

/// pg_amcheck.c names the relation in one line (`heap table "app.public.t", block 0, offset 1:`, `btree index
/// "app.public.i":`) and says in the next, indented, what is wrong.
#[derive(Default)]
struct Findings {
    all: Vec<String>,
    /// The last line named a relation that is new.
    fresh: bool,
}

impl Findings {
    fn line(&mut self, line: &str) {
        if line.starts_with("heap table \"") || line.starts_with("btree index \"") {
            let named = line.split_once("\"").and_then(|(kind, rest)| Some((kind, rest.rsplit_once('"')?.0)));
            let Some((kind, relation)) = named else { return };
            // The database's name comes first, and everyone knows that.
            let relation = relation.split_once('.').map_or(relation, |(_, rest)| rest);
            let named = text::clean(&format!("{kind}{relation}")).into_owned();
            self.fresh = !self.all.iter().any(|f| *f == named || f.starts_with(&format!("{named} (")));
            if self.fresh {
                self.all.push(named);
            }
        } else if self.fresh && line.starts_with(' ') {
            self.fresh = false;
            if let Some(last) = self.all.last_mut() {
                last.push_str(&format!(" ({})", text::clean(line.trim())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_is_understood() {
        assert_eq!(pages("  0/297 relations (0%),    0/3000 pages (0%)"), Some((0, 3000)));
        assert_eq!(pages("297/297 relations (100%), 3000/3000 pages (100%)"), Some((3000, 3000)));
        assert_eq!(pages("heap table \"a.public.t\", block 0:"), None);
        let mut found = Findings::default();
        for line in [
            "heap table \"app.public.t\", block 0, offset 1:",
            "    line pointer redirection to item at offset 21840 exceeds maximum offset 38",
            "heap table \"app.public.t\", block 0, offset 2:",
            "    line pointer to page offset 21840 is not maximally aligned",
            "btree index \"app.odd.i\":",
            "    ERROR:  item order invariant violated for index \"i\"",
            "    DETAIL:  Lower index tid=(1,1)",
        ] {
            found.line(line);
        }
        assert_eq!(
            found.all,
            [
                "heap table public.t (line pointer redirection to item at offset 21840 exceeds maximum offset 38)",
                "btree index odd.i (ERROR:  item order invariant violated for index \"i\")"
            ]
        );
    }
}
