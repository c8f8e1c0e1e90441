//! Recoveries from the command line: planning, confirming, following, answering.

use std::io::IsTerminal;
use std::time::Duration;

use super::args::{RecoverCmd, RecoverHow};
use super::exit::{self, Failure};
use super::runs::{ask_line, confirm_yes};
use super::{Session, print, say};
use crate::domain::command::{Command, RecoveryAnswer};
use crate::domain::recovery::{Recovery, RecoveryPlan, RecoveryState, Shown, StepState, Why};
use crate::domain::run::Risk;
use crate::domain::time::Time;
use crate::text;
use crate::wire::{Answer, Ask, Mirror, RecoveryView};

/// `mayday recover …`.
pub async fn run(
    session: &mut Session,
    name: Option<String>,
    how: RecoverHow,
    command: Option<RecoverCmd>,
) -> Result<u8, Failure> {
    match (command, name) {
        (Some(RecoverCmd::Status { id }), _) => status(session, id).await,
        (Some(RecoverCmd::Resume { how }), _) => resume(session, how).await,
        (Some(RecoverCmd::Skip { reason, wait }), _) => answer(session, RecoveryAnswer::Skip, reason, wait).await,
        (Some(RecoverCmd::Stop { reason }), _) => answer(session, RecoveryAnswer::Stop, reason, false).await,
        (Some(RecoverCmd::Done { reason, wait }), _) => answer(session, RecoveryAnswer::Done, reason, wait).await,
        (Some(RecoverCmd::Failed { reason }), _) => answer(session, RecoveryAnswer::Failed, reason, false).await,
        (None, Some(name)) => start(session, &name, how).await,
        (None, None) => list(session).await,
    }
}

async fn list(session: &mut Session) -> Result<u8, Failure> {
    let picture = session.picture().await?;
    let configured = &picture.head.recoveries;
    let recent = picture.recoveries_newest_first();
    if session.json {
        print(&serde_json::json!({
            "recoveries": configured.iter().map(|(name, facts)| serde_json::json!({
                "name": name, "title": facts.title, "kind": facts.kind, "steps": facts.steps,
            })).collect::<Vec<_>>(),
            "recent": recent.iter().map(|r| json(r, picture.at)).collect::<Vec<_>>(),
        }))?;
        return Ok(exit::DONE);
    }
    if configured.is_empty() {
        say("no recovery is configured: add a [[recovery]]");
    }
    for (name, facts) in configured {
        let kind = if facts.kind.is_empty() { String::new() } else { format!(" [{}]", facts.kind) };
        say(&format!("{name}  {}{kind}, {}", facts.title, text::plural(facts.steps, "step")));
    }
    for view in recent {
        say(&format!("  {}  {}", view.recovery.started_at, headline(&view.recovery)));
    }
    Ok(exit::DONE)
}

async fn start(session: &mut Session, name: &str, how: RecoverHow) -> Result<u8, Failure> {
    start_for(session, name, how, None).await
}

/// The same for the step that a playbook is at.
pub async fn start_for(
    session: &mut Session,
    name: &str,
    how: RecoverHow,
    playbook: Option<String>,
) -> Result<u8, Failure> {
    let ask = Ask::PlanRecovery { name: name.to_owned() };
    let Answer::Recovery(plan) = session.ask(ask).await? else {
        return Err(Failure::failed("the engine gave no plan"));
    };
    if how.plan {
        match session.json {
            true => print(&serde_json::json!({ "plan": plan }))?,
            false => say(&plan_text(&plan)),
        }
        return Ok(if plan.blocked.is_empty() { exit::DONE } else { exit::REFUSED });
    }
    if let Some(why) = plan.blocked.first() {
        return Err(Failure::refused(format!("recover {name}: {why}")));
    }
    let confirm = confirmation(plan.risk, &format!("recover {name}"), &plan.target, &plan_text(&plan), &how)?;
    let ask = Ask::Recover { plan: plan.id.clone(), confirm, reason: how.reason };
    let done = session.ask(ask.for_step(playbook)).await?;
    let id = match &done {
        Answer::Done { recovery: Some(id), .. } => id.clone(),
        Answer::Approval(approval) => {
            super::guard::asked(session, approval, how.wait, how.break_glass.as_deref()).await?
        }
        _ => return Err(Failure::failed("the engine did not start the recovery")),
    };
    if how.wait {
        return wait(session, &id).await;
    }
    match session.json {
        true => print(&done)?,
        false => say(&id),
    }
    Ok(exit::DONE)
}

