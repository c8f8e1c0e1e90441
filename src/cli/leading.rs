//! What an incident's clocks say, in lines: phases, severities, what is due, who is called.

use super::say;
use crate::domain::Time;
use crate::domain::cadence::{Due, Word};
use crate::domain::escalation::Reached;
use crate::domain::headstart::Standing;
use crate::domain::phases::{self, PhaseState};
use crate::text;
use crate::wire::{HeadStartView, IncidentView, Mirror};
use std::time::Duration;

fn ms(ms: i64) -> String {
    text::duration(Duration::from_millis(ms.unsigned_abs()))
}

fn elapsed(view: &IncidentView) -> i64 {
    i64::try_from(view.elapsed_ms).unwrap_or(i64::MAX)
}

/// `update OVERDUE by 2m`, `first word due 02:19Z`.
pub fn due(due: &Due, now: Time) -> String {
    let what = due.what.title();
    let snoozed = if due.is_snoozed() { " (snoozed)" } else { "" };
    if due.at < now {
        format!("{what} OVERDUE by {}{snoozed}", text::duration(now.since(due.at)))
    } else {
        let day = if due.at.date() == now.date() { String::new() } else { format!("{} ", due.at.date()) };
        format!("{what} due {day}{}Z{snoozed}", due.at.hm())
    }
}

/// The review's day, where something else is due before: `review due 2026-12-01 02:14Z`.
pub fn review_due(view: &IncidentView, now: Time) -> Option<String> {
    let at = view.leading.review_due?;
    let first = view.leading.due.is_none_or(|d| d.what != Word::Review);
    first.then(|| due(&Due { what: Word::Review, at, promised: at }, now))
}

/// How far the ladder was climbed; nothing once somebody acknowledged.
pub fn escalation(view: &IncidentView) -> Option<String> {
    let i = &view.incident;
    if i.acknowledged_at.is_some() || !i.status.is_open() {
        return None;
    }
    let e = &i.clock.escalation;
    if e.ended.is_some() {
        return Some("NOBODY IS LEFT TO CALL: mayday contacts".into());
    }
    let last = e.called.last()?;
    let next = match &view.leading.next_level {
        Some(next) => match &next.level {
            Some((level, name)) => format!(", level {level} ({name}) at {}Z", next.at.hms()),
            None => format!(", then nobody is left, at {}Z", next.at.hms()),
        },
        None => String::new(),
    };
    let reached = view.leading.reached.last();
    let said = reached.map(|r| format!(", {}", r.said())).unwrap_or_default();
    let call = if reached.is_some_and(Reached::is_nobody) { ": CALL BY PHONE, mayday contacts" } else { "" };
    Some(format!("level {} ({}) due {}Z{said}{call}{next}", last.level, last.name, last.at.hms()))
}

/// Restores that began by themselves for it, a line each.
pub fn head_starts(view: &IncidentView, now: Time) -> Vec<String> {
    let of = |head: &HeadStartView| {
        let lost = head.data_as_of.map(|at| now.since(at));
        let rpo = match (lost, head.rpo_ms.map(Duration::from_millis)) {
            (Some(lost), Some(rpo)) if lost > rpo => format!(" (RPO {} EXCEEDED)", text::duration(rpo)),
            (_, Some(rpo)) => format!(" (RPO {})", text::duration(rpo)),
            _ => String::new(),
        };
        let price = lost.map(|l| format!(", loses {}{rpo}", text::duration(l))).unwrap_or_default();
        let why = if head.why.is_empty() { String::new() } else { format!(": {}", head.why) };
        let next = match (&head.run, head.standing) {
            (Some(run), Standing::Ready) => {
                let since = head.ready_at.map(|at| format!(", restored {} ago", text::duration(now.since(at))));
                let since = since.unwrap_or_default();
                format!("{price}{since}: mayday restore {b} --cut-over --run {run}, or --drop", b = head.backup)
            }
            (Some(run), Standing::UnderWay) => format!("{price} (run {run})"),
            (Some(run), _) => format!(" (run {run})"),
            (None, _) => String::new(),
        };
        format!("head start of {} {}{why}{next}", head.backup, head.standing.word())
    };
    view.head_starts.iter().map(of).collect()
}

