//! Reviews of records that people corrected, and moments worked out by hand.

use std::collections::BTreeMap;

use mayday::domain::Time;
use mayday::domain::event::{self, Entry, Event};
use mayday::report::{Extra, Measures, Review, Value, Verdict, cast, csv, html, json, markdown, measure};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::incidents::{ID, Told};
use super::property::journal;
use super::{formats, more};

const MINUTE: i64 = 60_000;

fn measures(told: &Told) -> Measures {
    measure::measure(&told.entries, ID).unwrap()
}

#[track_caller]
fn ms(m: &Measures, name: &str) -> i64 {
    let found = m.get(name).unwrap_or_else(|| panic!("no {name}"));
    found.ms().unwrap_or_else(|| panic!("{name} is {:?}", found.value))
}

#[track_caller]
fn at(m: &Measures, name: &str) -> Time {
    match m.get(name).unwrap().value {
        Value::At(at) => at,
        ref other => panic!("{name} is {other:?}"),
    }
}

fn md(told: &Told) -> String {
    markdown::render(&Review::new(&told.entries, ID, Extra::default()).unwrap())
}

#[test]
fn a_retimed_entry_counts_at_the_time_that_was_said_and_cites_who_said_it() {
    let told = more::retold();
    let m = measures(&told);
    // Recorded: down 03:00:00, acknowledged 03:20, monitoring 03:40. Said: 02:58:00, 03:04, and 03:32 (after 03:31).
    assert_eq!(at(&m, "onset"), told.at("02:58:00"));
    assert_eq!(at(&m, "ack"), told.at("03:04:00"));
    assert_eq!(at(&m, "mitigate"), told.at("03:32:00"));
    // Detected when the first sign was recorded, 03:00:10.
    assert_eq!(ms(&m, "ttd"), 2 * MINUTE + 10_000);
    assert_eq!(ms(&m, "tta"), 3 * MINUTE + 50_000);
    assert_eq!(ms(&m, "ttm"), 31 * MINUTE + 50_000);
    assert_eq!(ms(&m, "ttr"), 49 * MINUTE + 50_000);
    // Declared 03:02: two minutes until somebody acknowledged, of five.
    assert_eq!(m.get("response").unwrap().verdict, Verdict::Met { limit_ms: 5 * MINUTE, by_ms: 3 * MINUTE });
    // 02:58 to 03:30.
    assert_eq!(ms(&m, "downtime.api"), 32 * MINUTE);
    assert_eq!(m.get("downtime.api").unwrap().verdict, Verdict::Missed { limit_ms: 10 * MINUTE, by_ms: 22 * MINUTE });
    // 45,000 EUR an hour.
    assert_eq!(m.get("cost").unwrap().value, Value::Money(24_000.0, "EUR".into()));
    assert_eq!(m.get("ack").unwrap().entries, told.seqs(&["ack", "ack retimed"]));
    assert_eq!(m.get("mitigate").unwrap().entries, told.seqs(&["monitoring", "monitoring retimed"]));
    assert_eq!(m.get("downtime.api").unwrap().entries, told.seqs(&["config", "down", "up", "down retimed"]));
    let md = md(&told);
    let both = format!("acknowledged (recorded 03:20:00Z; time set by ann [{}]: by phone)", told.seq("ack retimed"));
    assert!(md.contains(&both), "{md}");
    crate::golden("retold", &told, Extra::default());
}

