//! Talking to the server that is restored on: which database to stand in meanwhile, and the facts about databases.

use std::time::Duration;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, SimpleQueryMessage};

use crate::recovery::op::OpError;
use crate::sys::pg::{self, Endpoint, PgConn, PgError, PgTarget, quote_ident, quote_literal};

/// Time for getting a connection.
pub const CONNECT: Duration = Duration::from_secs(10);
/// Time for a statement about the catalogue.
pub const STATEMENT: Duration = Duration::from_secs(30);

/// A connection to a database that is neither the live one nor a side one.
pub struct Session {
    pub conn: PgConn,
    /// The 15 of 15.18.
    pub major: u32,
}

/// Connects to a database other than `avoid`: the one of the connection string where it is another, else `postgres`, else
/// `template1`.
pub async fn beside(target: &PgTarget, avoid: &[&str], name: &str) -> Result<Session, PgError> {
    let mut places = vec![target.database(), "postgres", "template1"];
    places.retain(|p| !avoid.contains(p));
    places.dedup();
    let mut last = PgError::NoDatabase("postgres and template1 are not there".into());
    for place in places {
        match within(target, place, name).await {
            Err(e @ PgError::NoDatabase(_)) => last = e,
            // Not every role may connect to every database.
            Err(e @ PgError::Other { .. }) if is_denied(&e) => last = e,
            other => return other,
        }
    }
    Err(last)
}

fn is_denied(e: &PgError) -> bool {
    matches!(e, PgError::Other { sqlstate: Some(code), .. } if code == "42501" || code == "55000")
}

/// Connects to the database `database`.
pub async fn within(target: &PgTarget, database: &str, name: &str) -> Result<Session, PgError> {
    let conn = pg::connect(&target.clone().with_database(database), CONNECT).await?;
    let session = Session { conn, major: 0 };
    session.run(&format!("set application_name = {}", quote_literal(name))).await?;
    // Against settings of the role or the database that would end a step half way.
    session.run("set statement_timeout = 0; set lock_timeout = 0; set default_transaction_read_only = off; set idle_session_timeout = 0").await.or_else(|e| match e {
        // idle_session_timeout is of PostgreSQL 14.
        PgError::Other { sqlstate: Some(code), .. } if code == "42704" => Ok(()),
        e => Err(e),
    })?;
    let number = session.text("show server_version_num").await?.and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
    Ok(Session { major: number / 10_000, ..session })
}

impl Session {
    /// Runs statements that give nothing back, within [`STATEMENT`].
    pub async fn run(&self, sql: &str) -> Result<(), PgError> {
        self.run_in(STATEMENT, sql).await
    }

    /// Runs statements within `limit`; then the server is asked to stop them.
    pub async fn run_in(&self, limit: Duration, sql: &str) -> Result<(), PgError> {
        self.limited(limit, async { Ok(self.conn.client.batch_execute(sql).await?) }).await
    }

    pub async fn rows(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, PgError> {
        self.limited(STATEMENT, async { Ok(self.conn.client.query(sql, params).await?) }).await
    }

    /// The one row there must be.
    pub async fn row(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Row, PgError> {
        self.limited(STATEMENT, async { Ok(self.conn.client.query_one(sql, params).await?) }).await
    }

    /// First column of the first row, as text; `None` when there is no row or it is null.
    pub async fn text(&self, sql: &str) -> Result<Option<String>, PgError> {
        self.text_in(STATEMENT, sql).await
    }

    pub async fn text_in(&self, limit: Duration, sql: &str) -> Result<Option<String>, PgError> {
        let messages = self.limited(limit, async { Ok(self.conn.client.simple_query(sql).await?) }).await?;
        Ok(messages
            .iter()
            .find_map(|m| match m {
                SimpleQueryMessage::Row(row) => Some(row.try_get(0).ok().flatten().map(str::to_owned)),
                _ => None,
            })
            .flatten())
    }

    async fn limited<T>(&self, limit: Duration, work: impl Future<Output = Result<T, PgError>>) -> Result<T, PgError> {
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => {
                let _ = self.conn.cancel(Duration::from_secs(5)).await;
                let message = format!("the server did not answer within {}", crate::text::duration(limit));
                Err(PgError::Other { sqlstate: None, message })
            }
        }
    }

    /// What the server knows of a database; `None` when there is none of this name.
    pub async fn database(&self, name: &str) -> Result<Option<Database>, PgError> {
        // Columns that came with later versions: 15 (providers), 16 (rules) and 17 (one locale for all of them).
        let (provider, locale, rules) = match self.major {
            0..=14 => ("''::text", "null::text", "null::text"),
            15 => ("datlocprovider::text", "daticulocale", "null::text"),
            16 => ("datlocprovider::text", "daticulocale", "daticurules"),
            _ => ("datlocprovider::text", "datlocale", "daticurules"),
        };
        let sql = format!(
            "select d.oid, r.rolname::text, pg_encoding_to_char(encoding)::text, datcollate::text, datctype::text, {provider}, {locale},
                    datallowconn, datconnlimit, t.spcname::text, shobj_description(d.oid, 'pg_database'), {rules}
               from pg_database d join pg_roles r on r.oid = datdba join pg_tablespace t on t.oid = dattablespace
              where datname = $1"
        );
        let rows = self.rows(&sql, &[&name]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Database {
            name: name.to_owned(),
            oid: row.try_get(0)?,
            owner: row.try_get(1)?,
            encoding: row.try_get(2)?,
            collate: row.try_get(3)?,
            ctype: row.try_get(4)?,
            provider: row.try_get(5)?,
            locale: row.try_get(6)?,
            open: row.try_get(7)?,
            limit: row.try_get(8)?,
            tablespace: row.try_get(9)?,
            comment: row.try_get(10)?,
            rules: row.try_get(11)?,
        }))
    }

