//! The rules of leading an incident to another end or another beginning: false alarm, merge, onset by hand, snooze, calls.

use std::collections::BTreeSet;

use super::cadence::{self, SNOOZE_MOST, Word};
use super::command::{Command, Context, Refusal};
use super::decide::{
    Decided, Outcome, against_resolving, checked_reason, find_incident, first_open, last_incident, one, open_incident,
    required_reason,
};
use super::event::*;
use super::incident::{Incident, Status};
use super::state::State;
use super::time::Time;
use crate::text;

pub(super) fn decide(state: &State, command: Command, ctx: &Context) -> Outcome {
    match command {
        Command::FalseAlarm { incident, reason, force } => false_alarm(state, incident, &reason, force),
        Command::Merge { incident, into, reason } => merge(state, &incident, &into, &reason),
        Command::SetOnset { incident, onset, reason } => set_onset(state, incident, onset, &reason, ctx.now),
        Command::Snooze { incident, until, reason } => snooze(state, incident, until, &reason, ctx.now),
        Command::ContactCalled { incident, contact, answered, note } => {
            called(state, incident, contact, answered, &note)
        }
        _ => Err(Refusal::usage("this is not about leading an incident", "")),
    }
}

fn closing(incident: &Incident, reason: String) -> Event {
    IncidentStatus { from: incident.status, to: Status::Closed, reason, forced: false }.into()
}

fn false_alarm(state: &State, incident: Option<String>, reason: &str, force: bool) -> Outcome {
    let incident = match incident {
        Some(id) => find_incident(state, &id)?,
        None => open_incident(state, None)?,
    };
    if incident.status == Status::Closed {
        return Err(Refusal::new(format!("{} is closed", incident.id), "reopen it with a reason"));
    }
    let reason = required_reason("calling it a false alarm", reason)?;
    let against = if incident.status.is_open() { against_resolving(state, incident) } else { Vec::new() };
    if !against.is_empty() && !force {
        return Err(Refusal::new(
            format!("not closed as a false alarm: {}", against.join("; ")),
            "mend that and resolve it, or force it",
        ));
    }
    let id = Some(incident.id.clone());
    let mut closing = closing(incident, format!("false alarm: {reason}"));
    if let Event::IncidentStatus(e) = &mut closing {
        e.forced = !against.is_empty();
    }
    let said = IncidentFalseAlarm { reason };
    Ok(vec![Decided { incident: id.clone(), event: said.into() }, Decided { incident: id, event: closing }])
}

fn merge(state: &State, from: &str, into: &str, reason: &str) -> Outcome {
    let from = find_incident(state, from)?;
    let into = find_incident(state, into)?;
    if from.id == into.id {
        return Err(Refusal::usage("an incident cannot be merged into itself", "name two"));
    }
    for incident in [from, into] {
        if !incident.status.is_open() {
            return Err(Refusal::new(
                format!("{} is {}", incident.id, incident.status.word()),
                "only open incidents are merged; reopen it first",
            ));
        }
    }
    let reason = required_reason("a merge", reason)?;
    let mut out = Vec::new();
    let mut tell = |incident: &Incident, event: Event| {
        out.push(Decided { incident: Some(incident.id.clone()), event });
    };
    let absorbed = IncidentAbsorbed { incident: from.id.clone(), title: from.title.clone(), reason: reason.clone() };
    tell(into, absorbed.into());
    let added: BTreeSet<String> = from.services.difference(&into.services).cloned().collect();
    // No service named means all of them: that is not to become fewer.
    if !added.is_empty() && !into.services.is_empty() {
        tell(into, IncidentServices { added, removed: BTreeSet::new() }.into());
    }
    if from.severity < into.severity {
        let reason = format!("{} was {}", from.id, from.severity);
        tell(into, IncidentSeverity { from: into.severity, to: from.severity, reason }.into());
    }
    let earlier = from.onset.unwrap_or(from.declared_at);
    if earlier < into.onset.unwrap_or(into.declared_at) {
        tell(into, IncidentOnset { onset: earlier, why: format!("that of {}, merged into this one", from.id) }.into());
    }
    tell(from, IncidentMerged { into: into.id.clone(), reason: reason.clone() }.into());
    tell(from, closing(from, format!("merged into {}", into.id)));
    Ok(out)
}

fn set_onset(state: &State, incident: Option<String>, onset: Time, reason: &str, now: Time) -> Outcome {
    // What is found out in the review is worth recording too.
    let incident = match incident {
        Some(id) => find_incident(state, &id)?,
        None => match open_incident(state, None) {
            Ok(incident) => incident,
            Err(refusal) => {
                let last = last_incident(state).filter(|_| state.open_incidents().is_empty());
                last.and_then(|id| state.incidents.get(&id)).ok_or(refusal)?
            }
        },
    };
    if onset > now {
        return Err(Refusal::usage("the onset lies in the future", "state a time that has passed"));
    }
    if incident.onset == Some(onset) {
        return Err(Refusal::new(format!("the onset of {} is {onset} already", incident.id), ""));
    }
    let why = required_reason("setting the onset by hand", reason)?;
    one(Some(incident.id.clone()), IncidentOnset { onset, why })
}

fn snooze(state: &State, incident: Option<String>, until: Time, reason: &str, now: Time) -> Outcome {
    let incident = open_incident(state, incident)?;
    let due = cadence::due(state, incident).filter(|d| matches!(d.what, Word::First | Word::Update));
    let Some(due) = due else {
        return Err(Refusal::new(
            format!("no update is due for {} ({})", incident.id, incident.severity),
            "severities with update_every have a cadence",
        ));
    };
    let reason = required_reason("a snooze", reason)?;
    if until <= now {
        return Err(Refusal::usage("the snooze would end before it begins", "state a time to come"));
    }
    if until > now.plus(SNOOZE_MOST) {
        let most = text::duration(SNOOZE_MOST);
        return Err(Refusal::usage(format!("an update can be put off by {most} at most"), "state a nearer time"));
    }
    if until <= due.promised {
        return Err(Refusal::new(
            format!("the {} is due only at {}Z", due.what.title(), due.promised.hms()),
            "snooze it beyond that",
        ));
    }
    one(Some(incident.id.clone()), UpdateSnoozed { until, reason, due: due.at })
}

fn called(state: &State, incident: Option<String>, contact: String, answered: bool, note: &str) -> Outcome {
    if !state.catalog.contacts.contains_key(&contact) {
        let known: Vec<_> = state.catalog.contacts.keys().map(String::as_str).collect();
        let instead = if known.is_empty() {
            "add a [[contact]] to mayday.toml".into()
        } else {
            format!("known are {}", known.join(", "))
        };
        return Err(Refusal::usage(format!("there is no contact \"{}\"", text::clean(&contact)), instead));
    }
    // A call that was made is never lost to the question where it belongs.
    let incident = match incident {
        Some(id) => Some(find_incident(state, &id)?.id.clone()),
        None => first_open(state),
    };
    one(incident, ContactCalled { contact, answered, note: checked_reason(note)? })
}
