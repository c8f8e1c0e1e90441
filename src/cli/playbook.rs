//! Playbooks from the command line: what there is, starting one, carrying out its steps, answering it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};

use super::args::{How, RecoverHow};
use super::exit::{self, Failure};
use super::incident::Sending;
use super::{Session, print, say};
use crate::domain::command::Command;
use crate::domain::playbook::{Answer as Say, Does, Offer, Play, PlayState, Playbook, StepState, Take};
use crate::domain::run::Work;
use crate::domain::time::Time;
use crate::text;
use crate::wire::{Answer, Ask, Mirror, PlaybookView};

/// Which one, when several are open.
#[derive(Clone, Debug, Default, Args)]
pub struct Which {
    /// The one with this id, instead of the one under way.
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub reason: String,
}

#[derive(Debug, Subcommand)]
pub enum PlaybookCmd {
    /// What is configured, what fits what is down, and what was started.
    List,
    /// One that is configured, with all its steps.
    Show { name: String },
    /// The shipped ones; with a name the text of its file, to be copied into a folder of your own.
    Shipped { name: Option<String> },
    /// Start one; prints its id. Nothing is done by that.
    Start {
        name: String,
        #[arg(long, value_name = "INC")]
        incident: Option<String>,
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
    },
    /// Where one is, step by step.
    Status { id: Option<String> },
    /// Carry out the step it is at: shows the plan, and has it confirmed.
    Do {
        #[arg(long, value_name = "ID")]
        id: Option<String>,
        /// The copy to restore; the newest good one by default.
        #[arg(long, value_name = "ID")]
        copy: Option<String>,
        /// The moment to restore to, where the backup can.
        #[arg(long, value_name = "TIME")]
        to: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// The step is done (--reason says what was done or seen); on to the next.
    #[command(visible_alias = "done")]
    Next {
        /// Go on although the step failed; it stays failed. Needs --reason.
        #[arg(long)]
        go_on: bool,
        #[command(flatten)]
        which: Which,
    },
    /// The step failed; needs --reason.
    Fail {
        #[command(flatten)]
        which: Which,
    },
    /// Pass the step over; needs --reason.
    Skip {
        #[command(flatten)]
        which: Which,
    },
    /// Try a step that failed once more.
    Again {
        #[command(flatten)]
        which: Which,
    },
    /// Choose the way on at a decision.
    Choose {
        option: String,
        #[command(flatten)]
        which: Which,
    },
    /// Keep what shows that a step was done: words, - for standard input, or a file (its digest, and its text where it is
    /// one).
    Evidence {
        #[arg(num_args = 0..)]
        text: Vec<String>,
        #[arg(long, value_name = "PATH")]
        file: Option<PathBuf>,
        /// Another step than the one it is at.
        #[arg(long, value_name = "NAME")]
        step: Option<String>,
        #[arg(long, value_name = "ID")]
        id: Option<String>,
    },
    /// Leave it for somebody else, or for later.
    Leave {
        #[command(flatten)]
        which: Which,
    },
    /// Go on with one that was left, or whose file has changed.
    Resume {
        /// Its file has changed: go on with the text that was started.
        #[arg(long, conflicts_with = "take_new")]
        keep: bool,
        /// Its file has changed: go on with the new text, from --from.
        #[arg(long, requires = "from")]
        take_new: bool,
        #[arg(long, value_name = "STEP", requires = "take_new")]
        from: Option<String>,
        #[command(flatten)]
        which: Which,
    },
    /// End it before its end; needs --reason.
    Stop {
        #[command(flatten)]
        which: Which,
    },
}

/// `mayday playbook …`.
pub async fn run(session: &mut Session, command: PlaybookCmd) -> Result<u8, Failure> {
    match command {
        PlaybookCmd::List => list(session).await,
        PlaybookCmd::Show { name } => show(session, name).await,
        PlaybookCmd::Shipped { name } => shipped(session.json, name.as_deref()),
        PlaybookCmd::Start { name, incident, reason } => {
            session.act(Command::PlaybookStart { name, incident, reason, text: None }).await?;
            told(session, None).await
        }
        PlaybookCmd::Status { id } => status(session, id).await,
        PlaybookCmd::Do { id, copy, to, how } => carry_out(session, id, copy, to, how).await,
        PlaybookCmd::Next { go_on: true, which } => answer(session, which, Say::GoOn).await,
        PlaybookCmd::Next { go_on: false, which } => answer(session, which, Say::Done).await,
        PlaybookCmd::Fail { which } => answer(session, which, Say::Fail).await,
        PlaybookCmd::Skip { which } => answer(session, which, Say::Skip).await,
        PlaybookCmd::Again { which } => answer(session, which, Say::Again).await,
        PlaybookCmd::Choose { option, which } => answer(session, which, Say::Choose { option }).await,
        PlaybookCmd::Evidence { text, file, step, id } => {
            let said = evidence(&text, file.as_deref(), step)?;
            answer(session, Which { id, reason: String::new() }, said).await
        }
        PlaybookCmd::Leave { which } => answer(session, which, Say::Leave).await,
        PlaybookCmd::Resume { keep, take_new, from, which } => {
            let take = match (keep, from.filter(|_| take_new)) {
                (true, _) => Some(Take::Old),
                (false, Some(from)) => Some(Take::New { from }),
                (false, None) => None,
            };
            answer(session, which, Say::Resume { take }).await
        }
        PlaybookCmd::Stop { which } => answer(session, which, Say::Stop).await,
    }
}

/// Printed without any engine.
pub fn shipped(json: bool, name: Option<&str>) -> Result<u8, Failure> {
    let all = crate::config::playbooks::SHIPPED;
    let Some(name) = name else {
        if json {
            print(&all.iter().map(|(name, _)| name).collect::<Vec<_>>())?;
        } else {
            all.iter().for_each(|(name, _)| say(name));
            say("bind one: [[playbook]] use = \"NAME\", with = { … }; mayday playbook shipped NAME prints its file");
        }
        return Ok(exit::DONE);
    };
    let Some((_, text)) = all.iter().find(|(n, _)| *n == name) else {
        let known: Vec<&str> = all.iter().map(|(n, _)| *n).collect();
        return Err(Failure::usage(format!("no playbook \"{name}\" is shipped: there are {}", known.join(", "))));
    };
    match json {
        true => print(&serde_json::json!({ "name": name, "text": text }))?,
        false => say(text.trim_end()),
    }
    Ok(exit::DONE)
}

async fn list(session: &mut Session) -> Result<u8, Failure> {
    let picture = session.picture().await?;
    let head = &picture.head;
    let recent = picture.playbooks_newest_first();
    if session.json {
        print(&serde_json::json!({
            "playbooks": head.playbooks, "suggested": head.suggested_playbooks,
            "recent": recent.iter().map(|p| json(p, picture.at)).collect::<Vec<_>>(),
        }))?;
        return Ok(exit::DONE);
    }
    if head.playbooks.is_empty() {
        say("no playbook is configured: add a [[playbook]]; mayday playbook shipped lists those to begin with");
    }
    for facts in &head.playbooks {
        let fits = head.suggested_playbooks.iter().find(|s| s.name == facts.name);
        let fits = fits.map(|s| format!("   FITS: {}", s.why)).unwrap_or_default();
        say(&format!("{}  {}, {}{fits}", facts.name, facts.title, text::plural(facts.steps, "step")));
    }
    for view in recent {
        say(&format!("  {}  {}", view.play.started_at, headline(&view.play)));
    }
    Ok(exit::DONE)
}

async fn show(session: &mut Session, name: String) -> Result<u8, Failure> {
    let Answer::Playbook(playbook) = session.ask(Ask::Playbook { name }).await? else {
        return Err(Failure::failed("the engine gave no playbook"));
    };
    match session.json {
        true => print(&playbook)?,
        false => say(&whole_text(&playbook)),
    }
    Ok(exit::DONE)
}

/// A playbook as it is configured, for people.
fn whole_text(p: &Playbook) -> String {
    let mut out = vec![format!("{}: {}", p.name, p.title)];
    out.extend(p.doc.lines().map(|l| format!("  {l}")));
    for (number, step) in p.steps.iter().enumerate() {
        let within = step.within_ms.map(|ms| format!(", within {}", ms_text(ms))).unwrap_or_default();
        let owner = if step.owner.is_empty() { String::new() } else { format!(", {}", step.owner) };
        let phase = if step.phase.is_empty() { "–" } else { &step.phase };
        out.push(format!(
            "{:>3} {:<10} {}  [{}] {}{within}{owner}",
            number + 1,
            phase,
            step.title,
            step.name,
            step.does.word()
        ));
        out.extend(step.text.lines().map(|l| format!("      {l}")));
        match &step.does {
            Does::Decide { options } => {
                out.extend(options.iter().map(|o| format!("      {} → {}: {}", o.name, o.go, o.title)));
            }
            Does::Checklist { checklist } => out.extend(checklist.items.iter().map(|i| format!("      [ ] {i}"))),
            does => out
                .extend(Some(does.what()).filter(|w| !w.is_empty() && *w != step.title).map(|w| format!("      {w}"))),
        }
        out.extend(step.go.as_ref().map(|go| format!("      then {go}")));
    }
    out.join("\n")
}

fn ms_text(ms: u64) -> String {
    text::duration(Duration::from_millis(ms))
}

fn headline(p: &Play) -> String {
    let at = if p.state.is_open() { format!(" at {}", p.place()) } else { String::new() };
    let count = |state, word: &str| match p.count(state) {
        0 => String::new(),
        n => format!(", {} {word}", text::plural(n, "step")),
    };
    let (skipped, failed) = (count(StepState::Skipped, "skipped"), count(StepState::Failed, "failed"));
    let reason = if p.reason.is_empty() { String::new() } else { format!(": {}", p.reason) };
    format!("{}  {} {}{at}{skipped}{failed}{reason}", p.id, p.text.name, p.state.word())
}

/// Words that answer it now.
fn answers(view: &PlaybookView) -> Vec<&'static str> {
    let p = &view.play;
    if !p.state.is_open() {
        return Vec::new();
    }
    if p.changed.is_some() {
        return vec!["resume --keep", "resume --take-new --from STEP", "stop"];
    }
    if p.state == PlayState::Left {
        return vec!["resume", "stop"];
    }
    let mut out = Vec::new();
    if let Some((step, record)) = p.current() {
        if view.offer.is_some() {
            out.push("do");
        }
        match (record.state, &step.does) {
            (_, Does::Decide { .. }) => out.push("choose"),
            (StepState::Failed, _) => out.extend(["again", "next --go-on --reason …"]),
            _ if view.busy => {}
            (StepState::Unproven, _) => out.extend(["next", "fail --reason …", "again"]),
            (_, Does::Manual { .. } | Does::Checklist { .. }) => {
                out.extend(["next", "fail --reason …", "skip --reason …"])
            }
            _ => out.extend(["fail --reason …", "skip --reason …"]),
        }
    }
    out.extend(["evidence", "leave", "stop"]);
    out
}

