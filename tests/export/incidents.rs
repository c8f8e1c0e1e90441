//! Incidents made entry by entry, with names for the entries that numbers cite.

use std::collections::{BTreeMap, BTreeSet};

use mayday::domain::backup::Copy;
use mayday::domain::catalog::{BackupFacts, Catalog, ChannelFacts, Cost, ServiceFacts, Severity, SeverityFacts};
use mayday::domain::event::{self, Entry, Event};
use mayday::domain::health::Health;
use mayday::domain::incident::Status;
use mayday::domain::message::{Delivery, Template};
use mayday::domain::phases::IncidentPhase;
use mayday::domain::run::{Phase, Plan, Risk, RunState, Side, SideRole, Step, Verdict, Work};
use mayday::domain::{Actor, Time};
use sha2::Digest as _;

pub const ID: &str = "INC-2026-004";
/// The sealed samples of [`restored`].
pub const SAMPLES: &[u8] = b"{\"a\":1}\n";

/// A journal and the names of some of its entries.
#[derive(Default)]
pub struct Told {
    pub entries: Vec<Entry>,
    names: BTreeMap<String, u64>,
    /// Another day than the usual one.
    pub day: Option<&'static str>,
}

impl Told {
    pub fn at(&self, clock: &str) -> Time {
        Time::parse(&format!("{}T{clock}Z", self.day.unwrap_or("2026-11-20"))).unwrap()
    }

    pub fn seq(&self, name: &str) -> u64 {
        self.names[name]
    }

    /// In ascending order.
    pub fn seqs(&self, names: &[&str]) -> Vec<u64> {
        let mut all: Vec<u64> = names.iter().map(|n| self.seq(n)).collect();
        all.sort_unstable();
        all
    }

    pub fn push(&mut self, clock: &str, user: &str, incident: bool, event: impl Into<Event>) -> &mut Self {
        let actor = match user {
            "engine" => Actor::engine(),
            user => Actor { user: user.into(), uid: Some(1004), via: "key".into(), ..Actor::default() },
        };
        self.entries.push(Entry {
            seq: self.entries.len() as u64 + 1,
            at: self.at(clock),
            boot_ms: 0,
            boot: "b".into(),
            host: "h".into(),
            actor,
            incident: incident.then(|| ID.to_owned()),
            event: event.into(),
        });
        self
    }

    pub fn named(&mut self, name: &str) -> &mut Self {
        self.names.insert(name.into(), self.entries.len() as u64);
        self
    }

    pub fn around(&mut self, clock: &str, event: impl Into<Event>) -> &mut Self {
        self.push(clock, "engine", false, event)
    }

    pub fn own(&mut self, clock: &str, user: &str, event: impl Into<Event>) -> &mut Self {
        self.push(clock, user, true, event)
    }

    pub fn config(&mut self, clock: &str) -> &mut Self {
        let loaded = event::ConfigLoaded { digest: "d".into(), source: "mayday.toml".into(), catalog: catalog() };
        self.around(clock, loaded).named("config")
    }

    pub fn health(&mut self, clock: &str, service: &str, from: Health, to: Health, happened: &str) -> &mut Self {
        let detail = if to == Health::Down { "503 Service Unavailable" } else { "200 OK" };
        let happened_at = Some(self.at(happened));
        self.around(
            clock,
            event::HealthChanged {
                service: service.into(),
                from,
                to,
                check: "http".into(),
                detail: detail.into(),
                because: None,
                happened_at,
            },
        )
    }

    pub fn declare(&mut self, clock: &str, severity: Severity, services: &[&str], source: &str) -> &mut Self {
        let user = if source == "human" { "oncall1" } else { "engine" };
        let services: BTreeSet<String> = services.iter().map(|s| (*s).to_owned()).collect();
        self.own(
            clock,
            user,
            event::IncidentDeclared {
                title: "Complete outage".into(),
                severity,
                services,
                onset: None,
                source: source.into(),
            },
        )
    }

