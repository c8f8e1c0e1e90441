//! What the server says before anything is planned on it.

use std::path::PathBuf;
use std::time::Duration;

use super::super::job::Pinned;
use super::super::pg::server::{self, Database, Session};
use crate::domain::run::Run;
use crate::sys::pg::{PgError, PgTarget};

/// Facts about a server and the databases of a plan on it.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `15.18 (Debian 15.18-0+deb12u1)`.
    pub version: String,
    pub major: u32,
    pub role: String,
    pub may_create: bool,
    /// The role may rename and give away the live database.
    pub may_own: bool,
    pub superuser: bool,
    pub in_recovery: bool,
    pub live: Option<Database>,
    pub live_size: Option<u64>,
    /// Connections to the live database.
    pub live_connections: i64,
    /// Connections that may still be opened.
    pub connections_left: i64,
    /// A prepared transaction holds the live database.
    pub prepared: Option<String>,
    /// Logical replication slots of the databases asked for.
    pub slots: Vec<Slot>,
    /// Other databases that a plan asks for by name.
    pub others: Vec<Database>,
    /// Side databases that ended runs left incomplete.
    pub leftovers: Vec<Pinned>,
    /// Folders of data, of the live database's tablespace, and of the log; empty when the server is elsewhere.
    pub data_folder: Option<PathBuf>,
    pub tablespace_folder: Option<PathBuf>,
    pub wal_limit: u64,
    /// The log is kept for longer than a checkpoint needs it: archiving, or a replication slot.
    pub wal_kept: bool,
}

/// A logical replication slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    pub name: String,
    pub database: String,
    /// Somebody reads from it.
    pub active: bool,
}

/// Everything within this time, or the server counts as not answering.
const LIMIT: Duration = Duration::from_secs(20);

/// Looks at the server. `others` are databases asked for by name.
pub async fn look(target: &PgTarget, live: &str, others: &[&str], runs: &[Run]) -> Result<(Facts, Session), PgError> {
    let work = async {
        let avoid: Vec<&str> = [live].iter().chain(others).copied().collect();
        let session = server::beside(target, &avoid, "mayday plan").await?;
        let facts = facts(&session, target, live, others, runs).await?;
        Ok((facts, session))
    };
    match tokio::time::timeout(LIMIT, work).await {
        Ok(result) => result,
        Err(_) => Err(PgError::TimedOut(crate::sys::pg::Stage::Login)),
    }
}

async fn facts(
    session: &Session,
    target: &PgTarget,
    live: &str,
    others: &[&str],
    runs: &[Run],
) -> Result<Facts, PgError> {
    let row = session
        .row(
            "select current_setting('server_version'), current_user::text, r.rolcreatedb or r.rolsuper, r.rolsuper,
                    pg_is_in_recovery(),
                    current_setting('max_connections')::bigint
                      - (select count(*) from pg_stat_activity where backend_type is not distinct from 'client backend')
                      - case when r.rolsuper then 0 else current_setting('superuser_reserved_connections')::bigint end,
                    (select count(*) from pg_stat_activity where datname = $1),
                    (select min(gid) from pg_prepared_xacts where database = $1),
                    coalesce((select pg_has_role(current_user, datdba, 'MEMBER') from pg_database where datname = $1), true)
               from pg_roles r where r.rolname = current_user",
            &[&live],
        )
        .await?;
    let mut facts = Facts {
        version: row.try_get(0)?,
        major: session.major,
        role: row.try_get(1)?,
        may_create: row.try_get(2)?,
        superuser: row.try_get(3)?,
        in_recovery: row.try_get(4)?,
        connections_left: row.try_get(5)?,
        live_connections: row.try_get(6)?,
        prepared: row.try_get(7)?,
        may_own: row.try_get(8)?,
        ..Facts::default()
    };
    facts.live = session.database(live).await?;
    if facts.live.is_some() {
        facts.live_size = session.size(live).await;
    }
    let names: Vec<&str> = [live].iter().chain(others).copied().collect();
    let sql =
        "select slot_name::text, database::text, active from pg_replication_slots where database = any($1) order by 1";
    for row in session.rows(sql, &[&names]).await? {
        facts.slots.push(Slot { name: row.try_get(0)?, database: row.try_get(1)?, active: row.try_get(2)? });
    }
    for name in others {
        facts.others.extend(session.database(name).await?);
    }
    facts.leftovers = leftovers(session, live, runs).await?;
    if server::is_here(target) {
        // This one takes a privilege that not every role has.
        let data = session.text("show data_directory").await.ok().flatten().map(PathBuf::from);
        facts.data_folder = data.filter(|d| d.is_dir());
        facts.tablespace_folder = match &facts.live {
            Some(live) if live.tablespace != "pg_default" => {
                let sql = "select pg_tablespace_location(oid) from pg_tablespace where spcname = $1";
                let row = session.row(sql, &[&live.tablespace]).await?;
                let place: String = row.try_get(0)?;
                Some(PathBuf::from(place)).filter(|p| p.is_dir())
            }
            _ => facts.data_folder.clone(),
        };
    }
    let row = session
        .row(
            "select (select setting::bigint * 1048576 from pg_settings where name = 'max_wal_size'),
                    current_setting('archive_mode') <> 'off' or exists (select from pg_replication_slots)",
            &[],
        )
        .await?;
    facts.wal_limit = row.try_get::<_, Option<i64>>(0)?.and_then(|n| u64::try_from(n).ok()).unwrap_or(1 << 30);
    facts.wal_kept = row.try_get(1)?;
    Ok(facts)
}

/// Side databases marked as incomplete whose run is over, or of which nothing is known, and that nobody is connected to.
async fn leftovers(session: &Session, live: &str, runs: &[Run]) -> Result<Vec<Pinned>, PgError> {
    let begin = format!("{}{live} from ", super::super::pg::SIDE_MARK);
    let rows = session
        .rows(
            "select d.oid, d.datname::text, shobj_description(d.oid, 'pg_database')
               from pg_database d
              where position($1 in shobj_description(d.oid, 'pg_database')) = 1
                and not exists (select from pg_stat_activity a where a.datid = d.oid)",
            &[&begin],
        )
        .await?;
    let mut found = Vec::new();
    for row in &rows {
        let comment: String = row.try_get(2)?;
        let running = runs.iter().any(|r| !r.state.is_over() && comment.contains(&format!(", run {}:", r.id())));
        if super::super::pg::is_incomplete(Some(&comment)) && !running {
            found.push(Pinned { name: row.try_get(1)?, oid: row.try_get(0)? });
        }
    }
    Ok(found)
}

/// `127.0.0.1:5432`, for what a run holds.
pub fn place(target: &PgTarget) -> String {
    target.endpoints().iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
