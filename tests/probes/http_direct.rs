//! Plain requests go a shorter way once a plain answer has come: what they send and say must be what the client does.

use std::collections::BTreeMap;
use std::time::Duration;

use mayday::config::{CheckKind, HttpCheck, Redirects};
use mayday::domain::health::{Outcome, ProbeResult, Reason};

use super::http::get;
use crate::support::{Answer, HttpScript, Request};
use crate::{check, env, fails, is};

const LIMIT: Duration = Duration::from_millis(700);

fn plain(server: &HttpScript) -> HttpCheck {
    get(server.url("/health?full=1"))
}

/// What the first probe of a check says to `answer`, and what one says that has seen a plain answer before.
async fn both(answer: Answer, change: impl Fn(HttpCheck) -> HttpCheck) -> (ProbeResult, ProbeResult) {
    let mut said = Vec::new();
    for before in [vec![], vec![Answer::ok("fine").header("X-Version", "1.2")]] {
        let n = before.len();
        let server = HttpScript::start([before, vec![answer.clone()]].concat());
        let env = env();
        let check = check(CheckKind::Http(Box::new(change(plain(&server)))));
        let probe = crate::prepared(&check, &env);
        for _ in 0..n {
            is(&probe.probe(LIMIT).await, Outcome::Ok, None, &["200 OK"]);
        }
        let mut result = probe.probe(LIMIT).await;
        // The port is another each time.
        result.detail = result.detail.replace(&server.port().to_string(), "PORT");
        assert_eq!(server.connections(), n + 1, "each probe is one request");
        said.push(result);
    }
    let second = said.pop().unwrap();
    (said.pop().unwrap(), second)
}

#[tokio::test]
async fn both_ways_say_the_same() {
    let version = |c: HttpCheck| HttpCheck {
        header_matches: BTreeMap::from([("x-version".to_owned(), "^1\\.2$".to_owned())]),
        ..c
    };
    let same: fn(HttpCheck) -> HttpCheck = |c| c;
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    for (answer, wanted) in [
        (Answer::ok("fine"), "200 OK"),
        (Answer::ok("x".repeat(300_000)), "200 OK"),
        (Answer::ok("").header("X-Long", &"y".repeat(5000)), "200 OK"),
        (Answer::status(503), "503 Service Unavailable"),
        (Answer::status(599), "599"),
        (Answer::raw(early), "204 No Content"),
        (Answer::cut(), "closed the connection before it had answered"),
        (Answer::raw("HTTP/1.1 200 OK\r\nX: y"), "closed the connection before it had answered"),
        (Answer::raw("SSH-2.0-OpenSSH_9.2\r\n"), "talking to 127.0.0.1:PORT"),
        (Answer::raw("HTTP/1.1 2x0 OK\r\n\r\n"), "talking to 127.0.0.1:PORT"),
        (Answer::hang(), "connected to 127.0.0.1:PORT, then no answer"),
    ] {
        let (client, short) = both(answer, same).await;
        assert!(client.detail.contains(wanted), "{client:?}");
        assert_eq!(
            (short.outcome, short.reason, &short.detail, &short.facts),
            (client.outcome, client.reason, &client.detail, &client.facts)
        );
    }
    for answer in [Answer::ok("").header("X-Version", "1.2"), Answer::ok("").header("X-Version", "1.3"), Answer::ok("")]
    {
        let (client, short) = both(answer, version).await;
        assert_eq!((short.outcome, short.reason, short.detail), (client.outcome, client.reason, client.detail));
    }
}

#[tokio::test]
async fn both_ways_send_the_same() {
    let server = HttpScript::start(vec![Answer::ok("")]);
    let named = server.url("/a%20b/?q=%C3%A9&x=1").replace("http://", "http://probe:hunter22@");
    let env = env();
    let check = check(CheckKind::Http(Box::new(get(named))));
    let probe = crate::prepared(&check, &env);
    for _ in 0..2 {
        is(&probe.probe(LIMIT).await, Outcome::Ok, None, &[]);
    }
    let sent = |r: &Request| {
        let headers: BTreeMap<String, String> =
            r.headers.iter().map(|(n, v)| (n.to_ascii_lowercase(), v.clone())).collect();
        (r.method.clone(), r.path.clone(), headers, r.headers.len())
    };
    let requests = server.requests();
    assert_eq!(sent(&requests[1]), sent(&requests[0]));
}

#[tokio::test]
async fn a_redirect_and_a_refusal_are_met_later_too() {
    let server = HttpScript::start(vec![Answer::ok(""), Answer::redirect("/new")]);
    server.route("/new", vec![Answer::status(503)]);
    let env = env();
    let first = check(CheckKind::Http(Box::new(get(server.url("/")))));
    let follows = crate::prepared(&first, &env);
    is(&follows.probe(LIMIT).await, Outcome::Ok, None, &[]);
    for _ in 0..2 {
        fails(&follows.probe(LIMIT).await, Reason::Status, &["503"]);
    }
    let stays = check(CheckKind::Http(Box::new(HttpCheck { redirects: Redirects::None, ..get(server.url("/")) })));
    let stays = crate::prepared(&stays, &env);
    server.answer(vec![Answer::ok(""), Answer::redirect("/new")]);
    is(&stays.probe(LIMIT).await, Outcome::Ok, None, &[]);
    fails(&stays.probe(LIMIT).await, Reason::Status, &["302 Found"]);
    let port = server.port();
    drop(server);
    fails(&stays.probe(LIMIT).await, Reason::Refused, &[&format!("connection refused by 127.0.0.1:{port}")]);
}
