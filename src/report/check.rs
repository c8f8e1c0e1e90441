//! An edited review held against the record: every measured line and cell that differs, and every citation in what people
//! wrote that leads nowhere or says another value than the record.
//!
//! Lines are compared however tables are padded. What people may change without a word: their places, and sentences of
//! their own without numbers. A review that was written when the record was shorter is compared with the record as it is
//! now; where it had been right then, that is said.

use std::collections::{BTreeMap, BTreeSet};

use super::cite::{self, Found, Part};
use super::difference::{cells, normal, pairs};
use super::measure::{Value, Verdict};
use super::places::{Document, Fault, KEPT, Piece};
use super::{Review, Story};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// In the document; absent for what is missing from it.
    pub line: Option<usize>,
    /// Heading that it stands under.
    pub section: String,
    /// What it is about: the row and the column, or the beginning of the line.
    pub what: String,
    pub says: Option<String>,
    pub record: Option<String>,
    /// The entries that the record's value comes from.
    pub entries: Vec<u64>,
    /// It was right when the document was written; the record has gone on since.
    pub was_so: bool,
}

/// The outcome of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Checked {
    pub differences: Vec<Difference>,
    /// Measured lines that were compared.
    pub lines: usize,
    /// Citations in what people wrote.
    pub citations: usize,
    /// Last entry that the document knows, and the incident's last, where they differ.
    pub behind: Option<(u64, u64)>,
}

/// Holds `text` against `fresh`, the review as it is now, and `then`, as it was when the document was written. Errors: it is
/// no review, or one of another incident.
pub fn check(review: &Review<'_>, text: &str, fresh: &str, then: Option<&str>) -> Result<Checked, String> {
    let theirs = Document::read(text).map_err(|e| e.to_string())?;
    let ours = Document::read(fresh).map_err(|e: Fault| e.to_string())?;
    if (&theirs.incident, &theirs.declared) != (&ours.incident, &ours.declared) {
        return Err(format!(
            "it is the review of {} (declared {}), and this record's {} was declared {}",
            theirs.incident, theirs.declared, ours.incident, ours.declared
        ));
    }
    let then = then.and_then(|t| Document::read(t).ok());
    let was: BTreeSet<String> = then.iter().flat_map(Document::measured).map(|(_, l)| normal(l).into_owned()).collect();
    let (a, b) = (lines(&theirs), lines(&ours));
    let mut out = Checked { lines: b.len(), ..Checked::default() };
    out.behind = theirs.up_to().filter(|seq| *seq != review.story.last.seq).map(|seq| (seq, review.story.last.seq));
    measured(&mut out, &a, &b, &was);
    head(&mut out, &theirs, &ours, then.as_ref());
    for piece in &theirs.pieces {
        if let Piece::Place { marker, from, text } = piece
            && !theirs.is_untouched(marker)
        {
            written(&mut out, review, marker, *from, text);
        }
    }
    out.differences.sort_by_key(|d| d.line.unwrap_or(usize::MAX));
    Ok(out)
}

/// A measured line with what stands around it.
struct Told<'d> {
    number: usize,
    text: &'d str,
    normal: String,
    section: &'d str,
    /// The head of the table it is a row of.
    columns: Option<&'d str>,
}

/// Lines whose content is not the record's.
fn is_apart(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with("| Journal |") || line.starts_with("| Written by |")
}

fn lines<'t>(document: &Document<'t>) -> Vec<Told<'t>> {
    let mut section = "the head";
    let mut columns = None;
    let mut before = "";
    let mut out = Vec::new();
    for (number, text) in document.measured() {
        let is_row = text.trim_start().starts_with('|');
        if let Some(heading) = text.strip_prefix("## ") {
            section = heading;
        }
        let rule = normal(text);
        if is_row && rule.starts_with("| ---") {
            columns = Some(before);
        } else if !is_row {
            columns = None;
        }
        before = text;
        if !is_apart(text) {
            out.push(Told { number, text, normal: rule.into_owned(), section, columns });
        }
    }
    out
}

/// A heading without its number: it moves when one is left out.
fn bare(section: &str) -> &str {
    section.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').trim()
}

