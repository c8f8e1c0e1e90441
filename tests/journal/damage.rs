//! What was changed, removed, swapped or cut is found, and told where.

use std::fs;
use std::path::{Path, PathBuf};

use mayday::journal::{Anchor, Journal, OpenOptions, Reader, verify, verify_with};
use proptest::prelude::*;
use tempfile::TempDir;

use super::memory::Memory;
use super::support::*;

/// Parts that are not closed in these tests.
fn whole() -> OpenOptions {
    OpenOptions { rotate_bytes: 1 << 20, ..small() }
}

/// Ten entries in one part.
fn record() -> (TempDir, PathBuf, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let options = mayday::journal::OpenOptions { rotate_bytes: 1 << 20, ..small() };
    let (mut journal, _) = Journal::open(dir.path(), options).unwrap();
    journal.append(&notes(0..10)).unwrap();
    let path = live(dir.path());
    let lines = fs::read_to_string(&path).unwrap().split_inclusive('\n').map(str::to_owned).collect();
    (dir, path, lines)
}

fn write(path: &Path, lines: &[String]) {
    fs::write(path, lines.concat()).unwrap();
}

#[test]
fn a_removed_line_is_told() {
    let (dir, path, mut lines) = record();
    lines.remove(4);
    write(&path, &lines);
    let report = verify(dir.path(), None).unwrap();
    let fault = report.first_fault().unwrap();
    assert_eq!((fault.part.as_str(), fault.line), ("journal.jsonl", 5));
    assert_eq!(fault.byte as usize, lines[..4].concat().len());
    assert_eq!(fault.why, "entry 5 is missing before entry 6");
    assert_eq!((report.faulty, report.entries), (1, 9));
    assert_eq!(
        fault.to_string(),
        format!("journal.jsonl line 5 (byte {}): entry 5 is missing before entry 6", fault.byte)
    );
}

#[test]
fn swapped_lines_are_told() {
    let (dir, path, mut lines) = record();
    lines.swap(3, 4);
    write(&path, &lines);
    let report = verify(dir.path(), None).unwrap();
    assert_eq!(report.first_fault().map(|f| f.line), Some(4));
    assert!(!report.is_whole());
}

#[test]
fn a_cut_end_shows_against_the_anchor() {
    let (dir, path, lines) = record();
    let whole = verify(dir.path(), None).unwrap();
    assert!(whole.is_whole());
    let anchor = whole.head.hash.short();
    assert_eq!(anchor.len(), 8);
    let found = verify(dir.path(), Some(anchor)).unwrap();
    assert!(matches!(&found.anchor, Some(Anchor::Found(at)) if at.len() == 1 && at[0].0 == 10), "{:?}", found.anchor);
    // Any head of before is found as well, and where it stood.
    let sixth = Hash::of_line(&lines[5]);
    let found = verify(dir.path(), Some(&sixth.to_uppercase())).unwrap();
    assert!(matches!(&found.anchor, Some(Anchor::Found(at)) if at[0].0 == 6));

    write(&path, &lines[..9]);
    let cut = verify(dir.path(), Some(anchor)).unwrap();
    assert_eq!((cut.faulty, cut.anchor.clone()), (0, Some(Anchor::Missing)));
    assert!(!cut.is_whole());
    for no in ["9f3a12c", "9f3a12cz", ""] {
        let e = verify(dir.path(), Some(no)).unwrap_err().to_string();
        assert!(e.contains("is no anchor"), "{e}");
    }
}

struct Hash;

impl Hash {
    fn of_line(line: &str) -> String {
        line.split_once("\"hash\":\"").unwrap().1[..64].to_owned()
    }
}

