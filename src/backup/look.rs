//! What a copy looks like from its name and its first bytes: a few kilobytes read, nothing more.
//!
//! Fault is found where name and content contradict each other, or where a format says by itself that it is not
//! complete. Whether a compressed copy can be read to its end is not known here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::Beat;
use crate::domain::Time;
use crate::sys::archive::{self, Codec};
use crate::sys::{peer, rdb};

/// What the copies are going to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Anything,
    /// A restore with `postgres_dump`: custom, directory, tar or plain format.
    PostgresDump,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// For `Copy::format`.
    pub format: String,
    pub fault: Option<String>,
    /// Why it cannot be read to its end here.
    pub cannot: Option<String>,
    /// Holds as long as the content stays the same; not so for a file that could not be opened.
    pub final_: bool,
}

/// What content is, below any compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    PgCustom,
    /// SQL that pg_dump or pg_dumpall wrote, which ends with a line that says so.
    PgSql,
    Sql,
    Tar,
    Rdb,
    Zip,
    Xz,
    Bzip2,
    Lz4,
    Encrypted,
    Unknown,
}

impl Content {
    pub const fn word(self) -> &'static str {
        match self {
            Content::PgCustom => "pg custom",
            Content::PgSql | Content::Sql => "sql",
            Content::Tar => "tar",
            Content::Rdb => "rdb",
            Content::Zip => "zip",
            Content::Xz => "xz",
            Content::Bzip2 => "bzip2",
            Content::Lz4 => "lz4",
            Content::Encrypted => "encrypted",
            Content::Unknown => "file",
        }
    }
}

