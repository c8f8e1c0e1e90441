//! When announced maintenance takes place.
//!
//! Times of recurring windows are those of their zone, daylight saving included: a window at 02:30 takes place once in
//! the night in which the clock is set back, and is moved to the next time there is in the night in which 02:30 does not
//! exist.

use std::time::Duration;

use croner::Cron;

use super::types::{Maintenance, MaintenanceWhen};
use crate::domain::Time;

/// One window: from, until.
pub type Window = (Time, Time);

/// Reads a cron expression of five fields.
pub fn cron(text: &str) -> Result<Cron, String> {
    use croner::parser::{CronParser, Seconds};
    let parser = CronParser::builder().seconds(Seconds::Disallowed).build();
    parser.parse(text).map_err(|e| format!("must be a cron expression: {e}"))
}

/// The same, read once for each text: windows are looked at with every beat of the engine.
fn read_once(text: &str) -> Option<Cron> {
    use std::collections::HashMap;
    use std::sync::{LazyLock, Mutex};
    static READ: LazyLock<Mutex<HashMap<String, Option<Cron>>>> = LazyLock::new(Mutex::default);
    let mut read = READ.lock().ok()?;
    if let Some(known) = read.get(text) {
        return known.clone();
    }
    let fresh = cron(text).ok();
    read.insert(text.to_owned(), fresh.clone());
    fresh
}

/// Reads the name of a time zone.
pub fn zone(text: &str) -> Result<chrono_tz::Tz, String> {
    text.parse().map_err(|_| format!("must be a time zone of the tz database, found {}", super::value::quoted(text)))
}

impl Maintenance {
    /// The window that `now` lies in.
    pub fn at(&self, now: Time) -> Option<Window> {
        let from = match &self.when {
            MaintenanceWhen::Once(from) => *from,
            MaintenanceWhen::Every { cron: text, zone } => {
                let found =
                    read_once(text)?.find_previous_occurrence(&now.to_chrono().with_timezone(zone), true).ok()?;
                Time::from_ms(found.timestamp_millis())
            }
        };
        self.window(from).filter(|(from, until)| *from <= now && now < *until)
    }

    /// The next window that begins after `now`.
    pub fn next(&self, now: Time) -> Option<Window> {
        let from = match &self.when {
            MaintenanceWhen::Once(from) => Some(*from).filter(|from| *from > now)?,
            MaintenanceWhen::Every { cron: text, zone } => {
                let found = read_once(text)?.find_next_occurrence(&now.to_chrono().with_timezone(zone), false).ok()?;
                Time::from_ms(found.timestamp_millis())
            }
        };
        self.window(from)
    }

    fn window(&self, from: Time) -> Option<Window> {
        (self.lasts > Duration::ZERO).then(|| (from, from.plus(self.lasts)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::parse(text).unwrap()
    }

    fn weekly(cron: &str, zone: &str, hours: u64) -> Maintenance {
        Maintenance {
            name: "patches".into(),
            services: Vec::new(),
            when: MaintenanceWhen::Every { cron: cron.into(), zone: zone.parse().unwrap() },
            lasts: Duration::from_secs(hours * 3600),
            announce: Duration::from_secs(48 * 3600),
        }
    }

    #[test]
    fn a_recurring_window_follows_its_zone_over_daylight_saving() {
        let m = weekly("0 22 * * SAT", "Europe/Berlin", 4);
        // In winter 22:00 is 21:00Z, in summer 20:00Z.
        assert_eq!(m.at(at("2026-11-21T21:00:00Z")), Some((at("2026-11-21T21:00:00Z"), at("2026-11-22T01:00:00Z"))));
        assert_eq!(m.at(at("2026-11-22T00:59:59Z")).map(|w| w.0), Some(at("2026-11-21T21:00:00Z")));
        assert_eq!(m.at(at("2026-11-22T01:00:00Z")), None, "its end is not in it");
        assert_eq!(m.next(at("2026-03-28T22:00:00Z")).map(|w| w.0), Some(at("2026-04-04T20:00:00Z")));
        assert_eq!(m.next(at("2026-11-21T21:00:00Z")).map(|w| w.0), Some(at("2026-11-28T21:00:00Z")));
    }

    #[test]
    fn a_single_window_takes_place_once() {
        let from = at("2026-12-05T22:00:00Z");
        let m = Maintenance { when: MaintenanceWhen::Once(from), ..weekly("* * * * *", "UTC", 2) };
        assert_eq!(m.next(at("2026-12-01T00:00:00Z")), Some((from, at("2026-12-06T00:00:00Z"))));
        assert_eq!(m.at(at("2026-12-05T23:00:00Z")).map(|w| w.0), Some(from));
        assert_eq!((m.at(at("2026-12-06T00:00:00Z")), m.next(from)), (None, None));
    }
}
