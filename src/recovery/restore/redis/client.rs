//! Talking to a Redis server: one connection, one command at a time, each with a time limit.
//!
//! Answers are those of RESP2 (<https://redis.io/docs/latest/develop/reference/protocol-spec/>). What the server says to
//! a refused command is kept with its code, so that a wrong password, a server that loads and one that is down are told
//! apart. A password is sent by `AUTH` and stands nowhere else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redis::{ConnectionAddr, IntoConnectionInfo};
use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};

use crate::config::{Config, MaybeSecret, RedisRestore, SecretRef};
use crate::sys::tls;
use crate::text;

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);
/// Longest string taken from a server, and most elements of an answer.
const LONGEST: u64 = 1 << 30;
const MOST: u64 = 1 << 22;

/// How to reach a server, as it stands in a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reach {
    /// The address, where nothing in it is secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_secret: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_ca: Vec<PathBuf>,
}

/// The reach of a configured restore, and where the secrets that it names come from.
pub fn reach(config: &Config, backup: &str, restore: &RedisRestore) -> (Reach, BTreeMap<String, SecretRef>) {
    let mut reach = Reach { extra_ca: restore.extra_ca.clone(), ..Reach::default() };
    reach.extra_ca.extend(config.system.extra_ca.iter().filter(|c| !restore.extra_ca.contains(c)).cloned());
    let mut secrets = BTreeMap::new();
    let mut hide = |what: &str, from: SecretRef| {
        let name = format!("{backup}.{what}");
        secrets.insert(name.clone(), from);
        Some(name)
    };
    match &restore.url {
        MaybeSecret::Secret(from) => reach.url_secret = hide("url", from.clone()),
        MaybeSecret::Plain(text) if has_password(text) => {
            reach.url_secret = hide("url", SecretRef::Literal(text.clone().into()));
        }
        MaybeSecret::Plain(text) => reach.url = Some(text.clone()),
    }
    if let Some(from) = &restore.password {
        reach.password_secret = hide("password", from.clone());
    }
    (reach, secrets)
}

fn has_password(url: &str) -> bool {
    // What cannot be read is not shown either.
    url.into_connection_info().map_or(true, |info| info.redis_settings().password().is_some())
}

impl Reach {
    pub fn target(&self, secrets: &BTreeMap<String, SecretString>) -> Result<Target, String> {
        let value = |name: &String| {
            let missing = || format!("the secret {name} was not handed over: start the run again from its plan");
            secrets.get(name).ok_or_else(missing)
        };
        let url = match (&self.url, &self.url_secret) {
            (Some(url), _) => url.as_str(),
            (None, Some(name)) => value(name)?.expose_secret(),
            (None, None) => return Err("no address is configured: set `url` of the restore".into()),
        };
        // The driver's words may repeat the address, password and all.
        let info = url.into_connection_info().map_err(|_| {
            "`url` of the restore is not an address like redis://[user[:password]@]host:port or unix:/path".to_owned()
        })?;
        let settings = info.redis_settings();
        let mut password = settings.password().map(SecretString::from);
        if let Some(name) = &self.password_secret {
            password = Some(value(name)?.clone());
        }
        let db = u32::try_from(settings.db()).unwrap_or(0);
        let user = settings.username().map(str::to_owned);
        Ok(Target { address: info.addr().clone(), user, password, db, extra_ca: self.extra_ca.clone() })
    }
}

/// A server.
#[derive(Clone)]
pub struct Target {
    pub address: ConnectionAddr,
    pub user: Option<String>,
    pub password: Option<SecretString>,
    /// The database that keys are looked up in.
    pub db: u32,
    pub extra_ca: Vec<PathBuf>,
}

impl Target {
    /// One on loopback with a password.
    pub fn scratch(port: u16, password: SecretString) -> Target {
        let address = ConnectionAddr::Tcp("127.0.0.1".into(), port);
        Target { address, user: None, password: Some(password), db: 0, extra_ca: Vec::new() }
    }

    /// `127.0.0.1:6379`, `/run/redis.sock`.
    pub fn label(&self) -> String {
        match &self.address {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => format!("{host}:{port}"),
            ConnectionAddr::Unix(path) => path.display().to_string(),
            _ => "redis".into(),
        }
    }

    /// It runs on this host.
    pub fn is_here(&self) -> bool {
        match &self.address {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => {
                host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
            ConnectionAddr::Unix(_) => true,
            _ => false,
        }
    }
}

/// Why a command has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `NOAUTH`, `LOADING`; empty when the server did not say no.
    pub code: String,
    pub text: String,
}

impl Fault {
    fn io(at: &str, what: &str) -> Fault {
        Fault { code: String::new(), text: format!("{at} {what}") }
    }

