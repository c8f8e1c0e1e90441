//! Requests on a clock that the test moves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mayday::domain::Access;
use mayday::domain::approval::{Approval, ApprovalState};
use mayday::domain::command::Command;
use mayday::domain::run::Work;
use mayday::engine::{self, Options};
use mayday::sys::clock::FakeClock;
use mayday::wire::client::Client;
use mayday::wire::{Answer, Ask};

use super::support;

const WAIT: Duration = Duration::from_secs(20);
const CONFIG: &str = r#"
[system]
name = "shop"
[authority]
second_person = true
[[action]]
name = "wipe"
risk = "destructive"
run = ["true"]
"#;

async fn ask(client: &mut Client, ask: Ask) -> Answer {
    client.ask_keyed("test", String::new(), ask, WAIT).await.unwrap()
}

async fn approval(client: &mut Client, id: &str) -> Approval {
    let Answer::Picture(change) = ask(client, Ask::Picture).await else { panic!("no picture") };
    change.head.unwrap().guard.approval(id).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_minutes_are_ten_minutes_also_when_the_clock_jumps_or_the_host_sleeps() {
    let dir = support::scratch();
    std::fs::write(dir.path().join("mayday.toml"), CONFIG).unwrap();
    let clock = FakeClock::new(1_800_000_000_000);
    let options = Options {
        state_dir: dir.path().join("state"),
        config: Some(dir.path().join("mayday.toml")),
        clock: Arc::new(clock.clone()),
        exe: support::home::mayday_binary(),
        sandbox: false,
    };
    let running = engine::start(options).await.unwrap();
    let mut client = Client::connect(&dir.path().join("state"), "command", Access::Responder, WAIT).await.unwrap();
    let request = async |client: &mut Client| {
        let Answer::Plan { plan, .. } = ask(client, Ask::Plan(Work::Act { action: "wipe".into() })).await else {
            panic!("no plan")
        };
        let start =
            Ask::Start { plan: plan.id.clone(), confirm: "wipe".into(), reason: String::new(), unlogged: false };
        match ask(client, start).await {
            Answer::Approval(approval) => approval.id,
            other => panic!("{other:?}"),
        }
    };
    let first = request(&mut client).await;
    clock.advance(590_000);
    assert_eq!(approval(&mut client, &first).await.state, ApprovalState::Waiting);
    // An hour back: what is left stays ten seconds.
    clock.set_wall(1_800_000_590_000 - 3_600_000);
    ask(&mut client, Ask::Do(Command::Note { incident: None, text: "tick".into(), happened_at: None })).await;
    assert_eq!(approval(&mut client, &first).await.state, ApprovalState::Waiting);
    let break_glass = |id: &str| Ask::Do(Command::BreakGlass { approval: id.into(), reason: "why".into() });
    clock.advance(11_000);
    match ask(&mut client, break_glass(&first)).await {
        Answer::Refused(refusal) => assert!(refusal.reason.contains("expired"), "{refusal}"),
        other => panic!("{other:?}"),
    }
    let begun = Instant::now();
    while approval(&mut client, &first).await.state != ApprovalState::Expired {
        assert!(begun.elapsed() < WAIT, "the engine says that it has expired");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The lid is closed for an hour.
    let second = request(&mut client).await;
    clock.suspend(3_600_000);
    match ask(&mut client, break_glass(&second)).await {
        Answer::Refused(refusal) => assert!(refusal.reason.contains("expired"), "{refusal}"),
        other => panic!("{other:?}"),
    }
    let third = request(&mut client).await;
    assert!(matches!(ask(&mut client, break_glass(&third)).await, Answer::Done { run: Some(_), .. }));
    running.stop.cancel();
    running.wait().await;
}
