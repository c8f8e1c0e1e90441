//! Connecting to PostgreSQL, with libpq's meaning of `sslmode` and with errors that tell what to do.
//!
//! The name is resolved and the socket opened here, not in the driver, so that a DNS failure, a refusal and silence
//! are told apart and a time limit names the stage it ran out in. TLS settings never reach the driver, which knows
//! only three modes and falls back to plain text by itself. The password lives in a secret and must never be seen in
//! an error, in `Debug`, in an argument or in [`env_for_tools`].

mod dsn;
mod error;
pub mod programs;
mod split;
mod tools;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::config::SslMode as DriverSsl;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls::{self, ChainVerdict, Demand, Recorder};
pub use dsn::{DsnError, Endpoint, PgTarget, SslMode};
pub use error::{PgError, RecoveryPhase, Stage};
pub use tools::env_for_tools;

/// An open connection. Its task ends with it.
pub struct PgConn {
    /// For queries.
    pub client: Client,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// What verification says about the server's certificate, whether it was demanded or not.
    pub verdict: Option<ChainVerdict>,
    /// Which of the target's endpoints answered.
    pub endpoint: Endpoint,
    /// The task that moves bytes; aborted on drop.
    pub handle: JoinHandle<()>,
    target: PgTarget,
}

impl std::fmt::Debug for PgConn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgConn").field("endpoint", &self.endpoint).field("tls", &self.tls).finish_non_exhaustive()
    }
}

impl Drop for PgConn {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl PgConn {
    /// Asks the server to stop what this connection is doing. Dropping the connection alone lets a query run on until
    /// the server notices.
    pub async fn cancel(&self, timeout: Duration) -> Result<(), PgError> {
        let token = self.client.cancel_token();
        let work = async {
            let mut stage = Stage::Resolve;
            let stream = open(&self.endpoint, Instant::now() + timeout, &mut stage).await?;
            cancel_on(stream, token, &self.target, self.tls, &self.endpoint).await
        };
        tokio::time::timeout(timeout, work).await.unwrap_or(Err(PgError::TimedOut(Stage::Connect)))
    }
}

/// Connects within `timeout`. With several hosts in the target each is tried in turn, with an equal share of the time
/// that is left, and the last error is given.
pub async fn connect(target: &PgTarget, timeout: Duration) -> Result<PgConn, PgError> {
    let until = Instant::now() + timeout;
    let endpoints = target.endpoints();
    let mut last = PgError::Dns { host: String::new(), why: "the connection string names no host".to_owned() };
    for (n, endpoint) in endpoints.iter().enumerate() {
        let until = share(until, endpoints.len() - n);
        let mut stage = Stage::Resolve;
        let attempt = tokio::time::timeout_at(until, try_one(target, endpoint, until, &mut stage)).await;
        match attempt.unwrap_or(Err(PgError::TimedOut(stage))) {
            Ok(connection) => return Ok(connection),
            // The same password would be refused everywhere, and retrying can lock an account.
            Err(e @ PgError::Auth(_)) => return Err(e),
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// The end of one of `parts` equal parts of the time until `until`.
fn share(until: Instant, parts: usize) -> Instant {
    let now = Instant::now();
    now + until.saturating_duration_since(now) / u32::try_from(parts.max(1)).unwrap_or(u32::MAX)
}

async fn try_one(target: &PgTarget, endpoint: &Endpoint, until: Instant, stage: &mut Stage) -> Result<PgConn, PgError> {
    let mut encrypt = target.ssl_mode() != SslMode::Disable;
    let connection = loop {
        let stream = open(endpoint, until, stage).await?;
        *stage = Stage::Login;
        let attempt = match stream {
            Socket::Unix(stream) => login(target, endpoint, stream, false).await,
            Socket::Tcp(stream) => login(target, endpoint, stream, encrypt).await,
        };
        match attempt {
            // What libpq does: `prefer` encrypts where it works, and must not fail where it does not.
            Err(PgError::Tls(_)) if encrypt && target.ssl_mode() == SslMode::Prefer => encrypt = false,
            other => break other?,
        }
    };
    if target.wants_writable() {
        let row = connection.client.query_one("SHOW transaction_read_only", &[]).await.map_err(PgError::from)?;
        if row.try_get::<_, String>(0).map_err(PgError::from)? == "on" {
            return Err(PgError::ReadOnly);
        }
    }
    Ok(connection)
}

enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

async fn open(endpoint: &Endpoint, until: Instant, stage: &mut Stage) -> Result<Socket, PgError> {
    match endpoint {
        Endpoint::Unix { .. } => {
            let path = endpoint.socket_path();
            *stage = Stage::Connect;
            UnixStream::connect(&path).await.map(Socket::Unix).map_err(|e| match e.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    PgError::Refused { at: path.display().to_string() }
                }
                _ => PgError::Other { sqlstate: None, message: format!("opening {}: {e}", path.display()) },
            })
        }
        Endpoint::Tcp { host, port, address } => {
            let addresses: Vec<SocketAddr> = match address {
                Some(ip) => vec![SocketAddr::new(*ip, *port)],
                None => tokio::net::lookup_host((host.as_str(), *port))
                    .await
                    .map_err(|e| PgError::Dns { host: host.clone(), why: super::one_line(&e.to_string()) })?
                    .collect(),
            };
            *stage = Stage::Connect;
            let mut last = PgError::Dns { host: host.clone(), why: "the name has no address".to_owned() };
            let count = addresses.len();
            for (n, address) in addresses.into_iter().enumerate() {
                // One address that swallows packets (often IPv6) must not use up the time of the others.
                match tokio::time::timeout_at(share(until, count - n), TcpStream::connect(address)).await {
                    Ok(Ok(stream)) => {
                        // Queries are small and each waits for its answer.
                        let _ = stream.set_nodelay(true);
                        return Ok(Socket::Tcp(stream));
                    }
                    Ok(Err(e)) => last = tcp_error(&e, address),
                    Err(_) => last = PgError::TimedOut(Stage::Connect),
                }
            }
            Err(last)
        }
    }
}

fn tcp_error(e: &io::Error, address: SocketAddr) -> PgError {
    match e.kind() {
        io::ErrorKind::ConnectionRefused => PgError::Refused { at: address.to_string() },
        io::ErrorKind::TimedOut => PgError::TimedOut(Stage::Connect),
        _ => PgError::Other { sqlstate: None, message: format!("connecting to {address}: {e}") },
    }
}

async fn login<S>(target: &PgTarget, endpoint: &Endpoint, stream: S, with_tls: bool) -> Result<PgConn, PgError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut config = target.driver_config();
    if !with_tls {
        config.ssl_mode(DriverSsl::Disable);
        let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(PgError::from)?;
        let handle = tokio::spawn(async move {
            let _ = connection.await;
        });
        let (endpoint, target) = (endpoint.clone(), target.clone());
        return Ok(PgConn { client, tls: false, verdict: None, endpoint, handle, target });
    }
    config.ssl_mode(if target.ssl_mode() == SslMode::Prefer { DriverSsl::Prefer } else { DriverSsl::Require });
    let (mut maker, recorder, demand) = tls_for(target)?;
    let connector = MakeTlsConnect::<S>::make_tls_connect(&mut maker, endpoint.name()).unwrap_or_else(|e| match e {});
    let (client, connection) =
        config.connect_raw(stream, connector).await.map_err(|e| tls_error(e, &recorder, demand))?;
    let handle = tokio::spawn(async move {
        let _ = connection.await;
    });
    let verdict = recorder.seen().map(|s| s.verdict);
    let (endpoint, target) = (endpoint.clone(), target.clone());
    Ok(PgConn { client, tls: verdict.is_some(), verdict, endpoint, handle, target })
}

async fn cancel_on(
    socket: Socket,
    token: CancelToken,
    target: &PgTarget,
    encrypted: bool,
    endpoint: &Endpoint,
) -> Result<(), PgError> {
    match socket {
        Socket::Unix(stream) => token.cancel_query_raw(stream, NoTls).await.map_err(PgError::from),
        Socket::Tcp(stream) if !encrypted => token.cancel_query_raw(stream, NoTls).await.map_err(PgError::from),
        Socket::Tcp(stream) => {
            let (mut maker, recorder, demand) = tls_for(target)?;
            let connector = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut maker, endpoint.name())
                .unwrap_or_else(|e| match e {});
            token.cancel_query_raw(stream, connector).await.map_err(|e| tls_error(e, &recorder, demand))
        }
    }
}

