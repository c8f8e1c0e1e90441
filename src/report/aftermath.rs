//! What came of an incident, and what people did beside mayday: follow-ups, the state of its review, commands in shells of
//! their own, evidence, lines of other records.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::cite::cite;
use super::escape;
use super::markdown::{Page, ms};
use super::story::Story;
use super::timeline::utc;
use crate::domain::Time;
use crate::domain::event::{Entry, Event, EvidenceAdded, ShellFinished};
use crate::text::{plural, size};

/// Something that is to be done after the incident, as it stands at the end of the record.
#[derive(Clone, Debug, PartialEq)]
pub struct Followup {
    pub id: String,
    pub text: String,
    pub owner: String,
    pub due: Option<Time>,
    /// `mitigate`, `prevent`, `detect`, `process`, or empty.
    pub class: String,
    /// `open`, `done`, `not to be done`.
    pub state: &'static str,
    /// The note it was made from.
    pub from: Option<u64>,
    pub entries: Vec<u64>,
}

/// The follow-ups of the incident, in the order in which they were opened.
pub fn followups(story: &Story<'_>) -> Vec<Followup> {
    let mut all: Vec<Followup> = Vec::new();
    for entry in story.entries.iter().filter(|e| story.is_of(e)) {
        match &entry.event {
            Event::FollowupOpened(e) => all.push(Followup {
                id: e.id.clone(),
                text: e.text.clone(),
                owner: e.owner.clone(),
                due: e.due,
                class: e.class.clone(),
                state: "open",
                from: e.from,
                entries: vec![entry.seq],
            }),
            Event::FollowupChanged(e) => {
                let Some(one) = all.iter_mut().find(|f| f.id == e.id) else { continue };
                e.text.iter().for_each(|text| one.text.clone_from(text));
                e.owner.iter().for_each(|owner| one.owner.clone_from(owner));
                e.class.iter().for_each(|class| one.class.clone_from(class));
                one.due = e.due.or(one.due);
                one.entries.push(entry.seq);
            }
            Event::FollowupClosed(e) => {
                let Some(one) = all.iter_mut().find(|f| f.id == e.id) else { continue };
                one.state = match (e.reopened, e.done) {
                    (true, _) => "open",
                    (_, true) => "done",
                    (_, false) => "not to be done",
                };
                one.entries.push(entry.seq);
            }
            _ => {}
        }
    }
    all
}

/// How far the review is, as said last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReviewState {
    pub owner: Option<(String, u64)>,
    pub status: Option<(String, u64)>,
    pub meeting: Option<(Time, u64)>,
}

impl ReviewState {
    pub fn of(story: &Story<'_>) -> ReviewState {
        let mut state = ReviewState::default();
        for entry in story.entries.iter().filter(|e| e.incident.as_deref() == Some(story.id.as_str())) {
            let Event::ReviewChanged(e) = &entry.event else { continue };
            e.owner.iter().for_each(|owner| state.owner = Some((owner.clone(), entry.seq)));
            e.status.iter().for_each(|status| state.status = Some((status.clone(), entry.seq)));
            e.meeting.iter().for_each(|at| state.meeting = Some((*at, entry.seq)));
        }
        state
    }

    /// `Draft`, `In review`, `Reviewed`; what another version wrote as it is.
    pub fn status_said(&self) -> String {
        match self.status.as_ref().map(|(s, _)| s.as_str()) {
            None | Some("draft") => "Draft".into(),
            Some("in-review") => "In review".into(),
            Some("reviewed") => "Reviewed".into(),
            Some(other) => other.to_owned(),
        }
    }
}

/// A command that somebody ran in a shell while mayday watched.
pub struct Shell<'a> {
    pub entry: &'a Entry,
    pub done: &'a ShellFinished,
    /// Its start, where that is on record.
    pub started: Option<u64>,
}

