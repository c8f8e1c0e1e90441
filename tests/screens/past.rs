//! The past on the cockpit's own panes: unmistakable, and nothing can be started from it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use mayday::domain::run::Risk;
use mayday::viewer::app::App;
use mayday::viewer::commands;
use mayday::viewer::past::{Bar, PAST, SHOWS};
use mayday::viewer::screen::Effect;

use super::made::Stage;
use super::record::{ID, Record};
use super::shown;

/// The cockpit while it burns, and the past of that incident over it as far as it goes.
fn opened() -> (Stage, Record) {
    let record = Record::night();
    let mut stage = Stage::burning();
    stage.app.opener = Some((mayday::replay::open, record.path().to_owned()));
    stage.resize(120, 36);
    stage.keys("t");
    let begun = std::time::Instant::now();
    while !bar(&stage).span.as_ref().is_some_and(|s| s.whole) || bar(&stage).seq == 0 {
        assert!(begun.elapsed().as_secs() < 20, "the record is not read: {:?}", bar(&stage));
        std::thread::yield_now();
        stage.later(10);
    }
    (stage, record)
}

fn past(stage: &Stage) -> &App {
    stage.app.replay.as_ref().expect("the past is shown").app()
}

fn bar(stage: &Stage) -> &Bar {
    past(stage).past.as_ref().unwrap()
}

fn here(stage: &Stage) -> (u64, String) {
    (bar(stage).seq, bar(stage).at.hms())
}

fn text(stage: &Stage, w: u16, h: u16) -> String {
    shown::text(past(stage), w, h)
}

#[test]
fn the_past_looks_like_nothing_else() {
    let (mut stage, _record) = opened();
    stage.keys("]]]]]");
    for (w, h) in [(120, 36), (80, 24), (60, 15)] {
        stage.resize(w, h);
        super::snapshot_of("replay", past(&stage), (w, h));
    }
    for (w, h) in [(200, 60), (100, 30), (60, 15), (20, 5), (8, 2), (1, 1)] {
        stage.resize(w, h);
        let seen = text(&stage, w, h);
        assert!(!seen.contains("live\n") && !seen.contains("● live"), "{seen}");
        assert!(w < 8 || seen.contains("REPLAY"), "{w}x{h}: {seen}");
    }
    // Not by colour alone.
    for name in ["mono", "default", "light", "high-contrast", "okabe-ito", "dark"] {
        let theme = mayday::viewer::theme::named(name).unwrap().theme;
        let style = theme.style(mayday::viewer::theme::Role::Replay);
        let reversed = style.add_modifier.contains(ratatui::style::Modifier::REVERSED);
        assert!(style.bg.is_some() || reversed, "{name}");
        assert_ne!(style, theme.style(mayday::viewer::theme::Role::Header), "{name}");
    }
}

#[test]
fn before_the_declaration_and_at_the_end() {
    let (mut stage, _record) = opened();
    assert_eq!(here(&stage), (10, "02:01:27".into()));
    stage.key(KeyCode::Home);
    assert_eq!(here(&stage), (7, "01:30:00".into()));
    let seen = text(&stage, 120, 36);
    assert!(seen.contains("T-00:31:27") && seen.contains("no incident"), "{seen}");
    assert!(!seen.contains("Complete outage"));
    stage.key(KeyCode::Left);
    assert!(text(&stage, 120, 36).contains("this is the first moment of the replay"));
    stage.key(KeyCode::End);
    stage.later(10);
    assert_eq!(here(&stage).0, 24);
    stage.later(5000);
    assert!(text(&stage, 120, 36).contains("api"));
    assert!(past(&stage).mirror().open_incidents().is_empty());
}