/// The lines of `incident show`.
pub fn show(view: &IncidentView, picture: &Mirror) {
    let i = &view.incident;
    let t_ms = elapsed(view);
    let rows = phases::rows(&i.clock, &picture.head.severities, i.severity);
    for row in &rows {
        let planned = row.planned_ms.map_or_else(|| "–".into(), |p| ms(i64::try_from(p).unwrap_or(i64::MAX)));
        let actual = match (row.state, row.ended) {
            (_, Some(mark)) => format!("T+{} [{}]", ms(mark.t_ms), mark.seq),
            (PhaseState::Current, _) => format!("now, T+{}", ms(t_ms)),
            (PhaseState::PassedOver, _) => row.passed_over().into(),
            _ => String::new(),
        };
        let late = match row.late_ms(t_ms) {
            Some(late) if late > 0 => format!("  LATE by {}", ms(late)),
            _ => String::new(),
        };
        let again = if row.again { ", again" } else { "" };
        say(&format!("phase {:<18} by T+{planned:<8} {actual}{again}{late}", row.phase.title()));
    }
    if let Some(mark) = &i.clock.marks.reopened {
        say(&format!("reopened at T+{} [{}]: phases that were over by then stay so", ms(mark.t_ms), mark.seq));
    }
    let spent: Vec<String> =
        i.clock.severity_ms(i.severity, t_ms).iter().map(|(s, spent)| format!("{s} {}", ms(*spent))).collect();
    if !spent.is_empty() {
        say(&format!("in {}", spent.join(", ")));
    }
    if let Some(due) = &view.leading.due {
        say(&self::due(due, picture.at));
    }
    if let Some(said) = review_due(view, picture.at) {
        say(&said);
    }
    if let Some(said) = escalation(view) {
        say(&said);
    }
    for line in head_starts(view, picture.at) {
        say(&line);
    }
    for (name, call) in &i.clock.escalation.calls {
        let said = if call.answered { "answered" } else { "no answer" };
        say(&format!("called {}: {said} {}Z by {}", text::clean(name), call.at.hms(), call.by));
    }
}

/// The fields of `status` and `incident show` that scripts go by.
pub fn json(view: &IncidentView, picture: &Mirror) -> serde_json::Value {
    let i = &view.incident;
    let t_ms = elapsed(view);
    let rows = phases::rows(&i.clock, &picture.head.severities, i.severity);
    let phases: Vec<_> = rows
        .iter()
        .map(|r| {
            serde_json::json!({
                "name": r.phase.word(), "state": r.state, "planned_ms": r.planned_ms,
                "t_ms": r.ended.map(|m| m.t_ms), "ended_at": r.ended.map(|m| m.at),
                "late_ms": r.late_ms(t_ms).map(|ms| ms.max(0)), "again": r.again, "entries": r.ended.iter().map(|m| m.seq).collect::<Vec<_>>(),
            })
        })
        .collect();
    let due = view.leading.due.as_ref().map(|d| {
        serde_json::json!({
            "what": d.what, "at": d.at, "promised": d.promised, "snoozed": d.is_snoozed(),
            "overdue_ms": (picture.at > d.at).then(|| u64::try_from(picture.at.since(d.at).as_millis()).unwrap_or(u64::MAX)),
        })
    });
    serde_json::json!({
        "phase": phases::current(&rows).map(|r| r.phase.word()), "phases": phases,
        "severity_ms": i.clock.severity_ms(i.severity, t_ms), "due": due,
        "escalation": { "called": i.clock.escalation.called, "reached": view.leading.reached, "unanswered": i.clock.escalation.ended.is_some(), "next": view.leading.next_level },
        "head_starts": view.head_starts, "charged": view.leading.charged,
    })
}
