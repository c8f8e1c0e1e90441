//! A secret that was written down is destroyed everywhere, and the record still verifies and tells its story.

use std::collections::BTreeSet;
use std::path::Path;

use mayday::text::secret::Secret;

use super::support::{Cockpit, PATIENCE, Pty, files_containing, wait_until};

const SECRET: &str = "hunter2\"&x9-Qq";
const CONFIG: &str = r#"
[system]
name = "shop"
[[service]]
name = "api"
tier = 1
[[service.exec]]
run = ["true"]
every = "1s"
timeout = "900ms"
[[action]]
name = "prints"
risk = "observe"
run = ["cat", "HOME/printed"]
"#;

/// Files in which the secret stands in any way that it is written.
fn holding(dir: &Path) -> BTreeSet<String> {
    let secret = Secret::new([SECRET]).unwrap();
    let mut found = BTreeSet::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            match entry.file_type().unwrap() {
                t if t.is_dir() => folders.push(entry.path()),
                t if t.is_file() && secret.is_in(&std::fs::read(entry.path()).unwrap_or_default()) => {
                    found.insert(entry.path().strip_prefix(dir).unwrap().display().to_string());
                }
                _ => {}
            }
        }
    }
    found
}

fn planted() -> (Cockpit, String) {
    let shop = Cockpit::new(CONFIG);
    std::fs::write(shop.path("printed"), format!("it says {SECRET}, and {{\"json\":{}}}\n", serde_json::json!(SECRET)))
        .unwrap();
    let inc = shop.run(&["incident", "declare", &format!("leak of {SECRET} it is"), "--service", "api"]).ok().line();
    shop.run(&["note", &format!("the password is {SECRET} and the rest stays")]).ok();
    shop.run(&["note", "nothing of it in here"]).ok();
    shop.run(&["hypothesis", "open", &format!("somebody knows {SECRET}")]).ok();
    shop.run(&["incident", "severity", "P3", "--reason", &format!("found {SECRET}")]).ok();
    shop.run(&["act", "prints", "--wait"]);
    let folder = shop.state().join("incidents").join(&inc);
    std::fs::create_dir_all(folder.join("exports")).unwrap();
    std::fs::create_dir_all(folder.join("evidence")).unwrap();
    let out = folder.join("exports/review.md");
    shop.run(&["export", &inc, "-o", out.to_str().unwrap()]).ok();
    let out = folder.join("exports/review.json");
    shop.run(&["export", &inc, "--format", "json", "-o", out.to_str().unwrap()]).ok();
    shop.run(&["export", &inc, "-o", shop.path("elsewhere.md").to_str().unwrap()]).ok();
    std::fs::write(folder.join("evidence/log.txt"), format!("a {SECRET} b")).unwrap();
    std::fs::write(shop.state().join("engine.log.1"), format!("warned of {SECRET}\n")).unwrap();
    std::fs::write(shop.state().join("journal.torn-20261120T021407Z"), format!("rubbish {SECRET}")).unwrap();
    (shop, inc)
}

