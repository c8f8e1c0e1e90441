//! Planning, confirming, starting and watching runs from the command line.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use super::args::{How, RunsCmd};
use super::exit::{self, Failure};
use super::{Session, print, say};
use crate::domain::run::{Checked, Plan, Risk, RunState, SideRole, Work};
use crate::text;
use crate::wire::{Answer, Ask, RunView};

/// Plans `work`, shows the plan, has it confirmed, starts it, and waits for the verdict where asked.
pub async fn start(session: &mut Session, work: Work, how: How) -> Result<u8, Failure> {
    start_for(session, work, how, None).await
}

/// The same for the step that a playbook is at.
pub async fn start_for(session: &mut Session, work: Work, how: How, playbook: Option<String>) -> Result<u8, Failure> {
    let (plan, digest) = planned(session, work).await?;
    if how.plan {
        if session.json {
            print(&serde_json::json!({ "plan": plan, "digest": digest }))?;
        } else {
            say(&plan_text(&plan));
        }
        return Ok(if plan.blockers().next().is_some() { exit::REFUSED } else { exit::DONE });
    }
    unblocked(&plan)?;
    let confirm = confirmation(&plan, &how)?;
    let unlogged = match how.unlogged.as_deref() {
        None => false,
        Some("unlogged") => true,
        Some(other) => return Err(Failure::usage(format!("--unlogged takes the word unlogged, not \"{other}\""))),
    };
    let ask = Ask::Start { plan: plan.id.clone(), confirm, reason: how.reason, unlogged };
    let answer = session.ask(ask.for_step(playbook)).await?;
    let id = match &answer {
        Answer::Done { run: Some(id), .. } => id.clone(),
        Answer::Approval(approval) => {
            super::guard::asked(session, approval, how.wait, how.break_glass.as_deref()).await?
        }
        _ => return Err(Failure::failed("the engine did not start the run")),
    };
    if !how.wait {
        if session.json {
            print(&answer)?;
        } else {
            say(&id);
        }
        return Ok(0);
    }
    let run = wait(session, &id).await?;
    if session.json {
        print(&run_json(&run, None))?;
    } else {
        say(&run_line(&run));
    }
    Ok(exit::of_run(run.state, run.verdict))
}

async fn planned(session: &mut Session, work: Work) -> Result<(Box<Plan>, String), Failure> {
    match session.ask(Ask::Plan(work)).await? {
        Answer::Plan { plan, digest } => Ok((plan, digest)),
        _ => Err(Failure::failed("the engine gave no plan")),
    }
}

fn unblocked(plan: &Plan) -> Result<(), Failure> {
    match plan.blockers().next() {
        Some(b) => Err(Failure::refused(format!("{}: {}: {}", plan.title, b.name, b.detail))),
        None => Ok(()),
    }
}

/// `mayday logs SERVICE`: read by a run, so that what was seen is on record.
pub async fn logs(session: &mut Session, service: String, lines: u32) -> Result<u8, Failure> {
    let (plan, _) = planned(session, Work::Logs { service, lines }).await?;
    unblocked(&plan)?;
    let (confirm, reason) = (String::new(), String::new());
    let ask = Ask::Start { plan: plan.id.clone(), confirm, reason, unlogged: false };
    let Answer::Done { run: Some(id), .. } = session.ask(ask).await? else {
        return Err(Failure::failed("the engine did not start the run"));
    };
    let run = wait(session, &id).await?;
    show(session, &id, false).await?;
    // Looking has no effect that could be verified: its answer is its exit code.
    Ok(if run.state == RunState::Succeeded { 0 } else { exit::of_run(run.state, run.verdict) })
}

