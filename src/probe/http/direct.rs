//! The common case without a client: a plain `http` request of which only the head of the answer counts.
//!
//! A client keeps pools, follows redirects, decodes bodies and races addresses; for a check that wants a status from one
//! address all of that is most of its cost, and there are thousands of such checks. So the request is written once, sent
//! as it is, and the answer read up to its empty line. What is sent is what the client sends, and what failed is said in
//! the same words.
//!
//! Whatever is not this case is the client's: other schemes and methods, a body to be sent or read, connections that are
//! kept. Whether a check is redirected, or its name has several addresses, is only known by asking: a check goes the
//! short way after the client has seen a plain answer, and back to the client when it meets anything else.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{Method, Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::look::{Finding, Phase, Progress};
use super::super::net::{self, LookupFailed, Resolver};
use crate::config::Family;
use crate::domain::health::Reason;

/// An answer's head is not looked at beyond this.
const HEAD_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 100;
/// Read at first: most heads are shorter.
const HEAD_USUAL: usize = 1024;

/// Nobody asked yet; a plain answer came; it takes the client.
const UNKNOWN: u8 = 0;
const SHORT: u8 = 1;
const CLIENT: u8 = 2;

pub(super) struct Direct {
    /// The whole request as it is sent.
    request: Vec<u8>,
    host: Host,
    port: u16,
    family: Family,
    resolver: Resolver,
    follows: bool,
    way: AtomicU8,
}

enum Host {
    Address(IpAddr),
    Name(String),
}

/// The head of an answer.
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

/// What came of asking.
pub(super) enum Asked {
    Head(Head),
    Failed(Finding),
    /// The client has to ask.
    Client,
}

impl Direct {
    /// `None` where only the client will do. `follows`: a redirect is followed, which is for the client to do.
    pub(super) fn new(request: &Request, resolver: &Resolver, family: Family, follows: bool) -> Option<Direct> {
        let url = request.url();
        let plain = url.scheme() == "http" && request.body().is_none();
        if !plain || !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        let host = match url.host_str().and_then(net::literal) {
            Some(address) => Host::Address(address),
            None => Host::Name(url.host_str()?.to_owned()),
        };
        Some(Direct {
            request: written(request)?,
            host,
            port: url.port_or_known_default()?,
            family,
            resolver: resolver.clone(),
            follows,
            way: AtomicU8::new(UNKNOWN),
        })
    }

    /// Whether the next probe goes the short way.
    pub(super) fn is_short(&self) -> bool {
        self.way.load(Ordering::Relaxed) == SHORT
    }

    /// The client got an answer, from where it was sent or from somewhere else.
    pub(super) fn learn(&self, redirected: bool) {
        if !redirected && self.way.load(Ordering::Relaxed) == UNKNOWN {
            self.way.store(SHORT, Ordering::Relaxed);
        }
    }

    fn to_client(&self) -> Asked {
        self.way.store(CLIENT, Ordering::Relaxed);
        Asked::Client
    }

