//! What people ask of playbooks, and what stands against it.

use super::{Answer, Does, END, OfStep, Offer, Play, PlayState, Playbook, Step, StepRecord, StepState, Take};
use crate::domain::checklist;
use crate::domain::command::{Command, Context, Refusal};
use crate::domain::decide::{Decided, Outcome, checked_reason, checked_text, first_open, one, required_reason};
use crate::domain::event::*;
use crate::domain::guard;
use crate::domain::run::Work;
use crate::domain::state::State;

/// Longest piece of evidence, bytes.
const EVIDENCE: usize = 64 * 1024;

/// Decides a command about playbooks. Errors: the refusal, nothing having happened.
pub fn decide(state: &State, command: Command, ctx: &Context) -> Outcome {
    match command {
        Command::PlaybookStart { name, incident, reason, text } => match text {
            Some(text) => start(state, *text, incident, &reason, ctx),
            None => Err(Refusal::usage(format!("there is no playbook \"{name}\""), "mayday playbook list shows them")),
        },
        Command::Playbook { playbook, answer, reason } => {
            let play = find(state, playbook, &answer)?;
            answered(state, play, answer, &reason)
        }
        _ => Err(Refusal::usage("this is not about a playbook", "")),
    }
}

fn start(state: &State, text: Playbook, incident: Option<String>, reason: &str, ctx: &Context) -> Outcome {
    if let Some(active) = state.active_playbook() {
        return Err(Refusal::new(
            format!("playbook {} is under way at {}", active.text.name, active.place()),
            "leave it first (mayday playbook leave), or stop it",
        ));
    }
    if text.steps.is_empty() {
        return Err(Refusal::usage(format!("playbook {} has no step", text.name), "add a [[playbook.step]]"));
    }
    let incident = match incident {
        Some(id) if !state.incidents.contains_key(&id) => {
            return Err(Refusal::usage(format!("there is no incident \"{id}\""), "mayday incident list shows them"));
        }
        Some(id) => Some(state.surviving(&id).to_owned()),
        None => first_open(state),
    };
    let first = text.steps.first().map(|s| s.name.clone());
    let mut out = opens(state, &text, first.as_deref(), incident.as_deref());
    let event = PlaybookStarted { id: ctx.fresh.clone(), text, reason: checked_reason(reason)? };
    out.insert(0, Decided { incident, event: event.into() });
    Ok(out)
}

/// What is opened when a step is come to: its checklist.
fn opens(state: &State, text: &Playbook, step: Option<&str>, incident: Option<&str>) -> Vec<Decided> {
    match step.and_then(|s| text.step(s)).map(|s| &s.does) {
        Some(Does::Checklist { checklist }) if checklist::find(state, incident, &checklist.name).is_none() => {
            let event = ChecklistOpened { checklist: checklist.clone() }.into();
            vec![Decided { incident: incident.map(str::to_owned), event }]
        }
        _ => Vec::new(),
    }
}

fn find<'a>(state: &'a State, id: Option<String>, answer: &Answer) -> Result<&'a Play, Refusal> {
    if let Some(id) = id {
        let play = state.playbooks.get(&id).ok_or_else(|| {
            Refusal::usage(
                format!("there is no playbook \"{id}\" that was started"),
                "mayday playbook status shows them",
            )
        })?;
        if !play.state.is_open() {
            return Err(Refusal::new(format!("playbook {id} is over: {}", play.state.word()), ""));
        }
        return Ok(play);
    }
    if let Some(active) = state.active_playbook() {
        return Ok(active);
    }
    let left: Vec<&Play> = state.playbooks_in_order().filter(|p| p.state == PlayState::Left).collect();
    match left.as_slice() {
        [only] if matches!(answer, Answer::Resume { .. } | Answer::Stop | Answer::Evidence { .. }) => Ok(only),
        [] => Err(Refusal::new("no playbook is under way", "start one: mayday playbook start NAME, or the key p")),
        [only] => Err(Refusal::new(
            format!("playbook {} was left at {}", only.text.name, only.place()),
            "resume it first: mayday playbook resume",
        )),
        several => {
            let ids: Vec<String> = several.iter().map(|p| format!("{} ({})", p.id, p.text.name)).collect();
            Err(Refusal::usage("several playbooks were left", format!("name one by --id: {}", ids.join(", "))))
        }
    }
}

