//! `mayday status`, `mayday objectives`, `mayday engine status`: everything at once, for people and scripts.

use std::time::Duration;

use super::exit::Failure;
use super::{Session, guard, print, say};
use crate::domain::Time;
use crate::domain::health::Health;
use crate::text;
use crate::wire::{Answer, Ask, EngineStatus, Mirror, Recording, ServiceView};

/// Incidents that are over and still owe something, told at the most.
const OWED: usize = 3;

/// `mayday status`. The exit code is the worst state: 0 up, 1 degraded, 2 down, 3 unknown.
pub async fn status(session: &mut Session) -> Result<u8, Failure> {
    let mut picture = session.picture().await?;
    // An engine that was started this moment has not looked yet; what it says then is "unknown" and helps nobody.
    for _ in 0..50 {
        let waiting = picture.services.values().any(|s| !s.checks.is_empty() && s.observed_at.is_none());
        if !waiting {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        picture = session.picture().await?;
    }
    let Answer::Status(engine) = session.ask(Ask::Status).await? else {
        return Err(Failure::failed("the engine gave no status"));
    };
    let worst = worst(&picture);
    if session.json {
        print(&as_json(&picture, Some(&engine), worst))?;
    } else {
        for line in as_text(&picture, Some(&engine), worst, super::columns()) {
            say(&line);
        }
    }
    Ok(code(worst))
}

pub(super) fn worst(picture: &Mirror) -> Health {
    if picture.services.is_empty() {
        return Health::Unknown;
    }
    let worst = picture.services.values().map(effective).fold(Health::Paused, Health::worse);
    if worst == Health::Paused { Health::Up } else { worst }
}

/// A state that stands on no recent result is not known.
fn effective(service: &ServiceView) -> Health {
    match service.state {
        Health::Paused => Health::Paused,
        _ if service.stale => Health::Unknown,
        state => state,
    }
}

fn code(worst: Health) -> u8 {
    match worst {
        Health::Up | Health::Paused => 0,
        Health::Degraded => 1,
        Health::Down => 2,
        Health::Unknown => 3,
    }
}

/// Absent rather than 1970.
fn known(at: Time) -> Option<Time> {
    (at != Time::default()).then_some(at)
}

/// For scripts; a picture of the past has no engine.
pub(super) fn as_json(picture: &Mirror, engine: Option<&EngineStatus>, worst: Health) -> serde_json::Value {
    let services: Vec<_> = picture
        .services
        .values()
        .map(|s| {
            serde_json::json!({
                "name": s.name, "state": effective(s), "since": known(s.since), "because": s.because, "detail": s.detail,
                "tier": s.tier, "down_since": s.down_since, "rto_ms": s.rto_ms, "stale": s.stale,
                "observed_at": s.observed_at, "held_by": s.held_by, "maintenance": s.maintenance, "month": s.month,
                "guarded": picture.head.guard.guards.said(&s.name),
            })
        })
        .collect();
    let backups: Vec<_> = picture
        .backups
        .values()
        .map(|b| {
            serde_json::json!({
                "name": b.name, "state": b.state,
                "age_s": b.newest.as_ref().map(|c| picture.at.since(c.as_of()).as_secs()),
                "size": b.newest.as_ref().map(|c| c.size),
                "newest": b.newest.as_ref().map(|c| c.id.clone()),
                "count": b.count, "rpo_ms": b.rpo_ms, "next_due": b.next_due, "detail": b.detail, "problem": b.problem,
            })
        })
        .collect();
    let incidents: Vec<_> = picture
        .open_incidents()
        .into_iter()
        .map(|v| {
            let i = &v.incident;
            serde_json::json!({
                "id": i.id, "severity": i.severity, "status": i.status, "title": i.title, "started_at": i.declared_at,
                "acknowledged_by": i.acknowledged_by, "commander": i.commander(), "update_due": v.update_due,
                "elapsed_ms": v.elapsed_ms, "leading": super::leading::json(v, picture),
            })
        })
        .collect();
    let recovery = picture.open_recovery().map(|v| {
        let r = &v.recovery;
        serde_json::json!({
            "id": r.id(), "name": r.plan.name, "state": r.state, "step": r.step, "steps": r.plan.steps.len(),
            "wants_person": r.wants_person(), "halt": r.halt, "waits": v.waits,
        })
    });
    let playbook = picture.active_playbook().map(|v| {
        let p = &v.play;
        serde_json::json!({
            "id": p.id, "name": p.text.name, "at": p.at, "place": p.place(), "waits": v.waits, "box_ends": p.box_ends(),
            "changed": p.changed.is_some(),
        })
    });
    serde_json::json!({
        "system": picture.head.system, "state": worst, "at": picture.at, "services": services, "backups": backups,
        "incidents": incidents, "recovery": recovery, "playbook": playbook,
        "suggested_playbooks": picture.head.suggested_playbooks, "maintenance": picture.head.maintenance,
        "followups": {
            "open": picture.head.followups.iter().filter(|f| f.standing.is_open()).count(),
            "overdue": picture.head.followups.iter().filter(|f| f.is_overdue(picture.at)).count(),
        },
        "approvals": guard::waiting_json(&picture.head.guard), "guards": guard::guards_json(&picture.head.guard),
        "config_faults": picture.head.config_faults, "warnings": picture.head.warnings,
        "engine": engine.map(|engine| serde_json::json!({
            "pid": engine.pid, "version": engine.version, "recording": engine.recording, "seq": engine.seq,
            "head": engine.head,
        })),
    })
}

/// Columns of a list's names where all are short.
const NAMES: usize = 24;

/// A name in its column. One that is too long loses its middle, because names of a family differ at their ends.
pub(super) fn name_in(name: &str, columns: usize) -> String {
    text::fit(&text::fit_middle(name, columns), columns)
}

/// Columns for names in lines of which so many are for what stands beside them.
pub(super) fn names<'a>(names: impl Iterator<Item = &'a String>, beside: usize, columns: Option<usize>) -> usize {
    text::width::column(names.map(String::as_str), NAMES, columns.map(|c| c.saturating_sub(beside)))
}

