//! Cut-over and undo: under load, against what does not want to go, and killed in the middle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mayday::domain::run::{Checked, Risk, SideRole, Work};
use mayday::recovery::op::OpError;
use mayday::recovery::plan::Planned;
use mayday::sys::pg::{self, PgConn, PgError, PgTarget};
use tokio_util::sync::CancellationToken;

use crate::kit::{Desk, Ended, check, killed_at, restore_of};
use crate::pg_restore::{comment, content, databases, dump, make_app, properties};
use crate::support::{PATIENCE, PgOptions, Postgres, wait_until};

/// A database `app` of which a copy is restored beside, and then changed: 500 users in the copy, one more live.
fn ready(server: &Postgres) -> (Desk, Ended, String) {
    make_app(server, "app");
    let copied = content(server, "app");
    let mut desk = Desk::postgres(server, "app", &["select count(*) = 500 from users"]);
    let copy = dump(server, &mut desk, "app", "custom");
    let restored = desk.run(&restore_of(&copy));
    restored.verified();
    // A sequence runs ahead when its server crashes: none is used from here on.
    server.psql("app", "insert into users (id, name) values (9000, 'after the copy')");
    server.psql("app", "checkpoint");
    (desk, restored, copied)
}

fn cut_over(of: &Ended) -> Work {
    Work::CutOver { of: of.id.clone() }
}

fn undo(of: &Ended) -> Work {
    Work::Undo { of: of.id.clone() }
}

fn users(server: &Postgres, database: &str) -> String {
    server.psql(database, "select count(*) from users")
}

async fn connect(server: &Postgres, database: &str) -> Result<PgConn, PgError> {
    let target = PgTarget::parse(&server.dsn(database)).unwrap();
    pg::connect(&target, Duration::from_secs(10)).await
}

#[test]
fn cut_over_undo_and_drop_exchange_the_databases_and_nothing_else() {
    let server = Postgres::start();
    let (mut desk, restored, copied) = ready(&server);
    let (live, like) = (content(&server, "app"), properties(&server, "app"));
    // What changed after the restore is carried over at the cut-over.
    server.psql("postgres", "alter database app set work_mem to '31MB'; comment on database app is 'new words'");
    let changed = properties(&server, "app");
    assert_ne!(like, changed);

    let planned = desk.plan(&cut_over(&restored));
    assert_eq!((planned.plan.risk, planned.plan.target.as_str()), (Risk::Destructive, "app"));
    assert!(planned.plan.data_lost_ms.is_some_and(|ms| ms > 7_000_000) && planned.plan.undo.contains("__before_"));
    let cut = desk.execute(planned);
    let said = cut.verified();
    assert!(said.contains("was refused for") && said.contains("1 query true"), "{said}");
    assert_eq!((content(&server, "app"), properties(&server, "app")), (copied.clone(), changed.clone()));
    assert_eq!(comment(&server, "app"), "new words");
    let before = cut.side();
    assert_eq!((before.role, before.live.as_str()), (SideRole::Before, "app"));
    assert_eq!(databases(&server, "app"), ["app", before.name.as_str()]);
    assert!(server.try_psql(&before.name, "select 1").unwrap_err().contains("not currently accepting connections"));
    assert!(
        cut.sink
            .told
            .lock()
            .unwrap()
            .gone
            .contains(&restored.plan.phases.last().map(|_| restored_name(&restored)).unwrap())
    );

    // It cannot be cut over twice, and nothing else was left by the restore.
    let again = desk.try_plan(&cut_over(&restored)).unwrap_err();
    assert!(again.reason.contains("nothing that is ready"), "{again}");

    server.psql("app", "insert into users (name) values ('between')");
    // By the id of the cut-over, or of the restore before it.
    let planned = desk.plan(&undo(&restored));
    assert!(planned.plan.effects.iter().any(|e| e.contains("are no longer served")), "{:?}", planned.plan.effects);
    let undone = desk.execute(planned);
    undone.verified();
    assert_eq!(content(&server, "app"), live);
    assert_eq!(properties(&server, "app"), changed);
    let abandoned = undone.side();
    assert_eq!(abandoned.role, SideRole::Abandoned);
    assert_eq!(databases(&server, "app"), ["app", abandoned.name.as_str()]);

    let planned = desk.plan(&Work::Drop { of: undone.id.clone() });
    assert_eq!((planned.plan.risk, planned.plan.target.as_str()), (Risk::Destructive, abandoned.name.as_str()));
    desk.execute(planned).verified();
    assert_eq!(databases(&server, "app"), ["app"]);
    assert_eq!(content(&server, "app"), live);
    let none = desk.try_plan(&Work::Drop { of: undone.id.clone() }).unwrap_err();
    assert!(none.reason.contains("nothing"), "{none}");
}

