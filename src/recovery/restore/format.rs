//! What a copy is, by looking into it: the name of a file says nothing that its first bytes do not say better.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::toc::{self, Toc, TocError};
use crate::domain::backup::Copy;
use crate::sys::archive::{self, Codec};

/// The kinds of copies that can be restored from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `pg_dump -Fc`.
    PgCustom,
    /// `pg_dump -Fd`.
    PgDirectory,
    /// `pg_dump -Ft`.
    PgTar,
    /// `pg_dump -Fp`, or any SQL.
    Sql,
    /// An archive of tar.
    Tar,
    /// A folder.
    Folder,
    /// A snapshot or archive in a repository of restic or borg.
    Vault,
}

impl Kind {
    pub const fn word(self) -> &'static str {
        match self {
            Kind::PgCustom => "pg_dump custom archive",
            Kind::PgDirectory => "pg_dump directory archive",
            Kind::PgTar => "pg_dump tar archive",
            Kind::Sql => "SQL dump",
            Kind::Tar => "tar archive",
            Kind::Folder => "folder",
            Kind::Vault => "copy in a repository",
        }
    }

    /// `pg_restore` reads it.
    pub const fn is_pg_archive(self) -> bool {
        matches!(self, Kind::PgCustom | Kind::PgDirectory | Kind::PgTar)
    }
}

/// How a file is wrapped, as it stands in a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrap {
    #[default]
    Plain,
    Gzip,
    Zstd,
    /// Encrypted by age; how it is compressed is known only to who can decrypt it.
    Age,
}

impl From<Codec> for Wrap {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::Plain => Wrap::Plain,
            Codec::Gzip => Wrap::Gzip,
            Codec::Zstd => Wrap::Zstd,
        }
    }
}

/// A copy as it was found.
#[derive(Debug)]
pub struct Shape {
    pub kind: Kind,
    pub wrap: Wrap,
    /// Bytes on disk, of a folder those of all files in it; 0 when adding them up takes long.
    pub size: u64,
    /// Of an archive of `pg_dump`: the 16 of its version 1.16, known even where nothing more of it is.
    pub minor: Option<u8>,
    /// Of an archive of `pg_dump`.
    pub toc: Option<Result<Toc, TocError>>,
}

impl Shape {
    /// `pg_dump custom archive`, `SQL dump, gzip`.
    pub fn word(&self) -> String {
        match self.wrap {
            Wrap::Plain => self.kind.word().to_owned(),
            Wrap::Gzip => format!("{}, gzip", self.kind.word()),
            Wrap::Zstd => format!("{}, zstd", self.kind.word()),
            // What is in it shows when it is decrypted.
            Wrap::Age => "file that age encrypted".to_owned(),
        }
    }
}

/// Bytes looked at of a file that is neither an archive of `pg_dump` nor one of tar.
const FRONT: usize = 4096;

/// Where a copy lies, byte by byte: what stands in its place is made to be shown.
pub fn path_of(copy: &Copy) -> PathBuf {
    PathBuf::from(OsString::from_vec(copy.path_bytes()))
}

