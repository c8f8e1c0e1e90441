//! What a side cluster needs of this host: programs, a folder, rights, room, a port.

use std::path::{Path, PathBuf};

use super::super::pitr::archive::Source;
use super::super::pitr::user::User;
use super::super::pitr::{conf, state};
use super::pitr_look::Found;
use super::{Draft, Say, disk};
use crate::config::{Backup, PitrRestore};
use crate::recovery::plan::PlanContext;
use crate::recovery::plan::look::Tools;
use crate::sys::pg::programs;
use crate::sys::pg::{Endpoint, PgTarget};
use crate::text;

/// Log that lies in a data folder at a time: the server recycles what it has replayed.
const LOG_KEPT: u64 = 3 << 30;
/// Below this a target that is not reached promotes the server without a word.
const OLDEST: u32 = 13;

/// Versions by the mark on every page of their log (`XLOG_PAGE_MAGIC`).
pub fn of_magic(magic: u16) -> Option<u32> {
    match magic {
        0xD106 => Some(13),
        0xD10D => Some(14),
        0xD110 => Some(15),
        0xD113 => Some(16),
        0xD116 => Some(17),
        0xD118 => Some(18),
        _ => None,
    }
}

/// The server's programs, of exactly the version that wrote the files.
pub async fn programs(draft: &mut Draft<'_>, ctx: &PlanContext, major: u32) -> PathBuf {
    let found = programs::find("postgres", ctx.tool_path.as_deref()).await;
    let name = "server programs";
    let there: Vec<String> = found.iter().map(|t| t.major.to_string()).collect();
    let there = if there.is_empty() { "none at all".into() } else { there.join(", ") };
    if major == 0 {
        draft.fail(name, "which version the base backup is of is not known: choose another copy");
        return PathBuf::new();
    }
    if major < OLDEST {
        draft
            .fail(name, format!("PostgreSQL {major} promotes itself at a gap in the log: restore to a moment by hand"));
        return PathBuf::new();
    }
    let Some(tool) = found.iter().find(|t| t.major == major) else {
        draft.fail(
            name,
            format!("the base backup is of PostgreSQL {major}, and this host has {there}: install postgresql-{major}"),
        );
        return PathBuf::new();
    };
    let folder = tool.path.parent().map(Path::to_path_buf).unwrap_or_default();
    let lacking: Vec<&str> = ["pg_controldata"].into_iter().filter(|p| !folder.join(p).is_file()).collect();
    match lacking.is_empty() {
        true => draft.pass(name, tool.said.clone()),
        false => {
            draft.fail(name, format!("{} has no {}: install postgresql-{major}", folder.display(), lacking.join(", ")))
        }
    }
    folder
}

