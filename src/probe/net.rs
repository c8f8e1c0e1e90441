//! Names, addresses, connections, and saying in words why there is none.
//!
//! `getaddrinfo` blocks and cannot be interrupted: with a dead resolver each lookup keeps a thread for many seconds. So
//! lookups run on blocking threads behind a semaphore whose permit is held by the thread itself; who does not get one
//! times out like everybody else, and the rest of the process keeps its threads. Nothing is cached: a probe must see what a
//! client of the service would see now.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::look::{Finding, Phase, Progress};
use crate::config::Family;
use crate::domain::health::Reason;

/// Lookups at once.
const LOOKUPS: usize = 32;

/// Looks names up with the host's own resolver.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    permits: Arc<Semaphore>,
}

impl Default for Resolver {
    fn default() -> Self {
        Resolver { permits: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

/// A name that could not be turned into addresses, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct LookupFailed(pub(super) String);

impl Resolver {
    /// All addresses of `host` in the resolver's order, of one family if asked.
    pub(super) async fn lookup(&self, host: &str, port: u16, family: Family) -> Result<Vec<SocketAddr>, LookupFailed> {
        if let Some(ip) = literal(host) {
            return only(vec![SocketAddr::new(ip, port)], host, family);
        }
        let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
            return Err(LookupFailed(format!("looking up {host}: mayday is ending")));
        };
        let name = host.to_owned();
        let job = tokio::task::spawn_blocking(move || {
            let _held_until_the_resolver_answers = permit;
            (name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>)
        });
        match job.await {
            Ok(Ok(found)) => only(found, host, family),
            Ok(Err(e)) => Err(LookupFailed(lookup_words(host, &e))),
            Err(_) => Err(LookupFailed(format!("looking up {host}: mayday is ending"))),
        }
    }
}

fn only(found: Vec<SocketAddr>, host: &str, family: Family) -> Result<Vec<SocketAddr>, LookupFailed> {
    let (wanted, word): (fn(&SocketAddr) -> bool, _) = match family {
        Family::Any => (|_| true, "address"),
        Family::V4 => (SocketAddr::is_ipv4, "IPv4 address"),
        Family::V6 => (SocketAddr::is_ipv6, "IPv6 address"),
    };
    let kept: Vec<SocketAddr> = found.into_iter().filter(wanted).collect();
    if kept.is_empty() {
        return Err(LookupFailed(format!("name {host} has no {word}")));
    }
    Ok(kept)
}

/// getaddrinfo(3) tells "does not exist" from "could not ask" by its code, of which std keeps only the words.
fn lookup_words(host: &str, e: &io::Error) -> String {
    let text = e.to_string();
    let why = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
    if why.contains("emporary failure") {
        format!("name {host} could not be looked up: the resolver does not answer ({why})")
    } else {
        format!("name {host} not found ({why})")
    }
}

/// An address instead of a name, with or without the brackets of a URL.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// Splits `host:port` and `[v6]:port`. Errors say what is accepted.
pub(super) fn host_port(address: &str) -> Result<(String, u16), String> {
    let fault = || format!("\"{address}\" is not an address like db.internal:5432 or [::1]:5432");
    let (host, port) = address.trim().rsplit_once(':').ok_or_else(fault)?;
    let port = port.parse().map_err(|_| fault())?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    match bare {
        Some(v6) if v6.parse::<std::net::Ipv6Addr>().is_ok() => Ok((v6.to_owned(), port)),
        None if !host.is_empty() && !host.contains([':', '/', '[', ' ']) => Ok((host.to_owned(), port)),
        _ => Err(fault()),
    }
}

/// Opens a TCP connection. Of several addresses each gets its share of what is left of the time, in order, so that one
/// that swallows packets does not hide the others.
pub(super) async fn connect(
    resolver: &Resolver,
    host: &str,
    port: u16,
    family: Family,
    progress: &Progress,
) -> Result<(TcpStream, SocketAddr), Finding> {
    progress.enter_with(Phase::Resolve, host);
    let addresses =
        resolver.lookup(host, port, family).await.map_err(|LookupFailed(why)| Finding::fail(Reason::Dns, why))?;
    let mut last = None;
    let count = addresses.len();
    for (i, address) in addresses.into_iter().enumerate() {
        progress.enter_with(Phase::Connect, address.to_string());
        let rest = u32::try_from(count - i).unwrap_or(1);
        // The last one may use everything: then the limit around the probe says it.
        let share = if rest > 1 { progress.left() / rest } else { Duration::MAX };
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok((stream, address)),
            Ok(Err(e)) => last = Some(connect_words(&e, &address.to_string())),
            Err(_) => last = Some(Finding::fail(Reason::TimeoutConnect, format!("timed out connecting to {address}"))),
        }
    }
    Err(last.unwrap_or_else(|| Finding::fail(Reason::Dns, format!("name {host} has no address"))))
}

/// Why a connection to `at` could not be opened.
pub(super) fn connect_words(e: &io::Error, at: &str) -> Finding {
    use io::ErrorKind as K;
    match e.kind() {
        K::ConnectionRefused => Finding::fail(Reason::Refused, format!("connection refused by {at}")),
        K::TimedOut => Finding::fail(Reason::TimeoutConnect, format!("timed out connecting to {at}")),
        K::HostUnreachable | K::NetworkUnreachable | K::NetworkDown => {
            Finding::fail(Reason::Unreachable, format!("{at} is unreachable: {}", words(e)))
        }
        // A packet filter on this host.
        K::PermissionDenied => {
            Finding::fail(Reason::Unreachable, format!("connecting to {at} is forbidden on this host: {}", words(e)))
        }
        K::NotFound => Finding::fail(Reason::Refused, format!("{at} does not exist: nothing listens there")),
        K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::UnexpectedEof => {
            Finding::fail(Reason::Protocol, format!("{at} closed the connection: {}", words(e)))
        }
        _ if is_our_fault(e) => Finding::error(format!("cannot open a connection to {at}: {}", words(e))),
        _ => Finding::fail(Reason::Unreachable, format!("connecting to {at}: {}", words(e))),
    }
}

/// This process or this host has no descriptors, ports or memory left; it says nothing about the service.
pub(super) fn is_our_fault(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EADDRNOTAVAIL))
}

