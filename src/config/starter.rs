//! The starter that `mayday init` writes: a configuration of what was found on the host, with comments that say what was
//! guessed. Looking is somebody else's task; here is only what was seen and the text made of it.
//!
//! Whatever was seen, the text passes the reader: what has not the form of a value becomes a comment or is left out.

use std::path::PathBuf;
use std::time::Duration;

use super::effective::string;
use super::shape::Format;
use super::value::{self, duration_text};
use crate::text::{clean, clean::clean_to};

/// What was seen on a host. Every text comes from outside and is trusted in nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survey {
    /// Name of the host: the system's name until somebody writes a better one.
    pub host: String,
    pub postgres: Vec<FoundPostgres>,
    pub redis: Vec<FoundRedis>,
    /// Listening TCP ports that are neither of the two above.
    pub ports: Vec<FoundPort>,
    /// Units worth watching, those of the ports among them.
    pub units: Vec<FoundUnit>,
    pub containers: Vec<FoundContainer>,
    pub backups: Vec<FoundBackup>,
}

/// A PostgreSQL that answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundPostgres {
    pub host: String,
    pub port: u16,
    pub user: String,
    /// Databases beside the templates, where they could be listed.
    pub databases: Vec<String>,
    pub needs_password: bool,
    pub standby: bool,
    pub unit: Option<String>,
    pub container: Option<String>,
}

/// A Redis that answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundRedis {
    pub host: String,
    pub port: u16,
    pub needs_password: bool,
    pub unit: Option<String>,
    pub container: Option<String>,
}

/// A port that something listens on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundPort {
    pub port: u16,
    /// Listens on loopback only.
    pub loopback: bool,
    /// Name of the process, where it may be seen.
    pub process: Option<String>,
    pub unit: Option<String>,
    pub container: Option<String>,
    /// It answered HTTP: the path that was asked and the status it gave.
    pub http: Option<(String, u16)>,
    pub tls: bool,
}

/// A service unit of systemd.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundUnit {
    pub name: String,
    pub description: String,
    /// Of the user's own manager.
    pub user: bool,
}

/// A running container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundContainer {
    pub name: String,
    pub image: String,
    /// Project folder and service, where Compose started it.
    pub compose: Option<(PathBuf, String)>,
}

/// A folder with files that look like copies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundBackup {
    pub path: PathBuf,
    /// `*.dump`, from the names seen.
    pub pattern: String,
    pub count: usize,
    pub newest_age: Option<Duration>,
    /// Usual time between two copies.
    pub every: Option<Duration>,
    /// Dumps of PostgreSQL rather than archives of files.
    pub postgres: bool,
}

/// The text of a starter configuration.
pub fn starter(survey: &Survey) -> String {
    let mut out = Draft::default();
    out.line("# Written by `mayday init` from what it found on this host. Every line may be changed; lines marked");
    out.line(
        "# \"guess\" should be looked at. `mayday config check` tells what is wrong, `mayday config schema` what may",
    );
    out.line("# be written. The file is read again when it is saved.");
    out.line("");
    out.line("[system]");
    let host = fit(&value::SYSTEM_NAME, &survey.host).unwrap_or("my-system");
    out.line(&format!("name = {}  # guess: the name of this host", string(host)));
    out.line("environment = \"production\"");
    out.line("# downtime_cost = { per_hour = 1000, currency = \"EUR\" }");

    let mut seen = Seen::default();
    let mut database = None;
    for found in &survey.postgres {
        let name = postgres(found, &mut out, &mut seen);
        database = database.or(name.map(|name| (name, found)));
    }
    for found in &survey.redis {
        redis(found, &mut out, &mut seen);
    }
    for found in &survey.ports {
        port(found, &mut out, &mut seen);
    }
    for found in &survey.containers {
        container(found, &mut out, &mut seen);
    }
    for found in &survey.units {
        unit(found, &mut out, &mut seen);
    }
    if seen.names.is_empty() {
        nothing(&mut out);
    }
    for found in &survey.backups {
        backup(found, database.as_ref().map(|(name, found)| (name.as_str(), *found)), &mut out, &mut seen);
    }
    last(&mut out);
    out.0
}

