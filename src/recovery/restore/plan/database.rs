//! Planning the restore of a PostgreSQL dump beside the live database.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::super::format::{self, Kind, Wrap};
use super::super::job::{self, PgRestore};
use super::super::names::{self, Beside};
use super::super::pg;
use super::super::pg::amcheck::Amcheck;
use super::super::secrets;
use super::facts::{self, Facts};
use super::{Draft, Say, begin, copy, disk, expect, needs, source, timeout_ms};
use crate::config::{Backup, PostgresRestore};
use crate::domain::backup::{Copy, Manifest};
use crate::domain::command::Refusal;
use crate::domain::run::{Risk, Work};
use crate::recovery::plan::expect::expect as expect_runs;
use crate::recovery::plan::{PlanContext, Planned};
use crate::sys::pg::programs;
use crate::sys::pg::{PgTarget, env_for_tools, quote_ident};
use crate::text;

pub async fn plan(
    ctx: &PlanContext,
    set: &Backup,
    how: &PostgresRestore,
    asked: Option<&str>,
    test: bool,
    only: &[String],
) -> Result<Planned, Refusal> {
    let work =
        Work::Restore { backup: set.name.clone(), copy: asked.map(str::to_owned), test, to: None, only: only.to_vec() };
    let chosen = copy::choose(ctx, set, asked)?;
    let mut draft = begin(ctx, &work, set, Risk::Disruptive);
    let side = names::database(&how.database, Beside::Restore, &ctx.run_id);
    let (reach, from) = secrets::reach(&ctx.config, &set.name, how);
    draft.hand_over(from.clone());
    copy::judge(&mut draft, ctx, set, chosen, asked.is_some());
    let manifest = copy::manifest(&mut draft, chosen).await;

    let path = format::path_of(chosen);
    let looking = tokio::task::spawn_blocking(move || format::look(&path));
    let mut shape = match tokio::time::timeout(Duration::from_secs(15), looking).await {
        Ok(Ok(shape)) => shape,
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err(format!("{} does not answer: look at its file system, or choose another copy", chosen.place)),
    };
    let mut job = PgRestore {
        reach,
        backup: set.name.clone(),
        run: ctx.run_id.clone(),
        live: how.database.clone(),
        side: side.clone(),
        copy: chosen.clone(),
        kind: shape.as_ref().map_or(Kind::PgCustom, |s| s.kind),
        wrap: shape.as_ref().map_or(Wrap::Plain, |s| s.wrap),
        tool: PathBuf::from("pg_restore"),
        jobs: jobs(how),
        verify: how.verify.clone(),
        test,
        only: if only.is_empty() { how.only.clone() } else { only.to_vec() },
        chosen: Vec::new(),
        by_hand: Vec::new(),
        amcheck: Amcheck::default(),
        leftovers: Vec::new(),
        entries: None,
        tables: None,
        create_as: None,
        lost: None,
        no_tablespaces: false,
        watch: Vec::new(),
    };
    if let Ok(shape) = &shape {
        // What was listed may be from before the copy was complete; what counts is what lies there now.
        if shape.size > 0 {
            job.copy.size = shape.size;
        }
    }

    let target = match secrets::resolve(&from).await.and_then(|values| job.reach.target(&values)) {
        Ok(target) => Some(target),
        Err(why) => {
            draft.fail("server", why);
            None
        }
    };
    let looked = match &target {
        Some(target) => Some(facts::look(target, &how.database, &[&side], &ctx.runs).await),
        None => None,
    };
    let (facts, session) = match looked {
        Some(Ok((facts, session))) => (Some(facts), Some(session)),
        Some(Err(e)) => {
            let label = target.as_ref().map(PgTarget::label).unwrap_or_default();
            draft.fail("server", format!("{label}: {e}: {}", pg::server::advice(&e)));
            (None, None)
        }
        None => (None, None),
    };

    source::tool(ctx, &mut draft, &mut job, &shape, facts.as_ref()).await;
    let read = source::readable(&mut draft, &mut job, &shape).await;
    source::choose(&mut draft, &mut job, &mut shape).await?;
    if let Some(facts) = &facts {
        server(&mut draft, facts, &job);
        if let (Some(session), Ok(shape)) = (&session, &shape) {
            needs::check(&mut draft, session, shape, read.found.as_ref(), &mut job, facts).await;
        }
        let counted = read.found.as_ref().filter(|f| f.inserts == 0).map(|f| f.rows);
        let size = disk::Size {
            copy: job.copy.size,
            plain: job.wrap == Wrap::Plain && matches!(job.kind, Kind::Sql | Kind::PgTar),
            unpacked: read.unpacked.or_else(|| manifest.as_ref().and_then(|m| m.unpacked)),
            rows: counted.or_else(|| manifest.as_ref().and_then(Manifest::rows)),
            growth: expect::growth(&ctx.runs, &set.name),
        };
        job.watch = disk::check(&mut draft, facts, disk::need(size, facts)).await;
        job.leftovers = facts.leftovers.clone();
    }

    job.amcheck = amcheck(&mut draft, ctx, how, session.as_ref(), facts.as_ref()).await;
    describe(&mut draft, set, &job, target.as_ref(), facts.as_ref());
    let (ms, from) = expect_runs(&ctx.runs, &work, Some(job.copy.size));
    (draft.plan.expected_ms, draft.plan.expected_from) = (ms, from);
    phases(&mut draft, &job, target.as_ref(), facts.as_ref());
    Ok(draft.done(timeout_ms(how.timeout)))
}

