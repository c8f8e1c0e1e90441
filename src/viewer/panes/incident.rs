//! The incident: who leads, how it stands, what is due, what stands against resolving it.

use ratatui::layout::Rect;

use crate::text;
use crate::viewer::app::{App, Detail};
use crate::viewer::canvas::Canvas;
use crate::viewer::detail::{Lines, incident, leading, playbook, recovery};
use crate::viewer::layout;
use crate::viewer::theme::Role;

pub fn draw(app: &App, area: Rect, c: &mut Canvas<'_>) {
    let Some(view) = app.incident() else {
        c.put(area.x + 1, area.y, area.width - 1, "no incident", Role::Dim);
        if area.height > 1 {
            let said =
                [(Role::Key, "d"), (Role::KeyDoc, " declares one: title and services are filled in from what is down")];
            c.line(area.x + 1, area.y + 1, area.width.saturating_sub(2), &said);
        }
        // A playbook needs none.
        let brief = playbook::brief(app, usize::from(area.width.saturating_sub(2)));
        let below = Rect { y: area.y.saturating_add(2), height: area.height.saturating_sub(2), ..area };
        put(&brief, below, c);
        // A recovery needs no incident.
        if let Some(view) = recovery::shown(app, None) {
            let lines = recovery::lines(app, view, usize::from(area.width.saturating_sub(2)), area.height > 12);
            let below = Rect { y: area.y.saturating_add(3), height: area.height.saturating_sub(3), ..area };
            put(&lines, below, c);
        }
        return;
    };
    let mut lines: Lines = Vec::new();
    let several = app.rows_len(crate::viewer::app::Pane::Incident);
    if several > 1 && area.height > 6 {
        let list = app.list(crate::viewer::app::Pane::Incident);
        let open = app.mirror().open_incidents().len();
        let at = list.rows.iter().position(|r| *r == view.incident.id).map_or(0, |i| i + 1);
        lines.push(vec![(Role::Dim, format!("{at} of {several} ({open} open)   j k: the others"))]);
    }
    let columns = usize::from(area.width.saturating_sub(2));
    // Alone on a small screen it is the whole of it; enter scrolls. Beside the others it answers in one look, with who
    // has which role and the phases where there is room for them.
    let roomy = area.height > 12 && !matches!(app.detail, Some(Detail::Incident(_)));
    let alone = layout::is_small(Rect::new(0, 0, app.size.0, app.size.1));
    if roomy && alone {
        lines.extend(incident::lines(app, view, columns));
    } else {
        lines.extend(incident::summary(app, view, columns));
    }
    if roomy && !alone {
        let room = usize::from(area.height).saturating_sub(lines.len());
        lines.extend(leading::below(app, view, columns, room));
    }
    put(&lines, area, c);
}

fn put(lines: &Lines, area: Rect, c: &mut Canvas<'_>) {
    for (i, line) in lines.iter().take(usize::from(area.height)).enumerate() {
        let y = area.y + u16::try_from(i).unwrap_or(0);
        let mut x = area.x + 1;
        for (role, piece) in line {
            x = c.cut(x, y, area.right().saturating_sub(x), &text::clean(piece), *role);
        }
    }
}
