use std::collections::BTreeMap;
use std::time::Duration;

use mayday::config::secret::MaybeSecret;
use mayday::config::{CheckKind, Compare, Family, HttpCheck, JsonCondition, Op, Redirects, SecretRef};
use mayday::domain::health::{Outcome, ProbeResult, Reason};
use serde_json::json;

use crate::support::{Answer, HttpScript, free_port};
use crate::{Swallower, check, env, env_with, fact, fails, is, look, look_for, look_in, timed};

pub fn get(url: impl Into<String>) -> HttpCheck {
    HttpCheck {
        url: MaybeSecret::Plain(url.into()),
        method: "GET".into(),
        headers: BTreeMap::new(),
        body: None,
        status: vec![(200, 299)],
        latency_below: None,
        body_contains: None,
        body_matches: None,
        json: Vec::new(),
        header_matches: BTreeMap::new(),
        redirects: Redirects::default(),
        max_body: 256 * 1024,
        keep_alive: false,
        family: Family::Any,
        cert_warn_days: None,
        cert_fail_days: None,
        extra_ca: Vec::new(),
    }
}

async fn ask(check: HttpCheck) -> ProbeResult {
    look(CheckKind::Http(Box::new(check))).await
}

async fn answered(answer: Answer, change: impl FnOnce(HttpCheck) -> HttpCheck) -> ProbeResult {
    let server = HttpScript::start(vec![answer]);
    ask(change(get(server.url("/health")))).await
}

#[tokio::test]
async fn the_status_decides() {
    let result = answered(Answer::ok("fine"), |c| c).await;
    is(&result, Outcome::Ok, None, &["200 OK"]);
    assert_eq!(fact(&result, "status"), "200");
    let result = answered(Answer::status(503), |c| c).await;
    assert_eq!((result.reason, result.detail.as_str()), (Some(Reason::Status), "503 Service Unavailable"));
    let result = answered(Answer::ok(""), |c| HttpCheck { status: vec![(204, 204), (301, 308)], ..c }).await;
    fails(&result, Reason::Status, &["200 OK, expected 204, 301-308"]);
    is(
        &answered(Answer::status(418), |c| HttpCheck { status: vec![(400, 499)], ..c }).await,
        Outcome::Ok,
        None,
        &["418"],
    );
}

#[tokio::test]
async fn conditions_on_the_answer() {
    let body = || Answer::ok(r#"{"status":"degraded","lag":7}"#).header("X-Version", "1.2");
    let json = |path: &str, equals, compare| vec![JsonCondition { path: path.into(), equals, compare }];
    let header = |name: &str, pattern: &str| BTreeMap::from([(name.to_owned(), pattern.to_owned())]);
    let ok = answered(body(), |c| HttpCheck {
        body_contains: Some("degraded".into()),
        body_matches: Some(r#""lag":\d"#.into()),
        json: json("lag", None, Some(Compare { op: Op::Lt, value: 10.0 })),
        header_matches: header("x-version", r"^1\."),
        ..c
    });
    is(&ok.await, Outcome::Ok, None, &["200 OK"]);
    for (words, change) in [
        (
            "200 OK, but the body does not contain \"healthy\"",
            HttpCheck { body_contains: Some("healthy".into()), ..get("") },
        ),
        ("200 OK, but the body does not match ^ok$", HttpCheck { body_matches: Some("^ok$".into()), ..get("") }),
        (
            "200 OK, but status is \"degraded\", expected \"ok\"",
            HttpCheck { json: json("status", Some(json!("ok")), None), ..get("") },
        ),
        (
            "200 OK, but there is no db in the answer",
            HttpCheck { json: json("db", Some(json!("ok")), None), ..get("") },
        ),
        (
            "lag is 7, expected < 5",
            HttpCheck { json: json("lag", None, Some(Compare { op: Op::Lt, value: 5.0 })), ..get("") },
        ),
        (
            "header x-version is \"1.2\", which does not match ^2",
            HttpCheck { header_matches: header("x-version", "^2"), ..get("") },
        ),
        ("header x-other is missing", HttpCheck { header_matches: header("x-other", "."), ..get("") }),
    ] {
        let result = answered(body(), |c| HttpCheck { url: c.url, ..change }).await;
        fails(&result, Reason::Assertion, &[words]);
    }
    let result = answered(Answer::ok("<html>"), |c| HttpCheck { json: json("a", Some(json!(1)), None), ..c }).await;
    fails(&result, Reason::Assertion, &["the body is not JSON"]);
}

#[tokio::test]
async fn what_is_sent_is_what_was_configured() {
    let server = HttpScript::start(vec![Answer::ok("")]);
    let result = ask(HttpCheck {
        method: "POST".into(),
        body: Some("{\"ping\":1}".into()),
        headers: BTreeMap::from([("X-Probe".to_owned(), MaybeSecret::Plain("yes".into()))]),
        ..get(server.url("/health?full=1"))
    });
    is(&result.await, Outcome::Ok, None, &[]);
    let requests = server.requests();
    let seen = &requests[0];
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str(), seen.text().as_str()),
        ("POST", "/health?full=1", "{\"ping\":1}")
    );
    assert_eq!(seen.header("x-probe"), Some("yes"));
    assert!(seen.header("user-agent").unwrap().starts_with("mayday/"));
    assert_eq!(seen.header("connection"), Some("close"));
    assert_eq!(seen.header("authorization"), None);
    let named = server.url("/").replace("http://", "http://probe:hunter22@");
    is(&ask(get(named)).await, Outcome::Ok, None, &[]);
    let requests = server.requests();
    assert_eq!(requests[1].header("authorization"), Some("Basic cHJvYmU6aHVudGVyMjI="));
}

