//! Executing the phases of a claimed plan, one after the other, and finding the verdict.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use secrecy::SecretString;
use tokio::net::unix::pipe;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::after;
use super::sink::{RunSink, now};
use super::status::{OutputMap, PhaseTime, Status};
use super::stop::{Stop, Why};
use crate::domain::run::{Phase, Plan, RunState, Step, Verdict};
use crate::recovery::exec::{self, End};
use crate::recovery::op::{Compensation, Done, OpContext, OpError, Sink};
use crate::recovery::restore;
use crate::text;

/// How long a native operation may take to notice that it is to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries of a proof.
const AGAIN: Duration = Duration::from_secs(1);
/// How long one attempt to take something back may take, and how often it is tried.
const TAKE_BACK: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 3;

/// A claimed plan with all it needs.
pub(super) struct Work {
    pub(super) dir: PathBuf,
    pub(super) plan: Plan,
    pub(super) secrets: BTreeMap<String, SecretString>,
    pub(super) sink: Arc<RunSink>,
    pub(super) stop: Stop,
    pub(super) deadline: Instant,
    /// Where commands that outlive their step still write to.
    left: Vec<tokio::task::JoinHandle<()>>,
}

/// How one phase ended.
enum PhaseEnd {
    Done { exit: Option<i32>, verified: Option<String> },
    Failed { exit: Option<i32>, why: String },
    Contradicted { why: String },
    TimedOut { exit: Option<i32>, why: String },
    Cancelled { exit: Option<i32>, why: String },
}

impl Work {
    pub(super) fn new(
        dir: PathBuf,
        plan: Plan,
        secrets: BTreeMap<String, SecretString>,
        sink: Arc<RunSink>,
        stop: Stop,
        deadline: Instant,
    ) -> Work {
        Work { dir, plan, secrets, sink, stop, deadline, left: Vec::new() }
    }

    /// Executes everything. The status lacks what only the closed output can tell.
    pub(super) async fn run(&mut self) -> Status {
        let mut status = Status {
            run: self.plan.id.clone(),
            state: RunState::Succeeded,
            exit: None,
            verdict: Verdict::Unverified,
            detail: String::new(),
            failed: Vec::new(),
            started_at: now(),
            finished_at: now(),
            phases: Vec::new(),
            output_digest: String::new(),
            excerpt: String::new(),
            output: OutputMap::default(),
        };
        self.sink.started();
        let verified = self.phases(&mut status).await;
        self.take_back(&mut status).await;
        if let Some(verified) = verified.filter(|_| status.state == RunState::Succeeded) {
            self.conclude(&mut status, verified).await;
        }
        status.detail = self.sink.safe(&status.detail);
        for failed in &mut status.failed {
            *failed = self.sink.safe(failed);
        }
        status.finished_at = now();
        self.sink.own(&format!("── {}: {}", say(&status), status.said("")));
        self.sink.verdict(status.verdict, &status.said(""));
        for task in &self.left {
            task.abort();
        }
        status
    }

