//! What severities, roles and names allow, as tables.

use crate::domain::actor::Actor;
use crate::domain::authority::{Authority, Deed, Level, known_role};
use crate::domain::catalog::{Catalog, Severity};
use crate::domain::command::Command;
use crate::domain::guard::tests::{Play, catalog, person, plan_of, restart, restore};
use crate::domain::incident::Status;
use crate::domain::message::Template;
use crate::domain::recovery::{Does, Phase, PlannedStep, RecoveryPlan, Spec};
use crate::domain::run::{Risk, Work};
use crate::domain::time::Time;

fn ruled(authority: Authority) -> Play {
    Play::new(Catalog { authority, ..catalog() })
}

/// P0 gives everything, P1 services, P2 configuration, P3 monitoring; the commander everything.
fn usual() -> Authority {
    Authority {
        severities: [
            (Severity::P0, Level::Full),
            (Severity::P1, Level::Services),
            (Severity::P2, Level::Configuration),
            (Severity::P3, Level::Monitoring),
        ]
        .into(),
        roles: [("commander".to_owned(), Level::Full)].into(),
        ..Authority::default()
    }
}

fn act(action: &str) -> Work {
    Work::Act { action: action.into() }
}

fn pause() -> Command {
    Command::Pause { service: "api".into(), until: Time::from_ms(i64::MAX / 2), reason: "why".into() }
}

#[test]
fn without_a_configuration_everybody_may_everything() {
    let mut play = Play::new(catalog());
    for (n, work) in [restart("api"), restore("orders"), act("warm")].into_iter().enumerate() {
        play.runs(&person("ann"), plan_of(&format!("r{n}"), work)).unwrap();
        play.ends(&format!("r{n}"));
    }
    assert!(Authority::default().is_empty());
    assert_eq!(Authority::default().base(), Level::Full);
}

#[test]
fn each_work_needs_its_level_in_each_severity() {
    let works: [(Work, Level); 7] = [
        (restart("api"), Level::Services),
        (Work::Stop { service: "api".into() }, Level::Services),
        (Work::Start { service: "api".into() }, Level::Services),
        (act("warm"), Level::Services),
        (act("look"), Level::Monitoring),
        (restore("orders"), Level::Full),
        (Work::CutOver { of: "x".into() }, Level::Full),
    ];
    for (severity, level) in usual().severities {
        for (work, need) in &works {
            let mut play = ruled(usual());
            play.declare("ann", severity);
            // The one who declares does not lead yet.
            let outcome = play.runs(&person("ben"), plan_of("r", work.clone()));
            let refused = outcome.as_ref().err().is_some_and(|e| e.contains(" needs P"));
            assert_eq!(refused, level < *need, "{severity} {work:?}: {outcome:?}");
        }
        let mut play = ruled(usual());
        play.declare("ann", severity);
        let outcome = play.asks(&person("ben"), pause());
        let refused = outcome.as_ref().err().is_some_and(|e| e.contains(" needs P"));
        assert_eq!(refused, level < Level::Configuration, "{severity}: {outcome:?}");
    }
}

/// Of P0 nothing is said: it gives what P1 does, and never sends anybody to a lesser severity.
#[test]
fn a_worse_severity_gives_what_a_lesser_one_does() {
    for (severity, allowed) in [(Severity::P0, true), (Severity::P1, true), (Severity::P2, false)] {
        let mut play = ruled(Authority {
            severities: [(Severity::P1, Level::Services)].into(),
            everybody: Some(Level::Monitoring),
            ..usual()
        });
        play.declare("ann", severity);
        let outcome = play.runs(&person("ben"), plan_of("r", restart("api")));
        assert_eq!(outcome.is_ok(), allowed, "{severity}: {outcome:?}");
    }
}

