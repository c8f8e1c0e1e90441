//! What one look at a folder finds.

use super::*;
use mayday::config::{PostgresRestore, Restore};
use mayday::domain::backup::Reading;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::time::Instant;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn the_newest_come_first_and_all_are_counted() {
    let dir = support::scratch();
    for (name, hours) in [("b.dump", 2), ("a.dump", 1), ("c.dump", 3)] {
        put(&dir.path().join(name), b"PGDMPxx", HOUR * hours);
    }
    put(&dir.path().join("notes.txt"), b"no", HOUR);
    put(&dir.path().join(".a.dump"), b"being copied", HOUR);
    let backup = set("pg", dir.path(), "*.dump");
    let listed = look(&backup).unwrap();
    assert_eq!(ids(&listed), ["a.dump", "b.dump", "c.dump"]);
    assert_eq!((listed.count, listed.bytes), (3, 21));
    let copy = &listed.copies[0].found.copy;
    assert_eq!(copy.place, dir.path().join("a.dump").to_str().unwrap());
    assert_eq!(copy.path_bytes(), dir.path().join("a.dump").as_os_str().as_bytes());
    assert_eq!(source_of(&backup).list(2, &Beat::default()).unwrap().copies.len(), 2, "no more than asked for");
    // Hidden files count for those who ask for them by name.
    assert_eq!(ids(&look(&set("pg", dir.path(), ".a.*")).unwrap()), [".a.dump"]);
}

#[test]
fn names_and_first_bytes_must_agree() {
    let sql = b"--\n-- PostgreSQL database dump\n--\nselect 1;\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict x\n";
    let tar = {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        header.set_cksum();
        tar.append_data(&mut header, "a", &b"abc"[..]).unwrap();
        tar.into_inner().unwrap()
    };
    let zst = zstd::encode_all(&sql[..], 1).unwrap();
    for (name, content, format, fault) in [
        ("a.dump", b"PGDMP\x01\x0e\x00".to_vec(), "pg custom", ""),
        ("a.dump", b"<html>502 Bad Gateway".to_vec(), "file", "PGDMP"),
        ("a.dump", b"pg_dump: error: connection to server failed".to_vec(), "file", "PGDMP"),
        ("a.dump", sql.to_vec(), "sql", ""),
        ("a.dump.gz", gz(b"PGDMP\x01\x0e\x00"), "pg custom gzip", ""),
        ("a.sql", sql.to_vec(), "sql", ""),
        ("a.sql", sql[..60].to_vec(), "sql", "cut off"),
        ("a.sql", b"create table t(i int);".to_vec(), "sql", ""),
        ("a.sql", b"\x00\x01\x02".to_vec(), "sql", "text"),
        ("a.sql", gz(sql), "sql gzip", ""),
        ("a.sql.gz", gz(sql), "sql gzip", ""),
        ("a.sql.gz", sql.to_vec(), "sql gzip", "its name says gzip"),
        ("a.sql.gz", zst.clone(), "sql gzip", "its name says gzip"),
        ("a.sql.zst", zst, "sql zstd", ""),
        ("a.sql.gz", gz(b"PGDMP\x01\x0e\x00"), "pg custom gzip", "text"),
        ("a.tar", tar.clone(), "tar", ""),
        ("a.tar", noise(2048), "file", "archive"),
        ("a.tgz", gz(&tar), "tar gzip", ""),
        ("a.tgz", gz(b"tar: disk full"), "file gzip", "archive"),
        ("backup", tar, "tar", ""),
        ("dump.rdb", [&b"REDIS0011\xFF"[..], &[0; 8]].concat(), "rdb", ""),
        ("dump.rdb", b"REDIS0011".to_vec(), "rdb", "its end mark is missing"),
        ("dump.rdb", [&b"REDIS0011\xFE\x00\xFF"[..], &[0; 7]].concat(), "rdb", "its end mark is missing"),
        // Up to version 4 there is no sum behind the mark.
        ("dump.rdb", b"REDIS0004\xFF".to_vec(), "rdb", ""),
        ("dump.rdb", b"REDIS0004\xFE\x00".to_vec(), "rdb", "its end mark is missing"),
        // An append-only file that begins as one ends with commands.
        ("appendonly.aof", b"REDIS0009\xFA\x0Caof-preamble\xC0\x01*1\r\n$4\r\nPING\r\n".to_vec(), "rdb", ""),
        ("dump.rdb", b"{}".to_vec(), "file", "REDIS"),
        ("a.zip", b"PK\x03\x04".to_vec(), "zip", ""),
        ("a.xz", b"\xFD7zXZ\x00".to_vec(), "xz", ""),
        ("a.xz", b"nothing".to_vec(), "file", "compression"),
        ("a.sql.gpg", noise(100), "encrypted", ""),
        ("a.bin", b"anything".to_vec(), "file", ""),
    ] {
        let dir = support::scratch();
        put(&dir.path().join(name), &content, HOUR);
        let listed = look(&set("x", dir.path(), "*")).unwrap();
        let found = &listed.copies[0].found;
        let said = found.fault.clone().unwrap_or_default();
        assert_eq!(found.copy.format, format, "{name}: {said}");
        assert_eq!(said.is_empty(), fault.is_empty(), "{name} {}: {said}", String::from_utf8_lossy(&content));
        assert!(said.contains(fault), "{name}: {said}");
    }
}

