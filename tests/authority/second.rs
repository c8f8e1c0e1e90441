//! Second persons: asked for, approved, declined, gone on without; across the death of an engine.

use super::support::{PATIENCE, wait_until};
use super::team::{ANN, BEN, Team};

const TWO: &str = "[authority]\nsecond_person = true\n";

/// What `ann` confirmed and what waits for it.
fn ask(team: &Team, action: &str) -> String {
    let target = if action == "wipe" { "api" } else { "web" };
    let ran = team.run(ANN, &["act", action, "--confirm", target]).expect(3);
    let ran =
        ran.says(&["not started yet", "destructive steps need a second person", "mayday approve", "Say to them: "]);
    let request = team.request();
    assert_eq!(request["state"], "waiting", "{request:#}");
    assert!(ran.err.contains(request["words"].as_str().unwrap()), "{ran:?}");
    request["id"].as_str().unwrap().to_owned()
}

#[test]
fn another_user_approves_what_one_has_asked_for() {
    let team = Team::new(TWO);
    team.run(ANN, &["incident", "declare", "data are wrong", "--severity", "P1"]).ok();
    let id = ask(&team, "wipe");
    assert_eq!(team.count("wiped"), 0);
    team.run(ANN, &["approve", &id, "--yes"])
        .expect(3)
        .says(&["asked for by nobody (uid 65534), who cannot approve it too"]);
    // Without a yes nothing is approved.
    team.run(BEN, &["approve", &id]).expect(3).says(&["not confirmed", "--yes"]);
    let seen = team.run(BEN, &["approvals", &id]).ok();
    for words in ["wipe", "by nobody", "echo x >> "] {
        assert!(seen.out.contains(words), "{seen:?}");
    }
    let status = team.run(BEN, &["status"]);
    assert!(status.out.contains("APPROVAL wanted by nobody for wipe until"), "{status:?}");
    assert_eq!(team.json(BEN, &["status"])["approvals"][0]["id"], id.as_str());
    team.run(BEN, &["approve", &id, "--yes"]).ok();
    let run = team.run_over(&id);
    assert_eq!((&run["state"], &run["requested_by"]), (&"succeeded".into(), &"nobody".into()), "{run:#}");
    team.lines("wiped", 1);
    // It starts once, whatever is said afterwards.
    team.run(BEN, &["approve", &id, "--yes"]).expect(3).says(&["is over: approved by daemon"]);
    team.run(ANN, &["break-glass", &id, "why"]).expect(3).says(&["is over: approved by daemon"]);
    assert_eq!(team.count("wiped"), 1);
    let given = team.entries("approval.given");
    assert_eq!((&given[0]["actor"]["user"], &given[0]["requested_by"]), (&"daemon".into(), &"nobody".into()));
    // The review has it.
    let review = team.json(ANN, &["export", "--format", "json"]);
    let told = &review["approvals"][0];
    assert_eq!(
        (&told["requested_by"], &told["decided_by"], &told["state"]),
        (&"nobody".into(), &"daemon".into(), &"approved".into())
    );
    assert!(told["waited_ms"].as_i64().is_some_and(|ms| ms >= 0) && told["glass_broken"] == false, "{told:#}");
    assert_eq!(review["runs"][0]["requested_by"], "nobody", "{:#}", review["runs"]);
    let page = team.run(ANN, &["export"]).ok();
    assert!(page.out.contains("### Second persons") && page.out.contains("approved by daemon"), "{page:?}");
}

#[test]
fn who_waits_is_told_what_became_of_it() {
    let team = Team::new(TWO);
    let mut waits = team.command(ANN, &["act", "wipe", "--confirm", "api", "--wait"]);
    waits.stderr(std::process::Stdio::null());
    let mut approved = waits.spawn().unwrap();
    wait_until("it is asked for", PATIENCE, || team.request()["state"] == "waiting");
    let id = team.request()["id"].as_str().unwrap().to_owned();
    team.run(BEN, &["approve", &id, "--yes"]).ok();
    // Nothing checks its effect.
    assert_eq!(approved.wait().unwrap().code(), Some(5));
    let mut declined = waits.spawn().unwrap();
    wait_until("it is asked for", PATIENCE, || team.request()["state"] == "waiting");
    let id = team.request()["id"].as_str().unwrap().to_owned();
    team.run(BEN, &["decline", &id]).expect(2).says(&["declining needs a reason"]);
    team.run(BEN, &["decline", &id, "--reason", "wrong database"]).ok();
    assert_eq!(declined.wait().unwrap().code(), Some(3));
    assert_eq!(team.request()["note"], "wrong database");
    assert_eq!(team.count("wiped"), 1);
}

