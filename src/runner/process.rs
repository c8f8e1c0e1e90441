//! The runner as a process: getting away from whoever started it, claiming, executing, leaving a status.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;

use super::claim::{Claim, ClaimError, RunLock};
use super::folder::{LOCK, canonical, read_plan};
use super::hand;
use super::output::write::{Output, settle};
use super::progress;
use super::sink::RunSink;
use super::spawn::OUTPUT_LIMIT;
use super::status::{Status, StatusFile};
use super::stop::{Signals, Stop};
use super::work::Work;
use crate::domain::run::{RunState, Verdict};
use crate::sys::clock;

const USAGE: &str = "usage: mayday runner RUN_FOLDER [--detach] [--compensate] [--output-limit BYTES]";
/// Somebody who only looks at the folder holds the lock for a moment.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the end of a run is tried to be written on a disk that refuses it.
const TO_TELL: Duration = Duration::from_secs(60);

struct Options {
    dir: PathBuf,
    detach: bool,
    compensate: bool,
    output_limit: u64,
}

/// `mayday runner …`, with the arguments behind `runner`. Must be called before any thread or runtime is started.
///
/// Exit codes: 0 succeeded, 1 failed (also: the plan could not be claimed or read), 2 wrong usage, 3 claimed or held by
/// another runner, 4 contradicted, 6 cancelled or timed out.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = match read_options(args) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("mayday runner: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match get_away(options.detach) {
        Ok(None) => {}
        Ok(Some(code)) => return code,
        Err(e) => {
            eprintln!("mayday runner: cannot get a session of its own: {e}");
            return ExitCode::from(1);
        }
    }
    // SAFETY: no other thread exists yet, so nobody reads the environment at the same time.
    unsafe { std::env::set_var(super::MARK, canonical(&options.dir)) };
    let ended = if options.compensate { compensate(&options) } else { execute(&options) };
    ended.unwrap_or_else(|(code, why)| {
        eprintln!("mayday runner: {}: {why}", options.dir.display());
        ExitCode::from(code)
    })
}

type Refused = (u8, String);

fn read_options(args: impl IntoIterator<Item = OsString>) -> Result<Options, String> {
    let mut options = Options { dir: PathBuf::new(), detach: false, compensate: false, output_limit: OUTPUT_LIMIT };
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--detach") => options.detach = true,
            Some("--compensate") => options.compensate = true,
            Some("--output-limit") => {
                let value = args.next().and_then(|v| v.to_str()?.parse().ok());
                options.output_limit = value.ok_or("--output-limit wants a number of bytes")?;
            }
            Some(other) if other.starts_with("--") => return Err(format!("there is no option {other}")),
            _ if options.dir.as_os_str().is_empty() => options.dir = arg.into(),
            _ => return Err("one run folder at a time".to_owned()),
        }
    }
    if options.dir.as_os_str().is_empty() {
        return Err("the folder of the run is missing".to_owned());
    }
    Ok(options)
}

/// A session of its own. `Some(code)` in the process that is to end with it, because the work goes on in another one.
fn get_away(detach: bool) -> io::Result<Option<ExitCode>> {
    if !detach && rustix::process::setsid().is_ok() {
        return Ok(None);
    }
    // Detached: the starter gets the pid and its child ends at once, so the runner is nobody's child. Else: the leader
    // of a group cannot begin a session (a shell's job is one), its child can.
    // SAFETY: this process has one thread, so the child may go on as if nothing had happened.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            rustix::process::setsid()?;
            if detach {
                // The starter waits for the end of this pipe.
                hand::silence(io::stdout().as_fd())?;
            }
            Ok(None)
        }
        child if detach => {
            println!("{child}");
            Ok(Some(ExitCode::SUCCESS))
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for the child made above and writes its status into a local variable.
            while unsafe { libc::waitpid(child, &mut status, 0) } == -1
                && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
            {}
            let code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 1 };
            Ok(Some(ExitCode::from(u8::try_from(code).unwrap_or(1))))
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Refused> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .map_err(|e| (1, format!("no runtime: {e}")))
}