#[test]
fn a_rewritten_end_shows_against_the_anchor_and_the_checkpoint() {
    let (dir, path, lines) = record();
    let (mut journal, _) = Journal::open(dir.path(), whole()).unwrap();
    journal.checkpoint(10, &"state").unwrap();
    let anchor = journal.head().hash.to_string();
    drop(journal);
    // Somebody who knows the format writes the last three anew: that chain holds.
    write(&path, &lines[..7]);
    let kept = fs::read(dir.path().join("checkpoint.json")).unwrap();
    fs::remove_file(dir.path().join("checkpoint.json")).unwrap();
    let (mut journal, _) = Journal::open(dir.path(), whole()).unwrap();
    journal.append(&notes(20..23)).unwrap();
    drop(journal);
    assert!(verify(dir.path(), None).unwrap().is_whole());
    assert_eq!(verify(dir.path(), Some(&anchor)).unwrap().anchor, Some(Anchor::Missing));
    fs::write(dir.path().join("checkpoint.json"), &kept).unwrap();
    let report = verify(dir.path(), None).unwrap();
    assert!(report.first_fault().unwrap().why.contains("the record was rewritten"), "{:?}", report.faults);
    let (_, opened) = Journal::open(dir.path(), whole()).unwrap();
    assert!(opened.checkpoint.is_none() && opened.checkpoint_dropped.is_some());

    // And a record that ends before its checkpoint was cut.
    write(&path, &lines[..7]);
    let (_, opened) = Journal::open(dir.path(), whole()).unwrap();
    assert!(opened.damage[0].why.contains("the checkpoint has seen entry 10"), "{:?}", opened.damage);
    assert!(opened.checkpoint.is_none());
    assert!(!verify(dir.path(), None).unwrap().is_whole());
}

#[test]
fn missing_parts_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path(), small()).unwrap();
    for n in 0..60 {
        journal.append(&[note(n, "x")]).unwrap();
    }
    drop(journal);
    fs::remove_file(dir.path().join("journal-000002.jsonl")).unwrap();
    let report = verify(dir.path(), None).unwrap();
    assert_eq!(
        report.first_fault().unwrap().to_string(),
        "journal-000003.jsonl: journal-000002.jsonl is missing before it"
    );
    let (journal, opened) = Journal::open(dir.path(), small()).unwrap();
    assert!(opened.damaged >= 2);
    assert_eq!(journal.head().seq, 60);
    fs::remove_file(dir.path().join("journal-000001.jsonl")).unwrap();
    let report = verify(dir.path(), None).unwrap();
    assert!(report.first_fault().unwrap().why.starts_with("journal-000001.jsonl to journal-000002.jsonl are missing"));
}

#[test]
fn what_follows_damage_is_still_read_and_written() {
    let (dir, path, mut lines) = record();
    lines[4] = "{\"v\":1,\"seq\":5,garbage}\n".into();
    write(&path, &lines);
    let (mut journal, opened) = Journal::open(dir.path(), whole()).unwrap();
    assert_eq!((opened.damaged, opened.damage[0].line), (1, 5));
    assert!(opened.healed.is_none());
    let read: Vec<Result<u64, u64>> =
        journal.entries(1).unwrap().map(|e| e.map(|e| e.seq).map_err(|d| d.line)).collect();
    assert_eq!(read, [Ok(1), Ok(2), Ok(3), Ok(4), Err(5), Ok(6), Ok(7), Ok(8), Ok(9), Ok(10)]);
    let page = journal.read_range(4, 3).unwrap();
    assert_eq!((page.entries.len(), page.damage.len()), (3, 1));
    assert_eq!(journal.append(&notes(30..31)).unwrap()[0].seq, 11);
    drop(journal);
    // One fault stays one fault, and appending heals nothing of it.
    let report = verify(dir.path(), None).unwrap();
    assert_eq!((report.faulty, report.entries), (1, 10));
}

#[test]
fn a_forged_number_is_damage() {
    use sha2::{Digest, Sha256};
    let (dir, path, mut lines) = record();
    // Right in itself, because whoever forges knows the format too.
    let (header, rest) = lines[4].split_once(",\"hash\":\"").unwrap();
    let header = header.replace("\"seq\":5,", "\"seq\":18446744073709551615,");
    let prev = &header.split_once("\"prev\":\"").unwrap().1[..64];
    let hash = hex::encode(Sha256::digest(format!("{prev}{header}")));
    lines[4] = format!("{header},\"hash\":\"{hash}{}", &rest[64..]);
    write(&path, &lines);
    let (mut journal, opened) = Journal::open(dir.path(), whole()).unwrap();
    assert_eq!((opened.damaged, journal.next_seq()), (1, 11));
    assert_eq!(opened.damage[0].why, "no entry has the seq 18446744073709551615");
    journal.append(&notes(20..21)).unwrap();
    drop(journal);
    assert_eq!(verify(dir.path(), None).unwrap().faulty, 1);
}

