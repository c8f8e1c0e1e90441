//! `mayday journal verify`, in words: what was checked, where the first fault is and what it leaves trustworthy, what was
//! redacted, and which messages hold proof against a record that was rewritten or cut. Reads files only, also a copy.

use std::path::Path;
use std::sync::Arc;

use super::exit::{self, Failure};
use super::{print, say};
use crate::journal::storage::{Disk, Storage};
use crate::journal::{Anchor, Redaction, Report, verify_all};
use crate::text::plural;

/// Sent heads that are listed for people; JSON has them all.
const LISTED: usize = 12;

pub fn run(dir: &Path, anchors: &[String], json: bool) -> Result<u8, Failure> {
    if anchors.iter().any(|a| a.len() < 8 || !a.bytes().all(|b| b.is_ascii_hexdigit())) {
        return Err(Failure::usage("--anchor takes at least the 8 hex digits that a message printed"));
    }
    let anchors: Vec<&str> = anchors.iter().map(String::as_str).collect();
    let storage = Arc::new(Disk::default()) as Arc<dyn Storage>;
    let report = verify_all(&storage, dir, &anchors).map_err(|e| Failure::failed(e.to_string()))?;
    match json {
        true => print(&value(&report))?,
        false => words(dir, &report).iter().for_each(|l| say(l)),
    }
    Ok(if report.is_whole() { exit::DONE } else { exit::FAILED })
}

fn anchor_words(anchor: &Anchor) -> String {
    match anchor {
        Anchor::Missing => "NOT FOUND: no entry ever had that head; the journal was rewritten or cut since".to_owned(),
        Anchor::Found(at) => at
            .iter()
            .map(|(seq, at)| {
                format!("found: it was the head after entry {seq} of {at}; nothing up to there was changed")
            })
            .collect::<Vec<_>>()
            .join("; "),
    }
}

fn value(report: &Report) -> serde_json::Value {
    let faults: Vec<_> = report.faults.iter().map(ToString::to_string).collect();
    let first = report.first_fault().map(|f| {
        serde_json::json!({
            "part": f.part, "line": f.line, "byte": f.byte, "why": f.why,
            "good_until": report.good_until, "good_again": report.good_again,
        })
    });
    let redacted = report.redactions.iter().map(|r| {
        serde_json::json!({
            "entry": r.seq, "by": r.who, "at": r.at, "why": r.why, "said_by": r.by, "done": r.done,
            "files": r.files, "places": r.places, "failed": r.failed,
        })
    });
    let anchors = report.anchors.iter().map(|(digits, a)| {
        let found: Vec<u64> = match a {
            Anchor::Missing => Vec::new(),
            Anchor::Found(at) => at.iter().map(|(seq, _)| *seq).collect(),
        };
        serde_json::json!({ "anchor": digits, "entries": found })
    });
    let sent = report.sent.iter().map(|s| {
        serde_json::json!({
            "message": s.message, "channel": s.channel, "at": s.at, "entry": s.seq, "head": s.head, "head_of": s.of,
        })
    });
    serde_json::json!({
        "whole": report.is_whole(), "entries": report.entries, "seq": report.head.seq,
        "head": report.head.hash.to_string(),
        "parts": report.parts.iter().map(|p| p.name.clone()).collect::<Vec<_>>(),
        "faults": faults, "faulty": report.faulty, "first_fault": first, "unfinished_bytes": report.unfinished,
        "redactions": report.redactions.len(), "redacted": redacted.collect::<Vec<_>>(), "gaps": report.gaps.len(),
        "anchor": report.anchor.as_ref().map(anchor_words), "anchors": anchors.collect::<Vec<_>>(),
        "sent_heads": sent.collect::<Vec<_>>(),
    })
}

