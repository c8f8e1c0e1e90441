//! Room on the server's file systems: how much a copy will take, and a watch that ends the loading before it is gone.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::sys::disk;
use crate::text;

/// Between two looks. Loading fills hundreds of MB in a second.
const LOOK: Duration = Duration::from_millis(20);
/// What is written in such a time is written until loading has really ended, and is kept free as well.
const REACTION: Duration = Duration::from_millis(200);

/// Bytes below which loading stops: a fiftieth, at least two segments of the log and at most 1 GiB.
pub fn floor(total: u64) -> u64 {
    (total / 50).clamp(32 << 20, 1 << 30)
}

/// An empty database.
const EMPTY: u64 = 8 << 20;
/// Of a row beyond its text: its head, its place in the page, and its entry in one index.
const ROW: u64 = 60;

/// Bytes that a dump of so many bytes, unpacked, becomes in the server: rather too many than too few. Indexes are not in a
/// dump, and short rows are many times as large in a table as in one.
pub fn taken(unpacked: u64, rows: Option<u64>) -> u64 {
    let data = match rows {
        Some(rows) => unpacked.saturating_add(unpacked / 3).saturating_add(rows.saturating_mul(ROW)),
        None => unpacked.saturating_mul(2),
    };
    data.saturating_add(EMPTY)
}

/// Looks at file systems in a thread of its own until it is dropped, and cancels what fills them in time.
pub struct Watch {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    said: Arc<Mutex<Option<String>>>,
}

impl Watch {
    /// Begins. `stop` is cancelled when room runs short.
    pub fn begin(folders: &[PathBuf], stop: CancellationToken) -> Watch {
        let said = Arc::new(Mutex::new(None));
        let (end, ended) = channel();
        let (folders, says) = (folders.to_vec(), said.clone());
        // Without a thread nothing is watched, and the server says by itself that its disk is full.
        let thread = thread::Builder::new().name("room".into()).spawn(move || {
            if let Some(why) = until_short(&folders, &ended) {
                *says.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(why);
                stop.cancel();
            }
        });
        Watch { end: Some(end), thread: thread.ok(), said }
    }

    /// Ends it. Why it cancelled, if it did.
    pub fn end(mut self) -> Option<String> {
        self.end.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

/// Returns why loading has to stop, or nothing when the watch ended before.
fn until_short(folders: &[PathBuf], ended: &Receiver<()>) -> Option<String> {
    let mut pasts: Vec<Past> = folders.iter().map(|_| Past::default()).collect();
    loop {
        for (folder, past) in folders.iter().zip(&mut pasts) {
            let Ok(space) = disk::space(folder) else { continue };
            let kept = floor(space.total).saturating_add(past.spent(Instant::now(), space.free));
            if space.free < kept {
                return Some(format!(
                    "stopped before the disk is full: {} has {} left and the server needs some for its log: make room there, or restore on another server",
                    folder.display(),
                    text::size(space.free)
                ));
            }
        }
        if !matches!(ended.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout)) {
            return None;
        }
    }
}

/// What was free lately.
#[derive(Default)]
struct Past(VecDeque<(Instant, u64)>);

impl Past {
    /// Bytes that went within the latest [`REACTION`].
    fn spent(&mut self, now: Instant, free: u64) -> u64 {
        while self.0.front().is_some_and(|(at, _)| now.duration_since(*at) > REACTION) {
            self.0.pop_front();
        }
        self.0.push_back((now, free));
        self.0.front().map_or(0, |(_, before)| before.saturating_sub(free))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_fast_is_stopped_early() {
        let begin = Instant::now();
        let mut past = Past::default();
        let mut at = |ms: u64, free: u64| past.spent(begin + Duration::from_millis(ms), free);
        assert_eq!(at(0, 1000), 0);
        assert_eq!(at(100, 700), 300);
        assert_eq!(at(200, 600), 400, "all that went within the time it takes to stop");
        assert_eq!(at(250, 600), 100, "what went before that no longer counts");
        assert_eq!(at(600, 900), 0, "room was made");
    }

    #[test]
    fn short_rows_are_larger_in_a_table_than_in_a_dump() {
        assert!(taken(60 << 20, Some(10_000_000)) > 600 << 20);
        assert!(taken(80 << 20, None) > 95 << 20);
    }
}
