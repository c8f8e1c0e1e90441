//! From checked tables to the types that the rest of mayday uses, defaults filled in.
//!
//! Faults here are about values that do not fit together within one table. What concerns several tables (names,
//! cycles) is in `check`. Every key that is declared must be asked for here: a key that nothing reads would be a lie.

mod authority;
mod checks;
mod lead;
mod playbook;
mod recovery;
mod service;
mod stores;
mod whole;

use std::collections::BTreeMap;

use super::read::{Item, Sink, Tab};
use super::secret::MaybeSecret;
use super::types::{Config, EngineSettings, JournalSettings, Maintenance, MaintenanceWhen, MirrorTo, System};
use crate::domain::catalog::Cost;

pub use checks::Defaults;
pub use playbook::checklist;

/// The configuration that a file says, as far as it is right.
pub fn config(root: &Tab, sink: &mut Sink) -> Config {
    let mut out = Config { system: system(root), source: sink.file.clone(), ..Config::default() };
    if let Some(tab) = root.tab("engine") {
        out.engine = EngineSettings {
            state_dir: tab.path("state_dir"),
            group: tab.string("group"),
            output_limit: tab.size("output_limit"),
        };
    }
    if let Some(tab) = root.tab("journal") {
        out.journal = JournalSettings { mirror: mirror(tab), rotate: tab.size("rotate") };
    }
    let defaults = Defaults::read(root.tab("defaults"), &out.system.extra_ca, sink);
    out.services = root.tabs("service").map(|tab| service::service(tab, &defaults, sink)).collect();
    out.backups = root.tabs("backup").map(|tab| recovery::backup(tab, &out, sink)).collect();
    out.actions = root.tabs("action").map(|tab| recovery::action(tab, &defaults, sink)).collect();
    out.recoveries = root.tabs("recovery").map(|tab| whole::recovery(tab, &out, sink)).collect();
    out.checklists = root.tabs("checklist").map(playbook::checklist).collect();
    out.playbook_folder = root.tab("playbooks").and_then(|t| t.path("folder"));
    out.channels = root.tabs("channel").map(|tab| recovery::channel(tab, &out.system.extra_ca, sink)).collect();
    out.maintenance = root.tabs("maintenance").filter_map(maintenance).collect();
    out.contacts = root.tabs("contact").map(lead::contact).collect();
    out.severities = lead::severities(root, sink);
    out.authority = authority::authority(root, sink);
    out.playbooks = playbook::playbooks(root, &out, sink);
    out
}

/// `None` when a key that it needs is missing, which is a fault already.
fn maintenance(tab: &Tab) -> Option<Maintenance> {
    let when = match tab.parsed("starts", crate::domain::Time::parse) {
        Some(at) => MaintenanceWhen::Once(at),
        None => MaintenanceWhen::Every {
            cron: tab.string("every")?,
            zone: tab.parsed("zone", crate::config::maintenance::zone).unwrap_or(chrono_tz::UTC),
        },
    };
    Some(Maintenance {
        name: tab.string("name").unwrap_or_default(),
        services: tab.texts("services"),
        when,
        lasts: tab.duration("lasts")?,
        announce: tab.duration("announce").unwrap_or(std::time::Duration::from_secs(48 * 3600)),
    })
}

fn mirror(tab: &Tab) -> Option<MirrorTo> {
    if let Some(path) = tab.path("mirror") {
        return Some(MirrorTo::File(path));
    }
    let said = tab.tab("mirror")?;
    let argv = said.item("run").and_then(Item::argv).map(MirrorTo::Command);
    said.path("path").map(MirrorTo::File).or(argv)
}

fn system(root: &Tab) -> System {
    let Some(tab) = root.tab("system") else { return System::default() };
    let cost = tab
        .tab("downtime_cost")
        .and_then(|t| Some(Cost { per_hour: t.number("per_hour")?, currency: t.string("currency")? }));
    System {
        name: tab.string("name").unwrap_or_default(),
        // Unsaid means the careful one: dialogs mark production.
        environment: tab.string("environment").unwrap_or_else(|| "production".into()),
        availability_target: tab.number("availability_target"),
        downtime_cost: cost,
        extra_ca: tab.paths("extra_ca"),
    }
}

/// A map of variables or headers.
fn secrets(tab: &Tab, key: &str) -> BTreeMap<String, MaybeSecret> {
    tab.map(key, Item::maybe_secret)
}

/// A program and its arguments; empty when the value was faulty.
fn argv(tab: &Tab, key: &str, sink: &mut Sink) -> Vec<String> {
    let Some(item) = tab.item(key) else { return Vec::new() };
    let argv = item.argv().unwrap_or_default();
    let relative = argv.first().is_some_and(|p| p.contains('/') && !p.starts_with('/'));
    if relative && !tab.has("cwd") {
        sink.fault(
            item.span.clone(),
            format!("`{key}` names its program by a path that depends on the folder it runs in"),
            "write the whole path, or set `cwd`",
        );
    }
    argv
}

/// Those of the table and those of the system, each once.
fn extra_ca(tab: &Tab, system: &[std::path::PathBuf]) -> Vec<std::path::PathBuf> {
    let mut all = tab.paths("extra_ca");
    for path in system {
        if !all.contains(path) {
            all.push(path.clone());
        }
    }
    all
}
