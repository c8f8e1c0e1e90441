//! Figures over several incidents, worked out by hand.

use mayday::domain::event::{Entry, Event};
use mayday::report::{Kpi, Value, measure};

use super::incidents::{self, ID, Told};

/// The incidents one after another, each on its own day of November 2026 under its own number.
fn one_journal(told: &[(u32, &str, Told)]) -> Vec<Entry> {
    let mut out: Vec<Entry> = Vec::new();
    for (day, id, told) in told {
        for entry in &told.entries {
            let moved = |text: String| text.replace("2026-11-20T", &format!("2026-11-{day:02}T"));
            let payload = serde_json::from_str(&moved(entry.event.payload().to_string())).unwrap();
            let at: String = serde_json::to_value(entry.at).unwrap().as_str().unwrap().to_owned();
            out.push(Entry {
                seq: out.len() as u64 + 1,
                at: mayday::domain::Time::parse(&moved(at)).unwrap(),
                incident: entry.incident.as_ref().map(|_| (*id).to_owned()),
                event: Event::read(entry.event.kind(), payload),
                ..entry.clone()
            });
        }
    }
    out
}

fn three() -> Vec<Entry> {
    one_journal(&[
        (20, "INC-2026-001", incidents::missing_ack()),
        (22, "INC-2026-002", incidents::reopened()),
        (24, "INC-2026-003", incidents::still_open()),
    ])
}

fn day(text: &str) -> Option<mayday::domain::Time> {
    Some(mayday::domain::Time::parse(&format!("{text}T00:00:00Z")).unwrap())
}

fn end() -> mayday::domain::Time {
    day("2027-02-01").unwrap()
}

#[test]
fn durations_are_spread_and_what_is_missing_is_counted() {
    let kpi = Kpi::of(&three(), None, None, end()).unwrap();
    assert_eq!(kpi.incidents, ["INC-2026-001", "INC-2026-002", "INC-2026-003"]);
    assert_eq!(kpi.open, 1);
    let ttr = kpi.durations.iter().find(|d| d.name == "ttr").unwrap();
    // 16 min 40 s and 59 min; the third is open.
    assert_eq!((ttr.n, ttr.not_recorded), (2, 1));
    assert_eq!((ttr.min_ms, ttr.median_ms), (Some(1_000_000), Some(2_270_000)));
    assert_eq!((ttr.p90_ms, ttr.max_ms), (Some(3_540_000), Some(3_540_000)));
    assert_eq!(ttr.incidents, ["INC-2026-001", "INC-2026-002"]);
    let tbf = kpi.durations.iter().find(|d| d.name == "tbf").unwrap();
    let onset = |entries: &[Entry]| match measure::measure(entries, ID).unwrap().get("onset").unwrap().value {
        Value::At(at) => at.ms().rem_euclid(86_400_000),
        ref other => panic!("{other:?}"),
    };
    let end = |hms: i64| hms * 1000;
    let first = 2 * 86_400_000 + onset(&incidents::reopened().entries) - end(2 * 3600 + 20 * 60);
    let second = 2 * 86_400_000 + onset(&incidents::still_open().entries) - end(12 * 3600);
    assert_eq!(tbf.n, 2);
    assert_eq!(tbf.median_ms, Some(first.min(second) + (first - second).abs() / 2));
    let rto = kpi.shares.iter().find(|s| s.name == "rto").unwrap();
    assert!(rto.missed.contains(&"api in INC-2026-001, by 2m20s".to_owned()), "{rto:?}");
    assert_eq!(rto.good + rto.missed.len(), rto.of);
    let text = kpi.lines().join("\n");
    assert!(!text.contains("mean") && text.contains("median") && text.contains("not: api in INC-2026-001"), "{text}");
}

#[test]
fn only_what_was_declared_in_the_stretch_counts_and_nothing_is_said_of_nothing() {
    let kpi = Kpi::of(&three(), day("2026-11-21"), day("2026-11-23"), end()).unwrap();
    assert_eq!(kpi.incidents, ["INC-2026-002"]);
    let none = Kpi::of(&three(), day("2027-01-01"), None, end()).unwrap();
    assert!(none.incidents.is_empty() && none.durations.iter().all(|d| d.median_ms.is_none() && d.n == 0));
    assert!(none.shares.iter().all(|s| s.percent.is_none()));
    assert_eq!(none.lines().len(), 1, "{:?}", none.lines());
}

#[test]
fn a_restore_counts_when_it_was_verified_and_not_when_it_was_called_off() {
    let kpi = Kpi::of(&incidents::restored().entries, None, None, end()).unwrap();
    let restores = kpi.shares.iter().find(|s| s.name == "restores").unwrap();
    assert!(restores.of > restores.good && restores.good > 0, "{restores:?}");
    assert_eq!(restores.of - restores.good, restores.missed.len());
    assert!(restores.missed.iter().all(|m| m.contains("run ")), "{restores:?}");
}
