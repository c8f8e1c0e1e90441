//! PostgreSQL by its own protocol: does it let us in, does it answer in time, is it what it should be, and is it about to
//! be in trouble.
//!
//! One connection per probe, so that "no connection left" and "starting up" are seen as an application would see them.
//! Everything after the login runs in read-only transactions with a statement timeout of their own: a probe that gives up
//! leaves no query behind, also through a pooler. What needs more rights than the login has (see `pg_monitor`) is left out
//! of the facts and never fails the check.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};

use super::Vault;
use super::http::seconds;
use super::look::{Finding, Look, Phase, Progress, compare_words};
use super::net::{LookupFailed, Resolver};
use crate::config::{Compare, Family, PostgresCheck};
use crate::domain::health::Reason;
use crate::sys::pg::{self, Endpoint, PgConn, PgError, PgTarget, RecoveryPhase, Stage};
use crate::text::{duration, size};

mod facts;

pub(super) struct Postgres {
    target: PgTarget,
    role: Option<Role>,
    query_below: Duration,
    lag_below: Option<Duration>,
    connections_below: Option<u8>,
    archiving: bool,
    query: Option<String>,
    compare: Option<Compare>,
    resolver: Resolver,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Primary,
    Standby,
}

impl Role {
    const fn word(self) -> &'static str {
        match self {
            Role::Primary => "primary",
            Role::Standby => "standby",
        }
    }
}

impl Postgres {
    pub(super) fn new(check: &PostgresCheck, vault: &mut Vault<'_>) -> Result<Self, String> {
        let dsn = vault.value(&check.dsn)?;
        let mut target = PgTarget::parse(&dsn).map_err(|e| e.to_string())?;
        if let Some(password) = vault.password(check.password.as_ref())? {
            target = target.with_password(password);
        }
        if let Some(password) = target.password().cloned() {
            vault.hide(&password);
        }
        target = target.with_roots(vault.env.roots_with(&check.extra_ca)?);
        let role = match check.role.as_deref() {
            None => None,
            Some("primary") => Some(Role::Primary),
            Some("standby") => Some(Role::Standby),
            Some(other) => return Err(format!("\"{other}\" is not a role: primary or standby")),
        };
        Ok(Postgres {
            target,
            role,
            query_below: check.query_below,
            lag_below: check.lag_below,
            connections_below: check.connections_below,
            archiving: check.archiving,
            query: check.query.clone(),
            compare: check.compare.clone(),
            resolver: vault.env.resolver.clone(),
        })
    }

    async fn ask(&self, progress: &Progress) -> Result<Finding, Finding> {
        let label = self.target.label();
        let target = self.located(progress).await?;
        progress.enter_with(Phase::Connect, label.as_str());
        // The driver of the connection keeps its own stage; it is asked to end just before the limit around the probe.
        let limit = progress.left().saturating_sub(Duration::from_millis(10));
        let connection = pg::connect(&target, limit).await.map_err(|e| unreached(&e, &label, progress))?;
        let connected = progress.elapsed();
        progress.enter_with(Phase::Query, format!("select 1 on {}", connection.endpoint));
        rows(&connection, "select 1").await.map_err(|e| failed("select 1", &e))?;
        let answered = progress.elapsed().saturating_sub(connected);
        progress.enter_with(Phase::Query, format!("asking {} for its state", connection.endpoint));
        let state = facts::State::read(&connection, progress.left()).await?;
        let mut finding = self.judge(&state, answered);
        if self.archiving && !state.standby {
            finding = finding.and(facts::archiving(&connection, progress.left()).await?);
        }
        let (lag, lag_facts) = facts::replication(&connection, &state, progress.left()).await?;
        finding.facts.extend(lag_facts);
        if let (Some(limit), Some(worst)) = (self.lag_below, lag)
            && worst.lag > limit
        {
            let text = format!("{} is {} behind, over {}", worst.who, seconds(worst.lag), duration(limit));
            finding = finding.and(Finding::warn(Reason::Limit, text));
        }
        finding.facts.extend(facts::tables(&connection, progress.left()).await);
        if let Some(query) = &self.query {
            progress.enter_with(Phase::Query, "the configured query");
            finding = finding.and(self.custom(&connection, query, progress.left()).await);
        }
        let mut facts = vec![
            ("connect".to_owned(), seconds(connected)),
            ("query".to_owned(), seconds(answered)),
            ("tls".to_owned(), tls_words(&connection)),
        ];
        facts.append(&mut finding.facts);
        // What a client waits for; our further questions are not the service's latency.
        finding.took = Some(connected + answered);
        Ok(finding.with_facts(facts))
    }

