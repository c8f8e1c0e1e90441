//! The command line: everything the cockpit does, for scripts.
//!
//! Commands talk to the engine like any viewer and never do anything by themselves. What they print for people goes to
//! stdout, what is wrong to stderr, and `--json` prints one value.

pub mod args;
pub mod backups;
pub mod checklist;
pub mod connect;
pub mod contacts;
pub mod evidence;
pub mod exit;
pub mod export;
pub mod followups;
pub mod guard;
pub mod help;
pub mod import;
pub mod incident;
pub mod incidents;
pub mod lead;
pub mod leading;
pub mod merged;
pub mod playbook;
pub mod record;
pub mod recover;
pub mod redact;
pub mod replay;
pub mod runs;
pub mod shell;
pub mod status;
pub mod timeline;
pub mod verify;

use std::time::Duration;

use serde::Serialize;

pub use args::{Cli, Cmd};
pub use connect::Place;
pub use exit::Failure;

use crate::domain::command::Command;
use crate::wire::{Answer, Ask, Client, ConnectError, Mirror};

/// Longest wait for an answer. A plan looks at copies and servers, so it may take a while.
const ANSWER: Duration = Duration::from_secs(120);

/// How long whoever looks after the engine may take to start it again.
const COME_BACK: Duration = Duration::from_secs(3);

/// The same for one that was stopped in order, as for an upgrade.
const STOPPED: Duration = Duration::from_secs(15);

/// How often a change is asked for when engines die over it.
const TRIES: u32 = 3;

/// The other side is gone; whether it had done what it was asked is not known.
fn is_broken(e: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(e.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// Columns of the terminal that is written to; nothing when it is none, and then nothing has to be cut.
pub fn columns() -> Option<usize> {
    use std::io::IsTerminal;
    let out = std::io::stdout();
    let size = rustix::termios::tcgetwinsize(&out).ok().filter(|_| out.is_terminal())?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// A connection for one command.
#[derive(Debug)]
pub struct Session {
    pub client: Client,
    pub json: bool,
    pub place: Place,
}

impl Session {
    /// Asks, and turns a refusal or a failure into an error with its exit code.
    pub async fn ask(&mut self, ask: Ask) -> Result<Answer, Failure> {
        match self.answer(ask).await? {
            Answer::Refused(refusal) => Err(refusal.into()),
            Answer::Failed { reason } => Err(Failure::failed(reason)),
            answer => Ok(answer),
        }
    }

    /// The engine's answer. When it died before it gave one, a change is asked for again of the next engine with the same
    /// key: that one knows by the record whether it is done.
    async fn answer(&mut self, ask: Ask) -> Result<Answer, Failure> {
        let key = Client::key_for(&ask);
        let mut tries = if key.is_empty() { 1 } else { TRIES };
        loop {
            tries -= 1;
            match self.client.ask_keyed("command", key.clone(), ask.clone(), ANSWER).await {
                Err(e) if tries > 0 && is_broken(&e) => {
                    let client = connect::attach(&self.place, "command", self.client.access).await?;
                    if client.state != self.client.state {
                        return Err(Failure::failed(
                            "lost before an answer came, and the engine that answers now keeps another record: \
                             look at the timeline whether it was done",
                        ));
                    }
                    self.client = client;
                }
                answer => return Ok(answer?),
            }
        }
    }

    /// Asks for something that changes nothing, for as long as it takes: an engine that dies meanwhile is waited for,
    /// and started again where nobody else does. One that was stopped on purpose is not: `meanwhile` says what goes on
    /// without it.
    pub async fn look(&mut self, ask: &Ask, meanwhile: &str) -> Result<Answer, Failure> {
        loop {
            match self.client.ask_keyed("command", String::new(), ask.clone(), ANSWER).await {
                Ok(Answer::Refused(refusal)) => return Err(refusal.into()),
                Ok(Answer::Failed { reason }) => return Err(Failure::failed(reason)),
                Ok(answer) => return Ok(answer),
                Err(e) if is_broken(&e) => self.client = self.come_back(meanwhile).await?,
                Err(e) => return Err(e.into()),
            }
        }
    }

    async fn come_back(&self, meanwhile: &str) -> Result<Client, Failure> {
        let begun = tokio::time::Instant::now();
        loop {
            let access = self.client.access;
            let gone = match Client::connect(&self.place.state_dir, "command", access, connect::CONNECT).await {
                Ok(client) if client.state == self.client.state => return Ok(client),
                Ok(_) => {
                    let why = format!("the engine that answers now keeps another record; {meanwhile}");
                    return Err(Failure::failed(why));
                }
                Err(e @ (ConnectError::NotRunning(_) | ConnectError::Stale { .. })) => e,
                Err(e) => return Err(e.into()),
            };
            let (stopped, waited) = (matches!(gone, ConnectError::NotRunning(_)), begun.elapsed());
            if stopped && waited > STOPPED {
                let why = format!("the engine was stopped and did not come back; {meanwhile}");
                return Err(Failure::failed(why));
            }
            if !stopped && waited > COME_BACK {
                match connect::attach(&self.place, "command", access).await {
                    Ok(client) => return Ok(client),
                    // The one that was started may have been killed as well.
                    Err(_) if waited < STOPPED => {}
                    Err(e) => return Err(e),
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Asks for a change.
    pub async fn act(&mut self, command: Command) -> Result<Answer, Failure> {
        self.ask(Ask::Do(command)).await
    }

    /// The whole picture now.
    pub async fn picture(&mut self) -> Result<Mirror, Failure> {
        let answer = self.ask(Ask::Picture).await?;
        Self::mirror(answer)
    }

    /// The same for whoever waits for something: an engine that dies meanwhile is waited for too.
    pub async fn picture_in_time(&mut self, meanwhile: &str) -> Result<Mirror, Failure> {
        let answer = self.look(&Ask::Picture, meanwhile).await?;
        Self::mirror(answer)
    }

    fn mirror(answer: Answer) -> Result<Mirror, Failure> {
        match answer {
            Answer::Picture(change) => {
                let mut mirror = Mirror::default();
                mirror.apply(*change);
                Ok(mirror)
            }
            _ => Err(Failure::failed("the engine gave no picture")),
        }
    }
}

/// One value as JSON on stdout.
pub fn print<T: Serialize + ?Sized>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::failed(e.to_string()))?;
    say(&text);
    Ok(())
}

/// One line on stdout. A reader that is gone (`| head`) is no fault.
pub fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}
