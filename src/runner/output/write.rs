//! Writing the captured output within its limit.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::super::folder::OUTPUT;
use super::super::status::{OutputMap, Part};
use super::{Piece, segment_path, segments};

/// After a failed write, the next attempt.
const RETRY: Duration = Duration::from_secs(1);
/// Lines and bytes of the excerpt.
const EXCERPT_LINES: usize = 20;
const EXCERPT_BYTES: usize = 2048;
/// Characters of a line in the excerpt.
const EXCERPT_LINE: usize = 400;

/// The file being written, and the position its next byte has.
struct Open {
    file: File,
    path: PathBuf,
    start: u64,
    /// Bytes in the file.
    len: u64,
    /// Lines that are not in the file yet.
    waiting: Vec<u8>,
}

/// Takes lines, keeps the first and the last of them on disk.
pub struct Output {
    dir: PathBuf,
    /// Bytes for the beginning, and for the end.
    head_limit: u64,
    tail_limit: u64,
    /// Position of the next byte.
    at: u64,
    open: Option<Open>,
    in_head: bool,
    older: VecDeque<Piece>,
    broken: Option<Instant>,
    last: VecDeque<String>,
    closed: bool,
}

/// How the output was left.
#[derive(Clone, Debug, Default)]
pub struct Closed {
    pub map: OutputMap,
    pub digest: String,
    pub excerpt: String,
}

impl Output {
    /// `limit` in bytes, half for the beginning and half for the end.
    pub fn new(dir: &Path, limit: u64) -> Output {
        let half = (limit / 2).max(1024);
        let mut output = Output { head_limit: half, tail_limit: half, in_head: true, ..Output::nowhere(dir) };
        match Open::create(dir.join(OUTPUT), 0) {
            Ok(open) => output.open = Some(open),
            Err(_) => output.fail(),
        }
        output
    }

    /// Goes on behind what an earlier process left, in a segment of its own.
    pub fn reopen(dir: &Path, limit: u64) -> Output {
        let at = super::Layout::read(dir).map_or(0, |l| l.total);
        let older = segments(dir).unwrap_or_default().into();
        let tail_limit = (limit / 2).max(1024);
        Output { at, older, tail_limit, ..Output::nowhere(dir) }
    }

    /// Writes nothing until there is something to write.
    pub fn nowhere(dir: &Path) -> Output {
        Output {
            dir: dir.to_path_buf(),
            head_limit: 0,
            tail_limit: 0,
            at: 0,
            open: None,
            in_head: false,
            older: VecDeque::new(),
            broken: None,
            last: VecDeque::new(),
            closed: false,
        }
    }

    /// Keeps nothing at all.
    pub fn closed(dir: &Path) -> Output {
        Output { closed: true, ..Output::nowhere(dir) }
    }

    /// One line, cleaned and masked, without its end. Never fails: what cannot be written is counted.
    pub fn line(&mut self, line: &str) {
        self.push(line);
        self.flush();
    }

    /// Like [`line`](Self::line), but in the file only after [`flush`](Self::flush), which belongs at the end of each
    /// piece of output: a write for every line would cost a flood ten times as much.
    pub fn push(&mut self, line: &str) {
        if self.closed {
            return;
        }
        self.remember(line);
        let len = line.len() as u64 + 1;
        let room = if self.in_head { self.head_limit } else { (self.tail_limit / 2).max(512) };
        if self.open.as_ref().is_some_and(|open| open.size() > 0 && open.size() + len > room) {
            self.flush();
            self.next_segment();
        }
        if self.open.is_none() && self.broken.is_none_or(|at| at.elapsed() >= RETRY) {
            match Open::create(segment_path(&self.dir, self.at), self.at) {
                Ok(open) => self.open = Some(open),
                Err(_) => self.fail(),
            }
        }
        if let Some(open) = &mut self.open {
            open.waiting.extend_from_slice(line.as_bytes());
            open.waiting.push(b'\n');
        }
        self.at += len;
    }

    /// Writes what waits.
    pub fn flush(&mut self) {
        if self.open.as_mut().is_some_and(|open| open.write().is_err()) {
            self.fail();
        }
        self.drop_old();
    }

    fn remember(&mut self, line: &str) {
        let full = self.last.len() >= EXCERPT_LINES;
        let mut kept = if full { self.last.pop_front().unwrap_or_default() } else { String::new() };
        kept.clear();
        kept.push_str(line.get(..line.floor_char_boundary(EXCERPT_BYTES)).unwrap_or_default());
        self.last.push_back(kept);
    }

    /// The last lines, as many as an excerpt may have.
    fn excerpt(&self) -> String {
        let mut room = EXCERPT_BYTES;
        let mut lines = Vec::new();
        for line in self.last.iter().rev() {
            let line = crate::text::clean::clean_to(line, EXCERPT_LINE).into_owned();
            if !lines.is_empty() && line.len() + 1 > room {
                break;
            }
            room = room.saturating_sub(line.len() + 1);
            lines.push(line);
        }
        lines.reverse();
        lines.join("\n")
    }

    /// The present file is full.
    fn next_segment(&mut self) {
        self.put_away();
        if self.broken.is_none() {
            match Open::create(segment_path(&self.dir, self.at), self.at) {
                Ok(open) => self.open = Some(open),
                Err(_) => self.fail(),
            }
        }
    }

    /// Nothing could be written: the disk is full, or broken. What is in the file stays; the rest is counted.
    fn fail(&mut self) {
        self.put_away();
        self.broken = Some(Instant::now());
    }

