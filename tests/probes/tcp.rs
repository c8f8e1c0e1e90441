use std::time::Duration;

use mayday::config::{CheckKind, Family, TcpCheck};
use mayday::domain::health::{Outcome, Reason};

use crate::support::{Answer, HttpScript, Redis, free_port};
use crate::{Swallower, check, env, fails, is, look, look_for};

fn tcp(address: impl Into<String>) -> TcpCheck {
    TcpCheck { address: address.into(), ..TcpCheck::default() }
}

#[tokio::test]
async fn open_refused_silent_and_unknown_are_told_apart() {
    let server = HttpScript::start(vec![Answer::ok("")]);
    let at = format!("127.0.0.1:{}", server.port());
    is(&look(CheckKind::Tcp(tcp(&at))).await, Outcome::Ok, None, &["connected to", &at]);

    let closed = format!("127.0.0.1:{}", free_port());
    fails(&look(CheckKind::Tcp(tcp(&closed))).await, Reason::Refused, &["connection refused by", &closed]);

    let full = Swallower::new();
    let at = format!("127.0.0.1:{}", full.port());
    let result = look_for(CheckKind::Tcp(tcp(&at)), Duration::from_millis(400)).await;
    fails(&result, Reason::TimeoutConnect, &["timed out connecting to", &at, "no answer at all in 400ms"]);
    assert!((400_000..900_000).contains(&result.took_us), "{}", result.took_us);

    // RFC 6761: names under .invalid never resolve.
    let result = look_for(CheckKind::Tcp(tcp("db.invalid:5432")), Duration::from_secs(30)).await;
    fails(&result, Reason::Dns, &["db.invalid"]);

    let v6 = TcpCheck { family: Family::V6, ..tcp("127.0.0.1:80") };
    fails(&look(CheckKind::Tcp(v6)).await, Reason::Dns, &["no IPv6 address"]);
}

#[tokio::test]
async fn an_exchange_of_words() {
    let redis = Redis::start(&[]);
    let ask = |send: &str, expect: &str| {
        let address = format!("127.0.0.1:{}", redis.port());
        CheckKind::Tcp(TcpCheck { send: Some(send.into()), expect: Some(expect.into()), ..tcp(address) })
    };
    is(&look(ask("PING\r\n", "+PONG")).await, Outcome::Ok, None, &["answered \"+PONG\""]);
    // It stays connected and says something else: nothing more comes.
    let result = look_for(ask("PING\r\n", "+OK"), Duration::from_millis(500)).await;
    fails(&result, Reason::TimeoutHeaders, &["then no answer", "500ms are over"]);
    fails(
        &look(ask("QUIT\r\n", "+PONG")).await,
        Reason::Assertion,
        &["answered \"+OK", "and closed, expected \"+PONG\""],
    );

    let hostile = HttpScript::start(vec![Answer::raw(&b"\x1b[2J\xe2\x80\xaegone\xff\r\n"[..])]);
    let kind = CheckKind::Tcp(TcpCheck {
        send: Some("GET / HTTP/1.0\r\nconnection: close\r\n\r\n".into()),
        expect: Some("220".into()),
        ..tcp(format!("127.0.0.1:{}", hostile.port()))
    });
    fails(&look(kind).await, Reason::Assertion, &["·[2J·gone"]);
}

#[tokio::test]
async fn slow_is_a_warning() {
    let server = HttpScript::start(vec![Answer::ok("x").after(Duration::from_millis(120))]);
    let kind = CheckKind::Tcp(TcpCheck {
        send: Some("GET / HTTP/1.1\r\nhost: x\r\n\r\n".into()),
        expect: Some("200".into()),
        latency_below: Some(Duration::from_millis(100)),
        ..tcp(format!("127.0.0.1:{}", server.port()))
    });
    is(&look(kind).await, Outcome::Warn, Some(Reason::Slow), &["over 100ms"]);
}

#[test]
fn what_is_no_address_is_refused_when_prepared() {
    for bad in ["", "db", "db:http", "http://db:80", "::1:80"] {
        let Err(why) = mayday::probe::prepare(&check(CheckKind::Tcp(tcp(bad))), &env()) else { panic!("{bad}") };
        assert!(why.contains("tcp") && why.contains("is not an address"), "{why}");
    }
}
