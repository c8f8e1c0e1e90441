//! Over a real sshd: the connection dies within a restore, the restore does not; an engine outlives the login.

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use support::{Cockpit, PATIENCE, Pty, Sshd, wait_for_some, wait_until};

/// A restore that goes on until `HOME/go` is there, and one whose end is contradicted.
const CONFIG: &str = r#"
[system]
name = "shop"
[[service]]
name = "web"
tier = 2
[[service.exec]]
run = ["test", "-e", "HOME/documents/a.txt"]
every = "1s"
timeout = "900ms"
[[backup]]
name = "documents"
service = "web"
rpo = "26h"
every = "24h"
files = { path = "HOME/backups", pattern = "*.tar", settle = "10ms" }
[backup.restore.folder]
path = "HOME/documents"
strip = 1
verify = [["sh", "-c", "echo waiting; until test -e HOME/go; do sleep 0.05; done; grep -q 'as it was' {side}/a.txt"]]
"#;

fn shop() -> Cockpit {
    let shop = Cockpit::new(CONFIG);
    for folder in ["backups", "documents"] {
        std::fs::create_dir(shop.path(folder)).unwrap();
    }
    std::fs::write(shop.path("documents/a.txt"), "as it was").unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-cf").arg(shop.path("backups/one.tar")).arg("-C").arg(shop.home.path()).arg("documents");
    assert!(tar.status().unwrap().success());
    std::fs::write(shop.path("documents/a.txt"), "spoilt").unwrap();
    shop
}

/// An ssh client in the home's environment, which the server passes on.
fn ssh(shop: &Cockpit, sshd: &Sshd, options: &[&str], args: &[&str]) -> Command {
    let argv = sshd.ssh_argv();
    let mut command = shop.home.command(&argv[0]);
    command.args(&argv[1..]).args(options).arg("--");
    command.arg(support::home::mayday_binary()).args(args).stdin(Stdio::null());
    command
}

