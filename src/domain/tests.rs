//! The rules, driven by commands: tables for what is allowed, properties for the fold.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::actor::Actor;
use super::catalog::*;
use super::command::{Command, Context};
use super::decide::{against_resolving, decide};
use super::event::*;
use super::health::Health;
use super::incident::Status;
use super::message::{Delivery, Template};
use super::run::*;
use super::state::State;
use super::time::Time;
use super::timeline;

const T0: i64 = 1_800_000_000_000;

fn catalog() -> Catalog {
    let service = |tier, depends_on: &[&str]| ServiceFacts {
        tier,
        rto_ms: Some(600_000),
        depends_on: depends_on.iter().map(|s| (*s).to_owned()).collect(),
        checked: true,
        ..ServiceFacts::default()
    };
    Catalog {
        system: "shop".into(),
        environment: "production".into(),
        services: [("api", service(1, &["db"])), ("db", service(1, &[])), ("web", service(2, &["api"]))]
            .into_iter()
            .map(|(n, f)| (n.to_owned(), f))
            .collect(),
        channels: vec![ChannelFacts { name: "chat".into(), kind: "slack".into() }],
        severities: [(
            Severity::P0,
            SeverityFacts {
                respond_within_ms: Some(300_000),
                update_every_ms: Some(900_000),
                ..SeverityFacts::default()
            },
        )]
        .into_iter()
        .collect(),
        ..Catalog::default()
    }
}

pub(super) fn plan(id: &str, service: &str, risk: Risk) -> Plan {
    Plan {
        id: id.into(),
        made_at: Time::from_ms(T0),
        work: Work::Restart { service: service.into() },
        title: format!("restart {service}"),
        target: service.into(),
        service: Some(service.into()),
        holds: vec![format!("service {service}")],
        risk,
        effects: vec![],
        copy: None,
        data_lost_ms: None,
        rpo_ms: None,
        expected_ms: None,
        expected_from: 0,
        preconditions: vec![],
        phases: vec![],
        timeout_ms: 1000,
        after: None,
        secrets: vec![],
        undo: String::new(),
        gentle: false,
    }
}

fn somebody(user: &str) -> Actor {
    let uid = user.bytes().fold(1000, |sum, b| sum + u32::from(b));
    Actor { user: user.into(), uid: Some(uid), ..Actor::default() }
}

/// A small journal in memory: commands and observations in, state and entries out.
pub(super) struct World {
    pub state: State,
    pub entries: Vec<Entry>,
    pub now: i64,
}

impl World {
    pub fn new() -> World {
        let mut world = World { state: State::default(), entries: vec![], now: T0 };
        world.happened(None, ConfigLoaded { digest: "d".into(), source: "s".into(), catalog: catalog() });
        world
    }

    pub fn happened(&mut self, incident: Option<String>, event: impl Into<Event>) {
        self.happened_by("ann", incident, event);
    }

    fn happened_by(&mut self, user: &str, incident: Option<String>, event: impl Into<Event>) {
        self.now += 1000;
        let entry = Entry {
            seq: self.entries.len() as u64 + 1,
            at: Time::from_ms(self.now),
            boot_ms: (self.now - T0) as u64,
            boot: "boot".into(),
            host: "host".into(),
            actor: somebody(user),
            incident,
            event: event.into(),
        };
        self.state.apply(&entry);
        self.entries.push(entry);
    }

    pub fn ask(&mut self, command: Command) -> Result<(), String> {
        self.ask_as("ann", command)
    }

    /// The same by another user.
    pub fn ask_as(&mut self, user: &str, command: Command) -> Result<(), String> {
        let ctx = Context {
            now: Time::from_ms(self.now),
            boot_ms: 0,
            boot: "boot".into(),
            actor: somebody(user),
            fresh: format!("f{}", self.entries.len()),
        };
        let decided = decide(&self.state, command, &ctx).map_err(|r| r.to_string())?;
        assert!(!decided.is_empty(), "a command that is not refused leads to something");
        for one in decided {
            self.happened_by(user, one.incident, one.event);
        }
        Ok(())
    }

    pub fn health(&mut self, service: &str, to: Health) {
        let from = self.state.services.get(service).map(|r| r.state).unwrap_or_default();
        let event = HealthChanged {
            service: service.into(),
            from,
            to,
            check: "http".into(),
            detail: "seen".into(),
            because: None,
            happened_at: Some(Time::from_ms(self.now - 5000)),
        };
        let incident = self.state.open_incidents().first().map(|i| i.id.clone());
        self.happened(incident, event);
    }

    pub fn declare(&mut self, title: &str) -> String {
        let services = BTreeSet::from(["api".to_owned()]);
        self.ask(Command::Declare { title: title.into(), severity: None, services, onset: None }).unwrap();
        self.state.open_incidents().last().unwrap().id.clone()
    }

