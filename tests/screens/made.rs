//! A cockpit driven by hand: pictures made up, keys pressed, answers given, time moved.

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use mayday::domain::Time;
use mayday::domain::backup::{BackupState, Copy};
use mayday::domain::catalog::{ActionFacts, ChannelFacts, Cost, RecoveryFacts, Severity, SeverityFacts};
use mayday::domain::command::Command;
use mayday::domain::health::{Health, Outcome, ProbeResult, Reason};
use mayday::domain::incident::{Incident, Status};
use mayday::domain::message::{ChannelDelivery, Delivery, Message, Template};
use mayday::domain::recovery::Recovery;
use mayday::domain::run::{Checked, Phase, Plan, Precondition, Risk, RunState, Side, SideRole, Step, Verdict, Work};
use mayday::domain::timeline::{Level, Row};
use mayday::viewer::app::{App, Pending};
use mayday::viewer::keymap::Keymap;
use mayday::viewer::link::{Peer, Question};
use mayday::viewer::look::Look;
use mayday::viewer::screen::{Effect, Face, Input, Now};
use mayday::wire::{
    Answer, Ask, BackupView, Change, CheckView, Head, IncidentView, OutputChunk, Recording, RecoveryView, RunView,
    ServiceView,
};

/// 2026-11-20T02:26:50Z, and seconds after it.
pub fn at(seconds: i64) -> Time {
    Time::from_ms(1_795_141_610_000 + seconds * 1000)
}

pub struct Stage {
    pub app: App,
    pub asks: Vec<Ask>,
    /// Steps towards an action, which are told to the record and wait for nothing.
    pub steps: Vec<String>,
    ms: u64,
    us: u64,
    rev: u64,
}

impl Stage {
    fn new() -> Stage {
        let app = App::new(Look::default(), Keymap::default(), Vec::new());
        let mut stage = Stage { app, asks: Vec::new(), steps: Vec::new(), ms: 1000, us: 0, rev: 1 };
        stage.resize(120, 36);
        stage.link_up();
        stage
    }

    fn now(&mut self) -> Now {
        self.us += 1;
        Now { mono_us: self.ms * 1000 + self.us, wall: at(0) }
    }

    pub fn tell(&mut self, input: Input) -> Vec<Effect> {
        let now = self.now();
        let effects = self.app.update(input, now);
        for effect in &effects {
            match effect {
                Effect::Ask(Question { ask: Ask::Do(Command::Step { what, .. }), .. }) => self.steps.push(what.clone()),
                Effect::Ask(q) => self.asks.push(q.ask.clone()),
                _ => {}
            }
        }
        effects
    }

    pub fn press(&mut self, key: KeyEvent) -> Vec<Effect> {
        let at = self.now().mono_us;
        self.tell(Input::Key(key, at))
    }

    pub fn key(&mut self, code: KeyCode) -> Vec<Effect> {
        self.press(KeyEvent::new(code, KeyModifiers::NONE))
    }

