//! What the doctor says, and what to do.

use super::*;
use mayday::config::Config;
use mayday::survey::doctor::{Finding, Level, Place, examine, worst};
use std::collections::BTreeMap;

struct Case {
    pretend: Pretend,
    config: Option<Config>,
    vars: BTreeMap<String, String>,
    state: PathBuf,
    user: String,
}

impl Case {
    fn new() -> Self {
        let pretend = Pretend::new();
        let state = pretend.dir.path().join("state");
        let vars = [("TERM", "xterm-256color"), ("LANG", "en_US.UTF-8")];
        let vars = vars.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        Case { pretend, config: None, vars, state, user: "oncall1".to_owned() }
    }

    fn config(mut self, text: &str) -> Self {
        let text = text.replace("ROOT", &self.pretend.dir.path().display().to_string());
        let path = self.pretend.file("mayday.toml", &text);
        self.config = Some(mayday::config::load(&path).unwrap_or_else(|f| panic!("{f:?}")));
        self
    }

    fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.to_owned(), value.to_owned());
        self
    }

    fn made(self, mode: u32) -> Self {
        std::fs::create_dir(&self.state).unwrap();
        std::fs::set_permissions(&self.state, std::fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    async fn examine(&self) -> Vec<Finding> {
        self.examine_on(self.pretend.host()).await
    }

    async fn examine_on(&self, host: Host) -> Vec<Finding> {
        let place = Place {
            config: self.config.as_ref(),
            state_dir: self.state.clone(),
            host,
            user: self.user.clone(),
            vars: self.vars.clone(),
            terminal: true,
        };
        examine(&place).await
    }
}

/// The finding of an area that contains these words.
#[track_caller]
fn said<'a>(findings: &'a [Finding], area: &str, words: &str) -> &'a Finding {
    let found = findings.iter().find(|f| f.area == area && f.what.contains(words));
    found.unwrap_or_else(|| panic!("nothing about \"{words}\" under {area}: {findings:#?}"))
}

const SYSTEM: &str = "[system]\nname = \"x\"\n";

#[tokio::test]
async fn a_good_place() {
    let case = Case::new().made(0o700).config(SYSTEM);
    let findings = case.examine().await;
    for (area, words) in [
        ("config", "0 services"),
        ("state", "mode 700"),
        ("state", "free"),
        ("secrets", "refers to none"),
        ("terminal", "TERM=xterm-256color, 256 colours"),
        ("terminal", "LANG=en_US.UTF-8"),
        ("proxy", "none"),
        ("limits", "suffice"),
    ] {
        assert_eq!(said(&findings, area, words).level, Level::Good);
    }
    assert_eq!(said(&findings, "engine", "no engine runs").level, Level::Note);
    assert_eq!(said(&findings, "icmp", "ICMP").level, Level::Note);
    assert!(worst(&findings) < Level::Bad, "{findings:#?}");
    let json = serde_json::to_value(&findings).unwrap();
    assert_eq!(json[0]["level"], "good");
    for finding in &findings {
        assert!(finding.level < Level::Warning || !finding.advice.is_empty(), "nothing to do about {finding:?}");
    }
}

#[tokio::test]
async fn the_state_folder() {
    for (mode, group, level, words) in [
        (0o700, false, Level::Good, "mode 700"),
        (0o755, false, Level::Warning, "open to others (mode 755)"),
        (0o2750, true, Level::Good, "mode 2750"),
        (0o2757, true, Level::Warning, "open to others (mode 2757)"),
    ] {
        let config = if group { format!("{SYSTEM}[engine]\ngroup = \"root\"\n") } else { SYSTEM.to_owned() };
        let case = Case::new().made(mode).config(&config);
        let findings = case.examine().await;
        assert_eq!(said(&findings, "state", words).level, level);
    }
    let mut case = Case::new();
    assert_eq!(said(&case.examine().await, "state", "does not exist yet").level, Level::Good);
    case.state = case.pretend.file("state-file", "x");
    assert_eq!(said(&case.examine().await, "state", "is a file").level, Level::Bad);
}

#[tokio::test]
async fn a_socket_needs_a_short_path() {
    let mut case = Case::new();
    case.state = case.pretend.dir.path().join("d".repeat(120));
    let findings = case.examine().await;
    let found = said(&findings, "engine", "no socket fits");
    assert_eq!(found.level, Level::Bad);
    assert!(found.advice.contains("XDG_RUNTIME_DIR"));
    let case = case.var("XDG_RUNTIME_DIR", "/tmp");
    assert!(!case.examine().await.iter().any(|f| f.what.contains("no socket fits")), "the runtime folder is short");
    let case = case.var("XDG_RUNTIME_DIR", "/run/user/99999");
    assert_eq!(said(&case.examine().await, "engine", "does not exist").level, Level::Note);
}

