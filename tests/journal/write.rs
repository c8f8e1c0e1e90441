//! Recording, rotation, checkpoints and reading by position, on a real disk.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use mayday::domain::event::Event;
use mayday::journal::{AppendError, Head, Journal, OpenOptions, Opened, Reader, verify};
use serde_json::json;

use super::support::*;

#[test]
fn a_new_folder_has_an_empty_record() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, opened) = Journal::open(dir.path(), OpenOptions::new("db1")).unwrap();
    assert_eq!(opened, Opened::default());
    assert_eq!((journal.head(), journal.next_seq(), opened.fold_from()), (Head::GENESIS, 1, 1));
    assert_eq!(journal.entries(1).unwrap().count(), 0);
    assert_eq!(journal.tail(5).unwrap().entries, []);
    assert_eq!(fs::metadata(live(dir.path())).unwrap().mode() & 0o777, 0o600);
    drop(journal);
    assert!(verify(dir.path(), None).unwrap().is_whole());
    let e = Journal::open(&dir.path().join("none"), OpenOptions::new("db1")).unwrap_err().to_string();
    assert!(e.starts_with("open the journal in /") && e.contains("none: "), "{e}");
    let e = Reader::open(&dir.path().join("none")).unwrap_err().to_string();
    assert!(e.contains("none: "), "{e}");
}

#[test]
fn what_is_read_back_is_what_was_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let long = "ä\"\\\u{1}\u{2028}x".repeat(8_000);
    assert!(long.len() > 64 << 10);
    let unknown = Event::Unknown { kind: "moon.phase".into(), payload: json!({"b": 1, "a": [1.5, null, {"z": "y"}]}) };
    let drafts = [note(1, &long), note(2, ""), draft(3, unknown.clone()), note(4, "{\"hash\":\"x\"},\"hash\":\"y\"")];
    let (mut journal, _) = Journal::open(dir.path(), OpenOptions::new("h\"ost,\"hash\":\"")).unwrap();
    let mut recorded = journal.append(&drafts[..2]).unwrap();
    recorded.extend(journal.append(&drafts[2..]).unwrap());
    assert_eq!(recorded.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(recorded[2].event, unknown);
    assert_eq!(all(&journal), recorded);
    let head = journal.head();
    drop(journal);
    let (journal, opened) = Journal::open(dir.path(), OpenOptions::new("other")).unwrap();
    assert_eq!((journal.head(), opened.damage, opened.since), (head, vec![], 4));
    assert_eq!(all(&journal), recorded);
    assert_eq!(recorded[0].host, "h\"ost,\"hash\":\"");
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.entries(1).unwrap().map(|e| e.unwrap()).collect::<Vec<_>>(), recorded);
    // The order of a payload's fields is kept, also by a version that does not know them.
    let stored = fs::read_to_string(live(dir.path())).unwrap();
    assert!(stored.contains(r#""payload":{"b":1,"a":[1.5,null,{"z":"y"}]}}"#));
}

#[test]
fn parts_follow_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path(), small()).unwrap();
    let mut recorded = Vec::new();
    for n in 0..40 {
        recorded.extend(journal.append(&notes(n * 5..n * 5 + 5)).unwrap());
    }
    let names: Vec<String> = verify(dir.path(), None).unwrap().parts.into_iter().map(|p| p.name).collect();
    assert!(names.len() > 10);
    assert_eq!(names[0], "journal-000001.jsonl");
    assert_eq!(names.last().unwrap(), "journal.jsonl");
    // The first line of a part follows the last one of the part before.
    let hash = |line: &str, name: &str| line.split_once(name).unwrap().1[..64].to_owned();
    let part = |n: usize| fs::read_to_string(dir.path().join(&names[n])).unwrap();
    assert_eq!(hash(&part(1), "\"prev\":\""), hash(part(0).lines().last().unwrap(), "\"hash\":\""));
    // A closed part does not keep the space that was reserved behind it.
    let closed = fs::metadata(dir.path().join(&names[0])).unwrap();
    assert!(closed.blocks() * 512 < closed.len() + (32 << 10), "{} blocks", closed.blocks());

    for journal in [journal, Journal::open(dir.path(), small()).unwrap().0] {
        assert_eq!(all(&journal), recorded);
        for from in [1, 2, 64, 65, 66, 100, 199, 200, 201] {
            let page = journal.read_range(from, 7).unwrap();
            let wanted: Vec<_> = recorded.iter().skip(from as usize - 1).take(7).cloned().collect();
            assert_eq!((page.entries, page.damage), (wanted, vec![]), "from {from}");
        }
        assert_eq!(journal.tail(3).unwrap().entries, recorded[197..]);
        assert_eq!(journal.tail(1000).unwrap().entries, recorded);
        rows_are_found(&recorded, |id, row, n| journal.incident_page(id, row, n).unwrap().entries);
    }
    // The same without the indexes, and from outside.
    for name in fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()) {
        if name.extension().is_some_and(|e| e == "index") {
            fs::remove_file(name).unwrap();
        }
    }
    let reader = Reader::open(dir.path()).unwrap();
    rows_are_found(&recorded, |id, row, n| reader.incident_page(id, row, n).unwrap().entries);
    assert_eq!(reader.tail(3).unwrap().entries, recorded[197..]);
    assert_eq!((reader.last_seq().unwrap(), reader.incident_rows("INC-2026-001").unwrap()), (200, 67));
}

