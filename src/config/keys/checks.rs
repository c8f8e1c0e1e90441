//! Keys of the checks: `[[service.http]]` and its like, and the same without timing for `verify`.

use super::super::shape::{Choice, Exposed, Key, Table, Ty};
use super::super::value as v;
use super::{ENV, HEADERS};

/// Keys of `[defaults]` that every check may set for itself.
pub static TIMING: &[Key] = &[
    Key::new("every", Ty::Text(&v::DURATION), "Interval between two probes.").default("\"10s\""),
    Key::new("timeout", Ty::Text(&v::DURATION), "Time for a whole probe; must be below `every`.").default("\"5s\""),
    Key::new("retry_interval", Ty::Text(&v::DURATION), "Interval while a change is not yet confirmed.")
        .default("\"2s\""),
    Key::new("incident_interval", Ty::Text(&v::DURATION), "Interval while an open incident names the service.")
        .default("\"2s\""),
    Key::new("down_after", Ty::Int(1, 100), "Failures in a row that make it down.").default("3"),
    Key::new("up_after", Ty::Int(1, 100), "Successes in a row that make it up again.").default("2"),
    Key::new("degraded_after", Ty::Int(1, 100), "Warnings or failures in a row that make it degraded.").default("3"),
    Key::new("down_ratio", Ty::Text(&v::RATIO), "Share of failures in the last ten that makes it down too.")
        .default("\"7/10\""),
    Key::new("degraded_ratio", Ty::Text(&v::RATIO), "Share of failures in the last ten that makes it degraded too.")
        .default("\"3/10\""),
    Key::new(
        "stale_after",
        Ty::Text(&v::DURATION_OR_AUTO),
        "Without a result for this long its state is unknown. auto: three intervals and a timeout, at least 15s.",
    )
    .default("\"auto\""),
];

/// Keys of `[defaults]` that HTTP checks may set for themselves.
pub static HTTP_DEFAULTS: &[Key] = &[
    Key::new("max_body", Ty::Size(1), "Bytes of an answer's body that are read at the most.").default("\"256KiB\""),
    Key::new(
        "redirects",
        Ty::Text(&v::REDIRECTS),
        "Which redirects are followed: none, up to N on the same host, or up to N anywhere.",
    )
    .default("\"same-host:5\""),
];

/// Key of `[defaults]` that checks over the network may set for themselves.
pub static FAMILY: &[Key] =
    &[Key::new("family", Ty::Word(v::FAMILIES), "Addresses that are tried: any, IPv4 only or IPv6 only.")
        .default("\"any\"")];

static NAMED: &[Key] = &[Key::new(
    "name",
    Ty::Text(&v::NAME),
    "Unique within the service. Default: the kind, with a number from the second on (`http 2`).",
)];

static EXTRA_CA: &[Key] = &[Key::new(
    "extra_ca",
    Ty::List(&Ty::Path),
    "Files (PEM) with certificate authorities that are trusted beside those of the host and of `[system]`.",
)];

static LATENCY: &[Key] =
    &[Key::new("latency_below", Ty::Text(&v::DURATION), "A slower answer is a warning; must be below `timeout`.")];

static HTTP: &[Key] = &[
    Key::new("url", Ty::MaybeSecret(&v::HTTP_URL, Exposed::When(v::address_has_secret)), "Address.").required(),
    Key::new("method", Ty::Word(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]), "Request method.")
        .default("\"GET\""),
    Key::new("headers", HEADERS, "Request headers."),
    Key::new("body", Ty::Text(&v::LINES), "Request body."),
    Key::new("status", Ty::Status, "Accepted status codes: one, a list, or ranges.").default("\"200-299\""),
    Key::new("body_contains", Ty::Text(&v::LINES), "Text that the answer's body must contain."),
    Key::new("body_matches", Ty::Text(&v::REGEX), "Regular expression that the answer's body must match."),
    Key::new("json", Ty::Tables { table: &JSON_CONDITION, single: true }, "Conditions on the answer's JSON."),
    Key::new("header_matches", Ty::Map(&v::HEADER, &Ty::Text(&v::REGEX)), "Header of the answer → regular expression."),
    Key::new("keep_alive", Ty::Bool, "Keep the connection for the next probe instead of opening a new one each time.")
        .default("false"),
    Key::new("cert_warn_days", Ty::Int(0, 3650), "Warn when the certificate has fewer days left (https)."),
    Key::new("cert_fail_days", Ty::Int(0, 3650), "Fail when the certificate has fewer days left (https)."),
];

