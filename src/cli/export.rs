//! The review of an incident, written from the record without an engine: export, and the check of an edited one.
//!
//! Nothing that a person wrote is lost: what stands in an earlier document is kept (see [`report::places`]), what cannot be
//! told apart from other people's files is refused, and the file before is left beside the new one.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret;

use super::args::{ExportArgs, Format};
use super::exit::{self, Failure};
use super::merged::{Own, With};
use super::record::{all, open};
use super::{Place, print, say};
use crate::config::SecretRef;
use crate::domain::event::{Entry, Event};
use crate::journal::Reader;
use crate::report::check::Checked;
use crate::report::places::{self, Document};
use crate::report::{self, Extra, Review};
use crate::text::{Mask, plural};

/// The schema of the JSON review.
pub const SCHEMA: &str = include_str!("../../config/review.schema.json");

/// How long a secret's file may take to be read.
const SECRET: Duration = Duration::from_secs(2);

/// What is masked in an export beside what looks like a secret: the values that the configuration names and that are at
/// hand here. No program is run for one: an export needs nothing but the record, and what such a program gives was masked
/// when it was captured.
async fn mask(config: Option<&Path>) -> Mask {
    let Some(Ok(config)) = config.map(crate::config::load) else { return Mask::default() };
    let mut values = Vec::new();
    for (_, reference) in config.secret_refs() {
        if matches!(reference, SecretRef::Literal(_) | SecretRef::Env(_) | SecretRef::File(_))
            && let Ok(value) = crate::config::resolve(&reference, SECRET).await
        {
            values.extend(crate::text::mask::parts(value.expose_secret()));
            values.push(value.expose_secret().to_owned());
        }
    }
    Mask::new(values)
}

/// The record and what a review is made from beside it.
struct Record {
    reader: Reader,
    entries: Vec<Entry>,
    damaged: u64,
    incident: String,
    samples: Option<Vec<u8>>,
    mask: Mask,
}

impl Record {
    async fn read(place: &Place, incident: Option<String>) -> Result<Record, Failure> {
        let dir = place.state_dir.as_path();
        let reader = open(dir)?;
        let (entries, damaged) = all(&reader)?;
        let incident = match incident {
            Some(id) => id,
            None => entries
                .iter()
                .rev()
                .find(|e| matches!(e.event, Event::IncidentDeclared(_)))
                .and_then(|e| e.incident.clone())
                .ok_or_else(|| Failure::usage("no incident was ever declared here"))?,
        };
        if !entries.iter().any(|e| e.incident.as_deref() == Some(&incident)) {
            return Err(Failure::usage(format!(
                "there is no incident \"{incident}\": mayday incident list shows them"
            )));
        }
        let samples =
            safe_id(&incident).and_then(|id| std::fs::read(dir.join("incidents").join(id).join("samples.jsonl")).ok());
        Ok(Record { reader, entries, damaged, incident, samples, mask: mask(place.config.as_deref()).await })
    }

