//! The fold: all durable state as a function of the entries.
//!
//! [`State::apply`] never fails and never looks at anything but the entry: what it does not understand it counts and
//! passes over. It keeps open work whole and finished work bounded, so that a year of history costs no memory; the
//! timeline's rows are found in the journal, not here.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::approval::{self, Approval};
use super::availability::{Availability, Moment};
use super::backup::{BackupRecord, proof};
use super::catalog::{Catalog, Severity};
use super::checklist::{self, OpenChecklist};
use super::curation::Curation;
use super::event::{Entry, Event};
use super::followup::Followups;
use super::guard::{self, Guards};
use super::headstart::{self, HeadStart};
use super::health::{Health, ServiceRecord};
use super::incident::Incident;
use super::message::Message;
use super::outage::{self, Outage};
use super::playbook::{self, Play, PlayState};
use super::recovery::{self, Recovery};
use super::redaction::Redactions;
use super::review::{self, ReviewState};
use super::run::Run;
use super::shell::{self, OpenShell};
use super::time::Time;
use super::{cadence, clock, merge};

mod fold;

/// Finished runs, messages and closed incidents kept in the fold.
const KEEP: usize = 200;

/// Everything the journal says, folded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Journal position of the last entry folded in; 0 before the first.
    pub seq: u64,
    pub at: Time,
    pub catalog: Catalog,
    pub config_digest: String,
    /// Faults of the configuration that was refused last; empty when the newest one is in force.
    pub config_faults: Vec<String>,
    pub services: BTreeMap<String, ServiceRecord>,
    /// Outages that are over and may still count for an incident, oldest end first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<Outage>,
    pub backups: BTreeMap<String, BackupRecord>,
    /// Test restores of each backup set, oldest first.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tests: BTreeMap<String, Vec<proof::Test>>,
    pub incidents: BTreeMap<String, Incident>,
    pub runs: BTreeMap<String, Run>,
    /// Run ids in the order they were requested.
    pub run_order: Vec<String>,
    pub recoveries: BTreeMap<String, Recovery>,
    /// Recovery ids in the order they were started.
    pub recovery_order: Vec<String>,
    /// Playbooks that were started, by id, and the ids in that order.
    pub playbooks: BTreeMap<String, Play>,
    pub playbook_order: Vec<String>,
    /// Checklists that were opened, in that order.
    pub checklists: Vec<OpenChecklist>,
    pub messages: BTreeMap<String, Message>,
    pub message_order: Vec<String>,
    /// Head starts that were begun or withheld.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub head_starts: Vec<HeadStart>,
    /// Tags and holds on services.
    #[serde(skip_serializing_if = "Guards::is_empty")]
    pub guards: Guards,
    /// Requests for a second person, by the id of what they are about.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub approvals: BTreeMap<String, Approval>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approval_order: Vec<String>,
    /// Commands in people's own shells whose end is not on record.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub shells: BTreeMap<String, OpenShell>,
    /// What is to be done after incidents.
    #[serde(skip_serializing_if = "Followups::is_empty")]
    pub followups: Followups,
    /// How far the reviews of incidents are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reviews: BTreeMap<String, ReviewState>,
    /// What was corrected, retimed, pinned, hidden or joined.
    #[serde(skip_serializing_if = "Curation::is_empty")]
    pub curation: Curation,
    /// Keys of the lines that were imported into each incident.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub imported: BTreeMap<String, BTreeSet<String>>,
    /// Redactions that are not carried out yet.
    #[serde(skip_serializing_if = "Redactions::is_empty")]
    pub redactions: Redactions,
    /// Highest incident number per year.
    pub numbers: BTreeMap<i32, u32>,
    /// The engine that wrote last had not said goodbye.
    pub engine_running: bool,
    /// Entries of kinds that this version does not know.
    pub unknown_kinds: u64,
    /// All steps of the wall clock so far, added up.
    pub stepped_ms: i64,
    /// How much of each month the services were up.
    pub availability: Availability,
    /// The boot clock at the last entry, and its boot: a clock that was stepped while no engine ran is noticed by it.
    pub boot_ms: u64,
    pub boot: String,
}

impl State {
    /// The fold of `entries` from nothing.
    pub fn replay<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> State {
        let mut state = State::default();
        for entry in entries {
            state.apply(entry);
        }
        state
    }

