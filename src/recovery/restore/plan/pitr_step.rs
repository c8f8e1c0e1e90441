//! Planning what follows a restore to a moment: handing the side cluster over, or dropping it.

use std::path::{Path, PathBuf};

use super::super::folder;
use super::super::format::{Kind, Wrap};
use super::super::job::{self, PgRestore, PinnedFolder};
use super::super::names::{self, Beside};
use super::super::pg;
use super::super::pg::amcheck::Amcheck;
use super::super::pitr::state::{Cluster, Stage};
use super::super::pitr::{self, Hand, hand, server, target};
use super::super::secrets;
use super::folder::blocking;
use super::{Draft, Found, STEP_TIMEOUT_MS, Say, begin, database, expect, facts, timeout_ms};
use crate::config::{PitrRestore, PostgresRestore};
use crate::domain::backup::Copy;
use crate::domain::command::Refusal;
use crate::domain::run::{Risk, SideRole, Work};
use crate::recovery::plan::look::Tools;
use crate::recovery::plan::{PlanContext, Planned};
use crate::sys::pg::programs;
use crate::text;

pub async fn plan(ctx: &PlanContext, work: &Work, found: &Found<'_>, how: &PitrRestore) -> Result<Planned, Refusal> {
    let side = found.side;
    if side.kind == "database" {
        return of_tables(ctx, work, found, how).await;
    }
    if matches!(work, Work::Undo { .. }) {
        return Err(Refusal::new(
            format!("{} was handed over, which changed nothing on the live server", side.name),
            "point the clients at the live server again, then drop the side cluster",
        ));
    }
    let drop = matches!(work, Work::Drop { .. });
    let risk = if drop && (side.role == SideRole::Ready || side.is_unverified()) {
        Risk::Disruptive
    } else {
        Risk::Destructive
    };
    let mut draft = begin(ctx, work, found.set, risk);
    draft.plan.holds.push(format!("side clusters of {}", found.set.name));
    let pinned = pinned(&mut draft, found).await;
    let cluster = Cluster::read(&pinned.path);
    if drop {
        draft.plan.target.clone_from(&side.live);
        draft.plan.title = format!("drop {}", side.name);
        if pinned.inode != 0 && cluster.is_none() {
            draft.fail("side cluster", format!("{} has no cluster.json: remove it by hand", side.name));
        }
        let age = text::duration(ctx.now.since(side.created_at));
        draft.effects(&format!(
            "ends the server of {} and removes it, {age} old; frees {}",
            side.name,
            text::size(side.size)
        ));
        if side.role == SideRole::Serving {
            draft.effect("it was promoted: whatever was written to it since is lost");
            clients(&mut draft, &pinned.path, cluster.as_ref()).await;
        }
        let job = pitr::Drop { database: side.live.clone(), run: ctx.run_id.clone(), gone: pinned };
        let shown = format!("end its server; rm -r {}", text::shell_word(&side.name));
        draft.native("drop", 1, pitr::DROP, &job::write(&job), vec![shown]);
        return Ok(draft.done(STEP_TIMEOUT_MS));
    }
    let Some(cluster) = cluster.filter(|c| matches!(c.stage, Stage::Ready | Stage::HandedOver)) else {
        draft.fail("side cluster", format!("{} is not complete: restore again", side.name));
        return Ok(draft.done(STEP_TIMEOUT_MS));
    };
    let up = match server::find(&pinned.path) {
        Some(server) => format!("server {} is up", server.pid),
        None => "its server is down and is started again".to_owned(),
    };
    let moment = cluster.moment.map_or_else(|| "an unknown moment".into(), target::shown);
    match cluster.stage {
        // Its run ended before it could say so: the rest of it can be done.
        Stage::HandedOver => draft.warn(
            "side cluster",
            format!("promoted already, by a run that did not get to its end; it was paused at {moment}; {up}"),
        ),
        _ => draft.pass("side cluster", format!("paused at {moment}; {up}")),
    }
    let job = Hand {
        backup: found.set.name.clone(),
        run: ctx.run_id.clone(),
        database: how.database.clone(),
        side: pinned,
        copy: found.args.copy.clone(),
        switch: how.switch.clone(),
        tables: how.tables.clone(),
        dump: None,
        reach: None,
    };
    draft.plan.target.clone_from(&how.database);
    price(&mut draft, found);
    if how.tables.is_empty() {
        promotion(&mut draft, ctx, found, how, &job, &cluster);
        let target = draft.plan.target.clone();
        draft.expect(expect::of_steps(&ctx.runs, work, &target));
        return Ok(draft.done(STEP_TIMEOUT_MS.max(how.timeout.map_or(0, |t| timeout_ms(Some(t))))));
    }
    tables(&mut draft, ctx, found, how, job, &cluster).await?;
    Ok(draft.done(timeout_ms(how.timeout)))
}

fn price(draft: &mut Draft<'_>, found: &Found<'_>) {
    let copy = &found.args.copy;
    draft.plan.data_lost_ms = Some(draft.ctx.now.ms_since(copy.taken_at).max(0));
    draft.plan.copy = Some(copy.clone());
}