#[derive(Default)]
struct Draft(String);

impl Draft {
    fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    /// A remark; what comes from outside stays in its line.
    fn remark(&mut self, text: &str) {
        self.line(&format!("# {}", clean_to(text, 110)));
    }
}

/// Names given so far, and units and containers that belong to something already.
#[derive(Default)]
struct Seen {
    names: Vec<String>,
    backups: Vec<String>,
    units: Vec<String>,
    containers: Vec<String>,
}

/// The text, when it has the form.
fn fit<'a>(format: &Format, text: &'a str) -> Option<&'a str> {
    (format.check)(text).is_ok().then_some(text)
}

/// A name of its own: the wish, or the wish with a number.
fn name(wish: &str, taken: &mut Vec<String>) -> String {
    let short = clean_to(wish.trim(), 40);
    let base = fit(&value::NAME, &short).unwrap_or("service");
    let numbered = (2u32..).map(|n| format!("{base}-{n}"));
    let free = |n: &String| !taken.contains(n);
    let chosen = std::iter::once(base.to_owned()).chain(numbered).find(free).unwrap_or_default();
    taken.push(chosen.clone());
    chosen
}

/// Opens a service. Without a unit or a container that can be controlled, a line says where that would stand.
fn service(name: &str, tier: u8, unit: Option<&str>, container: Option<&str>, out: &mut Draft, seen: &mut Seen) {
    out.line("");
    out.line("[[service]]");
    out.line(&format!("name = {}", string(name)));
    out.line(&format!("tier = {tier}  # guess: 1 the most important, 4 the least"));
    out.line("# rto = \"15m\"  # how long it may be down");
    let unit = unit.and_then(|u| fit(&value::UNIT, u));
    let container = container.and_then(|c| fit(&value::CONTAINER, c));
    if let Some(container) = container {
        seen.containers.push(container.to_owned());
        out.line(&format!("control = {{ docker = {} }}", string(container)));
    } else if let Some(unit) = unit {
        seen.units.push(unit.to_owned());
        out.line(&format!("control = {{ systemd = {} }}", string(unit)));
    } else {
        out.line("# control = { systemd = \"….service\" }  # how it is restarted");
    }
}

fn postgres(found: &FoundPostgres, out: &mut Draft, seen: &mut Seen) -> Option<String> {
    let database = found.databases.first().map_or("postgres", String::as_str);
    let dsn = dsn(found, database)?;
    let name = name("postgres", &mut seen.names);
    service(&name, 1, found.unit.as_deref(), found.container.as_deref(), out, seen);
    if found.databases.len() > 1 {
        out.remark(&format!("databases seen: {}", found.databases.join(", ")));
    }
    out.line("[[service.postgres]]");
    out.line(&format!("dsn = {}", string(&dsn)));
    if found.needs_password {
        out.line("password = { env = \"MAYDAY_PG_PASSWORD\" }  # or { file = \"/path\" }");
    }
    let role = if found.standby { "standby" } else { "primary" };
    out.line(&format!("role = \"{role}\""));
    out.line("connections_below = 90");
    Some(name)
}

/// As pairs, which need no escaping rules of addresses. `None` when a part has no place in them.
fn dsn(found: &FoundPostgres, database: &str) -> Option<String> {
    let quoted = |t: &str| format!("'{}'", t.replace('\\', "\\\\").replace('\'', "\\'"));
    let user = if found.user.is_empty() { "postgres" } else { &found.user };
    let parts = [found.host.as_str(), user, database];
    if parts.iter().any(|p| p.is_empty() || clean(p) != **p) || found.port == 0 {
        return None;
    }
    let (host, user, database) = (quoted(&found.host), quoted(user), quoted(database));
    let dsn = format!("host={host} port={} user={user} dbname={database}", found.port);
    fit(&value::DSN, &dsn)?;
    // The reader would take it for a password in the open.
    (!value::address_has_secret(&dsn)).then_some(dsn)
}

