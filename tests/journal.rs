//! The record, through its public face.
use mayday::domain::event::{Event, NoteAdded};
use mayday::domain::{Actor, Time};
use mayday::journal::*;

fn note(n: u64) -> Draft {
    Draft {
        at: Time::from_ms(1_795_000_000_000 + n as i64),
        boot_ms: n,
        boot: "b".into(),
        actor: Actor::engine(),
        incident: (n % 3 == 0).then(|| "INC-1".into()),
        event: Event::from(NoteAdded {
            text: format!("note {n}"),
            happened_at: None,
        }),
    }
}

#[test]
fn smoke() {
    let dir = tempfile::tempdir().unwrap();
    let (mut j, o) = Journal::open(
        dir.path(),
        OpenOptions {
            rotate_bytes: 5000,
            ..OpenOptions::new("h")
        },
    )
    .unwrap();
    assert_eq!(o, Opened::default());
    for i in 0..100 {
        j.append(&[note(2 * i), note(2 * i + 1)]).unwrap();
        if i == 50 {
            j.checkpoint(77, &serde_json::json!({"a":1})).unwrap()
        }
    }
    assert_eq!(
        j.entries(1).unwrap().map(|e| e.unwrap().seq).collect::<Vec<_>>(),
        (1..=200).collect::<Vec<_>>()
    );
    assert_eq!(
        j.incident_page("INC-1", 3, 5)
            .unwrap()
            .entries
            .iter()
            .map(|e| e.seq)
            .collect::<Vec<_>>(),
        [10, 13, 16, 19, 22]
    );
    let head = j.head();
    drop(j);
    let (j, o) = Journal::open(dir.path(), OpenOptions::new("h")).unwrap();
    println!("{o:?}");
    assert_eq!(j.head(), head);
    assert_eq!(o.since, 123);
    assert_eq!(j.tail(3).unwrap().entries.len(), 3);
    println!(
        "{}",
        std::fs::read_to_string(dir.path().join("journal-000001.jsonl"))
            .unwrap()
            .lines()
            .next()
            .unwrap()
    );
    println!(
        "{}",
        String::from_utf8_lossy(
            &std::process::Command::new("ls")
                .arg("-ls")
                .arg(dir.path())
                .output()
                .unwrap()
                .stdout
        )
    );
}
