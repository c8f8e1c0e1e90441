//! What the fold alone says of the parts of the picture.
//!
//! Pure: the same for the engine, which adds what it sees and measures right now, and for a replay, which has nothing but
//! the record. What only the engine knows (checks, copies in a folder, progress of a run, texts of the configuration)
//! is left as it is by default: never guessed here.

use std::collections::HashMap;
use std::time::Duration;

use super::GuardView;
use super::view::{
    BackupView, ClockView, Head, HeadStartView, IncidentView, MonthView, NextLevel, PlaybookView, RecoveryView,
    RunView, ServiceView,
};
use crate::domain::Time;
use crate::domain::approval::Approval;
use crate::domain::availability::{self, Moment, TARGET};
use crate::domain::backup::proof::Proof;
use crate::domain::decide::{against_resolving, to_consider};
use crate::domain::escalation::{self, Reached};
use crate::domain::followup::Followup;
use crate::domain::headstart::{self, HeadStart};
use crate::domain::health::Health;
use crate::domain::incident::Incident;
use crate::domain::playbook::{Look, Play};
use crate::domain::recovery::{Does, Early, Recovery, RecoveryState, Seen, Why, begun_early};
use crate::domain::run::{Run, SideRole};
use crate::domain::state::State;
use crate::domain::{cadence, checklist, outage};
use crate::text;

/// Requests for a second person that are over and still shown.
const SHOWN: usize = 10;
/// Follow-ups that are over which viewers are told of.
const CLOSED: usize = 20;

fn ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// The run that is under way on each service.
pub fn holders(state: &State) -> HashMap<&str, &Run> {
    let mut holders: HashMap<&str, &Run> = HashMap::new();
    for run in state.runs_in_order().filter(|r| !r.state.is_over()) {
        if let Some(service) = &run.plan.service {
            holders.entry(service).or_insert(run);
        }
    }
    holders
}

/// The system and what may be done in it, with the warnings that follow from the record.
pub fn head(state: &State) -> Head {
    let mut warnings = Vec::new();
    let ready = state.runs.values().flat_map(|r| &r.sides).filter(|s| s.role == SideRole::Ready);
    let (parts, whole): (Vec<_>, Vec<_>) = ready.partition(|s| s.only().is_some());
    let copies = |n: usize, what: &str| text::plural(n, what).replace("copys", "copies");
    if !whole.is_empty() {
        warnings.push(format!("{} ready to cut over", copies(whole.len(), "side copy")));
    }
    if !parts.is_empty() {
        warnings.push(format!("{} ready to be put in", copies(parts.len(), "partial copy")));
    }
    let catalog = &state.catalog;
    Head {
        system: catalog.system.clone(),
        environment: catalog.environment.clone(),
        config_faults: state.config_faults.clone(),
        actions: catalog.actions.clone(),
        recoveries: catalog.recoveries.clone(),
        checklists: state.checklists.iter().filter(|c| c.incident.is_none()).cloned().collect(),
        channels: catalog.channels.clone(),
        severities: catalog.severities.clone(),
        cost: catalog.cost.clone(),
        suggested: state.suggested_severity(),
        warnings,
        guard: guard(state),
        followups: followups(state),
        redacted: state.redactions.finished,
        ..Head::default()
    }
}

/// All that is open; of what is over the newest, so that it can be looked at and opened again.
fn followups(state: &State) -> Vec<Followup> {
    let (open, mut over): (Vec<_>, Vec<_>) =
        state.followups.all().into_iter().cloned().partition(|f| f.standing.is_open());
    over.sort_by_key(|f| std::cmp::Reverse(f.closed_at));
    over.truncate(CLOSED);
    open.into_iter().chain(over).collect()
}

/// Who may do what, tags and holds, requests for a second person.
pub fn guard(state: &State) -> GuardView {
    let (open, over): (Vec<&Approval>, Vec<&Approval>) =
        state.approvals_in_order().rev().partition(|a| a.state.is_open());
    GuardView {
        authority: state.catalog.authority.clone(),
        guards: state.guards.clone(),
        approvals: open.into_iter().chain(over.into_iter().take(SHOWN)).cloned().collect(),
    }
}

