use super::*;
use proptest::prelude::*;

const MIN: i64 = 60_000;
const HOUR: i64 = 60 * MIN;
/// 2026-11-20T12:00:00Z.
const NOW: i64 = 1_795_176_000_000;

fn now() -> Time {
    Time::from_ms(NOW)
}

/// A sound copy that is `age` milliseconds old.
fn copy(id: &str, age: i64, size: u64) -> Found {
    Found {
        copy: Copy {
            id: id.to_owned(),
            place: format!("/b/{id}"),
            taken_at: Time::from_ms(NOW - age),
            size,
            format: "pg custom".to_owned(),
            ..Copy::default()
        },
        ..Found::default()
    }
}

fn faulty(id: &str, age: i64, fault: &str) -> Found {
    Found { fault: Some(fault.to_owned()), ..copy(id, age, 100) }
}

fn listing(copies: Vec<Found>) -> Listing {
    Listing {
        place: "/b/*.dump".to_owned(),
        scanned_at: Some(now()),
        count: copies.len() as u64,
        copies,
        ..Listing::default()
    }
}

fn rules() -> Rules {
    Rules {
        rpo_ms: Some(26 * HOUR as u64),
        every_ms: Some(24 * HOUR as u64),
        grace_ms: Some(HOUR as u64),
        settle_ms: 10_000,
    }
}

fn id(copy: &Option<Copy>) -> &str {
    copy.as_ref().map_or("-", |c| c.id.as_str())
}

#[test]
fn states() {
    use BackupState::*;
    let never = Listing { scanned_at: None, ..listing(vec![]) };
    let hung = Listing { problem: Some("has not answered".to_owned()), ..listing(vec![copy("a", HOUR, 100)]) };
    let writing = Found { changed_at: Some(Time::from_ms(NOW - 500)), ..copy("new", 2 * HOUR, 100) };
    for (what, listing, state, newest, suspect) in [
        ("never looked at", never, Unknown, "-", "-"),
        ("does not answer", hung, Unknown, "a", "-"),
        ("nothing there", listing(vec![]), Missing, "-", "-"),
        ("one good", listing(vec![copy("a", HOUR, 100)]), Fresh, "a", "-"),
        ("exactly as old as allowed", listing(vec![copy("a", 25 * HOUR, 100)]), Fresh, "a", "-"),
        ("a moment older", listing(vec![copy("a", 25 * HOUR + 1, 100)]), Stale, "a", "-"),
        ("only an empty one", listing(vec![copy("a", HOUR, 0)]), Missing, "-", "a"),
        ("empty over good", listing(vec![copy("b", MIN, 0), copy("a", HOUR, 100)]), Suspect, "a", "b"),
        ("given in any order", listing(vec![copy("a", HOUR, 100), copy("b", MIN, 0)]), Suspect, "a", "b"),
        ("good over empty", listing(vec![copy("b", MIN, 100), copy("a", HOUR, 0)]), Fresh, "b", "-"),
        ("cut off over good", listing(vec![faulty("b", MIN, "cut off"), copy("a", HOUR, 100)]), Suspect, "a", "b"),
        ("cut off over stale", listing(vec![faulty("b", MIN, "cut off"), copy("a", 30 * HOUR, 9)]), Stale, "a", "b"),
        ("just written", listing(vec![copy("b", 9_999, 100), copy("a", HOUR, 100)]), Suspect, "a", "b"),
        ("written a while ago", listing(vec![copy("b", 10_000, 100), copy("a", HOUR, 100)]), Fresh, "b", "-"),
        ("grows under an old date", listing(vec![writing, copy("a", 3 * HOUR, 100)]), Suspect, "a", "new"),
        ("from the future", listing(vec![copy("b", -2 * MIN, 100), copy("a", HOUR, 100)]), Suspect, "a", "b"),
        ("only from the future", listing(vec![copy("b", -2 * MIN, 100)]), Missing, "-", "b"),
    ] {
        let judged = judge(&listing, &rules(), now());
        assert_eq!(judged.state, state, "{what}: {}", judged.detail);
        assert_eq!((id(&judged.newest), id(&judged.newer_suspect)), (newest, suspect), "{what}");
    }
}

#[test]
fn a_clock_slightly_ahead_is_no_fault() {
    let ahead = Rules { settle_ms: 1000, ..rules() };
    let slightly = listing(vec![copy("a", -SLACK_MS, 100)]);
    let judged = judge(&slightly, &ahead, now());
    assert!(judged.writing, "by its date it was written just now: {}", judged.detail);
    let settled = Time::from_ms(NOW + SLACK_MS + 1000);
    assert_eq!(judged.look_again_at, Some(settled));
    assert!(judge(&slightly, &ahead, settled).writing, "nobody has looked since");
    let judged = judge(&Listing { scanned_at: Some(settled), ..slightly }, &ahead, settled);
    assert_eq!(judged.state, BackupState::Fresh, "{}", judged.detail);
    let judged = judge(&listing(vec![copy("a", -SLACK_MS - 1, 100)]), &ahead, now());
    assert_eq!(judged.state, BackupState::Missing);
    assert!(judged.detail.contains("dated in the future: 2026-11-20 12:01 UTC"), "{}", judged.detail);
    assert_eq!(judged.next_change_at, Some(Time::from_ms(NOW + 1)), "and it passes");
}

