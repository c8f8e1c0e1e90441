//! The only door to the terminal: entering and leaving it, and writing frames.
//!
//! Raw mode, alternate screen, bracketed paste; no mouse, no query whose late answer would become a key press. There is
//! ONE [`leave`], called by the normal end, errors, panics, SIGTERM, SIGHUP and SIGTSTP; it undoes exactly what
//! [`enter`] did and goes on past failures. Frames are written by a thread of their own with a mailbox for one frame:
//! a blocked terminal can stop neither signals nor the socket, and a newer frame replaces one that still waits.
//! A frame that equals the one shown costs no byte; any other is one write, wrapped in a synchronized update.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ratatui::buffer::Buffer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios};

use super::encode;

/// Alternate screen, bracketed paste, cursor hidden. The title is left alone.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?2004h\x1b[?25l\x1b[m\x1b[2J";
/// The same undone, and a synchronized update ended that may have been cut short.
const LEAVE: &[u8] = b"\x1b[?2026l\x1b[m\x1b[?25h\x1b[?2004l\x1b[?1049l";
/// Longest wait for a terminal that does not take bytes, when leaving.
const LEAVING: Duration = Duration::from_millis(300);

/// Settings to go back to; `Some` exactly while the terminal is ours.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
/// Held while bytes are written, so that leaving does not land within a frame.
static WRITING: Mutex<()> = Mutex::new(());
/// Held while keys are read, so that what is typed for whoever comes after us is left to them.
static READING: Mutex<()> = Mutex::new(());
static OURS: AtomicBool = AtomicBool::new(false);

fn out() -> BorrowedFd<'static> {
    // SAFETY: descriptor 1 is open for the life of the process; the viewer never closes it.
    unsafe { BorrowedFd::borrow_raw(1) }
}

fn inp() -> BorrowedFd<'static> {
    // SAFETY: descriptor 0 is open for the life of the process; the viewer never closes it.
    unsafe { BorrowedFd::borrow_raw(0) }
}

/// Whether both ends are a terminal.
pub fn is_terminal() -> bool {
    use std::io::IsTerminal;
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Columns and rows; `None` when the terminal does not say. Zero is possible.
pub fn size() -> Option<(u16, u16)> {
    rustix::termios::tcgetwinsize(out()).ok().map(|s| (s.ws_col, s.ws_row))
}

/// Takes the terminal. Entering twice (after SIGCONT) keeps the first settings to go back to.
pub fn enter() -> io::Result<()> {
    let now = rustix::termios::tcgetattr(inp())?;
    let mut raw = now.clone();
    raw.make_raw();
    {
        let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        before.get_or_insert(now);
    }
    OURS.store(true, Ordering::SeqCst);
    rustix::termios::tcsetattr(inp(), OptionalActions::Now, &raw)?;
    let _one = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    write_all(ENTER, Duration::from_secs(5))
}

/// Gives the terminal back as it was. Harmless when it is not ours; goes on past failures.
pub fn leave() {
    if !OURS.swap(false, Ordering::SeqCst) {
        return;
    }
    // A frame that is being written gets a moment to end; a terminal that hangs does not get longer.
    let until = Instant::now() + LEAVING;
    let (mut writing, mut reading) = (None, None);
    while (writing.is_none() || reading.is_none()) && Instant::now() < until {
        writing = writing.or_else(|| WRITING.try_lock().ok());
        reading = reading.or_else(|| READING.try_lock().ok());
        if writing.is_none() || reading.is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    let _ = write_all(LEAVE, LEAVING);
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        let _ = rustix::termios::tcsetattr(inp(), OptionalActions::Now, &before);
    }
}

/// Reads what was typed, once [`poll`] said that there is something. `Ok(None)` while the terminal is not ours: then the
/// bytes belong to the shell.
pub fn read(buffer: &mut [u8]) -> rustix::io::Result<Option<usize>> {
    let _one = READING.lock().unwrap_or_else(PoisonError::into_inner);
    if OURS.load(Ordering::SeqCst) { rustix::io::read(inp(), buffer).map(Some) } else { Ok(None) }
}

/// How long a panic may take to end the process by itself.
const DYING: Duration = Duration::from_secs(1);

/// A panic shows its report on a whole terminal, whichever thread it happens in, and ends the process: a screen that has
/// lost its terminal, or the thread that draws or reads it, would go on without anybody being able to leave it.
pub fn leave_on_panic() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            leave();
            before(info);
            let watch = std::thread::Builder::new().name("panic".into()).spawn(|| {
                std::thread::sleep(DYING);
                std::process::exit(101);
            });
            if watch.is_err() {
                std::process::exit(101);
            }
        }));
    });
}

