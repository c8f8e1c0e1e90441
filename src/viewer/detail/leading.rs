//! What is late at a glance: the phase, the next word, the ladder, what runs. Below it the whole of each.

use std::time::Duration;

use super::{Lines, Page};
use crate::domain::authority;
use crate::domain::cadence::Word;
use crate::domain::headstart::Standing;
use crate::domain::message::{Delivery, Message, Template};
use crate::domain::phases::{self, PhaseRow, PhaseState};
use crate::domain::playbook::NOBODY;
use crate::domain::run::RunState;
use crate::text;
use crate::viewer::app::App;
use crate::viewer::header;
use crate::viewer::theme::Role;
use crate::wire::{HeadStartView, IncidentView};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// How long something lasts, in the header's coarse steps; its `now` is a moment, and not a while.
fn coarse(d: Duration) -> String {
    if d < Duration::from_secs(10) { "under 10s".to_owned() } else { header::coarse(d) }
}

fn t_ms(app: &App, view: &IncidentView) -> i64 {
    i64::try_from(app.watched.elapsed(view).as_millis()).unwrap_or(i64::MAX)
}

/// The few lines of the pane. What runs is told where there is room for it (`whole`): beside the pane stand the runs.
pub fn glance(app: &App, view: &IncidentView, columns: usize, whole: bool) -> Lines {
    let mut page = Page::new(columns);
    let i = &view.incident;
    if i.status.is_open() {
        phase(app, view, &mut page);
    }
    due(app, view, &mut page);
    ladder(app, view, &mut page);
    head_starts(app, view, &mut page, whole);
    if i.status.is_open() && whole {
        running(app, view, &mut page);
    }
    page.lines
}

/// It was over before, and the incident was reopened.
fn again(row: &PhaseRow) -> &'static str {
    if row.again { " again" } else { "" }
}

fn phase(app: &App, view: &IncidentView, page: &mut Page) {
    let i = &view.incident;
    let rows = phases::rows(&i.clock, &app.mirror().head.severities, i.severity);
    let Some(row) = phases::current(&rows) else { return };
    let Some(planned) = row.planned_ms else { return };
    let until = format!("until {}{}", row.phase.ends(), again(row));
    page.push(match row.late_ms(t_ms(app, view)) {
        Some(late) if late > 0 => vec![
            (Role::Label, "phase ".into()),
            (Role::DueOver, format!(" {} LATE {} ", row.phase.title(), coarse(ms(late.unsigned_abs())))),
            (Role::Dim, format!(" {until}, by T+{}", text::duration(ms(planned)))),
        ],
        late => vec![
            (Role::Label, "phase ".into()),
            (Role::Text, row.phase.title().to_owned()),
            (Role::Due, format!("  {} left", coarse(ms(late.unwrap_or(0).unsigned_abs())))),
            (Role::Dim, format!("  {until}, by T+{}", text::duration(ms(planned)))),
        ],
    });
}

/// What is due to those who wait, and the draft of it.
fn due(app: &App, view: &IncidentView, page: &mut Page) {
    let now = app.watched.engine_now();
    let Some(due) = &view.leading.due else {
        // An engine of an earlier version.
        if let Some(at) = view.update_due {
            page.push(vec![if at > now {
                (Role::Text, format!("next update due {} (in {})", app.look.hm(at), coarse(at.since(now))))
            } else {
                (Role::DueOver, format!(" update overdue since {} ", app.look.hm(at)))
            }]);
        }
        return;
    };
    let what = due.what.title();
    let mut line = vec![if due.at > now {
        let next = if due.what == Word::Update { "next " } else { "" };
        (Role::Text, format!("{next}{what} due {} (in {})", app.look.hm(due.at), coarse(due.at.since(now))))
    } else {
        (Role::DueOver, format!(" {what} overdue since {} ", app.look.hm(due.at)))
    }];
    if due.is_snoozed() {
        line.push((Role::Unsure, format!("  snoozed from {}", app.look.hm(due.promised))));
    }
    if due.what.template().is_some() && (view.leading.draft.is_some() || due.at <= now) {
        let said = if view.leading.draft.is_some() { "  draft ready: " } else { "  send it: " };
        line.extend([(Role::Text, said.into()), (Role::Key, "m".into())]);
    }
    page.push(line);
    if let Some(template) = due.what.template() {
        tried(app, view, template, page);
    }
}

