//! What every probe is wrapped in: the time limit, the phase it was reached in, masking and cleaning.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::Probe;
use crate::config::{Compare, Op};
use crate::domain::health::{Outcome, ProbeResult, Reason};
use crate::text::{Mask, clean, duration};

/// Where a probe is, so that a time-out can say what it was waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Start,
    Resolve,
    Connect,
    Tls,
    Headers,
    Body,
    /// Connected, waiting for an answer of the protocol.
    Answer,
    Query,
    Command,
    /// Asking a file system.
    Files,
}

/// The progress of one look, shared with callbacks that run inside of it.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    timeout: Duration,
    place: Mutex<(Phase, String)>,
}

impl Progress {
    pub(super) fn new(timeout: Duration) -> Self {
        Progress { began: Instant::now(), timeout, place: Mutex::new((Phase::Start, String::new())) }
    }

    /// Enters a phase; what it deals with stays the same.
    pub(super) fn enter(&self, phase: Phase) {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).0 = phase;
    }

    /// Enters a phase that deals with `with`: a name, an address, a folder.
    pub(super) fn enter_with(&self, phase: Phase, with: impl Into<String>) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = (phase, with.into());
    }

    pub(super) fn place(&self) -> (Phase, String) {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// What is left of the time limit.
    pub(super) fn left(&self) -> Duration {
        self.timeout.saturating_sub(self.began.elapsed())
    }

    /// What to say when the time is over.
    pub(super) fn timed_out(&self) -> Finding {
        let (phase, with) = self.place();
        let after = duration(self.timeout);
        let (reason, text) = match phase {
            Phase::Start => (Reason::Timeout, format!("timed out after {after}")),
            Phase::Resolve => (Reason::Dns, format!("looking up {with} timed out after {after}")),
            Phase::Connect => {
                (Reason::TimeoutConnect, format!("timed out connecting to {with}: no answer at all in {after}"))
            }
            Phase::Tls => (
                Reason::TimeoutTls,
                format!("connected to {with}, then timed out in the TLS handshake: {after} are over"),
            ),
            Phase::Headers | Phase::Answer => {
                (Reason::TimeoutHeaders, format!("connected to {with}, then no answer: {after} are over"))
            }
            Phase::Body => (Reason::TimeoutBody, format!("{with} began to answer and did not end within {after}")),
            Phase::Query => (Reason::TimeoutQuery, format!("{with} timed out: {after} are over")),
            Phase::Command => (Reason::Timeout, format!("{with} did not end within {after}")),
            Phase::Files => (Reason::Timeout, format!("{with} did not answer within {after}: the file system hangs")),
        };
        Finding::fail(reason, text)
    }
}

/// What a look concluded, before masking.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    pub(super) outcome: Outcome,
    pub(super) reason: Option<Reason>,
    pub(super) detail: String,
    pub(super) facts: Vec<(String, String)>,
    /// What it took, where the whole look is not the measure.
    pub(super) took: Option<Duration>,
}

impl Finding {
    fn new(outcome: Outcome, reason: Option<Reason>, detail: impl Into<String>) -> Self {
        Finding { outcome, reason, detail: detail.into(), facts: Vec::new(), took: None }
    }

    pub(super) fn ok(detail: impl Into<String>) -> Self {
        Finding::new(Outcome::Ok, None, detail)
    }

    pub(super) fn warn(reason: Reason, detail: impl Into<String>) -> Self {
        Finding::new(Outcome::Warn, Some(reason), detail)
    }

    pub(super) fn fail(reason: Reason, detail: impl Into<String>) -> Self {
        Finding::new(Outcome::Fail, Some(reason), detail)
    }

    /// Our own fault.
    pub(super) fn error(detail: impl Into<String>) -> Self {
        Finding::new(Outcome::Error, None, detail)
    }

    pub(super) fn with_facts(mut self, facts: Vec<(String, String)>) -> Self {
        self.facts = facts;
        self
    }

