//! Destroying a text that must not be on record: in the journal, and in every file of the state folder.
//!
//! In this order: what is found is recorded (`entry.redacted` with who, why, and the places in files, never the text), the
//! journal blanks its payloads, the files are overwritten at the places on record, the state is folded anew from the
//! record, everything is looked through once more, and `redaction.finished` says that it is done. Whatever cuts it short,
//! the next engine finds what is open in the fold and does it before it reads any of those files.
//!
//! It must never write the text anywhere, not into a log, not into a refusal, and never keep it longer than this engine
//! lives. While it lives, what comes in again is kept out of the record.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::sync::oneshot;

use super::core::{Core, Message};
use crate::domain::authority::{self, Deed};
use crate::domain::command::Refusal;
use crate::domain::event::{Entry, EntryLeft, EntryRedacted, Event, RedactedFile, RedactionFinished};
use crate::domain::redaction::{without_text, without_words};
use crate::domain::state::State;
use crate::domain::{Actor, Time};
use crate::journal::{self, Reader};
use crate::text;
use crate::text::secret::Secret;
use crate::wire::{Answer, RedactAsk, RedactedRow, RedactionView};

mod files;

pub(super) use files::destroy;
use files::{Destroyed, FoundFiles};

/// How often everything is looked through again for what came in meanwhile.
const ROUNDS: u32 = 6;
/// Places told by one entry at the most.
const PLACES: usize = 20_000;
/// Texts of a named entry that are looked for in files have at least this many bytes: shorter ones stand elsewhere too.
const OWN: usize = 12;

/// A redaction that is under way, and texts that are kept out of the record for as long as this engine lives.
#[derive(Debug, Default)]
pub struct Redacting {
    job: Option<Job>,
    forgotten: Vec<Secret>,
}

impl Redacting {
    /// What a person had destroyed does not come back by another way.
    pub fn keep_out(&self, event: Event) -> Event {
        if self.forgotten.is_empty() || matches!(event, Event::EntryRedacted(_) | Event::RedactionFinished(_)) {
            return event;
        }
        let mut event = event;
        for secret in &self.forgotten {
            let payload = event.payload();
            if serde_json::to_vec(&payload).is_ok_and(|bytes| secret.is_in(&bytes)) {
                let kind = event.kind().to_owned();
                let left =
                    without_text(&kind, &payload, secret).unwrap_or_else(|| serde_json::json!({ "redacted": true }));
                event = Event::read(&kind, left);
            }
        }
        event
    }

    pub fn forgotten(&self) -> Vec<Secret> {
        self.forgotten.clone()
    }
}

/// Takes what a person had destroyed out of bytes on their way into a file.
pub(super) fn keep_out_of(forgotten: &[Secret], bytes: &mut [u8]) {
    for secret in forgotten {
        for (from, to) in secret.places(bytes) {
            if let Some(place) = bytes.get_mut(from..to) {
                let blank = text::secret::blank(place);
                place.copy_from_slice(&blank);
            }
        }
    }
}

#[derive(Debug)]
struct Job {
    actor: Actor,
    reply: Option<oneshot::Sender<Answer>>,
    wanted: Wanted,
    reason: String,
    /// The first `entry.redacted` of it.
    first: u64,
    view: RedactionView,
    files: BTreeSet<String>,
    places: u64,
    round: u32,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// It is recorded, and to be done once that is on disk.
    Recorded(Vec<RedactedFile>),
    UnderWay,
    Done(Box<Outcome>),
}

/// What is to go.
#[derive(Clone, Debug)]
pub struct Wanted {
    entries: BTreeSet<u64>,
    text: Option<Secret>,
}

/// What was found of it.
#[derive(Debug, Default)]
pub struct Found {
    entries: Vec<FoundEntry>,
    files: Vec<RedactedFile>,
    /// Other entries that hold a named entry's text, or say something of it.
    also: Vec<u64>,
    /// Places that cannot be blanked.
    stuck: Vec<String>,
    unread: Vec<String>,
    failed: Vec<String>,
    /// What is looked for in files.
    secret: Option<Secret>,
    /// A named entry's text is too short to be looked for in files.
    short: bool,
}