/// The side folder is the one that the run left.
async fn pinned(draft: &mut Draft<'_>, found: &Found<'_>) -> PinnedFolder {
    let path = PathBuf::from(&found.side.name);
    let look = path.clone();
    let name = "side folder";
    let none = PinnedFolder { path: path.clone(), inode: 0 };
    match blocking("look at the side folder", move || folder::pin(&look)).await {
        Err(why) => draft.fail(name, why),
        Ok(Err(e)) => draft.fail(name, format!("{} cannot be found: {e}: restore again", path.display())),
        Ok(Ok(there)) => match &found.args.folder {
            Some(was) if was.inode != there.inode && was.inode != 0 => draft.fail(
                name,
                format!("{} is another folder than run {} left: deal with it by hand", path.display(), found.run.id()),
            ),
            _ => {
                draft.pass(name, format!("{} is there", path.display()));
                return there;
            }
        },
    }
    none
}

/// Who is connected to a cluster that serves.
async fn clients(draft: &mut Draft<'_>, side: &Path, cluster: Option<&Cluster>) {
    let Some(cluster) = cluster.filter(|_| server::find(side).is_some()) else { return };
    let count = async {
        let target = crate::sys::pg::PgTarget::parse(&cluster.dsn(side)).ok()?;
        let session = pg::server::beside(&target, &[], "mayday plan").await.ok()?;
        let sql =
            "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()";
        session.text(sql).await.ok()?
    };
    match tokio::time::timeout(std::time::Duration::from_secs(5), count).await {
        Ok(Some(count)) if count == "0" => draft.pass("connections", "nobody is connected to it"),
        Ok(Some(count)) => draft.warn("connections", format!("{count} are connected to it and are ended")),
        _ => draft.warn("connections", "who is connected to it cannot be asked"),
    }
}

fn promotion(
    draft: &mut Draft<'_>,
    ctx: &PlanContext,
    found: &Found<'_>,
    how: &PitrRestore,
    job: &Hand,
    cluster: &Cluster,
) {
    let side = &found.side.name;
    draft.plan.title = format!("hand over {side}");
    draft.effects(&format!("promotes the side cluster {side}: it takes writes on port {} of this host", cluster.port));
    draft.effect("it can no longer be replayed to another moment; the live server is not touched");
    draft.warn(
        "settings",
        format!(
            "it runs with settings of its own, not the live server's: it listens on 127.0.0.1 port {} without TLS, lets in \
             only roles that have a password (scram-sha-256), loads no libraries, and ARCHIVES NOTHING: set it up as a server \
             ({side}) before it serves for good",
            cluster.port
        ),
    );
    draft.native("promote", 1, pitr::PROMOTE, &job::write(job), vec!["SELECT pg_promote()".into()]);
    let Some(program) = how.switch.first() else {
        draft.effect("its address is told; pointing the clients there is left to you");
        draft.plan.undo =
            "the live server stays as it is: point the clients back to it, then drop the side cluster".into();
        return;
    };
    draft.effect("the switch command points the clients to it: writes since the target are not in it");
    draft.plan.undo =
        "the live server stays as it is: point the clients back to it by hand, then drop the side cluster".into();
    match Tools::of(ctx).which(program) {
        Some(path) => draft.pass(&format!("tool {program}"), path.display().to_string()),
        None => draft.fail(
            &format!("tool {program}"),
            "the switch command is not on this host: install it, or correct `switch`",
        ),
    }
    draft.after_checks(found.set);
    let shown = how.switch.iter().map(|a| text::shell_word(a)).collect::<Vec<_>>().join(" ");
    draft.native("switch", 1, pitr::SWITCH, &job::write(job), vec![shown]);
}

