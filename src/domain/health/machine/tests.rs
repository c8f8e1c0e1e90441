use proptest::prelude::*;

use super::*;

const T0: i64 = 1_700_000_000_000;
const BOOT: u64 = 5_000_000;

/// Plays results ten seconds apart: `o` ok, `w` warn, `f` fail, `e` error, `s` skipped.
struct Play {
    machine: Machine,
    now: u64,
}

impl Play {
    fn new(rules: Rules) -> Self {
        Play { machine: Machine::new(rules, Time::from_ms(T0), BOOT), now: 0 }
    }

    fn at(&self) -> Time {
        Time::from_ms(T0 + self.now.cast_signed())
    }

    fn one(&mut self, c: char) -> Option<Change> {
        self.now += 10_000;
        let outcome = match c {
            'o' => Outcome::Ok,
            'w' => Outcome::Warn,
            'f' => Outcome::Fail,
            'e' => Outcome::Error,
            _ => Outcome::Skipped,
        };
        let result = Arc::new(ProbeResult::new(outcome, None, format!("said {c}"), 1000));
        let (at, boot) = (self.at(), BOOT + self.now);
        self.machine.observe(&result, at, boot)
    }

    fn all(&mut self, results: &str) -> Vec<Change> {
        results.chars().filter(|c| *c != ' ').filter_map(|c| self.one(c)).collect()
    }

    fn state(&self) -> Health {
        self.machine.status().state
    }
}

fn moment(step: i64) -> Time {
    Time::from_ms(T0 + step * 10_000)
}

/// Each row of the table at the head of `machine`: what leads there, what does not yet, and when it really began.
#[test]
fn every_row_of_the_table() {
    use Health::{Degraded, Down, Unknown, Up};
    // Results, the state they end in, the step at which that state really began (1 is the first result).
    for (results, state, began) in [
        ("", Unknown, 0),
        ("e s e", Unknown, 0),
        // unknown →
        ("o", Up, 1),
        ("w", Degraded, 1),
        ("f", Unknown, 0),
        ("f f", Unknown, 0),
        ("f f f", Down, 1),
        ("f e f s f", Down, 1),
        ("f f w", Degraded, 1),
        ("f f o", Up, 3),
        // up → degraded: W ≥ 3
        ("o w w", Up, 1),
        ("o w w w", Degraded, 2),
        ("o f w w", Degraded, 2),
        ("o w e w e w", Degraded, 2),
        ("o w w o w w", Up, 1),
        // up → degraded: K ≥ 3 of ten
        ("o f o f o", Up, 1),
        ("o f o f o f", Degraded, 2),
        ("o f o o o o f o o o o f", Up, 1),
        ("o f o o o o f o o o f", Degraded, 2),
        // up → down: F ≥ 3
        ("o f f", Up, 1),
        ("o f f f", Down, 2),
        ("o f f o f f", Degraded, 2),
        // degraded → down, by the streak and by K ≥ 7 of ten
        ("w f f f", Down, 2),
        ("w f f o f f o f f", Degraded, 1),
        ("w f f o f f o f f w f", Down, 2),
        // down → up
        ("f f f o", Down, 1),
        ("f f f o o", Up, 4),
        ("f f f o w o", Degraded, 4),
        ("f f f o e o", Up, 4),
        ("f f f o f o", Down, 1),
        // down → degraded: two that do not fail, the last a warn
        ("f f f w", Down, 1),
        ("f f f w w", Degraded, 4),
        ("f f f o w", Degraded, 4),
        ("f f f w o", Down, 1),
        ("f f f w o o", Up, 5),
        // degraded → up: S ≥ 2 and K < 3
        ("w o", Degraded, 1),
        ("w o o", Up, 2),
        ("o f o f o f o o", Degraded, 2),
        ("o f o f o f o o o o o", Degraded, 2),
        ("o f o f o f o o o o o o", Up, 7),
    ] {
        let mut play = Play::new(Rules::default());
        play.all(results);
        assert_eq!(play.state(), state, "after \"{results}\"");
        assert_eq!(play.machine.status().happened_at, moment(began), "after \"{results}\"");
    }
}

