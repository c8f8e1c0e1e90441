//! The connection to the engine: following the picture, asking, and coming back after a loss.
//!
//! A task of its own. It keeps no state that is shown: it hands on what it hears, and fails questions at once while there
//! is no connection, so that nobody waits for an answer that cannot come. Both directions are bounded. It never starts an
//! engine by itself: somebody may have stopped it on purpose.
//!
//! A change that was asked for before the connection broke is another matter: whether it was done is not known. It is
//! kept (see [`kept`]) and asked for again with the same key, which the engine knows if it was done.

mod kept;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::cli::Place;
use crate::domain::Access;
use crate::wire::{Answer, Ask, Change, Client, FromEngine, Recording, Request, frame};
use kept::{Asked, Kept, Record};

pub use kept::{KEPT, LOST};

/// Waits between two attempts to come back: doubling from the first to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
const CONNECT: Duration = Duration::from_secs(3);
/// Questions and news that may wait.
const ROOM: usize = 64;

/// A question, with the tag by which its answer is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    pub tag: u64,
    /// Makes a repeat of the same command harmless; empty for what changes nothing.
    pub key: String,
    /// How the person asked: `key r`, `palette`.
    pub via: String,
    pub ask: Ask,
}

/// What the link hears.
#[derive(Debug)]
pub enum News {
    Up(Peer),
    Change(Box<Change>),
    /// The answer, or why there is none.
    Answer(u64, Result<Answer, String>),
    Down(String),
}

/// What the engine said of itself and of us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    pub epoch: String,
    pub pid: u32,
    pub version: String,
    pub user: String,
    /// Groups that the user is in, on the host that engine and screen share.
    pub groups: Vec<String>,
    pub read_only: bool,
    /// Which state directory it keeps; empty when it does not say.
    pub state: String,
}

/// The viewer's near end.
#[derive(Debug)]
pub struct Link {
    pub ask: mpsc::Sender<Question>,
    pub news: mpsc::Receiver<News>,
}

/// Starts following with a connection that stands already. Needs a tokio runtime.
pub fn start(place: Place, client: Client, name: &'static str, access: Access) -> Link {
    let (ask, questions) = mpsc::channel(ROOM);
    let (tell, news) = mpsc::channel(ROOM);
    tokio::spawn(run(place, Some(client), name, access, questions, tell));
    Link { ask, news }
}

/// No engine and none to come: every question is answered with no. Needs a tokio runtime.
pub fn none() -> Link {
    let (ask, mut questions) = mpsc::channel::<Question>(ROOM);
    let (tell, news) = mpsc::channel(ROOM);
    tokio::spawn(async move {
        while let Some(question) = questions.recv().await {
            let _ = tell.send(News::Answer(question.tag, Err("no engine runs".into()))).await;
        }
    });
    Link { ask, news }
}

async fn run(
    place: Place,
    mut first: Option<Client>,
    name: &'static str,
    access: Access,
    mut questions: mpsc::Receiver<Question>,
    tell: mpsc::Sender<News>,
) {
    let mut wait = BACKOFF.0;
    let mut kept = Kept::default();
    loop {
        let client = match first.take() {
            Some(client) => Ok(client),
            None => Client::connect(&place.state_dir, name, access, CONNECT).await.map_err(|e| e.to_string()),
        };
        let why = match client {
            Ok(client) => {
                wait = BACKOFF.0;
                match follow(client, &mut kept, &mut questions, &tell).await {
                    Some(why) => why,
                    None => return,
                }
            }
            Err(why) => why,
        };
        if tell.send(News::Down(why.clone())).await.is_err() {
            return;
        }
        let again = tokio::time::sleep(wait);
        tokio::pin!(again);
        loop {
            // Whoever waits is told in time, also while there is nothing to connect to.
            for lost in kept.take_late(Instant::now()) {
                if tell.send(lost).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                () = &mut again => break,
                () = kept.late() => {}
                question = questions.recv() => {
                    let Some(question) = question else { return };
                    let answer = Err(format!("no link to the engine: {why}"));
                    if tell.send(News::Answer(question.tag, answer)).await.is_err() {
                        return;
                    }
                }
            }
        }
        wait = (wait * 2).min(BACKOFF.1);
    }
}

