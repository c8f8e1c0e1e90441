//! The state folder and the engine's socket.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::in_thread;
use super::{Finding, Place};
use crate::sys::{disk, peer, proc};
use crate::text;
use crate::wire::client::EngineFile;

/// Space below which the journal's reserve and the output of a few runs do not fit.
const LEAST_SPACE: u64 = 256 << 20;
const LEAST_INODES: u64 = 1000;
/// Longest path of a Unix socket (unix(7): 108 bytes with the closing zero).
const SOCKET_LIMIT: usize = 107;
/// `mayday/`, twelve digits, `.sock`, and the slashes before and between.
const SOCKET_BELOW_RUNTIME: usize = 25;

/// Permissions, owner and space of the state folder.
pub async fn state(place: &Place<'_>) -> Vec<Finding> {
    let dir = place.state_dir.clone();
    let shared = place.config.is_some_and(|c| c.engine.group.is_some());
    let looked = in_thread(place.host.limit, move || look(&dir, shared)).await;
    looked.unwrap_or_else(|| {
        let what = format!("the state folder {} does not answer", place.state_dir.display());
        vec![Finding::bad("state", what, "put it on a local disk: [engine] state_dir, or MAYDAY_STATE_DIR")]
    })
}

fn look(dir: &Path, shared: bool) -> Vec<Finding> {
    const AREA: &str = "state";
    let mut out = Vec::new();
    let shown = dir.display();
    let exists = match fs::metadata(dir) {
        Ok(meta) if meta.is_dir() => {
            out.push(permissions(dir, &meta, shared));
            true
        }
        Ok(_) => {
            let what = format!("the state folder {shown} is a file");
            return vec![Finding::bad(AREA, what, "move it away, or set [engine] state_dir")];
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => false,
        Err(e) => {
            let what = format!("the state folder {shown} cannot be entered: {e}");
            return vec![Finding::bad(AREA, what, "let the engine's user enter every folder above it")];
        }
    };
    // What does not exist yet will be made in the nearest folder that does.
    let Some(base) = dir.ancestors().find(|a| a.is_dir()) else { return out };
    let me = peer::user_name(peer::current_uid());
    match rustix::fs::access(base, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK) {
        Ok(()) if exists => {}
        Ok(()) => {
            out.push(Finding::good(AREA, format!("{shown} does not exist yet and can be made in {}", base.display())))
        }
        Err(e) => out.push(Finding::bad(
            AREA,
            format!("{me} may not write in {}: {}", base.display(), io::Error::from(e)),
            "start the engine as the folder's owner, or set [engine] state_dir or MAYDAY_STATE_DIR",
        )),
    }
    match disk::space(base) {
        Ok(space) => out.push(room(base, &space)),
        Err(e) => out.push(Finding::warning(AREA, format!("free space of {} is not known: {e}", base.display()), "")),
    }
    if disk::is_network_fs(base).unwrap_or(false) {
        out.push(Finding::warning(
            AREA,
            format!("{} lies on a network file system: the record stops when that does", base.display()),
            "put the state folder on a local disk; [journal] mirror can copy the record elsewhere",
        ));
    }
    out
}

fn permissions(dir: &Path, meta: &fs::Metadata, shared: bool) -> Finding {
    const AREA: &str = "state";
    let (mode, shown) = (meta.mode() & 0o7777, dir.display());
    let owner = peer::user_name(meta.uid());
    // 2750 for a shared engine, 0700 for a private one.
    let too_open = if shared { mode & 0o027 } else { mode & 0o077 };
    if meta.uid() != peer::current_uid() && !shared {
        let me = peer::user_name(peer::current_uid());
        let what = format!("{shown} belongs to {owner}, and you are {me}");
        return Finding::warning(AREA, what, "an engine of your own needs a state folder of your own");
    }
    if too_open != 0 {
        let right = if shared { "2750" } else { "700" };
        let what = format!("{shown} is open to others (mode {mode:o}): the record of incidents is in it");
        return Finding::warning(AREA, what, format!("chmod {right} {}", text::shell_word(&dir.to_string_lossy())));
    }
    Finding::good(AREA, format!("{shown}, owner {owner}, mode {mode:o}"))
}

fn room(base: &Path, space: &disk::Space) -> Finding {
    const AREA: &str = "state";
    let shown = base.display();
    let free = format!("{} of {} free", text::size(space.free), text::size(space.total));
    let few_inodes = space.inodes_total > 0 && space.inodes_free < LEAST_INODES;
    if space.read_only {
        return Finding::bad(AREA, format!("{shown} is mounted read-only"), "remount it, or set [engine] state_dir");
    }
    if space.free < LEAST_SPACE || few_inodes {
        let inodes = if few_inodes { format!(", {} inodes free", space.inodes_free) } else { String::new() };
        let advice = format!("keep {} and {LEAST_INODES} inodes free for the record", text::size(LEAST_SPACE));
        return Finding::bad(AREA, format!("{shown} is nearly full: {free}{inodes}"), advice);
    }
    if space.free < space.total / 20 {
        return Finding::warning(AREA, format!("{shown}: {free}"), "less than a twentieth is left");
    }
    Finding::good(AREA, format!("{shown}: {free}"))
}

/// Whether an engine runs, and whether its socket can be.
pub async fn engine(place: &Place<'_>) -> Vec<Finding> {
    const AREA: &str = "engine";
    let mut out = Vec::new();
    let runtime = place.var("XDG_RUNTIME_DIR").map(PathBuf::from);
    let in_state = place.state_dir.as_os_str().len() + "/engine.sock".len();
    let in_runtime = runtime.as_ref().map(|r| r.as_os_str().len() + SOCKET_BELOW_RUNTIME);
    if in_state > SOCKET_LIMIT && in_runtime.is_none_or(|n| n > SOCKET_LIMIT) {
        out.push(Finding::bad(
            AREA,
            format!("no socket fits: its path in the state folder has {in_state} bytes, {SOCKET_LIMIT} are the most"),
            "set XDG_RUNTIME_DIR, [engine] state_dir or MAYDAY_STATE_DIR to a shorter path",
        ));
    }
    if let Some(runtime) = &runtime
        && !runtime.is_dir()
    {
        out.push(Finding::note(
            AREA,
            format!("XDG_RUNTIME_DIR is {}, which does not exist", runtime.display()),
            "the socket is then in the state folder; su and sudo often leave it set to somebody else's",
        ));
    }
    let dir = place.state_dir.clone();
    let file = in_thread(place.host.limit, move || EngineFile::read(&dir)).await;
    let Some(file) = file else { return out };
    match file {
        Ok(None) => out.push(Finding::note(AREA, "no engine runs", "mayday starts one")),
        Err(e) => {
            let what = format!("{} cannot be read: {e}", EngineFile::NAME);
            out.push(Finding::warning(AREA, what, "is the engine another user's? Starting a new one writes it anew"));
        }
        Ok(Some(file)) => out.push(running(place, &file).await),
    }
    out
}

async fn running(place: &Place<'_>, file: &EngineFile) -> Finding {
    const AREA: &str = "engine";
    let who = format!("pid {}, version {}", file.pid, text::clean(&file.version));
    let socket = file.socket.display();
    let connect = tokio::net::UnixStream::connect(&file.socket);
    match tokio::time::timeout(place.host.limit, connect).await {
        Ok(Ok(_)) if file.version != env!("CARGO_PKG_VERSION") => Finding::note(
            AREA,
            format!("an engine runs ({who}), and this is version {}", env!("CARGO_PKG_VERSION")),
            "restart the engine when no incident is open",
        ),
        Ok(Ok(_)) => Finding::good(AREA, format!("an engine runs ({who}) at {socket}")),
        Ok(Err(e)) if e.kind() == io::ErrorKind::PermissionDenied => Finding::bad(
            AREA,
            format!("an engine runs ({who}) and its socket {socket} may not be used by you"),
            "be a member of the group in [engine] group, and log in again after you became one",
        ),
        Ok(Err(e)) => {
            let alive = i32::try_from(file.pid).ok().and_then(proc::pid_start_time).is_some();
            let what = format!("the engine that was here ({who}) does not answer at {socket}: {e}");
            let advice = if alive {
                "a process of that number exists: look at engine.log in the state folder"
            } else {
                "it is gone; mayday starts another one"
            };
            Finding::warning(AREA, what, advice)
        }
        Err(_) => Finding::bad(
            AREA,
            format!("the engine ({who}) does not answer at {socket}"),
            "look at engine.log in the state folder; a stopped process is continued with kill -CONT",
        ),
    }
}
