//! Redis: copies, servers and runs that are not as they should be.

use mayday::config::SecretRef;
use mayday::domain::run::{Checked, Work};
use tokio_util::sync::CancellationToken;

use crate::kit::{Desk, check, killed_at, restore_of};
use crate::redis::{beside, configure, desk, fill, save, servers, sweep};
use crate::support::{PATIENCE, Redis, wait_until};

/// The precondition fails and says this; nothing else is looked at.
#[track_caller]
fn refused(desk: &mut Desk, work: &Work, name: &str, words: &[&str]) {
    let planned = desk.plan(work);
    let (result, said) = check(&planned.plan, name);
    assert_eq!(result, Checked::Failed, "{name}: {said}");
    for word in words {
        assert!(said.contains(word), "{name}: {said}");
    }
}

#[test]
fn copies_that_are_none() {
    let server = Redis::start(&[]);
    let mut desk = desk(&server);
    fill(&server, 2000);
    let copy = save(&server, &mut desk, "good.rdb");
    let good = std::fs::read(desk.copy_path(&copy)).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let mut newer = good.clone();
    newer[5..9].copy_from_slice(b"0099");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gz, &good).unwrap();
    let gz = gz.finish().unwrap();
    for (name, bytes, words) in [
        ("cut.rdb", &good[..good.len() / 2], "cut off"),
        ("cut-at-end.rdb", &good[..good.len() - 1], "choose another copy"),
        ("flipped.rdb", &flipped[..], "checksum does not fit"),
        ("newer.rdb", &newer[..], "reads them up to version 10"),
        ("cut.rdb.gz", &gz[..gz.len() / 2], "cut off"),
        ("empty.rdb", &[][..], "is empty"),
        ("text.rdb", &b"hello world"[..], "neither an RDB file nor an append-only file"),
    ] {
        std::fs::write(desk.copy_path(name), bytes).unwrap();
        desk.list(name);
        refused(&mut desk, &restore_of(name), "copy readable", &[words]);
        // And when it is run all the same, it fails before anything is made or takes away what it made.
        let planned = desk.plan(&restore_of(name));
        let ended = desk.execute(planned);
        assert!(ended.error().len() > 20 && ended.open().is_none(), "{name}: {}", ended.error());
        assert_eq!((beside(&desk), servers(&desk)), (Vec::new(), 0), "{name}");
    }
    std::fs::create_dir(desk.copy_path("folder")).unwrap();
    desk.list("folder");
    refused(&mut desk, &restore_of("folder"), "copy readable", &["no manifest"]);
    let hostile = "file ../../etc/passwd seq 1 type b\n";
    std::fs::write(desk.copy_path("folder").join("appendonly.aof.manifest"), hostile).unwrap();
    refused(&mut desk, &restore_of("folder"), "copy readable", &["not understood"]);
}

#[test]
fn a_torn_append_only_file_is_cut_when_it_is_said_so() {
    let server = Redis::start(&["--appendonly", "yes", "--aof-use-rdb-preamble", "no"]);
    let mut desk = desk(&server);
    let _sweep = sweep(&desk);
    fill(&server, 10);
    for n in 0..30 {
        server.cli(&["set", &format!("plain:{n}"), "1"]);
    }
    let mut bytes = std::fs::read(server.dir().join("appendonlydir/appendonly.aof.1.incr.aof")).unwrap();
    bytes.truncate(bytes.len() - 5);
    std::fs::write(desk.copy_path("torn.aof"), &bytes).unwrap();
    desk.list("torn.aof");
    refused(
        &mut desk,
        &restore_of("torn.aof"),
        "copy readable",
        &["ends within a command", "the last", "cut_torn = true"],
    );
    configure(&mut desk, |r| r.cut_torn = true);
    let planned = desk.plan(&restore_of("torn.aof"));
    assert_eq!(check(&planned.plan, "copy readable").0, Checked::Warned);
    let restored = desk.execute(planned);
    let keys = format!("{} keys", 10 + 5 + 2 + 29);
    assert!(restored.verified().contains(&keys), "{}", restored.verified());
    assert!(restored.output().contains("its torn end was cut off"), "{}", restored.output());
    assert_eq!(std::fs::read(desk.copy_path("torn.aof")).unwrap(), bytes, "the copy itself was changed");
    // Damage that is not at the end is not a torn end.
    let mut damaged = bytes.clone();
    damaged[3] = b'x';
    std::fs::write(desk.copy_path("damaged.aof"), &damaged).unwrap();
    desk.list("damaged.aof");
    refused(&mut desk, &restore_of("damaged.aof"), "copy readable", &["damaged", "choose another copy"]);
}

