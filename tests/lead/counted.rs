//! What counts over incidents, and the response time: one rule in the figures, the review, the phases and on the screen.

use mayday::domain::catalog::Severity;
use mayday::domain::command::Command;
use mayday::domain::incident::Status;
use mayday::domain::phases::{self, PhaseRow};
use mayday::report::kpi::Share;
use mayday::report::{Extra, Kpi, Review, Verdict, json, markdown, measure};

use crate::lead::kit::{MINUTE, World};

fn kpi(w: &World) -> Kpi {
    Kpi::of(&w.entries, None, None, w.now()).unwrap()
}

fn responses(w: &World) -> Share {
    kpi(w).shares.iter().find(|s| s.name == "response").unwrap().clone()
}

fn verdict(w: &World, id: &str) -> Verdict {
    measure::measure(&w.entries, id).unwrap().get("response").unwrap().verdict
}

fn detection(w: &World, id: &str) -> PhaseRow {
    let i = w.incident(id);
    phases::rows(&i.clock, &w.state.catalog.severities, i.severity)[0]
}

fn acknowledge(w: &mut World, id: &str) {
    w.ask(Command::Acknowledge { incident: Some(id.to_owned()) }).unwrap();
}

#[test]
fn false_alarms_and_merged_incidents_are_no_failures_and_not_open() {
    let mut w = World::new();
    let first = w.declare("outage", Severity::P1, &["api"]);
    acknowledge(&mut w, &first);
    w.pass(10);
    w.status(&first, Status::Resolved);
    w.pass(60);
    let alarm = w.declare("a load test", Severity::P0, &["api"]);
    let command = Command::FalseAlarm { incident: Some(alarm.clone()), reason: "a test".into(), force: false };
    w.ask(command).unwrap();
    w.pass(60);
    let lasting = w.declare("slow", Severity::P1, &["api"]);
    acknowledge(&mut w, &lasting);
    let merged: Vec<String> = ["also slow", "slow too"].map(|t| w.declare(t, Severity::P1, &["web"])).into();
    for one in &merged {
        w.pass(1);
        let command = Command::Merge { incident: one.clone(), into: lasting.clone(), reason: "the same".into() };
        w.ask(command).unwrap();
    }
    w.pass(10);
    w.status(&lasting, Status::Resolved);
    let kpi = kpi(&w);
    assert_eq!(kpi.incidents, [first, lasting]);
    assert_eq!((kpi.open, &kpi.false_alarms, &kpi.merged), (0, &vec![alarm], &merged));
    let between = kpi.durations.iter().find(|d| d.name == "tbf").unwrap();
    assert_eq!((between.n, between.median_ms), (1, Some(120 * MINUTE)), "from the first to the one that lasted");
    let ttr = kpi.durations.iter().find(|d| d.name == "ttr").unwrap();
    assert_eq!((ttr.n, ttr.not_recorded), (2, 0));
    let lines = kpi.lines();
    assert!(lines[0].starts_with("2 incidents (2 P1), declared from"), "{lines:?}");
    assert_eq!(lines[1], "1 false alarm, 2 merged into others: not counted");
}

#[test]
fn nothing_but_a_false_alarm_is_told_as_that() {
    let mut w = World::new();
    w.declare("a load test", Severity::P0, &["api"]);
    w.ask(Command::FalseAlarm { incident: None, reason: "a test".into(), force: false }).unwrap();
    let lines = kpi(&w).lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("0 incidents") && lines[1] == "1 false alarm: not counted", "{lines:?}");
}

