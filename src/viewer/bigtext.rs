//! Letters that are read from across a room.
//!
//! A bitmap font of its own: seven pixels high in a line of eight, at most five wide. A pixel is one column wide and half
//! a row high, which is square on nearly every terminal, drawn with half blocks (`#`, `"` and `_` where only ASCII may
//! be written). [`Scale`] makes pixels larger in whole steps. What the font lacks is never drawn wrongly: [`can`] says so
//! beforehand and the caller writes plain text instead.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Rows of one line of letters at the smallest scale.
pub const ROWS: u16 = 4;
/// Largest factor in either direction.
const LARGEST: u16 = 6;

/// How many columns and half rows a pixel takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    pub x: u16,
    pub y: u16,
}

impl Scale {
    pub const ONE: Scale = Scale { x: 1, y: 1 };

    /// Rows of a line of letters.
    pub const fn rows(self) -> u16 {
        ROWS * self.y
    }
}

/// Character, width in pixels, seven lines from the top with the lowest bit on the right.
type Letter = (char, u16, [u8; 7]);

const FONT: &[Letter] = &[
    (' ', 2, [0; 7]),
    ('0', 5, [0x0e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e]),
    ('1', 5, [0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e]),
    ('2', 5, [0x0e, 0x11, 0x01, 0x06, 0x08, 0x10, 0x1f]),
    ('3', 5, [0x0e, 0x11, 0x01, 0x06, 0x01, 0x11, 0x0e]),
    ('4', 5, [0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02]),
    ('5', 5, [0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e]),
    ('6', 5, [0x0e, 0x10, 0x10, 0x1e, 0x11, 0x11, 0x0e]),
    ('7', 5, [0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08]),
    ('8', 5, [0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e]),
    ('9', 5, [0x0e, 0x11, 0x11, 0x0f, 0x01, 0x01, 0x0e]),
    ('A', 5, [0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11]),
    ('B', 5, [0x1e, 0x11, 0x11, 0x1e, 0x11, 0x11, 0x1e]),
    ('C', 5, [0x0e, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0e]),
    ('D', 5, [0x1e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1e]),
    ('E', 5, [0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f]),
    ('F', 5, [0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x10]),
    ('G', 5, [0x0e, 0x11, 0x10, 0x17, 0x11, 0x11, 0x0e]),
    ('H', 5, [0x11, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11]),
    ('I', 3, [0x07, 0x02, 0x02, 0x02, 0x02, 0x02, 0x07]),
    ('J', 5, [0x07, 0x02, 0x02, 0x02, 0x02, 0x12, 0x0c]),
    ('K', 5, [0x11, 0x12, 0x14, 0x18, 0x14, 0x12, 0x11]),
    ('L', 5, [0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f]),
    ('M', 5, [0x11, 0x1b, 0x15, 0x15, 0x11, 0x11, 0x11]),
    ('N', 5, [0x11, 0x19, 0x19, 0x15, 0x13, 0x13, 0x11]),
    ('O', 5, [0x0e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e]),
    ('P', 5, [0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10]),
    ('Q', 5, [0x0e, 0x11, 0x11, 0x11, 0x15, 0x12, 0x0d]),
    ('R', 5, [0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11]),
    ('S', 5, [0x0f, 0x10, 0x10, 0x0e, 0x01, 0x01, 0x1e]),
    ('T', 5, [0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04]),
    ('U', 5, [0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e]),
    ('V', 5, [0x11, 0x11, 0x11, 0x11, 0x0a, 0x0a, 0x04]),
    ('W', 5, [0x11, 0x11, 0x11, 0x15, 0x15, 0x1b, 0x11]),
    ('X', 5, [0x11, 0x11, 0x0a, 0x04, 0x0a, 0x11, 0x11]),
    ('Y', 5, [0x11, 0x11, 0x0a, 0x04, 0x04, 0x04, 0x04]),
    ('Z', 5, [0x1f, 0x01, 0x02, 0x04, 0x08, 0x10, 0x1f]),
    (':', 2, [0x00, 0x03, 0x03, 0x00, 0x03, 0x03, 0x00]),
    ('.', 2, [0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x03]),
    (',', 2, [0x00, 0x00, 0x00, 0x00, 0x03, 0x01, 0x02]),
    ('-', 4, [0x00, 0x00, 0x00, 0x0f, 0x00, 0x00, 0x00]),
    ('+', 5, [0x00, 0x04, 0x04, 0x1f, 0x04, 0x04, 0x00]),
    ('=', 4, [0x00, 0x00, 0x0f, 0x00, 0x0f, 0x00, 0x00]),
    ('/', 5, [0x01, 0x01, 0x02, 0x04, 0x08, 0x10, 0x10]),
    ('%', 5, [0x18, 0x19, 0x02, 0x04, 0x08, 0x13, 0x03]),
    ('(', 3, [0x01, 0x02, 0x04, 0x04, 0x04, 0x02, 0x01]),
    (')', 3, [0x04, 0x02, 0x01, 0x01, 0x01, 0x02, 0x04]),
    ('_', 5, [0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1f]),
    ('?', 5, [0x0e, 0x11, 0x01, 0x02, 0x04, 0x00, 0x04]),
    ('!', 2, [0x03, 0x03, 0x03, 0x03, 0x03, 0x00, 0x03]),
    ('#', 5, [0x0a, 0x0a, 0x1f, 0x0a, 0x1f, 0x0a, 0x0a]),
    ('<', 4, [0x01, 0x02, 0x04, 0x08, 0x04, 0x02, 0x01]),
    ('>', 4, [0x08, 0x04, 0x02, 0x01, 0x02, 0x04, 0x08]),
];

