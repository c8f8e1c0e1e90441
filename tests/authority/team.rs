//! A shared engine, run by root as its service account, and two members of its group: `nobody` and `daemon`.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::support::cockpit::{self, Ran};
use super::support::home::Home;
use super::support::http::{Answer, HttpScript};
use super::support::{PATIENCE, program, scratch, two_people, wait_for_some, wait_until};
use mayday::wire::client::EngineFile;

pub const ANN: Person = Person { uid: 65534 };
pub const BEN: Person = Person { uid: 1 };

#[derive(Clone, Copy)]
pub struct Person {
    uid: u32,
}

pub struct Team {
    open: tempfile::TempDir,
    homes: tempfile::TempDir,
    service: Home,
    gid: u32,
    /// What was sent to the channel.
    pub hook: HttpScript,
}

fn group() -> (String, u32) {
    let file = std::fs::read_to_string("/etc/group").unwrap();
    let line = file.lines().find(|l| l.starts_with("games:") || l.starts_with("users:")).expect("a usual group");
    let mut parts = line.split(':');
    (parts.next().unwrap().to_owned(), parts.nth(1).unwrap().parse().unwrap())
}

const CONFIG: &str = r#"
[system]
name = "shop"
[engine]
group = "GROUP"
state_dir = "OPEN/state"
[[service]]
name = "api"
tier = 1
control = { restart = ["sh", "-c", "echo x >> OPEN/restarted"], stop = ["true"], start = ["true"] }
[[service]]
name = "web"
tier = 2
control = { restart = ["true"], stop = ["true"], start = ["true"] }
[[action]]
name = "wipe"
service = "api"
risk = "destructive"
run = ["sh", "-c", "echo x >> OPEN/wiped"]
[[action]]
name = "secretly"
service = "web"
risk = "destructive"
run = ["sh", "-c", "echo x >> OPEN/secretly"]
env = { TOKEN = { env = "MAYDAY_TEST_TOKEN" } }
[[action]]
name = "look"
risk = "observe"
run = ["true"]
[[recovery]]
name = "all"
[[recovery.step]]
phase = "database"
within = "5m"
action = "wipe"
[[channel]]
name = "hook"
webhook = { url = "URL" }
"#;

impl Team {
    /// `more` goes to the end of the configuration. Fails where nobody can be somebody else: a rule for two people that
    /// was tried by one has not been tried.
    #[track_caller]
    pub fn new(more: &str) -> Team {
        two_people();
        let (group, gid) = group();
        let (open, homes) = (scratch(), scratch());
        for dir in [&open, &homes] {
            std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
        }
        let hook = HttpScript::start(vec![Answer::status(200)]);
        let team = Team { open, homes, service: Home::new().env_var("MAYDAY_TEST_TOKEN", "s3cret"), gid, hook };
        let text = CONFIG.replace("GROUP", &group).replace("URL", &team.hook.url("/hook")) + more;
        std::fs::write(team.config(), text.replace("OPEN", &team.open.path().display().to_string())).unwrap();
        team.start();
        team
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.open.path().join(name)
    }

    fn config(&self) -> PathBuf {
        self.path("mayday.toml")
    }

    pub fn start(&self) {
        let mut command = self.service.mayday(&["engine", "start", "--config"]);
        command.arg(self.config()).stdin(Stdio::null());
        cockpit::run(command).ok();
    }

    /// mayday, run by one of them.
    pub fn run(&self, who: Person, args: &[&str]) -> Ran {
        cockpit::run(self.command(who, args))
    }

    pub fn command(&self, who: Person, args: &[&str]) -> Command {
        let mut command = Command::new(program("setpriv", "util-linux"));
        command.arg(format!("--reuid={}", who.uid)).arg(format!("--regid={}", self.gid)).args(["--clear-groups", "--"]);
        command.arg(super::support::home::mayday_binary()).args(args).arg("--config").arg(self.config());
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.homes.path()).current_dir("/");
        command.stdin(Stdio::null());
        command
    }

    pub fn json(&self, who: Person, args: &[&str]) -> Value {
        let mut args = args.to_vec();
        args.push("--json");
        self.run(who, &args).json()
    }

    /// The request that is newest.
    pub fn request(&self) -> Value {
        self.json(BEN, &["approvals"])[0].clone()
    }

    /// Waits until a file has this many lines.
    pub fn lines(&self, name: &str, n: usize) {
        wait_until(&format!("{name} has {n} lines"), PATIENCE, || self.count(name) == n);
    }

    pub fn count(&self, name: &str) -> usize {
        std::fs::read_to_string(self.path(name)).unwrap_or_default().lines().count()
    }

    pub fn run_over(&self, id: &str) -> Value {
        wait_for_some(&format!("run {id} is over"), PATIENCE, || {
            let shown = self.run(ANN, &["runs", "show", id, "--json"]);
            let value: Value = serde_json::from_str(&shown.out).ok()?;
            cockpit::is_over(value["state"].as_str()?).then_some(value)
        })
    }

    /// `kill -9` of the engine.
    pub fn kill_engine(&self) {
        let pid = EngineFile::read(&self.path("state")).unwrap().expect("an engine").pid.try_into().unwrap();
        let start = mayday::sys::proc::pid_start_time(pid);
        // SAFETY: a plain system call on the process that the engine's own file names.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        wait_until("the engine is gone", PATIENCE, || start.is_none_or(|s| !mayday::sys::proc::is_alive(pid, s)));
    }

    /// Journal entries of a kind.
    pub fn entries(&self, kind: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("state/journal.jsonl")).unwrap();
        let all = text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
        let flat = |mut e: Value| {
            let payload = e["payload"].take();
            let fields = payload.as_object().cloned().unwrap_or_default();
            e.as_object_mut().unwrap().extend(fields);
            e
        };
        all.filter(|e| e["kind"] == kind).map(flat).collect()
    }
}
