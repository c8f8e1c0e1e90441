//! Executing one command step: an argument list in a process group of its own, with null stdin.
//!
//! Both outputs go through one pipe, so that their order is kept, and are handed on as they come. The group gets TERM
//! when the step's time is over or the run is cancelled, and KILL after a grace period: the whole group, and whatever
//! else the step started within the runner's session. What a successful step left running in the background stays, as a
//! start script needs.
//!
//! It must never log arguments, environment or output: masking is the caller's.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::sys::proc;
use pace::Pace;

mod pace;
pub mod procs;
pub mod refused;

/// Time between TERM and KILL.
pub const GRACE: Duration = Duration::from_secs(5);
/// A read that brings nothing for this long after the command has ended means that somebody else holds the pipe open.
const QUIET: Duration = Duration::from_millis(300);
/// Longest wait for the rest of the output after the command has ended.
const REST: Duration = Duration::from_secs(2);

/// What is executed.
#[derive(Clone, Debug)]
pub struct Command<'a> {
    pub argv: &'a [String],
    pub env: &'a BTreeMap<String, String>,
    /// Variables whose values are secrets.
    pub secret_env: Vec<(String, SecretString)>,
    pub cwd: Option<&'a Path>,
    pub timeout: Option<Duration>,
    pub grace: Duration,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Exited(i32),
    /// By a signal from elsewhere.
    Signalled(i32),
    /// Its own time was over; `killed` when TERM was not enough.
    TimedOut {
        killed: bool,
    },
    /// The run was stopped.
    Stopped {
        killed: bool,
    },
    /// It did not start: why, what to do, and the code a shell would give (127 not found, 126 not executable).
    NotStarted {
        code: i32,
        why: String,
    },
}

/// The end of a command, and its pipe if something that it left behind still holds it.
#[derive(Debug)]
pub struct Ended {
    pub end: End,
    pub took: Duration,
    /// Somebody may still write into this; a writer gets SIGPIPE when it is dropped.
    pub left: Option<pipe::Receiver>,
}

/// Runs a command to its end. `out` gets the bytes as they come. `stop` ends it early.
pub async fn run(command: &Command<'_>, stop: &CancellationToken, out: &mut (dyn FnMut(&[u8]) + Send)) -> Ended {
    let began = Instant::now();
    let before = procs::groups_of_this_session();
    match start(command) {
        Ok((child, reader)) => {
            let output = Paced { pipe: Some(reader), pace: Pace::new(began) };
            Running { command, child, output, began, before }.finish(stop, out).await
        }
        Err((code, why)) => Ended { end: End::NotStarted { code, why }, took: began.elapsed(), left: None },
    }
}

struct Running<'a> {
    command: &'a Command<'a>,
    child: tokio::process::Child,
    output: Paced,
    began: Instant,
    /// Groups of the session that are not this command's: this process' own, and what earlier steps left.
    before: Vec<i32>,
}

