//! Reading always works: read-only, without a link, without the level. What changes something is refused where it would be
//! done, with the reason.

use crossterm::event::KeyCode;
use mayday::domain::authority::{Authority, Level};
use mayday::domain::command::{Command, HypothesisAsk, Refusal};
use mayday::domain::guard::{Guards, Tag};
use mayday::domain::handoff::Handoff;
use mayday::domain::health::Health;
use mayday::domain::hypothesis::{Basis, Evidence, Hypothesis, Stance, Standing};
use mayday::domain::{Actor, catalog::Severity, message::Template};
use mayday::viewer::app::Pending;
use mayday::viewer::commands;
use mayday::viewer::screen::Input;
use mayday::wire::{Answer, Ask, Change, DraftView, GuardView};

use crate::guard::approval;
use crate::made::{Stage, answer_draft, at};
use crate::playbook::{led_unopened, play, view};
use crate::{shown, snapshot};

const READ_ONLY: &str = "this screen is read-only";
const NO_LINK: &str = "no link to the engine";

/// The two who can change nothing, and what they are told.
fn readers(made: impl Fn() -> Stage) -> [(Stage, &'static str); 2] {
    let (mut reader, mut lost) = (made(), made());
    reader.read_only();
    lost.tell(Input::LinkDown("the engine hung up".into()));
    [(reader, READ_ONLY), (lost, NO_LINK)]
}

/// Nothing but what is to be read was asked for.
#[track_caller]
fn changed_nothing(stage: &Stage) {
    let changes = |ask: &&Ask| matches!(ask, Ask::Do(_) | Ask::Start { .. } | Ask::Step { .. } | Ask::Recover { .. });
    assert!(!stage.asks.iter().any(|ask| changes(&ask)), "{:?}", stage.asks);
}

fn text(stage: &Stage) -> String {
    shown::text(&stage.app, 80, 24)
}

#[test]
fn the_playbook_is_read_by_everybody() {
    for (mut stage, why) in readers(|| led_unopened(view(play("what"), "a person does it, and says so", None))) {
        stage.keys("p");
        let seen = text(&stage);
        for said in ["step 1 of 8", "What is wrong, and since when?", "Find one wrong row", why] {
            assert!(seen.contains(said), "{said}: {seen}");
        }
        assert!(!seen.contains("enter done"), "{seen}");
        stage.key(KeyCode::Enter);
        assert!(text(&stage).contains(why) && stage.app.overlays.is_empty(), "{}", text(&stage));
        stage.keys("SVLFX ");
        assert!(stage.app.overlays.is_empty());
        changed_nothing(&stage);
    }
    let mut stage = led_unopened(view(play("what"), "a person does it, and says so", None));
    stage.read_only();
    stage.keys("p");
    snapshot("reading-playbook", &mut stage, &[(80, 24), (120, 36)]);
}

#[test]
fn one_that_was_left_is_shown_and_not_resumed_and_none_is_started() {
    let left = || {
        let mut left = play("restart");
        left.state = mayday::domain::playbook::PlayState::Left;
        let mut stage = led_unopened(view(left, "", None));
        let facts = mayday::wire::PlaybookFacts { name: "cache".into(), title: "Cache failure".into(), steps: 3 };
        stage.head(|head| head.playbooks = vec![facts.clone()]);
        stage
    };
    for (mut stage, why) in readers(left) {
        stage.keys("p");
        stage.key(KeyCode::Down);
        stage.key(KeyCode::Enter);
        assert!(text(&stage).contains(why), "starting is refused: {}", text(&stage));
        stage.key(KeyCode::Up);
        stage.key(KeyCode::Enter);
        assert!(text(&stage).contains("step 2 of 8"), "{}", text(&stage));
        changed_nothing(&stage);
    }
}

fn guessed() -> Stage {
    let mut stage = Stage::burning();
    let evidence = Evidence {
        at: at(-20),
        by: "oncall2".into(),
        stance: Stance::For,
        basis: Basis::Fact,
        text: "90 of 90 connections".into(),
        seq: 12,
    };
    stage.incident(|view| {
        view.incident.hypotheses = vec![Hypothesis {
            origin: None,
            id: "H1".into(),
            text: "the pool is exhausted".into(),
            opened_at: at(-60),
            opened_by: "oncall2".into(),
            seq: 11,
            standing: Standing::Open,
            closed_at: None,
            closed_by: None,
            reason: String::new(),
            evidence: vec![evidence],
        }];
    });
    stage
}

#[test]
fn hypotheses_are_read_by_everybody() {
    for (mut stage, why) in readers(guessed) {
        stage.keys("h");
        assert!(text(&stage).contains("H1 the pool is exhausted"), "{}", text(&stage));
        // A new one cannot be opened, whatever is typed.
        stage.key(KeyCode::Home);
        stage.key(KeyCode::Enter);
        assert!(text(&stage).contains(why), "{}", text(&stage));
        stage.keys("the disk is full");
        stage.key(KeyCode::Enter);
        assert!(stage.app.overlays.len() == 1 && text(&stage).contains(why), "{}", text(&stage));
        stage.key(KeyCode::Esc);
        stage.keys("pool");
        stage.key(KeyCode::Enter);
        assert!(text(&stage).contains("90 of 90 connections"), "{}", text(&stage));
        stage.key(KeyCode::Enter);
        assert!(text(&stage).contains(why), "{}", text(&stage));
        changed_nothing(&stage);
    }
}

#[test]
fn typed_words_become_a_new_hypothesis() {
    let mut stage = guessed();
    stage.keys("hthe disk is full");
    let seen = text(&stage);
    assert!(seen.contains("+ open a new one:") && seen.contains("\"the disk is full\""), "{seen}");
    snapshot("hypothesis-typed", &mut stage, &[(80, 24)]);
    stage.key(KeyCode::Enter);
    let opened = |ask: Option<&Ask>| match ask {
        Some(Ask::Do(Command::Hypothesis { ask: HypothesisAsk::Open { text }, .. })) => text.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(opened(stage.last_ask()), "the disk is full");
    assert!(stage.app.overlays.is_empty());
    // Refused, the words come back.
    stage.answer(|p| matches!(p, Pending::Prompted(..)), Answer::Refused(Refusal::new("H1 says so already", "")));
    assert!(text(&stage).contains("the disk is full") && text(&stage).contains("H1 says so"), "{}", text(&stage));
    // What matches comes first; a new one is below it.
    let mut stage = guessed();
    stage.keys("hpool");
    let seen = text(&stage);
    assert!(seen.find("H1 the pool").unwrap() < seen.find("+ open a new one:").unwrap(), "{seen}");
    stage.key(KeyCode::Down);
    stage.key(KeyCode::Enter);
    assert_eq!(opened(stage.last_ask()), "pool");
}

#[test]
fn who_waits_for_a_second_person_is_read_by_everybody() {
    for by in ["oncall2", "oncall1"] {
        let made = || {
            let mut stage = Stage::burning();
            stage.guard(GuardView { approvals: vec![approval(by)], ..GuardView::default() });
            stage
        };
        for (mut stage, why) in readers(made) {
            stage.keys("Y");
            let seen = text(&stage);
            assert!(seen.contains("acorn lantern pelican tulip"), "{seen}");
            stage.drawn();
            stage.later(50);
            if by == "oncall2" {
                assert!(seen.contains(why), "{seen}");
                stage.keys("y");
            } else {
                stage.key(KeyCode::Down);
                stage.key(KeyCode::Enter);
                assert!(text(&stage).contains(why), "{}", text(&stage));
            }
            changed_nothing(&stage);
        }
    }
}

fn drafted() -> Stage {
    let mut stage = Stage::burning();
    stage.incident(|view| {
        view.leading.draft = Some(DraftView {
            template: Template::Update,
            subject: "[P0] INC-2026-004 update 2".into(),
            body: "Since the last message: nothing better.".into(),
            made_at: at(-100),
        });
    });
    stage
}

#[test]
fn what_is_due_is_previewed_by_everybody_and_sent_by_those_who_may() {
    for (mut stage, why) in readers(drafted) {
        stage.keys("m");
        answer_draft(&mut stage);
        let seen = text(&stage);
        assert!(seen.contains("preview of the update message") && seen.contains("INC-2026-004"), "{seen}");
        assert!(seen.contains(why) && !seen.contains("Send it?"), "{seen}");
        stage.drawn();
        stage.later(50);
        stage.keys("y");
        changed_nothing(&stage);
        stage.key(KeyCode::Esc);
        assert!(stage.app.overlays.is_empty(), "back, and not into a text that cannot be sent");
    }
    // Nothing lies ready, and nobody can be asked for it.
    let mut stage = Stage::burning();
    stage.tell(Input::LinkDown("gone".into()));
    stage.keys("m");
    assert!(text(&stage).contains("no draft lies ready"), "{}", text(&stage));
    // The level is asked for sending, not for reading.
    let mut stage = drafted();
    let authority = Authority {
        everybody: Some(Level::Monitoring),
        severities: [(Severity::P0, Level::Monitoring)].into(),
        roles: [("operations".to_owned(), Level::Full)].into(),
        needs: [("message".to_owned(), Level::Full)].into(),
        ..Authority::default()
    };
    stage.guard(GuardView { authority, ..GuardView::default() });
    assert!(mayday::viewer::allowed::may_send(&stage.app).is_some());
    stage.keys("m");
    answer_draft(&mut stage);
    assert!(text(&stage).contains("preview of the update") && text(&stage).contains("not sent:"), "{}", text(&stage));
    stage.drawn();
    stage.later(50);
    stage.keys("y");
    assert!(!stage.asks.iter().any(|a| matches!(a, Ask::Do(Command::Send { .. }))));
}

/// However much is down: what is due, what runs and what must not be touched is in view on the smallest terminal.
#[test]
fn how_it_stands_is_read_without_a_link_and_in_one_look() {
    let mut stage = Stage::burning();
    let model = stage.app.watched.mirror.services["postgres"].clone();
    let name = |i: usize| format!("a-service-of-the-checkout-with-quite-a-long-name-number-{i:03}");
    let services = (0..65).map(|i| mayday::wire::ServiceView {
        name: name(i),
        tier: 2,
        state: Health::Down,
        down_since: Some(at(-700)),
        ..model.clone()
    });
    stage.change(Change { services: services.collect(), ..Change::default() });
    stage.incident(|view| view.update_due = Some(at(-90)));
    let by = Actor { user: "oncall2".into(), ..Actor::default() };
    let tag = Tag { by, since: at(-480), reason: "restore running".into(), from: None };
    let guards = Guards { tags: [("postgres".to_owned(), tag)].into(), ..Guards::default() };
    stage.guard(GuardView { guards, ..GuardView::default() });
    stage.tell(Input::LinkDown("the engine hung up".into()));
    stage.keys("H");
    assert!(stage.asks.iter().all(|a| !matches!(a, Ask::Capsule { .. })), "nobody is asked");
    let seen = text(&stage);
    for said in [
        "as it was at 02:26:50",
        "due        update to the outside is OVERDUE",
        "down       DOWN 12m45s postgres",
        "… and 65 more",
        "running    restore postgres-full",
        "hands off  postgres tagged by oncall2",
    ] {
        assert!(seen.contains(said), "{said}: {seen}");
    }
    assert!(!seen.contains("hand over"), "{seen}");
    snapshot("capsule-many-down", &mut stage, &[(80, 24), (120, 36)]);
}

#[test]
fn who_reads_only_is_told_why_nothing_is_handed_over() {
    let mut stage = Stage::burning();
    stage.incident(|view| {
        view.incident.handoff = Some(Handoff {
            seq: 11,
            at: at(-10),
            role: "commander".into(),
            from: "oncall2".into(),
            to: None,
            remark: String::new(),
            capsule: Vec::new(),
        });
    });
    stage.read_only();
    stage.keys("H");
    let sections = Vec::new();
    let answer = Answer::Capsule { incident: "INC-2026-004".into(), at: at(0), sections };
    stage.answer(|p| matches!(p, Pending::Capsule), answer);
    let seen = text(&stage);
    assert!(seen.contains(READ_ONLY) && !seen.contains("take it over"), "{seen}");
}

#[test]
fn who_offers_the_lead_is_told_who_leads_until_then() {
    for (leads, said) in [(Some("oncall1"), "you lead until it is taken"), (None, "nobody leads until it is taken")] {
        let mut stage = Stage::burning();
        stage.incident(|view| {
            view.incident.roles = leads.map(|user| ("commander".to_owned(), user.to_owned())).into_iter().collect();
        });
        stage.keys("H");
        let answer = Answer::Capsule { incident: "INC-2026-004".into(), at: at(0), sections: Vec::new() };
        stage.answer(|p| matches!(p, Pending::Capsule), answer);
        stage.drawn();
        stage.later(50);
        stage.keys("oann: cut over next");
        stage.key(KeyCode::Enter);
        let done = Answer::Done { seq: 9, incident: None, run: None, message: None, recovery: None, recorded: true };
        stage.answer(|p| matches!(p, Pending::Prompted(..)), done);
        assert!(text(&stage).contains(said), "{}", text(&stage));
    }
}

/// What only shows something is there for everybody who looks at an incident with all of it.
#[test]
fn what_shows_is_never_refused_to_readers() {
    let made = || {
        let mut stage = led_unopened(view(play("what"), "", None));
        stage.guard(GuardView { approvals: vec![approval("oncall2")], ..GuardView::default() });
        stage.incident(|view| {
            let body = "nothing better".into();
            let draft = DraftView { template: Template::Update, subject: "u".into(), body, made_at: at(0) };
            view.leading.draft = Some(draft);
        });
        stage
    };
    for (stage, _) in readers(made) {
        for id in ["playbook.open", "hypothesis.open", "approval.open", "handoff.open", "update.send", "run.output"] {
            let command = commands::find(id).unwrap();
            assert_eq!(mayday::viewer::allowed::why_not(&stage.app, command), None, "{id}");
        }
    }
}

/// The first line in 80 columns says that nobody has taken it and that it is not the only one.
#[test]
fn the_narrow_header_says_what_must_not_be_missed() {
    let first = |stage: &Stage, w| shown::text(&stage.app, w, 24).lines().next().unwrap().to_owned();
    for (overdue, due) in [(true, "OVERDUE"), (false, "due 02:29")] {
        let mut stage = Stage::burning();
        stage.incident(|view| {
            view.incident.acknowledged_at = None;
            view.incident.roles.clear();
            view.update_due = Some(at(if overdue { -90 } else { 130 }));
        });
        stage.resize(80, 24);
        for must in ["PRODUCTION", "P0", "T+00:12:43", "NOT ACKNOWLEDGED", due, "live"] {
            assert!(first(&stage, 80).contains(must), "{must}: {}", first(&stage, 80));
        }
        stage.second_incident();
        for must in ["PRODUCTION", "P0", "T+00:12:43", "NOT ACKNOWLEDGED", due, "+1 more", "live"] {
            assert!(first(&stage, 80).contains(must), "{must}: {}", first(&stage, 80));
        }
        // Taken, it is not said any more.
        stage.incident(|view| view.incident.acknowledged_at = Some(at(0)));
        assert!(!first(&stage, 80).contains("NOT ACK"), "{}", first(&stage, 80));
    }
}