/// Serves one connection. `Some` says why it ended; `None` when the viewer has gone.
async fn follow(
    client: Client,
    kept: &mut Kept,
    questions: &mut mpsc::Receiver<Question>,
    tell: &mpsc::Sender<News>,
) -> Option<String> {
    let peer = Peer {
        epoch: client.epoch.clone(),
        pid: client.pid,
        version: client.version.clone(),
        user: client.user.clone(),
        groups: crate::sys::peer::own_groups(&client.user),
        read_only: client.access == Access::ReadOnly,
        state: client.state.clone(),
    };
    let (mut read, write) = client.into_split();
    let (lines, heard) = mpsc::channel::<std::io::Result<Option<FromEngine>>>(4);
    // Reading has a task of its own because a line that is half read must not be given up.
    let reader = tokio::spawn(async move {
        loop {
            let line = frame::read::<FromEngine, _>(&mut read, crate::wire::MAX_REPLY).await;
            let more = matches!(line, Ok(Some(_)));
            if lines.send(line).await.is_err() || !more {
                return;
            }
        }
    });
    let record = Record { state: peer.state.clone(), epoch: peer.epoch.clone() };
    // Ids on the wire are this connection's own; 1 is the question to follow.
    let mut talk = Talk { write, heard, tell, record, next: 2, open: Vec::new(), unrecorded: false };
    let why = talk.serve(peer, kept, questions).await;
    reader.abort();
    let why = why?;
    for (_, mut asked) in talk.open {
        // What only stood in the memory of an engine that has died cannot be known by the next one.
        asked.unrecorded |= talk.unrecorded;
        if let Some(lost) = kept.keep(asked, &why) {
            tell.send(lost).await.ok()?;
        }
    }
    Some(why)
}

/// One connection.
struct Talk<'a> {
    write: tokio::net::unix::OwnedWriteHalf,
    heard: mpsc::Receiver<std::io::Result<Option<FromEngine>>>,
    tell: &'a mpsc::Sender<News>,
    record: Record,
    next: u64,
    /// Asked and not answered, oldest first, by the id on the wire.
    open: Vec<(u64, Asked)>,
    /// The engine records nothing at present.
    unrecorded: bool,
}

impl Talk<'_> {
    async fn serve(&mut self, peer: Peer, kept: &mut Kept, questions: &mut mpsc::Receiver<Question>) -> Option<String> {
        let follow = Request { id: 1, key: String::new(), via: String::new(), ask: Ask::Follow };
        if let Err(e) = frame::write(&mut self.write, &follow).await {
            return Some(e.to_string());
        }
        self.tell.send(News::Up(peer)).await.ok()?;
        let (again, lost) = kept.for_engine(&self.record, Instant::now());
        for news in lost {
            self.tell.send(news).await.ok()?;
        }
        let mut failed = None;
        for asked in again {
            // One that could not be sent is open all the same, and kept for the next connection.
            let sent = self.ask(asked).await;
            failed = failed.or(sent.err());
        }
        if let Some(e) = failed {
            return Some(e.to_string());
        }
        loop {
            tokio::select! {
                biased;
                line = self.heard.recv() => match line {
                    Some(Ok(Some(FromEngine::Change(change)))) => {
                        if let Some(head) = &change.head {
                            self.unrecorded = matches!(head.recording, Recording::Off { .. });
                        }
                        self.tell.send(News::Change(change)).await.ok()?;
                    }
                    Some(Ok(Some(FromEngine::Reply(reply)))) => {
                        if let Some(at) = self.open.iter().position(|(id, _)| *id == reply.id) {
                            let (_, asked) = self.open.remove(at);
                            self.tell.send(News::Answer(asked.question.tag, Ok(reply.answer))).await.ok()?;
                        }
                    }
                    Some(Ok(None)) | None => return Some("the engine hung up".to_owned()),
                    Some(Err(e)) => return Some(e.to_string()),
                },
                question = questions.recv() => {
                    let asked = Asked::new(question?, self.record.clone(), self.unrecorded, Instant::now());
                    if let Err(e) = self.ask(asked).await {
                        return Some(e.to_string());
                    }
                }
            }
        }
    }

    async fn ask(&mut self, asked: Asked) -> std::io::Result<()> {
        let Question { key, via, ask, .. } = asked.question.clone();
        let request = Request { id: self.next, key, via, ask };
        self.open.push((self.next, asked));
        self.next += 1;
        frame::write(&mut self.write, &request).await
    }
}
