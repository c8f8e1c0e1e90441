//! `mayday run -- …`: a command in the person's own shell, on record before it starts, whatever becomes of the engine.

use std::process::Stdio;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::support::{Cockpit, PATIENCE, Pty, wait_for_some, wait_until};

fn shells(shop: &Cockpit) -> Vec<Value> {
    shop.entries().into_iter().filter(|e| e["kind"].as_str().is_some_and(|k| k.starts_with("shell."))).collect()
}

fn kinds(shop: &Cockpit) -> Vec<String> {
    shells(shop).iter().map(|e| e["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_command_joins_the_timeline_and_keeps_its_ways() {
    let shop = super::shop();
    shop.start();
    let incident = shop.run(&["incident", "declare", "api down"]).ok().line();
    // Its start is on disk before it begins: it finds itself there.
    let journal = shop.state().join("journal.jsonl").display().to_string();
    let script = format!("grep -c shell.started {journal}; cat; echo oops password=hunter22 >&2; exit 7");
    let ran = shop.run_with(&["run", "--title", "look", "--", "sh", "-c", &script, "--token", "abcd1234"], b"typed\n");
    let ran = ran.expect(7).says(&["oops password=hunter22"]);
    assert_eq!(ran.out, "1\ntyped\n", "its output is its own");
    let entries = shells(&shop);
    let [started, finished] = entries.as_slice() else { panic!("{entries:#?}") };
    for entry in [started, finished] {
        assert_eq!(entry["incident"], incident.as_str());
        assert_eq!(entry["payload"]["title"], "look");
        let words = entry["payload"]["command"].as_array().unwrap();
        assert_eq!(words.iter().rev().take(2).rev().collect::<Vec<_>>(), ["--token", "***"], "{entry:#}");
    }
    let payload = &finished["payload"];
    assert_eq!((&payload["exit"], &payload["id"]), (&Value::from(7), &started["payload"]["id"]));
    // Two pipes are two streams: which of them is heard first is nobody's to say.
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    let wanted = lines("1\ntyped\noops password=***");
    assert_eq!(lines(payload["excerpt"].as_str().unwrap()), wanted);
    let file = shop.state().join(payload["file"].as_str().unwrap());
    assert!(file.starts_with(shop.state().join("incidents").join(&incident).join("evidence")), "{file:?}");
    let kept = std::fs::read(&file).unwrap();
    assert_eq!(lines(&String::from_utf8_lossy(&kept)), wanted);
    assert_eq!(payload["output_digest"], hex::encode(Sha256::digest(&kept)));
    assert_eq!(payload["size"], kept.len());
    shop.run(&["run", "--", "no-such-program"]).expect(127).says(&["no-such-program"]);
    shop.run(&["run", "--timeout", "100ms", "--", "sleep", "60"]).expect(6).says(&["ended after 100ms"]);
    shop.run(&["run", "--", "sh", "-c", "kill -9 $$"]).expect(137);
    // What makes no sense runs nothing.
    let mark = shop.path("ran").display().to_string();
    shop.run(&["run", "--incident", "INC-2026-999", "--", "touch", &mark]).expect(2);
    shop.run(&["--read-only", "run", "--", "touch", &mark]).expect(3);
    assert!(!shop.path("ran").exists());
    shop.verify();
}

#[test]
fn without_an_engine_it_runs_and_is_taken_in_later() {
    let shop = super::shop();
    let ran = shop.run(&["run", "--", "sh", "-c", "echo done; exit 4"]);
    let ran = ran.expect(4).says(&["it runs all the same", "taken in by the next engine"]);
    assert_eq!(ran.out, "done\n");
    shop.start();
    wait_until("both ends are on record", PATIENCE, || kinds(&shop) == ["shell.started", "shell.finished"]);
    let finished = shells(&shop).remove(1);
    assert_eq!((&finished["payload"]["exit"], &finished["payload"]["excerpt"]), (&Value::from(4), &"done".into()));
    assert!(finished["payload"]["happened_at"].is_string(), "{finished:#}");
    let spooled = || std::fs::read_dir(shop.state().join("spool")).map_or(0, Iterator::count);
    wait_until("the spool is empty", PATIENCE, || spooled() == 0);
}

#[test]
fn an_end_that_nobody_saw_is_called_that() {
    let shop = super::shop();
    shop.start();
    let mut command = shop.command(&["run", "--", "sh", "-c", "echo begun; exec sleep 600"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    wait_until("it runs", PATIENCE, || kinds(&shop) == ["shell.started"]);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("its end is on record", PATIENCE, || kinds(&shop).len() == 2);
    let finished = shells(&shop).remove(1);
    let payload = &finished["payload"];
    assert!(payload["exit"].is_null() && payload["signal"].is_null() && payload["ms"].as_u64() > Some(0), "{payload}");
    let journal = shop.run(&["journal", "tail", "-n", "1"]).ok();
    assert!(journal.out.contains("its end was not seen"), "{journal:?}");
}

#[test]
fn an_engine_that_dies_meanwhile_loses_nothing() {
    let shop = super::shop();
    shop.start();
    let go = shop.path("go");
    let script = format!("echo one; while ! test -e {}; do sleep 0.05; done; echo two", go.display());
    std::thread::scope(|scope| {
        let ran = scope.spawn(|| shop.run(&["run", "--", "sh", "-c", &script]));
        wait_until("it runs", PATIENCE, || kinds(&shop) == ["shell.started"]);
        shop.kill_engine();
        shop.start();
        std::fs::write(&go, "").unwrap();
        assert_eq!(ran.join().unwrap().ok().out, "one\ntwo\n");
    });
    wait_until("its end is on record", PATIENCE, || kinds(&shop) == ["shell.started", "shell.finished"]);
    assert_eq!(shells(&shop)[1]["payload"]["exit"], 0);
}

#[test]
fn signals_are_passed_on() {
    let shop = super::shop();
    shop.start();
    let script = "trap 'echo told; exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = shop.command(&["run", "--", "sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!(line, "ready\n");
    // SAFETY: a plain system call on the child of this test.
    unsafe { libc::kill(i32::try_from(child.id()).unwrap(), libc::SIGTERM) };
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut out, &mut rest).unwrap();
    assert_eq!((rest.as_str(), child.wait().unwrap().code()), ("told\n", Some(9)));
}

#[test]
fn on_a_terminal_it_has_one_of_its_own() {
    let shop = super::shop();
    shop.start();
    let script = "test -t 0 && test -t 1 && test -t 2 && stty size && printf '\\033[31mname? \\033[0m' && read name \
                  && echo \"hello $name\"; trap 'echo stopped; exit 5' INT; echo waiting; while :; do sleep 0.05; done";
    let mut pty = Pty::mayday(&shop.home, &["run", "--", "sh", "-c", script], 100, 30);
    pty.wait_for("30 100");
    pty.wait_for("name?");
    pty.send("ann\r");
    pty.wait_for("hello ann");
    pty.wait_for("waiting");
    pty.send("\x03");
    pty.wait_for("stopped");
    let exit = pty.wait_exit(PATIENCE);
    assert_eq!(exit.code, 5);
    assert_eq!(pty.stty(), pty.stty_before(), "the terminal is as it was");
    let finished = wait_for_some("its end is on record", PATIENCE, || shells(&shop).into_iter().nth(1));
    let excerpt = finished["payload"]["excerpt"].as_str().unwrap();
    assert!(excerpt.contains("name? ann\nhello ann\nwaiting") && !excerpt.contains("[31m"), "{excerpt:?}");
}
