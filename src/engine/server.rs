//! The socket: taking connections in and handing each to a session of its own.
//!
//! Accepting never ends the engine: when descriptors run out it waits and tries again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::session::{self, Shared};
use crate::wire::{Welcome, frame};

/// Connections at the same time; more are told so and closed.
const SESSIONS: usize = 256;

/// Serves until `stop`.
pub async fn serve(listener: UnixListener, shared: Arc<Shared>, stop: CancellationToken) {
    let mut wait = Duration::from_millis(10);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((mut stream, _)) => {
                wait = Duration::from_millis(10);
                let shared = Arc::clone(&shared);
                let stop = stop.child_token();
                if shared.sessions.fetch_add(1, Ordering::Relaxed) >= SESSIONS {
                    shared.sessions.fetch_sub(1, Ordering::Relaxed);
                    tracing::warn!("more than {SESSIONS} connections: one was closed");
                    let no = Welcome::No {
                        reason: format!("the engine has {SESSIONS} connections already"),
                        instead: "close some of them".into(),
                    };
                    let told = frame::write(&mut stream, &no);
                    let _ = tokio::time::timeout(Duration::from_millis(100), told).await;
                    continue;
                }
                tokio::spawn(async move {
                    if let Err(e) = session::run(stream, &shared, stop).await {
                        tracing::debug!("a session ended: {e}");
                    }
                    shared.sessions.fetch_sub(1, Ordering::Relaxed);
                });
            }
            Err(e) => {
                tracing::warn!("accepting a connection failed: {e}");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(1));
            }
        }
    }
}
