//! Base backups with the log that continues them: how far it goes is how old the set is, and a gap ends it.

use super::*;
use mayday::backup::rules_of;
use mayday::config::{PitrLog, PitrRestore, Restore};
use mayday::domain::Time;
use mayday::domain::backup::{BackupState, Judged, Listing, judge};
use mayday::sys::clock;

const MINUTE: Duration = Duration::from_secs(60);

/// `00000001000000000000000N`.
fn segment(n: u32) -> String {
    format!("0000000100000000000000{n:02X}")
}

/// A base backup as pg_basebackup leaves one, as far as it is looked at here; it begins in segment `n`.
fn base(dir: &Path, name: &str, n: u32, age: Duration) {
    let path = dir.join("bases").join(name);
    std::fs::create_dir_all(path.join("pg_wal")).unwrap();
    let label = format!("START WAL LOCATION: 0/{n:X}000028 (file {})\nSTART TIMELINE: 1\n", segment(n));
    put(&path.join("backup_label"), label.as_bytes(), age);
    put(&path.join("PG_VERSION"), b"15\n", age);
    for path in [path.join("pg_wal"), path] {
        date(&path, SystemTime::now() - age);
    }
}

fn archived(dir: &Path, n: u32, ending: &str, age: Duration) {
    std::fs::create_dir_all(dir.join("wal")).unwrap();
    put(&dir.join("wal").join(segment(n) + ending), &[7; 64], age);
}

/// RPO 5 min, a base backup each day.
fn point_in_time(dir: &Path) -> Backup {
    let mut backup = set("pitr", &dir.join("bases"), "*");
    files(&mut backup).folders = true;
    backup.rpo = Some(5 * MINUTE);
    backup.every = Some(24 * 60 * MINUTE);
    backup.restore = Some(Restore::PostgresPitr(Box::new(PitrRestore {
        database: "app".into(),
        directory: "/var/tmp".into(),
        log: PitrLog::Folder(dir.join("wal")),
        user: None,
        role: "postgres".into(),
        port: None,
        settings: Default::default(),
        verify: Vec::new(),
        switch: Vec::new(),
        tables: Vec::new(),
        live: None,
        timeout: None,
    })));
    backup
}

fn judged(backup: &Backup) -> Judged {
    let now = Time::from_ms(clock::now_ms());
    let listed = look(backup).unwrap();
    let copies = listed.copies.into_iter().map(|s| s.found).collect();
    let listing = Listing { scanned_at: Some(now), copies, count: listed.count, ..Listing::default() };
    judge(&listing, &rules_of(backup), now)
}

#[test]
fn the_age_is_that_of_the_last_log_without_a_gap() {
    let dir = support::scratch();
    let dir = dir.path();
    base(dir, "monday", 2, 600 * MINUTE);
    for (n, minutes) in [(2, 600), (3, 40), (4, 2)] {
        archived(dir, n, if n == 3 { ".gz" } else { "" }, minutes * MINUTE);
    }
    let backup = point_in_time(dir);
    let found = judged(&backup);
    assert_eq!(found.state, BackupState::Fresh, "{}", found.detail);
    assert!(found.detail.contains(&format!("without a gap to {}", segment(4))), "{}", found.detail);
    let headroom = found.headroom_ms.unwrap();
    assert!((170_000..=180_000).contains(&headroom), "{headroom}");
    let newest = found.newest.unwrap();
    let age = |t: Time| clock::now_ms() - t.ms();
    assert!(age(newest.as_of()) < 200_000 && age(newest.taken_at) > 590 * 60_000, "{newest:?}");

    // Nothing came for longer than the RPO.
    archived(dir, 4, "", 7 * MINUTE);
    let found = judged(&backup);
    assert_eq!(found.state, BackupState::Stale);
    assert!(found.detail.contains("RPO 5m over since"), "{}", found.detail);
    assert!(found.headroom_ms.unwrap() < 0);
    archived(dir, 5, "", MINUTE);
    assert_eq!(judged(&backup).state, BackupState::Fresh);

    // The log goes on, and a base backup was due: the schedule is measured by the base backup.
    let mut hourly = backup.clone();
    hourly.every = Some(60 * MINUTE);
    let found = judged(&hourly);
    assert_eq!(found.state, BackupState::Stale);
    assert!(found.detail.contains("due every 1h"), "{}", found.detail);
}

