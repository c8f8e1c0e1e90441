//! `mayday contacts`, `mayday contact called`: whom to call, also when nothing else works.

use std::path::Path;

use super::args::ContactCmd;
use super::exit::Failure;
use super::{Place, Session, print, say};
use crate::domain::Access;
use crate::domain::command::Command;
use crate::domain::escalation::{Reached, sentence};
use crate::domain::state::State;
use crate::text;
use crate::wire::{ContactView, Mirror, ToCall, whom_to_call};

/// `mayday contacts`. No engine is started for it: without one the configuration says whom to call.
pub async fn contacts(place: Place, json: bool) -> Result<u8, Failure> {
    match super::connect::reach(&place, Access::ReadOnly).await {
        Ok(client) => {
            let mut session = Session { client, json, place };
            let picture = session.picture().await?;
            show(&picture, None, json, "")
        }
        Err(why) => {
            let config = place.config.as_deref().ok_or_else(|| Failure::failed(why.text.clone()))?;
            let config = crate::config::load(config).map_err(|_| {
                Failure::failed(format!("{}, and the configuration does not read: mayday config check", why.text))
            })?;
            let mut mirror = Mirror::default();
            mirror.head.contacts = config.contacts.iter().map(ContactView::from).collect();
            mirror.head.severities = config.catalog().severities;
            show(&mirror, recorded(&place.state_dir).as_ref(), json, &why.text)
        }
    }
}

/// The worst open incident as the record has it, and what is said on the phone of it.
fn recorded(state_dir: &Path) -> Option<(String, String)> {
    let entries = super::record::entries(state_dir).ok()?;
    let state = State::replay(&entries);
    let incident = *state.open_incidents().first()?;
    Some((incident.id.clone(), sentence(&state, incident)))
}

/// `recorded` speaks where no engine does.
fn show(picture: &Mirror, recorded: Option<&(String, String)>, json: bool, without: &str) -> Result<u8, Failure> {
    let open = picture.open_incidents();
    let incident = open.first().copied();
    let id = incident.map(|v| &v.incident.id).or(recorded.map(|(id, _)| id));
    let to_say = incident.map(|v| &v.leading.say).or(recorded.map(|(_, say)| say)).filter(|s| !s.is_empty());
    let all = whom_to_call(&picture.head.contacts, &picture.head.severities, incident);
    if json {
        let contacts: Vec<_> = all
            .iter()
            .map(|one| {
                serde_json::json!({
                    "name": one.contact.name, "level": one.level.map(|(n, _)| n), "level_name": one.level.map(|(_, l)| l),
                    "now": one.now, "called": one.called.is_some(), "reached": one.called, "phone": one.contact.phone, "address": one.contact.address,
                    "channels": one.contact.channels, "roles": one.contact.roles, "vendor": one.contact.vendor,
                    "hours": one.contact.hours, "notes": one.contact.notes, "last_call": one.call,
                })
            })
            .collect();
        print(&serde_json::json!({
            "incident": id, "say": to_say,
            "engine": without.is_empty(), "contacts": contacts,
        }))?;
        return Ok(0);
    }
    if !without.is_empty() {
        eprintln!(
            "mayday: {without}\nmayday: these are the contacts of the configuration; which were called is not known"
        );
    }
    if all.is_empty() {
        say("no contact is configured: add a [[contact]] to mayday.toml");
    }
    if let Some(words) = to_say {
        say(&format!("SAY: {}", text::clean(words)));
    }
    for one in &all {
        say(&line(one));
    }
    Ok(0)
}

fn line(one: &ToCall<'_>) -> String {
    let c = one.contact;
    let level = match one.level {
        Some((n, name)) => format!("{n} {name}"),
        None if c.vendor => "supplier".into(),
        None => "–".into(),
    };
    let mark = if one.now { ">" } else { " " };
    let mut parts: Vec<String> = Vec::new();
    parts.extend(one.called.as_ref().map(Reached::said));
    parts.extend(one.call.map(|call| {
        let times = if call.times > 1 { format!(", called {} times", call.times) } else { String::new() };
        format!("{} {}Z{times}", if call.answered { "ANSWERED" } else { "no answer" }, call.at.hm())
    }));
    parts.extend([&c.address, &c.hours, &c.notes].into_iter().filter(|t| !t.is_empty()).cloned());
    text::clean(&format!(
        "{mark} {} {} {:<18} {}",
        text::fit(&level, 18),
        text::fit(&c.name, 22),
        if c.phone.is_empty() { "no number" } else { &c.phone },
        parts.join("; ")
    ))
    .trim_end()
    .to_owned()
}

/// `mayday contact …`.
pub async fn contact(session: &mut Session, command: ContactCmd) -> Result<u8, Failure> {
    let ContactCmd::Called { name, no_answer, note, incident } = command;
    let command = Command::ContactCalled { incident, contact: name, answered: !no_answer, note };
    let answer = session.act(command).await?;
    if session.json {
        print(&answer)?;
    } else if let crate::wire::Answer::Done { seq, recorded, .. } = &answer {
        say(&seq.to_string());
        super::incident::warn_unrecorded(*recorded);
    }
    Ok(0)
}