/// Small letters are drawn as capitals.
fn letter(c: char) -> Option<&'static Letter> {
    let c = c.to_ascii_uppercase();
    FONT.iter().find(|(l, ..)| *l == c)
}

/// Whether every character of `text` can be drawn.
pub fn can(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| letter(c).is_some())
}

/// Pixels from the first to the last column of `text`.
fn pixels(text: &str) -> u32 {
    let sum: u32 = text.chars().filter_map(letter).map(|(_, w, _)| u32::from(*w) + 1).sum();
    sum.saturating_sub(1)
}

/// Columns of `text` at a horizontal scale.
pub fn width(text: &str, x: u16) -> u16 {
    u16::try_from(pixels(text) * u32::from(x)).unwrap_or(u16::MAX)
}

/// The largest scale at which `text` fits; letters are at most twice as tall as they are wide. `None` when it does not
/// fit at all, or cannot be drawn.
pub fn largest(text: &str, columns: u16, rows: u16) -> Option<Scale> {
    if !can(text) {
        return None;
    }
    let x = (1..=LARGEST).rev().find(|x| width(text, *x) <= columns)?;
    let y = (1..=LARGEST).rev().find(|y| ROWS * y <= rows)?;
    Some(Scale { x: x.min(y), y: y.min(x.min(y) * 2) })
}

/// How letters are inked.
#[derive(Clone, Copy, Debug)]
pub struct Ink {
    pub style: Style,
    /// Half blocks may be written; otherwise ASCII.
    pub blocks: bool,
    /// A line through all of it: this does not count any more.
    pub struck: bool,
}

