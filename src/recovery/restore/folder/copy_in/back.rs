//! Taking back what was copied in, whichever way it stopped: by the list and the inodes, and never over what somebody else
//! put there meanwhile.

use std::path::Path;

use super::super::super::job::FolderCopyIn;
use super::super::partial;
use super::super::tree::{Exchanged, Tree};
use super::{LIST, NEW, OLD, REPLACED, TAKEN, lines};

/// What taking back did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Back {
    /// Names that are in the live folder as they were.
    pub put: u64,
    /// Names that somebody else changed meanwhile: what was there before the copying stays in the kept folder.
    pub stays: u64,
}

/// Takes back whatever was done of an exchange. Safe to do again. Unless something [stays](Back::stays), what it leaves of
/// the kept folder holds nothing that was live.
pub fn take_back(job: &FolderCopyIn) -> Result<Back, String> {
    take_back_with(job, false)
}

/// `linked`: as where the file system cannot exchange.
pub(super) fn take_back_with(job: &FolderCopyIn, linked: bool) -> Result<Back, String> {
    let beside = partial(&job.kept_as);
    let mut back = Back::default();
    if beside.join(LIST).symlink_metadata().is_err() {
        return Ok(back);
    }
    let (mut kept, mut live) = (Tree::open(&beside)?, Tree::open(&job.live)?);
    let mut made = Vec::new();
    for line in lines(&beside)? {
        let below = line.path();
        if line.made {
            made.push(below);
            continue;
        }
        // What was live is in one of these: the last steps of an exchange give `new` or `old` the third name.
        let mut was = None;
        for from in [NEW, OLD, REPLACED].map(|dir| Path::new(dir).join(&below)) {
            if let Some(there) = kept.look(&from)?.filter(|there| Some(there.inode) != line.inode) {
                was = Some((from, there.inode));
            }
        }
        let now = live.look(&below)?.map(|t| t.inode);
        match (now, was) {
            (Some(now), Some((from, _))) if Some(now) == line.inode => {
                if linked || kept.exchange(&from, &mut live, &below)? == Exchanged::Unsupported {
                    kept.move_over(&from, &mut live, &below)?;
                }
                back.put += 1;
            }
            // It was added. Where it came from there may be a further name of it: it goes to a place of its own.
            (Some(now), None) if Some(now) == line.inode => {
                let aside = Path::new(TAKEN).join(&below);
                kept.make_way(&aside)?;
                live.move_new(&below, &mut kept, &aside)?;
                back.put += 1;
            }
            (None, Some((from, _))) if live.has_folder_of(&below)? && kept.move_new(&from, &mut live, &below)? => {
                back.put += 1;
            }
            // A further name of what is live: it was about to be replaced.
            (Some(now), Some((_, was))) if now == was => {}
            (_, Some(_)) => back.stays += 1,
            (_, None) => {}
        }
    }
    for dir in made.iter().rev() {
        live.remove_empty(dir)?;
    }
    live.sync()?;
    Ok(back)
}
