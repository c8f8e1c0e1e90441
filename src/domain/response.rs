//! The response time: how long an incident may go unacknowledged.
//!
//! It counts from the declaration. Which one holds is decided by the severity in force when it ran out, or when somebody
//! acknowledged before that: raised in between, the incident has the shorter time, also where that has passed already;
//! lowered after it ran out, it stays missed. The phase clock, the review and the figures over incidents go by this alone.

use serde::{Deserialize, Serialize};

use super::catalog::Severity;

/// A severity and since when it is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// Milliseconds since the declaration, steps of the wall clock taken out.
    pub t_ms: i64,
    pub severity: Severity,
}

/// The response time that holds, and how it was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    pub severity: Severity,
    pub limit_ms: u64,
    /// T+ of the acknowledgement, else up to when it is known that there was none.
    pub t_ms: i64,
}

impl Response {
    /// Milliseconds beyond it; negative while there is time left.
    pub fn late_ms(&self) -> i64 {
        self.t_ms.saturating_sub(i64::try_from(self.limit_ms).unwrap_or(i64::MAX))
    }
}

/// What holds at T+ `until_ms`, the acknowledgement or the moment up to which there was none. `changes`: the severities
/// up to then, the declaration's first; `limit`: the response time of each. `None` where none is promised.
pub fn response(changes: &[Since], until_ms: i64, limit: impl Fn(Severity) -> Option<u64>) -> Option<Response> {
    let mut holds = None;
    for (i, change) in changes.iter().enumerate() {
        let next = changes.get(i + 1).map(|next| next.t_ms);
        // What was taken back in the same moment was never in force.
        if next.is_some_and(|next| next <= change.t_ms) {
            continue;
        }
        let found = limit(change.severity).map(|limit_ms| Response {
            severity: change.severity,
            limit_ms,
            t_ms: next.map_or(until_ms, |next| next.min(until_ms)),
        });
        holds = found;
        if found.is_some_and(|r| r.late_ms() > 0) {
            break;
        }
    }
    holds.map(|r: Response| Response { t_ms: until_ms, ..r })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn limit(severity: Severity) -> Option<u64> {
        match severity {
            Severity::P0 => Some(5 * 60_000),
            Severity::P1 => Some(15 * 60_000),
            _ => None,
        }
    }

    /// Severities with the minute of each, and the minute of the acknowledgement; what holds, and how late it is.
    #[track_caller]
    fn assert(changes: &[(i64, Severity)], until: i64, holds: Option<(Severity, i64)>) {
        let changes: Vec<Since> =
            changes.iter().map(|(t, severity)| Since { t_ms: t * MINUTE, severity: *severity }).collect();
        let found = response(&changes, until * MINUTE, limit).map(|r| (r.severity, r.late_ms() / MINUTE));
        assert_eq!(found, holds);
    }

    #[test]
    fn the_severity_in_force_when_it_ran_out_or_was_acknowledged_decides() {
        use Severity::{P0, P1, P2};
        assert(&[(0, P0)], 5, Some((P0, 0)));
        assert(&[(0, P0)], 7, Some((P0, 2)));
        // Raised: the shorter time, from the declaration, also where it has passed already.
        assert(&[(0, P1), (1, P0)], 7, Some((P0, 2)));
        assert(&[(0, P1), (10, P0)], 10, Some((P0, 5)));
        assert(&[(0, P2), (1, P0)], 4, Some((P0, -1)));
        // Lowered in time: the longer one. Lowered after it ran out: missed stays missed.
        assert(&[(0, P0), (4, P1)], 9, Some((P1, -6)));
        assert(&[(0, P0), (6, P1)], 9, Some((P0, 4)));
        assert(&[(0, P0), (4, P2)], 90, None);
        // Set and taken back at once.
        assert(&[(0, P1), (8, P0), (8, P1)], 9, Some((P1, -6)));
        assert(&[], 9, None);
    }
}
