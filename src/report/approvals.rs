//! Second persons of an incident: who asked, who approved, how long that took, and where the glass was broken.

use serde_json::{Value as Json, json};

use super::cite::cite;
use super::downtime::{self, Interval};
use super::markdown::{Page, ms};
use super::measure::{Measure, Value};
use super::story::Story;
use super::timeline::utc;
use crate::domain::approval::{Approval, ApprovalState};
use crate::domain::event::{Entry, Event};
use crate::domain::state::State;

/// A request with the entries that tell of it.
struct Told {
    approval: Approval,
    entries: Vec<u64>,
}

/// The request that an entry is about.
fn about(entry: &Entry) -> Option<&str> {
    Some(match &entry.event {
        Event::ApprovalRequested(e) => &e.approval,
        Event::ApprovalGiven(e) => &e.approval,
        Event::ApprovalEnded(e) => &e.approval,
        Event::GlassBroken(e) => &e.approval,
        _ => return None,
    })
}

fn tell(story: &Story<'_>) -> Vec<Told> {
    let mut state = State::default();
    let mut told: Vec<Told> = Vec::new();
    for entry in story.entries.iter().filter(|e| story.is_of(e)) {
        if story.is_of_merge(entry) {
            state.apply(entry);
        }
        let Some(id) = about(entry) else { continue };
        state.apply(entry);
        let Some(approval) = state.approvals.get(id) else { continue };
        match told.iter_mut().find(|t| t.approval.id == id) {
            Some(one) => {
                one.approval = approval.clone();
                one.entries.push(entry.seq);
            }
            None => told.push(Told { approval: approval.clone(), entries: vec![entry.seq] }),
        }
    }
    let elsewhere = |a: &Approval| a.incident.as_deref() != Some(story.id.as_str());
    told.retain(|t| !state.approvals.get(&t.approval.id).is_some_and(elsewhere));
    told
}

/// Milliseconds that it waited, by the wall clock; nothing while it waits.
fn waited(a: &Approval) -> Option<i64> {
    Some(a.decided_at?.ms_since(a.requested_at).max(0))
}

/// How long second persons were waited for in all, where anybody was asked; two who wait at once count once.
pub(super) fn measure(story: &Story<'_>) -> Option<Measure> {
    let told = tell(story);
    let spans = told.iter().filter_map(|t| {
        let to = t.approval.decided_at?;
        let entries = t.entries.iter().copied().collect();
        Some(Interval { from: t.approval.requested_at, to: Some(to.max(t.approval.requested_at)), entries })
    });
    let joined = downtime::join(spans.collect());
    let (first, last) = (joined.first()?, joined.last()?);
    let ms = joined.iter().map(|i| i.ms(i.from)).sum();
    let mut m = Measure::new("approvals", "Time waited for second persons", Value::Ms(ms));
    (m.from, m.to) = (Some(first.from), last.to);
    m.entries = joined.iter().flat_map(|i| i.entries.iter().copied()).collect();
    Some(m)
}

/// Per request: its title, how long it waited and the entries that tell of it; broken glass first.
pub(super) fn waits(story: &Story<'_>) -> Vec<(String, Option<i64>, bool, Vec<u64>)> {
    let of = |t: &Told| {
        let broken = t.approval.state == ApprovalState::GlassBroken;
        (t.approval.title.clone(), waited(&t.approval), broken, t.entries.clone())
    };
    tell(story).iter().map(of).collect()
}

/// Below "Actions taken", where anybody was asked.
pub(super) fn markdown(page: &mut Page<'_, '_>) {
    let told = tell(&page.review.story);
    if told.is_empty() {
        return;
    }
    page.line("\n### Second persons\n");
    page.table(&["Run", "What", "Asked by", "At", "Outcome", "Waited", "From"]);
    for one in &told {
        let a = &one.approval;
        let by = a.decided_by.as_ref().map(|u| format!(" by {}", page.say(u))).unwrap_or_default();
        let note = if a.note.is_empty() { String::new() } else { format!(": {}", page.say(&a.note)) };
        let outcome = match a.state {
            ApprovalState::GlassBroken => format!("**GLASS BROKEN**{by}{note}"),
            state => format!("{}{by}{note}", state.word()),
        };
        let waited = waited(a).map_or_else(|| "still waiting".to_owned(), ms);
        let (id, title, who) = (page.say(&a.id), page.say(&a.title), page.say(&a.by.user));
        page.row(&[&id, &title, &who, &utc(a.requested_at), &outcome, &waited, &cite(&one.entries)]);
    }
}

pub(super) fn json(story: &Story<'_>) -> Vec<Json> {
    let of = |one: &Told| {
        let a = &one.approval;
        json!({
            "id": a.id, "title": a.title, "digest": a.digest, "words": a.words, "why": a.why, "reason": a.reason,
            "requested_by": a.by.user, "requested_at": a.requested_at, "state": a.state, "decided_by": a.decided_by,
            "decided_at": a.decided_at, "note": a.note, "waited_ms": waited(a),
            "glass_broken": a.state == ApprovalState::GlassBroken, "entries": one.entries,
        })
    };
    tell(story).iter().map(of).collect()
}
