//! Putting restored tables beside the live ones: each is copied out of the side database into the live one, under a name
//! of its own, and taken away again.
//!
//! Never over anything: every table is made new, all of them in one transaction, which is committed only when each holds
//! as many rows as where it came from. Columns, not-null, keys, checks and indexes come along. Defaults, foreign keys,
//! triggers and privileges do not: those would tie the live data to what somebody is still looking at.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};

use super::super::job::{self, PgTables, PgTablesDrop, PinnedTable, SideArgs, SideTables};
use super::super::names::{self, Beside};
use super::super::only::Relation;
use super::server::{self, Session, failed};
use super::{DROP_TABLES, recorded};
use crate::domain::Time;
use crate::domain::run::{Side, SideRole};
use crate::recovery::op::{Compensation, Done, OpContext, OpError};
use crate::sys::clock;
use crate::sys::pg::{PgError, quote_ident, quote_literal};
use crate::text;

/// For building one index or counting one table.
const TABLE_LIMIT: Duration = Duration::from_secs(3600);
/// The same words for every value on both sides, whatever the database says.
const PLAIN: &str = "SET LOCAL search_path = ''; SET LOCAL datestyle = 'ISO'; SET LOCAL intervalstyle = 'postgres'; \
     SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'; SET LOCAL lc_monetary = 'C'";

/// The name of a restored table: `users__restored_k3f9`.
pub fn name(table: &Relation, run: &str) -> Relation {
    Relation { schema: table.schema.clone(), name: names::database(&table.name, Beside::Restored, run) }
}

fn quoted(table: &Relation) -> String {
    format!("{}.{}", quote_ident(&table.schema), quote_ident(&table.name))
}

pub async fn run(job: &PgTables, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("put the restored tables beside those of {}", job.live.name);
    let target = job.reach.target_for(ctx)?;
    let said = |name: &str| format!("mayday put {} {name}", job.run);
    let live = server::within(&target, &job.live.name, &said("to")).await.map_err(failed(&what))?;
    let side = server::within(&target, &job.side.name, &said("from")).await.map_err(failed(&what))?;
    for (session, pinned) in [(&live, &job.live), (&side, &job.side)] {
        let found = session.database(&pinned.name).await.map_err(failed(&what))?;
        if found.map(|d| d.oid) != Some(pinned.oid) {
            return Err(OpError::Failed(format!(
                "{what}: {} is not the database it was when this was planned: plan anew",
                pinned.name
            )));
        }
    }
    let begin = |level: &str, more: &str| format!("BEGIN {level}; {PLAIN}{more}");
    side.run(&begin("ISOLATION LEVEL REPEATABLE READ READ ONLY", "")).await.map_err(failed(&what))?;
    live.run(&begin("", "; SET LOCAL lock_timeout = '10s'")).await.map_err(failed(&what))?;
    let work = async {
        let mut put = Vec::new();
        let mut rows = 0;
        for (i, table) in job.tables.iter().enumerate() {
            ctx.sink.progress(i as u64, job.tables.len() as u64, &format!("copying {table}"));
            let new = name(table, &job.run);
            rows += one(job, ctx, &side, &live, table, &new).await?;
            let sql = format!("select {}::regclass::oid", quote_literal(&quoted(&new)).trim_start());
            let oid: u32 = live.row(&sql, &[]).await.and_then(|r| Ok(r.try_get(0)?)).map_err(failed(&what))?;
            put.push(PinnedTable { table: new, oid });
        }
        Ok::<_, OpError>((put, rows))
    };
    let (put, rows) = tokio::select! {
        done = work => done?,
        () = ctx.cancel.cancelled() => {
            for session in [&live, &side] {
                let _ = session.conn.cancel(Duration::from_secs(5)).await;
            }
            return Err(OpError::Cancelled);
        }
    };
    // From the commit on they are there, and must be known or go.
    let listed = match put.as_slice() {
        [one] => one.table.to_string(),
        all => format!("{} of run {}", text::plural(all.len(), "table"), job.run),
    };
    let undo = PgTablesDrop {
        reach: job.reach.clone(),
        live: job.live.name.clone(),
        run: job.run.clone(),
        listed: listed.clone(),
        tables: put.clone(),
    };
    let compensation = Compensation {
        op: DROP_TABLES.to_owned(),
        args: job::write(&undo),
        shown: format!("drop {listed} in {}, which is not recorded", job.live.name),
    };
    ctx.sink.compensation(Some(&compensation)).map_err(recorded(&what))?;
    live.run("COMMIT").await.map_err(failed(&what))?;
    ctx.sink.line(&format!("{listed}: there, in {}", job.live.name));
    record(job, ctx, &listed, put).await.map_err(recorded(&what))?;
    for table in &job.tables {
        // Only for the speed of whoever looks into it.
        let _ = live.run_in(Duration::from_secs(60), &format!("ANALYZE {}", quoted(&name(table, &job.run)))).await;
    }
    let rows = text::plural(usize::try_from(rows).unwrap_or(usize::MAX), "row");
    let done = format!("{listed} in {}: {rows}, as many as in {}", job.live.name, job.side.name);
    ctx.sink.line(&done);
    Ok(Done { verified: Some(done) })
}

