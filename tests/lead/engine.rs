//! The engine on a clock that the test moves, with a web hook that accepts and refuses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mayday::domain::Access;
use mayday::domain::cadence::Word;
use mayday::domain::command::Command;
use mayday::domain::incident::Status;
use mayday::domain::message::{Delivery, Template};
use mayday::engine::{self, Options, Running};
use mayday::sys::clock::FakeClock;
use mayday::wire::client::Client;
use mayday::wire::{Answer, Ask, FromEngine, IncidentView, Mirror};

use crate::support;

const WAIT: Duration = Duration::from_secs(30);

struct World {
    _dir: tempfile::TempDir,
    clock: FakeClock,
    _running: Running,
    client: Client,
    mirror: Mirror,
}

impl World {
    async fn start(config: &str) -> World {
        let dir = support::scratch();
        std::fs::write(dir.path().join("mayday.toml"), config).unwrap();
        let clock = FakeClock::new(1_800_000_000_000);
        let options = Options {
            state_dir: dir.path().join("state"),
            config: Some(dir.path().join("mayday.toml")),
            clock: Arc::new(clock.clone()),
            exe: support::home::mayday_binary(),
            sandbox: false,
        };
        let running = engine::start(options).await.unwrap();
        let mut client = Client::connect(&dir.path().join("state"), "viewer", Access::Responder, WAIT).await.unwrap();
        client.send("test", Ask::Follow).await.unwrap();
        World { _dir: dir, clock, _running: running, client, mirror: Mirror::default() }
    }

