//! The detached process that executes a plan, driven as the engine drives it: with the real binary and real commands.

mod support;

#[path = "runner/acts.rs"]
mod acts;
#[path = "runner/after.rs"]
mod after;
#[path = "runner/ends.rs"]
mod ends;
#[path = "runner/further.rs"]
mod further;
#[path = "runner/native.rs"]
mod native;
#[path = "runner/once.rs"]
mod once;
#[path = "runner/output.rs"]
mod output;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use mayday::domain::Time;
use mayday::domain::run::{Phase, Plan, Risk, Step, Work};
use mayday::runner::{self, Seen, Status};
use secrecy::SecretString;
use support::{PATIENCE, wait_for_some};

const MAYDAY: &str = env!("CARGO_BIN_EXE_mayday");

/// A plan of shell lines, one phase each.
fn plan(id: &str, lines: &[&str]) -> Plan {
    Plan {
        id: id.to_owned(),
        made_at: Time::from_ms(1_795_000_000_000),
        work: Work::Act { action: "test".to_owned() },
        title: "test".to_owned(),
        target: "test".to_owned(),
        service: None,
        holds: Vec::new(),
        risk: Risk::Disruptive,
        effects: Vec::new(),
        copy: None,
        data_lost_ms: None,
        rpo_ms: None,
        expected_ms: None,
        expected_from: 0,
        preconditions: Vec::new(),
        phases: lines.iter().enumerate().map(|(n, line)| sh(&format!("step {}", n + 1), line)).collect(),
        timeout_ms: 60_000,
        after: None,
        secrets: Vec::new(),
        undo: String::new(),
        gentle: false,
    }
}

fn sh(name: &str, line: &str) -> Phase {
    command(name, &["sh", "-c", line])
}

fn command(name: &str, argv: &[&str]) -> Phase {
    let step = Step::Command {
        argv: argv.iter().map(|a| (*a).to_owned()).collect(),
        env: BTreeMap::new(),
        secret_env: BTreeMap::new(),
        cwd: None,
        timeout_ms: None,
        refused_if: Vec::new(),
    };
    Phase { name: name.to_owned(), weight: 1, step, proof: false, retry_ms: 0 }
}

/// A run folder in a temporary folder of its own.
struct Bench {
    home: tempfile::TempDir,
    dir: PathBuf,
}

impl Bench {
    /// Writes the plan.
    fn new(plan: &Plan) -> Bench {
        let home = support::scratch();
        let dir = runner::place(home.path(), &[], plan).expect("placing the plan");
        Bench { home, dir }
    }

    fn of(lines: &[&str]) -> Bench {
        Bench::new(&plan("r1", lines))
    }

    /// A path beside the run folder, for commands to write to.
    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// Starts the runner as the engine does.
    fn start(&self) -> i32 {
        self.start_with(&BTreeMap::new())
    }

    fn start_with(&self, secrets: &BTreeMap<String, SecretString>) -> i32 {
        runner::spawn(Path::new(MAYDAY), &self.dir, secrets).expect("starting the runner").cast_signed()
    }

    fn look(&self) -> Seen {
        runner::look(&self.dir).expect("looking at the run")
    }

    /// Waits for the status.
    #[track_caller]
    fn end(&self) -> Status {
        wait_for_some("the run ends", PATIENCE * 2, || match self.look() {
            Seen::Finished(status) => Some(status),
            _ => None,
        })
    }

    /// Waits until a command has written a file, and gives its first word.
    #[track_caller]
    fn written(&self, name: &str) -> String {
        wait_for_some(&format!("{name} is written"), PATIENCE, || {
            let text = self.text(name);
            text.ends_with('\n').then(|| text.trim().to_owned())
        })
    }

    /// Executes in the foreground; gives the exit status and what was said on stderr.
    fn foreground(&self, args: &[&str]) -> (ExitStatus, String) {
        let out = Command::new(MAYDAY)
            .arg("runner")
            .arg(&self.dir)
            .args(args)
            .stdin(Stdio::null())
            .output()
            .expect("running in the foreground");
        (out.status, String::from_utf8_lossy(&out.stderr).into_owned())
    }

    /// The whole output as it can be read.
    fn output(&self) -> String {
        let (mut text, mut at) = (String::new(), 0);
        loop {
            let chunk = runner::output(&self.dir, at, 1 << 20).expect("reading the output");
            if chunk.text.is_empty() {
                return text;
            }
            text.push_str(&chunk.text);
            at = chunk.next;
        }
    }
}

fn alive(pid: i32) -> bool {
    mayday::sys::proc::pid_start_time(pid).is_some_and(|start| mayday::sys::proc::is_alive(pid, start))
}

#[track_caller]
fn wait_gone(pid: i32) {
    support::wait_until(&format!("process {pid} is gone"), Duration::from_secs(15), || !alive(pid));
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: a plain system call.
    unsafe { libc::kill(pid, signal) };
}
