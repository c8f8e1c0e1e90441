//! Watching the clocks: steps of the wall clock and suspensions of the host, so that no timer lies.

use crate::domain::Time;
use crate::domain::event::{ClockStepped, Event, HostSuspended};
use crate::sys::clock::Clock;

/// A difference below this is drift or a slow tick, in milliseconds.
const STEP_MS: i64 = 1_000;
const SUSPEND_MS: u64 = 2_000;
/// Between the readings of two clocks, milliseconds.
const HELD_UP_MS: u64 = 100;

/// Compares the three clocks between two looks.
#[derive(Debug)]
pub struct Timekeeper {
    wall: i64,
    boot: u64,
    mono: u64,
}

impl Timekeeper {
    pub fn new(clock: &dyn Clock) -> Self {
        let (wall, boot, mono) = read(clock);
        Timekeeper { wall, boot, mono }
    }

    /// By how much the wall clock was stepped since it read `at` while the boot clock of this boot read `boot_ms`, if it
    /// was: for what was noted by others, or by an engine before this one.
    pub fn stepped_since(&self, at: Time, boot_ms: u64) -> Option<i64> {
        let passed = self.boot.cast_signed().saturating_sub(boot_ms.cast_signed());
        let step = self.wall.saturating_sub(at.ms()).saturating_sub(passed);
        // A clock that is slewed drifts by 500 in a million at the most.
        (step.abs() > STEP_MS + passed.abs() / 2_000).then_some(step)
    }

    /// What happened to the clocks since the last look.
    pub fn look(&mut self, clock: &dyn Clock) -> Vec<Event> {
        let (wall, boot, mono) = read(clock);
        let mut events = Vec::new();
        let slept = boot.saturating_sub(self.boot).saturating_sub(mono.saturating_sub(self.mono));
        if slept > SUSPEND_MS {
            events.push(HostSuspended { for_ms: slept }.into());
        }
        let passed = i64::try_from(boot.saturating_sub(self.boot)).unwrap_or(i64::MAX);
        let step = (wall - self.wall).saturating_sub(passed);
        if step.abs() > STEP_MS {
            events.push(ClockStepped { by_ms: step }.into());
        }
        (self.wall, self.boot, self.mono) = (wall, boot, mono);
        events
    }
}

/// All three as of one moment: read again when this process was held up in between.
fn read(clock: &dyn Clock) -> (i64, u64, u64) {
    let mut before = clock.boot_ms();
    for _ in 0..3 {
        let (wall, mono, boot) = (clock.wall_ms(), clock.mono_ms(), clock.boot_ms());
        if boot.abs_diff(before) < HELD_UP_MS {
            return (wall, boot, mono);
        }
        before = boot;
    }
    (clock.wall_ms(), clock.boot_ms(), clock.mono_ms())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::FakeClock;

    #[test]
    fn steps_and_suspensions_are_told_apart() {
        let clock = FakeClock::new(1_000_000_000_000);
        let mut keeper = Timekeeper::new(&clock);
        clock.advance(60_000);
        assert!(keeper.look(&clock).is_empty());
        clock.set_wall(clock.wall_ms() - 3_600_000);
        assert_eq!(keeper.look(&clock), [ClockStepped { by_ms: -3_600_000 }.into()]);
        clock.suspend(600_000);
        assert_eq!(keeper.look(&clock), [HostSuspended { for_ms: 600_000 }.into()]);
        clock.advance(1_000);
        assert!(keeper.look(&clock).is_empty());
    }
}
