//! Text: neutralising what comes from outside, masking secrets, fitting widths, saying durations and sizes.
//!
//! Pure. Everything that a service, a log, a command, an alert or a person gave passes [`clean`] before it reaches a
//! screen, a file meant for reading, or an export.

pub mod clean;
pub mod mask;
pub mod say;
pub mod secret;
pub mod width;
pub mod words;

pub use clean::{LIMIT, clean, clean_bytes, clean_lines};
pub use mask::Mask;
pub use say::{ago, clock, duration, duration_long, money, parse_duration, plural, size};
pub use secret::Secret;
pub use width::{fit, fit_middle, width};
pub use words::four_words;

/// `word` as it would be typed in a POSIX shell: quoted only where needed. For showing, never for executing.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}
