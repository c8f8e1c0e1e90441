//! A redacted payload is gone from every file, and the chain holds.

use std::fs;
use std::path::Path;

use mayday::domain::event::Event;
use mayday::journal::{Journal, Reader, RedactError, verify};

use super::memory::{Dice, Memory};
use super::support::*;

const SECRET: &str = "hunter2-is-the-password";

fn holds(path: &Path, what: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap().map(|e| e.unwrap().path()) {
        let bytes = fs::read(&entry).unwrap();
        if bytes.windows(what.len()).any(|w| w == what.as_bytes()) {
            found.push(entry.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    found
}

#[test]
fn in_every_part_no_byte_of_it_is_left() {
    for place in [1, 7, 30, 58] {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path(), small()).unwrap();
        for n in 1..=60 {
            let text = if n == place { format!("it says {SECRET}") } else { format!("note {n}") };
            journal.append(&[note(n, &text)]).unwrap();
        }
        let before = Reader::open(dir.path()).unwrap().entries(1).unwrap().map(|e| e.unwrap()).collect::<Vec<_>>();
        journal.checkpoint(60, &serde_json::json!({ "notes": [SECRET] })).unwrap();
        fs::write(
            dir.path().join("journal.torn-20261120T021407Z"),
            format!("{{\"v\":1,\"seq\":1,\"salt\":\"00\",\"payload\":{{\"text\":\"{SECRET}"),
        )
        .unwrap();
        assert_eq!(holds(dir.path(), SECRET).len(), 3);

        let entry = journal.redact(redaction(61, place)).unwrap();
        assert_eq!((entry.seq, journal.head().seq), (61, 61));
        assert_eq!(holds(dir.path(), SECRET), [] as [String; 0]);
        for open in [0, 1] {
            let journal = if open == 0 { &journal } else { &Journal::open(dir.path(), small()).unwrap().0 };
            let after = all(journal);
            assert_eq!(after.len(), 61);
            for (a, b) in before.iter().zip(&after) {
                if a.seq == place {
                    assert_eq!((a.at, &a.actor, &a.incident), (b.at, &b.actor, &b.incident));
                    let blank =
                        Event::Unknown { kind: "note.added".into(), payload: serde_json::json!({"redacted": 61}) };
                    assert_eq!(b.event, blank);
                } else {
                    assert_eq!(a, b);
                }
            }
            let rows = journal.incident_rows("INC-2026-001").unwrap();
            assert_eq!(journal.incident_entries("INC-2026-001").unwrap().entries.len() as u64, rows);
        }
        journal.append(&notes(70..75)).unwrap();
        let report = verify(dir.path(), None).unwrap();
        assert!(report.is_whole(), "{:?}", report.faults);
        let [r] = report.redactions.as_slice() else { panic!("{:?}", report.redactions) };
        assert_eq!((r.seq, r.by, r.who.as_str(), r.why.as_str(), r.done), (place, 61, "oncall1", "a password", true));

        let again = journal.redact(redaction(80, place)).unwrap_err();
        assert!(matches!(&again, RedactError::Refused { .. }) && again.to_string().contains("already"), "{again}");
        for (seq, why) in [(61, "says itself"), (999, "no entry 999")] {
            let e = journal.redact(redaction(80, seq)).unwrap_err().to_string();
            assert!(e.contains(why), "{e}");
        }
        assert_eq!(journal.head().seq, 66);
    }
}

#[test]
fn the_salt_is_gone_so_that_the_text_cannot_be_guessed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path(), small()).unwrap();
    journal.append(&[note(1, "4711")]).unwrap();
    let field = |name: &str| {
        let line = fs::read_to_string(live(dir.path())).unwrap().lines().next().unwrap().to_owned();
        line.split_once(&format!("\"{name}\":\"")).map(|(_, rest)| rest.split_once('"').unwrap().0.to_owned())
    };
    let (salt, digest, hash) = (field("salt").unwrap(), field("digest"), field("hash"));
    assert_eq!(salt.len(), 32);
    journal.redact(redaction(2, 1)).unwrap();
    assert_eq!((field("salt"), field("digest"), field("hash")), (None, digest, hash));
    assert_eq!(holds(dir.path(), &salt), [] as [String; 0]);
}

#[test]
fn blanking_without_saying_so_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path(), small()).unwrap();
    journal.append(&notes(1..4)).unwrap();
    journal.redact(redaction(9, 1)).unwrap();
    drop(journal);
    let path = live(dir.path());
    let text = fs::read_to_string(&path).unwrap();
    // Somebody blanks the second as well, and points at the same entry.
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let header = lines[1].split_once(",\"salt\":").unwrap().0;
    let blanked = format!("{header},\"salt\":null,\"payload\":{{\"redacted\":4}}}}\n");
    fs::write(&path, [lines[0], &blanked, lines[2], lines[3]].concat()).unwrap();
    let report = verify(dir.path(), None).unwrap();
    let fault = report.first_fault().unwrap();
    assert_eq!((fault.line, fault.why.as_str()), (2, "entry 2 was blanked, and entry 4 does not say so"));
}

#[test]
fn cut_short_anywhere_it_is_finished_on_opening() {
    let mut finished = 0;
    for calls in 0.. {
        let disk = Memory::new();
        let (mut journal, _) = open(&disk);
        for n in 1..=30 {
            journal.append(&[note(n, if n == 3 { SECRET } else { "x" })]).unwrap();
        }
        journal.checkpoint(30, &SECRET).unwrap();
        disk.power_off_after(calls);
        let done = journal.redact(redaction(31, 3)).is_ok();
        let disk = disk.after_crash(&mut Dice(calls));
        let (journal, opened) = open(&disk);
        if journal.head().seq == 31 {
            finished += usize::from(opened.redacted == [3]);
            for (path, bytes) in disk.files() {
                assert!(
                    !bytes.windows(SECRET.len()).any(|w| w == SECRET.as_bytes()),
                    "{} after {calls} calls",
                    path.display()
                );
            }
            assert_eq!(opened.checkpoint, None);
        }
        assert_eq!(opened.damage, []);
        assert_whole(&disk);
        if done {
            break;
        }
    }
    assert!(finished > 5, "it was cut short and finished only {finished} times");
}

#[test]
fn what_cannot_be_blanked_now_is_tried_again() {
    let disk = Memory::new();
    let (mut journal, _) = open(&disk);
    let big = mayday::journal::OpenOptions { rotate_bytes: 1 << 20, ..on(&disk) };
    drop(journal);
    journal = Journal::open(&dir(), big).unwrap().0;
    journal.append(&[note(1, SECRET), note(2, &"x".repeat(40_000))]).unwrap();
    disk.set_capacity(Some(disk.used()));
    let e = journal.redact(redaction(3, 1)).unwrap_err();
    assert!(matches!(e, RedactError::Unfinished { seq: 1, by: 3, .. }), "{e}");
    let tended = journal.tend();
    assert!(tended.unredacted.is_some_and(|why| why.contains("journal.jsonl")));
    journal.append(&notes(4..5)).unwrap();
    disk.set_capacity(None);
    assert_eq!(journal.tend().unredacted, None);
    assert_eq!(all(&journal).len(), 4);
    assert!(!disk.get(&dir().join("journal.jsonl")).unwrap().windows(SECRET.len()).any(|w| w == SECRET.as_bytes()));
    assert_whole(&disk);
}
