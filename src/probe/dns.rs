//! DNS: one question to one resolver, and the answers that must be in its reply.
//!
//! The question goes out by UDP and is repeated while no reply comes, since a datagram may be lost; a truncated reply is
//! asked for again by TCP (RFC 1035, 7766). A reply counts only from the address asked, with the id and the question sent.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::ProbeEnv;
use super::look::{Finding, Look, Phase, Progress};
use super::net::{self, Resolver};
use crate::config::{DnsCheck, Family};
use crate::domain::health::Reason;

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The question is repeated this often while there is no reply.
const REPEAT: Duration = Duration::from_secs(1);

pub(super) struct Dns {
    name: Name,
    record: RecordType,
    server: Option<(String, u16)>,
    expect: Vec<String>,
    resolver: Resolver,
}

impl Dns {
    pub(super) fn new(check: &DnsCheck, env: &ProbeEnv) -> Result<Self, String> {
        let mut name = Name::from_utf8(&check.name).map_err(|e| format!("\"{}\" is not a name: {e}", check.name))?;
        name.set_fqdn(true);
        let known = ["A", "AAAA", "CNAME", "MX", "TXT", "NS", "SRV"];
        let word = if check.record.is_empty() { "A".to_owned() } else { check.record.to_ascii_uppercase() };
        if !known.contains(&word.as_str()) {
            return Err(format!("\"{}\" is not a record type: {}", check.record, known.join(", ")));
        }
        let record = RecordType::from_str(&word).map_err(|e| format!("\"{word}\" is not a record type: {e}"))?;
        let server = check.resolver.as_deref().map(|text| match net::literal(text) {
            Some(ip) => Ok((ip.to_string(), 53)),
            None => net::host_port(text).or_else(|_| net::host_port(&format!("{text}:53"))),
        });
        Ok(Dns {
            name,
            record,
            server: server.transpose()?,
            expect: check.expect.iter().map(|e| normal(e)).collect(),
            resolver: env.resolver.clone(),
        })
    }

    async fn ask(&self, progress: &Progress) -> Result<Finding, Finding> {
        let (host, port) = match &self.server {
            Some(server) => server.clone(),
            None => system_resolver().map_err(Finding::error)?,
        };
        progress.enter_with(Phase::Resolve, host.as_str());
        let found = self.resolver.lookup(&host, port, Family::Any).await;
        let found = found.map_err(|e| Finding::fail(Reason::Dns, format!("the resolver itself: {e}")))?;
        let server = *found.first().ok_or_else(|| Finding::fail(Reason::Dns, format!("name {host} has no address")))?;
        progress.enter_with(Phase::Answer, format!("resolver {server}"));
        let (id, bytes) = self.question()?;
        let mut reply = self.by_udp(server, id, &bytes).await?;
        if reply.truncated() {
            reply = self.by_tcp(server, id, &bytes).await?;
        }
        Ok(self.judge(&reply, server))
    }

    fn question(&self) -> Result<(u16, Vec<u8>), Finding> {
        // Unpredictable enough to keep stray replies apart; the socket is connected, so others cannot get in.
        let id = u16::from_le_bytes(uuid::Uuid::now_v7().into_bytes().last_chunk().copied().unwrap_or([1, 2]));
        let mut message = Message::new();
        message.set_id(id).set_message_type(MessageType::Query).set_op_code(OpCode::Query).set_recursion_desired(true);
        message.add_query(Query::query(self.name.clone(), self.record));
        let bytes = message.to_vec().map_err(|e| Finding::error(format!("writing the question: {e}")))?;
        Ok((id, bytes))
    }

    /// The reply to this question, or `None` for anything else.
    fn reply(&self, bytes: &[u8], id: u16) -> Option<Message> {
        let message = Message::from_vec(bytes).ok()?;
        let asked = message.query().is_none_or(|q| q.name() == &self.name && q.query_type() == self.record);
        (message.id() == id && message.message_type() == MessageType::Response && asked).then_some(message)
    }

