//! What checks mean for their services, and services for one another.
//!
//! A service is as bad as its worst check (down, degraded, unknown, up; paused counts as up). A service without checks
//! stays unknown: nobody looked. What is down while something it depends on is down is down *because of* that; this is a
//! mark beside the state and never changes state, history or clocks. The cause named is the root: the far end of the chain
//! of dependencies that are down. A dependency that is failing but not yet confirmed counts at the moment its dependent
//! goes down, and stays the cause only until it recovers; otherwise single failures would write to the journal. A service
//! without checks is looked through, since it can neither be down nor up.
//!
//! Pure. It hands back the events to be journaled: confirmed changes and changed causes, nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::machine::{self, CheckStatus};
use super::{Health, Outcome, ServiceRecord};
use crate::domain::catalog::Catalog;
use crate::domain::event::{Event, HealthChanged};
use crate::domain::time::Time;

mod cause;

/// What is known of a service at a moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceStatus {
    pub state: Health,
    /// When the state was confirmed.
    pub since: Time,
    /// While down: first failure of the streak that confirmed it. The clock of the recovery objective runs from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down_since: Option<Time>,
    /// The root it is down because of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// `http: 503 Service Unavailable`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The check that the state and the detail come from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub worst: String,
    /// An unconfirmed change of any check: n of m results, where it leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirming: Option<(u32, u32)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toward: Option<Health>,
    /// A check's state stands on no recent result.
    pub stale: bool,
    /// The most slots in a row that a check has missed.
    pub lag: u32,
}

/// Services by state, for the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub down: usize,
    pub degraded: usize,
    pub unknown: usize,
    pub up: usize,
    pub paused: usize,
    /// Down with nothing down above them: `1 DOWN (+29 affected)` says `roots` and `affected`.
    pub roots: usize,
    pub affected: usize,
}

#[derive(Debug)]
struct Node {
    name: String,
    parents: Vec<usize>,
    children: Vec<usize>,
    checks: Vec<(String, CheckStatus)>,
    status: ServiceStatus,
    paused: bool,
}

/// All services with their checks.
#[derive(Debug, Default)]
pub struct Board {
    nodes: Vec<Node>,
    index: HashMap<String, usize>,
}

impl Board {
    /// Services of the catalogue with the names of their checks, nothing known yet.
    pub fn new(catalog: &Catalog, checks: &BTreeMap<String, Vec<String>>) -> Self {
        let mut board = Board::default();
        for name in catalog.services.keys() {
            let names = checks.get(name).into_iter().flatten();
            board.index.insert(name.clone(), board.nodes.len());
            board.nodes.push(Node {
                name: name.clone(),
                parents: Vec::new(),
                children: Vec::new(),
                checks: names.map(|c| (c.clone(), CheckStatus::default())).collect(),
                status: ServiceStatus::default(),
                paused: false,
            });
        }
        for (name, facts) in &catalog.services {
            let Some(&child) = board.index.get(name) else { continue };
            for parent in facts.depends_on.iter().filter_map(|p| board.index.get(p).copied()) {
                if parent != child {
                    board.nodes[child].parents.push(parent);
                    board.nodes[parent].children.push(child);
                }
            }
        }
        board
    }

    /// What the journal knew before a restart: taken over as it stands, marked stale until its checks report.
    pub fn seed(&mut self, service: &str, record: &ServiceRecord) {
        let Some(node) = self.node_mut(service) else { return };
        let paused = record.state == Health::Paused;
        let known = matches!(record.state, Health::Up | Health::Degraded | Health::Down);
        for (_, check) in &mut node.checks {
            *check = CheckStatus {
                state: record.state,
                since: record.since,
                happened_at: record.down_since.unwrap_or(record.since),
                first_fail_at: record.down_since,
                stale: known,
                ..CheckStatus::default()
            };
        }
        node.paused = paused;
        node.status = ServiceStatus {
            state: record.state,
            since: record.since,
            down_since: record.down_since,
            because: record.because.clone(),
            detail: record.detail.clone(),
            stale: known,
            ..ServiceStatus::default()
        };
    }

    /// What a saved check knew before a restart; call after [`Board::seed`]. The service's state stays the journal's.
    pub fn seed_check(&mut self, service: &str, check: &str, status: CheckStatus) {
        if let Some(slot) = self.node_mut(service).and_then(|n| n.checks.iter_mut().find(|(name, _)| name == check)) {
            slot.1 = CheckStatus { stale: true, ..status };
        }
    }

