//! An incident: summary, roles, what stands against resolving it, services, messages and what each channel said.

use super::{Lines, Page, leading, playbook, recovery};
use crate::domain::cadence::Word;
use crate::domain::clock::Ending;
use crate::domain::hypothesis::Standing;
use crate::domain::incident::Incident;
use crate::domain::message::Delivery;
use crate::text;
use crate::viewer::app::App;
use crate::viewer::header;
use crate::viewer::overlays::{followups, thinking};
use crate::viewer::panes::services;
use crate::viewer::theme::Role;
use crate::wire::IncidentView;

/// The few lines of the pane, each of what stands against resolving cut to one.
pub fn summary(app: &App, view: &IncidentView, columns: usize) -> Lines {
    with_recovery(app, view, head(app, view, columns, false), columns, false)
}

/// Title and clock stay first; then a recovery that is open, because it may need an answer.
fn with_recovery(app: &App, view: &IncidentView, mut lines: Lines, columns: usize, whole: bool) -> Lines {
    let rest = lines.split_off(lines.len().min(2));
    lines.extend(under_way(app, view, columns, whole));
    if view.incident.status.is_open() {
        lines.extend(playbook::brief(app, columns));
    }
    lines.extend(rest);
    lines
}

/// The recovery that belongs to it, or that is open.
fn under_way(app: &App, view: &IncidentView, columns: usize, whole: bool) -> Lines {
    let mut lines = approvals(app, columns);
    let recovery = recovery::shown(app, Some(&view.incident.id));
    lines.extend(recovery.map(|r| recovery::lines(app, r, columns, whole)).unwrap_or_default());
    lines
}

/// Who waits for a second person.
fn approvals(app: &App, columns: usize) -> Lines {
    let mut page = Page::new(columns);
    for approval in crate::viewer::allowed::waiting(app) {
        let said = format!("approval wanted by {} until {}: ", approval.by.user, app.look.hms(approval.expires_at()));
        page.push(vec![(Role::Unsure, said), (Role::Strong, approval.title.clone()), (Role::Key, "  Y".into())]);
    }
    page.lines
}

fn head(app: &App, view: &IncidentView, columns: usize, whole: bool) -> Lines {
    let i = &view.incident;
    let mut page = Page::new(columns);
    page.push(vec![
        (header::severity(i.severity), format!(" {} ", i.severity)),
        (Role::Strong, format!(" {}", i.title)),
    ]);
    let clock = text::clock(app.watched.elapsed(view));
    page.push(vec![
        (Role::Label, format!("{}  ", i.id)),
        (Role::Strong, i.status.word().to_owned()),
        (Role::Text, if i.status.is_open() { format!("   T+{clock}") } else { format!("   took {clock}") }),
    ]);
    let lead = match i.commander() {
        Some(user) => (Role::Text, format!("led by {user}")),
        None => (Role::Unsure, "nobody leads it".to_owned()),
    };
    let mut line = vec![lead];
    if i.status.is_open() && i.acknowledged_at.is_none() {
        line.push((Role::Unsure, "   NOT ACKNOWLEDGED: a".into()));
    }
    page.push(line);
    if let Some(offer) = &i.handoff {
        let to = offer.to.as_deref().unwrap_or("whoever takes it");
        page.push(vec![(Role::Unsure, format!("{} hands it over to {to}: H", offer.from))]);
    }
    page.lines.extend(leading::glance(app, view, columns, whole));
    // While it burns nobody needs to see what comes after.
    if whole || !i.status.is_open() {
        after(app, view, &mut page);
    }
    let mut line = Vec::new();
    if let Some(cost) = header::cost(&app.watched, view) {
        line.extend([(Role::Label, "cost so far ".into()), (Role::Cost, cost)]);
    }
    let against = if i.status.is_open() { view.against_resolving.len() } else { 0 };
    if against > 0 {
        // On the line of the cost: in the pane each row counts.
        let gap = if line.is_empty() { "" } else { "   " };
        line.push((Role::Bad, format!("{gap}{against} against resolving:")));
    }
    if !line.is_empty() {
        page.push(line);
    }
    if i.status.is_open() && against == 0 {
        page.push(vec![(Role::Good, format!("{} nothing stands against resolving it: s", app.look.g.up))]);
    }
    for said in view.against_resolving.iter().take(against) {
        let said = format!("{} {said}", app.look.g.lost);
        if whole {
            page.text(Role::Bad, 0, &said);
        } else {
            page.push(vec![(Role::Bad, said)]);
        }
    }
    page.lines
}

