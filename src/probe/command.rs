//! Asking a tool of the host: `systemctl`, `docker`.

use std::ffi::OsString;

use super::look::{Finding, Phase, Progress};
use crate::sys::proc::{self, Cmd, End, Outcome};

/// Runs `program args…` and gives its output, whatever its exit code. Errors: it could not be asked.
pub(super) async fn ask(
    program: &str,
    args: &[String],
    path: Option<&OsString>,
    progress: &Progress,
) -> Result<Outcome, Finding> {
    progress.enter_with(Phase::Command, program);
    let mut cmd = Cmd::new(program).args(args.iter().cloned()).timeout(progress.left());
    if let Some(path) = path {
        cmd = cmd.env("PATH", path);
    }
    // Words are read from the answers.
    let outcome = proc::run(cmd.env("LC_ALL", "C")).await;
    match &outcome.end {
        End::Exited(_) => Ok(outcome),
        End::NotFound => Err(Finding::error(format!("{program} is not installed on this host"))),
        End::PermissionDenied => Err(Finding::error(format!("{program} may not be run by this user"))),
        End::TimedOut { .. } => Err(Finding::error(progress.timed_out().detail)),
        other => Err(Finding::error(format!("{program}: {other}"))),
    }
}

/// The first line of what a tool said, errors first.
pub(super) fn first_line(outcome: &Outcome) -> String {
    let (err, out) = (outcome.stderr.text(), outcome.stdout.text());
    let said = |text: &str| text.lines().map(str::trim).find(|l| !l.is_empty()).map(str::to_owned);
    said(&err).or_else(|| said(&out)).unwrap_or_else(|| outcome.end.to_string())
}
