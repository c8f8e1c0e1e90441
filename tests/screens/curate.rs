//! Correcting the timeline by keys: what is asked of the engine, and how rows, titles and entries look by then.

use std::collections::BTreeSet;

use crossterm::event::KeyCode;
use mayday::domain::Time;
use mayday::domain::command::{Amend, Command, Refusal};
use mayday::domain::curation::{Amended, Curation};
use mayday::domain::timeline::{Amendment, Level, Row};
use mayday::viewer::app::{Detail, Pane, Pending};
use mayday::viewer::screen::Effect;
use mayday::wire::{Answer, Ask, Change, EvidenceSource, Find};

use super::made::{Stage, at};
use super::{shown, snapshot};

fn row(seq: u64, seconds: i64, actor: &str, text: &str) -> Row {
    Row {
        seq,
        at: at(seconds),
        actor: actor.into(),
        kind: "note.added".into(),
        text: text.into(),
        incident: Some("INC-2026-004".into()),
        ..Row::default()
    }
}

fn said(seq: u64, seconds: i64, by: &str, what: &str) -> Amendment {
    Amendment { seq, at: at(seconds), by: by.into(), what: what.into(), ..Amendment::default() }
}

/// Rows as the engine gives them after people corrected, retimed, pinned, hid and joined some.
fn curated() -> Vec<Row> {
    let long = "a-person-with-a-name-that-is-longer-than-any-column-for-it";
    let mut curation = Curation::default();
    let mut put = |seq: u64, amended: Amended| curation.entries.insert(seq, amended);
    let reads =
        "the disk of db1 was full, 12 GB are free again; postgres does not start because its last segment is broken";
    let corrected = Amendment { text: Some(reads.into()), ..said(20, -300, long, "corrected") };
    put(10, Amended { text: Some(reads.into()), amendments: vec![corrected], ..Amended::default() });
    let happened_at = Some(at(-1200));
    let retimed = Amendment { happened_at, reason: "by the phone's log".into(), ..said(21, -290, "bob", "retimed") };
    put(11, Amended { happened_at, amendments: vec![retimed], pinned: true, ..Amended::default() });
    put(12, Amended { hidden: true, amendments: vec![said(22, -280, "bob", "hidden")], ..Amended::default() });
    for seq in [13, 14] {
        let title = Some("the restore that did not come up".to_owned());
        put(seq, Amended { title, amendments: vec![said(23, -270, "bob", "joined")], ..Amended::default() });
    }
    let step = Row {
        kind: "step.taken".into(),
        level: Level::Detail,
        ..row(15, -410, "oncall1", "opened the plan: restart api")
    };
    let correction = Row { kind: "entry.pinned".into(), about: vec![11], ..row(16, -260, "bob", "pinned entry 11") };
    let mut rows = vec![
        row(10, -500, long, "the disk of db1 was full; freed 12 GB, postgres will not start"),
        row(11, -490, "oncall2", "a customer said that orders fail"),
        row(12, -480, "oncall2", "wrong window, sorry"),
        row(13, -470, "oncall1", "restoring the copy of 02:00"),
        row(14, -430, "oncall1", "the copy of 02:00 is broken as well"),
        step,
        correction,
    ];
    rows.iter_mut().for_each(|r| curation.amend(r));
    rows
}

fn stage() -> Stage {
    let mut stage = Stage::burning();
    stage.change(Change { seq: Some(16), ..Change::default() });
    stage.answer(|p| matches!(p, Pending::Timeline { .. }), Answer::Timeline { rows: curated(), head: 16 });
    stage.keys("3");
    stage
}

fn go_to(stage: &mut Stage, key: &str) {
    stage.app.list_mut(Pane::Timeline).go_to(key);
    assert_eq!(stage.app.list(Pane::Timeline).key(), Some(key), "{:?}", stage.app.list(Pane::Timeline).rows);
}

