//! Severities and contacts, as they are in force.

use std::time::Duration;

use super::out::{Out, inline, pair, string};
use crate::config::types::{Contact, SeverityPolicy};
use crate::config::value::duration_text;
use crate::domain::catalog::Severity;

pub fn severity(severity: Severity, policy: &SeverityPolicy, out: &mut Out) {
    out.table(&format!("[severity.{severity}]"));
    out.duration("respond_within", policy.respond_within);
    let none = |d: Option<Duration>| d.map_or_else(|| "none".to_owned(), duration_text);
    out.text("update_every", &none(policy.update_every));
    out.text("first_word_within", &none(policy.first_word_within));
    out.text("resolution_within", &none(policy.resolution_within));
    out.text("review_within", &none(policy.review_within));
    let phases = policy.phases.iter().map(|(phase, end)| pair(phase.word(), string(&duration_text(*end))));
    out.put("phases", Some(inline(phases)));
    out.texts("escalate", &policy.escalate);
    out.duration("escalate_after", policy.escalate_after);
}

pub fn contact(c: &Contact, out: &mut Out) {
    out.table("[[contact]]");
    out.text("name", &c.name);
    out.texts("levels", &c.levels);
    out.texts("roles", &c.roles);
    out.text("phone", &c.phone);
    out.text("address", &c.address);
    out.texts("channels", &c.channels);
    if c.vendor {
        out.put("vendor", Some("true".into()));
    }
    out.text("hours", &c.hours);
    out.text("notes", &c.notes);
}