#[test]
fn an_altered_last_line_is_damage_and_no_tear() {
    let (dir, path, mut lines) = record();
    lines[9] = lines[9].replace("note 9", "note 8");
    write(&path, &lines);
    let (mut journal, opened) = Journal::open(dir.path(), whole()).unwrap();
    assert_eq!(opened.healed, None);
    assert_eq!(opened.damage[0].why, "entry 10 was changed: its digest does not fit its payload");
    assert_eq!(journal.append(&notes(30..31)).unwrap()[0].seq, 11);
    drop(journal);
    assert_eq!(verify(dir.path(), None).unwrap().faulty, 1);
    assert_eq!(fs::read_to_string(&path).unwrap().split_inclusive('\n').nth(9), Some(lines[9].as_str()));
}

#[test]
fn lines_of_a_newer_mayday_are_left_alone() {
    let (dir, path, mut lines) = record();
    lines[9] = lines[9].replacen("{\"v\":1", "{\"v\":2", 1);
    write(&path, &lines);
    let e = Journal::open(dir.path(), whole()).unwrap_err().to_string();
    assert!(e.contains("newer mayday"), "{e}");
    assert_eq!(fs::read_to_string(&path).unwrap(), lines.concat());
    // One in the middle is a changed digit, and nothing to stop for.
    let mut middle = lines.clone();
    middle[9] = middle[9].replacen("{\"v\":2", "{\"v\":1", 1);
    middle[4] = middle[4].replacen("{\"v\":1", "{\"v\":9", 1);
    write(&path, &middle);
    let (journal, opened) = Journal::open(dir.path(), whole()).unwrap();
    assert_eq!((journal.next_seq(), opened.damaged), (11, 1));
    write(&path, &lines);
    // Reading what can be read still works.
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.entries(1).unwrap().filter(|e| e.is_ok()).count(), 9);
}

