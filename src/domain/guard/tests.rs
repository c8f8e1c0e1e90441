//! Tags and holds, driven by commands of several people.

use std::collections::BTreeSet;

use crate::domain::actor::Actor;
use crate::domain::catalog::*;
use crate::domain::command::{Command, Context};
use crate::domain::decide::decide;
use crate::domain::event::*;
use crate::domain::incident::Status;
use crate::domain::run::{Plan, Risk, RunState, Verdict, Work};
use crate::domain::state::State;
use crate::domain::time::Time;

pub(in crate::domain) const T0: i64 = 1_800_000_000_000;

/// A journal in memory, written by several people.
pub(in crate::domain) struct Play {
    pub state: State,
    pub entries: Vec<Entry>,
    pub now: i64,
}

pub(in crate::domain) fn person(name: &str) -> Actor {
    let uid = name.bytes().map(u32::from).sum::<u32>() + 1000;
    Actor { user: name.into(), uid: Some(uid), ..Actor::default() }
}

pub(in crate::domain) fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

pub(in crate::domain) fn catalog() -> Catalog {
    let mut catalog = Catalog { system: "shop".into(), ..Catalog::default() };
    for name in ["api", "db", "web"] {
        catalog.services.insert(name.into(), ServiceFacts { tier: 1, checked: true, ..ServiceFacts::default() });
    }
    let backup = BackupFacts { service: Some("db".into()), restorable: true, ..BackupFacts::default() };
    catalog.backups.insert("orders".into(), backup);
    let action = |risk| ActionFacts { service: Some("api".into()), risk, ..ActionFacts::default() };
    catalog.actions.insert("warm".into(), action(Risk::Disruptive));
    catalog.actions.insert("look".into(), action(Risk::Observe));
    catalog.channels.push(ChannelFacts { name: "chat".into(), kind: "slack".into() });
    catalog
}

/// A plan of `work` as it is made for the catalogue above.
pub(in crate::domain) fn plan_of(id: &str, work: Work) -> Plan {
    let (service, target, risk) = match &work {
        Work::Restart { service } | Work::Stop { service } | Work::Start { service } => {
            (service.clone(), service.clone(), Risk::Disruptive)
        }
        Work::Act { action } => ("api".into(), action.clone(), catalog().actions[action].risk),
        Work::Restore { .. } => ("db".into(), "shop".into(), Risk::Disruptive),
        _ => ("db".into(), "shop".into(), Risk::Destructive),
    };
    Plan {
        id: id.into(),
        made_at: Time::from_ms(T0),
        title: format!("{} {}", work.verb(), work.object()),
        work,
        target,
        service: Some(service.clone()),
        holds: vec![format!("service {service}")],
        risk,
        effects: vec![],
        copy: None,
        data_lost_ms: None,
        rpo_ms: None,
        expected_ms: None,
        expected_from: 0,
        preconditions: vec![],
        phases: vec![],
        timeout_ms: 1000,
        after: None,
        secrets: vec![],
        undo: String::new(),
        gentle: false,
    }
}

pub(in crate::domain) fn restart(service: &str) -> Work {
    Work::Restart { service: service.into() }
}

pub(in crate::domain) fn restore(backup: &str) -> Work {
    Work::Restore { backup: backup.into(), copy: None, test: false, only: vec![], to: None }
}

impl Play {
    pub fn new(catalog: Catalog) -> Play {
        let mut play = Play { state: State::default(), entries: vec![], now: T0 };
        play.happened(&Actor::engine(), None, ConfigLoaded { digest: "d".into(), source: "s".into(), catalog });
        play
    }

    pub fn happened(&mut self, actor: &Actor, incident: Option<String>, event: impl Into<Event>) {
        self.now += 1000;
        let entry = Entry {
            seq: self.entries.len() as u64 + 1,
            at: Time::from_ms(self.now),
            boot_ms: (self.now - T0) as u64,
            boot: "boot".into(),
            host: "host".into(),
            actor: actor.clone(),
            incident,
            event: event.into(),
        };
        self.state.apply(&entry);
        self.entries.push(entry);
        assert_eq!(State::replay(&self.entries), self.state);
    }

    /// Kinds of what it led to, or the refusal in words.
    pub fn asks(&mut self, actor: &Actor, command: Command) -> Result<Vec<String>, String> {
        let ctx = Context {
            now: Time::from_ms(self.now),
            boot_ms: 0,
            boot: "boot".into(),
            actor: actor.clone(),
            fresh: format!("f{}", self.entries.len()),
        };
        let decided = decide(&self.state, command, &ctx).map_err(|r| r.to_string())?;
        let kinds = decided.iter().map(|d| d.event.kind().to_owned()).collect();
        for one in decided {
            self.happened(actor, one.incident, one.event);
        }
        Ok(kinds)
    }

    pub fn runs(&mut self, actor: &Actor, plan: Plan) -> Result<Vec<String>, String> {
        let confirm = plan.target.clone();
        let (plan, reason) = (Box::new(plan), String::new());
        self.asks(actor, Command::Run { plan, confirm, reason, unlogged: false })
    }