#[derive(Debug)]
struct FoundEntry {
    row: RedactedRow,
    left: Option<Value>,
}

/// What a round came to.
#[derive(Debug)]
pub struct Outcome {
    destroyed: Destroyed,
    state: State,
    /// Entries as they read now, by number, for lines that wait to be written.
    entries: BTreeMap<u64, Entry>,
    more: Found,
}

impl Core {
    /// `mayday journal redact`.
    pub(super) fn redact(&mut self, actor: Actor, ask: RedactAsk, reply: oneshot::Sender<Answer>) {
        let RedactAsk { entries, text, reason, confirm } = ask;
        let title =
            if entries.is_empty() { "redact a text".to_owned() } else { format!("redact entry {}", list(&entries)) };
        let need = self.state.catalog.authority.needs(Deed::Redact);
        if let Err(refusal) = authority::allowed(&self.state, &actor, &title, need) {
            return self.refuse(actor, title, refusal, reply);
        }
        let no = |refusal: Refusal| Answer::Refused(refusal);
        let answer = |reply: oneshot::Sender<Answer>, answer: Answer| {
            let _ = reply.send(answer);
        };
        if self.redacting.job.is_some() {
            let why = Refusal::new("another redaction is under way", "wait for it, then ask again");
            return answer(reply, no(why));
        }
        if !self.recorder.is_on() {
            let why = Refusal::new(
                "nothing is being recorded right now, and a redaction has to be",
                "mend the journal's disk first",
            );
            return answer(reply, no(why));
        }
        if entries.is_empty() == text.is_none() {
            let why = Refusal::usage("either entries or a text are redacted", "name entries, or give --text -");
            return answer(reply, no(why));
        }
        let secret = match text.as_ref().map(|t| Secret::new([t.0.as_str()])).transpose() {
            Ok(secret) => secret,
            Err(why) => return answer(reply, no(Refusal::usage(why, "name the entries instead"))),
        };
        if confirm.is_some() && reason.trim().is_empty() {
            return answer(
                reply,
                no(Refusal::usage("a redaction needs a reason", "say why in a few words, without the text")),
            );
        }
        let reason = text::clean_lines(self.mask.apply(reason.trim()).as_ref(), 2000);
        let reason = secret.as_ref().map_or(reason.clone(), |s| s.cut(&reason).into_owned());
        let wanted = Wanted { entries, text: secret };
        let (dir, others, inbox) = (self.state_dir.clone(), self.other_places.clone(), self.inbox.clone());
        tokio::task::spawn_blocking(move || {
            let found = look(&dir, &others, &wanted, 0);
            let made = Looked { actor, wanted, reason, confirm, found };
            let _ = inbox.blocking_send(Message::RedactionFound { looked: Box::new(made), reply });
        });
    }

