//! How the incident was led: phases against their plan, where its onset comes from, who was called, what was put off.
//!
//! Phases come from the same fold as in the cockpit, so that the review and the screen cannot disagree.

use serde_json::{Value as Json, json};

use super::cite::cite;
use super::markdown::{Page, ms};
use super::measure::{Measure, Value, Verdict};
use super::story::{Mark, Story};
use super::timeline::utc;
use crate::domain::catalog::{Severity, SeverityFacts};
use crate::domain::clock::Ending;
use crate::domain::event::{ContactCalled, Entry, Event, IncidentEscalated, UpdateSnoozed};
use crate::domain::incident::{Incident, Status};
use crate::domain::message::Template;
use crate::domain::phases::{self, PhaseRow, PhaseState};
use crate::domain::state::State;
use crate::domain::{Actor, Time};

/// The incident as folded from the story's entries.
fn folded(story: &Story<'_>) -> Option<Incident> {
    let retimed = |e: &Entry| story.curation.entries.get(&e.seq).and_then(|a| a.happened_at);
    let mut state = State::default();
    for entry in story.entries {
        // Notes and steps of people move no clock; a long incident has very many of them.
        if matches!(entry.event, Event::NoteAdded(_) | Event::NoteImported(_) | Event::StepTaken(_)) {
            continue;
        }
        match retimed(entry).filter(|_| story.is_of(entry) && entry.seq != story.declared.seq) {
            Some(at) => state.apply(&Entry { at, ..entry.clone() }),
            None => state.apply(entry),
        }
    }
    state.incidents.remove(&story.id)
}

fn own<'a>(story: &Story<'a>) -> impl Iterator<Item = &'a Entry> {
    let id = story.id.clone();
    story.entries.iter().filter(move |e| e.incident.as_deref() == Some(id.as_str()))
}

fn rows(story: &Story<'_>, incident: &Incident) -> Vec<PhaseRow> {
    let catalog = story.catalog_at(story.declared.seq).map(|(_, c)| c.severities.clone()).unwrap_or_default();
    phases::rows(&incident.clock, &catalog, incident.severity)
}

/// T+ at which the record of the incident's own time ends.
fn end_ms(story: &Story<'_>) -> i64 {
    story.ms(story.declared, story.end())
}

/// The plan has any phase of any severity of the incident.
fn is_planned(rows: &[PhaseRow]) -> bool {
    rows.iter().any(|r| r.planned_ms.is_some())
}

/// One statement of when the trouble began.
struct Onset<'a> {
    mark: Mark,
    at: Time,
    /// Who said so; `None`: the probes.
    by: Option<&'a str>,
    why: &'a str,
}

fn onsets<'a>(story: &Story<'a>) -> Vec<Onset<'a>> {
    own(story)
        .filter_map(|e| {
            let mark = Mark { at: e.at, seq: e.seq };
            let by = Some(e.actor.user.as_str()).filter(|user| *user != Actor::engine().user);
            match &e.event {
                Event::IncidentDeclared(d) => Some(Onset { mark, at: d.onset?, by, why: "with the declaration" }),
                Event::IncidentOnset(o) => Some(Onset { mark, at: o.onset, by, why: &o.why }),
                _ => None,
            }
        })
        .collect()
}

/// What a reader must know about where the onset comes from; empty when nothing was set by hand.
pub(super) fn onset_note(story: &Story<'_>) -> String {
    let all = onsets(story);
    let Some(last) = all.last() else { return String::new() };
    let Some(by) = last.by.filter(|_| last.mark.seq != story.declared.seq) else { return String::new() };
    let before = match all.len().checked_sub(2).and_then(|i| all.get(i)) {
        Some(before) => format!("; in place of {} (entry {})", utc(before.at), before.mark.seq),
        None => String::new(),
    };
    format!("set by {by}: {}{before}", last.why)
}

/// The first word and the message that it is over, against what is promised for them.
pub(super) fn words(out: &mut Vec<Measure>, story: &Story<'_>) {
    let facts = |severity: Severity| -> Option<&SeverityFacts> {
        story.catalog_at(story.declared.seq)?.1.severities.get(&severity)
    };
    let accepted = |wanted: &dyn Fn(Template) -> bool, after: u64| {
        let marks = story.messages.iter().filter(|m| wanted(m.template)).filter_map(|m| m.accepted());
        marks.filter(|m| m.seq > after).min_by_key(|m| m.seq)
    };
    let mut word = |name: &str, label: &str, from: Mark, to: Option<Mark>, limit: u64| match to {
        Some(to) => {
            let took = to.at.ms_since(from.at);
            let mut m = Measure::new(name, label, Value::Ms(took));
            m.verdict = Verdict::of(took, Some(limit), true);
            (m.from, m.to) = (Some(from.at), Some(to.at));
            m.entries = vec![from.seq, to.seq];
            out.push(m);
        }
        None => out.push(Measure::missing(name, label, "no channel accepted one")),
    };
    let first = story.severities.first().map(|(_, s)| *s);
    if let Some(limit) = first.and_then(facts).and_then(|f| f.first_word_within_ms) {
        let sent = accepted(&|t| t.is_word(), story.declared.seq);
        word("first_word", "Declaration to the first word", story.declared, sent, limit);
    }
    let last = story.severities.last().map(|(_, s)| *s);
    if let (Some(limit), Some(resolved)) = (last.and_then(facts).and_then(|f| f.resolution_within_ms), story.resolved())
    {
        let sent = accepted(&|t| t == Template::Resolution, resolved.seq);
        word("resolution_word", "Resolution to the message of it", resolved, sent, limit);
    }
}

