//! Authority, second persons, tags and holds on the screen, by keys.

use std::collections::BTreeSet;

use crossterm::event::KeyCode;
use mayday::domain::Actor;
use mayday::domain::approval::{Approval, ApprovalState, Wanted};
use mayday::domain::authority::{Authority, Level};
use mayday::domain::catalog::Severity;
use mayday::domain::command::Command;
use mayday::domain::guard::{Guards, Hold, Tag};
use mayday::domain::run::Risk;
use mayday::viewer::app::Pending;
use mayday::viewer::screen::Effect;
use mayday::wire::{Answer, Ask, GuardView, WindowView};

use crate::made::{self, Stage, answer_plan, at};
use crate::{shown, snapshot};

fn person(user: &str) -> Actor {
    Actor { user: user.into(), uid: Some(1004), ..Actor::default() }
}

pub fn approval(by: &str) -> Approval {
    let wanted = Wanted::Run(Box::new(made::plan(Risk::Destructive)));
    Approval {
        id: "r9".into(),
        title: wanted.title(),
        digest: wanted.digest(),
        words: "acorn lantern pelican tulip".into(),
        by: person(by),
        requested_at: at(-60),
        incident: Some("INC-2026-004".into()),
        reason: "the index is corrupt".into(),
        why: "during P0 destructive steps need a second person".into(),
        unlogged: false,
        state: ApprovalState::Waiting,
        decided_by: None,
        decided_at: None,
        note: String::new(),
        wanted: Some(wanted),
    }
}

fn guards() -> Guards {
    let tag = Tag { by: person("oncall2"), since: at(-480), reason: "restore running".into(), from: None };
    Guards { tags: [("postgres".to_owned(), tag)].into(), ..Guards::default() }
}

fn hold() -> Hold {
    Hold {
        by: "oncall2".into(),
        since: at(-300),
        reason: "a stranger was in".into(),
        incident: None,
        except: BTreeSet::new(),
    }
}

/// P0 gives configuration changes only, so that most is refused.
fn strict() -> Authority {
    Authority {
        everybody: Some(Level::Monitoring),
        severities: [(Severity::P0, Level::Configuration)].into(),
        roles: [("operations".to_owned(), Level::Full)].into(),
        ..Authority::default()
    }
}

fn stage(guard: GuardView) -> Stage {
    let mut stage = Stage::burning();
    stage.guard(guard);
    stage
}

fn asked(effects: Vec<Effect>) -> Option<Ask> {
    effects.into_iter().find_map(|e| match e {
        Effect::Ask(q) if !matches!(q.ask, Ask::Do(Command::Step { .. })) => Some(q.ask),
        _ => None,
    })
}

#[test]
fn a_request_of_another_is_seen_everywhere_and_approved_by_its_digest() {
    let request = approval("oncall2");
    let mut stage = stage(GuardView { approvals: vec![request.clone()], ..GuardView::default() });
    snapshot("approval-wanted", &mut stage, &[(120, 36), (80, 24), (60, 15)]);
    stage.keys("5");
    snapshot("approval-wanted-incident", &mut stage, &[(80, 24)]);
    stage.keys("Y");
    snapshot("approval-dialog", &mut stage, &[(120, 36), (80, 24), (60, 15)]);
    // Keys before its first frame do not count, nor does Enter.
    assert!(asked(stage.keys("y")).is_none());
    stage.drawn();
    stage.later(50);
    assert!(asked(stage.key(KeyCode::Enter)).is_none());
    let Some(Ask::Do(Command::Approve { approval, digest })) = asked(stage.keys("y")) else { panic!("it is approved") };
    assert_eq!((approval.as_str(), digest), ("r9", request.digest));
}

#[test]
fn ones_own_request_can_be_waited_for_taken_back_or_gone_on_with_alone() {
    let mut stage = stage(GuardView { approvals: vec![approval("oncall1")], ..GuardView::default() });
    snapshot("approval-own", &mut stage, &[(80, 24)]);
    stage.keys("Y");
    snapshot("approval-own-choice", &mut stage, &[(80, 24), (60, 15)]);
    stage.key(KeyCode::Down);
    stage.key(KeyCode::Enter);
    snapshot("approval-glass", &mut stage, &[(80, 24)]);
    assert!(asked(stage.key(KeyCode::Enter)).is_none(), "a reason is needed");
    stage.keys("nobody answers");
    let Some(Ask::Do(Command::BreakGlass { approval, reason })) = asked(stage.key(KeyCode::Enter)) else { panic!() };
    assert_eq!((approval.as_str(), reason.as_str()), ("r9", "nobody answers"));
    stage.keys("Y");
    stage.key(KeyCode::End);
    let Some(Ask::Do(Command::Decline { approval, .. })) = asked(stage.key(KeyCode::Enter)) else { panic!() };
    assert_eq!(approval, "r9");
}

