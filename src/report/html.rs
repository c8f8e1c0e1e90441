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
    let document = Document::read(markdown).map_err(|e| e.to_string())?;
    let charts = charts::of(review);
    let mut writer = Writer::new(charts);
    for piece in &document.pieces {
        match piece {
            Piece::Measured { lines, .. } => {
                let lines = lines.iter().filter(|l| !l.trim_start().starts_with("<!-- mayday:"));
                let mut text = String::new();
                for line in lines {
                    text.push_str(line);
                    text.push('\n');
                }
                writer.measured(&text);
            }
            Piece::Place { marker, text, .. } if document.is_untouched(marker) => writer.prompt(text),
            Piece::Place { text, .. } => writer.written(text),
        }
    }
    let (body, contents) = writer.done();
    let story = &review.story;
    let say = |text: &str| escape(&clean(&review.extra.mask.apply(text)));
    let title = format!("{}: {}", say(&story.id), say(&story.title));
    let mut out = String::with_capacity(body.len() + STYLE.len() + 4096);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; \
         form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"generator\" content=\"{GENERATOR} {}\">\n<meta name=\"mayday-incident\" content=\"{}\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        base64(&Sha256::digest(STYLE.as_bytes())),
        env!("CARGO_PKG_VERSION"),
        say(&story.id),
    );
    out.push_str("<a class=\"skip\" href=\"#content\">Skip the list of sections</a>\n");
    out.push_str("<nav aria-label=\"Sections\"><ol>\n");
    for (id, title) in contents {
        let _ = writeln!(out, "<li><a href=\"#{id}\">{title}</a></li>");
    }
    out.push_str("</ol></nav>\n<main id=\"content\">\n");
    out.push_str(&body);
    out.push_str("</main>\n</body>\n</html>\n");
    Ok(out)
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