fn redis(found: &FoundRedis, out: &mut Draft, seen: &mut Seen) {
    let host = if found.host.contains(':') { format!("[{}]", found.host) } else { found.host.clone() };
    let url = format!("redis://{host}:{}", found.port);
    if found.port == 0 || fit(&value::REDIS_URL, &url).is_none() || value::address_has_secret(&url) {
        return;
    }
    let name = name("redis", &mut seen.names);
    service(&name, 2, found.unit.as_deref(), found.container.as_deref(), out, seen);
    out.line("[[service.redis]]");
    out.line(&format!("url = {}", string(&url)));
    if found.needs_password {
        out.line("password = { env = \"MAYDAY_REDIS_PASSWORD\" }  # or { file = \"/path\" }");
    }
    out.line("memory_below = 90");
    out.line("persistence = true");
}

fn port(found: &FoundPort, out: &mut Draft, seen: &mut Seen) {
    if found.port == 0 {
        return;
    }
    let unit_name = found.unit.as_deref().map(|u| u.trim_end_matches(".service"));
    let wish = found.container.as_deref().or(unit_name).or(found.process.as_deref());
    let wish = wish.map_or_else(|| format!("port-{}", found.port), str::to_owned);
    let name = name(&wish, &mut seen.names);
    service(&name, 3, found.unit.as_deref(), found.container.as_deref(), out, seen);
    let where_ = if found.loopback { "on this host only" } else { "on the network" };
    let who = found.process.as_deref().unwrap_or("an unknown process");
    out.remark(&format!("port {} {where_}, {who}", found.port));
    let scheme = if found.tls { "https" } else { "http" };
    let url = |path: &str| format!("{scheme}://127.0.0.1:{}{path}", found.port);
    let answered = found.http.as_ref().filter(|(path, status)| {
        let whole = url(path);
        let fine = path.starts_with('/') && fit(&value::HTTP_URL, &whole).is_some();
        fine && !value::address_has_secret(&whole) && (100..=599).contains(status)
    });
    match answered {
        Some((path, status)) => {
            out.line("[[service.http]]");
            out.line(&format!("url = {}", string(&url(path))));
            if !(200..=299).contains(status) {
                out.line(&format!("status = {status}  # guess: what it answered just now"));
            }
            out.line("# latency_below = \"2s\"  # slower is a warning");
        }
        None => {
            out.line("[[service.tcp]]");
            out.line(&format!("address = \"127.0.0.1:{}\"", found.port));
        }
    }
}

fn container(found: &FoundContainer, out: &mut Draft, seen: &mut Seen) {
    let Some(id) = fit(&value::CONTAINER, &found.name) else { return };
    if seen.containers.iter().any(|c| c == id) {
        return;
    }
    let name = name(id, &mut seen.names);
    service(&name, 3, None, Some(id), out, seen);
    out.remark(&format!("image {}", found.image));
    if let Some((folder, service)) = &found.compose {
        out.remark(&format!("or: control = {{ compose = {{ service = {service:?}, project_dir = {folder:?} }} }}"));
    }
    out.line("[[service.docker]]");
    out.line(&format!("container = {}", string(id)));
}

fn unit(found: &FoundUnit, out: &mut Draft, seen: &mut Seen) {
    let Some(id) = fit(&value::UNIT, &found.name) else { return };
    if seen.units.iter().any(|u| u == id) {
        return;
    }
    let name = name(id.trim_end_matches(".service"), &mut seen.names);
    let user = if found.user { ", user = true" } else { "" };
    out.line("");
    out.line("[[service]]");
    out.line(&format!("name = {}", string(&name)));
    out.line("tier = 3  # guess: 1 the most important, 4 the least");
    if !found.description.is_empty() {
        out.remark(&found.description);
    }
    out.line(&format!("control = {{ systemd = {}{user} }}", string(id)));
    out.line("[[service.systemd]]");
    out.line(&format!("unit = {}", string(id)));
    if found.user {
        out.line("user = true");
    }
    seen.units.push(id.to_owned());
}