    pub fn ctrl(&mut self, c: char) -> Vec<Effect> {
        self.press(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL))
    }

    pub fn keys(&mut self, text: &str) -> Vec<Effect> {
        text.chars().flat_map(|c| self.key(KeyCode::Char(c))).collect()
    }

    pub fn paste(&mut self, text: &str) -> Vec<Effect> {
        self.tell(Input::Paste(text.into()))
    }

    pub fn resize(&mut self, w: u16, h: u16) -> Vec<Effect> {
        self.tell(Input::Resize(w, h))
    }

    /// Time passes without a word from the engine.
    pub fn later(&mut self, ms: u64) -> Vec<Effect> {
        self.ms += ms;
        self.tell(Input::Tick)
    }

    /// The newest frame is on the terminal.
    pub fn drawn(&mut self) -> Vec<Effect> {
        let (mark, at) = (self.app.mark(), self.now().mono_us);
        self.tell(Input::Drawn(mark, at))
    }

    pub fn link_up(&mut self) -> Vec<Effect> {
        let peer = Peer {
            epoch: "e".into(),
            pid: 4242,
            version: "0.1.0".into(),
            user: "oncall1".into(),
            state: "/state 1".into(),
            ..Peer::default()
        };
        self.tell(Input::LinkUp(peer))
    }

    pub fn read_only(&mut self) {
        let mut peer = self.app.watched.peer.clone();
        peer.read_only = true;
        self.tell(Input::LinkUp(peer));
    }

    pub fn last_ask(&self) -> Option<&Ask> {
        self.asks.last()
    }

    pub fn change(&mut self, mut change: Change) {
        self.rev += 1;
        change.epoch = "e".into();
        change.rev = self.rev;
        if change.at == Time::default() {
            change.at = at(i64::try_from(self.ms / 1000).unwrap() - 1);
        }
        self.tell(Input::Change(Box::new(change)));
    }

    pub fn becomes_a_sandbox(&mut self) {
        let head = Head { sandbox: true, ..self.app.mirror().head.clone() };
        self.change(Change { head: Some(head), ..Change::default() });
    }

    /// The engine says that it lives.
    pub fn heartbeat(&mut self) {
        self.change(Change::default());
    }

    pub fn recording(&mut self, recording: Recording) {
        let head = Head { recording, ..self.app.watched.mirror.head.clone() };
        self.change(Change { head: Some(head), ..Change::default() });
    }

    /// Who may do what, tags and holds, requests for a second person.
    pub fn guard(&mut self, guard: mayday::wire::GuardView) {
        let head = Head { guard, ..self.app.watched.mirror.head.clone() };
        self.change(Change { head: Some(head), ..Change::default() });
    }

    /// A recovery, and nothing else, changes.
    pub fn recovery(&mut self, recovery: Recovery, waits: &str) {
        let view = RecoveryView { recovery, waits: waits.into() };
        self.change(Change { recoveries: vec![view], ..Change::default() });
    }

    /// Recoveries that can be started.
    pub fn recoveries(&mut self, names: &[(&str, &str)]) {
        let facts = |title: &str| RecoveryFacts { title: title.into(), kind: "data-loss".into(), steps: 5 };
        let recoveries = names.iter().map(|(name, title)| ((*name).to_owned(), facts(title))).collect();
        let head = Head { recoveries, ..self.app.watched.mirror.head.clone() };
        self.change(Change { head: Some(head), ..Change::default() });
    }

    pub fn warnings(&mut self, warnings: &[&str], faults: &[&str]) {
        let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
        let head =
            Head { warnings: owned(warnings), config_faults: owned(faults), ..self.app.watched.mirror.head.clone() };
        self.change(Change { head: Some(head), ..Change::default() });
    }

    /// One more incident, less severe.
    pub fn second_incident(&mut self) {
        let mut view = self.app.watched.mirror.incidents.values().next().unwrap().clone();
        view.incident.id = "INC-2026-005".into();
        view.incident.title = "Mails are late".into();
        view.incident.severity = Severity::P2;
        view.incident.acknowledged_at = None;
        view.incident.roles.clear();
        view.update_due = None;
        view.against_resolving.clear();
        self.change(Change { incidents: vec![view], ..Change::default() });
    }

    /// The incident's view, changed.
    pub fn incident(&mut self, change: impl FnOnce(&mut IncidentView)) {
        let mut view = self.app.watched.mirror.incidents.values().next().unwrap().clone();
        change(&mut view);
        self.change(Change { incidents: vec![view], ..Change::default() });
    }

    /// Facts of the head, changed.
    pub fn head(&mut self, change: impl FnOnce(&mut Head)) {
        let mut head = self.app.watched.mirror.head.clone();
        change(&mut head);
        self.change(Change { head: Some(head), ..Change::default() });
    }

    fn set(&mut self, name: &str, state: Health) {
        let mut view = self.app.watched.mirror.services.get(name).unwrap().clone();
        view.state = state;
        self.change(Change { services: vec![view], ..Change::default() });
    }

    pub fn degrade(&mut self, name: &str) {
        self.set(name, Health::Degraded);
    }

    pub fn break_service(&mut self, name: &str) {
        self.set(name, Health::Down);
    }

    /// Answers the open question of a kind.
    pub fn answer(&mut self, wanted: impl Fn(&Pending) -> bool, answer: Answer) {
        let tag = self.app.pending.iter().find(|(_, p)| wanted(p)).map(|(t, _)| *t);
        if let Some(tag) = tag {
            self.tell(Input::Answer(tag, Ok(answer)));
        }
    }

    pub fn answer_output(&mut self, text: &str) {
        let n = text.len() as u64;
        let chunk = OutputChunk { text: text.into(), offset: 0, next: n, total: n, cut: 0, over: true };
        self.answer(|p| matches!(p, Pending::Output(_)), Answer::Output(chunk));
    }

    pub fn empty() -> Stage {
        let mut stage = Stage::new();
        let head = Head { system: "mayday".into(), ..Head::default() };
        stage.change(Change { whole: true, head: Some(head), seq: Some(1), ..Change::default() });
        let rows = vec![row(1, 0, "engine", Level::Detail, "engine 0.1.0 started")];
        stage.answer(|p| matches!(p, Pending::Timeline { .. }), Answer::Timeline { rows, head: 1 });
        stage
    }

    pub fn healthy() -> Stage {
        let mut stage = Stage::new();
        let services = vec![
            service("api", 1, Health::Up),
            service("postgres", 1, Health::Up),
            service("redis", 2, Health::Up),
            service("web", 2, Health::Up),
            service("worker", 3, Health::Up),
        ];
        let backups = vec![backup("postgres-full", BackupState::Fresh), backup("redis-rdb", BackupState::Fresh)];
        let runs = vec![run("r1", "restart web", RunState::Succeeded, Some(Verdict::Verified))];
        stage.change(Change {
            whole: true,
            head: Some(head()),
            services,
            backups,
            runs,
            seq: Some(3),
            ..Change::default()
        });
        let rows = vec![
            row(1, -9000, "engine", Level::Detail, "engine 0.1.0 started"),
            row(2, -8000, "oncall1", Level::Info, "requested restart web (run r1)"),
            row(3, -7900, "engine", Level::Good, "run r1 succeeded, exit 0, verified: GET /health answers 200"),
        ];
        stage.answer(|p| matches!(p, Pending::Timeline { .. }), Answer::Timeline { rows, head: 3 });
        stage
    }

    pub fn burning_undeclared() -> Stage {
        let mut stage = Stage::healthy();
        let mut api = service("api", 1, Health::Down);
        api.down_since = Some(at(-763));
        api.because = Some("postgres".into());
        api.detail = "503 Service Unavailable".into();
        let mut postgres = service("postgres", 1, Health::Down);
        postgres.down_since = Some(at(-765));
        postgres.rto_ms = Some(900_000);
        postgres.detail = "connection refused by 127.0.0.1:5432".into();
        let mut web = service("web", 2, Health::Degraded);
        web.detail = "p95 2.4 s > 2 s".into();
        web.p95_us = Some(2_400_000);
        let mut redis = service("redis", 2, Health::Unknown);
        redis.confirming = Some((1, 3));
        redis.stale = true;
        stage.change(Change { services: vec![api, postgres, web, redis], ..Change::default() });
        stage
    }

    pub fn burning() -> Stage {
        let mut stage = Stage::burning_undeclared();
        let mut wal = backup("postgres-wal", BackupState::Stale);
        wal.rpo_ms = Some(300_000);
        wal.newest.as_mut().unwrap().taken_at = at(-1320);
        wal.detail = "RPO 5m over by 17m".into();
        let mut rdb = backup("redis-rdb", BackupState::Suspect);
        rdb.suspect =
            Some(Copy { suspect: Some("far smaller than the ones before".into()), ..copy("dump-new.rdb", -60) });
        let mut going = run("r3", "restore postgres-full beside crazy_gary", RunState::Running, None);
        let (backup, only) = ("postgres-full".to_owned(), Vec::new());
        going.work = Work::Restore { backup, copy: None, test: false, only, to: None };
        going.target = "crazy_gary".into();
        going.permille = Some(620);
        going.eta_ms = Some(70_000);
        going.doing = "table orders 12/40".into();
        going.phases = vec!["check".into(), "create".into(), "load".into(), "verify".into()];
        going.phase = 2;
        going.finished_at = None;
        going.exit = None;
        let mut contradicted = run("r2", "restart api", RunState::Succeeded, Some(Verdict::Contradicted));
        contradicted.detail = "GET /health answers 503".into();
        let mut ready = run("r0", "restore redis-rdb beside redis", RunState::Succeeded, Some(Verdict::Verified));
        ready.sides = vec![Side {
            kind: "database".into(),
            name: "crazy_gary_r0".into(),
            live: "crazy_gary".into(),
            created_at: at(-3600),
            size: 412_000_000,
            role: SideRole::Ready,
            args: serde_json::Value::Null,
        }];
        let charged = Some(mayday::domain::outage::Charged { spent_ms: 0, since: Some(at(-763)) });
        let view = IncidentView {
            incident: incident(),
            update_due: Some(at(130)),
            elapsed_ms: 763_000,
            against_resolving: vec![
                "run r2 (restart api) is contradicted: GET /health answers 503".into(),
                "api (tier 1) is down".into(),
                "postgres (tier 1) is down".into(),
            ],
            to_consider: Vec::new(),
            checklists: Vec::new(),
            timeline_file: "/var/lib/mayday/incidents/INC-2026-004/timeline.md".into(),
            leading: mayday::wire::ClockView { charged, ..Default::default() },
            head_starts: Vec::new(),
        };
        let message = Message {
            id: "m-1".into(),
            incident: Some("INC-2026-004".into()),
            template: Template::Initial,
            subject: "[P0] Complete outage".into(),
            body: "…".into(),
            queued_at: at(-600),
            by: "oncall1".into(),
            channels: BTreeMap::from([
                ("mail".into(), delivery(Delivery::Retrying, "connection refused")),
                ("slack".into(), delivery(Delivery::Accepted, "ok")),
            ]),
        };
        stage.change(Change {
            backups: vec![wal, rdb],
            runs: vec![ready, contradicted, going],
            incidents: vec![view],
            messages: vec![message],
            seq: Some(9),
            ..Change::default()
        });
        let rows = vec![
            row(4, -763, "engine", Level::Bad, "postgres up → down: connection refused by 127.0.0.1:5432"),
            row(5, -760, "engine", Level::Bad, "api up → down because of postgres: 503 Service Unavailable"),
            row(6, -740, "oncall1", Level::Bad, "declared P0 \"Complete outage\" affecting api, postgres"),
            row(7, -700, "oncall1", Level::Info, "requested restart api (run r2)"),
            row(8, -660, "engine", Level::Bad, "run r2 succeeded, exit 0, CONTRADICTED: GET /health answers 503"),
            row(9, -600, "oncall2", Level::Info, "the disk of db1 was full; freed 12 GB, postgres will not start"),
        ];
        stage.answer(|p| matches!(p, Pending::Timeline { .. }), Answer::Timeline { rows, head: 9 });
        stage
    }

    pub fn hostile() -> Stage {
        let mut stage = Stage::burning();
        let evil = "\u{1b}[2J\u{1b}]0;x\u{7}\u{202e}evil\u{0}\u{200b}".to_owned() + &"long ".repeat(200);
        let mut view =
            service("a-service-with-a-name-that-is-longer-than-any-pane-is-wide-on-purpose", 1, Health::Down);
        view.detail = evil.clone();
        view.impact = evil.clone();
        view.because = Some("日本語サービス名".into());
        view.checks[0].target = evil.clone();
        view.checks[0].last = Some(ProbeResult::new(Outcome::Fail, Some(Reason::Protocol), evil.clone(), 12));
        let mut set = backup("日本語のバックアップ", BackupState::Missing);
        set.detail = evil.clone();
        set.place = evil.clone();
        let mut bad = run("r9", &evil, RunState::Failed, Some(Verdict::Unverified));
        bad.detail = evil.clone();
        let mut view_of = stage.app.watched.mirror.incidents.values().next().unwrap().clone();
        view_of.incident.title = evil.clone();
        stage.change(Change {
            services: vec![view],
            backups: vec![set],
            runs: vec![bad],
            incidents: vec![view_of],
            seq: Some(10),
            ..Change::default()
        });
        let rows = vec![row(10, -10, &evil, Level::Info, &evil)];
        stage.answer(|p| matches!(p, Pending::Timeline { .. }), Answer::Timeline { rows, head: 10 });
        stage
    }

    pub fn many(n: usize) -> Stage {
        let mut stage = Stage::new();
        let services = (0..n)
            .map(|i| {
                let state = match i % 40 {
                    7 => Health::Down,
                    13 => Health::Degraded,
                    _ => Health::Up,
                };
                service(&format!("svc-{i:04}"), (i % 4) as u8 + 1, state)
            })
            .collect();
        // Four digits: svc-0130 to svc-0139 are the ten that "svc-13" does not find, so three are used for 200.
        let services: Vec<ServiceView> = services;
        let services = if n <= 999 {
            services.into_iter().enumerate().map(|(i, s)| ServiceView { name: format!("svc-{i:03}"), ..s }).collect()
        } else {
            services
        };
        stage.change(Change { whole: true, head: Some(head()), services, seq: Some(0), ..Change::default() });
        stage.answer(|p| matches!(p, Pending::Timeline { .. }), Answer::Timeline { rows: vec![], head: 0 });
        stage
    }
}

