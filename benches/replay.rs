//! How fast the past is there: `cargo bench --bench replay`.
//!
//! A record of a million entries (`MAYDAY_BENCH_ENTRIES`), all of one incident that goes on: health of 200 services, notes,
//! runs. Measured are the first pass over it, jumps to random moments with the whole picture, steps, and what all that
//! keeps in memory. The folder is `MAYDAY_BENCH_DIR`, else the target folder. Ends with 1 when a figure is missed.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mayday::domain::event::Event;
use mayday::domain::{Actor, Time};
use mayday::journal::{Draft, Journal, OpenOptions};
use mayday::replay::Tape;
use mayday::wire::past::Reach;
use mayday::wire::{Past, TimelineQuery};
use serde_json::{Value, json};

const SERVICES: u64 = 200;
const JUMPS: u64 = 400;
const ID: &str = "INC-2026-001";

fn draft(n: u64, kind: &str, payload: Value, own: bool) -> Draft {
    let event = Event::read(kind, payload);
    assert!(!matches!(event, Event::Unknown { .. }), "{event:?}");
    Draft {
        at: Time::from_ms(1_795_140_847_318 + n as i64 * 250),
        boot_ms: n * 250,
        boot: "9f0e5a1c-6d0b-4d0e-9a53-0f4a1b2c3d4e".into(),
        actor: Actor { user: "oncall1".into(), uid: Some(1004), via: "key .".into(), ..Actor::default() },
        incident: own.then(|| ID.to_owned()),
        event,
    }
}

fn entry(n: u64) -> Draft {
    let service = |n: u64| format!("service-{:03}", n % SERVICES);
    match n {
        0 => {
            let services: serde_json::Map<String, Value> = (0..SERVICES)
                .map(|s| (service(s), json!({ "tier": s % 4 + 1, "rto_ms": 600_000, "checked": true })))
                .collect();
            let catalog = json!({ "system": "shop", "environment": "production", "services": services });
            draft(n, "config.loaded", json!({ "digest": "d", "source": "mayday.toml", "catalog": catalog }), false)
        }
        1 => draft(
            n,
            "incident.declared",
            json!({ "title": "outage", "severity": "P0", "services": [service(0), service(1)], "source": "human" }),
            true,
        ),
        n if n % 3 == 0 => {
            let text = format!("note {n}: the replica is 12 s behind, the pool has 40 of 50 connections in use");
            draft(n, "note.added", json!({ "text": text }), true)
        }
        n => {
            let (from, to) = if (n / SERVICES).is_multiple_of(2) { ("up", "down") } else { ("down", "up") };
            let payload = json!({
                "service": service(n), "from": from, "to": to, "check": "http", "detail": "503 Service Unavailable",
                "happened_at": Time::from_ms(1_795_140_847_000 + n as i64 * 250),
            });
            draft(n, "health.changed", payload, false)
        }
    }
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Resident memory of this process in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

fn sorted(mut times: Vec<f64>) -> (f64, f64, f64) {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    (at(0.5), at(0.99), at(1.0))
}

fn main() -> ExitCode {
    let base = std::env::var_os("MAYDAY_BENCH_DIR")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned(), PathBuf::from);
    let folder = Folder(base.join(format!("replay-bench-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).expect("make the bench folder");
    let entries: u64 = std::env::var("MAYDAY_BENCH_ENTRIES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let (mut journal, _) = Journal::open(&folder.0, OpenOptions::new("db1.example.org")).expect("open the journal");
    let mut n = 0;
    while n < entries {
        let drafts: Vec<Draft> = (n..entries.min(n + 2000)).map(entry).collect();
        journal.append(&drafts).expect("append");
        n += drafts.len() as u64;
    }
    drop(journal);

    let before = resident();
    let begun = Instant::now();
    let mut tape = Tape::open(&folder.0, Some(ID));
    // What is read can be gone to at once, while the reading goes on.
    let early = match tape.wait(entries / 20, Duration::from_secs(600)) {
        Reach::Open(span) => span,
        other => panic!("{other:?}"),
    };
    let reached = begun.elapsed().as_secs_f64();
    assert!(!early.whole || entries < 50_000);
    let early_jump = Instant::now();
    tape.picture(entries / 20, tape.recorded_at(entries / 20).expect("read")).expect("a picture");
    let early_jump = early_jump.elapsed().as_secs_f64();
    let span = match tape.wait(u64::MAX, Duration::from_secs(3600)) {
        Reach::Open(span) => span,
        other => panic!("{other:?}"),
    };
    let pass = begun.elapsed().as_secs_f64();
    assert!(span.whole && span.last == entries && span.damaged == 0, "{span:?}");
    let kept = resident() - before;

    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut jumps = Vec::new();
    for _ in 0..JUMPS {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let seq = seed % entries + 1;
        let begun = Instant::now();
        let at = tape.recorded_at(seq).expect("it is read");
        let entry = tape.entry_at(at).expect("it is read");
        let change = tape.picture(entry, at).expect("a picture");
        jumps.push(begun.elapsed().as_secs_f64() * 1e3);
        assert!(change.seq == Some(entry) && entry == seq);
    }
    let jumps = sorted(jumps);
    let rows = TimelineQuery { limit: 300, ..TimelineQuery::default() };
    let (mut on, mut back, mut screens) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..100 {
        let seq = entries / 2 + i;
        let mut time = |to: u64, into: &mut Vec<f64>| {
            let begun = Instant::now();
            tape.picture(to, tape.recorded_at(to).expect("read")).expect("a picture");
            into.push(begun.elapsed().as_secs_f64() * 1e3);
        };
        time(seq, &mut on);
        time(seq + 1, &mut on);
        time(seq, &mut back);
        let begun = Instant::now();
        tape.rows(&rows, seq, false).expect("rows");
        screens.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let (on, back, screens) = (sorted(on), sorted(back), sorted(screens));
    println!(
        "{entries} entries, {} services; built with opt-level {}",
        SERVICES,
        if cfg!(debug_assertions) { "0" } else { "s" }
    );
    println!(
        "first pass          {pass:.1} s, {:.0} entries/s; entry {} after {reached:.2} s, its picture in {:.1} ms",
        entries as f64 / pass,
        entries / 20,
        early_jump * 1e3
    );
    println!("kept in memory      {kept:.0} MiB");
    for (what, (median, p99, max)) in [
        ("a jump, any moment", jumps),
        ("the next entry", on),
        ("the entry before", back),
        ("300 rows of then", screens),
    ] {
        println!("{what:<20}{median:>8.2} ms median, {p99:.2} ms p99, {max:.2} ms max");
    }
    let met = jumps.2 < 100.0;
    println!("any moment under 100 ms: {}", if met { "met" } else { "MISSED" });
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