/// libpq's table of protection (PostgreSQL manual, 34.19.3): `require` does not verify, unless a root file is given,
/// when it means `verify-ca`.
fn tls_for(target: &PgTarget) -> Result<(MakeRustlsConnect, Recorder, Demand), PgError> {
    let demand = match target.ssl_mode() {
        SslMode::VerifyFull => Demand::ChainAndName,
        SslMode::VerifyCa => Demand::Chain,
        SslMode::Require if target.ssl_root_cert().is_some() => Demand::Chain,
        SslMode::Require | SslMode::Prefer | SslMode::Disable => Demand::Nothing,
    };
    let roots: Arc<RootCertStore> = match target.ssl_root_cert() {
        Some(file) => tls::roots_only(file).map_err(PgError::Tls)?,
        None => target.roots().cloned().unwrap_or_else(tls::default_roots),
    };
    let (config, recorder) = tls::recording_config(roots, demand, target.identity()).map_err(PgError::Tls)?;
    Ok((MakeRustlsConnect::new(config), recorder, demand))
}

/// A handshake that failed for its certificate is told by what was seen of it, which says more than the alert.
fn tls_error(e: tokio_postgres::Error, recorder: &Recorder, demand: Demand) -> PgError {
    match PgError::from(e) {
        PgError::Tls(why) if demand != Demand::Nothing => match recorder.seen().map(|s| s.verdict) {
            Some(verdict) if verdict != ChainVerdict::Trusted => PgError::Tls(verdict.to_string()),
            _ => PgError::Tls(why),
        },
        other => other,
    }
}

/// An identifier for use in SQL: quoted, with quotes doubled. A NUL cannot stand in one and ends it.
pub fn quote_ident(name: &str) -> String {
    let name = name.split('\0').next().unwrap_or_default();
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string literal for use in SQL where no parameter can stand. Correct whatever `standard_conforming_strings` says:
/// with a backslash in it the `E''` form is used, as libpq's PQescapeLiteral does. A NUL ends it.
pub fn quote_literal(text: &str) -> String {
    let text = text.split('\0').next().unwrap_or_default();
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!(" E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

#[cfg(test)]
mod tests;
