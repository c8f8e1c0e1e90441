//! The rules, by commands and entries on a clock that stands still until it is moved, jumps back and sleeps.

use std::time::Duration;

use mayday::domain::Time;
use mayday::domain::cadence::{self, Word};
use mayday::domain::catalog::Severity;
use mayday::domain::clock::Ending;
use mayday::domain::command::Command;
use mayday::domain::decide::against_resolving;
use mayday::domain::escalation::{self, Due};
use mayday::domain::event::{self, Event};
use mayday::domain::health::Health;
use mayday::domain::incident::Status;
use mayday::domain::message::{Delivery, Template};
use mayday::domain::outage;
use mayday::domain::phases::{self, PhaseState};
use mayday::domain::state::State;
use mayday::report::{Extra, Review, Value, json, markdown, measure};
use proptest::prelude::*;

use crate::lead::kit::{MINUTE, World};

#[test]
fn the_next_word_counts_from_the_last_accepted_one() {
    let mut w = World::new();
    let id = w.declare("outage", Severity::P0, &["api"]);
    assert_eq!(w.due(&id), Some((Word::First, 300)));
    w.pass(2);
    // What was refused, only queued, only a test, or for those who are called tells nobody who waits.
    w.message(&id, Template::Initial, Delivery::Refused);
    w.message(&id, Template::Initial, Delivery::Retrying);
    w.message(&id, Template::Test, Delivery::Accepted);
    w.message(&id, Template::Escalation, Delivery::Accepted);
    assert_eq!(w.due(&id), Some((Word::First, 180)));
    w.message(&id, Template::Initial, Delivery::Accepted);
    assert_eq!(w.due(&id), Some((Word::Update, 900)));
    // Another severity has another interval, from the same last word.
    w.pass(1);
    w.severity(&id, Severity::P1);
    assert_eq!(w.due(&id), Some((Word::Update, 29 * 60)));
    w.severity(&id, Severity::P2);
    assert_eq!(w.due(&id), None);
    w.severity(&id, Severity::P0);
    w.pass(20);
    assert_eq!(w.due(&id), Some((Word::Update, -360)), "overdue");
    w.status(&id, Status::Resolved);
    assert_eq!(w.due(&id), Some((Word::Resolution, 300)));
    w.message(&id, Template::Resolution, Delivery::Accepted);
    assert_eq!(w.due(&id), Some((Word::Review, 86_400)));
    w.status(&id, Status::Closed);
    assert_eq!(w.due(&id), None);
    // Opened again hours after the last word: due now, and late from now on.
    w.pass(180);
    w.ask(Command::Reopen { incident: Some(id.clone()), reason: "again".into() }).unwrap();
    assert_eq!(w.due(&id), Some((Word::Update, 0)));
    w.pass(2);
    assert_eq!(w.due(&id), Some((Word::Update, -120)));
}

#[test]
fn neither_a_clock_that_jumps_nor_a_host_that_sleeps_moves_a_deadline() {
    for by in [-3_600_000, 3_600_000, 90_000] {
        let mut w = World::new();
        let id = w.declare("outage", Severity::P0, &["api"]);
        w.escalate(&id);
        w.pass(1);
        w.jump(by);
        assert_eq!(w.due(&id), Some((Word::First, 240)), "{by}");
        assert!(w.escalate(&id).is_empty(), "the next level is not called for it");
        w.message(&id, Template::Initial, Delivery::Accepted);
        w.ask(Command::Snooze { incident: None, until: w.now().plus(Duration::from_secs(1200)), reason: "r".into() })
            .unwrap();
        w.jump(by);
        assert_eq!(w.due(&id), Some((Word::Update, 1200)));
        w.pass(3);
        assert!(w.escalate(&id).is_empty());
        w.pass(1);
        assert_eq!(w.escalate(&id), ["escalation level 2: manager, via sms: no acknowledgement after 5m"]);
        w.status(&id, Status::Identified);
        assert_eq!(w.incident(&id).clock.marks.identified.unwrap().t_ms, 5 * MINUTE);
        w.jump(by);
        assert_eq!(w.t_ms(&id), 5 * MINUTE);
        assert_eq!(w.incident(&id).clock.severity_ms(Severity::P0, w.t_ms(&id)), [(Severity::P0, 5 * MINUTE)].into());
    }
    // Asleep for an hour: the time has passed, and it is told; one level is called and gets its time.
    let mut w = World::new();
    let id = w.declare("outage", Severity::P0, &["api"]);
    w.escalate(&id);
    w.pass(60);
    w.engine(None, event::HostSuspended { for_ms: 3_600_000 });
    assert_eq!(w.due(&id), Some((Word::First, -55 * 60)));
    assert_eq!(w.escalate(&id), ["escalation level 2: manager, via sms: no acknowledgement after 1h"]);
    w.pass(4);
    assert!(w.escalate(&id).is_empty());
    w.pass(1);
    assert_eq!(w.escalate(&id), ["escalation level 3: director, by no channel: call Cy: no acknowledgement after 5m"]);
}

