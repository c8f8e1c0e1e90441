//! What is wrong with a configuration: where, what, and what to write instead. All of it at once.
//!
//! A fault never quotes a value that may be a secret, and a picture of the file shows none either.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use toml::de::{DeTable, DeValue};

use super::value::{address_has_secret, looks_secret};
use crate::text::{Mask, clean, plural};

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: PathBuf,
    /// From 1; 0 when it concerns the file as a whole.
    pub line: usize,
    /// In characters, from 1; 0 when it concerns the file as a whole.
    pub column: usize,
    /// Bytes of the file.
    pub span: Range<usize>,
    pub message: String,
    /// What to do; may be empty.
    pub hint: String,
}

impl Fault {
    /// A fault of the file as a whole.
    pub fn of_file(file: &Path, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Fault { file: file.to_owned(), line: 0, column: 0, span: 0..0, message: message.into(), hint: hint.into() }
    }
}

/// `file:line: message: hint`, one line.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", clean(&self.file.to_string_lossy()))?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.message)?;
        if !self.hint.is_empty() {
            write!(f, ": {}", self.hint)?;
        }
        Ok(())
    }
}

/// Where the lines of a text begin.
pub struct Lines<'a> {
    source: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub fn new(source: &'a str) -> Self {
        let after = source.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
        Lines { source, starts: std::iter::once(0).chain(after).collect() }
    }

    /// Line and column (both from 1, the column in characters) of a byte.
    pub fn position(&self, at: usize) -> (usize, usize) {
        let mut at = at.min(self.source.len());
        while !self.source.is_char_boundary(at) {
            at -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= at);
        let start = line.checked_sub(1).and_then(|i| self.starts.get(i)).copied().unwrap_or(0);
        (line, self.source.get(start..at).unwrap_or_default().chars().count() + 1)
    }

    /// The text of the line that a byte stands in.
    pub fn line_at(&self, at: usize) -> &'a str {
        let start = self.position(at).0.checked_sub(1).and_then(|i| self.starts.get(i)).copied().unwrap_or(0);
        self.source.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default()
    }
}

/// The span of a fault in another file than the configuration itself: its place there is its line.
pub const ELSEWHERE: std::ops::Range<usize> = usize::MAX..usize::MAX;

/// All faults with the lines they stand in, and a count. `source` is the text of the file; secrets in it are blanked out.
pub fn render(faults: &[Fault], source: &str, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let safe = blank_secrets(source);
    let mut out = String::new();
    for fault in faults {
        out.push_str(&picture(fault, &safe, &renderer));
        out.push_str("\n\n");
    }
    let mut files: Vec<(&Path, usize)> = Vec::new();
    for fault in faults {
        match files.iter_mut().find(|(file, _)| *file == fault.file) {
            Some((_, n)) => *n += 1,
            None => files.push((&fault.file, 1)),
        }
    }
    // Each file with its own: whoever repairs one is not to wait for the faults of another to go away.
    for (file, n) in files {
        out.push_str(&format!("{} in {}\n", plural(n, "fault"), clean(&file.to_string_lossy())));
    }
    out
}

fn picture(fault: &Fault, source: &str, renderer: &Renderer) -> String {
    let title = Level::ERROR.primary_title(fault.message.as_str());
    let path = clean(&fault.file.to_string_lossy()).into_owned();
    let mut elements: Vec<annotate_snippets::Element<'_>> = Vec::new();
    // Of another file, there is no picture.
    if fault.line > 0 && fault.span != ELSEWHERE {
        // Only the lines concerned: a large file with many faults is not walked over and over.
        let start = fault.span.start.min(source.len());
        let end = fault.span.end.clamp(start, source.len());
        let from = source.get(..start).and_then(|s| s.rfind('\n')).map_or(0, |i| i + 1);
        // A table's span reaches over everything in it; its first line says where it is.
        let to = source.get(start..).and_then(|s| s.find('\n')).map_or(source.len(), |i| start + i);
        let end = end.min(to.max(start));
        let text = source.get(from..to).unwrap_or_default();
        let shown = Snippet::source(text)
            .line_start(fault.line)
            .path(path)
            .annotation(AnnotationKind::Primary.span(start - from..end - from));
        elements.push(shown.into());
    } else {
        let line = if fault.line > 0 { format!(":{}", fault.line) } else { String::new() };
        elements.push(Level::NOTE.message(format!("in {path}{line}")).into());
    }
    if !fault.hint.is_empty() {
        elements.push(Level::HELP.message(fault.hint.as_str()).into());
    }
    renderer.render(&[title.elements(elements)])
}

