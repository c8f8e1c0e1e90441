//! A scratch server: in a folder of its own, on a free port of loopback, with a password, without persistence, as a user
//! without rights. It is no part of the run that starts it: it outlives the runner on purpose, and is found again by the
//! folder it works in.
//!
//! `side.json` in the folder says what the folder is, and says *ready* only as the last thing.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::client::{Conn, Info, Target};
use crate::recovery::exec::procs;
use crate::recovery::op::{OpContext, OpError};
use crate::sys::{disk, peer};
use crate::text;

pub const NOTE: &str = "side.json";
pub const DUMP: &str = "dump.rdb";
const CONF: &str = "redis.conf";
const PASSWORD: &str = "password";
const LOG: &str = "server.log";

/// Where a folder is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Being made: whoever finds it without its run removes it.
    Incomplete,
    /// Its `dump.rdb` is whole and was verified.
    Ready,
    /// Its `dump.rdb` is what was live before.
    Kept,
    /// Its `keys.jsonl` is what single keys were before.
    Keys,
}

/// Who a server runs as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAs {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

impl RunAs {
    /// Nobody else for a user without rights; for root the configured user, `redis` or `nobody`.
    pub fn choose(configured: Option<&str>) -> Result<Option<RunAs>, String> {
        if peer::current_uid() != 0 {
            let own = peer::user_name(peer::current_uid());
            return match configured {
                Some(name) if name != own => {
                    Err(format!("this is {own} and may not start servers as {name}: leave `user` out"))
                }
                _ => Ok(None),
            };
        }
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let find = |name: &str| {
            let line = passwd.lines().find(|l| l.split(':').next() == Some(name))?;
            let mut ids = line.split(':').skip(2).map(str::parse::<u32>);
            Some(RunAs { name: name.to_owned(), uid: ids.next()?.ok()?, gid: ids.next()?.ok()? })
        };
        let found = match configured {
            Some(name) => find(name),
            None => find("redis").or_else(|| find("nobody")),
        };
        match found {
            Some(user) if user.uid != 0 => Ok(Some(user)),
            Some(_) => Err("a scratch server does not run as root: set `user` of the restore".into()),
            None => {
                let name = configured.unwrap_or("nobody");
                Err(format!("there is no user {name} on this host: set `user` of the restore"))
            }
        }
    }
}

/// `side.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Note {
    pub run: String,
    pub live: String,
    pub stage: Stage,
    pub program: PathBuf,
    #[serde(default)]
    pub port: u16,
    #[serde(default)]
    pub user: Option<RunAs>,
    /// Addresses beside loopback that it listens on.
    #[serde(default)]
    pub bind: Vec<String>,
    /// As many as the live server has: what does not fit there must not be found out there.
    pub databases: u32,
    /// Keys per database when it was verified or kept.
    #[serde(default)]
    pub counts: BTreeMap<u32, u64>,
}

impl Note {
    pub fn read(folder: &Path) -> Option<Note> {
        serde_json::from_slice(&std::fs::read(folder.join(NOTE)).ok()?).ok()
    }

    pub fn write(&self, folder: &Path) -> Result<(), String> {
        let text = serde_json::to_vec_pretty(self).map_err(|e| e.to_string())?;
        disk::write_atomic(&folder.join(NOTE), &text, 0o600)
            .map_err(|e| format!("{}: {e}", folder.join(NOTE).display()))
    }
}

/// Makes the folder with its note. It must not exist.
pub fn create(folder: &Path, note: &Note) -> Result<(), String> {
    use std::os::unix::fs::DirBuilderExt;
    let failed = |e: io::Error| format!("{}: {e}", folder.display());
    if let Some(parent) = folder.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(failed)?;
    }
    std::fs::DirBuilder::new().mode(0o700).create(folder).map_err(failed)?;
    own(folder, note.user.as_ref()).map_err(failed)?;
    note.write(folder)
}

/// Gives a file to the user that the server runs as.
pub fn own(path: &Path, user: Option<&RunAs>) -> io::Result<()> {
    match user {
        Some(user) => std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid)),
        None => Ok(()),
    }
}

/// A new file of the server's in its folder.
pub fn file(folder: &Path, name: &str, user: Option<&RunAs>) -> Result<std::fs::File, String> {
    let path = folder.join(name);
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let made = made.map_err(|e| format!("{}: {e}", path.display()))?;
    own(&path, user).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(made)
}

fn random() -> Result<SecretString, String> {
    let mut bytes = [0u8; 24];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes));
    read.map_err(|e| format!("no random numbers: {e}"))?;
    Ok(SecretString::from(hex::encode(bytes)))
}

/// A port that nobody has now.
fn free_port() -> Result<u16, String> {
    let probe = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr());
    probe.map(|a| a.port()).map_err(|e| format!("no free port: {e}"))
}