/// What became of the last message of this kind, while nobody has accepted it: it is not to be written twice, nor to be
/// thought of as sent.
fn tried(app: &App, view: &IncidentView, template: Template, page: &mut Page) {
    let of = |m: &&Message| m.template == template && m.incident.as_deref() == Some(view.incident.id.as_str());
    let Some(last) = app.mirror().messages.values().filter(of).max_by_key(|m| m.queued_at) else { return };
    if last.channels.values().any(|c| c.state == Delivery::Accepted) {
        return;
    }
    let channels = last.channels.keys().cloned().collect::<Vec<_>>().join(", ");
    let at = app.look.hms(last.queued_at);
    page.push(match last.is_done() {
        true => vec![
            (Role::DueOver, " REACHED NOBODY ".into()),
            (Role::Text, format!("  sent {at}, refused by {channels}")),
        ],
        false => {
            vec![(Role::Unsure, format!("sent {at}, not accepted yet by {channels}"))]
        }
    });
}

fn ladder(app: &App, view: &IncidentView, page: &mut Page) {
    let i = &view.incident;
    if i.acknowledged_at.is_some() || !i.status.is_open() {
        return;
    }
    let e = &i.clock.escalation;
    if e.ended.is_some() {
        page.push(vec![
            (Role::DueOver, " NOBODY IS LEFT TO CALL ".into()),
            (Role::Text, "  whom to call by phone: ".into()),
            (Role::Key, "@".into()),
        ]);
        return;
    }
    let Some(last) = e.called.last() else { return };
    let mut line = vec![(Role::Unsure, format!("level {} {} {}", last.level, last.name, app.look.hm(last.at)))];
    if let Some(reached) = view.leading.reached.last() {
        let role = if reached.is_nobody() { Role::DueOver } else { Role::Text };
        line.extend([(Role::Text, " ".into()), (role, format!(" {} ", text::clean(&reached.said())))]);
    }
    line.extend([(Role::Text, " ".into()), (Role::Key, "@".into())]);
    if let Some(next) = &view.leading.next_level {
        let whom = match &next.level {
            Some((level, name)) => format!("{level} {name}"),
            None => "nobody is left,".into(),
        };
        line.push((Role::Text, format!("  next {whom} {}", app.look.hms(next.at))));
    }
    page.push(line);
}

/// Restores that began by themselves: what can be cut over to, and at what price, what is under way; where there is room
/// (`whole`) also what was not begun, and what is over.
fn head_starts(app: &App, view: &IncidentView, page: &mut Page, whole: bool) {
    let matters = |h: &&HeadStartView| whole || matches!(h.standing, Standing::Ready | Standing::UnderWay);
    let mut heads: Vec<&HeadStartView> = view.head_starts.iter().filter(matters).collect();
    heads.sort_by_key(|h| (h.standing != Standing::Ready, h.standing != Standing::UnderWay));
    // What stands against resolving is to be seen below it.
    let more = heads.len().saturating_sub(1);
    heads.truncate(if whole { heads.len() } else { 1 });
    for head in heads {
        let mut line: Vec<(Role, String)> = vec![(Role::Label, "head start ".into())];
        match head.standing {
            Standing::Ready => {
                // What it costs is never cut off; how old it is, and that there are more, where there is room.
                line = vec![(Role::Up, format!("{} {} READY ", app.look.g.up, head.backup)), (Role::Key, "C".into())];
                let columns = page.columns;
                let fits = |line: &[(Role, String)], said: &str| {
                    line.iter().map(|(_, s)| text::width(s)).sum::<usize>() + text::width(said) <= columns
                };
                let price = format!("  {}", price(app, head));
                if !fits(&line, &price) {
                    page.push(std::mem::take(&mut line));
                }
                line.push((Role::Text, price));
                let restored = |at| format!(", restored {} ago", coarse(app.watched.ago(at)));
                let age = head.ready_at.map(restored).unwrap_or_default();
                let others = if more > 0 && !whole { format!("  +{more} more") } else { String::new() };
                for said in [age, others] {
                    if fits(&line, &said) {
                        line.push((Role::Dim, said));
                    }
                }
                if !head.why.is_empty() {
                    line.push((Role::Unsure, format!("  {}", head.why)));
                }
            }
            Standing::UnderWay => {
                let share = head.run.as_ref().and_then(|id| app.mirror().runs.get(id)).and_then(|r| r.permille);
                let share = share.map(|p| format!(" {} %", p / 10)).unwrap_or_default();
                line.push((Role::Running, format!("{}{share} ", app.look.g.running)));
                line.push((Role::Text, head.backup.clone()));
                line.push((Role::Dim, format!("  {}", price(app, head))));
            }
            Standing::Withheld => line.push((Role::Unsure, format!("{} not begun: {}", head.backup, head.why))),
            Standing::Failed => {
                line.push((Role::Bad, format!("{} {} failed: {}", app.look.g.lost, head.backup, head.why)));
            }
            Standing::Used | Standing::Dropped => {
                line.push((Role::Dim, format!("{} {}", head.backup, head.standing.word())));
            }
        }
        page.push(line);
    }
}

