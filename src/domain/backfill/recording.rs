//! Recordings of a terminal: asciicast v2 and v3, and `script` with its timing (classic and advanced).
//!
//! What was typed becomes lines; output is only summarised, because nobody reads it in a timeline and anything may stand
//! in it. What was typed and did not appear on the screen was not meant to be seen (a password): it is left out.
//! Formats: <https://docs.asciinema.org/manual/asciicast/v3/>, script(1) and scriptreplay(1) of util-linux.

use serde_json::Value;

use super::{About, Line, Reading};
use crate::domain::time::Time;

/// Output of one command that is kept to see whether what is typed appears in it.
const ECHO: usize = 64 * 1024;

/// What was typed, as it comes.
struct Typing {
    begun: Time,
    /// Milliseconds since the beginning.
    at: f64,
    line_at: f64,
    line: String,
    /// What the screen showed since the line was begun.
    shown: String,
    /// A line that was ended, and when it was begun: what it shows may come a little later.
    entered: Option<(String, f64)>,
    /// Within an escape sequence of a key.
    escape: Option<String>,
    typed: u64,
    bytes: u64,
    hidden: u64,
    lines: Vec<Line>,
    place: usize,
}

impl Typing {
    fn new(begun: Time) -> Self {
        Typing {
            begun,
            at: 0.0,
            line_at: 0.0,
            line: String::new(),
            shown: String::new(),
            entered: None,
            escape: None,
            typed: 0,
            bytes: 0,
            hidden: 0,
            lines: Vec::new(),
            place: 1,
        }
    }

    fn moment(&self, at: f64) -> Time {
        // Far beyond any recording is no time at all.
        let ms = if at.is_finite() { at.clamp(0.0, 1e12) } else { 0.0 };
        Time::from_ms(self.begun.ms().saturating_add(ms as i64))
    }

    fn push(&mut self, at: f64, text: String) {
        let line = Line { place: self.place, at: Some(self.moment(at)), text, ..Line::default() };
        self.lines.push(line);
    }

    fn output(&mut self, text: &str) {
        self.bytes = self.bytes.saturating_add(text.len() as u64);
        // The end of the line is shown too, and what is shown behind it is no echo any more.
        let echo = match (&self.entered, text.find('\n')) {
            (Some(_), Some(end)) => text.get(..end).unwrap_or_default(),
            _ => text,
        };
        if self.shown.len() < ECHO {
            self.shown.push_str(echo);
        }
        if self.entered.is_some() && text.contains('\n') {
            self.judge();
        }
    }

    fn input(&mut self, text: &str) {
        for c in text.chars() {
            if let Some(sequence) = &mut self.escape {
                let first = sequence.is_empty();
                sequence.push(c);
                let ends = if first { !matches!(c, '[' | 'O') } else { c.is_ascii_alphabetic() || c == '~' };
                if ends {
                    let key = match sequence.as_str() {
                        "[A" | "OA" => "↑",
                        "[B" | "OB" => "↓",
                        _ => "",
                    };
                    self.line.push_str(key);
                    self.escape = None;
                }
                continue;
            }
            if self.line.is_empty() && !c.is_control() {
                self.judge();
                self.line_at = self.at;
                // What came before is of the command before.
                self.shown.clear();
            }
            match c {
                '\r' | '\n' => self.enter(),
                '\u{1b}' => self.escape = Some(String::new()),
                '\u{7f}' | '\u{8}' => {
                    self.line.pop();
                }
                '\u{15}' => self.line.clear(),
                '\u{17}' => {
                    let kept = self.line.trim_end().rfind(' ').map_or(0, |i| i + 1);
                    self.line.truncate(kept);
                }
                '\u{3}' => {
                    self.line.clear();
                    let at = self.at;
                    self.push(at, "typed Ctrl-C".into());
                }
                '\u{12}' => self.line.push_str("^R"),
                '\t' => self.line.push('⇥'),
                c if c.is_control() => {}
                c => {
                    self.typed += 1;
                    self.line.push(c);
                }
            }
        }
    }

