//! `mayday export INC --with OTHER`: the records of other hosts for the same incident, read, verified each for itself, and
//! told in one story.

use std::path::{Path, PathBuf};

use super::args::Format;
use super::exit::Failure;
use crate::domain::event::Entry;
use crate::journal::{Reader, verify};
use crate::report::merge::{self, Merged, Record};
use crate::text::Mask;

/// What was asked.
#[derive(Debug, Default, clap::Args)]
pub struct With {
    /// The journal of another host (a file, or its state directory) whose rows are put into the story; with =INC where
    /// the incident has another name there. Repeatable.
    #[arg(long, value_name = "FILE[=INC]")]
    pub with: Vec<String>,
    /// How far that host's clock is ahead, such as 2.5s or -800ms, instead of estimating it; in the order of --with.
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub skew: Vec<String>,
}

struct Other {
    entries: Vec<Entry>,
    incident: String,
    source: String,
    head: String,
    verified: String,
}

/// The incident's own record.
#[derive(Debug)]
pub struct Own<'a> {
    pub dir: &'a Path,
    pub entries: &'a [Entry],
    pub incident: &'a str,
    pub head: Option<&'a str>,
}

/// The document with the story of all hosts. Without `--with` it stays as it is.
pub fn add(text: String, format: Format, own: &Own<'_>, with: &With, mask: &Mask) -> Result<String, Failure> {
    if with.with.is_empty() {
        if !with.skew.is_empty() {
            return Err(Failure::usage("--skew says how another host's clock differs: name its record with --with"));
        }
        return Ok(text);
    }
    let merged = read(own, with)?;
    match format {
        Format::Md => Ok(format!("{}\n\n{}", text.trim_end(), merge::markdown(&merged, mask))),
        Format::Json => {
            let fault = |e: serde_json::Error| Failure::failed(format!("add the other hosts: {e}"));
            let mut value: serde_json::Value = serde_json::from_str(&text).map_err(fault)?;
            if let Some(map) = value.as_object_mut() {
                map.insert("merged".into(), merge::value(&merged, mask));
            }
            Ok(serde_json::to_string_pretty(&value).map_err(fault)? + "\n")
        }
        Format::Html | Format::Csv | Format::Cast => {
            Err(Failure::usage("--with puts the story of all hosts into Markdown or JSON: add --format md or json"))
        }
    }
}

fn read(own: &Own<'_>, with: &With) -> Result<Merged, Failure> {
    let skews = with.skew.iter().map(|s| skew(s)).collect::<Result<Vec<i64>, Failure>>()?;
    if skews.len() > with.with.len() {
        return Err(Failure::usage("there are more --skew than --with"));
    }
    let others = with.with.iter().map(|named| other(named, own.incident)).collect::<Result<Vec<Other>, Failure>>()?;
    let here = Record {
        entries: own.entries,
        incident: own.incident,
        source: "the state directory".into(),
        head: own.head.map(str::to_owned),
        verified: verified(own.dir)?.1,
    };
    let there: Vec<Record<'_>> = (others.iter())
        .map(|o| Record {
            entries: &o.entries,
            incident: &o.incident,
            source: o.source.clone(),
            head: Some(o.head.clone()),
            verified: o.verified.clone(),
        })
        .collect();
    merge::merge(&here, &there, &skews).map_err(Failure::usage)
}

fn other(named: &str, incident: &str) -> Result<Other, Failure> {
    let (file, incident) = match named.rsplit_once('=') {
        Some((file, id)) if id.starts_with("INC-") => (file, id),
        _ => (named, incident),
    };
    let mut path = PathBuf::from(file);
    // The part that is written to is only the end of the record: the others lie beside it.
    if path.file_name().is_some_and(|n| n == "journal.jsonl") {
        path = path.parent().filter(|p| !p.as_os_str().is_empty()).map_or_else(|| ".".into(), Path::to_path_buf);
    }
    let fault = |e: crate::journal::JournalError| Failure::failed(e.to_string());
    let reader = Reader::open(&path).map_err(fault)?;
    let entries: Vec<Entry> = reader.entries(1).map_err(fault)?.flatten().collect();
    let (head, verified) = verified(&path)?;
    Ok(Other { entries, incident: incident.to_owned(), source: file.to_owned(), head, verified })
}

/// Head of a record, and what its verification says.
fn verified(path: &Path) -> Result<(String, String), Failure> {
    let report = verify(path, None).map_err(|e| Failure::failed(e.to_string()))?;
    let said = match report.first_fault() {
        None => "whole".to_owned(),
        Some(fault) => format!("NOT WHOLE: {fault}"),
    };
    Ok((report.head.hash.to_string(), said))
}

/// `2.5s`, `-800ms`, in milliseconds.
fn skew(text: &str) -> Result<i64, Failure> {
    let wrong = || Failure::usage(format!("\"{text}\" is no skew: write 2.5s, -800ms or 1m"));
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let at = rest.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = rest.split_at(at);
    let per = match unit {
        "ms" => 1.0,
        "s" => 1000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        _ => return Err(wrong()),
    };
    let ms = number.parse::<f64>().ok().filter(|n| n.is_finite() && (0.0..1e9).contains(n)).ok_or_else(wrong)? * per;
    Ok(sign * ms.round() as i64)
}
