use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::domain::catalog::ServiceFacts;
use crate::domain::health::ProbeResult;
use crate::domain::health::machine::{Machine, Rules, Seed};

fn t(s: i64) -> Time {
    Time::from_ms(1_700_000_000_000 + s * 1000)
}

/// `a b:a c:a,b` are services with what they depend on; each has one check `http`, those with a `-` none.
fn catalog(text: &str) -> (Catalog, BTreeMap<String, Vec<String>>) {
    let (mut catalog, mut checks) = (Catalog::default(), BTreeMap::new());
    for word in text.split_whitespace() {
        let (name, parents) = word.split_once(':').unwrap_or((word, ""));
        let (name, checked) = match name.strip_suffix('-') {
            Some(name) => (name, false),
            None => (name, true),
        };
        let depends_on = parents.split(',').filter(|p| !p.is_empty()).map(str::to_owned).collect();
        catalog.services.insert(name.into(), ServiceFacts { depends_on, checked, ..ServiceFacts::default() });
        checks.insert(name.to_owned(), if checked { vec!["http".to_owned()] } else { Vec::new() });
    }
    (catalog, checks)
}

fn board(text: &str) -> Board {
    let (catalog, checks) = catalog(text);
    Board::new(&catalog, &checks)
}

fn status(state: Health, at: i64) -> CheckStatus {
    let outcome = match state {
        Health::Down => Outcome::Fail,
        Health::Degraded => Outcome::Warn,
        _ => Outcome::Ok,
    };
    CheckStatus {
        state,
        since: t(at),
        happened_at: t(at - 4),
        first_fail_at: (state == Health::Down).then(|| t(at - 4)),
        last: Some(Arc::new(ProbeResult::new(outcome, None, format!("is {}", state.word()), 1))),
        observed_at: Some(t(at)),
        ..CheckStatus::default()
    }
}

/// Up, failing once.
fn failing(at: i64) -> CheckStatus {
    CheckStatus {
        confirming: Some((1, 3)),
        toward: Some(Health::Down),
        first_fail_at: Some(t(at)),
        last: Some(Arc::new(ProbeResult::new(Outcome::Fail, None, "refused", 1))),
        ..status(Health::Up, at)
    }
}

/// `a down because b`, `c because -` in short.
fn told(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|e| match e {
            Event::HealthChanged(c) => match &c.because {
                Some(b) => format!("{} {} because {b}", c.service, c.to.word()),
                None => format!("{} {}", c.service, c.to.word()),
            },
            Event::HealthBecause(b) => format!("{} because {}", b.service, b.because.as_deref().unwrap_or("-")),
            other => other.kind().to_owned(),
        })
        .collect()
}

#[test]
fn a_service_is_as_bad_as_its_worst_check() {
    use Health::{Degraded, Down, Paused, Unknown, Up};
    for (states, wanted) in [
        (&[][..], Unknown),
        (&[Up], Up),
        (&[Up, Unknown], Unknown),
        (&[Up, Degraded, Unknown], Degraded),
        (&[Degraded, Down, Up], Down),
        (&[Up, Paused], Up),
        (&[Paused], Up),
        (&[Unknown, Paused], Unknown),
    ] {
        let (mut catalog, mut checks) = catalog("api");
        catalog.services.insert("x".into(), ServiceFacts::default());
        checks.insert("api".into(), (0..states.len()).map(|i| format!("c{i}")).collect());
        let mut board = Board::new(&catalog, &checks);
        for (i, state) in states.iter().enumerate() {
            board.update("api", &format!("c{i}"), status(*state, 10));
        }
        assert_eq!(board.service("api").unwrap().state, wanted, "{states:?}");
        assert_eq!(board.service("x").unwrap().state, Unknown, "nobody looks at it");
    }
}

