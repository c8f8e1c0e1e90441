//! Who may hand over and take, and what a capsule holds.

use super::*;
use crate::domain::command::{Command, HypothesisAsk};
use crate::domain::health::Health;
use crate::domain::hypothesis::{Basis, Stance, Standing};
use crate::domain::tests::World;

fn open(text: &str) -> Command {
    Command::Hypothesis { incident: None, ask: HypothesisAsk::Open { text: text.into() } }
}

fn evidence(hypothesis: &str, stance: Stance, text: &str) -> Command {
    let ask = HypothesisAsk::Evidence { hypothesis: hypothesis.into(), stance, basis: Basis::Fact, text: text.into() };
    Command::Hypothesis { incident: None, ask }
}

fn eliminate(hypothesis: &str, reason: &str) -> Command {
    let ask = HypothesisAsk::Eliminate { hypothesis: hypothesis.into(), reason: reason.into() };
    Command::Hypothesis { incident: None, ask }
}

fn offer(to: Option<&str>) -> Command {
    Command::HandOver { incident: None, to: to.map(str::to_owned), remark: "cut over next".into() }
}

const TAKE: Command = Command::TakeOver { incident: None };

#[test]
fn the_lead_passes_in_one_entry_to_the_one_who_confirms() {
    let mut w = World::new();
    w.health("api", Health::Down);
    let id = w.declare("api down");
    w.ask(Command::Acknowledge { incident: None }).unwrap();
    assert!(w.ask_as("bob", offer(None)).unwrap_err().contains("led by ann"), "only who leads hands over");
    assert!(w.ask_as("bob", TAKE).unwrap_err().contains("nobody offers"));
    w.ask(offer(None)).unwrap();
    let refused = w.ask(TAKE).unwrap_err();
    assert!(refused.contains("ann offered it") && refused.contains("w"), "not to oneself: {refused}");
    assert_eq!(w.state.incidents[&id].commander(), Some("ann"), "until it is taken");
    let before = w.entries.len();
    w.ask_as("bob", TAKE).unwrap();
    assert_eq!(w.entries.len(), before + 1, "command passes in one entry");
    assert_eq!(w.state.incidents[&id].commander(), Some("bob"));
    assert_eq!(w.state.incidents[&id].handoff, None);
    assert!(w.ask_as("cid", TAKE).is_err(), "once");

    w.ask_as("bob", offer(Some("cid"))).unwrap();
    assert!(w.ask_as("ann", TAKE).unwrap_err().contains("offered to cid"));
    assert!(w.ask_as("ann", Command::KeepLead { incident: None, reason: String::new() }).is_err(), "needs a reason");
    w.ask_as("bob", Command::KeepLead { incident: None, reason: String::new() }).unwrap();
    assert!(w.ask_as("cid", TAKE).is_err());

    // Naming somebody ends an offer: it is not the one's who offered any more.
    w.ask_as("bob", offer(Some("cid"))).unwrap();
    let (role, user) = ("commander".to_owned(), "eve".to_owned());
    w.ask_as("ann", Command::Assign { incident: None, role, user }).unwrap();
    assert!(w.ask_as("cid", TAKE).is_err());
    assert_eq!(State::replay(&w.entries), w.state);
}

#[test]
fn hypotheses_keep_what_speaks_for_them_and_what_ruled_them_out() {
    let mut w = World::new();
    w.health("api", Health::Down);
    let id = w.declare("api down");
    w.ask(open("the pool is exhausted")).unwrap();
    w.ask(open("the disk is full")).unwrap();
    assert!(w.ask(open("The pool is exhausted")).unwrap_err().contains("H1"), "said before");
    w.ask(evidence("h1", Stance::For, "90 of 90 connections")).unwrap();
    w.ask(evidence("H2", Stance::Against, "df: 40 % used")).unwrap();
    assert!(w.ask(eliminate("H2", " ")).unwrap_err().contains("reason"));
    w.ask(eliminate("H2", "df: 40 % used")).unwrap();
    assert!(w.ask(eliminate("H2", "again")).unwrap_err().contains("eliminated already"));
    assert!(w.ask(evidence("H9", Stance::For, "x")).unwrap_err().contains("H1, H2"), "says which there are");
    let found = &w.state.incidents[&id].hypotheses;
    assert_eq!(found[0].balance(), "1 for");
    assert_eq!(found[1].standing, Standing::Eliminated);
    let capsule = lines(&capsule(&w.state, &w.state.incidents[&id], Time::from_ms(w.now)));
    let all = capsule.join("\n");
    assert!(all.contains("open       H1 the pool is exhausted (1 for)"), "{all}");
    assert!(all.contains("ruled out  H2 the disk is full — df: 40 % used"), "{all}");
    let ask = HypothesisAsk::Reopen { hypothesis: "H2".into(), reason: "another disk".into() };
    w.ask(Command::Hypothesis { incident: None, ask }).unwrap();
    assert_eq!(w.state.incidents[&id].hypotheses[1].standing, Standing::Open);
    assert_eq!(State::replay(&w.entries), w.state);
}

#[test]
fn a_capsule_is_never_longer_than_it_may_be_and_says_what_it_left_out() {
    let mut w = World::new();
    let id = w.declare("everything at once");
    for n in 0..60 {
        w.ask(open(&format!("hypothesis number {n} {}", "long ".repeat(60)))).unwrap();
        if n % 2 == 0 {
            w.ask(eliminate(&format!("H{}", n + 1), "was not it")).unwrap();
        }
        w.health(["api", "db", "web"][n % 3], Health::Down);
    }
    let sections = capsule(&w.state, &w.state.incidents[&id], Time::from_ms(w.now));
    let lines = lines(&sections);
    assert!(lines.len() <= LINES, "{} lines", lines.len());
    assert!(lines.iter().all(|l| crate::text::width::width(l) <= 110));
    assert!(sections.iter().all(|s| !s.items.is_empty()), "no subject is dropped whole");
    for title in ["open", "ruled out"] {
        let section = sections.iter().find(|s| s.title == title).unwrap();
        let last = section.items.last().unwrap();
        let cut: usize = last.trim_start_matches("… and ").trim_end_matches(" more").parse().expect("a count");
        assert_eq!(section.items.len() - 1 + cut, 30, "{title}: what is shown and what is not are all there are");
    }
}

#[test]
fn a_quiet_incident_says_so_instead_of_nothing() {
    let mut w = World::new();
    let id = w.declare("odd");
    let all = lines(&capsule(&w.state, &w.state.incidents[&id], Time::from_ms(w.now))).join("\n");
    for said in ["NOBODY LEADS; NOT ACKNOWLEDGED", "nothing that is checked is down", "nobody outside was told yet"] {
        assert!(all.contains(said), "{said:?}: {all}");
    }
}
