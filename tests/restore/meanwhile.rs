//! What happens to clients and to the live data while something else goes on: pgbench at work, connections that are cut,
//! names that somebody took, disks that are really full.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once};

use mayday::domain::run::{Checked, Plan, Step, Work};
use mayday::recovery::plan::Planned;
use tokio_util::sync::CancellationToken;

use crate::kit::{Desk, Ended, check, restore_of};
use crate::pg_restore::{content, databases, dump, make_app, properties};
use crate::redis::fill;
use crate::support::{PATIENCE, Postgres, Redis, guard, in_small_disk_as_self, wait_until};

fn start() -> (Arc<Postgres>, Desk, String) {
    let server = Arc::new(Postgres::start());
    make_app(&server, "app");
    let mut desk = Desk::postgres(&server, "app", &[]);
    let copy = dump(&server, &mut desk, "app", "custom");
    (server, desk, copy)
}

/// The live database is what it was, and nothing else is there.
#[track_caller]
fn untouched(server: &Postgres, before: &(String, String), others: &[&str]) {
    assert_eq!((&content(server, "app"), &properties(server, "app")), (&before.0, &before.1));
    let mut there = vec!["app"];
    there.extend(others);
    assert_eq!(databases(server, "app"), there);
}

fn as_it_is(server: &Postgres) -> (String, String) {
    (content(server, "app"), properties(server, "app"))
}

/// What clients may be told while the name changes hands.
const TOLD: [&str; 5] = [
    "is not currently accepting connections",
    "terminating connection due to administrator command",
    "server closed the connection unexpectedly",
    "just been dropped or renamed",
    "Connection reset by peer",
];

#[test]
fn pgbench_sees_nothing_but_refusals_and_loses_nothing() {
    let server = Arc::new(Postgres::start());
    server.create_db("app");
    crate::pitr::ran(server.tool("pgbench").args(["-i", "-q", "-s", "1", "app"]));
    let mut desk = Desk::postgres(&server, "app", &["select count(*) = 100000 from pgbench_accounts"]);
    let copy = dump(&server, &mut desk, "app", "custom");
    let restored = desk.run(&restore_of(&copy));
    let stop = Arc::new(AtomicBool::new(false));
    let (clean, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let odd = Arc::new(Mutex::new(Vec::<String>::new()));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (server, stop, clean, refused, odd) =
                (server.clone(), stop.clone(), clean.clone(), refused.clone(), odd.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    // A connection for each transaction: each of them can be refused.
                    let mut bench = server.tool("pgbench");
                    bench.args(["-n", "-C", "-c", "4", "-t", "10", "app"]).stdin(Stdio::null());
                    let done = bench.output().unwrap();
                    let said = String::from_utf8_lossy(&done.stderr).into_owned();
                    if done.status.success() {
                        clean.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    refused.fetch_add(1, Ordering::Relaxed);
                    // pgbench says of each client that it was aborted; the server's word stands before that.
                    // Whether a name is just changing hands stands in the detail, a line below.
                    let lines: Vec<&str> = said.lines().collect();
                    let told = |l: Option<&&str>| l.is_some_and(|l| TOLD.iter().any(|t| l.contains(t)));
                    let server_said =
                        lines.iter().enumerate().filter(|(_, l)| l.contains("FATAL") || l.contains("ERROR"));
                    let unknown = server_said.filter(|(i, l)| !told(Some(l)) && !told(lines.get(i + 1)));
                    odd.lock().unwrap().extend(unknown.map(|(i, l)| format!("{l} / {:?}", lines.get(i + 1))));
                }
            })
        })
        .collect();
    let goes_on = |what: &str| {
        let from = clean.load(Ordering::Relaxed);
        wait_until(what, PATIENCE, || clean.load(Ordering::Relaxed) >= from + 4);
    };
    let sums = |database: &str| {
        server.psql(
            database,
            "select (select sum(abalance) from pgbench_accounts) = (select coalesce(sum(delta), 0) from pgbench_history)
                and (select sum(bbalance) from pgbench_branches) = (select coalesce(sum(delta), 0) from pgbench_history)
                and (select sum(tbalance) from pgbench_tellers) = (select coalesce(sum(delta), 0) from pgbench_history)",
        )
    };
    let rows = || server.psql("app", "select count(*) from pgbench_history").parse::<u64>().unwrap();
    goes_on("pgbench works");
    let before = rows();
    let cut = desk.run(&Work::CutOver { of: restored.id });
    assert!(cut.verified().contains("ms") || cut.output().contains("ms"), "the time is measured: {}", cut.output());
    goes_on("pgbench works on what was restored");
    assert!(rows() > 0 && rows() < before + 100_000);
    let undone = desk.run(&Work::Undo { of: cut.id.clone() });
    undone.verified();
    goes_on("pgbench works on what was put back");
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
    let odd = odd.lock().unwrap();
    assert!(odd.is_empty(), "{odd:#?}");
    assert!(refused.load(Ordering::Relaxed) > 0, "nobody was refused: nothing was tested");
    assert!(rows() >= before, "what had been committed before is there after the undo");
    // No transaction was torn, on either side.
    assert_eq!(sums("app"), "t");
    for other in databases(&server, "app__") {
        let closed = format!("alter database \"{other}\" with allow_connections true");
        server.psql("postgres", &closed);
        assert_eq!(sums(&other), "t", "{other}");
    }
}

