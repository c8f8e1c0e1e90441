//! Whom to call now: contacts in the order in which a person would dial them.

use std::collections::BTreeMap;

use super::view::{ContactView, IncidentView};
use crate::domain::catalog::{Severity, SeverityFacts};
use crate::domain::escalation::{Call, Reached};

/// One contact, with its place on the ladder.
#[derive(Clone, Debug)]
pub struct ToCall<'a> {
    pub contact: &'a ContactView,
    /// From 1, and its name; `None`: it stands on no level of this severity.
    pub level: Option<(usize, &'a str)>,
    /// Its level is the one that was called last, or the first while none was.
    pub now: bool,
    /// Its level's turn has come: what came of that.
    pub called: Option<Reached>,
    /// What came of the last call by a person.
    pub call: Option<&'a Call>,
}

/// All of them: the level that is called now, those above it, those below, others, suppliers.
pub fn whom_to_call<'a>(
    contacts: &'a [ContactView],
    severities: &'a BTreeMap<Severity, SeverityFacts>,
    incident: Option<&'a IncidentView>,
) -> Vec<ToCall<'a>> {
    let severity = incident.map_or(Severity::P0, |v| v.incident.severity);
    let ladder: &[String] = severities.get(&severity).map(|f| f.escalate.as_slice()).unwrap_or_default();
    let escalation = incident.map(|v| &v.incident.clock.escalation);
    let called_as = |name: &str| {
        let at = escalation?.called.iter().rposition(|c| c.name == name)?;
        // An engine that does not tell is one that has not heard yet.
        Some(incident?.leading.reached.get(at).cloned().unwrap_or(Reached::OnTheWay))
    };
    let reached = escalation.and_then(|e| e.called.last()).and_then(|c| ladder.iter().position(|l| *l == c.name));
    let reached = reached.unwrap_or(0);
    let mut all: Vec<(usize, ToCall<'a>)> = contacts
        .iter()
        .map(|contact| {
            let at = ladder.iter().position(|level| contact.levels.contains(level));
            let level = at.and_then(|i| Some((i + 1, ladder.get(i)?.as_str())));
            let rank = match at {
                Some(i) if i >= reached => i - reached,
                Some(i) => 100 + i,
                None if contact.vendor => 300,
                None => 200,
            };
            let called = level.and_then(|(_, name)| called_as(name));
            let call = escalation.and_then(|e| e.calls.get(&contact.name));
            (rank, ToCall { contact, level, now: at == Some(reached), called, call })
        })
        .collect();
    all.sort_by_key(|(rank, _)| *rank);
    all.into_iter().map(|(_, one)| one).collect()
}
