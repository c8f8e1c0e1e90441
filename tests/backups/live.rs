//! The running catalogue: what changes is reported, by itself and soon.

use super::*;
use mayday::backup::{Catalogue, Limits};
use mayday::domain::backup::BackupState;
use mayday::sys::clock::FakeClock;

const HOUR: Duration = Duration::from_secs(3600);

fn start(backups: &[Backup]) -> (Catalogue, mpsc::Receiver<BackupReport>) {
    let (tx, rx) = mpsc::channel(4);
    (Catalogue::start(backups, tx, clock()), rx)
}

fn newest(report: &BackupReport) -> &str {
    report.judged.newest.as_ref().map_or("-", |c| c.id.as_str())
}

fn suspect(report: &BackupReport) -> String {
    let copy = report.judged.newer_suspect.as_ref();
    copy.map(|c| format!("{}: {}", c.id, c.suspect.as_deref().unwrap_or_default())).unwrap_or_default()
}

#[tokio::test]
async fn a_copy_that_arrives_is_seen_and_then_read_to_its_end() {
    let dir = support::scratch();
    let (catalogue, mut rx) = start(&[set("pg", dir.path(), "*.gz")]);
    let report = until(&mut rx, "the first look", |r| r.scanned_at.is_some()).await;
    assert_eq!(report.judged.state, BackupState::Missing);
    assert!(report.judged.detail.contains("/*.gz"), "{}", report.judged.detail);
    put(&dir.path().join("ignored.txt"), b"x", HOUR / 2);
    put(&dir.path().join("a.gz"), &gz(&noise(5000)), HOUR / 2);
    let report = until(&mut rx, "the copy", |r| r.judged.state == BackupState::Fresh).await;
    assert_eq!((newest(&report), report.listing.count), ("a.gz", 1));
    until(&mut rx, "its being read", |r| r.judged.newest.as_ref().is_some_and(|c| c.note == "read to the end: 5.0 kB"))
        .await;
    catalogue.shutdown().await;
}

#[tokio::test]
async fn nothing_is_claimed_before_a_copy_was_read() {
    let dir = support::scratch();
    put(&dir.path().join("a.gz"), &gz(&noise(5000)), HOUR / 2);
    let (catalogue, mut rx) = start(&[set("pg", dir.path(), "*.gz")]);
    let report = until(&mut rx, "the first look", |r| r.scanned_at.is_some()).await;
    let note = &report.judged.newest.as_ref().unwrap().note;
    assert!(
        note == "not yet read to the end" || note == "being read to the end" || note.starts_with("read to"),
        "{note}"
    );
    catalogue.shutdown().await;
}

#[tokio::test]
async fn a_copy_being_written_is_suspect_and_hides_nothing() {
    let dir = support::scratch();
    put(&dir.path().join("old.gz"), &gz(&noise(5000)), HOUR / 2);
    let mut backup = set("pg", dir.path(), "*.gz");
    files(&mut backup).settle = Some(Duration::from_secs(2));
    let (catalogue, mut rx) = start(&[backup]);
    until(&mut rx, "the good one", |r| newest(r) == "old.gz" && r.judged.state == BackupState::Fresh).await;
    let whole = gz(&noise(6000));
    let mut file = std::fs::File::create(dir.path().join("new.gz")).unwrap();
    file.write_all(&whole[..1000]).unwrap();
    let report = until(&mut rx, "writing", |r| r.judged.writing).await;
    assert_eq!((report.judged.state, newest(&report)), (BackupState::Suspect, "old.gz"));
    assert_eq!(suspect(&report), "new.gz: still being written");
    file.write_all(&whole[1000..]).unwrap();
    drop(file);
    let report = until(&mut rx, "the new one", |r| newest(r) == "new.gz").await;
    assert_eq!((report.judged.state, report.judged.writing), (BackupState::Fresh, false));
    catalogue.shutdown().await;
}

