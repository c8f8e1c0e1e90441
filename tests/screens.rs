//! The cockpit's screens, drawn from a picture made by hand: text and roles, at all sizes, with every overlay; random
//! keys and sizes never panic.

#[path = "screens/copies.rs"]
mod copies;
#[path = "screens/curate.rs"]
mod curate;
#[path = "screens/every.rs"]
mod every;
#[path = "screens/followups.rs"]
mod followups;
#[path = "screens/guard.rs"]
mod guard;
#[path = "screens/leading.rs"]
mod leading;
#[path = "screens/made.rs"]
mod made;
#[path = "screens/past.rs"]
mod past;
#[path = "screens/playbook.rs"]
mod playbook;
#[path = "screens/reading.rs"]
mod reading;
#[path = "replay/record.rs"]
mod record;
#[path = "screens/recovery.rs"]
mod recovery;
#[path = "screens/shown.rs"]
mod shown;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use made::{Stage, answer_copies, answer_draft, answer_plan, backup_that_asks};
use mayday::domain::catalog::Severity;
use mayday::domain::command::{Command, Refusal};
use mayday::domain::run::{Risk, Work};
use mayday::viewer::app::{App, Detail, Pane};
use mayday::viewer::commands;
use mayday::viewer::screen::{Effect, Input};
use mayday::wire::{Answer, Ask, Recording};
use proptest::prelude::*;

const SIZES: [(u16, u16); 6] = [(200, 60), (120, 36), (80, 24), (60, 15), (20, 5), (1, 1)];

fn snapshot(name: &str, stage: &mut Stage, sizes: &[(u16, u16)]) {
    for (w, h) in sizes {
        stage.resize(*w, *h);
        insta::assert_snapshot!(format!("{name}-{w}x{h}"), shown::screen(&stage.app, *w, *h));
    }
}

/// A screen that is not the stage's own.
fn snapshot_of(name: &str, app: &App, (w, h): (u16, u16)) {
    insta::assert_snapshot!(format!("{name}-{w}x{h}"), shown::screen(app, w, h));
}

#[test]
fn an_empty_system() {
    snapshot("empty", &mut Stage::empty(), &SIZES);
}

#[test]
fn all_is_well() {
    snapshot("healthy", &mut Stage::healthy(), &SIZES);
}

#[test]
fn it_burns() {
    let mut stage = Stage::burning();
    snapshot("burning", &mut stage, &SIZES);
    // What must never be dropped from the header.
    for w in [60, 70, 80, 100, 200] {
        stage.resize(w, 24);
        let first = shown::text(&stage.app, w, 24).lines().next().unwrap().to_owned();
        for must in ["P0", "T+00:12:43", "live"] {
            assert!(first.contains(must), "{must} at {w}: {first}");
        }
    }
}

#[test]
fn long_names_and_hostile_text() {
    let mut stage = Stage::hostile();
    snapshot("hostile", &mut stage, &[(120, 36), (80, 24)]);
    for (w, h) in SIZES {
        stage.resize(w, h);
        for pane in 0..5u8 {
            stage.key(KeyCode::Char(char::from(b'1' + pane)));
            for open in [false, true] {
                if open {
                    stage.key(KeyCode::Enter);
                }
                let seen = shown::text(&stage.app, w, h);
                assert!(!seen.chars().any(|c| c.is_control() && c != '\n'), "{seen}");
                assert!(!seen.contains('\u{202e}'));
            }
            stage.key(KeyCode::Esc);
        }
    }
}

#[test]
fn two_hundred_services() {
    let mut stage = Stage::many(200);
    snapshot("many", &mut stage, &[(120, 36), (80, 24)]);
    stage.keys("G");
    assert!(shown::text(&stage.app, 80, 24).contains("of 200"));
    stage.keys("/svc-13");
    stage.key(KeyCode::Enter);
    snapshot("many-filtered", &mut stage, &[(80, 24)]);
    let n = stage.app.rows_len(Pane::Services);
    assert_eq!(n, 10);
    // n goes to the next match while a filter is active, and writes to nobody.
    let before = stage.app.list(Pane::Services).sel;
    stage.keys("n");
    assert_ne!(stage.app.list(Pane::Services).sel, before);
    assert!(stage.app.overlays.is_empty());
}