#[test]
fn servers_that_cannot_be_cut_over_say_why() {
    let password = |p: &str| Some(SecretRef::Literal(p.to_owned().into()));
    let source = Redis::start(&[]);
    fill(&source, 10);

    let locked = Redis::start(&["--requirepass", "right"]);
    let mut at = desk(&locked);
    let _sweep = sweep(&at);
    let copy = save(&source, &mut at, "good.rdb");
    let planned = at.plan(&restore_of(&copy));
    let (result, said) = check(&planned.plan, "live server");
    assert!(result == Checked::Warned && said.contains("NOAUTH") && said.contains("set `password`"), "{said}");
    configure(&mut at, |r| r.password = password("wrong"));
    let restored = at.run(&restore_of(&copy));
    refused(&mut at, &Work::CutOver { of: restored.id.clone() }, "live server", &["WRONGPASS", "correct `password`"]);
    configure(&mut at, |r| r.password = password("right"));
    at.run(&Work::CutOver { of: restored.id }).verified();
    assert_eq!(locked.cli(&["dbsize"]), "15");

    let cluster = Redis::start(&["--cluster-enabled", "yes"]);
    let mut at = desk(&cluster);
    let copy = save(&source, &mut at, "good.rdb");
    refused(&mut at, &restore_of(&copy), "live server", &["node of a cluster", "by hand"]);

    let replica = Redis::start(&["--replicaof", "127.0.0.1", &source.port().to_string()]);
    let mut at = desk(&replica);
    let copy = save(&source, &mut at, "good.rdb");
    let master = format!("replica of 127.0.0.1:{}", source.port());
    refused(&mut at, &restore_of(&copy), "live server", &[&master, "name that one in `url`"]);
    drop(replica);

    let conf = crate::support::scratch();
    let file = conf.path().join("sentinel.conf");
    let watched = Redis::start(&[]);
    std::fs::write(&file, format!("sentinel monitor main 127.0.0.1 {} 1\n", watched.port())).unwrap();
    let port = crate::support::free_port();
    let mut sentinel = std::process::Command::new(crate::support::program("redis-server", "redis-server"));
    sentinel.arg(&file).args(["--port", &port.to_string(), "--sentinel"]);
    let mut sentinel = crate::support::guard::start(sentinel, "redis-sentinel", &conf.path().join("log"));
    sentinel.wait_ready(PATIENCE, || crate::support::port_open(port));
    configure(&mut at, |r| r.url = mayday::config::MaybeSecret::Plain(format!("redis://127.0.0.1:{port}")));
    refused(&mut at, &restore_of(&copy), "live server", &["is a Sentinel", "name the server that it watches"]);

    wait_until("it watches", PATIENCE, || watched.cli(&["client", "list"]).contains("name=sentinel-"));
    let mut watched_at = desk(&watched);
    let _swept = sweep(&watched_at);
    let copy2 = save(&source, &mut watched_at, "good.rdb");
    let restored = watched_at.run(&restore_of(&copy2));
    refused(
        &mut watched_at,
        &Work::CutOver { of: restored.id },
        "hand-over",
        &["watched by Sentinel", "by = \"file\""],
    );

    configure(&mut at, |r| r.url = mayday::config::MaybeSecret::Plain("redis://127.0.0.1:1".into()));
    let planned = at.plan(&restore_of(&copy));
    assert_eq!(check(&planned.plan, "live server").0, Checked::Warned, "a copy can be looked at without it");
}

#[test]
fn a_server_that_loads_is_waited_for_by_people() {
    let source = Redis::start(&[]);
    fill(&source, 5000);
    let slow = Redis::start(&["--loading-process-events-interval-bytes", "1024", "--key-load-delay", "2000"]);
    let mut desk = desk(&slow);
    let copy = save(&source, &mut desk, "good.rdb");
    slow.stop();
    std::fs::copy(desk.copy_path(&copy), slow.dir().join("dump.rdb")).unwrap();
    slow.start_again();
    refused(&mut desk, &restore_of(&copy), "live server", &["is loading its data", "wait until it has"]);
}

