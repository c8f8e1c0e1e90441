//! Declaring, leading, noting, pausing.

use std::io::Read;
use std::time::Duration;

use super::args::{IncidentCmd, Which};
use super::exit::Failure;
use super::{Session, print, say};
use crate::domain::Time;
use crate::domain::authority;
use crate::domain::catalog::Severity;
use crate::domain::command::Command;
use crate::domain::incident::Status;
use crate::domain::message::Template;
use crate::text;
use crate::wire::{Answer, Ask, TimelineQuery};

/// Runs one of `mayday incident …`.
pub async fn run(session: &mut Session, command: IncidentCmd) -> Result<u8, Failure> {
    let command = match command {
        IncidentCmd::Declare { title, severity, services, onset } => {
            let severity = severity.map(|s| Severity::parse(&s)).transpose().map_err(Failure::usage)?;
            let onset = onset.map(|t| parse_time(&t)).transpose()?;
            Command::Declare { title, severity, services: services.into_iter().collect(), onset }
        }
        IncidentCmd::Ack { which } => Command::Acknowledge { incident: which.incident },
        IncidentCmd::Severity { severity, which } => Command::SetSeverity {
            severity: Severity::parse(&severity).map_err(Failure::usage)?,
            incident: which.incident,
            reason: which.reason,
        },
        IncidentCmd::Status { status, force, which } => {
            set_status(Status::parse(&status).map_err(Failure::usage)?, which, force)
        }
        IncidentCmd::Assign { user, role, which } => Command::Assign { incident: which.incident, role, user },
        IncidentCmd::Services { add, remove, which } => Command::SetServices {
            incident: which.incident,
            add: add.into_iter().collect(),
            remove: remove.into_iter().collect(),
        },
        IncidentCmd::Title { title, which } => Command::Retitle { incident: which.incident, title },
        IncidentCmd::Resolve { force, which } => set_status(Status::Resolved, which, force),
        IncidentCmd::Close { false_alarm: true, force, which } => {
            Command::FalseAlarm { incident: which.incident, reason: which.reason, force }
        }
        IncidentCmd::Close { which, .. } => set_status(Status::Closed, which, false),
        IncidentCmd::Merge { from, into, reason } => Command::Merge { incident: from, into, reason },
        IncidentCmd::Onset { time, which } => {
            Command::SetOnset { incident: which.incident, onset: parse_time(&time)?, reason: which.reason }
        }
        IncidentCmd::Snooze { duration, which } => {
            let lasts = text::parse_duration(&duration).map_err(Failure::usage)?;
            // By the engine's clock, which may differ from this host's.
            let until = session.picture().await?.at.plus(lasts);
            Command::Snooze { incident: which.incident, until, reason: which.reason }
        }
        IncidentCmd::Reopen { which } => Command::Reopen { incident: which.incident, reason: which.reason },
        IncidentCmd::List => return list(session).await,
        IncidentCmd::Show { incident } => return show(session, incident).await,
    };
    if let Command::SetStatus { incident, status: status @ (Status::Resolved | Status::Closed), .. } = &command {
        consider(session, incident.as_deref(), *status).await?;
    }
    let declared = matches!(command, Command::Declare { .. });
    let answer = session.act(command).await?;
    if session.json {
        print(&answer)?;
    } else if let Answer::Done { incident: Some(id), recorded, .. } = &answer {
        if declared {
            say(id);
        }
        warn_unrecorded(*recorded);
    }
    Ok(0)
}

fn set_status(status: Status, which: Which, force: bool) -> Command {
    Command::SetStatus { incident: which.incident, status, reason: which.reason, force }
}

/// Tells on stderr when something took effect only in memory.
pub fn warn_unrecorded(recorded: bool) {
    if !recorded {
        eprintln!("mayday: done, but NOT recorded: nothing can be written right now (mayday engine status)");
    }
}

