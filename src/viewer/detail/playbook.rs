//! The playbook that is led: the step it is at, large, with what it asks and which keys do what; then what comes next, and
//! what has been.

use std::time::Duration;

use super::step::{self, Size};
use super::{Lines, Page};
use crate::domain::checklist::OpenChecklist;
use crate::domain::playbook::{Does, NOBODY, Offer, Play, PlayState, Step, StepRecord, StepState};
use crate::text;
use crate::viewer::app::{App, Detail};
use crate::viewer::theme::Role;
use crate::viewer::why;
use crate::wire::PlaybookView;

/// Steps to come that are shown.
const NEXT: usize = 4;

/// The playbook that keys are about: the open view's, else the one under way, else the newest.
pub fn shown(app: &App) -> Option<&PlaybookView> {
    match &app.detail {
        Some(Detail::Playbook(id)) if !id.is_empty() => app.mirror().playbooks.get(id),
        _ => app.mirror().active_playbook().or_else(|| app.mirror().playbooks_newest_first().first().copied()),
    }
}

/// The checklist of the step that a playbook is at, where it is one.
pub fn checklist<'a>(app: &'a App, play: &Play) -> Option<&'a OpenChecklist> {
    let Does::Checklist { checklist } = &play.current().filter(|_| play.goes_on())?.0.does else { return None };
    let lists = match &play.incident {
        Some(id) => &app.mirror().incidents.get(id)?.checklists,
        None => &app.mirror().head.checklists,
    };
    lists.iter().find(|c| c.list.name == checklist.name)
}

pub(super) fn sign(app: &App, state: StepState) -> (&'static str, Role) {
    let g = &app.look.g;
    match state {
        StepState::Done => (g.up, Role::Good),
        StepState::UnderWay => (g.running, Role::Running),
        StepState::Unproven => (g.unknown, Role::Unsure),
        StepState::Failed => (g.lost, Role::Bad),
        StepState::Skipped => (g.paused, Role::Unsure),
        StepState::Waiting => (g.waiting, Role::Dim),
    }
}

/// A line or two for the incident's pane: where the playbook is, or which would fit.
pub fn brief(app: &App, columns: usize) -> Lines {
    let mut page = Page::new(columns);
    let key = app.keymap.keys_of("playbook.open").into_iter().next().unwrap_or_else(|| ":".into());
    if let Some(view) = app.mirror().active_playbook() {
        let p = &view.play;
        let (role, left) = time_left(app, p).unwrap_or((Role::Dim, String::new()));
        let role_of = if p.changed.is_some() || stands_failed(p) { Role::Bad } else { Role::Strong };
        page.push(vec![
            (Role::Label, "playbook ".into()),
            (role_of, p.text.name.clone()),
            (Role::Text, format!("  {}  ", p.place())),
            (role, left),
            (Role::Key, format!("  {key}")),
        ]);
        return page.lines;
    }
    for s in app.mirror().head.suggested_playbooks.iter().take(2) {
        page.push(vec![
            (Role::Key, key.clone()),
            (Role::KeyDoc, " playbook ".into()),
            (Role::Strong, s.name.clone()),
            (Role::Text, format!(" fits: {}", s.why)),
        ]);
    }
    page.lines
}

fn stands_failed(p: &Play) -> bool {
    p.current().is_some_and(|(_, r)| r.state == StepState::Failed)
}

/// `3:40 left of 5m`, or how much it is over.
pub(super) fn time_left(app: &App, p: &Play) -> Option<(Role, String)> {
    let within = text::duration(Duration::from_millis(p.current()?.0.within_ms?));
    let (end, now) = (p.box_ends()?, app.watched.engine_now());
    Some(if now >= end {
        (Role::DueOver, format!(" {within} box OVER by {} ", text::clock(now.since(end))))
    } else {
        (Role::Clock, format!("{} left of {within}", text::clock(end.since(now))))
    })
}