/// The confirmation for a plan: from the flags, or typed at a terminal. Without either it is refused.
fn confirmation(plan: &Plan, how: &How) -> Result<String, Failure> {
    if let Some(typed) = &how.confirm {
        return Ok(typed.clone());
    }
    match plan.risk {
        Risk::Observe => Ok(String::new()),
        Risk::Disruptive if how.yes => Ok("y".into()),
        Risk::Disruptive => {
            eprintln!("{}", plan_text(plan));
            confirm_yes(&plan.title)?;
            Ok("y".into())
        }
        Risk::Destructive => {
            let flag = format!("--confirm {}", text::shell_word(&plan.target));
            if !std::io::stdin().is_terminal() {
                return Err(Failure::refused(format!("{} is destructive: give {flag}", plan.title)));
            }
            eprintln!("{}", plan_text(plan));
            let typed = ask_line(&format!("DESTRUCTIVE. Type {} to go on: ", plan.target))?;
            if typed == plan.target { Ok(typed) } else { Err(Failure::refused("not confirmed: nothing was done")) }
        }
    }
}

/// Asks for `y` at a terminal; refused without one.
pub fn confirm_yes(what: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::refused(format!("{what}: not confirmed: give --yes")));
    }
    match ask_line(&format!("{what}? y/N "))?.as_str() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::refused("not confirmed: nothing was done")),
    }
}

