//! Making the data folder of a side cluster out of a base backup.
//!
//! The base is not trusted: names that lead out of the folder and links are refused or left out, and tablespaces are put
//! below the side folder, never where they lie on the live host. The control file, without which no server starts, is kept
//! aside until everything else is done and checked.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::folder::entry;
use super::super::folder::tree::{Fault, Meta, Tree};
use super::archive;
use super::base::Layout;
use super::state::{self, Cluster, Stage, own};
use super::{Job, blocking, data, recorded, removal};
use crate::recovery::op::{Done, OpContext, OpError};
use crate::sys::disk;
use crate::text;

/// Where the control file waits, in the side folder.
pub const CONTROL: &str = "pg_control.held";
pub const MANIFEST: &str = "backup_manifest";
pub const PLACE: &str = "global/pg_control";

/// What is not taken over: signs of the server that wrote it, and orders for one that recovers.
pub const LEFT: [&str; 8] = [
    "postmaster.pid",
    "postmaster.opts",
    "recovery.signal",
    "standby.signal",
    "recovery.conf",
    "tablespace_map",
    "current_logfiles",
    "backup_label.old",
];

/// Folders that a server needs and that some tools leave out when they are empty.
const NEEDED: [&str; 12] = [
    "global",
    "pg_wal",
    "pg_tblspc",
    "pg_twophase",
    "pg_commit_ts",
    "pg_dynshmem",
    "pg_notify",
    "pg_replslot",
    "pg_serial",
    "pg_snapshots",
    "pg_stat",
    "pg_stat_tmp",
];

pub async fn run(job: &Job, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("unpack {} into {}", text::clean(&job.copy.id), job.side.display());
    if ctx.cancel.is_cancelled() {
        return Err(OpError::Cancelled);
    }
    ctx.sink.compensation(Some(&removal(job))).map_err(recorded(&what))?;
    let cluster = Cluster {
        stage: Stage::Incomplete,
        run: job.run.clone(),
        backup: job.backup.clone(),
        database: job.database.clone(),
        role: job.role.clone(),
        copy: job.copy.id.clone(),
        user: job.user.clone(),
        programs: job.programs.clone(),
        port: 0,
        server: None,
        timeline: job.timeline,
        replayed: None,
        moment: None,
        target: job.target.to_string(),
    };
    let failed = |why: String| OpError::Failed(format!("{what}: {why}"));
    state::create(&job.side, &cluster).map_err(failed)?;
    if matches!(job.base.layout, Layout::Repo { .. } | Layout::WalG { .. }) {
        super::fetch::run(job, ctx, &what).await?;
    }
    let (own, again) = (job.clone(), what.clone());
    blocking(&what, ctx, move |ctx| {
        let failed = |why: String| OpError::Failed(format!("{again}: {why}"));
        let bytes = match &own.base.layout {
            Layout::Plain { root } => plain(&own, root, ctx).map_err(|e| e.into_op(&again))?,
            Layout::Tars { .. } => tars(&own, ctx).map_err(|e| e.into_op(&again))?,
            Layout::Repo { .. } | Layout::WalG { .. } => super::fetch::settle(&own).map_err(failed)?,
        };
        spaces(&own).map_err(failed)?;
        let missing =
            |name: &str| failed(format!("{name} is not in the base backup: it is not whole; choose another copy"));
        if !own.side.join(CONTROL).is_file() {
            return Err(missing(PLACE));
        }
        for name in ["PG_VERSION", "backup_label"] {
            if !data(&own.side).join(name).is_file() {
                return Err(missing(name));
            }
        }
        ctx.sink.line(&format!("unpacked {}", text::size(bytes)));
        Ok(Done::default())
    })
    .await
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> String + '_ {
    move |e| super::super::folder::write_error(path, &e)
}

/// What belongs to a file of a data folder: the user of the server, and nobody else.
fn meta(job: &Job, folder: bool, mtime: (i64, u32)) -> Meta {
    let mode = if folder { 0o700 } else { 0o600 };
    Meta { mode, uid: job.user.uid, gid: job.user.gid, mtime, ..Meta::default() }
}