#[tokio::test]
async fn every_probe_makes_a_connection_of_its_own_unless_asked_otherwise() {
    for (keep_alive, connections) in [(false, 3), (true, 1)] {
        let server = HttpScript::start(vec![Answer::ok("fine")]);
        let env = env();
        let check = check(CheckKind::Http(Box::new(HttpCheck { keep_alive, ..get(server.url("/")) })));
        let probe = crate::prepared(&check, &env);
        for _ in 0..3 {
            is(&probe.probe(check.timing.timeout).await, Outcome::Ok, None, &[]);
        }
        assert_eq!(server.connections(), connections, "keep_alive {keep_alive}");
    }
}

#[tokio::test]
async fn each_way_of_not_answering_has_its_own_words() {
    let short = Duration::from_millis(500);
    let http = |url: String| CheckKind::Http(Box::new(get(url)));

    let port = free_port();
    fails(
        &look(http(format!("http://127.0.0.1:{port}/"))).await,
        Reason::Refused,
        &[&format!("connection refused by 127.0.0.1:{port}")],
    );
    fails(
        &look(http(format!("http://localhost:{port}/"))).await,
        Reason::Refused,
        &["connection refused by localhost (", "127.0.0.1"],
    );

    let full = Swallower::new();
    let result = look_for(http(format!("http://127.0.0.1:{}/", full.port())), short).await;
    fails(&result, Reason::TimeoutConnect, &["timed out connecting to 127.0.0.1", "no answer at all"]);

    let silent = HttpScript::start(vec![Answer::hang()]);
    let result = look_for(http(silent.url("/")), short).await;
    fails(&result, Reason::TimeoutHeaders, &["connected to 127.0.0.1", "then no answer", "500ms are over"]);
    assert!((500_000..1_000_000).contains(&result.took_us), "{}", result.took_us);

    // Half of the promised body, then nothing.
    let slow = HttpScript::start(vec![Answer::ok("half").header("Content-Length", "8")]);
    let kind = CheckKind::Http(Box::new(HttpCheck {
        body_contains: Some("whole".into()),
        keep_alive: true,
        ..get(slow.url("/"))
    }));
    fails(&look_for(kind, short).await, Reason::TimeoutBody, &["began to answer and did not end within 500ms"]);

    let result = look_for(http("http://api.invalid/".into()), Duration::from_secs(30)).await;
    fails(&result, Reason::Dns, &["api.invalid"]);

    fails(&answered(Answer::cut(), |c| c).await, Reason::Protocol, &["closed the connection before it had answered"]);
    fails(&answered(Answer::raw("SSH-2.0-OpenSSH_9.2\r\n"), |c| c).await, Reason::Protocol, &["127.0.0.1"]);
    // TLS against a server that speaks none: told at once, not by the time limit.
    let plain = HttpScript::start(vec![Answer::raw("HTTP/1.1 400 Bad Request\r\n\r\n")]);
    let result = look_for(http(format!("https://127.0.0.1:{}/", plain.port())), Duration::from_secs(10)).await;
    assert_eq!(result.outcome, Outcome::Fail, "{result:?}");
}

