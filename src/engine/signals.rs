//! Signals and the service manager: TERM and INT end the engine cleanly, HUP reads the configuration again.

use tokio::signal::unix::{SignalKind, signal};

use super::start::Running;
use crate::sys::notify_socket::Notifier;

/// Follows the process' signals for as long as the engine runs, and tells the service manager how it is.
pub fn serve(running: &Running, detached: bool) {
    let (stop, core) = (running.stop.clone(), running.inbox.clone());
    let notifier = Notifier::from_env();
    if let Err(e) = notifier.ready("watching") {
        tracing::warn!("telling the service manager failed: {e}");
    }
    let streams = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()));
    let (Ok(mut term), Ok(mut int), Ok(mut hup)) = streams else {
        tracing::warn!("signals cannot be followed: end the engine with mayday engine stop");
        return;
    };
    tokio::spawn(async move {
        let beat = notifier.watchdog_interval().unwrap_or(std::time::Duration::from_secs(3600));
        let mut beat = tokio::time::interval(beat);
        loop {
            tokio::select! {
                _ = term.recv() => break,
                // A detached engine does not belong to the terminal whose Ctrl-C this is.
                _ = int.recv(), if !detached => break,
                _ = hup.recv() => {
                    if !detached {
                        let _ = notifier.reloading();
                    }
                    let _ = core.send(super::core::Message::Reload).await;
                    if !detached {
                        let _ = notifier.ready("watching");
                    }
                }
                _ = beat.tick() => {
                    // The beat stands for the heart: a core that does not answer gets none.
                    let (ping, pong) = tokio::sync::oneshot::channel();
                    let (core, notifier) = (core.clone(), notifier.clone());
                    tokio::spawn(async move {
                        if core.send(super::core::Message::Ping(ping)).await.is_ok() && pong.await.is_ok() {
                            let _ = notifier.watchdog();
                        }
                    });
                }
            }
        }
        let _ = notifier.stopping();
        stop.cancel();
    });
}