/// All of it, for a view of this many columns and rows: the step it is at as large as lets all that it asks, and what
/// comes next, be seen at once.
pub fn lines(app: &App, view: &PlaybookView, columns: usize, rows: usize) -> Lines {
    let p = &view.play;
    let sizes = Size::of(columns, rows);
    let mut made = sizes.iter().filter_map(|size| until_next(app, view, columns, *size));
    let mut page = made
        .find(|page| page.lines.len() <= rows)
        .or_else(|| until_next(app, view, columns, Size::Tight))
        .unwrap_or_else(|| Page::new(columns));
    been(app, &mut page, p);
    page.lines
}

/// The playbook, the step it is at and what comes next; nothing where the step cannot be written in this size.
fn until_next(app: &App, view: &PlaybookView, columns: usize, size: Size) -> Option<Page> {
    let p = &view.play;
    let mut page = Page::new(columns);
    let state = match p.state {
        PlayState::UnderWay => Role::Running,
        PlayState::Complete => Role::Good,
        PlayState::Left | PlayState::Stopped => Role::Unsure,
    };
    let of = p.incident.as_ref().map(|i| format!("   {i}")).unwrap_or_default();
    // Whoever carries it out need not lead the incident.
    let by = match p.led_by.as_str() {
        "" => String::new(),
        by if p.state.is_open() && by != p.started_by => format!("   started by {}, carried out by {by}", p.started_by),
        by => format!("   carried out by {by}"),
    };
    page.push(vec![
        (Role::Strong, p.text.title.clone()),
        (state, format!("   {}", p.state.word())),
        (Role::Dim, by),
        (Role::Dim, of),
    ]);
    if !p.reason.is_empty() {
        page.text(Role::Dim, 0, &p.reason);
    }
    if let Some(changed) = &p.changed {
        page.push(vec![(Role::Bad, format!("{} its file has changed since it was started:", app.look.g.degraded))]);
        changed.difference.iter().take(6).for_each(|d| page.text(Role::Unsure, 2, d));
        answered_by(
            app,
            &mut page,
            &[("playbook.do", "choose: the old text, or the new one from a step on"), ("playbook.stop", "stop")],
        );
    }
    if let Some((step, record)) = p.current().filter(|_| p.state.is_open()) {
        if !step::head(app, &mut page, p, (step, record), size) {
            return None;
        }
        current(app, &mut page, view, step, record);
    }
    coming(app, &mut page, p);
    Some(page)
}

/// The keys that answer it, or why none does from here.
fn answered_by(app: &App, page: &mut Page, of: &[(&str, &str)]) {
    match why::may_act(app) {
        Some(why) => page.text(Role::Unsure, 0, &format!("to be read only: {why}")),
        None => keys(app, page, of),
    }
}

fn keys(app: &App, page: &mut Page, of: &[(&str, &str)]) {
    let mut pieces: Vec<(Role, String)> = Vec::new();
    let mut wide = 0;
    for (id, doc) in of {
        let key = app.keymap.keys_of(id).into_iter().next().unwrap_or_else(|| ":".into());
        let more = text::width(&key) + text::width(doc) + 4;
        if wide > 0 && wide + more > page.columns() {
            page.push(std::mem::take(&mut pieces));
            wide = 0;
        }
        wide += more;
        pieces.push((Role::Key, key));
        pieces.push((Role::KeyDoc, format!(" {doc}   ")));
    }
    page.push(pieces);
}