/// What a cut-over to it loses.
fn price(app: &App, head: &HeadStartView) -> String {
    let Some(data) = head.data_as_of else { return String::new() };
    let lost = app.watched.ago(data);
    let rpo = match head.rpo_ms.map(ms) {
        Some(rpo) if lost > rpo => format!(" OVER RPO {}", text::duration(rpo)),
        Some(rpo) => format!(" of RPO {}", text::duration(rpo)),
        None => String::new(),
    };
    format!("loses {}{rpo}", coarse(lost))
}

fn running(app: &App, view: &IncidentView, page: &mut Page) {
    let own =
        |id: Option<&String>| id.is_some_and(|id| *id == view.incident.id || view.incident.clock.absorbed.contains(id));
    let mut runs: Vec<_> =
        app.mirror().runs.values().filter(|r| r.state == RunState::Running && own(r.incident.as_ref())).collect();
    runs.sort_by_key(|r| r.requested_at);
    let Some(first) = runs.first() else { return };
    let share = first.permille.map(|p| format!("  {} %", p / 10)).unwrap_or_default();
    let more = if runs.len() > 1 { format!("  +{} more", runs.len() - 1) } else { String::new() };
    page.push(vec![
        (Role::Running, format!("{} {}", app.look.g.running, first.title)),
        (Role::Text, share),
        (Role::Dim, more),
    ]);
}

/// What a pane with this many rows left shows below its summary: who has which role, then the phases.
pub fn below(app: &App, view: &IncidentView, columns: usize, room: usize) -> Lines {
    let mut roles = Page::new(columns);
    roles.heading("roles   (w gives them)");
    let own = view.incident.roles.keys().map(String::as_str).filter(|r| !authority::ROLES.contains(r));
    for role in authority::ROLES.into_iter().chain(own) {
        let (style, user) = match view.incident.roles.get(role) {
            Some(user) => (Role::Text, user.as_str()),
            None => (Role::Dim, NOBODY),
        };
        roles.push(vec![(Role::Label, format!("  {:<16}", role)), (style, user.to_owned())]);
    }
    roles.lines.insert(0, Vec::new());
    let mut phases = Page::new(columns);
    planned(app, view, &mut phases);
    if !phases.lines.is_empty() {
        phases.lines.insert(0, Vec::new());
    }
    let mut out = Lines::new();
    for part in [roles.lines, phases.lines] {
        if out.len() + part.len() <= room {
            out.extend(part);
        }
    }
    out
}

