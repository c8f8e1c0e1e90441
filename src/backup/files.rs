//! Copies that are files, or folders, in a directory.
//!
//! A look reads names and asks for size and date only of those that match, so that a folder of 100,000 files costs one
//! pass and the memory of the newest few. The first bytes are looked at for the newest ones only, once per content.
//! Links to files are followed; a link to, or another name of, a copy that is listed anyway counts once. Links to
//! folders, hidden names, and whatever is neither file nor folder (sockets, pipes, devices) are passed over: opening a
//! pipe would wait for a writer.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use globset::{GlobBuilder, GlobMatcher};

use super::look::{self, Look, Wanted};
use super::{Beat, Followed, Listed, Mark, Seen, Source, whole};
use crate::config::{FilesSource, Restore};
use crate::domain::Time;
use crate::domain::backup::manifest::ENDING;
use crate::domain::backup::{Copy, Found, Reading, place};
use crate::sys::{disk, manifest};
use crate::text;

/// Copies whose first bytes are looked at.
const LOOKED_AT: usize = 24;
/// Levels below the folder when `recursive`.
const DEPTH: usize = 16;
/// Links to files that are resolved in one look.
const LINKS: usize = 4096;
/// Folders up to which all of them are followed for changes; beyond, the top one is, and the interval does the rest.
const FOLLOWED: usize = 1000;
/// Entries counted inside folders that are copies, in one look.
const INSIDE: usize = 200_000;

/// A directory and a pattern.
pub struct Files {
    source: FilesSource,
    glob: Result<GlobMatcher, String>,
    wanted: Wanted,
    looks: Mutex<HashMap<Mark, Look>>,
    /// Folders met in the last look.
    folders: AtomicUsize,
}

/// One name that matched, before anything was opened.
struct Candidate {
    path: PathBuf,
    taken_at: Time,
    size: u64,
    mark: Mark,
}

/// The newest copies so far, and the sums over all.
struct Newest {
    kept: usize,
    list: Vec<Candidate>,
    count: u64,
    bytes: u64,
}

impl Newest {
    fn add(&mut self, candidate: Candidate) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(candidate.size);
        self.list.push(candidate);
        // Twice as many are let in before the older half is dropped, so that each costs a constant time.
        if self.list.len() >= self.kept.max(1) * 2 {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.list.sort_by(|a, b| b.taken_at.cmp(&a.taken_at).then_with(|| a.path.cmp(&b.path)));
        self.list.truncate(self.kept);
    }
}

/// What was passed over in one look, for the remark.
#[derive(Default)]
struct Passed {
    folders: u64,
    unreadable: Vec<String>,
    unreadable_count: u64,
    dangling: u64,
    too_deep: bool,
}

