//! The repository of WAL-G, through its own program: `backup-list`, `backup-fetch`, `wal-fetch`, `st ls`, `st cat`
//! (wal-g.readthedocs.io, "PostgreSQL" and "Storage tools"; their Go sources for what is printed).
//!
//! Where the repository is and how it is encrypted stands in WAL-G's own configuration file, which is always named.
//! Segments are fetched one by one and never ahead where mayday itself reads, so that nothing is left lying about.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::archive::{Listing, Stored, Within};
use super::user::User;
use super::{Lsn, ask};

/// How the repository is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalG {
    /// `wal-g`, as it was found.
    pub tool: PathBuf,
    /// Its configuration file.
    pub config: PathBuf,
    pub user: User,
}

/// A backup, as `backup-list --detail` tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// `base_000000010000000000000004`; of a delta with `_D_` and the one before it.
    pub name: String,
    pub major: u32,
    pub system: u64,
    pub timeline: u32,
    pub start: Lsn,
    pub end: Lsn,
    /// Seconds since 1970.
    pub started: i64,
    pub stopped: i64,
    /// Bytes of the cluster; of a delta those that changed.
    pub size: u64,
}

/// Exit of `wal-fetch` when there is no such file (EX_IOERR); older versions exit 1 and say so in words.
pub const ABSENT: i32 = 74;
/// Folders of the repository.
const LOG: &str = "wal_005/";
const BASES: &str = "basebackups_005/";

impl WalG {
    /// The options that every command gets.
    pub fn common(&self) -> Vec<String> {
        vec!["--config".into(), self.config.display().to_string()]
    }

    fn ask(&self, words: &[&str]) -> Result<Vec<u8>, ask::Failed> {
        let mut args = self.common();
        args.extend(words.iter().map(|w| (*w).to_owned()));
        // One at a time: it fetches nothing ahead then.
        ask::ask(&self.user, &self.tool, &args, &[("WALG_DOWNLOAD_CONCURRENCY", "1")])
    }

    /// The arguments that put a backup into an empty folder; a backup with tablespaces needs the file that says where
    /// they go, or WAL-G writes into the folders of the live ones.
    pub fn restore_args(&self, name: &str, data: &Path, spec: Option<&Path>) -> Vec<String> {
        let mut args = self.common();
        args.extend(["backup-fetch".to_owned(), data.display().to_string(), name.to_owned()]);
        args.extend(spec.into_iter().flat_map(|spec| ["--restore-spec".to_owned(), spec.display().to_string()]));
        args
    }

    /// `wal-g --config … wal-fetch`, to which name and target are added.
    pub fn fetch_args(&self) -> Vec<String> {
        let mut args = self.common();
        args.push("wal-fetch".into());
        args
    }

    /// All backups, oldest first.
    pub fn backups(&self) -> Result<Vec<Backup>, String> {
        let said = self.ask(&["backup-list", "--detail", "--json"]);
        parse_list(&said.map_err(|failed| format!("wal-g backup-list: {}", failed.said))?)
    }

    /// The tablespaces of a backup: numbers, as its sentinel names them.
    pub fn spaces(&self, name: &str) -> Result<Vec<u32>, String> {
        let sentinel = format!("{BASES}{name}_backup_stop_sentinel.json");
        let said = self.ask(&["st", "cat", &sentinel]);
        parse_spaces(&said.map_err(|failed| format!("wal-g st cat {sentinel}: {}", failed.said))?)
    }

    pub fn list(&self) -> Result<Listing, String> {
        let said = self.ask(&["st", "ls", LOG]).map_err(|failed| format!("wal-g st ls {LOG}: {}", failed.said))?;
        parse_listing(&String::from_utf8_lossy(&said))
    }

    /// A segment or history file, decoded, in a file without a name.
    pub fn get(&self, name: &str) -> io::Result<File> {
        let dir = tempfile::Builder::new().prefix("mayday-wal-g-").tempdir()?;
        if self.user.is_other() {
            std::os::unix::fs::chown(dir.path(), Some(self.user.uid), Some(self.user.gid))?;
        }
        let to = dir.path().join(name);
        match self.ask(&["wal-fetch", name, &to.display().to_string()]) {
            Ok(_) => File::open(&to),
            Err(failed) if failed.status.is_some_and(|s| s.code() == Some(ABSENT)) => {
                Err(io::Error::new(io::ErrorKind::NotFound, format!("wal-g says that there is no {name}")))
            }
            Err(failed) => Err(io::Error::other(format!("wal-g wal-fetch: {}", failed.said))),
        }
    }
}

