//! What mayday sees by itself of the step that a playbook is at, from the state and the checks alone.

use super::{Does, Offer, Play, Step, StepRecord, StepState};
use crate::domain::message::Delivery;
use crate::domain::recovery::{RecoveryState, Seen};
use crate::domain::run::{Risk, Run, RunState, SideRole, Verdict, Work};
use crate::domain::state::State;
use crate::domain::time::Time;

/// A check that is to hold now is waited for this long at the least, milliseconds, where its step has no time box.
const CHECK_WITHIN_MS: u64 = 60_000;
/// An engine that was just started, or whose host has just woken up, looks for this long before it says that a limit has
/// passed.
const LOOK_FIRST_MS: u64 = 15_000;

/// What is due for the step that a playbook is at.
#[derive(Clone, Debug, PartialEq)]
pub enum Due {
    /// It is under way, or a person's turn.
    Nothing,
    /// It is over, or a person has to say: this is what was seen.
    End { state: StepState, detail: String },
}

/// What a check says: that it is well, or what is wrong with it.
pub type Says = Result<(), String>;

/// What the checks say.
pub struct Look<'a> {
    /// Whether a service was seen up since a moment.
    pub up: &'a dyn Fn(&str, Time) -> Seen,
    /// What a service (`api`) or one check (`api/http`) says now, by a result that is newer than the moment: `None` when
    /// there is none yet, `Err` with what is wrong.
    pub now: &'a dyn Fn(&str, Time) -> Option<Says>,
    /// Since when this engine looks without a break: its start, or when its host woke up.
    pub since: Time,
}

impl std::fmt::Debug for Look<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Look").field("since", &self.since).finish_non_exhaustive()
    }
}

fn end(state: StepState, detail: impl Into<String>) -> Due {
    Due::End { state, detail: detail.into() }
}

/// What is due for `play`.
pub fn due(state: &State, play: &Play, now: Time, look: &Look<'_>) -> Due {
    let Some((step, record)) = play.current().filter(|_| play.goes_on()) else { return Due::Nothing };
    if record.state != StepState::UnderWay {
        return Due::Nothing;
    }
    let since = record.box_from.unwrap_or(play.started_at);
    let over = |within_ms: u64| {
        let limit = since.plus(std::time::Duration::from_millis(within_ms));
        let looked = look.since.plus(std::time::Duration::from_millis(LOOK_FIRST_MS.min(within_ms)));
        now >= limit && now >= looked
    };
    match &step.does {
        Does::Manual { .. } | Does::Decide { .. } | Does::Checklist { .. } | Does::Hold { .. } => Due::Nothing,
        Does::Wait { services } => {
            let missing: Vec<String> = services.iter().filter_map(|s| missing((look.up)(s, since), s)).collect();
            if missing.is_empty() {
                return end(StepState::Done, format!("{} seen up", services.join(", ")));
            }
            match step.within_ms {
                Some(within) if over(within) => {
                    let limit = crate::text::duration(std::time::Duration::from_millis(within));
                    end(StepState::Failed, format!("not within {limit}: {}", missing.join("; ")))
                }
                _ => Due::Nothing,
            }
        }
        Does::Check { services } => {
            let seen: Vec<(&String, Option<Result<(), String>>)> =
                services.iter().map(|s| (s, (look.now)(s, since))).collect();
            let bad: Vec<String> = seen.iter().filter_map(|(_, r)| r.clone()?.err()).collect();
            if !bad.is_empty() {
                return end(StepState::Failed, bad.join("; "));
            }
            let waiting: Vec<&str> = seen.iter().filter(|(_, r)| r.is_none()).map(|(s, _)| s.as_str()).collect();
            if waiting.is_empty() {
                return end(StepState::Done, format!("{} holds", services.join(", ")));
            }
            if over(step.within_ms.unwrap_or(CHECK_WITHIN_MS)) {
                return end(StepState::Failed, format!("nothing is known of {}", waiting.join(", ")));
            }
            Due::Nothing
        }
        Does::Act { .. } => match record.run.as_ref().map(|id| (id, state.runs.get(id))) {
            Some((_, Some(run))) => of_run(record, run, look),
            Some((id, None)) => not_there(state, "run", id),
            None => Due::Nothing,
        },
        Does::Recover { .. } => of_recovery(state, record),
        Does::Message { .. } => of_message(state, record),
    }
}