    /// Calls `with` with the review as it is, or as it was when `up_to` was the last entry.
    fn review<T>(&self, up_to: Option<u64>, with: impl FnOnce(&Review<'_>) -> T) -> Result<T, Failure> {
        let end = up_to.map_or(self.entries.len(), |seq| self.entries.partition_point(|e| e.seq <= seq));
        let entries = self.entries.get(..end).unwrap_or_default();
        let extra = Extra { samples: self.samples.as_deref(), mask: self.mask.clone(), head: None };
        let mut review = Review::new(entries, &self.incident, extra).map_err(Failure::failed)?;
        let head = self.reader.hash_of(review.story.last.seq).map_err(|e| Failure::failed(e.to_string()))?;
        let head = head.map(|hash| hash.to_string());
        review.extra.head = head.as_deref();
        Ok(with(&review))
    }
}

impl Record {
    /// The document with the story of the hosts that were named.
    fn with_others(&self, text: String, format: Format, place: &Place, with: &With) -> Result<String, Failure> {
        let last = self.review(None, |review| (review.story.last.seq, review.extra.head.map(str::to_owned)))?;
        let end = self.entries.partition_point(|e| e.seq <= last.0);
        let entries = self.entries.get(..end).unwrap_or_default();
        let own = Own { dir: &place.state_dir, entries, incident: &self.incident, head: last.1.as_deref() };
        super::merged::add(text, format, &own, with, &self.mask)
    }
}

fn safe_id(id: &str) -> Option<&str> {
    id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-').then_some(id)
}

/// `mayday export`. Reads the journal, the sealed samples, and the document that is there already: same input, same bytes.
pub async fn export(place: &Place, args: ExportArgs, json: bool) -> Result<u8, Failure> {
    if args.schema {
        say(SCHEMA.trim_end());
        return Ok(exit::DONE);
    }
    if let Some(file) = &args.check {
        return check(place, &args, file, json).await;
    }
    let format = args.format.or_else(|| of_name(args.output.as_deref()?)).unwrap_or(Format::Md);
    if args.from.is_some() && format != Format::Html {
        return Err(Failure::usage(
            "--from takes the hand-written parts of a Markdown review into HTML: add --format html",
        ));
    }
    if !args.with.with.is_empty() && !matches!(format, Format::Md | Format::Json) {
        return Err(Failure::usage(
            "--with puts the story of all hosts into Markdown or JSON: add --format md or json",
        ));
    }
    let mut record = Record::read(place, args.incident.clone()).await?;
    let output = args.output.as_deref();
    let before = output.map(|path| read_before(path, format)).transpose()?.flatten();
    if let (Some(before), Some(path)) = (&before, output)
        && !is_ours(format, &record.incident, before)
    {
        return Err(foreign(path, &format!("it is no earlier export of {} in this format", record.incident)));
    }
    match format {
        Format::Md => {
            let fresh = record.review(None, report::markdown::render)?;
            let fresh = record.with_others(fresh, format, place, &args.with)?;
            let text = match (&before, output) {
                (Some(old), Some(path)) => refresh(&record, &fresh, old, path)?,
                _ => fresh,
            };
            put(output, before.as_deref() == Some(&text), true, &mut |sink| sink(&text))?;
        }
        Format::Html => {
            let markdown = written_parts(&record, args.from.as_deref(), output)?;
            let prepared = record.review(None, report::html::prepare)?;
            // The page is made of these two: a long record need not stay in memory.
            record.entries = Vec::new();
            let page = prepared.page(&markdown).map_err(Failure::failed)?;
            let same = output.is_some_and(|path| std::fs::read(path).is_ok_and(|old| old == page.as_bytes()));
            put(output, same, true, &mut |sink| sink(&page))?;
        }
        Format::Json if !args.with.with.is_empty() => {
            let document = record.review(None, report::json::render)?;
            let document = record.with_others(document, format, place, &args.with)?;
            put(output, false, false, &mut |sink| sink(&document))?;
        }
        Format::Json | Format::Csv | Format::Cast => {
            let render = match format {
                Format::Json => report::json::render_to,
                Format::Csv => report::csv::render_to,
                _ => report::cast::render_to,
            };
            record.review(None, |review| put(output, false, false, &mut |sink| render(review, sink)))??;
        }
    }
    if let Some(path) = output {
        super::redact::remember_export(&place.state_dir, &record.incident, path);
    }
    if record.damaged > 0 {
        eprintln!("mayday: {} damaged places were left out: mayday journal verify", record.damaged);
        return Ok(exit::FAILED);
    }
    Ok(exit::DONE)
}

/// The format that a file's name says.
fn of_name(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "md" | "markdown" => Some(Format::Md),
        "html" | "htm" => Some(Format::Html),
        "json" => Some(Format::Json),
        "csv" => Some(Format::Csv),
        "cast" => Some(Format::Cast),
        _ => None,
    }
}