/// For people, on a terminal of so many columns; elsewhere nothing is cut.
pub(super) fn as_text(
    picture: &Mirror,
    engine: Option<&EngineStatus>,
    worst: Health,
    columns: Option<usize>,
) -> Vec<String> {
    let now = picture.at;
    let head = &picture.head;
    let name = if head.system.is_empty() { "(no configuration)" } else { &head.system };
    let mut out = vec![format!("{name} {}: {} at {now}", head.environment, worst.word().to_uppercase())];
    out.extend(engine.and_then(|engine| recording_line(&engine.recording)));
    out.extend(head.config_faults.iter().map(|f| format!("configuration NOT in force: {f}")));
    out.extend(head.warnings.iter().map(|w| format!("warning: {w}")));
    for view in picture.open_incidents() {
        let i = &view.incident;
        let acked = if i.acknowledged_at.is_some() { "" } else { "  NOT ACKNOWLEDGED" };
        let called = super::leading::escalation(view).map(|said| format!("  {said}")).unwrap_or_default();
        let due = match (&view.leading.due, view.update_due) {
            (Some(due), _) => format!("  {}", super::leading::due(due, now)),
            // An engine of an earlier version.
            (None, Some(due)) if due < now => format!("  update OVERDUE by {}", text::duration(now.since(due))),
            (None, Some(due)) => format!("  update due {}Z", due.hm()),
            (None, None) => String::new(),
        };
        let clock = text::clock(Duration::from_millis(view.elapsed_ms));
        out.push(format!("{} {} {}  T+{clock}  {}{acked}{called}{due}", i.severity, i.id, i.status.word(), i.title));
        out.extend(super::leading::head_starts(view, now).into_iter().map(|said| format!("  {said}")));
    }
    out.extend(owed(picture));
    out.extend(to_be_done(picture));
    if let Some(view) = picture.open_recovery() {
        let r = &view.recovery;
        let answer = if r.wants_person() { "  WAITS FOR A PERSON: mayday recover status" } else { "" };
        let halt = r.halt.as_ref().map(|h| format!("  STOPPED, {}: {}", h.why.word(), h.detail)).unwrap_or_default();
        out.push(format!("recovery {} {} at {}{halt}{answer}", r.plan.name, r.state.word(), r.place()));
    }
    out.extend(head.maintenance.iter().map(|w| w.said()));
    out.extend(guard::waiting_lines(&head.guard));
    out.extend(guard::guard_lines(&head.guard));
    if let Some(view) = picture.active_playbook() {
        let p = &view.play;
        let over = match p.box_ends() {
            Some(end) if end < now => format!("  OVER its box by {}", text::duration(now.since(end))),
            _ => String::new(),
        };
        let waits = if view.waits.is_empty() { String::new() } else { format!(": {}", view.waits) };
        out.push(format!("playbook {} at {}{over}{waits}", p.text.name, p.place()));
    } else {
        for s in &head.suggested_playbooks {
            out.push(format!("playbook {} fits: {} (mayday playbook start {})", s.name, s.why, s.name));
        }
    }
    if picture.services.is_empty() {
        out.push("no services are configured".into());
    }
    let mut services: Vec<_> = picture.services.values().collect();
    services.sort_by(|a, b| effective(a).cmp(&effective(b)).then(a.tier.cmp(&b.tier)).then(a.name.cmp(&b.name)));
    let wide = names(picture.services.keys(), 22, columns);
    for s in services {
        out.push(service_line(s, wide, now));
    }
    let wide = names(picture.backups.keys(), 30, columns);
    for b in picture.backups.values() {
        let age = b.newest.as_ref().map(|c| text::duration(now.since(c.as_of()))).unwrap_or_else(|| "–".into());
        out.push(format!("{:<9} backup {} age {age:<8} {}", b.state.word(), name_in(&b.name, wide), b.detail));
    }
    out
}

