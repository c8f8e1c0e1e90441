//! What every integration test uses: real servers on free ports in temporary folders, a scripted web server that
//! stands in for other people's hooks, a terminal, a home folder, a small disk, and waiting for conditions.
//!
//! Rules: nothing is skipped (a missing server fails the test and names the package), nothing is left behind (every
//! server ends with its guard, also when the test panics or the test process is killed), and nothing sleeps for a fixed
//! time (see [`wait_until`]).
//!
//! | file | gives |
//! | --- | --- |
//! | `guard.rs` | starting a server so that it cannot outlive the test |
//! | `postgres.rs` `redis.rs` `rabbitmq.rs` `sshd.rs` `smtp.rs` | servers |
//! | `http.rs` | [`HttpScript`]: answers by a list, records requests |
//! | `certs.rs` | [`TestCa`]: certificates for localhost |
//! | `home.rs` | [`Home`]: a user's folders, and the mayday binary run in them |
//! | `cockpit.rs` | [`Cockpit`]: a home with a configuration, its commands and its engine |
//! | `pty.rs` | [`Pty`]: a program on a terminal, its screen as text |
//! | `small_disk.rs` | [`in_small_disk`]: a test run on a disk of a few KiB |
#![allow(dead_code, unused_imports)]

pub mod certs;
pub mod cockpit;
pub mod guard;
pub mod home;
pub mod http;
pub mod postgres;
pub mod pty;
pub mod rabbitmq;
pub mod redis;
pub mod small_disk;
pub mod smtp;
pub mod sshd;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use certs::{ServerCert, TestCa};
pub use cockpit::{Cockpit, Ran};
pub use home::Home;
pub use http::{Answer, HttpScript, Request};
pub use postgres::{PgOptions, Postgres};
pub use pty::{Exit, Pty};
pub use redis::Redis;
pub use small_disk::{DiskLimit, in_small_disk, in_small_disk_as_self};
pub use smtp::{Mail, Smtp, SmtpOptions};
pub use sshd::Sshd;

/// Time within which anything on this machine should happen, however busy it is.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds; panics naming `what` when it does not within `limit`.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    wait_for_some(what, limit, || condition().then_some(()));
}

/// Waits until `get` gives something, and returns it; panics naming `what` when it does not within `limit`.
#[track_caller]
pub fn wait_for_some<T>(what: &str, limit: Duration, mut get: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(found) = get() {
            return found;
        }
        assert!(began.elapsed() < limit, "waited {limit:?} in vain: {what}");
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(25));
    }
}

/// Finds a program, or fails the test naming the Debian package that has it.
#[track_caller]
pub fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin";
    mayday::sys::proc::which(name, path)
        .unwrap_or_else(|| panic!("this test needs the program {name}: install the package {package} (.ci/run does)"))
}

/// Fails where this process cannot run a program as somebody else, and says what to do about it.
#[track_caller]
pub fn can_be_others() {
    let root = mayday::sys::peer::current_uid() == 0;
    assert!(root, "only root can be somebody else: run this test as root (sudo -E, or in a container, as CI does)");
}

/// Fails where this process cannot be two people for an engine, and says what to do about it.
#[track_caller]
pub fn two_people() {
    can_be_others();
    let login = std::fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    let login = login.trim();
    assert!(
        matches!(login, "" | "4294967295"),
        "behind one login all are the same person, and this root logged in as uid {login}: run this test in a container, \
         or in a shell of root after: echo 4294967295 > /proc/self/loginuid"
    );
}

/// A temporary folder with a short path (socket names are limited to 108 bytes), removed with its guard.
#[track_caller]
pub fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("mayday-").tempdir().expect("a temporary folder")
}

/// A free port on loopback that no other test of any process on this machine is given as long as this process lives.
/// Below the range from which the kernel takes ports of outgoing connections, so that none of those takes it either.
#[track_caller]
pub fn free_port() -> u16 {
    use std::os::unix::fs::OpenOptionsExt;
    static KEPT: std::sync::Mutex<Vec<std::fs::File>> = std::sync::Mutex::new(Vec::new());
    let locks = std::env::temp_dir().join("mayday-test-ports");
    let _ = std::fs::create_dir(&locks);
    let _ = std::fs::set_permissions(&locks, std::os::unix::fs::PermissionsExt::from_mode(0o1777));
    let mut seed = std::process::id().wrapping_mul(2_654_435_761) ^ mayday::sys::clock::monotonic_ms() as u32;
    for _ in 0..10_000 {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        let port = 20_000 + (seed % 12_000) as u16;
        let lock = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o666)
            .open(locks.join(port.to_string()));
        let Ok(lock) = lock else { continue };
        if lock.try_lock().is_ok() && std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            KEPT.lock().unwrap().push(lock);
            return port;
        }
    }
    panic!("no free port between 20000 and 32000 on 127.0.0.1");
}

/// Whether something accepts connections on a port of loopback.
pub fn port_open(port: u16) -> bool {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

/// Every file under a folder whose content has `needle`, for looking whether a secret leaked.
pub fn files_containing(dir: &Path, needle: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(t) if t.is_dir() => folders.push(path),
                Ok(t) if t.is_file() => {
                    let content = std::fs::read(&path).unwrap_or_default();
                    if content.windows(needle.len().max(1)).any(|w| w == needle.as_bytes()) {
                        found.push(path);
                    }
                }
                _ => {}
            }
        }
    }
    found
}
