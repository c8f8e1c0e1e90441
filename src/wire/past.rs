//! What is asked of a record that is looked at as it was: which moments can be gone to, and the picture at one.
//!
//! Screens and commands know a replay only by this. It reads; there is no way through it to an engine.

use std::path::Path;
use std::time::Duration;

use super::request::TimelineQuery;
use super::view::Change;
use crate::domain::Time;
use crate::domain::phases::Marks;
use crate::domain::timeline::{Level, Row};

/// Opens the record in a state directory for the replay of an incident, of the newest one when none is named. It is read
/// in the background: whether there is such a thing is told by [`Past::reach`].
pub type Opener = fn(&Path, Option<&str>) -> Box<dyn Past>;

/// How far it can be gone.
#[derive(Clone, Debug, PartialEq)]
pub enum Reach {
    /// It is being looked for.
    Opening,
    /// It cannot be replayed: why, and what to do.
    Failed(String),
    Open(Box<Span>),
}

/// An entry and when it was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    pub seq: u64,
    pub at: Time,
}

/// The part of the record that is replayed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Span {
    /// The incident; without one the whole record is replayed.
    pub incident: Option<String>,
    pub declared: Option<Point>,
    /// The first moment, once the reading has come there: an hour before the declaration, or the first entry.
    pub first: Option<Point>,
    /// The last entry: that of the incident when it is over, else that of the record.
    pub last: u64,
    /// How far the reading is: moments up to here can be gone to.
    pub read: Point,
    /// All of it is read.
    pub whole: bool,
    /// Entries that could not be read and are missing in every picture after them.
    pub damaged: u64,
    /// What was reached of the incident's phases, by all that was read.
    pub marks: Marks,
    /// Why no measured values can be shown; empty when sealed samples were found.
    pub unsealed: String,
}

impl Span {
    /// A moment can be gone to.
    pub fn has(&self, seq: u64) -> bool {
        self.first.is_some_and(|first| (first.seq..=self.read.seq.min(self.last)).contains(&seq))
    }
}

/// A record that is looked at as it was.
pub trait Past: Send + std::fmt::Debug {
    /// How far it can be gone now.
    fn reach(&self) -> Reach;

    /// Waits until the entry `to` can be gone to (0: until it is open), all is read, or `limit` is over.
    fn wait(&self, to: u64, limit: Duration) -> Reach;

    /// When the entry was recorded.
    fn recorded_at(&self, seq: u64) -> Option<Time>;

    /// The last entry that was recorded by then, within what is read.
    fn entry_at(&self, at: Time) -> Option<u64>;

    /// The next key event after `seq`, or the one before it: what the timeline for people tells.
    fn key_event(&self, seq: u64, forward: bool) -> Option<u64>;

    /// The worst key event in each of so many equal stretches of the time from `from` to `to`.
    fn ticks(&self, from: Time, to: Time, columns: usize) -> Vec<Option<Level>>;

    /// The whole picture as it was with `seq` as the last entry, by a clock that shows `at`. Errors: in words.
    fn picture(&mut self, seq: u64, at: Time) -> Result<Change, String>;

    /// Rows as they read when `upto` was the last entry; `since`: as they were corrected to this day. Never one after `upto`.
    fn rows(&mut self, query: &TimelineQuery, upto: u64, since: bool) -> Result<Vec<Row>, String>;
}

/// Where somebody wants to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    Entry(u64),
    At(Time),
}

/// What a goal may look like.
pub const GOALS: &str = "an entry (61), a time in UTC (02:14, 02:14:07, 2026-11-20T02:14:07Z), T+12:43, +5m or -30s";