async fn list(session: &mut Session) -> Result<u8, Failure> {
    let picture = session.picture().await?;
    let mut incidents: Vec<_> = picture.incidents.values().collect();
    incidents.sort_by_key(|i| i.incident.declared_seq);
    if session.json {
        print(&incidents)?;
        return Ok(0);
    }
    if incidents.is_empty() {
        say("no incident was ever declared here");
    }
    for view in incidents {
        let i = &view.incident;
        let over = i.resolved_at.or(i.clock.ended_at);
        let lasted = over.map(|t| text::duration(t.since(i.declared_at))).unwrap_or_else(|| "open".into());
        let after = if i.status.is_open() { String::new() } else { after(view, &picture) };
        say(&format!(
            "{}  {}  {:<13}  {}  {:>8}  {}{after}",
            i.id,
            i.severity,
            i.status.word(),
            i.declared_at,
            lasted,
            text::clean(&i.title)
        ));
    }
    Ok(0)
}

/// What is still to come for one that is over: `  (review due 2026-12-01 02:14Z, 2 follow-ups)`.
fn after(view: &crate::wire::IncidentView, picture: &crate::wire::Mirror) -> String {
    let mut parts = Vec::new();
    parts.extend(view.leading.due.as_ref().map(|d| super::leading::due(d, picture.at)));
    parts.extend(super::leading::review_due(view, picture.at));
    let review = view.leading.review.as_ref().map(crate::domain::review::ReviewState::said);
    parts.extend(review.filter(|said| !said.is_empty()).map(|said| text::clean(&said).into_owned()));
    let of = picture.head.followups.iter().filter(|f| f.incident == view.incident.id && f.standing.is_open());
    let (open, late) = of.fold((0, 0), |(n, late), f| (n + 1, late + usize::from(f.is_overdue(picture.at))));
    if open > 0 {
        let late = if late > 0 { format!(", {late} OVERDUE") } else { String::new() };
        parts.push(format!("{}{late}", text::plural(open, "follow-up")));
    }
    if parts.is_empty() { String::new() } else { format!("  ({})", parts.join("; ")) }
}

async fn show(session: &mut Session, id: Option<String>) -> Result<u8, Failure> {
    let picture = session.picture().await?;
    let view = match &id {
        Some(id) => picture.incidents.get(id),
        None => picture.incidents.values().max_by_key(|i| i.incident.last_seq),
    };
    let Some(view) = view.cloned() else {
        return Err(Failure::usage(match id {
            Some(id) => format!("there is no incident \"{id}\": mayday incident list shows them"),
            None => "no incident was ever declared here".into(),
        }));
    };
    let id = view.incident.id.clone();
    let mut rows = Vec::new();
    let mut after = Some(0);
    let mut until = None;
    loop {
        let query = TimelineQuery { incident: Some(id.clone()), after, limit: 1000, ..TimelineQuery::default() };
        let Answer::Timeline { rows: more, head } = session.ask(Ask::Timeline(query)).await? else { break };
        let Some(last) = more.last().map(|r| r.seq) else { break };
        after = Some(last);
        rows.extend(more);
        // What is written meanwhile is not waited for: an incident that is being written into has no end.
        if last >= *until.get_or_insert(head) {
            break;
        }
    }
    if session.json {
        let leading = super::leading::json(&view, &picture);
        print(&serde_json::json!({ "incident": view, "leading": leading, "timeline": rows }))?;
        return Ok(0);
    }
    let i = &view.incident;
    say(&format!("{} {} {} \"{}\"", i.id, i.severity, i.status.word(), text::clean(&i.title)));
    say(&format!("declared {} by {}, T+ {}", i.declared_at, i.declared_by, text::clock(elapsed(view.elapsed_ms))));
    if let Some(by) = &i.acknowledged_by {
        say(&format!("acknowledged by {by}"));
    } else {
        say("NOT acknowledged");
    }
    say(&roles(i));
    super::leading::show(&view, &picture);
    if let Some(review) = &view.leading.review {
        say(&format!("review {}", text::clean(&review.said())));
    }
    for f in picture.head.followups.iter().filter(|f| f.incident == i.id) {
        say(&super::followups::line(f, picture.at));
    }
    for against in &view.against_resolving {
        say(&format!("not resolvable: {against}"));
    }
    for row in rows.into_iter().filter(|r| !r.hidden) {
        let at = row.happened_at.unwrap_or(row.at);
        say(&format!("{}  {:<10} {}  [{}]", at, text::width::cut(&row.actor, 10), row.text, row.seq));
    }
    if !view.timeline_file.is_empty() {
        say(&format!("timeline: {}", view.timeline_file));
    }
    Ok(0)
}