/// What the first bytes say; 512 are enough. Magic numbers: pg_backup_archiver.c, ustar (POSIX.1-2001), the formats'
/// own specifications.
pub fn content_of(head: &[u8]) -> Content {
    match head {
        [b'P', b'G', b'D', b'M', b'P', ..] => Content::PgCustom,
        [b'R', b'E', b'D', b'I', b'S', ..] => Content::Rdb,
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Content::Zip,
        [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => Content::Xz,
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Content::Bzip2,
        [0x04, 0x22, 0x4D, 0x18, ..] => Content::Lz4,
        _ if head.starts_with(b"age-encryption.org/")
            || head.starts_with(b"-----BEGIN AGE ENCRYPTED FILE")
            || head.starts_with(b"-----BEGIN PGP MESSAGE") =>
        {
            Content::Encrypted
        }
        _ if is_tar(head) => Content::Tar,
        _ => sql_of(head).unwrap_or(Content::Unknown),
    }
}

/// A tar header carries the sum of its own bytes, with the eight bytes of the sum taken as blanks.
fn is_tar(head: &[u8]) -> bool {
    let (Some(block), Some(field)) = (head.get(..512), head.get(148..156)) else { return false };
    let digits: String = field.iter().map(|&b| char::from(b)).filter(char::is_ascii_digit).collect();
    let Ok(stated) = u64::from_str_radix(&digits, 8) else { return false };
    let sum: u64 = block.iter().map(|&b| u64::from(b)).sum();
    let own: u64 = field.iter().map(|&b| u64::from(b)).sum();
    stated > 256 && sum - own + 8 * u64::from(b' ') == stated
}

fn sql_of(head: &[u8]) -> Option<Content> {
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start();
    if text.contains("-- PostgreSQL database dump") || text.contains("-- PostgreSQL database cluster dump") {
        return Some(Content::PgSql);
    }
    const BEGINNINGS: [&str; 14] = [
        "--",
        "/*",
        "\\",
        "set ",
        "create ",
        "drop ",
        "insert ",
        "begin",
        "use ",
        "pragma ",
        "alter ",
        "copy ",
        "delete ",
        "start transaction",
    ];
    let lower = text.get(..32.min(text.len())).unwrap_or(text).to_ascii_lowercase();
    BEGINNINGS.iter().any(|b| lower.starts_with(b)).then_some(Content::Sql)
}

/// The extension below the compression's own, in lower case: `sql` for `db.SQL.gz`.
fn inner_extension(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    for short in ["tgz", "tzst"] {
        if name.ends_with(&format!(".{short}")) {
            return "tar".to_owned();
        }
    }
    let compressed = Codec::by_name(path) != Codec::Plain;
    let mut parts = name.rsplit('.');
    if compressed {
        parts.next();
    }
    let extension = parts.next().unwrap_or_default().to_owned();
    if parts.next().is_some() { extension } else { String::new() }
}

/// Its name says that it holds JSON.
pub fn is_json(path: &Path) -> bool {
    inner_extension(path) == "json"
}

/// What can be said without opening it.
pub fn by_name(path: &Path, folder: bool) -> Look {
    if folder {
        return Look { format: "directory".to_owned(), ..Look::default() };
    }
    let content = match inner_extension(path).as_str() {
        "sql" => Content::Sql,
        "tar" => Content::Tar,
        "dump" | "pgdump" => Content::PgCustom,
        "rdb" => Content::Rdb,
        "zip" => Content::Zip,
        "xz" => Content::Xz,
        "bz2" => Content::Bzip2,
        "lz4" => Content::Lz4,
        "gpg" | "pgp" | "age" | "enc" => Content::Encrypted,
        _ => Content::Unknown,
    };
    Look { format: format_of(content, Codec::by_name(path)), ..Look::default() }
}

fn format_of(content: Content, codec: Codec) -> String {
    match codec {
        Codec::Plain => content.word().to_owned(),
        codec => format!("{} {}", content.word(), codec.name()),
    }
}

/// Opens a file for reading without ever waiting for it, and only if it is one.
pub fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

/// Looks at a file's (or folder's) beginning, and at the end of a plain SQL file.
pub fn look(path: &Path, size: u64, wanted: Wanted) -> Look {
    if path.is_dir() {
        return look_at_folder(path, wanted);
    }
    let named = by_name(path, false);
    if size == 0 {
        return Look { final_: true, ..named };
    }
    let file = match open(path) {
        Ok(file) => file,
        Err(e) => return Look { cannot: Some(why_not(&e)), ..named },
    };
    let mut head = [0; 512];
    let codec = match file.read_at(&mut head, 0) {
        Ok(n) => Codec::by_magic(head.get(..n).unwrap_or_default()),
        Err(e) => return Look { cannot: Some(why_not(&e)), ..named },
    };
    let by_name = Codec::by_name(path);
    if by_name != Codec::Plain && by_name != codec {
        let fault = format!("its name says {} and its first bytes do not", by_name.name());
        return Look { fault: Some(fault), final_: true, ..named };
    }
    let head = match inner_head(&file, codec) {
        Ok(head) => head,
        // Too short to hold anything, or damaged at once: reading to the end will say which.
        Err(_) => return Look { final_: true, ..named },
    };
    let mut content = content_of(&head);
    let inner = inner_extension(path);
    let mut fault = contradiction(&inner, content, &head);
    if fault.is_none() && wanted == Wanted::PostgresDump && !restorable(content, &inner, &head) {
        fault = Some(
            "it is no PostgreSQL dump: neither PGDMP nor SQL nor an archive's toc.dat at its beginning".to_owned(),
        );
    }
    if content == Content::Unknown && inner == "sql" {
        content = Content::Sql;
    }
    if fault.is_none() && content == Content::PgSql && codec == Codec::Plain && !ends_as_dump(&file, size) {
        fault = Some("it is cut off: the line that ends a PostgreSQL dump is missing".to_owned());
    }
    let rdb = if content == Content::Rdb { rdb::head(&head).filter(|h| !h.is_preamble()) } else { None };
    if let (None, Codec::Plain, Some(head)) = (&fault, codec, &rdb) {
        fault = ends_as_rdb(&file, size, head).err();
    }
    let encrypted = content == Content::Encrypted || matches!(inner.as_str(), "gpg" | "pgp" | "age" | "enc");
    let cannot = match content {
        _ if encrypted => Some("it is encrypted".to_owned()),
        Content::Xz | Content::Bzip2 | Content::Lz4 | Content::Zip => {
            Some(format!("{} is not decoded here", content.word()))
        }
        Content::Unknown if codec == Codec::Plain && inner != "json" => {
            Some("its format carries no check that is known here".to_owned())
        }
        // The beginning of an append-only file: what follows is commands, and their end may be torn and mended.
        Content::Rdb if codec == Codec::Plain && rdb.is_none() => {
            Some("its format carries no check that is known here".to_owned())
        }
        _ => None,
    };
    let content = if encrypted { Content::Encrypted } else { content };
    Look { format: format_of(content, codec), fault, cannot, final_: true }
}

fn restorable(content: Content, inner: &str, head: &[u8]) -> bool {
    match content {
        Content::PgCustom | Content::PgSql | Content::Sql => true,
        // pg_dump puts its table of contents first (pg_backup_tar.c).
        Content::Tar => head.starts_with(b"toc.dat\0"),
        Content::Unknown => inner == "sql",
        _ => false,
    }
}

/// Where the name promises what the content is not.
fn contradiction(inner: &str, content: Content, head: &[u8]) -> Option<String> {
    let said = |what: &str| Some(format!("its name says .{inner} and its first bytes are not {what}"));
    match inner {
        "dump" | "pgdump" | "custom" => match content {
            Content::PgCustom | Content::PgSql | Content::Sql | Content::Tar | Content::Encrypted => None,
            _ => said("those of a dump (PGDMP)"),
        },
        "sql" => {
            let wide = head.starts_with(&[0xFF, 0xFE]) || head.starts_with(&[0xFE, 0xFF]);
            let text = wide || !head.contains(&0);
            if text && matches!(content, Content::Sql | Content::PgSql | Content::Unknown) {
                None
            } else {
                said("text")
            }
        }
        "tar" if content != Content::Tar => said("those of an archive"),
        "rdb" if content != Content::Rdb => said("those of a Redis file (REDIS)"),
        "zip" if content != Content::Zip => said("those of an archive"),
        "xz" if content != Content::Xz => said("those of that compression"),
        "bz2" if content != Content::Bzip2 => said("those of that compression"),
        "lz4" if content != Content::Lz4 => said("those of that compression"),
        _ => None,
    }
}

/// The first 512 bytes below the compression.
fn inner_head(file: &File, codec: Codec) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(512);
    if codec == Codec::Plain {
        let mut block = [0; 512];
        let n = file.read_at(&mut block, 0)?;
        head.extend_from_slice(block.get(..n).unwrap_or_default());
        return Ok(head);
    }
    let mut from = archive::reader(file.try_clone()?)?.take(512);
    // A cut-off beginning still shows what it is the beginning of.
    match from.read_to_end(&mut head) {
        Err(e) if head.is_empty() => Err(e),
        _ => Ok(head),
    }
}

