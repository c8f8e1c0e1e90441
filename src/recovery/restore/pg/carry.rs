//! What belongs to a database and is not in a dump of it: owner, privileges, connection limit, comment, and settings per
//! database and per role in it. They are taken from the live database.

use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use super::super::job::Described;
use super::server::{Database, Session};
use crate::recovery::op::OpContext;
use crate::sys::pg::{PgError, quote_ident, quote_literal};
use crate::text;

/// Everything carried over, as the server tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Properties {
    pub owner: String,
    pub limit: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Grantee (`None` is PUBLIC), privilege, with grant option. Sorted.
    pub privileges: Vec<(Option<String>, String, bool)>,
    /// Role (`None` is all), name, value. Sorted by role, in the order they were set.
    pub settings: Vec<(Option<String>, String, String)>,
}

/// Settings whose value is a list of names, each quoted on its own: `GUC_LIST_QUOTE` in PostgreSQL's guc_tables.c, as
/// pg_dump's `variable_is_guc_list_quote` has them.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// Reads the properties of a database.
pub async fn read(session: &Session, of: &Database) -> Result<Properties, PgError> {
    let privileges = session
        .rows(
            "select g.rolname::text, a.privilege_type, a.is_grantable
               from pg_database d,
                    lateral aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
                    left join pg_roles g on g.oid = a.grantee
              where d.oid = $1 and (a.grantee = 0 or g.oid is not null)
              order by 1 nulls first, 2, 3",
            &[&of.oid],
        )
        .await?;
    let privilege = |r: &Row| Ok::<_, tokio_postgres::Error>((r.try_get(0)?, r.try_get(1)?, r.try_get(2)?));
    let settings = session
        .rows(
            "select r.rolname::text, c.pair
               from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole,
                    lateral unnest(s.setconfig) with ordinality c(pair, n)
              where s.setdatabase = $1 and (s.setrole = 0 or r.oid is not null)
              order by 1 nulls first, c.n",
            &[&of.oid],
        )
        .await?;
    let mut carried = Vec::new();
    for row in &settings {
        let pair: String = row.try_get(1)?;
        if let Some((name, value)) = pair.split_once('=') {
            carried.push((row.try_get(0)?, name.to_owned(), value.to_owned()));
        }
    }
    let mut privileges = privileges.iter().map(privilege).collect::<Result<Vec<_>, _>>()?;
    // By their bytes, whatever the server sorts by: they are compared with others.
    privileges.sort();
    carried.sort_by(|a: &(Option<String>, String, String), b| a.0.cmp(&b.0));
    Ok(Properties {
        owner: of.owner.clone(),
        limit: of.limit,
        comment: of.comment.clone(),
        privileges,
        settings: carried,
    })
}

impl Properties {
    /// Statements that give a database `name`, which has the properties `now`, these ones. The comment is left alone: it
    /// says that the side copy is one.
    pub fn statements(&self, name: &str, now: &Properties) -> Vec<String> {
        let db = quote_ident(name);
        let mut sql = Vec::new();
        if now.owner != self.owner {
            sql.push(format!("ALTER DATABASE {db} OWNER TO {}", quote_ident(&self.owner)));
        }
        if now.limit != self.limit {
            sql.push(format!("ALTER DATABASE {db} CONNECTION LIMIT {}", self.limit));
        }
        if now.privileges != self.privileges || now.owner != self.owner {
            let mut from: Vec<&Option<String>> = now.privileges.iter().map(|(g, ..)| g).collect();
            from.extend([&None]);
            // Changing the owner hands the old one's privileges to the new one.
            let owner = Some(self.owner.clone());
            from.push(&owner);
            from.sort();
            from.dedup();
            // What belonged to the old owner is the new one's by now.
            let stale = Some(now.owner.clone());
            from.retain(|g| self.owner == now.owner || **g != stale);
            sql.extend(from.into_iter().map(|g| format!("REVOKE ALL ON DATABASE {db} FROM {}", grantee(g))));
            for (to, privilege, grantable) in &self.privileges {
                let option = if *grantable { " WITH GRANT OPTION" } else { "" };
                sql.push(format!("GRANT {} ON DATABASE {db} TO {}{option}", keyword(privilege), grantee(to)));
            }
        }
        if now.settings != self.settings {
            let mut roles: Vec<&Option<String>> = now.settings.iter().map(|(role, ..)| role).collect();
            roles.dedup();
            sql.extend(roles.into_iter().map(|role| format!("{} RESET ALL", alter(&db, role))));
            for (role, setting, value) in &self.settings {
                sql.push(format!(
                    "{} SET {} TO {}",
                    alter(&db, role),
                    quote_ident(setting),
                    setting_value(setting, value)
                ));
            }
        }
        sql
    }

