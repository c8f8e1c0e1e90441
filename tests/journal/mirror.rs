//! The mirror has every entry, whatever became of it in between, and never holds up the record.

use std::fs;
use std::path::Path;
use std::time::Duration;

use mayday::journal::{Journal, OpenOptions, Reader, verify};

use super::support::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn with(path: &Path) -> OpenOptions {
    OpenOptions { mirror: Some(path.to_owned()), ..small() }
}

fn concat(dir: &Path) -> String {
    let report = verify(dir, None).unwrap();
    assert!(report.is_whole(), "{:?}", report.faults);
    report.parts.iter().map(|part| fs::read_to_string(dir.join(&part.name)).unwrap()).collect()
}

#[test]
fn it_has_every_line_and_catches_up() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = other.path().join("db1.jsonl");
    let (mut journal, _) = Journal::open(dir.path(), small()).unwrap();
    assert_eq!(journal.mirror(), None);
    for n in 0..30 {
        journal.append(&notes(n..n + 1)).unwrap();
    }
    drop(journal);
    // One that begins late gets what was before.
    for round in 0..3 {
        let (mut journal, _) = Journal::open(dir.path(), with(&path)).unwrap();
        for n in 0..40 {
            journal.append(&notes(n * 2..n * 2 + 2)).unwrap();
        }
        assert!(journal.close(PATIENCE));
        assert_eq!(fs::read_to_string(&path).unwrap(), concat(dir.path()), "round {round}");
        // And one that was torn is put right.
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 700 * round - 5]).unwrap();
    }
    let reader = Reader::open(&path).unwrap();
    assert!(reader.entries(1).unwrap().count() > 200);
    assert!(verify(&path, None).unwrap().is_whole());
}

#[test]
fn a_redaction_reaches_it() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = other.path().join("db1.jsonl");
    let (mut journal, _) = Journal::open(dir.path(), with(&path)).unwrap();
    for n in 0..50 {
        journal.append(&[note(n, if n == 4 || n == 48 { "hunter2" } else { "x" })]).unwrap();
    }
    wait_until("the mirror has it", || journal.mirror().unwrap().behind == 0);
    assert_eq!(fs::read_to_string(&path).unwrap().matches("hunter2").count(), 2);
    journal.redact(redaction(50, 5)).unwrap();
    journal.redact(redaction(51, 49)).unwrap();
    journal.append(&notes(60..63)).unwrap();
    assert!(journal.close(PATIENCE));
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, concat(dir.path()));
    assert!(!text.contains("hunter2"));
}

#[test]
fn one_of_another_record_is_not_touched() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut stranger, _) = Journal::open(other.path(), small()).unwrap();
    stranger.append(&notes(0..3)).unwrap();
    drop(stranger);
    let path = other.path().join("journal.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let (mut journal, _) = Journal::open(dir.path(), with(&path)).unwrap();
    journal.append(&notes(0..5)).unwrap();
    wait_until("it says so", || journal.mirror().unwrap().error.is_some());
    let state = journal.mirror().unwrap();
    let error = state.error.unwrap();
    assert!(error.contains("db1") || error.contains("journal.jsonl"), "{error}");
    assert!(error.contains("which is not in this record"), "{error}");
    assert_eq!((state.behind, state.path.as_path()), (5, path.as_path()));
    journal.append(&notes(5..6)).unwrap();
    assert!(!journal.close(Duration::from_millis(1)));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn one_that_cannot_be_written_holds_up_nothing_and_recovers() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = other.path().join("not-there-yet/db1.jsonl");
    let (mut journal, _) = Journal::open(dir.path(), with(&path)).unwrap();
    journal.append(&notes(0..5)).unwrap();
    wait_until("it says so", || journal.mirror().unwrap().error.is_some());
    journal.append(&notes(5..10)).unwrap();
    fs::create_dir(path.parent().unwrap()).unwrap();
    assert!(journal.mirror().unwrap().behind > 0);
    wait_until("it has caught up", || journal.mirror().unwrap().behind == 0);
    assert_eq!(journal.mirror().unwrap().error, None);
    assert_eq!(fs::read_to_string(&path).unwrap(), concat(dir.path()));
}

#[test]
fn damage_is_left_out_and_what_follows_is_there() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = other.path().join("db1.jsonl");
    let (mut journal, _) = Journal::open(dir.path(), small()).unwrap();
    journal.append(&notes(0..5)).unwrap();
    drop(journal);
    let text = fs::read_to_string(live(dir.path())).unwrap();
    fs::write(live(dir.path()), text.replace("note 2", "note 7")).unwrap();
    let (journal, opened) = Journal::open(dir.path(), with(&path)).unwrap();
    assert_eq!(opened.damaged, 1);
    wait_until("it has doubts", || journal.mirror().unwrap().error.is_some());
    assert!(journal.mirror().unwrap().error.unwrap().contains("entry 3 cannot be read"));
    wait_until("it goes on", || journal.mirror().unwrap().behind == 0);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    assert_eq!(fs::read_to_string(&path).unwrap(), [lines[0], lines[1], lines[3], lines[4]].concat());
}
