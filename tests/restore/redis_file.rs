//! Redis: cut over by exchanging files, with the server stopped and started by its service's control.

use std::path::Path;
use std::process::Command;

use mayday::config::{CommandControl, Control, MaybeSecret, RedisBy, Service};
use mayday::domain::run::{Checked, Work};

use crate::kit::{Desk, check, restore_of};
use crate::redis::{Sweep, beside, configure, desk, fill, save, sweep};
use crate::support::{PATIENCE, Redis, program, wait_until};

/// A server of a configuration file, which commands stop and start.
fn start(appendonly: &str) -> (Redis, Desk, Sweep) {
    let server = Redis::start(&["--appendonly", appendonly]);
    let mut desk = desk(&server);
    let port = server.port().to_string();
    let sh = |line: String| Some(vec!["sh".to_owned(), "-c".to_owned(), line]);
    let redis = program("redis-server", "redis-server");
    let dir = server.dir().display().to_string();
    let control = CommandControl {
        restart: None,
        stop: sh(format!("redis-cli -p {port} shutdown || true")),
        start: sh(format!(
            "{} --port {port} --dir {dir} --bind 127.0.0.1 --save '3600 1' --appendonly {appendonly} --daemonize yes --logfile {dir}/again.log",
            redis.display()
        )),
        ..CommandControl::default()
    };
    let mut config = (*desk.ctx.config).clone();
    config.backups[0].service = Some("cache".into());
    config.services.push(Service {
        name: "cache".into(),
        control: Some(Control::Commands(control)),
        ..Service::default()
    });
    desk.ctx.config = config.into();
    configure(&mut desk, |r| {
        r.by = RedisBy::File;
        r.url = MaybeSecret::Plain(format!("redis://127.0.0.1:{port}"));
    });
    let swept = Sweep(server.dir().to_path_buf());
    (server, desk, swept)
}

fn files(server: &Redis) -> Vec<String> {
    let found = std::fs::read_dir(server.dir()).unwrap();
    let mut names: Vec<String> = found.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.retain(|n| !n.ends_with(".log"));
    names.sort();
    names
}

/// The fact that all of this is about.
#[test]
fn a_dump_beside_appendonly_starts_empty_and_is_overwritten() {
    let server = Redis::start(&[]);
    fill(&server, 100);
    server.cli(&["save"]);
    let size = |p: &Path| p.metadata().unwrap().len();
    let dump = server.dir().join("dump.rdb");
    let whole = size(&dump);
    let empty = Redis::start(&["--appendonly", "yes", "--save", "3600 1"]);
    empty.stop();
    std::fs::remove_dir_all(empty.dir().join("appendonlydir")).unwrap();
    std::fs::copy(&dump, empty.dir().join("dump.rdb")).unwrap();
    empty.start_again();
    assert_eq!(
        empty.cli(&["dbsize"]),
        "0",
        "a dump is read although appendonly is on: the exchange may be simpler now"
    );
    empty.cli(&["set", "one", "1"]);
    empty.stop();
    assert!(size(&empty.dir().join("dump.rdb")) < whole, "the copy is still there");
}