/// Chosen tables go into a new database beside the live one, by the phases that load any dump.
async fn tables(
    draft: &mut Draft<'_>,
    ctx: &PlanContext,
    found: &Found<'_>,
    how: &PitrRestore,
    mut job: Hand,
    cluster: &Cluster,
) -> Result<(), Refusal> {
    let Some(live) = &how.live else {
        return Err(Refusal::usage("where the tables are to go is not configured", "set `dsn` of the restore"));
    };
    let (reach, from) = secrets::reach(&ctx.config, &found.set.name, live);
    draft.hand_over(from.clone());
    let side = names::database(&how.database, Beside::Restore, &ctx.run_id);
    let dump = hand::dump_file(&job.side.path, &ctx.run_id);
    job.reach = Some(reach.clone());
    job.dump = Some(cluster.programs.join("pg_dump"));
    if !cluster.programs.join("pg_dump").is_file() {
        draft.fail("tool pg_dump", format!("there is none in {}: install it", cluster.programs.display()));
    }
    let mut load = PgRestore {
        reach,
        backup: found.set.name.clone(),
        run: ctx.run_id.clone(),
        live: how.database.clone(),
        side: side.clone(),
        copy: Copy {
            id: format!("tables of {}", found.side.name),
            place: dump.display().to_string(),
            size: 0,
            ..found.args.copy.clone()
        },
        kind: Kind::PgCustom,
        wrap: Wrap::Plain,
        tool: PathBuf::from("pg_restore"),
        jobs: database::jobs(live),
        verify: Vec::new(),
        test: false,
        only: Vec::new(),
        chosen: Vec::new(),
        by_hand: job.tables.clone(),
        amcheck: Amcheck::default(),
        leftovers: Vec::new(),
        entries: None,
        tables: None,
        create_as: None,
        lost: None,
        no_tablespaces: false,
        watch: Vec::new(),
    };
    let looked = match secrets::resolve(&from).await.and_then(|values| load.reach.target(&values)) {
        Err(why) => Err(why),
        Ok(target) => match facts::look(&target, &how.database, &[&side], &ctx.runs).await {
            Ok((facts, _session)) => Ok((target, facts)),
            Err(e) => Err(format!("{}: {e}: {}", target.label(), pg::server::advice(&e))),
        },
    };
    let mut place = "its server".to_owned();
    match looked {
        Err(why) => draft.fail("server", why),
        Ok((target, facts)) => {
            place = facts::place(&target);
            load.leftovers = facts.leftovers.clone();
            database::server(draft, &facts, &load);
            let all = programs::find("pg_restore", ctx.tool_path.as_deref()).await;
            let version = std::fs::read_to_string(pitr::data(&job.side.path).join("PG_VERSION")).unwrap_or_default();
            let dumped_by = programs::major(&version).unwrap_or(0);
            match programs::choose(&all, dumped_by, Some(facts.major)) {
                Some(tool) => {
                    load.tool = tool.path.clone();
                    draft.pass("tool pg_restore", tool.said.clone());
                }
                None => {
                    draft.fail("tool pg_restore", "there is none on this host that fits: install postgresql-client")
                }
            }
        }
    }
    let names = job.tables.join(", ");
    draft.plan.title = format!("take {names} of {} back beside {}", found.side.name, how.database);
    draft.plan.holds.push(format!("database {place}/{}", how.database));
    draft.effects(&format!("creates database {side} on {place} with {} as of the target", text::clean(&names)));
    draft.effect(format!(
        "{} is not touched: what is to come back from {side} is moved by hand, row by row or whole",
        how.database
    ));
    draft.effect("the side cluster stays paused, and can be dropped or replayed further");
    draft.plan.undo = format!("dropping {side} undoes it");
    let args = job::write(&load);
    if !load.leftovers.is_empty() {
        let shown = load.leftovers.iter().map(|l| format!("drop database {}", l.name)).collect();
        draft.native("remove what earlier runs left", 1, pg::CLEAN, &args, shown);
    }
    let line = |program: &Path, args: &[std::ffi::OsString]| {
        let words = args.iter().map(|a| text::shell_word(&a.to_string_lossy()));
        std::iter::once(text::shell_word(&program.display().to_string())).chain(words).collect::<Vec<_>>().join(" ")
    };
    let dumped = hand::dump_args(&job.side.path, &ctx.run_id, &how.database, &job.tables);
    draft.native(
        "dump the tables",
        20,
        pitr::TABLES,
        &job::write(&job),
        vec![line(&cluster.programs.join("pg_dump"), &dumped)],
    );
    draft.native("read the dump to its end", 10, pg::CHECK, &args, vec![line(&load.tool, &pg::archive_args(&load))]);
    draft.native("create the side database", 2, pg::CREATE, &args, vec![format!("create database {side}")]);
    draft.native("load", 50, pg::LOAD, &args, vec![line(&load.tool, &pg::load_args(&load, None))]);
    draft.native("carry over and analyze", 10, pg::SETTLE, &args, vec!["ANALYZE every table".into()]);
    draft.native("verify", 8, pg::VERIFY, &args, vec!["count the rows of every table".into()]);
    Ok(())
}

/// A database with chosen tables beside the live one: it may be dropped, and nothing else.
async fn of_tables(ctx: &PlanContext, work: &Work, found: &Found<'_>, how: &PitrRestore) -> Result<Planned, Refusal> {
    let Some(live) = &how.live else {
        return Err(Refusal::new("the server with these tables is no longer configured", "set `dsn` of the restore"));
    };
    if matches!(work, Work::Undo { .. }) {
        return Err(Refusal::new(
            format!("{} was made beside {}, which it did not change", found.side.name, found.side.live),
            format!("mayday restore {} --drop takes it away", text::shell_word(&found.set.name)),
        ));
    }
    if !matches!(work, Work::Drop { .. }) {
        return Err(Refusal::new(
            format!("{} holds chosen tables only and cannot take the place of {}", found.side.name, found.side.live),
            format!("move what is needed out of {} by hand, then drop it", found.side.name),
        ));
    }
    let like = PostgresRestore { database: how.database.clone(), ..live.clone() };
    super::step::plan(ctx, work, found, &like).await
}