#[test]
fn the_ladder_is_climbed_once_and_says_when_it_ends() {
    let mut w = World::new();
    let id = w.declare("outage", Severity::P0, &["api"]);
    assert_eq!(w.escalate(&id), ["escalation level 1: on-call, via chat: declared"]);
    assert!(w.escalate(&id).is_empty(), "once");
    w.pass(5);
    assert_eq!(w.escalate(&id).len(), 1);
    w.pass(5);
    assert_eq!(w.escalate(&id).len(), 1);
    w.pass(5);
    assert_eq!(w.escalate(&id), ["NOBODY IS LEFT TO CALL and nobody acknowledged: no acknowledgement after 5m"]);
    w.pass(60);
    assert!(w.escalate(&id).is_empty());
    let queued = w.entries.iter().filter(|e| matches!(&e.event, Event::MessageQueued(_))).count();
    assert_eq!(queued, 2, "the director has no channel");

    // Acknowledging stops it, and so does the end of the incident.
    for stop in [
        Command::Acknowledge { incident: None },
        Command::FalseAlarm { incident: None, reason: "a test".into(), force: false },
    ] {
        let mut w = World::new();
        let id = w.declare("outage", Severity::P0, &["api"]);
        w.escalate(&id);
        w.pass(4);
        w.ask(stop).unwrap();
        w.pass(60);
        assert!(w.escalate(&id).is_empty());
    }
    // Without a ladder there is none, and nothing is said.
    let mut w = World::new();
    let id = w.declare("slow", Severity::P2, &["api"]);
    w.pass(600);
    assert!(w.escalate(&id).is_empty());
}

#[test]
fn another_severity_has_another_ladder_and_nobody_is_called_twice() {
    let mut w = World::new();
    let id = w.declare("outage", Severity::P1, &["api"]);
    w.escalate(&id);
    w.pass(6);
    assert!(w.escalate(&id).is_empty(), "fifteen minutes for P1");
    w.severity(&id, Severity::P0);
    assert_eq!(w.escalate(&id), ["escalation level 2: manager, via sms: no acknowledgement after 6m"]);
    w.severity(&id, Severity::P1);
    w.pass(15);
    assert_eq!(
        w.escalate(&id),
        ["escalation level 2: senior engineer, but nobody stands for it: no acknowledgement after 15m"]
    );
}

#[test]
fn an_engine_that_was_killed_before_it_queued_a_levels_message_queues_it_once() {
    let mut w = World::new();
    let id = w.declare("outage", Severity::P0, &["api"]);
    let (contacts, channels) = escalation::reach(&w.state, "on-call");
    let message = escalation::message_id(&id, 0);
    let why = "declared".into();
    let event = event::IncidentEscalated {
        level: 1,
        name: "on-call".into(),
        contacts,
        channels,
        message: message.clone(),
        why,
    };
    w.engine(Some(id.clone()), event);
    // The next engine.
    w.state = State::replay(&w.entries);
    assert!(matches!(escalation::due(&w.state, w.incident(&id), w.now()), Due::Queue(c) if c.message == message));
    w.escalate(&id);
    w.state = State::replay(&w.entries);
    w.escalate(&id);
    let queued = w.entries.iter().filter(|e| matches!(&e.event, Event::MessageQueued(q) if q.id == message)).count();
    assert_eq!(queued, 1);
}

