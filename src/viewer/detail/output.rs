//! The output of a run, followed as it comes, with search.

use ratatui::layout::Rect;
use unicode_segmentation::UnicodeSegmentation;

use crate::text;
use crate::viewer::app::App;
use crate::viewer::canvas::{Canvas, inset};
use crate::viewer::layout;
use crate::viewer::panes::runs;
use crate::viewer::theme::Role;

/// `title`: the room behind the view's name.
pub fn draw(app: &App, title: Rect, area: Rect, c: &mut Canvas<'_>) {
    let Some(output) = &app.output else { return };
    let end = title.right().saturating_sub(2);
    let mut x = title.x;
    if app.filtering || !output.search.is_empty() {
        x = c.put(x, title.y, end.saturating_sub(x), "/", Role::Key);
        x = c.cut(x, title.y, end.saturating_sub(x), &output.search, Role::Input);
        let hits = output.lines.iter().filter(|l| is_hit(l, &output.search)).count();
        x = c.put(x, title.y, end.saturating_sub(x), &format!(" {} ", text::plural(hits, "line")), Role::Dim);
    }
    if let Some(run) = app.mirror().runs.get(&output.run) {
        let (sign, role, words) = runs::outcome(run, c.g);
        let share = runs::known_progress(run).map(|p| format!(" {} %", p / 10)).unwrap_or_default();
        c.put_right(x, end, title.y, &format!(" {sign} {}{share} ", words.trim()), role);
    }
    if let Some(problem) = &output.problem {
        c.cut(area.x + 1, area.y, area.width.saturating_sub(1), problem, Role::Bad);
        return;
    }
    if output.lines.is_empty() {
        let said = if output.over { "it wrote nothing" } else { "nothing written yet" };
        c.put(area.x + 1, area.y, area.width.saturating_sub(1), said, Role::Dim);
    }
    let inside = inset(area, 1);
    let mut y = inside.y;
    let mut shown = output.top;
    for line in output.lines.iter().skip(output.top) {
        if y >= inside.bottom() {
            break;
        }
        for piece in rows(line, usize::from(inside.width)) {
            if y < inside.bottom() {
                c.put(inside.x, y, inside.width, piece, Role::Text);
                mark_hits(piece, &output.search, Rect { y, height: 1, ..inside }, c);
                y += 1;
            }
        }
        shown += 1;
    }
    let first = output.dropped + output.top + 1;
    let cut = if output.cut > 0 || output.dropped > 0 { "  earlier or middle parts are cut" } else { "" };
    let follow = if output.follow && !output.over { "  following" } else { "" };
    let said = format!(" {first}–{} of {}{follow}{cut} ", output.dropped + shown, output.dropped + output.lines.len());
    c.put_right(area.x, area.right().saturating_sub(1), area.bottom(), &said, Role::Dim);
}

/// The numbers of the first and the last line in view, from 1.
pub fn in_view(app: &App) -> (usize, usize) {
    let Some(output) = &app.output else { return (1, 1) };
    let whole = Rect::new(0, 0, app.size.0, app.size.1);
    let place = layout::parts(app, whole).detail.unwrap_or(whole);
    let (wide, high) = (columns(place.width.saturating_sub(2)), usize::from(place.height.saturating_sub(2)));
    let (mut left, mut last) = (high, output.top);
    for line in output.lines.iter().skip(output.top) {
        let rows = crate::viewer::records::height(line, wide);
        if rows > left && last > output.top {
            break;
        }
        left = left.saturating_sub(rows);
        last += 1;
        if left == 0 {
            break;
        }
    }
    (output.dropped + output.top + 1, output.dropped + last.max(output.top + 1))
}

/// Columns of a line of output in a view of this width inside its frame.
pub fn columns(inside: u16) -> usize {
    usize::from(inset(Rect::new(0, 0, inside, 1), 1).width).max(1)
}

/// A line in pieces of at most `columns`, cut where it is full: output is shown as it is, blanks and all.
fn rows(line: &str, columns: usize) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut from, mut used) = (0, 0);
    for (at, grapheme) in line.grapheme_indices(true) {
        let wide = text::width(grapheme);
        if used + wide > columns.max(1) && used > 0 {
            out.push(line.get(from..at).unwrap_or_default());
            (from, used) = (at, 0);
        }
        used += wide;
    }
    out.push(line.get(from..).unwrap_or_default());
    out
}

fn is_hit(line: &str, search: &str) -> bool {
    !search.is_empty() && line.to_lowercase().contains(&search.to_lowercase())
}

fn mark_hits(line: &str, search: &str, area: Rect, c: &mut Canvas<'_>) {
    if !is_hit(line, search) || !line.is_ascii() {
        // Columns of other text are not its bytes: the line as a whole is marked then.
        if is_hit(line, search) {
            c.style(Rect { width: 1, ..area }, Role::Match);
        }
        return;
    }
    let (line, search) = (line.to_ascii_lowercase(), search.to_ascii_lowercase());
    for (at, hit) in line.match_indices(&search) {
        let x = area.x.saturating_add(u16::try_from(at).unwrap_or(u16::MAX));
        if x >= area.right() {
            return;
        }
        let wide = u16::try_from(hit.len()).unwrap_or(1).min(area.right() - x);
        c.style(Rect::new(x, area.y, wide, 1), Role::Match);
    }
}
