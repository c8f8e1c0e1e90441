//! RabbitMQ: exported definitions are compared with the live ones, and imported through the management API.
//!
//! There is no server beside: definitions are put into a folder as they will be sent, with the difference said first. An
//! import adds and overwrites, and deletes nothing; queues, exchanges and bindings that exist are left as they are,
//! whatever it says, and the server answers 204 all the same. So everything is read back and compared. Messages are no
//! part of definitions: none comes back, and none is lost.
//!
//! An import that is refused may be done by half: then what was live is imported again, and what remains added is named.

pub mod api;
pub mod definitions;

use super::recorded;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use self::api::{Api, Fault, Reach};
use self::definitions::{Definitions, difference, missing};
use super::format;
use super::job::{self, PinnedFolder, SideArgs};
use crate::domain::Time;
use crate::domain::backup::Copy;
use crate::domain::run::{Side, SideRole};
use crate::recovery::op::{Compensation, Done, OpContext, OpError};
use crate::sys::{archive, clock, disk};
use crate::text;

pub const CHECK: &str = "rabbit.check";
pub const PREPARE: &str = "rabbit.prepare";
pub const PROOF: &str = "rabbit.drop-proof";
pub const IMPORT: &str = "rabbit.import";
pub const DROP: &str = "rabbit.drop";
/// Compensations.
pub const REMOVE: &str = "rabbit.remove-side";
pub const SETTLE: &str = "rabbit.settle";

/// The kind of a [`Side`].
pub const SIDE_KIND: &str = "definitions";
pub const FILE: &str = "definitions.json";
/// An export is text; a larger one is something else.
pub const LARGEST: u64 = 256 << 20;
/// For everything to be seen after an import.
const SEEN: Duration = Duration::from_secs(10);

/// Preparing an import.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    pub reach: Reach,
    pub backup: String,
    pub run: String,
    pub live: String,
    /// The folder that is made.
    pub side: PathBuf,
    pub copy: Copy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vhost: Option<String>,
    pub test: bool,
}

/// Importing what a folder holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Import {
    pub reach: Reach,
    pub backup: String,
    pub run: String,
    pub live: String,
    pub enter: PinnedFolder,
    pub kept_as: PathBuf,
    pub copy: Copy,
    pub undo: bool,
    /// Only what belongs to this one is kept, and compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vhost: Option<String>,
}

/// Taking away what lies beside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Drop {
    pub gone: PinnedFolder,
}

pub async fn execute(op: &str, args: &serde_json::Value, ctx: &OpContext) -> Result<Done, OpError> {
    match op {
        CHECK => check(&job::read::<Job>(op, args)?, ctx),
        PREPARE => {
            let job = job::read::<Job>(op, args)?;
            match prepare(&job, ctx).await {
                Err(error) => {
                    remove(&job, ctx)?;
                    Err(error)
                }
                done => done,
            }
        }
        PROOF | REMOVE => {
            let job = job::read::<Job>(op, args)?;
            remove(&job, ctx)?;
            let said = match op {
                PROOF => format!("proven: copy {} is whole and can be imported", text::clean(&job.copy.id)),
                _ => format!("{} is gone", job.side.display()),
            };
            Ok(Done { verified: Some(said) })
        }
        IMPORT => import(&job::read::<Import>(op, args)?, ctx).await,
        SETTLE => settle(&job::read::<Import>(op, args)?, ctx).await,
        DROP => drop_side(&job::read::<Drop>(op, args)?, ctx),
        _ => Err(super::unknown(op)),
    }
}

/// Reads a copy, packed or not. Blocks.
pub fn read(path: &Path, vhost: Option<&str>) -> Result<Definitions, String> {
    let cannot = |e: io::Error| match e.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut off: choose another copy".to_owned(),
        _ => format!("{} cannot be read: {e}", path.display()),
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    io::Read::read_to_end(&mut io::Read::take(archive::reader(file).map_err(cannot)?, LARGEST + 1), &mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("it is larger than {} and no export of definitions", text::size(LARGEST)));
    }
    Definitions::read(&bytes, vhost)
}

