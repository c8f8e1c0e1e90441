//! `mayday evidence`: keeping what shows that something was so, and looking at it later.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::args::{About, EvidenceCmd};
use super::exit::Failure;
use super::incident::warn_unrecorded;
use super::timeline::Source;
use super::{Place, Session, connect, print, say};
use crate::domain::sift::Sift;
use crate::domain::timeline::Row;
use crate::text;
use crate::wire::upload::{self, too_large};
use crate::wire::{Answer, Client, EVIDENCE_LIMIT, EvidenceAsk, EvidenceSource, Find, Handed};

/// How often it is handed over when engines die over it.
const TRIES: u32 = 3;

/// What adds evidence.
pub async fn add(session: &mut Session, command: EvidenceCmd) -> Result<u8, Failure> {
    let (about, source, bytes) = match command {
        EvidenceCmd::Add { file, about } => {
            let (name, bytes) = read(&file)?;
            (about, EvidenceSource::Upload { upload: String::new(), name }, bytes)
        }
        EvidenceCmd::Output { run, lines, about } => {
            let lines = lines.map(|l| range(&l).ok_or_else(|| no_range(&l))).transpose()?;
            (about, EvidenceSource::Output { run, lines }, Vec::new())
        }
        EvidenceCmd::List { .. } | EvidenceCmd::Show { .. } => {
            return Err(Failure::failed("this command only looks and was not dispatched"));
        }
    };
    let About { title, about, incident } = about;
    let ask = EvidenceAsk { incident, about, title, source, bytes: Handed::default() };
    let key = Client::key_for(&crate::wire::Ask::Evidence(ask.clone()));
    let mut tries = TRIES;
    let answer = loop {
        tries -= 1;
        match upload::evidence(&mut session.client, "command", key.clone(), &bytes, ask.clone()).await {
            Err(e) if tries > 0 && super::is_broken(&e) => {
                let client = connect::attach(&session.place, "command", session.client.access).await?;
                if client.state != session.client.state {
                    return Err(Failure::failed("lost before an answer came, and another record is kept there now"));
                }
                session.client = client;
            }
            answer => break answer?,
        }
    };
    match answer {
        Answer::Refused(refusal) => Err(refusal.into()),
        Answer::Failed { reason } => Err(Failure::failed(reason)),
        answer if session.json => {
            print(&answer)?;
            Ok(0)
        }
        Answer::Done { seq, recorded, .. } => {
            say(&seq.to_string());
            warn_unrecorded(recorded);
            Ok(0)
        }
        _ => Err(Failure::failed("the engine gave an answer that does not fit")),
    }
}

/// A file's name and bytes, or those of standard input.
pub fn read(file: &Path) -> Result<(String, Vec<u8>), Failure> {
    let large = |size: u64| too_large(size).map(|why| Failure::usage(format!("{}: {why}", file.display())));
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().take(EVIDENCE_LIMIT + 1).read_to_end(&mut bytes)?;
        if let Some(no) = large(bytes.len() as u64) {
            return Err(no);
        }
        let name = if std::str::from_utf8(&bytes).is_ok() { "stdin.txt" } else { "stdin.bin" };
        return Ok((name.to_owned(), bytes));
    }
    let failed = |e: std::io::Error| Failure::failed(format!("read {}: {e}", file.display()));
    let open = std::fs::File::open(file).map_err(failed)?;
    let meta = open.metadata().map_err(failed)?;
    if meta.is_dir() {
        return Err(Failure::usage(format!("{} is a folder: pack it into one file first", file.display())));
    }
    if let Some(no) = large(meta.len()) {
        return Err(no);
    }
    // It may grow meanwhile.
    open.take(EVIDENCE_LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    match large(bytes.len() as u64) {
        Some(no) => Err(no),
        None => Ok((file.file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes)),
    }
}

/// `120-160`, or one line.
fn range(said: &str) -> Option<(u64, u64)> {
    let (first, last) = said.split_once('-').unwrap_or((said, said));
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
}

fn no_range(said: &str) -> Failure {
    Failure::usage(format!("\"{said}\" are no lines: write 120-160"))
}

