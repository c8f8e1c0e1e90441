//! An engine that dies between a request and its answer: the cockpit asks the next one, and what was wanted is done once.

use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mayday::wire::client::EngineFile;

use super::support::{Cockpit, PATIENCE, Pty};
use super::{leave, open, press_until_gone, shop};

fn signal(shop: &Cockpit, signal: i32) {
    let pid = shop.engine_pid().expect("an engine runs");
    // SAFETY: a plain system call on the engine of this test.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

fn count(shop: &Cockpit, kind: &str) -> usize {
    shop.entries().iter().filter(|e| e["kind"] == kind).count()
}

/// Opens a cockpit whose connection carries everything until the engine has answered the request that holds `asked`:
/// that answer is kept back, the engine killed, and the connection broken.
fn open_over_a_breaking_link(shop: &Cockpit, asked: &'static str) -> Pty {
    let mut file = EngineFile::read(&shop.state()).unwrap().unwrap();
    let engine = file.socket.clone();
    let between = shop.path("between.sock");
    let listener = UnixListener::bind(&between).unwrap();
    file.socket = between;
    let pid = i32::try_from(file.pid).unwrap();
    std::fs::write(shop.state().join(EngineFile::NAME), serde_json::to_vec(&file).unwrap()).unwrap();
    std::thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let far = UnixStream::connect(engine).unwrap();
        let wanted: Arc<Mutex<Option<String>>> = Arc::default();
        let (mut to_engine, from_client) = (far.try_clone().unwrap(), BufReader::new(client.try_clone().unwrap()));
        let mark = Arc::clone(&wanted);
        std::thread::spawn(move || {
            for line in from_client.lines().map_while(Result::ok) {
                if line.contains(asked) {
                    let request: serde_json::Value = serde_json::from_str(&line).unwrap();
                    *mark.lock().unwrap() = Some(format!("{{\"reply\":{{\"id\":{},", request["id"]));
                }
                if writeln!(to_engine, "{line}").is_err() {
                    return;
                }
            }
        });
        let mut to_client = client.try_clone().unwrap();
        for line in BufReader::new(far).lines().map_while(Result::ok) {
            let kept_back = wanted.lock().unwrap().clone();
            match kept_back {
                Some(reply) if line.starts_with(&reply) => {
                    assert!(line.contains("done"), "{line}");
                    // SAFETY: a plain system call on the engine of this test.
                    unsafe { libc::kill(pid, libc::SIGKILL) };
                    let _ = client.shutdown(Shutdown::Both);
                    return;
                }
                // Nothing of what it did gets through.
                Some(_) => {}
                None if writeln!(to_client, "{line}").is_err() => return,
                None => {}
            }
        }
    });
    open(shop, "DOWN     api")
}

#[test]
fn a_declaration_that_reached_nobody_is_made_by_the_next_engine() {
    let shop = shop("");
    let pty = open(&shop, "DOWN     api");
    signal(&shop, libc::SIGSTOP);
    pty.send("d");
    pty.wait_for("declare an incident");
    pty.send("\x15Checkout fails\r");
    pty.wait_for("waiting for the engine");
    shop.kill_engine();
    pty.wait_for("LINK LOST");
    pty.wait_for("waiting for the engine: declare");
    shop.start();
    pty.wait_for("declared INC-");
    pty.wait_gone("declare an incident");
    pty.wait_gone("waiting for the engine");
    let entries = shop.entries();
    let declared: Vec<_> = entries.iter().filter(|e| e["kind"] == "incident.declared").collect();
    assert_eq!(declared.len(), 1, "{declared:?}");
    assert_eq!(declared[0]["payload"]["title"].as_str().or(declared[0]["title"].as_str()), Some("Checkout fails"));
    leave(pty);
}

#[test]
fn what_was_done_before_the_engine_died_is_told_and_not_done_again() {
    let shop = shop("");
    let pty = open_over_a_breaking_link(&shop, "\"declare\"");
    pty.send("d");
    pty.wait_for("declare an incident");
    pty.send("\x15Checkout fails\r");
    pty.wait_for("LINK LOST");
    pty.wait_for("waiting for the engine: declare");
    shop.start();
    pty.wait_for("declared INC-");
    assert_eq!(count(&shop, "incident.declared"), 1);
    assert_eq!(count(&shop, "engine.started"), 2);
    leave(pty);
}

#[test]
fn a_start_whose_answer_was_lost_runs_once() {
    let shop = shop("");
    let pty = open_over_a_breaking_link(&shop, "\"start\"");
    pty.send("r");
    pty.wait_for("Do it?");
    pty.wait_calm(Duration::from_millis(200));
    press_until_gone(&pty, "y", "Do it?");
    pty.wait_for("LINK LOST");
    pty.wait_for("asked for; waiting for the engine");
    shop.start();
    pty.wait_for("started: ");
    // The engine may have died before it gave the plan to a runner: then the request expires and is asked again, never
    // started late.
    let ended = |screen: &str| screen.contains("VERIFIED") || screen.contains("expired");
    pty.wait_screen("it ran, or expired", PATIENCE * 3, ended);
    assert_eq!(count(&shop, "run.requested"), 1);
    assert_eq!(count(&shop, "run.started"), usize::from(shop.path("api-up").exists()));
    leave(pty);
}

#[test]
fn a_start_that_reached_nobody_is_refused_by_the_next_engine() {
    let shop = shop("");
    let pty = open(&shop, "DOWN     api");
    pty.send("r");
    pty.wait_for("Do it?");
    pty.wait_calm(Duration::from_millis(200));
    signal(&shop, libc::SIGSTOP);
    press_until_gone(&pty, "y", "Do it?");
    pty.wait_for("waiting for the engine");
    shop.kill_engine();
    pty.wait_for("LINK LOST");
    shop.start();
    // Its plan was the dead engine's: told plainly, and nothing has happened.
    pty.wait_for("It was not started:");
    pty.wait_for("does not know that plan, so nothing was started: make the plan again");
    assert_eq!(count(&shop, "run.requested"), 0);
    assert!(!shop.path("api-up").exists());
    pty.send("n");
    pty.wait_gone("It was not started:");
    leave(pty);
}