/// Who has which role, those that nobody has included: `commander ann; operations nobody; …`.
fn roles(i: &crate::domain::incident::Incident) -> String {
    let known = authority::ROLES.into_iter();
    let own = i.roles.keys().map(String::as_str).filter(|role| !authority::ROLES.contains(role));
    let said = |role: &str| format!("{role} {}", i.roles.get(role).map_or("nobody", String::as_str));
    text::clean(&known.chain(own).map(said).collect::<Vec<_>>().join("; ")).into_owned()
}

fn elapsed(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Tells what does not stand against resolving or closing, and is to be thought of.
async fn consider(session: &mut Session, incident: Option<&str>, status: Status) -> Result<(), Failure> {
    let picture = session.picture().await?;
    let resolved = |v: &&crate::wire::IncidentView| v.incident.status == Status::Resolved;
    let found = match (incident, status) {
        (Some(id), _) => picture.incidents.get(id),
        (None, Status::Closed) => picture.incidents.values().filter(resolved).max_by_key(|v| v.incident.last_seq),
        (None, _) => picture.open_incidents().first().copied(),
    };
    for said in found.iter().flat_map(|i| &i.to_consider) {
        eprintln!("mayday: to consider: {said}");
    }
    Ok(())
}

/// `mayday note`.
pub async fn note(
    session: &mut Session,
    words: Vec<String>,
    incident: Option<String>,
    at: Option<String>,
) -> Result<u8, Failure> {
    let text = note_text(&words)?;
    let happened_at = at.map(|t| parse_time(&t)).transpose()?;
    let answer = session.act(Command::Note { incident, text, happened_at }).await?;
    if session.json {
        print(&answer)?;
    } else if let Answer::Done { seq, recorded, .. } = &answer {
        say(&seq.to_string());
        warn_unrecorded(*recorded);
    }
    Ok(0)
}

/// What is noted: the words, or standard input with `-`. Of that as much is kept as a note holds, and it says itself how
/// much was cut: a command that was piped in is not run again for a note that was refused.
fn note_text(words: &[String]) -> Result<String, Failure> {
    use crate::domain::decide::NOTE_LIMIT;
    /// Room for the line that says what was cut.
    const SAID: usize = 100;
    if *words != ["-"] {
        return Ok(words.join(" "));
    }
    let mut stdin = std::io::stdin().lock();
    let mut bytes = Vec::new();
    (&mut stdin).take(NOTE_LIMIT as u64).read_to_end(&mut bytes)?;
    // Read to its end, so that whoever writes is not broken off.
    let more = std::io::copy(&mut stdin, &mut std::io::sink())?;
    // What is no text grows by being made one.
    let whole = String::from_utf8_lossy(&bytes);
    if more == 0 && whole.len() <= NOTE_LIMIT {
        return Ok(whole.into_owned());
    }
    let mut end = (NOTE_LIMIT - SAID).min(whole.len());
    while !whole.is_char_boundary(end) {
        end -= 1;
    }
    let kept = whole.get(..end).unwrap_or_default();
    let cut = more + (whole.len() - kept.len()) as u64;
    eprintln!(
        "mayday: a note holds {NOTE_LIMIT} bytes: {cut} bytes at the end were cut; mayday evidence add - keeps all"
    );
    Ok(format!("{kept}\n… {cut} more bytes of standard input were cut here"))
}

/// Standard input, up to the size of a note.
pub fn read_stdin() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let limit = crate::domain::decide::NOTE_LIMIT as u64 + 1;
    std::io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == limit {
        return Err(Failure::usage(format!("standard input has more than {} bytes: shorten it", limit - 1)));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// RFC 3339, or `HH:MM[:SS]` of today (of yesterday when that is still to come), UTC.
pub fn parse_time(text: &str) -> Result<Time, Failure> {
    if let Ok(at) = Time::parse(text) {
        return Ok(at);
    }
    match Time::of_day(text, Time::from_ms(crate::sys::clock::now_ms())) {
        Some(of_day) => of_day.map_err(Failure::usage),
        None => Err(Failure::usage(format!("\"{text}\" is not a time: write 02:14, 02:14:07 or 2026-11-20T02:14:07Z"))),
    }
}

/// What `mayday notify` was asked.
#[derive(Debug)]
pub struct Sending {
    pub template: String,
    pub incident: Option<String>,
    pub channels: Vec<String>,
    pub body: Option<String>,
    pub subject: Option<String>,
    pub preview: bool,
    pub wait: bool,
    pub yes: bool,
}

/// `mayday notify`.
pub async fn notify(session: &mut Session, sending: Sending) -> Result<u8, Failure> {
    notify_for(session, sending, None).await
}

/// The same for the step that a playbook is at, with that step's text first.
pub async fn notify_for(
    session: &mut Session,
    sending: Sending,
    step: Option<(String, String)>,
) -> Result<u8, Failure> {
    let template = Template::parse(&sending.template).map_err(Failure::usage)?;
    let draft = session.ask(Ask::Draft { template, incident: sending.incident.clone() }).await?;
    let Answer::Draft { subject, body, channels } = draft else {
        return Err(Failure::failed("the engine gave no draft"));
    };
    let body = match sending.body.as_deref() {
        Some("-") => read_stdin()?,
        Some(text) => text.to_owned(),
        None => match step.as_ref().filter(|(_, text)| !text.is_empty()) {
            Some((_, text)) => format!("{text}\n\n{body}"),
            None => body,
        },
    };
    let subject = sending.subject.unwrap_or(subject);
    let channels = if sending.channels.is_empty() { channels } else { sending.channels };
    if sending.preview {
        if session.json {
            print(&serde_json::json!({ "subject": subject, "body": body, "channels": channels }))?;
        } else {
            say(&format!("to {}\n{subject}\n\n{body}", channels.join(", ")));
        }
        return Ok(0);
    }
    if !sending.yes {
        super::runs::confirm_yes(&format!("send \"{subject}\" to {}", channels.join(", ")))?;
    }
    let ask = Ask::Do(Command::Send { incident: sending.incident, template, subject, body, channels });
    let answer = session.ask(ask.for_step(step.map(|(playbook, _)| playbook))).await?;
    let Answer::Done { message: Some(id), recorded, .. } = &answer else {
        return Err(Failure::failed("the engine did not queue the message"));
    };
    warn_unrecorded(*recorded);
    if !sending.wait {
        if session.json {
            print(&answer)?;
        } else {
            say(id);
        }
        return Ok(0);
    }
    let id = id.clone();
    loop {
        let picture = session.picture().await?;
        let Some(message) = picture.messages.get(&id) else {
            return Err(Failure::failed(format!("message {id} is not known any more")));
        };
        if message.is_done() {
            if session.json {
                print(message)?;
            } else {
                for (channel, delivery) in &message.channels {
                    say(&format!("{channel}: {} {}", delivery.state.word(), delivery.answer));
                }
            }
            let all = message.channels.values().all(|c| c.state == crate::domain::message::Delivery::Accepted);
            return Ok(if all { 0 } else { 1 });
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Name of the folder in which notes wait for the next engine.
pub const SPOOL: &str = "spool";

/// Keeps a note for the next engine, because none answers. On disk when this returns.
pub fn spool(
    dir: &std::path::Path,
    words: &[String],
    incident: Option<String>,
    at: Option<String>,
    why: &str,
) -> Result<u8, Failure> {
    let text = note_text(words)?;
    let at = match at {
        Some(at) => parse_time(&at)?,
        None => Time::from_ms(crate::sys::clock::now_ms()),
    };
    // The engine masks what it knows when it takes the note in; what looks like a secret is not even kept until then.
    let text = crate::text::mask::Mask::default().apply(&text).into_owned();
    let note = Command::Note { incident, text, happened_at: Some(at) };
    let path = keep_for_engine(dir, &note)?;
    eprintln!("mayday: {why}\nmayday: the note is kept in {} and taken in by the next engine", path.display());
    Ok(0)
}

/// Keeps a command in a file that the next engine takes in. On disk when this returns.
pub fn keep_for_engine(dir: &std::path::Path, command: &Command) -> Result<std::path::PathBuf, Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let folder = dir.join(SPOOL);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(|e| Failure::failed(format!("make {}: {e}", folder.display())))?;
    let path = folder.join(format!("{}.json", uuid::Uuid::now_v7()));
    let bytes = serde_json::to_vec(command).map_err(|e| Failure::failed(e.to_string()))?;
    crate::sys::disk::write_atomic(&path, &bytes, 0o600)
        .map_err(|e| Failure::failed(format!("write {}: {e}", path.display())))?;
    Ok(path)
}