    pub fn onset(&mut self, clock: &str, onset: &str) -> &mut Self {
        let onset = self.at(onset);
        self.own(clock, "engine", event::IncidentOnset { onset, why: "first failing probe of api".into() })
            .named("onset")
    }

    pub fn status(&mut self, clock: &str, from: Status, to: Status) -> &mut Self {
        self.own(clock, "oncall1", event::IncidentStatus { from, to, reason: String::new(), forced: false })
    }

    pub fn note(&mut self, clock: &str, text: &str) -> &mut Self {
        self.own(clock, "oncall1", event::NoteAdded { text: text.into(), happened_at: None })
    }

    /// Asked for at `clock`, taken by Slack two seconds later.
    pub fn sent(&mut self, id: &str, clock: &str, accepted: &str, template: Template) -> &mut Self {
        self.own(
            clock,
            "oncall1",
            event::MessageQueued {
                id: id.into(),
                template,
                subject: format!("[P0] {ID} {}", template.word()),
                body: "api is down".into(),
                channels: vec!["incidents".into()],
                automatic: false,
            },
        )
        .own(accepted, "engine", attempted(id, 1, Delivery::Accepted, "ok"))
    }

    pub fn run(&mut self, plan: Plan, requested: &str, finished: &str, state: RunState, verdict: Verdict) -> &mut Self {
        let id = plan.id.clone();
        let ok = state == RunState::Succeeded;
        let (started, finished_at) = (requested, Some(self.at(finished)));
        self.own(
            requested,
            "oncall1",
            event::RunRequested { plan, reason: String::new(), unlogged: false, recovery: None, head_start: false },
        )
        .named(&format!("{id} requested"))
        .own(started, "engine", event::RunClaimed { run: id.clone(), pid: 4711 })
        .own(started, "engine", event::RunStarted { run: id.clone() })
        .own(
            finished,
            "engine",
            event::RunFinished {
                run: id.clone(),
                state,
                exit: Some(if ok { 0 } else { 1 }),
                verdict,
                detail: if ok { "GET /health answers 200".into() } else { "pg_restore: out of memory".into() },
                finished_at,
                output_digest: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef".into(),
                excerpt: "restarting\ndone\n".into(),
            },
        )
        .named(&format!("{id} finished"))
    }
}

pub fn attempted(id: &str, attempt: u32, result: Delivery, answer: &str) -> event::MessageAttempted {
    event::MessageAttempted {
        message: id.into(),
        channel: "incidents".into(),
        attempt,
        result,
        answer: answer.into(),
        next_at: None,
        head: String::new(),
    }
}

pub fn catalog() -> Catalog {
    let service = |tier, minutes: Option<u64>, checked: bool| ServiceFacts {
        tier,
        rto_ms: minutes.map(|m| m * 60_000),
        probe_every_ms: checked.then_some(10_000),
        checked,
        ..ServiceFacts::default()
    };
    let backup = |minutes: u64| BackupFacts {
        service: Some("postgres".into()),
        rpo_ms: Some(minutes * 60_000),
        restorable: true,
        head_start: None,
    };
    let severity = |respond: u64, update: Option<u64>| SeverityFacts {
        respond_within_ms: Some(respond * 60_000),
        update_every_ms: update.map(|m| m * 60_000),
        ..SeverityFacts::default()
    };
    Catalog {
        system: "crazy-gary".into(),
        environment: "production".into(),
        services: BTreeMap::from([
            ("api".into(), service(1, Some(10), true)),
            ("postgres".into(), service(1, Some(15), true)),
            ("web".into(), service(2, Some(30), true)),
            ("mail".into(), service(3, None, true)),
            ("docs".into(), service(3, Some(60), false)),
        ]),
        backups: BTreeMap::from([("postgres-full".into(), backup(26 * 60)), ("postgres-wal".into(), backup(5))]),
        channels: vec![ChannelFacts { name: "incidents".into(), kind: "slack".into() }],
        severities: BTreeMap::from([
            (Severity::P0, severity(5, Some(15))),
            (Severity::P1, severity(15, Some(30))),
            (Severity::P2, severity(60, None)),
        ]),
        cost: Some(Cost { per_hour: 45_000.0, currency: "EUR".into() }),
        ..Catalog::default()
    }
}

