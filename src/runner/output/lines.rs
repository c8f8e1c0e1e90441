//! From the bytes of a command to masked, cleaned lines.
//!
//! Masking comes first and works on whole lines, so that no secret is split; then control characters become visible
//! marks. A line ends at a line feed or a carriage return (progress bars). A line longer than [`LONGEST`] is cut into
//! several, at a place where cutting does not hide a secret from the mask; where there is none, the rest of that word is
//! dropped rather than shown.

use crate::text::Mask;
use crate::text::clean::clean_to;

/// Bytes of a line beyond which it is cut into several.
pub const LONGEST: usize = 16 << 10;
/// Places looked at for a cut.
const TRIES: usize = 64;

/// Collects bytes into lines.
#[derive(Debug)]
pub struct Lines {
    mask: Mask,
    line: Vec<u8>,
    after_return: bool,
    /// In a word that cannot be cut: dropped up to the next blank.
    swallowing: bool,
}

impl Lines {
    pub fn new(mask: Mask) -> Lines {
        Lines { mask, line: Vec::new(), after_return: false, swallowing: false }
    }

    /// More bytes; `emit` gets each line that is complete.
    pub fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(&str)) {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            if std::mem::take(&mut self.after_return) && *first == b'\n' {
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let room = (LONGEST + self.hold_back()).saturating_sub(self.line.len()).max(1).min(rest.len());
            let window = rest.get(..room).unwrap_or_default();
            match window.iter().position(|b| matches!(b, b'\n' | b'\r')) {
                Some(end) => {
                    self.add(window.get(..end).unwrap_or_default());
                    self.after_return = window.get(end) == Some(&b'\r');
                    rest = rest.get(end + 1..).unwrap_or_default();
                    self.end_line(emit);
                }
                None => {
                    self.add(window);
                    rest = rest.get(room..).unwrap_or_default();
                    if self.line.len() >= LONGEST + self.hold_back() {
                        self.cut(emit);
                    }
                }
            }
        }
    }

    /// The end of the stream: a line without an end is a line.
    pub fn finish(&mut self, emit: &mut dyn FnMut(&str)) {
        if !self.line.is_empty() {
            self.end_line(emit);
        }
        self.swallowing = false;
        self.after_return = false;
    }

    /// One line of text that did not come as bytes.
    pub fn text(&self, text: &str) -> String {
        clean_to(&self.mask.apply(text), usize::MAX).into_owned()
    }

    /// Bytes beyond a cut that have to be known before it is made.
    fn hold_back(&self) -> usize {
        self.mask.longest().max(1024)
    }

    fn add(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        if self.swallowing {
            match bytes.iter().position(u8::is_ascii_whitespace) {
                Some(end) => {
                    self.swallowing = false;
                    bytes = bytes.get(end..).unwrap_or_default();
                }
                None => return,
            }
        }
        self.line.extend_from_slice(bytes);
    }

    fn end_line(&mut self, emit: &mut dyn FnMut(&str)) {
        let text = String::from_utf8_lossy(&self.line);
        emit(&clean_to(&self.mask.apply(&text), usize::MAX));
        self.line.clear();
        self.swallowing = false;
    }

    /// Gives out the first part of an overlong line.
    fn cut(&mut self, emit: &mut dyn FnMut(&str)) {
        let whole = masked(&self.mask, &self.line);
        let latest = self.line.len().saturating_sub(self.hold_back());
        let found = places(&self.line, latest).find_map(|at| {
            let (first, second) = self.line.split_at_checked(at)?;
            let (first, second) = (masked(&self.mask, first), masked(&self.mask, second));
            // Nothing that the mask would find spans the cut.
            let same =
                whole.len() == first.len() + second.len() && whole.starts_with(&first) && whole.ends_with(&second);
            same.then_some((at, first))
        });
        match found {
            Some((at, first)) => {
                emit(&clean_to(&first, usize::MAX));
                self.line.drain(..at);
            }
            None => {
                emit(&clean_to(&whole, usize::MAX));
                self.line.clear();
                self.swallowing = true;
            }
        }
    }
}

