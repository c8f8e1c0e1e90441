use std::net::UdpSocket;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, rdata};
use mayday::config::{CheckKind, DnsCheck};
use mayday::domain::health::{Outcome, Reason};

use crate::support::free_port;
use crate::{check, env, fact, fails, is, look, look_for};

/// A resolver on loopback, by UDP and TCP: answers by the first label of the name asked.
struct Responder {
    port: u16,
    asked: Arc<AtomicUsize>,
}

fn reply(question: &[u8], tcp: bool) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).ok()?;
    let query = question.query()?.clone();
    let mut reply = Message::new();
    reply.set_id(question.id()).set_message_type(MessageType::Response).add_query(query.clone());
    let add = |reply: &mut Message, data: RData| {
        reply.add_answer(Record::from_rdata(query.name().clone(), 60, data));
    };
    match query.name().to_utf8().split('.').next().unwrap_or_default() {
        "web" => {
            add(&mut reply, RData::A(rdata::A::new(10, 0, 0, 1)));
            add(&mut reply, RData::A(rdata::A::new(10, 0, 0, 2)));
        }
        "v6" => add(&mut reply, RData::AAAA(rdata::AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))),
        "mail" => add(&mut reply, RData::MX(rdata::MX::new(10, Name::from_str("mx.shop.test.").unwrap()))),
        "text" => {
            add(&mut reply, RData::TXT(rdata::TXT::new(vec!["v=spf1 ".into(), "-all".into()])));
            add(&mut reply, RData::TXT(rdata::TXT::new(vec!["\u{1b}[2Jhostile".into()])));
        }
        "alias" => {
            let name = Name::from_str("WEB.shop.test.").unwrap();
            add(&mut reply, RData::CNAME(rdata::CNAME(name)));
        }
        "empty" => {}
        "missing" => {
            reply.set_response_code(ResponseCode::NXDomain);
        }
        "broken" => {
            reply.set_response_code(ResponseCode::ServFail);
        }
        "refused" => {
            reply.set_response_code(ResponseCode::Refused);
        }
        "large" if !tcp => {
            reply.set_truncated(true);
        }
        "large" => (1..=100).for_each(|i| add(&mut reply, RData::A(rdata::A::new(10, 0, 1, i)))),
        "wrong" => {
            reply.set_id(question.id().wrapping_add(1));
        }
        _ => return None,
    }
    reply.to_vec().ok()
}

impl Responder {
    fn start() -> Self {
        let port = free_port();
        let udp = UdpSocket::bind(("127.0.0.1", port)).unwrap();
        let tcp = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while let Ok((n, from)) = udp.recv_from(&mut buffer) {
                let nth = count.fetch_add(1, Ordering::SeqCst);
                let name = Message::from_vec(&buffer[..n]).ok().and_then(|m| m.query().map(|q| q.name().to_utf8()));
                // The first datagram about this one is lost.
                if name.is_some_and(|n| n.starts_with("lossy")) {
                    if nth > 0 {
                        let mut bytes = buffer[..n].to_vec();
                        bytes[2] |= 0x80;
                        let _ = udp.send_to(&bytes, from);
                    }
                    continue;
                }
                if let Some(bytes) = reply(&buffer[..n], false) {
                    let _ = udp.send_to(&bytes, from);
                }
            }
        });
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            for mut stream in tcp.incoming().flatten() {
                let mut length = [0; 2];
                if stream.read_exact(&mut length).is_err() {
                    continue;
                }
                let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
                let _ = stream.read_exact(&mut bytes);
                if let Some(bytes) = reply(&bytes, true) {
                    let _ = stream.write_all(&u16::try_from(bytes.len()).unwrap().to_be_bytes());
                    let _ = stream.write_all(&bytes);
                }
            }
        });
        Responder { port, asked }
    }

    fn ask(&self, name: &str, record: &str, expect: &[&str]) -> CheckKind {
        CheckKind::Dns(DnsCheck {
            name: name.into(),
            record: record.into(),
            resolver: Some(format!("127.0.0.1:{}", self.port)),
            expect: expect.iter().map(|e| (*e).to_owned()).collect(),
        })
    }
}

