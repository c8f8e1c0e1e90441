//! One entry of the record, in full.

use super::{Lines, Page};
use crate::domain::timeline::Row;
use crate::viewer::app::App;
use crate::viewer::panes::timeline;
use crate::viewer::theme::Role;

pub fn lines(app: &App, row: &Row, columns: usize) -> Lines {
    let mut page = Page::new(columns);
    page.text(timeline::role(row.level), 0, &row.text);
    page.blank();
    page.field("recorded", Role::Text, &app.look.full(row.at));
    if let Some(at) = row.happened_at {
        page.field("happened", Role::Text, &app.look.full(at));
    }
    let via = if row.via.is_empty() { String::new() } else { format!(" ({})", row.via) };
    page.field("by", Role::Text, &format!("{}{via}", row.actor));
    page.field("kind", Role::Text, &row.kind);
    page.field("position", Role::Text, &row.seq.to_string());
    for (label, value) in [("incident", &row.incident), ("service", &row.service), ("run", &row.run)] {
        if let Some(value) = value {
            page.field(label, Role::Text, value);
        }
    }
    page.lines
}
