//! Restores by the real program, watched from outside.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mayday::domain::run::RunState;
use mayday::runner::Status;

use crate::support::Cockpit;

/// Within which anything ends.
pub const LIMIT: Duration = Duration::from_secs(1800);

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default).max(1)
}

pub fn scale() -> u32 {
    number("MAYDAY_BENCH_SCALE", 20)
}

pub fn rounds() -> u32 {
    number("MAYDAY_BENCH_ROUNDS", 3)
}

/// A run by `mayday restore … --wait`.
pub struct Timed {
    pub id: String,
    /// From the command's start to its end.
    pub wall: Duration,
    /// The largest resident memory of the runner, KiB.
    pub peak_kib: u64,
    pub phases: Vec<(String, Duration)>,
    pub detail: String,
}

impl Timed {
    /// Time of the phases whose names begin so.
    pub fn phase(&self, begin: &str) -> Duration {
        self.phases.iter().filter(|(name, _)| name.starts_with(begin)).map(|(_, took)| *took).sum()
    }

    pub fn said(&self) -> String {
        let phases: Vec<String> = self.phases.iter().map(|(n, t)| format!("{n} {:.2}", t.as_secs_f64())).collect();
        format!("{}; runner at most {:.1} MiB", phases.join(", "), self.peak_kib as f64 / 1024.0)
    }
}

/// Runs `mayday restore ARGS --wait` to its end and watches the runner. Panics when it does not succeed.
pub fn restore(cockpit: &Cockpit, args: &[&str]) -> Timed {
    let all: Vec<&str> = ["restore"].iter().chain(args).chain(&["--wait", "--json"]).copied().collect();
    let mut command = cockpit.command(&all);
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start mayday");
    let runs = cockpit.state().join("runs");
    let (mut peak_kib, mut runner) = (0, None);
    while child.try_wait().expect("wait for mayday").is_none() {
        runner = runner.or_else(|| newest_runner(&runs));
        if let Some(pid) = runner {
            peak_kib = peak_kib.max(high_water(pid).unwrap_or(0));
        }
        std::thread::sleep(Duration::from_millis(4));
        assert!(begun.elapsed() < LIMIT, "mayday {all:?} does not end");
    }
    let wall = begun.elapsed();
    let output = child.wait_with_output().expect("what mayday said");
    let text = String::from_utf8_lossy(&output.stdout);
    let said: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|e| {
        panic!("mayday {all:?}: {e}: {text}{}", String::from_utf8_lossy(&output.stderr));
    });
    let id = said["id"].as_str().expect("the run's id").to_owned();
    let status = std::fs::read(runs.join(&id).join("status.json")).expect("how it ended");
    let status: Status = serde_json::from_slice(&status).expect("its status");
    assert_eq!(status.state, RunState::Succeeded, "mayday {all:?}: {}", status.detail);
    Timed {
        id,
        wall,
        peak_kib,
        phases: status.phases.iter().map(|p| (p.name.clone(), Duration::from_millis(p.took_ms))).collect(),
        detail: status.detail,
    }
}

/// Takes away what a run left, by the word that its plan asks for.
pub fn drop_left(cockpit: &Cockpit, backup: &str, run: &str) {
    let drop = ["restore", backup, "--drop", "--run", run];
    let plan = cockpit.run(&[&drop[..], &["--plan", "--json"]].concat()).ok().json();
    let word = plan["plan"]["target"].as_str().expect("what is typed").to_owned();
    cockpit.run(&[&drop[..], &["--confirm", &word, "--wait"]].concat()).ok();
}

/// The process that claimed a run and has not ended it.
fn newest_runner(runs: &Path) -> Option<i32> {
    for run in std::fs::read_dir(runs).ok()?.flatten() {
        let dir = run.path();
        if dir.join("status.json").metadata().is_ok_and(|m| m.len() > 0) {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(dir.join("progress.jsonl")) else { continue };
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap_or_default()).ok()?;
        if let Some(pid) = first["pid"].as_i64() {
            return i32::try_from(pid).ok();
        }
    }
    None
}

/// VmHWM of a process in KiB (proc_pid_status(5)).
fn high_water(pid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// How long a command takes. Panics when it fails.
pub fn time(command: &mut Command) -> Duration {
    let begun = Instant::now();
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let took = begun.elapsed();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

pub fn sh(line: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("set -euo pipefail; {line}")]);
    command
}

pub fn best(times: &[Duration]) -> Duration {
    times.iter().min().copied().unwrap_or_default()
}

pub fn secs(d: Duration) -> f64 {
    d.as_secs_f64()
}

/// `a` in terms of `b`.
pub fn ratio(a: Duration, b: Duration) -> f64 {
    secs(a) / secs(b).max(1e-9)
}

/// Prints a figure; gives whether it was met.
pub fn verdict(name: &str, good: bool, words: &str) -> bool {
    println!("{} {name:<8} {words}", if good { "ok    " } else { "MISSED" });
    good
}