/// A service by its record: what was confirmed, not what was measured.
pub fn service(state: &State, name: &str, holders: &HashMap<&str, &Run>, moment: &Moment) -> ServiceView {
    let facts = state.catalog.services.get(name).cloned().unwrap_or_default();
    let mut view = ServiceView {
        name: name.to_owned(),
        tier: facts.tier,
        rto_ms: facts.rto_ms,
        impact: facts.impact,
        depends_on: facts.depends_on,
        control: facts.control,
        month: month(state, name, moment),
        maintenance: state.availability.in_maintenance(name),
        held_by: holders.get(name).map(|r| r.id().to_owned()),
        ..ServiceView::default()
    };
    if let Some(record) = state.services.get(name) {
        view.state = record.state;
        view.since = record.confirmed_at.unwrap_or(record.since);
        view.down_since = record.down_since;
        view.because.clone_from(&record.because);
        view.detail.clone_from(&record.detail);
        view.paused_until = record.paused_until;
        if record.state == Health::Paused {
            view.detail.clone_from(&record.paused_reason);
        }
    }
    view
}

/// How much of the month of `moment` a service was up; nothing while nothing is known.
pub fn month(state: &State, service: &str, moment: &Moment) -> Option<MonthView> {
    let tally = state.availability.this_month(service, state.services.get(service), moment);
    let target = state.catalog.availability_target.unwrap_or(TARGET);
    let left = tally.budget_left_ms(availability::month_ms(moment.at), target);
    let coverage = tally.coverage()?;
    Some(MonthView {
        month: availability::month_of(moment.at),
        // Never rounded up to what it is not.
        availability: tally.availability().map(|a| (a * 1000.0).floor() / 1000.0),
        coverage: (coverage * 10.0).floor() / 10.0,
        target,
        down_s: tally.down_ms / 1000,
        budget_left_s: left.div_euclid(60_000) * 60,
    })
}

/// A backup set by its record.
pub fn backup(state: &State, name: &str) -> BackupView {
    let facts = state.catalog.backups.get(name).cloned().unwrap_or_default();
    let mut view = BackupView {
        name: name.to_owned(),
        service: facts.service,
        rpo_ms: facts.rpo_ms,
        restorable: facts.restorable,
        ..BackupView::default()
    };
    if let Some(record) = state.backups.get(name) {
        view.state = record.state;
        view.detail.clone_from(&record.detail);
        view.newest.clone_from(&record.newest);
    }
    if let Some(tests) = state.tests.get(name) {
        let proof = Proof::of_set(tests);
        (view.proven, view.test_failed) = (proof.proven.cloned(), proof.failed.cloned());
        view.tests.clone_from(tests);
    }
    view
}

/// An incident with what follows from the record; without drafts and the place of its file.
pub fn incident(state: &State, incident: &Incident, moment: &Moment) -> IncidentView {
    // By the clock that is never stepped, as long as the host has not been restarted since.
    let same_boot = incident.declared_boot == moment.boot;
    let open = incident.status.is_open();
    let elapsed_ms = if same_boot && open {
        moment.boot_ms.saturating_sub(incident.declared_boot_ms)
    } else {
        ms(state.elapsed(incident, moment.at))
    };
    IncidentView {
        incident: incident.clone(),
        update_due: state.update_due(incident),
        elapsed_ms,
        against_resolving: if open { against_resolving(state, incident) } else { Vec::new() },
        to_consider: to_consider(state, incident),
        checklists: checklist::of_incident(state, &incident.id).cloned().collect(),
        timeline_file: String::new(),
        leading: clock(state, incident, moment.at),
        head_starts: headstart::of(state, &incident.id).map(|m| head_start(state, m)).collect(),
    }
}

/// What the clocks of an incident say at `now`, without a draft.
pub fn clock(state: &State, incident: &Incident, now: Time) -> ClockView {
    let next_level = match escalation::due(state, incident, now) {
        escalation::Due::Wait { at, next } => Some(NextLevel { at, level: next }),
        _ => None,
    };
    let open = incident.status.is_open();
    let called = incident.clock.escalation.called.iter();
    ClockView {
        reached: called.map(|c| Reached::of(c, state.messages.get(&c.message))).collect(),
        due: cadence::due(state, incident),
        draft: None,
        next_level,
        say: if open { escalation::sentence(state, incident) } else { String::new() },
        review_due: crate::domain::review::due(state, incident),
        review: state.reviews.get(&incident.id).cloned(),
        charged: open.then(|| outage::charged(state, incident)),
    }
}

