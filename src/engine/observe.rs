//! What is seen becomes what happened: probe results, backup listings, the passing of time.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::core::Core;
use super::recorder::Moment;
use super::schedule::Observation;
use crate::backup::BackupReport;
use crate::domain::Actor;
use crate::domain::backup::BackupState;
use crate::domain::command::Command;
use crate::domain::event::{BackupArrived, BackupChanged, Event, JournalDamaged, JournalHealed, NoteAdded};

impl Core {
    pub(super) fn observe(&mut self, seen: &Observation) {
        self.samples.take(seen);
        self.sealing.take(seen);
        self.recovering.take(seen);
        let service: &str = &seen.service;
        let mut status = seen.status.clone();
        // On its way while the clock was stepped.
        self.look_at_clocks();
        if let Some(by) = self.timekeeper.stepped_since(seen.at, seen.boot_ms) {
            status.step_clock(by);
        }
        let events = self.board.update(service, &seen.check, status);
        for event in events {
            let about = match &event {
                Event::HealthChanged(e) => e.service.clone(),
                Event::HealthBecause(e) => e.service.clone(),
                _ => service.to_owned(),
            };
            let incident = self.incident_of(&about);
            self.record_own(incident, event);
        }
        if !self.dirty.services.contains(service) {
            self.dirty.services.insert(service.to_owned());
        }
    }

    /// The open incident that a service's changes belong to: the one that names it, else the worst.
    pub(super) fn incident_of(&self, service: &str) -> Option<String> {
        let open = self.state.open_incidents();
        open.iter().find(|i| i.services.contains(service)).or(open.first()).map(|i| i.id.clone())
    }

    pub(super) fn take_report(&mut self, report: BackupReport) {
        let name = report.backup.clone();
        let judged = &report.judged;
        let known = self.state.backups.get(&name);
        let from = known.map(|k| k.state).unwrap_or_default();
        let before = known.and_then(|k| k.newest.as_ref()).map(|c| (c.id.clone(), c.taken_at));
        let newest = judged.newest.clone();
        let incident = self.state.open_incidents().first().map(|i| i.id.clone());
        if from != judged.state || known.is_none() && judged.state != BackupState::Unknown {
            let event = BackupChanged {
                backup: name.clone(),
                from,
                to: judged.state,
                detail: judged.detail.clone(),
                newest: newest.clone(),
            };
            self.record_own(incident, event);
        } else if let Some(copy) = newest
            && before.as_ref().is_none_or(|(id, at)| *id != copy.id || *at != copy.taken_at)
        {
            self.record_own(incident, BackupArrived { backup: name.clone(), copy });
        }
        self.reports.insert(name.clone(), report);
        self.dirty.backups.insert(name);
    }

    /// Once a second: clocks, the disk, what expires, what is due.
    pub(super) async fn tick(&mut self) {
        let now = self.now();
        self.look_at_clocks();
        let was = self.recorder.recording();
        let moment = Moment {
            at: now,
            boot_ms: self.clock.boot_ms(),
            boot: self.boot.clone(),
            incident: self.state.open_incidents().first().map(|i| i.id.clone()),
        };
        let tended = self.recorder.tend(moment).await;
        self.renumber(&tended.shifts);
        if let Some(healed) = tended.healed {
            let moved_to = healed.moved_to.unwrap_or_default();
            self.record_own(None, JournalHealed { moved_to, bytes: healed.bytes });
        }
        if let Some(gap) = tended.gap {
            self.take_gap(&gap);
        }
        if self.clock.boot_ms() >= self.save_at {
            self.save_checks().await;
        }
        if was != self.recorder.recording() {
            self.dirty.head = true;
        }
        self.expire(now);
        self.maintain(now);
        self.prepare_drafts(now);
        self.take_spool().await;
        self.tend_shells();
        self.tend_seals().await;
        self.tend_state_folder();
        self.tend_mirror();
    }

    /// Notes that were written while no engine answered are taken in and marked as such. The file goes when its entry is
    /// on disk, so a crash in between makes it two entries rather than none.
    async fn take_spool(&mut self) {
        // Before the set-up is done the secrets to be masked are not all known.
        if !self.recorder.is_on() || self.setting_up {
            return;
        }
        let dir = self.state_dir.join("spool");
        let taken = std::mem::take(&mut self.spooled);
        let Ok((left, notes)) = tokio::task::spawn_blocking(move || read_spool(&dir, taken)).await else { return };
        self.spooled = left;
        for Spooled { path, owner, command } in notes {
            let actor = Actor {
                user: crate::sys::peer::user_name(owner),
                uid: Some(owner),
                via: "spooled while no engine answered".into(),
                ..Actor::default()
            };
            self.take_spooled(actor, command);
            self.spooled.push(path);
        }
    }

