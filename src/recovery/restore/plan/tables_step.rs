//! Planning what follows the restore of single tables: putting them beside the live ones, and taking them away again.

use super::super::job::{self, PgTables, PgTablesDrop, Pinned, PinnedTable, SideTables};
use super::super::only::Relation;
use super::super::pg;
use super::super::secrets;
use super::disk::{self, Known, Need};
use super::facts::{self, Facts};
use super::{Draft, Found, STEP_TIMEOUT_MS, Say, begin, timeout_ms};
use crate::config::PostgresRestore;
use crate::domain::command::Refusal;
use crate::domain::run::{Risk, Side, Work};
use crate::recovery::plan::{PlanContext, Planned};
use crate::sys::pg::{PgError, PgTarget, quote_ident};
use crate::text;

/// Whether a step on this side is one about single tables.
pub fn is_about(work: &Work, side: &Side) -> bool {
    let carried = SideTables::of(&side.args);
    side.kind == "tables" || matches!(work, Work::CutOver { .. }) && !carried.chosen.is_empty()
}

pub async fn plan(
    ctx: &PlanContext,
    work: &Work,
    found: &Found<'_>,
    how: &PostgresRestore,
) -> Result<Planned, Refusal> {
    let side = found.side;
    let carried = SideTables::of(&side.args);
    let mut draft = begin(ctx, work, found.set, Risk::Disruptive);
    let (reach, from) = secrets::reach(&ctx.config, &found.set.name, how);
    draft.hand_over(from.clone());
    let target = match secrets::resolve(&from).await.and_then(|values| reach.target(&values)) {
        Ok(target) => Some(target),
        Err(why) => {
            draft.fail("server", why);
            None
        }
    };
    let mut facts = None;
    if let Some(target) = &target {
        match facts::look(target, &side.live, &[&side.name], &ctx.runs).await {
            Ok((seen, _)) => facts = Some(seen),
            Err(e) => draft.fail("server", format!("{}: {e}: {}", target.label(), pg::server::advice(&e))),
        }
    }
    let place = target.as_ref().map_or_else(|| "its server".to_owned(), facts::place);
    draft.plan.holds.push(format!("database {place}/{}", side.live));
    draft.plan.target.clone_from(&side.live);
    if side.kind == "tables" {
        draft.plan.title = format!("drop {} in {}", side.name, side.live);
        draft.effects(&format!("drops {} in {} on {place}", names(&carried.put), side.live));
        draft.effect("they are restored copies that lie beside the live tables; those are not touched");
        let job = PgTablesDrop {
            reach,
            live: side.live.clone(),
            run: ctx.run_id.clone(),
            listed: side.name.clone(),
            tables: carried.put,
        };
        let shown = job.tables.iter().map(|t| format!("DROP TABLE {}", quoted(&t.table))).collect();
        draft.native("drop", 1, pg::DROP_TABLES, &job::write(&job), shown);
        return Ok(draft.done(STEP_TIMEOUT_MS));
    }
    let oid = super::step::pinned(&mut draft, found, facts.as_ref());
    let live = facts.as_ref().and_then(|f| f.live.as_ref());
    if let Some(facts) = &facts {
        server(&mut draft, facts, &side.live);
        let need = Need { data: side.size, wal: side.size / 10 * 8, known: Known::Sure };
        disk::check(&mut draft, facts, need).await;
    }
    if let (Some(target), Some(_)) = (&target, live) {
        match fits(target, &side.live, &carried.chosen, &ctx.run_id).await {
            Ok(against) if against.is_empty() => draft.pass("names free", "the schemas are there and the names free"),
            Ok(against) => draft.fail("names free", against.join("; ")),
            Err(e) => draft.fail("names free", format!("{}: {e}: {}", side.live, pg::server::advice(&e))),
        }
    }
    let put: Vec<Relation> = carried.chosen.iter().map(|t| pg::put_name(t, &ctx.run_id)).collect();
    draft.plan.title = format!("put {} beside those of {}", text::plural(put.len(), "restored table"), side.live);
    draft.effects(&format!("makes {} in {} on {place}", list(put.iter()), side.live));
    draft.effect("only adds: no live table, name or connection is touched");
    draft.effect("keys, checks and indexes come along; defaults, foreign keys, triggers and privileges do not");
    draft.price(found.set, &found.args.copy.clone());
    draft.plan.data_lost_ms = None;
    draft.plan.undo = "dropping them undoes it".into();
    let shown =
        carried.chosen.iter().zip(&put).map(|(from, to)| {
            format!("CREATE TABLE {}; copy {} of {}; count both", quoted(to), quoted(from), side.name)
        });
    let shown: Vec<String> = shown.collect();
    let job = PgTables {
        reach,
        backup: found.set.name.clone(),
        run: ctx.run_id.clone(),
        live: Pinned { name: side.live.clone(), oid: live.map_or(0, |l| l.oid) },
        side: Pinned { name: side.name.clone(), oid },
        copy: found.args.copy.clone(),
        tables: carried.chosen,
    };
    draft.native("put beside", 1, pg::PUT, &job::write(&job), shown);
    Ok(draft.done(timeout_ms(how.timeout)))
}

fn server(draft: &mut Draft<'_>, facts: &Facts, live: &str) {
    if facts.in_recovery {
        let version = &facts.version;
        draft
            .fail("server", format!("PostgreSQL {version} is a standby: name the primary in the `dsn` of the restore"));
    } else if facts.live.is_none() {
        draft.fail("live database", format!("{live} does not exist: restore the whole copy instead"));
    } else {
        draft.pass("server", format!("PostgreSQL {} answers", facts.version));
    }
}

/// What stands against the names in the live database.
async fn fits(target: &PgTarget, live: &str, tables: &[Relation], run: &str) -> Result<Vec<String>, PgError> {
    let session = pg::server::within(target, live, "mayday plan").await?;
    let mut against = Vec::new();
    let mut schemas: Vec<&str> = tables.iter().map(|t| t.schema.as_str()).collect();
    schemas.sort_unstable();
    schemas.dedup();
    for schema in schemas {
        let sql = "select coalesce((select has_schema_privilege(oid, 'CREATE') from pg_namespace where nspname = $1)::text, '')";
        match session.row(sql, &[&schema]).await?.try_get::<_, String>(0)?.as_str() {
            "true" => {}
            "" => against.push(format!("{live} has no schema {schema}: CREATE SCHEMA {};", quote_ident(schema))),
            _ => against.push(format!("this role may make no table in schema {schema}: use one that may")),
        }
    }
    let there = "select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                                 where n.nspname = $1 and c.relname = $2)";
    for table in tables {
        let new = pg::put_name(table, run);
        if session.row(there, &[&new.schema, &new.name]).await?.try_get(0)? {
            against.push(format!("there is already a {new}: drop it or rename it"));
        }
    }
    Ok(against)
}

fn quoted(table: &Relation) -> String {
    format!("{}.{}", quote_ident(&table.schema), quote_ident(&table.name))
}

fn names(put: &[PinnedTable]) -> String {
    list(put.iter().map(|t| &t.table))
}

fn list<'a>(tables: impl Iterator<Item = &'a Relation>) -> String {
    let all: Vec<String> = tables.map(ToString::to_string).collect();
    match all.get(..5) {
        Some(first) if all.len() > 5 => format!("{} and {} more", first.join(", "), all.len() - 5),
        _ => all.join(", "),
    }
}
