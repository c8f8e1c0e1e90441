//! Backup sets: where their copies are found and how they are restored.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::secret::{MaybeSecret, SecretRef};
use crate::domain::headstart::HeadStartFacts;
pub use crate::sys::vault::VaultTool;

#[derive(Clone, Debug, PartialEq)]
pub struct Backup {
    pub name: String,
    pub service: Option<String>,
    pub rpo: Option<Duration>,
    /// How often a copy is expected.
    pub every: Option<Duration>,
    /// Slack on `every` before it counts as stale (default a tenth, at least one minute).
    pub grace: Option<Duration>,
    /// Restored beside the live data as soon as an incident names its service.
    pub head_start: Option<HeadStartFacts>,
    pub source: BackupSource,
    pub restore: Option<Restore>,
    /// Programs that are run once when the copy is in the live place.
    pub warm_up: Vec<Vec<String>>,
    /// Programs that must exit with 0 then; tried again for a while.
    pub smoke: Vec<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum BackupSource {
    Files(FilesSource),
    /// A repository of restic or borg.
    Vault(Box<VaultSource>),
    /// A repository of pgBackRest or WAL-G.
    Repo(Box<RepoSource>),
}

/// Base backups in a repository that is asked through its own program.
#[derive(Clone, Debug, PartialEq)]
pub struct RepoSource {
    /// Never a folder.
    pub log: PitrLog,
    /// Who asks, when this is root.
    pub user: Option<String>,
    /// Look again at least this often (default 5 min, and a quarter of the RPO).
    pub rescan: Option<Duration>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FilesSource {
    pub path: PathBuf,
    /// Glob on the name, or on the path below `path` when `recursive`.
    pub pattern: String,
    pub recursive: bool,
    /// Folders as copies (directory dumps) rather than files.
    pub folders: bool,
    /// Rescan at least this often, for file systems that send no events (default 60 s).
    pub rescan: Option<Duration>,
    /// A file changed within this time is still being written (default 10 s).
    pub settle: Option<Duration>,
}

/// A repository that is asked through its own program.
#[derive(Clone, Debug, PartialEq)]
pub struct VaultSource {
    pub tool: VaultTool,
    /// As the program takes it: a folder, `sftp:…`, `ssh://…`, `s3:…`, `rest:…`.
    pub repository: MaybeSecret,
    pub password: Option<SecretRef>,
    /// Environment of the program beside the engine's own few.
    pub env: BTreeMap<String, MaybeSecret>,
    /// restic: only snapshots of this host.
    pub host: Option<String>,
    /// restic: only snapshots of this path.
    pub path: Option<PathBuf>,
    /// restic: only snapshots with all of these tags.
    pub tags: Vec<String>,
    /// borg: only archives whose names match.
    pub archives: Option<String>,
    /// Look again at least this often (default 5 min).
    pub rescan: Option<Duration>,
    /// Time for one question to the repository (default 2 min).
    pub timeout: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Restore {
    PostgresDump(PostgresRestore),
    PostgresPitr(Box<PitrRestore>),
    Folder(FolderRestore),
    Redis(Box<RedisRestore>),
    RabbitMq(Box<RabbitRestore>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct PostgresRestore {
    /// The live database.
    pub database: String,
    /// How to reach its server as a role that may create and rename databases.
    pub dsn: MaybeSecret,
    pub password: Option<SecretRef>,
    /// Statements whose first column must be true on the side copy.
    pub verify: Vec<String>,
    /// `schema.table` or `schema.*`: what is restored; all when empty.
    pub only: Vec<String>,
    /// Check the side copy with `pg_amcheck`; `None` where that is possible.
    pub amcheck: Option<bool>,
    /// Parallel jobs; default the number of cores.
    pub jobs: Option<u32>,
    /// How long existing connections may finish before they are ended at the cut-over (default 5 s).
    pub grace: Option<Duration>,
    pub timeout: Option<Duration>,
    pub extra_ca: Vec<PathBuf>,
}

/// How files of a restored folder are compared with those of the live one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FolderCompare {
    /// By size, time and mode.
    Quick,
    /// Files that these call the same are read as well: one that was damaged on its disk keeps all three.
    #[default]
    Content,
}

impl FolderCompare {
    pub const fn word(self) -> &'static str {
        match self {
            FolderCompare::Quick => "quick",
            FolderCompare::Content => "content",
        }
    }
}

/// A cluster as of a moment, out of a base backup and the archived log.
#[derive(Clone, Debug, PartialEq)]
pub struct PitrRestore {
    /// The database that is verified and named.
    pub database: String,
    /// Where side clusters are made.
    pub directory: PathBuf,
    pub log: PitrLog,
    /// Who the side server runs as when this is root.
    pub user: Option<String>,
    /// The superuser that connects.
    pub role: String,
    pub port: Option<u16>,
    /// Settings of the side server.
    pub settings: BTreeMap<String, String>,
    /// Statements whose first column must be true on the side cluster.
    pub verify: Vec<String>,
    /// Points the clients to the promoted cluster.
    pub switch: Vec<String>,
    /// Taken back into a database beside the live one, instead of a promotion.
    pub tables: Vec<String>,
    /// The live server that the tables go to.
    pub live: Option<PostgresRestore>,
    pub timeout: Option<Duration>,
}

/// Where the archived log is.
#[derive(Clone, Debug, PartialEq)]
pub enum PitrLog {
    Folder(PathBuf),
    PgBackRest {
        stanza: String,
        config: Option<PathBuf>,
        repo: Option<u32>,
    },
    /// Its configuration file.
    WalG {
        config: PathBuf,
    },
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FolderRestore {
    /// The live folder.
    pub path: PathBuf,
    /// Leading path parts dropped from the archive's names.
    pub strip: u32,
    /// The folder within a snapshot or borg archive that the live one comes from; found by itself by default.
    pub inside: Option<PathBuf>,
    /// Only names that match one of these patterns come back, copied into the live folder one by one.
    pub only: Vec<String>,
    /// Names of links that may lead out of the folder, as patterns.
    pub links: Vec<String>,
    /// What counts as the same when the restored folder is compared with the live one.
    pub compare: FolderCompare,
    /// Identity file with which `age` decrypts.
    pub identity: Option<PathBuf>,
    /// Commands that must exit 0 with the side folder as `{side}` in an argument.
    pub verify: Vec<Vec<String>>,
    pub timeout: Option<Duration>,
}

/// Restores an RDB or append-only copy of Redis into a scratch server beside the live one.
#[derive(Clone, Debug, PartialEq)]
pub struct RedisRestore {
    pub url: MaybeSecret,
    pub password: Option<SecretRef>,
    /// Folder for scratch servers and what is kept; `redis` in the state folder by default.
    pub directory: Option<PathBuf>,
    /// Who scratch servers run as, when this is root.
    pub user: Option<String>,
    /// Keys that must be in the copy, in the database of the address.
    pub must_exist: Vec<String>,
    /// Pattern → how many keys the copy must have, over all databases.
    pub at_least: BTreeMap<String, u64>,
    pub by: RedisBy,
    /// Address of this host as the live server reaches it.
    pub reachable_as: Option<String>,
    /// Instead of everything: keys of these patterns.
    pub keys: Vec<String>,
    /// Keys that differ in the live data are replaced; else they are left.
    pub replace: bool,
    /// A torn end of an append-only file is cut off, on a copy.
    pub cut_torn: bool,
    pub extra_ca: Vec<PathBuf>,
    pub timeout: Option<Duration>,
}

/// How Redis is cut over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedisBy {
    /// The live server replicates the scratch one and is promoted back.
    #[default]
    Replication,
    /// The live server is stopped and its files are exchanged.
    File,
}

/// Imports definitions of RabbitMQ through its management API.
#[derive(Clone, Debug, PartialEq)]
pub struct RabbitRestore {
    pub url: MaybeSecret,
    pub user: String,
    pub password: Option<SecretRef>,
    /// Only what belongs to this vhost.
    pub vhost: Option<String>,
    pub extra_ca: Vec<PathBuf>,
    pub timeout: Option<Duration>,
}

impl PitrLog {
    /// The program through which it is asked; `None` of a folder.
    pub const fn tool(&self) -> Option<&'static str> {
        match self {
            PitrLog::Folder(_) => None,
            PitrLog::PgBackRest { .. } => Some("pgbackrest"),
            PitrLog::WalG { .. } => Some("wal-g"),
        }
    }
}