/// What was confirmed and is not started may wait for a second person.
fn not_there(state: &State, what: &str, id: &str) -> Due {
    match state.approvals.get(id) {
        Some(approval) if approval.state.is_open() => Due::Nothing,
        Some(_) => end(StepState::Failed, format!("{what} {id} was not approved, so it was not started")),
        None => end(StepState::Failed, format!("{what} {id} is not known any more")),
    }
}

fn missing(seen: Seen, service: &str) -> Option<String> {
    match seen {
        Seen::Up => None,
        Seen::Not(missing) => Some(missing),
        Seen::Unwatched => Some(format!("{service} has no check")),
    }
}

fn is_ready(run: &Run) -> bool {
    run.state == RunState::Succeeded && run.sides.iter().any(|s| s.role == SideRole::Ready)
}

fn of_run(record: &StepRecord, run: &Run, look: &Look<'_>) -> Due {
    let id = run.id();
    if !run.state.is_over() {
        return Due::Nothing;
    }
    let beside = matches!(run.plan.work, Work::Restore { .. });
    match (run.state, run.verdict) {
        // It goes on with the cut-over, which a person confirms.
        (RunState::Succeeded, Some(Verdict::Verified)) if record.part == 0 && is_ready(run) => Due::Nothing,
        (RunState::Succeeded, Some(Verdict::Verified)) => {
            let detail = if run.detail.is_empty() { String::new() } else { format!(": {}", run.detail) };
            end(StepState::Done, format!("run {id} verified{detail}"))
        }
        (RunState::Succeeded, Some(Verdict::Unverified)) if record.vouched => match record.part == 0 && is_ready(run) {
            true => Due::Nothing,
            false => end(StepState::Done, format!("run {id} vouched for")),
        },
        (RunState::Succeeded, Some(Verdict::Unverified)) if run.plan.risk == Risk::Observe => {
            end(StepState::Done, format!("run {id} succeeded; it changes nothing"))
        }
        (RunState::Succeeded, Some(Verdict::Unverified)) => {
            let ended = run.finished_at.unwrap_or(run.requested_at);
            if let (Work::Stop { .. }, Some(service)) = (&run.plan.work, run.plan.service.as_deref()) {
                return of_stop(id, service, ended, look);
            }
            match run.plan.service.as_deref().filter(|_| !beside).map(|s| ((look.up)(s, ended), s)) {
                Some((Seen::Up, service)) => end(StepState::Done, format!("run {id} ended, {service} seen up")),
                // What is missing may be seen yet; the person may say how it is at any time.
                Some((Seen::Not(_), _)) => Due::Nothing,
                Some((Seen::Unwatched, _)) | None => {
                    let exit = run.exit.map(|x| format!(" with exit {x}")).unwrap_or_default();
                    let detail = format!("run {id} ended{exit}, and no check shows its effect: look yourself");
                    end(StepState::Unproven, detail)
                }
            }
        }
        (state, verdict) => {
            let contradicted = if verdict == Some(Verdict::Contradicted) { ", CONTRADICTED" } else { "" };
            let exit = run.exit.filter(|x| *x != 0).map(|x| format!(", exit {x}")).unwrap_or_default();
            let why = if run.detail.is_empty() { String::new() } else { format!(": {}", run.detail) };
            end(StepState::Failed, format!("run {id} {}{exit}{contradicted}{why}", state.word()))
        }
    }
}

