//! Repositories of restic and borg: command lines, answers, and what went wrong in words.
//!
//! Both programs are asked without taking a lock, so that watching a repository never holds up the backup that is being
//! made. The repository's address, its password and whatever else may be secret travel in the environment of the child,
//! never among its arguments. Exit codes differ by version and are trusted for success alone; what failed is told by the
//! program's own words (restic) or message ids (borg, `--log-json`).
//!
//! Sources: restic 0.12 to 0.18 (`restic help`, doc/075_scripting.rst), borg 1.1 to 1.4 (docs/internals/frontends.rst).

mod borg;
mod fault;
mod restic;

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

pub use borg::{Item, Progress, item as borg_item, progress as borg_progress};
pub use fault::{Fault, FaultKind};
pub use restic::{Node, node as restic_node, progress as restic_progress};

use super::proc::{self, Cmd};

/// The program of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VaultTool {
    Restic,
    Borg,
}

impl VaultTool {
    /// Name of the program, and of its table in the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            VaultTool::Restic => "restic",
            VaultTool::Borg => "borg",
        }
    }

    /// The package to install.
    pub const fn package(self) -> &'static str {
        match self {
            VaultTool::Restic => "restic",
            VaultTool::Borg => "borgbackup",
        }
    }

    /// What one copy is called.
    pub const fn copy(self) -> &'static str {
        match self {
            VaultTool::Restic => "snapshot",
            VaultTool::Borg => "archive",
        }
    }
}

/// How a repository is reached.
#[derive(Clone)]
pub struct Access {
    pub tool: VaultTool,
    pub program: PathBuf,
    pub repository: SecretString,
    pub password: Option<SecretString>,
    pub env: Vec<(String, SecretString)>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("tool", &self.tool).field("program", &self.program).finish_non_exhaustive()
    }
}

/// One copy in a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// As the program takes it: restic's whole id, borg's name.
    pub id: String,
    /// For people, and unique within a repository.
    pub short: String,
    /// The program's own id of the content.
    pub digest: String,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// Empty when not known.
    pub host: String,
    pub paths: Vec<String>,
    /// Bytes of the files in it, where a listing says so.
    pub size: Option<u64>,
}

/// Which copies of a repository are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub host: Option<String>,
    pub path: Option<PathBuf>,
    pub tags: Vec<String>,
    pub archives: Option<String>,
}

/// Bytes kept of a listing.
const LISTING: usize = 16 << 20;

impl Access {
    /// Environment of the program.
    pub fn environment(&self) -> Vec<(String, String)> {
        let own = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        // Names of files are bytes; both programs take them for UTF-8 only in such a locale. Times come as UTC.
        let mut env = vec![own("LC_ALL", "C.UTF-8"), own("TZ", "UTC")];
        match self.tool {
            VaultTool::Restic => {
                env.push(own("RESTIC_REPOSITORY", self.repository.expose_secret()));
                env.extend(self.password.as_ref().map(|p| own("RESTIC_PASSWORD", p.expose_secret())));
            }
            VaultTool::Borg => {
                env.push(own("BORG_REPO", self.repository.expose_secret()));
                // Without one it would ask; an empty one is refused in words where one is needed.
                env.push(own("BORG_PASSPHRASE", self.password.as_ref().map_or("", |p| p.expose_secret())));
                // Questions are answered here, as nobody is asked: a repository without encryption is taken only where
                // no password was configured, one that has moved only where its owner says so in `env`.
                let plain = if self.password.is_none() { "yes" } else { "no" };
                env.push(own("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", plain));
                env.push(own("BORG_RELOCATED_REPO_ACCESS_IS_OK", "no"));
                env.push(own("BORG_EXIT_CODES", "legacy"));
            }
        }
        env.extend(self.env.iter().map(|(k, v)| own(k, v.expose_secret())));
        env
    }

