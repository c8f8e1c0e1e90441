//! Looking at base backups and the archived log: which of the copies reaches the moment that was asked for?

use std::time::{Duration, Instant};

use super::super::format;
use super::super::pitr::archive::{self, Listing, Source};
use super::super::pitr::base::{self, Base, Layout};
use super::super::pitr::damage::Damage;
use super::super::pitr::pick::Chosen;
use super::super::pitr::repo::Repo;
use super::super::pitr::target::{Asked, Target};
use super::super::pitr::user::User;
use super::super::pitr::wal::{self, walg::WalG};
use super::super::pitr::window::{self, Log, Window};
use crate::config::{PitrLog, PitrRestore};
use crate::domain::backup::Copy;
use crate::recovery::plan::look::Tools;

/// For all of it.
const LIMIT: Duration = Duration::from_secs(25);
/// Base backups looked at for one that is early enough.
const MOST: usize = 30;

/// A base backup, and what can be reached from it.
pub struct Found {
    pub copy: Copy,
    pub source: Source,
    pub base: Result<Base, String>,
    pub window: Result<Window, String>,
    pub chosen: Result<Chosen, String>,
    pub segments: usize,
    pub bytes: u64,
    pub endings: Vec<String>,
    /// A file of the archive, to look at its rights.
    pub sample: Option<String>,
    /// Newer base backups that were passed over, with why.
    pub passed: Vec<(String, String)>,
}

/// What is looked for.
#[derive(Clone)]
pub struct Wanted {
    /// Newest first; all of them if there is no choice.
    pub copies: Vec<Copy>,
    pub asked: Asked,
    /// Microseconds since 1970.
    pub now: i64,
    /// What earlier replays found that cannot be read on.
    pub damaged: Vec<Damage>,
}

/// Where the log is, as far as it can be told without asking.
pub fn source(how: &PitrRestore, user: &User, tools: &Tools) -> Result<Source, String> {
    match &how.log {
        PitrLog::Folder(path) => Ok(Source::Folder(path.canonicalize().unwrap_or_else(|_| path.clone()))),
        PitrLog::PgBackRest { stanza, config, repo } => {
            let tool = tools.which("pgbackrest").ok_or("there is no pgbackrest on this host: install it")?;
            Ok(Source::PgBackRest(Repo {
                tool,
                stanza: stanza.clone(),
                config: config.clone(),
                repo: *repo,
                user: user.clone(),
                archive_id: String::new(),
            }))
        }
        PitrLog::WalG { config } => {
            let tool = tools.which("wal-g").ok_or("there is no wal-g on this host: install it")?;
            if !config.is_file() {
                return Err(format!("{} is no file: name the configuration file of WAL-G", config.display()));
            }
            Ok(Source::WalG(WalG { tool, config: config.clone(), user: user.clone() }))
        }
    }
}

/// Looks; blocks for at most some seconds, dead file systems aside.
pub fn explore(source: &Source, wanted: &Wanted) -> Result<Found, String> {
    let until = Instant::now() + LIMIT;
    let (known, of_walg) = match source {
        Source::PgBackRest(repo) => (repo.backups()?, Vec::new()),
        Source::WalG(walg) => (Vec::new(), walg.backups()?),
        Source::Folder(_) => Default::default(),
    };
    let mut listed: Option<(String, Listing)> = None;
    let mut passed = Vec::new();
    let mut last: Option<Found> = None;
    for copy in wanted.copies.iter().take(MOST) {
        let mut source = source.clone();
        let base = match &mut source {
            Source::Folder(_) => base::look(&format::path_of(copy), until),
            Source::WalG(walg) => {
                let label = label_of(copy);
                match of_walg.iter().find(|b| b.name == label) {
                    None => Err(format!("WAL-G knows no backup {label} in {}", walg.config.display())),
                    // Where its tablespaces lay on the live host must be known: WAL-G would write there.
                    Some(b) => walg.spaces(&label).map(|spaces| base::of_walg(b, spaces)),
                }
            }
            Source::PgBackRest(repo) => {
                let label = label_of(copy);
                match known.iter().find(|b| b.label == label) {
                    None => Err(format!("pgbackrest knows no backup {label} in stanza {}", repo.stanza)),
                    Some(b) if b.damaged => {
                        Err(format!("pgbackrest says that pages in {label} are damaged: choose another copy"))
                    }
                    Some(b) => {
                        repo.archive_id.clone_from(&b.archive_id);
                        let timeline = wal::parse_segment(&b.first_segment, 1 << 24).map_or(1, |(t, _)| t);
                        Ok(base::of_repo(b, timeline))
                    }
                }
            }
        };
        // One listing serves all of one archive.
        let key = match &source {
            Source::PgBackRest(repo) => repo.archive_id.clone(),
            Source::Folder(_) | Source::WalG(_) => String::new(),
        };
        if listed.as_ref().is_none_or(|(k, _)| *k != key) && base.is_ok() {
            listed = Some((key, source.list()?));
        }
        let empty = Listing::default();
        let listing = listed.as_ref().map_or(&empty, |(_, l)| l);
        let found = one(copy, source, base, listing, wanted, until);
        match (&found.chosen, &found.window) {
            (Ok(_), _) => return Ok(Found { passed, ..found }),
            // It begins early enough: what is missing behind it no earlier copy has.
            (Err(_), Ok(window)) if !is_before(&wanted.asked.target, window) => return Ok(Found { passed, ..found }),
            (Err(why), _) => {
                passed.push((copy.id.clone(), why.clone()));
                last = Some(found);
            }
        }
        if Instant::now() > until {
            break;
        }
    }
    last.map(|found| Found { passed, ..found }).ok_or_else(|| "there is no base backup to look at".to_owned())
}

/// What a tool calls a copy: the last part of its name.
fn label_of(copy: &Copy) -> String {
    copy.id.rsplit('/').next().unwrap_or_default().to_owned()
}

fn is_before(target: &Target, window: &Window) -> bool {
    match target {
        Target::Time(t) => *t < window.earliest,
        Target::Lsn(lsn) => *lsn < window.end,
        _ => false,
    }
}

fn one(
    copy: &Copy,
    source: Source,
    base: Result<Base, String>,
    listing: &Listing,
    wanted: &Wanted,
    until: Instant,
) -> Found {
    let window = match &base {
        Err(why) => Err(why.clone()),
        Ok(base) => {
            let own = own_log(base, until);
            let log = Log { source: &source, archive: listing, own: &own };
            window::find(&log, base, wanted.asked.timeline, until)
                .and_then(|window| window.without(&wanted.damaged, &source, listing))
        }
    };
    let chosen = window.as_ref().map_err(Clone::clone).and_then(|w| w.choose(&wanted.asked, wanted.now));
    let sample = match &source {
        Source::Folder(_) => listing.segments.values().next_back().map(|s| s.place.clone()),
        Source::PgBackRest(_) | Source::WalG(_) => None,
    };
    Found {
        copy: copy.clone(),
        source,
        base,
        window,
        chosen,
        segments: listing.segments.len(),
        bytes: listing.bytes,
        endings: listing.endings.keys().cloned().collect(),
        sample,
        passed: Vec::new(),
    }
}

/// The log that a base backup brings along.
fn own_log(base: &Base, until: Instant) -> Listing {
    match &base.layout {
        Layout::Plain { root } => archive::folder(&root.join("pg_wal")).unwrap_or_default(),
        Layout::Tars { log: Some(log), .. } => archive::in_tar(log, until).ok().flatten().unwrap_or_default(),
        Layout::Tars { .. } | Layout::Repo { .. } | Layout::WalG { .. } => Listing::default(),
    }
}