#[test]
fn a_finished_outage_does_not_linger() {
    let mut play = Play::new(Rules::default());
    play.all("o ffffffffff oo");
    assert_eq!(play.state(), Health::Up);
    // Ten fails lie among the last ten or so, but before the recovery.
    assert!(play.all("f o f o").is_empty());
    assert_eq!(play.state(), Health::Up);
}

#[test]
fn warns_lead_out_of_an_outage_and_not_straight_back() {
    let mut play = Play::new(Rules::default());
    let changes = play.all("o ffffffffff wwww");
    let to: Vec<Health> = changes.iter().map(|c| c.to).collect();
    assert_eq!(to, [Health::Up, Health::Down, Health::Degraded]);
    // The next fail is the eighth of ten, though.
    assert_eq!(play.one('f').map(|c| c.to), None, "six fails of the last ten");
}

#[test]
fn only_confirmed_changes_come_out_with_when_they_began() {
    let mut play = Play::new(Rules::default());
    let changes = play.all("o o f o f f f f o o");
    let told: Vec<_> = changes.iter().map(|c| (c.from, c.to, c.happened_at, c.detail.as_str())).collect();
    assert_eq!(
        told,
        [
            (Health::Unknown, Health::Up, moment(1), "said o"),
            // The third fail of the last ten comes first, the third in a row after it.
            (Health::Up, Health::Degraded, moment(3), "said f"),
            (Health::Degraded, Health::Down, moment(5), "said f"),
            (Health::Down, Health::Up, moment(9), "said o"),
        ]
    );
}

#[test]
fn marks_say_how_far_a_change_is() {
    let rules = Rules { degraded_ratio: 0, down_ratio: 0, ..Rules::default() };
    for (results, confirming, toward) in [
        ("f", Some((1, 3)), Some(Health::Down)),
        ("o f", Some((1, 3)), Some(Health::Down)),
        ("o f f", Some((2, 3)), Some(Health::Down)),
        ("o f f f", None, None),
        ("o w", Some((1, 3)), Some(Health::Degraded)),
        ("o w f", Some((1, 3)), Some(Health::Down)),
        ("o f w", Some((2, 3)), Some(Health::Degraded)),
        ("f f f o", Some((1, 2)), Some(Health::Up)),
        ("f f f w", Some((1, 2)), Some(Health::Degraded)),
        ("w o", Some((1, 2)), Some(Health::Up)),
        ("w f", Some((1, 3)), Some(Health::Down)),
        ("o", None, None),
    ] {
        let mut play = Play::new(rules);
        play.all(results);
        let status = play.machine.status();
        assert_eq!((status.confirming, status.toward), (confirming, toward), "after \"{results}\"");
        assert_eq!(play.machine.is_confirming(), confirming.is_some());
    }
    let mut play = Play::new(rules);
    play.all("o o f f");
    assert_eq!(play.machine.status().first_fail_at, Some(moment(3)));
    play.one('o');
    assert_eq!(play.machine.status().first_fail_at, None);
}

#[test]
fn silence_makes_everything_unknown_at_the_moment_it_became_too_long() {
    for results in ["o", "w", "f f f"] {
        let mut play = Play::new(Rules::default());
        play.all(results);
        let (from, last) = (play.state(), play.now);
        assert_eq!(play.machine.tick(BOOT + last + 34_999), None);
        let change = play.machine.tick(BOOT + last + 41_000).expect("a change");
        assert_eq!((change.from, change.to), (from, Health::Unknown));
        assert_eq!(change.happened_at, Time::from_ms(T0 + last.cast_signed() + 35_000));
        assert_eq!(change.detail, "no result for 41s");
        assert!(play.machine.status().stale);
        assert_eq!(play.machine.tick(BOOT + last + 99_000), None, "once");
    }
    let mut play = Play::new(Rules::default());
    play.one('o');
    let changes = play.all("e e e e");
    assert_eq!(changes.len(), 1, "our own faults are no results");
    assert_eq!(changes[0].detail, "no result for 40s: said e");
}

