//! Cutting over by exchanging files: the server is stopped by the control of its service, its files are renamed aside, the
//! new ones renamed into their place, and it is started.
//!
//! A server with `appendonly yes` does not look at `dump.rdb`: it would start empty, and overwrite the copy when it is next
//! stopped. So such a server is given an append-only file whose base is the RDB file (in parts and with a manifest since
//! version 7, as one file that begins with it before), and the old append-only file never lies beside a new `dump.rdb`.
//! All new files are whole beside the live ones before the server is stopped.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::client::Conn;
use super::live;
use super::scratch::{self, DUMP, Note, Stage};
use super::{FILE_SETTLE, Hand, blocking, compensation, connect, hand, keys_word, load, recorded};
use crate::domain::run::Step;
use crate::recovery::exec::{self, End};
use crate::recovery::op::{Done, OpContext, OpError};
use crate::recovery::restore::job;
use crate::sys::disk;
use crate::text;

/// For a server to be gone after it was stopped.
const GONE: Duration = Duration::from_secs(60);
/// For a server to answer and to have loaded after it was started.
const UP: Duration = Duration::from_secs(600);
/// For one to answer at all.
const ANSWERS: Duration = Duration::from_secs(30);

/// The files of a live server, and how it is stopped and started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Files {
    pub dir: PathBuf,
    pub dbfilename: String,
    /// It starts from its append-only file.
    pub append: bool,
    pub append_name: String,
    /// Folder of the parts; `None` before version 7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append_dir: Option<String>,
    pub stop: Vec<Step>,
    pub start: Vec<Step>,
}

impl Files {
    /// Asks a server where its files are.
    pub async fn of(conn: &mut Conn, version: u32) -> Result<Files, String> {
        let mut get = async |name: &str| {
            let value = conn.setting(name).await.map_err(|e| e.to_string())?;
            value.filter(|v| !v.is_empty()).ok_or_else(|| format!("the server does not say its {name}"))
        };
        let files = Files {
            dir: PathBuf::from(get("dir").await?),
            dbfilename: get("dbfilename").await?,
            append: get("appendonly").await? == "yes",
            append_name: get("appendfilename").await?,
            append_dir: if version >= 700 { Some(get("appenddirname").await?) } else { None },
            stop: Vec::new(),
            start: Vec::new(),
        };
        let plain = |n: &String| !n.contains('/') && n != "..";
        let names = [Some(&files.dbfilename), Some(&files.append_name), files.append_dir.as_ref()];
        if names.into_iter().flatten().all(plain) { Ok(files) } else { Err("its file names hold a slash".into()) }
    }

    /// What the server starts from, first that which counts: (live, new beside, old beside).
    fn names(&self, run: &str) -> Vec<(PathBuf, PathBuf, PathBuf)> {
        let place = |name: &str| {
            let (new, old) = (format!(".{name}.restore-{run}"), format!("{name}.before-{run}"));
            (self.dir.join(name), self.dir.join(new), self.dir.join(old))
        };
        let append = self.append_dir.as_deref().unwrap_or(&self.append_name);
        vec![place(append), place(&self.dbfilename)]
    }
}

