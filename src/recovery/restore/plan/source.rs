//! The copy and the program that loads it: do they fit, and can the copy be read to its end?

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::super::format::{self, Kind, Shape, Wrap};
use super::super::job::PgRestore;
use super::super::only;
use super::super::pg;
use super::super::sql::Findings;
use super::super::toc::{self, TocError};
use super::facts::Facts;
use super::{Draft, Say};
use crate::domain::command::Refusal;
use crate::recovery::plan::PlanContext;
use crate::sys::pg::programs::{self, Tool};
use crate::text;

/// Copies up to this size are read to their end while planning; larger ones as the first phase.
const READ_NOW: u64 = 32 << 20;
const READ_LIMIT: Duration = Duration::from_secs(6);

/// The program that loads this copy, of a version that can read it.
pub async fn tool(
    ctx: &PlanContext,
    draft: &mut Draft<'_>,
    job: &mut PgRestore,
    shape: &Result<Shape, String>,
    facts: Option<&Facts>,
) {
    let Ok(shape) = shape else { return };
    let name = if shape.kind.is_pg_archive() { "pg_restore" } else { "psql" };
    let check = format!("tool {name}");
    let found = programs::find(name, ctx.tool_path.as_deref()).await;
    let server = facts.map(|f| f.major);
    let minor = shape.minor;
    let reads = |t: &Tool| minor.is_none_or(|m| toc::newest_read_by(t.major) >= m);
    let fitting: Vec<Tool> = found.iter().filter(|t| reads(t)).cloned().collect();
    if let Some(tool) = programs::choose(&fitting, 0, server) {
        job.tool = tool.path.clone();
        draft.pass(&check, tool.said.clone());
    } else if found.is_empty() {
        let version = server.map(|v| format!("-{v}")).unwrap_or_default();
        draft.fail(&check, format!("there is none on this host: install postgresql-client{version}"));
    } else if let Some(minor) = minor {
        let newest = found.last().map_or(0, |t| t.major);
        let from = toc::postgres_of(minor).unwrap_or(0);
        draft.fail(
            &check,
            format!("{name} {newest} cannot read an archive of version 1.{minor} (PostgreSQL {from}): install postgresql-client-{from} or choose another copy"),
        );
    }
}

/// What was found by reading a copy to its end while planning.
#[derive(Default)]
pub struct Read {
    /// Bytes, unpacked.
    pub unpacked: Option<u64>,
    /// Of a plain dump.
    pub found: Option<Findings>,
}

/// The copy is one that can be loaded, and where that is quickly done, read to its end.
pub async fn readable(draft: &mut Draft<'_>, job: &mut PgRestore, shape: &Result<Shape, String>) -> Read {
    let nothing = |draft: &mut Draft<'_>, why: String| {
        draft.fail("copy readable", why);
        Read::default()
    };
    let shape = match shape {
        Err(why) => return nothing(draft, why.clone()),
        Ok(shape) => shape,
    };
    if !shape.kind.is_pg_archive() && shape.kind != Kind::Sql {
        return nothing(draft, no_dump(&job.copy.place, shape));
    }
    match &shape.toc {
        // Said at the tool.
        Some(Err(TocError::Newer(_))) => {
            draft.warn("copy readable", "it is too new to be looked into");
            return Read::default();
        }
        Some(Err(e)) => {
            let why = format!("{}: {e}; choose another copy", job.copy.place);
            return nothing(draft, why);
        }
        Some(Ok(toc)) => {
            job.entries = Some(toc.entries);
            job.tables = Some(toc.count("TABLE"));
            let told = pg::told::archive(toc);
            job.create_as = Some(told.create.clone());
            job.lost = Some(told);
        }
        None => {}
    }
    let word = shape.word();
    if shape.size > READ_NOW {
        draft.pass("copy readable", later(&word));
        return Read::default();
    }
    match read_to_end(job).await {
        Some(Ok(read)) => {
            if let Some(found) = &read.found {
                job.lost = Some(pg::told::plain(&found.about_database, &found.pg_dump));
            }
            draft.pass("copy readable", format!("{word}, read to its end"));
            read
        }
        Some(Err(why)) => nothing(draft, why),
        None => {
            let why = "reading it takes long, so it is read to its end as the first phase";
            draft.pass("copy readable", format!("{word}; {why}"));
            Read::default()
        }
    }
}

/// Why nothing of it can be loaded.
fn no_dump(place: &str, shape: &Shape) -> String {
    let word = shape.word();
    match shape.wrap {
        Wrap::Age => format!(
            "{place} is a {word}, and dumps are not decrypted here: decrypt it into a file of its own (age -d), or choose \
             another copy"
        ),
        _ => format!("{place} is a {word} and not a dump of PostgreSQL: choose another copy"),
    }
}