#[test]
fn what_a_restore_needs_is_looked_for() {
    let dir = support::scratch();
    put(&dir.path().join("db.bak"), &noise(100), HOUR);
    let mut backup = set("pg", dir.path(), "*");
    assert_eq!(look(&backup).unwrap().copies[0].found.fault, None);
    backup.restore = Some(Restore::PostgresDump(PostgresRestore {
        database: "app".to_owned(),
        dsn: mayday::config::secret::MaybeSecret::Plain("host=/tmp".to_owned()),
        password: None,
        verify: Vec::new(),
        only: Vec::new(),
        amcheck: None,
        jobs: None,
        grace: None,
        timeout: None,
        extra_ca: Vec::new(),
    }));
    let listed = look(&backup).unwrap();
    assert!(listed.copies[0].found.fault.as_ref().unwrap().contains("no PostgreSQL dump"), "{listed:?}");
    // A tar archive is a dump when pg_dump's table of contents comes first, and any other archive is none.
    for (first, good) in [("toc.dat", true), ("toc.data", false), ("notes.txt", false)] {
        let dir = support::scratch();
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(8);
        tar.append_data(&mut header, first, &b"PGDMP\x01\x0e\x00"[..]).unwrap();
        put(&dir.path().join("app.tar"), &tar.into_inner().unwrap(), HOUR);
        let mut of_tar = backup.clone();
        of_tar.source = set("pg", dir.path(), "*").source;
        let found = look(&of_tar).unwrap().copies[0].found.clone();
        assert_eq!(found.fault.is_none(), good, "{first}: {found:?}");
    }
}

#[test]
fn folders_as_copies_and_folders_passed_over() {
    let dir = support::scratch();
    let good = dir.path().join("2026-11-20.dump");
    std::fs::create_dir_all(good.join("inner")).unwrap();
    put(&good.join("toc.dat"), b"PGDMP\x01\x0e\x00", HOUR);
    put(&good.join("4012.dat.gz"), &gz(b"1\n"), HOUR);
    put(&good.join("inner/x"), b"12345", HOUR);
    let unfinished = dir.path().join("2026-11-21.dump");
    std::fs::create_dir(&unfinished).unwrap();
    put(&unfinished.join("4012.dat.gz"), &gz(b"1\n"), HOUR);
    for (folder, hours) in [(&good.join("inner"), 2), (&good, 2), (&unfinished, 1)] {
        date(folder, SystemTime::now() - HOUR * hours);
    }
    let mut backup = set("pg", dir.path(), "*.dump");
    let listed = look(&backup).unwrap();
    assert_eq!(listed.count, 0);
    assert!(listed.remark.as_ref().unwrap().contains("2 folders"), "{:?}", listed.remark);
    assert!(listed.remark.as_ref().unwrap().contains("folders = true"), "{:?}", listed.remark);

    files(&mut backup).folders = true;
    let listed = look(&backup).unwrap();
    assert_eq!(listed.count, 2);
    let by_id = |id: &str| &listed.copies.iter().find(|s| s.found.copy.id == id).unwrap().found;
    assert_eq!(by_id("2026-11-20.dump").copy.format, "pg directory");
    assert_eq!(by_id("2026-11-20.dump").copy.size, 8 + gz(b"1\n").len() as u64 + 5, "what is inside is added up");
    assert_eq!(by_id("2026-11-20.dump").fault, None);
    assert!(by_id("2026-11-21.dump").fault.as_ref().unwrap().contains("no toc.dat"));
}