#[test]
fn a_text_goes_from_everything_and_all_else_stays() {
    let (shop, inc) = planted();
    let before = shop.entries();
    let places = holding(&shop.state());
    let wanted = ["journal.jsonl", "engine.log.1", "journal.torn-20261120T021407Z"];
    assert!(wanted.iter().all(|w| places.contains(*w)), "{places:?}");
    for part in ["timeline.md", "exports/review.md", "exports/review.json", "evidence/log.txt"] {
        assert!(places.contains(&format!("incidents/{inc}/{part}")), "{part}: {places:?}");
    }
    assert!(places.iter().any(|p| p.ends_with("/output.log")), "{places:?}");

    let bare = shop.run(&["journal", "redact", "--text", SECRET, "--reason", "leak"]).expect(2);
    assert!(bare.err.contains("never an argument") && !bare.err.contains(SECRET), "{bare:?}");
    let looked = shop.run_with(&["journal", "redact", "--text", "-", "--dry-run"], SECRET.as_bytes()).ok();
    assert!(looked.out.contains("incident.declared") && looked.out.contains("timeline.md"), "{}", looked.out);
    assert!(!looked.out.contains(SECRET), "{}", looked.out);
    let asks = ["journal", "redact", "--text", "-", "--reason", "a password"];
    shop.run_with(&asks, SECRET.as_bytes()).expect(3).says(&["--confirm redact"]);
    assert_eq!(holding(&shop.state()), places, "nothing was done yet");

    let asks = ["journal", "redact", "--text", "-", "--reason", "a password", "--confirm", "redact"];
    let done = shop.run_with(&asks, SECRET.as_bytes()).ok();
    assert!(done.out.contains("elsewhere.md") && !done.out.contains(SECRET), "{}", done.out);
    assert_eq!(holding(&shop.state()), BTreeSet::new());

    let report = shop.verify();
    assert!(report["redactions"].as_u64().unwrap() >= 4, "{report:#}");
    let after = shop.entries();
    for (a, b) in before.iter().zip(&after) {
        assert_eq!((&a["seq"], &a["at"], &a["kind"], &a["actor"]), (&b["seq"], &b["at"], &b["kind"], &b["actor"]));
        match a["payload"].to_string().contains("hunter2") {
            true => assert!(b["payload"].to_string().contains("[redacted]"), "{b}"),
            false => assert_eq!(a, b),
        }
    }
    let note = after.iter().find(|e| e["payload"]["text"] == "the password is [redacted] and the rest stays");
    assert!(note.is_some(), "what stands around it stays");
    // The fold rests on it as before: the incident is there, with all that was done in it.
    let shown = shop.run(&["incident", "show", &inc]).ok().out;
    assert!(shown.contains("leak of [redacted] it is"), "{shown}");
    let review = shop.run(&["export", &inc]).ok().out;
    assert!(review.contains("redacted") && !review.contains("hunter2"), "{review}");
    let timeline = std::fs::read_to_string(shop.state().join("incidents").join(&inc).join("timeline.md")).unwrap();
    assert!(timeline.contains("was redacted") && timeline.contains("nothing of it in here"), "{timeline}");

    // It does not come back while this engine lives, and a new one folds the same.
    shop.run(&["note", &format!("again {SECRET}")]).ok();
    shop.run(&["act", "prints", "--wait"]);
    shop.run(&["engine", "stop"]).ok();
    let again = shop.run(&["incident", "show", &inc]).ok().out;
    assert!(again.contains("leak of [redacted] it is"), "{again}");
    let left = holding(&shop.state());
    assert!(left.iter().all(|p| p.starts_with("runs/")), "only what a program prints anew: {left:?}");
    shop.verify();
}

#[test]
fn an_entry_goes_by_its_number_with_its_line_and_its_words() {
    let shop = Cockpit::new(CONFIG);
    let inc = shop.run(&["incident", "declare", "outage"]).ok().line();
    let seq = shop.run(&["note", "the customers of record are Berg and Holm"]).ok().line();
    let other = shop.run(&["note", "the customers were told"]).ok().line();
    shop.run(&["journal", "redact", &seq]).expect(2).says(&["--reason"]);
    shop.run(&["journal", "redact", &seq, "--reason", "names", "--confirm", "redact"]).expect(3).says(&[&seq]);
    shop.run(&["journal", "redact", &seq, "--reason", "names", "--confirm", &seq]).ok();
    assert!(files_containing(&shop.state(), "Berg").is_empty(), "{:?}", files_containing(&shop.state(), "Berg"));
    let timeline = std::fs::read_to_string(shop.state().join("incidents").join(&inc).join("timeline.md")).unwrap();
    assert!(timeline.contains("[redacted]") && timeline.contains("the customers were told"), "{timeline}");
    let note = shop.entries().into_iter().find(|e| e["seq"].as_u64() == seq.parse().ok()).unwrap();
    assert_eq!(note["payload"]["text"], "[redacted]");
    shop.run(&["journal", "redact", &seq, "--reason", "names", "--confirm", &seq]).expect(2).says(&["already"]);
    shop.run(&["journal", "redact", "99999", "--reason", "names", "--confirm", "99999"]).expect(2).says(&["no entry"]);
    let nothing = shop.run_with(
        &["journal", "redact", "--text", "-", "--reason", "r", "--confirm", "redact"],
        b"this stands nowhere at all",
    );
    nothing.expect(3).says(&["nowhere"]);
    shop.run(&["journal", "verify"]).ok();
    assert!(!other.is_empty());
}

