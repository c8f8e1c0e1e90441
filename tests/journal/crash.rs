//! Nothing that was acknowledged is lost, wherever it is cut short.

use mayday::domain::event::Event;
use mayday::journal::{Draft, Journal, verify_with};
use proptest::prelude::*;

use super::memory::{Dice, Memory};
use super::support::*;

#[test]
fn cut_at_every_byte_every_whole_entry_is_there() {
    let disk = Memory::new();
    let (mut journal, _) = open(&disk);
    for batch in 0..5 {
        journal.append(&notes(batch * 3..batch * 3 + 3)).unwrap();
    }
    let wanted = all(&journal);
    let path = dir().join("journal.jsonl");
    let closed = journal.entries(1).unwrap().count() - {
        let bytes = disk.get(&path).unwrap();
        bytes.iter().filter(|b| **b == b'\n').count()
    };
    assert!(closed > 0, "there is a closed part before the one that is cut");
    let bytes = disk.get(&path).unwrap();
    assert!(bytes.len() > 1000);
    for cut in 0..=bytes.len() {
        let disk = disk.after_crash(&mut Dice(0));
        disk.put(&path, &bytes[..cut]);
        let lines = bytes[..cut].iter().filter(|b| **b == b'\n').count();
        // A last line that lacks nothing but its end is whole.
        let whole = closed + lines + usize::from(bytes.get(cut) == Some(&b'\n'));
        let (mut journal, opened) = open(&disk);
        assert_eq!(opened.damage, [], "cut at {cut}");
        assert_eq!(all(&journal), wanted[..whole], "cut at {cut}");
        let torn = if bytes.get(cut) == Some(&b'\n') {
            0
        } else {
            cut - bytes[..cut].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1)
        };
        assert_eq!(opened.healed.as_ref().map_or(0, |h| h.bytes as usize), torn, "cut at {cut}");
        if let Some(healed) = &opened.healed {
            let kept = disk.get(&dir().join(healed.moved_to.as_deref().unwrap())).unwrap();
            assert_eq!(kept, bytes[cut - torn..cut]);
        }
        let more = journal.append(&[note(90, "after")]).unwrap();
        assert_eq!(more[0].seq as usize, whole + 1);
        drop(journal);
        assert_whole(&disk);
        let (journal, opened) = open(&disk);
        assert_eq!((opened.healed, all(&journal).len()), (None, whole + 1));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<usize>),
    Checkpoint,
    Redact(usize),
    Tend,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(prop_oneof![4 => 0usize..40, 2 => 400usize..1500, 1 => Just(65_536usize)], 1..5).prop_map(Step::Append),
        1 => Just(Step::Checkpoint),
        1 => (0usize..1000).prop_map(Step::Redact),
        1 => Just(Step::Tend),
        1 => Just(Step::Reopen),
    ]
}

/// What must be on record, and what may be behind it.
#[derive(Default)]
struct Promise {
    kept: Vec<Draft>,
    redacted: Vec<u64>,
    in_flight: Vec<Draft>,
    redacting: Option<u64>,
    n: u64,
}

impl Promise {
    fn step(&mut self, journal: &mut Journal, step: &Step) -> bool {
        match step {
            Step::Append(sizes) => {
                let batch: Vec<Draft> = sizes.iter().map(|size| self.next_note(*size)).collect();
                match journal.append(&batch) {
                    Ok(_) => self.kept.extend(batch),
                    Err(_) => {
                        self.in_flight = batch;
                        return false;
                    }
                }
            }
            Step::Checkpoint => {
                return journal.checkpoint(journal.head().seq, &"state").is_ok() || journal.head().seq == 0;
            }
            Step::Redact(which) => {
                let candidates: Vec<u64> = (1..=self.kept.len() as u64)
                    .filter(|seq| {
                        matches!(self.kept[*seq as usize - 1].event, Event::NoteAdded(_))
                            && !self.redacted.contains(seq)
                    })
                    .collect();
                let Some(seq) = candidates.get(which % candidates.len().max(1)).copied() else {
                    return true;
                };
                self.n += 1;
                let draft = redaction(self.n, seq);
                let before = journal.head().seq;
                let done = journal.redact(draft.clone());
                if journal.head().seq > before {
                    self.kept.push(draft);
                    self.redacted.push(seq);
                } else {
                    self.in_flight = vec![draft];
                    self.redacting = Some(seq);
                }
                return done.is_ok();
            }
            Step::Tend => return journal.tend().failed.is_none(),
            Step::Reopen => return journal.reopen().is_ok(),
        }
        true
    }