#[test]
fn what_does_not_fit_is_found_beside() {
    let server = Redis::start(&["--databases", "2"]);
    let source = Redis::start(&[]);
    let mut desk = desk(&server);
    fill(&source, 2000);
    let copy = save(&source, &mut desk, "good.rdb");
    let ended = desk.run(&restore_of(&copy));
    let error = ended.error();
    assert!(error.contains("raise `databases`") && error.contains("is untouched"), "{error}");
    assert_eq!((beside(&desk), servers(&desk)), (Vec::new(), 0));

    let small = Redis::start(&["--maxmemory", "900kb", "--maxmemory-policy", "noeviction"]);
    let mut at = crate::redis::desk(&small);
    let _sweep = sweep(&at);
    let copy = save(&source, &mut at, "good.rdb");
    let planned = at.plan(&restore_of(&copy));
    assert_eq!(check(&planned.plan, "live memory").0, Checked::Warned);
    let restored = at.run(&restore_of(&copy));
    refused(&mut at, &Work::CutOver { of: restored.id }, "live memory", &["raise `maxmemory`"]);

    configure(&mut at, |r| r.must_exist = vec!["nobody".into()]);
    let ended = at.run(&restore_of(&copy));
    assert!(ended.error().contains("there is no key nobody in database 0"), "{}", ended.error());
    configure(&mut at, |r| {
        r.must_exist.clear();
        r.at_least = [("key:*".to_owned(), 2001)].into();
    });
    let ended = at.run(&restore_of(&copy));
    assert!(ended.error().contains("2000 keys are like key:*, at least 2001"), "{}", ended.error());
    assert_eq!((beside(&at).len(), servers(&at)), (1, 1), "only the first one is left");
}

#[test]
fn a_server_started_again_since_the_plan_is_planned_anew() {
    let server = Redis::start(&[]);
    let mut desk = desk(&server);
    let _sweep = sweep(&desk);
    fill(&server, 10);
    let copy = save(&server, &mut desk, "good.rdb");
    let restored = desk.run(&restore_of(&copy));
    let planned = desk.plan(&Work::CutOver { of: restored.id.clone() });
    server.kill();
    server.start_again();
    server.cli(&["set", "other", "1"]);
    let ended = desk.execute(planned);
    assert!(ended.error().contains("plan anew") && ended.open().is_none(), "{}", ended.error());
    assert_eq!(server.cli(&["dbsize"]), "1");
}

/// Killed at every word of the way: the live server has what it had, or the new data whole, and its own settings.
#[test]
fn a_run_killed_anywhere_leaves_old_or_new() {
    let server = Redis::start(&["--requirepass", "x", "--repl-diskless-sync-delay", "7"]);
    let mut desk = desk(&server);
    let _sweep = sweep(&desk);
    configure(&mut desk, |r| r.password = Some(SecretRef::Literal("x".to_owned().into())));
    fill(&server, 30_000);
    let copy = save(&server, &mut desk, "good.rdb");
    for at in ["copying beside", "loaded 3"] {
        let planned = desk.plan(&restore_of(&copy));
        let open = killed_at(&desk, &planned, at).expect("something to take back");
        let (ctx, sink) = desk.op_context(&planned);
        desk.op(&open.op, &open.args, &ctx).unwrap();
        assert_eq!(
            (beside(&desk), servers(&desk), sink.told.lock().unwrap().open.clone()),
            (Vec::new(), 0, None),
            "{at}"
        );
    }
    // Nobody took this one back: the next restore does, after saying so.
    let planned = desk.plan(&restore_of(&copy));
    killed_at(&desk, &planned, "loaded 3").expect("something to take back");
    let planned = desk.plan(&restore_of(&copy));
    assert_eq!(check(&planned.plan, "leftovers").0, Checked::Warned);
    let restored = desk.execute(planned);
    restored.verified();
    assert_eq!((beside(&desk).len(), servers(&desk)), (1, 1));

    server.cli(&["flushall"]);
    server.cli(&["set", "new", "yes"]);
    let mut last = restored.id;
    for at in ["compensation opened", "kept 1 key"] {
        let planned = desk.plan(&Work::CutOver { of: last.clone() });
        let open = killed_at(&desk, &planned, at).expect("something to take back");
        let (ctx, sink) = desk.op_context(&planned);
        desk.op(&open.op, &open.args, &ctx).unwrap_or_else(|e| panic!("{at}: {e}"));
        let told = sink.told.lock().unwrap();
        let old = told.sides.is_empty();
        let now = (server.cli(&["dbsize"]), server.cli(&["get", "new"]));
        let wanted = if old { ("1", "yes") } else { ("30005", "") };
        assert_eq!((now.0.as_str(), now.1.as_str()), wanted, "{at}");
        assert!(server.cli(&["info", "replication"]).contains("role:master"), "{at}");
        for (setting, value) in [("masterauth", ""), ("repl-diskless-sync-delay", "7")] {
            assert_eq!(server.cli(&["config", "get", setting]), format!("{setting}\n{value}").trim_end(), "{at}");
        }
        assert_eq!(server.cli(&["set", "w", "1"]), "OK", "{at}: writes are still held or refused");
        server.cli(&["del", "w"]);
        assert_eq!(beside(&desk).len(), 1, "{at}: {:?}", beside(&desk));
        drop(told);
        if !old {
            // It was complete: begin anew.
            desk.note(&planned.plan, &Ok(Vec::new()), &sink, planned.plan.made_at);
            let undone = desk.run(&Work::Undo { of: planned.plan.id.clone() });
            undone.verified();
            desk.run(&Work::Drop { of: undone.id }).verified();
            last = desk.run(&restore_of(&copy)).id;
        }
    }
    assert_eq!(servers(&desk), 1);
}

