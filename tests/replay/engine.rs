//! A real engine's incident, replayed from a copy of its folder: what was shown then is shown again, nothing is written
//! and nothing is started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mayday::domain::Time;
use serde_json::Value;

use crate::support::{Cockpit, PATIENCE, Pty, wait_for_some, wait_until};

const CONFIG: &str = r#"
[system]
name = "shop"
environment = "production"
[defaults]
every = "1s"
timeout = "900ms"
retry_interval = "100ms"
[[service]]
name = "api"
tier = 1
rto = "10m"
control = { restart = ["sh", "-c", "touch HOME/api-up"] }
[[service.exec]]
run = ["sh", "-c", "test -e HOME/api-up || exit 2"]
[[service]]
name = "web"
tier = 2
depends_on = ["api"]
[[service.exec]]
run = ["sh", "-c", "test -e HOME/web-up || exit 2"]
"#;

fn shop() -> Cockpit {
    let shop = Cockpit::new(CONFIG);
    for name in ["api-up", "web-up"] {
        std::fs::write(shop.path(name), "").unwrap();
    }
    shop.start();
    shop.until_code(&["status"], 0);
    shop
}

/// What the picture says at a moment at which the record stands still: its last entry, and the picture.
fn now(shop: &Cockpit) -> (u64, Value) {
    let seq = |v: &Value| v["engine"]["seq"].as_u64();
    wait_for_some("a picture between two entries", PATIENCE, || {
        let before = shop.run(&["status", "--json"]).json();
        let after = shop.run(&["status", "--json"]).json();
        (seq(&before) == seq(&after)).then(|| (seq(&after).unwrap(), after))
    })
}

/// What of a picture is in the record: the same now and then.
fn recorded(picture: &Value) -> Value {
    let some = |list: &Value, keys: &[&str]| -> Vec<BTreeMap<String, Value>> {
        let of = |v: &Value| keys.iter().map(|k| ((*k).to_owned(), v[*k].clone())).collect();
        list.as_array().unwrap().iter().map(of).collect()
    };
    serde_json::json!({
        "system": picture["system"],
        "services": some(&picture["services"], &["name", "state", "because", "down_since", "tier", "rto_ms", "held_by"]),
        "incidents": some(
            &picture["incidents"],
            &["id", "severity", "status", "title", "started_at", "acknowledged_by", "commander", "update_due"],
        ),
        "warnings": picture["warnings"],
        "guards": picture["guards"],
    })
}

fn copied(shop: &Cockpit) -> PathBuf {
    let copy = shop.path("copy");
    let done = std::process::Command::new("cp").arg("-a").arg(shop.state()).arg(&copy).status().unwrap();
    assert!(done.success());
    copy
}

/// Every file of a folder with its bytes.
fn bytes(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type().unwrap() {
                t if t.is_dir() => folders.push(entry.path()),
                t if t.is_file() => drop(found.insert(entry.path(), std::fs::read(entry.path()).unwrap())),
                _ => {}
            }
        }
    }
    found
}

