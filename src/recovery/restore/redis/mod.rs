//! Redis: a copy is loaded into a scratch server beside the live one, counted there, and handed over by replication: the
//! live server follows the scratch one and is promoted back. It is not restarted, and its files are its own business: it
//! writes its append-only file anew by itself. Where that cannot be, the server is stopped and its files are exchanged.
//!
//! What was live is fetched first, as a replica would fetch it, while writes are held, so that undo brings back exactly
//! that. Whether the live server holds the new data is told by the replication id that it took over with them, never by
//! what somebody remembers to have done.
//!
//! | file | does |
//! | --- | --- |
//! | `client` | the connection, and what refusals mean |
//! | `copy` | copies: what they are, read to their end |
//! | `scratch` | the scratch server and its folder |
//! | `load` | check, load, verify, give up |
//! | `live` | what stands against a cut-over, settings, fetching what is live |
//! | `hand` `file` `keys` | the three ways to cut over, each with what takes it back |

pub mod client;
pub mod copy;
mod fetch;
pub mod file;
pub mod hand;
pub mod keys;
pub mod live;
mod load;
pub mod scratch;

use super::{blocking, recorded};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::client::{Conn, Reach, Target};
use self::scratch::RunAs;
use super::job::{self, PinnedFolder, SideArgs};
use crate::domain::Time;
use crate::domain::backup::Copy;
use crate::domain::run::{Side, SideRole};
use crate::recovery::op::{Compensation, Done, OpContext, OpError};
use crate::sys::clock;
use crate::text;

pub const CLEAN: &str = "redis.clean";
pub const CHECK: &str = "redis.check";
pub const LOAD: &str = "redis.load";
pub const VERIFY: &str = "redis.verify";
pub const PROOF: &str = "redis.drop-proof";
/// A server on a folder that has none: for what was kept, or after the host was started anew.
pub const WAKE: &str = "redis.wake";
pub const HAND: &str = "redis.hand-over";
pub const FILE: &str = "redis.exchange-files";
pub const KEYS: &str = "redis.bring-back-keys";
pub const KEYS_UNDO: &str = "redis.undo-keys";
pub const DROP: &str = "redis.drop";
/// Compensations.
pub const REMOVE: &str = "redis.remove-side";
pub const SETTLE: &str = "redis.settle";
pub const FILE_SETTLE: &str = "redis.settle-files";
pub const KEYS_BACK: &str = "redis.keys-back";

/// The kind of a [`Side`].
pub const SIDE_KIND: &str = "redis";

/// What must be true of a data set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// Keys of database `db`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must_exist: Vec<String>,
    #[serde(default)]
    pub db: u32,
    /// Pattern → number over all databases.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub at_least: BTreeMap<String, u64>,
}

/// A restore beside the live server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    pub reach: Reach,
    pub backup: String,
    pub run: String,
    /// Address of the live server, for people and names.
    pub live: String,
    /// The folder that is made.
    pub side: PathBuf,
    pub copy: Copy,
    pub kind: copy::Kind,
    pub program: PathBuf,
    /// Version of the program: 700 for 7.0.
    pub version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<RunAs>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bind: Vec<String>,
    pub databases: u32,
    pub wanted: Wanted,
    pub cut_torn: bool,
    pub test: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<PathBuf>,
}

/// Putting the data of one folder into the live server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hand {
    pub reach: Reach,
    pub backup: String,
    pub run: String,
    pub live: String,
    /// `run_id` of the live server when this was planned.
    pub live_run: String,
    pub enter: PinnedFolder,
    pub kept_as: PathBuf,
    pub copy: Copy,
    pub undo: bool,
    /// Where the live server reaches the scratch one.
    pub host: String,
    pub wanted: Wanted,
    /// Replication id of the scratch server: known once it is handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replid: Option<String>,
    /// By exchanging files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<file::Files>,
    /// Only keys of these patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    #[serde(default)]
    pub replace: bool,
}

