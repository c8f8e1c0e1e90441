//! The record, newest at the bottom.

use ratatui::layout::Rect;

use crate::domain::timeline::{Level, Row};
use crate::text;
use crate::viewer::app::App;
use crate::viewer::canvas::Canvas;
use crate::viewer::theme::Role;

/// Columns of a person's name.
const WHO: u16 = 16;

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
pub fn when(app: &App, row: &Row) -> String {
    let at = row.happened_at.unwrap_or(row.at);
    let today = app.look.full(app.watched.engine_now());
    let day = app.look.full(at);
    if today.get(..10) == day.get(..10) {
        app.look.hms(at)
    } else {
        format!("{} {}", day.get(8..10).unwrap_or("??"), app.look.hm(at))
    }
}

pub fn row(app: &App, seq: &str, area: Rect, c: &mut Canvas<'_>) {
    let Some(row) = seq.parse().ok().and_then(|s| app.timeline.get(s)) else { return };
    let (right, y) = (area.right(), area.y);
    let room = |x: u16| right.saturating_sub(x);
    let mut x = c.put(area.x, y, room(area.x), &when(app, row), Role::Dim).saturating_add(1);
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
    c.cut(x, y, room(x), &text::clean(&row.text), role);
}
