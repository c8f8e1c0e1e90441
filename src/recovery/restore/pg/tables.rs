//! Every table of the side database: analyzed, and counted, by as many sessions as the load had jobs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::super::job::PgRestore;
use super::server::{self, Session, failed};
use crate::domain::backup::manifest;
use crate::recovery::op::{OpContext, OpError};
use crate::sys::pg::{PgError, PgTarget, quote_ident};
use crate::text;

/// For a single statement on a single table.
const TABLE_LIMIT: Duration = Duration::from_secs(3600);
/// After this, what is left is estimated: a count must not hold up a recovery.
const COUNT_LIMIT: Duration = Duration::from_secs(120);

/// Bytes of a table that is counted where there is no estimate of it, and how long that may take for all of them.
const SMALL: i64 = 32 << 20;
const COUNT_NOW: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
struct Table {
    /// Quoted, with its schema.
    name: String,
    /// As a manifest names it.
    plain: String,
    bytes: i64,
    estimate: f64,
    is_view: bool,
    /// A materialized view made or left `WITH NO DATA` cannot be read.
    filled: bool,
}

impl Table {
    /// The server's estimate of its rows. `pg_class.reltuples` is -1 where it has none, and was 0 before PostgreSQL 14; and
    /// what was empty when it was looked at may have been filled since.
    fn estimated(&self) -> Option<u64> {
        let known = self.estimate > 0.0 || self.bytes == 0;
        known.then(|| self.estimate.max(0.0) as u64)
    }
}

/// Tables and rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub tables: u64,
    pub rows: u64,
    /// Not every table was counted: `rows` is about right.
    pub about: bool,
    /// Tables that nobody counted and that the server has no estimate of: their rows are not among `rows`.
    pub unknown: u64,
}

impl Counted {
    /// `3 tables, about 2500 rows`; `2 tables, about 10 rows and those of 1 table that was never analyzed`.
    pub fn said(&self) -> String {
        let tables = text::plural(self.tables as usize, "table");
        let rows = text::plural(self.rows as usize, "row");
        let about = if self.about { "about " } else { "" };
        let never = text::plural(self.unknown as usize, "table");
        match (self.unknown, self.rows) {
            (0, _) => format!("{tables}, {about}{rows}"),
            (_, 0) => format!("{tables}, rows unknown: {never} never analyzed"),
            _ => format!("{tables}, {about}{rows}, and {never} never analyzed whose rows are unknown"),
        }
    }
}

/// Rows by table; `None` of one that was not counted: partitioned, or there was no time for it.
pub type ByTable = BTreeMap<String, Option<u64>>;

/// What is in a side database.
pub struct Content {
    /// Rows of tables only, as dumps and estimates count them: those of a materialized view are made of others.
    pub counted: Counted,
    pub by_table: ByTable,
    /// Materialized views that were read.
    pub views: usize,
    /// Materialized views without data.
    pub unfilled: Vec<String>,
}

impl Content {
    /// `3 tables, 2500 rows, 1 materialized view read; public.totals is without data`
    pub fn said(&self) -> String {
        let mut said = self.counted.said();
        if self.views > 0 {
            said.push_str(&format!(", {} read", text::plural(self.views, "materialized view")));
        }
        if !self.unfilled.is_empty() {
            said.push_str(&format!(
                " ({} without data, as in the copy: {}; REFRESH MATERIALIZED VIEW fills it)",
                text::plural(self.unfilled.len(), "materialized view"),
                text::clean(&manifest::few(&self.unfilled))
            ));
        }
        said
    }
}