/// The folder for the side cluster.
pub fn place(draft: &mut Draft<'_>, ctx: &PlanContext, side: &Path, user: &User, there: bool) {
    let name = "directory";
    let directory = side.parent().unwrap_or(Path::new("/"));
    let shown = directory.display().to_string();
    let state = ctx.state_dir.canonicalize().unwrap_or_else(|_| ctx.state_dir.clone());
    let writable = || rustix::fs::access(directory, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok();
    let meta = std::fs::metadata(directory);
    let live = directory.ancestors().find(|d| d.join("PG_VERSION").exists() || d.join("global/pg_control").exists());
    // sun_path of a socket's address holds 107 bytes and a terminator.
    let longest = 107 - "/.s.PGSQL.65535".len();
    let why = if !meta.as_ref().is_ok_and(std::fs::Metadata::is_dir) {
        Some(format!("{shown} is no folder: make it, owned by {}, or correct `directory`", user.name))
    } else if let Some(live) = live {
        Some(format!("{shown} is below {}, the data folder of a cluster: set another `directory`", live.display()))
    } else if !state.as_os_str().is_empty() && directory.starts_with(&state) {
        Some(format!("{shown} is in mayday's own state folder: set another `directory`"))
    } else if side.as_os_str().len() > longest {
        Some(format!("{} is too long for a socket: set a shorter `directory`", side.display()))
    } else if !there && !writable() {
        Some(format!("this user may not write in {shown}: give it the right, or set another `directory`"))
    } else {
        let may_not = |at: PathBuf| {
            format!("{} may not enter {}: chmod o+x it, or set another `directory`", user.name, at.display())
        };
        user.stopped_at(&side.join("data")).map(may_not)
    };
    match why {
        Some(why) => draft.fail(name, why),
        None if there => draft.pass(name, format!("{} is there", side.display())),
        None if side.symlink_metadata().is_ok() => draft.fail(name, format!("there is already a {}", side.display())),
        None => draft.pass(name, format!("{} is made and owned by {}", side.display(), user.name)),
    }
}

/// The server fetches the log itself, as its own user and with programs of this host.
pub fn readable(draft: &mut Draft<'_>, found: &Found, user: &User, tools: &Tools) {
    let Source::Folder(archive) = &found.source else { return };
    if let Some(why) = conf::unreadable(user, archive, found.sample.as_deref().map(Path::new)) {
        draft.fail("archive readable", format!("{why}: give {} the right, for instance by a group", user.name));
    }
    for (ending, tool) in [("gz", "gzip"), ("zst", "zstd"), ("lz4", "lz4"), ("bz2", "bzip2"), ("xz", "xz")] {
        if found.endings.iter().any(|e| e == ending) {
            draft.look(tools.tool(tool, tool));
        }
    }
}

pub async fn room(draft: &mut Draft<'_>, found: &Found, side: &Path, there: bool) {
    let (Ok(base), Ok(window)) = (&found.base, &found.window) else { return };
    let data = match (there, base.compressed) {
        (true, _) => 0,
        (false, true) => base.size.saturating_mul(5),
        (false, false) => base.size,
    };
    let need = data.saturating_add(window.bytes().min(LOG_KEPT));
    let place = side.parent().unwrap_or(Path::new("/"));
    match disk::space(place).await {
        Err(e) => draft.fail("disk", format!("{}: {e}", place.display())),
        Ok(space) if space.read_only => {
            draft.fail("disk", format!("the file system of {} is mounted read-only", place.display()))
        }
        Ok(space) => {
            let about = if base.compressed { "about " } else { "" };
            let said = format!("{about}{} needed for data and log, {} free", text::size(need), text::size(space.free));
            match (space.free >= need, base.compressed) {
                (true, _) => draft.pass("disk", said),
                (false, false) => {
                    draft.fail("disk", format!("{said}: make room at {}, or set another `directory`", place.display()))
                }
                (false, true) => draft.warn("disk", format!("{said}; the size of the unpacked base is only guessed")),
            }
        }
    }
}

/// Ports on which a live server is known to answer: the usual one, and those of the configuration.
pub fn live_ports(ctx: &PlanContext, set: &Backup, how: &PitrRestore) -> Vec<u16> {
    use crate::config::{CheckKind, MaybeSecret};
    let mut ports = vec![5432];
    let service = ctx.config.services.iter().filter(|s| Some(&s.name) == set.service.as_ref());
    let checks = service.flat_map(|s| &s.checks).filter_map(|c| match &c.kind {
        CheckKind::Postgres(p) => Some(&p.dsn),
        _ => None,
    });
    for dsn in checks.chain(how.live.as_ref().map(|l| &l.dsn)) {
        let MaybeSecret::Plain(text) = dsn else { continue };
        let Ok(target) = PgTarget::parse(text) else { continue };
        ports.extend(target.endpoints().iter().map(|e| match e {
            Endpoint::Unix { port, .. } | Endpoint::Tcp { port, .. } => *port,
        }));
    }
    ports.sort_unstable();
    ports.dedup();
    ports
}

pub fn leftovers(draft: &mut Draft<'_>, ctx: &PlanContext, side: &Path, how: &PitrRestore) -> Vec<PathBuf> {
    let directory = side.parent().unwrap_or(Path::new("/"));
    let running = |run: &String| ctx.runs.iter().any(|r| r.id() == run && !r.state.is_over());
    let found: Vec<PathBuf> = state::unfinished(directory, &how.database)
        .into_iter()
        .filter(|(_, run)| !running(run))
        .map(|(path, _)| path)
        .collect();
    if !found.is_empty() {
        let names: Vec<String> = found.iter().map(|p| p.display().to_string()).collect();
        draft.warn(
            "leftovers",
            format!("left incomplete by earlier runs, ended and removed at the start: {}", names.join(", ")),
        );
    }
    found
}
