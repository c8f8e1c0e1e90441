//! Every secret of a configuration: listed for masking, and taken out of checks that travel in plans.

use std::collections::BTreeMap;

use super::secret::{MaybeSecret, SecretRef};
use super::types::{BackupSource, ChannelKind, Check, CheckKind, Config, Control, Restore};

/// Takes the secrets out of a check, so that it can be serialised into a plan: each becomes [`SecretRef::Pipe`] under a
/// name that begins with `prefix`, and comes back beside that name. References that are pipes already stay.
pub fn pipe_secrets(kind: &CheckKind, prefix: &str) -> (CheckKind, Vec<(String, SecretRef)>) {
    let mut out = kind.clone();
    let mut taken = Vec::new();
    visit_check(&mut out, &mut |place, secret| {
        if !matches!(secret, SecretRef::Pipe(_)) {
            let name = format!("{prefix}.{place}");
            let found = std::mem::replace(secret, SecretRef::Pipe(name.clone()));
            taken.push((name, found));
        }
    });
    (out, taken)
}

impl CheckKind {
    /// The secrets of this check with their place in it: `url`, `headers.Authorization`.
    pub fn secret_refs(&self) -> Vec<(String, SecretRef)> {
        let mut out = Vec::new();
        visit_check(&mut self.clone(), &mut |place, secret| out.push((place, secret.clone())));
        out
    }
}

/// Stands for a secret that was written into a configuration and is not kept with it.
pub const NOT_KEPT: &str = "MAYDAY_SECRET_NOT_KEPT";

impl Config {
    /// Every secret with where it is used: `service api check http headers.Authorization`. For masking and for `doctor`.
    pub fn secret_refs(&self) -> Vec<(String, SecretRef)> {
        let mut out = Vec::new();
        visit(&mut self.clone(), &mut |place, secret| out.push((place, secret.clone())));
        out
    }
}

/// The configuration as it may be kept in the state folder, to start from when the file is broken: as
/// [`super::effective`], and readable again. Secrets that stood in the file itself are not in it; what needs one says so
/// when it is used.
pub fn keepable(config: &Config) -> String {
    let mut out = config.clone();
    visit(&mut out, &mut |_, secret| {
        if matches!(secret, SecretRef::Literal(_)) {
            *secret = SecretRef::Env(NOT_KEPT.to_owned());
        }
    });
    super::effective::whole(&out)
}

type See<'a> = &'a mut dyn FnMut(String, &mut SecretRef);

/// Every secret of a configuration, once, in the order of the file's tables.
fn visit(config: &mut Config, see: See<'_>) {
    for service in &mut config.services {
        for Check { name, kind, .. } in &mut service.checks {
            let at = format!("service {} check {name}", service.name);
            visit_check(kind, &mut |place, secret| see(format!("{at} {place}"), secret));
        }
        if let Some(Control::Commands(c)) = &mut service.control {
            in_map(&format!("service {} control env", service.name), &mut c.env, see);
        }
    }
    for backup in &mut config.backups {
        if let BackupSource::Vault(v) = &mut backup.source {
            let at = format!("backup {} {}", backup.name, v.tool.word());
            maybe(format!("{at} repository"), &mut v.repository, see);
            whole(format!("{at} password"), &mut v.password, see);
            in_map(&format!("{at} env"), &mut v.env, see);
        }
        match &mut backup.restore {
            Some(Restore::PostgresDump(p)) => {
                let at = format!("backup {} restore", backup.name);
                maybe(format!("{at} dsn"), &mut p.dsn, see);
                whole(format!("{at} password"), &mut p.password, see);
            }
            Some(Restore::Redis(r)) => {
                let at = format!("backup {} restore", backup.name);
                maybe(format!("{at} url"), &mut r.url, see);
                whole(format!("{at} password"), &mut r.password, see);
            }
            Some(Restore::RabbitMq(r)) => {
                let at = format!("backup {} restore", backup.name);
                maybe(format!("{at} url"), &mut r.url, see);
                whole(format!("{at} password"), &mut r.password, see);
            }
            Some(Restore::PostgresPitr(p)) => {
                if let Some(live) = &mut p.live {
                    let at = format!("backup {} restore", backup.name);
                    maybe(format!("{at} dsn"), &mut live.dsn, see);
                    whole(format!("{at} password"), &mut live.password, see);
                }
            }
            Some(Restore::Folder(_)) | None => {}
        }
    }
    for action in &mut config.actions {
        in_map(&format!("action {} env", action.name), &mut action.env, see);
        if let Some(check) = &mut action.verify {
            let at = format!("action {} verify", action.name);
            visit_check(check, &mut |place, secret| see(format!("{at} {place}"), secret));
        }
    }
    for channel in &mut config.channels {
        let at = format!("channel {}", channel.name);
        match &mut channel.kind {
            ChannelKind::Slack { webhook } => maybe(format!("{at} webhook"), webhook, see),
            ChannelKind::Webhook { url, secret, headers } => {
                maybe(format!("{at} url"), url, see);
                whole(format!("{at} secret"), secret, see);
                in_map(&format!("{at} headers"), headers, see);
            }
            ChannelKind::Email(mail) => whole(format!("{at} password"), &mut mail.password, see),
        }
    }
}

fn maybe(place: String, value: &mut MaybeSecret, see: See<'_>) {
    if let MaybeSecret::Secret(secret) = value {
        see(place, secret);
    }
}

fn whole(place: String, value: &mut Option<SecretRef>, see: See<'_>) {
    if let Some(secret) = value {
        see(place, secret);
    }
}

fn in_map(at: &str, map: &mut BTreeMap<String, MaybeSecret>, see: See<'_>) {
    for (name, value) in map {
        maybe(format!("{at}.{name}"), value, see);
    }
}

/// Every secret of a check, once, in a fixed order. A new kind does not compile without its line.
fn visit_check(kind: &mut CheckKind, see: See<'_>) {
    match kind {
        CheckKind::Http(c) => {
            maybe("url".to_owned(), &mut c.url, see);
            in_map("headers", &mut c.headers, see);
        }
        CheckKind::Postgres(c) => {
            maybe("dsn".to_owned(), &mut c.dsn, see);
            whole("password".to_owned(), &mut c.password, see);
        }
        CheckKind::Redis(c) => {
            maybe("url".to_owned(), &mut c.url, see);
            whole("password".to_owned(), &mut c.password, see);
        }
        CheckKind::Exec(c) => in_map("env", &mut c.env, see),
        CheckKind::Tcp(_)
        | CheckKind::Tls(_)
        | CheckKind::Dns(_)
        | CheckKind::Host(_)
        | CheckKind::Systemd(_)
        | CheckKind::Docker(_) => {}
    }
}
