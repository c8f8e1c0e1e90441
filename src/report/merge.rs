//! Records of several hosts for one incident, told as one story.
//!
//! Each record stays what it is: its own chain, its own numbers. Here their rows are only put in one order. Two clocks
//! never show the same; how far another host's is ahead is estimated from what both saw (changes of the same service)
//! and bounded by what must have come first (a note that quotes an id was written after that id was made), or given.
//! Rows of another host are cited with its tag (`b:61`). Numbers are measured from the incident's own host: nothing here
//! feeds them. Pure; the same records give the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::escape;
use crate::domain::Time;
use crate::domain::curation::Curation;
use crate::domain::event::{Entry, Event};
use crate::domain::timeline::{self, Row};
use crate::text::Mask;

/// Changes of the same service farther apart than this are not the same change.
const SAME_MS: i64 = 10 * 60_000;
/// Pairs of changes that an estimate needs.
const PAIRS: usize = 3;
/// Shorter words are no ids.
const ID: usize = 8;

/// A record, and what is known of it as a whole.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// Its entries in its own order, all of them.
    pub entries: &'a [Entry],
    /// What the incident is called in it.
    pub incident: &'a str,
    /// Where it came from, for people.
    pub source: String,
    /// Hash of its last entry.
    pub head: Option<String>,
    /// What its own verification said: `whole`, or the first fault.
    pub verified: String,
}

/// How far a clock is ahead of the incident's own host, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skew {
    pub ms: i64,
    /// Half of what it may be off by; `None` when nothing says.
    pub within_ms: Option<i64>,
    pub how: String,
}

/// One row of the story.
#[derive(Clone, Debug, PartialEq)]
pub struct MergedRow {
    /// By the clock of the incident's own host.
    pub at: Time,
    /// Empty for the incident's own host, else its tag.
    pub tag: String,
    pub row: Row,
    /// The same line in other records.
    pub also: Vec<String>,
}

impl MergedRow {
    /// `61`, or `b:61`.
    pub fn citation(&self) -> String {
        cite(&self.tag, self.row.seq)
    }
}

fn cite(tag: &str, seq: u64) -> String {
    if tag.is_empty() { seq.to_string() } else { format!("{tag}:{seq}") }
}

/// Where the rows come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Provenance {
    pub tag: String,
    pub host: String,
    pub incident: String,
    pub source: String,
    pub head: Option<String>,
    pub verified: String,
    /// `None` for the incident's own host.
    pub skew: Option<Skew>,
    pub rows: usize,
}

/// The story.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    pub rows: Vec<MergedRow>,
    /// The incident's own host first.
    pub records: Vec<Provenance>,
}

/// Puts the rows of all records in one order. `given` are skews that somebody states, in the order of `others`. Errors:
/// one of the records does not know the incident.
pub fn merge(own: &Record<'_>, others: &[Record<'_>], given: &[i64]) -> Result<Merged, String> {
    let mut rows: Vec<MergedRow> = Vec::new();
    let mut records = Vec::new();
    let mut keys: BTreeMap<String, usize> = BTreeMap::new();
    for (i, record) in std::iter::once(own).chain(others).enumerate() {
        let tag = tag_of(i);
        let story = of_incident(record)?;
        let skew = (i > 0).then(|| match i.checked_sub(1).and_then(|i| given.get(i)) {
            Some(ms) => Skew { ms: *ms, within_ms: None, how: "stated with --skew".into() },
            None => skew(own, record),
        });
        let ahead = skew.as_ref().map_or(0, |s| s.ms);
        let curation = Curation::of(record.entries);
        let mut told = 0;
        for entry in story {
            let mut row = timeline::row(entry);
            curation.amend(&mut row);
            if !row.is_told() {
                continue;
            }
            let at = row.happened_at.unwrap_or(row.at);
            // What another record says of itself was not stamped by this host's clock.
            let foreign = matches!(entry.event, Event::NoteImported(_));
            let at = if foreign { at } else { at.stepped(-ahead) };
            if let Event::NoteImported(e) = &entry.event
                && !e.key.is_empty()
            {
                if let Some(first) = keys.get(&e.key).and_then(|at| rows.get_mut(*at)).filter(|r| r.tag != tag) {
                    first.also.push(cite(&tag, entry.seq));
                    continue;
                }
                keys.insert(e.key.clone(), rows.len());
            }
            told += 1;
            rows.push(MergedRow { at, tag: tag.clone(), row, also: Vec::new() });
        }
        records.push(Provenance {
            tag,
            host: story_host(record),
            incident: record.incident.to_owned(),
            source: record.source.clone(),
            head: record.head.clone(),
            verified: record.verified.clone(),
            skew,
            rows: told,
        });
    }
    rows.sort_by(|a, b| (a.at, &a.tag, a.row.seq).cmp(&(b.at, &b.tag, b.row.seq)));
    Ok(Merged { rows, records })
}

