//! Reading a copy of a folder to its end, and looking at every name in it, before anything is unpacked.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::format::Wrap;
use super::entry::{self, Leads, Links};
use super::only::Only;
use super::open::{self, Refused, Way};
use crate::text;

/// What is in a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    pub entries: u64,
    /// Bytes of the files, unpacked.
    pub bytes: u64,
    /// Links that lead out of the folder and are let through only because the live folder has them too: the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub as_live: Vec<String>,
}

/// Links that are named at the most.
const NAMED: usize = 20;

impl Contents {
    /// Looks at one link. Errors: why nothing is to be unpacked.
    pub fn link(&mut self, links: &Links, at: &Path, target: &[u8]) -> Result<(), String> {
        if links.check(at, target)? == Leads::AsLive && self.as_live.len() < NAMED {
            self.as_live.push(text::clean_bytes(at.as_os_str().as_bytes()));
        }
        Ok(())
    }
}

/// What is asked now and then with bytes read and bytes there are; it can end the reading.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// Counts what was read of the decoded stream.
pub struct Counted<R> {
    pub from: R,
    pub read: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        self.read += n as u64;
        Ok(n)
    }
}

/// A failing read in words.
pub fn read_error(e: &io::Error) -> String {
    if let Some(refused) = e.get_ref().and_then(|inner| inner.downcast_ref::<Refused>()) {
        return refused.0.clone();
    }
    match e.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut off: choose another copy".into(),
        _ if e.raw_os_error().is_some() => format!("it cannot be read: {e}"),
        // tar's words for an end in the middle of an entry.
        _ if e.to_string().contains("unexpected EOF") || e.to_string().contains("failed to read entire block") => {
            "it is cut off: choose another copy".into()
        }
        _ => format!("it is damaged ({}): choose another copy", text::clean(&e.to_string())),
    }
}

/// As [`wrapped`], for an archive that is not encrypted and of which all is meant.
pub fn archive(path: &Path, strip: u32, links: &Links, progress: Progress<'_>) -> Result<Option<Contents>, String> {
    let way = Way { place: path.to_path_buf(), wrap: Wrap::Plain, identity: None };
    wrapped(&way, strip, &Only::all(), links, progress)
}

/// Reads a tar archive to its end. Blocks. `None` when it was ended by `progress`. Errors: why it is not to be unpacked.
/// What is chosen by `only` is counted; looked at are all names.
pub fn wrapped(
    way: &Way,
    strip: u32,
    only: &Only,
    links: &Links,
    progress: Progress<'_>,
) -> Result<Option<Contents>, String> {
    let mut opened = open::open(way)?;
    let total = opened.total;
    let mut stream = Counted { from: std::mem::replace(&mut opened.stream, Box::new(io::empty())), read: 0 };
    let mut contents = Contents::default();
    let (mut end_of_last, mut any) = (0u64, false);
    {
        let mut archive = tar::Archive::new(&mut stream);
        for found in archive.entries().map_err(|e| read_error(&e))? {
            let mut found = found.map_err(|e| read_error(&e))?;
            let below = look(&mut found, strip, links, &mut contents)?;
            any = true;
            if below.as_deref().map_or(only.is_all(), |below| only.sees(below)) {
                contents.entries += 1;
                contents.bytes = contents.bytes.saturating_add(found.size());
            }
            let stored = found.header().entry_size().map_err(|e| read_error(&e))?;
            end_of_last = found.raw_file_position().saturating_add(stored.div_ceil(512) * 512);
            if progress(opened.read_so_far(), total).is_break() {
                return Ok(None);
            }
        }
    }
    if !any {
        return Err("there is nothing in it: choose another copy".into());
    }
    if let Some(why) = only.objection() {
        return Err(why);
    }
    // An archive ends with blocks of zeros. Cut off between two entries it has none, and nothing else tells.
    if stream.read < end_of_last.saturating_add(512) {
        return Err("it is cut off: its end mark is missing; choose another copy".into());
    }
    // What follows is padding; reading it lets the compression check its sum.
    let mut rest = vec![0; 1 << 16];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => return Ok(Some(contents)),
            Ok(_) if progress(opened.read_so_far(), total).is_break() => return Ok(None),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(read_error(&e)),
        }
    }
}