#[test]
fn staleness_by_objective_by_schedule_and_by_neither() {
    let age = 10 * HOUR;
    let h = |n: i64| Some((n * HOUR) as u64);
    for (what, rpo, every, grace, stale, headroom, due) in [
        ("neither", None, None, None, false, None, None),
        ("within both", h(11), h(10), h(1), false, Some(HOUR), Some(0)),
        ("over the objective", h(9), h(24), h(1), true, Some(-HOUR), Some(14)),
        ("over the schedule", h(26), h(8), h(1), true, Some(16 * HOUR), Some(-2)),
        ("within the grace", h(26), h(8), h(2), false, Some(16 * HOUR), Some(-2)),
        ("grace is a tenth by default", None, Some(10 * HOUR as u64 / 11 * 10), None, true, None, None),
        ("schedule alone", None, h(10), None, false, None, Some(0)),
        ("an objective of zero", Some(0), None, None, true, Some(-10 * HOUR), None),
    ] {
        let rules = Rules { rpo_ms: rpo, every_ms: every, grace_ms: grace, settle_ms: 0 };
        let judged = judge(&listing(vec![copy("a", age, 100)]), &rules, now());
        assert_eq!(judged.state == BackupState::Stale, stale, "{what}: {}", judged.detail);
        assert_eq!(judged.headroom_ms, headroom, "{what}");
        if let Some(due) = due {
            assert_eq!(judged.next_due, Some(Time::from_ms(NOW + due * HOUR)), "{what}");
        }
    }
    let zero = Rules { rpo_ms: Some(0), ..Rules::default() };
    assert_eq!(judge(&listing(vec![copy("a", 0, 1)]), &zero, now()).state, BackupState::Fresh, "made this very moment");
}

#[test]
fn sizes_beside_the_last_seven() {
    let sized = |newest: u64, before: &[u64]| {
        let mut copies = vec![copy("new", HOUR, newest)];
        copies.extend(before.iter().enumerate().map(|(i, s)| copy(&format!("old{i}"), (2 + i as i64) * HOUR, *s)));
        judge(&listing(copies), &Rules { rpo_ms: None, every_ms: None, ..rules() }, now())
    };
    for (what, newest, before, odd) in [
        ("the first one", 1, &[][..], false),
        ("half is still usual", 50, &[100, 100, 100][..], false),
        ("less than half", 49, &[100, 100, 100][..], true),
        ("twice is still usual", 200, &[100, 100, 100][..], false),
        ("more than twice", 201, &[100, 100, 100][..], true),
        ("one predecessor is enough", 10, &[100][..], true),
        ("two: the middle between them", 40, &[100, 50][..], false),
        ("an outlier does not count", 100, &[100, 5000, 100, 1, 100][..], false),
        ("only the last seven count", 100, &[100, 100, 100, 100, 9, 9, 9, 9, 9, 9][..], false),
        ("empty ones do not count", 100, &[0, 0, 0, 0, 100][..], false),
        ("a lasting change is accepted", 10, &[10, 10, 10, 10, 100, 100, 100, 100][..], false),
        ("but not before it lasted", 10, &[10, 10, 10, 100, 100, 100, 100, 100][..], true),
    ] {
        let judged = sized(newest, before);
        assert_eq!(id(&judged.newer_suspect) == "new", odd, "{what}: {}", judged.detail);
    }
    assert!(sized(1, &[1000]).detail.contains("far smaller than usual: 1 B beside 1.0 kB"));
    // Another kind of copy in the same folder says nothing about this one.
    let mut globals = copy("globals.sql", 2 * HOUR, 3);
    globals.copy.format = "sql".to_owned();
    assert_eq!(judge(&listing(vec![copy("a", HOUR, 1000), globals]), &rules(), now()).state, BackupState::Fresh);
}

#[test]
fn the_sentence_says_what_a_person_needs() {
    let two = |newer: Found| listing(vec![newer, copy("old.dump", 2 * HOUR, 412_000_000)]);
    for (listing, rules, words) in [
        (listing(vec![]), rules(), &["no copy in /b/*.dump"][..]),
        (
            two(copy("new.dump", HOUR, 0)),
            rules(),
            &[
                "new.dump is newer and not to be trusted: it is empty",
                "newest good copy: old.dump of 2026-11-20 10:00 UTC, 412 MB",
                "not yet read to the end",
            ],
        ),
        (two(copy("new.dump", 1000, 412_000_000)), rules(), &["still being written"]),
        (
            listing(vec![copy("old.dump", 2 * HOUR, 1)]),
            Rules { rpo_ms: Some(5 * MIN as u64), ..Rules::default() },
            &["RPO 5m over since 2026-11-20 10:05 UTC"],
        ),
        (
            listing(vec![copy("old.dump", 2 * HOUR, 1)]),
            Rules { every_ms: Some(HOUR as u64), ..Rules::default() },
            &["due every 1h, over since 2026-11-20 11:06 UTC"],
        ),
        (
            Listing { problem: Some("the folder /b cannot be read".to_owned()), ..listing(vec![copy("a", HOUR, 1)]) },
            rules(),
            &["the folder /b cannot be read", "last known good copy: a"],
        ),
        (
            Listing { remark: Some("2 folders passed over".to_owned()), ..listing(vec![]) },
            rules(),
            &["no copy in", "2 folders passed over"],
        ),
    ] {
        let judged = judge(&listing, &rules, now());
        for word in words {
            assert!(judged.detail.contains(word), "\"{word}\" is not in \"{}\"", judged.detail);
        }
    }
    let read = Found { reading: Reading::Whole("read to the end: 3.0 GB".to_owned()), ..copy("a", HOUR, 1) };
    assert!(judge(&listing(vec![read]), &rules(), now()).detail.ends_with("read to the end: 3.0 GB"));
}

