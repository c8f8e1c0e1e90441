//! The last line: what can be done here, or what was just said. Derived from the command table; never wraps; always ends
//! with help.

use ratatui::layout::Rect;

use super::app::{App, Pane};
use super::canvas::Canvas;
use super::commands::{self, Command, Context};
use super::overlays::window;
use super::theme::Role;
use crate::text;

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
    if let Some(waits) = waits(app) {
        c.style(area, Role::BannerWarn);
        c.cut(area.x + 1, area.y, area.width.saturating_sub(2), &waits, Role::BannerWarn);
        return;
    }
    if let Some(overlay) = app.overlays.last() {
        let keys = overlay.keys();
        let wide = |(key, doc): &(&str, &str)| u16::try_from(text::width(key) + text::width(doc) + 3).unwrap_or(99);
        // The way back is always in view.
        let mut left = area.width.saturating_sub(2).saturating_sub(keys.last().map_or(0, wide));
        for (i, (key, doc)) in keys.iter().enumerate() {
            let last = i + 1 == keys.len();
            if last || wide(&(key, doc)) <= left {
                left = if last { left } else { left - wide(&(key, doc)) };
                x = pair(c, x, area, key, doc, true);
            }
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
        _ if app.past.as_ref().is_some_and(|bar| bar.goes_back) => " back to now",
        _ if app.past.is_some() => " leaves",
        (false, 0..100) => " leaves",
        _ => " leaves, engine stays",
    };
    let pieces: [(Role, &str); 4] =
        [(Role::Key, &h), (Role::KeyDoc, " help   "), (Role::Key, &q), (Role::KeyDoc, leave)];
    let help_wide = u16::try_from(pieces.iter().map(|(_, t)| t.len()).sum::<usize>()).unwrap_or(0);
    let end = area.right().saturating_sub(help_wide + 2);
    let hints = hints(app);
    let wide: usize = hints.iter().map(|(key, command, _)| text::width(key) + command.hint.len() + 3).sum();
    // Where not all fit, what cannot be done now makes room for what can.
    let all = wide <= usize::from(end.saturating_sub(x));
    for (key, command, on) in hints.iter().filter(|(.., on)| all || *on) {
        let wide = u16::try_from(text::width(key) + command.hint.len() + 3).unwrap_or(u16::MAX);
        if x.saturating_add(wide) > end {
            continue;
        }
        x = pair(c, x, Rect { width: end - area.x, ..area }, key, command.hint, *on);
    }
    let at = area.right().saturating_sub(help_wide + 1).max(area.x);
    c.line(at, area.y, area.right().saturating_sub(at), &pieces);
}

/// What was asked for and cannot be answered at present: it is asked for again when the engine is back.
fn waits(app: &App) -> Option<String> {
    if !app.watched.is_stale() {
        return None;
    }
    let mut changes = app.pending.values().filter(|p| p.is_change());
    let first = changes.next()?.title();
    let more = match changes.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(text::clean(&format!("waiting for the engine: {first}{more}")).into_owned())
}

/// Keys, commands, and whether they can be used: those of what is looked at first.
fn hints(app: &App) -> Vec<(String, &'static Command, bool)> {
    // In the past only what moves about in it.
    let contexts = if app.past.is_some() { vec![Context::Replay] } else { app.contexts() };
    let about: &[&str] = match app.pane {
        _ if app.past.is_some() => &[],
        Pane::Services | Pane::Runs => &[],
        Pane::Backups => &["backup.restore"],
        Pane::Timeline => &["note.write"],
        Pane::Incident => &["incident.acknowledge", "incident.status", "notify.compose", "note.write"],
    };
    let mut out: Vec<&'static Command> = Vec::new();
    let of_context = contexts.iter().flat_map(|context| commands::ALL.iter().filter(move |c| c.context == *context));
    let near = of_context.clone().filter(|c| c.context != Context::Global);
    let about = about.iter().filter_map(|id| commands::find(id));
    for command in near.chain(about).chain(of_context.filter(|c| c.context == Context::Global)) {
        let shown = !command.hint.is_empty() && !matches!(command.id, "help.open" | "leave");
        if shown && !out.iter().any(|c| c.id == command.id) {
            out.push(command);
        }
    }
    let key = |c: &'static Command| app.keymap.keys_of(c.id).into_iter().next();
    out.into_iter().filter_map(|c| Some((key(c)?, c, super::allowed::why_not(app, c).is_none()))).collect()
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
