//! How fast a long review is written: `cargo bench --bench export`.
//!
//! A journal with one incident of `MAYDAY_BENCH_ENTRIES` (100,000) entries, of the kinds and in the shares of a very long
//! day, is written into `MAYDAY_BENCH_DIR` (else the target folder); the real program then exports it to each format. Each
//! takes under 2 s and 200 MiB. `MAYDAY_BENCH_KEEP` names a folder into which the documents are put, to be opened in a
//! browser. Ends with 1 when a figure is missed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use mayday::domain::catalog::{Catalog, ServiceFacts, Severity, SeverityFacts};
use mayday::domain::event::{self, Event};
use mayday::domain::health::Health;
use mayday::domain::incident::Status;
use mayday::domain::message::{Delivery, Template};
use mayday::domain::run::{Phase, Plan, Risk, RunState, Step, Verdict, Work};
use mayday::domain::{Actor, Time};
use mayday::journal::{Draft, Journal, OpenOptions};

const SECONDS: f64 = 2.0;
const MEBIBYTES: f64 = 200.0;
const ID: &str = "INC-2026-001";
/// Milliseconds from one entry to the next.
const STEP: i64 = 800;

fn plan(id: &str) -> Plan {
    Plan {
        id: id.into(),
        made_at: Time::default(),
        work: Work::Restart { service: "api".into() },
        title: "restart api".into(),
        target: "api".into(),
        service: Some("api".into()),
        holds: vec!["service api".into()],
        risk: Risk::Disruptive,
        effects: vec!["restarts api on this host".into()],
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
                env: Default::default(),
                secret_env: Default::default(),
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

fn catalog() -> Catalog {
    let service = ServiceFacts {
        tier: 1,
        rto_ms: Some(600_000),
        probe_every_ms: Some(10_000),
        checked: true,
        ..ServiceFacts::default()
    };
    let severity = SeverityFacts { update_every_ms: Some(900_000), ..SeverityFacts::default() };
    Catalog {
        system: "shop".into(),
        environment: "production".into(),
        services: ["api", "web", "postgres", "redis"].map(|s| (s.to_owned(), service.clone())).into(),
        severities: [(Severity::P0, severity)].into(),
        ..Catalog::default()
    }
}

/// The event number `n`, whether it is the incident's, and who did it.
fn event(n: u64) -> (Event, bool, &'static str) {
    let round = n / 20;
    let run = format!("run{:07}", round);
    let service = ["api", "web", "postgres", "redis"][(round % 4) as usize].to_owned();
    let health = |from, to| event::HealthChanged {
        service: service.clone(),
        from,
        to,
        check: "http".into(),
        detail: if to == Health::Down { "503 Service Unavailable" } else { "200 OK" }.into(),
        because: None,
        happened_at: None,
    };
    match n % 20 {
        0 => (health(Health::Up, Health::Down).into(), false, "engine"),
        1 => (
            event::RunRequested {
                plan: plan(&run),
                reason: String::new(),
                unlogged: false,
                recovery: None,
                head_start: false,
            }
            .into(),
            true,
            "ann",
        ),
        2 => (event::RunClaimed { run, pid: 4711 }.into(), true, "engine"),
        3 => (event::RunStarted { run }.into(), true, "engine"),
        4 => (
            event::RunFinished {
                run,
                state: RunState::Succeeded,
                exit: Some(0),
                verdict: Verdict::Verified,
                detail: "GET /health answers 200".into(),
                finished_at: None,
                output_digest: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef".into(),
                excerpt: "restarting\ndone\n".into(),
            }
            .into(),
            true,
            "engine",
        ),
        5 => (health(Health::Down, Health::Up).into(), false, "engine"),
        6 => (
            event::StepTaken { what: "opened the restart dialog".into(), about: Some("api".into()) }.into(),
            true,
            "ann",
        ),
        7 if round.is_multiple_of(10) => (
            event::MessageQueued {
                id: format!("m-{round}"),
                template: Template::Update,
                subject: format!("[P0] {ID} update {round}"),
                body: "we are on it".into(),
                channels: vec!["incidents".into()],
                automatic: false,
            }
            .into(),
            true,
            "otto",
        ),
        8 if round.is_multiple_of(10) => (
            event::MessageAttempted {
                message: format!("m-{round}"),
                channel: "incidents".into(),
                attempt: 1,
                result: Delivery::Accepted,
                answer: "ok".into(),
                next_at: None,
                head: String::new(),
            }
            .into(),
            true,
            "engine",
        ),
        9 if round.is_multiple_of(50) => (
            event::EntryRetimed {
                entry: n.saturating_sub(3).max(3),
                happened_at: at(n.saturating_sub(30)),
                reason: "by the log".into(),
            }
            .into(),
            true,
            "ann",
        ),
        _ => (
            event::NoteAdded {
                text: format!("note {n}: the replica is {} s behind, 90 of 90 connections in use", n % 97),
                happened_at: None,
            }
            .into(),
            true,
            if n.is_multiple_of(3) { "ann" } else { "otto" },
        ),
    }
}

fn at(n: u64) -> Time {
    Time::from_ms(1_795_140_847_318 + n as i64 * STEP)
}

fn draft(n: u64, (event, own, user): (Event, bool, &str)) -> Draft {
    let actor = match user {
        "engine" => Actor::engine(),
        user => Actor { user: user.into(), uid: Some(1004), via: "key .".into(), ..Actor::default() },
    };
    Draft {
        at: at(n),
        boot_ms: n * STEP as u64,
        boot: "9f0e5a1c-6d0b-4d0e-9a53-0f4a1b2c3d4e".into(),
        actor,
        incident: own.then(|| ID.to_owned()),
        event,
    }
}

fn record(dir: &Path, entries: u64) {
    let (mut journal, _) = Journal::open(dir, OpenOptions::new("db1.example.org")).expect("open the journal");
    let loaded = event::ConfigLoaded { digest: "d".into(), source: "mayday.toml".into(), catalog: catalog() };
    let declared = event::IncidentDeclared {
        title: "A very long day".into(),
        severity: Severity::P0,
        services: ["api".to_owned(), "postgres".to_owned()].into(),
        onset: None,
        source: "human".into(),
    };
    journal
        .append(&[
            draft(0, (loaded.into(), false, "engine")),
            draft(1, (declared.into(), true, "ann")),
            draft(2, (event::IncidentAcknowledged {}.into(), true, "ann")),
        ])
        .expect("append");
    let mut n = 3;
    while n < entries - 1 {
        let end = (n + 2000).min(entries - 1);
        let drafts: Vec<Draft> = (n..end).map(|n| draft(n, event(n))).collect();
        journal.append(&drafts).expect("append");
        n = end;
    }
    let resolved = event::IncidentStatus {
        from: Status::Investigating,
        to: Status::Resolved,
        reason: String::new(),
        forced: false,
    };
    journal.append(&[draft(entries, (resolved.into(), true, "ann"))]).expect("append");
}

/// Seconds, and the most memory that any child so far had, in MiB.
fn export(dir: &Path, format: &str, output: &Path) -> (f64, f64) {
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_mayday"))
        .args(["export", ID, "--format", format, "--state-dir"])
        .arg(dir)
        .arg("-o")
        .arg(output)
        .current_dir(dir)
        .env("HOME", dir)
        .env_remove("MAYDAY_CONFIG")
        .spawn()
        .expect("start mayday");
    // SAFETY: numbers only, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let mut status = 0;
    // SAFETY: both are valid for writing, and the child is ours and not yet waited for.
    unsafe { libc::wait4(child.id() as i32, &mut status, 0, &mut usage) };
    let took = begun.elapsed().as_secs_f64();
    let _ = child.try_wait();
    assert_eq!(status, 0, "mayday export --format {format} failed");
    (took, usage.ru_maxrss as f64 / 1024.0)
}

fn main() -> ExitCode {
    // Cargo passes --bench; a filter that names something else leaves this out.
    if std::env::args().skip(1).any(|a| !a.starts_with('-') && !"export".contains(a.as_str())) {
        return ExitCode::SUCCESS;
    }
    let entries: u64 = std::env::var("MAYDAY_BENCH_ENTRIES").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let base =
        std::env::var_os("MAYDAY_BENCH_DIR").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), Into::into);
    let dir = base.join(format!("export-bench-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("make the bench folder");
    record(&dir, entries);
    let mut good = true;
    println!("one incident of {entries} entries (each under {SECONDS} s and {MEBIBYTES} MiB)");
    for format in ["md", "html", "json", "csv", "cast"] {
        let output = dir.join(format!("out-{format}.{format}"));
        // The first reads a cold file: the better of two says what the program does.
        let (first, second) = (export(&dir, format, &output), export(&dir, format, &output));
        let (took, memory) = (first.0.min(second.0), first.1.max(second.1));
        let size = fs::metadata(&output).map_or(0.0, |m| m.len() as f64 / 1_048_576.0);
        let missed = took > SECONDS || memory > MEBIBYTES;
        good &= !missed;
        let word = if missed { "MISSED" } else { "ok" };
        println!("  {format:<5} {took:6.2} s  {memory:6.0} MiB  writes {size:6.1} MiB  {word}");
        if let Some(keep) = std::env::var_os("MAYDAY_BENCH_KEEP") {
            let _ = fs::copy(&output, PathBuf::from(keep).join(format!("long.{format}")));
        }
    }
    let _ = fs::remove_dir_all(&dir);
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