#[test]
fn a_change_tells_when_it_began_and_why() {
    let (catalog, mut checks) = catalog("api");
    checks.insert("api".into(), vec!["http".into(), "tcp".into()]);
    let mut board = Board::new(&catalog, &checks);
    assert!(board.update("api", "http", status(Health::Up, 5)).is_empty(), "the other check has not reported");
    let events = board.update("api", "tcp", status(Health::Up, 6));
    assert_eq!(told(&events), ["api up"]);

    assert!(board.update("api", "http", failing(14)).is_empty(), "unconfirmed");
    let shown = board.service("api").unwrap();
    assert_eq!((shown.state, shown.confirming, shown.toward), (Health::Up, Some((1, 3)), Some(Health::Down)));
    assert_eq!(shown.detail, "http: refused");
    assert_eq!(shown.marks(), ["confirming down 1/3"]);

    let events = board.update("api", "http", status(Health::Down, 20));
    let Some(Event::HealthChanged(change)) = events.first() else { panic!("{events:?}") };
    assert_eq!((change.from, change.to, change.check.as_str()), (Health::Up, Health::Down, "http"));
    assert_eq!((change.detail.as_str(), change.happened_at), ("http: is down", Some(t(16))));
    let shown = board.service("api").unwrap();
    assert_eq!((shown.since, shown.down_since), (t(20), Some(t(16))));

    // Another check goes down and the first recovers: it went down when the first did.
    assert!(board.update("api", "tcp", status(Health::Down, 30)).is_empty());
    assert_eq!(board.service("api").unwrap().worst, "http", "the one that was first");
    assert!(board.update("api", "http", status(Health::Up, 40)).is_empty());
    let shown = board.service("api").unwrap();
    assert_eq!((shown.down_since, shown.worst.as_str()), (Some(t(16)), "tcp"));

    let events = board.update("api", "tcp", status(Health::Up, 50));
    let Some(Event::HealthChanged(change)) = events.first() else { panic!("{events:?}") };
    assert_eq!((change.from, change.to, change.happened_at), (Health::Down, Health::Up, Some(t(46))));
    assert_eq!(board.service("api").unwrap().down_since, None);
}

#[test]
fn a_first_success_does_not_hide_why_it_is_down() {
    let mut board = board("api");
    board.update("api", "http", status(Health::Down, 20));
    let mut recovering = status(Health::Down, 20);
    recovering.last = Some(Arc::new(ProbeResult::new(Outcome::Ok, None, "200 OK", 1)));
    (recovering.confirming, recovering.toward) = (Some((1, 2)), Some(Health::Up));
    board.update("api", "http", recovering);
    let shown = board.service("api").unwrap();
    assert_eq!((shown.detail.as_str(), shown.confirming), ("http: is down", Some((1, 2))));
}

#[test]
fn silence_is_told_as_silence() {
    let mut board = board("api");
    let mut machine = Machine::new(Rules::default(), t(0), 0);
    let ok = Arc::new(ProbeResult::new(Outcome::Ok, None, "200 OK", 1));
    machine.observe(&ok, t(0), 0);
    board.update("api", "http", machine.status().clone());
    machine.tick(60_000).unwrap();
    let events = board.update("api", "http", machine.status().clone());
    let Some(Event::HealthChanged(change)) = events.first() else { panic!("{events:?}") };
    assert_eq!((change.to, change.happened_at), (Health::Unknown, Some(t(35))));
    assert_eq!(change.detail, format!("http: no result since {} UTC", t(0).hms()));
    assert!(board.service("api").unwrap().stale);
}

#[test]
fn thousands_that_are_down_are_counted_in_one_walk() {
    // A chain of services without checks above thousands of dependents.
    let mut text = String::from("root g0-:root ");
    (1..200).for_each(|i| text.push_str(&format!("g{i}-:g{} ", i - 1)));
    (0..3000).for_each(|i| text.push_str(&format!("s{i}:g199 ")));
    let mut b = board(&text);
    for i in 0..3000 {
        b.update(&format!("s{i}"), "http", status(Health::Down, 10));
    }
    assert_eq!((b.counts().roots, b.counts().affected), (3000, 0));
    b.update("root", "http", status(Health::Down, 11));
    let counts = b.counts();
    assert_eq!((counts.roots, counts.affected, counts.unknown), (1, 3000, 200));
}

#[test]
fn what_is_down_names_the_root() {
    let mut b = board("disk db:disk api:db web:api,cdn cdn");
    assert_eq!(told(&b.update("web", "http", status(Health::Down, 10))), ["web down"]);
    // A nearer dependency that goes down later takes the blame over, and so does each nearer to the root.
    assert_eq!(told(&b.update("api", "http", status(Health::Down, 11))), ["api down", "web because api"]);
    assert_eq!(
        told(&b.update("db", "http", status(Health::Down, 12))),
        ["db down", "api because db", "web because db"]
    );
    let counts = b.counts();
    assert_eq!((counts.down, counts.roots, counts.affected), (3, 1, 2));
    assert_eq!(
        told(&b.update("disk", "http", status(Health::Down, 13))),
        ["disk down", "api because disk", "db because disk", "web because disk"]
    );
    // The root recovers: those that remain name what is still above them.
    assert_eq!(
        told(&b.update("disk", "http", status(Health::Up, 20))),
        ["disk up", "api because db", "db because -", "web because db"]
    );
    assert_eq!(told(&b.update("db", "http", status(Health::Up, 21))), ["db up", "api because -", "web because api"]);
    let since = b.service("web").unwrap().down_since;
    assert_eq!(since, Some(t(6)), "the cause never alters the clock");
}