/// Lines of the configuration for loading an append-only file.
pub struct Append {
    /// Name of the file, or of the manifest without its ending.
    pub name: String,
    /// Folder of the manifest.
    pub dir: Option<String>,
}

/// Starts a server on the folder and waits until it has loaded. Cancelled or failed, it is ended again.
pub async fn start(
    folder: &Path,
    note: &mut Note,
    append: Option<&Append>,
    ctx: &OpContext,
) -> Result<Target, OpError> {
    let failed = |why: String| OpError::Failed(format!("start a scratch server in {}: {why}", folder.display()));
    let mut last = String::new();
    // Between looking for a port and taking it, somebody else may.
    for _ in 0..3 {
        note.port = free_port().map_err(failed)?;
        let password = random().map_err(failed)?;
        configure(folder, note, append, &password).map_err(failed)?;
        note.write(folder).map_err(failed)?;
        spawn(folder, note).map_err(failed)?;
        let target = Target::scratch(note.port, password);
        match loaded(folder, note, &target, ctx).await {
            Ok(()) => return Ok(target),
            Err(OpError::Failed(why)) if why.contains("Address already in use") => last = why,
            Err(e) => {
                end(folder).await;
                return Err(e);
            }
        }
    }
    Err(failed(last))
}

fn configure(folder: &Path, note: &Note, append: Option<&Append>, password: &SecretString) -> Result<(), String> {
    let quoted = |t: &str| format!("\"{}\"", t.replace('\\', "\\\\").replace('"', "\\\""));
    let mut bind = vec!["127.0.0.1".to_owned()];
    bind.extend(note.bind.iter().cloned());
    let mut lines = vec![
        format!("bind {}", bind.join(" ")),
        format!("port {}", note.port),
        "protected-mode yes".into(),
        format!("requirepass {}", password.expose_secret()),
        format!("dir {}", quoted(&folder.display().to_string())),
        format!("dbfilename {DUMP}"),
        "save \"\"".into(),
        "daemonize no".into(),
        format!("logfile {}", quoted(&folder.join(LOG).display().to_string())),
        format!("databases {}", note.databases),
        "repl-diskless-sync yes".into(),
        "repl-diskless-sync-delay 0".into(),
        // The replication id stays what it is for as long as it may be asked for.
        "repl-backlog-ttl 0".into(),
    ];
    match append {
        None => lines.push("appendonly no".into()),
        Some(append) => {
            lines.push("appendonly yes".into());
            lines.push("aof-load-truncated no".into());
            lines.push(format!("appendfilename {}", quoted(&append.name)));
            lines.extend(append.dir.as_ref().map(|d| format!("appenddirname {}", quoted(d))));
        }
    }
    for (name, text) in [(CONF, lines.join("\n") + "\n"), (PASSWORD, password.expose_secret().to_owned())] {
        let path = folder.join(name);
        let _ = std::fs::remove_file(&path);
        let mut made = file(folder, name, note.user.as_ref())?;
        made.write_all(text.as_bytes()).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let _ = std::fs::remove_file(folder.join(LOG));
    Ok(())
}

fn spawn(folder: &Path, note: &Note) -> Result<(), String> {
    let mut command = Command::new(&note.program);
    command.arg(folder.join(CONF)).current_dir(folder).env_clear().env("LC_ALL", "C");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(user) = &note.user {
        // As root this clears the list of groups too.
        command.uid(user.uid).gid(user.gid);
    }
    // SAFETY: two plain system calls between fork and exec. A session of its own, so that it does not end with this run.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            // Steps ignore this signal; a server is not to inherit that.
            libc::signal(libc::SIGXFSZ, libc::SIG_DFL);
            Ok(())
        });
    }
    let mut child = command.spawn().map_err(|e| format!("{}: {e}", note.program.display()))?;
    // Somebody has to wait for it while this process lives; it outlives that.
    let waits = std::thread::Builder::new().name("scratch server".into()).spawn(move || child.wait());
    waits.map(drop).map_err(|e| e.to_string())
}

