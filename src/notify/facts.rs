//! What a message may say of an incident, as text ready to be printed. What is not known is absent.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::template;
use crate::domain::health::Health;
use crate::domain::incident::Incident;
use crate::domain::run::{Run, RunState, Verdict};
use crate::domain::state::State;
use crate::domain::timeline::{Level, Row};
use crate::domain::{Time, cadence, escalation, phases};
use crate::text::{clean, duration, money};

/// Lines of what happened that a message lists; older ones are counted.
const HAPPENED: usize = 15;
/// Actions that a message lists; older ones are counted.
const RUNS: usize = 10;

/// The facts of an incident at one moment. Field names are what templates use.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Facts {
    pub system: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub environment: String,
    /// `INC-2026-004`; empty for a test message outside of an incident.
    pub incident: String,
    /// `P0`.
    pub severity: String,
    pub title: String,
    /// `investigating`.
    pub status: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceFact>,
    /// Onset: when the trouble began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared_by: Option<String>,
    /// Since the declaration: `12m43s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commander: Option<String>,
    /// Impact sentences of the affected services, once each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub impact: Vec<String>,
    /// The number that the next update gets, from 1.
    pub update_number: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_update: Option<String>,
    /// One line per thing that happened since the last message.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub happened: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunFact>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<String>,
    /// From the declaration to the resolution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_time: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub downtime: Vec<DowntimeFact>,
    /// Affected services that are not up, for a resolution that was forced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub still_down: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// The step that comes next by plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
    /// What is overdue.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overdue: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged_by: Option<String>,
    /// What is said on the phone.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub say: String,
    /// The level that is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<LevelFact>,
    /// First 8 hex digits of the journal's head. Every message ends with it whatever the template says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal_head: Option<String>,
}

/// An affected service.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ServiceFact {
    pub name: String,
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub impact: String,
}

/// An action that belongs to the incident.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunFact {
    pub title: String,
    /// `running`, `succeeded, verified`, `failed: …`.
    pub outcome: String,
}

/// Downtime of one service.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DowntimeFact {
    pub service: String,
    /// `12m43s`.
    pub down: String,
    /// `RTO 10m missed by 2m43s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
}

/// A level of the escalation.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LevelFact {
    pub number: u32,
    pub name: String,
    /// `no acknowledgement after 5m`.
    pub why: String,
}

/// What the fold does not hold but the engine knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// First 8 hex digits of the journal's head.
    pub head: String,
    /// Rows since the last message, oldest first; those only for the record are passed over.
    pub happened: Vec<Row>,
    /// How long each service was down during the incident, by its probes; a service of which that is not known is absent.
    pub downtime: BTreeMap<String, Duration>,
    /// What the downtime has cost so far, in whole units of the configured currency.
    pub cost: Option<f64>,
    /// The level that is called by the message.
    pub level: Option<LevelFact>,
}

/// The facts of `incident` as they are `now`. Everything in them is harmless text.
pub fn facts(state: &State, incident: &Incident, live: &Live, now: Time) -> Facts {
    let say = |text: &str| clean(text).into_owned();
    let services = incident.services.iter().map(|name| service(state, name, now)).collect::<Vec<_>>();
    let mut impact: Vec<String> = services.iter().map(|s| s.impact.clone()).filter(|i| !i.is_empty()).collect();
    impact.dedup();
    let end = incident.resolved_at.filter(|_| !incident.status.is_open());
    let not_up =
        |name: &&String| state.services.get(*name).is_some_and(|s| matches!(s.state, Health::Down | Health::Degraded));
    Facts {
        system: say(&state.catalog.system),
        environment: say(&state.catalog.environment),
        incident: say(&incident.id),
        severity: incident.severity.name().to_owned(),
        title: say(&incident.title),
        status: incident.status.word().to_owned(),
        services,
        detected: incident.onset.map(|t| moment(t, now)),
        declared: Some(moment(incident.declared_at, now)),
        declared_by: Some(say(&incident.declared_by)).filter(|u| !u.is_empty()),
        elapsed: Some(duration(end.unwrap_or(now).since(incident.declared_at))),
        commander: incident.commander().map(say),
        impact,
        update_number: incident.updates + 1,
        next_update: next_update(state, incident, now).map(|due| moment(due, now)),
        happened: happened(&live.happened, now),
        runs: runs(state, incident),
        resolved: end.map(|t| moment(t, now)),
        total_time: end.map(|t| duration(t.since(incident.declared_at))),
        downtime: live.downtime.iter().map(|(name, down)| downtime(state, name, *down)).collect(),
        still_down: incident.services.iter().filter(not_up).map(|s| say(s)).collect(),
        cost: live.cost.and_then(|amount| state.catalog.cost.as_ref().map(|c| money(amount, &say(&c.currency)))),
        next_step: cadence::next_step(state, incident).map(|s| say(&s)),
        overdue: overdue(state, incident, now),
        acknowledged_by: incident.acknowledged_by.as_deref().map(say),
        say: escalation::sentence(state, incident),
        level: live.level.clone(),
        journal_head: Some(say(&live.head)).filter(|h| !h.is_empty()),
    }
}

/// When the update after this message is due: counted from it, because it will be the last one that was accepted.
fn next_update(state: &State, incident: &Incident, now: Time) -> Option<Time> {
    let every = state.catalog.severities.get(&incident.severity)?.update_every_ms?;
    incident.status.is_open().then(|| now.plus(Duration::from_millis(every)))
}

