//! Moving names between two trees, and looking at them; every step down is taken from the folder above it, so that no
//! link is ever followed.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, RenameFlags, Stat};
use rustix::io::Errno;

use super::{OPEN_DIR, Tree, clean};

/// What is in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct There {
    pub inode: u64,
    pub device: u64,
    pub is_folder: bool,
}

impl From<Stat> for There {
    fn from(stat: Stat) -> Self {
        There {
            inode: stat.st_ino,
            device: stat.st_dev,
            is_folder: FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
        }
    }
}

/// How an exchange of two names ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Exchanged {
    Done,
    /// The file system cannot do it in one step; nothing was done.
    Unsupported,
}

impl Tree {
    /// The folder that a path is in, opened without making anything; `None` when it is not there.
    fn spot(&mut self, path: &Path) -> Result<Option<(OwnedFd, OsString)>, String> {
        let name = path.file_name().ok_or_else(|| format!("\"{}\" is no name", clean(path)))?.to_owned();
        let parent = path.parent().unwrap_or(Path::new(""));
        let known = self.last.as_ref().filter(|(at, _)| at == parent).map(|(_, fd)| rustix::io::dup(fd));
        if let Some(fd) = known {
            return Ok(Some((fd.map_err(|e| self.fault(path, e))?, name)));
        }
        let mut fd = rustix::io::dup(&self.root).map_err(|e| self.fault(path, e))?;
        for part in parent.components() {
            fd = match rustix::fs::openat(&fd, part.as_os_str(), OPEN_DIR, Mode::empty()) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    return Err(format!(
                        "\"{}\" goes through \"{}\", which is a link or a file in {}: nothing is written through it; \
                         leave it out, or cut the whole folder over",
                        clean(path),
                        clean(Path::new(part.as_os_str())),
                        self.path.display()
                    ));
                }
                Err(e) => return Err(self.fault(path, e)),
            };
        }
        Ok(Some((fd, name)))
    }

    /// What a path is; a link is not followed. `None` when there is nothing.
    pub fn look(&mut self, path: &Path) -> Result<Option<There>, String> {
        let Some((at, name)) = self.spot(path)? else { return Ok(None) };
        match rustix::fs::statat(&at, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(self.fault(path, e)),
        }
    }

    pub(super) fn is_folder(&mut self, path: &Path) -> Result<bool, String> {
        Ok(self.look(path)?.is_some_and(|t| t.is_folder))
    }

    fn both(&mut self, path: &Path, other: &mut Tree, to: &Path) -> Result<[(OwnedFd, OsString); 2], String> {
        let gone = |tree: &Tree, path: &Path| format!("{}: its folder is gone", tree.full(path).display());
        let from = self.spot(path)?.ok_or_else(|| gone(self, path))?;
        let to = other.spot(to)?.ok_or_else(|| gone(other, to))?;
        Ok([from, to])
    }

    /// The two change places in one step: at no moment is either name without a file.
    pub fn exchange(&mut self, path: &Path, other: &mut Tree, with: &Path) -> Result<Exchanged, String> {
        let [(a, from), (b, to)] = self.both(path, other, with)?;
        match rustix::fs::renameat_with(&a, &from, &b, &to, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(Exchanged::Done),
            Err(Errno::INVAL | Errno::NOSYS) => Ok(Exchanged::Unsupported),
            Err(e) => Err(other.moved(with, e)),
        }
    }

    /// Moves to where nothing is. False: there is something meanwhile.
    pub fn move_new(&mut self, path: &Path, other: &mut Tree, to_path: &Path) -> Result<bool, String> {
        let [(a, from), (b, to)] = self.both(path, other, to_path)?;
        match rustix::fs::renameat_with(&a, &from, &b, &to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            // Where the file system knows no flags: a further name fails when there is one, and then the first goes.
            Err(Errno::INVAL | Errno::NOSYS) => match rustix::fs::linkat(&a, &from, &b, &to, AtFlags::empty()) {
                Ok(()) => {
                    rustix::fs::unlinkat(&a, &from, AtFlags::empty()).map_err(|e| self.fault(path, e)).map(|()| true)
                }
                Err(Errno::EXIST) => Ok(false),
                Err(e) => Err(other.moved(to_path, e)),
            },
            Err(e) => Err(other.moved(to_path, e)),
        }
    }

    /// Moves, and what was there is gone in the same step.
    pub fn move_over(&mut self, path: &Path, other: &mut Tree, to_path: &Path) -> Result<(), String> {
        let [(a, from), (b, to)] = self.both(path, other, to_path)?;
        rustix::fs::renameat(&a, &from, &b, &to).map_err(|e| other.moved(to_path, e))
    }

    /// A further name in another tree.
    pub fn link_into(&mut self, path: &Path, other: &mut Tree, to_path: &Path) -> Result<(), String> {
        other.enter(to_path)?;
        let [(a, from), (b, to)] = self.both(path, other, to_path)?;
        rustix::fs::linkat(&a, &from, &b, &to, AtFlags::empty()).map_err(|e| other.moved(to_path, e))
    }

    /// Whether the folder that a path is in is there.
    pub fn has_folder_of(&mut self, path: &Path) -> Result<bool, String> {
        Ok(self.spot(path)?.is_some())
    }

    /// Makes the folders that a path is in.
    pub fn make_way(&mut self, path: &Path) -> Result<(), String> {
        self.enter(path).map(|_| ())
    }

    /// Takes a folder away if there is nothing in it.
    pub fn remove_empty(&mut self, path: &Path) -> Result<(), String> {
        self.last = None;
        let Some((at, name)) = self.spot(path)? else { return Ok(()) };
        match rustix::fs::unlinkat(&at, &name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Ok(()),
            Err(e) => Err(self.fault(path, e)),
        }
    }

    /// Everything on the disk.
    pub fn sync(&self) -> Result<(), String> {
        rustix::fs::syncfs(self.root.as_fd()).map_err(|e| self.fault(Path::new(""), e))
    }

    fn moved(&self, path: &Path, e: Errno) -> String {
        match e {
            Errno::XDEV => format!(
                "{} is on another file system than the folder, where no name can be exchanged in one step: restore that \
                 folder by a backup of its own",
                self.full(path).display()
            ),
            e => self.fault(path, e),
        }
    }
}
