//! Columns on a terminal: measuring, cutting and padding by display width, never through a character.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Columns that `text` takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Exactly `columns` wide: cut with `…` or padded with spaces on the right.
pub fn fit(text: &str, columns: usize) -> String {
    let mut out = cut(text, columns);
    let missing = columns.saturating_sub(out.width());
    out.extend(std::iter::repeat_n(' ', missing));
    out
}

/// At most `columns` wide: cut with `…` where needed.
pub fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for g in text.graphemes(true) {
        let w = g.width();
        if used + w + 1 > columns {
            break;
        }
        out.push_str(g);
        used += w;
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// Columns for a list's names: those of the longest, as far as there is room; `least` at the least, so that short lists
/// stand as they always did. Without a limit nothing is cut.
pub fn column<'a>(names: impl Iterator<Item = &'a str>, least: usize, room: Option<usize>) -> usize {
    let longest = names.map(width).max().unwrap_or(0).max(least);
    room.map_or(longest, |room| longest.min(room.max(least)))
}

/// At most `columns` wide, keeping both ends: `/var/backups/…/full.dump`.
pub fn fit_middle(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    if columns < 3 {
        return cut(text, columns);
    }
    let head_room = (columns - 1) / 2;
    let tail_room = columns - 1 - head_room;
    let mut head = String::new();
    for g in text.graphemes(true) {
        if head.width() + g.width() > head_room {
            break;
        }
        head.push_str(g);
    }
    let mut tail: Vec<&str> = Vec::new();
    let mut used = 0;
    for g in text.graphemes(true).rev() {
        if used + g.width() > tail_room {
            break;
        }
        used += g.width();
        tail.push(g);
    }
    tail.reverse();
    format!("{head}…{}", tail.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_and_padded_by_columns() {
        assert_eq!(fit("abc", 5), "abc  ");
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 4), "日… ");
        assert_eq!(fit("abc", 0), "");
        assert_eq!(fit_middle("/var/backups/full.dump", 11), "/var/….dump");
    }
}