fn restored_name(restored: &Ended) -> String {
    format!("app__restore_{}", restored.id)
}

#[test]
fn a_side_copy_can_be_dropped_without_typing_its_name() {
    let server = Postgres::start();
    let (mut desk, restored, _) = ready(&server);
    let planned = desk.plan(&Work::Drop { of: restored.id.clone() });
    assert_eq!(planned.plan.risk, Risk::Disruptive);
    desk.execute(planned).verified();
    assert_eq!(databases(&server, "app"), ["app"]);
    assert_eq!(users(&server, "app"), "501");
}

#[test]
fn clients_that_reconnect_see_a_short_refusal_and_never_a_missing_database() {
    let server = Arc::new(Postgres::start_with(PgOptions::default().set("max_connections", "100")));
    let (mut desk, restored, _) = ready(&server);
    let stop = Arc::new(AtomicBool::new(false));
    let (done, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let clients = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut tasks = Vec::new();
    for n in 0..20 {
        let (server, stop, done, refused) = (server.clone(), stop.clone(), done.clone(), refused.clone());
        tasks.push(clients.spawn(async move {
            let mut odd = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let work = async {
                    let conn = connect(&server, "app").await?;
                    for _ in 0..50 {
                        let sql = format!(
                            "begin; update users set note = 'n' where id = {n}; select pg_sleep(0.002); commit"
                        );
                        conn.client.batch_execute(&sql).await?;
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok::<(), PgError>(())
                };
                match work.await {
                    Ok(()) => {}
                    // Ended, and told so or not: the word of the server may be lost with the connection.
                    Err(PgError::Closed) => {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                    // Refused, or ended by the administrator.
                    Err(PgError::Other { sqlstate: Some(code), .. }) if code == "55000" || code == "57P01" => {
                        refused.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    // The server's word for having waited while the name changed hands.
                    Err(PgError::NoDatabase(why)) if why.contains("just been dropped or renamed") => {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(e) => odd.push(e.to_string()),
                }
            }
            odd
        }));
    }
    let moving = |what: &str| {
        let from = done.load(Ordering::Relaxed);
        wait_until(what, PATIENCE, || done.load(Ordering::Relaxed) > from + 100);
    };
    moving("clients work");
    let began = Instant::now();
    let cut = desk.run(&cut_over(&restored));
    let took = began.elapsed();
    cut.verified();
    moving("clients work on what was restored");
    let undone = desk.run(&undo(&cut));
    undone.verified();
    moving("clients work on what was put back");
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        let odd = clients.block_on(task).unwrap();
        assert!(odd.is_empty(), "{odd:?}");
    }
    assert!(refused.load(Ordering::Relaxed) > 0, "nobody was refused or cut: nothing was tested");
    assert!(took < Duration::from_secs(6), "{took:?}: {}", cut.output());
    assert_eq!(users(&server, "app"), "501");
}

#[test]
fn a_transaction_in_progress_may_finish_within_the_grace_and_not_beyond() {
    let server = Arc::new(Postgres::start());
    let (mut desk, restored, _) = ready(&server);
    let conn = desk.block_on(connect(&server, "app")).unwrap();
    let idle = desk.block_on(connect(&server, "app")).unwrap();
    desk.block_on(conn.client.batch_execute("begin; insert into users (name) values ('in progress')")).unwrap();
    let working = std::thread::spawn({
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        move || runtime.block_on(conn.client.batch_execute("select pg_sleep(1); commit")).map_err(|e| e.to_string())
    });
    let cut = desk.run(&cut_over(&restored));
    cut.verified();
    assert_eq!(working.join().unwrap(), Ok(()), "it was within its grace");
    wait_until("the idle one was ended", PATIENCE, || idle.client.is_closed());
    let kept = cut.side().name;
    server.psql("postgres", &format!("alter database {kept} allow_connections true"));
    assert_eq!(users(&server, &kept), "502", "what was committed within the grace is in what was kept");
    server.psql("postgres", &format!("alter database {kept} allow_connections false"));

    desk.configure_pg(|r| r.grace = Some(Duration::from_millis(300)));
    let conn = desk.block_on(connect(&server, "app")).unwrap();
    desk.block_on(conn.client.batch_execute("begin; insert into users (name) values ('too long')")).unwrap();
    let undone = desk.run(&undo(&cut));
    undone.verified();
    wait_until("the long one was ended", PATIENCE, || conn.client.is_closed());
    assert_eq!(users(&server, "app"), "502");
}

#[test]
fn a_connection_that_does_not_go_leaves_everything_as_it_was() {
    let server = Postgres::start();
    let (mut desk, restored, _) = ready(&server);
    let (live, like) = (content(&server, "app"), properties(&server, "app"));
    let conn = desk.block_on(connect(&server, "app")).unwrap();
    let row = desk.block_on(conn.client.query_one("select pg_backend_pid()", &[])).unwrap();
    let pid: i32 = row.get(0);
    // A process that the kernel does not let run cannot end itself: it hangs in a dead file system, say.
    signal(pid, libc::SIGSTOP);
    let began = Instant::now();
    let planned = desk.plan(&cut_over(&restored));
    let ended = desk.execute(planned);
    let error = ended.error();
    signal(pid, libc::SIGCONT);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(error.contains(&pid.to_string()) && error.contains("is as it was before"), "{error}");
    assert!(ended.open().is_none());
    assert_eq!((content(&server, "app"), properties(&server, "app")), (live, like));
    assert_eq!(users(&server, &restored_name(&restored)), "500", "the side copy waits as before");
    desk.run(&cut_over(&restored)).verified();
    assert_eq!(users(&server, "app"), "500");
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: a plain system call on a process of a server of this test.
    unsafe { libc::kill(pid, signal) };
}

#[test]
fn cancelled_before_the_renames_it_reopens() {
    let server = Postgres::start();
    let (mut desk, restored, _) = ready(&server);
    let conn = desk.block_on(connect(&server, "app")).unwrap();
    desk.block_on(conn.client.batch_execute("begin; insert into users (id, name) values (9001, 'x')")).unwrap();
    let planned = desk.plan(&cut_over(&restored));
    let ended = desk.execute_with(planned, CancellationToken::new(), |said, cancel| {
        if said.contains("are refused") {
            cancel.cancel();
        }
    });
    assert_eq!(ended.result, Err(OpError::Cancelled));
    assert!(ended.open().is_none());
    assert_eq!(users(&server, "app"), "501");
    desk.block_on(conn.client.batch_execute("commit")).unwrap();
    assert_eq!(users(&server, "app"), "502", "who was in the middle of something was not disturbed");
}

#[test]
fn killed_after_connections_were_refused_they_are_allowed_again() {
    let server = Postgres::start();
    let (mut desk, restored, _) = ready(&server);
    let (live, like) = (content(&server, "app"), properties(&server, "app"));
    let conn = desk.block_on(connect(&server, "app")).unwrap();
    desk.block_on(conn.client.batch_execute("begin; insert into users (id, name) values (9001, 'x')")).unwrap();
    let planned = desk.plan(&cut_over(&restored));
    let open = killed_at(&desk, &planned, "are refused").expect("what is to be taken back is on disk");
    assert!(open.shown.contains("allow connections to app"), "{}", open.shown);
    let refused = server.try_psql("app", "select 1").unwrap_err();
    assert!(refused.contains("not currently accepting connections"), "{refused}");

    let (ctx, sink) = desk.op_context(&planned);
    let said = desk.op(&open.op, &open.args, &ctx).unwrap();
    assert!(said.unwrap().contains("nothing was exchanged"));
    // As often as one likes.
    desk.op(&open.op, &open.args, &ctx).unwrap();
    assert!(sink.told.lock().unwrap().sides.is_empty());
    desk.block_on(conn.client.batch_execute("rollback")).unwrap();
    assert_eq!((content(&server, "app"), properties(&server, "app")), (live, like));
    desk.run(&cut_over(&restored)).verified();
    assert_eq!(users(&server, "app"), "500");
}

#[test]
fn killed_after_the_commit_the_cut_over_is_found_done() {
    let server = Postgres::start();
    let (mut desk, restored, copied) = ready(&server);
    let planned = desk.plan(&cut_over(&restored));
    // The first thing said after the names are changed is said once what is kept was written down; what was open before
    // it is what a runner that died in between leaves.
    let ended = desk.execute(Planned { plan: planned.plan.clone(), secrets: planned.secrets.clone() });
    ended.verified();
    let open = ended.sink.told.lock().unwrap().opened[0].clone();
    server.psql("postgres", "alter database app allow_connections false");
    let (ctx, sink) = desk.op_context(&planned);
    let said = desk.op(&open.op, &open.args, &ctx).unwrap().unwrap();
    assert!(said.contains("had been done"), "{said}");
    assert_eq!(content(&server, "app"), copied);
    let told = sink.told.lock().unwrap();
    assert_eq!(told.sides[0].name, ended.side().name);
    assert_eq!(told.gone, [restored_name(&restored)]);
}

#[test]
fn a_server_that_crashes_in_the_middle_is_found_whole_and_reopened() {
    let server = Arc::new(Postgres::start());
    let (mut desk, restored, _) = ready(&server);
    let (live, like) = (content(&server, "app"), properties(&server, "app"));
    let conn = desk.block_on(connect(&server, "app")).unwrap();
    desk.block_on(conn.client.batch_execute("begin; insert into users (id, name) values (9001, 'x')")).unwrap();
    let planned = desk.plan(&cut_over(&restored));
    let crashing = server.clone();
    let back = std::sync::Mutex::new(None);
    let ended = desk.execute_with(planned, CancellationToken::new(), move |said, _| {
        if said.contains("are refused") {
            crashing.kill();
            let server = crashing.clone();
            *back.lock().unwrap() = Some(std::thread::spawn(move || server.start_again()));
        }
    });
    let error = ended.error();
    assert!(error.contains("takes connections"), "{error}");
    assert!(ended.open().is_none(), "{error}");
    assert_eq!((content(&server, "app"), properties(&server, "app")), (live, like));
}

#[test]
fn what_changed_since_the_plan_stops_it_before_anything_is_refused() {
    let server = Postgres::start_with(PgOptions::default().set("max_prepared_transactions", "2"));
    let (mut desk, restored, _) = ready(&server);
    let side = restored_name(&restored);
    let planned = desk.plan(&cut_over(&restored));
    server.psql("app", "begin; insert into users (name) values ('p'); prepare transaction 'left behind'");
    let error = desk.execute(Planned { plan: planned.plan.clone(), secrets: planned.secrets.clone() }).error();
    assert!(error.contains("left behind"), "{error}");
    let (result, detail) = {
        let plan = desk.plan(&cut_over(&restored)).plan;
        let (result, detail) = check(&plan, "prepared transactions");
        (result, detail.to_owned())
    };
    assert!(result == Checked::Failed && detail.contains("left behind"), "{detail}");
    server.psql("app", "rollback prepared 'left behind'");

    server.psql("postgres", "alter database app rename to app_old");
    server.psql("postgres", "create database app");
    let error = desk.execute(Planned { plan: planned.plan.clone(), secrets: planned.secrets.clone() }).error();
    assert!(error.contains("app is not the database it was"), "{error}");
    server.psql("postgres", "drop database app");
    server.psql("postgres", "alter database app_old rename to app");

    server.psql("postgres", &format!("drop database {side}"));
    server.psql("postgres", &format!("create database {side}"));
    let error = desk.execute(planned).error();
    assert!(error.contains(&format!("{side} is not the database it was")), "{error}");
    let plan = desk.plan(&cut_over(&restored)).plan;
    assert_eq!(check(&plan, "side database").0, Checked::Failed);
    assert_eq!(users(&server, "app"), "501");
}

#[test]
fn a_copy_that_turns_out_wrong_after_the_cut_over_is_told_and_can_be_undone() {
    let server = Postgres::start();
    let (mut desk, restored, _) = ready(&server);
    desk.configure_pg(|r| r.verify = vec!["select current_database() = 'elsewhere'".into()]);
    let planned = desk.plan(&cut_over(&restored));
    let ended = desk.execute(planned);
    let Err(OpError::Contradicted(why)) = &ended.result else { panic!("{:?}", ended.result) };
    assert!(why.contains("undo brings back"), "{why}");
    desk.run(&undo(&ended)).verified();
    assert_eq!(users(&server, "app"), "501");
}

#[test]
fn two_cut_overs_of_one_database_do_not_meet() {
    let server = Postgres::start();
    let (mut desk, restored, _) = ready(&server);
    // Another mayday, on another host, in the middle of its own.
    let other = desk.block_on(connect(&server, "postgres")).unwrap();
    desk.block_on(other.client.batch_execute("select pg_advisory_lock(1835104612, hashtext('app'))")).unwrap();
    let planned = desk.plan(&cut_over(&restored));
    let error = desk.execute(Planned { plan: planned.plan.clone(), secrets: planned.secrets.clone() }).error();
    assert!(error.contains("another cut-over of app is going on"), "{error}");
    assert_eq!(users(&server, "app"), "501");
    drop(other);
    wait_until("the other one has let go", PATIENCE, || {
        server.psql("postgres", "select count(*) from pg_locks where locktype = 'advisory'") == "0"
    });
    desk.execute(planned).verified();
    assert_eq!(users(&server, "app"), "500");
}

#[test]
fn an_undo_of_what_is_no_longer_live_has_no_price_and_says_whose_that_is() {
    let server = Postgres::start();
    make_app(&server, "app");
    let mut desk = Desk::postgres(&server, "app", &[]);
    let first = dump(&server, &mut desk, "app", "custom");
    let second = dump(&server, &mut desk, "app", "sql.gz");
    let cut = |desk: &mut Desk, copy: &str| {
        let restored = desk.run(&restore_of(copy));
        desk.run(&Work::CutOver { of: restored.id.clone() })
    };
    let first = cut(&mut desk, &first);
    let known = desk.plan(&Work::Undo { of: first.id.clone() }).plan;
    assert!(known.data_lost_ms.is_some(), "{:?}", known.effects);
    assert_eq!(check(&known, "live database").0, Checked::Passed);
    let second = cut(&mut desk, &second);
    // Live is what the second put there: the first can be undone, but not for a known price.
    let plan = desk.plan(&Work::Undo { of: first.id.clone() }).plan;
    let (result, said) = check(&plan, "live database");
    assert!(result == Checked::Warned && said.contains(&format!("run {} (cut app over", second.id)), "{said}");
    assert_eq!((plan.data_lost_ms, plan.blockers().count()), (None, 0));
    assert!(plan.effects.iter().any(|e| e.contains("nobody knows")), "{:?}", plan.effects);
    let undone = desk.run(&Work::Undo { of: first.id.clone() });
    undone.verified();
    // The original is live again; the undo of the second would put the first copy there.
    let plan = desk.plan(&Work::Undo { of: second.id.clone() }).plan;
    let (result, said) = check(&plan, "live database");
    assert!(result == Checked::Warned && said.contains(&format!("undo run {} instead", undone.id)), "{said}");
    assert_eq!(plan.data_lost_ms, None);
    // By somebody else.
    server.psql("postgres", "alter database app rename to app_away");
    server.create_db("app");
    let plan = desk.plan(&Work::Undo { of: undone.id.clone() }).plan;
    let (_, said) = check(&plan, "live database");
    assert!(said.contains("no run of mayday put it there"), "{said}");
}