    async fn by_udp(&self, server: SocketAddr, id: u16, question: &[u8]) -> Result<Message, Finding> {
        let local: SocketAddr = match server {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0u16; 8], 0).into(),
        };
        let at = server.to_string();
        let socket = UdpSocket::bind(local)
            .await
            .map_err(|e| Finding::error(format!("cannot open a UDP socket: {}", net::words(&e))))?;
        socket.connect(server).await.map_err(|e| net::connect_words(&e, &at))?;
        let mut buffer = vec![0; 4096];
        loop {
            socket.send(question).await.map_err(|e| net::connect_words(&e, &at))?;
            let received = tokio::time::timeout(REPEAT, async {
                loop {
                    let n = socket.recv(&mut buffer).await?;
                    if let Some(reply) = self.reply(buffer.get(..n).unwrap_or_default(), id) {
                        return Ok(reply);
                    }
                }
            });
            match received.await {
                Ok(reply) => return reply.map_err(|e: std::io::Error| net::connect_words(&e, &at)),
                // Asked again; the limit around the probe ends it.
                Err(_) => continue,
            }
        }
    }

    async fn by_tcp(&self, server: SocketAddr, id: u16, question: &[u8]) -> Result<Message, Finding> {
        let at = format!("{server} (TCP)");
        let mut stream = TcpStream::connect(server).await.map_err(|e| net::connect_words(&e, &at))?;
        let length = u16::try_from(question.len()).unwrap_or(u16::MAX).to_be_bytes();
        let exchange = async {
            stream.write_all(&length).await?;
            stream.write_all(question).await?;
            let mut length = [0; 2];
            stream.read_exact(&mut length).await?;
            let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut bytes).await?;
            Ok::<_, std::io::Error>(bytes)
        };
        let bytes = exchange.await.map_err(|e| net::exchange_words(&e, &at))?;
        self.reply(&bytes, id)
            .ok_or_else(|| Finding::fail(Reason::Protocol, format!("{at} answered something else than was asked")))
    }

    fn judge(&self, reply: &Message, server: SocketAddr) -> Finding {
        let (name, record) = (self.name.to_utf8(), self.record);
        match reply.response_code() {
            ResponseCode::NoError => {}
            ResponseCode::NXDomain => {
                return Finding::fail(Reason::Dns, format!("NXDOMAIN: {server} says that {name} does not exist"));
            }
            ResponseCode::ServFail => {
                return Finding::fail(Reason::Protocol, format!("SERVFAIL: {server} could not find out about {name}"));
            }
            ResponseCode::Refused => {
                return Finding::fail(
                    Reason::Refused,
                    format!("REFUSED: {server} does not answer questions about {name}"),
                );
            }
            other => return Finding::fail(Reason::Protocol, format!("{server} answered {other} about {name}")),
        }
        let answers: Vec<String> =
            reply.answers().iter().filter(|r| r.record_type() == self.record).map(|r| words(r.data())).collect();
        let facts = vec![("answers".to_owned(), answers.join(", "))];
        if answers.is_empty() {
            return Finding::fail(Reason::Assertion, format!("{name} has no {record} record, says {server}"));
        }
        let missing: Vec<&str> = self
            .expect
            .iter()
            .filter(|wanted| !answers.iter().any(|a| normal(a) == **wanted))
            .map(String::as_str)
            .collect();
        if missing.is_empty() {
            return Finding::ok(format!("{name} {record} {}", answers.join(", "))).with_facts(facts);
        }
        let (missing, got) = (missing.join(", "), answers.join(", "));
        Finding::fail(Reason::Assertion, format!("{name} {record} is {got}, expected {missing}")).with_facts(facts)
    }
}

fn words(data: &RData) -> String {
    match data {
        RData::TXT(txt) => txt.iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect(),
        other => other.to_string(),
    }
}

/// Names are equal whatever their case and final dot; addresses however they are written.
fn normal(text: &str) -> String {
    match text.trim().parse::<std::net::IpAddr>() {
        Ok(ip) => ip.to_string(),
        Err(_) => text.trim().trim_end_matches('.').to_ascii_lowercase(),
    }
}

/// The first `nameserver` of resolv.conf(5).
fn system_resolver() -> Result<(String, u16), String> {
    let text = std::fs::read_to_string(RESOLV_CONF).map_err(|e| format!("reading {RESOLV_CONF}: {e}"))?;
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|rest| rest.split_whitespace().next())
        .find(|address| net::literal(address.split('%').next().unwrap_or(address)).is_some())
        .map(|address| (address.to_owned(), 53))
        .ok_or_else(|| format!("{RESOLV_CONF} names no server: give the check a resolver"))
}

impl Look for Dns {
    fn look<'a>(&'a self, progress: &'a Arc<Progress>) -> BoxFuture<'a, Finding> {
        Box::pin(async move { self.ask(progress).await.unwrap_or_else(|e| e) })
    }
}
