//! What is allowed and yet hardly meant: promises that the configuration itself shows cannot be kept, and gaps that are
//! noticed only during an outage. Few, because a list that is always there is not read.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fault::Lines;
use super::read::{Span, Tab, Val};
use super::types::*;
use crate::domain::authority::Level;
use crate::domain::recovery::Does;
use crate::domain::run::Risk;
use crate::text::{Mask, clean, duration, shell_word};

/// Warnings as `file:line: text`, in the order of the file.
/// `found`: what was noticed before.
pub fn lint(root: &Tab, config: &Config, source: &str, mut found: Vec<(Span, String)>) -> Vec<String> {
    let services: BTreeMap<&str, &Service> = config.services.iter().map(|s| (s.name.as_str(), s)).collect();
    for (tab, service) in root.tabs("service").zip(&config.services) {
        of_service(tab, service, &services, config.system.availability_target, &mut found);
    }
    for (tab, backup) in root.tabs("backup").zip(&config.backups) {
        of_backup(tab, backup, &mut found);
    }
    for (tab, action) in root.tabs("action").zip(&config.actions) {
        open_secret(&action.run, tab.at("run"), &mut found);
    }
    for (tab, recovery) in root.tabs("recovery").zip(&config.recoveries) {
        of_recovery(tab, recovery, config, &mut found);
    }
    if !config.authority.severities.is_empty() && config.authority.base() == Level::Full {
        let text = "everybody may everything, also without an incident, so `authority` of a severity changes nothing yet: \
                    give another severity less, or set `everybody` of [authority]";
        let said = root.tab("severity").into_iter().flat_map(tabs_in).find(|t| t.has("authority"));
        found.push((said.map_or(0..0, |t| t.at_key("authority")), text.to_owned()));
    }
    if config.engine.group.is_none() && asks_two(config) {
        let text = "a second person is asked for, and without [engine] group only root is another user of this engine: \
                    the rest is broken glass";
        let key = |tab: &Tab| tab.has("second_person").then(|| tab.at_key("second_person"));
        let said = root.tab("authority").into_iter().chain(root.tabs("action")).chain(root.tabs("backup"));
        let at = said.chain(root.tab("severity").into_iter().flat_map(tabs_in)).find_map(key);
        found.push((at.unwrap_or(0..0), text.to_owned()));
    }
    for (tab, channel) in root.tabs("channel").zip(&config.channels) {
        if let ChannelKind::Email(mail) = &channel.kind
            && mail.tls == MailTls::None
            && mail.password.is_some()
            && !is_loopback(&mail.host)
        {
            let text = format!("the password for {} crosses the network in the open: set tls", clean(&mail.host));
            found.push((tab.at("email"), text));
        }
    }
    for (tab, contact) in root.tabs("contact").zip(&config.contacts) {
        if contact.phone.is_empty() && contact.channels.is_empty() && contact.address.is_empty() {
            let text = format!("{} can be reached by nothing: give it a phone", clean(&contact.name));
            found.push((tab.at("name"), text));
        }
    }
    found.sort_by_key(|(span, _)| span.start);
    let lines = Lines::new(source);
    let file = config.source.to_string_lossy();
    found.into_iter().map(|(span, text)| format!("{}:{}: {text}", clean(&file), lines.position(span.start).0)).collect()
}

fn asks_two(config: &Config) -> bool {
    let a = &config.authority;
    let none = a.second_person_severities.is_empty()
        && a.second_person_actions.is_empty()
        && a.second_person_backups.is_empty();
    a.second_person || !none
}

