//! A moment, as the journal writes it: UTC, milliseconds, RFC 3339.
//!
//! Signed milliseconds since the Unix epoch inside, so that moments are cheap to copy, order and subtract; text only at
//! the edges. Never asks what time it is.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How long ago a time of day without a day may be meant to lie when it crosses midnight.
const EVENING: Duration = Duration::from_secs(12 * 3600);

/// A moment in UTC with millisecond precision.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(i64);

impl Time {
    /// The moment that lies `ms` milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_ms(ms: i64) -> Self {
        Time(ms)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// This moment and `d` more.
    pub fn plus(self, d: Duration) -> Self {
        Time(self.0.saturating_add(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment less `d`.
    pub fn minus(self, d: Duration) -> Self {
        Time(self.0.saturating_sub(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The same moment on a clock that was stepped by `by_ms`.
    pub const fn stepped(self, by_ms: i64) -> Self {
        Time(self.0.saturating_add(by_ms))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Signed milliseconds from `earlier` to this.
    pub const fn ms_since(self, earlier: Time) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads RFC 3339, with any offset. Errors: the text as it was, with what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        DateTime::parse_from_rfc3339(text)
            .map(|t| Time(t.timestamp_millis()))
            .map_err(|_| format!("\"{text}\" is not a time like 2026-11-20T02:14:07Z"))
    }

    /// `HH:MM` or `HH:MM:SS` of the day of `now`; shortly after midnight also of the evening before. UTC. `None`: it is no
    /// such time. Errors: that is still to come today, and longer ago than anybody would mean without saying the day.
    pub fn of_day(text: &str, now: Time) -> Option<Result<Self, String>> {
        let clock = chrono::NaiveTime::parse_from_str(text, "%H:%M:%S")
            .or_else(|_| chrono::NaiveTime::parse_from_str(text, "%H:%M"))
            .ok()?;
        let today = Time::from_ms(now.to_chrono().date_naive().and_time(clock).and_utc().timestamp_millis());
        if today <= now {
            return Some(Ok(today));
        }
        let before = today.minus(Duration::from_secs(24 * 3600));
        if now.since(before) <= EVENING {
            return Some(Ok(before));
        }
        Some(Err(format!("{text} UTC is still to come today; if another day is meant, write {before}")))
    }

    /// The chrono value, for zones and formatting. Moments outside chrono's range become the epoch.
    pub fn to_chrono(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or_default()
    }

    /// `02:14:07`, UTC.
    pub fn hms(self) -> String {
        self.to_chrono().format("%H:%M:%S").to_string()
    }

    /// `02:14`, UTC.
    pub fn hm(self) -> String {
        self.to_chrono().format("%H:%M").to_string()
    }

    /// `2026-11-20`, UTC.
    pub fn date(self) -> String {
        self.to_chrono().format("%Y-%m-%d").to_string()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_chrono().to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Time::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_never_guessed_far_back() {
        let of = |text: &str, now: &str| Time::of_day(text, Time::parse(now).expect("a time"));
        let is = |text: &str, now: &str| of(text, now).expect("a time of day").map(|t| t.to_string());
        assert_eq!(is("02:14", "2026-11-20T15:41:00Z").unwrap(), "2026-11-20T02:14:00.000Z");
        assert_eq!(is("15:41:00", "2026-11-20T15:41:00Z").unwrap(), "2026-11-20T15:41:00.000Z");
        assert_eq!(is("23:50:07", "2026-11-20T00:10:00Z").unwrap(), "2026-11-19T23:50:07.000Z");
        let why = is("23:59", "2026-11-20T15:41:00Z").unwrap_err();
        assert!(why.contains("still to come") && why.contains("2026-11-19T23:59:00.000Z"), "{why}");
        assert!(of("soon", "2026-11-20T15:41:00Z").is_none());
    }
}