/// Nothing for the incident's own host, then `b`, `c`, … `z`, `h27`, …
fn tag_of(i: usize) -> String {
    match u8::try_from(i).ok().filter(|i| *i < 26) {
        Some(0) => String::new(),
        Some(i) => char::from(b'a' + i).to_string(),
        None => format!("h{i}"),
    }
}

fn of_incident<'a>(record: &Record<'a>) -> Result<Vec<&'a Entry>, String> {
    let story: Vec<&Entry> = record.entries.iter().filter(|e| e.incident.as_deref() == Some(record.incident)).collect();
    if story.is_empty() {
        let known: BTreeSet<&str> = record.entries.iter().filter_map(|e| e.incident.as_deref()).collect();
        let known: Vec<&str> = known.into_iter().rev().take(8).collect();
        let has = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        return Err(format!("{} has no incident {}: {has}", record.source, record.incident));
    }
    Ok(story)
}

fn story_host(record: &Record<'_>) -> String {
    let own = record.entries.iter().find(|e| e.incident.as_deref() == Some(record.incident));
    own.map(|e| e.host.clone()).unwrap_or_default()
}

/// How far the clock of `other` is ahead of `own`'s.
pub fn skew(own: &Record<'_>, other: &Record<'_>) -> Skew {
    let differences = same_changes(own.entries, other.entries);
    // A note there that quotes an id made here was written later: its clock cannot be farther ahead.
    let most = quoted(other, own).map(|(note, made)| note.ms_since(made)).min();
    let least = quoted(own, other).map(|(note, made)| made.ms_since(note)).max();
    let said = |ms: i64| format!("{}{}.{:03} s", if ms < 0 { "-" } else { "" }, ms.abs() / 1000, ms.abs() % 1000);
    let clamp = |ms: i64| {
        let ms = most.map_or(ms, |most| ms.min(most));
        least.map_or(ms, |least| ms.max(least))
    };
    if differences.len() >= PAIRS {
        let middle = median(&differences);
        let off: Vec<i64> = differences.iter().map(|d| (d - middle).abs()).collect();
        let ms = clamp(middle);
        let how = format!("estimated from {} changes of services that both saw", differences.len());
        let how = if ms == middle { how } else { format!("{how}, within what quoted ids allow") };
        return Skew { ms, within_ms: Some(median(&off).max(1)), how };
    }
    match (least, most) {
        (Some(least), Some(most)) if least <= most => Skew {
            ms: least + (most - least) / 2,
            within_ms: Some((most - least) / 2),
            how: "estimated from ids that notes on both hosts quote of each other".into(),
        },
        (Some(least), Some(most)) => Skew {
            ms: 0,
            within_ms: None,
            how: format!(
                "NOT KNOWN: ids that notes quote contradict each other (at least {}, at most {}): a clock was stepped; \
                 taken as 0",
                said(least),
                said(most)
            ),
        },
        (None, None) => Skew { ms: 0, within_ms: None, how: "not known: nothing that both saw; taken as 0".into() },
        (least, most) => {
            let bound = least.map_or_else(
                || format!("at most {}", said(most.unwrap_or(0))),
                |least| format!("at least {}", said(least)),
            );
            Skew { ms: clamp(0), within_ms: None, how: format!("not known; by a quoted id it is {bound}") }
        }
    }
}