    /// What was verified, when every phase was gone through.
    async fn phases(&mut self, status: &mut Status) -> Option<Vec<String>> {
        let missing: Vec<&str> =
            self.plan.secrets.iter().map(String::as_str).filter(|name| !self.secrets.contains_key(*name)).collect();
        if !missing.is_empty() {
            status.state = RunState::Failed;
            status.detail = format!("the secret {} was not handed over: nothing was executed", missing.join(", "));
            return None;
        }
        let mut verified = Vec::new();
        let phases = self.plan.phases.clone();
        for (index, phase) in phases.iter().enumerate() {
            if self.stop.why().is_some() || self.stop_asked() {
                self.stopped(status, format!("before \"{}\"", phase.name));
                if phase.proof {
                    self.after_the_deed(status, &verified);
                }
                return None;
            }
            let began = Instant::now();
            let retry_until = began + Duration::from_millis(phase.retry_ms);
            self.sink.phase(index, &phase.name);
            self.sink.own(&format!("── {}/{} {}", index + 1, phases.len(), phase.name));
            for line in phase.step.shown() {
                self.sink.own(&format!("$ {line}"));
            }
            let mut end = self.phase(phase).await;
            while let PhaseEnd::Failed { why, .. } = &end
                && phase.proof
                && Instant::now() < retry_until
            {
                self.sink.own(&format!("── again in a moment: {why}"));
                tokio::select! {
                    () = self.stop.token.cancelled() => break,
                    () = tokio::time::sleep(AGAIN) => {}
                }
                end = self.phase(phase).await;
            }
            let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            status.phases.push(PhaseTime { name: phase.name.clone(), took_ms });
            // What it was all for was done, and what follows only looks at it.
            let deed_done = phases.iter().skip(index + 1).all(|p| p.proof);
            match end {
                PhaseEnd::Done { exit, verified: seen } => {
                    status.exit = exit.or(status.exit);
                    verified.extend(seen);
                    if phase.proof {
                        verified.push(format!("{} ok", phase.name));
                    }
                }
                PhaseEnd::Failed { exit, why } | PhaseEnd::TimedOut { exit, why } if phase.proof && !self.is_over() => {
                    status.exit = exit.or(status.exit);
                    status.verdict = Verdict::Contradicted;
                    status.failed.push(format!("{}: {why}", phase.name));
                }
                PhaseEnd::Failed { exit, why } => {
                    status.exit = exit.or(status.exit);
                    self.ended(status, RunState::Failed, &phase.name, &why);
                    return None;
                }
                // What should have been done was done: it has failed only if something was still to come.
                PhaseEnd::Contradicted { why } => {
                    status.verdict = Verdict::Contradicted;
                    if deed_done && index + 1 < phases.len() {
                        verified.push(why);
                        continue;
                    }
                    self.ended(
                        status,
                        if deed_done { RunState::Succeeded } else { RunState::Failed },
                        &phase.name,
                        &why,
                    );
                    return None;
                }
                PhaseEnd::TimedOut { exit, why } => {
                    status.exit = exit.or(status.exit);
                    self.ended(status, RunState::TimedOut, &phase.name, &why);
                    if phase.proof {
                        self.after_the_deed(status, &verified);
                    }
                    return None;
                }
                PhaseEnd::Cancelled { exit, why } => {
                    status.exit = exit.or(status.exit);
                    self.ended(status, RunState::Cancelled, &phase.name, &why);
                    if phase.proof {
                        self.after_the_deed(status, &verified);
                    }
                    return None;
                }
            }
        }
        Some(verified)
    }

    fn ended(&self, status: &mut Status, state: RunState, phase: &str, why: &str) {
        status.state = state;
        status.detail = format!("{phase}: {why}");
    }

    /// Stopped among the proofs: the deed was done all the same, and that is the first thing to say.
    fn after_the_deed(&self, status: &mut Status, verified: &[String]) {
        let end = std::mem::take(&mut status.detail);
        status.detail = verified.iter().cloned().chain([end]).collect::<Vec<_>>().join("; ");
    }

    /// A wish that came before the watching began.
    fn stop_asked(&self) -> bool {
        let asked = self.dir.join(super::folder::CANCEL).exists();
        if asked {
            self.stop.now(Why::Cancelled);
        }
        asked
    }

    fn stopped(&self, status: &mut Status, when: String) {
        (status.state, status.detail) = match self.stop.why() {
            Some(Why::Time) => (RunState::TimedOut, format!("{} {when}", self.over())),
            _ => (RunState::Cancelled, format!("cancelled {when}")),
        };
    }

    /// The time of the whole run is over.
    fn is_over(&self) -> bool {
        self.stop.why() == Some(Why::Time)
    }

    fn over(&self) -> String {
        format!("the {} of the whole run were over", text::duration(Duration::from_millis(self.plan.timeout_ms)))
    }

    async fn phase(&mut self, phase: &Phase) -> PhaseEnd {
        match &phase.step {
            Step::Command { argv, env, secret_env, cwd, timeout_ms, refused_if } => {
                let mut handed = Vec::new();
                for (variable, name) in secret_env {
                    match self.secrets.get(name) {
                        Some(value) => handed.push((variable.clone(), value.clone())),
                        None => {
                            return PhaseEnd::Failed {
                                exit: None,
                                why: format!("the secret {name} was not handed over"),
                            };
                        }
                    }
                }
                let command = exec::Command {
                    argv,
                    env,
                    secret_env: handed,
                    cwd: cwd.as_deref().map(Path::new),
                    timeout: timeout_ms.map(Duration::from_millis),
                    grace: exec::GRACE,
                };
                self.command(&command, refused_if).await
            }
            Step::Native { op, args, .. } => self.native(op, args).await,
        }
    }

