//! Docker: the state of a container, by `docker container inspect` (Docker Engine API, ContainerInspect).

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::ProbeEnv;
use super::command;
use super::look::{Finding, Look, Progress};
use crate::config::DockerCheck;
use crate::domain::health::Reason;

pub(super) struct Docker {
    container: String,
    args: Vec<String>,
    path: Option<OsString>,
    /// Restarts at the last look; negative before the first.
    restarts: AtomicI64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    state: State,
    #[serde(default)]
    restart_count: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    #[serde(default)]
    status: String,
    #[serde(default)]
    running: bool,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    restarting: bool,
    #[serde(default, rename = "OOMKilled")]
    oom_killed: bool,
    #[serde(default)]
    exit_code: i64,
    #[serde(default)]
    error: String,
    #[serde(default)]
    health: Option<Health>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    #[serde(default)]
    status: String,
    #[serde(default)]
    failing_streak: i64,
    #[serde(default)]
    log: Option<Vec<Log>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Log {
    #[serde(default)]
    output: String,
}

impl Docker {
    pub(super) fn new(check: &DockerCheck, env: &ProbeEnv) -> Result<Self, String> {
        if check.container.is_empty() || check.container.starts_with('-') {
            return Err(format!("\"{}\" is not the name of a container", check.container));
        }
        let args = ["container", "inspect", "--", &check.container].map(str::to_owned).to_vec();
        let path = env.tool_path.clone();
        Ok(Docker { container: check.container.clone(), args, path, restarts: AtomicI64::new(-1) })
    }

    async fn ask(&self, progress: &Progress) -> Result<Finding, Finding> {
        let outcome = command::ask("docker", &self.args, self.path.as_ref(), progress).await?;
        if !outcome.success() {
            let said = command::first_line(&outcome);
            // "Error: No such container: web" (CLI up to 28), "Error response from daemon: No such container: web".
            return Err(if said.to_ascii_lowercase().contains("no such container") {
                Finding::fail(Reason::Missing, format!("there is no container {}", self.container))
            } else {
                Finding::error(format!("docker: {said}"))
            });
        }
        let text = outcome.stdout.text();
        Ok(self.judge(&text))
    }

    fn judge(&self, text: &str) -> Finding {
        let parsed: Vec<Inspected> = match serde_json::from_str(text) {
            Ok(parsed) => parsed,
            Err(e) => return Finding::error(format!("docker answered what cannot be read: {e}")),
        };
        let Some(Inspected { state, restart_count }) = parsed.into_iter().next() else {
            return Finding::fail(Reason::Missing, format!("there is no container {}", self.container));
        };
        let before = self.restarts.swap(restart_count, Ordering::Relaxed);
        let health = state.health.as_ref().map(|h| h.status.as_str()).filter(|s| *s != "none" && !s.is_empty());
        let finding = if state.restarting {
            Finding::fail(Reason::NotRunning, format!("restarting, last exit {}", state.exit_code))
        } else if state.paused {
            Finding::fail(Reason::NotRunning, "paused")
        } else if !state.running {
            let mut why = format!("{}, exit {}", state.status, state.exit_code);
            if state.oom_killed {
                why.push_str(", killed for lack of memory");
            }
            if !state.error.is_empty() {
                why.push_str(": ");
                why.push_str(&state.error);
            }
            Finding::fail(Reason::NotRunning, why)
        } else if health == Some("unhealthy") {
            Finding::fail(Reason::Assertion, unhealthy(state.health.as_ref()))
        } else if before >= 0 && restart_count > before {
            Finding::warn(Reason::Restarted, format!("running, restarted {} times by now", restart_count))
        } else if health == Some("starting") {
            Finding::warn(Reason::Loading, "running, its health check has not passed yet")
        } else {
            Finding::ok(health.map_or_else(|| "running".to_owned(), |h| format!("running ({h})")))
        };
        finding.fact("state", state.status).fact("restarts", restart_count.to_string())
    }
}

fn unhealthy(health: Option<&Health>) -> String {
    let mut text = "running, but unhealthy".to_owned();
    let Some(health) = health else { return text };
    text.push_str(&format!(" ({} failures in a row)", health.failing_streak));
    if let Some(log) = health.log.as_ref().and_then(|l| l.last()).filter(|l| !l.output.trim().is_empty()) {
        text.push_str(": ");
        text.push_str(log.output.trim());
    }
    text
}

impl Look for Docker {
    fn look<'a>(&'a self, progress: &'a Arc<Progress>) -> BoxFuture<'a, Finding> {
        Box::pin(async move { self.ask(progress).await.unwrap_or_else(|e| e) })
    }

    fn grace(&self) -> std::time::Duration {
        super::exec::GRACE
    }
}
