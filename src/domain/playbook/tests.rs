//! Any story of playbooks: people answer, runs and messages end in every way, texts change. What is written folds to what
//! is live, nothing is passed over without a reason, and a failure never goes away by itself.

use proptest::prelude::*;

use super::*;
use crate::domain::actor::Actor;
use crate::domain::command::{Command, Context};
use crate::domain::decide::decide as decide_all;
use crate::domain::event::*;
use crate::domain::recovery::Seen;
use crate::domain::run::{Plan, Risk, RunState, Side, SideRole, Verdict};
use crate::domain::state::State;
use crate::domain::timeline;

const T0: i64 = 1_800_000_000_000;

struct World {
    state: State,
    entries: Vec<Entry>,
    now: i64,
    up: bool,
    made: u32,
}

impl World {
    fn new() -> World {
        let mut world = World { state: State::default(), entries: vec![], now: T0, up: false, made: 0 };
        let mut catalog = crate::domain::catalog::Catalog::default();
        for name in ["api", "db"] {
            catalog.services.insert(name.into(), Default::default());
        }
        world.happened(true, None, ConfigLoaded { digest: "d".into(), source: "s".into(), catalog });
        world
    }

    fn happened(&mut self, engine: bool, incident: Option<String>, event: impl Into<Event>) {
        let ann = Actor { user: "ann".into(), uid: Some(7), ..Actor::default() };
        let event = event.into();
        // As it is read back from the journal.
        let read = Event::read(event.kind(), event.payload());
        assert_eq!(read, event);
        let entry = Entry {
            seq: self.entries.len() as u64 + 1,
            at: Time::from_ms(self.now),
            boot_ms: (self.now - T0).unsigned_abs(),
            boot: "boot".into(),
            host: "host".into(),
            actor: if engine { Actor::engine() } else { ann },
            incident,
            event,
        };
        timeline::row(&entry);
        self.state.apply(&entry);
        self.entries.push(entry);
    }

    fn ask(&mut self, command: Command) -> Result<(), String> {
        self.made += 1;
        let ctx = Context {
            now: Time::from_ms(self.now),
            boot_ms: 0,
            boot: "boot".into(),
            actor: Actor { user: "ann".into(), uid: Some(7), ..Actor::default() },
            fresh: format!("f{}", self.made),
        };
        for one in decide_all(&self.state, command, &ctx).map_err(|r| r.to_string())? {
            self.happened(false, one.incident, one.event);
        }
        Ok(())
    }

    fn start(&mut self, text: &Playbook) -> Result<(), String> {
        self.ask(Command::PlaybookStart {
            name: text.name.clone(),
            incident: None,
            reason: String::new(),
            text: Some(Box::new(text.clone())),
        })
    }

    fn say(&mut self, answer: Answer, reason: &str) -> Result<(), String> {
        self.ask(Command::Playbook { playbook: None, answer, reason: reason.into() })
    }

    fn play(&self) -> &Play {
        self.state.playbooks_in_order().next_back().expect("one was started")
    }

    fn at(&self) -> &str {
        self.play().at.as_deref().unwrap_or("over")
    }

    fn step(&self, name: &str) -> &StepRecord {
        &self.play().steps[name]
    }

    /// What the engine does in a turn.
    fn turn(&mut self) {
        for _ in 0..4 {
            let Some(play) = self.state.active_playbook().cloned() else { return };
            let good = self.up;
            let up = |s: &str, _: Time| if good { Seen::Up } else { Seen::Not(format!("{s} is down")) };
            let now = |s: &str, _: Time| Some(if good { Ok(()) } else { Err(format!("{s} is down")) });
            let look = Look { up: &up, now: &now, since: Time::from_ms(T0) };
            play.waits(&self.state, &look);
            let Due::End { state, detail } = due(&self.state, &play, Time::from_ms(self.now), &look) else { return };
            for one in seen(&self.state, &play, state, detail) {
                self.happened(true, one.incident, one.event);
            }
        }
    }

    /// The run that the step offers is started, as it would be by a person.
    fn run(&mut self) -> Option<String> {
        let play = self.state.active_playbook()?.clone();
        let Some(Offer::Run { work, .. }) = play.offer(&self.state) else { return None };
        self.made += 1;
        let id = format!("r{}", self.made);
        let of = of_run(&self.state, &play.id, &work).expect("it is offered");
        let began = PlaybookBegan {
            playbook: of.playbook,
            step: of.step,
            title: String::new(),
            part: of.part,
            run: Some(id.clone()),
            recovery: None,
            message: None,
        };
        self.happened(false, None, began);
        let plan = plan_of(&id, work, Time::from_ms(self.now));
        self.happened(
            false,
            None,
            RunRequested { plan, reason: String::new(), unlogged: false, recovery: None, head_start: false },
        );
        Some(id)
    }