/// What the file holds already, of other formats than Markdown its beginning; nothing for one that is not there, is empty,
/// or is no file (a pipe, a terminal).
fn read_before(path: &Path, format: Format) -> Result<Option<String>, Failure> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_file() => {}
        Ok(meta) if meta.is_dir() => {
            return Err(Failure::usage(format!("{} is a folder: name a file in it", path.display())));
        }
        _ => return Ok(None),
    }
    let failed = |e: std::io::Error| Failure::failed(format!("read {}: {e}", path.display()));
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    let most = if format == Format::Md { u64::MAX } else { 16 * 1024 };
    file.take(most).read_to_end(&mut bytes).map_err(failed)?;
    let text = match (String::from_utf8(bytes), format) {
        (Ok(text), _) => text,
        (Err(_), Format::Md) => return Err(foreign(path, "it is no text")),
        // A beginning may end within a character.
        (Err(e), _) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
    };
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}

fn foreign(path: &Path, why: &str) -> Failure {
    Failure::refused(format!(
        "{} is there already, and {why}; nothing was written: choose another name, or move the file away",
        path.display()
    ))
}

/// The review with what people wrote into the one that is there.
fn refresh(record: &Record, fresh: &str, old: &str, path: &Path) -> Result<String, Failure> {
    let as_of = |seq: u64| record.review(Some(seq), report::markdown::render).ok();
    let done = places::refresh(fresh, old, &as_of).map_err(|why| foreign(path, &why))?;
    if !done.kept.is_empty() {
        eprintln!("mayday: kept what was written in {}: {}", path.display(), done.kept.join(", "));
    }
    if let Some((first, _)) = done.moved.first() {
        eprintln!(
            "mayday: {} stood outside of the marked places (first: line {first}); they are kept at the end, under \"Kept from \
             the document before\"",
            plural(done.moved.len(), "line")
        );
    }
    Ok(done.text)
}

/// The Markdown that a page is made from: with the hand-written parts of the file named, or of the one beside the page.
fn written_parts(record: &Record, from: Option<&Path>, output: Option<&Path>) -> Result<String, Failure> {
    let fresh = record.review(None, report::markdown::render)?;
    let beside = output.map(|path| path.with_extension("md"));
    let (path, is_named) = match (from, &beside) {
        (Some(path), _) => (path, true),
        (None, Some(path)) if path.is_file() => (path.as_path(), false),
        _ => return Ok(fresh),
    };
    let text = std::fs::read_to_string(path).map_err(|e| Failure::failed(format!("read {}: {e}", path.display())))?;
    let as_of = |seq: u64| record.review(Some(seq), report::markdown::render).ok();
    match places::refresh(&fresh, &text, &as_of) {
        Ok(done) => {
            if !is_named {
                let n = plural(done.kept.len(), "hand-written part");
                eprintln!("mayday: with {n} of {}, which stands beside it (--from FILE takes another)", path.display());
            }
            Ok(done.text)
        }
        Err(why) if is_named => Err(Failure::refused(format!("--from {}: {why}; nothing was written", path.display()))),
        Err(why) => {
            eprintln!("mayday: nothing was taken from {}, which stands beside it: {why}", path.display());
            Ok(fresh)
        }
    }
}

