//! Hostile text from every outside source: what people and programs read afterwards has no control character but the
//! line end, and nothing that turns the direction of writing.

mod support;

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;

use support::{Answer, Cockpit, Home, HttpScript, PATIENCE, Postgres, wait_until};

/// CSI, OSC (ended by BEL and by ST), DCS, the C1 forms, cursor movement, overrides and isolates, zero width, line
/// separators.
const EVIL: &str = "\u{1b}[2J\u{1b}[1;31mred\u{1b}]0;pwned\u{7}\u{1b}]8;;http://evil\u{1b}\\link\u{1b}P1$r\u{1b}\\\u{9b}31m\u{9d}0;x\u{9c}\u{90}q\u{9c}\r\u{8}\u{c}\u{b}\u{7f}\u{202e}gnp.exe\u{2066}\u{2069}\u{200f}\u{61c}\u{2028}\u{200b}end";

/// The same with what no text has, and NUL.
fn evil_bytes() -> Vec<u8> {
    [EVIL.as_bytes(), b"\xff\xfe\xc3\x28\xed\xa0\x80\0after NUL"].concat()
}

fn mebibyte() -> Vec<u8> {
    let mut line = b"\x1b[31m".to_vec();
    line.resize(1 << 20, b'x');
    line
}

fn is_harmful(c: char) -> bool {
    c.is_control() && c != '\n'
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

#[track_caller]
fn harmless(what: &str, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|e| panic!("{what} is no UTF-8: {e}"));
    if let Some((at, c)) = text.char_indices().find(|(_, c)| is_harmful(*c)) {
        let from = text.char_indices().map(|(i, _)| i).rfind(|i| *i + 120 <= at).unwrap_or(0);
        panic!("{what} has {c:?}: {:?}", text[from..].chars().take(300).collect::<String>());
    }
    // Escaped in JSON it would come out at whoever reads the value.
    if let Ok(value) = serde_json::from_str::<serde_json::Value>(text) {
        return harmless_json(what, &value);
    }
    not_overlong(what, text);
    for line in text.lines() {
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(line) {
            harmless_json(what, &value);
        }
    }
}

#[track_caller]
fn not_overlong(what: &str, text: &str) {
    if let Some(long) = text.lines().find(|l| l.len() > 256 * 1024) {
        panic!("{what} has a line of {} bytes: {:?}", long.len(), &long.chars().take(200).collect::<String>());
    }
}

#[track_caller]
/// Without what a format wants itself: the line ends of a table, the drawing of a recording.
fn ours(out: &str, args: &[&str]) -> Option<String> {
    if args.contains(&"csv") {
        return Some(out.replace("\r\n", "\n"));
    }
    args.contains(&"cast").then(|| {
        let mut out = out.replacen("\\u001b[2J\\u001b[4;32r\\u001b[32;1H", "", 1).replace("\\r\\n", " ");
        for drawn in ["7", "8", "[1;1H", "[2;1H", "[2K", "[0m", "[2m", "[31m", "[32m", "[33m", "[1;7m"] {
            out = out.replace(&format!("\\u001b{drawn}"), "");
        }
        out
    })
}

fn harmless_json(what: &str, value: &serde_json::Value) {
    match value {
        serde_json::Value::String(text) => {
            assert!(!text.chars().any(is_harmful), "{what}: {:?}", text.chars().take(400).collect::<String>());
            not_overlong(what, text);
        }
        serde_json::Value::Array(all) => all.iter().for_each(|v| harmless_json(what, v)),
        serde_json::Value::Object(all) => all.iter().for_each(|(k, v)| {
            assert!(!k.chars().any(is_harmful), "{what}: {k:?}");
            harmless_json(what, v);
        }),
        _ => {}
    }
}

/// A server that says the same to everybody.
fn saying(bytes: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 1024];
            let _ = stream.set_read_timeout(Some(std::time::Duration::from_millis(500)));
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(&bytes);
        }
    });
    port
}

/// PostgreSQL's ErrorResponse (protocol 3: type, length, fields of a letter and a zero-ended text).
fn postgres_error(text: &[u8]) -> Vec<u8> {
    let mut fields = Vec::new();
    for (letter, value) in [(b'S', &b"FATAL"[..]), (b'V', b"FATAL"), (b'C', b"28000"), (b'M', text), (b'H', text)] {
        fields.push(letter);
        fields.extend(value.iter().filter(|b| **b != 0));
        fields.push(0);
    }
    fields.push(0);
    let mut message = vec![b'E'];
    message.extend((fields.len() as u32 + 4).to_be_bytes());
    message.extend(fields);
    message
}

