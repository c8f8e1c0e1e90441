//! From the difference of two frames to as few bytes as a plain terminal needs.
//!
//! Writes only cursor addressing, SGR and text; nothing is cleared before it is drawn, because a terminal that ignores
//! synchronized updates would flash. A frame without difference gives no byte at all.

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// Begin and end of a synchronized update (private mode 2026).
const BEGIN: &[u8] = b"\x1b[?2026h";
const END: &[u8] = b"\x1b[?2026l";

#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

const PLAIN: Look = Look { fg: Color::Reset, bg: Color::Reset, modifier: Modifier::empty() };

/// Keeps what the terminal is known to show beyond the cells.
#[derive(Debug, Default)]
pub struct Encoder {
    cursor: Option<(u16, u16)>,
}

impl Encoder {
    /// The bytes that turn `before` (`None`: anything) into `after`.
    pub fn frame(&mut self, before: Option<&Buffer>, after: &Buffer, cursor: Option<(u16, u16)>) -> Vec<u8> {
        let mut out = Vec::new();
        let cursor = cursor.filter(|(x, y)| *x < after.area.width && *y < after.area.height);
        let mut look = PLAIN;
        let mut at: Option<(u16, u16)> = None;
        let blank;
        let before_or_blank = match before {
            Some(before) => before,
            None => {
                blank = Buffer::empty(after.area);
                &blank
            }
        };
        if before.is_none() {
            // Only where the picture as a whole is unknown: after entering, a resize, Ctrl-L.
            out.extend_from_slice(b"\x1b[m\x1b[2J");
        }
        for (x, y, cell) in before_or_blank.diff_iter(after) {
            move_to(&mut out, at, (x, y));
            set_look(&mut out, &mut look, cell);
            out.extend_from_slice(cell.symbol().as_bytes());
            let width = u16::try_from(crate::text::width(cell.symbol())).unwrap_or(1).max(1);
            at = Some((x.saturating_add(width), y));
        }
        if look != PLAIN {
            out.extend_from_slice(b"\x1b[m");
        }
        if before.is_none() || cursor != self.cursor || (cursor.is_some() && !out.is_empty()) {
            match cursor {
                Some((x, y)) => {
                    move_to(&mut out, None, (x, y));
                    if before.is_none() || self.cursor.is_none() {
                        out.extend_from_slice(b"\x1b[?25h");
                    }
                }
                None => out.extend_from_slice(b"\x1b[?25l"),
            }
            self.cursor = cursor;
        }
        if out.is_empty() {
            return out;
        }
        let mut whole = Vec::with_capacity(out.len() + BEGIN.len() + END.len());
        whole.extend_from_slice(BEGIN);
        whole.append(&mut out);
        whole.extend_from_slice(END);
        whole
    }
}

fn move_to(out: &mut Vec<u8>, at: Option<(u16, u16)>, to: (u16, u16)) {
    match at {
        Some(at) if at == to => {}
        Some((x, y)) if y == to.1 && to.0 > x => push(out, format_args!("\x1b[{}C", to.0 - x)),
        _ => push(out, format_args!("\x1b[{};{}H", to.1 + 1, to.0 + 1)),
    }
}

fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    use std::io::Write;
    // Writing into memory cannot fail.
    let _ = out.write_fmt(text);
}

fn set_look(out: &mut Vec<u8>, look: &mut Look, cell: &Cell) {
    let wanted = Look { fg: cell.fg, bg: cell.bg, modifier: cell.modifier };
    if wanted == *look {
        return;
    }
    let mut codes = String::new();
    let removed = look.modifier.difference(wanted.modifier);
    let mut from = *look;
    if !removed.is_empty() || wanted == PLAIN {
        codes.push('0');
        from = PLAIN;
    }
    for (modifier, code) in [
        (Modifier::BOLD, "1"),
        (Modifier::DIM, "2"),
        (Modifier::ITALIC, "3"),
        (Modifier::UNDERLINED, "4"),
        (Modifier::SLOW_BLINK, "5"),
        (Modifier::REVERSED, "7"),
        (Modifier::CROSSED_OUT, "9"),
    ] {
        if wanted.modifier.contains(modifier) && !from.modifier.contains(modifier) {
            add(&mut codes, code);
        }
    }
    if wanted.fg != from.fg {
        colour(&mut codes, wanted.fg, 30, 90, "38", "39");
    }
    if wanted.bg != from.bg {
        colour(&mut codes, wanted.bg, 40, 100, "48", "49");
    }
    if codes == "0" {
        codes.clear();
    }
    push(out, format_args!("\x1b[{codes}m"));
    *look = wanted;
}