    /// The target with its names looked up here, where lookups are bounded. Of several names one may fail.
    async fn located(&self, progress: &Progress) -> Result<PgTarget, Finding> {
        let (mut found, mut failed) = (Vec::new(), None);
        for endpoint in self.target.endpoints() {
            match endpoint {
                Endpoint::Tcp { host, port, address: None } => {
                    progress.enter_with(Phase::Resolve, host.as_str());
                    match self.resolver.lookup(host, *port, Family::Any).await {
                        Ok(addresses) => found.extend(addresses.iter().map(|a| {
                            let address = Some(a.ip());
                            Endpoint::Tcp { host: host.clone(), port: *port, address }
                        })),
                        Err(LookupFailed(why)) => failed = Some(why),
                    }
                }
                other => found.push(other.clone()),
            }
        }
        match failed {
            Some(why) if found.is_empty() => Err(Finding::fail(Reason::Dns, why)),
            _ => Ok(self.target.clone().with_endpoints(found)),
        }
    }

    fn judge(&self, state: &facts::State, answered: Duration) -> Finding {
        let is = if state.standby { Role::Standby } else { Role::Primary };
        let mut finding =
            Finding::ok(format!("PostgreSQL {} {}, answers in {}", state.version, is.word(), seconds(answered)));
        if let Some(wanted) = self.role
            && wanted != is
        {
            let text = format!("it is a {}, expected a {}", is.word(), wanted.word());
            finding = finding.and(Finding::fail(Reason::Role, text));
        }
        if self.role == Some(Role::Primary) && !state.standby && state.read_only {
            finding = finding.and(Finding::warn(Reason::Role, "it is read-only (default_transaction_read_only)"));
        }
        if answered > self.query_below {
            let text = format!("select 1 took {}, over {}", seconds(answered), duration(self.query_below));
            finding = finding.and(Finding::warn(Reason::Slow, text));
        }
        if let Some(limit) = self.connections_below
            && state.max_connections > 0
            && state.connections * 100 > u64::from(limit) * state.max_connections
        {
            let (used, max) = (state.connections, state.max_connections);
            let text = format!("{used} of {max} connections used, over {limit} %");
            finding = finding.and(Finding::warn(Reason::Limit, text));
        }
        finding
            .fact("version", state.version.as_str())
            .fact("role", is.word())
            .fact("connections", format!("{}/{}", state.connections, state.max_connections))
    }

    /// The configured statement: its first column of its first row must be true, or meet the comparison.
    async fn custom(&self, connection: &PgConn, query: &str, left: Duration) -> Finding {
        let found = match read_only(connection, query, left).await {
            Ok(found) => found,
            Err(e) => return failed("the configured query", &e),
        };
        let Some(row) = found.first() else {
            return Finding::fail(Reason::Assertion, "the configured query gave no row");
        };
        let value = row.try_get(0).ok().flatten().unwrap_or("null");
        let finding = match &self.compare {
            Some(compare) => match value.trim().parse::<f64>() {
                Ok(n) if compare.holds(n) => Finding::ok(""),
                Ok(n) => Finding::fail(
                    Reason::Assertion,
                    format!("the configured query gave {n}, expected {}", compare_words(compare)),
                ),
                Err(_) => Finding::fail(
                    Reason::Assertion,
                    format!("the configured query gave \"{value}\", expected a number"),
                ),
            },
            // PostgreSQL writes booleans so; the others are what people select instead.
            None if matches!(value, "t" | "true" | "1" | "on" | "yes") => Finding::ok(""),
            None => Finding::fail(Reason::Assertion, format!("the configured query gave {value}, expected true")),
        };
        finding.fact("query result", value)
    }
}

fn tls_words(connection: &PgConn) -> String {
    match (&connection.tls, &connection.verdict) {
        (false, _) => "not encrypted".to_owned(),
        (true, Some(verdict)) => format!("encrypted; {verdict}"),
        (true, None) => "encrypted".to_owned(),
    }
}