    async fn act(&mut self, command: Command) -> Answer {
        let id = self.client.send("test", Ask::Do(command)).await.unwrap();
        loop {
            match tokio::time::timeout(WAIT, self.client.next()).await.expect("an answer in time").unwrap().unwrap() {
                FromEngine::Reply(reply) if reply.id == id => return reply.answer,
                FromEngine::Reply(_) => {}
                FromEngine::Change(change) => drop(self.mirror.apply(*change)),
            }
        }
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&Mirror) -> bool) {
        let begun = Instant::now();
        while !holds(&self.mirror) {
            match tokio::time::timeout(WAIT.saturating_sub(begun.elapsed()), self.client.next()).await {
                Ok(Ok(Some(FromEngine::Change(change)))) => drop(self.mirror.apply(*change)),
                Ok(Ok(Some(FromEngine::Reply(_)))) => {}
                other => panic!("{what}: {other:?}; last picture: {:#?}", self.mirror),
            }
        }
    }

    async fn declare(&mut self) -> String {
        let command = Command::Declare {
            title: "api down".into(),
            severity: Some(mayday::domain::catalog::Severity::P0),
            services: Default::default(),
            onset: None,
        };
        let Answer::Done { incident: Some(id), .. } = self.act(command).await else { panic!("not declared") };
        self.until("the incident", |m| m.incidents.contains_key(&id)).await;
        id
    }

    async fn send(&mut self, template: Template) -> String {
        let command = Command::Send {
            incident: None,
            template,
            subject: "s".into(),
            body: "b".into(),
            channels: vec!["hook".into()],
        };
        let Answer::Done { message: Some(id), .. } = self.act(command).await else { panic!("not queued") };
        id
    }

    fn view(&self, id: &str) -> &IncidentView {
        &self.mirror.incidents[id]
    }

    fn view_of_api(&self) -> mayday::domain::Time {
        self.mirror.services["api"].observed_at.unwrap()
    }

    fn minutes(&self, minutes: u64) {
        self.clock.advance(minutes * 60_000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_a_channel_accepted_moves_the_cadence_and_a_draft_lies_ready() {
    // The first message is refused for good, the ones after it are taken.
    let server = support::HttpScript::start(vec![support::Answer::status(400), support::Answer::ok("fine")]);
    let config = format!(
        "[system]\nname = \"shop\"\n[[channel]]\nname = \"hook\"\nwebhook = {{ url = \"{}\" }}\n",
        server.url("/hook")
    );
    let mut w = World::start(&config).await;
    let id = w.declare().await;
    let due = w.view(&id).leading.due.unwrap();
    assert_eq!(due.what, Word::First);
    let promised = due.at;

    let refused = w.send(Template::Initial).await;
    w.until("refused", |m| m.messages.get(&refused).is_some_and(|m| m.is_done())).await;
    assert_eq!(w.mirror.messages[&refused].channels["hook"].state, Delivery::Refused);
    w.act(Command::Note { incident: None, text: "seen".into(), happened_at: None }).await;
    assert_eq!(w.view(&id).leading.due.unwrap().at, promised, "refused is not told");
    assert!(w.view(&id).leading.draft.is_none());

    // Two minutes before it is due a draft lies ready.
    w.minutes(3);
    w.until("the draft", |m| m.incidents[&id].leading.draft.is_some()).await;
    let draft = w.view(&id).leading.draft.clone().unwrap();
    assert_eq!(draft.template, Template::Initial);
    assert!(draft.subject.contains("api down"), "{}", draft.subject);

    let accepted = w.send(Template::Initial).await;
    w.until("accepted", |m| m.messages.get(&accepted).is_some_and(|m| m.is_done())).await;
    w.until("the next due", |m| m.incidents[&id].leading.due.is_some_and(|d| d.what == Word::Update)).await;
    let at = w.mirror.messages[&accepted].channels["hook"].at;
    assert_eq!(w.view(&id).leading.due.unwrap().at, at.plus(Duration::from_secs(900)));
    w.until("no draft any more", |m| m.incidents[&id].leading.draft.is_none()).await;

    // An hour back: the deadline keeps its distance. What happened since stands in the next draft.
    let left = w.view(&id).leading.due.unwrap().at.since(at);
    w.clock.set_wall(mayday::sys::clock::Clock::wall_ms(&w.clock) - 3_600_000);
    let (incident, reason) = (None, "the disk of db1 was full".to_owned());
    w.act(Command::SetStatus { incident, status: Status::Identified, reason, force: false }).await;
    w.until("carried over", |m| {
        m.incidents[&id].leading.due.is_some_and(|d| d.at == at.minus(Duration::from_secs(3600)).plus(left))
    })
    .await;
    w.minutes(13);
    w.until("the second draft", |m| m.incidents[&id].leading.draft.is_some()).await;
    let draft = w.view(&id).leading.draft.clone().unwrap();
    assert_eq!(draft.template, Template::Update);
    assert!(draft.body.contains("the disk of db1 was full"), "{}", draft.body);
    assert!(draft.body.contains("Next update by"), "{}", draft.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn levels_are_called_in_their_time_over_a_jump_and_a_sleep_until_nobody_is_left() {
    let server = support::HttpScript::start(vec![support::Answer::ok("fine")]);
    let config = format!(
        r#"
[system]
name = "shop"
[severity.P0]
escalate = ["on-call", "manager", "director"]
[[channel]]
name = "hook"
webhook = {{ url = "{}" }}
[[contact]]
name = "Ann"
levels = ["on-call"]
channels = ["hook"]
[[contact]]
name = "Bo"
levels = ["manager", "director"]
phone = "1"
channels = ["hook"]
"#,
        server.url("/hook")
    );
    let mut w = World::start(&config).await;
    let id = w.declare().await;
    let called = |m: &Mirror| m.incidents[&id].incident.clock.escalation.called.len();
    w.until("level 1", |m| called(m) == 1).await;
    w.until("delivered", |m| m.messages.values().any(|m| m.is_done())).await;
    let told = server.requests();
    assert_eq!(told.len(), 1);
    let body = told[0].json();
    assert_eq!(body["entry"]["template"], "escalation");
    assert!(body["entry"]["body"].as_str().unwrap().contains("mayday incident ack"), "{body}");
    assert_eq!(w.view(&id).leading.due.unwrap().what, Word::First, "those who wait were told nothing");

    w.minutes(3);
    w.clock.set_wall(mayday::sys::clock::Clock::wall_ms(&w.clock) - 3_600_000);
    w.act(Command::Note { incident: None, text: "an hour back".into(), happened_at: None }).await;
    assert_eq!(called(&w.mirror), 1);
    w.minutes(2);
    w.until("level 2", |m| called(m) == 2).await;
    // Asleep for an hour: one level, which then has its time.
    w.clock.suspend(3_600_000);
    w.until("level 3", |m| called(m) == 3).await;
    w.act(Command::Note { incident: None, text: "awake".into(), happened_at: None }).await;
    assert!(w.view(&id).incident.clock.escalation.ended.is_none());
    w.minutes(5);
    w.until("the end", |m| m.incidents[&id].incident.clock.escalation.ended.is_some()).await;
    w.until("all delivered", |m| m.messages.values().filter(|m| m.is_done()).count() == 3).await;
    assert_eq!(server.requests().len(), 3);
    let names: Vec<&str> = w.view(&id).incident.clock.escalation.called.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["on-call", "manager", "director"]);

    // Somebody takes it: nothing is due on the ladder any more.
    w.act(Command::Acknowledge { incident: None }).await;
    w.until("taken", |m| m.incidents[&id].leading.next_level.is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_onset_is_the_first_failing_probe_even_of_what_is_not_confirmed_yet() {
    let config = "[system]\nname = \"shop\"\n[[service]]\nname = \"api\"\n[[service.exec]]\nname = \"probe\"\n\
                  run = [\"sh\", \"-c\", \"exit 2\"]\nevery = \"500ms\"\ntimeout = \"400ms\"\nretry_interval = \"100ms\"\n\
                  incident_interval = \"100ms\"\ndown_after = 100\ndown_ratio = \"10/10\"\n";
    let mut w = World::start(config).await;
    w.until("a failure", |m| m.services.get("api").is_some_and(|s| s.observed_at.is_some())).await;
    let first = w.view_of_api();
    w.clock.advance(90_000);
    let command =
        Command::Declare { title: "api down".into(), severity: None, services: ["api".to_owned()].into(), onset: None };
    let Answer::Done { incident: Some(id), .. } = w.act(command).await else { panic!("not declared") };
    w.until("the onset", |m| m.incidents.get(&id).is_some_and(|i| i.incident.onset.is_some())).await;
    let onset = w.view(&id).incident.onset.unwrap();
    assert!(onset <= first && onset < w.view(&id).incident.declared_at, "{onset} is not before {first}");
    assert_eq!(w.view(&id).incident.clock.onset_by, None);
    // By hand: another one, by whom.
    let onset = onset.minus(Duration::from_secs(60));
    let reason = "first complaint".into();
    w.act(Command::SetOnset { incident: None, onset, reason }).await;
    w.until("by hand", |m| m.incidents[&id].incident.onset == Some(onset)).await;
    assert!(w.view(&id).incident.clock.onset_by.is_some());
}
