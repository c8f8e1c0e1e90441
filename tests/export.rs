//! Reviews of incidents with numbers worked out by hand, and documents kept as they are to be.
//!
//! After a wanted change: `MAYDAY_GOLDEN=write cargo test --test export`, and read the difference.

mod export {
    pub mod curated;
    pub mod formats;
    pub mod incidents;
    pub mod kept;
    pub mod kpi;
    pub mod more;
    pub mod property;
    pub mod trends;
}

use export::incidents::{self, ID, Told};
use mayday::domain::Time;
use mayday::domain::event::{Entry, Event};
use mayday::domain::outage;
use mayday::domain::state::State;
use mayday::report::{Extra, Measures, Review, Value, Verdict, json, markdown, measure, timeline_md};

fn measures(entries: &[Entry]) -> Measures {
    measure::measure(entries, ID).unwrap()
}

#[track_caller]
fn ms(measures: &Measures, name: &str) -> i64 {
    let found = measures.get(name).unwrap_or_else(|| panic!("no {name}"));
    found.ms().unwrap_or_else(|| panic!("{name} is {:?}", found.value))
}

#[track_caller]
fn moment(measures: &Measures, name: &str) -> Time {
    match measures.get(name).unwrap().value {
        Value::At(at) => at,
        ref other => panic!("{name} is {other:?}"),
    }
}

#[track_caller]
fn missing(measures: &Measures, name: &str, why: &str) {
    let found = measures.get(name).unwrap();
    assert!(matches!(&found.value, Value::NotRecorded(w) if w.contains(why)), "{name} is {:?}", found.value);
    assert!(found.entries.is_empty());
}

#[track_caller]
fn cited(measures: &Measures, name: &str) -> Vec<u64> {
    measures.get(name).unwrap().entries.clone()
}

const MINUTE: i64 = 60_000;

#[test]
fn an_incident_that_nobody_acknowledged() {
    let told = incidents::missing_ack();
    let m = measures(&told.entries);
    assert_eq!(moment(&m, "onset"), told.at("02:03:11"));
    assert_eq!(moment(&m, "detect"), told.at("02:03:20"));
    assert_eq!(ms(&m, "ttd"), 9000);
    assert_eq!(ms(&m, "page_delay"), 222_000);
    missing(&m, "ack", "nobody acknowledged it");
    missing(&m, "tta", "an acknowledgement is not on record");
    assert_eq!(ms(&m, "ttm"), 760_000);
    assert_eq!(ms(&m, "ttr"), 1_000_000);
    assert_eq!(ms(&m, "severity.P0"), 15 * MINUTE);
    assert_eq!(ms(&m, "downtime.api"), 740_000);
    let rto = m.get("downtime.api").unwrap().verdict;
    assert_eq!(rto, Verdict::Missed { limit_ms: 10 * MINUTE, by_ms: 140_000 });
    assert_eq!(m.get("cost").unwrap().value, Value::Money(9250.0, "EUR".into()));
    assert_eq!(m.get("updates.due").unwrap().value, Value::Count(1));
    assert_eq!(m.get("updates.in_time").unwrap().value, Value::Count(1));
    assert_eq!(ms(&m, "actions"), 30_000);
    missing(&m, "close", "not closed");
    assert_eq!(cited(&m, "ttd"), told.seqs(&["onset", "down"]));
    assert_eq!(cited(&m, "downtime.api"), told.seqs(&["config", "down", "up"]));
    golden("missing_ack", &told, Extra::default());
}