/// Ends every session that is not this one, of mayday and of its programs.
fn cut(server: &Postgres, of: &str) {
    let sql = format!("select pg_terminate_backend(pid) from pg_stat_activity where {of} and pid <> pg_backend_pid()");
    server.psql("postgres", &sql);
}

fn cut_at(desk: &mut Desk, server: &Arc<Postgres>, work: &Work, at: &'static str, of: &'static str) -> Ended {
    let planned = desk.plan(work);
    let (server, once) = (server.clone(), Once::new());
    desk.execute_with(planned, CancellationToken::new(), move |said, _| {
        if said.contains(at) {
            once.call_once(|| cut(&server, of));
        }
    })
}

#[test]
fn connections_that_are_cut() {
    let (server, mut desk, copy) = start();
    let before = as_it_is(&server);
    // While it loads.
    std::fs::write(
        desk.copy_path("slow.sql"),
        "create table t (id int);\nselect pg_sleep(600);\ncreate table u (id int);\n",
    )
    .unwrap();
    desk.list("slow.sql");
    let cutting = server.clone();
    let done = Arc::new(AtomicBool::new(false));
    let over = done.clone();
    let cutter = std::thread::spawn(move || {
        let sleeping = "query like '%pg_sleep(600)%'";
        wait_until("it loads", PATIENCE, || {
            let sql = format!("select count(*) from pg_stat_activity where {sleeping} and pid <> pg_backend_pid()");
            over.load(Ordering::Relaxed) || cutting.psql("postgres", &sql) != "0"
        });
        cut(&cutting, sleeping);
    });
    let planned = desk.plan(&restore_of("slow.sql"));
    let ended = desk.execute(planned);
    done.store(true, Ordering::Relaxed);
    cutter.join().unwrap();
    let why = ended.error();
    assert!(why.contains("terminating connection") || why.contains("closed the connection"), "{why}");
    assert!(why.contains("the side copy was removed") && ended.open().is_none(), "{why}");
    untouched(&server, &before, &[]);

    // Mayday's own session, once connections are refused: put back by itself, or done.
    let restored = desk.run(&restore_of(&copy));
    let mine = "application_name like 'mayday%'";
    let ended = cut_at(&mut desk, &server, &Work::CutOver { of: restored.id.clone() }, "are refused", mine);
    assert!(ended.open().is_none(), "{}", ended.output());
    match &ended.result {
        Err(why) => {
            let why = why.to_string();
            assert!(why.contains("takes connections") || why.contains("as it was"), "{why}");
            untouched(&server, &before, &[restored.side().name.as_str()]);
            desk.run(&Work::CutOver { of: restored.id }).verified();
        }
        Ok(said) => assert!(said.iter().any(|s| s.contains("app")), "{said:?}"),
    }
    assert_eq!(server.psql("app", "select count(*) from users"), "500");
}

#[test]
fn names_that_somebody_took_stay_theirs() {
    let (server, mut desk, copy) = start();
    let before = as_it_is(&server);
    let planned = desk.plan(&restore_of(&copy));
    let side = format!("app__restore_{}", planned.plan.id);
    server.psql("postgres", &format!("create database \"{side}\""));
    server.psql(&side, "create table theirs (id int)");
    let ended = desk.execute(planned);
    let why = ended.error();
    assert!(why.contains(&side) && why.contains("exists by now") && !why.contains("removed"), "{why}");
    assert!(ended.open().is_none());
    assert_eq!(server.psql(&side, "select count(*) from theirs"), "0", "it is not ours to drop");
    untouched(&server, &before, &[side.as_str()]);
    server.psql("postgres", &format!("drop database \"{side}\""));

    let restored = desk.run(&restore_of(&copy));
    let planned = desk.plan(&Work::CutOver { of: restored.id.clone() });
    let kept = format!("app__before_{}", planned.plan.id);
    server.psql("postgres", &format!("create database \"{kept}\""));
    let why = desk.execute(planned).error();
    assert!(why.contains(&kept), "{why}");
    untouched(&server, &before, &[kept.as_str(), restored.side().name.as_str()]);
    desk.run(&Work::CutOver { of: restored.id }).verified();
}

/// What a planned restore is going to make.
fn planned_side(plan: &Plan) -> PathBuf {
    let args = plan.phases.iter().find_map(|p| match &p.step {
        Step::Native { args, .. } => args["side"].as_str().map(PathBuf::from),
        Step::Command { .. } => None,
    });
    args.unwrap()
}

