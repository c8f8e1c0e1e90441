//! What stays of an entry whose text is destroyed, and which redactions are not carried out yet.
//!
//! Pure. An entry keeps all that the fold rests on (which incident, run, message it is about, states and times), so that
//! destroying a password in the title of an incident does not make the incident unheard of. What stays is checked: it
//! reads as the same kind, and the text is in none of it; else nothing stays.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::*;
use super::timeline::Level;
use crate::text::secret::{REDACTED, Secret};
use crate::text::{self};

/// Fields that people, tools and services wrote, in whichever kind.
const WORDS: &[&str] = &[
    "text",
    "title",
    "reason",
    "why",
    "detail",
    "excerpt",
    "subject",
    "body",
    "note",
    "remark",
    "capsule",
    "answer",
    "asked",
    "what",
    "command",
    "faults",
    "dir",
    "author",
    "difference",
    "words",
    "shown",
    "effects",
    "log",
    "output",
    "label",
    "preconditions",
    "moved_to",
];

/// Digests from which a text could be guessed when all around it is known.
const DIGESTS: &[&str] = &["key", "digest", "output_digest"];

/// Kinds whose digests are of text and not of something the fold compares.
const OF_TEXT: &[&str] = &["note.imported", "evidence.added", "shell.finished", "run.finished", "playbook.evidence"];

/// What stays of a payload without `secret`. `None`: it does not stay readable without it, or the text is still in it.
pub fn without_text(kind: &str, payload: &Value, secret: &Secret) -> Option<Value> {
    let mut left = payload.clone();
    cut(&mut left, secret);
    forget_digests(kind, &mut left);
    let gone = serde_json::to_vec(&left).is_ok_and(|bytes| !secret.is_in(&bytes));
    (gone && still_reads(kind, &left)).then_some(left)
}

fn cut(value: &mut Value, secret: &Secret) {
    match value {
        Value::String(text) => {
            if let std::borrow::Cow::Owned(without) = secret.cut(text) {
                *text = without;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|v| cut(v, secret)),
        Value::Object(map) => {
            let named: Vec<String> = map.keys().filter(|k| secret.is_in(k.as_bytes())).cloned().collect();
            for name in named {
                if let Some(value) = map.remove(&name) {
                    map.insert(secret.cut(&name).into_owned(), value);
                }
            }
            map.values_mut().for_each(|v| cut(v, secret));
        }
        _ => {}
    }
}

/// What stays of a payload without anything that somebody wrote, and the texts that were taken out.
pub fn without_words(kind: &str, payload: &Value) -> (Option<Value>, Vec<String>) {
    let (mut left, mut taken) = (payload.clone(), Vec::new());
    take_words(&mut left, false, &mut taken);
    forget_digests(kind, &mut left);
    (still_reads(kind, &left).then_some(left), taken)
}

fn take_words(value: &mut Value, words: bool, taken: &mut Vec<String>) {
    match value {
        Value::String(text) if words && !text.is_empty() => taken.push(std::mem::replace(text, REDACTED.to_owned())),
        Value::Array(items) => items.iter_mut().for_each(|v| take_words(v, words, taken)),
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                // A field named so that holds more than words (a plan's "shown") has words further in.
                let own = WORDS.contains(&name.as_str());
                let into = matches!(value, Value::Object(_));
                take_words(value, (own || words) && !into, taken);
            }
        }
        _ => {}
    }
}

fn forget_digests(kind: &str, left: &mut Value) {
    if !OF_TEXT.contains(&kind) {
        return;
    }
    if let Value::Object(map) = left {
        for name in DIGESTS {
            if let Some(Value::String(digest)) = map.get_mut(*name) {
                digest.clear();
            }
        }
    }
}

/// It is still of its kind; a kind that this version does not know never reads.
fn still_reads(kind: &str, left: &Value) -> bool {
    !Event::KINDS.contains(&kind) || !matches!(Event::read(kind, left.clone()), Event::Unknown { .. })
}

/// Redactions that are on record and whose files are not done yet; and when the last one was done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Redactions {
    /// By the `entry.redacted` that names them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub open: BTreeMap<u64, Vec<RedactedFile>>,
    /// The last `redaction.finished`; 0 when there is none.
    pub finished: u64,
}