#[test]
fn an_outage_goes_on_from_where_it_began_when_silence_ends_in_a_fail() {
    let mut play = Play::new(Rules::default());
    play.all("o f f f");
    play.now += 600_000;
    assert!(play.machine.tick(BOOT + play.now).is_some());
    let change = play.one('f').expect("down at once");
    assert_eq!((change.from, change.to, change.happened_at), (Health::Unknown, Health::Down, moment(2)));
    // A streak that was never confirmed is too old to count.
    let mut play = Play::new(Rules::default());
    play.all("o f f");
    play.now += 600_000;
    assert!(play.machine.tick(BOOT + play.now).is_some());
    assert_eq!(play.one('f'), None);
    assert_eq!(play.machine.status().confirming, Some((1, 3)));
    // And a success ends it without a trace.
    let mut play = Play::new(Rules::default());
    play.all("o ffffffffff");
    play.now += 600_000;
    play.machine.tick(BOOT + play.now);
    assert_eq!(play.all("o f o").iter().map(|c| c.to).collect::<Vec<_>>(), [Health::Up]);
}

#[test]
fn suspended_time_counts_and_a_wall_clock_that_jumps_does_not() {
    let mut play = Play::new(Rules::default());
    play.one('o');
    // The wall clock goes back an hour; the boot clock goes on.
    let result = Arc::new(ProbeResult::new(Outcome::Ok, None, "", 1));
    play.machine.observe(&result, Time::from_ms(T0 - 3_600_000), BOOT + 20_000);
    assert_eq!(play.machine.tick(BOOT + 50_000), None);
    assert!(play.machine.tick(BOOT + 60_000).is_some());
}

#[test]
fn a_pause_forgets_and_takes_nothing_in() {
    let mut play = Play::new(Rules::default());
    play.all("o f f");
    let at = play.at();
    let change = play.machine.pause(at).expect("paused");
    assert_eq!((change.from, change.to), (Health::Up, Health::Paused));
    assert_eq!(play.machine.pause(at), None);
    assert!(play.all("f f f f").is_empty());
    assert_eq!(play.machine.tick(BOOT + 10_000_000), None);
    assert_eq!(play.state(), Health::Paused);
    let change = play.machine.resume(at).expect("resumed");
    assert_eq!((change.from, change.to), (Health::Paused, Health::Unknown));
    assert_eq!(play.machine.resume(at), None);
    assert_eq!(play.one('f'), None, "the two fails of before do not count");
    assert_eq!(play.one('o').map(|c| c.to), Some(Health::Up));
}

#[test]
fn a_restart_goes_on_and_marks_what_it_took_over() {
    let seed = Seed::new(Health::Down, moment(5), Some(moment(2)));
    let mut machine = Machine::seeded(Rules::default(), seed, moment(9), BOOT);
    assert_eq!((machine.status().state, machine.status().stale), (Health::Down, true));
    assert_eq!(machine.status().first_fail_at, Some(moment(2)));
    assert_eq!(machine.tick(BOOT + 1000), None, "no flash through unknown");
    let ok = Arc::new(ProbeResult::new(Outcome::Ok, None, "", 1));
    assert_eq!(machine.observe(&ok, moment(10), BOOT + 10_000), None, "one success is not enough");
    assert!(!machine.status().stale);
    assert_eq!(machine.observe(&ok, moment(11), BOOT + 20_000).map(|c| c.happened_at), Some(moment(10)));

    // Results older than they hold: unknown at the first tick.
    let mut old = Seed::new(Health::Up, moment(1), None);
    old.observed_at = Some(moment(2));
    let mut machine = Machine::seeded(Rules::default(), old, moment(60), BOOT);
    let change = machine.tick(BOOT + 1).expect("stale");
    assert_eq!((change.to, change.happened_at), (Health::Unknown, Time::from_ms(moment(2).ms() + 35_000)));
}

#[test]
fn what_is_saved_is_resumed_in_the_middle_of_a_streak() {
    for (before, after) in [("o f f", "f"), ("o f o f", "f"), ("f f f o", "o"), ("o w w", "w"), ("f f f f w", "w o o")]
    {
        let mut whole = Play::new(Rules::default());
        whole.all(before);
        let mut resumed = Play::new(Rules::default());
        resumed.all(before);
        let json = serde_json::to_string(&resumed.machine.save()).unwrap();
        let seed: Seed = serde_json::from_str(&json).unwrap();
        resumed.machine = Machine::seeded(Rules::default(), seed, resumed.at(), BOOT + resumed.now);
        assert_eq!(whole.all(after), resumed.all(after), "{before} | {after}");
    }
}