    async fn command(&mut self, command: &exec::Command<'_>, refused_if: &[String]) -> PhaseEnd {
        let mut refusals = match exec::refused::Refusals::new(refused_if) {
            Ok(refusals) => refusals,
            Err(why) => return PhaseEnd::Failed { exit: None, why },
        };
        let sink = self.sink.clone();
        let ended = exec::run(command, &self.stop.token, &mut |bytes| {
            refusals.push(bytes);
            sink.bytes(bytes);
        })
        .await;
        self.sink.end_of_bytes();
        if let Some(pipe) = ended.left {
            self.sink
                .own("── something that this command started still holds its output; it loses it when this run ends");
            self.left.push(tokio::spawn(follow(pipe, self.sink.clone())));
        }
        let name = command.argv.first().map_or("the command", String::as_str);
        let name = name.rsplit('/').next().unwrap_or(name);
        let said = match self.sink.said() {
            said if said.is_empty() => "it said nothing".to_owned(),
            said => format!("it said: {said}"),
        };
        let took = text::duration(ended.took);
        match ended.end {
            End::Exited(0) => match refusals.finish() {
                None => PhaseEnd::Done { exit: Some(0), verified: None },
                Some(line) => PhaseEnd::Failed {
                    exit: Some(0),
                    why: format!("{name} answered no, although it exited with 0: {}", self.sink.safe(&line)),
                },
            },
            End::Exited(code) => {
                PhaseEnd::Failed { exit: Some(code), why: format!("{name} exited with {code} after {took}; {said}") }
            }
            End::Signalled(signal) => PhaseEnd::Failed {
                exit: Some(128 + signal),
                why: format!("{name} was ended by signal {signal} from elsewhere after {took}; {said}"),
            },
            End::NotStarted { code, why } => PhaseEnd::Failed { exit: Some(code), why },
            End::TimedOut { killed } => PhaseEnd::TimedOut {
                exit: Some(124),
                why: format!("{name} was still running after {took} and was {}; {said}", ended_how(killed)),
            },
            End::Stopped { killed } => self.stop_end(&format!("{name} was {} after {took}; {said}", ended_how(killed))),
        }
    }

    /// The end of a phase that was stopped together with the run.
    fn stop_end(&self, how: &str) -> PhaseEnd {
        match self.stop.why() {
            Some(Why::Time) => PhaseEnd::TimedOut { exit: None, why: format!("{}: {how}", self.over()) },
            _ => PhaseEnd::Cancelled { exit: None, why: format!("cancelled: {how}") },
        }
    }

    async fn native(&mut self, op: &str, args: &serde_json::Value) -> PhaseEnd {
        let context = self.context(self.stop.token.child_token());
        let operation = caught(restore::execute(op, args, &context));
        tokio::pin!(operation);
        let result = tokio::select! {
            result = &mut operation => Some(result),
            () = async {
                self.stop.token.cancelled().await;
                tokio::time::sleep(PATIENCE).await;
            } => None,
        };
        match result {
            Some(Ok(done)) => PhaseEnd::Done { exit: None, verified: done.verified },
            Some(Err(OpError::Failed(why))) => PhaseEnd::Failed { exit: None, why },
            Some(Err(OpError::Contradicted(why))) => PhaseEnd::Contradicted { why },
            Some(Err(OpError::Cancelled)) => self.stop_end("it left the live side untouched"),
            None => {
                let patience = text::duration(PATIENCE);
                self.stop_end(&format!("it did not stop within {patience} and was abandoned: look at what it left"))
            }
        }
    }

    fn context(&self, cancel: CancellationToken) -> OpContext {
        OpContext {
            run: self.plan.id.clone(),
            dir: self.dir.clone(),
            secrets: self.secrets.clone(),
            sink: self.sink.clone(),
            cancel,
        }
    }

