use std::time::Duration;

use mayday::config::{CheckKind, Family, HttpCheck, TlsCheck};
use mayday::domain::health::{Outcome, ProbeResult, Reason};

use super::http::get;
use crate::support::certs::self_signed;
use crate::support::{Answer, HttpScript, ServerCert, TestCa, free_port, scratch};
use crate::{fact, fails, file, is, look, look_for};

/// Looks at a server with `cert`, by the TLS check and by an HTTP check, both trusting `ca`.
async fn both(ca: &TestCa, cert: &ServerCert, name: Option<&str>) -> (ProbeResult, ProbeResult) {
    let dir = scratch();
    let extra_ca = vec![file(&dir, "ca.pem", &ca.pem())];
    let server = HttpScript::start_tls(vec![Answer::ok("fine")], cert);
    let tls = TlsCheck {
        address: format!("127.0.0.1:{}", server.port()),
        server_name: name.map(str::to_owned),
        warn_days: 21,
        fail_days: 3,
        family: Family::Any,
        extra_ca: extra_ca.clone(),
    };
    let http = HttpCheck { extra_ca, cert_warn_days: Some(21), cert_fail_days: Some(3), ..get(server.url("/")) };
    (look(CheckKind::Tls(tls)).await, look(CheckKind::Http(Box::new(http))).await)
}

/// The day `n` days from now, as (year, month, day).
fn day(n: i64) -> (i32, u8, u8) {
    use chrono::Datelike;
    let date = (chrono::Utc::now() + chrono::Duration::days(n)).date_naive();
    (date.year(), u8::try_from(date.month()).unwrap(), u8::try_from(date.day()).unwrap())
}

#[tokio::test]
async fn each_fault_of_a_certificate_has_its_own_words() {
    let ca = TestCa::new();
    let names = ["localhost", "127.0.0.1"];

    let (tls, http) = both(&ca, &ca.localhost(), None).await;
    is(&tls, Outcome::Ok, None, &["certificate valid until 2090-01-01"]);
    is(&http, Outcome::Ok, None, &["200 OK"]);
    assert!(fact(&tls, "certificate days left").parse::<i64>().unwrap() > 20_000);
    assert_eq!(fact(&http, "certificate until"), "2090-01-01");
    assert!(fact(&tls, "issuer").contains("mayday test authority"));
    assert!(fact(&tls, "names").contains("localhost"));
    assert_eq!(fact(&tls, "version"), "TLS 1.3");

    let (tls, http) = both(&ca, &ca.server(&names, (2020, 1, 1), (2025, 6, 1)), None).await;
    fails(&tls, Reason::TlsExpired, &["expired on 2025-06-01", "days ago"]);
    fails(&http, Reason::TlsExpired, &["expired on 2025-06-01"]);

    let (tls, http) = both(&ca, &ca.server(&names, (2080, 1, 1), (2090, 1, 1)), None).await;
    fails(&tls, Reason::TlsNotYet, &["not valid before 2080-01-01"]);
    fails(&http, Reason::TlsNotYet, &["not valid yet"]);

    let (tls, http) = both(&ca, &ca.server(&["shop.test", "www.shop.test"], (2020, 1, 1), (2090, 1, 1)), None).await;
    fails(&tls, Reason::TlsName, &["is for shop.test, www.shop.test, not for 127.0.0.1"]);
    fails(&http, Reason::TlsName, &["is for shop.test, www.shop.test, not for 127.0.0.1"]);

    let (tls, http) = both(&ca, &self_signed(), None).await;
    fails(&tls, Reason::TlsUntrusted, &["self-signed"]);
    fails(&http, Reason::TlsUntrusted, &["nobody this host trusts"]);

    let (tls, http) = both(&ca, &TestCa::new().localhost(), None).await;
    fails(&tls, Reason::TlsUntrusted, &["nobody this host trusts"]);
    fails(&http, Reason::TlsUntrusted, &["nobody this host trusts"]);

    // Another name may be asked for than the one connected to.
    let (tls, _) = both(&ca, &ca.server(&["shop.test"], (2020, 1, 1), (2090, 1, 1)), Some("shop.test")).await;
    is(&tls, Outcome::Ok, None, &[]);
}

#[tokio::test]
async fn a_certificate_that_ends_soon_warns_and_then_fails() {
    let ca = TestCa::new();
    let names = ["localhost", "127.0.0.1"];
    let (tls, http) = both(&ca, &ca.server(&names, (2020, 1, 1), day(10)), None).await;
    is(&tls, Outcome::Warn, Some(Reason::TlsExpiring), &["expires in 9 days"]);
    is(&http, Outcome::Warn, Some(Reason::TlsExpiring), &["expires in 9 days"]);
    let (tls, http) = both(&ca, &ca.server(&names, (2020, 1, 1), day(2)), None).await;
    fails(&tls, Reason::TlsExpiring, &["expires in 1 day"]);
    fails(&http, Reason::TlsExpiring, &["expires in 1 day"]);
}

#[tokio::test]
async fn servers_that_speak_no_tls_or_nothing() {
    let at = |address: String| TlsCheck {
        address,
        server_name: None,
        warn_days: 21,
        fail_days: 3,
        family: Family::Any,
        extra_ca: Vec::new(),
    };
    let plain = HttpScript::start(vec![Answer::raw("HTTP/1.1 400 Bad Request\r\n\r\n")]);
    // The script reads lines; a hello holds none, so the server waits and the limit decides.
    let result = look_for(CheckKind::Tls(at(format!("127.0.0.1:{}", plain.port()))), Duration::from_secs(1)).await;
    assert_eq!(result.outcome, Outcome::Fail, "{result:?}");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let result = look_for(CheckKind::Tls(at(format!("127.0.0.1:{port}"))), Duration::from_millis(400)).await;
    fails(&result, Reason::TimeoutTls, &["connected to", "TLS handshake"]);
    let chatty = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = chatty.local_addr().unwrap().port();
    std::thread::spawn(move || {
        if let Ok((mut stream, _)) = chatty.accept() {
            let _ = std::io::Write::write_all(&mut stream, b"220 mail.test ESMTP\r\n");
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
        }
    });
    let result = look(CheckKind::Tls(at(format!("127.0.0.1:{port}")))).await;
    fails(&result, Reason::Protocol, &["does not speak TLS"]);
    let result = look(CheckKind::Tls(at(format!("127.0.0.1:{}", free_port())))).await;
    fails(&result, Reason::Refused, &["connection refused"]);
}