/// How far its review is, and what is to be done.
fn after(app: &App, view: &IncidentView, page: &mut Page) {
    let mut line = Vec::new();
    // Where nothing else is due its day stands above already.
    if let Some(at) = view.leading.review_due.filter(|_| view.leading.due.is_none_or(|d| d.what != Word::Review)) {
        let now = app.watched.engine_now();
        line.push(if at > now {
            (Role::Text, format!("review due {} (in {})", app.look.full(at), header::coarse(at.since(now))))
        } else {
            (Role::DueOver, format!(" review overdue since {} ", app.look.full(at)))
        });
    }
    if let Some(review) = view.leading.review.as_ref().map(crate::domain::review::ReviewState::said) {
        line.push((Role::Text, format!("{}{review}", if line.is_empty() { "review " } else { "  " })));
    }
    if !line.is_empty() {
        page.push(line);
    }
    let (open, late) = followups::count(app, Some(&view.incident.id));
    if open > 0 {
        let mut line = vec![(Role::Text, format!("{} to be done", text::plural(open, "follow-up")))];
        if late > 0 {
            line.push((Role::DueOver, format!("  {late} OVERDUE ")));
        }
        line.push((Role::Key, "  F".into()));
        page.push(line);
    }
}

/// Each of them, in the whole view.
fn all_followups(app: &App, i: &Incident, page: &mut Page) {
    let own: Vec<_> = app.mirror().head.followups.iter().filter(|f| f.incident == i.id).collect();
    if own.is_empty() {
        return;
    }
    page.heading("follow-ups   (F opens and closes them)");
    let now = app.watched.engine_now();
    for f in own {
        page.text(followups::role(f, now), 2, &format!("{}  {}  ({})", f.id, f.text, followups::said(f, now)));
    }
}

/// What is thought to be wrong, with what speaks for it and against it.
fn hypotheses(app: &App, i: &Incident, page: &mut Page) {
    if i.hypotheses.is_empty() {
        return;
    }
    page.heading("hypotheses   (h adds to them)");
    for h in &i.hypotheses {
        let why = if h.reason.is_empty() { String::new() } else { format!(" — {}", h.reason) };
        let standing = if h.standing == Standing::Open { h.balance() } else { h.standing.word().to_owned() };
        let standing = if standing.is_empty() { String::new() } else { format!("  ({standing})") };
        page.text(thinking::role(h.standing), 2, &format!("{} {}{standing}{why}", h.id, h.text));
        for e in &h.evidence {
            let said = format!("{} {}, {}: {}  {}", app.look.hms(e.at), e.stance.word(), e.basis.word(), e.text, e.by);
            page.text(Role::Dim, 6, &said);
        }
    }
}

