//! Finding a text wherever it was written down, in whichever way files write it: as it is, escaped for JSON, Markdown,
//! HTML or an address, broken over lines, in base64. For destroying it, so a place too many is better than one too few.
//!
//! Pure. The text itself is never shown: not in an error, not by `Debug`.

use std::borrow::Cow;

use regex::bytes::{Regex, RegexBuilder};

/// What stands where a text was destroyed.
pub const REDACTED: &str = "[redacted]";
/// Shorter texts stand in much that has nothing to do with them.
pub const SHORTEST: usize = 4;
/// Longest text, in bytes.
pub const LONGEST: usize = 64 << 10;
/// Texts up to this many characters are also found when a line end stands between any two of them.
const WRAPPED: usize = 256;
/// Lines of a longer text that count for themselves have at least this many characters.
const OWN_LINE: usize = 8;
/// Bytes that a character takes at the most in any of the ways it is written, with a line end behind it.
const WIDEST: usize = 24;

/// A text that is looked for.
#[derive(Clone)]
pub struct Secret {
    patterns: Vec<Regex>,
    widest: usize,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({} patterns)", self.patterns.len())
    }
}

impl Secret {
    /// All of `texts`, and the lines of those that have several. Errors: one of them is too short or too long, in words
    /// that do not repeat it.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Secret, String> {
        let mut all: Vec<&str> = Vec::new();
        for text in texts {
            let text = text.trim_matches(['\n', '\r']);
            if text.trim().len() < SHORTEST {
                return Err(format!("the text has fewer than {SHORTEST} characters: it would be found everywhere"));
            }
            if text.len() > LONGEST {
                return Err(format!("the text has more than {LONGEST} bytes"));
            }
            let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| l.chars().count() >= OWN_LINE).collect();
            if text.contains('\n') && !lines.is_empty() {
                all.extend(lines);
            }
            if !text.contains('\n') || text.chars().count() <= WRAPPED {
                all.push(text);
            }
        }
        // Longest first: a text within another is found with it.
        all.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        all.dedup();
        let (mut patterns, mut widest) = (Vec::new(), 0);
        for text in all {
            widest = widest.max(text.chars().count() * WIDEST + 8);
            patterns.push(build(&pattern(text))?);
            if let Some(encoded) = base64_pattern(text.as_bytes()) {
                patterns.push(build(&encoded)?);
            }
        }
        if patterns.is_empty() {
            return Err("there is nothing to look for".into());
        }
        Ok(Secret { patterns, widest })
    }

    /// Bytes that one place takes at the most: what a reader in pieces has to keep of the piece before.
    pub fn widest(&self) -> usize {
        self.widest
    }

    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.patterns.iter().any(|p| p.is_match(bytes))
    }

    /// Where it stands: from and to, in order, none touching another.
    pub fn places(&self, bytes: &[u8]) -> Vec<(usize, usize)> {
        let mut all: Vec<(usize, usize)> =
            self.patterns.iter().flat_map(|p| p.find_iter(bytes).map(|m| (m.start(), m.end()))).collect();
        all.sort_unstable();
        let mut merged: Vec<(usize, usize)> = Vec::with_capacity(all.len());
        for (from, to) in all {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        merged
    }

    /// `text` without it.
    pub fn cut<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let places = self.places(text.as_bytes());
        if places.is_empty() {
            return Cow::Borrowed(text);
        }
        let (mut out, mut at) = (String::with_capacity(text.len()), 0);
        for (from, to) in places {
            // A place may begin or end within a character only where the text is none that mayday wrote.
            let from = (at..=from).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(at);
            let to = (to..=text.len()).find(|i| text.is_char_boundary(*i)).unwrap_or(text.len());
            out.push_str(text.get(at..from).unwrap_or_default());
            out.push_str(REDACTED);
            at = to;
        }
        out.push_str(text.get(at..).unwrap_or_default());
        Cow::Owned(out)
    }
}

