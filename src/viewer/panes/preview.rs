//! The selected row in full, where a list leaves room below it: what its row had to cut, and what can be done next.
//!
//! Nothing here changes with every probe: a calm screen stays still.

use ratatui::layout::Rect;

use super::{backups, runs};
use crate::domain::backup::BackupState;
use crate::domain::health::{Health, Outcome};
use crate::domain::run::SideRole;
use crate::text;
use crate::viewer::app::{App, Pane};
use crate::viewer::canvas::Canvas;
use crate::viewer::commands;
use crate::viewer::detail::{Lines, Page};
use crate::viewer::header;
use crate::viewer::theme::Role;
use crate::wire::{BackupView, RunView, ServiceView};

/// Fewer free rows than this are left empty.
const LEAST: u16 = 4;
/// Columns of the labels at the left.
const LABEL: usize = 12;

/// Draws it at the bottom of the room that is left.
pub fn draw(app: &App, pane: Pane, room: Rect, c: &mut Canvas<'_>) {
    if room.height < LEAST {
        return;
    }
    let Some((title, lines)) = lines(app, pane, usize::from(room.width.saturating_sub(2))) else { return };
    let n = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(room.height - 1);
    let top = room.bottom() - n - 1;
    let rule = c.g.corners[1].repeat(usize::from(room.width));
    c.put(room.x, top, room.width, &rule, Role::Frame);
    c.cut(room.x + 1, top, room.width.saturating_sub(2), &format!(" {title} "), Role::Label);
    for (i, line) in lines.iter().take(usize::from(n)).enumerate() {
        let y = top + 1 + u16::try_from(i).unwrap_or(0);
        let mut x = room.x + 1;
        for (role, piece) in line {
            x = c.cut(x, y, room.right().saturating_sub(x + 1), piece, *role);
        }
    }
}

fn lines(app: &App, pane: Pane, columns: usize) -> Option<(String, Lines)> {
    let key = app.list(pane).key()?;
    let mirror = app.mirror();
    let mut page = Page::with_label(columns, LABEL);
    match pane {
        Pane::Services => service(app, mirror.services.get(key)?, &mut page),
        Pane::Backups => backup(app, mirror.backups.get(key)?, &mut page),
        Pane::Runs => run(app, mirror.runs.get(key)?, &mut page),
        Pane::Timeline => {
            let (row, heading) = super::timeline::of_key(app, key)?;
            if heading {
                page.text(Role::Text, 0, row.title.as_deref().unwrap_or_default());
                page.push(vec![(
                    Role::Dim,
                    "a title over the rows below; J gives them another, or takes them apart".into(),
                )]);
                return Some(("title".into(), page.lines));
            }
            page.text(Role::Text, 0, &row.text);
            let recorded = row.recorded().map(|at| format!(", recorded {}", app.look.full(at))).unwrap_or_default();
            page.text(Role::Dim, 0, &format!("{} by {}{recorded}", app.look.full(row.happened()), row.actor));
            let mark = row.mark();
            if !mark.is_empty() {
                page.text(Role::Dim, 0, &mark);
            }
            return Some((format!("entry {key}"), page.lines));
        }
        Pane::Incident => return None,
    }
    let title = match pane {
        Pane::Runs => format!("run {key}"),
        _ => text::clean(key).into_owned(),
    };
    (!page.lines.is_empty()).then_some((title, page.lines))
}

/// The keys of commands that can be used now, with what they do.
fn next(app: &App, ids: &[(&str, String)], page: &mut Page) {
    let mut line = Vec::new();
    let mut left = page.columns();
    for (id, said) in ids {
        let Some(command) = commands::find(id).filter(|c| crate::viewer::allowed::why_not(app, c).is_none()) else {
            continue;
        };
        let Some(key) = app.keymap.keys_of(command.id).into_iter().next() else { continue };
        let gap = if line.is_empty() { "" } else { "   " };
        let wide = text::width(&key) + text::width(said) + gap.len() + 1;
        if wide > left {
            continue;
        }
        left -= wide;
        line.push((Role::KeyDoc, gap.to_owned()));
        line.push((Role::Key, key));
        line.push((Role::KeyDoc, format!(" {said}")));
    }
    if !line.is_empty() {
        page.push(line);
    }
}

