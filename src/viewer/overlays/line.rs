//! A line of text being edited.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use unicode_segmentation::UnicodeSegmentation;

use crate::text::width;
use crate::viewer::canvas::Canvas;
use crate::viewer::theme::Role;

/// Longest line, in characters.
const LIMIT: usize = 2000;

/// Text and the place of the cursor, in graphemes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    text: String,
    at: usize,
}

impl Line {
    /// With the cursor at its end.
    pub fn new(text: impl Into<String>) -> Line {
        let text = text.into();
        let at = text.graphemes(true).count();
        Line { text, at }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    fn byte(&self, at: usize) -> usize {
        self.text.grapheme_indices(true).nth(at).map_or(self.text.len(), |(i, _)| i)
    }

    fn len(&self) -> usize {
        self.text.graphemes(true).count()
    }

    /// Puts text in. Line ends and control characters become spaces.
    pub fn insert(&mut self, text: &str) {
        let room = LIMIT.saturating_sub(self.text.chars().count());
        let clean: String = crate::text::clean(text).chars().take(room).collect();
        let at = self.byte(self.at);
        self.text.insert_str(at, &clean);
        let end = at + clean.len();
        self.at = self.text.get(..end).map_or(0, |t| t.graphemes(true).count());
    }

    fn remove(&mut self, from: usize, to: usize) {
        let (a, b) = (self.byte(from), self.byte(to));
        if a < b {
            self.text.replace_range(a..b, "");
        }
        self.at = from.min(self.len());
    }

    fn word_left(&self) -> usize {
        let parts: Vec<&str> = self.text.graphemes(true).take(self.at).collect();
        let mut at = parts.len();
        let blank = |i: usize| parts.get(i).is_some_and(|g| *g == " ");
        while at > 0 && blank(at - 1) {
            at -= 1;
        }
        while at > 0 && !blank(at - 1) {
            at -= 1;
        }
        at
    }

    /// Takes a key. False when it means nothing to a line.
    pub fn key(&mut self, key: &KeyEvent) -> bool {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        match (key.code, ctrl) {
            (KeyCode::Char('a'), true) | (KeyCode::Home, _) => self.at = 0,
            (KeyCode::Char('e'), true) | (KeyCode::End, _) => self.at = self.len(),
            (KeyCode::Char('u'), true) => self.remove(0, self.at),
            (KeyCode::Char('k'), true) => self.remove(self.at, self.len()),
            (KeyCode::Char('w'), true) => self.remove(self.word_left(), self.at),
            (KeyCode::Left, true) => self.at = self.word_left(),
            (KeyCode::Left, false) => self.at = self.at.saturating_sub(1),
            (KeyCode::Right, _) => self.at = (self.at + 1).min(self.len()),
            (KeyCode::Backspace, _) => {
                if self.at > 0 {
                    self.remove(self.at - 1, self.at);
                }
            }
            (KeyCode::Delete, _) => self.remove(self.at, (self.at + 1).min(self.len())),
            (KeyCode::Char(c), false) if !key.modifiers.contains(KeyModifiers::ALT) => {
                let mut buffer = [0; 4];
                self.insert(c.encode_utf8(&mut buffer));
            }
            _ => return false,
        }
        true
    }

    /// Draws it on the first row of `area`; gives the cursor's place when it is `active`.
    pub fn draw(&self, area: Rect, active: bool, c: &mut Canvas<'_>) -> Option<(u16, u16)> {
        if area.width == 0 || area.height == 0 {
            return None;
        }
        let role = if active { Role::Input } else { Role::InputOff };
        let columns = usize::from(area.width);
        let before: Vec<&str> = self.text.graphemes(true).take(self.at).collect();
        // Scrolled so that the cursor is in view.
        let mut first = 0;
        while width(&before.get(first..).unwrap_or_default().concat()) >= columns && first < before.len() {
            first += 1;
        }
        let shown: String = self.text.graphemes(true).skip(first).collect();
        let blank = " ".repeat(columns);
        c.put(area.x, area.y, area.width, &blank, role);
        c.put(area.x, area.y, area.width, &shown, role);
        let x = width(&before.get(first..).unwrap_or_default().concat());
        active.then(|| (area.x.saturating_add(u16::try_from(x).unwrap_or(0)).min(area.right() - 1), area.y))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(line: &mut Line, code: KeyCode, ctrl: bool) {
        line.key(&KeyEvent::new(code, if ctrl { KeyModifiers::CONTROL } else { KeyModifiers::NONE }));
    }

    #[test]
    fn editing() {
        let mut line = Line::new("api is dwn");
        press(&mut line, KeyCode::Left, false);
        press(&mut line, KeyCode::Left, false);
        press(&mut line, KeyCode::Char('o'), false);
        assert_eq!(line.text(), "api is down");
        press(&mut line, KeyCode::End, false);
        press(&mut line, KeyCode::Char('w'), true);
        assert_eq!(line.text(), "api is ");
        line.insert("two\nlines\u{1b}[2J");
        assert_eq!(line.text(), "api is two lines·[2J");
        press(&mut line, KeyCode::Char('u'), true);
        assert_eq!(line.text(), "");
    }

    proptest::proptest! {
        #[test]
        fn no_key_breaks_a_line(keys in proptest::collection::vec((0u8..12, proptest::char::any()), 0..60)) {
            let mut line = Line::default();
            for (what, c) in keys {
                let (code, ctrl) = match what {
                    0 => (KeyCode::Left, false),
                    1 => (KeyCode::Right, false),
                    2 => (KeyCode::Backspace, false),
                    3 => (KeyCode::Delete, false),
                    4 => (KeyCode::Char('w'), true),
                    5 => (KeyCode::Left, true),
                    _ => (KeyCode::Char(c), false),
                };
                press(&mut line, code, ctrl);
                proptest::prop_assert!(line.at <= line.len());
            }
        }
    }
}
