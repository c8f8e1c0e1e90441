//! Writing any file name as text that is safe to show, and getting the very same bytes back.
//!
//! File names are bytes that somebody else chose. Most are plain text and stay as they are. One that is not UTF-8, or
//! holds control or bidirectional characters, becomes `raw:` and the name with every odd byte as `%1B`. So nothing
//! hostile enters a journal entry or a screen, and a restore still opens exactly the file that was meant.

use crate::text::clean::clean_to;

const MARK: &str = "raw:";

/// The text for a path or a name.
pub fn of_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with(MARK) && clean_to(text, usize::MAX) == text => text.to_owned(),
        _ => {
            let mut out = String::with_capacity(MARK.len() + bytes.len() * 2);
            out.push_str(MARK);
            for &b in bytes {
                if (0x20..0x7f).contains(&b) && b != b'%' {
                    out.push(char::from(b));
                } else {
                    out.push_str(&format!("%{b:02X}"));
                }
            }
            out
        }
    }
}

/// The bytes that [`of_bytes`] was given. Text that is not escaped is taken as it is; a `%` without two hexadecimal
/// digits stays a `%`.
pub fn bytes_of(text: &str) -> Vec<u8> {
    let Some(escaped) = text.strip_prefix(MARK) else { return text.as_bytes().to_vec() };
    let mut out = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let byte = match (first, after) {
            (b'%', [a, b, ..]) => {
                let digit = |c: u8| char::from(c).to_digit(16);
                digit(*a).zip(digit(*b)).and_then(|(a, b)| u8::try_from(a * 16 + b).ok())
            }
            _ => None,
        };
        match byte {
            Some(byte) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_stay_and_odd_ones_are_escaped() {
        for (bytes, text) in [
            (&b"/backups/pg/db 1%.dump"[..], "/backups/pg/db 1%.dump"),
            ("Sicherung März.dump".as_bytes(), "Sicherung März.dump"),
            (b"M\xe4rz.dump", "raw:M%E4rz.dump"),
            (b"\x1b[2Jgone", "raw:%1B[2Jgone"),
            ("a\u{202e}b".as_bytes(), "raw:a%E2%80%AEb"),
            (b"raw:x%", "raw:raw:x%25"),
        ] {
            assert_eq!(of_bytes(bytes), text);
            assert_eq!(bytes_of(text), bytes);
        }
        assert_eq!(bytes_of("raw:100%"), b"100%");
    }

    proptest::proptest! {
        #[test]
        fn every_name_comes_back_and_is_harmless(bytes in proptest::collection::vec(0u8.., 0..300)) {
            let text = of_bytes(&bytes);
            proptest::prop_assert_eq!(clean_to(&text, usize::MAX), text.as_str());
            proptest::prop_assert_eq!(bytes_of(&text), bytes);
        }
    }
}