    fn ended(&mut self, run: &str, state: RunState, verdict: Verdict, side: bool) {
        if side {
            let side = Side {
                kind: "folder".into(),
                name: format!("side of {run}"),
                live: "live".into(),
                created_at: Time::from_ms(self.now),
                size: 0,
                role: SideRole::Ready,
                args: serde_json::Value::Null,
            };
            self.happened(true, None, RunSide { run: run.into(), side: Some(side), gone: vec![] });
        }
        self.happened(
            true,
            None,
            RunFinished {
                run: run.into(),
                state,
                exit: Some(0),
                verdict,
                detail: String::new(),
                finished_at: None,
                output_digest: String::new(),
                excerpt: String::new(),
            },
        );
    }
}

fn plan_of(id: &str, work: Work, at: Time) -> Plan {
    let json = serde_json::json!({
        "id": id, "made_at": at, "work": work, "title": "t", "target": "t", "holds": [], "risk": Risk::Disruptive,
        "effects": [], "preconditions": [], "phases": [], "timeout_ms": 1,
    });
    serde_json::from_value(json).expect("a plan")
}

fn step(name: &str, does: Does) -> Step {
    Step {
        name: name.into(),
        title: format!("the {name}"),
        phase: String::new(),
        within_ms: Some(60_000),
        owner: String::new(),
        text: String::new(),
        does,
        go: None,
    }
}

fn restart() -> Does {
    Does::Act { work: Work::Restart { service: "api".into() } }
}

fn restore() -> Does {
    Does::Act { work: Work::Restore { backup: "b".into(), copy: None, test: false, only: vec![], to: None } }
}

fn decision(to: &[&str]) -> Does {
    let option = |go: &&str| Choice { name: format!("to-{go}"), title: String::new(), go: (*go).to_owned() };
    Does::Decide { options: to.iter().map(option).collect() }
}

fn list() -> Does {
    let items = vec!["one".to_owned(), "two".to_owned()];
    Does::Checklist { checklist: Checklist { name: "list".into(), title: "List".into(), items } }
}

fn book(steps: Vec<Step>) -> Playbook {
    Playbook { name: "p".into(), title: "P".into(), digest: "d1".into(), steps, ..Playbook::default() }
}

fn manual() -> Does {
    Does::Manual { evidence: false }
}

#[test]
fn what_is_refused_and_what_would_allow_it() {
    let mut w = World::new();
    assert!(w.say(Answer::Done, "").unwrap_err().contains("no playbook is under way"));
    w.start(&book(vec![step("a", Does::Manual { evidence: true }), step("b", restart()), step("c", list())])).unwrap();
    for (answer, reason, said) in [
        (Answer::Done, "", "asks for something that shows it"),
        (Answer::Fail, " ", "needs a reason"),
        (Answer::Skip, "", "needs a reason"),
        (Answer::Again, "", "has not failed"),
        (Answer::GoOn, "x", "has not failed"),
        (Answer::Choose { option: "x".into() }, "", "is no decision"),
        (Answer::Stop, "", "needs a reason"),
        (Answer::Resume { take: None }, "", "nothing to resume"),
    ] {
        let why = w.say(answer.clone(), reason).unwrap_err();
        assert!(why.contains(said), "{answer:?}: {why}");
    }
    assert!(w.start(&book(vec![step("a", manual())])).unwrap_err().contains("under way at step 1 of 3"));
    w.say(Answer::Done, "seen").unwrap();
    assert_eq!((w.at(), w.step("a").detail.as_str()), ("b", "seen"));
    assert!(w.say(Answer::Done, "").unwrap_err().contains("not carried out yet"));
    let run = w.run().unwrap();
    for answer in [Answer::Skip, Answer::Fail, Answer::Done] {
        assert!(w.say(answer, "x").unwrap_err().contains("is requested"));
    }
    assert!(of_run(&w.state, &w.play().id, &Work::Restart { service: "api".into() }).is_err());
    w.ended(&run, RunState::Succeeded, Verdict::Contradicted, false);
    w.turn();
    assert_eq!(w.step("b").state, StepState::Failed);
    assert!(w.step("b").detail.contains("CONTRADICTED"));
    assert!(w.say(Answer::Skip, "x").unwrap_err().contains("not skipped any more"));
    assert!(w.say(Answer::GoOn, "").unwrap_err().contains("needs a reason"));
    w.say(Answer::GoOn, "it is late").unwrap();
    assert_eq!((w.at(), w.step("b").state), ("c", StepState::Failed));
    assert!(w.say(Answer::Done, "").unwrap_err().contains("one; two"));
}