/// Differences of when both saw the same service change to the same state; each change is used once.
fn same_changes(own: &[Entry], other: &[Entry]) -> Vec<i64> {
    let changes = |entries: &[Entry]| -> BTreeMap<(String, &'static str), Vec<Time>> {
        let mut out: BTreeMap<(String, &'static str), Vec<Time>> = BTreeMap::new();
        for entry in entries {
            if let Event::HealthChanged(e) = &entry.event {
                out.entry((e.service.clone(), e.to.word())).or_default().push(entry.happened_at());
            }
        }
        out
    };
    let theirs = changes(other);
    let mut differences = Vec::new();
    for (what, mine) in changes(own) {
        let Some(theirs) = theirs.get(&what) else { continue };
        for at in &mine {
            // Only where it is clear which is which: nearest on both sides.
            let nearest = |list: &[Time], at: Time| list.iter().copied().min_by_key(|t| t.ms_since(at).abs());
            if let Some(there) = nearest(theirs, *at)
                && nearest(&mine, there) == Some(*at)
                && there.ms_since(*at).abs() <= SAME_MS
            {
                differences.push(there.ms_since(*at));
            }
        }
    }
    differences
}

/// Notes of `quoting` that name an id which `quoted` made: when the note was written, and when the id was made, each by
/// its own clock.
fn quoted<'a>(quoting: &Record<'a>, quoted: &Record<'a>) -> impl Iterator<Item = (Time, Time)> + use<'a> {
    let mut ids: BTreeMap<String, Time> = BTreeMap::new();
    for entry in quoted.entries {
        let id = match &entry.event {
            Event::RunRequested(e) => Some(e.plan.id.clone()),
            Event::MessageQueued(e) => Some(e.id.clone()),
            Event::IncidentDeclared(_) if quoted.incident != quoting.incident => entry.incident.clone(),
            _ => None,
        };
        if let Some(id) = id.filter(|id| id.len() >= ID) {
            ids.entry(id).or_insert(entry.at);
        }
    }
    // What the quoting host made itself is no quote.
    for entry in quoting.entries {
        if let Event::RunRequested(e) = &entry.event {
            ids.remove(&e.plan.id);
        }
        if let Event::MessageQueued(e) = &entry.event {
            ids.remove(&e.id);
        }
    }
    let entries = quoting.entries;
    entries.iter().flat_map(move |entry| {
        let text = match &entry.event {
            Event::NoteAdded(e) => e.text.as_str(),
            _ => "",
        };
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        let found: Vec<(Time, Time)> = words.filter_map(|w| ids.get(w)).map(|made| (entry.at, *made)).collect();
        found
    })
}

fn median(values: &[i64]) -> i64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len() / 2;
    match (sorted.len() % 2, sorted.get(middle), middle.checked_sub(1).and_then(|i| sorted.get(i))) {
        (0, Some(b), Some(a)) => a + (b - a) / 2,
        (_, Some(b), _) => *b,
        _ => 0,
    }
}

/// What is said of a skew.
fn skew_said(skew: &Skew) -> String {
    let seconds = |ms: i64| format!("{}.{:03} s", ms.abs() / 1000, ms.abs() % 1000);
    let way = if skew.ms < 0 { "behind" } else { "ahead" };
    let within = skew.within_ms.map(|ms| format!(" ± {}", seconds(ms))).unwrap_or_default();
    format!("{way} by {}{within} ({})", seconds(skew.ms), skew.how)
}