/// Of single tables or schemas: which entries of the archive that are. Errors: of a copy out of which nothing can be taken.
pub async fn choose(
    draft: &mut Draft<'_>,
    job: &mut PgRestore,
    shape: &mut Result<Shape, String>,
) -> Result<(), Refusal> {
    let Ok(shape) = shape else { return Ok(()) };
    if job.only.is_empty() {
        return Ok(());
    }
    if !shape.kind.is_pg_archive() {
        return Err(Refusal::usage(
            format!("copy {} is a {}: single tables cannot be taken out of it", job.copy.id, shape.word()),
            "restore it whole, without `only`, and take the tables out of the side database with pg_dump --table; have \
             copies made with pg_dump -Fc for another time",
        ));
    }
    let (path, kind, only) = (format::path_of(&job.copy), shape.kind, job.only.clone());
    let work = tokio::task::spawn_blocking(move || only::choose(&format::entries(&path, kind)?, &only));
    let chosen = match tokio::time::timeout(READ_LIMIT * 2, work).await {
        Ok(Ok(chosen)) => chosen,
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err(format!("{} does not answer: look at its file system", job.copy.place)),
    };
    let chosen = match chosen {
        Ok(chosen) => chosen,
        Err(why) => {
            draft.fail("only", why);
            return Ok(());
        }
    };
    job.entries = Some(chosen.ids.len() as u64);
    job.tables = Some(chosen.definitions);
    if let Some(Ok(toc)) = &mut shape.toc {
        toc.owners = chosen.owners;
        toc.extensions = chosen.extensions;
    }
    let names: Vec<String> = chosen.tables.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = if chosen.tables.len() > SHOWN { ", …" } else { "" };
    draft.effect(format!(
        "only {} out of the copy, with what belongs to them: {}{more}",
        text::plural(chosen.tables.len(), "table"),
        names.join(", ")
    ));
    if chosen.without.is_empty() {
        draft.pass("only", text::plural(chosen.ids.len(), "entry").replace("entrys", "entries"));
    } else {
        let more = chosen.without.len().saturating_sub(SHOWN);
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        let said: Vec<&str> = chosen.without.iter().take(SHOWN).map(String::as_str).collect();
        draft.warn("only", format!("{}{more}", said.join("; ")));
    }
    job.chosen = chosen.tables;
    Ok(())
}

/// Names and sentences shown at most.
const SHOWN: usize = 8;

fn later(word: &str) -> String {
    format!("{word}; it is read to its end as the first phase, before anything is made")
}

/// `None` when it takes too long for a plan.
async fn read_to_end(job: &PgRestore) -> Option<Result<Read, String>> {
    let until = Instant::now() + READ_LIMIT;
    let path = format::path_of(&job.copy);
    if matches!(job.kind, Kind::Sql | Kind::PgTar) {
        let kind = job.kind;
        let scan = tokio::task::spawn_blocking(move || {
            let mut watch =
                |_, _| if Instant::now() > until { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            match kind {
                Kind::Sql => Ok(pg::scan_file(&path, &mut watch)?.map(Some)),
                _ => Ok(pg::tar_file(&path, &mut watch)?.map(|()| None)),
            }
        });
        match tokio::time::timeout(READ_LIMIT * 2, scan).await {
            Ok(Ok(Ok(Some(Some(found))))) => {
                return Some(Ok(Read { unpacked: Some(found.bytes), found: Some(found) }));
            }
            Ok(Ok(Ok(Some(None)))) => {}
            Ok(Ok(Ok(None))) | Err(_) => return None,
            Ok(Ok(Err(why))) => return Some(Err(why)),
            Ok(Err(e)) => return Some(Err(e.to_string())),
        }
    }
    // What is wrapped once more is fed by us, which takes a run.
    if job.wrap != Wrap::Plain || !job.tool.is_absolute() {
        return None;
    }
    let read = pg::archive_within(job, READ_LIMIT).await?;
    Some(read.map(|bytes| Read { unpacked: Some(bytes).filter(|b| *b > 0), found: None }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encrypted_is_not_called_an_archive() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.sql.age");
        std::fs::write(&path, "age-encryption.org/v1\n-> X25519 abc\n").unwrap();
        let why = no_dump("/b/app.sql.age", &format::look(&path).unwrap());
        assert!(why.starts_with("/b/app.sql.age is a file that age encrypted, and dumps are not decrypted"), "{why}");
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_data(&mut tar::Header::new_ustar(), "a", std::io::empty()).unwrap();
        std::fs::write(&path, tar.into_inner().unwrap()).unwrap();
        let why = no_dump("/b/app.tar", &format::look(&path).unwrap());
        assert_eq!(why, "/b/app.tar is a tar archive and not a dump of PostgreSQL: choose another copy");
    }
}
