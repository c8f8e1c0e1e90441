//! The configuration as it is in force: every default filled in, secrets hidden, in the form of the file.
//!
//! What is printed reads back to the same configuration, but for secrets that stood in the file itself.

mod authority;
mod lead;
mod out;
mod playbook;
mod stores;

use super::types::*;
use super::value;
use crate::domain::recovery::Does;
use crate::domain::run::Risk;
use out::{Out, address, float, hook, inline, list, maybe, pair, path, scalar, secret, size};

pub(super) use out::string;

/// TOML of everything that is in force, fit to be shown.
pub fn effective(config: &Config) -> String {
    render(config, true)
}

/// The same to be kept: addresses that are no secrets are whole, whatever they give away.
pub(super) fn whole(config: &Config) -> String {
    render(config, false)
}

fn render(config: &Config, shown: bool) -> String {
    let mut out = Out::default();
    out.table("[system]");
    out.text("name", &config.system.name);
    out.text("environment", &config.system.environment);
    out.put("availability_target", config.system.availability_target.map(float));
    if let Some(cost) = &config.system.downtime_cost {
        let inner = [pair("per_hour", float(cost.per_hour)), pair("currency", string(&cost.currency))];
        out.put("downtime_cost", Some(inline(inner)));
    }
    out.paths("extra_ca", &config.system.extra_ca);
    engine(config, &mut out);
    for (severity, policy) in &config.severities {
        lead::severity(*severity, policy, &mut out);
        authority::of_severity(&config.authority, *severity, &mut out);
    }
    authority::authority(&config.authority, &mut out);
    for s in &config.services {
        service(s, &mut out);
    }
    for b in &config.backups {
        backup(b, config.authority.second_person_backups.contains(&b.name), &mut out);
    }
    for a in &config.actions {
        action(a, config.authority.second_person_actions.contains(&a.name), &mut out);
    }
    for r in &config.recoveries {
        recovery(r, &mut out);
    }
    for c in &config.contacts {
        lead::contact(c, &mut out);
    }
    playbook::all(config, &mut out);
    for c in &config.channels {
        channel(c, shown, &mut out);
    }
    for m in &config.maintenance {
        out.table("[[maintenance]]");
        out.text("name", &m.name);
        out.texts("services", &m.services);
        match &m.when {
            MaintenanceWhen::Once(at) => out.text("starts", &at.to_string()),
            MaintenanceWhen::Every { cron, zone } => {
                out.text("every", cron);
                out.text("zone", zone.name());
            }
        }
        out.duration("lasts", Some(m.lasts));
        out.duration("announce", Some(m.announce));
    }
    out.0
}

fn engine(config: &Config, out: &mut Out) {
    let e = &config.engine;
    if *e != EngineSettings::default() {
        out.table("[engine]");
        out.put("state_dir", e.state_dir.as_deref().map(path));
        out.put("group", e.group.as_deref().map(string));
        out.put("output_limit", e.output_limit.map(size));
    }
    let j = &config.journal;
    if *j != JournalSettings::default() {
        out.table("[journal]");
        out.put("mirror", j.mirror.as_ref().map(mirror));
        out.put("rotate", j.rotate.map(size));
    }
}

fn mirror(to: &MirrorTo) -> String {
    match to {
        MirrorTo::File(file) => path(file),
        MirrorTo::Command(argv) => format!("{{ run = {} }}", list(argv.iter().map(|t| string(t)))),
    }
}

fn service(s: &Service, out: &mut Out) {
    out.table("[[service]]");
    out.text("name", &s.name);
    out.put("tier", Some(s.tier.to_string()));
    out.duration("rto", s.rto);
    out.text("impact", &s.impact);
    out.texts("depends_on", &s.depends_on);
    out.texts("labels", &s.labels);
    out.put("control", s.control.as_ref().map(control));
    for check in &s.checks {
        out.table(&format!("[[service.{}]]", check.kind.word()));
        // A DNS check's `name` is what it asks for; its own follows from its place.
        if !matches!(check.kind, CheckKind::Dns(_)) {
            out.text("name", &check.name);
        }
        kind(&check.kind, out);
        timing(&check.timing, out);
    }
}