#[test]
fn the_curated_timeline_is_what_people_made_of_the_record() {
    let told = more::whole();
    let md = md(&told);
    let seq = |name| told.seq(name);
    for said in [
        format!(
            "★ deploy 4711 went out at 02:02 (corrected by otto [{}]: typed wrong) | [{}] |",
            seq("corrected"),
            seq("note")
        ),
        format!("- [{}] by ann [{}]: another incident", seq("slip"), seq("hid")),
        "### Two restarts that did not help\n".into(),
        "| vendor | the worker logs \"pool timeout\" since the deploy (from incident-channel.json, taken in by otto)"
            .into(),
        "| ann | acknowledged (recorded 02:08:00Z; time set by ann".into(),
        "| Review | In review [".into(),
        "| Owner of the review | ann [".into(),
        "| Talked over | 2026-11-23 13:00:00Z [".into(),
        "| INC-2026-004.1: Bound the pool of the worker | prevent | otto | 2026-11-27 | done |".into(),
        "| INC-2026-004.2: Rehearse the restore | _to be said_ | _nobody yet_ | _no date_ | open |".into(),
        "| curl -f https:\\//api/health | 1s | **exit 22** |".into(),
        "- 1 line of incident-channel.json (slack), taken in by otto".into(),
        // What the places begin with.
        "- approval waited 4m10s for restore postgres-full beside crazy_gary".into(),
        "- restart api was tried 3 times, 2 of them without success".into(),
        "- 2 hypotheses were eliminated".into(),
        "- 1 update was late, by 14m32s".into(),
        format!("- TODO watch the number of connections [{}]: who, until when?", seq("todo 2")),
        format!("- INC-2026-004.2: nobody has it, and it has no date [{}]", seq("second")),
    ] {
        assert!(md.contains(&said), "{said:?} is not in {md}");
    }
    // The note reads as it was corrected, the hidden one is not told, and the TODO that became a follow-up is no prompt.
    for gone in
        ["went out at 02:20", "ignore me, wrong window", &format!("- TODO: bound the worker's pool [{}]", seq("todo"))]
    {
        assert!(!md.contains(gone), "{gone:?} is in {md}");
    }
    let review = Review::new(&told.entries, ID, Extra::default()).unwrap();
    let document: Json = serde_json::from_str(&json::render(&review)).unwrap();
    let note = document["timeline"].as_array().unwrap().iter().find(|l| l["seq"] == seq("note")).unwrap();
    assert_eq!(note["original"], "deploy 4711 went out at 02:20");
    assert_eq!(ms(&measures(&told), "approvals"), 4 * MINUTE + 10_000);
    let samples = more::samples();
    crate::golden("whole", &told, Extra { samples: Some(samples.as_bytes()), ..Extra::default() });
}

#[test]
fn corrections_of_another_incident_do_not_appear() {
    let mut told = more::retold();
    let before = (md(&told), told.entries.len() as u64);
    let last = told.entries.pop().unwrap();
    for (n, event) in [
        Event::from(event::IncidentDeclared {
            title: "another".into(),
            severity: mayday::domain::catalog::Severity::P2,
            services: Default::default(),
            onset: None,
            source: "human".into(),
        }),
        event::NoteAdded { text: "of the other one".into(), happened_at: None }.into(),
        event::EntryHidden { entry: before.1 + 1, hidden: true, reason: "secret reason".into() }.into(),
        event::EntryRedacted { seq: before.1 + 1, why: "leaked there".into(), left: false, files: Vec::new() }.into(),
    ]
    .into_iter()
    .enumerate()
    {
        let mut entry = last.clone();
        (entry.seq, entry.incident, entry.event) = (before.1 + n as u64, Some("INC-2026-009".into()), event);
        told.entries.push(entry);
    }
    let mut last = last;
    last.seq = before.1 + 4;
    told.entries.push(last);
    let after = md(&told);
    for gone in ["secret reason", "leaked there", "of the other one"] {
        assert!(!after.contains(gone), "{gone}: {after}");
    }
}

#[test]
fn a_night_with_two_half_past_twos_is_measured_in_utc() {
    let told = more::clocks_back();
    let m = measures(&told);
    // 00:30 to 01:30 UTC: 02:30 to 02:30 on the wall in Berlin.
    assert_eq!(ms(&m, "downtime.api"), 60 * MINUTE);
    assert_eq!(ms(&m, "ttd"), 10_000);
    assert_eq!(ms(&m, "tta"), 2 * MINUTE + 50_000);
    assert_eq!(ms(&m, "ttr"), 69 * MINUTE + 50_000);
    assert_eq!(ms(&m, "severity.P0"), 69 * MINUTE);
    // Due 00:46 (sent 00:40), 00:55 (sent 01:10, 15 late), 01:25 (not sent before 01:40, 15 late).
    assert_eq!(m.get("updates.due").unwrap().value, Value::Count(3));
    assert_eq!(m.get("updates.in_time").unwrap().value, Value::Count(1));
    assert_eq!(ms(&m, "updates.worst"), 15 * MINUTE);
    assert!(md(&told).contains("- 2 updates were late, the worst by 15m00s"), "{}", md(&told));
    crate::golden("clocks_back", &told, Extra::default());
}

#[test]
fn a_clock_set_back_by_an_hour_bends_no_number() {
    let told = more::stepped_back();
    let m = measures(&told);
    // Down 05:00, up at what is then called 04:20: twenty minutes later.
    assert_eq!(ms(&m, "downtime.api"), 20 * MINUTE);
    assert_eq!(ms(&m, "ttm"), 24 * MINUTE + 50_000);
    assert_eq!(ms(&m, "ttr"), 29 * MINUTE + 50_000);
    assert_eq!(ms(&m, "severity.P0"), 29 * MINUTE);
    // Said by the clock as it read at the declaration.
    assert_eq!(at(&m, "resolve"), told.at("05:30:00"));
    crate::golden("stepped_back", &told, Extra::default());
}

