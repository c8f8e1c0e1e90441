//! Where faults are collected.

use std::path::{Path, PathBuf};

use super::Span;
use crate::config::fault::{Fault, Lines};

/// How far a fault can be believed when the file has syntax errors too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// Not TOML, and what follows may have been read as something else.
    Broken,
    /// Not TOML, yet everything around it is what it seems.
    Slip,
    /// About a key or value that stands in the file.
    Seen,
    /// About something that does not, which a syntax error may have hidden.
    Missed,
}

/// Collects faults, and where secrets stand in the open.
pub struct Sink {
    /// The file, for messages.
    pub file: PathBuf,
    /// Folder that relative paths start from.
    pub base: PathBuf,
    list: Vec<(Weight, Span, String, String)>,
    /// Values that are secrets written into the file.
    pub literals: Vec<Span>,
    /// Faults of other files that belong to this one.
    pub foreign: Vec<Fault>,
    /// What is odd but allowed; of other files with their place.
    pub warned: Vec<(Span, String)>,
    pub warned_elsewhere: Vec<String>,
    /// What other files say: a change there is one of the whole.
    pub also: Vec<u8>,
}

impl Sink {
    pub fn new(file: &Path) -> Self {
        let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let base = whole.parent().unwrap_or(Path::new("/")).to_owned();
        Sink {
            file: file.to_owned(),
            base,
            list: Vec::new(),
            literals: Vec::new(),
            foreign: Vec::new(),
            warned: Vec::new(),
            warned_elsewhere: Vec::new(),
            also: Vec::new(),
        }
    }

    /// What the parser says. `slip`: it concerns one value only.
    pub fn syntax(&mut self, span: Span, slip: bool, message: impl Into<String>, hint: impl Into<String>) {
        let weight = if slip { Weight::Slip } else { Weight::Broken };
        self.list.push((weight, span, message.into(), hint.into()));
    }

    pub fn fault(&mut self, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.list.push((Weight::Seen, span, message.into(), hint.into()));
    }

    pub fn missing(&mut self, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.list.push((Weight::Missed, span, message.into(), hint.into()));
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.foreign.is_empty()
    }

    /// All faults in the order of the file. Those that only follow from a syntax error are left out.
    pub fn finish(self, source: &str) -> Vec<Fault> {
        let index = Lines::new(source);
        let line_of = |at: usize| index.position(at).0;
        let lines: Vec<usize> = self.of_syntax().map(|span| line_of(span.start)).collect();
        let broken = self.list.iter().any(|(w, ..)| *w == Weight::Broken);
        // After a broken header nobody knows which table the following lines belong to.
        let lost_after = self
            .of_syntax()
            .filter(|span| index.line_at(span.start).trim_start().starts_with('['))
            .map(|span| span.start)
            .min();
        let mut out: Vec<Fault> = Vec::new();
        for (weight, span, message, hint) in self.list.iter().cloned() {
            let (line, column) = index.position(span.start);
            let hidden = match weight {
                Weight::Broken | Weight::Slip => false,
                Weight::Seen => lines.contains(&line) || lost_after.is_some_and(|at| span.start >= at),
                Weight::Missed => broken || lines.contains(&line),
            };
            if !hidden {
                out.push(Fault { file: self.file.clone(), line, column, span, message, hint });
            }
        }
        out.extend(self.foreign);
        out.sort_by(|a, b| (a.span.start, &a.message).cmp(&(b.span.start, &b.message)));
        out.dedup();
        out
    }

    fn of_syntax(&self) -> impl Iterator<Item = &Span> {
        self.list.iter().filter(|(w, ..)| matches!(w, Weight::Broken | Weight::Slip)).map(|(_, span, ..)| span)
    }
}