#[test]
fn the_refusal_says_what_would_allow_it_and_that_does() {
    let mut play = ruled(usual());
    play.declare("ann", Severity::P1);
    let said = play.runs(&person("ben"), plan_of("r", restore("orders"))).unwrap_err();
    for words in [
        "restore orders needs P0 or the commander (full production control)",
        "ben has service modifications (P1)",
        ": raise the severity with v, or take the role with w (mayday incident severity P0, mayday incident assign ben)",
    ] {
        assert!(said.contains(words), "{words:?} in {said:?}");
    }
    // On the one line of a screen.
    let brief = usual().brief("restore", Level::Full, "ben", &[], &play.state.open_incidents()).unwrap();
    assert_eq!(
        brief.to_string(),
        "restore needs P0 or the commander: raise the severity with v, or take the role with w"
    );
    let mut raised = ruled(usual());
    raised.declare("ann", Severity::P1);
    let (severity, reason) = (Severity::P0, "worse".into());
    raised.asks(&person("ben"), Command::SetSeverity { incident: None, severity, reason }).unwrap();
    raised.runs(&person("ben"), plan_of("r", restore("orders"))).unwrap();
    // Command passes in one entry, and the authority with it.
    let assign = |user: &str| Command::Assign { incident: None, role: "commander".into(), user: user.into() };
    assert_eq!(play.asks(&person("ben"), assign("ben")).unwrap(), ["incident.assigned"]);
    play.runs(&person("ben"), plan_of("r", restore("orders"))).unwrap();
    play.ends("r");
    assert_eq!(play.asks(&person("ben"), assign("cid")).unwrap(), ["incident.assigned"]);
    play.runs(&person("ben"), plan_of("r2", restore("orders"))).unwrap_err();
    play.runs(&person("cid"), plan_of("r2", restore("orders"))).unwrap();
}

#[test]
fn without_an_incident_the_way_on_is_to_declare_one() {
    let mut play = ruled(usual());
    let said = play.runs(&person("ben"), plan_of("r", restart("api"))).unwrap_err();
    assert!(said.contains("declare an incident of P1 with d"), "{said}");
    play.declare("ben", Severity::P1);
    play.runs(&person("ben"), plan_of("r", restart("api"))).unwrap();
}

#[test]
fn nothing_that_gets_help_is_ever_refused() {
    let mut play = ruled(Authority { everybody: Some(Level::Monitoring), ..Authority::default() });
    let ann = person("ann");
    play.declare("ann", Severity::P3);
    let commands = [
        Command::Acknowledge { incident: None },
        Command::Note { incident: None, text: "seen".into(), happened_at: None },
        Command::Step { what: "opened restore".into(), about: None },
        Command::SetSeverity { incident: None, severity: Severity::P0, reason: String::new() },
        Command::Assign { incident: None, role: "scribe".into(), user: "ben".into() },
        Command::Tag { service: "api".into(), reason: "wait".into(), over: false },
        Command::Untag { service: "api".into(), reason: String::new() },
        Command::Hold { services: Default::default(), reason: "breach".into() },
        Command::Release { services: Default::default(), reason: "over".into() },
        Command::SetStatus { incident: None, status: Status::Identified, reason: String::new(), force: false },
        Command::Send {
            incident: None,
            template: Template::Update,
            subject: "s".into(),
            body: "b".into(),
            channels: vec!["chat".into()],
        },
    ];
    for command in commands {
        let title = command.title();
        play.asks(&ann, command).unwrap_or_else(|e| panic!("{title}: {e}"));
    }
    play.asks(&ann, pause()).unwrap_err();
}

#[test]
fn the_most_that_anything_gives_counts_and_nothing_takes_away() {
    let mut rules = usual();
    rules.everybody = Some(Level::Configuration);
    rules.roles.insert("operations".into(), Level::Services);
    rules.users.insert("dan".into(), Level::Full);
    rules.groups.insert("dba".into(), Level::Full);
    let of = |who: &str, groups: &[&str], play: &Play| {
        let groups: Vec<String> = groups.iter().map(|g| (*g).to_owned()).collect();
        rules.grant(who, &groups, play.state.open_incidents())
    };
    let mut play = ruled(rules.clone());
    assert_eq!((of("ann", &[], &play).level, of("ann", &[], &play).by.as_str()), (Level::Configuration, "everybody"));
    play.declare("ann", Severity::P3);
    // P3 alone would give less than everybody has.
    assert_eq!(of("ann", &[], &play).level, Level::Configuration);
    let assign = Command::Assign { incident: None, role: "operations".into(), user: "ann".into() };
    play.asks(&person("ben"), assign).unwrap();
    assert_eq!((of("ann", &[], &play).level, of("ann", &[], &play).by.as_str()), (Level::Services, "as operations"));
    assert_eq!(of("dan", &[], &play).by, "dan");
    assert_eq!(of("eve", &["dba", "users"], &play).by, "group dba");
    // Of several incidents the worst counts.
    play.declare("ben", Severity::P0);
    assert_eq!((of("eve", &[], &play).level, of("eve", &[], &play).by.as_str()), (Level::Full, "P0"));
    let member = Actor { groups: vec!["dba".into()], ..person("fay") };
    play.runs(&member, plan_of("r", restore("orders"))).unwrap();
    assert!(!serde_json::to_string(&member).unwrap().contains("dba"), "groups are not recorded");
}