#[test]
fn one_secret_after_another_leaves_what_stands_around_both() {
    let shop = Cockpit::new(CONFIG);
    let seq = shop.run(&["note", "first alpha-secret-1 then beta-secret-2 end"]).ok().line();
    for (secret, wanted) in [
        ("alpha-secret-1", "first [redacted] then beta-secret-2 end"),
        ("beta-secret-2", "first [redacted] then [redacted] end"),
    ] {
        let asks = ["journal", "redact", "--text", "-", "--reason", "leak", "--confirm"];
        let entry = shop.run_with(&["journal", "redact", "--text", "-", "--dry-run", "--json"], secret.as_bytes()).ok();
        let word = entry.json()["confirm"].as_str().unwrap().to_owned();
        shop.run_with(&[&asks[..], &[&word]].concat(), secret.as_bytes()).ok();
        let note = shop.entries().into_iter().find(|e| e["seq"].as_u64() == seq.parse().ok()).unwrap();
        assert_eq!(note["payload"]["text"], wanted);
        assert!(files_containing(&shop.state(), secret).is_empty());
    }
    shop.run(&["engine", "stop"]).ok();
    shop.verify();
}

#[test]
fn cut_short_by_a_kill_it_is_finished_by_the_next_engine() {
    let mut cut = 0;
    for done in [None, Some(0), Some(20), Some(50)] {
        let (shop, inc) = planted();
        let dir = shop.state();
        // Much to overwrite, so that a kill comes in between.
        for n in 0..60 {
            let text = format!("x {SECRET} y\n").repeat(400);
            std::fs::write(dir.join("incidents").join(&inc).join(format!("evidence/{n}.txt")), text).unwrap();
        }
        let recorded = || {
            let text = std::fs::read_to_string(dir.join("journal.jsonl")).unwrap();
            (text.contains("\"entry.redacted\""), text.contains("\"redaction.finished\""))
        };
        let asks = ["journal", "redact", "--text", "-", "--reason", "a password", "--confirm", "redact"];
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| shop.run_with(&asks, SECRET.as_bytes()));
            wait_until("it is on record", PATIENCE, || recorded().0);
            if let Some(n) = done {
                let path = dir.join("incidents").join(&inc).join(format!("evidence/{n}.txt"));
                wait_until("some files are done", PATIENCE, || {
                    !std::fs::read_to_string(&path).unwrap().contains("hunter2")
                });
            }
            shop.kill_engine();
            cut += usize::from(!recorded().1);
            let _ = asking.join();
        });
        shop.run(&["engine", "start"]).ok();
        shop.verify();
        wait_until("it is finished", PATIENCE, || recorded().1);
        assert_eq!(holding(&dir), BTreeSet::new(), "after {done:?}");
        shop.verify();
    }
    assert!(cut > 0, "no kill came in between");
}

#[test]
fn who_may_not_is_refused_and_the_text_is_in_no_refusal() {
    let config = format!("{CONFIG}\n[authority]\neverybody = \"monitoring\"\nroles = {{ commander = \"full\" }}\n");
    let shop = Cockpit::new(&config);
    shop.run(&["note", &format!("pw {SECRET}")]).ok();
    let asks = ["journal", "redact", "--text", "-", "--reason", "a password", "--dry-run"];
    shop.run_with(&asks, SECRET.as_bytes()).expect(3).says(&["commander"]);
    let refused = shop.entries().into_iter().rfind(|e| e["kind"] == "command.refused").unwrap();
    assert!(!refused.to_string().contains("hunter2"), "{refused}");
    shop.run(&["incident", "declare", "leak"]).ok();
    shop.run(&["incident", "ack"]).ok();
    shop.run_with(&asks, SECRET.as_bytes()).ok();
}

#[test]
fn on_a_terminal_the_text_is_typed_without_being_shown() {
    let shop = Cockpit::new(CONFIG);
    let seq = shop.run(&["note", "pw hunter2-typed here"]).ok().line();
    let mut pty = Pty::mayday(&shop.home, &["journal", "redact", "--text", "-", "--reason", "leak"], 100, 30);
    pty.wait_for("it is not shown");
    pty.send("hunter2-typed\r");
    pty.wait_for(&format!("Type {seq} to destroy it"));
    assert!(!pty.screen().contains("hunter2"), "{}", pty.screen());
    pty.send("nonsense\r");
    pty.wait_for("nothing was done");
    pty.wait_exit(PATIENCE);
    assert!(!files_containing(&shop.state(), "hunter2-typed").is_empty());
    let mut pty = Pty::mayday(&shop.home, &["journal", "redact", "--text", "-", "--reason", "leak"], 100, 30);
    pty.wait_for("it is not shown");
    pty.send("hunter2-typed\r");
    pty.wait_for(&format!("Type {seq} to destroy it"));
    pty.send(format!("{seq}\r"));
    pty.wait_for("redacted in 1 entry");
    pty.wait_exit(PATIENCE);
    assert_eq!(pty.stty(), pty.stty_before());
    assert!(files_containing(&shop.state(), "hunter2-typed").is_empty());
}
