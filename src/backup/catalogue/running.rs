//! What the task knows of a thread that it started.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Beat;

/// A look or a reading that runs.
pub struct Running {
    /// By tokio's time.
    pub since: Instant,
    /// Tells this call from another one for the same set.
    pub token: u64,
    /// Its signs of life.
    pub beat: Arc<Beat>,
    /// The count last seen, and since when: by tokio's time and by the machine's own, as tests may stop or hurry the
    /// first.
    last_beat: (u64, Instant, std::time::Instant),
}

impl Running {
    /// From now on.
    pub fn new(token: u64) -> Self {
        let now = Instant::now();
        Running { since: now, token, beat: Arc::default(), last_beat: (0, now, std::time::Instant::now()) }
    }

    /// How long there was no sign of life.
    pub fn silent(&mut self) -> Duration {
        let count = self.beat.count();
        if count != self.last_beat.0 {
            self.last_beat = (count, Instant::now(), std::time::Instant::now());
        }
        self.last_beat.1.elapsed().min(self.last_beat.2.elapsed())
    }
}
