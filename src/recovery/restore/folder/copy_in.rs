//! Copying chosen names of a side folder into the live one, each whole in one step, what it replaces kept.
//!
//! First everything is written into a folder beside the live one, with a list of what is to happen; the live folder is not
//! touched. Then name by name the new file and the old one change places (`renameat2`), so that whoever opens a name finds
//! one or the other and never none. Whichever way it stops in between, the list and the inodes tell what was done, and it
//! is taken back. What was replaced stays in the kept folder, from which an undo is the same thing the other way round.
//!
//! | in the kept folder | is |
//! | --- | --- |
//! | `list` | a line for each name: what was put there, made or taken away |
//! | `new` | what comes in; after the exchange what was there before |
//! | `old` | what was there before, where the file system cannot exchange |
//! | `replaced` | one of the two, when all is done |
//! | `taken` | what had come in and was taken back |

mod back;

use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::job::FolderCopyIn;
use super::only::Only;
use super::tree::{Exchanged, Fault, Tree};
use super::{copy, partial};
use crate::domain::backup::place;
use crate::recovery::op::OpContext;
use crate::text;

pub use back::take_back;

/// One name, as it stands in the list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Below the live folder, escaped where it is no plain text.
    path: String,
    /// Of the file that comes in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inode: Option<u64>,
    /// A folder that the live one does not have.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    made: bool,
    /// It goes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    taken: bool,
}

impl Line {
    pub fn path(&self) -> PathBuf {
        PathBuf::from(std::ffi::OsString::from_vec(place::bytes_of(&self.path)))
    }
}

const LIST: &str = "list";
const NEW: &str = "new";
const OLD: &str = "old";
const REPLACED: &str = "replaced";
const TAKEN: &str = "taken";

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moved {
    pub replaced: u64,
    pub added: u64,
    pub taken: u64,
    pub sockets: u64,
}

impl Moved {
    pub fn said(&self) -> String {
        let mut said = format!("{} replaced, {} added", self.replaced, self.added);
        if self.taken > 0 {
            said.push_str(&format!(", {} taken away again", self.taken));
        }
        said
    }
}