/// From the flags, or typed at a terminal; refused without either.
fn confirmation(risk: Risk, title: &str, target: &str, plan: &str, how: &RecoverHow) -> Result<String, Failure> {
    if let Some(typed) = &how.confirm {
        return Ok(typed.clone());
    }
    match risk {
        Risk::Observe => Ok(String::new()),
        Risk::Disruptive if how.yes => Ok("y".into()),
        Risk::Disruptive => {
            eprintln!("{plan}");
            confirm_yes(title)?;
            Ok("y".into())
        }
        Risk::Destructive => {
            if !std::io::stdin().is_terminal() {
                let flag = format!("--confirm {}", text::shell_word(target));
                return Err(Failure::refused(format!("{title} has destructive steps: look with --plan, give {flag}")));
            }
            eprintln!("{plan}");
            let typed = ask_line(&format!("DESTRUCTIVE. Type {target} to go on: "))?;
            if typed == target { Ok(typed) } else { Err(Failure::refused("not confirmed: nothing was done")) }
        }
    }
}

fn ms(ms: u64) -> String {
    text::duration(Duration::from_millis(ms))
}

/// What is known of a run beforehand, for people.
fn shown_text(shown: &Shown, out: &mut Vec<String>) {
    out.push(format!("     {} ({})", shown.title, shown.risk.word()));
    if let Some(copy) = &shown.copy {
        out.push(format!("       copy       {copy}"));
    }
    if let Some(lost) = shown.data_lost_ms {
        let rpo = shown.rpo_ms.map(|r| format!(" (RPO {})", ms(r))).unwrap_or_default();
        let lost = ms(u64::try_from(lost).unwrap_or(0));
        out.push(format!("       DATA LOST  everything written in the last {lost}{rpo}"));
    }
    if let Some(expected) = shown.expected_ms {
        out.push(format!("       takes      about {}", ms(expected)));
    }
    out.extend(shown.commands.iter().map(|c| format!("       $ {c}")));
    out.extend(shown.checks.iter().map(|c| format!("       {c}")));
    if shown.digest.is_empty() {
        out.push("       $ its exact commands are known when the copy is restored, and are in the record".into());
    }
}

/// The whole plan for people.
pub fn plan_text(plan: &RecoveryPlan) -> String {
    let kind = if plan.kind.is_empty() { String::new() } else { format!(" [{}]", plan.kind) };
    let mut out = vec![format!("recover {}: {}{kind} ({})", plan.name, plan.title, plan.risk.word())];
    for (number, step) in plan.steps.iter().enumerate() {
        let spec = &step.spec;
        out.push(format!(
            "  {:>2} {:<9} {}   (time box {})",
            number + 1,
            spec.phase.word(),
            spec.does.title(),
            ms(spec.within_ms)
        ));
        step.runs.iter().for_each(|shown| shown_text(shown, &mut out));
    }
    let lost = plan.steps.iter().flat_map(|s| &s.runs).filter_map(|r| r.data_lost_ms).max();
    if let Some(lost) = lost {
        out.push(format!("  in all     up to {} of data lost", ms(u64::try_from(lost).unwrap_or(0))));
    }
    out.extend(plan.blocked.iter().map(|why| format!("  BLOCKED    {why}")));
    out.join("\n")
}

/// The contract of `recover status --json`.
fn json(view: &RecoveryView, at: Time) -> serde_json::Value {
    let r = &view.recovery;
    serde_json::json!({
        "id": r.plan.id, "name": r.plan.name, "title": r.plan.title, "kind": r.plan.kind, "incident": r.incident,
        "state": r.state, "step": r.step, "started_at": r.started_at, "started_by": r.started_by,
        "finished_at": r.finished_at, "reason": r.reason, "waits": view.waits, "wants_person": r.wants_person(),
        "answers": answers(r), "halt": r.halt,
        "steps": r.plan.steps.iter().zip(&r.steps).map(|(step, record)| serde_json::json!({
            "phase": step.spec.phase, "title": step.spec.does.title(), "state": record.state,
            "within_ms": step.spec.within_ms, "used_ms": used(record, at).map(|d| d.as_millis() as u64),
            "attempts": record.attempts, "runs": record.runs, "detail": record.detail, "by": record.by,
            "begun_at": record.begun_at, "ended_at": record.ended_at,
        })).collect::<Vec<_>>(),
    })
}

/// How long a step has taken, or took.
fn used(record: &crate::domain::recovery::StepRecord, at: Time) -> Option<Duration> {
    let begun = record.begun_at?;
    match record.state {
        StepState::NotDone | StepState::Waiting => record.ended_at.map(|end| end.since(begun)),
        _ => Some(record.ended_at.unwrap_or(at).since(begun)),
    }
}

/// What a person can say to it now.
fn answers(r: &Recovery) -> Vec<&'static str> {
    let mut out = Vec::new();
    if r.wants_word() {
        out.extend(["done", "failed"]);
    }
    if r.state == RecoveryState::Asks {
        out.push("resume");
    }
    if r.state.is_open() {
        out.extend(["skip", "stop"]);
    }
    out
}

fn headline(r: &Recovery) -> String {
    let at = if r.state.is_open() { format!(" at {}", r.place()) } else { String::new() };
    let skipped = match r.skipped() {
        0 => String::new(),
        n => format!(", {} skipped", text::plural(n, "step")),
    };
    let reason = if r.reason.is_empty() { String::new() } else { format!(": {}", r.reason) };
    format!("{}  {} {}{at}{skipped}{reason}", r.plan.id, r.plan.name, r.state.word())
}

