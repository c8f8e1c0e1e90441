//! Drawing aids: text, rows and frames that never leave their area, in roles of the theme.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;

use super::glyphs::{self, Glyphs};
use super::theme::{Role, Theme};
use crate::text::width;

/// A picture being drawn.
#[derive(Debug)]
pub struct Canvas<'a> {
    pub buffer: &'a mut Buffer,
    pub theme: &'a Theme,
    pub g: &'a Glyphs,
}

impl Canvas<'_> {
    /// Writes `text` from `x` on row `y`, at most `room` columns and never beyond the picture. Gives the column after it.
    pub fn put(&mut self, x: u16, y: u16, room: u16, text: &str, role: Role) -> u16 {
        self.put_style(x, y, room, text, self.theme.style(role))
    }

    /// As [`Canvas::put`], with a style.
    pub fn put_style(&mut self, x: u16, y: u16, room: u16, text: &str, style: Style) -> u16 {
        let area = self.buffer.area;
        if y < area.y || y >= area.bottom() || x < area.x || x >= area.right() || room == 0 {
            return x;
        }
        if self.g.ascii && !text.is_ascii() {
            let text = glyphs::to_ascii(text);
            return self.buffer.set_stringn(x, y, &text, usize::from(room), style).0;
        }
        self.buffer.set_stringn(x, y, text, usize::from(room), style).0
    }

    /// As [`Canvas::put`]; text that does not fit ends with an ellipsis.
    pub fn cut(&mut self, x: u16, y: u16, room: u16, text: &str, role: Role) -> u16 {
        if width(text) <= usize::from(room) {
            return self.put(x, y, room, text, role);
        }
        self.put(x, y, room, &crate::text::width::cut(text, usize::from(room)), role)
    }

    /// Writes `text` so that it ends before `right`, not beginning before `left`.
    pub fn put_right(&mut self, left: u16, right: u16, y: u16, text: &str, role: Role) -> u16 {
        let w = u16::try_from(width(text)).unwrap_or(u16::MAX);
        let x = right.saturating_sub(w).max(left);
        self.cut(x, y, right.saturating_sub(x), text, role);
        x
    }

    /// Lays a style over an area.
    pub fn style(&mut self, area: Rect, role: Role) {
        let style = self.theme.style(role);
        self.buffer.set_style(area.intersection(self.buffer.area), style);
    }

    /// Marks a selected row: one look over all of it, so that it is a bar and not a patchwork.
    pub fn select(&mut self, area: Rect, role: Role) {
        let area = area.intersection(self.buffer.area);
        let style = self.theme.style(role);
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    if style.bg.is_some() || style.add_modifier.contains(ratatui::style::Modifier::REVERSED) {
                        // A background of its own below a reversed bar would leave holes in it.
                        cell.bg = ratatui::style::Color::Reset;
                        cell.modifier.remove(ratatui::style::Modifier::REVERSED);
                        // What is bold and coloured says how things stand, also under the bar.
                        let says = cell.modifier.contains(ratatui::style::Modifier::BOLD);
                        if style.bg.is_none() && !says {
                            cell.fg = ratatui::style::Color::Reset;
                        }
                    }
                    cell.set_style(style);
                }
            }
        }
    }

    /// Empties an area and gives it a background.
    pub fn clear(&mut self, area: Rect, role: Role) {
        let area = area.intersection(self.buffer.area);
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    cell.reset();
                }
            }
        }
        self.style(area, role);
    }

    /// A frame around `area`. Gives what is inside.
    pub fn frame(&mut self, area: Rect, role: Role) -> Rect {
        let area = area.intersection(self.buffer.area);
        if area.width < 2 || area.height < 2 {
            return Rect::new(area.x, area.y, 0, 0);
        }
        let [tl, h, tr, v, bl, br, ..] = self.g.corners;
        let (l, r, t, b) = (area.left(), area.right() - 1, area.top(), area.bottom() - 1);
        let style = self.theme.style(role);
        for x in l + 1..r {
            self.put_style(x, t, 1, h, style);
            self.put_style(x, b, 1, h, style);
        }
        for y in t + 1..b {
            self.put_style(l, y, 1, v, style);
            self.put_style(r, y, 1, v, style);
        }
        self.put_style(l, t, 1, tl, style);
        self.put_style(r, t, 1, tr, style);
        self.put_style(l, b, 1, bl, style);
        self.put_style(r, b, 1, br, style);
        Rect::new(l + 1, t + 1, area.width - 2, area.height - 2)
    }

    /// A line of pieces, each with its role. Gives the column after the last.
    pub fn line(&mut self, x: u16, y: u16, room: u16, pieces: &[(Role, &str)]) -> u16 {
        let end = x.saturating_add(room);
        let mut at = x;
        for (role, text) in pieces {
            at = self.cut(at, y, end.saturating_sub(at), text, *role);
        }
        at
    }

    /// A bar of `columns`, `share` of 1000 done.
    pub fn bar(&mut self, x: u16, y: u16, columns: u16, permille: u16) {
        let done = u16::try_from(u32::from(columns) * u32::from(permille.min(1000)) / 1000).unwrap_or(0);
        let [full, rest] = self.g.bar;
        for i in 0..columns {
            let (sign, role) = if i < done { (full, Role::BarDone) } else { (rest, Role::BarRest) };
            self.put(x.saturating_add(i), y, 1, sign, role);
        }
    }

    /// A sparkline of the newest `columns` values: 0 for none, `u32::MAX` for a failure.
    pub fn spark(&mut self, x: u16, y: u16, columns: u16, values: &[u32]) {
        let from = values.len().saturating_sub(usize::from(columns));
        let shown = values.get(from..).unwrap_or_default();
        let top = shown.iter().copied().filter(|v| *v != u32::MAX).max().unwrap_or(0).max(1);
        let pad = columns.saturating_sub(u16::try_from(shown.len()).unwrap_or(columns));
        for (i, v) in shown.iter().enumerate() {
            let x = x.saturating_add(pad).saturating_add(u16::try_from(i).unwrap_or(u16::MAX));
            match *v {
                0 => {}
                u32::MAX => {
                    self.put(x, y, 1, self.g.spark_fail, Role::SparkFail);
                }
                v => {
                    let level = usize::try_from(u64::from(v) * 7 / u64::from(top)).unwrap_or(7);
                    let sign = self.g.spark.get(level.min(7)).copied().unwrap_or(" ");
                    self.put(x, y, 1, sign, Role::Spark);
                }
            }
        }
    }
}