#[test]
fn a_gap_is_named_and_log_behind_it_makes_nothing_younger() {
    let dir = support::scratch();
    let dir = dir.path();
    base(dir, "monday", 2, 60 * MINUTE);
    for (n, minutes) in [(2, 60), (3, 3), (5, 1), (6, 1)] {
        archived(dir, n, "", minutes * MINUTE);
    }
    let backup = point_in_time(dir);
    let found = judged(&backup);
    assert_eq!(found.state, BackupState::Suspect);
    let said = format!("its log has a gap, missing: {}", segment(4));
    assert!(found.detail.starts_with(&said) && found.detail.contains(&segment(6)), "{}", found.detail);
    assert!(found.headroom_ms.unwrap() <= 120_000, "the newest log does not count");
    // And it is over the RPO soon, whatever is archived.
    archived(dir, 3, "", 30 * MINUTE);
    let found = judged(&backup);
    assert_eq!(found.state, BackupState::Stale);
    assert!(found.detail.contains(&said), "{}", found.detail);
    // A newer base backup needs nothing of it.
    base(dir, "tuesday", 5, 2 * MINUTE);
    let found = judged(&backup);
    assert_eq!((found.state, found.newest.unwrap().id.as_str()), (BackupState::Fresh, "tuesday"), "{}", found.detail);
}

#[test]
fn a_base_backup_without_its_own_log_is_not_to_be_trusted() {
    let dir = support::scratch();
    let dir = dir.path();
    base(dir, "monday", 2, 30 * MINUTE);
    base(dir, "tuesday", 5, MINUTE);
    for n in [2, 3, 4] {
        archived(dir, n, "", 2 * MINUTE);
    }
    let backup = point_in_time(dir);
    let found = judged(&backup);
    assert_eq!(found.newest.as_ref().unwrap().id, "monday");
    assert_eq!(found.state, BackupState::Suspect);
    assert!(found.copies[0].suspect.as_ref().unwrap().contains(&segment(5)), "{:?}", found.copies[0]);
    // What it brings along counts.
    put(&dir.join("bases/tuesday/pg_wal").join(segment(5)), &[7; 64], MINUTE);
    let found = judged(&backup);
    assert_eq!((found.state, found.newest.unwrap().id.as_str()), (BackupState::Fresh, "tuesday"), "{}", found.detail);

    // An archive that cannot be looked at is not an archive without a gap.
    std::fs::rename(dir.join("wal"), dir.join("away")).unwrap();
    let found = judged(&backup);
    assert_eq!(found.state, BackupState::Suspect);
    assert!(
        found.detail.contains("its log is not known") && found.detail.contains("does not exist"),
        "{}",
        found.detail
    );
}

#[test]
fn timelines_are_followed() {
    let dir = support::scratch();
    let dir = dir.path();
    base(dir, "monday", 2, 60 * MINUTE);
    for n in [2, 3] {
        archived(dir, n, "", 50 * MINUTE);
    }
    let backup = point_in_time(dir);
    assert_eq!(judged(&backup).state, BackupState::Stale);
    // Promoted in the middle of segment 3: it goes on under another name.
    put(&dir.join("wal/00000002.history"), b"1\t0/3800000\tno recovery target specified\n", MINUTE);
    put(&dir.join("wal/000000020000000000000003"), &[7; 64], 2 * MINUTE);
    put(&dir.join("wal/000000020000000000000004"), &[7; 64], MINUTE);
    let found = judged(&backup);
    assert_eq!(found.state, BackupState::Fresh, "{}", found.detail);
    assert!(found.detail.contains("000000020000000000000004"), "{}", found.detail);
}