/// Whether the end of a plain dump says that it is the end (pg_dump.c, pg_dumpall.c: "dump complete").
pub fn says_complete(tail: &[u8]) -> bool {
    let tail = String::from_utf8_lossy(tail);
    tail.contains("PostgreSQL database dump complete") || tail.contains("PostgreSQL database cluster dump complete")
}

fn ends_as_rdb(file: &File, size: u64, head: &rdb::Head) -> Result<(), String> {
    let mut tail = [0; rdb::TAIL as usize];
    let n = file.read_at(&mut tail, size.saturating_sub(rdb::TAIL)).unwrap_or(0);
    rdb::cut_off(head, tail.get(..n).unwrap_or_default()).map_or(Ok(()), |why| Err(why.to_owned()))
}

fn ends_as_dump(file: &File, size: u64) -> bool {
    let mut tail = vec![0; 4096];
    let n = file.read_at(&mut tail, size.saturating_sub(4096)).unwrap_or(0);
    says_complete(tail.get(..n).unwrap_or_default())
}

/// Why a file could not be opened, for [`Look::cannot`].
pub fn why_not(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::PermissionDenied => {
            let uid = peer::current_uid();
            let user = peer::user_name(uid);
            format!("{user} may not read it")
        }
        _ => e.to_string(),
    }
}

fn look_at_folder(path: &Path, wanted: Wanted) -> Look {
    let mut look = by_name(path, true);
    look.final_ = true;
    let mut head = [0; 5];
    match open(&path.join("toc.dat")).and_then(|f| f.read_at(&mut head, 0)) {
        Ok(_) if head == *b"PGDMP" => look.format = "pg directory".to_owned(),
        Ok(_) => look.fault = Some("its toc.dat does not begin with PGDMP".to_owned()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            if wanted == Wanted::PostgresDump || has_dump_files(path) {
                look.fault = Some("there is no toc.dat in it: the dump was not finished".to_owned());
            }
        }
        Err(e) => {
            look.cannot = Some(why_not(&e));
            look.final_ = false;
        }
    }
    look
}

/// Whether a folder holds the data files of a directory dump: `4012.dat.gz`.
fn has_dump_files(path: &Path) -> bool {
    let Ok(entries) = fs::read_dir(path) else { return false };
    entries.flatten().take(64).any(|e| {
        let name = e.file_name();
        let name = name.to_string_lossy();
        name.split_once(".dat").is_some_and(|(n, rest)| {
            !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) && matches!(rest, "" | ".gz" | ".lz4" | ".zst")
        })
    })
}

/// The sums over a folder that is a copy.
pub struct Folder {
    pub bytes: u64,
    pub newest: Time,
    pub newest_ns: u64,
    pub device: u64,
    pub inode: u64,
}

/// Adds up a folder, links not followed; `budget` entries at the most over several calls, so that one look stays
/// bounded. `None`: it is gone, or the look was given up.
pub fn folder(path: &Path, budget: &mut usize, beat: &Beat) -> io::Result<Option<Folder>> {
    let own = fs::symlink_metadata(path)?;
    let stamp = |m: &fs::Metadata| (m.mtime(), m.mtime_nsec());
    let mut newest = stamp(&own);
    let mut bytes = 0u64;
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            if beat.tick() {
                return Ok(None);
            }
            let Some(left) = budget.checked_sub(1) else { break };
            *budget = left;
            let entry = entry?;
            let Ok(meta) = entry.metadata() else { continue };
            newest = newest.max(stamp(&meta));
            if meta.is_dir() {
                folders.push(entry.path());
            } else {
                bytes = bytes.saturating_add(meta.len());
            }
        }
    }
    let (s, ns) = newest;
    Ok(Some(Folder {
        bytes,
        newest: Time::from_ms(s.saturating_mul(1000).saturating_add(ns / 1_000_000)),
        newest_ns: s.wrapping_mul(1_000_000_000).wrapping_add(ns).cast_unsigned(),
        device: own.dev(),
        inode: own.ino(),
    }))
}
