//! The capsule: how it stands, in words that can be read aloud.

use serde::{Deserialize, Serialize};

use crate::domain::backup::BackupState;
use crate::domain::escalation::Reached;
use crate::domain::health::Health;
use crate::domain::hypothesis::{Hypothesis, Standing};
use crate::domain::incident::Incident;
use crate::domain::message::{Delivery, Message, Template};
use crate::domain::run::{RunState, SideRole, Verdict};
use crate::text;

use super::facts::{Facts, RunFacts};

/// A capsule has at most so many lines.
pub const LINES: usize = 24;
/// Of these the first ones are in view on the smallest terminal: what is due, what runs and what must not be touched has
/// its place there, however much is down.
const IN_VIEW: usize = 17;
/// What is down is told in so many lines; which ones, the services' pane says.
const DOWN: usize = 4;
/// Services that are named before they are only counted.
const NAMED: usize = 6;
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

/// How the incident stands: only sections that have something to say, and never more than [`LINES`] lines in all.
pub fn capsule(facts: &Facts<'_>) -> Vec<Section> {
    let incident = facts.incident;
    let first = [
        section("what", what(facts)),
        section("lead", lead(incident)),
        section("due", due(facts)),
        section("down", down(facts)),
        section("running", running(facts)),
        section("hands off", guarded(facts)),
    ];
    let rest = [
        section("ready", ready(facts)),
        section("tried", tried(facts)),
        section("cause", hypotheses(facts, Standing::Confirmed)),
        section("open", hypotheses(facts, Standing::Open)),
        section("ruled out", hypotheses(facts, Standing::Eliminated)),
        section("backups", backups(facts)),
        section("called", called(facts)),
        section("told", told(facts)),
    ];
    let mut sections: Vec<Shortened> = first.into_iter().filter_map(Shortened::of).collect();
    for down in sections.iter_mut().filter(|s| s.section.title == "down") {
        while down.rows() > DOWN {
            down.shorten();
        }
    }
    shorten(&mut sections, IN_VIEW);
    sections.extend(rest.into_iter().filter_map(Shortened::of));
    shorten(&mut sections, LINES);
    sections.into_iter().map(Shortened::with_count).collect()
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

/// A section of which the last items may have been left out.
struct Shortened {
    section: Section,
    left_out: usize,
}

impl Shortened {
    /// Nothing where there is nothing to say.
    fn of(section: Section) -> Option<Shortened> {
        (!section.items.is_empty()).then_some(Shortened { section, left_out: 0 })
    }

    fn rows(&self) -> usize {
        self.section.items.len() + usize::from(self.left_out > 0)
    }

    fn shorten(&mut self) {
        if self.section.items.pop().is_some() {
            self.left_out += 1;
        }
    }

    fn with_count(mut self) -> Section {
        if self.left_out > 0 {
            self.section.items.push(format!("… and {} more", self.left_out));
        }
        self.section
    }
}

/// Cuts the longest sections until all fits into `lines`; the first item of each stays.
fn shorten(sections: &mut [Shortened], lines: usize) {
    while sections.iter().map(Shortened::rows).sum::<usize>() > lines {
        let Some(longest) = sections.iter_mut().max_by_key(|s| s.section.items.len()) else { return };
        if longest.section.items.len() <= 1 {
            return;
        }
        longest.shorten();
    }
}

fn what(facts: &Facts<'_>) -> Vec<String> {
    let incident = facts.incident;
    let mut out = vec![format!(
        "{} {} \"{}\", {}, T+{}",
        incident.id,
        incident.severity,
        incident.title,
        incident.status.word(),
        text::clock(facts.elapsed)
    )];
    let onset = match incident.onset {
        Some(onset) if onset.date() == facts.now.date() => format!("began {}Z", onset.hms()),
        Some(onset) => format!("began {} {}Z", onset.date(), onset.hms()),
        None => "when it began is not known".into(),
    };
    let services: Vec<&str> = incident.services.iter().map(String::as_str).collect();
    let affects = match services.len() {
        0 => "no service is named".to_owned(),
        n if n > NAMED => format!("affects {n} services"),
        _ => format!("affects {}", services.join(", ")),
    };
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

/// What is down, the worst tier first, and in it what is down by itself before what is down because of it. The state comes
/// before the name: a long name is cut, and not what is said of it.
fn down(facts: &Facts<'_>) -> Vec<String> {
    let now = facts.now;
    let mut found = Vec::new();
    for s in &facts.services {
        let (name, named) = (s.name, facts.incident.services.contains(s.name));
        let (weight, said) = match s.state {
            Health::Down => {
                let lasted = now.since(s.down_since.unwrap_or(s.since));
                let cause = s.because.map(|b| format!(" because of {b}")).unwrap_or_default();
                let rto = match s.rto_ms.map(std::time::Duration::from_millis) {
                    Some(rto) if lasted > rto => {
                        format!(", RTO OVER by {}", text::duration(lasted.saturating_sub(rto)))
                    }
                    Some(rto) => format!(", RTO left {}", text::duration(rto.saturating_sub(lasted))),
                    None => String::new(),
                };
                (0, format!("DOWN {} {name}{rto}{cause}: {}", text::duration(lasted), s.detail))
            }
            Health::Degraded => (1, format!("degraded {} {name}: {}", text::duration(now.since(s.since)), s.detail)),
            Health::Unknown if named || s.down_since.is_some() => (2, format!("UNKNOWN {name}: {}", s.detail)),
            Health::Paused if named => (3, format!("paused {name}: {}", s.detail)),
            _ => continue,
        };
        found.push((weight, s.tier, s.because.is_some(), s.since, said));
    }
    found.sort();
    if found.is_empty() {
        return vec!["nothing that is checked is down now".into()];
    }
    found.into_iter().map(|(.., said)| said).collect()
}

fn running(facts: &Facts<'_>) -> Vec<String> {
    let of_run = |r: &RunFacts<'_>| {
        let phase = r.phase.map(|p| format!(", {p}")).unwrap_or_default();
        let at = r.requested_at.hms();
        format!("{} (run {}) {}{phase}, by {} at {at}Z", r.title, r.id, r.state.word(), r.requested_by)
    };
    let mut out: Vec<String> = facts.runs.iter().filter(|r| !r.state.is_over()).map(of_run).collect();
    let incident = &facts.incident.id;
    if let Some(recovery) = facts.recovery
        && recovery.incident.as_ref().is_none_or(|i| i == incident)
    {
        out.push(format!("recovery {} {} at {}", recovery.plan.name, recovery.state.word(), recovery.place()));
    }
    let plays = facts.playbooks.iter().filter(|p| p.state.is_open() && p.incident.as_ref() == Some(incident));
    out.extend(plays.map(|p| {
        let failed = match p.failed() {
            0 => String::new(),
            n => format!(", {} FAILED", text::plural(n, "step")),
        };
        format!("playbook {} {} at {}{failed}", p.text.name, p.state.word(), p.place())
    }));
    out.extend(facts.approvals.iter().filter(|a| a.state.is_open()).map(|a| {
        format!("{} waits for a second person: asked by {} at {}Z", a.title, a.by.user, a.requested_at.hms())
    }));
    out
}

/// What must not be touched, by whom and why.
fn guarded(facts: &Facts<'_>) -> Vec<String> {
    let mut out = Vec::new();
    let guards = facts.guards;
    if let Some(hold) = &guards.all {
        out.push(format!("EVERYTHING is held by {} since {}Z: {}", hold.by, hold.since.hms(), hold.reason));
    }
    for (service, hold) in &guards.holds {
        out.push(format!("{service} is HELD by {} since {}Z: {}", hold.by, hold.since.hms(), hold.reason));
    }
    for (service, tag) in &guards.tags {
        out.push(format!("{service} tagged by {} since {}Z: {}", tag.by.user, tag.since.hms(), tag.reason));
    }
    out
}

/// Levels that were called, and calls by telephone.
fn called(facts: &Facts<'_>) -> Vec<String> {
    let incident = facts.incident;
    let escalation = &incident.clock.escalation;
    let mut out: Vec<String> = Vec::new();
    if escalation.ended.is_some() && incident.acknowledged_at.is_none() {
        out.push("every level was called and NOBODY ACKNOWLEDGED".to_owned());
    }
    if let Some(last) = escalation.called.last() {
        let message = facts.messages.iter().find(|m| m.id == last.message).copied();
        let reached = Reached::of(last, message).said();
        out.push(format!("level {} ({}), {reached}: {}", last.level, last.name, last.contacts.join(", ")));
    }
    out
}

fn ready(facts: &Facts<'_>) -> Vec<String> {
    let (mut out, now) = (Vec::new(), facts.now);
    for run in &facts.runs {
        for side in run.sides.iter().filter(|s| s.role == SideRole::Ready) {
            let age = text::duration(now.since(side.created_at));
            let (only, is) = match side.only() {
                Some(only) => (format!(" ({only})"), "ready to be put into"),
                None => (String::new(), "ready to cut over to"),
            };
            let lost = run.data_as_of.filter(|_| only.is_empty());
            let lost = lost.map(|at| format!(", loses {}", text::duration(now.since(at)))).unwrap_or_default();
            out.push(format!(
                "{} {}{only} is {is} {}, {age} old{lost} (run {}{})",
                side.kind,
                side.name,
                side.live,
                run.id,
                if run.head_start { ", a head start" } else { "" }
            ));
        }
    }
    out
}

fn tried(facts: &Facts<'_>) -> Vec<String> {
    let own = |r: &&RunFacts<'_>| r.state.is_over() && facts.incident.is_or_absorbed(r.incident);
    let mut ended: Vec<&RunFacts<'_>> = facts.runs.iter().filter(own).collect();
    ended.reverse();
    // What is contradicted stands first: it looks done and is not.
    ended.sort_by_key(|r| !r.contradicted);
    let said = |r: &RunFacts<'_>| {
        let at = r.finished_at.unwrap_or(r.requested_at).hms();
        let verdict = match r.verdict {
            Some(Verdict::Contradicted) => " CONTRADICTED".to_owned(),
            Some(v) if r.state == RunState::Succeeded => format!(" {}", v.word()),
            _ => String::new(),
        };
        let detail = if r.detail.is_empty() { String::new() } else { format!(": {}", r.detail) };
        format!("{at}Z {} {}{verdict}{detail}", r.title, r.state.word())
    };
    ended.into_iter().map(said).collect()
}

