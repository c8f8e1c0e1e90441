//! The numbers that are held against objectives: downtime per service, cost, data lost, updates, and the time that actions took.

use std::collections::BTreeMap;

use super::cadence::Due;
use super::downtime::{self, Interval};
use super::measure::{Measure, ServiceDowntime, Value, Verdict};
use super::story::{Mark, RunStory, Story};
use crate::domain::Time;
use crate::domain::run::{RunState, Work};

pub(super) fn services(
    story: &Story<'_>,
    intervals: &BTreeMap<String, Vec<Interval>>,
    start: Time,
) -> Vec<ServiceDowntime> {
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
        let blind =
            |i: &Interval| story.blind.iter().any(|b| b.from.at < i.to.unwrap_or(story.last.at) && b.until.at > i.from);
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

pub(super) fn of_service(s: &ServiceDowntime) -> Measure {
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
pub(super) fn cost(story: &Story<'_>, services: &[ServiceDowntime]) -> Measure {
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
pub(super) fn restores(out: &mut Vec<Measure>, story: &Story<'_>, onset: Option<Mark>) {
    for run in &story.runs {
        let Work::Restore { backup, test: false, .. } = &run.plan.work else { continue };
        let Some(finish) = run.finished.as_ref().filter(|f| f.state == RunState::Succeeded) else { continue };
        let name = format!("rpo.{}", run.plan.id);
        let label = format!("Data lost by restoring {backup}");
        let done = |work: &dyn Fn(&Work) -> bool| {
            story
                .runs
                .iter()
                .find(|r| work(&r.plan.work) && r.finished.as_ref().is_some_and(|f| f.state == RunState::Succeeded))
        };
        let live = done(&|w| matches!(w, Work::CutOver { of } | Work::CopyIn { of, .. } if *of == run.plan.id));
        let undone = live.and_then(|l| done(&|w| matches!(w, Work::Undo { of } if *of == l.plan.id)));
        let mut m = match (&run.plan.copy, onset) {
            (None, _) => Measure::missing(name, label, "the plan names no copy"),
            (_, None) => Measure::missing(name, label, "the onset was not recorded"),
            (Some(copy), Some(onset)) => {
                // The newest write in it: of a restore to a moment that moment, however old the copy it began from.
                let covers = run.plan.data_as_of().unwrap_or_else(|| copy.as_of());
                let lost = onset.at.ms_since(covers).max(0);
                let mut m = Measure::new(name, label, Value::Ms(lost));
                (m.from, m.to) = (Some(covers), Some(onset.at));
                m.entries = vec![run.requested.seq, finish.mark.seq, onset.seq];
                let configured =
                    story.catalog_at(run.requested.seq).and_then(|(_, c)| c.backups.get(backup)).and_then(|b| b.rpo_ms);
                m.verdict = match (live, undone) {
                    (Some(_), None) => Verdict::of(lost, run.plan.rpo_ms.or(configured), true),
                    _ => Verdict::NotLive,
                };
                let mut copy_time = format!("copy {} of {}", copy.id, copy.taken_at);
                if covers != copy.taken_at {
                    copy_time.push_str(&format!(", brought up to {covers}"));
                }
                m.note = match (live, undone) {
                    (None, _) => format!("{copy_time}; restored beside the live data, never put live"),
                    (Some(l), None) => format!("{copy_time}; live by run {}", l.plan.id),
                    (Some(l), Some(u)) => {
                        format!("{copy_time}; live by run {}, undone by run {}", l.plan.id, u.plan.id)
                    }
                };
                let replaced = live.filter(|_| undone.is_none()).and_then(|l| replaced_by(story, l));
                if let Some(later) = replaced {
                    m.note.push_str(&format!("; replaced by run {}", later.plan.id));
                }
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

/// The cut-over that took the place of what `live` had put there, and stayed.
fn replaced_by<'s, 'a>(story: &'s Story<'a>, live: &RunStory<'a>) -> Option<&'s RunStory<'a>> {
    let done = |r: &&RunStory<'_>| r.finished.as_ref().is_some_and(|f| f.state == RunState::Succeeded);
    let mut later = story.runs.iter().filter(done).filter(|r| {
        matches!(r.plan.work, Work::CutOver { .. })
            && r.requested.seq > live.requested.seq
            && r.plan.target == live.plan.target
            && !story.runs.iter().filter(done).any(|u| matches!(&u.plan.work, Work::Undo { of } if *of == r.plan.id))
    });
    later.next_back()
}

pub(super) fn updates(out: &mut Vec<Measure>, dues: Option<&[Due]>) {
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
    for (name, label, list) in [("updates.due", "Updates due", &all), ("updates.in_time", "Updates in time", &in_time)]
    {
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
pub(super) fn actions(story: &Story<'_>) -> Measure {
    let spans = story.runs.iter().filter_map(|r| {
        let from = r.started.unwrap_or(r.requested);
        let finish = r.finished.as_ref()?;
        Some(Interval {
            from: from.at,
            to: Some(finish.mark.at.max(from.at)),
            entries: [from.seq, finish.mark.seq].into(),
        })
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