fn check(job: &Job, ctx: &OpContext) -> Result<Done, OpError> {
    let failed = |why: String| OpError::Failed(format!("check copy {}: {why}", text::clean(&job.copy.id)));
    let found = read(&format::path_of(&job.copy), job.vhost.as_deref()).map_err(failed)?;
    ctx.sink.line(&found.word());
    Ok(Done { verified: Some(found.word()) })
}

/// Writes definitions into a new folder; it has its name only when it is whole.
fn put(folder: &Path, bytes: &[u8]) -> Result<(), String> {
    let failed = |e: io::Error| format!("{}: {e}", folder.display());
    if let Some(parent) = folder.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
    }
    let beside = partial(folder);
    std::fs::DirBuilder::new().mode(0o700).create(&beside).map_err(failed)?;
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside.join(FILE)).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&beside, folder).map_err(failed)?;
    disk::fsync_dir(folder.parent().unwrap_or(Path::new("/"))).map_err(failed)
}

fn partial(folder: &Path) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(super::names::PARTIAL);
    PathBuf::from(name)
}

fn stored(folder: &Path) -> Result<Definitions, String> {
    read(&folder.join(FILE), None)
}

async fn live(api: &Api, vhost: Option<&str>) -> Result<Definitions, String> {
    let bytes = api.export().await.map_err(|e| e.to_string())?;
    let all = Definitions::read(&bytes, None).map(|d| d.only(vhost));
    all.map_err(|why| format!("what {} answers: {why}", api.label()))
}

async fn prepare(job: &Job, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("prepare the import of {}", text::clean(&job.copy.id));
    let failed = |why: String| OpError::Failed(format!("{what}: {why}; {} is untouched", job.live));
    if ctx.cancel.is_cancelled() {
        return Err(OpError::Cancelled);
    }
    let removal = Compensation {
        op: REMOVE.into(),
        args: job::write(job),
        shown: format!("remove {}, which was not completed", job.side.display()),
    };
    ctx.sink.compensation(Some(&removal)).map_err(recorded(&what))?;
    let copy = read(&format::path_of(&job.copy), job.vhost.as_deref()).map_err(failed)?;
    let api = Api::new(&job.reach, &ctx.secrets).map_err(failed)?;
    let now = live(&api, None).await.map_err(failed)?;
    let (copy, strangers) = copy.without_strangers(&now);
    let now = now.only(job.vhost.as_deref());
    if !strangers.is_empty() {
        let names = strangers.join(", ");
        ctx.sink.line(&format!("permissions of users that nobody knows are left out: {names}"));
    }
    for (section, delta) in difference(&copy, &now).into_iter().filter(|(_, d)| !d.is_empty()) {
        ctx.sink.line(&format!("{}: {}", section.name, delta.word()));
    }
    let bytes = serde_json::to_vec_pretty(&copy).map_err(|e| failed(e.to_string()))?;
    put(&job.side, &bytes).map_err(failed)?;
    let said = copy.word();
    if job.test {
        return Ok(Done { verified: Some(said) });
    }
    let ready = side(&job.side, &job.live, SideRole::Ready, &job.backup, &job.copy);
    ctx.sink.side(&ready).map_err(recorded(&what))?;
    ctx.sink.compensation(None).map_err(recorded(&what))?;
    Ok(Done { verified: Some(format!("{said}; ready to be imported")) })
}

fn side(folder: &Path, live: &str, role: SideRole, backup: &str, copy: &Copy) -> Side {
    let pinned = super::folder::pin(folder).ok();
    let args = SideArgs { backup: backup.to_owned(), copy: copy.clone(), folder: pinned, ..SideArgs::default() };
    Side {
        kind: SIDE_KIND.into(),
        name: folder.display().to_string(),
        live: live.to_owned(),
        created_at: Time::from_ms(clock::now_ms()),
        size: folder.join(FILE).metadata().map_or(0, |m| m.len()),
        role,
        args: job::write(&args),
    }
}

fn gone(folder: &Path) -> Result<(), OpError> {
    for path in [folder, &partial(folder)] {
        match std::fs::remove_dir_all(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(OpError::Failed(format!("remove {}: {e}: remove it by hand", path.display())));
            }
            _ => {}
        }
    }
    Ok(())
}

