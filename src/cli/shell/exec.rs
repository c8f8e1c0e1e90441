//! Running the command: in the person's own environment, on their terminal, with their signals.
//!
//! With a terminal it gets one of its own, which passes everything through, so that colours, prompts and full screens
//! work. Without one its output goes through pipes. What cannot be passed on any more (a terminal that is gone) is still
//! read, so that the record has it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

use super::capture::Capture;
use crate::sys::pty::{self, Pty, Raw};
use crate::sys::relay::Signals;

/// After the time is up, from the polite signal to the other one.
const GRACE: Duration = Duration::from_secs(5);
/// What it left in the background may hold its output open: it is not waited for when nothing comes for this long.
const IDLE: Duration = Duration::from_secs(1);

/// Signals that are passed on.
pub const PASSED_ON: [i32; 7] =
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2, libc::SIGWINCH];

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    pub exit: Option<i32>,
    pub signal: Option<i32>,
    pub timed_out: bool,
    /// It could not be started.
    pub fault: Option<io::Error>,
    pub ran: Duration,
    pub output: Capture,
}

impl Ended {
    /// What this program ends with: the command's own code, 128 and the signal as shells say it, 6 when the time was up.
    pub fn code(&self) -> u8 {
        match (self.timed_out, self.exit, self.signal) {
            (true, _, _) => crate::cli::exit::CUT_SHORT,
            (false, Some(code), _) => u8::try_from(code & 0xff).unwrap_or(1),
            (false, None, Some(signal)) => u8::try_from(128 + signal).unwrap_or(255),
            (false, None, None) => 1,
        }
    }
}

/// Whom signals are passed on to.
struct Target {
    pid: Pid,
    /// It has a terminal and a session of its own.
    own_terminal: bool,
    over: bool,
}

impl Target {
    fn send(&self, signal: Signal) {
        if self.over {
            return;
        }
        let _ = if self.own_terminal { kill_process_group(self.pid, signal) } else { kill_process(self.pid, signal) };
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Runs it to its end. Blocks.
pub fn run(argv: &[OsString], timeout: Option<Duration>, signals: Signals) -> Ended {
    let output = Arc::new(Mutex::new(Capture::default()));
    let begun = Instant::now();
    let done = |status: Option<ExitStatus>, timed_out, fault: Option<io::Error>| Ended {
        exit: match &fault {
            Some(e) if e.kind() == io::ErrorKind::NotFound => Some(127),
            Some(_) => Some(126),
            None => status.and_then(|s| s.code()),
        },
        signal: status.and_then(|s| s.signal()),
        timed_out,
        fault,
        ran: begun.elapsed(),
        output: std::mem::take(&mut *lock(&output)),
    };
    let started = match start(argv) {
        Ok(started) => started,
        Err(e) => return done(None, false, Some(e)),
    };
    let Started { mut child, terminal, raw, out, err } = started;
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        return done(None, false, Some(io::Error::other("it has no process id")));
    };
    let target = Arc::new(Mutex::new(Target { pid, own_terminal: terminal.is_some(), over: false }));
    pass_on(signals, Arc::clone(&target), terminal.as_ref().and_then(|t| t.try_clone().ok()));
    let (read, reading) = sync_channel(4);
    let mut readers = 0;
    for (from, to_stderr) in [(out, false), (err, true)] {
        let Some(from) = from else { continue };
        readers += 1;
        copy(from, to_stderr, terminal.is_some(), Arc::clone(&output), read.clone());
    }
    let keys = terminal.as_ref().filter(|_| raw.is_some()).and_then(|t| Keys::pump(t.as_fd()));
    let ended = wait(&mut child, pid, &target, timeout);
    drain(&reading, readers, &output);
    drop(keys);
    drop(raw);
    match ended {
        Ok((status, timed_out)) => done(Some(status), timed_out, None),
        Err(e) => done(None, false, Some(e)),
    }
}

struct Started {
    child: Child,
    /// Our end of its terminal.
    terminal: Option<OwnedFd>,
    raw: Option<Raw>,
    out: Option<File>,
    err: Option<File>,
}

fn start(argv: &[OsString]) -> io::Result<Started> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let mut command = Command::new(argv.first().ok_or_else(|| io::Error::other("no command"))?);
    command.args(argv.get(1..).unwrap_or_default());
    // One that was put into the background must not touch the terminal's settings.
    let on_terminal = stdout.is_terminal() && pty::is_in_front(stdout.as_fd());
    let made = if on_terminal { pty::open(stdout.as_fd()).ok() } else { None };
    let Some(Pty { master, slave }) = made else {
        command.stdin(Stdio::inherit()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let out = child.stdout.take().map(|o| File::from(OwnedFd::from(o)));
        let err = child.stderr.take().map(|e| File::from(OwnedFd::from(e)));
        return Ok(Started { child, terminal: None, raw: None, out, err });
    };
    let keys = stdin.is_terminal();
    command.stdin(if keys { Stdio::from(slave.try_clone()?) } else { Stdio::inherit() });
    command.stderr(if stderr.is_terminal() { Stdio::from(slave.try_clone()?) } else { Stdio::piped() });
    command.stdout(Stdio::from(slave));
    // SAFETY: what is called may be called between fork and exec.
    unsafe { command.pre_exec(pty::take_terminal) };
    let mut child = command.spawn()?;
    let raw = if keys { Raw::new(stdin.as_fd()).ok() } else { None };
    let err = child.stderr.take().map(|e| File::from(OwnedFd::from(e)));
    let out = Some(File::from(master.try_clone()?));
    Ok(Started { child, terminal: Some(master), raw, out, err })
}

/// Passes signals on until this program ends.
fn pass_on(signals: Signals, target: Arc<Mutex<Target>>, terminal: Option<OwnedFd>) {
    std::thread::spawn(move || {
        for came in signals {
            let target = lock(&target);
            if came.signal == libc::SIGWINCH {
                if let Some(terminal) = &terminal {
                    pty::same_size(io::stdout().as_fd(), terminal.as_fd());
                }
                continue;
            }
            // A key at the terminal has reached it already, unless it has one of its own.
            if (target.own_terminal || !came.by_kernel)
                && let Some(signal) = Signal::from_named_raw(came.signal)
            {
                target.send(signal);
            }
        }
    });
}

/// Copies what it writes, and keeps it.
fn copy(mut from: File, to_stderr: bool, terminal: bool, output: Arc<Mutex<Capture>>, read: SyncSender<()>) {
    std::thread::spawn(move || {
        let to = if to_stderr {
            io::stderr().as_fd().try_clone_to_owned()
        } else {
            io::stdout().as_fd().try_clone_to_owned()
        };
        let mut to = to.ok().map(File::from);
        let mut piece = vec![0u8; 64 << 10];
        loop {
            let n = match from.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                // A terminal says so when its other end is closed.
                Err(_) => break,
            };
            let piece = piece.get(..n).unwrap_or_default();
            lock(&output).push(piece);
            if let Some(open) = &mut to
                && open.write_all(piece).is_err()
            {
                to = None;
                // Whoever read it is gone (`| head`): the command is to learn it as without mayday.
                if !terminal {
                    break;
                }
            }
        }
        let _ = read.send(());
    });
}

