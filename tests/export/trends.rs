//! Past incidents searched and put side by side, worked out by hand.

use std::collections::BTreeSet;

use mayday::domain::catalog::Severity;
use mayday::domain::event::{self, Entry, Event};
use mayday::domain::health::Health;
use mayday::domain::hypothesis::Standing;
use mayday::domain::incident::Status;
use mayday::domain::{Actor, Time};
use mayday::report::past::{self, Search};
use mayday::report::trends::{By, Trends};

fn time(text: &str) -> Time {
    Time::parse(&format!("{text}:00Z")).unwrap()
}

#[derive(Default)]
struct Record(Vec<Entry>);

impl Record {
    fn add(&mut self, at: &str, incident: Option<&str>, event: impl Into<Event>) {
        let at = time(at);
        self.0.push(Entry {
            seq: self.0.len() as u64 + 1,
            at,
            boot_ms: u64::try_from(at.ms()).unwrap(),
            boot: "boot".into(),
            host: "host".into(),
            actor: Actor { user: "ann".into(), ..Actor::default() },
            incident: incident.map(str::to_owned),
            event: event.into(),
        });
    }

    fn declare(&mut self, at: &str, id: &str, title: &str, service: &str, severity: Severity) {
        let services = BTreeSet::from([service.to_owned()]);
        let source = "human".into();
        self.add(
            at,
            Some(id),
            event::IncidentDeclared { title: title.into(), severity, services, onset: None, source },
        );
    }

    fn status(&mut self, at: &str, id: &str, from: Status, to: Status) {
        self.add(at, Some(id), event::IncidentStatus { from, to, reason: String::new(), forced: false });
    }

    fn health(&mut self, at: &str, service: &str, from: Health, to: Health) {
        let (service, check, detail) = (service.into(), "http".into(), String::new());
        self.add(at, None, event::HealthChanged { service, from, to, check, detail, because: None, happened_at: None });
    }

    fn cause(&mut self, at: &str, id: &str, text: &str) {
        self.add(at, Some(id), event::HypothesisOpened { hypothesis: "H1".into(), text: text.into() });
        let closed =
            event::HypothesisClosed { hypothesis: "H1".into(), standing: Standing::Confirmed, reason: "seen".into() };
        self.add(at, Some(id), closed);
    }
}

/// Two that have a cause in common, ten days apart; a false alarm; one that is open, too late to be a recurrence.
fn record() -> Vec<Entry> {
    use Health::{Down, Unknown, Up};
    use Status::{Closed, Investigating, Monitoring, Resolved};
    let mut r = Record::default();
    r.health("2026-11-02T01:50", "api", Up, Down);
    r.declare("2026-11-02T02:00", "INC-2026-001", "API down", "api", Severity::P1);
    r.add("2026-11-02T02:04", Some("INC-2026-001"), event::IncidentAcknowledged {});
    let note = |text: &str| event::NoteAdded { text: text.into(), happened_at: None };
    r.add("2026-11-02T02:05", Some("INC-2026-001"), note("too many Connections from the worker"));
    r.cause("2026-11-02T02:40", "INC-2026-001", "the pool is exhausted");
    r.health("2026-11-02T02:50", "api", Down, Up);
    r.status("2026-11-02T03:00", "INC-2026-001", Investigating, Resolved);
    r.status("2026-11-03T03:00", "INC-2026-001", Resolved, Closed);
    r.health("2026-11-12T10:00", "db", Up, Down);
    r.declare("2026-11-12T10:00", "INC-2026-002", "Database slow", "db", Severity::P2);
    let raised = event::IncidentSeverity { from: Severity::P2, to: Severity::P0, reason: "worse".into() };
    r.add("2026-11-12T10:02", Some("INC-2026-002"), raised);
    r.add("2026-11-12T10:10", Some("INC-2026-002"), event::IncidentAcknowledged {});
    // What cannot be seen has not recovered.
    r.health("2026-11-12T10:10", "db", Down, Unknown);
    r.cause("2026-11-12T10:20", "INC-2026-002", "The pool is exhausted");
    r.status("2026-11-12T10:30", "INC-2026-002", Investigating, Monitoring);
    r.health("2026-11-12T10:40", "db", Unknown, Up);
    r.status("2026-11-12T11:00", "INC-2026-002", Monitoring, Resolved);
    r.declare("2026-12-20T08:00", "INC-2026-003", "Nothing", "api", Severity::P3);
    r.add("2026-12-20T08:10", Some("INC-2026-003"), event::IncidentFalseAlarm { reason: "a test".into() });
    r.status("2026-12-20T08:10", "INC-2026-003", Investigating, Closed);
    r.declare("2026-12-25T08:00", "INC-2026-004", "API slow", "api", Severity::P2);
    r.0
}

fn trends(since: Option<&str>, by: By, mean: bool) -> Trends {
    Trends::of(&record(), since.map(time), by, mean, time("2026-12-25T09:00")).unwrap()
}

