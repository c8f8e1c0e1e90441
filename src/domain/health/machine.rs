//! The state machine of one check: results go in, confirmed changes come out.
//!
//! A result confirms nothing by itself. Counters run over *conclusive* results (ok, warn, fail) only; our own faults and
//! skipped probes leave them alone and, lasting, make the check unknown:
//!
//! - F: trailing fails; W: trailing warns or fails; S: trailing oks; N: trailing results that are not fails;
//! - K: fails among the last ten results since the last change from down to up, so that a finished outage does not linger.
//!
//! | from | to | when |
//! | --- | --- | --- |
//! | unknown | up, degraded, down | S ≥ 1; the last is a warn; F ≥ `down_after` |
//! | up | degraded | W ≥ `degraded_after`, or K ≥ `degraded_ratio` |
//! | up, degraded | down | F ≥ `down_after`, or K ≥ `down_ratio` |
//! | down | up | S ≥ `up_after` |
//! | down | degraded | N ≥ `up_after` and the last is a warn |
//! | degraded | up | S ≥ `up_after` and K < `degraded_ratio` |
//! | any but paused | unknown | no conclusive result for `stale_after` |
//! | any, paused | paused, unknown | a person pauses, resumes |
//!
//! K can only grow with a fail, so its thresholds are looked at only when the last result is one; otherwise the warns that
//! lead from down to degraded would lead straight back. Pure: moments come in as values. Durations are taken from the boot
//! clock, which goes on while the machine is suspended; wall time is only written down.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Health, Outcome, ProbeResult};
use crate::domain::time::Time;
use crate::text::duration;

mod counters;
mod status;

pub use counters::{Counters, Streak, WINDOW};
pub use status::{Change, CheckStatus, Seed, marks};

/// How many results confirm a change. Counts of zero are taken as one, ratios of zero as "never".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Consecutive fails that make it down.
    pub down_after: u32,
    /// Consecutive oks that make it up again.
    pub up_after: u32,
    /// Consecutive warns or fails that make it degraded.
    pub degraded_after: u32,
    /// Fails among the last ten that make it down.
    pub down_ratio: u32,
    /// Fails among the last ten that make it degraded.
    pub degraded_ratio: u32,
    /// Milliseconds without a conclusive result after which nothing is known.
    pub stale_after_ms: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            down_after: 3,
            up_after: 2,
            degraded_after: 3,
            down_ratio: 7,
            degraded_ratio: 3,
            stale_after_ms: 35_000,
        }
    }
}

/// The machine of one check.
#[derive(Clone, Debug)]
pub struct Machine {
    rules: Rules,
    status: CheckStatus,
    counters: Counters,
    /// The last conclusive result (or the start, with a seed that does not say) on both clocks.
    seen_at: Time,
    seen_boot_ms: u64,
}

impl Machine {
    /// A check nothing is known of.
    pub fn new(rules: Rules, now: Time, boot_ms: u64) -> Self {
        Machine::seeded(rules, Seed::new(Health::Unknown, now, None), now, boot_ms)
    }

    /// Goes on where the machine of before left off. The state is marked stale until a conclusive result comes, and becomes
    /// unknown by [`Machine::tick`] when the last one is older than the rules allow.
    pub fn seeded(rules: Rules, seed: Seed, now: Time, boot_ms: u64) -> Self {
        let seen_at = seed.observed_at.unwrap_or(now);
        let age = u64::try_from(now.ms_since(seen_at)).unwrap_or(0);
        Machine {
            rules,
            status: CheckStatus {
                state: seed.state,
                since: seed.since,
                happened_at: seed.happened_at,
                first_fail_at: seed.first_fail_at,
                observed_at: seed.observed_at,
                stale: matches!(seed.state, Health::Up | Health::Degraded | Health::Down),
                ..CheckStatus::default()
            },
            counters: seed.counters,
            seen_at,
            seen_boot_ms: boot_ms.saturating_sub(age),
        }
    }

