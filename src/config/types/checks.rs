//! What is looked at, how, and what is expected of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::secret::{MaybeSecret, SecretRef};
use super::{ms, opt_ms};

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