    /// The statement that carries the comment over.
    pub fn comment_statement(&self, name: &str) -> String {
        comment_on(name, self.comment.as_deref())
    }
}

pub fn comment_on(name: &str, comment: Option<&str>) -> String {
    let text = comment.map_or("NULL".to_owned(), |c| quote_literal(c).trim_start().to_owned());
    format!("COMMENT ON DATABASE {} IS {text}", quote_ident(name))
}

fn alter(db: &str, role: &Option<String>) -> String {
    match role {
        None => format!("ALTER DATABASE {db}"),
        Some(role) => format!("ALTER ROLE {} IN DATABASE {db}", quote_ident(role)),
    }
}

fn grantee(name: &Option<String>) -> String {
    name.as_ref().map_or("PUBLIC".to_owned(), |n| quote_ident(n))
}

/// A privilege as `aclexplode` names it; letters and spaces only, whatever a server says.
fn keyword(privilege: &str) -> String {
    privilege.chars().filter(|c| c.is_ascii_alphabetic() || *c == ' ').collect()
}

fn setting_value(name: &str, value: &str) -> String {
    let lit = |text: &str| quote_literal(text).trim_start().to_owned();
    if !LISTS.contains(&name) {
        return lit(value);
    }
    let names: Vec<String> = list(value).iter().map(|n| lit(n)).collect();
    // An empty list is written as one empty name, as pg_dump does.
    if names.is_empty() { "''".to_owned() } else { names.join(", ") }
}

/// The value of a setting as the server keeps it, of the values given to it one by one.
pub fn joined(name: &str, values: &[String]) -> String {
    if LISTS.contains(&name) {
        return values.iter().filter(|v| !v.is_empty()).map(|v| quote_ident(v)).collect::<Vec<_>>().join(", ");
    }
    values.join(", ")
}

/// Takes a list of names apart: separated by commas, quoted with `"` where needed (varlena.c, SplitGUCList).
fn list(value: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut quoted = false;
    let mut any = false;
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => name.push('"'),
            '"' => {
                quoted = !quoted;
                any = true;
            }
            ',' if !quoted => {
                names.push(std::mem::take(&mut name));
                any = false;
            }
            c if c.is_whitespace() && !quoted => {}
            c => name.push(c),
        }
    }
    if any || !name.is_empty() {
        names.push(name);
    }
    names
}

/// Gives a database what is known of a lost one. Returns what could not be given and why: it is no reason to keep the data
/// from those who wait for them. Errors: the server cannot be talked to any more.
pub async fn give(
    session: &Session,
    ctx: &OpContext,
    to: &Database,
    lost: &Described,
    stays_closed: bool,
) -> Result<Vec<String>, PgError> {
    let now = read(session, to).await?;
    let mut refused = Vec::new();
    for sql in lost.wanted(&now, stays_closed).statements(&to.name, &now) {
        match session.run(&sql).await {
            Ok(()) => ctx.sink.line(&sql),
            Err(PgError::Other { sqlstate: Some(_), message }) => {
                ctx.sink.line(&format!("not done: {sql}: {message}"));
                refused.push(format!("\"{}\" was refused ({})", text::clean(&sql), text::clean(&message)));
            }
            Err(e) => return Err(e),
        }
    }
    Ok(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_names_are_quoted_one_by_one() {
        for (value, wanted) in [
            ("public", "'public'"),
            ("\"$user\", public", "'$user', 'public'"),
            ("\"a, b\", \"c\"\"d\"", "'a, b', 'c\"d'"),
            ("", "''"),
            ("\"\"", "''"),
        ] {
            assert_eq!(setting_value("search_path", value), wanted, "{value}");
        }
        assert_eq!(setting_value("app.motto", "it's, so"), "'it''s, so'");
    }

    #[test]
    fn nothing_is_said_where_nothing_differs() {
        let same = Properties { owner: "o".into(), limit: -1, ..Properties::default() };
        assert!(same.statements("d", &same).is_empty());
        let wanted = Properties {
            limit: 50,
            settings: vec![(Some("r".into()), "work_mem".into(), "64MB".into())],
            ..same.clone()
        };
        assert_eq!(
            wanted.statements("D\"b", &same),
            [
                "ALTER DATABASE \"D\"\"b\" CONNECTION LIMIT 50",
                "ALTER ROLE \"r\" IN DATABASE \"D\"\"b\" SET \"work_mem\" TO '64MB'"
            ]
        );
    }
}