/// One condition on JSON.
static JSON_CONDITION: Table = Table::new(
    "json",
    "A condition on a value in JSON.",
    &[&[
        Key::new("path", Ty::Text(&v::JSON_PATH), "Keys and indexes separated by dots: `checks.db.0.state`.")
            .required(),
        Key::new("equals", Ty::Scalar, "The value must be this text, number or truth value."),
        Key::new("compare", Ty::Text(&v::COMPARE), "The value must be a number for which this holds: `\"> 2\"`."),
    ]],
)
.choosing(&[Choice { by: &["equals"], with: &[] }, Choice { by: &["compare"], with: &[] }]);

static TCP: &[Key] = &[
    Key::new("address", Ty::Text(&v::HOST_PORT), "Host and port.").required(),
    Key::new("send", Ty::Text(&v::LINES), "Text that is sent once connected."),
    Key::new("expect", Ty::Text(&v::LINES), "Text that must come back."),
];

static TLS: &[Key] = &[
    Key::new("address", Ty::Text(&v::HOST_PORT), "Host and port.").required(),
    Key::new(
        "server_name",
        Ty::Text(&v::HOST),
        "Name that the certificate must be for. Default: the host of `address`.",
    ),
    Key::new("warn_days", Ty::Int(0, 3650), "Warn when fewer days are left.").default("21"),
    Key::new("fail_days", Ty::Int(0, 3650), "Fail when fewer days are left.").default("3"),
];

static DNS: &[Key] = &[
    Key::new("name", Ty::Text(&v::HOST), "Name that is asked for.").required(),
    Key::new("record", Ty::Word(&["A", "AAAA", "CNAME", "MX", "TXT", "NS", "SRV"]), "Kind of record.").default("\"A\""),
    Key::new("resolver", Ty::Text(&v::HOST_MAYBE_PORT), "Resolver that is asked. Default: the host's first."),
    Key::new("expect", Ty::List(&Ty::Text(&v::PLAIN)), "Answers of which each must be present."),
];

static POSTGRES: &[Key] = &[
    Key::new("dsn", Ty::MaybeSecret(&v::DSN, Exposed::When(v::address_has_secret)), "Address of the database.")
        .required(),
    Key::new("password", Ty::Secret, "Password, where the address does not carry it."),
    Key::new("role", Ty::Word(&["primary", "standby"]), "What it must be. Default: either."),
    Key::new("query_below", Ty::Text(&v::DURATION), "A slower `select 1` is a warning.").default("\"1s\""),
    Key::new("lag_below", Ty::Text(&v::DURATION), "A standby further behind is a warning."),
    Key::new("connections_below", Ty::Int(1, 100), "More per cent of `max_connections` in use is a warning."),
    Key::new("archiving", Ty::Bool, "Failing WAL archiving is a warning.").default("false"),
    Key::new("query", Ty::Text(&v::SQL), "Statement whose first value must be true, or meet `compare`."),
    Key::new("compare", Ty::Text(&v::COMPARE), "What the value of `query` must meet: `\"< 100\"`."),
];

static REDIS: &[Key] = &[
    Key::new("url", Ty::MaybeSecret(&v::REDIS_URL, Exposed::When(v::address_has_secret)), "Address of the server.")
        .required(),
    Key::new("password", Ty::Secret, "Password, where the address does not carry it."),
    Key::new("role", Ty::Word(&["master", "replica"]), "What it must be. Default: either."),
    Key::new("memory_below", Ty::Int(1, 100), "More per cent of `maxmemory` in use is a warning."),
    Key::new("lag_below", Ty::Text(&v::DURATION), "A replica that heard of its master longer ago is a warning."),
    Key::new("persistence", Ty::Bool, "A failed last save is a warning.").default("false"),
];