#[test]
fn of_two_dependencies_the_one_that_was_down_first_is_the_cause() {
    let mut b = board("zeta alpha api:alpha,zeta");
    b.update("zeta", "http", status(Health::Down, 10));
    b.update("alpha", "http", status(Health::Down, 11));
    assert_eq!(told(&b.update("api", "http", status(Health::Down, 12))), ["api down because zeta"]);
    assert_eq!(told(&b.update("zeta", "http", status(Health::Up, 13))), ["zeta up", "api because alpha"]);
}

#[test]
fn a_failing_dependency_counts_when_its_dependent_goes_down_and_until_it_recovers() {
    let mut b = board("db api:db");
    b.update("db", "http", failing(9));
    assert_eq!(told(&b.update("api", "http", status(Health::Down, 10))), ["api down because db"]);
    assert_eq!(b.counts().roots, 1, "somebody must be the root while the cause is unconfirmed");
    assert_eq!(told(&b.update("db", "http", status(Health::Up, 11))), ["api because -"]);
    // Single failures of a dependency do not write to the journal again and again.
    for i in 0..5 {
        assert!(b.update("db", "http", failing(20 + i)).is_empty());
        assert!(b.update("db", "http", status(Health::Up, 20 + i)).is_empty());
    }
    assert_eq!(told(&b.update("db", "http", status(Health::Down, 40))), ["db down", "api because db"]);
}

#[test]
fn services_without_checks_are_looked_through() {
    let mut b = board("disk group-:disk api:group");
    b.update("disk", "http", status(Health::Down, 10));
    assert_eq!(told(&b.update("api", "http", status(Health::Down, 11))), ["api down because disk"]);
    assert_eq!(b.parents_to_probe("api"), ["disk"]);
    assert_eq!(b.service("group").unwrap().state, Health::Unknown);
    assert!(b.parents_to_probe("disk").is_empty());
    assert!(b.parents_to_probe("nobody").is_empty());
}

#[test]
fn a_cycle_ends() {
    // A configuration with a cycle is refused; a board must not hang on it all the same.
    let mut b = board("a:b b:a");
    b.update("a", "http", status(Health::Down, 10));
    b.update("b", "http", status(Health::Down, 11));
    assert_eq!(b.counts().down, 2);
    b.update("a", "http", status(Health::Up, 12));
}

#[test]
fn paused_services_are_neither_changed_nor_a_cause() {
    let mut b = board("db api:db");
    b.update("db", "http", status(Health::Down, 10));
    b.update("api", "http", status(Health::Down, 11));
    assert_eq!(b.service("api").unwrap().because.as_deref(), Some("db"));
    assert_eq!(told(&b.pause("db", t(12))), ["api because -"]);
    assert_eq!((b.service("db").unwrap().state, b.service("db").unwrap().since), (Health::Paused, t(12)));
    assert!(b.pause("db", t(13)).is_empty());
    assert!(b.update("db", "http", status(Health::Up, 14)).is_empty(), "a result under way when it was paused");
    assert_eq!(b.service("db").unwrap().state, Health::Paused);
    assert!(b.resume("db", t(20)).is_empty());
    assert_eq!(b.service("db").unwrap().state, Health::Unknown);
    assert_eq!(told(&b.update("db", "http", status(Health::Up, 21))), ["db up"]);
    let Counts { down, up, paused, .. } = b.counts();
    assert_eq!((down, up, paused), (1, 1, 0));
}

#[test]
fn a_restart_takes_over_what_the_journal_knows() {
    let mut b = board("db api:db");
    let down = ServiceRecord {
        state: Health::Down,
        since: t(20),
        down_since: Some(t(16)),
        because: Some("db".into()),
        detail: "http: is down".into(),
        ..ServiceRecord::default()
    };
    b.seed("db", &ServiceRecord { because: None, ..down.clone() });
    b.seed("api", &down);
    b.seed("nobody", &down);
    let shown = b.service("api").unwrap();
    assert_eq!((shown.state, shown.down_since, shown.stale), (Health::Down, Some(t(16)), true));
    assert!(b.update("api", "http", status(Health::Down, 20)).is_empty(), "nothing new");
    assert!(!b.service("api").unwrap().stale);
    assert_eq!(told(&b.update("db", "http", status(Health::Up, 60))), ["db up", "api because -"]);
}