    /// Folds one entry in.
    pub fn apply(&mut self, entry: &Entry) {
        if Availability::is_about(&entry.event) {
            let before = Moment { at: self.at, boot_ms: self.boot_ms, boot: self.boot.clone() };
            self.availability.apply(entry, &self.services, &before);
        }
        self.seq = entry.seq;
        self.at = entry.at;
        self.boot_ms = entry.boot_ms;
        if self.boot != entry.boot {
            self.boot.clone_from(&entry.boot);
        }
        if let Some(incident) = entry.incident.as_deref().and_then(|id| self.incidents.get_mut(id)) {
            incident.last_seq = entry.seq;
        }
        match &entry.event {
            Event::EngineStarted(_) => self.engine_running = true,
            Event::EngineStopped(_) => self.engine_running = false,
            Event::ConfigLoaded(e) => {
                self.catalog = e.catalog.clone();
                self.config_digest = e.digest.clone();
                self.config_faults.clear();
                self.services.retain(|name, _| e.catalog.services.contains_key(name));
                self.backups.retain(|name, _| e.catalog.backups.contains_key(name));
            }
            Event::ConfigRejected(e) => self.config_faults = e.faults.clone(),
            Event::HealthChanged(_) | Event::HealthBecause(_) | Event::ServicePaused(_) | Event::ServiceResumed(_) => {
                let before = outage::before(self, entry);
                self.apply_health(entry);
                outage::apply(self, entry, before);
            }
            Event::BackupChanged(e) => {
                let record = self.backups.entry(e.backup.clone()).or_default();
                if record.state != e.to || record.since == Time::default() {
                    record.since = entry.at;
                }
                record.state = e.to;
                record.detail = e.detail.clone();
                record.newest = e.newest.clone();
            }
            Event::BackupArrived(e) => {
                self.backups.entry(e.backup.clone()).or_default().newest = Some(e.copy.clone());
            }
            Event::IncidentDeclared(_)
            | Event::IncidentOnset(_)
            | Event::IncidentAcknowledged(_)
            | Event::IncidentSeverity(_)
            | Event::IncidentStatus(_)
            | Event::IncidentAssigned(_)
            | Event::IncidentServices(_)
            | Event::IncidentTitled(_)
            | Event::IncidentReopened(_)
            | Event::IncidentSealed(_)
            | Event::HypothesisOpened(_)
            | Event::HypothesisEvidence(_)
            | Event::HypothesisClosed(_)
            | Event::HypothesisReopened(_)
            | Event::HandoffOffered(_)
            | Event::HandoffTaken(_)
            | Event::HandoffWithdrawn(_)
            | Event::NoteAdded(_) => self.apply_incident(entry),
            Event::RunRequested(_)
            | Event::RunClaimed(_)
            | Event::RunStarted(_)
            | Event::RunPhase(_)
            | Event::RunCancelRequested(_)
            | Event::RunSide(_)
            | Event::RunFinished(_) => {
                self.apply_run(entry);
                recovery::apply(self, entry);
                headstart::apply(self, entry);
            }
            Event::RecoveryStarted(_)
            | Event::RecoveryStep(_)
            | Event::RecoveryStopped(_)
            | Event::RecoveryResumed(_)
            | Event::RecoverySkipped(_)
            | Event::RecoveryFinished(_) => recovery::apply(self, entry),
            Event::PlaybookStarted(_)
            | Event::PlaybookBegan(_)
            | Event::PlaybookStep(_)
            | Event::PlaybookAgain(_)
            | Event::PlaybookPassed(_)
            | Event::PlaybookChosen(_)
            | Event::PlaybookEvidence(_)
            | Event::PlaybookLeft(_)
            | Event::PlaybookChanged(_)
            | Event::PlaybookResumed(_)
            | Event::PlaybookFinished(_) => playbook::apply(self, entry),
            Event::ChecklistOpened(_) | Event::ChecklistTicked(_) => checklist::apply(self, entry),
            Event::MessageQueued(_) | Event::MessageAttempted(_) => self.apply_message(entry),
            Event::ServiceHeld(_) | Event::ServiceReleased(_) | Event::ServiceTagged(_) | Event::ServiceUntagged(_) => {
                guard::apply(self, entry)
            }
            Event::ApprovalRequested(_) | Event::ApprovalGiven(_) | Event::ApprovalEnded(_) | Event::GlassBroken(_) => {
                approval::apply(self, entry)
            }
            Event::ShellStarted(_) | Event::ShellFinished(_) => shell::apply(self, entry),
            Event::HeadStartWithheld(_) => headstart::apply(self, entry),
            Event::NoteCorrected(_)
            | Event::EntryRetimed(_)
            | Event::EntryPinned(_)
            | Event::EntryHidden(_)
            | Event::EntriesJoined(_)
            | Event::EvidenceAdded(_) => self.curation.apply(entry),
            Event::EntryRedacted(_) | Event::RedactionFinished(_) => {
                self.curation.apply(entry);
                self.redactions.apply(entry);
            }
            Event::NoteImported(e) => {
                if let Some(incident) = entry.incident.as_ref().filter(|_| !e.key.is_empty()) {
                    self.imported.entry(incident.clone()).or_default().insert(e.key.clone());
                }
                self.apply_incident(entry);
            }
            Event::IncidentAbsorbed(e) => {
                if let Some(into) = &entry.incident {
                    merge::apply(self, &e.incident, into);
                }
            }
            Event::ClockStepped(e) => self.apply_step(e.by_ms),
            Event::Unknown { .. } => self.unknown_kinds += 1,
            _ => {}
        }
        self.followups.apply(entry);
        review::apply(&mut self.reviews, entry);
        clock::apply(self, entry);
    }