/// Changes inside a folder are not reported, and are looked for all the same before it counts as complete.
#[tokio::test]
async fn a_directory_dump_is_not_complete_while_a_file_in_it_grows() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let dir = support::scratch();
    let dump = dir.path().join("2026.dump");
    std::fs::create_dir(&dump).unwrap();
    std::fs::write(dump.join("toc.dat"), b"PGDMP").unwrap();
    let mut backup = set("pg", dir.path(), "*.dump");
    files(&mut backup).folders = true;
    files(&mut backup).settle = Some(Duration::from_millis(600));
    let (done, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let writer = std::thread::spawn({
        let (file, stop, done) = (dump.join("4012.dat"), stop.clone(), done.clone());
        move || {
            let mut file = std::fs::File::create(file).unwrap();
            while !stop.load(Ordering::SeqCst) {
                file.write_all(b"row\n").unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
            done.store(true, Ordering::SeqCst);
        }
    });
    let (catalogue, mut rx) = start(&[backup]);
    let mut looks = std::collections::BTreeSet::new();
    while looks.len() < 5 {
        let report = until(&mut rx, "looks", |r| r.scanned_at.is_some()).await;
        assert!(report.judged.writing, "{}", report.judged.detail);
        looks.insert(report.scanned_at);
    }
    stop.store(true, Ordering::SeqCst);
    until(&mut rx, "complete", |r| !r.judged.writing).await;
    assert!(done.load(Ordering::SeqCst));
    writer.join().unwrap();
    catalogue.shutdown().await;
}

#[tokio::test]
async fn a_cut_off_copy_is_found_by_reading_it() {
    let dir = support::scratch();
    let whole = gz(&noise(9000));
    put(&dir.path().join("1.gz"), &whole, HOUR / 2);
    put(&dir.path().join("2.gz"), &whole[..whole.len() - 9], HOUR / 3);
    put(&dir.path().join("3.gz"), &whole[..whole.len() - 2], HOUR / 4);
    let (catalogue, mut rx) = start(&[set("pg", dir.path(), "*.gz")]);
    let report = until(&mut rx, "both read", |r| newest(r) == "1.gz").await;
    assert_eq!(report.judged.state, BackupState::Suspect);
    assert!(suspect(&report).starts_with("3.gz: it is cut off"), "{}", suspect(&report));
    let second = report.judged.copies[1].suspect.as_deref().unwrap();
    assert!(second.contains("cut off"), "{second}");
    until(&mut rx, "the good one read too", |r| r.judged.copies[2].note.starts_with("read to the end")).await;
    catalogue.shutdown().await;
}

#[tokio::test]
async fn json_that_is_cut_off_is_not_the_newest_good_one() {
    let dir = support::scratch();
    let whole = br#"{"vhosts":[{"name":"/"}],"queues":[]}"#;
    put(&dir.path().join("1.json"), whole, HOUR / 2);
    put(&dir.path().join("2.json"), &whole[..20], HOUR / 3);
    put(&dir.path().join("3.json.gz"), &gz(b"{\"vhosts\":[}"), HOUR / 4);
    let (catalogue, mut rx) = start(&[set("broker", dir.path(), "*.json*")]);
    let report = until(&mut rx, "all read", |r| newest(r) == "1.json").await;
    assert!(suspect(&report).contains("no JSON at line 1"), "{}", suspect(&report));
    let second = report.judged.copies[1].suspect.as_deref().unwrap();
    assert!(second.contains("its JSON ends early"), "{second}");
    catalogue.shutdown().await;
}

#[tokio::test]
async fn rotation_deletion_and_a_folder_that_comes_back() {
    let parent = support::scratch();
    let dir = parent.path().join("pg");
    std::fs::create_dir(&dir).unwrap();
    for (name, part) in [("1.gz", 2), ("2.gz", 3), ("3.gz", 4)] {
        put(&dir.join(name), &gz(&noise(5000)), HOUR / part);
    }
    let (catalogue, mut rx) = start(&[set("pg", &dir, "*.gz")]);
    until(&mut rx, "three", |r| r.listing.count == 3 && newest(r) == "3.gz").await;
    std::fs::remove_file(dir.join("1.gz")).unwrap();
    until(&mut rx, "the oldest gone", |r| r.listing.count == 2).await;
    std::fs::rename(dir.join("3.gz"), dir.join("3.gz.broken")).unwrap();
    until(&mut rx, "the newest gone", |r| newest(r) == "2.gz").await;
    std::fs::rename(dir.join("3.gz.broken"), dir.join("4.gz")).unwrap();
    until(&mut rx, "back under another name", |r| newest(r) == "4.gz").await;
    std::fs::remove_dir_all(&dir).unwrap();
    let report = until(&mut rx, "no folder", |r| r.judged.state == BackupState::Missing).await;
    let report = match report.judged.detail.contains("does not exist") {
        true => report,
        false => until(&mut rx, "the reason", |r| r.judged.detail.contains("does not exist")).await,
    };
    assert_eq!((report.listing.count, newest(&report)), (0, "-"));
    // A folder that was not there when it was looked at is found at the interval, or when asked for; then it is
    // followed like any other.
    std::fs::create_dir(&dir).unwrap();
    put(&dir.join("5.gz"), &gz(b"x"), HOUR / 9);
    catalogue.rescan("pg");
    until(&mut rx, "a new folder", |r| newest(r) == "5.gz").await;
    put(&dir.join("6.gz"), &gz(b"x"), HOUR / 10);
    until(&mut rx, "followed again", |r| newest(r) == "6.gz").await;
    catalogue.shutdown().await;
}

#[tokio::test]
async fn a_folder_put_in_the_place_of_another_is_followed() {
    let parent = support::scratch();
    let dir = parent.path().join("pg");
    std::fs::create_dir(&dir).unwrap();
    let (catalogue, mut rx) = start(&[set("pg", &dir, "*.gz")]);
    until(&mut rx, "the first look", |r| r.scanned_at.is_some()).await;
    let other = parent.path().join("other");
    std::fs::create_dir(&other).unwrap();
    put(&other.join("1.gz"), &gz(b"x"), HOUR / 2);
    std::fs::rename(&dir, parent.path().join("aside")).unwrap();
    std::fs::rename(&other, &dir).unwrap();
    catalogue.rescan("pg");
    until(&mut rx, "the other folder", |r| newest(r) == "1.gz").await;
    put(&dir.join("2.gz"), &gz(b"x"), HOUR / 3);
    until(&mut rx, "followed", |r| newest(r) == "2.gz").await;
    catalogue.shutdown().await;
}

#[tokio::test]
async fn a_date_in_the_future_is_told() {
    let dir = support::scratch();
    put(&dir.path().join("old.gz"), &gz(b"x"), HOUR / 2);
    put(&dir.path().join("new.gz"), &gz(b"x"), Duration::ZERO);
    date(&dir.path().join("new.gz"), SystemTime::now() + HOUR * 24 * 365);
    let (catalogue, mut rx) = start(&[set("pg", dir.path(), "*.gz")]);
    let report = until(&mut rx, "the first look", |r| r.scanned_at.is_some()).await;
    assert_eq!((report.judged.state, newest(&report)), (BackupState::Suspect, "old.gz"));
    assert!(suspect(&report).contains("dated in the future"), "{}", suspect(&report));
    catalogue.shutdown().await;
}

#[tokio::test]
async fn growing_old_is_reported_without_another_look() {
    let dir = support::scratch();
    put(&dir.path().join("a.bin"), b"x", Duration::ZERO);
    let mut backup = set("pg", dir.path(), "*.bin");
    backup.rpo = Some(Duration::from_secs(2));
    let (catalogue, mut rx) = start(&[backup]);
    let fresh = until(&mut rx, "fresh", |r| r.judged.state == BackupState::Fresh).await;
    // Establishing the watch costs one further look; take the last one.
    let stale = until(&mut rx, "stale", |r| r.judged.state == BackupState::Stale).await;
    assert!(stale.judged.headroom_ms.unwrap() <= 0 && fresh.judged.headroom_ms.unwrap() > 0);
    assert!(stale.judged.detail.contains("RPO 2s over since"), "{}", stale.judged.detail);
    let age = mayday::sys::clock::now_ms() - stale.judged.newest.unwrap().taken_at.ms();
    assert!(age >= 2000, "not before it was: {age}");
    catalogue.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn hours_pass_and_the_clock_is_set() {
    let dir = support::scratch();
    put(&dir.path().join("a.bin"), b"x", Duration::ZERO);
    let clock = FakeClock::new(mayday::sys::clock::now_ms());
    let (tx, mut rx) = mpsc::channel(4);
    let catalogue = Catalogue::start(&[set("pg", dir.path(), "*.bin")], tx, Arc::new(clock.clone()));
    let wait = async |rx: &mut mpsc::Receiver<BackupReport>, state: BackupState| loop {
        if rx.recv().await.unwrap().judged.state == state {
            return;
        }
    };
    wait(&mut rx, BackupState::Fresh).await;
    clock.advance(2 * 3_600_000);
    wait(&mut rx, BackupState::Stale).await;
    // Back to before the copy was made: it is now from the future.
    clock.set_wall(mayday::sys::clock::now_ms() - 3_600_000);
    wait(&mut rx, BackupState::Missing).await;
    catalogue.shutdown().await;
}

#[tokio::test]
async fn other_sets_from_now_on() {
    let dir = support::scratch();
    put(&dir.path().join("a.gz"), &gz(b"x"), HOUR / 2);
    put(&dir.path().join("b.sql"), b"select 1;", HOUR / 2);
    let (catalogue, mut rx) = start(&[set("one", dir.path(), "*.gz"), set("two", dir.path(), "*.sql")]);
    let mut names = std::collections::BTreeSet::new();
    while names.len() < 2 {
        names.insert(until(&mut rx, "both", |r| r.judged.state == BackupState::Fresh).await.backup);
    }
    let mut other = set("two", dir.path(), "*.gz");
    other.rpo = Some(Duration::ZERO);
    catalogue.replace(&[other, set("three", dir.path(), "*")]);
    until(&mut rx, "the changed set", |r| r.backup == "two" && r.judged.state == BackupState::Stale).await;
    let report = until(&mut rx, "the new set", |r| r.backup == "three").await;
    assert_eq!(report.listing.count, 2);
    put(&dir.path().join("c.gz"), &gz(b"x"), HOUR / 4);
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 2 {
        seen.insert(until(&mut rx, "the change", |r| newest(r) == "c.gz").await.backup);
    }
    assert!(!seen.contains("one"), "a set that is gone reports no more");
    catalogue.shutdown().await;
}

/// Other objectives are no reason to look, let alone to read gigabytes, again.
#[tokio::test]
async fn other_objectives_keep_what_is_known() {
    let dir = support::scratch();
    put(&dir.path().join("a.gz"), &gz(&noise(3000)), HOUR / 2);
    let (catalogue, mut rx) = start(&[set("pg", dir.path(), "*.gz")]);
    let read = |r: &BackupReport| r.judged.newest.as_ref().is_some_and(|c| c.note.starts_with("read to the end"));
    until(&mut rx, "its being read", read).await;
    let mut strict = set("pg", dir.path(), "*.gz");
    strict.rpo = Some(Duration::from_secs(60));
    catalogue.replace(&[strict]);
    let report = until(&mut rx, "stale now", |r| r.judged.state == BackupState::Stale).await;
    assert!(read(&report), "{}", report.judged.detail);
    catalogue.shutdown().await;
}

#[tokio::test]
async fn a_slow_listener_is_told_the_latest_and_blocks_nobody() {
    let dir = support::scratch();
    let (tx, mut rx) = mpsc::channel(1);
    let sets: Vec<Backup> = (0..20).map(|n| set(&format!("set{n}"), dir.path(), "*.gz")).collect();
    let catalogue = Catalogue::start(&sets, tx, clock());
    until(&mut rx, "any", |_| true).await;
    for n in 0..50u32 {
        put(&dir.path().join(format!("{n:02}.gz")), &gz(b"x"), HOUR / (n + 2));
    }
    // Nobody listens until all of it is there; then every set ends with the last picture.
    let mut last = std::collections::BTreeMap::new();
    while last.len() < 20 || last.values().any(|n| n != "49.gz") {
        let report = until(&mut rx, "all sets", |_| true).await;
        last.insert(report.backup.clone(), newest(&report).to_owned());
    }
    catalogue.shutdown().await;
}

#[tokio::test]
async fn it_ends_with_its_listener() {
    let dir = support::scratch();
    let (tx, rx) = mpsc::channel(1);
    let limits = Limits::default();
    let weak = Arc::new(());
    let held = weak.clone();
    let factory = Arc::new(move |b: &Backup| {
        let _ = &held;
        source_of(b)
    });
    let _catalogue = Catalogue::start_with(&[set("pg", dir.path(), "*")], tx, clock(), limits, factory);
    assert!(Arc::strong_count(&weak) > 1);
    drop(rx);
    let gone = async {
        while Arc::strong_count(&weak) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(support::PATIENCE, gone).await.expect("the task lets everything go");
}

#[tokio::test]
async fn a_file_of_redis_that_is_cut_off_or_damaged_is_not_the_newest_good_one() {
    // Of redis-server 7.0.15: three keys that expire.
    const THREE: &str = "524544495330303130fa0972656469732d76657206372e302e3135fa0a72656469732d62697473c040fa056374696d65c27ba4006b\
        fa08757365642d6d656dc220b60e00fa08616f662d62617365c000fe00fb0303fcacc391faa101000000026b32027632fcafc391faa1010000\
        00026b33027633fca4c391faa101000000026b31027631ff9a6ecb5ec0b4bed0";
    let whole = hex::decode(THREE).unwrap();
    let mut flipped = whole.clone();
    flipped[100] ^= 1;
    let dir = support::scratch();
    put(&dir.path().join("1.rdb"), &whole, HOUR / 2);
    put(&dir.path().join("2.rdb"), &flipped, HOUR / 3);
    put(&dir.path().join("3.rdb"), &whole[..whole.len() - 20], HOUR / 4);
    put(&dir.path().join("4.rdb.gz"), &gz(&whole[..whole.len() - 20]), HOUR / 5);
    let (catalogue, mut rx) = start(&[set("redis", dir.path(), "*.rdb*")]);
    let report = until(&mut rx, "all read", |r| newest(r) == "1.rdb").await;
    assert_eq!(report.judged.state, BackupState::Suspect);
    let why = |id: &str| {
        let copy = report.judged.copies.iter().find(|c| c.id == id).unwrap();
        copy.suspect.clone().unwrap_or_default()
    };
    assert_eq!(why("2.rdb"), "it is damaged: its checksum does not fit");
    assert_eq!(why("3.rdb"), "it is cut off: its end mark is missing");
    assert_eq!(why("4.rdb.gz"), "it is cut off: its end mark is missing");
    until(&mut rx, "the good one read too", |r| {
        r.judged.newest.as_ref().is_some_and(|c| c.note.ends_with("by Redis 7.0.15, its checksum fits"))
    })
    .await;
    catalogue.shutdown().await;
}
