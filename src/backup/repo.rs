//! Repositories of pgBackRest and WAL-G as a source: each of their backups is a copy, and their log continues it.
//!
//! What they list is complete by construction (a backup is entered last). Whether its files can still be read is shown
//! by restoring it: pgBackRest compares checksums then, WAL-G has none.

use super::log::{self, Begin};
use super::{Beat, Followed, Listed, Mark, Seen, Source};
use crate::config::{PitrLog, RepoSource};
use crate::domain::Time;
use crate::domain::backup::{Copy, Found, Reading};
use crate::sys::wal::{self, archive};
use crate::text;

/// A backup of a repository.
pub struct Known {
    pub id: String,
    pub begin: Begin,
    /// The part of the archive that its log is in; of pgBackRest.
    part: String,
    /// Seconds since 1970.
    stopped: i64,
    size: u64,
    /// It says of itself that pages failed their checksums.
    damaged: bool,
}

/// Where it is, in words.
pub fn place(log: &PitrLog) -> String {
    match log {
        PitrLog::Folder(path) => path.display().to_string(),
        PitrLog::PgBackRest { stanza, .. } => format!("pgbackrest stanza {stanza}"),
        PitrLog::WalG { config } => format!("wal-g {}", text::clean(&config.display().to_string())),
    }
}

/// The backups of a repository, oldest first; of a folder none.
pub fn begins(source: &archive::Source) -> Result<Vec<Known>, String> {
    let begin = |timeline, start, end| Begin { timeline, start, end: Some(end), ..Begin::default() };
    Ok(match source {
        archive::Source::Folder(_) => Vec::new(),
        archive::Source::PgBackRest(repo) => {
            let known = repo.backups()?.into_iter().map(|b| {
                let timeline = wal::parse_segment(&b.first_segment, wal::SEGMENT).map_or(1, |(t, _)| t);
                Known {
                    begin: begin(timeline, b.start, b.end),
                    id: b.label,
                    part: b.archive_id,
                    stopped: b.stopped,
                    size: b.size,
                    damaged: b.damaged,
                }
            });
            known.collect()
        }
        archive::Source::WalG(walg) => {
            let known = walg.backups()?.into_iter().map(|b| Known {
                begin: begin(b.timeline, b.start, b.end),
                id: b.name,
                part: String::new(),
                stopped: b.stopped,
                size: b.size,
                damaged: false,
            });
            known.collect()
        }
    })
}

/// Turns a source to the part of the archive that a backup's log is in, and says which.
pub fn part_of(source: &mut archive::Source, known: &[Known], id: &str) -> String {
    let part = known.iter().find(|k| k.id == id).map(|k| k.part.clone()).unwrap_or_default();
    if let archive::Source::PgBackRest(repo) = source {
        repo.archive_id.clone_from(&part);
    }
    part
}

/// A repository.
pub struct Repository {
    source: RepoSource,
}

impl Repository {
    pub fn new(source: &RepoSource) -> Self {
        Repository { source: source.clone() }
    }

    fn tool(&self) -> &'static str {
        self.source.log.tool().unwrap_or("folder")
    }

    fn seen(&self, known: &Known) -> Seen {
        let tool = self.tool();
        let copy = Copy {
            id: text::clean(&known.id).into_owned(),
            place: format!("{tool}:{}", text::clean(&known.id)),
            taken_at: Time::from_ms(known.stopped.saturating_mul(1000)),
            size: known.size,
            format: format!("{tool} backup"),
            ..Copy::default()
        };
        let reading = Reading::Cannot(format!("{tool} reads it when it restores"));
        let fault = known.damaged.then(|| format!("{tool} says that pages in it are damaged"));
        let unsized_ = known.size == 0;
        let number = |from: &[u8]| {
            from.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
        };
        let mark = Mark([number(known.id.as_bytes()), known.stopped.cast_unsigned(), known.size, 0]);
        Seen { found: Found { copy, fault, reading, unsized_, ..Found::default() }, mark }
    }
}

impl Source for Repository {
    fn place(&self) -> String {
        place(&self.source.log)
    }

    fn lane(&self) -> String {
        self.place()
    }

    fn list(&self, kept: usize, beat: &Beat) -> Result<Listed, String> {
        let failed = |why: String| format!("{} cannot be listed: {why}", self.place());
        let mut source = log::place_of(&self.source.log, self.source.user.as_deref()).map_err(failed)?;
        let known = begins(&source).map_err(failed)?;
        beat.tick();
        let mut listed = Listed { count: known.len() as u64, ..Listed::default() };
        listed.bytes = known.iter().map(|k| k.size).sum();
        let mut log: Option<(String, Result<archive::Listing, String>)> = None;
        for (rank, backup) in known.iter().rev().take(kept).enumerate() {
            let mut seen = self.seen(backup);
            if rank < log::FOLLOWED && !beat.tick() {
                let part = part_of(&mut source, &known, &backup.id);
                if log.as_ref().is_none_or(|(of, _)| *of != part) {
                    log = Some((part, source.list()));
                }
                seen.found.log = match &log {
                    Some((_, Ok(listing))) => {
                        let (found, fault) = log::follow(&source, listing, &backup.begin);
                        seen.found.fault = seen.found.fault.take().or(fault);
                        Some(found)
                    }
                    Some((_, Err(why))) => Some(log::unknown(why)),
                    None => None,
                };
            }
            listed.copies.push(seen);
        }
        Ok(listed)
    }

    /// Only its program knows when there is something new.
    fn follow(&self) -> Option<Followed> {
        None
    }

    fn read(&self, copy: &Seen, _: &Beat) -> Option<Result<Reading, String>> {
        Some(Ok(copy.found.reading.clone()))
    }
}
