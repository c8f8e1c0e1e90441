//! The five panes.

use ratatui::layout::Rect;

use super::app::{App, Pane};
use super::canvas::Canvas;
use super::header;
use super::rows::Scope;
use super::theme::Role;
use crate::domain::backup::BackupState;
use crate::domain::health::Health;

pub mod backups;
pub mod incident;
mod preview;
pub mod runs;
pub mod services;
pub mod timeline;

/// Draws the inside of a pane.
pub fn draw(app: &App, pane: Pane, area: Rect, focus: bool, c: &mut Canvas<'_>) {
    if area.width < 4 || area.height == 0 {
        return;
    }
    match pane {
        Pane::Incident => return incident::draw(app, area, c),
        _ if app.rows_len(pane) == 0 => return empty(app, pane, area, c),
        _ => {}
    }
    let list = app.list(pane);
    // Names get as much room as the longest in view needs.
    let names = list.view(usize::from(area.height)).map(|(_, k)| crate::text::width(k)).max().unwrap_or(8);
    let names = u16::try_from(names).unwrap_or(u16::MAX);
    for (i, key) in list.view(usize::from(area.height)) {
        let y = area.y + u16::try_from(i - list.top).unwrap_or(0);
        let row = Rect::new(area.x, y, area.width, 1);
        match pane {
            Pane::Services => services::row(app, key, row, names, c),
            Pane::Backups => backups::row(app, key, row, names, c),
            Pane::Timeline => timeline::row(app, key, row, c),
            Pane::Runs => runs::row(app, key, row, c),
            Pane::Incident => {}
        }
        let open = app.detail.is_some() && pane == app.pane;
        if i == list.sel && (focus || open) {
            c.select(row, if focus { Role::Select } else { Role::SelectIdle });
        }
    }
    if focus {
        let rows = u16::try_from(list.rows.len()).unwrap_or(u16::MAX).min(area.height);
        preview::draw(app, pane, Rect { y: area.y + rows, height: area.height - rows, ..area }, c);
    }
}

fn empty(app: &App, pane: Pane, area: Rect, c: &mut Canvas<'_>) {
    let filtered = !app.list(pane).filter.is_empty();
    let text = match pane {
        Pane::Timeline if filtered && app.timeline.looking => "nothing yet; the whole record is being looked through",
        _ if filtered => "nothing matches; esc clears the filter",
        Pane::Services if app.past.is_some() => "no service at this moment",
        Pane::Backups if app.past.is_some() => "no backup set at this moment",
        Pane::Services => "no service is configured: add a [[service]] to mayday.toml, or run mayday init",
        Pane::Backups => "no backup set is configured: add a [[backup]] to mayday.toml",
        Pane::Timeline if !app.timeline.filled => "reading the record",
        Pane::Timeline if app.timeline.scope == Scope::Incident => {
            "nothing is told of an incident yet; i shows everything"
        }
        Pane::Timeline => "nothing to tell is on record yet; i shows everything",
        _ if app.past.is_some() => "no run at this moment",
        _ => "no run yet: r restarts a service, R restores a backup, e runs an action",
    };
    for (i, line) in super::canvas::wrap(text, usize::from(area.width.saturating_sub(2))).iter().enumerate() {
        let y = area.y.saturating_add(u16::try_from(i).unwrap_or(u16::MAX));
        if y < area.bottom() {
            c.put(area.x + 1, y, area.width - 1, line, Role::Dim);
        }
    }
}

/// Counts of states, worst first, for a title.
pub fn health_counts(app: &App) -> [(Health, usize); 5] {
    let mut out =
        [(Health::Down, 0), (Health::Degraded, 0), (Health::Unknown, 0), (Health::Up, 0), (Health::Paused, 0)];
    for service in app.mirror().services.values() {
        if let Some((_, n)) = out.iter_mut().find(|(s, _)| *s == service.state) {
            *n += 1;
        }
    }
    out
}

