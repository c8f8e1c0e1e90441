//! Playbooks on the screen: choosing, the step that is led, what it asks, a changed text, and what fits in the incident's pane.

use std::collections::BTreeMap;

use crossterm::event::KeyCode;
use mayday::domain::checklist::{Checklist, OpenChecklist, Tick};
use mayday::domain::command::Command;
use mayday::domain::message::Template;
use mayday::domain::playbook::*;
use mayday::domain::run::Work;
use mayday::viewer::app::Pending;
use mayday::wire::{Answer as Told, Ask, Change, Head, PlaybookFacts, PlaybookView};

use crate::made::{Stage, answer_draft, answer_plan, at};
use crate::{shown, snapshot};

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 36), (200, 60)];

fn step(name: &str, title: &str, text: &str, does: Does) -> Step {
    Step {
        name: name.into(),
        title: title.into(),
        phase: "mitigation".into(),
        within_ms: Some(300_000),
        owner: "operations".into(),
        text: text.into(),
        does,
        go: None,
    }
}

fn list() -> Checklist {
    let items = ["Everything that writes is stopped", "The state as it is was kept", "Row counts are as expected"];
    Checklist {
        name: "database-recovery".into(),
        title: "Database recovery".into(),
        items: items.map(str::to_owned).to_vec(),
    }
}

fn text() -> Playbook {
    let option = |name: &str, title: &str, go: &str| Choice { name: name.into(), title: title.into(), go: go.into() };
    let options = vec![
        option("rows", "Some tables or rows: they are taken out of a copy", "restart"),
        option("whole", "The whole database: the newest good copy", "restore"),
    ];
    Playbook {
        name: "database-corruption".into(),
        title: "Database corruption".into(),
        digest: "d1".into(),
        steps: vec![
            step(
                "what",
                "What is wrong, and since when?",
                "Find one wrong row, and the time when it was still right.\n- Errors that name a page or an index: keep the exact words.\n- Wrong values: which code or person wrote them, and when first?",
                Does::Manual { evidence: true },
            ),
            step(
                "restart",
                "Restart the API",
                "Users are thrown out for a minute.",
                Does::Act { work: Work::Restart { service: "api".into() } },
            ),
            step("how-much", "How much has to come back?", "As little as is enough.", Does::Decide { options }),
            step(
                "restore",
                "Restore postgres-full",
                "Read what is lost by it.",
                Does::Act {
                    work: Work::Restore {
                        backup: "postgres-full".into(),
                        copy: None,
                        test: false,
                        only: vec![],
                        to: None,
                    },
                },
            ),
            step("up", "Wait until both are up", "", Does::Wait { services: vec!["postgres".into(), "api".into()] }),
            step(
                "tell",
                "Say what was lost",
                "It works again.",
                Does::Message { template: Template::Update, channels: vec!["slack".into()] },
            ),
            step("checked", "Database recovery checklist", "", Does::Checklist { checklist: list() }),
            step("hold", "Hold", "", Does::Hold { services: vec!["api".into()], reason: "a breach".into() }),
        ],
        ..Playbook::default()
    }
}

/// Under way at a step; those before it are done.
pub fn play(now: &str) -> Play {
    let text = text();
    let place = text.number(now);
    let path: Vec<String> = text.steps.iter().take(place).map(|s| s.name.clone()).collect();
    let record = |i: usize| StepRecord {
        state: match (i + 1).cmp(&place) {
            std::cmp::Ordering::Less => StepState::Done,
            std::cmp::Ordering::Equal => StepState::UnderWay,
            std::cmp::Ordering::Greater => StepState::Waiting,
        },
        attempts: u32::from(i < place),
        begun_at: (i < place).then(|| at(-100)),
        box_from: (i < place).then(|| at(-100)),
        ended_at: (i + 1 < place).then(|| at(-100)),
        by: if i + 1 < place { "oncall1".into() } else { String::new() },
        ..StepRecord::default()
    };
    Play {
        id: "pb1".into(),
        steps: text.steps.iter().enumerate().map(|(i, s)| (s.name.clone(), record(i))).collect(),
        text,
        incident: Some("INC-2026-004".into()),
        started_at: at(-310),
        started_by: "oncall1".into(),
        started_seq: 70,
        state: PlayState::UnderWay,
        at: Some(now.into()),
        path,
        changed: None,
        kept: String::new(),
        led_by: "oncall1".into(),
        finished_at: None,
        reason: String::new(),
    }
}

