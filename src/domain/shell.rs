//! Commands that people run in a shell of their own and let mayday watch: `mayday run -- …`.
//!
//! The start is on record before the command begins; its end follows, or the word that its end was not seen. Whoever runs
//! it makes the id up, because no engine may be there to ask. Nothing here is ever a reason not to run the command: it is
//! the person's own shell.

use serde::{Deserialize, Serialize};

use super::command::{Context, Refusal};
use super::decide::{Outcome, find_incident, first_open, one};
use super::event::*;
use super::state::State;
use super::time::Time;

/// Longest id, title and folder, in bytes; a command's arguments together, and an excerpt.
const ID_LIMIT: usize = 40;
const TITLE_LIMIT: usize = 200;
const DIR_LIMIT: usize = 4096;
const COMMAND_LIMIT: usize = 64 * 1024;
const EXCERPT_LIMIT: usize = 16 * 1024;

/// What `mayday run` tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "shell")]
pub enum ShellAsk {
    /// It is about to begin.
    Start {
        id: String,
        argv: Vec<String>,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        dir: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        title: String,
        /// When, where that was before an engine heard of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Time>,
    },
    /// It has ended.
    Finish {
        id: String,
        argv: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<i32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        /// How long it ran, in milliseconds.
        ms: u64,
        #[serde(default)]
        output_digest: String,
        #[serde(default)]
        size: u64,
        #[serde(default)]
        excerpt: String,
        #[serde(default)]
        file: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        title: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Time>,
    },
}

impl ShellAsk {
    pub fn id(&self) -> &str {
        let (ShellAsk::Start { id, .. } | ShellAsk::Finish { id, .. }) = self;
        id
    }

    /// The arguments on one line.
    pub fn line(&self) -> String {
        let (ShellAsk::Start { argv, .. } | ShellAsk::Finish { argv, .. }) = self;
        argv.join(" ")
    }

    /// What came from outside and may hold a secret.
    pub(super) fn words_mut(&mut self) -> Vec<&mut String> {
        match self {
            ShellAsk::Start { argv, dir, title, .. } => argv.iter_mut().chain([dir, title]).collect(),
            ShellAsk::Finish { argv, excerpt, title, .. } => argv.iter_mut().chain([excerpt, title]).collect(),
        }
    }
}

/// One whose end is not on record yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OpenShell {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    pub argv: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    pub by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    pub started_at: Time,
}

/// Folds one entry in.
pub(super) fn apply(state: &mut State, entry: &Entry) {
    match &entry.event {
        Event::ShellStarted(e) => {
            let open = OpenShell {
                incident: entry.incident.clone(),
                argv: e.command.clone(),
                title: e.title.clone(),
                by: entry.actor.user.clone(),
                uid: entry.actor.uid,
                started_at: entry.happened_at(),
            };
            state.shells.insert(e.id.clone(), open);
        }
        Event::ShellFinished(e) => {
            state.shells.remove(&e.id);
        }
        _ => {}
    }
}

/// What is told of a command leads to. Errors: what makes no sense, or is about somebody else's.
pub(super) fn decide(state: &State, incident: Option<String>, ask: ShellAsk, ctx: &Context) -> Outcome {
    let id = ask.id();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if id.is_empty() || id.len() > ID_LIMIT || !id.bytes().all(plain) {
        return Err(Refusal::usage("a command's id is made of lower-case letters, digits and -", "use mayday run"));
    }
    let line = ask.line();
    if line.trim().is_empty() || line.len() > COMMAND_LIMIT {
        let why = format!("the command is empty, or longer than {COMMAND_LIMIT} bytes");
        return Err(Refusal::usage(why, "put it into a script"));
    }
    let open = state.shells.get(id);
    if open.is_some_and(|o| o.uid != ctx.actor.uid) {
        return Err(Refusal::usage(format!("command {id} is somebody else's"), "use mayday run"));
    }
    let past = |at: Option<Time>| at.filter(|at| *at <= ctx.now);
    let argv = |argv: Vec<String>| argv.iter().map(|a| crate::text::clean(a).into_owned()).collect();
    match ask {
        ShellAsk::Start { id, argv: given, dir, title, at } => {
            if open.is_some() {
                return Err(Refusal::usage(format!("command {id} was started before"), "use mayday run"));
            }
            let incident = match incident {
                Some(named) => Some(find_incident(state, &named)?.id.clone()),
                None => first_open(state),
            };
            let event = ShellStarted {
                id,
                command: argv(given),
                dir: crate::text::clean::clean_to(&dir, DIR_LIMIT).into_owned(),
                title: crate::text::clean::clean_to(title.trim(), TITLE_LIMIT).into_owned(),
                happened_at: past(at),
            };
            one(incident, event)
        }
        ShellAsk::Finish { id, argv: given, exit, signal, ms, output_digest, size, excerpt, file, title, at } => {
            // Told late, of one whose end was taken for not seen, it is on record all the same.
            let incident = match open {
                Some(open) => open.incident.clone(),
                None => incident.filter(|id| state.incidents.contains_key(id)).or_else(|| first_open(state)),
            };
            let incident = incident.map(|id| state.surviving(&id).to_owned());
            let excerpt = last_of(crate::text::clean_lines(&excerpt, EXCERPT_LIMIT));
            let event = ShellFinished {
                id,
                command: argv(given),
                exit,
                signal,
                ms,
                output_digest: crate::text::clean(&output_digest).into_owned(),
                size,
                excerpt,
                file: crate::text::clean(&file).into_owned(),
                title: crate::text::clean::clean_to(title.trim(), TITLE_LIMIT).into_owned(),
                happened_at: past(at),
            };
            one(incident, event)
        }
    }
}

/// The end of an excerpt that is too long, from the beginning of a line on.
fn last_of(excerpt: String) -> String {
    let Some(over) = excerpt.len().checked_sub(EXCERPT_LIMIT).filter(|over| *over > 0) else { return excerpt };
    let from = excerpt.char_indices().map(|(at, _)| at).find(|at| *at >= over).unwrap_or(excerpt.len());
    let rest = excerpt.get(from..).unwrap_or_default();
    rest.split_once('\n').map_or(rest, |(_, lines)| lines).to_owned()
}

/// The word that the end of `id` was not seen.
pub fn unseen(state: &State, id: &str, now: Time) -> Option<(Option<String>, ShellFinished)> {
    let open = state.shells.get(id)?;
    let event = ShellFinished {
        id: id.to_owned(),
        command: open.argv.clone(),
        exit: None,
        signal: None,
        ms: now.since(open.started_at).as_millis() as u64,
        output_digest: String::new(),
        size: 0,
        excerpt: String::new(),
        file: String::new(),
        title: open.title.clone(),
        happened_at: None,
    };
    Some((open.incident.as_deref().map(|id| state.surviving(id).to_owned()), event))
}

/// The command as it is said in a sentence: its title, where it has one, and its arguments.
pub(super) fn said(title: &str, command: &[String]) -> String {
    let line = command.iter().map(|word| crate::text::shell_word(word)).collect::<Vec<_>>().join(" ");
    if title.is_empty() { line } else { format!("{title}: {line}") }
}
