//! Restores into Redis and RabbitMQ.

use super::checks::password;
use super::extra_ca;
use crate::config::read::{Sink, Tab};
use crate::config::secret::MaybeSecret;
use crate::config::types::*;

/// `None`: it does not say how to reach the server.
pub(super) fn redis(t: &Tab, backup: &Tab, config: &Config, sink: &mut Sink) -> Option<RedisRestore> {
    let service = backup.text("service");
    let named = config.services.iter().find(|s| Some(s.name.as_str()) == service);
    let of_check = || {
        named?.checks.iter().find_map(|c| match &c.kind {
            CheckKind::Redis(r) => Some((r.url.clone(), r.password.clone())),
            _ => None,
        })
    };
    let (url, password) = match t.maybe_secret("url") {
        Some(url) => (url, password(t, "url", sink)),
        None => match of_check() {
            Some((url, password)) => (url, t.secret("password").or(password)),
            None => {
                // A service that does not exist is a fault of its own.
                if !t.has("url") && (service.is_none() || named.is_some()) {
                    let hint = "set `url`, or name with `service` one that has a [[service.redis]] check";
                    sink.missing(t.span.clone(), "redis does not say how to reach the server", hint);
                }
                return None;
            }
        },
    };
    let by = if t.text("by") == Some("file") { RedisBy::File } else { RedisBy::Replication };
    let keys = t.texts("keys");
    if keys.is_empty() && t.has("conflicts") {
        sink.fault(t.at_key("conflicts"), "`conflicts` does nothing without `keys`", "say which keys are brought back");
    }
    if by == RedisBy::File {
        for other in ["keys", "reachable_as"] {
            if t.has(other) {
                let message = format!("`{other}` does nothing with by = \"file\"");
                sink.fault(t.at_key(other), message, "leave one of the two out");
            }
        }
        let stoppable = named.and_then(|s| s.control.as_ref()).is_some_and(|c| match c {
            Control::Commands(c) => c.stop.is_some() && c.start.is_some(),
            Control::Systemd { .. } | Control::Docker { .. } => true,
            _ => false,
        });
        if !stoppable && (service.is_none() || named.is_some()) {
            let hint = "name with `service` one that is controlled by systemd, docker, or commands to stop and start";
            sink.fault(t.at("by"), "by = \"file\" stops and starts the server, and nothing says how", hint);
        }
    }
    Some(RedisRestore {
        url,
        password,
        directory: t.path("directory"),
        user: t.string("user"),
        must_exist: t.texts("must_exist"),
        at_least: t.map("at_least", crate::config::read::Item::int),
        by,
        reachable_as: t.string("reachable_as"),
        keys,
        replace: t.text("conflicts") == Some("replace"),
        cut_torn: t.flag("cut_torn"),
        extra_ca: extra_ca(t, &[]),
        timeout: t.duration("timeout"),
    })
}

pub(super) fn rabbitmq(t: &Tab) -> RabbitRestore {
    RabbitRestore {
        url: t.maybe_secret("url").unwrap_or_else(|| MaybeSecret::Plain(String::new())),
        user: t.string("user").unwrap_or_default(),
        password: t.secret("password"),
        vhost: t.string("vhost"),
        extra_ca: extra_ca(t, &[]),
        timeout: t.duration("timeout"),
    }
}