/// The contract of `playbook status --json`.
pub fn json(view: &PlaybookView, at: Time) -> serde_json::Value {
    let p = &view.play;
    let steps: Vec<_> = p
        .text
        .steps
        .iter()
        .map(|step| {
            let record = p.steps.get(&step.name).cloned().unwrap_or_default();
            let used = record.begun_at.map(|b| record.ended_at.unwrap_or(at).since(b).as_millis() as u64);
            serde_json::json!({
                "name": step.name, "title": step.title, "kind": step.does.word(), "what": step.does.what(),
                "phase": step.phase, "owner": step.owner, "text": step.text, "within_ms": step.within_ms,
                "state": record.state, "used_ms": used, "attempts": record.attempts, "detail": record.detail,
                "by": record.by, "runs": record.runs, "recovery": record.recovery, "message": record.message,
                "chosen": record.chosen, "passed": record.passed, "evidence": record.evidence,
                "failures": record.failures, "begun_at": record.begun_at, "ended_at": record.ended_at,
                "options": match &step.does {
                    Does::Decide { options } => Some(options),
                    _ => None,
                },
            })
        })
        .collect();
    serde_json::json!({
        "id": p.id, "name": p.text.name, "title": p.text.title, "digest": p.text.digest, "incident": p.incident,
        "state": p.state, "at": p.at, "path": p.path, "started_at": p.started_at, "started_by": p.started_by,
        "led_by": p.led_by, "finished_at": p.finished_at, "reason": p.reason, "changed": p.changed, "waits": view.waits,
        "busy": view.busy, "offer": view.offer, "answers": answers(view), "box_ends": p.box_ends(), "steps": steps,
    })
}