#[test]
fn phases_are_over_by_what_is_on_record() {
    let mut w = World::new();
    w.health("api", Health::Down);
    let id = w.declare("outage", Severity::P0, &["api"]);
    let states = |w: &World| -> Vec<PhaseState> {
        let i = w.incident(&id);
        phases::rows(&i.clock, &w.state.catalog.severities, i.severity).iter().map(|r| r.state).collect()
    };
    use PhaseState::{Current, Over, PassedOver, ToCome};
    assert_eq!(states(&w), [Current, ToCome, ToCome, ToCome, ToCome, ToCome]);
    w.pass(3);
    w.ask(Command::Acknowledge { incident: None }).unwrap();
    w.pass(5);
    // Up by itself is no recovery before the cause is dealt with.
    w.health("api", Health::Up);
    assert_eq!(states(&w), [Over, Current, ToCome, ToCome, ToCome, ToCome]);
    w.health("api", Health::Down);
    w.pass(30);
    w.status(&id, Status::Monitoring);
    assert_eq!(states(&w), [Over, PassedOver, Over, Current, ToCome, ToCome]);
    w.pass(2);
    w.health("api", Health::Up);
    w.pass(3);
    w.status(&id, Status::Resolved);
    w.pass(60);
    w.status(&id, Status::Closed);
    assert_eq!(states(&w), [Over, PassedOver, Over, Over, Over, Over]);
    let i = w.incident(&id);
    let rows = phases::rows(&i.clock, &w.state.catalog.severities, i.severity);
    let late: Vec<Option<i64>> = rows.iter().map(|r| r.late_ms(0).map(|ms| ms / MINUTE)).collect();
    assert_eq!(late, [Some(-2), None, Some(8), Some(-20), Some(-197), Some(-1337)]);

    // The review has the same, each with the entry that it comes from.
    let review = Review::new(&w.entries, &id, Extra::default()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&json::render(&review)).unwrap();
    let t: Vec<_> = document["phases"].as_array().unwrap().iter().map(|p| p["t_ms"].as_i64()).collect();
    assert_eq!(t, [180_000, -1, 2_280_000, 2_400_000, 2_580_000, 6_180_000].map(|ms| (ms >= 0).then_some(ms)));
    let cited: Vec<u64> = document["phases"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|p| p["entries"].as_array().unwrap().iter().map(|e| e.as_u64().unwrap()))
        .collect();
    assert_eq!(cited.len(), 5);
    let kind = |seq: u64| w.entries[usize::try_from(seq).unwrap() - 1].event.kind().to_owned();
    let kinds: Vec<String> = cited.into_iter().map(kind).collect();
    assert_eq!(
        kinds,
        ["incident.acknowledged", "incident.status", "health.changed", "incident.status", "incident.status"]
    );
    assert!(markdown::render(&review).contains("| mitigation | monitoring | 30m00s | 38m00s | **late** by 8m00s |"));
}