    fn enter(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.judge();
        if !line.trim().is_empty() {
            self.entered = Some((line.trim().to_owned(), self.line_at));
        }
    }

    /// A line that was ended becomes a line of the record, unless it was not shown.
    fn judge(&mut self) {
        let Some((line, at)) = self.entered.take() else { return };
        if appeared(&line, &self.shown) {
            self.push(at, format!("typed: {line}"));
        } else {
            self.hidden += 1;
            self.push(at, "typed something that was not shown (left out)".into());
        }
    }

    fn finish(mut self, what: &str, ended: Option<&str>) -> Reading {
        self.judge();
        let (begin, end) = (self.moment(0.0), self.moment(self.at));
        let keys = if self.typed == 0 { ", what was typed is not in it" } else { "" };
        let size = crate::text::size(self.bytes);
        let lasts = crate::text::duration(end.since(begin));
        let first = Line {
            place: 1,
            at: Some(begin),
            text: format!("{what} begins ({lasts}, {size} of output{keys})"),
            ..Line::default()
        };
        let code = ended.map(|c| format!(", exit {c}")).unwrap_or_default();
        self.place += 1;
        let last = Line { place: self.place, at: Some(end), text: format!("{what} ends{code}"), ..Line::default() };
        let mut lines = vec![first];
        lines.append(&mut self.lines);
        lines.push(last);
        let mut left_out = vec![format!("the output itself ({size})")];
        if self.hidden > 0 {
            left_out.push(format!(
                "{} that did not appear on the screen",
                crate::text::plural(self.hidden as usize, "line")
            ));
        }
        Reading { lines, left_out }
    }
}

/// The characters that were typed appear in this order in what was shown.
fn appeared(line: &str, shown: &str) -> bool {
    let mut left = shown.chars();
    line.chars().filter(|c| c.is_alphanumeric()).all(|wanted| left.any(|c| c == wanted))
}

/// asciicast v2 (times from the beginning) and v3 (times from the event before).
pub fn asciicast(text: &str, about: &About) -> Result<Reading, String> {
    let mut lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#'));
    let header = lines.next().map(|(_, l)| l).unwrap_or_default();
    let header: Value = serde_json::from_str(header).map_err(|e| format!("it is no asciicast: {e}"))?;
    let version = header.get("version").and_then(Value::as_u64).unwrap_or(0);
    if !matches!(version, 2 | 3) {
        return Err(format!(
            "it is an asciicast of version {version}: 2 and 3 are read (asciinema convert makes them)"
        ));
    }
    let begun = header.get("timestamp").and_then(Value::as_i64).and_then(|s| s.checked_mul(1000)).map(Time::from_ms);
    let Some(begun) = begun.or(about.begun) else {
        return Err("the recording does not say when it was made: give --began 2026-11-20T15:38:00Z".into());
    };
    let mut typing = Typing::new(begun);
    let (mut ended, mut unread) = (None, 0);
    for (i, line) in lines {
        let Ok(Value::Array(event)) = serde_json::from_str::<Value>(line) else {
            unread += 1;
            continue;
        };
        let (Some(time), Some(code)) = (event.first().and_then(Value::as_f64), event.get(1).and_then(Value::as_str))
        else {
            unread += 1;
            continue;
        };
        typing.place = i + 1;
        let ms = time * 1000.0;
        typing.at = if version == 2 { ms } else { typing.at + ms };
        let data = event.get(2).and_then(Value::as_str).unwrap_or_default();
        match code {
            "o" => typing.output(data),
            "i" => typing.input(data),
            "m" => {
                let at = typing.at;
                typing.push(at, format!("marker: {data}"));
            }
            "x" => ended = Some(data.to_owned()),
            _ => {}
        }
    }
    let title = header.get("title").and_then(Value::as_str).map(|t| format!(" \"{t}\"")).unwrap_or_default();
    let mut reading = typing.finish(&format!("terminal recording{title}"), ended.as_deref());
    if unread > 0 {
        reading.left_out.push(format!("{} that are no events", crate::text::plural(unread, "line")));
    }
    Ok(reading)
}

