//! Taking over a folder: where the fold may begin, whether the rest follows on, and an end that can be written to.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::checkpoint::{self, Checkpoint, Found};
use super::heal::{self, Healed};
use super::index::PartIndex;
use super::line;
use super::lines::{Chain, Damage, Head, Lines, Place, RawLine};
use super::mirror::Mirror;
use super::parts::{self, LIVE, NEXT, Part, REWRITE_SUFFIX};
use super::reserve::Reserve;
use super::storage::{Access, Storage, StoredFile, write_all};
use super::{Journal, JournalError, Live, OpenOptions, part_gaps};
use crate::domain::event::{Entry, Event};

/// Damage that is told one by one; the rest is counted.
const TOLD: usize = 100;

/// What was found on opening.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Opened {
    /// A torn end was moved aside.
    pub healed: Option<Healed>,
    /// What is not as it was written, among the entries that were read (those after the checkpoint): the first hundred.
    pub damage: Vec<Damage>,
    /// How much of it there is in all.
    pub damaged: u64,
    /// The state to begin with; the fold goes on with the entries after it.
    pub checkpoint: Option<Checkpoint>,
    /// A checkpoint was there and could not be used: why.
    pub checkpoint_dropped: Option<String>,
    /// Entries to fold on top of the checkpoint.
    pub since: u64,
    /// Entries that were blanked now, because that had been cut short.
    pub redacted: Vec<u64>,
}

impl Opened {
    /// The first entry that is to be folded on top of the checkpoint, for [`Journal::entries`].
    pub fn fold_from(&self) -> u64 {
        self.checkpoint.as_ref().map_or(1, |c| c.seq + 1)
    }

    fn note(&mut self, damage: Damage) {
        self.damaged += 1;
        if self.damage.len() < TOLD {
            self.damage.push(damage);
        }
    }
}

/// Where a scan is: what it has seen of the chain, and of the part that is written to.
struct Scan<'a> {
    chain: Chain,
    opened: &'a mut Opened,
    /// Lines before this place are older than the checkpoint: only the index wants them.
    count_from: u64,
    /// Entries that are to be blanked, each with the entry that says so. Most are by now.
    redactions: Vec<(u64, u64)>,
    /// The lines from this one on are of a newer version.
    newer: Option<u64>,
}

impl Journal {
    /// Opens the record in `dir`, which must exist, and makes it when there is none. The caller holds the folder's lock.
    /// Reads what came after the checkpoint, or all of it where there is none that fits. Errors: the folder cannot be
    /// read or written, or a newer mayday wrote to it; nothing was changed then.
    pub fn open(dir: &Path, options: OpenOptions) -> Result<(Journal, Opened), JournalError> {
        open(dir, options).map_err(JournalError::new("open the journal in", dir))
    }
}

