//! Captured output on disk: the beginning and the end are kept, what lies between is counted.
//!
//! Output is a sequence of cleaned text lines with positions of its own: byte 0 is the first byte the run ever put out,
//! and a position never changes its meaning. `output.log` holds the beginning. Once that is full, the rest goes into
//! segments named by the position at which they begin (`output-000008388608.log`), of which the oldest are dropped. At
//! the end everything kept is joined into `output.log`, with a line where something was cut, and `status.json` says which
//! positions lie where. A full disk is a cut like any other: what could not be written is counted, and writing is tried
//! again later.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::folder::OUTPUT;
use super::status::{Part, Status};

pub(super) mod lines;
pub(super) mod write;

/// Bytes given at the most by one call of [`output`].
const LARGEST: usize = 1 << 20;

/// A piece of a run's output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputChunk {
    /// Cleaned and masked: no escape sequence and no secret is in it.
    pub text: String,
    /// Position of the text in the whole output. Greater than asked for when what was asked for was cut.
    pub offset: u64,
    /// Position to go on from.
    pub next: u64,
    /// Bytes that the run has put out so far.
    pub total: u64,
    /// Bytes of them that were not kept.
    pub cut: u64,
}

/// Up to `len` bytes (at most 1 MiB) of the output from position `offset` on. Whole characters only; an empty text
/// means that there is nothing there yet. The position after the last byte is `total`, so `total - n` gives the end.
pub fn output(dir: &Path, offset: u64, len: usize) -> io::Result<OutputChunk> {
    // Segments are dropped and joined while they are read: what was listed may be gone a moment later.
    let mut tries = 0;
    loop {
        match try_output(dir, offset, len.min(LARGEST)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && tries < 3 => tries += 1,
            other => return other,
        }
    }
}

fn try_output(dir: &Path, offset: u64, len: usize) -> io::Result<OutputChunk> {
    let layout = Layout::read(dir)?;
    let mut chunk =
        OutputChunk { total: layout.total, cut: layout.cut, offset: offset.min(layout.total), ..Default::default() };
    chunk.next = chunk.offset;
    let Some(piece) = layout.pieces.iter().find(|p| p.part.start + p.part.len > offset) else {
        return Ok(chunk);
    };
    chunk.offset = offset.max(piece.part.start);
    let within = chunk.offset - piece.part.start;
    let want = usize::try_from(piece.part.len - within).unwrap_or(usize::MAX).min(len);
    let mut bytes = vec![0; want];
    let got = read_at(&File::open(&piece.path)?, &mut bytes, piece.part.at + within)?;
    bytes.truncate(got);
    // An offset in the middle of a character belongs to whoever computed it from the end: step forward.
    let skip = bytes.iter().take(4).take_while(|b| (0x80..0xc0).contains(*b)).count().min(bytes.len());
    bytes.drain(..skip);
    chunk.offset += skip as u64;
    let whole = match std::str::from_utf8(&bytes) {
        Ok(_) => bytes.len(),
        Err(e) => e.valid_up_to(),
    };
    bytes.truncate(whole);
    chunk.next = chunk.offset + whole as u64;
    chunk.text = String::from_utf8(bytes).unwrap_or_default();
    Ok(chunk)
}

fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut got = 0;
    while let Some(rest) = buffer.get_mut(got..).filter(|r| !r.is_empty()) {
        match file.read_at(rest, at + got as u64)? {
            0 => break,
            n => got += n,
        }
    }
    Ok(got)
}

/// A kept part and the file that holds it.
#[derive(Clone, Debug)]
struct Piece {
    path: PathBuf,
    part: Part,
}

/// Where which part of the output lies.
struct Layout {
    pieces: Vec<Piece>,
    total: u64,
    cut: u64,
}

impl Layout {
    fn read(dir: &Path) -> io::Result<Layout> {
        let head = dir.join(OUTPUT);
        let head_len = match fs::metadata(&head) {
            Ok(meta) => meta.len(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
            Err(e) => return Err(e),
        };
        let status = Status::read(dir).ok().flatten();
        let segments = segments(dir)?;
        let mut pieces = Vec::new();
        let total;
        match status {
            Some(status) if segments.is_empty() => {
                total = status.output.total;
                pieces.extend(status.output.parts.iter().map(|part| Piece { path: head.clone(), part: *part }));
            }
            status => {
                // Joined or not, the first part of `output.log` is the beginning.
                let said = status.as_ref().map_or(0, |s| s.output.total);
                let first = status.and_then(|s| s.output.parts.first().map(|p| p.len)).unwrap_or(head_len);
                let part = Part { start: 0, len: first.min(head_len), at: 0 };
                pieces.push(Piece { path: head, part });
                pieces.extend(segments);
                total = pieces.last().map_or(0, |p| p.part.start + p.part.len).max(said);
            }
        }
        let kept: u64 = pieces.iter().map(|p| p.part.len).sum();
        Ok(Layout { pieces, total, cut: total.saturating_sub(kept) })
    }
}

fn segment_path(dir: &Path, start: u64) -> PathBuf {
    dir.join(format!("output-{start:012}.log"))
}

/// The segments there are, in order.
fn segments(dir: &Path) -> io::Result<Vec<Piece>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let start = name.to_str().and_then(|n| n.strip_prefix("output-")?.strip_suffix(".log")?.parse().ok());
        if let Some(start) = start {
            found.push(Piece { path: entry.path(), part: Part { start, len: entry.metadata()?.len(), at: 0 } });
        }
    }
    found.sort_by_key(|p| p.part.start);
    Ok(found)
}