    /// Bytes of a database on disk; `None` when this role may not know.
    pub async fn size(&self, name: &str) -> Option<u64> {
        let row = self.row("select pg_database_size($1::name)", &[&name]).await.ok()?;
        row.try_get::<_, i64>(0).ok().and_then(|n| u64::try_from(n).ok())
    }
}

/// A database, as the catalogue describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    pub name: String,
    pub oid: u32,
    pub owner: String,
    pub encoding: String,
    pub collate: String,
    pub ctype: String,
    /// `c` (libc), `i` (ICU), `b` (built in); empty where the server is too old to tell them apart.
    pub provider: String,
    /// Of ICU and of the built-in provider.
    pub locale: Option<String>,
    /// Of ICU: changes to its order.
    pub rules: Option<String>,
    pub open: bool,
    /// Connection limit; -1 for none.
    pub limit: i32,
    pub tablespace: String,
    pub comment: Option<String>,
}

impl Database {
    /// The statement that makes an empty database like this one under another name.
    pub fn create_like(&self, name: &str) -> String {
        let lit = |text: &str| quote_literal(text).trim_start().to_owned();
        let mut sql = format!(
            "CREATE DATABASE {} WITH TEMPLATE template0 OWNER {} ENCODING {} LC_COLLATE {} LC_CTYPE {} TABLESPACE {}",
            quote_ident(name),
            quote_ident(&self.owner),
            lit(&self.encoding),
            lit(&self.collate),
            lit(&self.ctype),
            quote_ident(&self.tablespace),
        );
        match (self.provider.as_str(), &self.locale) {
            // Said all the same: otherwise it is that of template0, which may be another one.
            ("c", _) => sql.push_str(" LOCALE_PROVIDER libc"),
            ("i", Some(locale)) => {
                sql.push_str(&format!(" LOCALE_PROVIDER icu ICU_LOCALE {}", lit(locale)));
                if let Some(rules) = &self.rules {
                    sql.push_str(&format!(" ICU_RULES {}", lit(rules)));
                }
            }
            ("b", Some(locale)) => sql.push_str(&format!(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {}", lit(locale))),
            _ => {}
        }
        sql
    }
}

/// Whether the server runs on this host, as far as its address says.
pub fn is_here(target: &PgTarget) -> bool {
    target.endpoints().iter().all(|e| match e {
        Endpoint::Unix { .. } => true,
        Endpoint::Tcp { address: Some(ip), .. } => ip.is_loopback(),
        Endpoint::Tcp { host, .. } => {
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
    })
}

/// Turns a server's answer into the error of an operation: what was attempted, on what, why, and what to do.
pub fn failed(what: impl std::fmt::Display) -> impl FnOnce(PgError) -> OpError {
    move |e| {
        let hint = advice(&e);
        OpError::Failed(if hint.is_empty() { format!("{what}: {e}") } else { format!("{what}: {e}: {hint}") })
    }
}

/// What to do about an answer of the server.
pub fn advice(e: &PgError) -> &'static str {
    match e {
        PgError::Dns { .. } => "correct the host in the `dsn` of the restore, or add it to /etc/hosts",
        PgError::Refused { .. } => "start the server, or correct host and port in the `dsn` of the restore",
        PgError::TimedOut(_) => "look whether the server hangs or a packet filter stands between",
        PgError::Auth(_) => "correct user and password of the restore, or pg_hba.conf",
        PgError::Recovering(..) => "wait until the server accepts connections and try again",
        PgError::NoDatabase(_) => "correct the database in the `dsn` of the restore",
        PgError::TooManyConnections(_) => "end connections, or use a role that may take the reserved ones",
        PgError::Tls(_) => "correct `sslmode` or `extra_ca` of the restore",
        PgError::ReadOnly => "name the primary in the `dsn` of the restore",
        PgError::Closed => "look into the server's log, then start it again",
        PgError::Other { sqlstate, .. } => match sqlstate.as_deref() {
            Some("42501") => "use a role that owns the database and may create databases (`dsn` of the restore)",
            Some("53100") => "make room on the server's disk",
            Some("55006") => "end what is still connected to it and try again",
            Some("57P01" | "57P02") => "look into the server's log, then try again",
            _ => "",
        },
    }
}