/// Makes and fills one table. Returns its rows.
async fn one(
    job: &PgTables,
    ctx: &OpContext,
    side: &Session,
    live: &Session,
    from: &Relation,
    to: &Relation,
) -> Result<u64, OpError> {
    let what = format!("copy {from} of {} to {to}", job.side.name);
    let shape = Shape::read(side, from).await.map_err(failed(&what))?;
    let shape = shape.ok_or_else(|| OpError::Failed(format!("{what}: it is not there: restore again")))?;
    let new = quoted(to);
    let mut make = format!("CREATE TABLE {new} ({})", shape.columns.join(", "));
    make.push_str(&format!("; REVOKE ALL ON TABLE {new} FROM PUBLIC"));
    let about = format!("mayday: {from} of {} from copy {}, run {}", job.live.name, text::clean(&job.copy.id), job.run);
    make.push_str(&format!("; COMMENT ON TABLE {new} IS {}", quote_literal(&about).trim_start()));
    live.run(&make).await.map_err(failed(&what))?;
    let only = if shape.partitioned { "" } else { "ONLY " };
    let (names, source) = (shape.names.join(", "), format!("{only}{}", quoted(from)));
    let (out, into) =
        (format!("COPY (SELECT {names} FROM {source}) TO STDOUT"), format!("COPY {new} ({names}) FROM STDIN"));
    copy(side, live, &out, &into).await.map_err(failed(&what))?;
    for sql in shape.later(&new) {
        live.run_in(TABLE_LIMIT, &sql).await.map_err(failed(format!("{what}: {sql}")))?;
    }
    let count = |rows: Option<String>| rows.and_then(|r| r.parse::<u64>().ok());
    let was = side.text_in(TABLE_LIMIT, &format!("select count(*) from {source}")).await.map_err(failed(&what))?;
    let is = live.text_in(TABLE_LIMIT, &format!("select count(*) from {new}")).await.map_err(failed(&what))?;
    match (count(was), count(is)) {
        (Some(was), Some(is)) if was == is => {
            ctx.sink.line(&format!("{to} {is} rows"));
            Ok(is)
        }
        (was, is) => Err(OpError::Failed(format!(
            "{what}: it would have {} rows and should have {}: nothing was put there",
            is.unwrap_or(0),
            was.unwrap_or(0)
        ))),
    }
}

/// From one database into another, piece by piece; nothing is kept.
async fn copy(side: &Session, live: &Session, out: &str, into: &str) -> Result<u64, PgError> {
    let from = side.conn.client.copy_out(out).await?;
    let to = live.conn.client.copy_in(into).await?;
    tokio::pin!(from, to);
    while let Some(piece) = from.next().await {
        to.feed(piece?).await?;
    }
    Ok(to.finish().await?)
}

/// What a table is made of.
struct Shape {
    partitioned: bool,
    row_security: bool,
    owner: String,
    names: Vec<String>,
    /// Name, type, collation, not-null.
    columns: Vec<String>,
    /// `PRIMARY KEY (id)`.
    constraints: Vec<String>,
    /// After the name of the table: `USING btree (note)`, with whether it is unique.
    indexes: Vec<(bool, String)>,
}

