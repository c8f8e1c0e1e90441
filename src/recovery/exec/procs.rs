//! The process table, as far as groups and sessions of a run are concerned: proc_pid_stat(5).

use std::io;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    /// As the kernel names it, at most 15 bytes.
    pub name: String,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    /// Clock ticks since boot.
    pub start: u64,
}

/// Every process that has not ended (zombies have).
pub fn list() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()).filter_map(read).collect()
}

/// One process; `None` when it has ended.
pub fn read(pid: i32) -> Option<Process> {
    parse(pid, &std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

fn parse(pid: i32, stat: &[u8]) -> Option<Process> {
    // The name stands in parentheses and may hold anything, parentheses too.
    let text = String::from_utf8_lossy(stat);
    let (open, close) = (text.find('(')?, text.rfind(')')?);
    let name = crate::text::clean(text.get(open + 1..close)?).into_owned();
    let mut fields = text.get(close + 1..)?.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    Some(Process { pid, name, parent, group, session, start: fields.nth(15)?.parse().ok()? })
}

/// The process groups in the session of this process, its own among them.
pub fn groups_of_this_session() -> Vec<i32> {
    let me = std::process::id().cast_signed();
    let Some(own) = read(me) else { return vec![me] };
    let mut groups: Vec<i32> = list().into_iter().filter(|p| p.session == own.session).map(|p| p.group).collect();
    groups.push(own.group);
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// The environment that the process was started with holds exactly this `NAME=value`. `false` where it cannot be read.
pub fn has_environment(pid: i32, variable: &[u8]) -> bool {
    std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|env| env.split(|b| *b == 0).any(|v| v == variable))
}

/// KILL to exactly this process, not to another that has its pid by now.
pub fn kill(process: &Process) -> io::Result<()> {
    signal(process, Signal::KILL)
}

/// TERM to exactly this process.
pub fn terminate(process: &Process) -> io::Result<()> {
    signal(process, Signal::TERM)
}

fn signal(process: &Process, signal: Signal) -> io::Result<()> {
    let Some(pid) = Some(process.pid).filter(|p| *p > 1).and_then(Pid::from_raw) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let fd = pidfd_open(pid, PidfdFlags::empty());
    if read(process.pid).is_none_or(|now| now.start != process.start) {
        return Ok(());
    }
    match fd {
        Ok(fd) => pidfd_send_signal(fd, signal).map_err(io::Error::from),
        Err(rustix::io::Errno::SRCH) => Ok(()),
        // No pidfd (an old kernel, a strict sandbox).
        Err(_) => rustix::process::kill_process(pid, signal).map_err(io::Error::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let stat = b"7 (a) Z 1 (\x1b[2J) S 1 70 71 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 1 1\n";
        let p = parse(7, stat).unwrap();
        assert_eq!((p.parent, p.group, p.session, p.start), (1, 70, 71, 4242));
        assert!(!p.name.contains('\u{1b}'), "{:?}", p.name);
        assert!(parse(7, b"7 (gone) Z 1 70 71 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 1 1\n").is_none());
    }

    #[test]
    fn this_process_is_in_the_table() {
        let me = i32::try_from(std::process::id()).unwrap();
        let found = list().into_iter().find(|p| p.pid == me).expect("this process is listed");
        assert_eq!(Some(found.start), crate::sys::proc::pid_start_time(me));
        assert_eq!(found.parent, std::os::unix::process::parent_id().cast_signed());
    }
}
