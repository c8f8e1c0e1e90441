//! What is different between the side folder and the live one: added, changed, gone.
//!
//! Files are the same when size, time, mode and content are: a file that was damaged on its disk keeps the size and the
//! time of a good one. With `compare = "quick"` contents are not read, and that is said. Every difference stands in a file in the run's
//! folder; the first ones are said.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::only::Only;
use crate::config::FolderCompare;
use crate::domain::backup::place;
use crate::recovery::restore::job::Differences;

/// How two folders are compared.
pub struct Question<'a> {
    pub side: &'a Path,
    pub live: &'a Path,
    pub only: &'a Only,
    pub how: FolderCompare,
    /// Owners matter where they could be kept.
    pub owners: bool,
}

/// Is told each difference (`changed`, the path, what of it), and after each name whether to go on.
pub trait Ear {
    fn difference(&mut self, what: &str, below: &Path, of_it: &str);
    /// False ends the comparison.
    fn go_on(&mut self, seen: u64) -> bool;
}

/// Compares. Blocks. `None`: it was ended.
pub fn run(q: &Question<'_>, ear: &mut dyn Ear) -> Result<Option<Differences>, String> {
    let mut seen = Differences::default();
    let mut open = vec![PathBuf::new()];
    while let Some(dir) = open.pop() {
        let here = list(&q.side.join(&dir)).map_err(|e| format!("{}: {e}", q.side.join(&dir).display()))?;
        let mut there = list(&q.live.join(&dir)).unwrap_or_else(|e| {
            seen.unread += u64::from(e.kind() != io::ErrorKind::NotFound);
            BTreeMap::new()
        });
        for (name, meta) in here {
            if !ear.go_on(seen.same + seen.added + seen.changed + seen.gone) {
                return Ok(None);
            }
            let below = dir.join(&name);
            let other = there.remove(&name);
            if meta.is_dir() && (q.only.may_have_below(&below) || q.only.has(&below)) {
                match &other {
                    Some(other) if !other.is_dir() => {}
                    _ => open.push(below.clone()),
                }
            }
            if !q.only.has(&below) {
                continue;
            }
            match other {
                None => {
                    seen.added += 1;
                    ear.difference("added", &below, "");
                }
                Some(other) => match differ(q, &below, &meta, &other, ear) {
                    Ok(None) => seen.same += u64::from(!meta.is_dir()),
                    Ok(Some(of_it)) => {
                        seen.changed += 1;
                        ear.difference("changed", &below, &of_it);
                    }
                    Err(Unread::Ended) => return Ok(None),
                    Err(Unread::Io(e)) => {
                        seen.unread += 1;
                        ear.difference("unread", &below, &e.to_string());
                    }
                },
            }
        }
        // What only the live folder has. Where names were chosen nothing else goes.
        for (name, meta) in there.into_iter().filter(|_| q.only.is_all()) {
            if !gone(q, &dir.join(name), meta.is_dir(), &mut seen, ear) {
                return Ok(None);
            }
        }
    }
    Ok(Some(seen))
}

/// Everything at and below a path that only the live folder has. False: it was ended.
fn gone(q: &Question<'_>, first: &Path, is_dir: bool, seen: &mut Differences, ear: &mut dyn Ear) -> bool {
    let mut open = vec![(first.to_path_buf(), is_dir)];
    while let Some((below, is_dir)) = open.pop() {
        if !ear.go_on(seen.same + seen.added + seen.changed + seen.gone) {
            return false;
        }
        seen.gone += 1;
        ear.difference("gone", &below, "");
        if !is_dir {
            continue;
        }
        match list(&q.live.join(&below)) {
            Ok(names) => open.extend(names.into_iter().rev().map(|(name, meta)| (below.join(name), meta.is_dir()))),
            Err(_) => seen.unread += 1,
        }
    }
    true
}

impl Differences {
    /// `against /srv/docs: 12 the same, 1 added, 2 changed, 1 gone`.
    pub fn said(&self, live: &Path, how: FolderCompare) -> String {
        let by = match how {
            FolderCompare::Quick => "by size, time and mode; contents not read",
            FolderCompare::Content => "by content",
        };
        let unread = if self.unread > 0 { format!(", {} could not be read", self.unread) } else { String::new() };
        format!(
            "against {} ({by}): {} the same, {} added, {} changed, {} gone{unread}",
            live.display(),
            self.same,
            self.added,
            self.changed,
            self.gone
        )
    }
}