    fn put_away(&mut self) {
        if let Some(open) = self.open.take() {
            if self.in_head {
                self.head_limit = open.len;
            } else if open.len == 0 {
                let _ = fs::remove_file(&open.path);
            } else {
                let part = Part { start: open.start, len: open.len, at: 0 };
                self.older.push_back(Piece { path: open.path, part });
            }
        }
        self.in_head = false;
    }

    fn drop_old(&mut self) {
        let kept = |o: &Output| {
            o.older.iter().map(|p| p.part.len).sum::<u64>()
                + o.open.as_ref().filter(|_| !o.in_head).map_or(0, |open| open.len)
        };
        while kept(self) > self.tail_limit {
            let Some(oldest) = self.older.pop_front() else { return };
            let _ = fs::remove_file(oldest.path);
        }
    }

    /// Everything on disk; where something was cut, the parts are joined beside `output.log`. The joined file takes its
    /// place in [`settle`], after the status was written: until then the segments are the truth.
    pub fn close(mut self) -> Closed {
        self.flush();
        let head = self.dir.join(OUTPUT);
        if let Some(open) = &self.open {
            let _ = open.file.sync_all();
        }
        let was_head = self.in_head;
        let head_len = if was_head { self.open.as_ref().map_or(0, |o| o.len) } else { self.head_limit };
        self.put_away();
        let excerpt = self.excerpt();
        let head_len = head_len.min(fs::metadata(&head).map_or(0, |m| m.len()));
        let mut parts = vec![Part { start: 0, len: head_len, at: 0 }];
        let kept = head_len + self.older.iter().map(|p| p.part.len).sum::<u64>();
        let cut = self.at.saturating_sub(kept);
        // No room to join them: they stay as they are, and so does what is known of them.
        let (digest, joined) = join(&self.dir, head_len, &self.older, self.at).unwrap_or_default();
        parts.extend(joined);
        Closed { map: OutputMap { total: self.at, cut, parts }, digest, excerpt }
    }
}

impl Open {
    fn create(path: PathBuf, start: u64) -> io::Result<Open> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path)?;
        Ok(Open { file, path, start, len: 0, waiting: Vec::new() })
    }

    fn size(&self) -> u64 {
        self.len + self.waiting.len() as u64
    }

    /// Everything that waits. Of what does not fit as a whole, the lines that do.
    fn write(&mut self) -> io::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let written = match self.append(&waiting) {
            Ok(()) => Ok(()),
            Err(_) => waiting.split_inclusive(|b| *b == b'\n').try_for_each(|line| self.append(line)),
        };
        self.waiting = waiting;
        self.waiting.clear();
        written
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.file.write_all(bytes) {
            Ok(()) => {
                self.len += bytes.len() as u64;
                Ok(())
            }
            Err(e) => {
                let _ = self.file.set_len(self.len);
                let _ = self.file.seek(io::SeekFrom::Start(self.len));
                Err(e)
            }
        }
    }
}

const JOINED: &str = "output.log.new";

/// Joins the beginning and the segments beside `output.log`, with a line for each gap. Gives the digest of what
/// `output.log` will hold and where the segments lie in it. With nothing to join, the digest of `output.log` as it is.
fn join(dir: &Path, head_len: u64, older: &VecDeque<Piece>, total: u64) -> io::Result<(String, Vec<Part>)> {
    let mut hash = Sha256::new();
    let head = dir.join(OUTPUT);
    if older.is_empty() && head_len == total {
        copy(&head, head_len, &mut hash, None)?;
        return Ok((hex::encode(hash.finalize()), Vec::new()));
    }
    let path = dir.join(JOINED);
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path)?;
    let mut parts = Vec::new();
    let written = (|| {
        let mut at = copy(&head, head_len, &mut hash, Some(&mut file))?;
        let mut position = head_len;
        let gap = |from: u64, to: u64, file: &mut File, hash: &mut Sha256| -> io::Result<u64> {
            if to <= from {
                return Ok(0);
            }
            let line = format!("······ {} bytes of output were cut here ······\n", to - from);
            file.write_all(line.as_bytes())?;
            hash.update(line.as_bytes());
            Ok(line.len() as u64)
        };
        for piece in older {
            at += gap(position, piece.part.start, &mut file, &mut hash)?;
            parts.push(Part { start: piece.part.start, len: piece.part.len, at });
            at += copy(&piece.path, piece.part.len, &mut hash, Some(&mut file))?;
            position = piece.part.start + piece.part.len;
        }
        gap(position, total, &mut file, &mut hash)?;
        file.sync_all()
    })();
    if let Err(e) = written {
        let _ = fs::remove_file(&path);
        return Err(e);
    }
    Ok((hex::encode(hash.finalize()), parts))
}

fn copy(path: &Path, len: u64, hash: &mut Sha256, mut to: Option<&mut File>) -> io::Result<u64> {
    let mut from = BufReader::new(File::open(path)?).take(len);
    let mut buffer = vec![0; 64 << 10];
    let mut done = 0;
    loop {
        let n = from.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else {
            return Ok(done);
        };
        hash.update(bytes);
        if let Some(file) = &mut to {
            file.write_all(bytes)?;
        }
        done += n as u64;
    }
}

/// After the status is on disk: the joined file takes its place, the segments go.
pub fn settle(dir: &Path) -> io::Result<()> {
    let joined = dir.join(JOINED);
    if !joined.exists() {
        return Ok(());
    }
    fs::rename(&joined, dir.join(OUTPUT))?;
    for piece in segments(dir)? {
        fs::remove_file(piece.path)?;
    }
    crate::sys::disk::fsync_dir(dir)
}