fn answered(state: &State, play: &Play, answer: Answer, reason: &str) -> Outcome {
    let incident = play.incident.clone();
    match answer {
        Answer::Evidence { step, text, file, digest, size } => {
            let name = step.or_else(|| play.at.clone()).unwrap_or_default();
            let Some(step) = play.text.step(&name) else {
                let known: Vec<&str> = play.text.steps.iter().map(|s| s.name.as_str()).collect();
                return Err(Refusal::usage(
                    format!("playbook {} has no step \"{name}\"", play.text.name),
                    format!("its steps are {}", known.join(", ")),
                ));
            };
            let text = if file.is_empty() { checked_text("evidence", &text, EVIDENCE)? } else { text };
            let file = crate::text::clean(&file).into_owned();
            let event = PlaybookEvidence {
                playbook: play.id.clone(),
                step: step.name.clone(),
                title: step.title.clone(),
                text: crate::text::clean_lines(&text, EVIDENCE),
                file,
                digest,
                size,
            };
            return one(incident, event);
        }
        Answer::Stop => {
            let reason = required_reason("stopping a playbook", reason)?;
            return one(incident, finished(play, false, reason, None));
        }
        Answer::Resume { take } => return resume(state, play, take, reason),
        _ => {}
    }
    if let Some(changed) = &play.changed {
        return Err(Refusal::new(
            format!("playbook {} has changed since it was started: {}", play.text.name, few(&changed.difference)),
            "say which one holds: mayday playbook resume --keep, or --take-new --from STEP",
        ));
    }
    if play.state == PlayState::Left {
        return Err(Refusal::new(
            format!("playbook {} was left at {}", play.text.name, play.place()),
            format!("resume it first: mayday playbook resume --id {}", play.id),
        ));
    }
    let Some((step, record)) = play.current() else {
        return Err(Refusal::new(format!("playbook {} is at its end", play.text.name), ""));
    };
    match answer {
        Answer::Done => done(state, play, step, record, reason),
        Answer::Fail => {
            not_under_way(state, play)?;
            if record.state == StepState::Failed {
                return Err(Refusal::new(format!("{} has failed already", play.place()), "try again, or go on"));
            }
            if matches!(step.does, Does::Decide { .. }) {
                return Err(choose_one(play, step));
            }
            let detail = required_reason("a step that failed", reason)?;
            one(incident, step_event(play, step, StepState::Failed, detail, None))
        }
        Answer::Skip => {
            not_under_way(state, play)?;
            if record.state == StepState::Failed {
                return Err(Refusal::new(
                    format!("{} has failed, and is not skipped any more", play.place()),
                    "go on with a reason (mayday playbook next --go-on --reason …), or try again",
                ));
            }
            if matches!(step.does, Does::Decide { .. }) {
                return Err(choose_one(play, step));
            }
            let detail = required_reason("skipping a step", reason)?;
            Ok(on(state, play, step, StepState::Skipped, detail))
        }
        Answer::Again => {
            not_under_way(state, play)?;
            if !matches!(record.state, StepState::Failed | StepState::Unproven) {
                return Err(Refusal::new(format!("{} has not failed", play.place()), "it is under way"));
            }
            let event = PlaybookAgain {
                playbook: play.id.clone(),
                step: step.name.clone(),
                title: step.title.clone(),
                reason: checked_reason(reason)?,
            };
            one(incident, event)
        }
        Answer::GoOn => {
            not_under_way(state, play)?;
            if record.state != StepState::Failed {
                return Err(Refusal::new(
                    format!("{} has not failed", play.place()),
                    "say done, skip it with a reason, or say that it failed",
                ));
            }
            let reason = required_reason("going on after a failed step", reason)?;
            let next = play.text.after(&step.name);
            let event = PlaybookPassed {
                playbook: play.id.clone(),
                step: step.name.clone(),
                title: step.title.clone(),
                reason,
                next: next.clone(),
            };
            Ok(then(state, play, event.into(), next, 0))
        }
        Answer::Choose { option } => {
            let Does::Decide { options } = &step.does else {
                return Err(Refusal::new(format!("{} is no decision", play.place()), ""));
            };
            let Some(chosen) = options.iter().find(|o| o.name == option) else {
                return Err(choose_one(play, step));
            };
            let next = (chosen.go != END).then(|| chosen.go.clone());
            let event = PlaybookChosen {
                playbook: play.id.clone(),
                step: step.name.clone(),
                title: step.title.clone(),
                option: chosen.name.clone(),
                option_title: chosen.title.clone(),
                reason: checked_reason(reason)?,
                next: next.clone(),
            };
            Ok(then(state, play, event.into(), next, 0))
        }
        Answer::Leave => {
            let event = PlaybookLeft {
                playbook: play.id.clone(),
                step: step.name.clone(),
                title: step.title.clone(),
                reason: checked_reason(reason)?,
            };
            one(incident, event)
        }
        Answer::Evidence { .. } | Answer::Stop | Answer::Resume { .. } => Ok(Vec::new()),
    }
}