/// Where the tablespaces go, as `--restore-spec` reads it (tablespace_spec.go).
pub fn restore_spec(data: &Path, spaces: &[u32], below: &Path) -> String {
    let names: Vec<String> = spaces.iter().map(u32::to_string).collect();
    let mut spec = serde_json::Map::new();
    spec.insert("base_prefix".into(), data.display().to_string().into());
    for name in &names {
        let to = below.join(name).display().to_string();
        spec.insert(name.clone(), serde_json::json!({ "loc": to, "link": format!("pg_tblspc/{name}") }));
    }
    spec.insert("tablespaces".into(), names.into());
    serde_json::Value::Object(spec).to_string()
}

/// The answer of `backup-list --detail --json`; nothing at all when there is no backup.
pub fn parse_list(json: &[u8]) -> Result<Vec<Backup>, String> {
    #[derive(Deserialize)]
    struct Entry {
        backup_name: String,
        #[serde(default)]
        wal_file_name: String,
        start_time: String,
        finish_time: String,
        #[serde(default)]
        pg_version: u32,
        start_lsn: u64,
        finish_lsn: u64,
        #[serde(default)]
        system_identifier: Option<u64>,
        #[serde(default)]
        uncompressed_size: i64,
    }
    let none = "WAL-G has no backup: take one with wal-g backup-push, or correct its configuration file";
    if json.iter().all(u8::is_ascii_whitespace) {
        return Err(none.into());
    }
    let entries: Option<Vec<Entry>> =
        serde_json::from_slice(json).map_err(|e| format!("wal-g backup-list: its answer cannot be read: {e}"))?;
    let time = |text: &str| chrono::DateTime::parse_from_rfc3339(text).map_or(0, |t| t.timestamp());
    let mut found: Vec<Backup> = entries
        .unwrap_or_default()
        .into_iter()
        .map(|e| {
            // A delta's name begins with its own first segment too.
            let own = e.backup_name.strip_prefix("base_").and_then(|n| n.get(..24)).unwrap_or_default();
            let first = super::parse_segment(own, super::SEGMENT);
            let timeline = first.or(super::parse_segment(&e.wal_file_name, super::SEGMENT)).map_or(1, |(t, _)| t);
            Backup {
                major: if e.pg_version >= 10_000 { e.pg_version / 10_000 } else { 0 },
                system: e.system_identifier.unwrap_or(0),
                timeline,
                start: Lsn(e.start_lsn),
                end: Lsn(e.finish_lsn),
                started: time(&e.start_time),
                stopped: time(&e.finish_time),
                size: u64::try_from(e.uncompressed_size).unwrap_or(0),
                name: e.backup_name,
            }
        })
        .collect();
    if found.is_empty() {
        return Err(none.into());
    }
    found.sort_by(|a, b| (a.stopped, &a.name).cmp(&(b.stopped, &b.name)));
    Ok(found)
}

/// The sentinel of a backup: `"Spec": {"base_prefix": …, "tablespaces": ["16390"], …}`, or null without tablespaces.
pub fn parse_spaces(json: &[u8]) -> Result<Vec<u32>, String> {
    let value: serde_json::Value =
        serde_json::from_slice(json).map_err(|e| format!("the sentinel of the backup cannot be read: {e}"))?;
    let names = value.pointer("/Spec/tablespaces").and_then(|t| t.as_array()).cloned().unwrap_or_default();
    let number = |v: &serde_json::Value| v.as_str().and_then(|t| t.parse().ok());
    let all: Option<Vec<u32>> = names.iter().map(number).collect();
    all.ok_or_else(|| "the sentinel of the backup names a tablespace that is no number".to_owned())
}