fn any_found() -> impl Strategy<Value = Found> {
    (
        -3 * HOUR..40 * HOUR,
        prop_oneof![Just(0u64), 1..2000u64, Just(100)],
        prop::option::weighted(0.2, Just("cut off".to_owned())),
        prop::option::weighted(0.2, 0..HOUR),
        0..2,
        0..1_000_000u32,
    )
        .prop_map(|(age, size, fault, changed, kind, n)| {
            let mut found = copy(&format!("c{n}"), age, size);
            found.fault = fault;
            found.changed_at = changed.map(|ago| Time::from_ms(NOW - ago));
            found.copy.format = ["pg custom", "sql gzip"][kind as usize].to_owned();
            found
        })
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let span = || prop::option::of(prop_oneof![Just(0u64), 0..(30 * HOUR as u64)]);
    (span(), span(), span(), 0..(2 * HOUR as u64)).prop_map(|(rpo_ms, every_ms, grace_ms, settle_ms)| Rules {
        rpo_ms,
        every_ms,
        grace_ms,
        settle_ms,
    })
}

proptest! {
    /// Fresh means: there is a good copy, it is the newest of all, and it is young enough.
    #[test]
    fn never_fresh_when_the_newest_is_bad(copies in prop::collection::vec(any_found(), 0..20), rules in any_rules()) {
        let listing = listing(copies);
        let judged = judge(&listing, &rules, now());
        let newest = listing.copies.iter().map(|f| f.copy.taken_at).max();
        if judged.state == BackupState::Fresh {
            let good = judged.newest.as_ref().unwrap();
            prop_assert_eq!(Some(good.taken_at), newest);
            prop_assert!(good.size > 0 && good.suspect.is_none() && judged.newer_suspect.is_none());
            prop_assert!(rules.rpo_ms.is_none_or(|rpo| now().ms_since(good.taken_at) <= rpo as i64));
            prop_assert!(judged.headroom_ms.is_none_or(|left| left >= 0));
        }
        if let Some(good) = &judged.newest {
            let own = listing.copies.iter().find(|f| f.copy.id == good.id && f.copy.taken_at == good.taken_at).unwrap();
            prop_assert!(own.fault.is_none() && own.copy.size > 0 && good.taken_at.ms() <= NOW + SLACK_MS);
        } else {
            prop_assert_eq!(judged.state, BackupState::Missing);
        }
    }

    /// A bad copy on top of a good set changes neither the good copy nor its age.
    #[test]
    fn a_suspect_newer_one_hides_nothing(copies in prop::collection::vec(any_found(), 0..12), rules in any_rules()) {
        let before = judge(&listing(copies.clone()), &rules, now());
        let mut with = copies;
        with.push(faulty("zz-newest", -2 * HOUR * 2, "cut off"));
        let after = judge(&listing(with), &rules, now());
        prop_assert_eq!(&after.newest, &before.newest);
        prop_assert_eq!(after.headroom_ms, before.headroom_ms);
        prop_assert_ne!(after.state, BackupState::Fresh);
        prop_assert_eq!(id(&after.newer_suspect), "zz-newest");
    }

    /// Until the announced moment nothing changes, and the sentence is the same to the letter.
    #[test]
    fn nothing_changes_before_it_was_said_to(
        copies in prop::collection::vec(any_found(), 0..12), rules in any_rules(), share in 0.0..1.0f64,
    ) {
        let listing = listing(copies);
        let judged = judge(&listing, &rules, now());
        let until = judged.next_change_at.map_or(NOW + 100 * HOUR, Time::ms);
        prop_assert!(until > NOW, "it lies ahead");
        let later = NOW + ((until - 1 - NOW) as f64 * share) as i64;
        let then = judge(&listing, &rules, Time::from_ms(later));
        prop_assert_eq!((then.state, then.detail, then.copies, then.next_change_at), (judged.state, judged.detail, judged.copies, judged.next_change_at));
    }

    /// The order in which a source lists is of no importance.
    #[test]
    fn any_order_is_judged_the_same(copies in prop::collection::vec(any_found(), 0..12), rules in any_rules()) {
        let mut turned = copies.clone();
        turned.reverse();
        prop_assert_eq!(judge(&listing(copies), &rules, now()), judge(&listing(turned), &rules, now()));
    }
}
