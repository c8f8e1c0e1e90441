//! What the cockpit takes on a terminal: `cargo bench --bench viewer` (all), or with the names of figures:
//! `cargo bench --bench viewer -- first rest keys many`.
//!
//! The real program on a pseudo terminal, beside other full-screen monitors in the same run where they are found on the
//! path (bottom as `btm`, `htop`, `btop`). A key's time is from writing it to reading the end of the frame it made.
//!
//! | figure | what is done | limit |
//! | --- | --- | --- |
//! | first | 200×50, from start to the first complete frame, median of 7, engine running; and with starting it | bottom's; 250 ms |
//! | rest | nothing changes; an incident clock at 80×24; 40 services every 10 s at 200×50 | 0, 60, 350 B/s; at rest 0.1 % of a core, 12 MiB |
//! | keys | 500 services at 200×50, 400 keys: calm, during 1,000 checks/s, while a run floods its output | p50 1.6 ms, p99 6 ms |
//! | many | 5,000 services: scrolling and filtering | 33 ms; a row costs less than a page, a page less than the screen |
//!
//! Ends with 1 when a figure is missed.

mod kit;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use kit::terminal::Program;
use kit::{Engine, PATIENCE, config, verdict, web};
use mayday::domain::command::Command as Do;
use mayday::wire::Ask;

const MAYDAY: &str = env!("CARGO_BIN_EXE_mayday");

