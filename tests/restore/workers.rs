//! Loading by several processes at once: whatever ends the run ends all of them, so that none goes on writing into a
//! database that is to be removed.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use mayday::recovery::op::OpError;
use tokio_util::sync::CancellationToken;

use crate::kit::{self, Desk, restore_of};
use crate::pg_restore::{content, databases, dump, make_app};
use crate::support::{PATIENCE, Postgres, wait_until};

/// Two tables whose indexes, built from the dump by two workers, take as long as they are let.
fn endless(server: &Postgres, desk: &mut Desk) -> String {
    server.psql(
        "app",
        "create function slow(n int) returns int immutable language sql as 'select n';\n\
         create table one as select 1 as id; create table two as select 1 as id;\n\
         create index on one (slow(id)); create index on two (slow(id));\n\
         create or replace function slow(n int) returns int immutable language plpgsql as\n\
         'begin perform pg_sleep(600); return n; end'",
    );
    let copy = dump(server, desk, "app", "custom");
    server.psql("app", "drop table one, two; drop function slow");
    copy
}

/// Sessions that build an index.
fn building(server: &Postgres) -> usize {
    let said = server.psql(
        "postgres",
        "select count(*) from pg_stat_activity where query like 'CREATE INDEX%' and datname like 'app\\_\\_restore%'",
    );
    said.parse().unwrap()
}

/// As many as there are cores, and no more than there are indexes.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get()).min(2)
}

fn desk(server: &Postgres) -> (Desk, String) {
    make_app(server, "app");
    let mut desk = Desk::postgres(server, "app", &["select count(*) = 500 from users"]);
    let copy = endless(server, &mut desk);
    (desk, copy)
}

#[test]
fn a_killed_runner_takes_every_worker_with_it() {
    let server = Postgres::start();
    let (mut desk, copy) = desk(&server);
    let before = content(&server, "app");
    let planned = desk.plan(&restore_of(&copy));
    let mut child = kit::ordered(&desk, &planned, "never said");
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the workers build an index each", PATIENCE, || building(&server) == workers());
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    wait_until("their sessions have ended", PATIENCE, || building(&server) == 0);
    let open = kit::open_of(&desk, &planned).expect("what is to be removed is on disk");
    let (ctx, _) = desk.op_context(&planned);
    desk.op(&open.op, &open.args, &ctx).unwrap();
    assert_eq!((databases(&server, "app"), content(&server, "app")), (vec!["app".to_owned()], before));
}

#[test]
fn a_cancelled_run_ends_every_worker() {
    let server = std::sync::Arc::new(Postgres::start());
    let (mut desk, copy) = desk(&server);
    let planned = desk.plan(&restore_of(&copy));
    let watched = server.clone();
    let once = std::sync::Once::new();
    let ended = desk.execute_with(planned, CancellationToken::new(), move |said, cancel| {
        if said == "loading" {
            let (server, cancel) = (watched.clone(), cancel.clone());
            once.call_once(|| {
                std::thread::spawn(move || {
                    wait_until("the workers build an index each", PATIENCE, || building(&server) == workers());
                    cancel.cancel();
                });
            });
        }
    });
    assert_eq!(ended.result, Err(OpError::Cancelled));
    assert_eq!((building(&server), databases(&server, "app")), (0, vec!["app".to_owned()]));
}
