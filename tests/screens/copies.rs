//! Copies and what became of them: proven by a test, restored as a whole or in parts, put aside.

use mayday::domain::backup::BackupState;
use mayday::domain::backup::proof::Test;
use mayday::domain::run::{Checked, Precondition, Risk, RunState, Side, SideRole, Verdict, Work};
use mayday::viewer::app::Pending;
use mayday::wire::{Answer, BackupView, Change};

use super::made::{Stage, answer_copies, at, backup, plan, run};
use super::{shown, snapshot};

fn test(run: &str, copy: &str, seconds: i64, proven: bool) -> Test {
    let detail = if proven { "2 of 2 queries hold" } else { "psql: role \"shop\" does not exist: make it" };
    Test { run: run.into(), copy: copy.into(), at: at(seconds), proven, detail: detail.into() }
}

fn tested(name: &str, tests: Vec<Test>) -> BackupView {
    let proof = mayday::domain::backup::proof::Proof::of_set(&tests);
    let (proven, test_failed) = (proof.proven.cloned(), proof.failed.cloned());
    BackupView { proven, test_failed, tests, ..backup(name, BackupState::Fresh) }
}

#[test]
fn when_a_copy_was_last_proven() {
    let mut stage = Stage::healthy();
    let good = test("t1", "crazy_gary-0200.dump", -7300, true);
    let bad = test("t2", "crazy_gary-0300.dump", -300, false);
    let backups = vec![
        tested("postgres-full", vec![good.clone()]),
        tested("postgres-old", vec![good, bad]),
        tested("redis-rdb", Vec::new()),
    ];
    stage.change(Change { backups, ..Change::default() });
    stage.keys("2j");
    snapshot("proven", &mut stage, &[(200, 60), (120, 36), (80, 24)]);
    stage.key(crossterm::event::KeyCode::Enter);
    answer_copies(&mut stage);
    snapshot("proven-detail", &mut stage, &[(80, 24)]);
    let detail = shown::text(&stage.app, 120, 60);
    for said in ["proven", "2h ago by run t1", "test FAILED", "5m ago by run t2", "does not exist: make it"] {
        assert!(detail.contains(said), "{said}: {detail}");
    }
}

fn side(kind: &str, role: SideRole, args: serde_json::Value) -> Side {
    let (name, live) = ("shop__restore_r5".into(), "shop".into());
    Side { kind: kind.into(), name, live, created_at: at(-600), size: 9_000_000, role, args }
}

fn with_side(stage: &mut Stage, side: Side, state: RunState) {
    let mut restored = run("r5", "restore only public.b of full beside shop", state, Some(Verdict::Verified));
    restored.sides = vec![side];
    restored.data_as_of = Some(at(-360));
    stage.change(Change { runs: vec![restored], ..Change::default() });
}

#[test]
fn a_copy_of_parts_does_not_look_like_a_whole_one() {
    let mut stage = Stage::healthy();
    let chosen = serde_json::json!({ "chosen": [{ "schema": "public", "name": "b" }] });
    with_side(&mut stage, side("database", SideRole::Ready, chosen), RunState::Succeeded);
    stage.keys("4");
    snapshot("partial", &mut stage, &[(120, 36), (80, 24)]);
    let text = shown::text(&stage.app, 80, 24);
    assert!(text.contains("only public.b") && text.contains("C puts them in"), "{text}");
    assert!(!text.contains("cuts over") && !text.contains("loses"), "{text}");
    // The whole says what it costs.
    with_side(&mut stage, side("database", SideRole::Ready, serde_json::Value::Null), RunState::Succeeded);
    let text = shown::text(&stage.app, 80, 24);
    assert!(text.contains("C cuts over") && text.contains("loses 6m"), "{text}");
}