impl Shape {
    async fn read(side: &Session, table: &Relation) -> Result<Option<Shape>, PgError> {
        let rows = side
            .rows(
                "select c.oid, c.relkind = 'p', c.relrowsecurity, pg_get_userbyid(c.relowner)::text
                   from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                  where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p')",
                &[&table.schema, &table.name],
            )
            .await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let oid: u32 = row.try_get(0)?;
        let mut shape = Shape {
            partitioned: row.try_get(1)?,
            row_security: row.try_get(2)?,
            owner: row.try_get(3)?,
            names: Vec::new(),
            columns: Vec::new(),
            constraints: Vec::new(),
            indexes: Vec::new(),
        };
        let sql = "select quote_ident(a.attname), format_type(a.atttypid, a.atttypmod)
                     || case when a.attcollation <> t.typcollation then
                          (select format(' COLLATE %I.%I', n.nspname, l.collname)
                             from pg_collation l join pg_namespace n on n.oid = l.collnamespace where l.oid = a.attcollation)
                        else '' end || case when a.attnotnull then ' NOT NULL' else '' end
                     from pg_attribute a join pg_type t on t.oid = a.atttypid
                    where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped order by a.attnum";
        for row in side.rows(sql, &[&oid]).await? {
            let (name, rest): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            shape.columns.push(format!("{name} {rest}"));
            shape.names.push(name);
        }
        let sql = "select pg_get_constraintdef(oid) from pg_constraint
                    where conrelid = $1 and contype in ('p', 'u', 'x', 'c') order by contype <> 'p', conname";
        for row in side.rows(sql, &[&oid]).await? {
            shape.constraints.push(row.try_get(0)?);
        }
        let sql = "select i.indisunique, d.def, strpos(d.def, ' USING ')
                     from pg_index i join pg_class c on c.oid = i.indexrelid,
                          lateral (select pg_get_indexdef(i.indexrelid) as full) f,
                          lateral (select substr(f.full, length(format('CREATE %sINDEX %I ON ',
                             case when i.indisunique then 'UNIQUE ' else '' end, c.relname)) + 1) as def) d
                    where i.indrelid = $1 and not exists (select from pg_constraint k
                          where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x')) order by c.relname";
        for row in side.rows(sql, &[&oid]).await? {
            let (unique, def): (bool, String) = (row.try_get(0)?, row.try_get(1)?);
            // `[ONLY ]schema.table USING …`: what stands before is the table's own name, as the server writes it.
            let rest = def.strip_prefix("ONLY ").unwrap_or(&def);
            let own: String = {
                let row =
                    side.row("select format('%I.%I ', $1::text, $2::text)", &[&table.schema, &table.name]).await?;
                row.try_get(0)?
            };
            if let Some(using) = rest.strip_prefix(&own) {
                shape.indexes.push((unique, using.to_owned()));
            }
        }
        Ok(Some(shape))
    }

    /// What is done when the rows are there.
    fn later(&self, new: &str) -> Vec<String> {
        let mut sql: Vec<String> = self.constraints.iter().map(|def| format!("ALTER TABLE {new} ADD {def}")).collect();
        for (unique, using) in &self.indexes {
            let unique = if *unique { "UNIQUE " } else { "" };
            sql.push(format!("CREATE {unique}INDEX ON {new} {using}"));
        }
        if self.row_security {
            // Without its policies: then nobody but its owner sees anything.
            sql.push(format!("ALTER TABLE {new} ENABLE ROW LEVEL SECURITY"));
        }
        sql.push(format!("ALTER TABLE {new} OWNER TO {}", quote_ident(&self.owner)));
        sql
    }
}

async fn record(job: &PgTables, ctx: &OpContext, listed: &str, put: Vec<PinnedTable>) -> std::io::Result<()> {
    let args = SideArgs { backup: job.backup.clone(), copy: job.copy.clone(), ..SideArgs::default() };
    let side = Side {
        kind: "tables".into(),
        name: listed.to_owned(),
        live: job.live.name.clone(),
        created_at: Time::from_ms(clock::now_ms()),
        size: 0,
        role: SideRole::Beside,
        args: SideTables { chosen: Vec::new(), put }.add_to(&args),
    };
    ctx.sink.side(&side)?;
    ctx.sink.compensation(None)
}

/// Takes the tables away, those that are still what was put there. Safe to call again.
pub async fn remove(job: &PgTablesDrop, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("drop {} in {}", job.listed, job.live);
    let target = job.reach.target_for(ctx)?;
    let live = server::within(&target, &job.live, &format!("mayday drop {}", job.run)).await.map_err(failed(&what))?;
    live.run("BEGIN; SET LOCAL search_path = ''; SET LOCAL lock_timeout = '10s'").await.map_err(failed(&what))?;
    let mut gone = 0;
    for PinnedTable { table, oid } in &job.tables {
        if ctx.cancel.is_cancelled() {
            return Err(OpError::Cancelled);
        }
        let sql = "select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                    where c.oid = $1 and n.nspname = $2 and c.relname = $3";
        let found = live.rows(sql, &[oid, &table.schema, &table.name]).await.map_err(failed(&what))?;
        if found.is_empty() {
            ctx.sink.line(&format!("{table} is gone already, or became something else: left alone"));
            continue;
        }
        live.run(&format!("DROP TABLE {}", quoted(table))).await.map_err(failed(format!("{what}: {table}")))?;
        gone += 1;
    }
    live.run("COMMIT").await.map_err(failed(&what))?;
    ctx.sink.line(&format!("dropped {}", text::plural(gone, "table")));
    ctx.sink.gone(&job.listed).map_err(recorded(&what))?;
    ctx.sink.compensation(None).map_err(recorded(&what))?;
    Ok(Done { verified: Some(format!("{} gone from {}", text::plural(gone, "table"), job.live)) })
}
