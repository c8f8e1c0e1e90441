//! Trends over incidents: how many, how long, what came back, what was down.
//!
//! Each incident is measured exactly as its review measures it. Every figure says from how many incidents it comes; a mean
//! is given on request only, because few long ones weigh most in it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::kpi::{One, Spread, measured, spread};
use super::past::{self, Past};
use crate::domain::Time;
use crate::domain::event::{Entry, Event};
use crate::domain::health::Health;
use crate::text;

/// Two incidents this close that have something in common are one thing that came back.
const RECURS_WITHIN: Duration = Duration::from_secs(30 * 86_400);
/// The durations that are compared.
const DURATIONS: [(&str, &str, &str); 3] = [
    ("tta", "acknowledge", "first sign to acknowledgement"),
    ("ttm", "mitigate", "first sign to monitoring"),
    ("ttr", "resolve", "first sign to last resolution"),
];

/// By what incidents are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Service,
    Cause,
    Weekday,
    Severity,
    Month,
}

impl By {
    pub const WORDS: [(&'static str, By); 5] = [
        ("service", By::Service),
        ("cause", By::Cause),
        ("weekday", By::Weekday),
        ("severity", By::Severity),
        ("month", By::Month),
    ];

    /// Errors: the words there are.
    pub fn parse(word: &str) -> Result<By, String> {
        let all: Vec<&str> = Self::WORDS.iter().map(|(w, _)| *w).collect();
        Self::WORDS
            .iter()
            .find(|(w, _)| *w == word)
            .map(|(_, by)| *by)
            .ok_or_else(|| format!("\"{word}\" is nothing to put incidents together by: {}", all.join(", ")))
    }

    /// One incident may stand under several: each of its services. The number in front orders them.
    fn keys(self, past: &Past) -> Vec<(u32, String)> {
        use chrono::Datelike;
        let or = |keys: Vec<(u32, String)>, none: &str| if keys.is_empty() { vec![(1, none.to_owned())] } else { keys };
        match self {
            By::Service => or(past.services.iter().map(|s| (0, s.clone())).collect(), "no service named"),
            By::Cause => or(past.causes.iter().map(|c| (0, c.clone())).collect(), "no cause confirmed"),
            By::Weekday => {
                const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
                let day = past.declared_at.to_chrono().weekday().num_days_from_monday();
                vec![(day, DAYS.get(day as usize).copied().unwrap_or_default().to_owned())]
            }
            By::Severity => vec![(0, past.severity.to_string())],
            By::Month => vec![(0, past.declared_at.date().chars().take(7).collect())],
        }
    }
}

/// Incidents that were put together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    pub name: String,
    pub incidents: Vec<String>,
    /// Times to acknowledge, mitigate and resolve.
    pub durations: Vec<Spread>,
    /// Only when asked for, in the order of `durations`; milliseconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub means_ms: Vec<Option<i64>>,
}

/// Something that came back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recurrence {
    pub incident: String,
    /// The one before.
    pub after: String,
    /// From the declaration of the one to that of the other.
    pub gap_ms: i64,
    /// `service api`, `cause the pool is exhausted`.
    pub same: Vec<String>,
}

/// How long a service was down, inside incidents or not. Milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Downtime {
    pub service: String,
    pub down_ms: i64,
    pub times: usize,
    /// It is down now.
    pub down: bool,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trends {
    pub since: Option<Time>,
    /// All incidents, together.
    pub whole: Group,
    pub groups: Vec<Group>,
    pub recurrences: Vec<Recurrence>,
    pub downtime: Vec<Downtime>,
}

impl Trends {
    /// Of the incidents in `entries` (the whole record, in order) that were declared from `since` on; false alarms and
    /// those that were merged do not count. Errors: an incident that cannot be read.
    pub fn of(entries: &[Entry], since: Option<Time>, by: By, mean: bool, now: Time) -> Result<Trends, String> {
        let ones: BTreeMap<String, One> =
            measured(entries, since, None, now)?.into_iter().map(|one| (one.id.clone(), one)).collect();
        let all: Vec<Past> = past::all(entries).into_iter().filter(Past::counts).collect();
        let counted: Vec<&Past> = all.iter().filter(|p| ones.contains_key(&p.id)).collect();
        let mut groups: BTreeMap<(u32, String), Vec<&Past>> = BTreeMap::new();
        for past in &counted {
            for key in by.keys(past) {
                groups.entry(key).or_default().push(past);
            }
        }
        let group = |name: String, of: &[&Past]| group(name, of, &ones, mean);
        Ok(Trends {
            since,
            whole: group("all".into(), &counted),
            groups: groups.into_iter().map(|((_, name), of)| group(name, &of)).collect(),
            // What an incident comes back from may lie before.
            recurrences: recurrences(&all, since),
            downtime: downtime(entries, since, now),
        })
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let since = self.since.map_or_else(|| "the beginning of the record".into(), Time::date);
        let n = text::plural(self.whole.incidents.len(), "incident");
        let mut out = vec![format!("{n}, declared from {since} on; each figure: median / p90 (n)")];
        if self.whole.incidents.is_empty() {
            return out;
        }
        out.push(String::new());
        out.push(format!("{:<28} {:>3}  {:<22} {:<22} {:<22}", "", "n", "acknowledge", "mitigate", "resolve"));
        for group in std::iter::once(&self.whole).chain(&self.groups) {
            let mut cells = Vec::new();
            for (at, d) in group.durations.iter().enumerate() {
                let mean = match group.means_ms.get(at) {
                    Some(Some(ms)) => format!(" mean {}", said(*ms)),
                    _ => String::new(),
                };
                cells.push(match (d.median_ms, d.p90_ms) {
                    (Some(median), Some(p90)) => format!("{} / {} ({}){mean}", said(median), said(p90), d.n),
                    _ => "not recorded".into(),
                });
            }
            let name = text::fit(&text::clean(&group.name), 28);
            let cells: Vec<String> = cells.iter().map(|c| format!("{c:<22}")).collect();
            out.push(format!("{name} {:>3}  {}", group.incidents.len(), cells.join(" ")).trim_end().to_owned());
        }
        if !self.whole.means_ms.is_empty() {
            out.push("a mean of times is led by the few longest: judge by the median and the p90".into());
        }
        out.push(String::new());
        out.push(format!("came back within 30 days: {}", self.recurrences.len()));
        for r in &self.recurrences {
            let same = text::clean(&r.same.join(", ")).into_owned();
            out.push(format!("  {} {} after {}: {same}", r.incident, said(r.gap_ms), r.after));
        }
        out.push(String::new());
        out.push("down, inside incidents or not".into());
        for d in &self.downtime {
            let now = if d.down { ", and is down now" } else { "" };
            out.push(format!("  {:<26} {:>9}  in {}{now}", d.service, said(d.down_ms), text::plural(d.times, "time")));
        }
        if self.downtime.is_empty() {
            out.push("  nothing".into());
        }
        out
    }
}

