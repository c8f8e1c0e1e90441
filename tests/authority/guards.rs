//! Tags and holds of several people.

use super::team::{ANN, BEN, Team};

#[test]
fn a_tag_binds_everybody_until_it_is_off_or_taken_over() {
    let team = Team::new("");
    team.run(ANN, &["tag", "api", "restore running"]).ok();
    for who in [ANN, BEN] {
        for args in [
            &["restart", "api", "--yes"][..],
            &["stop", "api", "--confirm", "api"],
            &["act", "wipe", "--confirm", "api"],
            &["recover", "all", "--confirm", "api"],
        ] {
            let ran = team.run(who, args).expect(3);
            ran.says(&["api is tagged by nobody since", "restore running", "mayday untag api"]);
        }
    }
    team.run(BEN, &["restart", "web", "--yes", "--wait"]).expect(5);
    let status = team.run(BEN, &["status"]);
    assert!(status.out.contains("TAG api by nobody since") && status.out.contains("restore running"), "{status:?}");
    let tags = team.json(BEN, &["tags"]);
    assert_eq!((&tags["tags"][0]["service"], &tags["tags"][0]["by"]), (&"api".into(), &"nobody".into()), "{tags:#}");
    // It outlives the engine.
    team.kill_engine();
    team.start();
    team.run(BEN, &["untag", "api"]).expect(3).says(&["the tag on api is nobody's", "--reason"]);
    team.run(BEN, &["tag", "api", "mine"]).expect(3).says(&["tagged by nobody", "--take-over"]);
    team.run(BEN, &["tag", "api", "nobody went home", "--take-over"]).ok();
    assert_eq!(team.entries("service.tagged")[1]["from"], "nobody");
    team.run(ANN, &["restart", "api", "--yes"]).expect(3).says(&["tagged by daemon"]);
    team.run(ANN, &["untag", "api", "--reason", "it is done"]).ok();
    assert_eq!(team.entries("service.untagged")[0]["from"], "daemon");
    team.run(ANN, &["restart", "api", "--yes", "--wait"]).expect(5);
    assert_eq!(team.count("restarted"), 1);
    assert_eq!(team.count("wiped"), 0);
}

#[test]
fn a_hold_stands_until_the_commander_releases_it() {
    let team = Team::new("");
    team.run(ANN, &["incident", "declare", "a stranger is in", "--severity", "P0"]).ok();
    team.run(ANN, &["incident", "ack"]).ok();
    team.run(BEN, &["hold", "--reason", "evidence"]).expect(2).says(&["name services, or give --all"]);
    team.run(BEN, &["hold", "--all", "--reason", "evidence"]).ok();
    for args in [&["restart", "web", "--yes"][..], &["start", "api", "--yes"], &["act", "wipe", "--confirm", "api"]] {
        team.run(ANN, args).expect(3).says(&["is held by daemon since", "evidence", "mayday release"]);
    }
    // A breach is contained by stopping things, and looking stays possible.
    team.run(ANN, &["stop", "web", "--confirm", "web", "--wait"]).expect(5);
    team.run(ANN, &["act", "look", "--wait"]).expect(5);
    team.kill_engine();
    team.start();
    let status = team.run(BEN, &["status"]);
    assert!(status.out.contains("HELD everything by daemon since"), "{status:?}");
    team.run(BEN, &["release", "web", "--reason", "checked"]).expect(3).says(&["by the commander of", "who is nobody"]);
    team.run(ANN, &["release", "web", "--reason", "checked"]).ok();
    team.run(BEN, &["restart", "web", "--yes", "--wait"]).expect(5);
    team.run(BEN, &["restart", "api", "--yes"]).expect(3).says(&["api is held"]);
    // Whoever takes command may release it.
    team.run(BEN, &["incident", "assign", "daemon"]).ok();
    team.run(BEN, &["release", "--all", "--reason", "disks are copied"]).ok();
    team.run(ANN, &["restart", "api", "--yes", "--wait"]).expect(5);
    assert_eq!(team.count("restarted"), 1);
    assert_eq!(team.entries("service.released")[1]["reason"], "disks are copied");
}
