//! The forms that texts in a configuration take, and how they are read.
//!
//! Each form is checked once while the file is read; what reads it afterwards may rely on that. Pure but for `dsn`, which
//! asks for the name of this process' user where the address leaves it out.

use std::time::Duration;

use super::shape::Format;
use super::types::{Compare, Family, Op, Redirects};
use crate::domain::catalog::Severity;
use crate::text;

/// Longest name of anything.
const NAME_MAX: usize = 64;

macro_rules! formats {
    ($($id:ident: $what:expr, $example:expr, $pattern:expr, $check:expr;)*) => {
        $(pub static $id: Format = Format { what: $what, example: $example, pattern: $pattern, check: $check };)*
    };
}

formats! {
    TEXT: "a text", "\"…\"", r"^[^\u0000-\u001f]*$", one_line;
    LINES: "a text", "\"…\"", r"^[^\u0000]*$", any_text;
    PLAIN: "a text", "\"…\"", r"^[^\u0000-\u001f]+$", filled_line;
    NAME: "a name", "\"api\"", r"^[^-\s\u0000-\u001f][^\u0000-\u001f]{0,63}$", name;
    SYSTEM_NAME: "a name", "\"shop\"", r"^[^-.\s/\u0000-\u001f][^/\u0000-\u001f]{0,63}$", system_name;
    SEVERITY: "a severity", "P0, P1, P2 or P3", r"^P[0-3]$", severity;
    DURATION: "a duration", "\"500ms\", \"10s\", \"5m\", \"1h30m\" or \"2d\"", DURATION_PATTERN, positive_duration;
    DURATION_OR_ZERO: "a duration", "\"0s\", \"5m\", \"1h\" or \"2d\"", DURATION_PATTERN, any_duration;
    DURATION_OR_AUTO: "a duration or \"auto\"", "\"auto\" or \"45s\"", r"^(auto|(\s*[0-9]+\s*(ms|s|m|min|h|d|w))+\s*)$", |t| or_word(t, "auto");
    DURATION_OR_NONE: "a duration or \"none\"", "\"none\" or \"15m\"", r"^(none|(\s*[0-9]+\s*(ms|s|m|min|h|d|w))+\s*)$", |t| or_word(t, "none");
    RATIO: "a share of the last ten results", "\"7/10\"", r"^([1-9]|10)/10$", |t| ratio(t).map(drop);
    COMPARE: "a comparison with a number", "\"> 2\", \"<= 0.9\" or \"== 0\"", r"^\s*(<|<=|==|!=|>=|>)\s*-?[0-9.eE+-]+\s*$", |t| compare(t).map(drop);
    REGEX: "a regular expression", "\"^ok$\"", r"", regex;
    GLOB: "a pattern for names", "\"*.dump\"", r"", glob;
    HOST_PORT: "an address with a port", "\"db.example.org:5432\"", r"^\S+:[0-9]{1,5}$", |t| host_port(t).map(drop);
    HOST_MAYBE_PORT: "a host, with or without a port", "\"9.9.9.9\" or \"9.9.9.9:53\"", r"^\S+$", host_maybe_port;
    HOST: "a host name", "\"mail.example.org\"", r"^[^\s/:@]+$|^[0-9a-fA-F:.]+$", host;
    HTTP_URL: "an http or https address", "\"https://api.example.org/health\"", r"^https?://", http_url;
    REDIS_URL: "a Redis address", "\"redis://127.0.0.1:6379\", \"rediss://…\" or \"unix:/run/redis.sock\"", r"^(rediss?://|redis\+unix://|unix:)", redis_url;
    DSN: "a PostgreSQL address", "\"postgres://mayday@127.0.0.1:5432/app\" or \"host=… dbname=…\"", r"=|^postgres(ql)?://", dsn;
    REDIRECTS: "a rule for redirects", "\"none\", \"same-host:5\" or \"any:3\"", r"^(none|(same-host|any):([1-9]|1[0-9]|20))$", |t| redirects(t).map(drop);
    HEADER: "a header name", "\"X-Api-Version\"", r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", header_name;
    HEADER_VALUE: "a header value", "\"application/json\"", r"^[^\u0000-\u0008\u000a-\u001f]*$", header_value;
    ENV_NAME: "the name of an environment variable", "\"PGPASSWORD\"", r"^[A-Za-z_][A-Za-z0-9_]*$", env_name;
    FOLDER_KEY: "an absolute path", "\"/var\"", r"^/", absolute;
    UNIT: "the name of a systemd unit", "\"api.service\"", r"^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*$", unit;
    CONTAINER: "the name of a container", "\"app-db-1\"", r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", container;
    WORKLOAD: "a workload", "\"deployment/api\"", r"^[a-z][a-z.]*/[a-z0-9][a-z0-9.-]*$", workload;
    DATABASE: "the name of a database", "\"app\"", r"^[^\u0000-\u001f]{1,63}$", database;
    MAILBOX: "a mail address", "\"ops@example.org\" or \"Ops <ops@example.org>\"", r"@", mailbox;
    CURRENCY: "a currency", "\"EUR\"", r"^[A-Z]{3}$", currency;
    JSON_PATH: "a path in JSON", "\"status\" or \"checks.db.0.state\"", r"^[^.\s][^\u0000-\u001f]*$", json_path;
    SQL: "a statement", "\"select count(*) > 0 from users\"", r"\S", sql;
    GROUP: "the name of a group", "\"oncall\"", r"^[a-z_][a-z0-9_.-]*\$?$", group;
}