fn open(dir: &Path, options: OpenOptions) -> io::Result<(Journal, Opened)> {
    let storage = options.storage.clone();
    tidy(storage.as_ref(), dir)?;
    let mut closed = Vec::new();
    for name in parts::list(storage.as_ref(), dir)? {
        if name != LIVE {
            closed.push(Arc::new(Part::open(&storage, dir, &name)?));
        }
    }
    let file = match storage.open(&dir.join(LIVE), Access::Write) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let file = storage.open(&dir.join(LIVE), Access::Append)?;
            storage.sync_dir(dir)?;
            file
        }
        other => other?,
    };
    let meta = file.meta()?;

    let mut opened = Opened::default();
    for gap in part_gaps(&closed) {
        opened.note(gap);
    }
    let (start, ahead) = find_start(storage.as_ref(), dir, &closed, &file, meta.len, &mut opened);
    let mut scan = Scan {
        chain: start.as_ref().map_or(Chain::after(Head::GENESIS), |s| Chain::after(s.head)),
        opened: &mut opened,
        count_from: 0,
        redactions: Vec::new(),
        newer: None,
    };
    // Closed parts that come after the checkpoint, or all of them.
    let first_part = start.as_ref().map_or(Some(0), |s| s.part);
    if let Some(first_part) = first_part {
        for (i, part) in closed.iter().enumerate().skip(first_part) {
            let place = match &start {
                Some(s) if i == first_part => s.place,
                _ => Place::START,
            };
            scan.closed_part(part, place)?;
        }
    }
    let live_start = start.as_ref().filter(|s| s.part.is_none()).map_or(Place::START, |s| s.place);
    let live_index = load_live_index(storage.as_ref(), dir, &file, meta.len).filter(|_| live_start != Place::START);
    let (index, healed) = scan.live_part(storage.as_ref(), dir, &file, meta.len, live_start, live_index)?;
    let head = scan.chain.head();
    let redactions = scan.redactions;
    if let Some(seen) = ahead.filter(|seen| *seen > head.seq) {
        let why = format!("the record ends with entry {}, and the checkpoint has seen entry {seen}", head.seq);
        opened.note(Damage::new(LIVE, None, why));
    }
    opened.healed = healed;
    let len = index.covered().offset;
    // What is read here may still be only in the page cache of a process that was killed.
    file.sync()?;
    let reserve = Reserve::new(storage.as_ref(), dir, file.as_ref(), len, options.reserve_bytes)?;
    let rotate_at = options.rotate_bytes;
    let live = Live { file, id: meta.id, index };
    let mirror = options.mirror.clone().map(|to| Mirror::start(storage.clone(), dir, to)).transpose()?;
    let mut journal = Journal {
        dir: dir.to_owned(),
        options,
        closed: closed.into(),
        live,
        reserve,
        head,
        appended: false,
        failed: None,
        rotate_at,
        redactions,
        mirror,
        gate: Arc::default(),
    };
    // A redaction that cannot be finished now is tried again by `tend`: recording must not wait for it.
    opened.redacted = journal.carry_out_redactions().unwrap_or_default();
    if !opened.redacted.is_empty() {
        // Its state was folded from what is blanked now.
        opened.checkpoint = None;
        opened.since = head.seq;
    }
    journal.feed_mirror();
    Ok((journal, opened))
}

/// Removes what an operation that was cut short left beside the record: none of it is part of it yet.
fn tidy(storage: &dyn Storage, dir: &Path) -> io::Result<()> {
    for name in storage.list(dir)? {
        let ours = name.starts_with("journal") || name.starts_with(checkpoint::NAME);
        if ours && (name == NEXT || name.ends_with(".new") || name.ends_with(REWRITE_SUFFIX)) {
            storage.remove(&dir.join(&name))?;
        }
    }
    Ok(())
}

/// Where a scan begins: behind the entry of the checkpoint.
struct Start {
    head: Head,
    /// Index of the closed part, or `None` for the one that is written to.
    part: Option<usize>,
    place: Place,
}

/// Where the checkpoint lets the scan begin, when it fits, and the last entry that it has seen.
fn find_start(
    storage: &dyn Storage,
    dir: &Path,
    closed: &[Arc<Part>],
    live: &Arc<dyn StoredFile>,
    live_len: u64,
    opened: &mut Opened,
) -> (Option<Start>, Option<u64>) {
    let found = match checkpoint::load(storage, dir) {
        Ok(Some(found)) => found,
        Ok(None) => return (None, None),
        Err(why) => {
            opened.checkpoint_dropped = Some(why);
            return (None, None);
        }
    };
    let seen = Some(found.head.seq);
    let part = closed.iter().position(|part| part.first() == found.part);
    let lines = match part.and_then(|i| closed.get(i)) {
        Some(part) => part.lines(found.place),
        None => Ok(Lines::new(live.clone(), found.place, live_len)),
    };
    let start = match lines.and_then(|mut lines| Ok((follows(&mut lines, &found)?, lines.place()))) {
        Ok((true, place)) => {
            let head = found.head;
            opened.checkpoint = Some(found.checkpoint);
            Some(Start { head, part, place })
        }
        Ok((false, _)) => {
            let Head { seq, hash } = found.head;
            opened.checkpoint_dropped = Some(format!("the journal has no entry {seq} with hash {}", hash.short()));
            None
        }
        Err(e) => {
            opened.checkpoint_dropped = Some(e.to_string());
            None
        }
    };
    (start, seen)
}

