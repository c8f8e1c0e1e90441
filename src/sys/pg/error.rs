//! What can go wrong between here and PostgreSQL, told apart.

use std::error::Error as _;

use tokio_postgres::error::DbError;

use crate::sys::one_line;

/// How far an attempt had come when its time was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The name was being resolved.
    Resolve,
    /// The connection was being opened: a packet filter or a host that is gone.
    Connect,
    /// The server had accepted and did not answer (TLS, login): hung, overloaded, or no PostgreSQL.
    Login,
}

/// Why a server does not take connections now (SQLSTATE 57P03).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecoveryPhase {
    /// It has just been started.
    StartingUp,
    /// It replays its log after a crash, or a standby is not consistent yet.
    InRecovery,
    /// It is being stopped.
    ShuttingDown,
    /// Its message is in words we do not know (another language).
    Unknown,
}

/// Why there is no connection or no answer. `Display` is one sentence without the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PgError {
    /// The name of the host could not be resolved.
    #[error("the name {host} could not be resolved: {why}")]
    Dns {
        /// The name.
        host: String,
        /// The resolver's words.
        why: String,
    },
    /// Nobody listens there.
    #[error("connection refused at {at}: nothing listens there")]
    Refused {
        /// Address or socket path.
        at: String,
    },
    /// The time limit was reached.
    #[error("{}", timeout_text(.0))]
    TimedOut(Stage),
    /// User or password were not accepted, or `pg_hba.conf` has no line for this client.
    #[error("the login was refused: {0}")]
    Auth(String),
    /// The server runs and does not take connections.
    #[error("{}", recovery_text(.0, .1))]
    Recovering(RecoveryPhase, String),
    /// The database does not exist.
    #[error("the database does not exist: {0}")]
    NoDatabase(String),
    /// All connection slots are taken.
    #[error("the server has no connection left: {0}")]
    TooManyConnections(String),
    /// Encryption was refused, failed, or the certificate was not accepted.
    #[error("the encrypted connection could not be made: {0}")]
    Tls(String),
    /// The target asks for a server that accepts writes, and this one does not.
    #[error("the server is a read-only standby and the connection string asks for one that accepts writes")]
    ReadOnly,
    /// The connection was lost.
    #[error("the connection was closed by the server")]
    Closed,
    /// Anything else.
    #[error("{}", other_text(.sqlstate, .message))]
    Other {
        /// The server's SQLSTATE, where it sent one.
        sqlstate: Option<String>,
        /// In words.
        message: String,
    },
}

fn timeout_text(stage: &Stage) -> &'static str {
    match stage {
        Stage::Resolve => "timed out while resolving the name",
        Stage::Connect => "timed out while connecting: no answer at all",
        Stage::Login => "timed out during the login: the port is open and the server does not answer",
    }
}

fn recovery_text(phase: &RecoveryPhase, message: &str) -> String {
    match phase {
        RecoveryPhase::StartingUp => format!("the server is starting up: {message}"),
        RecoveryPhase::InRecovery => format!("the server is in recovery: {message}"),
        RecoveryPhase::ShuttingDown => format!("the server is shutting down: {message}"),
        RecoveryPhase::Unknown => format!("the server takes no connections now: {message}"),
    }
}

fn other_text(sqlstate: &Option<String>, message: &str) -> String {
    match sqlstate {
        Some(code) => format!("{message} (SQLSTATE {code})"),
        None => message.to_owned(),
    }
}

impl From<tokio_postgres::Error> for PgError {
    fn from(e: tokio_postgres::Error) -> Self {
        if let Some(db) = e.as_db_error() {
            return of_server(db);
        }
        if e.is_closed() {
            return PgError::Closed;
        }
        let cause = e.source().map(|s| one_line(&s.to_string()));
        let io = e.source().and_then(|s| s.downcast_ref::<std::io::Error>());
        // The driver's kinds are private; its words for them are not.
        match (e.to_string().as_str(), cause) {
            ("error performing TLS handshake", why) => {
                PgError::Tls(why.unwrap_or_else(|| "the handshake failed".to_owned()))
            }
            ("authentication error", why) => PgError::Auth(why.unwrap_or_else(|| "no reason given".to_owned())),
            ("invalid configuration", why) => {
                PgError::Auth(why.unwrap_or_else(|| "no password is configured".to_owned()))
            }
            (_, _) if io.is_some_and(is_hang_up) => PgError::Closed,
            (what, Some(why)) => PgError::Other { sqlstate: None, message: format!("{what}: {why}") },
            (what, None) => PgError::Other { sqlstate: None, message: what.to_owned() },
        }
    }
}

fn is_hang_up(e: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(e.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// By SQLSTATE (PostgreSQL manual, appendix A).
fn of_server(db: &DbError) -> PgError {
    let mut message = db.message().to_owned();
    if let Some(detail) = db.detail() {
        message.push_str(" (");
        message.push_str(detail);
        message.push(')');
    }
    let message = one_line(&message);
    match db.code().code() {
        "28000" | "28P01" => PgError::Auth(message),
        "57P03" => PgError::Recovering(phase_of(&message), message),
        "3D000" => PgError::NoDatabase(message),
        "53300" => PgError::TooManyConnections(message),
        code => PgError::Other { sqlstate: Some(code.to_owned()), message },
    }
}

/// postmaster.c: "the database system is starting up", "… is in recovery mode", "… is not yet accepting connections",
/// "… is not accepting connections" (hot standby off), "… is shutting down".
pub(super) fn phase_of(message: &str) -> RecoveryPhase {
    if message.contains("starting up") {
        RecoveryPhase::StartingUp
    } else if message.contains("shutting down") {
        RecoveryPhase::ShuttingDown
    } else if message.contains("recovery") || message.contains("accepting connections") {
        RecoveryPhase::InRecovery
    } else {
        RecoveryPhase::Unknown
    }
}