/// `left 3m` or `OVER by 2m`, of the step it is at.
fn box_text(p: &Play, at: Time) -> String {
    match p.box_ends() {
        Some(end) if at > end => format!("  OVER its box by {}", text::duration(at.since(end))),
        Some(end) => format!("  {} left", text::duration(end.since(at))),
        None => String::new(),
    }
}

fn status_text(view: &PlaybookView, picture: &Mirror) -> String {
    let (p, at) = (&view.play, picture.at);
    let roles = p.incident.as_ref().and_then(|id| picture.incidents.get(id)).map(|v| &v.incident.roles);
    let mut out = vec![headline(p)];
    for (number, step) in p.text.steps.iter().enumerate() {
        let record = p.steps.get(&step.name).cloned().unwrap_or_default();
        let here = p.at.as_deref() == Some(&step.name) && p.state.is_open();
        let mark = if here { ">" } else { " " };
        let by = if record.by.is_empty() { String::new() } else { format!(" by {}", record.by) };
        let chosen = record.chosen.as_ref().map(|c| format!(" → {c}")).unwrap_or_default();
        let detail = if record.detail.is_empty() { String::new() } else { format!(": {}", record.detail) };
        let passed = if record.passed.is_empty() { String::new() } else { format!("; went on: {}", record.passed) };
        out.push(format!(
            "{mark}{:>3} {:<9} {}{chosen}{by}{detail}{passed}",
            number + 1,
            record.state.word(),
            step.title
        ));
        if here {
            let owner = step.owned_by(roles);
            let owner = if owner.is_empty() { owner } else { format!("  {owner}") };
            out.push(format!("      [{}] {}{owner}{}", step.name, step.does.word(), box_text(p, at)));
            out.extend(step.text.lines().map(|l| format!("      {l}")));
            if let Does::Decide { options } = &step.does {
                out.extend(options.iter().map(|o| format!("      choose {}: {}", o.name, o.title)));
            }
        }
        out.extend(record.evidence.iter().map(|e| {
            let file = if e.file.is_empty() { String::new() } else { format!(" (file {})", e.file) };
            format!("      evidence by {}{file}: {}", e.by, text::width::cut(e.text.lines().next().unwrap_or(""), 120))
        }));
    }
    if let Some(changed) = &p.changed {
        out.push("ITS FILE HAS CHANGED since it was started:".into());
        out.extend(changed.difference.iter().map(|d| format!("  {d}")));
    }
    if !view.waits.is_empty() {
        out.push(format!("waits: {}", view.waits));
    }
    let answers = answers(view);
    if !answers.is_empty() {
        out.push(format!("mayday playbook {}", answers.join(" | ")));
    }
    out.join("\n")
}

