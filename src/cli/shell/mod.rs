//! `mayday run -- …`: a command in the person's own shell that joins the timeline.
//!
//! It is on record before it starts, and it runs whatever becomes of the record: when no engine answers, both ends are
//! kept for the next one. mayday adds nothing to the command's own output, and ends with its exit code.

mod capture;
mod exec;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use super::connect::{self, Place};
use super::exit::Failure;
use crate::domain::command::Command;
use crate::domain::shell::ShellAsk;
use crate::domain::{Access, Time};
use crate::sys::relay::Signals;
use crate::text::Mask;
use crate::wire::{Answer, Ask, Client};

/// Longest wait for the engine before the command starts all the same, in seconds.
const ANSWER: Duration = Duration::from_secs(10);
/// Between two tries to reach an engine while the command runs.
const AGAIN: Duration = Duration::from_secs(1);
/// Bytes of output sent at once.
const PIECE: usize = 256 << 10;

/// What was asked for.
#[derive(Debug)]
pub struct Wanted {
    pub incident: Option<String>,
    pub title: String,
    pub timeout: Option<String>,
    pub argv: Vec<OsString>,
}

/// One command, and whom it is told to.
struct Told {
    place: Place,
    id: String,
    incident: Option<String>,
    title: String,
    /// As it goes into the record.
    argv: Vec<String>,
    client: Option<Client>,
    /// The start, kept for an engine that is not there.
    spooled: Option<PathBuf>,
}

/// Runs it. Gives the command's own exit code.
pub async fn run(place: Place, access: Access, json: bool, wanted: Wanted) -> Result<u8, Failure> {
    if access == Access::ReadOnly {
        return Err(Failure::refused("--read-only runs nothing"));
    }
    let timeout = wanted.timeout.as_deref().map(crate::text::parse_duration).transpose().map_err(Failure::usage)?;
    let mask = Mask::new(secrets_of_environment());
    let plain: Vec<String> = wanted.argv.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    let mut told = Told {
        place,
        id: fresh_id(),
        incident: wanted.incident,
        title: mask.apply(&wanted.title).into_owned(),
        argv: mask.arguments(&plain),
        client: None,
        spooled: None,
    };
    // From here on a signal is the command's.
    let signals = Signals::catch(&exec::PASSED_ON)?;
    told.start(access).await?;
    let argv = wanted.argv;
    let mut work = tokio::task::spawn_blocking(move || exec::run(&argv, timeout, signals));
    let ended = loop {
        tokio::select! {
            ended = &mut work => break ended.map_err(|e| Failure::failed(format!("running it failed inside: {e}")))?,
            () = told.keep_touch(access) => {}
        }
    };
    let code = ended.code();
    if let Some(e) = &ended.fault {
        eprintln!("mayday: {}: {e}", crate::text::clean(plain.first().map_or("", String::as_str)));
    }
    if let (true, Some(limit)) = (ended.timed_out, timeout) {
        eprintln!("mayday: ended after {} (--timeout)", crate::text::duration(limit));
    }
    let on_record = told.finish(ended, &mask, access).await;
    if json {
        eprintln!(
            "{}",
            serde_json::json!({ "id": told.id, "incident": told.incident, "entry": on_record, "exit": code })
        );
    } else if let Some(seq) = on_record.filter(|_| std::io::stderr().is_terminal()) {
        let of = told.incident.as_deref().map(|id| format!(" of {id}")).unwrap_or_default();
        eprintln!("mayday: on record{of} as entry {seq}");
    }
    Ok(code)
}

impl Told {
    fn command(&self, ask: ShellAsk) -> Command {
        Command::Shell { incident: self.incident.clone(), ask: Box::new(ask) }
    }

    /// Puts the start on record. Errors: what makes no sense; an engine that is not there is none.
    async fn start(&mut self, access: Access) -> Result<(), Failure> {
        let dir = std::env::current_dir().map(|d| d.display().to_string()).unwrap_or_default();
        let ask =
            ShellAsk::Start { id: self.id.clone(), argv: self.argv.clone(), dir, title: self.title.clone(), at: None };
        let why = match connect::reach(&self.place, access).await {
            Ok(mut client) => {
                let ask = Ask::Do(self.command(ask.clone()));
                match client.ask("command", ask, ANSWER).await {
                    Ok(Answer::Done { incident, recorded, .. }) => {
                        super::incident::warn_unrecorded(recorded);
                        (self.client, self.incident) = (Some(client), incident);
                        return Ok(());
                    }
                    Ok(Answer::Refused(refusal)) => return Err(refusal.into()),
                    Ok(Answer::Failed { reason }) => reason,
                    Ok(_) => "the engine gave no answer that is understood".into(),
                    Err(e) => e.to_string(),
                }
            }
            Err(why) => why.text,
        };
        eprintln!("mayday: {why}\nmayday: it runs all the same; what it does is kept and taken in by the next engine");
        let mut ask = ask;
        if let ShellAsk::Start { at, .. } = &mut ask {
            *at = Some(now());
        }
        match super::incident::keep_for_engine(&self.place.state_dir, &self.command(ask)) {
            Ok(path) => self.spooled = Some(path),
            Err(e) => eprintln!("mayday: it runs, and its start is NOT recorded: {}", e.text),
        }
        Ok(())
    }

