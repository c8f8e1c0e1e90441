//! Declaring, leading, noting; with an engine and without.

use super::shop;
use super::support::{PATIENCE, wait_until};

/// Whoever only looks changes nothing, by whatever command.
#[test]
fn read_only_is_read_only_for_every_command() {
    let shop = shop();
    let id = shop.run(&["incident", "declare", "orders fail", "--severity", "P1"]).ok().line();
    for args in [
        &["incident", "ack"][..],
        &["note", "seen"],
        &["note", "--offline", "seen"],
        &["restart", "api", "--yes"],
        &["engine", "reload"],
        &["engine", "stop"],
    ] {
        shop.run(&[&["--read-only"], args].concat()).expect(3).says(&["read-only"]);
    }
    for args in [&["incident", "show", &id][..], &["catchup"], &["contacts"], &["runs"]] {
        shop.run(&[&["--read-only"], args].concat()).ok();
    }
    let did = |e: &serde_json::Value| {
        let kind = e["kind"].as_str().unwrap_or_default();
        kind.starts_with("run.") || ["incident.acknowledged", "note.added", "engine.stopped"].contains(&kind)
    };
    assert!(!shop.entries().iter().any(did), "{:#?}", shop.entries());
    shop.kill_engine();
    shop.run(&["--read-only", "engine", "start"]).expect(3).says(&["starts no engine"]);
    shop.run(&["--read-only", "note", "--offline", "seen"]).expect(3).says(&["writes nothing"]);
}

