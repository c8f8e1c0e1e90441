//! Where everything that a run says goes: output, progress, facts. Masked and cleaned on the way.

use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::output::lines::Lines;
use super::output::write::{Closed, Output};
use super::progress::{Progress, ProgressLine, ProgressLog};
use super::reap;
use super::status::Status;
use crate::domain::Time;
use crate::domain::run::{Side, Verdict};
use crate::recovery::op::{Compensation, Sink};
use crate::sys::clock;
use crate::text::Mask;

/// Shortest time between two lines about progress; grows with their number, so that a long run leaves a short file.
const STEP: Duration = Duration::from_millis(250);
/// Progress has to go on for this long before the time left is guessed.
const SETTLED: Duration = Duration::from_secs(1);

pub(super) struct RunSink(Mutex<Inner>);

struct Inner {
    lines: Lines,
    output: Output,
    /// `None` when it cannot be written; then nothing that has to be on disk can go on.
    log: Result<ProgressLog, String>,
    compensation: Option<Compensation>,
    progress_lines: u32,
    progress_at: Option<Instant>,
    counting: Option<Counting>,
    /// The last line of output that is not empty and not the runner's own.
    said: String,
}

/// What the time left is computed from.
struct Counting {
    what: String,
    since: Instant,
    from: u64,
    latest: (u64, u64),
}

pub(super) fn now() -> Time {
    Time::from_ms(clock::now_ms())
}