fn nothing(out: &mut Draft) {
    out.line("");
    out.line("# Nothing was found that could be watched. A service looks like this:");
    for line in [
        "[[service]]",
        "name = \"api\"",
        "tier = 1",
        "rto = \"15m\"",
        "control = { systemd = \"api.service\" }",
        "[[service.http]]",
        "url = \"http://127.0.0.1:3000/health\"",
    ] {
        out.line(&format!("# {line}"));
    }
}

fn backup(found: &FoundBackup, database: Option<(&str, &FoundPostgres)>, out: &mut Draft, seen: &mut Seen) {
    let path = found.path.to_string_lossy();
    let readable = path.starts_with('/') && clean(&path) == path && found.path.to_str().is_some();
    let pattern = found.pattern.trim_start_matches('/');
    if !readable || fit(&value::GLOB, pattern).is_none() || clean(pattern) != pattern {
        return;
    }
    let folder = found.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let wish = if found.postgres { "postgres-dumps" } else { folder.as_str() };
    let name = name(wish, &mut seen.backups);
    out.line("");
    out.line("[[backup]]");
    out.line(&format!("name = {}", string(&name)));
    let age = found.newest_age.map(|a| format!(", the newest {} old", crate::text::ago(a))).unwrap_or_default();
    out.remark(&format!("{} seen{age}", crate::text::plural(found.count, "file")));
    let of = database.filter(|_| found.postgres);
    if let Some((service, _)) = of {
        out.line(&format!("service = {}", string(service)));
    }
    let long = Duration::from_secs(366 * 86_400);
    let every = found.every.filter(|e| *e >= Duration::from_secs(60) && *e < long);
    let every = every.unwrap_or(Duration::from_secs(86_400));
    // Whole minutes, because it was estimated; two hours (or a tenth) later it is missed.
    let every = Duration::from_secs(every.as_secs() / 60 * 60);
    let rpo = every + (every / 10).max(Duration::from_secs(60)).min(Duration::from_secs(7200));
    let rpo = Duration::from_secs(rpo.as_secs() / 60 * 60);
    out.line(&format!("every = \"{}\"  # guess: from the ages of the copies", duration_text(every)));
    out.line(&format!("rpo = \"{}\"  # guess: how old the newest good copy may be", duration_text(rpo)));
    let slash = if pattern.contains('/') { ", recursive = true" } else { "" };
    out.line(&format!("files = {{ path = {}, pattern = {}{slash} }}", string(&path), string(pattern)));
    let restorable = of.and_then(|(_, pg)| pg.databases.first()).and_then(|d| fit(&value::DATABASE, d));
    match restorable {
        Some(database) if of.is_some_and(|(_, pg)| !pg.standby) => {
            out.line("[backup.restore.postgres_dump]");
            out.line(&format!("database = {}  # guess: which database these are dumps of", string(database)));
            out.line("# verify = [\"select count(*) > 0 from users\"]  # what must hold in a restored copy");
        }
        _ if found.postgres => {
            out.line("# restore = { postgres_dump = { database = \"…\", dsn = \"postgres://…\" } }");
        }
        _ => out.line("# restore = { folder = { path = \"/srv/…\" } }  # the folder that these are copies of"),
    }
}

fn last(out: &mut Draft) {
    out.line("");
    out.line("# Where messages go. Secrets stay out of this file.");
    out.line("# [[channel]]");
    out.line("# name = \"incidents\"");
    out.line("# slack = { webhook = { env = \"SLACK_WEBHOOK\" } }");
    out.line("# auto = [\"declared\"]");
}
