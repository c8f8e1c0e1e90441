//! Probes against real servers, and against the ways in which servers fail.

mod probes {
    mod commands;
    mod dns;
    mod host;
    mod http;
    mod http_direct;
    mod postgres;
    mod redis;
    mod tcp;
    mod tls;
}
mod support;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mayday::config::secret::SecretRef;
use mayday::config::{Check, CheckKind, Timing};
use mayday::domain::health::{Outcome, ProbeResult, Reason};
use mayday::probe::{Probe, ProbeEnv, prepare};
use mayday::sys::tls;
use mayday::text::Mask;
use secrecy::SecretString;

/// Knows the secrets `env NAME` of `values`, and masks none of them by itself: a check has to mask its own.
fn env_with(values: &[(&str, &str)]) -> ProbeEnv {
    tls::install_provider();
    let values: HashMap<String, String> = values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let source = move |secret: &SecretRef| match secret {
        SecretRef::Env(name) => {
            values.get(name).map(|v| SecretString::from(v.clone())).ok_or_else(|| format!("{name} is not set"))
        }
        other => Err(format!("{} is not for tests", other.describe())),
    };
    ProbeEnv::new(tls::default_roots(), Arc::new(source), Mask::default())
}

fn env() -> ProbeEnv {
    env_with(&[])
}

fn check(kind: CheckKind) -> Check {
    timed(kind, Duration::from_secs(10))
}

fn timed(kind: CheckKind, timeout: Duration) -> Check {
    Check { name: kind.word().to_owned(), kind, timing: Timing { timeout, ..Timing::default() } }
}

fn prepared(check: &Check, env: &ProbeEnv) -> Arc<dyn Probe> {
    prepare(check, env).unwrap_or_else(|e| panic!("{e}"))
}

/// Prepares and looks once.
async fn look_in(check: Check, env: &ProbeEnv) -> ProbeResult {
    let result = prepared(&check, env).probe(check.timing.timeout).await;
    assert!(result.detail.chars().count() <= 512, "{}", result.detail.len());
    assert!(!result.detail.chars().any(char::is_control), "{:?}", result.detail);
    result
}

async fn look(kind: CheckKind) -> ProbeResult {
    look_in(check(kind), &env()).await
}

/// Looks with a short limit.
async fn look_for(kind: CheckKind, timeout: Duration) -> ProbeResult {
    look_in(timed(kind, timeout), &env()).await
}

#[track_caller]
fn is(result: &ProbeResult, outcome: Outcome, reason: Option<Reason>, words: &[&str]) {
    assert_eq!((result.outcome, result.reason), (outcome, reason), "{result:?}");
    for word in words {
        assert!(result.detail.contains(word), "\"{word}\" is not in \"{}\"", result.detail);
    }
}

#[track_caller]
fn fails(result: &ProbeResult, reason: Reason, words: &[&str]) {
    is(result, Outcome::Fail, Some(reason), words);
}

#[track_caller]
fn fact<'a>(result: &'a ProbeResult, name: &str) -> &'a str {
    let found = result.facts.iter().find(|(n, _)| n == name);
    found.map(|(_, v)| v.as_str()).unwrap_or_else(|| panic!("no fact \"{name}\" in {:?}", result.facts))
}

/// A file of these bytes that lives as long as the folder.
fn file(dir: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A listener whose queue is full: connecting to it gets no answer at all.
struct Swallower {
    listener: std::net::TcpListener,
    _queued: Vec<std::net::TcpStream>,
}

impl Swallower {
    fn new() -> Self {
        use std::net::{SocketAddr, TcpStream};
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let listener: std::net::TcpListener = socket.into();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        // Until one is not taken any more.
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            queued.push(stream);
            assert!(queued.len() < 100, "the queue has no end");
        }
        Swallower { listener, _queued: queued }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }
}
