//! What a side cluster is, as its own folder says it.

use std::io;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::user::User;
use super::wal::Lsn;
use crate::sys::disk;

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Being made, or left by a run that ended before it was complete: it is of no use.
    #[default]
    Incomplete,
    /// Paused at its target and verified.
    Ready,
    /// Paused at its target, and what it holds was not found to be what it should: never handed over.
    Unverified,
    /// Promoted: clients may use it.
    HandedOver,
}

/// The file [`FILE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    pub stage: Stage,
    /// The run that last worked on it.
    pub run: String,
    pub backup: String,
    pub database: String,
    pub role: String,
    /// The copy that it was made from.
    pub copy: String,
    pub user: User,
    pub programs: PathBuf,
    #[serde(default)]
    pub port: u16,
    #[serde(default)]
    pub server: Option<Server>,
    #[serde(default)]
    pub timeline: u32,
    /// How far it was replayed, once paused.
    #[serde(default)]
    pub replayed: Option<Lsn>,
    /// The last transaction in it, in microseconds since 1970.
    #[serde(default)]
    pub moment: Option<i64>,
    #[serde(default)]
    pub target: String,
}

/// A server process, named for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    pub pid: i32,
    /// Clock ticks since boot.
    pub start: u64,
    pub boot: String,
}

pub const FILE: &str = "cluster.json";

impl Cluster {
    /// Reads what a folder says of itself. `None` when it says nothing that can be read.
    pub fn read(side: &Path) -> Option<Cluster> {
        serde_json::from_slice(&std::fs::read(side.join(FILE)).ok()?).ok()
    }

    /// On disk when this returns.
    pub fn write(&self, side: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        disk::write_atomic(&side.join(FILE), &bytes, 0o600)?;
        own(&side.join(FILE), &self.user)
    }

    /// How it is connected to: by its socket, which is in its folder.
    pub fn dsn(&self, side: &Path) -> String {
        let value = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
        format!(
            "host={} port={} user={} dbname={}",
            value(&side.display().to_string()),
            self.port,
            value(&self.role),
            value(&self.database)
        )
    }
}

/// Makes the folder, which must not exist, and says at once what it is.
pub fn create(side: &Path, cluster: &Cluster) -> Result<(), String> {
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::AlreadyExists => format!("{} exists already: plan anew", side.display()),
        io::ErrorKind::PermissionDenied => {
            format!("{} may not be made by this user: give it the right to write there", side.display())
        }
        _ => format!("{} cannot be made: {e}", side.display()),
    };
    std::fs::DirBuilder::new().mode(0o700).create(side).map_err(failed)?;
    own(side, &cluster.user).and_then(|()| cluster.write(side)).map_err(failed)?;
    disk::fsync_dir(side.parent().unwrap_or(Path::new("/"))).map_err(failed)
}

/// Gives something to the user of the server.
pub fn own(path: &Path, user: &User) -> io::Result<()> {
    if user.is_other() { chown(path, Some(user.uid), Some(user.gid)) } else { Ok(()) }
}

/// What lies in `folder` and was begun for `database` by runs that did not complete it.
pub fn unfinished(folder: &Path, database: &str) -> Vec<(PathBuf, String)> {
    let begin = prefix(database);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(run) = name.strip_prefix(&begin) else { continue };
        if !path.symlink_metadata().is_ok_and(|m| m.is_dir()) {
            continue;
        }
        match Cluster::read(&path) {
            Some(c) if c.stage == Stage::Incomplete => found.push((path, c.run)),
            Some(_) => {}
            // Begun and killed before the first word was written: nothing is in it.
            None if std::fs::read_dir(&path).is_ok_and(|mut d| d.next().is_none()) => {
                found.push((path, run.to_owned()));
            }
            None => {}
        }
    }
    found.sort();
    found
}

/// How the name of the folder of every side cluster begins.
pub fn prefix(database: &str) -> String {
    let name: String =
        database.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' }).collect();
    format!("{}.pitr-", name.get(..40).unwrap_or(&name))
}