/// The last correction that was asked for.
fn amended(stage: &Stage) -> Option<(BTreeSet<u64>, Amend, String)> {
    stage.asks.iter().rev().find_map(|ask| match ask {
        Ask::Do(Command::Amend { entries, how, reason, .. }) => Some((entries.clone(), how.clone(), reason.clone())),
        _ => None,
    })
}

fn one(seq: u64) -> BTreeSet<u64> {
    BTreeSet::from([seq])
}

#[test]
fn corrected_rows_at_every_size() {
    let mut stage = stage();
    snapshot("curated-story", &mut stage, &[(200, 60), (120, 36), (80, 24)]);
    stage.keys("i");
    snapshot("curated-everything", &mut stage, &[(120, 36), (80, 24)]);
    stage.resize(120, 36);
    stage.keys("iii");
    for (key, name) in [("10", "corrected"), ("11", "retimed")] {
        go_to(&mut stage, key);
        stage.key(KeyCode::Enter);
        snapshot(&format!("curated-entry-{name}"), &mut stage, &[(120, 36), (80, 24)]);
        stage.key(KeyCode::Esc);
    }
    stage.app.look.g = mayday::viewer::glyphs::ASCII;
    let ascii = shown::text(&stage.app, 80, 24);
    assert!(ascii.contains('@') && ascii.is_ascii(), "{ascii}");
}

#[test]
fn the_story_leaves_out_what_is_hidden_and_says_so() {
    let mut stage = stage();
    let rows = stage.app.list(Pane::Timeline).rows.clone();
    assert!(!rows.contains(&"12".to_owned()) && !rows.contains(&"15".to_owned()) && !rows.contains(&"16".to_owned()));
    let text = shown::text(&stage.app, 120, 36);
    assert!(text.contains("1 hidden, i shows"), "{text}");
    // In the order of events: what was retimed stands before what was recorded before it.
    let place = |key: &str| rows.iter().position(|r| r == key).unwrap();
    assert!(place("11") < place("10") && place("t13") + 1 == place("13") && place("13") + 1 == place("14"));
    stage.keys("i");
    let text = shown::text(&stage.app, 200, 60);
    assert!(
        text.contains("freed 12 GB") && text.contains("(corrected)") && text.contains("hidden by bob (22)"),
        "{text}"
    );
    assert!(stage.app.list(Pane::Timeline).rows.contains(&"12".to_owned()));
}

#[test]
fn a_note_is_corrected_in_the_editor_with_all_that_it_says() {
    let mut stage = stage();
    go_to(&mut stage, "14");
    stage.keys("c");
    assert!(matches!(stage.last_ask(), Some(Ask::Find(Find { entries, whole: true, .. })) if *entries == [14]));
    let whole = "the copy of 02:00 is broken as well\nand its manifest too";
    let fields = Some(Box::new(serde_json::json!({ "text": whole })));
    let found = |fields| Answer::Found { rows: vec![Row { fields, ..curated()[4].clone() }], head: 16, reached: 1 };
    stage.answer(|p| matches!(p, Pending::ToCorrect(14)), found(fields));
    // Left and taken up again: nothing that was written is lost.
    stage.keys("!");
    stage.key(KeyCode::Esc);
    stage.keys("c");
    stage.keys("?");
    stage.key(KeyCode::Enter);
    let text = format!("{whole}!?");
    assert_eq!(amended(&stage), Some((one(14), Amend::Correct { text: text.clone() }, String::new())));
    // Refused: it comes back with the reason.
    let refusal = Refusal::usage("entry 14 is no note", "add a note");
    stage.answer(|p| matches!(p, Pending::Corrected(14, _)), Answer::Refused(refusal));
    let shown = shown::text(&stage.app, 120, 36);
    assert!(shown.contains("is no note"), "{shown}");
    stage.key(KeyCode::Esc);
    assert!(shown::text(&stage.app, 120, 36).contains("manifest too!?"));
    // What mayday recorded itself is not rewritten.
    stage.key(KeyCode::Esc);
    go_to(&mut stage, "5");
    stage.app.timeline.replace(vec![Row { kind: "health.changed".into(), ..row(5, -760, "engine", "api down") }]);
    let before = stage.asks.len();
    stage.keys("c");
    assert_eq!(stage.asks.len(), before);
    assert!(shown::text(&stage.app, 120, 36).contains("not rewritten"));
}

