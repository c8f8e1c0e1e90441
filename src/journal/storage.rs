//! What the journal asks of a file system, as a trait, and the real one.
//!
//! The trait is small so that a test can put a storage beneath the journal that loses what was not synced, is full, or
//! fails, at any call. Nothing in the journal touches a file other than through it.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Advice, FallocateFlags};

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It exists and is only read.
    Read,
    /// It exists and is read and written.
    Write,
    /// It is read and written, and made when missing.
    Append,
    /// It is made, empty, over whatever was there.
    Create,
}

/// What is known of an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Length in bytes.
    pub len: u64,
    /// Names it has; 0 once it was deleted.
    pub links: u64,
    /// Tells two files apart.
    pub id: (u64, u64),
}

/// An open file. Positions are given with each call, so that readers and the writer can share it.
pub trait StoredFile: Send + Sync + fmt::Debug {
    /// As `pread(2)`; 0 at the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// As `pwrite(2)`; may write less than asked.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Length, names, identity.
    fn meta(&self) -> io::Result<Meta>;
    /// As `ftruncate(2)`. Space that was reserved beyond the new end may be given back.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// As `fdatasync(2)`: contents and length are on the disk when it returns.
    fn sync(&self) -> io::Result<()>;
    /// Allocates space for `offset .. offset + len` without changing the length. Errors: [`io::ErrorKind::Unsupported`]
    /// where the file system cannot.
    fn reserve(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Drops what is cached, so that the next read asks the disk. Best effort.
    fn forget(&self);
}

/// A place for files.
pub trait Storage: Send + Sync + fmt::Debug {
    /// Opens or makes a file.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn StoredFile>>;
    /// As `rename(2)`: the new name is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// As `unlink(2)`.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder, in no order. Names that are no UTF-8 are left out: the journal writes none.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes renames, new and removed names in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// The real file system.
#[derive(Clone, Copy, Debug)]
pub struct Disk {
    mode: u32,
}

impl Disk {
    /// Files are made with `mode`: 0600, or 0640 for an engine that a group shares.
    pub fn new(mode: u32) -> Self {
        Disk { mode }
    }
}

impl Default for Disk {
    fn default() -> Self {
        Disk::new(0o600)
    }
}

impl Storage for Disk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn StoredFile>> {
        let mut options = File::options();
        options.read(true).mode(self.mode);
        match access {
            Access::Read => &mut options,
            Access::Write => options.write(true),
            Access::Append => options.write(true).create(true),
            Access::Create => options.write(true).create(true).truncate(true),
        };
        let file = options.open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        Ok(Arc::new(DiskFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

#[derive(Debug)]
struct DiskFile(File);

impl StoredFile for DiskFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn meta(&self) -> io::Result<Meta> {
        let m = self.0.metadata()?;
        Ok(Meta { len: m.len(), links: m.nlink(), id: (m.dev(), m.ino()) })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(&self.0, FallocateFlags::KEEP_SIZE, offset, len)?)
    }

    fn forget(&self) {
        let _ = rustix::fs::fadvise(&self.0, 0, None, Advice::DontNeed);
    }
}

/// The disk, or the share of it that this user may have, is full: ENOSPC or EDQUOT.
pub fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The file system cannot do it at all.
pub fn is_unsupported(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::Unsupported || e.raw_os_error() == Some(libc::EOPNOTSUPP)
}

/// Writes all of it from `offset` on, in one call where the system takes it in one.
pub fn write_all(file: &dyn StoredFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                bytes = bytes.get(n..).unwrap_or_default();
                offset += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Reads from `offset` until `buf` is full or the file ends; says how much it read.
pub fn read_full(file: &dyn StoredFile, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = buf.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + read as u64) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(read)
}

/// Copies `len` bytes from `at` to `to_at`. Errors: also when there are fewer.
pub fn copy_range(from: &dyn StoredFile, mut at: u64, to: &dyn StoredFile, mut to_at: u64, len: u64) -> io::Result<()> {
    let mut buf = vec![0; usize::try_from(len).unwrap_or(usize::MAX).min(256 << 10)];
    let end = at + len;
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(buf.len());
        let n = read_full(from, buf.get_mut(..wanted).unwrap_or_default(), at)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_all(to, buf.get(..n).unwrap_or_default(), to_at)?;
        at += n as u64;
        to_at += n as u64;
    }
    Ok(())
}

/// Reads a whole small file. Errors: also when it is longer than `limit` bytes.
pub fn read_small(storage: &dyn Storage, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = storage.open(path, Access::Read)?;
    let len = file.meta()?.len;
    if len > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has {len} bytes, more than {limit}")));
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let read = read_full(file.as_ref(), &mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Replaces a file so that either the old or the new contents are there after a crash: written beside, synced, renamed,
/// the folder synced.
pub fn replace(storage: &dyn Storage, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let beside = dir.join(format!("{name}.new"));
    let file = storage.open(&beside, Access::Create)?;
    let written = write_all(file.as_ref(), bytes, 0).and_then(|()| file.sync());
    if let Err(e) = written {
        let _ = storage.remove(&beside);
        return Err(e);
    }
    storage.rename(&beside, &dir.join(name))?;
    storage.sync_dir(dir)
}