/// What the step it is at asks, and what answers it.
fn current(app: &App, page: &mut Page, view: &PlaybookView, step: &Step, record: &StepRecord) {
    let p = &view.play;
    let (_, role) = sign(app, record.state);
    if matches!(record.state, StepState::Failed | StepState::Unproven) {
        page.text(role, 2, &record.detail);
    }
    if !step.text.is_empty() {
        page.text(Role::Text, 2, &step.text);
    }
    let what = step.does.what();
    match &step.does {
        Does::Decide { options } => {
            for option in options {
                page.push(vec![
                    (Role::Strong, format!("  {} {:<12} ", app.look.g.dot, option.name)),
                    (Role::Text, option.title.clone()),
                ]);
            }
        }
        Does::Checklist { .. } => items(app, page, p),
        Does::Hold { reason, .. } => {
            page.push(vec![(Role::Strong, format!("  {what}")), (Role::Text, format!(": {reason}"))]);
        }
        Does::Manual { .. } => {}
        _ if what != step.title && !what.is_empty() => page.push(vec![(Role::Strong, format!("  {what}"))]),
        _ => {}
    }
    for evidence in &record.evidence {
        let file = if evidence.file.is_empty() { String::new() } else { format!(" [{}]", evidence.file) };
        let first = evidence.text.lines().next().unwrap_or_default();
        page.push(vec![
            (Role::Label, format!("  evidence by {}{file}: ", evidence.by)),
            (Role::Text, first.to_owned()),
        ]);
    }
    if !view.waits.is_empty() && p.changed.is_none() {
        page.push(vec![(Role::Dim, format!("  {}", view.waits))]);
    }
    if p.changed.is_none() {
        answered_by(app, page, &answers(view, step, record));
    }
}

/// Which commands answer it now, the one of Enter first.
fn answers(view: &PlaybookView, step: &Step, record: &StepRecord) -> Vec<(&'static str, &'static str)> {
    if view.play.state == PlayState::Left {
        return vec![("playbook.do", "resume it"), ("playbook.stop", "stop it")];
    }
    let mut out = Vec::new();
    match &view.offer {
        Some(Offer::Run { part: 1, .. }) => out.push(("playbook.do", "put it in the live place: shows the plan")),
        Some(Offer::Run { .. } | Offer::Recovery { .. }) => out.push(("playbook.do", "do it: shows the plan")),
        Some(Offer::Message { .. }) => out.push(("playbook.do", "write it")),
        Some(Offer::Hold { .. }) => out.push(("playbook.do", "hold")),
        None => match (record.state, &step.does) {
            (StepState::Failed, _) => {}
            (StepState::Unproven, _) => out.push(("playbook.do", "it is good")),
            (_, Does::Manual { .. } | Does::Checklist { .. }) => out.push(("playbook.do", "done")),
            (_, Does::Decide { .. }) => out.push(("playbook.do", "choose")),
            _ => {}
        },
    }
    if matches!(step.does, Does::Checklist { .. }) {
        out.push(("playbook.tick", "tick"));
    }
    if view.busy {
        out.extend([("playbook.evidence", "evidence"), ("playbook.leave", "leave")]);
        return out;
    }
    match (record.state, &step.does) {
        (_, Does::Decide { .. }) => {}
        (StepState::Failed, _) => out.extend([("playbook.again", "again"), ("playbook.go-on", "go on all the same")]),
        _ => out.extend([("playbook.failed", "failed"), ("playbook.skip", "skip")]),
    }
    out.extend([("playbook.evidence", "evidence"), ("playbook.leave", "leave")]);
    out
}

/// The items of a checklist, with the one under the cursor.
fn items(app: &App, page: &mut Page, p: &Play) {
    let Some(open) = checklist(app, p) else { return };
    let at = app.tick_at.min(open.list.items.len().saturating_sub(1));
    for (i, item) in open.list.items.iter().enumerate() {
        let here = if i == at { ">" } else { " " };
        match open.ticks.get(item) {
            Some(tick) => page.push(vec![
                (Role::Key, format!(" {here} ")),
                (Role::Good, format!("{} ", app.look.g.up)),
                (Role::Text, item.clone()),
                (Role::Dim, format!("   {} {}", tick.by, app.look.hm(tick.at))),
            ]),
            None => page.push(vec![
                (Role::Key, format!(" {here} ")),
                (Role::Dim, format!("{} ", app.look.g.waiting)),
                (if i == at { Role::Strong } else { Role::Text }, item.clone()),
            ]),
        }
    }
}

