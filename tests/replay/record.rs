//! A record made entry by entry at fixed times, in a folder like an engine's.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mayday::domain::event::{Entry, Event};
use mayday::domain::health::samples::{Class, Sealed};
use mayday::domain::run::{Phase, Plan, Risk, Step, Work};
use mayday::domain::{Actor, Time};
use mayday::journal::{Draft, Journal, OpenOptions};
use serde_json::{Value, json};

pub const ID: &str = "INC-2026-004";

/// `02:14:07` of the night.
pub fn at(clock: &str) -> Time {
    Time::parse(&format!("2026-11-20T{clock}Z")).unwrap()
}

/// What somebody did at a time, by its kind and payload. `user` writes for the incident with a `!` in front.
pub fn draft(clock: &str, user: &str, kind: &str, payload: Value) -> Draft {
    let (user, own) = user.strip_prefix('!').map_or((user, false), |u| (u, true));
    let event = Event::read(kind, payload);
    assert!(!matches!(event, Event::Unknown { .. }), "{event:?}");
    let actor = match user {
        "engine" => Actor::engine(),
        user => Actor { user: user.into(), uid: Some(1004), via: "key".into(), ..Actor::default() },
    };
    let at = at(clock);
    let boot_ms = u64::try_from(at.ms_since(self::at("00:00:00"))).unwrap();
    Draft { at, boot_ms, boot: "b".into(), actor, incident: own.then(|| ID.to_owned()), event }
}

fn health(clock: &str, service: &str, states: (&str, &str), since: &str, detail: &str, because: Option<&str>) -> Draft {
    let happened_at = at(since);
    let payload = json!({
        "service": service, "from": states.0, "to": states.1, "check": "http", "detail": detail, "because": because,
        "happened_at": happened_at,
    });
    draft(clock, "engine", "health.changed", payload)
}

fn catalog() -> Value {
    let service = |tier: u8, depends_on: &[&str]| {
        json!({
            "tier": tier, "rto_ms": 600_000, "depends_on": depends_on, "probe_every_ms": 10_000, "measured": "http",
            "checked": true, "control": ["restart"],
        })
    };
    json!({
        "system": "crazy-gary", "environment": "production",
        "services": { "api": service(1, &["postgres"]), "postgres": service(1, &[]), "web": service(2, &[]) },
        "backups": { "postgres-full": { "service": "postgres", "rpo_ms": 93_600_000, "restorable": true } },
        "severities": { "P0": { "update_every_ms": 900_000, "respond_within_ms": 300_000 } },
        "channels": [{ "name": "ops", "kind": "slack" }],
    })
}

fn plan() -> Value {
    let plan = Plan {
        id: "r2".into(),
        made_at: at("02:03:00"),
        work: Work::Restart { service: "api".into() },
        title: "restart api".into(),
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
    };
    serde_json::to_value(plan).unwrap()
}