#[test]
fn a_snooze_needs_a_reason_and_moves_what_is_shown_but_not_what_was_promised() {
    let mut w = World::new();
    let id = w.declare("outage", Severity::P0, &["api"]);
    w.message(&id, Template::Initial, Delivery::Accepted);
    w.pass(14);
    let snooze = |w: &World, minutes: u64, reason: &str| Command::Snooze {
        incident: None,
        until: w.now().plus(Duration::from_secs(minutes * 60)),
        reason: reason.into(),
    };
    for (minutes, reason, why) in
        [(10, " ", "needs a reason"), (0, "busy", "would end before it begins"), (60 * 5, "busy", "4h at most")]
    {
        let refused = w.ask(snooze(&w, minutes, reason)).unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
    w.ask(snooze(&w, 10, "on the phone with the vendor")).unwrap();
    let due = cadence::due(&w.state, w.incident(&id)).unwrap();
    assert!(due.is_snoozed());
    assert_eq!(w.due(&id), Some((Word::Update, 600)));
    assert!(w.ask(snooze(&w, 0, "x")).is_err());
    w.pass(9);
    w.message(&id, Template::Update, Delivery::Accepted);
    assert_eq!(w.due(&id), Some((Word::Update, 900)), "a snooze is over with the next word");
    let m = measure::measure(&w.entries, &id).unwrap();
    assert_eq!(m.get("updates.worst").unwrap().ms(), Some(8 * MINUTE), "late against the promise");
    assert_eq!(m.get("first_word").unwrap().ms(), Some(0));
    let md = markdown::render(&Review::new(&w.entries, &id, Extra::default()).unwrap());
    assert!(md.contains("on the phone with the vendor"), "{md}");
    // No cadence, nothing to snooze.
    w.severity(&id, Severity::P2);
    assert!(w.ask(snooze(&w, 10, "x")).unwrap_err().contains("no update is due"));
}

#[test]
fn a_merged_incident_goes_on_in_the_other_one() {
    let mut w = World::new();
    w.health("web", Health::Down);
    let one = w.declare("web is slow", Severity::P0, &["web"]);
    w.pass(2);
    let two = w.declare("api is slow", Severity::P1, &["api"]);
    let merge =
        |a: &str, b: &str, reason: &str| Command::Merge { incident: a.into(), into: b.into(), reason: reason.into() };
    assert!(w.ask(merge(&one, &one, "x")).unwrap_err().contains("into itself"));
    assert!(w.ask(merge(&one, &two, "")).unwrap_err().contains("needs a reason"));
    assert!(w.ask(merge(&one, "INC-1", "x")).unwrap_err().contains("no incident"));
    w.pass(3);
    w.ask(merge(&one, &two, "the same cause")).unwrap();
    let (from, into) = (w.incident(&one), w.incident(&two));
    assert_eq!(from.status, Status::Closed);
    assert_eq!(from.clock.ending, Some(Ending::Merged { into: two.clone() }));
    assert_eq!(into.services, ["api".to_owned(), "web".to_owned()].into());
    assert_eq!(into.severity, Severity::P0, "no promise becomes weaker by it");
    assert_eq!(into.onset, Some(from.declared_at));
    assert_eq!(into.clock.absorbed, std::slice::from_ref(&one));
    assert!(against_resolving(&w.state, into).iter().any(|a| a.contains("web")));
    // Its clock stands still.
    w.pass(60);
    assert_eq!(w.t_ms(&one), 5 * MINUTE);
    assert!(w.escalate(&one).is_empty());
    assert!(w.ask(merge(&one, &two, "again")).unwrap_err().contains("is closed"));
    let m = measure::measure(&w.entries, &one).unwrap();
    assert!(matches!(&m.get("resolve").unwrap().value, Value::NotRecorded(why) if why.contains("merged into")));
    assert_eq!(m.get("severity.P0").unwrap().ms(), Some(5 * MINUTE));
    let md = markdown::render(&Review::new(&w.entries, &two, Extra::default()).unwrap());
    assert!(md.contains(&format!("{one} was merged into it [")), "{md}");
    // It can be opened again, and is then one of its own.
    w.ask(Command::Reopen { incident: Some(one.clone()), reason: "another cause after all".into() }).unwrap();
    assert_eq!(w.incident(&one).clock.ending, None);
}

#[test]
fn a_false_alarm_is_closed_with_a_reason_unless_something_is_down() {
    let mut w = World::new();
    let id = w.declare("alarm", Severity::P0, &["api"]);
    let alarm = |reason: &str, force: bool| Command::FalseAlarm { incident: None, reason: reason.into(), force };
    assert!(w.ask(alarm("", false)).unwrap_err().contains("needs a reason"));
    w.health("api", Health::Down);
    assert!(w.ask(alarm("test", false)).unwrap_err().contains("api (tier 1) is down"));
    w.health("api", Health::Up);
    w.pass(4);
    w.ask(alarm("a load test nobody announced", false)).unwrap();
    let incident = w.incident(&id);
    assert_eq!((incident.status, &incident.clock.ending), (Status::Closed, &Some(Ending::FalseAlarm)));
    assert!(incident.unsealed, "its samples are sealed");
    w.pass(50);
    assert_eq!(w.t_ms(&id), 4 * MINUTE);
    assert!(w.ask(alarm("again", false)).is_err());
    let m = measure::measure(&w.entries, &id).unwrap();
    assert!(matches!(&m.get("resolve").unwrap().value, Value::NotRecorded(why) if why.contains("false alarm")));
    assert_eq!(m.get("severity.P0").unwrap().ms(), Some(4 * MINUTE));

    // By force, and told so.
    let mut w = World::new();
    w.health("api", Health::Down);
    w.declare("alarm", Severity::P0, &["api"]);
    w.ask(alarm("the check is wrong", true)).unwrap();
    let forced = w.entries.iter().any(|e| matches!(&e.event, Event::IncidentStatus(s) if s.forced));
    assert!(forced);
}

#[test]
fn an_onset_by_hand_takes_the_place_of_the_probes_and_says_so() {
    let mut w = World::new();
    w.pass(10);
    let id = w.declare("outage", Severity::P0, &["api"]);
    let probes = w.now().minus(Duration::from_secs(60));
    w.engine(Some(id.clone()), event::IncidentOnset { onset: probes, why: "first failing probe of api".into() });
    let set = |onset: Time, reason: &str| Command::SetOnset { incident: None, onset, reason: reason.into() };
    assert!(w.ask(set(w.now().plus(Duration::from_secs(5)), "x")).unwrap_err().contains("in the future"));
    assert!(w.ask(set(probes, "x")).unwrap_err().contains("already"));
    let by_hand = w.now().minus(Duration::from_secs(240));
    assert!(w.ask(set(by_hand, "")).unwrap_err().contains("needs a reason"));
    // Also in the review, when it is over.
    w.status(&id, Status::Resolved);
    w.ask(set(by_hand, "first complaint in the shop's mailbox")).unwrap();
    assert_eq!(w.incident(&id).onset, Some(by_hand));
    assert_eq!(w.incident(&id).clock.onset_by.as_deref(), Some("ann"));
    let m = measure::measure(&w.entries, &id).unwrap();
    let onset = m.get("onset").unwrap();
    assert_eq!(onset.entries, [w.entries.len() as u64]);
    assert!(onset.note.contains("set by ann: first complaint") && onset.note.contains("(entry 3)"), "{}", onset.note);
    let review = Review::new(&w.entries, &id, Extra::default()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&json::render(&review)).unwrap();
    assert_eq!(document["onsets"][0]["superseded"], true);
    assert_eq!(document["onsets"][1]["by"], "ann");
}

#[test]
fn calls_by_phone_are_on_record() {
    let mut w = World::new();
    let call = |contact: &str, answered: bool| Command::ContactCalled {
        incident: None,
        contact: contact.into(),
        answered,
        note: String::new(),
    };
    assert!(w.ask(call("Nobody", false)).unwrap_err().contains("known are Ann, Bo, Cy"));
    // Without an incident it is not lost either.
    w.ask(call("Ann", true)).unwrap();
    let id = w.declare("outage", Severity::P0, &["api"]);
    w.ask(call("Ann", false)).unwrap();
    w.ask(call("Ann", false)).unwrap();
    let calls = &w.incident(&id).clock.escalation.calls;
    assert_eq!((calls["Ann"].answered, calls["Ann"].times), (false, 2));
    assert_eq!(w.incident(&id).acknowledged_at, None, "a call is no acknowledgement");
}

/// One step of a life.
#[derive(Clone, Debug)]
enum Step {
    Pass(i64),
    Jump(i64),
    Severity(usize),
    Status(usize),
    Message(usize, bool),
    Health(bool),
    Ack,
    Reopen,
    Tick,
    Snooze(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0i64..40).prop_map(Step::Pass),
        prop_oneof![Just(-3_600_000i64), Just(3_600_000), -90_000i64..90_000].prop_map(Step::Jump),
        (0usize..3).prop_map(Step::Severity),
        (0usize..5).prop_map(Step::Status),
        (0usize..4, any::<bool>()).prop_map(|(t, ok)| Step::Message(t, ok)),
        any::<bool>().prop_map(Step::Health),
        Just(Step::Ack),
        Just(Step::Reopen),
        Just(Step::Tick),
        (1u64..60).prop_map(Step::Snooze),
        Just(Step::Restart),
    ]
}

