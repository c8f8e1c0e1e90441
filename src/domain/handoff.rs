//! Handing an incident over: a capsule that says in at most 24 lines all that the next one needs, offered by the one who
//! leads and confirmed by the one who takes over. Command passes in one entry.
//!
//! Pure. The capsule is made from the state alone, or from the picture of it, so that whoever joins gets the same words
//! as whoever takes over.

use serde::{Deserialize, Serialize};

use super::command::{Context, Refusal};
use super::decide::{Outcome, checked_reason, checked_text, one, open_incident, required_reason};
use super::event::*;
use super::incident::Incident;
use super::state::State;
use super::time::Time;

mod capsule;
mod facts;
#[cfg(test)]
mod tests;

pub use capsule::{LINES, Section, capsule, lines};
pub use facts::{BackupFacts, Facts, RunFacts, ServiceFacts};

/// A role that is offered to somebody and not taken yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handoff {
    /// Journal position of the offer.
    pub seq: u64,
    pub at: Time,
    pub role: String,
    /// Who offers.
    pub from: String,
    /// To whom; to whoever takes it when nobody is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remark: String,
    /// What was handed over, as it was read.
    pub capsule: Vec<String>,
}

pub(super) fn offer(
    state: &State,
    incident: Option<String>,
    to: Option<String>,
    remark: &str,
    ctx: &Context,
) -> Outcome {
    let incident = open_incident(state, incident)?;
    let user = &ctx.actor.user;
    if let Some(leads) = incident.commander()
        && leads != user
    {
        return Err(Refusal::new(
            format!("{} is led by {leads}, who alone can hand it over", incident.id),
            "if they cannot, name the commander: w",
        ));
    }
    let to = to.map(|to| checked_text("user", &to, 80)).transpose()?;
    if to.as_ref() == Some(user) {
        return Err(Refusal::usage("an incident is handed over to somebody else", "name another user, or nobody"));
    }
    let remark = checked_reason(remark)?;
    let capsule = lines(&capsule(&Facts::of(state, incident, ctx.now)));
    one(Some(incident.id.clone()), HandoffOffered { role: "commander".into(), to, remark, capsule })
}

pub(super) fn take(state: &State, incident: Option<String>, ctx: &Context) -> Outcome {
    let incident = open_incident(state, incident)?;
    let user = &ctx.actor.user;
    let Some(offer) = &incident.handoff else {
        return Err(Refusal::new(
            format!("nobody offers {}", incident.id),
            "the one who leads offers it: mayday handoff; or name the commander: w",
        ));
    };
    if offer.from == *user {
        return Err(Refusal::new(
            format!("{user} offered it, and cannot take it over as well"),
            "the next one takes it with a login of their own; behind one login name the commander: w",
        ));
    }
    if let Some(to) = offer.to.as_ref().filter(|to| *to != user) {
        return Err(Refusal::new(
            format!("{} is offered to {to}", incident.id),
            "if they do not come, name the commander: w",
        ));
    }
    let event =
        HandoffTaken { offered: offer.seq, role: offer.role.clone(), from: offer.from.clone(), to: user.clone() };
    one(Some(incident.id.clone()), event)
}

pub(super) fn withdraw(state: &State, incident: Option<String>, reason: &str, ctx: &Context) -> Outcome {
    let incident = open_incident(state, incident)?;
    let Some(offer) = &incident.handoff else {
        return Err(Refusal::new(format!("nobody offers {}", incident.id), ""));
    };
    let reason = if offer.from == ctx.actor.user || offer.to.as_ref() == Some(&ctx.actor.user) {
        checked_reason(reason)?
    } else {
        required_reason("taking back somebody else's handoff", reason)?
    };
    one(Some(incident.id.clone()), HandoffWithdrawn { offered: offer.seq, reason })
}

pub(super) fn apply(incident: &mut Incident, entry: &Entry) {
    match &entry.event {
        Event::HandoffOffered(e) => {
            incident.handoff = Some(Handoff {
                seq: entry.seq,
                at: entry.at,
                role: e.role.clone(),
                from: entry.actor.user.clone(),
                to: e.to.clone(),
                remark: e.remark.clone(),
                capsule: e.capsule.clone(),
            });
        }
        Event::HandoffTaken(e) => {
            incident.roles.insert(e.role.clone(), e.to.clone());
            incident.handoff = None;
        }
        Event::HandoffWithdrawn(_) => incident.handoff = None,
        // Who was named meanwhile leads; what was offered before is not theirs to take any more.
        Event::IncidentAssigned(e) if incident.handoff.as_ref().is_some_and(|h| h.role == e.role) => {
            incident.handoff = None;
        }
        _ => {}
    }
}

/// Who leads while an offer stands, as told to `user` who made it: an offer alone makes nobody the lead.
pub fn leads_until(commander: Option<&str>, user: &str) -> String {
    match commander {
        Some(leads) if leads == user => "you lead until it is taken".to_owned(),
        Some(leads) => format!("{leads} leads until it is taken"),
        None => "nobody leads until it is taken".to_owned(),
    }
}

/// The entry as a sentence, for the timeline.
pub(super) fn sentence(event: &Event) -> Option<String> {
    let because = |reason: &str| if reason.is_empty() { String::new() } else { format!(": {reason}") };
    Some(match event {
        Event::HandoffOffered(e) => {
            let to = e.to.as_deref().unwrap_or("whoever takes it");
            format!("offered {} to {to}, with a capsule of {} lines{}", e.role, e.capsule.len(), because(&e.remark))
        }
        Event::HandoffTaken(e) => format!("{} took over as {} from {}", e.to, e.role, e.from),
        Event::HandoffWithdrawn(e) => format!("the handoff was taken back{}", because(&e.reason)),
        _ => return None,
    })
}
