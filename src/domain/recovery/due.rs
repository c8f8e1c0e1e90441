//! What a recovery needs next, from the state alone.

use super::{Does, PlannedStep, Recovery, RecoveryState, StepRecord, StepState, Why};
use crate::domain::headstart;
use crate::domain::run::{Risk, Run, RunState, SideRole, Verdict, Work};
use crate::domain::state::State;
use crate::domain::time::Time;

/// The next thing to be done for a recovery.
#[derive(Clone, Debug, PartialEq)]
pub enum Due {
    /// Something is under way, or a person is asked.
    Nothing,
    /// The step it is at is begun: its time box runs from then on.
    Begin,
    /// A run of it is to be planned and started.
    Plan { part: usize, work: Work },
    /// The step is good: this showed it.
    Good { detail: String },
    /// It stops and asks.
    Stop { why: Why, detail: String },
    /// There is no further step.
    Finish,
}

/// What the checks of a service have seen since a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Up, by as many successes as it usually takes.
    Up,
    /// Not yet: what is missing.
    Not(String),
    /// It has no checks.
    Unwatched,
}

/// What is due for `recovery`; `seen` says what the checks of a service have seen since a moment.
pub fn due(state: &State, recovery: &Recovery, now: Time, seen: &dyn Fn(&str, Time) -> Seen) -> Due {
    if recovery.state != RecoveryState::UnderWay {
        return Due::Nothing;
    }
    let Some((step, record)) = recovery.current() else { return Due::Finish };
    if record.state != StepState::UnderWay {
        return Due::Begin;
    }
    let over = recovery.box_ends().is_some_and(|end| now >= end);
    let overdue = |detail: String| {
        if over { Due::Stop { why: Why::Overdue, detail } } else { Due::Nothing }
    };
    let since = record.box_from.unwrap_or(recovery.started_at);
    match &step.spec.does {
        Does::Look { .. } => overdue("nobody has answered done or failed".into()),
        Does::Healthy { services } => {
            let missing: Vec<String> = services
                .iter()
                .filter_map(|service| match seen(service, since) {
                    Seen::Up => None,
                    Seen::Not(missing) => Some(missing),
                    Seen::Unwatched => Some(format!("{service} has no check")),
                })
                .collect();
            if missing.is_empty() {
                return Due::Good { detail: seen_up(services) };
            }
            overdue(missing.join("; "))
        }
        Does::Restore { .. } | Does::Restart { .. } | Does::Act { .. } => {
            let Some(id) = &record.run else {
                match begun_early(state, step) {
                    Some(Early::Ready(run)) if !over => {
                        return Due::Plan { part: 1, work: Work::CutOver { of: run.id().to_owned() } };
                    }
                    Some(Early::UnderWay(run)) => return overdue(format!("{} still restores it", run.id())),
                    _ => {}
                }
                return match step.spec.does.work() {
                    Some(_) if over => overdue("it could not be planned in time".into()),
                    Some(work) => Due::Plan { part: 0, work },
                    None => Due::Nothing,
                };
            };
            let Some(run) = state.runs.get(id) else {
                return Due::Stop { why: Why::Failed, detail: format!("run {id} is not known any more") };
            };
            of_run(recovery, record, run, now, seen)
        }
    }
}

/// A head start of the very copy that a step was confirmed with.
pub enum Early<'a> {
    Ready(&'a Run),
    UnderWay(&'a Run),
}

/// The head start that does the first part of a step, if there is one.
pub fn begun_early<'a>(state: &'a State, step: &PlannedStep) -> Option<Early<'a>> {
    let Does::Restore { backup } = &step.spec.does else { return None };
    let confirmed = step.runs.first()?.copy.as_ref()?;
    let same = |run: &&Run| run.plan.copy.as_ref().is_some_and(|c| c.id == *confirmed);
    let ready = headstart::ready(state, backup).filter(same).map(Early::Ready);
    ready.or_else(|| headstart::under_way(state, backup).filter(same).map(Early::UnderWay))
}

