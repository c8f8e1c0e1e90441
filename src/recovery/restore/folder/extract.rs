//! Unpacking a tar archive. Every name is judged again here: the file may be another one by now than the one checked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::super::format;
use super::super::job::FolderRestore;
use super::check::{Counted, read_error};
use super::entry;
use super::tree::{Fault, Lost, Meta, Tree};
use crate::recovery::op::OpContext;
use crate::sys::archive;
use crate::text;

pub fn run(job: &FolderRestore, tree: &mut Tree, ctx: &OpContext) -> Result<Lost, Fault> {
    let place = &format::path_of(&job.copy);
    let open = |e: io::Error| Fault::Failed(format!("{} cannot be read: {e}", place.display()));
    let file = File::open(place).map_err(open)?;
    let total = file.metadata().map_err(open)?.len();
    let mut position = file.try_clone().map_err(open)?;
    let mut stream = Counted { from: archive::reader(file).map_err(open)?, read: 0 };
    let mut archive = tar::Archive::new(&mut stream);
    let mut buffer = vec![0; 1 << 17];
    for found in archive.entries().map_err(|e| read_error(&e))? {
        let mut found = found.map_err(|e| read_error(&e))?;
        if ctx.cancel.is_cancelled() {
            return Err(Fault::Cancelled);
        }
        let name = found.path_bytes().into_owned();
        let below = entry::path(&name, job.strip)?;
        ctx.sink.progress(position.stream_position().unwrap_or(0), total, &text::clean_bytes(&name));
        let meta = meta(&mut found)?;
        let kind = found.header().entry_type();
        let Some(below) = below else {
            // The folder itself, or one of the leading parts that are dropped.
            if kind.is_dir() && is_root(&name, job.strip) {
                tree.folder(Path::new(""), meta)?;
            }
            continue;
        };
        match kind {
            tar::EntryType::Directory => tree.folder(&below, meta)?,
            tar::EntryType::Symlink => {
                let target = found.link_name_bytes().map(|t| t.into_owned()).unwrap_or_default();
                entry::link(&below, &target, &job.live)?;
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
                    ctx.sink.progress(position.stream_position().unwrap_or(0), total, &text::clean_bytes(&name));
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
    Ok(std::mem::take(&mut tree.lost))
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