    /// It is known what is to go: it is told, or recorded.
    pub(super) fn take_redaction(&mut self, looked: Looked, reply: oneshot::Sender<Answer>) {
        let Looked { actor, wanted, reason, confirm, found } = looked;
        let found = match found {
            Ok(found) => found,
            Err(refusal) => {
                let _ = reply.send(Answer::Refused(refusal));
                return;
            }
        };
        let view = self.view_of(&found);
        let Some(typed) = confirm else {
            let _ = reply.send(Answer::Redaction(Box::new(view)));
            return;
        };
        let word = view.confirm.clone();
        if typed != word {
            let why = Refusal::new(
                "a redaction destroys and was not confirmed",
                format!("type {word}, or give --confirm {word}"),
            );
            let title = format!("redact entry {}", list(&wanted.entries));
            return self.refuse(actor, title, why, reply);
        }
        if found.entries.is_empty() && found.files.is_empty() {
            let why = "it stands nowhere on record and in no file of the state directory: nothing was done";
            let stuck =
                if found.stuck.is_empty() { String::new() } else { format!("but see: {}", found.stuck.join("; ")) };
            let _ = reply.send(Answer::Refused(Refusal::new(why, stuck)));
            return;
        }
        if self.redacting.job.is_some() {
            let why = Refusal::new("another redaction is under way", "wait for it, then ask again");
            let _ = reply.send(Answer::Refused(why));
            return;
        }
        if let Some(secret) = &wanted.text {
            self.redacting.forgotten.push(secret.clone());
        }
        let first = self.recorder.next_seq();
        let mut job = Job {
            actor,
            reply: Some(reply),
            wanted: Wanted { text: found.secret.clone().or(wanted.text), ..wanted },
            reason,
            first,
            view,
            files: BTreeSet::new(),
            places: 0,
            round: 0,
            stage: Stage::UnderWay,
        };
        job.stage = Stage::Recorded(self.record_redaction(&job.actor, &job.reason, found));
        self.redacting.job = Some(job);
    }

    fn view_of(&self, found: &Found) -> RedactionView {
        let confirm = match found.entries.as_slice() {
            [one] => one.row.seq.to_string(),
            _ => "redact".to_owned(),
        };
        let mut elsewhere = Vec::new();
        if let Some(mirror) = self.config.journal.mirror.as_ref().map(|_| "the journal's mirror") {
            elsewhere.push(format!(
                "{mirror}: entries are blanked there as it follows; a command was sent them, and may keep them"
            ));
        }
        let running: Vec<&str> =
            self.state.runs_in_order().filter(|r| !r.state.is_over()).map(|r| r.plan.id.as_str()).collect();
        if !running.is_empty() {
            elsewhere
                .push(format!("run {} is under way: what it prints from now on is not looked at", running.join(", ")));
        }
        elsewhere.extend(remembered_exports(&self.state_dir));
        RedactionView {
            entries: found.entries.iter().map(|e| e.row.clone()).collect(),
            files: found.files.iter().map(|f| (f.file.clone(), f.places.len() as u64)).collect(),
            also: found.also.clone(),
            stuck: found.stuck.clone(),
            unread: found.unread.clone(),
            failed: found.failed.clone(),
            short: found.short,
            elsewhere,
            confirm,
            finished: None,
        }
    }

    /// Who, what and why, on record before anything goes. Gives the files that are to be overwritten.
    fn record_redaction(&mut self, actor: &Actor, why: &str, found: Found) -> Vec<RedactedFile> {
        let mut pieces = pieces(&found.files).into_iter();
        for entry in found.entries {
            let FoundEntry { row, left } = entry;
            let files = pieces.next().unwrap_or_default();
            let redacted = EntryRedacted { seq: row.seq, why: why.to_owned(), left: left.is_some(), files };
            self.record(actor.clone(), row.incident.clone(), redacted);
            if let Some(payload) = left {
                self.record(actor.clone(), row.incident, EntryLeft { entry: row.seq, payload });
            }
        }
        for files in pieces {
            self.record(actor.clone(), None, EntryRedacted { seq: 0, why: why.to_owned(), left: false, files });
        }
        found.files
    }

    /// Goes on with a redaction as far as it can now. At the end of a turn, when all that was recorded is on disk.
    pub(super) async fn tend_redaction(&mut self) {
        let Some(mut job) = self.redacting.job.take() else { return };
        match std::mem::replace(&mut job.stage, Stage::UnderWay) {
            stage if !self.recorder.is_on() || self.recorder.head().0 < job.first => job.stage = stage,
            Stage::UnderWay => {}
            Stage::Recorded(files) => {
                // The checks' machines may be on their way into their file.
                if let Some(saving) = self.saving.take() {
                    let _ = saving.await;
                }
                match self.recorder.redact().await {
                    Ok(()) => self.begin_round(&job, files),
                    Err(why) => {
                        tracing::error!("blanking the journal failed and is tried again: {why}");
                        job.stage = Stage::Recorded(files);
                    }
                }
            }
            Stage::Done(outcome) => {
                if !self.end_round(&mut job, *outcome).await {
                    return;
                }
            }
        }
        self.redacting.job = Some(job);
    }