fn find<'a>(picture: &'a Mirror, id: Option<&str>) -> Result<&'a PlaybookView, Failure> {
    match id {
        Some(id) => picture
            .playbooks
            .get(id)
            .ok_or_else(|| Failure::usage(format!("there is no playbook \"{id}\" that was started"))),
        None => picture
            .active_playbook()
            .or_else(|| picture.playbooks_newest_first().first().copied())
            .ok_or_else(|| Failure::failed("no playbook was started yet: mayday playbook list")),
    }
}

async fn status(session: &mut Session, id: Option<String>) -> Result<u8, Failure> {
    let picture = session.picture().await?;
    let view = find(&picture, id.as_deref())?;
    match session.json {
        true => print(&json(view, picture.at))?,
        false => say(&status_text(view, &picture)),
    }
    Ok(exit::DONE)
}

async fn answer(session: &mut Session, which: Which, answer: Say) -> Result<u8, Failure> {
    let quiet = matches!(answer, Say::Evidence { .. });
    let id = which.id.clone();
    let done = session.act(Command::Playbook { playbook: which.id, answer, reason: which.reason }).await?;
    if quiet {
        match (&done, session.json) {
            (_, true) => print(&done)?,
            (Answer::Done { seq, .. }, false) => say(&seq.to_string()),
            _ => {}
        }
        return Ok(exit::DONE);
    }
    told(session, id).await
}