    /// What to resume from after a restart.
    pub fn save(&self) -> Seed {
        Seed {
            state: self.status.state,
            since: self.status.since,
            happened_at: self.status.happened_at,
            first_fail_at: self.status.first_fail_at,
            observed_at: self.status.observed_at,
            counters: self.counters,
        }
    }

    /// The same machine under other rules, after a reload.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
        self.mark();
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    pub fn status(&self) -> &CheckStatus {
        &self.status
    }

    /// Slots in a row that were skipped; a mark only.
    pub fn set_lag(&mut self, lag: u32) {
        self.status.lag = lag;
    }

    /// Takes in one result that came at `at`, the boot clock showing `boot_ms`.
    pub fn observe(&mut self, result: &Arc<ProbeResult>, at: Time, boot_ms: u64) -> Option<Change> {
        if self.status.state == Health::Paused {
            return None;
        }
        self.status.last = Some(Arc::clone(result));
        if !result.outcome.is_conclusive() {
            return self.tick(boot_ms);
        }
        self.counters.add(result.outcome, at);
        (self.seen_at, self.seen_boot_ms) = (at, boot_ms);
        self.status.observed_at = Some(at);
        self.status.stale = false;
        let change = self.next(result.outcome).map(|(to, happened_at)| {
            let change = Change { from: self.status.state, to, happened_at, detail: result.detail.clone() };
            self.enter(to, at, happened_at);
            change
        });
        self.mark();
        change
    }

    /// Time went by: without a conclusive result for `stale_after` nothing is known any more.
    pub fn tick(&mut self, now_boot_ms: u64) -> Option<Change> {
        let silent = now_boot_ms.saturating_sub(self.seen_boot_ms);
        if silent < self.rules.stale_after_ms.max(1) || matches!(self.status.state, Health::Unknown | Health::Paused) {
            return None;
        }
        let happened_at = self.seen_at.plus(Duration::from_millis(self.rules.stale_after_ms));
        let why = self.status.last.as_ref().filter(|l| !l.outcome.is_conclusive() && !l.detail.is_empty());
        let mut detail = format!("no result for {}", duration(Duration::from_millis(silent)));
        if let Some(last) = why {
            detail.push_str(": ");
            detail.push_str(&last.detail);
        }
        let change = Change { from: self.status.state, to: Health::Unknown, happened_at, detail };
        let at = self.seen_at.plus(Duration::from_millis(silent));
        // What was under way is too old to confirm anything. Only an outage that was confirmed goes on from where it
        // began, so that its clock does not start over when the next result is a fail again.
        let fails = (self.status.state == Health::Down).then_some(self.counters.fails);
        self.counters = Counters { fails: fails.unwrap_or_default(), ..Counters::default() };
        self.enter(Health::Unknown, at, happened_at);
        self.status.stale = true;
        self.mark();
        Some(change)
    }

    /// The wall clock was stepped: what is known is carried over to the clock as it reads now.
    pub fn step_clock(&mut self, by_ms: i64) {
        self.status.step_clock(by_ms);
        self.counters.step_clock(by_ms);
        self.seen_at = self.seen_at.stepped(by_ms);
    }

    /// A person paused it.
    pub fn pause(&mut self, at: Time) -> Option<Change> {
        if self.status.state == Health::Paused {
            return None;
        }
        let change = Change { from: self.status.state, to: Health::Paused, happened_at: at, detail: "paused".into() };
        self.enter(Health::Paused, at, at);
        self.forget();
        Some(change)
    }

    /// A person, or the end of the pause, resumed it: nothing is known until the next result.
    pub fn resume(&mut self, at: Time) -> Option<Change> {
        if self.status.state != Health::Paused {
            return None;
        }
        let change = Change { from: Health::Paused, to: Health::Unknown, happened_at: at, detail: "resumed".into() };
        self.enter(Health::Unknown, at, at);
        self.forget();
        Some(change)
    }

