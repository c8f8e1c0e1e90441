//! A program on a real terminal: bytes in, a screen out.
//!
//! The screen is kept by vt100, which panics on sizes of zero and on some odd sequences; both are kept away from the
//! test. No writer of portable-pty is used, because it types a newline and Ctrl-D when dropped.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, SlavePty, native_pty_system};

use super::{Home, PATIENCE};

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Exit code; 0 when ended by a signal.
    pub code: u32,
    /// Name of the signal.
    pub signal: Option<String>,
}

struct Seen {
    parser: vt100::Parser,
    raw: Vec<u8>,
    /// When the last byte came.
    last: Instant,
    ended: bool,
}

#[derive(Clone)]
struct Shared(Arc<(Mutex<Seen>, Condvar)>);

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A program on a terminal. Dropping it hangs up and kills it.
pub struct Pty {
    master: Option<Box<dyn MasterPty + Send>>,
    // Held so that the settings of the terminal can be read after the program has ended.
    slave: Option<Box<dyn SlavePty + Send>>,
    wire: Option<OwnedFd>,
    child: Box<dyn Child + Send + Sync>,
    shared: Shared,
    stop: Arc<AtomicBool>,
    reader: Option<std::thread::JoinHandle<()>>,
    stty_before: String,
}

impl Pty {
    /// mayday with `args` in `home`, on a terminal of `columns` × `rows`.
    #[track_caller]
    pub fn mayday(home: &Home, args: &[&str], columns: u16, rows: u16) -> Self {
        let mut argv = vec![super::home::mayday_binary().display().to_string()];
        argv.extend(args.iter().map(|a| (*a).to_owned()));
        Self::spawn(&argv, &home.env(), &home.work(), columns, rows)
    }

    /// Any program in `home`, such as a shell, tmux or an ssh client.
    #[track_caller]
    pub fn program(home: &Home, argv: &[&str], columns: u16, rows: u16) -> Self {
        let argv: Vec<String> = argv.iter().map(|a| (*a).to_owned()).collect();
        Self::spawn(&argv, &home.env(), &home.work(), columns, rows)
    }

    /// Any program with exactly this environment.
    #[track_caller]
    pub fn spawn(argv: &[String], env: &[(String, String)], cwd: &Path, columns: u16, rows: u16) -> Self {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo terminal");
        let mut command = CommandBuilder::new(&argv[0]);
        command.args(&argv[1..]);
        command.env_clear();
        for (name, value) in env {
            command.env(name, value);
        }
        command.cwd(cwd);
        let raw = pair.master.as_raw_fd().expect("the terminal's descriptor");
        // SAFETY: the master is open as long as `pair.master` lives, and the copy is made at once.
        let master = unsafe { std::os::fd::BorrowedFd::borrow_raw(raw) };
        let copy = || rustix::io::fcntl_dupfd_cloexec(master, 3).expect("a copy of the terminal's descriptor");
        let (wire, reading) = (copy(), copy());
        let stty_before = stty(&wire);
        let child = pair.slave.spawn_command(command).unwrap_or_else(|e| panic!("starting {argv:?}: {e}"));
        let parser = vt100::Parser::new(rows.max(1), columns.max(1), 0);
        let seen = Seen { parser, raw: Vec::new(), last: Instant::now(), ended: false };
        let shared = Shared(Arc::new((Mutex::new(seen), Condvar::new())));
        let stop = Arc::new(AtomicBool::new(false));
        let reader = {
            let (shared, stop) = (shared.clone(), stop.clone());
            std::thread::spawn(move || read_loop(&reading, &shared, &stop))
        };
        Pty {
            master: Some(pair.master),
            slave: Some(pair.slave),
            wire: Some(wire),
            child,
            shared,
            stop,
            reader: Some(reader),
            stty_before,
        }
    }

    /// Types bytes.
    #[track_caller]
    pub fn send(&self, bytes: impl AsRef<[u8]>) {
        let wire = self.wire.as_ref().expect("the terminal was hung up");
        let mut rest = bytes.as_ref();
        while !rest.is_empty() {
            match rustix::io::write(wire, rest) {
                Ok(n) => rest = &rest[n..],
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => panic!("typing into the terminal: {e}\n{}", self.report()),
            }
        }
    }

