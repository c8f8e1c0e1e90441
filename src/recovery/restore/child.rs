//! Running `pg_restore` and `psql`: long, fed, watched.
//!
//! A tool runs in a process group of its own, which is ended with TERM (so that `pg_restore` ends its workers and the
//! server rolls back) and only then with KILL. It is told to end when this process dies, however that happens. What it is
//! fed comes from a thread of ours, so that a decoder's failure is seen and never mistaken for the end of the dump.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::pitr::user::User;
use crate::recovery::op::OpContext;
use crate::sys::proc::kill_group;

/// Feeds a tool's standard input. Its error, when it has one, is what the run fails with.
pub type Feed = Box<dyn FnOnce(&mut dyn Write) -> Result<(), String> + Send>;

/// A tool to run.
pub struct Tool {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub env: Vec<(String, String)>,
    pub password: Option<SecretString>,
    pub feed: Option<Feed>,
    /// Who it runs as, where that is not this process' user.
    pub user: Option<User>,
}

/// How it ended, and the last of what it said.
pub struct Ended {
    pub status: ExitStatus,
    /// The last lines of its standard error.
    pub said: Vec<String>,
    /// Why feeding it failed.
    pub feed_error: Option<String>,
    /// Bytes that it wrote in all; 0 where the system does not tell.
    pub written: u64,
}

impl Ended {
    /// `exit 1`, `ended by signal 15`.
    pub fn word(&self) -> String {
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("exit {code}"),
            (None, signal) => format!("ended by signal {}", signal.unwrap_or(0)),
        }
    }
}

/// Why there is no end to report.
pub enum Stopped {
    Cancelled,
    /// The watch said stop, and why.
    Halted(String),
    /// It could not be started.
    NotStarted(String),
}

const LINE_MAX: u64 = 8192;
const LINES_KEPT: usize = 60;
const GRACE: Duration = Duration::from_secs(10);
const KEPT: [&str; 6] = ["PATH", "HOME", "TZ", "USER", "LOGNAME", "MAYDAY_RUNNER"];

/// Ends the group unless it was let go.
struct Group(Option<i32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pgid) = self.0 {
            let _ = kill_group(pgid, libc::SIGTERM);
        }
    }
}

/// Runs a tool to its end. Every line it says goes to `line`; `watch` is asked every half second (with the tool's process
/// id) and may stop it.
pub async fn run(
    tool: Tool,
    ctx: &OpContext,
    line: Arc<dyn Fn(&str) + Send + Sync>,
    watch: &mut (dyn FnMut(i32) -> Result<(), String> + Send),
) -> Result<Ended, Stopped> {
    run_until(tool, Some(&ctx.dir), &ctx.cancel, line, watch).await
}

/// As [`run`], on behalf of the run in `dir`, or of none.
pub async fn run_until(
    tool: Tool,
    dir: Option<&Path>,
    cancel: &CancellationToken,
    line: Arc<dyn Fn(&str) + Send + Sync>,
    watch: &mut (dyn FnMut(i32) -> Result<(), String> + Send),
) -> Result<Ended, Stopped> {
    let (started_tx, started) = oneshot::channel();
    let (ended_tx, mut ended) = oneshot::channel();
    let program = tool.program.display().to_string();
    let command = command(&tool, dir);
    let feed = tool.feed;
    // One thread for the tool's whole life: the kernel ends the tool when the thread that started it ends.
    let spawned = thread::Builder::new().name("tool".into()).spawn(move || {
        attend(command, feed, line, started_tx, ended_tx);
    });
    spawned.map_err(|e| Stopped::NotStarted(format!("{program}: no thread: {e}")))?;
    let pid = match started.await {
        Ok(Ok(pid)) => pid,
        Ok(Err(why)) => return Err(Stopped::NotStarted(format!("{program} could not be started: {why}"))),
        Err(_) => return Err(Stopped::NotStarted(format!("{program} could not be started"))),
    };
    let mut group = Group(Some(pid));
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    let stopped = loop {
        tokio::select! {
            end = &mut ended => {
                group.0 = None;
                return end.map_err(|_| Stopped::Halted(format!("{program}: nobody waited for it")));
            }
            () = cancel.cancelled() => break Stopped::Cancelled,
            _ = tick.tick() => {
                if let Err(why) = watch(pid) {
                    break Stopped::Halted(why);
                }
            }
        }
    };
    let _ = kill_group(pid, libc::SIGTERM);
    if tokio::time::timeout(GRACE, &mut ended).await.is_err() {
        let _ = kill_group(pid, libc::SIGKILL);
        let _ = tokio::time::timeout(GRACE, &mut ended).await;
    }
    group.0 = None;
    Err(stopped)
}

