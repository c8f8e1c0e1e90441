//! Bad input: where, what, and what to do.

use mayday::config::{self, Fault};

use crate::{good, nowhere, repo};

/// Stands in front of most texts below and takes two lines.
const SYSTEM: &str = "[system]\nname = \"shop\"\n";
/// One service with one check; with [`SYSTEM`] in front it takes lines 3 to 6.
const API: &str = "[[service]]\nname = \"api\"\n[[service.http]]\nurl = \"http://127.0.0.1/\"\n";
/// A complete backup, four lines.
const BACKUP: &str = "[[backup]]\nname = \"db\"\nrpo = \"1h\"\nfiles = { path = \"/b\", pattern = \"*.dump\" }\n";

/// A text, and the faults it must have: line, and parts of message or hint.
type Case = (String, Vec<(usize, &'static str)>);

fn case(text: impl Into<String>, faults: &[(usize, &'static str)]) -> Case {
    (text.into(), faults.to_vec())
}

fn in_system(line: &str, fault: &'static str) -> Case {
    case(format!("{SYSTEM}{line}\n"), &[(3, fault)])
}

fn in_http(line: &str, fault: &'static str) -> Case {
    case(format!("{SYSTEM}{API}{line}\n"), &[(7, fault)])
}

fn in_check(kind: &str, lines: &str, at: usize, fault: &'static str) -> Case {
    case(format!("{SYSTEM}[[service]]\nname = \"api\"\n[service.{kind}]\n{lines}\n"), &[(5 + at, fault)])
}

fn in_service(line: &str, fault: &'static str) -> Case {
    case(format!("{SYSTEM}[[service]]\nname = \"api\"\n{line}\n"), &[(5, fault)])
}

fn in_backup(line: &str, fault: &'static str) -> Case {
    case(format!("{SYSTEM}{BACKUP}{line}\n"), &[(7, fault)])
}

/// A backup in a repository, with its restore in line 5.
fn repository(source: &str, restore: &str) -> String {
    format!("{SYSTEM}[[backup]]\nname = \"v\"\n{source}\nrestore = {restore}\n")
}

fn vault(source: &str, restore: &str) -> String {
    let password = source.replace(" }", ", password = { env = \"P\" } }");
    format!("{SYSTEM}[[backup]]\nname = \"v\"\n{password}\nrestore = {restore}\n")
}

fn in_action(line: &str, fault: &'static str) -> Case {
    case(format!("{SYSTEM}[[action]]\nname = \"a\"\nrun = [\"true\"]\n{line}\n"), &[(6, fault)])
}

/// With these lines in front, the fault in one of them.
fn ruled(lines: &str, at: usize, fault: &'static str) -> Case {
    case(format!("{SYSTEM}{lines}\n"), &[(2 + at, fault)])
}

/// In a recovery's step; the service takes lines 3 to 6, the copies 7 to 10, the step begins in line 13.
fn in_step(lines: &str, at: usize, fault: &'static str) -> Case {
    case(format!("{SYSTEM}{API}{BACKUP}[[recovery]]\nname = \"r\"\n[[recovery.step]]\n{lines}\n"), &[(13 + at, fault)])
}

fn in_recovery(lines: &str, at: usize, fault: &'static str) -> Case {
    let step = "[[recovery.step]]\nphase = \"validate\"\nwithin = \"1m\"\nhealthy = [\"api\"]\n";
    case(format!("{SYSTEM}{API}[[recovery]]\nname = \"r\"\n{lines}\n{step}"), &[(8 + at, fault)])
}

fn in_channel(line: &str, fault: &'static str) -> Case {
    case(format!("{SYSTEM}[[channel]]\nname = \"c\"\n{line}\n"), &[(5, fault)])
}

/// Faults of a single key or value, which the JSON Schema must refuse as well.
pub fn local_cases() -> Vec<Case> {
    let long = "x".repeat(65);
    vec![
        case("", &[(1, "the file needs `system`")]),
        case("[system]\n", &[(1, "[system] needs `name`")]),
        // Names.
        case("[system]\nname = \"\"\n", &[(2, "`name` must not be empty")]),
        case("[system]\nname = \"a/b\"\n", &[(2, "no slash")]),
        case("[system]\nname = \"..\"\n", &[(2, "no dot in front")]),
        case("[system]\nname = \"a\\u0007b\"\n", &[(2, "control, invisible or direction-changing")]),
        case(format!("[system]\nname = \"{long}\"\n"), &[(2, "at most 64 characters")]),
        case(format!("{SYSTEM}[[service]]\nname = \"--force\"\n"), &[(4, "must not begin with a hyphen")]),
        case(format!("{SYSTEM}[[service]]\nname = \" api\"\n"), &[(4, "must not begin or end with a space")]),
        // Unknown keys.
        in_system("environmnet = \"production\"", "did you mean `environment`?"),
        in_system("rto = \"5m\"", "`rto` belongs in [[service]]"),
        in_system("colour = 1", "known here: name, environment"),
        case("[system]\nname = \"shop\"\n[sytem]\nname = \"x\"\n", &[(3, "did you mean `system`?")]),
        case(format!("{SYSTEM}[[trigger]]\nname = \"x\"\n"), &[(3, "unknown key `trigger`")]),
        in_http("interval = \"10s\"", "did you mean `every`?"),
        in_http("latency = \"2s\"", "did you mean `latency_below`?"),
        in_service("id = \"api\"", "did you mean `name`?"),
        in_service("postgresql = {}", "did you mean `postgres`?"),
        in_service("control = { systemd = \"a.service\", usr = true }", "did you mean `user`?"),
        case(format!("{SYSTEM}[severity.P0]\nescalade = \"full\"\n"), &[(4, "unknown key `escalade`")]),
        case(format!("{SYSTEM}[severity.P4]\nrespond_within = \"1h\"\n"), &[(3, "\"P4\" is not a severity")]),
        // Types.
        case("[system]\nname = 7\n", &[(2, "`name` must be a name, found the number 7")]),
        case("system = \"shop\"\n", &[(1, "`system` must be a table, found a text: write [system]")]),
        case(format!("{SYSTEM}service = \"api\"\n"), &[(3, "unknown key `service` in [system]")]),
        case(
            format!("service = \"api\"\n{SYSTEM}"),
            &[(1, "`service` must be tables, found a text: write [[service]]")],
        ),
        case(format!("service = [1]\n{SYSTEM}"), &[(1, "`service` must hold tables, found the number 1")]),
        case(format!("{SYSTEM}[service]\nname = \"api\"\n"), &[(3, "write [[service]] with two brackets")]),
        in_service("tier = \"1\"", "`tier` must be a whole number from 1 to 4, found a text"),
        in_service("tier = 5", "`tier` must be a whole number from 1 to 4, found the number 5"),
        in_service("tier = 99999999999999999999", "`tier` must be a whole number from 1 to 4"),
        in_service("tier = 2020-01-01", "found a date"),
        in_service("depends_on = \"db\"", "`depends_on` must be a list, found a text: write depends_on = [ … ]"),
        in_service("depends_on = [1]", "`depends_on` must be a name, found the number 1"),
        in_service("http = \"http://x/\"", "`http` must be tables, found a text"),
        in_http("keep_alive = \"yes\"", "`keep_alive` must be true or false, found a text"),
        in_http("method = \"get\"", "did you mean \"GET\"?"),
        in_http("family = \"both\"", "must be one of \"any\", \"v4\", \"v6\", found \"both\""),
        in_system("availability_target = 101", "a number from 0 to 100, found the number 101"),
        in_system("availability_target = -1.0", "a number from 0 to 100, found the number -1.0"),
        in_system("availability_target = nan", "a number from 0 to 100"),
        in_system(
            "downtime_cost = { per_hour = -5, currency = \"EUR\" }",
            "`per_hour` must be a number, at least 0, found the number -5",
        ),
        in_system("downtime_cost = { per_hour = 5, currency = \"euro\" }", "three letters"),
        in_system("downtime_cost = { per_hour = 5 }", "downtime_cost needs `currency`"),
        // Durations and sizes.
        in_service("rto = 10", "`rto` must be a duration, found the number 10"),
        in_service("rto = \"10\"", "`rto` must be a duration, found \"10\""),
        in_service("rto = \"10 parsecs\"", "`rto` must be a duration, found \"10 parsecs\""),
        in_service("rto = \"-5m\"", "`rto` must be a duration, found \"-5m\""),
        in_http("max_body = \"-1\"", "`max_body` must be a size"),
        in_http("max_body = 0", "`max_body` must be at least 1"),
        case(format!("{SYSTEM}[engine]\noutput_limit = \"1KiB\"\n"), &[(4, "at least 64KiB")]),
        // Forms.
        in_http("status = 99", "`status` must be status codes from 100 to 599, found \"99\""),
        in_http("status = \"600-700\"", "`status` must be status codes from 100 to 599"),
        in_http("status = []", "`status` must name at least one"),
        in_http("status = { from = 200 }", "write 200, [200, 204] or \"200-299\""),
        in_http("json = { path = \"a..b\", equals = 1 }", ""),
        in_http(
            "json = { path = \"a\", compare = \"about 3\" }",
            "`compare` must compare with a number, found \"about 3\"",
        ),
        in_http("json = { path = \"a\" }", "json needs one of: `equals`, `compare`"),
        in_http("json = { path = \"a\", equals = [1] }", "`equals` must be a text, a number, true or false"),
        in_http("redirects = \"all\"", "must be none, same-host:N or any:N"),
        in_http("redirects = \"any:21\"", "must be none, same-host:N or any:N"),
        in_http("down_ratio = \"11/10\"", "a share of the last ten results"),
        in_http("down_after = 0", "`down_after` must be a whole number from 1 to 100"),
        in_http("headers = { \"a b\" = \"c\" }", "\"a b\" is not the name of a header"),
        in_http("headers = { A = \"b\\u0001\" }", "one line of visible characters"),
        case(
            format!("{SYSTEM}[[service]]\nname = \"a\"\n[service.http]\nurl = \"ftp://x/\"\n"),
            &[(6, "found \"ftp\"")],
        ),
        case(format!("{SYSTEM}[[service]]\nname = \"a\"\n[service.http]\nurl = \"localhost:80\"\n"), &[(6, "http://")]),
        in_check("tcp", "address = \"localhost\"", 1, "`address` must be a host and a port, found \"localhost\""),
        in_check("host", "disk_below = { var = 80 }", 1, "\"var\" is not an absolute path"),
        in_check("host", "disk_below = { \"/\" = 0 }", 1, "must be a whole number from 1 to 100"),
        in_check("systemd", "unit = \"-p\"", 1, "must be the name of a unit"),
        in_check("docker", "container = \"a b\"", 1, "must be the name of a container"),
        in_check("dns", "name = \"a\"\nrecord = \"PTR\"", 2, "must be one of \"A\""),
        in_check("redis", "url = \"http://x\"", 1, "must begin with redis://, rediss:// or unix:"),
        in_check("postgres", "dsn = \"localhost\"", 1, "must be postgres://… or key=value pairs"),
        in_check("exec", "run = \"check x\"", 1, "`run` must be a list of texts, found a text"),
        in_check("exec", "run = []", 1, "`run` must name a program"),
        in_check("exec", "run = [1]", 1, "`run` must hold texts, found the number 1"),
        in_check(
            "exec",
            "run = [\"true\"]\nenv = { \"A=B\" = \"c\" }",
            2,
            "is not the name of an environment variable",
        ),
        in_service("control = { kubernetes = { workload = \"api\" } }", "`workload` must be a kind and a name"),
        in_service("control = { compose = {} }", "compose needs `service`"),
        in_service("control = {}", "control needs one of: `systemd`, `docker`"),
        in_service("control = { systemd = \"a.service\", docker = \"b\" }", "not `systemd` and `docker`"),
        in_service("control = { docker = \"b\", timeout = \"1m\" }", "`timeout` does nothing beside `docker`"),
        in_backup("restore = {}", "restore needs one of: `postgres_dump`, `postgres_pitr`, `folder`"),
        in_backup("restore = { folder = {} }", "folder needs `path`"),
        in_backup("restore = { folder = { path = \"~/docs\" } }", "neither ~ nor variables are replaced"),
        in_backup("restore = { folder = { path = \"\" } }", "`path` must not be empty"),
        in_backup("restore = { folder = { path = \"/d\", only = [\"/etc\"] } }", "begins with a slash"),
        in_backup("restore = { folder = { path = \"/d\", compare = \"bytes\" } }", "\"quick\""),
        in_backup(
            "restore = { folder = { path = \"/a\", strip = -1 } }",
            "`strip` must be a whole number from 0 to 64",
        ),
        in_backup(
            "restore = { folder = { path = \"/a\", verify = [\"ls\"] } }",
            "`verify` must be a list of texts, found a text",
        ),
        in_step(
            "phase = \"assess\"\nwithin = \"1m\"",
            0,
            "needs one of: `restore`, `restart`, `action`, `healthy`, `look`",
        ),
        in_step(
            "phase = \"assess\"\nwithin = \"1m\"\nlook = \"x\"\nhealthy = [\"api\"]",
            3,
            "not `healthy` and `look`",
        ),
        in_step("phase = \"assess\"\nwithin = \"1m\"\nlook = \"\"", 3, "`look` must not be empty"),
        in_step("phase = \"mend\"\nwithin = \"1m\"\nlook = \"x\"", 1, "must be one of \"assess\""),
        in_step("within = \"1m\"\nlook = \"x\"", 0, "needs `phase`"),
        in_step("phase = \"assess\"\nlook = \"x\"", 0, "needs `within`"),
        in_recovery("kind = \"aliens\"", 1, "must be one of \"service-hang\""),
        case(format!("{SYSTEM}[[recovery]]\nname = \"r\"\n"), &[(3, "[[recovery]] needs `step`")]),
        in_action("risk = \"high\"", "must be one of \"observe\", \"disruptive\", \"destructive\", found \"high\""),
        in_action("verify = { http = { url = \"http://x/\" }, tcp = { address = \"a:1\" } }", "not `http` and `tcp`"),
        in_action("verify = { http = { url = \"http://x/\", every = \"1s\" } }", "`every` belongs in"),
        in_channel("slack = { webhook = { env = \"a b\" } }", "is not the name of an environment variable"),
        in_channel("slack = { webhook = { env = \"A\", file = \"/b\" } }", "not `env` and `file`"),
        in_channel("slack = { webhook = {} }", "a secret needs one of: `env`, `file`, `command`"),
        in_channel("slack = { webhook = { command = [] } }", "`command` must name a program"),
        in_channel("slack = { webhook = 3 }", "`webhook` must be an http or https address or a secret"),
        in_channel(
            "auto = [\"always\"]\nslack = { webhook = { env = \"A\" } }",
            "must be one of \"declared\", \"escalated\", \"glass-broken\", found \"always\"",
        ),
        in_channel("email = { host = \"h\", from = \"a@b\", to = \"c@d\" }", "`to` must be a list"),
        in_channel("email = { host = \"h\", from = \"nobody\", to = [\"c@d\"] }", "`from` must be a mail address"),
        in_channel("email = { host = \"h\", port = 0, from = \"a@b\", to = [\"c@d\"] }", "from 1 to 65535"),
    ]
}

/// Faults that only show when several values are seen together, or that a pattern cannot say.
fn other_cases() -> Vec<Case> {
    let two = |second: &str| format!("{SYSTEM}{API}[[service]]\nname = \"db\"\n{second}\n");
    vec![
        // Times that cannot be.
        in_service("rto = \"0s\"", "`rto` must be longer than zero"),
        in_http("every = \"0s\"", "`every` must be longer than zero"),
        in_http("every = \"5s\"", "timeout 5s (the default) is not below every 5s"),
        in_http("timeout = \"10s\"", "timeout 10s is not below every 10s (the default)"),
        in_http("every = \"10s\"\ntimeout = \"20s\"", ""),
        in_http("retry_interval = \"11s\"", "retry_interval 11s is longer than every 10s (the default)"),
        in_http("incident_interval = \"1m\"", "incident_interval 1m is longer than every 10s (the default)"),
        in_http("stale_after = \"12s\"", "stale_after 12s is shorter than every 10s and timeout 5s together"),
        in_http("degraded_ratio = \"8/10\"", "degraded_ratio 8/10 is above down_ratio 7/10"),
        in_http("latency_below = \"5s\"", "latency_below 5s is not below timeout 5s (the default)"),
        in_http("every = \"200y\"", "`every` must be a duration"),
        in_http("stale_after = \"5300w\"", "beyond a hundred years"),
        case(format!("{SYSTEM}[defaults]\nevery = \"3s\"\n"), &[(4, "timeout 5s (the default) is not below every 3s")]),
        in_backup("grace = \"5m\"", "`grace` does nothing without `every`"),
        in_backup("every = \"1h\"\ngrace = \"1h\"", ""),
        // Values that do nothing or can never hold.
        in_http("cert_warn_days = 10", "`cert_warn_days` does nothing with an http:// address"),
        in_http("body = \"x\"", "`body` is not sent with GET: set method = \"POST\""),
        in_http("method = \"HEAD\"\nbody_contains = \"x\"", ""),
        in_http("body_matches = \"(\"", "`body_matches` is not a regular expression: unclosed group"),
        in_http("body_matches = \"\"", "`body_matches` must not be empty"),
        in_http("header_matches = { A = \"[\" }", "is not a regular expression"),
        in_http("status = \"299-200\"", "a range that ends before it begins"),
        in_check("tls", "address = \"h:443\"\nwarn_days = 2", 2, "fail_days 3 is above warn_days 2"),
        in_check("tcp", "address = \"::1:80\"", 1, "write an IPv6 address in brackets"),
        in_check("tcp", "address = \"h:70000\"", 1, "must be a host and a port"),
        in_check("host", "fail = true", 0, "this host check looks at nothing"),
        in_check("postgres", "dsn = \"dbname=a\"\ncompare = \"> 1\"", 2, "`compare` does nothing without `query`"),
        in_check("postgres", "dsn = \"postgres://h/db?sslmode=maybe\"", 1, "sslmode must be"),
        in_check("redis", "url = \"redis://h/cache\"", 1, "must end in the number of a database"),
        in_check("exec", "run = [\"bin/check\"]", 1, "write the whole path, or set `cwd`"),
        in_check("postgres", "dsn = \"postgres://a:b@h/d\"\npassword = { env = \"P\" }", 2, "`dsn` holds a password"),
        in_action("verify_within = \"1m\"", "`verify_within` does nothing without `verify`"),
        in_channel(
            "email = { host = \"h\", user = \"u\", from = \"a@b\", to = [\"c@d\"] }",
            "`user` does nothing without `password`",
        ),
        in_channel("email = { host = \"h\", from = \"a@b\", to = [] }", "`to` names nobody"),
        case(format!("{SYSTEM}[[channel]]\nname = \"c\"\n"), &[(3, "needs one of: `slack`, `webhook`, `email`")]),
        // What is promised, and whom to call.
        case(
            format!("{SYSTEM}[severity.P0]\nphases = {{ response = \"1h\", mitigation = \"30m\" }}\n"),
            &[(4, "`mitigation` ends before the phase before it, at T+1h")],
        ),
        case(
            format!("{SYSTEM}[severity.P0]\nescalate = [\"on-call\"]\n"),
            &[(4, "no contact stands for level \"on-call\"")],
        ),
        case(
            format!("{SYSTEM}[severity.P0]\nescalate_after = \"5m\"\n"),
            &[(4, "`escalate_after` does nothing without `escalate`")],
        ),
        case(
            format!("{SYSTEM}[[contact]]\nname = \"a\"\nlevels = [\"x\"]\n[severity.P0]\nescalate = [\"x\", \"x\"]\n"),
            &[(7, "level \"x\" is named twice")],
        ),
        case(format!("{SYSTEM}[[contact]]\nname = \"a\"\nchannels = [\"chat\"]\n"), &[(5, "\"chat\"")]),
        case(format!("{SYSTEM}[[contact]]\nname = \"a\"\n[[contact]]\nname = \"a\"\n"), &[(6, "\"a\"")]),
        // Patterns and folders.
        case(
            format!("{SYSTEM}[[backup]]\nname = \"b\"\nfiles = {{ path = \"/b\", pattern = \"*/*.dump\" }}\n"),
            &[(5, "add recursive = true")],
        ),
        case(
            format!("{SYSTEM}[[backup]]\nname = \"b\"\nfiles = {{ path = \"/b\", pattern = \"a[\" }}\n"),
            &[(5, "`pattern` is not a pattern")],
        ),
        case(
            format!("{SYSTEM}[[backup]]\nname = \"b\"\n"),
            &[(3, "[[backup]] needs one of: `files`, `restic`, `borg`")],
        ),
        case(
            vault("restic = { repository = \"/r\" }", "{ folder = { path = \"/r\" } }"),
            &[(6, "which holds the copies")],
        ),
        case(
            vault("restic = { repository = \"/r\" }", "{ folder = { path = \"/d\", strip = 1 } }"),
            &[(6, "`strip` does nothing for copies of `restic`")],
        ),
        case(
            vault("borg = { repository = \"/r\" }", "{ folder = { path = \"/d\", identity = \"/k\" } }"),
            &[(6, "`identity` does nothing for copies of `borg`")],
        ),
        case(
            repository("walg = { config = \"/w.json\" }", "{ folder = { path = \"/d\" } }"),
            &[(6, "base backups of wal-g are restored out of the same repository")],
        ),
        case(
            repository(
                "pgbackrest = { stanza = \"main\" }",
                "{ postgres_pitr = { database = \"d\", directory = \"/d\", pgbackrest = { stanza = \"other\" } } }",
            ),
            &[(6, "base backups of pgbackrest are restored out of the same repository")],
        ),
        case(repository("walg = {}", "{ folder = { path = \"/d\" } }"), &[(5, "`config`"), (6, "same repository")]),
        case(
            vault("borg = { repository = \"r\" }", "{ folder = { path = \"/d\" } }"),
            &[(5, "write it as an absolute path")],
        ),
        case(
            vault("borg = { repository = \"/r\" }", "{ postgres_dump = { database = \"a\", dsn = \"dbname=a\" } }"),
            &[(6, "copies of `borg` are folders")],
        ),
        in_backup(
            "restore = { folder = { path = \"/d\", inside = \"/x\" } }",
            "`inside` does nothing for copies of `files`",
        ),
        in_backup("restore = { folder = { path = \"/\" } }", ""),
        in_backup("restore = { folder = { path = \"/b\" } }", "a restore would replace /b, which holds the copies"),
        in_backup(
            "restore = { postgres_dump = { database = \"template1\", dsn = \"dbname=a\" } }",
            "new databases are made from it",
        ),
        in_backup("restore = { postgres_dump = { database = \"d\" } }", "does not say how to reach the server"),
        in_backup("restore = { redis = {} }", "redis does not say how to reach the server"),
        in_backup(
            "restore = { redis = { url = \"redis://h\", conflicts = \"skip\" } }",
            "`conflicts` does nothing without `keys`",
        ),
        in_backup("restore = { redis = { url = \"redis://h\", by = \"file\" } }", "nothing says how"),
        in_backup(
            "restore = { redis = { url = \"redis://h\", reachable_as = \"this-host\" } }",
            "must be an IP address",
        ),
        in_backup(
            "restore = { rabbitmq_definitions = { url = \"http://h\", user = \"u\" } }",
            "rabbitmq_definitions needs `password`",
        ),
        in_backup(
            "restore = { postgres_pitr = { database = \"d\", directory = \"/s\" } }",
            "needs one of: `wal_archive`, `pgbackrest`",
        ),
        in_backup(
            "restore = { postgres_pitr = { database = \"d\", directory = \"/b/s\", wal_archive = \"/w\" } }",
            "would be listed as copies",
        ),
        in_backup(
            "restore = { postgres_pitr = { database = \"d\", directory = \"/s,t\", wal_archive = \"/w\" } }",
            "without comma, quotes and backslash",
        ),
        in_backup(
            "restore = { postgres_pitr = { database = \"d\", directory = \"/s\", wal_archive = \"/w\", settings = { Archive_Mode = \"on\" } } }",
            "keeps the side server apart from the live one",
        ),
        in_backup(
            "restore = { postgres_pitr = { database = \"d\", directory = \"/s\", wal_archive = \"/w\", settings = { \"a b\" = \"on\" } } }",
            "no name of a setting",
        ),
        in_backup(
            "restore = { postgres_pitr = { database = \"d\", directory = \"/s\", wal_archive = \"/w\", dsn = \"dbname=a\" } }",
            "`dsn` does nothing without `tables`",
        ),
        in_backup(
            "restore = { postgres_pitr = { database = \"d\", directory = \"/s\", wal_archive = \"/w\", tables = [\"t\"] } }",
            "how to reach the server that `tables` go to",
        ),
        in_backup(
            "restore = { postgres_pitr = { database = \"d\", directory = \"/s\", wal_archive = \"/w\", tables = [\"t\"], dsn = \"dbname=a\", switch = [\"x\"] } }",
            "`switch` does nothing beside `tables`",
        ),
        // Recoveries.
        in_step("phase = \"assess\"\nwithin = \"0s\"\nlook = \"x\"", 2, "`within` must be longer than zero"),
        in_step(
            "phase = \"assess\"\nwithin = \"1m\"\nrestore = \"dbx\"",
            3,
            "there is no backup \"dbx\": did you mean \"db\"?",
        ),
        in_step("phase = \"assess\"\nwithin = \"1m\"\nrestore = \"db\"", 3, "backup \"db\" has no way to be restored"),
        in_step(
            "phase = \"assess\"\nwithin = \"1m\"\naction = \"x\"",
            3,
            "there is no action \"x\": there is no [[action]] yet",
        ),
        in_step(
            "phase = \"assess\"\nwithin = \"1m\"\nhealthy = [\"ap\"]",
            3,
            "there is no service \"ap\": did you mean \"api\"?",
        ),
        in_step("phase = \"assess\"\nwithin = \"1m\"\nhealthy = []", 3, "`healthy` names no service"),
        in_step(
            "phase = \"assess\"\nwithin = \"1m\"\nrestart = \"api\"",
            3,
            "\"api\" has no control that can restart it",
        ),
        in_recovery("services = [\"api\", \"api\"]", 1, "\"api\" is named twice"),
        ruled(
            "[authority]\neverybody = \"all\"",
            2,
            "must be one of \"monitoring\", \"configuration\", \"services\", \"full\"",
        ),
        ruled("[authority]\neverybody = \"services\"\nneeds = { reboot = \"full\" }", 3, "is none of restart, stop"),
        ruled("[authority]\nroles = { commander = \"full\" }", 2, "`roles` does nothing: everybody may everything"),
        ruled("[authority]\neverybody = \"full\"\nneeds = { drop = \"full\" }", 3, "`needs` does nothing"),
        in_backup("second_person = true", "`second_person` does nothing for a backup without a restore"),
        case(
            format!(
                "{SYSTEM}{API}[[recovery]]\nname = \"r\"\nservices = [\"apx\"]\n[[recovery.step]]\nphase = \"assess\"\nwithin = \"1m\"\nhealthy = [\"api\"]\n"
            ),
            &[(9, "there is no service \"apx\""), (10, "this step is about \"api\", which is not in `services`")],
        ),
        case(
            format!(
                "{SYSTEM}{API}[[recovery]]\nname = \"status\"\n[[recovery.step]]\nphase = \"assess\"\nwithin = \"1m\"\nlook = \"x\"\n"
            ),
            &[(8, "\"status\" is a word of `mayday recover` itself")],
        ),
        case(
            format!(
                "{SYSTEM}{API}[[recovery]]\nname = \"r\"\nservices = [\"api\"]\n[[recovery.step]]\nphase = \"restart\"\nwithin = \"1m\"\nlook = \"x\"\n"
            ),
            &[(9, "no step is about \"api\""), (10, "it is about no service: set its phase to assess or validate")],
        ),
        case(
            format!(
                "{SYSTEM}{API}{}{}",
                API.replace("api", "web"),
                "[[recovery]]\nname = \"r\"\nservices = [\"api\"]\n[[recovery.step]]\nphase = \"validate\"\nwithin = \"1m\"\nhealthy = [\"api\", \"web\"]\n"
            ),
            &[(14, "this step is about \"web\", which is not in `services`")],
        ),
        // Services that wait for each other have no order to derive: told once, where it is.
        case(
            format!(
                "{SYSTEM}[[service]]\nname = \"a\"\ndepends_on = [\"b\"]\n[[service.tcp]]\naddress = \"h:1\"\n[[service]]\nname = \"b\"\ndepends_on = [\"a\"]\n[[service.tcp]]\naddress = \"h:2\"\n\
                 [[recovery]]\nname = \"r\"\nservices = [\"a\", \"b\"]\n[[recovery.step]]\nphase = \"validate\"\nwithin = \"1m\"\nhealthy = [\"a\", \"b\"]\n"
            ),
            &[(5, "dependency cycle: a → b → a")],
        ),
        // Names between tables.
        in_service("depends_on = [\"ap\"]", "there is no service \"ap\": did you mean \"api\"?"),
        in_service("depends_on = [\"queue\"]", "there is no service \"queue\": add a [[service]]"),
        in_service("depends_on = [\"api\"]", "\"api\" depends on itself"),
        case(two("depends_on = [\"api\", \"api\"]"), &[(9, "\"api\" is named twice")]),
        in_backup("service = \"api\"", "there is no service \"api\": there is no [[service]] yet"),
        in_action("service = \"api\"", "there is no service \"api\""),
        case(format!("{SYSTEM}{API}{API}"), &[(8, "a second service \"api\", the first is in line 4")]),
        case(format!("{SYSTEM}{BACKUP}{BACKUP}"), &[(8, "a second backup \"db\", the first is in line 4")]),
        case(
            format!(
                "{SYSTEM}[[service]]\nname = \"a\"\n[[service.tcp]]\nname = \"x\"\naddress = \"h:1\"\n[[service.http]]\nname = \"x\"\nurl = \"http://h/\"\n"
            ),
            &[(9, "two checks of this service are named \"x\"")],
        ),
        case(
            format!(
                "{SYSTEM}[[service]]\nname = \"a\"\ndepends_on = [\"b\"]\n[[service]]\nname = \"b\"\ndepends_on = [\"c\"]\n[[service]]\nname = \"c\"\ndepends_on = [\"a\"]\n"
            ),
            &[(5, "dependency cycle: a → b → c → a")],
        ),
        // Not TOML.
        case(format!("{SYSTEM}every = 10s\n"), &[(3, "put it in quotation marks")]),
        case(format!("{SYSTEM}name = \"again\"\n"), &[(3, "duplicate key")]),
        case(format!("{SYSTEM}[[service\nname = \"a\"\nfoo = 1\n"), &[(3, "unclosed array table")]),
        case(format!("{SYSTEM}environment = \"production\n"), &[(3, "invalid basic string")]),
    ]
}

fn check(cases: Vec<Case>) {
    for (text, wanted) in cases {
        let faults = config::parse(&text, nowhere()).expect_err(&text);
        let lines: Vec<String> = faults.iter().map(Fault::to_string).collect();
        // An empty part stands for "wherever it is told": those cases are about being refused at all.
        if wanted.iter().all(|(_, part)| part.is_empty()) {
            assert_eq!(faults.len(), 1, "{text}\n{lines:#?}");
            continue;
        }
        assert_eq!(faults.len(), wanted.len(), "{text}\n{lines:#?}");
        for (fault, (line, part)) in faults.iter().zip(&wanted) {
            assert_eq!(fault.line, *line, "{text}\n{lines:#?}");
            assert!(fault.to_string().contains(part), "wanted {part:?} for\n{text}\n{lines:#?}");
        }
    }
}

#[test]
fn a_faulty_value_is_told_with_its_line_and_what_to_write() {
    check(local_cases());
}

#[test]
fn values_that_do_not_fit_together_are_told() {
    check(other_cases());
}

#[test]
fn what_is_legal_is_not_a_fault() {
    for text in [
        SYSTEM.to_owned(),
        format!("{SYSTEM}{BACKUP}").replace("\"1h\"", "\"0s\""),
        format!("{SYSTEM}{API}every = \"1s\"\ntimeout = \"500ms\"\n"),
        format!("{SYSTEM}{API}status = [200, \"204\", \"300-399\"]\n"),
        format!("{SYSTEM}[[service]]\nname = \"MCP tools\"\n[service.http]\nurl = \"http://[::1]:80/\"\n"),
        format!("{SYSTEM}[[service]]\nname = \"a\"\n[service.tcp]\naddress = \"[::1]:80\"\n"),
    ] {
        good(&text);
    }
}

/// One file with a fault of every family: all of them, in the order of the file, and nothing else.
#[test]
fn all_faults_are_told_at_once() {
    let text = std::fs::read_to_string(repo("tests/fixtures/config/broken.toml")).unwrap();
    let faults = config::parse(&text, std::path::Path::new("broken.toml")).unwrap_err();
    let lines: String = faults.iter().map(|f| format!("{f}\n")).collect();
    crate::schema::golden("tests/fixtures/config/broken.txt", &lines);
    crate::schema::golden("tests/fixtures/config/broken.picture.txt", &config::render(&faults, &text, false));
}

#[test]
fn a_syntax_error_hides_only_what_follows_from_it() {
    // An unquoted value is one slip; the dangling name elsewhere is still told.
    let text = format!("{SYSTEM}{API}every = 30s\n[[action]]\nname = \"x\"\nservice = \"nope\"\nrun = [\"true\"]\n");
    let faults = config::parse(&text, nowhere()).unwrap_err();
    assert_eq!(faults.iter().map(|f| f.line).collect::<Vec<_>>(), [7, 10]);
    // After a broken header nobody knows whose keys these are.
    let text = format!("{SYSTEM}colour = 1\n[[service\nname = \"a\"\nbogus = 1\n[other]\nx = 1\n");
    let faults = config::parse(&text, nowhere()).unwrap_err();
    assert_eq!(faults.iter().map(|f| f.line).collect::<Vec<_>>(), [3, 4]);
}

#[test]
fn colour_is_only_there_when_asked_for() {
    let text = format!("{SYSTEM}colour = 1\n");
    let faults = config::parse(&text, nowhere()).unwrap_err();
    assert!(!config::render(&faults, &text, false).contains('\u{1b}'));
    assert!(config::render(&faults, &text, true).contains('\u{1b}'));
}

#[test]
fn text_from_the_file_reaches_the_terminal_harmless() {
    let text = "[system]\nname = \"shop\"\n\"\\u001b]0;owned\\u0007\" = 1\nenvironment = 'a\u{202e}b\u{9b}2J'\n# \u{202e}\u{9b}2J\nx=1";
    let faults = config::parse(text, nowhere()).unwrap_err();
    let shown =
        format!("{}{}", config::render(&faults, text, false), faults.iter().map(Fault::to_string).collect::<String>());
    assert!(faults.len() >= 3);
    let bad = shown.chars().find(|c| (c.is_control() && *c != '\n') || matches!(c, '\u{202a}'..='\u{202e}'));
    assert_eq!(bad, None, "{shown:?}");
}

#[test]
fn every_cycle_is_told_once_and_long_chains_are_no_trouble() {
    let service = |name: &str, on: &[&str]| {
        let on: Vec<String> = on.iter().map(|o| format!("{o:?}")).collect();
        format!("[[service]]\nname = \"{name}\"\ndepends_on = [{}]\n", on.join(", "))
    };
    // Two cycles, one reached from outside, and a diamond that is none.
    let text = [
        SYSTEM.to_owned(),
        service("top", &["left", "right"]),
        service("left", &["bottom"]),
        service("right", &["bottom", "a"]),
        service("bottom", &[]),
        service("a", &["b"]),
        service("b", &["a"]),
        service("x", &["y", "bottom"]),
        service("y", &["z"]),
        service("z", &["x"]),
    ]
    .concat();
    let faults = config::parse(&text, nowhere()).unwrap_err();
    let messages: Vec<&str> = faults.iter().map(|f| f.message.as_str()).collect();
    assert_eq!(messages, ["dependency cycle: a → b → a", "dependency cycle: x → y → z → x"]);

    let many = 3000;
    let chain = |last: &str| {
        let mut text = SYSTEM.to_owned();
        for i in 0..many {
            let next = if i + 1 < many { format!("s{}", i + 1) } else { last.to_owned() };
            let on: Vec<&str> = if next.is_empty() { vec![] } else { vec![&next] };
            text.push_str(&service(&format!("s{i}"), &on));
        }
        text
    };
    good(&chain(""));
    let faults = config::parse(&chain("s0"), nowhere()).unwrap_err();
    assert_eq!(faults.len(), 1);
    assert!(faults[0].message.ends_with("s2999 → s0"));
}
