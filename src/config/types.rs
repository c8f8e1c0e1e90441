//! The checked types of a configuration. Reading and checking stand beside this file; whoever holds one of these values
//! may rely on it: names exist, dependencies have no cycle, every timeout is below its interval.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::secret::{MaybeSecret, SecretRef};
use crate::domain::catalog::{Cost, Severity};
use crate::domain::run::Risk;
pub use crate::sys::vault::VaultTool;

/// Durations in serialised checks (runner plans): milliseconds.
mod ms {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;
    pub fn serialize<S: Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_millis)
    }
}
mod opt_ms {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::time::Duration;
    pub fn serialize<S: Serializer>(d: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
        d.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)).serialize(s)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(d)?.map(Duration::from_millis))
    }
}

/// A whole configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    pub system: System,
    pub engine: EngineSettings,
    pub journal: JournalSettings,
    pub services: Vec<Service>,
    pub backups: Vec<Backup>,
    pub actions: Vec<Action>,
    pub recoveries: Vec<Recovery>,
    pub channels: Vec<Channel>,
    pub severities: BTreeMap<Severity, SeverityPolicy>,
    /// The file it came from, for messages.
    pub source: PathBuf,
    /// SHA-256 of the file's bytes, hex.
    pub digest: String,
    /// What is odd but allowed: `file:line: text`.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct System {
    pub name: String,
    /// `production` marks the header and the dialogs.
    pub environment: String,
    pub availability_target: Option<f64>,
    pub downtime_cost: Option<Cost>,
    /// CA certificates (PEM files) trusted beside the system's own.
    pub extra_ca: Vec<PathBuf>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineSettings {
    pub state_dir: Option<PathBuf>,
    /// Shared engine: members of this group may connect.
    pub group: Option<String>,
    /// Bytes of output kept per run (default 16 MiB).
    pub output_limit: Option<u64>,
}

/// Where every entry also goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorTo {
    File(PathBuf),
    /// A program with its arguments that is given the entries' lines on standard input.
    Command(Vec<String>),
}

impl MirrorTo {
    /// The file, or the program without its arguments.
    pub fn name(&self) -> String {
        match self {
            MirrorTo::File(path) => path.display().to_string(),
            MirrorTo::Command(argv) => argv.first().cloned().unwrap_or_default(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct JournalSettings {
    /// A second place for every entry.
    pub mirror: Option<MirrorTo>,
    /// Bytes after which a new part begins (default 64 MiB).
    pub rotate: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeverityPolicy {
    pub respond_within: Option<Duration>,
    pub update_every: Option<Duration>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    pub name: String,
    /// 1 to 4; default 3.
    pub tier: u8,
    pub rto: Option<Duration>,
    pub impact: String,
    pub depends_on: Vec<String>,
    pub control: Option<Control>,
    pub checks: Vec<Check>,
}

/// One check of a service: how, how often, and how many results confirm a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Unique within the service; the kind (`http`, `http 2`) unless named.
    pub name: String,
    pub kind: CheckKind,
    pub timing: Timing,
}

/// Intervals and counts of a check; `[defaults]` gives the values a check leaves out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    #[serde(with = "ms")]
    pub every: Duration,
    #[serde(with = "ms")]
    pub timeout: Duration,
    /// Used while a change is unconfirmed.
    #[serde(with = "ms")]
    pub retry_interval: Duration,
    /// Used while an open incident names the service.
    #[serde(with = "ms")]
    pub incident_interval: Duration,
    pub down_after: u32,
    pub up_after: u32,
    pub degraded_after: u32,
    /// Fails in the last ten that make it down, and degraded.
    pub down_ratio: u32,
    pub degraded_ratio: u32,
    /// `None`: max(3 × every + timeout, 15 s).
    #[serde(with = "opt_ms")]
    pub stale_after: Option<Duration>,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            every: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            retry_interval: Duration::from_secs(2),
            incident_interval: Duration::from_secs(2),
            down_after: 3,
            up_after: 2,
            degraded_after: 3,
            down_ratio: 7,
            degraded_ratio: 3,
            stale_after: None,
        }
    }
}

impl Timing {
    /// No conclusive result for this long makes a check unknown.
    pub fn stale_after(&self) -> Duration {
        self.stale_after.unwrap_or_else(|| (self.every * 3 + self.timeout).max(Duration::from_secs(15)))
    }
}

/// What a check looks at. The serialised form travels in plans; literal secrets refuse to be serialised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckKind {
    Http(Box<HttpCheck>),
    Tcp(TcpCheck),
    Tls(TlsCheck),
    Dns(DnsCheck),
    Postgres(Box<PostgresCheck>),
    Redis(Box<RedisCheck>),
    Host(HostCheck),
    Systemd(SystemdCheck),
    Docker(DockerCheck),
    Exec(ExecCheck),
}

