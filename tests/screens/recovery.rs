//! A recovery on the screen: its plan, its steps, what it asks, by keys.

use crossterm::event::KeyCode;
use mayday::domain::command::{Command, RecoveryAnswer};
use mayday::domain::recovery::*;
use mayday::domain::run::Risk;
use mayday::viewer::app::Pending;
use mayday::viewer::screen::Effect;
use mayday::wire::{Answer, Ask};

use crate::made::{Stage, at};
use crate::{shown, snapshot};

fn shown_run(title: &str, target: &str, risk: Risk, command: &str) -> Shown {
    Shown {
        title: title.into(),
        target: target.into(),
        risk,
        digest: if command.is_empty() { String::new() } else { "d1".into() },
        commands: if command.is_empty() { vec![] } else { vec![command.into()] },
        ..Shown::default()
    }
}

fn step(phase: Phase, minutes: u64, does: Does, runs: Vec<Shown>) -> PlannedStep {
    PlannedStep { spec: Spec { phase, within_ms: minutes * 60_000, does }, runs }
}

fn plan() -> RecoveryPlan {
    let mut restore = shown_run(
        "restore postgres-full beside crazy_gary",
        "crazy_gary",
        Risk::Disruptive,
        "pg_restore -j 2 crazy_gary__restore_r7",
    );
    restore.copy = Some("2026-11-20.dump".into());
    restore.data_lost_ms = Some(1_560_000);
    restore.rpo_ms = Some(300_000);
    restore.expected_ms = Some(240_000);
    restore.checks = vec!["WARN versions: the copy is of PostgreSQL 14".into()];
    let over = shown_run("put the restored copy in the place of crazy_gary", "crazy_gary", Risk::Destructive, "");
    RecoveryPlan {
        id: "rec1".into(),
        made_at: at(0),
        name: "database-corruption".into(),
        title: "PostgreSQL is corrupt: the last dump, then the API".into(),
        kind: "database-corruption".into(),
        risk: Risk::Destructive,
        target: "crazy_gary".into(),
        steps: vec![
            step(Phase::Assess, 2, Does::Look { text: "Which tables are affected?".into() }, vec![]),
            step(Phase::Database, 15, Does::Restore { backup: "postgres-full".into() }, vec![restore, over]),
            step(Phase::Validate, 2, Does::Healthy { services: vec!["postgres".into()] }, vec![]),
            step(
                Phase::Restart,
                5,
                Does::Restart { service: "api".into() },
                vec![shown_run("restart api", "api", Risk::Disruptive, "railway redeploy --service api")],
            ),
            step(Phase::Validate, 5, Does::Healthy { services: vec!["api".into(), "web".into()] }, vec![]),
        ],
        blocked: vec![],
    }
}

fn recovery(now: usize) -> Recovery {
    let steps = (0..5)
        .map(|i| StepRecord {
            state: match i.cmp(&now) {
                std::cmp::Ordering::Less => StepState::Good,
                std::cmp::Ordering::Equal => StepState::UnderWay,
                std::cmp::Ordering::Greater => StepState::Waiting,
            },
            attempts: u32::from(i <= now),
            begun_at: (i <= now).then(|| at(-300 + 60 * i as i64)),
            box_from: (i <= now).then(|| at(-300 + 60 * i as i64)),
            ended_at: (i < now).then(|| at(-245 + 60 * i as i64)),
            ..StepRecord::default()
        })
        .collect();
    Recovery {
        plan: plan(),
        incident: Some("INC-2026-004".into()),
        started_at: at(-310),
        started_by: "oncall1".into(),
        started_seq: 70,
        state: RecoveryState::UnderWay,
        step: now,
        steps,
        halt: None,
        finished_at: None,
        reason: String::new(),
    }
}

/// Stopped at the restart of the API.
fn stopped(why: Why, now: Option<Shown>) -> Recovery {
    let mut recovery = recovery(3);
    let detail = "run r9 failed, exit 1: railway: not logged in".to_owned();
    recovery.state = RecoveryState::Asks;
    recovery.steps[3].state = StepState::Asks;
    recovery.steps[3].detail = detail.clone();
    recovery.halt = Some(Halt { why, at: at(-10), detail, now });
    recovery
}

