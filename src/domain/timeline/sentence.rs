//! One plain sentence for each kind of entry, with how much it weighs.

use super::Level;
use crate::domain::event::Event;
use crate::domain::health::Health;
use crate::domain::message::Delivery;
use crate::domain::run::{RunState, Verdict};
use crate::text;

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

fn list(items: &std::collections::BTreeSet<String>) -> String {
    items.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The first digits of a digest.
fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

fn all_or(items: &std::collections::BTreeSet<String>) -> String {
    if items.is_empty() { "everything".into() } else { list(items) }
}

/// How much it weighs, and what it says.
pub(super) fn sentence(event: &Event) -> (Level, String) {
    use Level::{Bad, Detail, Good, Info, Warn};
    match event {
        Event::EngineStarted(e) if e.clean => (Detail, format!("engine {} started", e.version)),
        Event::EngineStarted(e) => {
            (Warn, format!("engine {} started; the one before had ended without goodbye", e.version))
        }
        Event::EngineStopped(e) => (Detail, format!("engine stopped{}", because(&e.reason))),
        Event::ClockStepped(e) => (Warn, format!("the clock was moved by {} s", e.by_ms as f64 / 1000.0)),
        Event::HostSuspended(e) => {
            (Warn, format!("the host was suspended for {}", text::duration(std::time::Duration::from_millis(e.for_ms))))
        }
        Event::JournalHealed(e) => {
            (Warn, format!("a torn last line of {} bytes was moved aside to {}", e.bytes, e.moved_to))
        }
        Event::JournalGap(e) => (
            Bad,
            format!(
                "nothing could be recorded from {} to {}: {}; {} entries were kept in memory, {} are lost",
                e.since, e.until, e.why, e.kept, e.lost
            ),
        ),
        Event::JournalDamaged(e) => (Bad, format!("the journal is damaged: {} line {}: {}", e.part, e.line, e.why)),
        Event::ConfigLoaded(e) => (
            Detail,
            format!("configuration {} in force: {}", e.source, text::plural(e.catalog.services.len(), "service")),
        ),
        Event::ConfigRejected(e) => (
            Warn,
            format!(
                "configuration {} refused ({}); the one before stays in force{}",
                e.source,
                text::plural(e.faults.len(), "fault"),
                e.faults.first().map(|f| format!(": {f}")).unwrap_or_default()
            ),
        ),
        Event::HealthChanged(e) => {
            let level = match e.to {
                Health::Down => Bad,
                Health::Degraded | Health::Unknown => Warn,
                Health::Up if e.from == Health::Unknown => Detail,
                Health::Up => Good,
                Health::Paused => Info,
            };
            let cause = e.because.as_ref().map(|b| format!(" because of {b}")).unwrap_or_default();
            (level, format!("{} {} → {}{cause}{}", e.service, e.from.word(), e.to.word(), because(&e.detail)))
        }
        Event::HealthBecause(e) => match &e.because {
            Some(cause) => (Info, format!("{} is down because of {cause}", e.service)),
            None => (Detail, format!("{} is still down; what it depends on is not", e.service)),
        },
        Event::ServicePaused(e) => (Info, format!("paused {} until {}{}", e.service, e.until, because(&e.reason))),
        Event::ServiceResumed(e) => (Info, format!("resumed {}{}", e.service, because(&e.reason))),
        Event::ServiceHeld(e) => (
            Warn,
            format!("HELD {}: nothing of it is restarted or restored{}", all_or(&e.services), because(&e.reason)),
        ),
        Event::ServiceReleased(e) => (Info, format!("released {}{}", all_or(&e.services), because(&e.reason))),
        Event::ServiceTagged(e) => match &e.from {
            Some(from) => (Warn, format!("took the tag on {} over from {from}{}", e.service, because(&e.reason))),
            None => (Info, format!("tagged {}{}", e.service, because(&e.reason))),
        },
        Event::ServiceUntagged(e) => match &e.from {
            Some(from) => (Warn, format!("took {from}'s tag off {}{}", e.service, because(&e.reason))),
            None => (Info, format!("took the tag off {}{}", e.service, because(&e.reason))),
        },
        Event::MaintenanceBegan(e) => {
            let of = if e.services.is_empty() { "every service".into() } else { e.services.join(", ") };
            (Info, format!("maintenance {} of {of} began, until {}", e.window, e.until))
        }
        Event::MaintenanceEnded(e) => (Info, format!("maintenance {} ended", e.window)),
        Event::BackupChanged(e) => {
            use crate::domain::backup::BackupState as B;
            let level = match e.to {
                B::Missing | B::Stale => Bad,
                B::Suspect | B::Unknown => Warn,
                B::Fresh if e.from == B::Unknown => Detail,
                B::Fresh => Good,
            };
            (level, format!("backup {} {} → {}{}", e.backup, e.from.word(), e.to.word(), because(&e.detail)))
        }
        Event::BackupArrived(e) => {
            (Detail, format!("backup {} has a new copy {} ({})", e.backup, e.copy.id, e.copy.size_said()))
        }
        Event::IncidentDeclared(e) => {
            let on = if e.services.is_empty() { String::new() } else { format!(" affecting {}", list(&e.services)) };
            (Bad, format!("declared {} \"{}\"{on}", e.severity, e.title))
        }
        Event::IncidentOnset(e) => (Info, format!("onset {}{}", e.onset, because(&e.why))),
        Event::IncidentAcknowledged(_) => (Info, "acknowledged".into()),
        Event::IncidentSeverity(e) => {
            let level = if e.to < e.from { Bad } else { Info };
            (level, format!("severity {} → {}{}", e.from, e.to, because(&e.reason)))
        }
        Event::IncidentStatus(e) => {
            let forced = if e.forced { " FORCED" } else { "" };
            let level = match (e.to, e.forced) {
                (_, true) => Warn,
                (crate::domain::incident::Status::Resolved, _) => Good,
                _ => Info,
            };
            (level, format!("status {} → {}{forced}{}", e.from.word(), e.to.word(), because(&e.reason)))
        }
        Event::IncidentAssigned(e) => (Info, format!("{} is {}", e.role, e.user)),
        Event::IncidentServices(e) => {
            let mut parts = Vec::new();
            if !e.added.is_empty() {
                parts.push(format!("affected as well: {}", list(&e.added)));
            }
            if !e.removed.is_empty() {
                parts.push(format!("no longer affected: {}", list(&e.removed)));
            }
            (Info, parts.join("; "))
        }
        Event::IncidentTitled(e) => (Info, format!("title \"{}\"", e.title)),
        Event::IncidentReopened(e) => (Bad, format!("reopened{}", because(&e.reason))),
        Event::IncidentFalseAlarm(e) => (Info, format!("false alarm{}", because(&e.reason))),
        Event::IncidentMerged(e) => (Info, format!("merged into {}{}", e.into, because(&e.reason))),
        Event::IncidentAbsorbed(e) => {
            (Info, format!("{} \"{}\" was merged into this one{}", e.incident, e.title, because(&e.reason)))
        }
        Event::UpdateSnoozed(e) => {
            (Warn, format!("update due {}Z snoozed until {}Z{}", e.due.hms(), e.until.hms(), because(&e.reason)))
        }
        Event::IncidentEscalated(e) => {
            let via = match (e.channels.is_empty(), e.contacts.is_empty()) {
                (false, _) => format!("via {}", e.channels.join(", ")),
                (true, false) => format!("by no channel: call {}", e.contacts.join(", ")),
                (true, true) => "but nobody stands for it".into(),
            };
            let level = if e.level > 1 { Bad } else { Info };
            (level, format!("escalation level {}: {}, {via}{}", e.level, e.name, because(&e.why)))
        }
        Event::IncidentUnanswered(e) => {
            (Bad, format!("NOBODY IS LEFT TO CALL and nobody acknowledged{}", because(&e.why)))
        }
        Event::ContactCalled(e) => match e.answered {
            true => (Good, format!("called {}, who answered{}", e.contact, because(&e.note))),
            false => (Warn, format!("called {}: no answer{}", e.contact, because(&e.note))),
        },
        Event::IncidentSealed(e) => (Detail, format!("{} samples sealed into {}", e.samples, e.file)),
        Event::HypothesisOpened(_)
        | Event::HypothesisEvidence(_)
        | Event::HypothesisClosed(_)
        | Event::HypothesisReopened(_) => (Info, crate::domain::hypothesis::sentence(event).unwrap_or_default()),
        Event::HandoffOffered(_) | Event::HandoffTaken(_) | Event::HandoffWithdrawn(_) => {
            (Info, crate::domain::handoff::sentence(event).unwrap_or_default())
        }
        Event::NoteAdded(e) => (Info, e.text.clone()),
        Event::NoteImported(e) => {
            let author = if e.author.is_empty() { String::new() } else { format!("{}: ", e.author) };
            (Info, format!("{author}{}", e.text))
        }
        Event::NoteCorrected(_)
        | Event::EntryRetimed(_)
        | Event::EntryPinned(_)
        | Event::EntryHidden(_)
        | Event::EntriesJoined(_) => (Info, crate::domain::curation::sentence(event).unwrap_or_default()),
        Event::EvidenceAdded(e) => {
            let about = e.about.map(|seq| format!(" for entry {seq}")).unwrap_or_default();
            let size = text::size(e.size);
            let masked = if e.masked { ", secrets masked" } else { "" };
            (Info, format!("evidence{about}: {} ({}, {size}, sha256 {}{masked})", e.title, e.what, short(&e.digest)))
        }
        Event::ShellStarted(e) => {
            (Detail, format!("runs in a shell: {}", crate::domain::shell::said(&e.title, &e.command)))
        }
        Event::ShellFinished(e) => {
            let took = text::duration(std::time::Duration::from_millis(e.ms));
            let (level, end) = match (e.exit, e.signal) {
                (Some(0), _) => (Info, "exit 0".to_owned()),
                (Some(code), _) => (Warn, format!("exit {code}")),
                (None, Some(signal)) => (Warn, format!("ended by signal {signal}")),
                (None, None) => (Warn, "its end was not seen".to_owned()),
            };
            (level, format!("ran in a shell: {} ({end}, {took})", crate::domain::shell::said(&e.title, &e.command)))
        }
        Event::FollowupOpened(e) => {
            let owner = if e.owner.is_empty() { "nobody yet" } else { &e.owner };
            let due = e.due.map(|at| format!(", due {}", at.date())).unwrap_or_default();
            (Info, format!("follow-up {}: {} (owner {owner}{due})", e.id, e.text))
        }
        Event::FollowupChanged(e) => {
            let mut parts = Vec::new();
            parts.extend(e.text.as_ref().map(|t| format!("reads \"{t}\"")));
            parts.extend(e.owner.as_ref().map(|o| format!("owner {o}")));
            parts.extend(e.due.map(|at| format!("due {}", at.date())));
            parts.extend(e.class.as_ref().map(|c| format!("is to {c}")));
            (Info, format!("follow-up {}: {}", e.id, parts.join(", ")))
        }
        Event::FollowupClosed(e) => {
            let (level, word) = match (e.reopened, e.done) {
                (true, _) => (Warn, "is open again"),
                (false, true) => (Good, "is done"),
                (false, false) => (Warn, "will not be done"),
            };
            (level, format!("follow-up {} {word}{}", e.id, because(&e.reason)))
        }
        Event::ReviewChanged(e) => {
            let mut parts = Vec::new();
            parts.extend(e.status.as_ref().map(|s| format!("is {s}")));
            parts.extend(e.owner.as_ref().map(|o| format!("is written by {o}")));
            parts.extend(e.meeting.map(|at| format!("is talked over {at}")));
            (Info, format!("the review {}{}", parts.join(", "), because(&e.reason)))
        }
        Event::StepTaken(e) => (Detail, e.what.clone()),
        Event::RunRequested(e) => {
            let unlogged = if e.unlogged { " UNLOGGED" } else { "" };
            (Info, format!("requested {}{unlogged} (run {}){}", e.plan.title, e.plan.id, because(&e.reason)))
        }
        Event::HeadStartWithheld(e) => (Warn, format!("no head start of {}: {}", e.backup, e.why)),
        Event::RunClaimed(e) => (Detail, format!("run {} claimed by process {}", e.run, e.pid)),
        Event::RunStarted(e) => (Detail, format!("run {} started", e.run)),
        Event::RunPhase(e) => (Detail, format!("run {} phase {}", e.run, e.name)),
        Event::RunCancelRequested(e) => (Info, format!("asked to cancel run {}{}", e.run, because(&e.reason))),
        Event::RunSide(e) => {
            let mut parts = Vec::new();
            if let Some(side) = &e.side {
                let only = side.only();
                let role = match side.role {
                    _ if side.is_incomplete() => "is left incomplete beside",
                    _ if side.is_unverified() => "is paused, NOT verified, beside",
                    crate::domain::run::SideRole::Ready if only.is_some() => "is ready to be put into",
                    crate::domain::run::SideRole::Ready => "is ready to cut over to",
                    crate::domain::run::SideRole::Before => "is kept from before the cut-over of",
                    crate::domain::run::SideRole::Abandoned => "is kept, undone, beside",
                    crate::domain::run::SideRole::Beside if side.kind == "database" => {
                        "holds tables to be moved by hand into"
                    }
                    crate::domain::run::SideRole::Beside => "is put beside the live tables of",
                    crate::domain::run::SideRole::Serving => "was promoted and handed over for",
                };
                let only = only.map(|o| format!(" ({o})")).unwrap_or_default();
                parts.push(format!("{} {}{only} {role} {}", side.kind, side.name, side.live));
            }
            if !e.gone.is_empty() {
                parts.push(format!("dropped {}", e.gone.join(", ")));
            }
            (Info, format!("run {}: {}", e.run, parts.join("; ")))
        }
        Event::RunFinished(e) => {
            let level = match (e.state, e.verdict) {
                (_, Verdict::Contradicted) => Bad,
                (RunState::Succeeded, Verdict::Verified) => Good,
                (RunState::Succeeded, Verdict::Unverified) => Info,
                (RunState::Cancelled | RunState::Expired, _) => Warn,
                _ => Bad,
            };
            let exit = e.exit.map(|x| format!(", exit {x}")).unwrap_or_default();
            let verdict = match e.verdict {
                Verdict::Contradicted => "CONTRADICTED".to_owned(),
                v => v.word().to_owned(),
            };
            (level, format!("run {} {}{exit}, {verdict}{}", e.run, e.state.word(), because(&e.detail)))
        }
        Event::ApprovalRequested(e) => (
            Warn,
            format!(
                "asks for a second person to approve {} (mayday approve {}): \"{}\"{}",
                e.title,
                e.approval,
                e.words,
                because(&e.reason)
            ),
        ),
        Event::ApprovalGiven(e) => (Info, format!("approved {} for {} (\"{}\")", e.title, e.requested_by, e.words)),
        Event::ApprovalEnded(e) => (
            Warn,
            format!("the request for a second person to approve {} is {}{}", e.title, e.how.word(), because(&e.reason)),
        ),
        Event::GlassBroken(e) => {
            (Bad, format!("BROKE THE GLASS: {} without a second person{}", e.title, because(&e.reason)))
        }
        Event::RecoveryStarted(e) => (
            Info,
            format!(
                "started recovery {} ({}) of {} (recovery {}){}",
                e.plan.name,
                e.plan.title,
                text::plural(e.plan.steps.len(), "step"),
                e.plan.id,
                because(&e.reason)
            ),
        ),
        Event::RecoveryStep(e) => {
            let level = if e.state == crate::domain::recovery::StepState::Good { Good } else { Info };
            (
                level,
                format!(
                    "recovery {} step {} ({}) {}{}",
                    e.recovery,
                    e.step + 1,
                    e.title,
                    e.state.word(),
                    because(&e.detail)
                ),
            )
        }
        Event::RecoveryStopped(e) => (
            Bad,
            format!(
                "RECOVERY STOPPED at step {} ({}), {}{}; resume, skip or stop (recovery {})",
                e.step + 1,
                e.title,
                e.why.word(),
                because(&e.detail),
                e.recovery
            ),
        ),
        Event::RecoveryResumed(e) => {
            let how = match (&e.run, e.vouched) {
                (Some(run), true) => format!("vouched for run {run}, and went on with"),
                _ if e.again => "tried again".to_owned(),
                _ => "resumed".to_owned(),
            };
            let accepts = e.accepts.as_ref().map(|a| format!(", now {}", a.title)).unwrap_or_default();
            (
                Info,
                format!(
                    "{how} step {} ({}){accepts} of recovery {}{}",
                    e.step + 1,
                    e.title,
                    e.recovery,
                    because(&e.reason)
                ),
            )
        }
        Event::RecoverySkipped(e) => (
            Warn,
            format!("skipped step {} ({}) of recovery {}{}", e.step + 1, e.title, e.recovery, because(&e.reason)),
        ),
        Event::RecoveryFinished(e) => {
            let skipped =
                if e.skipped == 0 { String::new() } else { format!(", {} skipped", text::plural(e.skipped, "step")) };
            match e.complete {
                true if e.skipped == 0 => (Good, format!("recovery {} complete: every step is good", e.recovery)),
                true => (Warn, format!("recovery {} complete{skipped}", e.recovery)),
                false => (Warn, format!("recovery {} ended before its end{skipped}{}", e.recovery, because(&e.reason))),
            }
        }
        Event::PlaybookStarted(e) => (
            Info,
            format!(
                "started playbook {} ({}) of {}{}",
                e.text.name,
                e.text.title,
                text::plural(e.text.steps.len(), "step"),
                because(&e.reason)
            ),
        ),
        Event::PlaybookBegan(e) => {
            let what = [("run", &e.run), ("recovery", &e.recovery), ("message", &e.message)];
            let what = what.into_iter().find_map(|(what, id)| Some(format!("{what} {}", id.as_ref()?)));
            (Detail, format!("playbook step {} ({}) is carried out by {}", e.step, e.title, what.unwrap_or_default()))
        }
        Event::PlaybookStep(e) => {
            use crate::domain::playbook::StepState;
            let level = match e.state {
                StepState::Done => Good,
                StepState::Failed => Bad,
                StepState::Skipped | StepState::Unproven => Warn,
                StepState::Waiting | StepState::UnderWay => Info,
            };
            let word = if e.state == StepState::UnderWay { "vouched for" } else { e.state.word() };
            (level, format!("playbook step {} ({}) {word}{}", e.step, e.title, because(&e.detail)))
        }
        Event::PlaybookAgain(e) => {
            (Info, format!("playbook step {} ({}) is tried again{}", e.step, e.title, because(&e.reason)))
        }
        Event::PlaybookPassed(e) => {
            (Warn, format!("went on after the FAILED playbook step {} ({}){}", e.step, e.title, because(&e.reason)))
        }
        Event::PlaybookChosen(e) => {
            let title = if e.option_title.is_empty() { String::new() } else { format!(" ({})", e.option_title) };
            (Info, format!("chose {}{title} at playbook step {} ({}){}", e.option, e.step, e.title, because(&e.reason)))
        }
        Event::PlaybookEvidence(e) => {
            let file = if e.file.is_empty() { String::new() } else { format!(" (file {})", e.file) };
            (Info, format!("evidence for playbook step {} ({}){file}{}", e.step, e.title, because(&e.text)))
        }
        Event::PlaybookLeft(e) => {
            (Info, format!("left playbook {} at step {} ({}){}", e.playbook, e.step, e.title, because(&e.reason)))
        }
        Event::PlaybookChanged(e) if e.difference.is_empty() => {
            (Info, format!("playbook {} is configured again as it was started", e.name))
        }
        Event::PlaybookChanged(e) => {
            (Warn, format!("PLAYBOOK {} HAS CHANGED since it was started{}", e.name, because(&e.difference.join("; "))))
        }
        Event::PlaybookResumed(e) => {
            let how = match (&e.taken, &e.from) {
                (Some(_), Some(from)) => format!("with its new text from step {from} on"),
                _ => format!("at step {}", e.step),
            };
            (Info, format!("resumed playbook {} {how}{}", e.playbook, because(&e.reason)))
        }
        Event::PlaybookFinished(e) => {
            let told = [(e.skipped, "skipped"), (e.failed, "failed")]
                .into_iter()
                .filter(|(n, _)| *n > 0)
                .map(|(n, what)| format!(", {} {what}", text::plural(n, "step")))
                .collect::<String>();
            match e.complete {
                true if told.is_empty() => (Good, format!("playbook {} is through", e.name)),
                true => (Warn, format!("playbook {} is through{told}", e.name)),
                false => (Warn, format!("playbook {} was stopped before its end{told}{}", e.name, because(&e.reason))),
            }
        }
        Event::ChecklistOpened(e) => (
            Info,
            format!(
                "checklist {} ({}) is to be seen to",
                e.checklist.name,
                text::plural(e.checklist.items.len(), "item")
            ),
        ),
        Event::ChecklistTicked(e) => {
            let (level, word) = if e.ticked { (Good, "ticked") } else { (Warn, "took back the tick of") };
            (level, format!("{word} \"{}\" of checklist {}{}", e.item, e.checklist, because(&e.note)))
        }
        Event::MessageQueued(e) => {
            let auto = if e.automatic { ", by configuration" } else { "" };
            (Info, format!("{} message to {}{auto}: {}", e.template.word(), e.channels.join(", "), e.subject))
        }
        Event::MessageAttempted(e) => {
            let level = match e.result {
                Delivery::Accepted => Good,
                Delivery::Queued | Delivery::Retrying => Warn,
                Delivery::Refused | Delivery::Undelivered => Bad,
            };
            (
                level,
                format!(
                    "{} {} by {} (attempt {}){}",
                    e.message,
                    e.result.word(),
                    e.channel,
                    e.attempt,
                    because(&e.answer)
                ),
            )
        }
        Event::EntryRedacted(e) => (Warn, crate::domain::redaction::sentence(e)),
        Event::EntryLeft(e) => (Detail, format!("what is left of entry {}", e.entry)),
        Event::RedactionFinished(e) => crate::domain::redaction::finished(e),
        Event::CommandRefused(e) => (Detail, format!("refused: {}{}", e.asked, because(&e.reason))),
        Event::Unknown { kind, payload } => (Detail, format!("{kind} {payload}")),
    }
}