pub fn view(play: Play, waits: &str, offer: Option<Offer>) -> PlaybookView {
    PlaybookView { play, waits: waits.into(), offer, busy: false }
}

/// A burning system in which this playbook is led, and shown.
fn led(view: PlaybookView) -> Stage {
    let mut stage = led_unopened(view);
    stage.keys("p");
    stage
}

/// The same, before anybody looks at it.
pub fn led_unopened(view: PlaybookView) -> Stage {
    let mut stage = Stage::burning();
    let mut incident = stage.app.watched.mirror.incidents.values().next().unwrap().clone();
    let tick = Tick { at: at(-30), by: "oncall2".into(), note: String::new() };
    incident.checklists = vec![OpenChecklist {
        incident: Some("INC-2026-004".into()),
        list: list(),
        opened_at: at(-60),
        opened_by: "oncall1".into(),
        ticks: BTreeMap::from([(list().items[0].clone(), tick)]),
    }];
    stage.change(Change { playbooks: vec![view], incidents: vec![incident], ..Change::default() });
    stage
}

fn restart() -> Offer {
    Offer::Run { part: 0, work: Work::Restart { service: "api".into() } }
}

#[test]
fn every_kind_of_step() {
    let mut evidence = play("what");
    evidence.steps.get_mut("what").unwrap().evidence.push(Evidence {
        at: at(-20),
        by: "oncall1".into(),
        text: "ERROR: invalid page in block 4711 of relation base/16384/2619".into(),
        file: String::new(),
        digest: String::new(),
        size: None,
    });
    let mut failed = play("restart");
    {
        let record = failed.steps.get_mut("restart").unwrap();
        record.state = StepState::Failed;
        record.detail = "run r9 succeeded, CONTRADICTED: GET /health answers 503".into();
    }
    let mut over = play("restart");
    over.steps.get_mut("restart").unwrap().box_from = Some(at(-460));
    let mut busy = view(play("restart"), "run r3 (restart api) is running", None);
    busy.busy = true;
    for (name, view, sizes) in [
        ("manual", view(evidence, "a person does it, and says so", None), &SIZES[..]),
        ("act", view(over, "it is to be started: its plan is shown first", Some(restart())), &SIZES[..1]),
        ("busy", busy, &SIZES[..1]),
        ("failed", view(failed, "it failed: try again, or go on with a reason", Some(restart())), &SIZES[..2]),
        ("decide", view(play("how-much"), "a person chooses", None), &SIZES[..1]),
        ("wait", view(play("up"), "api: 1 of 2 successes of http", None), &SIZES[..1]),
        ("checklist", view(play("checked"), "1 of 3 ticked", None), &SIZES[..]),
        (
            "hold",
            view(
                play("hold"),
                "a person sets the hold",
                Some(Offer::Hold { services: vec!["api".into()], reason: "a breach".into() }),
            ),
            &SIZES[..1],
        ),
    ] {
        let mut stage = led(view);
        snapshot(&format!("playbook-{name}"), &mut stage, sizes);
        for (w, h) in [(60, 15), (20, 5), (1, 1)] {
            stage.resize(w, h);
            shown::buffer(&stage.app, w, h);
        }
    }
}

