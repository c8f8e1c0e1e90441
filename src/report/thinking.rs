//! What people thought was wrong, with what spoke for it and against it, and how the lead passed.

use serde_json::{Value as Json, json};

use super::cite::cite;
use super::markdown::Page;
use super::story::Story;
use super::timeline::utc;
use crate::domain::event::Event;
use crate::domain::hypothesis::{Hypothesis, Standing};
use crate::domain::state::State;
use crate::domain::time::Time;

/// The hypotheses as they stood at the end of the record.
pub(super) fn told(story: &Story<'_>) -> Vec<Hypothesis> {
    let mut state = State::default();
    for entry in story.entries.iter().filter(|e| story.is_of(e)) {
        if matches!(
            entry.event,
            Event::IncidentDeclared(_)
                | Event::IncidentAbsorbed(_)
                | Event::HypothesisOpened(_)
                | Event::HypothesisEvidence(_)
                | Event::HypothesisClosed(_)
                | Event::HypothesisReopened(_)
        ) {
            state.apply(entry);
        }
    }
    state.incidents.remove(&story.id).map(|i| i.hypotheses).unwrap_or_default()
}

/// How a lead passed from one to the next.
struct Passed<'a> {
    at: Time,
    from: &'a str,
    to: &'a str,
    /// Positions of the offer and of its being taken.
    entries: Vec<u64>,
    remark: &'a str,
    capsule: &'a [String],
}

fn passed<'a>(story: &Story<'a>) -> Vec<Passed<'a>> {
    let mut out = Vec::new();
    let mut offer = None;
    for e in story.entries.iter().filter(|e| e.incident.as_deref() == Some(story.id.as_str())) {
        match &e.event {
            Event::HandoffOffered(o) => offer = Some((e.seq, o)),
            Event::HandoffTaken(t) => {
                let offer = offer.take();
                out.push(Passed {
                    at: e.at,
                    from: &t.from,
                    to: &t.to,
                    entries: offer.iter().map(|(seq, _)| *seq).chain([e.seq]).collect(),
                    remark: offer.map(|(_, o)| o.remark.as_str()).unwrap_or_default(),
                    capsule: offer.map(|(_, o)| o.capsule.as_slice()).unwrap_or_default(),
                });
            }
            _ => {}
        }
    }
    out
}

/// The section of the hypotheses: what is on record, above what only people can add.
pub(super) fn markdown(page: &mut Page<'_, '_>) {
    let found = told(&page.review.story);
    if found.is_empty() {
        page.line("On record: none.\n");
        return;
    }
    page.table(&["", "Hypothesis", "Outcome", "Opened by", "Entry"]);
    for h in &found {
        let outcome = match h.standing {
            Standing::Open => "open".to_owned(),
            standing => format!("{}: {}", standing.word(), page.say(&h.reason)),
        };
        let (text, by) = (page.say(&h.said()), page.say(&h.opened_by));
        page.row(&[&h.id, &text, &outcome, &by, &cite(&[h.seq])]);
    }
    page.line("");
    for h in found.iter().filter(|h| !h.evidence.is_empty()) {
        let mut lines = vec![format!("{}:", h.id)];
        for e in &h.evidence {
            let (text, by) = (page.say(&e.text), page.say(&e.by));
            lines.push(format!(
                "- {} {}, {}: {text}, {by} {}",
                utc(e.at),
                e.stance.word(),
                e.basis.word(),
                cite(&[e.seq])
            ));
        }
        lines.push(String::new());
        lines.iter().for_each(|l| page.line(l));
    }
}

/// Below the roles, where the lead passed.
pub(super) fn handoffs(page: &mut Page<'_, '_>) {
    let review = page.review;
    for one in passed(&review.story) {
        let (from, to) = (page.say(one.from), page.say(one.to));
        page.line(&format!("\n{to} took over from {from} at {} {}, having read:\n", utc(one.at), cite(&one.entries)));
        if !one.remark.is_empty() {
            let remark = page.say(one.remark);
            page.line(&format!("> {remark}  "));
        }
        for line in one.capsule {
            let line = page.say(line.trim_end());
            page.line(&format!("> {line}  "));
        }
    }
}

pub(super) fn hypotheses_json(story: &Story<'_>) -> Json {
    told(story)
        .iter()
        .map(|h| {
            let entries: Vec<u64> = std::iter::once(h.seq).chain(h.evidence.iter().map(|e| e.seq)).collect();
            json!({
                "id": h.id, "text": h.text, "standing": h.standing, "reason": h.reason, "opened_at": h.opened_at,
                "opened_by": h.opened_by, "closed_at": h.closed_at, "closed_by": h.closed_by,
                "evidence": h.evidence, "origin": h.origin, "entries": entries,
            })
        })
        .collect()
}

pub(super) fn handoffs_json(story: &Story<'_>) -> Json {
    let one = |p: &Passed<'_>| json!({ "at": p.at, "from": p.from, "to": p.to, "remark": p.remark, "capsule": p.capsule, "entries": p.entries });
    passed(story).iter().map(one).collect()
}