pub fn plan(id: &str, work: Work, title: &str) -> Plan {
    Plan {
        id: id.into(),
        made_at: Time::default(),
        work,
        title: title.into(),
        target: "api".into(),
        service: Some("api".into()),
        holds: vec!["service api".into()],
        risk: Risk::Disruptive,
        effects: Vec::new(),
        copy: None,
        data_lost_ms: None,
        rpo_ms: None,
        expected_ms: None,
        expected_from: 0,
        preconditions: Vec::new(),
        phases: vec![Phase {
            name: "restart".into(),
            weight: 1,
            step: Step::Command {
                argv: ["systemctl", "restart", "api.service"].map(str::to_owned).to_vec(),
                env: BTreeMap::new(),
                secret_env: BTreeMap::new(),
                cwd: None,
                timeout_ms: None,
                refused_if: Vec::new(),
            },
            proof: false,
            retry_ms: 0,
        }],
        timeout_ms: 60_000,
        after: None,
        secrets: Vec::new(),
        undo: String::new(),
        gentle: false,
    }
}

use Health::{Down, Unknown, Up};
use Status::{Identified, Investigating, Monitoring, Resolved};

pub fn missing_ack() -> Told {
    let mut t = Told::default();
    t.around("01:00:00", event::EngineStarted { version: "0.1.0".into(), pid: 1, clean: true });
    t.config("01:00:01");
    t.around(
        "01:30:00",
        event::BackupArrived {
            backup: "postgres-full".into(),
            copy: Copy { id: "full-0130.dump".into(), size: 412_000_000, ..Copy::default() },
        },
    );
    t.health("02:03:20", "api", Up, Down, "02:03:11").named("down");
    t.declare("02:05:00", Severity::P0, &["api"], "human");
    t.onset("02:05:00", "02:03:11");
    t.own(
        "02:05:30",
        "oncall1",
        event::StepTaken { what: "opened the restart dialog".into(), about: Some("api".into()) },
    );
    t.note("02:06:00", "deploy 4711 went out at 02:02");
    t.sent("m-1", "02:07:00", "02:07:02", Template::Initial);
    let restart = plan("run1", Work::Restart { service: "api".into() }, "restart api");
    t.run(restart, "02:08:00", "02:08:30", RunState::Succeeded, Verdict::Verified);
    t.health("02:15:40", "api", Down, Up, "02:15:31").named("up");
    t.status("02:16:00", Investigating, Monitoring);
    t.status("02:20:00", Monitoring, Resolved);
    t.sent("m-2", "02:21:00", "02:21:01", Template::Resolution);
    t
}

pub fn overlapping() -> Told {
    let mut t = Told::default();
    t.config("08:00:00");
    t.health("09:00:10", "mail", Up, Down, "09:00:00");
    t.health("10:00:10", "api", Up, Down, "10:00:00");
    t.declare("10:01:00", Severity::P0, &["api", "postgres"], "human");
    t.own("10:01:10", "oncall1", event::IncidentAcknowledged {});
    t.health("10:02:10", "web", Up, Down, "10:02:00");
    t.health("10:05:10", "api", Down, Up, "10:05:00");
    t.health("10:05:30", "api", Up, Down, "10:04:30");
    t.health("10:08:10", "postgres", Up, Down, "10:08:00");
    t.health("10:10:10", "api", Down, Up, "10:10:00");
    t.around("10:11:00", event::EngineStarted { version: "0.1.0".into(), pid: 2, clean: false });
    t.health("10:11:20", "postgres", Unknown, Down, "10:11:10");
    t.health("10:12:10", "web", Down, Up, "10:12:00");
    t.health("10:14:10", "postgres", Down, Up, "10:14:00");
    t.status("10:15:00", Investigating, Monitoring);
    t.status("10:20:00", Monitoring, Resolved);
    t.status("10:21:00", Resolved, Status::Closed);
    t
}