#[test]
fn five_thousand_services_stay_within_a_frame() {
    let mut stage = Stage::many(5000);
    stage.resize(200, 50);
    let begin = std::time::Instant::now();
    let rounds = 20;
    for _ in 0..rounds {
        stage.keys("j");
        shown::buffer(&stage.app, 200, 50);
    }
    // Unoptimised test builds are some ten times slower than what is shipped.
    assert!(begin.elapsed() / rounds < std::time::Duration::from_millis(100), "{:?} a frame", begin.elapsed() / rounds);
}

#[test]
fn run_output_is_followed_and_searched() {
    let mut stage = Stage::burning();
    stage.keys("4o");
    let lines: String = (0..100).map(|i| format!("line {i} of the output\n")).collect();
    stage.answer_output(&lines);
    snapshot("output", &mut stage, &[(120, 36), (80, 24)]);
    assert!(shown::text(&stage.app, 80, 24).contains("line 99"));
    stage.keys("/line 4");
    stage.key(KeyCode::Enter);
    assert!(shown::text(&stage.app, 80, 24).contains("line 4 of"));
    stage.keys("n");
    assert!(shown::text(&stage.app, 80, 24).contains("line 40"));
    stage.key(KeyCode::Esc);
    stage.key(KeyCode::Esc);
    assert!(matches!(stage.app.detail, Some(Detail::Run(_))));
}

#[test]
fn a_typed_title_is_not_lost() {
    let mut stage = Stage::burning_undeclared();
    stage.keys("d");
    stage.ctrl('u');
    stage.keys("the shop is closed");
    let asked = |effects: Vec<Effect>| {
        effects.into_iter().find_map(|e| match e {
            Effect::Ask(q) if matches!(q.ask, Ask::Do(Command::Declare { .. })) => Some(q),
            _ => None,
        })
    };
    let first = asked(stage.key(KeyCode::Enter)).unwrap();
    // While it is under way a second Enter asks for nothing.
    assert!(asked(stage.key(KeyCode::Enter)).is_none());
    stage.tell(Input::Answer(
        first.tag,
        Err("lost before an answer came: look at the timeline whether it was done".into()),
    ));
    stage.tell(Input::LinkDown("the engine hung up".into()));
    snapshot("declare-lost", &mut stage, &[(80, 24)]);
    assert!(shown::text(&stage.app, 80, 24).contains("the shop is closed"));
    stage.link_up();
    let again = asked(stage.key(KeyCode::Enter)).unwrap();
    assert_eq!(again.key, first.key, "asked twice, declared once");
    // Refused: changed, and asked for again.
    let refusal = Refusal::new("the title is too long", "say it shorter");
    stage.tell(Input::Answer(again.tag, Ok(Answer::Refused(refusal))));
    assert!(shown::text(&stage.app, 80, 24).contains("the title is too long: say it shorter"));
    let third = asked(stage.key(KeyCode::Enter)).unwrap();
    let done = Answer::Done {
        seq: 9,
        incident: Some("INC-2026-005".into()),
        run: None,
        message: None,
        recovery: None,
        recorded: true,
    };
    stage.tell(Input::Answer(third.tag, Ok(done)));
    assert!(stage.app.overlays.is_empty() && stage.app.declare_draft.is_empty());
    // Left with Esc it is kept as well; what was only filled in is not.
    let mut stage = Stage::burning_undeclared();
    stage.keys("d");
    stage.key(KeyCode::Esc);
    assert!(stage.app.declare_draft.is_empty());
    stage.keys("d and more");
    stage.key(KeyCode::Esc);
    stage.keys("d");
    assert!(shown::text(&stage.app, 80, 24).contains("postgres down and more"));
}

#[test]
fn long_lines_of_output_are_read_to_their_end() {
    let mut stage = Stage::burning();
    stage.resize(80, 24);
    stage.keys("4o");
    let long = format!("psql: error: {} the very end", "x".repeat(200));
    stage.answer_output(&format!("first\n{long}\nlast\n"));
    let seen = shown::text(&stage.app, 80, 24);
    assert!(seen.contains("the very end") && seen.contains("last"), "{seen}");
    let mut lines: String = (0..60).map(|i| format!("{i} {}\n", "y".repeat(150))).collect();
    lines.push_str("the last line\n");
    let mut stage = Stage::burning();
    stage.resize(80, 24);
    stage.keys("4o");
    stage.answer_output(&lines);
    let seen = shown::text(&stage.app, 80, 24);
    assert!(seen.contains("the last line"), "following shows the end: {seen}");
    snapshot("output-wrapped", &mut stage, &[(80, 24)]);
}

