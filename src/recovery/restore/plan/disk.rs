//! Is there room: for the data beside the live one, and for the log that writing them makes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::pg::room;
use super::facts::Facts;
use super::{Draft, Say};
use crate::sys::disk::{self, Space};
use crate::text;

/// What a restore takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    pub data: u64,
    pub wal: u64,
    pub known: Known,
}

/// Where the figures come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// From an earlier restore.
    Sure,
    /// From the copy, unpacked: on disk it may be compressed again.
    Copy,
    /// From the copy, and the live database, which is there and takes as much, says so too.
    Both,
    /// From the size of the packed copy alone.
    Guessed,
}

/// What is known of how large a copy becomes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Size {
    pub copy: u64,
    /// It is as large unpacked.
    pub plain: bool,
    /// Bytes unpacked, and rows.
    pub unpacked: Option<u64>,
    pub rows: Option<u64>,
    /// Bytes on disk per byte of the copy in an earlier restore.
    pub growth: Option<f64>,
}

/// How many times its size a packed copy is taken to become. Usual ones become 3 to 8 times as large; logs and other text
/// that repeats itself a hundred times, and more.
const PACKED: u64 = 25;

/// As many times what is guessed is beyond doubt.
const AMPLE: u64 = 4;

/// Data and log that a side database will take.
pub fn need(size: Size, facts: &Facts) -> Need {
    let live = facts.live_size.unwrap_or(0);
    let unpacked = size.unpacked.or(size.plain.then_some(size.copy));
    let (data, known) = match (size.growth, unpacked) {
        (Some(growth), _) => ((size.copy as f64 * growth * 1.1).min(u64::MAX as f64 / 4.0) as u64, Known::Sure),
        (None, Some(unpacked)) => {
            let taken = room::taken(unpacked, size.rows);
            (live.max(taken), if live >= taken { Known::Both } else { Known::Copy })
        }
        (None, None) => (live.max(room::taken(size.copy.saturating_mul(PACKED), size.rows)), Known::Guessed),
    };
    // Loading writes log of about 0.8 times the data. It is reused after each checkpoint, unless something keeps it.
    let written = data / 10 * 8;
    let wal = if facts.wal_kept { written } else { written.min(facts.wal_limit.saturating_mul(2)) };
    Need { data, wal, known }
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
    let mut fits = |place: &Path, space: &Space, bytes: u64, what: &str| {
        let floor = room::floor(space.total);
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
        fits(table, &on_table, need.data.saturating_add(need.wal), "data and log");
    } else {
        fits(table, &on_table, need.data, "data");
        fits(&log, &on_log, need.wal, "log");
    }
    let stops = "loading stops before the disk is full";
    let guessed =
        "how large it becomes is only guessed from the packed copy, until a restore (--test will do) has shown it";
    let takes_all =
        need.data.saturating_add(need.wal).saturating_mul(AMPLE).saturating_add(room::floor(on_table.total));
    let ample = short.is_empty() && on_table.free >= takes_all;
    match (need.known, short.is_empty()) {
        (Known::Guessed, true) if ample => draft.pass(
            "disk",
            format!(
                "{} free, {} times the packed copy and more; usual ones become 3 to 8 times as large",
                text::size(on_table.free),
                PACKED * AMPLE
            ),
        ),
        (Known::Guessed, true) => draft.warn(
            "disk",
            format!("{} free is not known to suffice: {guessed} ({takes}); {stops}", text::size(on_table.free)),
        ),
        (_, true) => draft.pass("disk", format!("needs {takes}; {} free", text::size(on_table.free))),
        (Known::Sure | Known::Both, false) => {
            draft.fail("disk", format!("{}: make room, or restore on another server", short.join("; ")));
        }
        (Known::Copy, false) => {
            draft.warn("disk", format!("{}: make room, or it will probably not fit, and {stops}", short.join("; ")))
        }
        (Known::Guessed, false) => {
            draft.warn("disk", format!("not known to suffice: {}; {guessed}, and {stops}", short.join("; ")))
        }
    }
    let mut watch = vec![table.clone(), log];
    watch.dedup();
    watch
}
