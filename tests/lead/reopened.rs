//! What a reopening changes, and what it leaves as it is.

use mayday::domain::cadence::Word;
use mayday::domain::catalog::Severity;
use mayday::domain::command::Command;
use mayday::domain::health::Health;
use mayday::domain::incident::Status;
use mayday::domain::message::{Delivery, Template};
use mayday::domain::phases::{self, PhaseRow, PhaseState};
use mayday::domain::state::State;
use mayday::report::{Extra, Review, Value, json, markdown, measure};

use crate::lead::kit::{MINUTE, World};

fn rows(w: &World, id: &str) -> Vec<PhaseRow> {
    let i = w.incident(id);
    phases::rows(&i.clock, &w.state.catalog.severities, i.severity)
}

fn reopen(w: &mut World, id: &str) {
    w.ask(Command::Reopen { incident: Some(id.to_owned()), reason: "it is back".into() }).unwrap();
}

/// Mitigated at T+10, resolved at T+20, reopened at T+30 with its service down.
fn reopened() -> (World, String) {
    let mut w = World::new();
    w.health("api", Health::Down);
    let id = w.declare("outage", Severity::P0, &["api"]);
    w.ask(Command::Acknowledge { incident: None }).unwrap();
    w.pass(8);
    w.status(&id, Status::Identified);
    w.pass(2);
    w.status(&id, Status::Monitoring);
    w.pass(5);
    w.health("api", Health::Up);
    w.pass(5);
    w.status(&id, Status::Resolved);
    w.pass(8);
    w.health("api", Health::Down);
    w.pass(2);
    reopen(&mut w, &id);
    (w, id)
}

#[test]
fn what_was_reached_before_a_reopening_stands() {
    use PhaseState::{Current, Over, ToCome};
    let (mut w, id) = reopened();
    let states: Vec<PhaseState> = rows(&w, &id).iter().map(|r| r.state).collect();
    assert_eq!(states, [Over, Over, Over, Current, ToCome, ToCome]);
    assert!(w.incident(&id).mitigated_at.is_some());
    assert!(rows(&w, &id)[3].again, "its services are to be up once more");
    w.pass(10);
    w.health("api", Health::Up);
    w.pass(5);
    // Straight from investigating.
    w.status(&id, Status::Resolved);
    let reached: Vec<(Option<i64>, bool)> =
        rows(&w, &id).iter().map(|r| (r.ended.map(|m| m.t_ms / MINUTE), r.again)).collect();
    let once = |t| (Some(t), false);
    assert_eq!(reached, [once(0), once(8), once(10), (Some(40), true), (Some(45), true), (None, true)]);
    assert_eq!(State::replay(&w.entries), w.state);

    let m = measure::measure(&w.entries, &id).unwrap();
    let mitigated = m.get("mitigate").unwrap();
    assert!(matches!(mitigated.value, Value::At(at) if at.ms_since(w.entries[2].at) == 10 * MINUTE), "{mitigated:?}");
    assert_eq!(m.get("ttm").unwrap().ms(), Some(10 * MINUTE));
    let review = Review::new(&w.entries, &id, Extra::default()).unwrap();
    let md = markdown::render(&review);
    assert!(!md.contains("it was never set to monitoring") && !md.contains("passed over"), "{md}");
    assert!(md.contains("| recovery | services up | 1h00m00s | 40m00s, again | in time |"), "{md}");
    assert!(md.contains("Reopened at T+30m00s [") && md.contains("resolved since T+20m00s ["), "{md}");
    let document: serde_json::Value = serde_json::from_str(&json::render(&review)).unwrap();
    assert_eq!(document["reopened"][0]["t_ms"], 30 * MINUTE);
    assert_eq!(document["reopened"][0]["status_before"], "resolved");
}

#[test]
fn services_that_stayed_up_need_no_second_recovery() {
    let mut w = World::new();
    w.health("api", Health::Up);
    let id = w.declare("outage", Severity::P0, &["api"]);
    w.health("api", Health::Down);
    w.status(&id, Status::Monitoring);
    w.pass(5);
    w.health("api", Health::Up);
    w.status(&id, Status::Resolved);
    w.pass(10);
    reopen(&mut w, &id);
    let found = rows(&w, &id);
    assert_eq!((found[3].ended.map(|m| m.t_ms), found[3].again), (Some(5 * MINUTE), false));
    assert_eq!((found[4].state, found[4].again), (PhaseState::Current, true));
}

#[test]
fn a_reopening_puts_no_update_off() {
    let mut w = World::new();
    let id = w.declare("outage", Severity::P0, &["api"]);
    w.pass(2);
    w.message(&id, Template::Initial, Delivery::Accepted);
    w.pass(3);
    w.status(&id, Status::Resolved);
    w.pass(1);
    reopen(&mut w, &id);
    assert_eq!(w.due(&id), Some((Word::Update, 11 * 60)), "fifteen minutes from the last accepted one");
    w.pass(13);
    w.message(&id, Template::Update, Delivery::Accepted);
    let m = measure::measure(&w.entries, &id).unwrap();
    assert_eq!(m.get("updates.worst").unwrap().ms(), Some(2 * MINUTE), "the review counts as the cockpit does");

    // Nobody outside was told anything yet: from the declaration.
    let mut w = World::new();
    let id = w.declare("outage", Severity::P0, &["api"]);
    w.pass(2);
    w.status(&id, Status::Resolved);
    w.pass(1);
    reopen(&mut w, &id);
    assert_eq!(w.due(&id), Some((Word::First, 120)));
    // A clock that jumps moves none of it.
    w.jump(-3_600_000);
    assert_eq!(w.due(&id), Some((Word::First, 120)));

    // Nor one that jumps while it is resolved.
    let mut w = World::new();
    let id = w.declare("outage", Severity::P0, &["api"]);
    w.message(&id, Template::Initial, Delivery::Accepted);
    w.status(&id, Status::Resolved);
    w.jump(-3_600_000);
    w.pass(1);
    reopen(&mut w, &id);
    assert_eq!(w.due(&id), Some((Word::Update, 14 * 60)));

    // What would have been due while it was resolved is due when it is opened again, and no earlier.
    let mut w = World::new();
    let id = w.declare("outage", Severity::P0, &["api"]);
    w.message(&id, Template::Initial, Delivery::Accepted);
    w.status(&id, Status::Resolved);
    w.pass(240);
    reopen(&mut w, &id);
    assert_eq!(w.due(&id), Some((Word::Update, 0)));
    w.pass(1);
    w.message(&id, Template::Update, Delivery::Accepted);
    let m = measure::measure(&w.entries, &id).unwrap();
    assert_eq!(m.get("updates.worst").unwrap().ms(), Some(MINUTE));
}
