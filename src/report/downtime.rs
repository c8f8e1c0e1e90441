//! When a service was down, from its confirmed changes of state.
//!
//! An interval begins at the first failure of the streak that confirmed it and ends at the first success of the streak
//! that ended it (`happened_at`); what cannot be seen (unknown) has not recovered. Overlapping intervals are joined, so
//! that no minute counts twice. Each end is known to one probe interval.

use std::collections::{BTreeMap, BTreeSet};

use super::story::Story;
use crate::domain::Time;
use crate::domain::event::Event;
use crate::domain::health::Health;

/// One stretch of being down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    pub from: Time,
    /// `None`: still down at the end of the record.
    pub to: Option<Time>,
    /// The entries that it comes from.
    pub entries: BTreeSet<u64>,
}

impl Interval {
    /// Milliseconds, up to `end` when it is open.
    pub fn ms(&self, end: Time) -> i64 {
        self.to.unwrap_or(end.max(self.from)).ms_since(self.from).max(0)
    }
}

/// Per service, joined and in order.
pub fn intervals(story: &Story<'_>) -> BTreeMap<String, Vec<Interval>> {
    let mut open: BTreeMap<&str, Interval> = BTreeMap::new();
    let mut done: BTreeMap<String, Vec<Interval>> = BTreeMap::new();
    for entry in story.entries {
        let (service, down, at) = match &entry.event {
            Event::HealthChanged(e) => match e.to {
                Health::Down => (e.service.as_str(), true, story.when(entry)),
                Health::Unknown => continue,
                _ => (e.service.as_str(), false, story.when(entry)),
            },
            // Maintenance is not downtime, whatever the probes said before.
            Event::ServicePaused(e) => (e.service.as_str(), false, story.when(entry)),
            _ => continue,
        };
        if down {
            let interval =
                open.entry(service).or_insert_with(|| Interval { from: at, to: None, entries: BTreeSet::new() });
            interval.from = interval.from.min(at);
            interval.entries.insert(entry.seq);
        } else if let Some(mut interval) = open.remove(service) {
            interval.to = Some(at.max(interval.from));
            interval.entries.insert(entry.seq);
            done.entry(service.to_owned()).or_default().push(interval);
        }
    }
    for (service, interval) in open {
        done.entry(service.to_owned()).or_default().push(interval);
    }
    done.into_iter().map(|(service, list)| (service, join(list))).collect()
}

/// Joins what overlaps or touches.
pub fn join(mut list: Vec<Interval>) -> Vec<Interval> {
    list.sort_by_key(|i| i.from);
    let mut joined: Vec<Interval> = Vec::new();
    for next in list {
        match joined.last_mut() {
            Some(last) if last.to.is_none_or(|to| next.from <= to) => {
                last.to = match (last.to, next.to) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    _ => None,
                };
                last.entries.extend(next.entries);
            }
            _ => joined.push(next),
        }
    }
    joined
}

/// Those of `list` that touch the time from `from` to `end`; with `begun_within`, only those that began in it.
pub fn within(list: &[Interval], from: Time, end: Time, begun_within: bool) -> Vec<Interval> {
    list.iter()
        .filter(|i| i.from <= end && i.to.is_none_or(|to| to > from) && (!begun_within || i.from >= from))
        .cloned()
        .collect()
}