pub fn reopened() -> Told {
    let mut t = Told::default();
    t.config("10:00:00");
    t.health("11:01:00", "web", Up, Down, "11:00:00");
    t.declare("11:01:00", Severity::P1, &["web"], "human");
    t.own("11:03:00", "ann", event::IncidentAcknowledged {});
    t.own("11:03:10", "ann", event::IncidentAssigned { role: "commander".into(), user: "ann".into() });
    t.health("11:10:10", "web", Down, Up, "11:10:00");
    t.status("11:12:00", Investigating, Monitoring);
    t.status("11:30:00", Monitoring, Resolved);
    t.health("11:39:10", "web", Up, Down, "11:39:00");
    t.own("11:40:00", "ann", event::IncidentReopened { reason: "web is down again".into() });
    t.health("11:50:10", "web", Down, Up, "11:50:00");
    t.status("11:55:00", Investigating, Monitoring);
    t.status("12:00:00", Monitoring, Resolved);
    t
}

pub fn still_open() -> Told {
    let mut t = Told::default();
    t.config("08:00:00");
    t.health("09:00:10", "api", Up, Down, "09:00:00");
    t.declare("09:01:00", Severity::P0, &["api", "web", "postgres", "docs", "ghost"], "human");
    t.health("09:05:10", "postgres", Up, Down, "09:05:00");
    t.health("09:10:10", "postgres", Down, Unknown, "09:10:00");
    let until = t.at("12:00:00");
    t.around("09:15:00", event::ServicePaused { service: "postgres".into(), until, reason: "moved".into() });
    t.own(
        "09:20:00",
        "oncall1",
        event::CommandRefused { asked: "resolve".into(), reason: "api is down (tier 1)".into() },
    );
    let restart = plan("run1", Work::Restart { service: "api".into() }, "restart api");
    t.run(restart, "09:21:00", "09:21:30", RunState::Succeeded, Verdict::Contradicted);
    t.own(
        "09:22:00",
        "oncall1",
        event::MessageQueued {
            id: "m-1".into(),
            template: Template::Update,
            subject: "still down".into(),
            body: "we are on it".into(),
            channels: vec!["incidents".into()],
            automatic: false,
        },
    );
    t.own("09:22:10", "engine", attempted("m-1", 1, Delivery::Retrying, "503 Service Unavailable"));
    t.health("09:25:10", "web", Up, Down, "09:25:00");
    t.note("09:30:00", "TODO: find out why the restart did not help").named("last");
    t.health("09:40:00", "api", Down, Up, "09:39:50");
    t
}

