//! Checking a whole record: every line, every link, and what came out of the house earlier.
//!
//! The chain alone proves that nothing was changed in the middle. Whoever rewrites everything from some entry on, or cuts
//! the end, leaves a chain that holds; that shows against an anchor (the head that went out with a message) and against
//! the checkpoint beside the record.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::line::{Hash64, Line};
use super::lines::{Chain, Damage, Head, Place};
use super::parts::LIVE;
use super::reader::Reader;
use super::storage::{Disk, Storage};
use super::{JournalError, checkpoint};
use crate::domain::Time;
use crate::domain::event::{Event, MessageAttempted};
use crate::domain::message::Delivery;
use crate::text::clean;

/// Faults that are told one by one; the rest is counted.
const TOLD: usize = 100;
/// Heads of messages that are told, and entries before a message among which its head is looked for.
const HEADS: usize = 1000;
const LOOKED_BACK: usize = 20_000;
/// Digits that an anchor has at least.
const ANCHOR_DIGITS: usize = 8;

/// What a verification found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The files, oldest first.
    pub parts: Vec<PartReport>,
    /// Entries that could be read.
    pub entries: u64,
    /// The last of them.
    pub head: Head,
    /// The first hundred faults, in the order of the record.
    pub faults: Vec<Damage>,
    /// How many there are in all.
    pub faulty: u64,
    /// Payloads that were blanked, or are to be.
    pub redactions: Vec<Redaction>,
    /// Times in which nothing could be recorded.
    pub gaps: Vec<Gap>,
    /// Bytes at the end that are no whole line: an entry that is being written, or a torn one.
    pub unfinished: u64,
    /// What became of the anchor that was asked for; the first where several were.
    pub anchor: Option<Anchor>,
    /// All of them, each with the digits that were asked for.
    pub anchors: Vec<(String, Anchor)>,
    /// The last entry before the first fault, and the first behind the last one from which everything follows on again;
    /// 0 where there is none.
    pub good_until: u64,
    pub good_again: u64,
    /// Heads that went out of the house in messages that a channel accepted, oldest first; the last thousand.
    pub sent: Vec<SentHead>,
}

/// A head that was printed in a message: whoever has the message holds proof of everything before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentHead {
    /// The message, the entry that says that it went out, and when.
    pub message: String,
    pub seq: u64,
    pub at: Time,
    pub channel: String,
    /// 8 hex digits.
    pub head: String,
    /// The entry that had it; `None`: none of those before the message had.
    pub of: Option<u64>,
}

impl Report {
    /// Nothing is wrong, as far as can be told.
    pub fn is_whole(&self) -> bool {
        self.faulty == 0 && !self.anchors.iter().any(|(_, a)| *a == Anchor::Missing)
    }

    /// The first fault.
    pub fn first_fault(&self) -> Option<&Damage> {
        self.faults.first()
    }

    fn fault(&mut self, fault: Damage) {
        self.faulty += 1;
        if self.faults.len() < TOLD {
            self.faults.push(fault);
        }
    }
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartReport {
    pub name: String,
    pub entries: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// First and last entry; 0 when there is none.
    pub first: u64,
    pub last: u64,
}

/// A payload that an `entry.redacted` asks to be blanked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redaction {
    /// The entry that is blanked; 0: only files were.
    pub seq: u64,
    /// The entry that says so.
    pub by: u64,
    pub at: Time,
    /// Who asked for it.
    pub who: String,
    pub why: String,
    /// Whether the payload is gone.
    pub done: bool,
    /// Files beside the journal in which it was destroyed too, at so many places; and what could not be.
    pub files: Vec<String>,
    pub places: u64,
    pub failed: Vec<String>,
}

/// A time in which nothing could be recorded, as a `journal.gap` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The entry that tells it.
    pub seq: u64,
    pub since: Time,
    pub until: Time,
    /// Entries that were kept in memory and follow.
    pub kept: u64,
    /// Entries that were not.
    pub lost: u64,
    pub why: String,
}

/// What became of an anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The head stood there at these entries: one, but for a chance of one in billions.
    Found(Vec<(u64, Time)>),
    /// No entry has it: the record was rewritten or cut since, or the anchor is of another record.
    Missing,
}

/// Verifies the record in a state folder, a copy of one, or a single file such as a mirror. `anchor` is the beginning of
/// a head, at least 8 hex digits. Errors: the record cannot be read at all, or the anchor is none.
pub fn verify(path: &Path, anchor: Option<&str>) -> Result<Report, JournalError> {
    verify_with(&(Arc::new(Disk::default()) as Arc<dyn Storage>), path, anchor)
}

