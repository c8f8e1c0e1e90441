//! Incidents of the past, as they are searched and compared: one pass over the record.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::domain::Time;
use crate::domain::catalog::Severity;
use crate::domain::clock::Ending;
use crate::domain::event::{Entry, Event};
use crate::domain::hypothesis::Standing;
use crate::domain::incident::Status;

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Past {
    pub id: String,
    pub title: String,
    /// The highest that it had.
    pub severity: Severity,
    pub status: Status,
    /// Closed as something else than a reviewed incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// All that were affected at any time.
    pub services: BTreeSet<String>,
    pub declared_at: Time,
    pub declared_by: String,
    /// When it was resolved last; absent while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Time>,
    /// What was confirmed to be wrong.
    pub causes: Vec<String>,
    pub notes: usize,
    /// Where the words that were searched for stand in a note: its entry and its text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<(u64, String)>,
    #[serde(skip)]
    texts: BTreeMap<u64, String>,
    #[serde(skip)]
    hypotheses: BTreeMap<String, (String, bool)>,
}

impl Past {
    pub const fn is_open(&self) -> bool {
        self.status.is_open()
    }

    /// No false alarm, and none that went on as another one.
    pub const fn counts(&self) -> bool {
        self.ending.is_none()
    }

    /// `closed`, `false alarm`, `merged into INC-2026-004`.
    pub fn standing(&self) -> String {
        match &self.ending {
            Some(Ending::FalseAlarm) => "false alarm".into(),
            Some(Ending::Merged { into }) => format!("merged into {into}"),
            None => self.status.word().to_owned(),
        }
    }
}

/// What is looked for; all of it must hold.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Each stands in the title, a note, a confirmed cause, a service's name or the id.
    pub words: Vec<String>,
    pub since: Option<Time>,
    pub until: Option<Time>,
    pub service: Option<String>,
    pub severity: Option<Severity>,
    /// A word of a confirmed cause.
    pub cause: Option<String>,
    /// A status, or `open`, `false-alarm`, `merged`.
    pub status: Option<String>,
}

/// All incidents of `entries` (the whole record, in order), in the order of their declarations.
pub fn all(entries: &[Entry]) -> Vec<Past> {
    let mut found: BTreeMap<&str, Past> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for entry in entries {
        let Some(id) = entry.incident.as_deref() else { continue };
        if let Event::IncidentDeclared(e) = &entry.event {
            let past = Past {
                id: id.to_owned(),
                title: e.title.clone(),
                severity: e.severity,
                status: Status::Investigating,
                ending: None,
                services: e.services.clone(),
                declared_at: entry.at,
                declared_by: entry.actor.user.clone(),
                resolved_at: None,
                causes: Vec::new(),
                notes: 0,
                found: Vec::new(),
                texts: BTreeMap::new(),
                hypotheses: BTreeMap::new(),
            };
            if found.insert(id, past).is_none() {
                order.push(id);
            }
            continue;
        }
        if let Some(past) = found.get_mut(id) {
            take(past, entry);
        }
    }
    let mut out = Vec::with_capacity(order.len());
    for id in order {
        let Some(mut past) = found.remove(id) else { continue };
        past.notes = past.texts.len();
        past.causes = past.hypotheses.values().filter(|(_, confirmed)| *confirmed).map(|(t, _)| t.clone()).collect();
        out.push(past);
    }
    out
}

fn take(past: &mut Past, entry: &Entry) {
    match &entry.event {
        Event::IncidentSeverity(e) => past.severity = past.severity.min(e.to),
        Event::IncidentTitled(e) => past.title.clone_from(&e.title),
        Event::IncidentServices(e) => past.services.extend(e.added.iter().cloned()),
        Event::IncidentStatus(e) => {
            past.status = e.to;
            match e.to {
                Status::Resolved => past.resolved_at = Some(entry.at),
                status if status.is_open() => past.resolved_at = None,
                _ => {}
            }
        }
        Event::IncidentReopened(_) => {
            (past.status, past.resolved_at, past.ending) = (Status::Investigating, None, None);
        }
        Event::IncidentFalseAlarm(_) => past.ending = Some(Ending::FalseAlarm),
        Event::IncidentMerged(e) => past.ending = Some(Ending::Merged { into: e.into.clone() }),
        Event::NoteAdded(e) => {
            past.texts.insert(entry.seq, e.text.clone());
        }
        Event::NoteImported(e) => {
            past.texts.insert(entry.seq, e.text.clone());
        }
        Event::NoteCorrected(e) => {
            past.texts.insert(e.entry, e.text.clone());
        }
        Event::EntryRedacted(e) => {
            past.texts.remove(&e.seq);
        }
        Event::HypothesisOpened(e) => {
            past.hypotheses.insert(e.hypothesis.clone(), (e.text.clone(), false));
        }
        Event::HypothesisClosed(e) => {
            if let Some((_, confirmed)) = past.hypotheses.get_mut(&e.hypothesis) {
                *confirmed = e.standing == Standing::Confirmed;
            }
        }
        Event::HypothesisReopened(e) => {
            if let Some((_, confirmed)) = past.hypotheses.get_mut(&e.hypothesis) {
                *confirmed = false;
            }
        }
        _ => {}
    }
}

/// Those of `all` that are looked for, with the notes in which the words stand.
pub fn search(all: Vec<Past>, wanted: &Search) -> Vec<Past> {
    let words: Vec<String> = wanted.words.iter().map(|w| w.to_lowercase()).collect();
    let mut out = Vec::new();
    for mut past in all {
        if wanted.since.is_some_and(|s| past.declared_at < s)
            || wanted.until.is_some_and(|u| past.declared_at >= u)
            || wanted.severity.is_some_and(|s| past.severity != s)
            || wanted.service.as_ref().is_some_and(|s| !past.services.contains(s))
            || wanted.status.as_ref().is_some_and(|s| !is_status(&past, s))
        {
            continue;
        }
        if let Some(cause) = wanted.cause.as_ref().map(|c| c.to_lowercase())
            && !past.causes.iter().any(|c| c.to_lowercase().contains(&cause))
        {
            continue;
        }
        let services = past.services.iter().cloned().collect::<Vec<_>>().join(" ");
        let head = format!("{} {} {services} {}", past.id, past.title, past.causes.join(" ")).to_lowercase();
        let notes: Vec<(u64, String)> = past.texts.iter().map(|(seq, text)| (*seq, text.to_lowercase())).collect();
        let stands = |word: &String| head.contains(word) || notes.iter().any(|(_, text)| text.contains(word));
        if !words.iter().all(stands) {
            continue;
        }
        let hits = notes.iter().filter(|(_, text)| words.iter().any(|w| text.contains(w) && !head.contains(w)));
        past.found = hits.filter_map(|(seq, _)| Some((*seq, past.texts.get(seq)?.clone()))).collect();
        out.push(past);
    }
    out
}

fn is_status(past: &Past, word: &str) -> bool {
    match word {
        "open" => past.is_open(),
        "false-alarm" => past.ending == Some(Ending::FalseAlarm),
        "merged" => matches!(past.ending, Some(Ending::Merged { .. })),
        word => past.ending.is_none() && past.status.word() == word,
    }
}

/// The words of [`Search::status`].
pub const STATUS_WORDS: &str = "open, investigating, identified, monitoring, resolved, closed, false-alarm or merged";