/// A recovery for people, step by step.
fn status_text(view: &RecoveryView, at: Time) -> String {
    let r = &view.recovery;
    let mut out = vec![headline(r)];
    for (number, (step, record)) in r.plan.steps.iter().zip(&r.steps).enumerate() {
        let time = used(record, at).map(|d| format!("  {} of {}", text::duration(d), ms(step.spec.within_ms)));
        let by = if record.by.is_empty() { String::new() } else { format!(" by {}", record.by) };
        let detail = if record.detail.is_empty() { String::new() } else { format!(": {}", record.detail) };
        out.push(format!(
            "  {:>2} {:<9} {:<9} {}{}{by}{detail}",
            number + 1,
            step.spec.phase.word(),
            record.state.word(),
            step.spec.does.title(),
            time.unwrap_or_default()
        ));
    }
    if let Some(halt) = &r.halt {
        out.push(format!("STOPPED, {}: {}", halt.why.word(), halt.detail));
        if let Some(now) = &halt.now {
            out.push("  what would be done now:".into());
            shown_text(now, &mut out);
        }
    }
    if !view.waits.is_empty() {
        out.push(format!("waits: {}", view.waits));
    }
    let answers = answers(r);
    if r.wants_person() {
        out.push(format!("answer it: mayday recover {}", answers.join(" | ")));
    }
    out.join("\n")
}

fn find<'a>(picture: &'a Mirror, id: Option<&str>) -> Result<&'a RecoveryView, Failure> {
    match id {
        Some(id) => picture.recoveries.get(id).ok_or_else(|| Failure::usage(format!("there is no recovery \"{id}\""))),
        None => picture
            .open_recovery()
            .or_else(|| picture.recoveries_newest_first().first().copied())
            .ok_or_else(|| Failure::failed("no recovery was started yet")),
    }
}

async fn status(session: &mut Session, id: Option<String>) -> Result<u8, Failure> {
    let picture = session.picture().await?;
    let view = find(&picture, id.as_deref())?;
    match session.json {
        true => print(&json(view, picture.at))?,
        false => say(&status_text(view, picture.at)),
    }
    Ok(exit::DONE)
}

async fn resume(session: &mut Session, how: RecoverHow) -> Result<u8, Failure> {
    let picture = session.picture().await?;
    let changed = picture.open_recovery().and_then(|view| {
        let halt = view.recovery.halt.as_ref().filter(|h| h.why == Why::Changed)?;
        halt.now.clone()
    });
    if how.plan {
        let view = find(&picture, None)?;
        match session.json {
            true => print(&json(view, picture.at))?,
            false => say(&status_text(view, picture.at)),
        }
        return Ok(exit::DONE);
    }
    let mut said = RecoveryAnswer::Resume { digest: String::new(), confirm: String::new() };
    if let Some(now) = changed {
        let mut plan = Vec::new();
        shown_text(&now, &mut plan);
        let confirm = confirmation(now.risk, &now.title, &now.target, &plan.join("\n"), &how)?;
        said = RecoveryAnswer::Resume { digest: now.digest, confirm };
    }
    answer(session, said, how.reason, how.wait).await
}

async fn answer(session: &mut Session, answer: RecoveryAnswer, reason: String, follow: bool) -> Result<u8, Failure> {
    let done = session.act(Command::Answer { recovery: None, answer, reason }).await?;
    let Answer::Done { recovery: Some(id), .. } = &done else {
        return Err(Failure::failed("the engine gave no recovery"));
    };
    if follow {
        return wait(session, &id.clone()).await;
    }
    match session.json {
        true => print(&done)?,
        false => say(id),
    }
    Ok(exit::DONE)
}

/// Until it is over, or stops and asks. A step that a person does is waited for, and said.
async fn wait(session: &mut Session, id: &str) -> Result<u8, Failure> {
    let meanwhile = "the recovery goes on when an engine runs: mayday recover status";
    let mut told = None;
    loop {
        let picture = session.picture_in_time(meanwhile).await?;
        let Some(view) = picture.recoveries.get(id) else {
            return Err(Failure::failed(format!("recovery {id} is not known any more")));
        };
        let r = &view.recovery;
        let code = match r.state {
            RecoveryState::Complete if r.skipped() == 0 => Some(exit::DONE),
            RecoveryState::Complete => Some(exit::UNVERIFIED),
            RecoveryState::Ended => Some(exit::CUT_SHORT),
            RecoveryState::Asks => Some(exit::FAILED),
            RecoveryState::UnderWay => None,
        };
        if let Some(code) = code {
            match session.json {
                true => print(&json(view, picture.at))?,
                false => say(&status_text(view, picture.at)),
            }
            return Ok(code);
        }
        if told != Some(r.step) {
            told = Some(r.step);
            if r.step < r.steps.len() {
                let person = if r.wants_word() { ": a person does it, mayday recover done | failed" } else { "" };
                eprintln!("{}{person}", r.place());
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
