//! When a delivery is tried again, and when it is given up. Pure: the same attempt gives the same answer.
//!
//! The wait doubles from [`FIRST`] to [`LONGEST`], spread by a fifth either way with a jitter taken from the message's
//! key, so that many messages do not knock in step and a replay gives the same times. A far end that names a time
//! (`Retry-After`) is waited for. What the far end refused for good is not tried again.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::Attempt;
use crate::domain::Time;
use crate::domain::message::Delivery;

/// Wait after the first attempt.
pub const FIRST: Duration = Duration::from_secs(2);
/// Longest wait of the backoff.
pub const LONGEST: Duration = Duration::from_secs(300);
/// Longest wait that a far end may ask for.
pub const LONGEST_ASKED: Duration = Duration::from_secs(3600);
/// How long after the message was queued it is given up.
pub const HORIZON: Duration = Duration::from_secs(4 * 3600);
/// Attempts that a message gets however late its first one was, as after a long suspend.
pub const AT_LEAST: u32 = 6;
/// Age from which a first attempt counts as late and the message says so.
pub const LATE: Duration = Duration::from_secs(120);

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again, not before this moment.
    At(Time),
    /// Nothing more is tried: after a retryable attempt the message is then *undelivered*.
    GiveUp,
}

/// What follows `attempt` number `number` (from 1) on `channel` of the message `key`, queued at `queued`.
pub fn next(key: &str, channel: &str, number: u32, attempt: &Attempt, queued: Time, now: Time) -> Next {
    next_within(key, channel, number, attempt, queued, now, HORIZON)
}

/// As [`next`], with a horizon of its own.
pub fn next_within(
    key: &str,
    channel: &str,
    number: u32,
    attempt: &Attempt,
    queued: Time,
    now: Time,
    horizon: Duration,
) -> Next {
    if attempt.result != Delivery::Retrying {
        return Next::GiveUp;
    }
    let deadline = queued.plus(horizon);
    if now >= deadline && number >= AT_LEAST {
        return Next::GiveUp;
    }
    let asked = attempt.retry_after.unwrap_or_default().min(LONGEST_ASKED);
    let at = now.plus(backoff(key, channel, number).max(asked));
    // One last attempt at the very end rather than none, unless the far end asked to be left alone for longer.
    if at > deadline && now < deadline && asked.is_zero() {
        return Next::At(deadline.max(now.plus(FIRST)));
    }
    Next::At(at)
}

/// The wait after attempt `number`, without regard to what the far end asked for.
pub fn backoff(key: &str, channel: &str, number: u32) -> Duration {
    let doubled = FIRST.saturating_mul(1_u32 << number.saturating_sub(1).min(16)).min(LONGEST);
    let digest = Sha256::digest(format!("{key}\0{channel}\0{number}"));
    let share = digest.first_chunk::<2>().map_or(0, |b| u64::from(u16::from_be_bytes(*b)));
    // 0.8 to 1.2 of the doubled wait.
    let ms = u64::try_from(doubled.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(ms * 8 / 10 + ms * 4 / 10 * share / u64::from(u16::MAX))
}

/// How late a message queued at `queued` is when its first attempt happens now; `None` when it is in time.
pub fn late(queued: Time, now: Time) -> Option<Duration> {
    let age = now.since(queued);
    (age >= LATE).then_some(age)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retrying(after: Option<u64>) -> Attempt {
        Attempt { result: Delivery::Retrying, answer: "503".into(), retry_after: after.map(Duration::from_secs) }
    }

    fn at(secs: i64) -> Time {
        Time::from_ms(secs * 1000)
    }

    #[test]
    fn waits_double_to_the_cap_within_a_fifth() {
        for (number, secs) in [(1, 2), (2, 4), (3, 8), (7, 128), (8, 256), (9, 300), (40, 300)] {
            let wait = backoff("k", "c", number).as_secs_f64();
            let wanted = f64::from(secs);
            assert!((wanted * 0.8..=wanted * 1.2).contains(&wait), "{number}: {wait}");
        }
        assert_eq!(backoff("k", "c", 3), backoff("k", "c", 3));
        assert_ne!(backoff("k", "c", 3), backoff("k", "d", 3));
    }

    #[test]
    fn refused_and_accepted_are_final() {
        for result in [Delivery::Refused, Delivery::Accepted] {
            let attempt = Attempt { result, answer: String::new(), retry_after: Some(Duration::from_secs(1)) };
            assert_eq!(next("k", "c", 1, &attempt, at(0), at(1)), Next::GiveUp);
        }
    }

    #[test]
    fn the_far_end_is_waited_for_within_reason() {
        assert_eq!(next("k", "c", 1, &retrying(Some(60)), at(0), at(1)), Next::At(at(61)));
        assert_eq!(next("k", "c", 1, &retrying(Some(999_999)), at(0), at(1)), Next::At(at(3601)));
        // Asked for less than the backoff: the backoff counts.
        let Next::At(t) = next("k", "c", 9, &retrying(Some(1)), at(0), at(0)) else { panic!("gave up") };
        assert!(t >= at(240), "{t}");
    }

    #[test]
    fn given_up_after_the_horizon_but_not_untried() {
        let end = 4 * 3600;
        assert_eq!(next("k", "c", 60, &retrying(None), at(0), at(end)), Next::GiveUp);
        assert_eq!(next("k", "c", 60, &retrying(None), at(0), at(end - 10)), Next::At(at(end)));
        // First tried after a night of suspend: it still gets its attempts.
        assert!(matches!(next("k", "c", 1, &retrying(None), at(0), at(40_000)), Next::At(_)));
        assert_eq!(next("k", "c", AT_LEAST, &retrying(None), at(0), at(40_000)), Next::GiveUp);
    }

    #[test]
    fn late_only_when_it_matters() {
        assert_eq!(late(at(0), at(60)), None);
        assert_eq!(late(at(0), at(600)), Some(Duration::from_secs(600)));
        assert_eq!(late(at(100), at(0)), None);
    }

    proptest::proptest! {
        #[test]
        fn always_ends(number in 1_u32..200, secs in 0_i64..20_000, after in proptest::option::of(0_u64..100_000)) {
            let now = at(secs);
            match next("k", "c", number, &retrying(after), at(0), now) {
                Next::At(t) => proptest::prop_assert!(t > now && t <= now.plus(LONGEST_ASKED)),
                Next::GiveUp => proptest::prop_assert!(secs >= 4 * 3600 && number >= AT_LEAST),
            }
        }
    }
}
