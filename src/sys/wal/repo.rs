//! The repository of pgBackRest, through its own program: `info`, `repo-ls`, `repo-get`, `restore`, `archive-get`
//! (pgbackrest.org, command reference; tried with 2.45).
//!
//! The program runs as the user of the server and never writes log files: one that belonged to root would stop the
//! archiving of the live server. The path of the live cluster, which is in its configuration, is always overridden.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::archive::{Listing, Stored, Within};
use super::user::User;
use super::{Lsn, ask};

/// How the repository is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repo {
    /// `pgbackrest`, as it was found.
    pub tool: PathBuf,
    pub stanza: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<u32>,
    pub user: User,
    /// `15-1`: the part of the archive that belongs to the cluster as it is now; known once it was asked.
    #[serde(default)]
    pub archive_id: String,
}

/// A backup, as `info` tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    pub label: String,
    pub major: u32,
    pub system: u64,
    pub archive_id: String,
    pub first_segment: String,
    pub start: Lsn,
    pub end: Lsn,
    /// Seconds since 1970.
    pub started: i64,
    pub stopped: i64,
    /// Bytes of the cluster.
    pub size: u64,
    /// It says of itself that pages failed their checksums.
    pub damaged: bool,
}

impl Repo {
    /// The options that every command gets.
    fn common(&self) -> Vec<String> {
        let mut args = vec![format!("--stanza={}", self.stanza), "--log-level-file=off".into()];
        if let Some(config) = &self.config {
            args.push(format!("--config={}", config.display()));
        }
        args
    }

    fn with_repo(&self, mut args: Vec<String>) -> Vec<String> {
        args.extend(self.repo.map(|n| format!("--repo={n}")));
        args
    }

    /// `pgbackrest … archive-get %f %p`, for the data folder of a side cluster.
    pub fn fetch_args(&self, data: &Path) -> Vec<String> {
        let mut args = self.with_repo(self.common());
        args.push(format!("--pg1-path={}", data.display()));
        args.extend(["--no-archive-async", "--log-level-console=warn", "archive-get"].map(str::to_owned));
        args
    }

    /// The arguments of the restore of one backup into an empty folder.
    pub fn restore_args(&self, label: &str, side: &Path) -> Vec<String> {
        let mut args = self.with_repo(self.common());
        args.push(format!("--pg1-path={}", side.join("data").display()));
        args.push(format!("--lock-path={}", side.join("lock").display()));
        args.push(format!("--tablespace-map-all={}", side.join("tablespaces").display()));
        args.push(format!("--set={label}"));
        // What recovery is to do is written by mayday.
        args.extend(["--type=none", "--log-level-console=info", "--process-max=2", "restore"].map(str::to_owned));
        args
    }

    fn ask(&self, args: &[String]) -> Result<Vec<u8>, String> {
        ask::ask(&self.user, &self.tool, args, &[]).map_err(|failed| format!("pgbackrest: {}", failed.said))
    }

    /// Everything that `info` says of the backups of the stanza, oldest first.
    pub fn backups(&self) -> Result<Vec<Backup>, String> {
        let mut args = self.with_repo(self.common());
        args.extend(["--output=json", "--log-level-console=off", "info"].map(str::to_owned));
        parse_info(&self.ask(&args)?, &self.stanza)
    }

    pub fn list(&self) -> Result<Listing, String> {
        let mut args = self.with_repo(vec!["--log-level-file=off".into(), "--log-level-console=off".into()]);
        args.extend(self.config.as_ref().map(|c| format!("--config={}", c.display())));
        args.extend(["--recurse", "--output=json", "repo-ls"].map(str::to_owned));
        args.push(format!("archive/{}/{}", self.stanza, self.archive_id));
        let text = self.ask(&args)?;
        parse_listing(&text, &format!("archive/{}/{}", self.stanza, self.archive_id))
    }

    /// A file of the repository, decrypted where it is encrypted, still compressed.
    pub fn get(&self, place: &str) -> io::Result<Vec<u8>> {
        let mut args = self.with_repo(vec!["--log-level-file=off".into(), "--log-level-console=off".into()]);
        args.extend(self.config.as_ref().map(|c| format!("--config={}", c.display())));
        args.extend(["repo-get".to_owned(), place.to_owned()]);
        self.ask(&args).map_err(io::Error::other)
    }
}

fn parse_listing(json: &[u8], below: &str) -> Result<Listing, String> {
    #[derive(Deserialize)]
    struct Entry {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default)]
        size: u64,
        #[serde(default)]
        time: i64,
    }
    let entries: std::collections::BTreeMap<String, Entry> =
        serde_json::from_slice(json).map_err(|e| format!("pgbackrest repo-ls: its answer cannot be read: {e}"))?;
    let mut listing = Listing::default();
    for (path, entry) in entries {
        if entry.kind == "file" {
            let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
            let place = format!("{below}/{path}");
            listing.take(&name, Stored { place, size: entry.size, modified: entry.time, within: Within::Repo });
        }
    }
    Ok(listing)
}

/// The answer of `pgbackrest info --output=json`.
pub fn parse_info(json: &[u8], stanza: &str) -> Result<Vec<Backup>, String> {
    let value: serde_json::Value =
        serde_json::from_slice(json).map_err(|e| format!("pgbackrest info: its answer cannot be read: {e}"))?;
    let of = |v: &serde_json::Value, path: &str| v.pointer(path).cloned().unwrap_or_default();
    let all = value.as_array().cloned().unwrap_or_default();
    let Some(found) = all.iter().find(|s| s.get("name").and_then(|n| n.as_str()) == Some(stanza)) else {
        return Err(format!("pgbackrest knows no stanza {stanza}: correct `stanza` of the restore"));
    };
    let backups = of(found, "/backup").as_array().cloned().unwrap_or_default();
    if backups.is_empty() {
        let why = of(found, "/status/message").as_str().unwrap_or("no backup").to_owned();
        return Err(format!("stanza {stanza} of pgbackrest has no backup: {}", crate::text::clean(&why)));
    }
    let dbs = of(found, "/db").as_array().cloned().unwrap_or_default();
    let archives = of(found, "/archive").as_array().cloned().unwrap_or_default();
    let text = |v: &serde_json::Value, path: &str| of(v, path).as_str().unwrap_or_default().to_owned();
    let number = |v: &serde_json::Value, path: &str| of(v, path).as_u64().unwrap_or(0);
    let backup = |b: &serde_json::Value| {
        let id = number(b, "/database/id");
        let own = |list: &[serde_json::Value], path: &str| list.iter().find(|d| number(d, path) == id).cloned();
        let db = own(&dbs, "/id").unwrap_or_default();
        let archive = own(&archives, "/database/id").unwrap_or_default();
        Backup {
            label: text(b, "/label"),
            major: text(&db, "/version").split('.').next().and_then(|m| m.parse().ok()).unwrap_or(0),
            system: number(&db, "/system-id"),
            archive_id: text(&archive, "/id"),
            first_segment: text(b, "/archive/start"),
            start: Lsn::parse(&text(b, "/lsn/start")).unwrap_or_default(),
            end: Lsn::parse(&text(b, "/lsn/stop")).unwrap_or_default(),
            started: of(b, "/timestamp/start").as_i64().unwrap_or(0),
            stopped: of(b, "/timestamp/stop").as_i64().unwrap_or(0),
            size: number(b, "/info/size"),
            damaged: of(b, "/error").as_bool().unwrap_or(false),
        }
    };
    Ok(backups.iter().map(backup).collect())
}