fn head() -> Head {
    Head {
        system: "crazy-gary".into(),
        environment: "production".into(),
        version: "0.1.0".into(),
        pid: 4242,
        host: "db1".into(),
        actions: BTreeMap::from([(
            "warm-cache".into(),
            ActionFacts { service: Some("redis".into()), risk: Risk::Disruptive, doc: "fill the cache".into() },
        )]),
        channels: vec![
            ChannelFacts { name: "slack".into(), kind: "slack".into() },
            ChannelFacts { name: "mail".into(), kind: "email".into() },
        ],
        severities: BTreeMap::from([(
            Severity::P0,
            SeverityFacts {
                respond_within_ms: Some(300_000),
                update_every_ms: Some(900_000),
                ..SeverityFacts::default()
            },
        )]),
        cost: Some(Cost { per_hour: 45_000.0, currency: "EUR".into() }),
        suggested: Severity::P0,
        ..Head::default()
    }
}

fn service(name: &str, tier: u8, state: Health) -> ServiceView {
    ServiceView {
        name: name.into(),
        tier,
        state,
        since: at(-7230),
        observed_at: Some(at(-2)),
        stale_after_ms: 60_000,
        rto_ms: Some(600_000),
        impact: "no backend functionality".into(),
        depends_on: if name == "api" { vec!["postgres".into()] } else { vec![] },
        control: vec!["restart".into(), "stop".into(), "start".into()],
        latency_us: Some(420),
        p50_us: Some(400),
        p95_us: Some(900),
        p99_us: Some(12_000),
        spark: (0..30).map(|i| if i == 20 { u32::MAX } else { 300 + i * 20 }).collect(),
        checks: vec![CheckView {
            name: "http".into(),
            kind: "http".into(),
            target: format!("GET https://{name}.example.org/health"),
            state,
            since: at(-7230),
            every_ms: 10_000,
            last: Some(ProbeResult {
                facts: vec![("status".into(), "200".into())],
                ..ProbeResult::new(Outcome::Ok, None, "200 OK", 420)
            }),
            observed_at: Some(at(-2)),
            confirming: None,
            lag: 0,
        }],
        ..ServiceView::default()
    }
}

