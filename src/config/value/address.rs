//! Addresses and what belongs to them; and which of them carry a secret.

use super::name::{absolute, filled_line, one_line};
use super::quoted;
use crate::config::types::{Family, Redirects};
use crate::text;

/// `host:port` or `[v6]:port` → both, the host without brackets.
pub fn host_port(t: &str) -> Result<(&str, u16), String> {
    let fault = || format!("must be a host and a port, found {}", quoted(t));
    let (host, port) = t.rsplit_once(':').ok_or_else(fault)?;
    let port: u16 = port.parse().ok().filter(|p| *p > 0).ok_or_else(fault)?;
    let bare = match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']').filter(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok()).ok_or_else(fault)?,
        None if host.contains(':') => return Err(format!("{}: write an IPv6 address in brackets", fault())),
        None => host,
    };
    if self::host(bare).is_err() {
        return Err(fault());
    }
    Ok((bare, port))
}

pub(super) fn host(t: &str) -> Result<(), String> {
    let fine = |c: char| c.is_alphanumeric() || "-_.:%".contains(c);
    if t.is_empty() || t.starts_with(['-', '.']) || !t.chars().all(fine) || t.len() > 253 {
        return Err(format!("must be a host, found {}", quoted(t)));
    }
    if t.contains(':') && t.parse::<std::net::Ipv6Addr>().is_err() {
        return Err(format!("must be a host without a port, found {}", quoted(t)));
    }
    Ok(())
}

pub(super) fn ip(t: &str) -> Result<(), String> {
    t.parse::<std::net::IpAddr>().map(drop).map_err(|_| format!("must be an IP address, found {}", quoted(t)))
}

pub(super) fn host_maybe_port(t: &str) -> Result<(), String> {
    host(t).or_else(|_| host_port(t).map(drop))
}

pub(super) fn http_url(t: &str) -> Result<(), String> {
    one_line(t)?;
    let url = reqwest::Url::parse(t).map_err(|e| format!("is not an address: {e}"))?;
    match url.scheme() {
        "http" | "https" if url.host_str().is_some_and(|h| !h.is_empty()) => Ok(()),
        other => Err(format!("must begin with http:// or https://, found {}", quoted(other))),
    }
}

pub(super) fn redis_url(t: &str) -> Result<(), String> {
    use redis::IntoConnectionInfo;
    one_line(t)?;
    if let Some(path) = t.strip_prefix("unix:").or_else(|| t.strip_prefix("redis+unix:")) {
        absolute(path.strip_prefix("//").unwrap_or(path))?;
    } else if t.starts_with("redis://") || t.starts_with("rediss://") {
        let url = reqwest::Url::parse(t).map_err(|e| format!("is not an address: {e}"))?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err("must name a host".into());
        }
        let db = url.path().trim_start_matches('/');
        if !db.is_empty() && db.parse::<u32>().is_err() {
            return Err(format!("must end in the number of a database, found {}", quoted(db)));
        }
        if url.fragment().is_some() {
            return Err("must not end in #…: a certificate is verified or not asked for".into());
        }
    } else {
        return Err("must begin with redis://, rediss:// or unix:".into());
    }
    // The driver has the last word; its own words may repeat a password.
    t.into_connection_info().map(drop).map_err(|_| "is not an address that the Redis driver understands".into())
}

pub(super) fn dsn(t: &str) -> Result<(), String> {
    filled_line(t)?;
    if !t.contains("://") && !t.contains('=') {
        return Err("must be postgres://… or key=value pairs".into());
    }
    crate::sys::pg::PgTarget::parse(t).map(drop).map_err(|e| format!("is not an address: {e}"))
}

/// `none`, `same-host:5`, `any:3`.
pub fn redirects(t: &str) -> Result<Redirects, String> {
    let fault = || format!("must be none, same-host:N or any:N with N from 1 to 20, found {}", quoted(t));
    if t == "none" {
        return Ok(Redirects::None);
    }
    let (word, n) = t.split_once(':').ok_or_else(fault)?;
    let n: u8 = n.parse().ok().filter(|n| (1..=20).contains(n)).ok_or_else(fault)?;
    match word {
        "same-host" => Ok(Redirects::SameHost(n)),
        "any" => Ok(Redirects::Any(n)),
        _ => Err(fault()),
    }
}

/// As [`redirects`] reads it.
pub fn redirects_text(r: Redirects) -> String {
    match r {
        Redirects::None => "none".into(),
        Redirects::SameHost(n) => format!("same-host:{n}"),
        Redirects::Any(n) => format!("any:{n}"),
    }
}

/// The words of `family`.
pub const FAMILIES: &[&str] = &["any", "v4", "v6"];

pub fn family(t: &str) -> Family {
    match t {
        "v4" => Family::V4,
        "v6" => Family::V6,
        _ => Family::Any,
    }
}

pub fn family_text(f: Family) -> &'static str {
    match f {
        Family::Any => "any",
        Family::V4 => "v4",
        Family::V6 => "v6",
    }
}

pub(super) fn header_name(t: &str) -> Result<(), String> {
    let fault = |_| format!("{} is not the name of a header", quoted(t));
    reqwest::header::HeaderName::from_bytes(t.as_bytes()).map(drop).map_err(fault)
}

pub(super) fn header_value(t: &str) -> Result<(), String> {
    reqwest::header::HeaderValue::from_str(t).map(drop).map_err(|_| "must be one line of visible characters".into())
}

pub(super) fn mailbox(t: &str) -> Result<(), String> {
    one_line(t)?;
    t.parse::<lettre::message::Mailbox>().map(drop).map_err(|_| format!("must be a mail address, found {}", quoted(t)))
}

/// Whether a key, a header or a variable of this name usually holds a secret.
pub fn looks_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase().replace('-', "_");
    ["password", "passwd", "passphrase", "secret", "token", "authorization", "cookie", "api_key", "apikey", "private"]
        .iter()
        .any(|w| lower.contains(w))
        || lower.ends_with("_key")
        || lower.ends_with("_pass")
        || lower == "key"
}

/// Whether an address carries a password or a key in the open.
pub fn address_has_secret(t: &str) -> bool {
    // restic puts a word of its own before an address.
    let t = ["rest:", "s3:"].iter().find_map(|word| t.strip_prefix(word)).unwrap_or(t);
    if let Ok(url) = reqwest::Url::parse(t) {
        let query = url.query_pairs().any(|(k, v)| (looks_secret(&k) || k == "sig") && !v.is_empty());
        return url.password().is_some_and(|p| !p.is_empty()) || query;
    }
    // `password = x` in pairs, and addresses with several hosts, which are no URLs.
    t.replace(" ", "").contains("password=") || matches!(text::Mask::default().apply(t), std::borrow::Cow::Owned(_))
}