/// The table that `st ls` prints: `obj  398  2024-03-05 06:55:53.786 +0000 UTC 000000010000000000000004.lz4`.
pub fn parse_listing(said: &str) -> Result<Listing, String> {
    let mut listing = Listing::default();
    let mut lines = said.lines().filter(|l| !l.trim().is_empty());
    if !lines.next().is_some_and(|l| l.starts_with("type")) {
        return Err("wal-g st ls: its answer does not begin with the heads of its columns".into());
    }
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [kind, size, date, time, zone, .., name] = words.as_slice() else { continue };
        if *kind != "obj" {
            continue;
        }
        let stamp = format!("{date} {time} {zone}");
        let modified = chrono::DateTime::parse_from_str(&stamp, "%Y-%m-%d %H:%M:%S%.f %z").map_or(0, |t| t.timestamp());
        // Every way of compressing that it has; it decodes them itself.
        let bare = [".lz4", ".lzma", ".br", ".zst", ".lzo"].iter().find_map(|e| name.strip_suffix(e)).unwrap_or(name);
        let size = size.parse().unwrap_or(0);
        listing.take(bare, Stored { place: bare.to_owned(), size, modified, within: Within::Repo });
    }
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As WAL-G 3 prints it (cmd/pg/exporter/testdata of its sources), and what `backup-list` of one delta looks like.
    const LIST: &str = r#"[{"backup_name":"base_0000004300000388000000AC_D_000000430000038500000003","time":"2025-12-30T10:07:00.807Z",
        "wal_file_name":"0000004300000388000000AC","storage_name":"default","start_time":"2025-12-30T10:06:51.293562Z",
        "finish_time":"2025-12-30T10:07:00.682024Z","date_fmt":"%Y-%m-%dT%H:%M:%S.%fZ","hostname":"superpg",
        "data_dir":"/pgroot/data","pg_version":150015,"start_lsn":3885536116952,"finish_lsn":3885536563600,
        "is_permanent":false,"system_identifier":7507672962298572862,"uncompressed_size":928772120,"compressed_size":386034756},
        {"backup_name":"base_000000430000038500000003","time":"2025-12-30T02:00:21.804Z","wal_file_name":"000000430000038500000003",
        "start_time":"2025-12-30T02:00:02.064585Z","finish_time":"2025-12-30T02:00:21.696316Z","pg_version":150015,
        "start_lsn":3869815875000,"finish_lsn":3869816670880,"system_identifier":7507672962298572862,"uncompressed_size":1}]"#;

    #[test]
    fn backups_are_read_oldest_first() {
        let found = parse_list(LIST.as_bytes()).unwrap();
        let [full, delta] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(full.name, "base_000000430000038500000003");
        assert_eq!((delta.timeline, delta.major, delta.system), (0x43, 15, 7_507_672_962_298_572_862));
        assert_eq!(delta.start.segment(super::super::SEGMENT), 0x388 * 256 + 0xAC);
        assert_eq!((delta.started, delta.stopped, delta.size), (1_767_089_211, 1_767_089_220, 928_772_120));
        // It prints nothing when there is none; other versions an empty list.
        for none in ["", "\n", "[]", "null"] {
            assert!(parse_list(none.as_bytes()).is_err_and(|why| why.contains("has no backup")), "{none:?}");
        }
        assert!(parse_list(b"ERROR").is_err());
    }

    #[test]
    fn the_log_is_listed() {
        let said = "type size last modified                     name\n\
                    dir  0    0001-01-01 00:00:00 +0000 UTC     old/\n\
                    obj  398  2024-03-05 06:55:53.786 +0000 UTC 000000010000000000000004.lz4\n\
                    obj  400  2024-03-05 06:56:53 +0000 UTC     000000010000000000000005.br\n\
                    obj  41   2024-03-05 06:57:53 +0000 UTC     00000002.history.lz4\n\
                    obj  90   2024-03-05 06:57:53 +0000 UTC     000000010000000000000005.json\n";
        let listing = parse_listing(said).unwrap();
        assert_eq!(
            listing.segments.keys().collect::<Vec<_>>(),
            ["000000010000000000000004", "000000010000000000000005"]
        );
        assert_eq!(listing.segments["000000010000000000000004"].modified, 1_709_621_753);
        assert_eq!(listing.histories[&2].place, "00000002.history");
        assert!(parse_listing("").is_err());
        assert!(parse_listing("type size last modified name\n").unwrap().segments.is_empty());
    }

    #[test]
    fn tablespaces_are_sent_elsewhere() {
        assert_eq!(parse_spaces(br#"{"LSN":1,"Spec":null}"#), Ok(vec![]));
        let spec = br#"{"Spec":{"base_prefix":"/live","tablespaces":["16390"],"16390":{"loc":"/fast","link":"pg_tblspc/16390"}}}"#;
        assert_eq!(parse_spaces(spec), Ok(vec![16390]));
        assert!(parse_spaces(b"x").is_err());
        let own: serde_json::Value =
            serde_json::from_str(&restore_spec(Path::new("/s/data"), &[16390], Path::new("/s/tablespaces"))).unwrap();
        assert_eq!(own["base_prefix"], "/s/data");
        assert_eq!(own["tablespaces"][0], "16390");
        assert_eq!(own["16390"]["loc"], "/s/tablespaces/16390");
        assert_eq!(own["16390"]["link"], "pg_tblspc/16390");
    }
}
