//! One connection: who is it, what may it ask, what does it still lack of the picture.
//!
//! The access that a connection said hello with is enforced here, in the engine: a wall cannot act whatever its program
//! does. A session that does not read holds up only itself.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::core::Message;
use super::evidence::Uploads;
use super::find::{self, Curated};
use super::picture::Picture;
use super::records;
use crate::domain::command::{Command, Refusal};
use crate::domain::shell::ShellAsk;
use crate::domain::{Access, Actor};
use crate::sys::peer;
use crate::text;
use crate::wire::{
    Answer, Ask, EvidenceAsk, EvidenceSource, FromEngine, Hello, MAX_REQUEST, PROTOCOL, PROTOCOL_MIN, Reply, Request,
    Welcome, frame,
};

/// Between two changes sent to the same viewer.
const CHANGE_GAP: Duration = Duration::from_millis(50);
/// A viewer hears from the engine at least this often.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A core that is busy with the disk for longer than this does not keep anybody from seeing what was last drawn.
const FRESH_WITHIN: Duration = Duration::from_millis(250);
/// Requests of one connection under way at the same time.
const AT_ONCE: usize = 32;

/// What all sessions share.
#[derive(Debug)]
pub struct Shared {
    pub picture: Arc<RwLock<Picture>>,
    /// What people said of entries, for reading the record beside the core.
    pub curated: RwLock<Curated>,
    pub follow: watch::Receiver<u64>,
    pub core: mpsc::Sender<Message>,
    pub state_dir: PathBuf,
    pub epoch: String,
    /// Which state directory this is, for clients that come back: see [`Welcome`].
    pub state: String,
    pub sessions: AtomicUsize,
    pub viewers: AtomicUsize,
    /// Sessions that follow the picture. While there is none, what probes see is not drawn into it.
    pub following: AtomicUsize,
    /// Requests whose answer is not written yet.
    pub answering: AtomicUsize,
    /// A shared engine belongs to a service account: everybody of the group may act through it.
    pub group: bool,
}

/// A reply, and the mark that it is not written yet.
type Written = (Reply, Option<UnderWay>);

