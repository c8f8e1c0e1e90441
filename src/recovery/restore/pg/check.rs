//! Reading a dump to its very end before anything is made of it.
//!
//! `pg_restore --list` passes archives that were cut off, `gzip -t` passes dumps cut at a line's end. So an archive is
//! decoded whole (`pg_restore -f /dev/null`), and a plain dump is read by the scanner, last line included.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::super::child::{self, Feed, Stopped, Tool};
use super::super::format::{self, Kind, Wrap};
use super::super::job::PgRestore;
use super::super::manifest;
use super::super::sql::{Findings, Rules, Scanner};
use super::{Facts, explain, room, server, told};
use crate::domain::backup::Manifest;
use crate::recovery::op::{Done, OpContext, OpError};
use crate::sys::archive;
use crate::text;

pub async fn run(job: &PgRestore, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("check copy {}", text::clean(&job.copy.id));
    let path = format::path_of(&job.copy);
    let failed = |why: String| OpError::Failed(format!("{what}: {why}"));
    let looked = tokio::task::spawn_blocking(move || format::look(&path)).await;
    let shape = looked.map_err(|e| failed(e.to_string()))?.map_err(failed)?;
    if shape.kind != job.kind || shape.wrap != job.wrap {
        return Err(failed(format!(
            "it was a {} when it was planned and is a {} now: plan anew",
            job.kind.word(),
            shape.word()
        )));
    }
    if shape.size != job.copy.size && job.copy.size != 0 && shape.size != 0 {
        let (then, now) = (text::size(job.copy.size), text::size(shape.size));
        return Err(failed(format!(
            "it had {then} when it was planned and has {now} now: it is still being written, or was replaced; plan anew"
        )));
    }
    let manifest = manifest::check(&job.copy, ctx, &what).await?;
    let compared = manifest.as_ref().and_then(|m| m.sha256.as_ref()).map_or("", |_| ", its checksum is its manifest's");
    let mut facts = Facts { tables: job.tables, rows: None, manifest, lost: job.lost.clone(), no_spaces: Vec::new() };
    let mut spaces = match &shape.toc {
        Some(Ok(toc)) => toc.tablespaces.clone(),
        _ => BTreeSet::new(),
    };
    let unpacked;
    let said = if job.kind == Kind::Sql {
        let found = scan(job, ctx).await?;
        missing_on_server(job, ctx, &found).await?;
        if found.inserts == 0 {
            facts.rows = Some(found.rows);
        }
        facts.tables = Some(found.tables);
        facts.lost = Some(told::plain(&found.about_database, &found.pg_dump));
        unpacked = found.bytes;
        spaces.clone_from(&found.tablespaces);
        let rows = text::plural(usize::try_from(found.rows).unwrap_or(usize::MAX), "row");
        format!("read to its end: {} lines, {rows} in table data", found.lines)
    } else {
        unpacked = archive_to_end(job, ctx).await?;
        "read to its end".to_owned()
    };
    if !spaces.is_empty() {
        let target = job.reach.target_for(ctx)?;
        let what = format!("look for the tablespaces of {} on {}", job.copy.id, target.label());
        let session = server::beside(&target, &[&job.live, &job.side], "mayday check").await;
        let session = session.map_err(server::failed(&what))?;
        facts.no_spaces = missing_spaces(&session, &spaces).await.map_err(server::failed(&what))?;
    }
    facts.write(ctx)?;
    if unpacked > 0 {
        let rows = facts.rows.or_else(|| facts.manifest.as_ref().and_then(Manifest::rows));
        let data = text::size(room::taken(unpacked, rows));
        ctx.sink.line(&format!("{} unpacked: about {data} in the server", text::size(unpacked)));
    }
    ctx.sink.line(&format!("{}: {said}", text::clean(&job.copy.id)));
    Ok(Done { verified: Some(format!("copy {said}{compared}")) })
}

/// What a plain dump needs and the server does not have: said before anything is made.
async fn missing_on_server(job: &PgRestore, ctx: &OpContext, found: &Findings) -> Result<(), OpError> {
    let target = job.reach.target_for(ctx)?;
    let what = format!("look for the roles and extensions of {} on {}", job.copy.id, target.label());
    let session =
        server::beside(&target, &[&job.live, &job.side], "mayday check").await.map_err(server::failed(&what))?;
    let extensions: Vec<&str> = found.extensions.iter().map(String::as_str).collect();
    let mut owners: Vec<&str> = found.owners.iter().map(String::as_str).collect();
    let lost = told::plain(&found.about_database, &found.pg_dump);
    // Whose the database was matters only where it is made from the dump.
    if session.database(&job.live).await.map_err(server::failed(&what))?.is_none() {
        owners.extend(lost.create.owner.as_deref());
    }
    let lacking = lacking(&session, &owners, &extensions).await.map_err(server::failed(&what))?;
    match lacking {
        None => Ok(()),
        Some(why) => Err(OpError::Failed(format!("copy {}: {why}", text::clean(&job.copy.id)))),
    }
}

