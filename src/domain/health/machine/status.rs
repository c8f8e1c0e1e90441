//! What a machine says and what it resumes from.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counters::{Counters, Streak};
use crate::domain::health::{Health, ProbeResult};
use crate::domain::time::Time;
use crate::text::duration_long;

/// A confirmed change of a check's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub from: Health,
    pub to: Health,
    /// When it really began: first failure of the confirming streak, first success, or the moment it went stale.
    pub happened_at: Time,
    /// Why, in words.
    pub detail: String,
}

/// What is known of a check at a moment. The state is confirmed; the rest are marks and never change it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckStatus {
    pub state: Health,
    /// When the state was confirmed.
    pub since: Time,
    /// When what the state says really began; see [`Change::happened_at`].
    pub happened_at: Time,
    /// An unconfirmed change is under way: n of m results, and where it leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirming: Option<(u32, u32)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toward: Option<Health>,
    /// First failure of the present failing streak; while down, of the streak that confirmed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_fail_at: Option<Time>,
    /// The last result, conclusive or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Arc<ProbeResult>>,
    /// When the last conclusive result was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Time>,
    /// The state stands on results of before a restart, or on none within the time that they hold.
    pub stale: bool,
    /// Slots in a row that were skipped because the probe before was still running.
    pub lag: u32,
}

impl CheckStatus {
    /// The wall clock was stepped: the same moments on the clock as it reads now.
    pub fn step_clock(&mut self, by_ms: i64) {
        self.since = self.since.stepped(by_ms);
        self.happened_at = self.happened_at.stepped(by_ms);
        self.first_fail_at = self.first_fail_at.map(|at| at.stepped(by_ms));
        self.observed_at = self.observed_at.map(|at| at.stepped(by_ms));
    }

    /// Failing, but not yet down.
    pub fn is_failing(&self) -> bool {
        self.toward == Some(Health::Down)
    }
}

/// What a machine resumes from after a restart: saved streaks, or at least the state the journal knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seed {
    pub state: Health,
    pub since: Time,
    pub happened_at: Time,
    /// First failure of the streak that made it down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_fail_at: Option<Time>,
    /// When the last conclusive result was seen; `None` counts as just now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Time>,
    pub counters: Counters,
}

impl Seed {
    /// The wall clock was stepped: the same moments on the clock as it reads now.
    pub fn step_clock(&mut self, by_ms: i64) {
        self.since = self.since.stepped(by_ms);
        self.happened_at = self.happened_at.stepped(by_ms);
        self.first_fail_at = self.first_fail_at.map(|at| at.stepped(by_ms));
        self.observed_at = self.observed_at.map(|at| at.stepped(by_ms));
        self.counters.step_clock(by_ms);
    }

    /// From the state alone, as a journal has it.
    pub fn new(state: Health, since: Time, down_since: Option<Time>) -> Self {
        let first_fail_at = (state == Health::Down).then(|| down_since.unwrap_or(since));
        let fails = first_fail_at.map(|since| Streak { count: 1, since }).unwrap_or_default();
        Seed {
            state,
            since,
            happened_at: first_fail_at.unwrap_or(since),
            first_fail_at,
            observed_at: None,
            counters: Counters { fails, bad: fails, ..Counters::default() },
        }
    }
}

/// `confirming 1/3`, `stale`, `2 slots skipped`: the marks of a status in words, for a list.
pub fn marks(status: &CheckStatus, silent_ms: Option<u64>) -> Vec<String> {
    let mut out = Vec::new();
    if let (Some((n, m)), Some(toward)) = (status.confirming, status.toward) {
        out.push(format!("confirming {} {n}/{m}", toward.word()));
    }
    if status.stale {
        out.push(match silent_ms {
            Some(ms) => format!("stale {}", duration_long(Duration::from_millis(ms))),
            None => "stale".into(),
        });
    }
    if status.lag > 0 {
        out.push(format!("{} skipped", crate::text::plural(status.lag as usize, "slot")));
    }
    out
}
