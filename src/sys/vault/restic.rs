//! restic: arguments and answers.

use serde::Deserialize;

use super::{Filter, Snapshot, args};

pub fn list(filter: &Filter) -> Vec<String> {
    let mut list = args(&["snapshots", "--json", "--no-lock"]);
    list.extend(filter.host.iter().map(|h| format!("--host={h}")));
    list.extend(filter.path.iter().map(|p| format!("--path={}", p.display())));
    // One option with all of them: tags of several options would be alternatives.
    if !filter.tags.is_empty() {
        list.push(format!("--tag={}", filter.tags.join(",")));
    }
    list
}

/// The size alone; how restic counts hard links twice is of no matter for asking whether there is room.
pub fn stats(id: &str) -> Vec<String> {
    args(&["stats", "--json", "--no-lock", "--mode=restore-size", id])
}

pub fn look(id: &str, inside: &str) -> Vec<String> {
    args(&["ls", "--json", "--no-lock", id, inside])
}

pub fn ls(id: &str, inside: &str) -> Vec<String> {
    args(&["ls", "--json", "--no-lock", "--recursive", id, inside])
}

/// Without a lock: a repository that can only be read, or that somebody left locked, can still be restored from, and what
/// was pruned meanwhile is an error and not a gap. `--verify` reads back what was written and compares it with what the
/// snapshot holds.
pub fn restore(id: &str, wanted: &[String], target: &str) -> Vec<String> {
    let mut list = args(&["restore", "--no-lock", "--verify", "--target", target]);
    list.extend(wanted.iter().map(|w| format!("--include={}", literal(w))));
    list.push(id.to_owned());
    list
}

/// A path as a pattern that means this path alone (filepath.Match of Go).
fn literal(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            out.push('\\');
        }
        // An environment variable is put in for `$NAME` only in pattern files.
        out.push(c);
    }
    out
}

#[derive(Deserialize)]
struct Listed {
    time: String,
    id: String,
    #[serde(default)]
    short_id: String,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    paths: Vec<String>,
    /// Since 0.17.
    summary: Option<Summary>,
}

#[derive(Deserialize)]
struct Summary {
    total_bytes_processed: Option<u64>,
}

/// `restic snapshots --json`. `null` is what some versions say for none.
pub fn snapshots(text: &str) -> Result<Vec<Snapshot>, String> {
    let listed: Option<Vec<Listed>> =
        serde_json::from_str(text.trim()).map_err(|e| format!("its answer cannot be understood: {e}"))?;
    listed
        .unwrap_or_default()
        .into_iter()
        .map(|l| {
            let at = chrono::DateTime::parse_from_rfc3339(&l.time)
                .map_err(|_| format!("the time \"{}\" of snapshot {} cannot be understood", l.time, l.id))?;
            let short = if l.short_id.is_empty() { l.id.chars().take(8).collect() } else { l.short_id };
            Ok(Snapshot {
                at_ms: at.timestamp_millis(),
                short,
                digest: l.id.clone(),
                id: l.id,
                host: l.hostname,
                paths: l.paths,
                size: l.summary.and_then(|s| s.total_bytes_processed),
            })
        })
        .collect()
}

pub fn size(text: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Stats {
        total_size: u64,
    }
    serde_json::from_str::<Stats>(text.trim()).ok().map(|s| s.total_size)
}

/// One name in a snapshot.
#[derive(Debug, Deserialize)]
pub struct Node {
    pub path: String,
    /// `file`, `dir`, `symlink`, `dev`, `chardev`, `fifo`, `socket`.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub size: u64,
}

/// A line of `restic ls --json`; `None` for the first one, which is of the snapshot, and for lines that are no JSON.
pub fn node(line: &str) -> Option<Result<Node, String>> {
    if !line.starts_with('{') || !line.contains("\"struct_type\":\"node\"") {
        return None;
    }
    Some(serde_json::from_str(line).map_err(|e| format!("its answer cannot be understood: {e}")))
}

/// Bytes restored and to restore, of a line of `restic restore --json` (since 0.17).
pub fn progress(line: &str) -> Option<(u64, u64)> {
    #[derive(Deserialize)]
    struct Status {
        message_type: String,
        #[serde(default)]
        bytes_restored: u64,
        total_bytes: u64,
    }
    let status: Status = serde_json::from_str(line).ok()?;
    (status.message_type == "status").then_some((status.bytes_restored, status.total_bytes))
}
