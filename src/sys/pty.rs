//! A terminal made for a command, so that it behaves as it would on the person's own: colours, prompts, full screens.
//!
//! The person's terminal is put into raw mode while the command has one of its own, and put back whatever happens.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// Both ends of a new terminal: what the command writes is read from `master`.
#[derive(Debug)]
pub struct Pty {
    pub master: OwnedFd,
    pub slave: OwnedFd,
}

/// A new terminal, as large and as set up as `like`.
pub fn open(like: BorrowedFd<'_>) -> io::Result<Pty> {
    // SAFETY: plain calls; each descriptor is checked and owned at once.
    let master = unsafe {
        let fd = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let master = OwnedFd::from_raw_fd(fd);
        if libc::grantpt(fd) != 0 || libc::unlockpt(fd) != 0 {
            return Err(io::Error::last_os_error());
        }
        master
    };
    let mut name = [0u8; 128];
    // SAFETY: the buffer is as long as is said.
    let failed =
        unsafe { libc::ptsname_r(std::os::fd::AsRawFd::as_raw_fd(&master), name.as_mut_ptr().cast(), name.len()) != 0 };
    if failed {
        return Err(io::Error::last_os_error());
    }
    let name = std::ffi::CStr::from_bytes_until_nul(&name).map_err(io::Error::other)?;
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let slave = rustix::fs::open(name, flags, rustix::fs::Mode::empty())?;
    if let Ok(modes) = tcgetattr(like) {
        let _ = tcsetattr(&slave, OptionalActions::Now, &modes);
    }
    same_size(like, master.as_fd());
    Ok(Pty { master, slave })
}

/// Makes `terminal` as large as `like`.
pub fn same_size(like: BorrowedFd<'_>, terminal: BorrowedFd<'_>) {
    if let Ok(size) = rustix::termios::tcgetwinsize(like) {
        let _ = rustix::termios::tcsetwinsize(terminal, size);
    }
}

/// To be called in the child before it becomes the command: a session of its own, whose terminal is descriptor 1.
/// Errors: the system's.
pub fn take_terminal() -> io::Result<()> {
    // SAFETY: both may be called between fork and exec.
    unsafe {
        if libc::setsid() < 0 || libc::ioctl(1, libc::TIOCSCTTY, 0) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// `terminal` is this process's, and this process is in front of it.
pub fn is_in_front(terminal: BorrowedFd<'_>) -> bool {
    rustix::termios::tcgetpgrp(terminal).is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Keys go through unread while this lives.
#[derive(Debug)]
pub struct Raw {
    terminal: OwnedFd,
    before: Termios,
}

impl Raw {
    pub fn new(terminal: BorrowedFd<'_>) -> io::Result<Raw> {
        let before = tcgetattr(terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        let terminal = terminal.try_clone_to_owned()?;
        tcsetattr(&terminal, OptionalActions::Drain, &raw)?;
        Ok(Raw { terminal, before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Drain, &self.before);
    }
}