/// A head start as it stands.
pub fn head_start(state: &State, mark: &HeadStart) -> HeadStartView {
    let (standing, why) = headstart::standing(state, mark);
    let run = mark.run.as_ref().and_then(|id| state.runs.get(id));
    HeadStartView {
        backup: mark.backup.clone(),
        standing,
        why,
        run: mark.run.clone(),
        data_as_of: run.and_then(|r| r.plan.data_as_of()),
        rpo_ms: run.and_then(|r| r.plan.rpo_ms),
        ready_at: run.and_then(|r| r.finished_at),
    }
}

/// A run by its record: the phase that was recorded last, nothing of its progress within it.
pub fn run(run: &Run) -> RunView {
    let plan = &run.plan;
    RunView {
        id: run.id().to_owned(),
        work: plan.work.clone(),
        title: plan.title.clone(),
        target: plan.target.clone(),
        service: plan.service.clone(),
        risk: plan.risk,
        state: run.state,
        incident: run.incident.clone(),
        requested_at: run.requested_at,
        requested_by: run.requested_by.clone(),
        started_at: run.started_at,
        finished_at: run.finished_at,
        phases: plan.phases.iter().map(|p| p.name.clone()).collect(),
        phase: run.phase,
        permille: None,
        eta_ms: None,
        doing: String::new(),
        exit: run.exit,
        verdict: run.verdict,
        superseded: run.superseded,
        detail: run.detail.clone(),
        cancel_requested: run.cancel_requested,
        sides: run.sides.clone(),
        unlogged: run.unlogged,
        head_start: run.head_start,
        data_as_of: plan.data_as_of(),
        rpo_ms: plan.rpo_ms,
    }
}

/// A recovery and what it waits for; `seen` says what the checks of a service have seen since a moment.
pub fn recovery(state: &State, recovery: &Recovery, now: Time, seen: &dyn Fn(&str, Time) -> Seen) -> RecoveryView {
    RecoveryView { recovery: recovery.clone(), waits: waits(state, recovery, now, seen) }
}

fn waits(state: &State, recovery: &Recovery, now: Time, seen: &dyn Fn(&str, Time) -> Seen) -> String {
    let Some((step, record)) = recovery.current() else { return String::new() };
    if !recovery.state.is_open() {
        return String::new();
    }
    let run = record.run.as_ref().and_then(|id| state.runs.get(id));
    if recovery.state == RecoveryState::Asks {
        // What was called overdue may have ended since.
        return match run.filter(|_| recovery.halt.as_ref().is_some_and(|h| h.why == Why::Overdue)) {
            Some(run) if run.state.is_over() => {
                let verdict = run.verdict.map(|v| format!(", {}", v.word())).unwrap_or_default();
                format!("run {} has {}{verdict} since", run.id(), run.state.word())
            }
            Some(run) => format!("run {} is still {}", run.id(), run.state.word()),
            None => String::new(),
        };
    }
    let since = record.box_from.unwrap_or(now);
    let missing = |services: &[String]| -> String {
        let of = |s: &String| match seen(s, since) {
            Seen::Not(missing) => Some(missing),
            _ => None,
        };
        services.iter().filter_map(of).collect::<Vec<_>>().join("; ")
    };
    match (&step.spec.does, run) {
        (Does::Look { .. }, _) => "a person does it, and answers done or failed".into(),
        (Does::Healthy { services }, _) => missing(services),
        (_, None) => match begun_early(state, step) {
            Some(Early::UnderWay(early)) => format!("head start {} restores it", early.id()),
            _ => "its plan is being made".into(),
        },
        (_, Some(run)) if run.state.is_over() => {
            run.plan.service.iter().map(|s| missing(std::slice::from_ref(s))).collect()
        }
        (_, Some(run)) => format!("run {} is {}", run.id(), run.state.word()),
    }
}

/// A playbook that was started, with what it waits for.
pub fn playbook(state: &State, play: &Play, look: &Look<'_>) -> PlaybookView {
    PlaybookView {
        play: play.clone(),
        waits: play.waits(state, look),
        offer: play.offer(state),
        busy: play.under_way(state).is_some(),
    }
}
