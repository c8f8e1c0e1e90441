//! The head and table of contents of a `pg_dump` archive, read without `pg_restore`: so that a plan can say that a copy is
//! too new for the tools, needs a role or an extension that is missing, or was never finished, before anything starts.
//!
//! Format: `ReadHead`, `ReadToc` and the `_ReadExtraToc` functions of PostgreSQL's src/bin/pg_dump/pg_backup_archiver.c,
//! pg_backup_custom.c, pg_backup_tar.c and pg_backup_directory.c, archive versions 1.10 (PostgreSQL 8.0) to 1.16
//! (PostgreSQL 17 and 18). Of a newer version the numbers at the very front are read and nothing more is assumed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use super::sql::{Rules, Scanner};

/// Longest single string read: a view's definition is large, a wrong length in a damaged file is enormous.
const STRING_MAX: u64 = 64 << 20;
const ENTRIES_MAX: u64 = 5_000_000;
/// Entries about the database itself that are kept: there are four kinds.
const ABOUT_MAX: usize = 100;
/// The newest archive version whose layout is known here.
const KNOWN: u8 = 16;

/// What is said at the front of an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The 16 of 1.16.
    pub minor: u8,
    pub kind: Kind,
    pub database: String,
    /// Version of the server that was dumped, as it names itself: `15.18 (Debian 15.18-0+deb12u1)`.
    pub server: String,
    /// Version of the `pg_dump` that wrote it.
    pub pg_dump: String,
}

/// The archive's own word for its form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Custom,
    Tar,
    Directory,
    Other(u8),
}

/// What a table of contents holds, summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Toc {
    pub head: Head,
    /// Entries per kind: `TABLE`, `TABLE DATA`, `INDEX`, …
    pub kinds: BTreeMap<String, u64>,
    pub entries: u64,
    /// Roles that own something in it, or are granted something.
    pub owners: BTreeSet<String>,
    pub extensions: BTreeSet<String>,
    /// Tablespaces that something in it is to be put into.
    pub tablespaces: BTreeSet<String>,
    /// The statement that made the database: its encoding and locale.
    pub create_database: Option<String>,
    /// Who owned the database.
    pub database_owner: Option<String>,
    /// The statements about the database itself: privileges, settings, comment.
    pub about_database: Vec<String>,
}

impl Toc {
    /// How many entries of this kind there are.
    pub fn count(&self, kind: &str) -> u64 {
        self.kinds.get(kind).copied().unwrap_or(0)
    }

    fn add(&mut self, entry: Entry, definition: Option<String>) {
        let Entry { desc, tag, owner, grants, tablespace, .. } = entry;
        // _tocEntryRequired in pg_backup_archiver.c tells them by the same words.
        let about_database = match desc.as_str() {
            "DATABASE" | "DATABASE PROPERTIES" => true,
            "ACL" | "COMMENT" | "SECURITY LABEL" => tag.starts_with("DATABASE "),
            _ => false,
        };
        match desc.as_str() {
            "EXTENSION" => {
                self.extensions.insert(tag);
            }
            "DATABASE" => {
                self.create_database = definition;
                self.database_owner = Some(owner.clone()).filter(|o| !o.is_empty());
            }
            _ if about_database && self.about_database.len() < ABOUT_MAX => self.about_database.extend(definition),
            _ => {}
        }
        // The owner of the database matters only where the database is made from it.
        if !owner.is_empty() && !about_database {
            self.owners.insert(owner);
        }
        if !about_database {
            self.owners.extend(grants);
            self.tablespaces.extend(Some(tablespace).filter(|t| !t.is_empty()));
        }
        *self.kinds.entry(desc).or_default() += 1;
    }
}

