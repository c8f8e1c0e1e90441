use proptest::prelude::*;

use super::*;
use crate::domain::actor::Actor;
use crate::domain::timeline::{row, whole_row};

const NOW: i64 = 1_800_000_000_000;

fn entry(seq: u64, user: &str, event: impl Into<Event>) -> Entry {
    Entry {
        seq,
        at: Time::from_ms(NOW + i64::try_from(seq).unwrap() * 1000),
        boot_ms: seq * 1000,
        boot: "boot".into(),
        host: "host".into(),
        actor: Actor { user: user.into(), ..Actor::engine() },
        incident: Some("INC-2026-001".into()),
        event: event.into(),
    }
}

fn note(seq: u64, text: &str) -> Entry {
    entry(seq, "ann", NoteAdded { text: text.into(), happened_at: None })
}

fn ctx() -> Context {
    Context {
        now: Time::from_ms(NOW + 1_000_000),
        boot_ms: 1,
        boot: "boot".into(),
        actor: Actor::engine(),
        fresh: "x".into(),
    }
}

fn ask(record: &[Entry], seqs: &[u64], how: Amend, reason: &str) -> Result<Vec<Event>, String> {
    let entries: BTreeSet<u64> = seqs.iter().copied().collect();
    let of = record.iter().filter(|e| entries.contains(&e.seq)).map(whole_row).collect();
    let asked = Asked { entries, of, how, reason: reason.into() };
    decide(&Curation::of(record), asked, &ctx())
        .map(|all| all.into_iter().map(|d| d.event).collect())
        .map_err(|refusal| refusal.to_string())
}

/// The rows as they read after all of `record`.
fn rows(record: &[Entry]) -> Vec<Row> {
    let curation = Curation::of(record);
    record
        .iter()
        .map(|e| {
            let mut row = row(e);
            curation.amend(&mut row);
            row
        })
        .collect()
}

fn correct(text: &str) -> Amend {
    Amend::Correct { text: text.into() }
}

#[test]
fn a_corrected_note_reads_as_corrected_last_and_keeps_its_first_wording() {
    let mut record = vec![note(1, "the cashe is cold")];
    for (seq, user, text) in [(2, "bob", "the cache is cold"), (3, "cy", "the cache was cold")] {
        let events = ask(&record, &[1], correct(text), "").unwrap();
        assert_eq!(events, [NoteCorrected { entry: 1, text: text.into(), reason: String::new() }.into()]);
        record.push(entry(seq, user, events[0].clone()));
    }
    let row = rows(&record).remove(0);
    assert_eq!(row.text, "the cache was cold");
    assert_eq!(row.original.as_ref().unwrap().text, "the cashe is cold");
    assert_eq!(row.as_recorded().text, "the cashe is cold");
    assert_eq!(row.mark(), "corrected by cy");
    assert_eq!(row.marks(), "corrected by bob (2), corrected by cy (3)");
    assert_eq!(row.actor, "ann");
    assert!(ask(&record, &[1], correct(" the cache was cold\n"), "").unwrap_err().contains("already"));
    // Back to the first wording is a correction too.
    assert!(ask(&record, &[1], correct("the cashe is cold"), "").is_ok());
}

/// What is cut in a row is not cut in a correction.
#[test]
fn a_long_note_is_told_apart_to_its_last_letter() {
    let long = "word ".repeat(400) + "end";
    let record = [note(1, &long)];
    assert_eq!(whole_row(&record[0]).written(), Some(long.as_str()));
    assert!(ask(&record, &[1], correct(&(long.clone() + "!")), "").is_ok());
    assert!(ask(&record, &[1], correct(&long), "").unwrap_err().contains("already"));
}

