//! Copies in a repository of restic or borg: looked through, fetched into a fresh folder that nobody else may enter, and
//! looked at there once more before its name says that it is whole.
//!
//! Both programs write by names, and older ones follow links that a copy itself brings. So nothing is fetched into a
//! folder that has something in it, and nothing of which a name lies below a link. Exit 0 is no proof that anything came:
//! restic ends so when the path is not in the snapshot. Names and bytes that came are counted against the listing.

use std::collections::HashSet;
use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::child::{self, Ended, Stopped, Tool};
use super::super::job::{FolderRestore, VaultCopy};
use super::check::{self, Contents};
use super::only::Only;
use super::tree::Tree;
use super::{entry, partial};
use crate::recovery::op::{OpContext, OpError};
use crate::sys::disk;
use crate::sys::proc::End;
use crate::sys::vault::{self, Access, Fault, VaultTool};
use crate::text;

/// Links that are remembered while a copy is looked through; more of them are refused.
const LINKS: usize = 800_000;
/// Bytes left on a disk when fetching stops.
const FLOOR: u64 = 1 << 20;

fn vault_of(job: &FolderRestore) -> Result<&VaultCopy, OpError> {
    job.vault.as_ref().ok_or_else(|| OpError::Failed("the plan does not say which repository: plan anew".into()))
}

