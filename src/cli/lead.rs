//! Leading with others: hypotheses, handing over, catching up.

use super::args::{HandoffCmd, HypothesisCmd};
use super::exit::Failure;
use super::incident::{parse_time, read_stdin, warn_unrecorded};
use super::{Session, print, say};
use crate::domain::command::{Command, HypothesisAsk};
use crate::domain::handoff;
use crate::domain::hypothesis::{Basis, Stance};
use crate::text;
use crate::wire::{Answer, Ask, TimelineQuery};

/// `mayday hypothesis …`.
pub async fn hypothesis(session: &mut Session, command: HypothesisCmd) -> Result<u8, Failure> {
    let words = |words: Vec<String>| if words == ["-"] { read_stdin() } else { Ok(words.join(" ")) };
    let (incident, ask) = match command {
        HypothesisCmd::Open { text, incident } => (incident, HypothesisAsk::Open { text: words(text)? }),
        HypothesisCmd::Evidence { hypothesis, text, stance, basis, incident } => {
            let stance = Stance::parse(&stance).map_err(Failure::usage)?;
            let basis = Basis::parse(&basis).map_err(Failure::usage)?;
            (incident, HypothesisAsk::Evidence { hypothesis, stance, basis, text: words(text)? })
        }
        HypothesisCmd::Confirm { hypothesis, which } => {
            (which.incident, HypothesisAsk::Confirm { hypothesis, reason: which.reason })
        }
        HypothesisCmd::Eliminate { hypothesis, which } => {
            (which.incident, HypothesisAsk::Eliminate { hypothesis, reason: which.reason })
        }
        HypothesisCmd::Reopen { hypothesis, which } => {
            (which.incident, HypothesisAsk::Reopen { hypothesis, reason: which.reason })
        }
        HypothesisCmd::List { incident } => return list(session, incident).await,
    };
    let opened = matches!(ask, HypothesisAsk::Open { .. });
    let answer = session.act(Command::Hypothesis { incident, ask }).await?;
    if session.json {
        print(&answer)?;
    } else if let Answer::Done { incident, recorded, seq, .. } = &answer {
        if opened && let Some(id) = incident {
            let picture = session.picture().await?;
            let known = picture.incidents.get(id).map(|v| v.incident.hypotheses.as_slice()).unwrap_or_default();
            if let Some(made) = known.iter().find(|h| h.seq == *seq) {
                say(&made.id);
            }
        }
        warn_unrecorded(*recorded);
    }
    Ok(0)
}

async fn list(session: &mut Session, incident: Option<String>) -> Result<u8, Failure> {
    let picture = session.picture().await?;
    let view = match &incident {
        Some(id) => picture.incidents.get(id),
        None => picture.incidents.values().max_by_key(|v| (v.incident.status.is_open(), v.incident.last_seq)),
    };
    let Some(view) = view else {
        return Err(Failure::usage("there is no such incident: mayday incident list shows them"));
    };
    if session.json {
        print(&view.incident.hypotheses)?;
        return Ok(0);
    }
    if view.incident.hypotheses.is_empty() {
        say(&format!("{} has no hypothesis: mayday hypothesis open TEXT", view.incident.id));
    }
    for h in &view.incident.hypotheses {
        let why = if h.reason.is_empty() { String::new() } else { format!(" — {}", h.reason) };
        say(&text::clean(&format!("{:<4} {:<10} {}{why}  [{}]", h.id, h.standing.word(), h.said(), h.seq)));
        for e in &h.evidence {
            let said =
                format!("       {} {}, {}: {} ({}) [{}]", e.at, e.stance.word(), e.basis.word(), e.text, e.by, e.seq);
            say(&text::clean(&said));
        }
    }
    Ok(0)
}

/// `mayday handoff …`.
pub async fn handoff(
    session: &mut Session,
    to: Option<String>,
    remark: String,
    incident: Option<String>,
    command: Option<HandoffCmd>,
) -> Result<u8, Failure> {
    let command = match command {
        None => Command::HandOver { incident, to, remark },
        Some(HandoffCmd::Take { incident }) => Command::TakeOver { incident },
        Some(HandoffCmd::Keep { which }) => Command::KeepLead { incident: which.incident, reason: which.reason },
        Some(HandoffCmd::Show { incident }) => return catchup(session, incident, None).await,
    };
    let offers = matches!(command, Command::HandOver { .. });
    let answer = session.act(command).await?;
    if session.json {
        print(&answer)?;
    } else if let Answer::Done { recorded, incident, .. } = &answer {
        if offers && let Some(id) = incident {
            let picture = session.picture().await?;
            let found = picture.incidents.get(id).map(|v| &v.incident);
            let offer = found.and_then(|i| i.handoff.as_ref());
            for line in offer.iter().flat_map(|o| &o.capsule) {
                say(line);
            }
            let by = offer.map_or("", |o| o.from.as_str());
            let leads = handoff::leads_until(found.and_then(|i| i.commander()), by);
            eprintln!("mayday: offered, and {leads}: mayday handoff take, or H in the cockpit");
        }
        warn_unrecorded(*recorded);
    }
    Ok(0)
}

/// `mayday catchup`: how it stands, and what happened since a moment.
pub async fn catchup(session: &mut Session, incident: Option<String>, since: Option<String>) -> Result<u8, Failure> {
    let since = since.map(|t| parse_time(&t)).transpose()?;
    let Answer::Capsule { incident, at, sections } = session.ask(Ask::Capsule { incident }).await? else {
        return Err(Failure::failed("the engine gave no capsule"));
    };
    let mut rows = Vec::new();
    if let Some(since) = since {
        let mut before = None;
        // From the newest backwards, as far as the moment.
        'pages: loop {
            let query =
                TimelineQuery { incident: Some(incident.clone()), before, limit: 500, ..TimelineQuery::default() };
            let Answer::Timeline { rows: page, .. } = session.ask(Ask::Timeline(query)).await? else { break };
            let Some(first) = page.first().map(|r| r.seq) else { break };
            for row in page.into_iter().rev() {
                if row.at < since {
                    break 'pages;
                }
                if row.is_told() {
                    rows.push(row);
                }
            }
            before = Some(first);
        }
        rows.reverse();
    }
    if session.json {
        let lines = handoff::lines(&sections);
        print(&serde_json::json!({
            "incident": incident, "at": at, "sections": sections, "lines": lines, "since": since, "timeline": rows,
        }))?;
        return Ok(0);
    }
    for line in handoff::lines(&sections) {
        say(&line);
    }
    if let Some(since) = since {
        say(&format!("since {since}: {}", if rows.is_empty() { "nothing of the story" } else { "" }));
    }
    for row in rows {
        let at = row.happened_at.unwrap_or(row.at);
        say(&format!("{}Z  {:<10} {}  [{}]", at.hms(), text::width::cut(&row.actor, 10), row.text, row.seq));
    }
    Ok(0)
}
