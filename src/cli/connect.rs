//! Finding the configuration and the engine, and starting an engine where none runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::args::Global;
use super::exit::Failure;
use crate::domain::Access;
use crate::wire::client::{Client, ConnectError, EngineFile};

/// How long an engine may take to say hello.
pub const CONNECT: Duration = Duration::from_secs(5);
/// How long a new engine may take to listen.
const START: Duration = Duration::from_secs(15);

/// How long whoever holds the lock may take to answer before ours is started again.
const REFUSED_FOR: Duration = Duration::from_millis(300);

/// What a command needs to know of its surroundings.
#[derive(Clone, Debug)]
pub struct Place {
    pub state_dir: PathBuf,
    /// The configuration's file, where there is one.
    pub config: Option<PathBuf>,
    /// Why the configuration does not read; the engine then uses the last good one.
    pub faults: Vec<String>,
}

/// Finds configuration and state directory. An explicit state directory needs no configuration at all. Errors: nothing
/// found, or several systems to choose from.
pub fn place(global: &Global) -> Result<Place, Failure> {
    let env = crate::config::Env::of_process();
    let stated = global.state_dir.clone().or_else(|| std::env::var_os("MAYDAY_STATE_DIR").map(PathBuf::from));
    let found = match crate::config::find(global.config.as_deref()) {
        Ok(crate::config::Located::One(path)) => Some(path),
        Ok(crate::config::Located::Several(found)) => {
            if stated.is_none() {
                let line = |c: &crate::config::Candidate| {
                    format!("  --config {}  ({})", c.path.display(), c.system.as_deref().unwrap_or("unreadable"))
                };
                let list = found.iter().map(line).collect::<Vec<_>>().join("\n");
                return Err(Failure::usage(format!("several systems are configured; choose one:\n{list}")));
            }
            None
        }
        Err(missing) => {
            if global.config.is_some() || stated.is_none() {
                return Err(Failure::usage(missing.to_string()));
            }
            None
        }
    };
    let (state_dir, faults) = match &found {
        None => (stated.clone(), Vec::new()),
        Some(path) => match crate::config::load(path) {
            Ok(config) => (Some(stated.clone().unwrap_or_else(|| crate::config::state_dir(&config, &env))), Vec::new()),
            Err(faults) => {
                // A typo must not keep the cockpit shut: the folder is found by what can still be read.
                let dir = stated.clone().or_else(|| crate::config::state_dir_of_broken(path, &env));
                (dir, faults.iter().map(ToString::to_string).collect())
            }
        },
    };
    let Some(state_dir) = state_dir else {
        return Err(Failure::failed(format!(
            "the configuration does not read, so the state directory is unknown:\n{}\nmend it, or give --state-dir",
            faults.join("\n")
        )));
    };
    // The engine runs elsewhere, so what is relative here would be another folder there.
    let state_dir = std::path::absolute(&state_dir)
        .map_err(|e| Failure::failed(format!("find the state directory {}: {e}", state_dir.display())))?;
    Ok(Place { state_dir, config: found, faults })
}

/// Connects, and starts the engine first where none runs.
pub async fn attach(place: &Place, client: &str, access: Access) -> Result<Client, Failure> {
    match Client::connect(&place.state_dir, client, access, CONNECT).await {
        Ok(client) => Ok(client),
        Err(ConnectError::NotRunning(_) | ConnectError::Stale { .. }) => {
            start_engine(place).await?;
            Ok(Client::connect(&place.state_dir, client, access, CONNECT).await?)
        }
        Err(e) => Err(e.into()),
    }
}

/// Connects to a running engine; does not start one.
pub async fn reach(place: &Place, access: Access) -> Result<Client, Failure> {
    Ok(Client::connect(&place.state_dir, "command", access, CONNECT).await?)
}

/// The arguments by which a program of this version reaches the same place.
pub fn place_args(place: &Place) -> Vec<std::ffi::OsString> {
    let mut args: Vec<std::ffi::OsString> = vec!["--state-dir".into(), place.state_dir.clone().into()];
    if let Some(config) = &place.config {
        args.push("--config".into());
        args.push(std::fs::canonicalize(config).unwrap_or_else(|_| config.clone()).into());
    }
    args
}

/// Starts an engine that outlives this terminal, and waits until it listens.
pub async fn start_engine(place: &Place) -> Result<(), Failure> {
    let exe = std::env::current_exe().map_err(|e| Failure::failed(format!("cannot find mayday's own program: {e}")))?;
    let spawn = || {
        Command::new(&exe)
            .args(["engine", "run", "--detached"])
            .args(place_args(place))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| Failure::failed(format!("start {}: {e}", exe.display())))
    };
    let mut child = spawn()?;
    let begun = Instant::now();
    let mut ended = None;
    let mut refused_at: Option<Instant> = None;
    loop {
        match Client::connect(&place.state_dir, "command", Access::ReadOnly, CONNECT).await {
            Ok(_) => return Ok(()),
            Err(e @ (ConnectError::Forbidden { .. } | ConnectError::Refused { .. })) => return Err(e.into()),
            Err(_) => {}
        }
        if ended.is_none()
            && let Ok(Some(status)) = child.try_wait()
        {
            ended = Some(status);
            // Another engine was quicker and holds the lock: ours has ended, and theirs will answer in a moment.
            if status.code() == Some(i32::from(super::exit::REFUSED)) {
                refused_at = Some(Instant::now());
                continue;
            }
            if Client::connect(&place.state_dir, "command", Access::ReadOnly, CONNECT).await.is_ok() {
                return Ok(());
            }
            let mut said = String::new();
            if let Some(mut stderr) = child.stderr.take() {
                use std::io::Read;
                let _ = stderr.by_ref().take(8192).read_to_string(&mut said);
            }
            let said = crate::text::clean_lines(said.trim(), 400);
            return Err(Failure::failed(format!("the engine ended at once ({status}): {said}")));
        }
        // Nobody answers: the one that held the lock was about to die, so ours has another try.
        if refused_at.is_some_and(|at| at.elapsed() > REFUSED_FOR) {
            (child, ended, refused_at) = (spawn()?, None, None);
        }
        if begun.elapsed() > START {
            return Err(Failure::failed(format!(
                "the engine does not listen after {} s; look into {}",
                START.as_secs(),
                place.state_dir.join("engine.log").display()
            )));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The engine file of a state directory, for messages.
pub fn known_engine(state_dir: &Path) -> Option<EngineFile> {
    EngineFile::read(state_dir).ok().flatten()
}
