//! The base backup out of a repository of pgBackRest or WAL-G, by its own program.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::super::child::{self, Stopped, Tool};
use super::archive::Source;
use super::base::Layout;
use super::state::own;
use super::unpack::{CONTROL, LEFT, PLACE, make_folder};
use super::wal::walg;
use super::{Job, data};
use crate::recovery::op::{OpContext, OpError};
use crate::sys::disk;
use crate::text;

/// Where it is written which tablespace goes where.
const SPEC: &str = "restore-spec.json";

/// Runs `pgbackrest restore`, which puts the control file in place last and checks every file by its checksum, or `wal-g
/// backup-fetch`, which puts it in place last too.
pub async fn run(job: &Job, ctx: &OpContext, what: &str) -> Result<(), OpError> {
    let failed = |why: String| OpError::Failed(format!("{what}: {why}"));
    for name in ["data", "tablespaces", "lock"] {
        make_folder(&job.side.join(name), job).map_err(failed)?;
    }
    let Some((program, args)) = command(job) else {
        return Err(failed("a backup of a repository without the repository: plan anew".into()));
    };
    if let Layout::WalG { spaces, .. } = &job.base.layout {
        let (spec, below) = (job.side.join(SPEC), job.side.join("tablespaces"));
        let text = walg::restore_spec(&data(&job.side), spaces, &below);
        let written = disk::write_atomic(&spec, text.as_bytes(), 0o600).and_then(|()| own(&spec, &job.user));
        written.map_err(|e| failed(super::super::folder::write_error(&spec, &e)))?;
    }
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let tool = Tool {
        program,
        args: args.into_iter().map(Into::into).collect(),
        env: Vec::new(),
        password: None,
        feed: None,
        user: Some(job.user.clone()),
    };
    let said = Arc::new(Mutex::new(Vec::<String>::new()));
    let (sink, heard) = (ctx.sink.clone(), said.clone());
    let line = Arc::new(move |text: &str| {
        sink.line(text);
        if text.contains("ERROR") {
            heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(text.to_owned());
        }
    });
    let (sink, folder, total) = (ctx.sink.clone(), job.side.clone(), job.base.size);
    let shown = format!("{name} restores the base backup");
    let mut watch = move |_: i32| {
        let done = super::super::format::folder_size(&folder).unwrap_or(0);
        sink.progress(done.min(total), total, &shown);
        Ok(())
    };
    let ended = match child::run(tool, ctx, line, &mut watch).await {
        Ok(ended) => ended,
        Err(Stopped::Cancelled) => return Err(OpError::Cancelled),
        Err(Stopped::Halted(why) | Stopped::NotStarted(why)) => return Err(OpError::Failed(format!("{what}: {why}"))),
    };
    if !ended.status.success() {
        let errors = said.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let why = errors.first().or(ended.said.last()).cloned().unwrap_or_default();
        return Err(OpError::Failed(format!("{what}: {name}: {}: {}", ended.word(), text::clean(&why))));
    }
    Ok(())
}

/// Program and arguments; `None` when backup and repository do not belong together.
pub fn command(job: &Job) -> Option<(PathBuf, Vec<String>)> {
    match (&job.base.layout, &job.source) {
        (Layout::Repo { label }, Source::PgBackRest(repo)) => {
            Some((repo.tool.clone(), repo.restore_args(label, &job.side)))
        }
        (Layout::WalG { name, spaces }, Source::WalG(walg)) => {
            let spec = job.side.join(SPEC);
            let spec = Some(spec.as_path()).filter(|_| !spaces.is_empty());
            Some((walg.tool.clone(), walg.restore_args(name, &data(&job.side), spec)))
        }
        _ => None,
    }
}

/// Takes back what pgBackRest decided for a server that is to run in the live one's place.
pub fn settle(job: &Job) -> Result<u64, String> {
    let data = data(&job.side);
    let gone = |name: &str| match std::fs::remove_file(data.join(name)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(format!("{}/{name}: {e}", data.display())),
        _ => Ok(()),
    };
    for name in LEFT {
        gone(name)?;
    }
    let moves = [(PLACE, CONTROL), ("postgresql.auto.conf", "postgresql.auto.conf.base")];
    for (from, to) in moves {
        match std::fs::rename(data.join(from), job.side.join(to)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(format!("{}/{from}: {e}", data.display())),
            _ => {}
        }
    }
    // Links of tablespaces lead below the side folder, or to the live ones.
    let side = job.side.canonicalize().map_err(|e| e.to_string())?;
    for entry in std::fs::read_dir(data.join("pg_tblspc")).into_iter().flatten().flatten() {
        let real = entry.path().canonicalize().map_err(|e| format!("{}: {e}", entry.path().display()))?;
        if !real.starts_with(&side) {
            return Err(format!(
                "tablespace {} leads to {}, out of the side folder",
                entry.path().display(),
                real.display()
            ));
        }
    }
    Ok(super::super::format::folder_size(&job.side).unwrap_or(0))
}