/// What stands behind a pane's name.
pub fn summary(app: &App, pane: Pane) -> Vec<(Role, String)> {
    let mut out: Vec<(Role, String)> = Vec::new();
    let mut add = |role: Role, text: String| {
        if !out.is_empty() {
            out.push((Role::Dim, format!(" {} ", app.look.g.dot)));
        }
        out.push((role, text));
    };
    let mirror = app.mirror();
    match pane {
        Pane::Services => {
            for (state, n) in health_counts(app).into_iter().filter(|(_, n)| *n > 0) {
                add(header::state(&app.look.g, state).1, format!("{n} {}", state.word()));
            }
        }
        Pane::Backups => {
            for state in [
                BackupState::Missing,
                BackupState::Stale,
                BackupState::Suspect,
                BackupState::Unknown,
                BackupState::Fresh,
            ] {
                let n = mirror.backups.values().filter(|b| b.state == state).count();
                if n > 0 {
                    add(header::backup_state(&app.look.g, state).1, format!("{n} {}", state.word()));
                }
            }
        }
        Pane::Timeline => {
            add(Role::Dim, app.look.zone(app.watched.engine_now()));
            let wanted = app.wanted();
            add(if wanted.scope == Scope::Story { Role::Dim } else { Role::Strong }, wanted.scope.word().into());
            let hidden = if wanted.scope == Scope::All { 0 } else { app.timeline.hidden(&wanted) };
            if hidden > 0 {
                add(Role::Dim, format!("{hidden} hidden, i shows"));
            }
            if !app.timeline.marked.is_empty() {
                add(Role::Key, format!("{} picked", app.timeline.marked.len()));
            }
            if app.timeline.looking {
                add(Role::Dim, format!("looking further back{}", app.look.g.ellipsis));
            }
        }
        Pane::Runs => {
            let going = mirror.runs.values().filter(|r| !r.state.is_over()).count();
            if going > 0 {
                add(Role::Running, format!("{going} under way"));
            }
            let bad = mirror.runs.values().filter(|r| runs::is_contradicted(r)).count();
            if bad > 0 {
                add(Role::Contradicted, format!(" {bad} contradicted "));
            }
        }
        Pane::Incident => {
            let open = mirror.open_incidents().len();
            if open > 0 {
                add(Role::LevelBad, format!("{open} open"));
            }
        }
    }
    out
}

/// The line that names all panes, where only one is shown.
pub fn tabs(app: &App, area: Rect, c: &mut Canvas<'_>) {
    let mut x = area.x + 1;
    for (i, pane) in Pane::ALL.into_iter().enumerate() {
        let here = pane == app.pane;
        let room = |x: u16| area.right().saturating_sub(x);
        x = c.put(x, area.y, room(x), &format!("{}", i + 1), if here { Role::Key } else { Role::TitleNumber });
        x = c.put(x, area.y, room(x), " ", Role::Text);
        let from = x;
        x = c.put(x, area.y, room(x), pane.title(), if here { Role::Title } else { Role::Dim });
        if here {
            c.select(Rect::new(from, area.y, x.saturating_sub(from), 1), Role::Select);
        }
        if let Some((role, text)) = badge(app, pane) {
            x = c.put(x + 1, area.y, room(x + 1), &text, role);
        }
        x = x.saturating_add(if area.width < 76 { 1 } else { 2 });
    }
}

/// The worst of a pane in one sign and a number.
fn badge(app: &App, pane: Pane) -> Option<(Role, String)> {
    let g = &app.look.g;
    let mirror = app.mirror();
    match pane {
        Pane::Services => health_counts(app)
            .into_iter()
            .find(|(s, n)| *n > 0 && matches!(s, Health::Down | Health::Degraded | Health::Unknown))
            .map(|(s, n)| (header::state(g, s).1, format!("{}{n}", header::state(g, s).0))),
        Pane::Backups => {
            let bad = mirror.backups.values().filter(|b| b.state != BackupState::Fresh).map(|b| b.state);
            let n = bad.clone().count();
            bad.min().map(|s| (header::backup_state(g, s).1, format!("{}{n}", header::backup_state(g, s).0)))
        }
        Pane::Timeline => None,
        Pane::Runs => {
            let n = mirror.runs.values().filter(|r| !r.state.is_over()).count();
            (n > 0).then(|| (Role::Running, format!("{}{n}", g.running)))
        }
        Pane::Incident => {
            let open = mirror.open_incidents();
            open.first().map(|i| (header::severity(i.incident.severity), format!(" {} ", i.incident.severity)))
        }
    }
}