fn copy(id: &str, seconds: i64) -> Copy {
    Copy {
        id: id.into(),
        place: format!("/backups/{id}"),
        taken_at: at(seconds),
        size: 412_000_000,
        format: "pg custom".into(),
        note: "read to the end".into(),
        ..Copy::default()
    }
}

pub fn backup(name: &str, state: BackupState) -> BackupView {
    BackupView {
        name: name.into(),
        service: Some("postgres".into()),
        state,
        newest: (state != BackupState::Missing).then(|| copy("crazy_gary-0200.dump", -22_000)),
        count: 14,
        total_size: 5_800_000_000,
        rpo_ms: Some(93_600_000),
        every_ms: Some(86_400_000),
        next_due: Some(at(64_400)),
        scanned_at: Some(at(-725)),
        restorable: true,
        place: "/backups/pg/*.dump".into(),
        ..BackupView::default()
    }
}

/// The restore of a set asks for more than its copy.
pub fn backup_that_asks(stage: &mut Stage, moment: bool, part: bool) {
    let mut set = backup("postgres-full", BackupState::Fresh);
    (set.any_moment, set.any_part) = (moment, part);
    stage.change(Change { backups: vec![set], ..Change::default() });
}

pub fn run(id: &str, title: &str, state: RunState, verdict: Option<Verdict>) -> RunView {
    let n: i64 = id[1..].parse().unwrap_or(0);
    RunView {
        id: id.into(),
        work: Work::Restart { service: "api".into() },
        title: title.into(),
        target: "api".into(),
        service: Some("api".into()),
        risk: Risk::Disruptive,
        state,
        incident: Some("INC-2026-004".into()),
        requested_at: at(-900 + n),
        requested_by: "oncall1".into(),
        started_at: Some(at(-899 + n)),
        finished_at: Some(at(-870 + n)),
        phases: vec!["restart".into(), "check".into()],
        phase: 1,
        permille: None,
        eta_ms: None,
        doing: String::new(),
        exit: Some(0),
        verdict,
        superseded: false,
        detail: String::new(),
        cancel_requested: false,
        sides: vec![],
        unlogged: false,
        head_start: false,
        data_as_of: None,
        rpo_ms: None,
    }
}