/// What was stopped is to be seen down; where nothing looks, a person says.
fn of_stop(id: &str, service: &str, ended: Time, look: &Look<'_>) -> Due {
    match ((look.up)(service, ended), (look.now)(service, ended)) {
        (Seen::Unwatched, _) => {
            end(StepState::Unproven, format!("run {id} ended, and no check looks at {service}: look yourself"))
        }
        (_, Some(Err(down))) => end(StepState::Done, format!("run {id} ended, and it is down: {down}")),
        _ => Due::Nothing,
    }
}

fn of_recovery(state: &State, record: &StepRecord) -> Due {
    let Some(id) = &record.recovery else { return Due::Nothing };
    let Some(recovery) = state.recoveries.get(id) else {
        return not_there(state, "recovery", id);
    };
    match (recovery.state, recovery.skipped()) {
        (RecoveryState::Complete, 0) => end(StepState::Done, format!("recovery {id} complete: every step is good")),
        (RecoveryState::Complete, skipped) => {
            let steps = crate::text::plural(skipped, "step");
            end(StepState::Unproven, format!("recovery {id} complete, {steps} skipped: look yourself"))
        }
        (RecoveryState::Ended, _) => end(StepState::Failed, format!("recovery {id} was ended before its end")),
        _ => Due::Nothing,
    }
}

fn of_message(state: &State, record: &StepRecord) -> Due {
    let Some(id) = &record.message else { return Due::Nothing };
    let Some(message) = state.messages.get(id) else {
        return end(StepState::Unproven, format!("message {id} is not known any more: look whether it came"));
    };
    if !message.is_done() {
        return Due::Nothing;
    }
    let with = |accepted: bool| -> Vec<String> {
        let of = |(name, c): (&String, &crate::domain::message::ChannelDelivery)| match accepted {
            true => name.clone(),
            false => format!("{name} {}", c.state.word()),
        };
        message.channels.iter().filter(|(_, c)| (c.state == Delivery::Accepted) == accepted).map(of).collect()
    };
    let (taken, not) = (with(true), with(false));
    match (taken.is_empty(), not.is_empty()) {
        (true, _) => end(StepState::Failed, format!("{id} reached nobody: {}", not.join(", "))),
        (false, true) => end(StepState::Done, format!("{id} accepted by {}", taken.join(", "))),
        (false, false) => {
            end(StepState::Done, format!("{id} accepted by {}, yet {}", taken.join(", "), not.join(", ")))
        }
    }
}

impl Play {
    /// What can be started now for the step it is at; nothing while something of it is under way.
    pub fn offer(&self, state: &State) -> Option<Offer> {
        let (step, record) = self.current().filter(|_| self.goes_on())?;
        if record.state == StepState::Unproven || self.under_way(state).is_some() {
            return None;
        }
        match &step.does {
            Does::Act { work } => {
                if let Some(of) = restored(state, record) {
                    return Some(Offer::Run { part: 1, work: Work::CutOver { of } });
                }
                let again = record.state == StepState::Failed || record.run.is_none();
                if let Some(early) = begun_early(state, work).filter(|_| again) {
                    return Some(Offer::Run { part: 1, work: Work::CutOver { of: early.id().to_owned() } });
                }
                again.then(|| Offer::Run { part: 0, work: work.clone() })
            }
            Does::Recover { recovery } => Some(Offer::Recovery { recovery: recovery.clone() })
                .filter(|_| record.state == StepState::Failed || record.recovery.is_none()),
            Does::Message { template, channels } => {
                Some(Offer::Message { template: *template, channels: channels.clone(), text: step.text.clone() })
                    .filter(|_| record.state == StepState::Failed || record.message.is_none())
            }
            Does::Hold { services, reason } => Some(Offer::Hold { services: services.clone(), reason: reason.clone() }),
            _ => None,
        }
    }