#[test]
fn a_deed_can_be_given_another_level() {
    let rules = Authority { needs: [("restore".to_owned(), Level::Services)].into(), ..usual() };
    let mut play = ruled(rules);
    play.declare("ann", Severity::P1);
    play.runs(&person("ben"), plan_of("r", restore("orders"))).unwrap();
    for deed in Deed::ALL {
        assert_eq!(Deed::parse(deed.word()), Some(deed));
    }
    for (level, word) in Level::ALL.iter().zip(Level::WORDS) {
        assert_eq!((level.word(), Level::parse(word)), (*word, Some(*level)));
    }
    assert!(Level::Monitoring < Level::Configuration && Level::Services < Level::Full);
    // An action is judged by its risk.
    assert_eq!(usual().needs_of(&act("x"), Risk::Destructive), Level::Full);
    assert_eq!(usual().needs_of(&act("x"), Risk::Observe), Level::Monitoring);
}

#[test]
fn one_may_cancel_what_one_has_begun() {
    let mut play = ruled(usual());
    play.declare("ann", Severity::P1);
    play.runs(&person("ben"), plan_of("r", restart("api"))).unwrap();
    let (severity, reason) = (Severity::P3, "smaller".into());
    play.asks(&person("ben"), Command::SetSeverity { incident: None, severity, reason }).unwrap();
    let cancel = || Command::Cancel { run: "r".into(), reason: String::new() };
    let said = play.asks(&person("cid"), cancel()).unwrap_err();
    assert!(said.contains("cancel run r needs P1 or the commander (service modifications)"), "{said}");
    play.asks(&person("ben"), cancel()).unwrap();
}

#[test]
fn a_recovery_needs_what_its_steps_need() {
    let step = |does| PlannedStep { spec: Spec { phase: Phase::Restart, within_ms: 1000, does }, runs: vec![] };
    let plan = |does: Vec<Does>| RecoveryPlan {
        id: "rec".into(),
        made_at: Time::from_ms(0),
        name: "full".into(),
        title: "full".into(),
        kind: String::new(),
        risk: Risk::Disruptive,
        target: "shop".into(),
        steps: does.into_iter().map(step).collect(),
        blocked: vec![],
    };
    let ask = |play: &mut Play, does: Vec<Does>| {
        let (plan, confirm, reason) = (Box::new(plan(does)), "y".to_owned(), String::new());
        play.asks(&person("ben"), Command::Recover { plan, confirm, reason })
    };
    let again = || Does::Restart { service: "api".into() };
    let mut play = ruled(usual());
    play.declare("ann", Severity::P1);
    let said = ask(&mut play, vec![again(), Does::Restore { backup: "orders".into() }]).unwrap_err();
    assert!(said.contains("recover full needs P0 or the commander"), "{said}");
    // A tag on the service of a later step stops it before it begins.
    play.asks(&person("ann"), Command::Tag { service: "api".into(), reason: "why".into(), over: false }).unwrap();
    let said = ask(&mut play, vec![Does::Look { text: "look".into() }, again()]).unwrap_err();
    assert!(said.contains("recover full: restart api: api is tagged by ann"), "{said}");
    play.asks(&person("ann"), Command::Untag { service: "api".into(), reason: String::new() }).unwrap();
    ask(&mut play, vec![again()]).unwrap();
    // Whoever lost the level steers it no more, and the engine goes on with it.
    let (severity, reason) = (Severity::P3, "smaller".into());
    play.asks(&person("ben"), Command::SetSeverity { incident: None, severity, reason }).unwrap();
    let stop =
        Command::Answer { recovery: None, answer: crate::domain::command::RecoveryAnswer::Stop, reason: String::new() };
    assert!(play.asks(&person("ben"), stop).unwrap_err().contains("recover full needs P1"));
    play.runs(&Actor::engine(), plan_of("r", restart("api"))).unwrap();
}

#[test]
fn roles_are_the_usual_ones_and_those_of_the_configuration() {
    let mut rules = usual();
    rules.roles.insert("dba".into(), Level::Full);
    let catalog = Catalog { authority: rules, ..catalog() };
    for role in ["commander", "operations", "communications", "scribe", "dba"] {
        known_role(&catalog, role).unwrap();
    }
    let said = known_role(&catalog, "comander").unwrap_err();
    assert!(said.usage && said.to_string().contains("known are commander, operations, communications, scribe, dba"));
}