const DURATION_PATTERN: &str = r"^(\s*[0-9]+\s*(ms|s|m|min|h|d|w))+\s*$";

/// A value from the file, fit to stand in a message.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text::clean::clean_to(text, 60))
}

fn any_text(t: &str) -> Result<(), String> {
    if t.contains('\0') { Err("must not hold a zero byte".into()) } else { Ok(()) }
}

fn one_line(t: &str) -> Result<(), String> {
    match t.chars().find(|c| c.is_control()) {
        Some(c) => Err(format!("must be one line without control characters, found U+{:04X}", u32::from(c))),
        None => Ok(()),
    }
}

fn filled_line(t: &str) -> Result<(), String> {
    if t.trim().is_empty() {
        return Err("must not be empty".into());
    }
    one_line(t)
}

fn name(t: &str) -> Result<(), String> {
    if t.is_empty() {
        return Err("must not be empty".into());
    }
    if t.trim() != t {
        return Err(format!("must not begin or end with a space: {}", quoted(t)));
    }
    if t.starts_with('-') {
        return Err(format!("must not begin with a hyphen, commands would take it for an option: {}", quoted(t)));
    }
    if t.chars().count() > NAME_MAX {
        return Err(format!("must have at most {NAME_MAX} characters"));
    }
    if text::clean(t) != t {
        return Err(format!("must not hold control, invisible or direction-changing characters: {}", quoted(t)));
    }
    Ok(())
}

fn system_name(t: &str) -> Result<(), String> {
    name(t)?;
    if t.contains('/') || t.starts_with('.') {
        return Err(format!("names a folder, so no slash and no dot in front: {}", quoted(t)));
    }
    Ok(())
}

fn severity(t: &str) -> Result<(), String> {
    if Severity::ALL.iter().any(|s| s.name() == t) {
        return Ok(());
    }
    Err(format!("{} is not a severity", quoted(t)))
}

fn any_duration(t: &str) -> Result<(), String> {
    match text::parse_duration(t) {
        Ok(d) if d > Duration::from_secs(100 * 366 * 86_400) => Err(format!("{} is beyond a hundred years", quoted(t))),
        Ok(_) => Ok(()),
        Err(_) => Err(format!("must be a duration, found {}", quoted(t))),
    }
}

fn positive_duration(t: &str) -> Result<(), String> {
    any_duration(t)?;
    match text::parse_duration(t) {
        Ok(d) if d.is_zero() => Err("must be longer than zero".into()),
        _ => Ok(()),
    }
}

fn or_word(t: &str, word: &str) -> Result<(), String> {
    if t == word { Ok(()) } else { positive_duration(t) }
}