/// The system's words without "(os error 111)".
pub(super) fn words(e: &io::Error) -> String {
    let text = e.to_string();
    match text.split_once(" (os error") {
        Some((head, _)) => head.to_lowercase(),
        None => text,
    }
}

/// What a failed read or write on an open connection means.
pub(super) fn exchange_words(e: &io::Error, at: &str) -> Finding {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => {
            Finding::fail(Reason::Protocol, format!("{at} closed the connection before it had answered"))
        }
        _ if is_our_fault(e) => Finding::error(format!("talking to {at}: {}", words(e))),
        _ => Finding::fail(Reason::Protocol, format!("talking to {at}: {}", words(e))),
    }
}

/// What a failed handshake means, by what rustls says of the certificate.
pub(super) fn tls_words(e: &rustls::Error, at: &str) -> Finding {
    use rustls::CertificateError as C;
    let rustls::Error::InvalidCertificate(why) = e else {
        return match e {
            rustls::Error::InvalidMessage(_) => Finding::fail(Reason::Protocol, format!("{at} does not speak TLS")),
            other => Finding::fail(Reason::Protocol, format!("TLS handshake with {at} failed: {other}")),
        };
    };
    match why {
        C::Expired => Finding::fail(Reason::TlsExpired, format!("the certificate of {at} has expired")),
        C::ExpiredContext { not_after, .. } => {
            let day = crate::domain::Time::from_ms(i64::try_from(not_after.as_secs()).unwrap_or(0) * 1000).date();
            Finding::fail(Reason::TlsExpired, format!("the certificate of {at} expired on {day}"))
        }
        C::NotValidYet | C::NotValidYetContext { .. } => {
            Finding::fail(Reason::TlsNotYet, format!("the certificate of {at} is not valid yet"))
        }
        C::NotValidForName => Finding::fail(Reason::TlsName, format!("the certificate of {at} is for another name")),
        C::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> =
                presented.iter().map(|p| p.trim_start_matches("DnsName(\"").trim_end_matches("\")")).collect();
            let expected = expected.to_str();
            Finding::fail(
                Reason::TlsName,
                format!("the certificate of {at} is for {}, not for {expected}", names.join(", ")),
            )
        }
        C::UnknownIssuer | C::BadSignature => {
            Finding::fail(Reason::TlsUntrusted, format!("the certificate of {at} is signed by nobody this host trusts"))
        }
        C::Revoked => Finding::fail(Reason::TlsUntrusted, format!("the certificate of {at} is revoked")),
        other => Finding::fail(Reason::TlsUntrusted, format!("the certificate of {at} was not accepted: {other}")),
    }
}

/// The rustls error inside an I/O error, which is how tokio-rustls hands it on.
pub(super) fn tls_of(e: &io::Error) -> Option<&rustls::Error> {
    e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split_or_refused() {
        for (text, wanted) in [
            ("db.internal:5432", Some(("db.internal", 5432))),
            ("127.0.0.1:80", Some(("127.0.0.1", 80))),
            ("[::1]:6379", Some(("::1", 6379))),
            ("::1:6379", None),
            ("db", None),
            (":80", None),
            ("db:http", None),
            ("http://db:80", None),
            ("[db]:80", None),
            ("db:70000", None),
        ] {
            let got = host_port(text);
            assert_eq!(got.as_ref().ok().map(|(h, p)| (h.as_str(), *p)), wanted, "{text}");
            if let Err(e) = got {
                assert!(e.contains(text) && e.contains("db.internal:5432"), "{e}");
            }
        }
    }

    #[tokio::test]
    async fn families_are_kept_apart() {
        let resolver = Resolver::default();
        let v4 = resolver.lookup("127.0.0.1", 80, Family::V4).await.unwrap();
        assert_eq!(v4, ["127.0.0.1:80".parse().unwrap()]);
        let e = resolver.lookup("[::1]", 80, Family::V4).await.unwrap_err();
        assert!(e.to_string().contains("no IPv4 address"), "{e}");
    }

    #[tokio::test]
    async fn a_dead_resolver_takes_no_more_threads_than_its_share() {
        let resolver = Resolver::default();
        // As if all lookups were out and unanswered.
        let held = Arc::clone(&resolver.permits).acquire_many_owned(LOOKUPS as u32).await.unwrap();
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, resolver.lookup("localhost", 80, Family::Any)).await.is_err());
        assert!(resolver.lookup("127.0.0.1", 80, Family::Any).await.is_ok(), "an address needs no resolver");
        drop(held);
        assert!(resolver.lookup("localhost", 80, Family::Any).await.is_ok());
    }

    #[test]
    fn our_own_shortage_is_not_the_services_fault() {
        let full = connect_words(&io::Error::from_raw_os_error(libc::EMFILE), "10.0.0.1:80");
        assert_eq!(full.outcome, crate::domain::health::Outcome::Error);
        let gone = connect_words(&io::Error::from_raw_os_error(libc::EHOSTUNREACH), "10.0.0.1:80");
        assert_eq!(
            (gone.reason, gone.detail.as_str()),
            (Some(Reason::Unreachable), "10.0.0.1:80 is unreachable: no route to host")
        );
    }
}
