//! Backups, actions and channels.

use std::path::PathBuf;
use std::time::Duration;

use super::checks::{self, Defaults, password};
use super::{argv, extra_ca, secrets, stores};
use crate::config::keys;
use crate::config::read::{Item, Sink, Tab};
use crate::config::secret::{MaybeSecret, SecretRef};
use crate::config::types::*;
use crate::domain::catalog::Severity;
use crate::domain::headstart::HeadStartFacts;
use crate::domain::run::Risk;
use crate::text;

pub fn backup(tab: &Tab, config: &Config, sink: &mut Sink) -> Backup {
    let mut out = Backup {
        name: tab.string("name").unwrap_or_default(),
        service: tab.string("service"),
        rpo: tab.duration("rpo"),
        every: tab.duration("every"),
        grace: tab.duration("grace"),
        head_start: None,
        source: source(tab, sink),
        restore: tab.tab("restore").and_then(|t| restore(t, tab, config, sink)),
        warm_up: afterwards(tab, "warm_up", sink),
        smoke: afterwards(tab, "smoke", sink),
    };
    match (out.grace, out.every) {
        (Some(_), None) if !tab.has("every") => {
            sink.fault(tab.at_key("grace"), "`grace` does nothing without `every`", "say how often a copy is made");
        }
        (Some(grace), Some(every)) if grace >= every => {
            let message = format!("grace {} is not below every {}", text::duration(grace), text::duration(every));
            sink.fault(tab.at("grace"), message, "a whole copy could be missed without a word");
        }
        _ => {}
    }
    let at = |key: &str| tab.tab("restore").and_then(|t| t.tab("folder")).map_or(tab.span.clone(), |t| t.at(key));
    match (&out.source, &out.restore) {
        (BackupSource::Repo(r), Some(restore)) => {
            let same = matches!(restore, Restore::PostgresPitr(p) if p.log == r.log);
            if let Some(word) = r.log.tool().filter(|_| !same) {
                let at = tab.tab("restore").map_or(tab.span.clone(), |t| t.span.clone());
                let message = format!("base backups of {word} are restored out of the same repository");
                sink.fault(at, message, "restore them with `postgres_pitr`, and name the repository there as here");
            }
        }
        // A path that is missing or the root has its own fault.
        (source, Some(Restore::Folder(target))) if target.path.parent().is_some() => {
            if local_place(source).is_some_and(|copies| copies.starts_with(&target.path)) {
                let message = format!("a restore would replace {}, which holds the copies", target.path.display());
                sink.fault(at("path"), message, "keep the copies outside of what they restore");
            }
            let (word, idle): (&str, &[(&str, bool)]) = match source {
                BackupSource::Repo(_) => ("", &[]),
                BackupSource::Files(_) => ("files", &[("inside", target.inside.is_some())]),
                BackupSource::Vault(v) => {
                    (v.tool.word(), &[("strip", target.strip > 0), ("identity", target.identity.is_some())])
                }
            };
            for (key, _) in idle.iter().filter(|(_, set)| *set) {
                sink.fault(at(key), format!("`{key}` does nothing for copies of `{word}`"), "leave it out");
            }
        }
        (BackupSource::Vault(v), Some(_)) => {
            let at = tab.tab("restore").map_or(tab.span.clone(), |t| t.span.clone());
            let message = format!("copies of `{}` are folders", v.tool.word());
            sink.fault(at, message, "restore them with `folder`, and what is in it from there");
        }
        _ => {}
    }
    if let Some(Restore::PostgresPitr(target)) = &out.restore
        && !target.directory.as_os_str().is_empty()
        && local_place(&out.source).is_some_and(|copies| target.directory.starts_with(copies))
    {
        let at =
            tab.tab("restore").and_then(|t| t.tab("postgres_pitr")).map_or(tab.span.clone(), |t| t.at("directory"));
        let message = format!("side clusters in {} would be listed as copies", target.directory.display());
        sink.fault(at, message, "make them outside of the folder of the copies");
    }
    out.head_start = head_start(tab, &out, sink);
    out
}

