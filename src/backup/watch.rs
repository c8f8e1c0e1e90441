//! Following a folder for changes, so that a new copy shows at once.
//!
//! A watch only ever says "look again"; what happened is found out by looking. It is a help and never relied on: where
//! none can be had (the limit of inotify instances, a network file system) the interval does.

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecursiveMode, Watcher};

use super::Followed;

/// Ends when dropped, without waiting for anything.
pub struct Watch {
    _watcher: notify::RecommendedWatcher,
}

/// Starts to follow. Blocks as the file system does. `changed` is called on the watcher's thread, often.
pub fn follow(what: &Followed, changed: impl Fn() + Send + 'static) -> Result<Watch, String> {
    let handler = move |event: notify::Result<notify::Event>| {
        // Reading, ours included, is no change; a watch that failed may have missed one.
        let relevant = match &event {
            Ok(event) => !matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)),
            Err(_) => true,
        };
        if relevant {
            changed();
        }
    };
    let config = notify::Config::default().with_follow_symlinks(false);
    let said = |e: notify::Error| format!("changes in {} are not reported: {e}", what.path.display());
    let mut watcher = notify::RecommendedWatcher::new(handler, config).map_err(said)?;
    let mode = if what.recursive { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
    watcher.watch(&what.path, mode).map_err(said)?;
    Ok(Watch { _watcher: watcher })
}
