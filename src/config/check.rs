//! What concerns several tables: names that must exist and be unique, dependencies that must end somewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::Lines;
use super::read::{Sink, Span, Tab, nearest};
use super::types::Config;
use super::value::quoted;
use crate::domain::catalog::Severity;

/// All faults between tables. `source` is for naming lines in messages.
pub fn check(root: &Tab, config: &Config, source: &str, sink: &mut Sink) {
    let lines = Lines::new(source);
    for kind in ["service", "backup", "action", "recovery", "checklist", "channel", "contact", "maintenance"] {
        unique(root, kind, &lines, sink);
    }
    let services: BTreeSet<&str> = config.services.iter().map(|s| s.name.as_str()).collect();
    for tab in root.tabs("service") {
        let own = tab.text("name").unwrap_or_default();
        let mut seen = BTreeSet::new();
        for item in tab.list("depends_on") {
            let Some(name) = item.text() else { continue };
            if name == own {
                sink.fault(item.span.clone(), format!("{} depends on itself", quoted(own)), "remove it");
            } else if !seen.insert(name) {
                sink.fault(item.span.clone(), format!("{} is named twice", quoted(name)), "remove one");
            } else {
                exists(name, &services, item.span.clone(), sink);
            }
        }
    }
    for kind in ["backup", "action"] {
        for tab in root.tabs(kind) {
            if let Some(name) = tab.text("service") {
                exists(name, &services, tab.at("service"), sink);
            }
        }
    }
    for tab in root.tabs("maintenance") {
        for item in tab.list("services") {
            if let Some(name) = item.text() {
                exists(name, &services, item.span.clone(), sink);
            }
        }
    }
    recoveries(root, config, sink);
    contacts(root, config, sink);
    cycles(root, sink);
}

/// Levels must have somebody, and contacts channels that exist.
fn contacts(root: &Tab, config: &Config, sink: &mut Sink) {
    let levels: BTreeSet<&str> = config.contacts.iter().flat_map(|c| &c.levels).map(String::as_str).collect();
    let channels: BTreeSet<&str> = config.channels.iter().map(|c| c.name.as_str()).collect();
    let severities = root.tab("severity");
    for severity in Severity::ALL.iter().filter_map(|s| severities.and_then(|t| t.tab(s.name()))) {
        let mut seen = BTreeSet::new();
        for item in severity.list("escalate") {
            let Some(name) = item.text() else { continue };
            if !seen.insert(name) {
                sink.fault(item.span.clone(), format!("level {} is named twice", quoted(name)), "remove one");
            } else if !levels.contains(name) {
                let near = nearest(name, levels.iter().copied());
                let hint = near.map_or_else(
                    || format!("add a [[contact]] with levels = [{}]", quoted(name)),
                    |near| format!("did you mean {}?", quoted(near)),
                );
                sink.missing(item.span.clone(), format!("no contact stands for level {}", quoted(name)), hint);
            }
        }
    }
    for contact in root.tabs("contact") {
        for item in contact.list("channels") {
            if let Some(name) = item.text() {
                known("channel", name, &channels, item.span.clone(), sink);
            }
        }
    }
}

/// Words of `mayday recover`, which no recovery can be named.
const RESERVED: &[&str] = &["status", "resume", "skip", "stop", "done", "failed", "help"];

