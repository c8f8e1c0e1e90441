//! PostgreSQL's custom and directory dump formats, read just far enough to know that a dump is all there.
//!
//! `pg_restore --list` reads the table of contents at the beginning, so a dump whose disk filled up half-way passes it.
//! This walks every data block to the end, decodes what is compressed, and compares the blocks that are there with
//! those that the table of contents promises. The layout is that of `pg_backup_archiver.c` (`ReadHead`, `ReadToc`) and
//! `pg_backup_custom.c` (`_PrintTocData`, `_skipData`) of PostgreSQL 9.0 to 18: archive versions 1.11 to 1.16.

use std::collections::BTreeSet;
use std::io::{self, Read};

/// How data blocks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    /// Not decoded here: the blocks are only counted.
    Lz4,
    Zstd,
}

/// The archive's own format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Custom,
    /// Also what the `toc.dat` of a directory dump says of itself (pg_backup_directory.c, `_CloseArchive`).
    Tar,
    Directory,
}

/// What the table of contents says.
#[derive(Clone, Debug, PartialEq)]
pub struct Toc {
    /// Archive version: 1.14 is `(1, 14)`.
    pub version: (u8, u8),
    pub format: Format,
    pub compression: Compression,
    pub database: String,
    /// Version of the server that was dumped.
    pub server: String,
    /// Version of pg_dump.
    pub dumped_by: String,
    pub entries: usize,
    /// Entries whose data follows: their ids.
    pub with_data: BTreeSet<i64>,
    /// Directory format: the names of the data files, compression's ending not included.
    pub files: Vec<String>,
    int_size: usize,
}

/// What a walk to the end found.
#[derive(Clone, Debug, PartialEq)]
pub struct Walked {
    pub toc: Toc,
    pub blocks: usize,
    /// Decoded bytes; stored bytes where the compression is not decoded here.
    pub bytes: u64,
}

/// Why a dump is not whole, or cannot be known to be.
#[derive(Debug, thiserror::Error)]
pub enum DumpFault {
    #[error("it is cut off {0}")]
    Truncated(String),
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error("its archive version {0}.{1} is newer than the ones known here (up to 1.16)")]
    Newer(u8, u8),
    #[error("its archive version {0}.{1} is older than the ones known here (from 1.11)")]
    Older(u8, u8),
    #[error("it cannot be read: {0}")]
    Io(io::Error),
}

impl DumpFault {
    fn at(e: io::Error, place: &str) -> Self {
        match e.kind() {
            _ if e.raw_os_error().is_some() => DumpFault::Io(e),
            io::ErrorKind::UnexpectedEof => DumpFault::Truncated(place.to_owned()),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
                DumpFault::Damaged(format!("{place}: {e}"))
            }
            _ => DumpFault::Io(e),
        }
    }
}

/// Longest text that is kept; longer ones are passed over.
const KEPT: u64 = 4096;

struct Input<R> {
    from: R,
    int_size: usize,
}

impl<R: Read> Input<R> {
    fn byte(&mut self) -> io::Result<u8> {
        let mut b = [0];
        self.from.read_exact(&mut b)?;
        Ok(b[0])
    }

    /// A sign byte and `int_size` bytes, least significant first.
    fn int(&mut self) -> io::Result<i64> {
        let negative = self.byte()? != 0;
        let mut value = 0i64;
        for i in 0..self.int_size {
            let b = i64::from(self.byte()?);
            if i < 7 {
                value |= b << (8 * i);
            }
        }
        Ok(if negative { -value } else { value })
    }

    fn skip(&mut self, n: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.from).take(n), &mut io::sink())?;
        if skipped < n { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// A length and as many bytes; a negative length is no text.
    fn text(&mut self) -> io::Result<Option<String>> {
        let Ok(length) = u64::try_from(self.int()?) else { return Ok(None) };
        let mut kept = Vec::new();
        let wanted = length.min(KEPT);
        (&mut self.from).take(wanted).read_to_end(&mut kept)?;
        if (kept.len() as u64) < wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.skip(length - wanted)?;
        Ok(Some(String::from_utf8_lossy(&kept).into_owned()))
    }
}

/// Reads head and table of contents; `from` then stands at the first data block.
pub fn read_toc(from: &mut impl Read) -> Result<Toc, DumpFault> {
    let mut input = Input { from, int_size: 4 };
    let in_head = |e| DumpFault::at(e, "within its head");
    let mut magic = [0; 5];
    input.from.read_exact(&mut magic).map_err(in_head)?;
    if magic != *b"PGDMP" {
        return Err(DumpFault::Damaged("it does not begin with PGDMP".to_owned()));
    }
    let mut fixed = [0; 6];
    input.from.read_exact(&mut fixed).map_err(in_head)?;
    let [major, minor, _rev, int_size, offset_size, format] = fixed;
    let version = (major, minor);
    if version < (1, 11) {
        return Err(DumpFault::Older(major, minor));
    }
    if version > (1, 16) {
        return Err(DumpFault::Newer(major, minor));
    }
    if !(4..=8).contains(&int_size) || !(4..=8).contains(&offset_size) {
        return Err(DumpFault::Damaged(format!("its numbers are {int_size} and {offset_size} bytes wide")));
    }
    input.int_size = usize::from(int_size);
    let format = match format {
        1 => Format::Custom,
        3 => Format::Tar,
        5 => Format::Directory,
        other => return Err(DumpFault::Damaged(format!("its format is number {other}, which does not exist"))),
    };
    let compression = if version >= (1, 15) {
        match input.byte().map_err(in_head)? {
            0 => Compression::None,
            1 => Compression::Gzip,
            2 => Compression::Lz4,
            3 => Compression::Zstd,
            other => return Err(DumpFault::Damaged(format!("its compression is number {other}"))),
        }
    } else if input.int().map_err(in_head)? == 0 {
        Compression::None
    } else {
        Compression::Gzip
    };
    // Seconds to the daylight-saving flag of a struct tm, in the dumping host's own zone.
    for _ in 0..7 {
        input.int().map_err(in_head)?;
    }
    let mut text = || input.text().map_err(in_head).map(Option::unwrap_or_default);
    let (database, server, dumped_by) = (text()?, text()?, text()?);
    let mut toc = Toc {
        version,
        format,
        compression,
        database,
        server,
        dumped_by,
        entries: 0,
        with_data: BTreeSet::new(),
        files: Vec::new(),
        int_size: input.int_size,
    };
    read_entries(&mut input, usize::from(offset_size), &mut toc)
        .map_err(|e| DumpFault::at(e, "within its table of contents"))?;
    Ok(toc)
}

