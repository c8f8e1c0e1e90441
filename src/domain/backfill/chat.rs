//! Text copied out of a chat: Slack, Teams, WhatsApp, Signal, IRC logs with brackets. None of them has a format; these
//! are the shapes that copying gives.
//!
//! ```text
//! Anna Berg  [3:38 PM]            Slack, with the text in the lines below
//! [20.11.2026, 15:38] Anna: text  Teams, WhatsApp
//! 20/11/2026, 15:38 - Anna: text  WhatsApp export
//! Anna Berg                       Slack and Teams from a browser
//!   3:38 PM
//! ```

use super::lines::{Days, is_24_hours};
use super::stamp::{self, Day, Stamp};
use super::{About, Line, Reading};

/// Longest name of somebody, in characters.
const NAME: usize = 60;

/// A message begins here.
struct Begin<'a> {
    author: Option<&'a str>,
    stamp: Stamp,
    text: &'a str,
}

pub fn looks_like(text: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let mut begins = 0;
    for (i, line) in lines.iter().enumerate() {
        let with_name = begin(line).is_some_and(|b| b.author.is_some_and(is_called));
        let below = lines.get(i + 1).is_some_and(|next| is_called(line) && is_lone_clock(next));
        begins += usize::from(with_name || below);
    }
    begins > 0 && begins * 8 >= lines.iter().filter(|l| stamp::leading(l.trim()).is_some()).count()
}

pub fn read(text: &str, about: &About) -> Reading {
    let clock24 = is_24_hours(text) || text.lines().filter_map(begin).any(|b| is_afternoon(&b.stamp));
    let mut days = Days::new(about, clock24);
    let mut reading = Reading::default();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let mut author = String::new();
    let mut i = 0;
    while let Some(line) = lines.get(i).copied() {
        let place = i + 1;
        i += 1;
        if let Some(day) = stamp::heading(line.trim().trim_matches(['-', '—', '–', '=', '#', ' '])) {
            days.heading(day);
            continue;
        }
        let found = match lines.get(i) {
            // A name, and the time in the line below.
            Some(next) if is_called(line) && is_lone_clock(next) => {
                i += 1;
                stamp::whole(next.trim()).map(|stamp| Begin { author: Some(line.trim()), stamp, text: "" })
            }
            _ => begin(line),
        };
        match found {
            Some(found) => {
                if let Some(name) = found.author {
                    author = name.trim().to_owned();
                }
                let mut read = Line { place, author: author.clone(), text: found.text.to_owned(), ..Line::default() };
                days.place(&found.stamp, &mut read);
                reading.lines.push(read);
            }
            None => match reading.lines.last_mut() {
                Some(last) => {
                    last.text.push('\n');
                    last.text.push_str(line);
                }
                None if line.trim().is_empty() => {}
                None => reading.lines.push(Line { place, text: line.to_owned(), ..Line::default() }),
            },
        }
    }
    reading
}

fn is_afternoon(stamp: &Stamp) -> bool {
    use chrono::Timelike;
    stamp.clock.time.hour() == 0
}

fn begin(line: &str) -> Option<Begin<'_>> {
    let line = line.trim();
    // A stamp in front: in brackets, or with a dash behind it.
    if let Some((stamp, rest)) = stamp::leading(line) {
        let rest = rest.trim_start_matches(['-', '–', '—', ' ']).trim();
        if rest.is_empty() {
            // A later message of the same person.
            return line.starts_with('[').then_some(Begin { author: None, stamp, text: "" });
        }
        let plain = !matches!(stamp.day, Day::Unsaid) || line.starts_with('[');
        let named = |name: &str| is_called(name) || (plain && is_name(name) && name.split_whitespace().count() <= 3);
        if let Some((name, text)) = rest.split_once(": ").filter(|(name, _)| named(name)) {
            return Some(Begin { author: Some(name), stamp, text });
        }
        if line.starts_with('[') && is_name(rest) {
            return Some(Begin { author: Some(rest), stamp, text: "" });
        }
        return plain.then_some(Begin { author: None, stamp, text: rest });
    }
    // A stamp behind a name.
    for (at, _) in line.char_indices().filter(|(_, c)| matches!(c, ' ' | '\u{a0}' | '[')) {
        let (name, rest) = line.split_at_checked(at)?;
        if let Some(stamp) = stamp::whole(rest.trim())
            && is_called(name)
        {
            return Some(Begin { author: Some(name), stamp, text: "" });
        }
    }
    None
}

/// Could be what somebody is called: short, letters first, no sentence.
fn is_name(text: &str) -> bool {
    const LEVELS: [&str; 9] = ["error", "warn", "warning", "info", "debug", "fatal", "notice", "critical", "trace"];
    let text = text.trim();
    // A log's line begins the same way.
    let level = text.split_whitespace().next().is_some_and(|w| LEVELS.contains(&w.to_ascii_lowercase().as_str()));
    let short = !text.is_empty() && text.chars().count() <= NAME && text.split_whitespace().count() <= 5;
    let first = text.chars().next().is_some_and(|c| c.is_alphabetic() || matches!(c, '@' | '~' | '+'));
    short
        && first
        && !level
        && !text.contains([':', '/', '=', '{', '}', '"', '?', '!', ';', '\\'])
        && !text.ends_with(['.', ','])
}

/// Certainly what somebody is called, where nothing else tells it from a short sentence.
fn is_called(text: &str) -> bool {
    const SMALL: [&str; 9] = ["von", "van", "de", "der", "den", "da", "di", "la", "bin"];
    let large =
        |w: &str| w.chars().next().is_some_and(|c| c.is_uppercase() || !c.is_alphabetic()) || SMALL.contains(&w);
    is_name(text) && text.split_whitespace().all(large)
}

/// In brackets it is a later message of whoever wrote before.
fn is_lone_clock(line: &str) -> bool {
    !line.trim().starts_with(['[', '(']) && stamp::whole(line.trim()).is_some()
}
