//! A journal in memory, on a clock that stands still until it is moved.

use std::collections::BTreeMap;

use mayday::domain::cadence::{self, Word};
use mayday::domain::catalog::{Catalog, ChannelFacts, Cost, ServiceFacts, Severity, SeverityFacts};
use mayday::domain::command::{Command, Context};
use mayday::domain::decide::decide;
use mayday::domain::escalation::{self, ContactFacts, Due};
use mayday::domain::event::{self, Entry, Event};
use mayday::domain::health::Health;
use mayday::domain::incident::{Incident, Status};
use mayday::domain::message::{Delivery, Template};
use mayday::domain::phases::IncidentPhase;
use mayday::domain::state::State;
use mayday::domain::{Actor, Time};

const T0: i64 = 1_800_000_000_000;
pub const MINUTE: i64 = 60_000;

pub fn catalog() -> Catalog {
    let minutes = |m: u64| m * 60_000;
    let ends = |list: [u64; 6]| IncidentPhase::ALL.into_iter().zip(list.map(minutes)).collect();
    let p0 = SeverityFacts {
        respond_within_ms: Some(minutes(5)),
        update_every_ms: Some(minutes(15)),
        first_word_within_ms: Some(minutes(5)),
        resolution_within_ms: Some(minutes(5)),
        review_within_ms: Some(minutes(1440)),
        phases: ends([5, 15, 30, 60, 240, 1440]),
        escalate: ["on-call", "manager", "director"].map(str::to_owned).to_vec(),
        escalate_after_ms: None,
    };
    let p1 = SeverityFacts {
        respond_within_ms: Some(minutes(15)),
        update_every_ms: Some(minutes(30)),
        phases: ends([15, 30, 60, 120, 480, 2880]),
        escalate: ["on-call", "senior engineer"].map(str::to_owned).to_vec(),
        ..p0.clone()
    };
    let p2 = SeverityFacts {
        respond_within_ms: Some(minutes(60)),
        update_every_ms: None,
        first_word_within_ms: None,
        resolution_within_ms: None,
        escalate: Vec::new(),
        ..p1.clone()
    };
    let contact = |level: &str, channels: &[&str]| ContactFacts {
        levels: vec![level.to_owned()],
        channels: channels.iter().map(|c| (*c).to_owned()).collect(),
    };
    let service = |tier| ServiceFacts { tier, checked: true, ..ServiceFacts::default() };
    Catalog {
        system: "shop".into(),
        environment: "production".into(),
        services: [("api", service(1)), ("web", service(2))].map(|(n, s)| (n.to_owned(), s)).into(),
        channels: ["chat", "sms"].map(|n| ChannelFacts { name: n.into(), kind: "webhook".into() }).to_vec(),
        severities: BTreeMap::from([(Severity::P0, p0), (Severity::P1, p1), (Severity::P2, p2)]),
        contacts: BTreeMap::from([
            ("Ann".to_owned(), contact("on-call", &["chat"])),
            ("Bo".to_owned(), contact("manager", &["sms"])),
            ("Cy".to_owned(), contact("director", &[])),
        ]),
        // One EUR for each millisecond.
        cost: Some(Cost { per_hour: 3_600_000.0, currency: "EUR".into() }),
        ..Catalog::default()
    }
}

/// A journal in memory, with the engine's part in the escalation.
pub struct World {
    pub state: State,
    pub entries: Vec<Entry>,
    wall: i64,
    boot_ms: u64,
}

impl World {
    pub fn new() -> World {
        let mut world = World { state: State::default(), entries: vec![], wall: T0, boot_ms: 1000 };
        world.engine(None, event::ConfigLoaded { digest: "d".into(), source: "s".into(), catalog: catalog() });
        world
    }

    pub fn now(&self) -> Time {
        Time::from_ms(self.wall)
    }

    pub fn pass(&mut self, minutes: i64) {
        self.wall += minutes * MINUTE;
        self.boot_ms += u64::try_from(minutes * MINUTE).unwrap();
    }

    /// The wall clock jumps; the engine notices before it writes anything else.
    pub fn jump(&mut self, by_ms: i64) {
        self.wall += by_ms;
        self.engine(None, event::ClockStepped { by_ms });
    }

    pub fn write(&mut self, actor: Actor, incident: Option<String>, event: Event) {
        let entry = Entry {
            seq: self.entries.len() as u64 + 1,
            at: self.now(),
            boot_ms: self.boot_ms,
            boot: "boot".into(),
            host: "host".into(),
            actor,
            incident,
            event,
        };
        self.state.apply(&entry);
        self.entries.push(entry);
    }

