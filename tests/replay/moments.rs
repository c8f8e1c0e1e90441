//! Any moment equals the fold of what was recorded by then, with what was sealed by then, and no more.

use std::time::Duration;

use mayday::domain::Time;
use mayday::domain::health::Health;
use mayday::domain::incident::Status;
use mayday::domain::state::State;
use mayday::domain::timeline::Level;
use mayday::journal::Draft;
use mayday::replay::Tape;
use mayday::wire::past::{Reach, Span};
use mayday::wire::{Mirror, Past, TimelineQuery};
use proptest::prelude::*;
use serde_json::json;

use super::record::{ID, Record, at, draft, night};

const PATIENCE: Duration = Duration::from_secs(60);

fn whole(tape: &Tape) -> Span {
    match tape.wait(u64::MAX, PATIENCE) {
        Reach::Open(span) => *span,
        other => panic!("{other:?}"),
    }
}

fn opened(record: &Record) -> (Tape, Span) {
    let tape = Tape::open(record.path(), Some(ID));
    let span = whole(&tape);
    (tape, span)
}

fn picture(tape: &mut Tape, seq: u64, at: Time) -> Mirror {
    let mut mirror = Mirror::default();
    mirror.apply(tape.picture(seq, at).unwrap());
    mirror
}

fn all() -> TimelineQuery {
    TimelineQuery { limit: 1000, ..TimelineQuery::default() }
}

#[test]
fn the_replay_reaches_from_the_lead_up_to_the_end_of_the_incident() {
    let record = Record::night();
    let (tape, span) = opened(&record);
    assert_eq!(span.incident.as_deref(), Some(ID));
    assert_eq!((span.first.unwrap().seq, span.declared.unwrap().seq, span.last), (7, 10, 24));
    assert!(span.whole && span.damaged == 0 && span.unsealed.is_empty(), "{span:?}");
    assert!(span.has(7) && span.has(24) && !span.has(6) && !span.has(25));
    assert_eq!(span.marks.acknowledged.unwrap().seq, 12);
    assert_eq!(span.marks.resolved.unwrap().seq, 23);
    // The newest one when none is named.
    assert_eq!(whole(&Tape::open(record.path(), None)), span);
    assert_eq!(tape.recorded_at(14), Some(at("02:02:40")));
    assert_eq!(tape.entry_at(at("02:02:39")), Some(13));
    assert_eq!(tape.entry_at(at("02:02:40")), Some(14));
    assert_eq!(tape.entry_at(at("01:00:00")), None);
    // Claims and starts of runs are no key events, nor are corrections.
    assert_eq!(tape.key_event(14, true), Some(15));
    assert_eq!(tape.key_event(15, true), Some(18));
    assert_eq!(tape.key_event(18, false), Some(15));
    assert_eq!((tape.key_event(23, true), tape.key_event(7, false)), (None, None));
    let ticks = tape.ticks(span.first.unwrap().at, at("03:10:00"), 10);
    assert_eq!(ticks[0], Some(Level::Info));
    assert_eq!(ticks[3], Some(Level::Bad), "{ticks:?}");
    assert_eq!(ticks[1], None);
}

#[test]
fn what_was_known_then_and_nothing_of_later() {
    let record = Record::night();
    let (mut tape, _) = opened(&record);
    // Before the declaration.
    let then = picture(&mut tape, 9, at("02:01:26"));
    assert!(then.incidents.is_empty() && then.runs.is_empty());
    assert_eq!(then.services["api"].state, Health::Down);
    assert_eq!(then.services["api"].because.as_deref(), Some("postgres"));
    assert_eq!(then.services["web"].state, Health::Up);
    // In the middle of the run; the clock stands between two entries.
    let then = picture(&mut tape, 17, at("02:03:11"));
    let view = &then.incidents[ID];
    assert_eq!(then.at, at("02:03:11"));
    assert_eq!(view.elapsed_ms, 104_000);
    assert_eq!(view.update_due, Some(at("02:16:27")));
    assert_eq!((view.incident.status, view.incident.commander()), (Status::Investigating, Some("ann")));
    assert_eq!(then.runs["r2"].state, mayday::domain::run::RunState::Running);
    assert_eq!(then.services["api"].held_by.as_deref(), Some("r2"));
    assert_eq!(then.services["api"].down_since, Some(at("02:01:22")));
    // Ages are those of then.
    let newest = then.backups["postgres-full"].newest.as_ref().unwrap();
    assert_eq!(then.at.since(newest.as_of()), Duration::from_secs(3791));
    // What the probes had measured by then: the last result is a failure, and no later one is in the sparkline.
    let api = &then.services["api"];
    assert_eq!(api.observed_at, Some(at("02:03:10")));
    assert_eq!((api.checks.len(), api.checks[0].last.as_ref().unwrap().detail.as_str()), (1, "refused"));
    assert_eq!(api.p99_us, Some(u32::MAX));
    assert_eq!(api.spark.len(), 30);
    assert_eq!(api.spark.iter().filter(|v| **v == u32::MAX).count(), 11, "{:?}", api.spark);
    // What was not sealed is not shown.
    let web = &then.services["web"];
    assert!(web.latency_us.is_none() && web.observed_at.is_none() && web.checks.is_empty() && web.spark.is_empty());
    // Nor what was sealed for another time.
    let before = picture(&mut tape, 7, at("01:30:00"));
    assert!(before.services["api"].latency_us.is_some());
    let after = picture(&mut tape, 24, at("03:10:00"));
    assert!(after.services["api"].latency_us.is_none());
    assert_eq!(after.incidents[ID].incident.status, Status::Resolved);
}