#[test]
fn keys_retime_pin_hide_and_join() {
    let mut stage = stage();
    go_to(&mut stage, "14");
    stage.keys("M02:15:00");
    stage.key(KeyCode::Enter);
    assert!(shown::text(&stage.app, 120, 36).contains("a time and a reason are needed"));
    stage.keys(" by the phone");
    stage.key(KeyCode::Enter);
    let (entries, how, reason) = amended(&stage).unwrap();
    let happened_at = Time::parse("2026-11-20T02:15:00Z").unwrap();
    assert_eq!((entries, how, reason.as_str()), (one(14), Amend::Retime { happened_at }, "by the phone"));

    go_to(&mut stage, "10");
    stage.keys("*");
    assert_eq!(amended(&stage).unwrap(), (one(10), Amend::Pin { pinned: true }, String::new()));
    go_to(&mut stage, "11");
    stage.keys("*");
    assert_eq!(amended(&stage).unwrap().1, Amend::Pin { pinned: false });

    stage.keys("-");
    stage.key(KeyCode::Enter);
    assert!(shown::text(&stage.app, 120, 36).contains("nothing is written"));
    stage.keys("of another outage");
    stage.key(KeyCode::Enter);
    assert_eq!(amended(&stage).unwrap(), (one(11), Amend::Hide { hidden: true }, "of another outage".into()));
    // What is hidden is shown again without a question.
    stage.keys("i");
    go_to(&mut stage, "12");
    stage.keys("-");
    assert_eq!(amended(&stage).unwrap().1, Amend::Hide { hidden: false });
    stage.keys("ii");

    // Several rows are picked, then the title.
    go_to(&mut stage, "10");
    stage.keys(" ");
    go_to(&mut stage, "9");
    stage.keys(" ");
    assert!(shown::text(&stage.app, 120, 36).contains("2 picked"));
    stage.keys("Jthe disk");
    stage.key(KeyCode::Enter);
    let joined = (BTreeSet::from([9, 10]), Amend::Join { title: "the disk".into() }, String::new());
    assert_eq!(amended(&stage).unwrap(), joined);
    assert!(stage.app.timeline.marked.is_empty());
    // At a heading all its rows are meant; an empty title takes them apart.
    go_to(&mut stage, "t13");
    stage.keys("J");
    stage.ctrl('u');
    stage.key(KeyCode::Enter);
    assert_eq!(amended(&stage).unwrap().0, BTreeSet::from([13, 14]));
    assert_eq!(amended(&stage).unwrap().1, Amend::Join { title: String::new() });
    // Escape lets go of what was picked, and of nothing else.
    stage.keys(" ");
    stage.key(KeyCode::Esc);
    stage.key(KeyCode::Esc);
    assert!(stage.app.timeline.marked.is_empty());

    // Whoever only looks is told so.
    let before = amended(&stage);
    stage.read_only();
    stage.change(Change { seq: Some(16), ..Change::default() });
    for key in ["*", "-", "M", "J", "c", "+"] {
        stage.keys(key);
        assert!(stage.app.overlays.is_empty(), "{key}");
    }
    assert_eq!(amended(&stage), before);
}