pub fn restored() -> Told {
    let mut t = Told::default();
    t.config("01:00:00");
    t.health("02:45:10", "postgres", Up, Down, "02:45:00");
    t.declare("02:46:00", Severity::P0, &["postgres"], "human");
    t.onset("02:46:00", "02:45:00");
    t.own("02:47:00", "oncall1", event::IncidentAcknowledged {});
    let restore = |t: &Told, id: &str, backup: &str, taken: &str, rpo: Option<u64>, test| {
        let work = Work::Restore { backup: backup.into(), copy: None, test, to: None, only: Vec::new() };
        let mut plan = plan(id, work, &format!("restore {backup} beside crazy_gary"));
        plan.copy =
            Some(Copy { id: format!("{backup}-1"), taken_at: t.at(taken), size: 412_000_000, ..Copy::default() });
        plan.rpo_ms = rpo;
        plan
    };
    let ok = (RunState::Succeeded, Verdict::Verified);
    let run1 = restore(&t, "run1", "postgres-full", "02:00:00", Some(26 * 3_600_000), false);
    t.run(run1, "02:50:00", "02:55:00", ok.0, ok.1);
    let created_at = t.at("02:50:01");
    let side = |name: &str, role| event::RunSide {
        run: "run1".into(),
        side: Some(Side {
            kind: "database".into(),
            name: name.into(),
            live: "crazy_gary".into(),
            created_at,
            size: 0,
            role,
            args: serde_json::Value::Null,
        }),
        gone: Vec::new(),
    };
    t.own("02:55:01", "engine", side("crazy_gary_run1", SideRole::Ready));
    let run2 = plan("run2", Work::CutOver { of: "run1".into() }, "cut over to crazy_gary_run1");
    t.run(run2, "02:56:00", "02:56:10", ok.0, ok.1);
    t.own(
        "02:56:11",
        "engine",
        event::RunSide { run: "run1".into(), side: None, gone: vec!["crazy_gary_run1".into()] },
    );
    t.own("02:56:11", "engine", side("crazy_gary_before_run2", SideRole::Before));
    // Its RPO comes from the configuration.
    let run3 = restore(&t, "run3", "postgres-wal", "02:30:00", None, false);
    t.run(run3, "02:57:00", "02:58:00", ok.0, ok.1);
    t.run(plan("run4", Work::CutOver { of: "run3".into() }, "cut over"), "02:59:00", "02:59:10", ok.0, ok.1);
    let run6 = restore(&t, "run6", "postgres-full", "02:48:00", None, false);
    t.run(run6, "03:01:00", "03:02:00", ok.0, ok.1);
    t.run(plan("run9", Work::CutOver { of: "run6".into() }, "cut over"), "03:02:10", "03:02:20", ok.0, ok.1);
    t.run(plan("run5", Work::Undo { of: "run9".into() }, "undo the cut-over"), "03:02:30", "03:02:40", ok.0, ok.1);
    let run10 = restore(&t, "run10", "postgres-full", "02:30:00", None, false);
    t.run(run10, "03:02:50", "03:02:55", ok.0, ok.1);
    let run7 = restore(&t, "run7", "postgres-full", "02:00:00", None, true);
    t.run(run7, "03:03:00", "03:04:00", ok.0, ok.1);
    let run8 = restore(&t, "run8", "postgres-full", "02:00:00", None, false);
    t.run(run8, "03:05:00", "03:06:00", RunState::Failed, Verdict::Unverified);
    t.health("03:07:10", "postgres", Down, Up, "03:07:00");
    t.status("03:08:00", Investigating, Resolved);
    let digest = hex::encode(sha2::Sha256::digest(SAMPLES));
    t.own("03:08:01", "engine", event::IncidentSealed { file: "samples.jsonl".into(), digest, samples: 1 });
    t
}

pub fn severity_twice() -> Told {
    let mut t = Told::default();
    t.config("06:00:00");
    t.around(
        "06:30:00",
        event::ConfigRejected { source: "mayday.toml".into(), faults: vec!["line 3: what is this".into()] },
    );
    t.health("07:00:00", "api", Up, Health::Degraded, "06:59:30");
    t.declare("07:00:00", Severity::P1, &["api"], "api slow");
    let severity = |from, to, why: &str| event::IncidentSeverity { from, to, reason: why.into() };
    t.own("07:10:00", "oncall1", severity(Severity::P1, Severity::P0, "checkout is affected"));
    t.status("07:12:00", Investigating, Identified);
    t.sent("m-1", "07:34:00", "07:35:00", Template::Initial);
    t.own("07:40:00", "oncall1", severity(Severity::P0, Severity::P2, "cache is warm again"));
    t.around("07:45:00", event::ClockStepped { by_ms: -1500 });
    t.status("08:00:00", Identified, Resolved);
    t
}

