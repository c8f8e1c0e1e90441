//! Writing below a folder without ever following a link: every step down is opened for itself, from the folder above it.

mod names;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};

use crate::sys::peer;
use crate::text;

pub use names::Exchanged;

/// What belongs to a file besides its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Names of owner and group, where an archive has them: the ids of another host mean somebody else here.
    pub user: Option<Vec<u8>>,
    pub group: Option<Vec<u8>>,
    pub mtime: (i64, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What could not be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    pub owners: u64,
    pub attributes: u64,
    pub sockets: u64,
}

impl Lost {
    /// Sentences, none when nothing was lost.
    pub fn said(&self) -> Vec<String> {
        let mut said = Vec::new();
        let names = |n: u64| text::plural(usize::try_from(n).unwrap_or(usize::MAX), "name");
        if self.owners > 0 {
            said.push(format!("the owner of {} could not be kept: that takes root", names(self.owners)));
        }
        if self.attributes > 0 {
            said.push(format!("extended attributes of {} could not be kept", names(self.attributes)));
        }
        if self.sockets > 0 {
            said.push(format!("{} left out: sockets are made anew by whoever listens", names(self.sockets)));
        }
        said
    }
}

/// Why writing stopped.
pub enum Fault {
    Cancelled,
    Failed(String),
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Fault::Failed(why)
    }
}

impl Fault {
    pub fn into_op(self, what: &str) -> crate::recovery::op::OpError {
        match self {
            Fault::Cancelled => crate::recovery::op::OpError::Cancelled,
            Fault::Failed(why) => crate::recovery::op::OpError::Failed(format!("{what}: {why}")),
        }
    }
}

/// A folder being written.
pub struct Tree {
    root: OwnedFd,
    path: PathBuf,
    /// The folder last written into: archives come folder by folder.
    last: Option<(PathBuf, OwnedFd)>,
    /// Folders get mode and times at the end: before it they are written into.
    folders: Vec<(PathBuf, Meta)>,
    /// Folders that get them when something was put into them.
    perhaps: Vec<(PathBuf, Meta)>,
    rooted: bool,
    made: u64,
    pub lost: Lost,
    root_user: bool,
    users: std::collections::HashMap<Vec<u8>, Option<u32>>,
    groups: std::collections::HashMap<Vec<u8>, Option<u32>>,
}

const OPEN_DIR: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::RDONLY);

impl Tree {
    /// Makes the folder, which must not exist, closed to others until it is finished.
    pub fn create(path: &Path) -> Result<Tree, String> {
        let failed = |e: io::Error| match e.kind() {
            io::ErrorKind::AlreadyExists => format!("{} exists already: remove it", path.display()),
            io::ErrorKind::PermissionDenied => {
                format!("{} may not be made by this user: run mayday as one who may write there", path.display())
            }
            _ => format!("{} cannot be made: {e}", path.display()),
        };
        rustix::fs::mkdir(path, Mode::RWXU).map_err(|e| failed(e.into()))?;
        let root = rustix::fs::open(path, OPEN_DIR, Mode::empty()).map_err(|e| failed(e.into()))?;
        Ok(Tree::at_root(root, path, false))
    }

    /// A folder that exists. Its own mode, owner and times stay as they are.
    pub fn open(path: &Path) -> Result<Tree, String> {
        let root = rustix::fs::open(path, OPEN_DIR, Mode::empty())
            .map_err(|e| format!("{} cannot be opened: {}", path.display(), io::Error::from(e)))?;
        Ok(Tree::at_root(root, path, true))
    }

    fn at_root(root: OwnedFd, path: &Path, rooted: bool) -> Tree {
        Tree {
            root,
            path: path.to_path_buf(),
            last: None,
            folders: Vec::new(),
            perhaps: Vec::new(),
            rooted,
            made: 0,
            lost: Lost::default(),
            root_user: geteuid().is_root(),
            users: Default::default(),
            groups: Default::default(),
        }
    }

    /// Where a path below the folder is.
    pub fn full(&self, below: &Path) -> PathBuf {
        self.path.join(below)
    }

    /// A folder that is not made for itself; when it was made for something in it, it gets this at the end.
    pub fn folder_if_made(&mut self, path: PathBuf, meta: Meta) {
        self.perhaps.push((path, meta));
    }

    pub fn made(&self) -> u64 {
        self.made
    }

