//! The capsule: how it stands, in words that can be read aloud.

use serde::{Deserialize, Serialize};

use crate::domain::backup::BackupState;
use crate::domain::health::Health;
use crate::domain::hypothesis::{Hypothesis, Standing};
use crate::domain::incident::Incident;
use crate::domain::message::{Delivery, Template};
use crate::domain::run::{Run, SideRole, Verdict};
use crate::domain::state::State;
use crate::domain::time::Time;
use crate::text;

/// A capsule has at most so many lines.
pub const LINES: usize = 24;
/// And a line at most so many columns.
const COLUMNS: usize = 110;

/// One subject of the capsule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// `down`, `running`, `tried`, …
    pub title: String,
    /// Most important first; each fits into one line.
    pub items: Vec<String>,
}

/// How `incident` stands: only sections that have something to say, and never more than [`LINES`] lines in all.
pub fn capsule(state: &State, incident: &Incident, now: Time) -> Vec<Section> {
    let mut sections = vec![
        section("what", what(state, incident, now)),
        section("lead", lead(incident)),
        section("down", down(state, incident, now)),
        section("running", running(state, incident)),
        section("hands off", guarded(state)),
        section("ready", ready(state, now)),
        section("tried", tried(state, incident)),
        section("cause", hypotheses(state, incident, Standing::Confirmed)),
        section("open", hypotheses(state, incident, Standing::Open)),
        section("ruled out", hypotheses(state, incident, Standing::Eliminated)),
        section("backups", backups(state)),
        section("due", due(state, incident, now)),
        section("called", called(incident)),
        section("told", told(state, incident)),
    ];
    sections.retain(|s| !s.items.is_empty());
    shorten(&mut sections);
    sections
}

/// The lines as they are printed: the subject in a column of its own.
pub fn lines(sections: &[Section]) -> Vec<String> {
    let mut out = Vec::new();
    for section in sections {
        for (i, item) in section.items.iter().enumerate() {
            let title = if i == 0 { section.title.as_str() } else { "" };
            out.push(text::width::cut(&format!("{title:<9}  {item}"), COLUMNS));
        }
    }
    out
}

fn section(title: &str, items: Vec<String>) -> Section {
    let items = items.iter().map(|i| text::clean(i).into_owned()).collect();
    Section { title: title.to_owned(), items }
}

/// Cuts the longest sections, each with a count of what was left out, until all fits.
fn shorten(sections: &mut [Section]) {
    let mut left_out = vec![0usize; sections.len()];
    loop {
        let shown: usize = sections.iter().zip(&left_out).map(|(s, cut)| s.items.len() + usize::from(*cut > 0)).sum();
        if shown <= LINES {
            break;
        }
        let Some(longest) = (0..sections.len()).max_by_key(|i| sections.get(*i).map_or(0, |s| s.items.len())) else {
            break;
        };
        let (Some(section), Some(cut)) = (sections.get_mut(longest), left_out.get_mut(longest)) else { break };
        if section.items.len() <= 1 {
            break;
        }
        section.items.pop();
        *cut += 1;
    }
    for (section, cut) in sections.iter_mut().zip(left_out) {
        if cut > 0 {
            section.items.push(format!("… and {cut} more"));
        }
    }
}

fn what(state: &State, incident: &Incident, now: Time) -> Vec<String> {
    let mut out = vec![format!(
        "{} {} \"{}\", {}, T+{}",
        incident.id,
        incident.severity,
        incident.title,
        incident.status.word(),
        text::clock(state.elapsed(incident, now))
    )];
    let onset = match incident.onset {
        Some(onset) => format!("began {}Z", onset.hms()),
        None => "when it began is not known".into(),
    };
    let services: Vec<&str> = incident.services.iter().map(String::as_str).collect();
    let affects =
        if services.is_empty() { "no service is named".into() } else { format!("affects {}", services.join(", ")) };
    out.push(format!("{onset}, declared {}Z by {}; {affects}", incident.declared_at.hms(), incident.declared_by));
    out
}

fn lead(incident: &Incident) -> Vec<String> {
    let mut parts = vec![match incident.commander() {
        Some(user) => format!("{user} leads"),
        None => "NOBODY LEADS".into(),
    }];
    parts.extend(incident.roles.iter().filter(|(r, _)| *r != "commander").map(|(r, u)| format!("{r} {u}")));
    match (incident.acknowledged_at, &incident.acknowledged_by) {
        (Some(at), Some(by)) => parts.push(format!("acknowledged {}Z by {by}", at.hms())),
        _ => parts.push("NOT ACKNOWLEDGED".into()),
    }
    vec![parts.join("; ")]
}

