//! What is open of an incident that is merged goes on in the other one.

use mayday::domain::cadence;
use mayday::domain::catalog::Severity;
use mayday::domain::checklist::{self, Checklist};
use mayday::domain::command::{Command, HypothesisAsk};
use mayday::domain::handoff::{Facts, capsule, lines};
use mayday::domain::hypothesis::Standing;
use mayday::domain::message::Template;
use mayday::domain::playbook::{Answer, Does, Playbook, Step};
use mayday::domain::state::State;
use mayday::report::{Extra, Review, json, markdown};

use crate::lead::kit::World;

fn checklist(name: &str) -> Checklist {
    Checklist { name: name.into(), title: "Seen to".into(), items: ["first", "second"].map(str::to_owned).to_vec() }
}

fn playbook() -> Playbook {
    let step = |name: &str, does: Does| Step {
        name: name.into(),
        title: format!("the step {name}"),
        phase: String::new(),
        within_ms: None,
        owner: String::new(),
        text: String::new(),
        does,
        go: None,
    };
    Playbook {
        name: "outage".into(),
        title: "Outage".into(),
        digest: "d".into(),
        steps: vec![
            step("look", Does::Manual { evidence: false }),
            step("list", Does::Checklist { checklist: checklist("recovery") }),
            step("tell", Does::Message { template: Template::Update, channels: Vec::new() }),
        ],
        ..Playbook::default()
    }
}

fn suppose(w: &mut World, incident: &str, ask: HypothesisAsk) {
    w.ask(Command::Hypothesis { incident: Some(incident.to_owned()), ask }).unwrap();
}

fn open(text: &str) -> HypothesisAsk {
    HypothesisAsk::Open { text: text.into() }
}

fn tick(w: &mut World, incident: &str, name: &str, item: &str) {
    let text = Some(Box::new(checklist(name)));
    let (incident, checklist, item) = (Some(incident.to_owned()), name.to_owned(), item.to_owned());
    w.ask(Command::Tick { checklist, item, ticked: true, note: String::new(), incident, text }).unwrap();
}

fn answer(w: &mut World, answer: Answer) {
    w.ask(Command::Playbook { playbook: None, answer, reason: "seen".into() }).unwrap();
}

/// One incident that stays, and one with a playbook, hypotheses and ticks that is merged into it.
fn merged() -> (World, String, String) {
    let mut w = World::new();
    let stays = w.declare("api is slow", Severity::P0, &["api"]);
    suppose(&mut w, &stays, open("a deploy"));
    tick(&mut w, &stays, "recovery", "first");
    let goes = w.declare("web is slow", Severity::P1, &["web"]);
    suppose(&mut w, &goes, open("the disk"));
    suppose(&mut w, &goes, open("the network"));
    suppose(&mut w, &goes, HypothesisAsk::Eliminate { hypothesis: "H2".into(), reason: "ping is fine".into() });
    let text = Some(Box::new(playbook()));
    let (name, incident) = ("outage".to_owned(), Some(goes.clone()));
    w.ask(Command::PlaybookStart { name, incident, reason: String::new(), text }).unwrap();
    answer(&mut w, Answer::Done);
    tick(&mut w, &goes, "recovery", "second");
    w.pass(2);
    let (incident, into) = (goes.clone(), stays.clone());
    w.ask(Command::Merge { incident, into, reason: "the same cause".into() }).unwrap();
    assert_eq!(State::replay(&w.entries), w.state);
    (w, stays, goes)
}

