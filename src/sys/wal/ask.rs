//! Asking a program that keeps base backups and log, as the user of the server, for at most some seconds.

use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::user::User;

/// For one question.
const LIMIT: Duration = Duration::from_secs(20);

/// Why there is no answer.
#[derive(Debug)]
pub struct Failed {
    /// How it ended; `None` when it could not be started or did not end.
    pub status: Option<ExitStatus>,
    /// In words.
    pub said: String,
}

/// Asks, and gives what it prints. Its environment is empty but for `PATH`, `LC_ALL`, `HOME` of one's own, and `env`.
pub fn ask(user: &User, tool: &Path, args: &[String], env: &[(&str, &str)]) -> Result<Vec<u8>, Failed> {
    let mut command = Command::new(tool);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C")
        .envs(env.iter().copied())
        .current_dir("/");
    if !user.is_other() {
        command.envs(std::env::var_os("HOME").map(|home| ("HOME", home)));
    }
    user.becomes(&mut command);
    let failed = |said: String| Failed { status: None, said };
    let mut child = command.spawn().map_err(|e| failed(format!("{} cannot be started: {e}", tool.display())))?;
    let out = drain(child.stdout.take());
    let err = drain(child.stderr.take());
    let until = Instant::now() + LIMIT;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(10)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!("it did not answer within {} s", LIMIT.as_secs())));
            }
            Err(e) => return Err(failed(e.to_string())),
        }
    };
    let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
    if status.success() {
        return Ok(out);
    }
    let said = String::from_utf8_lossy(&err).into_owned() + &String::from_utf8_lossy(&out);
    let line = said.lines().find(|l| l.contains("ERROR")).or(said.lines().last()).unwrap_or_default();
    Err(Failed { status: Some(status), said: format!("{status}: {}", crate::text::clean(line)) })
}

/// Reads a pipe on a thread of its own, at most 1 GiB: the largest segment there can be.
fn drain(from: Option<impl io::Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(from) = from {
            let _ = io::Read::read_to_end(&mut io::Read::take(from, 1 << 30), &mut bytes);
        }
        bytes
    })
}
