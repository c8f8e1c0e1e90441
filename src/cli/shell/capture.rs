//! What a command wrote, as it is kept: bounded, without colours, cleaned and masked.
//!
//! The beginning and the end are kept, and what is cut between them is counted. It is cut at the ends of lines, so that
//! no secret is split and so hidden from the mask.

use std::collections::VecDeque;

use crate::text::Mask;

/// Bytes kept of the beginning, and of the end.
const HEAD: usize = 4 << 20;
const TAIL: usize = 4 << 20;
/// Characters of a line; of one in the excerpt; lines and bytes of that.
const LINE: usize = 4000;
const EXCERPT_LINE: usize = 400;
const EXCERPT_LINES: usize = 20;
const EXCERPT: usize = 2048;
/// A program takes the whole screen, and gives it back.
const SCREEN_ON: &str = "\u{1b}[?1049h";
const SCREEN_OFF: &str = "\u{1b}[?1049l";

/// Bytes as they come.
#[derive(Debug, Default)]
pub struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    pub total: u64,
}

impl Capture {
    pub fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let (now, rest) = bytes.split_at(HEAD.saturating_sub(self.head.len()).min(bytes.len()));
        self.head.extend_from_slice(now);
        let rest = rest.get(rest.len().saturating_sub(TAIL)..).unwrap_or_default();
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..over);
    }

    /// All that is kept, as lines to be read.
    pub fn text(&self, mask: &Mask) -> String {
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        let cut = self.total - (self.head.len() + tail.len()) as u64;
        if cut == 0 {
            let whole = [self.head.as_slice(), &tail].concat();
            return lines_of(&String::from_utf8_lossy(&whole), mask);
        }
        let begins = self.head.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let ends = tail.iter().position(|b| *b == b'\n').map_or(tail.len(), |at| at + 1);
        let head = self.head.get(..begins).unwrap_or_default();
        let end = tail.get(ends..).unwrap_or_default();
        let cut = self.total - (head.len() + end.len()) as u64;
        let mut text = lines_of(&String::from_utf8_lossy(head), mask);
        text.push_str(&format!("… {cut} bytes cut …\n"));
        text.push_str(&lines_of(&String::from_utf8_lossy(end), mask));
        text
    }
}

/// The last lines of a text.
pub fn excerpt(text: &str) -> String {
    let (mut lines, mut bytes) = (VecDeque::new(), 0);
    for line in text.lines().rev().take(EXCERPT_LINES) {
        let line = crate::text::clean::clean_to(line, EXCERPT_LINE);
        bytes += line.len() + 1;
        if bytes > EXCERPT && !lines.is_empty() {
            break;
        }
        lines.push_front(line);
    }
    Vec::from(lines).join("\n")
}

fn lines_of(raw: &str, mask: &Mask) -> String {
    let mut out = String::with_capacity(raw.len());
    for line in without_screens(raw).lines() {
        // Of a line that was written over and over (a progress bar) the last state counts.
        let line = line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
        let line = without_colours(line);
        out.push_str(&crate::text::clean::clean_to(&mask.apply(&line), LINE));
        out.push('\n');
    }
    out
}

/// What a full-screen program drew is nothing to read.
fn without_screens(raw: &str) -> std::borrow::Cow<'_, str> {
    if !raw.contains(SCREEN_ON) {
        return raw.into();
    }
    let mut out = String::new();
    let mut rest = raw;
    while let Some((before, drawn)) = rest.split_once(SCREEN_ON) {
        out.push_str(before);
        out.push_str("\n(a full screen)\n");
        rest = drawn.split_once(SCREEN_OFF).map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out.into()
}

/// Takes colours and "erase the line" out; whatever else a terminal would obey stays, to be made visible.
fn without_colours(line: &str) -> std::borrow::Cow<'_, str> {
    static COLOURS: std::sync::OnceLock<Option<regex::Regex>> = std::sync::OnceLock::new();
    match COLOURS.get_or_init(|| regex::Regex::new("\u{1b}\\[[0-9;:]*[mK]|\u{1b}\\(B").ok()) {
        Some(colours) => colours.replace_all(line, ""),
        None => line.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(raw: &str) -> String {
        let mut capture = Capture::default();
        capture.push(raw.as_bytes());
        capture.text(&Mask::default())
    }

    #[test]
    fn what_is_kept_reads_as_the_terminal_showed_it() {
        for (raw, wanted) in [
            ("\u{1b}[1;31mred\u{1b}[0m\r\nplain\n", "red\nplain\n"),
            ("10 %\r50 %\r100 %\n", "100 %\n"),
            ("\u{1b}[2Jgone\u{7}\n", "·[2Jgone·\n"),
            ("a\n\u{1b}[?1049hjunk\njunk\u{1b}[?1049lb\n", "a\n\n(a full screen)\nb\n"),
            ("password=hunter22\n", "password=***\n"),
            ("no end", "no end\n"),
        ] {
            assert_eq!(text(raw), wanted, "{raw:?}");
        }
    }

    #[test]
    fn a_flood_keeps_its_ends_and_says_what_is_missing() {
        let mut capture = Capture::default();
        for n in 0..2_000_000 {
            capture.push(format!("line {n:07}\n").as_bytes());
        }
        let text = capture.text(&Mask::default());
        assert!(text.len() <= HEAD + TAIL + 100, "{}", text.len());
        assert!(text.starts_with("line 0000000\n") && text.ends_with("line 1999999\n"));
        let cut: Vec<&str> = text.lines().filter(|l| !l.starts_with("line ")).collect();
        let [cut] = cut.as_slice() else { panic!("{cut:?}") };
        let kept = text.len() - cut.len() - 1;
        assert_eq!(*cut, format!("… {} bytes cut …", 2_000_000 * 13 - kept));
    }

    #[test]
    fn the_excerpt_is_the_end() {
        let all: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let end = excerpt(&all);
        assert_eq!(end.lines().count(), EXCERPT_LINES);
        assert!(end.ends_with("line 99"));
        assert!(excerpt(&"x".repeat(100_000)).len() <= EXCERPT);
    }
}
