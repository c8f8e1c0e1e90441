//! Recoveries of whole systems, and the order of their steps.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::read::{Sink, Span, Tab};
use crate::config::types::{Config, Recovery};
use crate::config::value::quoted;
use crate::domain::recovery::{Does, Phase, Spec};

pub fn recovery(tab: &Tab, config: &Config, sink: &mut Sink) -> Recovery {
    let mut steps: Vec<(Spec, Span)> = tab.tabs("step").filter_map(|t| Some((step(t)?, t.span.clone()))).collect();
    let services = tab.texts("services");
    if !services.is_empty() {
        order(&services, &mut steps, config, tab, sink);
    }
    let name = tab.string("name").unwrap_or_default();
    Recovery {
        title: tab.string("title").unwrap_or_else(|| name.clone()),
        name,
        kind: tab.string("kind"),
        services,
        steps: steps.into_iter().map(|(spec, _)| spec).collect(),
    }
}

/// `None` when a key that it needs is missing, which is a fault already.
fn step(tab: &Tab) -> Option<Spec> {
    let within = tab.duration("within");
    let phase = tab.text("phase").and_then(Phase::parse);
    let verbs = [
        tab.string("restore").map(|backup| Does::Restore { backup }),
        tab.string("restart").map(|service| Does::Restart { service }),
        tab.string("action").map(|action| Does::Act { action }),
        tab.item("healthy").is_some().then(|| Does::Healthy { services: tab.texts("healthy") }),
        tab.string("look").map(|text| Does::Look { text }),
    ];
    let within_ms = u64::try_from(within?.as_millis()).unwrap_or(u64::MAX);
    Some(Spec { phase: phase?, within_ms, does: verbs.into_iter().flatten().next()? })
}

/// Sorts the steps: what concerns no service and assesses, then service by service in the order in which they depend on
/// each other (its restore, its restart and actions, then the wait for it), then what concerns none and validates.
fn order(services: &[String], steps: &mut [(Spec, Span)], config: &Config, tab: &Tab, sink: &mut Sink) {
    let rank = ranks(services, config);
    let mut touched: BTreeSet<String> = BTreeSet::new();
    for (spec, at) in steps.iter() {
        let about = about(&spec.does, config);
        if about.is_empty() && named(&spec.does, config) && !matches!(spec.phase, Phase::Assess | Phase::Validate) {
            let message =
                format!("`services` gives no place to {}: it is about no service", quoted(&spec.does.title()));
            sink.fault(at.clone(), message, "set its phase to assess or validate, or leave `services` out");
        }
        for service in &about {
            if !services.contains(service) {
                let message = format!("this step is about {}, which is not in `services`", quoted(service));
                sink.fault(at.clone(), message, "add it there");
            }
        }
        touched.extend(about);
    }
    for item in tab.list("services") {
        if let Some(name) = item.text()
            && config.services.iter().any(|s| s.name == name)
            && !touched.contains(name)
        {
            sink.fault(item.span.clone(), format!("no step is about {}", quoted(name)), "add one, or remove it");
        }
    }
    steps.sort_by_key(|(spec, _)| {
        let place = about(&spec.does, config).iter().filter_map(|s| rank.get(s.as_str())).max().copied();
        let group = match (place, spec.phase) {
            (None, Phase::Assess) => 0,
            (Some(_), _) => 1,
            (None, _) => 2,
        };
        let verb = match spec.does {
            Does::Restore { .. } => 0,
            Does::Healthy { .. } => 2,
            _ => 1,
        };
        (group, place, verb)
    });
}

/// What it names is configured: another fault says so where it is not.
fn named(does: &Does, config: &Config) -> bool {
    match does {
        Does::Restore { backup } => config.backups.iter().any(|b| b.name == *backup),
        Does::Act { action } => config.actions.iter().any(|a| a.name == *action),
        Does::Look { .. } => true,
        Does::Restart { .. } | Does::Healthy { .. } => false,
    }
}

/// The services that a step is about.
fn about(does: &Does, config: &Config) -> Vec<String> {
    match does {
        Does::Restore { backup } => {
            config.backups.iter().find(|b| b.name == *backup).and_then(|b| b.service.clone()).into_iter().collect()
        }
        Does::Act { action } => {
            config.actions.iter().find(|a| a.name == *action).and_then(|a| a.service.clone()).into_iter().collect()
        }
        Does::Restart { service } => vec![service.clone()],
        Does::Healthy { services } => services.clone(),
        Does::Look { .. } => Vec::new(),
    }
}

/// Place of each service: after all that it depends on, directly or not; else as they are named. A cycle is a fault of its
/// own, and only must not keep this from ending.
fn ranks<'a>(services: &'a [String], config: &'a Config) -> BTreeMap<&'a str, usize> {
    let needs: BTreeMap<&str, &[String]> =
        config.services.iter().map(|s| (s.name.as_str(), s.depends_on.as_slice())).collect();
    let mut below: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for service in services {
        let mut found: BTreeSet<&str> = BTreeSet::new();
        let mut open = vec![service.as_str()];
        while let Some(one) = open.pop() {
            for on in needs.get(one).copied().unwrap_or_default() {
                if found.insert(on) {
                    open.push(on);
                }
            }
        }
        below.insert(service, found);
    }
    let mut left: Vec<&str> = services.iter().map(String::as_str).collect();
    let mut out = BTreeMap::new();
    while !left.is_empty() {
        let free = left.iter().position(|s| {
            let below = below.get(s);
            !left.iter().any(|other| other != s && below.is_some_and(|b| b.contains(other)))
        });
        let service = left.remove(free.unwrap_or(0));
        let next = out.len();
        out.entry(service).or_insert(next);
    }
    out
}