fn incident() -> Incident {
    Incident {
        id: "INC-2026-004".into(),
        title: "Complete outage".into(),
        severity: Severity::P0,
        status: Status::Investigating,
        services: ["api".into(), "postgres".into()].into(),
        declared_at: at(-763),
        declared_by: "oncall1".into(),
        declared_seq: 6,
        onset: Some(at(-765)),
        acknowledged_at: Some(at(-750)),
        acknowledged_by: Some("oncall1".into()),
        roles: BTreeMap::from([("commander".into(), "oncall1".into())]),
        mitigated_at: None,
        resolved_at: None,
        last_update_at: Some(at(-600)),
        updates: 1,
        notes: 1,
        declared_boot_ms: 0,
        declared_boot: String::new(),
        declared_stepped_ms: 0,
        resolved_stepped_ms: 0,
        unsealed: false,
        reopened: 0,
        hypotheses: vec![],
        handoff: None,
        last_seq: 9,
        clock: Default::default(),
    }
}

fn delivery(state: Delivery, answer: &str) -> ChannelDelivery {
    ChannelDelivery { state, attempts: 2, answer: answer.into(), at: at(-590), next_at: Some(at(30)) }
}

fn row(seq: u64, seconds: i64, actor: &str, level: Level, text: &str) -> Row {
    Row {
        seq,
        at: at(seconds),
        happened_at: None,
        actor: actor.into(),
        via: "key r".into(),
        kind: "note.added".into(),
        text: text.into(),
        level,
        incident: (seq > 3).then(|| "INC-2026-004".into()),
        ..Row::default()
    }
}

