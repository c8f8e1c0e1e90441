//! Second persons, tags and holds from the command line.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::time::Duration;

use super::exit::{self, Failure};
use super::runs::{ask_line, plan_text};
use super::{Session, print, say};
use crate::domain::Time;
use crate::domain::approval::{Approval, ApprovalState, Wanted};
use crate::domain::command::Command;
use crate::domain::guard::Hold;
use crate::text;
use crate::wire::{Answer, GuardView, Mirror};

/// What waits for a second person was confirmed: told, waited for where asked, or gone on with alone. Gives the id of the
/// run or the recovery that was started.
pub async fn asked(
    session: &mut Session,
    approval: &Approval,
    wait: bool,
    break_glass: Option<&str>,
) -> Result<String, Failure> {
    let id = &approval.id;
    if let Some(reason) = break_glass {
        let command = Command::BreakGlass { approval: id.clone(), reason: reason.to_owned() };
        session.act(command).await?;
        eprintln!("glass broken: {} goes on without a second person, and that is told", approval.title);
        return Ok(id.clone());
    }
    let said = format!(
        "{}: {}. Another user approves it until {}Z with\n  mayday approve {id}\nSay to them: {}\nWho is alone: mayday \
         break-glass {id} WHY",
        approval.title,
        approval.why,
        approval.expires_at().hms(),
        approval.words
    );
    if !wait {
        if session.json {
            print(&serde_json::json!({ "approval": json(approval) }))?;
        }
        return Err(Failure::refused(format!("not started yet: {said}")));
    }
    eprintln!("{said}");
    until_decided(session, id).await
}

async fn until_decided(session: &mut Session, id: &str) -> Result<String, Failure> {
    let meanwhile = format!("the request waits on: mayday approvals {id}");
    loop {
        let picture = session.picture_in_time(&meanwhile).await?;
        let Some(approval) = picture.head.guard.approval(id) else {
            return Err(Failure::failed(format!("request {id} is not known any more: mayday runs show {id}")));
        };
        let ended = |code| Failure { code, text: format!("not started: {}", state_line(approval)) };
        match approval.state {
            ApprovalState::Approved | ApprovalState::GlassBroken => return Ok(id.to_owned()),
            ApprovalState::Waiting => tokio::time::sleep(Duration::from_millis(100)).await,
            ApprovalState::Declined => return Err(ended(exit::REFUSED)),
            _ => return Err(ended(exit::CUT_SHORT)),
        }
    }
}

/// `declined by ben: wrong copy`.
fn state_line(a: &Approval) -> String {
    let by = a.decided_by.as_ref().map(|u| format!(" by {u}")).unwrap_or_default();
    let note = if a.note.is_empty() { String::new() } else { format!(": {}", a.note) };
    format!("{}{by}{note}", a.state.word())
}

/// The contract of `approvals --json`.
fn json(a: &Approval) -> serde_json::Value {
    serde_json::json!({
        "id": a.id, "title": a.title, "state": a.state, "digest": a.digest, "words": a.words, "why": a.why,
        "requested_by": a.by.user, "requested_at": a.requested_at, "expires_at": a.expires_at(), "reason": a.reason,
        "incident": a.incident, "decided_by": a.decided_by, "decided_at": a.decided_at, "note": a.note,
    })
}

fn line(a: &Approval, now: Time) -> String {
    let state = match a.state {
        ApprovalState::Waiting => format!("waits until {}Z", a.expires_at().hms()),
        _ => state_line(a),
    };
    format!(
        "{}  {}  by {} {} ago  \"{}\"  {state}",
        a.id,
        a.title,
        a.by.user,
        text::duration(now.since(a.requested_at)),
        a.words
    )
}

/// All of a request, with its plan.
fn whole(a: &Approval, now: Time) -> String {
    let mut out = vec![line(a, now)];
    if !a.why.is_empty() {
        out.push(format!("  why        {}", a.why));
    }
    if !a.reason.is_empty() {
        out.push(format!("  reason     {}", a.reason));
    }
    out.push(format!("  digest     {}", a.digest));
    match &a.wanted {
        Some(Wanted::Run(plan)) => out.push(plan_text(plan)),
        Some(Wanted::Recovery(plan)) => out.push(super::recover::plan_text(plan)),
        None => {}
    }
    out.join("\n")
}

fn find<'a>(picture: &'a Mirror, id: &str) -> Result<&'a Approval, Failure> {
    let found = picture.head.guard.approval(id);
    found.ok_or_else(|| Failure::usage(format!("there is no request \"{id}\": mayday approvals lists them")))
}

/// `mayday approvals [ID]`.
pub async fn approvals(session: &mut Session, id: Option<String>) -> Result<u8, Failure> {
    let picture = session.picture().await?;
    if let Some(id) = id {
        let approval = find(&picture, &id)?;
        match session.json {
            true => print(&serde_json::json!({ "approval": json(approval), "plan": approval.wanted }))?,
            false => say(&whole(approval, picture.at)),
        }
        return Ok(exit::DONE);
    }
    let all = &picture.head.guard.approvals;
    if session.json {
        print(&all.iter().map(json).collect::<Vec<_>>())?;
    } else if all.is_empty() {
        say("nobody asks for a second person");
    } else {
        all.iter().for_each(|a| say(&line(a, picture.at)));
    }
    Ok(exit::DONE)
}

