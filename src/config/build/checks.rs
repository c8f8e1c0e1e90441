//! Checks: their timing and their kinds.

use std::path::PathBuf;
use std::time::Duration;

use super::{argv, extra_ca, secrets};
use crate::config::read::{Item, Sink, Tab, Val};
use crate::config::secret::MaybeSecret;
use crate::config::types::*;
use crate::config::value;
use crate::text;

/// Bytes of an answer's body read at the most, unless said otherwise.
const MAX_BODY: u64 = 256 << 10;

/// What a check takes when it does not say.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    pub timing: Timing,
    pub max_body: Option<u64>,
    pub redirects: Redirects,
    pub family: Family,
    pub extra_ca: Vec<PathBuf>,
}

impl Defaults {
    /// From `[defaults]`, where there is one.
    pub fn read(tab: Option<&Tab>, system_ca: &[PathBuf], sink: &mut Sink) -> Self {
        let mut out = Defaults { extra_ca: system_ca.to_vec(), ..Defaults::default() };
        if let Some(tab) = tab {
            out.timing = out.timing(tab, sink);
            out.max_body = tab.size("max_body");
            out.redirects = tab.parsed("redirects", value::redirects).unwrap_or_default();
            out.family = tab.text("family").map(value::family).unwrap_or_default();
        }
        out
    }

    /// The timing of a check (or of `[defaults]` itself, over the built-in values), with what cannot be told.
    pub fn timing(&self, tab: &Tab, sink: &mut Sink) -> Timing {
        let d = &self.timing;
        let every = tab.duration("every").unwrap_or(d.every);
        let stale = tab.text("stale_after").map(|t| text::parse_duration(t).ok());
        let out = Timing {
            every,
            timeout: tab.duration("timeout").unwrap_or(d.timeout),
            // A default longer than a short interval says nothing: the interval itself is the retry then.
            retry_interval: tab.duration("retry_interval").unwrap_or(d.retry_interval.min(every)),
            incident_interval: tab.duration("incident_interval").unwrap_or(d.incident_interval.min(every)),
            down_after: tab.int("down_after").unwrap_or(d.down_after),
            up_after: tab.int("up_after").unwrap_or(d.up_after),
            degraded_after: tab.int("degraded_after").unwrap_or(d.degraded_after),
            down_ratio: tab.parsed("down_ratio", value::ratio).unwrap_or(d.down_ratio),
            degraded_ratio: tab.parsed("degraded_ratio", value::ratio).unwrap_or(d.degraded_ratio),
            stale_after: stale.unwrap_or(d.stale_after),
        };
        fits_together(tab, &out, sink);
        out
    }
}

/// Faults only where this table says one of the two values: what `[defaults]` got wrong is told there.
fn fits_together(tab: &Tab, t: &Timing, sink: &mut Sink) {
    let from = |key: &str| if tab.has(key) { "" } else { " (the default)" };
    let place = |a: &str, b: &str| if tab.has(a) { tab.at(a) } else { tab.at(b) };
    let says = |a: &str, b: &str| tab.has(a) || tab.has(b);
    let d = text::duration;
    if says("timeout", "every") && t.timeout >= t.every {
        let message =
            format!("timeout {}{} is not below every {}{}", d(t.timeout), from("timeout"), d(t.every), from("every"));
        sink.fault(place("timeout", "every"), message, "a probe must end before the next one is due");
    }
    for (key, value) in [("retry_interval", t.retry_interval), ("incident_interval", t.incident_interval)] {
        if tab.has(key) && value > t.every {
            let message = format!("{key} {} is longer than every {}{}", d(value), d(t.every), from("every"));
            sink.fault(tab.at(key), message, "it is there to look more often, not less");
        }
    }
    if let Some(stale) = t.stale_after
        && says("stale_after", "every")
        && stale < t.every + t.timeout
    {
        let message = format!(
            "stale_after {}{} is shorter than every {} and timeout {} together",
            d(stale),
            from("stale_after"),
            d(t.every),
            d(t.timeout)
        );
        sink.fault(place("stale_after", "every"), message, "a healthy check would be unknown between two probes");
    }
    if says("degraded_ratio", "down_ratio") && t.degraded_ratio > t.down_ratio {
        let message = format!("degraded_ratio {}/10 is above down_ratio {}/10", t.degraded_ratio, t.down_ratio);
        sink.fault(place("degraded_ratio", "down_ratio"), message, "it would be down before it is degraded");
    }
}

