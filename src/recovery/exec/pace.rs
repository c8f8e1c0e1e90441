//! How fast a flood of output is read.
//!
//! A command that prints without end would keep one processor busy with cleaning, masking and writing what nobody can
//! read, beside the engine and the screens that people wait for. Reading more slowly holds the command up instead: a
//! full pipe blocks its writer. Ordinary output never gets there.

use std::time::Duration;

use tokio::time::Instant;

/// The share of one processor that taking in output may have over time: one in this many.
const SHARE: u32 = 4;
/// Work that may be done at one go before the reader rests.
const BURST: Duration = Duration::from_millis(5);
/// Of one piece no more than this counts: the rest was waiting for a disk, and the reader must not sleep long.
const MOST: Duration = Duration::from_millis(20);

/// Counts the time that taking in output has cost, and says when to rest.
#[derive(Debug)]
pub(super) struct Pace {
    owed: Duration,
    at: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Pace {
        Pace { owed: Duration::ZERO, at: now }
    }

    /// Taking in a piece lasted from `began` to `now`.
    pub(super) fn worked(&mut self, began: Instant, now: Instant) {
        let idle = began.saturating_duration_since(self.at) / SHARE;
        self.owed = self.owed.saturating_sub(idle) + now.saturating_duration_since(began).min(MOST);
        self.at = now;
    }

    /// Nothing is read before this moment; `None` while there is no hurry to slow down.
    pub(super) fn rest(&self) -> Option<Instant> {
        (self.owed > BURST).then(|| self.at + self.owed * SHARE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gets_its_share_and_a_trickle_all_it_wants() {
        let ms = Duration::from_millis;
        let begun = Instant::now();
        let (mut pace, mut now, mut worked) = (Pace::new(begun), begun, Duration::ZERO);
        while now < begun + ms(10_000) {
            if let Some(rest) = pace.rest() {
                now = now.max(rest);
            }
            pace.worked(now, now + ms(1));
            now += ms(1);
            worked += ms(1);
        }
        assert!(worked > ms(1_800) && worked < ms(2_600), "{worked:?} of ten seconds");

        let mut pace = Pace::new(begun);
        for n in 0..1_000u64 {
            let at = begun + ms(n * 10);
            pace.worked(at, at + ms(2));
            assert_eq!(pace.rest(), None, "a piece of 2 ms every 10 ms, number {n}");
        }
    }
}
