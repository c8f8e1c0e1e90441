//! When services were down, for as long as an incident may count it: what an open incident costs so far is told from it.
//!
//! The same downtime as in the review: from the first failure of the streak that confirmed it to the first success of the
//! one that ended it; what is not known has not recovered, what is paused is not down.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::{Entry, Event};
use super::incident::Incident;
use super::state::State;
use super::time::Time;

/// Outages kept in the fold.
const KEEP: usize = 1000;
/// Of what ended before any incident, as much as one that is declared now may name as its onset.
const LEAD_UP: Duration = Duration::from_secs(3600);
/// How long after its end an incident may be opened again and still count what was before.
const REOPENED: Duration = Duration::from_secs(24 * 3600);

/// A stretch in which a service was down, by the wall clock as it reads now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    pub service: String,
    pub from: Time,
    pub to: Time,
}

/// The downtime that an incident is charged for: any tier-1 service down; any it names where no service is of tier 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Charged {
    /// Milliseconds of the stretches that are over, overlapping ones counted once.
    pub spent_ms: u64,
    /// Since when one goes on; nothing that counts is down where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

impl Charged {
    /// All of it at `now`.
    pub fn at(&self, now: Time) -> Duration {
        Duration::from_millis(self.spent_ms) + self.since.map_or(Duration::ZERO, |since| now.since(since))
    }
}

/// The service that `entry` is about, and since when it was down before that.
pub(super) fn before(state: &State, entry: &Entry) -> Option<(String, Time)> {
    let service = match &entry.event {
        Event::HealthChanged(e) => &e.service,
        Event::ServicePaused(e) => &e.service,
        _ => return None,
    };
    Some((service.clone(), state.services.get(service)?.down_since?))
}

/// Folds `entry` in, after the service's record has taken it.
pub(super) fn apply(state: &mut State, entry: &Entry, before: Option<(String, Time)>) {
    let Some((service, from)) = before else { return };
    if state.services.get(&service).is_some_and(|r| r.down_since.is_some()) || !is_charged(state, &service) {
        return;
    }
    let horizon = horizon(state, entry.at);
    state.outages.retain(|o| o.to >= horizon);
    state.outages.push(Outage { service, from, to: entry.happened_at().max(from) });
    let too_many = state.outages.len().saturating_sub(KEEP);
    state.outages.drain(..too_many);
}

/// The wall clock was stepped.
pub(super) fn step(state: &mut State, by_ms: i64) {
    for outage in &mut state.outages {
        (outage.from, outage.to) = (outage.from.stepped(by_ms), outage.to.stepped(by_ms));
    }
}

fn has_tier_1(state: &State) -> bool {
    state.catalog.services.values().any(|s| s.tier == 1)
}

fn is_tier_1(state: &State, service: &str) -> bool {
    state.catalog.services.get(service).is_some_and(|s| s.tier == 1)
}

fn is_charged(state: &State, service: &str) -> bool {
    is_tier_1(state, service) || !has_tier_1(state)
}

/// What ended before is counted by no incident any more.
fn horizon(state: &State, now: Time) -> Time {
    let counts = |i: &&Incident| {
        let ended = i.resolved_at.or(i.clock.ended_at);
        i.status.is_open() || ended.is_some_and(|at| now.since(at) < REOPENED)
    };
    let starts = state.incidents.values().filter(counts).map(|i| begun(state, i).minus(LEAD_UP));
    starts.min().map_or(now.minus(LEAD_UP), |start| start.min(now.minus(LEAD_UP)))
}

/// When an incident began as far as it is stated, by the wall clock as it reads now.
fn begun(state: &State, incident: &Incident) -> Time {
    let stepped = state.stepped_ms.saturating_sub(incident.declared_stepped_ms);
    let declared = state.declared_now(incident);
    incident.onset.map_or(declared, |onset| onset.stepped(stepped).min(declared))
}

/// What `incident` is charged for so far.
pub fn charged(state: &State, incident: &Incident) -> Charged {
    let over = state.outages.iter().map(|o| (o.service.as_str(), o.from, Some(o.to)));
    let open = state.services.iter().filter_map(|(name, r)| Some((name.as_str(), r.down_since?, None)));
    let mut all: Vec<Stretch<'_>> = over.chain(open).filter(|(service, ..)| is_charged(state, service)).collect();
    all.sort_by_key(|(service, from, _)| (*service, *from));
    let all = join(all, |a, b| a.0 == b.0);
    let named = |service: &str| incident.services.contains(service);
    let mut start = begun(state, incident);
    if incident.onset.is_none() {
        // As the review finds it: the first failure of a named service not long before.
        let from = start.minus(LEAD_UP);
        let first = all.iter().filter(|(s, _, to)| named(s) && to.is_none_or(|to| to > from)).map(|(_, f, _)| *f).min();
        start = first.map_or(start, |first| first.min(start));
    }
    let tier_1 = has_tier_1(state);
    let mut counted: Vec<Stretch<'_>> = all
        .into_iter()
        .filter(|(service, from, to)| to.is_none_or(|to| to > start) && (named(service) || (tier_1 && *from >= start)))
        .collect();
    counted.sort_by_key(|(_, from, _)| *from);
    let mut charged = Charged::default();
    for (_, from, to) in join(counted, |_, _| true) {
        match to {
            Some(to) => charged.spent_ms += u64::try_from(to.since(from).as_millis()).unwrap_or(0),
            None => charged.since = Some(from),
        }
    }
    charged
}

type Stretch<'a> = (&'a str, Time, Option<Time>);

/// Joins neighbours that overlap or touch, where they may be joined.
fn join<'a>(list: Vec<Stretch<'a>>, may: impl Fn(&Stretch<'a>, &Stretch<'a>) -> bool) -> Vec<Stretch<'a>> {
    let mut joined: Vec<Stretch<'a>> = Vec::new();
    for next in list {
        match joined.last_mut() {
            Some(last) if may(last, &next) && last.2.is_none_or(|to| next.1 <= to) => {
                last.2 = last.2.zip(next.2).map(|(a, b)| a.max(b));
            }
            _ => joined.push(next),
        }
    }
    joined
}