/// Services over their recovery time objective, and the phase that is late.
fn overdue(state: &State, incident: &Incident, now: Time) -> Vec<String> {
    let mut out = Vec::new();
    for name in &incident.services {
        let rto = state.catalog.services.get(name).and_then(|f| f.rto_ms).map(Duration::from_millis);
        let down = state.services.get(name).and_then(|s| s.down_since).map(|at| now.since(at));
        if let (Some(rto), Some(down)) = (rto, down)
            && down > rto
        {
            out.push(format!("{}: RTO {} over by {}", clean(name), duration(rto), duration(down - rto)));
        }
    }
    let rows = phases::rows(&incident.clock, &state.catalog.severities, incident.severity);
    let t_ms = i64::try_from(state.elapsed(incident, now).as_millis()).unwrap_or(i64::MAX);
    if let Some(row) = phases::current(&rows).filter(|_| incident.status.is_open())
        && let Some(late) = row.late_ms(t_ms).and_then(|ms| u64::try_from(ms).ok()).filter(|ms| *ms > 0)
    {
        out.push(format!("{} is {} late", row.phase.title(), duration(Duration::from_millis(late))));
    }
    out
}

/// The facts of a message that only proves that a channel works.
pub fn test_facts(state: &State, live: &Live) -> Facts {
    Facts {
        system: clean(&state.catalog.system).into_owned(),
        environment: clean(&state.catalog.environment).into_owned(),
        journal_head: Some(clean(&live.head).into_owned()).filter(|h| !h.is_empty()),
        ..Facts::default()
    }
}

/// `02:14:07 UTC`, with the date in front when it is not today's.
fn moment(t: Time, now: Time) -> String {
    if t.date() == now.date() { format!("{} UTC", t.hms()) } else { format!("{} {} UTC", t.date(), t.hms()) }
}

fn service(state: &State, name: &str, now: Time) -> ServiceFact {
    let record = state.services.get(name);
    let facts = state.catalog.services.get(name);
    let since = record.filter(|r| r.state != Health::Unknown).map(|r| match r.state {
        Health::Down => r.down_since.unwrap_or(r.since),
        _ => r.since,
    });
    ServiceFact {
        name: clean(name).into_owned(),
        state: record.map_or(Health::Unknown, |r| r.state).word().to_owned(),
        since: since.map(|t| moment(t, now)),
        because: record.and_then(|r| r.because.as_deref()).map(|b| clean(b).into_owned()),
        // What a service does for people matters while it does not do it.
        impact: facts
            .filter(|_| record.is_none_or(|r| r.state != Health::Up))
            .map(|f| clean(&f.impact).into_owned())
            .unwrap_or_default(),
    }
}

fn happened(rows: &[Row], now: Time) -> Vec<String> {
    let told: Vec<&Row> = rows.iter().filter(|r| r.level != Level::Detail).collect();
    let skipped = told.len().saturating_sub(HAPPENED);
    let mut lines = Vec::new();
    if skipped > 0 {
        lines.push(format!("…({skipped} earlier entries)…"));
    }
    for row in told.into_iter().skip(skipped) {
        let by = if row.actor == "engine" { String::new() } else { format!(" {}:", clean(&row.actor)) };
        lines.push(format!("{}{by} {}", moment(row.happened_at.unwrap_or(row.at), now), clean(&row.text)));
    }
    lines
}

fn runs(state: &State, incident: &Incident) -> Vec<RunFact> {
    let own: Vec<&Run> =
        state.runs_in_order().filter(|r| r.incident.as_deref() == Some(incident.id.as_str())).collect();
    own.iter().skip(own.len().saturating_sub(RUNS)).map(|r| run(r)).collect()
}

fn run(run: &Run) -> RunFact {
    let mut outcome = run.state.word().to_owned();
    match (run.state, run.verdict) {
        (RunState::Running, _) => {
            if let Some(phase) = run.plan.phases.get(run.phase) {
                outcome = format!("running, step {} of {} ({})", run.phase + 1, run.plan.phases.len(), phase.name);
            }
        }
        (state, Some(verdict)) if state.is_over() => {
            outcome = match verdict {
                Verdict::Contradicted => format!("{outcome}, CONTRADICTED"),
                verdict => format!("{outcome}, {}", verdict.word()),
            };
            if (verdict != Verdict::Verified || state != RunState::Succeeded) && !run.detail.is_empty() {
                outcome = format!("{outcome}: {}", run.detail);
            }
        }
        _ => {}
    }
    RunFact { title: clean(&run.plan.title).into_owned(), outcome: clean(&outcome).into_owned() }
}

fn downtime(state: &State, name: &str, down: Duration) -> DowntimeFact {
    let rto = state.catalog.services.get(name).and_then(|f| f.rto_ms).map(Duration::from_millis);
    let verdict = rto.map(|rto| {
        if down <= rto {
            format!("RTO {} met", duration(rto))
        } else {
            format!("RTO {} missed by {}", duration(rto), duration(down.saturating_sub(rto)))
        }
    });
    DowntimeFact { service: clean(name).into_owned(), down: duration(down), verdict }
}

impl Facts {
    pub(super) fn value(&self) -> minijinja::Value {
        template::value(serde_json::to_value(self).unwrap_or_default())
    }
}
