//! One engine per state directory: the lock, the socket's address, and the file that tells where it is.
//!
//! The lock decides, never a pid: a process id may belong to somebody else by now. Whoever holds the lock may remove a
//! socket that is left over, because nobody can be listening on it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use crate::sys::{disk, peer, runtime};
use crate::wire::PROTOCOL;
use crate::wire::client::EngineFile;

/// Longest path of a Unix socket, in bytes, without the closing zero.
pub const SOCKET_LIMIT: usize = 107;

/// Why no engine could be set up here.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    #[error("an engine runs already for {} (pid {pid}, version {version})", dir.display())]
    Running { dir: PathBuf, pid: u32, version: String },
    #[error("the state directory {} cannot be used: {why}", dir.display())]
    Dir { dir: PathBuf, why: String },
    #[error(
        "the socket's path {} has {} bytes and {SOCKET_LIMIT} are the most: set XDG_RUNTIME_DIR or MAYDAY_STATE_DIR to a shorter folder",
        path.display(), path.as_os_str().len()
    )]
    TooLong { path: PathBuf },
    #[error("cannot listen on {}: {why}", path.display())]
    Bind { path: PathBuf, why: String },
    #[error("there is no group \"{0}\" on this host: create it, or change [engine] group")]
    NoGroup(String),
}

/// The right to be the engine of a state directory, for as long as it lives.
#[derive(Debug)]
pub struct Instance {
    dir: PathBuf,
    socket: PathBuf,
    group: Option<u32>,
    _lock: File,
}

impl Instance {
    /// Makes the directory where needed and takes the lock. `group` opens it to that group's members.
    pub fn acquire(dir: &Path, group: Option<&str>) -> Result<Instance, InstanceError> {
        let fault = |e: io::Error| InstanceError::Dir { dir: dir.to_owned(), why: explain(&e) };
        let gid = match group {
            None => None,
            Some(name) => Some(peer::group_id(name).ok_or_else(|| InstanceError::NoGroup(name.to_owned()))?),
        };
        make_private(dir).map_err(fault)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(dir.join("engine.lock"))
            .map_err(fault)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let known = EngineFile::read(dir).ok().flatten();
                return Err(InstanceError::Running {
                    dir: dir.to_owned(),
                    pid: known.as_ref().map_or(0, |k| k.pid),
                    version: known.map_or_else(|| "unknown".into(), |k| k.version),
                });
            }
            Err(fs::TryLockError::Error(e)) => return Err(fault(e)),
        }
        if let Some(gid) = gid {
            chown(dir, None, Some(gid)).map_err(fault)?;
            fs::set_permissions(dir, Permissions::from_mode(0o2750)).map_err(fault)?;
        }
        let socket = socket_path(dir, gid)?;
        Ok(Instance { dir: dir.to_owned(), socket, group: gid, _lock: lock })
    }

    /// The socket's path.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Binds the socket and tells where it is.
    pub fn listen(&mut self) -> Result<UnixListener, InstanceError> {
        let listener = match bind(&self.socket) {
            Ok(listener) => listener,
            Err(e) if is_full(&e) && self.group.is_none() => self.listen_elsewhere(&e)?,
            Err(e) => return Err(InstanceError::Bind { path: self.socket.clone(), why: explain(&e) }),
        };
        let fault = |e: io::Error| InstanceError::Bind { path: self.socket.clone(), why: explain(&e) };
        let mode = if let Some(gid) = self.group {
            chown(&self.socket, None, Some(gid)).map_err(fault)?;
            0o660
        } else {
            0o600
        };
        fs::set_permissions(&self.socket, Permissions::from_mode(mode)).map_err(fault)?;
        let file = EngineFile {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").into(),
            protocol: PROTOCOL,
            socket: self.socket.clone(),
        };
        let bytes = serde_json::to_vec(&file).map_err(|e| fault(io::Error::other(e)))?;
        let mode = if self.group.is_some() { 0o640 } else { 0o600 };
        let path = self.dir.join(EngineFile::NAME);
        let link = self.dir.join(EngineFile::SOCKET);
        if link != self.socket {
            // A link needs no room where a file needs some.
            let _ = fs::remove_file(&link);
            if let Err(e) = std::os::unix::fs::symlink(&self.socket, &link) {
                tracing::warn!("linking {} to the socket failed: {e}", link.display());
            }
        }
        // A full disk must not keep the cockpit shut: without the file clients look where the socket would be.
        if let Err(e) = disk::write_atomic(&path, &bytes, mode) {
            tracing::warn!("writing {} failed: {e}", path.display());
            let _ = fs::remove_file(&path);
        }
        Ok(listener)
    }

    /// The disk has no room for a socket: one of this user's other private folders has.
    fn listen_elsewhere(&mut self, why: &io::Error) -> Result<UnixListener, InstanceError> {
        let name = EngineFile::socket_name(&self.dir);
        for folder in runtime::elsewhere(peer::current_uid()) {
            let path = folder.join(&name);
            if let Ok(listener) = runtime::make_private(&folder).and_then(|()| bind(&path)) {
                tracing::warn!(
                    "no socket could be made at {}: {why}; it is at {}",
                    self.socket.display(),
                    path.display()
                );
                self.socket = path;
                return Ok(listener);
            }
        }
        Err(InstanceError::Bind { path: self.socket.clone(), why: explain(why) })
    }

    /// Takes the socket away on a clean end.
    pub fn close(&self) {
        let _ = fs::remove_file(&self.socket);
        let _ = fs::remove_file(self.dir.join(EngineFile::SOCKET));
        let _ = fs::remove_file(self.dir.join(EngineFile::NAME));
    }
}