fn remove(job: &Job, ctx: &OpContext) -> Result<(), OpError> {
    gone(&job.side)?;
    ctx.sink.gone(&job.side.display().to_string()).map_err(recorded("what was removed"))?;
    ctx.sink.compensation(None).map_err(recorded("what was removed"))
}

fn drop_side(job: &Drop, ctx: &OpContext) -> Result<Done, OpError> {
    let name = job.gone.path.display().to_string();
    if super::folder::pin(&job.gone.path).is_ok_and(|there| there != job.gone) {
        return Err(OpError::Failed(format!(
            "drop {name}: it is not the folder it was when this was planned: plan anew"
        )));
    }
    gone(&job.gone.path)?;
    ctx.sink.gone(&name).map_err(recorded("what was removed"))?;
    Ok(Done { verified: Some(format!("{name} is gone")) })
}

fn word(job: &Import) -> String {
    match job.undo {
        true => format!("import into {} what was defined before", job.live),
        false => format!("import definitions into {}", job.live),
    }
}

async fn import(job: &Import, ctx: &OpContext) -> Result<Done, OpError> {
    let what = word(job);
    let failed = |why: String| OpError::Failed(format!("{what}: {why}; {} is as it was", job.live));
    if super::folder::pin(&job.enter.path).ok().as_ref() != Some(&job.enter) {
        let path = job.enter.path.display();
        return Err(failed(format!("{path} is not the folder it was when this was planned: plan anew")));
    }
    let wanted = stored(&job.enter.path).map_err(failed)?;
    let api = Api::new(&job.reach, &ctx.secrets).map_err(failed)?;
    let before = live(&api, job.vhost.as_deref()).await.map_err(failed)?;
    let bytes = serde_json::to_vec_pretty(&before).map_err(|e| failed(e.to_string()))?;
    if ctx.cancel.is_cancelled() {
        return Err(OpError::Cancelled);
    }
    let shown = format!("see to it that the import into {} is complete, or that nothing of it is there", job.live);
    let open = Compensation { op: SETTLE.into(), args: job::write(job), shown };
    ctx.sink.compensation(Some(&open)).map_err(recorded(&what))?;
    if let Err(why) = put(&job.kept_as, &bytes) {
        gone(&job.kept_as)?;
        ctx.sink.compensation(None).map_err(recorded(&what))?;
        return Err(failed(why));
    }
    ctx.sink.line(&format!("kept {} in {}", before.word(), job.kept_as.display()));
    match api.import(&wanted).await {
        Ok(()) => ctx.sink.line("the server answers that it is done: what it has now is compared"),
        // What came of it is seen below.
        Err(Fault::Broken(why)) => ctx.sink.line(&why),
        Err(Fault::Refused(why)) => return Err(refused(job, &api, &before, &why, ctx).await),
    }
    finish(job, &api, &wanted, &before, ctx).await
}

/// The import was refused, which it is in the middle: what was live is imported again.
async fn refused(job: &Import, api: &Api, before: &Definitions, why: &str, ctx: &OpContext) -> OpError {
    let what = word(job);
    let back = async {
        api.import(before).await.map_err(|e| e.to_string())?;
        let now = live(api, job.vhost.as_deref()).await?;
        let left: Vec<String> = missing(&now, before);
        match missing(before, &now) {
            lost if lost.is_empty() => Ok(left),
            lost => Err(lost.join("; ")),
        }
    };
    let said = match back.await {
        Ok(left) if left.is_empty() => "nothing of it was taken".to_owned(),
        Ok(left) => {
            let left: Vec<String> = left.iter().map(|l| l.trim_end_matches(" is missing").to_owned()).collect();
            format!("what was there is as it was; added before it was refused, remove by hand: {}", left.join(", "))
        }
        Err(e) => {
            return OpError::Failed(format!(
                "{what}: {why}; what was defined could not be imported again ({e}): this stays open"
            ));
        }
    };
    let closed = gone(&job.kept_as).and_then(|()| ctx.sink.compensation(None).map_err(recorded(&what)));
    match closed {
        Ok(()) => OpError::Failed(format!("{what}: {why}; {said}")),
        Err(e) => OpError::Failed(format!("{what}: {why}; {said}; {e}")),
    }
}

