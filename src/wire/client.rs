//! A client's end of the socket: finding the engine, saying hello, asking.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::frame;
use super::request::{Answer, Ask, FromEngine, Hello, Request, Welcome};
use super::{MAX_REPLY, PROTOCOL, PROTOCOL_MIN};
use crate::domain::Access;
use crate::sys::runtime;

/// What `engine.json` says: the engine that last bound its socket here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineFile {
    pub pid: u32,
    pub version: String,
    pub protocol: u32,
    pub socket: PathBuf,
}

impl EngineFile {
    /// Name of the file in the state directory.
    pub const NAME: &'static str = "engine.json";

    /// Reads it. `Ok(None)` when there is none.
    pub fn read(state_dir: &Path) -> io::Result<Option<EngineFile>> {
        match std::fs::read(state_dir.join(Self::NAME)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Where the engine of `state_dir` may have its socket, the likeliest first: `shared` for one of a group.
    pub fn sockets(state_dir: &Path, shared: bool) -> Vec<PathBuf> {
        let name = Self::socket_name(state_dir);
        let mut all = Vec::new();
        if shared {
            // Members of the group must reach it, so it has a folder of its own that they may enter.
            all.push(PathBuf::from("/run/mayday").join(&name));
        } else if let Some(runtime) = std::env::var_os("XDG_RUNTIME_DIR").filter(|v| !v.is_empty()) {
            all.push(PathBuf::from(runtime).join("mayday").join(&name));
        }
        all.push(state_dir.join(Self::SOCKET));
        all
    }

    /// Name of the socket, or of the link to it, in the state directory.
    pub const SOCKET: &'static str = "engine.sock";

    /// Name of the socket of `state_dir` in a folder that it shares with others.
    pub fn socket_name(state_dir: &Path) -> String {
        use sha2::{Digest, Sha256};
        use std::os::unix::ffi::OsStrExt;
        let whole = std::fs::canonicalize(state_dir).unwrap_or_else(|_| state_dir.to_owned());
        let digest = Sha256::digest(whole.as_os_str().as_bytes());
        format!("{}.sock", hex::encode(digest.get(..6).unwrap_or_default()))
    }

    /// Reads the file. On a full disk an engine may not have been able to write it: then the link to the socket is
    /// followed, and the socket is looked for where it would be, also for somebody who came in another way than whoever
    /// started the engine. Where everybody may write, only a folder of the state directory's owner counts.
    fn find(state_dir: &Path) -> io::Result<Option<EngineFile>> {
        let other = match Self::read(state_dir) {
            Ok(Some(file)) => return Ok(Some(file)),
            other => other,
        };
        // A path through a link may be longer than a socket's address can be.
        let mut sockets: Vec<PathBuf> = std::fs::read_link(state_dir.join(Self::SOCKET)).into_iter().collect();
        sockets.extend(Self::sockets(state_dir, false));
        sockets.extend(Self::sockets(state_dir, true));
        if let Ok(meta) = std::fs::metadata(state_dir) {
            let owner = std::os::unix::fs::MetadataExt::uid(&meta);
            let name = Self::socket_name(state_dir);
            let private = runtime::elsewhere(owner).into_iter().filter(|folder| runtime::is_private(folder, owner));
            sockets.extend(private.map(|folder| folder.join(&name)));
        }
        match sockets.into_iter().find(|s| s.exists()) {
            Some(socket) => Ok(Some(EngineFile { pid: 0, version: String::new(), protocol: PROTOCOL, socket })),
            None => other,
        }
    }
}

/// Why no engine could be reached, told apart because the remedy differs.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("no engine runs for {}: start it with mayday, or mayday engine start", .0.display())]
    NotRunning(PathBuf),
    #[error("an engine ran for {} and is gone (its socket {} does not answer)", dir.display(), socket.display())]
    Stale { dir: PathBuf, socket: PathBuf },
    #[error("the engine's socket {} may not be used by you: {why}", socket.display())]
    Forbidden { socket: PathBuf, why: String },
    #[error("the engine at {} does not answer within {seconds} s: see mayday doctor", socket.display())]
    Silent { socket: PathBuf, seconds: u64 },
    #[error("{reason}: {instead}")]
    Refused { reason: String, instead: String },
    #[error("cannot read {}: {why}", path.display())]
    Unreadable { path: PathBuf, why: String },
    #[error("talking to the engine failed: {0}")]
    Io(#[from] io::Error),
}

/// A connection that has been welcomed.
#[derive(Debug)]
pub struct Client {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    next_id: u64,
    /// What the engine said of itself.
    pub epoch: String,
    pub pid: u32,
    pub version: String,
    pub user: String,
    pub access: Access,
    /// Which state directory it keeps, to be compared with what another engine says; empty when it does not say.
    pub state: String,
}

impl Client {
    /// Connects to the engine of `state_dir`. `client` is `viewer`, `wall` or `command`.
    pub async fn connect(
        state_dir: &Path,
        client: &str,
        access: Access,
        timeout: Duration,
    ) -> Result<Client, ConnectError> {
        let path = state_dir.join(EngineFile::NAME);
        let file = EngineFile::find(state_dir)
            .map_err(|e| ConnectError::Unreadable { path, why: e.to_string() })?
            .ok_or_else(|| ConnectError::NotRunning(state_dir.to_owned()))?;
        let socket = file.socket.clone();
        let silent = || ConnectError::Silent { socket: socket.clone(), seconds: timeout.as_secs() };
        match tokio::time::timeout(timeout, Self::greet(state_dir, &file, client, access)).await {
            Ok(result) => result,
            Err(_) => Err(silent()),
        }
    }

    async fn greet(dir: &Path, file: &EngineFile, client: &str, access: Access) -> Result<Client, ConnectError> {
        let socket = &file.socket;
        // An engine that dies while it is being greeted resets the connection: it is gone like one that never answered.
        let gone = |e: io::Error| match e.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
                ConnectError::Stale { dir: dir.to_owned(), socket: socket.clone() }
            }
            _ => ConnectError::Io(e),
        };
        let stream = UnixStream::connect(socket).await.map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ConnectError::Stale { dir: dir.to_owned(), socket: socket.clone() }
            }
            io::ErrorKind::PermissionDenied => {
                ConnectError::Forbidden { socket: socket.clone(), why: "its folder or file is closed to you".into() }
            }
            _ => gone(e),
        })?;
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        let hello = Hello {
            protocol: (PROTOCOL_MIN, PROTOCOL),
            version: env!("CARGO_PKG_VERSION").into(),
            access,
            client: client.into(),
            sudo_user: std::env::var("SUDO_USER").ok(),
            ssh_connection: std::env::var("SSH_CONNECTION").ok(),
        };
        frame::write(&mut write, &hello).await.map_err(gone)?;
        match frame::read::<Welcome, _>(&mut read, MAX_REPLY).await.map_err(gone)? {
            Some(Welcome::Welcome { version, pid, epoch, access, user, state, .. }) => {
                Ok(Client { read, write, next_id: 1, epoch, pid, version, user, access, state })
            }
            Some(Welcome::No { reason, instead }) => Err(ConnectError::Refused { reason, instead }),
            None => Err(ConnectError::Stale { dir: dir.to_owned(), socket: socket.clone() }),
        }
    }

    /// A key for a request: the same with every repeat of it, so that it is carried out once. Empty for what may be asked
    /// any number of times.
    pub fn key_for(ask: &Ask) -> String {
        match ask {
            Ask::Do(_) | Ask::Start { .. } | Ask::Recover { .. } | Ask::Step { .. } | Ask::Evidence(_) => {
                uuid::Uuid::now_v7().to_string()
            }
            _ => String::new(),
        }
    }

    /// Sends a request and gives its id; the answer comes with [`Client::next`].
    pub async fn send(&mut self, via: &str, ask: Ask) -> io::Result<u64> {
        let key = Self::key_for(&ask);
        self.send_keyed(via, key, ask).await
    }

    /// The same with the key of a request that may have been sent before.
    pub async fn send_keyed(&mut self, via: &str, key: String, ask: Ask) -> io::Result<u64> {
        let id = self.next_id;
        self.next_id += 1;
        frame::write(&mut self.write, &Request { id, key, via: via.into(), ask }).await?;
        Ok(id)
    }

    /// The engine's next line. `None` when it has hung up.
    pub async fn next(&mut self) -> io::Result<Option<FromEngine>> {
        frame::read(&mut self.read, MAX_REPLY).await
    }

    /// Asks and waits for the answer, passing over changes.
    pub async fn ask(&mut self, via: &str, ask: Ask, timeout: Duration) -> io::Result<Answer> {
        let key = Self::key_for(&ask);
        self.ask_keyed(via, key, ask, timeout).await
    }

    /// The same with the key of a request that may have been sent before.
    pub async fn ask_keyed(&mut self, via: &str, key: String, ask: Ask, timeout: Duration) -> io::Result<Answer> {
        let id = self.send_keyed(via, key, ask).await?;
        let wait = async {
            loop {
                match self.next().await? {
                    Some(FromEngine::Reply(reply)) if reply.id == id => return Ok(reply.answer),
                    Some(_) => {}
                    None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the engine hung up")),
                }
            }
        };
        match tokio::time::timeout(timeout, wait).await {
            Ok(answer) => answer,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the engine did not answer in time")),
        }
    }

    /// The two directions, for a viewer that reads and writes at once.
    pub fn into_split(self) -> (BufReader<OwnedReadHalf>, OwnedWriteHalf) {
        (self.read, self.write)
    }
}
