//! The usual places of backups, and what lies there.
//!
//! Names are grouped by what they begin with and end in; ages give the usual time between two copies. Guesses all of
//! it, and said as such in the starter.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::{Host, in_thread};
use crate::backup::{Beat, source_of};
use crate::config::starter::FoundBackup;
use crate::config::{Backup, BackupSource, FilesSource};

/// Endings of copies, the longer before those they end in.
const ENDINGS: [&str; 22] = [
    ".sql.gz",
    ".sql.zst",
    ".sql.xz",
    ".sql.bz2",
    ".sql.gpg",
    ".dump.gz",
    ".dump.zst",
    ".dump.gpg",
    ".tar.gz",
    ".tar.zst",
    ".tar.xz",
    ".tar.bz2",
    ".tar.gpg",
    ".pgdump",
    ".dump",
    ".backup",
    ".sql",
    ".tgz",
    ".tar",
    ".rdb",
    ".bak",
    ".zip",
];
/// What Debian keeps of itself in `/var/backups`.
const OF_DEBIAN: [&str; 7] = ["dpkg.", "apt.", "alternatives.", "passwd.", "shadow.", "group.", "gshadow."];
/// Entries looked at in one folder.
const ENTRIES: usize = 5000;
/// Patterns reported of one folder.
const PATTERNS: usize = 4;
/// Folders looked at.
const FOLDERS: usize = 64;

/// Looks through the usual folders, each within the host's limit.
pub async fn backups(host: &Host) -> Vec<FoundBackup> {
    let own = host.clone();
    let folders = in_thread(host.limit, move || places(&own)).await.unwrap_or_default();
    let looks = folders.into_iter().map(|folder| {
        let limit = host.limit;
        async move { in_thread(limit, move || look(&folder, limit)).await.unwrap_or_default() }
    });
    futures_util::future::join_all(looks).await.into_iter().flatten().collect()
}

/// Folders that exist, each once.
fn places(host: &Host) -> Vec<PathBuf> {
    let mut parents: Vec<PathBuf> =
        ["/", "/srv", "/opt", "/mnt", "/data", "/var/lib/postgresql"].iter().map(|p| host.at(p)).collect();
    parents.extend(host.home.clone());
    let mut places = vec![host.at("/var/backups"), host.at("/var/lib/pgbackrest")];
    for parent in parents {
        let Ok(entries) = fs::read_dir(&parent) else { continue };
        let named = |e: &fs::DirEntry| e.file_name().as_bytes().starts_with(b"backup");
        places.extend(entries.flatten().take(ENTRIES).filter(named).map(|e| e.path()));
    }
    let mut out: Vec<PathBuf> = Vec::new();
    let mut seen = Vec::new();
    let mut add = |path: PathBuf| {
        let Ok(meta) = fs::metadata(&path) else { return };
        let identity = (meta.dev(), meta.ino());
        if meta.is_dir() && !seen.contains(&identity) && out.len() < FOLDERS {
            seen.push(identity);
            out.push(path);
        }
    };
    for place in places {
        let mut below: Vec<PathBuf> = Vec::new();
        if !place.ends_with("var/lib/pgbackrest")
            && let Ok(entries) = fs::read_dir(&place)
        {
            below = entries
                .flatten()
                .take(ENTRIES)
                .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
                .map(|e| e.path())
                .collect();
        }
        add(place);
        below.sort();
        below.into_iter().for_each(&mut add);
    }
    out
}

fn look(folder: &Path, limit: Duration) -> Vec<FoundBackup> {
    // pgBackRest writes a manifest when a backup is complete: its newest one is as old as the newest backup.
    if folder.ends_with("pgbackrest") {
        return found(folder, "backup/*/*/backup.manifest", false).into_iter().collect();
    }
    let began = Instant::now();
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut groups: BTreeMap<&'static str, BTreeMap<String, usize>> = BTreeMap::new();
    for entry in entries.flatten().take(ENTRIES) {
        if began.elapsed() > limit {
            break;
        }
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let debian = folder.ends_with("var/backups") && OF_DEBIAN.iter().any(|d| name.starts_with(d));
        if name.starts_with('.') || debian || !entry.file_type().is_ok_and(|t| t.is_file()) {
            continue;
        }
        if let Some((stem, ending)) = parts(name) {
            *groups.entry(ending).or_default().entry(stem).or_default() += 1;
        }
    }
    let mut patterns = Vec::new();
    for (ending, stems) in groups {
        if stems.len() == 1 {
            patterns.push(format!("*{ending}"));
            continue;
        }
        let mut stems: Vec<(usize, String)> = stems.into_iter().map(|(stem, n)| (n, stem)).collect();
        stems.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        patterns.extend(stems.into_iter().map(|(_, stem)| format!("{}*{ending}", globset::escape(&stem))));
    }
    patterns.iter().take(PATTERNS).filter_map(|pattern| found(folder, pattern, true)).collect()
}

