//! Reading the configuration again when it is saved. A broken save changes nothing and is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::core::Message;

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
        let ours = event.is_ok_and(|e| {
            !e.kind.is_access() && e.paths.iter().any(|p| p.file_name().map(ToOwned::to_owned) == name)
        });
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
        let mut last = stamp(&path);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(()) = told.recv() => {
                    while tokio::time::timeout(QUIET, told.recv()).await.is_ok_and(|m| m.is_some()) {}
                }
                () = tokio::time::sleep(ANYWAY) => {}
            }
            let now = stamp(&path);
            if now != last {
                last = now;
                self::now(path.clone(), core.clone());
            }
        }
    });
}

fn stamp(path: &Path) -> Option<(std::time::SystemTime, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

/// Reads it now and tells the core.
pub fn now(path: PathBuf, core: mpsc::Sender<Message>) {
    tokio::spawn(async move {
        let read = path.clone();
        let loaded = tokio::task::spawn_blocking(move || crate::config::load(&read)).await;
        let message = match loaded {
            Ok(Ok(config)) => Message::Config(Ok(Box::new(config))),
            Ok(Err(faults)) => Message::Config(Err((
                path.display().to_string(),
                faults.iter().map(ToString::to_string).collect(),
            ))),
            Err(e) => Message::Config(Err((path.display().to_string(), vec![format!("reading it failed inside: {e}")]))),
        };
        let _ = core.send(message).await;
    });
}
