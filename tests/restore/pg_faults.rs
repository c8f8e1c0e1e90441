//! Whatever goes wrong before the cut-over: the live database is as it was, nothing is left unnamed, and the error says
//! what to do.

use std::sync::Arc;

use mayday::domain::run::{Checked, SideRole, Work};
use mayday::recovery::op::OpError;
use mayday::recovery::plan::Planned;
use tokio_util::sync::CancellationToken;

use crate::kit::{Desk, Ended, check, killed_at, restore_of};
use crate::pg_restore::{content, databases, dump, make_app, properties};
use crate::support::postgres::PASSWORD;
use crate::support::{PATIENCE, Postgres, wait_until};

/// Runs a restore that must fail, whatever its plan says, and looks that nothing happened.
#[track_caller]
fn fails(server: &Postgres, desk: &mut Desk, copy: &str, wanted: &str) -> Ended {
    let before = (content(server, "app"), properties(server, "app"));
    let planned = desk.plan(&restore_of(copy));
    let ended = desk.execute(planned);
    let error = ended.error();
    assert!(error.contains(wanted), "wanted \"{wanted}\": {error}");
    assert!(!error.contains(PASSWORD) && !ended.output().contains(PASSWORD));
    assert_eq!(databases(server, "app"), ["app"], "{error}");
    assert_eq!((content(server, "app"), properties(server, "app")), before, "{error}");
    assert!(ended.open().is_none() && ended.sink.told.lock().unwrap().sides.is_empty(), "{error}");
    ended
}

/// What the plan says of it.
#[track_caller]
fn refused(desk: &mut Desk, copy: &str, name: &str, wanted: &str) {
    let plan = desk.plan(&restore_of(copy)).plan;
    let (result, detail) = check(&plan, name);
    assert!(result == Checked::Failed && detail.contains(wanted), "wanted \"{wanted}\": {result:?} {detail}");
}

fn start() -> (Postgres, Desk) {
    let server = Postgres::start();
    make_app(&server, "app");
    let desk = Desk::postgres(&server, "app", &["select count(*) = 500 from users"]);
    (server, desk)
}

#[test]
fn a_verification_that_is_not_true() {
    let (server, mut desk) = start();
    let copy = dump(&server, &mut desk, "app", "custom");
    for (query, wanted) in [
        ("select count(*) = 7 from users", "gives \"f\" and not true"),
        ("select null::boolean", "gives nothing and not true"),
        ("select true from users where false", "gives nothing and not true"),
        ("select nothing_of_this_name", "does not exist"),
        ("delete from users returning true", "read-only"),
    ] {
        desk.configure_pg(|r| r.verify = vec!["select true".into(), query.into()]);
        let ended = fails(&server, &mut desk, &copy, wanted);
        assert!(ended.error().contains("the side copy was removed"), "{}", ended.error());
    }
}

#[test]
fn copies_that_are_cut_off_or_damaged() {
    let (server, mut desk) = start();
    for form in ["custom", "tar", "sql.gz", "sql.zst", "custom.gz"] {
        let copy = dump(&server, &mut desk, "app", form);
        let path = desk.copy_path(&copy);
        let whole = std::fs::read(&path).unwrap();
        // Behind the table of contents: what only lists would pass it.
        for share in [3, 9] {
            std::fs::write(&path, &whole[..whole.len() * share / 10]).unwrap();
            if form != "custom.gz" {
                refused(&mut desk, &copy, "copy readable", "choose another copy");
            }
            fails(&server, &mut desk, &copy, "choose another copy");
        }
        let mut bad = whole.clone();
        let middle = bad.len() / 2;
        for b in &mut bad[middle..middle + 64] {
            *b ^= 0x5a;
        }
        std::fs::write(&path, &bad).unwrap();
        if form != "tar" {
            fails(&server, &mut desk, &copy, "choose another copy");
        }
        std::fs::remove_file(&path).unwrap();
        refused(&mut desk, &copy, "copy readable", "no longer exists");
    }
}

#[test]
fn a_plain_dump_cut_at_the_end_of_a_line() {
    let (server, mut desk) = start();
    let copy = dump(&server, &mut desk, "app", "sql");
    let path = desk.copy_path(&copy);
    let whole = std::fs::read_to_string(&path).unwrap();
    let ends: Vec<usize> = whole.match_indices('\n').map(|(i, _)| i + 1).collect();
    let trailer = whole.find("-- PostgreSQL database dump complete").unwrap();
    // Among them: between two statements, where neither psql nor gzip would notice.
    for end in [ends[ends.len() / 3], ends[ends.len() / 2], trailer] {
        std::fs::write(&path, &whole[..end]).unwrap();
        refused(&mut desk, &copy, "copy readable", "choose another copy");
        fails(&server, &mut desk, &copy, "choose another copy");
    }
}

