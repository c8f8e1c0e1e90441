//! The shipped files: they load, they say what they should, and what is in force reads back.

use std::collections::BTreeSet;
use std::time::Duration;

use mayday::config::{self, BackupSource, ChannelKind, CheckKind, Config, Control, Restore};
use mayday::domain::catalog::Severity;

use crate::{good, meaning, nowhere, repo, shipped};

fn example(name: &str) -> Config {
    let path = repo(&format!("config/examples/{name}.toml"));
    let loaded = config::load_with_source(&path);
    loaded
        .map(|(config, _)| config)
        .unwrap_or_else(|(faults, text)| panic!("{}", config::render(&faults, &text, false)))
}

fn minutes(m: u64) -> Option<Duration> {
    Some(Duration::from_secs(m * 60))
}

#[test]
fn what_is_in_force_reads_back_as_the_same() {
    for (name, text) in shipped() {
        let config = good(&text);
        let printed = config::effective(&config);
        let again = config::parse(&printed, nowhere())
            .unwrap_or_else(|faults| panic!("{name}\n{}", config::render(&faults, &printed, false)));
        assert_eq!(meaning(again.clone()), meaning(config), "{name}");
        assert_eq!(config::effective(&again), printed, "{name}");
    }
}

/// The warnings are facts of those systems: schedules that cannot keep what was promised, and copies that this version
/// cannot restore.
#[test]
fn the_examples_warn_of_what_does_not_fit_together_and_of_nothing_else() {
    for (name, wanted) in [
        (
            "crazy-gary",
            vec![
                "api may be down 10m, but depends on postgres, which may be down 15m",
                "authentication may be down 10m, but depends on postgres, which may be down 15m",
                "postgres-wal has no restore: its copies cannot be used from here",
                "postgres-wal cannot keep its rpo of 5m with every of 15m",
            ],
        ),
        ("agent-orchestrator", vec!["postgres-wal has no restore: its copies cannot be used from here"]),
        ("aigentable", vec!["database-incremental cannot keep its rpo of 1h with every of 4h"]),
        (
            "sutazai",
            vec![
                "database may be down 2m, but depends on storage, which may be down 3m",
                "service-mesh may be down 1m, but depends on network, which may be down 3m",
                "critical-databases cannot keep its rpo of 1m with every of 1h",
                "system-configuration cannot keep its rpo of 2m with every of 1d",
                "agent-code cannot keep its rpo of 1m with every of 1d",
                "application-state cannot keep its rpo of 1m with every of 7d",
            ],
        ),
    ] {
        let config = example(name);
        let found: Vec<&str> = config.warnings.iter().filter_map(|w| w.splitn(3, ':').nth(2)).map(str::trim).collect();
        assert_eq!(found, wanted, "{name}");
        let path = repo(&format!("config/examples/{name}.toml"));
        assert!(config.warnings.iter().all(|w| w.starts_with(&path.display().to_string())));
    }
    // Of the annotated file only the certificates are missing, which it names for the sake of the keys.
    let warnings = config::load(&repo("config/mayday.toml")).unwrap().warnings;
    assert_eq!(warnings.len(), 6, "{warnings:#?}");
    assert!(warnings.iter().all(|w| w.contains("extra_ca /etc/mayday/") && w.contains("cannot be read")));
}