/// The step that is at hand is what is read first, at every size, also with a title of sixty characters; its owner is the
/// person who has the role.
#[test]
fn the_step_at_hand_is_large() {
    let long = "Put the newest good copies of the orders beside the live one";
    assert_eq!(long.len(), 60);
    let mut titled = play("restart");
    for step in &mut titled.text.steps {
        step.title = long.into();
    }
    titled.steps.get_mut("restart").unwrap().attempts = 2;
    let mut stage = led(view(titled, "it is to be started: its plan is shown first", Some(restart())));
    snapshot("playbook-long-nobody", &mut stage, &SIZES[..1]);
    stage.incident(|view| {
        view.incident.roles.insert("operations".into(), "ben".into());
    });
    snapshot("playbook-long", &mut stage, &SIZES);
    for (w, h) in SIZES {
        stage.resize(w, h);
        let seen = shown::text(&stage.app, w, h);
        assert!(seen.contains("operations: ben") && seen.contains("step 2 of 8"), "{seen}");
        assert!(seen.contains("carried out by oncall1") && !seen.contains("playbook led"), "{seen}");
        // In letters of four rows where there is room, else whole in its frame: never cut.
        let framed = long.split(' ').all(|word| seen.contains(word)) && !seen.contains("Put the…");
        assert!(framed || w == 200, "{seen}");
        let blocks = seen.lines().filter(|l| l.matches(['█', '▀', '▄']).count() > 8).count();
        assert_eq!(blocks > 8, w == 200, "{blocks} rows of large letters at {w}: {seen}");
        assert!(seen.contains("enter do it") && seen.contains("next"), "what to press and what comes: {seen}");
    }
    // Another goes on with it than who started it.
    let mut passed = play("restart");
    passed.led_by = "oncall2".into();
    let seen = shown::text(&led(view(passed, "", None)).app, 200, 60);
    assert!(seen.contains("started by oncall1, carried out by oncall2"), "{seen}");
    // ASCII where nothing else may be written.
    stage.resize(200, 60);
    stage.app.look.g = mayday::viewer::glyphs::ASCII;
    let seen = shown::text(&stage.app, 200, 60);
    assert!(seen.contains("#___#") && !seen.contains('█'), "{seen}");
    // Copied, the title is text.
    let copied = mayday::viewer::detail::text(&stage.app, 200).join("\n");
    assert!(copied.contains(long), "{copied}");
}

#[test]
fn a_step_is_carried_out_through_its_plan_and_bound_to_it() {
    let mut stage = led(view(play("restart"), "", Some(restart())));
    stage.key(KeyCode::Enter);
    assert!(matches!(stage.last_ask(), Some(Ask::Plan(Work::Restart { service })) if service == "api"));
    answer_plan(&mut stage, mayday::domain::run::Risk::Disruptive);
    // Enter starts nothing; y does, for the step.
    stage.drawn();
    stage.key(KeyCode::Enter);
    assert!(!stage.asks.iter().any(|a| matches!(a, Ask::Step { .. })));
    stage.keys("y");
    match stage.last_ask() {
        Some(Ask::Step { playbook, ask }) => {
            assert_eq!(playbook, "pb1");
            assert!(matches!(&**ask, Ask::Start { confirm, .. } if confirm == "y"));
        }
        other => panic!("{other:?}"),
    }
    // What is planned by another key afterwards is none of the step's.
    stage.key(KeyCode::Esc);
    let mut stage = led(view(play("restore"), "", Some(restart())));
    stage.key(KeyCode::Enter);
    answer_plan(&mut stage, mayday::domain::run::Risk::Disruptive);
    stage.key(KeyCode::Esc);
    stage.keys("q1r");
    answer_plan(&mut stage, mayday::domain::run::Risk::Disruptive);
    stage.drawn();
    stage.keys("y");
    assert!(matches!(stage.last_ask(), Some(Ask::Start { .. })), "{:?}", stage.last_ask());
}