    /// It runs and ends well, so that nothing holds its service any more.
    pub fn ends(&mut self, run: &str) {
        let event = RunFinished {
            run: run.into(),
            state: RunState::Succeeded,
            exit: Some(0),
            verdict: Verdict::Verified,
            detail: String::new(),
            finished_at: None,
            output_digest: String::new(),
            excerpt: String::new(),
        };
        self.happened(&Actor::engine(), None, event);
    }

    pub fn declare(&mut self, by: &str, severity: Severity) -> String {
        let (title, services) = ("down".into(), BTreeSet::new());
        self.asks(&person(by), Command::Declare { title, severity: Some(severity), services, onset: None }).unwrap();
        self.state.open_incidents().last().unwrap().id.clone()
    }

    fn tag(&mut self, by: &str, service: &str, why: &str, over: bool) -> Result<Vec<String>, String> {
        self.asks(&person(by), Command::Tag { service: service.into(), reason: why.into(), over })
    }

    fn untag(&mut self, by: &str, service: &str, why: &str) -> Result<Vec<String>, String> {
        self.asks(&person(by), Command::Untag { service: service.into(), reason: why.into() })
    }

    fn hold(&mut self, by: &str, services: &[&str]) -> Result<Vec<String>, String> {
        self.asks(&person(by), Command::Hold { services: names(services), reason: "breach".into() })
    }

    fn release(&mut self, by: &str, services: &[&str], why: &str) -> Result<Vec<String>, String> {
        self.asks(&person(by), Command::Release { services: names(services), reason: why.into() })
    }
}

fn refused(outcome: Result<Vec<String>, String>, words: &[&str]) {
    let said = outcome.expect_err("it is refused");
    for word in words {
        assert!(said.contains(word), "{word:?} in {said:?}");
    }
}

#[test]
fn a_tag_stops_everybody_and_is_its_holders_to_take_off() {
    let mut play = Play::new(catalog());
    refused(play.tag("ann", "api", "  ", false), &["needs a reason"]);
    refused(play.tag("ann", "nope", "why", false), &["no service \"nope\""]);
    assert_eq!(play.tag("ann", "db", "restore running", false).unwrap(), ["service.tagged"]);
    let cases = [
        restart("db"),
        Work::Stop { service: "db".into() },
        Work::Start { service: "db".into() },
        restore("orders"),
        Work::CutOver { of: "x".into() },
    ];
    for (n, work) in cases.into_iter().enumerate() {
        for who in [person("ann"), person("ben"), Actor::engine()] {
            let outcome = play.runs(&who, plan_of(&format!("r{n}"), work.clone()));
            refused(outcome, &["db is tagged by ann since", "restore running", "mayday untag db"]);
        }
    }
    // What is about another service runs, and looking is never in the way.
    play.runs(&person("ben"), plan_of("other", restart("web"))).unwrap();
    play.tag("ann", "api", "why", false).unwrap();
    refused(play.runs(&person("ben"), plan_of("act", Work::Act { action: "warm".into() })), &["api is tagged"]);
    play.runs(&person("ben"), plan_of("look", Work::Act { action: "look".into() })).unwrap();
    // Another's tag goes only with a reason, which is told apart in the record.
    refused(play.untag("ben", "db", ""), &["the tag on db is ann's", "--reason"]);
    refused(play.tag("ben", "db", "mine now", false), &["is tagged by ann", "--take-over"]);
    assert_eq!(play.tag("ben", "db", "ann is off shift", true).unwrap(), ["service.tagged"]);
    assert_eq!(play.state.guards.tag("db").unwrap().by.user, "ben");
    assert_eq!(play.state.guards.tag("db").unwrap().from.as_deref(), Some("ann"));
    refused(play.untag("ann", "db", ""), &["is ben's"]);
    play.untag("ann", "db", "done with it").unwrap();
    assert!(
        matches!(&play.entries.last().unwrap().event, Event::ServiceUntagged(e) if e.from.as_deref() == Some("ben"))
    );
    play.untag("ann", "api", "").unwrap();
    refused(play.untag("ann", "api", ""), &["api is not tagged"]);
    play.runs(&person("ben"), plan_of("after", restart("db"))).unwrap();
}

#[test]
fn two_people_behind_one_uid_are_one_holder() {
    let mut play = Play::new(catalog());
    play.tag("ann", "db", "why", false).unwrap();
    let other_name = Actor { claimed_user: Some("ben".into()), ..person("ann") };
    play.asks(&other_name, Command::Untag { service: "db".into(), reason: String::new() }).unwrap();
}

#[test]
fn a_tag_of_a_service_that_is_configured_no_more_can_be_taken_off() {
    let mut play = Play::new(catalog());
    play.tag("ann", "web", "why", false).unwrap();
    let mut fewer = catalog();
    fewer.services.remove("web");
    play.happened(&Actor::engine(), None, ConfigLoaded { digest: "e".into(), source: "s".into(), catalog: fewer });
    play.untag("ann", "web", "").unwrap();
    assert!(play.state.guards.is_empty());
}