impl CheckKind {
    /// The table's name in the configuration.
    pub const fn word(&self) -> &'static str {
        match self {
            CheckKind::Http(_) => "http",
            CheckKind::Tcp(_) => "tcp",
            CheckKind::Tls(_) => "tls",
            CheckKind::Dns(_) => "dns",
            CheckKind::Postgres(_) => "postgres",
            CheckKind::Redis(_) => "redis",
            CheckKind::Host(_) => "host",
            CheckKind::Systemd(_) => "systemd",
            CheckKind::Docker(_) => "docker",
            CheckKind::Exec(_) => "exec",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    #[default]
    Any,
    V4,
    V6,
}

/// Which redirects an HTTP check follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Redirects {
    None,
    SameHost(u8),
    Any(u8),
}

impl Default for Redirects {
    fn default() -> Self {
        Redirects::SameHost(5)
    }
}

/// How a number is compared: `> 2`, `<= 0.9`, `== 3`, `!= 0`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compare {
    pub op: Op,
    pub value: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    Lt,
    Le,
    Eq,
    Ne,
    Ge,
    Gt,
}

impl Compare {
    pub fn holds(&self, n: f64) -> bool {
        match self.op {
            Op::Lt => n < self.value,
            Op::Le => n <= self.value,
            Op::Eq => n == self.value,
            Op::Ne => n != self.value,
            Op::Ge => n >= self.value,
            Op::Gt => n > self.value,
        }
    }
}