    fn begin_round(&self, job: &Job, files: Vec<RedactedFile>) {
        let (dir, others, inbox) = (self.state_dir.clone(), self.other_places.clone(), self.inbox.clone());
        let (wanted, first) = (job.wanted.clone(), job.first);
        tokio::task::spawn_blocking(move || {
            let destroyed = destroy(&dir, &files);
            let outcome = fold_anew(&dir).map(|(state, entries)| {
                let again = Wanted { entries: BTreeSet::new(), ..wanted };
                // Entries: only a text is looked for again; what was named is blanked.
                let more = look(&dir, &others, &again, first).unwrap_or_default();
                Outcome { destroyed, state, entries, more }
            });
            let _ = inbox.blocking_send(Message::Redacted(Box::new(outcome)));
        });
    }

    pub(super) fn take_redacted(&mut self, outcome: Result<Outcome, String>) {
        let Some(job) = &mut self.redacting.job else { return };
        match outcome {
            Ok(outcome) => job.stage = Stage::Done(Box::new(outcome)),
            Err(reason) => {
                if let Some(reply) = job.reply.take() {
                    let _ = reply.send(Answer::Failed { reason });
                }
                // The next start carries out what is on record.
                self.redacting.job = None;
            }
        }
    }

    /// True: there is another round to come.
    async fn end_round(&mut self, job: &mut Job, outcome: Outcome) -> bool {
        let Outcome { destroyed, mut state, entries, more } = outcome;
        job.files.extend(destroyed.files);
        job.places += destroyed.places;
        job.view.failed.extend(destroyed.failed);
        // What was recorded since it was folded.
        let dir = self.state_dir.clone();
        let caught_up = tokio::task::spawn_blocking(move || {
            let from = state.seq + 1;
            catch_up(&dir, &mut state, from).map(|()| state)
        });
        match caught_up.await {
            Ok(Ok(state)) => self.state = state,
            Ok(Err(why)) => tracing::error!("folding the record anew failed: {why}"),
            Err(e) => tracing::error!("folding the record anew failed inside: {e}"),
        }
        self.timelines.forget(&entries);
        self.lead = super::lead::Prepared::default();
        self.dirty.everything = true;
        let by_text = job.wanted.entries.is_empty();
        let again = !more.files.is_empty() || (by_text && !more.entries.is_empty());
        if again && job.round < ROUNDS {
            job.round += 1;
            job.view.entries.extend(more.entries.iter().map(|e| e.row.clone()));
            job.view.files.extend(more.files.iter().map(|f| (f.file.clone(), f.places.len() as u64)));
            let more = if by_text { more } else { Found { entries: Vec::new(), ..more } };
            job.stage = Stage::Recorded(self.record_redaction(&job.actor, &job.reason, more));
            return true;
        }
        job.view.failed.extend(more.files.iter().map(|f| format!("{} (written again and again)", f.file)));
        let finished = RedactionFinished {
            from: job.first,
            entries: job.view.entries.len() as u64,
            files: job.files.len() as u64,
            places: job.places,
            failed: job.view.failed.clone(),
        };
        let seq = self.record(job.actor.clone(), None, finished);
        job.view.finished = Some((seq, job.places));
        self.redacting.job = None;
        if let Some(reply) = job.reply.take() {
            self.waiting.push((reply, String::new(), Answer::Redaction(Box::new(job.view.clone()))));
        }
        // The one that was removed was the next start's shortcut.
        self.checkpoint_at = 0;
        false
    }