/// `7/10` → 7.
pub fn ratio(t: &str) -> Result<u32, String> {
    t.strip_suffix("/10")
        .and_then(|n| n.parse::<u32>().ok())
        .filter(|n| (1..=10).contains(n))
        .ok_or_else(|| format!("must be a share of the last ten results, found {}", quoted(t)))
}

/// `> 2`.
pub fn compare(t: &str) -> Result<Compare, String> {
    let fault = || format!("must compare with a number, found {}", quoted(t));
    let t = t.trim();
    let signs = [("<=", Op::Le), (">=", Op::Ge), ("==", Op::Eq), ("!=", Op::Ne), ("<", Op::Lt), (">", Op::Gt)];
    let (sign, op) = signs.into_iter().find(|(sign, _)| t.starts_with(sign)).ok_or_else(fault)?;
    let value: f64 = t.strip_prefix(sign).unwrap_or_default().trim().parse().map_err(|_| fault())?;
    if !value.is_finite() {
        return Err(fault());
    }
    Ok(Compare { op, value })
}

/// As [`compare`] reads it.
pub fn compare_text(c: &Compare) -> String {
    let sign = match c.op {
        Op::Lt => "<",
        Op::Le => "<=",
        Op::Eq => "==",
        Op::Ne => "!=",
        Op::Ge => ">=",
        Op::Gt => ">",
    };
    format!("{sign} {}", c.value)
}

fn regex(t: &str) -> Result<(), String> {
    if t.is_empty() {
        return Err("must not be empty: it would match everything".into());
    }
    regex::Regex::new(t).map(drop).map_err(|e| {
        let why = e.to_string();
        // The crate draws a picture over several lines; its last line says what is wrong.
        let last = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("is not a regular expression: {}", text::clean(last))
    })
}

fn glob(t: &str) -> Result<(), String> {
    filled_line(t)?;
    globset::Glob::new(t).map(drop).map_err(|e| format!("is not a pattern: {}", text::clean(&e.kind().to_string())))
}

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

fn host(t: &str) -> Result<(), String> {
    let fine = |c: char| c.is_alphanumeric() || "-_.:%".contains(c);
    if t.is_empty() || t.starts_with(['-', '.']) || !t.chars().all(fine) || t.len() > 253 {
        return Err(format!("must be a host, found {}", quoted(t)));
    }
    if t.contains(':') && t.parse::<std::net::Ipv6Addr>().is_err() {
        return Err(format!("must be a host without a port, found {}", quoted(t)));
    }
    Ok(())
}

fn host_maybe_port(t: &str) -> Result<(), String> {
    host(t).or_else(|_| host_port(t).map(drop))
}

fn http_url(t: &str) -> Result<(), String> {
    one_line(t)?;
    let url = reqwest::Url::parse(t).map_err(|e| format!("is not an address: {e}"))?;
    match url.scheme() {
        "http" | "https" if url.host_str().is_some_and(|h| !h.is_empty()) => Ok(()),
        other => Err(format!("must begin with http:// or https://, found {}", quoted(other))),
    }
}

fn redis_url(t: &str) -> Result<(), String> {
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

fn dsn(t: &str) -> Result<(), String> {
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

fn header_name(t: &str) -> Result<(), String> {
    let fault = |_| format!("{} is not the name of a header", quoted(t));
    reqwest::header::HeaderName::from_bytes(t.as_bytes()).map(drop).map_err(fault)
}

fn header_value(t: &str) -> Result<(), String> {
    reqwest::header::HeaderValue::from_str(t).map(drop).map_err(|_| "must be one line of visible characters".into())
}

fn env_name(t: &str) -> Result<(), String> {
    let mut chars = t.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(());
    }
    Err(format!("{} is not the name of an environment variable", quoted(t)))
}

fn absolute(t: &str) -> Result<(), String> {
    one_line(t)?;
    if t.starts_with('/') { Ok(()) } else { Err(format!("{} is not an absolute path", quoted(t))) }
}

fn unit(t: &str) -> Result<(), String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || ":_.\\@-".contains(c);
    if t.is_empty() || t.starts_with('-') || !t.chars().all(fine) || t.len() > 255 {
        return Err(format!("must be the name of a unit, found {}", quoted(t)));
    }
    Ok(())
}