proptest! {
    /// Whatever happens, the fold is the replay, the review has its numbers, no level is called twice, and a deadline
    /// is as far away as it was before the clock jumped.
    #[test]
    fn live_is_replay_and_review(steps in prop::collection::vec(step(), 1..60)) {
        let mut w = World::new();
        let id = w.declare("outage", Severity::P0, &["api"]);
        for step in steps {
            match step {
                Step::Pass(minutes) => w.pass(minutes),
                Step::Jump(by) => {
                    let before = (w.incident(&id).status.is_open().then(|| w.due(&id)), w.t_ms(&id));
                    w.jump(by);
                    let after = (w.incident(&id).status.is_open().then(|| w.due(&id)), w.t_ms(&id));
                    prop_assert_eq!(before, after);
                }
                Step::Severity(i) => {
                    let severity = Severity::ALL[i];
                    let _ = w.ask(Command::SetSeverity { incident: None, severity, reason: "so".into() });
                }
                Step::Status(i) => {
                    let status = Status::ALL[i];
                    let incident = Some(id.clone());
                    let _ = w.ask(Command::SetStatus { incident, status, reason: "r".into(), force: true });
                }
                Step::Message(t, ok) => {
                    let result = if ok { Delivery::Accepted } else { Delivery::Refused };
                    w.message(&id, Template::ALL[t], result);
                }
                Step::Health(up) => w.health("api", if up { Health::Up } else { Health::Down }),
                Step::Ack => drop(w.ask(Command::Acknowledge { incident: None })),
                Step::Reopen => drop(w.ask(Command::Reopen { incident: None, reason: "r".into() })),
                Step::Tick => drop(w.escalate(&id)),
                Step::Snooze(minutes) => {
                    let until = w.now().plus(Duration::from_secs(minutes * 60));
                    let _ = w.ask(Command::Snooze { incident: None, until, reason: "r".into() });
                }
                Step::Restart => {
                    let stored = serde_json::to_string(&w.state).unwrap();
                    w.state = serde_json::from_str(&stored).unwrap();
                }
            }
        }
        prop_assert_eq!(&State::replay(&w.entries), &w.state);
        let mut names: Vec<&str> = w.incident(&id).clock.escalation.called.iter().map(|c| c.name.as_str()).collect();
        let n = names.len();
        names.sort_unstable();
        names.dedup();
        prop_assert_eq!(names.len(), n);
        // A last word, so that the review ends where the state is.
        w.ask(Command::Note { incident: Some(id.clone()), text: "end".into(), happened_at: None }).unwrap();
        let incident = w.incident(&id);
        let live = incident.clock.severity_ms(incident.severity, w.t_ms(&id));
        let m = measure::measure(&w.entries, &id).unwrap();
        for severity in Severity::ALL {
            let live = live.get(&severity).copied().unwrap_or(0);
            let reviewed = m.get(&format!("severity.{severity}")).and_then(|m| m.ms()).unwrap_or(0);
            prop_assert_eq!(live, reviewed, "{}", severity);
        }
        // What was over for more than a day is not kept for the ticker.
        if incident.status.is_open() && w.t_ms(&id) < 24 * 60 * MINUTE {
            let ticker = outage::charged(&w.state, incident).at(w.now()).as_millis();
            let Value::Money(reviewed, _) = &m.get("cost").unwrap().value else { panic!("no cost") };
            prop_assert_eq!(ticker as f64, reviewed.round());
        }
    }
}
