//! The incident as an asciicast (version 3): its rows as they came, with every entry of the story as a marker, so that a
//! player shows hours in minutes and jumps from entry to entry.
//!
//! Format: <https://docs.asciinema.org/manual/asciicast/v3/>. Nothing of any environment is in it.

use std::fmt::Write as _;

use serde_json::json;

use super::timeline::{Line, relative};
use super::{Review, Sink, escape};
use crate::domain::event::Event;
use crate::domain::timeline::Level;
use crate::text::{clock, width};

const COLUMNS: usize = 110;
const ROWS: usize = 32;
/// Lines above the rows: where it stands.
const HEAD: usize = 3;
/// Columns before the text of a row: time, T+, who.
const BEFORE: usize = 9 + 13 + 13;

/// The recording, one JSON value a line.
pub fn render(review: &Review<'_>) -> String {
    super::collected(|sink| render_to(review, sink))
}

/// As [`render`], piece by piece.
pub fn render_to(review: &Review<'_>, sink: &mut Sink<'_>) {
    let lines = review.lines();
    let story = &review.story;
    let begin = lines.slots().iter().find(|s| s.told).map_or(story.declared.at, |s| s.level);
    let say = |text: &str| escape::plain(text, &review.extra.mask).replace('\n', " ");
    let header = json!({
        "version": 3,
        "term": { "cols": COLUMNS, "rows": ROWS, "type": "xterm-256color" },
        "timestamp": begin.ms().div_euclid(1000),
        "idle_time_limit": 2.0,
        "title": say(&format!("{} {}", story.id, story.title)),
    });
    let mut cast = Cast { out: format!("{header}\n"), told_ms: 0, begin_ms: begin.ms() };
    cast.event(begin.ms(), "o", &format!("\u{1b}[2J\u{1b}[{};{ROWS}r\u{1b}[{ROWS};1H", HEAD + 1));
    let mut stand = Stand { severity: String::new(), status: "before".into(), down: Vec::new() };
    for line in lines.iter().filter(Line::is_told) {
        let line = &line;
        let at = line.level.ms();
        if let Some(entry) = story.entry(line.row.seq) {
            stand.take(&entry.event, entry.incident.as_deref() == Some(&story.id));
        }
        cast.event(at, "m", &format!("#{} {}", line.row.seq, width::cut(&say(&line.text), 80)));
        let mut text = row(line, &relative(story.t_zero, line.level), &say);
        text.push_str(&head(review, line, &stand, &say));
        cast.event(at, "o", &text);
        super::pass_on(&mut cast.out, sink);
    }
    let end = cast.begin_ms + cast.told_ms + 2000;
    cast.event(end, "x", "0");
    sink(&cast.out);
}

/// A recording being written. Intervals add up: each is rounded by what was told so far, so that no drift gathers.
struct Cast {
    out: String,
    begin_ms: i64,
    /// Milliseconds since the beginning up to the last event.
    told_ms: i64,
}

impl Cast {
    fn event(&mut self, at_ms: i64, code: &str, data: &str) {
        // The clock may have been stepped back: time does not.
        let now = (at_ms - self.begin_ms).max(self.told_ms);
        let ms = now - self.told_ms;
        self.told_ms = now;
        let _ = writeln!(self.out, "[{}.{:03}, \"{code}\", {}]", ms / 1000, ms % 1000, json!(data));
    }
}

/// Where the incident stands.
struct Stand {
    severity: String,
    status: String,
    down: Vec<String>,
}

impl Stand {
    fn take(&mut self, event: &Event, own: bool) {
        match event {
            Event::IncidentDeclared(e) if own => {
                self.severity = e.severity.to_string();
                self.status = "investigating".into();
            }
            Event::IncidentSeverity(e) if own => self.severity = e.to.to_string(),
            Event::IncidentStatus(e) if own => self.status = e.to.word().into(),
            Event::IncidentReopened(_) if own => self.status = "reopened".into(),
            Event::HealthChanged(e) => {
                self.down.retain(|s| *s != e.service);
                if e.to == crate::domain::health::Health::Down {
                    self.down.push(e.service.clone());
                }
            }
            _ => {}
        }
    }
}

/// The row at the bottom, the ones above moved up; as many lines as it needs.
fn row(line: &Line, t: &str, say: &dyn Fn(&str) -> String) -> String {
    let (on, glyph) = match line.row.level {
        Level::Bad => ("\u{1b}[31m", "▼ "),
        Level::Warn => ("\u{1b}[33m", "▲ "),
        Level::Good => ("\u{1b}[32m", "✓ "),
        Level::Info | Level::Detail => ("", "· "),
    };
    let who = width::fit(&say(line.author.as_deref().unwrap_or(&line.row.actor)), 12);
    let pin = if line.row.pinned { "★ " } else { "" };
    let text = format!("{glyph}{pin}{}", say(&line.text));
    let mut out = format!("\r\n\u{1b}[2m{} {t:>12}\u{1b}[0m {who} {on}", line.at.hms());
    for (n, part) in wrapped(&text, COLUMNS - BEFORE - 1).iter().enumerate() {
        if n > 0 {
            let _ = write!(out, "\r\n{:BEFORE$}", "");
        }
        out.push_str(part);
    }
    out.push_str("\u{1b}[0m");
    out
}

/// In lines of at most so many columns, broken between words where that is possible.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let fits = lines.last().is_some_and(|l| l.is_empty() || width::width(l) + 1 + width::width(word) <= columns);
        if !fits {
            lines.push(String::new());
        }
        let Some(last) = lines.last_mut() else { continue };
        if !last.is_empty() {
            last.push(' ');
        }
        last.push_str(&width::cut(word, columns));
    }
    // The rest of a very long text is in the journal.
    lines.truncate(6);
    lines
}

/// The lines at the top, written without moving the row that comes next.
fn head(review: &Review<'_>, line: &Line, stand: &Stand, say: &dyn Fn(&str) -> String) -> String {
    let story = &review.story;
    let ms = line.level.ms_since(story.t_zero.at);
    let since = clock(std::time::Duration::from_millis(ms.unsigned_abs()));
    let t = format!("T{}{since}", if ms < 0 { '-' } else { '+' });
    let first = format!(" {}  {}  {}  {t}  {}Z", say(&story.id), stand.severity, say(&stand.status), line.at.hms());
    let down = if stand.down.is_empty() {
        " nothing is known to be down".to_owned()
    } else {
        format!(" down: {}", say(&stand.down.join(", ")))
    };
    let colour = if stand.down.is_empty() { "32" } else { "31" };
    format!(
        "\u{1b}7\u{1b}[1;1H\u{1b}[2K\u{1b}[1;7m{}\u{1b}[0m\u{1b}[2;1H\u{1b}[2K\u{1b}[{colour}m{}\u{1b}[0m\u{1b}8",
        width::fit(&first, COLUMNS),
        width::cut(&down, COLUMNS),
    )
}