#[test]
fn an_incident_from_end_to_end() {
    let shop = shop();
    shop.until_code(&["status"], 0);
    let id = shop.run(&["incident", "declare", "orders fail", "--severity", "P1"]).ok().line();
    assert!(id.starts_with("INC-") && id.lines().count() == 1, "{id}");
    shop.run(&["incident", "ack"]).ok();
    shop.run(&["incident", "ack"]).expect(3).says(&["already"]);
    shop.run(&["incident", "severity", "P0", "--reason", "everybody"]).ok();
    shop.run(&["incident", "severity", "P2"]).expect(2).says(&["a lesser severity needs a reason"]);
    shop.run(&["incident", "status", "identified"]).ok();
    shop.run(&["incident", "assign", "alice"]).ok();
    shop.run(&["incident", "services", "--add", "api"]).ok();
    let seq: u64 = shop.run(&["note", "the", "cache", "is", "cold"]).ok().line().parse().unwrap();
    let from_stdin: u64 =
        shop.run_with(&["note", "-"], "first line\nsecond line ✓\n".as_bytes()).ok().line().parse().unwrap();
    assert!(from_stdin > seq);
    shop.run(&["note", "earlier", "--at", "2026-01-01T00:00:00Z"]).ok();
    std::fs::remove_file(shop.path("api-up")).unwrap();
    shop.until_code(&["status"], 2);
    shop.run(&["incident", "resolve"]).expect(3).says(&["api", "down"]);
    shop.run(&["incident", "resolve", "--force"]).expect(2);
    let contradicted = shop.run(&["act", "contradicted", "--yes", "--wait"]).expect(4);
    assert!(contradicted.out.contains("CONTRADICTED"), "{}", contradicted.out);
    std::fs::write(shop.path("api-up"), "").unwrap();
    shop.until_code(&["status"], 0);
    shop.run(&["incident", "resolve"]).expect(3).says(&["contradicted"]);
    shop.run(&["incident", "resolve", "--force", "--reason", "seen by hand"]).ok();
    shop.run(&["incident", "reopen"]).expect(2);
    shop.run(&["incident", "reopen", "--reason", "again"]).ok();
    shop.run(&["incident", "resolve", "--force", "--reason", "now"]).ok();
    shop.run(&["incident", "close"]).ok();
    let shown = shop.run(&["incident", "show", &id]).ok().out;
    for text in ["the cache is cold", "second line ✓", "earlier", "seen by hand", "again"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    assert!(shop.run(&["incident", "list"]).ok().out.contains(&id));
    export(&shop, &id);
    shop.verify();
    // Every engine writes the readable file on where the one before left off.
    shop.kill_engine();
    shop.start();
    shop.kill_engine();
    shop.run(&["note", "after two more engines", "--incident", &id]).ok();
    let file = shop.state().join("incidents").join(&id).join("timeline.md");
    let text = std::fs::read_to_string(file).unwrap();
    let times = |word: &str| text.matches(word).count();
    assert_eq!(
        (times("the cache is cold"), times("seen by hand"), times("after two more engines")),
        (1, 1, 1),
        "{text}"
    );
}

fn export(shop: &super::support::Cockpit, id: &str) {
    // The samples are sealed a moment after the resolution; the record changes with that.
    let newest = |kind: &str, what: &str| {
        let all = shop.entries();
        let found = all.iter().filter(|e| e["kind"] == kind && e["payload"].to_string().contains(what));
        found.filter_map(|e| e["seq"].as_u64()).max()
    };
    // Not the closing, which comes from there.
    let resolved = newest("incident.status", "\"to\":\"resolved\"");
    assert!(resolved.is_some());
    wait_until("the samples are sealed", PATIENCE, || newest("incident.sealed", "") > resolved);
    let md = shop.run(&["export", id]).ok();
    assert!(md.out == shop.run(&["export", id]).ok().out, "same journal, same bytes");
    assert!(md.out.contains("orders fail") && md.out.contains("not recorded"), "{}", md.out);
    let file = shop.path("review.json");
    shop.run(&["export", id, "--format", "json", "-o", file.to_str().unwrap()]).ok();
    let review: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for key in ["schema", "incident", "measures", "services", "timeline", "runs", "messages"] {
        assert!(review.get(key).is_some(), "{key}");
    }
    let newest = review["timeline"].as_array().unwrap().iter().filter_map(|l| l["seq"].as_u64()).max().unwrap();
    for measure in review["measures"].as_array().unwrap() {
        for key in ["name", "value_ms", "verdict", "from", "to", "entries"] {
            assert!(measure.get(key).is_some(), "{key} of {measure:#}");
        }
        let cited = measure["entries"].as_array().unwrap();
        // Nothing can be cited for a count of none.
        let none = measure["verdict"] == "not recorded" || measure["count"] == 0;
        assert!(none || !cited.is_empty(), "{measure:#} cites nothing");
        assert!(cited.iter().all(|e| e.as_u64().is_some_and(|e| e >= 1 && e <= newest + 50)), "{measure:#}");
    }
    for service in review["services"].as_array().unwrap() {
        for key in ["name", "downtime_ms", "rto_ms", "verdict", "entries"] {
            assert!(service.get(key).is_some(), "{key} of {service:#}");
        }
    }
}

#[test]
fn a_note_is_kept_when_no_engine_answers() {
    let shop = shop();
    shop.start();
    shop.run(&["engine", "stop"]).ok();
    let kept = shop.run(&["note", "--offline", "written", "without", "engine"]).ok();
    assert!(kept.err.contains("next engine"), "{kept:#?}");
    shop.run_with(&["note", "--offline", "-"], b"by pipe\n").ok();
    shop.run(&["note", "--offline", "at a time", "--at", "2026-01-02T03:04:05Z"]).ok();
    assert!(shop.engine_pid().is_none(), "no engine was started for it");
    shop.start();
    for text in ["written without engine", "by pipe", "at a time"] {
        wait_until(&format!("{text:?} is taken in once"), PATIENCE, || {
            shop.entries().iter().filter(|e| e["payload"]["text"].as_str().is_some_and(|t| t.trim() == text)).count()
                == 1
        });
    }
    // Marked as what it is, with its own time.
    let entries = shop.entries();
    let at = entries.iter().find(|e| e["payload"]["text"] == "at a time").unwrap();
    assert!(at.to_string().contains("2026-01-02T03:04:05"), "{at:#}");
    wait_until("the spool is empty", PATIENCE, || {
        std::fs::read_dir(shop.state().join("spool")).map_or(true, |d| d.count() == 0)
    });
    shop.run(&["engine", "stop"]).ok();
    shop.start();
    shop.run(&["note", "with engine", "--offline"]).ok();
    assert_eq!(
        shop.entries()
            .iter()
            .filter(|e| e["payload"]["text"] == "by pipe" || e["payload"]["text"] == "by pipe\n")
            .count(),
        1
    );
    shop.verify();
}

#[test]
fn of_a_note_too_long_what_fits_is_kept_and_a_long_one_is_whole() {
    let shop = shop();
    let long = "x".repeat(64 * 1024);
    shop.run_with(&["note", "-"], long.as_bytes()).ok();
    shop.run_with(&["note", "-"], format!("{long}y").as_bytes()).ok().says(&["were cut"]);
    shop.run(&["note", &format!("{long}y")]).expect(2).says(&["65537 bytes"]);
    shop.run_with(&["note", "-"], b"").expect(2);
    assert!(shop.entries().iter().any(|e| e["payload"]["text"] == long.as_str()));
}

#[test]
fn an_export_names_the_head_that_it_shows_and_masks_what_became_a_secret_later() {
    let config = "[system]\nname = \"shop\"\n";
    let shop = super::support::Cockpit::new(config);
    let id = shop.run(&["incident", "declare", "leaked"]).ok().line();
    shop.run(&["note", "the door opens with Opensesame77"]).ok();
    shop.run(&["engine", "stop"]).ok();
    let key = shop.path("door.key");
    std::fs::write(&key, "Opensesame77\n").unwrap();
    shop.configure(&format!(
        "{config}[[channel]]\nname = \"door\"\nwebhook = {{ url = \"https://door.example.org/\", secret = {{ file = \"{}\" }} }}\n",
        key.display()
    ));
    let json = shop.run(&["export", &id, "--format", "json"]).ok();
    let md = shop.run(&["export", &id]).ok();
    for told in [&json.out, &md.out] {
        assert!(told.contains("the door opens with") && !told.contains("Opensesame77"), "{told}");
    }
    let head = json.json()["incident"]["head"].as_str().unwrap_or_default().to_owned();
    assert_eq!(head.len(), 64, "{head}");
    assert!(md.out.contains(&head), "{}", md.out);
    let last = json.json()["incident"]["last_entry"].to_string();
    let verified = shop.run(&["journal", "verify", "--anchor", &head[..8]]).ok();
    assert!(verified.out.contains(&format!("the head after entry {last}")), "{}", verified.out);
}