#[test]
fn declaring_takes_two_keys() {
    let mut stage = Stage::burning_undeclared();
    stage.keys("d");
    let effects = stage.key(KeyCode::Enter);
    let Some(Effect::Ask(question)) = effects.first() else { panic!("{effects:?}") };
    let Ask::Do(Command::Declare { title, severity, services, .. }) = &question.ask else { panic!("{question:?}") };
    assert_eq!(title, "postgres down");
    assert_eq!(*severity, Some(Severity::P0));
    assert_eq!(services.iter().map(String::as_str).collect::<Vec<_>>(), ["api", "postgres"]);
    assert!(!question.key.is_empty());
}

#[test]
fn a_disruptive_step_takes_y_after_its_first_frame() {
    let mut stage = Stage::burning();
    stage.keys("1r");
    assert!(matches!(stage.last_ask(), Some(Ask::Plan(_))));
    answer_plan(&mut stage, Risk::Disruptive);
    snapshot("confirm-disruptive", &mut stage, &[(120, 36), (80, 24), (60, 15)]);
    // Pressed before the dialog was on the terminal.
    assert!(!starts(&stage.keys("y")));
    stage.drawn();
    assert!(!starts(&stage.key(KeyCode::Enter)));
    assert!(!starts(&stage.paste("y")));
    assert!(starts(&stage.keys("y")));
    // Once only.
    assert!(!starts(&stage.keys("y")));
}

