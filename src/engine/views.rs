//! From the state and what is seen to the parts of the picture.

use std::collections::HashMap;
use std::time::Duration;

use super::core::{Core, Dirty};
use super::samples::BUCKET_MS;
use crate::config::{self, CheckKind};
use crate::domain::Time;
use crate::domain::backup::proof::Proof;
use crate::domain::decide::{against_resolving, to_consider};
use crate::domain::health::Health;
use crate::domain::incident::Incident;
use crate::domain::run::{Run, RunState};
use crate::runner;
use crate::text;
use crate::wire::{BackupView, CheckView, ContactView, Head, IncidentView, RecoveryView, RunView, ServiceView};

/// Buckets of ten seconds in a sparkline.
const SPARK: usize = 30;
/// Samples that are sorted at once.
const FEW: u32 = 100;
/// Percentiles look back this far.
const WINDOW: Duration = Duration::from_secs(3600);

impl Core {
    /// Brings the picture up to date and wakes the viewers.
    pub(super) fn publish(&mut self) {
        let dirty = std::mem::take(&mut self.dirty);
        let (now, boot_ms) = (self.now(), self.clock.boot_ms());
        let everything = dirty.everything;
        if everything {
            let all: Vec<String> = self.state.catalog.services.keys().cloned().collect();
            self.refresh_percentiles(all.iter(), now);
        } else {
            self.refresh_percentiles(dirty.services.iter(), now);
        }
        if self.targets.is_empty() {
            let masked = |c: &config::Check| self.mask.apply(&target(&c.kind)).into_owned();
            let all = self.config.services.iter().map(|s| (s.name.clone(), s.checks.iter().map(masked).collect()));
            self.targets = all.collect();
        }
        let mut holders: HashMap<&str, &Run> = HashMap::new();
        for run in self.state.runs_in_order().filter(|r| !r.state.is_over()) {
            if let Some(service) = &run.plan.service {
                holders.entry(service).or_insert(run);
            }
        }
        let known = &self.state.catalog.services;
        let services: Vec<ServiceView> = if everything {
            known.keys().map(|n| self.service_view(n, &holders, now)).collect()
        } else {
            let dirty = dirty.services.iter().filter(|n| known.contains_key(*n));
            dirty.map(|n| self.service_view(n, &holders, now)).collect()
        };
        let backups: Vec<BackupView> = self
            .config
            .backups
            .iter()
            .filter(|b| everything || dirty.backups.contains(&b.name))
            .map(|b| self.backup_view(b))
            .collect();
        let runs: Vec<RunView> = self
            .state
            .runs
            .values()
            .filter(|r| everything || dirty.runs.contains(r.id()))
            .map(|r| self.run_view(r, now))
            .collect();
        let wanted =
            |i: &&Incident| everything || (dirty.incidents && i.status.is_open()) || dirty.incident_ids.contains(&i.id);
        let incidents: Vec<IncidentView> =
            self.state.incidents.values().filter(wanted).map(|i| self.incident_view(i, now)).collect();
        let messages: Vec<_> =
            self.state.messages.values().filter(|m| everything || dirty.messages.contains(&m.id)).cloned().collect();
        let recoveries: Vec<RecoveryView> = self
            .state
            .recoveries
            .values()
            .filter(|r| everything || dirty.recoveries || r.state.is_open())
            .map(|r| self.recovery_view(r, now))
            .collect();
        let playbooks = self.playbook_views(everything || dirty.playbooks, now);
        let head = (everything || dirty.head || dirty.recoveries || dirty.playbooks).then(|| self.head_view());
        let Ok(mut picture) = self.picture.write() else { return };
        if everything {
            let catalog = &self.state.catalog;
            picture.keep_services(|n| catalog.services.contains_key(n));
            let config = &self.config;
            picture.keep_backups(|n| config.backups.iter().any(|b| b.name == n));
        }
        for view in services {
            picture.put_service(view);
        }
        for view in backups {
            picture.put_backup(view);
        }
        for view in runs {
            picture.put_run(view);
        }
        for view in incidents {
            picture.put_incident(view);
        }
        for view in recoveries {
            picture.put_recovery(view);
        }
        for view in playbooks {
            picture.put_playbook(view);
        }
        for message in messages {
            picture.put_message(message);
        }
        if let Some(head) = head {
            picture.put_head(head);
        }
        let state = &self.state;
        picture.keep_runs(|id| state.runs.contains_key(id));
        picture.keep_incidents(|id| state.incidents.contains_key(id));
        picture.keep_recoveries(|id| state.recoveries.contains_key(id));
        picture.keep_playbooks(|id| state.playbooks.contains_key(id));
        picture.keep_messages(|id| state.messages.contains_key(id));
        // Rows are told only once they are on disk, because they are read from there.
        picture.put_seq(self.recorder.head().0);
        picture.set_at(now, boot_ms);
        picture.publish();
        self.dirty = Dirty::default();
    }