#[test]
fn folders_that_somebody_made_meanwhile_stay_theirs() {
    let dir = crate::support::scratch();
    let live = dir.path().join("docs");
    std::fs::create_dir(&live).unwrap();
    std::fs::write(live.join("one"), "1").unwrap();
    let mut desk = Desk::folder(&live, 0, &[]);
    crate::pitr::ran(std::process::Command::new("cp").arg("-a").arg(&live).arg(desk.copy_path("docs")));
    desk.list("docs");
    let planned = desk.plan(&restore_of("docs"));
    let side = planned_side(&planned.plan);
    let mut beside = side.clone().into_os_string();
    beside.push(".partial");
    for side in [side, PathBuf::from(beside)] {
        std::fs::create_dir(&side).unwrap();
        std::fs::write(side.join("theirs"), "x").unwrap();
        let planned = Planned { plan: planned.plan.clone(), secrets: planned.secrets.clone() };
        let ended = desk.execute(planned);
        let why = ended.error();
        assert!(why.contains("exists by now") && ended.open().is_none(), "{why}");
        assert!(side.join("theirs").exists() && live.join("one").exists(), "{why}");
        std::fs::remove_dir_all(&side).unwrap();
    }

    let server = Redis::start(&[]);
    fill(&server, 10);
    let mut desk = crate::redis::desk(&server);
    let copy = crate::redis::save(&server, &mut desk, "good.rdb");
    let planned = desk.plan(&restore_of(&copy));
    let side = planned_side(&planned.plan);
    std::fs::create_dir_all(&side).unwrap();
    std::fs::write(side.join("theirs"), "x").unwrap();
    let ended = desk.execute(planned);
    let why = ended.error();
    assert!(why.contains("exists by now") && ended.open().is_none(), "{why}");
    assert!(side.join("theirs").exists(), "{why}");
}

#[test]
fn a_disk_without_room_for_a_scratch_redis() {
    in_small_disk_as_self(128 << 10, |dir| {
        let server = Redis::start(&[]);
        let mut desk = crate::redis::desk(&server);
        fill(&server, 40_000);
        let copy = crate::redis::save(&server, &mut desk, "good.rdb");
        let small = dir.join("scratch");
        crate::redis::configure(&mut desk, |r| r.directory = Some(small.clone()));
        let planned = desk.plan(&restore_of(&copy));
        assert!(
            planned.plan.blockers().any(|p| p.detail.contains("make room") || p.detail.contains("free")),
            "{:?}",
            planned.plan.preconditions
        );
        let ended = desk.execute(planned);
        let why = ended.error();
        assert!(why.contains("No space left") && why.contains("is untouched"), "{why}");
        assert!(ended.open().is_none());
        assert!(small.read_dir().map_or(true, |mut d| d.next().is_none()), "{why}");
        assert_eq!(server.cli(&["get", "key:7"]), "7");
    });
}

#[test]
fn a_disk_that_is_really_full() {
    in_small_disk_as_self(48 << 20, |dir| {
        let server = Postgres::start();
        let space = dir.join("space");
        std::fs::create_dir(&space).unwrap();
        guard::give_away(&space);
        server.psql("postgres", &format!("create tablespace small location '{}'", space.display()));
        make_app(&server, "app");
        server.psql("postgres", "alter database app set tablespace small");
        let mut desk = Desk::postgres(&server, "app", &[]);
        let before = as_it_is(&server);
        // More than there is room for, of which the copy says nothing.
        let text = "create table big (n int, t text);\ninsert into big select n, repeat('x', 500) from generate_series(1, 200000) n;\n";
        std::fs::write(desk.copy_path("big.sql"), text).unwrap();
        desk.list("big.sql");
        let planned = desk.plan(&restore_of("big.sql"));
        let ended = desk.execute(planned);
        let why = ended.error();
        assert!(why.contains("No space left") || why.contains("make room") || why.contains("disk is full"), "{why}");
        assert!(ended.open().is_none() && ended.sink.told.lock().unwrap().sides.is_empty(), "{why}");
        untouched(&server, &before, &[]);
        server.psql("app", "insert into users (id, name) values (7000, 'goes on')");
    });
}

#[test]
fn a_folder_where_a_file_was_planned_and_a_copy_that_is_gone() {
    let (server, mut desk, copy) = start();
    let before = as_it_is(&server);
    let planned = desk.plan(&restore_of(&copy));
    let path = desk.copy_path(&copy);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let why = desk.execute(planned).error();
    assert!(why.contains("plan anew"), "{why}");
    let plan = desk.plan(&restore_of(&copy)).plan;
    assert!(plan.blockers().count() > 0, "{:?}", plan.preconditions);
    std::fs::remove_dir(&path).unwrap();
    let plan = desk.plan(&restore_of(&copy)).plan;
    assert!(plan.blockers().any(|p| p.detail.contains("no longer exists")), "{:?}", plan.preconditions);
    assert_eq!(check(&plan, "copy").0, Checked::Passed);
    untouched(&server, &before, &[]);
}