impl Shell<'_> {
    pub fn entries(&self) -> Vec<u64> {
        self.started.into_iter().chain([self.entry.seq]).collect()
    }

    /// How it ended, in words.
    pub fn end(&self) -> String {
        match (self.done.exit, self.done.signal) {
            (Some(code), _) => format!("exit {code}"),
            (None, Some(signal)) => format!("ended by signal {signal}"),
            (None, None) => "its end was not seen".into(),
        }
    }
}

/// Those that ended, in order.
pub fn shells<'a>(story: &Story<'a>) -> Vec<Shell<'a>> {
    let mut started: BTreeMap<&str, u64> = BTreeMap::new();
    let mut out = Vec::new();
    for entry in story.entries.iter().filter(|e| story.is_of(e)) {
        match &entry.event {
            Event::ShellStarted(e) => drop(started.insert(&e.id, entry.seq)),
            Event::ShellFinished(done) => {
                out.push(Shell { entry, done, started: started.remove(done.id.as_str()) });
            }
            _ => {}
        }
    }
    out
}

fn evidence<'a>(story: &Story<'a>) -> Vec<(&'a Entry, &'a EvidenceAdded)> {
    let of = |e: &'a Entry| match &e.event {
        Event::EvidenceAdded(added) => Some((e, added)),
        _ => None,
    };
    story.entries.iter().filter(|e| story.is_of(e)).filter_map(of).collect()
}

/// Below the runs: what was done in shells.
pub(super) fn shells_markdown(page: &mut Page<'_, '_>) {
    let story = &page.review.story;
    let all = shells(story);
    if all.is_empty() {
        return;
    }
    page.line("\n### In shells\n");
    page.table(&["Ended (UTC)", "Who", "Command", "Took", "Outcome", "Output", "From"]);
    for shell in &all {
        let (done, who) = (shell.done, page.say(&shell.entry.actor.user));
        let command = page.say(&said(&done.command));
        let output = match (done.size, done.output_digest.as_str()) {
            (0, _) => "none".to_owned(),
            (n, "") => size(n),
            (n, digest) => format!("{}, SHA-256 {}", size(n), page.say(digest)),
        };
        let end = match done.exit {
            Some(0) => shell.end(),
            _ => format!("**{}**", shell.end()),
        };
        let took = ms(i64::try_from(done.ms).unwrap_or(i64::MAX));
        page.row(&[&utc(story.when(shell.entry)), &who, &command, &took, &end, &output, &cite(&shell.entries())]);
    }
    for shell in all.iter().filter(|s| s.done.exit != Some(0) && !s.done.excerpt.is_empty()) {
        let command = page.say(&said(&shell.done.command));
        page.line(&format!("\nThe end of what {command} said {}:\n", cite(&[shell.entry.seq])));
        page.line(&escape::fenced(&shell.done.excerpt, &page.review.extra.mask));
    }
}

fn said(command: &[String]) -> String {
    command.iter().map(|word| crate::text::shell_word(word)).collect::<Vec<_>>().join(" ")
}