/// What only looks: `list`, `show`.
pub async fn look(place: &Place, command: &EvidenceCmd, json: bool) -> Result<u8, Failure> {
    let mut source = Source::open(place, json).await?;
    match command {
        EvidenceCmd::Show { entry } => {
            let find = Find { entries: vec![*entry], whole: true, ..Find::default() };
            let rows = source.find(find).await?;
            let Some(row) = rows.first().filter(|r| r.kind == "evidence.added") else {
                return Err(Failure::usage(format!("entry {entry} is no evidence: mayday evidence list shows them")));
            };
            let file = file_of(place, row);
            let standing = standing(&file, field(row, "digest"));
            if json {
                print(&serde_json::json!({ "entry": row, "file": file, "standing": standing.word() }))?;
            } else {
                say(&format!("{}  [{}]", field(row, "title"), row.seq));
                say(&format!("{} by {}{}", row.at, row.actor, of_incident(row)));
                for about in &row.about {
                    say(&format!("for entry {about}"));
                }
                say(&format!("{}  {}  {}", field(row, "what"), size(row), file.display()));
                say(&format!("sha256 {}", field(row, "digest")));
                if masked(row) {
                    say("secrets were masked in it before it was kept");
                }
                say(standing.said());
                for line in field(row, "excerpt").lines() {
                    say(&format!("  {line}"));
                }
            }
            Ok(if standing == Standing::Changed || standing == Standing::Gone { super::exit::FAILED } else { 0 })
        }
        EvidenceCmd::List { incident } => {
            let only = Sift { kinds: vec!["evidence.added".into()], ..Sift::default() };
            let find = Find { incident: incident.clone(), only, whole: true, ..Find::default() };
            let rows = source.find(find).await?;
            if json {
                print(&rows)?;
                return Ok(0);
            }
            if rows.is_empty() {
                say("no evidence was added");
            }
            for row in &rows {
                let about = row.about.iter().map(|seq| format!(" for entry {seq}")).collect::<String>();
                say(&format!(
                    "[{}]  {}  {:<13} {:>7}  {}{about}  ({})",
                    row.seq,
                    row.at,
                    row.incident.as_deref().unwrap_or_default(),
                    size(row),
                    text::clean(field(row, "title")),
                    field(row, "file")
                ));
            }
            Ok(0)
        }
        _ => Err(Failure::failed("this command needs an engine")),
    }
}

fn field<'a>(row: &'a Row, name: &str) -> &'a str {
    row.fields.as_ref().and_then(|f| f.get(name)).and_then(serde_json::Value::as_str).unwrap_or_default()
}

fn masked(row: &Row) -> bool {
    row.fields.as_ref().and_then(|f| f.get("masked")).and_then(serde_json::Value::as_bool).unwrap_or(false)
}

fn size(row: &Row) -> String {
    let size = row.fields.as_ref().and_then(|f| f.get("size")).and_then(serde_json::Value::as_u64);
    size.map(text::size).unwrap_or_default()
}

fn of_incident(row: &Row) -> String {
    row.incident.as_ref().map(|id| format!(" for {id}")).unwrap_or_default()
}

fn file_of(place: &Place, row: &Row) -> std::path::PathBuf {
    let incident = row.incident.as_deref().unwrap_or_default();
    place.state_dir.join("incidents").join(incident).join(field(row, "file"))
}

/// What became of the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Same,
    Changed,
    Gone,
    Unreadable,
}

impl Standing {
    const fn word(self) -> &'static str {
        match self {
            Standing::Same => "same",
            Standing::Changed => "changed",
            Standing::Gone => "gone",
            Standing::Unreadable => "unreadable",
        }
    }

    const fn said(self) -> &'static str {
        match self {
            Standing::Same => "the file is what was recorded: its digest is the same",
            Standing::Changed => "THE FILE HAS CHANGED since it was recorded: its digest is another",
            Standing::Gone => "THE FILE IS GONE",
            Standing::Unreadable => "the file cannot be read from here",
        }
    }
}

fn standing(file: &Path, digest: &str) -> Standing {
    match std::fs::read(file) {
        Ok(bytes) if hex::encode(Sha256::digest(&bytes)) == digest => Standing::Same,
        Ok(_) => Standing::Changed,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Standing::Gone,
        Err(_) => Standing::Unreadable,
    }
}
