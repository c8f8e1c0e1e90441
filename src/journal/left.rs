//! What a blanked entry reads as: what the redaction left of it stands in an `entry.left`, right behind the
//! `entry.redacted` that blanked it. That one can be redacted in turn, and is then followed the same way.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::index::PartIndex;
use super::lines::Lines;
use super::parts::Part;
use super::read::LiveView;
use super::storage::StoredFile;
use crate::domain::event::{Entry, Event};

/// An entry that was redacted again and again is followed this far.
const FOLLOWED: usize = 64;

/// Where to look.
#[derive(Default)]
pub(super) struct Lefts {
    closed: Vec<Arc<Part>>,
    live: Option<(Arc<dyn StoredFile>, u64, PartIndex)>,
    /// By the entry and the one that blanked it.
    known: BTreeMap<(u64, u64), Option<Value>>,
}

impl Lefts {
    pub fn new(closed: &[Arc<Part>], live: Option<&LiveView<'_>>) -> Lefts {
        let live = live.map(|l| (l.file.clone(), l.len, l.index.clone()));
        Lefts { closed: closed.to_vec(), live, known: BTreeMap::new() }
    }

    /// Puts what is left into an entry that was blanked.
    pub fn complete(&mut self, entry: &mut Entry) {
        let Event::Unknown { kind, payload } = &entry.event else { return };
        let Some(by) = blanked_by(payload) else { return };
        let key = (entry.seq, by);
        if !self.known.contains_key(&key) {
            let found = self.of(entry.seq, by);
            self.known.insert(key, found);
        }
        if let Some(Some(left)) = self.known.get(&key) {
            entry.event = Event::read(kind, left.clone());
        }
    }

    fn of(&self, seq: u64, by: u64) -> Option<Value> {
        let (mut seq, mut by) = (seq, by);
        // Kinds of the entries on the way that were `entry.left` themselves.
        let mut within = 0;
        for _ in 0..FOLLOWED {
            match self.entry(by)?.event {
                Event::EntryRedacted(e) if e.seq == seq && e.left => {}
                _ => return None,
            }
            match self.entry(by + 1)?.event {
                Event::EntryLeft(e) if e.entry == seq => {
                    let mut left = e.payload;
                    for _ in 0..within {
                        left = left.get("payload")?.clone();
                    }
                    return Some(left);
                }
                Event::Unknown { kind, payload } if kind == "entry.left" => {
                    within += 1;
                    seq = by + 1;
                    by = blanked_by(&payload)?;
                }
                _ => return None,
            }
        }
        None
    }

    fn entry(&self, seq: u64) -> Option<Entry> {
        let mut lines = self.lines_before(seq)?;
        while let Ok(Some(raw)) = lines.next() {
            let Ok(line) = raw.read() else { continue };
            if line.seq() == seq {
                line.check().ok()?;
                return line.entry().ok();
            }
            if line.seq() > seq {
                break;
            }
        }
        None
    }

    fn lines_before(&self, seq: u64) -> Option<Lines> {
        if let Some((file, len, index)) = &self.live
            && index.first() > 0
            && index.first() <= seq
        {
            return Some(Lines::new(file.clone(), index.before(seq), *len));
        }
        let part = self.closed.iter().rfind(|part| part.first() > 0 && part.first() <= seq)?;
        part.lines(part.index().ok()?.before(seq)).ok()
    }
}

/// The entry that blanked a payload, when it is nothing but that.
fn blanked_by(payload: &Value) -> Option<u64> {
    let map = payload.as_object().filter(|map| map.len() == 1)?;
    map.get("redacted")?.as_u64()
}