/// Looks at a copy. Blocks. Errors: why it cannot be restored from, and what to do.
pub fn look(path: &Path) -> Result<Shape, String> {
    let shown = path.display();
    let meta = std::fs::metadata(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => format!("{shown} no longer exists: choose another copy"),
        io::ErrorKind::PermissionDenied => {
            format!("{shown} may not be read by this user: give it the right, or run mayday as one who has it")
        }
        _ => format!("{shown} cannot be looked at: {e}"),
    })?;
    if meta.is_dir() {
        return folder(path);
    }
    if !meta.is_file() {
        return Err(format!("{shown} is neither a file nor a folder: choose another copy"));
    }
    if meta.len() == 0 {
        return Err(format!("{shown} is empty: choose another copy"));
    }
    let open = |what: io::Error| format!("{shown} cannot be read: {what}: choose another copy");
    let mut file = File::open(path).map_err(open)?;
    let codec = archive::codec_of(&mut file).map_err(open)?;
    let mut from = archive::reader(file).map_err(open)?;
    let mut front = Vec::new();
    from.by_ref().take(FRONT as u64).read_to_end(&mut front).map_err(open)?;
    let minor = |at: usize| front.get(at..at + 5).filter(|m| *m == b"PGDMP").and_then(|_| front.get(at + 6).copied());
    let shape = |kind, minor, toc| Shape { kind, wrap: codec.into(), size: meta.len(), minor, toc };
    if front.starts_with(b"PGDMP") {
        let toc = toc::read(io::BufReader::new(front.as_slice().chain(from)));
        return match &toc {
            // `toc.dat` of a directory archive, picked alone.
            Ok(t) if t.head.kind == toc::Kind::Directory => Err(format!(
                "{shown} is only the table of contents of a directory archive: set `folders = true` so that its folder is the copy"
            )),
            _ => Ok(shape(Kind::PgCustom, minor(0), Some(toc))),
        };
    }
    if is_age(&front) {
        return Ok(Shape { kind: Kind::Tar, wrap: Wrap::Age, size: meta.len(), minor: None, toc: None });
    }
    if front.get(257..262) == Some(b"ustar") {
        let name = front.get(..100).unwrap_or_default().split(|b| *b == 0).next().unwrap_or_default();
        if name == b"toc.dat" {
            let toc = toc::read(io::BufReader::new(front.get(512..).unwrap_or_default().chain(from)));
            return Ok(shape(Kind::PgTar, minor(512), Some(toc)));
        }
        return Ok(shape(Kind::Tar, None, None));
    }
    if front.is_empty() {
        return Err(format!(
            "{shown} holds nothing but its compression: the dump failed when it was made; choose another copy"
        ));
    }
    if front.contains(&0) {
        return Err(format!(
            "{shown} is neither a dump of PostgreSQL, nor SQL, nor a tar archive: choose another copy"
        ));
    }
    Ok(shape(Kind::Sql, None, None))
}

/// Of age-encryption.org/v1, binary or armored.
pub fn is_age(front: &[u8]) -> bool {
    front.starts_with(b"age-encryption.org/") || front.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----")
}

/// Every entry of an archive of `pg_dump`. Blocks. Errors: why not, in words.
pub fn entries(path: &Path, kind: Kind) -> Result<Vec<toc::Entry>, String> {
    let said = |e: &dyn std::fmt::Display| format!("{}: {e}: choose another copy", path.display());
    let file = if kind == Kind::PgDirectory { path.join("toc.dat") } else { path.to_path_buf() };
    let mut from = archive::reader(File::open(file).map_err(|e| said(&e))?).map_err(|e| said(&e))?;
    if kind == Kind::PgTar {
        // The head of its first member, which is the table of contents.
        io::copy(&mut from.by_ref().take(512), &mut io::sink()).map_err(|e| said(&e))?;
    }
    toc::entries(io::BufReader::new(from)).map_err(|e| said(&e))
}

fn folder(path: &Path) -> Result<Shape, String> {
    let size = folder_size(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    let plain = Shape { kind: Kind::Folder, wrap: Wrap::Plain, size, minor: None, toc: None };
    let toc = path.join("toc.dat");
    if !toc.is_file() {
        return Ok(plain);
    }
    let mut front = [0; 7];
    let minor = File::open(&toc).and_then(|mut f| f.read_exact(&mut front)).ok().map(|()| front[6]);
    let toc = File::open(toc).map_err(TocError::Io).and_then(|f| toc::read(io::BufReader::new(f)));
    match toc {
        Err(TocError::Foreign) => Ok(plain),
        toc => Ok(Shape { kind: Kind::PgDirectory, minor, toc: Some(toc), ..plain }),
    }
}

/// For adding up the files of a folder.
const ADD_UP: Duration = Duration::from_secs(3);

/// Bytes of the regular files below a folder; links are not followed. Nothing when that takes long: a size is said, not
/// waited for.
pub fn folder_size(path: &Path) -> io::Result<u64> {
    let until = Instant::now() + ADD_UP;
    let mut total = 0u64;
    let mut open = vec![path.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir)? {
            if Instant::now() > until {
                return Ok(0);
            }
            let entry = entry?;
            let meta = entry.metadata()?;
            if meta.is_dir() {
                open.push(entry.path());
            } else if meta.is_file() {
                total = total.saturating_add(meta.len());
            }
        }
    }
    Ok(total)
}
