//! The numbers of a review. Each has a name, a definition, a verdict where there is an objective, the moments it lies
//! between and the entries it cites; what was not recorded says so.

use std::collections::BTreeMap;

use super::downtime::{self, Interval};
use super::story::{Mark, Story};
use super::{cadence, cadence::Due, objectives};
use crate::domain::Time;
use crate::domain::event::{Entry, Event};
use crate::domain::health::Health;
use crate::domain::message::Template;

/// A measured value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    At(Time),
    /// Milliseconds; negative where the later event came first.
    Ms(i64),
    Count(u64),
    Money(f64, String),
    /// Why there is none.
    NotRecorded(String),
}

/// Held against an objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is no objective.
    None,
    /// Within `limit_ms`, by that much.
    Met {
        limit_ms: i64,
        by_ms: i64,
    },
    Missed {
        limit_ms: i64,
        by_ms: i64,
    },
    /// Within it so far, and not over.
    Undecided {
        limit_ms: i64,
    },
    /// A copy that never went live, or did not stay: nothing was lost by it.
    NotLive,
}

impl Verdict {
    pub(super) fn of(value_ms: i64, limit_ms: Option<u64>, over: bool) -> Verdict {
        let Some(limit_ms) = limit_ms.and_then(|l| i64::try_from(l).ok()) else { return Verdict::None };
        let by_ms = (value_ms - limit_ms).abs();
        match (value_ms > limit_ms, over) {
            (true, _) => Verdict::Missed { limit_ms, by_ms },
            (false, true) => Verdict::Met { limit_ms, by_ms },
            (false, false) => Verdict::Undecided { limit_ms },
        }
    }

    /// `met`, `missed`, `undecided`, `not live`, or nothing.
    pub const fn word(&self) -> &'static str {
        match self {
            Verdict::None => "",
            Verdict::Met { .. } => "met",
            Verdict::Missed { .. } => "missed",
            Verdict::Undecided { .. } => "undecided",
            Verdict::NotLive => "not live",
        }
    }
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// Stable: `ttr`, `downtime.api`, `severity.P0`.
    pub name: String,
    /// For people: `Time to resolve`.
    pub label: String,
    pub value: Value,
    pub verdict: Verdict,
    pub from: Option<Time>,
    pub to: Option<Time>,
    /// Journal positions of the entries it comes from; empty only when it was not recorded.
    pub entries: Vec<u64>,
    /// What a reader must know about it; may be empty.
    pub note: String,
}

impl Measure {
    pub(super) fn new(name: impl Into<String>, label: impl Into<String>, value: Value) -> Self {
        let (name, label, note) = (name.into(), label.into(), String::new());
        Measure { name, label, value, verdict: Verdict::None, from: None, to: None, entries: Vec::new(), note }
    }

    pub(super) fn missing(name: impl Into<String>, label: impl Into<String>, why: impl Into<String>) -> Self {
        Measure::new(name, label, Value::NotRecorded(why.into()))
    }

    fn moment(name: &str, label: &str, mark: Option<Mark>, why: &str) -> Self {
        match mark {
            None => Measure::missing(name, label, why),
            Some(mark) => {
                let mut m = Measure::new(name, label, Value::At(mark.at));
                m.entries.push(mark.seq);
                m
            }
        }
    }

    fn span(name: &str, label: &str, from: (&str, Option<Mark>), to: (&str, Option<Mark>)) -> Self {
        match (from.1, to.1) {
            (Some(a), Some(b)) => {
                let mut m = Measure::new(name, label, Value::Ms(b.at.ms_since(a.at)));
                (m.from, m.to) = (Some(a.at), Some(b.at));
                m.entries = vec![a.seq.min(b.seq), a.seq.max(b.seq)];
                m.entries.dedup();
                m
            }
            (None, _) => Measure::missing(name, label, format!("{} is not on record", from.0)),
            (_, None) => Measure::missing(name, label, format!("{} is not on record", to.0)),
        }
    }

    /// The value in milliseconds, for those that are durations.
    pub fn ms(&self) -> Option<i64> {
        match self.value {
            Value::Ms(ms) => Some(ms),
            _ => None,
        }
    }
}

/// Downtime of one service, with its intervals.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceDowntime {
    pub service: String,
    pub tier: Option<u8>,
    pub intervals: Vec<Interval>,
    /// `None` when it is not known.
    pub total_ms: Option<i64>,
    /// Milliseconds by which each end of an outage is uncertain.
    pub probe_ms: Option<u64>,
    pub rto_ms: Option<u64>,
    pub verdict: Verdict,
    pub still_down: bool,
    /// The incident named it.
    pub named: bool,
    pub entries: Vec<u64>,
    /// Why the downtime is not known, or what limits it.
    pub note: String,
}

