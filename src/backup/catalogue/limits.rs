//! The patience of the catalogue.

use std::time::Duration;

/// How patient the catalogue is. The defaults are for real folders; tests make them short.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Newest copies kept and reported per set.
    pub kept: usize,
    /// Rescan interval where the configuration says nothing.
    pub rescan: Duration,
    /// After a change the folder is left to settle for this long before the look.
    pub debounce: Duration,
    /// Silence after which a look counts as hanging.
    pub hang_after: Duration,
    /// Copies read to their end per set, from the newest on, until a good one is found.
    pub read: usize,
    /// Stored bytes of a copy read per second at the most: disks do not know of priorities as processors do.
    pub pace: u64,
    /// Looks running at the same time, those not counted that take longer than `slow`.
    pub at_once: usize,
    /// See `at_once`.
    pub slow: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            kept: 200,
            rescan: Duration::from_secs(60),
            debounce: Duration::from_millis(300),
            hang_after: Duration::from_secs(15),
            read: 5,
            pace: 64 << 20,
            at_once: 8,
            slow: Duration::from_secs(1),
        }
    }
}