fn down(state: &State, incident: &Incident, now: Time) -> Vec<String> {
    let mut found: Vec<(u8, u8, Time, String)> = Vec::new();
    for (name, record) in &state.services {
        let named = incident.services.contains(name);
        let facts = state.catalog.services.get(name);
        let (weight, said) = match record.state {
            Health::Down => {
                let since = record.down_since.unwrap_or(record.since);
                let lasted = now.since(since);
                let cause = record.because.as_ref().map(|b| format!(" because of {b}")).unwrap_or_default();
                let rto = match facts.and_then(|f| f.rto_ms).map(std::time::Duration::from_millis) {
                    Some(rto) if lasted > rto => {
                        format!(", RTO OVER by {}", text::duration(lasted.saturating_sub(rto)))
                    }
                    Some(rto) => format!(", RTO left {}", text::duration(rto.saturating_sub(lasted))),
                    None => String::new(),
                };
                (0, format!("{name} DOWN {}{cause}{rto}: {}", text::duration(lasted), record.detail))
            }
            Health::Degraded => {
                (1, format!("{name} degraded {}: {}", text::duration(now.since(record.since)), record.detail))
            }
            Health::Unknown if named || record.down_since.is_some() => {
                (2, format!("{name} UNKNOWN: {}", record.detail))
            }
            Health::Paused if named => (3, format!("{name} paused: {}", record.paused_reason)),
            _ => continue,
        };
        // What is down by itself comes before what is down because of it.
        let weight = if record.because.is_some() { weight + 4 } else { weight };
        found.push((weight, facts.map_or(9, |f| f.tier), record.since, said));
    }
    found.sort();
    if found.is_empty() {
        return vec!["nothing that is checked is down now".into()];
    }
    found.into_iter().map(|(.., said)| said).collect()
}

fn running(state: &State, incident: &Incident) -> Vec<String> {
    let mut out: Vec<String> = state
        .runs_in_order()
        .filter(|r| !r.state.is_over())
        .map(|r| {
            let phase = r.plan.phases.get(r.phase).map(|p| format!(", {}", p.name)).unwrap_or_default();
            format!(
                "{} (run {}) {}{phase}, by {} at {}Z",
                r.plan.title,
                r.id(),
                r.state.word(),
                r.requested_by,
                r.requested_at.hms()
            )
        })
        .collect();
    if let Some(recovery) = state.open_recovery()
        && recovery.incident.as_ref().is_none_or(|i| *i == incident.id)
    {
        out.push(format!("recovery {} {} at {}", recovery.plan.name, recovery.state.word(), recovery.place()));
    }
    let plays = state.playbooks_in_order().filter(|p| p.state.is_open() && p.incident.as_ref() == Some(&incident.id));
    out.extend(plays.map(|p| {
        let failed = match p.failed() {
            0 => String::new(),
            n => format!(", {} FAILED", text::plural(n, "step")),
        };
        format!("playbook {} {} at {}{failed}", p.text.name, p.state.word(), p.place())
    }));
    out.extend(state.approvals_in_order().filter(|a| a.state.is_open()).map(|a| {
        format!("{} waits for a second person: asked by {} at {}Z", a.title, a.by.user, a.requested_at.hms())
    }));
    out
}

/// What must not be touched, by whom and why.
fn guarded(state: &State) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(hold) = &state.guards.all {
        out.push(format!("EVERYTHING is held by {} since {}Z: {}", hold.by, hold.since.hms(), hold.reason));
    }
    for (service, hold) in &state.guards.holds {
        out.push(format!("{service} is HELD by {} since {}Z: {}", hold.by, hold.since.hms(), hold.reason));
    }
    for (service, tag) in &state.guards.tags {
        out.push(format!("{service} tagged by {} since {}Z: {}", tag.by.user, tag.since.hms(), tag.reason));
    }
    out
}

/// Levels that were called, and calls by telephone.
fn called(incident: &Incident) -> Vec<String> {
    let escalation = &incident.clock.escalation;
    let mut out: Vec<String> = Vec::new();
    if escalation.ended.is_some() && incident.acknowledged_at.is_none() {
        out.push("every level was called and NOBODY ACKNOWLEDGED".to_owned());
    }
    if let Some(last) = escalation.called.last() {
        out.push(format!("level {} ({}): {}", last.level, last.name, last.contacts.join(", ")));
    }
    out
}