#[test]
fn what_is_no_dump_at_all() {
    let (server, mut desk) = start();
    for (name, bytes, wanted) in [
        ("empty", &b""[..], "is empty"),
        ("picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "neither a dump"),
        ("note", b"-- only a comment\n", "no statement in it"),
    ] {
        std::fs::write(desk.copy_path(name), bytes).unwrap();
        desk.list(name);
        refused(&mut desk, name, "copy readable", wanted);
        fails(&server, &mut desk, name, wanted);
    }
    std::fs::create_dir(desk.copy_path("folder")).unwrap();
    std::fs::write(desk.copy_path("folder").join("x"), "x").unwrap();
    desk.list("folder");
    refused(&mut desk, "folder", "copy readable", "not a dump of PostgreSQL");
}

#[test]
fn an_archive_of_a_newer_version() {
    let (server, mut desk) = start();
    let copy = dump(&server, &mut desk, "app", "custom");
    let path = desk.copy_path(&copy);
    let mut bytes = std::fs::read(&path).unwrap();
    let major = mayday_major(&server);
    assert!(major < 17, "the installed version reads 1.16: patch a newer one");
    bytes[6] = 16;
    std::fs::write(&path, &bytes).unwrap();
    let wanted =
        "cannot read an archive of version 1.16 (PostgreSQL 17): install postgresql-client-17 or choose another copy";
    refused(&mut desk, &copy, "tool pg_restore", wanted);
    fails(&server, &mut desk, &copy, "unsupported version (1.16)");
}

fn mayday_major(server: &Postgres) -> u32 {
    server.psql("postgres", "show server_version_num").parse::<u32>().unwrap() / 10_000
}

#[test]
fn no_tool_on_the_host() {
    let (server, mut desk) = start();
    let major = mayday_major(&server);
    let copy = dump(&server, &mut desk, "app", "custom");
    let none = desk.dir.path().join("nothing");
    std::fs::create_dir(&none).unwrap();
    desk.ctx.tool_path = Some(none.into());
    refused(&mut desk, &copy, "tool pg_restore", &format!("install postgresql-client-{major}"));
}

#[test]
fn roles_and_extensions_that_the_server_does_not_have() {
    let (server, mut desk) = start();
    server.psql("postgres", "create role \"Ghost Role\"; create role only_granted");
    server.psql("app", "create table haunted (id int); alter table haunted owner to \"Ghost Role\"");
    server.psql("app", "create table read (id int); grant select on read to only_granted");
    let custom = dump(&server, &mut desk, "app", "custom");
    let plain = dump(&server, &mut desk, "app", "sql");
    server.psql("app", "drop table haunted; drop table read");
    server.psql("postgres", "drop role \"Ghost Role\"; drop role only_granted");
    refused(&mut desk, &custom, "roles and extensions", "CREATE ROLE \"only_granted\"");
    fails(&server, &mut desk, &plain, "CREATE ROLE \"only_granted\"");
    refused(&mut desk, &custom, "roles and extensions", "CREATE ROLE \"Ghost Role\"");
    fails(&server, &mut desk, &custom, "CREATE ROLE \"Ghost Role\"");
    // A plain dump says it where it is read, before anything is made.
    let ended = fails(&server, &mut desk, &plain, "CREATE ROLE \"Ghost Role\"");
    assert!(ended.sink.told.lock().unwrap().opened.is_empty(), "nothing was made");

    let path = desk.copy_path("ext.sql");
    std::fs::write(&path, "CREATE EXTENSION IF NOT EXISTS nosuch WITH SCHEMA public;\nSELECT 1;\n").unwrap();
    desk.list("ext.sql");
    fails(&server, &mut desk, "ext.sql", "nosuch: install their packages on the server");
}

#[test]
fn an_error_in_the_middle_of_a_plain_dump_stops_it() {
    let (server, mut desk) = start();
    std::fs::write(
        desk.copy_path("bad.sql"),
        "create table t (id int);\n\ninsert into t values ('x');\ncreate table u ();\n",
    )
    .unwrap();
    desk.list("bad.sql");
    let ended = fails(&server, &mut desk, "bad.sql", "<stdin>:3: ERROR:  invalid input syntax");
    assert!(!ended.output().contains("create table u"));
    // A table of the copy that is not there afterwards is noticed as well.
    std::fs::write(desk.copy_path("less.sql"), "create table t (id int);\ncreate table u (id int);\ndrop table u;\n")
        .unwrap();
    desk.list("less.sql");
    fails(&server, &mut desk, "less.sql", "it has 1 tables and the copy has 2");
    std::fs::write(desk.copy_path("shell.sql"), "select 1;\n\\! touch /tmp/mayday-was-here\n").unwrap();
    desk.list("shell.sql");
    fails(&server, &mut desk, "shell.sql", "line 2 says");
    assert!(!std::path::Path::new("/tmp/mayday-was-here").exists());
}

#[test]
fn a_role_that_may_not() {
    let (server, mut desk) = start();
    let copy = dump(&server, &mut desk, "app", "custom");
    server.psql(
        "postgres",
        "create role weak login password 'weak-pw-1'; create role half login createdb password 'weak-pw-1'",
    );
    for (role, wanted) in [("weak", "CREATEDB"), ("half", "GRANT \"app_owner\" TO \"half\"")] {
        let port = server.port();
        desk.configure_pg(|r| {
            r.dsn =
                mayday::config::MaybeSecret::Plain(format!("postgres://{role}:weak-pw-1@127.0.0.1:{port}/postgres"));
            r.password = None;
        });
        refused(&mut desk, &copy, "role", wanted);
        let planned = desk.plan(&restore_of(&copy));
        assert!(
            !serde_json::to_string(&planned.plan).unwrap().contains("weak-pw-1"),
            "a password in the address is a secret"
        );
        let error = desk.execute(planned).error();
        assert!(error.contains("create database app__restore_"), "{error}");
    }
    assert_eq!(databases(&server, "app"), ["app"]);
}

#[test]
fn a_server_that_is_not_there_or_does_not_let_us_in() {
    let (server, mut desk) = start();
    let copy = dump(&server, &mut desk, "app", "custom");
    desk.configure_pg(|r| r.password = Some(mayday::config::SecretRef::Literal("wrong-password".into())));
    refused(&mut desk, &copy, "server", "the login was refused");
    server.stop();
    refused(&mut desk, &copy, "server", "start the server, or correct host and port");
    let planned = desk.plan(&restore_of(&copy));
    let error = desk.execute(planned).error();
    assert!(error.contains("connection refused") && error.contains("start the server"), "{error}");
    desk.configure_pg(|r| r.password = Some(mayday::config::SecretRef::Env("MAYDAY_TEST_NOT_SET".into())));
    refused(&mut desk, &copy, "server", "MAYDAY_TEST_NOT_SET");
}

#[test]
fn a_disk_without_room() {
    let (server, mut desk) = start();
    let copy = dump(&server, &mut desk, "app", "custom");
    let done = desk.run(&restore_of(&copy));
    desk.run(&Work::Drop { of: done.id.clone() }).verified();
    // An earlier restore of a small copy became enormous: the next one would too.
    let run = desk.ctx.runs.iter_mut().find(|r| r.id() == done.id).unwrap();
    run.sides = vec![done.side()];
    run.sides[0].size = 1 << 60;
    refused(&mut desk, &copy, "disk", "make room");
    desk.ctx.runs.clear();
    // While it loads: a file system with nothing free.
    let mut planned = desk.plan(&restore_of(&copy));
    for phase in &mut planned.plan.phases {
        if let mayday::domain::run::Step::Native { args, .. } = &mut phase.step {
            args["watch"] = serde_json::json!(["/proc"]);
        }
    }
    let before = content(&server, "app");
    let error = desk.execute(planned).error();
    assert!(error.contains("stopped before the disk is full"), "{error}");
    assert_eq!((databases(&server, "app"), content(&server, "app")), (vec!["app".to_owned()], before));
}

/// A dump that takes as long as it is let.
fn slow(desk: &mut Desk) {
    let text = "create table users (id int);\nselect pg_sleep(600);\ncreate table t (id int);\n";
    std::fs::write(desk.copy_path("slow.sql"), text).unwrap();
    desk.list("slow.sql");
}

fn sleeping(server: &Postgres) -> bool {
    server.psql(
        "postgres",
        "select count(*) from pg_stat_activity where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()",
    ) != "0"
}

#[test]
fn cancelled_at_any_point_nothing_is_left() {
    let (server, mut desk) = start();
    slow(&mut desk);
    let copy = dump(&server, &mut desk, "app", "custom");
    let before = (content(&server, "app"), properties(&server, "app"));
    for (copy, at) in [
        (copy.as_str(), "reading the copy"),
        (copy.as_str(), "CREATE DATABASE"),
        (copy.as_str(), "created app__restore"),
        ("slow.sql", "loading"),
        (copy.as_str(), "loaded in"),
        (copy.as_str(), "analyzing"),
        (copy.as_str(), "counting"),
    ] {
        let planned = desk.plan(&restore_of(copy));
        let ended = desk.execute_with(planned, CancellationToken::new(), move |said, cancel| {
            if said.contains(at) {
                cancel.cancel();
            }
        });
        assert_eq!(ended.result, Err(OpError::Cancelled), "at {at}");
        assert!(ended.open().is_none() && ended.sink.told.lock().unwrap().sides.is_empty(), "at {at}");
        assert_eq!(databases(&server, "app"), ["app"], "at {at}");
        assert!(!sleeping(&server), "at {at}");
    }
    assert_eq!((content(&server, "app"), properties(&server, "app")), before);
}

#[test]
fn a_runner_that_is_killed_while_loading_leaves_what_the_next_one_removes() {
    let (server, mut desk) = start();
    slow(&mut desk);
    let before = content(&server, "app");
    let planned = desk.plan(&restore_of("slow.sql"));
    let open = killed_at(&desk, &planned, "loading").expect("what is to be removed is on disk");
    assert!(open.shown.contains("app__restore_"), "{}", open.shown);
    let side = format!("app__restore_{}", planned.plan.id);
    assert!(databases(&server, "app").contains(&side));
    wait_until("psql ended with the runner, and its session with it", PATIENCE, || !sleeping(&server));
    let (ctx, sink) = desk.op_context(&planned);
    desk.op(&open.op, &open.args, &ctx).unwrap();
    desk.op(&open.op, &open.args, &ctx).unwrap();
    assert_eq!(databases(&server, "app"), ["app"]);
    assert_eq!(sink.told.lock().unwrap().gone[0], side);
    assert_eq!(content(&server, "app"), before);
}

#[test]
fn what_nobody_removed_is_named_and_goes_with_the_next_run() {
    let (server, mut desk) = start();
    slow(&mut desk);
    let copy = dump(&server, &mut desk, "app", "custom");
    let planned = desk.plan(&restore_of("slow.sql"));
    killed_at(&desk, &planned, "loading").unwrap();
    let left = format!("app__restore_{}", planned.plan.id);
    wait_until("psql ended", PATIENCE, || !sleeping(&server));
    // Not a side copy of ours, whatever it is called.
    server.psql("postgres", "create database app__restore_mine");
    let again = desk.plan(&restore_of(&copy));
    let (result, detail) = check(&again.plan, "leftovers");
    assert!(result == Checked::Warned && detail.contains(&left) && !detail.contains("mine"), "{detail}");
    let ended = desk.execute(again);
    ended.verified();
    assert!(ended.output().contains(&format!("dropped {left}")), "{}", ended.output());
    assert_eq!(databases(&server, "app"), ["app", "app__restore_mine", ended.side().name.as_str()]);
}

#[test]
fn a_server_that_stops_while_loading() {
    let server = Arc::new(Postgres::start());
    make_app(&server, "app");
    let mut desk = Desk::postgres(&server, "app", &["select count(*) = 500 from users"]);
    let copy = dump(&server, &mut desk, "app", "custom");
    slow(&mut desk);
    let before = content(&server, "app");
    let planned = desk.plan(&restore_of("slow.sql"));
    let stopping = server.clone();
    let once = std::sync::Once::new();
    let ended = desk.execute_with(planned, CancellationToken::new(), move |said, _| {
        if said == "loading" {
            once.call_once(|| stopping.stop());
        }
    });
    let error = ended.error();
    assert!(error.contains("start again") && error.contains("listed as incomplete"), "{error}");
    let side = ended.side();
    assert_eq!(side.role, SideRole::Abandoned, "it can be dropped and nothing else");
    let open = ended.open().expect("its removal stays open");
    assert!(desk.try_plan(&Work::CutOver { of: ended.id.clone() }).is_err());
    assert!(desk.try_plan(&Work::Undo { of: ended.id.clone() }).is_err());
    server.start_again();
    assert!(databases(&server, "app").contains(&side.name));
    let planned = Planned { plan: ended.plan.clone(), secrets: desk.plan(&restore_of(&copy)).secrets };
    let (ctx, _) = desk.op_context(&planned);
    desk.op(&open.op, &open.args, &ctx).unwrap();
    assert_eq!((databases(&server, "app"), content(&server, "app")), (vec!["app".to_owned()], before));
}

#[test]
fn a_suspect_copy_is_used_only_when_it_was_chosen() {
    let (server, mut desk) = start();
    let copy = dump(&server, &mut desk, "app", "custom");
    desk.ctx.copies.get_mut("full").unwrap()[0].suspect = Some("far smaller than its predecessors".into());
    let work = Work::Restore { backup: "full".into(), copy: None, test: false, to: None, only: Vec::new() };
    let refusal = desk.try_plan(&work).unwrap_err();
    assert!(refusal.to_string().contains("--copy app.dump"), "{refusal}");
    let plan = desk.plan(&restore_of(&copy)).plan;
    assert_eq!(check(&plan, "copy").0, Checked::Warned);
    let unknown = desk.try_plan(&restore_of("nope")).unwrap_err();
    assert!(unknown.usage && unknown.to_string().contains("app.dump"), "{unknown}");
    let none = desk
        .try_plan(&Work::Restore { backup: "none".into(), copy: None, test: false, to: None, only: Vec::new() })
        .unwrap_err();
    assert!(none.usage && none.to_string().contains("there are full"), "{none}");
}
