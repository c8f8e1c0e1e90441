//! A snapshot of every pane, view, list, prompt, dialog and banner.

use crossterm::event::KeyCode;
use mayday::domain::command::{Command, Refusal};
use mayday::domain::run::Risk;
use mayday::viewer::app::Pending;
use mayday::viewer::screen::Input;
use mayday::wire::{Answer, Ask, Recording};

use super::made::{self, Stage, answer_copies, answer_plan};
use super::{shown, snapshot};

#[test]
fn every_view() {
    for (keys, name) in [("1", "service"), ("2", "backup"), ("3", "entry"), ("4", "run"), ("5", "incident")] {
        let mut stage = Stage::burning();
        stage.keys(keys);
        stage.key(KeyCode::Enter);
        answer_copies(&mut stage);
        snapshot(&format!("view-{name}"), &mut stage, &[(120, 36), (80, 24)]);
    }
}

#[test]
fn every_overlay() {
    for (keys, name) in [
        ("?", "help"),
        (":restart", "palette"),
        ("d", "declare"),
        (".the disk was full", "note"),
        ("v", "severity"),
        ("s", "status"),
        ("w", "assign"),
        ("x", "affected"),
        ("e", "actions"),
        ("n", "templates"),
        (":theme", "themes"),
    ] {
        let mut stage = Stage::burning();
        stage.keys(keys);
        snapshot(&format!("overlay-{name}"), &mut stage, &[(120, 36), (80, 24), (60, 15)]);
        for (w, h) in [(20, 5), (1, 1)] {
            stage.resize(w, h);
            shown::buffer(&stage.app, w, h);
        }
    }
}

#[test]
fn every_pane_alone() {
    for (keys, name) in [("1", "services"), ("2", "backups"), ("3", "timeline"), ("4", "runs"), ("5", "incident")] {
        let mut stage = Stage::burning();
        stage.keys(keys);
        snapshot(&format!("pane-{name}"), &mut stage, &[(120, 36), (80, 24)]);
    }
    // Several incidents at once, and what is written in a filter.
    let mut stage = Stage::burning();
    stage.second_incident();
    stage.keys("5");
    snapshot("pane-two-incidents", &mut stage, &[(120, 36), (80, 24)]);
    let mut stage = Stage::burning();
    stage.keys("3/oncall");
    snapshot("pane-filtering", &mut stage, &[(80, 24)]);
    // A chord that was begun.
    let mut stage = Stage::burning();
    stage.keys("g");
    snapshot("chord", &mut stage, &[(80, 24)]);
}

#[test]
fn every_list_to_choose_from() {
    // Without a selected service or backup it is asked which.
    for (keys, name) in [("3r", "services"), ("3R", "backups")] {
        let mut stage = Stage::burning();
        stage.keys(keys);
        snapshot(&format!("overlay-which-{name}"), &mut stage, &[(80, 24)]);
    }
    let mut stage = Stage::burning();
    stage.keys(":nothing like this");
    snapshot("overlay-no-match", &mut stage, &[(80, 24)]);
}

#[test]
fn every_prompt() {
    let prompts: [(&str, &str, &[KeyCode]); 6] = [
        ("pause", "1P", &[]),
        ("force", "sresolved", &[KeyCode::Enter]),
        ("severity-why", "vP1", &[KeyCode::Tab]),
        ("status-why", "smonitoring", &[KeyCode::Tab]),
        ("title", ":change the title", &[KeyCode::Enter]),
        ("empty", "sresolved", &[KeyCode::Enter, KeyCode::Enter]),
    ];
    for (name, keys, then) in prompts {
        let mut stage = Stage::burning();
        stage.keys(keys);
        for key in then {
            stage.key(*key);
        }
        snapshot(&format!("prompt-{name}"), &mut stage, &[(80, 24)]);
    }
    // What was written comes back with the reason when the engine says no.
    let mut stage = Stage::burning();
    stage.keys("sresolved");
    stage.key(KeyCode::Enter);
    stage.keys("it is over");
    stage.key(KeyCode::Enter);
    let refusal = Refusal::new("a run is still under way", "wait for run r3, or cancel it");
    stage.answer(|p| matches!(p, Pending::Prompted(..)), Answer::Refused(refusal));
    snapshot("prompt-refused", &mut stage, &[(80, 24)]);
    assert!(shown::text(&stage.app, 80, 24).contains("it is over"));
}

#[test]
fn every_dialog() {
    // Cancelling, with a reason being written.
    let mut stage = Stage::burning();
    stage.keys("4c");
    stage.drawn();
    snapshot("confirm-cancel", &mut stage, &[(80, 24)]);
    stage.key(KeyCode::Tab);
    stage.keys("yes, y not");
    snapshot("confirm-reason", &mut stage, &[(80, 24), (60, 15)]);
    assert!(stage.asks.iter().all(|a| !matches!(a, Ask::Do(Command::Cancel { .. }))));
    stage.key(KeyCode::Enter);
    stage.keys("y");
    let reason = stage.asks.iter().find_map(|a| match a {
        Ask::Do(Command::Cancel { reason, .. }) => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason.as_deref(), Some("yes, y not"));
    // Nothing can be recorded.
    let mut stage = Stage::burning();
    stage.recording(Recording::Off { since: made::at(0), why: "No space left on device".into(), kept: 1 });
    stage.keys("1r");
    answer_plan(&mut stage, Risk::Disruptive);
    stage.drawn();
    stage.keys("y");
    snapshot("confirm-unlogged", &mut stage, &[(80, 24)]);
    // The engine refuses what was asked.
    let mut stage = Stage::burning();
    stage.keys("a");
    stage.keys(":look again");
    stage.key(KeyCode::Enter);
    let refusal = Refusal::new("postgres is held by run r3", "wait for it, or cancel it");
    stage.answer(|p| matches!(p, Pending::Done(_)), Answer::Refused(refusal));
    snapshot("refused", &mut stage, &[(80, 24), (60, 15)]);
}

#[test]
fn every_banner() {
    let mut stage = Stage::healthy();
    stage.keys("f");
    stage.later(65_000);
    stage.heartbeat();
    stage.tell(Input::LinkDown("the engine hung up".into()));
    stage.keys(".kept");
    stage.key(KeyCode::Enter);
    stage.app.faults = vec!["keymap /home/o/keymap.toml:3: there is no command \"servce.restart\"".into()];
    snapshot("banners", &mut stage, &[(120, 36), (80, 24)]);
    let mut stage = Stage::burning();
    stage.recording(Recording::Reserve { left: 9_400_000 });
    stage.warnings(&["configuration warning one"], &["mayday.toml:7: unknown key `intervall`", "two"]);
    stage.read_only();
    snapshot("banners-disk", &mut stage, &[(120, 36), (80, 24)]);
}