/// What comes next where nothing is decided.
fn coming(app: &App, page: &mut Page, p: &Play) {
    let Some(at) = p.at.as_deref().filter(|_| p.state.is_open()) else { return };
    let decides = p.text.step(at).is_some_and(|s| matches!(s.does, Does::Decide { .. }));
    let mut names = Vec::new();
    let mut here = at.to_owned();
    while names.len() < NEXT && !decides {
        let Some(next) = p.text.after(&here) else { break };
        let stops = p.text.step(&next).is_none_or(|s| matches!(s.does, Does::Decide { .. }));
        names.push(next.clone());
        here = next;
        if stops {
            break;
        }
    }
    page.heading(if decides { "next: as it is decided" } else { "next" });
    let steps: Vec<&Step> = names.iter().filter_map(|name| p.text.step(name)).collect();
    // Who does it, where somebody has the role; that nobody has is said of the step that is at hand.
    let who = |step: &Step| match step::owner(app, p, step) {
        owner if owner.ends_with(NOBODY) => step.owner.clone(),
        owner => owner,
    };
    let widest = |wide: &dyn Fn(&Step) -> usize| steps.iter().map(|s| wide(s)).max().unwrap_or(0);
    let beside = 18 + widest(&|s| text::width(&who(s)));
    let room = widest(&|s| text::width(&s.title)).min(page.columns().saturating_sub(beside).max(16));
    for step in &steps {
        page.push(vec![
            (Role::Dim, format!("{} {:>2} ", app.look.g.waiting, p.text.number(&step.name))),
            (Role::Text, text::fit(&step.title, room)),
            (Role::Dim, format!("   {:<9} {}", step.does.word(), who(step))),
        ]);
    }
    if names.is_empty() && !decides {
        page.push(vec![(Role::Dim, "nothing: this is the last step".into())]);
    }
}

/// What has been, newest first. While it goes on a line each, and more only of what did not end well.
fn been(app: &App, page: &mut Page, p: &Play) {
    let mut seen = std::collections::BTreeSet::new();
    let over = p.path.iter().rev().filter(|n| !p.state.is_open() || p.at.as_ref() != Some(n));
    let over: Vec<&String> = over.filter(|n| seen.insert(*n)).collect();
    if over.is_empty() {
        return;
    }
    let count = |state: StepState| over.iter().filter(|n| p.steps.get(**n).is_some_and(|r| r.state == state)).count();
    let counted = [StepState::Failed, StepState::Skipped, StepState::Done].map(|state| (count(state), state));
    let counted: Vec<String> =
        counted.iter().filter(|(n, _)| *n > 0).map(|(n, state)| format!("{n} {}", state.word())).collect();
    page.heading(&format!("so far   {}", counted.join(", ")));
    for name in over {
        let (Some(step), Some(record)) = (p.text.step(name), p.steps.get(name)) else { continue };
        let (mark, role) = sign(app, record.state);
        let chosen = record.chosen.as_ref().map(|c| format!(": {c}")).unwrap_or_default();
        let by = if record.by.is_empty() { String::new() } else { format!("   {}", record.by) };
        page.push(vec![
            (role, format!("{mark} {:>2} ", p.text.number(name))),
            (Role::Text, format!("{}{chosen}", step.title)),
            (Role::Dim, by),
        ]);
        if record.state == StepState::Done && p.state.is_open() {
            continue;
        }
        for said in [&record.detail, &record.passed].into_iter().filter(|t| !t.is_empty()) {
            page.text(if record.state == StepState::Failed { Role::Bad } else { Role::Dim }, 5, said);
        }
        for evidence in &record.evidence {
            page.text(Role::Dim, 5, &format!("evidence: {}", evidence.text));
        }
    }
}