/// Roles and extensions that the server lacks, with what to do; `None` when it has all.
pub async fn lacking(
    session: &server::Session,
    owners: &[&str],
    extensions: &[&str],
) -> Result<Option<String>, crate::sys::pg::PgError> {
    let of = |sql: &'static str, names: Vec<String>| async move {
        let rows = session.rows(sql, &[&names]).await?;
        rows.iter().map(|r| Ok(r.try_get::<_, String>(0)?)).collect::<Result<Vec<_>, crate::sys::pg::PgError>>()
    };
    let own = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let roles = of(
        "select n from unnest($1::text[]) n where not exists (select from pg_roles where rolname = n) order by 1",
        own(owners),
    )
    .await?;
    let extensions = of("select n from unnest($1::text[]) n where not exists (select from pg_available_extensions where name = n) order by 1", own(extensions)).await?;
    let mut said = Vec::new();
    if !roles.is_empty() {
        let create: Vec<String> =
            roles.iter().map(|r| format!("CREATE ROLE {};", crate::sys::pg::quote_ident(r))).collect();
        said.push(format!(
            "what is in it belongs to roles, or is granted to roles, that the server does not have: {}: {}",
            roles.join(", "),
            create.join(" ")
        ));
    }
    if !extensions.is_empty() {
        said.push(format!(
            "it needs extensions that the server does not have: {}: install their packages on the server",
            extensions.join(", ")
        ));
    }
    Ok(Some(said.join("; ")).filter(|s| !s.is_empty()))
}

/// Tablespaces that the server lacks. Data is worth more than the place it lies in: nothing is refused for them.
pub async fn missing_spaces(
    session: &server::Session,
    named: &BTreeSet<String>,
) -> Result<Vec<String>, crate::sys::pg::PgError> {
    let sql =
        "select n from unnest($1::text[]) n where not exists (select from pg_tablespace where spcname = n) order by 1";
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    let rows = session.rows(sql, &[&named]).await?;
    rows.iter().map(|r| Ok(r.try_get(0)?)).collect()
}

/// A decoded stream of a file, and the file itself to ask how far it was read.
pub fn open(path: &Path) -> io::Result<(Box<dyn Read + Send>, Position)> {
    let file = File::open(path)?;
    let total = file.metadata()?.len();
    let same = file.try_clone()?;
    Ok((archive::reader_ahead(file)?, Position { file: Arc::new(same), total }))
}

/// How far a file was read: two handles of one opening share their position.
#[derive(Clone)]
pub struct Position {
    file: Arc<File>,
    pub total: u64,
}

impl Position {
    pub fn done(&self) -> u64 {
        (&*self.file).stream_position().unwrap_or(0)
    }
}

/// Says in words what a failing decoder means.
pub fn decode_error(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut off: the compressed data ends early; choose another copy".into(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other
            if e.raw_os_error().is_none() =>
        {
            format!("it is damaged ({e}); choose another copy")
        }
        _ => format!("it cannot be read: {e}"),
    }
}

/// Reads a plain dump to its end. Blocks. `progress` is given bytes read and bytes there are, and can end it, which gives
/// `None`. Errors: why it is not to be restored from, and what to do.
pub fn scan_file(
    path: &Path,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Option<Findings>, String> {
    let (mut from, position) = open(path).map_err(|e| decode_error(&e))?;
    let mut scanner = Scanner::new(Rules::default());
    let mut piece = vec![0; 1 << 18];
    let mut out = Vec::new();
    loop {
        let n = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(decode_error(&e)),
        };
        scanner.feed(piece.get(..n).unwrap_or_default(), &mut out);
        out.clear();
        if progress(position.done(), position.total).is_break() {
            return Ok(None);
        }
    }
    let found = scanner.finish(&mut out);
    if let Some(why) = found.objection() {
        return Err(why);
    }
    match found.incomplete() {
        Some(why) => Err(format!("{why}; choose another copy")),
        None => Ok(Some(found)),
    }
}