fn levels<'a>(story: &Story<'a>) -> Vec<(Mark, &'a IncidentEscalated)> {
    own(story)
        .filter_map(|e| match &e.event {
            Event::IncidentEscalated(l) => Some((Mark { at: e.at, seq: e.seq }, l)),
            _ => None,
        })
        .collect()
}

fn calls<'a>(story: &Story<'a>) -> Vec<(Mark, &'a str, &'a ContactCalled)> {
    own(story)
        .filter_map(|e| match &e.event {
            Event::ContactCalled(c) => Some((Mark { at: e.at, seq: e.seq }, e.actor.user.as_str(), c)),
            _ => None,
        })
        .collect()
}

fn snoozes<'a>(story: &Story<'a>) -> Vec<(Mark, &'a str, &'a UpdateSnoozed)> {
    own(story)
        .filter_map(|e| match &e.event {
            Event::UpdateSnoozed(s) => Some((Mark { at: e.at, seq: e.seq }, e.actor.user.as_str(), s)),
            _ => None,
        })
        .collect()
}

fn ending(story: &Story<'_>) -> Option<String> {
    story.ending.as_ref().map(|e| match e {
        Ending::FalseAlarm => "closed as a false alarm".to_owned(),
        Ending::Merged { into } => format!("merged into {into}"),
    })
}

/// Why it has no resolution.
pub(super) fn unresolved(story: &Story<'_>) -> Option<String> {
    ending(story).map(|said| format!("it was {said}"))
}

/// Each reopening, with the status before it and since when it had that.
fn reopenings<'a>(story: &'a Story<'_>) -> impl Iterator<Item = ((Mark, Status), Mark)> + use<'a> {
    story.reopened.iter().filter_map(|mark| {
        let before = story.statuses.iter().rev().find(|(m, ..)| m.seq < mark.seq)?;
        Some(((before.0, before.1), *mark))
    })
}

/// Below the timing.
pub(super) fn phases_markdown(page: &mut Page<'_, '_>) {
    let story = &page.review.story;
    let Some(incident) = folded(story) else { return };
    let all = rows(story, &incident);
    if is_planned(&all) {
        page.line("");
        page.table(&["Phase", "Until", "Planned (T+)", "Actual (T+)", "", "From"]);
        for row in &all {
            let actual = match (row.state, row.ended) {
                (_, Some(mark)) if row.again => format!("{}, again", ms(mark.t_ms)),
                (_, Some(mark)) => ms(mark.t_ms),
                (PhaseState::PassedOver, _) if story.ending.is_some() => "not reached".into(),
                (PhaseState::PassedOver, _) if row.owed => "nobody acknowledged it".into(),
                (PhaseState::PassedOver, _) => "not recorded: passed over".into(),
                (PhaseState::Current, _) if row.again => "again, and not over".into(),
                (PhaseState::Current, _) => "not over".into(),
                _ => "not begun".into(),
            };
            let planned = row.planned_ms.map_or_else(String::new, |p| ms(i64::try_from(p).unwrap_or(i64::MAX)));
            let late = match row.late_ms(end_ms(story)).filter(|_| row.ended.is_some() || row.owed) {
                Some(late) if late > 0 && row.owed => format!("**missed** by {}", ms(late)),
                Some(late) if late > 0 => format!("**late** by {}", ms(late)),
                Some(_) if row.owed => String::new(),
                Some(_) => "in time".into(),
                None => String::new(),
            };
            let entries: Vec<u64> = row.ended.iter().map(|m| m.seq).collect();
            page.row(&[row.phase.title(), row.phase.ends(), &planned, &actual, &late, &cite(&entries)]);
        }
    }
    for (before, mark) in reopenings(story) {
        let line = format!(
            "\nReopened at T+{} {}, {} since T+{} {}: phases that were over by then stay so; the later ones are gone \
             through again.",
            ms(story.ms(story.declared, mark)),
            cite(&[mark.seq]),
            before.1.word(),
            ms(story.ms(story.declared, before.0)),
            cite(&[before.0.seq])
        );
        page.line(&line);
    }
    if let Some(said) = ending(story) {
        let entries: Vec<u64> = incident.clock.marks.closed.iter().map(|m| m.seq).collect();
        let line = format!("\nIt was not resolved but {} {}.", page.say(&said), cite(&entries));
        page.line(&line);
    }
    for id in &incident.clock.absorbed {
        let seq: Vec<u64> = own(story)
            .filter(|e| matches!(&e.event, Event::IncidentAbsorbed(a) if a.incident == *id))
            .map(|e| e.seq)
            .collect();
        let line = format!("\n{} was merged into it {}.", page.say(id), cite(&seq));
        page.line(&line);
    }
}