#[test]
fn what_nobody_acknowledged_in_its_time_is_a_miss() {
    let mut w = World::new();
    let id = w.declare("outage", Severity::P0, &["api"]);
    // Open, and its time has not run out: nothing to count yet.
    w.pass(4);
    assert_eq!(responses(&w).of, 0);
    // Open, and run out.
    w.pass(3);
    assert_eq!(responses(&w).missed, [format!("acknowledgement in {id}, by 2m")]);
    w.status(&id, Status::Identified);
    assert_eq!(verdict(&w, &id), Verdict::Missed { limit_ms: 5 * MINUTE, by_ms: 2 * MINUTE });
    assert_eq!(detection(&w, &id).late_ms(w.t_ms(&id)), Some(2 * MINUTE), "passed over, and late all the same");
    // Resolved without: its miss stays what it was then.
    w.pass(3);
    w.status(&id, Status::Resolved);
    w.pass(100);
    assert_eq!(responses(&w).missed, [format!("acknowledgement in {id}, by 5m")]);
    assert_eq!(detection(&w, &id).late_ms(w.t_ms(&id)), Some(5 * MINUTE));
    let review = Review::new(&w.entries, &id, Extra::default()).unwrap();
    let md = markdown::render(&review);
    let row = "| Declared to acknowledged | not recorded: nobody acknowledged it | 5m00s **missed** by 5m00s |";
    assert!(md.contains(row), "{md}");
    assert!(md.contains("| 5m00s | nobody acknowledged it | **missed** by 5m00s |"), "{md}");
    let document: serde_json::Value = serde_json::from_str(&json::render(&review)).unwrap();
    assert_eq!(document["phases"][0]["late_ms"], 5 * MINUTE);
    let found = document["measures"].as_array().unwrap().iter().find(|m| m["name"] == "response").unwrap();
    assert_eq!((&found["verdict"], &found["by_ms"]), (&"missed".into(), &(5 * MINUTE).into()));

    // Over before its time was: nobody was late.
    let mut w = World::new();
    let id = w.declare("blip", Severity::P0, &["api"]);
    w.pass(3);
    w.status(&id, Status::Resolved);
    w.pass(100);
    assert_eq!((responses(&w).of, verdict(&w, &id)), (0, Verdict::None));
    assert!(detection(&w, &id).late_ms(w.t_ms(&id)).is_some_and(|late| late <= 0));
}

#[test]
fn a_raise_before_the_acknowledgement_brings_the_shorter_time_everywhere() {
    let mut w = World::new();
    let id = w.declare("outage", Severity::P1, &["api"]);
    w.severity(&id, Severity::P0);
    w.pass(7);
    acknowledge(&mut w, &id);
    let missed = Verdict::Missed { limit_ms: 5 * MINUTE, by_ms: 2 * MINUTE };
    assert_eq!(verdict(&w, &id), missed);
    assert_eq!(detection(&w, &id).late_ms(w.t_ms(&id)), Some(2 * MINUTE));
    assert_eq!(responses(&w).missed, [format!("acknowledgement in {id}, by 2m")]);
    assert_eq!(kpi(&w).severities, [(Severity::P0, 1)], "the highest that it had");
    // What comes later changes nothing, but is the highest no more than before.
    w.severity(&id, Severity::P2);
    assert_eq!((verdict(&w, &id), kpi(&w).severities), (missed, vec![(Severity::P0, 1)]));
    assert_eq!(detection(&w, &id).planned_ms, Some(300_000));
    let md = markdown::render(&Review::new(&w.entries, &id, Extra::default()).unwrap());
    assert!(md.contains("| Declared to acknowledged | 7m00s (the response time of P0) | 5m00s **missed** by 2m00s |"));
    assert!(md.contains("| detection & alert | acknowledged | 5m00s | 7m00s | **late** by 2m00s |"), "{md}");
}

#[test]
fn lowering_it_does_not_take_back_what_has_run_out() {
    let mut w = World::new();
    let id = w.declare("outage", Severity::P0, &["api"]);
    w.pass(6);
    w.severity(&id, Severity::P2);
    assert_eq!(detection(&w, &id).late_ms(w.t_ms(&id)), Some(MINUTE), "still the current phase");
    w.pass(4);
    acknowledge(&mut w, &id);
    assert_eq!(verdict(&w, &id), Verdict::Missed { limit_ms: 5 * MINUTE, by_ms: 5 * MINUTE });
    assert_eq!(detection(&w, &id).late_ms(w.t_ms(&id)), Some(5 * MINUTE));
    // In time: the longer one.
    let mut w = World::new();
    let id = w.declare("outage", Severity::P0, &["api"]);
    w.pass(4);
    w.severity(&id, Severity::P2);
    w.pass(6);
    acknowledge(&mut w, &id);
    assert_eq!(verdict(&w, &id), Verdict::Met { limit_ms: 60 * MINUTE, by_ms: 50 * MINUTE });
    // A clock that jumps changes none of it.
    w.jump(-3_600_000);
    w.status(&id, Status::Resolved);
    assert_eq!((responses(&w).good, responses(&w).of), (1, 1));
}
