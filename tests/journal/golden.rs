//! Lines that were written once must stay readable for ever. The files under tests/golden/journal are never changed; a new
//! version of the line gets a file of its own beside them.

use std::path::{Path, PathBuf};

use mayday::domain::event::Event;
use mayday::journal::{Anchor, Reader, verify};
use sha2::{Digest, Sha256};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journal").join(name)
}

fn sha256(pieces: &[&str]) -> String {
    let mut sha = Sha256::new();
    pieces.iter().for_each(|piece| sha.update(piece));
    hex::encode(sha.finalize())
}

#[test]
fn version_1_is_read_as_it_was_meant() {
    let path = file("v1.jsonl");
    let report = verify(&path, None).unwrap();
    assert!(report.is_whole(), "{:?}", report.faults);
    assert_eq!((report.entries, report.redactions.len(), report.gaps.len()), (9, 1, 1));
    assert_eq!(report.head.hash.to_string(), include_str!("../golden/journal/v1.head").trim());
    let anchored = verify(&path, Some(report.head.hash.short())).unwrap();
    assert!(matches!(anchored.anchor, Some(Anchor::Found(at)) if at[0].0 == 9));

    let reader = Reader::open(&path).unwrap();
    let mut told = String::new();
    for entry in reader.entries(1).unwrap() {
        let e = entry.unwrap();
        let known = if matches!(e.event, Event::Unknown { .. }) { "kept raw" } else { "known" };
        let incident = e.incident.as_deref().unwrap_or("-");
        told += &format!(
            "{} {} {} {} {} {} {incident} {} {known} {}\n",
            e.seq,
            e.at,
            e.boot_ms,
            e.boot,
            e.host,
            serde_json::to_string(&e.actor).unwrap(),
            e.event.kind(),
            e.event.payload()
        );
    }
    let wanted = include_str!("../golden/journal/v1.read");
    assert_eq!(told, wanted, "this is what is read now:\n{told}");
}

/// The format as its description has it, held against the file without mayday's own code.
#[test]
fn version_1_verifies_by_its_description_alone() {
    let text = std::fs::read_to_string(file("v1.jsonl")).unwrap();
    let mut prev = "0".repeat(64);
    for (i, line) in text.lines().enumerate() {
        let (header, rest) = line.split_once(",\"hash\":\"").unwrap();
        let (hash, rest) = rest.split_once("\",\"salt\":").unwrap();
        let (salt, payload) = rest.split_once(",\"payload\":").unwrap();
        let payload = payload.strip_suffix('}').unwrap();
        assert!(header.starts_with(&format!("{{\"v\":1,\"seq\":{},", i + 1)));
        let digest = &header[header.len() - 65..header.len() - 1];
        assert!(header.ends_with(&format!(",\"prev\":\"{prev}\",\"digest\":\"{digest}\"")));
        assert_eq!(hash, sha256(&[&prev, header]));
        match salt.trim_matches('"') {
            "null" => assert_eq!(payload, "{\"redacted\":8}"),
            salt => assert_eq!(digest, sha256(&[salt, payload])),
        }
        prev = hash.to_owned();
    }
}
