//! One frame of the cockpit.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::{App, Detail, Pane};
use super::canvas::{Canvas, inset};
use super::theme::Role;
use super::{detail, footer, header, layout, panes, past};
use crate::text;

/// Draws everything. Gives the cursor's place, when a text is being edited.
pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) -> Option<(u16, u16)> {
    draw_with(app, &app.look.theme, area, buffer)
}

/// As [`draw`], in another theme than the chosen one.
pub fn draw_with(app: &App, theme: &super::theme::Theme, area: Rect, buffer: &mut Buffer) -> Option<(u16, u16)> {
    let mut c = Canvas { buffer, theme, g: &app.look.g };
    let area = area.intersection(c.buffer.area);
    if area.width == 0 || area.height == 0 {
        return None;
    }
    c.style(area, Role::Screen);
    c.style(area, Role::Text);
    let parts = layout::parts(app, area);
    if layout::is_tiny(area) {
        tiny(app, area, &mut c);
        return None;
    }
    if let Some(bar) = &app.past {
        past::draw(app, bar, area, &mut c);
    }
    let area = layout::inside(app, area);
    header::draw(&app.watched, &app.look, parts.header, &mut c);
    for (role, line, place) in &parts.banners {
        c.style(*place, *role);
        c.cut(place.x + 1, place.y, place.width.saturating_sub(2), line, *role);
    }
    if let Some(tabs) = parts.tabs {
        panes::tabs(app, tabs, &mut c);
    }
    let mut cursor = None;
    for (pane, place) in &parts.panes {
        let focus = app.detail.is_none() && app.pane == *pane;
        let inside = frame(app, *pane, *place, focus, &mut c, &mut cursor);
        panes::draw(app, *pane, inside, focus, &mut c);
    }
    if let Some(place) = parts.detail {
        let inside = c.frame(place, Role::FrameFocus);
        let title = format!(" {} ", detail::title(app));
        let room = place.width.saturating_sub(4);
        let x = c.cut(place.x + 2, place.y, room, &title, Role::Title);
        if app.detail == Some(Detail::Output) {
            detail::output::draw(app, Rect { x, width: place.right().saturating_sub(x), ..place }, inside, &mut c);
            if app.filtering {
                let search = app.output.as_ref().map_or("", |o| o.search.as_str());
                cursor = Some((x + 1 + u16::try_from(text::width(search)).unwrap_or(0), place.y));
            }
        } else {
            detail::draw(app, inset(inside, 1), &mut c);
        }
    }
    footer::draw(app, parts.footer, &mut c);
    if !app.chord.is_empty() {
        footer::which_key(app, area, &mut c);
    }
    for overlay in &app.overlays {
        // The header stays in view: severity, T+ and the link must not go under a dialog.
        let top = u16::from(area.height > 12);
        let below = Rect { y: area.y + top, height: area.height.saturating_sub(1 + top), ..area };
        cursor = overlay.draw(app, below, &mut c);
    }
    cursor
}

/// The frame of a pane with its title: number, name, what is in it, the filter.
fn frame(app: &App, pane: Pane, place: Rect, focus: bool, c: &mut Canvas<'_>, cursor: &mut Option<(u16, u16)>) -> Rect {
    let inside = c.frame(place, if focus { Role::FrameFocus } else { Role::Frame });
    let end = place.right().saturating_sub(2);
    let room = |x: u16| end.saturating_sub(x);
    let mut x = place.x + 2;
    let number = Pane::ALL.iter().position(|p| *p == pane).unwrap_or(0) + 1;
    x = c.put(x, place.y, room(x), &format!(" {number} "), Role::TitleNumber);
    x = c.put(x, place.y, room(x), pane.title(), if focus { Role::Title } else { Role::Text });
    x = c.put(x, place.y, room(x), " ", Role::Text);
    let summary = panes::summary(app, pane);
    if !summary.is_empty() {
        x = c.put(x, place.y, room(x), c.g.corners[1], if focus { Role::FrameFocus } else { Role::Frame });
        x = c.put(x, place.y, room(x), " ", Role::Text);
    }
    let any = !summary.is_empty();
    for (role, piece) in summary {
        x = c.cut(x, place.y, room(x), &piece, role);
    }
    if any {
        x = c.put(x, place.y, room(x), " ", Role::Text);
    }
    let list = app.list(pane);
    let filtering = app.filtering && app.pane == pane && app.detail.is_none();
    if filtering || !list.filter.is_empty() {
        x = c.put(x, place.y, room(x), " /", Role::Key);
        x = c.cut(x, place.y, room(x), &list.filter, Role::Input);
        if filtering {
            *cursor = Some((x.min(end), place.y));
        }
        let count = format!(" {} of {} ", list.rows.len(), list.total);
        c.put(x, place.y, room(x), &count, Role::Dim);
    }
    // Where in a long list: told at the bottom.
    let shown = usize::from(inside.height);
    if list.rows.len() > shown && inside.height > 0 && pane != Pane::Incident {
        let text = format!(" {}–{} of {} ", list.top + 1, (list.top + shown).min(list.rows.len()), list.rows.len());
        c.put_right(place.x + 2, end, place.bottom() - 1, &text, Role::Dim);
    }
    inside
}

/// One honest line (or as many as there is room for).
fn tiny(app: &App, area: Rect, c: &mut Canvas<'_>) {
    let mirror = app.mirror();
    let (link_role, link) = header::link(&app.watched, c.g);
    let mut pieces: Vec<(Role, String)> = Vec::new();
    if let Some(bar) = &app.past {
        pieces.push((Role::Replay, format!(" REPLAY {}Z ", bar.at.hms())));
    }
    let down = mirror.services.values().filter(|s| s.state == crate::domain::health::Health::Down).count();
    if let Some(view) = mirror.open_incidents().first() {
        pieces.push((header::severity(view.incident.severity), format!("{}", view.incident.severity)));
        pieces.push((Role::Clock, format!("T+{}", text::clock(app.watched.elapsed(view)))));
    }
    if app.watched.is_stale() {
        pieces.push((link_role, link.clone()));
    }
    pieces.push(if down > 0 {
        (Role::Down, format!("{down} DOWN"))
    } else {
        (Role::Up, format!("{} none down", c.g.up))
    });
    pieces.push((
        Role::Dim,
        format!("{}x{} is too small: {}x{} at least", area.width, area.height, layout::LEAST.0, layout::LEAST.1),
    ));
    let (mut x, mut y) = (area.x, area.y);
    for (role, piece) in pieces {
        let wide = u16::try_from(text::width(&piece)).unwrap_or(u16::MAX);
        if x > area.x && x.saturating_add(wide) > area.right() {
            x = area.x;
            y += 1;
        }
        x = c.cut(x, y, area.right().saturating_sub(x), &piece, role).saturating_add(1);
    }
}