pub fn answer_copies(stage: &mut Stage) {
    let mut bad = copy("crazy_gary-0300.dump", -3600);
    bad.suspect = Some("truncated: the archive ends early".into());
    bad.size = 120_000;
    let copies = vec![bad, copy("crazy_gary-0200.dump", -22_000), copy("crazy_gary-old.dump", -108_400)];
    stage.answer(|p| matches!(p, Pending::Copies { .. }), Answer::Copies { copies });
}

pub fn plan(risk: Risk) -> Plan {
    Plan {
        id: "p1".into(),
        made_at: at(0),
        work: Work::Restart { service: "postgres".into() },
        title: "restart postgres".into(),
        target: "crazy_gary".into(),
        service: Some("postgres".into()),
        holds: vec!["service postgres".into()],
        risk,
        effects: vec!["Restarts the unit postgresql@15-main on this host; its 12 connections are cut.".into()],
        copy: Some(copy("crazy_gary-0200.dump", -22_000)),
        data_lost_ms: Some(22_000_000),
        rpo_ms: Some(93_600_000),
        expected_ms: Some(40_000),
        expected_from: 3,
        preconditions: vec![
            Precondition { name: "tool systemctl".into(), result: Checked::Passed, detail: "systemd 252".into() },
            Precondition {
                name: "disk".into(),
                result: Checked::Warned,
                detail: "12 GB free, 11 GB are needed".into(),
            },
        ],
        phases: vec![Phase {
            name: "restart".into(),
            weight: 1,
            step: Step::Command {
                argv: vec!["systemctl".into(), "restart".into(), "postgresql@15-main.service".into()],
                env: BTreeMap::new(),
                secret_env: BTreeMap::from([("PGPASSWORD".into(), "pg".into())]),
                cwd: None,
                timeout_ms: None,
                refused_if: vec![],
            },
            proof: false,
            retry_ms: 0,
        }],
        timeout_ms: 60_000,
        after: None,
        secrets: vec![],
        undo: "nothing to undo".into(),
        gentle: false,
    }
}

pub fn answer_plan(stage: &mut Stage, risk: Risk) {
    let answer = Answer::Plan { plan: Box::new(plan(risk)), digest: "d".into() };
    stage.answer(|p| matches!(p, Pending::Plan(_)), answer);
}

pub fn answer_blocked_plan(stage: &mut Stage) {
    let mut plan = plan(Risk::Disruptive);
    plan.preconditions.push(Precondition {
        name: "copy readable".into(),
        result: Checked::Failed,
        detail: "pg_restore 15 cannot read an archive of version 1.16: install postgresql-client-17".into(),
    });
    stage.answer(|p| matches!(p, Pending::Plan(_)), Answer::Plan { plan: Box::new(plan), digest: "d".into() });
}

pub fn answer_draft(stage: &mut Stage) {
    let answer = Answer::Draft {
        subject: "[P0] INC-2026-004 Complete outage: update 2".into(),
        body: "Since 02:14 UTC nothing works.\nWe are restoring the database from 20:20.\n\nNext update 02:29 UTC."
            .into(),
        channels: vec!["slack".into(), "mail".into()],
    };
    stage.answer(|p| matches!(p, Pending::Draft(_) | Pending::DueDraft(_)), answer);
}