#[test]
fn moving_about() {
    let (mut stage, _record) = opened();
    stage.key(KeyCode::Right);
    assert_eq!(here(&stage).0, 11);
    stage.keys("..,");
    assert_eq!(here(&stage), (12, "02:02:00".into()));
    // The claim and the start of the run are no key events.
    stage.keys("]]]]");
    assert_eq!(here(&stage), (18, "02:03:20".into()));
    stage.keys("[");
    assert_eq!(here(&stage), (15, "02:03:00".into()));
    stage.key(KeyCode::PageDown);
    assert_eq!(here(&stage), (18, "02:04:00".into()));
    stage.key(KeyCode::PageUp);
    assert_eq!(here(&stage), (16, "02:03:00".into()));
    stage.keys("}");
    assert_eq!(here(&stage), (19, "02:13:00".into()));
    stage.keys("{");
    assert_eq!(here(&stage).1, "02:03:00");
    for (typed, wanted) in [("02:14", (19, "02:14:00")), ("T+12:43", (19, "02:14:10")), ("14", (14, "02:02:40"))] {
        stage.keys("g");
        stage.keys(typed);
        stage.key(KeyCode::Enter);
        assert_eq!(here(&stage), (wanted.0, wanted.1.into()), "{typed}");
    }
    stage.keys("gsoon");
    stage.key(KeyCode::Enter);
    assert!(text(&stage, 120, 36).contains("is no moment"));
    stage.key(KeyCode::Esc);
    stage.keys("g99");
    stage.key(KeyCode::Enter);
    assert!(text(&stage, 120, 36).contains("there is no 99 in it"));
    stage.key(KeyCode::Esc);
    assert_eq!(here(&stage).0, 14);
    // Time goes by, faster and faster, and stops at the end.
    stage.keys(" ++");
    assert_eq!((bar(&stage).playing, bar(&stage).speed), (true, 60));
    for _ in 0..10 {
        stage.later(100);
    }
    assert_eq!(here(&stage), (18, "02:03:40".into()));
    stage.keys(" ");
    stage.later(1000);
    assert_eq!(here(&stage), (18, "02:03:40".into()));
    stage.keys(" +");
    for _ in 0..120 {
        stage.later(100);
    }
    assert_eq!((here(&stage), bar(&stage).playing), ((24, "03:10:00".into()), false));
}

#[test]
fn rows_read_as_then_or_as_corrected_since() {
    let (mut stage, _record) = opened();
    stage.keys("3g14");
    stage.key(KeyCode::Enter);
    let seen = text(&stage, 120, 36);
    assert!(seen.contains("the disk of db2 was full") && !seen.contains("requested restart api"), "{seen}");
    stage.keys("c");
    let seen = text(&stage, 120, 36);
    assert!(seen.contains("the disk of db1 was full") && seen.contains("AS CORRECTED SINCE"), "{seen}");
    stage.keys("c");
    assert!(text(&stage, 120, 36).contains("the disk of db2 was full"));
}

#[test]
fn what_was_not_measured_is_not_made_up() {
    let (mut stage, _record) = opened();
    let seen = text(&stage, 120, 36);
    let row = |name: &str| seen.lines().find(|l| l.contains(&format!(" {name} "))).unwrap().to_owned();
    assert!(row("web").contains("not sealed"), "{seen}");
    assert!(!row("api").contains("not sealed"), "{seen}");
    stage.keys("1");
    stage.key(KeyCode::Enter);
    let seen = text(&stage, 120, 36);
    assert!(seen.contains("last saw") && seen.contains("refused"), "{seen}");
    stage.key(KeyCode::Esc);
    stage.keys("2");
    stage.key(KeyCode::Enter);
    let seen = text(&stage, 120, 36);
    assert!(seen.contains("which copies lay there then is not on record") && !seen.contains("0 copies"), "{seen}");
}

