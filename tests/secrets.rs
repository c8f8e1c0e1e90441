//! Secrets planted wherever a secret can come from are found nowhere afterwards: not in the state directory, not in what
//! any command prints or exports, not in the log, not in the arguments of any process.

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::{Answer, Cockpit, Home, HttpScript, PATIENCE, Postgres, Redis, files_containing, wait_until};

const HEADER: &str = "pl4nt-header-A1";
const FILE: &str = "pl4nt-file-B2";
const COMMAND: &str = "pl4nt-command-C3";
const POSTGRES: &str = support::postgres::PASSWORD;
const REDIS: &str = "pl4nt-redis-D4";
const HOOK: &str = "pl4nt-hook-E5";
const PAGE: &str = "pl4nt-page-M3";
const SIGNING: &str = "pl4nt-signing-F6";
const LITERAL: &str = "pl4nt-literal-G7";
const ACTION: &str = "pl4nt-action-H8";
const INHERITED: &str = "pl4nt-inherited-I9";
const WRONG_DSN: &str = "pl4nt-dsn-K1";
const WRONG_REDIS: &str = "pl4nt-redis-L2";

const ALL: [&str; 13] =
    [PAGE, HEADER, FILE, COMMAND, POSTGRES, REDIS, HOOK, SIGNING, LITERAL, ACTION, INHERITED, WRONG_DSN, WRONG_REDIS];

fn config(http: &HttpScript, server: &Postgres, redis: &Redis) -> String {
    format!(
        r#"
[system]
name = "shop"
[defaults]
every = "1s"
timeout = "900ms"
retry_interval = "100ms"
[[service]]
name = "api"
tier = 1
control = {{ restart = ["sh", "-c", "echo restarting with $TOKEN; exit 4"], env = {{ TOKEN = {{ env = "ACTION_TOKEN" }} }} }}
[[service.http]]
url = "{http}/echo?key=1"
headers = {{ Authorization = {{ env = "HEADER_TOKEN" }}, X-Api-Key = "{LITERAL}" }}
[[service.http]]
url = {{ command = ["sh", "-c", "echo {http}/redirect?token=$(cat HOME/command)"] }}
redirects = "none"
[[service.exec]]
run = ["sh", "-c", "echo token is $TOKEN; echo $TOKEN >&2; exit 2"]
env = {{ TOKEN = {{ file = "HOME/secret" }} }}
[[service]]
name = "db"
tier = 1
[[service.postgres]]
dsn = {{ env = "PG_DSN" }}
query = "select leak()"
[[service.postgres]]
dsn = "postgres://postgres:{WRONG_DSN}@127.0.0.1:{pg}/postgres"
[[service.postgres]]
dsn = "postgres://postgres:{WRONG_DSN}@127.0.0.1:1/postgres"
[[service]]
name = "data"
tier = 2
[[service.postgres]]
dsn = {{ env = "PG_DSN" }}
[[service]]
name = "cache"
[[service.redis]]
url = "redis://127.0.0.1:{redis}/"
password = {{ env = "REDIS_PASSWORD" }}
role = "replica"
[[service.redis]]
url = "redis://:{WRONG_REDIS}@127.0.0.1:{redis}/"
[[backup]]
name = "full"
service = "data"
rpo = "26h"
every = "24h"
files = {{ path = "HOME/backups", pattern = "*.dump", settle = "10ms" }}
[backup.restore.postgres_dump]
database = "live"
dsn = {{ env = "PG_DSN" }}
verify = ["select count(*) = 10 from t"]
grace = "100ms"
[[backup]]
name = "leaky"
service = "data"
rpo = "26h"
every = "24h"
files = {{ path = "HOME/backups", pattern = "*.dump", settle = "10ms" }}
[backup.restore.postgres_dump]
database = "live"
dsn = {{ env = "PG_DSN" }}
verify = ["select leak()"]
[[action]]
name = "prints"
risk = "observe"
run = ["sh", "-c", "echo $TOKEN; echo \"as json {{\\\"token\\\":\\\"$TOKEN\\\"}}\" >&2; printf %.7s \"$TOKEN\"; sleep 0.3; echo \"${{TOKEN#???????}}\"; env; exit 3"]
env = {{ TOKEN = {{ env = "ACTION_TOKEN" }} }}
[[action]]
name = "contradicted"
risk = "observe"
run = ["true"]
verify = {{ exec = {{ run = ["sh", "-c", "echo still $TOKEN; exit 2"], env = {{ TOKEN = {{ env = "ACTION_TOKEN" }} }} }} }}
verify_within = "300ms"
[[action]]
name = "no-secret"
risk = "observe"
run = ["true"]
env = {{ TOKEN = {{ file = "HOME/not-there" }} }}
[[channel]]
name = "slack"
slack = {{ webhook = {{ env = "SLACK_HOOK" }} }}
timeout = "3s"
[[channel]]
name = "page"
timeout = "3s"
[channel.webhook]
url = {{ env = "PAGE_URL" }}
secret = {{ env = "SIGNING" }}
headers = {{ X-Api-Key = {{ env = "HEADER_TOKEN" }} }}
[[channel]]
name = "nobody-there"
timeout = "3s"
[channel.webhook]
url = {{ env = "NOBODY_URL" }}
"#,
        http = http.url(""),
        pg = server.port(),
        redis = redis.port(),
    )
}