fn service(app: &App, view: &ServiceView, page: &mut Page) {
    let g = &app.look.g;
    if view.state != Health::Up && !view.detail.is_empty() {
        page.text(Role::Strong, 0, &view.detail);
    }
    if let Some(cause) = &view.because {
        page.field("because of", Role::Strong, cause);
    }
    if !view.impact.is_empty() {
        page.field("impact", Role::Text, &view.impact);
    }
    let failing = view.checks.iter().filter(|c| !matches!(c.state, Health::Up | Health::Paused)).take(4);
    for check in failing.filter(|_| view.checks.len() > 1) {
        let (sign, role) = header::state(g, check.state);
        let said = check.last.as_ref().filter(|l| l.outcome != Outcome::Ok).map_or("", |l| l.detail.as_str());
        page.field("check", role, &format!("{sign} {}: {said}", check.name));
    }
    if !view.depends_on.is_empty() {
        let states = view.depends_on.iter().map(|n| {
            let state = app.mirror().services.get(n).map(|s| s.state).unwrap_or_default();
            format!("{} {n}", header::state(g, state).0)
        });
        page.field("depends on", Role::Text, &states.collect::<Vec<_>>().join("   "));
    }
    let backups: Vec<&str> = app
        .mirror()
        .backups
        .values()
        .filter(|b| b.restorable && b.service.as_deref() == Some(&view.name))
        .map(|b| b.name.as_str())
        .collect();
    let mut can = Vec::new();
    if view.control.iter().any(|c| c == "restart") {
        can.push(("service.restart", format!("restart {}", view.name)));
    }
    match backups.as_slice() {
        [] => {}
        [one] => can.push(("backup.restore", format!("restore {one}"))),
        several => can.push(("backup.restore", format!("restore one of {} backups", several.len()))),
    }
    can.push(("open", "all about it".to_owned()));
    next(app, &can, page);
}

fn backup(app: &App, view: &BackupView, page: &mut Page) {
    if let Some(problem) = &view.problem {
        page.text(Role::Bad, 0, problem);
    }
    if !view.detail.is_empty() {
        let role = if view.state == BackupState::Fresh { Role::Text } else { Role::Strong };
        page.text(role, 0, &view.detail);
    }
    if let Some(due) = view.next_due {
        let late = app.watched.engine_now() > due;
        let said = format!("{}{}", app.look.full(due), if late { "   OVERDUE" } else { "" });
        page.field("next due", if late { Role::Bad } else { Role::Text }, &said);
    }
    let proof = view.proof_said(|at| header::ago(app.watched.ago(at)));
    if !proof.is_empty() {
        page.field("restore", backups::proof_role(view, Role::Text), &proof);
    }
    if !view.restorable {
        page.text(Role::Dim, 0, "no restore is configured for it");
    }
    next(app, &[("backup.restore", "choose a copy and restore".into()), ("open", "all its copies".into())], page);
}

fn run(app: &App, run: &RunView, page: &mut Page) {
    if !run.detail.is_empty() {
        page.text(if runs::is_contradicted(run) { Role::Bad } else { Role::Strong }, 0, &run.detail);
    }
    for side in &run.sides {
        let (said, _) = runs::side_said(side);
        page.field(&side.kind, Role::Text, &format!("{}: {said}", side.name));
    }
    let parts = run.sides.iter().any(|s| s.role == SideRole::Ready && s.only().is_some());
    let can = [
        ("run.cut-over", if parts { "put them in" } else { "cut over" }.to_owned()),
        ("run.undo", "undo the cut-over".to_owned()),
        ("run.drop", "drop what it left".to_owned()),
        ("run.cancel", "cancel".to_owned()),
        ("run.output", "output".to_owned()),
        ("open", "all about it".to_owned()),
    ];
    next(app, &can, page);
}