#[test]
fn below_the_folder_when_asked() {
    let dir = support::scratch();
    std::fs::create_dir_all(dir.path().join("daily/old")).unwrap();
    put(&dir.path().join("top.dump"), b"PGDMPx", HOUR);
    put(&dir.path().join("daily/a.dump"), b"PGDMPx", HOUR * 2);
    put(&dir.path().join("daily/old/b.dump"), b"PGDMPx", HOUR * 3);
    symlink(dir.path(), dir.path().join("daily/loop")).unwrap();
    let mut backup = set("pg", dir.path(), "*.dump");
    assert_eq!(ids(&look(&backup).unwrap()), ["top.dump"]);
    files(&mut backup).recursive = true;
    assert_eq!(ids(&look(&backup).unwrap()), ["top.dump", "daily/a.dump", "daily/old/b.dump"]);
    files(&mut backup).pattern = "daily/*.dump".to_owned();
    assert_eq!(ids(&look(&backup).unwrap()), ["daily/a.dump"]);
    files(&mut backup).pattern = "**/old/*".to_owned();
    assert_eq!(ids(&look(&backup).unwrap()), ["daily/old/b.dump"]);
}

#[test]
fn links_count_once_and_only_when_they_lead_to_a_file() {
    let (dir, elsewhere) = (support::scratch(), support::scratch());
    put(&dir.path().join("pg-1.dump"), b"PGDMPx", HOUR);
    put(&elsewhere.path().join("far.dump"), b"PGDMPxyz", HOUR * 2);
    symlink("pg-1.dump", dir.path().join("latest.dump")).unwrap();
    symlink(elsewhere.path().join("far.dump"), dir.path().join("far-away.dump")).unwrap();
    symlink("nothing", dir.path().join("dangling.dump")).unwrap();
    symlink("loop.dump", dir.path().join("loop.dump")).unwrap();
    symlink(elsewhere.path(), dir.path().join("folder.dump")).unwrap();
    std::fs::hard_link(dir.path().join("pg-1.dump"), dir.path().join("weekly.dump")).unwrap();
    // Opening a pipe would wait for ever.
    rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("pipe.dump"), rustix::fs::Mode::RWXU).unwrap();
    let listed = look(&set("pg", dir.path(), "*.dump")).unwrap();
    assert_eq!((listed.count, listed.bytes), (2, 14), "{:?}", ids(&listed));
    assert!(ids(&listed).contains(&"far-away.dump"), "{:?}", ids(&listed));

    let only_dangling = support::scratch();
    symlink("nothing", only_dangling.path().join("a.dump")).unwrap();
    let listed = look(&set("pg", only_dangling.path(), "*.dump")).unwrap();
    assert!(listed.remark.as_ref().unwrap().contains("1 link to nothing"), "{:?}", listed.remark);
    // A pipe behind a link is no copy either.
    symlink(dir.path().join("pipe.dump"), only_dangling.path().join("b.dump")).unwrap();
    assert_eq!(look(&set("pg", only_dangling.path(), "*.dump")).unwrap().count, 0);
}

#[test]
fn odd_names_are_harmless_and_lead_back_to_their_file() {
    let dir = support::scratch();
    let names: [&[u8]; 5] = [
        b"M\xe4rz.dump",
        b"\x1b[2J\x1b]0;owned\x07.dump",
        "a\u{202e}b.dump".as_bytes(),
        b"two\nlines.dump",
        b"raw:x.dump",
    ];
    for name in names {
        put(&dir.path().join(OsStr::from_bytes(name)), b"PGDMPx", HOUR);
    }
    let listed = look(&set("pg", dir.path(), "*.dump")).unwrap();
    assert_eq!(listed.count, 5);
    for seen in &listed.copies {
        let copy = &seen.found.copy;
        for text in [&copy.id, &copy.place] {
            assert_eq!(mayday::text::clean(text), text.as_str(), "safe to show as it is");
        }
        let bytes = copy.path_bytes();
        assert_eq!(std::fs::read(OsStr::from_bytes(&bytes)).unwrap(), b"PGDMPx");
    }
    let unique: std::collections::BTreeSet<_> = ids(&listed).into_iter().collect();
    assert_eq!(unique.len(), 5);
}

