//! The engine and its places: one instance, stale sockets, folders that cannot be used.

use std::os::unix::fs::PermissionsExt;

use super::support::{Cockpit, Home, PATIENCE, cockpit, port_open, wait_until};

const CONFIG: &str = "[system]\nname = \"shop\"\n";

#[test]
fn start_stop_and_status() {
    let shop = Cockpit::new(CONFIG);
    shop.run(&["engine", "status"]).expect(1).says(&["no engine runs", "mayday engine start"]);
    shop.run(&["engine", "stop"]).expect(1).says(&["no engine runs"]);
    shop.start();
    let pid = shop.engine_pid().unwrap();
    let again = shop.run(&["engine", "start"]).ok();
    assert!(again.out.contains("already"), "{}", again.out);
    assert_eq!(shop.engine_pid(), Some(pid));
    let status = shop.run(&["engine", "status"]).ok().out;
    assert!(status.contains(&pid.to_string()) && status.contains("recording"), "{status}");
    let json = shop.run(&["engine", "status", "--json"]).ok().json();
    assert_eq!(json["pid"].as_i64(), Some(i64::from(pid)));
    shop.run(&["engine", "reload"]).ok();
    let second = shop.run(&["engine", "run"]).expect(3);
    assert!(second.err.contains("runs already") && second.err.contains(&pid.to_string()), "{}", second.err);
    shop.run(&["engine", "stop"]).ok();
    assert!(shop.engine_pid().is_none());
    assert!(
        !std::path::Path::new(&format!("/proc/{pid}/exe")).exists() || super::support::guard::all_pids().contains(&pid)
    );
    shop.verify();
}

#[test]
fn twenty_at_once_start_one_engine() {
    let shop = Cockpit::new(CONFIG);
    let seqs: Vec<u64> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..20)
            .map(|n| {
                let shop = &shop;
                scope.spawn(move || shop.run(&["note", &format!("from {n}")]).ok().line().parse().unwrap())
            })
            .collect();
        all.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let mut unique = seqs.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), 20, "{seqs:?}");
    let started = shop.entries().iter().filter(|e| e["kind"] == "engine.started").count();
    assert_eq!(started, 1);
    shop.verify();
}

#[test]
fn a_killed_engine_leaves_nothing_that_stands_in_the_way() {
    let shop = Cockpit::new(CONFIG);
    shop.start();
    shop.kill_engine();
    assert!(shop.engine_pid().is_some(), "its file is still there");
    shop.run(&["engine", "status"]).expect(1).says(&["is gone"]);
    shop.run(&["note", "carries on"]).ok();
    // Its number may belong to anybody by now: a stale file naming a living process changes nothing.
    shop.run(&["engine", "stop"]).ok();
    let file = serde_json::json!({ "pid": 1, "version": "0.0.1", "protocol": 1, "socket": shop.path("run/none.sock") });
    std::fs::write(shop.state().join("engine.json"), file.to_string()).unwrap();
    shop.run(&["note", "still carries on"]).ok();
    // Nor does rubbish in it.
    shop.run(&["engine", "stop"]).ok();
    std::fs::write(shop.state().join("engine.json"), "{\"pid\":").unwrap();
    let ran = shop.run(&["note", "and on"]);
    assert!(ran.code == 0 || ran.err.contains("engine.json"), "{ran:#?}");
    shop.verify();
}

#[test]
fn folders_that_cannot_be_used_are_told_plainly() {
    let shop = Cockpit::new(CONFIG);
    let at = |dir: &str, words: &[&str]| {
        let ran = shop.run(&["note", "x", "--state-dir", dir]);
        assert_eq!(ran.code, 1, "{ran:#?}");
        for word in words {
            assert!(ran.err.contains(word), "{word}: {}", ran.err);
        }
    };
    at("/proc/mayday", &["/proc/mayday", "state directory"]);
    let file = shop.path("a-file");
    std::fs::write(&file, "").unwrap();
    at(file.to_str().unwrap(), &["a-file"]);
    let open = shop.path("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o777)).unwrap();
    at(open.to_str().unwrap(), &["chmod o-w"]);
    // Too long for a socket in it, and no other place for one.
    let long = shop.path(&"x".repeat(150));
    let mut command = shop.command(&["note", "x"]);
    command.env("MAYDAY_STATE_DIR", &long).env_remove("XDG_RUNTIME_DIR");
    cockpit::run(command).expect(1).says(&["107", "XDG_RUNTIME_DIR"]);
    // With a runtime folder it works all the same.
    let mut command = shop.command(&["note", "x"]);
    command.env("MAYDAY_STATE_DIR", &long);
    cockpit::run(command).ok();
}

#[test]
fn the_state_directory_is_private() {
    let shop = Cockpit::new(CONFIG);
    shop.run(&["incident", "declare", "x"]).ok();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&shop.state()), 0o700);
    let mut folders = vec![shop.state()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            assert_eq!(mode(&entry.path()) & 0o007, 0, "{}", entry.path().display());
        }
    }
}

#[test]
fn in_the_foreground_it_ends_on_term_and_tells_the_service_manager() {
    let shop = Cockpit::new(CONFIG);
    let socket = shop.path("run/notify.sock");
    let manager = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = shop.command(&["engine", "run"]);
    command.env("NOTIFY_SOCKET", &socket).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    let mut buffer = [0; 4096];
    let mut until = |word: &str| {
        while !said.contains(word) {
            let n = manager.recv(&mut buffer).unwrap_or_else(|e| panic!("{word} was not told ({e}): {said}"));
            said.push_str(&String::from_utf8_lossy(&buffer[..n]));
            said.push('\n');
        }
    };
    until("READY=1");
    shop.run(&["note", "to the service"]).ok();
    // SAFETY: a plain system call on a child that is not reaped yet.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    until("STOPPING=1");
    let mut status = None;
    wait_until("it ends", PATIENCE, || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0));
    assert!(shop.engine_pid().is_none(), "its file is gone");
}

#[test]
fn the_sandbox_comes_and_goes() {
    let home = Home::new();
    let mut command = home.mayday(&["demo", "--no-screen", "--no-servers"]);
    command.env("TMPDIR", home.path()).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::null());
    let mut demo = command.spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(demo.stdout.take().unwrap()), &mut line).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let (config, state) = (words[2].to_owned(), words[4].to_owned());
    let run = |args: &[&str]| {
        let mut command = home.mayday(args);
        command.args(["--config", &config, "--state-dir", &state]);
        cockpit::run(command)
    };
    wait_until("all is up", PATIENCE, || run(&["status"]).code == 0);
    run(&["act", "break: kill-api", "--yes", "--wait"]);
    let broken = run(&["runs"]).ok().out;
    wait_until(&format!("the fault is seen: {broken}"), PATIENCE, || run(&["status"]).code == 2);
    run(&["restart", "api", "--yes", "--wait"]).ok();
    wait_until("it is mended", PATIENCE, || run(&["status"]).code == 0);
    let port: u16 = std::fs::read_to_string(&config)
        .unwrap()
        .lines()
        .find_map(|l| l.strip_prefix("url = \"http://127.0.0.1:")?.split('/').next()?.parse().ok())
        .unwrap();
    assert!(port_open(port));
    drop(demo.stdin.take());
    demo.wait().unwrap();
    wait_until("its folder is gone", PATIENCE, || !std::path::Path::new(&state).exists());
    assert!(!port_open(port), "its services are gone");
}
