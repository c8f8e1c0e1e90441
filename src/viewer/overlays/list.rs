//! How a list to choose from is drawn: what it is about, the search line, the rows, and the chosen row in full.

use ratatui::layout::Rect;

use super::picker::{Item, Pick, Picker};
use super::{width_in, window};
use crate::viewer::app::App;
use crate::viewer::canvas::{Canvas, wrap};
use crate::viewer::theme::Role;

impl Picker {
    fn head(&self) -> Vec<(Role, String)> {
        let mut out = self.head.clone();
        if let Pick::Copy { test, .. } = &self.pick {
            out.push(if *test {
                (Role::Strong, "tab: TEST ONLY, restored beside the live data, proven, dropped again".into())
            } else {
                (Role::Strong, "tab: for real, restored beside the live data; cut over as a step of its own".into())
            });
        }
        out
    }

    pub(super) fn draw(&self, _app: &App, area: Rect, c: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let wide = matches!(self.pick, Pick::Command | Pick::Copy { .. });
        let width = width_in(area, if wide { 110 } else { 76 });
        let text = usize::from(width.saturating_sub(4));
        let head: Vec<(Role, String)> = self
            .head()
            .into_iter()
            .flat_map(|(role, line)| wrap(&line, text).into_iter().map(move |l| (role, l)))
            .collect();
        let head_rows = u16::try_from(head.len()).unwrap_or(4).min(area.height / 3);
        let rows = u16::try_from(self.items.len()).unwrap_or(u16::MAX).max(1);
        let height =
            rows.saturating_add(head_rows + 7).min(area.height.saturating_sub(if area.height > 20 { 2 } else { 0 }));
        let inside = window(area, (width, height), &self.title, false, c);
        let mut y = inside.y;
        for (role, line) in head.iter().take(usize::from(head_rows)) {
            c.cut(inside.x, y, inside.width, line, *role);
            y += 1;
        }
        let x = c.put(inside.x, y, inside.width, "/ ", Role::Key);
        let room = inside.right().saturating_sub(x);
        let count = format!("{} of {}", self.shown.len(), self.items.len());
        let line = Rect::new(x, y, room.saturating_sub(16), 1).intersection(inside);
        let cursor = self.query.draw(line, true, c);
        c.put_right(x, inside.right(), y, &count, Role::Dim);
        y += 1;
        let first = y.saturating_add(u16::from(inside.bottom().saturating_sub(y) > 6));
        // Below the rows: a blank line and the chosen row in full.
        let foot = if inside.bottom().saturating_sub(first) >= 8 { 3u16 } else { 2 };
        let n = usize::from(inside.bottom().saturating_sub(first).saturating_sub(foot));
        let top = (self.sel + 1).saturating_sub(n.max(1));
        let label = self.label_width(inside.width);
        for (row, at) in self.shown.iter().skip(top).take(n).enumerate() {
            let Some(item) = self.items.get(*at) else { continue };
            let y = first.saturating_add(u16::try_from(row).unwrap_or(0));
            self.row(item, Rect::new(inside.x, y, inside.width, 1), label, c);
            if top + row == self.sel {
                c.select(Rect::new(inside.x, y, inside.width, 1), Role::Select);
            }
        }
        if self.shown.is_empty() && n > 0 {
            c.put(inside.x, first, inside.width, "nothing matches", Role::Dim);
        }
        // What stands against the selected row, or what it is, in full.
        if let Some(item) = self.current()
            && inside.height > 4
        {
            let (role, said) = match &item.off {
                Some(why) => (Role::Unsure, format!("not now: {why}")),
                None => (Role::Dim, item.detail.clone()),
            };
            let rows = foot - 1;
            let y = inside.bottom() - rows;
            let lines = wrap(&said, usize::from(inside.width));
            for (i, line) in lines.iter().take(usize::from(rows)).enumerate() {
                let row = u16::try_from(i).unwrap_or(0);
                let more = row + 1 == rows && lines.len() > usize::from(rows);
                let line = if more { lines.get(i..).unwrap_or_default().join(" ") } else { line.clone() };
                c.cut(inside.x, y + row, inside.width, &line, role);
            }
        }
        cursor
    }

    fn label_width(&self, room: u16) -> u16 {
        let most = self.items.iter().take(400).map(|i| crate::text::width(&i.label)).max().unwrap_or(10);
        u16::try_from(most + 2).unwrap_or(40).min(room / 2).max(8)
    }

    fn row(&self, item: &Item, area: Rect, label: u16, c: &mut Canvas<'_>) {
        let mut x = area.x;
        if let Some(chosen) = &self.chosen {
            let on = chosen.contains(&item.id);
            let sign = if on { c.g.checked } else { c.g.unchecked };
            x = c.put(x, area.y, 2, &format!("{sign} "), if on { Role::Strong } else { Role::Dim });
        }
        let off = item.off.is_some();
        c.cut(
            x,
            area.y,
            label.min(area.right().saturating_sub(x)),
            &item.label,
            if off { Role::KeyOff } else { item.role },
        );
        let mut end = area.right();
        if !item.hint.is_empty() {
            end = c.put_right(x + label, area.right(), area.y, &item.hint, if off { Role::KeyOff } else { Role::Key });
        }
        let x = x.saturating_add(label);
        let room = end.saturating_sub(x).saturating_sub(1);
        c.cut(x, area.y, room, &item.detail, if off { Role::KeyOff } else { Role::Dim });
    }
}