fn list(dir: &Path) -> io::Result<BTreeMap<OsString, Metadata>> {
    std::fs::read_dir(dir)?.map(|found| found.and_then(|f| Ok((f.file_name(), f.metadata()?)))).collect()
}

enum Unread {
    Ended,
    Io(io::Error),
}

impl From<io::Error> for Unread {
    fn from(e: io::Error) -> Self {
        Unread::Io(e)
    }
}

/// What is different about a name that both have, in words.
fn differ(
    q: &Question<'_>,
    below: &Path,
    side: &Metadata,
    live: &Metadata,
    ear: &mut dyn Ear,
) -> Result<Option<String>, Unread> {
    if side.file_type() != live.file_type() {
        return Ok(Some("kind".to_owned()));
    }
    let (a, b) = (q.side.join(below), q.live.join(below));
    if side.is_symlink() {
        let same = std::fs::read_link(a)? == std::fs::read_link(b)?;
        return Ok((!same).then(|| "where it links to".to_owned()));
    }
    let mut of_it = Vec::new();
    if side.is_file() {
        if side.len() != live.len() {
            of_it.push(format!("size {} instead of {}", side.len(), live.len()));
        } else if !same_time(side, live) {
            of_it.push("time".to_owned());
        } else if q.how == FolderCompare::Content && !same_content(&a, &b, ear)? {
            of_it.push("content, with size and time the same".to_owned());
        }
    }
    if side.mode() != live.mode() {
        of_it.push(format!("mode {:o} instead of {:o}", side.mode() & 0o7777, live.mode() & 0o7777));
    }
    if q.owners && (side.uid(), side.gid()) != (live.uid(), live.gid()) {
        of_it.push("owner".to_owned());
    }
    Ok((!of_it.is_empty()).then(|| of_it.join(", ")))
}

/// Many archives keep whole seconds only.
fn same_time(a: &Metadata, b: &Metadata) -> bool {
    let whole = a.mtime_nsec() == 0 || b.mtime_nsec() == 0;
    a.mtime() == b.mtime() && (whole || a.mtime_nsec() == b.mtime_nsec())
}

fn same_content(a: &Path, b: &Path, ear: &mut dyn Ear) -> Result<bool, Unread> {
    let open = |path: &Path| File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let (mut a, mut b) = (open(a)?, open(b)?);
    let (mut from_a, mut from_b) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let n = fill(&mut a, &mut from_a)?;
        let m = fill(&mut b, &mut from_b)?;
        if from_a.get(..n) != from_b.get(..m) {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
        if !ear.go_on(0) {
            return Err(Unread::Ended);
        }
    }
}

fn fill(from: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while let Some(rest) = buffer.get_mut(n..).filter(|r| !r.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(k) => n += k,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n)
}

/// Where a run keeps the whole list.
pub const LIST: &str = "differences.txt";
/// Where it keeps the counts for its later phases.
pub const COUNTS: &str = "differences.json";

/// Every difference, a line each, in a file. A disk that is full ends the list and not the restore.
pub struct List {
    to: Result<BufWriter<File>, io::Error>,
    pub path: PathBuf,
}

impl List {
    pub fn create(path: PathBuf) -> List {
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path);
        List { to: file.map(BufWriter::new), path }
    }

    pub fn add(&mut self, what: &str, below: &Path, of_it: &str) {
        if let Ok(to) = &mut self.to {
            let path = place::of_bytes(below.as_os_str().as_bytes());
            let of_it = if of_it.is_empty() { String::new() } else { format!("\t{of_it}") };
            if let Err(e) = writeln!(to, "{what}\t{path}{of_it}") {
                self.to = Err(e);
            }
        }
    }

    /// Whether the list is whole.
    pub fn finish(mut self) -> io::Result<PathBuf> {
        match &mut self.to {
            Ok(to) => to.flush().map(|()| self.path),
            Err(e) => Err(io::Error::new(e.kind(), e.to_string())),
        }
    }
}