#[test]
fn counts_of_zero_do_no_harm() {
    let rules =
        Rules { down_after: 0, up_after: 0, degraded_after: 0, down_ratio: 0, degraded_ratio: 0, stale_after_ms: 0 };
    let mut play = Play::new(rules);
    let to: Vec<Health> = play.all("o f o w o").iter().map(|c| c.to).collect();
    assert_eq!(to, [Health::Up, Health::Down, Health::Up, Health::Degraded, Health::Up]);
}

#[test]
fn a_status_survives_its_json() {
    let mut play = Play::new(Rules::default());
    play.all("o f f");
    let json = serde_json::to_string(play.machine.status()).unwrap();
    assert_eq!(&serde_json::from_str::<CheckStatus>(&json).unwrap(), play.machine.status());
}

fn results() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof!["o", "w", "f", "e", "s"], 0..60).prop_map(|v| v.concat())
}

fn rules() -> impl Strategy<Value = Rules> {
    (1u32..5, 1u32..4, 1u32..5, 0u32..11, 0u32..11).prop_map(
        |(down_after, up_after, degraded_after, down, degraded)| Rules {
            down_after,
            up_after,
            degraded_after,
            down_ratio: down,
            degraded_ratio: degraded,
            stale_after_ms: 1 << 40,
        },
    )
}

proptest! {
    /// The changes that come out are a chain, and it ends in the state shown.
    #[test]
    fn changes_are_a_chain(results in results(), rules in rules()) {
        let mut play = Play::new(rules);
        let mut state = Health::Unknown;
        for change in play.all(&results) {
            prop_assert_eq!(change.from, state);
            prop_assert_ne!(change.from, change.to);
            state = change.to;
        }
        prop_assert_eq!(state, play.state());
    }

    /// Errors and skipped probes never matter, as long as it does not go stale.
    #[test]
    fn inconclusive_results_change_nothing(results in results(), rules in rules()) {
        let conclusive: String = results.chars().filter(|c| "owf".contains(*c)).collect();
        let states = |text: &str| {
            let mut play = Play::new(rules);
            play.all(text).into_iter().map(|c| (c.from, c.to)).collect::<Vec<_>>()
        };
        prop_assert_eq!(states(&results), states(&conclusive));
    }

    /// Enough of one kind leads to the state of that kind, whatever came before.
    #[test]
    fn steady_results_settle(results in results(), rules in rules()) {
        for (kind, state) in [('f', Health::Down), ('o', Health::Up)] {
            let mut play = Play::new(rules);
            play.all(&results);
            for _ in 0..20 {
                play.one(kind);
            }
            prop_assert_eq!(play.state(), state);
            prop_assert!(!play.machine.is_confirming());
        }
        // With warns alone it never stays up, and only leaves down when it is let.
        let mut play = Play::new(rules);
        play.all(&results);
        for _ in 0..20 {
            play.one('w');
        }
        prop_assert_eq!(play.state(), Health::Degraded);
    }

    /// Nothing goes down without a fail just now, nor up without a success just now; what happened lies in the past.
    #[test]
    fn a_change_has_its_reason(results in results(), rules in rules()) {
        let mut play = Play::new(rules);
        for c in results.chars() {
            let change = play.one(c);
            if let Some(change) = change {
                match change.to {
                    Health::Down => prop_assert_eq!(c, 'f'),
                    Health::Up => prop_assert_eq!(c, 'o'),
                    Health::Degraded => prop_assert!(c == 'w' || c == 'f'),
                    _ => prop_assert!(false, "{:?}", change.to),
                }
                prop_assert!(change.happened_at <= play.at());
                prop_assert!(change.happened_at >= moment(1));
            }
        }
    }

    /// Saved at any moment and resumed, it goes on as if nothing had been.
    #[test]
    fn a_restart_in_between_is_not_seen(before in results(), after in results(), rules in rules()) {
        let mut whole = Play::new(rules);
        whole.all(&before);
        let mut resumed = Play { machine: whole.machine.clone(), now: whole.now };
        resumed.machine = Machine::seeded(rules, whole.machine.save(), whole.at(), BOOT + whole.now);
        prop_assert_eq!(whole.all(&after), resumed.all(&after));
        prop_assert_eq!(whole.state(), resumed.state());
    }
}