/// Taking away what lies beside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Drop {
    pub live: String,
    pub run: String,
    pub gone: PinnedFolder,
}

pub async fn execute(op: &str, args: &serde_json::Value, ctx: &OpContext) -> Result<Done, OpError> {
    match op {
        WAKE => hand::wake(&job::read::<Hand>(op, args)?, ctx).await,
        HAND => hand::run(job::read::<Hand>(op, args)?, ctx).await,
        SETTLE => hand::compensate(&job::read::<Hand>(op, args)?, ctx).await,
        FILE => file::run(&job::read::<Hand>(op, args)?, ctx).await,
        FILE_SETTLE => file::compensate(&job::read::<Hand>(op, args)?, ctx).await,
        KEYS => keys::run(&job::read::<Hand>(op, args)?, ctx).await,
        KEYS_UNDO => keys::undo(&job::read::<Hand>(op, args)?, ctx).await,
        KEYS_BACK => keys::compensate(&job::read::<Hand>(op, args)?, ctx).await,
        DROP => drop_side(&job::read::<Drop>(op, args)?, ctx).await,
        REMOVE => {
            let job = job::read::<Job>(op, args)?;
            load::remove(&job, ctx).await?;
            Ok(Done { verified: Some(format!("{} is gone", job.side.display())) })
        }
        _ => load::execute(op, &job::read::<Job>(op, args)?, ctx).await,
    }
}

async fn drop_side(job: &Drop, ctx: &OpContext) -> Result<Done, OpError> {
    let name = job.gone.path.display().to_string();
    let what = format!("drop {name}");
    match super::folder::pin(&job.gone.path) {
        Ok(there) if there != job.gone => {
            return Err(OpError::Failed(format!(
                "{what}: it is not the folder it was when this was planned: plan anew"
            )));
        }
        Ok(_) => {
            if ctx.cancel.is_cancelled() {
                return Err(OpError::Cancelled);
            }
            scratch::remove(&job.gone.path).await.map_err(|why| OpError::Failed(format!("{what}: {why}")))?;
            ctx.sink.line(&format!("ended its server and removed {name}"));
        }
        Err(_) => ctx.sink.line(&format!("{name} is gone already")),
    }
    ctx.sink.gone(&name).map_err(recorded(&what))?;
    Ok(Done { verified: Some(format!("{name} is gone")) })
}

/// A live server that takes orders. Errors name what was attempted.
async fn connect(reach: &Reach, what: &str, ctx: &OpContext) -> Result<(Target, Conn), OpError> {
    let failed = |why: String| OpError::Failed(format!("{what}: {why}"));
    let target = reach.target(&ctx.secrets).map_err(failed)?;
    let conn = Conn::open(&target).await.map_err(|e| failed(e.to_string()))?;
    Ok((target, conn))
}

fn side(path: &Path, live: &str, role: SideRole, size: u64, backup: &str, copy: &Copy) -> Side {
    let args = SideArgs {
        backup: backup.to_owned(),
        copy: copy.clone(),
        folder: super::folder::pin(path).ok(),
        ..SideArgs::default()
    };
    Side {
        kind: SIDE_KIND.into(),
        name: path.display().to_string(),
        live: live.to_owned(),
        created_at: Time::from_ms(clock::now_ms()),
        size,
        role,
        args: job::write(&args),
    }
}

fn compensation(op: &str, args: serde_json::Value, shown: String) -> Compensation {
    Compensation { op: op.to_owned(), args, shown }
}

/// `20,002 keys (db0 20,000, db3 2)`.
pub fn keys_word(counts: &BTreeMap<u32, u64>) -> String {
    let total: u64 = counts.values().sum();
    let each: Vec<String> = counts.iter().map(|(db, n)| format!("db{db} {n}")).collect();
    let keys = text::plural(usize::try_from(total).unwrap_or(usize::MAX), "key");
    if each.is_empty() { keys } else { format!("{keys} ({})", each.join(", ")) }
}