impl Redactions {
    pub fn is_empty(&self) -> bool {
        *self == Redactions::default()
    }

    /// Folds one entry in.
    pub fn apply(&mut self, entry: &Entry) {
        match &entry.event {
            Event::EntryRedacted(e) => {
                self.open.insert(entry.seq, e.files.clone());
            }
            Event::RedactionFinished(e) => {
                self.open.retain(|seq, _| *seq < e.from);
                self.finished = entry.seq;
            }
            _ => {}
        }
    }

    /// Entries from `from` on are on record under numbers that differ by `by`.
    pub fn renumber(&mut self, from: u64, by: i64) {
        let real = |seq: u64| if seq >= from { seq.saturating_add_signed(by) } else { seq };
        self.open = std::mem::take(&mut self.open).into_iter().map(|(seq, files)| (real(seq), files)).collect();
        self.finished = real(self.finished);
    }
}

/// Files in which something was destroyed after they were made, by the `entry.redacted` entries among `entries`: their
/// digests do not fit any more, and that is as it should be. Names as in [`RedactedFile`].
pub fn touched<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> std::collections::BTreeSet<String> {
    let files = entries.into_iter().filter_map(|e| match &e.event {
        Event::EntryRedacted(e) => Some(&e.files),
        _ => None,
    });
    files.flatten().map(|f| f.file.clone()).collect()
}

pub(super) fn sentence(e: &EntryRedacted) -> String {
    let why = if e.why.is_empty() { String::new() } else { format!(": {}", e.why) };
    let places: usize = e.files.iter().map(|f| f.places.len()).sum();
    let files = match e.files.len() {
        0 => String::new(),
        n => format!(", {} in {}", text::plural(places, "place"), text::plural(n, "file")),
    };
    match e.seq {
        0 => format!("redacted{files}{why}").replacen("redacted, ", "redacted ", 1),
        seq => format!("entry {seq} was redacted{files}{why}"),
    }
}

pub(super) fn finished(e: &RedactionFinished) -> (Level, String) {
    let count = |n: u64, what: &str| text::plural(usize::try_from(n).unwrap_or(usize::MAX), what);
    let done = format!(
        "redaction carried out in {}, and at {} in {}",
        if e.entries == 1 { "1 entry".to_owned() } else { format!("{} entries", e.entries) },
        count(e.places, "place"),
        count(e.files, "file")
    );
    match e.failed.as_slice() {
        [] => (Level::Detail, done),
        failed => (Level::Bad, format!("{done}; NOT DESTROYED in {}", failed.join("; "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_goes_and_the_kind_still_reads() {
        let payload = serde_json::json!({"title": "pw hunter2-x leaked", "severity": "P0", "services": ["api"], "source": "human"});
        let secret = Secret::new(["hunter2-x"]).unwrap();
        let left = without_text("incident.declared", &payload, &secret).unwrap();
        assert_eq!(left["title"], "pw [redacted] leaked");
        assert!(matches!(Event::read("incident.declared", left), Event::IncidentDeclared(_)));
        let (left, taken) = without_words("incident.declared", &payload);
        assert_eq!((left.unwrap()["title"].as_str(), taken), (Some(REDACTED), vec!["pw hunter2-x leaked".to_owned()]));
    }

    #[test]
    fn what_would_not_read_any_more_does_not_stay() {
        let secret = Secret::new(["investigating"]).unwrap();
        let payload = serde_json::json!({"from": "investigating", "to": "monitoring", "reason": ""});
        assert_eq!(without_text("incident.status", &payload, &secret), None);
        // A kind of another version has no shape to keep.
        assert!(without_text("of.tomorrow", &payload, &secret).is_some());
    }

    #[test]
    fn a_digest_of_the_text_goes_with_it() {
        let payload = serde_json::json!({"text": "hunter2-x", "happened_at": "2026-11-20T02:14:07.000Z", "author": "a",
            "format": "lines", "key": "0123456789abcdef"});
        let left = without_text("note.imported", &payload, &Secret::new(["hunter2-x"]).unwrap()).unwrap();
        assert_eq!((left["key"].as_str(), left["text"].as_str()), (Some(""), Some(REDACTED)));
    }
}