/// A check of a kind. `timeout` is its own, where it has one. `None` after a fault that leaves nothing to check.
pub fn kind(
    word: &str,
    tab: &Tab,
    timeout: Option<Duration>,
    defaults: &Defaults,
    sink: &mut Sink,
) -> Option<CheckKind> {
    if let (Some(latency), Some(timeout)) = (tab.duration("latency_below"), timeout)
        && latency >= timeout
    {
        let message = format!(
            "latency_below {} is not below timeout {}{}",
            text::duration(latency),
            text::duration(timeout),
            if tab.has("timeout") { "" } else { " (the default)" }
        );
        sink.fault(tab.at("latency_below"), message, "a probe that slow has already failed; raise `timeout`");
    }
    let family = tab.text("family").map_or(defaults.family, value::family);
    Some(match word {
        "http" => CheckKind::Http(Box::new(http(tab, defaults, family, sink)?)),
        "tcp" => CheckKind::Tcp(TcpCheck {
            address: tab.string("address")?,
            send: tab.string("send"),
            expect: tab.string("expect"),
            latency_below: tab.duration("latency_below"),
            family,
        }),
        "tls" => CheckKind::Tls(tls(tab, defaults, family, sink)?),
        "dns" => CheckKind::Dns(DnsCheck {
            name: tab.string("name")?,
            record: tab.string("record").unwrap_or_else(|| "A".into()),
            resolver: tab.string("resolver"),
            expect: tab.texts("expect"),
        }),
        "postgres" => CheckKind::Postgres(Box::new(postgres(tab, defaults, sink)?)),
        "redis" => CheckKind::Redis(Box::new(redis(tab, sink)?)),
        "host" => CheckKind::Host(host(tab, sink)),
        "systemd" => CheckKind::Systemd(SystemdCheck { unit: tab.string("unit")?, user: tab.flag("user") }),
        "docker" => CheckKind::Docker(DockerCheck { container: tab.string("container")? }),
        "exec" => CheckKind::Exec(ExecCheck {
            run: argv(tab, "run", sink),
            env: secrets(tab, "env"),
            cwd: tab.path("cwd"),
            output_matches: tab.string("output_matches"),
        }),
        _ => return None,
    })
}

fn http(tab: &Tab, defaults: &Defaults, family: Family, sink: &mut Sink) -> Option<HttpCheck> {
    let url = tab.maybe_secret("url")?;
    let check = HttpCheck {
        method: tab.string("method").unwrap_or_else(|| "GET".into()),
        headers: secrets(tab, "headers"),
        body: tab.string("body"),
        status: match tab.item("status").map(|i| &i.val) {
            Some(Val::Status(ranges)) => ranges.clone(),
            _ => vec![(200, 299)],
        },
        latency_below: tab.duration("latency_below"),
        body_contains: tab.string("body_contains"),
        body_matches: tab.string("body_matches"),
        json: tab.tabs("json").filter_map(json_condition).collect(),
        header_matches: tab.map("header_matches", |i| i.text().map(str::to_owned)),
        redirects: tab.parsed("redirects", value::redirects).unwrap_or(defaults.redirects),
        max_body: tab.size("max_body").or(defaults.max_body).unwrap_or(MAX_BODY),
        keep_alive: tab.flag("keep_alive"),
        family,
        cert_warn_days: tab.int("cert_warn_days"),
        cert_fail_days: tab.int("cert_fail_days"),
        extra_ca: extra_ca(tab, &defaults.extra_ca),
        url,
    };
    let plain = matches!(&check.url, MaybeSecret::Plain(u) if u.starts_with("http://"));
    for key in ["cert_warn_days", "cert_fail_days"] {
        if plain && tab.has(key) {
            sink.fault(
                tab.at_key(key),
                format!("`{key}` does nothing with an http:// address"),
                "https has a certificate",
            );
        }
    }
    days(tab, "cert_warn_days", check.cert_warn_days, "cert_fail_days", check.cert_fail_days, sink);
    let reads_body = check.body_contains.is_some() || check.body_matches.is_some() || !check.json.is_empty();
    if check.method == "HEAD" && reads_body {
        let key = ["body_contains", "body_matches", "json"].into_iter().find(|k| tab.has(k)).unwrap_or("method");
        sink.fault(tab.at(key), format!("`{key}` can never hold: the answer to HEAD has no body"), "use GET");
    }
    if check.body.is_some() && matches!(check.method.as_str(), "GET" | "HEAD") {
        sink.fault(tab.at_key("body"), format!("`body` is not sent with {}", check.method), "set method = \"POST\"");
    }
    Some(check)
}