fn seen_up(services: &[String]) -> String {
    format!("{} seen up", services.join(", "))
}

fn of_run(recovery: &Recovery, record: &StepRecord, run: &Run, now: Time, seen: &dyn Fn(&str, Time) -> Seen) -> Due {
    let id = run.id();
    let over = recovery.box_ends().is_some_and(|end| now >= end);
    if !run.state.is_over() {
        if over {
            let detail = format!("run {id} is still {} and goes on", run.state.word());
            return Due::Stop { why: Why::Overdue, detail };
        }
        return Due::Nothing;
    }
    match (run.state, run.verdict) {
        (RunState::Succeeded, Some(Verdict::Verified)) => {}
        // What changes nothing has no effect to be seen: its answer is its exit code. And what a person vouches for.
        (RunState::Succeeded, Some(Verdict::Unverified)) if run.plan.risk == Risk::Observe || record.vouched => {}
        // Exit 0 is not enough: the service's own checks have to say so, and where there are none, a person.
        (RunState::Succeeded, Some(Verdict::Unverified)) => {
            let ended = run.finished_at.filter(|at| *at <= now).or(record.box_from).unwrap_or(run.requested_at);
            // The checks speak of the live side, and a copy beside it is none of that.
            let beside = matches!(run.plan.work, Work::Restore { .. });
            match run.plan.service.as_deref().filter(|_| !beside).map(|service| seen(service, ended)) {
                Some(Seen::Up) => {}
                Some(Seen::Not(missing)) if over => {
                    let detail = format!("run {id} ended unverified, and {missing}");
                    return Due::Stop { why: Why::Overdue, detail };
                }
                Some(Seen::Not(_)) => return Due::Nothing,
                Some(Seen::Unwatched) | None => return unproven(run),
            }
        }
        (state, verdict) => {
            let verdict = match verdict {
                Some(Verdict::Contradicted) => ", CONTRADICTED",
                _ => "",
            };
            let exit = run.exit.filter(|x| *x != 0).map(|x| format!(", exit {x}")).unwrap_or_default();
            let why = if run.detail.is_empty() { String::new() } else { format!(": {}", run.detail) };
            let detail = format!("run {id} {}{exit}{verdict}{why}", state.word());
            if is_live_all_the_same(run) {
                // Trying it again would throw away what was written since; a person says how it is.
                return Due::Stop { why: Why::Unproven, detail: format!("the copy IS LIVE: {detail}") };
            }
            return Due::Stop { why: Why::Failed, detail };
        }
    }
    if let (Some(ended), Some(end)) = (run.finished_at, recovery.box_ends())
        && ended > end
    {
        let late = crate::text::duration(ended.since(end));
        let detail = format!("run {id} ended well, {late} after the time box");
        return Due::Stop { why: Why::Overdue, detail };
    }
    if record.part == 0 && run.sides.iter().any(|s| s.role == SideRole::Ready) {
        return Due::Plan { part: 1, work: Work::CutOver { of: id.to_owned() } };
    }
    let shown = match run.verdict {
        Some(Verdict::Verified) if run.detail.is_empty() => "verified".to_owned(),
        Some(Verdict::Verified) => format!("verified: {}", run.detail),
        _ if record.vouched => "vouched for".to_owned(),
        _ if run.plan.risk == Risk::Observe => "succeeded; it changes nothing".to_owned(),
        _ => seen_up(run.plan.service.as_slice()),
    };
    Due::Good { detail: format!("run {id} {shown}") }
}

/// It put a copy in the live place, and what was looked at afterwards speaks against it.
pub(super) fn is_live_all_the_same(run: &Run) -> bool {
    matches!(run.plan.work, Work::CutOver { .. } | Work::CopyIn { .. }) && run.verdict == Some(Verdict::Contradicted)
}

fn unproven(run: &Run) -> Due {
    let exit = run.exit.map(|x| format!(" with exit {x}")).unwrap_or_default();
    let detail = format!("run {} ended{exit}, and no check shows its effect: look yourself", run.id());
    Due::Stop { why: Why::Unproven, detail }
}
