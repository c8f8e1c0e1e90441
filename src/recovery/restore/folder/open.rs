//! Opening an archive, whatever it is wrapped in: compressed, encrypted, or both.
//!
//! Decrypting is done by `age`, which authenticates what it gives out piece by piece and says only by its exit code that
//! the end was the end. So the stream ends well only when the program did.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use super::super::format::{self, Wrap};
use super::super::job::FolderRestore;
use crate::sys::{archive, proc};
use crate::text;

/// What is needed to open a copy.
#[derive(Clone, Debug)]
pub struct Way {
    pub place: PathBuf,
    pub wrap: Wrap,
    pub identity: Option<PathBuf>,
}

impl Way {
    pub fn of(job: &FolderRestore) -> Way {
        Way { place: format::path_of(&job.copy), wrap: job.wrap, identity: job.identity.clone() }
    }
}

/// A copy that is being read.
pub struct Opened {
    pub stream: Box<dyn Read + Send>,
    /// The same open file, for how far it was read.
    position: File,
    pub total: u64,
}

impl Opened {
    pub fn read_so_far(&mut self) -> u64 {
        self.position.stream_position().unwrap_or(0)
    }
}

/// Opens a copy for reading from its beginning. Errors say what to do.
pub fn open(way: &Way) -> Result<Opened, String> {
    let failed = |e: io::Error| format!("{} cannot be read: {e}", way.place.display());
    let file = File::open(&way.place).map_err(failed)?;
    let total = file.metadata().map_err(failed)?.len();
    let position = file.try_clone().map_err(failed)?;
    let stream = match way.wrap {
        Wrap::Age => archive::stream(Age::start(file, way)?).map_err(|e| super::check::read_error(&e))?,
        _ => archive::reader(file).map_err(failed)?,
    };
    Ok(Opened { stream, position, total })
}

/// Why a copy cannot be decrypted, before anything is tried; `None` when it can be.
pub fn cannot_decrypt(identity: Option<&Path>) -> Option<String> {
    let Some(identity) = identity else {
        return Some("it is encrypted by age: set `identity` of the restore to the file with the key".into());
    };
    match File::open(identity) {
        Err(e) => {
            Some(format!("the identity {} cannot be read: {e}: correct `identity` of the restore", identity.display()))
        }
        Ok(_) => None,
    }
}

/// `age -d`, fed by the file itself.
struct Age {
    child: Child,
    out: ChildStdout,
    said: Option<JoinHandle<String>>,
    identity: PathBuf,
    ended: bool,
}

const KEPT: [&str; 5] = ["PATH", "HOME", "TZ", "USER", "MAYDAY_RUNNER"];
/// Kept of what it says.
const SAID: u64 = 4096;

impl Age {
    fn start(file: File, way: &Way) -> Result<Age, String> {
        if let Some(why) = cannot_decrypt(way.identity.as_deref()) {
            return Err(why);
        }
        let identity = way.identity.clone().unwrap_or_default();
        let mut command = Command::new("age");
        command.arg("-d").arg("-i").arg(&identity).stdin(file).stdout(Stdio::piped()).stderr(Stdio::piped());
        let kept = |(name, _): &(std::ffi::OsString, _)| KEPT.iter().any(|k| name == k);
        command.env_clear().envs(std::env::vars_os().filter(kept)).env("LC_ALL", "C");
        // SAFETY: setsid and prctl are async-signal-safe and touch no memory.
        unsafe {
            command.pre_exec(|| {
                // Without a terminal it cannot ask for a passphrase and wait for ever; with its reader gone it ends.
                if libc::setsid() < 0 || libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) != 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let mut child = command.spawn().map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => "it is encrypted by age, which is not in PATH: install age".to_owned(),
            _ => format!("age could not be started: {e}"),
        })?;
        let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
            return Err("age could not be started: it has no output".into());
        };
        let listen = move || {
            let mut said = Vec::new();
            let mut err = err;
            let _ = err.by_ref().take(SAID).read_to_end(&mut said);
            // Whatever more it says must not block it.
            let _ = io::copy(&mut err, &mut io::sink());
            String::from_utf8_lossy(&said).into_owned()
        };
        let said = std::thread::Builder::new().name("age".into()).spawn(listen);
        let said = match said {
            Ok(said) => said,
            Err(e) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("age could not be started: no thread: {e}"));
            }
        };
        Ok(Age { child, out, said: Some(said), identity, ended: false })
    }

    /// Its end: an error unless it is content.
    fn end(&mut self) -> io::Result<()> {
        self.ended = true;
        let status = self.child.wait()?;
        let said = self.said.take().and_then(|s| s.join().ok()).unwrap_or_default();
        if status.success() {
            return Ok(());
        }
        let line = said.lines().find(|l| l.contains("error:")).or(said.lines().next()).unwrap_or("nothing");
        let line = line.trim_start_matches("age: error: ");
        let why = if line.contains("no identity matched") {
            format!("it was not encrypted for the key in {}: set `identity` to another one", self.identity.display())
        } else if line.contains("passphrase") || line.contains("terminal") || line.contains("scrypt") {
            "it was encrypted with a passphrase, which age asks for on a terminal only: decrypt it by hand first".into()
        } else if line.contains("unexpected EOF") || line.contains("EOF") {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is cut off"));
        } else {
            format!("age cannot decrypt it ({})", text::clean(line))
        };
        Err(io::Error::other(Refused(why)))
    }
}

/// Not a damage, as other errors while reading are.
#[derive(Debug)]
pub struct Refused(pub String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl Read for Age {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        match self.out.read(buffer) {
            Ok(0) if !buffer.is_empty() => self.end().map(|()| 0),
            other => other,
        }
    }
}

impl Drop for Age {
    fn drop(&mut self) {
        if !self.ended {
            let _ = proc::kill_group(i32::try_from(self.child.id()).unwrap_or(i32::MAX), libc::SIGKILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
