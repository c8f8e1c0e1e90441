//! Making true what the state says should be happening: runs, cancellations, messages, pauses, intervals.
//!
//! Nothing here remembers a moment. Whatever the engine that was killed had begun is found by comparing the state with
//! the folders and tasks that exist.

use std::time::Duration;

use super::core::Core;
use super::follow::{Live, News, Place};
use crate::domain::Time;
use crate::domain::event::{RunClaimed, RunFinished, RunPhase, RunSide, RunStarted, ServiceResumed};
use crate::domain::measure;
use crate::domain::recovery::Does;
use crate::domain::run::{Run, RunState, Verdict, Work};
use crate::runner::{self, ProgressLine, Seen};

/// A request that nobody claimed for this long is not started any more.
const CLAIM_WITHIN: Duration = Duration::from_secs(30);

impl Core {
    pub(super) fn reconcile(&mut self) {
        self.tend_approvals();
        self.reconcile_runs();
        self.reconcile_recovery();
        self.reconcile_head_starts();
        self.reconcile_escalation();
        self.reconcile_playbooks();
        self.deliver_due();
        self.schedule_incident();
    }

    pub(super) fn place(&self) -> Place {
        Place {
            state_dir: self.state_dir.clone(),
            other_places: self.other_places.clone(),
            exe: self.exe.clone(),
            config: self.config.clone(),
        }
    }

    fn reconcile_runs(&mut self) {
        let open: Vec<Run> = self.state.runs_in_order().filter(|r| !r.state.is_over()).cloned().collect();
        for run in open {
            let id = run.plan.id.clone();
            if run.cancel_requested && self.runs.cancelled.insert(id.clone()) {
                self.cancel_run(&run);
            }
            if self.runs.following.contains(&id) {
                continue;
            }
            let dir = runner::find(&self.state_dir, &self.other_places, &id);
            match dir {
                Some(dir) => {
                    self.runs.live.entry(id.clone()).or_insert_with(|| Live { dir: dir.clone(), ..Live::default() });
                    self.runs.follow(&id, dir, self.place(), self.inbox.clone());
                }
                None => self.start_or_expire(run),
            }
        }
    }

    fn start_or_expire(&mut self, run: Run) {
        let id = run.plan.id.clone();
        if run.state != RunState::Requested {
            let why = "its folder is gone: how it ended is not known";
            self.end_run(&run, RunState::Lost, why);
        } else if run.cancel_requested {
            self.end_run(&run, RunState::Cancelled, "cancelled before it was started");
        } else if !self.recorder.is_on() && !run.unlogged {
            self.end_run(&run, RunState::Expired, "not started: its request could not be recorded");
        } else if run.requested_boot != self.boot {
            self.end_run(&run, RunState::Expired, "not started: the host was restarted in between; ask again");
        } else if self.now().since(run.requested_at) > CLAIM_WITHIN {
            self.end_run(&run, RunState::Expired, "not started within 30 s; ask again");
        } else if !self.runs.can_start(&run.plan) {
            let why = "not started: the engine was restarted before it handed over the secrets; ask again";
            self.end_run(&run, RunState::Expired, why);
        } else if self.setting_up {
            // What has to be masked in its output is not known yet.
        } else {
            let place = self.place();
            let dir = place.state_dir.join("runs").join(&id);
            self.runs.live.insert(id, Live { dir, ..Live::default() });
            self.runs.start(run.plan, place, self.inbox.clone());
        }
    }

    fn cancel_run(&self, run: &Run) {
        let Some(dir) = runner::find(&self.state_dir, &self.other_places, &run.plan.id) else { return };
        tokio::task::spawn_blocking(move || {
            if let Err(e) = runner::cancel(&dir) {
                tracing::error!("cancelling the run in {} failed: {e}", dir.display());
            }
        });
    }

    fn end_run(&mut self, run: &Run, state: RunState, detail: &str) {
        let event = RunFinished {
            run: run.plan.id.clone(),
            state,
            exit: None,
            verdict: Verdict::Unverified,
            detail: detail.to_owned(),
            finished_at: None,
            output_digest: String::new(),
            excerpt: String::new(),
        };
        self.runs.forget(run.id());
        self.record_own(run.incident.clone(), event);
    }

    /// What a run's folder said becomes entries.
    pub(super) fn take_run_news(&mut self, news: News) {
        match news {
            News::Unfollowed { run } => {
                self.runs.following.remove(&run);
            }
            News::NotStarted { run, why } => {
                if let Some(run) = self.state.runs.get(&run).cloned() {
                    let why = self.mask.apply(&why).into_owned();
                    self.end_run(&run, RunState::Failed, &format!("not started: {why}"));
                }
            }
            News::Seen { run, lines, seen } => {
                let Some(known) = self.state.runs.get(&run).cloned() else { return };
                if known.state.is_over() {
                    self.runs.forget(&run);
                    return;
                }
                self.take_lines(&known, lines);
                self.take_seen(&known, *seen);
                self.dirty.runs.insert(run);
            }
        }
    }