    fn status(&mut self, status: Status, force: bool, reason: &str) -> Result<(), String> {
        self.ask(Command::SetStatus { incident: None, status, reason: reason.into(), force })
    }
}

#[test]
fn resolving_is_refused_with_the_reason_until_it_is_true_or_forced() {
    let mut w = World::new();
    w.health("api", Health::Down);
    let id = w.declare("api down");
    assert_eq!(w.state.incidents[&id].severity, Severity::P0, "a tier-1 service is down");
    let why = w.status(Status::Resolved, false, "").unwrap_err();
    assert!(why.contains("api (tier 1) is down"), "{why}");
    assert!(w.status(Status::Resolved, true, "").unwrap_err().contains("needs a reason"));
    w.health("api", Health::Up);
    let mut run = plan("r1", "api", Risk::Disruptive);
    run.id = "r1".into();
    w.ask(Command::Run { plan: Box::new(run), confirm: "y".into(), reason: String::new(), unlogged: false }).unwrap();
    assert!(w.status(Status::Resolved, false, "").unwrap_err().contains("still requested"));
    let finished = RunFinished {
        run: "r1".into(),
        state: RunState::Succeeded,
        exit: Some(0),
        verdict: Verdict::Contradicted,
        detail: "/health answers 503".into(),
        finished_at: None,
        output_digest: String::new(),
        excerpt: String::new(),
    };
    w.happened(Some(id.clone()), finished.clone());
    assert!(w.status(Status::Resolved, false, "").unwrap_err().contains("contradicted: /health answers 503"));
    // A later run of the same thing that is verified takes the contradiction back.
    w.ask(Command::Run {
        plan: Box::new(plan("r2", "api", Risk::Disruptive)),
        confirm: "y".into(),
        reason: String::new(),
        unlogged: false,
    })
    .unwrap();
    w.happened(Some(id.clone()), RunFinished { run: "r2".into(), verdict: Verdict::Verified, ..finished });
    assert!(against_resolving(&w.state, &w.state.incidents[&id]).is_empty());
    w.status(Status::Resolved, false, "").unwrap();
    assert!(w.state.open_incidents().is_empty());
    assert!(w.ask(Command::Reopen { incident: None, reason: String::new() }).is_err());
    w.ask(Command::Reopen { incident: None, reason: "back again".into() }).unwrap();
    assert_eq!(w.state.incidents[&id].reopened, 1);
}

#[test]
fn an_unknown_that_was_down_is_not_up() {
    let mut w = World::new();
    w.health("api", Health::Down);
    let id = w.declare("api down");
    let since = w.state.services["api"].down_since;
    w.health("api", Health::Unknown);
    assert_eq!(w.state.services["api"].down_since, since, "the clock goes on while nothing is seen");
    assert!(!against_resolving(&w.state, &w.state.incidents[&id]).is_empty());
    w.health("api", Health::Up);
    assert_eq!(w.state.services["api"].down_since, None);
}

#[test]
fn confirmation_fits_the_risk_and_nothing_else_passes() {
    for (risk, confirm, allowed) in [
        (Risk::Observe, "", true),
        (Risk::Disruptive, "", false),
        (Risk::Disruptive, "\n", false),
        (Risk::Disruptive, "y", true),
        (Risk::Disruptive, "api", true),
        (Risk::Destructive, "y", false),
        (Risk::Destructive, "yes", false),
        (Risk::Destructive, "API", false),
        (Risk::Destructive, "api", true),
    ] {
        let mut w = World::new();
        let plan = Box::new(plan("r1", "api", risk));
        let asked = w.ask(Command::Run { plan, confirm: confirm.into(), reason: String::new(), unlogged: false });
        assert_eq!(asked.is_ok(), allowed, "{risk:?} {confirm:?}: {asked:?}");
    }
}

#[test]
fn a_run_holds_its_service_and_a_failing_precondition_forbids_it() {
    let mut w = World::new();
    let start = |w: &mut World, plan: Plan| {
        w.ask(Command::Run { plan: Box::new(plan), confirm: "y".into(), reason: String::new(), unlogged: false })
    };
    start(&mut w, plan("r1", "api", Risk::Disruptive)).unwrap();
    let why = start(&mut w, plan("r2", "api", Risk::Disruptive)).unwrap_err();
    assert!(why.contains("held by run r1") && why.contains("ann"), "{why}");
    start(&mut w, plan("r3", "web", Risk::Disruptive)).unwrap();
    assert!(start(&mut w, plan("r3", "db", Risk::Disruptive)).unwrap_err().contains("started before"));
    let mut broken = plan("r4", "db", Risk::Disruptive);
    broken.preconditions.push(Precondition {
        name: "program".into(),
        result: Checked::Failed,
        detail: "systemctl is not installed".into(),
    });
    assert!(start(&mut w, broken).unwrap_err().contains("systemctl is not installed"));
}