fn config(http: &HttpScript, server: &Postgres) -> String {
    let evil = evil_bytes();
    let redis_error = saying([b"-ERR ", &evil[..], b"\r\n"].concat());
    let redis_rubbish = saying([&b"$5\r\n"[..], &evil].concat());
    let postgres_no = saying(postgres_error(&evil));
    let rubbish = saying(evil);
    let url = http.url("");
    let dsn = server.dsn("live");
    let mut text = String::from(
        "[system]\nname = \"shop\"\n[defaults]\nevery = \"1s\"\ntimeout = \"900ms\"\nretry_interval = \"100ms\"\ndown_after = 1\n",
    );
    let mut service = |name: &str, check: &str| {
        text.push_str(&format!("[[service]]\nname = \"{name}\"\ntier = 2\n{check}\n"));
    };
    service("http-status", &format!("[[service.http]]\nurl = \"{url}/status\""));
    service("http-body", &format!("[[service.http]]\nurl = \"{url}/body\"\nbody_contains = \"fine\""));
    service(
        "http-json",
        &format!("[[service.http]]\nurl = \"{url}/json\"\njson = {{ path = \"state\", equals = \"ok\" }}"),
    );
    service(
        "http-header",
        &format!("[[service.http]]\nurl = \"{url}/header\"\nheader_matches = {{ X-State = \"^ok$\" }}"),
    );
    service("http-redirect", &format!("[[service.http]]\nurl = \"{url}/redirect\"\nredirects = \"none\""));
    service("http-long", &format!("[[service.http]]\nurl = \"{url}/long\""));
    service("http-rubbish", &format!("[[service.http]]\nurl = \"http://127.0.0.1:{rubbish}/\""));
    service("tcp", &format!("[[service.tcp]]\naddress = \"127.0.0.1:{rubbish}\"\nsend = \"x\"\nexpect = \"fine\""));
    service("exec", "[[service.exec]]\nrun = [\"sh\", \"-c\", \"cat HOME/evil; cat HOME/evil >&2; exit 2\"]");
    service("exec-long", "[[service.exec]]\nrun = [\"sh\", \"-c\", \"cat HOME/long; exit 2\"]");
    service("exec-match", "[[service.exec]]\nrun = [\"cat\", \"HOME/evil\"]\noutput_matches = \"^fine$\"");
    service("sql", &format!("[[service.postgres]]\ndsn = \"{dsn}\"\nquery = \"select evil()\""));
    service(
        "sql-greeting",
        &format!("[[service.postgres]]\ndsn = \"postgres://a:b@127.0.0.1:{postgres_no}/x?sslmode=disable\""),
    );
    service(
        "sql-rubbish",
        &format!("[[service.postgres]]\ndsn = \"postgres://a:b@127.0.0.1:{rubbish}/x?sslmode=disable\""),
    );
    service("redis-error", &format!("[[service.redis]]\nurl = \"redis://127.0.0.1:{redis_error}/\""));
    service("redis-rubbish", &format!("[[service.redis]]\nurl = \"redis://127.0.0.1:{redis_rubbish}/\""));
    text.push_str(&format!(
        r#"
[[backup]]
name = "evil-names"
service = "exec"
rpo = "26h"
every = "24h"
files = {{ path = "HOME/backups", pattern = "*.tar", settle = "10ms" }}
restore = {{ folder = {{ path = "HOME/documents", strip = 1, verify = [["sh", "-c", "cat HOME/evil; exit 1"]] }} }}
[[action]]
name = "prints"
risk = "observe"
run = ["sh", "-c", "cat HOME/evil; echo; cat HOME/long; echo; cat HOME/evil >&2; exit 1"]
[[action]]
name = "contradicted"
risk = "observe"
run = ["cat", "HOME/evil"]
verify = {{ exec = {{ run = ["sh", "-c", "cat HOME/evil; exit 2"] }} }}
verify_within = "200ms"
[[channel]]
name = "hook"
timeout = "3s"
webhook = {{ url = "{url}/hook" }}
[[channel]]
name = "slack"
timeout = "3s"
slack = {{ webhook = "{url}/slack" }}
"#
    ));
    text
}