fn timing(t: &Timing, out: &mut Out) {
    out.duration("every", Some(t.every));
    out.duration("timeout", Some(t.timeout));
    out.duration("retry_interval", Some(t.retry_interval));
    out.duration("incident_interval", Some(t.incident_interval));
    out.put("down_after", Some(t.down_after.to_string()));
    out.put("up_after", Some(t.up_after.to_string()));
    out.put("degraded_after", Some(t.degraded_after.to_string()));
    out.text("down_ratio", &format!("{}/10", t.down_ratio));
    out.text("degraded_ratio", &format!("{}/10", t.degraded_ratio));
    out.text("stale_after", &t.stale_after.map_or_else(|| "auto".to_owned(), value::duration_text));
}

fn kind(kind: &CheckKind, out: &mut Out) {
    match kind {
        CheckKind::Http(c) => http(c, out),
        CheckKind::Tcp(c) => {
            out.text("address", &c.address);
            out.put("send", c.send.as_deref().map(string));
            out.put("expect", c.expect.as_deref().map(string));
            out.duration("latency_below", c.latency_below);
            out.text("family", value::family_text(c.family));
        }
        CheckKind::Tls(c) => {
            out.text("address", &c.address);
            out.put("server_name", c.server_name.as_deref().map(string));
            out.put("warn_days", Some(c.warn_days.to_string()));
            out.put("fail_days", Some(c.fail_days.to_string()));
            out.text("family", value::family_text(c.family));
            out.paths("extra_ca", &c.extra_ca);
        }
        CheckKind::Dns(c) => {
            out.text("name", &c.name);
            out.text("record", &c.record);
            out.put("resolver", c.resolver.as_deref().map(string));
            out.texts("expect", &c.expect);
        }
        CheckKind::Postgres(c) => {
            out.put("dsn", Some(address(&c.dsn)));
            out.put("password", c.password.as_ref().map(secret));
            out.put("role", c.role.as_deref().map(string));
            out.duration("query_below", Some(c.query_below));
            out.duration("lag_below", c.lag_below);
            out.put("connections_below", c.connections_below.map(|n| n.to_string()));
            out.put("archiving", Some(c.archiving.to_string()));
            out.put("query", c.query.as_deref().map(string));
            out.put("compare", c.compare.as_ref().map(|c| string(&value::compare_text(c))));
            out.paths("extra_ca", &c.extra_ca);
        }
        CheckKind::Redis(c) => {
            out.put("url", Some(address(&c.url)));
            out.put("password", c.password.as_ref().map(secret));
            out.put("role", c.role.as_deref().map(string));
            out.put("memory_below", c.memory_below.map(|n| n.to_string()));
            out.duration("lag_below", c.lag_below);
            out.put("persistence", Some(c.persistence.to_string()));
            out.duration("latency_below", c.latency_below);
        }
        CheckKind::Host(c) => {
            out.put("memory_below", c.memory_below.map(|n| n.to_string()));
            out.put("swap_below", c.swap_below.map(|n| n.to_string()));
            out.put("cpu_below", c.cpu_below.map(|n| n.to_string()));
            out.put("load_below", c.load_below.map(float));
            out.map("disk_below", &c.disk_below, |n| n.to_string());
            out.map("inodes_below", &c.inodes_below, |n| n.to_string());
            out.paths("writable", &c.writable);
            out.paths("exists", &c.exists);
            out.put("fail", Some(c.fail.to_string()));
        }
        CheckKind::Systemd(c) => {
            out.text("unit", &c.unit);
            out.put("user", Some(c.user.to_string()));
        }
        CheckKind::Docker(c) => out.text("container", &c.container),
        CheckKind::Exec(c) => {
            out.texts("run", &c.run);
            out.map("env", &c.env, maybe);
            out.put("cwd", c.cwd.as_deref().map(path));
            out.put("output_matches", c.output_matches.as_deref().map(string));
        }
    }
}

