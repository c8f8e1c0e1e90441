//! Log that cannot be read on in its middle. Nothing tells before it is replayed; what a replay found out is said, with the
//! nearest target that remains, and kept in the run's folder, so that the next plan does not promise the same again.

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::archive::{Listing, Source, Stored};
use super::target::{self, Target};
use super::wal::{self, Lsn};
use super::window::{Latest, Window};
use super::{Job, server};
use crate::recovery::op::OpContext;
use crate::sys::disk;
use crate::text;

const FILE: &str = "damaged-log.json";

/// A segment that cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    pub segment: String,
    /// SHA-256 of what is in it; `None` when it cannot be read to its end. Another one is another file: replaced, perhaps
    /// by a good one.
    pub digest: Option<String>,
    /// Where the last record that was replayed begins.
    pub at: Lsn,
    /// The last transaction that was replayed, in microseconds since 1970.
    pub moment: Option<i64>,
}

/// How far a replay came that ended before its target, by what the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ended {
    at: Lsn,
    moment: Option<i64>,
    /// What was wrong behind that, and the segment and position that were named with it.
    fault: Option<String>,
    segment: Option<String>,
    position: Option<Lsn>,
}

/// What can still be reached after a server ended before its target, in words; and kept for the next plan. `None` when the
/// server does not say how far it came. Blocks.
pub fn explain(job: &Job, ctx: &OpContext) -> Option<String> {
    let ended = read(&server::said(&job.side))?;
    let listing = job.source.list().unwrap_or_default();
    let segment = ended.segment.clone().or_else(|| {
        let number = ended.position?.segment(job.segment_size);
        let there = listing.segments.keys().filter(|name| {
            wal::parse_segment(name, job.segment_size).is_some_and(|(t, n)| n == number && t <= job.timeline)
        });
        there.max().cloned()
    });
    let mut said = format!("the last record that could be replayed is at {}", ended.at);
    if let (Some(segment), Some(fault)) = (&segment, &ended.fault) {
        said.push_str(&format!("; behind it {segment} is damaged ({})", text::clean(fault)));
    }
    let of = ended.moment.map_or_else(|| "before any later transaction".into(), |m| format!("of {}", target::shown(m)));
    said.push_str(&format!(": the nearest target is lsn:{}, {of}", ended.at));
    let Some(stored) = segment.as_ref().and_then(|s| listing.segments.get(s)) else { return Some(said) };
    let segment = segment.unwrap_or_default();
    said.push_str(&format!("; to reach more, look for another copy of {segment}"));
    let digest = digest(&job.source, stored, job.segment_size);
    let damage = Damage { segment, digest, at: ended.at, moment: ended.moment };
    let bytes = serde_json::to_vec(&damage).unwrap_or_default();
    if let Err(e) = disk::write_atomic(&ctx.dir.join(FILE), &bytes, 0o600) {
        ctx.sink.line(&format!("what is damaged could not be kept for the next plan: {e}"));
    }
    Some(said)
}

/// What the replay of a run found, by its folder.
pub fn found_by(run_folder: &Path) -> Option<Damage> {
    serde_json::from_slice(&std::fs::read(run_folder.join(FILE)).ok()?).ok()
}

