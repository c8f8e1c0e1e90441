//! Importing with the real binary: what is shown, what is refused, what is on record afterwards.

use super::support::{Cockpit, Pty};

const CONFIG: &str = "[system]\nname = \"shop\"\n";

fn declared() -> (Cockpit, String) {
    let shop = Cockpit::new(CONFIG);
    let inc = shop.run(&["incident", "declare", "outage"]).ok().line();
    (shop, inc)
}

/// A time of today that has passed, however early it is.
fn ago(minutes: i64) -> String {
    let at = mayday::domain::Time::from_ms(mayday::sys::clock::now_ms() - minutes * 60_000);
    at.to_string()
}

fn imported(shop: &Cockpit) -> Vec<serde_json::Value> {
    shop.entries().into_iter().filter(|e| e["kind"] == "note.imported").collect()
}

#[test]
fn it_shows_imports_and_adds_nothing_the_second_time() {
    let (shop, inc) = declared();
    let text = format!("{} first line with password=hunter22x\n{} second\nand more of it\n", ago(9), ago(8));
    std::fs::write(shop.path("notes.txt"), &text).unwrap();
    let file = shop.path("notes.txt").display().to_string();
    let shown = shop.run(&["import", &file, "--dry-run"]).ok().out;
    assert!(shown.contains("read as lines") && shown.contains("second ⏎ and more of it"), "{shown}");
    shop.run(&["import", &file]).expect(3).says(&["--yes"]);
    assert!(imported(&shop).is_empty());
    let done = shop.run(&["import", &file, "--yes"]).ok().out;
    assert!(done.contains("2 new, 0 were there"), "{done}");
    std::fs::write(shop.path("notes.txt"), format!("{text}{} third\n", ago(7))).unwrap();
    let again = shop.run(&["import", &file, "--yes", "--json"]).ok().json();
    assert_eq!((again["new"].as_u64(), again["known"].as_u64()), (Some(1), Some(2)));
    // A new engine knows by the record.
    shop.run(&["engine", "stop"]).ok();
    let again = shop.run(&["import", &file, "--yes", "--json"]).ok().json();
    assert_eq!((again["new"].as_u64(), again["known"].as_u64()), (Some(0), Some(3)));
    let entries = imported(&shop);
    assert_eq!(entries.len(), 3);
    assert!(entries.iter().all(|e| e["incident"] == inc.as_str() && e["payload"]["source"] == "notes.txt"));
    assert_eq!(entries[0]["payload"]["text"], "first line with password=***");
    assert!(super::support::files_containing(&shop.state(), "hunter22x").is_empty());
    shop.verify();
}

#[test]
fn doubtful_lines_are_named_and_left_out_only_when_told_so() {
    let (shop, _) = declared();
    let text = format!("2020-01-01 10:00 far too early\n{} good\n", ago(5));
    let refused = shop.run_with(&["import", "-", "--yes"], text.as_bytes()).expect(3);
    assert!(refused.err.contains("line 1: it lies more than a day before"), "{}", refused.err);
    assert!(imported(&shop).is_empty());
    let done = shop.run_with(&["import", "-", "--yes", "--skip-doubtful"], text.as_bytes()).ok().out;
    assert!(done.contains("1 new") && done.contains("left out: line 1"), "{done}");
    shop.run_with(&["import", "-", "--format", "slack", "--yes"], b"[{").expect(1).says(&["no Slack export"]);
    shop.run_with(&["import", "-", "--format", "emails"], b"").expect(2).says(&["alertmanager"]);
}

#[test]
fn a_closed_incident_takes_lines_in_and_another_is_asked_for_by_name() {
    let (shop, inc) = declared();
    shop.run(&["incident", "resolve", "--force", "--reason", "test"]).ok();
    shop.run(&["incident", "status", "closed", "--incident", &inc]).ok();
    let text = format!("{} afterwards\n", ago(3));
    shop.run_with(&["import", "-", "--yes"], text.as_bytes()).ok();
    assert_eq!(imported(&shop)[0]["incident"], inc.as_str());
    shop.run_with(&["import", "-", "--yes", "--incident", "INC-1999-001"], text.as_bytes()).expect(2);
}

#[test]
fn many_lines_go_in_pieces() {
    let (shop, _) = declared();
    let begin = mayday::sys::clock::now_ms() - 3_600_000;
    let text: String =
        (0..1000).map(|n| format!("{} line {n}\n", mayday::domain::Time::from_ms(begin + n * 1000))).collect();
    let done = shop.run_with(&["import", "-", "--yes", "--json"], text.as_bytes()).ok().json();
    assert_eq!(done["new"].as_u64(), Some(1000));
    assert_eq!(imported(&shop).len(), 1000);
    let done = shop.run_with(&["import", "-", "--yes", "--json"], text.as_bytes()).ok().json();
    assert_eq!((done["new"].as_u64(), done["known"].as_u64()), (Some(0), Some(1000)));
}

#[test]
fn on_a_terminal_each_doubtful_line_is_asked() {
    let (shop, _) = declared();
    std::fs::write(
        shop.path("n.txt"),
        format!("2020-01-01 10:00 far too early\n2020-01-02 10:00 this too\n{} good\n", ago(5)),
    )
    .unwrap();
    let file = shop.path("n.txt").display().to_string();
    let pty = Pty::mayday(&shop.home, &["import", &file], 100, 30);
    pty.wait_for("line 1");
    pty.wait_for("s to leave it out");
    pty.send("1\r");
    pty.wait_for("line 2: it lies more than a day before");
    pty.send("s\r");
    pty.wait_for("import 2 lines");
    pty.send("y\r");
    pty.wait_for("2 new, 0 were there");
    let entries = imported(&shop);
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().any(|e| e["payload"]["happened_at"] == "2020-01-01T10:00:00.000Z"), "{entries:?}");
}

#[test]
fn one_answer_does_for_all_lines_with_the_same_doubt() {
    let (shop, _) = declared();
    let text: String = (0..5).map(|n| format!("2020-01-01 10:0{n} line {n}\n")).collect();
    std::fs::write(shop.path("n.txt"), text).unwrap();
    let file = shop.path("n.txt").display().to_string();
    let pty = Pty::mayday(&shop.home, &["import", &file], 100, 40);
    pty.wait_for("a for it and all with the same doubt");
    pty.send("a\r");
    pty.wait_for("import 5 lines");
    pty.send("y\r");
    pty.wait_for("5 new, 0 were there");
    assert_eq!(imported(&shop).len(), 5);
}