/// What is being written, and how far it is.
struct Writing<'a> {
    job: &'a Job,
    ctx: &'a OpContext,
    tree: Tree,
    root: PathBuf,
    done: u64,
    total: u64,
    told: Instant,
    buffer: Vec<u8>,
    left_out: Vec<String>,
}

impl<'a> Writing<'a> {
    fn new(job: &'a Job, ctx: &'a OpContext, root: PathBuf, done: u64, total: u64) -> Result<Self, String> {
        let tree = Tree::create(&root)?;
        let buffer = vec![0; 1 << 17];
        Ok(Writing { job, ctx, tree, root, done, total, told: Instant::now(), buffer, left_out: Vec::new() })
    }

    fn alive(&mut self, name: &Path, read: u64) -> Result<(), Fault> {
        if self.ctx.cancel.is_cancelled() {
            return Err(Fault::Cancelled);
        }
        if self.told.elapsed() > Duration::from_millis(200) {
            self.told = Instant::now();
            let name = text::clean(&name.display().to_string()).into_owned();
            self.ctx.sink.progress(read, self.total, &format!("unpacking {name}"));
        }
        Ok(())
    }

    fn folder(&mut self, name: &Path, mtime: (i64, u32)) -> Result<(), Fault> {
        self.tree.folder(name, meta(self.job, true, mtime))?;
        Ok(())
    }

    /// Writes one file. The control file and what tells of a configuration go beside the data folder.
    fn file(
        &mut self,
        name: &Path,
        from: &mut dyn Read,
        mtime: (i64, u32),
        position: &dyn Fn() -> Option<u64>,
    ) -> Result<u64, Fault> {
        let aside = match name.to_str() {
            Some(PLACE) => Some(CONTROL),
            Some(MANIFEST) => Some(MANIFEST),
            Some("postgresql.auto.conf") => Some("postgresql.auto.conf.base"),
            _ => None,
        };
        if let Some(aside) = aside {
            let path = self.job.side.join(aside);
            let mut bytes = Vec::new();
            from.take(1 << 30).read_to_end(&mut bytes).map_err(|e| read_error(&e))?;
            disk::write_atomic(&path, &bytes, 0o600).map_err(io_error(&path))?;
            own(&path, &self.job.user).map_err(io_error(&path))?;
            return Ok(bytes.len() as u64);
        }
        let path = self.root.join(name);
        let mut to = self.tree.file(name)?;
        let mut written = 0u64;
        loop {
            let mut buffer = std::mem::take(&mut self.buffer);
            let n = match from.read(&mut buffer) {
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                    self.buffer = buffer;
                    continue;
                }
                Err(e) => return Err(read_error(&e).into()),
            };
            if n == 0 {
                self.buffer = buffer;
                break;
            }
            to.write_all(buffer.get(..n).unwrap_or_default()).map_err(io_error(&path))?;
            self.buffer = buffer;
            written += n as u64;
            self.done += n as u64;
            let read = position().unwrap_or(self.done);
            self.alive(name, read)?;
        }
        self.tree.close(name, &to, &meta(self.job, false, mtime))?;
        Ok(written)
    }

    /// Everything is on the disk when this returns.
    fn finish(mut self) -> Result<u64, Fault> {
        let now = (crate::sys::clock::now_ms() / 1000, 0);
        self.folder(Path::new(""), now)?;
        self.tree.finish(&self.root)?;
        for name in self.left_out.iter().take(20) {
            self.ctx.sink.line(&format!("left out: {}", text::clean(name)));
        }
        Ok(self.done)
    }
}

/// A failing read, in words.
pub fn read_error(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut off: choose another copy".into(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other
            if e.raw_os_error().is_none() =>
        {
            format!("it is damaged ({e}): choose another copy")
        }
        _ => format!("it cannot be read: {e}"),
    }
}

