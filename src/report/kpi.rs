//! Figures over incidents: never a bare mean, each with how many incidents it comes from and how many have no such figure.
//!
//! Each incident is measured exactly as its review measures it; here the measures are only put side by side.

use serde::Serialize;

use super::level::Steps;
use super::measure::{Measures, Verdict, measure};
use super::story::Story;
use crate::domain::Time;
use crate::domain::catalog::Severity;
use crate::domain::clock::Ending;
use crate::domain::event::{Entry, Event};
use crate::domain::run::{RunState, Work};
use crate::text;

/// The durations that are compared: name of the measure, what it is called, what it means.
const DURATIONS: &[(&str, &str, &str)] = &[
    ("ttd", "time to detect", "onset to first sign"),
    ("tta", "time to acknowledge", "first sign to acknowledgement"),
    ("ttm", "time to mitigate", "first sign to monitoring"),
    ("ttr", "time to resolve", "first sign to last resolution"),
];

/// How a duration is spread over incidents. Milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub name: String,
    pub label: String,
    pub definition: String,
    /// Incidents that have the figure, and those that have not.
    pub n: usize,
    pub not_recorded: usize,
    /// Absent when no incident has the figure.
    pub median_ms: Option<i64>,
    /// Nearest rank: with fewer than ten incidents it is the largest or nearly so.
    pub p90_ms: Option<i64>,
    pub min_ms: Option<i64>,
    pub max_ms: Option<i64>,
    /// The incidents that it comes from, in order.
    pub incidents: Vec<String>,
}

/// How many of how many.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Share {
    pub name: String,
    pub label: String,
    pub good: usize,
    pub of: usize,
    /// Absent when there was nothing to count.
    pub percent: Option<f64>,
    /// What was not good: `api in INC-2026-004 by 12m`.
    pub missed: Vec<String>,
}

/// All figures over the incidents of a stretch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kpi {
    /// Declared from here on, and before there; absent: as far as the record goes.
    pub since: Option<Time>,
    pub until: Option<Time>,
    /// Those that count: no false alarms, and none that went on in another one.
    pub incidents: Vec<String>,
    /// What was declared in the stretch and was a false alarm, or was merged into another one.
    pub false_alarms: Vec<String>,
    pub merged: Vec<String>,
    /// Those of `incidents` that are still open: they have no time to resolve yet.
    pub open: usize,
    /// By the highest severity that they had.
    pub severities: Vec<(Severity, usize)>,
    pub durations: Vec<Spread>,
    pub shares: Vec<Share>,
}

impl Kpi {
    /// Of all incidents in `entries` (the whole journal, in order) that were declared from `since` on and before `until`;
    /// what nobody has answered yet is held against `now`. Errors: an incident that cannot be read.
    pub fn of(entries: &[Entry], since: Option<Time>, until: Option<Time>, now: Time) -> Result<Kpi, String> {
        let Sorted { false_alarms, merged, measured } = sorted(entries, since, until, now)?;
        let mut durations: Vec<Spread> = DURATIONS
            .iter()
            .map(|(name, label, definition)| {
                let found = measured.iter().map(|one| {
                    let ms = one.durations.iter().find(|(n, _)| n == name).and_then(|(_, ms)| *ms);
                    (one.id.clone(), ms)
                });
                spread(name, label, definition, found.collect())
            })
            .collect();
        durations.push(between(&measured));
        let mut severities: Vec<(Severity, usize)> = Vec::new();
        for severity in Severity::ALL {
            let n = measured.iter().filter(|o| o.severity == Some(severity)).count();
            severities.extend((n > 0).then_some((severity, n)));
        }
        let gather = |pick: fn(&One) -> &Vec<(bool, String)>, name: &str, label: &str| {
            share(name, label, measured.iter().flat_map(|o| pick(o).iter().cloned()).collect())
        };
        let shares = vec![
            gather(|o| &o.rto, "rto", "services back within their RTO"),
            gather(|o| &o.rpo, "rpo", "restores put live within their RPO"),
            gather(|o| &o.responses, "response", "acknowledged within the response time"),
            share("restores", "restores verified", restores(entries, since, until)),
        ];
        let open = measured.iter().filter(|o| o.over.is_none()).count();
        let incidents = measured.into_iter().map(|o| o.id).collect();
        Ok(Kpi { since, until, incidents, false_alarms, merged, open, severities, durations, shares })
    }

    /// `1 false alarm, 2 merged into others: not counted`.
    fn not_counted(&self) -> Option<String> {
        let alarms = text::plural(self.false_alarms.len(), "false alarm");
        let merged = match self.merged.len() {
            1 => "1 merged into another".to_owned(),
            n => format!("{n} merged into others"),
        };
        let parts = [(&self.false_alarms, alarms), (&self.merged, merged)];
        let said: Vec<String> = parts.into_iter().filter(|(ids, _)| !ids.is_empty()).map(|(_, said)| said).collect();
        (!said.is_empty()).then(|| format!("{}: not counted", said.join(", ")))
    }