#[test]
fn the_glass_is_broken_with_a_reason_that_is_sent_out() {
    let team = Team::new(TWO);
    team.run(ANN, &["incident", "declare", "data are wrong", "--severity", "P1"]).ok();
    let id = ask(&team, "wipe");
    team.run(BEN, &["break-glass", &id, "me too"]).expect(3).says(&["you are the second person"]);
    team.run(ANN, &["break-glass", &id, "nobody answers the phone"]).ok();
    team.run_over(&id);
    team.lines("wiped", 1);
    wait_until("the alert has arrived", PATIENCE, || {
        team.hook.requests().iter().any(|r| {
            let text = String::from_utf8_lossy(&r.body).into_owned();
            text.contains("BROKEN GLASS") && text.contains("nobody answers the phone")
        })
    });
    assert_eq!(team.entries("glass.broken")[0]["reason"], "nobody answers the phone");
    let review = team.json(ANN, &["export", "--format", "json"]);
    assert_eq!(review["approvals"][0]["glass_broken"], true, "{:#}", review["approvals"]);
    let page = team.run(ANN, &["export"]).ok();
    assert!(page.out.contains("**GLASS BROKEN** by nobody: nobody answers the phone"), "{page:?}");
    // In one go, for scripts.
    team.run(ANN, &["act", "wipe", "--confirm", "api", "--wait", "--break-glass", "still nobody"]).expect(5);
    team.lines("wiped", 2);
}

#[test]
fn an_engine_that_is_killed_forgets_no_request_and_starts_none_twice() {
    let team = Team::new(TWO);
    let plain = ask(&team, "wipe");
    let secret = ask(&team, "secretly");
    team.kill_engine();
    team.start();
    // The one without a secret goes on; the other's secrets went with the engine.
    wait_until("the other is over", PATIENCE, || !team.entries("approval.ended").is_empty());
    team.run(BEN, &["approve", &secret, "--yes"]).expect(3).says(&["is over: lost", "ask again"]);
    assert!(team.entries("approval.ended")[0]["reason"].as_str().unwrap().contains("the engine was restarted"));
    team.run(BEN, &["approve", &plain, "--yes"]).ok();
    team.run_over(&plain);
    team.lines("wiped", 1);
    team.kill_engine();
    team.start();
    team.run(BEN, &["approve", &plain, "--yes"]).expect(3).says(&["is over: approved"]);
    assert_eq!((team.count("wiped"), team.count("secretly")), (1, 0));
    // Asked again, with a new plan.
    let again = ask(&team, "secretly");
    team.run(BEN, &["approve", &again, "--yes"]).ok();
    team.run_over(&again);
    team.lines("secretly", 1);
}

#[test]
fn a_whole_recovery_is_approved_at_once() {
    let team = Team::new(TWO);
    team.run(ANN, &["recover", "all", "--confirm", "api"]).expect(3).says(&["not started yet: recover all"]);
    let id = team.request()["id"].as_str().unwrap().to_owned();
    team.run(ANN, &["approve", &id, "--yes"]).expect(3);
    team.run(BEN, &["approve", &id, "--yes"]).ok();
    team.lines("wiped", 1);
    let told = team.json(ANN, &["recover", "status"]);
    assert_eq!(told["started_by"], "nobody", "{told:#}");
}

/// What a playbook's step asked for waits with the step, and what is approved carries that step out.
#[test]
fn a_step_of_a_playbook_waits_for_the_second_person() {
    let book = "[[playbook]]\nname = \"clean\"\n[[playbook.step]]\nname = \"wipe\"\naction = \"wipe\"\n\
                [[playbook.step]]\nname = \"last\"\nmanual = \"look\"\n";
    let team = Team::new(&format!("{TWO}{book}"));
    team.run(ANN, &["incident", "declare", "data are wrong", "--severity", "P1"]).ok();
    team.run(ANN, &["playbook", "start", "clean"]).ok();
    let asked = || team.run(ANN, &["playbook", "do", "--confirm", "api"]).expect(3).says(&["need a second person"]);
    let step = |team: &Team| {
        let status = team.json(ANN, &["playbook", "status"]);
        let step = status["steps"].as_array().unwrap().iter().find(|s| s["name"] == "wipe").unwrap().clone();
        (status["at"].as_str().unwrap().to_owned(), step["state"].as_str().unwrap().to_owned(), status["busy"].clone())
    };
    asked();
    assert_eq!(step(&team), ("wipe".into(), "under-way".into(), true.into()));
    let status = team.run(ANN, &["playbook", "status"]).ok().out;
    assert!(status.contains("waits for a second person: say to them"), "{status}");
    team.run(ANN, &["playbook", "do", "--confirm", "api"]).expect(3).says(&["second person"]);
    // Declined: the step has failed, and nothing was done.
    let first = team.request()["id"].as_str().unwrap().to_owned();
    team.run(BEN, &["decline", &first, "--reason", "not yet"]).ok();
    wait_until("the step has failed", PATIENCE, || step(&team).1 == "failed");
    assert_eq!(team.count("wiped"), 0);
    // Asked again, across the death of the engine, and approved.
    asked();
    let second = team.request()["id"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    team.kill_engine();
    team.start();
    assert_eq!(step(&team).0, "wipe");
    team.run(BEN, &["approve", &second, "--yes"]).ok();
    team.run_over(&second);
    team.lines("wiped", 1);
    // Nothing checks its effect, so whoever looked says so.
    wait_until("the step asks", PATIENCE, || step(&team).1 == "unproven");
    team.run(ANN, &["playbook", "next", "--reason", "looked"]).ok();
    assert_eq!(step(&team), ("last".into(), "done".into(), false.into()));
}
