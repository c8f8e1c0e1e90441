//! The marked places of a Markdown review, and how what people wrote outlives the next export.
//!
//! A review names its incident in its first line and ends with a seal: the digests of what mayday wrote, of the measured
//! part and of each place. From both it can be told, without guessing, what people changed: a place that is no longer as it
//! was written is kept whole, byte for byte; a line that stands outside of the places and was not written by mayday is
//! moved into a place of its own. Nothing that a person wrote is ever dropped. What cannot be told apart is refused, with
//! the line and what to do.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::difference;
use super::story::Story;

/// The place into which goes what stood outside of the others.
pub const KEPT: &str = "kept";

const WRITE: &str = "<!-- mayday:write ";
const END: &str = "<!-- mayday:end ";
const SEAL: &str = "<!-- mayday:seal ";
const HEAD: &str = "<!-- mayday:review ";
const CLOSE: &str = " -->";

/// The line that opens a place.
pub fn begin(marker: &str) -> String {
    format!("{WRITE}{marker}{CLOSE}")
}

/// The line that closes it.
pub fn end(marker: &str) -> String {
    format!("{END}{marker}{CLOSE}")
}

/// The first line: which incident it is.
pub fn head(story: &Story<'_>) -> String {
    let declared = story.entry(story.declared.seq).map_or(story.declared.at, |e| e.at);
    format!("{HEAD}{} declared {declared}{CLOSE}", plain(&story.id))
}

/// Nothing that could end the comment it stands in.
fn plain(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || "-._@".contains(c) { c } else { '_' }).collect()
}

/// What a comment of ours says: `<!-- mayday:write summary -->` gives `summary`.
fn said<'l>(line: &'l str, opening: &str) -> Option<&'l str> {
    Some(line.trim().strip_prefix(opening)?.strip_suffix("-->")?.trim())
}

/// A stretch of a review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Written by mayday: its lines, and the number of the first, from 1.
    Measured { from: usize, lines: Vec<&'t str> },
    /// Between the marks of a place.
    Place { marker: String, from: usize, text: String },
}

/// A review that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document<'t> {
    pub incident: String,
    pub declared: String,
    pub pieces: Vec<Piece<'t>>,
    seal: BTreeMap<String, String>,
}

/// Why a file cannot be read as a review, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is something else.
    NoReview,
    /// Its marks do not fit together.
    Marks(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::NoReview => {
                f.write_str("it is no review that mayday wrote: it has no line <!-- mayday:review … -->")
            }
            Fault::Marks(what) => f.write_str(what),
        }
    }
}

