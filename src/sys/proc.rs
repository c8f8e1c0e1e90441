//! Short commands: probes, preflight checks, questions to tools. Long runs belong to the runner.
//!
//! A command is an argument list, never a shell line. It gets a null stdin and its own session, so that it cannot ask a
//! question on the terminal and so that it and all it starts can be ended together: TERM to the group at the time
//! limit, KILL after a grace period, and after another one the call returns even if the kernel cannot end it. When the
//! future is dropped the group is killed at once. Output is kept from both
//! ends up to a limit, the rest is read and counted, so that a flooding command neither blocks nor fills memory.
//!
//! It must never log arguments or environment: secrets of the environment stay out of `Debug` too.

mod identity;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::{AsyncRead, AsyncReadExt, unix::AsyncFd};
use tokio::process::Command;

use identity::process_stat;
pub use identity::{is_alive, kill_group, pid_start_time, which};

/// A command to run.
#[derive(Clone)]
pub struct Cmd {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    inherit_env: bool,
    cwd: Option<PathBuf>,
    timeout: Duration,
    grace: Duration,
    keep: usize,
    leave_background: bool,
}

impl std::fmt::Debug for Cmd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("Cmd")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env_names", &names)
            .field("cwd", &self.cwd)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Cmd {
    /// A program by path or by name (looked up in the command's own `PATH`). Defaults: cleared environment but for
    /// `PATH`, `HOME`, `LANG`, `LC_ALL`, `TZ` and `USER`; 10 s; 2 s between TERM and KILL; 64 KiB of each output kept.
    pub fn new(program: impl Into<OsString>) -> Self {
        Cmd {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            inherit_env: false,
            cwd: None,
            timeout: Duration::from_secs(10),
            grace: Duration::from_secs(2),
            keep: 64 * 1024,
            leave_background: false,
        }
    }

    /// From an argument list as it stands in a configuration; `None` when it is empty.
    pub fn from_argv<S: Into<OsString> + Clone>(argv: &[S]) -> Option<Self> {
        let (program, args) = argv.split_first()?;
        Some(Self::new(program.clone()).args(args.iter().cloned()))
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// More arguments.
    pub fn args<S: Into<OsString>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// One environment variable; a later one of the same name wins. Values never appear in `Debug`.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Hands the whole environment of this process on.
    pub fn inherit_env(mut self) -> Self {
        self.inherit_env = true;
        self
    }

    /// Working folder; else that of this process.
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }

    /// Time limit, after which TERM is sent to the group.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Time between TERM and KILL.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Bytes kept of stdout and of stderr each, half from the beginning and half from the end.
    pub fn keep_output(mut self, bytes: usize) -> Self {
        self.keep = bytes;
        self
    }

    /// Leaves processes of the group alone that outlive the command itself, as a start script needs. Otherwise they
    /// are killed when the command has ended.
    pub fn leave_background(mut self) -> Self {
        self.leave_background = true;
        self
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut env: Vec<_> = if self.inherit_env { std::env::vars_os().collect() } else { plain_environment() };
        env.retain(|(name, _)| !self.env.iter().any(|(n, _)| n == name));
        env.extend(self.env.iter().cloned());
        env
    }
}

/// The environment that commands of the configuration get: nothing of it is a secret of the engine's own.
pub fn plain_environment() -> Vec<(OsString, OsString)> {
    let kept = |name: &OsString| KEPT.iter().any(|k| name == k) || name.as_encoded_bytes().starts_with(b"LC_");
    std::env::vars_os().filter(|(name, _)| kept(name)).collect()
}

/// `MAYDAY_RUNNER` names the run that a tool belongs to, so that it can be found when the runner was killed.
const KEPT: [&str; 7] = ["PATH", "HOME", "LANG", "TZ", "USER", "LOGNAME", "MAYDAY_RUNNER"];

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal from elsewhere.
    Signalled(i32),
    /// The time limit was reached; `killed` when TERM was not enough.
    TimedOut {
        /// KILL was needed.
        killed: bool,
    },
    /// There is no such program.
    NotFound,
    /// There is one, and this user may not run it.
    PermissionDenied,
    /// It could not be started for another reason, in words.
    NotStarted(String),
}