fn http(c: &HttpCheck, out: &mut Out) {
    out.put("url", Some(address(&c.url)));
    out.text("method", &c.method);
    out.map("headers", &c.headers, maybe);
    out.put("body", c.body.as_deref().map(string));
    let range = |(low, high): &(u16, u16)| if low == high { low.to_string() } else { string(&format!("{low}-{high}")) };
    out.put("status", Some(list(c.status.iter().map(range))));
    out.duration("latency_below", c.latency_below);
    out.put("body_contains", c.body_contains.as_deref().map(string));
    out.put("body_matches", c.body_matches.as_deref().map(string));
    if !c.json.is_empty() {
        let condition = |j: &JsonCondition| {
            let equals = j.equals.as_ref().map(|v| pair("equals", scalar(v)));
            let compare = j.compare.as_ref().map(|c| pair("compare", string(&value::compare_text(c))));
            inline(std::iter::once(pair("path", string(&j.path))).chain(equals).chain(compare))
        };
        out.put("json", Some(list(c.json.iter().map(condition))));
    }
    out.map("header_matches", &c.header_matches, |t| string(t));
    out.text("redirects", &value::redirects_text(c.redirects));
    out.put("max_body", Some(size(c.max_body)));
    out.put("keep_alive", Some(c.keep_alive.to_string()));
    out.text("family", value::family_text(c.family));
    out.put("cert_warn_days", c.cert_warn_days.map(|n| n.to_string()));
    out.put("cert_fail_days", c.cert_fail_days.map(|n| n.to_string()));
    out.paths("extra_ca", &c.extra_ca);
}

fn control(c: &Control) -> String {
    let opt = |key: &str, value: Option<String>| value.map(|v| pair(key, v));
    let inner = match c {
        Control::Systemd { unit, user } => vec![pair("systemd", string(unit)), pair("user", user.to_string())],
        Control::Docker { container } => vec![pair("docker", string(container))],
        Control::Compose { project_dir, file, service } => {
            let parts = [
                Some(pair("service", string(service))),
                opt("project_dir", project_dir.as_deref().map(path)),
                opt("file", file.as_deref().map(path)),
            ];
            vec![pair("compose", inline(parts.into_iter().flatten()))]
        }
        Control::Kubernetes { namespace, context, workload } => {
            let parts = [
                Some(pair("workload", string(workload))),
                opt("namespace", namespace.as_deref().map(string)),
                opt("context", context.as_deref().map(string)),
            ];
            vec![pair("kubernetes", inline(parts.into_iter().flatten()))]
        }
        Control::Railway { service, environment, project_dir } => {
            let parts = [
                Some(pair("service", string(service))),
                opt("environment", environment.as_deref().map(string)),
                opt("project_dir", project_dir.as_deref().map(path)),
            ];
            vec![pair("railway", inline(parts.into_iter().flatten()))]
        }
        Control::Commands(c) => {
            let argv = |a: &Vec<String>| list(a.iter().map(|t| string(t)));
            let env = (!c.env.is_empty()).then(|| inline(c.env.iter().map(|(k, v)| pair(k, maybe(v)))));
            [
                opt("restart", c.restart.as_ref().map(argv)),
                opt("stop", c.stop.as_ref().map(argv)),
                opt("start", c.start.as_ref().map(argv)),
                opt("redeploy", c.redeploy.as_ref().map(argv)),
                opt("scale", c.scale.as_ref().map(argv)),
                opt("promote", c.promote.as_ref().map(argv)),
                opt("logs", c.logs.as_ref().map(argv)),
                opt("cwd", c.cwd.as_deref().map(path)),
                opt("env", env),
                opt("timeout", c.timeout.map(|d| string(&value::duration_text(d)))),
            ]
            .into_iter()
            .flatten()
            .collect()
        }
    };
    inline(inner)
}

/// How a repository of a tool is named.
fn repo_key(log: &PitrLog) -> &'static str {
    match log {
        PitrLog::Folder(_) => "wal_archive",
        PitrLog::PgBackRest { .. } => "pgbackrest",
        PitrLog::WalG { .. } => "walg",
    }
}