pub(super) fn jobs(how: &PostgresRestore) -> u32 {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    how.jobs.unwrap_or_else(|| u32::try_from(cores).unwrap_or(2)).clamp(1, 64)
}

/// Server, role, names and connections.
pub(super) fn server(draft: &mut Draft<'_>, facts: &Facts, job: &PgRestore) {
    if facts.in_recovery {
        draft.fail(
            "server",
            format!("PostgreSQL {} is a standby: name the primary in the `dsn` of the restore", facts.version),
        );
    } else {
        draft.pass("server", format!("PostgreSQL {} answers", facts.version));
    }
    match (facts.may_create, facts.may_own) {
        (false, _) => draft.fail(
            "role",
            format!(
                "{} may not create databases: ALTER ROLE {} CREATEDB, or use another role",
                facts.role,
                quote_ident(&facts.role)
            ),
        ),
        (true, false) => {
            let owner = facts.live.as_ref().map(|d| d.owner.clone()).unwrap_or_default();
            draft.fail(
                "role",
                format!(
                    "{} is not a member of {owner}, who owns {}: GRANT {} TO {}, or use another role",
                    facts.role,
                    job.live,
                    quote_ident(&owner),
                    quote_ident(&facts.role)
                ),
            );
        }
        (true, true) => draft.pass(
            "role",
            format!("{} may create databases{}", facts.role, if facts.superuser { " (superuser)" } else { "" }),
        ),
    }
    match facts.others.iter().any(|d| d.name == job.side) {
        true => draft.fail("name free", format!("there is already a database {}: drop it or rename it", job.side)),
        false => draft.pass("name free", format!("{} is free", job.side)),
    }
    let needed = i64::from(job.jobs) + 2;
    if facts.connections_left < needed {
        draft.fail(
            "connections",
            format!(
                "{needed} are needed and {} are left: end some, or raise max_connections",
                facts.connections_left.max(0)
            ),
        );
    } else {
        draft.pass(
            "connections",
            format!(
                "{needed} of the {} left are used; a cut-over now would end {} to {}",
                facts.connections_left, facts.live_connections, job.live
            ),
        );
    }
    match &facts.live {
        Some(live) => {
            let size = facts.live_size.map(|s| format!(", {}", text::size(s))).unwrap_or_default();
            draft.pass(
                "live database",
                format!("{} of {}, {}{size}; it is not touched", live.name, live.owner, live.encoding),
            );
        }
        None => needs::lost(draft, job),
    }
    if !facts.leftovers.is_empty() {
        let names: Vec<&str> = facts.leftovers.iter().map(|p| p.name.as_str()).collect();
        draft.warn(
            "leftovers",
            format!("left incomplete by earlier runs and dropped at the start: {}", names.join(", ")),
        );
    }
}