/// What is still owed for incidents that are over, once it is late: the newest few, and how many more.
fn owed(picture: &Mirror) -> Vec<String> {
    let is_late = |at: Option<Time>| at.is_some_and(|at| at < picture.at);
    let late = |v: &&crate::wire::IncidentView| is_late(v.leading.due.map(|d| d.at)) || is_late(v.leading.review_due);
    let mut all: Vec<_> = picture.incidents.values().filter(|v| !v.incident.status.is_open()).filter(late).collect();
    all.sort_by_key(|v| std::cmp::Reverse(v.incident.declared_seq));
    let line = |view: &&crate::wire::IncidentView| {
        let i = &view.incident;
        let due = view.leading.due.as_ref().map(|d| super::leading::due(d, picture.at));
        let all: Vec<String> = due.into_iter().chain(super::leading::review_due(view, picture.at)).collect();
        format!("{} {} {}  {}", i.severity, i.id, i.status.word(), all.join("; "))
    };
    let mut out: Vec<String> = all.iter().take(OWED).map(line).collect();
    if all.len() > OWED {
        out.push(format!("{} more with an overdue message or review: mayday incident list", all.len() - OWED));
    }
    out
}

/// Follow-ups of incidents that are over, while nothing burns or one of them is late.
fn to_be_done(picture: &Mirror) -> Option<String> {
    let open: Vec<_> = picture.head.followups.iter().filter(|f| f.standing.is_open()).collect();
    let late = open.iter().filter(|f| f.is_overdue(picture.at)).count();
    if open.is_empty() || late == 0 && !picture.open_incidents().is_empty() {
        return None;
    }
    let said = if late > 0 { format!(", {late} OVERDUE") } else { String::new() };
    Some(format!("{}{said}: mayday followups", text::plural(open.len(), "follow-up")))
}

fn service_line(s: &ServiceView, wide: usize, now: Time) -> String {
    let state = effective(s);
    let since = if s.since == Time::default() { "–".into() } else { text::duration(now.since(s.since)) };
    let nobody = s.checks.is_empty() || s.observed_at.is_none();
    let detail = match s.detail.as_str() {
        "" if s.checks.is_empty() => "no check is configured",
        "" if nobody && s.state == Health::Unknown => "not looked at yet",
        detail => detail,
    };
    let because = s.because.as_ref().map(|b| format!(" because of {b}")).unwrap_or_default();
    let rto = match (s.down_since, s.rto_ms) {
        (Some(since), Some(rto)) => {
            let (down, rto) = (now.since(since), Duration::from_millis(rto));
            if down > rto {
                format!("  RTO {} OVER by {}", text::duration(rto), text::duration(down - rto))
            } else {
                format!("  RTO {} left {}", text::duration(rto), text::duration(rto - down))
            }
        }
        _ => String::new(),
    };
    let stale = if s.stale { "  (stale)" } else { "" };
    let name = name_in(&s.name, wide);
    format!("{:<9} {name} T{} {since:<8}{rto}{because}{stale}  {detail}", state.word(), s.tier)
}

/// What to say about recording when it is not as it should be.
pub fn recording_line(recording: &Recording) -> Option<String> {
    match recording {
        Recording::On => None,
        Recording::Reserve { left } => {
            Some(format!("DISK FULL: the journal writes into its reserve, {} left", text::size(*left)))
        }
        Recording::Off { since, why, kept } => {
            Some(format!("NOTHING IS BEING RECORDED since {since}: {why}; {kept} entries are kept in memory"))
        }
    }
}

