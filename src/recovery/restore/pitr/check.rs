//! Is every file what the base backup's manifest says? Read after unpacking, so that what is compared is what will be
//! used.

use std::ffi::OsString;
use std::sync::{Arc, Mutex};

use super::super::child::{self, Stopped, Tool};
use super::unpack::MANIFEST;
use super::{Job, data};
use crate::recovery::op::{Done, OpContext, OpError};
use crate::text;

/// Arguments of `pg_verifybackup`. The control file waits aside; the map of tablespaces was followed and left out; the log
/// is read by the server.
pub fn args(job: &Job) -> Vec<OsString> {
    let mut args: Vec<OsString> =
        ["--no-parse-wal", "--ignore=tablespace_map", "--ignore=global/pg_control"].map(Into::into).into();
    args.extend(["--ignore=current_logfiles", "--ignore=backup_label.old"].map(OsString::from));
    args.push("--manifest-path".into());
    args.push(job.side.join(MANIFEST).into_os_string());
    args.push(data(&job.side).into_os_string());
    args
}

pub async fn run(job: &Job, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("check the base backup {}", text::clean(&job.copy.id));
    if !job.side.join(MANIFEST).is_file() {
        let said = "it has no manifest: that every file is what it was cannot be checked";
        ctx.sink.line(said);
        return Ok(Done::default());
    }
    let program = job.programs.join("pg_verifybackup");
    if !program.is_file() {
        ctx.sink.line(&format!("there is no {}: the files are not compared with the manifest", program.display()));
        return Ok(Done::default());
    }
    let faults = Arc::new(Mutex::new(Vec::<String>::new()));
    let (sink, heard) = (ctx.sink.clone(), faults.clone());
    let line = Arc::new(move |text: &str| {
        sink.line(text);
        if text.contains("error:") {
            heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(text.to_owned());
        }
    });
    let tool =
        Tool { program, args: args(job), env: Vec::new(), password: None, feed: None, user: Some(job.user.clone()) };
    let (sink, total) = (ctx.sink.clone(), job.base.size);
    let mut watch = move |pid: i32| {
        sink.progress(child::bytes_read(pid).min(total), total, "comparing the files with the manifest");
        Ok(())
    };
    let ended = match child::run(tool, ctx, line, &mut watch).await {
        Ok(ended) => ended,
        Err(Stopped::Cancelled) => return Err(OpError::Cancelled),
        Err(Stopped::Halted(why) | Stopped::NotStarted(why)) => return Err(OpError::Failed(format!("{what}: {why}"))),
    };
    if ended.status.success() {
        return Ok(Done { verified: Some("every file of the base backup is what its manifest says".into()) });
    }
    let faults = faults.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let first: Vec<String> = faults
        .iter()
        .take(3)
        .map(|f| text::clean(f.trim_start_matches("pg_verifybackup: error: ")).into_owned())
        .collect();
    let more = faults.len().saturating_sub(first.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let said = if first.is_empty() { ended.word() } else { first.join("; ") };
    Err(OpError::Failed(format!("{what}: it is damaged: {said}{more}: choose another copy")))
}
