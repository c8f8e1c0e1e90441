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

/// The signals that this process answers to, caught from the moment this is made.
#[derive(Debug)]
pub(super) struct Signals {
    term: Option<Signal>,
    int: Option<Signal>,
    hangup: Option<Signal>,
}

impl Signals {
    /// Needs a runtime. Before the claim: a signal that comes just after it must find somebody. Signals that cannot be
    /// caught are left as they are.
    pub(super) fn catch() -> Signals {
        Signals {
            term: signal(SignalKind::terminate()).ok(),
            int: signal(SignalKind::interrupt()).ok(),
            // A handler, not an ignored signal: what is ignored would be ignored by the commands too.
            hangup: signal(SignalKind::hangup()).ok(),
        }
    }
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

    /// Watches for every reason to stop, for as long as the run goes on.
    pub(super) async fn watch(self, signals: Signals, dir: PathBuf, deadline: Instant) {
        let Signals { mut term, mut int, mut hangup } = signals;
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