#[test]
fn notes_are_never_lost_to_the_question_where_they_belong() {
    let mut w = World::new();
    let note = |text: &str| Command::Note { incident: None, text: text.into(), happened_at: None };
    w.ask(note("before anything")).unwrap();
    assert_eq!(w.entries.last().unwrap().incident, None);
    let first = w.declare("one");
    w.declare("two");
    w.ask(note("which one?")).unwrap();
    assert_eq!(w.entries.last().unwrap().incident.as_deref(), Some(first.as_str()));
    assert!(w.ask(note("   ")).is_err());
    let late = Command::Note { incident: None, text: "x".into(), happened_at: Some(Time::from_ms(w.now + 60_000)) };
    assert!(w.ask(late).unwrap_err().contains("future"));
}

#[test]
fn with_several_incidents_open_a_command_asks_which() {
    let mut w = World::new();
    let one = w.declare("one");
    w.declare("two");
    let why = w.ask(Command::Acknowledge { incident: None }).unwrap_err();
    assert!(why.contains("2 incidents are open"), "{why}");
    w.ask(Command::Acknowledge { incident: Some(one.clone()) }).unwrap();
    assert_eq!(w.state.incidents[&one].commander(), Some("ann"));
    assert!(w.ask(Command::Acknowledge { incident: Some(one) }).unwrap_err().contains("already"));
}

#[test]
fn update_due_counts_from_the_last_accepted_word() {
    let mut w = World::new();
    w.health("api", Health::Down);
    let id = w.declare("x");
    let declared = w.state.incidents[&id].declared_at;
    let due = |w: &World| w.state.update_due(&w.state.incidents[&id]).unwrap();
    assert_eq!(due(&w).ms_since(declared), 900_000);
    w.ask(Command::Send {
        incident: None,
        template: Template::Update,
        subject: "s".into(),
        body: "b".into(),
        channels: vec!["chat".into()],
    })
    .unwrap();
    assert_eq!(due(&w).ms_since(declared), 900_000, "queued is not accepted");
    let message = w.state.message_order[0].clone();
    let attempt = |result| MessageAttempted {
        message: message.clone(),
        channel: "chat".into(),
        attempt: 1,
        result,
        answer: String::new(),
        next_at: None,
        head: String::new(),
    };
    w.happened(Some(id.clone()), attempt(Delivery::Retrying));
    assert_eq!(due(&w).ms_since(declared), 900_000);
    w.happened(Some(id.clone()), attempt(Delivery::Accepted));
    assert_eq!(due(&w).ms_since(Time::from_ms(w.now)), 900_000);
}

#[test]
fn unknown_names_are_refused_with_the_known_ones() {
    let mut w = World::new();
    let services = BTreeSet::from(["apo".to_owned()]);
    let why = w.ask(Command::Declare { title: "x".into(), severity: None, services, onset: None }).unwrap_err();
    assert!(why.contains("\"apo\"") && why.contains("api"), "{why}");
    let channels = vec!["mail".to_owned()];
    w.declare("x");
    let send =
        Command::Send { incident: None, template: Template::Update, subject: "s".into(), body: "b".into(), channels };
    assert!(w.ask(send).unwrap_err().contains("chat"));
}

/// Steps of a random story.
#[derive(Clone, Debug)]
enum Story {
    Ask(Command),
    Health(String, Health),
    Finish(u8, Verdict),
    Attempt(u8, Delivery),
    Foreign(String),
}

fn service() -> impl Strategy<Value = String> {
    prop_oneof![Just("api"), Just("db"), Just("web"), Just("nothing")].prop_map(str::to_owned)
}

fn health() -> impl Strategy<Value = Health> {
    prop_oneof![Just(Health::Up), Just(Health::Down), Just(Health::Degraded), Just(Health::Unknown)]
}