/// The next line is the entry that the checkpoint stands at.
fn follows(lines: &mut Lines, found: &Found) -> io::Result<bool> {
    let Some(raw) = lines.next()? else { return Ok(false) };
    if !raw.ended {
        return Ok(false);
    }
    let Ok(line) = raw.read() else { return Ok(false) };
    Ok(line.seq() == found.head.seq && line.hash == found.head.hash && line.check().is_ok())
}

/// The saved index of the live part, when it fits.
fn load_live_index(storage: &dyn Storage, dir: &Path, file: &Arc<dyn StoredFile>, len: u64) -> Option<PartIndex> {
    parts::load_index(storage, dir, LIVE)
        .filter(|index| parts::fits(index, |place| Ok(Lines::new(file.clone(), place, len))))
}

impl Scan<'_> {
    fn closed_part(&mut self, part: &Part, start: Place) -> io::Result<()> {
        let mut index = (start == Place::START).then(PartIndex::empty);
        let mut lines = part.lines(start)?;
        while let Some(raw) = lines.next()? {
            self.line(part.name(), &raw, index.as_mut())?;
        }
        if let Some(index) = index {
            part.set_index(index);
        }
        Ok(())
    }

    /// Reads the live part from `start` on, puts its end right, and has its index complete.
    fn live_part(
        &mut self,
        storage: &dyn Storage,
        dir: &Path,
        file: &Arc<dyn StoredFile>,
        end: u64,
        start: Place,
        saved: Option<PartIndex>,
    ) -> io::Result<(PartIndex, Option<Healed>)> {
        let mut index = saved.unwrap_or_else(PartIndex::empty);
        self.count_from = start.offset;
        let mut lines = Lines::new(file.clone(), index.covered().min(start), end);
        let mut torn = None;
        while let Some(raw) = lines.next()? {
            if !raw.ended {
                if raw.read().is_ok_and(|line| line.check().is_ok()) {
                    // Nothing but the line end is missing.
                    self.line(LIVE, &raw, Some(&mut index))?;
                    write_all(file.as_ref(), b"\n", end)?;
                    index.end_line();
                } else if raw.too_long {
                    self.line(LIVE, &raw, Some(&mut index))?;
                    write_all(file.as_ref(), b"\n", end)?;
                    index.end_line();
                } else {
                    torn = Some(raw.place);
                }
                break;
            }
            let hole = raw.place.offset >= start.offset && raw.bytes.contains(&0);
            if hole && heal::is_torn_append(file, raw.place, end)? {
                torn = Some(raw.place);
                break;
            }
            self.line(LIVE, &raw, Some(&mut index))?;
        }
        // Only at the end is it another version's record; in the middle of this one's it is a changed digit.
        if let Some(line) = self.newer {
            let why = format!("{LIVE} line {line}: a newer mayday wrote it: use that one");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let healed = match torn {
            Some(place) => Some(heal::move_aside(storage, dir, file.as_ref(), place.offset, end)?),
            None => None,
        };
        Ok((index, healed))
    }

    fn line(&mut self, part: &str, raw: &RawLine<'_>, index: Option<&mut PartIndex>) -> io::Result<()> {
        let new = raw.place.offset >= self.count_from;
        let mut fault = None;
        let read = raw.read();
        match &read {
            _ if !new => {}
            Ok(line) => {
                self.opened.since += 1;
                self.newer = None;
                fault = self.chain.step(line).err();
                if line.kind() == "entry.redacted"
                    && let Ok(Entry { event: Event::EntryRedacted(e), .. }) = line.entry()
                    && e.seq > 0
                {
                    self.redactions.push((e.seq, line.seq()));
                }
            }
            Err(why) => {
                self.chain.broken();
                fault = Some(why.clone());
                if line::is_newer(raw.bytes) {
                    self.newer = Some(raw.place.line);
                }
            }
        }
        if let Some(why) = fault {
            self.opened.note(Damage::new(part, Some(raw.place), why));
        }
        if let Some(index) = index
            && raw.place.offset >= index.covered().offset
        {
            match &read {
                Ok(line) => index.push(raw.place, raw.len, Some((line.seq(), line.incident().as_deref()))),
                Err(_) => index.push(raw.place, raw.len, None),
            }
        }
        Ok(())
    }
}
