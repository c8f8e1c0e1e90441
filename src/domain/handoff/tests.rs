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
    let capsule = lines(&capsule(&Facts::of(&w.state, &w.state.incidents[&id], Time::from_ms(w.now))));
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
    let sections = capsule(&Facts::of(&w.state, &w.state.incidents[&id], Time::from_ms(w.now)));
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
    let all = lines(&capsule(&Facts::of(&w.state, &w.state.incidents[&id], Time::from_ms(w.now)))).join("\n");
    for said in ["NOBODY LEADS; NOT ACKNOWLEDGED", "nothing that is checked is down", "nobody outside was told yet"] {
        assert!(all.contains(said), "{said:?}: {all}");
    }
}

/// The tag on a service, as seen in the capsule.
fn tagged() -> crate::domain::guard::Guards {
    let by = crate::domain::Actor { user: "bob".into(), ..crate::domain::Actor::default() };
    let since = Time::from_ms(0);
    let tag = crate::domain::guard::Tag { by, since, reason: "restore running".into(), from: None };
    crate::domain::guard::Guards { tags: [("db".to_owned(), tag)].into(), ..crate::domain::guard::Guards::default() }
}

#[test]
fn however_much_is_down_what_is_due_runs_and_is_tagged_comes_within_one_look() {
    let mut w = World::new();
    let id = w.declare("everything is down");
    let names: Vec<String> = (0..67).map(|i| format!("service-of-the-shop-{i:02}-{}", "x".repeat(40))).collect();
    let guards = tagged();
    let mut facts = Facts::of(&w.state, &w.state.incidents[&id], Time::from_ms(w.now));
    let down = |(i, name): (usize, &'static str)| ServiceFacts {
        name,
        // The worst tier comes last by name and by when it went down.
        tier: if i == 66 { 1 } else { 3 },
        state: Health::Down,
        since: facts.now,
        down_since: Some(facts.now),
        because: None,
        rto_ms: Some(600_000),
        detail: "connection refused",
    };
    let names: Vec<&'static str> = names.into_iter().map(|n| &*n.leak()).collect();
    facts.services = names.iter().copied().enumerate().map(down).collect();
    let run = |id: &'static str| RunFacts {
        id,
        title: "restore postgres-full",
        state: crate::domain::run::RunState::Running,
        phase: Some("load"),
        requested_by: "ann",
        requested_at: facts.now,
        finished_at: None,
        incident: None,
        verdict: None,
        contradicted: false,
        detail: "",
        sides: &[],
        head_start: false,
        data_as_of: None,
    };
    facts.runs = ["r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9"].map(run).to_vec();
    facts.guards = &guards;
    facts.update_due = Some(facts.now);
    let lines = lines(&capsule(&facts));
    assert!(lines.len() <= LINES, "{lines:#?}");
    let at =
        |word: &str| lines.iter().position(|l| l.starts_with(word)).unwrap_or_else(|| panic!("{word}: {lines:#?}"));
    assert!(at("due") < at("down") && at("down") < at("running") && at("running") < at("hands off"), "{lines:#?}");
    // What is in view on the smallest terminal.
    assert!(at("hands off") < 17, "{lines:#?}");
    let down = &lines[at("down")..at("running")];
    assert!(down.len() <= 4 && down[0].contains("DOWN") && down[0].contains(names[66]), "{down:#?}");
    assert!(down.last().unwrap().ends_with("… and 64 more"), "{down:#?}");
    // A long name is cut, and not what is said of it.
    assert!(down.iter().take(3).all(|l| l.chars().take(20).collect::<String>().contains("DOWN")), "{down:#?}");
}

#[test]
fn what_was_told_says_first_whether_anybody_has_it() {
    use crate::domain::message::{ChannelDelivery, Delivery, Message, Template};
    let mut w = World::new();
    let id = w.declare("api down");
    let delivery =
        |state| ChannelDelivery { state, attempts: 1, answer: String::new(), at: Time::from_ms(0), next_at: None };
    let message = Message {
        id: "m1".into(),
        incident: Some(id.clone()),
        template: Template::Update,
        subject: "a long subject ".repeat(20),
        body: String::new(),
        queued_at: Time::from_ms(w.now),
        by: "ann".into(),
        channels: [("mail", Delivery::Accepted), ("slack", Delivery::Refused)]
            .map(|(name, state)| (name.to_owned(), delivery(state)))
            .into(),
    };
    let mut facts = Facts::of(&w.state, &w.state.incidents[&id], Time::from_ms(w.now));
    facts.messages = vec![&message];
    let lines = lines(&capsule(&facts));
    let told = lines.iter().find(|l| l.starts_with("told")).unwrap();
    let in_view: String = told.chars().take(60).collect();
    assert!(in_view.contains("slack REFUSED, mail accepted; update"), "{told}");
}

#[test]
fn an_offer_alone_makes_nobody_the_lead() {
    assert_eq!(leads_until(Some("ann"), "ann"), "you lead until it is taken");
    assert_eq!(leads_until(Some("ann"), "bob"), "ann leads until it is taken");
    assert_eq!(leads_until(None, "bob"), "nobody leads until it is taken");
}