    /// Entries that were folded in as `from` and later are on record under numbers that differ by `by`.
    pub fn renumber(&mut self, from: u64, by: i64) {
        let real = |seq: &mut u64| {
            if *seq >= from {
                *seq = seq.saturating_add_signed(by);
            }
        };
        real(&mut self.seq);
        self.curation.renumber(from, by);
        self.followups.renumber(from, by);
        self.redactions.renumber(from, by);
        for incident in self.incidents.values_mut() {
            real(&mut incident.declared_seq);
            real(&mut incident.last_seq);
            incident.handoff.iter_mut().for_each(|h| real(&mut h.seq));
            for hypothesis in &mut incident.hypotheses {
                real(&mut hypothesis.seq);
                hypothesis.evidence.iter_mut().for_each(|e| real(&mut e.seq));
            }
            incident.clock.renumber(from, by);
        }
        for run in self.runs.values_mut() {
            real(&mut run.requested_seq);
        }
        for recovery in self.recoveries.values_mut() {
            real(&mut recovery.started_seq);
        }
        for play in self.playbooks.values_mut() {
            real(&mut play.started_seq);
        }
    }

    /// Folds the entry that tells of a gap in, which stands before entries that were folded in already.
    pub fn apply_gap(&mut self, entry: &Entry) {
        if entry.seq > self.seq {
            self.apply(entry);
        } else if let Some(incident) = entry.incident.as_deref().and_then(|id| self.incidents.get_mut(id)) {
            incident.last_seq = incident.last_seq.max(entry.seq);
        }
    }

    /// The wall clock was stepped. What goes on is carried over to the clock as it reads now, so that how long it has been
    /// stays true; what is over keeps the times it was recorded with.
    fn apply_step(&mut self, by_ms: i64) {
        self.stepped_ms = self.stepped_ms.saturating_add(by_ms);
        for record in self.services.values_mut() {
            record.since = record.since.stepped(by_ms);
            record.confirmed_at = record.confirmed_at.map(|at| at.stepped(by_ms));
            record.down_since = record.down_since.map(|at| at.stepped(by_ms));
        }
        outage::step(self, by_ms);
        for incident in self.incidents.values_mut().filter(|i| i.status.is_open()) {
            incident.last_update_at = incident.last_update_at.map(|at| at.stepped(by_ms));
            incident.clock.step(by_ms);
        }
        for approval in self.approvals.values_mut().filter(|a| a.state.is_open()) {
            approval.requested_at = approval.requested_at.stepped(by_ms);
        }
        // Time boxes keep what is left of them.
        for recovery in self.recoveries.values_mut().filter(|r| r.state.is_open()) {
            if let Some(step) = recovery.steps.get_mut(recovery.step) {
                step.box_from = step.box_from.map(|at| at.stepped(by_ms));
            }
        }
        for play in self.playbooks.values_mut().filter(|p| p.state.is_open()) {
            if let Some(step) = play.at.as_ref().and_then(|at| play.steps.get_mut(at)) {
                step.box_from = step.box_from.map(|at| at.stepped(by_ms));
            }
        }
    }

    /// How long `incident` has been going on, or went on, with the steps of the wall clock taken out.
    pub fn elapsed(&self, incident: &Incident, now: Time) -> std::time::Duration {
        let over = !incident.status.is_open();
        let (end, stepped) = match (incident.resolved_at, incident.clock.ended_at) {
            (Some(end), _) if over => (end, incident.resolved_stepped_ms),
            (None, Some(end)) if over => (end, incident.clock.ended_stepped_ms),
            _ => (now, self.stepped_ms),
        };
        end.since(incident.declared_at.stepped(stepped.saturating_sub(incident.declared_stepped_ms)))
    }