impl Passed {
    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        self.unreadable_count += 1;
        if self.unreadable.is_empty() {
            self.unreadable.push(format!("{}: {error}", place::of_bytes(path.as_os_str().as_bytes())));
        }
    }

    fn remark(&self, wants_folders: bool, found: u64) -> Option<String> {
        let mut parts = Vec::new();
        if let Some(first) = self.unreadable.first() {
            let rest = self.unreadable_count.saturating_sub(1);
            let more = if rest > 0 { format!(", and {rest} more") } else { String::new() };
            parts.push(format!("could not be looked at: {first}{more}"));
        }
        if self.folders > 0 && found == 0 && !wants_folders {
            let n = text::plural(usize::try_from(self.folders).unwrap_or(usize::MAX), "folder");
            parts.push(format!("{n} with a matching name passed over: folders = true counts them as copies"));
        }
        if self.dangling > 0 && found == 0 {
            let n = text::plural(usize::try_from(self.dangling).unwrap_or(usize::MAX), "link");
            parts.push(format!("{n} to nothing passed over"));
        }
        if self.too_deep {
            parts.push(format!("folders more than {DEPTH} levels down are not searched"));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

impl Files {
    /// `restore` says what the copies are going to be used for, hence what they must look like.
    pub fn new(source: FilesSource, restore: Option<&Restore>) -> Self {
        let glob = GlobBuilder::new(&source.pattern)
            .literal_separator(true)
            .build()
            .map(|g| g.compile_matcher())
            .map_err(|e| format!("the pattern \"{}\" cannot be used: {}", text::clean(&source.pattern), e.kind()));
        let wanted = match restore {
            Some(Restore::PostgresDump(_)) => Wanted::PostgresDump,
            _ => Wanted::Anything,
        };
        Files { source, glob, wanted, looks: Mutex::default(), folders: AtomicUsize::new(0) }
    }

    fn matches(&self, glob: &GlobMatcher, path: &Path, below: usize) -> bool {
        let name = path.file_name().unwrap_or_default();
        let hidden = name.as_bytes().starts_with(b".");
        // What says what is in a copy is none.
        if manifest::is_one(path) && !self.source.pattern.ends_with(ENDING) {
            return false;
        }
        if hidden && !self.source.pattern.rsplit('/').next().is_some_and(|p| p.starts_with('.')) {
            return false;
        }
        if below > 0 {
            let relative = path.strip_prefix(&self.source.path).unwrap_or(path);
            return glob.is_match(relative) || (!self.source.pattern.contains('/') && glob.is_match(name));
        }
        glob.is_match(name)
    }

    fn walk(&self, glob: &GlobMatcher, kept: usize, beat: &Beat, passed: &mut Passed) -> Result<Newest, String> {
        let mut newest = Newest { kept, list: Vec::new(), count: 0, bytes: 0 };
        let mut links: Vec<PathBuf> = Vec::new();
        // Only names that share their content with another one are remembered.
        let mut shared: HashSet<(u64, u64)> = HashSet::new();
        let mut inside = INSIDE;
        let mut folders = vec![(self.source.path.clone(), 0)];
        let mut met = 0;
        while let Some((folder, below)) = folders.pop() {
            met += 1;
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(e) if below == 0 => return self.absent(&e).map(|()| newest),
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => {
                    passed.unreadable(&folder, &e);
                    continue;
                }
            };
            for entry in entries {
                if beat.tick() {
                    return Err("the look was given up".to_owned());
                }
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(e) if below == 0 => return Err(self.trouble("read to its end", &e)),
                    Err(e) => {
                        passed.unreadable(&folder, &e);
                        break;
                    }
                };
                let (Ok(kind), path) = (entry.file_type(), entry.path()) else { continue };
                let matches = self.matches(glob, &path, below);
                if kind.is_dir() {
                    if matches && self.source.folders {
                        match look::folder(&path, &mut inside, beat) {
                            Ok(Some(f)) => newest.add(Candidate {
                                path,
                                taken_at: f.newest,
                                size: f.bytes,
                                mark: Mark([f.device, f.inode, f.bytes, f.newest_ns]),
                            }),
                            Ok(None) => {}
                            Err(e) => passed.unreadable(&path, &e),
                        }
                        continue;
                    }
                    passed.folders += u64::from(matches);
                    if self.source.recursive && below < DEPTH {
                        folders.push((path, below + 1));
                    } else if self.source.recursive {
                        passed.too_deep = true;
                    }
                } else if matches && !self.source.folders && kind.is_symlink() {
                    if links.len() < LINKS {
                        links.push(path);
                    }
                } else if matches && !self.source.folders && kind.is_file() {
                    match fs::symlink_metadata(&path) {
                        Ok(meta) if meta.nlink() > 1 && !shared.insert((meta.dev(), meta.ino())) => {}
                        Ok(meta) if meta.is_file() => newest.add(candidate(path, &meta)),
                        Ok(_) => {}
                        // Gone since the name was read: the rotation is at work.
                        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                        Err(e) => passed.unreadable(&path, &e),
                    }
                }
            }
        }
        self.folders.store(met, Ordering::Relaxed);
        self.resolve(glob, &links, &mut newest, &mut shared, passed);
        newest.cut();
        Ok(newest)
    }

    /// Links to files: those to a copy that is listed under its own name say nothing new.
    fn resolve(
        &self,
        glob: &GlobMatcher,
        links: &[PathBuf],
        newest: &mut Newest,
        shared: &mut HashSet<(u64, u64)>,
        passed: &mut Passed,
    ) {
        let root = fs::canonicalize(&self.source.path).unwrap_or_else(|_| self.source.path.clone());
        for link in links {
            let (Ok(target), Ok(meta)) = (fs::canonicalize(link), fs::metadata(link)) else {
                passed.dangling += 1;
                continue;
            };
            let listed = target.strip_prefix(&root).is_ok_and(|relative| {
                let below = relative.components().count().saturating_sub(1);
                (below == 0 || self.source.recursive) && self.matches(glob, &self.source.path.join(relative), below)
            });
            if meta.is_file() && !listed && shared.insert((meta.dev(), meta.ino())) {
                newest.add(candidate(link.clone(), &meta));
            }
        }
    }

    fn look_at(&self, candidate: &Candidate) -> Look {
        let known = self.looks.lock().unwrap_or_else(PoisonError::into_inner).get(&candidate.mark).cloned();
        known.unwrap_or_else(|| look::look(&candidate.path, candidate.size, self.wanted))
    }

    /// A folder that does not exist has no copies: that is an answer. Everything else is not.
    fn absent(&self, error: &io::Error) -> Result<(), String> {
        if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(self.trouble("read", error)) }
    }

    fn trouble(&self, what: &str, error: &io::Error) -> String {
        let path = shown(&self.source.path);
        let advice = match error.kind() {
            io::ErrorKind::PermissionDenied => "; let the engine's user read and enter it",
            io::ErrorKind::NotADirectory => "; path must be a folder, the pattern picks the files",
            _ => "",
        };
        format!("the folder {path} cannot be {what}: {error}{advice}")
    }
}