fn choose_one(play: &Play, step: &Step) -> Refusal {
    let Does::Decide { options } = &step.does else { return Refusal::usage("this is no decision", "") };
    let names: Vec<&str> = options.iter().map(|o| o.name.as_str()).collect();
    Refusal::usage(
        format!("{} is a decision", play.place()),
        format!("choose one: mayday playbook choose {}", names.join(" | ")),
    )
}

fn not_under_way(state: &State, play: &Play) -> Result<(), Refusal> {
    match play.under_way(state) {
        Some(what) => Err(Refusal::new(format!("{}: {what}", play.place()), "wait for it, or cancel it first")),
        None => Ok(()),
    }
}

fn few(lines: &[String]) -> String {
    let shown: Vec<&str> = lines.iter().take(3).map(String::as_str).collect();
    let more = if lines.len() > 3 { format!("; and {} more", lines.len() - 3) } else { String::new() };
    format!("{}{more}", shown.join("; "))
}

fn step_event(play: &Play, step: &Step, state: StepState, detail: String, next: Option<String>) -> PlaybookStep {
    let (playbook, name, title) = (play.id.clone(), step.name.clone(), step.title.clone());
    PlaybookStep { playbook, step: name, title, state, detail, next }
}

/// The step is over, and what follows from that.
pub(in crate::domain) fn on(state: &State, play: &Play, step: &Step, to: StepState, detail: String) -> Vec<Decided> {
    let next = play.text.after(&step.name);
    let event = step_event(play, step, to, detail, next.clone());
    then(state, play, event.into(), next, usize::from(to == StepState::Skipped))
}

/// What the engine saw of the step: the events of it.
pub fn seen(state: &State, play: &Play, to: StepState, detail: String) -> Vec<Decided> {
    let Some((step, _)) = play.current() else { return Vec::new() };
    match to {
        StepState::Done => on(state, play, step, to, detail),
        _ => vec![Decided { incident: play.incident.clone(), event: step_event(play, step, to, detail, None).into() }],
    }
}

fn then(state: &State, play: &Play, event: Event, next: Option<String>, skipped: usize) -> Vec<Decided> {
    let incident = play.incident.clone();
    let mut out = vec![Decided { incident: incident.clone(), event }];
    match &next {
        Some(next) => out.extend(opens(state, &play.text, Some(next), incident.as_deref())),
        None => {
            let event = finished(play, true, String::new(), Some(skipped)).into();
            out.push(Decided { incident, event });
        }
    }
    out
}

/// `more`: steps that are skipped by the same answer.
fn finished(play: &Play, complete: bool, reason: String, more: Option<usize>) -> PlaybookFinished {
    PlaybookFinished {
        playbook: play.id.clone(),
        name: play.text.name.clone(),
        complete,
        skipped: play.count(StepState::Skipped) + more.unwrap_or(0),
        failed: play.failed(),
        reason,
    }
}