    fn take_lines(&mut self, run: &Run, lines: Vec<ProgressLine>) {
        let id = run.plan.id.clone();
        let incident = run.incident.clone();
        let mut begun = run.state == RunState::Running;
        for line in lines {
            match line {
                ProgressLine::Started { pid, .. } => {
                    if run.state == RunState::Requested {
                        self.record_own(incident.clone(), RunClaimed { run: id.clone(), pid });
                    }
                    if !begun {
                        self.record_own(incident.clone(), RunStarted { run: id.clone() });
                        begun = true;
                    }
                }
                ProgressLine::Phase { index, name, .. } => {
                    let live = self.runs.live.entry(id.clone()).or_default();
                    live.phase = index;
                    live.progress = None;
                    // An engine that was killed reads the folder from its beginning: what it knew is not told twice.
                    if index > run.phase || (index == 0 && run.state != RunState::Running) {
                        self.record_own(incident.clone(), RunPhase { run: id.clone(), phase: index, name });
                    }
                }
                ProgressLine::Progress { progress, .. } => {
                    self.runs.live.entry(id.clone()).or_default().progress = Some(progress);
                }
                ProgressLine::Side { side, .. } => {
                    let known = self.state.runs.values().any(|r| r.sides.contains(&side));
                    if !known {
                        self.record_own(incident.clone(), RunSide { run: id.clone(), side: Some(side), gone: vec![] });
                    }
                }
                ProgressLine::Gone { name, .. } => {
                    let known = self.state.runs.values().any(|r| r.sides.iter().any(|s| s.name == name));
                    if known {
                        self.record_own(incident.clone(), RunSide { run: id.clone(), side: None, gone: vec![name] });
                    }
                }
                ProgressLine::Compensation { .. }
                | ProgressLine::Finished { .. }
                | ProgressLine::Verdict { .. }
                | ProgressLine::Unknown => {}
            }
        }
    }

    fn take_seen(&mut self, run: &Run, seen: Seen) {
        let id = run.plan.id.clone();
        match seen {
            Seen::NoPlan => {}
            Seen::Unclaimed => {
                if self.now().since(run.requested_at) > CLAIM_WITHIN || run.requested_boot != self.boot {
                    let dir = self.runs.live.get(&id).map(|l| l.dir.clone()).unwrap_or_default();
                    // Whether the runner or the expiry came first is decided by one file; the next look tells.
                    tokio::task::spawn_blocking(move || runner::expire(&dir));
                }
            }
            Seen::Running { phase, progress, .. } => {
                let live = self.runs.live.entry(id).or_default();
                live.phase = phase;
                live.progress = progress.or(live.progress.take());
            }
            Seen::Expired => {
                self.end_run(run, RunState::Expired, "not started within 30 s; ask again");
            }
            Seen::Lost { why, compensation, .. } => {
                let detail = match compensation {
                    None => why,
                    Some(open) => format!("{why}; STILL OPEN: {}", open.shown),
                };
                self.end_run(run, RunState::Lost, &detail);
            }
            Seen::Finished(status) => {
                self.runs.forget(&id);
                let measured = match (&run.plan.work, status.verdict) {
                    // What was cut over is live, and has cost what it has, also when a proof of it failed.
                    (Work::CutOver { .. } | Work::CopyIn { .. }, Verdict::Verified | Verdict::Contradicted)
                        if status.state == RunState::Succeeded =>
                    {
                        measure::of_cut_over(&self.state, run, status.finished_at)
                    }
                    _ => String::new(),
                };
                let event = RunFinished {
                    run: id,
                    state: status.state,
                    exit: status.exit,
                    verdict: status.verdict,
                    detail: self.mask.apply(&status.said(&measured)).into_owned(),
                    finished_at: Some(status.finished_at),
                    output_digest: status.output_digest,
                    excerpt: self.mask.apply(&status.excerpt).into_owned(),
                };
                self.record_own(run.incident.clone(), event);
                if let Some(service) = &run.plan.service {
                    self.schedule.probe_now(service);
                }
            }
        }
    }

    /// Services that open incidents name are probed more often, and so is what a run has just touched or a recovery waits for.
    fn schedule_incident(&mut self) {
        let mut services = self.state.services_in_incidents();
        for run in self.state.runs_in_order().rev().take(20) {
            if let Some(service) = &run.plan.service
                && !run.state.is_over()
            {
                services.insert(service.clone());
            }
        }
        if let Some((step, _)) = self.state.open_recovery().and_then(|r| r.current())
            && let Does::Healthy { services: awaited } = &step.spec.does
        {
            services.extend(awaited.iter().cloned());
        }
        services.extend(self.awaited_by_playbook());
        if services != self.sealing.probed {
            self.sealing.probed.clone_from(&services);
            self.schedule.set_incident(services);
        }
    }

    /// Pauses that have run out end by themselves, and requests that nobody claims expire.
    pub(super) fn expire(&mut self, now: Time) {
        let over: Vec<String> = self
            .state
            .services
            .iter()
            .filter(|(_, r)| r.paused_until.is_some_and(|until| until <= now))
            .map(|(name, _)| name.clone())
            .collect();
        for service in over {
            let _ = self.board.resume(&service, now);
            self.schedule.resume(&service);
            let incident = self.state.open_incidents().first().map(|i| i.id.clone());
            self.record_own(incident, ServiceResumed { service, reason: "its time has run out".into() });
        }
        let waiting: Vec<Run> = self
            .state
            .runs_in_order()
            .filter(|r| r.state == RunState::Requested && self.runs.following.contains(&r.plan.id))
            .cloned()
            .collect();
        for run in waiting {
            self.take_seen_unclaimed(&run);
        }
    }

    fn take_seen_unclaimed(&mut self, run: &Run) {
        let Some(dir) = runner::find(&self.state_dir, &self.other_places, &run.plan.id) else { return };
        self.runs.live.entry(run.plan.id.clone()).or_default().dir = dir;
        if self.now().since(run.requested_at) > CLAIM_WITHIN {
            self.take_seen(run, Seen::Unclaimed);
        }
    }
}