fn measured(out: &mut Checked, a: &[Told<'_>], b: &[Told<'_>], was: &BTreeSet<String>) {
    let text = |list: &[Told<'_>]| list.iter().map(|l| l.normal.clone()).collect::<Vec<String>>();
    let same = pairs(&text(b), &text(a));
    let (found_b, found_a): (BTreeSet<usize>, BTreeSet<usize>) = same.iter().copied().unzip();
    // What is left over of one section is held against what is left over of the same.
    let mut left: BTreeMap<&str, Vec<&Told<'_>>> = BTreeMap::new();
    for (_, line) in b.iter().enumerate().filter(|(n, _)| !found_b.contains(n)) {
        left.entry(bare(line.section)).or_default().push(line);
    }
    for (_, theirs) in a.iter().enumerate().filter(|(n, _)| !found_a.contains(n)) {
        let was_so = was.contains(&theirs.normal);
        let candidates = left.entry(bare(theirs.section)).or_default();
        let best = candidates
            .iter()
            .enumerate()
            .map(|(n, ours)| (likeness(theirs, ours), n))
            .filter(|(score, _)| *score > 0)
            .max_by_key(|(score, n)| (*score, usize::MAX - n));
        match best {
            Some((_, n)) => {
                let ours = candidates.remove(n);
                compare(out, theirs, ours, was_so);
            }
            None if theirs.text.starts_with('#') || !theirs.text.chars().any(|c| c.is_ascii_digit()) => {}
            None => out.differences.push(Difference {
                line: Some(theirs.number),
                section: theirs.section.to_owned(),
                what: name(theirs),
                says: Some(theirs.text.trim().to_owned()),
                record: None,
                entries: named(theirs.text),
                was_so,
            }),
        }
    }
    for (_, missing) in left {
        for ours in missing {
            if ours.normal.starts_with("| ---") || ours.text.starts_with("```") {
                continue;
            }
            out.differences.push(Difference {
                line: None,
                section: ours.section.to_owned(),
                what: name(ours),
                says: None,
                record: Some(ours.text.trim().to_owned()),
                entries: named(ours.text),
                was_so: false,
            });
        }
    }
}

/// How much two lines that differ have in common; 0 when they are of different things.
fn likeness(a: &Told<'_>, b: &Told<'_>) -> usize {
    if a.columns.is_some() != b.columns.is_some() {
        return 0;
    }
    if a.columns.is_some() {
        if a.columns.map(normal) != b.columns.map(normal) {
            return 0;
        }
        let (x, y) = (cells(a.text), cells(b.text));
        let first = usize::from(x.first() == y.first() && x.first().is_some_and(|c| !c.is_empty())) * 3;
        let cites = usize::from(x.last() == y.last() && x.last().is_some_and(|c| !c.is_empty())) * 3;
        let same = x.iter().zip(&y).filter(|(a, b)| a == b && !a.is_empty()).count();
        return if first + cites == 0 && same * 2 < x.len() { 0 } else { first + cites + same };
    }
    let words = |text: &str| -> BTreeSet<String> {
        text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase).collect()
    };
    let (x, y) = (words(a.text), words(b.text));
    let common = x.intersection(&y).filter(|w| !w.bytes().all(|b| b.is_ascii_digit())).count();
    if common * 2 >= x.len().min(y.len()).max(1) { common } else { 0 }
}

fn compare(out: &mut Checked, theirs: &Told<'_>, ours: &Told<'_>, was_so: bool) {
    let mut add = |what: String, says: &str, record: &str| {
        let mut entries = named(ours.text);
        if entries.is_empty() {
            entries = named(theirs.text);
        }
        out.differences.push(Difference {
            line: Some(theirs.number),
            section: theirs.section.to_owned(),
            what,
            says: Some(says.trim().to_owned()),
            record: Some(record.trim().to_owned()),
            entries,
            was_so,
        });
    };
    let (x, y) = (cells(theirs.text), cells(ours.text));
    let Some(columns) = ours.columns.map(cells).filter(|c| x.len() == y.len() && c.len() == x.len()) else {
        return add(name(ours), theirs.text, ours.text);
    };
    for ((x, y), column) in x.iter().zip(&y).zip(&columns).filter(|((x, y), _)| normal(x) != normal(y)) {
        let what = match (name(ours), *column) {
            (row, "") => row,
            (row, column) => format!("{row}, {column}"),
        };
        add(what, x, y);
    }
}

