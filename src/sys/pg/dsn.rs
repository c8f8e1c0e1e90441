//! Reading a connection string (PostgreSQL manual, 34.1.1) without letting TLS settings or the password slip through.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustls::RootCertStore;
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, TargetSessionAttrs};

use super::split::{split_pairs, split_url};
use crate::sys::{peer, tls::ClientIdentity};

/// libpq's `sslmode`. `allow` is read as `prefer`, which tries encryption first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never encrypt.
    Disable,
    /// Encrypt where the server can; verify nothing.
    Prefer,
    /// Encrypt; verify nothing unless a root file is given.
    Require,
    /// Encrypt and verify the chain.
    VerifyCa,
    /// Encrypt and verify chain and name.
    VerifyFull,
}

impl SslMode {
    /// As libpq spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            SslMode::Disable => "disable",
            SslMode::Prefer => "prefer",
            SslMode::Require => "require",
            SslMode::VerifyCa => "verify-ca",
            SslMode::VerifyFull => "verify-full",
        }
    }
}

/// One place where the server may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A folder with a Unix socket for `port`.
    Unix {
        /// The folder.
        dir: PathBuf,
        /// Part of the socket's name.
        port: u16,
    },
    /// A host.
    Tcp {
        /// Its name, which a certificate must bear.
        host: String,
        /// Its port.
        port: u16,
        /// Its address, when the name must not be looked up (`hostaddr`).
        address: Option<IpAddr>,
    },
}

impl Endpoint {
    /// The socket file of a Unix endpoint; of a TCP one, nothing useful.
    pub(super) fn socket_path(&self) -> PathBuf {
        match self {
            Endpoint::Unix { dir, port } => dir.join(format!(".s.PGSQL.{port}")),
            Endpoint::Tcp { .. } => PathBuf::new(),
        }
    }

    /// The name a certificate must bear.
    pub(super) fn name(&self) -> &str {
        match self {
            Endpoint::Unix { .. } => "localhost",
            Endpoint::Tcp { host, .. } => host,
        }
    }

    pub(super) fn port(&self) -> u16 {
        match self {
            Endpoint::Unix { port, .. } | Endpoint::Tcp { port, .. } => *port,
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Endpoint::Unix { .. } => write!(f, "{}", self.socket_path().display()),
            Endpoint::Tcp { host, port, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Endpoint::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
        }
    }
}

/// Why a connection string cannot be used; never repeats values of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the connection string cannot be read: {0}")]
pub struct DsnError(pub(super) String);

/// Where to connect, as whom, to which database, and how protected.
#[derive(Clone)]
pub struct PgTarget {
    config: Config,
    endpoints: Vec<Endpoint>,
    user: String,
    database: String,
    password: Option<SecretString>,
    ssl_mode: SslMode,
    ssl_root_cert: Option<PathBuf>,
    identity: Option<ClientIdentity>,
    roots: Option<Arc<RootCertStore>>,
}

impl std::fmt::Debug for PgTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgTarget")
            .field("label", &self.label())
            .field("ssl_mode", &self.ssl_mode)
            .finish_non_exhaustive()
    }
}

const DEFAULT_PORT: u16 = 5432;

impl FromStr for PgTarget {
    type Err = DsnError;

    fn from_str(dsn: &str) -> Result<Self, DsnError> {
        PgTarget::parse(dsn)
    }
}

impl PgTarget {
    /// Reads `postgres://…` or `key=value …`. Nothing of the environment or of `~/.pgpass` is used; without a host it
    /// is the local socket (`/var/run/postgresql`, where it exists) or localhost, without a user the one of this
    /// process, without a database the one named like the user.
    pub fn parse(dsn: &str) -> Result<Self, DsnError> {
        let dsn = dsn.trim();
        let (rest, ours) = if dsn.starts_with("postgres://") || dsn.starts_with("postgresql://") {
            split_url(dsn)?
        } else {
            split_pairs(dsn)?
        };
        let mut config = Config::from_str(&rest).map_err(|e| DsnError(driver_complaint(&e)))?;
        let user = config.get_user().map_or_else(|| peer::user_name(peer::current_uid()), str::to_owned);
        let database = config.get_dbname().map_or_else(|| user.clone(), str::to_owned);
        config.user(&user).dbname(&database);
        if config.get_application_name().is_none() {
            config.application_name("mayday");
        }
        let endpoints = endpoints_of(&config)?;
        let get = |key: &str| ours.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        let password = get("password").map(SecretString::from);
        let ssl_mode = match get("sslmode").unwrap_or("prefer") {
            "disable" => SslMode::Disable,
            "allow" | "prefer" => SslMode::Prefer,
            "require" => SslMode::Require,
            "verify-ca" => SslMode::VerifyCa,
            "verify-full" => SslMode::VerifyFull,
            _ => {
                let known = "disable, prefer, require, verify-ca or verify-full";
                return Err(DsnError(format!("sslmode must be {known}")));
            }
        };
        let ssl_root_cert = get("sslrootcert").filter(|f| *f != "system" && !f.is_empty()).map(PathBuf::from);
        let identity = match (get("sslcert"), get("sslkey")) {
            (Some(certificate), Some(key)) => Some(ClientIdentity { certificate: certificate.into(), key: key.into() }),
            (None, None) => None,
            _ => return Err(DsnError("sslcert and sslkey belong together".to_owned())),
        };
        Ok(PgTarget { config, endpoints, user, database, password, ssl_mode, ssl_root_cert, identity, roots: None })
    }