    fn at(&self) -> BorrowedFd<'_> {
        match &self.last {
            Some((_, fd)) => fd.as_fd(),
            None => self.root.as_fd(),
        }
    }

    /// Goes to the folder that `path` is in, making what is missing, and gives the last part of it.
    fn enter<'a>(&mut self, path: &'a Path) -> Result<&'a OsStr, String> {
        let name = path.file_name().ok_or_else(|| format!("\"{}\" is no name", clean(path)))?;
        let parent = path.parent().unwrap_or(Path::new(""));
        if parent.as_os_str().is_empty() {
            self.last = None;
            return Ok(name);
        }
        if self.last.as_ref().is_some_and(|(at, _)| at == parent) {
            return Ok(name);
        }
        let mut fd: Option<OwnedFd> = None;
        for part in parent.components() {
            let above = fd.as_ref().map_or(self.root.as_fd(), AsFd::as_fd);
            let part = part.as_os_str();
            let next = match rustix::fs::openat(above, part, OPEN_DIR, Mode::empty()) {
                Err(Errno::NOENT) => {
                    rustix::fs::mkdirat(above, part, Mode::RWXU).map_err(|e| self.fault(path, e))?;
                    rustix::fs::openat(above, part, OPEN_DIR, Mode::empty())
                }
                other => other,
            };
            fd = Some(next.map_err(|e| match e {
                Errno::LOOP | Errno::NOTDIR => {
                    format!("\"{}\" goes through a link or a file: it is refused; choose another copy", clean(path))
                }
                e => self.fault(path, e),
            })?);
        }
        self.last = fd.map(|fd| (parent.to_path_buf(), fd));
        Ok(name)
    }

    fn fault(&self, path: &Path, e: Errno) -> String {
        let hint = match e {
            Errno::NOSPC | Errno::DQUOT => ": make room on its disk",
            Errno::ACCESS | Errno::PERM => ": run mayday as a user who may write there",
            _ => "",
        };
        format!("write {}: {}{hint}", self.path.join(path).display(), io::Error::from(e))
    }

    /// What an earlier entry of the same name made goes; a folder stays.
    fn clear(&self, path: &Path, name: &OsStr) -> Result<(), String> {
        match rustix::fs::unlinkat(self.at(), name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR) => {
                Err(format!("\"{}\" is a folder and a file at once: it is refused; choose another copy", clean(path)))
            }
            Err(e) => Err(self.fault(path, e)),
        }
    }

    pub fn folder(&mut self, path: &Path, meta: Meta) -> Result<(), String> {
        if path.as_os_str().is_empty() {
            self.rooted = true;
        } else {
            let name = self.enter(path)?;
            match rustix::fs::mkdirat(self.at(), name, Mode::RWXU) {
                Ok(()) => self.made += 1,
                Err(Errno::EXIST) => {
                    let there = rustix::fs::statat(self.at(), name, AtFlags::SYMLINK_NOFOLLOW)
                        .map_err(|e| self.fault(path, e))?;
                    if FileType::from_raw_mode(there.st_mode) != FileType::Directory {
                        return Err(format!(
                            "\"{}\" is a file and a folder at once: it is refused; choose another copy",
                            clean(path)
                        ));
                    }
                }
                Err(e) => return Err(self.fault(path, e)),
            }
        }
        self.folders.push((path.to_path_buf(), meta));
        Ok(())
    }

    /// A new file, to be written and then given to [`Tree::close`].
    pub fn file(&mut self, path: &Path) -> Result<File, String> {
        let name = self.enter(path)?;
        self.clear(path, name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd =
            rustix::fs::openat(self.at(), name, flags, Mode::RUSR | Mode::WUSR).map_err(|e| self.fault(path, e))?;
        self.made += 1;
        Ok(File::from(fd))
    }

    /// Gives a written file what belongs to it.
    pub fn close(&mut self, path: &Path, file: &File, meta: &Meta) -> Result<(), String> {
        let (uid, gid) = self.ids(meta);
        let owned = rustix::fs::fchown(file, uid, gid).is_ok();
        self.lost.owners += u64::from(!owned);
        self.attributes(file.as_fd(), meta);
        // After the owner, since changing that takes setuid away; and without it never: it would be ours.
        let mode = if owned { meta.mode & 0o7777 } else { meta.mode & 0o1777 };
        rustix::fs::fchmod(file, Mode::from_raw_mode(mode)).map_err(|e| self.fault(path, e))?;
        rustix::fs::futimens(file, &times(meta)).map_err(|e| self.fault(path, e))
    }

    pub fn symlink(&mut self, path: &Path, target: &[u8], meta: &Meta) -> Result<(), String> {
        let name = self.enter(path)?;
        self.clear(path, name)?;
        rustix::fs::symlinkat(OsStr::from_bytes(target), self.at(), name).map_err(|e| self.fault(path, e))?;
        self.made += 1;
        self.named(path, name, meta)
    }

    pub fn fifo(&mut self, path: &Path, meta: &Meta) -> Result<(), String> {
        let name = self.enter(path)?;
        self.clear(path, name)?;
        let mode = Mode::from_raw_mode(meta.mode & 0o777);
        rustix::fs::mknodat(self.at(), name, FileType::Fifo, mode, 0).map_err(|e| self.fault(path, e))?;
        self.made += 1;
        self.named(path, name, meta)
    }

    /// Owner and times of what cannot be opened.
    fn named(&mut self, path: &Path, name: &OsStr, meta: &Meta) -> Result<(), String> {
        let (uid, gid) = self.ids(meta);
        let owned = rustix::fs::chownat(self.at(), name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        self.lost.owners += u64::from(!owned);
        rustix::fs::utimensat(self.at(), name, &times(meta), AtFlags::SYMLINK_NOFOLLOW).map_err(|e| self.fault(path, e))
    }

    /// A further name of a file that is there already.
    pub fn hardlink(&mut self, path: &Path, of: &Path) -> Result<(), String> {
        let from_name = self.enter(of)?;
        let there = rustix::fs::statat(self.at(), from_name, AtFlags::SYMLINK_NOFOLLOW);
        if !there.is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::RegularFile) {
            return Err(format!(
                "\"{}\" is a link to \"{}\", which is no file before it: it is refused; choose another copy",
                clean(path),
                clean(of)
            ));
        }
        let from = rustix::io::dup(self.at()).map_err(|e| self.fault(path, e))?;
        let from_name = from_name.to_owned();
        let name = self.enter(path)?;
        self.clear(path, name)?;
        rustix::fs::linkat(&from, &from_name, self.at(), name, AtFlags::empty()).map_err(|e| self.fault(path, e))?;
        self.made += 1;
        Ok(())
    }

    /// The last things: folders get their mode and times, and everything is brought to the disk. Without an entry for
    /// itself the folder gets owner and mode of the live one.
    pub fn finish(&mut self, live: &Path) -> Result<(), String> {
        if !self.rooted {
            let meta =
                std::fs::metadata(live).map_or(Meta { mode: 0o755, mtime: (0, 0), ..Meta::default() }, |m| Meta {
                    mode: m.mode(),
                    uid: m.uid(),
                    gid: m.gid(),
                    mtime: (m.mtime(), u32::try_from(m.mtime_nsec()).unwrap_or(0)),
                    ..Meta::default()
                });
            if live.is_dir() {
                self.folders.push((PathBuf::new(), meta));
            }
        }
        for (path, meta) in std::mem::take(&mut self.perhaps) {
            if self.is_folder(&path)? {
                self.folders.push((path, meta));
            }
        }
        // From the deepest up: writing into a folder changes its times.
        let mut folders = std::mem::take(&mut self.folders);
        folders.sort_by_key(|(path, _)| std::cmp::Reverse(path.components().count()));
        for (path, meta) in folders {
            let fd = if path.as_os_str().is_empty() {
                self.last = None;
                rustix::io::dup(&self.root)
            } else {
                let name = self.enter(&path)?;
                rustix::fs::openat(self.at(), name, OPEN_DIR, Mode::empty())
            };
            let fd = File::from(fd.map_err(|e| self.fault(&path, e))?);
            self.close(&path, &fd, &meta)?;
        }
        rustix::fs::syncfs(&self.root).map_err(|e| self.fault(Path::new(""), e))
    }

    fn attributes(&mut self, fd: BorrowedFd<'_>, meta: &Meta) {
        let mut failed = false;
        for (name, value) in &meta.xattrs {
            let name = OsStr::from_bytes(name);
            failed |= rustix::fs::fsetxattr(fd, name, value, rustix::fs::XattrFlags::empty()).is_err();
        }
        if failed {
            self.lost.attributes += 1;
        }
    }

    /// By name where this host has one of that name, else by number: as tar does it. Without root by number, which is let
    /// through where it changes nothing.
    fn ids(&mut self, meta: &Meta) -> (Option<Uid>, Option<Gid>) {
        let (mut uid, mut gid) = (meta.uid, meta.gid);
        if self.root_user {
            let text = |name: &Vec<u8>| String::from_utf8_lossy(name).into_owned();
            if let Some(name) = &meta.user {
                let known = self.users.entry(name.clone()).or_insert_with(|| peer::user_id(&text(name)));
                uid = known.unwrap_or(uid);
            }
            if let Some(name) = &meta.group {
                let known = self.groups.entry(name.clone()).or_insert_with(|| peer::group_id(&text(name)));
                gid = known.unwrap_or(gid);
            }
        }
        (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
    }
}

fn times(meta: &Meta) -> Timestamps {
    let at = Timespec { tv_sec: meta.mtime.0, tv_nsec: i64::from(meta.mtime.1) as _ };
    Timestamps { last_access: at, last_modification: at }
}

fn clean(path: &Path) -> String {
    text::clean_bytes(path.as_os_str().as_bytes())
}