#[test]
fn a_reload_keeps_what_goes_by_the_same_name() {
    let mut b = board("db api:db old");
    for name in ["db", "api", "old"] {
        b.update(name, "http", status(Health::Down, 10));
    }
    let (mut catalog, mut checks) = catalog("db api:db new");
    checks.insert("db".into(), vec!["tcp".into()]);
    let events = b.reconfigure(&catalog, &checks);
    assert_eq!(told(&events), ["db unknown", "api because -"], "its only check is another one now");
    assert_eq!(b.service("api").unwrap().down_since, Some(t(6)));
    assert!(b.service("old").is_none());
    assert_eq!(b.service("new").unwrap().state, Health::Unknown);
    catalog.services.get_mut("api").unwrap().depends_on.clear();
    assert!(b.reconfigure(&catalog, &checks).is_empty());
}

fn states() -> impl Strategy<Value = Vec<(usize, u8)>> {
    proptest::collection::vec((0usize..6, 0u8..5), 0..60)
}

proptest! {
    /// Whatever happens: events lead from state to state, causes are down or failing dependencies, and what the events
    /// say adds up to what the board shows.
    #[test]
    fn events_and_board_agree(edges in proptest::collection::vec((1usize..6, 0usize..5), 0..10), steps in states()) {
        let (mut catalog, mut checks) = (Catalog::default(), BTreeMap::new());
        for i in 0..6 {
            let depends_on = edges.iter().filter(|(c, p)| *c == i && p < c).map(|(_, p)| format!("s{p}")).collect();
            catalog.services.insert(format!("s{i}"), ServiceFacts { depends_on, ..ServiceFacts::default() });
            checks.insert(format!("s{i}"), vec!["http".to_owned()]);
        }
        let mut board = Board::new(&catalog, &checks);
        let mut folded: BTreeMap<String, (Health, Option<String>)> =
            checks.keys().map(|k| (k.clone(), (Health::Unknown, None))).collect();
        for (n, (i, kind)) in steps.into_iter().enumerate() {
            let at = 10 + i64::try_from(n).unwrap();
            let update = match kind {
                0 => status(Health::Down, at),
                1 => failing(at),
                2 => status(Health::Degraded, at),
                3 => status(Health::Unknown, at),
                _ => status(Health::Up, at),
            };
            for event in board.update(&format!("s{i}"), "http", update) {
                match event {
                    Event::HealthChanged(c) => {
                        let entry = folded.get_mut(&c.service).unwrap();
                        prop_assert_eq!(entry.0, c.from);
                        *entry = (c.to, c.because);
                    }
                    Event::HealthBecause(c) => {
                        let entry = folded.get_mut(&c.service).unwrap();
                        prop_assert_ne!(&entry.1, &c.because);
                        entry.1 = c.because;
                    }
                    other => prop_assert!(false, "{}", other.kind()),
                }
            }
            for (name, shown) in board.services() {
                prop_assert_eq!(&folded[name], &(shown.state, shown.because.clone()), "{}", name);
                prop_assert_eq!(shown.down_since.is_some(), shown.state == Health::Down);
                if let Some(cause) = &shown.because {
                    prop_assert!(catalog.affected_by(cause).contains(name));
                    let cause = board.service(cause).unwrap();
                    prop_assert!(cause.state == Health::Down || cause.toward == Some(Health::Down));
                }
            }
            let counts = board.counts();
            prop_assert_eq!(counts.down, counts.roots + counts.affected);
            prop_assert!(counts.down == 0 || counts.roots > 0);
        }
    }
}

#[test]
fn a_machine_and_a_board_work_together() {
    let mut b = board("api");
    let mut machine = Machine::seeded(Rules::default(), Seed::default(), t(0), 0);
    let mut events = Vec::new();
    for (i, outcome) in
        [Outcome::Ok, Outcome::Fail, Outcome::Fail, Outcome::Fail, Outcome::Ok, Outcome::Ok].into_iter().enumerate()
    {
        let s = i64::try_from(i).unwrap();
        let result = Arc::new(ProbeResult::new(outcome, None, "503 Service Unavailable", 1));
        machine.observe(&result, t(s), i as u64 * 1000);
        events.extend(b.update("api", "http", machine.status().clone()));
    }
    assert_eq!(told(&events), ["api up", "api down", "api up"]);
    let Event::HealthChanged(down) = &events[1] else { panic!() };
    assert_eq!((down.happened_at, down.detail.as_str()), (Some(t(1)), "http: 503 Service Unavailable"));
}
