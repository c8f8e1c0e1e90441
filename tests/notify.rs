//! Messages over the wire: scripted web servers, a real mail server.

mod notify {
    mod mail;
}
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mayday::config::secret::MaybeSecret;
use mayday::config::{Channel, ChannelKind, SecretRef};
use mayday::domain::Time;
use mayday::domain::catalog::Severity;
use mayday::domain::incident::Status;
use mayday::domain::message::{Delivery, Template};
use mayday::notify::{About, Attempt, Outgoing, Resolver, Sender, retry, sign};
use secrecy::SecretString;
use support::{Answer, HttpScript, TestCa};

const TOKEN: &str = "T0000/B0000/XyzzyPlughSecret99";

fn outgoing() -> Outgoing {
    Outgoing {
        id: "m-01j".into(),
        queued_at: Time::from_ms(1_795_140_847_318),
        by: "oncall1".into(),
        template: Template::Update,
        subject: "[P0] INC-2026-004 Complete outage".into(),
        body: "api is down.\nWe are restoring <the database> & watching.".into(),
        system: "crazy-gary".into(),
        environment: "production".into(),
        head: "9f3a12cd".into(),
        incident: Some(About {
            id: "INC-2026-004".into(),
            title: "Complete outage".into(),
            severity: Severity::P0,
            status: Status::Investigating,
            services: BTreeSet::from(["api".to_owned()]),
            declared_at: Time::from_ms(1_795_140_000_000),
        }),
        late: None,
    }
}

/// Environment references by name; nothing of the real environment is touched.
fn secrets(values: &[(&str, String)]) -> Resolver {
    let values: BTreeMap<String, String> = values.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    Arc::new(move |reference| match reference {
        SecretRef::Env(name) => match values.get(name) {
            Some(value) => Ok(SecretString::from(value.clone())),
            None => Err(format!("{} is not set", reference.describe())),
        },
        other => Err(format!("{} is not for this test", other.describe())),
    })
}

fn env(name: &str) -> MaybeSecret {
    MaybeSecret::Secret(SecretRef::Env(name.into()))
}

fn channel(kind: ChannelKind, timeout: Duration) -> Channel {
    Channel { name: "incidents".into(), kind, auto: Vec::new(), timeout }
}

fn slack(url: String, timeout: Duration) -> Sender {
    let kind = ChannelKind::Slack { webhook: env("HOOK") };
    Sender::new(&channel(kind, timeout), &[], secrets(&[("HOOK", url)])).unwrap()
}

fn webhook(url: String, timeout: Duration) -> Sender {
    let kind = ChannelKind::Webhook {
        url: env("HOOK"),
        secret: Some(SecretRef::Env("KEY".into())),
        headers: BTreeMap::from([("Authorization".to_owned(), env("TOKEN")), ("X-Team".to_owned(), plain("ops"))]),
    };
    let values = [("HOOK", url), ("KEY", "signing-key-1".to_owned()), ("TOKEN", "Bearer tok-123456789".to_owned())];
    Sender::new(&channel(kind, timeout), &[], secrets(&values)).unwrap()
}

fn plain(text: &str) -> MaybeSecret {
    MaybeSecret::Plain(text.into())
}

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(15);

fn hook(server: &HttpScript) -> String {
    server.url(&format!("/services/{TOKEN}"))
}

async fn send(sender: &Sender) -> Attempt {
    sender.send(&outgoing(), 1).await
}

#[tokio::test]
async fn slack_takes_a_message_in_blocks() {
    let server = HttpScript::start(vec![Answer::ok("ok")]);
    let attempt = send(&slack(hook(&server), LONG)).await;
    assert_eq!(attempt, Attempt { result: Delivery::Accepted, answer: "ok".into(), retry_after: None });
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", &*format!("/services/{TOKEN}")));
    let body = requests[0].json();
    assert!(body["text"].as_str().unwrap().contains("restoring &lt;the database&gt; &amp; watching"), "{body}");
    assert_eq!(body["blocks"][0]["text"]["text"], "[P0] INC-2026-004 Complete outage");
    assert!(body.to_string().contains("journal 9f3a12cd"), "{body}");
}