/// What the steps of recoveries name must be there, and able to do what is asked of it.
fn recoveries(root: &Tab, config: &Config, sink: &mut Sink) {
    let services: BTreeSet<&str> = config.services.iter().map(|s| s.name.as_str()).collect();
    let backups: BTreeSet<&str> = config.backups.iter().map(|b| b.name.as_str()).collect();
    let actions: BTreeSet<&str> = config.actions.iter().map(|a| a.name.as_str()).collect();
    let of = |name: &str| config.services.iter().find(|s| s.name == name);
    for tab in root.tabs("recovery") {
        if let Some(name) = tab.text("name").filter(|n| RESERVED.contains(n)) {
            let message = format!("{} is a word of `mayday recover` itself", quoted(name));
            sink.fault(tab.at("name"), message, "give it another name");
        }
        let mut seen = BTreeSet::new();
        for item in tab.list("services") {
            match item.text() {
                Some(name) if !seen.insert(name) => {
                    sink.fault(item.span.clone(), format!("{} is named twice", quoted(name)), "remove one");
                }
                Some(name) => exists(name, &services, item.span.clone(), sink),
                None => {}
            }
        }
        if tab.has("step") && tab.list("step").is_empty() {
            sink.fault(tab.at_key("step"), "this recovery has no step", "add a [[recovery.step]]");
        }
        for step in tab.tabs("step") {
            if let Some(name) = step.text("restore") {
                let at = step.at("restore");
                match config.backups.iter().find(|b| b.name == name) {
                    None => known("backup", name, &backups, at, sink),
                    Some(b) if b.restore.is_none() => {
                        let message = format!("backup {} has no way to be restored", quoted(name));
                        sink.missing(at, message, "add `restore = { … = { … } }` to it");
                    }
                    Some(_) => {}
                }
            }
            if let Some(name) = step.text("action") {
                known("action", name, &actions, step.at("action"), sink);
            }
            if let Some(name) = step.text("restart") {
                let at = step.at("restart");
                match of(name) {
                    None => exists(name, &services, at, sink),
                    Some(s) if !s.control.as_ref().is_some_and(|c| c.verbs().contains(&"restart")) => {
                        let message = format!("{} has no control that can restart it", quoted(name));
                        sink.missing(at, message, "add `control` to it, or name an action");
                    }
                    Some(_) => {}
                }
            }
            if step.item("healthy").is_some() && step.list("healthy").is_empty() {
                sink.fault(step.at("healthy"), "`healthy` names no service", "name what is waited for");
            }
            for item in step.list("healthy") {
                let Some(name) = item.text() else { continue };
                match of(name) {
                    None => exists(name, &services, item.span.clone(), sink),
                    Some(s) if s.checks.is_empty() => {
                        let message = format!("{} has no check: it would never be seen up", quoted(name));
                        sink.missing(item.span.clone(), message, "add a check to it");
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

fn known(kind: &str, name: &str, there: &BTreeSet<&str>, at: Span, sink: &mut Sink) {
    if there.contains(name) {
        return;
    }
    let near = if sink.len() < 100 { nearest(name, there.iter().copied()) } else { None };
    let hint = match near {
        Some(near) => format!("did you mean {}?", quoted(near)),
        None if there.is_empty() => format!("there is no [[{kind}]] yet"),
        None => format!("add a [[{kind}]] with name = {}", quoted(name)),
    };
    sink.missing(at, format!("there is no {kind} {}", quoted(name)), hint);
}

fn exists(name: &str, services: &BTreeSet<&str>, at: Span, sink: &mut Sink) {
    if services.contains(name) {
        return;
    }
    // Comparing with every name costs; with so many faults it is another one that has to be found.
    let near = if sink.len() < 100 { nearest(name, services.iter().copied()) } else { None };
    let hint = match near {
        Some(near) => format!("did you mean {}?", quoted(near)),
        None if services.is_empty() => "there is no [[service]] yet".into(),
        None => format!("add a [[service]] with name = {}", quoted(name)),
    };
    sink.missing(at, format!("there is no service {}", quoted(name)), hint);
}

fn unique(root: &Tab, kind: &str, lines: &Lines<'_>, sink: &mut Sink) {
    let mut first: BTreeMap<&str, Span> = BTreeMap::new();
    for tab in root.tabs(kind) {
        let Some(name) = tab.text("name") else { continue };
        let at = tab.at("name");
        match first.get(name) {
            Some(earlier) => {
                let line = lines.position(earlier.start).0;
                sink.fault(at, format!("a second {kind} {}, the first is in line {line}", quoted(name)), "rename one");
            }
            None => {
                first.insert(name, at);
            }
        }
    }
}

/// Every dependency cycle once, printed as it goes round. Without recursion: a chain may be as long as the file.
fn cycles(root: &Tab, sink: &mut Sink) {
    let mut edges: BTreeMap<&str, Vec<(&str, Span)>> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for tab in root.tabs("service") {
        let Some(name) = tab.text("name") else { continue };
        let to = tab.list("depends_on").iter().filter_map(|i| Some((i.text()?, i.span.clone())));
        let to: Vec<_> = to.filter(|(t, _)| *t != name).collect();
        // Of two services of one name the first counts; the second is a fault already.
        if !edges.contains_key(name) {
            order.push(name);
            edges.insert(name, to);
        }
    }
    let mut left: BTreeSet<&str> = order.iter().copied().collect();
    loop {
        peel(&mut left, &edges);
        let Some(start) = order.iter().copied().find(|n| left.contains(n)) else { return };
        // Everything left has a dependency that is left, so following them must come back.
        let mut path: Vec<(&str, Span)> = Vec::new();
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let mut here = start;
        let from = loop {
            if let Some(at) = seen.get(here) {
                break *at;
            }
            seen.insert(here, path.len());
            let next = edges.get(here).and_then(|to| to.iter().find(|(t, _)| left.contains(t)));
            let Some((to, span)) = next else { return };
            path.push((here, span.clone()));
            here = to;
        };
        let round = path.get(from..).unwrap_or_default();
        let mut names: Vec<String> = round.iter().map(|(n, _)| crate::text::clean(n).into_owned()).collect();
        names.push(crate::text::clean(here).into_owned());
        if let Some((_, at)) = round.first() {
            let message = format!("dependency cycle: {}", names.join(" → "));
            sink.fault(at.clone(), message, "something must be able to start first: remove one of these");
        }
        for (name, _) in round {
            left.remove(name);
        }
    }
}

/// Removes, again and again, what depends on nothing that is left.
fn peel<'a>(left: &mut BTreeSet<&'a str>, edges: &BTreeMap<&'a str, Vec<(&'a str, Span)>>) {
    let mut needed_by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    for name in left.iter() {
        let to: BTreeSet<&str> =
            edges.get(name).into_iter().flatten().map(|(t, _)| *t).filter(|t| left.contains(t)).collect();
        open.insert(name, to.len());
        for t in to {
            needed_by.entry(t).or_default().push(name);
        }
    }
    let mut free: Vec<&str> = open.iter().filter(|(_, n)| **n == 0).map(|(name, _)| *name).collect();
    while let Some(name) = free.pop() {
        left.remove(name);
        for by in needed_by.get(name).into_iter().flatten() {
            if let Some(n) = open.get_mut(by) {
                *n -= 1;
                if *n == 0 {
                    free.push(by);
                }
            }
        }
    }
}
