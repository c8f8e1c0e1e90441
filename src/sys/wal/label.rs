//! Where a base backup begins: its backup_label, in a data folder or at the beginning of a tar archive.
//!
//! Format: xlogbackup.c (formerly xlog.c).

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{Lsn, archive};

/// What a backup_label says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    pub start: Lsn,
    pub timeline: u32,
    pub started: Option<i64>,
}

/// Reads a backup_label.
pub fn label(content: &str) -> Option<Label> {
    let value = |key: &str| content.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':')).map(str::trim);
    let place = value("START WAL LOCATION")?;
    let start = Lsn::parse(place.split_whitespace().next()?)?;
    let named = place.split_once("(file ").and_then(|(_, f)| super::parse_segment(f.trim_end_matches(')'), 1 << 24));
    let timeline = value("START TIMELINE").and_then(|t| t.parse().ok()).or(named.map(|(t, _)| t))?;
    // The server writes its own zone, by an abbreviation: only one of them means the same everywhere.
    let started = value("START TIME").and_then(|t| t.strip_suffix(" UTC").or(t.strip_suffix(" GMT"))).and_then(|t| {
        chrono::NaiveDateTime::parse_from_str(t, "%Y-%m-%d %H:%M:%S").ok().map(|t| t.and_utc().timestamp())
    });
    Some(Label { start, timeline, started })
}

/// The label of a base backup that lies there as a folder, as one below a folder `data`, or as `base.tar` with what
/// compression adds to its name; and the log that it brings along. `None`: it is none, or has not been read by `until`.
/// Blocks.
pub fn find(copy: &Path, until: Instant) -> Option<(Label, archive::Listing)> {
    if copy.is_file() {
        return Some((in_tar(copy, until).ok()??, archive::Listing::default()));
    }
    for place in [copy.to_path_buf(), copy.join("data")] {
        if let Ok(text) = std::fs::read(place.join("backup_label")) {
            let own = archive::folder(&place.join("pg_wal")).unwrap_or_default();
            return Some((label(&String::from_utf8_lossy(&text))?, own));
        }
        let tar = |stem: &str| -> Option<PathBuf> {
            ["", ".gz", ".zst", ".lz4"].iter().map(|e| place.join(format!("{stem}.tar{e}"))).find(|p| p.is_file())
        };
        if let Some(base) = tar("base") {
            let log = tar("pg_wal").and_then(|log| archive::in_tar(&log, until).ok()?);
            return Some((in_tar(&base, until).ok()??, log.unwrap_or_default()));
        }
    }
    None
}

/// It comes first in an archive of `pg_basebackup`.
fn in_tar(path: &Path, until: Instant) -> io::Result<Option<Label>> {
    let mut archive = tar::Archive::new(archive::open_file(path)?);
    for entry in archive.entries()?.take(16) {
        let entry = entry?;
        let name = entry.path_bytes().into_owned();
        if name.ends_with(b"backup_label") {
            let mut text = String::new();
            entry.take(1 << 16).read_to_string(&mut text)?;
            return Ok(label(&text));
        }
        if Instant::now() > until {
            break;
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read() {
        let text = "START WAL LOCATION: 0/2000028 (file 000000030000000000000002)\nCHECKPOINT LOCATION: 0/2000060\n\
                    BACKUP METHOD: streamed\nBACKUP FROM: primary\nSTART TIME: 2026-11-20 12:21:35 UTC\nLABEL: x\n";
        let wanted = Label { start: Lsn(0x200_0028), timeline: 3, started: Some(1_795_177_295) };
        assert_eq!(label(text), Some(wanted));
        assert_eq!(label(&text.replace("UTC", "CET")), Some(Label { started: None, ..wanted }));
        assert_eq!(label(&format!("{text}START TIMELINE: 7\n")).map(|l| l.timeline), Some(7));
        assert_eq!(label("LABEL: x\n"), None);
    }
}
