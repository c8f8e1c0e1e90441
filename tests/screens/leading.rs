//! Leading an incident on the screen: what is late at a glance, the draft, whom to call, the prompts.

use crossterm::event::KeyCode;
use mayday::domain::cadence::{Due, Word};
use mayday::domain::catalog::Severity;
use mayday::domain::command::Command;
use mayday::domain::escalation::{Call, Called, Reached};
use mayday::domain::headstart::Standing;
use mayday::domain::health::Health;
use mayday::domain::incident::Status;
use mayday::domain::message::{ChannelDelivery, Delivery, Message, Template};
use mayday::domain::outage::Charged;
use mayday::domain::phases::{IncidentPhase, Mark};
use mayday::viewer::app::Pending;
use mayday::wire::{Answer, Ask, Change, ContactView, DraftView, HeadStartView, NextLevel, ServiceView};

use crate::made::{Stage, answer_draft, at};
use crate::{shown, snapshot};

fn mark(seconds: i64, seq: u64) -> Mark {
    Mark { at: at(seconds), seq, t_ms: (seconds + 763) * 1000, severity: Severity::P0 }
}

/// The cost goes by what is down, and says when nothing that counts is.
#[test]
fn the_cost_stands_still_while_nothing_that_counts_is_down() {
    let mut stage = Stage::burning();
    let mut services: Vec<ServiceView> = stage.app.mirror().services.values().cloned().collect();
    for service in services.iter_mut().filter(|s| s.state == Health::Down) {
        (service.state, service.down_since, service.because) = (Health::Up, None, None);
    }
    stage.change(Change { services, ..Change::default() });
    stage.incident(|view| {
        view.leading.charged = Some(Charged { spent_ms: 30_000, since: None });
        view.against_resolving.clear();
    });
    snapshot("cost-stands", &mut stage, &[(200, 60), (120, 36), (80, 24)]);
    let shown = shown::text(&stage.app, 200, 60);
    assert!(shown.contains("375 EUR, no tier 1 is down"), "{shown}");
    // Later it is no more than it was.
    stage.later(2_000);
    assert!(shown::text(&stage.app, 200, 60).contains("375 EUR, no tier 1 is down"));
    // An engine of an earlier version does not say: nothing is made up.
    stage.incident(|view| view.leading.charged = None);
    assert!(!shown::text(&stage.app, 200, 60).contains("EUR"));
}

fn contact(name: &str, levels: &[&str], phone: &str) -> ContactView {
    ContactView {
        name: name.into(),
        levels: levels.iter().map(|l| (*l).to_owned()).collect(),
        phone: phone.into(),
        channels: vec!["slack".into()],
        ..ContactView::default()
    }
}

fn called(level: u32, name: &str, seconds: i64) -> Called {
    Called {
        level,
        name: name.into(),
        contacts: vec![],
        channels: vec!["slack".into()],
        message: String::new(),
        queued: true,
        at: at(seconds),
        mark: mark(seconds, 10 + u64::from(level)),
    }
}

