//! What a plan says before anything is done, against the real server.

use mayday::domain::run::{Checked, Work};

use crate::kit::{Desk, check, restore_of};
use crate::pg_restore::{dump, make_app};
use crate::support::{PgOptions, Postgres};

#[test]
fn a_live_table_that_was_never_analyzed_is_not_called_empty() {
    let server = Postgres::start_with(PgOptions::default().set("autovacuum", "off"));
    server.create_db("app");
    server.psql("app", "create table t (id int); insert into t select generate_series(1, 20000)");
    let mut desk = Desk::postgres(&server, "app", &[]);
    let copy = dump(&server, &mut desk, "app", "custom");
    let said = desk.run(&restore_of(&copy)).verified();
    assert!(said.contains("app has 1 table, 20000 rows"), "{said}");
    // Too large to be counted in passing, and held by somebody: nothing is claimed.
    server.psql("app", "create table big (t text); alter table big alter t set storage external");
    server.psql("app", "insert into big select repeat('x', 4000) from generate_series(1, 9000)");
    let said = desk.run(&restore_of(&copy)).verified();
    assert!(said.contains("app has 2 tables") && said.contains("1 table never analyzed"), "{said}");
    assert!(!said.contains("about 0 rows"), "{said}");
}

#[test]
fn what_a_plain_dump_needs_is_said_in_the_plan() {
    let server = Postgres::start();
    make_app(&server, "app");
    let mut desk = Desk::postgres(&server, "app", &[]);
    let copy = dump(&server, &mut desk, "app", "sql.gz");
    let plan = desk.plan(&restore_of(&copy)).plan;
    let (result, detail) = check(&plan, "versions");
    assert!(result == Checked::Passed && detail.contains("made with pg_dump"), "{detail}");
    assert_eq!(check(&plan, "roles and extensions").0, Checked::Passed);

    let text = "--\n-- PostgreSQL database dump\n--\n-- Dumped from database version 99.1\n\
                -- Dumped by pg_dump version 99.2\n\nCREATE EXTENSION IF NOT EXISTS nosuch WITH SCHEMA public;\n\
                CREATE TABLE public.t (id integer);\nALTER TABLE public.t OWNER TO ghost;\n\
                --\n-- PostgreSQL database dump complete\n--\n";
    std::fs::write(desk.copy_path("far.sql"), text).unwrap();
    desk.list("far.sql");
    let plan = desk.plan(&restore_of("far.sql")).plan;
    let (result, detail) = check(&plan, "versions");
    assert!(result == Checked::Warned && detail.contains("PostgreSQL 99"), "{detail}");
    let (result, detail) = check(&plan, "roles and extensions");
    assert!(result == Checked::Failed && detail.contains("CREATE ROLE \"ghost\""), "{detail}");
    assert!(detail.contains("nosuch: install their packages"), "{detail}");
}

#[test]
fn logical_replication_slots_that_go_with_a_database_are_named() {
    let server = Postgres::start_with(PgOptions::default().set("wal_level", "logical"));
    make_app(&server, "app");
    server.psql("app", "select pg_create_logical_replication_slot('feed', 'pgoutput')");
    let mut desk = Desk::postgres(&server, "app", &[]);
    let copy = dump(&server, &mut desk, "app", "custom");
    let restored = desk.run(&restore_of(&copy));
    let planned = desk.plan(&Work::CutOver { of: restored.id.clone() });
    let (result, detail) = check(&planned.plan, "replication");
    assert!(result == Checked::Warned && detail.contains("when it is dropped: feed"), "{detail}");
    let cut = desk.execute(planned);
    cut.verified();
    let planned = desk.plan(&Work::Drop { of: cut.id.clone() });
    let (result, detail) = check(&planned.plan, "replication");
    assert!(result == Checked::Warned && detail.contains("feed"), "{detail}");
    assert!(planned.plan.effects.iter().any(|e| e.contains("slots feed with it")), "{:?}", planned.plan.effects);
    desk.execute(planned).verified();
    assert_eq!(server.psql("postgres", "select count(*) from pg_replication_slots"), "0", "the plan was right");
}

#[test]
fn the_room_is_judged_by_what_the_copy_holds_unpacked() {
    let server = Postgres::start();
    server.create_db("app");
    server.psql(
        "app",
        "create table t (v text); insert into t select repeat('the same again ', 60) from generate_series(1, 20000)",
    );
    let mut desk = Desk::postgres(&server, "app", &[]);
    let before: u64 = server.psql("postgres", "select pg_database_size('app')").parse().unwrap();
    let needed = |plan: &mayday::domain::run::Plan| {
        let (_, detail) = check(plan, "disk");
        let mb = detail.split_once("about ").and_then(|(_, rest)| rest.split_once(" MB of data"));
        (mb.unwrap_or_else(|| panic!("{detail}")).0.parse::<f64>().unwrap() * 1e6) as u64
    };
    for form in ["custom", "sql.gz", "directory", "tar"] {
        let copy = dump(&server, &mut desk, "app", form);
        // The case that a restore is made for: nothing is left of it.
        server.psql("app", "alter table t rename to was; create table t (v text)");
        server.psql("postgres", "alter database app rename to app_old");
        server.create_db("app");
        let plan = desk.plan(&restore_of(&copy)).plan;
        assert_eq!(check(&plan, "disk").0, Checked::Passed, "{form}");
        assert!(needed(&plan) >= before && needed(&plan) < before * 4, "{form}: {} of {before}", needed(&plan));
        server.psql("postgres", "drop database app");
        server.psql("postgres", "alter database app_old rename to app");
        server.psql("app", "drop table t; alter table was rename to t");
    }
    // Wrapped twice it is not read while planning: then nothing is promised, unless a manifest or a restore tells, or
    // there is room for a hundred times as much.
    let copy = dump(&server, &mut desk, "app", "custom.gz");
    let plan = desk.plan(&restore_of(&copy)).plan;
    let (result, detail) = check(&plan, "disk");
    let ample = result == Checked::Passed && detail.contains("100 times the packed copy");
    assert!(ample || (result == Checked::Warned && detail.contains("not known to suffice")), "{detail}");
    let manifest = r#"{"manifest": 1, "unpacked": 18000000, "tables": {"public.t": 20000}}"#;
    std::fs::write(desk.copy_path("app.dump.gz.manifest.json"), manifest).unwrap();
    assert_eq!(check(&desk.plan(&restore_of(&copy)).plan, "disk").0, Checked::Passed);
    std::fs::remove_file(desk.copy_path("app.dump.gz.manifest.json")).unwrap();
    let restored = desk.run(&restore_of(&copy));
    desk.run(&Work::Drop { of: restored.id.clone() }).verified();
    let plan = desk.plan(&restore_of(&copy)).plan;
    assert_eq!(check(&plan, "disk").0, Checked::Passed, "{}", check(&plan, "disk").1);
}