#[test]
fn playbook_hypotheses_and_checklists_go_on_in_the_surviving_incident() {
    let (mut w, stays, goes) = merged();
    let play = w.state.active_playbook().unwrap();
    assert_eq!(play.incident.as_ref(), Some(&stays));
    let next = cadence::next_step(&w.state, w.incident(&stays)).unwrap();
    assert!(next.contains("step 2 of 3"), "{next}");
    assert_eq!(cadence::next_step(&w.state, w.incident(&goes)), None);
    let said = lines(&capsule(&Facts::of(&w.state, w.incident(&stays), w.now()))).join("\n");
    for part in ["playbook outage under way at step 2 of 3", "H2 the disk (H1 of", "H1 a deploy", "ping is fine"] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    // What was ticked on either is ticked, so the step of the playbook is done.
    assert!(checklist::find(&w.state, Some(&stays), "recovery").unwrap().unticked().is_empty());
    assert!(checklist::find(&w.state, Some(&goes), "recovery").is_none());
    answer(&mut w, Answer::Done);
    // What is said of it from here on is the surviving one's, and so is a tick for the one that is gone.
    tick(&mut w, &goes, "communication", "first");
    assert!(checklist::find(&w.state, Some(&stays), "communication").is_some());
    suppose(&mut w, &stays, HypothesisAsk::Confirm { hypothesis: "h2".into(), reason: "df says 100 %".into() });
    suppose(&mut w, &stays, open("the cache"));
    let last = w.incident(&stays).hypotheses.last().unwrap();
    assert_eq!((last.id.as_str(), last.standing), ("H3", Standing::Open));
    let from = w.entries.iter().rev().take(5).filter_map(|e| e.incident.as_ref());
    assert!(from.clone().count() == 5 && from.clone().all(|id| *id == stays), "{:?}", from.collect::<Vec<_>>());
    assert_eq!(State::replay(&w.entries), w.state);

    let review = Review::new(&w.entries, &stays, Extra::default()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&json::render(&review)).unwrap();
    assert_eq!(document["playbooks"][0]["name"], "outage");
    assert_eq!(document["playbooks"][0]["steps"][1]["state"], "done");
    assert_eq!(document["hypotheses"][1]["id"], "H2");
    assert_eq!(document["hypotheses"][1]["standing"], "confirmed");
    assert_eq!(document["hypotheses"][1]["origin"]["incident"], goes.as_str());
    assert_eq!(document["checklists"].as_array().unwrap().len(), 2);
    assert_eq!(document["checklists"][0]["unticked"], serde_json::json!([]));
    assert!(markdown::render(&review).contains("### Playbook outage"));
    // Its own review ends with what it was at the merge.
    let own = Review::new(&w.entries, &goes, Extra::default()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&json::render(&own)).unwrap();
    assert_eq!(document["playbooks"][0]["steps"][0]["state"], "done");
    assert_eq!(document["hypotheses"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_opened_again_keeps_what_was_its_own() {
    let (mut w, stays, goes) = merged();
    w.ask(Command::Reopen { incident: Some(goes.clone()), reason: "another cause after all".into() }).unwrap();
    suppose(&mut w, &goes, open("the proxy"));
    let ids: Vec<&str> = w.incident(&goes).hypotheses.iter().map(|h| h.id.as_str()).collect();
    assert_eq!(ids, ["H2", "H3"], "no number is given twice");
    assert_eq!(w.state.surviving(&goes), goes);
    // What it does from now on is not the other one's.
    w.ask(Command::Note { incident: Some(stays.clone()), text: "end".into(), happened_at: None }).unwrap();
    let review = Review::new(&w.entries, &stays, Extra::default()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&json::render(&review)).unwrap();
    let texts: Vec<&str> =
        document["hypotheses"].as_array().unwrap().iter().map(|h| h["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["a deploy", "the disk"]);
}

#[test]
fn a_chain_of_merges_ends_in_the_last_one() {
    let (mut w, stays, goes) = merged();
    let last = w.declare("everything", Severity::P0, &["api", "web"]);
    w.ask(Command::Merge { incident: stays.clone(), into: last.clone(), reason: "wider".into() }).unwrap();
    assert_eq!(w.state.surviving(&goes), last);
    assert_eq!(w.state.active_playbook().unwrap().incident.as_ref(), Some(&last));
    let review = Review::new(&w.entries, &last, Extra::default()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&json::render(&review)).unwrap();
    assert_eq!(document["playbooks"][0]["name"], "outage");
    assert_eq!(document["hypotheses"].as_array().unwrap().len(), 2);
    assert_eq!(State::replay(&w.entries), w.state);
}
