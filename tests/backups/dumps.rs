//! Real dumps of a real server: whole ones are found whole, cut and damaged ones are not.

use super::*;
use mayday::backup::pgdump::{self, Compression, DumpFault};
use mayday::backup::verify::{Options, Verified, verify_path};
use proptest::prelude::*;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;

struct Dumps {
    dir: tempfile::TempDir,
}

impl Dumps {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }
}

/// One database dumped in every way.
fn dumps() -> &'static Dumps {
    static DUMPS: OnceLock<Dumps> = OnceLock::new();
    DUMPS.get_or_init(|| {
        let pg = support::Postgres::shared();
        let db = pg.fresh_db();
        pg.psql(
            &db,
            "create table users(id int primary key, name text not null);
             insert into users select i, md5(i::text) from generate_series(1, 400) i;
             create table nothing(); create table empty(i int); create index on users(name);
             create schema \"O'Brien\"; create table \"O'Brien\".\"a b\" as select 1 as x;
             create view v as select * from users; select lo_from_bytea(0, decode(repeat('00ff', 3000), 'hex'));
             create function f() returns int language sql as 'select 1'",
        );
        let dumps = Dumps { dir: support::scratch() };
        for (name, args) in [
            ("custom.dump", &["-Fc"][..]),
            ("stored.dump", &["-Fc", "-Z0"][..]),
            ("schema.dump", &["-Fc", "--schema-only"][..]),
            ("directory.dump", &["-Fd"][..]),
            ("stored-directory.dump", &["-Fd", "-Z0"][..]),
            ("archive.tar", &["-Ft"][..]),
            ("plain.sql", &["-Fp"][..]),
            ("plain.sql.gz", &["-Fp", "-Z6"][..]),
        ] {
            let done = pg.tool("pg_dump").args(args).arg("-f").arg(dumps.path(name)).arg(&db).status().unwrap();
            assert!(done.success(), "{name}");
        }
        // Into a pipe: pg_dump cannot go back and write where each block is.
        let piped = std::fs::File::create(dumps.path("piped.dump")).unwrap();
        let mut dump = pg.tool("pg_dump").arg("-Fc").arg(&db).stdout(Stdio::piped()).spawn().unwrap();
        std::io::copy(&mut dump.stdout.take().unwrap(), &mut &piped).unwrap();
        assert!(dump.wait().unwrap().success());
        let all = pg.tool("pg_dumpall").arg("-g").arg("-f").arg(dumps.path("globals.sql")).status().unwrap();
        assert!(all.success());
        std::fs::write(dumps.path("custom.dump.gz"), gz(&dumps.bytes("custom.dump"))).unwrap();
        let zst = zstd::encode_all(&dumps.bytes("plain.sql")[..], 3).unwrap();
        std::fs::write(dumps.path("plain.sql.zst"), zst).unwrap();
        dumps
    })
}

async fn verify(path: &Path) -> Verified {
    verify_path(path, &Options::default()).await
}

fn answer<'a>(verified: &'a Verified, check: &str) -> &'a mayday::backup::verify::Answer {
    let found = verified.checks.iter().find(|c| c.check.starts_with(check));
    found.unwrap_or_else(|| panic!("no answer to \"{check}\" in {verified:#?}"))
}

