//! A base backup as it lies there: a folder as `pg_basebackup` writes it, one below a folder `data` as Barman keeps it,
//! tar archives (`pg_basebackup -Ft`), or a backup in a repository of pgBackRest or WAL-G.
//!
//! Formats: tablespace_map (xlogbackup.c, formerly xlog.c), backup_manifest (protocol documentation,
//! chapter "Backup Manifest Format"), pg_control (pg_control.h: the first eight bytes are the system's identifier).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::wal::Lsn;
use super::wal::label::label;
use super::wal::walg;
use super::{archive, repo};
use crate::text;

/// How it lies there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// A data folder.
    Plain { root: PathBuf },
    /// Archives: the data folder, its log, and each tablespace.
    Tars {
        base: PathBuf,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log: Option<PathBuf>,
        spaces: Vec<(u32, PathBuf)>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        manifest: Option<PathBuf>,
    },
    /// A backup of pgBackRest.
    Repo { label: String },
    /// A backup of WAL-G, and the numbers of its tablespaces.
    WalG {
        name: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        spaces: Vec<u32>,
    },
}

/// What is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    pub layout: Layout,
    pub timeline: u32,
    /// Where replaying begins.
    pub start: Lsn,
    /// Where it is consistent, when it says so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Lsn>,
    /// Seconds since 1970, where its time zone is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<u64>,
    /// Tablespaces: number, and where a plain copy has its files.
    pub spaces: Vec<(u32, PathBuf)>,
    /// Bytes of the files; of compressed archives those on disk.
    pub size: u64,
    pub compressed: bool,
    pub manifest: bool,
}

/// Looks at a copy. Blocks, at most until `until` where archives are read. Errors: why it is no base backup, or not a
/// whole one, and what to do.
pub fn look(path: &Path, until: Instant) -> Result<Base, String> {
    let shown = path.display();
    let meta = std::fs::metadata(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => format!("{shown} no longer exists: choose another copy"),
        io::ErrorKind::PermissionDenied => {
            format!("{shown} may not be read by this user: give it the right, or run mayday as one who has it")
        }
        _ => format!("{shown} cannot be looked at: {e}"),
    })?;
    if !meta.is_dir() {
        if !meta.is_file() || meta.len() == 0 {
            return Err(format!("{shown} is empty, or neither a file nor a folder: choose another copy"));
        }
        return tars(path.to_path_buf(), None, Vec::new(), None, until);
    }
    // Barman keeps the data folder, or its archives, below.
    let below = path.join("data");
    let places = [path.to_path_buf(), below];
    for place in &places {
        if place.join("PG_VERSION").exists() || place.join("backup_label").exists() {
            return plain(place, path);
        }
        if let Some(found) = tar_set(place, until) {
            return found;
        }
    }
    Err(format!(
        "{shown} has neither a PG_VERSION nor a base.tar in it: it is no base backup; correct path and pattern of the \
         backup, or choose another copy"
    ))
}

/// A backup of pgBackRest as its `info` tells it.
pub fn of_repo(backup: &repo::Backup, timeline: u32) -> Base {
    Base {
        layout: Layout::Repo { label: backup.label.clone() },
        timeline,
        start: backup.start,
        end: Some(backup.end),
        started: Some(backup.started),
        major: (backup.major > 0).then_some(backup.major),
        system: (backup.system > 0).then_some(backup.system),
        spaces: Vec::new(),
        size: backup.size,
        compressed: false,
        manifest: false,
    }
}

/// A backup of WAL-G as its `backup-list` and its sentinel tell it.
pub fn of_walg(backup: &walg::Backup, spaces: Vec<u32>) -> Base {
    Base {
        layout: Layout::WalG { name: backup.name.clone(), spaces },
        timeline: backup.timeline,
        start: backup.start,
        end: Some(backup.end),
        started: Some(backup.started),
        major: (backup.major > 0).then_some(backup.major),
        system: (backup.system > 0).then_some(backup.system),
        spaces: Vec::new(),
        size: backup.size,
        compressed: false,
        manifest: false,
    }
}

const WHOLE: &str = "choose another copy, or take one with pg_basebackup";