    /// Asks once. `wanted` says whether the headers are looked at.
    pub(super) async fn ask(&self, wanted: bool, progress: &Progress) -> Asked {
        let (address, shown) = match &self.host {
            Host::Address(ip) => {
                let address = SocketAddr::new(*ip, self.port);
                (address, address.to_string())
            }
            Host::Name(name) => {
                progress.enter_with(Phase::Resolve, name.as_str());
                match self.resolver.lookup(name, self.port, self.family).await {
                    Ok(found) => match found.as_slice() {
                        [one] => (*one, format!("{name} ({})", one.ip())),
                        _ => return self.to_client(),
                    },
                    Err(LookupFailed(why)) => return Asked::Failed(Finding::fail(Reason::Dns, why)),
                }
            }
        };
        progress.enter_with(Phase::Connect, shown.as_str());
        let mut stream = match TcpStream::connect(address).await {
            Ok(stream) => stream,
            Err(e) => return Asked::Failed(net::connect_words(&e, &shown)),
        };
        progress.enter(Phase::Headers);
        if let Err(e) = stream.write_all(&self.request).await {
            return Asked::Failed(net::exchange_words(&e, &shown));
        }
        let mut seen = Vec::with_capacity(HEAD_USUAL);
        loop {
            match stream.read_buf(&mut seen).await {
                Ok(0) => {
                    let text = format!("{shown} closed the connection before it had answered");
                    return Asked::Failed(Finding::fail(Reason::Protocol, text));
                }
                Ok(_) => {}
                Err(e) => return Asked::Failed(net::exchange_words(&e, &shown)),
            }
            match self.head(&seen, wanted) {
                Ok(Parsed::Whole(head)) => return Asked::Head(head),
                Ok(Parsed::Redirect) => return self.to_client(),
                Ok(Parsed::Part) if seen.len() < HEAD_MAX => seen.reserve(HEAD_USUAL),
                Ok(Parsed::Part) => {
                    let text = format!("talking to {shown}: message head is too large");
                    return Asked::Failed(Finding::fail(Reason::Protocol, text));
                }
                Err(why) => {
                    return Asked::Failed(Finding::fail(Reason::Protocol, format!("talking to {shown}: {why}")));
                }
            }
        }
    }

    fn head(&self, seen: &[u8], wanted: bool) -> Result<Parsed, &'static str> {
        let mut rest = seen;
        loop {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let mut response = httparse::Response::new(&mut headers);
            let read = match response.parse(rest).map_err(words)? {
                httparse::Status::Complete(read) => read,
                httparse::Status::Partial => return Ok(Parsed::Part),
            };
            let code = response.code.unwrap_or_default();
            let status = StatusCode::from_u16(code).map_err(|_| "invalid HTTP status-code parsed")?;
            // Something before the answer: 103 Early Hints, an unasked 100 Continue. 101 is an answer.
            if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
                rest = rest.get(read..).unwrap_or_default();
                continue;
            }
            if self.follows
                && leads_on(code)
                && response.headers.iter().any(|h| h.name.eq_ignore_ascii_case("location"))
            {
                return Ok(Parsed::Redirect);
            }
            let mut all = HeaderMap::new();
            for header in response.headers.iter().filter(|_| wanted) {
                if let (Ok(name), Ok(value)) =
                    (HeaderName::from_bytes(header.name.as_bytes()), HeaderValue::from_bytes(header.value))
                {
                    all.append(name, value);
                }
            }
            return Ok(Parsed::Whole(Head { status, headers: all }));
        }
    }
}

enum Parsed {
    Whole(Head),
    Part,
    Redirect,
}

fn leads_on(code: u16) -> bool {
    matches!(code, 301 | 302 | 303 | 307 | 308)
}

/// The request on the wire (RFC 9112, 3), with what the client adds of its own. `None`: it cannot be written so.
fn written(request: &Request) -> Option<Vec<u8>> {
    let url = request.url();
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(url.path().as_bytes());
    if let Some(query) = url.query() {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let mut line = |name: &str, value: &[u8]| {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    };
    for (name, value) in request.headers() {
        line(name.as_str(), value.as_bytes());
    }
    let host = url.host_str()?;
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let own =
        [(ACCEPT, "*/*"), (USER_AGENT, super::client::USER_AGENT), (ACCEPT_ENCODING, "gzip"), (HOST, host.as_str())];
    for (name, value) in own {
        if !request.headers().contains_key(&name) {
            line(name.as_str(), value.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
    Some(out)
}

/// hyper's words, which the client uses.
fn words(e: httparse::Error) -> &'static str {
    match e {
        httparse::Error::Version => "invalid HTTP version parsed",
        httparse::Error::Status => "invalid HTTP status-code parsed",
        httparse::Error::TooManyHeaders => "message head is too large",
        _ => "invalid HTTP header parsed",
    }
}
