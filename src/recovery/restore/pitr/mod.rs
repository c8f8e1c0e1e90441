//! Point in time: a base backup and the archived log become a cluster beside the live one, replayed to a moment that was
//! asked for, and paused there.
//!
//! The live server is never spoken to. The side cluster has a folder, a socket and a port of its own, does not archive, is
//! given a target always, and stops there: it neither promotes itself at a gap nor goes on. It is a process of its own
//! session, so it outlives the runner and the engine on purpose; `cluster.json` in its folder says what it is, and says
//! *ready* only as the last thing. A folder that does not say so is removed by whoever finds it: the run itself, the
//! compensation of a killed one, or the next restore.
//!
//! | file | does |
//! | --- | --- |
//! | `base` `window` `target` `pick` | what there is, and which moments can be reached |
//! | `damage` | log that cannot be read on, as a replay found |
//! | `state` `conf` `server` | the side cluster: what it is, how it is set, whether it runs |
//! | `unpack` `fetch` `check` `replay` `finish` `hand` | the phases |
//!
//! Positions, names, contents and places of the log are those of [`crate::sys::wal`].

pub mod base;
mod check;
pub mod conf;
pub mod damage;
mod fetch;
mod finish;
pub mod hand;
pub mod pick;
mod replay;
pub mod server;
pub mod state;
pub mod target;
pub mod unpack;
pub mod window;

use super::{blocking, recorded, still_free};
pub use crate::sys::wal::{self, archive, repo, scan, user};
pub use fetch::command as restore_command;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::archive::Source;
use self::base::Base;
use self::target::Target;
use self::user::User;
use self::wal::Lsn;
use super::job::{self, PinnedFolder};
use super::secrets::Reach;
use crate::domain::backup::Copy;
use crate::recovery::op::{Compensation, Done, OpContext, OpError};

pub const CLEAN: &str = "pitr.clean";
pub const UNPACK: &str = "pitr.unpack";
pub const CHECK: &str = "pitr.check";
pub const REPLAY: &str = "pitr.replay";
/// A side cluster that is ready is replayed further.
pub const FURTHER: &str = "pitr.further";
pub const VERIFY: &str = "pitr.verify";
pub const PROOF: &str = "pitr.drop-proof";
pub const PROMOTE: &str = "pitr.promote";
pub const SWITCH: &str = "pitr.switch";
pub const TABLES: &str = "pitr.dump-tables";
pub const DROP: &str = "pitr.drop";
/// Compensation: a side cluster that was not completed ends and goes.
pub const REMOVE: &str = "pitr.remove-side";

/// A restore to a moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    pub backup: String,
    pub run: String,
    pub database: String,
    /// The role that connects to the side cluster, a superuser.
    pub role: String,
    /// Its folder.
    pub side: PathBuf,
    pub copy: Copy,
    pub base: Base,
    pub source: Source,
    pub user: User,
    /// The folder of the server's programs.
    pub programs: PathBuf,
    pub major: u32,
    pub segment_size: u64,
    pub target: Target,
    /// The moment that the target means, in microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moment: Option<i64>,
    pub timeline: u32,
    /// The end of the log, for progress.
    pub log_end: Lsn,
    /// The port that is to be used; else a free one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Ports that it never takes, whoever has them now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_ports: Vec<u16>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    pub verify: Vec<String>,
    pub test: bool,
    /// A cluster that is paused is replayed further.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub further: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<PathBuf>,
}

/// Handing a side cluster over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hand {
    pub backup: String,
    pub run: String,
    pub database: String,
    pub side: PinnedFolder,
    pub copy: Copy,
    /// The command that points the clients to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub switch: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// `pg_dump` for the tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dump: Option<PathBuf>,
    /// Where the tables go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<Reach>,
}

/// Ending and removing a side cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Drop {
    pub database: String,
    pub run: String,
    pub gone: PinnedFolder,
}

pub async fn execute(op: &str, args: &serde_json::Value, ctx: &OpContext) -> Result<Done, OpError> {
    match op {
        PROMOTE => hand::promote(&job::read::<Hand>(op, args)?, ctx).await,
        SWITCH => hand::switch(&job::read::<Hand>(op, args)?, ctx).await,
        TABLES => hand::tables(&job::read::<Hand>(op, args)?, ctx).await,
        DROP => finish::drop(job::read::<Drop>(op, args)?, ctx).await,
        REMOVE => {
            let job = job::read::<Job>(op, args)?;
            finish::remove(&job, ctx).await?;
            Ok(Done { verified: Some(format!("{} is gone", job.side.display())) })
        }
        _ => restore(op, job::read::<Job>(op, args)?, ctx).await,
    }
}

async fn restore(op: &str, job: Job, ctx: &OpContext) -> Result<Done, OpError> {
    if op == UNPACK {
        still_free("make the side cluster", &[&job.side])?;
    }
    let result = match op {
        CLEAN => finish::clean(&job, ctx).await,
        UNPACK => unpack::run(&job, ctx).await,
        CHECK => check::run(&job, ctx).await,
        REPLAY => replay::run(&job, ctx).await,
        FURTHER => replay::further(&job, ctx).await,
        VERIFY => finish::verify(&job, ctx).await,
        PROOF => finish::proof(&job, ctx).await,
        _ => Err(super::unknown(op)),
    };
    match result {
        // It is what was asked for: only that it holds what it should is not true, or was not asked.
        Err(error) if op == VERIFY && !job.test && (job.further || !matches!(error, OpError::Cancelled)) => {
            Err(finish::keep(&job, ctx, error).await)
        }
        Err(error) if op != CLEAN => Err(finish::give_up(&job, ctx, error).await),
        other => other,
    }
}

/// What a dying run leaves to be done.
fn removal(job: &Job) -> Compensation {
    Compensation {
        op: REMOVE.to_owned(),
        args: job::write(job),
        shown: format!("end and remove the side cluster {}, which was not completed", job.side.display()),
    }
}

/// The data folder of a side cluster.
pub fn data(side: &Path) -> PathBuf {
    side.join("data")
}