    /// An operation that ended with something to take back did not take it back itself.
    async fn take_back(&mut self, status: &mut Status) {
        let Some(what) = self.sink.open_compensation() else {
            return;
        };
        match self.compensate(&what).await {
            Ok(()) => status.detail = format!("{} ({})", status.detail, what.shown),
            Err(why) => {
                status.detail = format!("{} — STILL OPEN: {}: {why}", status.detail, what.shown);
                if status.state == RunState::Succeeded {
                    status.state = RunState::Failed;
                }
            }
        }
    }

    /// Takes back what is open, and notes that it is closed.
    pub(super) async fn compensate(&self, what: &Compensation) -> Result<(), String> {
        self.sink.own(&format!("── taking back: {}", what.shown));
        let mut last = String::new();
        for attempt in 1..=ATTEMPTS {
            let context = self.context(CancellationToken::new());
            let tried = tokio::time::timeout(TAKE_BACK, caught(restore::execute(&what.op, &what.args, &context))).await;
            match tried {
                Ok(Ok(_)) => {
                    return self.sink.compensation(None).map_err(|e| format!("done, but not noted: {e}"));
                }
                Ok(Err(e)) => last = e.to_string(),
                Err(_) => last = format!("no end within {}", text::duration(TAKE_BACK)),
            }
            self.sink.own(&format!("── attempt {attempt} of {ATTEMPTS} failed: {last}"));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(last)
    }

    /// Every phase was done: was the effect seen?
    async fn conclude(&mut self, status: &mut Status, verified: Vec<String>) {
        let done = self.plan.phases.len();
        let failed = status.verdict == Verdict::Contradicted;
        // A proof has failed, yet what was done is done: that, and how to take it back, comes first.
        let verified: Vec<String> = match failed {
            true => {
                let undo = Some(&self.plan.undo).filter(|undo| !undo.is_empty()).cloned();
                verified.into_iter().chain(undo).collect()
            }
            false => verified,
        };
        let Some(after) = self.plan.after.clone() else {
            if !failed {
                status.verdict = if verified.is_empty() { Verdict::Unverified } else { Verdict::Verified };
            }
            status.detail = match verified.is_empty() {
                true if failed => "everything was done".to_owned(),
                true => "done; nothing was configured to see the effect by".to_owned(),
                false => verified.join("; "),
            };
            return;
        };
        self.sink.phase(done, "check");
        self.sink.own(&format!("── looking whether it took effect: {}", after.shown.join("; ")));
        let began = Instant::now();
        let seen = after::look(&after, &self.secrets, &self.sink, &self.stop, self.deadline).await;
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        status.phases.push(PhaseTime { name: "check".to_owned(), took_ms });
        if !failed {
            status.verdict = seen.verdict;
        }
        status.detail = verified.into_iter().chain([seen.detail]).collect::<Vec<_>>().join("; ");
        if self.stop.why() == Some(Why::Cancelled) && seen.verdict == Verdict::Unverified {
            status.state = RunState::Cancelled;
        }
    }
}

fn ended_how(killed: bool) -> &'static str {
    if killed { "killed, because TERM was not enough" } else { "ended by TERM" }
}

/// A panic of an operation is a failure of that operation, not the end of the runner.
async fn caught(operation: impl Future<Output = Result<Done, OpError>>) -> Result<Done, OpError> {
    match AssertUnwindSafe(operation).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            Err(OpError::Failed(format!("a fault in mayday itself: {}", said.unwrap_or("unknown"))))
        }
    }
}

async fn follow(mut pipe: pipe::Receiver, sink: Arc<RunSink>) {
    use tokio::io::AsyncReadExt;
    let mut buffer = vec![0; 16 << 10];
    while let Ok(n) = pipe.read(&mut buffer).await {
        match buffer.get(..n) {
            Some(bytes) if n > 0 => sink.bytes(bytes),
            _ => break,
        }
    }
    sink.end_of_bytes();
}

fn say(status: &Status) -> String {
    match (status.state, status.verdict) {
        (RunState::Succeeded, verdict) => verdict.word().to_owned(),
        (state, Verdict::Contradicted) => format!("{}, contradicted", state.word()),
        (state, _) => state.word().to_owned(),
    }
}