fn ready(state: &State, now: Time) -> Vec<String> {
    let mut out = Vec::new();
    for run in state.runs_in_order() {
        for side in run.sides.iter().filter(|s| s.role == SideRole::Ready) {
            let age = text::duration(now.since(side.created_at));
            let lost = run.plan.data_as_of().map(|at| format!(", loses {}", text::duration(now.since(at))));
            let lost = lost.unwrap_or_default();
            out.push(format!(
                "{} {} is ready to cut over to {}, {age} old{lost} (run {}{})",
                side.kind,
                side.name,
                side.live,
                run.id(),
                if run.head_start { ", a head start" } else { "" }
            ));
        }
    }
    out
}

fn tried(state: &State, incident: &Incident) -> Vec<String> {
    let mut ended: Vec<&Run> =
        state.runs_in_order().filter(|r| r.state.is_over() && incident.is_or_absorbed(r.incident.as_deref())).collect();
    ended.reverse();
    // What is contradicted stands first: it looks done and is not.
    ended.sort_by_key(|r| !r.stands_contradicted());
    ended
        .into_iter()
        .map(|r| {
            let at = r.finished_at.unwrap_or(r.requested_at).hms();
            let verdict = match r.verdict {
                Some(Verdict::Contradicted) => " CONTRADICTED".to_owned(),
                Some(v) if r.state == crate::domain::run::RunState::Succeeded => format!(" {}", v.word()),
                _ => String::new(),
            };
            let detail = if r.detail.is_empty() { String::new() } else { format!(": {}", r.detail) };
            format!("{at}Z {} {}{verdict}{detail}", r.plan.title, r.state.word())
        })
        .collect()
}

fn hypotheses(state: &State, incident: &Incident, standing: Standing) -> Vec<String> {
    let said = |h: &Hypothesis, of: Option<&str>| {
        let balance = h.balance();
        let of = of.map(|of| format!(" of {of}:")).unwrap_or_default();
        let mut out = format!("{}{of} {}", h.id, h.said());
        match standing {
            Standing::Open if balance.is_empty() => {}
            Standing::Open => out.push_str(&format!(" ({balance})")),
            _ => out.push_str(&format!(" — {}", h.reason)),
        }
        out
    };
    let wanted = |i: &'_ Incident, of: Option<&str>| -> Vec<String> {
        i.hypotheses.iter().filter(|h| h.standing == standing).map(|h| said(h, of)).collect()
    };
    let mut out = wanted(incident, None);
    // What was found or ruled out in an incident that was merged into it holds here too.
    for absorbed in incident.clock.absorbed.iter().filter_map(|id| state.incidents.get(id)) {
        if !absorbed.status.is_open() {
            out.extend(wanted(absorbed, Some(&absorbed.id)));
        }
    }
    out
}

fn backups(state: &State) -> Vec<String> {
    let bad = |s: BackupState| !matches!(s, BackupState::Fresh);
    state
        .backups
        .iter()
        .filter(|(_, r)| bad(r.state))
        .map(|(name, r)| format!("{name} {}: {}", r.state.word(), r.detail))
        .collect()
}

fn due(state: &State, incident: &Incident, now: Time) -> Vec<String> {
    let mut out = Vec::new();
    if incident.acknowledged_at.is_none() {
        out.push("somebody acknowledges it: a".to_owned());
    }
    if let Some(at) = state.update_due(incident) {
        out.push(if at > now {
            format!("update to the outside at {}Z, in {}", at.hm(), text::duration(at.since(now)))
        } else {
            format!("update to the outside is OVERDUE since {}Z", at.hm())
        });
    }
    out
}

fn told(state: &State, incident: &Incident) -> Vec<String> {
    let mut messages: Vec<_> = state
        .messages_in_order()
        .filter(|m| m.incident.as_deref() == Some(&incident.id) && m.template != Template::Test)
        .collect();
    messages.reverse();
    if messages.is_empty() {
        return vec!["nobody outside was told yet".into()];
    }
    messages
        .into_iter()
        .map(|m| {
            let by: Vec<String> = m
                .channels
                .iter()
                .map(|(name, d)| match d.state {
                    Delivery::Accepted => format!("{name} accepted"),
                    other => format!("{name} {}", other.word().to_uppercase()),
                })
                .collect();
            format!("{}Z {} by {}: {} ({})", m.queued_at.hms(), m.template.word(), m.by, m.subject, by.join(", "))
        })
        .collect()
}