#[test]
fn a_recovery_is_planned_and_confirmed_as_a_whole() {
    let mut stage = Stage::burning();
    stage.recoveries(&[
        ("database-corruption", "PostgreSQL is corrupt"),
        ("deployment-failure", "The API does not come up"),
    ]);
    stage.keys("5W");
    snapshot("recovery-which", &mut stage, &[(80, 24)]);
    stage.key(KeyCode::Enter);
    assert!(matches!(stage.last_ask(), Some(Ask::PlanRecovery { name }) if name == "database-corruption"));
    stage.answer(|p| matches!(p, Pending::Recovery(_)), Answer::Recovery(Box::new(plan())));
    snapshot("recovery-plan", &mut stage, &[(80, 24), (120, 36)]);
    stage.drawn();
    for wrong in ["y", "api"] {
        stage.keys(wrong);
        assert!(
            !stage
                .key(KeyCode::Enter)
                .iter()
                .any(|e| matches!(e, Effect::Ask(q) if matches!(q.ask, Ask::Recover { .. })))
        );
        stage.ctrl('u');
    }
    stage.keys("crazy_gary");
    stage.key(KeyCode::Enter);
    assert!(
        matches!(stage.last_ask(), Some(Ask::Recover { plan, confirm, .. }) if plan == "rec1" && confirm == "crazy_gary")
    );
}

#[test]
fn a_recovery_under_way_stands_in_the_incident() {
    let mut stage = Stage::burning();
    stage.recovery(recovery(1), "run r7 is running");
    stage.keys("5");
    snapshot("recovery-under-way", &mut stage, &[(80, 24), (120, 36), (60, 15)]);
    // Nothing is asked: no banner.
    assert!(!shown::text(&stage.app, 80, 24).contains("answers it"));
    stage.recovery(recovery(0), "a person does it, and answers done or failed");
    let seen = shown::text(&stage.app, 80, 24);
    assert!(seen.contains("waits for a person, 5 W answers it: database-corruption step 1 of 5"), "{seen}");
}

#[test]
fn a_recovery_that_stopped_is_loud_and_answered_by_keys() {
    let mut stage = Stage::burning();
    stage.recovery(stopped(Why::Failed, None), "");
    stage.keys("1");
    let seen = shown::text(&stage.app, 80, 24);
    assert!(seen.contains("RECOVERY STOPPED, 5 W answers it: database-corruption step 4 of 5"), "{seen}");
    stage.keys("5");
    snapshot("recovery-stopped", &mut stage, &[(80, 24), (120, 36)]);
    stage.keys("W");
    snapshot("recovery-answers", &mut stage, &[(80, 24)]);
    // What can be said comes first.
    stage.key(KeyCode::Enter);
    let asked = |stage: &Stage, wanted: &RecoveryAnswer| matches!(stage.last_ask(), Some(Ask::Do(Command::Answer { answer, .. })) if answer == wanted);
    assert!(asked(&stage, &RecoveryAnswer::Resume { digest: String::new(), confirm: String::new() }));
    // A skip needs its reason.
    stage.keys("W");
    stage.keys("skip");
    stage.key(KeyCode::Enter);
    stage.key(KeyCode::Enter);
    assert!(shown::text(&stage.app, 80, 24).contains("nothing is written"));
    stage.keys("restarted by hand");
    stage.key(KeyCode::Enter);
    assert!(asked(&stage, &RecoveryAnswer::Skip));
}

#[test]
fn what_has_changed_is_shown_and_confirmed() {
    let mut stage = Stage::burning();
    let mut now = shown_run(
        "restore postgres-full beside crazy_gary",
        "crazy_gary",
        Risk::Disruptive,
        "pg_restore -j 2 newer.dump",
    );
    now.digest = "d2".into();
    now.copy = Some("newer.dump".into());
    stage.recovery(stopped(Why::Changed, Some(now)), "");
    stage.keys("5W");
    stage.key(KeyCode::Enter);
    let seen = shown::text(&stage.app, 80, 24);
    assert!(seen.contains("newer.dump") && seen.contains("Do it?"), "{seen}");
    stage.drawn();
    stage.keys("y");
    let confirmed = RecoveryAnswer::Resume { digest: "d2".into(), confirm: "y".into() };
    assert!(matches!(stage.last_ask(), Some(Ask::Do(Command::Answer { answer, .. })) if *answer == confirmed));
}
