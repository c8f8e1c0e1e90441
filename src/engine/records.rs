//! Reading the record for those who look, and writing the readable line of every entry into its incident's folder.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::domain::event::Entry;
use crate::domain::timeline;
use crate::journal::Reader;
use crate::report;
use crate::runner;
use crate::wire::{Answer, OutputChunk, TimelineQuery};

/// Rows given at once at the most.
const ROWS: usize = 1000;
/// Bytes of output given at once at the most.
const OUTPUT: u64 = 1 << 20;
/// Readable lines of an incident that wait while its file cannot be written.
const WAITING: usize = 10_000;

/// Rows of the timeline. Blocks on the disk.
pub fn timeline(dir: &Path, query: &TimelineQuery) -> Answer {
    match rows(dir, query) {
        Ok((rows, head)) => Answer::Timeline { rows, head },
        Err(why) => Answer::Failed { reason: format!("the journal in {} cannot be read: {why}", dir.display()) },
    }
}

fn rows(dir: &Path, query: &TimelineQuery) -> Result<(Vec<timeline::Row>, u64), String> {
    let limit = query.limit.clamp(1, ROWS);
    let reader = Reader::open(dir).map_err(|e| e.to_string())?;
    let head = reader.last_seq().map_err(|e| e.to_string())?;
    let entries = match (&query.incident, query.after, query.before) {
        (None, Some(after), _) => reader.read_range(after + 1, limit).map_err(|e| e.to_string())?.entries,
        (None, None, before) => {
            let end = before.unwrap_or(head + 1);
            let from = end.saturating_sub(limit as u64).max(1);
            let count = usize::try_from(end.saturating_sub(from)).unwrap_or(0);
            if count == 0 { Vec::new() } else { reader.read_range(from, count).map_err(|e| e.to_string())?.entries }
        }
        (Some(id), after, before) => {
            // Found by its rows' positions, so that a long history costs nothing.
            let all = reader.incident_rows(id).map_err(|e| e.to_string())?;
            let mut found = Vec::new();
            match (after, before) {
                (Some(after), _) => {
                    let mut row = 0;
                    while row < all && found.len() < limit {
                        let page = reader.incident_page(id, row, ROWS).map_err(|e| e.to_string())?.entries;
                        if page.is_empty() {
                            break;
                        }
                        row += page.len() as u64;
                        found.extend(page.into_iter().filter(|e| e.seq > after));
                    }
                    found.truncate(limit);
                }
                (None, before) => {
                    let end = before.unwrap_or(u64::MAX);
                    let mut last = all;
                    while last > 0 && found.len() < limit {
                        let first = last.saturating_sub(limit as u64);
                        let n = usize::try_from(last - first).unwrap_or(0);
                        let mut page = reader.incident_page(id, first, n).map_err(|e| e.to_string())?.entries;
                        page.retain(|e| e.seq < end);
                        page.append(&mut found);
                        found = page;
                        last = first;
                    }
                    let over = found.len().saturating_sub(limit);
                    found.drain(..over);
                }
            }
            found
        }
    };
    Ok((entries.iter().map(timeline::row).collect(), head))
}

/// A piece of a run's output. Blocks on the disk.
pub fn output(dir: &Path, run: &str, offset: u64, limit: u64) -> Answer {
    let Some(folder) = runner::find(dir, super::start::runtime_dir().as_deref(), run) else {
        return Answer::Failed { reason: format!("there is no output of run {}", crate::text::clean(run)) };
    };
    let over = runner::look(&folder).is_ok_and(|s| !matches!(s, runner::Seen::Running { .. } | runner::Seen::Unclaimed));
    let limit = usize::try_from(limit.min(OUTPUT)).unwrap_or(0);
    match runner::output(&folder, offset, limit) {
        Ok(chunk) => Answer::Output(OutputChunk {
            text: chunk.text,
            offset: chunk.offset,
            next: chunk.next,
            total: chunk.total,
            cut: chunk.cut,
            over,
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Answer::Output(OutputChunk { over, ..OutputChunk::default() }),
        Err(e) => Answer::Failed { reason: format!("read the output of run {}: {e}", crate::text::clean(run)) },
    }
}

/// `timeline.md` of each incident: a readable line per entry, appended as it happens.
#[derive(Debug)]
pub struct TimelineFiles {
    dir: PathBuf,
    waiting: BTreeMap<String, Vec<String>>,
    fault: Option<String>,
}

impl TimelineFiles {
    pub fn new(state_dir: &Path) -> Self {
        TimelineFiles { dir: state_dir.join("incidents"), waiting: BTreeMap::new(), fault: None }
    }

    /// The file of an incident.
    pub fn path(&self, incident: &str) -> PathBuf {
        self.dir.join(incident).join("timeline.md")
    }

    /// Keeps the entry's line until [`TimelineFiles::write`].
    pub fn take(&mut self, entry: &Entry) {
        let Some(incident) = &entry.incident else { return };
        if let Some(line) = report::timeline_md(entry) {
            self.waiting.entry(incident.clone()).or_default().push(line);
        }
    }

    /// Appends what is waiting; only what is on record is written here too.
    pub fn write(&mut self, recorded: bool) {
        if !recorded || self.waiting.is_empty() {
            return;
        }
        for (incident, mut lines) in std::mem::take(&mut self.waiting) {
            let path = self.path(&incident);
            if let Err(e) = append_lines(&path, &incident, &lines) {
                self.fault = Some(format!("timeline: {} cannot be written: {e}", path.display()));
                // They are written when it works again; beyond that the journal has them.
                lines.truncate(WAITING);
                self.waiting.insert(incident, lines);
            } else {
                self.fault = None;
            }
        }
    }

    /// Why the readable lines cannot be written right now; the journal has them all the same.
    pub fn fault(&self) -> Option<String> {
        self.fault.clone()
    }

    /// Brings the file of an open incident up to its last entry, after an engine that was killed in between.
    pub fn catch_up(&mut self, incident: &str, entries: &[Entry]) {
        let path = self.path(incident);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let last = text.lines().rev().find_map(cited).unwrap_or(0);
        for entry in entries.iter().filter(|e| e.seq > last) {
            self.take(entry);
        }
    }
}

/// The entry's number, which ends a line.
fn cited(line: &str) -> Option<u64> {
    line.strip_prefix("- ")?.rsplit_once(" · ")?.1.trim_end().parse().ok()
}

fn append_lines(path: &Path, incident: &str, lines: &[String]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
    }
    let mut file = std::fs::OpenOptions::new().create(true).append(true).mode(0o640).open(path)?;
    let mut bytes = String::new();
    let before = file.metadata()?.len();
    if before == 0 {
        bytes.push_str(&format!(
            "# {incident}\n\nWritten as it happens, UTC. The journal is the record; the number at the end is the entry.\n\n"
        ));
    }
    for line in lines {
        bytes.push_str(line);
        bytes.push('\n');
    }
    file.write_all(bytes.as_bytes()).inspect_err(|_| {
        // Half of it would stand there twice when it is written again.
        let _ = file.set_len(before);
    })
}