#[test]
fn what_an_engine_showed_is_shown_again_from_a_copy() {
    let shop = shop();
    let mut shown = Vec::new();
    std::fs::remove_file(shop.path("api-up")).unwrap();
    shop.until_code(&["status"], 2);
    shown.push(now(&shop));
    shop.run(&["incident", "declare", "api is gone", "--service", "api"]).ok();
    shown.push(now(&shop));
    shop.run(&["incident", "ack"]).ok();
    shop.run(&["note", "looked at it"]).ok();
    shop.run(&["tag", "web", "do not touch"]).ok();
    shown.push(now(&shop));
    std::fs::remove_file(shop.path("web-up")).unwrap();
    wait_until("web is down as well", PATIENCE, || {
        shop.run(&["status", "--json"]).json()["services"][1]["state"] == "down"
    });
    shown.push(now(&shop));
    shop.run(&["restart", "api", "--yes", "--wait"]).ok();
    std::fs::write(shop.path("web-up"), "").unwrap();
    shop.until_code(&["status"], 0);
    shown.push(now(&shop));
    shop.run(&["incident", "resolve"]).ok();
    wait_until("the samples are sealed", PATIENCE, || shop.entries().iter().any(|e| e["kind"] == "incident.sealed"));
    let entries = shop.entries();
    shop.run(&["engine", "stop"]).ok();
    let copy = copied(&shop);
    let before = bytes(&copy);
    let dir = copy.display().to_string();
    for (seq, wanted) in &shown {
        let ran = shop.run(&["--state-dir", &dir, "replay", "--entry", &seq.to_string(), "--json"]).ok();
        let then = ran.json();
        assert_eq!(recorded(&then), recorded(wanted), "at entry {seq}");
        assert_eq!(then["replay"]["entry"], *seq);
        for (then, now) in then["services"].as_array().unwrap().iter().zip(wanted["services"].as_array().unwrap()) {
            // The engine counts from the result that confirmed it, the record from the entry written then.
            let at = |v: &Value| Time::parse(v["since"].as_str().unwrap()).unwrap();
            assert!(at(then).ms_since(at(now)).abs() < 1000, "{} at entry {seq}: {then} and {now}", now["name"]);
        }
        let rows = then["timeline"].as_array().unwrap();
        assert_eq!(rows.last().unwrap()["seq"], *seq);
        // By the time at which that entry was recorded it is the same moment, or one with more of the same millisecond.
        let recorded_at = entries.iter().find(|e| e["seq"] == *seq).unwrap()["at"].as_str().unwrap().to_owned();
        let by_time = shop.run(&["--state-dir", &dir, "replay", "--at", &recorded_at, "--json"]).ok().json();
        assert!(by_time["replay"]["entry"].as_u64() >= Some(*seq));
        assert_eq!(by_time["replay"]["at"], recorded_at.as_str());
    }
    // The run, from request to verdict, as it stood at each of its entries.
    let of_run: Vec<&Value> = entries.iter().filter(|e| e["kind"].as_str().unwrap().starts_with("run.")).collect();
    let states: Vec<Value> = of_run
        .iter()
        .map(|e| {
            let seq = e["seq"].to_string();
            let then = shop.run(&["--state-dir", &dir, "replay", "--entry", &seq, "--json"]).ok().json();
            then["runs"][0]["state"].clone()
        })
        .collect();
    assert_eq!(states.first(), Some(&Value::from("requested")));
    assert_eq!(states.last(), Some(&Value::from("succeeded")));
    // For people and for terminals without a screen.
    let text = shop.run(&["--state-dir", &dir, "replay", "--plain", "--entry", &shown[1].0.to_string()]).ok().out;
    assert!(text.contains("NOT LIVE") && text.contains("api is gone") && !text.contains("looked at it"), "{text}");
    // What cannot be shown says why.
    for (args, code, words) in [
        (vec!["replay", "INC-1999-001", "--json"], 1, "there is no incident \"INC-1999-001\""),
        (vec!["replay", "--entry", "999999", "--json"], 2, "outside of the replay"),
        (vec!["replay", "--at", "1999-01-01T00:00:00Z", "--json"], 2, "outside of the replay"),
        (vec!["replay", "--at", "soon", "--json"], 2, "is no moment"),
        (vec!["replay"], 2, "needs a terminal"),
    ] {
        let args: Vec<&str> = ["--state-dir", &dir].into_iter().chain(args).collect();
        shop.run(&args).expect(code).says(&[words]);
    }
    assert!(bytes(&copy) == before, "a replay writes nothing");
}

#[test]
fn a_replay_on_a_terminal_without_an_engine() {
    let shop = shop();
    shop.run(&["incident", "declare", "api is slow", "--service", "api"]).ok();
    shop.run(&["note", "somebody looked"]).ok();
    shop.run(&["incident", "resolve", "--force", "--reason", "seen"]).ok();
    shop.run(&["engine", "stop"]).ok();
    let copy = copied(&shop);
    let before = bytes(&copy);
    let mut pty = Pty::mayday(&shop.home, &["--state-dir", &copy.display().to_string(), "replay"], 100, 30);
    pty.wait_for("REPLAY · INC-");
    pty.wait_for("T+00:00:00");
    pty.wait_for("NOT LIVE");
    assert!(!pty.screen().contains("● live"));
    pty.send("3");
    pty.wait_for("declared P1");
    assert!(!pty.screen().contains("somebody looked"), "{}", pty.screen());
    pty.send("]]]]");
    pty.send("\x1b[F");
    pty.wait_for("somebody looked");
    // Nothing can be done from here.
    pty.send("r");
    pty.wait_for("this is the past");
    pty.send("g");
    pty.wait_for("go to which moment?");
    pty.send("T+0s\r");
    pty.wait_gone("somebody looked");
    pty.wait_for("x1 paused");
    pty.send(" ");
    pty.wait_gone("paused");
    pty.send("q");
    let exit = pty.wait_exit(PATIENCE);
    assert_eq!((exit.code, exit.signal), (0, None));
    pty.assert_given_back();
    assert!(bytes(&copy) == before, "a replay writes nothing");
}

#[test]
fn a_failure_meanwhile_is_announced_and_one_key_leads_back() {
    let shop = shop();
    shop.run(&["incident", "declare", "api is slow", "--service", "api"]).ok();
    let mut pty = Pty::mayday(&shop.home, &[], 100, 30);
    pty.wait_for("● live");
    pty.send("t");
    pty.wait_for("REPLAY · INC-");
    pty.wait_for("NOT LIVE");
    pty.wait_for("live: none down");
    let before = shop.entries().len();
    // Whatever acts is refused here, and the engine is asked for nothing.
    pty.send("r");
    pty.wait_for("this is the past");
    std::fs::remove_file(shop.path("web-up")).unwrap();
    pty.wait_for("web DOWN");
    pty.send("t");
    pty.wait_for("● live");
    pty.wait_gone("REPLAY");
    let new: Vec<Value> = shop.entries().into_iter().skip(before).collect();
    assert!(new.iter().all(|e| e["actor"]["user"] == "engine"), "nobody did anything: {new:?}");
    pty.send("q");
    assert_eq!(pty.wait_exit(Duration::from_secs(20)).code, 0);
}