#[test]
fn zeros_in_the_middle_of_acknowledged_entries_are_damage() {
    let (dir, path, _) = record();
    let (mut journal, _) = Journal::open(dir.path(), whole()).unwrap();
    // Recorded an hour later: not of the append that a crash could have torn.
    journal.append(&[note(3_600_000, "later")]).unwrap();
    drop(journal);
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000..1200].fill(0);
    fs::write(&path, &bytes).unwrap();
    let (journal, opened) = Journal::open(dir.path(), whole()).unwrap();
    assert_eq!(opened.healed, None);
    assert!(opened.damaged >= 1);
    assert_eq!(text(journal.tail(1).unwrap().entries.last().unwrap()), "later");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]
    /// Whatever stands in the folder, it is read or refused, recording goes on behind it, and nobody panics.
    #[test]
    fn any_rubbish_is_survived(
        cuts in prop::collection::vec((0usize..4000, 0usize..4000, any::<u8>()), 0..4),
        rubbish in prop::collection::vec(any::<u8>(), 0..200),
        at in 0usize..4000,
        which in 0usize..5,
    ) {
        let disk = Memory::new();
        let (mut journal, _) = Journal::open(&dir(), on(&disk)).unwrap();
        for n in 0..12 {
            journal.append(&notes(n * 2..n * 2 + 2)).unwrap();
        }
        journal.checkpoint(20, &"state").unwrap();
        drop(journal);
        let names = ["journal.jsonl", "journal-000001.jsonl", "checkpoint.json", "journal.index", "journal-000001.index"];
        let path = dir().join(names[which]);
        let mut bytes = disk.get(&path).unwrap();
        for (from, to, with) in cuts {
            let (from, to) = (from.min(to) % (bytes.len() + 1), from.max(to) % (bytes.len() + 1));
            if from < to {
                bytes[from..to].fill(with);
            }
        }
        let at = at % (bytes.len() + 1);
        bytes.splice(at..at, rubbish);
        disk.put(&path, &bytes);
        let first = verify_with(&disk.storage(), &dir(), None).unwrap();
        let reader = Reader::open_with(&disk.storage(), &dir()).unwrap();
        let read = reader.entries(1).unwrap().filter(|e| e.is_ok()).count();
        prop_assert!(first.entries as usize >= read);
        reader.tail(3).unwrap();
        reader.incident_entries("INC-2026-001").unwrap();
        if let Ok((mut journal, _)) = Journal::open(&dir(), on(&disk)) {
            journal.append(&notes(90..92)).unwrap();
            let last: Vec<_> = journal.tail(2).unwrap().entries;
            prop_assert_eq!(last.iter().map(text).collect::<Vec<_>>(), ["note 90", "note 91"]);
            verify_with(&disk.storage(), &dir(), None).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn any_flipped_bit_is_found(place in 0.0..1.0f64, bit in 0u8..8) {
        thread_local!(static RECORD: (TempDir, PathBuf, Vec<String>) = record());
        RECORD.with(|(dir, path, lines)| {
            let whole = lines.concat().into_bytes();
            let mut bytes = whole.clone();
            let at = (place * whole.len() as f64) as usize;
            bytes[at] ^= 1 << bit;
            fs::write(path, &bytes).unwrap();
            let line = whole[..at].iter().filter(|b| **b == b'\n').count() as u64 + 1;
            let report = verify(dir.path(), None).unwrap();
            // The last line end may be gone, which leaves an end that is not whole.
            let told = report.first_fault().map(|f| f.line);
            let unended = at + 1 == whole.len();
            prop_assert!(told == Some(line) || (unended && (report.unfinished > 0 || report.faulty > 0)), "byte {at}: {report:#?}");
            Ok(())
        })?;
    }
}

#[test]
fn the_newest_rows_of_a_long_history_are_found_without_reading_it() {
    let disk = Memory::new();
    let options = OpenOptions { rotate_bytes: 64 << 20, ..on(&disk) };
    let (mut journal, _) = Journal::open(&dir(), options).unwrap();
    for n in 0..60 {
        let long: Vec<_> = (n * 300..(n + 1) * 300).map(|n| note(n, &"x".repeat(1500))).collect();
        journal.append(&long).unwrap();
    }
    journal.checkpoint(journal.head().seq, &"state").unwrap();
    let whole = disk.used() as u64;
    let last = journal.head().seq;
    let reader = Reader::open_with(&disk.storage(), &dir()).unwrap();
    let rows = reader.incident_rows("INC-2026-001").unwrap();
    let before = disk.bytes_read();
    for (after, most) in [(0, rows), (last - 30, 10), (last, 0)] {
        let row = reader.incident_row_after("INC-2026-001", after).unwrap();
        let page = reader.incident_page("INC-2026-001", row, 20).unwrap().entries;
        assert!(page.iter().all(|e| e.seq > after) && page.len() as u64 == most.min(20), "{after}: {}", page.len());
        assert!(row == 0 || reader.incident_page("INC-2026-001", row - 1, 1).unwrap().entries[0].seq <= after);
    }
    let read = disk.bytes_read() - before;
    assert!(read < whole / 3, "{read} of {whole} bytes were read for three looks");
}

#[test]
fn it_is_told_what_can_be_believed_on_either_side_of_a_fault() {
    let (dir, path, mut lines) = record();
    lines[4] = lines[4].replace("note", "mote");
    write(&path, &lines);
    let report = verify(dir.path(), None).unwrap();
    assert_eq!((report.good_until, report.good_again), (4, 6), "{:?}", report.faults);
    lines.truncate(5);
    write(&path, &lines);
    let report = verify(dir.path(), None).unwrap();
    assert_eq!((report.good_until, report.good_again), (4, 0));
}
