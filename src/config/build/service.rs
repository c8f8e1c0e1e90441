//! Services and how they are controlled.

use std::collections::{BTreeMap, BTreeSet};

use super::checks::{self, Defaults};
use super::{argv, secrets};
use crate::config::keys;
use crate::config::read::{Sink, Tab};
use crate::config::types::{Check, CommandControl, Control, Service};

pub fn service(tab: &Tab, defaults: &Defaults, sink: &mut Sink) -> Service {
    Service {
        name: tab.string("name").unwrap_or_default(),
        tier: tab.int("tier").unwrap_or(3),
        rto: tab.duration("rto"),
        impact: tab.string("impact").unwrap_or_default(),
        depends_on: tab.texts("depends_on"),
        labels: tab.texts("labels"),
        control: tab.tab("control").and_then(|t| control(t, sink)),
        checks: all_checks(tab, defaults, sink),
    }
}

/// The checks of every kind in the order of the file, each with a name of its own.
fn all_checks(tab: &Tab, defaults: &Defaults, sink: &mut Sink) -> Vec<Check> {
    let mut found: Vec<(&'static str, &Tab)> = Vec::new();
    for key in keys::CHECKS {
        found.extend(tab.tabs(key.name).map(|t| (key.name, t)));
    }
    found.sort_by_key(|(_, t)| t.span.start);
    let mut out: Vec<Check> = Vec::new();
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
    for (kind, check) in found {
        // A DNS check's `name` is what it asks for.
        let chosen = if kind == "dns" { None } else { check.string("name") };
        if chosen.as_ref().is_some_and(|name| names.contains(name)) {
            let name = crate::config::value::quoted(chosen.as_deref().unwrap_or_default());
            let message = format!("two checks of this service are named {name}");
            sink.fault(check.at("name"), message, "give each its own name");
        }
        let name = chosen.unwrap_or_else(|| {
            let number = numbers.entry(kind).or_insert(0);
            loop {
                *number += 1;
                let name = if *number == 1 { kind.to_owned() } else { format!("{kind} {number}") };
                if !names.contains(&name) {
                    break name;
                }
            }
        });
        names.insert(name.clone());
        let timing = defaults.timing(check, sink);
        let kind = checks::kind(kind, check, Some(timing.timeout), defaults, sink);
        if let Some(kind) = kind {
            out.push(Check { name, kind, timing });
        }
    }
    out
}

fn control(tab: &Tab, sink: &mut Sink) -> Option<Control> {
    if let Some(unit) = tab.string("systemd") {
        return Some(Control::Systemd { unit, user: tab.flag("user") });
    }
    if let Some(container) = tab.string("docker") {
        return Some(Control::Docker { container });
    }
    if let Some(t) = tab.tab("compose") {
        return Some(Control::Compose {
            project_dir: t.path("project_dir"),
            file: t.path("file"),
            service: t.string("service")?,
        });
    }
    if let Some(t) = tab.tab("kubernetes") {
        return Some(Control::Kubernetes {
            namespace: t.string("namespace"),
            context: t.string("context"),
            workload: t.string("workload")?,
        });
    }
    if let Some(t) = tab.tab("railway") {
        return Some(Control::Railway {
            service: t.string("service")?,
            environment: t.string("environment"),
            project_dir: t.path("project_dir"),
        });
    }
    let mut command = |key: &str| Some(argv(tab, key, sink)).filter(|a| !a.is_empty());
    Some(Control::Commands(CommandControl {
        restart: command("restart"),
        stop: command("stop"),
        start: command("start"),
        redeploy: command("redeploy"),
        scale: command("scale"),
        promote: command("promote"),
        logs: command("logs"),
        cwd: tab.path("cwd"),
        env: secrets(tab, "env"),
        timeout: tab.duration("timeout"),
    }))
}