    /// The board of another catalogue; what goes by the same names keeps what is known of it. Returns what changed by it: a
    /// service that lost its worst check, a cause that is gone.
    pub fn reconfigure(&mut self, catalog: &Catalog, checks: &BTreeMap<String, Vec<String>>) -> Vec<Event> {
        let mut old = std::mem::replace(self, Board::new(catalog, checks));
        for node in &mut self.nodes {
            let Some(before) = old.index.get(&node.name).and_then(|i| old.nodes.get_mut(*i)) else {
                continue;
            };
            for (name, status) in &mut node.checks {
                if let Some(known) = before.checks.iter_mut().find(|(n, _)| n == name) {
                    *status = std::mem::take(&mut known.1);
                }
            }
            node.status = std::mem::take(&mut before.status);
            node.paused = before.paused;
        }
        let mut events = Vec::new();
        for i in 0..self.nodes.len() {
            let happened_at = self.nodes[i].status.since;
            self.settle(i, happened_at, None, &mut events);
        }
        for i in 0..self.nodes.len() {
            self.blame(i, &mut events);
        }
        events
    }

    /// Takes in what a check says now.
    pub fn update(&mut self, service: &str, check: &str, status: CheckStatus) -> Vec<Event> {
        let mut events = Vec::new();
        let Some(&i) = self.index.get(service) else {
            return events;
        };
        let node = &mut self.nodes[i];
        let before = node.counts_as_cause();
        let Some(slot) = node.checks.iter_mut().find(|(name, _)| name == check) else {
            return events;
        };
        let (since, happened_at) = (status.since, status.happened_at);
        slot.1 = status;
        self.settle(i, happened_at, Some(since), &mut events);
        if self.nodes[i].counts_as_cause() != before || !events.is_empty() {
            self.blame_below(i, &mut events);
        }
        events
    }

    /// A person paused the service; journaled by whoever asked.
    pub fn pause(&mut self, service: &str, at: Time) -> Vec<Event> {
        self.set_paused(service, at, true)
    }

    /// The pause ended: unknown until the checks report.
    pub fn resume(&mut self, service: &str, at: Time) -> Vec<Event> {
        self.set_paused(service, at, false)
    }

    fn set_paused(&mut self, service: &str, at: Time, paused: bool) -> Vec<Event> {
        let mut events = Vec::new();
        let Some(&i) = self.index.get(service) else {
            return events;
        };
        let node = &mut self.nodes[i];
        if node.paused == paused {
            return events;
        }
        node.paused = paused;
        let state = if paused { Health::Paused } else { Health::Unknown };
        node.status = ServiceStatus { state, since: at, ..ServiceStatus::default() };
        for (_, check) in &mut node.checks {
            *check = CheckStatus { state, since: at, happened_at: at, ..CheckStatus::default() };
        }
        self.blame_below(i, &mut events);
        events
    }

    /// The wall clock was stepped: what is known is carried over to the clock as it reads now.
    pub fn step_clock(&mut self, by_ms: i64) {
        for node in &mut self.nodes {
            node.status.since = node.status.since.stepped(by_ms);
            node.status.down_since = node.status.down_since.map(|at| at.stepped(by_ms));
            node.checks.iter_mut().for_each(|(_, check)| check.step_clock(by_ms));
        }
    }

    /// What is known of a service.
    pub fn service(&self, name: &str) -> Option<&ServiceStatus> {
        self.index.get(name).and_then(|i| self.nodes.get(*i)).map(|n| &n.status)
    }

    /// Its checks, in configured order.
    pub fn checks(&self, service: &str) -> &[(String, CheckStatus)] {
        self.index.get(service).and_then(|i| self.nodes.get(*i)).map_or(&[], |n| &n.checks)
    }

    /// All services by name.
    pub fn services(&self) -> impl Iterator<Item = (&str, &ServiceStatus)> {
        self.nodes.iter().map(|n| (n.name.as_str(), &n.status))
    }

    /// What to look at at once when `service` fails: what it depends on, through services that have no checks of their own.
    pub fn parents_to_probe(&self, service: &str) -> Vec<&str> {
        let Some(&start) = self.index.get(service) else {
            return Vec::new();
        };
        let (mut seen, mut queue, mut found) = (BTreeSet::from([start]), vec![start], Vec::new());
        while let Some(i) = queue.pop() {
            for &p in &self.nodes[i].parents {
                if !seen.insert(p) {
                    continue;
                }
                let parent = &self.nodes[p];
                if parent.checks.is_empty() {
                    queue.push(p);
                } else {
                    found.push(parent.name.as_str());
                }
            }
        }
        found
    }