#[test]
fn what_is_held_is_neither_restarted_nor_restored_until_the_commander_releases_it() {
    let mut play = Play::new(catalog());
    let incident = play.declare("ann", Severity::P0);
    play.asks(&person("ann"), Command::Acknowledge { incident: None }).unwrap();
    refused(play.release("ann", &[], "why"), &["nothing is held"]);
    refused(play.hold("ben", &["nope"]), &["no service \"nope\""]);
    assert_eq!(play.hold("ben", &["db"]).unwrap(), ["service.held"]);
    refused(play.hold("ann", &["db"]), &["db is held already, by ben"]);
    for (n, work) in [restart("db"), Work::Start { service: "db".into() }, restore("orders")].into_iter().enumerate() {
        for who in [person("ann"), person("ben"), Actor::engine()] {
            let outcome = play.runs(&who, plan_of(&format!("r{n}"), work.clone()));
            refused(outcome, &["db is held by ben since", "breach", "mayday release db"]);
        }
    }
    // A breach is contained by stopping things.
    play.runs(&person("ben"), plan_of("stop", Work::Stop { service: "db".into() })).unwrap();
    play.ends("stop");
    play.runs(&person("ben"), plan_of("web", restart("web"))).unwrap();
    play.ends("web");
    refused(
        play.release("ben", &["db"], "evidence is safe"),
        &["by the commander of", "who is ann", "incident assign ben", &incident],
    );
    refused(play.release("ann", &["db"], ""), &["needs a reason"]);
    refused(play.release("ann", &["web"], "why"), &["web is not held"]);
    assert_eq!(play.release("ann", &["db"], "evidence is safe").unwrap(), ["service.released"]);
    play.runs(&person("ben"), plan_of("again", restart("db"))).unwrap();
}

#[test]
fn everything_is_held_when_nothing_is_named() {
    let mut play = Play::new(catalog());
    play.hold("ann", &[]).unwrap();
    refused(play.hold("ann", &[]), &["everything is held already"]);
    refused(play.runs(&person("ann"), plan_of("a", restart("web"))), &["web is held by ann"]);
    // What belongs to no service is held with it.
    let mut free = plan_of("free", restart("x"));
    (free.service, free.holds, free.work) = (None, vec![], Work::Act { action: "unknown".into() });
    refused(play.runs(&person("ann"), free.clone()), &["everything is held by ann", "mayday release --all --reason"]);
    // There is no incident: who set it releases. One service after the other, or all that is left.
    refused(play.release("ben", &["web"], "checked"), &["the hold is ann's", "ask ann"]);
    play.release("ann", &["web"], "checked").unwrap();
    play.runs(&person("ann"), plan_of("b", restart("web"))).unwrap();
    refused(play.runs(&person("ann"), plan_of("c", restart("api"))), &["api is held by ann"]);
    play.hold("ben", &["web"]).unwrap();
    refused(play.release("ann", &[], "over"), &["the hold is ben's"]);
    play.release("ben", &["web"], "over").unwrap();
    // Ann has gone home: whoever leads what it is in the way of.
    play.declare("ben", Severity::P0);
    refused(play.release("ben", &[], "over"), &["the hold is ann's"]);
    play.asks(&person("ben"), Command::Acknowledge { incident: None }).unwrap();
    play.release("ben", &[], "over").unwrap();
    assert!(play.state.guards.is_empty());
    play.runs(&person("ann"), free).unwrap();
}

/// Whoever declares something of their own to lead it has no say over what was held in another incident.
#[test]
fn a_hold_belongs_to_the_incident_it_was_set_in() {
    let mut play = Play::new(catalog());
    let breach = play.declare("ann", Severity::P0);
    play.hold("ann", &["db"]).unwrap();
    assert_eq!(play.entries.last().unwrap().incident.as_ref(), Some(&breach));
    let own = play.declare("ben", Severity::P3);
    let lead = |play: &mut Play, who: &str, incident: &str| {
        let (user, incident) = (who.to_owned(), Some(incident.to_owned()));
        play.asks(&person(who), Command::Assign { role: "commander".into(), user, incident }).unwrap();
    };
    lead(&mut play, "ben", &own);
    refused(play.release("ben", &["db"], "I want it"), &[&breach, "nobody leads it", "incident assign ben"]);
    lead(&mut play, "ann", &breach);
    refused(play.release("ben", &["db"], "I want it"), &["who is ann"]);
    // The end of the incident leaves it to who led, and to who set it.
    let (incident, reason) = (Some(breach.clone()), "contained".to_owned());
    let resolve = Command::SetStatus { incident, status: Status::Resolved, reason, force: true };
    play.asks(&person("ann"), resolve).unwrap();
    refused(play.release("ben", &["db"], "I want it"), &["who is ann"]);
    let (incident, reason) = (Some(breach.clone()), String::new());
    play.asks(&person("ann"), Command::SetStatus { incident, status: Status::Closed, reason, force: false }).unwrap();
    refused(play.release("ben", &["db"], "I want it"), &["the hold is ann's", "reopen", &breach]);
    play.release("ann", &["db"], "evidence is safe").unwrap();
    assert_eq!(play.entries.last().unwrap().incident.as_ref(), Some(&breach));
}
