//! The server of a side cluster: started in a session of its own, found again by whoever needs it, ended by its own pid.
//!
//! A pid is believed only together with the folder that the process works in: a server works in its data folder.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::data;
use super::state::{Cluster, Server, own};
use crate::sys::{clock, proc};
use crate::text;

pub const LOG: &str = "server.log";

/// Starts the server of a cluster. It is no part of this run: not of its session, and not marked as one of its tools.
pub fn start(side: &Path, cluster: &Cluster) -> Result<Server, String> {
    let program = cluster.programs.join("postgres");
    let log = side.join(LOG);
    let open = OpenOptions::new().create(true).append(true).mode(0o600).open(&log);
    let file = open.map_err(|e| format!("{}: {e}", log.display()))?;
    own(&log, &cluster.user).map_err(|e| format!("{}: {e}", log.display()))?;
    let again = file.try_clone().map_err(|e| e.to_string())?;
    let mut command = Command::new(&program);
    command.arg("-D").arg(data(side)).arg("-c").arg(format!("config_file={}", side.join("postgresql.conf").display()));
    command.env_clear().env("LC_ALL", "C").env("PATH", path());
    // Where it works from its first moment on, which is how it is found again.
    command.current_dir(data(side));
    command.stdin(Stdio::null()).stdout(Stdio::from(file)).stderr(Stdio::from(again));
    cluster.user.becomes(&mut command);
    // SAFETY: two plain system calls between fork and exec.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            // Steps ignore this signal; a server is not to inherit that.
            libc::signal(libc::SIGXFSZ, libc::SIG_DFL);
            Ok(())
        });
    }
    let child = command.spawn().map_err(|e| format!("{} could not be started: {e}", program.display()))?;
    let pid = i32::try_from(child.id()).unwrap_or(0);
    let start = proc::pid_start_time(pid).unwrap_or(0);
    // Somebody has to wait for it while this process lives; it outlives that.
    let _ = std::thread::Builder::new().name("side server".into()).spawn(move || {
        let mut child = child;
        let _ = child.wait();
    });
    Ok(Server { pid, start, boot: clock::boot_id() })
}

fn path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
}

impl Server {
    pub fn is_alive(&self) -> bool {
        self.boot == clock::boot_id() && proc::is_alive(self.pid, self.start)
    }
}

/// The server that runs on a side cluster, whoever started it.
pub fn find(side: &Path) -> Option<Server> {
    let data = data(side).canonicalize().ok()?;
    let text = std::fs::read_to_string(data.join("postmaster.pid")).ok();
    let written = text.and_then(|t| t.lines().next()?.trim().parse::<i32>().ok());
    let noted = Cluster::read(side).and_then(|c| c.server).filter(Server::is_alive).map(|s| s.pid);
    let here = |pid: &i32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == data);
    let pid = written.into_iter().chain(noted).find(|pid| *pid > 1 && here(pid)).or_else(|| {
        // Started a moment ago by somebody who was killed before it could be noted: the one whose parent works elsewhere.
        let all = crate::recovery::exec::procs::list();
        all.iter().find(|p| here(&p.pid) && !here(&p.parent)).map(|p| p.pid)
    })?;
    Some(Server { pid, start: proc::pid_start_time(pid)?, boot: clock::boot_id() })
}

/// How it is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Sessions end, and what was replayed is written down.
    Fast,
    /// At once: its folder goes with it.
    Now,
}

/// Ends the server of a side cluster, and with it everything that it started. Blocks. Errors: it does not end.
pub fn stop(side: &Path, how: Stop) -> Result<(), String> {
    let mut patience = match how {
        Stop::Fast => Duration::from_secs(60),
        Stop::Now => Duration::from_secs(5),
    };
    let mut signal = if how == Stop::Fast { libc::SIGINT } else { libc::SIGQUIT };
    let Some(server) = find(side) else { return Ok(()) };
    for _ in 0..3 {
        // SAFETY: a plain system call on a process that was just seen to be this server.
        if server.is_alive() && unsafe { libc::kill(server.pid, signal) } != 0 {
            return Err(format!("server {} may not be ended by this user", server.pid));
        }
        let until = Instant::now() + patience;
        while server.is_alive() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        if !server.is_alive() {
            end_rest(side);
            return Ok(());
        }
        // A frozen one must be thawed to end, and a stubborn one ends its session with it.
        let _ = proc::kill_group(server.pid, libc::SIGCONT);
        (signal, patience) = match signal {
            libc::SIGINT => (libc::SIGQUIT, Duration::from_secs(10)),
            _ => (libc::SIGKILL, Duration::from_secs(10)),
        };
    }
    Err(format!("server {} on {} does not end: look at the disk it writes to", server.pid, side.display()))
}