/// What is written over `old`, byte for byte: line ends stay, so that lines of a file stay lines.
pub fn blank(old: &[u8]) -> Vec<u8> {
    let lines = old.iter().any(|b| matches!(b, b'\n' | b'\r'));
    if !lines && old.len() >= REDACTED.len() {
        let mut new = REDACTED.as_bytes().to_vec();
        new.resize(old.len(), b' ');
        return new;
    }
    old.iter().map(|b| if matches!(b, b'\n' | b'\r') { *b } else { b'*' }).collect()
}

fn build(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(64 << 20)
        .dfa_size_limit(16 << 20)
        .build()
        .map_err(|_| "the text is too long to be looked for".to_owned())
}

/// All ways in which a text is written.
fn pattern(text: &str) -> String {
    let wrapped = text.chars().count() <= WRAPPED;
    let mut out = String::with_capacity(text.len() * 24);
    for (i, c) in text.chars().enumerate() {
        if i > 0 && wrapped && !matches!(c, '\n' | '\r') {
            out.push_str(r"(?:\r?\n|\\{1,7}n)?");
        }
        character(&mut out, c);
    }
    out
}

fn character(out: &mut String, c: char) {
    match c {
        '\r' => out.push_str(r"(?:\r|\\{1,7}r|%0[dD])?"),
        '\n' => out.push_str(r"(?:\r?\n|(?:\\{1,7}r)?\\{1,7}n|(?:%0[dD])?%0[aA]|<br>|[ ])"),
        '\t' => out.push_str(r"(?:\t|\\{1,7}t|%09|[ ])"),
        ' ' => out.push_str(r"(?:[ ]|%20|\+|&nbsp;)"),
        '\u{8}' => out.push_str(r"(?:\x08|\\{1,7}b|\\{1,4}u0008|%08)"),
        '\u{c}' => out.push_str(r"(?:\x0c|\\{1,7}f|\\{1,4}u000[cC]|%0[cC])"),
        '\\' => out.push_str(r"(?:\\{1,8}|%5[cC])"),
        c if c.is_ascii_alphanumeric() => out.push(c),
        c if c.is_ascii() => {
            let b = c as u32;
            let entity = match c {
                '&' => "&amp;|",
                '<' => "&lt;|",
                '>' => "&gt;|",
                '"' => "&quot;|",
                '\'' => "&apos;|",
                _ => "",
            };
            let hex: String = format!("{b:02x}").chars().map(either_case).collect();
            out.push_str(&format!(r"(?:{entity}&#{b};|&#x{hex};|%{hex}|\\{{1,4}}u00{hex}|\\{{0,7}}\x{b:02x})"));
        }
        c => {
            let mut utf8 = [0; 4];
            let raw: String = c.encode_utf8(&mut utf8).bytes().map(|b| format!("\\x{b:02x}")).collect();
            let percent: String = c.encode_utf8(&mut utf8).bytes().map(|b| cased(&format!("%{b:02x}"))).collect();
            let mut utf16 = [0; 2];
            let escaped: String = c
                .encode_utf16(&mut utf16)
                .iter()
                .map(|u| format!(r"\\{{1,4}}u{}", cased(&format!("{u:04x}"))))
                .collect();
            let n = c as u32;
            out.push_str(&format!("(?:{raw}|{percent}|{escaped}|&#{n};)"));
        }
    }
}