fn execute(options: &Options) -> Result<ExitCode, Refused> {
    let dir = options.dir.as_path();
    let plan = read_plan(dir).map_err(|e| (1, format!("the plan cannot be read: {e}")))?;
    let secrets = hand::receive(options.detach).map_err(|why| (1, format!("{why}: nothing was executed")))?;
    let refused = |e: ClaimError| {
        let code = if matches!(e, ClaimError::Io(_)) { 1 } else { 3 };
        (code, format!("{e}: nothing was executed"))
    };
    crate::sys::tls::install_provider();
    let runtime = runtime()?;
    let signals = runtime.block_on(async { Signals::catch() });
    let _lock = RunLock::take(&dir.join(LOCK), PATIENCE).map_err(refused)?;
    Claim::of_this_process().write(dir).map_err(refused)?;
    // A limit on the size of files is a full disk like any other, not a reason to die. Commands get the default back.
    // SAFETY: setting a disposition to "ignore" installs no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };

    if plan.gentle {
        gently();
    }

    let file = StatusFile::prepare(dir);
    let sink = Arc::new(RunSink::new(dir, hand::mask(&secrets), Output::new(dir, options.output_limit)));
    let mut status = runtime.block_on(async {
        let deadline = Instant::now() + Duration::from_millis(plan.timeout_ms.max(1));
        let stop = Stop::default();
        tokio::spawn(stop.clone().watch(signals, dir.to_path_buf(), deadline));
        Work::new(dir.to_path_buf(), plan, secrets, sink.clone(), stop, deadline).run().await
    });
    let closed = sink.close(dir);
    (status.output, status.output_digest, status.excerpt) = (closed.map, closed.digest, closed.excerpt);
    tell(dir, file, &sink, &status)?;
    if let Err(e) = settle(dir) {
        eprintln!("mayday runner: {}: the output stays in its segments: {e}", dir.display());
    }
    drop_empty_errors(dir);
    Ok(ExitCode::from(code(&status)))
}

/// The lowest priority of CPU and disk, which all that is started from here inherits. What cannot be lowered is run as it
/// is: a container may forbid it.
fn gently() {
    let _ = rustix::process::setpriority_process(None, 19);
    const WHO_PROCESS: libc::c_int = 1;
    const CLASS_IDLE: libc::c_int = 3 << 13;
    // SAFETY: takes three numbers (0 is this process) and touches no memory; libc has no wrapper for it.
    unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, CLASS_IDLE) };
}

/// The end has to be told: tried for a while when the disk refuses it.
fn tell(dir: &Path, file: io::Result<StatusFile>, sink: &RunSink, status: &Status) -> Result<(), Refused> {
    let noted = sink.finished(status);
    let mut written = file.and_then(|file| file.finish(status));
    let until = std::time::Instant::now() + TO_TELL;
    while let Err(e) = &written {
        // The progress file has it: the engine finds the end there.
        if noted.is_ok() || std::time::Instant::now() > until {
            return Err((1, format!("{}, but status.json cannot be written: {e}", status.state.word())));
        }
        std::thread::sleep(Duration::from_secs(1));
        written = StatusFile::prepare(dir).and_then(|file| file.finish(status));
    }
    Ok(())
}

fn drop_empty_errors(dir: &Path) {
    let path = dir.join(super::folder::ERRORS);
    if std::fs::metadata(&path).is_ok_and(|m| m.len() == 0) {
        let _ = std::fs::remove_file(path);
    }
}

fn code(status: &Status) -> u8 {
    match (status.state, status.verdict) {
        (_, Verdict::Contradicted) => 4,
        (RunState::Succeeded, _) => 0,
        (RunState::Cancelled | RunState::TimedOut, _) => 6,
        _ => 1,
    }
}

/// Takes back what a lost run left open.
fn compensate(options: &Options) -> Result<ExitCode, Refused> {
    let dir = options.dir.as_path();
    let plan = read_plan(dir).map_err(|e| (1, format!("the plan cannot be read: {e}")))?;
    let secrets: std::collections::BTreeMap<String, SecretString> =
        hand::receive(options.detach).map_err(|why| (1, why))?;
    let _lock = RunLock::take(&dir.join("compensate.lock"), Duration::from_secs(30)).map_err(|e| (3, e.to_string()))?;
    let claim = Claim::read(dir).map_err(|e| (1, e.to_string()))?;
    if claim.is_none_or(|c| c.is_alive(&clock::boot_id())) || RunLock::is_held(dir) {
        return Err((3, "the run is not lost: its own runner takes back what it left open".to_owned()));
    }
    let lines = progress::all(dir).map_err(|e| (1, e.to_string()))?;
    let Some(what) = progress::open_compensation(&lines) else {
        return Ok(ExitCode::SUCCESS);
    };
    let sink = Arc::new(RunSink::new(dir, hand::mask(&secrets), Output::reopen(dir, options.output_limit)));
    crate::sys::tls::install_provider();
    let result = runtime()?.block_on(async {
        let deadline = Instant::now() + Duration::from_secs(60);
        Work::new(dir.to_path_buf(), plan, secrets, sink.clone(), Stop::default(), deadline).compensate(&what).await
    });
    match result {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(why) => Err((1, format!("{} is STILL OPEN: {}", what.shown, sink.safe(&why)))),
    }
}