    /// With another password.
    pub fn with_password(mut self, password: SecretString) -> Self {
        self.password = Some(password);
        self
    }

    /// The same server, another database.
    pub fn with_database(mut self, database: &str) -> Self {
        self.config.dbname(database);
        self.database = database.to_owned();
        self
    }

    /// The roots to verify against where the string names no `sslrootcert`; else those of the host.
    pub fn with_roots(mut self, roots: Arc<RootCertStore>) -> Self {
        self.roots = Some(roots);
        self
    }

    /// The same server at these places: for callers that look names up themselves.
    pub fn with_endpoints(mut self, endpoints: Vec<Endpoint>) -> Self {
        self.endpoints = endpoints;
        self
    }

    /// `user@host:port/database`, for messages.
    pub fn label(&self) -> String {
        let places: Vec<_> = self.endpoints.iter().map(ToString::to_string).collect();
        crate::sys::one_line(&format!("{}@{}/{}", self.user, places.join(","), self.database))
    }

    /// The database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password, from the string or set since.
    pub fn password(&self) -> Option<&SecretString> {
        self.password.as_ref()
    }

    /// Where the server may be, in order.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// How protected.
    pub fn ssl_mode(&self) -> SslMode {
        self.ssl_mode
    }

    /// The roots file named in the string.
    pub fn ssl_root_cert(&self) -> Option<&Path> {
        self.ssl_root_cert.as_deref()
    }

    pub(super) fn identity(&self) -> Option<&ClientIdentity> {
        self.identity.as_ref()
    }

    pub(super) fn roots(&self) -> Option<&Arc<RootCertStore>> {
        self.roots.as_ref()
    }

    pub(super) fn wants_writable(&self) -> bool {
        self.config.get_target_session_attrs() == TargetSessionAttrs::ReadWrite
    }

    pub(super) fn options(&self) -> Option<&str> {
        self.config.get_options()
    }

    pub(super) fn driver_config(&self) -> Config {
        let mut config = self.config.clone();
        if let Some(password) = &self.password {
            config.password(password.expose_secret());
        }
        config
    }
}

/// The driver's complaint repeats keys and values; only a key that is certainly one is let through.
fn driver_complaint(e: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    let cause = e.source().map(ToString::to_string).unwrap_or_default();
    let named = cause.split('`').nth(1).unwrap_or_default();
    const KEYS: [&str; 18] = [
        "user",
        "password",
        "dbname",
        "options",
        "application_name",
        "host",
        "hostaddr",
        "port",
        "connect_timeout",
        "tcp_user_timeout",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_retries",
        "target_session_attrs",
        "channel_binding",
        "load_balance_hosts",
        "replication",
    ];
    if KEYS.contains(&named) {
        return format!("the value of {named} is not valid");
    }
    "it has an unknown parameter, or is neither a postgres:// address nor key=value pairs".to_owned()
}

fn endpoints_of(config: &Config) -> Result<Vec<Endpoint>, DsnError> {
    let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let count = hosts.len().max(addresses.len());
    // Such a host is the rest of a password, and would be shown in every message.
    if hosts.iter().any(|h| matches!(h, Host::Tcp(name) if name.contains('@'))) {
        return Err(DsnError("it has two @: one that belongs to the password is written %40".to_owned()));
    }
    let fits = |n: usize| n == count || n == 0;
    if !fits(hosts.len()) || !fits(addresses.len()) || (ports.len() > 1 && ports.len() != count) {
        return Err(DsnError("it has a different number of hosts, host addresses and ports".to_owned()));
    }
    let port = |i: usize| ports.get(i).or(ports.first()).copied().unwrap_or(DEFAULT_PORT);
    if count == 0 {
        let dir = PathBuf::from("/var/run/postgresql");
        let here = if dir.is_dir() {
            Endpoint::Unix { dir, port: port(0) }
        } else {
            Endpoint::Tcp { host: "localhost".to_owned(), port: port(0), address: None }
        };
        return Ok(vec![here]);
    }
    Ok((0..count)
        .map(|i| match (hosts.get(i), addresses.get(i)) {
            (Some(Host::Unix(dir)), _) => Endpoint::Unix { dir: dir.clone(), port: port(i) },
            (Some(Host::Tcp(name)), address) => {
                Endpoint::Tcp { host: name.clone(), port: port(i), address: address.copied() }
            }
            (None, address) => Endpoint::Tcp {
                host: address.map(ToString::to_string).unwrap_or_default(),
                port: port(i),
                address: address.copied(),
            },
        })
        .collect())
}
