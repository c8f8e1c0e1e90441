//! An engine that dies between the sync of an entry and the answer: the command asks the next one, and it is done once.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use mayday::wire::client::EngineFile;

use super::support::{Cockpit, PATIENCE, Ran, wait_until};

/// Runs `args` over a connection that carries everything to the engine until `asked` has been answered, keeps that answer
/// to itself, kills the engine and breaks off.
fn with_the_answer_lost(shop: &Cockpit, asked: &str, args: &[&str]) -> Ran {
    let mut file = EngineFile::read(&shop.state()).unwrap().unwrap();
    let engine = file.socket.clone();
    let between = shop.path("between.sock");
    let _ = std::fs::remove_file(&between);
    let listener = UnixListener::bind(&between).unwrap();
    file.socket = between;
    let pid = i32::try_from(file.pid).unwrap();
    std::fs::write(shop.state().join(EngineFile::NAME), serde_json::to_vec(&file).unwrap()).unwrap();
    std::thread::scope(|scope| {
        let relay = scope.spawn(move || {
            let (client, _) = listener.accept().unwrap();
            let far = UnixStream::connect(engine).unwrap();
            let (mut to_client, mut to_engine) = (client.try_clone().unwrap(), far.try_clone().unwrap());
            let (mut from_client, mut from_engine) = (BufReader::new(client).lines(), BufReader::new(far).lines());
            loop {
                let line = from_client.next().unwrap().unwrap();
                writeln!(to_engine, "{line}").unwrap();
                let answer = from_engine.next().unwrap().unwrap();
                if line.contains(asked) {
                    assert!(answer.contains("done"), "{answer}");
                    // SAFETY: a plain system call on the engine of this test.
                    unsafe { libc::kill(pid, libc::SIGKILL) };
                    return;
                }
                writeln!(to_client, "{answer}").unwrap();
            }
        });
        let ran = shop.run(args);
        relay.join().unwrap();
        ran
    })
}

fn count(shop: &Cockpit, kind: &str) -> usize {
    shop.entries().iter().filter(|e| e["kind"] == kind).count()
}

#[test]
fn what_an_engine_did_before_it_died_is_not_done_twice() {
    let shop = super::shop();
    shop.start();
    let declared = with_the_answer_lost(&shop, "declare", &["incident", "declare", "api down"]).ok();
    assert_eq!(declared.line().len(), "INC-2026-001".len(), "{declared:?}");
    assert_eq!(count(&shop, "incident.declared"), 1);
    assert_eq!(count(&shop, "engine.started"), 2, "another engine answered");
    let noted = with_the_answer_lost(&shop, "note", &["note", "said once"]).ok();
    assert_eq!(count(&shop, "note.added"), 1);
    let entry = shop.entries().into_iter().find(|e| e["kind"] == "note.added").unwrap();
    assert_eq!(noted.line(), entry["seq"].to_string(), "the entry that stands");
    // A run: the plan was the dead engine's, its request stands in the record.
    let ran = with_the_answer_lost(&shop, "\"start\"", &["act", "works", "--yes", "--wait", "--json"]).ok();
    assert_eq!(ran.json()["verdict"], "verified", "{ran:?}");
    assert_eq!(count(&shop, "run.requested"), 1);
    wait_until("it ran", PATIENCE, || shop.path("works").exists());
    assert_eq!(std::fs::read_to_string(shop.path("works")).unwrap().lines().count(), 1);
    // The same words with a key of their own are another request.
    shop.run(&["note", "said once"]).ok();
    assert_eq!(count(&shop, "note.added"), 2);
}

#[test]
fn waiting_for_a_verdict_survives_the_engine() {
    let shop = Cockpit::new(
        "[system]\nname = \"shop\"\n[[action]]\nname = \"long\"\nrisk = \"disruptive\"\n\
         run = [\"sh\", \"-c\", \"echo x >> HOME/begun; while ! test -e HOME/go; do sleep 0.05; done\"]\n\
         verify = { exec = { run = [\"true\"] } }\n",
    );
    shop.start();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| shop.run(&["act", "long", "--yes", "--wait", "--json"]));
        wait_until("it runs", PATIENCE, || shop.path("begun").exists());
        // Once one that nobody starts again, and once one that is looked after.
        shop.kill_engine();
        wait_until("the waiting one starts another", PATIENCE, || count(&shop, "engine.started") == 2);
        wait_until("it says where it is", PATIENCE, || EngineFile::read(&shop.state()).is_ok_and(|f| f.is_some()));
        shop.kill_engine();
        shop.start();
        if waits.is_finished() {
            panic!("it did not wait: {:?}", waits.join().unwrap());
        }
        std::fs::write(shop.path("go"), "").unwrap();
        let ran = waits.join().unwrap().ok();
        assert_eq!(ran.json()["verdict"], "verified", "{ran:?}");
    });
    assert_eq!(count(&shop, "engine.started"), 3);
    assert_eq!(count(&shop, "run.requested"), 1);
    assert_eq!(std::fs::read_to_string(shop.path("begun")).unwrap().lines().count(), 1);
}

#[test]
fn an_engine_stopped_on_purpose_stays_stopped_though_somebody_waits() {
    let shop = super::shop();
    shop.start();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| shop.run(&["act", "slow", "--yes", "--wait"]));
        wait_until("it runs", PATIENCE, || shop.entries().iter().any(|e| e["kind"] == "run.started"));
        shop.run(&["engine", "stop"]).ok();
        waits.join().unwrap().expect(1).says(&["the engine was stopped", "the run goes on", "mayday runs show"]);
    });
    assert_eq!(count(&shop, "engine.started"), 1);
}