/// What a line is called in a list of differences.
fn name(line: &Told<'_>) -> String {
    let text = match line.columns {
        Some(_) => cells(line.text).into_iter().find(|c| !c.is_empty()).unwrap_or_default().to_owned(),
        None => line.text.trim_start_matches(['-', '#', ' ']).to_owned(),
    };
    crate::text::width::cut(&text, 60)
}

fn named(text: &str) -> Vec<u64> {
    let all: BTreeSet<u64> = cite::find(text).iter().flat_map(Found::named).collect();
    all.into_iter().collect()
}

/// The row that says up to which entry it was written, with the hash of that entry.
fn head(out: &mut Checked, theirs: &Document<'_>, ours: &Document<'_>, then: Option<&Document<'_>>) {
    let row = |d: &Document<'_>| {
        d.measured().find(|(_, l)| l.trim_start().starts_with("| Journal")).map(|(n, l)| (n, normal(l).into_owned()))
    };
    let (Some((number, said)), Some((_, record))) = (row(theirs), row(then.unwrap_or(ours))) else { return };
    if said != record {
        out.differences.push(Difference {
            line: Some(number),
            section: "the head".into(),
            what: "Journal".into(),
            says: cells(&said).get(1).map(|c| (*c).to_owned()),
            record: cells(&record).get(1).map(|c| (*c).to_owned()),
            entries: theirs.up_to().into_iter().collect(),
            was_so: false,
        });
    }
}

/// Citations in what people wrote.
fn written(out: &mut Checked, review: &Review<'_>, marker: &str, from: usize, text: &str) {
    let story = &review.story;
    for (n, line) in text.lines().enumerate() {
        for found in cite::find(line) {
            out.citations += 1;
            let mut add = |says: String, record: Option<String>, entries: Vec<u64>| {
                out.differences.push(Difference {
                    line: Some(from + n + 1),
                    section: if marker == KEPT { "kept from before".into() } else { format!("the place {marker}") },
                    what: format!("cites {}", found.written),
                    says: Some(says),
                    record,
                    entries,
                    was_so: false,
                });
            };
            let unknown: Vec<String> =
                found.named().iter().filter(|seq| story.entry(**seq).is_none()).map(u64::to_string).collect();
            if !unknown.is_empty() {
                add(
                    format!("entry {}", unknown.join(", ")),
                    Some("no such entry up to the incident's last".into()),
                    vec![],
                );
                continue;
            }
            let Some(value) = last_value(found.before) else { continue };
            let entries = all(&found);
            let known = match value {
                Said::Clock { .. } => clocks(story, &entries),
                Said::Length { .. } => lengths(review, &entries),
            };
            if known.is_empty() || known.iter().any(|(ms, _)| value.is(*ms)) || is_told(story, &entries, value.text()) {
                continue;
            }
            let record = known.iter().map(|(_, said)| said.as_str()).collect::<Vec<_>>().join(" or ");
            add(value.text().to_owned(), Some(record), entries);
        }
    }
}

fn all(found: &Found<'_>) -> Vec<u64> {
    found
        .parts
        .iter()
        .filter_map(|p| match p {
            Part::One(n) => Some(*n..=*n),
            Part::Span(a, b) if b.saturating_sub(*a) < 1000 => Some(*a..=*b),
            Part::Span(a, _) => Some(*a..=*a),
            Part::More(_) => None,
        })
        .flatten()
        .collect()
}

/// A value that stands directly before a citation.
enum Said<'t> {
    /// Of day, in milliseconds, exact to `step`.
    Clock {
        text: &'t str,
        ms: i64,
        step: i64,
    },
    Length {
        text: &'t str,
        ms: i64,
        step: i64,
    },
}

impl Said<'_> {
    fn text(&self) -> &str {
        match self {
            Said::Clock { text, .. } | Said::Length { text, .. } => text,
        }
    }

    fn is(&self, known: i64) -> bool {
        let (Said::Clock { ms, step, .. } | Said::Length { ms, step, .. }) = self;
        (known.abs() - ms).abs() < *step
    }
}

