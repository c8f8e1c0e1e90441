//! Watching the clocks: steps of the wall clock and suspensions of the host, so that no timer lies.

use crate::domain::event::{ClockStepped, Event, HostSuspended};
use crate::sys::clock::Clock;

/// A difference below this is drift or a slow tick, in milliseconds.
const STEP_MS: i64 = 1_000;
const SUSPEND_MS: u64 = 2_000;

/// Compares the three clocks between two looks.
#[derive(Debug)]
pub struct Timekeeper {
    wall: i64,
    boot: u64,
    mono: u64,
}

impl Timekeeper {
    pub fn new(clock: &dyn Clock) -> Self {
        Timekeeper { wall: clock.wall_ms(), boot: clock.boot_ms(), mono: clock.mono_ms() }
    }

    /// What happened to the clocks since the last look.
    pub fn look(&mut self, clock: &dyn Clock) -> Vec<Event> {
        let (wall, boot, mono) = (clock.wall_ms(), clock.boot_ms(), clock.mono_ms());
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