fn words(shop: &Cockpit, sshd: &Sshd, args: &[&str]) -> (i32, String) {
    let output = ssh(shop, sshd, &[], args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

fn alive(pid: i32) -> bool {
    mayday::sys::proc::pid_start_time(pid).is_some_and(|start| mayday::sys::proc::is_alive(pid, start))
}

#[test]
fn the_connection_is_cut_within_a_restore_and_the_restore_finishes() {
    for terminal in [true, false] {
        let (shop, sshd) = (shop(), Sshd::start());
        let args = ["restore", "documents", "--yes", "--wait"];
        wait_until("the copy is seen", PATIENCE, || shop.run(&["restore", "documents", "--plan"]).code == 0);
        shop.run(&["engine", "stop"]).ok();
        // The login starts the engine too: all of it hangs on this connection, or does not.
        let mut pty = None;
        let mut child = None;
        if terminal {
            let mut argv = sshd.ssh_argv();
            argv.push("-tt".into());
            argv.push("--".into());
            argv.push(support::home::mayday_binary().display().to_string());
            argv.extend(args.iter().map(|a| (*a).to_owned()));
            pty = Some(Pty::spawn(&argv, &shop.home.env(), &shop.home.work(), 100, 30));
        } else {
            let mut command = ssh(&shop, &sshd, &[], &args);
            child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        }
        let run = wait_for_some("the restore waits in its verification", PATIENCE, || {
            let ran = shop.run(&["runs", "--json"]);
            let id = ran.json()[0]["id"].as_str()?.to_owned();
            shop.run(&["runs", "show", &id]).out.contains("waiting").then_some(id)
        });
        let engine = shop.engine_pid().unwrap();
        sshd.cut_connections();
        match (&mut pty, &mut child) {
            (Some(pty), _) => assert_ne!(pty.wait_exit(PATIENCE).code, 0),
            (_, Some(child)) => assert!(!child.wait().unwrap().success()),
            _ => unreachable!(),
        }
        assert!(alive(engine), "the engine outlives the login that started it");
        // What a runner writes is there to be read before the engine has looked at the runner again.
        wait_until("it is known to run, and goes on", PATIENCE, || {
            let shown = shop.run(&["runs", "show", &run, "--json"]).json();
            assert!(matches!(shown["state"].as_str(), Some("requested" | "running")), "{shown:#}");
            shown["state"] == "running"
        });
        std::fs::write(shop.path("go"), "").unwrap();
        let end = shop.finished(&run, PATIENCE);
        assert_eq!(end["state"], "succeeded", "{end:#}");
        // The second login sees what became of it.
        let (code, text) = words(&shop, &sshd, &["runs", "show", &run]);
        assert!(text.contains("succeeded"), "{text}");
        let verdict = end["verdict"].as_str().unwrap();
        assert_eq!(code, if verdict == "verified" { 0 } else { 5 }, "{text}");
        assert!(text.to_lowercase().contains(verdict), "{text}");
        assert_eq!(std::fs::read_to_string(shop.path("documents/a.txt")).unwrap(), "spoilt");
        let (_, entry) = words(&shop, &sshd, &["journal", "tail", "-n", "50", "--json"]);
        let requested = entry.lines().find(|l| l.contains("\"run.requested\"")).expect("the request is on record");
        assert!(requested.contains("127.0.0.1"), "where the login came from is noted: {requested}");
        shop.verify();
    }
}

#[test]
fn a_restore_that_fails_after_the_cut_is_shown_as_failed() {
    let (shop, sshd) = (shop(), Sshd::start());
    wait_until("the copy is seen", PATIENCE, || shop.run(&["restore", "documents", "--plan"]).code == 0);
    let mut command = ssh(&shop, &sshd, &[], &["restore", "documents", "--yes", "--wait"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (run, side) = wait_for_some("the restore waits in its verification", PATIENCE, || {
        let ran = shop.run(&["runs", "--json"]);
        let id = ran.json()[0]["id"].as_str()?.to_owned();
        let waiting = shop.run(&["runs", "show", &id]).out.contains("waiting");
        let mut beside = std::fs::read_dir(shop.home.path()).unwrap().flatten().map(|e| e.path());
        let side = beside.find(|p| p.join("a.txt").is_file() && !p.ends_with("documents"));
        waiting.then_some((id, side))
    });
    sshd.cut_connections();
    child.wait().unwrap();
    match side {
        Some(side) => std::fs::write(side.join("a.txt"), "something else").unwrap(),
        None => panic!("the side copy was not found beside the folder"),
    }
    std::fs::write(shop.path("go"), "").unwrap();
    let end = shop.finished(&run, PATIENCE);
    let (code, text) = words(&shop, &sshd, &["runs", "show", &run]);
    assert!(matches!(code, 1 | 4), "{code}: {text} {end:#}");
    assert_eq!(std::fs::read_to_string(shop.path("documents/a.txt")).unwrap(), "spoilt", "live data untouched");
}

#[test]
fn an_engine_started_over_ssh_survives_the_logout() {
    let shop = shop();
    let engine = {
        let sshd = Sshd::start();
        let output = ssh(&shop, &sshd, &["-tt"], &["note", "from", "afar"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let engine = shop.engine_pid().expect("an engine");
        assert!(alive(engine));
        // Nothing of it holds the login open: a plain login that starts one ends by itself.
        shop.run(&["engine", "stop"]).ok();
        let mut login = ssh(&shop, &sshd, &[], &["note", "again"]);
        let mut login = login.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("the login ends although its engine goes on", Duration::from_secs(30), || {
            login.try_wait().unwrap().is_some()
        });
        shop.engine_pid().expect("an engine")
    };
    // sshd is gone with everything that was its own.
    assert!(alive(engine));
    let entries = shop.entries();
    for text in ["from afar", "again"] {
        assert!(entries.iter().any(|e| e["payload"]["text"] == text), "{text}");
    }
    assert_eq!(shop.engine_pid(), Some(engine));
}
