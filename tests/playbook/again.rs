//! The engine is killed in every kind of step: the next one goes on where it was, and nothing is done twice.

use super::{Cockpit, did, find, lose, open, shop, state, status, steps, until};
use crate::support::{Answer, HttpScript, PATIENCE, wait_until};

pub fn kill_and_start(shop: &Cockpit) {
    shop.kill_engine();
    shop.start();
}

#[test]
fn killed_while_a_person_is_at_it() {
    let decide = "decide = \"which?\"\n[[playbook.step.option]]\nname = \"on\"\ngo = \"list\"";
    let shop = open(&steps(&[
        ("manual", "manual = \"a\"\nevidence = true"),
        ("which", decide),
        ("list", "checklist = \"communication\""),
        ("hold", "hold = [\"api\"]\nreason = \"so\""),
        ("last", "manual = \"b\""),
    ]));
    shop.run(&["incident", "declare", "slow"]).ok();
    shop.run(&["playbook", "start", "one"]).ok();
    shop.run(&["playbook", "evidence", "seen"]).ok();
    kill_and_start(&shop);
    assert_eq!(find(&status(&shop), "manual")["evidence"][0]["text"], "seen");
    shop.run(&["playbook", "next"]).ok();
    kill_and_start(&shop);
    shop.run(&["playbook", "choose", "on"]).ok();
    shop.run(&["checklist", "tick", "communication", "1"]).ok();
    kill_and_start(&shop);
    let shown = shop.run(&["checklist", "show", "communication", "--json"]).ok().json();
    assert_eq!((&shown["open"], &shown["items"][0]["ticked"]), (&true.into(), &true.into()));
    shop.run(&["playbook", "skip", "--reason", "later"]).ok();
    kill_and_start(&shop);
    shop.run(&["playbook", "do", "--yes"]).ok();
    kill_and_start(&shop);
    let now = status(&shop);
    assert_eq!((&now["at"], state(&now, "hold")), (&"last".into(), "done"));
    shop.run(&["restart", "api", "--yes"]).expect(3).says(&["held by"]);
    shop.verify();
}

#[test]
fn killed_while_a_run_of_a_step_is_under_way() {
    let shop = open(&steps(&[("slow", "action = \"slow\""), ("look", "command = \"look\"")]));
    shop.run(&["playbook", "start", "one"]).ok();
    let run = shop.run(&["playbook", "do", "--yes"]).ok().line();
    wait_until("it runs", PATIENCE, || did(&shop) == ["slow"]);
    kill_and_start(&shop);
    let now = status(&shop);
    assert_eq!((&now["busy"], state(&now, "slow")), (&true.into(), "under-way"));
    shop.run(&["playbook", "skip", "--reason", "x"]).expect(3).says(&["wait for it"]);
    shop.kill_engine();
    std::fs::write(shop.path("go"), "").unwrap();
    shop.start();
    assert_eq!(shop.finished(&run, PATIENCE)["verdict"], "verified");
    until(&shop, "the step is done", |s| s["at"] == "look");
    assert_eq!(did(&shop), ["slow"]);
}

#[test]
fn killed_between_the_two_runs_of_a_restore() {
    let shop = shop(&steps(&[("restore", "restore = \"docs\""), ("wait", "wait = [\"db\"]\nwithin = \"2m\"")]));
    lose(&shop);
    shop.start();
    wait_until("the copy is listed", PATIENCE, || shop.run(&["backups", "copies", "docs"]).out.contains("docs.tar"));
    shop.run(&["playbook", "start", "one"]).ok();
    shop.run(&["playbook", "do", "--yes", "--wait"]).ok();
    until(&shop, "the cut-over is offered", |s| s["offer"]["part"] == 1);
    kill_and_start(&shop);
    shop.run(&["playbook", "do", "--confirm", "docs"]).ok();
    kill_and_start(&shop);
    // Requested and never handed on, because the engine died before: it expires after 30 s, and is asked for again.
    let on = |s: &serde_json::Value| s["at"] == "wait" || s["state"] == "complete";
    wait_until("it went on, or says why not", PATIENCE * 4, || {
        let now = status(&shop);
        if state(&now, "restore") == "failed" {
            shop.run(&["playbook", "do", "--confirm", "docs"]).ok();
        }
        on(&now)
    });
    kill_and_start(&shop);
    until(&shop, "it is through", |s| s["state"] == "complete");
    assert_eq!(std::fs::read_to_string(shop.path("srv/docs/state")).unwrap(), "good, from the copy");
    shop.verify();
}

