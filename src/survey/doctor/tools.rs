//! Programs that the configuration needs, and secrets that it refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Finding, Host, Place};
use crate::config::{self, BackupSource, CheckKind, Config, Control, Restore};
use crate::sys::proc::{self, Cmd};
use crate::text;

/// Programs by name with what needs each.
type Needs = BTreeMap<String, BTreeSet<String>>;

/// Every program that the configuration runs.
fn needs(config: &Config) -> Needs {
    let mut needs = Needs::new();
    let mut need = |program: &str, by: String| {
        needs.entry(program.to_owned()).or_default().insert(by);
    };
    for service in &config.services {
        let by = |what: &str| format!("service {} {what}", service.name);
        match &service.control {
            Some(Control::Systemd { .. }) => need("systemctl", by("control")),
            Some(Control::Docker { .. } | Control::Compose { .. }) => need("docker", by("control")),
            Some(Control::Kubernetes { .. }) => need("kubectl", by("control")),
            Some(Control::Railway { .. }) => need("railway", by("control")),
            Some(Control::Commands(c)) => {
                for argv in [&c.restart, &c.stop, &c.start].into_iter().flatten() {
                    need(argv.first().map_or("", String::as_str), by("control"));
                }
            }
            None => {}
        }
        for check in &service.checks {
            let by = by(&format!("check {}", check.name));
            match &check.kind {
                CheckKind::Systemd(_) => need("systemctl", by),
                CheckKind::Docker(_) => need("docker", by),
                CheckKind::Exec(e) => need(e.run.first().map_or("", String::as_str), by),
                _ => {}
            }
        }
    }
    for backup in &config.backups {
        if let BackupSource::Vault(v) = &backup.source {
            need(v.tool.word(), format!("backup {}", backup.name));
        }
        if let BackupSource::Repo(r) = &backup.source {
            need(r.log.tool().unwrap_or(""), format!("backup {}", backup.name));
        }
        let by = format!("backup {} restore", backup.name);
        match &backup.restore {
            Some(Restore::PostgresDump(_)) => {
                need("pg_restore", by.clone());
                need("psql", by);
            }
            Some(Restore::Redis(_)) => need("redis-server", by),
            Some(Restore::RabbitMq(_)) => {}
            // The server's own programs are no commands: the plan looks where they lie.
            Some(Restore::PostgresPitr(p)) => {
                need(p.log.tool().unwrap_or(""), by.clone());
                need(p.switch.first().map_or("", String::as_str), by);
            }
            Some(Restore::Folder(f)) => {
                if f.identity.is_some() {
                    need("age", by.clone());
                }
                for argv in &f.verify {
                    need(argv.first().map_or("", String::as_str), by.clone());
                }
            }
            None => {}
        }
    }
    for action in &config.actions {
        need(action.run.first().map_or("", String::as_str), format!("action {}", action.name));
        if let Some(CheckKind::Exec(e)) = &action.verify {
            need(e.run.first().map_or("", String::as_str), format!("action {} verify", action.name));
        }
    }
    needs.remove("");
    needs
}

/// How each of the known tools tells its version. What has no entry is somebody's own and is not run.
const VERSIONS: [(&str, &[&str]); 12] = [
    ("systemctl", &["--version"]),
    ("docker", &["--version"]),
    ("kubectl", &["version", "--client"]),
    ("railway", &["--version"]),
    ("pg_restore", &["--version"]),
    ("pg_dump", &["--version"]),
    ("psql", &["--version"]),
    ("redis-cli", &["--version"]),
    ("curl", &["--version"]),
    ("restic", &["version"]),
    ("borg", &["--version"]),
    ("age", &["--version"]),
];

/// Tools that are useful though nothing in the configuration needs them.
const USEFUL: [&str; 3] = ["pg_restore", "psql", "redis-cli"];

/// Whether every program is there, with its version.
pub async fn tools(place: &Place<'_>) -> Vec<Finding> {
    let needs = place.config.map(needs).unwrap_or_default();
    let mut names: Vec<(String, Option<String>)> =
        needs.into_iter().map(|(name, by)| (name, Some(summary(&by)))).collect();
    for useful in USEFUL {
        if !names.iter().any(|(n, _)| n == useful) {
            names.push((useful.to_owned(), None));
        }
    }
    let looks = names.iter().map(|(name, by)| one(&place.host, name, by.as_deref()));
    let mut out: Vec<Finding> = futures_util::future::join_all(looks).await.into_iter().flatten().collect();
    out.extend(docker_daemon(place, names.iter().any(|(n, by)| n == "docker" && by.is_some())).await);
    out
}

fn summary(by: &BTreeSet<String>) -> String {
    let first = by.iter().take(2).cloned().collect::<Vec<_>>().join(", ");
    match by.len() {
        0..=2 => first,
        n => format!("{first} and {} more", n - 2),
    }
}

