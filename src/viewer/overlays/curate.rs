//! Prompts of correcting the timeline and of keeping evidence.

use std::collections::BTreeSet;

use crate::domain::Time;
use crate::domain::command::{Amend, Command};
use crate::viewer::acts::curate::said;
use crate::viewer::app::App;
use crate::viewer::screen::Effect;
use crate::wire::{Ask, EvidenceAsk, EvidenceSource, Handed};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Curate {
    /// When it happened, and how that is known.
    Retime { entry: u64 },
    /// Why it is hidden.
    Hide { entries: BTreeSet<u64> },
    /// The title; those that `had` one are taken apart by an empty one.
    Join { entries: BTreeSet<u64>, had: bool },
    /// A file that speaks for an entry.
    Attach { entry: u64, incident: Option<String> },
    /// Lines of a run's output.
    Lines { run: String, incident: Option<String> },
}

impl Curate {
    /// What Enter does.
    pub(super) fn verb(&self) -> &'static str {
        match self {
            Curate::Retime { .. } => "set the time",
            Curate::Hide { .. } => "hide",
            Curate::Join { .. } => "join",
            Curate::Attach { .. } | Curate::Lines { .. } => "keep it",
        }
    }

    pub(super) fn may_be_empty(&self) -> bool {
        matches!(self, Curate::Join { had: true, .. })
    }

    /// The change that is asked for, and what is said when it is done. Errors: what is wrong with the text.
    pub(super) fn ask(&self, app: &App, text: &str) -> Result<(String, Ask), String> {
        let (done, entries, how, reason) = match self {
            Curate::Retime { entry } => {
                let wanted = "a time and a reason are needed: 15:38:12 by the phone's log";
                let (at, reason) = text.split_once(' ').ok_or(wanted)?;
                let happened_at =
                    Time::parse(at).ok().map(Ok).or_else(|| Time::of_day(at, app.watched.engine_now())).ok_or_else(
                        || format!("\"{at}\" is not a time: write 15:38, 15:38:12 or 2026-11-20T15:38:12Z"),
                    )??;
                let reason = reason.trim().to_owned();
                (
                    format!("entry {entry} happened {happened_at}"),
                    BTreeSet::from([*entry]),
                    Amend::Retime { happened_at },
                    reason,
                )
            }
            Curate::Hide { entries } => {
                let done = format!("hidden: {}; i shows everything", said(entries));
                (done, entries.clone(), Amend::Hide { hidden: true }, text.to_owned())
            }
            Curate::Join { entries, .. } if text.is_empty() => (
                format!("taken apart: {}", said(entries)),
                entries.clone(),
                Amend::Join { title: String::new() },
                String::new(),
            ),
            Curate::Join { entries, .. } => {
                let done = format!("joined: {}", said(entries));
                (done, entries.clone(), Amend::Join { title: text.to_owned() }, String::new())
            }
            Curate::Attach { .. } => return Err("a file is handed over, not said".into()),
            Curate::Lines { run, incident } => {
                let (range, title) = text.split_once(' ').unwrap_or((text, ""));
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let number = |n: &str| n.parse::<u64>().map_err(|_| format!("\"{range}\" are no lines: write 120-160"));
                let source = EvidenceSource::Output { run: run.clone(), lines: Some((number(first)?, number(last)?)) };
                let ask = EvidenceAsk {
                    incident: incident.clone(),
                    about: None,
                    title: title.trim().to_owned(),
                    source,
                    bytes: Handed::default(),
                };
                return Ok(("kept as evidence".into(), Ask::Evidence(ask)));
            }
        };
        Ok((done, Ask::Do(Command::Amend { entries, how, reason, of: Vec::new() })))
    }

    /// A file that is to be read and handed over, beside the screen.
    pub(super) fn file(&self, text: &str) -> Option<(String, std::path::PathBuf, EvidenceAsk)> {
        let Curate::Attach { entry, incident } = self else { return None };
        let (path, title) = text.split_once(' ').unwrap_or((text, ""));
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let ask = EvidenceAsk {
            incident: incident.clone(),
            about: Some(*entry),
            title: title.trim().to_owned(),
            source: EvidenceSource::Upload { upload: String::new(), name },
            bytes: Handed::default(),
        };
        Some((format!("kept as evidence for entry {entry}"), path.into(), ask))
    }
}

/// The effect that hands the file over; the answer comes under `tag`.
pub(super) fn hand_over(tag: u64, key: String, via: String, path: std::path::PathBuf, ask: EvidenceAsk) -> Effect {
    Effect::Attach { tag, key, via, path, ask: Box::new(ask) }
}
