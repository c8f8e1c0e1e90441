//! Starting a program so that it cannot outlive the test.
//!
//! Each gets its own session and asks the kernel to be killed when its parent thread dies. That thread is not a test's
//! (it would take the shared servers with it) but one that lives as long as the test process, so `kill -9` of the test
//! process ends every server too.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use super::wait_until;

type Order = (Command, SyncSender<io::Result<Child>>);

fn spawner() -> &'static SyncSender<Order> {
    static SPAWNER: OnceLock<SyncSender<Order>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (orders, incoming) = sync_channel::<Order>(16);
        std::thread::Builder::new()
            .name("server-spawner".to_owned())
            .spawn(move || {
                for (mut command, answer) in incoming {
                    let _ = answer.send(command.spawn());
                }
            })
            .expect("a thread");
        orders
    })
}

/// A started program. Dropping it kills it and everything it started.
pub struct Guarded {
    child: Child,
    name: String,
    log: PathBuf,
}

/// Starts `command` with both outputs appended to `log`.
#[track_caller]
pub fn start(mut command: Command, name: &str, log: &Path) -> Guarded {
    let open = || std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log file");
    command.stdin(Stdio::null()).stdout(open()).stderr(open());
    // SAFETY: only async-signal-safe system calls between fork and exec.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            Ok(())
        });
    }
    let (answer, child) = sync_channel(1);
    spawner().send((command, answer)).expect("the spawner lives as long as the process");
    let child = child.recv().expect("the spawner answers").unwrap_or_else(|e| panic!("starting {name}: {e}"));
    Guarded { child, name: name.to_owned(), log: log.to_path_buf() }
}

impl Guarded {
    /// Process id.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until `ready`; fails with the log when it ends before or takes too long.
    #[track_caller]
    pub fn wait_ready(&mut self, limit: Duration, mut ready: impl FnMut() -> bool) {
        let began = std::time::Instant::now();
        while !ready() {
            let ended = self.child.try_wait().ok().flatten();
            assert!(ended.is_none(), "{} ended at once ({ended:?}):\n{}", self.name, self.log());
            assert!(began.elapsed() < limit, "{} was not ready within {limit:?}:\n{}", self.name, self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal to the program itself.
    pub fn signal(&self, signal: i32) {
        // SAFETY: plain system call; the child is not reaped while `self` holds it, so the id is still its own.
        unsafe { libc::kill(self.pid(), signal) };
    }

    /// Sends a signal and waits for the end; after `limit` it is killed.
    pub fn end(&mut self, signal: i32, limit: Duration) -> Option<ExitStatus> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Some(status);
        }
        self.signal(signal);
        let began = std::time::Instant::now();
        while began.elapsed() < limit {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.kill_all();
        None
    }

    /// Kills it and everything it started, at once, and waits until they are gone.
    pub fn kill_all(&mut self) {
        // Stopped first, so that it starts nothing new while its children are looked up.
        self.signal(libc::SIGSTOP);
        let mut all = descendants(self.pid());
        all.push(self.pid());
        let named: Vec<_> =
            all.iter().filter_map(|pid| Some((*pid, mayday::sys::proc::pid_start_time(*pid)?))).collect();
        for (pid, start) in &named {
            if mayday::sys::proc::is_alive(*pid, *start) {
                // SAFETY: plain system call on a process just seen under this id.
                unsafe { libc::kill(*pid, libc::SIGKILL) };
            }
        }
        let _ = self.child.wait();
        let began = std::time::Instant::now();
        while named.iter().any(|(pid, start)| mayday::sys::proc::is_alive(*pid, *start))
            && began.elapsed() < Duration::from_secs(5)
        {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// Every process below `root`.
pub fn descendants(root: i32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = all_pids().into_iter().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(up) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, p)| *p == up).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// Every process id there is now.
pub fn all_pids() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.get(stat.rfind(')')? + 1..)?.split_whitespace().nth(1)?.parse().ok()
}

/// Processes whose environment or arguments name `dir`: what a program under test left running there.
pub fn processes_of(dir: &Path) -> Vec<i32> {
    use std::os::unix::ffi::OsStrExt;
    let needle = dir.as_os_str().as_bytes();
    let me = std::process::id() as i32;
    let mentions = |pid: i32, file: &str| {
        let content = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        content.windows(needle.len()).any(|w| w == needle)
    };
    all_pids()
        .into_iter()
        .filter(|pid| *pid != me && (mentions(*pid, "environ") || mentions(*pid, "cmdline")))
        .collect()
}

/// The user that servers run as which refuse to be root: `postgres`, else `nobody`. `None` when this is not root.
pub fn unprivileged() -> Option<(u32, u32)> {
    if mayday::sys::peer::current_uid() != 0 {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ids = |name: &str| {
        let line = passwd.lines().find(|l| l.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(ids("postgres").or_else(|| ids("nobody")).expect("a user postgres or nobody in /etc/passwd"))
}

/// Lets `command` run as [`unprivileged`].
pub fn drop_privileges(command: &mut Command) {
    if let Some((uid, gid)) = unprivileged() {
        command.uid(uid).gid(gid);
    }
}

/// Gives a file or folder to [`unprivileged`].
pub fn give_away(path: &Path) {
    if let Some((uid, gid)) = unprivileged() {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).expect("chown");
    }
}

/// Waits until a process is gone.
#[track_caller]
pub fn wait_gone(pid: i32, limit: Duration) {
    let start = mayday::sys::proc::pid_start_time(pid);
    wait_until(&format!("process {pid} ends"), limit, || {
        start.is_none_or(|start| !mayday::sys::proc::is_alive(pid, start))
    });
}