    /// Percentiles over an hour move slowly and cost a sort: taken anew once in ten seconds, and while there are few.
    fn refresh_percentiles<'a>(&mut self, names: impl Iterator<Item = &'a String>, now: Time) {
        let bucket = now.ms().div_euclid(BUCKET_MS);
        for name in names {
            let known = self.percentiles.get(name);
            if known.is_some_and(|(at, p)| *at == bucket && p.n > FEW) {
                continue;
            }
            let config = self.places.get(name).and_then(|i| self.config.services.get(*i));
            let ring = config.and_then(measured).and_then(|c| self.samples.ring(name, &c.name));
            if let Some(ring) = ring {
                self.percentiles.insert(name.clone(), (bucket, ring.percentiles(now.minus(WINDOW))));
            }
        }
    }

    fn head_view(&self) -> Head {
        let mut warnings = self.warnings.clone();
        let (whole, parts) = self.waiting_sides();
        let copies = |n: usize, what: &str| text::plural(n, what).replace("copys", "copies");
        if whole > 0 {
            warnings.push(format!("{} ready to cut over", copies(whole, "side copy")));
        }
        if parts > 0 {
            warnings.push(format!("{} ready to be put in", copies(parts, "partial copy")));
        }
        Head {
            system: self.state.catalog.system.clone(),
            environment: self.state.catalog.environment.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            host: self.host.clone(),
            recording: self.recorder.recording(),
            config_faults: self.state.config_faults.clone(),
            config_source: self.config_path.as_ref().map(|p| p.display().to_string()).unwrap_or_default(),
            actions: self.state.catalog.actions.clone(),
            recoveries: self.state.catalog.recoveries.clone(),
            playbooks: self.playbook_facts(),
            suggested_playbooks: crate::domain::playbook::suggested(&self.config.playbooks, &self.state),
            checklists: self.state.checklists.iter().filter(|c| c.incident.is_none()).cloned().collect(),
            channels: self.state.catalog.channels.clone(),
            severities: self.state.catalog.severities.clone(),
            contacts: self.config.contacts.iter().map(ContactView::from).collect(),
            cost: self.state.catalog.cost.clone(),
            suggested: self.state.suggested_severity(),
            sandbox: self.sandbox,
            maintenance: self.windows.clone(),
            warnings,
            guard: self.guard_view(),
            redacted: self.state.redactions.finished,
        }
    }

    fn service_view(&self, name: &str, holders: &HashMap<&str, &Run>, now: Time) -> ServiceView {
        let facts = self.state.catalog.services.get(name).cloned().unwrap_or_default();
        let record = self.state.services.get(name);
        let status = self.board.service(name);
        let config = self.places.get(name).and_then(|i| self.config.services.get(*i));
        let mut view = ServiceView {
            name: name.to_owned(),
            tier: facts.tier,
            rto_ms: facts.rto_ms,
            impact: facts.impact,
            depends_on: facts.depends_on,
            control: facts.control,
            month: self.month_view(name, now),
            maintenance: self.state.availability.in_maintenance(name),
            ..ServiceView::default()
        };
        if let Some(status) = status {
            view.state = status.state;
            view.since = status.since;
            view.down_since = status.down_since;
            view.because.clone_from(&status.because);
            view.detail.clone_from(&status.detail);
            view.confirming = status.confirming;
            view.stale = status.stale;
        }
        if let Some(record) = record {
            view.paused_until = record.paused_until;
            view.down_since = view.down_since.or(record.down_since);
            if record.state == Health::Paused {
                view.state = Health::Paused;
                view.since = record.since;
                view.detail.clone_from(&record.paused_reason);
            }
        }
        view.held_by = holders.get(name).map(|r| r.id().to_owned());
        let statuses = self.board.checks(name);
        if let Some(config) = config {
            view.stale_after_ms = config.checks.iter().map(|c| ms(c.timing.stale_after())).min().unwrap_or(0);
            let targets = self.targets.get(name).map(Vec::as_slice).unwrap_or_default();
            for (i, check) in config.checks.iter().enumerate() {
                let status = statuses.iter().find(|(n, _)| *n == check.name).map(|(_, s)| s);
                view.checks.push(CheckView {
                    name: check.name.clone(),
                    kind: check.kind.word().into(),
                    target: targets.get(i).cloned().unwrap_or_default(),
                    state: status.map(|s| s.state).unwrap_or_default(),
                    since: status.map(|s| s.since).unwrap_or_default(),
                    every_ms: ms(check.timing.every),
                    last: status.and_then(|s| s.last.as_deref().cloned()),
                    observed_at: status.and_then(|s| s.observed_at),
                    confirming: status.and_then(|s| s.confirming),
                    lag: status.map_or(0, |s| s.lag),
                });
            }
            view.observed_at = view.checks.iter().filter_map(|c| c.observed_at).min();
            if let Some(ring) = measured(config).and_then(|c| self.samples.ring(name, &c.name)) {
                let p = self.percentiles.get(name).map(|(_, p)| *p).unwrap_or_default();
                (view.p50_us, view.p95_us, view.p99_us) = (p.p50.map(us), p.p95.map(us), p.p99.map(us));
                view.latency_us = ring.last().map(|s| s.latency_us);
                view.spark = ring.spark(now, SPARK).into_iter().map(|v| v.unwrap_or(0)).collect();
            }
        }
        view
    }

    fn backup_view(&self, backup: &config::Backup) -> BackupView {
        let mut view = BackupView {
            name: backup.name.clone(),
            service: backup.service.clone(),
            rpo_ms: backup.rpo.map(ms),
            every_ms: backup.every.map(ms),
            restorable: backup.restore.is_some(),
            any_moment: matches!(backup.restore, Some(config::Restore::PostgresPitr(_))),
            any_part: matches!(backup.restore, Some(config::Restore::PostgresDump(_) | config::Restore::Folder(_))),
            place: match &backup.source {
                config::BackupSource::Files(f) => {
                    text::clean(&f.path.join(&f.pattern).display().to_string()).into_owned()
                }
                config::BackupSource::Vault(v) => crate::backup::vault::place(v),
                config::BackupSource::Repo(r) => crate::backup::repo::place(&r.log),
            },
            ..BackupView::default()
        };
        if let Some(report) = self.reports.get(&backup.name) {
            view.state = report.judged.state;
            view.detail = self.mask.apply(&report.judged.detail).into_owned();
            view.newest.clone_from(&report.judged.newest);
            view.suspect.clone_from(&report.judged.newer_suspect);
            view.count = usize::try_from(report.listing.count).unwrap_or(usize::MAX);
            view.total_size = report.listing.bytes;
            view.next_due = report.judged.next_due;
            view.scanned_at = report.scanned_at;
            view.problem.clone_from(&report.problem);
        }
        if let Some(tests) = self.state.tests.get(&backup.name) {
            let proof = Proof::of_set(tests);
            (view.proven, view.test_failed) = (proof.proven.cloned(), proof.failed.cloned());
            view.tests.clone_from(tests);
        }
        view
    }

    fn incident_view(&self, incident: &Incident, now: Time) -> IncidentView {
        // By the clock that is never stepped, as long as the host has not been restarted since.
        let same_boot = incident.declared_boot == self.boot;
        let elapsed_ms = if same_boot && incident.status.is_open() {
            self.clock.boot_ms().saturating_sub(incident.declared_boot_ms)
        } else {
            ms(self.state.elapsed(incident, now))
        };
        IncidentView {
            incident: incident.clone(),
            update_due: self.state.update_due(incident),
            elapsed_ms,
            against_resolving: if incident.status.is_open() {
                against_resolving(&self.state, incident)
            } else {
                Vec::new()
            },
            to_consider: to_consider(&self.state, incident),
            checklists: crate::domain::checklist::of_incident(&self.state, &incident.id).cloned().collect(),
            timeline_file: self.timelines.path(&incident.id).display().to_string(),
            leading: self.clock_view(incident, now),
            head_starts: crate::domain::headstart::of(&self.state, &incident.id)
                .map(|m| self.head_start_view(m))
                .collect(),
        }
    }

    fn run_view(&self, run: &Run, now: Time) -> RunView {
        let live = self.runs.live.get(run.id());
        let plan = &run.plan;
        let phase = live.map_or(run.phase, |l| l.phase.max(run.phase));
        let progress = live.and_then(|l| l.progress.as_ref());
        let running = run.state == RunState::Running;
        let share = running.then(|| runner::share(plan, phase, progress));
        let spent = run.started_at.map(|at| ms(now.since(at)));
        let eta_ms = share.zip(spent).and_then(|(s, spent)| runner::time_left(s, spent, progress, plan.expected_ms));
        let doing = progress.map(runner::Progress::doing).unwrap_or_default();
        RunView {
            id: run.id().to_owned(),
            work: plan.work.clone(),
            title: plan.title.clone(),
            target: plan.target.clone(),
            service: plan.service.clone(),
            risk: plan.risk,
            state: run.state,
            incident: run.incident.clone(),
            requested_at: run.requested_at,
            requested_by: run.requested_by.clone(),
            started_at: run.started_at,
            finished_at: run.finished_at,
            phases: plan.phases.iter().map(|p| p.name.clone()).collect(),
            phase,
            permille: share.map(|s| (s * 1000.0) as u16),
            eta_ms,
            doing: text::clean(&doing).into_owned(),
            exit: run.exit,
            verdict: run.verdict,
            superseded: run.superseded,
            detail: run.detail.clone(),
            cancel_requested: run.cancel_requested,
            sides: run.sides.clone(),
            unlogged: run.unlogged,
            head_start: run.head_start,
            data_as_of: plan.data_as_of(),
            rpo_ms: plan.rpo_ms,
        }
    }
}