#[test]
fn a_correction_that_arrives_changes_the_rows_that_are_shown() {
    let mut stage = stage();
    stage.change(Change { seq: Some(17), ..Change::default() });
    let correction = Row { kind: "note.corrected".into(), about: vec![14], ..row(17, -5, "bob", "corrected entry 14") };
    stage.answer(|p| matches!(p, Pending::Timeline { .. }), Answer::Timeline { rows: vec![correction], head: 17 });
    assert!(matches!(stage.last_ask(), Some(Ask::Find(Find { entries, .. })) if *entries == [14]));
    let mut reads = row(14, -430, "oncall1", "the copy of 02:00 is good after all");
    reads.original = Some(Box::new(mayday::domain::timeline::Original { text: "x".into(), happened_at: None }));
    reads.amended = vec![said(17, -5, "bob", "corrected")];
    stage.answer(|p| matches!(p, Pending::Amended), Answer::Found { rows: vec![reads], head: 17, reached: 1 });
    let text = shown::text(&stage.app, 120, 36);
    assert!(text.contains("good after all"), "{text}");
}

#[test]
fn a_filter_looks_through_the_whole_record() {
    let mut stage = stage();
    stage.app.timeline.rows.retain(|r| r.seq > 3);
    stage.keys("/actor:bob kind:note pinned");
    stage.key(KeyCode::Enter);
    let finds: Vec<&Find> = stage
        .asks
        .iter()
        .filter_map(|a| match a {
            Ask::Find(f) => Some(f),
            _ => None,
        })
        .collect();
    let first = finds.first().unwrap();
    assert_eq!(first.before, Some(4), "before what is at hand");
    // Answers to what was being typed are passed over; the last one counts.
    for _ in 0..40 {
        let found = |rows: Vec<Row>| Answer::Found { rows, head: 16, reached: 1 };
        let wanted = "actor:bob kind:note pinned";
        let is_last = stage.app.pending.values().any(|p| matches!(p, Pending::Found(w) if w.filter == wanted));
        let rows = vec![Row { pinned: true, ..row(2, -2000, "bob", "deployed 1.2.3") }];
        if !stage.app.pending.values().any(|p| matches!(p, Pending::Found(_))) {
            break;
        }
        stage.answer(|p| matches!(p, Pending::Found(_)), found(if is_last { rows } else { vec![] }));
    }
    assert_eq!(stage.app.list(Pane::Timeline).rows, ["2"]);
    assert!(shown::text(&stage.app, 120, 36).contains("deployed 1.2.3"));
    stage.key(KeyCode::Enter);
    assert_eq!(stage.app.detail, Some(Detail::Entry(2)));
}

#[test]
fn evidence_is_attached_from_an_entry_and_from_output() {
    let mut stage = stage();
    go_to(&mut stage, "14");
    stage.keys("+/var/log/dmesg the disk errors");
    let effects = stage.key(KeyCode::Enter);
    let Some(Effect::Attach { tag, path, ask, .. }) = effects.iter().find(|e| matches!(e, Effect::Attach { .. }))
    else {
        panic!("{effects:?}")
    };
    assert_eq!((path.to_str(), ask.about, ask.title.as_str()), (Some("/var/log/dmesg"), Some(14), "the disk errors"));
    assert_eq!(ask.incident.as_deref(), Some("INC-2026-004"));
    // A file that cannot be read brings the prompt back with the reason.
    let no = Answer::Failed { reason: "read /var/log/dmesg: Permission denied".into() };
    stage.tell(mayday::viewer::screen::Input::Answer(*tag, Ok(no)));
    assert!(shown::text(&stage.app, 120, 36).contains("Permission denied"));
    stage.key(KeyCode::Esc);

    stage.keys("4o");
    let lines: String = (1..=90).map(|n| format!("line {n}\n")).collect();
    stage.answer_output(&lines);
    stage.keys("gg+");
    stage.keys("the beginning");
    stage.key(KeyCode::Enter);
    let Some(Ask::Evidence(ask)) = stage.last_ask() else { panic!("{:?}", stage.last_ask()) };
    let EvidenceSource::Output { lines: Some((first, last)), .. } = ask.source else { panic!("{ask:?}") };
    assert!(first == 1 && last > 10 && last < 40, "{first}-{last}");
    assert!(shown::text(&stage.app, 120, 36).contains(&format!("line {last}")));
    assert_eq!(ask.title, "the beginning");
}
