//! Time boxes and limits of playbooks on a clock that the test moves, jumps and puts to sleep.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mayday::domain::command::Command;
use mayday::domain::playbook::{Answer as Says, Play, PlayState, StepState};
use mayday::domain::{Access, Time};
use mayday::engine::{self, Options, Running};
use mayday::sys::clock::{Clock, FakeClock};
use mayday::wire::client::Client;
use mayday::wire::{Answer, Ask, FromEngine, Mirror};

use super::support;

const WAIT: Duration = Duration::from_secs(30);

/// An api that is up once the file is there, a step for a person, and a wait with a limit.
const CONFIG: &str = r#"
[system]
name = "shop"
[[service]]
name = "api"
[[service.exec]]
run = ["sh", "-c", "test -e HOME/api-up || exit 2"]
every = "300ms"
timeout = "250ms"
retry_interval = "100ms"
incident_interval = "100ms"
[[playbook]]
name = "one"
title = "One"
[[playbook.step]]
name = "look"
title = "Look at it"
within = "10m"
manual = "Look at the api."
[[playbook.step]]
name = "wait"
title = "Wait for the api"
wait = ["api"]
within = "5m"
"#;

struct World {
    dir: tempfile::TempDir,
    clock: FakeClock,
    _running: Running,
    client: Client,
    mirror: Mirror,
}

impl World {
    /// With the playbook at its first step.
    async fn start() -> World {
        let dir = support::scratch();
        let config = CONFIG.replace("HOME", &dir.path().display().to_string());
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
        let mut world = World { dir, clock, _running: running, client, mirror: Mirror::default() };
        world.until("the api is seen down", |m| m.services.get("api").is_some_and(|s| s.observed_at.is_some())).await;
        let (name, reason) = ("one".to_owned(), String::new());
        world.act(Command::PlaybookStart { name, incident: None, reason, text: None }).await;
        world.until("the playbook", |m| !m.playbooks.is_empty()).await;
        world
    }

    async fn act(&mut self, command: Command) {
        let id = self.client.send("test", Ask::Do(command)).await.unwrap();
        loop {
            match tokio::time::timeout(WAIT, self.client.next()).await.expect("an answer in time").unwrap().unwrap() {
                FromEngine::Reply(reply) if reply.id == id => {
                    assert!(matches!(reply.answer, Answer::Done { .. }), "{:?}", reply.answer);
                    return;
                }
                FromEngine::Reply(_) => {}
                FromEngine::Change(change) => drop(self.mirror.apply(*change)),
            }
        }
    }