/// A condition on an answer's JSON: `json = { path = "status", equals = "ok" }`, or a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JsonCondition {
    /// Keys and indexes separated by dots: `checks.db.0.state`.
    pub path: String,
    pub equals: Option<serde_json::Value>,
    pub compare: Option<Compare>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpCheck {
    pub url: MaybeSecret,
    pub method: String,
    pub headers: BTreeMap<String, MaybeSecret>,
    pub body: Option<String>,
    /// Accepted status codes as inclusive ranges; default 200–299.
    pub status: Vec<(u16, u16)>,
    #[serde(with = "opt_ms")]
    pub latency_below: Option<Duration>,
    /// Text that the body must contain.
    pub body_contains: Option<String>,
    /// Regular expression that the body must match.
    pub body_matches: Option<String>,
    pub json: Vec<JsonCondition>,
    /// Header name → regular expression its value must match.
    pub header_matches: BTreeMap<String, String>,
    pub redirects: Redirects,
    /// Bytes of body read at the most.
    pub max_body: u64,
    pub keep_alive: bool,
    pub family: Family,
    /// Days of certificate life left below which it warns, and fails.
    pub cert_warn_days: Option<u32>,
    pub cert_fail_days: Option<u32>,
    pub extra_ca: Vec<PathBuf>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TcpCheck {
    /// `host:port`.
    pub address: String,
    pub send: Option<String>,
    /// Text that must come back.
    pub expect: Option<String>,
    #[serde(with = "opt_ms")]
    pub latency_below: Option<Duration>,
    pub family: Family,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TlsCheck {
    pub address: String,
    /// Name expected in the certificate; the host of `address` by default.
    pub server_name: Option<String>,
    pub warn_days: u32,
    pub fail_days: u32,
    pub family: Family,
    pub extra_ca: Vec<PathBuf>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DnsCheck {
    pub name: String,
    /// `A`, `AAAA`, `CNAME`, `MX`, `TXT`, `NS`, `SRV`.
    pub record: String,
    /// `host` or `host:port`; the system's first resolver by default.
    pub resolver: Option<String>,
    /// Answers of which each must be present.
    pub expect: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostgresCheck {
    /// URL or `key=value` connection string; may be a secret.
    pub dsn: MaybeSecret,
    pub password: Option<SecretRef>,
    /// `primary` or `standby`; unchecked when left out.
    pub role: Option<String>,
    /// Longest time for `select 1` before it warns (default 1 s).
    #[serde(with = "ms")]
    pub query_below: Duration,
    /// Replication lag in bytes or time beyond which it warns.
    #[serde(with = "opt_ms")]
    pub lag_below: Option<Duration>,
    /// Share of `max_connections` in use beyond which it warns, per cent.
    pub connections_below: Option<u8>,
    /// Warn when WAL archiving is failing.
    pub archiving: bool,
    /// Custom statement whose first column of the first row must be true, or meet `compare`.
    pub query: Option<String>,
    pub compare: Option<Compare>,
    pub extra_ca: Vec<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RedisCheck {
    /// `redis://[user[:password]@]host:port[/db]`, `rediss://…` or `unix:/path`.
    pub url: MaybeSecret,
    pub password: Option<SecretRef>,
    /// `master` or `replica`; unchecked when left out.
    pub role: Option<String>,
    /// Share of maxmemory beyond which it warns, per cent.
    pub memory_below: Option<u8>,
    /// Seconds since the last contact with the master beyond which a replica warns.
    #[serde(with = "opt_ms")]
    pub lag_below: Option<Duration>,
    /// Warn when the last RDB save failed.
    pub persistence: bool,
    #[serde(with = "opt_ms")]
    pub latency_below: Option<Duration>,
}

/// Thresholds in per cent unless said otherwise; each is optional, at least one is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostCheck {
    pub memory_below: Option<u8>,
    pub swap_below: Option<u8>,
    pub cpu_below: Option<u8>,
    /// One-minute load average per core.
    pub load_below: Option<f64>,
    /// Mount point or folder → used share.
    pub disk_below: BTreeMap<String, u8>,
    pub inodes_below: BTreeMap<String, u8>,
    /// Folders in which a file must be creatable.
    pub writable: Vec<PathBuf>,
    /// Folders and files that must exist.
    pub exists: Vec<PathBuf>,
    /// Fail instead of warn when a threshold is passed.
    pub fail: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SystemdCheck {
    pub unit: String,
    /// The user's own manager instead of the system's.
    pub user: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DockerCheck {
    pub container: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExecCheck {
    /// Program and arguments, no shell. Exit 0 ok, 1 warn, 2 fail, 3 and more error (as Nagios plugins do).
    pub run: Vec<String>,
    pub env: BTreeMap<String, MaybeSecret>,
    pub cwd: Option<PathBuf>,
    /// Regular expression that the output must match, else fail.
    pub output_matches: Option<String>,
}

/// How a service is restarted, stopped, started.
#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    Systemd { unit: String, user: bool },
    Docker { container: String },
    Compose { project_dir: Option<PathBuf>, file: Option<PathBuf>, service: String },
    Kubernetes { namespace: Option<String>, context: Option<String>, workload: String },
    Railway { service: String, environment: Option<String>, project_dir: Option<PathBuf> },
    Commands(CommandControl),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommandControl {
    pub restart: Option<Vec<String>>,
    pub stop: Option<Vec<String>>,
    pub start: Option<Vec<String>>,
    pub cwd: Option<PathBuf>,
    pub env: BTreeMap<String, MaybeSecret>,
    pub timeout: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Backup {
    pub name: String,
    pub service: Option<String>,
    pub rpo: Option<Duration>,
    /// How often a copy is expected.
    pub every: Option<Duration>,
    /// Slack on `every` before it counts as stale (default a tenth, at least one minute).
    pub grace: Option<Duration>,
    pub source: BackupSource,
    pub restore: Option<Restore>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum BackupSource {
    Files(FilesSource),
    /// A repository of restic or borg.
    Vault(Box<VaultSource>),
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
    #[default]
    Quick,
    /// Files that these call the same are read as well.
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
    PgBackRest { stanza: String, config: Option<PathBuf>, repo: Option<u32> },
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

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Action {
    pub name: String,
    pub doc: String,
    pub service: Option<String>,
    pub risk: Risk,
    pub run: Vec<String>,
    pub env: BTreeMap<String, MaybeSecret>,
    pub cwd: Option<PathBuf>,
    pub timeout: Option<Duration>,
    pub verify: Option<CheckKind>,
    /// How long the after-check may take to hold (default 60 s).
    pub verify_within: Option<Duration>,
}

/// Steps that bring a whole system back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovery {
    pub name: String,
    pub title: String,
    pub kind: Option<String>,
    /// Services whose dependency order gave the steps theirs; empty for the order of the file.
    pub services: Vec<String>,
    /// In the order in which they are carried out.
    pub steps: Vec<crate::domain::recovery::Spec>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    pub name: String,
    pub kind: ChannelKind,
    /// Alerts sent by themselves: `declared`.
    pub auto: Vec<String>,
    pub timeout: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ChannelKind {
    Slack { webhook: MaybeSecret },
    Webhook { url: MaybeSecret, secret: Option<SecretRef>, headers: BTreeMap<String, MaybeSecret> },
    Email(Box<EmailChannel>),
}

impl ChannelKind {
    pub const fn word(&self) -> &'static str {
        match self {
            ChannelKind::Slack { .. } => "slack",
            ChannelKind::Webhook { .. } => "webhook",
            ChannelKind::Email(_) => "email",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct EmailChannel {
    pub host: String,
    pub port: Option<u16>,
    pub tls: MailTls,
    pub user: Option<String>,
    pub password: Option<SecretRef>,
    pub from: String,
    pub to: Vec<String>,
    pub extra_ca: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MailTls {
    /// STARTTLS, required.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Implicit,
    /// None; only sensible on loopback.
    None,
}
