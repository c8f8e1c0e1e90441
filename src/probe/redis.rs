//! Redis by its own protocol: does it answer PING, has it loaded its data, is it what it should be.
//!
//! Name, connection and TLS are made here and only the protocol is left to the driver, so that a refusal, silence, a bad
//! certificate and a refused password are told apart. NOAUTH and WRONGPASS mean a running server and a wrong
//! configuration: reason *auth*, not *down*. A server that loads its data answers INFO, so that the progress can be shown.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisError};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;

use super::Vault;
use super::http::seconds;
use super::look::{Finding, Look, Phase, Progress};
use super::net::{self, Resolver};
use crate::config::secret::MaybeSecret;
use crate::config::{Family, RedisCheck};
use crate::domain::health::Reason;
use crate::sys::tls;
use crate::text::{duration, size};

pub(super) struct Redis {
    address: ConnectionAddr,
    /// For TLS.
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    user: Option<String>,
    password: Option<SecretString>,
    role: Option<String>,
    memory_below: Option<u8>,
    lag_below: Option<Duration>,
    persistence: bool,
    latency_below: Option<Duration>,
    resolver: Resolver,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Ends the task that moves the bytes.
struct Driver(tokio::task::JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Redis {
    pub(super) fn new(check: &RedisCheck, vault: &mut Vault<'_>) -> Result<Self, String> {
        let url = vault.value(&check.url)?;
        let shown = match &check.url {
            MaybeSecret::Plain(_) => "url",
            MaybeSecret::Secret(_) => "the address",
        };
        // The driver's words may repeat the address, password and all.
        let info = url.as_str().into_connection_info().map_err(|_| {
            format!("{shown} is not an address like redis://[user[:password]@]host:port[/db] or unix:/path")
        })?;
        let settings = info.redis_settings();
        let mut password = settings.password().map(SecretString::from);
        if let Some(given) = vault.password(check.password.as_ref())? {
            password = Some(given);
        }
        if let Some(password) = &password {
            vault.hide(password);
        }
        let tls = match info.addr() {
            ConnectionAddr::TcpTls { insecure: true, .. } => {
                return Err("#insecure is not supported: a certificate is verified or not asked for".into());
            }
            ConnectionAddr::TcpTls { host, .. } => {
                let name =
                    ServerName::try_from(host.clone()).map_err(|_| format!("\"{host}\" is not a host's name"))?;
                Some((tls::client_config(Arc::clone(&vault.env.roots)), name))
            }
            _ => None,
        };
        if let Some(role) = &check.role
            && !matches!(role.as_str(), "master" | "replica")
        {
            return Err(format!("\"{role}\" is not a role: master or replica"));
        }
        Ok(Redis {
            address: info.addr().clone(),
            tls,
            user: settings.username().map(str::to_owned),
            password,
            role: check.role.clone(),
            memory_below: check.memory_below,
            lag_below: check.lag_below,
            persistence: check.persistence,
            latency_below: check.latency_below,
            resolver: vault.env.resolver.clone(),
        })
    }

    async fn open(&self, progress: &Progress) -> Result<(Box<dyn Stream>, String), Finding> {
        let (host, port) = match &self.address {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => (host, *port),
            ConnectionAddr::Unix(path) => {
                let at = path.display().to_string();
                progress.enter_with(Phase::Connect, at.as_str());
                let stream = UnixStream::connect(path).await.map_err(|e| net::connect_words(&e, &at))?;
                return Ok((Box::new(stream), at));
            }
            _ => return Err(Finding::error("an address of this kind is not supported")),
        };
        let (stream, address) = net::connect(&self.resolver, host, port, Family::Any, progress).await?;
        let at = address.to_string();
        let _ = stream.set_nodelay(true);
        let Some((config, name)) = &self.tls else {
            return Ok((Box::new(stream), at));
        };
        progress.enter(Phase::Tls);
        match TlsConnector::from(Arc::clone(config)).connect(name.clone(), stream).await {
            Ok(stream) => Ok((Box::new(stream), at)),
            Err(e) => Err(match net::tls_of(&e) {
                Some(tls) => net::tls_words(tls, &at),
                None => net::exchange_words(&e, &at),
            }),
        }
    }

    async fn ask(&self, progress: &Progress) -> Result<Finding, Finding> {
        let (stream, at) = self.open(progress).await?;
        progress.enter_with(Phase::Answer, at.as_str());
        // Neither names nor passwords here: what the server says to them is wanted word by word.
        let plain = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let opened = MultiplexedConnection::new_with_config(&plain, stream, config).await;
        let (mut connection, driver) = opened.map_err(|e| answered(&e, &at))?;
        let _driver = Driver(tokio::spawn(driver));
        if let Some(password) = &self.password {
            let mut auth = redis::cmd("AUTH");
            if let Some(user) = &self.user {
                auth.arg(user);
            }
            auth.arg(password.expose_secret());
            auth.query_async::<()>(&mut connection).await.map_err(|e| answered(&e, &at))?;
        }
        let before = progress.elapsed();
        let pong = redis::cmd("PING").query_async::<String>(&mut connection).await;
        let latency = progress.elapsed().saturating_sub(before);
        let info = redis::cmd("INFO").query_async::<String>(&mut connection).await;
        match pong {
            Ok(word) if word == "PONG" => {}
            Ok(word) => {
                return Err(Finding::fail(Reason::Protocol, format!("PING was answered with \"{word}\"")));
            }
            Err(e) => {
                let progress = info.ok().map(|text| Info::parse(&text));
                return Err(refused_ping(&e, progress.as_ref(), &at));
            }
        }
        match info {
            Ok(text) => Ok(self.judge(&Info::parse(&text), latency)),
            // A user may be forbidden INFO; then there is nothing more to say.
            Err(e) if e.code() == Some("NOPERM") => {
                Ok(self.speed(Finding::ok("PONG"), latency).fact("info", "not permitted to this user"))
            }
            Err(e) => Err(answered(&e, &at)),
        }
    }

    fn speed(&self, finding: Finding, latency: Duration) -> Finding {
        let mut finding = match self.latency_below {
            Some(limit) if latency > limit => {
                let text = format!("PING took {}, over {}", seconds(latency), duration(limit));
                finding.and(Finding::warn(Reason::Slow, text))
            }
            _ => finding,
        };
        finding.facts.push(("ping".to_owned(), seconds(latency)));
        finding
    }

    fn judge(&self, info: &Info, latency: Duration) -> Finding {
        let role = if info.get("role") == "slave" { "replica" } else { info.get("role") };
        let mut finding = self.speed(Finding::ok(format!("Redis {} {role}, PONG", info.get("redis_version"))), latency);
        if info.get("loading") == "1" {
            finding = finding.and(loading(info));
        }
        if let Some(wanted) = &self.role
            && wanted != role
        {
            finding = finding.and(Finding::fail(Reason::Role, format!("it is a {role}, expected a {wanted}")));
        }
        if role == "replica" {
            finding = finding.and(self.link(info));
        }
        let (used, max) = (info.number("used_memory"), info.number("maxmemory"));
        if let (Some(limit), true) = (self.memory_below, max > 0)
            && used.saturating_mul(100) > max.saturating_mul(u64::from(limit))
        {
            let text = format!("{} of {} memory used, over {limit} %", size(used), size(max));
            finding = finding.and(Finding::warn(Reason::Limit, text));
        }
        if self.persistence {
            if info.get("rdb_last_bgsave_status") == "err" {
                let text = "the last RDB save failed; see its log, mostly the disk is full or not writable";
                finding = finding.and(Finding::warn(Reason::Limit, text));
            }
            if info.get("aof_enabled") == "1" && info.get("aof_last_write_status") == "err" {
                finding = finding.and(Finding::warn(Reason::Limit, "the last write to the append-only file failed"));
            }
        }
        let memory = match max {
            0 => size(used),
            max => format!("{} of {}", size(used), size(max)),
        };
        finding
            .fact("version", info.get("redis_version"))
            .fact("role", role)
            .fact("keys", info.keys().to_string())
            .fact("memory", memory)
            .fact("clients", info.get("connected_clients"))
            .fact("last RDB save", info.get("rdb_last_bgsave_status"))
            .fact(
                "append-only file",
                if info.get("aof_enabled") == "1" { info.get("aof_last_write_status") } else { "off" },
            )
    }

    fn link(&self, info: &Info) -> Finding {
        let master = format!("{}:{}", info.get("master_host"), info.get("master_port"));
        if info.get("master_link_status") != "up" {
            let since = match info.get("master_link_down_since_seconds").parse::<u64>() {
                Ok(s) => format!(" for {}", duration(Duration::from_secs(s))),
                Err(_) => String::new(),
            };
            return Finding::warn(Reason::Limit, format!("the link to its master {master} is down{since}"));
        }
        let ago = Duration::from_secs(info.number("master_last_io_seconds_ago"));
        let finding = match self.lag_below {
            Some(limit) if ago > limit => {
                let text =
                    format!("nothing heard of its master {master} for {}, over {}", duration(ago), duration(limit));
                Finding::warn(Reason::Limit, text)
            }
            _ => Finding::ok(""),
        };
        finding.fact("master", master).fact("last heard of the master", format!("{} ago", duration(ago)))
    }
}

/// The answer to INFO: `key:value` lines.
struct Info(HashMap<String, String>);

impl Info {
    fn parse(text: &str) -> Info {
        let pairs = text.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_once(':'));
        Info(pairs.map(|(k, v)| (k.to_owned(), v.trim_end().to_owned())).collect())
    }

    fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    fn number(&self, key: &str) -> u64 {
        self.get(key).parse().unwrap_or(0)
    }

    /// `db0:keys=12,expires=0,…` over all databases.
    fn keys(&self) -> u64 {
        let databases = self.0.iter().filter(|(k, _)| k.strip_prefix("db").is_some_and(|n| n.parse::<u32>().is_ok()));
        databases
            .filter_map(|(_, v)| v.split(',').find_map(|f| f.strip_prefix("keys=")))
            .filter_map(|n| n.parse::<u64>().ok())
            .sum()
    }
}

fn loading(info: &Info) -> Finding {
    let per_cent = match info.get("loading_loaded_perc") {
        "" => String::new(),
        n => format!(", {n} %"),
    };
    let eta = match info.get("loading_eta_seconds").parse::<u64>() {
        Ok(s) => format!(", about {} left", duration(Duration::from_secs(s))),
        Err(_) => String::new(),
    };
    Finding::fail(Reason::Loading, format!("loading its data into memory{per_cent}{eta}"))
}

fn refused_ping(e: &RedisError, info: Option<&Info>, at: &str) -> Finding {
    match (e.code(), info) {
        (Some("LOADING"), Some(info)) => loading(info),
        (Some("MASTERDOWN"), Some(info)) => {
            let master = format!("{}:{}", info.get("master_host"), info.get("master_port"));
            Finding::fail(Reason::Role, format!("a replica that lost its master {master} and serves no old data"))
        }
        _ => answered(e, at),
    }
}

/// What an error reply, or none, means. Codes: <https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors>
/// and server.c.
fn answered(e: &RedisError, at: &str) -> Finding {
    let said = e.detail().unwrap_or_default();
    match e.code() {
        Some("NOAUTH") => Finding::fail(Reason::Auth, format!("{at} wants a password and none is configured (NOAUTH)")),
        Some("WRONGPASS") => Finding::fail(Reason::Auth, format!("{at} refused the user or password (WRONGPASS)")),
        Some("NOPERM") => Finding::fail(Reason::Auth, format!("{at} does not permit it (NOPERM): {said}")),
        Some("LOADING") => Finding::fail(Reason::Loading, "loading its data into memory"),
        Some("MASTERDOWN") => Finding::fail(Reason::Role, "a replica that lost its master and serves no old data"),
        Some("MISCONF") => {
            Finding::fail(Reason::Limit, format!("refuses writes because it cannot save (MISCONF): {said}"))
        }
        // Servers before 6: "ERR Client sent AUTH, but no password is set", "ERR invalid password".
        Some("ERR") if said.contains("no password is set") || said.contains("without any password") => {
            Finding::fail(Reason::Auth, format!("{at} has no password and one is configured"))
        }
        Some("ERR") if said.contains("invalid password") => {
            Finding::fail(Reason::Auth, format!("{at} refused the password"))
        }
        Some("ERR") if said.contains("max number of clients") => {
            Finding::fail(Reason::Limit, format!("{at} has no connection left: {said}"))
        }
        Some("DENIED") => {
            Finding::fail(Reason::Auth, format!("{at} is in protected mode and refuses other hosts (DENIED)"))
        }
        Some(code) => Finding::fail(Reason::Protocol, format!("{at} answered {code} {said}")),
        None if e.is_connection_dropped() || e.is_io_error() => {
            Finding::fail(Reason::Protocol, format!("{at} closed the connection before it had answered"))
        }
        None => Finding::fail(Reason::Protocol, format!("{at} does not speak the Redis protocol: {e}")),
    }
}

impl Look for Redis {
    fn look<'a>(&'a self, progress: &'a Arc<Progress>) -> BoxFuture<'a, Finding> {
        Box::pin(async move { self.ask(progress).await.unwrap_or_else(|e| e) })
    }
}