/// Why an archive's front could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TocError {
    #[error("it is not an archive of pg_dump")]
    Foreign,
    /// Its layout is newer than what is known here; the head is what could be read.
    #[error("its archive version 1.{} is newer than those known", .0.minor)]
    Newer(Head),
    #[error("its table of contents is cut off or damaged: {0}")]
    Broken(String),
    #[error("it cannot be read: {0}")]
    Io(io::Error),
}

impl From<io::Error> for TocError {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::UnexpectedEof => TocError::Broken("it ends early".into()),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => TocError::Broken(e.to_string()),
            _ => TocError::Io(e),
        }
    }
}

/// PostgreSQL's major version that introduced archive version 1.`minor`; `None` below the table, where every tool in
/// use can read it.
pub fn postgres_of(minor: u8) -> Option<u32> {
    match minor {
        0..=13 => None,
        14 => Some(12),
        15 => Some(16),
        16 => Some(17),
        // Later versions are not known yet; each major version so far raised it by at most one.
        _ => Some(18 + u32::from(minor - 16)),
    }
}

/// The newest archive version that `pg_restore` of this major version reads.
pub fn newest_read_by(pg_restore_major: u32) -> u8 {
    match pg_restore_major {
        0..=11 => 13,
        12..=15 => 14,
        16 => 15,
        17 | 18 => 16,
        later => u8::try_from(later.saturating_sub(2)).unwrap_or(u8::MAX),
    }
}

/// One entry of a table of contents: a thing that `pg_restore` makes or fills.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    pub id: i64,
    /// `TABLE`, `TABLE DATA`, `FK CONSTRAINT`, …
    pub desc: String,
    /// Its name; of what belongs to a table mostly that one's name, a space, and its own.
    pub tag: String,
    /// Its schema; empty for what is in none.
    pub namespace: String,
    pub owner: String,
    /// Where it is to be put; empty for the database's own.
    pub tablespace: String,
    /// Entries that it needs.
    pub needs: Vec<i64>,
    /// Roles that it grants something to, or takes it from.
    pub grants: BTreeSet<String>,
}

/// Reads every entry, for choosing among them. They are all in memory then.
pub fn entries(from: impl Read) -> Result<Vec<Entry>, TocError> {
    let mut r = Reader { from, int_size: 4, off_size: 8 };
    let head = r.head()?;
    if head.minor > KNOWN {
        return Err(TocError::Newer(head));
    }
    let count = r.count()?;
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(r.entry(head.minor, head.kind)?.0);
    }
    Ok(entries)
}

/// Reads the whole table of contents from the front of a custom archive or from a `toc.dat`.
pub fn read(from: impl Read) -> Result<Toc, TocError> {
    let mut r = Reader { from, int_size: 4, off_size: 8 };
    let head = r.head()?;
    if head.minor > KNOWN {
        return Err(TocError::Newer(head));
    }
    let (minor, kind) = (head.minor, head.kind);
    let mut toc = Toc { head, ..Toc::default() };
    toc.entries = r.count()?;
    for _ in 0..toc.entries {
        let (entry, definition) = r.entry(minor, kind)?;
        toc.add(entry, definition);
    }
    Ok(toc)
}

/// Roles named in what a definition grants.
fn granted(definition: &str) -> BTreeSet<String> {
    let mut scanner = Scanner::new(Rules::default());
    scanner.feed(definition.as_bytes(), &mut Vec::new());
    scanner.finish(&mut Vec::new()).owners
}

struct Reader<R> {
    from: R,
    int_size: u8,
    off_size: u8,
}

impl<R: Read> Reader<R> {
    fn byte(&mut self) -> io::Result<u8> {
        let mut b = [0];
        self.from.read_exact(&mut b)?;
        Ok(b[0])
    }

    /// A sign byte, then the value from its lowest byte on.
    fn int(&mut self) -> io::Result<i64> {
        let negative = self.byte()? != 0;
        let mut value: i64 = 0;
        for i in 0..u32::from(self.int_size) {
            let b = i64::from(self.byte()?);
            value |= b.checked_shl(8 * i).unwrap_or(0);
        }
        Ok(if negative { -value } else { value })
    }