pub fn lines(app: &App, view: &IncidentView, columns: usize) -> Lines {
    let i = &view.incident;
    let mut page = Page::new(columns);
    page.lines = with_recovery(app, view, head(app, view, columns, true), columns, true);
    page.blank();
    page.field("declared", Role::Text, &format!("{} by {}", app.look.full(i.declared_at), i.declared_by));
    if let Some(onset) = i.onset {
        let by = i.clock.onset_by.as_ref().map(|by| format!(", set by {by}")).unwrap_or_default();
        page.field("onset", Role::Text, &format!("{}{by}", app.look.full(onset)));
    }
    match (i.acknowledged_at, &i.acknowledged_by) {
        (Some(at), Some(by)) => page.field("acknowledged", Role::Text, &format!("{} by {by}", app.look.full(at))),
        _ => page.field("acknowledged", Role::Unsure, "not yet: a"),
    }
    if let Some(at) = i.mitigated_at {
        page.field("mitigated", Role::Text, &app.look.full(at));
    }
    if let Some(at) = i.resolved_at {
        page.field("resolved", Role::Good, &app.look.full(at));
    }
    match &i.clock.ending {
        Some(Ending::FalseAlarm) => page.field("ended", Role::Text, "closed as a false alarm"),
        Some(Ending::Merged { into }) => page.field("ended", Role::Text, &format!("merged into {into}")),
        None => {}
    }
    if !i.status.is_open() {
        page.field("read again", Role::Dim, &format!("mayday export {}; mayday replay {}", i.id, i.id));
    }
    if !i.clock.absorbed.is_empty() {
        page.field("merged", Role::Text, &i.clock.absorbed.join(", "));
    }
    if i.reopened > 0 {
        page.field("reopened", Role::Unsure, &text::plural(i.reopened as usize, "time"));
    }
    for (role, user) in &i.roles {
        page.field(role, Role::Text, user);
    }
    if let Some(offer) = &i.handoff {
        let to = offer.to.as_deref().unwrap_or("whoever takes it");
        page.field(
            "handoff",
            Role::Unsure,
            &format!("{} offers the lead to {to} since {}: H", offer.from, app.look.hms(offer.at)),
        );
    }
    page.field("notes", Role::Text, &i.notes.to_string());
    if !view.timeline_file.is_empty() {
        page.field("written to", Role::Dim, &view.timeline_file);
    }
    hypotheses(app, i, &mut page);
    all_followups(app, i, &mut page);
    leading::whole(app, view, &mut page);
    for list in &view.checklists {
        let left = list.unticked();
        let role = if left.is_empty() { Role::Good } else { Role::Unsure };
        let said = if left.is_empty() { String::new() } else { format!("; not ticked: {}", left.join("; ")) };
        page.field("checklist", role, &format!("{} {} ticked{said}", list.list.name, list.count()));
    }
    page.heading("affected services   (x changes them)");
    for name in &i.services {
        match app.mirror().services.get(name) {
            Some(s) => {
                let (sign, role) = header::state(&app.look.g, s.state);
                let mut line =
                    vec![(role, format!("  {sign} {:<9}", services::word(s.state))), (Role::Text, format!(" {name}"))];
                if let Some((role, rto)) = services::rto(app, s) {
                    line.push((Role::Text, "  ".into()));
                    line.push((role, rto));
                }
                page.push(line);
            }
            None => page.push(vec![(Role::Dim, format!("    {name} (not configured any more)"))]),
        }
    }
    if i.services.is_empty() {
        page.text(Role::Dim, 2, "none named");
    }
    let mut messages: Vec<_> =
        app.mirror().messages.values().filter(|m| m.incident.as_deref() == Some(&i.id)).collect();
    messages.sort_by_key(|m| std::cmp::Reverse(m.queued_at));
    page.heading("messages   (n writes one)");
    for message in &messages {
        page.push(vec![
            (Role::Dim, format!("  {}  ", app.look.full(message.queued_at))),
            (Role::Text, format!("{}  ", message.template.word())),
            (Role::Strong, message.subject.clone()),
            (Role::Dim, format!("  {}", message.by)),
        ]);
        for (channel, state) in &message.channels {
            let (sign, role) = match state.state {
                Delivery::Accepted => (app.look.g.up, Role::Good),
                Delivery::Queued => (app.look.g.waiting, Role::Dim),
                Delivery::Retrying => (app.look.g.degraded, Role::Unsure),
                Delivery::Refused | Delivery::Undelivered => (app.look.g.lost, Role::Bad),
            };
            let next = match state.next_at {
                Some(at) if !state.state.is_final() => format!(", again at {}", app.look.hms(at)),
                _ => String::new(),
            };
            let tries = if state.attempts > 1 { format!(" ({} attempts)", state.attempts) } else { String::new() };
            page.push(vec![
                (role, format!("      {sign} {channel}: {}{tries}{next}", state.state.word())),
                (Role::Dim, format!("  {}", state.answer)),
            ]);
        }
    }
    if messages.is_empty() {
        page.text(Role::Dim, 2, "none yet");
    }
    page.lines
}