fn hypotheses(facts: &Facts<'_>, standing: Standing) -> Vec<String> {
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
    let mut out = wanted(facts.incident, None);
    // What was found or ruled out in an incident that was merged into it holds here too.
    for absorbed in facts.absorbed.iter().filter(|i| !i.status.is_open()) {
        out.extend(wanted(absorbed, Some(&absorbed.id)));
    }
    out
}

fn backups(facts: &Facts<'_>) -> Vec<String> {
    let bad = facts.backups.iter().filter(|b| !matches!(b.state, BackupState::Fresh));
    bad.map(|b| format!("{} {}: {}", b.name, b.state.word(), b.detail)).collect()
}

fn due(facts: &Facts<'_>) -> Vec<String> {
    let (mut out, now) = (Vec::new(), facts.now);
    if facts.incident.acknowledged_at.is_none() {
        out.push("somebody acknowledges it: a".to_owned());
    }
    if let Some(at) = facts.update_due {
        out.push(if at > now {
            format!("update to the outside at {}Z, in {}", at.hm(), text::duration(at.since(now)))
        } else {
            format!("update to the outside is OVERDUE since {}Z", at.hm())
        });
    }
    out
}

/// What was sent, newest first. What each channel said comes before the subject: a long one is cut, and not whether
/// anybody has it.
fn told(facts: &Facts<'_>) -> Vec<String> {
    let own = |m: &&&Message| m.incident.as_ref() == Some(&facts.incident.id) && m.template != Template::Test;
    let said = |m: &&Message| {
        let mut channels: Vec<_> = m.channels.iter().collect();
        channels.sort_by_key(|(_, d)| d.state == Delivery::Accepted);
        let by: Vec<String> = channels
            .into_iter()
            .map(|(name, d)| match d.state {
                Delivery::Accepted => format!("{name} accepted"),
                other => format!("{name} {}", other.word().to_uppercase()),
            })
            .collect();
        format!("{}Z {}; {} by {}: {}", m.queued_at.hms(), by.join(", "), m.template.word(), m.by, m.subject)
    };
    let out: Vec<String> = facts.messages.iter().rev().filter(own).map(said).collect();
    if out.is_empty() { vec!["nobody outside was told yet".into()] } else { out }
}
