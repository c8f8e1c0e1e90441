//! Reading the configuration again when it is saved. A broken save changes nothing and is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::core::Message;
use crate::wire::Answer;

/// Editors write in several steps; this much quiet makes a save.
const QUIET: Duration = Duration::from_millis(200);
/// Looked at anyway, for file systems that send no events.
const ANYWAY: Duration = Duration::from_secs(30);

/// Watches the file until `stop`. The folder is watched, because editors replace the file.
pub fn watch(path: PathBuf, core: mpsc::Sender<Message>, stop: CancellationToken) {
    let (tell, mut told) = mpsc::channel::<()>(1);
    let name = path.file_name().map(ToOwned::to_owned);
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let ours = event
            .is_ok_and(|e| !e.kind.is_access() && e.paths.iter().any(|p| p.file_name().map(ToOwned::to_owned) == name));
        if ours {
            let _ = tell.try_send(());
        }
    });
    let watcher = watcher.and_then(|mut w| w.watch(&folder, RecursiveMode::NonRecursive).map(|()| w));
    if let Err(e) = &watcher {
        tracing::warn!("watching {} failed ({e}): saves are seen within {} s", folder.display(), ANYWAY.as_secs());
    }
    tokio::spawn(async move {
        let _watcher = watcher;
        // What was saved between the engine's first reading and now sent no event that anybody saw. Reading the same
        // again changes nothing.
        let mut last = stamp(path.clone()).await;
        let _ = core.send(Message::Saved).await;
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                Some(()) = told.recv() => {
                    while tokio::time::timeout(QUIET, told.recv()).await.is_ok_and(|m| m.is_some()) {}
                    true
                }
                () = tokio::time::sleep(ANYWAY) => false,
            };
            // Two saves within one tick of the file system's clock have one stamp: an event counts by itself.
            let now = stamp(path.clone()).await;
            if event || now != last {
                last = now;
                let _ = core.send(Message::Saved).await;
            }
        }
    });
}

/// On a thread of its own: a folder on a file system that hangs must not hold up the engine.
async fn stamp(path: PathBuf) -> Option<(std::time::SystemTime, u64)> {
    let look = move || {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    tokio::task::spawn_blocking(look).await.ok().flatten()
}

/// Reads it now and tells the core, with the number of this read.
pub fn now(path: PathBuf, ticket: u64, core: mpsc::Sender<Message>, reply: Option<oneshot::Sender<Answer>>) {
    tokio::spawn(async move {
        let source = path.display().to_string();
        let read = match tokio::task::spawn_blocking(move || crate::config::load(&path)).await {
            Ok(Ok(config)) => Ok(Box::new(config)),
            Ok(Err(faults)) => Err((source, faults.iter().map(ToString::to_string).collect())),
            Err(e) => Err((source, vec![format!("reading it failed inside: {e}")])),
        };
        let _ = core.send(Message::Config { ticket, read, reply }).await;
    });
}