/// A service is stopped, started and restarted by steps: each of them once, whatever died in between.
#[test]
fn killed_while_services_are_controlled() {
    let all = [("stop", "worker"), ("start", "worker"), ("restart", "api")];
    let keys: Vec<(&str, String)> = all.iter().map(|(verb, of)| (*verb, format!("{verb} = \"{of}\""))).collect();
    let keys: Vec<(&str, &str)> = keys.iter().map(|(name, keys)| (*name, keys.as_str())).collect();
    let shop = open(&steps(&[keys, vec![("last", "manual = \"b\"")]].concat()));
    shop.run(&["playbook", "start", "one"]).ok();
    for (verb, of) in all {
        until(&shop, &format!("it is at {verb}"), |s| s["at"] == verb && s["offer"]["offer"] == "run");
        let go: &[&str] = if verb == "stop" { &["--confirm", of] } else { &["--yes"] };
        let go = || shop.run(&[&["playbook", "do"], go].concat());
        go().ok();
        kill_and_start(&shop);
        wait_until(&format!("{verb} is done"), PATIENCE * 4, || {
            let now = status(&shop);
            // Requested and never handed on, because the engine died before.
            if state(&now, verb) == "failed" {
                assert!(find(&now, verb)["detail"].as_str().unwrap().contains("expired"), "{now:#}");
                go();
            }
            state(&now, verb) == "done"
        });
    }
    assert_eq!(did(&shop), ["stop worker", "start worker", "restart"]);
    shop.verify();
}

#[test]
fn killed_while_it_looks_and_waits() {
    let shop = shop(&steps(&[
        ("holds", "check = [\"worker\"]"),
        ("wait", "wait = [\"api\"]\nwithin = \"2m\""),
        ("last", "manual = \"b\""),
    ]));
    std::fs::remove_file(shop.path("api-up")).unwrap();
    shop.start();
    shop.run(&["playbook", "start", "one"]).ok();
    kill_and_start(&shop);
    until(&shop, "it holds", |s| s["at"] == "wait");
    let from = find(&status(&shop), "wait")["begun_at"].clone();
    assert!(from.is_string());
    kill_and_start(&shop);
    let now = status(&shop);
    assert_eq!((&now["at"], &find(&now, "wait")["begun_at"]), (&"wait".into(), &from), "its clock runs on");
    std::fs::write(shop.path("api-up"), "").unwrap();
    until(&shop, "it was seen up", |s| s["at"] == "last");
}

#[test]
fn killed_while_a_recovery_of_a_step_is_under_way() {
    let shop = open(&steps(&[("all", "recovery = \"short\"")]));
    shop.run(&["playbook", "start", "one"]).ok();
    shop.run(&["playbook", "do"]).ok();
    kill_and_start(&shop);
    wait_until("it is through", PATIENCE * 4, || {
        // Its run may have been requested and never handed on: it expires after half a minute.
        if shop.run(&["recover", "status", "--json"]).json()["state"] == "asks" {
            shop.run(&["recover", "resume"]).ok();
        }
        status(&shop)["state"] == "complete"
    });
    assert_eq!(did(&shop), ["look"]);
}

/// A message on its way and a command that looks: each is accounted for, and what was begun is not begun again.
#[test]
fn killed_while_a_message_goes_out_and_while_a_command_looks() {
    let hook = HttpScript::start(vec![Answer::hang()]);
    let shop = open(&format!(
        "[[channel]]\nname = \"chat\"\nwebhook = {{ url = \"{}\" }}\n{}",
        hook.url("/chat"),
        steps(&[
            ("word", "message = \"initial\"\nchannels = [\"chat\"]"),
            ("look", "command = \"look\""),
            ("last", "manual = \"b\""),
        ])
    ));
    shop.run(&["incident", "declare", "slow"]).ok();
    shop.run(&["playbook", "start", "one"]).ok();
    shop.run(&["playbook", "do", "--yes"]).ok();
    hook.wait_for_requests(1, PATIENCE);
    hook.answer(vec![Answer::ok("ok")]);
    kill_and_start(&shop);
    // Whether it had arrived nobody knows: it is sent again, as the same message.
    until(&shop, "it was accepted", |s| s["at"] == "look");
    let queued = shop.entries().iter().filter(|e| e["kind"] == "message.queued").count();
    assert_eq!(queued, 1);
    shop.run(&["playbook", "do", "--yes"]).ok();
    kill_and_start(&shop);
    wait_until("it looked", PATIENCE * 4, || {
        let now = status(&shop);
        // Requested and never handed on, because the engine died before.
        if state(&now, "look") == "failed" {
            shop.run(&["playbook", "do", "--yes"]).ok();
        }
        now["at"] == "last"
    });
    let begun = shop.entries().iter().filter(|e| e["kind"] == "run.started").count();
    assert_eq!(did(&shop).len(), begun);
    shop.verify();
}