#[tokio::test]
async fn answers_are_read_and_compared() {
    let dns = Responder::start();
    let result = look(dns.ask("web.shop.test", "A", &[])).await;
    is(&result, Outcome::Ok, None, &["web.shop.test. A 10.0.0.1, 10.0.0.2"]);
    assert_eq!(fact(&result, "answers"), "10.0.0.1, 10.0.0.2");
    for (name, record, expect) in [
        ("web.shop.test", "a", "10.0.0.2"),
        ("v6.shop.test", "AAAA", "2001:db8:0:0:0:0:0:1"),
        ("alias.shop.test", "CNAME", "web.shop.test"),
        ("mail.shop.test", "MX", "10 mx.shop.test."),
        ("text.shop.test", "TXT", "v=spf1 -all"),
    ] {
        is(&look(dns.ask(name, record, &[expect])).await, Outcome::Ok, None, &[]);
    }
    let result = look(dns.ask("web.shop.test", "A", &["10.0.0.1", "10.0.0.9"])).await;
    fails(&result, Reason::Assertion, &["is 10.0.0.1, 10.0.0.2, expected 10.0.0.9"]);
    let result = look(dns.ask("text.shop.test", "TXT", &["other"])).await;
    fails(&result, Reason::Assertion, &["·[2Jhostile"]);
    fails(&look(dns.ask("empty.shop.test", "A", &[])).await, Reason::Assertion, &["has no A record"]);
}

#[tokio::test]
async fn each_refusal_has_its_own_words() {
    let dns = Responder::start();
    fails(&look(dns.ask("missing.shop.test", "A", &[])).await, Reason::Dns, &["NXDOMAIN", "missing.shop.test"]);
    fails(&look(dns.ask("broken.shop.test", "A", &[])).await, Reason::Protocol, &["SERVFAIL"]);
    fails(&look(dns.ask("refused.shop.test", "A", &[])).await, Reason::Refused, &["REFUSED"]);
    let result = look_for(dns.ask("silent.shop.test", "A", &[]), Duration::from_millis(300)).await;
    fails(&result, Reason::TimeoutHeaders, &["resolver 127.0.0.1", "no answer"]);
    let result = look_for(dns.ask("wrong.shop.test", "A", &[]), Duration::from_millis(300)).await;
    fails(&result, Reason::TimeoutHeaders, &["no answer"]);
    // Nobody there: the kernel says so.
    let kind = CheckKind::Dns(DnsCheck {
        name: "web.shop.test".into(),
        record: "A".into(),
        resolver: Some(format!("127.0.0.1:{}", free_port())),
        expect: Vec::new(),
    });
    fails(&look(kind).await, Reason::Refused, &["connection refused by 127.0.0.1"]);
}

#[tokio::test]
async fn a_truncated_reply_is_asked_for_again_by_tcp_and_a_lost_one_again() {
    let dns = Responder::start();
    let result = look(dns.ask("large.shop.test", "A", &["10.0.1.100"])).await;
    is(&result, Outcome::Ok, None, &["10.0.1.1"]);
    let before = dns.asked.load(Ordering::SeqCst);
    let result = look(Responder::start().ask("lossy.shop.test", "A", &[])).await;
    // It came the second time, and held nothing.
    fails(&result, Reason::Assertion, &["has no A record"]);
    assert!(result.took_us >= 1_000_000, "{}", result.took_us);
    assert_eq!(dns.asked.load(Ordering::SeqCst), before);
}

#[test]
fn what_is_no_question_is_refused_when_prepared() {
    for (name, record, resolver, word) in [
        ("web.shop.test", "ANY", None, "record type"),
        ("web..test", "A", None, "not a name"),
        ("web.shop.test", "A", Some("[::1"), "not an address"),
    ] {
        let kind = CheckKind::Dns(DnsCheck {
            name: name.into(),
            record: record.into(),
            resolver: resolver.map(str::to_owned),
            expect: Vec::new(),
        });
        let Err(why) = mayday::probe::prepare(&check(kind), &env()) else { panic!("{name} {record}") };
        assert!(why.contains(word), "{why}");
    }
}
