//! The review of an incident: every number measured from the journal, each citing the entries it comes from.
//!
//! Input is the journal up to the incident's last entry (with what happened around it), and the sealed samples; the same
//! input gives the same bytes. What was not recorded is printed as *not recorded* and never invented. It must never ask
//! the time, read a file, or take a text from outside into a document without making it harmless first.
//!
//! | file | gives |
//! | --- | --- |
//! | [`story`] | one pass over the entries: what belongs to the incident, sorted by subject |
//! | [`measure`] | the numbers, with their definitions |
//! | `response` | how long nobody acknowledged it, against the response time |
//! | `objectives` | those numbers that are held against objectives |
//! | `lead` | phases against their plan, escalation, where the onset comes from |
//! | `downtime`, `cadence` | intervals of a service being down; updates due against updates sent |
//! | [`markdown`], [`json`] | the documents |
//! | [`merge`] | records of several hosts in one story |
//! | [`live`] | the readable line per entry, written as it happens |
//! | [`timeline`] | which entries tell the story |
//! | [`past`], [`trends`] | incidents of the past: searched, and put side by side |
//! | [`items`] | reading the action items of a review that people have written into |
//! | `sections` | definitions and prompts |
//! | `escape` | making outside text harmless inside Markdown |

mod aftermath;
mod approvals;
mod cadence;
pub mod cast;
pub mod check;
pub mod cite;
pub mod csv;
mod difference;
mod downtime;
mod escape;
pub mod html;
pub mod items;
pub mod json;
pub mod kpi;
mod lead;
mod level;
pub mod live;
pub mod markdown;
mod markdown_parts;
pub mod measure;
pub mod merge;
mod objectives;
pub mod past;
pub mod places;
mod playbook;
mod prompts;
mod recovery;
mod response;
mod sections;
pub mod story;
mod thinking;
pub mod timeline;
pub mod trends;

use sha2::{Digest, Sha256};

use crate::domain::Time;
use crate::domain::event::Entry;
use crate::text::Mask;

pub use kpi::Kpi;
pub use live::timeline_md;
pub use measure::{Measure, Measures, Value, Verdict};
pub use story::Story;

/// Where documents that were written outside of the state directory are noted down, one JSON object a line.
pub const WRITTEN: &str = "exports.jsonl";

/// Where a document goes, piece by piece: a long one is never held as a whole.
pub type Sink<'s> = dyn FnMut(&str) + 's;

/// Bytes of a document that are gathered before they go on.
const PIECE: usize = 256 * 1024;

/// Hands on what has gathered, when it is enough.
fn pass_on(out: &mut String, sink: &mut Sink<'_>) {
    if out.len() >= PIECE {
        sink(out);
        out.clear();
    }
}

/// The whole of a document that is made piece by piece.
fn collected(make: impl FnOnce(&mut Sink<'_>)) -> String {
    let mut out = String::new();
    make(&mut |piece| out.push_str(piece));
    out
}

/// What a document needs beside the entries.
#[derive(Clone, Debug, Default)]
pub struct Extra<'a> {
    /// Hash of the incident's last entry, hex; printed in the document's head where given.
    pub head: Option<&'a str>,
    /// The sealed samples file, to hold against the digest in the journal. `None` when it is not at hand.
    pub samples: Option<&'a [u8]>,
    /// Secrets to mask beside those known by their shape.
    pub mask: Mask,
}

/// A measured incident, ready to be rendered.
#[derive(Debug)]
pub struct Review<'a> {
    pub story: Story<'a>,
    pub measures: Measures,
    pub extra: Extra<'a>,
    /// Where the story began by what was recorded, before anybody corrected it.
    recorded_start: Time,
}

impl<'a> Review<'a> {
    /// Reads and measures `incident`. `entries` in journal order, from the configuration in force before it at the
    /// latest; entries behind the incident's last one are not looked at. Errors: there is no such incident in them.
    pub fn new(entries: &'a [Entry], incident: &str, extra: Extra<'a>) -> Result<Self, String> {
        let story = Story::read(entries, incident)?;
        let measures = measure::level(&story, entries, incident)?;
        let mut review = Review { recorded_start: story.t_zero.at, story, measures, extra };
        review.recorded_start = review.start();
        if review.story.curation.entries.values().any(|a| a.happened_at.is_some()) {
            let story = Story::recorded(entries, incident)?;
            let measures = measure::level(&story, entries, incident)?;
            let raw = Review { story, measures, extra: Extra::default(), recorded_start: Time::default() };
            review.recorded_start = raw.start().min(review.start());
        }
        Ok(review)
    }

    /// The rows of its timeline, lead-up included.
    pub fn lines(&self) -> timeline::Lines<'_, 'a> {
        timeline::lines(&self.story, self.recorded_start)
    }

    /// Where the story begins: the onset, or the declaration where that came first.
    pub fn start(&self) -> Time {
        let declared = self.story.declared.at;
        match self.measures.get("onset").map(|m| &m.value) {
            Some(Value::At(onset)) => declared.min(*onset),
            _ => declared,
        }
    }

    /// Whether the sealed samples are those that the journal knows; `None` when they are not at hand or were not sealed.
    pub fn samples_match(&self) -> Option<bool> {
        let (_, _, digest, _) = self.story.sealed.as_ref()?;
        let digest = digest.strip_prefix("sha256:").unwrap_or(digest);
        Some(hex::encode(Sha256::digest(self.extra.samples?)).eq_ignore_ascii_case(digest))
    }
}