/// The outage of a night: the last entries lie after its end.
pub fn night() -> Vec<Draft> {
    let copy = json!({
        "id": "gary-0100.dump", "place": "/backups/gary-0100.dump", "taken_at": at("01:00:00"), "size": 412_000_000,
    });
    let note = |text: &str| json!({ "text": text });
    vec![
        draft("00:59:58", "engine", "engine.started", json!({ "version": "0.1.0", "pid": 4242, "clean": true })),
        draft(
            "00:59:58",
            "engine",
            "config.loaded",
            json!({ "digest": "d", "source": "m.toml", "catalog": catalog() }),
        ),
        health("00:59:59", "api", ("unknown", "up"), "00:59:59", "200 OK", None),
        health("00:59:59", "postgres", ("unknown", "up"), "00:59:59", "accepting connections", None),
        health("00:59:59", "web", ("unknown", "up"), "00:59:59", "200 OK", None),
        draft(
            "01:00:30",
            "engine",
            "backup.changed",
            json!({ "backup": "postgres-full", "from": "unknown", "to": "fresh", "detail": "", "newest": copy }),
        ),
        // 7: the first entry of the hour before the declaration.
        draft("01:30:00", "ben", "note.added", note("deployed 4711")),
        health("02:01:24", "postgres", ("up", "down"), "02:01:20", "connection refused by 127.0.0.1:5432", None),
        health("02:01:25", "api", ("up", "down"), "02:01:22", "503 Service Unavailable", Some("postgres")),
        draft(
            "02:01:27",
            "!ann",
            "incident.declared",
            json!({ "title": "Complete outage", "severity": "P0", "services": ["api", "postgres"], "source": "human" }),
        ),
        draft(
            "02:01:27",
            "!engine",
            "incident.onset",
            json!({ "onset": at("02:01:20"), "why": "first failing probe" }),
        ),
        draft("02:02:00", "!ann", "incident.acknowledged", json!({})),
        draft("02:02:00", "!ann", "incident.assigned", json!({ "role": "commander", "user": "ann" })),
        // 14: corrected at 03:10, which nobody knew that night.
        draft("02:02:40", "!ann", "note.added", note("the disk of db2 was full")),
        draft("02:03:00", "!ann", "run.requested", json!({ "plan": plan() })),
        draft("02:03:00", "!engine", "run.claimed", json!({ "run": "r2", "pid": 77 })),
        draft("02:03:01", "!engine", "run.started", json!({ "run": "r2" })),
        draft(
            "02:03:20",
            "!engine",
            "run.finished",
            json!({
                "run": "r2", "state": "succeeded", "exit": 0, "verdict": "contradicted", "detail": "/health answers 503",
            }),
        ),
        draft(
            "02:05:00",
            "!ann",
            "incident.status",
            json!({ "from": "investigating", "to": "identified", "reason": "the disk", "forced": false }),
        ),
        health("02:20:02", "postgres", ("down", "up"), "02:20:00", "accepting connections", None),
        health("02:20:03", "api", ("down", "up"), "02:20:01", "200 OK", None),
        draft(
            "02:25:00",
            "!ann",
            "incident.status",
            json!({ "from": "identified", "to": "monitoring", "reason": "", "forced": false }),
        ),
        draft(
            "02:40:00",
            "!ann",
            "incident.status",
            json!({ "from": "monitoring", "to": "resolved", "reason": "", "forced": false }),
        ),
        // 24: the last one of the incident.
        draft(
            "03:10:00",
            "!ben",
            "note.corrected",
            json!({ "entry": 14, "text": "the disk of db1 was full", "reason": "typing error" }),
        ),
        health("03:20:00", "web", ("up", "down"), "03:20:00", "502 Bad Gateway", None),
    ]
}

/// A state folder with a record, and what was appended.
pub struct Record {
    pub dir: tempfile::TempDir,
    // Not every suite that has records looks at them.
    #[allow(dead_code)]
    pub entries: Vec<Entry>,
}

impl Record {
    pub fn of(drafts: &[Draft]) -> Record {
        let dir = tempfile::Builder::new().prefix("mayday-").tempdir().unwrap();
        let options = OpenOptions { rotate_bytes: 64 << 10, reserve_bytes: 32 << 10, ..OpenOptions::new("db1") };
        let (mut journal, _) = Journal::open(dir.path(), options).unwrap();
        let entries = drafts.chunks(64).flat_map(|some| journal.append(some).unwrap()).collect();
        Record { dir, entries }
    }

    /// With its sealed samples: `api` and `postgres` every ten seconds from 01:01:30 to the end, `web` never.
    pub fn night() -> Record {
        let record = Record::of(&night());
        let mut bytes = Vec::new();
        let (from, to) = (at("01:01:30").ms(), at("02:40:00").ms());
        for (n, ms) in (from..=to).step_by(10_000).enumerate() {
            for (service, first, last) in [("api", "02:01:22", "02:20:01"), ("postgres", "02:01:20", "02:20:00")] {
                let at = Time::from_ms(ms);
                let down = (self::at(first)..self::at(last)).contains(&at);
                let class = if down { Class::Fail } else { Class::Ok };
                let us = 1000 + u32::try_from(n % 7).unwrap() * 100;
                let detail = if down { "refused".to_owned() } else { String::new() };
                Sealed { service: service.into(), check: "http".into(), at, us, class, detail }.encode(&mut bytes);
            }
        }
        std::fs::create_dir_all(record.folder()).unwrap();
        std::fs::write(record.folder().join("samples.jsonl"), bytes).unwrap();
        record
    }

    /// The incident's folder.
    pub fn folder(&self) -> PathBuf {
        self.dir.path().join("incidents").join(ID)
    }

    pub fn path(&self) -> &std::path::Path {
        self.dir.path()
    }
}