#[test]
fn what_a_restore_covers_decides_what_was_lost() {
    let told = more::older_copy();
    let m = measures(&told);
    // Onset 02:30. The copy of 01:00 was restored although one of 02:00 was there: 90 minutes.
    let old = m.get("rpo.run1").unwrap();
    assert_eq!(old.value, Value::Ms(90 * MINUTE));
    assert!(old.note.ends_with("live by run run2; replaced by run run4"), "{}", old.note);
    // The base backup is as old, but its log was played to 02:27: three minutes, of five.
    let moment = m.get("rpo.run3").unwrap();
    assert_eq!((&moment.value, moment.from), (&Value::Ms(3 * MINUTE), Some(told.at("02:27:00"))));
    assert_eq!(moment.verdict, Verdict::Met { limit_ms: 5 * MINUTE, by_ms: 2 * MINUTE });
    assert!(moment.note.contains("brought up to 2026-11-20T02:27:00"), "{}", moment.note);
    assert_eq!(ms(&m, "downtime.postgres"), 22 * MINUTE);
    crate::golden("older_copy", &told, Extra::default());
}

/// Every format, in order.
fn documents(entries: &[Entry], samples: &str) -> [String; 5] {
    let review = Review::new(entries, ID, Extra { samples: Some(samples.as_bytes()), ..Extra::default() }).unwrap();
    let md = markdown::render(&review);
    let page = html::render(&review, &md).unwrap();
    [md, page, json::render(&review), csv::render(&review), cast::render(&review)]
}

#[test]
fn same_journal_same_bytes_in_every_format() {
    let samples = more::samples();
    for (name, told) in formats::every() {
        assert!(documents(&told.entries, &samples) == documents(&told.entries.clone(), &samples), "{name}");
    }
}

/// Rows of the timeline by their entry, as JSON without what was made of them, and as they stand in Markdown.
fn rows(entries: &[Entry]) -> BTreeMap<u64, (String, Vec<String>)> {
    let review = Review::new(entries, ID, Extra::default()).unwrap();
    let document: Json = serde_json::from_str(&json::render(&review)).unwrap();
    let md = markdown::render(&review);
    let mut out: BTreeMap<u64, (String, Vec<String>)> = BTreeMap::new();
    for row in document["timeline"].as_array().unwrap() {
        out.insert(row["seq"].as_u64().unwrap(), (row.to_string(), Vec::new()));
    }
    let table = md.lines().filter(|l| l.starts_with("| 2026-"));
    for line in table {
        let Some(seq) = line.rsplit("| [").next().and_then(|end| end.strip_suffix("] |")?.parse::<u64>().ok()) else {
            continue;
        };
        if line.matches(" | ").count() == 4
            && let Some((_, lines)) = out.get_mut(&seq)
        {
            lines.push(line.to_owned());
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_correction_changes_the_line_it_names_and_no_other(
        entries in journal(),
        picks in prop::collection::vec((0_usize..200, 0_u8..5, -3600_i64..3600), 1..6),
    ) {
        let before = rows(&entries);
        let mut after = entries.clone();
        let mut named = std::collections::BTreeSet::new();
        for (pick, what, by) in picks {
            let Some(target) = entries.get(pick % entries.len()) else { continue };
            let entry = target.seq;
            named.insert(entry);
            let event: Event = match what {
                0 => event::NoteCorrected { entry, text: "otherwise".into(), reason: String::new() }.into(),
                1 => event::EntryRetimed { entry, happened_at: Time::from_ms(target.at.ms() + by * 1000), reason: "r".into() }.into(),
                2 => event::EntryHidden { entry, hidden: true, reason: "r".into() }.into(),
                3 => event::EntryPinned { entry, pinned: true, reason: String::new() }.into(),
                _ => event::EntriesJoined { entries: [entry].into(), title: "T".into() }.into(),
            };
            let mut correction = entries.last().unwrap().clone();
            correction.seq = after.len() as u64 + 1;
            correction.incident.clone_from(&target.incident);
            correction.event = event;
            after.push(correction);
        }
        let now = rows(&after);
        for (seq, (json, lines)) in before.iter().filter(|(seq, _)| !named.contains(*seq)) {
            let Some((json_now, lines_now)) = now.get(seq) else {
                return Err(TestCaseError::fail(format!("entry {seq} is gone")));
            };
            prop_assert_eq!(json, json_now);
            // Its row among those that are only cited may come or go with the citation; what it reads stays.
            if let (Some(a), Some(b)) = (lines.first(), lines_now.first()) {
                prop_assert_eq!(a, b);
            }
        }
    }
}