static HOST: &[Key] = &[
    Key::new("memory_below", Ty::Int(1, 100), "Per cent of memory in use."),
    Key::new("swap_below", Ty::Int(1, 100), "Per cent of swap in use."),
    Key::new("cpu_below", Ty::Int(1, 100), "Per cent of all cores busy."),
    Key::new("load_below", Ty::Number(0.01, 10_000.0), "One-minute load average per core."),
    Key::new("disk_below", Ty::Map(&v::FOLDER_KEY, &Ty::Int(1, 100)), "Folder → per cent of its file system in use."),
    Key::new("inodes_below", Ty::Map(&v::FOLDER_KEY, &Ty::Int(1, 100)), "Folder → per cent of its inodes in use."),
    Key::new("writable", Ty::List(&Ty::Path), "Folders in which a file must be creatable."),
    Key::new("exists", Ty::List(&Ty::Path), "Files and folders that must exist."),
    Key::new("fail", Ty::Bool, "Passing a threshold is a failure instead of a warning.").default("false"),
];

static SYSTEMD: &[Key] = &[
    Key::new("unit", Ty::Text(&v::UNIT), "Unit that must be active.").required(),
    Key::new("user", Ty::Bool, "The unit belongs to the user's own manager.").default("false"),
];

static DOCKER: &[Key] =
    &[Key::new("container", Ty::Text(&v::CONTAINER), "Container that must be running and, if it says so, healthy.")
        .required()];

static EXEC: &[Key] = &[
    Key::new(
        "run",
        Ty::Argv,
        "Program and arguments, no shell. Exit 0 is ok, 1 a warning, 2 a failure, more an error.",
    )
    .required(),
    Key::new("env", ENV, "Environment beside the engine's own."),
    Key::new("cwd", Ty::Path, "Folder in which it runs."),
    Key::new("output_matches", Ty::Text(&v::REGEX), "Regular expression that the output must match."),
];

macro_rules! checks {
    ($($word:literal $table:ident $verify:ident $doc:literal: [$($part:expr),*] [$($always:expr),*];)*) => {
        $(
            static $table: Table = Table::new(concat!("[[service.", $word, "]]"), $doc, &[$($always,)* $($part,)* TIMING]);
            static $verify: Table = Table::new(concat!("verify.", $word), $doc, &[$($part),*]);
        )*
        /// The kinds of checks as keys of a service.
        pub static CHECKS: &[Key] = &[$(Key::new($word, Ty::Tables { table: &$table, single: true }, $doc)),*];
        /// The kinds of checks that say whether an action had its effect.
        pub static VERIFY: Table = Table::new("verify", "One check that must hold after an action.", &[&[
            $(Key::new($word, Ty::Table(&$verify), $doc)),*
        ]]).choosing(&[$(Choice { by: &[$word], with: &[] }),*]);
    };
}

checks! {
    "http" HTTP_CHECK HTTP_VERIFY "A request over HTTP or HTTPS.": [HTTP, LATENCY, HTTP_DEFAULTS, FAMILY, EXTRA_CA] [NAMED];
    "tcp" TCP_CHECK TCP_VERIFY "A connection.": [TCP, LATENCY, FAMILY] [NAMED];
    "tls" TLS_CHECK TLS_VERIFY "A TLS handshake and the certificate's remaining life.": [TLS, FAMILY, EXTRA_CA] [NAMED];
    "dns" DNS_CHECK DNS_VERIFY "A question to a resolver.": [DNS] [];
    "postgres" POSTGRES_CHECK POSTGRES_VERIFY "A login and a statement in PostgreSQL.": [POSTGRES, EXTRA_CA] [NAMED];
    "redis" REDIS_CHECK REDIS_VERIFY "PING and INFO in Redis.": [REDIS, LATENCY] [NAMED];
    "host" HOST_CHECK HOST_VERIFY "The host that the engine runs on; thresholds of which at least one is set.": [HOST] [NAMED];
    "systemd" SYSTEMD_CHECK SYSTEMD_VERIFY "A unit of systemd.": [SYSTEMD] [NAMED];
    "docker" DOCKER_CHECK DOCKER_VERIFY "A container of Docker.": [DOCKER] [NAMED];
    "exec" EXEC_CHECK EXEC_VERIFY "A command, with the exit codes of Nagios plugins.": [EXEC] [NAMED];
}