    /// Waits until the screen has `text`.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        self.wait_screen(&format!("the screen shows {text:?}"), PATIENCE, |screen| screen.contains(text));
    }

    /// Waits until the screen has `text` no more.
    #[track_caller]
    pub fn wait_gone(&self, text: &str) {
        self.wait_screen(&format!("the screen no longer shows {text:?}"), PATIENCE, |screen| !screen.contains(text));
    }

    /// Waits until the text of the screen is as wanted; panics with the last screen.
    #[track_caller]
    pub fn wait_screen(&self, what: &str, limit: Duration, mut wanted: impl FnMut(&str) -> bool) {
        let until = Instant::now() + limit;
        let mut seen = self.shared.lock();
        loop {
            if wanted(&seen.parser.screen().contents()) {
                return;
            }
            let now = Instant::now();
            if now >= until || seen.ended {
                let why = if seen.ended { "the terminal was closed" } else { "waited in vain" };
                drop(seen);
                panic!("{why} ({limit:?}): {what}\n{}", self.report());
            }
            let wait = (until - now).min(Duration::from_millis(100));
            seen = self.shared.0.1.wait_timeout(seen, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until nothing was written for `calm`.
    #[track_caller]
    pub fn wait_calm(&self, calm: Duration) {
        super::wait_until(&format!("nothing is written for {calm:?}"), PATIENCE, || {
            self.shared.lock().last.elapsed() >= calm
        });
    }

    /// The screen as text, lines without trailing spaces.
    pub fn screen(&self) -> String {
        self.shared.lock().parser.screen().contents()
    }

    /// Looks at the screen with its styles.
    pub fn with_screen<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.shared.lock().parser.screen())
    }

    /// How many bytes the program has written so far.
    pub fn bytes_written(&self) -> usize {
        self.shared.lock().raw.len()
    }

    /// Everything the program has written so far.
    pub fn raw(&self) -> Vec<u8> {
        self.shared.lock().raw.clone()
    }

    /// Resizes the terminal; the program gets SIGWINCH. Zero is allowed, the kept screen then has one cell.
    #[track_caller]
    pub fn resize(&self, columns: u16, rows: u16) {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        self.shared.lock().parser.screen_mut().set_size(rows.max(1), columns.max(1));
        self.master.as_ref().expect("the terminal was hung up").resize(size).expect("resizing the terminal");
    }

    /// Settings of the terminal now, as comparable text (what `stty -a` would say, without its size).
    #[track_caller]
    pub fn stty(&self) -> String {
        stty(self.wire.as_ref().expect("the terminal was hung up"))
    }

    /// Fails the test unless the terminal is as it was before: its settings, and every mode taken back that was set.
    #[track_caller]
    pub fn assert_given_back(&self) {
        assert_eq!(self.stty(), self.stty_before());
        for (on, off) in [
            (&b"\x1b[?1049h"[..], &b"\x1b[?1049l"[..]),
            (b"\x1b[?2004h", b"\x1b[?2004l"),
            (b"\x1b[?25l", b"\x1b[?25h"),
            (b"\x1b[?2026h", b"\x1b[?2026l"),
        ] {
            // Whoever reads the terminal may be behind the program's end.
            super::wait_until(&format!("{:?} is taken back", String::from_utf8_lossy(on)), PATIENCE, || {
                let raw = self.raw();
                let last = |needle: &[u8]| raw.windows(needle.len()).rposition(|w| w == needle);
                last(off) > last(on)
            });
        }
    }

    /// Settings before the program started.
    pub fn stty_before(&self) -> &str {
        &self.stty_before
    }

    /// Closes the terminal as a lost connection does; the program gets SIGHUP.
    pub fn hangup(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        self.wire = None;
        self.slave = None;
        self.master = None;
    }

    /// Process id of the program.
    pub fn pid(&self) -> i32 {
        self.child.process_id().map_or(0, |id| id as i32)
    }

    /// Sends a signal to the program itself.
    pub fn signal(&self, signal: i32) {
        // SAFETY: plain system call; the child is reaped only through `self`.
        unsafe { libc::kill(self.pid(), signal) };
    }

    /// Whether the program still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the end of the program and takes in what it wrote last.
    #[track_caller]
    pub fn wait_exit(&mut self, limit: Duration) -> Exit {
        let began = Instant::now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                // The reader may be a little behind.
                let calm = Instant::now();
                while self.reader.is_some() && self.shared.lock().last.elapsed() < Duration::from_millis(60) {
                    if calm.elapsed() > Duration::from_secs(2) {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                let signal = status.signal().map(str::to_owned);
                let code = if signal.is_some() { 0 } else { status.exit_code() };
                return Exit { code, signal };
            }
            assert!(began.elapsed() < limit, "the program did not end within {limit:?}\n{}", self.report());
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    fn report(&self) -> String {
        let seen = self.shared.lock();
        let (rows, columns) = seen.parser.screen().size();
        let tail: String =
            String::from_utf8_lossy(&seen.raw[seen.raw.len().saturating_sub(400)..]).escape_debug().collect();
        format!(
            "last screen, {columns}×{rows}:\n{}\n---- the last bytes of {}: {tail}",
            seen.parser.screen().contents(),
            seen.raw.len()
        )
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        self.hangup();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_loop(from: &OwnedFd, shared: &Shared, stop: &AtomicBool) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut buffer = vec![0; 1 << 16];
    while !stop.load(Ordering::SeqCst) {
        let mut fds = [PollFd::new(from, PollFlags::IN)];
        let limit = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        match poll(&mut fds, Some(&limit)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            _ => {}
        }
        match rustix::io::read(from, &mut buffer[..]) {
            Ok(n) if n > 0 => take_in(shared, &buffer[..n]),
            Err(rustix::io::Errno::INTR) => {}
            _ => break,
        }
    }
    shared.lock().ended = !stop.load(Ordering::SeqCst);
    shared.0.1.notify_all();
}

fn take_in(shared: &Shared, bytes: &[u8]) {
    let mut seen = shared.lock();
    seen.raw.extend_from_slice(bytes);
    seen.last = Instant::now();
    let parser = &mut seen.parser;
    let survived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| parser.process(bytes)));
    if survived.is_err() {
        let (rows, columns) = parser.screen().size();
        *parser = vt100::Parser::new(rows, columns, 0);
    }
    drop(seen);
    shared.0.1.notify_all();
}

fn stty(terminal: &OwnedFd) -> String {
    // On Linux the master answers with the settings of the slave.
    let t = rustix::termios::tcgetattr(terminal.as_fd()).expect("the terminal's settings");
    format!(
        "{:?} {:?} {:?} {:?} {:?} {} {}",
        t.input_modes,
        t.output_modes,
        t.control_modes,
        t.local_modes,
        t.special_codes,
        t.input_speed(),
        t.output_speed()
    )
}