fn done(state: &State, play: &Play, step: &Step, record: &StepRecord, note: &str) -> Outcome {
    not_under_way(state, play)?;
    if record.state == StepState::Failed {
        return Err(Refusal::new(
            format!("{} has failed: {}", play.place(), record.detail),
            "try again (mayday playbook again), or go on with a reason (next --go-on --reason …)",
        ));
    }
    let note = checked_reason(note)?;
    let by_itself = |what: &str| {
        Refusal::new(format!("{}: mayday sees by itself {what}", play.place()), "wait, or skip it with a reason")
    };
    match &step.does {
        Does::Manual { evidence: true } if note.is_empty() && record.evidence.is_empty() => {
            return Err(Refusal::usage(
                format!("{} asks for something that shows it", play.place()),
                "say what you saw, or give it as evidence: mayday playbook evidence TEXT",
            ));
        }
        Does::Manual { .. } => {}
        Does::Act { .. } if record.state == StepState::Unproven => {
            // The copy is vouched for; it is still to be put in the live place.
            let ready = record.part == 0
                && record
                    .run
                    .as_ref()
                    .and_then(|id| state.runs.get(id))
                    .is_some_and(|r| r.sides.iter().any(|s| s.role == crate::domain::run::SideRole::Ready));
            if ready {
                return one(play.incident.clone(), step_event(play, step, StepState::UnderWay, note, None));
            }
        }
        Does::Act { .. } if record.run.is_some() && play.offer(state).is_none() => {
            // It ended, unverified, and its service is not seen up yet: the person has seen it.
        }
        Does::Recover { .. } | Does::Message { .. } if record.state == StepState::Unproven => {}
        Does::Act { .. } | Does::Recover { .. } | Does::Message { .. } => {
            return Err(Refusal::new(
                format!("{} was not carried out yet: {}", play.place(), step.does.what()),
                "do it (mayday playbook do), or skip it with a reason",
            ));
        }
        Does::Check { .. } => return Err(by_itself("whether it holds")),
        Does::Wait { .. } => return Err(by_itself("when they are up")),
        Does::Decide { .. } => return Err(choose_one(play, step)),
        Does::Checklist { checklist } => {
            let open = checklist::find(state, play.incident.as_deref(), &checklist.name);
            let unticked = open.map_or_else(|| checklist.items.iter().map(String::as_str).collect(), |o| o.unticked());
            if !unticked.is_empty() {
                return Err(Refusal::new(
                    format!("{}: not ticked yet: {}", play.place(), unticked.join("; ")),
                    "tick them (space; mayday checklist tick), or skip the rest with a reason",
                ));
            }
        }
        Does::Hold { services, reason } => {
            let mut out = hold(state, services, reason, play)?;
            let named = if services.is_empty() { "everything".to_owned() } else { services.join(", ") };
            out.extend(on(state, play, step, StepState::Done, format!("{named} held: {reason}")));
            return Ok(out);
        }
    }
    Ok(on(state, play, step, StepState::Done, note))
}

/// The hold of a step; what is held already stays so.
fn hold(state: &State, services: &[String], reason: &str, play: &Play) -> Outcome {
    let already = match services {
        [] => state.guards.all.as_ref().is_some_and(|h| h.except.is_empty()),
        some => some.iter().all(|s| state.guards.hold(Some(s)).is_some()),
    };
    if already {
        return Ok(Vec::new());
    }
    let mut out = guard::hold(state, services.iter().cloned().collect(), reason)?;
    for one in &mut out {
        one.incident = play.incident.clone().or(one.incident.take());
    }
    Ok(out)
}

fn resume(state: &State, play: &Play, take: Option<Take>, reason: &str) -> Outcome {
    if play.state == PlayState::Left
        && let Some(active) = state.active_playbook()
    {
        return Err(Refusal::new(
            format!("playbook {} is under way at {}", active.text.name, active.place()),
            "leave it first, or stop it",
        ));
    }
    let (taken, from) = match (&play.changed, take) {
        (None, _) if play.state == PlayState::UnderWay => {
            return Err(Refusal::new(
                format!("playbook {} is under way at {}", play.text.name, play.place()),
                "there is nothing to resume: whoever is here goes on with it",
            ));
        }
        (None, _) => (None, None),
        (Some(_), Some(Take::Old)) => (None, None),
        (Some(changed), Some(Take::New { from })) => {
            let Some(now) = &changed.now else {
                return Err(Refusal::new(
                    format!("playbook {} is not configured any more", play.text.name),
                    "go on with the one that was started: --keep",
                ));
            };
            if now.step(&from).is_none() {
                let known: Vec<&str> = now.steps.iter().map(|s| s.name.as_str()).collect();
                return Err(Refusal::usage(
                    format!("the new text has no step \"{from}\""),
                    format!("its steps are {}", known.join(", ")),
                ));
            }
            not_under_way(state, play)?;
            (Some((**now).clone()), Some(from))
        }
        (Some(changed), None) => {
            return Err(Refusal::new(
                format!(
                    "playbook {} has changed since it was started: {}",
                    play.text.name,
                    changed.difference.join("; ")
                ),
                "go on with the one that was started (--keep), or with the new one (--take-new --from STEP)",
            ));
        }
    };
    let step = from.clone().or_else(|| play.at.clone()).unwrap_or_default();
    let opened =
        taken.as_ref().map(|text| opens(state, text, from.as_deref(), play.incident.as_deref())).unwrap_or_default();
    let event = PlaybookResumed { playbook: play.id.clone(), step, taken, from, reason: checked_reason(reason)? };
    let mut out = vec![Decided { incident: play.incident.clone(), event: event.into() }];
    out.extend(opened);
    Ok(out)
}