/// As [`verify`], in a storage of one's own.
pub fn verify_with(storage: &Arc<dyn Storage>, path: &Path, anchor: Option<&str>) -> Result<Report, JournalError> {
    verify_all(storage, path, anchor.as_slice())
}

/// As [`verify_with`], with any number of anchors.
pub fn verify_all(storage: &Arc<dyn Storage>, path: &Path, anchors: &[&str]) -> Result<Report, JournalError> {
    run(storage, path, anchors).map_err(JournalError::new("verify the journal in", path))
}

/// What is gathered on the way and can only be judged at the end.
#[derive(Default)]
struct Gathered {
    /// Blanked entries: the one that is said to have done it, and where they stand.
    blanked: BTreeMap<u64, (u64, Damage)>,
    /// By the entry that asks.
    asked: BTreeMap<u64, Redaction>,
    anchored: BTreeMap<String, Vec<(u64, Time)>>,
    /// The newest hashes, for heads that messages print.
    hashes: std::collections::VecDeque<(u64, Hash64)>,
    /// By message: the entry that queued it.
    queued: BTreeMap<String, u64>,
}

fn run(storage: &Arc<dyn Storage>, path: &Path, anchors: &[&str]) -> io::Result<Report> {
    let anchors = anchors.iter().map(|a| read_anchor(a)).collect::<io::Result<Vec<String>>>()?;
    let reader = Reader::look(storage, path)?;
    let seen = checkpoint::seen(storage.as_ref(), path);
    let mut report = Report {
        parts: Vec::new(),
        entries: 0,
        head: Head::GENESIS,
        faults: Vec::new(),
        faulty: 0,
        redactions: Vec::new(),
        gaps: Vec::new(),
        unfinished: reader.unfinished(),
        anchor: None,
        anchors: Vec::new(),
        good_until: 0,
        good_again: 0,
        sent: Vec::new(),
    };
    for gap in reader.gaps() {
        report.fault(gap);
    }
    let mut gathered = Gathered::default();
    let mut chain = Chain::after(Head::GENESIS);
    for part in reader.parts() {
        let name = part.name();
        let mut of_part =
            PartReport { name: name.to_owned(), entries: 0, bytes: part.len(), first: part.first(), last: 0 };
        let mut lines = part.lines(Place::START)?;
        while let Some(raw) = lines.next()? {
            let damage = |why: String| Damage::new(name, Some(raw.place), why);
            let faulty = report.faulty;
            let line = match raw.read() {
                Ok(line) => line,
                Err(why) => {
                    chain.broken();
                    report.good_again = 0;
                    report.fault(damage(why));
                    continue;
                }
            };
            if let Err(why) = chain.step(&line) {
                report.fault(damage(why));
            }
            of_part.entries += 1;
            of_part.last = line.seq();
            report.head = Head { seq: line.seq(), hash: line.hash };
            if let Some(fault) = compare(&line, seen) {
                report.fault(damage(fault));
            }
            for anchor in anchors.iter().filter(|a| line.hash.as_str().starts_with(a.as_str())) {
                let at = line.entry().map(|e| e.at).unwrap_or_default();
                gathered.anchored.entry(anchor.clone()).or_default().push((line.seq(), at));
            }
            match report.faulty {
                0 => report.good_until = line.seq(),
                now if now > faulty => report.good_again = 0,
                _ if report.good_again == 0 => report.good_again = line.seq(),
                _ => {}
            }
            gathered.line(&line, &mut report, damage);
        }
        report.entries += of_part.entries;
        report.parts.push(of_part);
    }
    if let Some(seen) = seen.filter(|seen| seen.seq > report.head.seq) {
        let why =
            format!("the record ends with entry {}, and the checkpoint has seen entry {}", report.head.seq, seen.seq);
        report.fault(Damage::new(LIVE, None, why));
    }
    report.anchors = anchors
        .into_iter()
        .map(|anchor| {
            let found = gathered.anchored.get(&anchor).cloned();
            (anchor, found.map_or(Anchor::Missing, Anchor::Found))
        })
        .collect();
    report.anchor = report.anchors.first().map(|(_, a)| a.clone());
    gathered.judge(&mut report);
    Ok(report)
}