/// The tables of the severities.
fn tabs_in(tab: &Tab) -> Vec<&Tab> {
    tab.entries()
        .into_iter()
        .filter_map(|(_, item)| match &item.val {
            Val::Tab(tab) => Some(tab),
            _ => None,
        })
        .collect()
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn of_service(
    tab: &Tab,
    s: &Service,
    services: &BTreeMap<&str, &Service>,
    target: Option<f64>,
    found: &mut Vec<(Span, String)>,
) {
    let name = clean(&s.name);
    let at = || tab.at("name");
    if s.checks.is_empty() {
        found.push((at(), format!("{name} has no check: its state stays unknown")));
    }
    if s.tier == 1 && s.rto.is_none() {
        found.push((at(), format!("{name} is tier 1 and has no rto: nothing says how long it may be down")));
    }
    if s.tier == 1 && s.control.is_none() {
        found.push((at(), format!("{name} is tier 1 and has no control: it cannot be restarted from here")));
    }
    for item in tab.list("depends_on") {
        let Some(on) = item.text().and_then(|t| services.get(t)) else { continue };
        if on.tier > s.tier {
            let text = format!("{name} is tier {} and depends on {}, tier {}", s.tier, clean(&on.name), on.tier);
            found.push((item.span.clone(), format!("{text}: what it needs is as important as itself")));
        }
        if let (Some(own), Some(other)) = (s.rto, on.rto)
            && other > own
        {
            let text = format!(
                "{name} may be down {}, but depends on {}, which may be down {}",
                duration(own),
                clean(&on.name),
                duration(other)
            );
            found.push((item.span.clone(), text));
        }
    }
    if let Some(rto) = s.rto {
        if let Some(slowest) = s.checks.iter().map(|c| detection(&c.timing)).min()
            && slowest >= rto
        {
            let text =
                format!("noticing that {name} is down may take {}, its rto is {}", duration(slowest), duration(rto));
            found.push((tab.at("rto"), format!("{text}: shorten every, timeout or down_after")));
        }
        if let (1, Some(target)) = (s.tier, target) {
            let month = Duration::from_secs(30 * 86_400);
            let budget = Duration::from_secs_f64(month.as_secs_f64() * (100.0 - target) / 100.0);
            if rto > budget {
                let text = format!(
                    "one outage of {name} as long as its rto of {} breaks the target of {target} %, which leaves {} a month",
                    duration(rto),
                    duration(budget)
                );
                found.push((tab.at("rto"), text));
            }
        }
    }
    for (check, place) in s.checks.iter().filter_map(|c| match &c.kind {
        CheckKind::Exec(e) => Some((e, tab.at("exec"))),
        _ => None,
    }) {
        open_secret(&check.run, place, found);
    }
    if let Some(Control::Commands(c)) = &s.control {
        for argv in [&c.restart, &c.stop, &c.start].into_iter().flatten() {
            open_secret(argv, tab.at("control"), found);
        }
    }
}

/// The longest that a confirmed failure may take to notice: the wait for the next probe, then every retry to its end.
fn detection(t: &Timing) -> Duration {
    t.every + t.timeout + (t.retry_interval + t.timeout) * t.down_after.saturating_sub(1)
}

fn of_backup(tab: &Tab, b: &Backup, found: &mut Vec<(Span, String)>) {
    let name = clean(&b.name);
    match (b.rpo, b.every) {
        (Some(rpo), Some(every)) => {
            let longest = every + b.grace.unwrap_or_default();
            if rpo.is_zero() {
                let text = format!("no schedule of copies keeps {name}'s rpo of 0s: that takes replication");
                found.push((tab.at("rpo"), text));
            } else if longest > rpo && !matches!(b.restore, Some(Restore::PostgresPitr(_))) {
                // Of restores to a moment the log keeps the RPO, and base backups come as often as they do.
                let grace = if b.grace.is_some() { " and grace" } else { "" };
                let (rpo, longest) = (duration(rpo), duration(longest));
                found.push((
                    tab.at("every"),
                    format!("{name} cannot keep its rpo of {rpo} with every{grace} of {longest}"),
                ));
            }
        }
        (None, None) => {
            found.push((tab.at("name"), format!("{name} has neither rpo nor every: it can never be stale")));
        }
        _ => {}
    }
    if b.restore.is_none() {
        found.push((tab.at("name"), format!("{name} has no restore: its copies cannot be used from here")));
    }
}

/// A step whose effect nothing shows makes the recovery stop and ask a person.
fn of_recovery(tab: &Tab, r: &Recovery, config: &Config, found: &mut Vec<(Span, String)>) {
    for step in &r.steps {
        let Does::Act { action } = &step.does else { continue };
        let Some(action) = config.actions.iter().find(|a| a.name == *action) else { continue };
        let checked = config.services.iter().any(|s| Some(&s.name) == action.service.as_ref() && !s.checks.is_empty());
        if action.verify.is_none() && !checked && action.risk != Risk::Observe {
            let text = format!(
                "nothing shows the effect of {}: recovery {} will stop there and ask a person",
                clean(&action.name),
                clean(&r.name)
            );
            found.push((tab.at("name"), text));
        }
    }
}

/// Arguments can be read by everybody on the host.
fn open_secret(argv: &[String], at: Span, found: &mut Vec<(Span, String)>) {
    let line = argv.iter().map(|a| shell_word(a)).collect::<Vec<_>>().join(" ");
    if matches!(Mask::default().apply(&line), std::borrow::Cow::Owned(_)) {
        let text =
            "an argument looks like a secret, and arguments can be read by everybody on the host: hand it on with env";
        found.push((at, text.into()));
    }
}
