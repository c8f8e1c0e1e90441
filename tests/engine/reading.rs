//! What a screen that can change nothing reads of its engine, and what it makes of the picture without it.

use mayday::domain::Access;
use mayday::domain::command::{Command, HypothesisAsk};
use mayday::domain::handoff;
use mayday::domain::message::Template;
use mayday::wire::{Answer, Ask};

use super::{CONFIG, World, declare, note};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_viewer_reads_drafts_and_how_it_stands() {
    let w = World::start(CONFIG).await;
    let mut one = w.viewer(Access::Responder).await.follow().await;
    let Answer::Done { incident: Some(id), .. } = one.act(declare("api down")).await else { panic!("not declared") };
    one.act(Command::Acknowledge { incident: None }).await;
    one.act(Command::Tag { service: "web".into(), reason: "looked into".into(), over: false }).await;
    let ask = HypothesisAsk::Open { text: "the disk is full".into() };
    one.act(Command::Hypothesis { incident: None, ask }).await;
    one.until("api is down", |m| m.services.get("api").is_some_and(|s| s.down_since.is_some())).await;
    let mut reader = w.viewer(Access::ReadOnly).await.follow().await;
    let draft = reader.ask(Ask::Draft { template: Template::Update, incident: Some(id.clone()) }).await;
    assert!(matches!(&draft, Answer::Draft { subject, .. } if subject.contains(&id)), "{draft:?}");
    assert!(matches!(reader.act(note("x")).await, Answer::Refused(_)));
    // The picture alone says the same as the engine: that is what is read when the engine is gone.
    let Answer::Capsule { sections, .. } = reader.ask(Ask::Capsule { incident: None }).await else {
        panic!("no capsule")
    };
    let titles: Vec<&str> = sections.iter().map(|s| s.title.as_str()).collect();
    assert_eq!(titles, ["what", "lead", "due", "down", "hands off", "open", "told"], "{sections:#?}");
    let wanted = sections.clone();
    reader
        .until("the picture says the same as the engine", |m| {
            m.facts(&id).is_some_and(|facts| handoff::capsule(&facts) == wanted)
        })
        .await;
}