    /// The figures as lines for people.
    pub fn lines(&self) -> Vec<String> {
        let mut out = Vec::new();
        let said = |at: Option<Time>, none: &str| at.map_or_else(|| none.to_owned(), |t| t.date());
        let by: Vec<String> = self.severities.iter().map(|(s, n)| format!("{n} {s}")).collect();
        let by = if by.is_empty() { String::new() } else { format!(" ({})", by.join(", ")) };
        let open = if self.open > 0 { format!(", {} still open", self.open) } else { String::new() };
        out.push(format!(
            "{}{by}{open}, declared from {} to {}",
            text::plural(self.incidents.len(), "incident"),
            said(self.since, "the beginning of the record"),
            said(self.until, "now")
        ));
        out.extend(self.not_counted());
        if self.incidents.is_empty() {
            return out;
        }
        out.push(String::new());
        out.push(format!("{:<26} {:>3} {:>9} {:>9} {:>9}  {}", "", "n", "median", "p90", "not rec.", "range"));
        for d in &self.durations {
            let ms = |value: Option<i64>| value.map_or_else(|| "–".to_owned(), said_ms);
            let range = match (d.min_ms, d.max_ms) {
                (Some(min), Some(max)) => format!("{} to {}", said_ms(min), said_ms(max)),
                _ => "not recorded".into(),
            };
            out.push(format!(
                "{:<26} {:>3} {:>9} {:>9} {:>9}  {range}",
                d.label,
                d.n,
                ms(d.median_ms),
                ms(d.p90_ms),
                d.not_recorded
            ));
        }
        out.push(String::new());
        for s in &self.shares {
            let share = match s.percent {
                Some(percent) => format!("{} of {} ({percent:.0} %)", s.good, s.of),
                None => "nothing to count".into(),
            };
            out.push(format!("{:<40} {share}", s.label));
            out.extend(s.missed.iter().map(|m| format!("    not: {}", text::clean(m))));
        }
        out
    }
}

/// Incidents of a stretch: those that count, measured, and the others.
struct Sorted {
    false_alarms: Vec<String>,
    merged: Vec<String>,
    measured: Vec<One>,
}

fn sorted(entries: &[Entry], since: Option<Time>, until: Option<Time>, now: Time) -> Result<Sorted, String> {
    let within = |at: Time| since.is_none_or(|s| at >= s) && until.is_none_or(|u| at < u);
    let declared = entries.iter().filter(|e| matches!(e.event, Event::IncidentDeclared(_)) && within(e.at));
    let (mut false_alarms, mut merged, mut measured) = (Vec::new(), Vec::new(), Vec::new());
    for id in declared.filter_map(|e| e.incident.as_deref()) {
        let story = Story::read(entries, id)?;
        match &story.ending {
            Some(Ending::FalseAlarm) => false_alarms.push(id.to_owned()),
            Some(Ending::Merged { .. }) => merged.push(id.to_owned()),
            None => {
                let now = Steps::of(entries, story.declared.seq).level(now, u64::MAX);
                let measures = measure(story.entries, id)?;
                measured.push(One::of(id, &story, &measures, now));
            }
        }
    }
    Ok(Sorted { false_alarms, merged, measured })
}

/// Those that count, measured: see [`Kpi::of`].
pub(super) fn measured(
    entries: &[Entry],
    since: Option<Time>,
    until: Option<Time>,
    now: Time,
) -> Result<Vec<One>, String> {
    Ok(sorted(entries, since, until, now)?.measured)
}