    /// What an engine before this one did not finish: the files are done by now, see [`resume`].
    pub(super) fn take_up_redactions(&mut self, resumed: Option<Destroyed>) {
        let Some(done) = resumed else { return };
        let Some(from) = self.state.redactions.open.keys().next().copied() else { return };
        let entries = self.state.redactions.open.len() as u64;
        let Destroyed { files, places, failed } = done;
        let finished = RedactionFinished { from, entries, files: files.len() as u64, places, failed };
        self.record_own(None, finished);
    }
}

/// What was looked for and found.
#[derive(Debug)]
pub struct Looked {
    actor: Actor,
    wanted: Wanted,
    reason: String,
    confirm: Option<String>,
    found: Result<Found, Refusal>,
}

/// Does the files of redactions that were cut short, before anything reads them. `None`: there are none.
pub(super) fn resume(dir: &Path, state: &State) -> Option<Destroyed> {
    if state.redactions.open.is_empty() {
        return None;
    }
    let files: Vec<RedactedFile> = state.redactions.open.values().flatten().cloned().collect();
    Some(destroy(dir, &files))
}

/// Everything in the record and in files. `from`: entries before it were looked at.
fn look(dir: &Path, others: &[PathBuf], wanted: &Wanted, from: u64) -> Result<Found, Refusal> {
    let unread = |e: journal::JournalError| Refusal::new(e.to_string(), "mayday journal verify");
    let mut found = Found { secret: wanted.text.clone(), ..Found::default() };
    if !wanted.entries.is_empty() {
        let (mut texts, mut missing, mut refused) = (Vec::new(), wanted.entries.clone(), None);
        journal::search(dir, &mut |line| {
            let Some(entry) = line.entry.filter(|e| wanted.entries.contains(&e.seq)) else { return };
            missing.remove(&entry.seq);
            let why = match (entry.blanked, entry.kind) {
                (true, _) => Some("is redacted already"),
                (_, "entry.redacted" | "redaction.finished") => Some("says itself that another was redacted"),
                _ => None,
            };
            if let Some(why) = why {
                refused.get_or_insert(Refusal::usage(format!("entry {} {why}", entry.seq), "name another"));
                return;
            }
            let payload: Value = serde_json::from_slice(line.payload).unwrap_or_default();
            let (left, taken) = without_words(entry.kind, &payload);
            texts.extend(taken);
            found.entries.push(FoundEntry { row: row_of(&entry, left.is_none()), left });
        })
        .map_err(unread)?;
        if let Some(seq) = missing.first() {
            return Err(Refusal::usage(
                format!("there is no entry {seq} on record that can be read"),
                "mayday timeline shows their numbers",
            ));
        }
        if let Some(refusal) = refused {
            return Err(refusal);
        }
        found.short = texts.iter().any(|t| t.trim().len() < OWN);
        let own = texts.iter().map(String::as_str).filter(|t| t.trim().len() >= OWN);
        found.secret = Secret::new(own).ok();
    }
    let Some(secret) = found.secret.clone() else {
        let FoundFiles { files, unread, failed } = files::find(dir, others, None, &wanted.entries);
        (found.files, found.unread, found.failed) = (files, unread, failed);
        return Ok(found);
    };
    let by_text = wanted.entries.is_empty();
    journal::search(dir, &mut |line| {
        let Some(entry) = line.entry else {
            if secret.is_in(line.payload) {
                found.stuck.push(format!("line {} of {}, which is damaged", line.line, text::clean(line.part)));
            }
            return;
        };
        if entry.seq < from {
            return;
        }
        if secret.is_in(entry.header) {
            found.stuck.push(format!(
                "the header of entry {} (who, when, which incident: it is part of the chain)",
                entry.seq
            ));
        }
        if entry.blanked || !secret.is_in(line.payload) {
            return;
        }
        if matches!(entry.kind, "entry.redacted" | "redaction.finished") {
            found.stuck.push(format!("entry {}, which says itself that another was redacted", entry.seq));
        } else if by_text {
            let payload: Value = serde_json::from_slice(line.payload).unwrap_or_default();
            let left = without_text(entry.kind, &payload, &secret);
            found.entries.push(FoundEntry { row: row_of(&entry, left.is_none()), left });
        } else if !wanted.entries.contains(&entry.seq) {
            found.also.push(entry.seq);
        }
    })
    .map_err(unread)?;
    let FoundFiles { files, unread, failed } = files::find(dir, others, Some(&secret), &wanted.entries);
    (found.files, found.unread, found.failed) = (files, unread, failed);
    Ok(found)
}