#[tokio::test]
async fn every_way_of_dumping_is_found_whole() {
    let dumps = dumps();
    for (name, format, words) in [
        ("custom.dump", "pg custom", "data blocks"),
        ("stored.dump", "pg custom", "data blocks"),
        ("piped.dump", "pg custom", "data blocks"),
        ("schema.dump", "pg custom", "0 of 0 data blocks"),
        ("custom.dump.gz", "pg custom gzip", "data blocks"),
        ("directory.dump", "pg directory", "files"),
        ("stored-directory.dump", "pg directory", "files"),
        ("archive.tar", "tar", "entries"),
        ("plain.sql", "sql", "ends as a dump ends"),
        ("plain.sql.gz", "sql gzip", "ends as a dump ends"),
        ("plain.sql.zst", "sql zstd", "ends as a dump ends"),
        ("globals.sql", "sql", "ends as a dump ends"),
    ] {
        let verified = verify(&dumps.path(name)).await;
        assert_eq!(verified.good, Some(true), "{name}: {verified:#?}");
        assert_eq!(verified.format, format, "{name}");
        let read = answer(&verified, "read to the end");
        assert!(read.words.contains(words), "{name}: {}", read.words);
        assert!(verified.size > 0 && verified.decoded.is_some_and(|b| b > 0), "{name}");
        if format.starts_with("pg ") {
            let facts = verified.dump.as_ref().unwrap();
            assert!(facts.database.starts_with("test_") && facts.entries > 5, "{facts:?}");
            assert!(!facts.server.is_empty() && !facts.dumped_by.is_empty(), "{facts:?}");
        }
        if !format.ends_with("gzip") && format.starts_with("pg ") {
            assert_eq!(answer(&verified, "pg_restore --list").good, Some(true), "{verified:#?}");
            assert_eq!(answer(&verified, "pg_restore -f").good, Some(true), "{verified:#?}");
        }
        let json = serde_json::to_value(&verified).unwrap();
        assert_eq!(json["good"], true);
    }
}

#[test]
fn a_custom_dump_cut_anywhere_is_noticed() {
    for name in ["custom.dump", "stored.dump", "piped.dump"] {
        let whole = dumps().bytes(name);
        let walked = pgdump::walk(&mut &whole[..]).unwrap();
        assert_eq!(walked.blocks, walked.toc.with_data.len());
        // Each byte near the ends, where blocks are short and lengths stand; samples between.
        let dense = 400.min(whole.len());
        let cuts = (0..dense).chain((dense..whole.len()).step_by(37)).chain(whole.len() - dense..whole.len());
        for cut in cuts {
            let found = pgdump::walk(&mut &whole[..cut]);
            assert!(matches!(found, Err(DumpFault::Truncated(_))), "{name} cut at {cut}: {found:?}");
        }
    }
}

#[test]
fn damage_within_compressed_data_is_noticed() {
    let whole = dumps().bytes("custom.dump");
    let toc = pgdump::read_toc(&mut &whole[..]).unwrap();
    assert_eq!(toc.compression, Compression::Gzip);
    // The table of 400 rows fills most of the data, so this lies within it.
    for at in (whole.len() * 2 / 3..whole.len() - 200).step_by(11) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        if let Ok(walked) = pgdump::walk(&mut &damaged[..]) {
            panic!("a changed byte at {at} of {} went unnoticed: {walked:?}", whole.len());
        }
    }
}

#[tokio::test]
async fn a_newer_archive_is_not_called_bad() {
    let dir = support::scratch();
    let mut newer = dumps().bytes("custom.dump");
    newer[6] = 99;
    let path = dir.path().join("newer.dump");
    std::fs::write(&path, &newer).unwrap();
    let verified = verify(&path).await;
    assert_eq!(verified.good, None, "{verified:#?}");
    assert!(verified.verdict.contains("1.99 is newer") || verified.verdict.contains("too old"), "{}", verified.verdict);
    assert_eq!(answer(&verified, "pg_restore --list").good, None, "the tool's limit, not the copy's fault");
}

