//! Space on file systems, writes that survive a power cut, and exchanging two names in one step.
//!
//! Every function may block for as long as the file system does (a dead NFS server: for ever). Callers in async code
//! run them on a blocking thread under their own time limit.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with, statfs, statvfs};
use rustix::io::Errno;

/// What a file system has left, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Size of the file system in bytes.
    pub total: u64,
    /// Bytes an unprivileged process can still write.
    pub free: u64,
    /// Number of inodes; 0 where the file system has no fixed number.
    pub inodes_total: u64,
    /// Inodes an unprivileged process can still use.
    pub inodes_free: u64,
    /// Identifies the file system as long as it stays mounted; equal ids mean the same space.
    pub filesystem: u64,
    /// Mounted read-only.
    pub read_only: bool,
}

/// Space on the file system that holds `path`.
pub fn space(path: &Path) -> io::Result<Space> {
    use std::os::unix::fs::MetadataExt;
    let v = statvfs(path)?;
    let block = if v.f_frsize == 0 { v.f_bsize } else { v.f_frsize };
    // The device number, because f_fsid is 0 on some file systems and shared by snapshots on others.
    let filesystem = std::fs::metadata(path)?.dev();
    Ok(Space {
        total: v.f_blocks.saturating_mul(block),
        free: v.f_bavail.saturating_mul(block),
        inodes_total: v.f_files,
        inodes_free: v.f_favail,
        filesystem,
        read_only: v.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
    })
}

/// Bytes an unprivileged process can still write beside `path`.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    space(path).map(|s| s.free)
}

/// Size in bytes of the file system that holds `path`.
pub fn total_bytes(path: &Path) -> io::Result<u64> {
    space(path).map(|s| s.total)
}

/// Magic numbers of file systems served by another machine or by a user process: statfs(2) and linux/magic.h. They
/// send no inotify events for changes made elsewhere, and can hang.
const NETWORK: &[u64] = &[
    0x6969,      // nfs
    0x517B,      // smb
    0xFF53_4D42, // cifs
    0xFE53_4D42, // smb2
    0x6573_5546, // fuse: sshfs, s3fs, virtiofs
    0x0102_1997, // 9p
    0x00C3_6400, // ceph
    0x5346_414F, // afs
    0x6B41_4653, // kafs
    0x7375_7245, // coda
    0x0116_1970, // gfs2
    0x7461_636F, // ocfs2
    0x0BD0_0BD0, // lustre
    0x1983_0326, // beegfs
    0x4750_4653, // gpfs
    0x786F_4256, // vboxsf
    0x0187,      // autofs: what is behind it is not mounted yet
];

/// Whether `path` lies on a file system that another machine can change without this one being told.
pub fn is_network_fs(path: &Path) -> io::Result<bool> {
    // f_type is signed on some targets; the magic numbers are 32 bits wide.
    let magic = statfs(path)?.f_type as u64 & 0xFFFF_FFFF;
    Ok(NETWORK.contains(&magic))
}

/// Makes the names in a folder durable.
pub fn fsync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    }
}

/// Replaces `path` by `bytes` so that a reader, or a machine coming back from a power cut, sees the old content or the
/// new one, never a part: written beside under a temporary name with `mode`, synced, renamed, folder synced.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    write_atomic_with(path, mode, &mut |file| file.write_all(bytes))
}

/// As [`write_atomic`], with the content given piece by piece by `fill`.
pub fn write_atomic_with(
    path: &Path,
    mode: u32,
    fill: &mut dyn FnMut(&mut std::fs::File) -> io::Result<()>,
) -> io::Result<()> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no file name"))?;
    let dir = parent(path);
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}-{}.tmp", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
    let beside = dir.join(beside);
    // A left-over of a process that had the same pid is nobody's.
    let _ = std::fs::remove_file(&beside);
    let written = write_synced(&beside, mode, fill).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written?;
    fsync_dir(dir)
}