fn rows_are_found(
    recorded: &[mayday::domain::event::Entry],
    page: impl Fn(&str, u64, usize) -> Vec<mayday::domain::event::Entry>,
) {
    for id in ["INC-2026-001", "INC-2026-002", "none"] {
        let rows: Vec<_> = recorded.iter().filter(|e| e.incident.as_deref() == Some(id)).cloned().collect();
        assert_eq!(page(id, 0, usize::MAX), rows);
        for (row, n) in [(0, 1), (1, 10), (62, 3), (30, 30), (66, 5), (67, 5)] {
            let wanted: Vec<_> = rows.iter().skip(row).take(n).cloned().collect();
            assert_eq!(page(id, row as u64, n), wanted, "{id} from row {row}");
        }
    }
}

#[test]
fn an_index_that_does_not_fit_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path(), small()).unwrap();
    for n in 0..60 {
        journal.append(&[note(n, "x")]).unwrap();
    }
    drop(journal);
    // Whole in itself, and of another part.
    fs::copy(dir.path().join("journal-000002.index"), dir.path().join("journal-000001.index")).unwrap();
    fs::write(dir.path().join("journal-000003.index"), "rubbish").unwrap();
    let (journal, _) = Journal::open(dir.path(), small()).unwrap();
    let rows = journal.incident_entries("INC-2026-001").unwrap();
    assert_eq!((rows.entries.len(), rows.damage.len()), (20, 0));
}

#[test]
fn a_checkpoint_spares_what_came_before() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path(), small()).unwrap();
    for n in 0..50 {
        journal.append(&[note(n, "x")]).unwrap();
    }
    assert!(journal.checkpoint(51, &json!({})).is_err());
    journal.checkpoint(45, &json!({"open": ["INC-1"], "n": 45})).unwrap();
    let head = journal.head();
    drop(journal);
    // An old part that is broken is not read, so it does not matter for starting.
    let (journal, opened) = Journal::open(dir.path(), small()).unwrap();
    let checkpoint = opened.checkpoint.clone().unwrap();
    assert_eq!((checkpoint.seq, checkpoint.state_json.as_str()), (45, r#"{"open":["INC-1"],"n":45}"#));
    assert_eq!((opened.fold_from(), opened.since, opened.checkpoint_dropped.clone()), (46, 5, None));
    assert_eq!(journal.entries(opened.fold_from()).unwrap().count(), 5);
    assert_eq!(journal.head(), head);
    drop(journal);

    // Whatever does not fit is dropped, and everything is there all the same.
    let path = dir.path().join("checkpoint.json");
    let good = fs::read_to_string(&path).unwrap();
    let version = format!("\"version\":\"{}\"", env!("CARGO_PKG_VERSION"));
    for (bad, why) in [
        (good.replace("\"seq\":45", "\"seq\":44"), "the journal has no entry 44"),
        (good.replace(&version, "\"version\":\"0.0.0\""), "it was written by mayday 0.0.0"),
        (good.replace("INC-1", "INC-2"), "its state is not as it was written"),
        (good[..good.len() / 2].to_owned(), "it does not read"),
        (good.replace("\"offset\":", "\"offset\":7"), "the journal has no entry 45"),
        (good.replace("\"part\":", "\"part\":9"), "the journal has no entry 45"),
        (String::new(), "it does not read"),
    ] {
        fs::write(&path, &bad).unwrap();
        let (journal, opened) = Journal::open(dir.path(), small()).unwrap();
        let dropped = opened.checkpoint_dropped.clone().unwrap();
        assert!(dropped.starts_with(why), "{dropped}");
        assert_eq!((opened.checkpoint.clone(), opened.since, opened.fold_from()), (None, 50, 1));
        assert_eq!((journal.head(), opened.damage), (head, vec![]));
    }
    fs::write(&path, &good).unwrap();
    fs::remove_file(dir.path().join("journal.index")).unwrap();
    let (journal, opened) = Journal::open(dir.path(), small()).unwrap();
    assert_eq!((opened.since, journal.incident_rows("INC-2026-001").unwrap()), (5, 17));
}

#[test]
fn reading_goes_on_while_entries_are_appended() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path(), small()).unwrap();
    journal.append(&notes(0..30)).unwrap();
    let mut entries = journal.entries(1).unwrap();
    assert_eq!(entries.next().unwrap().unwrap().seq, 1);
    let other = std::thread::spawn(move || entries.map(|e| e.unwrap().seq).collect::<Vec<_>>());
    let outside = std::thread::spawn({
        let dir = dir.path().to_owned();
        move || {
            for _ in 0..50 {
                let reader = Reader::open(&dir).unwrap();
                let seqs: Vec<u64> = reader.entries(1).unwrap().map(|e| e.unwrap().seq).collect();
                assert!(seqs.len() >= 30 && seqs.iter().enumerate().all(|(i, seq)| *seq == i as u64 + 1), "{seqs:?}");
            }
        }
    });
    for n in 0..100 {
        journal.append(&notes(n * 3..n * 3 + 3)).unwrap();
    }
    // It ends where the record ended when it was made.
    assert_eq!(other.join().unwrap(), (2..=30).collect::<Vec<_>>());
    outside.join().unwrap();
}