    /// The server is there and has not loaded its data yet.
    pub fn is_loading(&self) -> bool {
        self.code == "LOADING"
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// What an error answer means, and what to do.
fn refused(at: &str, said: &str) -> Fault {
    let said = text::clean(said);
    let (code, rest) = said.split_once(' ').unwrap_or((&said, ""));
    let text = match code {
        "NOAUTH" => format!("{at} wants a password and none is configured (NOAUTH): set `password` of the restore"),
        "WRONGPASS" => format!("{at} refused the user or password (WRONGPASS): correct `password` of the restore"),
        "ERR" if rest.contains("invalid password") => {
            format!("{at} refused the password: correct `password` of the restore")
        }
        "ERR" if rest.contains("no password is set") || rest.contains("without any password") => {
            format!("{at} has no password and one is configured: take `password` out of the restore")
        }
        "NOPERM" => format!("{at} does not permit it ({rest}): use a user with the rights of an administrator"),
        "LOADING" => format!("{at} is loading its data (LOADING): wait until it has"),
        "DENIED" => format!("{at} is in protected mode and refuses other hosts (DENIED)"),
        "MISCONF" => format!("{at} refuses writes because it cannot save (MISCONF): make room where it saves"),
        "ERR" if rest.contains("unknown command") => {
            format!("{at} does not know a command ({rest}): it is forbidden or renamed there")
        }
        _ => format!("{at} answered {said}"),
    };
    Fault { code: code.to_owned(), text }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Text(String),
    Int(i64),
    Bytes(Vec<u8>),
    Nil,
    List(Vec<Reply>),
}

impl Reply {
    pub fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Reply::Bytes(b) => Some(b),
            Reply::Text(t) => Some(t.into_bytes()),
            _ => None,
        }
    }

    pub fn text(self) -> String {
        self.bytes().map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
    }

    pub fn int(&self) -> i64 {
        match self {
            Reply::Int(n) => *n,
            _ => 0,
        }
    }

    pub fn list(self) -> Vec<Reply> {
        match self {
            Reply::List(l) => l,
            _ => Vec::new(),
        }
    }
}

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection that has said its password.
pub struct Conn {
    pub stream: BufReader<Box<dyn Stream>>,
    at: String,
    /// An answer was not waited for to its end: nothing more can be asked.
    broken: bool,
}

impl Conn {
    pub async fn open(target: &Target) -> Result<Conn, Fault> {
        let at = target.label();
        let opened = tokio::time::timeout(CONNECT, stream(target)).await;
        let stream = match opened {
            Ok(Ok(stream)) => stream,
            Ok(Err(why)) => return Err(Fault::io(&at, &format!("cannot be reached: {why}"))),
            Err(_) => return Err(Fault::io(&at, &format!("did not answer within {}", text::duration(CONNECT)))),
        };
        let mut conn = Conn { stream: BufReader::with_capacity(1 << 16, stream), at, broken: false };
        if let Some(password) = &target.password {
            let mut auth: Vec<&[u8]> = vec![b"AUTH"];
            auth.extend(target.user.as_ref().map(|u| u.as_bytes()));
            auth.push(password.expose_secret().as_bytes());
            conn.ask(&auth).await?;
        }
        Ok(conn)
    }

    /// One command and its answer.
    pub async fn ask(&mut self, args: &[&[u8]]) -> Result<Reply, Fault> {
        self.ask_within(args, ANSWER).await
    }

    /// One command of words.
    pub async fn say(&mut self, words: &[&str]) -> Result<Reply, Fault> {
        let args: Vec<&[u8]> = words.iter().map(|w| w.as_bytes()).collect();
        self.ask(&args).await
    }

    pub async fn ask_within(&mut self, args: &[&[u8]], limit: Duration) -> Result<Reply, Fault> {
        let mut answers = self.ask_all(&[args.to_vec()], limit).await?;
        match answers.pop() {
            Some(answer) => answer,
            None => Err(Fault::io(&self.at, "did not answer")),
        }
    }