    /// Stays connected, so that the engine knows that it runs. Returns when something changed.
    async fn keep_touch(&mut self, access: Access) {
        match &mut self.client {
            Some(client) => {
                // Nothing is asked, so nothing comes but the end.
                if !matches!(client.next().await, Ok(Some(_))) {
                    self.client = None;
                }
            }
            None => {
                tokio::time::sleep(AGAIN).await;
                self.client = self.come_back(access).await;
            }
        }
    }

    async fn come_back(&self, access: Access) -> Option<Client> {
        let mut client = Client::connect(&self.place.state_dir, "command", access, connect::CONNECT).await.ok()?;
        match client.ask("command", Ask::ShellRuns { id: self.id.clone() }, ANSWER).await {
            Ok(Answer::Ok) => Some(client),
            _ => None,
        }
    }

    /// Puts the end on record. Gives the entry's position, where there is one already.
    async fn finish(&mut self, ended: exec::Ended, mask: &Mask, access: Access) -> Option<u64> {
        let mut text = ended.output.text(mask);
        if let Some(e) = &ended.fault {
            text.push_str(&format!("it could not be started: {e}\n"));
        }
        if ended.timed_out {
            text.push_str("ended by mayday: its time was up\n");
        }
        let mut kept = (String::new(), 0, String::new());
        // As long as its start waits to be taken in, so does its end.
        let waits = self.spooled.as_ref().is_some_and(|path| path.exists());
        if self.client.is_none() && !waits {
            self.client = self.come_back(access).await;
        }
        if let (Some(client), false) = (&mut self.client, waits || text.is_empty()) {
            match upload(client, &self.id, &text).await {
                Ok(done) => kept = done,
                Err(why) => eprintln!("mayday: its whole output is not kept, only the end of it: {why}"),
            }
        }
        let (file, size, output_digest) = kept;
        let mut ask = ShellAsk::Finish {
            id: self.id.clone(),
            argv: self.argv.clone(),
            exit: ended.exit,
            signal: ended.signal,
            ms: ended.ran.as_millis() as u64,
            output_digest,
            size: if file.is_empty() { ended.output.total } else { size },
            excerpt: capture::excerpt(&text),
            file,
            title: self.title.clone(),
            at: None,
        };
        if let (Some(client), false) = (&mut self.client, waits) {
            let told = Ask::Do(Command::Shell { incident: self.incident.clone(), ask: Box::new(ask.clone()) });
            if let Ok(Answer::Done { seq, recorded, incident, .. }) = client.ask("command", told, ANSWER).await {
                super::incident::warn_unrecorded(recorded);
                self.incident = incident.or(self.incident.take());
                return Some(seq);
            }
        }
        if let ShellAsk::Finish { at, .. } = &mut ask {
            *at = Some(now());
        }
        match super::incident::keep_for_engine(&self.place.state_dir, &self.command(ask)) {
            Ok(path) => eprintln!("mayday: its end is kept in {} and taken in by the next engine", path.display()),
            Err(e) => eprintln!("mayday: its end is NOT recorded: {}", e.text),
        }
        None
    }
}

/// Sends what is kept of its output. Gives the file, its bytes and its digest.
async fn upload(client: &mut Client, id: &str, text: &str) -> Result<(String, u64, String), String> {
    let (mut rest, mut first, mut kept) = (text, true, None);
    while first || !rest.is_empty() {
        let mut end = PIECE.min(rest.len());
        // At the end of a line where there is one, so that the engine's mask sees whole ones.
        if end < rest.len() {
            end = rest.get(..end).and_then(|p| p.rfind('\n')).map_or(end, |at| at + 1);
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
        }
        let (now, later) = rest.split_at(end);
        let ask = Ask::ShellOutput { id: id.to_owned(), text: now.to_owned(), first };
        match client.ask("command", ask, ANSWER).await {
            Ok(Answer::Kept { file, size, digest }) => kept = Some((file, size, digest)),
            Ok(Answer::Refused(refusal)) => return Err(refusal.to_string()),
            Ok(Answer::Failed { reason }) => return Err(reason),
            Ok(_) => return Err("the engine gave no answer that is understood".into()),
            Err(e) => return Err(e.to_string()),
        }
        (rest, first) = (later, false);
    }
    kept.ok_or_else(|| "nothing was sent".into())
}

fn now() -> Time {
    Time::from_ms(crate::sys::clock::now_ms())
}

/// Ten characters that no other command on this host has.
fn fresh_id() -> String {
    let id = uuid::Uuid::now_v7().simple().to_string();
    id.get(id.len().saturating_sub(10)..).unwrap_or(&id).to_owned()
}

/// Secrets that the command is given: what it prints of them is masked.
fn secrets_of_environment() -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in std::env::vars_os() {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        if crate::text::mask::is_secret_name(name) {
            found.push(value.to_owned());
        }
        found.extend(crate::text::mask::passwords_in_addresses(value));
    }
    found
}