fn row_of(entry: &journal::StoredEntry<'_>, whole: bool) -> RedactedRow {
    // The header ends before the hash; with a brace it is an object.
    let mut header = entry.header.to_vec();
    header.push(b'}');
    let header: Value = serde_json::from_slice(&header).unwrap_or_default();
    let words = |v: Option<&Value>| v.and_then(Value::as_str).map(|s| text::clean(s).into_owned());
    RedactedRow {
        seq: entry.seq,
        at: words(header.get("at")).and_then(|at| Time::parse(&at).ok()).unwrap_or_default(),
        kind: text::clean(entry.kind).into_owned(),
        by: words(header.get("actor").and_then(|a| a.get("user"))).unwrap_or_default(),
        incident: header.get("incident").and_then(Value::as_str).map(str::to_owned),
        whole,
    }
}

/// Lists that fit into entries.
fn pieces(files: &[RedactedFile]) -> Vec<Vec<RedactedFile>> {
    let (mut out, mut room): (Vec<Vec<RedactedFile>>, usize) = (Vec::new(), 0);
    for file in files {
        for places in file.places.chunks(PLACES) {
            if out.is_empty() || room < places.len() {
                out.push(Vec::new());
                room = PLACES;
            }
            room -= places.len();
            if let Some(last) = out.last_mut() {
                last.push(RedactedFile { places: places.to_vec(), ..file.clone() });
            }
        }
    }
    out
}

type Folded = (State, BTreeMap<u64, Entry>);

/// The fold of the record as it is now, and the entries that were redacted as they read now.
fn fold_anew(dir: &Path) -> Result<Folded, String> {
    let (mut state, mut entries) = (State::default(), BTreeMap::new());
    let redacted = |entries: &BTreeMap<u64, Entry>, e: &Entry| match &e.event {
        Event::EntryRedacted(e) => !entries.contains_key(&e.seq),
        _ => false,
    };
    let mut wanted = BTreeSet::new();
    let reader = Reader::open(dir).map_err(|e| e.to_string())?;
    for entry in reader.entries(1).map_err(|e| e.to_string())?.flatten() {
        if redacted(&entries, &entry)
            && let Event::EntryRedacted(e) = &entry.event
        {
            wanted.insert(e.seq);
        }
        state.apply(&entry);
    }
    for seq in wanted.into_iter().filter(|seq| *seq > 0) {
        if let Some(entry) = reader.read_range(seq, 1).map_err(|e| e.to_string())?.entries.pop() {
            entries.insert(seq, entry);
        }
    }
    Ok((state, entries))
}

fn catch_up(dir: &Path, state: &mut State, from: u64) -> Result<(), String> {
    let reader = Reader::open(dir).map_err(|e| e.to_string())?;
    for entry in reader.entries(from).map_err(|e| e.to_string())?.flatten() {
        state.apply(&entry);
    }
    Ok(())
}

/// Documents that `mayday export -o` wrote outside of the state directory, as far as it could note that down.
fn remembered_exports(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join(crate::report::WRITTEN)).unwrap_or_default();
    let paths: BTreeSet<String> = (text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok()))
        .filter_map(|v| Some(v.get("path")?.as_str()?.to_owned()))
        .filter(|p| Path::new(p).exists() && !Path::new(p).starts_with(dir))
        .collect();
    paths.iter().map(|p| format!("{}: written by mayday export; destroy it, or export again", text::clean(p))).collect()
}

fn list(entries: &BTreeSet<u64>) -> String {
    if entries.is_empty() {
        return "by a text".into();
    }
    entries.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}
