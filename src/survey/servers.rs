//! What is behind a port: PostgreSQL, Redis, HTTP, TLS or something else.
//!
//! Each is greeted in its own words and believed only when it answers in them. No password is guessed or taken from
//! anywhere: a server that wants one is found all the same, and said to want one.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::ports::Listening;
use super::{Host, in_thread};
use crate::config::starter::{FoundPort, FoundPostgres, FoundRedis};
use crate::sys::peer;
use crate::sys::pg::{self, PgError, PgTarget};
use crate::text;

/// Databases found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Databases {
    pub postgres: Vec<FoundPostgres>,
    pub redis: Vec<FoundRedis>,
}

/// Questions asked at the same time.
const AT_ONCE: usize = 16;
/// Databases that are named.
const DATABASES: i64 = 20;

/// Looks for PostgreSQL on its sockets and on ports that look like it, and for Redis.
pub async fn databases(host: &Host, listening: &[Listening]) -> Databases {
    let process = |p: &Listening, names: &[&str]| {
        let process = p.process.as_deref().unwrap_or_default();
        names.iter().any(|n| process.starts_with(n))
    };
    let local = || listening.iter().filter(|p| p.local);
    let pg_ports = local().filter(|p| (5432..=5439).contains(&p.port) || process(p, &["postgres", "postmaster"]));
    let redis_ports =
        local().filter(|p| (6379..=6389).contains(&p.port) || process(p, &["redis-server", "valkey-server", "keydb"]));
    let sockets = {
        let host = host.clone();
        in_thread(host.limit, move || pg_sockets(&host)).await.unwrap_or_default()
    };
    let mut places: Vec<(String, u16)> = sockets;
    places.extend(pg_ports.map(|p| (host.address.to_string(), p.port)));
    let owner = |port: u16| listening.iter().find(|p| p.port == port).cloned().unwrap_or_default();
    let postgres = futures_util::stream::iter(places)
        .map(|(at, port)| async move { postgres(host, &at, port).await })
        .buffered(AT_ONCE)
        .filter_map(async |found| found)
        .collect::<Vec<_>>();
    let redis = futures_util::stream::iter(redis_ports.map(|p| p.port))
        .map(|port| async move { redis(host, port).await })
        .buffered(AT_ONCE)
        .filter_map(async |found| found)
        .collect::<Vec<_>>();
    let (found, mut redis) = tokio::join!(postgres, redis);
    // One server by several ways: the one that let us in counts, else the first, which is the socket.
    let mut postgres: Vec<FoundPostgres> = Vec::new();
    for one in found {
        match postgres.iter_mut().find(|p| p.port == one.port) {
            Some(known) if known.needs_password && !one.needs_password => *known = one,
            Some(_) => {}
            None => postgres.push(one),
        }
    }
    for one in &mut postgres {
        let owner = owner(one.port);
        (one.unit, one.container) = (owner.unit, owner.container);
    }
    for one in &mut redis {
        let owner = owner(one.port);
        (one.unit, one.container) = (owner.unit, owner.container);
    }
    Databases { postgres, redis }
}

/// Sockets of PostgreSQL in the usual folders: `.s.PGSQL.5432`.
fn pg_sockets(host: &Host) -> Vec<(String, u16)> {
    let mut out: Vec<(String, u16)> = Vec::new();
    for folder in ["run/postgresql", "var/run/postgresql", "tmp"] {
        let folder = host.at(folder);
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten().take(1000) {
            let name = entry.file_name();
            let port = name.to_str().and_then(|n| n.strip_prefix(".s.PGSQL.")).and_then(|n| n.parse().ok());
            if let (Some(port), Some(folder)) = (port, folder.to_str())
                && !out.iter().any(|(_, p)| *p == port)
            {
                out.push((folder.to_owned(), port));
            }
        }
    }
    out
}

/// Tries to log in without a password, as this user and as `postgres`.
async fn postgres(host: &Host, at: &str, port: u16) -> Option<FoundPostgres> {
    let mut found: Option<FoundPostgres> = None;
    let me = peer::user_name(peer::current_uid());
    for user in [me.as_str(), "postgres"] {
        let quoted = |t: &str| format!("'{}'", t.replace('\\', "\\\\").replace('\'', "\\'"));
        let (host_part, user_part) = (quoted(at), quoted(user));
        let dsn = format!("host={host_part} port={port} user={user_part} dbname=postgres sslmode=prefer");
        let target = PgTarget::parse(&dsn).ok()?;
        let mut one = FoundPostgres { host: at.to_owned(), port, user: user.to_owned(), ..FoundPostgres::default() };
        match pg::connect(&target, host.limit).await {
            Ok(connection) => {
                let ask = async {
                    let sql = "select datname, pg_is_in_recovery() from pg_database \
                               where not datistemplate and datallowconn order by datname = 'postgres', datname limit $1";
                    connection.client.query(sql, &[&DATABASES]).await
                };
                let rows = tokio::time::timeout(host.limit, ask).await.ok()?.ok()?;
                for row in rows {
                    one.standby |= row.try_get::<_, bool>(1).unwrap_or_default();
                    one.databases.extend(row.try_get::<_, String>(0));
                }
                // The maintenance database is named only where there is no other.
                if one.databases.len() > 1 {
                    one.databases.retain(|d| d != "postgres");
                }
                return Some(one);
            }
            // It is one, and does not let us in like that.
            Err(PgError::Auth(_)) => {
                one.needs_password = true;
                one.user = "postgres".to_owned();
                found = found.or(Some(one));
            }
            Err(PgError::NoDatabase(_) | PgError::Recovering(..) | PgError::TooManyConnections(_)) => return Some(one),
            Err(_) => return found,
        }
    }
    found
}