fn compare(line: &Line<'_>, seen: Option<Head>) -> Option<String> {
    let seen = seen.filter(|seen| seen.seq == line.seq() && seen.hash != line.hash)?;
    Some(format!(
        "entry {} has the hash {}, and had {} when the checkpoint was made: the record was rewritten",
        seen.seq,
        line.hash.short(),
        seen.hash.short()
    ))
}

fn read_anchor(text: &str) -> io::Result<String> {
    let digits = text.trim().to_ascii_lowercase();
    let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    if !hex || digits.len() < ANCHOR_DIGITS || digits.len() > Hash64::GENESIS.as_str().len() {
        let text = clean(text);
        let why = format!("\"{text}\" is no anchor: 8 to 64 hex digits, as they stand in a message");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(digits)
}

impl Gathered {
    fn line(&mut self, line: &Line<'_>, report: &mut Report, damage: impl FnOnce(String) -> Damage) {
        self.hash(line);
        if let Some(by) = line.redacted_by() {
            self.blanked.insert(line.seq(), (by, damage(String::new())));
            return;
        }
        if !matches!(
            line.kind(),
            "entry.redacted" | "redaction.finished" | "journal.gap" | "message.queued" | "message.attempted"
        ) {
            return;
        }
        let Ok(entry) = line.entry() else { return };
        match entry.event {
            Event::EntryRedacted(e) => {
                let (seq, by) = (e.seq, entry.seq);
                let places = e.files.iter().map(|f| f.places.len() as u64).sum();
                let files = e.files.into_iter().map(|f| clean(&f.file).into_owned()).collect();
                let who = entry.actor.user;
                let asked =
                    Redaction { seq, by, at: entry.at, who, why: e.why, done: false, files, places, failed: vec![] };
                self.asked.insert(by, asked);
            }
            Event::RedactionFinished(e) => {
                for (_, asked) in self.asked.range_mut(e.from..entry.seq) {
                    // Where only files were concerned, nothing in the journal shows that it is done.
                    asked.done |= asked.seq == 0;
                    asked.failed = e.failed.iter().map(|f| clean(f).into_owned()).collect();
                }
            }
            Event::MessageQueued(e) => {
                self.queued.insert(e.id, entry.seq);
                while self.queued.len() > HEADS {
                    self.queued.pop_first();
                }
            }
            Event::MessageAttempted(e) if e.result == Delivery::Accepted => {
                let sent = self.sent(&e, entry.seq, entry.at);
                report.sent.extend(sent);
                if report.sent.len() > HEADS {
                    report.sent.remove(0);
                }
            }
            Event::JournalGap(e) => report.gaps.push(Gap {
                seq: entry.seq,
                since: e.since,
                until: e.until,
                kept: e.kept,
                lost: e.lost,
                why: e.why,
            }),
            _ => {}
        }
    }

    fn hash(&mut self, line: &Line<'_>) {
        self.hashes.push_back((line.seq(), line.hash));
        if self.hashes.len() > LOOKED_BACK {
            self.hashes.pop_front();
        }
    }

    /// The head that a message printed: as it says, else that of the entry which queued it.
    fn sent(&self, e: &MessageAttempted, seq: u64, at: Time) -> Option<SentHead> {
        let (message, channel) = (clean(&e.message).into_owned(), clean(&e.channel).into_owned());
        let mut known = self.hashes.iter().rev().filter(|(before, _)| *before < seq);
        let (head, of) = match e.head.as_str() {
            "" => {
                let queued = *self.queued.get(&e.message)?;
                let (of, hash) = known.find(|(before, _)| *before == queued)?;
                (hash.short().to_owned(), Some(*of))
            }
            head => (clean(head).into_owned(), known.find(|(_, h)| h.short() == head).map(|(of, _)| *of)),
        };
        Some(SentHead { message, seq, at, channel, head, of })
    }

    fn judge(mut self, report: &mut Report) {
        for (seq, (by, place)) in self.blanked {
            let asked = self.asked.get_mut(&by).filter(|asked| asked.seq == seq);
            match asked {
                Some(asked) => asked.done = true,
                None => {
                    let why = format!("entry {seq} was blanked, and entry {by} does not say so");
                    report.fault(Damage { why, ..place });
                }
            }
        }
        // Asked for twice, it is done when either did it.
        let done: Vec<u64> =
            self.asked.values().filter(|asked| asked.done && asked.seq > 0).map(|asked| asked.seq).collect();
        report.redactions = self.asked.into_values().collect();
        for redaction in &mut report.redactions {
            redaction.done |= done.contains(&redaction.seq);
        }
    }
}