fn is_left(name: &Path) -> bool {
    name.to_str().is_some_and(|n| LEFT.contains(&n))
}

fn plain(job: &Job, root: &Path, ctx: &OpContext) -> Result<u64, Fault> {
    let mut done = copy_tree(job, root, data(&job.side), ctx, 0)?;
    let below = job.side.join("tablespaces");
    if !job.base.spaces.is_empty() {
        make_folder(&below, job)?;
    }
    for (oid, place) in &job.base.spaces {
        done += copy_tree(job, place, below.join(oid.to_string()), ctx, done)?;
    }
    Ok(done)
}

pub fn make_folder(path: &Path, job: &Job) -> Result<(), String> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(path).map_err(io_error(path))?;
    own(path, &job.user).map_err(io_error(path))
}

/// Copies a folder. Links are not followed, but for the one that leads to the log of a plain base backup.
fn copy_tree(job: &Job, from: &Path, to: PathBuf, ctx: &OpContext, done: u64) -> Result<u64, Fault> {
    let mut writing = Writing::new(job, ctx, to, done, job.base.size)?;
    let mut open = vec![PathBuf::new()];
    while let Some(below) = open.pop() {
        let dir = from.join(&below);
        let unreadable = |e: io::Error| Fault::Failed(format!("{}: {}", dir.display(), read_error(&e)));
        for found in std::fs::read_dir(&dir).map_err(unreadable)? {
            let found = found.map_err(unreadable)?;
            let name = below.join(found.file_name());
            let path = found.path();
            let mut meta = path.symlink_metadata().map_err(unreadable)?;
            if meta.is_symlink() && name == Path::new("pg_wal") {
                meta = path.metadata().map_err(unreadable)?;
            }
            let mtime = (meta.mtime(), u32::try_from(meta.mtime_nsec()).unwrap_or(0));
            if is_left(&name) {
                continue;
            }
            if meta.is_dir() {
                writing.folder(&name, mtime)?;
                open.push(name);
            } else if meta.is_file() {
                let mut file = File::open(&path).map_err(unreadable)?;
                let written = writing.file(&name, &mut file, mtime, &|| None).map_err(|e| at(&path, e))?;
                if written < meta.len() {
                    return Err(Fault::Failed(format!("{} became shorter while it was copied", path.display())));
                }
            } else if !name.starts_with("pg_tblspc") {
                writing.left_out.push(name.display().to_string());
            }
        }
    }
    let before = done;
    writing.finish().map(|after| after.saturating_sub(before))
}

fn at(path: &Path, fault: Fault) -> Fault {
    match fault {
        Fault::Failed(why) => Fault::Failed(format!("{}: {why}", path.display())),
        Fault::Cancelled => Fault::Cancelled,
    }
}

fn tars(job: &Job, ctx: &OpContext) -> Result<u64, Fault> {
    let Layout::Tars { base, log, spaces, manifest } = &job.base.layout else { return Ok(0) };
    let mut files = vec![base];
    files.extend(log.as_ref());
    files.extend(spaces.iter().map(|(_, p)| p));
    // Of what is compressed only the bytes on disk are known beforehand.
    let total: u64 = files.iter().map(|p| std::fs::metadata(p).map_or(0, |m| m.len())).sum();
    let mut read = 0;
    let mut written = 0;
    {
        let mut writing = Writing::new(job, ctx, data(&job.side), 0, total)?;
        read = extract(&mut writing, base, Path::new(""), read)?;
        if let Some(log) = log {
            writing.folder(Path::new("pg_wal"), (crate::sys::clock::now_ms() / 1000, 0))?;
            read = extract(&mut writing, log, Path::new("pg_wal"), read)?;
        }
        written += writing.finish()?;
    }
    if !spaces.is_empty() {
        make_folder(&job.side.join("tablespaces"), job)?;
    }
    for (oid, place) in spaces {
        let mut writing = Writing::new(job, ctx, job.side.join("tablespaces").join(oid.to_string()), 0, total)?;
        read = extract(&mut writing, place, Path::new(""), read)?;
        written += writing.finish()?;
    }
    if let Some(manifest) = manifest {
        let path = job.side.join(MANIFEST);
        let bytes = std::fs::read(manifest).map_err(|e| format!("{}: {}", manifest.display(), read_error(&e)))?;
        disk::write_atomic(&path, &bytes, 0o600).map_err(io_error(&path))?;
        own(&path, &job.user).map_err(io_error(&path))?;
    }
    Ok(written)
}