/// All numbers of one incident.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures {
    pub all: Vec<Measure>,
    pub services: Vec<ServiceDowntime>,
    /// `None` when no interval for updates was configured.
    pub dues: Option<Vec<Due>>,
}

impl Measures {
    /// The measure of that name.
    pub fn get(&self, name: &str) -> Option<&Measure> {
        self.all.iter().find(|m| m.name == name)
    }
}

/// Measures `incident`. Errors: it is not declared in `entries`.
pub fn measure(entries: &[Entry], incident: &str) -> Result<Measures, String> {
    level(&Story::read(entries, incident)?, entries, incident)
}

/// Measures a story that was read already from `entries`, with the steps of the clock taken out.
pub(super) fn level(story: &Story<'_>, entries: &[Entry], incident: &str) -> Result<Measures, String> {
    match super::level::levelled(entries, &story.steps) {
        std::borrow::Cow::Borrowed(_) => Ok(of(story)),
        std::borrow::Cow::Owned(level) if story.is_corrected => Story::read(&level, incident).map(|s| of(&s)),
        std::borrow::Cow::Owned(level) => Story::recorded(&level, incident).map(|s| of(&s)),
    }
}

fn of(story: &Story<'_>) -> Measures {
    let intervals = downtime::intervals(story);
    let onset = onset(story, &intervals);
    let start = onset.map_or(story.declared.at, |o| o.at.min(story.declared.at));
    let mut measures = Measures {
        all: Vec::new(),
        services: objectives::services(story, &intervals, start),
        dues: cadence::dues(story),
    };
    timing(&mut measures.all, story, onset, &intervals);
    super::lead::words(&mut measures.all, story);
    severities(&mut measures.all, story);
    measures.all.extend(measures.services.iter().map(objectives::of_service));
    measures.all.push(objectives::cost(story, &measures.services));
    objectives::restores(&mut measures.all, story, onset);
    objectives::updates(&mut measures.all, measures.dues.as_deref());
    measures.all.push(objectives::actions(story));
    measures.all.extend(super::approvals::measure(story));
    if !story.curation.is_empty() {
        cite_corrections(&mut measures, story);
    }
    measures
}

/// A number that rests on the time of a retimed entry cites the entry that set it, too.
fn cite_corrections(measures: &mut Measures, story: &Story<'_>) {
    for m in &mut measures.all {
        m.entries = story.cited(&m.entries);
    }
    for s in &mut measures.services {
        s.entries = story.cited(&s.entries);
        for interval in &mut s.intervals {
            let all: Vec<u64> = interval.entries.iter().copied().collect();
            interval.entries = story.cited(&all).into_iter().collect();
        }
    }
}

/// As journaled or stated; else the first failure that the probes saw of a named service, in an outage that touches the
/// time from an hour before the declaration to the end.
fn onset(story: &Story<'_>, intervals: &BTreeMap<String, Vec<Interval>>) -> Option<Mark> {
    if story.onset.is_some() {
        return story.onset;
    }
    let from = story.declared.at.minus(super::story::LEAD_UP);
    story
        .services
        .keys()
        .filter_map(|s| intervals.get(s))
        .flat_map(|list| downtime::within(list, from, story.end().at, false))
        .filter_map(|i| i.entries.first().map(|seq| Mark { at: i.from, seq: *seq }))
        .min_by_key(|m| (m.at, m.seq))
}

/// The first sign on record: a named service confirmed down or degraded since the onset, or the declaration.
fn detected(story: &Story<'_>, onset: Option<Mark>) -> Mark {
    let since = onset.map_or(story.declared.at, |o| o.at);
    let sign = story.entries.iter().find(|e| match &e.event {
        Event::HealthChanged(h) => {
            matches!(h.to, Health::Down | Health::Degraded)
                && story.services.contains_key(&h.service)
                && story.when(e) >= since
        }
        _ => false,
    });
    match sign {
        Some(e) if e.seq < story.declared.seq => Mark { at: e.at, seq: e.seq },
        _ => story.declared,
    }
}

