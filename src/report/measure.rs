//! The numbers of a review. Each has a name, a definition, a verdict where there is an objective, the moments it lies
//! between and the entries it cites; what was not recorded says so.

use std::collections::BTreeMap;

use super::downtime::{self, Interval};
use super::story::{Mark, Story};
use super::{cadence, cadence::Due};
use crate::domain::Time;
use crate::domain::event::{Entry, Event};
use crate::domain::health::Health;
use crate::domain::message::Template;
use crate::domain::run::{RunState, Work};

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
    Met { limit_ms: i64, by_ms: i64 },
    Missed { limit_ms: i64, by_ms: i64 },
    /// Within it so far, and not over.
    Undecided { limit_ms: i64 },
}

impl Verdict {
    fn of(value_ms: i64, limit_ms: Option<u64>, over: bool) -> Verdict {
        let Some(limit_ms) = limit_ms.and_then(|l| i64::try_from(l).ok()) else { return Verdict::None };
        let by_ms = (value_ms - limit_ms).abs();
        match (value_ms > limit_ms, over) {
            (true, _) => Verdict::Missed { limit_ms, by_ms },
            (false, true) => Verdict::Met { limit_ms, by_ms },
            (false, false) => Verdict::Undecided { limit_ms },
        }
    }

    /// `met`, `missed`, `undecided`, or nothing.
    pub const fn word(&self) -> &'static str {
        match self {
            Verdict::None => "",
            Verdict::Met { .. } => "met",
            Verdict::Missed { .. } => "missed",
            Verdict::Undecided { .. } => "undecided",
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
    fn new(name: impl Into<String>, label: impl Into<String>, value: Value) -> Self {
        let (name, label, note) = (name.into(), label.into(), String::new());
        Measure { name, label, value, verdict: Verdict::None, from: None, to: None, entries: Vec::new(), note }
    }

    fn missing(name: impl Into<String>, label: impl Into<String>, why: impl Into<String>) -> Self {
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
            (None, _) => Measure::missing(name, label, format!("{} was not recorded", from.0)),
            (_, None) => Measure::missing(name, label, format!("{} was not recorded", to.0)),
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
    Story::read(entries, incident).map(|story| of(&story))
}

/// Measures a story that was read already.
pub fn of(story: &Story<'_>) -> Measures {
    let intervals = downtime::intervals(story);
    let onset = onset(story, &intervals);
    let start = onset.map_or(story.declared.at, |o| o.at.min(story.declared.at));
    let mut measures = Measures { all: Vec::new(), services: services(story, &intervals, start), dues: cadence::dues(story) };
    timing(&mut measures.all, story, onset, &intervals);
    severities(&mut measures.all, story);
    measures.all.extend(measures.services.iter().map(of_service));
    measures.all.push(cost(story, &measures.services));
    restores(&mut measures.all, story, onset);
    updates(&mut measures.all, measures.dues.as_deref());
    measures.all.push(actions(story));
    measures
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
                && e.happened_at() >= since
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
    let page = story.messages.iter().filter(|m| m.template != Template::Test).filter_map(|m| m.accepted());
    let page = page.min_by_key(|m| m.seq);
    let ack = story.acknowledged.as_ref().map(|(m, _)| *m);
    let by_person = |m: &&(Mark, _)| m.0.seq != story.declared.seq || story.source == "human";
    let assess = story.severities.iter().find(by_person).map(|(m, _)| *m);
    let (mitigate, resolve, close) = (story.mitigated(), story.resolved(), story.closed());
    let open = if story.reopened.is_empty() { "it is not resolved" } else { "it was reopened and is not resolved" };
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
    let mut ttd = Measure::span("ttd", "Time to detect", ("onset", onset), ("detect", detect));
    if ttd.ms().is_some_and(|ms| ms < 0) {
        ttd.note = "negative: people were faster than the probes".into();
    } else if let Some(ms) = probe_ms(story, onset, intervals).filter(|_| ttd.ms().is_some()) {
        ttd.note = format!("± {}", crate::text::duration(std::time::Duration::from_millis(ms)));
    }
    out.push(ttd);
    out.push(Measure::span("page_delay", "Time to the first message", ("detect", detect), ("page", page)));
    let mut tta = Measure::span("tta", "Time to acknowledge", ("detect", detect), ("ack", ack));
    if let (Some(ms), Some(facts)) = (tta.ms(), severity_facts(story)) {
        tta.verdict = Verdict::of(ms, facts.respond_within_ms, true);
    }
    out.push(tta);
    out.push(Measure::span("tta_page", "Acknowledged after the first message", ("page", page), ("ack", ack)));
    out.push(Measure::span("ttm", "Time to mitigate", ("detect", detect), ("mitigate", mitigate)));
    let mut ttr = Measure::span("ttr", "Time to resolve", ("detect", detect), ("resolve", resolve));
    if !story.reopened.is_empty() && ttr.ms().is_some() {
        ttr.note = format!("to the last resolution; reopened {} times", story.reopened.len());
        ttr.entries.extend(story.reopened.iter().map(|m| m.seq));
        ttr.entries.sort_unstable();
    }
    out.push(ttr);
}

fn severity_facts<'a>(story: &Story<'a>) -> Option<&'a crate::domain::catalog::SeverityFacts> {
    let severity = story.severities.first()?.1;
    story.catalog_at(story.declared.seq)?.1.severities.get(&severity)
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

fn services(story: &Story<'_>, intervals: &BTreeMap<String, Vec<Interval>>, start: Time) -> Vec<ServiceDowntime> {
    let end = story.end();
    let mut names = story.affected();
    names.extend(
        intervals.iter().filter(|(_, l)| !downtime::within(l, start, end.at, true).is_empty()).map(|(n, _)| n.as_str()),
    );
    let mut out = Vec::new();
    for name in names {
        let named = story.services.contains_key(name);
        let list = intervals.get(name).map(|l| downtime::within(l, start, end.at, !named)).unwrap_or_default();
        // The objective in force when it went down, else when it was declared.
        let seq = list.first().and_then(|i| i.entries.first()).copied().unwrap_or(story.declared.seq);
        let (loaded, facts) = match story.catalog_at(seq) {
            Some((mark, catalog)) => (Some(mark.seq), catalog.services.get(name)),
            None => (None, None),
        };
        let still_down = list.iter().any(|i| i.to.is_none());
        let total: i64 = list.iter().map(|i| i.ms(story.last.at)).sum();
        let watched = facts.is_some_and(|f| f.checked) || !list.is_empty();
        let rto_ms = facts.and_then(|f| f.rto_ms);
        let mut entries: Vec<u64> = list.iter().flat_map(|i| i.entries.iter().copied()).collect();
        // An open outage is counted to the end of the record; a service that never failed is known by having been watched.
        entries.extend(still_down.then_some(story.last.seq));
        entries.extend(loaded.filter(|_| watched));
        entries.sort_unstable();
        entries.dedup();
        let mut notes = Vec::new();
        match (watched, facts) {
            (false, Some(_)) => notes.push("it has no check".to_owned()),
            (false, None) => notes.push("no configuration on record knows it".to_owned()),
            _ => {}
        }
        if still_down {
            notes.push("still down at the end of the record: at least this".into());
        }
        let blind = |i: &Interval| {
            story.blind.iter().any(|b| b.from.at < i.to.unwrap_or(story.last.at) && b.until.at > i.from)
        };
        if list.iter().any(blind) {
            notes.push("nobody was watching for a part of it (see the appendix)".into());
        }
        out.push(ServiceDowntime {
            service: name.to_owned(),
            tier: facts.map(|f| f.tier),
            probe_ms: facts.and_then(|f| f.probe_every_ms),
            total_ms: watched.then_some(total),
            verdict: if watched { Verdict::of(total, rto_ms, !still_down) } else { Verdict::None },
            intervals: list,
            rto_ms,
            still_down,
            named,
            entries: if watched { entries } else { Vec::new() },
            note: notes.join("; "),
        });
    }
    out
}

fn of_service(s: &ServiceDowntime) -> Measure {
    let value = s.total_ms.map_or_else(|| Value::NotRecorded(s.note.clone()), Value::Ms);
    let mut m = Measure::new(format!("downtime.{}", s.service), format!("Downtime of {}", s.service), value);
    m.verdict = s.verdict;
    m.from = s.intervals.first().map(|i| i.from);
    m.to = s.intervals.last().and_then(|i| i.to);
    m.entries = s.entries.clone();
    if s.total_ms.is_some() {
        m.note = s.note.clone();
    }
    m
}

/// Per hour, over the time in which any tier-1 service was down; over any named service where there is no tier 1.
fn cost(story: &Story<'_>, services: &[ServiceDowntime]) -> Measure {
    let missing = |why: &str| Measure::missing("cost", "Cost of the downtime", why);
    let Some((loaded, catalog)) = story.catalog_at(story.declared.seq) else {
        return missing("no configuration is on record");
    };
    let Some(cost) = &catalog.cost else { return missing("no downtime_cost is configured") };
    let has_tier_1 = catalog.services.values().any(|s| s.tier == 1);
    let counted = services.iter().filter(|s| if has_tier_1 { s.tier == Some(1) } else { s.named });
    let counted: Vec<&ServiceDowntime> = counted.filter(|s| s.total_ms.is_some()).collect();
    if counted.is_empty() && services.iter().any(|s| s.total_ms.is_none()) {
        return missing("no downtime was measured");
    }
    let union = downtime::join(counted.iter().flat_map(|s| s.intervals.iter().cloned()).collect());
    let ms: i64 = union.iter().map(|i| i.ms(story.last.at)).sum();
    let mut m = Measure::new(
        "cost",
        "Cost of the downtime",
        Value::Money(cost.per_hour * ms as f64 / 3_600_000.0, cost.currency.clone()),
    );
    (m.from, m.to) = (union.first().map(|i| i.from), union.last().and_then(|i| i.to));
    m.entries = union.iter().flat_map(|i| i.entries.iter().copied()).chain([loaded.seq]).collect();
    m.entries.extend(union.iter().any(|i| i.to.is_none()).then_some(story.last.seq));
    m.entries.sort_unstable();
    m.entries.dedup();
    let length = crate::text::duration_long(std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
    let whose = if has_tier_1 { "any tier-1 service" } else { "any named service" };
    m.note = format!("{} an hour × {length} of {whose} being down", crate::text::money(cost.per_hour, &cost.currency));
    m
}

/// For every copy that was restored: what lies between it and the onset.
fn restores(out: &mut Vec<Measure>, story: &Story<'_>, onset: Option<Mark>) {
    for run in &story.runs {
        let Work::Restore { backup, test: false, .. } = &run.plan.work else { continue };
        let Some(finish) = run.finished.as_ref().filter(|f| f.state == RunState::Succeeded) else { continue };
        let name = format!("rpo.{}", run.plan.id);
        let label = format!("Data lost by restoring {backup}");
        let done = |work: &dyn Fn(&Work) -> bool| {
            story.runs.iter().find(|r| {
                work(&r.plan.work) && r.finished.as_ref().is_some_and(|f| f.state == RunState::Succeeded)
            })
        };
        let live = done(&|w| matches!(w, Work::CutOver { of } if *of == run.plan.id));
        let undone = live.and_then(|l| done(&|w| matches!(w, Work::Undo { of } if *of == l.plan.id)));
        let mut m = match (&run.plan.copy, onset) {
            (None, _) => Measure::missing(name, label, "the plan names no copy"),
            (_, None) => Measure::missing(name, label, "the onset was not recorded"),
            (Some(copy), Some(onset)) => {
                let lost = onset.at.ms_since(copy.taken_at).max(0);
                let mut m = Measure::new(name, label, Value::Ms(lost));
                (m.from, m.to) = (Some(copy.taken_at), Some(onset.at));
                m.entries = vec![run.requested.seq, finish.mark.seq, onset.seq];
                let configured = story
                    .catalog_at(run.requested.seq)
                    .and_then(|(_, c)| c.backups.get(backup))
                    .and_then(|b| b.rpo_ms);
                m.verdict = Verdict::of(lost, run.plan.rpo_ms.or(configured), true);
                let copy_time = format!("copy {} of {}", copy.id, copy.taken_at);
                m.note = match (live, undone) {
                    (None, _) => format!("{copy_time}; restored beside the live data, never put live"),
                    (Some(l), None) => format!("{copy_time}; live by run {}", l.plan.id),
                    (Some(l), Some(u)) => format!("{copy_time}; live by run {}, undone by run {}", l.plan.id, u.plan.id),
                };
                if onset.at < copy.taken_at {
                    m.note.push_str("; the copy was taken after the onset");
                }
                m
            }
        };
        if m.ms().is_some() {
            for r in [live, undone].into_iter().flatten() {
                m.entries.push(r.requested.seq);
                m.entries.extend(r.finished.as_ref().map(|f| f.mark.seq));
            }
            m.entries.sort_unstable();
            m.entries.dedup();
        }
        out.push(m);
    }
}

fn updates(out: &mut Vec<Measure>, dues: Option<&[Due]>) {
    let Some(dues) = dues else {
        out.push(Measure::missing("updates.due", "Updates due", "no update_every is configured for its severities"));
        return;
    };
    let seqs = |list: &[&Due]| {
        let mut all: Vec<u64> =
            list.iter().flat_map(|d| std::iter::once(d.counted_from.seq).chain(d.sent.map(|s| s.seq))).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let all: Vec<&Due> = dues.iter().collect();
    let in_time: Vec<&Due> = dues.iter().filter(|d| d.sent.is_some() && d.late_ms == 0).collect();
    for (name, label, list) in [("updates.due", "Updates due", &all), ("updates.in_time", "Updates in time", &in_time)] {
        let mut m = Measure::new(name, label, Value::Count(list.len() as u64));
        m.entries = seqs(list);
        out.push(m);
    }
    if let Some(worst) = dues.iter().max_by_key(|d| d.late_ms).filter(|d| d.late_ms > 0) {
        let mut m = Measure::new("updates.worst", "Longest lateness of an update", Value::Ms(worst.late_ms));
        (m.from, m.to) = (Some(worst.due), worst.sent.map(|s| s.at));
        m.entries = seqs(&[worst]);
        out.push(m);
    }
}

/// Time in which at least one action ran.
fn actions(story: &Story<'_>) -> Measure {
    let spans = story.runs.iter().filter_map(|r| {
        let from = r.started.unwrap_or(r.requested);
        let finish = r.finished.as_ref()?;
        Some(Interval { from: from.at, to: Some(finish.mark.at.max(from.at)), entries: [from.seq, finish.mark.seq].into() })
    });
    let joined = downtime::join(spans.collect());
    if joined.is_empty() {
        return Measure::missing("actions", "Time with an action running", "no action of it ran to an end");
    }
    let ms = joined.iter().map(|i| i.ms(i.from)).sum();
    let mut m = Measure::new("actions", "Time with an action running", Value::Ms(ms));
    (m.from, m.to) = (joined.first().map(|i| i.from), joined.last().and_then(|i| i.to));
    m.entries = joined.iter().flat_map(|i| i.entries.iter().copied()).collect();
    m
}