    fn ask(&self, args: &[String], limit: Duration) -> Cmd {
        let mut cmd = Cmd::new(&self.program).args(args.iter().cloned()).timeout(limit).keep_output(LISTING);
        for (name, value) in self.environment() {
            cmd = cmd.env(name, value);
        }
        cmd
    }

    /// Runs a question and gives its standard output.
    async fn answer(&self, args: &[String], limit: Duration) -> Result<String, Fault> {
        let outcome = proc::run(self.ask(args, limit)).await;
        let said = outcome.stderr.text();
        if !outcome.success() {
            return Err(Fault::of(self.tool, &outcome.end, &said));
        }
        if outcome.stdout.cut > 0 {
            return Err(Fault::other(self.tool, "its answer is longer than 16 MiB: narrow the copies that are meant"));
        }
        Ok(outcome.stdout.text())
    }

    /// The copies, newest first. Takes no lock.
    pub async fn snapshots(&self, filter: &Filter, limit: Duration) -> Result<Vec<Snapshot>, Fault> {
        let args = match self.tool {
            VaultTool::Restic => restic::list(filter),
            VaultTool::Borg => borg::list(filter),
        };
        let text = self.answer(&args, limit).await?;
        let read = match self.tool {
            VaultTool::Restic => restic::snapshots(&text),
            VaultTool::Borg => borg::archives(&text),
        };
        let mut found = read.map_err(|why| Fault::other(self.tool, &why))?;
        // borg knows whole seconds; of one second, names that count up tell which is newer.
        found.sort_by(|a, b| b.at_ms.cmp(&a.at_ms).then_with(|| b.id.cmp(&a.id)));
        Ok(found)
    }

    /// Bytes that the files of a copy take when it is restored as a whole; `None` where finding out is not cheap: borg
    /// would first bring its cache of the whole repository up to date. Takes no lock.
    pub async fn size(&self, id: &str, limit: Duration) -> Result<Option<u64>, Fault> {
        match self.tool {
            VaultTool::Restic => Ok(restic::size(&self.answer(&restic::stats(id), limit).await?)),
            VaultTool::Borg => Ok(None),
        }
    }

    /// Whether a copy has something under this name, and whether that is a folder. Takes no lock.
    pub async fn has(&self, id: &str, inside: &str, limit: Duration) -> Result<Option<bool>, Fault> {
        match self.tool {
            VaultTool::Restic => {
                let text = self.answer(&restic::look(id, inside), limit).await?;
                let mut nodes = text.lines().filter_map(|l| restic::node(l)?.ok());
                Ok(nodes.find(|n| n.path == inside).map(|n| n.kind == "dir"))
            }
            VaultTool::Borg => {
                let text = self.answer(&borg::first(id, inside), limit).await?;
                let mut items = text.lines().filter_map(|l| borg::item(l)?.ok());
                Ok(items.next().map(|i| i.path != inside || i.kind == 'd'))
            }
        }
    }

    /// Arguments for listing all that a copy has at and below `inside`, a line of JSON for each name.
    pub fn list_args(&self, id: &str, inside: &str) -> Vec<String> {
        match self.tool {
            VaultTool::Restic => restic::ls(id, inside),
            VaultTool::Borg => borg::items(id, inside),
        }
    }

    /// Arguments for restoring what a copy has at each of `wanted`, of which `inside` is the common folder. borg writes
    /// into the folder that it is started in, with the part of the path above `inside` dropped; restic into `target`,
    /// with the whole path below it.
    pub fn restore_args(&self, id: &str, inside: &str, wanted: &[String], target: &str) -> Vec<String> {
        match self.tool {
            VaultTool::Restic => restic::restore(id, wanted, target),
            VaultTool::Borg => borg::extract(id, inside, wanted),
        }
    }
}

/// Arguments as owned texts.
fn args(of: &[&str]) -> Vec<String> {
    of.iter().map(|a| (*a).to_owned()).collect()
}

#[cfg(test)]
mod tests;