/// Whether `pg_amcheck` can look at the side copy: program, extension and role. Without being asked for it is done where
/// it can be; that it cannot is said all the same.
async fn amcheck(
    draft: &mut Draft<'_>,
    ctx: &PlanContext,
    how: &PostgresRestore,
    session: Option<&pg::server::Session>,
    facts: Option<&Facts>,
) -> Amcheck {
    let name = "tool pg_amcheck";
    if how.amcheck == Some(false) {
        return Amcheck::Without("`amcheck = false`".into());
    }
    let (Some(session), Some(facts)) = (session, facts) else { return Amcheck::Unasked };
    let found = programs::find("pg_amcheck", ctx.tool_path.as_deref()).await;
    let there = session.rows("select from pg_available_extensions where name = 'amcheck'", &[]).await;
    let why = match (programs::choose(&found, pg::amcheck::SINCE, Some(facts.major)), there) {
        _ if facts.major < pg::amcheck::SINCE => {
            format!("PostgreSQL {} cannot look into tables, {} can", facts.version, pg::amcheck::SINCE)
        }
        _ if !facts.superuser => format!("{} is not a superuser, and only one may", facts.role),
        (None, _) => "there is no pg_amcheck on this host (package postgresql-client or postgresql)".into(),
        (_, Err(e)) => format!("the server's extensions cannot be listed: {e}"),
        (_, Ok(rows)) if rows.is_empty() => "the server has no extension amcheck (package postgresql-contrib)".into(),
        (Some(tool), Ok(_)) => {
            draft.pass(name, format!("{}; checks every page and B-tree index of the side copy", tool.said));
            return Amcheck::With(tool.path.clone());
        }
    };
    if how.amcheck == Some(true) {
        draft.fail(name, format!("{why}, and `amcheck = true` asks for it: see to it, or take that away"));
    } else {
        draft.warn(name, format!("{why}: pages and indexes of the side copy are not checked"));
    }
    Amcheck::Without(why)
}

fn describe(draft: &mut Draft<'_>, set: &Backup, job: &PgRestore, target: Option<&PgTarget>, facts: Option<&Facts>) {
    let place = target.map_or_else(|| "its server".to_owned(), facts::place);
    let title = if job.test { "test" } else { "restore" };
    let of = if job.only.is_empty() { String::new() } else { format!("only {} of ", job.only.join(", ")) };
    draft.plan.title = text::clean(&format!("{title} {of}{} beside {}", set.name, job.live)).into_owned();
    draft.plan.target.clone_from(&job.live);
    draft.plan.holds.push(format!("database {place}/{}", job.live));
    draft.effects(&format!("creates database {} on {place}", job.side));
    draft.effect(format!("{} is not touched", job.live));
    let copy: Copy = job.copy.clone();
    draft.price(set, &copy);
    if !job.only.is_empty() {
        // They come beside the live tables: nothing that was written since is lost.
        draft.plan.data_lost_ms = None;
    }
    if let Some(facts) = facts
        && facts.wal_kept
    {
        draft.effect("the server archives its log or replicates it: loading adds about 0.8 times the data to both");
    }
    if job.test {
        draft.effect(format!("a test: {} is dropped after the proof", job.side));
        draft.plan.undo = "nothing is left to undo".into();
    } else {
        match job.only.is_empty() {
            true => draft.effect("stops at ready to cut over; the cut-over is a step of its own"),
            false => draft.effect(
                "the tables are then put beside the live ones by a step of its own (cut over), never over them",
            ),
        }
        draft.plan.undo = format!("dropping {} undoes it", job.side);
    }
}