#[test]
fn nothing_can_be_started_from_the_past() {
    let (mut stage, _record) = opened();
    for id in SHOWS {
        let command = commands::find(id).unwrap_or_else(|| panic!("{id} is no command"));
        assert_eq!(command.risk, Risk::Observe, "{id}");
    }
    for command in commands::ALL.iter().filter(|c| !SHOWS.contains(&c.id)) {
        let why = mayday::viewer::allowed::why_not(past(&stage), command);
        assert_eq!(why.as_deref(), Some(PAST), "{}", command.id);
    }
    // Whatever key is pressed wherever, the engine is asked for nothing.
    let asked = stage.asks.len();
    let shift = ('!'..='~').map(KeyCode::Char);
    let more = [KeyCode::Enter, KeyCode::Tab, KeyCode::Delete, KeyCode::Char(' '), KeyCode::F(1), KeyCode::Down];
    let keys: Vec<KeyCode> = shift.chain(more).filter(|k| !matches!(k, KeyCode::Char('t' | 'q'))).collect();
    for pane in '1'..='5' {
        for open in [false, true] {
            for key in &keys {
                for modifiers in [KeyModifiers::NONE, KeyModifiers::CONTROL] {
                    if modifiers == KeyModifiers::CONTROL && matches!(key, KeyCode::Char('c' | 'z' | 'C' | 'Z')) {
                        continue;
                    }
                    stage.key(KeyCode::Char(pane));
                    if open {
                        stage.key(KeyCode::Enter);
                    }
                    let mut effects = stage.press(KeyEvent::new(*key, modifiers));
                    effects.extend(stage.keys("y"));
                    effects.extend(stage.key(KeyCode::Enter));
                    let acts = |e: &Effect| !matches!(e, Effect::Copy(_) | Effect::Repaint | Effect::Suspend);
                    assert!(!effects.iter().any(acts), "{pane} {open} {key:?} {modifiers:?}: {effects:?}");
                    // Out of whatever was opened, without leaving the past.
                    while past(&stage).detail.is_some() || !past(&stage).overlays.is_empty() || past(&stage).filtering {
                        stage.key(KeyCode::Esc);
                    }
                }
            }
        }
    }
    assert_eq!(stage.asks.len(), asked);
    assert!(stage.app.overlays.is_empty() && stage.app.notes.is_empty());
}

#[test]
fn the_present_goes_on_behind_it() {
    let (mut stage, _record) = opened();
    let seen = text(&stage, 120, 36);
    assert!(seen.contains(&format!("live: 2 down, {ID} open")), "{seen}");
    assert!(!seen.contains("NOW, at"));
    stage.break_service("web");
    let seen = text(&stage, 120, 36);
    assert!(seen.contains("NOW, at") && seen.contains("web DOWN"), "{seen}");
    assert_eq!(past(&stage).mirror().services["web"].state, mayday::domain::health::Health::Up);
    stage.keys("t");
    assert!(stage.app.replay.is_none());
    let seen = shown::text(&stage.app, 120, 36);
    assert!(seen.contains("● live") && !seen.contains("REPLAY"), "{seen}");
    assert_eq!(stage.app.mirror().services["web"].state, mayday::domain::health::Health::Down);
    // Back by Esc as well, one step at a time.
    stage.keys("t");
    stage.keys("/x");
    stage.key(KeyCode::Enter);
    stage.key(KeyCode::Esc);
    assert!(stage.app.replay.is_some());
    stage.key(KeyCode::Esc);
    stage.key(KeyCode::Esc);
    assert!(stage.app.replay.is_none());
}

#[test]
fn what_cannot_be_replayed_says_why() {
    let empty = tempfile::tempdir().unwrap();
    let mut stage = Stage::burning();
    stage.app.opener = Some((mayday::replay::open, empty.path().to_owned()));
    stage.keys("t");
    let begun = std::time::Instant::now();
    while bar(&stage).fault.is_none() {
        assert!(begun.elapsed().as_secs() < 20);
        std::thread::yield_now();
        stage.later(10);
    }
    let seen = text(&stage, 120, 36);
    assert!(seen.contains("REPLAY") && seen.contains("there is no journal.jsonl in it"), "{seen}");
    stage.keys("t");
    assert!(stage.app.replay.is_none());
    // A screen without a record of its own says so.
    let mut stage = Stage::burning();
    stage.keys("t");
    assert!(shown::text(&stage.app, 120, 36).contains("opened without a record"));
}
