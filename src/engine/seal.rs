//! Sealing samples: what the probes saw in the hour before a declaration, and from then on until the incident is
//! resolved, goes into the incident's folder, so that the true onset and the lead-up are kept.
//!
//! Best effort by design: samples are evidence beside the record, and never hold it up.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use super::core::{Core, Message};
use super::samples::{Sealed, sealed};
use super::schedule::Observation;
use crate::domain::event::{Entry, Event, IncidentSealed};
use crate::domain::incident::Status;

/// How far back the lead-up goes.
const BEFORE: Duration = Duration::from_secs(3600);
/// Samples of the lead-up at the most; with very many checks the lead-up is shorter, never the declaration slower.
const BEFORE_LIMIT: usize = 100_000;
/// Bytes of samples per incident at the most.
const LIMIT: u64 = 64 << 20;
/// Name of the file in the incident's folder.
pub const FILE: &str = "samples.jsonl";

/// Samples on their way to the folders of open incidents.
#[derive(Debug, Default)]
pub struct Sealing {
    open: HashMap<String, Seal>,
    closing: Vec<String>,
    /// Services probed at their incident interval right now.
    pub probed: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Seal {
    /// Services concerned; all when empty.
    services: BTreeSet<String>,
    /// The lead-up, not yet encoded.
    before: Vec<Sealed>,
    buffer: Vec<u8>,
    written: u64,
}

impl Sealing {
    /// Keeps a sample for every open incident that it concerns.
    pub fn take(&mut self, seen: &Observation) {
        if self.open.is_empty() {
            return;
        }
        let Some(sample) = sealed(seen) else { return };
        for seal in self.open.values_mut() {
            let concerned = seal.services.is_empty() || seal.services.contains(&sample.service);
            if concerned && seal.written + (seal.buffer.len() as u64) < LIMIT {
                sample.encode(&mut seal.buffer);
            }
        }
    }
}

impl Core {
    /// Follows what happens to incidents.
    pub(super) fn follow_seals(&mut self, entry: &Entry) {
        let Some(id) = &entry.incident else { return };
        match &entry.event {
            Event::IncidentDeclared(_) => self.open_seal(id, true),
            Event::IncidentReopened(_) => self.open_seal(id, false),
            Event::IncidentServices(e) => {
                if let Some(seal) = self.sealing.open.get_mut(id)
                    && !seal.services.is_empty()
                {
                    seal.services.extend(e.added.iter().cloned());
                }
            }
            Event::IncidentStatus(e) if e.to == Status::Resolved || (e.to == Status::Closed && e.from.is_open()) => {
                self.sealing.closing.push(id.clone());
            }
            _ => {}
        }
    }

    /// Begins (or goes on) sealing for an incident. `lead_up` adds the hour before.
    pub(super) fn open_seal(&mut self, id: &str, lead_up: bool) {
        let Some(incident) = self.state.incidents.get(id) else { return };
        let mut services = BTreeSet::new();
        for name in &incident.services {
            services.extend(self.state.catalog.affected_by(name));
            services.extend(self.state.catalog.services.get(name).into_iter().flat_map(|f| f.depends_on.clone()));
        }
        let mut seal = Seal { services, ..Seal::default() };
        if lead_up {
            let mut reach = BEFORE;
            for _ in 0..12 {
                if self.samples.count(&seal.services, incident.declared_at.minus(reach)) <= BEFORE_LIMIT {
                    break;
                }
                reach /= 2;
            }
            seal.before = self.samples.seal(&seal.services, incident.declared_at.minus(reach));
            seal.before.truncate(BEFORE_LIMIT);
        }
        self.sealing.open.insert(id.to_owned(), seal);
    }

    /// After a start: incidents that are open are sealed on, and what an engine before this one was about to close is
    /// closed.
    pub(super) fn take_up_seals(&mut self) {
        let open: Vec<String> = self.state.open_incidents().iter().map(|i| i.id.clone()).collect();
        open.iter().for_each(|id| self.open_seal(id, false));
        let unsealed = self.state.incidents.values().filter(|i| i.unsealed && !i.status.is_open());
        self.sealing.closing.extend(unsealed.map(|i| i.id.clone()));
    }

    /// Writes what has gathered, and closes what was resolved.
    pub(super) async fn tend_seals(&mut self) {
        let mut work: Vec<(PathBuf, Vec<Sealed>, Vec<u8>)> = Vec::new();
        for (id, seal) in &mut self.sealing.open {
            if !seal.buffer.is_empty() || !seal.before.is_empty() {
                let (before, bytes) = (std::mem::take(&mut seal.before), std::mem::take(&mut seal.buffer));
                seal.written += (bytes.len() + before.len() * 120) as u64;
                work.push((self.state_dir.join("incidents").join(id).join(FILE), before, bytes));
            }
        }
        let closing = std::mem::take(&mut self.sealing.closing);
        if work.is_empty() && closing.is_empty() {
            return;
        }
        let forgotten = self.redacting.forgotten();
        let done = tokio::task::spawn_blocking(move || {
            for (path, before, later) in work {
                let mut bytes = Vec::new();
                before.iter().for_each(|sample| sample.encode(&mut bytes));
                bytes.extend(later);
                super::redact::keep_out_of(&forgotten, &mut bytes);
                if let Err(e) = append(&path, &bytes) {
                    tracing::warn!("writing samples into {} failed: {e}", path.display());
                }
            }
        });
        let _ = done.await;
        for incident in closing {
            self.sealing.open.remove(&incident);
            let path = self.state_dir.join("incidents").join(&incident).join(FILE);
            let inbox = self.inbox.clone();
            // Reading them all again takes a moment that nothing has to wait for.
            tokio::spawn(async move {
                if let Ok(Some((digest, samples))) = tokio::task::spawn_blocking(move || digest(&path)).await {
                    let _ = inbox.send(Message::Sealed { incident, digest, samples }).await;
                }
            });
        }
    }

    pub(super) fn take_sealed(&mut self, incident: String, digest: String, samples: u64) {
        self.record_own(Some(incident), IncidentSealed { file: FILE.into(), digest, samples });
    }
}

fn append(path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
    }
    let mut file = std::fs::OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)?;
    let len = file.metadata()?.len();
    let mut last = [b'\n'];
    if len > 0 {
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut last, len - 1)?;
    }
    // A line that an engine did not live to finish spoils no other.
    if last != [b'\n'] {
        file.write_all(b"\n")?;
    }
    file.write_all(bytes)
}

/// SHA-256 of a file, and its lines. Read in pieces.
fn digest(path: &std::path::Path) -> Option<(String, u64)> {
    use sha2::{Digest, Sha256};
    use std::io::Read;
    let mut file = std::fs::File::open(path).ok()?;
    let mut sha = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut lines = 0;
    loop {
        let n = file.read(&mut buffer).ok()?;
        if n == 0 {
            return Some((hex::encode(sha.finalize()), lines));
        }
        let read = buffer.get(..n)?;
        lines += read.iter().filter(|b| **b == b'\n').count() as u64;
        sha.update(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_spoils_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("INC-2026-001").join(FILE);
        append(&path, b"one\ntw").unwrap();
        append(&path, b"three\n").unwrap();
        append(&path, b"four\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntw\nthree\nfour\n");
        assert_eq!(digest(&path).unwrap().1, 4);
    }
}
