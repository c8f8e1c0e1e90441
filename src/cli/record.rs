//! The record, read without an engine: verify, tail, figures over incidents. Works on a copy, and while the engine is down.

use std::path::Path;
use std::time::Duration;

use super::args::JournalCmd;
use super::exit::Failure;
use super::{print, say};
use crate::domain::Time;
use crate::domain::event::Entry;
use crate::domain::timeline;
use crate::journal::Reader;
use crate::report;

pub(super) fn open(dir: &Path) -> Result<Reader, Failure> {
    Reader::open(dir).map_err(|e| Failure::failed(format!("{e} (is {} a state directory?)", dir.display())))
}

/// Every entry that can be read of the journal in `dir`. Reads the files only.
pub fn entries(dir: &Path) -> Result<Vec<Entry>, Failure> {
    Ok(all(&open(dir)?)?.0)
}

/// The entry at a position. Reads the files only.
pub fn at(dir: &Path, seq: u64) -> Result<Vec<Entry>, Failure> {
    Ok(open(dir)?.read_range(seq, 1).map_err(|e| Failure::failed(e.to_string()))?.entries)
}

/// Every entry that can be read, and how many places are damaged; the first of them are told on stderr.
pub(super) fn all(reader: &Reader) -> Result<(Vec<Entry>, u64), Failure> {
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
pub fn day(text: &str) -> Result<Time, Failure> {
    if let Ok(at) = Time::parse(text).or_else(|_| Time::parse(&format!("{text}T00:00:00Z"))) {
        return Ok(at);
    }
    match crate::text::parse_duration(text) {
        Ok(ago) => Ok(Time::from_ms(crate::sys::clock::now_ms()).minus(ago)),
        Err(_) => Err(Failure::usage(format!("\"{text}\" is no time: write 2026-11-01, an RFC 3339 time, or 90d"))),
    }
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
