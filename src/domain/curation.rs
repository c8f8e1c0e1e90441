//! The timeline for people over the raw record: what was corrected, retimed, pinned, hidden, joined under a title.
//!
//! Pure. Nothing of the raw record changes: each correction is an entry of its own that points at another, and here they
//! are folded so that a row reads as it was corrected last, with who did so. A correction touches the row it names and no
//! other.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::command::{Amend, Context, Refusal};
use super::decide::{Decided, NOTE_LIMIT, Outcome, checked_reason, checked_text, one, required_reason};
use super::event::*;
use super::time::Time;
use super::timeline::{Amendment, Original, Row};

/// Longest title that joins entries, in bytes.
const TITLE_LIMIT: usize = 200;
/// Entries changed at once at the most.
const JOINED: usize = 500;

/// All corrections, by the entry that they are about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Curation {
    pub entries: BTreeMap<u64, Amended>,
}

/// What was made of one entry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Amended {
    /// The text that counts now, of a note that was corrected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// When it happened, as said last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub happened_at: Option<Time>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// The heading it stands under, with others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// All that was done to it, oldest first.
    pub amendments: Vec<Amendment>,
    /// Entries with evidence for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<u64>,
    /// Its text was destroyed, by this entry: whatever was said of the text before is as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redacted: Option<u64>,
}

/// What an [`Amendment`] says was done.
pub const CORRECTED: &str = "corrected";
pub const RETIMED: &str = "retimed";
const PINNED: &str = "pinned";
const UNPINNED: &str = "unpinned";
const HIDDEN: &str = "hidden";
const SHOWN: &str = "shown again";
const JOINED_UNDER: &str = "joined";
const TAKEN_OUT: &str = "taken from its title";
const REDACTED: &str = "redacted";

impl Amended {
    /// What all that was done to it comes to.
    fn settle(&mut self) {
        let (mut text, mut happened_at, mut title) = (None, None, None);
        let (mut pinned, mut hidden) = (false, false);
        for a in &self.amendments {
            match a.what.as_str() {
                CORRECTED => text.clone_from(&a.text),
                RETIMED => happened_at = a.happened_at,
                PINNED | UNPINNED => pinned = a.what == PINNED,
                HIDDEN | SHOWN => hidden = a.what == HIDDEN,
                JOINED_UNDER => title.clone_from(&a.text),
                TAKEN_OUT => title = None,
                _ => {}
            }
        }
        (self.text, self.happened_at, self.title) = (text, happened_at, title);
        (self.pinned, self.hidden) = (pinned, hidden);
    }

    fn is_empty(&self) -> bool {
        self.amendments.is_empty() && self.evidence.is_empty() && self.redacted.is_none()
    }
}