/// `mayday approve ID`: shows what it is, and takes a yes.
pub async fn approve(session: &mut Session, id: String, yes: bool) -> Result<u8, Failure> {
    let picture = session.picture().await?;
    let approval = find(&picture, &id)?.clone();
    if !yes && approval.state.is_open() {
        if !std::io::stdin().is_terminal() {
            let why =
                format!("approve {}: not confirmed: look with mayday approvals {id}, then give --yes", approval.title);
            return Err(Failure::refused(why));
        }
        eprintln!("{}", whole(&approval, picture.at));
        let question =
            format!("{} has the words \"{}\" too, and this is right? y/N ", approval.by.user, approval.words);
        if !matches!(ask_line(&question)?.as_str(), "y" | "Y" | "yes") {
            return Err(Failure::refused("not approved: nothing was done"));
        }
    }
    let done = session.act(Command::Approve { approval: id, digest: approval.digest.clone() }).await?;
    told(session, &done, || format!("approved {} (\"{}\")", approval.title, approval.words))
}

pub async fn decline(session: &mut Session, id: String, reason: String) -> Result<u8, Failure> {
    let done = session.act(Command::Decline { approval: id.clone(), reason }).await?;
    told(session, &done, || format!("request {id} is over"))
}

pub async fn break_glass(session: &mut Session, id: String, reason: String) -> Result<u8, Failure> {
    let done = session.act(Command::BreakGlass { approval: id.clone(), reason }).await?;
    told(session, &done, || id.clone())
}

fn told(session: &Session, answer: &Answer, text: impl Fn() -> String) -> Result<u8, Failure> {
    match session.json {
        true => print(answer)?,
        false => say(&text()),
    }
    if let Answer::Done { recorded, .. } = answer {
        super::incident::warn_unrecorded(*recorded);
    }
    Ok(exit::DONE)
}

pub async fn tag(session: &mut Session, service: String, reason: String, over: bool) -> Result<u8, Failure> {
    let done = session.act(Command::Tag { service: service.clone(), reason, over }).await?;
    told(session, &done, || format!("tagged {service}"))
}

pub async fn untag(session: &mut Session, service: String, reason: String) -> Result<u8, Failure> {
    let done = session.act(Command::Untag { service: service.clone(), reason }).await?;
    told(session, &done, || format!("took the tag off {service}"))
}

pub async fn hold(session: &mut Session, services: Vec<String>, all: bool, reason: String) -> Result<u8, Failure> {
    let services = named(services, all, "hold")?;
    let command = Command::Hold { services, reason };
    let said = command.title();
    let done = session.act(command).await?;
    told(session, &done, || said.clone())
}

pub async fn release(session: &mut Session, services: Vec<String>, all: bool, reason: String) -> Result<u8, Failure> {
    let services = named(services, all, "release")?;
    let command = Command::Release { services, reason };
    let said = command.title();
    let done = session.act(command).await?;
    told(session, &done, || said.clone())
}

/// Everything is meant only where that was said.
fn named(services: Vec<String>, all: bool, verb: &str) -> Result<BTreeSet<String>, Failure> {
    match (services.is_empty(), all) {
        (true, false) => Err(Failure::usage(format!("{verb} what? name services, or give --all"))),
        (false, true) => Err(Failure::usage(format!("{verb} these services, or --all: not both"))),
        _ => Ok(services.into_iter().collect()),
    }
}

/// `mayday tags`: tags and holds.
pub async fn tags(session: &mut Session) -> Result<u8, Failure> {
    let picture = session.picture().await?;
    if session.json {
        print(&guards_json(&picture.head.guard))?;
        return Ok(exit::DONE);
    }
    let lines = guard_lines(&picture.head.guard);
    if lines.is_empty() {
        say("nothing is tagged or held");
    }
    lines.iter().for_each(|l| say(l));
    Ok(exit::DONE)
}

/// What `status` and `tags` say of tags and holds to scripts.
pub fn guards_json(guard: &GuardView) -> serde_json::Value {
    let tags: Vec<_> = (guard.guards.tags.iter())
        .map(|(service, t)| {
            serde_json::json!({
                "service": service, "by": t.by.user, "since": t.since, "reason": t.reason, "taken_from": t.from,
            })
        })
        .collect();
    let held = |service: Option<&String>, h: &Hold| {
        serde_json::json!({
            "service": service, "by": h.by, "since": h.since, "reason": h.reason, "except": h.except,
        })
    };
    let holds: Vec<_> = (guard.guards.all.iter().map(|h| held(None, h)))
        .chain(guard.guards.holds.iter().map(|(s, h)| held(Some(s), h)))
        .collect();
    serde_json::json!({ "tags": tags, "holds": holds })
}

/// The same for people.
pub fn guard_lines(guard: &GuardView) -> Vec<String> {
    let guards = &guard.guards;
    let held = |what: &str, h: &Hold| {
        let but = if h.except.is_empty() {
            String::new()
        } else {
            format!(" (but {})", h.except.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
        };
        format!("HELD {what}{but} by {} since {}: {}", h.by, h.since, h.reason)
    };
    let mut out: Vec<String> = guards.all.iter().map(|h| held("everything", h)).collect();
    out.extend(guards.holds.iter().map(|(s, h)| held(s, h)));
    out.extend(guards.tags.iter().map(|(s, t)| format!("TAG {s} by {} since {}: {}", t.by.user, t.since, t.reason)));
    out
}

/// Requests that wait, for `status`.
pub fn waiting_json(guard: &GuardView) -> Vec<serde_json::Value> {
    guard.waiting().map(json).collect()
}

pub fn waiting_lines(guard: &GuardView) -> Vec<String> {
    let line = |a: &Approval| {
        format!(
            "APPROVAL wanted by {} for {} until {}Z (\"{}\"): mayday approve {}",
            a.by.user,
            a.title,
            a.expires_at().hms(),
            a.words,
            a.id
        )
    };
    guard.waiting().map(line).collect()
}