#[test]
fn what_stands_against_a_correction_is_said() {
    let mut record = vec![note(1, "a"), entry(2, "engine", EngineStopped { reason: "x".into() }), note(3, "b")];
    record.push(entry(4, "bob", NoteCorrected { entry: 3, text: "c".into(), reason: String::new() }));
    record.push(Entry { incident: None, ..note(5, "of no incident") });
    let future = Amend::Retime { happened_at: ctx().now.plus(std::time::Duration::from_millis(1)) };
    let same = Amend::Retime { happened_at: record[0].at };
    let past = Amend::Retime { happened_at: Time::from_ms(NOW - 1) };
    let pin = Amend::Pin { pinned: true };
    for (seqs, how, reason, said) in [
        (&[2][..], correct("x"), "", "entry 2 is no note"),
        (&[4], correct("x"), "", "is a correction itself: correct the entry that it is about: 3"),
        (&[9], correct("x"), "", "there is no entry 9 on record"),
        (&[1, 9], pin.clone(), "", "there is no entry 9 on record"),
        (&[], pin.clone(), "", "no entry is named"),
        (&[1, 3], correct("x"), "", "one entry is corrected at a time"),
        (&[1], correct("  "), "", "the note is empty"),
        (&[1], future, "late", "lies in the future"),
        (&[1], past, "", "another time needs a reason"),
        (&[1], same, "x", "entry 1 is of that time already"),
        (&[1], Amend::Hide { hidden: true }, " ", "hiding an entry needs a reason"),
        (&[1, 3], Amend::Pin { pinned: false }, "", "entries 1, 3 are not pinned already"),
        (&[1, 5], Amend::Join { title: "t".into() }, "", "entries of different incidents"),
        (&[1], Amend::Join { title: " ".into() }, "", "under no title already"),
    ] {
        let why = ask(&record, seqs, how, reason).unwrap_err();
        assert!(why.contains(said), "{why} / {said}");
    }
    // Of several those are pinned that are not.
    record.push(entry(6, "bob", EntryPinned { entry: 1, pinned: true, reason: String::new() }));
    let events = ask(&record, &[1, 3], pin, "").unwrap();
    assert_eq!(events, [EntryPinned { entry: 3, pinned: true, reason: String::new() }.into()]);
}

#[test]
fn a_retimed_row_tells_both_times() {
    let at = Time::from_ms(NOW - 60_000);
    let record = [note(1, "a"), entry(2, "bob", EntryRetimed { entry: 1, happened_at: at, reason: "late".into() })];
    let row = rows(&record).remove(0);
    assert_eq!((row.happened(), row.at), (at, record[0].at));
    assert_eq!(row.mark(), "retimed by bob");
    assert_eq!(row.as_recorded().happened(), record[0].at);
    // Retimed to when it was recorded it is as it was.
    let back = EntryRetimed { entry: 1, happened_at: record[0].at, reason: "no".into() };
    let row = rows(&[record[0].clone(), record[1].clone(), entry(3, "bob", back)]).remove(0);
    assert_eq!((row.happened_at, row.mark().as_str(), row.original), (None, "", None));
}

#[test]
fn what_is_redacted_counts_no_more_and_is_not_corrected() {
    let secret = NoteCorrected { entry: 1, text: "pw s3cret".into(), reason: String::new() };
    let hide = EntryHidden { entry: 1, hidden: true, reason: "hunter2".into() };
    let record = vec![note(1, "a"), entry(2, "bob", secret), entry(3, "bob", hide)];
    let redact = |record: &[Entry], seq: u64| {
        let by = record.len() as u64 + 1;
        let mut live = record.to_vec();
        live.push(entry(by, "ann", EntryRedacted { seq, why: "leaked".into(), left: false, files: Vec::new() }));
        // As it is read anew: the fields are gone.
        let mut anew = live.clone();
        let at = usize::try_from(seq).unwrap() - 1;
        let kind = anew[at].event.kind().to_owned();
        anew[at].event = Event::read(&kind, serde_json::json!({ "redacted": by }));
        assert_eq!(Curation::of(&live), Curation::of(&anew), "entry {seq}");
        let kept = serde_json::to_string(&Curation::of(&live)).unwrap();
        assert!(!kept.contains(if seq == 3 { "hunter2" } else { "s3cret" }), "{kept}");
        live
    };
    let row = rows(&redact(&record, 2)).remove(0);
    assert_eq!((row.text.as_str(), row.hidden), ("a", true));
    assert!(!rows(&redact(&record, 3)).remove(0).hidden);
    let live = redact(&record, 1);
    assert!(ask(&live, &[1], correct("b"), "").unwrap_err().contains("entry 1 was redacted (entry 4)"));
}