fn shown(path: &Path) -> String {
    place::of_bytes(path.as_os_str().as_bytes())
}

fn candidate(path: PathBuf, meta: &Metadata) -> Candidate {
    let ms = meta.mtime().saturating_mul(1000).saturating_add(meta.mtime_nsec() / 1_000_000);
    let ns = meta.mtime().wrapping_mul(1_000_000_000).wrapping_add(meta.mtime_nsec()).cast_unsigned();
    Candidate {
        path,
        taken_at: Time::from_ms(ms),
        size: meta.len(),
        mark: Mark([meta.dev(), meta.ino(), meta.len(), ns]),
    }
}

impl Source for Files {
    fn place(&self) -> String {
        let below = if self.source.recursive && !self.source.pattern.contains('/') { "**/" } else { "" };
        format!("{}/{below}{}", shown(&self.source.path).trim_end_matches('/'), text::clean(&self.source.pattern))
    }

    fn lane(&self) -> String {
        shown(&self.source.path)
    }

    fn list(&self, kept: usize, beat: &Beat) -> Result<Listed, String> {
        let glob = self.glob.as_ref().map_err(Clone::clone)?;
        let mut passed = Passed::default();
        let newest = self.walk(glob, kept, beat, &mut passed)?;
        let mut copies = Vec::with_capacity(newest.list.len());
        let mut looks = HashMap::new();
        for (i, c) in newest.list.into_iter().enumerate() {
            beat.tick();
            let look = if i < LOOKED_AT {
                let look = self.look_at(&c);
                if look.final_ {
                    looks.insert(c.mark, look.clone());
                }
                look
            } else {
                look::by_name(&c.path, self.source.folders)
            };
            let relative = c.path.strip_prefix(&self.source.path).unwrap_or(&c.path);
            let copy = Copy {
                id: place::of_bytes(relative.as_os_str().as_bytes()),
                place: shown(&c.path),
                taken_at: c.taken_at,
                size: c.size,
                format: look.format,
                ..Copy::default()
            };
            let mut fault = look.fault;
            let mut reading = look.cannot.map_or(Reading::NotYet, Reading::Cannot);
            if i < LOOKED_AT
                && let Ok(Some(said)) = manifest::read(&c.path)
            {
                fault = fault.or_else(|| said.objection(if self.source.folders { 0 } else { c.size }));
                // Where nothing else can be told of its content, its checksum can.
                if said.sha256.is_some() && !self.source.folders {
                    reading = Reading::NotYet;
                }
            }
            copies.push(Seen { found: Found { copy, fault, reading, ..Found::default() }, mark: c.mark });
        }
        *self.looks.lock().unwrap_or_else(PoisonError::into_inner) = looks;
        let remark = match passed.remark(self.source.folders, newest.count) {
            None if newest.count == 0 && !self.source.path.exists() => {
                Some(format!("the folder {} does not exist", shown(&self.source.path)))
            }
            other => other,
        };
        Ok(Listed { copies, count: newest.count, bytes: newest.bytes, remark })
    }

    fn follow(&self) -> Option<Followed> {
        if disk::is_network_fs(&self.source.path).unwrap_or(true) {
            return None;
        }
        // A watch per folder; the system has few of them, and other programs want some too.
        let recursive = self.source.recursive && self.folders.load(Ordering::Relaxed) <= FOLLOWED;
        let meta = fs::metadata(&self.source.path).ok()?;
        Some(Followed { path: self.source.path.clone(), recursive, identity: (meta.dev(), meta.ino()) })
    }

    fn read(&self, copy: &Seen, beat: &Beat) -> Option<Result<Reading, String>> {
        let bytes = copy.found.copy.path_bytes();
        let path = Path::new(OsStr::from_bytes(&bytes));
        if self.source.folders {
            return whole::read_folder(path, beat);
        }
        let before = fs::metadata(path).ok()?;
        // What cannot be decoded here may still be compared with its manifest.
        let answer = match look::look(path, before.len(), self.wanted).cannot {
            Some(why) => Some(Ok(Reading::Cannot(why))),
            None => whole::read_file(path, beat),
        };
        let answer = whole::against_manifest(path, beat, answer);
        // What was learnt holds only if it was the same file throughout.
        let after = fs::metadata(path).ok()?;
        let same = |m: &Metadata| candidate(path.to_owned(), m).mark == copy.mark;
        if same(&before) && same(&after) { answer } else { None }
    }
}
