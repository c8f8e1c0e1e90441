//! Restores into Redis and RabbitMQ.

use super::out::{Out, address, path, secret, string};
use crate::config::types::{RabbitRestore, RedisBy, RedisRestore};

pub(super) fn redis(r: &RedisRestore, out: &mut Out) {
    out.table("[backup.restore.redis]");
    out.put("url", Some(address(&r.url)));
    out.put("password", r.password.as_ref().map(secret));
    out.put("directory", r.directory.as_deref().map(path));
    out.put("user", r.user.as_deref().map(string));
    out.texts("must_exist", &r.must_exist);
    out.map("at_least", &r.at_least, u64::to_string);
    out.text("by", if r.by == RedisBy::File { "file" } else { "replication" });
    out.put("reachable_as", r.reachable_as.as_deref().map(string));
    out.texts("keys", &r.keys);
    if !r.keys.is_empty() {
        out.text("conflicts", if r.replace { "replace" } else { "skip" });
    }
    out.put("cut_torn", Some(r.cut_torn.to_string()));
    out.paths("extra_ca", &r.extra_ca);
    out.duration("timeout", r.timeout);
}

pub(super) fn rabbitmq(r: &RabbitRestore, out: &mut Out) {
    out.table("[backup.restore.rabbitmq_definitions]");
    out.put("url", Some(address(&r.url)));
    out.text("user", &r.user);
    out.put("password", r.password.as_ref().map(secret));
    out.put("vhost", r.vhost.as_deref().map(string));
    out.paths("extra_ca", &r.extra_ca);
    out.duration("timeout", r.timeout);
}
