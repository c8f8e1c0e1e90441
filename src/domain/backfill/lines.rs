//! Free lines with a stamp in front; a line without one goes on with the line before.

use chrono::NaiveDate;

use super::stamp::{self, Day, Stamp};
use super::{About, Line, Reading};
use crate::domain::time::Time;

/// A step back by more than this is the next day; by less, a line that stands in the wrong place.
const OVERNIGHT_MS: i64 = 12 * 3_600_000;
/// Without a day, a time this far from the incident's begin may be of two days.
const NEAR_MS: i64 = 8 * 3_600_000;
const DAY_MS: i64 = 24 * 3_600_000;

pub fn read(text: &str, about: &About) -> Reading {
    let clock24 = is_24_hours(text);
    let mut days = Days::new(about, clock24);
    let mut reading = Reading::default();
    for (i, raw) in text.lines().enumerate() {
        let line = raw.trim_end();
        // Lists and quotes are how people write lines down.
        let bare = line.trim_start().trim_start_matches(['-', '*', '•', '>']).trim_start();
        if let Some(day) = stamp::heading(bare.trim_matches(['#', ' '])) {
            days.heading(day);
            continue;
        }
        let Some((stamp, rest)) = stamp::leading(bare) else {
            match reading.lines.last_mut() {
                Some(last) => {
                    last.text.push('\n');
                    last.text.push_str(line);
                }
                None if line.trim().is_empty() => {}
                None => reading.lines.push(Line { place: i + 1, text: line.to_owned(), ..Line::default() }),
            }
            continue;
        };
        let (author, rest) = author_of(rest);
        let mut read = Line { place: i + 1, author, text: rest.to_owned(), ..Line::default() };
        days.place(&stamp, &mut read);
        reading.lines.push(read);
    }
    reading
}

/// An hour that no 12-hour clock has stands somewhere in it.
pub fn is_24_hours(text: &str) -> bool {
    text.lines().any(|line| {
        let bare = line.trim_start().trim_start_matches(['-', '*', '•', '>', '[']).trim_start();
        stamp::leading(bare).is_some_and(|(s, _)| {
            use chrono::Timelike;
            s.clock.time.hour() == 0 || (s.clock.time.hour() > 12 && !bare.to_ascii_lowercase().contains('m'))
        })
    })
}

/// `<anna> text` and `@anna: text`; anything else may be the text itself.
fn author_of(rest: &str) -> (String, &str) {
    if let Some((name, text)) = rest.strip_prefix('<').and_then(|r| r.split_once('>'))
        && !name.is_empty()
        && name.len() <= 40
        && !name.contains(char::is_whitespace)
    {
        return (name.trim_start_matches(['@', '+', '%']).to_owned(), text.trim_start());
    }
    if let Some((name, text)) = rest.strip_prefix('@').and_then(|r| r.split_once(':'))
        && !name.is_empty()
        && name.len() <= 40
        && !name.contains(char::is_whitespace)
    {
        return (name.to_owned(), text.trim_start());
    }
    (String::new(), rest)
}

/// Which day a time is of, from line to line.
pub struct Days<'a> {
    about: &'a About,
    clock24: bool,
    /// The day that a heading, `--date` or a line before said.
    day: Option<Day>,
    before: Option<Time>,
}

impl<'a> Days<'a> {
    pub fn new(about: &'a About, clock24: bool) -> Self {
        Days { about, clock24, day: about.date.map(Day::On), before: None }
    }

    pub fn heading(&mut self, day: Day) {
        self.day = Some(day);
        self.before = None;
    }

    /// Gives `line` its moment, and the doubts about it.
    pub fn place(&mut self, stamp: &Stamp, line: &mut Line) {
        let zone = stamp.zone.unwrap_or(self.about.zone);
        line.doubts.extend(stamp.doubt.clone());
        let start = stamp::day_of(self.about.start, zone);
        let today = stamp::day_of(self.about.now, zone);
        let said = match &stamp.day {
            Day::Unsaid => None,
            day => Some(day.clone()),
        };
        let own = said.is_some();
        let mut at = match said.or_else(|| self.day.clone()) {
            None | Some(Day::Unsaid) => self.nearest(stamp, zone, start, line),
            Some(day) => {
                let (date, other) = match day {
                    Day::On(date) => (date, None),
                    Day::Either(a, b) => {
                        // Nothing but the incident's day tells them apart, and that is a guess.
                        let (a, b) = if distance(b, start) < distance(a, start) { (b, a) } else { (a, b) };
                        line.doubts.push(format!("it may be {a} or {b}: which comes first, day or month?"));
                        (a, Some(b))
                    }
                    Day::Today => (today, None),
                    Day::Yesterday => (stamp::day_before(today), None),
                    Day::InYear { month, day } => match stamp::in_year(month, day, start) {
                        Some(date) => (date, None),
                        None => {
                            line.doubts.push("there is no such day".into());
                            return;
                        }
                    },
                    Day::Unsaid => (start, None),
                };
                line.or.extend(other.map(|d| stamp::moment(d, stamp.clock.time, zone)));
                if own {
                    // What follows without a day is of this one.
                    self.day = Some(Day::On(date));
                }
                stamp::moment(date, stamp.clock.time, zone)
            }
        };
        if stamp.clock.either && !self.clock24 {
            line.doubts.push("morning or afternoon? it is written without am and pm".into());
            line.or.push(Time::from_ms(at.ms() + OVERNIGHT_MS));
        }
        if let Some(before) = self.before
            && at < before
        {
            let back = before.ms_since(at);
            if !own && back > OVERNIGHT_MS {
                line.or.push(at);
                at = Time::from_ms(at.ms() + DAY_MS);
                line.doubts.push(format!("taken for the next day ({}): it follows {}Z", at.date(), before.hm()));
                self.day = Some(Day::On(stamp::day_of(at, zone)));
            } else {
                line.doubts.push(format!("earlier than the line before it ({} {}Z)", before.date(), before.hms()));
                line.at = Some(at);
                // The next line is held against the one that was in its place.
                return;
            }
        }
        self.before = Some(at);
        line.at = Some(at);
    }

    /// Nobody said a day: the one that lies nearest to the incident's begin, where that is clear.
    fn nearest(&mut self, stamp: &Stamp, zone: i32, start: NaiveDate, line: &mut Line) -> Time {
        if let Some(before) = self.before {
            // Goes on from the line before.
            return stamp::moment(stamp::day_of(before, zone), stamp.clock.time, zone);
        }
        let days = [stamp::day_before(start), start, stamp::next_day(start)];
        let mut all = days.map(|d| stamp::moment(d, stamp.clock.time, zone));
        all.sort_by_key(|at| at.ms_since(self.about.start).abs());
        let [best, second, _] = all;
        if best.ms_since(self.about.start).abs() > NEAR_MS {
            line.doubts.push(format!("which day? it may be {} or {}: give --date", best.date(), second.date()));
            line.or.push(second);
        }
        best
    }
}

fn distance(a: NaiveDate, b: NaiveDate) -> i64 {
    a.signed_duration_since(b).num_days().abs()
}