pub(super) fn ask_line(prompt: &str) -> Result<String, Failure> {
    eprint!("{prompt}");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// A plan for people.
pub fn plan_text(plan: &Plan) -> String {
    let mut out = vec![format!("{} ({})", plan.title, plan.risk.word())];
    out.extend(plan.effects.iter().map(|e| format!("  effect     {e}")));
    if let Some(copy) = &plan.copy {
        out.push(format!("  copy       {} of {} ({})", copy.id, copy.taken_at, copy.size_said()));
    }
    if let Some(ms) = plan.data_lost_ms {
        let lost = text::duration(Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
        let rpo =
            plan.rpo_ms.map(|r| format!(" (RPO {})", text::duration(Duration::from_millis(r)))).unwrap_or_default();
        out.push(format!("  data lost  everything written in the last {lost}{rpo}"));
    }
    match plan.expected_ms {
        Some(ms) => out.push(format!(
            "  takes      about {} (from {})",
            text::duration(Duration::from_millis(ms)),
            text::plural(plan.expected_from as usize, "earlier run")
        )),
        None => out.push("  takes      unknown: no earlier run".into()),
    }
    for p in &plan.preconditions {
        let mark = match p.result {
            Checked::Passed => "ok  ",
            Checked::Warned => "WARN",
            Checked::Failed => "FAIL",
        };
        out.push(format!("  {mark}       {}: {}", p.name, p.detail));
    }
    for phase in &plan.phases {
        for line in phase.step.shown() {
            out.push(format!("  {:<10} $ {line}", text::width::cut(&phase.name, 10)));
        }
    }
    if let Some(after) = &plan.after {
        out.extend(after.shown.iter().map(|s| format!("  then       {s}")));
    } else {
        out.push(format!("  then       {}", plan.without_after()));
    }
    if !plan.undo.is_empty() {
        out.push(format!("  undo       {}", plan.undo));
    }
    out.join("\n")
}

/// Between two questions whether a run is over.
const WAIT: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

async fn wait(session: &mut Session, id: &str) -> Result<RunView, Failure> {
    let meanwhile = format!("the run goes on by itself: mayday runs show {id} --follow");
    let begun = std::time::Instant::now();
    loop {
        let picture = session.picture_in_time(&meanwhile).await?;
        match picture.runs.get(id) {
            Some(run) if run.state.is_over() => return Ok(run.clone()),
            // A long run is asked after less often; a hundredth of its time is not missed.
            Some(_) => tokio::time::sleep((begun.elapsed() / 100).clamp(WAIT.0, WAIT.1)).await,
            None => return Err(Failure::failed(format!("run {id} is not known any more"))),
        }
    }
}

/// The contract of `runs show --json`.
fn run_json(run: &RunView, output: Option<&str>) -> serde_json::Value {
    serde_json::json!({
        "id": run.id, "what": run.title, "target": run.target, "service": run.service, "incident": run.incident,
        "state": run.state, "exit": run.exit, "verdict": run.verdict, "detail": run.detail,
        "requested_by": run.requested_by, "requested_at": run.requested_at,
        "started_at": run.started_at, "finished_at": run.finished_at, "output": output, "sides": run.sides,
        "head_start": run.head_start, "data_as_of": run.data_as_of,
    })
}

fn run_line(run: &RunView) -> String {
    let took = match (run.started_at, run.finished_at) {
        (Some(a), Some(b)) => format!(" in {}", text::duration(b.since(a))),
        _ => String::new(),
    };
    let exit = run.exit.map(|x| format!(" exit {x}")).unwrap_or_default();
    let verdict = run.verdict.map(|v| format!(" {}", v.word().to_uppercase())).unwrap_or_default();
    let detail = if run.detail.is_empty() { String::new() } else { format!(": {}", run.detail) };
    format!("{}  {}  {}{took}{exit}{verdict}{detail}", run.id, run.title, run.state.word())
}

/// `mayday runs …`.
pub async fn runs(session: &mut Session, command: RunsCmd) -> Result<u8, Failure> {
    match command {
        RunsCmd::List => {
            let picture = session.picture().await?;
            let runs = picture.runs_newest_first();
            if session.json {
                print(&runs.iter().map(|r| run_json(r, None)).collect::<Vec<_>>())?;
            } else if runs.is_empty() {
                say("no run yet");
            } else {
                for run in runs {
                    say(&format!("{}  {}", run.requested_at, run_line(run)));
                    for side in &run.sides {
                        say(&format!("    {} {} ({})", side.kind, side.name, side.said()));
                    }
                }
            }
            Ok(0)
        }
        RunsCmd::Show { id, follow } => show(session, &id, follow).await,
        RunsCmd::Cancel { id, reason } => {
            let answer = session.act(crate::domain::command::Command::Cancel { run: id, reason }).await?;
            if session.json {
                print(&answer)?;
            }
            Ok(0)
        }
    }
}

/// What is looked for, in words.
fn side_word(role: SideRole) -> &'static str {
    match role {
        SideRole::Ready => "ready to cut over",
        SideRole::Before => "kept from before the cut-over",
        SideRole::Abandoned => "kept, undone",
        SideRole::Beside => "put beside the live tables",
        SideRole::Serving => "promoted and handed over",
    }
}

async fn show(session: &mut Session, id: &str, follow: bool) -> Result<u8, Failure> {
    let unknown = || Failure::usage(format!("there is no run \"{id}\": mayday runs lists them"));
    let meanwhile = format!("the run goes on by itself: mayday runs show {id}");
    let mut offset = 0;
    let mut text = String::new();
    if !session.json {
        let picture = session.picture().await?;
        say(&run_line(picture.runs.get(id).ok_or_else(unknown)?));
    }
    loop {
        let ask = Ask::Output { run: id.into(), offset, limit: 256 * 1024 };
        let Answer::Output(chunk) = session.look(&ask, &meanwhile).await? else { return Err(unknown()) };
        if chunk.cut > 0 && offset == 0 {
            eprintln!("({} of output were cut from the middle)", text::size(chunk.cut));
        }
        if session.json {
            text.push_str(&chunk.text);
        } else {
            print!("{}", chunk.text);
            std::io::stdout().flush()?;
        }
        let more = chunk.next > offset && chunk.next < chunk.total;
        offset = chunk.next;
        if more {
            continue;
        }
        if chunk.over || !follow {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let picture = session.picture_in_time(&meanwhile).await?;
    let run = picture.runs.get(id).ok_or_else(unknown)?;
    if session.json {
        print(&run_json(run, Some(&text)))?;
    } else if follow {
        say(&run_line(run));
    }
    Ok(if run.state.is_over() { exit::of_run(run.state, run.verdict) } else { 0 })
}

/// The restore run that `--cut-over`, `--undo` and `--drop` mean: the stated one, or the newest of the backup set that
/// left something to act on.
pub async fn restore_run(
    session: &mut Session,
    backup: &str,
    stated: Option<String>,
    role: Option<SideRole>,
) -> Result<String, Failure> {
    if let Some(id) = stated {
        return Ok(id);
    }
    let picture = session.picture().await?;
    let runs = picture.runs_newest_first();
    let restores: Vec<&str> = runs
        .iter()
        .filter(|r| matches!(&r.work, Work::Restore { backup: b, .. } if b == backup))
        .map(|r| r.id.as_str())
        .collect();
    let belongs = |run: &RunView| match &run.work {
        Work::Restore { backup: b, .. } => b == backup,
        Work::CutOver { of } | Work::CopyIn { of, .. } | Work::Undo { of } => {
            let of_restore = |work: &Work| matches!(work, Work::CutOver { of } | Work::CopyIn { of, .. } if restores.contains(&of.as_str()));
            restores.contains(&of.as_str()) || runs.iter().any(|r| r.id == *of && of_restore(&r.work))
        }
        _ => false,
    };
    let has = |r: &&&RunView| r.sides.iter().any(|s| role.is_none_or(|role| s.role == role));
    let found: Vec<&RunView> = runs.iter().copied().filter(|r| belongs(r)).collect();
    if role == Some(SideRole::Before)
        && let Some(why) = newest_is_not_to_undo(backup, &found)
    {
        return Err(Failure::refused(why));
    }
    let mut left = found.iter().filter(has);
    let Some(newest) = left.next() else {
        let word = role.map_or("left beside the live data", side_word);
        return Err(Failure::refused(format!("nothing of {backup} is {word}: mayday runs lists what there is")));
    };
    // Which copy goes live is not guessed.
    if role == Some(SideRole::Ready)
        && let Some(other) = left.next()
    {
        let of = |r: &RunView| format!("run {} ({}, {})", r.id, r.title, r.requested_at.hms());
        return Err(Failure::refused(format!(
            "more than one copy of {backup} is ready: {} and {}: say which with --run ID, or drop one: --drop --run ID",
            of(newest),
            of(other)
        )));
    }
    Ok(newest.id.clone())
}

/// Why an undo that names no run does nothing: what was done last kept nothing to put back. It must not fall through to
/// what was done before that.
fn newest_is_not_to_undo(backup: &str, newest_first: &[&RunView]) -> Option<String> {
    let kept = |r: &RunView| r.sides.iter().any(|s| s.role == SideRole::Before);
    // What has kept something was done, also where its runner did not live to say so.
    let changed = |r: &&&RunView| {
        matches!(r.work, Work::CutOver { .. } | Work::CopyIn { .. } | Work::Undo { .. })
            && (r.state == RunState::Succeeded || kept(r))
    };
    let last = newest_first.iter().find(changed)?;
    if kept(last) && !matches!(last.work, Work::Undo { .. }) {
        return None;
    }
    let mut why =
        format!("the last change of {backup} is run {} ({}, {})", last.id, last.title, last.requested_at.hms());
    let serves = last.sides.iter().any(|s| s.role == SideRole::Serving);
    why.push_str(&match &last.work {
        Work::Undo { .. } => format!(", which undid one already: --run {} puts back what that took out", last.id),
        _ if last.sides.is_empty() => {
            ", and nothing is kept of what was live before it, if there was any: what is live now is all there is".to_owned()
        }
        _ if serves => format!(
            ", which changed nothing on the live server: point the clients at that again; --drop --run {} then ends and \
             removes what was promoted",
            last.id
        ),
        _ => format!(", which kept nothing to put back: --drop --run {} takes away what it put beside", last.id),
    });
    if let Some(before) = newest_first.iter().find(|r| r.id != last.id && kept(r)) {
        why.push_str(&format!("; the one before it is undone with --run {}", before.id));
    }
    Some(why)
}