fn digest(source: &Source, stored: &Stored, size: u64) -> Option<String> {
    let mut sha = Sha256::new();
    let mut from = source.open(stored).ok()?.take(size);
    let mut piece = vec![0; 1 << 16];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Some(hex::encode(sha.finalize())),
            Ok(n) => sha.update(piece.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

/// Takes the end of the server's log apart: startup.c and xlogrecovery.c, in their English.
fn read(lines: &[String]) -> Option<Ended> {
    let last = lines.iter().rposition(|l| l.contains("starting PostgreSQL ")).unwrap_or(0);
    let lines = lines.get(last..).unwrap_or_default();
    let after = |mark: &str| lines.iter().rev().find_map(|l| l.split_once(mark).map(|(_, rest)| rest.trim()));
    let word = |text: &str| text.split([' ', ',', ':', ';']).next().unwrap_or_default().to_owned();
    let at = Lsn::parse(&word(after("redo done at ")?))?;
    let moment = after("last completed transaction was at log time ").and_then(|text| match target::parse(text) {
        Ok(asked) => match asked.target {
            Target::Time(t) => Some(t),
            _ => None,
        },
        Err(_) => None,
    });
    let about = |line: &&String| {
        let of_log = ["record at ", "record length at ", "log segment ", "WAL segment ", "prev-link ", "contrecord"];
        line.contains("LOG:  ") && !line.contains("redo ") && of_log.iter().any(|w| line.contains(w))
    };
    let fetched = lines.iter().rev().find_map(|l| l.strip_prefix("fetch-wal: "));
    let fault = lines.iter().rev().find(about).and_then(|l| l.split_once("LOG:  ").map(|(_, m)| m)).or(fetched);
    let position = fault.and_then(|f| f.split_once(" at ")).and_then(|(_, rest)| Lsn::parse(&word(rest)));
    let segment = fault.and_then(segment_in);
    Some(Ended { at, moment, fault: fault.map(str::to_owned), segment, position })
}

/// The first name of a segment in a text.
fn segment_in(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|w| wal::parse_segment(w, wal::SEGMENT).is_some()).map(str::to_owned).next()
}

impl Window {
    /// Ends it where an earlier replay could not go on, if the log is still the one that it met. Blocks. Errors: nothing
    /// can be reached any more, and what to do.
    pub fn without(mut self, known: &[Damage], source: &Source, listing: &Listing) -> Result<Window, String> {
        for damage in known {
            let Some((timeline, number)) = wal::parse_segment(&damage.segment, self.segment_size) else { continue };
            let on_the_way = (self.first..=self.last).contains(&number)
                && self.way.timelines_of(number, self.segment_size).any(|t| t == timeline);
            let Some(stored) = listing.segments.get(&damage.segment).filter(|_| on_the_way) else { continue };
            if damage.at >= self.last_record || digest(source, stored, self.segment_size) != damage.digest {
                continue;
            }
            if damage.at < self.end {
                return Err(format!(
                    "{} is damaged behind {}, as an earlier replay found, and the base backup needs the log up to {} to be \
                     consistent: look for another copy of that segment, or choose another base backup",
                    damage.segment, damage.at, self.end
                ));
            }
            self.last = number;
            (self.last_ended, self.last_record, self.log_end) = (Some(damage.at), damage.at, damage.at);
            self.latest = Latest::Read(damage.moment.unwrap_or(self.earliest).max(self.earliest));
            self.damaged = Some(format!(
                "{} is damaged behind {}, as an earlier replay found: the log behind that cannot be used until another copy of \
                 that segment is put there",
                damage.segment, damage.at
            ));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<Ended> {
        read(&text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn how_far_it_came_is_read_from_what_the_server_said() {
        // PostgreSQL 15 and 16, times of day and pids left out.
        let text = "LOG:  starting PostgreSQL 15.18\nLOG:  redo done at 0/1000000 system usage\n\
                    LOG:  starting PostgreSQL 15.18\nLOG:  restored log file \"000000010000000000000004\" from archive\n\
                    LOG:  incorrect resource manager data checksum in record at 0/4000148\n\
                    LOG:  redo done at 0/4000110 system usage: CPU: user: 0.00 s\n\
                    LOG:  last completed transaction was at log time 2026-11-20 02:14:07.318204+00\n\
                    FATAL:  recovery ended before configured recovery target was reached\n";
        let ended = told(text).unwrap();
        assert_eq!((ended.at, ended.position), (Lsn(0x400_0110), Some(Lsn(0x400_0148))));
        assert_eq!((ended.moment, ended.segment), (Some(1_795_140_847_318_204), None));
        let text = "LOG:  invalid magic number 0000 in WAL segment 000000010000000000000005, LSN 0/5000000, offset 0\n\
                    LOG:  redo done at 0/4FFFFC8 system usage\n";
        let ended = told(text).unwrap();
        assert_eq!((ended.segment.as_deref(), ended.moment), (Some("000000010000000000000005"), None));
        let text =
            "fetch-wal: /wal/000000010000000000000006.gz cannot be read to its end\nLOG:  redo done at 0/5000028\n";
        assert_eq!(told(text).unwrap().segment.as_deref(), Some("000000010000000000000006"));
        assert_eq!(told("FATAL:  could not open file\n"), None);
    }
}