    /// A change is under way and unconfirmed, so that it pays to look again soon.
    pub fn is_confirming(&self) -> bool {
        self.status.confirming.is_some()
    }

    fn forget(&mut self) {
        self.counters = Counters::default();
        self.status.stale = false;
        self.status.first_fail_at = None;
        self.mark();
    }

    /// Where the counters lead, and since when it has been so.
    fn next(&self, last: Outcome) -> Option<(Health, Time)> {
        let (r, c) = (&self.rules, &self.counters);
        let k = c.failed_of_window();
        let failed = last == Outcome::Fail;
        let down_by_streak = c.fails.count >= r.down_after.max(1);
        let down_by_ratio = failed && r.down_ratio > 0 && k >= r.down_ratio;
        let degraded_by_ratio = failed && r.degraded_ratio > 0 && k >= r.degraded_ratio;
        let up_after = r.up_after.max(1);
        match self.status.state {
            Health::Paused => None,
            Health::Unknown if down_by_streak => Some((Health::Down, c.fails.since)),
            Health::Unknown => match last {
                Outcome::Ok => Some((Health::Up, c.oks.since)),
                Outcome::Warn => Some((Health::Degraded, c.bad.since)),
                _ => None,
            },
            Health::Up | Health::Degraded if down_by_streak => Some((Health::Down, c.fails.since)),
            Health::Up | Health::Degraded if down_by_ratio => Some((Health::Down, c.first_fail_of_window())),
            Health::Up if c.bad.count >= r.degraded_after.max(1) => Some((Health::Degraded, c.bad.since)),
            Health::Up if degraded_by_ratio => Some((Health::Degraded, c.first_fail_of_window())),
            Health::Up => None,
            Health::Degraded if c.oks.count >= up_after && (r.degraded_ratio == 0 || k < r.degraded_ratio) => {
                Some((Health::Up, c.oks.since))
            }
            Health::Degraded => None,
            Health::Down if c.oks.count >= up_after => Some((Health::Up, c.oks.since)),
            Health::Down if c.passing.count >= up_after && last == Outcome::Warn => {
                Some((Health::Degraded, c.passing.since))
            }
            Health::Down => None,
        }
    }

    fn enter(&mut self, to: Health, at: Time, happened_at: Time) {
        if self.status.state == Health::Down && to == Health::Up {
            self.counters.window = 0;
        }
        self.status.state = to;
        self.status.since = at;
        self.status.happened_at = happened_at;
        if to == Health::Down {
            self.status.first_fail_at = Some(happened_at);
        }
    }

    /// Brings the marks in line with the counters.
    fn mark(&mut self) {
        let (r, c) = (&self.rules, &self.counters);
        let (down, up, degraded) = (r.down_after.max(1), r.up_after.max(1), r.degraded_after.max(1));
        let under = |n: u32, m: u32, to: Health| (n > 0 && n < m).then_some(((n, m), to));
        let mark = match self.status.state {
            Health::Paused => None,
            Health::Unknown if self.status.stale => None,
            Health::Unknown => under(c.fails.count, down, Health::Down),
            Health::Up => {
                under(c.fails.count, down, Health::Down).or_else(|| under(c.bad.count, degraded, Health::Degraded))
            }
            Health::Degraded => under(c.fails.count, down, Health::Down).or_else(|| under(c.oks.count, up, Health::Up)),
            Health::Down => under(c.oks.count, up, Health::Up).or_else(|| under(c.passing.count, up, Health::Degraded)),
        };
        self.status.confirming = mark.map(|m| m.0);
        self.status.toward = mark.map(|m| m.1);
        if self.status.state != Health::Down {
            self.status.first_fail_at = (c.fails.count > 0).then_some(c.fails.since);
        }
    }
}

#[cfg(test)]
mod tests;