/// The section of a Markdown review: the story of all hosts, and the records that it comes from.
pub fn markdown(merged: &Merged, mask: &Mask) -> String {
    let mut out = String::from("## Timeline of all hosts\n\n");
    out.push_str(
        "In one order, by the clock of the incident's own host (UTC). Numbers elsewhere in this document are measured \
         from that host alone.\n\n",
    );
    out.push_str("| Time | Host | By | What | Entry |\n| --- | --- | --- | --- | --- |\n");
    for row in &merged.rows {
        let host = merged.records.iter().find(|r| r.tag == row.tag).map_or("", |r| r.host.as_str());
        let also = if row.also.is_empty() { String::new() } else { format!(", {}", row.also.join(", ")) };
        out.push_str(&format!(
            "| {} {}Z | {} | {} | {} | [{}{also}] |\n",
            row.at.date(),
            row.at.hms(),
            escape::masked(host, mask),
            escape::masked(&row.row.actor, mask),
            escape::masked(&row.row.text, mask),
            row.citation(),
        ));
    }
    out.push_str("\n### Records that were merged\n\n");
    out.push_str("Each chain was verified for itself; none says anything of the other.\n\n");
    out.push_str("| Tag | Host | Incident | Read from | Rows | Chain | Head | Clock |\n");
    out.push_str("| --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for record in &merged.records {
        let clock = record.skew.as_ref().map_or_else(|| "the one that counts".into(), skew_said);
        out.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
            if record.tag.is_empty() { "–" } else { &record.tag },
            escape::masked(&record.host, mask),
            escape::masked(&record.incident, mask),
            escape::masked(&record.source, mask),
            record.rows,
            escape::masked(&record.verified, mask),
            record.head.as_deref().unwrap_or("not known"),
            escape::masked(&clock, mask),
        ));
    }
    out
}