/// What is said when no name matches.
pub const NOTHING_CHOSEN: &str = "nothing in it matches `only`: look at the patterns, or choose another copy";

/// One entry: its name, and what it is. Returns where it would come.
fn look<R: Read>(
    found: &mut tar::Entry<'_, R>,
    strip: u32,
    links: &Links,
    contents: &mut Contents,
) -> Result<Option<PathBuf>, String> {
    use tar::EntryType;
    let name = found.path_bytes().into_owned();
    let Some(path) = entry::path(&name, strip)? else { return Ok(None) };
    let sound = match found.header().entry_type() {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse | EntryType::Directory | EntryType::Fifo => {
            Ok(())
        }
        EntryType::Symlink => match found.link_name_bytes() {
            Some(target) => contents.link(links, &path, &target),
            None => Err(format!("\"{}\" is a link to nothing: choose another copy", text::clean_bytes(&name))),
        },
        EntryType::Link => match found.link_name_bytes().as_deref().map(|t| entry::path(t, strip)) {
            Some(Ok(Some(_))) => Ok(()),
            Some(Err(why)) => Err(why),
            _ => Err(format!("\"{}\" is a link to nothing: choose another copy", text::clean_bytes(&name))),
        },
        EntryType::Block | EntryType::Char => Err(format!(
            "\"{}\" is a device; nothing of it is unpacked: choose another copy, or unpack it by hand",
            text::clean_bytes(&name)
        )),
        // Global headers and what a vendor added say nothing that is unpacked.
        _ => return Ok(None),
    };
    sound.map(|()| Some(path))
}

/// Looks at every name of a copy that is a folder itself. Blocks.
pub fn folder(path: &Path, only: &Only, links: &Links, progress: Progress<'_>) -> Result<Option<Contents>, String> {
    let (mut contents, mut any) = (Contents::default(), false);
    let mut open = vec![path.to_path_buf()];
    while let Some(dir) = open.pop() {
        let failed = |e: io::Error| {
            format!("{} cannot be read: {e}: give this user the right, or choose another copy", dir.display())
        };
        for found in std::fs::read_dir(&dir).map_err(failed)? {
            let found = found.map_err(failed)?;
            let meta = found.metadata().map_err(failed)?;
            let at = found.path();
            let below = at.strip_prefix(path).unwrap_or(&at).to_path_buf();
            let kind = meta.file_type();
            any = true;
            let chosen = only.sees(&below);
            contents.entries += u64::from(chosen);
            if kind.is_dir() {
                open.push(at);
            } else if kind.is_file() && chosen {
                contents.bytes = contents.bytes.saturating_add(meta.size());
                rustix::fs::access(&at, rustix::fs::Access::READ_OK).map_err(|e| failed(e.into()))?;
            } else if kind.is_symlink() {
                let target = std::fs::read_link(&at).map_err(failed)?;
                contents.link(links, &below, target.as_os_str().as_bytes())?;
            } else if kind.is_block_device() || kind.is_char_device() {
                let name = text::clean_bytes(below.as_os_str().as_bytes());
                return Err(format!(
                    "\"{name}\" is a device; nothing of it is copied: choose another copy, or copy it by hand"
                ));
            }
            if progress(contents.bytes, 0).is_break() {
                return Ok(None);
            }
        }
    }
    match (any, only.objection()) {
        (false, _) => Err("there is nothing in it: choose another copy".into()),
        (true, Some(why)) => Err(why),
        (true, None) => Ok(Some(contents)),
    }
}