fn repo_parts(log: &PitrLog) -> Vec<String> {
    let opt = |key: &str, value: Option<String>| value.map(|v| pair(key, v));
    let parts = match log {
        PitrLog::Folder(_) => [None, None, None],
        PitrLog::WalG { config } => [Some(pair("config", path(config))), None, None],
        PitrLog::PgBackRest { stanza, config, repo } => [
            Some(pair("stanza", string(stanza))),
            opt("config", config.as_deref().map(path)),
            opt("repo", repo.map(|n| n.to_string())),
        ],
    };
    parts.into_iter().flatten().collect()
}

fn backup(b: &Backup, second_person: bool, out: &mut Out) {
    out.table("[[backup]]");
    out.text("name", &b.name);
    out.put("service", b.service.as_deref().map(string));
    out.duration("rpo", b.rpo);
    out.duration("every", b.every);
    out.duration("grace", b.grace);
    authority::second_person(second_person, out);
    if let Some(h) = &b.head_start {
        let severities: Vec<String> = h.severities.iter().map(|s| string(s.name())).collect();
        let parts = vec![pair("severities", format!("[{}]", severities.join(", "))), pair("drop", h.drop.to_string())];
        out.put("head_start", Some(inline(parts)));
    }
    for (key, commands) in [("warm_up", &b.warm_up), ("smoke", &b.smoke)] {
        if !commands.is_empty() {
            out.put(key, Some(list(commands.iter().map(|a| list(a.iter().map(|t| string(t)))))));
        }
    }
    match &b.source {
        BackupSource::Files(f) => {
            out.table("[backup.files]");
            out.put("path", Some(path(&f.path)));
            out.text("pattern", &f.pattern);
            out.put("recursive", Some(f.recursive.to_string()));
            out.put("folders", Some(f.folders.to_string()));
            out.duration("rescan", f.rescan);
            out.duration("settle", f.settle);
        }
        BackupSource::Vault(v) => {
            out.table(&format!("[backup.{}]", v.tool.word()));
            out.put("repository", Some(address(&v.repository)));
            out.put("password", v.password.as_ref().map(secret));
            out.map("env", &v.env, maybe);
            out.put("host", v.host.as_deref().map(string));
            out.put("path", v.path.as_deref().map(path));
            out.texts("tags", &v.tags);
            out.put("archives", v.archives.as_deref().map(string));
            out.duration("rescan", v.rescan);
            out.duration("timeout", v.timeout);
        }
        BackupSource::Repo(r) => {
            let mut parts = repo_parts(&r.log);
            parts.extend(r.user.as_deref().map(|u| pair("user", string(u))));
            parts.extend(r.rescan.map(|d| pair("rescan", string(&crate::text::duration(d)))));
            out.put(repo_key(&r.log), Some(inline(parts)));
        }
    }
    match &b.restore {
        Some(Restore::PostgresDump(p)) => {
            out.table("[backup.restore.postgres_dump]");
            out.text("database", &p.database);
            out.put("dsn", Some(address(&p.dsn)));
            out.put("password", p.password.as_ref().map(secret));
            out.texts("verify", &p.verify);
            out.texts("only", &p.only);
            out.put("amcheck", p.amcheck.map(|b| b.to_string()));
            out.put("jobs", p.jobs.map(|n| n.to_string()));
            out.duration("grace", p.grace);
            out.duration("timeout", p.timeout);
            out.paths("extra_ca", &p.extra_ca);
        }
        Some(Restore::PostgresPitr(p)) => {
            out.table("[backup.restore.postgres_pitr]");
            out.text("database", &p.database);
            out.put("directory", Some(path(&p.directory)));
            match &p.log {
                PitrLog::Folder(folder) => out.put("wal_archive", Some(path(folder))),
                log => out.put(repo_key(log), Some(inline(repo_parts(log)))),
            }
            out.put("user", p.user.as_deref().map(string));
            out.text("role", &p.role);
            out.put("port", p.port.map(|n| n.to_string()));
            out.map("settings", &p.settings, |v| string(v));
            out.texts("verify", &p.verify);
            out.texts("switch", &p.switch);
            out.texts("tables", &p.tables);
            if let Some(live) = &p.live {
                out.put("dsn", Some(address(&live.dsn)));
                out.put("password", live.password.as_ref().map(secret));
                out.paths("extra_ca", &live.extra_ca);
            }
            out.duration("timeout", p.timeout);
        }
        Some(Restore::Folder(f)) => {
            out.table("[backup.restore.folder]");
            out.put("path", Some(path(&f.path)));
            out.put("strip", Some(f.strip.to_string()));
            out.put("inside", f.inside.as_deref().map(path));
            out.texts("only", &f.only);
            out.texts("links", &f.links);
            out.text("compare", f.compare.word());
            out.put("identity", f.identity.as_deref().map(path));
            if !f.verify.is_empty() {
                out.put("verify", Some(list(f.verify.iter().map(|a| list(a.iter().map(|t| string(t)))))));
            }
            out.duration("timeout", f.timeout);
        }
        Some(Restore::Redis(r)) => stores::redis(r, out),
        Some(Restore::RabbitMq(r)) => stores::rabbitmq(r, out),
        None => {}
    }
}