/// The phases with their planned and actual ends.
fn planned(app: &App, view: &IncidentView, page: &mut Page) {
    let i = &view.incident;
    let t_ms = t_ms(app, view);
    let rows = phases::rows(&i.clock, &app.mirror().head.severities, i.severity);
    if rows.iter().all(|r| r.planned_ms.is_none()) {
        return;
    }
    page.heading("phases   (T+ planned, T+ actual)");
    let ends = if rows.iter().any(|r| r.state == PhaseState::PassedOver) { 12 } else { 8 };
    let of = |row: &PhaseRow| {
        let planned = row.planned_ms.map_or_else(String::new, |p| text::duration(ms(p)));
        let (role, actual) = match (row.state, row.ended) {
            (_, Some(mark)) => (Role::Text, text::duration(ms(mark.t_ms.unsigned_abs()))),
            (PhaseState::Current, _) => (Role::Strong, "now".into()),
            (PhaseState::PassedOver, _) => (Role::Dim, row.passed_over().into()),
            _ => (Role::Dim, String::new()),
        };
        let name = if row.state == PhaseState::Current { Role::Strong } else { Role::Text };
        let mut line = vec![
            (Role::Text, "  ".into()),
            (name, text::fit(row.phase.title(), 19)),
            (Role::Dim, text::fit(&planned, 8)),
            (role, text::fit(&actual, ends)),
        ];
        if let Some(late) = row.late_ms(t_ms).filter(|late| *late > 0) {
            line.push((Role::Bad, format!("late by {}  ", coarse(ms(late.unsigned_abs())))));
        }
        (line, format!("until {}{}", row.phase.ends(), again(row)))
    };
    let lines: Vec<_> = rows.iter().map(of).collect();
    // What ends each stands beside all of them or none: its first letters alone say nothing.
    let wide = |line: &[(Role, String)]| line.iter().map(|(_, t)| text::width(t)).sum::<usize>();
    let fits = lines.iter().all(|(line, until)| wide(line) + text::width(until) <= page.columns());
    for (mut line, until) in lines {
        if fits {
            line.push((Role::Dim, until));
        }
        page.push(line);
    }
    if let Some(mark) = i.clock.marks.reopened {
        let at = text::duration(ms(mark.t_ms.unsigned_abs()));
        page.text(Role::Dim, 2, &format!("reopened at T+{at}: what was over by then stays so"));
    }
}

/// All of it, for the detail view.
pub fn whole(app: &App, view: &IncidentView, page: &mut Page) {
    let i = &view.incident;
    let t_ms = t_ms(app, view);
    planned(app, view, page);
    let spent = i.clock.severity_ms(i.severity, t_ms);
    if !spent.is_empty() {
        let spent: Vec<String> =
            spent.iter().map(|(s, spent)| format!("{s} {}", coarse(ms(spent.unsigned_abs())))).collect();
        page.blank();
        page.field("time in", Role::Text, &spent.join(", "));
    }
    if let Some(snooze) = &i.clock.snooze {
        page.field("snoozed", Role::Unsure, &format!("by {}: {}", snooze.by, snooze.reason));
    }
    let e = &i.clock.escalation;
    if !e.called.is_empty() || !e.calls.is_empty() {
        page.heading("escalation   (@: whom to call)");
    }
    for (n, called) in e.called.iter().enumerate() {
        let reached = view.leading.reached.get(n);
        let (role, said) = match reached {
            Some(r) if r.is_nobody() => (Role::Bad, r.said()),
            Some(r) => (Role::Dim, r.said()),
            None => (Role::Dim, String::new()),
        };
        page.push(vec![
            (Role::Dim, format!("  {}  ", app.look.full(called.at))),
            (Role::Text, format!("level {} {}  ", called.level, called.name)),
            (role, said),
            (Role::Dim, format!("  {}", called.contacts.join(", "))),
        ]);
    }
    for (name, call) in &e.calls {
        let (role, said) = if call.answered { (Role::Good, "answered") } else { (Role::Unsure, "no answer") };
        page.push(vec![
            (Role::Dim, format!("  {}  ", app.look.full(call.at))),
            (Role::Text, format!("called {name}  ")),
            (role, said.to_owned()),
            (Role::Dim, format!("  {}", call.by)),
        ]);
    }
    if e.ended.is_some() {
        page.text(Role::Bad, 2, "every level was called, and nobody acknowledged");
    }
    if let Some(draft) = &view.leading.draft {
        page.heading("draft that lies ready   (m looks at it, y sends it)");
        page.text(Role::Strong, 2, &draft.subject);
        page.text(Role::Dim, 2, &draft.body);
    }
}
