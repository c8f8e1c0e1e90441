//! Recoveries of whole systems through the real binary, with real processes: in order, stopped and answered, overdue,
//! changed meanwhile, and with the engine killed at every point.

mod support;

#[path = "recover/again.rs"]
mod again;
#[path = "recover/database.rs"]
mod database;
#[path = "recover/keys.rs"]
mod keys;

use std::process::Command;

use serde_json::Value;
use support::{Cockpit, PATIENCE, wait_until};

const CONFIG: &str = r#"
[system]
name = "shop"
environment = "production"
[defaults]
every = "1s"
timeout = "900ms"
retry_interval = "100ms"
[[service]]
name = "db"
tier = 1
[[service.exec]]
run = ["sh", "-c", "grep -q good HOME/srv/docs/state || exit 2"]
[[service]]
name = "api"
tier = 1
depends_on = ["db"]
control = { restart = ["sh", "-c", "echo restart >> HOME/did; touch HOME/api-up"] }
[[service.exec]]
run = ["sh", "-c", "test -e HOME/api-up || exit 2"]
[[backup]]
name = "docs"
service = "db"
rpo = "26h"
files = { path = "HOME/backups", pattern = "*.tar", settle = "10ms" }
[backup.restore.folder]
path = "HOME/srv/docs"
verify = [["grep", "-q", "good", "{side}/state"]]
[[action]]
name = "look-around"
risk = "observe"
run = ["sh", "-c", "echo look >> HOME/did"]
[[action]]
name = "warm"
service = "api"
run = ["sh", "-c", "echo warm >> HOME/did; test ! -e HOME/warm-broken"]
verify = { exec = { run = ["sh", "-c", "test -e HOME/api-up || exit 2"] } }
[[action]]
name = "slow"
run = ["sh", "-c", "echo slow >> HOME/did; while ! test -e HOME/go; do sleep 0.05; done"]
verify = { exec = { run = ["sh", "-c", "test -e HOME/go || exit 2"] } }
[[action]]
name = "blind"
run = ["sh", "-c", "echo blind >> HOME/did"]
"#;

/// The whole way: assess, restore, restart, wait, warm up, look.
const FULL: &str = r#"
[[recovery]]
name = "full"
title = "everything after data loss"
kind = "data-loss"
[[recovery.step]]
phase = "assess"
within = "1m"
action = "look-around"
[[recovery.step]]
phase = "database"
within = "1m"
restore = "docs"
[[recovery.step]]
phase = "restart"
within = "1m"
restart = "api"
[[recovery.step]]
phase = "validate"
within = "1m"
healthy = ["db", "api"]
[[recovery.step]]
phase = "validate"
within = "1m"
action = "warm"
"#;

/// A shop whose data is lost and whose api is down; a good copy is there.
fn shop(recovery: &str) -> Cockpit {
    let shop = Cockpit::new(&format!("{CONFIG}{recovery}"));
    lose(&shop);
    shop.start();
    shop.until_code(&["status"], 2);
    wait_until("the copy is listed", PATIENCE, || shop.run(&["backups", "copies", "docs"]).out.contains("docs.tar"));
    shop
}

fn lose(shop: &Cockpit) {
    let docs = shop.path("srv/docs");
    std::fs::create_dir_all(&docs).unwrap();
    std::fs::create_dir(shop.path("backups")).unwrap();
    copy(shop, "docs.tar", "good");
    std::fs::write(docs.join("state"), "lost").unwrap();
}

/// A copy of the folder as it would be with this state.
fn copy(shop: &Cockpit, name: &str, state: &str) {
    let made = shop.path("made");
    std::fs::create_dir_all(&made).unwrap();
    std::fs::write(made.join("state"), state).unwrap();
    let tar =
        Command::new("tar").arg("-C").arg(&made).arg("-cf").arg(shop.path("backups").join(name)).arg(".").status();
    assert!(tar.unwrap().success());
}

fn one(steps: &[(&str, &str)]) -> String {
    let mut out = String::from("[[recovery]]\nname = \"one\"\n");
    for (does, within) in steps {
        out.push_str(&format!("[[recovery.step]]\nphase = \"restart\"\nwithin = \"{within}\"\n{does}\n"));
    }
    out
}

fn status(shop: &Cockpit) -> Value {
    shop.run(&["recover", "status", "--json"]).ok().json()
}

/// The status once `holds`.
#[track_caller]
fn until(shop: &Cockpit, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let begun = std::time::Instant::now();
    while begun.elapsed() < PATIENCE {
        let ran = shop.run(&["recover", "status", "--json"]);
        if ran.code == 0 {
            last = ran.json();
            if holds(&last) {
                return last;
            }
        }
    }
    panic!("waited in vain: {what}; the last: {last:#}");
}