#[test]
fn what_a_restore_could_not_take_away_is_incomplete() {
    let mut stage = Stage::healthy();
    let args = serde_json::json!({ "incomplete": true });
    with_side(&mut stage, side("database", SideRole::Abandoned, args), RunState::Failed);
    stage.keys("4");
    let text = shown::text(&stage.app, 80, 24);
    assert!(text.contains("incomplete: its restore did not finish"), "{text}");
    assert!(!text.contains("undo"), "{text}");
}

#[test]
fn a_key_of_another_pane_says_where_it_belongs() {
    let mut stage = Stage::burning();
    stage.keys("2U");
    let text = shown::text(&stage.app, 120, 36);
    assert!(text.contains("U (undo a cut-over) is a key of Runs: 4 goes there"), "{text}");
}

#[test]
fn that_it_began_is_not_told_once_it_is_over() {
    let mut stage = Stage::healthy();
    let going = run("r7", "restart api", RunState::Running, None);
    stage.keys("1r");
    super::answer_plan(&mut stage, Risk::Disruptive);
    stage.drawn();
    stage.keys("y");
    let run_id = Some("r7".into());
    let begun = Answer::Done { seq: 9, incident: None, run: run_id, message: None, recovery: None, recorded: true };
    stage.answer(|p| matches!(p, Pending::Start(_)), begun);
    stage.change(Change { runs: vec![going.clone()], ..Change::default() });
    assert!(shown::text(&stage.app, 120, 36).contains("started: restart postgres"));
    let over = mayday::wire::RunView { state: RunState::Failed, ..going };
    stage.change(Change { runs: vec![over], ..Change::default() });
    let text = shown::text(&stage.app, 120, 36);
    assert!(!text.contains("started: restart postgres"), "{text}");
}

#[test]
fn what_a_plan_warns_of_is_read_without_scrolling() {
    let mut stage = Stage::healthy();
    stage.keys("1r");
    let mut long = plan(Risk::Disruptive);
    long.work = Work::Restore { backup: "full".into(), copy: None, test: false, only: Vec::new(), to: None };
    long.effects = (0..8).map(|n| format!("effect {n} that takes a line of its own")).collect();
    long.preconditions = (0..8)
        .map(|n| Precondition { name: format!("check {n}"), result: Checked::Passed, detail: "as it should be".into() })
        .collect();
    let detail = "the copy is older than its manifest says".to_owned();
    long.preconditions.push(Precondition { name: "manifest".into(), result: Checked::Warned, detail });
    let answer = Answer::Plan { plan: Box::new(long), digest: "d".into() };
    stage.answer(|p| matches!(p, Pending::Plan(_)), answer);
    stage.resize(80, 24);
    let text = shown::text(&stage.app, 80, 24);
    assert!(text.contains("manifest: the copy is older than its manifest says"), "{text}");
    assert!(text.contains("Do it?"), "{text}");
}

#[test]
fn a_base_backup_loses_what_its_log_does_not_reach() {
    let mut stage = Stage::burning();
    stage.keys("2R");
    let copy = |id: &str, taken: i64, reaches: Option<i64>| mayday::domain::backup::Copy {
        id: id.into(),
        taken_at: at(taken),
        size: 400_000_000,
        reaches: reaches.map(at),
        ..Default::default()
    };
    let copies = vec![copy("base-2", -86_400, Some(-60)), copy("base-1", -172_800, None)];
    stage.answer(|p| matches!(p, Pending::Copies { .. }), Answer::Copies { copies });
    let text = shown::text(&stage.app, 200, 60);
    let line = |id: &str| text.lines().find(|l| l.contains(id) && l.contains("DATA LOST")).unwrap().to_owned();
    let reaching = line("base-2");
    assert!(!reaching.contains("over RPO") && !reaching.contains("DATA LOST 1d"), "{reaching}");
    assert!(reaching.contains("base-2  log to 2026-11-20"), "{reaching}");
    assert!(line("base-1").contains("(over RPO)"), "{}", line("base-1"));
}
