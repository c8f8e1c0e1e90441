//! What happened: one type per journal kind, and the entry that carries it.
//!
//! Kinds are a public contract: fields are only ever added (with a default), kinds never change their meaning. A kind
//! that this version does not know is kept whole as [`Event::Unknown`] and shown raw.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::actor::Actor;
use super::approval::ApprovalState;
use super::backup::{BackupState, Copy};
use super::catalog::{Catalog, Severity};
use super::checklist::Checklist;
use super::health::Health;
use super::hypothesis::{Basis, Stance, Standing};
use super::incident::Status;
use super::message::{Delivery, Template};
use super::playbook::{self, Playbook};
use super::recovery::{OfStep, RecoveryPlan, Shown, StepState, Why};
use super::run::{Plan, RunState, Side, Verdict};
use super::time::Time;

macro_rules! events {
    // A variant that is large and rare is held apart, so that the many small ones stay small: a long incident has 100,000.
    (@held $name:ident) => { $name };
    (@held $name:ident $apart:ident) => { $apart<$name> };
    ($($(#[$doc:meta])* $kind:literal => $([$apart:ident])? $name:ident { $($(#[$fdoc:meta])* $field:ident : $ty:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
            pub struct $name { $($(#[$fdoc])* pub $field: $ty),* }
            impl From<$name> for Event { fn from(e: $name) -> Event { Event::$name(e.into()) } }
        )*

        /// One thing that happened.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Event {
            $($(#[$doc])* $name(events!(@held $name $($apart)?)),)*
            /// A kind of another version, or a payload that was redacted or does not read.
            Unknown { kind: String, payload: Value },
        }

        impl Event {
            /// All kinds this version writes.
            pub const KINDS: &'static [&'static str] = &[$($kind),*];

            /// The journal's name of it.
            pub fn kind(&self) -> &str {
                match self { $(Event::$name(_) => $kind,)* Event::Unknown { kind, .. } => kind }
            }

            /// The fields, as they are stored.
            pub fn payload(&self) -> Value {
                match self {
                    $(Event::$name(e) => serde_json::to_value(e).unwrap_or(Value::Null),)*
                    Event::Unknown { payload, .. } => payload.clone(),
                }
            }

            /// Reads a stored kind and payload; what is not understood is kept as it is.
            pub fn read(kind: &str, payload: Value) -> Event {
                match kind {
                    $($kind => match serde_json::from_value::<$name>(payload.clone()) {
                        Ok(e) => Event::from(e),
                        Err(_) => Event::Unknown { kind: kind.to_owned(), payload },
                    },)*
                    _ => Event::Unknown { kind: kind.to_owned(), payload },
                }
            }
        }
    };
}

events! {
    /// The engine took over this state directory.
    "engine.started" => EngineStarted { version: String, pid: u32,
        /// The one before said goodbye.
        clean: bool }
    /// The engine ended on request.
    "engine.stopped" => EngineStopped { reason: String }
    /// The wall clock moved against the monotonic one by this many milliseconds.
    "clock.stepped" => ClockStepped { by_ms: i64 }
    /// The host was suspended for this many milliseconds.
    "host.suspended" => HostSuspended { for_ms: u64 }
    /// A torn last line was moved aside on opening.
    "journal.healed" => JournalHealed { moved_to: String, bytes: u64 }
    /// Entries were kept in memory for a while because nothing could be written.
    "journal.gap" => JournalGap { since: Time, until: Time, kept: u64, lost: u64, why: String }
    /// A part of the journal failed its verification.
    "journal.damaged" => JournalDamaged { part: String, line: u64, why: String }
    /// The payload of the entry `seq` is blanked in the record; its digest stays, so that the chain still verifies.
    /// With `seq` 0 no entry is: only files.
    "entry.redacted" => EntryRedacted { seq: u64, why: String,
        /// The next entry, an `entry.left`, says what of it stays.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")] left: bool,
        /// Where the same text is destroyed in files beside the journal.
        #[serde(default, skip_serializing_if = "Vec::is_empty")] files: Vec<RedactedFile> }
    /// What of a redacted entry stays: it reads so from then on.
    "entry.left" => EntryLeft { entry: u64, payload: Value }
    /// Everything that `entry.redacted` entries from `from` on name is destroyed, but for what `failed` names.
    "redaction.finished" => RedactionFinished { from: u64, entries: u64, files: u64, places: u64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")] failed: Vec<String> }
    /// A configuration came into force.
    "config.loaded" => [Box] ConfigLoaded { digest: String, source: String, catalog: Catalog }
    /// A configuration was refused; the one before stays in force.
    "config.rejected" => ConfigRejected { source: String, faults: Vec<String> }

    /// A confirmed change of a service's state.
    "health.changed" => HealthChanged { service: String, from: Health, to: Health, check: String, detail: String,
        #[serde(default, skip_serializing_if = "Option::is_none")] because: Option<String>,
        /// First failure of the confirming streak (for down), or first success (for up).
        #[serde(default, skip_serializing_if = "Option::is_none")] happened_at: Option<Time> }
    /// Only the cause changed: what it is down because of.
    "health.because" => HealthBecause { service: String, because: Option<String> }
    /// A person paused a service's checks.
    "service.paused" => ServicePaused { service: String, until: Time, reason: String }
    /// A pause ended, by a person or by its expiry.
    "service.resumed" => ServiceResumed { service: String, reason: String }
    /// Nothing is restarted or restored of these until they are released; with none named, of anything.
    "service.held" => ServiceHeld { services: BTreeSet<String>, reason: String }
    /// Released again; with none named, all that was held.
    "service.released" => ServiceReleased { services: BTreeSet<String>, reason: String }
    /// A person put a tag on it: nobody touches it meanwhile.
    "service.tagged" => ServiceTagged { service: String, reason: String,
        /// Whose tag was taken over.
        #[serde(default, skip_serializing_if = "Option::is_none")] from: Option<String> }
    "service.untagged" => ServiceUntagged { service: String,
        #[serde(default, skip_serializing_if = "String::is_empty")] reason: String,
        /// Whose tag it was, when somebody else took it off.
        #[serde(default, skip_serializing_if = "Option::is_none")] from: Option<String> }

    /// Announced maintenance began; of all services when none is named.
    "maintenance.began" => MaintenanceBegan { window: String, services: Vec<String>, until: Time }
    "maintenance.ended" => MaintenanceEnded { window: String, services: Vec<String> }

    /// A confirmed change of a backup set's state.
    "backup.changed" => [Box] BackupChanged { backup: String, from: BackupState, to: BackupState, detail: String,
        #[serde(default, skip_serializing_if = "Option::is_none")] newest: Option<Copy> }
    /// A new good copy appeared.
    "backup.arrived" => [Box] BackupArrived { backup: String, copy: Copy }

    "incident.declared" => IncidentDeclared { title: String, severity: Severity, services: BTreeSet<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")] onset: Option<Time>,
        /// `human` or the name of a trigger.
        source: String }
    /// When the trouble began, found by the probes or stated.
    "incident.onset" => IncidentOnset { onset: Time, why: String }
    "incident.acknowledged" => IncidentAcknowledged {}
    "incident.severity" => IncidentSeverity { from: Severity, to: Severity, reason: String }
    "incident.status" => IncidentStatus { from: Status, to: Status, reason: String,
        /// Resolved against the rules, with the reason given.
        #[serde(default)] forced: bool }
    "incident.assigned" => IncidentAssigned { role: String, user: String }
    "incident.services" => IncidentServices { added: BTreeSet<String>, removed: BTreeSet<String> }
    "incident.titled" => IncidentTitled { title: String }
    "incident.reopened" => IncidentReopened { reason: String }
    /// It was none; closing follows.
    "incident.false-alarm" => IncidentFalseAlarm { reason: String }
    /// It goes on as another one; closing follows.
    "incident.merged" => IncidentMerged { into: String, reason: String }
    /// Another incident was merged into this one.
    "incident.absorbed" => IncidentAbsorbed { incident: String, title: String, reason: String }
    /// A person put the next update off.
    "update.snoozed" => UpdateSnoozed { until: Time, reason: String,
        /// When it was due until then.
        due: Time }
    /// A level of the ladder is called.
    "incident.escalated" => IncidentEscalated {
        /// From 1.
        level: u32, name: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")] contacts: Vec<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")] channels: Vec<String>,
        /// Id of the message to those channels; empty when there are none.
        #[serde(default, skip_serializing_if = "String::is_empty")] message: String,
        why: String }
    /// Every level was called, and nobody acknowledged.
    "incident.unanswered" => IncidentUnanswered { why: String }
    /// A person called a contact by phone.
    "contact.called" => ContactCalled { contact: String, answered: bool,
        #[serde(default, skip_serializing_if = "String::is_empty")] note: String }
    /// The samples before and during it were sealed into its folder.
    "incident.sealed" => IncidentSealed { file: String, digest: String, samples: u64 }

    /// What somebody thinks is wrong.
    "hypothesis.opened" => HypothesisOpened { hypothesis: String, text: String }
    /// What speaks for it or against it, and what that rests on.
    "hypothesis.evidence" => HypothesisEvidence { hypothesis: String, stance: Stance, basis: Basis, text: String }
    /// It was confirmed or eliminated.
    "hypothesis.closed" => HypothesisClosed { hypothesis: String, standing: Standing, reason: String }
    "hypothesis.reopened" => HypothesisReopened { hypothesis: String, reason: String }

    /// The one who leads offers the role, to `to` or to whoever takes it, with the capsule as it was read.
    "handoff.offered" => HandoffOffered { role: String,
        #[serde(default, skip_serializing_if = "Option::is_none")] to: Option<String>,
        #[serde(default, skip_serializing_if = "String::is_empty")] remark: String,
        capsule: Vec<String> }
    /// The role passed to `to`, who confirmed the offer at this position.
    "handoff.taken" => HandoffTaken { offered: u64, role: String, from: String, to: String }
    "handoff.withdrawn" => HandoffWithdrawn { offered: u64,
        #[serde(default, skip_serializing_if = "String::is_empty")] reason: String }

    "note.added" => NoteAdded { text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")] happened_at: Option<Time> }
    /// A note reads differently from now on; as it was written first it stays on record.
    "note.corrected" => NoteCorrected { entry: u64, text: String,
        #[serde(default, skip_serializing_if = "String::is_empty")] reason: String }
    /// A line of another record (a chat, a log, a recording, free text) that was taken in afterwards.
    "note.imported" => NoteImported { text: String, happened_at: Time,
        /// Who wrote or did it, as that record says; may be empty.
        #[serde(default, skip_serializing_if = "String::is_empty")] author: String,
        /// `lines`, `slack`, `chat`, `alertmanager`, `journald`, `asciicast`, `script`.
        format: String,
        /// Name of the file it came from.
        #[serde(default, skip_serializing_if = "String::is_empty")] source: String,
        /// Makes taking the same line in twice harmless: of its moment, author and text.
        key: String }
    /// When an entry happened, where that is not when it was recorded.
    "entry.retimed" => EntryRetimed { entry: u64, happened_at: Time, reason: String }
    /// An entry stands out in the timeline for people; or (`pinned: false`) does not any more.
    "entry.pinned" => EntryPinned { entry: u64, pinned: bool,
        #[serde(default, skip_serializing_if = "String::is_empty")] reason: String }
    /// An entry is left out of the timeline for people; or (`hidden: false`) is shown again.
    "entry.hidden" => EntryHidden { entry: u64, hidden: bool,
        #[serde(default, skip_serializing_if = "String::is_empty")] reason: String }
    /// Entries stand together under a title; an empty one takes them apart.
    "entry.joined" => EntriesJoined { entries: BTreeSet<u64>, title: String }
    /// What shows that something was so; kept in the incident's folder where `file` names it.
    "evidence.added" => EvidenceAdded {
        /// The entry that it speaks for.
        #[serde(default, skip_serializing_if = "Option::is_none")] about: Option<u64>,
        /// `output` of a run, `log`, `file`, `text`.
        what: String, title: String,
        /// SHA-256 and bytes of what is kept.
        digest: String, size: u64,
        #[serde(default, skip_serializing_if = "String::is_empty")] excerpt: String,
        #[serde(default, skip_serializing_if = "String::is_empty")] file: String,
        /// A secret stood in it and was masked: what is kept is not what was handed over.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")] masked: bool }
    /// Somebody runs a command in a shell of their own and lets mayday watch (`mayday run -- …`).
    "shell.started" => ShellStarted { id: String, command: Vec<String>,
        #[serde(default, skip_serializing_if = "String::is_empty")] dir: String,
        /// What it is for, in the words of whoever ran it.
        #[serde(default, skip_serializing_if = "String::is_empty")] title: String,
        /// When, where no engine was there to be told at once.
        #[serde(default, skip_serializing_if = "Option::is_none")] happened_at: Option<Time> }
    "shell.finished" => ShellFinished { id: String, command: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")] exit: Option<i32>,
        #[serde(default, skip_serializing_if = "Option::is_none")] signal: Option<i32>,
        /// How long it ran, in milliseconds.
        ms: u64,
        /// SHA-256 and bytes of its output.
        #[serde(default, skip_serializing_if = "String::is_empty")] output_digest: String,
        #[serde(default)] size: u64,
        /// The last lines of it, cleaned and masked.
        #[serde(default, skip_serializing_if = "String::is_empty")] excerpt: String,
        /// Its file in the incident's folder.
        #[serde(default, skip_serializing_if = "String::is_empty")] file: String,
        #[serde(default, skip_serializing_if = "String::is_empty")] title: String,
        #[serde(default, skip_serializing_if = "Option::is_none")] happened_at: Option<Time> }
    /// Something is to be done after the incident.
    "followup.opened" => FollowupOpened {
        /// `INC-2026-004.3`.
        id: String, text: String,
        #[serde(default, skip_serializing_if = "String::is_empty")] owner: String,
        #[serde(default, skip_serializing_if = "Option::is_none")] due: Option<Time>,
        /// What it does about the next incident: `mitigate`, `prevent`, `detect`, `process`; may be empty.
        #[serde(default, skip_serializing_if = "String::is_empty")] class: String,
        /// The note that it was made from.
        #[serde(default, skip_serializing_if = "Option::is_none")] from: Option<u64> }
    /// Fields that are given changed.
    "followup.changed" => FollowupChanged { id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")] text: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")] owner: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")] due: Option<Time>,
        #[serde(default, skip_serializing_if = "Option::is_none")] class: Option<String> }
    /// It was done, or (`done: false`) will not be; `reopened` takes that back.
    "followup.closed" => FollowupClosed { id: String, done: bool,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")] reopened: bool,
        #[serde(default, skip_serializing_if = "String::is_empty")] reason: String }
    /// Who writes the review, how far it is, when it is talked over; fields that are given changed.
    "review.changed" => ReviewChanged {
        #[serde(default, skip_serializing_if = "Option::is_none")] owner: Option<String>,
        /// `draft`, `in-review`, `reviewed`.
        #[serde(default, skip_serializing_if = "Option::is_none")] status: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")] meeting: Option<Time>,
        #[serde(default, skip_serializing_if = "String::is_empty")] reason: String }
    /// A step of a person on the way to an action: opened, chose, typed, left.
    "step.taken" => StepTaken { what: String,
        #[serde(default, skip_serializing_if = "Option::is_none")] about: Option<String> }

    "run.requested" => [Box] RunRequested { plan: Plan,
        #[serde(default, skip_serializing_if = "String::is_empty")] reason: String,
        #[serde(default)] unlogged: bool,
        /// The step of a recovery that it carries out.
        #[serde(default, skip_serializing_if = "Option::is_none")] recovery: Option<OfStep>,
        /// A head start, or the drop of one: nobody pressed a key for it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")] head_start: bool }
    "run.claimed" => RunClaimed { run: String, pid: u32 }
    "run.started" => RunStarted { run: String }
    "run.phase" => RunPhase { run: String, phase: usize, name: String }
    "run.cancel-requested" => RunCancelRequested { run: String, reason: String }
    /// Left something beside the live data, or kept what was live; `gone` names what no longer exists.
    "run.side" => [Box] RunSide { run: String,
        #[serde(default, skip_serializing_if = "Option::is_none")] side: Option<Side>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")] gone: Vec<String> }
    "run.finished" => RunFinished { run: String, state: RunState,
        #[serde(default, skip_serializing_if = "Option::is_none")] exit: Option<i32>,
        verdict: Verdict, detail: String,
        #[serde(default, skip_serializing_if = "Option::is_none")] finished_at: Option<Time>,
        /// SHA-256 of the captured output.
        #[serde(default, skip_serializing_if = "String::is_empty")] output_digest: String,
        /// The last lines of the output, cleaned and masked.
        #[serde(default, skip_serializing_if = "String::is_empty")] excerpt: String }

    /// A head start was not begun, or what it made was not dropped; it is not tried again.
    "headstart.withheld" => HeadStartWithheld { backup: String, why: String }

    /// A plan was confirmed and waits for a second person; one of `plan` and `recovery` is there.
    "approval.requested" => [Box] ApprovalRequested { approval: String, title: String,
        /// Of the plan's JSON, and the words that are said of it.
        digest: String, words: String,
        /// Why a second person is needed.
        #[serde(default, skip_serializing_if = "String::is_empty")] why: String,
        #[serde(default, skip_serializing_if = "String::is_empty")] reason: String,
        #[serde(default)] unlogged: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")] plan: Option<Plan>,
        #[serde(default, skip_serializing_if = "Option::is_none")] recovery: Option<RecoveryPlan> }
    /// Another person approved exactly this; its start is the next entry.
    "approval.given" => ApprovalGiven { approval: String, title: String, digest: String, words: String,
        requested_by: String }
    /// It ended without: declined, withdrawn, expired, lost, replaced.
    "approval.ended" => ApprovalEnded { approval: String, title: String, how: ApprovalState,
        #[serde(default, skip_serializing_if = "String::is_empty")] reason: String }
    /// Whoever asked started it without a second person.
    "glass.broken" => GlassBroken { approval: String, title: String, digest: String, reason: String,
        /// Why a second person was needed.
        #[serde(default, skip_serializing_if = "String::is_empty")] why: String }

    /// A recovery was confirmed as a whole; its steps follow.
    "recovery.started" => [Box] RecoveryStarted { plan: RecoveryPlan,
        #[serde(default, skip_serializing_if = "String::is_empty")] reason: String }
    /// A step was begun, or is good: by what was seen, or by a person's word.
    "recovery.step" => RecoveryStep { recovery: String, step: usize, title: String, state: StepState,
        #[serde(default, skip_serializing_if = "String::is_empty")] detail: String }
    /// It stopped at a step and asks: resume, skip or stop.
    "recovery.stopped" => [Box] RecoveryStopped { recovery: String, step: usize, title: String, why: Why, detail: String,
        /// What would be executed now, where that is not what was confirmed.
        #[serde(default, skip_serializing_if = "Option::is_none")] now: Option<Shown> }
    "recovery.resumed" => [Box] RecoveryResumed { recovery: String, step: usize, title: String,
        /// The step is tried once more, from its beginning or from what `run` left.
        #[serde(default)] again: bool,
        /// The run that counts on: one under way, one that has ended well since.
        #[serde(default, skip_serializing_if = "Option::is_none")] run: Option<String>,
        /// Which of its runs `accepts` is about.
        #[serde(default)] part: usize,
        /// A person vouches for the effect of `run`.
        #[serde(default)] vouched: bool,
        /// What was confirmed in place of what had been.
        #[serde(default, skip_serializing_if = "Option::is_none")] accepts: Option<Shown>,
        #[serde(default, skip_serializing_if = "String::is_empty")] reason: String }
    "recovery.skipped" => RecoverySkipped { recovery: String, step: usize, title: String, reason: String }
    /// Every step is good or was skipped (`complete`), or a person ended it before.
    "recovery.finished" => RecoveryFinished { recovery: String, complete: bool, skipped: usize,
        #[serde(default, skip_serializing_if = "String::is_empty")] reason: String }

    /// A playbook was started; its steps as they are meant are part of the record.
    "playbook.started" => [Box] PlaybookStarted { id: String, text: Playbook,
        #[serde(default, skip_serializing_if = "String::is_empty")] reason: String }
    /// The run, recovery or message that carries out a step; it stands before what it names.
    "playbook.began" => PlaybookBegan { playbook: String, step: String, title: String,
        /// 1 for the cut-over of a restore.
        #[serde(default)] part: usize,
        #[serde(default, skip_serializing_if = "Option::is_none")] run: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")] recovery: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")] message: Option<String> }
    /// A step is over, or a person has to say; `next` is the step it is at from then on.
    "playbook.step" => PlaybookStep { playbook: String, step: String, title: String, state: playbook::StepState,
        #[serde(default, skip_serializing_if = "String::is_empty")] detail: String,
        #[serde(default, skip_serializing_if = "Option::is_none")] next: Option<String> }
    /// A step that failed is tried once more.
    "playbook.again" => PlaybookAgain { playbook: String, step: String, title: String,
        #[serde(default, skip_serializing_if = "String::is_empty")] reason: String }
    /// The way on was taken although the step failed; it stays failed.
    "playbook.passed" => PlaybookPassed { playbook: String, step: String, title: String, reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")] next: Option<String> }
    "playbook.chosen" => PlaybookChosen { playbook: String, step: String, title: String, option: String,
        option_title: String,
        #[serde(default, skip_serializing_if = "String::is_empty")] reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")] next: Option<String> }
    "playbook.evidence" => PlaybookEvidence { playbook: String, step: String, title: String, text: String,
        #[serde(default, skip_serializing_if = "String::is_empty")] file: String,
        #[serde(default, skip_serializing_if = "String::is_empty")] digest: String,
        #[serde(default, skip_serializing_if = "Option::is_none")] size: Option<u64> }
    "playbook.left" => PlaybookLeft { playbook: String, step: String, title: String,
        #[serde(default, skip_serializing_if = "String::is_empty")] reason: String }
    /// What is configured is not (or is again) what was started; a person says which one holds.
    "playbook.changed" => [Box] PlaybookChanged { playbook: String, name: String, digest: String, difference: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")] now: Option<Playbook> }
    "playbook.resumed" => [Box] PlaybookResumed { playbook: String, step: String,
        /// The new text, from this step on; absent when the one that was started goes on.
        #[serde(default, skip_serializing_if = "Option::is_none")] taken: Option<Playbook>,
        #[serde(default, skip_serializing_if = "Option::is_none")] from: Option<String>,
        #[serde(default, skip_serializing_if = "String::is_empty")] reason: String }
    "playbook.finished" => PlaybookFinished { playbook: String, name: String, complete: bool, skipped: usize, failed: usize,
        #[serde(default, skip_serializing_if = "String::is_empty")] reason: String }
    /// A checklist is to be seen to; its items are part of the record.
    "checklist.opened" => [Box] ChecklistOpened { checklist: Checklist }
    "checklist.ticked" => ChecklistTicked { checklist: String, item: String,
        /// False: the tick was taken back.
        ticked: bool,
        #[serde(default, skip_serializing_if = "String::is_empty")] note: String }

    "message.queued" => MessageQueued {
        /// The key by which far ends recognise a repeat.
        id: String, template: Template, subject: String, body: String, channels: Vec<String>,
        /// Sent by configuration, not by a person.
        #[serde(default)] automatic: bool }
    /// What one channel answered to one attempt.
    "message.attempted" => MessageAttempted { message: String, channel: String, attempt: u32, result: Delivery,
        answer: String,
        #[serde(default, skip_serializing_if = "Option::is_none")] next_at: Option<Time>,
        /// The head of the record that was printed in it: it proves later what stood before.
        #[serde(default, skip_serializing_if = "String::is_empty")] head: String }

    /// A command was refused: what was asked, and why not.
    "command.refused" => CommandRefused { asked: String, reason: String }
}

/// Places in a file at which a text is destroyed. The text itself is nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedactedFile {
    /// Below the state directory, or absolute.
    pub file: String,
    /// Device, inode, and when it was made in microseconds where that is known: another file is left alone, also one that
    /// was given the number of one that is gone.
    pub id: (u64, u64, u64),
    /// First byte and length of each place.
    pub places: Vec<(u64, u64)>,
}

/// One entry of the journal, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub seq: u64,
    /// When it was recorded.
    pub at: Time,
    /// Milliseconds of the boot clock, which neither steps nor stops in suspend.
    pub boot_ms: u64,
    /// Which boot `boot_ms` belongs to.
    pub boot: String,
    pub host: String,
    pub actor: Actor,
    pub incident: Option<String>,
    pub event: Event,
}

impl Entry {
    /// When it happened: as stated, else when it was recorded.
    pub fn happened_at(&self) -> Time {
        match &self.event {
            Event::HealthChanged(e) => e.happened_at,
            Event::NoteAdded(e) => e.happened_at,
            Event::NoteImported(e) => Some(e.happened_at),
            Event::RunFinished(e) => e.finished_at,
            Event::ShellStarted(e) => e.happened_at,
            Event::ShellFinished(e) => e.happened_at,
            _ => None,
        }
        .unwrap_or(self.at)
    }
}

/// Free-form fields by name, for callers that show an event raw.
pub fn fields(event: &Event) -> BTreeMap<String, Value> {
    match event.payload() {
        Value::Object(map) => map.into_iter().collect(),
        other => BTreeMap::from([("payload".to_owned(), other)]),
    }
}
