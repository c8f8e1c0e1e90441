//! Who may do what, from the tables that say something of it.

use std::collections::BTreeMap;

use crate::config::read::{Item, Sink, Tab, Val};
use crate::domain::authority::{Authority, Level};
use crate::domain::catalog::Severity;

fn level(item: &Item) -> Option<Level> {
    Level::parse(item.text()?)
}

pub fn authority(root: &Tab, sink: &mut Sink) -> Authority {
    let mut out = Authority::default();
    let severities: BTreeMap<String, (Option<Level>, bool)> = root.map("severity", |item| match &item.val {
        Val::Tab(tab) => Some((tab.item("authority").and_then(level), tab.flag("second_person"))),
        _ => None,
    });
    for (name, (level, second)) in severities {
        let Ok(severity) = Severity::parse(&name) else { continue };
        if let Some(level) = level {
            out.severities.insert(severity, level);
        }
        if second {
            out.second_person_severities.insert(severity);
        }
    }
    for tab in root.tabs("action") {
        if tab.flag("second_person") {
            out.second_person_actions.extend(tab.string("name"));
        }
    }
    for tab in root.tabs("backup") {
        if tab.flag("second_person") {
            out.second_person_backups.extend(tab.string("name"));
            if !tab.has("restore") {
                let message = "`second_person` does nothing for a backup without a restore";
                sink.fault(tab.at_key("second_person"), message, "say how it is restored, or leave it out");
            }
        }
    }
    if let Some(tab) = root.tab("authority") {
        out.everybody = tab.item("everybody").and_then(level);
        out.roles = tab.map("roles", level);
        out.users = tab.map("users", level);
        out.groups = tab.map("groups", level);
        out.needs = tab.map("needs", level);
        out.second_person = tab.flag("second_person");
    }
    idle(root, &out, sink);
    out
}

/// Where everybody may everything, nothing that gives or needs a level does anything. A severity that says no more than
/// holds anyway is left to the warnings.
fn idle(root: &Tab, authority: &Authority, sink: &mut Sink) {
    if authority.base() < Level::Full {
        return;
    }
    let hint = "set `everybody` of [authority] to a lower level, or leave this out";
    if let Some(tab) = root.tab("authority") {
        for key in ["roles", "users", "groups", "needs"] {
            if tab.has(key) {
                let message = format!("`{key}` does nothing: everybody may everything, also without an incident");
                sink.fault(tab.at_key(key), message, hint);
            }
        }
    }
}
