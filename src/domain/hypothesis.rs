//! Hypotheses: what people think is wrong, what speaks for it and against it, and what was ruled out.
//!
//! Pure. What was ruled out is worth as much to whoever takes over as what was found. Each piece of evidence says what it
//! rests on: something seen, something concluded, something heard.

use serde::{Deserialize, Serialize};

use super::command::{HypothesisAsk, Refusal};
use super::decide::{Outcome, checked_text, one, open_incident, required_reason};
use super::event::*;
use super::incident::Incident;
use super::state::State;
use super::time::Time;

/// Most hypotheses of one incident, and most pieces of evidence on one of them.
const MOST: usize = 100;
/// Longest hypothesis and piece of evidence, in bytes.
const LIMIT: usize = 2000;

/// Where a hypothesis stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    #[default]
    Open,
    Confirmed,
    Eliminated,
}

impl Standing {
    pub const fn word(self) -> &'static str {
        match self {
            Standing::Open => "open",
            Standing::Confirmed => "confirmed",
            Standing::Eliminated => "eliminated",
        }
    }
}

/// Which way a piece of evidence points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stance {
    For,
    Against,
    /// It bears on it without deciding.
    #[default]
    Neutral,
}

impl Stance {
    pub const ALL: [Stance; 3] = [Stance::For, Stance::Against, Stance::Neutral];

    pub const fn word(self) -> &'static str {
        match self {
            Stance::For => "for",
            Stance::Against => "against",
            Stance::Neutral => "neutral",
        }
    }

    /// Reads the word. Errors: what is accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = Stance::ALL.into_iter().find(|s| s.word() == text);
        found.ok_or_else(|| format!("\"{text}\" is not a stance: for, against or neutral"))
    }
}

/// What a piece of evidence rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Seen or measured.
    #[default]
    Fact,
    /// Concluded from something seen.
    Inference,
    /// Told by somebody.
    Hearsay,
}

impl Basis {
    pub const ALL: [Basis; 3] = [Basis::Fact, Basis::Inference, Basis::Hearsay];

    pub const fn word(self) -> &'static str {
        match self {
            Basis::Fact => "fact",
            Basis::Inference => "inference",
            Basis::Hearsay => "hearsay",
        }
    }

    /// Reads the word. Errors: what is accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = Basis::ALL.into_iter().find(|b| b.word() == text);
        found.ok_or_else(|| format!("\"{text}\" is not what evidence rests on: fact, inference or hearsay"))
    }
}

/// A piece of evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Journal position.
    pub seq: u64,
    pub at: Time,
    pub by: String,
    pub stance: Stance,
    pub basis: Basis,
    pub text: String,
}

/// A hypothesis as folded from its entries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hypothesis {
    /// `H1`, `H2`, … within its incident.
    pub id: String,
    pub text: String,
    pub opened_at: Time,
    pub opened_by: String,
    /// Journal position of its opening.
    pub seq: u64,
    #[serde(default)]
    pub standing: Standing,
    /// When it was confirmed or eliminated, by whom and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// What it was called in the incident that it was opened for, where that was merged into this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// Where a hypothesis comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub incident: String,
    pub id: String,
}

impl Hypothesis {
    /// `the disk is full`, with `(H1 of INC-2026-002)` where it comes from another incident.
    pub fn said(&self) -> String {
        match &self.origin {
            Some(origin) => format!("{} ({} of {})", self.text, origin.id, origin.incident),
            None => self.text.clone(),
        }
    }

    /// How many pieces of evidence point that way.
    pub fn count(&self, stance: Stance) -> usize {
        self.evidence.iter().filter(|e| e.stance == stance).count()
    }

    /// `2 for, 1 against`; empty without evidence.
    pub fn balance(&self) -> String {
        let parts: Vec<String> = Stance::ALL
            .into_iter()
            .map(|s| (self.count(s), s.word()))
            .filter(|(n, _)| *n > 0)
            .map(|(n, word)| format!("{n} {word}"))
            .collect();
        parts.join(", ")
    }
}

/// The id that the next one of `incident` gets.
pub(super) fn next_id(incident: &Incident) -> String {
    let gone = usize::try_from(incident.clock.hypotheses_gone).unwrap_or(usize::MAX);
    format!("H{}", incident.hypotheses.len().saturating_add(gone).saturating_add(1))
}

fn find<'a>(incident: &'a Incident, id: &str) -> Result<&'a Hypothesis, Refusal> {
    incident.hypotheses.iter().find(|h| h.id.eq_ignore_ascii_case(id)).ok_or_else(|| {
        let known: Vec<&str> = incident.hypotheses.iter().map(|h| h.id.as_str()).collect();
        let instead = if known.is_empty() { "none was opened: h opens one".into() } else { known.join(", ") };
        Refusal::usage(format!("{} has no hypothesis \"{id}\"", incident.id), instead)
    })
}

