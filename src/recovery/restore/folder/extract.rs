//! Unpacking a tar archive. Every name is judged again here: the file may be another one by now than the one checked.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::super::job::FolderRestore;
use super::check::{Counted, NOTHING_CHOSEN, read_error};
use super::entry;
use super::only::Only;
use super::open::{self, Opened, Way};
use super::tree::{Fault, Lost, Meta, Tree};
use crate::recovery::op::OpContext;
use crate::text;

pub fn run(job: &FolderRestore, only: &Only, tree: &mut Tree, ctx: &OpContext) -> Result<Lost, Fault> {
    let links = super::entry::Links::new(&job.live, &job.links)?;
    // A further name of a file says nothing of its content: a file that has a chosen further name comes along.
    let along = if only.is_all() { HashSet::new() } else { targets(job, only, ctx)? };
    let (mut opened, mut stream) = start(job)?;
    let total = opened.total;
    let mut archive = tar::Archive::new(&mut stream);
    let mut buffer = vec![0; 1 << 17];
    for found in archive.entries().map_err(|e| read_error(&e))? {
        let mut found = found.map_err(|e| read_error(&e))?;
        if ctx.cancel.is_cancelled() {
            return Err(Fault::Cancelled);
        }
        let name = found.path_bytes().into_owned();
        let below = entry::path(&name, job.strip)?;
        ctx.sink.progress(opened.read_so_far(), total, &text::clean_bytes(&name));
        let meta = meta(&mut found)?;
        let kind = found.header().entry_type();
        let Some(below) = below else {
            // The folder itself, or one of the leading parts that are dropped.
            if kind.is_dir() && is_root(&name, job.strip) {
                tree.folder(Path::new(""), meta)?;
            }
            continue;
        };
        if !only.has(&below) && !along.contains(&below) {
            if kind.is_dir() {
                tree.folder_if_made(below, meta);
            }
            continue;
        }
        match kind {
            tar::EntryType::Directory => tree.folder(&below, meta)?,
            tar::EntryType::Symlink => {
                let target = found.link_name_bytes().map(|t| t.into_owned()).unwrap_or_default();
                links.check(&below, &target)?;
                tree.symlink(&below, &target, &meta)?;
            }
            tar::EntryType::Link => {
                let target = found.link_name_bytes().map(|t| t.into_owned()).unwrap_or_default();
                if let Some(of) = entry::path(&target, job.strip)? {
                    tree.hardlink(&below, &of)?;
                }
            }
            tar::EntryType::Fifo => tree.fifo(&below, &meta)?,
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                let mut file = tree.file(&below)?;
                let wanted = found.size();
                let mut written = 0u64;
                loop {
                    if ctx.cancel.is_cancelled() {
                        return Err(Fault::Cancelled);
                    }
                    let n = match found.read(&mut buffer) {
                        Ok(0) => break,
                        Ok(n) => n,
                        Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                        Err(e) => return Err(read_error(&e).into()),
                    };
                    let bytes = buffer.get(..n).unwrap_or_default();
                    file.write_all(bytes).map_err(|e| write_error(&job.side.join(&below), &e))?;
                    written += n as u64;
                    ctx.sink.progress(opened.read_so_far(), total, &text::clean_bytes(&name));
                }
                if written != wanted {
                    return Err("it is cut off: choose another copy".to_owned().into());
                }
                tree.close(&below, &file, &meta)?;
            }
            tar::EntryType::Block | tar::EntryType::Char => {
                return Err(format!("\"{}\" is a device: choose another copy", text::clean_bytes(&name)).into());
            }
            _ => {}
        }
    }
    if tree.made() == 0 && !only.is_all() {
        return Err(NOTHING_CHOSEN.to_owned().into());
    }
    // Only at its very end does a compression compare its sum, and an encryption say that this was the end.
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(std::mem::take(&mut tree.lost)),
            Ok(_) if ctx.cancel.is_cancelled() => return Err(Fault::Cancelled),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(read_error(&e).into()),
        }
    }
}

type Stream = Counted<Box<dyn Read + Send>>;

fn start(job: &FolderRestore) -> Result<(Opened, Stream), String> {
    let mut opened = open::open(&Way::of(job))?;
    let from = std::mem::replace(&mut opened.stream, Box::new(io::empty()));
    Ok((opened, Counted { from, read: 0 }))
}