#[tokio::test]
async fn slack_answers_and_what_they_mean() {
    use Delivery::{Accepted, Refused, Retrying};
    let cases = [
        (vec![Answer::ok("ok\n")], Accepted, "ok", 1),
        (vec![Answer::ok("<html>log in</html>")], Retrying, "not Slack's", 1),
        (vec![Answer::status(404).body("no_service")], Refused, "no_service", 1),
        (vec![Answer::status(410).body("channel_is_archived")], Refused, "archived", 1),
        (vec![Answer::status(403).body("invalid_token")], Refused, "invalid_token", 1),
        (vec![Answer::status(500).body("oops")], Retrying, "500", 1),
        (vec![Answer::status(503)], Retrying, "503", 1),
        (vec![Answer::status(408)], Retrying, "408", 1),
        (vec![Answer::cut()], Retrying, "no answer from 127.0.0.1", 1),
        // Head and status are there, the body breaks off before "ok": not known to be taken.
        (vec![Answer::ok("ok").cut_after(45)], Retrying, "not Slack's", 1),
        (vec![Answer::raw("SSH-2.0-OpenSSH_9.2\r\n")], Retrying, "no answer from 127.0.0.1", 1),
        (vec![Answer::status(400).body("invalid_blocks"), Answer::ok("ok")], Accepted, "blocks refused", 2),
        (
            vec![Answer::status(400).body("msg_blocks_too_long"), Answer::status(400).body("no_text")],
            Refused,
            "no_text",
            2,
        ),
    ];
    for (answers, result, said, requests) in cases {
        let shown = format!("{answers:?}");
        let server = HttpScript::start(answers);
        let attempt = send(&slack(hook(&server), LONG)).await;
        assert_eq!(attempt.result, result, "{shown}: {attempt:?}");
        assert!(attempt.answer.contains(said), "{shown}: {attempt:?}");
        assert_eq!(server.requests().len(), requests, "{shown}");
        if requests == 2 {
            let second = server.requests()[1].json();
            assert!(second.get("blocks").is_none(), "{second}");
            assert!(second["text"].as_str().unwrap().contains("journal 9f3a12cd"), "{second}");
        }
    }
}

#[tokio::test]
async fn a_far_end_may_ask_to_be_left_alone() {
    for (value, least, most) in
        [("7", 7, 7), ("Wed, 21 Oct 2099 07:28:00 GMT", 1_000_000, u64::MAX), ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0)]
    {
        let server = HttpScript::start(vec![Answer::status(429).header("Retry-After", value).body("rate_limited")]);
        let attempt = send(&slack(hook(&server), LONG)).await;
        assert_eq!(attempt.result, Delivery::Retrying);
        let after = attempt.retry_after.unwrap().as_secs();
        assert!((least..=most).contains(&after), "{value}: {after}");
        let now = Time::from_ms(0);
        let retry::Next::At(next) = retry::next("k", "c", 1, &attempt, now, now) else { panic!("gave up") };
        assert!(next.ms() >= i64::try_from(after.min(3600)).unwrap() * 1000);
        assert!(next.ms() <= 3_600_000);
    }
}

#[tokio::test]
async fn silence_ends_with_the_channels_time_limit() {
    for dead in ["hang", "nobody listens"] {
        let server = HttpScript::start(vec![Answer::hang()]);
        let url = if dead == "hang" { hook(&server) } else { format!("http://127.0.0.1:{}/x", support::free_port()) };
        let began = Instant::now();
        let attempt = send(&slack(url, SECOND)).await;
        assert!(began.elapsed() < Duration::from_secs(5), "{dead}: {:?}", began.elapsed());
        assert_eq!(attempt.result, Delivery::Retrying, "{dead}");
        assert!(!attempt.answer.is_empty(), "{dead}");
    }
}

#[tokio::test]
async fn a_status_counts_although_its_body_never_ends() {
    for (status, result) in [(200, Delivery::Accepted), (400, Delivery::Refused), (503, Delivery::Retrying)] {
        let endless = Answer::status(status).body("ok").header("Content-Length", "1000");
        let server = HttpScript::start(vec![endless]);
        let attempt = send(&webhook(hook(&server), SECOND)).await;
        assert_eq!(attempt.result, result, "{attempt:?}");
        assert!(attempt.answer.contains("ok"), "{attempt:?}");
    }
}