fn write_synced(path: &Path, mode: u32, fill: &mut dyn FnMut(&mut std::fs::File) -> io::Result<()>) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // The umask may have taken bits that a shared state folder needs.
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    fill(&mut file)?;
    file.sync_all()
}

/// Why two names could not be exchanged.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The kernel or the file system cannot exchange; two renames with a moment between them are the other way.
    #[error("the file system of {path} cannot exchange two names in one step", path = .0.display())]
    Unsupported(PathBuf),
    /// The two lie on different file systems, where no rename works.
    #[error("{} and {} are on different file systems", .0.display(), .1.display())]
    DifferentFilesystems(PathBuf, PathBuf),
    /// One of the two does not exist.
    #[error("{} and {} cannot be exchanged: one of them does not exist", .0.display(), .1.display())]
    Missing(PathBuf, PathBuf),
    /// Anything else the system answered.
    #[error("{} and {} cannot be exchanged: {why}", .0.display(), .1.display(), why = .2)]
    Io(PathBuf, PathBuf, io::Error),
}

/// Exchanges two names in one step (`renameat2` with `RENAME_EXCHANGE`) and syncs their folders. Both must exist.
pub fn rename_exchange(a: &Path, b: &Path) -> Result<(), ExchangeError> {
    let (pa, pb) = (a.to_path_buf(), b.to_path_buf());
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).map_err(|e| match e {
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => ExchangeError::Unsupported(pa.clone()),
        Errno::XDEV => ExchangeError::DifferentFilesystems(pa.clone(), pb.clone()),
        Errno::NOENT => ExchangeError::Missing(pa.clone(), pb.clone()),
        e => ExchangeError::Io(pa.clone(), pb.clone(), e.into()),
    })?;
    let sync = |dir: &Path| fsync_dir(dir).map_err(|e| ExchangeError::Io(pa.clone(), pb.clone(), e));
    sync(parent(a))?;
    if parent(a) != parent(b) {
        sync(parent(b))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn space_is_plausible_and_one_file_system_has_one_id() {
        let dir = tempfile::tempdir().unwrap();
        let a = space(dir.path()).unwrap();
        std::fs::write(dir.path().join("x"), "x").unwrap();
        let b = space(&dir.path().join("x")).unwrap();
        assert_eq!(a.filesystem, b.filesystem);
        assert!(a.total >= a.free && a.free > 0 && !a.read_only, "{a:?}");
        assert_ne!(space(Path::new("/proc")).unwrap().filesystem, a.filesystem);
        assert_eq!(free_bytes(&dir.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!is_network_fs(Path::new("/proc")).unwrap());
    }

    #[test]
    fn write_atomic_replaces_keeps_the_mode_and_leaves_nothing_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        write_atomic(&path, b"one", 0o600).unwrap();
        write_atomic(&path, b"two", 0o664).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o664);
        assert!(write_atomic(&dir.path().join("no/such"), b"x", 0o600).is_err());
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        assert!(write_atomic(&dir.path().join("folder"), b"x", 0o600).is_err(), "a folder is not replaced by a file");
        let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["folder", "state.json"]);
    }

    #[test]
    fn two_folders_change_places() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("live"), dir.path().join("side"));
        for (folder, text) in [(&a, "old"), (&b, "new")] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("f"), text).unwrap();
        }
        rename_exchange(&a, &b).unwrap();
        assert_eq!(std::fs::read_to_string(a.join("f")).unwrap(), "new");
        assert_eq!(std::fs::read_to_string(b.join("f")).unwrap(), "old");
        assert!(matches!(rename_exchange(&a, &dir.path().join("none")), Err(ExchangeError::Missing(..))));
        let across = rename_exchange(&a, Path::new("/proc/self"));
        assert!(matches!(across, Err(ExchangeError::DifferentFilesystems(..))), "{across:?}");
    }
}
