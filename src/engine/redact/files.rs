//! Files beside the journal: where a text stands in them, and overwriting it there.
//!
//! A place is overwritten where it is, byte for byte, so that the places of a list stay right however often it is worked
//! off, and the old bytes do not lie about on freed blocks. Links are not followed. The journal's own files are not
//! touched here: their payloads are blanked by the journal.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::domain::event::RedactedFile;
use crate::text::secret::{Secret, blank};

/// Bytes read at once.
const PIECE: usize = 1 << 20;
/// Folders within one another.
const DEEPEST: usize = 24;

/// What was found.
#[derive(Debug, Default)]
pub struct FoundFiles {
    pub files: Vec<RedactedFile>,
    /// Compressed: nobody can look into them this way.
    pub unread: Vec<String>,
    /// Could not be read, and why.
    pub failed: Vec<String>,
}

/// Looks for `secret`, and for the lines of these entries in readable timelines, in all files of the state folder and in
/// the run folders of the other places. Blocks on the disk.
pub fn find(dir: &Path, others: &[PathBuf], secret: Option<&Secret>, lines: &BTreeSet<u64>) -> FoundFiles {
    let mut found = FoundFiles::default();
    let mut paths = Vec::new();
    walk(dir, 0, &mut paths);
    paths.retain(|p| !is_journals(dir, p));
    others.iter().for_each(|other| walk(&other.join("runs"), 0, &mut paths));
    paths.sort();
    for path in paths {
        let name = name_of(dir, &path);
        match look(&path, secret, lines) {
            Ok(Looked::Places(id, places)) if !places.is_empty() => {
                found.files.push(RedactedFile { file: name, id, places });
            }
            Ok(Looked::Places(..)) => {}
            Ok(Looked::Compressed) => found.unread.push(name),
            // Gone meanwhile.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => found.failed.push(format!("{name} (cannot be read: {e})")),
        }
    }
    found
}

fn walk(dir: &Path, depth: usize, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(t) if t.is_dir() && depth < DEEPEST => walk(&entry.path(), depth + 1, paths),
            Ok(t) if t.is_file() => paths.push(entry.path()),
            _ => {}
        }
    }
}

/// Parts, indexes and the checkpoint; torn fragments are like any file.
fn is_journals(dir: &Path, path: &Path) -> bool {
    if path.parent() != Some(dir) {
        return false;
    }
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let journal = name.starts_with("journal") && !name.starts_with("journal.torn-");
    journal || name.starts_with("checkpoint.json") || name == "engine.lock"
}

fn name_of(dir: &Path, path: &Path) -> String {
    path.strip_prefix(dir).unwrap_or(path).to_string_lossy().into_owned()
}

enum Looked {
    Places((u64, u64, u64), Vec<(u64, u64)>),
    Compressed,
}

fn look(path: &Path, secret: Option<&Secret>, lines: &BTreeSet<u64>) -> io::Result<Looked> {
    let mut file =
        std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    let meta = file.metadata()?;
    let mut places = Vec::new();
    if let Some(secret) = secret {
        match search(&mut file, secret)? {
            Some(found) => places = found,
            None => return Ok(Looked::Compressed),
        }
    }
    if !lines.is_empty() && path.file_name().is_some_and(|n| n == "timeline.md") {
        places.extend(lines_of(path, lines)?);
    }
    Ok(Looked::Places(id_of(&meta), merged(places)))
}

fn id_of(meta: &Metadata) -> (u64, u64, u64) {
    let born = meta.created().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    (meta.dev(), meta.ino(), born.map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(0)))
}

