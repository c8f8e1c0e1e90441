//! Reading the record for those who look, and writing the readable line of every entry into its incident's folder.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::find::Curated;
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
/// Entries kept for readable files that cannot be written.
const LEFT: usize = 10_000;
/// Between two tries to write it.
const RETRY: Duration = Duration::from_secs(2);

/// Rows of the timeline, as they read by `curated` and what was recorded since. Blocks on the disk.
pub fn timeline(dir: &Path, query: &TimelineQuery, curated: &Curated) -> Answer {
    match rows(dir, query, curated) {
        Ok((rows, head)) => Answer::Timeline { rows, head },
        Err(why) => Answer::Failed { reason: format!("the journal in {} cannot be read: {why}", dir.display()) },
    }
}

fn rows(dir: &Path, query: &TimelineQuery, curated: &Curated) -> Result<(Vec<timeline::Row>, u64), String> {
    let limit = query.limit.clamp(1, ROWS);
    let reader = Reader::open(dir).map_err(|e| e.to_string())?;
    let head = reader.last_seq().map_err(|e| e.to_string())?;
    let entries = match (&query.incident, query.after, query.before) {
        (None, Some(after), _) => reader.read_range(after.saturating_add(1), limit).map_err(|e| e.to_string())?.entries,
        (None, None, before) => {
            let end = before.unwrap_or(head + 1).min(head + 1);
            let from = end.saturating_sub(limit as u64).max(1);
            let count = usize::try_from(end.saturating_sub(from)).unwrap_or(0);
            if count == 0 { Vec::new() } else { reader.read_range(from, count).map_err(|e| e.to_string())?.entries }
        }
        (Some(id), after, before) => {
            // Found by its rows' positions, so that a long history costs nothing.
            let fault = |e: crate::journal::JournalError| e.to_string();
            let mut found = Vec::new();
            match (after, before) {
                (Some(after), _) => {
                    let all = reader.incident_rows(id).map_err(fault)?;
                    let mut row = reader.incident_row_after(id, after).map_err(fault)?;
                    while row < all && found.len() < limit {
                        found.extend(reader.incident_page(id, row, limit).map_err(fault)?.entries);
                        row += limit as u64;
                    }
                    found.truncate(limit);
                }
                (None, before) => {
                    let mut last = match before {
                        Some(end) => reader.incident_row_after(id, end.saturating_sub(1)).map_err(fault)?,
                        None => reader.incident_rows(id).map_err(fault)?,
                    };
                    while last > 0 && found.len() < limit {
                        let first = last.saturating_sub(limit as u64);
                        let n = usize::try_from(last - first).unwrap_or(0);
                        let mut page = reader.incident_page(id, first, n).map_err(fault)?.entries;
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
    let curation = curated.up_to(&reader, head)?;
    let row = |entry: &Entry| {
        let mut row = timeline::row(entry);
        curation.amend(&mut row);
        row
    };
    Ok((entries.iter().map(row).collect(), head))
}

/// A piece of a run's output. Blocks on the disk.
pub fn output(dir: &Path, run: &str, offset: u64, limit: u64) -> Answer {
    let Some(folder) = runner::find(dir, &super::start::other_places(), run) else {
        return Answer::Failed { reason: format!("there is no output of run {}", crate::text::clean(run)) };
    };
    let over =
        runner::look(&folder).is_ok_and(|s| !matches!(s, runner::Seen::Running { .. } | runner::Seen::Unclaimed));
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
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Answer::Output(OutputChunk { over, ..OutputChunk::default() })
        }
        Err(e) => Answer::Failed { reason: format!("read the output of run {}: {e}", crate::text::clean(run)) },
    }
}

/// `timeline.md` of each incident: a readable line per entry, appended as it happens.
#[derive(Debug)]
pub struct TimelineFiles {
    dir: PathBuf,
    waiting: Vec<Entry>,
    fault: Option<String>,
    /// When writing failed last.
    failed: Option<tokio::time::Instant>,
}

impl TimelineFiles {
    pub fn new(state_dir: &Path) -> Self {
        TimelineFiles { dir: state_dir.join("incidents"), waiting: Vec::new(), fault: None, failed: None }
    }

    /// The file of an incident.
    pub fn path(&self, incident: &str) -> PathBuf {
        self.dir.join(incident).join("timeline.md")
    }

    /// Keeps the entry until [`TimelineFiles::write`]; entries may come in any order.
    pub fn take(&mut self, entry: &Entry) {
        if entry.incident.is_some() {
            self.waiting.push(entry.clone());
        }
    }

    /// Waiting entries from `from` on are on record under numbers that differ by `by`.
    pub fn renumber(&mut self, from: u64, by: i64) {
        for entry in self.waiting.iter_mut().filter(|e| e.seq >= from) {
            entry.seq = entry.seq.saturating_add_signed(by);
        }
    }

    /// Entries that were redacted meanwhile are written as they read now.
    pub fn forget(&mut self, redacted: &BTreeMap<u64, Entry>) {
        for entry in &mut self.waiting {
            if let Some(now) = redacted.get(&entry.seq) {
                entry.clone_from(now);
            }
        }
    }

    /// Appends what is waiting; only what is on record is written here too.
    pub async fn write(&mut self, recorded: bool) {
        // Not with every entry: all that waits would be written, and cut off again, each time.
        if !recorded || self.waiting.is_empty() || self.failed.is_some_and(|at| at.elapsed() < RETRY) {
            return;
        }
        let mut entries = std::mem::take(&mut self.waiting);
        let dir = self.dir.clone();
        let work = tokio::task::spawn_blocking(move || {
            entries.sort_by_key(|e| e.seq);
            let mut stories: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
            for entry in entries {
                if let Some(incident) = entry.incident.clone() {
                    stories.entry(incident).or_default().push(entry);
                }
            }
            let (mut fault, mut left) = (None, Vec::new());
            for (incident, entries) in stories {
                let path = dir.join(&incident).join("timeline.md");
                let lines: Vec<String> = entries.iter().filter_map(report::timeline_md).collect();
                if let Err(e) = append_lines(&path, &incident, &lines) {
                    fault = Some(format!("timeline: {} cannot be written: {e}", path.display()));
                    left.extend(entries);
                }
            }
            (fault, left)
        });
        match work.await {
            Ok((fault, mut left)) => {
                self.failed = fault.is_some().then(tokio::time::Instant::now);
                self.fault = fault;
                // Tried again later: the journal's reserve outlasts a full disk, this file does not.
                left.truncate(LEFT);
                self.waiting = left;
            }
            Err(e) => self.fault = Some(format!("timeline: writing it failed inside: {e}")),
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

/// The entry whose line this is: `- 2026-11-20 02:14:07Z · oncall1 · what happened · 61`.
fn cited(line: &str) -> Option<u64> {
    line.strip_prefix("- ")?.trim_end().rsplit_once(" · ")?.1.parse().ok()
}

fn append_lines(path: &Path, incident: &str, lines: &[String]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
    }
    let mut file = std::fs::OpenOptions::new().create(true).append(true).mode(0o640).open(path)?;
    let mut bytes = String::new();
    if file.metadata()?.len() == 0 {
        bytes.push_str(&format!(
            "# {incident}\n\nWritten as it happens, UTC. The journal is the record; each line ends with the number of its entry.\n\n"
        ));
    }
    for line in lines {
        bytes.push_str(line);
        bytes.push('\n');
    }
    let whole = file.metadata()?.len();
    file.write_all(bytes.as_bytes()).inspect_err(|_| {
        // Half a line must not stay: the lines are written again.
        let _ = file.set_len(whole);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::NoteAdded;
    use crate::domain::{Actor, Time};
    use crate::journal::{Draft, Journal, OpenOptions};

    #[test]
    fn rows_of_an_incident_before_and_after_any_position() {
        let dir = tempfile::tempdir().unwrap();
        let options = OpenOptions { rotate_bytes: 8_000, ..OpenOptions::new("h") };
        let (mut journal, _) = Journal::open(dir.path(), options).unwrap();
        let mut own = Vec::new();
        for seq in 1..=120u64 {
            let mine = seq % 3 != 0;
            own.extend(mine.then_some(seq));
            let draft = Draft {
                at: Time::from_ms(1_800_000_000_000),
                boot_ms: 1,
                boot: "b".into(),
                actor: Actor::engine(),
                incident: Some(if mine { "INC-2026-001" } else { "INC-2026-002" }.into()),
                event: NoteAdded { text: format!("note {seq}"), happened_at: None }.into(),
            };
            journal.append(&[draft]).unwrap();
        }
        let ask = |after, before, limit| {
            let query = TimelineQuery { incident: Some("INC-2026-001".into()), after, before, limit };
            match timeline(dir.path(), &query, &Curated::default()) {
                Answer::Timeline { rows, .. } => rows.iter().map(|r| r.seq).collect::<Vec<_>>(),
                other => panic!("{other:?}"),
            }
        };
        for limit in [1, 7, 1000] {
            let newest = |end: u64| -> Vec<u64> {
                let all: Vec<u64> = own.iter().copied().filter(|s| *s < end).collect();
                all[all.len().saturating_sub(limit)..].to_vec()
            };
            assert_eq!(ask(None, None, limit), newest(u64::MAX));
            for at in (0..125).step_by(4) {
                let later: Vec<u64> = own.iter().copied().filter(|s| *s > at).take(limit).collect();
                assert_eq!(ask(Some(at), None, limit), later, "{limit} after {at}");
                assert_eq!(ask(None, Some(at), limit), newest(at), "{limit} before {at}");
            }
        }
    }
}
