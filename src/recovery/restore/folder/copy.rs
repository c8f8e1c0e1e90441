//! Copying a copy that is a folder itself, as `cp -a` does: owner, mode, times, links of both kinds, extended attributes.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::super::format;
use super::super::job::FolderRestore;
use super::check::NOTHING_CHOSEN;
use super::extract::write_error;
use super::only::Only;
use super::tree::{Fault, Lost, Meta, Tree};
use crate::recovery::op::OpContext;
use crate::text;

pub fn run(job: &FolderRestore, only: &Only, tree: &mut Tree, ctx: &OpContext) -> Result<Lost, Fault> {
    let links = super::entry::Links::new(&job.live, &job.links)?;
    let from = &format::path_of(&job.copy);
    let read = |at: &Path, e: io::Error| Fault::Failed(format!("{} cannot be read: {e}", at.display()));
    let top = std::fs::metadata(from).map_err(|e| read(from, e))?;
    tree.folder(Path::new(""), meta(from, &top))?;
    // Files with several names, by device and inode: the first name that was copied.
    let mut names: HashMap<(u64, u64), PathBuf> = HashMap::new();
    let mut done = 0u64;
    let mut buffer = vec![0; 1 << 17];
    let mut open = vec![PathBuf::new()];
    while let Some(dir) = open.pop() {
        let here = from.join(&dir);
        for found in std::fs::read_dir(&here).map_err(|e| read(&here, e))? {
            if ctx.cancel.is_cancelled() {
                return Err(Fault::Cancelled);
            }
            let found = found.map_err(|e| read(&here, e))?;
            let at = found.path();
            let below = dir.join(found.file_name());
            let stat = found.metadata().map_err(|e| read(&at, e))?;
            let kind = stat.file_type();
            let meta = meta(&at, &stat);
            if !only.has(&below) {
                if kind.is_dir() && only.may_have_below(&below) {
                    tree.folder_if_made(below.clone(), meta);
                    open.push(below);
                }
                continue;
            }
            if kind.is_dir() {
                tree.folder(&below, meta)?;
                open.push(below);
            } else if kind.is_symlink() {
                let target = std::fs::read_link(&at).map_err(|e| read(&at, e))?.into_os_string().into_vec();
                links.check(&below, &target)?;
                tree.symlink(&below, &target, &meta)?;
            } else if kind.is_file() {
                let id = (stat.dev(), stat.ino());
                if stat.nlink() > 1
                    && let Some(first) = names.get(&id)
                {
                    tree.hardlink(&below, first)?;
                    continue;
                }
                done += file(&at, &below, &below, &meta, tree, ctx, &mut buffer, (done, job.copy.size))?;
                if stat.nlink() > 1 {
                    names.insert(id, below);
                }
            } else if kind.is_fifo() {
                tree.fifo(&below, &meta)?;
            } else if kind.is_socket() {
                tree.lost.sockets += 1;
            } else {
                let name = text::clean_bytes(below.as_os_str().as_bytes());
                return Err(format!("\"{name}\" is a device: choose another copy").into());
            }
        }
    }
    if tree.made() == 0 && !only.is_all() {
        return Err(NOTHING_CHOSEN.to_owned().into());
    }
    Ok(std::mem::take(&mut tree.lost))
}

/// Copies one file to `to_path`; `below` is what it is called. Returns its bytes.
#[expect(clippy::too_many_arguments, reason = "all of it is one file's")]
pub fn file(
    at: &Path,
    to_path: &Path,
    below: &Path,
    meta: &Meta,
    tree: &mut Tree,
    ctx: &OpContext,
    buffer: &mut [u8],
    (before, total): (u64, u64),
) -> Result<u64, Fault> {
    let read = |e: io::Error| Fault::Failed(format!("{} cannot be read: {e}", at.display()));
    // Whatever took its place since it was looked at must neither be followed nor waited for.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut from = File::options().read(true).custom_flags(flags).open(at).map_err(read)?;
    let mut to = tree.file(to_path)?;
    let mut done = 0u64;
    loop {
        if ctx.cancel.is_cancelled() {
            return Err(Fault::Cancelled);
        }
        let n = match from.read(buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(read(e)),
        };
        to.write_all(buffer.get(..n).unwrap_or_default()).map_err(|e| write_error(&tree.full(to_path), &e))?;
        done += n as u64;
        ctx.sink.progress(before + done, total, &text::clean_bytes(below.as_os_str().as_bytes()));
    }
    let mut meta = meta.clone();
    meta.xattrs = attributes(&from);
    tree.close(to_path, &to, &meta)?;
    Ok(done)
}

pub fn meta(at: &Path, stat: &std::fs::Metadata) -> Meta {
    // Of a file they are read when it is open.
    let open = || File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_DIRECTORY).open(at);
    let xattrs = if stat.is_dir() { open().map(|d| attributes(&d)).unwrap_or_default() } else { Vec::new() };
    Meta {
        mode: stat.mode(),
        uid: stat.uid(),
        gid: stat.gid(),
        user: None,
        group: None,
        mtime: (stat.mtime(), u32::try_from(stat.mtime_nsec()).unwrap_or(0)),
        xattrs,
    }
}

/// Extended attributes, access lists among them; none where the file system has none.
fn attributes(file: &impl AsFd) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names = vec![0u8; 64 << 10];
    let Ok(n) = rustix::fs::flistxattr(file, &mut names[..]) else { return Vec::new() };
    let mut found = Vec::new();
    let mut value = vec![0u8; 64 << 10];
    for name in names.get(..n).unwrap_or_default().split(|b| *b == 0).filter(|n| !n.is_empty()) {
        let own = OsString::from_vec(name.to_vec());
        if let Ok(n) = rustix::fs::fgetxattr(file, own.as_os_str(), &mut value[..]) {
            found.push((name.to_vec(), value.get(..n).unwrap_or_default().to_vec()));
        }
    }
    found
}