fn last_value(before: &str) -> Option<Said<'_>> {
    let before = before.trim_end().trim_end_matches([',', ':', '(', '*', '_', '~']).trim_end();
    let at = before.rfind(|c: char| c.is_whitespace() || "(*_~≈".contains(c));
    let mut word = at.map_or(before, |at| before.get(at..).unwrap_or_default());
    word = word.trim_start_matches(|c: char| c.is_whitespace() || "(*_~≈".contains(c));
    let of_day: Vec<&str> = word.trim_end_matches('Z').split(':').collect();
    if matches!(of_day.len(), 2 | 3) && of_day.iter().all(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_digit())) {
        let part = |n: usize| of_day.get(n).and_then(|p| p.parse::<i64>().ok()).unwrap_or(0);
        let ms = ((part(0) * 60 + part(1)) * 60 + part(2)) * 1000;
        let step = if of_day.len() == 3 { 1000 } else { 60_000 };
        return Some(Said::Clock { text: word, ms, step });
    }
    if !word.starts_with(|c: char| c.is_ascii_digit()) {
        // "12 s": the number stands apart from its unit.
        let mut words = before.split_whitespace().rev();
        let (unit, number) = (words.next()?, words.next()?);
        let is_unit = matches!(unit, "ms" | "s" | "m" | "min" | "h");
        if !is_unit || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let from = before.rfind(number)?;
        word = before.get(from..)?;
    }
    let length = crate::text::parse_duration(word).ok()?;
    let step = match word {
        w if w.ends_with("ms") => 1,
        w if w.ends_with('s') => 1000,
        w if w.ends_with('m') || w.ends_with("min") => 60_000,
        _ => 3_600_000,
    };
    Some(Said::Length { text: word, ms: i64::try_from(length.as_millis()).ok()?, step })
}

/// Times of day that the entries have, in milliseconds, and in words.
fn clocks(story: &Story<'_>, entries: &[u64]) -> Vec<(i64, String)> {
    let mut out = Vec::new();
    for entry in entries.iter().filter_map(|seq| story.entry(*seq)) {
        for at in [story.when(entry), entry.at] {
            let known = (at.ms().rem_euclid(86_400_000), format!("{}Z", at.hms()));
            if !out.contains(&known) {
                out.push(known);
            }
        }
    }
    out
}

/// Durations that rest on these entries: numbers that cite them, and the time between any two.
fn lengths(review: &Review<'_>, entries: &[u64]) -> Vec<(i64, String)> {
    let story = &review.story;
    let mut out: Vec<(i64, String)> = Vec::new();
    let mut add = |ms: i64, what: &str| {
        let said = format!("{} ({what})", super::markdown::ms(ms));
        if !out.iter().any(|(known, _)| *known == ms) {
            out.push((ms, said));
        }
    };
    for m in review.measures.all.iter().filter(|m| m.entries == entries) {
        if let Value::Ms(ms) = m.value {
            add(ms, &m.label);
        }
        if let Verdict::Met { limit_ms, by_ms } | Verdict::Missed { limit_ms, by_ms } = m.verdict {
            add(limit_ms, "its objective");
            add(by_ms, "against its objective");
        }
    }
    let known: Vec<_> = entries.iter().take(12).filter_map(|seq| story.entry(*seq)).collect();
    for (n, a) in known.iter().enumerate() {
        for b in known.iter().skip(n + 1) {
            let level = |e: &&crate::domain::event::Entry| story.steps.level(story.when(e), e.seq);
            add(level(b).ms_since(level(a)).abs(), &format!("between {} and {}", a.seq, b.seq));
        }
    }
    out
}

/// The value stands in what one of the entries says itself.
fn is_told(story: &Story<'_>, entries: &[u64], value: &str) -> bool {
    entries.iter().filter_map(|seq| story.entry(*seq)).any(|e| {
        let corrected = story.curation.entries.get(&e.seq).and_then(|a| a.text.as_deref()).unwrap_or_default();
        crate::domain::timeline::row(e).text.contains(value) || corrected.contains(value)
    })
}