    pub(super) fn fact(mut self, name: &str, value: impl Into<String>) -> Self {
        self.facts.push((name.to_owned(), value.into()));
        self
    }

    /// The worse of what is found so far and `other`; facts are kept, details of equally bad findings joined.
    pub(super) fn and(mut self, other: Finding) -> Self {
        let rank = |o: Outcome| match o {
            Outcome::Skipped | Outcome::Ok => 0,
            Outcome::Warn => 1,
            Outcome::Error => 2,
            Outcome::Fail => 3,
        };
        match rank(other.outcome).cmp(&rank(self.outcome)) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal if rank(self.outcome) == 0 => {}
            std::cmp::Ordering::Equal => {
                self.detail.push_str("; ");
                self.detail.push_str(&other.detail);
            }
            std::cmp::Ordering::Greater => {
                (self.outcome, self.reason, self.detail) = (other.outcome, other.reason, other.detail);
            }
        }
        self.facts.extend(other.facts);
        self
    }
}

/// `> 2`
pub(super) fn compare_words(compare: &Compare) -> String {
    let op = match compare.op {
        Op::Lt => "<",
        Op::Le => "<=",
        Op::Eq => "==",
        Op::Ne => "!=",
        Op::Ge => ">=",
        Op::Gt => ">",
    };
    format!("{op} {}", compare.value)
}

/// One protocol's way of looking. The time limit is not its business, unless something outlives a dropped future.
pub(super) trait Look: Send + Sync {
    fn look<'a>(&'a self, progress: &'a Arc<Progress>) -> BoxFuture<'a, Finding>;

    /// What to say when the time is over, for who knows more than the phase.
    fn timed_out(&self, progress: &Progress) -> Finding {
        progress.timed_out()
    }

    /// Time beyond the limit that it needs to end what it started.
    fn grace(&self) -> Duration {
        Duration::ZERO
    }
}

/// A look with everything around it.
pub(super) struct Guarded {
    inner: Box<dyn Look>,
    /// Secrets of the configuration, and those of this check.
    shared: Arc<Mask>,
    own: Mask,
    last: Mutex<Option<Said>>,
}

/// What a probe says again and again is masked and cleaned once: looking for the shapes of secrets costs more than a
/// plain request does.
struct Said {
    raw: (String, Facts),
    safe: (String, Facts),
}

type Facts = Vec<(String, String)>;

impl Guarded {
    pub(super) fn new(inner: Box<dyn Look>, shared: Arc<Mask>, own: Mask) -> Self {
        Guarded { inner, shared, own, last: Mutex::new(None) }
    }

    fn safe(&self, text: &str) -> String {
        clean(&self.own.apply(&self.shared.apply(text))).into_owned()
    }
}

impl Guarded {
    fn safe_all(&self, detail: String, facts: Facts) -> (String, Facts) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(said) = last.as_ref()
            && said.raw.0 == detail
            && said.raw.1 == facts
        {
            return said.safe.clone();
        }
        let safe = (self.safe(&detail), facts.iter().map(|(n, v)| (self.safe(n), self.safe(v))).collect());
        *last = Some(Said { raw: (detail, facts), safe: Clone::clone(&safe) });
        safe
    }
}

impl Probe for Guarded {
    fn probe(&self, timeout: Duration) -> BoxFuture<'_, ProbeResult> {
        Box::pin(async move {
            let progress = Arc::new(Progress::new(timeout));
            let limit = timeout.saturating_add(self.inner.grace());
            let found = match tokio::time::timeout(limit, self.inner.look(&progress)).await {
                Ok(found) => found,
                Err(_) => self.inner.timed_out(&progress),
            };
            let took = found.took.unwrap_or_else(|| progress.elapsed());
            let (detail, facts) = self.safe_all(found.detail, found.facts);
            ProbeResult {
                outcome: found.outcome,
                reason: found.reason,
                detail,
                took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                facts,
            }
        })
    }
}