#[test]
fn folders_that_cannot_be_listed() {
    let dir = support::scratch();
    put(&dir.path().join("file"), b"x", HOUR);
    let gone = look(&set("pg", &dir.path().join("gone"), "*")).unwrap();
    assert_eq!(gone.count, 0);
    assert!(gone.remark.as_ref().unwrap().contains("does not exist"), "{:?}", gone.remark);
    let file = look(&set("pg", &dir.path().join("file"), "*")).unwrap_err();
    assert!(file.contains("cannot be read") && file.contains("must be a folder"), "{file}");
    let pattern = look(&set("pg", dir.path(), "a{b")).unwrap_err();
    assert!(pattern.contains("a{b"), "{pattern}");
}

/// Runs `work` on a thread that has no more rights than anybody. Only this thread changes: the system call is made
/// without the C library, which would change all of them.
fn as_nobody<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(|| {
        if rustix::process::geteuid().is_root() {
            // SAFETY: the system call takes integers only, and changes this thread alone.
            let changed = unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, -1) };
            assert_eq!(changed, 0);
        }
        work()
    })
    .join()
    .unwrap()
}

#[test]
fn permissions_are_told_and_never_taken_for_an_answer() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let dir = support::scratch();
    mode(dir.path(), 0o755);
    let locked = dir.path().join("locked");
    std::fs::create_dir(&locked).unwrap();
    put(&dir.path().join("secret.dump"), b"PGDMPx", HOUR);
    mode(&dir.path().join("secret.dump"), 0);
    mode(&locked, 0);

    let unreadable = set("pg", &locked, "*");
    let refused = as_nobody(move || look(&unreadable)).unwrap_err();
    assert!(refused.contains("ermission denied") && refused.contains("engine's user"), "{refused}");

    let mut backup = set("pg", dir.path(), "*.dump");
    files(&mut backup).recursive = true;
    let listed = as_nobody(move || look(&backup)).unwrap();
    let found = &listed.copies[0].found;
    assert!(matches!(&found.reading, Reading::Cannot(why) if why.contains("may not read it")), "{found:?}");
    assert_eq!(found.fault, None, "nothing is known to be wrong with it");
    assert!(listed.remark.as_ref().unwrap().contains("locked"), "part of the tree is unknown: {:?}", listed.remark);
    mode(&locked, 0o755);
}

/// The cost of a look is that of asking for the names and dates, and does not hang on how many copies are kept.
#[test]
fn a_hundred_thousand_files() {
    let dir = support::scratch();
    const FILES: u64 = 100_000;
    for n in 0..FILES {
        std::fs::File::create(dir.path().join(format!("wal-{n:06}.gz"))).unwrap();
    }
    put(&dir.path().join("wal-newest.gz"), &gz(b"x"), Duration::ZERO);
    // The last of the others may be of the same millisecond.
    date(&dir.path().join("wal-newest.gz"), SystemTime::now() + Duration::from_secs(1));
    let bare = {
        let began = Instant::now();
        let mut bytes = 0;
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            bytes += entry.unwrap().metadata().unwrap().len();
        }
        assert!(bytes > 0);
        began.elapsed()
    };
    let backup = set("wal", dir.path(), "*.gz");
    let source = source_of(&backup);
    let began = Instant::now();
    let listed = source.list(200, &Beat::default()).unwrap();
    let took = began.elapsed();
    assert_eq!((listed.count, listed.copies.len()), (FILES + 1, 200));
    assert_eq!(listed.copies[0].found.copy.id, "wal-newest.gz");
    assert!(took < bare * 8, "a look took {took:?}, bare names and dates {bare:?}");
    // Names that do not match are not even asked about.
    let other = source_of(&set("other", dir.path(), "*.dump"));
    let began = Instant::now();
    assert_eq!(other.list(200, &Beat::default()).unwrap().count, 0);
    assert!(began.elapsed() < bare * 4, "{:?} beside {bare:?}", began.elapsed());
}