fn container(t: &str) -> Result<(), String> {
    let first = t.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if first && t.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
        return Ok(());
    }
    Err(format!("must be the name of a container, found {}", quoted(t)))
}

fn workload(t: &str) -> Result<(), String> {
    let fine = |p: &str| {
        p.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && p.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c))
    };
    match t.split_once('/') {
        Some((kind, name)) if fine(kind) && fine(name) => Ok(()),
        _ => Err(format!("must be a kind and a name, found {}", quoted(t))),
    }
}

fn database(t: &str) -> Result<(), String> {
    filled_line(t)?;
    if t.len() > 63 {
        return Err("must have at most 63 bytes, longer names are cut by PostgreSQL".into());
    }
    if matches!(t, "template0" | "template1") {
        return Err(format!("must not be {}: new databases are made from it", quoted(t)));
    }
    Ok(())
}

fn mailbox(t: &str) -> Result<(), String> {
    one_line(t)?;
    t.parse::<lettre::message::Mailbox>().map(drop).map_err(|_| format!("must be a mail address, found {}", quoted(t)))
}

fn currency(t: &str) -> Result<(), String> {
    if t.len() == 3 && t.chars().all(|c| c.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(format!("must be a currency of three letters, found {}", quoted(t)))
}

fn json_path(t: &str) -> Result<(), String> {
    filled_line(t)?;
    if t.split('.').any(str::is_empty) {
        return Err(format!("must be keys and indexes separated by single dots, found {}", quoted(t)));
    }
    Ok(())
}

fn sql(t: &str) -> Result<(), String> {
    if t.trim().is_empty() {
        return Err("must not be empty".into());
    }
    if t.contains('\0') {
        return Err("must not hold a zero byte".into());
    }
    Ok(())
}

fn group(t: &str) -> Result<(), String> {
    let first = t.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-$".contains(c);
    if first && t.len() <= 32 && t.chars().all(rest) {
        return Ok(());
    }
    Err(format!("must be the name of a group, found {}", quoted(t)))
}

/// `256KiB`, `16 MiB`, `64MB`, `1024` → bytes.
pub fn size(t: &str) -> Result<u64, String> {
    let fault = || format!("must be a size, found {}", quoted(t));
    let t = t.trim();
    let digits = t.find(|c: char| !c.is_ascii_digit()).unwrap_or(t.len());
    let (number, unit) = t.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return Err(fault()),
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(fault)
}

/// As [`size`] reads it, exact.
pub fn size_text(bytes: u64) -> String {
    for (name, factor) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{name}", bytes / factor);
        }
    }
    bytes.to_string()
}

/// As `text::parse_duration` reads it, exact to the millisecond.
pub fn duration_text(d: Duration) -> String {
    let mut ms = u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".into();
    }
    let mut out = String::new();
    // `26h` is how people say it, and not `1d2h`.
    let day = if ms >= 2 * 86_400_000 { 86_400_000 } else { u64::MAX };
    for (unit, size) in [("d", day), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if ms >= size {
            out.push_str(&format!("{}{unit}", ms / size));
            ms %= size;
        }
    }
    out
}

/// One code or an inclusive range: `204`, `200-299`.
pub fn status_range(t: &str) -> Result<(u16, u16), String> {
    let fault = || format!("must be status codes from 100 to 599, found {}", quoted(t));
    let code = |t: &str| t.trim().parse::<u16>().ok().filter(|c| (100..=599).contains(c)).ok_or_else(fault);
    let (low, high) = match t.split_once('-') {
        Some((low, high)) => (code(low)?, code(high)?),
        None => (code(t)?, code(t)?),
    };
    if low > high {
        return Err(format!("is a range that ends before it begins: {}", quoted(t)));
    }
    Ok((low, high))
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
    if let Ok(url) = reqwest::Url::parse(t) {
        let query = url.query_pairs().any(|(k, v)| (looks_secret(&k) || k == "sig") && !v.is_empty());
        return url.password().is_some_and(|p| !p.is_empty()) || query;
    }
    // `password = x` in pairs, and addresses with several hosts, which are no URLs.
    t.replace(" ", "").contains("password=") || matches!(text::Mask::default().apply(t), std::borrow::Cow::Owned(_))
}