impl Curation {
    /// The corrections in `entries`.
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Curation {
        let mut curation = Curation::default();
        entries.into_iter().for_each(|e| curation.apply(e));
        curation
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Folds one entry in; what is no correction changes nothing.
    pub fn apply(&mut self, entry: &Entry) {
        let said = |what: &str, reason: &str| Amendment {
            seq: entry.seq,
            at: entry.at,
            by: entry.actor.user.clone(),
            what: what.to_owned(),
            reason: reason.to_owned(),
            ..Amendment::default()
        };
        let mut amend = |seq: u64, amendment: Amendment| {
            let amended = self.entries.entry(seq).or_default();
            amended.amendments.push(amendment);
            amended.settle();
        };
        match &entry.event {
            Event::NoteCorrected(e) => {
                amend(e.entry, Amendment { text: Some(e.text.clone()), ..said(CORRECTED, &e.reason) });
            }
            Event::EntryRetimed(e) => {
                amend(e.entry, Amendment { happened_at: Some(e.happened_at), ..said(RETIMED, &e.reason) });
            }
            Event::EntryPinned(e) => amend(e.entry, said(if e.pinned { PINNED } else { UNPINNED }, &e.reason)),
            Event::EntryHidden(e) => amend(e.entry, said(if e.hidden { HIDDEN } else { SHOWN }, &e.reason)),
            Event::EntriesJoined(e) => {
                let title = Some(e.title.clone()).filter(|t| !t.is_empty());
                let what = if title.is_some() { JOINED_UNDER } else { TAKEN_OUT };
                for seq in &e.entries {
                    amend(*seq, Amendment { text: title.clone(), ..said(what, "") });
                }
            }
            Event::EvidenceAdded(e) => {
                if let Some(about) = e.about {
                    self.entries.entry(about).or_default().evidence.push(entry.seq);
                }
            }
            // Of a text in files alone it names no entry.
            Event::EntryRedacted(e) if e.seq > 0 => self.redact(e.seq, said(REDACTED, &e.why)),
            _ => {}
        }
    }

    /// The fields of the entry `seq` are destroyed: what it said counts no more, as when the record is read anew; and
    /// what its text was corrected to is not shown either.
    fn redact(&mut self, seq: u64, by: Amendment) {
        self.entries.retain(|_, amended| {
            let (had, evidence) = (amended.amendments.len(), amended.evidence.len());
            amended.amendments.retain(|a| a.seq != seq);
            amended.evidence.retain(|e| *e != seq);
            if amended.amendments.len() != had {
                amended.settle();
            }
            // What never was anything else goes whole.
            (amended.amendments.len(), amended.evidence.len()) == (had, evidence) || !amended.is_empty()
        });
        let amended = self.entries.entry(seq).or_default();
        amended.redacted = Some(by.seq);
        amended.amendments.retain(|a| a.what != CORRECTED);
        amended.amendments.push(by);
        amended.settle();
    }

    /// Entries from `from` on are on record under numbers that differ by `by`.
    pub fn renumber(&mut self, from: u64, by: i64) {
        let real = |seq: u64| if seq >= from { seq.saturating_add_signed(by) } else { seq };
        let entries = std::mem::take(&mut self.entries);
        self.entries = entries.into_iter().map(|(seq, amended)| (real(seq), amended)).collect();
        for amended in self.entries.values_mut() {
            amended.amendments.iter_mut().for_each(|a| a.seq = real(a.seq));
            amended.evidence.iter_mut().for_each(|e| *e = real(*e));
            amended.redacted = amended.redacted.map(real);
        }
    }

    /// The row as it reads now. `row` is as it was recorded.
    pub fn amend(&self, row: &mut Row) {
        let Some(amended) = self.entries.get(&row.seq) else { return };
        let original = Original { text: row.text.clone(), happened_at: row.happened_at };
        if let Some(text) = &amended.text {
            row.text = crate::text::clean(text).into_owned();
        }
        if let Some(at) = amended.happened_at {
            row.happened_at = (at != row.at).then_some(at);
        }
        let same = original.text == row.text && original.happened_at == row.happened_at;
        row.original = (!same || amended.text.is_some()).then(|| Box::new(original));
        row.pinned = amended.pinned;
        row.hidden = amended.hidden;
        row.title.clone_from(&amended.title);
        row.amended.clone_from(&amended.amendments);
        row.evidence.clone_from(&amended.evidence);
    }
}

/// What is said of entries, and of which.
pub(super) struct Asked {
    pub entries: BTreeSet<u64>,
    /// Their rows as they were recorded, with their fields, as far as they are on record.
    pub of: Vec<Row>,
    pub how: Amend,
    pub reason: String,
}

/// What a correction leads to. Errors: what stands against it.
pub(super) fn decide(curation: &Curation, asked: Asked, ctx: &Context) -> Outcome {
    let Asked { entries, mut of, how, reason } = asked;
    if entries.len() > JOINED {
        return Err(Refusal::usage(format!("more than {JOINED} entries cannot be changed at once"), "name fewer"));
    }
    let missing: Vec<u64> = entries.iter().copied().filter(|seq| of.iter().all(|r| r.seq != *seq)).collect();
    match (missing.as_slice(), of.is_empty()) {
        ([], true) => return Err(Refusal::usage("no entry is named", "mayday timeline shows their numbers")),
        ([], false) => {}
        _ => {
            return Err(Refusal::usage(
                format!("there is no entry {} on record", list(&missing)),
                "mayday timeline shows their numbers",
            ));
        }
    }
    for row in &mut of {
        if row.is_correction() {
            return Err(Refusal::usage(
                format!("entry {} is a correction itself", row.seq),
                format!("correct the entry that it is about: {}", list(&row.about)),
            ));
        }
        curation.amend(row);
    }
    let one_only = |what: &str| match of.as_slice() {
        [row] => Ok(row),
        _ => Err(Refusal::usage(format!("one entry is {what} at a time"), "name one")),
    };
    let already = |what: &str| {
        let seqs: Vec<u64> = of.iter().map(|r| r.seq).collect();
        let (word, is) = if of.len() == 1 { ("entry", "is") } else { ("entries", "are") };
        Err(Refusal::usage(format!("{word} {} {is} {what} already", list(&seqs)), ""))
    };
    let each = |events: Vec<Decided>, so: &str| if events.is_empty() { already(so) } else { Ok(events) };
    match how {
        Amend::Correct { text } => {
            let row = one_only("corrected")?;
            let seq = row.seq;
            if !row.is_note() {
                return Err(Refusal::usage(
                    format!("entry {seq} is no note: what mayday recorded itself is not rewritten"),
                    "add a note that says how it was, or hide it with a reason",
                ));
            }
            if let Some(by) = curation.entries.get(&seq).and_then(|a| a.redacted) {
                return Err(Refusal::usage(
                    format!("entry {seq} was redacted (entry {by}): what it said is destroyed"),
                    "add a note that says what is to be known",
                ));
            }
            let text = checked_text("note", &text, NOTE_LIMIT)?;
            if text == row.written().unwrap_or(&row.text) {
                return already("worded like that");
            }
            one(row.incident.clone(), NoteCorrected { entry: seq, text, reason: checked_reason(&reason)? })
        }
        Amend::Retime { happened_at } => {
            let row = one_only("retimed")?;
            if happened_at > ctx.now {
                return Err(Refusal::usage("that lies in the future", "state a time that has passed"));
            }
            if happened_at == row.happened() {
                return already("of that time");
            }
            let reason = required_reason("another time", &reason)?;
            one(row.incident.clone(), EntryRetimed { entry: row.seq, happened_at, reason })
        }
        Amend::Pin { pinned } => {
            let reason = checked_reason(&reason)?;
            let pin = |row: &Row| Decided {
                incident: row.incident.clone(),
                event: EntryPinned { entry: row.seq, pinned, reason: reason.clone() }.into(),
            };
            let events = of.iter().filter(|r| r.pinned != pinned).map(pin).collect();
            each(events, if pinned { "pinned" } else { "not pinned" })
        }
        Amend::Hide { hidden } => {
            let reason = if hidden { required_reason("hiding an entry", &reason)? } else { checked_reason(&reason)? };
            let hide = |row: &Row| Decided {
                incident: row.incident.clone(),
                event: EntryHidden { entry: row.seq, hidden, reason: reason.clone() }.into(),
            };
            let events = of.iter().filter(|r| r.hidden != hidden).map(hide).collect();
            each(events, if hidden { "hidden" } else { "shown" })
        }
        Amend::Join { title } => {
            let incident = of.first().and_then(|r| r.incident.clone());
            if of.iter().any(|r| r.incident != incident) {
                return Err(Refusal::usage("entries of different incidents cannot be joined", "name those of one"));
            }
            let title =
                if title.trim().is_empty() { String::new() } else { checked_text("title", &title, TITLE_LIMIT)? };
            // A heading is one line.
            let title = crate::text::clean(&title).into_owned();
            if of.iter().all(|r| r.title.as_deref().unwrap_or_default() == title) {
                return already(if title.is_empty() { "under no title" } else { "under that title" });
            }
            one(incident, EntriesJoined { entries, title })
        }
    }
}

/// `61, 62`.
fn list(seqs: &[u64]) -> String {
    seqs.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

/// The entry as a sentence, for the raw timeline.
pub(super) fn sentence(event: &Event) -> Option<String> {
    let because = |reason: &str| if reason.is_empty() { String::new() } else { format!(": {reason}") };
    Some(match event {
        Event::NoteCorrected(e) => format!("corrected entry {}{}; it reads: {}", e.entry, because(&e.reason), e.text),
        Event::EntryRetimed(e) => format!("entry {} happened {}{}", e.entry, e.happened_at, because(&e.reason)),
        Event::EntryPinned(e) if e.pinned => format!("pinned entry {}{}", e.entry, because(&e.reason)),
        Event::EntryPinned(e) => format!("unpinned entry {}{}", e.entry, because(&e.reason)),
        Event::EntryHidden(e) if e.hidden => format!("hid entry {}{}", e.entry, because(&e.reason)),
        Event::EntryHidden(e) => format!("showed entry {} again{}", e.entry, because(&e.reason)),
        Event::EntriesJoined(e) => {
            let seqs: Vec<u64> = e.entries.iter().copied().collect();
            match e.title.as_str() {
                "" => format!("took {} from their title", list(&seqs)),
                title => format!("joined {} under \"{title}\"", list(&seqs)),
            }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