/// Programs that are run once a copy is in the live place.
fn afterwards(tab: &Tab, key: &str, sink: &mut Sink) -> Vec<Vec<String>> {
    if tab.has(key) && !tab.has("restore") {
        let message = format!("`{key}` does nothing for a backup without a restore");
        sink.fault(tab.at_key(key), message, "say how it is restored, or leave it out");
    }
    for item in tab.list(key) {
        let program = item.argv().and_then(|argv| argv.first().cloned()).unwrap_or_default();
        if program.contains('/') && !program.starts_with('/') {
            let message = format!("`{key}` names a program by a path that depends on the folder it runs in");
            sink.fault(item.span.clone(), message, "write the whole path");
        }
    }
    tab.list(key).iter().filter_map(Item::argv).collect()
}

/// What begins by itself must be beside the live data, and of something that an incident can name.
fn head_start(tab: &Tab, backup: &Backup, sink: &mut Sink) -> Option<HeadStartFacts> {
    let t = tab.tab("head_start")?;
    let against = match &backup.restore {
        None if tab.has("restore") => None,
        None => Some(("`head_start` does nothing for a backup without a restore", "say how it is restored")),
        Some(Restore::RabbitMq(_)) => Some((
            "definitions of RabbitMQ are not restored beside the live ones: there is nothing to begin early",
            "leave `head_start` out",
        )),
        Some(_) => None,
    };
    if let Some((message, hint)) = against {
        sink.fault(tab.at_key("head_start"), message, hint);
    }
    if backup.service.is_none() && !tab.has("service") {
        let hint = "name with `service` whose data it holds";
        sink.fault(tab.at_key("head_start"), "no incident can name what this backup is of", hint);
    }
    let mut severities: Vec<Severity> = t.texts("severities").iter().filter_map(|s| Severity::parse(s).ok()).collect();
    if severities.is_empty() {
        severities = vec![Severity::P0, Severity::P1];
    }
    severities.sort_unstable();
    severities.dedup();
    Some(HeadStartFacts { severities, drop: t.flag("drop") })
}

/// Where the copies lie, when that is a folder of this host.
fn local_place(source: &BackupSource) -> Option<PathBuf> {
    match source {
        BackupSource::Files(f) => Some(f.path.clone()),
        BackupSource::Repo(_) => None,
        BackupSource::Vault(v) => match &v.repository {
            MaybeSecret::Plain(place) if place.starts_with('/') => Some(PathBuf::from(place)),
            _ => None,
        },
    }
}

/// The repository of a tool that keeps base backups and log.
fn repo(tab: &Tab) -> Option<(PitrLog, &Tab)> {
    if let Some(t) = tab.tab("pgbackrest") {
        let stanza = t.string("stanza").unwrap_or_default();
        return Some((PitrLog::PgBackRest { stanza, config: t.path("config"), repo: t.int("repo") }, t));
    }
    let t = tab.tab("walg")?;
    Some((PitrLog::WalG { config: t.path("config").unwrap_or_default() }, t))
}

fn source(tab: &Tab, sink: &mut Sink) -> BackupSource {
    if let Some((log, t)) = repo(tab) {
        return BackupSource::Repo(Box::new(RepoSource { log, user: t.string("user"), rescan: t.duration("rescan") }));
    }
    let (tool, t) = match (tab.tab("restic"), tab.tab("borg")) {
        (Some(t), _) => (VaultTool::Restic, t),
        (None, Some(t)) => (VaultTool::Borg, t),
        _ => return BackupSource::Files(tab.tab("files").map(|t| files(t, sink)).unwrap_or_default()),
    };
    let repository = t.maybe_secret("repository").unwrap_or_else(|| MaybeSecret::Plain(String::new()));
    if let MaybeSecret::Plain(place) = &repository
        && !place.is_empty()
        && !place.starts_with('/')
        && !place.contains(':')
    {
        let message = format!("`repository` is {place:?}, which depends on where the engine was started");
        sink.fault(t.at("repository"), message, "write it as an absolute path");
    }
    let restic = tool == VaultTool::Restic;
    BackupSource::Vault(Box::new(VaultSource {
        tool,
        repository,
        password: t.secret("password"),
        env: secrets(t, "env"),
        host: if restic { t.string("host") } else { None },
        path: if restic { t.path("path") } else { None },
        tags: if restic { t.texts("tags") } else { Vec::new() },
        archives: if restic { None } else { t.string("archives") },
        rescan: t.duration("rescan"),
        timeout: t.duration("timeout"),
    }))
}