    fn next_note(&mut self, size: usize) -> Draft {
        self.n += 1;
        note(self.n, &format!("secret-{}-{}", self.n, "ä\"\\".repeat(size / 4)))
    }

    /// What is found after the crash keeps it; and goes on from there.
    fn check(&mut self, journal: &Journal, disk: &Memory) {
        let found = all(journal);
        assert!(found.len() >= self.kept.len(), "{} entries of {} are left", found.len(), self.kept.len());
        assert!(found.len() <= self.kept.len() + self.in_flight.len());
        self.kept.extend(self.in_flight.drain(..).take(found.len() - self.kept.len()));
        if let Some(seq) = self.redacting.take()
            && matches!(&self.kept.last().unwrap().event, Event::EntryRedacted(e) if e.seq == seq)
        {
            self.redacted.push(seq);
        }
        let files = disk.files();
        for (entry, draft) in found.iter().zip(&self.kept) {
            assert_eq!((entry.at, &entry.incident), (draft.at, &draft.incident));
            if self.redacted.contains(&entry.seq) {
                assert!(matches!(&entry.event, Event::Unknown { .. }), "entry {} is not redacted", entry.seq);
                let Event::NoteAdded(text) = &draft.event else { panic!() };
                let secret = text.text.split_inclusive('-').take(2).collect::<String>();
                for (path, bytes) in &files {
                    let there = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
                    assert!(!there, "{secret} stands in {}", path.display());
                }
            } else {
                assert_eq!(entry.event, draft.event);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn power_lost_at_any_call_loses_nothing_acknowledged(
        rounds in prop::collection::vec((prop::collection::vec(step(), 1..12), 0u64..260, any::<u64>()), 1..4),
    ) {
        let mut disk = Memory::new();
        let mut promise = Promise::default();
        for (steps, calls, seed) in rounds {
            disk.power_off_after(calls);
            if let Ok((mut journal, _)) = Journal::open(&dir(), on(&disk)) {
                for step in &steps {
                    if !promise.step(&mut journal, step) {
                        break;
                    }
                }
            }
            disk = disk.after_crash(&mut Dice(seed));
            let (journal, opened) = open(&disk);
            prop_assert_eq!(opened.damage, []);
            promise.check(&journal, &disk);
            let report = verify_with(&disk.storage(), &dir(), None).unwrap();
            prop_assert!(report.is_whole(), "{:#?}", report);
            prop_assert!(report.redactions.iter().all(|r| r.done));
        }
    }

    #[test]
    fn failing_calls_leave_the_record_whole(
        script in prop::collection::vec((step(), 0u32..6), 1..14),
    ) {
        let disk = Memory::new();
        let mut promise = Promise::default();
        let (mut journal, _) = open(&disk);
        for (step, fault) in &script {
            match fault {
                0 => disk.fail_syncs(1),
                1 => disk.fail_writes(1, libc::EIO),
                2 => disk.fail_writes(1, libc::ENOSPC),
                _ => {}
            }
            promise.step(&mut journal, step);
            disk.fail_syncs(0);
            disk.fail_writes(0, 0);
            // Nothing of what was refused comes back later in the same life.
            promise.in_flight.clear();
            promise.redacting = None;
            if journal.failed().is_some() {
                prop_assert!(journal.append(&[note(0, "x")]).is_err());
            }
            let tended = journal.tend();
            prop_assert_eq!(tended.failed, None);
            prop_assert_eq!(tended.unredacted, None);
        }
        promise.check(&journal, &disk);
        drop(journal);
        let disk = disk.after_crash(&mut Dice(1));
        let (journal, opened) = open(&disk);
        prop_assert_eq!(opened.damage, []);
        prop_assert_eq!(opened.healed, None);
        promise.check(&journal, &disk);
        assert_whole(&disk);
    }
}

#[test]
fn after_a_failed_sync_the_cache_is_not_believed() {
    let disk = Memory::new();
    let (mut journal, _) = open(&disk);
    journal.append(&notes(0..2)).unwrap();
    disk.fail_syncs(1);
    let e = journal.append(&notes(2..4)).unwrap_err().to_string();
    assert!(e.contains("/state/journal.jsonl") && e.contains("sync"), "{e}");
    assert_eq!((journal.next_seq(), journal.failed().is_some()), (3, true));
    // The entries are in the cache and in no one's sight, and a second sync that succeeds would not save them.
    assert_eq!(all(&journal).len(), 2);
    assert!(journal.append(&notes(2..4)).is_err());
    journal.reopen().unwrap();
    assert_eq!(journal.append(&notes(2..4)).unwrap()[0].seq, 3);
    let disk = disk.after_crash(&mut Dice(7));
    assert_eq!(all(&open(&disk).0).len(), 4);
    assert_whole(&disk);
}

#[test]
fn a_deleted_record_is_noticed_and_brought_back() {
    let disk = Memory::new();
    let (mut journal, _) = open(&disk);
    journal.append(&notes(0..5)).unwrap();
    disk.delete(&dir().join("journal.jsonl"));
    let e = journal.append(&notes(5..6)).unwrap_err().to_string();
    assert!(e.contains("deleted"), "{e}");
    assert!(journal.tend().recovered);
    journal.append(&notes(5..6)).unwrap();
    assert_eq!(all(&open(&disk).0).len(), 6);
    assert_whole(&disk);
}

#[test]
fn a_record_that_was_moved_or_replaced_is_noticed() {
    let disk = Memory::new();
    let (mut journal, _) = open(&disk);
    let path = dir().join("journal.jsonl");
    journal.append(&notes(0..3)).unwrap();
    let bytes = disk.get(&path).unwrap();
    disk.storage().rename(&path, &dir().join("old.jsonl")).unwrap();
    assert!(journal.tend().recovered);
    assert_eq!(disk.get(&path).unwrap(), bytes);

    // An editor writes another file under the name. The same text is taken, another is not.
    disk.put(&path, &bytes);
    assert!(journal.tend().recovered);
    journal.append(&notes(3..4)).unwrap();
    let bytes = disk.get(&path).unwrap();
    disk.put(&path, &bytes[..bytes.len() / 2]);
    assert!(journal.tend().failed.is_some_and(|why| why.contains("entries are gone")));
    disk.put(&path, String::from_utf8(bytes.clone()).unwrap().replace("note 1", "note 7").as_bytes());
    assert!(journal.tend().failed.is_some_and(|why| why.contains("another file")));
    assert!(journal.append(&notes(4..5)).is_err());
    disk.put(&path, &bytes);
    assert!(journal.tend().recovered);
    journal.append(&notes(4..5)).unwrap();
    assert_eq!(all(&open(&disk).0).len(), 5);
    assert_whole(&disk);
}

#[test]
fn what_something_else_wrote_is_moved_aside() {
    let disk = Memory::new();
    let (mut journal, _) = open(&disk);
    journal.append(&notes(0..2)).unwrap();
    let path = dir().join("journal.jsonl");
    let file = disk.storage().open(&path, mayday::journal::storage::Access::Write).unwrap();
    file.write_at(b"hello\n", file.meta().unwrap().len).unwrap();
    assert!(journal.append(&notes(2..3)).is_err());
    let tended = journal.tend();
    assert_eq!(tended.healed.map(|h| h.bytes), Some(6));
    journal.append(&notes(2..3)).unwrap();
    assert_whole(&disk);
}