    /// When it was declared, by the wall clock as it reads now.
    pub fn declared_now(&self, incident: &Incident) -> Time {
        incident.declared_at.stepped(self.stepped_ms.saturating_sub(incident.declared_stepped_ms))
    }

    /// Incidents whose clock runs, worst and oldest first.
    pub fn open_incidents(&self) -> Vec<&Incident> {
        let mut open: Vec<&Incident> = self.incidents.values().filter(|i| i.status.is_open()).collect();
        open.sort_by_key(|i| (i.severity, i.declared_seq));
        open
    }

    /// The id of the incident that `at` would get if declared now.
    pub fn next_incident_id(&self, now: Time) -> String {
        use chrono::Datelike;
        let year = now.to_chrono().year();
        format!("INC-{year}-{:03}", self.numbers.get(&year).copied().unwrap_or(0) + 1)
    }

    /// The incident that `id` goes on as: itself, or the one that it was merged into.
    pub fn surviving<'a>(&'a self, id: &'a str) -> &'a str {
        let mut id = id;
        // Each is merged at most once while it is closed; the bound is against a record that says otherwise.
        for _ in 0..self.incidents.len() {
            match self.incidents.get(id).and_then(|i| i.clock.ending.as_ref()) {
                Some(clock::Ending::Merged { into }) if self.incidents.contains_key(into) => id = into,
                _ => break,
            }
        }
        id
    }

    /// Runs in the order they were requested.
    pub fn runs_in_order(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.run_order.iter().filter_map(|id| self.runs.get(id))
    }

    /// Recoveries in the order they were started.
    pub fn recoveries_in_order(&self) -> impl DoubleEndedIterator<Item = &Recovery> {
        self.recovery_order.iter().filter_map(|id| self.recoveries.get(id))
    }

    /// The one that is under way or asks; there is never more than one.
    pub fn open_recovery(&self) -> Option<&Recovery> {
        self.recoveries_in_order().find(|r| r.state.is_open())
    }

    /// Requests for a second person in the order they were made.
    pub fn approvals_in_order(&self) -> impl DoubleEndedIterator<Item = &Approval> {
        self.approval_order.iter().filter_map(|id| self.approvals.get(id))
    }

    /// Who asked for what an entry starts: what was approved was asked for by another than who approved it.
    pub fn asked_by(&self, id: &str, entry: &Entry) -> String {
        self.approvals.get(id).map_or_else(|| entry.actor.user.clone(), |a| a.by.user.clone())
    }

    /// Playbooks in the order they were started.
    pub fn playbooks_in_order(&self) -> impl DoubleEndedIterator<Item = &Play> {
        self.playbook_order.iter().filter_map(|id| self.playbooks.get(id))
    }

    /// The one that is under way; there is never more than one.
    pub fn active_playbook(&self) -> Option<&Play> {
        self.playbooks_in_order().find(|p| p.state == PlayState::UnderWay)
    }

    /// Messages in the order they were queued.
    pub fn messages_in_order(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.message_order.iter().filter_map(|id| self.messages.get(id))
    }

    /// The unfinished run that holds any of `holds`, if there is one.
    pub fn holder(&self, holds: &[String]) -> Option<&Run> {
        self.runs_in_order().find(|r| !r.state.is_over() && r.plan.holds.iter().any(|h| holds.contains(h)))
    }

    /// Services that open incidents name.
    pub fn services_in_incidents(&self) -> BTreeSet<String> {
        self.open_incidents().iter().flat_map(|i| i.services.iter().cloned()).collect()
    }

    /// When the next update to the outside is due: see [`cadence::due`].
    pub fn update_due(&self, incident: &Incident) -> Option<Time> {
        cadence::due(self, incident).filter(|_| incident.status.is_open()).map(|due| due.at)
    }

    /// The severity a new incident gets when none is named: P0 when a tier-1 service is down, else P1.
    pub fn suggested_severity(&self) -> Severity {
        let tier1_down = self.services.iter().any(|(name, record)| {
            record.state == Health::Down
                && self.catalog.services.get(name).is_some_and(|f| f.tier == 1)
                && !self.availability.in_maintenance(name)
        });
        if tier1_down { Severity::P0 } else { Severity::P1 }
    }
}

fn parse_id(id: &str) -> Option<(i32, u32)> {
    let mut parts = id.strip_prefix("INC-")?.split('-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
