//! What comes after an incident: follow-ups, and how far its review is.
//!
//! Listing reads the record and needs no engine; changing asks the engine.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::exit::{DONE, FAILED, Failure};
use super::{Session, print, say};
use crate::domain::Time;
use crate::domain::cadence::{Due, Word};
use crate::domain::command::Command;
use crate::domain::followup::{Followup, FollowupAsk, Followups, day};
use crate::report::items;
use crate::text;
use crate::wire::Answer;

/// What can be done about follow-ups.
#[derive(Debug, Subcommand)]
pub enum FollowupsCmd {
    /// Open one; prints its id. `@bob 2026-12-01 #prevent:` in front of the text says the same as the options.
    Add {
        /// What is to be done; may be left out with --from.
        #[arg(num_args = 0..)]
        text: Vec<String>,
        #[arg(long, default_value = "", value_name = "USER")]
        owner: String,
        /// The day it is due: 2026-12-01, or how long from now, as in 14d.
        #[arg(long, value_name = "DAY")]
        due: Option<String>,
        /// What it does about the next incident: mitigate, prevent, detect, process.
        #[arg(long, default_value = "", value_name = "CLASS")]
        class: String,
        #[arg(long, value_name = "INC")]
        incident: Option<String>,
        /// The entry of the TODO note that it is made from.
        #[arg(long, value_name = "ENTRY")]
        from: Option<u64>,
    },
    /// It is done.
    Done {
        id: String,
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
    },
    /// It will not be done; a TODO note that is none is dismissed by that.
    Drop {
        id: String,
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// It is to be done after all.
    Reopen {
        id: String,
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Change what is given.
    Change {
        id: String,
        #[arg(long, value_name = "TEXT")]
        text: Option<String>,
        #[arg(long, value_name = "USER")]
        owner: Option<String>,
        #[arg(long, value_name = "DAY")]
        due: Option<String>,
        #[arg(long, value_name = "CLASS")]
        class: Option<String>,
    },
    /// Take the action items of a review in: new ones are opened, known ones take the owner, day and class that stand
    /// there. Importing twice adds nothing.
    Import {
        /// The review, as Markdown.
        file: PathBuf,
        /// The incident; by default the first that the document names.
        #[arg(long, value_name = "INC")]
        incident: Option<String>,
        /// Only say what would be done.
        #[arg(long)]
        preview: bool,
    },
}

/// Which are listed.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Which {
    #[arg(long, value_name = "INC")]
    pub incident: Option<String>,
    #[arg(long, value_name = "USER")]
    pub owner: Option<String>,
    /// Only those whose day has passed.
    #[arg(long)]
    pub overdue: bool,
    /// Also those that are over.
    #[arg(long)]
    pub all: bool,
    /// Exit code 1 when one that is listed is overdue.
    #[arg(long)]
    pub check: bool,
}

fn now() -> Time {
    Time::from_ms(crate::sys::clock::now_ms())
}

/// `mayday followups`: what is to be done. Reads the record only.
pub fn list(dir: &Path, which: &Which, json: bool) -> Result<u8, Failure> {
    let entries = super::record::entries(dir)?;
    let (all, now) = (Followups::of(&entries), now());
    let wanted = |f: &&Followup| {
        (which.all || f.standing.is_open())
            && which.incident.as_ref().is_none_or(|id| f.incident == *id)
            && which.owner.as_ref().is_none_or(|owner| f.owner == owner.trim_start_matches('@'))
            && (!which.overdue || f.is_overdue(now))
    };
    let found: Vec<&Followup> = all.all().into_iter().filter(wanted).collect();
    let overdue = found.iter().filter(|f| f.is_overdue(now)).count();
    if json {
        let mut values = Vec::new();
        for f in &found {
            let mut value = serde_json::to_value(f).map_err(|e| Failure::failed(e.to_string()))?;
            if let Some(map) = value.as_object_mut() {
                map.insert("overdue".into(), f.is_overdue(now).into());
            }
            values.push(value);
        }
        print(&serde_json::json!({ "followups": values, "overdue": overdue }))?;
    } else {
        if found.is_empty() {
            say(if which.overdue { "nothing is overdue" } else { "nothing is to be done" });
        }
        found.iter().for_each(|f| say(&line(f, now)));
    }
    Ok(if which.check && overdue > 0 { FAILED } else { DONE })
}

/// `INC-2026-004.1  open      OVERDUE 3d  bob, due 2026-12-01  prevent  rotate the key`.
pub fn line(f: &Followup, now: Time) -> String {
    let late = match f.due {
        Some(due) if f.is_overdue(now) => format!("OVERDUE {}  ", text::duration(now.since(due))),
        _ => String::new(),
    };
    let class = if f.class.is_empty() { String::new() } else { format!("{}  ", f.class) };
    let why = if f.reason.is_empty() { String::new() } else { format!(" ({})", text::clean(&f.reason)) };
    let owner = text::clean(&f.whose()).into_owned();
    format!("{:<16}  {:<8}  {late}{owner}  {class}{}{why}", f.id, f.standing.word(), text::clean(&f.text))
}

/// A day, or how long from now.
fn due(text: &str) -> Result<Time, Failure> {
    if let Some(at) = day(text).or_else(|| Time::parse(text).ok()) {
        return Ok(at);
    }
    match crate::text::parse_duration(text) {
        Ok(ahead) => Ok(day(&now().plus(ahead).date()).unwrap_or_else(now)),
        Err(_) => Err(Failure::usage(format!("\"{text}\" is no day: write 2026-12-01, or 14d"))),
    }
}

/// Runs one of `mayday followups …`.
pub async fn run(session: &mut Session, command: FollowupsCmd) -> Result<u8, Failure> {
    let ask = match command {
        FollowupsCmd::Add { text, owner, due: at, class, incident, from } => {
            let due = at.map(|t| due(&t)).transpose()?;
            FollowupAsk::Open { incident, text: text.join(" "), owner, due, class, from }
        }
        FollowupsCmd::Done { id, reason } => FollowupAsk::Close { id, done: true, reason },
        FollowupsCmd::Drop { id, reason } => FollowupAsk::Close { id, done: false, reason },
        FollowupsCmd::Reopen { id, reason } => FollowupAsk::Reopen { id, reason },
        FollowupsCmd::Change { id, text, owner, due: at, class } => {
            let due = at.map(|t| due(&t)).transpose()?;
            FollowupAsk::Change { id, text, owner, due, class }
        }
        FollowupsCmd::Import { file, incident, preview } => return import(session, &file, incident, preview).await,
    };
    let opens = matches!(ask, FollowupAsk::Open { .. });
    let answer = session.act(Command::Followup(ask)).await?;
    if let Answer::Done { seq, recorded, .. } = &answer {
        super::incident::warn_unrecorded(*recorded);
        if session.json {
            print(&answer)?;
        } else if opens {
            say(&opened_as(session, *seq)?);
        }
    }
    Ok(DONE)
}

/// The id that the entry at `seq` gave.
fn opened_as(session: &Session, seq: u64) -> Result<String, Failure> {
    use crate::domain::event::Event;
    let entries = super::record::at(&session.place.state_dir, seq)?;
    let id = entries.iter().find_map(|e| match &e.event {
        Event::FollowupOpened(opened) if e.seq == seq => Some(opened.id.clone()),
        _ => None,
    });
    Ok(id.unwrap_or_default())
}

/// What an item of a document asks for; nothing when it is on record as it stands there.
fn wanted(item: &items::Item, known: &Followups, incident: &str) -> Option<FollowupAsk> {
    let same = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let mut own = known.items.values().chain(known.proposed.values()).filter(|f| f.incident == incident);
    let found = item
        .id
        .as_deref()
        .and_then(|id| known.get(id))
        .or_else(|| own.find(|f| same(&f.text) == same(&item.text) || item.from.is_some() && f.from == item.from));
    let Some(f) = found else {
        return Some(FollowupAsk::Open {
            incident: Some(incident.to_owned()),
            text: item.text.clone(),
            owner: item.owner.clone(),
            due: item.due,
            class: item.class.clone(),
            from: None,
        });
    };
    let differs = |given: &String, is: &String| Some(given.clone()).filter(|g| !g.is_empty() && g != is);
    let (text, owner) = (differs(&item.text, &f.text), differs(&item.owner, &f.owner));
    let (class, due) = (differs(&item.class, &f.class), item.due.filter(|d| Some(*d) != f.due));
    let proposed = f.standing == crate::domain::followup::Standing::Proposed;
    if text.is_none() && owner.is_none() && class.is_none() && due.is_none() && !proposed {
        return None;
    }
    Some(FollowupAsk::Change { id: f.id.clone(), text, owner, due, class })
}

async fn import(session: &mut Session, file: &Path, incident: Option<String>, preview: bool) -> Result<u8, Failure> {
    let document =
        std::fs::read_to_string(file).map_err(|e| Failure::failed(format!("read {}: {e}", file.display())))?;
    let read = items::read(&document);
    if !read.found {
        let why = format!("{} has no heading \"Action items\" or \"Follow-ups\"", file.display());
        return Err(Failure::usage(why));
    }
    let incident = incident
        .or(read.incident)
        .ok_or_else(|| Failure::usage(format!("{} names no incident: give --incident", file.display())))?;
    let (mut done, mut same) = (Vec::new(), 0);
    for item in &read.items {
        for doubt in &item.doubts {
            eprintln!("mayday: {} line {}: {doubt}", file.display(), item.line);
        }
        // Anew for each: two rows may say the same.
        let known = Followups::of(&super::record::entries(&session.place.state_dir)?);
        let Some(ask) = wanted(item, &known, &incident) else {
            same += 1;
            continue;
        };
        let what = match &ask {
            FollowupAsk::Change { id, .. } => format!("changed {id}"),
            _ => "opened".to_owned(),
        };
        let whose = Followup { owner: item.owner.clone(), due: item.due, ..Followup::default() }.whose();
        if !preview {
            session.act(Command::Followup(ask)).await?;
        }
        if !session.json {
            let would = if preview { "would be " } else { "" };
            say(&format!("{would}{what}: {} ({whose})", text::clean(&item.text)));
        }
        done.push(serde_json::json!({ "what": what, "text": item.text, "line": item.line, "doubts": item.doubts }));
    }
    if session.json {
        print(&serde_json::json!({ "incident": incident, "preview": preview, "done": done, "unchanged": same }))?;
    } else {
        say(&format!("{incident}: {} taken in, {same} on record already", done.len()));
    }
    Ok(DONE)
}

/// `mayday review`.
pub async fn review(
    session: &mut Session,
    incident: Option<String>,
    owner: Option<String>,
    status: Option<String>,
    meeting: Option<String>,
    reason: String,
) -> Result<u8, Failure> {
    if owner.is_none() && status.is_none() && meeting.is_none() {
        return show_review(session, incident).await;
    }
    let meeting = meeting.map(|t| super::incident::parse_time(&t)).transpose()?;
    let answer = session.act(Command::Review { incident, owner, status, meeting, reason }).await?;
    if session.json {
        print(&answer)?;
    } else if let Answer::Done { recorded, .. } = &answer {
        super::incident::warn_unrecorded(*recorded);
    }
    Ok(DONE)
}

async fn show_review(session: &mut Session, incident: Option<String>) -> Result<u8, Failure> {
    let picture = session.picture().await?;
    let view = match &incident {
        Some(id) => picture.incidents.get(id),
        None => picture.incidents.values().max_by_key(|v| v.incident.last_seq),
    };
    let Some(view) = view else {
        return Err(Failure::usage("there is no such incident: mayday incident list shows them"));
    };
    let review = view.leading.review.clone().unwrap_or_default();
    let open = picture.head.followups.iter().filter(|f| f.incident == view.incident.id && f.standing.is_open()).count();
    if session.json {
        let due = view.leading.review_due;
        print(&serde_json::json!({
            "incident": view.incident.id, "status": review.status, "owner": review.owner, "meeting": review.meeting,
            "due": due, "followups_open": open,
        }))?;
        return Ok(DONE);
    }
    let said = review.said();
    let said = if said.is_empty() { "nobody has begun it" } else { &said };
    say(&format!("{} {}: the review: {}", view.incident.id, view.incident.status.word(), text::clean(said)));
    if let Some(at) = view.leading.review_due {
        let due = Due { what: Word::Review, at, promised: at };
        say(&super::leading::due(&due, picture.at));
    }
    say(&format!("{} not done", text::plural(open, "follow-up")));
    Ok(DONE)
}