#[test]
fn a_restore_is_good_only_when_it_is_live() {
    let mut w = World::new();
    w.start(&book(vec![step("a", restore())])).unwrap();
    let side = w.run().unwrap();
    w.ended(&side, RunState::Succeeded, Verdict::Verified, true);
    w.turn();
    let offer = w.play().offer(&w.state);
    assert_eq!(offer, Some(Offer::Run { part: 1, work: Work::CutOver { of: side.clone() } }));
    // A cut-over that fails is tried again with the copy that is there.
    let over = w.run().unwrap();
    w.ended(&over, RunState::Failed, Verdict::Unverified, false);
    w.turn();
    assert_eq!(w.step("a").state, StepState::Failed);
    assert_eq!(w.play().offer(&w.state), offer);
    let over = w.run().unwrap();
    w.ended(&over, RunState::Succeeded, Verdict::Verified, false);
    w.turn();
    assert_eq!((w.play().state, w.step("a").failures.len()), (PlayState::Complete, 1));
}

#[test]
fn what_nothing_shows_is_asked_and_vouched_for() {
    let mut w = World::new();
    w.start(&book(vec![step("a", restore())])).unwrap();
    let side = w.run().unwrap();
    w.ended(&side, RunState::Succeeded, Verdict::Unverified, true);
    w.turn();
    assert_eq!((w.step("a").state, w.play().offer(&w.state)), (StepState::Unproven, None));
    w.say(Answer::Done, "rows are there").unwrap();
    w.turn();
    assert!(matches!(w.play().offer(&w.state), Some(Offer::Run { part: 1, .. })));
}

#[test]
fn a_wait_fails_after_its_limit_and_a_check_at_once() {
    let mut w = World::new();
    let api = || vec!["api".to_owned()];
    w.start(&book(vec![step("wait", Does::Wait { services: api() }), step("check", Does::Check { services: api() })]))
        .unwrap();
    w.now += 59_000;
    w.turn();
    assert_eq!(w.step("wait").state, StepState::UnderWay);
    w.now += 1_000;
    w.turn();
    assert_eq!(
        (w.step("wait").state, w.step("wait").detail.as_str()),
        (StepState::Failed, "not within 1m: api is down")
    );
    w.say(Answer::Again, "").unwrap();
    w.up = true;
    w.turn();
    assert_eq!(w.play().state, PlayState::Complete);
    w.up = false;
    w.start(&book(vec![step("check", Does::Check { services: api() })])).unwrap();
    w.turn();
    assert_eq!(w.step("check").state, StepState::Failed);
}

#[test]
fn time_away_and_a_stepped_clock_leave_the_box_alone() {
    let mut w = World::new();
    w.start(&book(vec![step("a", manual())])).unwrap();
    w.say(Answer::Leave, "").unwrap();
    w.now += 3_600_000;
    w.say(Answer::Resume { take: None }, "").unwrap();
    assert_eq!(w.play().box_ends(), Some(Time::from_ms(w.now + 60_000)));
    w.now -= 3_600_000;
    w.happened(true, None, ClockStepped { by_ms: -3_600_000 });
    assert_eq!(w.play().box_ends(), Some(Time::from_ms(w.now + 60_000)));
}

#[test]
fn a_hold_is_set_by_its_step_and_what_is_held_stays_so() {
    let mut w = World::new();
    let hold = || Does::Hold { services: vec!["api".into()], reason: "breach".into() };
    w.start(&book(vec![step("a", hold()), step("b", hold())])).unwrap();
    w.say(Answer::Done, "").unwrap();
    assert_eq!(w.state.guards.hold(Some("api")).map(|h| h.reason.as_str()), Some("breach"));
    w.say(Answer::Done, "").unwrap();
    assert_eq!((w.play().state, w.state.guards.holds.len()), (PlayState::Complete, 1));
}

