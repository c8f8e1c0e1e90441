//! Commands that people run in shells of their own: who still says that one runs, and what it wrote.
//!
//! `mayday run` keeps its connection for as long as the command lasts. A connection that ended without a word, or an
//! engine that starts and finds one open, waits for a while: whoever runs it may come back and say so. After that the
//! record says that its end was not seen, which is what is known.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tokio::sync::oneshot;

use super::core::Core;
use crate::domain::Actor;
use crate::domain::command::Refusal;
use crate::domain::shell;
use crate::sys::digest::sha256_file;
use crate::wire::Answer;

/// How long nobody may say that a command runs, in milliseconds of the boot clock: while this engine saw who runs it, and
/// after a start.
const GONE: u64 = 5_000;
const AFTER_START: u64 = 20_000;
/// Bytes of output kept of one command at the most.
const LIMIT: u64 = 16 << 20;

/// Who says that a command runs.
#[derive(Debug, Default)]
pub struct Shells {
    /// Connections that do.
    held: BTreeMap<String, usize>,
    /// When nobody did any more, or not yet.
    alone: BTreeMap<String, (u64, u64)>,
}

impl Core {
    /// A connection runs `id`, or (`held: false`) ended.
    pub(super) fn hold_shell(&mut self, id: String, held: bool) {
        let now = self.clock.boot_ms();
        let count = self.shells.held.entry(id.clone()).or_default();
        if held {
            *count += 1;
            self.shells.alone.remove(&id);
            return;
        }
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.shells.held.remove(&id);
            if self.state.shells.contains_key(&id) {
                self.shells.alone.insert(id, (now, GONE));
            }
        }
    }

    /// Says of commands that nobody speaks for any more that their end was not seen.
    pub(super) fn tend_shells(&mut self) {
        if self.state.shells.is_empty() || !self.recorder.is_on() {
            return;
        }
        let now = self.clock.boot_ms();
        let ids: Vec<String> = self.state.shells.keys().cloned().collect();
        self.shells.alone.retain(|id, _| ids.contains(id));
        for id in ids {
            if self.shells.held.contains_key(&id) {
                continue;
            }
            let (since, patience) = *self.shells.alone.entry(id.clone()).or_insert((now, AFTER_START));
            if now.saturating_sub(since) < patience {
                continue;
            }
            if let Some((incident, event)) = shell::unseen(&self.state, &id, self.now()) {
                self.record_own(incident, event);
            }
        }
    }

    /// Keeps a piece of what the command wrote in its incident's folder.
    pub(super) fn keep_shell_output(
        &self,
        actor: &Actor,
        id: &str,
        text: &str,
        first: bool,
        reply: oneshot::Sender<Answer>,
    ) {
        let Some(open) = self.state.shells.get(id).filter(|o| o.uid == actor.uid) else {
            let refusal = Refusal::usage(format!("no command {} of yours runs", crate::text::clean(id)), "");
            let _ = reply.send(Answer::Refused(refusal));
            return;
        };
        let text = self.mask.apply(text).into_owned();
        let folder = match &open.incident {
            Some(incident) => PathBuf::from("incidents").join(incident).join("evidence"),
            None => PathBuf::from("evidence"),
        };
        let file = folder.join(format!("run-{id}.txt"));
        let dir = self.state_dir.clone();
        tokio::task::spawn_blocking(move || {
            let path = dir.join(&file);
            let answer = match keep(&path, text.as_bytes(), first)
                .and_then(|size| Ok((size, sha256_file(&path, &mut |_| ControlFlow::Continue(()))?)))
            {
                Ok((size, digest)) => {
                    Answer::Kept { file: file.display().to_string(), size, digest: digest.unwrap_or_default() }
                }
                Err(e) => Answer::Failed { reason: format!("write {}: {e}", path.display()) },
            };
            let _ = reply.send(answer);
        });
    }
}

fn keep(path: &Path, bytes: &[u8], first: bool) -> io::Result<u64> {
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.create(true).mode(0o640).write(true).append(!first).truncate(first);
    let mut file = options.open(path)?;
    let before = file.metadata()?.len();
    if before + bytes.len() as u64 > LIMIT {
        return Err(io::Error::other(format!("more than {} of one command", crate::text::size(LIMIT))));
    }
    file.write_all(bytes)?;
    file.sync_data()?;
    Ok(before + bytes.len() as u64)
}