fn add(codes: &mut String, code: &str) {
    if !codes.is_empty() {
        codes.push(';');
    }
    codes.push_str(code);
}

fn colour(codes: &mut String, colour: Color, dark: u8, bright: u8, long: &str, reset: &str) {
    let code = match colour {
        Color::Reset => reset.to_owned(),
        Color::Black => dark.to_string(),
        Color::Red => (dark + 1).to_string(),
        Color::Green => (dark + 2).to_string(),
        Color::Yellow => (dark + 3).to_string(),
        Color::Blue => (dark + 4).to_string(),
        Color::Magenta => (dark + 5).to_string(),
        Color::Cyan => (dark + 6).to_string(),
        Color::Gray => (dark + 7).to_string(),
        Color::DarkGray => bright.to_string(),
        Color::LightRed => (bright + 1).to_string(),
        Color::LightGreen => (bright + 2).to_string(),
        Color::LightYellow => (bright + 3).to_string(),
        Color::LightBlue => (bright + 4).to_string(),
        Color::LightMagenta => (bright + 5).to_string(),
        Color::LightCyan => (bright + 6).to_string(),
        Color::White => (bright + 7).to_string(),
        Color::Indexed(i) => format!("{long};5;{i}"),
        Color::Rgb(r, g, b) => format!("{long};2;{r};{g};{b}"),
    };
    add(codes, &code);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    fn with(text: &str, style: Style) -> Buffer {
        let mut b = Buffer::empty(Rect::new(0, 0, 20, 2));
        b.set_stringn(0, 0, text, 20, style);
        b
    }

    #[test]
    fn the_same_picture_costs_nothing() {
        let mut e = Encoder::default();
        let a = with("hello", Style::new());
        assert!(!e.frame(None, &a, None).is_empty());
        assert!(e.frame(Some(&a), &a.clone(), None).is_empty());
    }

    #[test]
    fn a_clock_tick_costs_few_bytes() {
        let mut e = Encoder::default();
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let (a, b) = (with("T+00:00:01", bold), with("T+00:00:02", bold));
        e.frame(None, &a, None);
        let bytes = e.frame(Some(&a), &b, None);
        assert_eq!(String::from_utf8_lossy(&bytes), "\x1b[?2026h\x1b[1;10H\x1b[1m2\x1b[m\x1b[?2026l");
    }

    #[test]
    fn what_is_written_is_what_a_terminal_then_shows() {
        let mut e = Encoder::default();
        let mut parser = vt100::Parser::new(2, 20, 0);
        let frames = [
            with("one", Style::new().fg(Color::Red)),
            with("zwei 日本", Style::new().bg(Color::Rgb(1, 2, 3)).add_modifier(Modifier::UNDERLINED)),
            with("", Style::new()),
            with("end", Style::new().add_modifier(Modifier::REVERSED)),
        ];
        let mut before: Option<&Buffer> = None;
        for (i, frame) in frames.iter().enumerate() {
            parser.process(&e.frame(before, frame, (i == 1).then_some((3, 1))));
            let mut wanted = String::new();
            for x in 0..20 {
                wanted.push_str(frame[(x, 0)].symbol());
            }
            let seen = parser.screen().contents_between(0, 0, 0, 20);
            assert_eq!(seen.trim_end().replace(' ', ""), wanted.trim_end().replace(' ', ""));
            assert_eq!(parser.screen().hide_cursor(), i != 1);
            before = Some(frame);
        }
    }
}
