//! A command of one's own, in the manner of Nagios plugins: exit 0 ok, 1 warn, 2 fail, 3 and more "could not tell"; the
//! first line of the output says why, and what follows a `|` is performance data
//! (Monitoring Plugins Development Guidelines).
//!
//! An argument list, never a shell. The command's environment is a small fixed one and what the check adds to it, so that
//! secrets of the engine's environment do not reach it. It and all it starts are ended at the time limit.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use regex::Regex;

use super::Vault;
use super::look::{Finding, Look, Phase, Progress};
use crate::config::ExecCheck;
use crate::domain::health::Reason;
use crate::sys::proc::{self, Cmd, End, Outcome};

/// Bytes of output looked at.
const OUTPUT: usize = 64 * 1024;
/// Between TERM and KILL.
const TERM: Duration = Duration::from_secs(1);
/// What ending a command may take beyond the time limit.
pub(super) const GRACE: Duration = Duration::from_secs(3);

pub(super) struct Exec {
    cmd: Cmd,
    program: String,
    matches: Option<Regex>,
}

impl Exec {
    pub(super) fn new(check: &ExecCheck, vault: &mut Vault<'_>) -> Result<Self, String> {
        let mut cmd = Cmd::from_argv(&check.run).ok_or("there is no program in run")?;
        if let Some(path) = &vault.env.tool_path {
            cmd = cmd.env("PATH", path);
        }
        for (name, value) in &check.env {
            cmd = cmd.env(name, vault.value(value)?);
        }
        if let Some(dir) = &check.cwd {
            cmd = cmd.cwd(dir);
        }
        let matches = check
            .output_matches
            .as_deref()
            .map(|text| Regex::new(text).map_err(|e| format!("\"{text}\" is not a regular expression: {e}")));
        Ok(Exec {
            cmd: cmd.grace(TERM).keep_output(OUTPUT),
            program: check.run.first().cloned().unwrap_or_default(),
            matches: matches.transpose()?,
        })
    }

    fn judge(&self, outcome: &Outcome, progress: &Progress) -> Finding {
        let text = outcome.stdout.text();
        let (line, perfdata) = first_line(&text);
        let err = outcome.stderr.text();
        let said =
            if line.is_empty() { err.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or("") } else { line };
        let or = |otherwise: String| if said.is_empty() { otherwise } else { said.to_owned() };
        let program = &self.program;
        let finding = match &outcome.end {
            End::Exited(0) => match &self.matches {
                Some(pattern) if !pattern.is_match(&text) => Finding::fail(
                    Reason::Assertion,
                    format!("{}; the output does not match {pattern}", or("exit 0".into())),
                ),
                _ => Finding::ok(or("exit 0".into())),
            },
            End::Exited(1) => Finding::warn(Reason::Exec, or("exit 1".into())),
            End::Exited(2) => Finding::fail(Reason::Exec, or("exit 2".into())),
            End::Exited(code) => Finding::error(format!("exit {code}: {}", or("nothing was said".into()))),
            End::Signalled(signal) => Finding::fail(
                Reason::Exec,
                format!("{program} was ended by signal {signal}: {}", or("nothing was said".into())),
            ),
            End::TimedOut { .. } => progress.timed_out(),
            End::NotFound => Finding::error(format!("there is no program {program}")),
            End::PermissionDenied => Finding::error(format!("{program} may not be run by this user")),
            End::NotStarted(why) => Finding::error(format!("{program} could not be started: {why}")),
        };
        finding.with_facts(perfdata)
    }
}

/// The first line without its performance data, and the performance data.
fn first_line(text: &str) -> (&str, Vec<(String, String)>) {
    let line = text.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or("");
    match line.split_once('|') {
        Some((said, data)) => (said.trim(), perfdata(data)),
        None => (line, Vec::new()),
    }
}

/// `'label with spaces'=value[unit];warn;crit;min;max …`: label and value with unit. What does not look so is left out.
fn perfdata(text: &str) -> Vec<(String, String)> {
    const MOST: usize = 32;
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() && out.len() < MOST {
        let (label, after) = match rest.strip_prefix('\'') {
            Some(quoted) => match quoted.split_once("'=") {
                Some((label, after)) => (label.replace("''", "'"), after),
                None => break,
            },
            None => match rest.split_once('=') {
                Some((label, after)) => (label.trim().to_owned(), after),
                None => break,
            },
        };
        let (value, next) = after.split_once(char::is_whitespace).unwrap_or((after, ""));
        let value = value.split(';').next().unwrap_or_default();
        if !label.is_empty() && value.starts_with(|c: char| c.is_ascii_digit() || "+-.U".contains(c)) {
            out.push((label, value.to_owned()));
        }
        rest = next.trim_start();
    }
    out
}

impl Look for Exec {
    fn look<'a>(&'a self, progress: &'a Arc<Progress>) -> BoxFuture<'a, Finding> {
        Box::pin(async move {
            progress.enter_with(Phase::Command, self.program.as_str());
            let outcome = proc::run(self.cmd.clone().timeout(progress.left())).await;
            self.judge(&outcome, progress)
        })
    }

    fn grace(&self) -> Duration {
        GRACE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn performance_data_is_read() {
        let pairs =
            |text| first_line(text).1.into_iter().map(|(a, b)| format!("{a}:{b}")).collect::<Vec<_>>().join(" ");
        for (text, wanted) in [
            ("DISK OK - free | /=2643MB;5948;5958;0;5968 /boot=68MB;88;93;0;98", "/:2643MB /boot:68MB"),
            ("OK | 'it''s free'=1.5s", "it's free:1.5s"),
            ("OK|time=0.02s;;;0.0 size=U", "time:0.02s size:U"),
            ("OK | nonsense", ""),
            ("OK | a=x b=1", "b:1"),
            ("OK", ""),
            ("OK | 'open=1", ""),
        ] {
            assert_eq!(pairs(text), wanted, "{text}");
        }
        assert_eq!(first_line("\n  DISK OK - free | /=1\nmore").0, "DISK OK - free");
    }
}
