//! A small HTTP/1.1 server that answers by a list and records what it was asked.
//!
//! It stands in for the web hooks of other people and for services that misbehave in ways a real server cannot be made
//! to: silence, an answer cut off half-way, a body that comes drop by drop.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{ServerCert, wait_for_some};

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    delay: Duration,
    hang: bool,
    cut_after: Option<usize>,
    raw: bool,
}

impl Answer {
    /// An answer with this status and no body.
    pub fn status(status: u16) -> Self {
        Answer {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            delay: Duration::ZERO,
            hang: false,
            cut_after: None,
            raw: false,
        }
    }
    /// 200 with a body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200).body(body)
    }
    /// A redirect (302) to `location`.
    pub fn redirect(location: &str) -> Self {
        Self::status(302).header("Location", location)
    }
    /// Takes the request and never answers.
    pub fn hang() -> Self {
        Answer { hang: true, ..Self::status(200) }
    }
    /// Closes the connection after the request, without a byte.
    pub fn cut() -> Self {
        Self::status(200).cut_after(0)
    }
    /// These bytes instead of an HTTP answer.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Answer { raw: true, ..Self::ok(bytes) }
    }
    /// With this body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
    /// With this header besides.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
    /// Only after this time.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
    /// Closes the connection after this many bytes of the whole answer (head included).
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.cut_after = Some(bytes);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        if self.raw {
            return self.body.clone();
        }
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        let named = |name: &str| self.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if !named("content-length") && !named("transfer-encoding") && self.status != 204 {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// A request as received.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `POST` …
    pub method: String,
    /// With the query.
    pub path: String,
    /// In order; names as sent.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// When its last byte came.
    pub at: Instant,
}

impl Request {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {}", self.text()))
    }
}

#[derive(Default)]
struct Shared {
    /// By path; the empty path is for all others.
    answers: Mutex<HashMap<String, (Vec<Answer>, usize)>>,
    requests: Mutex<Vec<Request>>,
    connections: Mutex<Vec<TcpStream>>,
    accepted: AtomicUsize,
    ending: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running server; ends with its guard.
pub struct HttpScript {
    shared: Arc<Shared>,
    port: u16,
    scheme: &'static str,
    accepting: Option<std::thread::JoinHandle<()>>,
}

impl HttpScript {
    /// Gives `answers` in turn, whatever the path; the last one again and again.
    #[track_caller]
    pub fn start(answers: Vec<Answer>) -> Self {
        Self::launch(answers, None)
    }

    /// The same over TLS.
    #[track_caller]
    pub fn start_tls(answers: Vec<Answer>, cert: &ServerCert) -> Self {
        Self::launch(answers, Some(tls_config(cert)))
    }

    #[track_caller]
    fn launch(answers: Vec<Answer>, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let shared = Arc::new(Shared::default());
        lock(&shared.answers).insert(String::new(), (answers, 0));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listening socket");
        let port = listener.local_addr().unwrap().port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let state = shared.clone();
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if state.ending.load(Ordering::SeqCst) {
                    return;
                }
                let _ = stream.set_nodelay(true);
                state.accepted.fetch_add(1, Ordering::SeqCst);
                lock(&state.connections).extend(stream.try_clone());
                let (state, tls) = (state.clone(), tls.clone());
                std::thread::spawn(move || {
                    match tls.map(rustls::ServerConnection::new) {
                        None => serve(&state, &mut BufReader::new(&stream), &stream),
                        Some(Ok(session)) => {
                            let both = Both(Arc::new(Mutex::new(rustls::StreamOwned::new(session, &stream))));
                            serve(&state, &mut BufReader::new(both.clone()), both);
                        }
                        Some(Err(_)) => {}
                    }
                    // Closing alone is not enough: the copy kept for the end of the server holds it open.
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        HttpScript { shared, port, scheme, accepting: Some(accepting) }
    }

    /// Gives these answers in turn for requests to `path` (query not counted).
    pub fn route(&self, path: &str, answers: Vec<Answer>) {
        lock(&self.shared.answers).insert(path.to_owned(), (answers, 0));
    }

    /// Replaces the answers for all other paths.
    pub fn answer(&self, answers: Vec<Answer>) {
        self.route("", answers);
    }

    /// `http://127.0.0.1:PORT` and `path`.
    pub fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", self.scheme, self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Everything asked so far.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Waits for at least `n` requests.
    #[track_caller]
    pub fn wait_for_requests(&self, n: usize, limit: Duration) -> Vec<Request> {
        wait_for_some(&format!("{n} requests at {}", self.url("/")), limit, || {
            Some(self.requests()).filter(|requests| requests.len() >= n)
        })
    }
}

impl Drop for HttpScript {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then closes the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
        for stream in lock(&self.shared.connections).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn serve(shared: &Shared, from: &mut impl BufRead, mut to: impl Write) {
    while let Some(request) = read_request(from) {
        let path = request.path.split('?').next().unwrap_or_default().to_owned();
        let close = request.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
        let answer = next_answer(shared, &path);
        lock(&shared.requests).push(request);
        let Some(answer) = answer else { return };
        let until = Instant::now() + answer.delay;
        while answer.hang || Instant::now() < until {
            if shared.ending.load(Ordering::SeqCst) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let bytes = answer.bytes();
        let end = answer.cut_after.unwrap_or(bytes.len()).min(bytes.len());
        if to.write_all(&bytes[..end]).and_then(|()| to.flush()).is_err() {
            return;
        }
        if answer.cut_after.is_some() || answer.raw || close {
            return;
        }
    }
}

fn next_answer(shared: &Shared, path: &str) -> Option<Answer> {
    let mut answers = lock(&shared.answers);
    let key = if answers.contains_key(path) { path } else { "" };
    let (list, at) = answers.get_mut(key)?;
    let answer = list.get(*at).or(list.last()).cloned();
    *at += 1;
    answer
}

fn read_request(from: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    from.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut request = Request { method, path, headers, body: Vec::new(), at: Instant::now() };
    if request.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        loop {
            let mut line = String::new();
            from.read_line(&mut line).ok().filter(|n| *n > 0)?;
            let size = usize::from_str_radix(line.trim().split(';').next()?, 16).ok()?;
            let mut chunk = vec![0; size + 2];
            from.read_exact(&mut chunk).ok()?;
            if size == 0 {
                break;
            }
            request.body.extend_from_slice(&chunk[..size]);
        }
    } else if let Some(length) = request.header("content-length").and_then(|v| v.parse().ok()) {
        request.body = vec![0; length];
        from.read_exact(&mut request.body).ok()?;
    }
    request.at = Instant::now();
    Some(request)
}

/// One TLS stream for reading and writing; a request is read before its answer is written, so one lock is enough.
#[derive(Clone)]
struct Both<'a>(Arc<Mutex<rustls::StreamOwned<rustls::ServerConnection, &'a TcpStream>>>);

impl Read for Both<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        lock(&self.0).read(buffer)
    }
}

impl Write for Both<'_> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).write(buffer)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        lock(&self.0).flush()
    }
}

fn tls_config(cert: &ServerCert) -> Arc<rustls::ServerConfig> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = CertificateDer::pem_slice_iter(cert.cert_pem.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(cert.key_pem.as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}
