//! The record, newest at the bottom; in the story rows stand as they were corrected, those of one title together.

use ratatui::layout::Rect;

use crate::domain::Time;
use crate::domain::timeline::{Level, Row};
use crate::text;
use crate::viewer::app::App;
use crate::viewer::canvas::Canvas;
use crate::viewer::rows::Scope;
use crate::viewer::theme::Role;

/// Columns of a person's name.
const WHO: u16 = 16;
/// Columns that a text needs before it is cut for what stands behind it.
const WIDE: usize = 50;

/// The role of a row's weight.
pub const fn role(level: Level) -> Role {
    match level {
        Level::Detail => Role::LevelDetail,
        Level::Info => Role::LevelInfo,
        Level::Good => Role::LevelGood,
        Level::Warn => Role::LevelWarn,
        Level::Bad => Role::LevelBad,
    }
}

/// When, in eight columns: the time of today, else day and time.
pub fn when(app: &App, at: Time) -> String {
    let today = app.look.full(app.watched.engine_now());
    let day = app.look.full(at);
    if today.get(..10) == day.get(..10) {
        app.look.hms(at)
    } else {
        format!("{} {}", day.get(8..10).unwrap_or("??"), app.look.hm(at))
    }
}

/// What the list's key stands for: a row, or (`t61`) the heading above that row.
pub fn of_key<'a>(app: &'a App, key: &str) -> Option<(&'a Row, bool)> {
    let heading = key.starts_with('t');
    Some((app.timeline.get(key.trim_start_matches('t').parse().ok()?)?, heading))
}

pub fn row(app: &App, key: &str, area: Rect, c: &mut Canvas<'_>) {
    let Some((row, heading)) = of_key(app, key) else { return };
    let (right, y) = (area.right(), area.y);
    let room = |x: u16| right.saturating_sub(x);
    if heading {
        let x = c.put(area.x, y, room(area.x), &c.g.corners[1].repeat(2), Role::Frame).saturating_add(1);
        c.cut(x, y, room(x), &text::clean(row.title.as_deref().unwrap_or_default()), Role::Title);
        return;
    }
    let raw = app.timeline.scope == Scope::All;
    let recorded = raw.then(|| row.as_recorded());
    let row = recorded.as_ref().unwrap_or(row);
    let x = c.put(area.x, y, room(area.x), &when(app, row.happened()), Role::Dim);
    let picked = app.timeline.marked.contains(&row.seq);
    // One column for what a person said of it, before the sign of its weight.
    let (mark, mark_role) = match row {
        _ if picked => (c.g.checked, Role::Key),
        row if row.pinned => (c.g.pin, Role::Key),
        row if row.hidden => (c.g.hidden, Role::Dim),
        row if row.title.is_some() && !raw => (c.g.corners[3], Role::Frame),
        _ => (" ", Role::Text),
    };
    let mut x = c.put(x, y, room(x), mark, mark_role);
    let sign = match row.level {
        Level::Bad => c.g.down,
        Level::Warn => c.g.degraded,
        Level::Good => c.g.up,
        Level::Info | Level::Detail => c.g.dot,
    };
    let role = role(row.level);
    x = c.put(x, y, room(x), sign, role).saturating_add(1);
    // What the engine found has nobody behind it.
    if row.actor != "engine" {
        x = c.cut(x, y, room(x).min(WHO), &text::clean(&row.actor), Role::Label);
        x = c.put(x, y, room(x), ": ", Role::Label);
    }
    let words = text::clean(&row.text);
    let said = behind(app, row, raw, usize::from(room(x)), text::width(&words));
    let wide = u16::try_from(text::width(&said)).unwrap_or(u16::MAX).min(room(x));
    let end = right.saturating_sub(wide);
    let struck = row.hidden || raw && is_corrected(row);
    let x = c.cut(x, y, end.saturating_sub(x), &words, if struck { Role::LevelDetail } else { role });
    c.put(x, y, room(x), &said, Role::Dim);
}

fn is_corrected(row: &Row) -> bool {
    row.amended.iter().any(|a| a.what == crate::domain::curation::CORRECTED)
}

/// What stands behind a row of `text` columns in `room` columns: when it was recorded, where that is another time, and who
/// says it otherwise by now. As much of it as leaves the text whole, or half of the room.
fn behind(app: &App, row: &Row, raw: bool, room: usize, text: usize) -> String {
    let recorded = row.recorded().map(|_| format!("rec {}", short(app, row))).unwrap_or_default();
    let mark = if raw { row.marks() } else { row.mark() };
    // What counts most in the raw record: it does not read like this any more.
    let least = if raw && is_corrected(row) { "corrected" } else { "" };
    let join = |parts: [&str; 2]| {
        let said: Vec<&str> = parts.into_iter().filter(|s| !s.is_empty()).collect();
        if said.is_empty() { String::new() } else { format!(" ({})", text::clean(&said.join("; "))) }
    };
    let ways = [join([&recorded, &mark]), join([&recorded, least]), join([least, ""])];
    let fits = |said: &&String| text + text::width(said) <= room;
    let leaves_half = |said: &&String| room >= WIDE && text::width(said) * 2 < room;
    let found = ways.iter().find(fits).or_else(|| ways.iter().find(leaves_half));
    found.cloned().unwrap_or_else(|| join([least, ""]))
}

/// The time of recording as short as it can be told beside the time of the event.
fn short(app: &App, row: &Row) -> String {
    let (at, happened) = (app.look.full(row.at), app.look.full(row.happened()));
    match at.get(..16) == happened.get(..16) {
        true => app.look.hms(row.at),
        false if at.get(..10) == happened.get(..10) => app.look.hm(row.at),
        false => when(app, row.at),
    }
}