fn json_condition(tab: &Tab) -> Option<JsonCondition> {
    let equals = match tab.item("equals").map(|i| &i.val) {
        Some(Val::Scalar(v)) => Some(v.clone()),
        _ => None,
    };
    Some(JsonCondition { path: tab.string("path")?, equals, compare: tab.parsed("compare", value::compare) })
}

fn days(tab: &Tab, warn: &str, warn_days: Option<u32>, fail: &str, fail_days: Option<u32>, sink: &mut Sink) {
    if let (Some(w), Some(f)) = (warn_days, fail_days)
        && f > w
    {
        let key = if tab.has(fail) { fail } else { warn };
        sink.fault(tab.at(key), format!("{fail} {f} is above {warn} {w}"), "it would fail before it warns");
    }
}

fn tls(tab: &Tab, defaults: &Defaults, family: Family, sink: &mut Sink) -> Option<TlsCheck> {
    let check = TlsCheck {
        address: tab.string("address")?,
        server_name: tab.string("server_name"),
        warn_days: tab.int("warn_days").unwrap_or(21),
        fail_days: tab.int("fail_days").unwrap_or(3),
        family,
        extra_ca: extra_ca(tab, &defaults.extra_ca),
    };
    days(tab, "warn_days", Some(check.warn_days), "fail_days", Some(check.fail_days), sink);
    Some(check)
}

fn postgres(tab: &Tab, defaults: &Defaults, sink: &mut Sink) -> Option<PostgresCheck> {
    let query = tab.string("query");
    if tab.has("compare") && !tab.has("query") {
        sink.fault(tab.at_key("compare"), "`compare` does nothing without `query`", "add the statement");
    }
    Some(PostgresCheck {
        dsn: tab.maybe_secret("dsn")?,
        password: password(tab, "dsn", sink),
        role: tab.string("role"),
        query_below: tab.duration("query_below").unwrap_or(Duration::from_secs(1)),
        lag_below: tab.duration("lag_below"),
        connections_below: tab.int("connections_below"),
        archiving: tab.flag("archiving"),
        query,
        compare: tab.parsed("compare", value::compare),
        extra_ca: extra_ca(tab, &defaults.extra_ca),
    })
}

/// The password beside an address that must not hold a second one.
pub fn password(tab: &Tab, address: &str, sink: &mut Sink) -> Option<crate::config::SecretRef> {
    let password = tab.secret("password");
    if password.is_some() && matches!(tab.secret(address), Some(crate::config::SecretRef::Literal(_))) {
        let message = format!("`{address}` holds a password and `password` another");
        sink.fault(tab.at_key("password"), message, "keep one of them");
    }
    password
}

fn redis(tab: &Tab, sink: &mut Sink) -> Option<RedisCheck> {
    Some(RedisCheck {
        url: tab.maybe_secret("url")?,
        password: password(tab, "url", sink),
        role: tab.string("role"),
        memory_below: tab.int("memory_below"),
        lag_below: tab.duration("lag_below"),
        persistence: tab.flag("persistence"),
        latency_below: tab.duration("latency_below"),
    })
}

fn host(tab: &Tab, sink: &mut Sink) -> HostCheck {
    let check = HostCheck {
        memory_below: tab.int("memory_below"),
        swap_below: tab.int("swap_below"),
        cpu_below: tab.int("cpu_below"),
        load_below: tab.number("load_below"),
        disk_below: tab.map("disk_below", Item::int),
        inodes_below: tab.map("inodes_below", Item::int),
        writable: tab.paths("writable"),
        exists: tab.paths("exists"),
        fail: tab.flag("fail"),
    };
    const THRESHOLDS: [&str; 8] =
        ["memory_below", "swap_below", "cpu_below", "load_below", "disk_below", "inodes_below", "writable", "exists"];
    if check == (HostCheck { fail: check.fail, ..HostCheck::default() }) && !THRESHOLDS.iter().any(|k| tab.has(k)) {
        let message = "this host check looks at nothing";
        sink.missing(tab.span.clone(), message, format!("set at least one of {}", THRESHOLDS.join(", ")));
    }
    check
}
