//! Redis: a copy beside the live server, handed over by replication, and back.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mayday::config::{MaybeSecret, RedisBy, RedisRestore, Restore};
use mayday::domain::run::{Checked, SideRole, Work};

use crate::kit::{Desk, check, restore_of, test_of};
use crate::support::{Redis, wait_until};

/// The restore of a server, everything else by default.
pub fn restore(url: String) -> RedisRestore {
    RedisRestore {
        url: MaybeSecret::Plain(url),
        password: None,
        directory: None,
        user: None,
        must_exist: Vec::new(),
        at_least: Default::default(),
        by: RedisBy::Replication,
        reachable_as: None,
        keys: Vec::new(),
        replace: false,
        cut_torn: false,
        extra_ca: Vec::new(),
        timeout: None,
    }
}

/// A desk for a server; the user of scratch servers may enter its folders.
pub fn desk(server: &Redis) -> Desk {
    let mut desk = Desk::new(Restore::Redis(Box::new(restore(server.url()))));
    std::fs::set_permissions(desk.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let side = desk.dir.path().join("side");
    configure(&mut desk, |r| r.directory = Some(side));
    desk
}

pub fn configure(desk: &mut Desk, change: impl FnOnce(&mut RedisRestore)) {
    desk.configure(|r| match r {
        Restore::Redis(r) => change(r),
        _ => panic!("no Redis"),
    });
}

/// Many keys in database 0, a few kinds of values, and two in database 3.
pub fn fill(server: &Redis, n: u32) {
    server.cli(&[
        "eval",
        "for i=1,tonumber(ARGV[1]) do redis.call('set','key:'..i,i) end
         for i=1,50 do redis.call('rpush','list',i) redis.call('hset','hash',i,i) redis.call('zadd','zset',i,i) end
         redis.call('set','session:1','one','ex',5000) redis.call('set','session:2','two')",
        "0",
        &n.to_string(),
    ]);
    server.cli(&["-n", "3", "mset", "flag:a", "1", "flag:b", "2"]);
}

/// A copy of what the server has now.
pub fn save(server: &Redis, desk: &mut Desk, name: &str) -> String {
    server.cli(&["save"]);
    std::fs::copy(server.dir().join("dump.rdb"), desk.copy_path(name)).unwrap();
    std::fs::remove_file(server.dir().join("dump.rdb")).unwrap();
    desk.list(name);
    name.to_owned()
}

fn get(server: &Redis, key: &str) -> String {
    server.cli(&["get", key])
}

/// Names of what lies in the folder of scratch servers.
pub fn beside(desk: &Desk) -> Vec<String> {
    let found = std::fs::read_dir(desk.dir.path().join("side")).into_iter().flatten().flatten();
    found.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

/// Scratch servers that run for this desk.
pub fn servers(desk: &Desk) -> usize {
    working_in(&desk.dir.path().join("side")).len()
}

/// Processes whose working folder is below `dir`: servers write over their own command line.
fn working_in(dir: &Path) -> Vec<i32> {
    let here = |pid: &i32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
    crate::support::guard::all_pids().into_iter().filter(here).collect()
}

/// Ends what a test left running, also when it fails.
pub struct Sweep(pub std::path::PathBuf);

impl Drop for Sweep {
    fn drop(&mut self) {
        for pid in working_in(&self.0) {
            // SAFETY: a plain system call on a process that names this test's own folder.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    }
}

pub fn sweep(desk: &Desk) -> Sweep {
    Sweep(desk.dir.path().join("side"))
}

#[test]
fn beside_then_over_and_back() {
    let server = Redis::start(&["--requirepass", "of the live one", "--appendonly", "no"]);
    let mut desk = desk(&server);
    let _sweep = sweep(&desk);
    configure(&mut desk, |r| {
        r.password = Some(mayday::config::SecretRef::Literal("of the live one".into()));
        r.must_exist = vec!["session:2".into()];
        r.at_least = [("key:*".to_owned(), 20_000), ("*".to_owned(), 20_007)].into();
    });
    fill(&server, 20_000);
    server.cli(&["set", "old", "yes"]);
    let copy = save(&server, &mut desk, "good.rdb");
    server.cli(&["del", "old", "key:1"]);
    server.cli(&["set", "new", "yes"]);

    let planned = desk.plan(&restore_of(&copy));
    for name in
        ["copy readable", "live server", "memory", "live memory", "disk", "name free", "user", "tool redis-server"]
    {
        assert_eq!(check(&planned.plan, name).0, Checked::Passed, "{name}: {}", check(&planned.plan, name).1);
    }
    assert!(planned.plan.data_lost_ms.is_some_and(|ms| ms >= 7_200_000));
    assert!(!serde_json::to_string(&planned.plan).unwrap().contains("of the live one"), "a secret in the plan");
    let restored = desk.execute(planned);
    let said = restored.verified();
    assert!(said.contains("20008 keys (db0 20006, db3 2)") && said.contains("3 checks hold"), "{said}");
    assert!(restored.output().contains("live has 20007 keys"), "{}", restored.output());
    assert!(restored.sink.told.lock().unwrap().progress.iter().any(|(_, _, what)| what.contains("copy")));
    assert_eq!(restored.open(), None);
    assert_eq!((restored.side().role, restored.side().kind.as_str()), (SideRole::Ready, "redis"));
    assert_eq!((get(&server, "new"), get(&server, "old")), ("yes".into(), String::new()), "live was touched");
    assert_eq!(servers(&desk), 1);
    // Nobody enters it without its password, and what it is started with shows none.
    let note = std::fs::read_to_string(Path::new(&restored.side().name).join("side.json")).unwrap();
    let port = serde_json::from_str::<serde_json::Value>(&note).unwrap()["port"].as_u64().unwrap().to_string();
    let stranger = std::process::Command::new("redis-cli").args(["-p", &port, "dbsize"]).output().unwrap();
    assert!(String::from_utf8_lossy(&stranger.stdout).contains("NOAUTH"));

    server.cli(&["set", "later", "written between the two steps"]);
    let over = desk.run(&Work::CutOver { of: restored.id.clone() });
    let said = over.verified();
    assert!(said.contains("has 20008 keys") && said.contains("writes were held or refused for"), "{said}");
    assert_eq!(
        (get(&server, "old"), get(&server, "later"), get(&server, "new")),
        ("yes".into(), String::new(), String::new())
    );
    let ttl: i64 = server.cli(&["ttl", "session:1"]).parse().unwrap();
    assert!((4000..=5000).contains(&ttl), "{ttl}");
    assert_eq!(server.cli(&["-n", "3", "dbsize"]), "2");
    assert!(server.cli(&["info", "replication"]).contains("role:master"));
    for (setting, value) in [("masterauth", ""), ("repl-diskless-sync-delay", "5"), ("replica-read-only", "yes")] {
        assert_eq!(server.cli(&["config", "get", setting]), format!("{setting}\n{value}").trim_end(), "{setting}");
    }
    assert_eq!(servers(&desk), 0, "the scratch server has done its work");
    assert_eq!(over.side().role, SideRole::Before);
    assert_eq!(over.open(), None);

    server.cli(&["set", "after", "the cut-over"]);
    let undone = desk.run(&Work::Undo { of: over.id.clone() });
    assert!(undone.verified().contains("has 20008 keys"), "{}", undone.verified());
    let now: Vec<String> = ["later", "new", "old", "after"].iter().map(|k| get(&server, k)).collect();
    assert_eq!(now, ["written between the two steps", "yes", "", ""], "not as it was before the cut-over");
    assert_eq!(undone.side().role, SideRole::Abandoned);

    let kept = desk.run(&Work::Drop { of: undone.id });
    kept.verified();
    assert_eq!((beside(&desk), servers(&desk)), (Vec::<String>::new(), 0));
}

#[test]
fn a_test_leaves_nothing_and_drop_ends_the_server() {
    let server = Redis::start(&[]);
    let mut desk = desk(&server);
    let _sweep = sweep(&desk);
    fill(&server, 100);
    let copy = save(&server, &mut desk, "good.rdb");
    let said = desk.run(&test_of(&copy)).verified();
    assert!(said.contains("proven"), "{said}");
    assert_eq!((beside(&desk), servers(&desk)), (Vec::<String>::new(), 0));

    let restored = desk.run(&restore_of(&copy));
    restored.verified();
    assert_eq!(servers(&desk), 1);
    let dropped = desk.plan(&Work::Drop { of: restored.id.clone() });
    assert_eq!(dropped.plan.risk, mayday::domain::run::Risk::Disruptive);
    desk.execute(dropped).verified();
    assert_eq!((beside(&desk), servers(&desk)), (Vec::<String>::new(), 0));
    assert_eq!(server.cli(&["dbsize"]), "105");
}

#[test]
fn packed_copies_and_append_only_ones_are_loaded() {
    let server = Redis::start(&["--appendonly", "yes"]);
    let mut desk = desk(&server);
    let _sweep = sweep(&desk);
    fill(&server, 500);
    let plain = save(&server, &mut desk, "good.rdb");
    let bytes = std::fs::read(desk.copy_path(&plain)).unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gz, &bytes).unwrap();
    std::fs::write(desk.copy_path("good.rdb.gz"), gz.finish().unwrap()).unwrap();
    std::fs::write(desk.copy_path("good.rdb.zst"), zstd::encode_all(&bytes[..], 1).unwrap()).unwrap();
    // The folder in parts: a base, and what came after it; and that as one file.
    server.cli(&["bgrewriteaof"]);
    wait_until("the rewrite ends", crate::support::PATIENCE, || {
        let info = server.cli(&["info", "persistence"]);
        info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
    });
    server.cli(&["set", "tail", "yes"]);
    let parts = server.dir().join("appendonlydir");
    let to = desk.copy_path("parts");
    std::fs::create_dir(&to).unwrap();
    let mut whole = Vec::new();
    let mut names: Vec<_> = std::fs::read_dir(&parts).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    for path in names {
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        if path.extension().is_some_and(|e| e == "rdb" || e == "aof") {
            whole.extend(std::fs::read(&path).unwrap());
        }
    }
    std::fs::write(desk.copy_path("one.aof"), whole).unwrap();

    for (name, keys) in [("good.rdb.gz", 507), ("good.rdb.zst", 507), ("parts", 508), ("one.aof", 508)] {
        desk.list(name);
        let restored = desk.run(&restore_of(name));
        let said = restored.verified();
        assert!(said.contains(&format!("{keys} keys (db0 {}, db3 2)", keys - 2)), "{name}: {said}");
        let files: Vec<String> = std::fs::read_dir(restored.side().name)
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        assert!(
            files.contains(&"dump.rdb".to_owned()) && !files.iter().any(|f| f.contains("aof") || f.contains("append")),
            "{files:?}"
        );
        desk.run(&Work::Drop { of: restored.id }).verified();
    }
    // The live one has an append-only file of its own: after the cut-over it holds the new data, also when it is started
    // again.
    let restored = desk.run(&restore_of("good.rdb.gz"));
    let over = desk.run(&Work::CutOver { of: restored.id });
    assert!(over.verified().contains("append-only file was written anew"), "{}", over.verified());
    server.cli(&["set", "behind", "yes"]);
    server.stop();
    server.start_again();
    wait_until("it has loaded", crate::support::PATIENCE, || server.cli(&["dbsize"]) == "506");
    assert_eq!((get(&server, "behind"), get(&server, "tail")), ("yes".into(), String::new()));
}

#[test]
fn clients_see_held_writes_and_for_a_moment_readonly_or_loading() {
    let server = Arc::new(Redis::start(&[]));
    let mut desk = desk(&server);
    let _sweep = sweep(&desk);
    fill(&server, 50_000);
    let copy = save(&server, &mut desk, "good.rdb");
    let restored = desk.run(&restore_of(&copy));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = ["get key:7", "set w 1", "incr n", "get session:2"]
        .into_iter()
        .map(|command| {
            let (stop, server) = (stop.clone(), server.clone());
            std::thread::spawn(move || {
                use std::io::{BufRead, Write};
                let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).unwrap();
                let mut from = std::io::BufReader::new(stream.try_clone().unwrap());
                let (mut answers, mut odd) = (0u64, Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
                    let mut line = String::new();
                    from.read_line(&mut line).unwrap();
                    if line.starts_with('$') && line.trim() != "$-1" {
                        from.read_line(&mut String::new()).unwrap();
                    }
                    answers += 1;
                    let fine = !line.starts_with('-') || line.starts_with("-READONLY") || line.starts_with("-LOADING");
                    if !fine || line.is_empty() {
                        odd.push(line);
                    }
                }
                (answers, odd)
            })
        })
        .collect();
    let over = desk.run(&Work::CutOver { of: restored.id });
    over.verified();
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        let (answers, odd) = client.join().unwrap();
        assert!(answers > 0 && odd.is_empty(), "{answers} answers, {odd:?}");
    }
    // Whoever wrote before it is in what was kept: nothing was lost between fetching it and the hand-over.
    let n: i64 = get(&server, "n").parse().unwrap_or(0);
    let before_undo = desk.run(&Work::Undo { of: over.id });
    before_undo.verified();
    assert!(get(&server, "n").parse::<i64>().unwrap() > 0, "the writes of before are gone ({n} since)");
}

#[test]
fn a_scratch_server_that_was_ended_is_started_again() {
    let server = Redis::start(&[]);
    let mut desk = desk(&server);
    let _sweep = sweep(&desk);
    fill(&server, 300);
    let copy = save(&server, &mut desk, "good.rdb");
    let restored = desk.run(&restore_of(&copy));
    drop(sweep(&desk));
    wait_until("it is gone", crate::support::PATIENCE, || servers(&desk) == 0);
    server.cli(&["flushall"]);
    let planned = desk.plan(&Work::CutOver { of: restored.id.clone() });
    assert_eq!(check(&planned.plan, "scratch server").0, Checked::Warned);
    desk.execute(planned).verified();
    assert_eq!(server.cli(&["dbsize"]), "305");
}