fn plain(root: &Path, copy: &Path) -> Result<Base, String> {
    let shown = root.display();
    let need = |name: &str| {
        std::fs::read(root.join(name)).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound if name == "backup_label" => format!(
                "{shown} has no backup_label: it is no base backup but the files of a cluster, which cannot be made \
                 consistent; {WHOLE}"
            ),
            io::ErrorKind::NotFound => format!("{shown} has no {name}: it is not whole; {WHOLE}"),
            _ => format!("{shown}/{name} cannot be read: {e}"),
        })
    };
    let label = label(&String::from_utf8_lossy(&need("backup_label")?))
        .ok_or_else(|| format!("{shown}/backup_label says nothing of where the log begins: {WHOLE}"))?;
    let version = String::from_utf8_lossy(&need("PG_VERSION")?).trim().parse().ok();
    let control = need("global/pg_control")?;
    if root.join("postmaster.pid").exists() && !root.join("backup_manifest").exists() {
        return Err(format!("{shown} has a postmaster.pid: a server runs, or ran, on these very files; {WHOLE}"));
    }
    let mut end = None;
    let mut spaces = Vec::new();
    let manifest = match File::open(root.join("backup_manifest")) {
        Ok(file) => Some(manifest(file).map_err(|why| format!("{shown}/backup_manifest: {why}; {WHOLE}"))?),
        Err(_) => None,
    };
    for entry in std::fs::read_dir(root.join("pg_tblspc")).into_iter().flatten().flatten() {
        let Some(oid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
        spaces.push((oid, space(&entry.path(), oid, copy)?));
    }
    spaces.sort();
    if let Some(manifest) = &manifest {
        end = manifest.ranges.iter().map(|r| r.end).max();
        manifest.compare(root)?;
    }
    let system = control.get(..8).and_then(|b| Some(u64::from_le_bytes(b.try_into().ok()?)));
    let mut size = super::super::format::folder_size(root).unwrap_or(0);
    for (_, place) in &spaces {
        size = size.saturating_add(super::super::format::folder_size(place).unwrap_or(0));
    }
    Ok(Base {
        layout: Layout::Plain { root: root.to_path_buf() },
        timeline: label.timeline,
        start: label.start,
        end,
        started: label.started,
        major: version,
        system,
        spaces,
        size,
        compressed: false,
        manifest: manifest.is_some(),
    })
}

/// Where a plain copy has the files of a tablespace: below the folder that the copy lies in. A link that leads elsewhere
/// may lead to the live files, which are of another moment.
fn space(link: &Path, oid: u32, copy: &Path) -> Result<PathBuf, String> {
    let kept = copy.join(oid.to_string());
    if kept.is_dir() {
        return Ok(kept);
    }
    let real =
        link.canonicalize().map_err(|e| format!("tablespace {oid} of the copy ({}): {e}; {WHOLE}", link.display()))?;
    let around = copy.parent().and_then(|p| p.canonicalize().ok()).unwrap_or_default();
    if !real.starts_with(&around) || around.parent().is_none() {
        return Err(format!(
            "tablespace {oid} of the copy leads to {}, outside of {}: those may be the live files; copy with pg_basebackup \
             --tablespace-mapping into the folder of the copies, or with -Ft",
            real.display(),
            around.display()
        ));
    }
    Ok(real)
}

fn tar_set(dir: &Path, until: Instant) -> Option<Result<Base, String>> {
    let mut base = None;
    let mut log = None;
    let mut spaces = Vec::new();
    for entry in std::fs::read_dir(dir).ok()?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((stem, rest)) = name.split_once(".tar") else { continue };
        if !matches!(rest, "" | ".gz" | ".zst" | ".lz4") {
            continue;
        }
        match stem {
            "base" => base = Some(entry.path()),
            "pg_wal" => log = Some(entry.path()),
            stem => spaces.extend(stem.parse().ok().map(|oid: u32| (oid, entry.path()))),
        }
    }
    spaces.sort();
    let manifest = Some(dir.join("backup_manifest")).filter(|m| m.is_file());
    Some(tars(base?, log, spaces, manifest, until))
}

fn tars(
    base: PathBuf,
    log: Option<PathBuf>,
    spaces: Vec<(u32, PathBuf)>,
    manifest_path: Option<PathBuf>,
    until: Instant,
) -> Result<Base, String> {
    let shown = base.display().to_string();
    let failed = |e: io::Error| format!("{shown}: {}", super::unpack::read_error(&e));
    let mut label_text = None;
    let mut major = None;
    let mut archive = tar::Archive::new(archive::open_file(&base).map_err(failed)?);
    let mut looked = 0u64;
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.trim_start_matches("./");
        looked += entry.size();
        if name == "backup_label" || name.ends_with("PG_VERSION") {
            let mut text = String::new();
            entry.by_ref().take(1 << 16).read_to_string(&mut text).map_err(failed)?;
            if name == "backup_label" {
                label_text = Some(text);
            } else {
                major = text.trim().parse().ok();
            }
        }
        // The label comes first; the version is somewhere in between.
        if (label_text.is_some() && (major.is_some() || looked > 256 << 20)) || Instant::now() > until {
            break;
        }
    }
    let label = label_text.as_deref().and_then(label).ok_or_else(|| {
        format!("{shown} has no backup_label where it should be, at its beginning: it is no base backup; {WHOLE}")
    })?;
    let file_size = |p: &PathBuf| std::fs::metadata(p).map_or(0, |m| m.len());
    let mut all = vec![&base];
    all.extend(log.as_ref());
    all.extend(spaces.iter().map(|(_, p)| p));
    let mut size: u64 = all.iter().copied().map(file_size).sum();
    let mut compressed = all.iter().any(|p| p.extension().is_none_or(|e| e != "tar"));
    let mut end = None;
    if let Some(path) = &manifest_path {
        let file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let manifest = manifest(file).map_err(|why| format!("{}: {why}; {WHOLE}", path.display()))?;
        end = manifest.ranges.iter().map(|r| r.end).max();
        size = manifest.files.iter().map(|f| f.size).sum();
        compressed = false;
    }
    let own = spaces.iter().map(|(oid, _)| (*oid, PathBuf::new())).collect();
    let manifest = manifest_path.is_some();
    Ok(Base {
        layout: Layout::Tars { base, log, spaces, manifest: manifest_path },
        timeline: label.timeline,
        start: label.start,
        end,
        started: label.started,
        major,
        system: None,
        spaces: own,
        size,
        compressed,
        manifest,
    })
}