fn said(ms: i64) -> String {
    let said = text::duration(Duration::from_millis(ms.unsigned_abs()));
    if ms < 0 { format!("-{said}") } else { said }
}

fn group(name: String, of: &[&Past], ones: &BTreeMap<String, One>, mean: bool) -> Group {
    let of_name = |measure: &str| -> Vec<(String, Option<i64>)> {
        of.iter()
            .filter_map(|past| ones.get(&past.id))
            .map(|one| (one.id.clone(), one.durations.iter().find(|(n, _)| *n == measure).and_then(|(_, ms)| *ms)))
            .collect()
    };
    let average = |found: &[(String, Option<i64>)]| {
        let known: Vec<i64> = found.iter().filter_map(|(_, ms)| *ms).collect();
        let n = i64::try_from(known.len()).ok().filter(|n| *n > 0)?;
        Some(known.iter().sum::<i64>() / n)
    };
    Group {
        name,
        incidents: of.iter().map(|past| past.id.clone()).collect(),
        means_ms: DURATIONS.iter().filter(|_| mean).map(|(n, ..)| average(&of_name(n))).collect(),
        durations: DURATIONS.iter().map(|(n, label, means)| spread(n, label, means, of_name(n))).collect(),
    }
}

/// Each incident with the newest one before it that has a service or a confirmed cause in common.
fn recurrences(all: &[Past], since: Option<Time>) -> Vec<Recurrence> {
    let mut out = Vec::new();
    for (at, past) in all.iter().enumerate() {
        if since.is_some_and(|s| past.declared_at < s) {
            continue;
        }
        for before in all.get(..at).unwrap_or_default().iter().rev() {
            if past.declared_at.since(before.declared_at) > RECURS_WITHIN {
                continue;
            }
            let mut same: Vec<String> =
                past.services.intersection(&before.services).map(|s| format!("service {s}")).collect();
            let causes = past.causes.iter().filter(|c| before.causes.iter().any(|b| b.eq_ignore_ascii_case(c)));
            same.extend(causes.map(|c| format!("cause {c}")));
            if !same.is_empty() {
                let gap_ms = past.declared_at.ms_since(before.declared_at);
                out.push(Recurrence { incident: past.id.clone(), after: before.id.clone(), gap_ms, same });
                break;
            }
        }
    }
    out
}

/// The union of each service's failing intervals. What cannot be seen has not recovered; what is paused is not counted.
fn downtime(entries: &[Entry], since: Option<Time>, now: Time) -> Vec<Downtime> {
    struct Of {
        from: Option<Time>,
        down_ms: i64,
        times: usize,
    }
    let mut all: BTreeMap<&str, Of> = BTreeMap::new();
    let count = |of: &mut Of, until: Time| {
        let Some(from) = of.from.take() else { return };
        let from = since.map_or(from, |s| from.max(s));
        if until > from {
            of.down_ms += until.ms_since(from);
            of.times += 1;
        }
    };
    for entry in entries {
        let (service, to) = match &entry.event {
            Event::HealthChanged(e) => (e.service.as_str(), e.to),
            Event::ServicePaused(e) => (e.service.as_str(), Health::Paused),
            _ => continue,
        };
        let of = all.entry(service).or_insert(Of { from: None, down_ms: 0, times: 0 });
        match to {
            Health::Down => of.from = of.from.or(Some(entry.happened_at())),
            Health::Unknown => {}
            Health::Up | Health::Degraded | Health::Paused => count(of, entry.happened_at()),
        }
    }
    let mut out = Vec::new();
    for (service, mut of) in all {
        let down = of.from.is_some();
        count(&mut of, now);
        if of.times > 0 {
            out.push(Downtime { service: service.to_owned(), down_ms: of.down_ms, times: of.times, down });
        }
    }
    out.sort_by(|a, b| b.down_ms.cmp(&a.down_ms).then_with(|| a.service.cmp(&b.service)));
    out
}