/// Reads a list; a last line that was not written to its end is left out.
pub fn lines(kept: &Path) -> Result<impl Iterator<Item = Line>, String> {
    let path = kept.join(LIST);
    let file = File::open(&path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    Ok(BufReader::new(file).lines().map_while(Result::ok).map_while(|l| serde_json::from_str(&l).ok()))
}

fn new(path: &Path) -> PathBuf {
    Path::new(NEW).join(path)
}

/// The first half: everything that comes in lies beside, and the list is on disk. The live folder is only looked at.
pub struct Prepared {
    from: PathBuf,
    kept: Tree,
    live: Tree,
    sockets: u64,
}

pub fn prepare(job: &FolderCopyIn, only: &Only, ctx: &OpContext) -> Result<Prepared, Fault> {
    let beside = partial(&job.kept_as);
    let live = Tree::open(&job.live)?;
    let kept = Tree::create(&beside)?;
    let mut at = Preparing {
        from: if job.undo { job.enter.path.join(REPLACED) } else { job.enter.path.clone() },
        kept,
        live,
        list: list_file(&beside)?,
        ways: HashSet::new(),
        names: HashMap::new(),
        buffer: vec![0; 1 << 17],
        done: 0,
        lines: 0,
        sockets: 0,
        device: std::fs::metadata(&job.live).map(|m| m.dev()).unwrap_or(0),
    };
    at.kept.make_way(&new(Path::new("x")))?;
    if job.undo {
        at.what_was_kept(&job.enter.path, ctx)?;
    } else {
        at.what_is_chosen(only, ctx)?;
    }
    if at.lines == 0 {
        return Err(Fault::Failed("nothing is chosen by the patterns: look at what the side folder has".into()));
    }
    at.list.flush().and_then(|()| at.list.get_ref().sync_all()).map_err(|e| format!("write {LIST}: {e}"))?;
    at.kept.sync()?;
    for line in at.kept.lost.said() {
        ctx.sink.line(&line);
    }
    Ok(Prepared { from: at.from, kept: at.kept, live: at.live, sockets: at.sockets })
}

fn list_file(beside: &Path) -> Result<BufWriter<File>, String> {
    let path = beside.join(LIST);
    let made = File::create_new(&path).map_err(|e| format!("write {}: {e}", path.display()))?;
    Ok(BufWriter::new(made))
}

struct Preparing {
    from: PathBuf,
    kept: Tree,
    live: Tree,
    list: BufWriter<File>,
    /// Folders above names that were looked at.
    ways: HashSet<PathBuf>,
    /// Files with several names, by inode: the first one that was written.
    names: HashMap<(u64, u64), PathBuf>,
    buffer: Vec<u8>,
    done: u64,
    lines: u64,
    sockets: u64,
    device: u64,
}

impl Preparing {
    fn line(&mut self, path: &Path, mut line: Line) -> Result<(), String> {
        line.path = place::of_bytes(path.as_os_str().as_bytes());
        self.lines += 1;
        let text = serde_json::to_string(&line).unwrap_or_default();
        writeln!(self.list, "{text}").map_err(|e| format!("write {LIST}: {e}: make room on its disk"))
    }

    fn stat(&self, below: &Path) -> Result<Metadata, String> {
        let at = self.from.join(below);
        at.symlink_metadata().map_err(|e| format!("{} cannot be read: {e}", at.display()))
    }

    fn what_is_chosen(&mut self, only: &Only, ctx: &OpContext) -> Result<(), Fault> {
        let mut open = vec![PathBuf::new()];
        while let Some(dir) = open.pop() {
            let here = self.from.join(&dir);
            let read = |e: std::io::Error| format!("{} cannot be read: {e}", here.display());
            for found in std::fs::read_dir(&here).map_err(read)? {
                let below = dir.join(found.map_err(read)?.file_name());
                let stat = self.stat(&below)?;
                if stat.is_dir() && (only.has(&below) || only.may_have_below(&below)) {
                    open.push(below.clone());
                }
                if only.has(&below) {
                    self.put(&below, &stat, ctx)?;
                }
            }
        }
        Ok(())
    }

    /// The other way round: what was replaced comes back, what was added goes.
    fn what_was_kept(&mut self, kept: &Path, ctx: &OpContext) -> Result<(), Fault> {
        for line in lines(kept)? {
            let below = line.path();
            match self.from.join(&below).symlink_metadata() {
                Ok(stat) if !stat.is_dir() => self.put(&below, &stat, ctx)?,
                _ if line.made || line.taken => {}
                _ => match self.live.look(&below)? {
                    Some(there) if there.is_folder => return Err(conflict(&below, "a file was added").into()),
                    Some(_) => {
                        self.way(&below, false)?;
                        self.line(&below, Line { taken: true, ..Line::default() })?;
                    }
                    None => {}
                },
            }
        }
        Ok(())
    }

    fn put(&mut self, below: &Path, stat: &Metadata, ctx: &OpContext) -> Result<(), Fault> {
        if ctx.cancel.is_cancelled() {
            return Err(Fault::Cancelled);
        }
        let kind = stat.file_type();
        self.way(below, true)?;
        let there = self.live.look(below)?;
        if kind.is_dir() {
            return match there {
                Some(there) if !there.is_folder => Err(conflict(below, "a folder is to come").into()),
                Some(_) => Ok(()),
                None => Ok(self.made(below)?),
            };
        }
        if there.is_some_and(|t| t.is_folder) {
            return Err(conflict(below, "a file is to come").into());
        }
        if kind.is_socket() {
            self.sockets += 1;
            return Ok(());
        }
        let (at, to) = (self.from.join(below), new(below));
        let meta = copy::meta(&at, stat);
        let id = (stat.dev(), stat.ino());
        let shared = stat.nlink() > 1 && kind.is_file();
        if let Some(first) = self.names.get(&id).filter(|_| shared) {
            self.kept.hardlink(&to, &new(first))?;
        } else if kind.is_symlink() {
            let target = std::fs::read_link(&at).map_err(|e| format!("{} cannot be read: {e}", at.display()))?;
            self.kept.symlink(&to, target.as_os_str().as_bytes(), &meta)?;
        } else if kind.is_fifo() {
            self.kept.fifo(&to, &meta)?;
        } else if kind.is_file() {
            let so_far = (self.done, 0);
            self.done += copy::file(&at, &to, below, &meta, &mut self.kept, ctx, &mut self.buffer, so_far)?;
            if shared {
                self.names.insert(id, below.to_path_buf());
            }
        } else {
            let name = text::clean_bytes(below.as_os_str().as_bytes());
            return Err(Fault::Failed(format!("\"{name}\" is a device: leave it out of the patterns")));
        }
        let inode = self.kept.look(&to)?.map(|t| t.inode);
        self.line(below, Line { inode, ..Line::default() })?;
        Ok(())
    }

    /// The folders above a name: real ones in the live folder, or to be made there as they are where the name comes from.
    fn way(&mut self, below: &Path, make: bool) -> Result<(), String> {
        let mut above: Vec<PathBuf> = below.ancestors().skip(1).map(Path::to_path_buf).collect();
        above.retain(|a| !a.as_os_str().is_empty() && !self.ways.contains(a));
        for dir in above.into_iter().rev() {
            match self.live.look(&dir)? {
                None if make => self.made(&dir)?,
                None => {}
                Some(there) if !there.is_folder => {
                    return Err(format!(
                        "\"{}\" goes through \"{}\", which is a link or a file in the live folder: nothing is written \
                         through it; leave it out, or cut the whole folder over",
                        text::clean_bytes(below.as_os_str().as_bytes()),
                        text::clean_bytes(dir.as_os_str().as_bytes())
                    ));
                }
                Some(there) if there.device != self.device => {
                    return Err(format!(
                        "\"{}\" is on another file system than the live folder, where no name can be exchanged in one \
                         step: restore it by a backup of its own",
                        text::clean_bytes(dir.as_os_str().as_bytes())
                    ));
                }
                Some(_) => {}
            }
            // What will be kept lies in folders like those it was in.
            let at = self.live.full(&dir);
            if let Ok(stat) = at.symlink_metadata() {
                self.kept.folder_if_made(new(&dir), copy::meta(&at, &stat));
            }
            self.ways.insert(dir);
        }
        Ok(())
    }

    fn made(&mut self, dir: &Path) -> Result<(), String> {
        let stat = self.stat(dir)?;
        self.kept.folder(&new(dir), copy::meta(&self.from.join(dir), &stat))?;
        self.ways.insert(dir.to_path_buf());
        self.line(dir, Line { made: true, ..Line::default() })
    }
}

fn conflict(below: &Path, what: &str) -> String {
    format!(
        "\"{}\" is of another kind in the live folder than in the copy ({what}): leave it out, or cut the whole folder over",
        text::clean_bytes(below.as_os_str().as_bytes())
    )
}

/// The second half. It goes through to its end; an error says why it did not, and [`take_back`] is due.
pub fn exchange(job: &FolderCopyIn, prepared: Prepared, ctx: &OpContext) -> Result<Moved, String> {
    let mut each = |line: &Line, n| {
        let below = line.path();
        ctx.sink.progress(n, 0, &format!("{} is in place", text::clean_bytes(below.as_os_str().as_bytes())));
        Ok(())
    };
    exchange_with(job, prepared, false, &mut each)
}

/// `linked`: from the first name on as where the file system cannot exchange. `each` is told of every name that was moved.
fn exchange_with(
    job: &FolderCopyIn,
    prepared: Prepared,
    mut linked: bool,
    each: &mut dyn FnMut(&Line, u64) -> Result<(), String>,
) -> Result<Moved, String> {
    let Prepared { from: source, mut kept, mut live, sockets } = prepared;
    let beside = partial(&job.kept_as);
    let mut moved = Moved { sockets, ..Moved::default() };
    for line in lines(&beside)? {
        let (below, from) = (line.path(), new(&line.path()));
        if line.made {
            let at = source.join(&below);
            let stat = at.symlink_metadata().map_err(|e| format!("{}: {e}", at.display()))?;
            live.folder(&below, copy::meta(&at, &stat))?;
        } else if line.taken {
            kept.make_way(&from)?;
            if live.look(&below)?.is_some() && live.move_new(&below, &mut kept, &from)? {
                moved.taken += 1;
            }
        } else if live.look(&below)?.is_none() && kept.move_new(&from, &mut live, &below)? {
            moved.added += 1;
        } else {
            if live.look(&below)?.is_some_and(|t| t.is_folder) {
                return Err(conflict(&below, "meanwhile"));
            }
            if linked || kept.exchange(&from, &mut live, &below)? == Exchanged::Unsupported {
                linked = true;
                live.link_into(&below, &mut kept, &Path::new(OLD).join(&below))?;
                kept.move_over(&from, &mut live, &below)?;
            }
            moved.replaced += 1;
        }
        each(&line, moved.replaced + moved.added + moved.taken)?;
    }
    live.finish(&job.live)?;
    kept.finish(&job.live)?;
    let rename = |from: &str| {
        let (from, to) = (beside.join(from), beside.join(REPLACED));
        std::fs::rename(&from, &to).map_err(|e| format!("rename {} to {}: {e}", from.display(), to.display()))
    };
    if linked {
        rename(OLD)?;
    } else {
        rename(NEW)?;
    }
    // The last thing: from here on it is done.
    std::fs::rename(&beside, &job.kept_as)
        .map_err(|e| format!("rename {} to {}: {e}", beside.display(), job.kept_as.display()))?;
    Ok(moved)
}

/// Folders that an undone copying in had made go again, where nothing else came into them.
pub fn tidy(job: &FolderCopyIn) -> Result<(), String> {
    if !job.undo {
        return Ok(());
    }
    let mut live = Tree::open(&job.live)?;
    let made: Vec<PathBuf> = lines(&job.enter.path)?.filter(|l| l.made).map(|l| l.path()).collect();
    made.iter().rev().try_for_each(|dir| live.remove_empty(dir))
}

#[cfg(test)]
mod tests;