#[tokio::test]
async fn a_server_that_hangs_in_the_handshake_is_told_from_one_that_does_not_connect() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://127.0.0.1:{}/", silent.local_addr().unwrap().port());
    let result = look_for(CheckKind::Http(Box::new(get(url))), Duration::from_millis(500)).await;
    fails(&result, Reason::TimeoutTls, &["connected to 127.0.0.1", "timed out in the TLS handshake"]);
}

#[tokio::test]
async fn the_body_is_read_only_where_needed_and_up_to_its_limit() {
    let big = "x".repeat(100_000);
    let needs = |c: HttpCheck| HttpCheck { body_contains: Some("y".into()), max_body: 10_000, ..c };
    fails(&answered(Answer::ok(big.clone()), needs).await, Reason::TooLarge, &["larger than 10000 bytes"]);
    // Without a length said beforehand, and without end.
    let endless = Answer::raw(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186A0\r\n{big}\r\n"));
    fails(&answered(endless, needs).await, Reason::TooLarge, &["larger than 10000 bytes"]);
    // Nobody asked for the body: a broken one does not matter.
    let cut = Answer::ok(big).cut_after(500);
    is(&answered(cut, |c| HttpCheck { max_body: 10, ..c }).await, Outcome::Ok, None, &["200 OK"]);
    let cut = Answer::ok("z".repeat(1000)).cut_after(500);
    fails(&answered(cut, needs).await, Reason::Protocol, &["closed the connection in the middle of its answer"]);
}

#[tokio::test]
async fn slow_is_a_warning_and_a_wrong_status_is_worse() {
    let slow = |status| Answer::status(status).after(Duration::from_millis(150));
    let limit = |c: HttpCheck| HttpCheck { latency_below: Some(Duration::from_millis(100)), ..c };
    is(&answered(slow(200), limit).await, Outcome::Warn, Some(Reason::Slow), &["200 OK in ", "over 100ms"]);
    fails(&answered(slow(500), limit).await, Reason::Status, &["500"]);
}

#[tokio::test]
async fn redirects_go_only_where_they_may() {
    let server = HttpScript::start(vec![Answer::ok("")]);
    server.route("/old", vec![Answer::redirect("/new")]);
    server.route("/loop", vec![Answer::redirect("/loop")]);
    server.route("/meta", vec![Answer::redirect("http://169.254.169.254/latest/meta-data")]);
    server.route("/away", vec![Answer::redirect(&format!("http://localhost:{}/", server.port()))]);
    let to = |path: &str, redirects| HttpCheck { redirects, ..get(server.url(path)) };
    is(&ask(to("/old", Redirects::default())).await, Outcome::Ok, None, &["200 OK"]);
    fails(&ask(to("/old", Redirects::None)).await, Reason::Status, &["302 Found"]);
    is(&ask(HttpCheck { status: vec![(302, 302)], ..to("/old", Redirects::None) }).await, Outcome::Ok, None, &["302"]);
    fails(&ask(to("/loop", Redirects::SameHost(3))).await, Reason::Redirect, &["more than 3 redirects"]);
    fails(&ask(to("/away", Redirects::default())).await, Reason::Redirect, &["refused: it is another host"]);
    is(&ask(to("/away", Redirects::Any(5))).await, Outcome::Ok, None, &[]);
    fails(&ask(to("/meta", Redirects::Any(5))).await, Reason::Redirect, &["link-local or metadata address"]);
    // Secrets do not follow to somebody else.
    let env = env_with(&[("KEY", "k3y-hunter22")]);
    let secret = BTreeMap::from([("X-Api-Key".to_owned(), MaybeSecret::Secret(SecretRef::Env("KEY".into())))]);
    let before = server.requests().len();
    let kind = CheckKind::Http(Box::new(HttpCheck { headers: secret, ..to("/away", Redirects::Any(5)) }));
    fails(&look_in(check(kind), &env).await, Reason::Redirect, &["secret headers"]);
    let requests = server.requests();
    assert_eq!(requests.len(), before + 1);
    assert_eq!(requests[before].header("x-api-key"), Some("k3y-hunter22"));
}

#[tokio::test]
async fn a_redirect_by_name_to_a_link_local_address_is_refused_too() {
    // The name of the target is looked up by the same resolver, so a refusal is seen before any connection.
    let server = HttpScript::start(vec![Answer::redirect("http://metadata.google.internal/x")]);
    let result = ask(HttpCheck { redirects: Redirects::Any(5), ..get(server.url("/")) }).await;
    fails(&result, Reason::Redirect, &["metadata"]);
}

#[tokio::test]
async fn secrets_and_hostile_text_stay_out_of_results() {
    let env = env_with(&[("URL", "placeholder")]);
    drop(env);
    let server = HttpScript::start(vec![
        Answer::ok("{\"state\":\"\\u001b[31m token hunter22-hunter22 \u{202e}\"}")
            .header("X-State", "hunter22-hunter22"),
    ]);
    let secret_url = server.url("/status?token=hunter22-hunter22");
    let env = env_with(&[("URL", &secret_url), ("TOKEN", "hunter22-hunter22")]);
    let kind = |c: HttpCheck| {
        CheckKind::Http(Box::new(HttpCheck {
            url: MaybeSecret::Secret(SecretRef::Env("URL".into())),
            headers: BTreeMap::from([("X-Token".to_owned(), MaybeSecret::Secret(SecretRef::Env("TOKEN".into())))]),
            ..c
        }))
    };
    let json = vec![JsonCondition { path: "state".into(), equals: Some(json!("ok")), compare: None }];
    let headers = BTreeMap::from([("x-state".to_owned(), "^ok$".to_owned())]);
    for (c, word) in [
        (HttpCheck { json, ..get("") }, "state is"),
        (HttpCheck { header_matches: headers, ..get("") }, "header x-state is \"***\""),
    ] {
        let result = look_in(check(kind(c)), &env).await;
        fails(&result, Reason::Assertion, &[word, "***"]);
        assert!(!format!("{result:?}").contains("hunter22"), "{result:?}");
    }
    // An address with a password in it.
    let port = free_port();
    let url = format!("http://user:hunter22-hunter22@127.0.0.1:{port}/");
    let result = look(CheckKind::Http(Box::new(get(url)))).await;
    assert!(!format!("{result:?}").contains("hunter22"), "{result:?}");
    let bad = HttpCheck { url: MaybeSecret::Plain("http://user:hunter22-hunter22@:x/".into()), ..get("") };
    let Err(why) = mayday::probe::prepare(&check(CheckKind::Http(Box::new(bad))), &env) else { panic!() };
    assert!(!why.contains("hunter22"), "{why}");
}

#[test]
fn what_cannot_work_is_refused_when_prepared() {
    let server = "http://127.0.0.1:1/";
    for (bad, word) in [
        (get("127.0.0.1:80"), "not a URL like http://"),
        (get("ftp://h/"), "http://"),
        (HttpCheck { method: "G T".into(), ..get(server) }, "not an HTTP method"),
        (HttpCheck { body_matches: Some("(".into()), ..get(server) }, "not a regular expression"),
        (
            HttpCheck { headers: BTreeMap::from([("a b".into(), MaybeSecret::Plain("x".into()))]), ..get(server) },
            "header's name",
        ),
        (HttpCheck { url: MaybeSecret::Secret(SecretRef::Env("NOPE".into())), ..get(server) }, "NOPE is not set"),
        (HttpCheck { extra_ca: vec!["/no/such/ca.pem".into()], ..get(server) }, "/no/such/ca.pem"),
    ] {
        let Err(why) = mayday::probe::prepare(&timed(CheckKind::Http(Box::new(bad)), Duration::from_secs(5)), &env())
        else {
            panic!("{word}")
        };
        assert!(why.starts_with("preparing the http check http: ") && why.contains(word), "{why}");
    }
}