    /// Several commands at once, and their answers in order.
    pub async fn ask_all(
        &mut self,
        commands: &[Vec<&[u8]>],
        limit: Duration,
    ) -> Result<Vec<Result<Reply, Fault>>, Fault> {
        if self.broken {
            return Err(Fault::io(&self.at, "closed the connection"));
        }
        let mut order = Vec::new();
        for args in commands {
            order.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
            for arg in args {
                order.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
                order.extend_from_slice(arg);
                order.extend_from_slice(b"\r\n");
            }
        }
        self.broken = true;
        let at = self.at.clone();
        let work = async {
            self.stream.write_all(&order).await?;
            self.stream.flush().await?;
            let mut answers = Vec::with_capacity(commands.len());
            for _ in commands {
                answers.push(reply(&mut self.stream, 0).await?);
            }
            std::io::Result::Ok(answers)
        };
        match tokio::time::timeout(limit, work).await {
            Ok(Ok(answers)) => {
                self.broken = false;
                Ok(answers.into_iter().map(|a| a.map_err(|said| refused(&at, &said))).collect())
            }
            Ok(Err(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => Err(Fault::io(&at, "closed the connection")),
            Ok(Err(e)) => Err(Fault::io(&at, &format!("broke the connection: {e}"))),
            Err(_) => Err(Fault::io(&at, &format!("did not answer within {}", text::duration(limit)))),
        }
    }

    /// Sends a command whose answer is read by other means.
    pub async fn send(&mut self, words: &[&str]) -> std::io::Result<()> {
        self.broken = true;
        let line: String = words.join(" ") + "\r\n";
        self.stream.write_all(line.as_bytes()).await?;
        self.stream.flush().await
    }

    pub async fn info(&mut self) -> Result<Info, Fault> {
        Ok(Info::parse(&self.say(&["INFO"]).await?.text()))
    }

    /// A setting's value; `None` when there is no such setting.
    pub async fn setting(&mut self, name: &str) -> Result<Option<String>, Fault> {
        let mut pair = self.say(&["CONFIG", "GET", name]).await?.list();
        Ok(if pair.len() == 2 { pair.pop().map(Reply::text) } else { None })
    }
}

async fn stream(target: &Target) -> Result<Box<dyn Stream>, String> {
    let (host, port) = match &target.address {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => (host, *port),
        ConnectionAddr::Unix(path) => {
            return Ok(Box::new(UnixStream::connect(path).await.map_err(|e| e.to_string())?));
        }
        _ => return Err("an address of this kind is not supported".into()),
    };
    let plain = TcpStream::connect((host.as_str(), port)).await.map_err(|e| e.to_string())?;
    let _ = plain.set_nodelay(true);
    if !matches!(target.address, ConnectionAddr::TcpTls { .. }) {
        return Ok(Box::new(plain));
    }
    let name = ServerName::try_from(host.clone()).map_err(|_| format!("\"{host}\" is not a host's name"))?;
    let config = tls::client_config(Arc::clone(&tls::roots(&target.extra_ca).0));
    let secured = tokio_rustls::TlsConnector::from(config).connect(name, plain).await;
    Ok(Box::new(secured.map_err(|e| format!("TLS: {e}"))?))
}

fn odd() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, "it does not speak the Redis protocol")
}

/// One answer; inside, what the server says when it says no.
async fn reply(from: &mut BufReader<Box<dyn Stream>>, depth: u8) -> std::io::Result<Result<Reply, String>> {
    let mut line = Vec::new();
    if from.take(1 << 16).read_until(b'\n', &mut line).await? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let line = line.strip_suffix(b"\r\n").ok_or_else(odd)?;
    let (mark, rest) = line.split_first().ok_or_else(odd)?;
    let rest = String::from_utf8_lossy(rest);
    let number = || rest.parse::<i64>().map_err(|_| odd());
    Ok(Ok(match mark {
        b'+' => Reply::Text(rest.into_owned()),
        b'-' => return Ok(Err(rest.into_owned())),
        b':' => Reply::Int(number()?),
        b'$' => match u64::try_from(number()?) {
            Err(_) => Reply::Nil,
            Ok(length) if length > LONGEST => return Err(odd()),
            Ok(length) => {
                let mut bytes = Vec::new();
                let got = from.take(length).read_to_end(&mut bytes).await? as u64;
                let mut end = [0; 2];
                from.read_exact(&mut end).await?;
                if got < length || end != *b"\r\n" {
                    return Err(odd());
                }
                Reply::Bytes(bytes)
            }
        },
        b'*' => match u64::try_from(number()?) {
            Err(_) => Reply::Nil,
            Ok(count) if count > MOST || depth > 4 => return Err(odd()),
            Ok(count) => {
                let mut list = Vec::new();
                for _ in 0..count {
                    // An error within a list stands for one element.
                    list.push(Box::pin(reply(from, depth + 1)).await?.unwrap_or_else(Reply::Text));
                }
                Reply::List(list)
            }
        },
        _ => return Err(odd()),
    }))
}

/// The answer to INFO: `key:value` lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info(BTreeMap<String, String>);

impl Info {
    pub fn parse(text: &str) -> Info {
        let pairs = text.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_once(':'));
        Info(pairs.map(|(k, v)| (k.to_owned(), v.trim_end().to_owned())).collect())
    }

    pub fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    pub fn number(&self, key: &str) -> u64 {
        self.get(key).parse().unwrap_or(0)
    }

    /// Keys per database, empty ones left out.
    pub fn keys(&self) -> BTreeMap<u32, u64> {
        let count = |(k, v): (&String, &String)| {
            let db = k.strip_prefix("db")?.parse().ok()?;
            let keys = v.split(',').find_map(|f| f.strip_prefix("keys="))?.parse().ok()?;
            (keys > 0).then_some((db, keys))
        };
        self.0.iter().filter_map(count).collect()
    }

    /// `7.0` as 700, `6.2.14` as 602.
    pub fn version(&self) -> u32 {
        version(self.get("redis_version"))
    }
}

/// `7.0.15` → 700.
pub fn version(text: &str) -> u32 {
    let mut parts = text.split('.').map(|p| p.parse::<u32>().unwrap_or(0));
    parts.next().unwrap_or(0) * 100 + parts.next().unwrap_or(0)
}