/// Below the communication: who was called, and deadlines that were moved.
pub(super) fn markdown(page: &mut Page<'_, '_>) {
    let story = &page.review.story;
    let snoozed = snoozes(story);
    if !snoozed.is_empty() {
        page.line("\nDeadlines are counted without the snoozes:\n");
        page.table(&["Snoozed", "By", "Due", "Until", "Reason", "From"]);
        for (mark, by, s) in snoozed {
            let (by, reason) = (page.say(by), page.say(&s.reason));
            page.row(&[&utc(mark.at), &by, &utc(s.due), &utc(s.until), &reason, &cite(&[mark.seq])]);
        }
    }
    let called = levels(story);
    let phoned = calls(story);
    if called.is_empty() && phoned.is_empty() {
        return;
    }
    page.line("\n### Escalation\n");
    page.table(&["Time (UTC)", "Level", "Who", "Via", "Why", "From"]);
    let mut rows: Vec<(u64, [String; 6])> = Vec::new();
    for (mark, l) in called {
        let level = format!("{}: {}", l.level, page.say(&l.name));
        let via = if l.channels.is_empty() { "no channel".into() } else { page.say(&l.channels.join(", ")) };
        let who = page.say(&l.contacts.join(", "));
        rows.push((mark.seq, [utc(mark.at), level, who, via, page.say(&l.why), cite(&[mark.seq])]));
    }
    for (mark, by, c) in phoned {
        let said = if c.answered { "answered" } else { "no answer" };
        let note = if c.note.is_empty() { said.to_owned() } else { format!("{said}: {}", page.say(&c.note)) };
        let via = format!("phone, by {}", page.say(by));
        rows.push((mark.seq, [utc(mark.at), String::new(), page.say(&c.contact), via, note, cite(&[mark.seq])]));
    }
    for e in own(story) {
        if let Event::IncidentUnanswered(u) = &e.event {
            let end = ["end", "nobody is left to call", ""].map(str::to_owned);
            let [level, who, via] = end;
            rows.push((e.seq, [utc(e.at), level, who, via, page.say(&u.why), cite(&[e.seq])]));
        }
    }
    rows.sort_by_key(|(seq, _)| *seq);
    for (_, cells) in rows {
        page.row(&cells.each_ref().map(String::as_str));
    }
}

/// Adds its fields to the document.
pub(super) fn json(story: &Story<'_>, document: &mut Json) {
    let (Some(incident), Some(fields)) = (folded(story), document.as_object_mut()) else { return };
    let phases: Vec<Json> = rows(story, &incident)
        .iter()
        .map(|r| {
            let late = r.late_ms(end_ms(story)).filter(|_| r.ended.is_some() || r.owed);
            json!({
                "name": r.phase.word(), "state": r.state, "planned_ms": r.planned_ms,
                "ended_at": r.ended.map(|m| m.at), "t_ms": r.ended.map(|m| m.t_ms),
                "severity": r.ended.map(|_| r.severity.name()), "late_ms": late.map(|ms| ms.max(0)), "again": r.again,
                "entries": r.ended.iter().map(|m| m.seq).collect::<Vec<_>>(),
            })
        })
        .collect();
    fields.insert("phases".into(), phases.into());
    let reopened: Vec<Json> = reopenings(story)
        .map(|((since, before), m)| {
            json!({
                "at": m.at, "t_ms": story.ms(story.declared, m), "status_before": before.word(), "since": since.at,
                "entries": [since.seq, m.seq],
            })
        })
        .collect();
    fields.insert("reopened".into(), reopened.into());
    let last = onsets(story).len().saturating_sub(1);
    let onsets: Vec<Json> = onsets(story)
        .iter()
        .enumerate()
        .map(|(i, o)| json!({ "at": o.at, "by": o.by, "why": o.why, "superseded": i != last, "entries": [o.mark.seq] }))
        .collect();
    fields.insert("onsets".into(), onsets.into());
    let levels: Vec<Json> = levels(story)
        .iter()
        .map(|(m, l)| {
            json!({
                "at": m.at, "level": l.level, "name": l.name, "contacts": l.contacts, "channels": l.channels,
                "message": l.message, "why": l.why, "entries": [m.seq],
            })
        })
        .collect();
    fields.insert("escalation".into(), levels.into());
    let calls: Vec<Json> = calls(story)
        .iter()
        .map(|(m, by, c)| {
            json!({ "at": m.at, "by": by, "contact": c.contact, "answered": c.answered, "note": c.note, "entries": [m.seq] })
        })
        .collect();
    fields.insert("calls".into(), calls.into());
    let snoozes: Vec<Json> = snoozes(story)
        .iter()
        .map(|(m, by, s)| {
            json!({ "at": m.at, "by": by, "due": s.due, "until": s.until, "reason": s.reason, "entries": [m.seq] })
        })
        .collect();
    fields.insert("snoozes".into(), snoozes.into());
    fields.insert("ending".into(), json!(incident.clock.ending));
    fields.insert("merged".into(), json!(incident.clock.absorbed));
}
