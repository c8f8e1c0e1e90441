//! One life of the command that is fed: its process, what was written to it, and how much of that it has read.
//!
//! Only what was read out of the pipe counts as taken: what still lies in it when the command ends is lost with it, and
//! the kernel says how much that is (`FIONREAD`, which also answers at the writing end). Nothing here waits for longer
//! than it is told to.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::super::lines::Head;
use crate::sys::proc::{kill_group, plain_environment};

/// Bytes of its last words that are kept.
const WORDS: usize = 600;
/// What is left of its group has this long to let go of the pipe.
const LET_GO: Duration = Duration::from_millis(200);

/// How far the command has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The last entry that it has read whole.
    pub head: Head,
    /// It has read a part of the next one: before anything else its line is to be ended.
    pub torn: bool,
}

/// The running command.
pub struct Fed {
    child: Child,
    group: i32,
    stdin: ChildStdin,
    stderr: Option<ChildStderr>,
    words: Vec<u8>,
    pub begun: Instant,
    written: u64,
    /// Where lines end in what was written, with their entries; those not yet read.
    marks: VecDeque<(u64, Head)>,
    /// The same of the last one that was read.
    read: (u64, Head),
    /// The last entry that was written whole.
    pub last: Head,
    /// It begins with the end of a line that an earlier one had read in part.
    mends: bool,
}

/// How it ended, in words.
pub struct Ended {
    pub taken: Taken,
    pub how: String,
}

impl Fed {
    /// Starts it, to be fed with what follows `from`.
    pub fn start(argv: &[String], from: Taken) -> io::Result<Fed> {
        let (program, args) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut child = Command::new(program)
            .args(args)
            .env_clear()
            .envs(plain_environment())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let stderr = child.stderr.take();
        let (Some(stdin), Ok(group)) = (child.stdin.take(), i32::try_from(child.id())) else {
            return Err(io::Error::other("it has no standard input"));
        };
        let head = from.head;
        let mut fed = Fed {
            child,
            group,
            stdin,
            stderr,
            words: Vec::new(),
            begun: Instant::now(),
            written: 0,
            marks: VecDeque::new(),
            read: (u64::from(from.torn), head),
            last: head,
            mends: from.torn,
        };
        rustix::io::ioctl_fionbio(&fed.stdin, true)?;
        if let Some(stderr) = &fed.stderr {
            rustix::io::ioctl_fionbio(stderr, true)?;
        }
        if from.torn {
            // An empty pipe has room for a byte.
            fed.written += fed.stdin.write(b"\n")? as u64;
        }
        Ok(fed)
    }

    /// Writes what it takes of `bytes` within `patience`, and removes that from them. Errors: it does not read any more.
    pub fn write(&mut self, bytes: &mut Vec<u8>, patience: Duration) -> io::Result<()> {
        match self.stdin.write(bytes) {
            Ok(n) => {
                self.written += n as u64;
                bytes.drain(..n);
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.wait(PollFlags::OUT, patience);
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// All that was written so far ends with the entry `head`.
    pub fn mark(&mut self, head: Head) {
        self.last = head;
        self.marks.push_back((self.written, head));
    }

    fn wait(&self, flags: PollFlags, patience: Duration) {
        let Ok(patience) = Timespec::try_from(patience) else { return };
        let _ = poll(&mut [PollFd::from_borrowed_fd(self.stdin.as_fd(), flags)], Some(&patience));
    }

    /// How far it has read by now. Also takes up what it says.
    pub fn taken(&mut self) -> Taken {
        self.listen();
        let unread = rustix::io::ioctl_fionread(&self.stdin).unwrap_or(self.written);
        taken(&mut self.marks, &mut self.read, self.written.saturating_sub(unread), self.mends)
    }

    fn listen(&mut self) {
        let mut piece = [0; 4096];
        // Bounded: one that never stops talking must not be listened to for ever.
        for _ in 0..16 {
            let Some(Ok(n @ 1..)) = self.stderr.as_mut().map(|stderr| stderr.read(&mut piece)) else { return };
            self.words.extend_from_slice(piece.get(..n).unwrap_or_default());
            let over = self.words.len().saturating_sub(WORDS);
            self.words.drain(..over);
        }
    }

    /// It has ended by itself.
    pub fn is_over(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let pid = Pid::from_raw(self.group);
        pid.is_none_or(|pid| !matches!(waitid(WaitId::Pid(pid), options), Ok(None)))
    }

    /// Tells of its end, when it has ended by itself.
    pub fn ended(&mut self) -> Option<Ended> {
        self.is_over().then(|| {
            self.clear();
            let taken = self.taken();
            let how = self.how();
            Ended { taken, how }
        })
    }

    /// Ends what is left of its group. The command itself is not reaped yet, so nobody else can be hit.
    fn clear(&self) {
        let _ = kill_group(self.group, libc::SIGKILL);
        // Without a reader the pipe reports an error, whatever was asked for.
        self.wait(PollFlags::empty(), LET_GO);
    }

    fn how(&mut self) -> String {
        let status = self.child.wait().map_or_else(|e| e.to_string(), |status: ExitStatus| status.to_string());
        let words = String::from_utf8_lossy(&self.words);
        let last = words.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let said = if last.is_empty() { String::new() } else { format!(": {}", crate::sys::one_line(last)) };
        format!("it ended ({status}){said}")
    }

    /// Closes its standard input and gives it `grace` to end; then it is ended.
    pub fn finish(self, grace: Duration) -> Taken {
        let Fed { mut child, group, stdin, stderr, mut marks, mut read, written, mends, .. } = self;
        // The pipe's other end, by which what is left in it can be told when this end is closed.
        let rest = std::fs::File::open(format!("/proc/self/fd/{}", stdin.as_raw_fd()));
        let before = rustix::io::ioctl_fionread(&stdin).unwrap_or(written);
        // Nobody hears its last words, and a full pipe must not keep it.
        drop((stdin, stderr));
        let over = |child: &mut Child, patience: Duration| {
            let until = Instant::now() + patience;
            while matches!(child.try_wait(), Ok(None)) {
                if Instant::now() >= until {
                    return false;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            true
        };
        if !over(&mut child, grace) {
            let _ = kill_group(group, libc::SIGKILL);
            over(&mut child, LET_GO);
        }
        let unread = rest.ok().and_then(|rest| rustix::io::ioctl_fionread(&rest).ok()).unwrap_or(before);
        taken(&mut marks, &mut read, written.saturating_sub(unread), mends)
    }
}

/// How far one is that has read `bytes`.
fn taken(marks: &mut VecDeque<(u64, Head)>, read: &mut (u64, Head), bytes: u64, mends: bool) -> Taken {
    while let Some(mark) = marks.front().copied().filter(|(end, _)| *end <= bytes) {
        *read = mark;
        marks.pop_front();
    }
    Taken { head: read.1, torn: bytes > read.0 || mends && bytes == 0 }
}
