//! Every secret of a configuration: listed for masking, and taken out of checks that travel in plans.

use super::secret::{MaybeSecret, SecretRef};
use super::types::{Backup, ChannelKind, Check, CheckKind, Config, Control, Restore};

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

impl Config {
    /// Every secret with where it is used: `service api check http headers.Authorization`. For masking and for `doctor`.
    pub fn secret_refs(&self) -> Vec<(String, SecretRef)> {
        let mut out = Vec::new();
        for service in &self.services {
            for Check { name, kind, .. } in &service.checks {
                let at = format!("service {} check {name}", service.name);
                out.extend(kind.secret_refs().into_iter().map(|(place, s)| (format!("{at} {place}"), s)));
            }
            if let Some(Control::Commands(c)) = &service.control {
                let at = format!("service {} control env", service.name);
                out.extend(of_map(&at, &c.env));
            }
        }
        for backup in &self.backups {
            out.extend(of_backup(backup));
        }
        for action in &self.actions {
            out.extend(of_map(&format!("action {} env", action.name), &action.env));
            let at = format!("action {} verify", action.name);
            let verify = action.verify.iter().flat_map(CheckKind::secret_refs);
            out.extend(verify.map(|(place, s)| (format!("{at} {place}"), s)));
        }
        for channel in &self.channels {
            let at = format!("channel {}", channel.name);
            match &channel.kind {
                ChannelKind::Slack { webhook } => out.extend(of_maybe(&at, "webhook", webhook)),
                ChannelKind::Webhook { url, secret, headers } => {
                    out.extend(of_maybe(&at, "url", url));
                    out.extend(secret.iter().map(|s| (format!("{at} secret"), s.clone())));
                    out.extend(of_map(&format!("{at} headers"), headers));
                }
                ChannelKind::Email(mail) => {
                    out.extend(mail.password.iter().map(|s| (format!("{at} password"), s.clone())));
                }
            }
        }
        out
    }
}

fn of_maybe(at: &str, key: &str, value: &MaybeSecret) -> Option<(String, SecretRef)> {
    value.secret().map(|s| (format!("{at} {key}"), s.clone()))
}

fn of_map<'a>(
    at: &'a str,
    map: &'a std::collections::BTreeMap<String, MaybeSecret>,
) -> impl Iterator<Item = (String, SecretRef)> + 'a {
    map.iter().filter_map(move |(k, v)| v.secret().map(|s| (format!("{at}.{k}"), s.clone())))
}

fn of_backup(backup: &Backup) -> Vec<(String, SecretRef)> {
    let at = format!("backup {} restore", backup.name);
    match &backup.restore {
        Some(Restore::PostgresDump(p)) => {
            let password = p.password.iter().map(|s| (format!("{at} password"), s.clone()));
            of_maybe(&at, "dsn", &p.dsn).into_iter().chain(password).collect()
        }
        Some(Restore::Folder(_)) | None => Vec::new(),
    }
}

/// Every secret of a check, once, in a fixed order. All places stand here, so that none is forgotten in one of the two
/// uses; a new kind does not compile without its line.
fn visit_check(kind: &mut CheckKind, see: &mut dyn FnMut(String, &mut SecretRef)) {
    fn maybe(place: &str, value: &mut MaybeSecret, see: &mut dyn FnMut(String, &mut SecretRef)) {
        if let MaybeSecret::Secret(secret) = value {
            see(place.to_owned(), secret);
        }
    }
    match kind {
        CheckKind::Http(c) => {
            maybe("url", &mut c.url, see);
            for (name, value) in &mut c.headers {
                maybe(&format!("headers.{name}"), value, see);
            }
        }
        CheckKind::Postgres(c) => {
            maybe("dsn", &mut c.dsn, see);
            if let Some(secret) = &mut c.password {
                see("password".to_owned(), secret);
            }
        }
        CheckKind::Redis(c) => {
            maybe("url", &mut c.url, see);
            if let Some(secret) = &mut c.password {
                see("password".to_owned(), secret);
            }
        }
        CheckKind::Exec(c) => {
            for (name, value) in &mut c.env {
                maybe(&format!("env.{name}"), value, see);
            }
        }
        CheckKind::Tcp(_)
        | CheckKind::Tls(_)
        | CheckKind::Dns(_)
        | CheckKind::Host(_)
        | CheckKind::Systemd(_)
        | CheckKind::Docker(_) => {}
    }
}