/// In the appendix: what was kept to show that something was so, and other records that were taken in.
pub(super) fn evidence_markdown(page: &mut Page<'_, '_>) {
    let story = &page.review.story;
    let all = evidence(story);
    if !all.is_empty() {
        page.line("\n### Evidence\n");
        page.table(&["Recorded (UTC)", "By", "What", "Kind", "For", "Size", "SHA-256", "From"]);
        for (entry, e) in &all {
            let about = e.about.map(|seq| cite(&[seq])).unwrap_or_default();
            let file = if e.file.is_empty() { String::new() } else { format!(" ({})", e.file) };
            let what = page.say(&format!("{}{file}", e.title));
            let (by, kind, digest) = (page.say(&entry.actor.user), page.say(&e.what), page.say(&e.digest));
            page.row(&[
                &utc(story.when(entry)),
                &by,
                &what,
                &kind,
                &about,
                &size(e.size),
                &digest,
                &cite(&[entry.seq]),
            ]);
        }
        for (entry, e) in all.iter().filter(|(_, e)| !e.excerpt.is_empty()) {
            let title = page.say(&e.title);
            page.line(&format!("\nFrom {title} {}:\n", cite(&[entry.seq])));
            page.line(&escape::fenced(&e.excerpt, &page.review.extra.mask));
        }
    }
    let mut taken: BTreeMap<(&str, &str, &str), Vec<u64>> = BTreeMap::new();
    for entry in story.entries.iter().filter(|e| story.is_of(e)) {
        if let Event::NoteImported(e) = &entry.event {
            taken.entry((&e.source, &e.format, &entry.actor.user)).or_default().push(entry.seq);
        }
    }
    if taken.is_empty() {
        return;
    }
    page.line("\n### Other records\n");
    for ((source, format, by), entries) in taken {
        let source = if source.is_empty() { "what was typed".to_owned() } else { page.say(source) };
        let (format, by) = (page.say(format), page.say(by));
        page.line(&format!(
            "- {} of {source} ({format}), taken in by {by} {}",
            plural(entries.len(), "line"),
            cite(&entries)
        ));
    }
}

/// The table of action items.
pub(super) fn items_markdown(page: &mut Page<'_, '_>) {
    let all = followups(&page.review.story);
    if all.is_empty() {
        page.line("No follow-up is on record.\n");
        return;
    }
    page.table(&["What", "Type", "Owner", "Due", "State", "From"]);
    for f in &all {
        let what = format!("{}: {}", page.say(&f.id), page.say(&f.text));
        let or = |text: String, missing: &str| if text.is_empty() { format!("_{missing}_") } else { text };
        let (class, owner) = (or(page.say(&f.class), "to be said"), or(page.say(&f.owner), "nobody yet"));
        let due = or(f.due.map(|at| at.date()).unwrap_or_default(), "no date");
        page.row(&[&what, &class, &owner, &due, f.state, &cite(&f.entries)]);
    }
    page.line("");
}

/// Adds its fields to the document.
pub(super) fn json(story: &Story<'_>, document: &mut Json) {
    let Some(fields) = document.as_object_mut() else { return };
    let items: Vec<Json> = followups(story)
        .iter()
        .map(|f| {
            json!({
                "id": f.id, "text": f.text, "owner": f.owner, "due": f.due, "class": f.class, "state": f.state,
                "from": f.from, "entries": f.entries,
            })
        })
        .collect();
    fields.insert("followups".into(), items.into());
    let state = ReviewState::of(story);
    let entries: Vec<u64> = [
        state.owner.as_ref().map(|(_, seq)| *seq),
        state.status.as_ref().map(|(_, seq)| *seq),
        state.meeting.as_ref().map(|(_, seq)| *seq),
    ]
    .into_iter()
    .flatten()
    .collect();
    fields.insert(
        "review".into(),
        json!({
            "status": state.status.map_or_else(|| "draft".to_owned(), |(s, _)| s), "owner": state.owner.map(|(o, _)| o),
            "meeting": state.meeting.map(|(at, _)| at), "entries": entries,
        }),
    );
    let shells: Vec<Json> = shells(story)
        .iter()
        .map(|s| {
            json!({
                "command": s.done.command, "by": s.entry.actor.user, "ended_at": story.when(s.entry), "took_ms": s.done.ms,
                "exit": s.done.exit, "signal": s.done.signal, "output_digest": s.done.output_digest,
                "output_size": s.done.size, "output": s.done.excerpt, "entries": s.entries(),
            })
        })
        .collect();
    fields.insert("shells".into(), shells.into());
    let evidence: Vec<Json> = evidence(story)
        .iter()
        .map(|(entry, e)| {
            json!({
                "at": story.when(entry), "by": entry.actor.user, "about": e.about, "what": e.what, "title": e.title,
                "digest": e.digest, "size": e.size, "excerpt": e.excerpt, "file": e.file, "entries": [entry.seq],
            })
        })
        .collect();
    fields.insert("evidence".into(), evidence.into());
}