fn files(tab: &Tab, sink: &mut Sink) -> FilesSource {
    let out = FilesSource {
        path: tab.path("path").unwrap_or_default(),
        pattern: tab.string("pattern").unwrap_or_default(),
        recursive: tab.flag("recursive"),
        folders: tab.flag("folders"),
        rescan: tab.duration("rescan"),
        settle: tab.duration("settle"),
    };
    if out.pattern.contains('/') && !out.recursive {
        let message = "`pattern` has a slash, and is compared with names that have none";
        sink.fault(tab.at("pattern"), message, "add recursive = true");
    }
    if out.pattern.starts_with('/') {
        let message = "`pattern` begins with a slash, and is compared with the path below the folder";
        sink.fault(tab.at("pattern"), message, "leave the folder out of it");
    }
    out
}

fn restore(tab: &Tab, backup: &Tab, config: &Config, sink: &mut Sink) -> Option<Restore> {
    if let Some(t) = tab.tab("folder") {
        let path = t.path("path").unwrap_or_default();
        if path.parent().is_none() && !path.as_os_str().is_empty() {
            sink.fault(t.at("path"), "the root folder cannot be put aside", "name the folder that is restored");
        }
        return Some(Restore::Folder(FolderRestore {
            path,
            strip: t.int("strip").unwrap_or(0),
            inside: t.string("inside").map(PathBuf::from),
            only: t.texts("only"),
            links: t.texts("links"),
            compare: match t.text("compare") {
                Some("quick") => FolderCompare::Quick,
                _ => FolderCompare::Content,
            },
            identity: t.path("identity"),
            verify: t.list("verify").iter().filter_map(Item::argv).collect(),
            timeout: t.duration("timeout"),
        }));
    }
    if let Some(t) = tab.tab("redis") {
        return stores::redis(t, backup, config, sink).map(|r| Restore::Redis(Box::new(r)));
    }
    if let Some(t) = tab.tab("rabbitmq_definitions") {
        return Some(Restore::RabbitMq(Box::new(stores::rabbitmq(t))));
    }
    if let Some(t) = tab.tab("postgres_pitr") {
        return Some(Restore::PostgresPitr(Box::new(pitr(t, backup, config, sink))));
    }
    let t = tab.tab("postgres_dump")?;
    let Some(mut live) = live(t, backup, config, sink) else {
        if unreachable(t, backup, config) {
            let hint = "set `dsn`, or name with `service` one that has a [[service.postgres]] check";
            sink.missing(t.span.clone(), "postgres_dump does not say how to reach the server", hint);
        }
        return None;
    };
    live.verify = t.texts("verify");
    live.only = t.texts("only");
    live.amcheck = t.has("amcheck").then(|| t.flag("amcheck"));
    live.jobs = t.int("jobs");
    live.grace = t.duration("grace");
    live.timeout = t.duration("timeout");
    Some(Restore::PostgresDump(live))
}