#[tokio::test]
async fn engines_that_run_and_engines_that_are_gone() {
    let case = Case::new().made(0o700);
    let socket = case.pretend.dir.path().join("s.sock");
    let write = |version: &str, pid: u32| {
        let file = serde_json::json!({ "pid": pid, "version": version, "protocol": 1, "socket": socket });
        std::fs::write(case.state.join("engine.json"), file.to_string()).unwrap();
    };
    let mine = env!("CARGO_PKG_VERSION");
    write(mine, 4_000_000);
    let found = case.examine().await;
    assert!(said(&found, "engine", "does not answer").advice.contains("gone"));
    write(mine, std::process::id());
    let found = case.examine().await;
    assert!(said(&found, "engine", "does not answer").advice.contains("engine.log"));
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_eq!(said(&case.examine().await, "engine", "an engine runs").level, Level::Good);
    write("0.0.1", std::process::id());
    let found = case.examine().await;
    assert!(said(&found, "engine", "version 0.0.1").advice.contains("restart"));
    std::fs::write(case.state.join("engine.json"), "{").unwrap();
    assert_eq!(said(&case.examine().await, "engine", "cannot be read").level, Level::Warning);
}

#[tokio::test]
async fn terminals() {
    for (vars, level, words) in [
        (&[("TERM", "")][..], Level::Bad, "TERM is not set"),
        (&[("TERM", "dumb")][..], Level::Warning, "TERM is dumb"),
        (&[("COLORTERM", "truecolor")][..], Level::Good, "24-bit"),
        (&[("TERM", "linux")][..], Level::Good, "16 colours"),
        (&[("TERM", "tmux-256color"), ("TMUX", "/tmp/x,1,0")][..], Level::Good, "inside tmux"),
        (&[("NO_COLOR", "1")][..], Level::Note, "NO_COLOR"),
        (&[("LC_ALL", "C")][..], Level::Warning, "LC_ALL=C is not UTF-8"),
        (&[("LC_ALL", "C.utf8")][..], Level::Good, "LC_ALL=C.utf8"),
        (&[("LANG", "")][..], Level::Warning, "no locale"),
    ] {
        let mut case = Case::new();
        for (name, value) in vars {
            case = case.var(name, value);
        }
        assert_eq!(said(&case.examine().await, "terminal", words).level, level, "{vars:?}");
    }
}

