//! Requests for a second person: who may say yes, to what, until when.

use crate::domain::actor::Actor;
use crate::domain::approval::{Approval, ApprovalState, LIVES, Wanted, due};
use crate::domain::authority::Authority;
use crate::domain::catalog::{Catalog, Severity};
use crate::domain::command::Command;
use crate::domain::event::*;
use crate::domain::guard::tests::{Play, catalog, person, plan_of, restart, restore};
use crate::domain::run::{Plan, Work};
use crate::domain::time::Time;

fn two(authority: Authority) -> Play {
    let mut play = Play::new(Catalog { authority, ..catalog() });
    // Something to cut over to, and a cut-over to undo.
    play.runs(&person("ann"), plan_of("side", restore("orders"))).unwrap();
    play.ends("side");
    play
}

fn destructive() -> Authority {
    Authority { second_person: true, ..Authority::default() }
}

fn cut_over(id: &str) -> Plan {
    plan_of(id, Work::CutOver { of: "side".into() })
}

impl Play {
    fn approval(&self, id: &str) -> &Approval {
        &self.state.approvals[id]
    }

    fn approve(&mut self, who: &Actor, id: &str) -> Result<Vec<String>, String> {
        let digest = self.approval(id).digest.clone();
        self.asks(who, Command::Approve { approval: id.into(), digest })
    }

    fn break_glass(&mut self, who: &Actor, id: &str, why: &str) -> Result<Vec<String>, String> {
        self.asks(who, Command::BreakGlass { approval: id.into(), reason: why.into() })
    }

    /// As the engine does at every turn.
    fn tend(&mut self, held: bool) -> Vec<ApprovalState> {
        let due = due(&self.state, Time::from_ms(self.now), |_| held);
        due.into_iter()
            .map(|(incident, event)| {
                let how = event.how;
                self.happened(&Actor::engine(), incident, event);
                how
            })
            .collect()
    }
}

fn says(outcome: Result<Vec<String>, String>, words: &[&str]) {
    let said = outcome.expect_err("it is refused");
    for word in words {
        assert!(said.contains(word), "{word:?} in {said:?}");
    }
}

#[test]
fn what_one_confirmed_another_approves_and_it_starts_once() {
    let mut play = two(destructive());
    let (ann, ben) = (person("ann"), person("ben"));
    assert_eq!(play.runs(&ann, cut_over("r1")).unwrap(), ["approval.requested"]);
    assert!(!play.state.runs.contains_key("r1"), "nothing has started");
    let asked = play.approval("r1").clone();
    assert_eq!(asked.words.split(' ').count(), 4);
    assert_eq!(asked.digest, Wanted::Run(Box::new(cut_over("r1"))).digest());
    assert_eq!(asked.why, "destructive steps need a second person");
    says(
        play.approve(&ann, "r1"),
        &["was asked for by ann", "cannot approve it too", "mayday approve r1", "break-glass r1"],
    );
    let nick = Actor { claimed_user: Some("ben".into()), ..ann.clone() };
    says(play.approve(&nick, "r1"), &["cannot approve it too"]);
    let sudo = Actor { loginuid: ann.uid, ..person("root") };
    says(play.approve(&sudo, "r1"), &["cannot approve"]);
    says(play.approve(&Actor::engine(), "r1"), &["a person approves"]);
    let wrong = Command::Approve { approval: "r1".into(), digest: "0123456789abcdef".into() };
    says(play.asks(&ben, wrong), &["is not what ann asked for", "mayday approvals r1"]);
    let unknown = Command::Approve { approval: "zz".into(), digest: String::new() };
    says(play.asks(&ben, unknown), &["no request \"zz\""]);
    assert_eq!(play.approve(&ben, "r1").unwrap(), ["approval.given", "run.requested"]);
    // It is ann's run, which ben approved.
    assert_eq!(play.state.runs["r1"].requested_by, "ann");
    assert_eq!(play.approval("r1").decided_by.as_deref(), Some("ben"));
    says(play.approve(&ben, "r1"), &["is over: approved by ben"]);
    says(play.break_glass(&ann, "r1", "why"), &["is over: approved by ben"]);
}

#[test]
fn a_request_expires_after_ten_minutes_and_says_so() {
    let mut play = two(destructive());
    play.runs(&person("ann"), cut_over("r1")).unwrap();
    let asked = play.approval("r1").requested_at;
    play.now = asked.plus(LIVES).ms();
    assert!(play.tend(true).is_empty());
    // The clock jumps back an hour, and what is left stays what it was.
    play.happened(&Actor::engine(), None, ClockStepped { by_ms: -3_600_000 });
    play.now = play.approval("r1").expires_at().ms();
    assert_eq!(play.approval("r1").expires_at(), asked.plus(LIVES).stepped(-3_600_000));
    assert!(play.tend(true).is_empty());
    play.now += 1;
    says(play.approve(&person("ben"), "r1"), &["it expired at", "ask again"]);
    assert_eq!(play.tend(true), [ApprovalState::Expired]);
    assert!(play.tend(true).is_empty(), "it is said once");
    says(play.approve(&person("ben"), "r1"), &["is over: expired", "ask again"]);
    assert!(play.approval("r1").note.contains("nobody approved it within 10m"), "{}", play.approval("r1").note);
    assert!(play.approval("r1").wanted.is_none());
}

#[test]
fn an_engine_that_lost_the_secrets_asks_again_and_one_that_needs_none_goes_on() {
    let mut play = two(destructive());
    play.runs(&person("ann"), Plan { secrets: vec!["password".into()], ..cut_over("r1") }).unwrap();
    play.runs(&person("ben"), plan_of("r2", Work::Drop { of: "side".into() })).unwrap();
    assert_eq!(play.tend(false), [ApprovalState::Lost]);
    says(play.approve(&person("ben"), "r1"), &["is over: lost", "ask again"]);
    assert_eq!(play.approve(&person("ann"), "r2").unwrap(), ["approval.given", "run.requested"]);
}