/// Two levels were called, nobody acknowledged, the update is overdue, the first phase is late.
fn unanswered() -> Stage {
    let mut stage = Stage::burning();
    stage.head(|head| {
        let facts = head.severities.get_mut(&Severity::P0).unwrap();
        facts.escalate = ["on-call", "manager", "director"].map(str::to_owned).to_vec();
        let ends = [5, 15, 30, 60, 240, 1440].map(|m| m * 60_000);
        facts.phases = IncidentPhase::ALL.into_iter().zip(ends).collect();
        head.contacts = vec![
            ContactView {
                roles: vec!["commander".into(), "database".into()],
                address: "ann@example.org".into(),
                hours: "Mon-Fri 08-18 CET".into(),
                notes: "speaks German and English".into(),
                ..contact("Ann Otto", &["on-call"], "+49 30 23125 101")
            },
            contact("Duty manager", &["manager"], "+49 30 23125 102"),
            contact("Bo Lind", &["director"], "+49 30 23125 103"),
            ContactView {
                vendor: true,
                notes: "contract 4711".into(),
                ..contact("Hosting support", &[], "+49 30 23125 900")
            },
        ];
    });
    stage.incident(|view| {
        let i = &mut view.incident;
        i.acknowledged_at = None;
        i.acknowledged_by = None;
        i.roles.clear();
        i.clock.severity_from_ms = Some(0);
        i.clock.escalation.called = vec![called(1, "on-call", -763), called(2, "manager", -463)];
        let call = Call { answered: false, at: at(-400), by: "oncall1".into(), times: 2 };
        i.clock.escalation.calls.insert("Ann Otto".into(), call);
        view.update_due = Some(at(-90));
        view.leading.due = Some(Due { what: Word::Update, at: at(-90), promised: at(-90) });
        view.leading.next_level = Some(NextLevel { at: at(137), level: Some((3, "director".into())) });
        view.leading.reached =
            vec![Reached::Accepted(vec!["slack".into()]), Reached::Nobody(vec!["slack".into(), "mail".into()])];
        view.leading.say =
            "This is crazy-gary production. Incident INC-2026-004, severity P0: Complete outage. Declared \
                            at 02:14 UTC. Down: api, postgres. Nobody has taken it. Can you take it now?"
                .into();
        view.leading.draft = Some(DraftView {
            template: Template::Update,
            subject: "[P0] INC-2026-004 update 2: Complete outage - investigating".into(),
            body: "UPDATE 2 on INC-2026-004: Complete outage\n\nSince the last message:\n- 02:14:38 UTC restart api: \
                   contradicted"
                .into(),
            made_at: at(-100),
        });
    });
    stage
}

#[test]
fn what_is_late_at_a_glance() {
    let mut stage = unanswered();
    snapshot("leading", &mut stage, &[(200, 60), (120, 36), (80, 24)]);
    stage.keys("5");
    snapshot("leading-pane", &mut stage, &[(120, 36), (80, 24), (60, 15)]);
    stage.key(KeyCode::Enter);
    snapshot("leading-detail", &mut stage, &[(200, 60), (120, 36), (80, 24)]);
    // Taken, snoozed, the recovery on its way.
    stage.incident(|view| {
        let i = &mut view.incident;
        i.acknowledged_at = Some(at(-300));
        i.acknowledged_by = Some("oncall1".into());
        i.roles.insert("commander".into(), "oncall1".into());
        let marks = &mut i.clock.marks;
        (marks.acknowledged, marks.mitigated) = (Some(mark(-300, 20)), Some(mark(-60, 22)));
        view.leading.next_level = None;
        view.leading.draft = None;
        view.leading.due = Some(Due { what: Word::Update, at: at(300), promised: at(-90) });
    });
    // A severity that it has had for a moment has no "now" in a list of durations.
    stage.incident(|view| {
        let t_ms = view.elapsed_ms as i64;
        view.incident.clock.spent_ms.insert(Severity::P0, t_ms - 300);
        view.incident.clock.severity_from_ms = Some(t_ms - 300);
        view.incident.severity = Severity::P1;
    });
    let seen = shown::text(&stage.app, 200, 60);
    assert!(seen.contains("P0 12m, P1 under 10s"), "{seen}");
    stage.incident(|view| {
        view.incident.clock.spent_ms.clear();
        view.incident.clock.severity_from_ms = Some(0);
        view.incident.severity = Severity::P0;
    });
    snapshot("leading-taken", &mut stage, &[(120, 36), (80, 24)]);
    let mut stage = unanswered();
    stage.incident(|view| {
        view.incident.clock.escalation.ended = Some(mark(-10, 30));
        view.leading.next_level = None;
    });
    snapshot("leading-nobody-left", &mut stage, &[(120, 36), (80, 24)]);
    let first = shown::text(&stage.app, 80, 24);
    assert!(first.contains("NOBODY ACKNOWLEDGED INC-2026-004"), "{first}");
}

