//! The connection to the engine: following the picture, asking, and coming back after a loss.
//!
//! A task of its own. It keeps no state that is shown: it hands on what it hears, and fails questions at once while there
//! is no connection, so that nobody waits for an answer that cannot come. Both directions are bounded. It never starts an
//! engine by itself: somebody may have stopped it on purpose.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::cli::Place;
use crate::domain::Access;
use crate::wire::{Answer, Ask, Change, Client, FromEngine, Request, frame};

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
    pub read_only: bool,
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

async fn run(
    place: Place,
    mut first: Option<Client>,
    name: &'static str,
    access: Access,
    mut questions: mpsc::Receiver<Question>,
    tell: mpsc::Sender<News>,
) {
    let mut wait = BACKOFF.0;
    loop {
        let client = match first.take() {
            Some(client) => Ok(client),
            None => Client::connect(&place.state_dir, name, access, CONNECT).await.map_err(|e| e.to_string()),
        };
        let why = match client {
            Ok(client) => {
                wait = BACKOFF.0;
                match follow(client, &mut questions, &tell).await {
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
            tokio::select! {
                () = &mut again => break,
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
async fn follow(client: Client, questions: &mut mpsc::Receiver<Question>, tell: &mpsc::Sender<News>) -> Option<String> {
    let peer = Peer {
        epoch: client.epoch.clone(),
        pid: client.pid,
        version: client.version.clone(),
        user: client.user.clone(),
        read_only: client.access == Access::ReadOnly,
    };
    let (mut read, mut write) = client.into_split();
    let (lines, mut heard) = mpsc::channel::<std::io::Result<Option<FromEngine>>>(4);
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
    let end = serve(peer, &mut write, questions, &mut heard, tell).await;
    reader.abort();
    end
}

async fn serve(
    peer: Peer,
    write: &mut tokio::net::unix::OwnedWriteHalf,
    questions: &mut mpsc::Receiver<Question>,
    heard: &mut mpsc::Receiver<std::io::Result<Option<FromEngine>>>,
    tell: &mpsc::Sender<News>,
) -> Option<String> {
    // Ids on the wire are this connection's own; 1 is the question to follow.
    let mut next = 2;
    let mut open: Vec<(u64, u64)> = Vec::new();
    let follow = Request { id: 1, key: String::new(), via: String::new(), ask: Ask::Follow };
    if let Err(e) = frame::write(write, &follow).await {
        return Some(e.to_string());
    }
    tell.send(News::Up(peer)).await.ok()?;
    let why = loop {
        tokio::select! {
            biased;
            line = heard.recv() => match line {
                Some(Ok(Some(FromEngine::Change(change)))) => tell.send(News::Change(change)).await.ok()?,
                Some(Ok(Some(FromEngine::Reply(reply)))) => {
                    if let Some(at) = open.iter().position(|(id, _)| *id == reply.id) {
                        let (_, tag) = open.swap_remove(at);
                        tell.send(News::Answer(tag, Ok(reply.answer))).await.ok()?;
                    }
                }
                Some(Ok(None)) | None => break "the engine hung up".to_owned(),
                Some(Err(e)) => break e.to_string(),
            },
            question = questions.recv() => {
                let Question { tag, key, via, ask } = question?;
                open.push((next, tag));
                let request = Request { id: next, key, via, ask };
                next += 1;
                if let Err(e) = frame::write(write, &request).await {
                    break e.to_string();
                }
            }
        }
    };
    for (_, tag) in open {
        let lost = format!("the link was lost before an answer came: {why}");
        tell.send(News::Answer(tag, Err(lost))).await.ok()?;
    }
    Some(why)
}