#[test]
fn a_message_is_written_from_the_step_and_previewed() {
    let offer =
        Offer::Message { template: Template::Update, channels: vec!["slack".into()], text: "It works again.".into() };
    let mut stage = led(view(play("tell"), "", Some(offer)));
    stage.key(KeyCode::Enter);
    assert!(matches!(stage.last_ask(), Some(Ask::Draft { template: Template::Update, .. })));
    answer_draft(&mut stage);
    assert!(shown::text(&stage.app, 80, 24).contains("It works again."));
    stage.key(KeyCode::Tab);
    stage.key(KeyCode::Tab);
    stage.drawn();
    stage.keys("y");
    match stage.last_ask() {
        Some(Ask::Step { ask, .. }) => {
            let Ask::Do(Command::Send { channels, body, .. }) = &**ask else { panic!("{ask:?}") };
            assert_eq!(channels, &["slack"]);
            assert!(body.starts_with("It works again."));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn items_are_ticked_with_space_and_the_cursor_goes_on() {
    let mut stage = led(view(play("checked"), "", None));
    stage.key(KeyCode::Down);
    stage.key(KeyCode::Char(' '));
    let ticked = |ask: Option<&Ask>| match ask {
        Some(Ask::Do(Command::Tick { item, ticked, .. })) => (item.clone(), *ticked),
        other => panic!("{other:?}"),
    };
    assert_eq!(ticked(stage.last_ask()), ("The state as it is was kept".into(), true));
    stage.key(KeyCode::Char(' '));
    assert_eq!(ticked(stage.last_ask()), ("Row counts are as expected".into(), true));
    stage.keys("kk");
    stage.key(KeyCode::Char(' '));
    assert_eq!(ticked(stage.last_ask()), ("Everything that writes is stopped".into(), false));
}

#[test]
fn a_changed_text_is_shown_and_chosen() {
    let mut changed = play("restart");
    let mut now = text();
    now.steps.truncate(2);
    changed.changed = Some(Changed {
        at: at(-5),
        digest: "d2".into(),
        difference: vec![
            "~ step what: its text was \"Find one wrong row\", now \"Find all of them\"".into(),
            "- step how-much (How much has to come back?) is gone".into(),
        ],
        now: Some(Box::new(now)),
    });
    let mut stage = led(view(changed, "its text has changed since it was started", None));
    snapshot("playbook-changed", &mut stage, &SIZES[..1]);
    stage.key(KeyCode::Enter);
    snapshot("playbook-changed-choice", &mut stage, &SIZES[..1]);
    stage.key(KeyCode::Down);
    stage.key(KeyCode::Enter);
    let wanted = Answer::Resume { take: Some(Take::New { from: "what".into() }) };
    assert!(matches!(stage.last_ask(), Some(Ask::Do(Command::Playbook { answer, .. })) if *answer == wanted));
}

#[test]
fn what_fits_is_named_and_chosen_first() {
    let mut stage = Stage::burning();
    let facts = |name: &str, title: &str| PlaybookFacts { name: name.into(), title: title.into(), steps: 12 };
    let head = Head {
        playbooks: vec![facts("cache-failure", "Cache failure"), facts("complete-outage", "Complete outage")],
        suggested_playbooks: vec![Suggested {
            name: "complete-outage".into(),
            title: "Complete outage".into(),
            why: "all of postgres, api are down".into(),
        }],
        ..stage.app.watched.mirror.head.clone()
    };
    stage.change(Change { head: Some(head), ..Change::default() });
    stage.keys("5");
    snapshot("playbook-fits", &mut stage, &[(80, 24), (120, 36)]);
    stage.keys("p");
    snapshot("playbook-choose", &mut stage, &[(80, 24)]);
    stage.key(KeyCode::Enter);
    let started =
        matches!(stage.last_ask(), Some(Ask::Do(Command::PlaybookStart { name, .. })) if name == "complete-outage");
    assert!(started, "{:?}", stage.last_ask());
    let done = Told::Done { seq: 9, incident: None, run: None, message: None, recovery: None, recorded: true };
    stage.answer(|p| matches!(p, Pending::Playbook(_)), done);
    stage.change(Change { playbooks: vec![view(play("what"), "", None)], ..Change::default() });
    assert!(shown::text(&stage.app, 80, 24).contains("step 1 of 8"));
    stage.key(KeyCode::Enter);
    snapshot("playbook-prompt", &mut stage, &[(80, 24)]);
}