pub(super) fn decide(state: &State, incident: Option<String>, ask: HypothesisAsk) -> Outcome {
    let incident = open_incident(state, incident)?;
    let id = Some(incident.id.clone());
    let event: Event = match ask {
        HypothesisAsk::Open { text } => {
            if incident.hypotheses.len() >= MOST {
                return Err(Refusal::new(format!("{} has {MOST} hypotheses already", incident.id), "write notes"));
            }
            let text = checked_text("hypothesis", &text, LIMIT)?;
            if let Some(same) = incident.hypotheses.iter().find(|h| h.text.eq_ignore_ascii_case(&text)) {
                let instead = format!("add evidence to {}", same.id);
                return Err(Refusal::new(format!("{} says that already, {}", same.id, same.standing.word()), instead));
            }
            HypothesisOpened { hypothesis: next_id(incident), text }.into()
        }
        HypothesisAsk::Evidence { hypothesis, stance, basis, text } => {
            let found = find(incident, &hypothesis)?;
            if found.evidence.len() >= MOST {
                return Err(Refusal::new(format!("{} has {MOST} pieces of evidence", found.id), "write notes"));
            }
            let text = checked_text("evidence", &text, LIMIT)?;
            HypothesisEvidence { hypothesis: found.id.clone(), stance, basis, text }.into()
        }
        HypothesisAsk::Confirm { hypothesis, reason } => closed(incident, &hypothesis, Standing::Confirmed, &reason)?,
        HypothesisAsk::Eliminate { hypothesis, reason } => {
            closed(incident, &hypothesis, Standing::Eliminated, &reason)?
        }
        HypothesisAsk::Reopen { hypothesis, reason } => {
            let found = find(incident, &hypothesis)?;
            if found.standing == Standing::Open {
                return Err(Refusal::new(format!("{} is open", found.id), ""));
            }
            let reason = required_reason("opening a hypothesis again", &reason)?;
            HypothesisReopened { hypothesis: found.id.clone(), reason }.into()
        }
    };
    one(id, event)
}

fn closed(incident: &Incident, id: &str, to: Standing, reason: &str) -> Result<Event, Refusal> {
    let found = find(incident, id)?;
    if found.standing != Standing::Open {
        let instead = "open it again first, with a reason";
        return Err(Refusal::new(format!("{} is {} already", found.id, found.standing.word()), instead));
    }
    let what = if to == Standing::Confirmed { "confirming a hypothesis" } else { "ruling a hypothesis out" };
    let reason = required_reason(what, reason)?;
    Ok(HypothesisClosed { hypothesis: found.id.clone(), standing: to, reason }.into())
}

pub(super) fn apply(incident: &mut Incident, entry: &Entry) {
    let with = |incident: &mut Incident, id: &str, change: &mut dyn FnMut(&mut Hypothesis)| {
        if let Some(found) = incident.hypotheses.iter_mut().find(|h| h.id == id) {
            change(found);
        }
    };
    match &entry.event {
        Event::HypothesisOpened(e) => incident.hypotheses.push(Hypothesis {
            id: e.hypothesis.clone(),
            text: e.text.clone(),
            opened_at: entry.at,
            opened_by: entry.actor.user.clone(),
            seq: entry.seq,
            standing: Standing::Open,
            closed_at: None,
            closed_by: None,
            reason: String::new(),
            evidence: Vec::new(),
            origin: None,
        }),
        Event::HypothesisEvidence(e) => with(incident, &e.hypothesis, &mut |h| {
            h.evidence.push(Evidence {
                seq: entry.seq,
                at: entry.at,
                by: entry.actor.user.clone(),
                stance: e.stance,
                basis: e.basis,
                text: e.text.clone(),
            });
        }),
        Event::HypothesisClosed(e) => with(incident, &e.hypothesis, &mut |h| {
            h.standing = e.standing;
            h.closed_at = Some(entry.at);
            h.closed_by = Some(entry.actor.user.clone());
            h.reason.clone_from(&e.reason);
        }),
        Event::HypothesisReopened(e) => with(incident, &e.hypothesis, &mut |h| {
            h.standing = Standing::Open;
            h.closed_at = None;
            h.closed_by = None;
            h.reason.clone_from(&e.reason);
        }),
        _ => {}
    }
}

/// The entry as a sentence, for the timeline.
pub(super) fn sentence(event: &Event) -> Option<String> {
    Some(match event {
        Event::HypothesisOpened(e) => format!("hypothesis {}: {}", e.hypothesis, e.text),
        Event::HypothesisEvidence(e) => {
            format!("{} {}, {}: {}", e.hypothesis, e.stance.word(), e.basis.word(), e.text)
        }
        Event::HypothesisClosed(e) => format!("{} {}: {}", e.hypothesis, e.standing.word(), e.reason),
        Event::HypothesisReopened(e) => format!("{} open again: {}", e.hypothesis, e.reason),
        _ => return None,
    })
}