const AREA: &str = "tools";

async fn one(host: &Host, name: &str, by: Option<&str>) -> Option<Finding> {
    let own = host.clone();
    let program = name.to_owned();
    let found = super::super::in_thread(host.limit, move || proc::which(&program, &own.path)).await;
    let path = match found {
        None => {
            let what = format!("whether {name} is there is not known: the file system does not answer");
            return Some(Finding::warning(AREA, what, "look at the mounts on PATH"));
        }
        Some(Some(path)) => path,
        Some(None) => {
            // Nothing needs it: its absence is no news.
            let by = by?;
            let advice = match package(name) {
                Some(package) => format!("install {package}, or correct PATH where the engine is started"),
                None => "install it, or correct the configuration or PATH where the engine is started".to_owned(),
            };
            return Some(Finding::bad(AREA, format!("{name} is not there, and {by} needs it"), advice));
        }
    };
    let version = match VERSIONS.iter().find(|(n, _)| *n == name) {
        Some((_, args)) => version(host, name, args).await,
        None => None,
    };
    let needed = by.map(|by| format!(", for {by}")).unwrap_or_default();
    let version = version.map(|v| format!(" ({v})")).unwrap_or_default();
    Some(Finding::good(AREA, format!("{name}: {}{version}{needed}", path.display())))
}

async fn version(host: &Host, name: &str, args: &[&str]) -> Option<String> {
    let cmd = Cmd::new(name).args(args.iter().copied()).env("PATH", &host.path).timeout(host.limit);
    let outcome = proc::run(cmd.keep_output(4096)).await;
    let said = outcome.stdout.text();
    let line = said.lines().find(|l| !l.trim().is_empty())?.trim();
    outcome.success().then(|| text::clean::clean_to(line, 80).into_owned())
}

/// Debian's names; other distributions are close.
fn package(program: &str) -> Option<&'static str> {
    Some(match program {
        "pg_restore" | "psql" | "pg_dump" => "postgresql-client of the server's version or later",
        "docker" => "docker.io or docker-ce-cli",
        "kubectl" => "kubectl",
        "railway" => "the Railway CLI",
        "systemctl" => "systemd",
        "redis-cli" => "redis-tools",
        "redis-server" => "redis-server",
        "curl" => "curl",
        "restic" => "restic",
        "borg" => "borgbackup",
        "age" => "age",
        _ => return None,
    })
}

/// The tool alone is not enough: its daemon must let this user in.
async fn docker_daemon(place: &Place<'_>, needed: bool) -> Option<Finding> {
    if !needed {
        return None;
    }
    let host = &place.host;
    let cmd = Cmd::new("docker").args(["version", "--format", "{{.Server.Version}}"]).env("PATH", &host.path);
    let outcome = proc::run(cmd.timeout(host.limit).keep_output(4096)).await;
    let advice = "start the daemon, or add the engine's user to the group docker (which is as good as root)";
    match &outcome.end {
        proc::End::NotFound => None,
        proc::End::Exited(0) => {
            let said = outcome.stdout.text();
            Some(Finding::good(AREA, format!("the Docker daemon answers: {}", said.trim())))
        }
        end => {
            let said = outcome.stderr.text();
            let why = said.lines().find(|l| !l.trim().is_empty()).map_or_else(|| end.to_string(), str::to_owned);
            Some(Finding::bad(AREA, format!("the Docker daemon cannot be asked: {why}"), advice))
        }
    }
}

/// Time for one secret; a command may ask a store over the network.
const SECRET: Duration = Duration::from_secs(10);

/// Whether every secret can be had here. Values are dropped at once.
pub async fn secrets(place: &Place<'_>) -> Vec<Finding> {
    const AREA: &str = "secrets";
    let Some(config) = place.config else { return Vec::new() };
    let refs = config.secret_refs();
    if refs.is_empty() {
        return vec![Finding::good(AREA, "the configuration refers to none")];
    }
    let asks = refs.iter().map(|(at, secret)| async move {
        (at, secret, config::secret::resolve(secret, SECRET.max(place.host.limit)).await.map(|_| ()))
    });
    let mut good = 0;
    let mut out = Vec::new();
    for (at, secret, result) in futures_util::future::join_all(asks).await {
        match result {
            Ok(()) => good += 1,
            Err(why) => {
                let advice = format!("make the {} readable for the engine's user", secret.describe());
                out.push(Finding::bad(AREA, format!("{at}: {why}"), advice));
            }
        }
    }
    if good > 0 {
        out.insert(0, Finding::good(AREA, format!("{} can be had", text::plural(good, "secret"))));
    }
    let literal = refs.iter().any(|(_, s)| matches!(s, config::SecretRef::Literal(_)));
    if literal {
        out.push(Finding::note(
            AREA,
            "a secret stands in the configuration file itself",
            "prefer { env = … }, { file = … } or { command = … }",
        ));
    }
    out
}