/// `None`: it is compressed.
fn search(file: &mut File, secret: &Secret) -> io::Result<Option<Vec<(u64, u64)>>> {
    let (mut buf, mut at, mut places) = (Vec::new(), 0u64, Vec::new());
    let mut piece = vec![0; PIECE.max(secret.widest())];
    loop {
        let mut read = 0;
        while read < piece.len() {
            match file.read(piece.get_mut(read..).unwrap_or_default()) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        let first = at == 0 && buf.is_empty();
        buf.extend_from_slice(piece.get(..read).unwrap_or_default());
        if first && is_compressed(&buf) {
            return Ok(None);
        }
        let over = read < piece.len();
        // What begins behind here may end in the next piece.
        let mut cut = if over { buf.len() } else { buf.len().saturating_sub(secret.widest()) };
        for (from, to) in secret.places(&buf) {
            if from < cut || over {
                places.push((at + from as u64, (to - from) as u64));
                cut = cut.max(to);
            }
        }
        if over {
            return Ok(Some(places));
        }
        buf.drain(..cut);
        at += cut as u64;
    }
}

fn is_compressed(head: &[u8]) -> bool {
    const MAGIC: [&[u8]; 6] =
        [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh", b"PK\x03\x04", b"\x04\x22\x4d\x18"];
    MAGIC.iter().any(|magic| head.starts_with(magic))
}

/// The texts of these entries' lines: `- 2026-11-20 02:14:07Z · oncall1 · text · 61`.
fn lines_of(path: &Path, wanted: &BTreeSet<u64>) -> io::Result<Vec<(u64, u64)>> {
    const DOT: &[u8] = " · ".as_bytes();
    let bytes = std::fs::read(path)?;
    let (mut places, mut at) = (Vec::new(), 0);
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let begin = at;
        at += line.len();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if !line.starts_with(b"- ") {
            continue;
        }
        let dots: Vec<usize> = memchr::memmem::find_iter(line, DOT).collect();
        let (Some(second), Some(last)) = (dots.get(1), dots.last()) else { continue };
        let number = line.get(last + DOT.len()..).and_then(|n| std::str::from_utf8(n).ok()?.trim().parse().ok());
        if second < last && number.is_some_and(|n: u64| wanted.contains(&n)) {
            let from = second + DOT.len();
            places.push(((begin + from) as u64, (last - from) as u64));
        }
    }
    Ok(places)
}

fn merged(mut places: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    places.sort_unstable();
    let mut out: Vec<(u64, u64)> = Vec::with_capacity(places.len());
    for (from, len) in places {
        match out.last_mut() {
            Some(last) if from <= last.0 + last.1 => last.1 = last.1.max(from + len - last.0),
            _ => out.push((from, len)),
        }
    }
    out
}

/// What was overwritten.
#[derive(Clone, Debug, Default)]
pub struct Destroyed {
    pub files: BTreeSet<String>,
    pub places: u64,
    pub failed: Vec<String>,
}

/// Overwrites the places and has that synced. What is done already is done again, which changes nothing. A file that is
/// another one by now is left alone and told, unless it lies beside under another name, as a log that was rotated.
pub fn destroy(dir: &Path, files: &[RedactedFile]) -> Destroyed {
    let mut done = Destroyed::default();
    for file in files {
        match overwrite(dir, file) {
            Ok(true) => {
                done.files.insert(file.file.clone());
                done.places += file.places.len() as u64;
            }
            Ok(false) => {}
            Err(e) => done.failed.push(format!("{} ({e})", file.file)),
        }
    }
    done
}

/// False: the file is gone, and the text with it.
fn overwrite(dir: &Path, listed: &RedactedFile) -> io::Result<bool> {
    let path = dir.join(&listed.file);
    if is_journals(dir, &path) {
        return Ok(false);
    }
    let open = |path: &Path| {
        std::fs::OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
    };
    let same = |file: &File| file.metadata().is_ok_and(|m| m.is_file() && id_of(&m) == listed.id);
    let mut found = match open(&path) {
        Ok(file) if same(&file) => Some(file),
        Ok(_) => None,
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    if found.is_none() {
        let name = path.file_name().unwrap_or_default().to_os_string();
        let rotated = |p: &PathBuf| {
            let own = p.file_name().unwrap_or_default();
            own.as_encoded_bytes().starts_with(name.as_encoded_bytes()) && !is_journals(dir, p)
        };
        let beside = path.parent().and_then(|p| std::fs::read_dir(p).ok()).into_iter().flatten().flatten();
        found = beside.map(|e| e.path()).filter(rotated).filter_map(|p| open(&p).ok()).find(|f| same(f));
    }
    let Some(file) = found else { return Ok(false) };
    for (from, len) in &listed.places {
        let mut old = vec![0; usize::try_from(*len).unwrap_or(0)];
        match file.read_exact_at(&mut old, *from) {
            Ok(()) => file.write_all_at(&blank(&old), *from)?,
            // Cut since: what stood there is gone.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(e) => return Err(e),
        }
    }
    file.sync_data()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_across_two_pieces_is_found_once() {
        let dir = tempfile::tempdir().unwrap();
        let secret = Secret::new(["hunter2-is-the-password"]).unwrap();
        for before in [0, 10, PIECE - 30, PIECE - 12, PIECE - 1, PIECE, 2 * PIECE - 5] {
            let mut bytes = vec![b'x'; before];
            bytes.extend_from_slice(b"hunter2-is-the-password");
            bytes.extend(vec![b'y'; PIECE + 7]);
            bytes.extend_from_slice(b"hunter2-is-the-password");
            std::fs::write(dir.path().join("f"), &bytes).unwrap();
            let found = find(dir.path(), &[], Some(&secret), &BTreeSet::new());
            let [file] = found.files.as_slice() else { panic!("{found:?}") };
            let second = (before + 23 + PIECE + 7) as u64;
            assert_eq!(file.places, [(before as u64, 23), (second, 23)], "{before}");
            let done = destroy(dir.path(), &found.files);
            assert_eq!((done.places, done.failed.len()), (2, 0));
            let after = std::fs::read(dir.path().join("f")).unwrap();
            assert!(after.len() == bytes.len() && !secret.is_in(&after));
            // Cut short and begun again it comes to the same.
            destroy(dir.path(), &found.files);
            assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), after);
        }
    }

    #[test]
    fn another_file_under_the_name_is_left_alone_and_a_rotated_one_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.log");
        std::fs::write(&path, "the password is hunter2-x today").unwrap();
        let secret = Secret::new(["hunter2-x"]).unwrap();
        let found = find(dir.path(), &[], Some(&secret), &BTreeSet::new());
        std::fs::rename(&path, dir.path().join("engine.log.1")).unwrap();
        std::fs::write(&path, "nothing of the kind stands in here").unwrap();
        destroy(dir.path(), &found.files);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "nothing of the kind stands in here");
        assert_eq!(
            std::fs::read_to_string(dir.path().join("engine.log.1")).unwrap(),
            "the password is ********* today"
        );
    }

    #[test]
    fn a_line_of_a_timeline_goes_by_its_number_and_keeps_when_and_who() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("timeline.md");
        let text = "# INC\n\n- 2026-11-20 02:14:07Z · oncall1 · pw is · x1 · 6\n- 2026-11-20 02:14:08Z · oncall1 · stays as is · 61\n";
        std::fs::write(&path, text).unwrap();
        let found = find(dir.path(), &[], None, &BTreeSet::from([6]));
        destroy(dir.path(), &found.files);
        let after = std::fs::read_to_string(&path).unwrap();
        assert!(
            after.contains("- 2026-11-20 02:14:07Z · oncall1 · [redacted]  · 6\n")
                && after.contains("stays as is · 61"),
            "{after}"
        );
    }
}