fn phases(draft: &mut Draft<'_>, job: &PgRestore, target: Option<&PgTarget>, facts: Option<&Facts>) {
    let args = job::write(job);
    if !job.leftovers.is_empty() {
        let shown = job.leftovers.iter().map(|l| format!("DROP DATABASE {} WITH (FORCE)", quote_ident(&l.name)));
        draft.native("remove what earlier runs left", 1, pg::CLEAN, &args, shown.collect());
    }
    let tool = job.tool.display().to_string();
    let line = |args: Vec<OsString>| {
        let args = args.into_iter().map(|a| a.to_string_lossy().into_owned());
        std::iter::once(tool.clone()).chain(args).map(|w| text::shell_word(&w)).collect::<Vec<_>>().join(" ")
    };
    let decode = match job.wrap {
        Wrap::Plain => None,
        Wrap::Gzip => Some(format!("gzip -dc {}", text::shell_word(&job.copy.place))),
        Wrap::Zstd => Some(format!("zstd -dc {}", text::shell_word(&job.copy.place))),
        // No dump is taken for one that is encrypted: it was refused before.
        Wrap::Age => None,
    };
    let check = match (job.kind, &decode) {
        (Kind::Sql, _) => format!("read {} to its end and look for its last line", text::shell_word(&job.copy.place)),
        (_, None) => line(pg::archive_args(job)),
        (_, Some(decode)) => format!("{decode} | {}", line(pg::archive_args(job))),
    };
    draft.native("read the copy to its end", 15, pg::CHECK, &args, vec![check]);
    let live = facts.and_then(|f| f.live.as_ref());
    let create = live.map_or_else(
        || pg::create_as(&job.side, &job.create_as.clone().unwrap_or_default(), facts.map_or(0, |f| f.major)),
        |l| l.create_like(&job.side),
    );
    let close = format!("REVOKE ALL ON DATABASE {} FROM PUBLIC", quote_ident(&job.side));
    draft.native("create the side database", 2, pg::CREATE, &args, vec![create, close]);
    let mut env = String::new();
    if let Some(target) = target {
        let shown = |name: &str| matches!(name, "PGHOST" | "PGPORT" | "PGUSER");
        for (name, value) in env_for_tools(target).iter().filter(|(name, _)| shown(name)) {
            env.push_str(&format!("{name}={} ", text::shell_word(value)));
        }
        if target.password().is_some() {
            env.push_str("PGPASSWORD=*** ");
        }
    }
    let load = format!(
        "{env}{}",
        line(pg::load_args(job, (!job.only.is_empty()).then(|| std::path::Path::new(pg::USE_LIST))))
    );
    let load = match (&decode, job.kind) {
        (Some(decode), _) => format!("{decode} | {load}"),
        (None, Kind::Sql) => format!("{load} < {}", text::shell_word(&job.copy.place)),
        (None, _) => load,
    };
    draft.native("load", 60, pg::LOAD, &args, vec![load]);
    let mut settle = match (live, &job.lost) {
        (None, Some(lost)) => lost.shown(&job.side, facts.map_or("", |f| f.role.as_str()), true),
        _ => {
            vec![format!("owner, privileges, connection limit and settings of {} are given to {}", job.live, job.side)]
        }
    };
    settle.push("ANALYZE every table".into());
    draft.native("carry over and analyze", 10, pg::SETTLE, &args, settle);
    if let Amcheck::With(program) = &job.amcheck {
        let words = pg::amcheck::args(job).into_iter().map(|a| text::shell_word(&a.to_string_lossy()).to_string());
        let program = text::shell_word(&program.display().to_string()).to_string();
        let run = std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ");
        let make = "CREATE EXTENSION amcheck, for the time of the check".to_owned();
        draft.native("check pages and indexes", 5, pg::AMCHECK, &args, vec![make, format!("{env}{run}")]);
    }
    let mut verify = vec!["count the rows of every table".to_owned()];
    verify.extend(job.verify.iter().map(|q| text::clean(q).into_owned()));
    draft.native("verify", 10, pg::VERIFY, &args, verify);
    if job.test {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", quote_ident(&job.side));
        draft.native("drop the proof", 2, pg::PROOF, &args, vec![drop]);
    }
}
