//! Being asked to stop: by a `cancel` file, by a signal, by the time the plan allows.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::folder::CANCEL;

/// How often the `cancel` file is looked for; the engine sends a signal besides.
const LOOK: Duration = Duration::from_millis(200);

/// Why a run was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Cancelled,
    /// The time of the whole run is over.
    Time,
}

/// The wish to stop, shared by everything that runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop {
    pub(super) token: CancellationToken,
    why: Arc<OnceLock<Why>>,
}

impl Stop {
    pub(super) fn why(&self) -> Option<Why> {
        self.why.get().copied()
    }

    pub(super) fn now(&self, why: Why) {
        let _ = self.why.set(why);
        self.token.cancel();
    }

    /// Watches for every reason to stop; returns when one came. Signals that cannot be caught are left as they are.
    pub(super) async fn watch(self, dir: PathBuf, deadline: Instant) {
        let mut term = signal(SignalKind::terminate()).ok();
        let mut int = signal(SignalKind::interrupt()).ok();
        // A handler, not an ignored signal: what is ignored would be ignored by the commands too.
        let mut hangup = signal(SignalKind::hangup()).ok();
        let mut look = interval(LOOK);
        let why = loop {
            tokio::select! {
                () = next(&mut term) => break Why::Cancelled,
                () = next(&mut int) => break Why::Cancelled,
                () = next(&mut hangup) => {}
                () = sleep_until(deadline) => break Why::Time,
                _ = look.tick() => {
                    if dir.join(CANCEL).exists() {
                        break Why::Cancelled;
                    }
                }
            }
        };
        self.now(why);
        // The signals stay caught for the rest of the run: a second one must not end this process before its status.
        loop {
            tokio::select! {
                () = next(&mut term) => {}
                () = next(&mut int) => {}
                () = next(&mut hangup) => {}
            }
        }
    }
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            if signal.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}