/// The cockpit on the engine in `dir`, or a new one.
fn cockpit(dir: &Path, columns: u16, rows: u16) -> Program {
    let (file, state) = (dir.join("mayday.toml"), dir.join("state"));
    let argv = [MAYDAY, "--config", &file.display().to_string(), "--state-dir", &state.display().to_string()];
    Program::start(&argv, &[("XDG_RUNTIME_DIR", dir), ("HOME", dir)], columns, rows)
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

async fn first() -> bool {
    let (ports, _) = web(4).await;
    let engine = Engine::start("first", &config(40, 1, "10s", &ports), false);
    drop(engine.client().await);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let median_of = |start: &dyn Fn() -> Program, settle| {
        median((0..7).map(|_| start().first_frame(Duration::from_secs(settle))).collect())
    };
    let ours = median_of(&|| cockpit(&engine.dir, 200, 50), 1);
    let mut others = Vec::new();
    for (name, program) in [("bottom", "btm"), ("htop", "htop"), ("btop", "btop")] {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if let Some(program) = std::env::split_paths(&path).map(|d| d.join(program)).find(|p| p.is_file()) {
            let program = program.display().to_string();
            others.push((name, median_of(&|| Program::start(&[&program], &[("HOME", &engine.dir)], 200, 50), 3)));
        }
    }
    let cold: Vec<Duration> = (0..5)
        .map(|n| {
            let dir = engine.dir.join(format!("cold{n}"));
            std::fs::create_dir_all(&dir).expect("make a folder");
            std::fs::copy(engine.dir.join("mayday.toml"), dir.join("mayday.toml")).expect("copy the configuration");
            let took = cockpit(&dir, 200, 50).first_frame(Duration::from_secs(2));
            let mut stop = std::process::Command::new(MAYDAY);
            stop.args(["engine", "stop", "--state-dir"]).arg(dir.join("state")).env("XDG_RUNTIME_DIR", &dir);
            assert!(stop.output().expect("stop the engine").status.success());
            took
        })
        .collect();
    let cold = median(cold);
    let bottom = others.iter().find(|(name, _)| *name == "bottom").map(|(_, t)| *t);
    let beside: String = others.iter().map(|(name, t)| format!(", {name} {} ms", t.as_millis())).collect();
    let words = format!("first frame {} ms{beside}; with starting an engine {} ms", ours.as_millis(), cold.as_millis());
    verdict("first", bottom.is_none_or(|b| ours <= b) && cold <= Duration::from_millis(250), words)
}

async fn rest() -> bool {
    const LONG: Duration = Duration::from_secs(30);
    let mut all = true;
    let still = Engine::start("still", "[system]\nname = \"bench\"\n", false);
    drop(still.client().await);
    let mut screen = cockpit(&still.dir, 200, 50);
    screen.until("live", PATIENCE);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let seen = screen.rest(LONG);
    drop(screen);
    let words =
        format!("nothing changes: {:.1} B/s, {:.2} %, {:.1} MiB", seen.bytes_per_s, seen.cpu_percent, seen.rss_mib);
    all &= verdict("rest", seen.bytes_per_s == 0.0 && seen.cpu_percent <= 0.1 && seen.rss_mib <= 12.0, words);

    let mut client = still.client().await;
    let declare =
        Do::Declare { title: "bench".into(), severity: None, services: std::collections::BTreeSet::new(), onset: None };
    client.ask("bench", Ask::Do(declare), PATIENCE).await.expect("declare");
    let mut screen = cockpit(&still.dir, 80, 24);
    screen.until("T+", PATIENCE);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let seen = screen.rest(LONG);
    let words = format!("incident clock, 80×24: {:.1} B/s, {:.2} %", seen.bytes_per_s, seen.cpu_percent);
    all &= verdict("rest", seen.bytes_per_s <= 60.0, words);
    drop((screen, still));

    let (ports, _) = web(4).await;
    let busy = Engine::start("busy", &config(40, 1, "10s", &ports), false);
    drop(busy.client().await);
    let mut screen = cockpit(&busy.dir, 200, 50);
    screen.until("live", PATIENCE);
    tokio::time::sleep(Duration::from_secs(15)).await;
    let seen = screen.rest(LONG * 2);
    let words = format!(
        "40 services every 10 s: {:.1} B/s, {:.2} %, {:.1} MiB",
        seen.bytes_per_s, seen.cpu_percent, seen.rss_mib
    );
    all & verdict("rest", seen.bytes_per_s <= 350.0, words)
}

fn keys_are_quick(name: &str, what: &str, screen: &mut Program) -> bool {
    let quiet = Duration::from_millis(30);
    let (all, bytes) = screen.keys(&["j", "j", "j", "k"], 400, quiet, Duration::from_millis(500));
    let at = |percent: usize| all[(all.len() * percent / 100).min(all.len() - 1)];
    let words = format!(
        "{what}: p50 {:.2} ms, p99 {:.2} ms, {} B a key",
        at(50).as_secs_f64() * 1000.0,
        at(99).as_secs_f64() * 1000.0,
        bytes / all.len()
    );
    verdict(name, at(50) <= Duration::from_micros(1600) && at(99) <= Duration::from_millis(6), words)
}

async fn keys() -> bool {
    let (ports, _) = web(16).await;
    let calm = Engine::start("calm", &config(500, 1, "60s", &ports), false);
    drop(calm.client().await);
    let mut screen = cockpit(&calm.dir, 200, 50);
    screen.until("live", PATIENCE);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut all = keys_are_quick("keys", "500 services", &mut screen);
    drop((screen, calm));

    let flood = "[[action]]\nname = \"flood\"\nrisk = \"observe\"\nrun = [\"yes\", \"a line of output that does not end\"]\ntimeout = \"60s\"\n";
    let busy = Engine::start("busy-keys", &(config(500, 2, "1s", &ports) + flood), false);
    drop(busy.client().await);
    let mut screen = cockpit(&busy.dir, 200, 50);
    screen.until("live", PATIENCE);
    tokio::time::sleep(Duration::from_secs(3)).await;
    all &= keys_are_quick("keys", "during 1,000 checks/s", &mut screen);
    let mut act = std::process::Command::new(MAYDAY);
    act.args(["act", "flood", "--yes", "--config"]).arg(busy.dir.join("mayday.toml"));
    act.arg("--state-dir").arg(busy.dir.join("state")).env("XDG_RUNTIME_DIR", &busy.dir);
    assert!(act.output().expect("start the flood").status.success());
    screen.until("flood", PATIENCE);
    all & keys_are_quick("keys", "and while a run floods its output", &mut screen)
}

async fn many() -> bool {
    let (ports, _) = web(16).await;
    let engine = Engine::start("many", &config(5_000, 1, "60s", &ports), false);
    drop(engine.client().await);
    let mut screen = cockpit(&engine.dir, 200, 50);
    screen.until("live", PATIENCE);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let frame = Duration::from_millis(33);
    let (quiet, limit) = (Duration::from_millis(30), Duration::from_millis(500));
    let (scrolled, bytes) = screen.keys(&["\x1b[6~", "\x1b[6~", "\x1b[6~", "\x1b[5~"], 100, quiet, limit);
    let page = bytes / scrolled.len();
    let (moved, bytes) = screen.keys(&["j"], 50, quiet, limit);
    let row = bytes / moved.len();
    screen.type_in("/");
    screen.until("enter keep", PATIENCE);
    let (filtered, _) = screen.keys(&["s", "4", "9", "\x7f", "\x7f", "\x7f"], 60, quiet, limit);
    let worst = |all: &[Duration]| all[all.len() * 99 / 100].as_secs_f64() * 1000.0;
    let words = format!(
        "5,000 services: a page p99 {:.1} ms and {page} B, a row {:.1} ms and {row} B, a filter letter {:.1} ms",
        worst(&scrolled),
        worst(&moved),
        worst(&filtered)
    );
    let within = [&scrolled, &moved, &filtered].iter().all(|all| all[all.len() * 99 / 100] <= frame);
    verdict("many", within && page <= 200 * 50 && row <= page, words)
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let asked = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    let mut good = true;
    if asked("first") {
        good &= runtime.block_on(first());
    }
    if asked("rest") {
        good &= runtime.block_on(rest());
    }
    if asked("keys") {
        good &= runtime.block_on(keys());
    }
    if asked("many") {
        good &= runtime.block_on(many());
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