/// Its end, and whether the time was up before.
fn wait(
    child: &mut Child,
    pid: Pid,
    target: &Arc<Mutex<Target>>,
    timeout: Option<Duration>,
) -> io::Result<(ExitStatus, bool)> {
    let (told, over) = sync_channel::<()>(1);
    let of = Arc::clone(target);
    std::thread::spawn(move || {
        // It is not reaped before nobody passes signals on to it any more.
        while waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
            .is_err_and(|e| e == rustix::io::Errno::INTR)
        {}
        lock(&of).over = true;
        let _ = told.send(());
    });
    let mut timed_out = false;
    if let Some(limit) = timeout
        && over.recv_timeout(limit) == Err(RecvTimeoutError::Timeout)
    {
        timed_out = true;
        lock(target).send(Signal::TERM);
        lock(target).send(Signal::CONT);
        if over.recv_timeout(GRACE) == Err(RecvTimeoutError::Timeout) {
            lock(target).send(Signal::KILL);
        }
    }
    if timeout.is_none() || timed_out {
        let _ = over.recv();
    }
    child.wait().map(|status| (status, timed_out))
}

/// Waits for the rest of its output.
fn drain(reading: &Receiver<()>, readers: usize, output: &Mutex<Capture>) {
    let (mut left, mut seen, mut since) = (readers, 0, Instant::now());
    while left > 0 {
        match reading.recv_timeout(Duration::from_millis(50)) {
            Ok(()) => left -= 1,
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let total = lock(output).total;
                if total != seen {
                    (seen, since) = (total, Instant::now());
                } else if since.elapsed() > IDLE {
                    eprintln!("\rmayday: something it left in the background holds its output: not waited for\r");
                    return;
                }
            }
        }
    }
}

/// Keys on their way to its terminal, for as long as this lives.
struct Keys {
    /// Closed, it ends the thread.
    _stop: OwnedFd,
}

impl Keys {
    fn pump(terminal: BorrowedFd<'_>) -> Option<Keys> {
        use rustix::event::{PollFd, PollFlags, poll};
        let (stopped, stop) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).ok()?;
        let mut to = File::from(terminal.try_clone_to_owned().ok()?);
        let mut from = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
        std::thread::spawn(move || {
            let mut piece = [0u8; 4096];
            loop {
                let mut ready = [PollFd::new(&from, PollFlags::IN), PollFd::new(&stopped, PollFlags::IN)];
                match poll(&mut ready, None) {
                    Err(rustix::io::Errno::INTR) => continue,
                    Err(_) => return,
                    Ok(_) => {}
                }
                let [keys, stop] = &ready;
                if !stop.revents().is_empty() {
                    return;
                }
                if keys.revents().is_empty() {
                    continue;
                }
                match from.read(&mut piece) {
                    Ok(0) => return,
                    Ok(n) if to.write_all(piece.get(..n).unwrap_or_default()).is_ok() => {}
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    _ => return,
                }
            }
        });
        Some(Keys { _stop: stop })
    }
}
