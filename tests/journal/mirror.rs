//! The mirror has every entry, whatever became of it in between, and never holds up the record.

use std::fs;
use std::path::Path;
use std::time::Duration;

use mayday::config::MirrorTo;
use mayday::journal::{Journal, OpenOptions, Reader, verify};

use super::support::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn with(path: &Path) -> OpenOptions {
    OpenOptions { mirror: Some(MirrorTo::File(path.to_owned())), ..small() }
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
    assert_eq!((state.behind, Path::new(&state.name)), (5, path.as_path()));
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

fn fed(script: &str) -> OpenOptions {
    let run = ["sh", "-c", script].map(str::to_owned).to_vec();
    OpenOptions { mirror: Some(MirrorTo::Command(run)), ..small() }
}

fn processes(mark: &str) -> usize {
    let lines = fs::read_dir("/proc").unwrap().filter_map(|e| fs::read_to_string(e.ok()?.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(mark)).count()
}

#[test]
fn a_command_is_given_every_line_and_ends_with_the_record() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = other.path().join("db1.jsonl");
    let script = format!("cat >> {}; echo ended >> {}", path.display(), other.path().join("ends").display());
    let (mut journal, _) = Journal::open(dir.path(), small()).unwrap();
    journal.append(&notes(0..30)).unwrap();
    drop(journal);
    // One that begins late gets what was before, and one that begins again goes on.
    for round in 0..3 {
        let (mut journal, _) = Journal::open(dir.path(), fed(&script)).unwrap();
        for n in 0..40 {
            journal.append(&notes(n * 2..n * 2 + 2)).unwrap();
        }
        wait_until("it has read all", || journal.mirror().unwrap().behind == 0);
        assert_eq!(journal.mirror().unwrap().error, None);
        assert!(journal.close(PATIENCE));
        assert_eq!(fs::read_to_string(&path).unwrap(), concat(dir.path()), "round {round}");
        assert_eq!(fs::read_to_string(other.path().join("ends")).unwrap().lines().count(), round + 1, "in order");
    }
    // Another command begins at the beginning.
    let second = other.path().join("second");
    let (journal, _) = Journal::open(dir.path(), fed(&format!("cat >> {}", second.display()))).unwrap();
    assert!(journal.close(PATIENCE));
    assert_eq!(fs::read_to_string(&second).unwrap(), concat(dir.path()));
}

#[test]
fn a_command_that_ends_is_started_again_and_catches_up() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (path, gate) = (other.path().join("db1.jsonl"), other.path().join("mounted"));
    let script =
        format!("test -e {} || {{ echo not mounted >&2; exit 7; }}; cat >> {}", gate.display(), path.display());
    let (mut journal, _) = Journal::open(dir.path(), fed(&script)).unwrap();
    journal.append(&notes(0..5)).unwrap();
    wait_until("it says so", || journal.mirror().unwrap().error.is_some());
    let state = journal.mirror().unwrap();
    assert!(state.error.as_ref().is_some_and(|e| e.contains("7") && e.contains("not mounted")), "{state:?}");
    journal.append(&notes(5..10)).unwrap();
    assert_eq!((journal.mirror().unwrap().seq, journal.mirror().unwrap().behind), (0, 10));
    fs::write(&gate, "").unwrap();
    wait_until("it has caught up", || journal.mirror().unwrap().behind == 0);
    wait_until("it is well", || journal.mirror().unwrap().error.is_none());
    // Killed while nothing happens, it is noticed and started again; nothing is missing and nothing is there twice.
    let cat = || {
        let of = |e: fs::DirEntry| {
            let line = fs::read(e.path().join("cmdline")).ok()?;
            let is = line.ends_with(b"cat\0") && fs::read_link(e.path().join("fd/1")).ok()? == path;
            is.then(|| e.file_name().to_str()?.parse::<i32>().ok())?
        };
        fs::read_dir("/proc").unwrap().filter_map(|e| of(e.ok()?)).next()
    };
    let mut killed = 0;
    wait_until("it was killed", || {
        killed = cat().unwrap_or(0);
        // SAFETY: a plain system call on the command of this test.
        killed > 0 && unsafe { libc::kill(killed, libc::SIGKILL) } == 0
    });
    journal.append(&notes(10..400)).unwrap();
    wait_until("another one has caught up", || {
        journal.mirror().unwrap().behind == 0 && cat().is_some_and(|now| now != killed)
    });
    assert!(journal.close(PATIENCE));
    assert_eq!(fs::read_to_string(&path).unwrap(), concat(dir.path()));
}

#[test]
fn a_command_that_reads_a_part_gets_the_rest_again() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = other.path().join("db1.jsonl");
    // Each reads a little and leaves; a line that it had begun is ended and comes again whole.
    let script = format!("head -c 1500 >> {}", path.display());
    let (mut journal, _) = Journal::open(dir.path(), fed(&script)).unwrap();
    journal.append(&notes(0..6)).unwrap();
    wait_until("it has read all", || journal.mirror().unwrap().behind == 0);
    assert!(journal.close(PATIENCE));
    let (whole, text) = (concat(dir.path()), fs::read_to_string(&path).unwrap());
    let entries: Vec<&str> = text.lines().filter(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()).collect();
    assert_eq!(entries, whole.lines().collect::<Vec<_>>(), "{text}");
}

#[test]
fn a_command_that_does_not_read_holds_up_nothing_and_is_ended() {
    let (dir, mark) = (tempfile::tempdir().unwrap(), "sleep 4242.4243");
    let (mut journal, _) = Journal::open(dir.path(), fed(&format!("{mark}; true"))).unwrap();
    let plain = tempfile::tempdir().unwrap();
    let (mut without, _) = Journal::open(plain.path(), small()).unwrap();
    wait_until("it runs", || processes(mark) > 0);
    let append = |journal: &mut Journal| {
        let begun = std::time::Instant::now();
        for n in 0..60 {
            journal.append(&notes(n * 10..n * 10 + 10)).unwrap();
        }
        begun.elapsed()
    };
    let (with, bare) = (append(&mut journal), append(&mut without));
    assert!(with < bare * 20 + Duration::from_secs(1), "{with:?} {bare:?}");
    let state = journal.mirror().unwrap();
    assert_eq!((state.seq, state.behind), (0, 600));
    let begun = std::time::Instant::now();
    assert!(!journal.close(Duration::from_millis(100)));
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    wait_until("it is gone", || processes("4242.4243") == 0);
}
