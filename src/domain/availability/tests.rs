//! Months worked out by hand.

use super::*;
use crate::domain::actor::Actor;
use crate::domain::event::*;
use crate::domain::state::State;

struct Told {
    state: State,
    seq: u64,
    boot: String,
    /// Wall clock minus boot clock.
    offset: i64,
}

const HOUR: u64 = 3_600_000;

impl Told {
    fn new() -> Told {
        let mut told = Told { state: State::default(), seq: 0, boot: "one".into(), offset: 0 };
        told.at("2026-11-30T20:00:00Z", EngineStarted { version: "1".into(), pid: 1, clean: true });
        told
    }

    fn moment(&self, at: &str) -> Moment {
        let at = Time::parse(at).unwrap();
        Moment { at, boot_ms: (at.ms() - self.offset - 1_700_000_000_000) as u64, boot: self.boot.clone() }
    }

    fn at(&mut self, at: &str, event: impl Into<Event>) {
        self.seq += 1;
        let Moment { at, boot_ms, boot } = self.moment(at);
        let (host, actor) = ("h".into(), Actor::engine());
        let entry = Entry { seq: self.seq, at, boot_ms, boot, host, actor, incident: None, event: event.into() };
        self.state.apply(&entry);
    }

    fn health(&mut self, at: &str, to: Health) {
        let from = self.state.services.get("api").map(|r| r.state).unwrap_or_default();
        let (check, detail) = ("http".into(), String::new());
        let (because, happened_at) = (None, None);
        self.at(at, HealthChanged { service: "api".into(), from, to, check, detail, because, happened_at });
    }

    fn tally(&self, at: &str, month: &str) -> Tally {
        let record = self.state.services.get("api");
        let months = self.state.availability.months("api", record, &self.moment(at));
        months.get(month).copied().unwrap_or_default()
    }
}

#[test]
fn up_and_down_are_counted_month_by_month_and_open_states_up_to_now() {
    let mut told = Told::new();
    told.health("2026-11-30T21:00:00Z", Health::Up);
    told.health("2026-11-30T22:00:00Z", Health::Down);
    told.health("2026-12-01T01:00:00Z", Health::Degraded);
    let november = told.tally("2026-12-01T03:00:00Z", "2026-11");
    assert_eq!((november.up_ms, november.down_ms), (HOUR, 2 * HOUR), "{november:?}");
    let december = told.tally("2026-12-01T03:00:00Z", "2026-12");
    assert_eq!((december.up_ms, december.down_ms), (2 * HOUR, HOUR), "degraded is available");
    assert_eq!(december.availability(), Some(200.0 / 3.0));
    // 0.1 % of 744 hours less one hour.
    let allowed = 744.0 * 3_600_000.0 * 0.001;
    let left = december.budget_left_ms(month_ms(Time::parse("2026-12-01T03:00:00Z").unwrap()), 99.9);
    assert_eq!(left, (allowed - HOUR as f64).round() as i64);
    assert!(left < 0, "more than the month allows");
}

#[test]
fn what_nobody_watched_is_in_neither_and_lowers_the_coverage() {
    let mut told = Told::new();
    told.health("2026-11-30T20:00:00Z", Health::Up);
    told.at("2026-11-30T21:00:00Z", EngineStopped { reason: String::new() });
    told.at("2026-11-30T22:00:00Z", EngineStarted { version: "1".into(), pid: 2, clean: true });
    // Killed after its last word at 23:00; the next one comes half an hour later.
    told.at("2026-11-30T23:00:00Z", ClockStepped { by_ms: 0 });
    told.at("2026-11-30T23:30:00Z", EngineStarted { version: "1".into(), pid: 3, clean: false });
    let tally = told.tally("2026-11-30T23:30:00Z", "2026-11");
    assert_eq!((tally.up_ms, tally.unknown_ms), (2 * HOUR, HOUR + HOUR / 2), "{tally:?}");
    assert_eq!(tally.availability(), Some(100.0));
    assert!((tally.coverage().unwrap() - 200.0 / 3.5).abs() < 1e-9);
}

#[test]
fn pauses_and_maintenance_promise_nothing() {
    let mut told = Told::new();
    told.health("2026-11-30T20:00:00Z", Health::Up);
    let until = Time::parse("2026-11-30T22:00:00Z").unwrap();
    let services = vec!["api".to_owned()];
    told.at("2026-11-30T21:00:00Z", MaintenanceBegan { window: "patches".into(), services, until });
    assert!(told.state.availability.in_maintenance("api") && !told.state.availability.in_maintenance("db"));
    told.health("2026-11-30T21:10:00Z", Health::Down);
    told.health("2026-11-30T21:40:00Z", Health::Up);
    told.at("2026-11-30T22:00:00Z", MaintenanceEnded { window: "patches".into(), services: vec![] });
    told.at(
        "2026-11-30T22:30:00Z",
        ServicePaused {
            service: "api".into(),
            until: Time::parse("2026-11-30T23:30:00Z").unwrap(),
            reason: "x".into(),
        },
    );
    let tally = told.tally("2026-11-30T23:00:00Z", "2026-11");
    assert_eq!((tally.down_ms, tally.up_ms, tally.excluded_ms), (0, HOUR + HOUR / 2, HOUR + HOUR / 2), "{tally:?}");
}

#[test]
fn a_clock_that_is_stepped_or_a_host_that_restarts_invents_no_time() {
    let mut told = Told::new();
    told.health("2026-11-30T20:00:00Z", Health::Up);
    // The wall clock jumps ahead by two hours; the boot clock says ten minutes.
    told.offset = 2 * HOUR as i64;
    told.at("2026-11-30T22:10:00Z", ClockStepped { by_ms: 2 * HOUR as i64 });
    told.health("2026-11-30T22:10:00Z", Health::Down);
    let tally = told.tally("2026-11-30T22:10:00Z", "2026-11");
    assert_eq!((tally.up_ms, tally.unknown_ms), (HOUR / 6, 0), "{tally:?}");
    told.boot = "two".into();
    told.at("2026-11-30T23:10:00Z", EngineStarted { version: "1".into(), pid: 9, clean: false });
    let tally = told.tally("2026-11-30T23:10:00Z", "2026-11");
    assert_eq!((tally.up_ms, tally.down_ms, tally.unknown_ms), (HOUR / 6, 0, HOUR), "{tally:?}");
    assert!(tally.availability().unwrap() <= 100.0);
}