fn command(tool: &Tool, dir: Option<&Path>) -> Command {
    let mut command = Command::new(&tool.program);
    let kept = |(name, _): &(OsString, OsString)| KEPT.iter().any(|k| name == k);
    command.args(&tool.args).env_clear().envs(std::env::vars_os().filter(kept));
    // Messages are read by people and by this program: one language.
    command.env("LC_ALL", "C").envs(tool.env.iter().map(|(k, v)| (k, v)));
    if let Some(dir) = dir.filter(|_| std::env::var_os("MAYDAY_RUNNER").is_none()) {
        command.env("MAYDAY_RUNNER", dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf()));
    }
    if let Some(password) = &tool.password {
        command.env("PGPASSWORD", password.expose_secret());
    }
    command.stdin(if tool.feed.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    // Before what follows: the kernel forgets that on a change of user.
    if let Some(user) = &tool.user {
        user.becomes(&mut command);
        command.current_dir("/");
    }
    let parent = std::process::id();
    // SAFETY: prctl and getppid are async-signal-safe and touch no memory.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) != 0 {
                return Err(io::Error::last_os_error());
            }
            // It may have died before the line above.
            if libc::getppid().cast_unsigned() != parent {
                return Err(io::Error::other("the runner is gone"));
            }
            Ok(())
        });
    }
    command
}

fn attend(
    mut command: Command,
    feed: Option<Feed>,
    line: Arc<dyn Fn(&str) + Send + Sync>,
    started: oneshot::Sender<Result<i32, String>>,
    ended: oneshot::Sender<Ended>,
) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(e) => {
            let _ = started.send(Err(e.to_string()));
            return;
        }
    };
    let _ = started.send(Ok(i32::try_from(child.id()).unwrap_or(i32::MAX)));
    let said = Arc::new(Mutex::new(VecDeque::new()));
    let feed_error = Arc::new(Mutex::new(None));
    let fed = match (feed, child.stdin.take()) {
        (Some(feed), Some(mut stdin)) => {
            let failed = feed_error.clone();
            let pid = i32::try_from(child.id()).unwrap_or(0);
            Some(thread::spawn(move || {
                if let Err(why) = feed(&mut stdin) {
                    *failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(why);
                    // What it has read so far must not look to it like a whole dump that ended well.
                    let _ = kill_group(pid, libc::SIGTERM);
                }
            }))
        }
        _ => None,
    };
    let (line_err, said_err) = (line.clone(), said.clone());
    let err = child.stderr.take().map(|from| thread::spawn(move || lines(from, &*line_err, Some(&said_err))));
    let out = child.stdout.take().map(|from| thread::spawn(move || lines(from, &*line, None)));
    // Its figures go with it when it is waited for.
    let pid = Pid::from_child(&child);
    while matches!(waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT), Err(Errno::INTR)) {}
    let written = bytes_written(pid.as_raw_nonzero().get());
    let status = child.wait();
    for reader in [err, out].into_iter().flatten() {
        let _ = reader.join();
    }
    // With the tool gone a write fails at once, so this ends.
    if let Some(fed) = fed {
        let _ = fed.join();
    }
    let said = said.lock().unwrap_or_else(std::sync::PoisonError::into_inner).drain(..).collect();
    let feed_error = feed_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    if let Ok(status) = status {
        let _ = ended.send(Ended { status, said, feed_error, written });
    }
}