/// What nobody accepted is neither sent nor to be written twice.
#[test]
fn what_became_of_the_last_update_is_told() {
    let mut stage = unanswered();
    stage.keys("5");
    let sent = |state: Delivery, stage: &mut Stage| {
        let delivery = ChannelDelivery { state, attempts: 7, answer: "500".into(), at: at(-20), next_at: None };
        let message = Message {
            id: "m1".into(),
            incident: Some("INC-2026-004".into()),
            template: Template::Update,
            subject: "update".into(),
            body: String::new(),
            queued_at: at(-60),
            by: "oncall1".into(),
            channels: [("slack".to_owned(), delivery)].into(),
        };
        stage.change(Change { messages: vec![message], ..Change::default() });
        shown::text(&stage.app, 120, 36)
    };
    let tried = sent(Delivery::Retrying, &mut stage);
    assert!(tried.contains("not accepted yet by slack"), "{tried}");
    let refused = sent(Delivery::Refused, &mut stage);
    assert!(refused.contains("REACHED NOBODY") && refused.contains("refused by slack"), "{refused}");
    let accepted = sent(Delivery::Accepted, &mut stage);
    assert!(!accepted.contains("refused by slack") && !accepted.contains("not accepted yet"), "{accepted}");
}

/// The clock of an incident ends with it; what is owed then does not.
#[test]
fn what_is_owed_after_the_end_stays_in_sight() {
    let mut stage = Stage::burning();
    stage.incident(|view| {
        view.incident.status = Status::Resolved;
        view.incident.resolved_at = Some(at(-600));
        view.update_due = None;
        view.leading.due = Some(Due { what: Word::Resolution, at: at(-300), promised: at(-300) });
    });
    let seen = shown::text(&stage.app, 80, 24);
    assert!(seen.contains("INC-2026-004: resolution message OVERDUE since"), "{seen}");
    stage.incident(|view| view.leading.due = Some(Due { what: Word::Review, at: at(300), promised: at(300) }));
    assert!(!shown::text(&stage.app, 80, 24).contains("OVERDUE"), "it is not due yet");
}

#[test]
fn whom_to_call_works_without_a_link_and_loses_no_call() {
    let mut stage = unanswered();
    stage.keys("@");
    snapshot("contacts", &mut stage, &[(200, 60), (120, 36), (80, 24), (60, 15)]);
    for (w, h) in [(20, 5), (1, 1)] {
        stage.resize(w, h);
        shown::buffer(&stage.app, w, h);
    }
    // The manager's level was called last: that is whom to dial now. No answer goes on to the next one.
    stage.keys("n");
    let Some(Ask::Do(Command::ContactCalled { contact, answered, incident, .. })) = stage.last_ask().cloned() else {
        panic!("{:?}", stage.last_ask())
    };
    assert_eq!((contact.as_str(), answered, incident.as_deref()), ("Duty manager", false, Some("INC-2026-004")));
    stage.keys("y");
    let Some(Ask::Do(Command::ContactCalled { contact, answered: true, .. })) = stage.last_ask().cloned() else {
        panic!("{:?}", stage.last_ask())
    };
    assert_eq!(contact, "Bo Lind");

    // No link: still there, and a call is kept as a note.
    stage.tell(mayday::viewer::screen::Input::LinkDown("connection refused".into()));
    let shown = shown::text(&stage.app, 120, 36);
    assert!(shown.contains("+49 30 23125 103"), "{shown}");
    stage.keys("n");
    assert!(stage.app.notes.iter().any(|n| n.text == "called Bo Lind: no answer"), "{:?}", stage.app.notes);
    stage.key(KeyCode::Esc);
    assert!(stage.app.overlays.is_empty());
}

#[test]
fn what_is_due_goes_out_with_two_keys_after_its_preview() {
    let mut stage = unanswered();
    stage.keys("m");
    assert!(matches!(stage.last_ask(), Some(Ask::Draft { template: Template::Update, .. })), "{:?}", stage.last_ask());
    answer_draft(&mut stage);
    snapshot("due-preview", &mut stage, &[(120, 36), (80, 24)]);
    // Not before the preview was drawn.
    stage.keys("y");
    assert!(!matches!(stage.last_ask(), Some(Ask::Do(Command::Send { .. }))));
    stage.drawn();
    stage.keys("y");
    let Some(Ask::Do(Command::Send { template, incident, channels, .. })) = stage.last_ask().cloned() else {
        panic!("{:?}", stage.last_ask())
    };
    assert_eq!((template, incident.as_deref()), (Template::Update, Some("INC-2026-004")));
    assert_eq!(channels, ["slack", "mail"]);
    // Edited instead: esc leads to the text.
    let mut stage = unanswered();
    stage.keys("m");
    answer_draft(&mut stage);
    stage.key(KeyCode::Esc);
    stage.keys("Sorry. ");
    let shown = shown::text(&stage.app, 120, 36);
    assert!(shown.contains("Sorry. Since 02:14 UTC"), "{shown}");
}