#[test]
fn what_waits_after_a_confirmation_says_so_with_its_words() {
    let authority = Authority { second_person: true, ..Authority::default() };
    let mut stage = stage(GuardView { authority, ..GuardView::default() });
    stage.keys("1r");
    answer_plan(&mut stage, Risk::Destructive);
    snapshot("confirm-second-person", &mut stage, &[(80, 24)]);
    stage.drawn();
    stage.later(50);
    stage.keys("crazy_gary");
    stage.key(KeyCode::Enter);
    stage.answer(|p| matches!(p, Pending::Start(_)), Answer::Approval(Box::new(approval("oncall1"))));
    let seen = shown::text(&stage.app, 120, 36);
    assert!(seen.contains("not started yet") && seen.contains("acorn lantern pelican tulip"), "{seen}");
}

#[test]
fn what_authority_forbids_stays_visible_with_what_would_allow_it() {
    let mut stage = stage(GuardView { authority: strict(), ..GuardView::default() });
    stage.keys("1r");
    let seen = shown::text(&stage.app, 200, 60);
    assert!(seen.contains("restart needs the operations: take the role with w"), "{seen}");
    snapshot("authority-refused", &mut stage, &[(120, 36)]);
    stage.keys(":restore");
    snapshot("authority-palette", &mut stage, &[(120, 36)]);
    stage.key(KeyCode::Esc);
    stage.key(KeyCode::Esc);
    // The picture was older than what the engine planned: the dialog says it, and cannot be confirmed.
    stage.guard(GuardView::default());
    stage.keys("1r");
    stage.guard(GuardView { authority: strict(), ..GuardView::default() });
    answer_plan(&mut stage, Risk::Destructive);
    snapshot("authority-dialog", &mut stage, &[(80, 24)]);
    stage.drawn();
    stage.later(50);
    stage.keys("crazy_gary");
    assert!(asked(stage.key(KeyCode::Enter)).is_none());
}

#[test]
fn tags_and_holds_stand_where_their_service_does() {
    let mut stage = stage(GuardView { guards: guards(), ..GuardView::default() });
    snapshot("tagged", &mut stage, &[(120, 36), (80, 24)]);
    stage.keys("1r");
    let seen = shown::text(&stage.app, 200, 60);
    assert!(seen.contains("is tagged by oncall2 since"), "{seen}");
    stage.key(KeyCode::Enter);
    snapshot("tagged-service", &mut stage, &[(80, 24)]);
    // Another's tag is taken over with a reason; one's own comes off at once.
    stage.keys("#");
    snapshot("tag-take-over", &mut stage, &[(80, 24)]);
    stage.keys("he is asleep");
    let taken = asked(stage.key(KeyCode::Enter));
    assert!(
        matches!(&taken, Some(Ask::Do(Command::Tag { over: true, reason, .. })) if reason == "he is asleep"),
        "{taken:?}"
    );
    let mut own = guards();
    own.tags.values_mut().for_each(|t| t.by = person("oncall1"));
    stage.guard(GuardView { guards: own, ..GuardView::default() });
    let off = asked(stage.keys("#"));
    assert!(matches!(&off, Some(Ask::Do(Command::Untag { .. }))), "{off:?}");
    stage.guard(GuardView::default());
    stage.keys("#");
    stage.keys("look first");
    let on = asked(stage.key(KeyCode::Enter));
    assert!(matches!(&on, Some(Ask::Do(Command::Tag { over: false, .. }))), "{on:?}");
    stage.keys("K");
    stage.keys("evidence");
    let held = asked(stage.key(KeyCode::Enter));
    assert!(matches!(&held, Some(Ask::Do(Command::Hold { services, .. })) if services.len() == 1), "{held:?}");
    stage.guard(GuardView { guards: Guards { all: Some(hold()), ..Guards::default() }, ..GuardView::default() });
    snapshot("held", &mut stage, &[(80, 24)]);
    stage.keys("K");
    stage.keys("copied");
    let released = asked(stage.key(KeyCode::Enter));
    assert!(matches!(&released, Some(Ask::Do(Command::Release { .. }))), "{released:?}");
}

/// What is announced work stands where its service does, so that nobody takes it for an outage.
#[test]
fn maintenance_under_way_stands_beside_its_service() {
    let mut stage = Stage::burning();
    stage.head(|head| {
        let window = |name: &str, service: &str, under_way| WindowView {
            name: name.into(),
            services: vec![service.to_owned()],
            from: at(-600),
            until: at(3000),
            under_way,
        };
        head.maintenance = vec![window("patches", "web", true), window("later", "worker", false)];
    });
    for (w, h) in [(200, 60), (120, 36), (80, 24)] {
        let seen = shown::text(&stage.app, w, h);
        let line = |name: &str| seen.lines().find(|l| l.contains(&format!(" {name} "))).unwrap_or_default().to_owned();
        assert!(line("web").contains("maintenance until 03:"), "{w}x{h}: {}", line("web"));
        assert!(!line("worker").contains("maintenance"), "{w}x{h}: {}", line("worker"));
    }
}
