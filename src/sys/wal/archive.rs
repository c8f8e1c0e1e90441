//! Where the log is kept: a folder of segments, plain or compressed, flat or in folders of their own (as Barman and
//! pgBackRest lay them out), or a repository of pgBackRest or WAL-G, asked through its own program.
//!
//! Only listed and read here; nothing is ever written into an archive.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};

use super::repo::Repo;
use super::walg::WalG;
use super::{self as wal, History};
use crate::sys::archive as codec;

/// Where segments come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    Folder(PathBuf),
    PgBackRest(Repo),
    WalG(WalG),
}

/// A file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its path, or its address within a repository.
    pub place: String,
    pub size: u64,
    /// Seconds since 1970; 0 when it is not known.
    pub modified: i64,
    pub within: Within,
}

/// What holds a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Within {
    #[default]
    Disk,
    Repo,
    /// The tar archive at its place, under this name.
    Tar(Vec<u8>),
}

/// What an archive holds.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// By the name of the segment, without what compression and tools add to it.
    pub segments: BTreeMap<String, Stored>,
    pub histories: BTreeMap<u32, Stored>,
    /// Marks of base backups: `000000010000000000000002.00000028.backup`.
    pub marks: BTreeMap<String, Stored>,
    /// Segments that were not whole when they were written.
    pub partial: Vec<String>,
    /// How files are compressed, by the ends of their names.
    pub endings: BTreeMap<String, u64>,
    pub bytes: u64,
}

/// Names looked at in one archive.
const MOST: usize = 4_000_000;

impl Listing {
    /// Takes a file in by its name. `false` when it is none of an archive.
    pub fn take(&mut self, name: &str, stored: Stored) -> bool {
        let (bare, ending) = bare(name);
        if bare.len() == 24 && wal::parse_segment(bare, wal::SEGMENT).is_some() {
            *self.endings.entry(ending.to_owned()).or_default() += 1;
            self.bytes = self.bytes.saturating_add(stored.size);
            self.segments.entry(bare.to_owned()).or_insert(stored);
        } else if let Some(timeline) = bare.strip_suffix(".history").filter(|t| t.len() == 8) {
            let Ok(timeline) = u32::from_str_radix(timeline, 16) else { return false };
            self.histories.insert(timeline, stored);
        } else if bare.ends_with(".backup") && wal::parse_segment(bare.get(..24).unwrap_or_default(), 1 << 24).is_some()
        {
            self.marks.insert(bare.to_owned(), stored);
        } else if let Some(begun) = bare.strip_suffix(".partial") {
            self.partial.push(begun.to_owned());
        } else {
            return false;
        }
        true
    }
}

/// A name without what is added to it, and the ending that says how it is compressed.
fn bare(name: &str) -> (&str, &str) {
    let mut bare = name;
    let mut ending = "";
    for known in [".gz", ".zst", ".lz4", ".bz2", ".xz"] {
        if let Some(less) = bare.strip_suffix(known) {
            (bare, ending) = (less, known.get(1..).unwrap_or_default());
            break;
        }
    }
    // pgBackRest adds a checksum: 000000010000000000000002-<40 hex digits>.
    if let Some((less, sum)) = bare.split_once('-')
        && sum.len() == 40
        && sum.bytes().all(|b| b.is_ascii_hexdigit())
    {
        bare = less;
    }
    (bare, ending)
}

impl Source {
    /// What there is. Blocks. Errors: what cannot be looked at, why, and what to do.
    pub fn list(&self) -> Result<Listing, String> {
        match self {
            Source::Folder(path) => folder(path),
            Source::PgBackRest(repo) => repo.list(),
            Source::WalG(walg) => walg.list(),
        }
    }

    /// For people.
    pub fn shown(&self) -> String {
        match self {
            Source::Folder(path) => path.display().to_string(),
            Source::PgBackRest(repo) => format!("the repository of pgBackRest, stanza {}", repo.stanza),
            Source::WalG(walg) => format!("the repository of WAL-G, {}", walg.config.display()),
        }
    }

    /// Opens a file of it, decoded. Blocks.
    pub fn open(&self, stored: &Stored) -> io::Result<Box<dyn Read + Send>> {
        match (self, &stored.within) {
            (Source::PgBackRest(repo), Within::Repo) => decoded_bytes(repo.get(&stored.place)?),
            // Decrypted and decoded by its own program.
            (Source::WalG(walg), Within::Repo) => Ok(Box::new(walg.get(&stored.place)?)),
            (_, Within::Tar(name)) => member(Path::new(&stored.place), name),
            _ => open_file(Path::new(&stored.place)),
        }
    }

    /// The history of a timeline; the first one has none.
    pub fn history(&self, listing: &Listing, timeline: u32) -> Result<History, String> {
        let Some(stored) = listing.histories.get(&timeline) else { return Ok(History::default()) };
        let mut text = String::new();
        let read = self.open(stored).and_then(|from| from.take(1 << 20).read_to_string(&mut text));
        read.map_err(|e| format!("{}: {e}", stored.place))?;
        Ok(History::parse(&text))
    }
}