impl RunSink {
    pub(super) fn new(dir: &Path, mask: Mask, output: Output) -> RunSink {
        let log = ProgressLog::open(dir).map_err(|e| format!("progress.jsonl cannot be written: {e}"));
        RunSink(Mutex::new(Inner {
            lines: Lines::new(mask),
            output,
            log,
            compensation: None,
            progress_lines: 0,
            progress_at: None,
            counting: None,
            said: String::new(),
        }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that a command put out.
    pub(super) fn bytes(&self, bytes: &[u8]) {
        let inner = &mut *self.inner();
        let (output, said) = (&mut inner.output, &mut inner.said);
        inner.lines.push(bytes, &mut |line| emit(output, said, line));
        output.flush();
    }

    /// The command has ended: what has no line end is a line.
    pub(super) fn end_of_bytes(&self) {
        let inner = &mut *self.inner();
        let (output, said) = (&mut inner.output, &mut inner.said);
        inner.lines.finish(&mut |line| emit(output, said, line));
        output.flush();
    }

    /// A line of the runner's own.
    pub(super) fn own(&self, text: &str) {
        let inner = &mut *self.inner();
        for line in text.lines() {
            let line = inner.lines.text(line);
            inner.output.line(&line);
        }
    }

    /// `text` without secrets and control characters.
    pub(super) fn safe(&self, text: &str) -> String {
        crate::text::clean(&self.inner().lines.text(text)).into_owned()
    }

    /// The last thing that the present phase said.
    pub(super) fn said(&self) -> String {
        crate::text::clean::clean_to(&self.inner().said, 200).into_owned()
    }

    pub(super) fn started(&self) {
        self.note(&ProgressLine::Started { at: now(), pid: std::process::id() });
    }

    pub(super) fn phase(&self, index: usize, name: &str) {
        let line = ProgressLine::Phase { at: now(), index, name: name.to_owned(), left: reap::groups_left() };
        {
            let mut inner = self.inner();
            inner.counting = None;
            inner.progress_at = None;
            inner.said.clear();
        }
        self.note(&line);
    }

    pub(super) fn verdict(&self, verdict: Verdict, detail: &str) {
        self.note(&ProgressLine::Verdict { at: now(), verdict, detail: detail.to_owned() });
    }

    /// The whole end, synced into the room kept for it: it is known even where `status.json` cannot be written.
    pub(super) fn finished(&self, status: &Status) -> io::Result<()> {
        self.must(&ProgressLine::Finished { at: now(), status: Box::new(status.clone()) })
    }

    /// What has to be taken back at this moment.
    pub(super) fn open_compensation(&self) -> Option<Compensation> {
        self.inner().compensation.clone()
    }

    /// Ends the output. What comes later is not kept.
    pub(super) fn close(&self, dir: &Path) -> Closed {
        let mut inner = self.inner();
        std::mem::replace(&mut inner.output, Output::closed(dir)).close()
    }

    /// A line that may be missed.
    fn note(&self, line: &ProgressLine) {
        if let Ok(log) = &mut self.inner().log {
            let _ = log.write(line, false);
        }
    }

    /// A line that is on disk when this returns.
    fn must(&self, line: &ProgressLine) -> io::Result<()> {
        match &mut self.inner().log {
            Ok(log) => log.write(line, true),
            Err(why) => Err(io::Error::other(why.clone())),
        }
    }
}

fn emit(output: &mut Output, said: &mut String, line: &str) {
    output.push(line);
    if !line.trim().is_empty() {
        said.clear();
        said.push_str(line.trim());
    }
}

impl Sink for RunSink {
    fn line(&self, text: &str) {
        let inner = &mut *self.inner();
        for line in text.split('\n') {
            let line = inner.lines.text(line.trim_end_matches('\r'));
            emit(&mut inner.output, &mut inner.said, &line);
        }
        inner.output.flush();
    }

    fn progress(&self, done: u64, total: u64, what: &str) {
        self.count(done, total, what, false);
    }

    fn working(&self, done: u64, total: u64, what: &str) {
        self.count(done, total, what, true);
    }

    fn side(&self, side: &Side) -> io::Result<()> {
        self.must(&ProgressLine::Side { at: now(), side: side.clone() })
    }

    fn gone(&self, name: &str) -> io::Result<()> {
        self.must(&ProgressLine::Gone { at: now(), name: name.to_owned() })
    }

    fn compensation(&self, what: Option<&Compensation>) -> io::Result<()> {
        self.must(&ProgressLine::Compensation { at: now(), what: what.cloned() })?;
        self.inner().compensation = what.cloned();
        Ok(())
    }
}

impl RunSink {
    fn count(&self, done: u64, total: u64, what: &str, all_read: bool) {
        let inner = &mut *self.inner();
        let moment = Instant::now();
        let what = crate::text::clean(&inner.lines.text(what)).into_owned();
        let counting = match inner.counting.take() {
            Some(c) if c.what == what && done >= c.latest.0 && total == c.latest.1 => {
                Counting { latest: (done, total), ..c }
            }
            _ => Counting { what: what.clone(), since: moment, from: done, latest: (done, total) },
        };
        let eta_ms = counting.left(moment).filter(|_| !all_read);
        inner.counting = Some(counting);
        let pause = STEP * (1 + inner.progress_lines / 500);
        let complete = total > 0 && done >= total && !all_read;
        if inner.progress_at.is_some_and(|at| moment.duration_since(at) < pause) && !complete {
            return;
        }
        inner.progress_at = Some(moment);
        inner.progress_lines = inner.progress_lines.saturating_add(1);
        let line = ProgressLine::Progress { at: now(), progress: Progress { done, total, what, eta_ms, all_read } };
        if let Ok(log) = &mut inner.log {
            let _ = log.write(&line, false);
        }
    }
}

impl Counting {
    /// Milliseconds left at the speed so far.
    fn left(&self, moment: Instant) -> Option<u64> {
        let (done, total) = self.latest;
        let gone = moment.duration_since(self.since);
        let moved = done.saturating_sub(self.from);
        if moved == 0 || total <= done || gone < SETTLED {
            return None;
        }
        let ms = gone.as_secs_f64() * 1000.0 * (total - done) as f64 / moved as f64;
        Some(ms.min(1e15) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_the_speed() {
        let since = Instant::now();
        let counting = Counting { what: String::new(), since, from: 100, latest: (350, 600) };
        assert_eq!(counting.left(since + Duration::from_millis(500)), None, "too early to tell");
        assert_eq!(counting.left(since + Duration::from_secs(10)), Some(10_000));
        let done = Counting { what: String::new(), since, from: 0, latest: (600, 600) };
        assert_eq!(done.left(since + Duration::from_secs(10)), None);
    }
}
