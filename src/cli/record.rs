//! The record, read without an engine: export, verify, tail. Works on a copy, and while the engine is down.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret;

use super::args::{Format, JournalCmd};
use super::exit::Failure;
use super::{Place, print, say};
use crate::config::SecretRef;
use crate::domain::Time;
use crate::domain::event::{Entry, Event};
use crate::domain::timeline;
use crate::journal::Reader;
use crate::report::{self, Extra, Review};
use crate::text::Mask;

fn open(dir: &Path) -> Result<Reader, Failure> {
    Reader::open(dir).map_err(|e| Failure::failed(format!("{e} (is {} a state directory?)", dir.display())))
}

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

/// `mayday export`. Reads the journal only: same journal, same bytes.
pub async fn export(
    place: &Place,
    incident: Option<String>,
    format: Format,
    output: Option<PathBuf>,
    with: &super::merged::With,
) -> Result<u8, Failure> {
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
    let last = entries.iter().rposition(|e| e.incident.as_deref() == Some(&incident));
    let Some(last) = last else {
        return Err(Failure::usage(format!("there is no incident \"{incident}\": mayday incident list shows them")));
    };
    let entries = entries.get(..=last).unwrap_or_default();
    let samples =
        safe_id(&incident).and_then(|id| std::fs::read(dir.join("incidents").join(id).join("samples.jsonl")).ok());
    let extra = Extra { samples: samples.as_deref(), mask: mask(place.config.as_deref()).await, head: None };
    let mut review = Review::new(entries, &incident, extra).map_err(Failure::failed)?;
    let head = reader.hash_of(review.story.last.seq).map_err(|e| Failure::failed(e.to_string()))?;
    let head = head.map(|hash| hash.to_string());
    review.extra.head = head.as_deref();
    let text = match format {
        Format::Md => report::markdown::render(&review),
        Format::Json => report::json::render(&review),
    };
    let own = super::merged::Own { dir, entries, incident: &incident, head: head.as_deref() };
    let text = super::merged::add(text, format, &own, with, &review.extra.mask)?;
    match output {
        None => {
            let _ = std::io::stdout().write_all(text.as_bytes());
        }
        Some(path) => {
            crate::sys::disk::write_atomic(&path, text.as_bytes(), 0o640)
                .map_err(|e| Failure::failed(format!("write {}: {e}", path.display())))?;
            super::redact::remember_export(dir, &incident, &path);
        }
    }
    if damaged > 0 {
        eprintln!("mayday: {damaged} damaged places were left out: mayday journal verify");
        return Ok(super::exit::FAILED);
    }
    Ok(0)
}

/// Every entry that can be read of the journal in `dir`. Reads the files only.
pub fn entries(dir: &Path) -> Result<Vec<Entry>, Failure> {
    Ok(all(&open(dir)?)?.0)
}

/// Every entry that can be read, and how many places are damaged; the first of them are told on stderr.
fn all(reader: &Reader) -> Result<(Vec<Entry>, u64), Failure> {
    let (mut entries, mut damaged) = (Vec::new(), 0u64);
    for entry in reader.entries(1).map_err(|e| Failure::failed(e.to_string()))? {
        match entry {
            Ok(entry) => entries.push(entry),
            Err(damage) => {
                damaged += 1;
                if damaged <= 3 {
                    eprintln!("mayday: the journal is damaged: {damage}");
                }
            }
        }
    }
    Ok((entries, damaged))
}

/// `mayday kpi`: figures over incidents. Reads the journal only.
pub fn kpi(dir: &Path, since: Option<String>, until: Option<String>, json: bool) -> Result<u8, Failure> {
    let (entries, damaged) = all(&open(dir)?)?;
    let since = since.map(|t| day(&t)).transpose()?;
    let until = until.map(|t| day(&t)).transpose()?;
    let kpi =
        report::Kpi::of(&entries, since, until, Time::from_ms(crate::sys::clock::now_ms())).map_err(Failure::failed)?;
    if json {
        print(&kpi)?;
    } else {
        kpi.lines().iter().for_each(|line| say(line));
    }
    if damaged > 0 {
        eprintln!("mayday: {damaged} damaged places were left out: mayday journal verify");
        return Ok(super::exit::FAILED);
    }
    Ok(0)
}

/// A day, a time, or how long ago.
fn day(text: &str) -> Result<Time, Failure> {
    if let Ok(at) = Time::parse(text).or_else(|_| Time::parse(&format!("{text}T00:00:00Z"))) {
        return Ok(at);
    }
    match crate::text::parse_duration(text) {
        Ok(ago) => Ok(Time::from_ms(crate::sys::clock::now_ms()).minus(ago)),
        Err(_) => Err(Failure::usage(format!("\"{text}\" is no time: write 2026-11-01, an RFC 3339 time, or 90d"))),
    }
}

fn safe_id(id: &str) -> Option<&str> {
    id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-').then_some(id)
}

/// `mayday journal …`.
pub async fn journal(dir: &Path, command: JournalCmd, json: bool) -> Result<u8, Failure> {
    match command {
        JournalCmd::Verify { anchor, dir: other } => super::verify::run(other.as_deref().unwrap_or(dir), &anchor, json),
        JournalCmd::Tail { lines, follow, dir: other } => {
            tail(other.as_deref().unwrap_or(dir), lines, follow, json).await
        }
        JournalCmd::Redact { .. } => Err(Failure::failed("a redaction is carried out by the engine")),
    }
}

async fn tail(dir: &Path, lines: usize, follow: bool, json: bool) -> Result<u8, Failure> {
    let mut next = {
        let reader = open(dir)?;
        let page = reader.tail(lines).map_err(|e| Failure::failed(e.to_string()))?;
        show(&page.entries, json)?;
        match page.entries.last() {
            Some(last) => last.seq + 1,
            None => reader.last_seq().map_err(|e| Failure::failed(e.to_string()))? + 1,
        }
    };
    if !follow {
        return Ok(0);
    }
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let reader = open(dir)?;
        let page = reader.read_range(next, 1000).map_err(|e| Failure::failed(e.to_string()))?;
        show(&page.entries, json)?;
        if let Some(last) = page.entries.last() {
            next = last.seq + 1;
        }
    }
}

fn show(entries: &[Entry], json: bool) -> Result<(), Failure> {
    for entry in entries {
        if json {
            let value = serde_json::json!({
                "seq": entry.seq, "at": entry.at, "actor": entry.actor, "incident": entry.incident,
                "kind": entry.event.kind(), "payload": entry.event.payload(),
            });
            say(&value.to_string());
        } else {
            let row = timeline::row(entry);
            let incident = row.incident.unwrap_or_default();
            say(&format!(
                "{}  {:<10} {incident:<13} {}  [{}]",
                row.at,
                crate::text::width::cut(&row.actor, 10),
                row.text,
                row.seq
            ));
        }
    }
    Ok(())
}
