//! Looking at what a plan needs: programs, folders, and what a platform's own tool answers.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::PlanContext;
use crate::domain::run::{Checked, Precondition};
use crate::sys::proc::{self, Cmd, Outcome};
use crate::text;

/// Longest wait for one question to a tool.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// Longest wait for a file system.
const FILES: Duration = Duration::from_secs(3);

/// One thing looked at.
pub fn found(name: impl Into<String>, result: Checked, detail: impl Into<String>) -> Precondition {
    let detail: String = detail.into();
    let detail = text::Mask::default().apply(&detail).into_owned();
    Precondition { name: name.into(), result, detail: text::clean(&detail).into_owned() }
}

pub fn passed(name: impl Into<String>, detail: impl Into<String>) -> Precondition {
    found(name, Checked::Passed, detail)
}

pub fn warned(name: impl Into<String>, detail: impl Into<String>) -> Precondition {
    found(name, Checked::Warned, detail)
}

pub fn failed(name: impl Into<String>, detail: impl Into<String>) -> Precondition {
    found(name, Checked::Failed, detail)
}

/// Tools as they are found from here.
#[derive(Clone, Debug)]
pub struct Tools {
    path: OsString,
}

impl Tools {
    pub fn of(ctx: &PlanContext) -> Tools {
        let path = ctx.tool_path.clone().or_else(|| std::env::var_os("PATH"));
        Tools { path: path.unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into()) }
    }

    /// The file that a program's name means.
    pub fn which(&self, name: &str) -> Option<PathBuf> {
        proc::which(name, &self.path)
    }

    /// A tool by name; `package` says what to install where it is missing.
    pub fn tool(&self, name: &str, package: &str) -> Precondition {
        match self.which(name) {
            Some(path) => passed(format!("tool {name}"), path.display().to_string()),
            None => failed(format!("tool {name}"), format!("{name} is not in PATH of the engine: install {package}")),
        }
    }

    /// The program of an argument list: there, and executable by this user. A relative path is one below `cwd`. Bounded:
    /// it may lie on a dead file system.
    pub async fn program(&self, argv: &[String], cwd: Option<&Path>, env: &BTreeMap<String, String>) -> Precondition {
        let Some(name) = argv.first().cloned() else { return failed("program", "there is no command to run") };
        let label = format!("program {}", name.rsplit('/').next().unwrap_or(&name));
        let named = match cwd {
            Some(dir) if name.contains('/') => dir.join(&name),
            _ => PathBuf::from(&name),
        };
        let path = env.get("PATH").map_or_else(|| self.path.clone(), OsString::from);
        let looked = bounded(move || (proc::which(&named, &path), named.is_file()));
        match looked.await {
            None => failed(label, format!("looking for {name} took longer than {} s", FILES.as_secs())),
            Some((Some(path), _)) => passed(label, path.display().to_string()),
            Some((None, true)) => failed(label, format!("{name} is there, but this user may not execute it: chmod +x")),
            Some((None, false)) if name.contains('/') => failed(label, format!("there is no {name}: correct the path")),
            Some((None, false)) => {
                failed(label, format!("{name} is not in PATH of the engine: install it, or write its whole path"))
            }
        }
    }

    /// Asks a tool a question that changes nothing.
    pub async fn ask(&self, argv: &[String], cwd: Option<&Path>) -> Outcome {
        let mut cmd = Cmd::from_argv(argv).unwrap_or_else(|| Cmd::new("")).inherit_env().timeout(PATIENCE);
        cmd = cmd.keep_output(2 << 20).env("NO_COLOR", "1").env("PATH", &self.path);
        if let Some(dir) = cwd {
            cmd = cmd.cwd(dir);
        }
        proc::run(cmd).await
    }
}

/// A folder that a command works in.
pub async fn folder(name: &str, dir: &Path) -> Precondition {
    let asked = dir.to_path_buf();
    let shown = dir.display();
    match bounded(move || std::fs::metadata(asked)).await {
        None => {
            failed(name, format!("{shown} did not answer within {} s: is its file system hanging?", FILES.as_secs()))
        }
        Some(Ok(meta)) if meta.is_dir() => passed(name, shown.to_string()),
        Some(Ok(_)) => failed(name, format!("{shown} is not a folder")),
        Some(Err(e)) => failed(name, format!("{shown}: {e}")),
    }
}

/// A file that a command reads.
pub async fn file(name: &str, path: &Path) -> Precondition {
    let asked = path.to_path_buf();
    let shown = path.display();
    match bounded(move || std::fs::File::open(asked).map(drop)).await {
        None => {
            failed(name, format!("{shown} did not answer within {} s: is its file system hanging?", FILES.as_secs()))
        }
        Some(Ok(())) => passed(name, shown.to_string()),
        Some(Err(e)) => failed(name, format!("{shown} cannot be read: {e}")),
    }
}

/// Something that blocks, for a bounded time. `None` when it did not come back; its thread is left behind.
async fn bounded<T: Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::time::timeout(FILES, tokio::task::spawn_blocking(look)).await.ok()?.ok()
}

/// What a tool said when it refused: its last line on stderr, else on stdout, else how it ended.
pub fn said(outcome: &Outcome) -> String {
    let last = |c: &proc::Captured| {
        let text = c.text();
        text.lines().rev().map(str::trim).find(|l| !l.is_empty()).map(str::to_owned)
    };
    last(&outcome.stderr).or_else(|| last(&outcome.stdout)).unwrap_or_else(|| outcome.end.to_string())
}

/// An argument that looks like a secret stands in the open: in the process list, and in the plan.
pub fn arguments(argv: &[String]) -> Option<Precondition> {
    let mask = text::Mask::default();
    let open = argv.iter().any(|a| matches!(mask.apply(a), std::borrow::Cow::Owned(_)));
    open.then(|| {
        let detail =
            "an argument looks like a secret and is seen by everybody in the process list: hand it over in `env`";
        warned("arguments", detail)
    })
}