    pub fn engine(&mut self, incident: Option<String>, event: impl Into<Event>) {
        self.write(Actor::engine(), incident, event.into());
    }

    pub fn ask(&mut self, command: Command) -> Result<(), String> {
        let actor = Actor { user: "ann".into(), uid: Some(1000), ..Actor::default() };
        let ctx = Context {
            now: self.now(),
            boot_ms: self.boot_ms,
            boot: "boot".into(),
            actor: actor.clone(),
            fresh: format!("f{}", self.entries.len()),
        };
        for one in decide(&self.state, command, &ctx).map_err(|r| r.to_string())? {
            self.write(actor.clone(), one.incident, one.event);
        }
        Ok(())
    }

    pub fn declare(&mut self, title: &str, severity: Severity, services: &[&str]) -> String {
        let services = services.iter().map(|s| (*s).to_owned()).collect();
        self.ask(Command::Declare { title: title.into(), severity: Some(severity), services, onset: None }).unwrap();
        self.state.incidents.values().max_by_key(|i| i.declared_seq).unwrap().id.clone()
    }

    pub fn incident(&self, id: &str) -> &Incident {
        &self.state.incidents[id]
    }

    pub fn status(&mut self, id: &str, status: Status) {
        let incident = Some(id.to_owned());
        self.ask(Command::SetStatus { incident, status, reason: String::new(), force: false }).unwrap();
    }

    pub fn severity(&mut self, id: &str, severity: Severity) {
        let reason = "worse than thought".into();
        self.ask(Command::SetSeverity { incident: Some(id.to_owned()), severity, reason }).unwrap();
    }

    pub fn health(&mut self, service: &str, to: Health) {
        let from = self.state.services.get(service).map(|r| r.state).unwrap_or_default();
        let event = event::HealthChanged {
            service: service.into(),
            from,
            to,
            check: "http".into(),
            detail: String::new(),
            because: None,
            happened_at: None,
        };
        let incident = self.state.open_incidents().first().map(|i| i.id.clone());
        self.engine(incident, event);
    }

    /// A message is queued and its channel answers so.
    pub fn message(&mut self, incident: &str, template: Template, result: Delivery) {
        let id = format!("m{}", self.entries.len());
        let queued = event::MessageQueued {
            id: id.clone(),
            template,
            subject: "s".into(),
            body: "b".into(),
            channels: vec!["chat".into()],
            automatic: false,
        };
        self.engine(Some(incident.to_owned()), queued);
        let attempted = event::MessageAttempted {
            message: id,
            channel: "chat".into(),
            attempt: 1,
            result,
            answer: String::new(),
            next_at: None,
            head: String::new(),
        };
        self.engine(Some(incident.to_owned()), attempted);
    }

    /// What the engine does at every turn; gives the sentences of what it wrote.
    pub fn escalate(&mut self, id: &str) -> Vec<String> {
        let before = self.entries.len();
        for _ in 0..10 {
            match escalation::due(&self.state, self.incident(id), self.now()) {
                Due::Nothing | Due::Wait { .. } => break,
                Due::Call { level, name, why } => {
                    let (contacts, channels) = escalation::reach(&self.state, &name);
                    let called = self.incident(id).clock.escalation.called.len();
                    let message = if channels.is_empty() { String::new() } else { escalation::message_id(id, called) };
                    let event = event::IncidentEscalated { level, name, contacts, channels, message, why };
                    self.engine(Some(id.to_owned()), event);
                }
                Due::Queue(called) => {
                    let event = event::MessageQueued {
                        id: called.message,
                        template: Template::Escalation,
                        subject: "s".into(),
                        body: "b".into(),
                        channels: called.channels,
                        automatic: true,
                    };
                    self.engine(Some(id.to_owned()), event);
                }
                Due::End { why } => self.engine(Some(id.to_owned()), event::IncidentUnanswered { why }),
            }
        }
        let new = self.entries.iter().skip(before).filter(|e| !matches!(e.event, Event::MessageQueued(_)));
        new.map(|e| mayday::domain::timeline::row(e).text).collect()
    }

    pub fn due(&self, id: &str) -> Option<(Word, i64)> {
        let due = cadence::due(&self.state, self.incident(id))?;
        Some((due.what, due.at.ms_since(self.now()) / 1000))
    }

    pub fn t_ms(&self, id: &str) -> i64 {
        i64::try_from(self.state.elapsed(self.incident(id), self.now()).as_millis()).unwrap()
    }
}
