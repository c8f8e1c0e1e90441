//! Which file a program's name means, and which process a number means.

use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal};

/// The file that a name means: itself when it has a slash, else the first executable of that name in `path` (in the
/// form of `$PATH`).
pub fn which(name: impl AsRef<std::ffi::OsStr>, path: impl AsRef<std::ffi::OsStr>) -> Option<PathBuf> {
    let name = name.as_ref();
    let usable = |p: &Path| p.is_file() && rustix::fs::access(p, rustix::fs::Access::EXEC_OK).is_ok();
    if name.is_empty() {
        return None;
    }
    if name.as_encoded_bytes().contains(&b'/') {
        return Some(PathBuf::from(name)).filter(|p| usable(p));
    }
    std::env::split_paths(path.as_ref()).map(|dir| dir.join(name)).find(|p| usable(p))
}

pub(super) struct Stat {
    pub(super) state: char,
    pub(super) start: u64,
}

/// proc_pid_stat(5): field 3 is the state, field 22 the start time; field 2 is a name that may hold anything.
pub(super) fn process_stat(pid: i32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = text.get(text.rfind(')')? + 1..)?;
    let mut fields = after_name.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some(Stat { state, start: fields.nth(18)?.parse().ok()? })
}

/// When a process started, in clock ticks since boot. Together with the boot id and the pid it names a process for
/// good, since pids are used again.
pub fn pid_start_time(pid: i32) -> Option<u64> {
    process_stat(pid).map(|s| s.start)
}

/// Whether the process that had this pid and start time still runs. One that ended and was not reaped does not.
pub fn is_alive(pid: i32, start: u64) -> bool {
    process_stat(pid).is_some_and(|s| s.start == start && !matches!(s.state, 'Z' | 'X'))
}

/// Sends a signal to every process of a group. A group that is gone is no error; groups 0 and 1 are refused, because
/// they would mean this process' own group and everything.
pub fn kill_group(pgid: i32, signal: i32) -> io::Result<()> {
    // The order matters: a negative number is not even a Pid and would panic there.
    let group = Some(pgid).filter(|id| *id > 1).and_then(Pid::from_raw);
    let (Some(group), Some(signal)) = (group, Signal::from_named_raw(signal)) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    match rustix::process::kill_process_group(group, signal) {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        other => other.map_err(io::Error::from),
    }
}
