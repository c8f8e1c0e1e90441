//! PostgreSQL: a dump is loaded into a new database beside the live one, proven, and put in its place by renaming.
//!
//! Until the cut-over the live database is only read from (its properties, never its data). What makes a side database
//! valid is written last: its comment says `INCOMPLETE` until everything was verified, and a run that ends before that
//! removes it, or leaves the removal open for whoever comes next.

pub mod amcheck;
pub mod carry;
mod check;
mod drop;
mod explain;
mod load;
mod make;
mod put;
pub mod room;
pub mod server;
mod standing;
mod swap;
mod tables;
pub mod told;
mod verify;

use super::recorded;
use serde::{Deserialize, Serialize};

pub use check::{archive_args, archive_within, lacking, missing_spaces, scan_file, tar_file};
pub use explain::tool as explain;
pub use load::{USE_LIST, args as load_args};
pub use make::{MARK as SIDE_MARK, create_as, is_incomplete};
pub use put::name as put_name;
pub use swap::GRACE_MAX;
pub use tables::estimate;
pub use verify::queries;

use super::job::{self, Described, PgDrop, PgRestore, PgSwap, PgTables, PgTablesDrop};
use crate::domain::backup::Manifest;
use crate::recovery::op::{Compensation, Done, OpContext, OpError};

/// Phases that work on a side database, which is removed when one of them fails.
pub const CLEAN: &str = "pg.clean";
pub const CHECK: &str = "pg.check";
pub const CREATE: &str = "pg.create";
pub const LOAD: &str = "pg.load";
pub const SETTLE: &str = "pg.settle";
pub const AMCHECK: &str = "pg.amcheck";
pub const VERIFY: &str = "pg.verify";
pub const PROOF: &str = "pg.drop-proof";
pub const SWAP: &str = "pg.swap";
/// Puts restored tables beside the live ones.
pub const PUT: &str = "pg.put-tables";
/// Takes them away; also the compensation of putting them there.
pub const DROP_TABLES: &str = "pg.drop-tables";
pub const DROP: &str = "pg.drop";
/// Compensation: whatever became of a cut-over, the live database takes connections again.
pub const ALLOW: &str = "pg.allow-connections";
/// Compensation: a side database that was not completed goes.
pub const REMOVE: &str = "pg.remove-side";

pub async fn execute(op: &str, args: &serde_json::Value, ctx: &OpContext) -> Result<Done, OpError> {
    match op {
        SWAP => swap::run(&job::read::<PgSwap>(op, args)?, ctx).await,
        ALLOW => standing::compensate(&job::read::<PgSwap>(op, args)?, ctx).await,
        PUT => put::run(&job::read::<PgTables>(op, args)?, ctx).await,
        DROP_TABLES => put::remove(&job::read::<PgTablesDrop>(op, args)?, ctx).await,
        DROP => drop::run(&job::read::<PgDrop>(op, args)?, ctx).await,
        REMOVE => {
            let job = job::read::<PgRestore>(op, args)?;
            make::remove(&job, ctx).await?;
            Ok(Done { verified: Some(format!("{} is gone", job.side)) })
        }
        _ => restore(op, &job::read::<PgRestore>(op, args)?, ctx).await,
    }
}

async fn restore(op: &str, job: &PgRestore, ctx: &OpContext) -> Result<Done, OpError> {
    if op == CREATE {
        make::still_free(job, ctx).await?;
    }
    let result = match op {
        CLEAN => make::clean(job, ctx).await,
        CHECK => check::run(job, ctx).await,
        CREATE => make::create(job, ctx).await,
        LOAD => load::run(job, ctx).await,
        SETTLE => make::settle(job, ctx).await,
        AMCHECK => amcheck::run(job, ctx).await,
        VERIFY => verify::run(job, ctx).await,
        PROOF => make::drop_proof(job, ctx).await,
        _ => Err(super::unknown(op)),
    };
    match result {
        Err(error) if matches!(op, CREATE | LOAD | SETTLE | AMCHECK | VERIFY | PROOF) => {
            Err(make::give_up(job, ctx, error).await)
        }
        other => other,
    }
}

/// What a dying run leaves to be done: the side database goes.
fn removal(job: &PgRestore) -> Compensation {
    Compensation {
        op: REMOVE.to_owned(),
        args: job::write(job),
        shown: format!("drop {}, which was not completed", job.side),
    }
}

/// What phases of one run tell each other, in the run's own folder.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Facts {
    /// Rows in the copy, where it says so (COPY data of a plain dump).
    #[serde(default)]
    rows: Option<u64>,
    #[serde(default)]
    tables: Option<u64>,
    /// What the copy's manifest said when the copy was checked.
    #[serde(default)]
    manifest: Option<Manifest>,
    /// Tablespaces of the copy that the server does not have.
    #[serde(default)]
    no_spaces: Vec<String>,
    /// What the live database is like, or was by what the copy says.
    #[serde(default)]
    lost: Option<Described>,
}

impl Facts {
    const FILE: &'static str = "restore-facts.json";

    fn read(ctx: &OpContext) -> Facts {
        let text = std::fs::read(ctx.dir.join(Self::FILE)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn write(&self, ctx: &OpContext) -> Result<(), OpError> {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        crate::sys::disk::write_atomic(&ctx.dir.join(Self::FILE), &bytes, 0o600)
            .map_err(|e| OpError::Failed(format!("write {} into the run's folder: {e}: make room there", Self::FILE)))
    }
}
