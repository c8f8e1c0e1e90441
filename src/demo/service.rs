//! One service of the sandbox: started detached, known by its pid file, stopped, broken.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::web;
use crate::sys::{disk, proc};

/// Name of the sandbox's own settings file.
pub const SETTINGS: &str = "sandbox.json";

/// How the programs of a sandbox are started.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Settings {
    /// `mayday` itself.
    pub exe: PathBuf,
    pub api_port: u16,
    pub web_port: u16,
    pub postgres: Option<Server>,
    pub redis: Option<Server>,
}

/// A server of somebody else's.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Server {
    pub argv: Vec<String>,
    pub port: u16,
    /// Not root: PostgreSQL refuses it.
    pub uid: Option<(u32, u32)>,
    pub dsn: String,
    pub version: String,
}

impl Settings {
    pub fn read(dir: &Path) -> io::Result<Settings> {
        serde_json::from_slice(&fs::read(dir.join(SETTINGS))?).map_err(io::Error::other)
    }

    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        disk::write_atomic(&dir.join(SETTINGS), &bytes, 0o600)
    }
}

/// `mayday demo-service VERB DIR NAME`. Gives what was done, for the run's output.
pub fn run(verb: &str, dir: &Path, name: &str) -> io::Result<String> {
    let settings = Settings::read(dir)?;
    match verb {
        "serve" => serve(dir, &settings, name).map(|()| String::new()),
        "start" => start(dir, &settings, name),
        "stop" => stop(dir, name),
        "restart" => {
            let stopped = stop(dir, name)?;
            Ok(format!("{stopped}\n{}", start(dir, &settings, name)?))
        }
        "break" => break_it(dir, &settings, name),
        other => Err(io::Error::other(format!("demo-service: there is no verb {other}"))),
    }
}

fn serve(dir: &Path, settings: &Settings, name: &str) -> io::Result<()> {
    let port = if name == "api" { settings.api_port } else { settings.web_port };
    let setting = web::Setting {
        dir: dir.to_owned(),
        port,
        database: settings.postgres.as_ref().map(|p| p.dsn.clone()),
        api: format!("127.0.0.1:{}", settings.api_port),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(web::serve(name, setting))
}

fn pid_file(dir: &Path, name: &str) -> PathBuf {
    dir.join("pids").join(name)
}

/// The process of a service, if it is there. A pid that belongs to another process by now is not.
pub fn process(dir: &Path, name: &str) -> Option<Pid> {
    let text = fs::read_to_string(pid_file(dir, name)).ok()?;
    let (pid, began) = text.trim().split_once(' ')?;
    let (pid, began): (i32, u64) = (pid.parse().ok()?, began.parse().ok()?);
    if !proc::is_alive(pid, began) {
        return None;
    }
    Pid::from_raw(pid)
}

/// Starts a service unless it runs, in a session of its own: it outlives whoever started it.
pub fn start(dir: &Path, settings: &Settings, name: &str) -> io::Result<String> {
    if process(dir, name).is_some() {
        return Ok(format!("{name} runs already"));
    }
    let _ = fs::remove_file(dir.join(web::SLOW));
    let (argv, uid) = match name {
        "api" | "web" => {
            let exe = settings.exe.display().to_string();
            (vec![exe, "demo-service".into(), "serve".into(), dir.display().to_string(), name.into()], None)
        }
        "postgres" => settings.postgres.as_ref().map(|s| (s.argv.clone(), s.uid)).unwrap_or_default(),
        "redis" => settings.redis.as_ref().map(|s| (s.argv.clone(), s.uid)).unwrap_or_default(),
        _ => (Vec::new(), None),
    };
    let Some((program, rest)) = argv.split_first() else {
        return Err(io::Error::other(format!("there is no service {name} in this sandbox")));
    };
    let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("logs").join(name))?;
    let mut command = Command::new(program);
    command.args(rest).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).current_dir(dir).process_group(0);
    if let Some((uid, gid)) = uid {
        command.uid(uid).gid(gid);
    }
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let began = proc::pid_start_time(pid).unwrap_or(0);
    disk::write_atomic(&pid_file(dir, name), format!("{pid} {began}\n").as_bytes(), 0o644)?;
    Ok(format!("{name} started as process {pid}"))
}

/// Stops a service: TERM (for PostgreSQL its fast shutdown), then KILL after three seconds.
pub fn stop(dir: &Path, name: &str) -> io::Result<String> {
    let Some(pid) = process(dir, name) else { return Ok(format!("{name} does not run")) };
    let gently = if name == "postgres" { Signal::INT } else { Signal::TERM };
    let _ = kill_process(pid, Signal::CONT);
    let _ = kill_process(pid, gently);
    let begun = Instant::now();
    while process(dir, name).is_some() {
        if begun.elapsed() > Duration::from_secs(3) {
            let _ = kill_process(pid, Signal::KILL);
        }
        if begun.elapsed() > Duration::from_secs(8) {
            return Err(io::Error::other(format!("{name} (process {}) does not end", pid.as_raw_nonzero())));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(format!("{name} stopped"))
}

/// What can be broken, each with what the menu says of it.
pub const FAULTS: &[(&str, &str)] = &[
    ("kill-api", "kill the API: restart it with r"),
    ("hang-web", "hang the web front end: restart it with r"),
    ("slow-api", "make the API slow: restart it with r"),
    ("delete-documents", "delete all documents: restore them with R"),
    ("drop-table", "drop the table orders: restore the database with R"),
    ("stop-redis", "stop Redis: start it again with r"),
];

/// Whether a fault can be made in this sandbox.
pub fn can_break(settings: &Settings, fault: &str) -> bool {
    match fault {
        "drop-table" => settings.postgres.is_some(),
        "stop-redis" => settings.redis.is_some(),
        _ => true,
    }
}

fn break_it(dir: &Path, settings: &Settings, fault: &str) -> io::Result<String> {
    let signal = |name: &str, signal: Signal, done: &str| match process(dir, name) {
        Some(pid) => {
            kill_process(pid, signal)?;
            Ok(done.to_owned())
        }
        None => Err(io::Error::other(format!("{name} does not run: repair it first"))),
    };
    match fault {
        "kill-api" => signal("api", Signal::KILL, "the API was killed"),
        "hang-web" => signal("web", Signal::STOP, "the web front end hangs"),
        "slow-api" => {
            fs::write(dir.join(web::SLOW), "")?;
            Ok("the API is slow from now on".into())
        }
        "delete-documents" => {
            let mut gone = 0;
            for entry in fs::read_dir(dir.join("documents"))? {
                fs::remove_file(entry?.path())?;
                gone += 1;
            }
            Ok(format!("{gone} documents were deleted"))
        }
        "drop-table" => {
            let server = settings.postgres.as_ref().ok_or_else(|| io::Error::other("there is no PostgreSQL here"))?;
            super::servers::execute(&server.dsn, "drop table orders")?;
            Ok("the table orders was dropped".into())
        }
        "stop-redis" => stop(dir, "redis"),
        other => Err(io::Error::other(format!("there is no fault {other}"))),
    }
}
