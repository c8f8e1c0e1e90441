//! Reading the configuration again when it is saved. A broken save changes nothing and is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::core::Message;
use crate::wire::Answer;

/// Editors write in several steps; this much quiet makes a save.
const QUIET: Duration = Duration::from_millis(200);
/// Looked at anyway, for file systems that send no events.
const ANYWAY: Duration = Duration::from_secs(30);

/// Watches the file until `stop`, and the files of the folder of playbooks that it names. Folders are watched, because
/// editors replace files.
pub fn watch(
    path: PathBuf,
    mut playbooks: watch::Receiver<Option<PathBuf>>,
    core: mpsc::Sender<Message>,
    stop: CancellationToken,
) {
    let (tell, mut told) = mpsc::channel::<()>(1);
    let name = path.file_name().map(ToOwned::to_owned);
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    let ours = move |p: &PathBuf| p.file_name().map(ToOwned::to_owned) == name || is_playbook(p);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|e| !e.kind.is_access() && e.paths.iter().any(&ours)) {
            let _ = tell.try_send(());
        }
    });
    let mut watcher = watcher.and_then(|mut w| w.watch(&folder, RecursiveMode::NonRecursive).map(|()| w));
    if let Err(e) = &watcher {
        tracing::warn!("watching {} failed ({e}): saves are seen within {} s", folder.display(), ANYWAY.as_secs());
    }
    tokio::spawn(async move {
        let mut beside = playbooks.borrow_and_update().clone();
        follow(&mut watcher, beside.as_deref());
        // What was saved between the engine's first reading and now sent no event that anybody saw. Reading the same
        // again changes nothing.
        let mut last = stamps(path.clone(), beside.clone()).await;
        let _ = core.send(Message::Saved).await;
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = playbooks.changed() => {
                    beside = playbooks.borrow_and_update().clone();
                    follow(&mut watcher, beside.as_deref());
                    last = stamps(path.clone(), beside.clone()).await;
                    continue;
                }
                Some(()) = told.recv() => {
                    while tokio::time::timeout(QUIET, told.recv()).await.is_ok_and(|m| m.is_some()) {}
                    true
                }
                () = tokio::time::sleep(ANYWAY) => {
                    // A folder that was made anew sends nothing to who watched the old one.
                    follow(&mut watcher, beside.as_deref());
                    false
                }
            };
            // Two saves within one tick of the file system's clock have one stamp: an event counts by itself.
            let now = stamps(path.clone(), beside.clone()).await;
            if event || now != last {
                last = now;
                let _ = core.send(Message::Saved).await;
            }
        }
    });
}

fn is_playbook(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "toml")
        && path.file_name().is_some_and(|n| !n.as_encoded_bytes().starts_with(b"."))
}

/// Watches the folder too; one that does not exist yet is looked at anyway.
fn follow(watcher: &mut notify::Result<notify::RecommendedWatcher>, folder: Option<&Path>) {
    if let (Ok(watcher), Some(folder)) = (watcher, folder)
        && let Err(e) = watcher.watch(folder, RecursiveMode::NonRecursive)
    {
        tracing::debug!("watching {} failed: {e}", folder.display());
    }
}

type Stamp = (PathBuf, std::time::SystemTime, u64);

/// On a thread of its own: a folder on a file system that hangs must not hold up the engine.
async fn stamps(path: PathBuf, folder: Option<PathBuf>) -> Vec<Stamp> {
    let look = move || {
        let mut files: Vec<PathBuf> = folder
            .and_then(|f| std::fs::read_dir(f).ok())
            .map(|entries| entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| is_playbook(p)).collect())
            .unwrap_or_default();
        files.push(path);
        files.sort();
        let stamp = |path: PathBuf| {
            let meta = std::fs::metadata(&path).ok()?;
            Some((path, meta.modified().ok()?, meta.len()))
        };
        files.into_iter().filter_map(stamp).collect()
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
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