#[test]
fn how_an_incident_was_led_is_held_against_what_was_promised() {
    let told = incidents::led();
    let m = measures(&told.entries);
    assert_eq!(moment(&m, "onset"), told.at("02:01:00"));
    assert_eq!(cited(&m, "onset"), told.seqs(&["by hand"]));
    assert_eq!(m.get("first_word").unwrap().verdict, Verdict::Met { limit_ms: 5 * MINUTE, by_ms: 30_000 });
    assert_eq!(m.get("resolution_word").unwrap().verdict, Verdict::Met { limit_ms: 5 * MINUTE, by_ms: 239_000 });
    // Due fifteen minutes after the first word, snoozed or not.
    assert_eq!(ms(&m, "updates.worst"), 13 * MINUTE + 32_000);
    assert_eq!(ms(&m, "severity.P1"), 13 * MINUTE);
    assert_eq!(ms(&m, "severity.P0"), 32 * MINUTE);
    let review = Review::new(&told.entries, ID, Extra::default()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&json::render(&review)).unwrap();
    let phases: Vec<(i64, i64)> = document["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["t_ms"].as_i64().unwrap() / MINUTE, p["late_ms"].as_i64().unwrap() / MINUTE))
        .collect();
    assert_eq!(phases, [(12, 7), (14, 0), (31, 1), (35, 0), (45, 0), (415, 0)]);
    golden("led", &told, Extra::default());
}

#[test]
fn overlapping_outages_count_once() {
    let told = incidents::overlapping();
    let m = measures(&told.entries);
    // 10:00 to 10:05 and 10:04:30 to 10:10 are ten minutes, which is the RTO to the second.
    assert_eq!(ms(&m, "downtime.api"), 10 * MINUTE);
    assert_eq!(m.get("downtime.api").unwrap().verdict, Verdict::Met { limit_ms: 10 * MINUTE, by_ms: 0 });
    // Announced again by the engine's next start: the same outage from 10:08.
    assert_eq!(ms(&m, "downtime.postgres"), 6 * MINUTE);
    assert!(m.get("downtime.postgres").unwrap().note.contains("nobody was watching"));
    // Not named by the incident, yet down during it.
    let web = m.services.iter().find(|s| s.service == "web").unwrap();
    assert_eq!((web.total_ms, web.named), (Some(10 * MINUTE), false));
    // Down since long before and not named: not this incident's.
    assert!(m.get("downtime.mail").is_none());
    // Tier 1 was down from 10:00 to 10:14, whichever of them it was.
    assert_eq!(m.get("cost").unwrap().value, Value::Money(45_000.0 * 14.0 / 60.0, "EUR".into()));
    golden("overlapping", &told, Extra::default());
}

#[test]
fn the_ticker_counts_what_the_review_counts_at_every_moment() {
    let mut compared = 0;
    for told in [
        incidents::missing_ack(),
        incidents::overlapping(),
        incidents::reopened(),
        incidents::still_open(),
        incidents::declared_first(),
        incidents::severity_twice(),
    ] {
        let mut state = State::default();
        for (i, entry) in told.entries.iter().enumerate() {
            state.apply(entry);
            let own = entry.incident.as_deref() == Some(ID);
            let Some(incident) = state.incidents.get(ID).filter(|i| own && i.status.is_open()) else { continue };
            let m = measure::measure(&told.entries[..=i], ID).unwrap();
            let Some(Value::Money(amount, _)) = m.get("cost").map(|m| &m.value) else { continue };
            let charged = outage::charged(&state, incident).at(entry.at);
            assert!((45_000.0 * charged.as_secs_f64() / 3600.0 - amount).abs() < 0.01, "{}: {charged:?}", entry.seq);
            compared += 1;
        }
    }
    assert!(compared > 30, "{compared}");
}

#[test]
fn a_reopened_incident_counts_to_its_last_resolution() {
    let told = incidents::reopened();
    let m = measures(&told.entries);
    assert_eq!(moment(&m, "resolve"), told.at("12:00:00"));
    assert_eq!(moment(&m, "mitigate"), told.at("11:12:00"), "the first one stands");
    assert!(m.get("ttm").unwrap().note.contains("reopened 1 time after it"));
    assert_eq!(ms(&m, "ttr"), 59 * MINUTE);
    assert!(m.get("ttr").unwrap().note.contains("reopened 1 time"));
    // Open 11:01 to 11:30 and 11:40 to 12:00.
    assert_eq!(ms(&m, "severity.P1"), 49 * MINUTE);
    assert_eq!(ms(&m, "downtime.web"), 10 * MINUTE + 11 * MINUTE);
    assert_eq!(ms(&m, "tta"), 2 * MINUTE);
    assert_eq!(m.get("response").unwrap().verdict, Verdict::Met { limit_ms: 15 * MINUTE, by_ms: 13 * MINUTE });
    golden("reopened", &told, Extra::default());
}

#[test]
fn an_incident_that_is_still_open() {
    let told = incidents::still_open();
    let m = measures(&told.entries);
    missing(&m, "resolve", "not resolved");
    missing(&m, "ttr", "the resolution is not on record");
    // Counted to the last entry of the incident, which is not the last of the journal.
    assert_eq!(ms(&m, "downtime.api"), 30 * MINUTE);
    assert_eq!(m.get("downtime.api").unwrap().verdict, Verdict::Missed { limit_ms: 10 * MINUTE, by_ms: 20 * MINUTE });
    assert_eq!(ms(&m, "downtime.web"), 5 * MINUTE);
    assert_eq!(m.get("downtime.web").unwrap().verdict, Verdict::Undecided { limit_ms: 30 * MINUTE });
    assert!(cited(&m, "downtime.web").contains(&told.seq("last")));
    // It was paused when it could not be seen: maintenance ends what was measured.
    assert_eq!(ms(&m, "downtime.postgres"), 10 * MINUTE);
    assert_eq!(ms(&m, "severity.P0"), 29 * MINUTE);
    missing(&m, "downtime.docs", "has no check");
    missing(&m, "downtime.ghost", "no configuration on record knows it");
    golden("still_open", &told, Extra::default());
}

#[test]
fn a_restored_copy_is_held_against_its_rpo() {
    let told = incidents::restored();
    let m = measures(&told.entries);
    let full = m.get("rpo.run1").unwrap();
    assert_eq!(full.value, Value::Ms(45 * MINUTE));
    assert_eq!(full.verdict, Verdict::Met { limit_ms: 26 * 60 * MINUTE, by_ms: (26 * 60 - 45) * MINUTE });
    assert!(full.note.contains("live by run run2"), "{}", full.note);
    let cited = told.seqs(&["onset", "run1 requested", "run1 finished", "run2 requested", "run2 finished"]);
    assert!(cited.iter().all(|s| full.entries.contains(s)), "{:?} {cited:?}", full.entries);
    let wal = m.get("rpo.run3").unwrap();
    assert_eq!(wal.verdict, Verdict::Missed { limit_ms: 5 * MINUTE, by_ms: 10 * MINUTE });
    assert!(wal.note.ends_with("live by run run4"), "{}", wal.note);
    let undone = m.get("rpo.run6").unwrap();
    assert_eq!((&undone.value, undone.verdict), (&Value::Ms(0), Verdict::NotLive));
    assert!(undone.note.contains("undone by run run5") && undone.note.contains("after the onset"), "{}", undone.note);
    let beside = m.get("rpo.run10").unwrap();
    assert_eq!((&beside.value, beside.verdict), (&Value::Ms(15 * MINUTE), Verdict::NotLive));
    assert!(beside.note.contains("never put live"), "{}", beside.note);
    // A test restore loses nothing, a failed one restored nothing.
    assert!(m.get("rpo.run7").is_none() && m.get("rpo.run8").is_none());
    golden(
        "restored",
        &told,
        Extra { head: Some("9f3a12cd77"), samples: Some(incidents::SAMPLES), ..Extra::default() },
    );
}

#[test]
fn severity_changed_twice_moves_the_updates() {
    let told = incidents::severity_twice();
    let m = measures(&told.entries);
    // P1 07:00 to 07:10, P0 to 07:40, P2 to 08:00 by a clock that was set back 1.5 s meanwhile.
    assert_eq!(ms(&m, "severity.P1"), 10 * MINUTE);
    assert_eq!(ms(&m, "severity.P0"), 30 * MINUTE);
    assert_eq!(ms(&m, "severity.P2"), 20 * MINUTE + 1500);
    // Due 07:15 (15 min as P0), sent 07:35: 20 min late. Due 07:50 after that, but P2 has no interval.
    assert_eq!(m.get("updates.due").unwrap().value, Value::Count(1));
    assert_eq!(m.get("updates.in_time").unwrap().value, Value::Count(0));
    assert_eq!(ms(&m, "updates.worst"), 20 * MINUTE);
    // A machine declared it as P1; a person set a severity first at 07:10.
    assert_eq!(moment(&m, "assess"), told.at("07:10:00"));
    golden("severity_twice", &told, Extra::default());
}

#[test]
fn people_can_be_faster_than_probes() {
    let told = incidents::declared_first();
    let m = measures(&told.entries);
    assert_eq!(moment(&m, "onset"), told.at("08:02:00"));
    assert_eq!(moment(&m, "detect"), told.at("08:00:00"));
    assert_eq!(ms(&m, "ttd"), -2 * MINUTE);
    assert!(m.get("ttd").unwrap().note.contains("people were faster"));
    assert_eq!(ms(&m, "downtime.api"), 3 * MINUTE);
    golden("declared_first", &told, Extra::default());
}

#[test]
fn hostile_text_and_secrets_do_no_harm() {
    let told = incidents::hostile();
    let mask = mayday::text::Mask::new(["planted-secret-0815".to_owned()]);
    let extra = Extra { mask, ..Extra::default() };
    let review = Review::new(&told.entries, ID, extra.clone()).unwrap();
    let (md, js) = (markdown::render(&review), json::render(&review));
    serde_json::from_str::<serde_json::Value>(&js).unwrap();
    for document in [&md, &js] {
        for bad in ["planted-secret-0815", "hunter22", "\u{1b}", "\u{202e}", "\u{9b}"] {
            assert!(!document.contains(bad), "{bad:?}");
        }
    }
    let active = outside_of_fences(&md).replace("\\]", "").replace("\\[", "").replace("\\`", "");
    for bad in ["<script", "<img", "](", "\n# pwned", "\n| x |", "http://evil", "`", "-->\n-->"] {
        assert!(!active.contains(bad), "{bad:?} in {md}");
    }
    tables_are_whole(&md);
    golden("hostile", &told, extra);
}

#[test]
fn the_last_entry_of_an_incident_ends_what_is_read() {
    let mut told = incidents::missing_ack();
    let before = documents(&told.entries);
    let more = incidents::still_open().entries.into_iter().filter(|e| e.incident.is_none());
    let last = told.entries.last().unwrap().seq;
    for (n, mut entry) in more.enumerate() {
        entry.seq = last + 1 + n as u64;
        told.entries.push(entry);
    }
    assert_eq!(before, documents(&told.entries));
}

#[test]
fn an_unknown_incident_is_refused() {
    let error = measure::measure(&incidents::missing_ack().entries, "INC-1999-001").unwrap_err();
    assert!(error.contains("INC-1999-001") && error.contains("mayday incident list"), "{error}");
}

#[test]
fn samples_are_held_against_the_digest() {
    let told = incidents::restored();
    for (samples, said) in [
        (Some(incidents::SAMPLES), "the file matches"),
        (Some(&b"{\"a\":2}\n"[..]), "**the file does not match**"),
        (None, "the file was not at hand"),
    ] {
        let review = Review::new(&told.entries, ID, Extra { samples, ..Extra::default() }).unwrap();
        assert!(markdown::render(&review).contains(said), "{said}");
    }
}

#[test]
fn a_line_per_entry_as_it_happens() {
    let told = incidents::missing_ack();
    let lines: Vec<String> = told.entries.iter().filter_map(timeline_md).collect();
    let down = lines.iter().find(|l| l.contains("api up → down")).unwrap();
    assert_eq!(
        down,
        &format!(
            "- 2026-11-20 02:03:11Z · engine · **▼** api up → down: 503 Service Unavailable (recorded 2026-11-20 02:03:20Z) · {}",
            told.seq("down")
        )
    );
    assert!(!lines.iter().any(|l| l.contains("claimed by process")), "{lines:?}");
    assert!(lines.iter().all(|l| !l.contains('\n')));
    for entry in &incidents::hostile().entries {
        let line = timeline_md(entry).unwrap_or_default();
        assert!(!line.contains('\u{1b}') && !line.contains("<script"), "{line}");
    }
}

fn documents(entries: &[Entry]) -> (String, String) {
    let review = Review::new(entries, ID, Extra::default()).unwrap();
    (markdown::render(&review), json::render(&review))
}

fn outside_of_fences(md: &str) -> String {
    let mut fence: Option<usize> = None;
    let mut out = String::new();
    for line in md.lines() {
        let ticks = line.chars().take_while(|c| *c == '`').count();
        match fence {
            None if ticks >= 3 => fence = Some(ticks),
            Some(n) if ticks >= n && line.trim_matches('`').is_empty() => fence = None,
            Some(_) => {}
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    assert!(fence.is_none(), "a fence is left open");
    out
}

/// Every row of a table has as many cells as its head.
fn tables_are_whole(md: &str) {
    let cells = |line: &str| {
        let (mut n, mut escaped) = (0, false);
        for c in line.chars() {
            n += usize::from(c == '|' && !escaped);
            escaped = c == '\\' && !escaped;
        }
        n
    };
    let text = outside_of_fences(md);
    let lines: Vec<&str> = text.lines().collect();
    let mut head = 0;
    for (n, line) in lines.iter().enumerate() {
        if lines.get(n + 1).is_some_and(|next| next.starts_with("| ---")) {
            head = cells(line);
        }
        if line.starts_with('|') {
            assert_eq!(cells(line), head, "{line}");
        }
    }
}

/// Holds both documents against those kept in `tests/golden/export`.
pub fn golden(name: &str, told: &Told, extra: Extra<'_>) {
    let review = Review::new(&told.entries, ID, extra).unwrap();
    let md = markdown::render(&review);
    tables_are_whole(&md);
    for (ending, document) in [("md", md), ("json", json::render(&review))] {
        let document = document.replace(concat!("mayday ", env!("CARGO_PKG_VERSION")), "mayday VERSION");
        let document =
            document.replace(concat!("\"mayday\": \"", env!("CARGO_PKG_VERSION"), "\""), "\"mayday\": \"VERSION\"");
        let file = format!("{}/tests/golden/export/{name}.{ending}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var("MAYDAY_GOLDEN").is_ok_and(|v| v == "write") {
            std::fs::write(&file, &document).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        if let Some((n, (a, b))) = kept.lines().zip(document.lines()).enumerate().find(|(_, (a, b))| a != b) {
            panic!("{file}:{}\n kept: {a}\n  now: {b}", n + 1);
        }
        assert_eq!(kept.lines().count(), document.lines().count(), "{file}");
    }
}

#[test]
fn a_step_of_the_clock_changes_no_number() {
    for (name, told) in [
        ("missing_ack", incidents::missing_ack()),
        ("overlapping", incidents::overlapping()),
        ("declared_first", incidents::declared_first()),
        ("reopened", incidents::reopened()),
    ] {
        let numbers = |entries: &[Entry]| -> Vec<(String, Value, Verdict)> {
            measures(entries).all.into_iter().map(|m| (m.name, m.value, m.verdict)).collect()
        };
        let straight = numbers(&told.entries);
        for at in 1..told.entries.len() {
            for by_ms in [-3_600_000, 5_400_000] {
                let stepped = stepped(&told.entries, at, by_ms);
                assert_eq!(numbers(&stepped), straight, "{name}: stepped by {by_ms} ms before entry {}", at + 1);
            }
        }
    }
}

/// The same story, written with a clock that was stepped before the entry with this index. Moments are told by the clock
/// as it read at the declaration, which stays that of the straight story.
fn stepped(entries: &[Entry], index: usize, by_ms: i64) -> Vec<Entry> {
    let mut out = entries.to_vec();
    let step = mayday::domain::event::ClockStepped { by_ms };
    out.insert(index, Entry { event: step.into(), incident: None, ..entries[index].clone() });
    let declared = out.iter().position(|e| matches!(e.event, Event::IncidentDeclared(_))).unwrap();
    for (n, entry) in out.iter_mut().enumerate() {
        entry.seq = n as u64 + 1;
        let by = match (n < index, declared < index) {
            (false, true) => by_ms,
            (true, false) => -by_ms,
            _ => continue,
        };
        entry.at = entry.at.stepped(by);
        match &mut entry.event {
            Event::HealthChanged(e) => e.happened_at = e.happened_at.map(|at| at.stepped(by)),
            Event::NoteAdded(e) => e.happened_at = e.happened_at.map(|at| at.stepped(by)),
            Event::RunFinished(e) => e.finished_at = e.finished_at.map(|at| at.stepped(by)),
            Event::IncidentOnset(e) => e.onset = e.onset.stepped(by),
            _ => {}
        }
    }
    out
}

#[test]
fn hypotheses_and_the_passing_of_the_lead_stand_in_the_review() {
    let told = incidents::led_by_two();
    let (md, js) = documents(&told.entries);
    for said in [
        "eliminated: df: 40 % used | oncall1 |",
        "for, hearsay: the vendor saw it elsewhere, oncall1",
        "oncall2 took over from oncall1 at",
        "> what",
    ] {
        assert!(md.contains(said), "{said:?} is not in {md}");
    }
    let js: serde_json::Value = serde_json::from_str(&js).unwrap();
    assert_eq!(js["hypotheses"][0]["standing"], "confirmed");
    assert_eq!(js["hypotheses"][0]["evidence"][1]["basis"], "hearsay");
    assert_eq!(js["handoffs"][0]["to"], "oncall2");
    golden("led_by_two", &told, Extra::default());
}
