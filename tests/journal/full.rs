//! A disk without room: the reserve is used, then filled up again, and nothing half written is ever taken for an entry.

use std::fs;
use std::path::Path;
use std::process::Command;

use mayday::journal::{Journal, OpenOptions, verify};

use super::memory::Memory;
use super::support::*;

const DISK: usize = 1 << 20;

/// Fills the reserve of a full disk to its end and frees it again. `fill` leaves no room, `free` gives it all back.
fn through_a_full_disk(dir: &Path, options: &OpenOptions, fill: impl Fn(), free: impl Fn()) {
    let open = || Journal::open(dir, options.clone()).unwrap();
    let (mut journal, _) = open();
    let reserve = options.reserve_bytes;
    journal.append(&notes(0..2)).unwrap();
    assert!(journal.reserve_left() >= reserve, "{} of {reserve}", journal.reserve_left());
    fill();

    // What can still be recorded is about what the reserve holds.
    let mut written = 0;
    let mut n = 2;
    let full = loop {
        let left = journal.reserve_left();
        match journal.append(&[note(n, &"x".repeat(2_000))]) {
            Ok(_) => {
                n += 1;
                written += 2_400;
                assert!(written < 4 * reserve, "it never ends");
                assert!(journal.reserve_left() <= left);
            }
            Err(e) => break e,
        }
    };
    assert!(full.is_full(), "{full}");
    assert!(full.to_string().contains("journal.jsonl") && full.to_string().contains("free space"), "{full}");
    assert!(written >= reserve * 3 / 4, "{written} bytes of a reserve of {reserve}");
    assert_eq!(journal.next_seq(), n + 1);
    // Nothing has failed: it is only full. It says so again, and an engine that starts now can go on as well.
    assert!(journal.append(&[note(n, &"x".repeat(9_000))]).unwrap_err().is_full());
    let tended = journal.tend();
    assert_eq!((tended.failed, tended.reserve_whole), (None, false));
    let head = journal.head();
    drop(journal);
    let (mut journal, opened) = open();
    assert_eq!((journal.head(), opened.healed, opened.damage), (head, None, vec![]));

    free();
    let tended = journal.tend();
    assert!(tended.reserve_whole, "{tended:?}");
    assert_eq!(journal.append(&[note(n, "there is room again")]).unwrap()[0].seq, n + 1);
    drop(journal);
    let (journal, _) = open();
    assert_eq!(all(&journal).len() as u64, n + 1);
}

#[test]
fn in_memory_with_the_reserve_at_the_tail() {
    let disk = Memory::new();
    disk.set_capacity(Some(DISK));
    let filler = dir().join("filler");
    let fill = || disk.put(&filler, &vec![0; DISK - disk.used()]);
    through_a_full_disk(&dir(), &OpenOptions { rotate_bytes: 1 << 30, ..on(&disk) }, fill, || disk.delete(&filler));
    assert_whole(&disk);
}

#[test]
fn in_memory_with_the_reserve_beside() {
    let disk = Memory::new();
    disk.set_capacity(Some(4 * DISK));
    disk.without_allocation();
    let filler = dir().join("filler");
    let fill = || disk.put(&filler, &vec![0; 4 * DISK - disk.used()]);
    let options = OpenOptions { rotate_bytes: 1 << 30, reserve_bytes: 1 << 20, ..on(&disk) };
    let (journal, _) = Journal::open(&dir(), options.clone()).unwrap();
    assert!(!journal.reserve_is_tail());
    drop(journal);
    through_a_full_disk(&dir(), &options, fill, || disk.delete(&filler));
    assert_whole(&disk);
}

#[test]
fn a_full_disk_puts_off_closing_a_part() {
    let disk = Memory::new();
    disk.set_capacity(Some(DISK));
    let options = OpenOptions { rotate_bytes: 4_000, ..on(&disk) };
    let (mut journal, _) = Journal::open(&dir(), options).unwrap();
    journal.append(&notes(0..3)).unwrap();
    let filler = dir().join("filler");
    disk.put(&filler, &vec![0; DISK - disk.used()]);
    for n in 3..20 {
        journal.append(&[note(n, "x")]).unwrap();
    }
    assert!(disk.get(&dir().join("journal-000001.jsonl")).is_none());
    assert!(disk.get(&dir().join("journal.next")).is_none());
    disk.delete(&filler);
    assert_eq!(all(&journal).len(), 20);
    assert_whole(&disk);
}

#[test]
fn a_torn_end_is_healed_on_a_full_disk() {
    let disk = Memory::new();
    disk.set_capacity(Some(DISK));
    let (mut journal, _) = open(&disk);
    journal.append(&notes(0..3)).unwrap();
    drop(journal);
    let path = dir().join("journal.jsonl");
    let bytes = disk.get(&path).unwrap();
    disk.put(&path, &bytes[..bytes.len() - 10]);
    disk.put(&dir().join("filler"), &vec![0; DISK - disk.used()]);
    let (mut journal, opened) = open(&disk);
    let healed = opened.healed.unwrap();
    assert_eq!(healed.moved_to, None);
    assert_eq!(all(&journal).len(), 2);
    disk.delete(&dir().join("filler"));
    journal.append(&notes(3..4)).unwrap();
    assert_whole(&disk);
}

const INSIDE: &str = "MAYDAY_TEST_SMALL_DISK";

/// A real file system of 4 MiB, in a mount namespace of its own.
#[test]
fn on_a_small_real_disk() {
    if let Some(dir) = std::env::var_os(INSIDE) {
        return inside(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=4m,mode=0700 tmpfs \"$MAYDAY_TEST_SMALL_DISK\" || exit 99; exec \"$0\" --exact full::on_a_small_real_disk --nocapture";
    let run = Command::new("unshare")
        .args(["-Urm", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, dir.path())
        .output();
    match run {
        Ok(out) if out.status.success() => {}
        Ok(out) => {
            let told = String::from_utf8_lossy(&out.stderr).into_owned();
            // Namespaces are forbidden on some hosts; then only the disks in memory were full.
            let forbidden = out.status.code() == Some(99) || told.contains("unshare");
            assert!(forbidden, "{}\n{told}", String::from_utf8_lossy(&out.stdout));
            eprintln!("NOT RUN: no small disk can be mounted here: {told}");
        }
        Err(e) => eprintln!("NOT RUN: no unshare here: {e}"),
    }
}

fn inside(dir: &Path) {
    let options = OpenOptions { reserve_bytes: 1 << 20, ..OpenOptions::new("db1") };
    let filler = dir.join("filler");
    let fill = || {
        // Down to the last byte: a page at a time at the end.
        let file = fs::File::create(&filler).unwrap();
        let mut at = 0;
        for step in [64 << 10, 4096] {
            while let Ok(n) = std::os::unix::fs::FileExt::write_at(&file, &vec![7u8; step], at) {
                at += n as u64;
            }
        }
        assert!(fs::write(dir.join("more"), [7u8; 5000]).is_err());
        fs::remove_file(dir.join("more")).unwrap();
    };
    let state = dir.join("state");
    fs::create_dir(&state).unwrap();
    through_a_full_disk(&state, &options, fill, || fs::remove_file(&filler).unwrap());
    assert!(verify(&state, None).unwrap().is_whole());
}