/// The playbook and step that a start is asked for, with what is offered there. Errors: why it cannot be started for it.
fn offered<'a>(state: &'a State, id: &str) -> Result<(&'a Play, &'a Step, Offer), Refusal> {
    let play = state
        .playbooks
        .get(id)
        .ok_or_else(|| Refusal::usage(format!("there is no playbook \"{id}\" that was started"), ""))?;
    let offer = play.offer(state).ok_or_else(|| {
        let why =
            play.under_way(state).unwrap_or_else(|| format!("playbook {} is {}", play.text.name, play.state.word()));
        Refusal::new(format!("{}: {why}", play.place()), "mayday playbook status shows what can be done")
    })?;
    let Some((step, _)) = play.current() else {
        return Err(Refusal::new(format!("playbook {} is at its end", play.text.name), ""));
    };
    Ok((play, step, offer))
}

fn another(play: &Play, step: &Step) -> Refusal {
    Refusal::new(
        format!("playbook {} is at step {} meanwhile", play.text.name, super::due::said(step)),
        "look at it again, and confirm what is shown there",
    )
}

/// The step that a run of `work` carries out. Errors: the playbook is not at such a step.
pub fn of_run(state: &State, playbook: &str, work: &Work) -> Result<OfStep, Refusal> {
    let (play, step, offer) = offered(state, playbook)?;
    match offer {
        Offer::Run { part, work: offered } if fits(&offered, work) => {
            Ok(OfStep { playbook: play.id.clone(), step: step.name.clone(), part })
        }
        // A head start is offered; who wants another copy restores that one.
        Offer::Run { part: 1, work: Work::CutOver { of } } => match &step.does {
            Does::Act { work: wanted } if early_is(state, wanted, &of) && fits(wanted, work) => {
                Ok(OfStep { playbook: play.id.clone(), step: step.name.clone(), part: 0 })
            }
            _ => Err(another(play, step)),
        },
        _ => Err(another(play, step)),
    }
}

fn early_is(state: &State, work: &Work, run: &str) -> bool {
    super::due::begun_early(state, work).is_some_and(|early| early.id() == run)
}

/// A restore may be told which copy and which moment: that is the person's choice in the plan.
fn fits(offered: &Work, work: &Work) -> bool {
    match (offered, work) {
        (Work::Restore { backup: a, .. }, Work::Restore { backup: b, test: false, .. }) => a == b,
        _ => offered == work,
    }
}

/// The step that a recovery carries out. Errors: the playbook is not at such a step.
pub fn of_recovery(state: &State, playbook: &str, name: &str) -> Result<OfStep, Refusal> {
    let (play, step, offer) = offered(state, playbook)?;
    match offer {
        Offer::Recovery { recovery } if recovery == name => {
            Ok(OfStep { playbook: play.id.clone(), step: step.name.clone(), part: 0 })
        }
        _ => Err(another(play, step)),
    }
}

/// The step that a message carries out. Errors: the playbook is not at such a step.
pub fn of_message(state: &State, playbook: &str) -> Result<OfStep, Refusal> {
    let (play, step, offer) = offered(state, playbook)?;
    match offer {
        Offer::Message { .. } => Ok(OfStep { playbook: play.id.clone(), step: step.name.clone(), part: 0 }),
        _ => Err(another(play, step)),
    }
}
