//! The real binary with a configuration: commands run to their end, what they said, and the engine's process.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::{Home, PATIENCE, wait_for_some};
use mayday::wire::client::EngineFile;

/// A home with a configuration. Its engine, runners and viewers are killed with it.
pub struct Cockpit {
    /// The folders.
    pub home: Home,
}

/// How a command ended.
#[derive(Clone)]
pub struct Ran {
    /// What was run, for messages.
    pub what: String,
    /// Exit code; -1 when ended by a signal.
    pub code: i32,
    /// Standard output; what is no UTF-8 is replaced.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// Standard output as it came.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ended with {}\nstdout: {}\nstderr: {}", self.what, self.code, self.out, self.err)
    }
}

impl Ran {
    fn of(what: String, output: Output) -> Ran {
        Ran {
            what,
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            bytes: output.stdout,
        }
    }

    /// Fails the test unless it ended with `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{}\nstdout: {}\nstderr: {}", self.what, self.out, self.err);
        self
    }

    /// Fails the test unless it ended with 0.
    #[track_caller]
    pub fn ok(self) -> Ran {
        self.expect(0)
    }

    /// Fails the test unless standard error has all of `words`.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Ran {
        for word in words {
            assert!(self.err.contains(word), "{}: {word:?} is not in stderr: {}", self.what, self.err);
        }
        self
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|e| panic!("{}: not JSON ({e}): {}\nstderr: {}", self.what, self.out, self.err))
    }

    /// Standard output without the line end.
    pub fn line(&self) -> String {
        self.out.trim_end().to_owned()
    }
}

impl Cockpit {
    /// With this configuration; `HOME` in it stands for the home folder. The system is to be named `shop`.
    #[track_caller]
    pub fn new(config: &str) -> Self {
        Self::in_home(Home::new(), config)
    }

    /// The same in a home that was made before.
    #[track_caller]
    pub fn in_home(home: Home, config: &str) -> Self {
        let cockpit = Cockpit { home };
        cockpit.configure(config);
        cockpit
    }

    /// Writes the configuration anew.
    #[track_caller]
    pub fn configure(&self, config: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.home.write_config(&config.replace("HOME", &self.home.path().display().to_string()));
        // A configuration with a secret in it is refused when others can read it.
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
    }

    /// The state directory of the system `shop`.
    pub fn state(&self) -> PathBuf {
        self.home.state().join("shop")
    }

    /// A path in the home folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A command of mayday, to be changed and run.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.home.mayday(args);
        command.stdin(Stdio::null());
        command
    }

    /// Runs mayday with these arguments and nothing on standard input.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Ran {
        run(self.command(args))
    }

    /// Runs mayday with `input` on standard input.
    #[track_caller]
    pub fn run_with(&self, args: &[&str], input: &[u8]) -> Ran {
        let mut command = self.home.mayday(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("starting mayday");
        let mut stdin = child.stdin.take().expect("its standard input");
        let input = input.to_vec();
        let writer = std::thread::spawn(move || {
            // It may end before it has read all, which is its right.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().expect("waiting for mayday");
        writer.join().expect("the writing thread");
        Ran::of(format!("mayday {args:?} < …"), output)
    }

    /// Starts the engine where none runs.
    #[track_caller]
    pub fn start(&self) {
        self.run(&["engine", "start"]).ok();
    }

    /// Process id of the engine that `engine.json` names.
    pub fn engine_pid(&self) -> Option<i32> {
        EngineFile::read(&self.state()).ok().flatten().and_then(|e| i32::try_from(e.pid).ok())
    }

    /// `kill -9` of the engine; returns when it is gone.
    #[track_caller]
    pub fn kill_engine(&self) {
        let pid = self.engine_pid().expect("an engine runs");
        let start = mayday::sys::proc::pid_start_time(pid);
        // SAFETY: a plain system call on the process that the engine's own file names.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        super::wait_until("the engine is gone", PATIENCE, || {
            start.is_none_or(|start| !mayday::sys::proc::is_alive(pid, start))
        });
    }

    /// Runs `args` again and again until it ends with `code`.
    #[track_caller]
    pub fn until_code(&self, args: &[&str], code: i32) -> Ran {
        let mut last = None;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let ran = self.run(args);
            if ran.code == code {
                return ran;
            }
            last = Some(ran);
        }
        panic!("mayday {args:?} did not end with {code} within {PATIENCE:?}; the last: {last:#?}");
    }

    /// The run's JSON as soon as it is over.
    #[track_caller]
    pub fn finished(&self, run: &str, limit: Duration) -> serde_json::Value {
        wait_for_some(&format!("run {run} is over"), limit, || {
            let shown = self.run(&["runs", "show", run, "--json"]);
            let value: serde_json::Value = serde_json::from_str(&shown.out).ok()?;
            is_over(value["state"].as_str()?).then_some(value)
        })
    }

    /// Fails the test unless the whole journal verifies.
    #[track_caller]
    pub fn verify(&self) -> serde_json::Value {
        let ran = self.run(&["journal", "verify", "--json"]);
        let value = ran.json();
        assert!(ran.code == 0 && value["whole"] == true, "the journal is not whole: {value:#}");
        value
    }

    /// Every entry of the journal, as `journal tail --json` prints it.
    #[track_caller]
    pub fn entries(&self) -> Vec<serde_json::Value> {
        let tail = self.run(&["journal", "tail", "-n", "1000000", "--json"]).ok();
        tail.out.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
    }
}

/// Whether a run's state, as JSON says it, is final.
pub fn is_over(state: &str) -> bool {
    !matches!(state, "requested" | "claimed" | "running")
}

/// Runs a command to its end.
#[track_caller]
pub fn run(mut command: Command) -> Ran {
    let what = format!("{command:?}");
    let what = what.split("mayday\"").last().unwrap_or(&what).to_owned();
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    Ran::of(format!("mayday{what}"), output)
}