    /// `None` is PostgreSQL's null string.
    fn string(&mut self) -> io::Result<Option<String>> {
        let Ok(n) = u64::try_from(self.int()?) else { return Ok(None) };
        if n > STRING_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a text in it is impossibly long"));
        }
        let mut bytes = Vec::new();
        if (&mut self.from).take(n).read_to_end(&mut bytes)? as u64 != n {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn head(&mut self) -> Result<Head, TocError> {
        let mut magic = [0; 5];
        self.from.read_exact(&mut magic).map_err(|_| TocError::Foreign)?;
        if &magic != b"PGDMP" {
            return Err(TocError::Foreign);
        }
        let major = self.byte()?;
        let minor = self.byte()?;
        let mut head = Head { minor, ..Head::default() };
        if major != 1 || minor < 10 {
            return Err(TocError::Broken(format!(
                "its archive version {major}.{minor} is not one of PostgreSQL 8.0 or later"
            )));
        }
        let _revision = self.byte()?;
        self.int_size = self.byte()?;
        self.off_size = self.byte()?;
        if !(1..=8).contains(&self.int_size) || !(1..=8).contains(&self.off_size) {
            return Err(TocError::Broken("its head makes no sense".into()));
        }
        head.kind = match self.byte()? {
            1 => Kind::Custom,
            3 => Kind::Tar,
            5 => Kind::Directory,
            other => Kind::Other(other),
        };
        if minor > KNOWN {
            return Ok(head);
        }
        if minor >= 15 {
            let _algorithm = self.byte()?;
        } else {
            let _level = self.int()?;
        }
        for _ in 0..7 {
            // Seconds, minutes, hours, day, month, year, daylight saving of the moment it was made, in its local time.
            self.int()?;
        }
        head.database = self.string()?.unwrap_or_default();
        head.server = self.string()?.unwrap_or_default();
        head.pg_dump = self.string()?.unwrap_or_default();
        Ok(head)
    }

    fn count(&mut self) -> Result<u64, TocError> {
        let count = u64::try_from(self.int()?).ok().filter(|n| *n <= ENTRIES_MAX);
        count.ok_or_else(|| TocError::Broken("its number of entries is impossible".into()))
    }

    /// An entry, and the statement that makes it.
    fn entry(&mut self, minor: u8, kind: Kind) -> Result<(Entry, Option<String>), TocError> {
        let id = self.int()?;
        let _has_dumper = self.int()?;
        let _table_oid = self.string()?;
        let _oid = self.string()?;
        let tag = self.string()?.unwrap_or_default();
        let desc = self.string()?.unwrap_or_default();
        if minor >= 11 {
            let _section = self.int()?;
        }
        let definition = self.string()?;
        let _drop = self.string()?;
        let _copy = self.string()?;
        let namespace = self.string()?.unwrap_or_default();
        let tablespace = self.string()?.unwrap_or_default();
        if minor >= 14 {
            let _access_method = self.string()?;
        }
        if minor >= 16 {
            let _relkind = self.int()?;
        }
        let owner = self.string()?.unwrap_or_default();
        let _with_oids = self.string()?;
        let mut needs = Vec::new();
        while let Some(id) = self.string()? {
            needs.extend(id.trim().parse::<i64>().ok());
        }
        match kind {
            Kind::Custom => {
                let _state = self.byte()?;
                for _ in 0..self.off_size {
                    self.byte()?;
                }
            }
            _ => {
                let _file = self.string()?;
            }
        }
        let grants = match (desc.as_str(), &definition) {
            ("ACL" | "DEFAULT ACL" | "POLICY", Some(text)) => granted(text),
            _ => BTreeSet::new(),
        };
        Ok((Entry { id, desc, tag, namespace, owner, tablespace, needs, grants }, definition))
    }
}

#[cfg(test)]
mod tests;