#[test]
fn files_are_exchanged_and_put_back_with_and_without_appendonly() {
    for appendonly in ["yes", "no"] {
        let (server, mut desk, _live) = start(appendonly);
        let _sweep = sweep(&desk);
        fill(&server, 1000);
        let copy = save(&server, &mut desk, "good.rdb");
        server.cli(&["del", "key:1", "key:2"]);
        server.cli(&["set", "new", "yes"]);
        let restored = desk.run(&restore_of(&copy));
        restored.verified();
        let planned = desk.plan(&Work::CutOver { of: restored.id.clone() });
        assert_eq!(planned.plan.target, "cache");
        assert_eq!(check(&planned.plan, "files").0, Checked::Passed, "{}", check(&planned.plan, "files").1);
        let shown = format!("{:?}", planned.plan.phases);
        assert!(shown.contains("shutdown") && shown.contains(".before-"), "{shown}");
        let over = desk.execute(planned);
        let said = over.verified();
        assert!(said.contains("has 1007 keys") && said.contains("it was down for"), "{appendonly}: {said}");
        assert_eq!(server.cli(&["config", "get", "appendonly"]), format!("appendonly\n{appendonly}"));
        let names = files(&server);
        assert!(!names.iter().any(|n| n.contains("before") || n.contains("restore")), "{appendonly}: {names:?}");
        // Started once more it comes up with them too.
        server.cli(&["set", "since", "yes"]);
        let again = desk.ctx.config.services[0].control.clone();
        let Some(Control::Commands(again)) = again else { panic!() };
        for argv in [again.stop.unwrap(), again.start.unwrap()] {
            assert!(Command::new(&argv[0]).args(&argv[1..]).status().unwrap().success());
        }
        wait_until("it is up", PATIENCE, || server.raw("PING\r\n").is_some_and(|a| a.starts_with("+PONG")));
        assert_eq!(server.cli(&["dbsize"]), "1006", "{appendonly}");

        let undone = desk.run(&Work::Undo { of: over.id });
        assert!(undone.verified().contains("has 1006 keys"), "{appendonly}: {}", undone.verified());
        assert_eq!((server.cli(&["get", "new"]), server.cli(&["exists", "key:1"])), ("yes".into(), "0".into()));
        desk.run(&Work::Drop { of: undone.id }).verified();
        assert_eq!(beside(&desk), Vec::<String>::new());
    }
}

#[test]
fn a_run_killed_on_the_way_ends_as_one_or_the_other() {
    let (server, mut desk, _live) = start("yes");
    let _sweep = sweep(&desk);
    fill(&server, 200);
    let copy = save(&server, &mut desk, "good.rdb");
    server.cli(&["flushall"]);
    server.cli(&["set", "new", "yes"]);
    let restored = desk.run(&restore_of(&copy));
    for at in ["compensation opened", "keeping what is live", "kept 1 key"] {
        let planned = desk.plan(&Work::CutOver { of: restored.id.clone() });
        let open = crate::kit::killed_at(&desk, &planned, at).expect("something to take back");
        let (ctx, _) = desk.op_context(&planned);
        desk.op(&open.op, &open.args, &ctx).unwrap();
        assert_eq!((server.cli(&["dbsize"]), server.cli(&["get", "new"])), ("1".into(), "yes".into()), "{at}");
        assert_eq!(beside(&desk).len(), 1, "{at}");
        let names = files(&server);
        assert!(!names.iter().any(|n| n.contains("before") || n.contains("restore")), "{at}: {names:?}");
    }
}

#[test]
fn a_server_that_does_not_come_up_gets_its_old_files_back() {
    let (server, mut desk, _live) = start("no");
    let _sweep = sweep(&desk);
    fill(&server, 50);
    let copy = save(&server, &mut desk, "good.rdb");
    // What it has in memory only counts too.
    server.cli(&["save"]);
    server.cli(&["set", "new", "yes"]);
    let restored = desk.run(&restore_of(&copy));
    // It starts only with the files that it had.
    let mut config = (*desk.ctx.config).clone();
    if let Some(Control::Commands(c)) = &mut config.services[0].control {
        let line = &mut c.start.as_mut().unwrap()[2];
        *line = format!("if ls -a {} | grep -q before; then exit 7; fi; {line}", server.dir().display());
    }
    desk.ctx.config = config.into();
    let over = desk.run(&Work::CutOver { of: restored.id });
    let error = over.error();
    assert!(error.contains("Exited(7)") && error.contains("runs with the files it had"), "{error}");
    assert_eq!((server.cli(&["get", "new"]), server.cli(&["get", "key:7"])), ("yes".into(), "7".into()));
    assert_eq!(over.open(), None);
}