/// Everything that a clock counts: phases early and late, levels, calls, a snooze, an onset by hand, a merge.
pub fn led() -> Told {
    let mut t = Told::default();
    let mut catalog = catalog();
    for facts in catalog.severities.values_mut() {
        let ends = [5, 15, 30, 60, 240, 1440].map(|m: u64| m * 60_000);
        facts.phases = IncidentPhase::ALL.into_iter().zip(ends).collect();
        facts.first_word_within_ms = Some(300_000);
        facts.resolution_within_ms = Some(300_000);
        facts.review_within_ms = Some(2 * 86_400_000);
        facts.escalate = ["on-call", "manager"].map(str::to_owned).to_vec();
    }
    t.around("01:00:00", event::ConfigLoaded { digest: "d".into(), source: "mayday.toml".into(), catalog })
        .named("config");
    t.health("02:03:20", "api", Up, Down, "02:03:11").named("down");
    t.declare("02:05:00", Severity::P1, &["api"], "human");
    t.onset("02:05:00", "02:03:11");
    let level = |level, name: &str, channels: &[&str], why: &str| event::IncidentEscalated {
        level,
        name: name.into(),
        contacts: vec!["Ann | Otto".into()],
        channels: channels.iter().map(|c| (*c).to_owned()).collect(),
        message: if channels.is_empty() { String::new() } else { format!("esc-{ID}-{level}") },
        why: why.into(),
    };
    t.own("02:05:00", "engine", level(1, "on-call", &["incidents"], "declared"));
    t.sent("m-1", "02:09:00", "02:09:30", Template::Initial);
    t.own("02:10:00", "engine", level(2, "manager", &[], "no acknowledgement after 5m"));
    let call =
        |answered, note: &str| event::ContactCalled { contact: "Ann | Otto".into(), answered, note: note.into() };
    t.own("02:11:00", "oncall1", call(false, "")).named("no answer");
    t.own("02:15:00", "engine", event::IncidentUnanswered { why: "no acknowledgement after 5m".into() });
    t.own("02:16:00", "oncall1", call(true, "on the way"));
    t.own("02:17:00", "ann", event::IncidentAcknowledged {}).named("ack");
    let reason = "checkout is affected".into();
    t.own("02:18:00", "ann", event::IncidentSeverity { from: Severity::P1, to: Severity::P0, reason });
    t.status("02:19:00", Investigating, Identified).named("identified");
    let until = t.at("02:40:00");
    let due = t.at("02:24:30");
    t.own("02:23:00", "ann", event::UpdateSnoozed { until, reason: "restore ends at 02:30".into(), due });
    let merged = event::IncidentAbsorbed {
        incident: "INC-2026-005".into(),
        title: "Mails are late".into(),
        reason: "the same cause".into(),
    };
    t.own("02:25:00", "ann", merged).named("merged");
    t.status("02:36:00", Identified, Monitoring).named("monitoring");
    t.sent("m-2", "02:38:00", "02:38:02", Template::Update);
    t.health("02:40:10", "api", Down, Up, "02:40:00").named("up");
    t.status("02:50:00", Monitoring, Resolved).named("resolved");
    t.sent("m-3", "02:51:00", "02:51:01", Template::Resolution);
    let onset = t.at("02:01:00");
    let why = "first complaint in the mailbox".into();
    t.own("08:00:00", "ann", event::IncidentOnset { onset, why }).named("by hand");
    t.status("09:00:00", Resolved, Status::Closed);
    t
}

pub fn declared_first() -> Told {
    let mut t = Told::default();
    t.config("07:00:00");
    t.declare("08:00:00", Severity::P0, &["api"], "human");
    t.note("08:00:30", "customers call");
    t.health("08:02:10", "api", Up, Down, "08:02:00");
    t.health("08:05:10", "api", Down, Up, "08:05:00");
    t.status("08:10:00", Investigating, Resolved);
    t
}

