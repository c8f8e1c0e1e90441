//! What is due, over the life of incidents and runs.

use super::*;
use crate::domain::actor::Actor;
use crate::domain::backup::Copy;
use crate::domain::catalog::Catalog;
use crate::domain::event::*;
use crate::domain::guard::tests::{Play, T0, catalog, names, plan_of, restore};
use crate::domain::run::Side;

fn facts(drop: bool) -> Catalog {
    let mut catalog = catalog();
    let orders = catalog.backups.get_mut("orders").unwrap();
    orders.head_start = Some(HeadStartFacts { severities: vec![Severity::P0, Severity::P1], drop });
    catalog
}

struct World {
    play: Play,
}

impl std::ops::Deref for World {
    type Target = Play;
    fn deref(&self) -> &Play {
        &self.play
    }
}

impl World {
    fn new(drop: bool) -> World {
        World { play: Play::new(facts(drop)) }
    }

    fn happened(&mut self, incident: Option<&str>, event: impl Into<Event>) {
        self.play.happened(&Actor::engine(), incident.map(str::to_owned), event);
    }

    fn declare(&mut self, id: &str, severity: Severity, services: &[&str]) {
        let (title, services, source) = ("down".into(), names(services), "human".into());
        self.happened(Some(id), IncidentDeclared { title, severity, services, onset: None, source });
    }

    fn status(&mut self, id: &str, to: Status) {
        let from = self.state.incidents[id].status;
        self.happened(Some(id), IncidentStatus { from, to, reason: String::new(), forced: false });
    }

    fn request(&mut self, incident: &str, run: &str, work: Work, head_start: bool) {
        let plan = plan_of(run, work);
        let event = RunRequested { plan, reason: String::new(), unlogged: false, recovery: None, head_start };
        self.happened(Some(incident), event);
    }

    fn end(&mut self, run: &str, state: RunState, verdict: Verdict) {
        let (detail, finished_at) = ("as it was".into(), None);
        let (output_digest, excerpt) = (String::new(), String::new());
        let run = run.into();
        self.happened(
            None,
            RunFinished { run, state, exit: None, verdict, detail, finished_at, output_digest, excerpt },
        );
    }

    /// The restore `run` leaves its copy ready.
    fn ready(&mut self, run: &str) {
        let side = Side {
            kind: "database".into(),
            name: format!("shop__restore_{run}"),
            live: "shop".into(),
            created_at: Time::from_ms(T0),
            size: 1,
            role: SideRole::Ready,
            args: serde_json::Value::Null,
        };
        self.happened(None, RunSide { run: run.into(), side: Some(side), gone: vec![] });
        self.end(run, RunState::Succeeded, Verdict::Verified);
    }

    fn due(&self) -> Vec<Due> {
        due(&self.state)
    }

    fn standing(&self, incident: &str) -> (Standing, String) {
        standing(&self.state, of(&self.state, incident).next().unwrap())
    }
}

fn begin(incident: &str) -> Vec<Due> {
    vec![Due::Begin { incident: incident.into(), backup: "orders".into() }]
}

#[test]
fn it_is_due_for_the_service_and_the_severity_and_once() {
    let mut w = World::new(false);
    assert_eq!(w.due(), []);
    w.declare("INC-2027-001", Severity::P0, &["api"]);
    assert_eq!(w.due(), [], "it does not name the database");
    w.declare("INC-2027-002", Severity::P2, &["db"]);
    assert_eq!(w.due(), [], "not for this severity");
    let worse = IncidentSeverity { from: Severity::P2, to: Severity::P1, reason: String::new() };
    w.happened(Some("INC-2027-002"), worse);
    assert_eq!(w.due(), begin("INC-2027-002"));
    w.request("INC-2027-002", "r1", restore("orders"), true);
    assert_eq!(w.due(), []);
    assert_eq!(w.standing("INC-2027-002").0, Standing::UnderWay);
    w.end("r1", RunState::Failed, Verdict::Unverified);
    assert_eq!(w.due(), [], "what failed is a person's to repeat");
    assert_eq!(w.standing("INC-2027-002"), (Standing::Failed, "as it was".into()));
}

#[test]
fn what_nobody_carried_out_is_begun_again_but_not_for_ever() {
    let mut w = World::new(false);
    w.declare("INC-2027-001", Severity::P0, &["db"]);
    for n in 1..=TRIES {
        assert_eq!(w.due(), begin("INC-2027-001"), "try {n}");
        w.request("INC-2027-001", &format!("r{n}"), restore("orders"), true);
        w.end(&format!("r{n}"), RunState::Expired, Verdict::Unverified);
    }
    assert_eq!(w.due(), []);
}