#[test]
fn the_examples_hold_the_facts_of_their_systems() {
    let gary = example("crazy-gary");
    let facts: Vec<_> = gary.services.iter().map(|s| (s.name.as_str(), s.tier, s.rto)).collect();
    for wanted in [
        ("postgres", 1, minutes(15)),
        ("api", 1, minutes(10)),
        ("authentication", 1, minutes(10)),
        ("web", 2, minutes(30)),
        ("mcp-tools", 2, minutes(45)),
        ("background-tasks", 3, minutes(120)),
        ("analytics", 4, minutes(240)),
    ] {
        assert!(facts.contains(&wanted), "{wanted:?}");
    }
    assert_eq!(gary.system.availability_target, Some(99.9));
    assert!(
        gary.services
            .iter()
            .filter(|s| s.control.is_some())
            .all(|s| matches!(s.control, Some(Control::Railway { .. })))
    );
    assert!(gary.services.iter().all(|s| !s.checks.is_empty()));
    let catalog = gary.catalog();
    assert_eq!(catalog.backups["postgres-wal"].rpo_ms, Some(300_000));
    assert!(catalog.affected_by("postgres").contains("web"));

    let orchestrator = example("agent-orchestrator");
    let cost = orchestrator.system.downtime_cost.as_ref().unwrap();
    assert_eq!((cost.per_hour, cost.currency.as_str()), (45000.0, "EUR"));
    let rpos: Vec<_> = orchestrator.backups.iter().map(|b| (b.name.as_str(), b.rpo)).collect();
    for wanted in [
        ("agent-state", minutes(60)),
        ("sessions", minutes(15)),
        ("configuration", minutes(24 * 60)),
        ("audit-logs", minutes(7 * 24 * 60)),
        ("tls-certificates", Some(Duration::ZERO)),
    ] {
        assert!(rpos.contains(&wanted), "{wanted:?}");
    }

    let sutazai = example("sutazai");
    for (name, seconds) in [
        ("database", 120),
        ("service-mesh", 60),
        ("agents", 120),
        ("network", 180),
        ("storage", 180),
        ("authentication", 60),
    ] {
        let service = sutazai.services.iter().find(|s| s.name == name).unwrap();
        assert_eq!(service.rto, Some(Duration::from_secs(seconds)), "{name}");
    }
    // Four of the six kinds of control, and every kind of check, are shown somewhere.
    let all: Vec<Config> = shipped().iter().map(|(_, text)| good(text)).collect();
    let controls: BTreeSet<_> =
        all.iter().flat_map(|c| &c.services).filter_map(|s| s.control.as_ref()).map(Control::word).collect();
    assert_eq!(controls.len(), 6, "{controls:?}");
    let kinds: BTreeSet<_> =
        all.iter().flat_map(|c| &c.services).flat_map(|s| &s.checks).map(|c| c.kind.word()).collect();
    assert_eq!(kinds.len(), 10, "{kinds:?}");
    let channels: BTreeSet<_> = all.iter().flat_map(|c| &c.channels).map(|c| c.kind.word()).collect();
    assert_eq!(channels.len(), 3, "{channels:?}");
}

#[test]
fn examples_hold_no_secret() {
    for (name, text) in shipped() {
        let masked = mayday::text::Mask::default().apply(&text).into_owned();
        assert_eq!(masked, text, "{name}");
        for (place, secret) in good(&text).secret_refs() {
            assert!(!secret.describe().contains("configuration file itself"), "{name}: {place}");
        }
    }
}

#[test]
fn defaults_reach_every_check_and_a_check_wins_over_them() {
    let config = good(
        "[system]\nname = \"s\"\nextra_ca = [\"ca.pem\"]\n[defaults]\nevery = \"30s\"\ndown_after = 5\nmax_body = \"1KiB\"\n\
         family = \"v6\"\n[[service]]\nname = \"a\"\n[[service.tcp]]\naddress = \"h:1\"\n[[service.http]]\nurl = \"http://h/\"\n\
         down_after = 2\nfamily = \"v4\"\n[[service.http]]\nurl = \"http://h/2\"\n[[service.tcp]]\nname = \"http 3\"\n\
         address = \"h:2\"\n[[service.dns]]\nname = \"example.org\"\n",
    );
    let checks = &config.services[0].checks;
    let names: Vec<&str> = checks.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["tcp", "http", "http 2", "http 3", "dns"], "the order of the file");
    assert_eq!(checks[0].timing.every, Duration::from_secs(30));
    assert_eq!((checks[0].timing.down_after, checks[1].timing.down_after), (5, 2));
    // Built-in values that are longer than a short interval follow it.
    let quick = good(
        "[system]\nname = \"s\"\n[defaults]\nevery = \"1s\"\ntimeout = \"500ms\"\n[[service]]\nname = \"a\"\n[service.tcp]\naddress = \"h:1\"\n",
    );
    assert_eq!(quick.services[0].checks[0].timing.retry_interval, Duration::from_secs(1));
    let CheckKind::Http(http) = &checks[1].kind else { panic!("{checks:?}") };
    assert_eq!((http.max_body, http.family), (1024, config::Family::V4));
    assert_eq!(
        http.extra_ca,
        [std::path::PathBuf::from("/etc/mayday/ca.pem")],
        "relative to the file, from the system"
    );
    assert_eq!(http.status, [(200, 299)]);
}