#[test]
fn what_is_too_large_is_refused_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path(), OpenOptions::new("h")).unwrap();
    journal.append(&notes(0..1)).unwrap();
    let e = journal.append(&[note(1, &"x".repeat(17 << 20))]).unwrap_err();
    assert!(matches!(e, AppendError::Unfit { .. }) && e.to_string().contains("note.added"), "{e}");
    let many: Vec<_> = (0..20).map(|n| note(n, &"x".repeat(1 << 20))).collect();
    assert!(matches!(journal.append(&many).unwrap_err(), AppendError::Unfit { .. }));
    journal.append(&many[..10]).unwrap();
    assert_eq!(journal.next_seq(), 12);
    drop(journal);
    assert!(verify(dir.path(), None).unwrap().is_whole());
}

/// A disk on which writing a checkpoint takes until it is let go.
#[derive(Debug)]
struct Slow {
    held: std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
    reached: std::sync::mpsc::Sender<()>,
    disk: mayday::journal::storage::Disk,
}

impl mayday::journal::storage::Storage for Slow {
    fn open(
        &self,
        path: &Path,
        access: mayday::journal::storage::Access,
    ) -> std::io::Result<std::sync::Arc<dyn mayday::journal::storage::StoredFile>> {
        if path.ends_with("checkpoint.json.new") {
            self.reached.send(()).unwrap();
            self.held.lock().unwrap().recv().unwrap();
        }
        self.disk.open(path, access)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.disk.remove(path)
    }
    fn list(&self, dir: &Path) -> std::io::Result<Vec<String>> {
        self.disk.list(dir)
    }
    fn sync_dir(&self, dir: &Path) -> std::io::Result<()> {
        self.disk.sync_dir(dir)
    }
}

#[test]
fn a_checkpoint_is_written_beside_the_recording_and_the_later_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (let_go, held) = std::sync::mpsc::channel();
    let (reached, at_it) = std::sync::mpsc::channel();
    let disk = mayday::journal::storage::Disk::default();
    let slow = Slow { held: std::sync::Mutex::new(held), reached, disk };
    let options = OpenOptions { storage: std::sync::Arc::new(slow), ..small() };
    let (mut journal, _) = Journal::open(dir.path(), options.clone()).unwrap();
    journal.append(&notes(1..6)).unwrap();
    let first = journal.begin_checkpoint(5).unwrap();
    let late = journal.begin_checkpoint(3).unwrap();
    let writing = std::thread::spawn(move || first.write(&json!({"n": 5})).unwrap());
    at_it.recv().unwrap();
    // Entries, parts that are closed, and the next checkpoint begun, while it is not written yet.
    for n in 6..40 {
        journal.append(&notes(n..n + 1)).unwrap();
    }
    let begun = journal.begin_checkpoint(39).unwrap();
    let_go.send(()).unwrap();
    assert!(writing.join().unwrap());
    // What was overtaken leaves the newer one in its place.
    assert!(!late.write(&json!({"n": 3})).unwrap());
    drop(journal);
    let (mut journal, opened) = Journal::open(dir.path(), options.clone()).unwrap();
    assert_eq!(opened.checkpoint.as_ref().map(|c| c.state_json.as_str()), Some(r#"{"n":5}"#), "{opened:?}");
    assert_eq!((opened.damage.len(), journal.head().seq), (0, 39));
    drop(begun);
    // What is blanked in the record does not come back by a checkpoint that was begun before.
    let begun = journal.begin_checkpoint(39).unwrap();
    journal.redact(redaction(40, 7)).unwrap();
    assert!(!begun.write(&json!({"note": "the secret"})).unwrap());
    assert!(!dir.path().join("checkpoint.json").exists());
    let (_, opened) = Journal::open(dir.path(), options).unwrap();
    assert_eq!(opened.checkpoint, None);
}