/// Draws `text` with its upper left corner at `x`, `y`; nothing outside of `limit` is touched, and nothing between the
/// strokes. Gives the column after it.
pub fn draw(buffer: &mut Buffer, limit: Rect, x: u16, y: u16, text: &str, scale: Scale, ink: Ink) -> u16 {
    let limit = limit.intersection(buffer.area);
    let [full, upper, lower] = if ink.blocks { ["█", "▀", "▄"] } else { ["#", "\"", "_"] };
    let mut left = x;
    for (_, columns, lines) in text.chars().filter_map(letter) {
        // The gap behind a letter is struck through as well.
        let reach = if ink.struck { columns + 1 } else { *columns };
        for row in 0..scale.rows() {
            let line = |half: u16| usize::from(half / scale.y.max(1));
            let (top, bottom) = (line(row * 2), line(row * 2 + 1));
            for column in 0..reach * scale.x {
                let pixel = column / scale.x.max(1);
                let is = |line: usize| {
                    let bits = lines.get(line).copied().unwrap_or(0);
                    (pixel < *columns && bits >> (columns - 1 - pixel) & 1 == 1) || (ink.struck && line == 3)
                };
                let sign = match (is(top), is(bottom)) {
                    (true, true) => full,
                    (true, false) => upper,
                    (false, true) => lower,
                    (false, false) => continue,
                };
                let at = (left.saturating_add(column), y.saturating_add(row));
                if limit.contains(at.into())
                    && let Some(cell) = buffer.cell_mut(at)
                {
                    cell.set_symbol(sign).set_style(ink.style);
                }
            }
        }
        left = left.saturating_add((columns + 1) * scale.x);
    }
    left.saturating_sub(scale.x)
}

/// The rows of `text` as plain lines, for views that are made of lines; nothing where there is nothing to draw.
pub fn lines(text: &str, scale: Scale, blocks: bool) -> Vec<String> {
    if !can(text) {
        return Vec::new();
    }
    let area = Rect::new(0, 0, width(text, scale.x), scale.rows());
    let mut buffer = Buffer::empty(area);
    draw(&mut buffer, area, 0, 0, text, scale, Ink { style: Style::new(), blocks, struck: false });
    let symbol = |x, y| buffer.cell((x, y)).map_or(" ", |cell| cell.symbol());
    let row = |y| (0..area.width).map(|x| symbol(x, y)).collect::<String>();
    (0..area.height).map(|y| row(y).trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str, blocks: bool) -> String {
        lines(text, Scale::ONE, blocks).join("\n")
    }

    #[test]
    fn letters_fit_their_box_and_differ() {
        for (i, (c, width, lines)) in FONT.iter().enumerate() {
            assert!(*width <= 5, "{c}");
            assert!(lines.iter().all(|l| u16::from(*l) < 1 << width), "{c} is wider than it says");
            for (other, _, same) in &FONT[..i] {
                assert!(lines != same || [*c, *other] == ['O', '0'], "{c} looks like {other}");
            }
        }
        for c in ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(":+-%/. ()_".chars()) {
            assert!(can(&c.to_string()), "{c}");
        }
        assert!(!can("ü") && !can("") && !can("日本"));
    }

    #[test]
    fn a_letter_as_drawn() {
        let wanted = ["▀▀█▀▀   ▄    ▄█", "  █   ▄▄█▄▄   █", "  █     █     █", "  ▀          ▀▀▀"];
        assert_eq!(drawn("T+1", true), wanted.join("\n"));
        assert_eq!(drawn("L", false), "#\n#\n#\n\"\"\"\"\"");
    }

    #[test]
    fn scales_follow_the_room() {
        assert_eq!(width("10", 1), 11);
        assert_eq!(largest("10", 10, 40), None);
        assert_eq!(largest("10", 11, 4), Some(Scale { x: 1, y: 1 }));
        assert_eq!(largest("10", 11, 40), Some(Scale { x: 1, y: 2 }));
        assert_eq!(largest("10", 200, 8), Some(Scale { x: 2, y: 2 }));
        assert_eq!(largest("10", 200, 3), None);
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_drawn_outside(
            x in 0u16..40, y in 0u16..20, sx in 1u16..5, sy in 1u16..5, text in "[ -~äß日]{0,12}", struck: bool
        ) {
            let area = Rect::new(0, 0, 30, 12);
            let limit = Rect::new(3, 2, 20, 6);
            let mut buffer = Buffer::empty(area);
            let ink = Ink { style: Style::new(), blocks: true, struck };
            draw(&mut buffer, limit, x, y, &text, Scale { x: sx, y: sy }, ink);
            for p in area.positions().filter(|p| !limit.contains(*p)) {
                proptest::prop_assert_eq!(buffer[p].symbol(), " ");
            }
        }
    }
}