fn either_case(c: char) -> String {
    if c.is_ascii_alphabetic() {
        format!("[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase())
    } else {
        c.to_string()
    }
}

fn cased(text: &str) -> String {
    text.chars().map(either_case).collect()
}

/// The part of its base64 that does not depend on what stands around it, for each of the three ways it can be aligned,
/// with the characters beside it, which hold bits of it too.
fn base64_pattern(bytes: &[u8]) -> Option<String> {
    if bytes.len() < 6 {
        return None;
    }
    let mut ways = Vec::new();
    for shift in 0..3usize {
        let mut padded = vec![0u8; shift];
        padded.extend_from_slice(bytes);
        let encoded = encode(&padded);
        // Characters that only bits of the text go into.
        let first = (shift * 8).div_ceil(6);
        let last = padded.len() * 8 / 6;
        let Some(inner) = encoded.get(first..last) else { continue };
        let inner: String = inner
            .chars()
            .map(|c| match c {
                '+' | '-' => "[-+]".to_owned(),
                '/' | '_' => "[/_]".to_owned(),
                c => c.to_string(),
            })
            .collect();
        let before = if shift == 0 { "" } else { "[A-Za-z0-9+/_-]?" };
        ways.push(format!("{before}{inner}(?:[A-Za-z0-9+/_-]|)"));
    }
    Some(format!("(?:{})", ways.join("|")))
}

/// Base64 without padding.
fn encode(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len() * 4 / 3 + 4);
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            let at = (n >> (18 - 6 * i)) as usize & 63;
            out.push(char::from(ALPHABET.get(at).copied().unwrap_or(b'A')));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new([text]).unwrap()
    }

    #[test]
    fn it_is_found_in_every_way_it_is_written() {
        let text = "hun\"ter2&<é/\\x'9";
        let json = serde_json::to_string(text).unwrap();
        let twice = serde_json::to_string(&json).unwrap();
        let html = "hun&quot;ter2&amp;&lt;é/\\x&#39;9";
        let markdown = "hun\\\"ter2\\&\\<é\\/\\\\x\\'9";
        let percent = "hun%22ter2%26%3C%C3%A9%2F%5Cx%279";
        let wrapped = "hun\"te\nr2&<é/\\x'9";
        let unicode = "hun\\u0022ter2\\u0026<\\u00e9/\\\\x'9";
        for way in [text, &json, &twice, html, markdown, percent, wrapped, unicode] {
            let whole = format!("before {way} after");
            assert!(secret(text).is_in(whole.as_bytes()), "{whole}");
            let cut = secret(text).cut(&whole).into_owned();
            assert!(cut.contains(REDACTED) && !cut.contains("ter2") && cut.ends_with("after"), "{cut}");
        }
        for pad in ["", "x", "xy", "xyz"] {
            let plain = format!("{pad}{text}tail");
            let cut = secret(text).cut(&encode(plain.as_bytes())).into_owned();
            assert!(cut.contains(REDACTED), "{cut}");
            let inner = encode(text.as_bytes());
            assert!(!cut.contains(&inner[4..12]), "{cut}");
        }
    }

    #[test]
    fn lines_of_a_key_are_found_for_themselves() {
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----\n";
        let s = secret(key);
        assert!(s.is_in(b"| MIIEvQIBADANBgkqhkiG9w0B |"));
        assert!(s.is_in(key.replace('\n', "\\n").as_bytes()));
        assert!(!s.is_in(b"-----BEGIN CERT-----"));
    }

    #[test]
    fn what_is_too_short_is_refused_without_repeating_it() {
        let why = Secret::new(["abc"]).unwrap_err();
        assert!(!why.contains("abc"), "{why}");
        assert!(!format!("{:?}", secret("hunter2")).contains("hunter2"));
    }

    #[test]
    fn blanking_keeps_length_and_lines() {
        assert_eq!(blank(b"hunter2-and-more"), b"[redacted]      ");
        assert_eq!(blank(b"hunter2"), b"*******");
        assert_eq!(blank(b"hunter2-\nand-more"), b"********\n********");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_found_raw_and_in_json(text in ".{4,60}", before in ".{0,20}", after in ".{0,20}") {
            proptest::prop_assume!(text.trim().len() >= SHORTEST && text.trim_matches(['\n', '\r']) == text);
            let s = secret(&text);
            let whole = format!("{before}{text}{after}");
            proptest::prop_assert!(s.is_in(whole.as_bytes()));
            proptest::prop_assert!(!s.cut(&whole).contains(&text));
            let json = serde_json::to_string(&whole).unwrap();
            let inner = serde_json::to_string(&text).unwrap();
            let cut = s.cut(&json).into_owned();
            proptest::prop_assert!(!cut.contains(&inner[1..inner.len() - 1]));
            proptest::prop_assert_eq!(serde_json::from_str::<String>(&cut).is_ok(), true, "{}", cut);
        }
    }
}