/// Opens a prompt by the palette, types and answers.
fn prompted(stage: &mut Stage, command: &str, text: &str) -> Option<Command> {
    stage.keys(&format!(":{command}"));
    stage.key(KeyCode::Enter);
    stage.ctrl('u');
    stage.keys(text);
    let before = stage.asks.len();
    stage.key(KeyCode::Enter);
    match stage.asks.get(before) {
        Some(Ask::Do(command)) => Some(command.clone()),
        _ => None,
    }
}

#[test]
fn snooze_onset_false_alarm_and_merge_ask_for_a_reason() {
    let mut stage = unanswered();
    assert_eq!(prompted(&mut stage, "snooze the next", "10m"), None);
    snapshot("prompt-snooze", &mut stage, &[(80, 24)]);
    stage.key(KeyCode::Esc);
    let command = prompted(&mut stage, "snooze the next", "10m restore ends at 02:40");
    assert!(
        matches!(&command, Some(Command::Snooze { reason, .. }) if reason == "restore ends at 02:40"),
        "{command:?}"
    );
    let command = prompted(&mut stage, "set the onset", "02:03 first complaint");
    let Some(Command::SetOnset { onset, reason, .. }) = command else { panic!("{command:?}") };
    assert_eq!((onset.hms().as_str(), reason.as_str()), ("02:03:00", "first complaint"));
    assert_eq!(prompted(&mut stage, "set the onset", "soon it began"), None);
    snapshot("prompt-onset", &mut stage, &[(80, 24)]);
    stage.key(KeyCode::Esc);
    let command = prompted(&mut stage, "false alarm", "a load test");
    assert!(matches!(&command, Some(Command::FalseAlarm { force: true, .. })), "{command:?}");

    stage.keys(":incident.merge");
    stage.key(KeyCode::Enter);
    let shown = shown::text(&stage.app, 80, 24);
    assert!(shown.contains("no other incident is open"), "{shown}");
    let mut stage = unanswered();
    stage.second_incident();
    stage.keys(":merge");
    stage.key(KeyCode::Enter);
    snapshot("merge-which", &mut stage, &[(80, 24)]);
    stage.key(KeyCode::Enter);
    stage.keys("the same cause");
    stage.key(KeyCode::Enter);
    let Some(Ask::Do(Command::Merge { incident, into, reason })) = stage.last_ask().cloned() else {
        panic!("{:?}", stage.last_ask())
    };
    assert_eq!((incident.as_str(), into.as_str()), ("INC-2026-004", "INC-2026-005"));
    assert_eq!(reason, "the same cause");
    stage.answer(
        |p| matches!(p, Pending::Prompted(..)),
        Answer::Refused(mayday::domain::command::Refusal::new("no", "")),
    );
    assert!(!stage.app.overlays.is_empty(), "what was written comes back");
}

/// What began by itself: what can be cut over to and what that costs, what is under way, what was not begun and why.
#[test]
fn head_starts_as_they_stand() {
    let mut stage = unanswered();
    let head = |backup: &str, standing| HeadStartView {
        backup: backup.into(),
        standing,
        run: Some("r0000".into()),
        data_as_of: Some(at(-22_000)),
        rpo_ms: Some(93_600_000),
        ready_at: Some(at(-240)),
        why: String::new(),
    };
    stage.incident(|view| {
        view.head_starts = vec![
            head("postgres-full", Standing::Ready),
            HeadStartView { rpo_ms: Some(3_600_000), ..head("orders-with-a-name-that-is-long", Standing::UnderWay) },
            HeadStartView {
                why: "disk: data and log: 612 GB needed and 40 GB kept free for the server, 412 GB free".into(),
                run: None,
                ..head("warehouse", Standing::Withheld)
            },
            HeadStartView { why: "load: pg_restore exited with 1".into(), ..head("mail", Standing::Failed) },
            head("wiki", Standing::Used),
        ];
    });
    stage.keys("5");
    snapshot("head-starts", &mut stage, &[(200, 60), (120, 36), (80, 24)]);
}