impl Goal {
    /// Reads what somebody wrote; `here` is the moment that is looked at. A time of day is the one that lies nearest to it
    /// within the span. Errors: what may be written.
    pub fn parse(text: &str, span: &Span, here: Time) -> Result<Goal, String> {
        let text = text.trim();
        let wrong = || format!("\"{}\" is no moment: {GOALS}", crate::text::clean(text));
        if let Ok(entry) = text.trim_start_matches('#').parse::<u64>()
            && !text.starts_with('+')
        {
            return Ok(Goal::Entry(entry));
        }
        if let Some(rest) = text.strip_prefix("T+").or_else(|| text.strip_prefix("t+")) {
            let declared = span.declared.ok_or("nothing was declared here: T+ counts from a declaration")?;
            return clock(rest).map(|d| Goal::At(declared.at.plus(d))).ok_or_else(wrong);
        }
        if let Some(on) = text.strip_prefix('+') {
            return crate::text::parse_duration(on).map(|d| Goal::At(here.plus(d))).map_err(|_| wrong());
        }
        if let Some(back) = text.strip_prefix('-') {
            return crate::text::parse_duration(back).map(|d| Goal::At(here.minus(d))).map_err(|_| wrong());
        }
        let day = |at: Time| Time::parse(&format!("{}T00:00:00Z", at.date())).unwrap_or(at);
        if let Some(clock) = time_of_day(text) {
            let (from, to) = (span.first.map_or(here, |p| p.at), span.read.at);
            let one = Duration::from_secs(24 * 3600);
            let days = [day(here).minus(one), day(here), day(here).plus(one), day(from), day(to)];
            let far = |at: &Time| (*at < from || *at > to.max(from), at.ms_since(here).abs());
            let nearest = days.into_iter().map(|d| d.plus(clock)).min_by_key(far);
            return nearest.map(Goal::At).ok_or_else(wrong);
        }
        let spaced = text.trim_end_matches(['Z', 'z']).replacen(' ', "T", 1);
        Time::parse(text).or_else(|_| Time::parse(&format!("{spaced}Z"))).map(Goal::At).map_err(|_| wrong())
    }
}

/// `02:14` and `02:14:07`, since midnight.
fn time_of_day(text: &str) -> Option<Duration> {
    let parts: Vec<u64> = text.split(':').map(|p| (p.len() == 2).then(|| p.parse().ok())?).collect::<Option<_>>()?;
    let (h, m, s) = match parts.as_slice() {
        [h, m] => (*h, *m, 0),
        [h, m, s] => (*h, *m, *s),
        _ => return None,
    };
    (h < 24 && m < 60 && s < 60).then(|| Duration::from_secs(h * 3600 + m * 60 + s))
}

/// `12:43` is minutes and seconds, `01:12:43` hours too, `12m` and `1h4m` as everywhere.
fn clock(text: &str) -> Option<Duration> {
    if !text.contains(':') {
        return crate::text::parse_duration(text).ok();
    }
    let parts: Vec<u64> = text.split(':').map(|p| p.parse().ok()).collect::<Option<_>>()?;
    (parts.len() <= 3)
        .then(|| Duration::from_secs(parts.iter().fold(0, |sum, p| sum.saturating_mul(60).saturating_add(*p))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_may_be_written_in_many_ways() {
        let at = |text: &str| Time::parse(text).unwrap();
        let point = |seq, text: &str| Point { seq, at: at(text) };
        let span = Span {
            declared: Some(point(7, "2026-11-19T23:50:00Z")),
            first: Some(point(3, "2026-11-19T22:50:00Z")),
            read: point(412, "2026-11-20T03:00:00Z"),
            ..Span::default()
        };
        let here = at("2026-11-20T00:10:00Z");
        let is = |text: &str| match Goal::parse(text, &span, here) {
            Ok(Goal::At(at)) => at.to_string(),
            Ok(Goal::Entry(n)) => format!("#{n}"),
            Err(why) => why,
        };
        for (text, wanted) in [
            ("61", "#61"),
            ("#61", "#61"),
            ("23:55", "2026-11-19T23:55:00.000Z"),
            ("02:14:07", "2026-11-20T02:14:07.000Z"),
            // Outside of the span on either day: the nearest.
            ("12:00", "2026-11-20T12:00:00.000Z"),
            ("2026-11-20T02:14:07+01:00", "2026-11-20T01:14:07.000Z"),
            ("2026-11-20 02:14:07Z", "2026-11-20T02:14:07.000Z"),
            ("T+12:43", "2026-11-20T00:02:43.000Z"),
            ("t+1h", "2026-11-20T00:50:00.000Z"),
            ("T+01:00:00", "2026-11-20T00:50:00.000Z"),
            ("+5m", "2026-11-20T00:15:00.000Z"),
            ("-30s", "2026-11-20T00:09:30.000Z"),
        ] {
            assert_eq!(is(text), wanted, "{text}");
        }
        for text in ["soon", "", "25:00", "T+x", "+", "-", "::"] {
            assert!(is(text).contains("is no moment"), "{text}: {}", is(text));
        }
    }
}