fn masked(mask: &Mask, bytes: &[u8]) -> String {
    mask.apply(&String::from_utf8_lossy(bytes)).into_owned()
}

/// Where a line may be cut: before blanks first, then anywhere between characters, latest first.
fn places(line: &[u8], latest: usize) -> impl Iterator<Item = usize> {
    let boundary = |at: &usize| line.get(*at).is_none_or(|b| !(0x80..0xc0).contains(b));
    let blanks = (1..=latest).rev().filter(|at| line.get(*at).is_some_and(u8::is_ascii_whitespace)).take(TRIES);
    let others = (1..=latest).rev().filter(boundary).take(TRIES);
    blanks.chain(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(mask: &Mask, chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::new(mask.clone());
        let mut out = Vec::new();
        for chunk in chunks {
            lines.push(chunk, &mut |l| out.push(l.to_owned()));
        }
        lines.finish(&mut |l| out.push(l.to_owned()));
        out
    }

    #[test]
    fn lines_end_where_people_see_them_end() {
        let none = Mask::default();
        for (chunks, wanted) in [
            (vec![&b"a\nb\r\nc"[..]], vec!["a", "b", "c"]),
            (vec![b"a\r", b"\nb\n"], vec!["a", "b"]),
            (vec![b"10%\r20%\r", b"done\n"], vec!["10%", "20%", "done"]),
            (vec![b"\n\nx"], vec!["", "", "x"]),
            (vec![b"\x1b[31mred\xff\n"], vec!["·[31mred\u{fffd}"]),
        ] {
            assert_eq!(split(&none, &chunks), wanted);
        }
    }

    #[test]
    fn a_secret_split_over_reads_is_masked() {
        let mask = Mask::new(["correct horse battery".to_owned()]);
        let text = b"say correct horse battery now\n";
        for at in 0..text.len() {
            let (a, b) = text.split_at(at);
            assert_eq!(split(&mask, &[a, b]), ["say *** now"]);
        }
    }

    #[test]
    fn a_secret_anywhere_in_an_overlong_line_is_masked() {
        let secret = "s3cret-value-of-a-planted-token";
        let mask = Mask::new([secret.to_owned()]);
        let filler = "abcdefgh ".repeat(LONGEST / 9);
        for place in [0, 9, LONGEST - 40, LONGEST - 5, LONGEST + 3, LONGEST + 1020, LONGEST + 1040] {
            for spaced in [true, false] {
                let mut line = filler.repeat(3);
                if !spaced {
                    line = line.replace(' ', "x");
                }
                line.insert_str(place, secret);
                let out = split(&mask, &[line.as_bytes()]);
                let all = out.concat();
                assert!(!all.contains("planted"), "at {place}, spaced {spaced}");
                assert!(all.contains("***"), "at {place}, spaced {spaced}");
                assert!(out.iter().all(|l| l.len() <= LONGEST + 2048));
            }
        }
    }

    #[test]
    fn a_masked_word_without_an_end_is_dropped_not_shown() {
        let line = format!("password={} end\n", "k".repeat(LONGEST * 4));
        let out = split(&Mask::default(), &[line.as_bytes()]);
        assert!(!out.concat().contains("kkk"), "{:?}", out.first());
        assert!(out.concat().ends_with(" end"), "{out:?}");
    }

    proptest::proptest! {
        #[test]
        fn how_bytes_arrive_does_not_matter(bytes: Vec<u8>, cuts: Vec<usize>) {
            let mask = Mask::default();
            let whole = split(&mask, &[&bytes]);
            let mut at: Vec<usize> = cuts.into_iter().map(|c| c % (bytes.len() + 1)).chain([0, bytes.len()]).collect();
            at.sort_unstable();
            let chunks: Vec<&[u8]> = at.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            proptest::prop_assert_eq!(split(&mask, &chunks), whole);
        }
    }
}
