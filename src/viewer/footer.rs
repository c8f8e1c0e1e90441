//! The last line: what can be done here, or what was just said. Derived from the command table; never wraps; always ends
//! with help.

use ratatui::layout::Rect;

use super::app::App;
use super::canvas::Canvas;
use super::commands;
use super::overlays::window;
use super::theme::Role;

/// The last line.
pub fn draw(app: &App, area: Rect, c: &mut Canvas<'_>) {
    if let Some(flash) = &app.flash {
        if flash.until.is_none() || matches!(flash.role, Role::BannerBad | Role::BannerWarn | Role::BannerInfo) {
            c.style(area, flash.role);
        }
        let room = area.width.saturating_sub(2);
        let end = c.cut(area.x + 1, area.y, room, &flash.text, flash.role);
        if flash.until.is_none() {
            c.put(end + 2, area.y, area.right().saturating_sub(end + 2), "esc hides this", flash.role);
        }
        return;
    }
    let mut x = area.x + 1;
    if let Some(overlay) = app.overlays.last() {
        for (key, doc) in overlay.keys() {
            x = pair(c, x, area, key, doc, true);
        }
        return;
    }
    if app.filtering {
        x = pair(c, x, area, "enter", "keep", true);
        pair(c, x, area, "esc", "clear", true);
        return;
    }
    let keys = |id: &str| app.keymap.keys_of(id).into_iter().next().unwrap_or_default();
    let (h, q) = (keys("help.open"), keys("leave"));
    let leave = match (app.detail.is_some(), area.width) {
        (true, _) => " back",
        (false, 0..100) => " leaves",
        _ => " leaves, engine stays",
    };
    let pieces: [(Role, &str); 4] =
        [(Role::Key, &h), (Role::KeyDoc, " help   "), (Role::Key, &q), (Role::KeyDoc, leave)];
    let help_wide = u16::try_from(pieces.iter().map(|(_, t)| t.len()).sum::<usize>()).unwrap_or(0);
    let end = area.right().saturating_sub(help_wide + 2);
    let contexts = app.contexts();
    for context in &contexts {
        for command in commands::ALL.iter().filter(|c| c.context == *context && !c.hint.is_empty()) {
            if matches!(command.id, "help.open" | "leave") {
                continue;
            }
            let Some(key) = app.keymap.keys_of(command.id).into_iter().next() else { continue };
            let wide = u16::try_from(key.len() + command.hint.len() + 4).unwrap_or(u16::MAX);
            if x.saturating_add(wide) > end {
                break;
            }
            x = pair(c, x, Rect { width: end - area.x, ..area }, &key, command.hint, (command.why_not)(app).is_none());
        }
    }
    let at = area.right().saturating_sub(help_wide + 1).max(area.x);
    c.line(at, area.y, area.right().saturating_sub(at), &pieces);
}

fn pair(c: &mut Canvas<'_>, x: u16, area: Rect, key: &str, doc: &str, on: bool) -> u16 {
    let room = |x: u16| area.right().saturating_sub(x);
    let (k, d) = if on { (Role::Key, Role::KeyDoc) } else { (Role::KeyOff, Role::KeyOff) };
    let x = c.put(x, area.y, room(x), key, k);
    let x = c.put(x, area.y, room(x), " ", d);
    c.put(x, area.y, room(x), doc, d).saturating_add(2)
}

/// What may follow a begun chord.
pub fn which_key(app: &App, area: Rect, c: &mut Canvas<'_>) {
    let follows = app.keymap.following(&app.contexts(), &app.chord);
    if follows.is_empty() {
        return;
    }
    let height = u16::try_from(follows.len() + 2).unwrap_or(10).min(area.height);
    let width = 44.min(area.width);
    let place =
        Rect::new(area.right() - width, area.bottom().saturating_sub(height + 1), width, height).intersection(area);
    let inside = window(place, (width, height), &super::keymap::say_chord(&app.chord), false, c);
    for (i, (keys, id)) in follows.iter().enumerate() {
        let y = inside.y.saturating_add(u16::try_from(i).unwrap_or(u16::MAX));
        if y >= inside.bottom() {
            break;
        }
        let title = commands::find(id).map_or("", |c| c.title);
        c.line(inside.x, y, inside.width, &[(Role::Key, keys), (Role::KeyDoc, "  "), (Role::KeyDoc, title)]);
    }
}