#[tokio::test]
async fn tools_that_the_configuration_needs() {
    let config = format!(
        "{SYSTEM}
[[service]]
name = \"api\"
control = {{ systemd = \"api.service\" }}
[[service.exec]]
run = [\"ROOT/bin/check-api\", \"-v\"]
[[service]]
name = \"web\"
control = {{ docker = \"web\" }}
[[backup]]
name = \"pg\"
files = {{ path = \"ROOT/b\", pattern = \"*.dump\" }}
restore = {{ postgres_dump = {{ database = \"app\", dsn = \"host=/tmp\" }} }}
[[action]]
name = \"warm\"
run = [\"no-such-program\"]
"
    );
    let case = Case::new().config(&config);
    case.pretend.tool("systemctl", "echo 'systemd 252 (252.39-1~deb12u1)'; echo '+PAM +AUDIT'");
    case.pretend.tool(
        "docker",
        "case $1 in --version) echo 'Docker version 24.0.7';; *) echo 'permission denied' >&2; exit 1;; esac",
    );
    let findings = case.examine_on(case.pretend.bare()).await;
    let found = said(&findings, "tools", "systemctl: ");
    assert!(found.what.contains("(systemd 252 (252.39-1~deb12u1)), for service api control"), "{found:?}");
    assert_eq!(said(&findings, "tools", "docker: ").level, Level::Good);
    let daemon = said(&findings, "tools", "the Docker daemon cannot be asked: permission denied");
    assert!(daemon.level == Level::Bad && daemon.advice.contains("group docker"));
    for (program, by) in [
        ("check-api", "service api check"),
        ("no-such-program", "action warm"),
        ("pg_restore", "backup pg restore"),
        ("psql", "backup pg restore"),
    ] {
        let found = said(&findings, "tools", program);
        assert!(found.level == Level::Bad && found.what.contains(by), "{found:?}");
    }
    assert!(said(&findings, "tools", "pg_restore").advice.contains("postgresql-client"));
    assert!(!findings.iter().any(|f| f.what.contains("kubectl")), "what nothing needs is not missed");
}

#[tokio::test]
async fn secrets_are_looked_up_and_never_shown() {
    let config = format!(
        "{SYSTEM}
[[channel]]
name = \"one\"
webhook = {{ url = {{ file = \"ROOT/webhook\" }} }}
[[channel]]
name = \"two\"
webhook = {{ url = {{ env = \"MAYDAY_TEST_NOT_SET\" }} }}
[[channel]]
name = \"three\"
webhook = {{ url = {{ command = [\"false\"] }} }}
"
    );
    let case = Case::new().config(&config);
    case.pretend.file("webhook", "https://hooks.example.org/s3cr3t-path\n");
    let findings = case.examine().await;
    assert_eq!(said(&findings, "secrets", "1 secret can be had").level, Level::Good);
    assert_eq!(said(&findings, "secrets", "MAYDAY_TEST_NOT_SET is not set").level, Level::Bad);
    assert!(said(&findings, "secrets", "channel two url").advice.contains("MAYDAY_TEST_NOT_SET"));
    assert_eq!(said(&findings, "secrets", "channel three url").level, Level::Bad);
    assert!(!format!("{findings:?}").contains("s3cr3t"));
}

#[tokio::test]
async fn sessions_that_end_their_processes() {
    for (files, words, level) in [
        (&[][..], "", Level::Good),
        (&[("etc/systemd/logind.conf", "[Login]\n#KillUserProcesses=no\n")][..], "outlive", Level::Good),
        (
            &[("usr/lib/systemd/logind.conf", "[Login]\n#KillUserProcesses=yes\n")][..],
            "KillUserProcesses=yes",
            Level::Bad,
        ),
        (&[("etc/systemd/logind.conf", "[Login]\nKillUserProcesses=yes\n")][..], "KillUserProcesses=yes", Level::Bad),
        (&[("etc/systemd/logind.conf", "[Other]\nKillUserProcesses=yes\n")][..], "outlive", Level::Good),
        (
            &[
                ("usr/lib/systemd/logind.conf.d/50-x.conf", "[Login]\nKillUserProcesses=yes\n"),
                ("etc/systemd/logind.conf.d/50-x.conf", "[Login]\nKillUserProcesses=no\n"),
            ][..],
            "outlive",
            Level::Good,
        ),
        (
            &[
                ("etc/systemd/logind.conf", "[Login]\nKillUserProcesses=no\n"),
                ("run/systemd/logind.conf.d/90-y.conf", "[Login]\nKillUserProcesses = yes\n"),
            ][..],
            "KillUserProcesses=yes",
            Level::Bad,
        ),
    ] {
        let case = Case::new();
        for (path, text) in files {
            case.pretend.file(path, text);
        }
        let findings = case.examine().await;
        if words.is_empty() {
            assert!(!findings.iter().any(|f| f.area == "session"), "without logind there is nothing to say");
            continue;
        }
        let found = said(&findings, "session", words);
        assert_eq!(found.level, level, "{files:?}: {found:?}");
    }
    // logind leaves root alone, and those who asked to be.
    let mut case = Case::new();
    case.pretend.file("etc/systemd/logind.conf", "[Login]\nKillUserProcesses=yes\n");
    let found = case.examine().await;
    assert!(said(&found, "session", "KillUserProcesses=yes").advice.contains("enable-linger oncall1"));
    case.pretend.file("var/lib/systemd/linger/oncall1", "");
    assert_eq!(said(&case.examine().await, "session", "oncall1 is exempt").level, Level::Good);
    case.user = "root".to_owned();
    assert_eq!(said(&case.examine().await, "session", "root is exempt").level, Level::Good);
}

#[tokio::test]
async fn proxies_are_shown_without_their_login() {
    let case = Case::new().var("https_proxy", "http://me:s3cr3t@proxy.example:3128").var("NO_PROXY", "localhost");
    let findings = case.examine().await;
    let found = said(&findings, "proxy", "https_proxy=http://…@proxy.example:3128, NO_PROXY=localhost");
    assert!(found.what.contains("probes connect directly"));
    assert!(!format!("{findings:?}").contains("s3cr3t"));
}

#[tokio::test]
async fn backup_folders_are_looked_at() {
    let config = format!(
        "{SYSTEM}
[[backup]]
name = \"good\"
rpo = \"26h\"
files = {{ path = \"ROOT/good\", pattern = \"*.dump\" }}
[[backup]]
name = \"stale\"
rpo = \"26h\"
files = {{ path = \"ROOT/stale\", pattern = \"*.dump\" }}
[[backup]]
name = \"none\"
rpo = \"26h\"
files = {{ path = \"ROOT/none\", pattern = \"*.dump\" }}
[[backup]]
name = \"file\"
rpo = \"26h\"
files = {{ path = \"ROOT/mayday.toml\", pattern = \"*.dump\" }}
"
    );
    let case = Case::new().config(&config);
    let at = |p: &str| case.pretend.dir.path().join(p);
    write(&at("good/a.dump"), b"PGDMPxx", Duration::from_secs(3600));
    write(&at("stale/a.dump"), b"PGDMPxx", Duration::from_secs(30 * 3600));
    let findings = case.examine().await;
    assert_eq!(said(&findings, "backups", "good: fresh: a.dump").level, Level::Good);
    assert_eq!(said(&findings, "backups", "stale: stale: RPO").level, Level::Bad);
    assert_eq!(said(&findings, "backups", "none: missing: no copy in").level, Level::Bad);
    assert!(said(&findings, "backups", "file: the folder").what.contains("path must be a folder"));
}

#[tokio::test]
async fn certificates_of_ones_own() {
    let config = "[system]\nname = \"x\"\nextra_ca = [\"ROOT/none.pem\"]\n";
    let case = Case::new().config(config);
    let findings = case.examine().await;
    assert_eq!(said(&findings, "tls", "none.pem").level, Level::Bad);
    assert!(findings.iter().any(|f| f.area == "tls" && f.what.contains("CA certificates") && f.level < Level::Warning));
}