    /// What was kept while no engine answered belongs to the incident that it names, else to the open one.
    fn take_spooled(&mut self, actor: Actor, command: Command) {
        let known = |id: Option<String>, state: &crate::domain::state::State| {
            id.filter(|id| state.incidents.contains_key(id))
                .or_else(|| state.open_incidents().first().map(|i| i.id.clone()))
        };
        match command {
            Command::Note { incident, text, happened_at } => {
                let incident = known(incident, &self.state);
                let text = self.mask.apply(&text).into_owned();
                self.record(actor, incident, NoteAdded { text, happened_at });
            }
            Command::Shell { incident, ask } => {
                let command = Command::Shell { incident: known(incident, &self.state), ask };
                match self.decided(&actor, command) {
                    Ok(decided) => decided.into_iter().for_each(|one| {
                        self.record(actor.clone(), one.incident, one.event);
                    }),
                    // Of one that is on record already, after an engine that ended in between.
                    Err(refusal) => tracing::warn!("a spooled command was passed over: {refusal}"),
                }
            }
            _ => {}
        }
    }

    /// A mirror that does not get on holds up nothing, and is told for as long as it does not.
    fn tend_mirror(&mut self) {
        let begins = format!("{LASTING}its mirror ");
        let told = self.warnings.iter().find(|w| w.starts_with(&begins)).cloned();
        // A command's last words may hold anything.
        let fault = self.recorder.mirror_fault().map(|why| self.mask.apply(&why).into_owned());
        let now = fault.map(|why| crate::text::clean(&format!("{LASTING}{why}")).into_owned());
        if told != now {
            self.warnings.retain(|w| !w.starts_with(&begins));
            self.warnings.extend(now);
            self.dirty.head = true;
        }
    }

    fn tend_state_folder(&mut self) {
        let why = self.timelines.fault();
        let told = self.warnings.iter().find(|w| w.starts_with("timeline")).cloned();
        if told != why {
            self.warnings.retain(|w| !w.starts_with("timeline"));
            self.warnings.extend(why);
            self.dirty.head = true;
        }
    }

    /// Damage is told once per place: in a warning, and in the record.
    pub(super) fn record_damage(&mut self, damage: Vec<(String, u64, String)>) {
        for (part, line, why) in damage {
            let told = format!("{LASTING}the journal is damaged: {part} line {line}: {why} (mayday journal verify)");
            if !self.warnings.contains(&told) {
                self.warnings.push(told);
                self.dirty.head = true;
                self.record_own(None, JournalDamaged { part, line, why });
            }
        }
    }
}

/// Beginning of warnings that no new configuration takes away.
pub(super) const LASTING: &str = "the record: ";
/// Spooled notes taken in at once, and bytes of each.
const SPOOL: usize = 64;
const SPOOL_BYTES: u64 = 1 << 20;

struct Spooled {
    path: PathBuf,
    owner: u32,
    command: Command,
}

/// Removes what was `taken` and reads what else lies there. Gives what could not be removed. Blocks on the disk.
fn read_spool(dir: &Path, taken: Vec<PathBuf>) -> (Vec<PathBuf>, Vec<Spooled>) {
    let mut left = Vec::new();
    for path in taken {
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!("removing {} failed: {e}", path.display());
                left.push(path);
            }
            _ => {}
        }
    }
    let Ok(folder) = std::fs::read_dir(dir) else { return (left, Vec::new()) };
    let mut files: Vec<_> = folder.filter_map(Result::ok).map(|e| e.path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "json") && !left.contains(p));
    files.sort();
    let mut notes = Vec::new();
    for path in files.into_iter().take(SPOOL) {
        let mut bytes = Vec::new();
        let read = std::fs::File::open(&path).and_then(|f| {
            let owner = std::os::unix::fs::MetadataExt::uid(&f.metadata()?);
            f.take(SPOOL_BYTES).read_to_end(&mut bytes).map(|_| owner)
        });
        match (read, serde_json::from_slice::<Command>(&bytes)) {
            (Ok(owner), Ok(Command::Note { incident, text, happened_at })) => {
                let text = crate::text::clean_lines(&text, crate::domain::decide::NOTE_LIMIT);
                notes.push(Spooled { path, owner, command: Command::Note { incident, text, happened_at } });
            }
            (Ok(owner), Ok(command @ Command::Shell { .. })) => notes.push(Spooled { path, owner, command }),
            _ => {
                tracing::warn!("{} is no note and was passed over", path.display());
                let _ = std::fs::rename(&path, path.with_extension("unread"));
            }
        }
    }
    (left, notes)
}
