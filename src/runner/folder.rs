//! The folder of one run: which file says what, and where it lies.
//!
//! | file | by | says |
//! | --- | --- | --- |
//! | `plan.json` | engine | what is to be executed; written once, never changed |
//! | `claim` | runner | created exclusively and synced before the first command: a plan is executed at most once |
//! | `lock` | runner | an advisory lock, held for the runner's life |
//! | `progress.jsonl` | runner | a line for each thing that happened; sides and compensations are synced |
//! | `output.log`, `output-….log` | runner | the captured output, masked and cleaned |
//! | `cancel` | engine | asks the runner to stop |
//! | `status.json` | runner | how it ended; written beside and renamed, so it is there whole or not at all |
//! | `runner.err` | runner | why it did not get as far as a claim |

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::domain::run::Plan;
use crate::sys::{disk, peer, runtime};

pub const PLAN: &str = "plan.json";
pub const CLAIM: &str = "claim";
pub const LOCK: &str = "lock";
pub const PROGRESS: &str = "progress.jsonl";
pub const OUTPUT: &str = "output.log";
pub const CANCEL: &str = "cancel";
pub const STATUS: &str = "status.json";
pub const ERRORS: &str = "runner.err";

/// Bytes of a plan or status file that are read at the most.
const LARGEST: u64 = 16 << 20;

/// Writes the plan into the folder of its run, which is made when it is not there (mode 0700). On disk when this
/// returns. A plan that stands there already is never overwritten: `AlreadyExists`.
pub fn write_plan(dir: &Path, plan: &Plan) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // Output and plans are for the engine's user alone, whatever the umask was.
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    let path = dir.join(PLAN);
    if path.try_exists()? {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} is there already", path.display())));
    }
    let mut bytes = serde_json::to_vec_pretty(plan).map_err(io::Error::other)?;
    bytes.push(b'\n');
    disk::write_atomic(&path, &bytes, 0o600)?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => disk::fsync_dir(parent),
        _ => Ok(()),
    }
}

/// The plan of a run folder. `NotFound` without one; `InvalidData` when it does not read.
pub fn read_plan(dir: &Path) -> io::Result<Plan> {
    read_json(&dir.join(PLAN))
}

/// Writes the plan where it can be written: `runs/<id>` below the state folder, else below one of the `others`, which are
/// made where they are missing and used only when they are private (a full or broken disk must not forbid the action that
/// repairs it). Returns the run's folder. The error names all that were tried.
pub fn place(state_dir: &Path, others: &[PathBuf], plan: &Plan) -> io::Result<PathBuf> {
    let first = run_dir(state_dir, &plan.id)?;
    let why = match write_plan(&first, plan) {
        Ok(()) => return Ok(first),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(e),
        Err(e) => e,
    };
    let mut told = format!("write the plan into {}: {why}", first.display());
    for base in others {
        let dir = run_dir(base, &plan.id)?;
        match runtime::make_private(base).and_then(|()| write_plan(&dir, plan)) {
            Ok(()) => return Ok(dir),
            // Here or there: a plan is never written a second time.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(e),
            Err(e) => told.push_str(&format!("; into {}: {e}", dir.display())),
        }
    }
    Err(io::Error::new(why.kind(), told))
}

/// The folder of a run that was [`place`]d, wherever that was.
pub fn find(state_dir: &Path, others: &[PathBuf], id: &str) -> Option<PathBuf> {
    let uid = peer::current_uid();
    let others = others.iter().map(PathBuf::as_path).filter(|base| runtime::is_private(base, uid));
    std::iter::once(state_dir)
        .chain(others)
        .filter_map(|base| run_dir(base, id).ok())
        .find(|dir| dir.join(PLAN).is_file())
}

fn run_dir(base: &Path, id: &str) -> io::Result<PathBuf> {
    let plain = !id.is_empty() && id.len() <= 32 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !plain {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a run id is made of letters and digits"));
    }
    Ok(base.join("runs").join(id))
}

/// Reads a JSON file of bounded size.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<T> {
    use std::io::Read;
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    serde_json::from_slice(&bytes)
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("{} does not read: {e}", path.display())))
}

/// The folder as an absolute path without links: the mark that the run's processes carry.
pub(super) fn canonical(dir: &Path) -> PathBuf {
    fs::canonicalize(dir).unwrap_or_else(|_| dir.to_path_buf())
}
