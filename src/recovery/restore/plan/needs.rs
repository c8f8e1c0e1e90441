//! What a dump of PostgreSQL needs of the server, and what it says of the database that was dumped.

use super::super::format::{Kind, Shape};
use super::super::job::PgRestore;
use super::super::pg;
use super::super::sql::Findings;
use super::facts::Facts;
use super::{Draft, Say};

/// Versions of dump and server, roles and extensions. Of a plain dump they stand all over it: `found` when it was read.
pub async fn check(
    draft: &mut Draft<'_>,
    session: &pg::server::Session,
    shape: &Shape,
    found: Option<&Findings>,
    job: &mut PgRestore,
    facts: &Facts,
) {
    let (server, pg_dump, owners, extensions, spaces) = match (&shape.toc, found) {
        (Some(Ok(toc)), _) => (&toc.head.server, &toc.head.pg_dump, &toc.owners, &toc.extensions, &toc.tablespaces),
        (_, Some(found)) => (&found.server, &found.pg_dump, &found.owners, &found.extensions, &found.tablespaces),
        _ if shape.kind == Kind::Sql => {
            let later = "what the dump says of them is read as the first phase, before anything is made";
            draft.pass("versions", later);
            return draft.pass("roles and extensions", later);
        }
        _ => return,
    };
    match programs::major(server) {
        Some(from) if from > session.major => draft.warn(
            "versions",
            format!(
                "the copy is of PostgreSQL {from} and the server is {}: what the older one does not know fails",
                session.major
            ),
        ),
        Some(_) => draft.pass("versions", format!("copy of PostgreSQL {server}, made with pg_dump {pg_dump}")),
        None => draft.warn("versions", "it does not say from which PostgreSQL it is"),
    }
    let mut owners: Vec<&str> = owners.iter().map(String::as_str).collect();
    let extensions: Vec<&str> = extensions.iter().map(String::as_str).collect();
    if facts.live.is_none() {
        owners.extend(job.lost.as_ref().and_then(|lost| lost.create.owner.as_deref()));
    }
    match pg::lacking(session, &owners, &extensions).await {
        Ok(None) => draft.pass("roles and extensions", "the server has all that the copy needs"),
        Ok(Some(why)) => draft.fail("roles and extensions", why),
        Err(e) => draft.warn("roles and extensions", format!("could not be compared: {e}")),
    }
    match pg::missing_spaces(session, spaces).await {
        Ok(missing) if missing.is_empty() => {}
        Ok(missing) => {
            job.no_tablespaces = true;
            draft.warn(
                "tablespaces",
                format!(
                    "the server does not have {}: everything comes into the tablespace of the database instead; to have it \
                     apart again, make them first (CREATE TABLESPACE) and plan anew",
                    missing.join(", ")
                ),
            );
        }
        Err(e) => draft.warn("tablespaces", format!("could not be compared: {e}")),
    }
}

/// There is no live database to take its properties from.
pub fn lost(draft: &mut Draft<'_>, job: &PgRestore) {
    let live = &job.live;
    let gone = format!("{live} does not exist, so that the cut-over has nothing to keep");
    let Some(lost) = &job.lost else {
        let later =
            "what the copy says of its owner, privileges, limit, settings and comment is taken when it has been read";
        return draft.warn("live database", format!("{gone}; {later}, and what it does not say is named then"));
    };
    let taken = match lost.summary() {
        said if said.is_empty() => String::new(),
        said => format!("; taken from the copy: {said}"),
    };
    let missing = match lost.lacking() {
        None => String::new(),
        Some(what) => format!(
            "; the copy does not say {what}: these will be PostgreSQL's defaults; set them by hand after the cut-over"
        ),
    };
    draft.warn("live database", format!("{gone}{taken}{missing}"));
}
use crate::sys::pg::programs;
