//! Telling systemd how the engine is, by the protocol of sd_notify(3): one datagram of `KEY=value` lines to the socket
//! in `$NOTIFY_SOCKET`. Without that variable every call does nothing, so the engine need not know who started it.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Where notifications go; made once at start, before other threads could change the environment.
#[derive(Debug, Clone, Default)]
pub struct Notifier {
    address: Option<SocketAddr>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`. An address that cannot be one is the same as none.
    pub fn from_env() -> Self {
        let text = |name| std::env::var(name).ok();
        Self::from_values(
            text("NOTIFY_SOCKET").as_deref(),
            text("WATCHDOG_USEC").as_deref(),
            text("WATCHDOG_PID").as_deref(),
        )
    }

    /// The same from given values. The address is a path, or an abstract name after `@`.
    pub fn from_values(socket: Option<&str>, watchdog_usec: Option<&str>, watchdog_pid: Option<&str>) -> Self {
        let address = socket.and_then(|s| match s.strip_prefix('@') {
            Some(name) if !name.is_empty() => SocketAddr::from_abstract_name(name).ok(),
            None if s.starts_with('/') => SocketAddr::from_pathname(s).ok(),
            _ => None,
        });
        let for_us = watchdog_pid.is_none_or(|pid| pid.parse() == Ok(std::process::id()));
        let watchdog = watchdog_usec
            .filter(|_| for_us)
            .and_then(|us| us.parse::<u64>().ok())
            .filter(|us| *us > 0)
            .map(Duration::from_micros);
        Notifier { address, watchdog }
    }

    /// Whether anybody listens.
    pub fn is_active(&self) -> bool {
        self.address.is_some()
    }

    /// How often [`Notifier::watchdog`] should be called: half of the time systemd waits. `None`: not wanted.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|d| d / 2)
    }

    /// Start-up is complete; `status` is shown by `systemctl status`.
    pub fn ready(&self, status: &str) -> io::Result<()> {
        self.send(&format!("READY=1\nSTATUS={}", super::one_line(status)))
    }

    /// A reload has begun; end it with [`Notifier::ready`]. `monotonic_us` is required by `Type=notify-reload`.
    pub fn reloading(&self) -> io::Result<()> {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", super::clock::monotonic_ms() * 1000))
    }

    /// Shutdown has begun.
    pub fn stopping(&self) -> io::Result<()> {
        self.send("STOPPING=1")
    }

    /// Still alive.
    pub fn watchdog(&self) -> io::Result<()> {
        self.send("WATCHDOG=1")
    }

    /// One line for `systemctl status`.
    pub fn status(&self, status: &str) -> io::Result<()> {
        self.send(&format!("STATUS={}", super::one_line(status)))
    }

    fn send(&self, message: &str) -> io::Result<()> {
        let Some(address) = &self.address else { return Ok(()) };
        let socket = UnixDatagram::unbound()?;
        // A full queue of a stuck systemd must not hold up the engine.
        socket.set_nonblocking(true)?;
        socket.send_to_addr(message.as_bytes(), address).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(socket: &UnixDatagram) -> String {
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut buffer = [0; 500];
        let n = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    }

    #[test]
    fn says_what_happens_to_a_path_and_to_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("mayday-test-{}", std::process::id());
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (socket, address) in [(&by_path, path.to_str().unwrap().to_owned()), (&by_name, format!("@{name}"))] {
            let notifier = Notifier::from_values(Some(&address), None, None);
            assert!(notifier.is_active());
            notifier.ready("watching 3 services\nX=1").unwrap();
            assert_eq!(receive(socket), "READY=1\nSTATUS=watching 3 services X=1");
            notifier.reloading().unwrap();
            assert!(receive(socket).starts_with("RELOADING=1\nMONOTONIC_USEC="));
            notifier.watchdog().unwrap();
            assert_eq!(receive(socket), "WATCHDOG=1");
            notifier.status("calm").unwrap();
            assert_eq!(receive(socket), "STATUS=calm");
            notifier.stopping().unwrap();
            assert_eq!(receive(socket), "STOPPING=1");
        }
    }

    #[test]
    fn without_a_socket_nothing_happens() {
        for address in [None, Some(""), Some("@"), Some("relative"), Some("/nul\0byte")] {
            let notifier = Notifier::from_values(address, None, None);
            assert!(!notifier.is_active(), "{address:?}");
            notifier.ready("x").unwrap();
        }
    }

    #[test]
    fn the_watchdog_is_fed_twice_as_often_as_needed() {
        let me = std::process::id().to_string();
        let interval = |usec, pid| Notifier::from_values(None, usec, pid).watchdog_interval();
        assert_eq!(interval(Some("30000000"), None), Some(Duration::from_secs(15)));
        assert_eq!(interval(Some("30000000"), Some(me.as_str())), Some(Duration::from_secs(15)));
        assert_eq!(interval(Some("30000000"), Some("1")), None);
        assert_eq!(interval(Some("0"), None), None);
        assert_eq!(interval(Some("soon"), None), None);
        assert_eq!(interval(None, None), None);
    }
}
