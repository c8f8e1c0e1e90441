//! Making outside text harmless inside Markdown (CommonMark and GitHub's dialect): it shows as it was written and can
//! neither format, link, embed, nor end the table cell it stands in.

use crate::text::clean::clean_to;
use crate::text::{Mask, clean_lines};

/// Characters kept of one text inside a line or a cell.
const INLINE: usize = 20_000;

/// `text` as one line of Markdown: secrets of known shape masked, control characters visible, nothing in it active.
pub fn inline(text: &str) -> String {
    masked(text, &Mask::default())
}

/// As [`inline`], with known secrets masked too.
pub fn masked(text: &str, mask: &Mask) -> String {
    let masked = mask.apply(text);
    let lines: Vec<String> = clean_lines(&masked, INLINE).lines().map(|l| escape(l.trim())).collect();
    lines.join("<br>")
}

fn escape(line: &str) -> String {
    let line = clean_to(line, INLINE);
    let mut out = String::with_capacity(line.len() + 16);
    let mut before = ' ';
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied().unwrap_or(' ');
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Inside a word it cannot begin emphasis, and names are easier to read without.
            '_' if before.is_alphanumeric() && next.is_alphanumeric() => out.push('_'),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '$' => {
                out.push('\\');
                out.push(c);
            }
            // "://" and "www." would become links by themselves.
            '/' if before == ':' && next == '/' => out.push_str("\\/"),
            '.' if out.to_ascii_lowercase().ends_with("www") => out.push_str("\\."),
            '@' => out.push_str("\\@"),
            // At the beginning of a line these make lists, headings and rules.
            '-' | '+' | '=' | ':' if out.is_empty() => {
                out.push('\\');
                out.push(c);
            }
            '.' | ')' if !out.is_empty() && out.chars().all(|d| d.is_ascii_digit()) => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
        before = c;
    }
    out
}

/// `text` without secrets and control characters, for documents that have their own way of quoting.
pub fn plain(text: &str, mask: &Mask) -> String {
    clean_lines(&mask.apply(text), INLINE)
}

/// `text` as a fenced block, with a fence longer than any run of backticks in it.
pub fn fenced(text: &str, mask: &Mask) -> String {
    // A line of output must not pass for a mark of a place.
    let text = clean_lines(&mask.apply(text), 2000).replace("<!-- mayday:", "<!- - mayday:");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_markdown_shows_as_it_was_written() {
        for (text, wanted) in [
            ("plain text, crazy_gary 02:14", "plain text, crazy_gary 02:14"),
            ("a|b", "a\\|b"),
            ("`rm -rf`", "\\`rm -rf\\`"),
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("[x](http://evil)", "\\[x\\](http:\\//evil)"),
            ("![x](http://evil/p.png)", "!\\[x\\](http:\\//evil/p.png)"),
            ("see WWW.evil.org", "see WWW\\.evil.org"),
            ("# heading", "\\# heading"),
            ("- item", "\\- item"),
            ("1. item", "1\\. item"),
            ("_a_ *b* ~c~", "\\_a\\_ \\*b\\* \\~c\\~"),
            ("two\nlines", "two<br>lines"),
            ("\u{1b}[2Jgone", "·\\[2Jgone"),
            ("password=hunter22", "password=\\*\\*\\*"),
        ] {
            assert_eq!(inline(text), wanted);
        }
    }

    #[test]
    fn a_fence_is_longer_than_what_it_holds() {
        let out = fenced("a\n````\n# out\n", &Mask::default());
        assert_eq!(out, "`````text\na\n````\n# out\n`````");
    }

    proptest::proptest! {
        #[test]
        fn nothing_active_is_left(text in "(\\PC|[|<>`\\\\\\[\\]\n]){0,200}") {
            let out = inline(&text);
            proptest::prop_assert!(!out.contains('\n'));
            let rest = out.replace("<br>", "");
            proptest::prop_assert!(!rest.contains('<') && !rest.contains('>'));
            // Every active character has an odd number of backslashes in front.
            let mut slashes = 0;
            for c in rest.chars() {
                if matches!(c, '|' | '`' | '[' | ']' | '*' | '~') {
                    proptest::prop_assert!(slashes % 2 == 1, "{}", rest);
                }
                slashes = if c == '\\' { slashes + 1 } else { 0 };
            }
        }
    }
}