#[test]
fn cancelled_on_the_way_or_out_of_reach_the_live_server_is_as_it_was() {
    let server = Redis::start(&[]);
    let mut desk = desk(&server);
    let _sweep = sweep(&desk);
    fill(&server, 1000);
    let copy = save(&server, &mut desk, "good.rdb");
    server.cli(&["set", "new", "yes"]);
    let restored = desk.run(&restore_of(&copy));
    for at in ["compensation opened", "keeping what is live", "kept "] {
        let planned = desk.plan(&Work::CutOver { of: restored.id.clone() });
        let ended = desk.execute_with(planned, CancellationToken::new(), move |text, cancel| {
            if text.contains(at) {
                cancel.cancel();
            }
        });
        assert_eq!(ended.error(), "cancelled", "{at}");
        assert_eq!(ended.open(), None, "{at}");
        assert_eq!(server.cli(&["get", "new"]), "yes", "{at}");
        assert_eq!(server.cli(&["set", "w", "1"]), "OK", "{at}");
        assert_eq!(beside(&desk).len(), 1, "{at}");
    }
    // An address under which the live server finds nobody.
    configure(&mut desk, |r| r.reachable_as = Some("127.0.0.77".into()));
    let ended = desk.run(&Work::CutOver { of: restored.id.clone() });
    let error = ended.error();
    assert!(
        error.contains("does not reach the scratch server at 127.0.0.77") && error.contains("reachable_as"),
        "{error}"
    );
    assert_eq!(server.cli(&["get", "new"]), "yes");
    wait_until("it is a master", PATIENCE, || server.cli(&["info", "replication"]).contains("role:master"));
    assert_eq!(ended.open(), None);
}

/// Every connection to the live server is cut in the middle, also the one by which it follows the scratch server: it has
/// what it had, or the new data whole, and takes writes.
#[test]
fn connections_that_are_cut_while_it_is_handed_over() {
    for at in ["compensation opened", "kept "] {
        let server = std::sync::Arc::new(Redis::start(&[]));
        let mut desk = desk(&server);
        let _sweep = sweep(&desk);
        fill(&server, 20_000);
        let copy = save(&server, &mut desk, "good.rdb");
        server.cli(&["flushall"]);
        server.cli(&["set", "new", "yes"]);
        let restored = desk.run(&restore_of(&copy));
        let planned = desk.plan(&Work::CutOver { of: restored.id.clone() });
        let (cut, once) = (server.clone(), std::sync::Once::new());
        let ended = desk.execute_with(planned, CancellationToken::new(), move |text, _| {
            if text.contains(at) {
                once.call_once(|| {
                    cut.cli(&["client", "kill", "type", "master"]);
                    cut.cli(&["client", "kill", "type", "normal", "skipme", "yes"]);
                });
            }
        });
        assert_eq!(ended.open(), None, "{at}: {}", ended.output());
        let now = (server.cli(&["dbsize"]), server.cli(&["get", "new"]));
        let wanted = if ended.result.is_ok() { ("20005", "") } else { ("1", "yes") };
        assert_eq!((now.0.as_str(), now.1.as_str()), wanted, "{at}: {}", ended.output());
        assert!(server.cli(&["info", "replication"]).contains("role:master"), "{at}");
        assert_eq!(server.cli(&["set", "w", "1"]), "OK", "{at}");
    }
}
