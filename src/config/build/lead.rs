//! Severities and contacts.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::read::{Sink, Tab};
use crate::config::types::{Contact, SeverityPolicy};
use crate::config::value::duration_text;
use crate::domain::catalog::Severity;
use crate::domain::phases::IncidentPhase;
use crate::text::parse_duration;

const fn minutes(m: u64) -> Duration {
    Duration::from_secs(m * 60)
}

/// What holds for a severity of which the file says nothing.
fn policy(severity: Severity) -> SeverityPolicy {
    // Ends of the phases after the first, whose end is the time to respond.
    let (respond, update, word, review, ends) = match severity {
        Severity::P0 => (5, Some(15), Some(5), 1440, [15, 30, 60, 240, 1440]),
        Severity::P1 => (15, Some(30), Some(5), 1440, [30, 60, 120, 480, 2880]),
        Severity::P2 => (60, None, None, 3 * 1440, [120, 240, 480, 1440, 4 * 1440]),
        Severity::P3 => (240, None, None, 7 * 1440, [480, 1440, 2880, 3 * 1440, 10 * 1440]),
    };
    let phases = IncidentPhase::ALL.into_iter().skip(1).zip(ends.map(minutes)).collect();
    SeverityPolicy {
        respond_within: Some(minutes(respond)),
        update_every: update.map(minutes),
        first_word_within: word.map(minutes),
        resolution_within: word.map(minutes),
        review_within: Some(minutes(review)),
        phases,
        escalate: Vec::new(),
        escalate_after: None,
    }
}

pub fn severities(root: &Tab, sink: &mut Sink) -> BTreeMap<Severity, SeverityPolicy> {
    let said = root.tab("severity");
    let of = |severity: Severity| said.and_then(|tab| tab.tab(severity.name()));
    Severity::ALL.into_iter().map(|severity| (severity, one(severity, of(severity), sink))).collect()
}

fn one(severity: Severity, said: Option<&Tab>, sink: &mut Sink) -> SeverityPolicy {
    let mut policy = policy(severity);
    if let Some(tab) = said {
        policy.respond_within = tab.duration("respond_within").or(policy.respond_within);
        or_none(tab, "update_every", &mut policy.update_every);
        or_none(tab, "first_word_within", &mut policy.first_word_within);
        or_none(tab, "resolution_within", &mut policy.resolution_within);
        or_none(tab, "review_within", &mut policy.review_within);
        policy.escalate = tab.texts("escalate");
        policy.escalate_after = tab.duration("escalate_after");
        if policy.escalate_after.is_some() && policy.escalate.is_empty() {
            sink.fault(tab.at_key("escalate_after"), "`escalate_after` does nothing without `escalate`", "set both");
        }
    }
    let phases = said.and_then(|tab| tab.tab("phases"));
    let mut before = Duration::ZERO;
    for phase in IncidentPhase::ALL {
        let given = phases.and_then(|tab| tab.duration(phase.word()));
        let usual = policy.phases.get(&phase).copied().or(policy.respond_within).unwrap_or_default();
        if let (Some(given), Some(tab)) = (given, phases)
            && given < before
        {
            let message = format!("`{}` ends before the phase before it, at T+{}", phase.word(), duration_text(before));
            sink.fault(tab.at(phase.word()), message, "make each at least as late as the one before");
        }
        // A usual end gives way to what the file says of an earlier phase.
        before = given.unwrap_or_else(|| usual.max(before));
        policy.phases.insert(phase, before);
    }
    policy
}

fn or_none(tab: &Tab, key: &str, value: &mut Option<Duration>) {
    match tab.text(key) {
        Some("none") => *value = None,
        Some(text) => *value = parse_duration(text).ok(),
        None => {}
    }
}

pub fn contact(tab: &Tab) -> Contact {
    Contact {
        name: tab.string("name").unwrap_or_default(),
        levels: tab.texts("levels"),
        roles: tab.texts("roles"),
        phone: tab.string("phone").unwrap_or_default(),
        address: tab.string("address").unwrap_or_default(),
        channels: tab.texts("channels"),
        vendor: tab.flag("vendor"),
        hours: tab.string("hours").unwrap_or_default(),
        notes: tab.string("notes").unwrap_or_default(),
    }
}