/// A typescript. Without its timing only when it began and ended is known.
pub fn script(bytes: &[u8], timing: Option<&[u8]>, about: &About) -> Result<Reading, String> {
    let begin_line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let header = String::from_utf8_lossy(begin_line).into_owned();
    let has_header = header.starts_with("Script started on ");
    let mut begun = header.strip_prefix("Script started on ").and_then(stated);
    let body = if has_header { bytes.get(begin_line.len() + 1..).unwrap_or_default() } else { bytes };
    let timing = timing.map(String::from_utf8_lossy).unwrap_or_default();
    let mut streams = (false, false);
    let (mut input_log, mut output_log) = (String::new(), String::new());
    for line in timing.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("I") => streams.0 = true,
            Some("O") => streams.1 = true,
            Some("H") => {
                let (name, rest) = (words.nth(1).unwrap_or_default(), words.collect::<Vec<_>>().join(" "));
                match name {
                    "START_TIME" => begun = begun.or_else(|| stated(&rest)),
                    "INPUT_LOG" => input_log = rest,
                    "OUTPUT_LOG" => output_log = rest,
                    _ => {}
                }
            }
            _ => {}
        }
    }
    let Some(begun) = begun.or(about.begun) else {
        return Err("the recording does not say when it was made: give --began 2026-11-20T15:38:00Z".into());
    };
    // Both streams stand in one file only where `script` was told so (--log-io); else this is the output.
    let both = streams.0 && (!streams.1 || input_log == output_log || input_log.is_empty());
    let mut typing = Typing::new(begun);
    let mut at = 0usize;
    let mut take = |n: usize| {
        let piece = body.get(at..(at.saturating_add(n)).min(body.len())).unwrap_or_default();
        at = at.saturating_add(n).min(body.len());
        String::from_utf8_lossy(piece).into_owned()
    };
    for (i, line) in timing.lines().enumerate() {
        typing.place = i + 1;
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |i: usize| words.get(i).and_then(|w| w.parse::<f64>().ok()).filter(|n| n.is_finite() && *n >= 0.0);
        let count = |i: usize| words.get(i).and_then(|w| w.parse::<usize>().ok());
        match words.first().copied() {
            Some(kind @ ("I" | "O" | "S" | "H")) => {
                typing.at += number(1).unwrap_or(0.0) * 1000.0;
                match (kind, count(2)) {
                    ("O", Some(n)) => typing.output(&take(n)),
                    ("I", Some(n)) if both => typing.input(&take(n)),
                    _ => {}
                }
            }
            _ => {
                // Classic: delay, bytes of output.
                typing.at += number(0).unwrap_or(0.0) * 1000.0;
                if let Some(n) = count(1) {
                    typing.output(&take(n));
                }
            }
        }
    }
    let tail = String::from_utf8_lossy(body.get(body.len().saturating_sub(400)..).unwrap_or_default()).into_owned();
    let done = tail.rsplit_once("Script done on ").map(|(_, rest)| rest.to_owned());
    let ended =
        done.as_deref().and_then(|d| d.split_once("COMMAND_EXIT_CODE=\"")?.1.split('"').next().map(str::to_owned));
    if timing.is_empty() {
        typing.bytes = body.len() as u64;
        if let Some(end) = done.as_deref().and_then(stated) {
            typing.at = end.ms_since(begun) as f64;
        }
    }
    let mut reading = typing.finish("script recording", ended.as_deref());
    if streams.0 && !both {
        reading.left_out.push("what was typed: it is in another file (record with script --log-io FILE)".into());
    }
    Ok(reading)
}

/// `2026-11-20 15:38:12+00:00 [TERM=…]`. What older versions write names no offset, and is not guessed.
fn stated(text: &str) -> Option<Time> {
    let text = text.trim();
    let iso = text.get(..25).unwrap_or(text);
    let at = chrono::DateTime::parse_from_str(iso, "%Y-%m-%d %H:%M:%S%:z").ok()?;
    Some(Time::from_ms(at.timestamp_millis()))
}
