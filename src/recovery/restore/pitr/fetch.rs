//! The base backup out of a repository of pgBackRest, by its own program.

use std::io;
use std::sync::{Arc, Mutex};

use super::super::child::{self, Stopped, Tool};
use super::archive::Source;
use super::unpack::{CONTROL, LEFT, PLACE, make_folder};
use super::{Job, data};
use crate::recovery::op::{OpContext, OpError};
use crate::text;

/// Runs `pgbackrest restore`, which puts the control file in place last and checks every file by its checksum.
pub async fn run(job: &Job, label: &str, ctx: &OpContext, what: &str) -> Result<(), OpError> {
    let Source::PgBackRest(repo) = &job.source else {
        return Err(OpError::Failed(format!("{what}: a backup of pgBackRest without its repository: plan anew")));
    };
    for name in ["data", "tablespaces", "lock"] {
        make_folder(&job.side.join(name), job).map_err(|why| OpError::Failed(format!("{what}: {why}")))?;
    }
    let tool = Tool {
        program: repo.tool.clone(),
        args: repo.restore_args(label, &job.side).into_iter().map(Into::into).collect(),
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
    let mut watch = move |_: i32| {
        let done = super::super::format::folder_size(&folder).unwrap_or(0);
        sink.progress(done.min(total), total, "pgbackrest restores the base backup");
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
        return Err(OpError::Failed(format!("{what}: pgbackrest: {}: {}", ended.word(), text::clean(&why))));
    }
    Ok(())
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
