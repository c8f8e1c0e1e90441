//! Noticing a "no" in the output of a tool that exits with 0 all the same.

use regex::Regex;

use crate::text;

/// Bytes of one line that are looked at.
const LONGEST: usize = 16 << 10;

/// Watches a stream of output for lines that mean refusal.
#[derive(Debug)]
pub struct Refusals {
    patterns: Vec<Regex>,
    line: Vec<u8>,
    found: Option<String>,
}

impl Refusals {
    /// Errors: the pattern that does not read, and why.
    pub fn new(patterns: &[String]) -> Result<Refusals, String> {
        let compile = |p: &String| Regex::new(p).map_err(|e| format!("\"{p}\" is no regular expression: {e}"));
        Ok(Refusals {
            patterns: patterns.iter().map(compile).collect::<Result<_, _>>()?,
            line: Vec::new(),
            found: None,
        })
    }

    /// More output.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.patterns.is_empty() || self.found.is_some() {
            return;
        }
        for part in bytes.split_inclusive(|b| matches!(b, b'\n' | b'\r')) {
            let room = LONGEST.saturating_sub(self.line.len()).min(part.len());
            self.line.extend_from_slice(part.get(..room).unwrap_or_default());
            if part.ends_with(b"\n") || part.ends_with(b"\r") {
                self.end_line();
            }
        }
    }

    /// The line that meant no, cleaned but not masked, once everything was seen.
    pub fn finish(mut self) -> Option<String> {
        self.end_line();
        self.found
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        let line = line.trim();
        if self.found.is_none() && !line.is_empty() && self.patterns.iter().any(|p| p.is_match(line)) {
            self.found = Some(text::clean(line).into_owned());
        }
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_no_is_found_across_reads_and_without_a_line_end() {
        let patterns = ["(?i)^aborted".to_owned(), r"\?\s*no$".to_owned()];
        for (reads, found) in [
            (vec!["fine\n", "Abo", "rted by user\nmore\n"], Some("Aborted by user")),
            (vec!["restart? ", "no"], Some("restart? no")),
            (vec!["all good\nnot aborted\n"], None),
        ] {
            let mut watch = Refusals::new(&patterns).unwrap();
            for read in reads {
                watch.push(read.as_bytes());
            }
            assert_eq!(watch.finish().as_deref(), found);
        }
        assert!(Refusals::new(&["(".to_owned()]).is_err());
    }
}