impl<'t> Document<'t> {
    /// Reads a review. Errors: it is none, or its marks do not fit together.
    pub fn read(text: &'t str) -> Result<Document<'t>, Fault> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (incident, declared) = text
            .lines()
            .take(40)
            .find_map(|l| said(l, HEAD))
            .and_then(|said| said.split_once(" declared "))
            .ok_or(Fault::NoReview)?;
        let mut document = Document {
            incident: incident.to_owned(),
            declared: declared.to_owned(),
            pieces: Vec::new(),
            seal: BTreeMap::new(),
        };
        let mut open: Option<(String, usize, String)> = None;
        let mut measured: (usize, Vec<&str>) = (1, Vec::new());
        let mut known = BTreeSet::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            if let Some(marker) = said(line, WRITE) {
                if let Some((outer, at, _)) = &open {
                    return Err(Fault::Marks(format!(
                        "line {number}: the place {marker} begins inside of {outer} (line {at}): put the line {} where the \
                         text of {outer} ends",
                        end(outer)
                    )));
                }
                if !known.insert(marker.to_owned()) {
                    return Err(Fault::Marks(format!(
                        "line {number}: the place {marker} is there twice: join the two texts between one pair of marks"
                    )));
                }
                let (from, lines) = std::mem::replace(&mut measured, (number, Vec::new()));
                document.pieces.push(Piece::Measured { from, lines });
                open = Some((marker.to_owned(), number, String::new()));
            } else if let Some(marker) = said(line, END) {
                match open.take() {
                    Some((opened, from, text)) if opened == marker => {
                        document.pieces.push(Piece::Place { marker: opened, from, text });
                        measured = (number + 1, Vec::new());
                    }
                    Some((opened, at, _)) => {
                        return Err(Fault::Marks(format!(
                            "line {number}: the end of {marker} stands inside of the place {opened} (line {at}): put the line \
                             {} where the text of {opened} ends",
                            end(&opened)
                        )));
                    }
                    None => {
                        return Err(Fault::Marks(format!(
                            "line {number}: the end of {marker} has no beginning: put the line {} before its text",
                            begin(marker)
                        )));
                    }
                }
            } else if let Some((_, _, text)) = &mut open {
                text.push_str(line);
                text.push('\n');
            } else if let Some(said) = said(line, SEAL) {
                document.seal = said
                    .split(' ')
                    .filter_map(|w| w.split_once(':'))
                    .map(|(a, b)| (a.to_owned(), b.to_owned()))
                    .collect();
            } else {
                measured.1.push(line);
            }
        }
        if let Some((marker, at, _)) = open {
            return Err(Fault::Marks(format!(
                "line {at}: the place {marker} is not closed: put the line {} where its text ends",
                end(&marker)
            )));
        }
        document.pieces.push(Piece::Measured { from: measured.0, lines: measured.1 });
        Ok(document)
    }

    /// What stands in a place.
    pub fn place(&self, wanted: &str) -> Option<&str> {
        self.pieces.iter().find_map(|p| match p {
            Piece::Place { marker, text, .. } if marker == wanted => Some(text.as_str()),
            _ => None,
        })
    }

    /// Whether a place is still as mayday wrote it. A document without a seal counts as written by people.
    pub fn is_untouched(&self, marker: &str) -> bool {
        self.place(marker).is_some_and(|text| {
            text.trim().is_empty() || self.seal.get(marker).is_some_and(|seal| *seal == digest([text.trim_end()]))
        })
    }

    /// The lines outside of the places, with their numbers.
    pub fn measured(&self) -> impl Iterator<Item = (usize, &'t str)> + '_ {
        self.pieces.iter().flat_map(|p| {
            let (from, lines) = match p {
                Piece::Measured { from, lines } => (*from, lines.as_slice()),
                Piece::Place { .. } => (0, Default::default()),
            };
            lines.iter().enumerate().map(move |(n, line)| (from + n, *line))
        })
    }

    fn measured_digest(&self) -> String {
        digest(self.measured().map(|(_, l)| l).filter(|l| !l.trim().is_empty()))
    }

    /// Up to which entry of the record it was written.
    pub fn up_to(&self) -> Option<u64> {
        let row = self.measured().map(|(_, l)| l).find(|l| l.trim_start().starts_with("| Journal"))?;
        let number = row.split("up to entry ").nth(1)?;
        number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }
}

/// First 12 hex digits over lines, however they are padded.
fn digest<'l>(lines: impl IntoIterator<Item = &'l str>) -> String {
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(difference::normal(line).as_bytes());
        hash.update(b"\n");
    }
    hex::encode(hash.finalize()).chars().take(12).collect()
}

/// The document with its seal behind it.
pub(super) fn sealed(mut out: String) -> String {
    let Ok(document) = Document::read(&out) else { return out };
    let mut seal = format!("measured:{}", document.measured_digest());
    for piece in &document.pieces {
        if let Piece::Place { marker, text, .. } = piece {
            seal.push_str(&format!(" {marker}:{}", digest([text.trim_end()])));
        }
    }
    out.push_str(&format!("\n{SEAL}{seal}{CLOSE}\n"));
    out
}

/// A review written anew, with what people had written into the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    pub text: String,
    /// Places whose text was kept.
    pub kept: Vec<String>,
    /// Lines that were moved into the place of their own: number in the old file, text.
    pub moved: Vec<(usize, String)>,
}