/// The same as a value.
pub fn value(merged: &Merged, mask: &Mask) -> Value {
    let rows: Vec<Value> = (merged.rows.iter())
        .map(|r| {
            json!({
                "at": r.at, "entry": r.citation(), "also": r.also, "actor": mask.apply(&r.row.actor),
                "kind": r.row.kind, "text": mask.apply(&r.row.text), "recorded_at": r.row.at,
            })
        })
        .collect();
    let records: Vec<Value> = (merged.records.iter())
        .map(|r| {
            json!({
                "tag": r.tag, "host": r.host, "incident": r.incident, "source": mask.apply(&r.source), "rows": r.rows,
                "verified": r.verified, "head": r.head,
                "skew_ms": r.skew.as_ref().map(|s| s.ms), "skew_within_ms": r.skew.as_ref().and_then(|s| s.within_ms),
                "skew_how": r.skew.as_ref().map(|s| s.how.clone()),
            })
        })
        .collect();
    json!({ "rows": rows, "records": records })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Actor;
    use crate::domain::event::{HealthChanged, IncidentDeclared, MessageQueued, NoteAdded, NoteImported};
    use crate::domain::health::Health;
    use crate::domain::message::Template;

    struct Host {
        entries: Vec<Entry>,
        incident: &'static str,
        host: &'static str,
        ahead_ms: i64,
    }

    impl Host {
        fn new(host: &'static str, incident: &'static str, ahead_ms: i64) -> Host {
            let mut made = Host { entries: Vec::new(), incident, host, ahead_ms };
            let declared = IncidentDeclared {
                title: "outage".into(),
                severity: crate::domain::catalog::Severity::P0,
                services: BTreeSet::new(),
                onset: None,
                source: "human".into(),
            };
            made.at(0, declared);
            made
        }

        /// Seconds of true time after the begin.
        fn at(&mut self, s: i64, event: impl Into<Event>) -> u64 {
            let seq = self.entries.len() as u64 + 1;
            let at = Time::from_ms(1_795_189_000_000 + s * 1000 + self.ahead_ms);
            self.entries.push(Entry {
                seq,
                at,
                boot_ms: 0,
                boot: "b".into(),
                host: self.host.into(),
                actor: Actor { user: "mia".into(), ..Actor::default() },
                incident: Some(self.incident.into()),
                event: event.into(),
            });
            seq
        }

        fn record(&self) -> Record<'_> {
            Record {
                entries: &self.entries,
                incident: self.incident,
                source: format!("{}.jsonl", self.host),
                head: Some("ab".repeat(32)),
                verified: "whole".into(),
            }
        }
    }

    fn note(text: &str) -> Event {
        NoteAdded { text: text.into(), happened_at: None }.into()
    }

    fn change(service: &str, to: Health) -> Event {
        let from = if to == Health::Down { Health::Up } else { Health::Down };
        HealthChanged {
            service: service.into(),
            from,
            to,
            check: "c".into(),
            detail: String::new(),
            because: None,
            happened_at: None,
        }
        .into()
    }

    fn message(id: &str) -> Event {
        MessageQueued {
            id: id.into(),
            template: Template::Update,
            subject: "s".into(),
            body: "b".into(),
            channels: vec!["c".into()],
            automatic: false,
        }
        .into()
    }

    #[test]
    fn a_clock_that_is_ahead_is_found_by_what_both_saw_and_the_story_is_in_order() {
        let mut a = Host::new("alpha", "INC-2026-004", 0);
        let mut b = Host::new("beta", "INC-2026-009", 90_000);
        for (s, service, to) in
            [(10, "api", Health::Down), (20, "db", Health::Down), (300, "db", Health::Up), (310, "api", Health::Up)]
        {
            a.at(s, change(service, to));
            b.at(s + 1, change(service, to));
        }
        a.at(400, note("first"));
        b.at(401, note("second"));
        a.at(402, note("third"));
        let merged = merge(&a.record(), &[b.record()], &[]).unwrap();
        let skew = merged.records[1].skew.clone().unwrap();
        assert_eq!((skew.ms, skew.within_ms), (91_000, Some(1)), "{}", skew.how);
        let notes: Vec<(&str, String)> = (merged.rows.iter())
            .filter(|r| r.row.kind == "note.added")
            .map(|r| (r.row.text.as_str(), r.citation()))
            .collect();
        assert_eq!(notes, [("first", "6".into()), ("second", "b:6".into()), ("third", "7".into())]);
        let text = markdown(&merged, &Mask::default());
        assert!(
            text.contains("[b:6]") && text.contains("ahead by 91.000 s ± 0.001 s") && text.contains("beta"),
            "{text}"
        );
        assert_eq!(text, markdown(&merge(&a.record(), &[b.record()], &[]).unwrap(), &Mask::default()));
    }

    #[test]
    fn quoted_ids_bound_it_and_a_stated_one_counts() {
        let mut a = Host::new("alpha", "INC-2026-004", 0);
        let mut b = Host::new("beta", "INC-2026-004", 30_000);
        a.at(100, message("m-aaaaaaaa01"));
        b.at(102, note("saw m-aaaaaaaa01 arrive"));
        let one = skew(&a.record(), &b.record());
        assert_eq!((one.ms, one.within_ms), (0, None));
        assert!(one.how.contains("at most 32.000 s"), "{}", one.how);
        b.at(110, message("m-bbbbbbbb01"));
        a.at(113, note("answered m-bbbbbbbb01"));
        let both = skew(&a.record(), &b.record());
        // Between 27 and 32 seconds ahead.
        assert_eq!((both.ms, both.within_ms), (29_500, Some(2_500)), "{}", both.how);
        let given = merge(&a.record(), &[b.record()], &[2_500]).unwrap();
        assert_eq!(given.records[1].skew.as_ref().unwrap().ms, 2_500);
    }

    #[test]
    fn the_same_imported_line_is_told_once_and_another_incident_is_refused() {
        let mut a = Host::new("alpha", "INC-2026-004", 0);
        let mut b = Host::new("beta", "INC-2026-004", 0);
        let line = || NoteImported {
            text: "api is down".into(),
            happened_at: Time::from_ms(1_795_189_005_000),
            author: "anna".into(),
            format: "slack".into(),
            source: "chat.json".into(),
            key: "k".repeat(24),
        };
        a.at(500, line());
        let there = b.at(900, line());
        let merged = merge(&a.record(), &[b.record()], &[]).unwrap();
        let lines: Vec<&MergedRow> = merged.rows.iter().filter(|r| r.row.kind == "note.imported").collect();
        assert_eq!((lines.len(), lines[0].also.clone()), (1, vec![format!("b:{there}")]));
        let other = Record { incident: "INC-2020-001", ..b.record() };
        let why = merge(&a.record(), &[other], &[]).unwrap_err();
        assert!(why.contains("INC-2020-001") && why.contains("it has INC-2026-004"), "{why}");
    }
}
