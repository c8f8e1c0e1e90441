//! What severities and roles allow, through the command line.

use super::team::{ANN, BEN, Team};

const RULES: &str = r#"
[severity.P0]
authority = "full"
[severity.P2]
authority = "monitoring"
[authority]
roles = { commander = "full", operations = "services", dba = "services" }
"#;

#[test]
fn what_is_refused_says_what_would_allow_it() {
    let team = Team::new(RULES);
    let refused = |args: &[&str], words: &[&str]| {
        team.run(BEN, args).expect(3).says(words);
    };
    refused(
        &["restart", "api", "--yes"],
        &["restart api needs P0, the commander, the dba or the operations", "declare an incident of P0 with d"],
    );
    // What gets help is allowed to everybody.
    team.run(ANN, &["incident", "declare", "down", "--severity", "P2"]).ok();
    team.run(ANN, &["incident", "ack"]).ok();
    team.run(BEN, &["note", "seen it"]).ok();
    team.run(BEN, &["act", "look", "--wait"]).expect(5);
    refused(
        &["act", "wipe", "--confirm", "api"],
        &[
            "wipe needs P0 or the commander (full production control)",
            "daemon has monitoring",
            "raise the severity with v",
        ],
    );
    refused(&["pause", "api", "--reason", "x"], &["pause api needs P0", "configuration changes"]);
    refused(&["recover", "all", "--confirm", "api"], &["recover all needs P0 or the commander"]);
    refused(&["engine", "reload"], &["reading the configuration again needs"]);
    let refusals = team.entries("command.refused");
    assert!(refusals.iter().any(|e| e["asked"] == "wipe" && e["actor"]["user"] == "daemon"), "{refusals:#?}");
    // A role gives what it is said to give, also one that only the configuration knows.
    team.run(BEN, &["incident", "assign", "daemon", "--role", "comander"])
        .expect(2)
        .says(&["known are commander, operations"]);
    team.run(BEN, &["incident", "assign", "daemon", "--role", "dba"]).ok();
    team.run(BEN, &["restart", "api", "--yes", "--wait"]).expect(5);
    refused(&["act", "wipe", "--confirm", "api"], &["daemon has service modifications (as dba)"]);
    // Command passes in one entry.
    team.run(ANN, &["incident", "assign", "daemon"]).ok();
    team.run(BEN, &["act", "wipe", "--confirm", "api", "--wait"]).expect(5);
    team.run(ANN, &["act", "wipe", "--confirm", "api"]).expect(3);
    // So does the severity.
    team.run(ANN, &["incident", "severity", "P0", "--reason", "data is lost"]).ok();
    team.run(ANN, &["act", "wipe", "--confirm", "api", "--wait"]).expect(5);
    // Whoever the engine belongs to is never locked out of it.
    assert_eq!(team.count("wiped"), 2);
}
