//! A test, or part of it, on a disk of a few KiB.
//!
//! The test binary starts itself again for the one test, in a mount namespace with a small tmpfs. Where namespaces are
//! forbidden, a limit on the size of files takes its place: writes then fail with EFBIG instead of ENOSPC.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{program, scratch};

const MARK: &str = "MAYDAY_TEST_SMALL_DISK";

/// What the test body runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskLimit {
    /// A tmpfs: full means ENOSPC.
    Tmpfs,
    /// `RLIMIT_FSIZE`: every single file is limited, and beyond it writes fail with EFBIG.
    FileSize,
}

/// Runs `body` with a folder on a disk of `bytes` (rounded up to 4 KiB), in a process of its own. Call it as the whole
/// of a test: the test runs again in that process up to here.
#[track_caller]
pub fn in_small_disk(bytes: u64, body: impl FnOnce(&Path, DiskLimit)) {
    if let Ok(mark) = std::env::var(MARK) {
        let (kind, dir) = mark.split_once(':').expect("kind:folder");
        let kind = if kind == "tmpfs" { DiskLimit::Tmpfs } else { DiskLimit::FileSize };
        body(Path::new(dir), kind);
        return;
    }
    let test = std::thread::current().name().expect("a test thread has the name of its test").to_owned();
    let me = std::env::current_exe().expect("the path of the test binary");
    let dir = scratch();
    let (command, kind) = small_disk_command(bytes, dir.path());
    run_again(command, kind, &me, &test, dir.path());
}

/// As [`in_small_disk`], with the rights of the user who runs the test: a body that starts servers, which refuse root,
/// and as root gives files away.
#[track_caller]
pub fn in_small_disk_as_self(bytes: u64, body: impl FnOnce(&Path)) {
    if let Ok(mark) = std::env::var(MARK) {
        body(Path::new(mark.trim_start_matches("tmpfs:")));
        return;
    }
    let test = std::thread::current().name().expect("a test thread has the name of its test").to_owned();
    let me = std::env::current_exe().expect("the path of the test binary");
    let dir = scratch();
    let mut command = Command::new(program("unshare", "util-linux"));
    let mount = r#"mount -t tmpfs -o mode=0777,size="$1" tmpfs "$2" && shift 2 && "#;
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let script = match uid {
        0 => format!(r#"{mount} exec "$@""#),
        // Root of a namespace mounts; a further namespace gives the own number back.
        _ => format!(r#"{mount} exec unshare -U --map-user={uid} --map-group={gid} "$@""#),
    };
    command.args([if uid == 0 { "-m" } else { "-Urm" }, "sh", "-c", &script, "sh", &bytes.to_string()]).arg(dir.path());
    run_again(command, "tmpfs", &me, &test, dir.path());
}

#[track_caller]
fn run_again(mut command: Command, kind: &str, me: &Path, test: &str, dir: &Path) {
    command.arg(me).args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.env(MARK, format!("{kind}:{}", dir.display()));
    let output = command.output().expect("starting the test on a small disk");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test} on a small disk ({kind}) failed:\n{text}");
    assert!(text.contains("1 passed"), "{test} did not run on the small disk:\n{text}");
}

/// A command that runs what is added to it with a small disk mounted on `dir`.
#[track_caller]
fn small_disk_command(bytes: u64, dir: &Path) -> (Command, &'static str) {
    let unshare: PathBuf = program("unshare", "util-linux");
    // The mount is seen by that process alone and goes with it.
    let script = r#"mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@""#;
    for flags in ["-Urm", "-m"] {
        let works = Command::new(&unshare).args([flags, "sh", "-c", "mount -t tmpfs tmpfs /mnt"]).output();
        if works.is_ok_and(|o| o.status.success()) {
            let mut command = Command::new(&unshare);
            command.args([flags, "sh", "-c", script, "sh", &bytes.div_ceil(4096).saturating_mul(4096).to_string()]);
            command.arg(dir);
            return (command, "tmpfs");
        }
    }
    let mut command = Command::new(program("prlimit", "util-linux"));
    command.arg(format!("--fsize={bytes}"));
    // Ignored, so that the write fails instead of ending the process.
    command.args(["sh", "-c", r#"trap '' XFSZ; exec "$@""#, "sh"]);
    (command, "fsize")
}