    async fn answer(&mut self, answer: Says, reason: &str) {
        self.act(Command::Playbook { playbook: None, answer, reason: reason.into() }).await;
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&Mirror) -> bool) {
        let begun = Instant::now();
        while !holds(&self.mirror) {
            match tokio::time::timeout(WAIT.saturating_sub(begun.elapsed()), self.client.next()).await {
                Ok(Ok(Some(FromEngine::Change(change)))) => drop(self.mirror.apply(*change)),
                Ok(Ok(Some(FromEngine::Reply(_)))) => {}
                other => panic!("{what}: {other:?}; last picture: {:#?}", self.mirror.playbooks),
            }
        }
    }

    /// The engine has had several turns since, and looked at the api again.
    async fn turns(&mut self) {
        for _ in 0..3 {
            self.act(Command::Note { incident: None, text: "tick".into(), happened_at: None }).await;
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        self.act(Command::Note { incident: None, text: "tick".into(), happened_at: None }).await;
    }

    fn play(&self) -> &Play {
        &self.mirror.playbooks.values().next().unwrap().play
    }

    fn state_of(&self, step: &str) -> StepState {
        self.play().steps[step].state
    }

    /// What is left of the time box, seconds.
    fn left(&self) -> i64 {
        self.play().box_ends().unwrap().ms_since(Time::from_ms(self.clock.wall_ms())) / 1000
    }

    async fn at_the_wait(&mut self) {
        self.answer(Says::Done, "seen").await;
        self.until("the wait", |m| m.playbooks.values().any(|p| p.play.at.as_deref() == Some("wait"))).await;
    }

    fn bring_up(&self) {
        std::fs::write(self.dir.path().join("api-up"), "").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_box_ends_nothing_and_keeps_what_is_left_of_it_when_the_clock_jumps() {
    let mut w = World::start().await;
    assert_eq!(w.left(), 600);
    w.clock.advance(9 * 60_000);
    w.clock.set_wall(w.clock.wall_ms() - 3_600_000);
    w.turns().await;
    assert_eq!(w.left(), 60, "an hour back is no hour more");
    // Slept through: the box is over, and the step is a person's still.
    w.clock.suspend(3_600_000);
    w.turns().await;
    assert_eq!(w.left(), 60 - 3600);
    assert_eq!((w.state_of("look"), w.play().state), (StepState::UnderWay, PlayState::UnderWay));
    // Left and taken up again: time away does not count.
    w.answer(Says::Leave, "").await;
    w.until("left", |m| m.playbooks.values().any(|p| p.play.state == PlayState::Left)).await;
    w.clock.advance(1_200_000);
    w.answer(Says::Resume { take: None }, "").await;
    w.until("resumed", |m| m.playbooks.values().any(|p| p.play.state == PlayState::UnderWay)).await;
    assert_eq!(w.left(), 600);
    w.at_the_wait().await;
    assert_eq!(w.left(), 300, "the box of the next step begins with it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_a_wait_is_neither_brought_nearer_nor_put_off_by_a_jump() {
    let mut w = World::start().await;
    w.at_the_wait().await;
    w.clock.advance(4 * 60_000);
    // Hours ahead, and hours back: what is left stays a minute.
    w.clock.set_wall(w.clock.wall_ms() + 7_200_000);
    w.turns().await;
    assert_eq!((w.state_of("wait"), w.left()), (StepState::UnderWay, 60));
    w.clock.set_wall(w.clock.wall_ms() - 10_800_000);
    w.turns().await;
    assert_eq!((w.state_of("wait"), w.left()), (StepState::UnderWay, 60));
    w.clock.advance(61_000);
    w.until("the limit", |m| m.playbooks.values().any(|p| p.play.steps["wait"].state == StepState::Failed)).await;
    let detail = &w.play().steps["wait"].detail;
    assert!(detail.starts_with("not within 5m: "), "{detail}");
    // Up later: it stays failed, and another try has its own time.
    w.bring_up();
    w.turns().await;
    assert_eq!(w.state_of("wait"), StepState::Failed);
    w.answer(Says::Again, "").await;
    // What is seen counts from the try on.
    w.clock.advance(1_000);
    w.until("done", |m| m.playbooks.values().any(|p| p.play.state == PlayState::Complete)).await;
    assert_eq!(w.play().steps["wait"].failures.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_slept_looks_before_it_says_that_a_wait_has_failed() {
    let mut w = World::start().await;
    w.at_the_wait().await;
    // Up meanwhile, and nobody was awake to see it.
    w.bring_up();
    w.clock.suspend(3_600_000);
    w.until("done", |m| m.playbooks.values().any(|p| p.play.state == PlayState::Complete)).await;
    assert!(w.play().steps["wait"].failures.is_empty(), "{:?}", w.play().steps["wait"].failures);

    // Down all the while: it is said once it was looked at.
    let mut w = World::start().await;
    w.at_the_wait().await;
    w.clock.suspend(3_600_000);
    w.turns().await;
    assert_eq!(w.state_of("wait"), StepState::UnderWay, "it has just woken up");
    w.clock.advance(16_000);
    w.until("the limit", |m| m.playbooks.values().any(|p| p.play.steps["wait"].state == StepState::Failed)).await;
}