fn words(dir: &Path, report: &Report) -> Vec<String> {
    let mut out = vec![
        format!("{}: {} entries in {}", dir.display(), report.entries, plural(report.parts.len(), "part")),
        "checked: every line reads, every payload has the digest its header names, every header the hash it claims,"
            .into(),
        "         and every entry names the hash of the one before, across all parts".into(),
    ];
    faults(report, &mut out);
    for gap in &report.gaps {
        out.push(format!(
            "gap      entry {}: nothing could be recorded from {} to {} ({}); {} kept, {} lost",
            gap.seq, gap.since, gap.until, gap.why, gap.kept, gap.lost
        ));
    }
    out.extend(report.redactions.iter().map(redaction));
    if report.unfinished > 0 {
        out.push(format!("note     {} bytes at the end are no whole line yet", report.unfinished));
    }
    out.push(format!("head     {} (entry {}, {})", report.head.hash.short(), report.head.seq, report.head.hash));
    for (digits, anchor) in &report.anchors {
        out.push(format!("anchor   {digits} {}", anchor_words(anchor)));
    }
    proof(report, &mut out);
    out.push(if report.is_whole() { "WHOLE".into() } else { "NOT WHOLE".into() });
    out
}

/// Where the first fault is, and what can be believed on either side of it.
fn faults(report: &Report, out: &mut Vec<String>) {
    for (i, fault) in report.faults.iter().enumerate() {
        out.push(format!("FAULT    {fault}"));
        if i > 0 {
            continue;
        }
        out.push(match report.good_until {
            0 => "         before it nothing is proven: it is at the very beginning".into(),
            last => format!(
                "         before it: entries up to {last} are as they were written, each follows on the one before"
            ),
        });
        out.push(match report.good_again {
            0 => "         behind it: nothing follows on again".into(),
            first => format!(
                "         behind the last fault: entries {first} to {} follow on one another; what was there between is not \
                 proven, and that it is the same record only as far as their hashes meet",
                report.head.seq
            ),
        });
        out.push(
            "         an unchanged copy (a mirror, a backup) shows what stood there: mayday journal verify --dir COPY"
                .into(),
        );
    }
    if report.faulty > report.faults.len() as u64 {
        out.push(format!("         and {} more", report.faulty - report.faults.len() as u64));
    }
}

fn redaction(r: &Redaction) -> String {
    let done = if r.done { "" } else { " (not carried out yet)" };
    let files = match r.files.as_slice() {
        [] => String::new(),
        files => format!(
            "; also at {} in {}",
            plural(usize::try_from(r.places).unwrap_or(usize::MAX), "place"),
            files.join(", ")
        ),
    };
    let failed =
        if r.failed.is_empty() { String::new() } else { format!("; NOT DESTROYED in {}", r.failed.join(", ")) };
    let what = if r.seq == 0 { "redacted files".to_owned() } else { format!("redacted entry {}", r.seq) };
    format!("{what} by {} at {} (entry {}): {}{done}{files}{failed}", r.who, r.at, r.by, r.why)
}

/// A tail that was cut cannot be seen from inside: what can be held against it.
fn proof(report: &Report, out: &mut Vec<String>) {
    out.push(
        "tail     entries cut from the end leave no trace in what is left, and whoever rewrites everything from some"
            .into(),
    );
    out.push(
        "         entry on leaves a chain that holds. What left the house shows it: each message ends with the head of"
            .into(),
    );
    out.push(
        "         the record as it was then (journal 9f3a12cd). A head that is not found with --anchor proves it."
            .into(),
    );
    if report.sent.is_empty() {
        out.push("         no message has gone out yet that holds one".into());
        return;
    }
    let skipped = report.sent.len().saturating_sub(LISTED);
    let more = if skipped > 0 { format!(" (the last {LISTED} of {})", report.sent.len()) } else { String::new() };
    out.push(format!("compare  with your mail and chat{more}; what is there and not here was cut or rewritten here:"));
    for sent in report.sent.iter().skip(skipped) {
        let of = match sent.of {
            Some(seq) => format!("after entry {seq}"),
            None => "NONE OF THE 20,000 ENTRIES BEFORE IT HAS THIS HEAD".into(),
        };
        out.push(format!("  {}  {}  {:<12} {}  {of}", sent.head, sent.at, sent.channel, sent.message));
    }
}