/// `app-2026-11-20.sql.gz` → (`app-`, `.sql.gz`): what stays the same from copy to copy.
fn parts(name: &str) -> Option<(String, &'static str)> {
    let ending = ENDINGS.iter().find(|e| name.len() > e.len() && name.to_ascii_lowercase().ends_with(**e))?;
    // The name itself may write it in capitals; such a pattern would not match.
    let stem = name.strip_suffix(ending)?;
    let stable = stem.find(|c: char| c.is_ascii_digit()).map_or(stem, |at| stem.get(..at).unwrap_or(stem));
    Some((stable.to_owned(), ending))
}

/// Lists a pattern as the catalogue would, and sums it up.
fn found(folder: &Path, pattern: &str, files: bool) -> Option<FoundBackup> {
    let source = FilesSource {
        path: folder.to_owned(),
        pattern: pattern.to_owned(),
        recursive: !files,
        ..FilesSource::default()
    };
    let backup = Backup {
        name: String::new(),
        service: None,
        rpo: None,
        every: None,
        grace: None,
        head_start: None,
        source: BackupSource::Files(source),
        restore: None,
        warm_up: Vec::new(),
        smoke: Vec::new(),
    };
    let listed = source_of(&backup).list(50, &Beat::default()).ok()?;
    let newest = listed.copies.first()?;
    let taken: Vec<i64> = listed.copies.iter().map(|s| s.found.copy.taken_at.ms()).collect();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let age = i64::try_from(now.as_millis()).unwrap_or(i64::MAX).saturating_sub(newest.found.copy.taken_at.ms());
    // pg_dump's own formats, and SQL that says so at its beginning.
    let format = newest.found.copy.format.as_str();
    let postgres =
        format.starts_with("pg ") || (format.starts_with("sql") && newest.found.fault.is_none() && of_pg_dump(newest));
    Some(FoundBackup {
        path: folder.to_owned(),
        pattern: pattern.to_owned(),
        count: usize::try_from(listed.count).unwrap_or(usize::MAX),
        newest_age: u64::try_from(age).ok().map(Duration::from_millis),
        every: usual_gap(&taken),
        postgres,
    })
}

fn of_pg_dump(seen: &crate::backup::Seen) -> bool {
    use std::io::Read;
    let bytes = seen.found.copy.path_bytes();
    let Ok(file) = fs::File::open(Path::new(std::ffi::OsStr::from_bytes(&bytes))) else { return false };
    let Ok(from) = crate::sys::archive::reader(file) else { return false };
    let mut head = Vec::new();
    let _ = from.take(4096).read_to_end(&mut head);
    let head = String::from_utf8_lossy(&head);
    head.contains("-- PostgreSQL database dump") || head.contains("-- PostgreSQL database cluster dump")
}

/// The middle of the times between copies, newest first, rounded to what people schedule by. `None` below three copies.
fn usual_gap(taken: &[i64]) -> Option<Duration> {
    let mut gaps: Vec<i64> = taken.windows(2).filter_map(|w| Some(w.first()? - w.last()?)).filter(|g| *g > 0).collect();
    if gaps.len() < 2 {
        return None;
    }
    gaps.sort_unstable();
    let middle = u64::try_from(*gaps.get(gaps.len() / 2)?).ok()? / 1000;
    const USUAL: [u64; 11] = [300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 604_800];
    // Within a tenth of one of them it is that one: dumps take their time, and not always the same.
    let usual = USUAL.iter().find(|u| middle.abs_diff(**u) <= **u / 10);
    Some(Duration::from_secs(usual.copied().unwrap_or(middle)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_into_what_stays_and_what_changes() {
        for (name, expected) in [
            ("app-2026-11-20.sql.gz", Some(("app-", ".sql.gz"))),
            ("20261120.dump", Some(("", ".dump"))),
            ("dump.rdb", Some(("dump", ".rdb"))),
            ("app.dump.gz", Some(("app", ".dump.gz"))),
            ("notes.txt", None),
            (".dump", None),
            ("UPPER.SQL", None),
        ] {
            assert_eq!(parts(name), expected.map(|(s, e)| (s.to_owned(), e)), "{name}");
        }
    }

    #[test]
    fn the_usual_time_between_copies() {
        let day = 86_400_000;
        for (taken, expected) in [
            (vec![], None),
            (vec![3 * day, 2 * day], None),
            (vec![3 * day, 2 * day, day], Some(86_400)),
            (vec![4 * day + 120_000, 3 * day - 60_000, 2 * day, day], Some(86_400)),
            (vec![10 * day, 3 * day, 2 * day, day], Some(86_400)),
            (vec![4_000_000, 3_000_000, 2_000_000], Some(1000)),
        ] {
            assert_eq!(usual_gap(&taken), expected.map(Duration::from_secs), "{taken:?}");
        }
    }
}
