//! What is read from the engine by position: rows of the timeline, output of runs. Bounded: what is far away is
//! forgotten and read again when somebody scrolls there.

use std::collections::VecDeque;

use crate::domain::timeline::{Level, Row};
use crate::wire::OutputChunk;

/// Rows kept.
const ROWS: usize = 3000;
/// Bytes of output kept.
const OUTPUT: usize = 1 << 20;

/// Which rows are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    #[default]
    All,
    /// Without what is only for the record.
    Story,
    /// Only this incident's.
    Incident,
}

impl Scope {
    pub const fn word(self) -> &'static str {
        match self {
            Scope::All => "all",
            Scope::Story => "story",
            Scope::Incident => "this incident",
        }
    }

    pub const fn next(self) -> Scope {
        match self {
            Scope::All => Scope::Story,
            Scope::Story => Scope::Incident,
            Scope::Incident => Scope::All,
        }
    }
}

/// Rows, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    pub rows: VecDeque<Row>,
    pub scope: Scope,
    /// A question for newer rows is under way.
    pub asking: bool,
    /// A question for older rows is under way, or there are none.
    pub asking_older: bool,
    pub at_begin: bool,
    /// Position up to which rows are known.
    pub head: u64,
    /// The first rows have come.
    pub filled: bool,
    /// The last redaction that the rows know of.
    pub redacted: u64,
}

impl Timeline {
    /// Forgets everything, to be read anew.
    pub fn forget(&mut self) {
        *self = Timeline { scope: self.scope, redacted: self.redacted, ..Timeline::default() };
    }

    /// Takes newer rows in.
    pub fn take(&mut self, rows: Vec<Row>, head: u64) {
        let last = self.rows.back().map_or(0, |r| r.seq);
        self.head = rows.last().map_or(head, |r| r.seq).max(self.head);
        self.rows.extend(rows.into_iter().filter(|r| r.seq > last));
        while self.rows.len() > ROWS {
            self.rows.pop_front();
            self.at_begin = false;
        }
        self.filled = true;
    }

    /// Takes older rows in.
    pub fn take_older(&mut self, rows: Vec<Row>) {
        let first = self.rows.front().map_or(u64::MAX, |r| r.seq);
        let mut any = false;
        for row in rows.into_iter().rev().filter(|r| r.seq < first) {
            if self.rows.len() >= ROWS {
                return;
            }
            any = true;
            self.rows.push_front(row);
        }
        self.at_begin = !any;
    }

    pub fn shown<'a>(&'a self, incident: Option<&'a str>) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(move |r| match self.scope {
            Scope::All => true,
            Scope::Story => r.level > Level::Detail,
            Scope::Incident => incident.is_some() && r.incident.as_deref() == incident,
        })
    }

    /// The row at a position.
    pub fn get(&self, seq: u64) -> Option<&Row> {
        let at = self.rows.binary_search_by_key(&seq, |r| r.seq).ok()?;
        self.rows.get(at)
    }
}

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
