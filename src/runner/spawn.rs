//! Starting, stopping and finishing off runners, from the engine's side. Everything here may block for some
//! milliseconds; callers in async code use a blocking thread.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use secrecy::{ExposeSecret, SecretString};

use super::claim::Claim;
use super::folder::{CANCEL, ERRORS};
use crate::sys::{clock, disk};

/// Variables of a service manager that speak about the engine, not about what it starts.
const NOT_HANDED_ON: [&str; 7] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", super::MARK];

/// Bytes of output kept per run unless said otherwise.
pub const OUTPUT_LIMIT: u64 = 16 << 20;

/// How a runner is started.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of output kept on disk.
    pub output: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { output: OUTPUT_LIMIT }
    }
}

/// Starts `exe runner` on a run folder and returns the runner's pid. The runner is in a session of its own and not a
/// child of this process: it survives its end and leaves it no zombie. `secrets` go through a pipe: the plan names the
/// ones that its steps use, every further value is there to be masked in the output.
///
/// A pid says that a process was started, not that it claimed the plan: see [`look`](super::look); what kept it from
/// claiming stands in `runner.err`.
pub fn spawn(exe: &Path, dir: &Path, secrets: &BTreeMap<String, SecretString>) -> io::Result<u32> {
    spawn_with(exe, dir, secrets, Limits::default())
}

/// As [`spawn`], with limits.
pub fn spawn_with(exe: &Path, dir: &Path, secrets: &BTreeMap<String, SecretString>, limits: Limits) -> io::Result<u32> {
    start(exe, dir, secrets, limits, false)
}

/// Starts a process that takes back what a lost run left open (its last compensation), and returns its pid. Safe to
/// call again: it waits for the lock, and does nothing when nothing is open.
pub fn compensate(exe: &Path, dir: &Path, secrets: &BTreeMap<String, SecretString>) -> io::Result<u32> {
    start(exe, dir, secrets, Limits::default(), true)
}

fn start(
    exe: &Path,
    dir: &Path,
    secrets: &BTreeMap<String, SecretString>,
    limits: Limits,
    compensate: bool,
) -> io::Result<u32> {
    let errors = OpenOptions::new().create(true).append(true).mode(0o600).open(dir.join(ERRORS));
    let mut command = Command::new(exe);
    command.arg("runner").arg(dir).arg("--detach").arg("--output-limit").arg(limits.output.to_string());
    if compensate {
        command.arg("--compensate");
    }
    for name in NOT_HANDED_ON {
        command.env_remove(name);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors.map_or_else(|_| Stdio::null(), Stdio::from))
        .spawn()
        .map_err(|e| io::Error::new(e.kind(), format!("start {} runner: {e}", exe.display())))?;
    let input = child.stdin.take();
    let mut said = String::new();
    if let Some(out) = child.stdout.take() {
        let _ = out.take(64).read_to_string(&mut said);
    }
    // The first process forks the runner, says its pid and ends.
    let ended = child.wait()?;
    let pid = said.trim().parse::<u32>().map_err(|_| {
        io::Error::other(format!(
            "{} runner did not start ({ended}): see {}",
            exe.display(),
            dir.join(ERRORS).display()
        ))
    })?;
    if let Some(mut input) = input {
        let plain: BTreeMap<&str, &str> =
            secrets.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        let mut line = serde_json::to_vec(&plain).map_err(io::Error::other)?;
        line.push(b'\n');
        input.write_all(&line).map_err(|e| {
            io::Error::new(
                e.kind(),
                format!("hand the secrets to runner {pid}: {e}: see {}", dir.join(ERRORS).display()),
            )
        })?;
    }
    Ok(pid)
}

/// Asks a run to stop: its step gets TERM, and KILL after a grace period. The wish is on disk when this returns, so a
/// runner that has not begun yet will not begin. Not an error when the run has ended.
pub fn cancel(dir: &Path) -> io::Result<()> {
    let path = dir.join(CANCEL);
    match OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path) {
        Ok(file) => {
            file.sync_all()?;
            disk::fsync_dir(dir)?;
        }
        // The signal alone does it as well, unless the runner has not begun.
        Err(e) if signal(dir)? => {
            tracing::warn!(path = %path.display(), error = %e, "cancel by signal alone: the file cannot be written");
            return Ok(());
        }
        Err(e) => return Err(e),
    }
    signal(dir).map(|_| ())
}

/// TERM to the runner, if it is the very process that made the claim. `false` when there is none.
fn signal(dir: &Path) -> io::Result<bool> {
    let boot = clock::boot_id();
    let Some(claim) = Claim::read(dir)?.filter(|c| c.is_alive(&boot)) else {
        return Ok(false);
    };
    let Some(pid) = i32::try_from(claim.pid).ok().and_then(Pid::from_raw) else {
        return Ok(false);
    };
    match pidfd_open(pid, PidfdFlags::empty()) {
        // Looked at again with the descriptor in hand: the pid cannot change its meaning any more.
        Ok(fd) if claim.is_alive(&boot) => pidfd_send_signal(fd, Signal::TERM).map(|()| true).or(Ok(false)),
        Ok(_) => Ok(false),
        Err(_) => rustix::process::kill_process(pid, Signal::TERM).map(|()| true).or(Ok(false)),
    }
}