#[tokio::test]
async fn the_address_of_a_webhook_never_shows() {
    let echo = format!("you asked for http://127.0.0.1/services/{TOKEN} \u{1b}[2J");
    let told = "tok-123456789 is not signing-key-1";
    let elsewhere = HttpScript::start(vec![Answer::ok("ok")]);
    let long = format!("{}{}", "services/T0000/B0000/XyzzyPlughSecret99 ".repeat(101), "x".repeat(4000));
    for answer in [
        Answer::status(400).body(echo.clone()),
        Answer::status(500).body(echo),
        Answer::ok(long.clone()),
        Answer::status(400).body(long),
        Answer::redirect(&elsewhere.url(&format!("/services/{TOKEN}"))),
        Answer::cut(),
        Answer::hang(),
    ] {
        let server = HttpScript::start(vec![answer.clone()]);
        server.route("/told", vec![Answer::status(400).body(told)]);
        let told = webhook(server.url("/told"), SECOND);
        for sender in [slack(hook(&server), SECOND), webhook(hook(&server), SECOND), told] {
            let attempt = send(&sender).await;
            let shown = format!("{attempt:?} {sender:?}");
            for secret in ["XyzzyPlugh", "B0000", "tok-123456789", "signing-key-1", "\u{1b}"] {
                assert!(!shown.contains(secret), "{secret} in {shown} after {answer:?}");
            }
            assert!(attempt.answer.chars().count() <= 300);
        }
    }
    assert!(elsewhere.requests().is_empty(), "a message was carried to another host");
}

#[tokio::test]
async fn a_message_is_not_carried_elsewhere() {
    let elsewhere = HttpScript::start(vec![Answer::ok("ok")]);
    for status in [301, 302, 303, 307, 308] {
        let server = HttpScript::start(vec![Answer::status(status).header("Location", &elsewhere.url("/x"))]);
        let attempt = send(&slack(hook(&server), LONG)).await;
        assert_eq!(attempt.result, Delivery::Refused, "{status}: {attempt:?}");
        assert!(attempt.answer.contains("redirects to 127.0.0.1"), "{attempt:?}");
    }
    assert_eq!(elsewhere.connections(), 0);
    // Within one origin a redirect that repeats the request is followed, and one that would make it a GET is not.
    let server = HttpScript::start(vec![Answer::status(308).header("Location", "/new")]);
    server.route("/new", vec![Answer::ok("ok")]);
    assert_eq!(send(&slack(hook(&server), LONG)).await.result, Delivery::Accepted);
    assert_eq!(server.requests().last().unwrap().method, "POST");
    let loops = HttpScript::start(vec![Answer::status(307).header("Location", "/again")]);
    assert_eq!(send(&slack(hook(&loops), LONG)).await.result, Delivery::Refused);
    assert!(loops.requests().len() <= 5, "{}", loops.requests().len());
    let get = HttpScript::start(vec![Answer::redirect("/new")]);
    get.route("/new", vec![Answer::ok("ok")]);
    assert_eq!(send(&slack(hook(&get), LONG)).await.result, Delivery::Refused);
}

#[tokio::test]
async fn a_webhook_is_signed_and_repeats_are_recognised() {
    let server = HttpScript::start(vec![Answer::status(503), Answer::status(204)]);
    let sender = webhook(hook(&server), LONG);
    assert_eq!(sender.send(&outgoing(), 1).await.result, Delivery::Retrying);
    assert_eq!(sender.send(&outgoing(), 2).await.result, Delivery::Accepted);
    let requests = server.requests();
    assert_eq!(requests[0].body, requests[1].body);
    for name in ["idempotency-key", "x-mayday-signature"] {
        assert_eq!(requests[0].header(name), requests[1].header(name), "{name}");
    }
    let r = &requests[0];
    assert_eq!(r.header("idempotency-key"), Some("crazy-gary.m-01j.1795140847318"));
    assert_eq!(r.header("x-mayday-signature"), Some(&*sign::signature(b"signing-key-1", &r.body)));
    assert_eq!(r.header("authorization"), Some("Bearer tok-123456789"));
    assert_eq!(r.header("x-team"), Some("ops"));
    assert_eq!(r.header("content-type"), Some("application/json"));
    let body = r.json();
    assert_eq!(body["schema"], 1);
    assert_eq!(body["entry"]["kind"], "message.queued");
    assert_eq!(body["incident"]["severity"], "P0");
    assert_eq!(body["journal_head"], "9f3a12cd");
    assert_eq!(body["entry"]["body"], outgoing().body);
}