#[test]
fn severities_have_their_promises_unless_said_otherwise() {
    let config = good(
        "[system]\nname = \"s\"\n[severity.P1]\nupdate_every = \"none\"\n[severity.P2]\nrespond_within = \"2h\"\n",
    );
    let policy = |s: Severity| (config.severities[&s].respond_within, config.severities[&s].update_every);
    assert_eq!(policy(Severity::P0), (minutes(5), minutes(15)));
    assert_eq!(policy(Severity::P1), (minutes(15), None));
    assert_eq!(policy(Severity::P2), (minutes(120), None));
    assert_eq!(policy(Severity::P3), (minutes(240), None));
    assert_eq!(config.system.environment, "production", "unsaid is the careful one");
}

#[test]
fn a_restore_takes_the_address_of_the_services_check() {
    let config = good(
        "[system]\nname = \"s\"\n[[service]]\nname = \"db\"\n[service.postgres]\ndsn = \"postgres://u@h/app\"\n\
         password = { env = \"P\" }\n[[backup]]\nname = \"b\"\nservice = \"db\"\nfiles = { path = \"backups\", pattern = \"*\" }\n\
         restore = { postgres_dump = { database = \"app\" } }\n",
    );
    let Some(Restore::PostgresDump(restore)) = &config.backups[0].restore else { panic!() };
    assert_eq!(restore.dsn, config::MaybeSecret::Plain("postgres://u@h/app".into()));
    assert_eq!(restore.password, Some(config::SecretRef::Env("P".into())));
    let BackupSource::Files(files) = &config.backups[0].source else { panic!("files") };
    assert_eq!(files.path, std::path::Path::new("/etc/mayday/backups"));
}

#[test]
fn the_catalogue_says_what_controls_can_do() {
    let config = good(
        "[system]\nname = \"s\"\n[[service]]\nname = \"a\"\ncontrol = { stop = [\"x\"], start = [\"y\"] }\n\
         [[service]]\nname = \"b\"\ncontrol = { restart = [\"x\"] }\n[[service]]\nname = \"c\"\ncontrol = { docker = \"c\" }\n\
         [[service]]\nname = \"d\"\n",
    );
    let catalog = config.catalog();
    let verbs = |name: &str| catalog.services[name].control.clone();
    assert_eq!(verbs("a"), ["restart", "stop", "start"]);
    assert_eq!(verbs("b"), ["restart"]);
    assert_eq!(verbs("c"), ["restart", "stop", "start", "logs"]);
    assert!(verbs("d").is_empty());
}