/// Where the file that the server keeps its data in lies belongs to it: the new ones get its owner and mode.
fn like(path: &Path, of: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let meta = of.metadata()?;
    std::os::unix::fs::chown(path, Some(meta.uid()), Some(meta.gid()))?;
    let mode = meta.mode() & 0o777;
    let mode = if path.is_dir() { (mode | ((mode & 0o444) >> 2)) & 0o777 } else { mode & 0o666 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Puts the new files beside the live ones, whole and synced.
fn stage(files: &Files, run: &str, dump: &Path) -> Result<(), String> {
    let failed = |path: &Path, e: io::Error| format!("{}: {e}", path.display());
    let model = files.dir.join(&files.dbfilename);
    let model = if model.is_file() { model } else { files.dir.clone() };
    let put = |to: &Path| -> Result<(), String> {
        std::fs::copy(dump, to).map_err(|e| failed(to, e))?;
        like(to, &model).map_err(|e| failed(to, e))?;
        std::fs::File::open(to).and_then(|f| f.sync_all()).map_err(|e| failed(to, e))
    };
    for (at, (_, new, _)) in files.names(run).into_iter().enumerate() {
        match (&files.append_dir, at) {
            (_, 0) if !files.append => {}
            (Some(_), 0) => {
                std::fs::create_dir(&new).map_err(|e| failed(&new, e))?;
                like(&new, &model).map_err(|e| failed(&new, e))?;
                let base = format!("{}.1.base.rdb", files.append_name);
                put(&new.join(&base))?;
                let manifest = new.join(format!("{}.manifest", files.append_name));
                std::fs::write(&manifest, format!("file {base} seq 1 type b\n")).map_err(|e| failed(&manifest, e))?;
                like(&manifest, &model).map_err(|e| failed(&manifest, e))?;
                std::fs::File::open(&manifest).and_then(|f| f.sync_all()).map_err(|e| failed(&manifest, e))?;
            }
            _ => put(&new)?,
        }
    }
    disk::fsync_dir(&files.dir).map_err(|e| failed(&files.dir, e))
}

/// A server that saves nothing by itself loses everything when it is stopped: its file is made what it holds now, so that
/// going back is going back to that.
fn save_live(files: &Files, kept: &Path) -> Result<(), String> {
    if files.append {
        return Ok(());
    }
    let to = files.dir.join(&files.dbfilename);
    let beside = files.dir.join(format!(".{}.now", files.dbfilename));
    let model = if to.is_file() { to.clone() } else { files.dir.clone() };
    let write = || -> io::Result<()> {
        std::fs::copy(kept, &beside)?;
        like(&beside, &model)?;
        std::fs::File::open(&beside)?.sync_all()?;
        std::fs::rename(&beside, &to)?;
        disk::fsync_dir(&files.dir)
    };
    write().map_err(|e| format!("{}: {e}", to.display()))
}

/// In the folder of what is kept: which live files there were when the exchange began.
const MARK: &str = "exchanging.json";

/// Old ones aside, new ones in. Only while the server is down.
fn exchange(files: &Files, run: &str, kept: &Path) -> Result<(), String> {
    let there = |p: &Path| p.symlink_metadata().is_ok();
    let names = files.names(run);
    let existed: Vec<bool> = names.iter().map(|(live, _, _)| there(live)).collect();
    let mark = serde_json::to_vec(&existed).map_err(|e| e.to_string())?;
    disk::write_atomic(&kept.join(MARK), &mark, 0o600).map_err(|e| format!("{}: {e}", kept.display()))?;
    for (live, new, old) in names {
        let rename = |from: &Path, to: &Path| {
            std::fs::rename(from, to).map_err(|e| format!("rename {} to {}: {e}", from.display(), to.display()))
        };
        // One that is not in use goes aside too: it would count once somebody turns it on.
        if there(&live) {
            rename(&live, &old)?;
        }
        if there(&new) {
            rename(&new, &live)?;
        }
    }
    disk::fsync_dir(&files.dir).map_err(|e| format!("{}: {e}", files.dir.display()))
}

/// Whether every new file is in its place.
fn exchanged(files: &Files, run: &str, kept: &Path) -> bool {
    kept.join(MARK).is_file() && files.names(run).iter().all(|(_, new, _)| new.symlink_metadata().is_err())
}

/// The old ones back, the new ones gone. Safe to do again, while the server is down.
fn put_back(files: &Files, run: &str, kept: &Path) -> Result<(), String> {
    let gone = |path: &Path| {
        let done = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        match done {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(format!("remove {}: {e}", path.display())),
            _ => Ok(()),
        }
    };
    let mark = std::fs::read(kept.join(MARK)).ok();
    let existed: Vec<bool> = mark.and_then(|m| serde_json::from_slice(&m).ok()).unwrap_or_default();
    for (at, (live, new, old)) in files.names(run).into_iter().enumerate() {
        match existed.get(at) {
            Some(true) if old.symlink_metadata().is_ok() => {
                gone(&live)?;
                std::fs::rename(&old, &live).map_err(|e| format!("rename {}: {e}", old.display()))?;
            }
            Some(false) => gone(&live)?,
            _ => {}
        }
        gone(&new)?;
    }
    gone(&kept.join(MARK))?;
    disk::fsync_dir(&files.dir).map_err(|e| format!("{}: {e}", files.dir.display()))
}

/// Runs the commands that stop or start the server. They are told to what has been said of them in the plan.
async fn control(steps: &[Step], ctx: &OpContext) -> Result<(), String> {
    for step in steps {
        let Step::Command { argv, env, secret_env, cwd, timeout_ms, .. } = step else { continue };
        let mut handed = Vec::new();
        for (variable, name) in secret_env {
            let value = ctx.secrets.get(name).ok_or_else(|| format!("the secret {name} was not handed over"))?;
            handed.push((variable.clone(), value.clone()));
        }
        let command = exec::Command {
            argv,
            env,
            secret_env: handed,
            cwd: cwd.as_deref().map(Path::new),
            timeout: timeout_ms.map(Duration::from_millis),
            grace: exec::GRACE,
        };
        let mut said = Vec::new();
        // Half a stop helps nobody: it is seen through, and taken back afterwards.
        let never = tokio_util::sync::CancellationToken::new();
        let ended = exec::run(&command, &never, &mut |bytes| said.extend_from_slice(bytes)).await;
        let said = String::from_utf8_lossy(&said).into_owned();
        for line in said.lines() {
            ctx.sink.line(line);
        }
        let name = argv.first().map_or("the command", String::as_str);
        if ended.end != End::Exited(0) {
            let last = said.lines().last().map(|l| format!(" ({})", text::clean(l))).unwrap_or_default();
            return Err(format!("{name}: {:?}{last}", ended.end));
        }
    }
    Ok(())
}

/// Waits until nobody answers at the live address.
async fn is_gone(job: &Hand, ctx: &OpContext) -> Result<(), String> {
    let target = job.reach.target(&ctx.secrets)?;
    let until = Instant::now() + GONE;
    loop {
        match Conn::open(&target).await {
            Err(e) if e.code.is_empty() => return Ok(()),
            _ if Instant::now() > until => {
                return Err(format!("{} still answers after it was stopped: is it another one's `control`?", job.live));
            }
            _ => tokio::time::sleep(Duration::from_millis(25)).await,
        }
    }
}

/// Waits until the server has loaded.
async fn is_up(job: &Hand, ctx: &OpContext) -> Result<Conn, String> {
    let target = job.reach.target(&ctx.secrets)?;
    let began = Instant::now();
    loop {
        let why = match Conn::open(&target).await {
            Ok(mut conn) => match conn.info().await {
                Ok(info) if info.get("loading") != "1" => return Ok(conn),
                Ok(_) if began.elapsed() < UP => String::new(),
                Ok(_) => return Err(format!("{} is still loading", job.live)),
                Err(e) => e.text,
            },
            Err(e) => e.text,
        };
        if !why.is_empty() && began.elapsed() > ANSWERS {
            return Err(why);
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

pub async fn run(job: &Hand, ctx: &OpContext) -> Result<Done, OpError> {
    let what = hand::word(job);
    let failed = |why: String| OpError::Failed(format!("{what}: {why}; {} is as it was", job.live));
    let files = job.files.clone().ok_or_else(|| failed("the plan says nothing of its files".into()))?;
    hand::pinned(job, &what)?;
    let mut note = Note::read(&job.enter.path).ok_or_else(|| failed("the copy beside has no note".into()))?;
    let wanted = note.counts.clone();
    let (target, mut conn) = connect(&job.reach, &what, ctx).await?;
    let facts = live::look(&mut conn).await.map_err(|e| failed(e.to_string()))?;
    if let Some(why) = facts.obstacle(&job.live) {
        return Err(failed(why));
    }
    if facts.info.get("run_id") != job.live_run {
        return Err(failed("the server was started again since this was planned: plan anew".into()));
    }
    let shown = format!("see to it that {} runs, with its old files unless all new ones are in place", job.live);
    ctx.sink.compensation(Some(&compensation(FILE_SETTLE, job::write(job), shown))).map_err(recorded(&what))?;
    note.run.clone_from(&job.run);
    note.stage = Stage::Incomplete;
    let done = put_in_place(job, &files, note, &target, &mut conn, ctx).await;
    let (since, mut conn) = match done {
        Ok(done) => done,
        Err(error) => {
            let back = back(job, &files, ctx).await;
            let said = match back {
                Ok(()) => format!("{} runs with the files it had", job.live),
                Err(why) => {
                    return Err(OpError::Failed(format!("{what}: {error}; {why}: this stays open and is tried again")));
                }
            };
            leave(job, &what, ctx).await?;
            return Err(match error {
                OpError::Failed(why) => OpError::Failed(format!("{what}: {why}; {said}")),
                other => other,
            });
        }
    };
    let down = text::duration(since.elapsed());
    finish(job, &files, ctx).await;
    let kept = format!("what was live is kept as {}", job.kept_as.display());
    let contradicted = |why: String| OpError::Contradicted(format!("{what}: done, yet {why}; {kept}"));
    let now = conn.info().await.map_err(|e| contradicted(e.to_string()))?.keys();
    if now.values().sum::<u64>() == 0 && wanted.values().sum::<u64>() > 0 {
        return Err(contradicted(format!("it has no key where the copy had {}", keys_word(&wanted))));
    }
    if let Err(OpError::Failed(why)) = load::wanted(&mut conn, &job.wanted, &now, ctx).await {
        return Err(contradicted(why));
    }
    Ok(Done { verified: Some(format!("{} has {}; it was down for {down}; {kept}", job.live, keys_word(&now))) })
}

async fn put_in_place(
    job: &Hand,
    files: &Files,
    mut note: Note,
    target: &super::client::Target,
    conn: &mut Conn,
    ctx: &OpContext,
) -> Result<(Instant, Conn), OpError> {
    let failed = OpError::Failed;
    scratch::create(&job.kept_as, &note).map_err(failed)?;
    let dump = job.enter.path.join(DUMP);
    hand::whole(&dump, "the copy beside", ctx).await?;
    let (own, run) = (files.clone(), job.run.clone());
    blocking("put the new files beside the live ones", ctx, move |_| stage(&own, &run, &dump).map_err(failed)).await?;
    live::set(conn, &job.kept_as, None).await.map_err(failed)?;
    let hold = hand::keep(job, &mut note, target, conn, ctx).await?;
    let (own, kept) = (files.clone(), job.kept_as.join(DUMP));
    blocking("save what is live", ctx, move |_| save_live(&own, &kept).map_err(failed)).await?;
    if ctx.cancel.is_cancelled() {
        hold.end(conn).await;
        return Err(OpError::Cancelled);
    }
    let since = hold.since;
    control(&files.stop, ctx).await.map_err(failed)?;
    is_gone(job, ctx).await.map_err(failed)?;
    exchange(files, &job.run, &job.kept_as).map_err(failed)?;
    control(&files.start, ctx).await.map_err(failed)?;
    let conn = is_up(job, ctx).await.map_err(|why| failed(format!("it does not come up with the new files: {why}")))?;
    Ok((since, conn))
}

/// The old files, and a server that runs.
async fn back(job: &Hand, files: &Files, ctx: &OpContext) -> Result<(), String> {
    if job.kept_as.join(MARK).is_file() {
        // It may be trying to come up with the new ones.
        let _ = control(&files.stop, ctx).await;
        is_gone(job, ctx).await?;
    }
    put_back(files, &job.run, &job.kept_as)?;
    up(job, files, ctx).await
}

async fn up(job: &Hand, files: &Files, ctx: &OpContext) -> Result<(), String> {
    let target = job.reach.target(&ctx.secrets)?;
    let down = match Conn::open(&target).await {
        Ok(mut conn) => {
            let _ = conn.say(&["CLIENT", "UNPAUSE"]).await;
            live::put_back(&mut conn, &job.kept_as).await?;
            false
        }
        Err(e) => e.code.is_empty(),
    };
    if down {
        control(&files.start, ctx).await?;
    }
    is_up(job, ctx).await.map(drop)
}

async fn leave(job: &Hand, what: &str, ctx: &OpContext) -> Result<(), OpError> {
    if let Err(why) = scratch::remove(&job.kept_as).await {
        ctx.sink.line(&why);
    }
    ctx.sink.compensation(None).map_err(recorded(what))
}

/// The old files go to what is kept, or stay named where they are when that is on another disk.
async fn finish(job: &Hand, files: &Files, ctx: &OpContext) {
    for (_, _, old) in files.names(&job.run) {
        let Some(name) = old.file_name().filter(|_| old.symlink_metadata().is_ok()) else { continue };
        if std::fs::rename(&old, job.kept_as.join(name)).is_err() {
            ctx.sink.line(&format!("the old file stays at {}: remove it once it is not needed", old.display()));
        }
    }
    let _ = std::fs::remove_file(job.kept_as.join(MARK));
    live::forget(&job.kept_as);
    hand::record(job, ctx).await;
}

/// The compensation of a run that died: safe to execute any number of times.
pub async fn compensate(job: &Hand, ctx: &OpContext) -> Result<Done, OpError> {
    let what = hand::word(job);
    let failed = |why: String| OpError::Failed(format!("{what}: {why}"));
    let Some(files) = &job.files else { return Err(failed("the plan says nothing of its files".into())) };
    if exchanged(files, &job.run, &job.kept_as) {
        up(job, files, ctx).await.map_err(failed)?;
        finish(job, files, ctx).await;
        return Ok(Done { verified: Some(format!("{what} had been done")) });
    }
    back(job, files, ctx).await.map_err(failed)?;
    leave(job, &what, ctx).await?;
    Ok(Done { verified: Some(format!("{} runs with the files it had", job.live)) })
}