#[tokio::test]
async fn what_cannot_be_sent_says_why() {
    let server = HttpScript::start(vec![Answer::ok("")]);
    let cases = [
        (ChannelKind::Slack { webhook: env("NOT_THERE") }, Delivery::Retrying, "environment variable NOT_THERE"),
        (ChannelKind::Slack { webhook: plain("not an address") }, Delivery::Refused, "cannot be read"),
        (ChannelKind::Slack { webhook: plain("ftp://host/x") }, Delivery::Refused, "not http or https"),
        (
            ChannelKind::Webhook {
                url: plain(&server.url("/x")),
                secret: None,
                headers: BTreeMap::from([("X-Bad".to_owned(), plain("a\r\nX-Evil: 1"))]),
            },
            Delivery::Refused,
            "X-Bad",
        ),
    ];
    for (kind, result, said) in cases {
        let sender = Sender::new(&channel(kind, LONG), &[], secrets(&[])).unwrap();
        let attempt = send(&sender).await;
        assert_eq!(attempt.result, result, "{attempt:?}");
        assert!(attempt.answer.contains(said), "{attempt:?}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_renewed_secret_is_taken_up() {
    let server = HttpScript::start(vec![Answer::status(404).body("no_service"), Answer::ok("ok")]);
    let calls = Arc::new(AtomicU32::new(0));
    let (counted, base) = (calls.clone(), server.url("/services/"));
    let resolver: Resolver = Arc::new(move |_| {
        Ok(SecretString::from(format!("{base}generation{}", counted.fetch_add(1, Ordering::SeqCst))))
    });
    let sender = Sender::new(&channel(ChannelKind::Slack { webhook: env("HOOK") }, LONG), &[], resolver).unwrap();
    assert_eq!(send(&sender).await.result, Delivery::Refused);
    assert_eq!(send(&sender).await.result, Delivery::Accepted);
    assert_eq!(server.requests()[1].path, "/services/generation1");
}

#[tokio::test]
async fn tls_is_verified_against_the_given_authority() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let server = HttpScript::start_tls(vec![Answer::ok("ok")], &ca.localhost());
    let dir = support::scratch();
    for (authority, result) in [(&ca, Delivery::Accepted), (&other, Delivery::Retrying)] {
        let file = dir.path().join("ca.pem");
        std::fs::write(&file, authority.pem()).unwrap();
        let kind = ChannelKind::Slack { webhook: env("HOOK") };
        let sender = Sender::new(&channel(kind, LONG), &[file], secrets(&[("HOOK", hook(&server))])).unwrap();
        let attempt = send(&sender).await;
        assert_eq!(attempt.result, result, "{attempt:?}");
        if result == Delivery::Retrying {
            assert!(attempt.answer.contains("certificate"), "{attempt:?}");
        }
    }
}

/// Proxies come from the environment, which belongs to the whole process: the test runs itself again in another one.
#[tokio::test]
async fn proxies_come_from_the_environment() {
    if let Ok(url) = std::env::var("MAYDAY_TEST_PROXIED") {
        let attempt = send(&slack(url, LONG)).await;
        assert_eq!(attempt.result, Delivery::Accepted, "{attempt:?}");
        return;
    }
    let proxy = HttpScript::start(vec![Answer::ok("ok")]);
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "proxies_come_from_the_environment"]);
    again.env("MAYDAY_TEST_PROXIED", "http://hooks.invalid/services/abc").env("http_proxy", proxy.url(""));
    again.env_remove("no_proxy").env_remove("NO_PROXY").env_remove("REQUEST_METHOD");
    let output = tokio::task::spawn_blocking(move || again.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(proxy.requests()[0].path, "http://hooks.invalid/services/abc");
}