fn tool(access: &Access, args: Vec<String>, dir: Option<&Path>) -> Tool {
    let program = access.program.clone();
    let args = args.into_iter().map(OsString::from);
    let (program, args) = match dir {
        // borg extracts into the folder that it is started in.
        Some(dir) => {
            let mut shell: Vec<OsString> =
                vec!["-c".into(), r#"cd -- "$0" && exec "$@""#.into(), dir.into(), program.into()];
            shell.extend(args);
            (PathBuf::from("/bin/sh"), shell)
        }
        None => (program, args.collect()),
    };
    Tool { program, args, env: access.environment(), password: None, feed: None, user: None }
}

fn end_of(ended: &Ended) -> End {
    ended.status.code().map_or(End::Signalled(0), End::Exited)
}

fn stopped(what: &str, why: Stopped) -> OpError {
    match why {
        Stopped::Cancelled => OpError::Cancelled,
        Stopped::Halted(why) | Stopped::NotStarted(why) => OpError::Failed(format!("{what}: {why}")),
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The links of a copy, as keyed hashes of their paths: there may be very many.
#[derive(Default)]
struct Links {
    seen: HashSet<u64>,
    key: RandomState,
}

impl Links {
    fn has(&self, path: &Path) -> bool {
        self.seen.contains(&self.key.hash_one(path))
    }

    fn add(&mut self, path: &Path) -> Result<(), String> {
        if self.seen.len() >= LINKS {
            return Err(format!("it has more than {LINKS} links, too many to look after: fetch it by hand"));
        }
        self.seen.insert(self.key.hash_one(path));
        Ok(())
    }
}

/// What a listing says, name by name.
struct Listing {
    tool: VaultTool,
    inside: String,
    /// Which links may lead out of the folder.
    may: super::entry::Links,
    only: Only,
    contents: Contents,
    any: bool,
    links: Links,
    against: Option<String>,
}

impl Listing {
    fn hear(&mut self, line: &str) {
        if self.against.is_some() {
            return;
        }
        let heard = match self.tool {
            VaultTool::Restic => vault::restic_node(line).map(|n| {
                n.and_then(|n| {
                    let kind = match n.kind.as_str() {
                        "dev" | "chardev" => 'b',
                        "symlink" => 'l',
                        "file" => '-',
                        "socket" => 's',
                        _ => 'd',
                    };
                    self.name(&n.path, kind, None, n.size)
                })
            }),
            VaultTool::Borg => {
                vault::borg_item(line).map(|i| i.and_then(|i| self.name(&i.path, i.kind, Some(&i.target), i.size)))
            }
        };
        if let Some(Err(why)) = heard {
            self.against = Some(why);
        }
    }

    fn name(&mut self, path: &str, kind: char, target: Option<&str>, size: u64) -> Result<(), String> {
        let bare = path.trim_start_matches('/');
        let inside = self.inside.trim_start_matches('/');
        let below = match inside {
            "." | "" => Some(bare),
            _ if bare == inside => Some(""),
            _ => bare.strip_prefix(inside).and_then(|rest| rest.strip_prefix('/')),
        };
        let Some(below) = below else { return Ok(()) };
        let Some(below) = entry::path(below.as_bytes(), 0)? else { return Ok(()) };
        let shown = || text::clean(path).into_owned();
        self.any = true;
        if below.ancestors().skip(1).any(|above| self.links.has(above)) {
            return Err(format!("\"{}\" lies below a link: nothing is fetched; choose another copy", shown()));
        }
        match kind {
            'b' | 'c' => {
                return Err(format!(
                    "\"{}\" is a device; nothing is fetched: choose another copy, or fetch it by hand",
                    shown()
                ));
            }
            'l' => {
                if let Some(target) = target.filter(|t| !t.is_empty()) {
                    self.contents.link(&self.may, &below, target.as_bytes())?;
                }
                self.links.add(&below)?;
            }
            _ => {}
        }
        // Sockets are made anew by whoever listens: they do not come.
        if kind != 's' && self.only.sees(&below) {
            self.contents.entries += 1;
            self.contents.bytes = self.contents.bytes.saturating_add(if kind == '-' { size } else { 0 });
        }
        Ok(())
    }
}

/// Reads the list of all names of the copy.
pub async fn look(job: &FolderRestore, ctx: &OpContext) -> Result<Contents, OpError> {
    let vault = vault_of(job)?;
    let what = format!("look through {} {}", vault.tool.copy(), text::clean(&job.copy.id));
    let failed = |why: String| OpError::Failed(format!("{what}: {why}"));
    let access = vault.access(&ctx.secrets).map_err(failed)?;
    let only = Only::new(&job.only).map_err(failed)?;
    let listing = Arc::new(Mutex::new(Listing {
        tool: vault.tool,
        inside: vault.inside.clone(),
        may: super::links_of(job)?,
        only,
        contents: Contents::default(),
        any: false,
        links: Links::default(),
        against: None,
    }));
    let hears = listing.clone();
    let line = Arc::new(move |line: &str| lock(&hears).hear(line));
    let (sees, sink) = (listing.clone(), ctx.sink.clone());
    let mut watch = move |_| {
        let seen = lock(&sees);
        sink.progress(seen.contents.entries, 0, "looking at every name");
        seen.against.clone().map_or(Ok(()), Err)
    };
    let run = tool(&access, access.list_args(&vault.id, &vault.inside), None);
    let ended = child::run(run, ctx, line, &mut watch).await.map_err(|why| stopped(&what, why))?;
    let listing = lock(&listing);
    if let Some(why) = &listing.against {
        return Err(failed(why.clone()));
    }
    if !ended.status.success() {
        return Err(failed(Fault::of(vault.tool, &end_of(&ended), &ended.said.join("\n")).to_string()));
    }
    match (listing.any, listing.only.objection()) {
        (false, _) => {
            Err(failed(format!("there is nothing at {} in it: correct `inside`, or choose another copy", vault.inside)))
        }
        (true, Some(why)) => Err(failed(why)),
        (true, None) => Ok(listing.contents.clone()),
    }
}

/// Warnings that are about what belongs to a file beside its content (borg 1.2, archive.py).
fn is_of_attributes(warning: &str) -> bool {
    ["xattr", "extended attribute", "ACL", "flags", "chown", "capabilit"].iter().any(|part| warning.contains(part))
}

#[derive(Default)]
struct Heard {
    bytes: Option<(u64, u64)>,
    warnings: Vec<String>,
    warned: u64,
}

/// Fetches the copy; the side folder then has its final name. Returns what was proven by it.
pub async fn fetch(job: &FolderRestore, ctx: &OpContext, expected: Option<Contents>) -> Result<String, OpError> {
    let vault = vault_of(job)?;
    let what = format!("fetch {} {} into {}", vault.tool.copy(), text::clean(&job.copy.id), job.side.display());
    let failed = |why: String| OpError::Failed(format!("{what}: {why}"));
    let access = vault.access(&ctx.secrets).map_err(failed)?;
    let only = Only::new(&job.only).map_err(failed)?;
    // Without it nothing would tell whether all of it came.
    let expected = match expected {
        Some(contents) => contents,
        None => look(job, ctx).await?,
    };
    let beside = partial(&job.side);
    // Made here, for this user alone, and empty.
    drop(Tree::create(&beside).map_err(failed)?);
    let wanted = wanted(&vault.inside, &only);
    let args = access.restore_args(&vault.id, &vault.inside, &wanted, &beside.display().to_string());
    let run = match vault.tool {
        VaultTool::Restic => tool(&access, args, None),
        VaultTool::Borg => tool(&access, args, Some(&beside)),
    };
    let heard = Arc::new(Mutex::new(Heard::default()));
    let (hears, sink, of) = (heard.clone(), ctx.sink.clone(), vault.tool);
    let line = Arc::new(move |line: &str| hear(of, line, &hears, &*sink));
    let (sees, sink, parent) =
        (heard.clone(), ctx.sink.clone(), job.live.parent().unwrap_or(Path::new("/")).to_path_buf());
    let total = expected.bytes;
    let mut watch = move |pid: i32| {
        let (done, total) = lock(&sees).bytes.unwrap_or_else(|| (child::bytes_written(pid).min(total), total));
        sink.progress(done, total, "fetching");
        match disk::free_bytes(&parent) {
            Ok(free) if free < FLOOR => Err(format!("the disk of {} is full: make room on it", parent.display())),
            _ => Ok(()),
        }
    };
    let ended = child::run(run, ctx, line, &mut watch).await.map_err(|why| stopped(&what, why))?;
    let heard = std::mem::take(&mut *lock(&heard));
    // What borg calls a warning may be a file that is not there, or not as it was.
    let lenient = vault.tool == VaultTool::Borg && ended.status.code() == Some(1);
    let all_heard = heard.warned > 0 && heard.warned == heard.warnings.len() as u64;
    let harmless = lenient && all_heard && heard.warnings.iter().all(|w| is_of_attributes(w));
    if !(ended.status.success() || harmless) {
        if disk::free_bytes(job.live.parent().unwrap_or(Path::new("/"))).is_ok_and(|free| free < FLOOR) {
            return Err(failed("the disk is full: make room on it".into()));
        }
        return Err(failed(Fault::of(vault.tool, &end_of(&ended), &ended.said.join("\n")).to_string()));
    }
    if heard.warned > 0 {
        let names = text::plural(usize::try_from(heard.warned).unwrap_or(usize::MAX), "warning");
        ctx.sink.line(&format!("{names} about attributes that could not be kept"));
    }
    let (own, inside, cancel) = (job.clone(), vault.inside.clone(), ctx.cancel.clone());
    let of = vault.tool;
    let found = super::blocking(&what, ctx, move |ctx| {
        let go_on = |done, _| {
            ctx.sink.progress(done, total, "looking at what was fetched");
            if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        lift(&own, of, &inside, &only, expected, &mut { go_on })
    });
    let found = found.await.map_err(|e| match e {
        OpError::Failed(why) => failed(why),
        other => other,
    })?;
    let names = text::plural(usize::try_from(found.entries).unwrap_or(usize::MAX), "name");
    ctx.sink.line(&format!("fetched {names} with {}", text::size(found.bytes)));
    Ok(match vault.tool {
        VaultTool::Restic => "restic read every restored file back and compared it with the snapshot".into(),
        VaultTool::Borg => "borg compared the checksum of every piece that it read".into(),
    })
}

fn hear(of: VaultTool, line: &str, heard: &Mutex<Heard>, sink: &dyn crate::recovery::op::Sink) {
    const KEPT: usize = 100;
    if of == VaultTool::Restic {
        match vault::restic_progress(line) {
            Some(bytes) => lock(heard).bytes = Some(bytes),
            None => sink.line(line),
        }
        return;
    }
    match vault::borg_progress(line) {
        Some(vault::Progress::Bytes(done, total)) => lock(heard).bytes = Some((done, total)),
        Some(vault::Progress::Said { text, grave }) => {
            sink.line(&text);
            if grave {
                let mut heard = lock(heard);
                heard.warned += 1;
                if heard.warnings.len() < KEPT {
                    heard.warnings.push(text);
                }
            }
        }
        None if line.starts_with('{') => {}
        None => sink.line(line),
    }
}

/// The paths within the copy that are fetched: all of the folder, or where chosen names can be.
pub fn wanted(inside: &str, only: &Only) -> Vec<String> {
    let whole = matches!(inside, "." | "/" | "");
    let below = |p: &PathBuf| match (whole, p.as_os_str().is_empty()) {
        (true, true) => ".".to_owned(),
        (true, false) if inside == "/" => format!("/{}", p.display()),
        (true, false) => p.display().to_string(),
        (false, true) => inside.to_owned(),
        (false, false) => format!("{}/{}", inside.trim_end_matches('/'), p.display()),
    };
    let wanted: Vec<String> = match only.is_all() {
        true => vec![below(&PathBuf::new())],
        false => only.prefixes().iter().map(below).collect(),
    };
    // All of it needs no path at all.
    if wanted.iter().any(|w| w == ".") { Vec::new() } else { wanted }
}

/// Looks at what was fetched, and gives it the side folder's name.
fn lift(
    job: &FolderRestore,
    of: VaultTool,
    inside: &str,
    only: &Only,
    expected: Contents,
    go_on: check::Progress<'_>,
) -> Result<Contents, OpError> {
    let failed = OpError::Failed;
    let beside = partial(&job.side);
    let bare = inside.trim_matches('/');
    let within = match (bare, of) {
        ("." | "", _) => PathBuf::new(),
        (_, VaultTool::Restic) => PathBuf::from(bare),
        (_, VaultTool::Borg) => Path::new(bare).file_name().map(PathBuf::from).unwrap_or_default(),
    };
    let mut tree = Tree::open(&beside).map_err(failed)?;
    let whole = within.as_os_str().is_empty();
    if !whole && !tree.look(&within).map_err(failed)?.is_some_and(|t| t.is_folder) {
        return Err(failed(format!(
            "nothing came: {inside} is no folder in it; correct `inside`, or choose another copy"
        )));
    }
    let content = beside.join(&within);
    let found =
        check::folder(&content, only, &super::links_of(job)?, go_on).map_err(failed)?.ok_or(OpError::Cancelled)?;
    if found.entries < expected.entries || found.bytes < expected.bytes {
        return Err(failed(format!(
            "not all of it came: {} of {} names with {} of {}, though {} called it done; try again, or choose another copy",
            found.entries,
            expected.entries,
            text::size(found.bytes),
            text::size(expected.bytes),
            of.word()
        )));
    }
    if whole
        && let (Ok(now), Ok(live)) = (content.metadata(), job.live.metadata())
        && now.permissions().mode() & 0o7777 == 0o700
    {
        // The copy says nothing of the folder itself.
        let _ = std::fs::set_permissions(&content, live.permissions());
    }
    tree.sync().map_err(failed)?;
    std::fs::rename(&content, &job.side).map_err(|e| failed(format!("rename {}: {e}", content.display())))?;
    disk::fsync_dir(job.side.parent().unwrap_or(Path::new("/"))).map_err(|e| failed(e.to_string()))?;
    if !whole {
        super::remove_tree(&beside)?;
    }
    Ok(found)
}
