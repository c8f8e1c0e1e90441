//! The timeline for people over the raw record: what was corrected, retimed, pinned, hidden, joined under a title.
//!
//! Pure. Nothing of the raw record changes: each correction is an entry of its own that points at another, and here they
//! are folded so that a row reads as it was corrected last, with who did so. A correction touches the row it names and no
//! other.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::command::{Amend, Context, Refusal};
use super::decide::{NOTE_LIMIT, Outcome, checked_reason, checked_text, one, required_reason};
use super::event::*;
use super::time::Time;
use super::timeline::{Amendment, Row};

/// Longest title that joins entries, in bytes.
const TITLE_LIMIT: usize = 200;
/// Entries joined at once at the most.
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
        let mut amend = |seq: u64, what: &str, reason: &str, change: &mut dyn FnMut(&mut Amended)| {
            let amended = self.entries.entry(seq).or_default();
            change(amended);
            amended.amendments.push(Amendment {
                seq: entry.seq,
                at: entry.at,
                by: entry.actor.user.clone(),
                what: what.to_owned(),
                reason: reason.to_owned(),
            });
        };
        match &entry.event {
            Event::NoteCorrected(e) => {
                amend(e.entry, "corrected", &e.reason, &mut |a| a.text = Some(e.text.clone()));
            }
            Event::EntryRetimed(e) => {
                amend(e.entry, "retimed", &e.reason, &mut |a| a.happened_at = Some(e.happened_at));
            }
            Event::EntryPinned(e) => {
                let what = if e.pinned { "pinned" } else { "unpinned" };
                amend(e.entry, what, &e.reason, &mut |a| a.pinned = e.pinned);
            }
            Event::EntryHidden(e) => {
                let what = if e.hidden { "hidden" } else { "shown again" };
                amend(e.entry, what, &e.reason, &mut |a| a.hidden = e.hidden);
            }
            Event::EntriesJoined(e) => {
                let what = if e.title.is_empty() { "taken from its title" } else { "joined" };
                let title = Some(e.title.clone()).filter(|t| !t.is_empty());
                for seq in &e.entries {
                    amend(*seq, what, "", &mut |a| a.title.clone_from(&title));
                }
            }
            // What a redacted note was corrected to is redacted with it only when it is named itself; the row of the
            // redacted entry shows nothing of either.
            Event::EntryRedacted(e) if e.seq > 0 => {
                amend(e.seq, "redacted", &e.why, &mut |a| a.text = None);
            }
            _ => {}
        }
    }

    /// Entries from `from` on are on record under numbers that differ by `by`.
    pub fn renumber(&mut self, from: u64, by: i64) {
        let real = |seq: u64| if seq >= from { seq.saturating_add_signed(by) } else { seq };
        let entries = std::mem::take(&mut self.entries);
        self.entries = entries.into_iter().map(|(seq, amended)| (real(seq), amended)).collect();
        for amended in self.entries.values_mut() {
            amended.amendments.iter_mut().for_each(|a| a.seq = real(a.seq));
        }
    }

    /// The row as it reads now.
    pub fn amend(&self, row: &mut Row) {
        let Some(amended) = self.entries.get(&row.seq) else { return };
        if let Some(text) = &amended.text {
            row.text = crate::text::clean(text).into_owned();
        }
        if let Some(at) = amended.happened_at {
            row.happened_at = (at != row.at).then_some(at);
        }
        row.pinned = amended.pinned;
        row.hidden = amended.hidden;
        row.title.clone_from(&amended.title);
        row.amended.clone_from(&amended.amendments);
    }
}

/// What `how` makes of `of`, the rows it is about as they read now. Errors: what stands against it.
pub(super) fn decide(of: &[Row], how: Amend, reason: &str, ctx: &Context) -> Outcome {
    let Some(row) = of.first() else {
        return Err(Refusal::usage("there is no such entry on record", "mayday timeline shows their numbers"));
    };
    let seq = row.seq;
    if row.is_correction() {
        return Err(Refusal::usage(
            format!("entry {seq} is a correction itself"),
            "correct the entry that it is about once more",
        ));
    }
    let so_already = |what: &str| Err(Refusal::new(format!("entry {seq} is {what} already"), ""));
    let incident = row.incident.clone();
    match how {
        Amend::Correct { text } => {
            if !row.is_note() {
                return Err(Refusal::usage(
                    format!("entry {seq} is no note: what mayday recorded itself is not rewritten"),
                    "add a note that says how it was, or hide it with a reason",
                ));
            }
            let text = checked_text("note", &text, NOTE_LIMIT)?;
            if text == row.text {
                return so_already("so");
            }
            one(incident, NoteCorrected { entry: seq, text, reason: checked_reason(reason)? })
        }
        Amend::Retime { happened_at } => {
            if happened_at > ctx.now {
                return Err(Refusal::usage("that lies in the future", "state a time that has passed"));
            }
            if happened_at == row.happened_at.unwrap_or(row.at) {
                return so_already("of that time");
            }
            let reason = required_reason("another time", reason)?;
            one(incident, EntryRetimed { entry: seq, happened_at, reason })
        }
        Amend::Pin { pinned } if pinned == row.pinned => so_already(if pinned { "pinned" } else { "not pinned" }),
        Amend::Pin { pinned } => one(incident, EntryPinned { entry: seq, pinned, reason: checked_reason(reason)? }),
        Amend::Hide { hidden } if hidden == row.hidden => so_already(if hidden { "hidden" } else { "shown" }),
        Amend::Hide { hidden } => {
            let reason = if hidden { required_reason("hiding an entry", reason)? } else { checked_reason(reason)? };
            one(incident, EntryHidden { entry: seq, hidden, reason })
        }
        Amend::Join { title } => {
            if of.iter().any(|r| r.incident != incident) {
                return Err(Refusal::usage("entries of different incidents cannot be joined", "name those of one"));
            }
            if of.len() > JOINED {
                return Err(Refusal::usage(format!("more than {JOINED} entries cannot be joined at once"), ""));
            }
            let title =
                if title.trim().is_empty() { String::new() } else { checked_text("title", &title, TITLE_LIMIT)? };
            if of.iter().all(|r| r.title.as_deref().unwrap_or_default() == title) {
                return so_already("under that title");
            }
            let entries: BTreeSet<u64> = of.iter().map(|r| r.seq).collect();
            one(incident, EntriesJoined { entries, title })
        }
    }
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
            let list: Vec<String> = e.entries.iter().map(u64::to_string).collect();
            match e.title.as_str() {
                "" => format!("took {} from their title", list.join(", ")),
                title => format!("joined {} under \"{title}\"", list.join(", ")),
            }
        }
        _ => return None,
    })
}
