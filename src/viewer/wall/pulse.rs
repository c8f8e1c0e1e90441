//! Whether the engine's clock still runs.
//!
//! A link that still brings bytes proves nothing: what counts is that the clock in them moves on.

use crate::domain::Time;

/// Milliseconds without a step of the engine's clock until nothing counts as current.
pub const STALLED: u64 = 3000;

/// The engine's clock, and when it last moved by this screen's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    at: Time,
    moved: Option<u64>,
}

impl Pulse {
    /// Takes in what the engine's clock shows at `now_ms` of a clock that is never stepped.
    pub fn see(&mut self, at: Time, now_ms: u64) {
        if at != self.at {
            *self = Pulse { at, moved: Some(now_ms) };
        }
    }

    /// What the engine's clock showed last; `None` before its first word.
    pub fn last(&self) -> Option<Time> {
        self.moved.map(|_| self.at)
    }

    /// Milliseconds since it moved; 0 before its first word.
    pub fn age_ms(&self, now_ms: u64) -> u64 {
        self.moved.map_or(0, |at| now_ms.saturating_sub(at))
    }

    pub fn is_stalled(&self, now_ms: u64) -> bool {
        self.age_ms(now_ms) > STALLED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_stands_still_is_a_stalled_engine() {
        let mut pulse = Pulse::default();
        assert!(!pulse.is_stalled(99_000));
        let at = Time::from_ms(5_000_000);
        pulse.see(at, 1000);
        pulse.see(at, 4000);
        assert!(!pulse.is_stalled(4000));
        assert!(pulse.is_stalled(4001));
        // Stepped back is moved as well.
        pulse.see(Time::from_ms(4_000_000), 4500);
        assert_eq!(pulse.age_ms(5000), 500);
    }
}
