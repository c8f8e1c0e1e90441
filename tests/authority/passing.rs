//! What one person begins and another takes over: a playbook that was left, the lead of an incident.

use super::team::{ANN, BEN, Team};

const BOOK: &str = r#"
[[playbook]]
name = "one"
[[playbook.step]]
name = "a"
manual = "first"
owner = "operations"
[[playbook.step]]
name = "b"
manual = "second"
"#;

#[test]
fn a_playbook_that_one_left_is_resumed_by_another() {
    let team = Team::new(BOOK);
    team.run(ANN, &["incident", "declare", "down", "--severity", "P1"]).ok();
    team.run(ANN, &["playbook", "start", "one"]).ok();
    let at_hand = |out: &str| out.contains("operations: nobody yet");
    let seen = team.run(BEN, &["playbook", "status"]).ok();
    assert!(at_hand(&seen.out), "{seen:?}");
    team.run(BEN, &["incident", "assign", "daemon", "--role", "operations"]).ok();
    let seen = team.run(ANN, &["playbook", "status"]).ok();
    assert!(seen.out.contains("operations: daemon") && !at_hand(&seen.out), "{seen:?}");
    let shown = team.run(ANN, &["incident", "show"]).ok();
    assert!(shown.out.contains("commander nobody; operations daemon; communications nobody"), "{shown:?}");
    team.run(ANN, &["playbook", "next"]).ok();
    team.run(ANN, &["playbook", "leave", "--reason", "going home"]).ok();
    // It waits for whoever comes, also of the next engine.
    team.kill_engine();
    team.start();
    team.run(BEN, &["playbook", "next"]).expect(3).says(&["resume"]);
    team.run(BEN, &["playbook", "resume"]).ok();
    team.run(BEN, &["playbook", "next"]).ok();
    let status = team.json(ANN, &["playbook", "status"]);
    assert_eq!(
        (&status["state"], &status["started_by"], &status["led_by"]),
        (&"complete".into(), &"nobody".into(), &"daemon".into())
    );
    let by = |step: usize| status["steps"][step]["by"].clone();
    assert_eq!((by(0), by(1)), ("nobody".into(), "daemon".into()), "{status:#}");
    let resumed = team.entries("playbook.resumed");
    assert_eq!((resumed.len(), &resumed[0]["actor"]["uid"]), (1, &1.into()), "{resumed:#?}");
}

#[test]
fn the_lead_that_one_offers_is_taken_by_another() {
    let team = Team::new("");
    let id = team.run(ANN, &["incident", "declare", "down", "--severity", "P1"]).ok().line();
    // Whoever does not lead is not told that they do.
    team.run(BEN, &["handoff"]).ok().says(&["offered, and nobody leads until it is taken"]);
    team.run(BEN, &["handoff", "keep"]).ok();
    team.run(ANN, &["incident", "ack"]).ok();
    team.run(BEN, &["handoff"]).expect(3).says(&["is led by nobody, who alone can hand it over"]);
    let offered = team.run(ANN, &["handoff", "--to", "daemon"]).ok().says(&["offered, and you lead until it is taken"]);
    assert!(offered.out.contains(&id) && offered.out.contains("nobody leads"), "{offered:?}");
    team.run(ANN, &["handoff", "take"]).expect(3).says(&["nobody offered it, and cannot take it over as well"]);
    team.kill_engine();
    team.start();
    team.run(BEN, &["handoff", "take"]).ok();
    let taken = team.entries("handoff.taken");
    assert_eq!((taken.len(), &taken[0]["from"], &taken[0]["to"]), (1, &"nobody".into(), &"daemon".into()));
    assert_eq!(taken[0]["actor"]["user"], "daemon");
    assert_eq!(team.json(ANN, &["status"])["incidents"][0]["commander"], "daemon");
    team.run(BEN, &["handoff", "take"]).expect(3).says(&["nobody offers"]);
    team.run(ANN, &["handoff"]).expect(3).says(&["is led by daemon"]);
}