/// Waits until it answers and has loaded, telling how far it is.
async fn loaded(folder: &Path, note: &Note, target: &Target, ctx: &OpContext) -> Result<(), OpError> {
    let began = Instant::now();
    let mut seen = false;
    loop {
        if ctx.cancel.is_cancelled() {
            return Err(OpError::Cancelled);
        }
        let answer = match Conn::open(target).await {
            Ok(mut conn) => conn.info().await.ok(),
            Err(_) => None,
        };
        if let Some(info) = answer {
            if info.number("process_id") != 0 && find(folder).iter().all(|p| p.pid.unsigned_abs() != pid(&info)) {
                return Err(OpError::Failed("Address already in use".into()));
            }
            if info.get("loading") != "1" {
                return Ok(());
            }
            let (done, total) = (info.number("loading_loaded_bytes"), info.number("loading_total_bytes"));
            ctx.sink.progress(done, total.max(done), "loading into the scratch server");
        }
        let running = !find(folder).is_empty();
        seen |= running;
        if !running && (seen || began.elapsed() > Duration::from_secs(5)) {
            let why = explain(folder);
            return Err(OpError::Failed(format!("{} in {}: {why}", note.program.display(), folder.display())));
        }
        if !seen && began.elapsed() > Duration::from_secs(10) {
            return Err(OpError::Failed(format!("{} does not start", note.program.display())));
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

fn pid(info: &Info) -> u32 {
    u32::try_from(info.number("process_id")).unwrap_or(0)
}

/// The servers that work in a folder: one, or none.
pub fn find(folder: &Path) -> Vec<procs::Process> {
    let (Ok(real), Some(note)) = (folder.canonicalize(), Note::read(folder)) else { return Vec::new() };
    let name = note.program.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String = name.chars().take(15).collect();
    let here = |p: &procs::Process| {
        p.name == name && std::fs::read_link(format!("/proc/{}/cwd", p.pid)).is_ok_and(|cwd| cwd == real)
    };
    procs::list().into_iter().filter(here).collect()
}

/// The server of a folder, where it runs.
pub async fn running(folder: &Path) -> Option<Target> {
    let note = Note::read(folder)?;
    let password = std::fs::read_to_string(folder.join(PASSWORD)).ok()?;
    if find(folder).is_empty() {
        return None;
    }
    let target = Target::scratch(note.port, password.trim().to_owned().into());
    let mut conn = Conn::open(&target).await.ok()?;
    let info = conn.info().await.ok()?;
    // Whoever answers there must be the one that works here.
    let here = find(folder).iter().any(|p| p.pid.unsigned_abs() == pid(&info));
    (here && info.get("loading") != "1").then_some(target)
}

/// Ends the server of a folder and waits until it is gone.
pub async fn end(folder: &Path) {
    for (patience, kill) in [(Duration::from_secs(5), false), (Duration::from_secs(10), true)] {
        for process in find(folder) {
            let _ = if kill { procs::kill(&process) } else { procs::terminate(&process) };
        }
        let until = Instant::now() + patience;
        while !find(folder).is_empty() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if find(folder).is_empty() {
            return;
        }
    }
}

/// Ends the server of a folder and removes the folder. Safe to call again.
pub async fn remove(folder: &Path) -> Result<(), String> {
    if folder.symlink_metadata().is_err() {
        return Ok(());
    }
    if Note::read(folder).is_none() && std::fs::read_dir(folder).is_ok_and(|mut d| d.next().is_some()) {
        return Err(format!("{} has no {NOTE}: look at it and remove it by hand", folder.display()));
    }
    end(folder).await;
    // Without its note nobody takes it for a copy; and it goes first.
    let _ = std::fs::remove_file(folder.join(DUMP));
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(format!("remove {}: {e}: remove it by hand", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Why a server ended, in its own words, and what to do.
pub fn explain(folder: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut log = std::fs::File::open(folder.join(LOG))?;
        let length = log.metadata()?.len();
        log.seek(SeekFrom::Start(length.saturating_sub(16 << 10)))?;
        let mut bytes = Vec::new();
        log.take(16 << 10).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let log = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
    let message = |l: &str| l.split_once(" # ").map(|(_, m)| m.trim().to_owned());
    let noise = ["WARNING", "Redis is starting", "Redis version=", "Configuration loaded", "Server initialized"];
    let said: Vec<String> =
        log.lines().filter_map(message).filter(|m| !noise.iter().any(|n| m.contains(n)) && !m.is_empty()).collect();
    let Some(first) = said.iter().find(|m| m.contains("Can't handle")).or(said.last()) else {
        return "it ended without a word: is there memory enough?".into();
    };
    let any = |what: &[&str]| what.iter().any(|w| log.contains(w));
    let advice = if any(&["Can't handle RDB format"]) {
        ": this redis-server is too old for the copy: install a newer one, or choose another copy"
    } else if any(&["configured to handle more than"]) {
        ": the copy has databases that the live server does not: raise `databases` there"
    } else if any(&["module"]) {
        ": the copy needs a module that is not loaded here: restore it by hand"
    } else if any(&["Out of memory", "Can't allocate", "Out Of Memory"]) {
        ": it takes more memory than there is: free some, or restore on another host"
    } else if any(&["Permission denied", "Can't chdir"]) {
        ": its user may not enter the folder: set `directory` of the restore to one that it may"
    } else if any(&["end of file", "Short read", "CRC", "Bad file format", "corrupt"]) {
        ": the copy is damaged: choose another one"
    } else {
        ""
    };
    format!("{}{advice}", text::clean(first))
}