async fn scan(job: &PgRestore, ctx: &OpContext) -> Result<Findings, OpError> {
    let path = format::path_of(&job.copy);
    let (cancel, sink) = (ctx.cancel.clone(), ctx.sink.clone());
    let work = tokio::task::spawn_blocking(move || {
        let mut last = 0;
        scan_file(&path, &mut |done, total| {
            if done - last > total / 200 {
                last = done;
                sink.progress(done, total, "reading the copy to its end");
            }
            if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    });
    let failed = |why: String| OpError::Failed(format!("check copy {}: {why}", text::clean(&job.copy.id)));
    let found = work.await.map_err(|e| failed(e.to_string()))?.map_err(failed)?.ok_or(OpError::Cancelled)?;
    if !found.by_pg_dump {
        ctx.sink.line("it does not begin as a dump of pg_dump does: that its end is its end cannot be told");
    }
    Ok(found)
}

/// Whether a tar archive of `pg_dump` has all its members. `pg_restore` reads one that was cut off without a word, or
/// without an end. Blocks.
pub fn tar_file(path: &Path, progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>) -> Result<Option<()>, String> {
    use super::super::folder;
    Ok(folder::check_archive(path, 0, &folder::Links::none(), progress)?.map(|_| ()))
}

/// Returns its bytes, unpacked; 0 where that cannot be told.
async fn archive_to_end(job: &PgRestore, ctx: &OpContext) -> Result<u64, OpError> {
    let what = format!("check copy {}", text::clean(&job.copy.id));
    let failed = |why: String| OpError::Failed(format!("{what}: {why}"));
    // Both read all of it: side by side they take as long as the slower one. pg_restore does not end on some that were
    // cut off: what the members say ends it.
    let fault = Arc::new(std::sync::OnceLock::<String>::new());
    let members = (job.kind == Kind::PgTar).then(|| {
        let (path, cancel, fault) = (format::path_of(&job.copy), ctx.cancel.clone(), fault.clone());
        let go_on = move || if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        tokio::task::spawn_blocking(move || {
            tar_file(&path, &mut |_, _| go_on()).inspect_err(|why| drop(fault.set(why.clone())))
        })
    });
    let args = archive_args(job);
    let (feed, position) = source(job, true).map_err(failed)?;
    let sink = ctx.sink.clone();
    let total = job.copy.size;
    let tool = Tool { program: job.tool.clone(), args, env: Vec::new(), password: None, feed, user: None };
    let line = sink.clone();
    let ended = child::run(tool, ctx, Arc::new(move |l: &str| line.line(l)), &mut |pid| {
        let done = position.as_ref().map_or_else(|| child::bytes_read(pid), Position::done);
        sink.progress(done.min(total), total, "reading the copy to its end");
        fault.get().map_or(Ok(()), |why| Err(why.clone()))
    })
    .await;
    // What is missing in the archive says more than what pg_restore makes of that.
    if let Some(members) = members {
        members.await.map_err(|e| failed(e.to_string()))?.map_err(failed)?.ok_or(OpError::Cancelled)?;
    }
    let ended = ended.map_err(|e| stopped(&what, e))?;
    if let Some(why) = ended.feed_error {
        return Err(failed(why));
    }
    if !ended.status.success() {
        return Err(failed(explain::tool("pg_restore", &ended.word(), &ended.said)));
    }
    Ok(ended.written)
}

/// As the check of an archive by name, without a run. `None` when it takes longer than `limit`. Returns its bytes,
/// unpacked; 0 where that cannot be told. Errors: why it cannot be restored from.
pub async fn archive_within(job: &PgRestore, limit: Duration) -> Option<Result<u64, String>> {
    let (program, args) = (job.tool.clone(), archive_args(job));
    let tool = Tool { program, args, env: Vec::new(), password: None, feed: None, user: None };
    let over = CancellationToken::new();
    let clock = tokio::time::sleep(limit);
    let ending = over.clone();
    let run = async move {
        let mut go_on = |_| Ok(());
        child::run_until(tool, None, &ending, Arc::new(|_: &str| {}), &mut go_on).await
    };
    tokio::pin!(run, clock);
    let ended = tokio::select! {
        ended = &mut run => ended,
        () = &mut clock => {
            over.cancel();
            run.await
        }
    };
    match ended {
        Ok(ended) if ended.status.success() => Some(Ok(ended.written)),
        Ok(ended) => Some(Err(explain::tool("pg_restore", &ended.word(), &ended.said))),
        Err(Stopped::Cancelled) => None,
        Err(Stopped::Halted(why) | Stopped::NotStarted(why)) => Some(Err(why)),
    }
}

pub fn stopped(what: &str, why: Stopped) -> OpError {
    match why {
        Stopped::Cancelled => OpError::Cancelled,
        Stopped::Halted(why) | Stopped::NotStarted(why) => OpError::Failed(format!("{what}: {why}")),
    }
}

type Source = (Option<Feed>, Option<Position>);

/// What `pg_restore` is called with to decode an archive to its end.
pub fn archive_args(job: &PgRestore) -> Vec<OsString> {
    let mut args = vec![OsString::from("--file=/dev/null")];
    args.extend(source_args(job));
    args
}

/// Where `pg_restore` reads an archive from: by name (then it may use several jobs), or, when the archive is wrapped in a
/// further compression, from us.
pub fn source_args(job: &PgRestore) -> Vec<OsString> {
    match (job.wrap, job.kind) {
        (Wrap::Plain, _) => vec!["--".into(), format::path_of(&job.copy).into()],
        (_, Kind::PgTar) => vec!["--format=tar".into()],
        _ => vec!["--format=custom".into()],
    }
}

pub fn source(job: &PgRestore, to_the_end: bool) -> Result<Source, String> {
    if job.wrap == Wrap::Plain {
        return Ok((None, None));
    }
    let (mut from, position) = open(&format::path_of(&job.copy)).map_err(|e| decode_error(&e))?;
    let feed: Feed = Box::new(move |to| {
        let mut piece = vec![0; 1 << 18];
        let mut listening = true;
        loop {
            let n = match from.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(decode_error(&e)),
            };
            // pg_restore stops reading where the archive ends; the checksum of the compression comes after that.
            listening = listening && to.write_all(piece.get(..n).unwrap_or_default()).is_ok();
            if !listening && !to_the_end {
                return Ok(());
            }
        }
    });
    Ok((Some(feed), Some(position)))
}
