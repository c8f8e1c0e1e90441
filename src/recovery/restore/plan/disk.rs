//! Is there room: for the data beside the live one, and for the log that writing them makes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::facts::Facts;
use super::{Draft, Say};
use crate::sys::disk::{self, Space};
use crate::text;

/// What a restore takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    pub data: u64,
    pub wal: u64,
    /// How sure: from an earlier restore or the live database's size, or only from the copy's.
    pub sure: bool,
}

/// Data and log that a side database will take. `growth` is the factor from an earlier restore; `usual` the one assumed
/// for copies of this kind.
pub fn need(copy: u64, growth: Option<f64>, usual: f64, facts: &Facts) -> Need {
    let times = |f: f64| (copy as f64 * f).min(u64::MAX as f64 / 4.0) as u64;
    let (data, sure) = match growth {
        Some(growth) => (times(growth * 1.1), true),
        None => {
            let live = facts.live_size.unwrap_or(0);
            let guess = times(usual);
            (live.max(guess), live >= guess)
        }
    };
    // Loading writes log of about 0.8 times the data. It is reused after each checkpoint, unless something keeps it.
    let written = data / 10 * 8;
    let wal = if facts.wal_kept { written } else { written.min(facts.wal_limit.saturating_mul(2)) };
    Need { data, wal, sure }
}

/// Space of a file system; a dead mount must not hold up the plan.
pub async fn space(path: &Path) -> Result<Space, String> {
    let path = path.to_path_buf();
    let look = tokio::task::spawn_blocking(move || disk::space(&path));
    match tokio::time::timeout(Duration::from_secs(5), look).await {
        Ok(Ok(Ok(space))) => Ok(space),
        Ok(Ok(Err(e))) => Err(e.to_string()),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err("it does not answer".into()),
    }
}

/// Looks at the server's file systems. Returns the folders to watch while it loads.
pub async fn check(draft: &mut Draft<'_>, facts: &Facts, need: Need) -> Vec<PathBuf> {
    let takes = format!("about {} of data and {} of log", text::size(need.data), text::size(need.wal));
    let (Some(data), Some(table)) = (&facts.data_folder, &facts.tablespace_folder) else {
        draft.warn(
            "disk",
            format!("needs {takes}; how much is free on the server cannot be seen from here: look there"),
        );
        return Vec::new();
    };
    // The log may be on a file system of its own; behind the data folder's door it cannot always be seen.
    let log = data.join("pg_wal").canonicalize().unwrap_or_else(|_| data.clone());
    let (on_table, on_log) = match (space(table).await, space(&log).await) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(e), _) | (_, Err(e)) => {
            draft.warn("disk", format!("needs {takes}; the free space of {} cannot be seen: {e}", table.display()));
            return Vec::new();
        }
    };
    let mut short = Vec::new();
    let mut room = |place: &Path, space: &Space, bytes: u64, what: &str| {
        let floor = super::super::pg::floor(space.total);
        if space.free < bytes.saturating_add(floor) {
            short.push(format!(
                "{what}: {} needed and {} kept free for the server, {} free on the file system of {}",
                text::size(bytes),
                text::size(floor),
                text::size(space.free),
                place.display()
            ));
        }
    };
    if on_table.filesystem == on_log.filesystem {
        room(table, &on_table, need.data.saturating_add(need.wal), "data and log");
    } else {
        room(table, &on_table, need.data, "data");
        room(&log, &on_log, need.wal, "log");
    }
    if short.is_empty() {
        draft.pass("disk", format!("needs {takes}; {} free", text::size(on_table.free)));
    } else if need.sure {
        draft.fail("disk", format!("{}: make room, or restore on another server", short.join("; ")));
    } else {
        draft.warn(
            "disk",
            format!(
                "{}; the size is only guessed from the copy, and loading stops before the disk is full",
                short.join("; ")
            ),
        );
    }
    let mut watch = vec![table.clone(), log];
    watch.dedup();
    watch
}
