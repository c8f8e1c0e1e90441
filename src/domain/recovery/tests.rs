//! Any story of a recovery: what is due is done, runs end in every way, people answer, clocks are stepped. What is
//! written folds to what is live, nothing is begun before its turn, and nothing is executed twice.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::actor::Actor;
use crate::domain::command::{Command, Context, RecoveryAnswer};
use crate::domain::event::*;
use crate::domain::run::{Plan, Run, RunState, Side, SideRole, Verdict};
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
        World { state: State::default(), entries: vec![], now: T0, up: false, made: 0 }
    }

    fn happened(&mut self, engine: bool, event: impl Into<Event>) {
        let user =
            if engine { Actor::engine() } else { Actor { user: "ann".into(), uid: Some(7), ..Actor::default() } };
        let entry = Entry {
            seq: self.entries.len() as u64 + 1,
            at: Time::from_ms(self.now),
            boot_ms: (self.now - T0).unsigned_abs(),
            boot: "boot".into(),
            host: "host".into(),
            actor: user,
            incident: None,
            event: event.into(),
        };
        self.state.apply(&entry);
        self.entries.push(entry);
    }

    fn ask(&mut self, command: Command) -> Result<(), String> {
        let ctx = Context {
            now: Time::from_ms(self.now),
            boot_ms: 0,
            boot: "boot".into(),
            actor: Actor { user: "ann".into(), uid: Some(7), ..Actor::default() },
            fresh: "f".into(),
        };
        for one in crate::domain::decide::decide(&self.state, command, &ctx).map_err(|r| r.to_string())? {
            self.happened(false, one.event);
        }
        Ok(())
    }

    fn start(&mut self, steps: &[Does]) {
        self.made += 1;
        let shown = |title: &str, risk, digest: &str| Shown {
            title: title.into(),
            target: "t".into(),
            risk,
            digest: digest.into(),
            ..Shown::default()
        };
        let steps = steps.iter().map(|does| PlannedStep {
            spec: Spec { phase: Phase::Restart, within_ms: 60_000, does: does.clone() },
            runs: match does {
                Does::Restore { .. } => {
                    vec![shown("restore", Risk::Disruptive, "d"), shown("cut over", Risk::Destructive, "")]
                }
                Does::Restart { .. } | Does::Act { .. } => vec![shown("act", Risk::Disruptive, "d")],
                _ => vec![],
            },
        });
        let plan = RecoveryPlan {
            id: format!("rec{}", self.made),
            made_at: Time::from_ms(self.now),
            name: "full".into(),
            title: "full".into(),
            kind: String::new(),
            risk: Risk::Destructive,
            target: "t".into(),
            steps: steps.collect(),
            blocked: vec![],
        };
        let _ = self.ask(Command::Recover { plan: Box::new(plan), confirm: "t".into(), reason: String::new() });
    }

    /// What the engine does in a turn. `changed`: the plan of a run is not what was confirmed.
    fn turn(&mut self, changed: bool) {
        for _ in 0..4 {
            let Some(recovery) = self.state.open_recovery().cloned() else { return };
            let up = self.up;
            let seen = |_: &str, _| if up { Seen::Up } else { Seen::Not("api is down".into()) };
            let id = recovery.id().to_owned();
            let step = recovery.step;
            match due(&self.state, &recovery, Time::from_ms(self.now), &seen) {
                Due::Nothing => return,
                Due::Begin => {
                    let before = recovery.steps.get(..step).unwrap();
                    assert!(before.iter().all(|s| matches!(s.state, StepState::Good | StepState::Skipped)));
                    let (title, detail) = (String::new(), String::new());
                    self.happened(true, RecoveryStep { recovery: id, step, title, state: StepState::UnderWay, detail });
                }
                Due::Good { detail } => {
                    let state = StepState::Good;
                    self.happened(true, RecoveryStep { recovery: id, step, title: String::new(), state, detail });
                }
                Due::Stop { why, detail } => {
                    self.happened(
                        true,
                        RecoveryStopped { recovery: id, step, title: String::new(), why, detail, now: None },
                    );
                }
                Due::Finish => {
                    let skipped = recovery.skipped();
                    self.happened(
                        true,
                        RecoveryFinished { recovery: id, complete: true, skipped, reason: String::new() },
                    );
                }
                Due::Plan { part, work } => {
                    assert!(
                        self.state.runs.values().all(|r| r.of_step.is_none() || r.state.is_over() || {
                            // A run of a recovery that was ended, which goes on by itself.
                            r.of_step.as_ref().is_some_and(|of| of.recovery != id)
                        }),
                        "a run is under way"
                    );
                    let done = |r: &Run| {
                        r.of_step == Some(OfStep { recovery: id.clone(), step, part })
                            && r.verdict == Some(Verdict::Verified)
                    };
                    assert!(!self.state.runs.values().any(done), "what was verified is executed again");
                    if changed {
                        let now = Shown { title: "other".into(), digest: "e".into(), ..Shown::default() };
                        self.happened(
                            true,
                            RecoveryStopped {
                                recovery: id,
                                step,
                                title: String::new(),
                                why: Why::Changed,
                                detail: "other".into(),
                                now: Some(now),
                            },
                        );
                        return;
                    }
                    self.made += 1;
                    let plan = plan(&format!("r{}", self.made), work);
                    let recovery = Some(OfStep { recovery: id, step, part });
                    self.happened(
                        true,
                        RunRequested { plan, reason: String::new(), unlogged: false, recovery, head_start: false },
                    );
                }
            }
        }
    }

    fn end_run(&mut self, state: RunState, verdict: Verdict) {
        let Some(run) = self.state.runs_in_order().rev().find(|r| !r.state.is_over()).cloned() else { return };
        let id = run.id().to_owned();
        if state == RunState::Succeeded && matches!(run.plan.work, Work::Restore { .. }) {
            let side = Side {
                kind: "folder".into(),
                name: format!("side of {id}"),
                live: "t".into(),
                created_at: Time::from_ms(self.now),
                size: 1,
                role: SideRole::Ready,
                args: serde_json::Value::Null,
            };
            self.happened(true, RunSide { run: id.clone(), side: Some(side), gone: vec![] });
        }
        self.happened(
            true,
            RunFinished {
                run: id,
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

    fn is_sound(&self) {
        let open = self.state.recoveries.values().filter(|r| r.state.is_open()).count();
        assert!(open <= 1);
        for r in self.state.recoveries.values() {
            assert_eq!(r.halt.is_some(), r.state == RecoveryState::Asks, "{r:?}");
            assert_eq!(r.finished_at.is_some(), !r.state.is_open());
            let ids: BTreeSet<_> = r.steps.iter().flat_map(|s| &s.runs).collect();
            assert_eq!(ids.len(), r.steps.iter().map(|s| s.runs.len()).sum::<usize>(), "a run counts for two steps");
            if r.state == RecoveryState::Complete {
                assert!(r.steps.iter().all(|s| matches!(s.state, StepState::Good | StepState::Skipped)));
            }
        }
    }
}

fn plan(id: &str, work: Work) -> Plan {
    let json = serde_json::json!({
        "id": id, "made_at": Time::from_ms(T0), "work": work, "title": "x", "target": "t", "service": "api",
        "holds": [format!("it {id}")], "risk": "disruptive", "effects": [], "preconditions": [], "phases": [],
        "timeout_ms": 1000,
    });
    serde_json::from_value(json).unwrap()
}

#[derive(Clone, Debug)]
enum Story {
    Start(Vec<u8>),
    Turn(bool),
    End(RunState, Verdict),
    Answer(RecoveryAnswer, bool),
    Up(bool),
    Later(i64),
    Clock(i64),
}

fn does(n: u8) -> Does {
    match n % 5 {
        0 => Does::Restore { backup: "b".into() },
        1 => Does::Restart { service: "api".into() },
        2 => Does::Act { action: "a".into() },
        3 => Does::Healthy { services: vec!["api".into()] },
        _ => Does::Look { text: "look".into() },
    }
}

fn story() -> impl Strategy<Value = Story> {
    let end = prop_oneof![
        4 => Just((RunState::Succeeded, Verdict::Verified)),
        2 => Just((RunState::Succeeded, Verdict::Unverified)),
        1 => Just((RunState::Succeeded, Verdict::Contradicted)),
        1 => Just((RunState::Failed, Verdict::Unverified)),
        1 => Just((RunState::Expired, Verdict::Unverified)),
        1 => Just((RunState::Lost, Verdict::Unverified)),
        1 => Just((RunState::Cancelled, Verdict::Unverified)),
    ];
    let answer = prop_oneof![
        4 => Just(RecoveryAnswer::Resume { digest: "e".into(), confirm: "t".into() }),
        1 => Just(RecoveryAnswer::Resume { digest: String::new(), confirm: String::new() }),
        1 => Just(RecoveryAnswer::Skip),
        2 => Just(RecoveryAnswer::Done),
        1 => Just(RecoveryAnswer::Failed),
    ];
    let answer = prop_oneof![12 => answer, 1 => Just(RecoveryAnswer::Stop)];
    prop_oneof![
        2 => proptest::collection::vec(any::<u8>(), 0..5).prop_map(Story::Start),
        8 => proptest::bool::weighted(0.1).prop_map(Story::Turn),
        5 => end.prop_map(|(s, v)| Story::End(s, v)),
        4 => (answer, proptest::bool::weighted(0.8)).prop_map(|(a, why)| Story::Answer(a, why)),
        2 => any::<bool>().prop_map(Story::Up),
        2 => (1i64..90_000).prop_map(Story::Later),
        1 => (-5_000i64..5_000).prop_map(Story::Clock),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_story_is_sound_and_folds_to_what_is_live(steps in proptest::collection::vec(story(), 1..80)) {
        let mut w = World::new();
        for step in steps {
            w.now += 10;
            match step {
                Story::Start(steps) => w.start(&steps.into_iter().map(does).collect::<Vec<_>>()),
                Story::Turn(changed) => w.turn(changed),
                Story::End(state, verdict) => w.end_run(state, verdict),
                Story::Answer(answer, why) => {
                    let reason = if why { "because".into() } else { String::new() };
                    let _ = w.ask(Command::Answer { recovery: None, answer, reason });
                }
                Story::Up(up) => w.up = up,
                Story::Later(ms) => w.now += ms,
                Story::Clock(by_ms) => {
                    w.now += by_ms;
                    w.happened(true, ClockStepped { by_ms });
                }
            }
            w.is_sound();
        }
        let read_back: Vec<Entry> = w
            .entries
            .iter()
            .map(|e| Entry { event: Event::read(e.event.kind(), e.event.payload()), ..e.clone() })
            .collect();
        prop_assert_eq!(&State::replay(&read_back), &w.state);
        let from_checkpoint: State = serde_json::from_str(&serde_json::to_string(&w.state).unwrap()).unwrap();
        prop_assert_eq!(&from_checkpoint, &w.state);
        for entry in &w.entries {
            prop_assert!(!timeline::row(entry).text.is_empty());
        }
    }
}

/// Everything goes well, and the recovery is through.
#[test]
fn what_goes_well_ends_complete() {
    let mut w = World::new();
    w.up = true;
    w.start(&[does(0), does(1), does(3), does(4)]);
    for _ in 0..12 {
        w.turn(false);
        w.end_run(RunState::Succeeded, Verdict::Verified);
        let _ = w.ask(Command::Answer { recovery: None, answer: RecoveryAnswer::Done, reason: String::new() });
    }
    let recovery = w.state.recoveries.values().next().unwrap();
    assert_eq!(recovery.state, RecoveryState::Complete, "{recovery:?}");
    assert_eq!(recovery.steps[0].runs.len(), 2, "the side restore and the cut-over");
}

/// A cut-over that failed is tried again with the copy that was restored, not with another restore.
#[test]
fn a_failed_cut_over_keeps_its_copy() {
    let mut w = World::new();
    w.start(&[does(0)]);
    w.turn(false);
    w.end_run(RunState::Succeeded, Verdict::Verified);
    w.turn(false);
    w.end_run(RunState::Failed, Verdict::Unverified);
    w.turn(false);
    let answer = RecoveryAnswer::Resume { digest: String::new(), confirm: String::new() };
    w.ask(Command::Answer { recovery: None, answer, reason: String::new() }).unwrap();
    w.turn(false);
    let works: Vec<&str> = w.state.runs_in_order().map(|r| r.plan.work.verb()).collect();
    assert_eq!(works, ["restore", "cut over", "cut over"]);
}

/// A copy that is live is not restored over again, whatever speaks against it: a person says how it is, or undoes it.
#[test]
fn a_contradicted_cut_over_is_not_done_twice() {
    let resume = |w: &mut World| {
        let answer = RecoveryAnswer::Resume { digest: String::new(), confirm: String::new() };
        w.ask(Command::Answer { recovery: None, answer, reason: String::new() })
    };
    let mut w = World::new();
    w.start(&[does(0), does(1)]);
    w.turn(false);
    w.end_run(RunState::Succeeded, Verdict::Verified);
    w.turn(false);
    w.end_run(RunState::Succeeded, Verdict::Contradicted);
    w.turn(false);
    let halt = w.state.open_recovery().unwrap().halt.clone().unwrap();
    assert!(halt.why == Why::Unproven && halt.detail.contains("IS LIVE"), "{halt:?}");
    let why = resume(&mut w).unwrap_err();
    assert!(why.contains("is live since run") && why.contains("recover done --reason"), "{why}");
    let done = |w: &mut World, reason: &str| {
        w.ask(Command::Answer { recovery: None, answer: RecoveryAnswer::Done, reason: reason.into() })
    };
    assert!(done(&mut w, "").unwrap_err().contains("needs a reason"));
    let mut undone = World { state: w.state.clone(), entries: w.entries.clone(), ..World::new() };
    done(&mut w, "the cache warms up by itself").unwrap();
    w.turn(false);
    let works = |w: &World| w.state.runs_in_order().map(|r| r.plan.work.verb()).collect::<Vec<_>>();
    assert_eq!(works(&w), ["restore", "cut over", "restart"]);
    // Put back, it may be tried again.
    let of = undone.state.runs_in_order().nth(1).unwrap().id().to_owned();
    let request = RunRequested {
        plan: plan("u1", Work::Undo { of }),
        reason: String::new(),
        unlogged: false,
        recovery: None,
        head_start: false,
    };
    undone.happened(false, request);
    undone.end_run(RunState::Succeeded, Verdict::Verified);
    resume(&mut undone).unwrap();
}

/// Overdue: nothing is ended, and what ended well since is not done again.
#[test]
fn overdue_is_asked_once_and_its_run_counts_on() {
    let mut w = World::new();
    w.start(&[does(1), does(2)]);
    w.turn(false);
    w.now += 61_000;
    w.turn(false);
    assert_eq!(w.state.open_recovery().unwrap().halt.as_ref().unwrap().why, Why::Overdue);
    assert!(!w.state.runs_in_order().next().unwrap().state.is_over());
    let skip = Command::Answer { recovery: None, answer: RecoveryAnswer::Skip, reason: "no time".into() };
    assert!(w.ask(skip).unwrap_err().contains("still under way"));
    w.end_run(RunState::Succeeded, Verdict::Verified);
    w.turn(false);
    assert_eq!(w.state.open_recovery().unwrap().state, RecoveryState::Asks);
    let answer = RecoveryAnswer::Resume { digest: String::new(), confirm: String::new() };
    w.ask(Command::Answer { recovery: None, answer, reason: String::new() }).unwrap();
    w.turn(false);
    let recovery = w.state.open_recovery().unwrap();
    assert_eq!((recovery.step, recovery.steps[0].runs.len()), (1, 1));
    assert!(recovery.box_ends().unwrap() > Time::from_ms(w.now).plus(Duration::from_secs(59)));
}

/// What an incident has begun early is not begun again: it is waited for, and then only put in the live place.
#[test]
fn a_head_start_of_the_confirmed_copy_is_used() {
    use crate::domain::backup::Copy;
    use crate::domain::headstart::HeadStart;
    let mut w = World::new();
    let copy = |id: &str| Some(Copy { id: id.into(), ..Copy::default() });
    let work = Work::Restore { backup: "b".into(), copy: None, test: false, to: None, only: vec![] };
    let early = Plan { copy: copy("monday"), ..plan("h1", work) };
    w.happened(
        true,
        RunRequested { plan: early, reason: String::new(), unlogged: false, recovery: None, head_start: true },
    );
    w.state.head_starts.push(HeadStart { backup: "b".into(), run: Some("h1".into()), ..HeadStart::default() });
    w.start(&[Does::Restore { backup: "b".into() }]);
    let begin = RecoveryStep {
        recovery: "rec1".into(),
        step: 0,
        title: String::new(),
        state: StepState::UnderWay,
        detail: String::new(),
    };
    w.happened(true, begin);
    let next = |w: &World, copy: &str, later: i64| {
        let mut recovery = w.state.open_recovery().cloned().unwrap();
        recovery.plan.steps[0].runs[0].copy = Some(copy.into());
        due(&w.state, &recovery, Time::from_ms(w.now + later), &|_, _| Seen::Unwatched)
    };
    assert_eq!(next(&w, "monday", 0), Due::Nothing);
    let said = next(&w, "monday", 60_000);
    assert!(matches!(&said, Due::Stop { why: Why::Overdue, detail } if detail.contains("h1")), "{said:?}");
    assert!(matches!(next(&w, "sunday", 0), Due::Plan { part: 0, .. }), "another copy was confirmed");
    w.end_run(RunState::Succeeded, Verdict::Verified);
    let over = Due::Plan { part: 1, work: Work::CutOver { of: "h1".into() } };
    assert_eq!(next(&w, "monday", 0), over);
    assert!(matches!(next(&w, "sunday", 0), Due::Plan { part: 0, .. }));
    // Dropped meanwhile: the whole restore that was confirmed is done.
    w.happened(true, RunSide { run: "h1".into(), side: None, gone: vec!["side of h1".into()] });
    assert!(matches!(next(&w, "monday", 0), Due::Plan { part: 0, .. }));
}