    /// Services by state, roots and affected.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        let mut seen = vec![None; self.nodes.len()];
        for (i, node) in self.nodes.iter().enumerate() {
            match node.status.state {
                Health::Down => {
                    counts.down += 1;
                    if self.is_below_down(i, &mut seen) {
                        counts.affected += 1;
                    } else {
                        counts.roots += 1;
                    }
                }
                Health::Degraded => counts.degraded += 1,
                Health::Unknown => counts.unknown += 1,
                Health::Up => counts.up += 1,
                Health::Paused => counts.paused += 1,
            }
        }
        counts
    }

    fn node_mut(&mut self, service: &str) -> Option<&mut Node> {
        self.index.get(service).and_then(|i| self.nodes.get_mut(*i))
    }

    /// Brings a service in line with its checks; an event when its state changed.
    fn settle(&mut self, i: usize, happened_at: Time, since: Option<Time>, events: &mut Vec<Event>) {
        let node = &mut self.nodes[i];
        if node.paused {
            return;
        }
        node.mark();
        let worst = node.worst();
        let from = node.status.state;
        let (to, name, detail) = match worst {
            Some((name, check)) => (counted(check.state), name.to_owned(), detail_of(name, check)),
            None => (Health::Unknown, String::new(), String::new()),
        };
        let first_fail = worst.and_then(|(_, c)| c.first_fail_at);
        if from == to {
            // A first success on the way up does not hide why it is down.
            let hides = matches!(to, Health::Down | Health::Degraded)
                && worst.is_some_and(|(_, c)| c.last.as_ref().is_some_and(|l| l.outcome == Outcome::Ok));
            if !hides || node.status.detail.is_empty() {
                node.status.detail = detail;
            }
            node.status.worst = name;
            return;
        }
        let since = since.unwrap_or(happened_at);
        let happened_at = if to == Health::Down { first_fail.unwrap_or(happened_at) } else { happened_at };
        node.status.worst = name;
        node.status.detail.clone_from(&detail);
        node.status.state = to;
        node.status.since = since;
        node.status.down_since = (to == Health::Down).then_some(happened_at);
        node.status.because = None;
        let (service, check) = (node.name.clone(), node.status.worst.clone());
        let because = (to == Health::Down).then(|| self.cause(i, true)).flatten();
        self.nodes[i].status.because.clone_from(&because);
        events.push(Event::HealthChanged(HealthChanged {
            service,
            from,
            to,
            check,
            detail,
            because,
            happened_at: Some(happened_at),
        }));
    }
}

impl Node {
    /// Down, or failing with the confirmation still out.
    fn counts_as_cause(&self) -> bool {
        self.status.state == Health::Down
            || (!self.paused && self.checks.iter().any(|(_, c)| c.is_failing()) && self.status.state != Health::Paused)
    }

    /// The worst check; of equals one that is failing, and of those the one that has been so for longest.
    fn worst(&self) -> Option<(&str, &CheckStatus)> {
        let rank = |c: &CheckStatus| {
            (counted(c.state), c.first_fail_at.is_none(), c.toward.is_none(), c.first_fail_at.unwrap_or(c.since))
        };
        self.checks.iter().min_by_key(|(_, c)| rank(c)).map(|(name, c)| (name.as_str(), c))
    }

    fn mark(&mut self) {
        let status = &mut self.status;
        let toward = self.checks.iter().filter_map(|(_, c)| Some((c.toward?, c.confirming?)));
        let mark = toward.min_by_key(|(toward, _)| *toward);
        status.toward = mark.map(|m| m.0);
        status.confirming = mark.map(|m| m.1);
        status.stale = self.checks.iter().any(|(_, c)| c.stale);
        status.lag = self.checks.iter().map(|(_, c)| c.lag).max().unwrap_or(0);
    }
}

/// Paused counts as up.
fn counted(state: Health) -> Health {
    if state == Health::Paused { Health::Up } else { state }
}

/// `http: 503 Service Unavailable`; the check's name alone where there is nothing to say.
fn detail_of(name: &str, check: &CheckStatus) -> String {
    if check.stale && check.state == Health::Unknown {
        let since = check.observed_at.map_or_else(String::new, |t| format!(" since {} UTC", t.hms()));
        let why = check.last.as_ref().filter(|l| !l.outcome.is_conclusive() && !l.detail.is_empty());
        return match why {
            Some(last) => format!("{name}: no result{since}: {}", last.detail),
            None => format!("{name}: no result{since}"),
        };
    }
    match &check.last {
        Some(last) if !last.detail.is_empty() => format!("{name}: {}", last.detail),
        _ => String::new(),
    }
}

impl ServiceStatus {
    /// Its marks in words: `confirming down 1/3`, `stale`.
    pub fn marks(&self) -> Vec<String> {
        machine::marks(
            &CheckStatus {
                confirming: self.confirming,
                toward: self.toward,
                stale: self.stale,
                lag: self.lag,
                ..CheckStatus::default()
            },
            None,
        )
    }
}

#[cfg(test)]
mod tests;