pub fn hostile() -> Told {
    let evil = "a|b `c` <script>alert(1)</script> <img src=x> [x](http://evil/) ![p](http://evil/p)\n# pwned\n| x | y |\n\
                \u{1b}[2J\u{202e}\u{9b}31m planted-secret-0815 password=hunter22 -->";
    let mut t = Told::default();
    t.config("07:00:00");
    t.own(
        "08:00:00",
        evil,
        event::IncidentDeclared {
            title: evil.into(),
            severity: Severity::P0,
            services: BTreeSet::from([evil.to_owned(), "api".to_owned()]),
            onset: None,
            source: evil.into(),
        },
    );
    t.note("08:01:00", evil);
    t.note("08:01:30", "TODO `|` <b>");
    t.own("08:02:00", evil, event::IncidentAssigned { role: evil.into(), user: evil.into() });
    let mut bad = plan("run1", Work::Act { action: evil.into() }, evil);
    if let Some(Phase { step: Step::Command { argv, .. }, .. }) = bad.phases.first_mut() {
        argv.push(format!("```\n{evil}"));
    }
    t.run(bad, "08:03:00", "08:04:00", RunState::Failed, Verdict::Unverified);
    if let Some(Entry { event: Event::RunFinished(e), .. }) = t.entries.last_mut() {
        e.detail = evil.into();
        e.excerpt = format!("```\n````\n{evil}\n~~~");
        e.output_digest = evil.into();
    }
    t.own(
        "08:05:00",
        evil,
        event::MessageQueued {
            id: evil.into(),
            template: Template::Update,
            subject: evil.into(),
            body: evil.into(),
            channels: vec![evil.into()],
            automatic: false,
        },
    );
    t.own(
        "08:06:00",
        "engine",
        event::MessageAttempted {
            message: evil.into(),
            channel: evil.into(),
            attempt: 1,
            result: Delivery::Refused,
            answer: evil.into(),
            next_at: None,
            head: String::new(),
        },
    );
    let payload = serde_json::json!({ "text": evil });
    t.own("08:07:00", evil, Event::Unknown { kind: "note.corrected".into(), payload });
    t
}

/// Hypotheses with evidence, and the lead handed over with a capsule.
pub fn led_by_two() -> Told {
    use mayday::domain::hypothesis::{Basis, Stance, Standing};
    let mut told = Told::default();
    told.config("01:00:00");
    told.declare("02:00:00", Severity::P0, &["api"], "human").named("declared");
    told.own("02:00:30", "oncall1", event::IncidentAcknowledged {});
    told.own("02:00:30", "oncall1", event::IncidentAssigned { role: "commander".into(), user: "oncall1".into() });
    for (n, text) in ["the pool is exhausted", "the disk is full | <b>"].into_iter().enumerate() {
        let hypothesis = format!("H{}", n + 1);
        told.own("02:01:00", "oncall1", event::HypothesisOpened { hypothesis, text: text.into() });
    }
    for (hypothesis, stance, basis, text) in [
        ("H1", Stance::For, Basis::Fact, "90 of 90 connections"),
        ("H1", Stance::For, Basis::Hearsay, "the vendor saw it elsewhere"),
        ("H2", Stance::Against, Basis::Inference, "writes succeed"),
    ] {
        let (hypothesis, text) = (hypothesis.into(), text.into());
        told.own("02:02:00", "oncall1", event::HypothesisEvidence { hypothesis, stance, basis, text });
    }
    let closed = |h: &str, standing, reason: &str| event::HypothesisClosed {
        hypothesis: h.into(),
        standing,
        reason: reason.into(),
    };
    told.own("02:03:00", "oncall1", closed("H2", Standing::Eliminated, "df: 40 % used"));
    let capsule = vec!["what       INC-2026-004 P0".to_owned(), "open       H1 the pool is exhausted".to_owned()];
    told.own(
        "02:04:00",
        "oncall1",
        event::HandoffOffered {
            role: "commander".into(),
            to: Some("oncall2".into()),
            remark: "restart next".into(),
            capsule,
        },
    )
    .named("offered");
    let offered = told.seq("offered");
    told.own(
        "02:05:00",
        "oncall2",
        event::HandoffTaken { offered, role: "commander".into(), from: "oncall1".into(), to: "oncall2".into() },
    );
    told.own("02:06:00", "oncall2", closed("H1", Standing::Confirmed, "a leak in the worker"));
    told
}
