//! What a server says of itself: PostgreSQL manual, 28.2 (statistics views) and 9.27 (system functions).

use std::time::Duration;

use tokio_postgres::SimpleQueryRow;

use super::super::http::seconds;
use super::super::look::Finding;
use super::{bytes, failed, read_only};
use crate::domain::health::Reason;
use crate::sys::pg::PgConn;
use crate::text::size;

/// Its role and room.
pub(super) struct State {
    pub(super) standby: bool,
    /// `17.2`
    pub(super) version: String,
    pub(super) connections: u64,
    pub(super) max_connections: u64,
    pub(super) read_only: bool,
}

fn text(row: &SimpleQueryRow, column: usize) -> Option<&str> {
    row.try_get(column).ok().flatten()
}

impl State {
    pub(super) async fn read(connection: &PgConn, left: Duration) -> Result<State, Finding> {
        // pg_stat_database counts sessions for everybody; pg_stat_activity shows others only to pg_monitor.
        let sql = "select pg_is_in_recovery(), split_part(current_setting('server_version'), ' ', 1), \
                   (select sum(numbackends) from pg_stat_database), current_setting('max_connections'), \
                   current_setting('default_transaction_read_only')";
        let found = read_only(connection, sql, left).await.map_err(|e| failed("asking for the server's state", &e))?;
        let Some(row) = found.first() else {
            return Err(Finding::fail(Reason::Protocol, "the server gave no answer about its state"));
        };
        let number = |column| text(row, column).and_then(|t| t.parse().ok()).unwrap_or(0);
        Ok(State {
            standby: text(row, 0) == Some("t"),
            version: text(row, 1).unwrap_or("of unknown version").to_owned(),
            connections: number(2),
            max_connections: number(3),
            read_only: text(row, 4) == Some("on"),
        })
    }
}

/// Is the log being archived? `pg_stat_archiver` keeps the last success and the last failure.
pub(super) async fn archiving(connection: &PgConn, left: Duration) -> Result<Finding, Finding> {
    let sql = "select current_setting('archive_mode'), last_failed_wal, failed_count, \
               to_char(last_failed_time at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'), \
               coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false), \
               last_archived_wal, extract(epoch from now() - last_archived_time)::bigint from pg_stat_archiver";
    let found = read_only(connection, sql, left).await.map_err(|e| failed("asking for the archiver's state", &e))?;
    let Some(row) = found.first() else {
        return Ok(Finding::ok(""));
    };
    let get = |column| text(row, column).unwrap_or("?");
    let finding = if get(0) == "off" {
        Finding::warn(Reason::Limit, "WAL archiving is switched off (archive_mode)")
    } else if get(4) == "t" {
        let text = format!("WAL archiving is failing: {} at {} UTC, {} failures", get(1), get(3), get(2));
        Finding::warn(Reason::Limit, text)
    } else {
        Finding::ok("")
    };
    let age = text(row, 6).and_then(|t| t.parse().ok()).map(|s| crate::text::duration(Duration::from_secs(s)));
    Ok(match age {
        Some(age) => finding.fact("last WAL archived", format!("{} {age} ago", get(5))),
        None => finding,
    })
}

/// Who is how far behind.
pub(super) struct Lag {
    pub(super) who: String,
    pub(super) lag: Duration,
}

type Facts = Vec<(String, String)>;

/// The worst lag known, and a fact for each standby.
pub(super) async fn replication(
    connection: &PgConn,
    state: &State,
    left: Duration,
) -> Result<(Option<Lag>, Facts), Finding> {
    if state.standby { of_standby(connection, left).await } else { of_primary(connection, left).await }
}

async fn of_primary(connection: &PgConn, left: Duration) -> Result<(Option<Lag>, Facts), Finding> {
    // replay_lag is empty when nothing is under way, which means no lag. The view is empty of details without pg_monitor.
    let sql = "select coalesce(nullif(application_name, ''), host(client_addr), 'standby'), state, sync_state, \
               extract(epoch from replay_lag), pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) \
               from pg_stat_replication order by 1, pid";
    let found = read_only(connection, sql, left).await.map_err(|e| failed("asking for the standbys", &e))?;
    let (mut worst, mut facts) = (None::<Lag>, Facts::new());
    for row in &found {
        let who = text(row, 0).unwrap_or("standby");
        let lag = text(row, 3).and_then(|t| t.parse::<f64>().ok()).map_or(Duration::ZERO, span);
        let shown = match text(row, 1) {
            Some(is) => format!(
                "{is}, {}, {} and {} behind",
                text(row, 2).unwrap_or("async"),
                seconds(lag),
                text(row, 4).map(bytes).unwrap_or_default()
            ),
            None => "connected (more needs the role pg_monitor)".to_owned(),
        };
        facts.push((format!("standby {who}"), shown));
        if worst.as_ref().is_none_or(|w| lag > w.lag) {
            worst = Some(Lag { who: format!("standby {who}"), lag });
        }
    }
    facts.push(("standbys".to_owned(), found.len().to_string()));
    Ok((worst, facts))
}

async fn of_standby(connection: &PgConn, left: Duration) -> Result<(Option<Lag>, Facts), Finding> {
    // With a live receiver and everything replayed there is no lag, however long nothing was written. Without one the age
    // of the last transaction is all that is known.
    let sql = "select (select count(*) from pg_stat_wal_receiver where pid is not null) > 0, \
               case when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0 \
               else pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) end, \
               extract(epoch from now() - pg_last_xact_replay_timestamp()), pg_is_wal_replay_paused()";
    let found = read_only(connection, sql, left).await.map_err(|e| failed("asking for the replication", &e))?;
    let Some(row) = found.first() else {
        return Ok((None, Facts::new()));
    };
    let receiving = text(row, 0) == Some("t");
    let behind = text(row, 1).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    let age = text(row, 2).and_then(|t| t.parse::<f64>().ok()).map(span);
    let lag = if receiving && behind <= 0.0 { Some(Duration::ZERO) } else { age };
    let mut facts = vec![
        ("receiving".to_owned(), if receiving { "yes" } else { "no" }.to_owned()),
        ("lag".to_owned(), lag.map_or_else(|| "unknown".to_owned(), seconds)),
        ("received and not replayed".to_owned(), size(behind.max(0.0) as u64)),
    ];
    if text(row, 3) == Some("t") {
        facts.push(("replay".to_owned(), "paused".to_owned()));
    }
    let who = if receiving { "this standby" } else { "this standby, which receives nothing," };
    Ok((lag.map(|lag| Lag { who: who.to_owned(), lag }), facts))
}

fn span(s: f64) -> Duration {
    Duration::try_from_secs_f64(s.max(0.0)).unwrap_or(Duration::MAX)
}

/// How many tables of how many rows, as the planner estimates. Only a fact: what it costs is not worth a failure.
pub(super) async fn tables(connection: &PgConn, left: Duration) -> Facts {
    let sql = "select count(*), sum(greatest(c.reltuples, 0))::bigint from pg_class c join pg_namespace n on \
               n.oid = c.relnamespace where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', \
               'information_schema') and n.nspname !~ '^pg_'";
    let Ok(found) = read_only(connection, sql, left).await else {
        return Facts::new();
    };
    let Some(row) = found.first() else { return Facts::new() };
    let mut facts = vec![("tables".to_owned(), text(row, 0).unwrap_or("0").to_owned())];
    facts.extend(text(row, 1).map(|n| ("rows, estimated".to_owned(), n.to_owned())));
    facts
}
