//! Follow-ups, the review and past incidents on the screen, by keys.

use crossterm::event::KeyCode;
use mayday::domain::command::Command;
use mayday::domain::followup::{Followup, FollowupAsk, Standing, day};
use mayday::domain::review::ReviewState;
use mayday::viewer::app::Detail;
use mayday::wire::{Ask, Change};

use crate::made::{Stage, at};
use crate::{shown, snapshot};

fn followup(id: &str, text: &str, owner: &str, due: &str, standing: Standing) -> Followup {
    Followup {
        id: format!("INC-2026-004.{id}"),
        incident: "INC-2026-004".into(),
        text: text.into(),
        owner: owner.into(),
        due: day(due),
        class: if owner.is_empty() { String::new() } else { "prevent".into() },
        standing,
        opened_at: at(-600),
        opened_by: "oncall1".into(),
        from: Some(61).filter(|_| standing == Standing::Proposed),
        ..Followup::default()
    }
}

/// It is resolved; one follow-up is late, a note proposes another, one is done.
fn resolved() -> Stage {
    let mut stage = Stage::burning();
    stage.head(|head| {
        head.followups = vec![
            followup("1", "rotate the leaked key", "bob", "2026-11-01", Standing::Open),
            followup("2", "alert on the connection pool", "ann", "2026-12-24", Standing::Open),
            followup("n61", "ask the vendor", "", "", Standing::Proposed),
            followup("3", "write it down", "ann", "", Standing::Done),
        ];
    });
    let mut view = stage.app.mirror().incidents.get("INC-2026-004").unwrap().clone();
    view.incident.status = mayday::domain::incident::Status::Resolved;
    view.incident.resolved_at = Some(at(-5));
    view.leading.due = None;
    view.leading.review_due = Some(at(86_400));
    view.leading.review = Some(ReviewState { owner: "ann".into(), status: "in-review".into(), meeting: None });
    stage.change(Change { incidents: vec![view], ..Change::default() });
    stage
}

fn asked(stage: &Stage) -> &FollowupAsk {
    match stage.asks.last() {
        Some(Ask::Do(Command::Followup(ask))) => ask,
        other => panic!("{other:?}"),
    }
}

#[test]
fn follow_ups_are_listed_opened_and_closed() {
    let mut stage = resolved();
    assert!(shown::text(&stage.app, 120, 36).contains("1 follow-up OVERDUE"), "the header says it while nothing burns");
    stage.keys("5");
    let pane = shown::text(&stage.app, 120, 36);
    assert!(pane.contains("3 follow-ups to be done") && pane.contains("review due"), "{pane}");
    stage.keys("F");
    snapshot("followups", &mut stage, &[(120, 36), (80, 24)]);
    // A new one, as it is typed.
    stage.keys("@bob 2026-12-01 #prevent: rehearse it");
    stage.key(KeyCode::Enter);
    let wanted = FollowupAsk::Open {
        incident: Some("INC-2026-004".into()),
        text: "rehearse it".into(),
        owner: "bob".into(),
        due: day("2026-12-01"),
        class: "prevent".into(),
        from: None,
    };
    assert_eq!(asked(&stage), &wanted);
    // The late one is done.
    stage.keys("Frotate");
    stage.key(KeyCode::Enter);
    stage.keys("done");
    stage.key(KeyCode::Enter);
    assert_eq!(asked(&stage), &FollowupAsk::Close { id: "INC-2026-004.1".into(), done: true, reason: String::new() });
    // A proposal is dismissed with a reason, not without.
    stage.keys("Fvendor");
    stage.key(KeyCode::Enter);
    stage.keys("dismiss");
    stage.key(KeyCode::Enter);
    let before = stage.asks.len();
    stage.key(KeyCode::Enter);
    assert_eq!(stage.asks.len(), before);
    stage.keys("they answered");
    stage.key(KeyCode::Enter);
    let dropped = FollowupAsk::Close { id: "INC-2026-004.n61".into(), done: false, reason: "they answered".into() };
    assert_eq!(asked(&stage), &dropped);
    assert!(stage.steps.iter().any(|s| s == "chose done for follow-up INC-2026-004.1"), "{:?}", stage.steps);
    assert!(!stage.steps.iter().any(|s| s.contains("rehearse") || s.contains("answered")), "{:?}", stage.steps);
}

#[test]
fn a_review_is_changed_and_past_incidents_are_found() {
    let mut stage = resolved();
    stage.keys(":review");
    stage.key(KeyCode::Enter);
    snapshot("review-prompt", &mut stage, &[(80, 24)]);
    stage.keys("@ann finished");
    stage.key(KeyCode::Enter);
    assert!(shown::text(&stage.app, 120, 36).contains("\"finished\" is neither"), "said in the prompt");
    stage.ctrl('u');
    stage.keys("@carl reviewed");
    stage.key(KeyCode::Enter);
    match stage.asks.last() {
        Some(Ask::Do(Command::Review { incident, owner, status, meeting: None, .. })) => assert_eq!(
            (incident.as_deref(), owner.as_deref(), status.as_deref()),
            (Some("INC-2026-004"), Some("carl"), Some("reviewed"))
        ),
        other => panic!("{other:?}"),
    }
    stage.keys(":past incidents");
    stage.key(KeyCode::Enter);
    snapshot("past", &mut stage, &[(80, 24)]);
    stage.key(KeyCode::Enter);
    assert_eq!(stage.app.detail, Some(Detail::Incident("INC-2026-004".into())));
    let all = shown::text(&stage.app, 200, 60);
    assert!(all.contains("rotate the leaked key") && all.contains("mayday export INC-2026-004"), "{all}");
}
