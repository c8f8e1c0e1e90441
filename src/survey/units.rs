//! Running services of systemd and containers of Docker, asked through their own tools.
//!
//! The answers are those of systemd 246 and later (`--output=json`) and of Docker 1.13 and later (`--format`). A tool
//! that is not there, has no daemon to talk to or takes too long means that there is nothing.

use std::path::PathBuf;

use serde::Deserialize;

use super::Host;
use crate::sys::proc::{self, Cmd};
use crate::text;

/// A running service of systemd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    pub name: String,
    pub description: String,
    /// Of the user's own manager.
    pub user: bool,
    /// Its file lies where administrators put theirs.
    pub of_administrator: bool,
}

/// A running container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    pub id: String,
    pub name: String,
    pub image: String,
    /// Project folder and service, where Compose started it.
    pub compose: Option<(PathBuf, String)>,
    /// Published ports of the host.
    pub ports: Vec<u16>,
}

async fn ask(host: &Host, argv: &[&str]) -> Option<String> {
    let cmd = Cmd::from_argv(argv)?.env("PATH", &host.path).env("LC_ALL", "C.UTF-8").env("SYSTEMD_COLORS", "0");
    let cmd = match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) => cmd.env("XDG_RUNTIME_DIR", dir),
        None => cmd,
    };
    let outcome = proc::run(cmd.timeout(host.limit).keep_output(2 << 20)).await;
    (outcome.success() && outcome.stdout.cut == 0).then(|| outcome.stdout.text())
}

/// The running services of the system's manager and of the user's own.
pub async fn running(host: &Host) -> Vec<Unit> {
    let (system, user) = tokio::join!(of_manager(host, false), of_manager(host, true));
    system.into_iter().chain(user).collect()
}

async fn of_manager(host: &Host, user: bool) -> Vec<Unit> {
    let manager: &[&str] = if user { &["systemctl", "--user"] } else { &["systemctl"] };
    let list = ["list-units", "--type=service", "--state=running", "--output=json", "--no-pager"];
    let Some(listed) = ask(host, &[manager, &list[..]].concat()).await else { return Vec::new() };
    let mut units = parse_units(&listed);
    for unit in &mut units {
        unit.user = user;
    }
    let names: Vec<&str> = units.iter().map(|u| u.name.as_str()).take(500).collect();
    let show = [manager, &["show", "--property=Id,FragmentPath", "--no-pager", "--"][..], &names[..]].concat();
    let shown = if names.is_empty() { None } else { ask(host, &show).await };
    let files = parse_fragments(&shown.unwrap_or_default());
    for unit in &mut units {
        unit.of_administrator = files.iter().any(|(id, file)| *id == unit.name && put_there(file));
    }
    units
}

/// Where administrators put units (systemd.unit(5)); generated ones and those of packages lie elsewhere.
fn put_there(file: &str) -> bool {
    file.starts_with("/etc/systemd/")
        || file.starts_with("/usr/local/lib/systemd/")
        || file.contains("/.config/systemd/user/")
}

#[derive(Deserialize)]
struct ListedUnit {
    unit: String,
    #[serde(default)]
    description: String,
}

/// The answer of `systemctl list-units --output=json`: a list of objects with `unit` and `description`.
pub fn parse_units(json: &str) -> Vec<Unit> {
    let listed: Vec<ListedUnit> = serde_json::from_str(json).unwrap_or_default();
    let unit = |l: ListedUnit| Unit {
        name: text::clean(&l.unit).into_owned(),
        description: text::clean(&l.description).into_owned(),
        ..Unit::default()
    };
    listed.into_iter().filter(|l| l.unit.ends_with(".service")).map(unit).collect()
}

/// The answer of `systemctl show --property=Id,FragmentPath`: blocks of `Key=value`, an empty line between.
pub fn parse_fragments(answer: &str) -> Vec<(String, String)> {
    answer
        .split("\n\n")
        .filter_map(|block| {
            let get = |key: &str| block.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned);
            Some((get("Id")?, get("FragmentPath")?))
        })
        .collect()
}

/// Services of the host itself.
pub fn is_of_the_system(name: &str) -> bool {
    const BEGINNINGS: [&str; 22] = [
        "systemd-",
        "dbus",
        "getty@",
        "serial-getty@",
        "user@",
        "ssh",
        "cron",
        "polkit",
        "udisks",
        "rsyslog",
        "chrony",
        "ntp",
        "NetworkManager",
        "networkd-dispatcher",
        "ModemManager",
        "unattended-upgrades",
        "accounts-daemon",
        "cups",
        "avahi-daemon",
        "containerd",
        "docker",
        "snapd",
    ];
    BEGINNINGS.iter().any(|b| name.starts_with(b))
}

/// The running containers of Docker.
pub async fn containers(host: &Host) -> Vec<Container> {
    let answer = ask(host, &["docker", "ps", "--no-trunc", "--format", "{{json .}}"]).await;
    parse_containers(&answer.unwrap_or_default())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedContainer {
    #[serde(rename = "ID")]
    id: String,
    names: String,
    #[serde(default)]
    image: String,
    #[serde(default)]
    labels: String,
    #[serde(default)]
    ports: String,
}

/// The answer of `docker ps --format '{{json .}}'`: an object a line.
pub fn parse_containers(answer: &str) -> Vec<Container> {
    answer.lines().filter_map(|line| serde_json::from_str::<ListedContainer>(line).ok()).map(container).collect()
}

fn container(listed: ListedContainer) -> Container {
    // `a=1,b=2`; what holds a comma itself is cut, which a folder rarely does.
    let label = |key: &str| {
        let value = listed.labels.split(',').find_map(|l| l.trim().strip_prefix(key)?.strip_prefix('='));
        value.map(|v| text::clean(v).into_owned()).filter(|v| !v.is_empty())
    };
    let folder = label("com.docker.compose.project.working_dir").map(PathBuf::from);
    let compose = folder.zip(label("com.docker.compose.service"));
    // Links of old give further names, each with a slash in it.
    let name = listed.names.split(',').find(|n| !n.contains('/')).unwrap_or(&listed.names);
    Container {
        name: text::clean(name).into_owned(),
        image: text::clean(&listed.image).into_owned(),
        compose,
        ports: published(&listed.ports),
        id: listed.id,
    }
}

/// `0.0.0.0:8080->80/tcp, [::]:9000-9001->9000-9001/tcp, 6379/tcp` → 8080, 9000, 9001.
fn published(ports: &str) -> Vec<u16> {
    let mut out = Vec::new();
    for part in ports.split(',') {
        let Some((host, inner)) = part.trim().split_once("->") else { continue };
        if !inner.ends_with("/tcp") {
            continue;
        }
        let range = host.rsplit(':').next().unwrap_or_default();
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) {
            out.extend((first..=last).take(100));
        }
    }
    out.sort_unstable();
    out.dedup();
    out
}