    /// What of the step it is at is under way, in words.
    pub fn under_way(&self, state: &State) -> Option<String> {
        let (_, record) = self.current()?;
        let asked = [&record.run, &record.recovery].into_iter().flatten();
        if let Some(a) = asked.filter_map(|id| state.approvals.get(id)).find(|a| a.state.is_open()) {
            return Some(format!("{} waits for a second person: say to them {}", a.title, a.words));
        }
        if let Some(run) = record.run.as_ref().and_then(|id| state.runs.get(id)).filter(|r| !r.state.is_over()) {
            return Some(format!("run {} ({}) is {}", run.id(), run.plan.title, run.state.word()));
        }
        if let Some(r) = record.recovery.as_ref().and_then(|id| state.recoveries.get(id)).filter(|r| r.state.is_open())
        {
            return Some(format!("recovery {} is {} at {}", r.id(), r.state.word(), r.place()));
        }
        let message = record.message.as_ref().and_then(|id| state.messages.get(id)).filter(|m| !m.is_done())?;
        Some(format!("message {} is not answered by every channel yet", message.id))
    }

    /// What the step it is at waits for, in words; empty when it is over.
    pub fn waits(&self, state: &State, look: &Look<'_>) -> String {
        let Some((step, record)) = self.current().filter(|_| self.state.is_open()) else { return String::new() };
        if self.changed.is_some() {
            return "its text has changed since it was started: keep the old one, or take the new one".into();
        }
        if let Some(under_way) = self.under_way(state) {
            return under_way;
        }
        let since = record.box_from.unwrap_or(self.started_at);
        match (record.state, &step.does) {
            (StepState::Failed, _) => "it failed: try again, or go on with a reason".into(),
            (StepState::Unproven, _) => "a person looks, and says done or failed".into(),
            (_, Does::Manual { .. }) => "a person does it, and says so".into(),
            (_, Does::Decide { .. }) => "a person chooses".into(),
            (_, Does::Wait { services }) => {
                services.iter().filter_map(|s| missing((look.up)(s, since), s)).collect::<Vec<_>>().join("; ")
            }
            (_, Does::Check { .. }) => "it is being looked at".into(),
            (_, Does::Act { .. }) if restored(state, record).is_some() => {
                "restored beside the live data and good: next it is put in the live place".into()
            }
            (_, Does::Act { .. }) if record.run.is_some() => "its effect is not seen yet".into(),
            (_, Does::Act { work }) if begun_early(state, work).is_some() => {
                "a head start has restored it beside the live data: next it is put in the live place".into()
            }
            (_, Does::Act { .. } | Does::Recover { .. }) => "it is to be started: its plan is shown first".into(),
            (_, Does::Message { .. }) => "it is to be sent: the text is shown first".into(),
            (_, Does::Hold { .. }) => "a person sets the hold".into(),
            (_, Does::Checklist { checklist }) => {
                match crate::domain::checklist::find(state, self.incident.as_deref(), &checklist.name) {
                    Some(open) => format!("{} ticked", open.count()),
                    None => String::new(),
                }
            }
        }
    }
}

/// The head start that has done the first part of a restore.
pub(super) fn begun_early<'a>(state: &'a State, work: &Work) -> Option<&'a Run> {
    match work {
        Work::Restore { backup, test: false, .. } => crate::domain::headstart::ready(state, backup),
        _ => None,
    }
}

/// The run whose side copy is good and waits for its cut-over.
fn restored(state: &State, record: &StepRecord) -> Option<String> {
    let good = |run: &Run| match run.verdict {
        Some(Verdict::Verified) => true,
        Some(Verdict::Unverified) => record.vouched,
        _ => false,
    };
    let run = record.runs.iter().rev().filter_map(|id| state.runs.get(id)).find(|r| is_ready(r))?;
    // Of this try, or of an earlier one whose cut-over failed.
    let of_this = record.run.as_deref() == Some(run.id());
    (good(run) && (of_this || record.part == 1)).then(|| run.id().to_owned())
}

/// The word for what is written into the record of an action: which step it carries out.
pub(super) fn said(step: &Step) -> String {
    format!("{} ({})", step.name, step.title)
}
