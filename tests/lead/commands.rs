//! The same by the command line, against the real engine.

use crate::support::cockpit::Ran;
use crate::support::{Answer, Cockpit, HttpScript};

fn config(hook: &str) -> String {
    format!(
        r#"
[system]
name = "shop"
environment = "test"
[severity.P0]
escalate = ["on-call"]
[[service]]
name = "api"
tier = 1
[[channel]]
name = "hook"
webhook = {{ url = "{hook}" }}
[[contact]]
name = "Ann Otto"
levels = ["on-call"]
phone = "+49 30 23125 101"
channels = ["hook"]
[[contact]]
name = "Hosting"
vendor = true
phone = "+49 30 23125 900"
"#
    )
}

#[track_caller]
fn says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.out.contains(word), "{word:?} is not in\n{}", ran.out);
    }
}

#[test]
fn an_incident_is_led_by_commands() {
    let server = HttpScript::start(vec![Answer::ok("fine")]);
    let c = Cockpit::new(&config(&server.url("/hook")));
    // Without an engine the configuration says whom to call.
    let alone = c.run(&["contacts", "--json"]).ok().json();
    assert_eq!(alone["engine"], false);
    assert_eq!(alone["contacts"][0]["phone"], "+49 30 23125 101");
    assert!(c.engine_pid().is_none(), "no engine is started for a number");

    let id = c.run(&["incident", "declare", "api down", "--severity", "P0"]).ok().line();
    says(
        &c.run(&["contacts"]).ok(),
        &["SAY: This is shop test. Incident", "> 1 on-call", "Ann Otto", "+49 30 23125 101", "supplier"],
    );
    c.run(&["contact", "called", "Nobody"]).expect(2);
    c.run(&["contact", "called", "Ann Otto", "--no-answer"]).ok();
    let contacts = c.run(&["contacts", "--json"]).ok().json();
    assert_eq!(contacts["contacts"][0]["last_call"]["answered"], false);
    assert_eq!(contacts["incident"], id.as_str());

    c.run(&["incident", "onset", "2020-01-01T00:00:00Z"]).expect(2);
    c.run(&["incident", "onset", "2020-01-01T00:00:00Z", "--reason", "first complaint"]).ok();
    c.run(&["incident", "snooze", "30m"]).expect(2);
    // The record says what to say when the engine has died.
    c.kill_engine();
    let dead = c.run(&["contacts"]).ok();
    says(&dead, &["SAY: This is shop test. Incident", &id, "Ann Otto"]);
    let dead = c.run(&["contacts", "--json"]).ok().json();
    assert_eq!((&dead["engine"], &dead["incident"]), (&false.into(), &id.as_str().into()), "none is started for it");
    c.start();
    c.run(&["incident", "snooze", "30m", "--reason", "waiting for the vendor"]).ok();
    let show = c.run(&["incident", "show", "--json"]).ok().json();
    assert_eq!(show["leading"]["phase"], "detection");
    assert_eq!(show["leading"]["due"]["what"], "first");
    assert_eq!(show["leading"]["due"]["snoozed"], true);
    assert_eq!(show["leading"]["escalation"]["called"][0]["name"], "on-call");
    assert_eq!(show["leading"]["phases"].as_array().unwrap().len(), 6);
    assert!(show["incident"]["leading"]["say"].as_str().unwrap().contains(&id));
    says(
        &c.run(&["incident", "show"]).ok(),
        &["phase detection & alert", "by T+5m", "level 1 (on-call) due", "accepted by hook"],
    );
    let status = c.run(&["status", "--json"]);
    assert_eq!(status.json()["incidents"][0]["leading"]["due"]["what"], "first");

    let second = c.run(&["incident", "declare", "web down", "--severity", "P1"]).ok().line();
    c.run(&["incident", "merge", &second, "--into", &id]).expect(2);
    c.run(&["incident", "merge", &second, "--into", &id, "--reason", "the same cause"]).ok();
    c.run(&["incident", "merge", &second, "--into", &id, "--reason", "again"]).expect(3);
    c.run(&["incident", "close", "--false-alarm"]).expect(2);
    c.run(&["incident", "close", "--false-alarm", "--reason", "a load test"]).ok();
    says(&c.run(&["incident", "list"]).ok(), &["closed"]);
    let export = c.run(&["export", &id, "--format", "json"]).ok().json();
    assert_eq!(export["ending"]["how"], "false-alarm");
    assert_eq!(export["merged"][0], second.as_str());
    assert_eq!(export["calls"][0]["contact"], "Ann Otto");
    assert_eq!(export["snoozes"][0]["reason"], "waiting for the vendor");
    assert_eq!(export["onsets"][0]["why"], "first complaint");
    // Numbers stay out of the record.
    let journal = std::fs::read_to_string(c.state().join("journal.jsonl")).unwrap();
    assert!(journal.contains("Ann Otto") && !journal.contains("23125 101"));
}

#[test]
fn a_playbook_of_a_merged_incident_speaks_for_the_surviving_one() {
    let server = HttpScript::start(vec![Answer::ok("fine")]);
    let playbook = "[[playbook]]\nname = \"outage\"\ntitle = \"Outage\"\n[[playbook.step]]\nname = \"tell\"\n\
                    title = \"Tell those who wait\"\nmessage = \"update\"\n";
    let c = Cockpit::new(&format!("{}{playbook}", config(&server.url("/hook"))));
    let stays = c.run(&["incident", "declare", "api down", "--severity", "P0"]).ok().line();
    let goes = c.run(&["incident", "declare", "web down", "--severity", "P1"]).ok().line();
    c.run(&["playbook", "start", "outage", "--incident", &goes]).ok();
    c.run(&["hypothesis", "open", "the disk", "--incident", &goes]).ok();
    c.run(&["incident", "merge", &goes, "--into", &stays, "--reason", "the same cause"]).ok();
    let said = c.run(&["catchup"]).ok();
    says(&said, &[&stays, "playbook outage under way at step 1 of 1", &format!("H1 the disk (H1 of {goes})")]);
    c.run(&["playbook", "do", "--yes"]).ok();
    let queued: Vec<_> = c
        .entries()
        .into_iter()
        .filter(|e| e["kind"] == "message.queued" && e["payload"]["template"] == "update")
        .map(|e| e["incident"].clone())
        .collect();
    assert_eq!(queued, [stays.as_str()]);
    let export = c.run(&["export", &stays, "--format", "json"]).ok().json();
    assert_eq!(export["playbooks"][0]["name"], "outage");
    assert_eq!(export["hypotheses"][0]["text"], "the disk");
}