async fn connect(host: &Host, port: u16) -> Option<TcpStream> {
    let address = SocketAddr::new(host.address, port);
    tokio::time::timeout(host.limit.min(Duration::from_secs(1)), TcpStream::connect(address)).await.ok()?.ok()
}

/// Sends, and takes what comes back until it ends, `enough` bytes are there, or time is up.
async fn exchange(stream: &mut TcpStream, send: &[u8], enough: usize, limit: Duration) -> Vec<u8> {
    let mut got = Vec::new();
    let _ = tokio::time::timeout(limit, async {
        stream.write_all(send).await?;
        let mut buffer = [0; 1024];
        while got.len() < enough {
            match stream.read(&mut buffer).await? {
                0 => break,
                n => got.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            }
        }
        Ok::<_, std::io::Error>(())
    })
    .await;
    got
}

/// PING in Redis' inline form. `-NOAUTH`, `-LOADING` and `-DENIED` (protected mode) are its words too.
async fn redis(host: &Host, port: u16) -> Option<FoundRedis> {
    let mut stream = connect(host, port).await?;
    let got = exchange(&mut stream, b"PING\r\n", 5, host.limit).await;
    let needs_password = match got.as_slice() {
        [b'+', b'P', b'O', b'N', b'G', ..] => false,
        _ if got.starts_with(b"-NOAUTH") || got.starts_with(b"-DENIED") => true,
        _ if got.starts_with(b"-LOADING") || got.starts_with(b"-MASTERDOWN") => false,
        _ => return None,
    };
    Some(FoundRedis { host: host.address.to_string(), port, needs_password, ..FoundRedis::default() })
}

/// Asks ports what they speak. Those that cannot be reached from this host's loopback address are left out: a check of
/// the starter could not reach them either.
pub async fn ask(host: &Host, ports: &[Listening]) -> Vec<FoundPort> {
    futures_util::stream::iter(ports.iter().filter(|p| p.local))
        .map(|port| async move {
            let spoken = speak(host, port.port).await?;
            Some(FoundPort {
                port: port.port,
                loopback: port.loopback,
                process: port.process.clone(),
                unit: port.unit.clone(),
                container: port.container.clone(),
                http: spoken.http,
                tls: spoken.tls,
            })
        })
        .buffered(AT_ONCE)
        .filter_map(async |found| found)
        .collect()
        .await
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Spoken {
    http: Option<(String, u16)>,
    tls: bool,
}

/// Pages that tell how a service is, in the order in which they are tried; the last one almost always exists.
const PAGES: [&str; 4] = ["/health", "/healthz", "/api/health", "/"];
/// A server that greets first does so within this time.
const GREETING: Duration = Duration::from_millis(200);

async fn speak(host: &Host, port: u16) -> Option<Spoken> {
    let mut spoken = Spoken::default();
    for page in PAGES {
        let Some(mut stream) = connect(host, port).await else {
            // Gone, or out of breath: what is known so far.
            return (page != PAGES[0]).then_some(spoken);
        };
        let mut greeting = [0; 64];
        if page == PAGES[0]
            && let Ok(Ok(n)) = tokio::time::timeout(GREETING, stream.read(&mut greeting)).await
        {
            // It greeted, or hung up: neither is HTTP.
            let _ = n;
            return Some(spoken);
        }
        let request = format!(
            "GET {page} HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: mayday\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        let got = exchange(&mut stream, request.as_bytes(), 1024, host.limit.min(Duration::from_secs(2))).await;
        match answer(&got) {
            Answer::Tls => {
                spoken.tls = true;
                return Some(spoken);
            }
            Answer::Other => return Some(spoken),
            Answer::Http(status) if (200..300).contains(&status) => {
                spoken.http = Some((page.to_owned(), status));
                return Some(spoken);
            }
            // Not found, or not allowed; the plain page's answer is better than none, unless the server fails.
            Answer::Http(status) if page == "/" && status < 500 => spoken.http = Some((page.to_owned(), status)),
            Answer::Http(_) => {}
        }
    }
    Some(spoken)
}

#[derive(Debug, PartialEq)]
enum Answer {
    Http(u16),
    Tls,
    Other,
}

fn answer(got: &[u8]) -> Answer {
    // An alert in a TLS record (RFC 8446, 5.1): it wanted a handshake.
    if let [0x15, 0x03, ..] = got {
        return Answer::Tls;
    }
    let text = String::from_utf8_lossy(got);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|s| s.parse::<u16>().ok());
    match status {
        // nginx and Apache say so in words when plain HTTP comes to their encrypted port.
        Some(400) if text.contains("HTTPS port") || text.contains("SSL-enabled server port") => Answer::Tls,
        // Go's server: "Client sent an HTTP request to an HTTPS server."
        Some(400) if text.contains("HTTP request to an HTTPS server") => Answer::Tls,
        Some(status) if (100..600).contains(&status) => Answer::Http(status),
        _ => Answer::Other,
    }
}

/// What answered, in words, for a list of findings.
pub fn words(found: &FoundPort) -> String {
    let process = found.process.as_deref().unwrap_or("an unknown process");
    let what = match (&found.http, found.tls) {
        (Some((path, status)), _) => format!("HTTP, {path} answers {status}"),
        (None, true) => "TLS".to_owned(),
        (None, false) => "TCP".to_owned(),
    };
    format!("port {}: {what}, {}", found.port, text::clean(process))
}
