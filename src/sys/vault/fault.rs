//! What a program of a repository could not do, and what a person can do about it.

use super::VaultTool;
use crate::sys::one_line;
use crate::sys::proc::End;

/// What kind of thing stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The program is not there.
    Missing,
    /// No password, or a wrong one.
    Password,
    /// There is no repository at that place, or it is none.
    Repository,
    /// Somebody holds it.
    Locked,
    /// There is no such copy in it.
    Copy,
    /// Its host does not answer, or refuses.
    Unreachable,
    /// No answer within the time.
    Late,
    Other,
}

/// Why a question was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    tool: VaultTool,
    said: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tool = self.tool.word();
        let said = if self.said.is_empty() { String::new() } else { format!(" ({tool} says: {})", self.said) };
        match self.kind {
            FaultKind::Missing => {
                write!(f, "{tool} is not in PATH: install {}", self.tool.package())
            }
            FaultKind::Password => {
                write!(f, "the password of the repository is missing or wrong: set `password`{said}")
            }
            FaultKind::Repository => {
                write!(f, "there is no {tool} repository at that place: correct `repository`, or mount it{said}")
            }
            FaultKind::Locked => write!(
                f,
                "the repository is locked by somebody who works on it: wait, or where nobody does, {}{said}",
                match self.tool {
                    VaultTool::Restic => "run `restic unlock`",
                    VaultTool::Borg => "run `borg break-lock`",
                }
            ),
            FaultKind::Copy => write!(f, "there is no such {} in the repository any more{said}", self.tool.copy()),
            FaultKind::Unreachable => {
                write!(f, "the repository cannot be reached: look at its host and the way to it{said}")
            }
            FaultKind::Late => write!(
                f,
                "{tool} did not answer in time: is the repository reachable? A longer `timeout` helps where it is only slow"
            ),
            FaultKind::Other => write!(f, "{tool} failed{said}"),
        }
    }
}

impl Fault {
    /// From how the program ended and its standard error.
    pub fn of(tool: VaultTool, end: &End, stderr: &str) -> Fault {
        let new = |kind, said: &str| Fault { kind, tool, said: one_line(said) };
        match end {
            End::NotFound => new(FaultKind::Missing, ""),
            End::TimedOut { .. } => new(FaultKind::Late, ""),
            End::Exited(code) => {
                let (said, id) = words(tool, stderr);
                let kind = match tool {
                    VaultTool::Restic => restic(*code, &said),
                    VaultTool::Borg => borg(&id, &said),
                };
                let said = if said.is_empty() { format!("nothing; exit {code}") } else { said };
                new(kind, &said)
            }
            other => new(FaultKind::Other, &other.to_string()),
        }
    }

    pub fn other(tool: VaultTool, why: &str) -> Fault {
        Fault { kind: FaultKind::Other, tool, said: one_line(why) }
    }
}

/// What matters of the standard error, and borg's id of it.
fn words(tool: VaultTool, stderr: &str) -> (String, String) {
    match tool {
        VaultTool::Restic => {
            let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
            // Since 0.17 with --json the message comes as JSON.
            let plain = |l: &&str| {
                let json: Option<serde_json::Value> = serde_json::from_str(l).ok();
                let message = json.as_ref().and_then(|j| j.get("message")).and_then(|m| m.as_str());
                message.map_or_else(|| (*l).to_owned(), str::to_owned)
            };
            let fatal = lines.iter().position(|l| l.contains("Fatal")).unwrap_or_else(|| lines.len().saturating_sub(2));
            (lines.iter().skip(fatal).take(2).map(plain).collect::<Vec<_>>().join("; "), String::new())
        }
        VaultTool::Borg => {
            let logged = stderr.lines().filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok());
            let field = |v: &serde_json::Value, key: &str| v.get(key).and_then(|f| f.as_str()).unwrap_or("").to_owned();
            let grave =
                |v: &serde_json::Value| matches!(field(v, "levelname").as_str(), "ERROR" | "CRITICAL" | "WARNING");
            let error = logged.rev().find(grave);
            match error {
                Some(v) => (field(&v, "message"), field(&v, "msgid")),
                None => (stderr.lines().rfind(|l| !l.trim().is_empty()).unwrap_or_default().to_owned(), String::new()),
            }
        }
    }
}

/// Exit codes with a meaning of their own since 0.17: 10, 11 and 12.
fn restic(code: i32, said: &str) -> FaultKind {
    let has = |parts: &[&str]| parts.iter().any(|p| said.contains(p));
    if code == 12
        || has(&["wrong password", "no key found", "empty password", "unable to read password", "Resolving password"])
    {
        FaultKind::Password
    } else if code == 11 || has(&["already locked", "unable to create lock"]) {
        FaultKind::Locked
    } else if has(&["no matching ID", "no snapshot found", "failed to find snapshot", "not found in snapshot"]) {
        FaultKind::Copy
    } else if has(&[
        "connection refused",
        "no such host",
        "i/o timeout",
        "unable to start the sftp",
        "Could not resolve",
        "connection reset",
        "no route to host",
    ]) {
        FaultKind::Unreachable
    } else if code == 10
        || has(&["Is there a repository", "does not exist", "unable to open config", "unable to open repository"])
    {
        FaultKind::Repository
    } else {
        FaultKind::Other
    }
}

/// borg's message ids: docs/internals/frontends.rst, "Message IDs".
fn borg(id: &str, said: &str) -> FaultKind {
    match id.rsplit('.').next().unwrap_or_default() {
        "PassphraseWrong" | "PasscommandFailure" | "PasswordRetriesExceeded" | "NoPassphraseFailure" => {
            FaultKind::Password
        }
        "LockTimeout" | "LockFailed" | "LockError" | "LockErrorT" => FaultKind::Locked,
        "InvalidRepository" | "InvalidRepositoryConfig" | "PathPermissionDenied" => FaultKind::Repository,
        "DoesNotExist" if id.starts_with("Archive") => FaultKind::Copy,
        "DoesNotExist" | "ObjectNotFound" => FaultKind::Repository,
        "ConnectionClosed" | "ConnectionClosedWithHint" => FaultKind::Unreachable,
        _ if said.contains("passphrase") => FaultKind::Password,
        _ => FaultKind::Other,
    }
}