fn states(status: &Value) -> Vec<&str> {
    status["steps"].as_array().unwrap().iter().map(|s| s["state"].as_str().unwrap()).collect()
}

/// What the commands of the steps did, in order.
fn did(shop: &Cockpit) -> Vec<String> {
    let text = std::fs::read_to_string(shop.path("did")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn kinds(shop: &Cockpit) -> Vec<String> {
    let kind = |e: &Value| e["header"]["kind"].as_str().or(e["kind"].as_str()).unwrap_or_default().to_owned();
    shop.entries().iter().map(kind).filter(|k| k.starts_with("recovery.")).collect()
}

#[test]
fn a_whole_system_comes_back_in_order() {
    let shop = shop(FULL);
    shop.run(&["incident", "declare", "data lost", "--service", "db"]).ok();

    // The plan says everything before anything happens.
    let plan = shop.run(&["recover", "full", "--plan"]).ok();
    for said in
        ["data-loss", "destructive", "DATA LOST", "docs.tar", "restart >>", "time box 1m", "in the place of docs"]
    {
        assert!(plan.out.contains(said), "{said:?} is not in {}", plan.out);
    }
    assert!(did(&shop).is_empty() && kinds(&shop).is_empty());

    // The one typed confirmation, or nothing.
    shop.run(&["recover", "full"]).expect(3).says(&["--confirm docs"]);
    shop.run(&["recover", "full", "--yes"]).expect(3);
    shop.run(&["recover", "full", "--confirm", "shop"]).expect(3).says(&["type docs"]);
    assert!(did(&shop).is_empty() && kinds(&shop).is_empty());

    let done = shop.run(&["recover", "full", "--confirm", "docs", "--wait", "--json"]).ok().json();
    assert_eq!(done["state"], "complete", "{done:#}");
    assert_eq!(states(&done), ["good"; 5], "{done:#}");
    assert_eq!(did(&shop), ["look", "restart", "warm"]);
    assert_eq!(std::fs::read_to_string(shop.path("srv/docs/state")).unwrap(), "good");
    // Restore and cut-over are two runs of one step.
    let runs: Vec<usize> =
        done["steps"].as_array().unwrap().iter().map(|s| s["runs"].as_array().map_or(0, Vec::len)).collect();
    assert_eq!(runs, [1, 2, 1, 0, 1], "{done:#}");
    shop.run(&["status"]).expect(0);

    // No step was begun before the one before it was good.
    let kinds = kinds(&shop);
    assert_eq!(kinds.first().map(String::as_str), Some("recovery.started"));
    assert_eq!(kinds.last().map(String::as_str), Some("recovery.finished"));
    assert_eq!(kinds.iter().filter(|k| *k == "recovery.step").count(), 10, "{kinds:?}");

    let review = shop.run(&["export"]).ok().out;
    for said in ["everything after data loss", "restart api", "wait until db, api are up", "1m"] {
        assert!(review.contains(said), "{said:?} is not in {review}");
    }
    let json = shop.run(&["export", "--format", "json"]).ok().json();
    assert_eq!(json["recoveries"][0]["state"], "complete", "{:#}", json["recoveries"]);
    assert_eq!(json["recoveries"][0]["steps"][1]["state"], "good");
    shop.verify();
}

#[test]
fn a_step_that_fails_stops_it_until_a_person_answers() {
    let shop = shop(&one(&[("action = \"warm\"", "1m"), ("action = \"look-around\"", "1m")]));
    std::fs::write(shop.path("api-up"), "").unwrap();
    std::fs::write(shop.path("warm-broken"), "").unwrap();
    let stopped = shop.run(&["recover", "one", "--yes", "--wait", "--json"]).expect(1).json();
    assert_eq!(stopped["state"], "asks");
    assert_eq!(stopped["halt"]["why"], "failed");
    assert!(stopped["halt"]["detail"].as_str().unwrap().contains("exit 1"), "{stopped:#}");
    assert_eq!(stopped["answers"], serde_json::json!(["resume", "skip", "stop"]));
    assert_eq!(did(&shop), ["warm"]);

    // One at a time; what is not asked is refused.
    shop.run(&["recover", "one", "--yes"]).expect(3).says(&["asks at step 1 of 2"]);
    shop.run(&["recover", "done"]).expect(3).says(&["not a person's"]);
    shop.run(&["recover", "skip"]).expect(2);
    shop.run(&["recover", "skip", "--reason", " "]).expect(2).says(&["needs a reason"]);

    // Again, and it fails again.
    shop.run(&["recover", "resume", "--wait"]).expect(1);
    assert_eq!(did(&shop), ["warm", "warm"]);
    // Mended, it goes on to the end.
    std::fs::remove_file(shop.path("warm-broken")).unwrap();
    let done = shop.run(&["recover", "resume", "--wait", "--json"]).ok().json();
    assert_eq!(states(&done), ["good", "good"]);
    assert_eq!(done["steps"][0]["attempts"], 3);
    assert_eq!(did(&shop), ["warm", "warm", "warm", "look"]);
    shop.run(&["recover", "resume"]).expect(3).says(&["no recovery is under way"]);
}

#[test]
fn a_step_is_skipped_with_a_reason_and_a_recovery_ended() {
    let shop =
        shop(&one(&[("action = \"warm\"", "1m"), ("action = \"look-around\"", "1m"), ("look = \"call Ann\"", "1m")]));
    shop.run(&["incident", "declare", "slow"]).ok();
    std::fs::write(shop.path("warm-broken"), "").unwrap();
    shop.run(&["recover", "one", "--yes", "--wait"]).expect(1);
    shop.run(&["recover", "skip", "--reason", "the cache fills by itself"]).ok();
    let asks = until(&shop, "a person is wanted", |s| s["step"] == 2 && s["wants_person"] == true);
    assert_eq!(states(&asks), ["skipped", "good", "under-way"]);
    assert_eq!(asks["answers"], serde_json::json!(["done", "failed", "skip", "stop"]));
    let user = asks["started_by"].as_str().unwrap().to_owned();
    assert_eq!(asks["steps"][0]["by"], user);

    // What a person says counts, one way and the other.
    shop.run(&["recover", "failed", "--reason", "nobody answers"]).ok();
    let failed = status(&shop);
    assert_eq!((&failed["state"], &failed["halt"]["why"]), (&"asks".into(), &"failed".into()));
    shop.run(&["recover", "resume"]).ok();
    shop.run(&["recover", "stop", "--reason", "the on-call of the day takes over"]).ok();
    let ended = status(&shop);
    assert_eq!(ended["state"], "ended");
    assert_eq!(states(&ended), ["skipped", "good", "not-done"]);
    let review = shop.run(&["export"]).ok().out;
    for said in ["the cache fills by itself", "the on-call of the day takes over", "not done"] {
        assert!(review.contains(said), "{said:?} is not in {review}");
    }
    // Skipped is not done well: a script learns it.
    let begun = shop.run(&["recover", "one", "--yes"]).ok();
    assert!(!begun.line().is_empty());
    until(&shop, "it stopped", |s| s["state"] == "asks");
    shop.run(&["recover", "skip", "--reason", "as before"]).ok();
    until(&shop, "a person is wanted", |s| s["step"] == 2 && s["wants_person"] == true);
    shop.run(&["recover", "done", "--reason", "Ann knows", "--wait"]).expect(5);
    assert_eq!(status(&shop)["steps"][2]["detail"], "Ann knows");
}

#[test]
fn exit_0_alone_is_not_good() {
    let shop = shop(&one(&[("action = \"blind\"", "1m"), ("action = \"look-around\"", "1m")]));
    let asks = shop.run(&["recover", "one", "--yes", "--wait", "--json"]).expect(1).json();
    assert_eq!(asks["halt"]["why"], "unproven", "{asks:#}");
    assert_eq!(asks["answers"], serde_json::json!(["done", "failed", "resume", "skip", "stop"]));
    assert_eq!(did(&shop), ["blind"]);
    // A person has seen it.
    shop.run(&["recover", "done", "--reason", "the page loads", "--wait"]).ok();
    assert_eq!(did(&shop), ["blind", "look"]);
}

#[test]
fn a_service_that_stays_down_is_not_good_either() {
    let shop = shop(&one(&[("healthy = [\"api\"]", "2s"), ("action = \"look-around\"", "1m")]));
    let asks = shop.run(&["recover", "one", "--yes", "--wait", "--json"]).expect(1).json();
    assert_eq!(asks["halt"]["why"], "overdue", "{asks:#}");
    assert!(asks["halt"]["detail"].as_str().unwrap().contains("api is down"), "{asks:#}");
    std::fs::write(shop.path("api-up"), "").unwrap();
    let done = shop.run(&["recover", "resume", "--wait", "--json"]);
    // Two seconds may be too few for the usual number of successes on a busy machine: then it asks again.
    if done.code == 1 {
        shop.until_code(&["recover", "resume", "--wait"], 0);
    }
    assert_eq!(states(&status(&shop)), ["good", "good"]);
}

#[test]
fn a_time_box_that_runs_out_kills_nothing() {
    let shop = shop(&one(&[("action = \"slow\"", "4s"), ("action = \"look-around\"", "1m")]));
    let asks = shop.run(&["recover", "one", "--yes", "--wait", "--json"]).expect(1).json();
    assert_eq!(asks["halt"]["why"], "overdue", "{asks:#}");
    let said = shop.run(&["status"]).out;
    assert!(said.contains("recovery one") && said.contains("STOPPED, overdue: run"), "{said}");
    assert!(said.contains("WAITS FOR A PERSON: mayday recover status"), "{said}");
    assert_eq!(shop.run(&["status", "--json"]).json()["recovery"]["wants_person"], true);
    let run = asks["steps"][0]["runs"][0].as_str().unwrap().to_owned();
    wait_until("it is known to run", PATIENCE, || {
        shop.run(&["runs", "show", &run, "--json"]).json()["state"] == "running"
    });
    // A run under way is not passed by.
    shop.run(&["recover", "skip", "--reason", "in a hurry"]).expect(3).says(&["still under way", "runs cancel"]);
    std::fs::write(shop.path("go"), "").unwrap();
    assert_eq!(shop.finished(&run, PATIENCE)["verdict"], "verified");
    // It ended well since; it is a person who says that it goes on, and nothing is done twice.
    let waiting = until(&shop, "it is told that the run ended", |s| s["waits"].as_str().unwrap().contains("succeeded"));
    assert_eq!(waiting["state"], "asks");
    shop.run(&["recover", "resume", "--wait"]).ok();
    assert_eq!(did(&shop), ["slow", "look"]);
}

#[test]
fn what_is_not_what_was_confirmed_is_asked_again() {
    let shop = shop(&one(&[("look = \"stop the writers\"", "1m"), ("restore = \"docs\"", "1m")]));
    shop.run(&["recover", "one", "--confirm", "docs"]).ok();
    until(&shop, "a person is wanted", |s| s["wants_person"] == true);
    copy(&shop, "newer.tar", "good, and newer");
    shop.run(&["backups", "list"]).ok();
    wait_until("the newer copy is listed", PATIENCE, || {
        shop.run(&["backups", "copies", "docs"]).out.contains("newer.tar")
    });
    let asks = shop.run(&["recover", "done", "--wait", "--json"]).expect(1).json();
    assert_eq!(asks["halt"]["why"], "changed", "{asks:#}");
    assert!(asks["halt"]["detail"].as_str().unwrap().contains("newer.tar"), "{asks:#}");
    assert_eq!(std::fs::read_to_string(shop.path("srv/docs/state")).unwrap(), "lost");
    let shown = shop.run(&["recover", "resume", "--plan"]).ok();
    assert!(shown.out.contains("what would be done now") && shown.out.contains("newer.tar"), "{}", shown.out);
    shop.run(&["recover", "resume"]).expect(3).says(&["not confirmed"]);
    shop.run(&["recover", "resume", "--yes", "--wait"]).ok();
    assert_eq!(std::fs::read_to_string(shop.path("srv/docs/state")).unwrap(), "good, and newer");
}

#[test]
fn the_order_comes_from_what_depends_on_what() {
    let config = r#"
[[recovery]]
name = "one"
services = ["api", "db"]
[[recovery.step]]
phase = "validate"
within = "1m"
look = "the shop sells"
[[recovery.step]]
phase = "validate"
within = "1m"
healthy = ["api"]
[[recovery.step]]
phase = "restart"
within = "1m"
restart = "api"
[[recovery.step]]
phase = "validate"
within = "1m"
healthy = ["db"]
[[recovery.step]]
phase = "database"
within = "1m"
restore = "docs"
[[recovery.step]]
phase = "assess"
within = "1m"
action = "look-around"
"#;
    let shop = shop(config);
    let plan = shop.run(&["recover", "one", "--plan", "--json"]).ok().json();
    let does: Vec<&str> =
        plan["plan"]["steps"].as_array().unwrap().iter().map(|s| s["does"].as_str().unwrap()).collect();
    assert_eq!(does, ["act", "restore", "healthy", "restart", "healthy", "look"], "{plan:#}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let shop = shop(&one(&[("action = \"warm\"", "1m")]));
    shop.run(&["recover", "nope", "--plan"]).expect(2).says(&["there is no recovery \"nope\"", "one"]);
    shop.run(&["recover", "status"]).expect(1).says(&["no recovery was started yet"]);
    shop.run(&["recover", "status", "nope"]).expect(2);
    shop.run(&["recover", "stop"]).expect(3).says(&["no recovery is under way"]);
    shop.run(&["recover", "failed"]).expect(2);
    let list = shop.run(&["recover", "--json"]).ok().json();
    assert_eq!(list["recoveries"][0]["name"], "one");
    assert!(shop.run(&["recover"]).ok().out.contains("one"));
}