/// Files of which a chosen name is a further one.
fn targets(job: &FolderRestore, only: &Only, ctx: &OpContext) -> Result<HashSet<PathBuf>, Fault> {
    let (mut opened, mut stream) = start(job)?;
    let mut archive = tar::Archive::new(&mut stream);
    let mut found = HashSet::new();
    for entry in archive.entries().map_err(|e| read_error(&e))? {
        let entry = entry.map_err(|e| read_error(&e))?;
        if ctx.cancel.is_cancelled() {
            return Err(Fault::Cancelled);
        }
        ctx.sink.progress(opened.read_so_far(), opened.total, "looking for files with several names");
        if entry.header().entry_type() != tar::EntryType::Link {
            continue;
        }
        let below = entry::path(&entry.path_bytes(), job.strip)?;
        let of = entry.link_name_bytes().map(|t| entry::path(&t, job.strip)).transpose()?.flatten();
        if let (Some(below), Some(of)) = (below, of)
            && only.has(&below)
        {
            found.insert(of);
        }
    }
    Ok(found)
}

/// A failing write in words.
pub fn write_error(path: &Path, e: &io::Error) -> String {
    let hint = match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ": make room on its disk"
        }
        _ => "",
    };
    format!("write {}: {e}{hint}", path.display())
}

/// Whether a name that means nothing below the folder means the folder itself: exactly the parts that are dropped.
fn is_root(name: &[u8], strip: u32) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let parts = Path::new(std::ffi::OsStr::from_bytes(name)).components();
    parts.filter(|c| matches!(c, std::path::Component::Normal(_))).count() == strip as usize
}

fn meta<R: Read>(found: &mut tar::Entry<'_, R>) -> Result<Meta, String> {
    // Extended headers (POSIX pax) come as text and say times more exactly, and what has no place in the plain one.
    let mut extended: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    if let Some(all) = found.pax_extensions().map_err(|e| read_error(&e))? {
        for one in all {
            let one = one.map_err(|e| read_error(&e))?;
            extended.insert(String::from_utf8_lossy(one.key_bytes()).into_owned(), one.value_bytes().to_vec());
        }
    }
    let header = found.header();
    let bad = |e: io::Error| read_error(&e);
    let number = |key: &str| extended.get(key).and_then(|v| std::str::from_utf8(v).ok()?.parse::<u32>().ok());
    let ours = |n: u64| u32::try_from(n).unwrap_or(u32::MAX - 1);
    let name = |key: &str, plain: Option<&[u8]>| {
        let name = extended.get(key).cloned().or_else(|| plain.map(<[u8]>::to_vec));
        name.filter(|n| !n.is_empty())
    };
    let mtime = extended
        .get("mtime")
        .and_then(|v| seconds(v))
        .unwrap_or((i64::try_from(header.mtime().map_err(bad)?).unwrap_or(0), 0));
    let xattrs = extended
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("SCHILY.xattr.")?.as_bytes().to_vec(), value.clone())))
        .collect();
    Ok(Meta {
        mode: header.mode().map_err(bad)?,
        uid: number("uid").unwrap_or(ours(header.uid().map_err(bad)?)),
        gid: number("gid").unwrap_or(ours(header.gid().map_err(bad)?)),
        user: name("uname", header.username_bytes()),
        group: name("gname", header.groupname_bytes()),
        mtime,
        xattrs,
    })
}

/// `1700000000.123456789`.
fn seconds(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let nanos: String = part.chars().chain(std::iter::repeat('0')).take(9).collect();
    let (whole, nanos): (i64, u32) = (whole.parse().ok()?, nanos.parse().ok()?);
    // Before 1970 the fraction counts back from the whole second.
    if text.starts_with('-') && nanos > 0 { Some((whole - 1, 1_000_000_000 - nanos)) } else { Some((whole, nanos)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_fractions() {
        for (text, wanted) in [
            ("1700000000", Some((1_700_000_000, 0))),
            ("1700000000.5", Some((1_700_000_000, 500_000_000))),
            ("1700000000.123456789123", Some((1_700_000_000, 123_456_789))),
            ("-1.25", Some((-2, 750_000_000))),
            ("x", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), wanted, "{text}");
        }
        assert!(is_root(b"./", 0) && is_root(b"docs/", 1) && !is_root(b"a/b", 1) && !is_root(b"./", 1));
    }
}