#[test]
fn rows_read_as_they_read_then() {
    let record = Record::night();
    let (mut tape, _) = opened(&record);
    let text = |rows: &[mayday::domain::timeline::Row]| rows.iter().find(|r| r.seq == 14).unwrap().text.clone();
    let then = tape.rows(&all(), 17, false).unwrap();
    assert_eq!(then.last().unwrap().seq, 17);
    assert_eq!(text(&then), "the disk of db2 was full");
    assert_eq!(text(&tape.rows(&all(), 17, true).unwrap()), "the disk of db1 was full");
    let end = tape.rows(&all(), 24, false).unwrap();
    assert_eq!(text(&end), "the disk of db1 was full");
    // Pages do not go beyond the moment either.
    let page = |after, before, limit| TimelineQuery { after, before, limit, incident: None };
    let seqs = |tape: &mut Tape, q: &TimelineQuery| -> Vec<u64> {
        tape.rows(q, 17, false).unwrap().iter().map(|r| r.seq).collect()
    };
    assert_eq!(seqs(&mut tape, &page(Some(15), None, 9)), [16, 17]);
    assert_eq!(seqs(&mut tape, &page(None, Some(4), 9)), [1, 2, 3]);
    assert_eq!(seqs(&mut tape, &page(None, None, 3)), [15, 16, 17]);
    let own = TimelineQuery { incident: Some(ID.into()), limit: 3, ..TimelineQuery::default() };
    assert_eq!(seqs(&mut tape, &own), [15, 16, 17]);
}

#[test]
fn what_is_damaged_or_missing_is_said() {
    let record = Record::night();
    std::fs::remove_dir_all(record.folder()).unwrap();
    let live = record.path().join("journal.jsonl");
    let text = std::fs::read_to_string(&live).unwrap();
    let altered = text.replace("the disk of db2", "the disk of db3");
    assert_ne!(text, altered, "it is in the part that is written to");
    std::fs::write(&live, altered).unwrap();
    let (mut tape, span) = opened(&record);
    assert_eq!((span.damaged, span.last), (1, 24));
    assert_eq!(span.unsealed, "no samples were sealed");
    // Moments after it can be shown, without what cannot be trusted.
    let rows = tape.rows(&all(), 16, false).unwrap();
    assert!(rows.iter().all(|r| r.seq != 14) && rows.last().unwrap().seq == 16);
    assert_eq!(picture(&mut tape, 14, at("02:02:40")).seq, 13);
    assert!(picture(&mut tape, 20, at("02:20:02")).services["api"].observed_at.is_none());
    // No record, no such incident, no incident at all.
    let refused = |dir: &std::path::Path, id| match Tape::open(dir, Some(id)).wait(0, PATIENCE) {
        Reach::Failed(why) => why,
        other => panic!("{other:?}"),
    };
    let empty = tempfile::tempdir().unwrap();
    assert!(
        refused(empty.path(), ID).contains("is a state directory")
            || refused(empty.path(), ID).contains("state directory?")
    );
    let why = refused(record.path(), "INC-1999-001");
    assert!(why.contains("no incident \"INC-1999-001\"") && why.contains(ID), "{why}");
    let quiet = Record::of(&night()[..6]);
    assert!(refused(quiet.path(), ID).contains("no incident was ever declared here"));
    let span = whole(&Tape::open(quiet.path(), None));
    assert_eq!((span.incident, span.first.unwrap().seq, span.last), (None, 1, 6), "then the whole record");
}

#[test]
fn a_clock_that_was_set_back_confuses_nothing() {
    let mut drafts = night();
    let mut stepped = draft("02:02:00", "!engine", "clock.stepped", json!({ "by_ms": -60_000 }));
    stepped.boot_ms += 60_000;
    drafts.insert(15, stepped);
    let record = Record::of(&drafts);
    let (mut tape, _) = opened(&record);
    assert_eq!(tape.recorded_at(16), Some(at("02:02:00")));
    // Of a time that the clock showed twice the later one is meant.
    assert_eq!(tape.entry_at(at("02:02:10")), Some(16));
    let then = picture(&mut tape, 16, at("02:02:00"));
    assert_eq!(then.incidents[ID].elapsed_ms, 93_000, "by the clock that is never stepped");
}

/// Anything that may be recorded, many times over.
fn any_draft() -> impl Strategy<Value = Draft> {
    let own = 6..night().len();
    prop_oneof![
        3 => own.prop_map(|n| night()[n].clone()),
        1 => "[a-z ]{1,20}".prop_map(|text| draft("02:10:00", "!ben", "note.added", json!({ "text": text }))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// The state at entry n is the fold of the first n entries, in whatever order one jumps.
    #[test]
    fn any_moment_is_the_fold_up_to_it(
        more in proptest::collection::vec(any_draft(), 1..40), times in 1usize..40,
        jumps in proptest::collection::vec(any::<prop::sample::Index>(), 1..30),
    ) {
        let mut drafts = night();
        drafts.truncate(22);
        for _ in 0..times {
            drafts.extend(more.iter().cloned());
        }
        let record = Record::of(&drafts);
        let (mut tape, span) = opened(&record);
        let first = usize::try_from(span.first.unwrap().seq).unwrap();
        let last = usize::try_from(span.last).unwrap();
        for jump in jumps {
            let n = first + jump.index(last - first + 1);
            let wanted = State::replay(&record.entries[..n]);
            let seq = n as u64;
            prop_assert_eq!(tape.state(seq).unwrap(), &wanted, "at {} of {}", n, last);
        }
    }
}
