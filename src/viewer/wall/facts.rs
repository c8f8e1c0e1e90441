//! What the wall has to say: the verdict, and what is worth a place, worst first.

use std::time::Duration;

use crate::domain::Time;
use crate::domain::backup::BackupState;
use crate::domain::catalog::Severity;
use crate::domain::health::{Health, Outcome};
use crate::text;
use crate::viewer::link::Peer;
use crate::viewer::watched::{LinkState, Watched};
use crate::wire::{BackupView, IncidentView, Mirror, ServiceView};

use super::pulse::Pulse;

/// Of a hundred checked services, more than this many without recent results make the whole picture stale.
const STALE_PERCENT: usize = 20;
/// Backups are shown beyond this share of their RPO, in percent.
const WORTH_SHOWING: u64 = 50;

/// What the wall says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was heard yet.
    Waiting,
    /// No connection; what the engine's clock showed last, and why.
    NoEngine { since: Option<Time>, why: String },
    /// Connected, but the engine's clock stands still for this many seconds.
    Stalled { seconds: u64, since: Option<Time> },
    /// Too much of the picture is old. The newest result among the old ones.
    Stale { last: Option<Time>, stale: usize, checked: usize },
    /// Nothing is configured.
    Empty,
    /// The states, as counted.
    States,
}

/// A service that is not well, or not known to be.
#[derive(Clone, Debug)]
pub struct Problem<'a> {
    pub service: &'a ServiceView,
    /// The confirmed state; one that stands on no recent result is unknown.
    pub state: Health,
    /// It is down and nothing that it depends on is.
    pub root: bool,
    /// Age of its newest result, where that is too old to count.
    pub stale: Option<Option<Duration>>,
}

/// A backup set near or over its objective.
#[derive(Clone, Debug)]
pub struct Hot<'a> {
    pub backup: &'a BackupView,
    pub age: Option<Duration>,
    /// Age in percent of the RPO.
    pub percent: Option<u64>,
}

/// All of it.
#[derive(Debug)]
pub struct Facts<'a> {
    pub mirror: &'a Mirror,
    pub verdict: Verdict,
    /// Roots by tier and age, then degraded, then unknown ones.
    pub problems: Vec<Problem<'a>>,
    pub roots: usize,
    /// Down because of a root.
    pub affected: usize,
    pub degraded: usize,
    pub unknown: usize,
    pub up: usize,
    pub paused: usize,
    /// State and tier of every service, worst first.
    pub dots: Vec<(Health, u8)>,
    pub hot: Vec<Hot<'a>>,
    /// Open incidents, worst first.
    pub incidents: Vec<&'a IncidentView>,
    /// The engine's clock, not carried on by this screen.
    pub now: Time,
}

impl<'a> Facts<'a> {
    pub fn of(watched: &'a Watched, pulse: &Pulse) -> Facts<'a> {
        let mirror = &watched.mirror;
        let now = mirror.at;
        let mut facts = Facts {
            mirror,
            verdict: Verdict::States,
            problems: Vec::new(),
            roots: 0,
            affected: 0,
            degraded: 0,
            unknown: 0,
            up: 0,
            paused: 0,
            dots: Vec::new(),
            hot: hot(mirror, now),
            incidents: mirror.open_incidents(),
            now,
        };
        let (mut stale, mut checked, mut last) = (0, 0, None);
        for service in mirror.services.values() {
            let old = staleness(service, now);
            if service.state != Health::Paused && is_checked(service) {
                checked += 1;
                if old.is_some() {
                    stale += 1;
                    last = last.max(service.observed_at);
                }
            }
            facts.take(service, old);
        }
        facts.dots.sort_by_key(|(state, tier)| (*state, *tier));
        facts.problems.sort_by(|a, b| {
            let key = |p: &Problem| (p.state, tier(p.service), p.service.down_since.unwrap_or(p.service.since));
            key(a).cmp(&key(b)).then_with(|| a.service.name.cmp(&b.service.name))
        });
        facts.verdict = match watched.link() {
            LinkState::Lost(_, why) => Verdict::NoEngine { since: pulse.last(), why },
            _ if watched.peer == Peer::default() && pulse.last().is_none() => Verdict::Waiting,
            _ if pulse.is_stalled(watched.now.ms()) => {
                Verdict::Stalled { seconds: pulse.age_ms(watched.now.ms()) / 1000, since: pulse.last() }
            }
            _ if stale * 100 > checked * STALE_PERCENT => Verdict::Stale { last, stale, checked },
            _ if mirror.services.is_empty() => Verdict::Empty,
            _ => Verdict::States,
        };
        facts
    }

    fn take(&mut self, service: &'a ServiceView, stale: Option<Option<Duration>>) {
        let state = match service.state {
            Health::Paused | Health::Down => service.state,
            // Unknown is what an old "up" is worth; an old "down" stays down until something says otherwise.
            _ if stale.is_some() => Health::Unknown,
            state => state,
        };
        self.dots.push((state, tier(service)));
        let root = state == Health::Down && !has_down_parent(self.mirror, service);
        match state {
            Health::Up => self.up += 1,
            Health::Paused => self.paused += 1,
            Health::Down if root => self.roots += 1,
            Health::Down => self.affected += 1,
            Health::Degraded => self.degraded += 1,
            Health::Unknown => self.unknown += 1,
        }
        if root || matches!(state, Health::Degraded | Health::Unknown) {
            self.problems.push(Problem { service, state, root, stale });
        }
    }

    /// Nothing shown counts as current.
    pub fn is_frozen(&self) -> bool {
        matches!(self.verdict, Verdict::NoEngine { .. } | Verdict::Stalled { .. } | Verdict::Waiting)
    }

    /// Open incidents that take every second slot.
    pub fn urgent(&self) -> impl Iterator<Item = &&'a IncidentView> {
        self.incidents.iter().filter(|v| v.incident.severity <= Severity::P1)
    }

