//! The manifest beside a copy: read before anything is restored, and made of a copy.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};

use super::format::{self, Kind, Wrap};
use super::sql::{Findings, Rules, Scanner};
use super::{folder, pg};
use crate::domain::backup::{Copy, Manifest};
use crate::recovery::op::{OpContext, OpError};
use crate::sys::pg::programs;
use crate::sys::{archive, digest, manifest};
use crate::text;

pub use super::format::path_of;

/// Reads the manifest of a copy; `None` when there is none, or the copy lies in a repository. Blocks. Errors: why what
/// lies there is none.
pub fn read(copy: &Copy) -> Result<Option<Manifest>, String> {
    let path = format::path_of(copy);
    if path.is_absolute() { manifest::read(&path) } else { Ok(None) }
}

/// Bytes of a copy that is a file; 0 of what is none.
pub fn size(copy: &Copy) -> u64 {
    std::fs::metadata(format::path_of(copy)).ok().filter(std::fs::Metadata::is_file).map_or(0, |m| m.len())
}

/// Compares the size and the checksum of a copy with its manifest, where there is one. Errors: that they differ. A
/// manifest that cannot be read is said and stops nothing.
pub async fn check(copy: &Copy, ctx: &OpContext, what: &str) -> Result<Option<Manifest>, OpError> {
    let (own, again) = (copy.clone(), what.to_owned());
    super::blocking(what, ctx, move |ctx| {
        let failed = |why: String| OpError::Failed(format!("{again}: {why}; choose another copy"));
        let manifest = match read(&own) {
            Ok(Some(manifest)) => manifest,
            Ok(None) => return Ok(None),
            Err(why) => {
                ctx.sink.line(&format!("nothing is compared with a manifest: {why}"));
                return Ok(None);
            }
        };
        let path = format::path_of(&own);
        let size = size(&own);
        if let Some(why) = manifest.objection(size) {
            return Err(failed(why));
        }
        if let Some(stated) = manifest.sha256.as_ref().filter(|_| size > 0) {
            let mut progress = |done| {
                ctx.sink.progress(done, size, "comparing the checksum with the manifest");
                if ctx.cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let sum = digest::sha256_file(&path, &mut progress);
            let sum = sum.map_err(|e| failed(format!("it cannot be read: {e}")))?.ok_or(OpError::Cancelled)?;
            if sum != *stated {
                return Err(failed(format!("its checksum is {sum} and its manifest says {stated}: it is damaged")));
            }
            ctx.sink.line("its checksum is that of its manifest");
        }
        Ok(Some(manifest))
    })
    .await
}

/// Reads a copy to its end and says what is in it. Errors: why it cannot be told, and what to do.
pub async fn make(copy: &Copy) -> Result<Manifest, String> {
    let path = format::path_of(copy);
    if !path.is_absolute() {
        return Err(format!("{} lies in a repository, which keeps its own checksums", text::clean(&copy.id)));
    }
    let restore = programs::find("pg_restore", None).await.into_iter().max_by_key(|t| t.major).map(|t| t.path);
    let taken_at = copy.taken_at;
    let made = tokio::task::spawn_blocking(move || {
        let mut manifest = contents(&path, restore.as_deref())?;
        manifest.taken_at = Some(taken_at);
        Ok(manifest)
    });
    made.await.map_err(|e| e.to_string())?
}

fn contents(path: &Path, restore: Option<&Path>) -> Result<Manifest, String> {
    let shown = path.display();
    let go_on = &mut |_, _| ControlFlow::Continue(());
    let stopped = || format!("{shown}: the reading was ended");
    let mut manifest = Manifest::default();
    // What is no dump and no archive is told by its size and checksum alone.
    if let Ok(shape) = format::look(path) {
        match shape.kind {
            Kind::Sql => {
                let found = pg::scan_file(path, go_on).map_err(|why| format!("{shown}: {why}"))?.ok_or_else(stopped)?;
                count(&mut manifest, found);
            }
            kind if kind.is_pg_archive() => {
                let tool = restore.ok_or("there is no pg_restore on this host, which reads this dump: install it")?;
                count(&mut manifest, rows(path, kind, shape.wrap, tool).map_err(|why| format!("{shown}: {why}"))?);
            }
            Kind::Tar if shape.wrap != Wrap::Age => {
                let found = folder::check_archive(path, 0, &folder::Links::none(), go_on)?.ok_or_else(stopped)?;
                manifest.entries = Some(found.entries);
            }
            Kind::Folder => {
                let all = folder::Only::all();
                let found = folder::check_folder(path, &all, &folder::Links::none(), go_on)?.ok_or_else(stopped)?;
                manifest.entries = Some(found.entries);
            }
            _ => {}
        }
    }
    let meta = std::fs::metadata(path).map_err(|e| format!("{shown}: {e}"))?;
    if meta.is_file() {
        let sum = digest::sha256_file(path, &mut |_| ControlFlow::Continue(()));
        manifest.sha256 = sum.map_err(|e| format!("{shown} cannot be read: {e}"))?;
        manifest.size = Some(meta.len());
    }
    Ok(manifest)
}

fn count(manifest: &mut Manifest, found: Findings) {
    manifest.unpacked = Some(found.bytes).filter(|bytes| *bytes > 0);
    // Rows that are inserted one by one are not told apart here.
    if found.inserts == 0 {
        (manifest.tables, manifest.counted_in_copy) = (found.by_table, true);
    }
}

/// The rows of an archive of `pg_dump`: its data written as SQL and counted as it streams by.
fn rows(path: &Path, kind: Kind, wrap: Wrap, tool: &Path) -> Result<Findings, String> {
    let mut command = Command::new(tool);
    command.args(["--data-only", "--file=-"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let feed = match wrap {
        Wrap::Plain => {
            command.arg("--").arg(path).stdin(Stdio::null());
            None
        }
        _ => {
            command.arg(if kind == Kind::PgTar { "--format=tar" } else { "--format=custom" }).stdin(Stdio::piped());
            Some(std::fs::File::open(path).and_then(archive::reader).map_err(|e| e.to_string())?)
        }
    };
    let mut child = command.spawn().map_err(|e| format!("{} cannot be started: {e}", tool.display()))?;
    let feeder = feed.zip(child.stdin.take()).map(|(mut from, mut to)| {
        // It stops reading where the archive ends; then nobody listens any more.
        std::thread::spawn(move || io::copy(&mut from, &mut to).and_then(|_| to.flush()))
    });
    let errors = child.stderr.take().map(|mut from| {
        std::thread::spawn(move || {
            let mut said = String::new();
            let _ = from.by_ref().take(1 << 16).read_to_string(&mut said);
            let _ = io::copy(&mut from, &mut io::sink());
            said
        })
    });
    let mut scanner = Scanner::new(Rules::default());
    if let Some(mut out) = child.stdout.take() {
        let (mut piece, mut given) = (vec![0; 1 << 18], Vec::new());
        loop {
            match out.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => scanner.feed(piece.get(..n).unwrap_or_default(), &mut given),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.to_string()),
            }
            given.clear();
        }
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    drop(feeder.map(std::thread::JoinHandle::join));
    if !status.success() {
        let said = errors.and_then(|e| e.join().ok()).unwrap_or_default();
        let last = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or_default();
        return Err(format!("pg_restore: {status}: {}", text::clean(last)));
    }
    Ok(scanner.finish(&mut Vec::new()))
}