/// What is odd but allowed, one by one.
#[test]
fn lint_says_what_cannot_be_kept() {
    let service = |lines: &str| format!("[system]\nname = \"s\"\n{lines}");
    for (text, wanted) in [
        (service("[[service]]\nname = \"a\"\n"), vec!["4: a has no check: its state stays unknown"]),
        (
            service("[[service]]\nname = \"a\"\ntier = 1\n[service.tcp]\naddress = \"h:1\"\n"),
            vec![
                "4: a is tier 1 and has no rto: nothing says how long it may be down",
                "4: a is tier 1 and has no control: it cannot be restarted from here",
            ],
        ),
        (
            service("[[service]]\nname = \"a\"\nrto = \"20s\"\n[service.tcp]\naddress = \"h:1\"\n"),
            vec!["5: noticing that a is down may take 29s, its rto is 20s: shorten every, timeout or down_after"],
        ),
        (
            "[system]\nname = \"s\"\navailability_target = 99.99\n[[service]]\nname = \"a\"\ntier = 1\nrto = \"1h\"\n\
             control = { docker = \"a\" }\n[service.tcp]\naddress = \"h:1\"\n"
                .to_owned(),
            vec![
                "7: one outage of a as long as its rto of 1h breaks the target of 99.99 %, which leaves 4m19s a month",
            ],
        ),
        (
            service("[[backup]]\nname = \"b\"\nfiles = { path = \"/b\", pattern = \"*\" }\n"),
            vec![
                "4: b has neither rpo nor every: it can never be stale",
                "4: b has no restore: its copies cannot be used from here",
            ],
        ),
        (
            service(
                "[[backup]]\nname = \"b\"\nrpo = \"0s\"\nevery = \"1h\"\nfiles = { path = \"/b\", pattern = \"*\" }\n\
                 restore = { folder = { path = \"/a\" } }\n",
            ),
            vec!["5: no schedule of copies keeps b's rpo of 0s: that takes replication"],
        ),
        (
            service(
                "[[backup]]\nname = \"b\"\nrpo = \"1h\"\nevery = \"1h\"\ngrace = \"5m\"\nfiles = { path = \"/b\", pattern = \"*\" }\n\
                 restore = { folder = { path = \"/a\" } }\n",
            ),
            vec!["6: b cannot keep its rpo of 1h with every and grace of 1h05m"],
        ),
        (
            service("[[action]]\nname = \"a\"\nrun = [\"curl\", \"-H\", \"Authorization: Bearer abcdefgh12345\"]\n"),
            vec![
                "5: an argument looks like a secret, and arguments can be read by everybody on the host: hand it on with env",
            ],
        ),
        (
            service(
                "[[channel]]\nname = \"c\"\nemail = { host = \"h\", tls = \"none\", user = \"u\", password = { env = \"P\" }, from = \"a@b\", to = [\"c@d\"] }\n",
            ),
            vec!["5: the password for h crosses the network in the open: set tls"],
        ),
        (
            service("[severity.P0]\nauthority = \"full\"\n"),
            vec![
                "4: everybody may everything, also without an incident, so `authority` of a severity changes nothing yet: \
                 give another severity less, or set `everybody` of [authority]",
            ],
        ),
        (
            service("[authority]\nsecond_person = true\n"),
            vec![
                "4: a second person is asked for, and without [engine] group only root is another user of this engine: \
                 the rest is broken glass",
            ],
        ),
    ] {
        let found = good(&text).warnings;
        let wanted: Vec<String> = wanted.into_iter().map(|w| format!("/etc/mayday/shop.toml:{w}")).collect();
        assert_eq!(found, wanted, "{text}");
    }
    // Loopback needs no TLS.
    let text = service(
        "[[channel]]\nname = \"c\"\nemail = { host = \"127.0.0.1\", tls = \"none\", user = \"u\", password = { env = \"P\" }, from = \"a@b\", to = [\"c@d\"] }\n",
    );
    let config = good(&text);
    assert!(config.warnings.is_empty());
    assert!(matches!(config.channels[0].kind, ChannelKind::Email(_)));
}