#[test]
fn evidence_is_known_at_the_entry_that_it_is_about() {
    let evidence = EvidenceAdded {
        about: Some(1),
        what: "file".into(),
        title: "dmesg".into(),
        digest: "d".into(),
        size: 3,
        excerpt: String::new(),
        file: "evidence/d-dmesg".into(),
        masked: false,
    };
    let mut curation = Curation::of(&[note(1, "a"), entry(2, "bob", evidence)]);
    let mut row = row(&note(1, "a"));
    curation.amend(&mut row);
    assert_eq!((row.evidence.as_slice(), row.original), (&[2][..], None));
    curation.renumber(2, 3);
    assert_eq!(curation.entries[&1].evidence, [5]);
}

/// Anything that can be said of entries, of any of them.
fn any_event(entries: u64) -> impl Strategy<Value = Event> {
    let seq = 1..=entries;
    prop_oneof![
        (seq.clone(), "[a-c]{1,3}")
            .prop_map(|(entry, text)| { NoteCorrected { entry, text, reason: String::new() }.into() }),
        (seq.clone(), 0..1_000_000i64).prop_map(|(entry, ms)| {
            EntryRetimed { entry, happened_at: Time::from_ms(NOW - ms), reason: "r".into() }.into()
        }),
        (seq.clone(), any::<bool>())
            .prop_map(|(entry, pinned)| { EntryPinned { entry, pinned, reason: String::new() }.into() }),
        (seq.clone(), any::<bool>())
            .prop_map(|(entry, hidden)| { EntryHidden { entry, hidden, reason: "r".into() }.into() }),
        (proptest::collection::btree_set(seq.clone(), 1..4), "[a-b]{0,2}").prop_map(|(entries, title)| EntriesJoined {
            entries,
            title
        }
        .into()),
        seq.prop_map(|seq| EntryRedacted { seq, why: "w".into(), left: false, files: Vec::new() }.into()),
    ]
}

proptest! {
    /// A correction changes the rows it names and no other, and of the raw record nothing at all.
    #[test]
    fn a_correction_changes_no_other_row(events in proptest::collection::vec(any_event(6), 1..20)) {
        let mut record: Vec<Entry> = (1..=6).map(|n| note(n, &format!("note {n}"))).collect();
        for event in events {
            let before = rows(&record);
            record.push(entry(record.len() as u64 + 1, "bob", event));
            let after = rows(&record);
            let about = row(record.last().unwrap()).about;
            // A redaction takes back what the redacted entry said of others.
            let redacted = matches!(record.last().unwrap().event, Event::EntryRedacted(_));
            let told = |seq: u64| about.contains(&seq)
                || redacted && before.iter().any(|r| about.contains(&r.seq) && r.about.contains(&seq));
            for (was, is) in before.iter().zip(&after) {
                if !told(was.seq) {
                    prop_assert_eq!(was, is);
                }
                prop_assert_eq!(was.as_recorded().text, is.as_recorded().text);
                prop_assert_eq!(was.as_recorded().happened(), is.as_recorded().happened());
                prop_assert_eq!((was.at, &was.actor, &was.kind), (is.at, &is.actor, &is.kind));
            }
        }
        // A checkpoint holds the same.
        let curation = Curation::of(&record);
        let kept: Curation = serde_json::from_str(&serde_json::to_string(&curation).unwrap()).unwrap();
        prop_assert_eq!(curation, kept);
    }
}
