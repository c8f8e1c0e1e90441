//! Neutralising text from outside: control characters, escape sequences, bidirectional overrides, overlong lines.
//!
//! Escape sequences are not interpreted and not removed without trace: a control character becomes the visible mark
//! `·`, so that a reader sees that something stood there, and a terminal sees nothing to obey.

use std::borrow::Cow;

/// Characters kept of a single value by [`clean`].
pub const LIMIT: usize = 512;
const MARK: char = '·';

fn is_hostile(c: char) -> bool {
    matches!(c,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}'                       // C0, DEL, C1
        | '\u{ad}' | '\u{61c}' | '\u{180e}'                            // soft hyphen, Arabic letter mark
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'            // zero width, separators, overrides
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{fe00}'..='\u{fe0f}'                                      // variation selectors shift rows
        | '\u{e0000}'..='\u{e0fff}' | '\u{1d173}'..='\u{1d17a}')
}

/// One line, at most [`LIMIT`] characters: every control, bidirectional and zero-width character becomes `·` (a tab or a
/// line end becomes a space), the rest is cut with `…`.
pub fn clean(text: &str) -> Cow<'_, str> {
    clean_to(text, LIMIT)
}

/// As [`clean`], with a limit of its own in characters.
pub fn clean_to(text: &str, limit: usize) -> Cow<'_, str> {
    let harmless = text.len() <= limit && text.bytes().all(|b| (0x20..0x7f).contains(&b));
    if harmless {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().min(limit.saturating_mul(4)));
    for (kept, c) in text.chars().enumerate() {
        if kept == limit {
            out.pop();
            out.push('…');
            break;
        }
        out.push(match c {
            '\t' | '\n' | '\r' => ' ',
            c if is_hostile(c) => MARK,
            c => c,
        });
    }
    Cow::Owned(out)
}

/// Bytes from outside: decoded lossily, then [`clean`]ed.
pub fn clean_bytes(bytes: &[u8]) -> String {
    let head = bytes.get(..LIMIT * 4 + 4).unwrap_or(bytes);
    clean(&String::from_utf8_lossy(head)).into_owned()
}

/// Several lines: line ends are kept, each line is cleaned and cut at `limit` characters.
pub fn clean_lines(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(1 << 20));
    for (i, line) in text.split('\n').enumerate() {
        if i > 0 {
            out.push('\n');
        }
        out.push_str(&clean_to(line.strip_suffix('\r').unwrap_or(line), limit));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_becomes_visible_and_harmless() {
        for (text, wanted) in [
            ("plain", "plain"),
            ("\u{1b}[2Jgone", "·[2Jgone"),
            ("\u{1b}]0;title\u{7}", "·]0;title·"),
            ("\u{9b}31m", "·31m"),
            ("a\u{202e}b", "a·b"),
            ("two\nlines\tand tab", "two lines and tab"),
            ("naïve 日本", "naïve 日本"),
        ] {
            assert_eq!(clean(text), wanted);
        }
    }

    #[test]
    fn long_text_is_cut_with_a_mark() {
        let cut = clean_to("äöüäöü", 4).into_owned();
        assert_eq!(cut, "äöü…");
        assert_eq!(clean(&"x".repeat(1 << 20)).chars().count(), LIMIT);
        assert_eq!(clean_to(&"x".repeat(LIMIT), LIMIT).chars().count(), LIMIT);
    }

    #[test]
    fn bytes_that_are_no_text_are_read_all_the_same() {
        assert_eq!(clean_bytes(&[b'a', 0xff, b'b', 0]), "a\u{fffd}b·");
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(clean_lines("a\r\nb\u{7}\nc", 80), "a\nb·\nc");
    }

    proptest::proptest! {
        #[test]
        fn nothing_a_terminal_obeys_is_left(text in ".{0,400}") {
            let out = clean(&text).into_owned();
            proptest::prop_assert!(!out.chars().any(is_hostile));
            proptest::prop_assert!(out.chars().count() <= LIMIT);
        }
    }
}
