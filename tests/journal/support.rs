//! What the tests of the record share.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mayday::domain::event::{Entry, EntryRedacted, Event, NoteAdded};
use mayday::domain::{Actor, Time};
use mayday::journal::{Draft, Journal, OpenOptions, Opened, verify_with};

use super::memory::Memory;

/// The folder of a record in memory.
pub fn dir() -> PathBuf {
    PathBuf::from("/state")
}

pub fn draft(n: u64, event: Event) -> Draft {
    Draft {
        at: Time::from_ms(1_795_140_847_318 + i64::try_from(n).unwrap()),
        boot_ms: 1_000 + n,
        boot: "3b1c".into(),
        actor: Actor { user: "oncall1".into(), uid: Some(1004), via: "key .".into(), ..Actor::default() },
        incident: (!n.is_multiple_of(3)).then(|| format!("INC-2026-{:03}", n % 3)),
        event,
    }
}

pub fn note(n: u64, text: &str) -> Draft {
    draft(n, NoteAdded { text: text.into(), happened_at: None }.into())
}

pub fn notes(n: std::ops::Range<u64>) -> Vec<Draft> {
    n.map(|n| note(n, &format!("note {n}"))).collect()
}

pub fn redaction(n: u64, seq: u64) -> Draft {
    draft(n, EntryRedacted { seq, why: "a password".into(), left: false, files: Vec::new() }.into())
}

/// Small parts and a small reserve.
pub fn small() -> OpenOptions {
    OpenOptions { rotate_bytes: 4_000, reserve_bytes: 32 << 10, ..OpenOptions::new("db1") }
}

pub fn on(disk: &Memory) -> OpenOptions {
    OpenOptions { storage: disk.storage(), ..small() }
}

pub fn open(disk: &Memory) -> (Journal, Opened) {
    Journal::open(&dir(), on(disk)).unwrap()
}

/// All entries; what cannot be read fails the test.
pub fn all(journal: &Journal) -> Vec<Entry> {
    journal.entries(1).unwrap().map(|entry| entry.unwrap()).collect()
}

pub fn text(entry: &Entry) -> &str {
    match &entry.event {
        Event::NoteAdded(note) => &note.text,
        other => panic!("entry {} is no note: {other:?}", entry.seq),
    }
}

/// Nothing is wrong with the record in memory.
pub fn assert_whole(disk: &Memory) {
    let report = verify_with(&disk.storage(), &dir(), None).unwrap();
    assert!(report.is_whole(), "{:#?}", report.faults);
}

/// Waits until it is so, at most 20 s.
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The live part of a real folder.
pub fn live(dir: &Path) -> PathBuf {
    dir.join("journal.jsonl")
}