/// Leaves and ends the process at once: the terminal is gone or cannot be written to.
pub fn end_now(code: i32) -> ! {
    leave();
    std::process::exit(code)
}

fn write_all(mut bytes: &[u8], patience: Duration) -> io::Result<()> {
    let until = Instant::now() + patience;
    while !bytes.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::from_borrowed_fd(out(), PollFlags::OUT)];
        let limit = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut fds, Some(&limit)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        match rustix::io::write(out(), bytes) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// One frame for the drawing thread.
#[derive(Debug, Default)]
pub struct Frame {
    pub buffer: Buffer,
    /// Where the cursor stands, when a text is being edited.
    pub cursor: Option<(u16, u16)>,
    /// Paint everything, whatever is thought to be shown.
    pub whole: bool,
    /// Named back in the acknowledgement when this frame has been written.
    pub mark: u64,
    /// Bytes sent along, outside of the picture: a clipboard sequence.
    pub also: Vec<u8>,
}

#[derive(Debug, Default)]
struct Slot {
    next: Option<Frame>,
    spare: Option<Buffer>,
    closed: bool,
}

/// The drawing thread's near end.
#[derive(Debug)]
pub struct Painter {
    slot: Arc<(Mutex<Slot>, Condvar)>,
}

impl Painter {
    /// Starts the thread. `drawn` is called there with a frame's mark once its last byte was written. A failed write
    /// ends the process: nobody looks at this terminal any more.
    pub fn start(drawn: impl Fn(u64) + Send + 'static) -> io::Result<Painter> {
        let slot: Arc<(Mutex<Slot>, Condvar)> = Arc::default();
        let thread = Arc::clone(&slot);
        std::thread::Builder::new().name("paint".into()).stack_size(256 << 10).spawn(move || paint(&thread, drawn))?;
        Ok(Painter { slot })
    }

    /// Leaves a frame in the mailbox. One that still waited there is replaced; what only it carried is kept.
    pub fn post(&self, mut frame: Frame) {
        let (lock, wake) = &*self.slot;
        let mut slot = lock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut waiting) = slot.next.take() {
            frame.whole |= waiting.whole;
            waiting.also.append(&mut frame.also);
            frame.also = waiting.also;
            slot.spare = Some(waiting.buffer);
        }
        slot.next = Some(frame);
        wake.notify_one();
    }

    /// A buffer of an earlier frame to draw into, so that frames cost no new memory.
    pub fn spare(&self) -> Option<Buffer> {
        self.slot.0.lock().unwrap_or_else(PoisonError::into_inner).spare.take()
    }
}

impl Drop for Painter {
    fn drop(&mut self) {
        self.slot.0.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.slot.1.notify_one();
    }
}

fn paint(slot: &(Mutex<Slot>, Condvar), drawn: impl Fn(u64)) {
    let mut encoder = encode::Encoder::default();
    let mut shown: Option<Buffer> = None;
    loop {
        let frame = {
            let mut waiting = slot.0.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                if let Some(frame) = waiting.next.take() {
                    break frame;
                }
                if waiting.closed {
                    return;
                }
                waiting = slot.1.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let before = shown.as_ref().filter(|b| !frame.whole && b.area == frame.buffer.area);
        let mut bytes = encoder.frame(before, &frame.buffer, frame.cursor);
        bytes.extend_from_slice(&frame.also);
        if !bytes.is_empty() {
            let one = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
            if OURS.load(Ordering::SeqCst) {
                // No limit worth the name: a slow link is slow, and only this thread waits for it.
                if write_all(&bytes, Duration::from_secs(3600)).is_err() {
                    drop(one);
                    end_now(1);
                }
            }
        }
        drawn(frame.mark);
        let old = shown.replace(frame.buffer);
        if let Some(old) = old {
            slot.0.lock().unwrap_or_else(PoisonError::into_inner).spare = Some(old);
        }
    }
}