fn world() -> (Cockpit, Postgres, HttpScript) {
    let server = Postgres::start();
    server.create_db("live");
    let evil = EVIL.replace('\'', "''");
    server.psql("live", &format!("create function evil() returns bool language plpgsql as $f$ begin raise exception '%', '{evil}' using detail = '{evil}', hint = '{evil}'; end $f$"));
    let http = HttpScript::start(vec![Answer::status(404)]);
    let bytes = evil_bytes();
    let answer = |head: &[u8]| Answer::raw([head, b"\r\n\r\n", &bytes].concat());
    let in_header: Vec<u8> = EVIL.bytes().filter(|b| *b != b'\r' && *b != b'\n').collect();
    http.route("/status", vec![answer(&[b"HTTP/1.1 500 ", &in_header[..]].concat())]);
    http.route("/body", vec![Answer::ok(bytes.clone())]);
    let json = serde_json::json!({ "state": EVIL });
    http.route("/json", vec![Answer::ok(json.to_string())]);
    // What HTTP allows in a header: everything above 0x20, so the C1 controls in UTF-8 and the overrides too.
    let allowed: Vec<u8> = EVIL.chars().filter(|c| *c >= ' ' && *c != '\u{7f}').collect::<String>().into_bytes();
    http.route("/header", vec![answer(&[b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-State: ", &allowed[..]].concat())]);
    http.route(
        "/redirect",
        vec![answer(&[b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /", &allowed[..]].concat())],
    );
    http.route("/long", vec![Answer::status(500).body(mebibyte())]);
    http.route("/hook", vec![Answer::status(400).body(bytes.clone())]);
    http.route("/slack", vec![Answer::status(403).body(mebibyte())]);
    let home = Home::new()
        .env_var("SUDO_USER", EVIL)
        .env_var("SSH_CONNECTION", EVIL)
        .env_var("USER", EVIL)
        .env_var("LOGNAME", EVIL);
    std::fs::write(home.path().join("evil"), &bytes).unwrap();
    std::fs::write(home.path().join("long"), mebibyte()).unwrap();
    let backups = home.path().join("backups");
    std::fs::create_dir(&backups).unwrap();
    let documents = home.path().join("documents");
    std::fs::create_dir(&documents).unwrap();
    let in_name: Vec<u8> = evil_bytes().into_iter().filter(|b| *b != 0 && *b != b'/').take(180).collect();
    std::fs::write(documents.join(OsStr::from_bytes(&in_name)), "x").unwrap();
    // Names as hostile as a file system allows, line end and invalid UTF-8 included.
    for (n, name) in [in_name.clone(), b"two\nlines\x1b[2J".to_vec(), b"\xff\xfe".to_vec()].into_iter().enumerate() {
        let path = backups.join(OsStr::from_bytes(&[&name[..], format!("{n}.tar").as_bytes()].concat()));
        let mut tar = std::process::Command::new("tar");
        tar.arg("-cf").arg(&path).arg("--force-local").arg("-C").arg(home.path()).arg("documents");
        assert!(tar.status().unwrap().success());
    }
    let config = config(&http, &server);
    (Cockpit::in_home(home, &config), server, http)
}

#[test]
fn hostile_text_from_every_source_comes_out_harmless() {
    let (shop, _server, http) = world();
    let run = |args: &[&str]| {
        let ran = shop.run(args);
        let own = ours(&ran.out, args);
        harmless(&format!("{args:?}"), own.as_deref().map_or(&ran.bytes, str::as_bytes));
        harmless(&format!("stderr of {args:?}"), ran.err.as_bytes());
        assert!(!ran.err.contains("panicked"), "{ran:#?}");
        ran
    };
    // Titles, notes and reasons as people paste them.
    let declared = run(&["incident", "declare", EVIL]);
    let id = if declared.code == 0 { declared.line() } else { run(&["incident", "declare", "hostile"]).ok().line() };
    let note = shop.run_with(&["note", "-"], &evil_bytes());
    harmless("note -", &note.bytes);
    note.ok();
    shop.run_with(&["note", "-"], &mebibyte()[..60_000]).ok();
    run(&["note", EVIL, "line\ntwo"]);
    run(&["incident", "severity", "P0", "--reason", EVIL]);
    run(&["incident", "assign", EVIL]);
    run(&["pause", "exec", "--reason", EVIL]).ok();
    run(&["resume", "exec", "--reason", EVIL]).ok();
    let bad = |state: &serde_json::Value| state == "down" || state == "degraded" || state == "unknown";
    wait_until("every check has met its source", PATIENCE, || {
        let status = shop.run(&["status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&status.out).unwrap();
        status["services"].as_array().unwrap().iter().all(|s| bad(&s["state"]) && !s["observed_at"].is_null())
    });
    let status = run(&["status"]);
    for service in ["http-body", "exec", "sql", "redis-error", "sql-greeting", "exec-long", "tcp"] {
        assert!(status.out.contains(service), "{service}: {}", status.out);
    }
    wait_until("the copies are seen", PATIENCE, || {
        shop.run(&["backups", "copies", "evil-names", "--json"]).out.contains("tar")
    });
    let copies = run(&["backups", "copies", "evil-names", "--json"]).ok().json();
    assert!(!copies.as_array().unwrap().is_empty(), "{copies:#}");
    run(&["restore", "evil-names", "--plan"]);
    run(&["restore", "evil-names", "--plan", "--json"]);
    run(&["restore", "evil-names", "--yes", "--wait"]);
    run(&["act", "prints", "--wait"]).expect(1);
    run(&["act", "contradicted", "--wait", "--reason", EVIL]).expect(4);
    run(&["act", EVIL]);
    run(&["runs", "show", EVIL]);
    run(&["incident", "show", EVIL]);
    run(&["backups", "copies", EVIL]);
    run(&["notify", "initial", "--preview"]).ok();
    run(&["notify", "initial", "--preview", "--json"]).ok();
    run(&["notify", "initial", "--yes", "--wait", "--subject", EVIL, "--body", EVIL]);
    assert!(http.requests().iter().any(|r| r.path == "/hook"), "the hook was called");
    let runs = run(&["runs", "--json"]).ok().json();
    for one in runs.as_array().unwrap() {
        run(&["runs", "show", one["id"].as_str().unwrap()]);
        run(&["runs", "show", one["id"].as_str().unwrap(), "--json"]);
        run(&["runs", "show", one["id"].as_str().unwrap(), "--follow"]);
    }
    for args in [
        &["status", "--json"][..],
        &["runs"],
        &["backups"],
        &["backups", "--json"],
        &["backups", "copies", "evil-names"],
        &["backups", "verify", "evil-names"],
        &["backups", "verify", "evil-names", "--json"],
        &["incident", "list"],
        &["incident", "list", "--json"],
        &["incident", "show", &id],
        &["incident", "show", &id, "--json"],
        &["journal", "tail", "-n", "100000"],
        &["journal", "tail", "-n", "100000", "--json"],
        &["journal", "verify"],
        &["engine", "status"],
        &["doctor"],
        &["doctor", "--json"],
        &["export", &id],
        &["export", &id, "--format", "json"],
        &["export", &id, "--format", "html"],
        &["export", &id, "--format", "csv"],
        &["export", &id, "--format", "cast"],
    ] {
        run(args);
    }
    let folder = shop.state().join("incidents").join(&id);
    harmless("timeline.md", &std::fs::read(folder.join("timeline.md")).unwrap());
    harmless("engine.log", &std::fs::read(shop.state().join("engine.log")).unwrap());
    for request in http.requests().iter().filter(|r| r.path == "/hook" || r.path == "/slack") {
        harmless("what is sent to others", &request.body);
    }
    shop.verify();
}

#[test]
fn a_hostile_configuration_is_told_harmlessly() {
    let home = Home::new();
    let escaped: String = EVIL.chars().map(|c| format!("\\U{:08x}", c as u32)).collect();
    let cockpit = Cockpit::in_home(
        home,
        &format!(
            "[system]\nname = \"shop{escaped}\"\nenvironment = \"{escaped}\"\n[[service]]\nname = \"{escaped}\"\nimpact = \"{escaped}\"\ndepends_on = [\"{escaped}\"]\n\"{escaped}\" = 1\n[[service.exec]]\nrun = [\"{escaped}\"]\n"
        ),
    );
    let dir = cockpit.path("own").display().to_string();
    for args in [
        &["config", "check"][..],
        &["config", "check", "--json"],
        &["config", "check", "--effective"],
        &["status", "--state-dir", &dir],
        &["status", "--json", "--state-dir", &dir],
        &["doctor", "--state-dir", &dir],
    ] {
        let ran = cockpit.run(args);
        harmless(&format!("{args:?}"), &ran.bytes);
        harmless(&format!("stderr of {args:?}"), ran.err.as_bytes());
    }
    // Where names may be anything, what is printed may not.
    cockpit.configure(&format!(
        "[system]\nname = \"shop\"\nenvironment = \"{escaped}\"\n[[service]]\nname = \"api\"\nimpact = \"{escaped}\"\n[[service.exec]]\nrun = [\"{escaped}\"]\n[[action]]\nname = \"a\"\ndoc = \"{escaped}\"\nrun = [\"echo\", \"{escaped}\"]\n"
    ));
    // Raw bytes in the file itself, in a comment and in a text.
    let raw = cockpit.path("raw.toml");
    std::fs::write(&raw, [b"# ".as_slice(), &evil_bytes(), b"\n[system]\nname = \"", &evil_bytes(), b"\"\n"].concat())
        .unwrap();
    for args in [
        &["config", "check"][..],
        &["config", "check", "--effective"],
        &["config", "check", "--config", raw.to_str().unwrap()],
        &["config", "check", "--json", "--config", raw.to_str().unwrap()],
        &["status", "--state-dir", &dir],
        &["status", "--json", "--state-dir", &dir],
        &["act", "a", "--plan", "--state-dir", &dir],
        &["act", "a", "--plan", "--json", "--state-dir", &dir],
        &["doctor", "--state-dir", &dir],
        &["journal", "tail", "--state-dir", &dir],
        &["journal", "tail", "--json", "--state-dir", &dir],
    ] {
        let ran = cockpit.run(args);
        harmless(&format!("{args:?}"), &ran.bytes);
        harmless(&format!("stderr of {args:?}"), ran.err.as_bytes());
    }
}