#[test]
fn a_changed_plan_is_asked_again() {
    let mut play = two(destructive());
    let (ann, ben) = (person("ann"), person("ben"));
    play.runs(&ann, cut_over("r1")).unwrap();
    let before = play.approval("r1").digest.clone();
    let changed = Plan { timeout_ms: 2000, ..cut_over("r2") };
    assert_eq!(play.runs(&ann, changed).unwrap(), ["approval.ended", "approval.requested"]);
    assert_eq!(play.approval("r1").state, ApprovalState::Replaced);
    says(play.approve(&ben, "r1"), &["is over: replaced"]);
    says(play.asks(&ben, Command::Approve { approval: "r2".into(), digest: before }), &["is not what ann asked for"]);
    assert_ne!(play.approval("r1").words, play.approval("r2").words);
    play.approve(&ben, "r2").unwrap();
}

#[test]
fn who_is_alone_breaks_the_glass_with_a_reason() {
    let mut play = two(destructive());
    play.runs(&person("ann"), cut_over("r1")).unwrap();
    says(play.break_glass(&person("ann"), "r1", " "), &["breaking the glass needs a reason"]);
    says(play.break_glass(&person("ben"), "r1", "why"), &["you are the second person", "mayday approve r1"]);
    let kinds = play.break_glass(&person("ann"), "r1", "nobody answers the phone").unwrap();
    assert_eq!(kinds, ["glass.broken", "run.requested"]);
    assert_eq!(play.approval("r1").state, ApprovalState::GlassBroken);
    assert_eq!(play.approval("r1").note, "nobody answers the phone");
}

#[test]
fn no_needs_a_reason_and_never_mind_does_not() {
    let mut play = two(destructive());
    let decline = |reason: &str| Command::Decline { approval: "r1".into(), reason: reason.into() };
    play.runs(&person("ann"), cut_over("r1")).unwrap();
    says(play.asks(&person("ben"), decline("")), &["declining needs a reason"]);
    play.asks(&person("ben"), decline("wrong copy")).unwrap();
    assert_eq!(play.approval("r1").state, ApprovalState::Declined);
    says(play.approve(&person("cid"), "r1"), &["declined by ben"]);
    play.runs(&person("ann"), cut_over("r2")).unwrap();
    play.asks(&person("ann"), Command::Decline { approval: "r2".into(), reason: String::new() }).unwrap();
    assert_eq!(play.approval("r2").state, ApprovalState::Withdrawn);
}

#[test]
fn what_stands_in_the_way_by_then_is_looked_at_again() {
    let mut play = two(destructive());
    play.runs(&person("ann"), cut_over("r1")).unwrap();
    let tag = Command::Tag { service: "db".into(), reason: "look first".into(), over: false };
    play.asks(&person("cid"), tag).unwrap();
    says(play.approve(&person("ben"), "r1"), &["db is tagged by cid"]);
    says(play.break_glass(&person("ann"), "r1", "why"), &["db is tagged by cid"]);
    assert!(play.approval("r1").state.is_open(), "it waits on");
    play.asks(&person("cid"), Command::Untag { service: "db".into(), reason: String::new() }).unwrap();
    play.approve(&person("ben"), "r1").unwrap();
}

/// What is configured, what is done while which severity is open, and whether it waits.
#[test]
fn a_second_person_is_asked_for_where_that_is_configured() {
    let by_severity = || Authority { second_person_severities: [Severity::P0].into(), ..Authority::default() };
    let by_action = || Authority { second_person_actions: ["warm".to_owned()].into(), ..Authority::default() };
    let by_backup = |name: &str| Authority { second_person_backups: [name.to_owned()].into(), ..Authority::default() };
    let warm = || Work::Act { action: "warm".into() };
    let over = || Work::CutOver { of: "side".into() };
    let undo = || Work::Undo { of: "over".into() };
    let table: Vec<(Authority, Option<Severity>, Work, bool)> = vec![
        (Authority::default(), Some(Severity::P0), over(), false),
        (destructive(), None, over(), true),
        (destructive(), None, undo(), true),
        (destructive(), None, restore("orders"), false),
        (destructive(), None, restart("api"), false),
        (by_severity(), None, over(), false),
        (by_severity(), Some(Severity::P1), over(), false),
        (by_severity(), Some(Severity::P0), over(), true),
        (by_severity(), Some(Severity::P0), restart("api"), false),
        (by_action(), None, warm(), true),
        (by_action(), None, over(), false),
        (by_backup("orders"), None, over(), true),
        (by_backup("orders"), None, undo(), true),
        (by_backup("orders"), None, restore("orders"), false),
        (by_backup("other"), None, over(), false),
    ];
    for (authority, severity, work, waits) in table {
        let mut play = two(Authority::default());
        play.runs(&person("ann"), cut_over("over")).unwrap();
        play.ends("over");
        let catalog = Catalog { authority: authority.clone(), ..catalog() };
        play.happened(&Actor::engine(), None, ConfigLoaded { digest: "e".into(), source: "s".into(), catalog });
        if let Some(severity) = severity {
            play.declare("ann", severity);
        }
        let kinds = play.runs(&person("ann"), plan_of("r", work.clone())).unwrap();
        assert_eq!(kinds == ["approval.requested"], waits, "{authority:?} {severity:?} {work:?}: {kinds:?}");
        // A script of the engine is nobody's second person, and needs one too.
        assert_eq!(kinds == ["run.requested"], !waits);
    }
}