/// Compares what is live with what was wanted, and lists what was kept.
async fn finish(
    job: &Import,
    api: &Api,
    wanted: &Definitions,
    before: &Definitions,
    ctx: &OpContext,
) -> Result<Done, OpError> {
    let what = word(job);
    let until = Instant::now() + SEEN;
    let (now, left) = loop {
        let seen = match live(api, job.vhost.as_deref()).await {
            Ok(now) => {
                let left = missing(wanted, &now);
                Ok((now, left))
            }
            Err(why) => Err(why),
        };
        // What exists and differs stays so: only what is not there yet is waited for.
        match seen {
            Ok((now, left)) if !left.iter().any(|l| l.ends_with("is missing")) || Instant::now() > until => {
                break (now, left);
            }
            Err(why) if Instant::now() > until => {
                return Err(OpError::Failed(format!("{what}: {why}: this stays open and is tried again")));
            }
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    };
    let role = if job.undo { SideRole::Abandoned } else { SideRole::Before };
    ctx.sink.side(&side(&job.kept_as, &job.live, role, &job.backup, &job.copy)).map_err(recorded(&what))?;
    gone(&job.enter.path)?;
    ctx.sink.gone(&job.enter.path.display().to_string()).map_err(recorded(&what))?;
    ctx.sink.compensation(None).map_err(recorded(&what))?;
    let kept = format!("what was defined before is kept as {}", job.kept_as.display());
    let only: Vec<String> = difference(wanted, &now)
        .into_iter()
        .filter(|(s, d)| job.undo && !d.only_live.is_empty() && s.name != "permissions")
        .map(|(s, d)| format!("{}: {}", s.name, d.only_live.join(", ")))
        .collect();
    let stays = match only.is_empty() {
        true => String::new(),
        false => format!("; left, because an import removes nothing: {}", only.join("; ")),
    };
    if !left.is_empty() {
        return Err(OpError::Contradicted(format!(
            "{what}: the server accepted it, yet {}: delete such a queue or exchange by hand and import again; {kept}{stays}",
            left.join("; ")
        )));
    }
    let changed = missing(wanted, before).len();
    let messages = match api.messages().await {
        Ok(n) => format!(
            "; {} are in queues, none came back with this",
            text::plural(usize::try_from(n).unwrap_or(0), "message")
        ),
        Err(_) => String::new(),
    };
    Ok(Done {
        verified: Some(format!(
            "{} has all of {}, {changed} of it new or changed; {kept}{stays}{messages}",
            job.live,
            wanted.word()
        )),
    })
}

/// The compensation of a run that died: safe to execute any number of times.
async fn settle(job: &Import, ctx: &OpContext) -> Result<Done, OpError> {
    let what = word(job);
    let failed = |why: String| OpError::Failed(format!("{what}: {why}"));
    let as_it_was = |ctx: &OpContext| -> Result<Done, OpError> {
        gone(&job.kept_as)?;
        ctx.sink.compensation(None).map_err(recorded(&what))?;
        Ok(Done { verified: Some(format!("nothing was imported into {}", job.live)) })
    };
    // Without what was live nothing was sent.
    let Ok(before) = stored(&job.kept_as) else { return as_it_was(ctx) };
    let api = Api::new(&job.reach, &ctx.secrets).map_err(failed)?;
    let now = live(&api, job.vhost.as_deref()).await.map_err(failed)?;
    if missing(&now, &before).is_empty() && missing(&before, &now).is_empty() {
        return as_it_was(ctx);
    }
    let wanted = stored(&job.enter.path).map_err(failed)?;
    match api.import(&wanted).await {
        Ok(()) => {}
        Err(Fault::Broken(why)) => return Err(failed(why)),
        Err(Fault::Refused(why)) => return Err(refused(job, &api, &before, &why, ctx).await),
    }
    match finish(job, &api, &wanted, &before, ctx).await {
        Err(OpError::Contradicted(why)) => Ok(Done { verified: Some(why) }),
        other => other,
    }
}
