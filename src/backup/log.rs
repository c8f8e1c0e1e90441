//! The archived log beside base backups: how far does it continue each of them without a gap?
//!
//! Told by names, sizes and dates alone, once in every look; nothing of the log is read but the histories of timelines.
//! That is what the age of a set for restores to a moment is made of.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::files::Files;
use super::{Beat, Followed, Listed, Mark, Seen, Source};
use crate::config::{PitrLog, PitrRestore};
use crate::domain::Time;
use crate::domain::backup::{LogFound, Reading};
use crate::sys::proc;
use crate::sys::wal::archive::{self, Listing};
use crate::sys::wal::chain::{self, Log};
use crate::sys::wal::repo::Repo;
use crate::sys::wal::scan::Head;
use crate::sys::wal::user::User;
use crate::sys::wal::walg::WalG;
use crate::sys::wal::{self, Lsn, label};

/// Base backups whose log is followed, the newest first.
pub const FOLLOWED: usize = 5;
/// For finding where base backups begin.
const LABELS: Duration = Duration::from_secs(20);

/// Where a base backup begins and ends.
#[derive(Clone, Debug, Default)]
pub struct Begin {
    pub timeline: u32,
    pub start: Lsn,
    pub end: Option<Lsn>,
    /// What it brings along itself.
    pub own: Listing,
}

/// Where log is kept, as a configuration has it. Errors: why it cannot be asked.
pub fn place_of(log: &PitrLog, user: Option<&str>) -> Result<archive::Source, String> {
    let which = |tool: &str| {
        let found = std::env::var_os("PATH").and_then(|path| proc::which(tool, path));
        found.ok_or_else(|| format!("there is no {tool} on this host: install it"))
    };
    Ok(match log {
        PitrLog::Folder(path) => archive::Source::Folder(path.clone()),
        PitrLog::PgBackRest { stanza, config, repo } => archive::Source::PgBackRest(Repo {
            tool: which("pgbackrest")?,
            stanza: stanza.clone(),
            config: config.clone(),
            repo: *repo,
            user: User::choose(user)?,
            archive_id: String::new(),
        }),
        PitrLog::WalG { config } => {
            archive::Source::WalG(WalG { tool: which("wal-g")?, config: config.clone(), user: User::choose(user)? })
        }
    })
}

/// Nothing is known of the log, and why.
pub fn unknown(why: &str) -> LogFound {
    LogFound { unknown: Some(crate::text::clean(why).into_owned()), ..LogFound::default() }
}

/// Tells of one base backup how far the log continues it; and what is wrong with it when the log does not even make it
/// consistent.
pub fn follow(source: &archive::Source, listing: &Listing, begin: &Begin) -> (LogFound, Option<String>) {
    let log = Log { source, archive: listing, own: &begin.own };
    let way = match log.way(begin.timeline, begin.end.unwrap_or(begin.start), None, &mut Vec::new()) {
        Ok(way) => way,
        Err(why) => return (unknown(&why), None),
    };
    let size = segment_size(&log, begin);
    let first = begin.start.segment(size);
    let chain = log.chain(&way, first, size);
    let newest = chain::name(&way, chain.newest, size);
    let Some(last) = chain.last else {
        let name = chain::name(&way, first, size);
        let fault = format!("its log is not in {}: {name} is missing, with which it begins", source.shown());
        return (LogFound::default(), Some(fault));
    };
    if let Some(end) = begin.end
        && end.last_segment(size) > last
    {
        let name = chain.missing.first().cloned().unwrap_or_else(|| chain::name(&way, last + 1, size));
        let fault = format!("{name} is missing in {}, without which it is not consistent", source.shown());
        return (LogFound { gap: chain.gap(&newest), ..LogFound::default() }, Some(fault));
    }
    let at = log.find(&way, last, size).map_or(0, |stored| stored.modified);
    let found = LogFound {
        last: Some((chain::name(&way, last, size), Time::from_ms(at.saturating_mul(1000)))),
        gap: chain.gap(&newest),
        unknown: None,
    };
    (found, None)
}