/// `source` with every value that may be a secret replaced by stars, byte for byte, so that spans still fit.
pub(super) fn blank_secrets(source: &str) -> String {
    let mut hidden: Vec<Range<usize>> = Vec::new();
    let (table, _) = DeTable::parse_recoverable(source);
    hide_in_table(table.get_ref(), &mut hidden);
    // Where the file is broken the tree may lack a value that the eye still sees.
    hidden
        .extend(suspects().iter().flat_map(|re| re.captures_iter(source)).filter_map(|c| c.get(1)).map(|m| m.range()));
    let mut bytes = source.as_bytes().to_vec();
    for range in hidden {
        for b in bytes.get_mut(range).unwrap_or_default() {
            if *b != b'\n' && *b != b'\r' {
                *b = b'*';
            }
        }
    }
    // Whole values are replaced, so no character is cut; should one be, the picture is dropped rather than the secret shown.
    harmless(&String::from_utf8(bytes).unwrap_or_default())
}

/// Without characters that a terminal obeys, each replaced by marks of as many bytes.
fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut buffer = [0; 4];
    for c in text.chars() {
        let mark = match c {
            '\n' | '\t' | ' '..='~' => "",
            '\r' => " ",
            _ if clean(c.encode_utf8(&mut buffer)) == *c.encode_utf8(&mut [0; 4]) => "",
            _ => ["", ".", "·", "·.", "··"].get(c.len_utf8()).copied().unwrap_or(""),
        };
        if mark.is_empty() {
            out.push(c);
        } else {
            out.push_str(mark);
        }
    }
    out
}

/// Quoted text that by its line alone may be a secret: by its key, or because it is an address with one in it.
fn suspects() -> &'static [regex::Regex] {
    static SUSPECTS: OnceLock<Vec<regex::Regex>> = OnceLock::new();
    SUSPECTS.get_or_init(|| {
        [
            r#"(?i)(?:passw|passphrase|secret|token|webhook|dsn|authorization|cookie|private|api[_-]?key|_key|_pass)[\w-]*["']?\s*=\s*(["'][^\n]*)"#,
            r#"(?i)(["'][^"'\n]*(?:://[^"'\s/]*:[^"'\s@]*@|[?&][\w-]*(?:sig|token|key|secret|passw)[\w-]*=|password\s*=)[^"'\n]*)"#,
        ]
        .into_iter()
        .filter_map(|re| regex::Regex::new(re).ok())
        .collect()
    })
}

fn hide_in_table(table: &DeTable<'_>, hidden: &mut Vec<Range<usize>>) {
    for (key, value) in table.iter() {
        hide(Some(key.get_ref()), value, hidden);
    }
}

fn hide(key: Option<&str>, value: &toml::Spanned<DeValue<'_>>, hidden: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::String(text) => {
            let by_name = key.is_some_and(|k| looks_secret(k) || k == "webhook");
            let by_shape = || matches!(Mask::default().apply(text), std::borrow::Cow::Owned(_));
            if by_name || address_has_secret(text) || by_shape() {
                hidden.push(value.span());
            }
        }
        DeValue::Array(items) => items.iter().for_each(|item| hide(key, item, hidden)),
        // `password = { env = "…" }` names a place, not a value.
        DeValue::Table(inner) => hide_in_table(inner, hidden),
        _ => {}
    }
}