/// Why there is no connection.
fn unreached(e: &PgError, label: &str, progress: &Progress) -> Finding {
    let fail = |reason, text: String| Finding::fail(reason, text);
    let after = || duration(progress.timeout());
    match e {
        PgError::Dns { host, why } if host.is_empty() => fail(Reason::Dns, why.clone()),
        PgError::Dns { host, why } => fail(Reason::Dns, format!("name {host} not found ({why})")),
        PgError::Refused { at } => fail(Reason::Refused, format!("connection refused by {at}")),
        PgError::TimedOut(Stage::Resolve) => {
            fail(Reason::Dns, format!("looking up {label} timed out after {}", after()))
        }
        PgError::TimedOut(Stage::Connect) => {
            fail(Reason::TimeoutConnect, format!("timed out connecting to {label}: no answer at all in {}", after()))
        }
        PgError::TimedOut(Stage::Login) => fail(
            Reason::TimeoutHeaders,
            format!("connected to {label}, then no answer to the login: {} are over", after()),
        ),
        PgError::Auth(why) => fail(Reason::Auth, format!("login refused: {why}")),
        PgError::Recovering(phase, message) => {
            let what = match phase {
                RecoveryPhase::StartingUp => "starting up",
                RecoveryPhase::InRecovery | RecoveryPhase::Unknown => "recovering",
                RecoveryPhase::ShuttingDown => "shutting down",
            };
            let reason = if *phase == RecoveryPhase::ShuttingDown { Reason::NotRunning } else { Reason::Recovering };
            let said = message.trim_start_matches("the database system is ");
            fail(reason, if said == what { said.to_owned() } else { format!("{what} ({said})") })
        }
        PgError::NoDatabase(why) => fail(Reason::Missing, format!("no such database: {why}")),
        PgError::TooManyConnections(why) => fail(Reason::Limit, format!("no connection left: {why}")),
        PgError::Tls(why) => fail(tls_reason(why), format!("TLS with {label}: {why}")),
        PgError::ReadOnly => fail(Reason::Role, e.to_string()),
        PgError::Closed => fail(Reason::Protocol, format!("{label} closed the connection during the login")),
        PgError::Other { message, .. } => {
            let text = message.to_ascii_lowercase();
            let shortage =
                ["too many open files", "cannot assign requested", "no buffer space", "cannot allocate memory"];
            if shortage.iter().any(|s| text.contains(s)) {
                return Finding::error(e.to_string());
            }
            let unreachable = ["unreachable", "no route", "network is down"].iter().any(|s| text.contains(s));
            fail(if unreachable { Reason::Unreachable } else { Reason::Protocol }, e.to_string())
        }
    }
}

/// The recorded verdict reaches us in words only; see `ChainVerdict`.
fn tls_reason(why: &str) -> Reason {
    for (words, reason) in [
        ("has expired", Reason::TlsExpired),
        ("not valid yet", Reason::TlsNotYet),
        ("for another name", Reason::TlsName),
        ("not for this name", Reason::TlsName),
        ("self-signed", Reason::TlsUntrusted),
        ("nobody this host trusts", Reason::TlsUntrusted),
    ] {
        if why.contains(words) {
            return reason;
        }
    }
    Reason::Protocol
}

/// A query that failed on an open connection.
fn failed(what: &str, e: &PgError) -> Finding {
    match e {
        PgError::Other { sqlstate: Some(code), .. } if code == "57014" => {
            Finding::fail(Reason::TimeoutQuery, format!("{what} took too long and was cancelled"))
        }
        PgError::Closed => Finding::fail(Reason::Protocol, format!("the connection was lost during {what}")),
        PgError::Recovering(_, why) => Finding::fail(Reason::Recovering, format!("{what}: {why}")),
        _ => Finding::fail(Reason::Protocol, format!("{what} failed: {e}")),
    }
}

async fn rows(connection: &PgConn, sql: &str) -> Result<Vec<SimpleQueryRow>, PgError> {
    let answered = connection.client.simple_query(sql).await.map_err(PgError::from)?;
    Ok(answered
        .into_iter()
        .filter_map(|m| match m {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        })
        .collect())
}

/// Runs `sql` in a transaction that can neither write nor outlive `left`, in one round trip. The settings are the
/// transaction's own, so that they leave with it even where a pooler hands the session on.
async fn read_only(connection: &PgConn, sql: &str, left: Duration) -> Result<Vec<SimpleQueryRow>, PgError> {
    let ms = left.as_millis().max(1);
    // The line end keeps a comment at the end of a configured statement from swallowing the rest.
    let whole = format!("begin read only; set local statement_timeout = {ms}; {sql}\n; rollback");
    let found = rows(connection, &whole).await;
    if found.is_err() {
        rows(connection, "rollback").await?;
    }
    found
}

impl Look for Postgres {
    fn look<'a>(&'a self, progress: &'a Arc<Progress>) -> BoxFuture<'a, Finding> {
        Box::pin(async move { self.ask(progress).await.unwrap_or_else(|e| e) })
    }
}

/// `12 MB`, for differences of log positions.
fn bytes(text: &str) -> String {
    text.parse::<f64>().map_or_else(|_| text.to_owned(), |n| size(n.max(0.0) as u64))
}