/// Unpacks one archive to its very end. Returns the bytes read so far of all.
fn extract(writing: &mut Writing<'_>, path: &Path, below: &Path, before: u64) -> Result<u64, Fault> {
    let failed = |e: io::Error| Fault::Failed(format!("{}: {}", path.display(), read_error(&e)));
    let watched = File::open(path).map_err(failed)?;
    let size = watched.metadata().map_err(failed)?.len();
    let mut archive = tar::Archive::new(archive::open_file(path).map_err(failed)?);
    let mut count = 0u64;
    for found in archive.entries().map_err(failed)? {
        let mut found = found.map_err(failed)?;
        let raw = found.path_bytes().into_owned();
        let Some(name) = entry::path(&raw, 0)? else { continue };
        let name = below.join(name);
        let mtime = (i64::try_from(found.header().mtime().unwrap_or(0)).unwrap_or(0), 0);
        count += 1;
        if is_left(&name) {
            continue;
        }
        match found.header().entry_type() {
            tar::EntryType::Directory => writing.folder(&name, mtime)?,
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                let wanted = found.size();
                let written = writing.file(&name, &mut found, mtime, &|| None).map_err(|e| at(path, e))?;
                if written != wanted {
                    return Err(Fault::Failed(format!("{}: it is cut off: choose another copy", path.display())));
                }
            }
            // Tablespaces, put elsewhere; and a log kept elsewhere, which is in an archive of its own.
            tar::EntryType::Symlink if name.starts_with("pg_tblspc") => {}
            tar::EntryType::Symlink if name == Path::new("pg_wal") => {}
            tar::EntryType::XGlobalHeader | tar::EntryType::XHeader => {}
            _ => {
                return Err(Fault::Failed(format!(
                    "{}: \"{}\" is a link or a device, which a base backup has none of: choose another copy",
                    path.display(),
                    text::clean_bytes(&raw)
                )));
            }
        }
    }
    if count == 0 {
        return Err(Fault::Failed(format!("{}: there is nothing in it: choose another copy", path.display())));
    }
    // Behind the end of the archive the checksum of its compression is still to come.
    let mut rest = archive.into_inner();
    let mut sink = vec![0; 1 << 16];
    loop {
        match rest.read(&mut sink) {
            Ok(0) => break,
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(before + size)
}

/// Links for the tablespaces, and folders that the server needs.
fn spaces(job: &Job) -> Result<(), String> {
    let data = data(&job.side);
    for name in NEEDED {
        let path = data.join(name);
        if !path.is_dir() {
            make_folder(&path, job)?;
        }
    }
    for (oid, _) in &job.base.spaces {
        let link = data.join("pg_tblspc").join(OsStr::new(&oid.to_string()));
        let target = job.side.join("tablespaces").join(oid.to_string());
        std::os::unix::fs::symlink(&target, &link).map_err(io_error(&link))?;
        if job.user.is_other() {
            std::os::unix::fs::lchown(&link, Some(job.user.uid), Some(job.user.gid)).map_err(io_error(&link))?;
        }
    }
    Ok(())
}

/// Puts the control file in its place: from here on a server starts.
pub fn release(job: &Job) -> Result<(), String> {
    let to = data(&job.side).join(PLACE);
    std::fs::rename(job.side.join(CONTROL), &to).map_err(io_error(&to))?;
    disk::fsync_dir(&data(&job.side).join("global")).map_err(io_error(&to))
}
