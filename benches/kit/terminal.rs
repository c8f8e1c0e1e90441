//! A program on a pseudo terminal, looked at from outside: what it wrote and when, what it costs.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// No output for this long makes a point of rest.
const GAP: Duration = Duration::from_millis(50);

/// What a terminal says to the questions that programs ask at their start; some wait seconds for it.
fn answers_to(output: &[u8]) -> impl Iterator<Item = &'static [u8]> {
    const KNOWN: [(&[u8], &[u8]); 4] = [
        (b"\x1b[c", b"\x1b[?64;1;2;6;22c"),
        (b"\x1b[0c", b"\x1b[?64;1;2;6;22c"),
        (b"\x1b[>c", b"\x1b[>41;370;0c"),
        (b"\x1b[6n", b"\x1b[1;1R"),
    ];
    KNOWN.into_iter().filter(|(question, _)| output.windows(question.len()).any(|w| w == *question)).map(|(_, a)| a)
}

/// A program on a terminal. Dropping it kills it.
pub struct Program {
    _master: Box<dyn MasterPty + Send>,
    wire: OwnedFd,
    child: Box<dyn Child + Send + Sync>,
    output: Receiver<(Instant, Vec<u8>)>,
    begun: Instant,
    size: (u16, u16),
}

/// Bytes and costs of a while.
#[derive(Debug, Clone, Copy)]
pub struct Rest {
    pub bytes_per_s: f64,
    /// Of one core.
    pub cpu_percent: f64,
    pub rss_mib: f64,
}

impl Program {
    pub fn start(argv: &[&str], env: &[(&str, &Path)], columns: u16, rows: u16) -> Program {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo terminal");
        let mut command = CommandBuilder::new(argv[0]);
        command.args(&argv[1..]);
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        for (key, value) in env {
            command.env(key, value);
        }
        let begun = Instant::now();
        let child = pair.slave.spawn_command(command).expect("start the program");
        let mut reader = pair.master.try_clone_reader().expect("its output");
        let (send, output) = channel();
        // SAFETY: the descriptor is open for as long as the master, and copied at once.
        let wire = unsafe { std::os::fd::BorrowedFd::borrow_raw(pair.master.as_raw_fd().expect("a descriptor")) };
        let wire = wire.as_fd().try_clone_to_owned().expect("a copy of it");
        let answers = wire.try_clone().expect("a copy of it");
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                for answer in answers_to(&buffer[..n]) {
                    let _ = rustix::io::write(&answers, answer);
                }
                if send.send((Instant::now(), buffer[..n].to_vec())).is_err() {
                    return;
                }
            }
        });
        Program { _master: pair.master, wire, child, output, begun, size: (columns, rows) }
    }

    /// From the start until the first complete frame: the end of the first output that is followed by rest and after
    /// which at least 80 % of the cells stand that stand after `settle`.
    pub fn first_frame(&mut self, settle: Duration) -> Duration {
        let mut chunks = Vec::new();
        let until = self.begun + settle;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            match self.output.recv_timeout(left) {
                Ok(chunk) => chunks.push(chunk),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => panic!("it ended before its first frame: {}", shown(&chunks)),
            }
        }
        let mut screen = vt100::Parser::new(self.size.1, self.size.0, 0);
        let mut rests = Vec::new();
        for (i, (at, bytes)) in chunks.iter().enumerate() {
            screen.process(bytes);
            if chunks.get(i + 1).is_none_or(|(next, _)| next.duration_since(*at) >= GAP) {
                let cells = screen.screen().contents().chars().filter(|c| !c.is_whitespace()).count();
                rests.push((*at, cells));
            }
        }
        let whole = rests.last().map_or(0, |(_, cells)| *cells);
        let first = rests.iter().find(|(_, cells)| *cells * 10 >= whole * 8).expect("some output");
        first.0.duration_since(self.begun)
    }

    /// Leaves it alone for a while.
    pub fn rest(&mut self, length: Duration) -> Rest {
        while self.output.try_recv().is_ok() {}
        let (cpu, begun) = (self.cpu(), Instant::now());
        let mut bytes = 0;
        while let Some(left) = length.checked_sub(begun.elapsed()) {
            match self.output.recv_timeout(left) {
                Ok((_, chunk)) => bytes += chunk.len(),
                Err(_) => break,
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        Rest {
            bytes_per_s: bytes as f64 / seconds,
            cpu_percent: (self.cpu() - cpu).as_secs_f64() * 100.0 / seconds,
            rss_mib: self.rss(),
        }
    }

    /// Presses keys in turn, each after `quiet` of silence where there is any, and gives the sorted times until a
    /// complete frame was read, and the bytes that all of it took. A key without an answer counts as `limit`.
    pub fn keys(&mut self, keys: &[&str], times: usize, quiet: Duration, limit: Duration) -> (Vec<Duration>, usize) {
        let (mut all, mut bytes) = (Vec::new(), 0);
        for key in keys.iter().cycle().take(times) {
            let calm = Instant::now();
            while self.output.recv_timeout(quiet).is_ok() && calm.elapsed() < quiet * 4 {}
            let pressed = Instant::now();
            rustix::io::write(&self.wire, key.as_bytes()).expect("type");
            let mut tail = Vec::new();
            let took = loop {
                match self.output.recv_timeout(limit.saturating_sub(pressed.elapsed())) {
                    Ok((at, chunk)) => {
                        bytes += chunk.len();
                        tail.extend_from_slice(&chunk);
                        // The end of a synchronized update.
                        if tail.windows(8).any(|w| w == b"\x1b[?2026l") {
                            break at.duration_since(pressed);
                        }
                    }
                    Err(_) => break limit,
                }
            };
            all.push(took);
        }
        all.sort_unstable();
        (all, bytes)
    }

    /// Waits until the screen, as it is drawn from now on or was, shows `text`.
    pub fn until(&mut self, text: &str, limit: Duration) {
        let mut screen = vt100::Parser::new(self.size.1, self.size.0, 0);
        // A repaint shows everything, whatever was read before.
        rustix::io::write(&self.wire, b"\x0c").expect("type");
        let begun = Instant::now();
        while !screen.screen().contents().contains(text) {
            match self.output.recv_timeout(limit.saturating_sub(begun.elapsed())) {
                Ok((_, chunk)) => screen.process(&chunk),
                Err(_) => panic!("{text:?} is not shown: {}", screen.screen().contents()),
            }
        }
    }

    pub fn type_in(&self, keys: &str) {
        rustix::io::write(&self.wire, keys.as_bytes()).expect("type");
    }

    /// Processor time of all its threads (proc(5), schedstat: nanoseconds).
    fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("its threads");
        let each = tasks.filter_map(|t| std::fs::read_to_string(t.ok()?.path().join("schedstat")).ok());
        Duration::from_nanos(each.filter_map(|s| s.split(' ').next()?.parse::<u64>().ok()).sum())
    }

    fn rss(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("its status");
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or("0");
        line.split_whitespace().next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    }

    fn pid(&self) -> u32 {
        self.child.process_id().expect("it runs")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn shown(chunks: &[(Instant, Vec<u8>)]) -> String {
    let all: Vec<u8> = chunks.iter().flat_map(|(_, b)| b.iter().copied()).collect();
    String::from_utf8_lossy(&all).into_owned()
}