fn timing(out: &mut Vec<Measure>, story: &Story<'_>, onset: Option<Mark>, intervals: &BTreeMap<String, Vec<Interval>>) {
    let detect = Some(detected(story, onset));
    let page = story
        .messages
        .iter()
        .filter(|m| !matches!(m.template, Template::Test | Template::Alert))
        .filter_map(|m| m.accepted());
    let page = page.min_by_key(|m| m.seq);
    let ack = story.acknowledged.as_ref().map(|(m, _)| *m);
    let by_person = |m: &&(Mark, _)| m.0.seq != story.declared.seq || story.source == "human";
    let assess = story.severities.iter().find(by_person).map(|(m, _)| *m);
    let why_open = super::lead::unresolved(story);
    let (mitigate, resolve, close) = (story.mitigated(), story.resolved(), story.closed());
    let open = if let Some(why) = &why_open {
        why.as_str()
    } else if story.reopened.is_empty() {
        "it is not resolved"
    } else {
        "it was reopened and is not resolved"
    };
    for (name, label, mark, why) in [
        ("onset", "Onset", onset, "no onset was stated and no probe of a named service failed"),
        ("detect", "Detected", detect, ""),
        ("page", "First message accepted", page, "no channel accepted a message"),
        ("ack", "Acknowledged", ack, "nobody acknowledged it"),
        ("declare", "Declared", Some(story.declared), ""),
        ("assess", "Severity set", assess, "no person set a severity"),
        ("mitigate", "Mitigated", mitigate, "it was never set to monitoring"),
        ("resolve", "Resolved", resolve, open),
        ("close", "Closed", close, "it is not closed"),
    ] {
        out.push(Measure::moment(name, label, mark, why));
    }
    if let Some(m) = out.first_mut().filter(|_| story.onset.is_none() && onset.is_some()) {
        m.note = "from the probes; nobody stated it".into();
    }
    if let Some(m) = out.first_mut().filter(|m| m.note.is_empty()) {
        m.note = super::lead::onset_note(story);
    }
    let mut ttd = Measure::span("ttd", "Time to detect", ("the onset", onset), ("the first sign", detect));
    if ttd.ms().is_some_and(|ms| ms < 0) {
        ttd.note = "negative: people were faster than the probes".into();
    } else if let Some(ms) = probe_ms(story, onset, intervals).filter(|_| ttd.ms().is_some()) {
        ttd.note = format!("± {}", crate::text::duration(std::time::Duration::from_millis(ms)));
    }
    out.push(ttd);
    out.push(Measure::span(
        "page_delay",
        "Time to the first message",
        ("the first sign", detect),
        ("an accepted message", page),
    ));
    out.push(Measure::span("tta", "Time to acknowledge", ("the first sign", detect), ("an acknowledgement", ack)));
    let t_ms = |mark: Mark| mark.at.ms_since(story.declared.at);
    out.push(super::response::measure(story, &t_ms, t_ms(story.last)));
    out.push(Measure::span(
        "tta_page",
        "Acknowledged after the first message",
        ("an accepted message", page),
        ("an acknowledgement", ack),
    ));
    let mut ttm = Measure::span("ttm", "Time to mitigate", ("the first sign", detect), ("the mitigation", mitigate));
    let again = story.reopened.iter().filter(|r| mitigate.is_some_and(|m| r.seq > m.seq)).count();
    if again > 0 {
        ttm.note = format!("to the first mitigation; reopened {} after it", crate::text::plural(again, "time"));
    }
    out.push(ttm);
    let mut ttr = Measure::span("ttr", "Time to resolve", ("the first sign", detect), ("the resolution", resolve));
    if !story.reopened.is_empty() && ttr.ms().is_some() {
        ttr.note = format!("to the last resolution; reopened {}", crate::text::plural(story.reopened.len(), "time"));
        ttr.entries.extend(story.reopened.iter().map(|m| m.seq));
        ttr.entries.sort_unstable();
    }
    out.push(ttr);
}

fn probe_ms(story: &Story<'_>, onset: Option<Mark>, intervals: &BTreeMap<String, Vec<Interval>>) -> Option<u64> {
    let onset = onset?;
    let (service, _) = intervals.iter().find(|(_, list)| list.iter().any(|i| i.from == onset.at))?;
    story.catalog_at(story.declared.seq)?.1.services.get(service)?.probe_every_ms
}

fn severities(out: &mut Vec<Measure>, story: &Story<'_>) {
    for severity in crate::domain::catalog::Severity::ALL {
        let (mut ms, mut entries) = (0, Vec::new());
        for (index, (mark, at)) in story.severities.iter().enumerate() {
            if *at != severity {
                continue;
            }
            let next = story.severities.get(index + 1).map(|(m, _)| *m);
            for (from, to) in story.open_spans() {
                let (a, b) = (later(from, *mark), next.map_or(to, |n| earlier(to, n)));
                if b.seq > a.seq {
                    ms += b.at.ms_since(a.at);
                    entries.extend([a.seq, b.seq]);
                }
            }
        }
        if !entries.is_empty() {
            entries.sort_unstable();
            entries.dedup();
            let mut m = Measure::new(format!("severity.{severity}"), format!("Time in {severity}"), Value::Ms(ms));
            m.entries = entries;
            out.push(m);
        }
    }
}

fn later(a: Mark, b: Mark) -> Mark {
    if a.seq >= b.seq { a } else { b }
}

fn earlier(a: Mark, b: Mark) -> Mark {
    if a.seq <= b.seq { a } else { b }
}