impl End {
    /// Exit code 0.
    pub fn is_success(&self) -> bool {
        *self == End::Exited(0)
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Exited(code) => write!(f, "exit {code}"),
            End::Signalled(signal) => write!(f, "ended by signal {signal}"),
            End::TimedOut { killed: false } => f.write_str("timed out"),
            End::TimedOut { killed: true } => f.write_str("timed out and had to be killed"),
            End::NotFound => f.write_str("no such program"),
            End::PermissionDenied => f.write_str("permission to run it is denied"),
            End::NotStarted(why) => write!(f, "could not be started: {why}"),
        }
    }
}

/// Output kept from both ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// The beginning.
    pub head: Vec<u8>,
    /// The end; empty as long as everything fits into `head`.
    pub tail: Vec<u8>,
    /// Bytes left out between the two.
    pub cut: u64,
}

impl Captured {
    /// As text; invalid UTF-8 replaced, a line where something was left out. Not yet cleaned for a screen.
    pub fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.head).into_owned();
        if self.cut > 0 {
            text.push_str(&format!("\n… {} bytes left out …\n", self.cut));
        }
        text.push_str(&String::from_utf8_lossy(&self.tail));
        text
    }

    fn push(&mut self, mut bytes: &[u8], keep: usize) {
        let half = keep / 2;
        let room = half.saturating_sub(self.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        self.head.extend_from_slice(first);
        bytes = rest;
        self.tail.extend_from_slice(bytes);
        let over = self.tail.len().saturating_sub(keep - half);
        self.tail.drain(..over);
        self.cut += over as u64;
    }
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Its standard output.
    pub stdout: Captured,
    /// Its standard error.
    pub stderr: Captured,
    /// From start to end.
    pub took: Duration,
}

impl Outcome {
    /// Exit code 0.
    pub fn success(&self) -> bool {
        self.end.is_success()
    }

    fn not_started(end: End, began: Instant) -> Self {
        Outcome { end, stdout: Captured::default(), stderr: Captured::default(), took: began.elapsed() }
    }
}

/// Kills the group when dropped, unless it was let go.
struct Group(Option<i32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pgid) = self.0 {
            let _ = kill_group(pgid, libc::SIGKILL);
        }
    }
}

/// Runs a command to its end or to its time limit. Never fails: what went wrong is in [`Outcome::end`].
pub async fn run(cmd: Cmd) -> Outcome {
    let began = Instant::now();
    let env = cmd.environment();
    let program = match resolve(&cmd, &env) {
        Ok(path) => path,
        Err(end) => return Outcome::not_started(end, began),
    };
    let mut command = Command::new(&program);
    command.args(&cmd.args).env_clear().envs(env).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    if let Some(dir) = &cmd.cwd {
        command.current_dir(dir);
    }
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; setsid is one and touches no memory.
    // A session of its own takes the terminal away, so that no tool can ask for a password there.
    unsafe {
        command.pre_exec(|| rustix::process::setsid().map(|_| ()).map_err(io::Error::from));
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(e) => return Outcome::not_started(start_error(&e, &program), began),
    };
    let pgid = child.id().and_then(|id| i32::try_from(id).ok());
    let mut group = Group(pgid);
    let mut out = Stream::new(child.stdout.take(), cmd.keep);
    let mut err = Stream::new(child.stderr.take(), cmd.keep);

    let (mut timed_out, mut killed, mut stuck) = (false, false, false);
    {
        let exited = exited(pgid);
        tokio::pin!(exited);
        let limit = tokio::time::sleep(cmd.timeout);
        tokio::pin!(limit);
        loop {
            tokio::select! {
                () = &mut exited => break,
                () = out.pump() => {}
                () = err.pump() => {}
                () = &mut limit => {
                    // Neither signal helps against a process that waits for a dead disk; the caller must not wait too.
                    if killed {
                        stuck = true;
                        break;
                    }
                    killed = timed_out;
                    timed_out = true;
                    if let Some(pgid) = pgid {
                        let _ = kill_group(pgid, if killed { libc::SIGKILL } else { libc::SIGTERM });
                    }
                    limit.as_mut().reset(tokio::time::Instant::now() + cmd.grace);
                }
            }
        }
    }
    // The leader has ended and is not yet reaped, so its id still belongs to the group and nobody else can be hit.
    if cmd.leave_background && !timed_out {
        group.0 = None;
    } else if let Some(pgid) = group.0.take() {
        let _ = kill_group(pgid, libc::SIGKILL);
    }
    let took = began.elapsed();
    if stuck {
        // Dropping the child leaves its reaping to the runtime.
        return Outcome { end: End::TimedOut { killed }, stdout: out.kept, stderr: err.kept, took };
    }
    let status = child.wait().await;
    // What is still in the pipes; bounded, because a process that left the group may hold them open.
    let _ = tokio::time::timeout(Duration::from_millis(200), async {
        while !(out.ended() && err.ended()) {
            tokio::select! {
                () = out.pump() => {}
                () = err.pump() => {}
            }
        }
    })
    .await;
    let end = match status {
        _ if timed_out => End::TimedOut { killed },
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => End::Exited(code),
            (None, Some(signal)) => End::Signalled(signal),
            (None, None) => End::NotStarted("it ended without a status".to_owned()),
        },
        Err(e) => End::NotStarted(format!("its status cannot be read: {e}")),
    };
    Outcome { end, stdout: out.kept, stderr: err.kept, took }
}