#[test]
fn times_recurrences_and_downtime_are_what_a_hand_counts() {
    let all = trends(None, By::Service, true);
    assert_eq!(all.whole.incidents, ["INC-2026-001", "INC-2026-002", "INC-2026-004"], "no false alarm");
    // The first sign of the first one is its failing probe, ten minutes before the declaration: 14 and 10 minutes.
    let figures: Vec<_> =
        all.whole.durations.iter().map(|d| (d.name.as_str(), d.n, d.not_recorded, d.median_ms, d.p90_ms)).collect();
    let min = |m: i64| Some(m * 60_000);
    assert_eq!(
        figures,
        [
            ("tta", 2, 1, min(12), min(14)),
            ("ttm", 1, 2, min(30), min(30)),
            // 70 and 60 minutes.
            ("ttr", 2, 1, min(65), min(70)),
        ]
    );
    assert_eq!(all.whole.means_ms, [min(12), min(30), min(65)]);
    let groups: Vec<_> = all.groups.iter().map(|g| (g.name.as_str(), g.incidents.len())).collect();
    assert_eq!(groups, [("api", 2), ("db", 1)]);
    let [again] = all.recurrences.as_slice() else { panic!("{:?}", all.recurrences) };
    assert_eq!((again.incident.as_str(), again.after.as_str()), ("INC-2026-002", "INC-2026-001"));
    assert_eq!(again.same, ["cause The pool is exhausted"]);
    assert_eq!(again.gap_ms, (10 * 24 + 8) * 3_600_000);
    let down: Vec<_> = all.downtime.iter().map(|d| (d.service.as_str(), d.down_ms, d.times, d.down)).collect();
    assert_eq!(down, [("api", 3_600_000, 1, false), ("db", 2_400_000, 1, false)]);
    let text = all.lines().join("\n");
    assert!(text.contains("14m") && text.contains("mean") && text.contains("came back within 30 days: 1"), "{text}");
    assert!(!trends(None, By::Service, false).lines().join("\n").contains("mean"), "a mean only on request");
}

#[test]
fn groups_and_stretches() {
    let names = |by| {
        trends(None, by, false).groups.iter().map(|g| format!("{} {}", g.name, g.incidents.len())).collect::<Vec<_>>()
    };
    assert_eq!(names(By::Weekday), ["Monday 1", "Thursday 1", "Friday 1"]);
    assert_eq!(names(By::Month), ["2026-11 2", "2026-12 1"]);
    assert_eq!(names(By::Severity), ["P0 1", "P1 1", "P2 1"], "the highest that it had");
    assert_eq!(names(By::Cause).last().unwrap(), "no cause confirmed 1");
    let late = trends(Some("2026-11-12T10:20"), By::Service, false);
    assert_eq!(late.whole.incidents, ["INC-2026-004"]);
    // Of what was down over the beginning only the rest counts.
    assert_eq!(late.downtime.iter().map(|d| (d.service.as_str(), d.down_ms)).collect::<Vec<_>>(), [("db", 1_200_000)]);
    assert!(By::parse("colour").unwrap_err().contains("service, cause"));
}

#[test]
fn the_past_is_searched() {
    let found = |search: Search| -> Vec<String> {
        past::search(past::all(&record()), &search)
            .iter()
            .map(|p| p.id.rsplit('-').next().unwrap().to_owned())
            .collect()
    };
    let words = |words: &str| Search { words: words.split(' ').map(str::to_owned).collect(), ..Search::default() };
    for (search, wanted) in [
        (Search::default(), vec!["001", "002", "003", "004"]),
        (words("api"), vec!["001", "003", "004"]),
        (words("connections worker"), vec!["001"]),
        (words("pool slow"), vec!["002"]),
        (words("nowhere"), vec![]),
        (Search { cause: Some("POOL".into()), ..Search::default() }, vec!["001", "002"]),
        (Search { severity: Some(Severity::P0), ..Search::default() }, vec!["002"]),
        (Search { service: Some("db".into()), ..Search::default() }, vec!["002"]),
        (Search { status: Some("open".into()), ..Search::default() }, vec!["004"]),
        (Search { status: Some("false-alarm".into()), ..Search::default() }, vec!["003"]),
        (Search { status: Some("closed".into()), ..Search::default() }, vec!["001"]),
        (
            Search {
                since: Some(time("2026-11-12T10:00")),
                until: Some(time("2026-12-25T08:00")),
                ..Search::default()
            },
            vec!["002", "003"],
        ),
    ] {
        assert_eq!(found(search.clone()), wanted, "{search:?}");
    }
    // The note in which it stands is told with its entry.
    let hits = past::search(past::all(&record()), &words("worker"));
    assert_eq!(hits[0].found, [(4, "too many Connections from the worker".to_owned())]);
}