/// `fresh` with the written parts of `old`. `as_of` renders the review as it was up to an entry, where it can: what stands
/// in it was written by mayday. Errors: `old` is no review, one of another incident, or its marks do not fit together.
pub fn refresh(fresh: &str, old: &str, as_of: &dyn Fn(u64) -> Option<String>) -> Result<Refreshed, String> {
    let new = Document::read(fresh).map_err(|e| e.to_string())?;
    let before = Document::read(old).map_err(|e| e.to_string())?;
    if (&new.incident, &new.declared) != (&before.incident, &before.declared) {
        return Err(format!(
            "it is the review of {} (declared {}), not of {} (declared {})",
            before.incident, before.declared, new.incident, new.declared
        ));
    }
    let mut kept = Vec::new();
    let mut homeless = String::new();
    for piece in &before.pieces {
        let Piece::Place { marker, text, .. } = piece else { continue };
        if marker == KEPT || before.is_untouched(marker) {
            continue;
        }
        if new.place(marker).is_some() {
            kept.push(marker.clone());
        } else {
            homeless.push_str(&format!("From the place {marker}:\n\n{}\n\n", text.trim_end()));
        }
    }
    let moved = outside(&new, &before, as_of);
    let mut section = "";
    for (number, line) in &moved {
        let under = heading(&before, *number);
        if under != section {
            section = under;
            homeless.push_str(&format!("{}From \"{section}\":\n\n", if homeless.is_empty() { "" } else { "\n" }));
        }
        homeless.push_str(line);
        homeless.push('\n');
    }
    let mut text = String::with_capacity(fresh.len() + old.len() / 4);
    let mut inside: Option<bool> = None;
    for line in fresh.lines() {
        if let Some(marker) = said(line, WRITE) {
            text.push_str(line);
            text.push('\n');
            let own = kept.iter().any(|k| k == marker);
            if own {
                text.push_str(before.place(marker).unwrap_or_default());
            }
            inside = Some(own);
            continue;
        }
        if said(line, END).is_some() {
            inside = None;
        }
        if said(line, SEAL).is_some() {
            push_kept(&mut text, before.place(KEPT).unwrap_or_default(), &homeless);
        }
        if inside != Some(true) {
            text.push_str(line);
            text.push('\n');
        }
    }
    Ok(Refreshed { text, kept, moved })
}

/// The place for what has no other, where there is anything.
fn push_kept(out: &mut String, before: &str, homeless: &str) {
    if before.trim().is_empty() && homeless.trim().is_empty() {
        return;
    }
    out.push_str(&begin(KEPT));
    out.push('\n');
    if before.trim().is_empty() {
        out.push_str("\n## Kept from the document before\n\n");
        out.push_str("What stood outside of the marked places. Move it to where it belongs, or delete it.\n");
    } else {
        out.push_str(before);
    }
    if !homeless.trim().is_empty() {
        out.push('\n');
        out.push_str(homeless.trim_end());
        out.push('\n');
    }
    out.push_str(&end(KEPT));
    out.push_str("\n\n");
}

/// Lines outside of the places that mayday did not write.
fn outside(new: &Document<'_>, before: &Document<'_>, as_of: &dyn Fn(u64) -> Option<String>) -> Vec<(usize, String)> {
    if before.seal.get("measured").is_some_and(|seal| *seal == before.measured_digest()) {
        return Vec::new();
    }
    let then = before.up_to().and_then(as_of);
    let wrote = then.as_deref().and_then(|text| Document::read(text).ok());
    let wrote: Vec<String> =
        wrote.as_ref().unwrap_or(new).measured().map(|(_, l)| difference::normal(l).into_owned()).collect();
    let known: BTreeSet<String> = new.measured().map(|(_, l)| difference::normal(l).into_owned()).collect();
    let lines: Vec<(usize, &str)> = before.measured().collect();
    let normal: Vec<String> = lines.iter().map(|(_, l)| difference::normal(l).into_owned()).collect();
    difference::added(&wrote, &normal)
        .into_iter()
        .filter_map(|index| lines.get(index).zip(normal.get(index)))
        .filter(|((_, line), normal)| {
            !line.trim().is_empty() && (!known.contains(*normal) || normal.starts_with("```"))
        })
        .map(|((number, line), _)| (*number, (*line).to_owned()))
        .collect()
}

/// The heading above a line of the document.
fn heading<'t>(document: &Document<'t>, number: usize) -> &'t str {
    let above = document.measured().take_while(|(n, _)| *n <= number);
    above.filter_map(|(_, l)| l.strip_prefix("## ")).last().unwrap_or("the head")
}