fn story() -> impl Strategy<Value = Story> {
    let status = (0usize..5).prop_map(|i| Status::ALL[i]);
    let severity = (0usize..4).prop_map(|i| Severity::ALL[i]);
    let which = prop_oneof![Just(None), (1u32..4).prop_map(|n| Some(format!("INC-2027-{n:03}")))];
    let command = prop_oneof![
        (".{0,30}", proptest::option::of(severity.clone()), proptest::collection::btree_set(service(), 0..3))
            .prop_map(|(title, severity, services)| Command::Declare { title, severity, services, onset: None }),
        which.clone().prop_map(|incident| Command::Acknowledge { incident }),
        (which.clone(), severity).prop_map(|(incident, severity)| Command::SetSeverity {
            incident,
            severity,
            reason: String::new()
        }),
        (which.clone(), status, any::<bool>()).prop_map(|(incident, status, force)| Command::SetStatus {
            incident,
            status,
            reason: "because".into(),
            force
        }),
        (which.clone(), ".{0,20}").prop_map(|(incident, reason)| Command::Reopen { incident, reason }),
        (which.clone(), ".{0,200}").prop_map(|(incident, text)| Command::Note { incident, text, happened_at: None }),
        (0u8..12, service(), any::<bool>()).prop_map(|(id, service, yes)| Command::Run {
            plan: Box::new(plan(&format!("r{id}"), &service, Risk::Disruptive)),
            confirm: if yes { "y".into() } else { String::new() },
            reason: String::new(),
            unlogged: false,
        }),
        (0u8..12).prop_map(|id| Command::Cancel { run: format!("r{id}"), reason: String::new() }),
        (which, ".{0,40}").prop_map(|(incident, body)| Command::Send {
            incident,
            template: Template::Update,
            subject: "s".into(),
            body,
            channels: vec!["chat".into()]
        }),
        service().prop_map(|service| Command::Pause {
            service,
            until: Time::from_ms(T0 + 3_600_000),
            reason: "work".into()
        }),
        service().prop_map(|service| Command::Resume { service, reason: String::new() }),
    ];
    prop_oneof![
        6 => command.prop_map(Story::Ask),
        3 => (service(), health()).prop_map(|(s, h)| Story::Health(s, h)),
        1 => (0u8..12, prop_oneof![Just(Verdict::Verified), Just(Verdict::Unverified), Just(Verdict::Contradicted)])
            .prop_map(|(r, v)| Story::Finish(r, v)),
        1 => (0u8..6, prop_oneof![Just(Delivery::Accepted), Just(Delivery::Retrying), Just(Delivery::Refused)])
            .prop_map(|(m, d)| Story::Attempt(m, d)),
        1 => "[a-z.]{1,12}".prop_map(Story::Foreign),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// The live state is the fold of what was written, read back from what stands on the disk; and every entry has a
    /// harmless row.
    #[test]
    fn live_state_equals_replayed_state(steps in proptest::collection::vec(story(), 1..60)) {
        let mut w = World::new();
        for step in steps {
            match step {
                Story::Ask(command) => { let _ = w.ask(command); }
                Story::Health(service, to) => w.health(&service, to),
                Story::Finish(run, verdict) => w.happened(None, RunFinished {
                    run: format!("r{run}"), state: RunState::Succeeded, exit: Some(0), verdict, detail: String::new(),
                    finished_at: None, output_digest: String::new(), excerpt: String::new(),
                }),
                Story::Attempt(n, result) => {
                    if let Some(message) = w.state.message_order.get(usize::from(n)).cloned() {
                        w.happened(None, MessageAttempted {
                            message, channel: "chat".into(), attempt: 1, result, answer: "ok".into(), next_at: None, head: String::new() });
                    }
                }
                Story::Foreign(kind) => {
                    let payload = serde_json::json!({ "from": "a later version" });
                    w.happened(None, Event::Unknown { kind, payload });
                }
            }
        }
        let read_back: Vec<Entry> = w
            .entries
            .iter()
            .map(|e| Entry { event: Event::read(e.event.kind(), e.event.payload()), ..e.clone() })
            .collect();
        prop_assert_eq!(&State::replay(&read_back), &w.state);
        let stored = serde_json::to_string(&w.state).unwrap();
        let from_checkpoint: State = serde_json::from_str(&stored).unwrap();
        prop_assert_eq!(&from_checkpoint, &w.state);
        for entry in &w.entries {
            let row = timeline::row(entry);
            let foreign = matches!(&entry.event, Event::Unknown { .. });
            prop_assert!(foreign || !row.text.is_empty());
            prop_assert!(!row.text.contains(|c: char| c.is_control()));
        }
        let running: Vec<_> = w.state.runs.values().filter(|r| !r.state.is_over()).collect();
        for a in &running {
            for b in &running {
                prop_assert!(a.id() == b.id() || !a.plan.holds.iter().any(|h| b.plan.holds.contains(h)));
            }
        }
    }
}

#[test]
fn every_kind_survives_the_way_to_the_disk_and_back() {
    let mut w = World::new();
    w.declare("x");
    for entry in &w.entries {
        let event = Event::read(entry.event.kind(), entry.event.payload());
        assert_eq!(event, entry.event);
        assert!(Event::KINDS.contains(&event.kind()));
    }
    let damaged = Event::read("note.added", serde_json::json!({ "redacted": 7 }));
    assert!(matches!(damaged, Event::Unknown { .. }), "a redacted payload is kept as it is");
}
