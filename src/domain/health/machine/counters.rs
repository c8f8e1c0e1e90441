//! Counting conclusive results: what the state machine decides by.

use serde::{Deserialize, Serialize};

use crate::domain::health::Outcome;
use crate::domain::time::Time;

/// Results that K looks at.
pub const WINDOW: u32 = 10;

/// A trailing run of results of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Streak {
    pub count: u32,
    /// When its first result came; meaningless while `count` is zero.
    pub since: Time,
}

impl Streak {
    fn step(&mut self, goes_on: bool, at: Time) {
        self.count = if goes_on { self.count.saturating_add(1) } else { 0 };
        if self.count == 1 {
            self.since = at;
        }
    }
}

/// Trailing counts of conclusive results; see the head of this file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// F
    pub fails: Streak,
    /// W
    pub bad: Streak,
    /// S
    pub oks: Streak,
    /// N
    pub passing: Streak,
    /// The last ten results, newest in the lowest bit; 1 is a fail.
    pub window: u16,
    /// When those came, newest first.
    pub moments: [Time; WINDOW as usize],
}

impl Counters {
    pub(super) fn add(&mut self, outcome: Outcome, at: Time) {
        let fail = outcome == Outcome::Fail;
        self.fails.step(fail, at);
        self.bad.step(outcome != Outcome::Ok, at);
        self.oks.step(outcome == Outcome::Ok, at);
        self.passing.step(!fail, at);
        self.window = ((self.window << 1) | u16::from(fail)) & ((1 << WINDOW) - 1);
        self.moments.rotate_right(1);
        if let Some(newest) = self.moments.first_mut() {
            *newest = at;
        }
    }

    pub(super) fn step_clock(&mut self, by_ms: i64) {
        for streak in [&mut self.fails, &mut self.bad, &mut self.oks, &mut self.passing] {
            streak.since = streak.since.stepped(by_ms);
        }
        for moment in &mut self.moments {
            *moment = moment.stepped(by_ms);
        }
    }

    /// K
    pub fn failed_of_window(&self) -> u32 {
        self.window.count_ones()
    }

    /// The oldest fail that K counts.
    pub(super) fn first_fail_of_window(&self) -> Time {
        let oldest = (0..WINDOW as usize).rev().find(|i| self.window >> i & 1 == 1);
        oldest.and_then(|i| self.moments.get(i).copied()).unwrap_or(self.fails.since)
    }
}