/// Waits until the process has ended without reaping it.
pub async fn exited(pid: Option<i32>) {
    let Some(pid) = pid.and_then(Pid::from_raw) else { return };
    if let Ok(fd) = pidfd_open(pid, PidfdFlags::NONBLOCK) {
        // SAFETY: the AsyncFd owns the descriptor, which stays open and the same until both are dropped together.
        let watched = unsafe { AsyncFd::register_with_interest(fd, tokio::io::Interest::READABLE) };
        if let Ok(watched) = watched {
            let _ = watched.readable().await;
            return;
        }
    }
    // No pidfd (an old kernel, a strict sandbox): look.
    while process_stat(pid.as_raw_nonzero().get()).is_some_and(|s| s.state != 'Z') {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

struct Stream<R> {
    from: Option<R>,
    buffer: Vec<u8>,
    kept: Captured,
    keep: usize,
}

impl<R: AsyncRead + Unpin> Stream<R> {
    fn new(from: Option<R>, keep: usize) -> Self {
        Stream { from, buffer: vec![0; 16 * 1024], kept: Captured::default(), keep }
    }

    fn ended(&self) -> bool {
        self.from.is_none()
    }

    /// Takes what is there; never returns once the stream has ended. Safe to drop at any await.
    async fn pump(&mut self) {
        let Some(from) = &mut self.from else { return std::future::pending().await };
        match from.read(&mut self.buffer).await {
            Ok(n) if n > 0 => self.kept.push(self.buffer.get(..n).unwrap_or_default(), self.keep),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            _ => self.from = None,
        }
    }
}

fn resolve(cmd: &Cmd, env: &[(OsString, OsString)]) -> Result<PathBuf, End> {
    if let Some(dir) = &cmd.cwd
        && !dir.is_dir()
    {
        return Err(End::NotStarted(format!("the working folder {} does not exist", dir.display())));
    }
    let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    let path = path.unwrap_or_else(|| std::ffi::OsStr::new("/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"));
    match which(&cmd.program, path) {
        Some(found) => Ok(found),
        None if Path::new(&cmd.program).is_file() => Err(End::PermissionDenied),
        None => Err(End::NotFound),
    }
}

fn start_error(e: &io::Error, program: &Path) -> End {
    match e.kind() {
        // It was there a moment ago: a script whose interpreter is missing.
        io::ErrorKind::NotFound if program.is_file() => {
            End::NotStarted(format!("{} needs an interpreter that does not exist", program.display()))
        }
        io::ErrorKind::NotFound => End::NotFound,
        io::ErrorKind::PermissionDenied => End::PermissionDenied,
        _ => End::NotStarted(e.to_string()),
    }
}

/// Puts `/dev/null` in the place of a descriptor.
pub fn silence(fd: std::os::fd::BorrowedFd<'_>) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    // SAFETY: dup2 onto a standard descriptor of this process, which nobody owns and which stays open afterwards.
    match unsafe { libc::dup2(null.as_raw_fd(), fd.as_raw_fd()) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