#[test]
fn a_destructive_step_takes_the_typed_name() {
    let mut stage = Stage::burning();
    stage.keys("1r");
    answer_plan(&mut stage, Risk::Destructive);
    snapshot("confirm-destructive", &mut stage, &[(120, 36), (80, 24)]);
    stage.drawn();
    for wrong in ["y", "crazy", ""] {
        assert!(!starts(&stage.keys(wrong)));
        assert!(!starts(&stage.key(KeyCode::Enter)));
        stage.ctrl('u');
    }
    // A pasted name is not a typed one.
    assert!(!starts(&stage.paste("crazy_gary")));
    assert!(!starts(&stage.key(KeyCode::Enter)));
    stage.keys("crazy_gary");
    let effects = stage.key(KeyCode::Enter);
    assert!(starts(&effects));
    let confirm = effects.iter().find_map(|e| match e {
        Effect::Ask(q) => match &q.ask {
            Ask::Start { confirm, .. } => Some(confirm.clone()),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(confirm.as_deref(), Some("crazy_gary"));
}

#[test]
fn while_nothing_is_recorded_the_word_is_asked_for() {
    let mut stage = Stage::burning();
    stage.recording(Recording::Off { since: made::at(0), why: "No space left on device".into(), kept: 3 });
    assert!(shown::text(&stage.app, 80, 24).contains("NOTHING IS BEING RECORDED"));
    stage.keys("1r");
    answer_plan(&mut stage, Risk::Disruptive);
    stage.drawn();
    assert!(!starts(&stage.keys("y")));
    assert!(!starts(&stage.key(KeyCode::Enter)));
    stage.keys("unlogged");
    let effects = stage.key(KeyCode::Enter);
    assert!(effects.iter().any(|e| matches!(e, Effect::Ask(q) if matches!(q.ask, Ask::Start { unlogged: true, .. }))));
}

#[test]
fn a_plan_that_cannot_start_says_why() {
    let mut stage = Stage::burning();
    stage.keys("1r");
    made::answer_blocked_plan(&mut stage);
    stage.drawn();
    snapshot("confirm-blocked", &mut stage, &[(80, 24)]);
    assert!(!starts(&stage.keys("y")));
}

#[test]
fn restoring_goes_by_copy_and_plan() {
    let mut stage = Stage::burning();
    stage.keys("2R");
    answer_copies(&mut stage);
    snapshot("restore-copies", &mut stage, &[(120, 36), (80, 24)]);
    stage.key(KeyCode::Enter);
    let asked =
        stage.asks.iter().any(|a| matches!(a, Ask::Plan(mayday::domain::run::Work::Restore { copy: Some(_), .. })));
    assert!(asked, "{:?}", stage.asks);
    // The record shows what the person did on the way.
    assert!(stage.steps.iter().any(|what| what.contains("chose copy")), "{:?}", stage.steps);
}

fn restores(stage: &Stage) -> Vec<&Work> {
    stage.asks.iter().filter_map(|a| if let Ask::Plan(work) = a { Some(work) } else { None }).collect()
}

#[test]
fn restoring_to_a_moment_asks_which() {
    for (typed, wanted) in [("", None), ("lsn:0/16B3748", Some("lsn:0/16B3748")), ("02:14", Some("T02:14:00.000Z"))] {
        let mut stage = Stage::burning();
        backup_that_asks(&mut stage, true, false);
        stage.keys("2");
        stage.app.list_mut(Pane::Backups).go_to("postgres-full");
        stage.keys("R");
        answer_copies(&mut stage);
        stage.key(KeyCode::Enter);
        assert!(restores(&stage).is_empty(), "{:?}", stage.asks);
        stage.keys(typed);
        if typed == "02:14" {
            snapshot("restore-moment", &mut stage, &[(80, 24)]);
        }
        stage.key(KeyCode::Enter);
        let [Work::Restore { copy: None, to, .. }] = restores(&stage)[..] else { panic!("{:?}", stage.asks) };
        assert!(to.as_deref().zip(wanted).map_or(to.is_none() && wanted.is_none(), |(a, b)| a.ends_with(b)), "{to:?}");
    }
}

#[test]
fn parts_of_a_copy_are_named() {
    let mut stage = Stage::burning();
    backup_that_asks(&mut stage, false, true);
    stage.keys("2");
    stage.app.list_mut(Pane::Backups).go_to("postgres-full");
    stage.keys("R");
    answer_copies(&mut stage);
    stage.key(KeyCode::Tab);
    stage.ctrl('o');
    stage.key(KeyCode::Enter);
    assert!(shown::text(&stage.app, 80, 24).contains("nothing is named"));
    stage.keys("public.orders, audit.*");
    snapshot("restore-parts", &mut stage, &[(80, 24)]);
    stage.key(KeyCode::Enter);
    let [Work::Restore { copy: Some(_), test: true, only, .. }] = restores(&stage)[..] else {
        panic!("{:?}", stage.asks)
    };
    assert_eq!(only[..], ["public.orders", "audit.*"]);
}

#[test]
fn a_message_is_sent_from_its_preview() {
    let mut stage = Stage::burning();
    stage.keys("n");
    stage.key(KeyCode::Enter);
    answer_draft(&mut stage);
    snapshot("compose", &mut stage, &[(120, 36), (80, 24)]);
    stage.keys("y");
    stage.key(KeyCode::Tab);
    stage.key(KeyCode::Tab);
    snapshot("compose-preview", &mut stage, &[(80, 24)]);
    assert!(!stage.keys("y").iter().any(is_send));
    stage.drawn();
    assert!(stage.keys("y").iter().any(is_send));
}

fn is_send(effect: &Effect) -> bool {
    matches!(effect, Effect::Ask(q) if matches!(q.ask, Ask::Do(Command::Send { .. })))
}

fn starts(effects: &[Effect]) -> bool {
    effects.iter().any(|e| matches!(e, Effect::Ask(q) if matches!(q.ask, Ask::Start { .. })))
}

#[test]
fn a_note_is_never_lost() {
    let mut stage = Stage::burning();
    stage.keys(".found it");
    let tag = stage.key(KeyCode::Enter).iter().find_map(|e| match e {
        Effect::Ask(q) if matches!(q.ask, Ask::Do(Command::Note { .. })) => Some((q.tag, q.key.clone())),
        _ => None,
    });
    let (tag, key) = tag.unwrap();
    stage.tell(Input::Answer(tag, Err("the engine hung up".into())));
    stage.tell(Input::LinkDown("the engine hung up".into()));
    stage.later(1000);
    assert!(shown::text(&stage.app, 80, 24).contains("1 note kept here"));
    // Back again, it is handed over by itself with the same key.
    let effects = stage.link_up();
    let again = effects.iter().find_map(|e| match e {
        Effect::Ask(q) if matches!(&q.ask, Ask::Do(Command::Note { text, .. }) if text == "found it") => {
            Some(q.clone())
        }
        _ => None,
    });
    let again = again.unwrap();
    assert_eq!(again.key, key);
    let done = Answer::Done { seq: 9, incident: None, run: None, message: None, recovery: None, recorded: true };
    stage.tell(Input::Answer(again.tag, Ok(done)));
    assert!(stage.app.notes.is_empty());
    // And one that could not be handed over is kept for the next engine when the screen is left.
    stage.tell(Input::LinkDown("gone".into()));
    stage.keys(".late");
    stage.key(KeyCode::Enter);
    let effects = stage.keys("q");
    assert!(effects.iter().any(|e| matches!(e, Effect::Spool { text, .. } if text == "late")), "{effects:?}");
}

#[test]
fn a_silent_engine_is_not_shown_as_current() {
    let mut stage = Stage::healthy();
    let calm = shown::screen(&stage.app, 120, 36);
    assert!(calm.contains("live"));
    stage.later(2000);
    assert!(shown::text(&stage.app, 120, 36).contains("live"));
    stage.later(2500);
    assert!(shown::text(&stage.app, 120, 36).contains("silent 4s"));
    stage.tell(Input::LinkDown("the engine hung up".into()));
    stage.later(8000);
    let lost = shown::text(&stage.app, 120, 36);
    assert!(lost.contains("LINK LOST 12s"), "{lost}");
    assert!(lost.contains("NO LINK TO THE ENGINE"));
    snapshot("lost", &mut stage, &[(120, 36), (80, 24)]);
}

#[test]
fn nothing_ticks_when_nothing_changes() {
    let mut stage = Stage::healthy();
    let a = shown::buffer(&stage.app, 120, 36);
    for _ in 0..9 {
        stage.later(1000);
        stage.heartbeat();
    }
    assert!(a == shown::buffer(&stage.app, 120, 36), "a calm screen changed within ten seconds");
}

#[test]
fn esc_never_leaves_and_q_does() {
    let mut stage = Stage::burning();
    for _ in 0..20 {
        assert!(!stage.key(KeyCode::Esc).iter().any(|e| matches!(e, Effect::Quit(_))));
    }
    stage.key(KeyCode::Enter);
    assert!(!stage.keys("q").iter().any(|e| matches!(e, Effect::Quit(_))));
    let said = stage.keys("q").iter().find_map(|e| match e {
        Effect::Quit(lines) => Some(lines.join("\n")),
        _ => None,
    });
    let said = said.unwrap();
    assert!(said.contains("keeps watching") && said.contains("INC-2026-004"), "{said}");
    // Of the sandbox nothing goes on, and nothing is said to.
    let mut stage = Stage::burning();
    stage.becomes_a_sandbox();
    let said = stage.keys("q").iter().find_map(|e| match e {
        Effect::Quit(lines) => Some(lines.join("\n")),
        _ => None,
    });
    assert_eq!(said.as_deref(), Some("left the cockpit of the sandbox"));
}

#[test]
fn ctrl_c_leaves_when_pressed_twice() {
    let mut stage = Stage::healthy();
    assert!(!stage.ctrl('c').iter().any(|e| matches!(e, Effect::Quit(_))));
    stage.later(3000);
    assert!(!stage.ctrl('c').iter().any(|e| matches!(e, Effect::Quit(_))));
    assert!(stage.ctrl('c').iter().any(|e| matches!(e, Effect::Quit(_))));
}

#[test]
fn a_paste_outside_of_a_text_does_nothing() {
    let mut stage = Stage::burning();
    let effects = stage.paste("rRdq:quit\n");
    assert_eq!(effects, vec![]);
    assert!(stage.app.overlays.is_empty());
    assert!(shown::text(&stage.app, 80, 24).contains("a paste was ignored"));
}

#[test]
fn letters_are_only_text_in_a_prompt() {
    for open in [".", "d", "w"] {
        let mut stage = Stage::burning();
        stage.keys(open);
        let before = stage.app.overlays.len();
        let effects = stage.keys("rRnqdaCUDe");
        assert!(effects.iter().all(|e| !matches!(e, Effect::Ask(_) | Effect::Quit(_))), "{open}: {effects:?}");
        assert_eq!(stage.app.overlays.len(), before, "{open}");
    }
}

#[test]
fn what_cannot_be_done_says_why() {
    let mut read_only = Stage::burning();
    read_only.read_only();
    let mut lost = Stage::burning();
    lost.tell(Input::LinkDown("gone".into()));
    let mut empty = Stage::empty();
    for command in commands::ALL {
        for stage in [&mut read_only, &mut lost, &mut empty] {
            let Some(why) = (command.why_not)(&stage.app) else { continue };
            assert!(why.len() > 10, "{}: {why}", command.id);
            // The same door for keys, palette and help: a refused command asks the engine nothing.
            stage.app.do_command(command);
            let effects = stage.later(1);
            // But the record is told that the screen said no.
            let asks = |e: &Effect| matches!(e, Effect::Ask(q) if !matches!(q.ask, Ask::Do(Command::Step { .. })));
            assert!(!effects.iter().any(asks), "{}: {effects:?}", command.id);
        }
    }
    for id in ["service.restart", "incident.declare", "note.write", "notify.compose", "backup.restore"] {
        let command = commands::find(id).unwrap();
        assert!((command.why_not)(&read_only.app).unwrap().contains("read-only"), "{id}");
    }
}

#[test]
fn frozen_means_still_and_thaws_when_it_gets_worse() {
    let mut stage = Stage::healthy();
    stage.keys("f");
    stage.degrade("web");
    assert!(shown::text(&stage.app, 120, 36).contains("FROZEN"));
    assert!(!shown::text(&stage.app, 120, 36).contains("DEGRADED"));
    stage.break_service("api");
    let seen = shown::text(&stage.app, 120, 36);
    assert!(!seen.contains("FROZEN") && seen.contains("DOWN"), "{seen}");
}

#[test]
fn the_selection_stays_with_its_row() {
    let mut stage = Stage::healthy();
    stage.keys("1G");
    let chosen = stage.app.list(Pane::Services).key().unwrap().to_owned();
    stage.break_service("web");
    assert_eq!(stage.app.list(Pane::Services).key(), Some(chosen.as_str()));
}

#[test]
fn ascii_means_ascii() {
    let mut stage = Stage::burning();
    stage.app.look.g = mayday::viewer::glyphs::ASCII;
    for keys in ["", "?", "d", "1r"] {
        stage.keys(keys);
        let seen = shown::text(&stage.app, 120, 36);
        assert!(seen.is_ascii(), "{:?}", seen.chars().find(|c| !c.is_ascii()));
        stage.key(KeyCode::Esc);
    }
}

fn some_key() -> impl Strategy<Value = KeyEvent> {
    prop_oneof![
        8 => (32u8..127).prop_map(|c| KeyEvent::new(KeyCode::Char(char::from(c)), KeyModifiers::NONE)),
        1 => (b'a'..=b'z').prop_map(|c| KeyEvent::new(KeyCode::Char(char::from(c)), KeyModifiers::CONTROL)),
        4 => prop::sample::select(vec![
            KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::BackTab, KeyCode::Up, KeyCode::Down, KeyCode::Left,
            KeyCode::Right, KeyCode::Home, KeyCode::End, KeyCode::PageUp, KeyCode::PageDown, KeyCode::Backspace,
            KeyCode::Delete, KeyCode::F(1), KeyCode::Char('日'), KeyCode::Char('\u{301}'),
        ]).prop_map(|code| KeyEvent::new(code, KeyModifiers::NONE)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn no_key_and_no_size_breaks_it(
        which in 0usize..4,
        steps in prop::collection::vec((some_key(), 0u16..210, 0u16..70, 0u8..8), 1..60),
    ) {
        let mut stage = match which {
            0 => Stage::empty(),
            1 => Stage::healthy(),
            2 => Stage::burning(),
            _ => Stage::hostile(),
        };
        for (key, w, h, extra) in steps {
            stage.press(key);
            match extra {
                0 => { stage.resize(w, h); }
                1 => answer_copies(&mut stage),
                2 => answer_plan(&mut stage, Risk::Destructive),
                3 => answer_draft(&mut stage),
                4 => { stage.drawn(); }
                5 => { stage.later(u64::from(w) * 100); }
                6 => stage.answer_output("some\noutput\n"),
                _ => { stage.paste("pasted\ntext\u{1b}[2J"); }
            }
            let (w, h) = stage.app.size;
            shown::buffer(&stage.app, w, h);
        }
    }

    #[test]
    fn what_is_destructive_never_starts_by_chance(steps in prop::collection::vec(some_key(), 1..40)) {
        let mut stage = Stage::burning();
        stage.keys("1r");
        answer_plan(&mut stage, Risk::Destructive);
        stage.drawn();
        for key in steps {
            prop_assert!(!starts(&stage.press(key)));
        }
    }
}

#[test]
fn app_is_small_in_memory() {
    // The model without its picture: what twelve MiB for a viewer leaves room for.
    assert!(std::mem::size_of::<App>() < 4096);
}