/// How a live server is reached: by the table's own `dsn`, else as the service's check does it.
fn live(t: &Tab, backup: &Tab, config: &Config, sink: &mut Sink) -> Option<PostgresRestore> {
    let own = t.maybe_secret("dsn").map(|dsn| (dsn, password(t, "dsn", sink)));
    let (dsn, password, ca) = match own {
        Some((dsn, password)) => (dsn, password, Vec::new()),
        None => {
            let (dsn, password, ca) = of_service(backup.text("service"), config)?;
            (dsn, t.secret("password").or(password), ca)
        }
    };
    let mut trusted = extra_ca(t, &config.system.extra_ca);
    trusted.extend(ca.into_iter().filter(|p| !trusted.contains(p)).collect::<Vec<_>>());
    Some(PostgresRestore {
        database: t.string("database").unwrap_or_default(),
        dsn,
        password,
        verify: Vec::new(),
        only: Vec::new(),
        amcheck: None,
        jobs: None,
        grace: None,
        timeout: None,
        extra_ca: trusted,
    })
}

/// Nothing says where the server is. A service that does not exist is a fault of its own.
fn unreachable(t: &Tab, backup: &Tab, config: &Config) -> bool {
    let named = backup.text("service");
    let dangling = named.is_some_and(|n| !config.services.iter().any(|s| s.name == n));
    !t.has("dsn") && !dangling
}

fn pitr(t: &Tab, backup: &Tab, config: &Config, sink: &mut Sink) -> PitrRestore {
    let log = match repo(t) {
        Some((log, _)) => log,
        None => PitrLog::Folder(t.path("wal_archive").unwrap_or_default()),
    };
    let tables = t.texts("tables");
    let live = if tables.is_empty() { None } else { live(t, backup, config, sink) };
    if !tables.is_empty() && live.is_none() && unreachable(t, backup, config) {
        let hint = "set `dsn`, or name with `service` one that has a [[service.postgres]] check";
        sink.missing(t.span.clone(), "postgres_pitr does not say how to reach the server that `tables` go to", hint);
    }
    if tables.is_empty() {
        for key in ["dsn", "password", "extra_ca"].into_iter().filter(|k| t.has(k)) {
            let message = format!("`{key}` does nothing without `tables`");
            sink.fault(t.at_key(key), message, "leave it out, or say which tables are to come back");
        }
    } else if t.has("switch") {
        let message = "`switch` does nothing beside `tables`: the cluster is not promoted then";
        sink.fault(t.at_key("switch"), message, "leave one of the two out");
    }
    let settings = t.map("settings", |item| item.text().map(str::to_owned));
    if let Some(inner) = t.tab("settings") {
        for name in settings.keys().filter(|n| confining(n)) {
            let message = format!("`{name}` is what keeps the side server apart from the live one");
            sink.fault(inner.at_key(name), message, "leave it out: mayday sets it");
        }
    }
    let directory = t.path("directory").unwrap_or_default();
    if directory.to_string_lossy().contains([',', '"', '\'', '\\']) {
        let message = "`directory` holds a character that a list of socket folders cannot hold";
        sink.fault(t.at("directory"), message, "choose one without comma, quotes and backslash");
    }
    PitrRestore {
        database: t.string("database").unwrap_or_default(),
        directory,
        log,
        user: t.string("user"),
        role: t.string("role").unwrap_or_else(|| "postgres".to_owned()),
        port: t.int("port"),
        settings,
        verify: t.texts("verify"),
        switch: if t.has("switch") { argv(t, "switch", sink) } else { Vec::new() },
        tables,
        live,
        timeout: t.duration("timeout"),
    }
}

/// Settings that mayday sets itself, so that the side server neither archives nor answers in the live one's place.
fn confining(name: &str) -> bool {
    const SET: [&str; 20] = [
        "listen_addresses",
        "port",
        "unix_socket_directories",
        "unix_socket_permissions",
        "hba_file",
        "ident_file",
        "data_directory",
        "config_file",
        "external_pid_file",
        "archive_mode",
        "archive_command",
        "archive_library",
        "primary_conninfo",
        "primary_slot_name",
        "restore_command",
        "hot_standby",
        "synchronous_standby_names",
        "logging_collector",
        "log_destination",
        "cluster_name",
    ];
    let name = name.to_ascii_lowercase();
    SET.contains(&name.as_str())
        || ["recovery_", "archive_cleanup", "include"].iter().any(|begin| name.starts_with(begin))
}