#[test]
fn what_is_withheld_is_not_tried_again() {
    let mut w = World::new(false);
    w.declare("INC-2027-001", Severity::P0, &["db"]);
    w.happened(Some("INC-2027-001"), HeadStartWithheld { backup: "orders".into(), why: "disk: full".into() });
    assert_eq!(w.due(), []);
    assert_eq!(w.standing("INC-2027-001"), (Standing::Withheld, "disk: full".into()));
}

#[test]
fn one_that_is_there_already_will_do_whoever_began_it() {
    for ready in [false, true] {
        let mut w = World::new(false);
        w.declare("INC-2027-001", Severity::P2, &["db"]);
        w.request("INC-2027-001", "r1", restore("orders"), false);
        if ready {
            w.ready("r1");
        }
        w.declare("INC-2027-002", Severity::P0, &["db"]);
        let due = w.due();
        let [Due::Withhold { incident, why, .. }] = due.as_slice() else { panic!("{due:?}") };
        assert!(incident == "INC-2027-002" && why.contains("r1"), "{why}");
    }
}

#[test]
fn used_or_dropped_it_is_over() {
    let mut w = World::new(true);
    w.declare("INC-2027-001", Severity::P0, &["db"]);
    w.request("INC-2027-001", "r1", restore("orders"), true);
    w.ready("r1");
    assert_eq!(w.standing("INC-2027-001").0, Standing::Ready);
    w.request("INC-2027-001", "c1", Work::CutOver { of: "r1".into() }, false);
    w.happened(None, RunSide { run: "c1".into(), side: None, gone: vec!["shop__restore_r1".into()] });
    w.end("c1", RunState::Succeeded, Verdict::Verified);
    assert_eq!(w.standing("INC-2027-001").0, Standing::Used);
    w.status("INC-2027-001", Status::Resolved);
    w.status("INC-2027-001", Status::Closed);
    assert_eq!(w.due(), [], "nothing is left to be dropped");
}

#[test]
fn the_end_of_the_incident_drops_it_only_where_that_is_wanted_and_once() {
    for wanted in [false, true] {
        let mut w = World::new(wanted);
        w.declare("INC-2027-001", Severity::P0, &["db"]);
        w.request("INC-2027-001", "r1", restore("orders"), true);
        w.ready("r1");
        w.status("INC-2027-001", Status::Resolved);
        assert_eq!(w.due(), [], "it may be reopened");
        w.status("INC-2027-001", Status::Closed);
        let (incident, backup, run) = ("INC-2027-001".into(), "orders".into(), "r1".into());
        assert_eq!(w.due(), if wanted { vec![Due::Drop { incident, backup, run }] } else { vec![] });
        if wanted {
            w.happened(Some("INC-2027-001"), HeadStartWithheld { backup: "orders".into(), why: "held".into() });
            assert_eq!(w.due(), []);
            assert_eq!(w.standing("INC-2027-001"), (Standing::Ready, "not dropped: held".into()));
        }
    }
    let mut w = World::new(true);
    w.declare("INC-2027-001", Severity::P0, &["db"]);
    w.request("INC-2027-001", "r1", restore("orders"), true);
    w.status("INC-2027-001", Status::Closed);
    assert!(matches!(w.due().as_slice(), [Due::Cancel { run, .. }] if run == "r1"), "{:?}", w.due());
}

/// The fold alone decides: the same entries give the same marks, after a year of other runs too.
#[test]
fn marks_outlive_the_runs_they_speak_of() {
    let mut w = World::new(false);
    w.declare("INC-2027-001", Severity::P0, &["db"]);
    w.request("INC-2027-001", "r1", restore("orders"), true);
    w.end("r1", RunState::Cancelled, Verdict::Unverified);
    for n in 0..300 {
        w.request("INC-2027-001", &format!("x{n}"), Work::Restart { service: "api".into() }, false);
        w.end(&format!("x{n}"), RunState::Succeeded, Verdict::Verified);
    }
    assert!(!w.state.runs.contains_key("r1"));
    assert_eq!(w.due(), [], "it is not begun a second time");
}

#[test]
fn a_plan_knows_the_moment_of_its_data() {
    let mut plan = plan_of("r1", restore("orders"));
    assert_eq!(plan.data_as_of(), None);
    plan.copy = Some(Copy::default());
    plan.data_lost_ms = Some(90_000);
    assert_eq!(plan.data_as_of(), Some(Time::from_ms(T0 - 90_000)));
}