fn everything() -> (Cockpit, Postgres, Redis, HttpScript) {
    let server = Postgres::start();
    let redis = Redis::start(&["--requirepass", REDIS]);
    let http = HttpScript::start(vec![Answer::status(404)]);
    // What a far end knows of us; the rest it never saw and cannot be masked by its value.
    let known = [PAGE, HEADER, FILE, COMMAND, POSTGRES, REDIS, HOOK, SIGNING, LITERAL, ACTION];
    let telling: String = known.iter().map(|s| format!("you sent {s}; ")).collect();
    // Bodies, headers and reasons that carry back what they were sent.
    http.route("/echo", vec![Answer::status(500).header("X-Echo", HEADER).body(telling.clone())]);
    http.route("/redirect", vec![Answer::redirect(&format!("/login?token={COMMAND}")).body(telling.clone())]);
    http.route("/status", vec![Answer::status(403).body(telling.clone())]);
    http.route(
        &format!("/hook/{HOOK}"),
        vec![Answer::status(400).body(format!("no such hook: /hook/{HOOK} {telling}"))],
    );
    server.create_db("live");
    let leak = format!(
        "create function leak() returns bool language plpgsql as $$ begin raise exception 'password is {POSTGRES}' using detail = '{POSTGRES}', hint = '{POSTGRES}'; end $$"
    );
    server.psql("live", &leak);
    server.psql("live", "create table t as select generate_series(1, 10)");
    let home = Home::new()
        .env_var("HEADER_TOKEN", HEADER)
        .env_var("PG_DSN", &server.dsn("live"))
        .env_var("REDIS_PASSWORD", REDIS)
        .env_var("SLACK_HOOK", &http.url(&format!("/hook/{HOOK}")))
        .env_var("PAGE_URL", &http.url(&format!("/status?token={PAGE}")))
        .env_var("NOBODY_URL", &format!("http://127.0.0.1:1/{PAGE}"))
        .env_var("SIGNING", SIGNING)
        .env_var("ACTION_TOKEN", ACTION)
        .env_var("DEPLOY_TOKEN", INHERITED);
    std::fs::write(home.path().join("secret"), format!("{FILE}\n")).unwrap();
    std::fs::write(home.path().join("command"), COMMAND).unwrap();
    std::fs::create_dir(home.path().join("backups")).unwrap();
    let mut dump = server.tool("pg_dump");
    dump.args(["-Fc", "-d", "live", "-f"]).arg(home.path().join("backups/live.dump"));
    assert!(dump.status().unwrap().success());
    let config = config(&http, &server, &redis);
    (Cockpit::in_home(home, &config), server, redis, http)
}

#[test]
fn secrets_are_found_nowhere() {
    let (shop, _server, _redis, http) = everything();
    let seen = AtomicBool::new(false);
    let over = AtomicBool::new(false);
    let mut said = Vec::new();
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch_arguments(&shop.home, &seen, &over));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&shop, &http, &mut said)));
        over.store(true, Ordering::SeqCst);
        let found = watching.join().unwrap();
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
        assert!(found.is_empty(), "arguments of processes: {found:#?}");
    });
    assert!(seen.load(Ordering::SeqCst), "no runner was ever seen: the watch saw nothing");
    for (what, bytes) in &said {
        for secret in ALL {
            let text = String::from_utf8_lossy(bytes);
            assert!(!text.contains(secret), "{what} shows {secret}: {}", around(&text, secret));
        }
    }
    for secret in ALL {
        for folder in ["state", "run", "data", "cache", "work"] {
            let found = files_containing(&shop.path(folder), secret);
            assert!(
                found.is_empty(),
                "{secret} stands in {found:?}: {}",
                around(&std::fs::read_to_string(&found[0]).unwrap_or_default(), secret)
            );
        }
    }
    // The masks are there, so something was masked.
    let everything: String = said.iter().map(|(_, b)| String::from_utf8_lossy(b).into_owned()).collect();
    assert!(everything.contains("***") || everything.contains("•••"), "nothing was masked at all");
}

