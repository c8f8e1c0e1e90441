//! systemd: the state of a unit, by `systemctl show` (systemctl(1), org.freedesktop.systemd1(5)).
//!
//! A unit that systemd keeps restarting looks active most of the time, so a restart count that rises is a warning; when it
//! rises probe after probe the check becomes degraded.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::future::BoxFuture;

use super::ProbeEnv;
use super::command;
use super::look::{Finding, Look, Progress};
use crate::config::SystemdCheck;
use crate::domain::health::Reason;

const PROPERTIES: &str = "LoadState,ActiveState,SubState,NRestarts,Result,ExecMainStatus";

pub(super) struct Systemd {
    unit: String,
    args: Vec<String>,
    path: Option<OsString>,
    /// Restarts at the last look; negative before the first.
    restarts: AtomicI64,
}

impl Systemd {
    pub(super) fn new(check: &SystemdCheck, env: &ProbeEnv) -> Result<Self, String> {
        if check.unit.is_empty() || check.unit.starts_with('-') {
            return Err(format!("\"{}\" is not the name of a unit", check.unit));
        }
        let mut args: Vec<String> = check.user.then(|| "--user".to_owned()).into_iter().collect();
        args.extend(["show", "--no-pager", "--property", PROPERTIES, "--", &check.unit].map(str::to_owned));
        let path = env.tool_path.clone();
        Ok(Systemd { unit: check.unit.clone(), args, path, restarts: AtomicI64::new(-1) })
    }

    async fn ask(&self, progress: &Progress) -> Result<Finding, Finding> {
        let outcome = command::ask("systemctl", &self.args, self.path.as_ref(), progress).await?;
        if !outcome.success() {
            return Err(Finding::error(format!("systemctl: {}", command::first_line(&outcome))));
        }
        let text = outcome.stdout.text();
        Ok(self.judge(&text))
    }

    fn judge(&self, text: &str) -> Finding {
        let values: HashMap<&str, &str> = text.lines().filter_map(|l| l.trim_end().split_once('=')).collect();
        let get = |key: &str| values.get(key).copied().unwrap_or_default();
        let (unit, active, sub) = (&self.unit, get("ActiveState"), get("SubState"));
        let restarts: i64 = get("NRestarts").parse().unwrap_or(0);
        let before = self.restarts.swap(restarts, Ordering::Relaxed);
        let finding = match (get("LoadState"), active) {
            ("not-found", _) => Finding::fail(Reason::Missing, format!("there is no unit {unit}")),
            ("masked", _) => Finding::fail(Reason::NotRunning, format!("{unit} is masked")),
            ("" | "error" | "bad-setting", _) => {
                Finding::fail(Reason::NotRunning, format!("{unit} could not be loaded by systemd"))
            }
            (_, "active" | "reloading") if before >= 0 && restarts > before => Finding::warn(
                Reason::Restarted,
                format!("{active} ({sub}), restarted {} since the last look", times(restarts - before)),
            ),
            (_, "active" | "reloading") => Finding::ok(format!("{active} ({sub})")),
            (_, "failed") => {
                let status = get("ExecMainStatus");
                let result = get("Result");
                let code = if result == "exit-code" { format!(" {status}") } else { String::new() };
                Finding::fail(Reason::NotRunning, format!("failed: {result}{code}"))
            }
            (_, other) => Finding::fail(Reason::NotRunning, format!("{other} ({sub})")),
        };
        finding.fact("state", format!("{active} ({sub})")).fact("restarts", restarts.to_string())
    }
}

fn times(n: i64) -> String {
    if n == 1 { "once".to_owned() } else { format!("{n} times") }
}

impl Look for Systemd {
    fn look<'a>(&'a self, progress: &'a Arc<Progress>) -> BoxFuture<'a, Finding> {
        Box::pin(async move { self.ask(progress).await.unwrap_or_else(|e| e) })
    }

    fn grace(&self) -> std::time::Duration {
        super::exec::GRACE
    }
}
