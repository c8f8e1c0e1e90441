//! The review as one self-contained HTML file: the Markdown, rendered, with charts.
//!
//! There is one text: what stands in the Markdown stands here, hand-written parts included. Nothing is loaded from
//! anywhere, no script runs, and a policy in the head forbids both; whatever came from outside is text. Every citation is
//! a link to the row that it cites. Reads in light and dark, on paper and by ear: the charts say nothing that a table below
//! does not say as well.

mod chart;
mod charts;
mod samples;
mod write;

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::Review;
use super::places::{Document, Piece};
use crate::text::clean;
use write::Writer;

const STYLE: &str = include_str!("html/review.css");

/// The page for a review in Markdown, as [`super::markdown::render`] or [`super::places::refresh`] gave it. Errors: the
/// text is no review.
pub fn render(review: &Review<'_>, markdown: &str) -> Result<String, String> {
    prepare(review).page(markdown)
}

/// What a page needs of a review beside its text.
#[derive(Debug)]
pub struct Prepared {
    charts: charts::Charts,
    incident: String,
    title: String,
}

/// Draws the charts; the record is not needed any more then.
pub fn prepare(review: &Review<'_>) -> Prepared {
    let say = |text: &str| escape(&clean(&review.extra.mask.apply(text)));
    let incident = say(&review.story.id);
    Prepared { charts: charts::of(review), title: format!("{incident}: {}", say(&review.story.title)), incident }
}

impl Prepared {
    /// The page. Errors: the text is no review.
    pub fn page(self, markdown: &str) -> Result<String, String> {
        page(self, markdown)
    }
}

fn page(of: Prepared, markdown: &str) -> Result<String, String> {
    let document = Document::read(markdown).map_err(|e| e.to_string())?;
    let mut out = String::with_capacity(markdown.len() * 2 + STYLE.len() + 64 * 1024);
    head(&mut out, &of, &document);
    let mut writer = Writer::new(out, of.charts);
    for piece in &document.pieces {
        match piece {
            Piece::Measured { lines, .. } => writer.measured(stretch(markdown, lines)),
            Piece::Place { marker, text, .. } if document.is_untouched(marker) => writer.prompt(text),
            Piece::Place { text, .. } => writer.written(text),
        }
    }
    let mut out = writer.done();
    out.push_str("</main>\n</body>\n</html>\n");
    Ok(out)
}

/// The part of `text` that these lines of it are.
fn stretch<'t>(text: &'t str, lines: &[&'t str]) -> &'t str {
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return "" };
    let at = |part: &str| (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    text.get(at(first)..at(last) + last.len()).unwrap_or_default()
}

fn head(out: &mut String, of: &Prepared, document: &Document<'_>) {
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; \
         form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"generator\" content=\"{GENERATOR} {}\">\n<meta name=\"mayday-incident\" content=\"{}\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        base64(&Sha256::digest(STYLE.as_bytes())),
        env!("CARGO_PKG_VERSION"),
        of.incident,
        of.title,
    );
    out.push_str("<a class=\"skip\" href=\"#content\">Skip the list of sections</a>\n");
    out.push_str("<nav aria-label=\"Sections\"><ol>\n");
    for title in document.measured().filter_map(|(_, line)| line.strip_prefix("## ")) {
        let _ = writeln!(out, "<li><a href=\"#{}\">{}</a></li>", write::anchor(title), escape(title));
    }
    out.push_str("</ol></nav>\n<main id=\"content\">\n");
}

/// What an earlier page of ours is known by.
pub const GENERATOR: &str = "mayday";

/// Text, harmless inside elements and attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    escape_to(&mut out, text);
    out
}

fn escape_to(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('·'),
            c => out.push(c),
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |n: usize| u32::from(chunk.get(n).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for n in 0..4 {
            let digit = DIGITS.get((bits >> (18 - 6 * n) & 63) as usize).copied().unwrap_or(b'=');
            out.push(if n <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_as_elsewhere() {
        for (text, wanted) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(text.as_bytes()), wanted);
        }
    }
}