/// One incident, measured.
pub(super) struct One {
    pub id: String,
    severity: Option<Severity>,
    onset: Time,
    /// When it was resolved, or closed without that.
    over: Option<Time>,
    pub durations: Vec<(&'static str, Option<i64>)>,
    rto: Vec<(bool, String)>,
    rpo: Vec<(bool, String)>,
    responses: Vec<(bool, String)>,
}

impl One {
    /// `now` by the clock as it read at the declaration.
    fn of(id: &str, story: &Story<'_>, measures: &Measures, now: Time) -> One {
        let moment = |name: &str| match measures.get(name).map(|m| &m.value) {
            Some(super::Value::At(at)) => Some(*at),
            _ => None,
        };
        let held = |what: &str, verdict: Verdict| match verdict {
            Verdict::Met { .. } => Some((true, String::new())),
            Verdict::Missed { by_ms, .. } => Some((false, format!("{what} in {id}, by {}", said_ms(by_ms)))),
            Verdict::None | Verdict::Undecided { .. } | Verdict::NotLive => None,
        };
        let rpo = measures.all.iter().filter(|m| m.name.starts_with("rpo."));
        let t_ms = |mark| story.ms(story.declared, mark);
        let response = super::response::measure(story, &t_ms, now.ms_since(story.declared.at));
        One {
            id: id.to_owned(),
            severity: story.severities.iter().map(|(_, s)| *s).min(),
            onset: moment("onset").unwrap_or(story.declared.at),
            over: story.resolved().or(story.closed()).map(|m| m.at),
            durations: DURATIONS.iter().map(|(n, ..)| (*n, measures.get(n).and_then(|m| m.ms()))).collect(),
            // What stayed up was not put to the test.
            rto: measures
                .services
                .iter()
                .filter(|s| s.total_ms.is_some_and(|ms| ms > 0))
                .filter_map(|s| held(&s.service, s.verdict))
                .collect(),
            rpo: rpo.filter_map(|m| held(&m.label, m.verdict)).collect(),
            responses: held("acknowledgement", response.verdict).into_iter().collect(),
        }
    }
}

fn said_ms(ms: i64) -> String {
    let said = text::duration(std::time::Duration::from_millis(ms.unsigned_abs()));
    if ms < 0 { format!("-{said}") } else { said }
}

pub(super) fn spread(name: &str, label: &str, definition: &str, found: Vec<(String, Option<i64>)>) -> Spread {
    let total = found.len();
    let known: Vec<(String, i64)> = found.into_iter().filter_map(|(id, ms)| Some((id, ms?))).collect();
    let mut values: Vec<i64> = known.iter().map(|(_, ms)| *ms).collect();
    values.sort_unstable();
    let n = values.len();
    let at = |i: usize| values.get(i).copied();
    let median = match n {
        0 => None,
        n if n % 2 == 1 => at(n / 2),
        n => at(n / 2 - 1).zip(at(n / 2)).map(|(a, b)| a + (b - a) / 2),
    };
    Spread {
        name: name.into(),
        label: label.into(),
        definition: definition.into(),
        n,
        not_recorded: total - n,
        median_ms: median,
        p90_ms: (n * 9).div_ceil(10).checked_sub(1).and_then(at),
        min_ms: at(0),
        max_ms: n.checked_sub(1).and_then(at),
        incidents: known.into_iter().map(|(id, _)| id).collect(),
    }
}

/// From the end of one incident to the onset of the next. Those that overlap have nothing between them.
fn between(measured: &[One]) -> Spread {
    let mut spans: Vec<(Time, Option<Time>, &str)> =
        measured.iter().map(|o| (o.onset, o.over, o.id.as_str())).collect();
    spans.sort_by_key(|(onset, ..)| *onset);
    let mut gaps = Vec::new();
    let mut end: Option<Time> = None;
    let mut open = false;
    for (onset, over, id) in spans {
        if let Some(end) = end.filter(|_| !open) {
            gaps.push((id.to_owned(), (onset > end).then(|| onset.ms_since(end))));
        }
        match over {
            Some(at) => end = Some(end.map_or(at, |e| e.max(at))),
            None => open = true,
        }
    }
    // What overlaps is one stretch of trouble, not a failure with nothing before it.
    gaps.retain(|(_, ms)| ms.is_some());
    spread("tbf", "time between failures", "end of one incident to the onset of the next", gaps)
}

fn share(name: &str, label: &str, held: Vec<(bool, String)>) -> Share {
    let of = held.len();
    let good = held.iter().filter(|(good, _)| *good).count();
    Share {
        name: name.into(),
        label: label.into(),
        good,
        of,
        percent: (of > 0).then(|| (good as f64 * 1000.0 / of as f64).round() / 10.0),
        missed: held.into_iter().filter(|(good, _)| !good).map(|(_, said)| said).collect(),
    }
}

/// Restores and tests of restores that were carried out, inside incidents or not, and whether they were verified. What a
/// person called off, or what was never begun, is not counted.
fn restores(entries: &[Entry], since: Option<Time>, until: Option<Time>) -> Vec<(bool, String)> {
    let mut asked: std::collections::BTreeMap<&str, &str> = std::collections::BTreeMap::new();
    let mut out = Vec::new();
    for entry in entries {
        match &entry.event {
            Event::RunRequested(e) => {
                let in_time = since.is_none_or(|s| entry.at >= s) && until.is_none_or(|u| entry.at < u);
                if in_time && matches!(e.plan.work, Work::Restore { .. }) {
                    asked.insert(&e.plan.id, &e.plan.title);
                }
            }
            Event::RunFinished(e) => {
                let Some(title) = asked.remove(e.run.as_str()) else { continue };
                if matches!(e.state, RunState::Cancelled | RunState::Expired) {
                    continue;
                }
                let good = e.state == RunState::Succeeded && e.verdict == crate::domain::run::Verdict::Verified;
                let verdict = e.verdict.word();
                out.push((good, format!("{title} (run {}): {}, {verdict}", e.run, e.state.word())));
            }
            _ => {}
        }
    }
    out
}