/// Lists a folder, and the folders in it that are named as parts of the log are.
pub fn folder(path: &Path) -> Result<Listing, String> {
    use std::os::unix::fs::MetadataExt;
    let shown = path.display();
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => format!("{shown} does not exist: correct `wal_archive` of the restore"),
        io::ErrorKind::PermissionDenied => {
            format!("{shown} may not be read by this user: give it the right, or run mayday as one who has it")
        }
        io::ErrorKind::NotADirectory => {
            format!("{shown} is a file and no folder: correct `wal_archive` of the restore")
        }
        _ => format!("{shown} cannot be listed: {e}"),
    };
    let mut listing = Listing::default();
    let mut folders = vec![path.to_path_buf()];
    let mut looked = 0usize;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            looked += 1;
            if looked > MOST {
                return Err(format!("{shown} holds more than {MOST} names: archive into folders of less"));
            }
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            // A link is followed: some archives are put together from several disks.
            let Ok(meta) = std::fs::metadata(entry.path()) else { continue };
            if meta.is_dir() {
                let hashed = name.len() == 16 && name.bytes().all(|b| b.is_ascii_hexdigit());
                if hashed && folder == path {
                    folders.push(entry.path());
                }
                continue;
            }
            let Some(place) = entry.path().to_str().map(str::to_owned) else { continue };
            if meta.is_file() && meta.len() > 0 {
                let (size, modified) = (meta.len(), meta.mtime());
                listing.take(name, Stored { place, size, modified, within: Within::Disk });
            }
        }
    }
    Ok(listing)
}

/// Opens a file decoded, whatever its name says.
pub fn open_file(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    let mut file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut head = [0; 4];
    let n = file.read(&mut head)?;
    match tool_for(head.get(..n).unwrap_or_default()) {
        None => codec::reader(File::open(path)?),
        Some(tool) => {
            let file = File::open(path)?;
            through(tool, Stdio::from(file))
        }
    }
}

/// Segments in a tar archive, as `pg_basebackup -Ft` leaves them in `pg_wal.tar`. `None` when reading it takes too long.
pub fn in_tar(path: &Path, until: std::time::Instant) -> io::Result<Option<Listing>> {
    let mut listing = Listing::default();
    let mut archive = tar::Archive::new(open_file(path)?);
    for entry in archive.entries()? {
        let entry = entry?;
        if std::time::Instant::now() > until {
            return Ok(None);
        }
        let name = entry.path_bytes().into_owned();
        let place = path.display().to_string();
        let text = String::from_utf8_lossy(&name).into_owned();
        let last = text.rsplit('/').next().unwrap_or_default().to_owned();
        let modified = i64::try_from(entry.header().mtime().unwrap_or(0)).unwrap_or(0);
        listing.take(&last, Stored { place, size: entry.size(), modified, within: Within::Tar(name) });
    }
    Ok(Some(listing))
}

/// A file of a tar archive, at most one segment of it.
fn member(path: &Path, name: &[u8]) -> io::Result<Box<dyn Read + Send>> {
    let mut archive = tar::Archive::new(open_file(path)?);
    for entry in archive.entries()? {
        let entry = entry?;
        if entry.path_bytes().as_ref() == name {
            let mut bytes = Vec::new();
            entry.take(1 << 30).read_to_end(&mut bytes)?;
            return Ok(Box::new(io::Cursor::new(bytes)));
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

fn decoded_bytes(bytes: Vec<u8>) -> io::Result<Box<dyn Read + Send>> {
    if tool_for(&bytes).is_none() && codec::Codec::by_magic(&bytes) == codec::Codec::Plain {
        return Ok(Box::new(io::Cursor::new(bytes)));
    }
    // By way of a file without a name: decoders and programs read files.
    let mut file = tempfile::tempfile()?;
    io::Write::write_all(&mut file, &bytes)?;
    io::Seek::rewind(&mut file)?;
    match tool_for(&bytes) {
        None => codec::reader(file),
        Some(tool) => through(tool, Stdio::from(file)),
    }
}

/// The program that reads what is not decoded here: LZ4's frame format, bzip2, xz.
pub fn tool_for(head: &[u8]) -> Option<&'static str> {
    match head {
        [0x04, 0x22, 0x4D, 0x18, ..] => Some("lz4"),
        [b'B', b'Z', b'h', ..] => Some("bzip2"),
        [0xFD, b'7', b'z', b'X', ..] => Some("xz"),
        _ => None,
    }
}

/// Output of a decoding program; it ends when nobody reads it any more.
struct Through {
    child: Child,
    tool: &'static str,
}

fn through(tool: &'static str, from: Stdio) -> io::Result<Box<dyn Read + Send>> {
    let child = Command::new(tool).args(["-d", "-c"]).stdin(from).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let child = child.map_err(|e| io::Error::new(e.kind(), format!("{tool} cannot be started ({e}): install it")))?;
    Ok(Box::new(Through { child, tool }))
}

impl Read for Through {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = match &mut self.child.stdout {
            Some(out) => out.read(buffer)?,
            None => 0,
        };
        if n == 0 && !buffer.is_empty() {
            let status = self.child.wait()?;
            if !status.success() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} says {status}", self.tool)));
            }
        }
        Ok(n)
    }
}

impl Drop for Through {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let mut listing = Listing::default();
        for (name, known) in [
            ("000000010000000000000002", true),
            ("000000010000000000000003.gz", true),
            ("000000010000000000000004-da39a3ee5e6b4b0d3255bfef95601890afd80709.lz4", true),
            ("000000010000000000000002.00000028.backup", true),
            ("00000002.history", true),
            ("000000010000000000000005.partial", true),
            ("00000001000000000000000", false),
            ("xlog.db", false),
            ("archive.info", false),
        ] {
            assert_eq!(
                listing.take(name, Stored { place: name.into(), size: 1, modified: 0, within: Within::Disk }),
                known,
                "{name}"
            );
        }
        assert_eq!(listing.segments.len(), 3);
        assert_eq!(listing.endings.keys().map(String::as_str).collect::<Vec<_>>(), ["", "gz", "lz4"]);
        assert_eq!((listing.histories.len(), listing.marks.len(), listing.partial.len()), (1, 1, 1));
    }
}
