//! The forms that texts in a configuration take, and how they are read.
//!
//! Each form is checked once while the file is read; what reads it afterwards may rely on that. Pure but for `dsn`, which
//! asks for the name of this process' user where the address leaves it out.

mod address;
mod amount;
mod name;

use super::shape::Format;
use crate::text;

use address::*;
use amount::*;
use name::*;

pub use address::{
    FAMILIES, address_has_secret, family, family_text, host_port, looks_secret, redirects, redirects_text,
};
pub use amount::{compare, compare_text, duration_text, ratio, size, size_text, status_range};

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
    ONLY: "a pattern for paths below a folder", "\"nginx/**\" or \"*.pem\"", r"^[^/]", only;
    HOST_PORT: "an address with a port", "\"db.example.org:5432\"", r"^\S+:[0-9]{1,5}$", |t| host_port(t).map(drop);
    HOST_MAYBE_PORT: "a host, with or without a port", "\"9.9.9.9\" or \"9.9.9.9:53\"", r"^\S+$", host_maybe_port;
    IP: "an IP address", "\"10.0.4.7\"", r"^[0-9a-fA-F:.]+$", ip;
    HOST: "a host name", "\"mail.example.org\"", r"^[^\s/:@]+$|^[0-9a-fA-F:.]+$", host;
    HTTP_URL: "an http or https address", "\"https://api.example.org/health\"", r"^https?://", http_url;
    REDIS_URL: "a Redis address", "\"redis://127.0.0.1:6379\", \"rediss://…\" or \"unix:/run/redis.sock\"", r"^(rediss?://|redis\+unix://|unix:)", redis_url;
    DSN: "a PostgreSQL address", "\"postgres://mayday@127.0.0.1:5432/app\" or \"host=… dbname=…\"", r"=|^postgres(ql)?://", dsn;
    REDIRECTS: "a rule for redirects", "\"none\", \"same-host:5\" or \"any:3\"", r"^(none|(same-host|any):([1-9]|1[0-9]|20))$", |t| redirects(t).map(drop);
    HEADER: "a header name", "\"X-Api-Version\"", r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", header_name;
    HEADER_VALUE: "a header value", "\"application/json\"", r"^[^\u0000-\u0008\u000a-\u001f]*$", header_value;
    ENV_NAME: "the name of an environment variable", "\"PGPASSWORD\"", r"^[A-Za-z_][A-Za-z0-9_]*$", env_name;
    SETTING: "the name of a setting of PostgreSQL", "\"work_mem\"", r"^[A-Za-z_][A-Za-z0-9_.]*$", setting_name;
    FOLDER_KEY: "an absolute path", "\"/var\"", r"^/", absolute;
    UNIT: "the name of a systemd unit", "\"api.service\"", r"^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*$", unit;
    CONTAINER: "the name of a container", "\"app-db-1\"", r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", container;
    WORKLOAD: "a workload", "\"deployment/api\"", r"^[a-z][a-z.]*/[a-z0-9][a-z0-9.-]*$", workload;
    DATABASE: "the name of a database", "\"app\"", r"^[^\u0000-\u001f]{1,63}$", database;
    MAILBOX: "a mail address", "\"ops@example.org\" or \"Ops <ops@example.org>\"", r"@", mailbox;
    CURRENCY: "a currency", "\"EUR\"", r"^[A-Z]{3}$", currency;
    JSON_PATH: "a path in JSON", "\"status\" or \"checks.db.0.state\"", r"^[^.\s][^\u0000-\u001f]*$", json_path;
    SQL: "a statement", "\"select count(*) > 0 from users\"", r"\S", sql;
    CRON: "a cron expression of five fields", "\"0 22 * * SAT\"", r"^\s*(\S+\s+){4}\S+\s*$", |t| super::maintenance::cron(t).map(drop);
    ZONE: "a time zone", "\"Europe/Berlin\"", r"^[A-Za-z0-9_+/-]+$", |t| super::maintenance::zone(t).map(drop);
    MOMENT: "a moment", "\"2026-12-05T22:00:00Z\"", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T", |t| crate::domain::Time::parse(t).map(drop);
    DEED: "something that needs a level", "\"restart\", \"restore\" or \"cut-over\"", r"^[a-z-]+$", deed;
    GROUP: "the name of a group", "\"oncall\"", r"^[a-z_][a-z0-9_.-]*\$?$", group;
}

const DURATION_PATTERN: &str = r"^(\s*[0-9]+\s*(ms|s|m|min|h|d|w))+\s*$";

/// A value from the file, fit to stand in a message.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text::clean::clean_to(text, 60))
}