/// Gives on each line, cut at [`LINE_MAX`] bytes; keeps the last ones.
fn lines(from: impl Read, line: &(dyn Fn(&str) + Send + Sync), keep: Option<&Mutex<VecDeque<String>>>) {
    let mut from = BufReader::new(from);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match from.by_ref().take(LINE_MAX).read_until(b'\n', &mut bytes) {
            Ok(0) => return,
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches(['\n', '\r']);
        line(text);
        if let Some(keep) = keep {
            let mut keep = keep.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if keep.len() == LINES_KEPT {
                keep.pop_front();
            }
            keep.push_back(text.to_owned());
        }
    }
}

/// Bytes that a process, the children it has and those it has waited for have read: proc_pid_io(5), `rchar`. What comes
/// from a socket is not in it.
pub fn bytes_read(pid: i32) -> u64 {
    let rchar = |pid: i32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let value = text.lines().find_map(|l| l.strip_prefix("rchar: "));
        value.and_then(|v| v.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|c| c.parse::<i32>().ok()).map(rchar).sum::<u64>();
    rchar(pid).saturating_add(children)
}

/// Bytes that a process has written, what it writes to its own caches and its output included: proc_pid_io(5), `wchar`.
pub fn bytes_written(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let value = text.lines().find_map(|l| l.strip_prefix("wchar: "));
    value.and_then(|v| v.trim().parse::<u64>().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn tool(script: &str, feed: Option<Feed>) -> Tool {
        let args = vec!["-c".into(), script.into()];
        Tool {
            program: "/bin/sh".into(),
            args,
            env: vec![("GIVEN".into(), "yes".into())],
            password: None,
            feed,
            user: None,
        }
    }

    async fn go(tool: Tool, cancel: &CancellationToken) -> (Result<Ended, Stopped>, Vec<String>) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = heard.clone();
        let line = Arc::new(move |l: &str| hears.lock().unwrap().push(l.to_owned()));
        let end = run_until(tool, None, cancel, line, &mut |_| Ok(())).await;
        let heard = heard.lock().unwrap().clone();
        (end, heard)
    }

    #[tokio::test]
    async fn a_tool_is_fed_and_heard() {
        let feed: Feed = Box::new(|to| to.write_all(b"one\ntwo\n").map_err(|e| e.to_string()));
        let (end, heard) = go(tool("cat; echo $GIVEN >&2; exit 3", Some(feed)), &CancellationToken::new()).await;
        let Ok(end) = end else { panic!("it was stopped") };
        assert_eq!((end.word().as_str(), end.said.as_slice()), ("exit 3", &["yes".to_owned()][..]));
        assert!(end.written >= "one\ntwo\nyes\n".len() as u64, "{}", end.written);
        assert!(heard.contains(&"two".to_owned()), "{heard:?}");
    }

    #[tokio::test]
    async fn a_failing_feed_ends_the_tool_and_is_told() {
        let feed: Feed = Box::new(|to| {
            let _ = to.write_all(b"half");
            Err("the copy is cut off".into())
        });
        let (end, _) = go(tool("cat > /dev/null; exec sleep 600", Some(feed)), &CancellationToken::new()).await;
        let Ok(end) = end else { panic!("it was stopped") };
        assert_eq!(end.feed_error.as_deref(), Some("the copy is cut off"));
        assert!(!end.status.success());
    }

    #[tokio::test]
    async fn cancelling_ends_the_whole_group() {
        let cancel = CancellationToken::new();
        let later = cancel.clone();
        let pid = Arc::new(Mutex::new(0));
        let seen = pid.clone();
        let line = Arc::new(move |l: &str| {
            *seen.lock().unwrap() = l.parse().unwrap();
            later.cancel();
        });
        let began = Instant::now();
        let script = tool("sleep 600 & echo $!; wait", None);
        let end = run_until(script, None, &cancel, line, &mut |_| Ok(())).await;
        assert!(matches!(end, Err(Stopped::Cancelled)) && began.elapsed() < GRACE);
        let child = *pid.lock().unwrap();
        let gone =
            || crate::sys::proc::pid_start_time(child).is_none_or(|start| !crate::sys::proc::is_alive(child, start));
        while !gone() {
            assert!(began.elapsed() < GRACE, "its child {child} lives on");
            tokio::task::yield_now().await;
        }
    }
}
