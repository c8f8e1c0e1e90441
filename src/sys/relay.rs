//! Signals that this process gets, to be passed on to another one.
//!
//! A key at the terminal reaches every process in front of it; only what was sent to this process alone has to be passed
//! on, so each signal says where it came from. What this process was told to ignore stays ignored.

use std::io::{self, Read};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// Where the handler writes.
static PIPE: AtomicI32 = AtomicI32::new(-1);
/// Marks a signal that the kernel made: a key at the terminal, or its end.
const BY_KERNEL: u8 = 0x80;

/// One that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Came {
    pub signal: i32,
    /// Made by the kernel for every process in front of the terminal.
    pub by_kernel: bool,
}

/// Signals as they come.
#[derive(Debug)]
pub struct Signals(std::fs::File);

extern "C" fn handler(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives a valid pointer (SA_SIGINFO).
    let code = if info.is_null() { 0 } else { unsafe { (*info).si_code } };
    let byte = signal as u8 & 0x7f | if code > 0 { BY_KERNEL } else { 0 };
    // SAFETY: write may be called in a handler, and errno is put back for whoever was interrupted.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(PIPE.load(Ordering::Relaxed), [byte].as_ptr().cast(), 1);
        *libc::__errno_location() = errno;
    }
}

impl Signals {
    /// From here on these no longer end this process. Once in a process. Errors: the system's.
    pub fn catch(signals: &[i32]) -> io::Result<Signals> {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        // A handler must not wait, however much comes.
        rustix::fs::fcntl_setfl(&write, rustix::fs::OFlags::NONBLOCK)?;
        PIPE.store(OwnedFd::into_raw_fd(write), Ordering::Relaxed);
        for signal in signals {
            // SAFETY: the handler does nothing that is not allowed in one; the structures are valid.
            unsafe {
                let mut before: libc::sigaction = std::mem::zeroed();
                libc::sigaction(*signal, std::ptr::null(), &mut before);
                if before.sa_sigaction == libc::SIG_IGN {
                    continue;
                }
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = handler as extern "C" fn(_, _, _) as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
                libc::sigemptyset(&mut action.sa_mask);
                if libc::sigaction(*signal, &action, std::ptr::null_mut()) != 0 {
                    return Err(io::Error::last_os_error());
                }
            }
        }
        Ok(Signals(read.into()))
    }
}

impl Iterator for Signals {
    type Item = Came;

    /// Blocks until one comes.
    fn next(&mut self) -> Option<Came> {
        let mut byte = [0u8; 1];
        loop {
            match self.0.read(&mut byte) {
                Ok(1) => {
                    let [byte] = byte;
                    return Some(Came { signal: i32::from(byte & 0x7f), by_kernel: byte & BY_KERNEL != 0 });
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                _ => return None,
            }
        }
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}
