//! What is different between the side folder and the live one: added, changed, gone. By content, not by times: a copy that
//! is damaged has the size and the time of a good one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::recovery::op::{OpContext, OpError};
use crate::text;

/// Contents are compared for this long; whatever is left then counts as the same when size and time are.
const CONTENTS: Duration = Duration::from_secs(300);

/// Differences listed by name; the rest is counted.
const LISTED: u64 = 20;

#[derive(Default)]
struct Seen {
    same: u64,
    added: u64,
    changed: u64,
    gone: u64,
    unread: u64,
    /// Taken for the same by size and time.
    by_time: u64,
}

/// Compares; the sentence says how many of each. Blocks.
pub fn run(side: &Path, live: &Path, ctx: &OpContext) -> Result<String, OpError> {
    if !live.is_dir() {
        return Ok(format!("{} does not exist: everything is added", live.display()));
    }
    let mut seen = Seen::default();
    let until = Instant::now() + CONTENTS;
    let mut open = vec![PathBuf::new()];
    while let Some(dir) = open.pop() {
        let here = list(&side.join(&dir))
            .map_err(|e| OpError::Failed(format!("compare {}: {e}", side.join(&dir).display())))?;
        let mut there = list(&live.join(&dir)).unwrap_or_else(|_| {
            seen.unread += 1;
            BTreeMap::new()
        });
        for (name, meta) in here {
            if ctx.cancel.is_cancelled() {
                return Err(OpError::Cancelled);
            }
            let below = dir.join(&name);
            match there.remove(&name) {
                None => {
                    seen.added += 1 + if meta.is_dir() { count(&side.join(&below)) } else { 0 };
                    tell(ctx, seen.added + seen.changed + seen.gone, "added", &below);
                }
                Some(other) if meta.is_dir() && other.is_dir() => open.push(below),
                Some(other) if Instant::now() > until && looks_equal(&meta, &other) => seen.by_time += 1,
                Some(other) => match equal(&side.join(&below), &meta, &live.join(&below), &other) {
                    Ok(true) => seen.same += 1,
                    Ok(false) => {
                        seen.changed += 1;
                        tell(ctx, seen.added + seen.changed + seen.gone, "changed", &below);
                    }
                    Err(_) => seen.unread += 1,
                },
            }
            ctx.sink.progress(seen.same + seen.added + seen.changed, 0, "comparing");
        }
        for (name, meta) in there {
            let below = dir.join(name);
            seen.gone += 1 + if meta.is_dir() { count(&live.join(&below)) } else { 0 };
            tell(ctx, seen.added + seen.changed + seen.gone, "gone", &below);
        }
    }
    let mut said = format!(
        "against {}: {} the same, {} added, {} changed, {} gone",
        live.display(),
        seen.same,
        seen.added,
        seen.changed,
        seen.gone
    );
    if seen.by_time > 0 {
        said.push_str(&format!(", {} of the same size and time, not read", seen.by_time));
    }
    if seen.unread > 0 {
        said.push_str(&format!(", {} could not be read", seen.unread));
    }
    Ok(said)
}

fn tell(ctx: &OpContext, number: u64, what: &str, below: &Path) {
    if number <= LISTED {
        ctx.sink.line(&format!("{what}: {}", text::clean_bytes(below.as_os_str().as_bytes())));
    }
}

fn list(dir: &Path) -> io::Result<BTreeMap<OsString, Metadata>> {
    std::fs::read_dir(dir)?.map(|found| found.and_then(|f| Ok((f.file_name(), f.metadata()?)))).collect()
}

/// Names below a folder.
fn count(dir: &Path) -> u64 {
    let mut n = 0;
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        for found in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            n += 1;
            if found.file_type().is_ok_and(|t| t.is_dir()) {
                open.push(found.path());
            }
        }
    }
    n
}

fn looks_equal(a: &Metadata, b: &Metadata) -> bool {
    let same = |x: &Metadata| (x.file_type(), x.len(), x.modified().ok());
    a.is_file() && same(a) == same(b)
}

fn equal(a: &Path, of_a: &Metadata, b: &Path, of_b: &Metadata) -> io::Result<bool> {
    if of_a.file_type() != of_b.file_type() {
        return Ok(false);
    }
    if of_a.is_symlink() {
        return Ok(std::fs::read_link(a)? == std::fs::read_link(b)?);
    }
    if !of_a.is_file() {
        return Ok(true);
    }
    if of_a.len() != of_b.len() {
        return Ok(false);
    }
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