/// How the first PostgreSQL check of a service reaches its server.
fn of_service(name: Option<&str>, config: &Config) -> Option<(MaybeSecret, Option<SecretRef>, Vec<PathBuf>)> {
    let service = config.services.iter().find(|s| Some(s.name.as_str()) == name)?;
    service.checks.iter().find_map(|c| match &c.kind {
        CheckKind::Postgres(p) => Some((p.dsn.clone(), p.password.clone(), p.extra_ca.clone())),
        _ => None,
    })
}

pub fn action(tab: &Tab, defaults: &Defaults, sink: &mut Sink) -> Action {
    let verify = tab.tab("verify").and_then(|t| {
        let (word, inner) = keys::VERIFY.keys().find_map(|k| Some((k.name, t.tab(k.name)?)))?;
        checks::kind(word, inner, None, defaults, sink)
    });
    if tab.has("verify_within") && !tab.has("verify") {
        let message = "`verify_within` does nothing without `verify`";
        sink.fault(tab.at_key("verify_within"), message, "add the check");
    }
    Action {
        name: tab.string("name").unwrap_or_default(),
        doc: tab.string("doc").unwrap_or_default(),
        service: tab.string("service"),
        risk: match tab.text("risk") {
            Some("observe") => Risk::Observe,
            Some("destructive") => Risk::Destructive,
            _ => Risk::Disruptive,
        },
        run: argv(tab, "run", sink),
        env: secrets(tab, "env"),
        cwd: tab.path("cwd"),
        timeout: tab.duration("timeout"),
        verify,
        verify_within: tab.duration("verify_within"),
    }
}

pub fn channel(tab: &Tab, system_ca: &[PathBuf], sink: &mut Sink) -> Channel {
    Channel {
        name: tab.string("name").unwrap_or_default(),
        kind: channel_kind(tab, system_ca, sink),
        auto: tab.texts("auto"),
        timeout: tab.duration("timeout").unwrap_or(Duration::from_secs(10)),
    }
}

/// A faulty one becomes an empty webhook, which never leaves this folder: a file with faults gives no configuration.
fn channel_kind(tab: &Tab, system_ca: &[PathBuf], sink: &mut Sink) -> ChannelKind {
    let nothing = || MaybeSecret::Plain(String::new());
    if let Some(t) = tab.tab("slack") {
        return ChannelKind::Slack { webhook: t.maybe_secret("webhook").unwrap_or_else(nothing) };
    }
    if let Some(t) = tab.tab("email") {
        return ChannelKind::Email(Box::new(email(t, system_ca, sink)));
    }
    let t = tab.tab("webhook");
    ChannelKind::Webhook {
        url: t.and_then(|t| t.maybe_secret("url")).unwrap_or_else(nothing),
        secret: t.and_then(|t| t.secret("secret")),
        headers: t.map(|t| secrets(t, "headers")).unwrap_or_default(),
    }
}

fn email(tab: &Tab, system_ca: &[PathBuf], sink: &mut Sink) -> EmailChannel {
    for (key, other) in [("user", "password"), ("password", "user")] {
        if tab.has(key) && !tab.has(other) {
            sink.fault(tab.at_key(key), format!("`{key}` does nothing without `{other}`"), "set both or neither");
        }
    }
    let to = tab.texts("to");
    if to.is_empty() && tab.list("to").is_empty() && tab.item("to").is_some() {
        sink.fault(tab.at("to"), "`to` names nobody", "write at least one address");
    }
    EmailChannel {
        host: tab.string("host").unwrap_or_default(),
        port: tab.int("port"),
        tls: match tab.text("tls") {
            Some("implicit") => MailTls::Implicit,
            Some("none") => MailTls::None,
            _ => MailTls::Starttls,
        },
        user: tab.string("user"),
        password: tab.secret("password"),
        from: tab.string("from").unwrap_or_default(),
        to,
        extra_ca: extra_ca(tab, system_ca),
    }
}