fn action(a: &Action, second_person: bool, out: &mut Out) {
    out.table("[[action]]");
    out.text("name", &a.name);
    out.text("doc", &a.doc);
    out.put("service", a.service.as_deref().map(string));
    let risk: Risk = a.risk;
    out.text("risk", risk.word());
    authority::second_person(second_person, out);
    out.texts("run", &a.run);
    out.map("env", &a.env, maybe);
    out.put("cwd", a.cwd.as_deref().map(path));
    out.duration("timeout", a.timeout);
    out.duration("verify_within", a.verify_within);
    if let Some(check) = &a.verify {
        out.table(&format!("[action.verify.{}]", check.word()));
        kind(check, out);
    }
}

fn recovery(r: &Recovery, out: &mut Out) {
    out.table("[[recovery]]");
    out.text("name", &r.name);
    out.text("title", &r.title);
    out.put("kind", r.kind.as_deref().map(string));
    out.texts("services", &r.services);
    for step in &r.steps {
        out.table("[[recovery.step]]");
        out.text("phase", step.phase.word());
        out.duration("within", Some(std::time::Duration::from_millis(step.within_ms)));
        match &step.does {
            Does::Restore { backup } => out.text("restore", backup),
            Does::Restart { service } => out.text("restart", service),
            Does::Act { action } => out.text("action", action),
            Does::Healthy { services } => out.texts("healthy", services),
            Does::Look { text } => out.text("look", text),
        }
    }
}

fn channel(c: &Channel, shown: bool, out: &mut Out) {
    out.table("[[channel]]");
    out.text("name", &c.name);
    out.texts("auto", &c.auto);
    out.duration("timeout", Some(c.timeout));
    match &c.kind {
        ChannelKind::Slack { webhook } => {
            out.table("[channel.slack]");
            out.put("webhook", Some(maybe(webhook)));
        }
        ChannelKind::Webhook { url, secret: key, headers } => {
            out.table("[channel.webhook]");
            out.put("url", Some(hook(url, shown)));
            out.put("secret", key.as_ref().map(secret));
            out.map("headers", headers, maybe);
        }
        ChannelKind::Email(m) => {
            out.table("[channel.email]");
            out.text("host", &m.host);
            out.put("port", m.port.map(|n| n.to_string()));
            out.text(
                "tls",
                match m.tls {
                    MailTls::Starttls => "starttls",
                    MailTls::Implicit => "implicit",
                    MailTls::None => "none",
                },
            );
            out.put("user", m.user.as_deref().map(string));
            out.put("password", m.password.as_ref().map(secret));
            out.text("from", &m.from);
            out.texts("to", &m.to);
            out.paths("extra_ca", &m.extra_ca);
        }
    }
}