#[derive(Debug, Deserialize)]
pub struct Manifest {
    #[serde(rename = "Files")]
    pub files: Vec<Listed>,
    #[serde(rename = "WAL-Ranges", default)]
    pub ranges: Vec<Range>,
}

#[derive(Debug, Deserialize)]
pub struct Listed {
    /// Left out where the name is not UTF-8 (`Encoded-Path` then).
    #[serde(rename = "Path", default)]
    pub path: String,
    #[serde(rename = "Size")]
    pub size: u64,
}

#[derive(Debug, Deserialize)]
pub struct Range {
    #[serde(rename = "End-LSN", deserialize_with = "lsn")]
    pub end: Lsn,
}

fn lsn<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Lsn, D::Error> {
    let text = String::deserialize(from)?;
    Lsn::parse(&text).ok_or_else(|| serde::de::Error::custom("no position in the log"))
}

/// Reads a backup_manifest and looks whether it is whole: its last line is the checksum of all before it.
pub fn manifest(mut file: impl Read) -> Result<Manifest, String> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    let damaged = || "it is cut off or damaged".to_owned();
    let at = bytes.windows(20).rposition(|w| w == b"\"Manifest-Checksum\":").ok_or_else(damaged)?;
    let stated: String =
        bytes.iter().skip(at + 20).map(|b| char::from(*b)).filter(char::is_ascii_hexdigit).take(64).collect();
    let own = hex::encode(Sha256::digest(bytes.get(..at).unwrap_or_default()));
    if own != stated {
        return Err(damaged());
    }
    serde_json::from_slice(&bytes).map_err(|e| format!("it cannot be read: {e}"))
}

impl Manifest {
    /// Whether every file is there with its size.
    pub fn compare(&self, root: &Path) -> Result<(), String> {
        let mut faults = Vec::new();
        let mut more = 0usize;
        for file in self.files.iter().filter(|f| !f.path.is_empty()) {
            let fault = match std::fs::metadata(root.join(&file.path)) {
                Ok(meta) if meta.len() == file.size => continue,
                Ok(meta) => format!("{} has {} bytes and should have {}", file.path, meta.len(), file.size),
                Err(e) if e.kind() == io::ErrorKind::NotFound => format!("{} is missing", file.path),
                Err(e) => format!("{}: {e}", file.path),
            };
            if faults.len() < 3 { faults.push(text::clean(&fault).into_owned()) } else { more += 1 }
        }
        if faults.is_empty() {
            return Ok(());
        }
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Err(format!("{} is not what its manifest says: {}{more}; {WHOLE}", root.display(), faults.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_knows_whether_it_is_whole() {
        let front = "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n{ \"Path\": \"base/1/1\", \"Size\": 3 },\n\
                     { \"Encoded-Path\": \"ff\", \"Size\": 1 }\n],\n\"WAL-Ranges\": [\n{ \"Timeline\": 1, \"Start-LSN\": \
                     \"0/2000028\", \"End-LSN\": \"0/2000100\" }\n],\n";
        let whole = format!("{front}\"Manifest-Checksum\": \"{}\"}}\n", hex::encode(Sha256::digest(front.as_bytes())));
        let read = manifest(whole.as_bytes()).unwrap();
        assert_eq!((read.files.len(), read.ranges[0].end), (2, Lsn(0x200_0100)));
        for broken in [whole.replace("base/1/1", "base/1/2"), whole[..whole.len() / 2].to_owned(), String::new()] {
            assert!(manifest(broken.as_bytes()).is_err(), "{broken}");
        }
        let dir = tempfile::tempdir().unwrap();
        assert!(read.compare(dir.path()).is_err_and(|e| e.contains("base/1/1 is missing")));
        std::fs::create_dir_all(dir.path().join("base/1")).unwrap();
        std::fs::write(dir.path().join("base/1/1"), "ab").unwrap();
        assert!(read.compare(dir.path()).is_err_and(|e| e.contains("has 2 bytes and should have 3")));
        std::fs::write(dir.path().join("base/1/1"), "abc").unwrap();
        assert_eq!(read.compare(dir.path()), Ok(()));
    }
}