#[tokio::test]
async fn bad_copies_are_named_with_their_fault() {
    let (dumps, dir) = (dumps(), support::scratch());
    let half = |name: &str| {
        let mut bytes = dumps.bytes(name);
        bytes.truncate(bytes.len() - bytes.len() / 4);
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    for (name, words) in [
        ("custom.dump", "cut off"),
        ("custom.dump.gz", "cut off"),
        ("archive.tar", "cut off"),
        ("plain.sql", "line that ends"),
        ("plain.sql.gz", "cut off"),
        ("plain.sql.zst", "cut off"),
    ] {
        let verified = verify(&half(name)).await;
        assert_eq!(verified.good, Some(false), "{name}: {verified:#?}");
        assert!(verified.verdict.contains(words), "{name}: {}", verified.verdict);
    }
    // gzip that ends well around a dump that did not: pg_dump was killed, the pipe was closed properly.
    let plain = dumps.bytes("plain.sql");
    let path = dir.path().join("killed.sql.gz");
    std::fs::write(&path, gz(&plain[..plain.len() / 2])).unwrap();
    assert!(verify(&path).await.verdict.contains("line that ends"));
    let path = dir.path().join("killed.dump.gz");
    let custom = dumps.bytes("custom.dump");
    std::fs::write(&path, gz(&custom[..custom.len() - 300])).unwrap();
    assert!(verify(&path).await.verdict.contains("cut off"));
    for (name, content, words) in
        [("empty.dump", &b""[..], "nothing in it"), ("empty.sql.gz", &gz(b"")[..], "nothing in it")]
    {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        let verified = verify(&path).await;
        assert_eq!(verified.good, Some(false), "{name}: {verified:#?}");
        assert!(verified.verdict.contains(words), "{}", verified.verdict);
    }
    let gone = verify(&dir.path().join("gone.dump")).await;
    assert_eq!(gone.good, Some(false));
    assert!(gone.verdict.contains("cannot be found"), "{}", gone.verdict);
    let unknown = dir.path().join("something");
    std::fs::write(&unknown, b"anything").unwrap();
    assert_eq!(verify(&unknown).await.good, None, "nothing is claimed of what cannot be checked");
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn a_directory_dump_needs_all_of_its_files() {
    let (dumps, dir) = (dumps(), support::scratch());
    let largest = |folder: &Path| {
        let named = |e: &std::fs::DirEntry| e.file_name().as_encoded_bytes()[0].is_ascii_digit();
        let files = std::fs::read_dir(folder).unwrap().flatten().filter(named);
        files.max_by_key(|e| e.metadata().unwrap().len()).unwrap().path()
    };
    for (what, words) in [
        ("missing", "is not there"),
        ("no blob", "is not there"),
        ("cut", "cut off"),
        ("toc", "no toc.dat"),
        ("short toc", "toc.dat"),
    ] {
        let folder = dir.path().join(what);
        copy_folder(&dumps.path("directory.dump"), &folder);
        let file = largest(&folder);
        match what {
            "missing" => std::fs::remove_file(&file).unwrap(),
            "no blob" => {
                let named = |e: &std::fs::DirEntry| e.file_name().to_string_lossy().starts_with("blob_");
                let blob = std::fs::read_dir(&folder).unwrap().flatten().find(named).unwrap();
                std::fs::remove_file(blob.path()).unwrap();
            }
            "cut" => {
                let bytes = std::fs::read(&file).unwrap();
                std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
            }
            "toc" => std::fs::remove_file(folder.join("toc.dat")).unwrap(),
            _ => {
                let bytes = std::fs::read(folder.join("toc.dat")).unwrap();
                std::fs::write(folder.join("toc.dat"), &bytes[..bytes.len() - 30]).unwrap();
            }
        }
        let verified = verify(&folder).await;
        assert_eq!(verified.good, Some(false), "{what}: {verified:#?}");
        assert!(verified.verdict.contains(words), "{what}: {}", verified.verdict);
    }
}

#[tokio::test]
async fn without_the_tools_the_rest_is_still_known() {
    let nowhere = support::scratch();
    let options = Options { path: Some(nowhere.path().into()), ..Options::default() };
    let verified = verify_path(&dumps().path("custom.dump"), &options).await;
    assert_eq!(verified.good, Some(true), "{verified:#?}");
    let list = answer(&verified, "pg_restore --list");
    assert_eq!((list.good, list.words.as_str()), (None, "pg_restore is not installed here"));
}

#[tokio::test]
async fn a_verification_ends_when_asked_to() {
    let dir = support::scratch();
    let options = Options::default();
    options.beat.stop();
    let path = dir.path().join("large.gz");
    std::fs::write(&path, gz(&noise(4 << 20))).unwrap();
    let verified = verify_path(&path, &options).await;
    assert_eq!((verified.good, verified.decoded), (None, None), "{verified:#?}");
    assert!(verified.verdict.contains("stopped"), "{}", verified.verdict);
}

/// A custom dump as pg_backup_archiver.c and pg_backup_custom.c of PostgreSQL 17 write it (archive version 1.16), which
/// knows other compressions than the server at hand: one table with data, one without.
fn dump_of_17(compression: u8, data: &[u8]) -> Vec<u8> {
    let int = |n: i32| [&[u8::from(n < 0)][..], &n.unsigned_abs().to_le_bytes()].concat();
    let text = |t: &str| [int(t.len() as i32), t.as_bytes().to_vec()].concat();
    let none = || int(-1);
    let mut out = b"PGDMP\x01\x10\x00\x04\x08\x01".to_vec();
    out.push(compression);
    for n in [7, 14, 2, 20, 10, 126, 0] {
        out.extend(int(n));
    }
    out.extend([text("shop"), text("17.2"), text("17.2"), int(2)].concat());
    for (id, state) in [(1, 2u8), (2, 3)] {
        out.extend([int(id), int(1), text("1259"), text("16390"), text("t"), text("TABLE DATA"), int(3)].concat());
        out.extend([text(""), text(""), text("COPY t FROM stdin;"), text("public"), none()].concat());
        out.extend([text("heap"), int(114), text("owner"), text("false"), text("1"), none()].concat());
        out.push(state);
        out.extend(0u64.to_le_bytes());
    }
    out.push(1);
    out.extend(int(1));
    for piece in data.chunks(100) {
        out.extend(int(piece.len() as i32));
        out.extend(piece);
    }
    out.extend(int(0));
    out
}

#[test]
fn the_compressions_of_later_servers() {
    let rows = noise(5000);
    let zlib = {
        let mut e = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        e.write_all(&rows).unwrap();
        e.finish().unwrap()
    };
    let zstd = {
        let mut e = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        e.include_checksum(true).unwrap();
        e.write_all(&rows).unwrap();
        e.finish().unwrap()
    };
    for (number, compression, stored, decoded) in [
        (0, Compression::None, &rows, 5000),
        (1, Compression::Gzip, &zlib, 5000),
        (2, Compression::Lz4, &rows, 5000),
        (3, Compression::Zstd, &zstd, 5000),
    ] {
        let whole = dump_of_17(number, stored);
        let walked = pgdump::walk(&mut &whole[..]).unwrap();
        assert_eq!((walked.toc.compression, walked.blocks, walked.bytes), (compression, 1, decoded));
        assert_eq!((walked.toc.version, walked.toc.server.as_str(), walked.toc.entries), ((1, 16), "17.2", 2));
        for cut in 0..whole.len() {
            let found = pgdump::walk(&mut &whole[..cut]);
            assert!(matches!(found, Err(DumpFault::Truncated(_))), "{compression:?} cut at {cut}: {found:?}");
        }
        if matches!(compression, Compression::Gzip | Compression::Zstd) {
            let mut damaged = whole.clone();
            let middle = damaged.len() - 1000;
            damaged[middle] ^= 0x55;
            assert!(pgdump::walk(&mut &damaged[..]).is_err(), "{compression:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Whatever stands in a file, the walk ends, takes no more memory than the file is long, and does not panic.
    #[test]
    fn any_bytes_are_survived(
        cut in 0.0..1.0f64, changes in prop::collection::vec((0.0..1.0f64, 0u8..), 0..6), tail in prop::collection::vec(0u8.., 0..200),
    ) {
        let mut bytes = dumps().bytes("stored.dump");
        let n = bytes.len();
        for (at, value) in changes {
            bytes[(at * (n - 1) as f64) as usize] = value;
        }
        bytes.truncate((cut * n as f64) as usize);
        bytes.extend(tail);
        let _ = pgdump::walk(&mut &bytes[..]);
    }
}