#[derive(Debug)]
struct UnderWay(Arc<Shared>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A session follows the picture for as long as this lives.
struct Follows(Arc<Shared>);

impl Follows {
    fn new(shared: &Arc<Shared>) -> Follows {
        shared.following.fetch_add(1, Ordering::Relaxed);
        Follows(Arc::clone(shared))
    }
}

impl Drop for Follows {
    fn drop(&mut self) {
        self.0.following.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Has the picture brought up to date: while nobody followed it, it was not.
async fn freshen(shared: &Shared) {
    let (done, drawn) = oneshot::channel();
    let ask = async {
        if shared.core.send(Message::Draw(done)).await.is_ok() {
            let _ = drawn.await;
        }
    };
    // Late, it is shown as it is: it says of what moment it is.
    let _ = tokio::time::timeout(FRESH_WITHIN, ask).await;
}

/// Serves one connection until it ends.
pub async fn run(stream: UnixStream, shared: &Arc<Shared>, stop: CancellationToken) -> io::Result<()> {
    let peer = peer::peer_of(&stream)?;
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let hello = tokio::time::timeout(Duration::from_secs(5), frame::read::<Hello, _>(&mut read, 64 * 1024))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no hello within 5 s"))??;
    let Some(hello) = hello else { return Ok(()) };
    if let Some(no) = unwelcome(&hello, &peer, shared.group) {
        return frame::write(&mut write, &no).await;
    }
    let welcome = Welcome::Welcome {
        protocol: PROTOCOL.min(hello.protocol.1),
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        epoch: shared.epoch.clone(),
        access: hello.access,
        user: peer.user.clone(),
        state: shared.state.clone(),
    };
    frame::write(&mut write, &welcome).await?;

    let actor = Actor {
        user: peer.user.clone(),
        uid: Some(peer.uid),
        loginuid: peer.loginuid,
        via: String::new(),
        claimed_user: hello.sudo_user.as_deref().map(|u| text::clean(u).into_owned()),
        claimed_from: hello
            .ssh_connection
            .as_deref()
            .and_then(|c| c.split_whitespace().next())
            .map(|a| text::clean(a).into_owned()),
        key: String::new(),
        groups: peer::groups_of(&peer.user, peer.gid),
    };
    let (replies, outbox) = mpsc::channel::<Written>(AT_ONCE);
    let (follows, following) = watch::channel(false);
    let viewer = hello.client != "command";
    if viewer {
        shared.viewers.fetch_add(1, Ordering::Relaxed);
    }
    // Who asks no more may still be told.
    let mut looking = None;
    // Commands in the person's own shell, which are known to run for as long as this connection is there.
    let mut shells: Vec<String> = Vec::new();
    let told = tell(&mut write, shared, outbox, following);
    tokio::pin!(told);
    let result = tokio::select! {
        // Who asks no more is still told what was asked before.
        r = answer(&mut read, hello.access, &actor, shared, replies, follows, &mut looking, &mut shells) => match r {
            Ok(()) => tokio::select! {
                r = &mut told => r,
                () = stop.cancelled() => Ok(()),
            },
            Err(e) => Err(e),
        },
        r = &mut told => r,
        () = stop.cancelled() => Ok(()),
    };
    if viewer {
        shared.viewers.fetch_sub(1, Ordering::Relaxed);
    }
    for id in shells {
        let _ = shared.core.send(Message::Shell { id, held: false }).await;
    }
    result
}

/// Why a connection is not welcome, told so that the person knows which side to change.
fn unwelcome(hello: &Hello, peer: &peer::Peer, shared: bool) -> Option<Welcome> {
    let no = |reason: String, instead: &str| Some(Welcome::No { reason, instead: instead.into() });
    let (oldest, newest) = hello.protocol;
    let version = env!("CARGO_PKG_VERSION");
    if newest < PROTOCOL_MIN {
        return no(
            format!("this mayday {} is too old for the engine {version}", text::clean(&hello.version)),
            "use the newer mayday of this host",
        );
    }
    if oldest > PROTOCOL {
        return no(
            format!("the engine {version} is too old for this mayday {}", text::clean(&hello.version)),
            "use the engine's own version now, and restart the engine when no incident is open: mayday engine stop",
        );
    }
    if !shared && peer.uid != peer::current_uid() && peer.uid != 0 {
        return no(
            "this engine belongs to another user".into(),
            "run your own, or set up a shared engine with [engine] group",
        );
    }
    None
}

/// Reads requests and has them answered, several at once.
#[expect(clippy::too_many_arguments, reason = "they are what a connection has")]
async fn answer(
    read: &mut BufReader<tokio::net::unix::OwnedReadHalf>,
    access: Access,
    actor: &Actor,
    shared: &Arc<Shared>,
    replies: mpsc::Sender<Written>,
    follows: watch::Sender<bool>,
    looking: &mut Option<Follows>,
    shells: &mut Vec<String>,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let uploads = Arc::new(Uploads::default());
    while let Some(line) = frame::read_line(read, MAX_REQUEST).await? {
        let request: Request = match serde_json::from_slice(&line) {
            Ok(request) => request,
            Err(e) => {
                // A newer client may ask what this engine does not know: that question fails, the connection stays.
                let id = serde_json::from_slice::<serde_json::Value>(&line)
                    .ok()
                    .and_then(|v| v.get("id").and_then(serde_json::Value::as_u64))
                    .unwrap_or(0);
                let reason = format!("the engine does not understand this request: {}", text::clean(&e.to_string()));
                let _ = replies.send((Reply { id, answer: Answer::Failed { reason } }, None)).await;
                continue;
            }
        };
        let id = request.id;
        if matches!(request.ask, Ask::Follow) {
            if looking.is_none() {
                *looking = Some(Follows::new(shared));
                freshen(shared).await;
            }
            follows.send_replace(true);
            let _ = replies.send((Reply { id, answer: Answer::Ok }, None)).await;
            continue;
        }
        if access == Access::ReadOnly && !is_looking(&request.ask) {
            let refusal = Refusal::new("this connection is read-only", "open mayday without --read-only");
            let _ = replies.send((Reply { id, answer: Answer::Refused(refusal) }, None)).await;
            continue;
        }
        if let Some(id) = shell_of(&request.ask).filter(|id| shells.len() < AT_ONCE && !shells.iter().any(|s| s == id))
        {
            shells.push(id.to_owned());
            let _ = shared.core.send(Message::Shell { id: id.to_owned(), held: true }).await;
        }
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return Ok(()) };
        let (shared, replies, uploads) = (Arc::clone(shared), replies.clone(), Arc::clone(&uploads));
        let actor = Actor { via: text::clean(&request.via).into_owned(), ..actor.clone() };
        shared.answering.fetch_add(1, Ordering::Relaxed);
        let under_way = UnderWay(Arc::clone(&shared));
        tokio::spawn(async move {
            let answer = handle(&shared, &uploads, actor, request).await;
            let _ = replies.send((Reply { id, answer }, Some(under_way))).await;
            drop(permit);
        });
    }
    Ok(())
}

/// The command in a shell that this connection says it runs.
fn shell_of(ask: &Ask) -> Option<&str> {
    match ask {
        Ask::Do(Command::Shell { ask, .. }) if matches!(**ask, ShellAsk::Start { .. }) => Some(ask.id()),
        Ask::ShellRuns { id } => Some(id),
        _ => None,
    }
}

fn is_looking(ask: &Ask) -> bool {
    matches!(
        ask,
        Ask::Follow
            | Ask::Picture
            | Ask::Timeline(_)
            | Ask::Find(_)
            | Ask::Output { .. }
            | Ask::Copies { .. }
            | Ask::Capsule { .. }
            | Ask::Draft { .. }
            | Ask::Status
            | Ask::Playbook { .. }
            | Ask::Checklists
    )
}

async fn handle(shared: &Arc<Shared>, uploads: &Arc<Uploads>, actor: Actor, request: Request) -> Answer {
    let curated = || shared.curated.read().map(|c| c.clone()).unwrap_or_default();
    let dir = shared.state_dir.clone();
    match request.ask {
        Ask::Picture => {
            freshen(shared).await;
            match shared.picture.read() {
                Ok(picture) => Answer::Picture(Box::new(picture.since(0))),
                Err(_) => Answer::Failed { reason: "the picture cannot be read".into() },
            }
        }
        Ask::Timeline(query) => {
            let curated = curated();
            blocking(move || records::timeline(&dir, &query, &curated)).await
        }
        Ask::Find(question) => {
            let curated = curated();
            blocking(move || find::find(&dir, &question, &curated)).await
        }
        Ask::Output { run, offset, limit } => blocking(move || records::output(&dir, &run, offset, limit)).await,
        Ask::Upload { upload, offset, size, data } => {
            let uploads = Arc::clone(uploads);
            blocking(move || uploads.take(&dir, &upload, offset, size, &data)).await
        }
        mut ask => {
            match &mut ask {
                // What it is about is read here, where reading holds up nobody; how it reads now the core knows.
                Ask::Do(Command::Amend { entries, of, .. }) => {
                    let seqs: Vec<u64> = entries.iter().copied().take(find::AMENDED).collect();
                    match tokio::task::spawn_blocking(move || find::recorded(&dir, seqs)).await {
                        Ok(Ok(rows)) => *of = rows,
                        Ok(Err(why)) => return Answer::Failed { reason: format!("the journal cannot be read: {why}") },
                        Err(e) => return Answer::Failed { reason: format!("the engine failed inside: {e}") },
                    }
                }
                Ask::Evidence(EvidenceAsk { source: EvidenceSource::Upload { upload, .. }, bytes, .. }) => {
                    match uploads.finish(upload) {
                        Some(handed) => *bytes = handed,
                        None => {
                            let reason = "what is to be kept was not handed over whole: hand it over anew".into();
                            return Answer::Failed { reason };
                        }
                    }
                }
                _ => {}
            }
            let (reply, answer) = oneshot::channel();
            let message = Message::Ask { actor, key: request.key, ask, reply };
            if shared.core.send(message).await.is_err() {
                return Answer::Failed { reason: "the engine is stopping".into() };
            }
            answer.await.unwrap_or_else(|_| Answer::Failed { reason: "the engine stopped before it answered".into() })
        }
    }
}

async fn blocking(work: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Answer::Failed { reason: format!("the engine failed inside: {e}") })
}

/// Writes replies at once and changes when there are any, never faster than the other side reads.
async fn tell(
    write: &mut tokio::net::unix::OwnedWriteHalf,
    shared: &Arc<Shared>,
    mut replies: mpsc::Receiver<Written>,
    mut following: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut follow = shared.follow.clone();
    let (mut have, mut asks) = (0, true);
    let mut next_change = tokio::time::Instant::now();
    let mut heartbeat = tokio::time::Instant::now() + HEARTBEAT;
    loop {
        let follows = *following.borrow();
        let behind = follows && (have == 0 || *follow.borrow() > have);
        tokio::select! {
            biased;
            reply = replies.recv() => match reply {
                Some((reply, under_way)) => {
                    frame::write(write, &FromEngine::Reply(reply)).await?;
                    drop(under_way);
                    continue;
                }
                None => return Ok(()),
            },
            () = tokio::time::sleep_until(next_change), if behind => {}
            () = tokio::time::sleep_until(heartbeat), if follows => {}
            changed = follow.changed(), if follows && !behind => {
                if changed.is_err() { return Ok(()); }
                continue;
            }
            changed = following.changed(), if !follows && asks => {
                asks = changed.is_ok();
                continue;
            }
        }
        let change = match shared.picture.read() {
            Ok(picture) => picture.since(have),
            Err(_) => return Err(io::Error::other("the picture cannot be read")),
        };
        have = change.rev;
        frame::write(write, &FromEngine::Change(Box::new(change))).await?;
        let now = tokio::time::Instant::now();
        next_change = now + CHANGE_GAP;
        heartbeat = now + HEARTBEAT;
    }
}