fn read_entries(input: &mut Input<impl Read>, offset_size: usize, toc: &mut Toc) -> io::Result<()> {
    let bad = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let count = input.int()?;
    if count < 0 {
        return Err(bad(format!("{count} entries")));
    }
    for n in 0..count {
        let id = input.int()?;
        if id <= 0 {
            return Err(bad(format!("entry {n} has the id {id}")));
        }
        input.int()?; // whether pg_dump had a function for its data
        for _ in 0..4 {
            input.text()?; // class, object, tag, kind
        }
        input.int()?; // section
        for _ in 0..5 {
            input.text()?; // definition, drop, copy, schema, tablespace
        }
        if toc.version >= (1, 14) {
            input.text()?; // access method
        }
        if toc.version >= (1, 16) {
            input.int()?; // kind of relation
        }
        input.text()?; // owner
        input.text()?; // with oids
        while input.text()?.is_some() {} // dependencies
        match toc.format {
            Format::Custom => {
                let state = input.byte()?;
                input.skip(offset_size as u64)?;
                match state {
                    // Position not set (the output could not be rewound) or set.
                    1 | 2 => {
                        toc.with_data.insert(id);
                    }
                    3 => {}
                    other => return Err(bad(format!("entry {id} has the data state {other}"))),
                }
            }
            Format::Tar | Format::Directory => {
                if let Some(file) = input.text()?.filter(|f| !f.is_empty()) {
                    toc.with_data.insert(id);
                    toc.files.push(file);
                }
            }
        }
        toc.entries += 1;
    }
    Ok(())
}

/// The pieces of one block: a length and as many bytes, until a length of zero.
struct Pieces<'a, R> {
    input: &'a mut Input<R>,
    left: u64,
    ended: bool,
}

impl<R: Read> Read for Pieces<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.ended {
            let length = self.input.int()?;
            self.left = u64::try_from(length)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("a piece of {length} bytes")))?;
            self.ended = self.left == 0;
        }
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.input.from.read(buffer.get_mut(..n).unwrap_or_default())?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Decodes one sequence of pieces to its end. Returns the decoded bytes.
fn drain<R: Read>(input: &mut Input<R>, compression: Compression) -> io::Result<u64> {
    let mut pieces = Pieces { input, left: 0, ended: false };
    // A table without rows has no pieces at all under some versions.
    let mut first = [0];
    if pieces.read(&mut first)? == 0 {
        return Ok(0);
    }
    let mut from = first.as_slice().chain(&mut pieces);
    let decoded = match compression {
        Compression::None | Compression::Lz4 => io::copy(&mut from, &mut io::sink())?,
        Compression::Gzip => {
            let mut decoder = flate2::read::ZlibDecoder::new_with_buf(&mut from, vec![0; 8192]);
            io::copy(&mut decoder, &mut io::sink())?
        }
        Compression::Zstd => io::copy(&mut zstd::stream::read::Decoder::new(&mut from)?, &mut io::sink())?,
    };
    // What follows the compressed stream, up to the length that ends the block.
    io::copy(&mut from, &mut io::sink())?;
    Ok(decoded)
}

/// Walks a custom-format dump from its first byte to its last.
pub fn walk(from: &mut impl Read) -> Result<Walked, DumpFault> {
    let toc = read_toc(from)?;
    if toc.format != Format::Custom {
        return Err(DumpFault::Damaged("it is a single file and says that it is not in custom format".to_owned()));
    }
    let mut input = Input { from, int_size: toc.int_size };
    let mut missing = toc.with_data.clone();
    let (mut blocks, mut bytes) = (0, 0u64);
    loop {
        let mut kind = [0];
        if read_some(&mut input.from, &mut kind).map_err(DumpFault::Io)? == 0 {
            break;
        }
        let place = format!("within its data, block {} of {}", blocks + 1, toc.with_data.len());
        let at = |e| DumpFault::at(e, &place);
        let id = input.int().map_err(at)?;
        match kind[0] {
            1 => bytes = bytes.saturating_add(drain(&mut input, toc.compression).map_err(at)?),
            // Large objects: a number and pieces for each, until the number is zero.
            3 => {
                while input.int().map_err(at)? != 0 {
                    bytes = bytes.saturating_add(drain(&mut input, toc.compression).map_err(at)?);
                }
            }
            other => return Err(DumpFault::Damaged(format!("{place}: there is no block of kind {other}"))),
        }
        missing.remove(&id);
        blocks += 1;
    }
    if !missing.is_empty() {
        let all = toc.with_data.len();
        return Err(DumpFault::Truncated(format!("after its data block {blocks} of {all}")));
    }
    Ok(Walked { toc, blocks, bytes })
}

fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