#[test]
fn the_difference_names_every_kind_of_change() {
    let old = book(vec![step("a", manual()), step("b", restart()), step("c", manual())]);
    let mut new = book(vec![step("c", manual()), step("a", manual()), step("d", list())]);
    new.steps[1].text = "now with words".into();
    new.title = "Other".into();
    let said = difference(&old, &new).join("\n");
    for part in [
        "the title was",
        "- step b",
        "+ step d (the d) is new, after a",
        "step a: its text was nothing",
        "the order is now c, a",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert!(difference(&old, &old.clone()).is_empty());
}

#[derive(Clone, Debug)]
enum Act {
    Start,
    Say(Answer, bool),
    Tick(u8, bool),
    Run,
    End(u8, bool),
    Turn,
    Up(bool),
    Pass(i64),
    Change(u8),
}

fn acts() -> impl Strategy<Value = Act> {
    let answers = prop_oneof![
        4 => Just(Answer::Done),
        1 => Just(Answer::Fail),
        1 => Just(Answer::Skip),
        1 => Just(Answer::Again),
        2 => Just(Answer::GoOn),
        1 => (0usize..3).prop_map(|i| Answer::Choose { option: ["to-a", "to-c", "to-end"][i].into() }),
        1 => Just(Answer::Leave),
        2 => Just(Answer::Resume { take: None }),
        1 => Just(Answer::Resume { take: Some(Take::Old) }),
        1 => Just(Answer::Resume { take: Some(Take::New { from: "a".into() }) }),
        1 => Just(Answer::Stop),
        1 => Just(Answer::Evidence { step: None, text: "e".into(), file: String::new(), digest: String::new(), size: None }),
    ];
    prop_oneof![
        2 => Just(Act::Start),
        8 => (answers, any::<bool>()).prop_map(|(a, r)| Act::Say(a, r)),
        2 => (1u8..3, any::<bool>()).prop_map(|(i, t)| Act::Tick(i, t)),
        4 => Just(Act::Run),
        4 => (0u8..5, any::<bool>()).prop_map(|(how, side)| Act::End(how, side)),
        4 => Just(Act::Turn),
        1 => any::<bool>().prop_map(Act::Up),
        1 => (0i64..200_000).prop_map(Act::Pass),
        1 => (0u8..3).prop_map(Act::Change),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_folds_to_what_is_live(story in proptest::collection::vec(acts(), 1..60)) {
        let mut w = World::new();
        let services = || vec!["api".to_owned()];
        let text = book(vec![
            step("a", restart()),
            step("b", decision(&["a", "c", END])),
            step("c", restore()),
            step("d", Does::Wait { services: services() }),
            step("e", list()),
            step("f", Does::Hold { services: services(), reason: "so".into() }),
            step("g", Does::Check { services: services() }),
            step("h", manual()),
        ]);
        for act in story {
            let before = w.state.playbooks.clone();
            match act {
                Act::Start => drop(w.start(&text)),
                Act::Say(answer, reason) => drop(w.say(answer, if reason { "because" } else { "" })),
                Act::Tick(item, ticked) => drop(w.ask(Command::Tick {
                    checklist: "list".into(), incident: None, item: item.to_string(), ticked, note: String::new(), text: None,
                })),
                Act::Run => drop(w.run()),
                Act::End(how, side) => {
                    let open = w.state.runs_in_order().find(|r| !r.state.is_over()).map(|r| (r.id().to_owned(), r.plan.work.verb()));
                    if let Some((run, verb)) = open {
                        let (state, verdict) = [
                            (RunState::Succeeded, Verdict::Verified),
                            (RunState::Succeeded, Verdict::Unverified),
                            (RunState::Succeeded, Verdict::Contradicted),
                            (RunState::Failed, Verdict::Unverified),
                            (RunState::Lost, Verdict::Unverified),
                        ][usize::from(how)];
                        w.ended(&run, state, verdict, side && verb == "restore");
                    }
                }
                Act::Turn => w.turn(),
                Act::Up(up) => w.up = up,
                Act::Pass(ms) => w.now += ms,
                Act::Change(n) => {
                    let open = w.state.playbooks_in_order().find(|p| p.state.is_open()).cloned();
                    if let Some(play) = open {
                        let mut now = text.clone();
                        now.digest = format!("d{n}");
                        now.steps[0].text = format!("text {n}");
                        let same = now.digest == play.text.digest;
                        let difference = if same { vec![] } else { vec!["~ something".to_owned()] };
                        w.happened(true, None, PlaybookChanged {
                            playbook: play.id.clone(), name: play.text.name.clone(), digest: now.digest.clone(), difference,
                            now: (!same).then_some(now),
                        });
                    }
                }
            }
            // What was written is what is live.
            prop_assert_eq!(&State::replay(&w.entries), &w.state);
            let kept: State = serde_json::from_str(&serde_json::to_string(&w.state).unwrap()).unwrap();
            prop_assert_eq!(&kept, &w.state);
            prop_assert!(w.state.playbooks.values().filter(|p| p.state == PlayState::UnderWay).count() <= 1);
            for play in w.state.playbooks.values() {
                if play.state.is_open() {
                    prop_assert!(play.current().is_some(), "{:?}", play.at);
                }
                for (name, record) in &play.steps {
                    if record.state == StepState::Skipped {
                        prop_assert!(!record.detail.is_empty() && !record.by.is_empty());
                    }
                    // A failure is never taken away, only followed by another try.
                    let was = before.get(&play.id).and_then(|p| p.steps.get(name));
                    if let Some(was) = was {
                        prop_assert!(record.failures.len() >= was.failures.len());
                        prop_assert!(record.evidence.len() >= was.evidence.len());
                        let tried = record.attempts > was.attempts;
                        prop_assert!(was.state != StepState::Failed || record.state == StepState::Failed || tried);
                    }
                }
                // While its text is in question nothing of it goes on.
                if play.changed.is_some() && play.state.is_open() {
                    prop_assert!(play.offer(&w.state).is_none());
                }
            }
        }
    }
}
