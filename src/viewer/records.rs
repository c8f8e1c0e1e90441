//! What is read from the engine by position: rows of the timeline ([`super::rows`]), output of runs. Bounded: what is far away is
//! forgotten and read again when somebody scrolls there.

use std::collections::VecDeque;

pub use super::rows::{Scope, Timeline};
use crate::wire::OutputChunk;

/// Bytes of output kept.
const OUTPUT: usize = 1 << 20;

/// The output of one run, as far as it is kept.
#[derive(Clone, Debug, Default)]
pub struct Output {
    pub run: String,
    pub lines: VecDeque<String>,
    bytes: usize,
    /// Where to read on.
    pub next: u64,
    pub total: u64,
    pub over: bool,
    pub cut: u64,
    /// Lines dropped at the beginning.
    pub dropped: usize,
    /// The last line has not ended yet.
    open: bool,
    pub asking: bool,
    pub follow: bool,
    pub top: usize,
    pub search: String,
    pub problem: Option<String>,
}

impl Output {
    pub fn of(run: &str) -> Output {
        Output { run: run.to_owned(), follow: true, ..Output::default() }
    }

    /// Takes the next piece in.
    pub fn take(&mut self, chunk: &OutputChunk) {
        self.next = chunk.next;
        self.total = chunk.total;
        self.over = chunk.over;
        self.cut = chunk.cut;
        for piece in chunk.text.split_inclusive('\n') {
            let ended = piece.ends_with('\n');
            let text = crate::text::clean::clean_to(piece.trim_end_matches(['\n', '\r']), 4000).into_owned();
            self.bytes += text.len() + 1;
            match self.lines.back_mut() {
                Some(last) if self.open => last.push_str(&text),
                _ => self.lines.push_back(text),
            }
            self.open = !ended;
        }
        while self.bytes > OUTPUT {
            let Some(line) = self.lines.pop_front() else { break };
            self.bytes -= line.len() + 1;
            self.dropped += 1;
            self.top = self.top.saturating_sub(1);
        }
    }

    /// The first line to show so that the last ones fill `rows` of `columns`: long lines take several rows.
    pub fn last_top(&self, rows: usize, columns: usize) -> usize {
        let mut left = rows;
        let mut top = self.lines.len();
        for line in self.lines.iter().rev() {
            let high = height(line, columns);
            if high > left && top < self.lines.len() {
                break;
            }
            top -= 1;
            left = left.saturating_sub(high);
        }
        top
    }

    /// Everything there is has been read.
    pub fn is_caught_up(&self) -> bool {
        self.next >= self.total
    }

    /// Scrolls to the next line with the search words, from `from` on.
    pub fn find(&self, from: usize, backwards: bool) -> Option<usize> {
        if self.search.is_empty() {
            return None;
        }
        let needle = self.search.to_lowercase();
        let hit = |i: &usize| self.lines.get(*i).is_some_and(|l| l.to_lowercase().contains(&needle));
        let n = self.lines.len();
        if backwards {
            (0..from.min(n)).rev().chain((from.min(n)..n).rev()).find(hit)
        } else {
            (from.min(n)..n).chain(0..from.min(n)).find(hit)
        }
    }
}

/// Rows that a line of output takes when it is `columns` wide.
pub fn height(line: &str, columns: usize) -> usize {
    crate::text::width(line).div_ceil(columns.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_fill_the_room() {
        let mut out = Output::of("r1");
        out.take(&OutputChunk { text: "a\nb\n0123456789012\nc\n".into(), ..OutputChunk::default() });
        assert_eq!(out.last_top(10, 10), 0);
        assert_eq!(out.last_top(4, 10), 1);
        assert_eq!(out.last_top(3, 10), 2);
        // A line that is higher than the room is shown from its beginning.
        assert_eq!(out.last_top(1, 10), 3);
        assert_eq!(out.last_top(2, 2), 3);
        assert_eq!(Output::of("r2").last_top(5, 10), 0);
    }

    #[test]
    fn output_comes_in_pieces() {
        let mut out = Output::of("r1");
        for (text, next) in [("one\ntw", 6), ("o\nthree", 13), ("\n", 14)] {
            out.take(&OutputChunk { text: text.into(), next, total: 14, ..OutputChunk::default() });
        }
        assert_eq!(out.lines, ["one", "two", "three"]);
        assert!(out.is_caught_up());
        out.search = "T".into();
        assert_eq!(out.find(0, false), Some(1));
        assert_eq!(out.find(2, false), Some(2));
        assert_eq!(out.find(1, true), Some(2));
    }

    #[test]
    fn output_is_bounded() {
        let mut out = Output::of("r1");
        let text = "x".repeat(1000) + "\n";
        for _ in 0..3000 {
            out.take(&OutputChunk { text: text.clone(), ..OutputChunk::default() });
        }
        assert!(out.bytes <= OUTPUT && out.dropped > 1000);
    }
}
