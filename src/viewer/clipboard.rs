//! The terminal's clipboard: OSC 52, which most terminals take from afar and none answers.

/// The clipboard sequence; long texts are cut where terminals cut them anyway.
pub fn osc52(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = b"\x1b]52;c;".to_vec();
    let bytes = text.as_bytes();
    for chunk in bytes.get(..bytes.len().min(48 << 10)).unwrap_or_default().chunks(3) {
        let n = chunk.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            if i <= chunk.len() {
                out.push(ALPHABET.get((n >> (18 - 6 * i) & 63) as usize).copied().unwrap_or(b'A'));
            } else {
                out.push(b'=');
            }
        }
    }
    out.extend_from_slice(b"\x1b\\");
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn clipboard_text_is_base64() {
        for (text, wanted) in [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("api down", "YXBpIGRvd24=")] {
            let bytes = super::osc52(text);
            assert_eq!(String::from_utf8_lossy(&bytes), format!("\x1b]52;c;{wanted}\x1b\\"));
        }
    }
}
