//! The ticker counts what the review will count.

use mayday::domain::catalog::Severity;
use mayday::domain::command::Command;
use mayday::domain::health::Health;
use mayday::domain::incident::Status;
use mayday::domain::outage::{Charged, charged};
use mayday::domain::state::State;
use mayday::report::{Value, measure};

use crate::lead::kit::{MINUTE, World};

/// Minutes on the ticker now, having been found the same in the review, and whether it runs.
#[track_caller]
fn ticker(w: &mut World, id: &str) -> (i64, bool) {
    // The review ends with the incident's last entry.
    w.ask(Command::Note { incident: Some(id.to_owned()), text: "so far".into(), happened_at: None }).unwrap();
    let found = charged(&w.state, w.incident(id));
    let ms = i64::try_from(found.at(w.now()).as_millis()).unwrap();
    let m = measure::measure(&w.entries, id).unwrap();
    let Value::Money(reviewed, _) = m.get("cost").unwrap().value else { panic!("no cost") };
    assert_eq!(ms, reviewed as i64, "the ticker and the review");
    assert_eq!(State::replay(&w.entries), w.state);
    (ms / MINUTE, found.since.is_some())
}

#[test]
fn with_everything_up_it_stands_at_nothing() {
    let mut w = World::new();
    w.health("api", Health::Up);
    w.health("web", Health::Up);
    let id = w.declare("customers complain", Severity::P0, &["api"]);
    w.pass(30);
    assert_eq!(ticker(&mut w, &id), (0, false));
    assert_eq!(charged(&w.state, w.incident(&id)), Charged::default());
    // Of the second tier: not what the cost is counted by.
    w.health("web", Health::Down);
    w.pass(5);
    assert_eq!(ticker(&mut w, &id), (0, false));
}

#[test]
fn it_runs_while_a_tier_1_service_is_down_and_stands_while_none_is() {
    let mut w = World::new();
    w.health("api", Health::Up);
    w.pass(60);
    w.health("api", Health::Down);
    w.pass(4);
    let id = w.declare("outage", Severity::P0, &["api"]);
    w.pass(6);
    assert_eq!(ticker(&mut w, &id), (10, true), "from the failure on, not from the declaration");
    // What nobody sees has not recovered.
    w.health("api", Health::Unknown);
    w.pass(2);
    w.health("api", Health::Up);
    w.pass(20);
    assert_eq!(ticker(&mut w, &id), (12, false));
    w.health("api", Health::Down);
    w.pass(3);
    w.jump(-3_600_000);
    assert_eq!(ticker(&mut w, &id), (15, true));
    w.health("api", Health::Up);
    w.jump(7_200_000);
    w.pass(1);
    assert_eq!(ticker(&mut w, &id), (15, false));
    // Over a reopening too.
    w.status(&id, Status::Resolved);
    w.pass(30);
    w.ask(Command::Reopen { incident: Some(id.clone()), reason: "it is back".into() }).unwrap();
    w.health("api", Health::Down);
    w.pass(2);
    assert_eq!(ticker(&mut w, &id), (17, true));
}

#[test]
fn what_was_over_before_it_began_is_not_its_own() {
    let mut w = World::new();
    w.health("api", Health::Down);
    w.pass(5);
    w.health("api", Health::Up);
    w.pass(90);
    let id = w.declare("outage", Severity::P0, &["web"]);
    w.pass(5);
    assert_eq!(ticker(&mut w, &id), (0, false));
    // An onset that is stated later takes in what lies after it.
    w.health("api", Health::Down);
    w.pass(1);
    w.health("api", Health::Up);
    let onset = w.now().minus(std::time::Duration::from_secs(20 * 60));
    w.ask(Command::SetOnset { incident: Some(id.clone()), onset, reason: "first complaint".into() }).unwrap();
    assert_eq!(ticker(&mut w, &id), (1, false));
}
