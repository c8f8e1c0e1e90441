//! The threads on which sources are called.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::super::watch;
use super::super::watch::Watch;
use super::{Beat, Followed, Listed, Mark, Reading, Seen, Source};

/// Whom a call is for.
pub struct Call {
    pub id: u64,
    pub token: u64,
    pub lane: String,
    pub source: Arc<dyn Source>,
    pub beat: Arc<Beat>,
}

/// What a call does.
pub enum Work {
    /// `followed` is what is followed already; `Err` when no watch is to be tried.
    Look {
        kept: usize,
        followed: Result<Option<Followed>, ()>,
        changed: Arc<dyn Fn() + Send + Sync>,
    },
    Read(Box<Seen>),
}

/// What became of the watch on a folder.
pub enum Watched {
    /// As before.
    Same,
    /// A new one, the folder being new or another one.
    New(Followed, Watch),
    /// There is nothing that reports changes.
    Nothing,
    /// It could not be followed, and why.
    Failed(String),
    /// None was tried.
    Untried,
}

/// What came of it.
pub enum Answer {
    Looked { id: u64, lane: String, result: Result<Listed, String>, watched: Watched, took: Duration },
    Read { id: u64, token: u64, mark: Mark, result: Option<Result<Reading, String>> },
}

/// Starts a thread for one call. It answers, unless nobody listens any more. A source that panics has failed.
pub fn start(call: Call, work: Work, answers: mpsc::Sender<Answer>) -> std::io::Result<()> {
    let name = if matches!(work, Work::Look { .. }) { "backup-look" } else { "backup-read" };
    std::thread::Builder::new().name(name.to_owned()).stack_size(512 * 1024).spawn(move || {
        let answer = match work {
            Work::Look { kept, followed, changed } => look(call, kept, followed, changed),
            Work::Read(seen) => {
                be_idle();
                let read = || call.source.read(&seen, &call.beat);
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read))
                    .unwrap_or_else(|_| Some(Ok(Reading::Cannot("reading it failed inside mayday".to_owned()))));
                Answer::Read { id: call.id, token: call.token, mark: seen.mark, result }
            }
        };
        let _ = answers.blocking_send(answer);
    })?;
    Ok(())
}

fn look(
    call: Call,
    kept: usize,
    followed: Result<Option<Followed>, ()>,
    changed: Arc<dyn Fn() + Send + Sync>,
) -> Answer {
    let began = std::time::Instant::now();
    let source = &call.source;
    let both = || {
        let result = source.list(kept, &call.beat);
        let wanted = if result.is_ok() { source.follow() } else { None };
        let watched = match (followed, wanted) {
            (Ok(before), Some(wanted)) if before.as_ref() == Some(&wanted) => Watched::Same,
            (Ok(_), Some(wanted)) => {
                let told = changed.clone();
                match watch::follow(&wanted, move || told()) {
                    Ok(watch) => {
                        // What changed between the look and the watch was reported by neither.
                        changed();
                        Watched::New(wanted, watch)
                    }
                    Err(why) => Watched::Failed(why),
                }
            }
            (Err(()), Some(_)) => Watched::Untried,
            (_, None) => Watched::Nothing,
        };
        (result, watched)
    };
    let failed = || "looking at it failed inside mayday; the engine's log has the reason".to_owned();
    let (result, watched) =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(both)).unwrap_or_else(|_| (Err(failed()), Watched::Same));
    Answer::Looked { id: call.id, lane: call.lane, result, watched, took: began.elapsed() }
}

/// This thread shall take only time that nobody else wants, of the processor and of the disk.
fn be_idle() {
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19);
    const WHO_PROCESS: libc::c_int = 1;
    const CLASS_IDLE: libc::c_int = 3 << 13;
    // SAFETY: ioprio_set (linux/ioprio.h) takes three integers and touches no memory; 0 means the calling thread.
    unsafe {
        libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, CLASS_IDLE);
    }
}