fn ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// The check whose latency is the service's.
fn measured(service: &config::Service) -> Option<&config::Check> {
    service.checks.iter().find(|c| {
        !matches!(c.kind, CheckKind::Host(_) | CheckKind::Systemd(_) | CheckKind::Docker(_) | CheckKind::Exec(_))
    })
}

/// What a check looks at, in a few words. Passwords in addresses are masked by the caller.
fn target(kind: &CheckKind) -> String {
    let maybe = |v: &config::MaybeSecret| match v {
        config::MaybeSecret::Plain(text) => text.clone(),
        config::MaybeSecret::Secret(secret) => format!("({})", secret.describe()),
    };
    match kind {
        CheckKind::Http(c) => format!("{} {}", c.method, maybe(&c.url)),
        CheckKind::Tcp(c) => c.address.clone(),
        CheckKind::Tls(c) => c.address.clone(),
        CheckKind::Dns(c) => format!("{} {}", c.record, c.name),
        CheckKind::Postgres(c) => maybe(&c.dsn),
        CheckKind::Redis(c) => maybe(&c.url),
        CheckKind::Host(_) => "this host".into(),
        CheckKind::Systemd(c) => c.unit.clone(),
        CheckKind::Docker(c) => c.container.clone(),
        CheckKind::Exec(c) => c.run.iter().map(|a| text::shell_word(a)).collect::<Vec<_>>().join(" "),
    }
}

/// Microseconds for the wire; a failure is worse than any number.
fn us(latency: super::samples::Latency) -> u32 {
    match latency {
        super::samples::Latency::Us(us) => us.min(u32::MAX - 1),
        super::samples::Latency::Endless => u32::MAX,
    }
}