/// Where it is after an answer: the id and place for people, all of it for scripts.
async fn told(session: &mut Session, id: Option<String>) -> Result<u8, Failure> {
    let picture = session.picture().await?;
    let view = find(&picture, id.as_deref())?;
    match session.json {
        true => print(&json(view, picture.at))?,
        false => say(&headline(&view.play)),
    }
    Ok(exit::DONE)
}

/// What is kept as evidence: words, standard input, or a file.
fn evidence(words: &[String], file: Option<&Path>, step: Option<String>) -> Result<Say, Failure> {
    let none = || Failure::usage("evidence of what? give words, - for standard input, or --file PATH");
    let Some(path) = file else {
        let text = if words == ["-"] { super::incident::read_stdin()? } else { words.join(" ") };
        if text.trim().is_empty() {
            return Err(none());
        }
        return Ok(Say::Evidence { step, text, file: String::new(), digest: String::new(), size: None });
    };
    let bytes = std::fs::read(path).map_err(|e| Failure::failed(format!("read {}: {e}", path.display())))?;
    let digest = crate::config::digest(&bytes);
    // Words beside a file say what it is; without any, the file's own text does, where it is one.
    let own = std::str::from_utf8(&bytes).unwrap_or_default();
    let text = if words.is_empty() { text::width::cut(own, 60_000).to_string() } else { words.join(" ") };
    let size = Some(bytes.len() as u64);
    Ok(Say::Evidence { step, text, file: path.display().to_string(), digest, size })
}

async fn carry_out(
    session: &mut Session,
    id: Option<String>,
    copy: Option<String>,
    to: Option<String>,
    how: How,
) -> Result<u8, Failure> {
    let picture = session.picture().await?;
    let view = find(&picture, id.as_deref())?;
    let p = &view.play;
    let Some((step, _)) = p.current().filter(|_| p.state.is_open()) else {
        return Err(Failure::refused(format!("playbook {} is {}", p.text.name, p.state.word())));
    };
    let Some(offer) = view.offer.clone() else {
        let waits = if view.waits.is_empty() { String::new() } else { format!(": {}", view.waits) };
        return Err(Failure::refused(format!(
            "there is nothing to be started at {}{waits}: mayday playbook {}",
            p.place(),
            answers(view).join(" | ")
        )));
    };
    let (id, incident) = (p.id.clone(), p.incident.clone());
    match offer {
        Offer::Run { work, .. } => {
            let work = match (work, &step.does) {
                (Work::Restore { backup, test, only, .. }, _) => Work::Restore { backup, copy, test, only, to },
                // A head start is offered, and another copy is wanted.
                (_, Does::Act { work: Work::Restore { backup, test, only, .. } }) if copy.is_some() || to.is_some() => {
                    Work::Restore { backup: backup.clone(), copy, test: *test, only: only.clone(), to }
                }
                (other, _) => other,
            };
            super::runs::start_for(session, work, how, Some(id)).await
        }
        Offer::Recovery { recovery } => {
            let how = RecoverHow {
                plan: how.plan,
                yes: how.yes,
                confirm: how.confirm,
                wait: how.wait,
                reason: how.reason,
                break_glass: how.break_glass,
            };
            super::recover::start_for(session, &recovery, how, Some(id)).await
        }
        Offer::Message { template, channels, text } => {
            let sending = Sending {
                template: template.word().into(),
                incident,
                channels,
                body: None,
                subject: None,
                preview: how.plan,
                wait: how.wait,
                yes: how.yes,
            };
            super::incident::notify_for(session, sending, Some((id, text))).await
        }
        Offer::Hold { services, reason } => {
            let named = if services.is_empty() { "everything".to_owned() } else { services.join(", ") };
            let what = format!("hold {named} ({reason}): nobody restarts or restores until it is released");
            if how.plan {
                say(&what);
                return Ok(exit::DONE);
            }
            if !how.yes {
                super::runs::confirm_yes(&format!("{}: {what}", step.title))?;
            }
            answer(session, Which { id: Some(id), reason: how.reason }, Say::Done).await
        }
    }
}