/// What a killed server left: processes that work in its data folder.
fn end_rest(side: &Path) {
    let Ok(data) = data(side).canonicalize() else { return };
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let here = |pid: i32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == data);
        let left: Vec<_> = crate::recovery::exec::procs::list().into_iter().filter(|p| here(p.pid)).collect();
        if left.is_empty() || Instant::now() > until {
            return;
        }
        for process in &left {
            let _ = crate::recovery::exec::procs::kill(process);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The end of what the server said, in lines.
pub fn said(side: &Path) -> Vec<String> {
    const TAIL: u64 = 64 << 10;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(side.join(LOG))?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).lines().map(str::to_owned).collect()
}

/// Why it ended, in its own words, and what to do.
pub fn explain(side: &Path) -> String {
    let lines = said(side);
    let message = |line: &str| {
        ["FATAL:  ", "PANIC:  ", "postgres: "].iter().find_map(|w| line.split_once(w).map(|(_, m)| m.to_owned()))
    };
    // What comes with a shutdown, and what clients are told meanwhile, says nothing of its cause.
    let noise = |m: &String| {
        m.contains("terminating") || ["the database system is ", "the database is "].iter().any(|w| m.starts_with(w))
    };
    let fatal = lines.iter().rev().filter_map(|l| message(l)).find(|m| !noise(m));
    let fetch = lines.iter().rev().find_map(|l| l.strip_prefix("fetch-wal: ").map(str::to_owned));
    let Some(fatal) = fatal.or_else(|| lines.iter().rev().find(|l| !l.trim().is_empty()).cloned()) else {
        return "it said nothing".to_owned();
    };
    let advice = if fatal.contains("recovery ended before configured recovery target") {
        ": the log cannot be read as far as the target"
    } else if fatal.contains("before consistent recovery point") {
        ": the target is before the base backup is consistent: choose a later one, or an earlier copy"
    } else if fatal.contains("No space left")
        || lines.iter().rev().take(40).any(|l| l.contains("No space left on device"))
    {
        ": its disk is full: make room there, or set another `directory`"
    } else if fatal.contains("has invalid permissions") || fatal.contains("Permission denied") {
        ": look at the rights of the folder and its parents"
    } else if fatal.contains("could not restore file") || fetch.is_some() {
        ": a file of the archive cannot be read to its end: look for another copy of it"
    } else if fatal.contains("resource manager with ID") {
        ": the log was written with an extension that must be loaded: set shared_preload_libraries in `settings`"
    } else if fatal.contains("could not bind") || fatal.contains("could not create any") {
        ": somebody else took its port: start again"
    } else {
        ""
    };
    let fetch = fetch.map(|f| format!(" ({})", text::clean(&f))).unwrap_or_default();
    format!("{}{fetch}{advice}", text::clean(&fatal))
}

/// Whether it ended because somebody else has its port.
pub fn port_was_taken(side: &Path) -> bool {
    let lines = said(side);
    lines.iter().rev().take(6).any(|l| l.contains("could not create any TCP/IP sockets"))
}

/// The last segment that it fetched or read, from what it says.
pub fn last_restored(side: &Path) -> Option<String> {
    let name = |line: &String| {
        let (_, rest) = line.split_once("restored log file \"")?;
        rest.get(..24).map(str::to_owned)
    };
    said(side).iter().rev().find_map(name)
}

/// A program of the server's version, run for a short time as its user.
pub fn ask(cluster_user: &super::user::User, program: &PathBuf, args: &[&std::ffi::OsStr]) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(args).env_clear().env("LC_ALL", "C").env("PATH", path()).current_dir("/").stdin(Stdio::null());
    cluster_user.becomes(&mut command);
    let output = command.output().map_err(|e| format!("{} could not be started: {e}", program.display()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{}: {}", output.status, text::clean(said.lines().last().unwrap_or_default())))
}