/// The size of the segments: it stands in the first one, and nearly always is the usual one.
fn segment_size(log: &Log<'_>, begin: &Begin) -> u64 {
    let there = |size: u64| {
        let name = wal::segment_name(begin.timeline, begin.start.segment(size), size);
        log.archive.segments.get(&name).or_else(|| log.own.segments.get(&name))
    };
    if there(wal::SEGMENT).is_some() {
        return wal::SEGMENT;
    }
    let stated = |size: u64| {
        let mut page = [0; 64];
        log.source.open(there(size)?).and_then(|mut from| from.read_exact(&mut page)).ok()?;
        Head::parse(&page).map(|head| head.segment_size)
    };
    (20..=30).map(|n| 1u64 << n).find(|size| stated(*size) == Some(*size)).unwrap_or(wal::SEGMENT)
}

/// Base backups that lie as files or folders, with their log.
pub struct WithLog {
    files: Files,
    how: PitrRestore,
    begins: Mutex<HashMap<Mark, Option<Begin>>>,
}

impl WithLog {
    pub fn new(files: Files, how: &PitrRestore) -> Self {
        WithLog { files, how: how.clone(), begins: Mutex::default() }
    }

    fn look(&self, copies: &mut [Seen], beat: &Beat) {
        let mut known = std::mem::take(&mut *self.begins.lock().unwrap_or_else(PoisonError::into_inner));
        known.retain(|mark, _| copies.iter().any(|c| c.mark == *mark));
        let place = place_of(&self.how.log, self.how.user.as_deref());
        let told = place.and_then(|mut source| {
            // Of pgBackRest the log of one backup may lie elsewhere than that of another: asked once for each.
            let begins = super::repo::begins(&source)?;
            let mut listed: HashMap<String, Listing> = HashMap::new();
            for seen in copies.iter_mut() {
                if beat.tick() {
                    break;
                }
                let id = seen.found.copy.id.rsplit('/').next().unwrap_or_default().to_owned();
                let begin = match &source {
                    archive::Source::Folder(_) => known.entry(seen.mark).or_insert_with(|| begin_of(seen)).clone(),
                    _ => begins.iter().find(|b| b.id == id).map(|b| b.begin.clone()),
                };
                let Some(begin) = begin else { continue };
                let key = super::repo::part_of(&mut source, &begins, &id);
                let listing = match listed.entry(key) {
                    std::collections::hash_map::Entry::Occupied(there) => there.into_mut(),
                    std::collections::hash_map::Entry::Vacant(free) => free.insert(source.list()?),
                };
                let (found, fault) = follow(&source, listing, &begin);
                seen.found.fault = seen.found.fault.take().or(fault);
                seen.found.log = Some(found);
            }
            Ok(())
        });
        if let Err(why) = told {
            for seen in copies {
                seen.found.log = Some(unknown(&why));
            }
        }
        *self.begins.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }
}

fn begin_of(seen: &Seen) -> Option<Begin> {
    use std::os::unix::ffi::OsStrExt;
    let bytes = seen.found.copy.path_bytes();
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(&bytes));
    let (label, own) = label::find(path, Instant::now() + LABELS)?;
    Some(Begin { timeline: label.timeline, start: label.start, end: None, own })
}

impl Source for WithLog {
    fn place(&self) -> String {
        self.files.place()
    }

    fn lane(&self) -> String {
        self.files.lane()
    }

    fn list(&self, kept: usize, beat: &Beat) -> Result<Listed, String> {
        let mut listed = self.files.list(kept, beat)?;
        let most = listed.copies.len().min(FOLLOWED);
        if let Some(newest) = listed.copies.get_mut(..most) {
            self.look(newest, beat);
        }
        Ok(listed)
    }

    fn follow(&self) -> Option<Followed> {
        self.files.follow()
    }

    fn read(&self, copy: &Seen, beat: &Beat) -> Option<Result<Reading, String>> {
        self.files.read(copy, beat)
    }
}