impl Running<'_> {
    async fn finish(mut self, stop: &CancellationToken, out: &mut (dyn FnMut(&[u8]) + Send)) -> Ended {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        let mut buffer = vec![0; 32 << 10];
        let mut why: Option<Stop> = None;
        let mut killed = false;
        let far = Instant::now() + Duration::from_secs(10 * 365 * 86_400);
        let limit = sleep_until(self.command.timeout.map_or(far, |t| self.began + t));
        tokio::pin!(limit);
        {
            let exited = proc::exited(pid);
            tokio::pin!(exited);
            loop {
                tokio::select! {
                    biased;
                    () = &mut exited => break,
                    () = stop.cancelled(), if why.is_none() => {
                        why = Some(Stop::Run);
                        end_group(pid, libc::SIGTERM);
                        limit.as_mut().reset(Instant::now() + self.command.grace);
                    }
                    () = &mut limit => {
                        killed = why.is_some();
                        why.get_or_insert(Stop::Time);
                        end_group(pid, if killed { libc::SIGKILL } else { libc::SIGTERM });
                        limit.as_mut().reset(if killed { far } else { Instant::now() + self.command.grace });
                    }
                    () = self.output.pump(&mut buffer, out) => {}
                }
            }
        }
        // The leader has ended and is not reaped yet, so its number still means its group and nobody else's.
        if why.is_some() {
            let until = limit.deadline().min(Instant::now() + self.command.grace);
            killed |= self.end_rest(pid, until, &mut buffer, out).await;
        }
        let status = self.child.wait().await;
        self.drain(&mut buffer, out).await;
        let end = match (why, status) {
            (Some(Stop::Run), _) => End::Stopped { killed },
            (Some(Stop::Time), _) => End::TimedOut { killed },
            (None, Ok(status)) => match (status.code(), status.signal()) {
                (Some(code), _) => End::Exited(code),
                (None, signal) => End::Signalled(signal.unwrap_or(0)),
            },
            (None, Err(e)) => End::NotStarted { code: 126, why: format!("its status cannot be read: {e}") },
        };
        Ended { end, took: self.began.elapsed(), left: self.output.pipe }
    }

    /// Waits for what is left of the group, and kills it at `until`. True when that was needed.
    async fn end_rest(
        &mut self,
        pid: Option<i32>,
        until: Instant,
        buffer: &mut [u8],
        out: &mut (dyn FnMut(&[u8]) + Send),
    ) -> bool {
        let Some(pid) = pid else { return false };
        let me = std::process::id().cast_signed();
        let session = procs::read(me).map_or(0, |p| p.session);
        let mut others = std::mem::take(&mut self.before);
        others.retain(|group| *group != pid);
        let rest = || {
            let mut found = procs::list();
            found.retain(|p| p.pid != pid && (p.group == pid || (p.session == session && !others.contains(&p.group))));
            found
        };
        let mut killed = false;
        let give_up = until + Duration::from_secs(2);
        let mut asked: Vec<procs::Process> = Vec::new();
        loop {
            let found = rest();
            let now = Instant::now();
            if found.is_empty() || now >= give_up {
                return killed;
            }
            for process in &found {
                if now >= until {
                    killed = true;
                    let _ = procs::kill(process);
                } else if process.group != pid && !asked.contains(process) {
                    // The group has had its TERM; this one left the group and has not.
                    let _ = procs::terminate(process);
                    asked.push(process.clone());
                }
            }
            let _ = timeout(Duration::from_millis(20), self.output.pump(buffer, out)).await;
        }
    }

    /// Reads what is still in the pipe. It stays open when something that was left behind holds it.
    async fn drain(&mut self, buffer: &mut [u8], out: &mut (dyn FnMut(&[u8]) + Send)) {
        let until = Instant::now() + REST;
        while self.output.pipe.is_some() && Instant::now() < until {
            if timeout(QUIET, self.output.pump(buffer, out)).await.is_err() {
                return;
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Stop {
    Run,
    Time,
}

/// The output of a command, read no faster than [`Pace`] allows.
struct Paced {
    pipe: Option<pipe::Receiver>,
    pace: Pace,
}

impl Paced {
    /// Takes what is there; waits for ever once the pipe has ended. Safe to drop at any await.
    async fn pump(&mut self, buffer: &mut [u8], out: &mut (dyn FnMut(&[u8]) + Send)) {
        let Some(reader) = &mut self.pipe else {
            return std::future::pending().await;
        };
        if let Some(rest) = self.pace.rest() {
            sleep_until(rest).await;
        }
        match reader.read(buffer).await {
            Ok(n) if n > 0 => {
                let began = Instant::now();
                out(buffer.get(..n).unwrap_or_default());
                self.pace.worked(began, Instant::now());
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            _ => self.pipe = None,
        }
    }
}

fn end_group(pid: Option<i32>, signal: i32) {
    if let Some(pid) = pid
        && let Err(e) = proc::kill_group(pid, signal)
    {
        tracing::warn!(group = pid, signal, error = %e, "a group could not be signalled");
    }
}

type NotStarted = (i32, String);

fn start(command: &Command<'_>) -> Result<(tokio::process::Child, pipe::Receiver), NotStarted> {
    let program = resolve(command.argv, command.env, command.cwd)?;
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|e| (126, format!("no pipe for its output: {e}")))?;
    let second = writer.try_clone().map_err(|e| (126, format!("no pipe for its output: {e}")))?;
    let reader =
        pipe::Receiver::from_owned_fd(reader).map_err(|e| (126, format!("its output cannot be followed: {e}")))?;

    let mut std_command = std::process::Command::new(&program);
    std_command.args(command.argv.iter().skip(1)).envs(command.env).process_group(0);
    // The mark of what is ended with a killed runner: a daemon that a step detaches is not, and must not carry it.
    std_command.env_remove("MAYDAY_RUNNER");
    std_command.stdin(Stdio::null()).stdout(Stdio::from(writer)).stderr(Stdio::from(second));
    for (name, value) in &command.secret_env {
        std_command.env(name, value.expose_secret());
    }
    if let Some(dir) = command.cwd {
        std_command.current_dir(dir);
    }
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; prctl, getppid and signal are, and none
    // of them touches memory of this process. The step ends with the runner, and does not inherit what it ignores.
    unsafe {
        std_command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
            if rustix::process::getppid() != Some(parent) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            libc::signal(libc::SIGXFSZ, libc::SIG_DFL);
            Ok(())
        });
    }
    let mut tokio_command = tokio::process::Command::from(std_command);
    let child = tokio_command.spawn().map_err(|e| start_error(&e, &program))?;
    // Dropping the command closes this side's writing ends, without which the pipe would never end.
    drop(tokio_command);
    Ok((child, reader))
}

/// The file that the first argument means, in the `PATH` that the command will have.
fn resolve(argv: &[String], env: &BTreeMap<String, String>, cwd: Option<&Path>) -> Result<PathBuf, NotStarted> {
    if let Some(dir) = cwd
        && !dir.is_dir()
    {
        return Err((126, format!("the working folder {} does not exist: create it or correct `cwd`", dir.display())));
    }
    let Some(name) = argv.first() else {
        return Err((127, "there is no command to run".to_owned()));
    };
    let relative = name.contains('/') && !name.starts_with('/');
    let named: PathBuf = match cwd {
        Some(dir) if relative => dir.join(name),
        _ => PathBuf::from(name),
    };
    let path: OsString = match env.get("PATH") {
        Some(path) => path.into(),
        None => std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into()),
    };
    match proc::which(&named, &path) {
        Some(found) => Ok(found),
        None if named.is_file() => Err((126, format!("{} may not be executed by this user", named.display()))),
        None if name.contains('/') => Err((127, format!("there is no program {}", named.display()))),
        None => Err((127, format!("there is no program {name} in PATH ({})", path.to_string_lossy()))),
    }
}

fn start_error(e: &io::Error, program: &Path) -> NotStarted {
    match e.kind() {
        io::ErrorKind::NotFound => {
            (127, format!("{} cannot be executed: its interpreter does not exist", program.display()))
        }
        io::ErrorKind::PermissionDenied => (126, format!("{} may not be executed by this user", program.display())),
        _ => (126, format!("{} could not be started: {e}", program.display())),
    }
}
