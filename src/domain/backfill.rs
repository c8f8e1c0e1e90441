//! Lines of another record (a chat, a log, a recording, what somebody typed down) read as notes with a time of their own.
//!
//! Pure. A time is taken only where it can be told which one is meant; where two are possible, or one that makes no sense
//! in the incident, the line is *doubtful*, says why, and offers the readings: whoever imports decides, never this. Any
//! bytes may come in; nothing that was read is dropped without a word.
//!
//! | file | reads |
//! | --- | --- |
//! | `stamp` | times as people and programs write them |
//! | `lines` | free lines with a stamp in front |
//! | `chat` | text copied from Slack, Teams, WhatsApp |
//! | `slack`, `alertmanager`, `journald` | their JSON |
//! | `recording` | asciicast and `script`: what was typed; output is summarised |

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::time::Time;

mod alertmanager;
mod chat;
mod journald;
mod lines;
mod recording;
mod slack;
mod stamp;

#[cfg(test)]
mod tests;

pub use stamp::{parse_date, parse_zone};

/// Longest text of one line, in bytes; the rest is cut with a mark.
pub const TEXT_LIMIT: usize = 16 * 1024;
/// Lines of one file at the most.
pub const LINES: usize = 100_000;
/// Lines of one request at the most, and keys that an incident remembers.
pub const BATCH: usize = 200;
pub const KEYS: usize = 100_000;
/// What happened longer before the incident than this is asked about.
const LONG_BEFORE_MS: i64 = 24 * 3_600_000;
/// Clocks of other hosts may be ahead by this much.
pub(super) const AHEAD_MS: i64 = 60_000;

/// What a record is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    Lines,
    Slack,
    Chat,
    Alertmanager,
    Journald,
    Asciicast,
    Script,
}

impl Format {
    pub const ALL: [Format; 7] = [
        Format::Lines,
        Format::Slack,
        Format::Chat,
        Format::Alertmanager,
        Format::Journald,
        Format::Asciicast,
        Format::Script,
    ];

    pub const fn word(self) -> &'static str {
        match self {
            Format::Lines => "lines",
            Format::Slack => "slack",
            Format::Chat => "chat",
            Format::Alertmanager => "alertmanager",
            Format::Journald => "journald",
            Format::Asciicast => "asciicast",
            Format::Script => "script",
        }
    }

    pub fn parse(word: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|f| f.word() == word)
    }
}

/// What is known besides the text.
#[derive(Clone, Debug)]
pub struct About {
    /// Now, and when the incident began (its onset, else its declaration).
    pub now: Time,
    pub start: Time,
    /// Minutes east of UTC, for times without a zone.
    pub zone: i32,
    /// The day of times without one, as a heading in the text would say it.
    pub date: Option<chrono::NaiveDate>,
    /// When a recording began that does not say so itself.
    pub begun: Option<Time>,
    /// Who wrote it, where the text does not say.
    pub author: String,
}

/// One line as it was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Line of the file it begins at, from 1; its number in a list otherwise.
    pub place: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub author: String,
    pub text: String,
    /// Why it is not taken as it was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
    /// Other moments that may be meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub or: Vec<Time>,
}

/// A record as it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    pub lines: Vec<Line>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
}

/// Which format this most probably is.
pub fn guess(bytes: &[u8], has_timing: bool) -> Format {
    if has_timing || bytes.starts_with(b"Script started on ") {
        return Format::Script;
    }
    let text = String::from_utf8_lossy(bytes.get(..bytes.len().min(1 << 16)).unwrap_or(bytes));
    let head = text.trim_start();
    let first = head.lines().next().unwrap_or_default();
    if let Ok(serde_json::Value::Object(map)) = serde_json::from_str(first)
        && map.contains_key("version")
        && (map.contains_key("width") || map.contains_key("term"))
    {
        return Format::Asciicast;
    }
    if head.starts_with(['{', '[']) && !head.starts_with("[2") && !head.starts_with("[0") {
        if head.contains("__REALTIME_TIMESTAMP") {
            return Format::Journald;
        }
        if head.contains("\"alerts\"") && head.contains("\"startsAt\"") {
            return Format::Alertmanager;
        }
        if head.contains("\"ts\"") {
            return Format::Slack;
        }
    }
    if chat::looks_like(&text) { Format::Chat } else { Format::Lines }
}

/// Reads a record. `timing` belongs to a `script` recording. Errors: it is not of this format, in words.
pub fn read(format: Format, bytes: &[u8], timing: Option<&[u8]>, about: &About) -> Result<Reading, String> {
    let text = || String::from_utf8_lossy(bytes);
    let mut reading = match format {
        Format::Lines => lines::read(&text(), about),
        Format::Chat => chat::read(&text(), about),
        Format::Slack => slack::read(&text())?,
        Format::Alertmanager => alertmanager::read(&text())?,
        Format::Journald => journald::read(&text())?,
        Format::Asciicast => recording::asciicast(&text(), about)?,
        Format::Script => recording::script(bytes, timing, about)?,
    };
    if reading.lines.len() > LINES {
        return Err(format!("it has more than {LINES} lines: import it in pieces"));
    }
    for line in &mut reading.lines {
        line.text = tidy(&line.text);
        line.author = crate::text::clean::clean_to(line.author.trim(), 80).into_owned();
        if line.author.is_empty() {
            line.author.clone_from(&about.author);
        }
    }
    let before = reading.lines.len();
    reading.lines.retain(|l| !l.text.is_empty());
    if reading.lines.len() < before {
        reading.left_out.push(format!("{} without a text", crate::text::plural(before - reading.lines.len(), "line")));
    }
    doubt(&mut reading, about);
    Ok(reading)
}

/// Bounded, harmless, without empty lines around it.
fn tidy(text: &str) -> String {
    let mut text = crate::text::clean_lines(text.trim_matches(['\n', '\r', ' ', '\t']), 4000);
    if text.len() > TEXT_LIMIT {
        let cut = (0..=TEXT_LIMIT).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        text.truncate(cut);
        text.push('…');
    }
    text
}

/// What makes no sense in the incident, whatever the format.
fn doubt(reading: &mut Reading, about: &About) {
    for line in &mut reading.lines {
        let Some(at) = line.at else {
            if line.doubts.is_empty() {
                line.doubts.push("it has no time".into());
            }
            continue;
        };
        let mut why = |text: String| {
            if !line.doubts.contains(&text) {
                line.doubts.push(text);
            }
        };
        if at.ms_since(about.now) > AHEAD_MS {
            why("it lies in the future".into());
        } else if about.start.ms_since(at) > LONG_BEFORE_MS {
            why(format!(
                "it lies more than a day before the incident began ({}Z; mayday incident onset says otherwise)",
                said(about.start)
            ));
        }
    }
}

fn said(at: Time) -> String {
    format!("{} {}", at.date(), at.hm())
}

/// Makes taking the same line in twice harmless.
pub fn key(at: Time, author: &str, text: &str) -> String {
    let mut sha = Sha256::new();
    sha.update(at.ms().to_le_bytes());
    sha.update((author.len() as u64).to_le_bytes());
    sha.update(author.as_bytes());
    sha.update(text.as_bytes());
    let mut key = hex::encode(sha.finalize());
    key.truncate(24);
    key
}

/// A line that was decided on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    pub at: Time,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub author: String,
    pub text: String,
}