/// What passes here must be usable where it is used: every check can be prepared, every channel opened, every pattern
/// compiled.
#[test]
fn what_passes_can_be_used() {
    use mayday::notify::Sender;
    use mayday::probe::{ProbeEnv, prepare};
    use secrecy::SecretString;
    use std::sync::Arc;

    mayday::sys::tls::install_provider();
    let value = |secret: &config::SecretRef| {
        if let config::SecretRef::Literal(value) = secret {
            return Ok(value.clone());
        }
        let name = secret.describe();
        let value = match &name {
            n if n.contains("DATABASE_URL") => "postgres://u:p@127.0.0.1/d",
            n if n.contains("REDIS_URL") => "redis://127.0.0.1",
            n if n.contains("_URL") || n.contains("WEBHOOK") => "https://127.0.0.1/x",
            _ => "value",
        };
        Ok::<_, String>(SecretString::from(value))
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let env = ProbeEnv::new(mayday::sys::tls::default_roots(), Arc::new(value), mayday::text::Mask::default());
    let mut texts: Vec<String> = shipped().into_iter().map(|(_, text)| text).collect();
    for (kind, key, values) in [
        (
            "redis",
            "url",
            &[
                "redis://h",
                "redis://h:1/2",
                "rediss://u:p@h",
                "redis://[::1]:6379",
                "unix:/run/r.sock",
                "redis+unix:///r.sock",
            ][..],
        ),
        ("tcp", "address", &["h:1", "[::1]:65535", "10.0.0.1:80", "a_b.c-d:9"]),
        ("tls", "address", &["h:1", "[::1]:443"]),
        ("dns", "name", &["example.org", "_sip._tcp.example.org", "example.org."]),
        ("http", "url", &["http://h", "https://[::1]:1/a?b=c#d", "http://ü.example/", "http://u@h/"]),
        (
            "postgres",
            "dsn",
            &[
                "postgres://h",
                "postgresql://u@a:1,b:2/d?sslmode=verify-full",
                "host=/run dbname=d",
                "postgres:///d?host=/run",
            ],
        ),
    ] {
        for value in values {
            texts.push(format!(
                "[system]\nname = \"s\"\n[[service]]\nname = \"a\"\n[service.{kind}]\n{key} = \"{value}\"\n"
            ));
        }
    }
    for resolver in ["9.9.9.9", "9.9.9.9:53", "::1", "[::1]:53", "ns.example.org", "ns.example.org:5353"] {
        texts.push(format!(
            "[system]\nname = \"s\"\n[[service]]\nname = \"a\"\n[service.dns]\nname = \"x.org\"\nresolver = \"{resolver}\"\n"
        ));
    }
    for text in texts {
        // The certificates of the annotated file are not there.
        let text: String = text.lines().filter(|l| !l.starts_with("extra_ca")).map(|l| format!("{l}\n")).collect();
        let config = good(&text);
        for service in &config.services {
            for check in &service.checks {
                if let Err(why) = prepare(check, &env) {
                    panic!("{why} in\n{text}");
                }
            }
        }
        for channel in &config.channels {
            Sender::new(channel, &[], Arc::new(value)).unwrap();
        }
        for backup in &config.backups {
            let BackupSource::Files(files) = &backup.source else { continue };
            globset::GlobBuilder::new(&files.pattern).literal_separator(true).build().unwrap();
        }
    }
}

/// The unit must be one that systemd understands, and must not end runs with the engine.
#[test]
fn the_unit_file_keeps_runs_alive() {
    let unit = std::fs::read_to_string(repo("config/mayday.service")).unwrap();
    let said = |line: &str| unit.lines().any(|l| l == line);
    for line in ["Type=notify", "KillMode=process", "OOMPolicy=continue", "ExecReload=/bin/kill -HUP $MAINPID"] {
        assert!(said(line), "{line}");
    }
    assert!(unit.lines().any(|l| l.starts_with("WatchdogSec=")));
    // systemd's own judgement, where it is there: only the program that is not installed may be missing.
    if let Ok(out) =
        std::process::Command::new("systemd-analyze").arg("verify").arg(repo("config/mayday.service")).output()
    {
        let complaints = String::from_utf8_lossy(&out.stderr).into_owned();
        let real: Vec<&str> = complaints
            .lines()
            .filter(|l| l.contains("mayday.service"))
            .filter(|l| !l.contains("/usr/local/bin/mayday is not executable") && !l.contains("man mayday(1)"))
            .collect();
        assert!(real.is_empty(), "{real:#?}");
    }
}