/// `mayday objectives`: what is promised, what is left of it, per service and per backup.
pub async fn objectives(session: &mut Session) -> Result<u8, Failure> {
    let picture = session.picture().await?;
    let now = picture.at;
    if session.json {
        let services: Vec<_> = picture
            .services
            .values()
            .map(|s| {
                let down_ms = s.down_since.map(|at| u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX));
                serde_json::json!({
                    "name": s.name, "tier": s.tier, "impact": s.impact, "rto_ms": s.rto_ms, "down_ms": down_ms, "month": s.month,
                })
            })
            .collect();
        let backups: Vec<_> = picture
            .backups
            .values()
            .map(|b| {
                let age_s = b.newest.as_ref().map(|c| now.since(c.as_of()).as_secs());
                serde_json::json!({ "name": b.name, "service": b.service, "rpo_ms": b.rpo_ms, "age_s": age_s, "state": b.state })
            })
            .collect();
        print(&serde_json::json!({
            "at": now, "services": services, "backups": backups, "maintenance": picture.head.maintenance,
        }))?;
        return Ok(0);
    }
    let ms = |ms: u64| text::duration(Duration::from_millis(ms));
    let (wide, head) = (names(picture.services.keys(), 51, super::columns()), "service");
    say(&format!("{head:<wide$} {:<4} {:>8} {:>10} {:>9}  {}", "tier", "RTO", "this month", "coverage", "budget left"));
    let mut services: Vec<_> = picture.services.values().collect();
    services.sort_by(|a, b| a.tier.cmp(&b.tier).then(a.name.cmp(&b.name)));
    for s in services {
        let (share, coverage, budget) = match &s.month {
            Some(m) => {
                let left = text::duration(Duration::from_secs(m.budget_left_s.unsigned_abs()));
                let left = if m.budget_left_s < 0 { format!("OVER by {left}") } else { left };
                let share = m.availability.map_or_else(|| "not known".into(), |a| format!("{a} %"));
                (share, format!("{} %", m.coverage), format!("{left} (target {} %)", m.target))
            }
            None => ("not known".to_owned(), "–".into(), "–".into()),
        };
        let rto = s.rto_ms.map_or_else(|| "–".to_owned(), ms);
        let down = match (s.down_since, s.rto_ms) {
            (Some(at), rto) => {
                let lasted = now.since(at);
                let over = rto.is_some_and(|r| lasted > Duration::from_millis(r));
                format!("  DOWN {}{}", text::duration(lasted), if over { ", RTO OVER" } else { "" })
            }
            _ => String::new(),
        };
        let name = name_in(&s.name, wide);
        say(&format!("{name} T{:<3} {rto:>8} {share:>10} {coverage:>9}  {budget}{down}", s.tier));
    }
    let (wide, head) = (names(picture.backups.keys(), 28, super::columns()), "backup");
    if !picture.backups.is_empty() {
        say("");
        say(&format!("{head:<wide$} {:>8} {:>8}  {}", "RPO", "age", "state"));
    }
    for b in picture.backups.values() {
        let age = b.newest.as_ref().map_or_else(|| "–".to_owned(), |c| text::duration(now.since(c.taken_at)));
        let rpo = b.rpo_ms.map_or_else(|| "–".to_owned(), ms);
        say(&format!("{} {rpo:>8} {age:>8}  {}", name_in(&b.name, wide), b.state.word()));
    }
    picture.head.maintenance.iter().for_each(|w| say(&w.said()));
    Ok(0)
}

/// `mayday engine status`.
pub async fn engine(session: &mut Session) -> Result<u8, Failure> {
    let Answer::Status(s) = session.ask(Ask::Status).await? else {
        return Err(Failure::failed("the engine gave no status"));
    };
    if session.json {
        print(&s)?;
        return Ok(0);
    }
    say(&format!("engine {} runs as process {} since {}", s.version, s.pid, s.started_at));
    say(&format!("state     {}", s.state_dir));
    say(&format!("config    {}", if s.config.is_empty() { "none" } else { &s.config }));
    say(&format!("watching  {}, {}", text::plural(s.checks, "check"), text::plural(s.viewers, "viewer")));
    say(&format!("journal   {} entries, head {}", s.seq, s.head));
    say(&recording_line(&s.recording).unwrap_or_else(|| "recording".into()));
    Ok(0)
}