/// Listens there, in the place of a socket that was left over.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    UnixListener::bind(path)
}

fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem)
}

fn make_private(dir: &Path) -> io::Result<()> {
    if !dir.exists() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let meta = fs::metadata(dir)?;
    if !meta.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is not a folder"));
    }
    if meta.permissions().mode() & 0o002 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "everybody may write into it; take that right away with chmod o-w",
        ));
    }
    Ok(())
}

/// Where the socket goes: the runtime folder when there is one, else the state folder; the first whose path fits.
fn socket_path(dir: &Path, gid: Option<u32>) -> Result<PathBuf, InstanceError> {
    let candidates = EngineFile::sockets(dir, gid.is_some());
    let in_state = dir.join(EngineFile::SOCKET);
    for path in candidates {
        let Some(folder) = path.parent() else { continue };
        let usable = folder == dir || usable_folder(folder, gid);
        if usable && path.as_os_str().len() <= SOCKET_LIMIT {
            return Ok(path);
        }
    }
    Err(InstanceError::TooLong { path: in_state })
}

/// Made if missing, and ours to write: a folder somebody else prepared under our name is not used.
fn usable_folder(folder: &Path, gid: Option<u32>) -> bool {
    use std::os::unix::fs::MetadataExt;
    let mode = if gid.is_some() { 0o750 } else { 0o700 };
    let _ = fs::DirBuilder::new().mode(mode).create(folder);
    let ours = |m: fs::Metadata| m.is_dir() && m.uid() == peer::current_uid();
    if !fs::symlink_metadata(folder).is_ok_and(ours) {
        return false;
    }
    // A group that cannot enter the folder cannot reach the socket in it.
    match gid {
        None => true,
        Some(gid) => {
            chown(folder, None, Some(gid)).is_ok() && fs::set_permissions(folder, Permissions::from_mode(mode)).is_ok()
        }
    }
}

fn explain(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::PermissionDenied if e.raw_os_error().is_some() => {
            "permission denied; choose another with MAYDAY_STATE_DIR or [engine] state_dir".into()
        }
        io::ErrorKind::StorageFull => "the disk is full".into(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".into(),
        _ => e.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_lets_one_engine_in() {
        let dir = tempfile::tempdir().unwrap();
        let first = Instance::acquire(dir.path(), None).unwrap();
        assert!(matches!(Instance::acquire(dir.path(), None), Err(InstanceError::Running { .. })));
        drop(first);
        Instance::acquire(dir.path(), None).unwrap();
    }

    #[test]
    fn a_folder_for_everybody_and_a_missing_group_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Instance::acquire(dir.path(), Some("no-such-group-here")), Err(InstanceError::NoGroup(_))));
        fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        let told = Instance::acquire(dir.path(), None).unwrap_err().to_string();
        assert!(told.contains("chmod o-w"), "{told}");
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(Instance::acquire(&file, None), Err(InstanceError::Dir { .. })));
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_told() {
        let path = Path::new("/tmp").join("x".repeat(120));
        assert!(matches!(socket_path(&path, None), Err(InstanceError::TooLong { .. })));
    }
}