    /// Nothing is wrong, as far as anybody knows.
    pub fn is_calm(&self) -> bool {
        self.verdict == Verdict::States && self.problems.is_empty() && self.hot.is_empty() && self.incidents.is_empty()
    }

    /// The affected service whose objective is nearest or furthest passed: it, the time it is down, and its RTO.
    pub fn worst_rto(&self, incident: &IncidentView) -> Option<(&'a ServiceView, Duration, Duration)> {
        let named = &incident.incident.services;
        self.mirror
            .services
            .values()
            .filter(|s| named.is_empty() || named.contains(&s.name))
            .filter(|s| s.state == Health::Down)
            .filter_map(|s| {
                let down = self.now.since(s.down_since.unwrap_or(s.since));
                Some((s, down, Duration::from_millis(s.rto_ms?)))
            })
            .min_by_key(|(s, down, rto)| (ms(*rto) - ms(*down), tier(s)))
    }
}

fn ms(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}

/// A service without a tier comes last.
pub fn tier(service: &ServiceView) -> u8 {
    if service.tier == 0 { 9 } else { service.tier }
}

fn is_checked(service: &ServiceView) -> bool {
    !service.checks.is_empty() || service.stale_after_ms > 0 || service.observed_at.is_some()
}

/// `Some` when the service's values are too old to count, with the age of the newest one.
fn staleness(service: &ServiceView, now: Time) -> Option<Option<Duration>> {
    if service.state == Health::Paused {
        return None;
    }
    let age = service.observed_at.map(|at| now.since(at));
    let limit = Duration::from_millis(service.stale_after_ms);
    let old = age.is_some_and(|age| service.stale_after_ms > 0 && age > limit);
    (service.stale || old).then_some(age)
}

fn has_down_parent(mirror: &Mirror, service: &ServiceView) -> bool {
    let is_down =
        |name: &String| name != &service.name && mirror.services.get(name).is_some_and(|p| p.state == Health::Down);
    service.depends_on.iter().any(is_down) || service.because.as_ref().is_some_and(is_down)
}

fn hot(mirror: &Mirror, now: Time) -> Vec<Hot<'_>> {
    let mut hot: Vec<Hot<'_>> = mirror
        .backups
        .values()
        .map(|backup| {
            let age = backup.newest.as_ref().map(|c| now.since(c.as_of()));
            let percent = match (age, backup.rpo_ms) {
                (Some(age), Some(rpo)) if rpo > 0 => {
                    Some(u64::try_from(age.as_millis() * 100 / u128::from(rpo)).unwrap_or(u64::MAX))
                }
                _ => None,
            };
            Hot { backup, age, percent }
        })
        .filter(|h| {
            h.percent.is_some_and(|p| p > WORTH_SHOWING)
                || h.backup.problem.is_some()
                || matches!(h.backup.state, BackupState::Missing | BackupState::Stale | BackupState::Suspect)
        })
        .collect();
    hot.sort_by(|a, b| {
        let missing = |h: &Hot| h.backup.state != BackupState::Missing;
        (missing(a), std::cmp::Reverse(a.percent), &a.backup.name).cmp(&(
            missing(b),
            std::cmp::Reverse(b.percent),
            &b.backup.name,
        ))
    });
    hot
}

/// Two or three words why a service is as it is.
pub fn reason(service: &ServiceView) -> String {
    let failing = |wanted: Outcome| {
        service.checks.iter().find_map(|c| c.last.as_ref().filter(|r| r.outcome == wanted).and_then(|r| r.reason))
    };
    if matches!(service.state, Health::Down | Health::Degraded)
        && let Some(reason) = failing(Outcome::Fail).or_else(|| failing(Outcome::Warn))
    {
        return reason.word().to_owned();
    }
    text::clean(&service.detail).into_owned()
}