/// Writes what `make` gives, to standard output or whole into a file. `same`: that is what the file holds already; `keep`:
/// people may have written into the one that is there, so it is left beside.
fn put(
    path: Option<&Path>,
    same: bool,
    keep: bool,
    make: &mut dyn FnMut(&mut report::Sink<'_>),
) -> Result<(), Failure> {
    let Some(path) = path else {
        let mut out = std::io::stdout().lock();
        // Whoever reads may have seen enough.
        make(&mut |piece| drop(out.write_all(piece.as_bytes())));
        return Ok(());
    };
    let mut fill = |file: &mut std::fs::File| {
        let mut done = Ok(());
        make(&mut |piece| {
            if done.is_ok() {
                done = file.write_all(piece.as_bytes());
            }
        });
        done
    };
    let failed = |e: std::io::Error| Failure::failed(format!("write {}: {e}", path.display()));
    let meta = std::fs::metadata(path);
    if meta.as_ref().is_ok_and(|meta| !meta.is_file()) {
        let mut file = std::fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
        return fill(&mut file).map_err(failed);
    }
    if same {
        return Ok(());
    }
    if keep && meta.is_ok_and(|meta| meta.len() > 0) {
        let mut name = path.as_os_str().to_owned();
        name.push(".bak");
        let backup = PathBuf::from(name);
        let copy = std::fs::read(path).and_then(|old| crate::sys::disk::write_atomic(&backup, &old, 0o640));
        copy.map_err(|e| Failure::failed(format!("write {}: {e}; the review was left as it is", backup.display())))?;
    }
    crate::sys::disk::write_atomic_with(path, 0o640, &mut fill).map_err(failed)
}

fn is_ours(format: Format, incident: &str, before: &str) -> bool {
    let head: String = before.chars().take(4000).collect();
    let named = head.contains(incident);
    match format {
        // Looked at when it was refreshed.
        Format::Md => true,
        Format::Html => named && head.contains("<meta name=\"generator\" content=\"mayday "),
        Format::Json => named && head.contains("\"mayday\": \""),
        Format::Csv => head.starts_with(&report::csv::COLUMNS.join(",")),
        Format::Cast => named && head.starts_with("{\"version\":3,"),
    }
}

async fn check(place: &Place, args: &ExportArgs, file: &Path, json: bool) -> Result<u8, Failure> {
    let text = std::fs::read_to_string(file).map_err(|e| Failure::usage(format!("read {}: {e}", file.display())))?;
    let document = Document::read(&text).map_err(|e| Failure::usage(format!("{}: {e}", file.display())))?;
    let incident = args.incident.clone().unwrap_or_else(|| document.incident.clone());
    let record = Record::read(place, Some(incident)).await?;
    let then = document.up_to().and_then(|seq| record.review(Some(seq), report::markdown::render).ok());
    let checked = record
        .review(None, |review| {
            let fresh = report::markdown::render(review);
            report::check::check(review, &text, &fresh, then.as_deref())
        })?
        .map_err(|why| Failure::usage(format!("{}: {why}", file.display())))?;
    if json {
        print(&checked)?;
    } else {
        tell(file, &checked);
    }
    Ok(if checked.differences.is_empty() { exit::DONE } else { exit::FAILED })
}

fn tell(file: &Path, checked: &Checked) {
    let file = file.display();
    for d in &checked.differences {
        let at = d.line.map(|n| format!(":{n}")).unwrap_or_default();
        let cited = report::cite::cite(&d.entries);
        say(&format!("{file}{at}  {}: {}", d.section, d.what));
        match (&d.says, &d.record) {
            (Some(says), Some(record)) => {
                say(&format!("    the document says  {}", crate::text::clean(says)));
                say(&format!("    the record says    {} {cited}", crate::text::clean(record)));
            }
            (Some(says), None) => {
                say(&format!("    the document says  {}", crate::text::clean(says)));
                say("    the record has no such line: what people add belongs between the marks of a place");
            }
            (None, Some(record)) => {
                say("    it is missing from the document");
                say(&format!("    the record says    {} {cited}", crate::text::clean(record)));
            }
            (None, None) => {}
        }
        if d.was_so {
            say("    it was so when the document was written; the record has gone on since");
        }
    }
    if let Some((then, now)) = checked.behind {
        say(&format!(
            "the document knows the record up to entry {then}, which has gone on to {now}: mayday export -o {file} refreshes it \
             and keeps what was written"
        ));
    }
    match checked.differences.len() {
        0 => say(&format!(
            "SAME: {} and {} in written parts are as the record has them",
            plural(checked.lines, "measured line"),
            plural(checked.citations, "citation")
        )),
        n => say(&format!("{} from the record", plural(n, "difference"))),
    }
}
