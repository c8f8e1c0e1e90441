//! Is the side database what it should be? The configured queries, and tables and rows against what the copy says of
//! itself and beside what the live database has.

use std::time::Duration;

use super::super::job::PgRestore;
use super::amcheck::Amcheck;
use super::server::{self, failed};
use super::{Facts, make, tables};
use crate::domain::backup::manifest;
use crate::recovery::op::{Done, OpContext, OpError};
use crate::sys::pg::{PgError, PgTarget};
use crate::text;

/// undefined_table, undefined_function, undefined_object, invalid_schema_name.
const ABSENT: [&str; 4] = ["42P01", "42883", "42704", "3F000"];
/// For one verification query.
const QUERY_LIMIT: Duration = Duration::from_secs(600);

pub async fn run(job: &PgRestore, ctx: &OpContext) -> Result<Done, OpError> {
    let target = job.reach.target_for(ctx)?;
    let content = tables::count(job, ctx, &target).await?;
    against_the_copy(job, ctx, content.counted)?;
    let manifest = against_the_manifest(job, ctx, &content.by_table)?;
    let asked = queries(&target, &job.side, &job.verify, !job.only.is_empty(), ctx).await?;
    let mut said = format!("{}: {}{asked}{manifest}", job.side, content.said());
    match tables::estimate(&target, &job.live).await {
        // A part of the copy says nothing beside the whole of the live one.
        _ if !job.only.is_empty() => {}
        Ok(live) => said.push_str(&format!("; {} has {}", job.live, live.said())),
        Err(e) => ctx.sink.line(&format!("{} cannot be compared with: {e}", job.live)),
    }
    let no_spaces = Facts::read(ctx).no_spaces;
    if !no_spaces.is_empty() {
        said.push_str(&format!(
            "; everything lies in the tablespace of the database, because the server lacks {}",
            text::clean(&no_spaces.join(", "))
        ));
    }
    if let Amcheck::Without(why) = &job.amcheck {
        said.push_str(&format!("; pages and indexes were not checked: {why}"));
    }
    ctx.sink.line(&said);
    if job.test {
        return Ok(Done { verified: Some(said) });
    }
    let side = make::ready(job, ctx).await?;
    Ok(Done { verified: Some(format!("{said}; {}, {}", text::size(side.size), side.said())) })
}

fn against_the_copy(job: &PgRestore, ctx: &OpContext, counted: tables::Counted) -> Result<(), OpError> {
    let facts = Facts::read(ctx);
    let missing = |what: &str, has: u64, should: u64| {
        Err(OpError::Failed(format!(
            "verify {}: it has {has} {what} and the copy has {should}: the copy was not restored whole; look into the output",
            job.side
        )))
    };
    match facts.tables {
        Some(tables) if counted.tables < tables => return missing("tables", counted.tables, tables),
        _ => {}
    }
    match facts.rows {
        Some(rows) if counted.rows < rows && !counted.about => missing("rows", counted.rows, rows),
        _ => Ok(()),
    }
}

/// Tables and rows against the copy's manifest. Rows that were counted in the copy itself must be there; others were
/// counted somewhere else at some moment, and a difference is said. Returns `, as its manifest says`.
fn against_the_manifest(job: &PgRestore, ctx: &OpContext, by_table: &tables::ByTable) -> Result<String, OpError> {
    let Some(manifest) = Facts::read(ctx).manifest.filter(|m| !m.tables.is_empty()) else { return Ok(String::new()) };
    let chosen =
        |table: &str| job.only.is_empty() || job.chosen.iter().any(|c| format!("{}.{}", c.schema, c.name) == table);
    let (compared, differences) = manifest.compare_tables(by_table, chosen);
    let tables = text::plural(compared, "table");
    for difference in &differences {
        ctx.sink.line(&format!("not as the manifest says: {difference}"));
    }
    if differences.is_empty() {
        return Ok(format!(", {tables} as the copy's manifest says"));
    }
    let said = manifest::few(&differences);
    if manifest.counted_in_copy {
        return Err(OpError::Failed(format!(
            "verify {}: {said}: the manifest was made of this very copy, so it was not restored whole; look into the output",
            job.side
        )));
    }
    let n = text::plural(differences.len(), "difference");
    Ok(format!(", {n} from the copy's manifest, which was counted elsewhere: {said}"))
}

/// Asks each configured query; the first column of its first row must be true. In a `part` of a database a query about
/// what is not there says nothing. Returns `, 2 queries true`.
pub async fn queries(
    target: &PgTarget,
    database: &str,
    queries: &[String],
    part: bool,
    ctx: &OpContext,
) -> Result<String, OpError> {
    if queries.is_empty() {
        return Ok(String::new());
    }
    let what = format!("verify {database}");
    let session = server::within(target, database, "mayday verify").await.map_err(failed(&what))?;
    // A verification looks; a statement that writes has no business in it.
    session.run("set default_transaction_read_only = on").await.map_err(failed(&what))?;
    let mut left_out = 0;
    for (i, query) in queries.iter().enumerate() {
        ctx.sink.progress(i as u64, queries.len() as u64, "verification queries");
        let shown = text::clean(query);
        let answer = tokio::select! {
            answer = session.text_in(QUERY_LIMIT, query) => answer,
            () = ctx.cancel.cancelled() => {
                let _ = session.conn.cancel(Duration::from_secs(5)).await;
                return Err(OpError::Cancelled);
            }
        };
        if let (true, Err(PgError::Other { sqlstate: Some(code), .. })) = (part, &answer)
            && ABSENT.contains(&code.as_str())
        {
            ctx.sink.line(&format!("not asked, because it needs what was not chosen: {shown}"));
            left_out += 1;
            continue;
        }
        let answer = answer.map_err(failed(format!("{what}: {shown}")))?;
        match answer.as_deref() {
            Some("t" | "true") => ctx.sink.line(&format!("true: {shown}")),
            other => {
                let said = other.map_or_else(|| "nothing".into(), |v| format!("\"{}\"", text::clean(v)));
                return Err(OpError::Failed(format!(
                    "{what}: the query gives {said} and not true: {shown}: look into the copy, or choose another one"
                )));
            }
        }
    }
    let word = |n: usize| if n == 1 { "1 query".to_owned() } else { format!("{n} queries") };
    let mut said = format!(", {} true", word(queries.len() - left_out));
    if left_out > 0 {
        said.push_str(&format!(", {} not asked: about what was not chosen", word(left_out)));
    }
    Ok(said)
}
