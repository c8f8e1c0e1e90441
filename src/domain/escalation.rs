//! Who is called when nobody acknowledges: contacts, the ladder of levels, and what is due on it.
//!
//! The first level is called when the incident is declared, each further one `escalate_after` after the level before was
//! called. Counted from when that really was, so that a host that slept, or an engine that was away, calls one level and
//! gives it its time instead of calling all of them at once. Derived from the state: a level that is on record is never
//! called again, whoever was killed in between.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::incident::Incident;
use super::message::{Delivery, Message};
use super::phases::Mark;
use super::state::State;
use super::time::Time;
use crate::text;

/// What the fold needs to know of a contact. Numbers and addresses stay in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContactFacts {
    /// Levels that it stands for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<String>,
    /// Channels that reach it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
}

/// How an incident was escalated so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Escalation {
    /// Levels that were called, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub called: Vec<Called>,
    /// Nobody is left to call, and nobody acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Mark>,
    /// Contacts that a person called, with what came of the last call.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub calls: BTreeMap<String, Call>,
}

/// A level that was called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Called {
    /// From 1.
    pub level: u32,
    pub name: String,
    pub contacts: Vec<String>,
    pub channels: Vec<String>,
    /// Id of the message that goes to the channels; empty when there are none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// That message is queued.
    #[serde(default)]
    pub queued: bool,
    /// When, by the wall clock as it reads now.
    pub at: Time,
    pub mark: Mark,
}

/// What came of calling a level. That a level's turn had come tells nothing about whether anybody heard of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "channels")]
pub enum Reached {
    /// No channel leads to it: a person has to call.
    #[default]
    NoChannel,
    /// No channel has answered yet.
    OnTheWay,
    /// Accepted by these. That is not: read by anybody.
    Accepted(Vec<String>),
    /// Refused by all of these, or given up.
    Nobody(Vec<String>),
}

impl Reached {
    /// `message` is the one that went to the level's channels, as far as it is known.
    pub fn of(called: &Called, message: Option<&Message>) -> Reached {
        if called.channels.is_empty() || called.message.is_empty() {
            return Reached::NoChannel;
        }
        let Some(message) = message else { return Reached::OnTheWay };
        let accepted: Vec<String> =
            message.channels.iter().filter(|(_, c)| c.state == Delivery::Accepted).map(|(n, _)| n.clone()).collect();
        match (accepted.is_empty(), message.is_done()) {
            (false, _) => Reached::Accepted(accepted),
            (true, true) => Reached::Nobody(message.channels.keys().cloned().collect()),
            (true, false) => Reached::OnTheWay,
        }
    }

    /// It is known that nobody heard of it by itself.
    pub const fn is_nobody(&self) -> bool {
        matches!(self, Reached::NoChannel | Reached::Nobody(_))
    }

    /// `accepted by chat`, `REACHED NOBODY (chat)`.
    pub fn said(&self) -> String {
        match self {
            Reached::NoChannel => "no channel reaches it".into(),
            Reached::OnTheWay => "not accepted by any channel yet".into(),
            Reached::Accepted(channels) => format!("accepted by {}", channels.join(", ")),
            Reached::Nobody(channels) => format!("REACHED NOBODY ({})", channels.join(", ")),
        }
    }
}

/// A person called a contact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    pub answered: bool,
    pub at: Time,
    pub by: String,
    /// How often it was called.
    pub times: u32,
}

/// What is due on the ladder.
#[derive(Clone, Debug, PartialEq)]
pub enum Due {
    /// There is no ladder, somebody acknowledged, or it is over.
    Nothing,
    /// This level is called then, unless somebody acknowledges; `None`: then the ladder has ended.
    Wait { at: Time, next: Option<(u32, String)> },
    /// This level is called now, and why.
    Call { level: u32, name: String, why: String },
    /// The message of this level is not queued yet: the engine was killed in between.
    Queue(Called),
    /// The last level has not acknowledged either.
    End { why: String },
}

/// The id of a level's message: the same however often it is asked for, so that it can be queued once only.
pub fn message_id(incident: &str, called: usize) -> String {
    format!("esc-{incident}-{}", called + 1)
}

/// What is due for `incident` at `now`.
pub fn due(state: &State, incident: &Incident, now: Time) -> Due {
    let escalation = &incident.clock.escalation;
    if !incident.status.is_open() || incident.acknowledged_at.is_some() {
        return Due::Nothing;
    }
    if let Some(open) = escalation.called.iter().find(|c| !c.message.is_empty() && !c.queued) {
        return Due::Queue(open.clone());
    }
    let Some(facts) = state.catalog.severities.get(&incident.severity) else { return Due::Nothing };
    let within = facts.escalate_after_ms.or(facts.respond_within_ms).map(Duration::from_millis);
    // By name: another severity has another ladder, and nobody is called twice for changing it.
    let is_called = |name: &String| escalation.called.iter().any(|c| c.name == *name);
    let next = facts.escalate.iter().enumerate().find(|(_, name)| !is_called(name));
    let next = next.map(|(i, name)| (u32::try_from(i + 1).unwrap_or(u32::MAX), name.clone()));
    let Some(last) = escalation.called.last() else {
        return match next {
            Some((level, name)) => Due::Call { level, name, why: "declared".into() },
            None => Due::Nothing,
        };
    };
    if next.is_none() && escalation.ended.is_some() {
        return Due::Nothing;
    }
    let Some(within) = within else { return Due::Nothing };
    let at = last.at.plus(within);
    if now < at {
        return Due::Wait { at, next };
    }
    let why = format!("no acknowledgement after {}", text::duration(now.since(last.at)));
    match next {
        Some((level, name)) => Due::Call { level, name, why },
        None => Due::End { why },
    }
}

/// Contacts that stand for `level`, and the channels that reach them, each once.
pub fn reach(state: &State, level: &str) -> (Vec<String>, Vec<String>) {
    let of: Vec<(&String, &ContactFacts)> =
        state.catalog.contacts.iter().filter(|(_, c)| c.levels.iter().any(|l| l == level)).collect();
    let mut channels: Vec<String> = Vec::new();
    for channel in of.iter().flat_map(|(_, c)| &c.channels) {
        if !channels.contains(channel) {
            channels.push(channel.clone());
        }
    }
    (of.into_iter().map(|(name, _)| name.clone()).collect(), channels)
}

/// What is said on the phone: short, and all that the other end must know to decide.
pub fn sentence(state: &State, incident: &Incident) -> String {
    let environment = match state.catalog.environment.as_str() {
        "" => String::new(),
        environment => format!(" {environment}"),
    };
    let mut said = format!(
        "This is {}{environment}. Incident {}, severity {}: {}. Declared at {} UTC.",
        state.catalog.system,
        incident.id,
        incident.severity,
        incident.title.trim_end_matches('.'),
        incident.declared_at.hm()
    );
    let down: Vec<&str> = incident
        .services
        .iter()
        .filter(|name| state.services.get(*name).is_some_and(|s| s.state == super::health::Health::Down))
        .map(String::as_str)
        .collect();
    if !down.is_empty() {
        said.push_str(&format!(" Down: {}.", down.join(", ")));
    }
    match incident.commander() {
        Some(user) => said.push_str(&format!(" {user} leads it. Can you help?")),
        None => said.push_str(" Nobody has taken it. Can you take it now?"),
    }
    text::clean(&said).into_owned()
}