/// Tables of a database by kind (pg_class.relkind), largest first; the system's own and temporary ones are not among them.
async fn list(session: &Session, kinds: &str) -> Result<Vec<Table>, PgError> {
    let rows = session
        .rows(
            "select n.nspname::text, c.relname::text, pg_table_size(c.oid), c.reltuples::float8,
                    c.relkind = 'm', c.relispopulated
               from pg_class c join pg_namespace n on n.oid = c.relnamespace
              where c.relkind::text = any(string_to_array($1, ',')) and c.relpersistence <> 't'
                and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
              order by 3 desc, 1, 2",
            &[&kinds],
        )
        .await?;
    let mut tables = Vec::new();
    for row in &rows {
        let (schema, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let plain = format!("{schema}.{name}");
        let name = format!("{}.{}", quote_ident(&schema), quote_ident(&name));
        let (bytes, estimate) = (row.try_get(2)?, row.try_get(3)?);
        tables.push(Table { name, plain, bytes, estimate, is_view: row.try_get(4)?, filled: row.try_get(5)? });
    }
    Ok(tables)
}

/// Gives the planner its statistics. Returns how many tables there are.
pub async fn analyze(job: &PgRestore, ctx: &OpContext, target: &PgTarget) -> Result<usize, OpError> {
    let what = format!("analyze {}", job.side);
    let session = server::within(target, &job.side, "mayday analyze").await.map_err(failed(&what))?;
    let mut tables = list(&session, "r,m").await.map_err(failed(&what))?;
    // A partitioned table takes its statistics from its partitions, after they have theirs.
    let parents = list(&session, "p").await.map_err(failed(&what))?;
    drop(session);
    let count = tables.len();
    for round in [std::mem::take(&mut tables), parents] {
        each(job, ctx, target, round, &what, Work::Analyze).await?;
    }
    Ok(count)
}

/// Counts the rows of every table, and reads every materialized view that can be.
pub async fn count(job: &PgRestore, ctx: &OpContext, target: &PgTarget) -> Result<Content, OpError> {
    let what = format!("count the rows of {}", job.side);
    let session = server::within(target, &job.side, "mayday count").await.map_err(failed(&what))?;
    let (filled, unfilled): (Vec<_>, Vec<_>) =
        list(&session, "r,m").await.map_err(failed(&what))?.into_iter().partition(|t| t.filled);
    let only_tables = list(&session, "r,p").await.map_err(failed(&what))?;
    drop(session);
    let results = each(job, ctx, target, filled, &what, Work::Count).await?;
    let mut counted = Counted { tables: only_tables.len() as u64, ..Counted::default() };
    let mut by_table: ByTable = only_tables.into_iter().map(|t| (t.plain, None)).collect();
    let mut views = 0;
    for (table, rows) in results {
        by_table.insert(table.plain.clone(), rows);
        if let Some(rows) = rows {
            ctx.sink.line(&format!("{} {rows}", table.name));
        }
        match rows {
            _ if table.is_view => views += usize::from(rows.is_some()),
            Some(rows) => counted.rows += rows,
            None => match table.estimated() {
                Some(rows) => {
                    counted.about = true;
                    counted.rows += rows;
                }
                None => counted.unknown += 1,
            },
        }
    }
    let unfilled = unfilled.into_iter().map(|t| t.plain);
    by_table.extend(unfilled.clone().map(|name| (name, None)));
    Ok(Content { counted, by_table, views, unfilled: unfilled.collect() })
}

/// What a database has, by the server's own estimate: large tables are not read. Small ones without an estimate are
/// counted: "no rows" said of a table that has some is what a person must not read in an emergency.
pub async fn estimate(target: &PgTarget, database: &str) -> Result<Counted, PgError> {
    let session = server::within(target, database, "mayday compare").await?;
    let mut counted = Counted { tables: list(&session, "r,p").await?.len() as u64, ..Counted::default() };
    // Whoever holds a table is not waited for.
    session.run(&format!("set lock_timeout = '200ms'; set statement_timeout = {}", COUNT_NOW.as_millis())).await?;
    let until = Instant::now() + COUNT_NOW;
    // A partitioned table has no rows of its own, and an estimate all the same.
    let mut tables = list(&session, "r").await?;
    tables.sort_by_key(|t| t.bytes);
    for table in tables {
        if let Some(rows) = table.estimated() {
            counted.about |= rows > 0;
            counted.rows += rows;
            continue;
        }
        let small = table.bytes <= SMALL && Instant::now() < until;
        let sql = format!("select count(*) from only {}", table.name);
        let rows =
            if small { session.text(&sql).await.ok().flatten().and_then(|r| r.parse::<u64>().ok()) } else { None };
        match rows {
            Some(rows) => counted.rows += rows,
            None => counted.unknown += 1,
        }
    }
    Ok(counted)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Analyze,
    Count,
}

type Results = Vec<(Table, Option<u64>)>;

/// Does one thing with each table, in several sessions.
async fn each(
    job: &PgRestore,
    ctx: &OpContext,
    target: &PgTarget,
    tables: Vec<Table>,
    what: &str,
    work: Work,
) -> Result<Results, OpError> {
    let total = tables.iter().map(|t| t.bytes.max(0) as u64).sum::<u64>();
    let sessions = (job.jobs.max(1) as usize).min(tables.len());
    let shared = Arc::new(Shared {
        open: Mutex::new(tables.into()),
        done: Mutex::new((Vec::new(), 0)),
        total,
        until: Instant::now() + COUNT_LIMIT,
    });
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..sessions {
        let (target, side, ctx, shared) = (target.clone(), job.side.clone(), ctx.clone(), shared.clone());
        workers.spawn(async move { one_session(&target, &side, &ctx, &shared, work).await });
    }
    while let Some(end) = workers.join_next().await {
        match end {
            Ok(Ok(())) => {}
            // The other workers are dropped with the set; the server ends their statements when the database goes.
            Ok(Err(Some(e))) => return Err(failed(what)(e)),
            Ok(Err(None)) => return Err(OpError::Cancelled),
            Err(e) => return Err(OpError::Failed(format!("{what}: {e}"))),
        }
    }
    let mut done = shared.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut results = std::mem::take(&mut done.0);
    results.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    Ok(results)
}

struct Shared {
    open: Mutex<VecDeque<Table>>,
    /// What is done, and the bytes of it.
    done: Mutex<(Results, u64)>,
    total: u64,
    until: Instant,
}

/// `Err(None)` is a cancellation.
async fn one_session(
    target: &PgTarget,
    side: &str,
    ctx: &OpContext,
    shared: &Shared,
    work: Work,
) -> Result<(), Option<PgError>> {
    let session = server::within(target, side, "mayday restore").await?;
    loop {
        let next = shared.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop_front();
        let Some(table) = next else { return Ok(()) };
        let step = async {
            match work {
                Work::Analyze => session.run_in(TABLE_LIMIT, &format!("ANALYZE {}", table.name)).await.map(|()| None),
                Work::Count => {
                    let left = shared.until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(None);
                    }
                    // ONLY: the rows of partitions and children are counted with these.
                    let sql = format!("select count(*) from only {}", table.name);
                    match session.text_in(left, &sql).await {
                        Ok(rows) => Ok(rows.and_then(|r| r.parse().ok())),
                        Err(_) if Instant::now() >= shared.until => Ok(None),
                        Err(e) => Err(e),
                    }
                }
            }
        };
        let rows = tokio::select! {
            rows = step => rows?,
            () = ctx.cancel.cancelled() => {
                let _ = session.conn.cancel(Duration::from_secs(5)).await;
                return Err(None);
            }
        };
        let mut done = shared.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        done.1 += table.bytes.max(0) as u64;
        let what = if work == Work::Analyze { "analyzing" } else { "counting" };
        ctx.sink.progress(done.1, shared.total, what);
        done.0.push((table, rows));
    }
}