/// `area` less `by` columns on both sides.
pub fn inset(area: Rect, by: u16) -> Rect {
    let by = by.min(area.width / 2);
    Rect::new(area.x + by, area.y, area.width - 2 * by, area.height)
}

/// A box of at most `width` × `height` in the middle of `area`.
pub fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (w, h) = (width.min(area.width), height.min(area.height));
    Rect::new(area.x + (area.width - w) / 2, area.y + (area.height - h) / 2, w, h)
}

/// A name in exactly `columns`: one that is too long loses its middle, because names of a family differ at their ends.
pub fn fit_name(name: &str, columns: usize) -> String {
    if width(name) <= columns || columns < 8 {
        return crate::text::fit(name, columns);
    }
    let tail_room = (columns - 1) / 3;
    let mut tail: Vec<&str> = Vec::new();
    let mut used = 0;
    for grapheme in name.graphemes(true).rev() {
        used += width(grapheme);
        if used > tail_room {
            break;
        }
        tail.push(grapheme);
    }
    tail.reverse();
    let tail = tail.concat();
    // Cutting leaves the ellipsis at the end of the head.
    let head = crate::text::width::cut(name, columns - width(&tail));
    crate::text::fit(&(head + &tail), columns)
}

/// Breaks `text` into lines of at most `columns`, at spaces where there are any; line ends are kept.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut out = Vec::new();
    for line in text.split('\n') {
        let mut now = String::new();
        let mut used = 0;
        for word in line.split_inclusive(' ') {
            let w = width(word);
            if used > 0 && used + width(word.trim_end()) > columns {
                out.push(std::mem::take(&mut now).trim_end().to_owned());
                used = 0;
            }
            if w <= columns {
                now.push_str(word);
                used += w;
                continue;
            }
            for c in word.chars() {
                let mut buffer = [0; 4];
                let w = width(c.encode_utf8(&mut buffer));
                if used + w > columns && used > 0 {
                    out.push(std::mem::take(&mut now));
                    used = 0;
                }
                now.push(c);
                used += w;
            }
        }
        out.push(now.trim_end().to_owned());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(fit_name("short", 8), "short   ");
        assert_eq!(fit_name("a-very-long-service-023", 12), "a-very-l…023");
        assert_eq!(width(&fit_name("日本語サービスの長い名前", 11)), 11);
        assert_eq!(fit_name("longer", 3), "lo…");
    }

    #[test]
    fn wrapped_lines_fit() {
        assert_eq!(wrap("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("a\n\nb", 9), ["a", "", "b"]);
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_drawn_outside(
            w in 0u16..12, h in 0u16..5, x in 0u16..20, y in 0u16..8, room in 0u16..30, text in ".{0,20}"
        ) {
            let mut buffer = Buffer::empty(Rect::new(0, 0, w, h));
            let theme = Theme::default();
            let mut c = Canvas { buffer: &mut buffer, theme: &theme, g: &glyphs::UNICODE };
            c.put(x, y, room, &text, Role::Text);
            c.cut(x, y, room, &text, Role::Text);
            c.put_right(x, x.saturating_add(room), y, &text, Role::Text);
            c.frame(Rect::new(x, y, room, 3), Role::Frame);
            c.bar(x, y, room, 500);
            c.spark(x, y, room, &[0, 1, u32::MAX, 5]);
            c.select(Rect::new(x, y, room, 2), Role::Select);
            c.clear(Rect::new(x, y, room, 2), Role::Overlay);
        }
    }
}