/// Does everything that touches a secret, and keeps all that is said.
fn work(shop: &Cockpit, http: &HttpScript, said: &mut Vec<(String, Vec<u8>)>) {
    fn keep(said: &mut Vec<(String, Vec<u8>)>, ran: support::Ran) -> support::Ran {
        said.push((ran.what.clone(), [ran.bytes.clone(), ran.err.clone().into_bytes()].concat()));
        ran
    }
    let mut run = |args: &[&str]| keep(said, shop.run(args));
    run(&["config", "check"]);
    run(&["config", "check", "--effective"]).ok();
    run(&["config", "check", "--json"]);
    let id = run(&["incident", "declare", "leaks everywhere", "--service", "api"]).ok().line();
    wait_until("every check has failed", PATIENCE, || {
        let status = shop.run(&["status", "--json"]).json();
        status["services"]
            .as_array()
            .unwrap()
            .iter()
            .all(|s| s["name"] == "data" || s["state"] == "down" || s["state"] == "degraded")
    });
    wait_until("the copy is seen", PATIENCE, || shop.run(&["restore", "full", "--plan"]).code == 0);
    run(&["restore", "full", "--plan"]).ok();
    run(&["restore", "full", "--plan", "--json"]).ok();
    run(&["act", "prints", "--plan", "--json"]).ok();
    run(&["act", "prints", "--wait", "--json"]).expect(1);
    run(&["act", "contradicted", "--wait"]).expect(4);
    let unknown = run(&["act", "no-secret", "--wait"]);
    assert_ne!(unknown.code, 0);
    run(&["restart", "api", "--yes", "--wait"]).expect(1);
    let restored = run(&["restore", "full", "--yes", "--wait"]);
    assert!(matches!(restored.code, 0 | 5), "{restored:#?}");
    let cut = run(&["restore", "full", "--cut-over", "--confirm", "live", "--wait"]);
    assert!(matches!(cut.code, 0 | 5), "{cut:#?}");
    let leaky = run(&["restore", "leaky", "--yes", "--wait"]);
    assert_ne!(leaky.code, 0, "{leaky:#?}");
    run(&["notify", "initial", "--preview"]).ok();
    run(&["notify", "initial", "--yes", "--wait", "--channel", "slack", "--channel", "page"]).expect(1);
    // Nobody there is tried again for long: the first attempt is enough.
    run(&["notify", "update", "--yes", "--channel", "nobody-there"]).ok();
    wait_until("the attempt is on record", PATIENCE, || {
        shop.entries().iter().any(|e| e["kind"] == "message.attempted" && e["payload"]["channel"] == "nobody-there")
    });
    assert!(http.requests().iter().any(|r| r.path.contains(HOOK)), "the hook was really called");
    // What people write is taken as it is, except for what is known to be secret.
    run(&["note", &format!("I tried the password {POSTGRES} and {HEADER}")]).ok();
    let runs = run(&["runs", "--json"]).ok().json();
    for one in runs.as_array().unwrap() {
        let run_id = one["id"].as_str().unwrap();
        run(&["runs", "show", run_id]);
        run(&["runs", "show", run_id, "--json"]);
    }
    let shown = shop.run(&["runs", "--json"]).ok().json();
    assert!(shown.as_array().unwrap().len() >= 6, "{shown:#}");
    // An engine that starts anew, and one that meets a broken configuration.
    shop.kill_engine();
    run(&["engine", "start"]).ok();
    let good = std::fs::read_to_string(shop.path("config/mayday/mayday.toml")).unwrap();
    std::fs::write(shop.path("config/mayday/mayday.toml"), good.replace("tier = 1", "teir = 1")).unwrap();
    run(&["config", "check"]).expect(1);
    run(&["config", "check", "--json"]).expect(1);
    wait_until("the broken save is told", PATIENCE, || shop.run(&["status"]).out.contains("NOT in force"));
    run(&["status"]);
    std::fs::write(shop.path("config/mayday/mayday.toml"), good).unwrap();
    wait_until("the good one is taken", PATIENCE, || !shop.run(&["status"]).out.contains("NOT in force"));
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["incident", "show", &id],
        &["incident", "show", &id, "--json"],
        &["journal", "tail", "-n", "100000"],
        &["journal", "tail", "-n", "100000", "--json"],
        &["backups"],
        &["backups", "copies", "full"],
        &["backups", "--json"],
        &["engine", "status", "--json"],
        &["doctor"],
        &["export", &id],
        &["export", &id, "--format", "json"],
    ] {
        run(args);
    }
    shop.run(&["export", &id, "-o", shop.path("work/review.md").to_str().unwrap()]).ok();
    shop.run(&["engine", "stop"]).ok();
}

/// Looks at the arguments of everything that runs in this home until told to stop.
fn watch_arguments(home: &Home, seen: &AtomicBool, over: &AtomicBool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    while !over.load(Ordering::SeqCst) {
        for pid in home.processes() {
            let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
            if line.contains(" runner ") {
                seen.store(true, Ordering::SeqCst);
            }
            // Arguments that this test itself gives are its own affair.
            let mine = line.contains(" note ");
            for secret in ALL {
                if line.contains(secret) && !mine {
                    found.insert(format!("{secret} in {line}"));
                }
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    found
}

fn around(text: &str, needle: &str) -> String {
    let Some(at) = text.find(needle) else { return String::new() };
    let from = text.char_indices().map(|(i, _)| i).rfind(|i| *i + 200 <= at).unwrap_or(0);
    text[from..].chars().take(500).collect()
}
