//! Reading a copy to its very end.
//!
//! Every byte is decoded, since only the end shows that there is one: the checksums of gzip and zstd stand there, the
//! last block of a custom dump, the line that ends a plain one. Runs for as long as the copy is large; the caller gives
//! it a thread at idle priority. What was read is dropped from the page cache again: the memory of a database host is
//! not for backups.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use super::look::{self, Content};
use super::pgdump::{self, DumpFault, Toc};
use super::{Beat, Reading};
use crate::domain::backup::place;
use crate::sys::archive::{self, Codec};
use crate::sys::{digest, manifest, rdb};
use crate::text;

/// What was found in a copy that is whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Whole {
    /// Decoded bytes.
    pub bytes: u64,
    /// In words, for [`Reading::Whole`]: `read to the end: 3.2 GB, 41 tables`.
    pub words: String,
    /// The table of contents of a PostgreSQL dump.
    pub toc: Option<Toc>,
    /// Entries of an archive, files of a folder.
    pub entries: Option<u64>,
}

/// Why a copy was not read to its end.
#[derive(Debug, PartialEq)]
pub enum Not {
    /// The caller asked to stop.
    Stopped,
    /// It is bad, and how.
    Bad(String),
    /// It could not be found out, and why.
    Unknown(String),
}

impl Not {
    fn io(e: &io::Error) -> Self {
        Not::Unknown(look::why_not(e))
    }
}

/// As [`file`], for the catalogue.
pub fn read_file(path: &Path, beat: &Beat) -> Option<Result<Reading, String>> {
    reading(file(path, beat))
}

/// As [`folder`], for the catalogue.
pub fn read_folder(path: &Path, beat: &Beat) -> Option<Result<Reading, String>> {
    reading(folder(path, beat))
}

/// Compares a file with the checksum of its manifest, unless it is known to be bad already.
pub fn against_manifest(
    path: &Path,
    beat: &Beat,
    answer: Option<Result<Reading, String>>,
) -> Option<Result<Reading, String>> {
    let read = match answer {
        Some(Ok(read)) => read,
        other => return other,
    };
    match checksum(path, beat) {
        Ok(None) => Some(Ok(read)),
        Ok(Some(true)) => Some(Ok(Reading::Whole(match read {
            Reading::Whole(words) => format!("{words}; its checksum is that of its manifest"),
            Reading::Cannot(why) => format!("its checksum is that of its manifest; beyond that: {why}"),
            _ => "its checksum is that of its manifest".to_owned(),
        }))),
        Ok(Some(false)) => Some(Err(DAMAGED.to_owned())),
        Err(Not::Stopped) => None,
        Err(Not::Bad(why)) => Some(Err(why)),
        Err(Not::Unknown(_)) => Some(Ok(read)),
    }
}

/// Of a copy that is another one than its manifest means.
pub const DAMAGED: &str = "its checksum is not that of its manifest: it is damaged, or was replaced";

/// Whether a file has the checksum that its manifest states; `None` when none is stated.
pub fn checksum(path: &Path, beat: &Beat) -> Result<Option<bool>, Not> {
    let stated = manifest::read(path).map_err(Not::Unknown)?.and_then(|m| m.sha256);
    let Some(stated) = stated else { return Ok(None) };
    let began = Instant::now();
    let sum = digest::sha256_file(path, &mut |done| {
        beat.read_up_to(done);
        std::thread::sleep(beat.rest(done, began));
        if beat.tick() { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    });
    Ok(Some(sum.map_err(|e| Not::io(&e))?.ok_or(Not::Stopped)? == stated))
}

fn reading(result: Result<Whole, Not>) -> Option<Result<Reading, String>> {
    Some(match result {
        Ok(whole) => Ok(Reading::Whole(whole.words)),
        Err(Not::Stopped) => return None,
        Err(Not::Bad(why)) => Err(why),
        Err(Not::Unknown(why)) => Ok(Reading::Cannot(why)),
    })
}

/// Counts, gives signs of life, keeps the last bytes, and ends when asked to.
struct Watched<'a, R> {
    from: R,
    beat: &'a Beat,
    bytes: u64,
    tail: Vec<u8>,
    /// The same open file, for its position and the page cache.
    raw: &'a File,
    dropped: u64,
    began: Instant,
}

const TAIL: usize = 4096;
const DROP_EVERY: u64 = 32 << 20;

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        self.bytes += n as u64;
        let new = buffer.get(..n).unwrap_or_default();
        let new = new.get(new.len().saturating_sub(TAIL)..).unwrap_or_default();
        self.tail.drain(..(self.tail.len() + new.len()).saturating_sub(TAIL).min(self.tail.len()));
        self.tail.extend_from_slice(new);
        let mut raw = self.raw;
        let position = raw.stream_position().unwrap_or(0);
        self.beat.read_up_to(position);
        if position.saturating_sub(self.dropped) >= DROP_EVERY || n == 0 {
            let _ = rustix::fs::fadvise(self.raw, 0, std::num::NonZeroU64::new(position), rustix::fs::Advice::DontNeed);
            self.dropped = position;
        }
        let rest = self.beat.rest(position, self.began);
        if !rest.is_zero() {
            std::thread::sleep(rest);
        }
        if self.beat.tick() { Err(io::Error::other(Stop)) } else { Ok(n) }
    }
}

#[derive(Debug)]
struct Stop;

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it was asked to stop")
    }
}

impl std::error::Error for Stop {}

/// Reads a file to its end.
pub fn file(path: &Path, beat: &Beat) -> Result<Whole, Not> {
    let mut opened = look::open(path).map_err(|e| Not::io(&e))?;
    let raw = opened.try_clone().map_err(|e| Not::io(&e))?;
    let codec = archive::codec_of(&mut opened).map_err(|e| Not::io(&e))?;
    let named = Codec::by_name(path);
    if named != Codec::Plain && named != codec {
        return Err(Not::Bad(format!("its name says {} and its first bytes do not", named.name())));
    }
    let decoder = archive::reader(opened).map_err(|e| Not::io(&e))?;
    let from = io::BufReader::with_capacity(1 << 17, decoder);
    let mut from = Watched { from, beat, bytes: 0, tail: Vec::new(), raw: &raw, dropped: 0, began: Instant::now() };
    let result = content(&mut from, look::is_json(path));
    if beat.stopped() {
        return Err(Not::Stopped);
    }
    // An archive ends before its file does.
    result.and_then(|mut whole| {
        drain(&mut from, "after its content")?;
        whole.bytes = from.bytes;
        if whole.words.is_empty() {
            whole.words = format!("read to the end: {}", text::size(from.bytes));
        }
        Ok(whole)
    })
}

fn content(from: &mut Watched<'_, impl Read>, json: bool) -> Result<Whole, Not> {
    let mut head = Vec::with_capacity(512);
    if let Err(e) = from.by_ref().take(512).read_to_end(&mut head) {
        return Err(classify(&e, "at its beginning"));
    }
    if head.is_empty() {
        return Err(Not::Bad("there is nothing in it".to_owned()));
    }
    match look::content_of(&head) {
        Content::PgCustom => {
            let mut all = head.as_slice().chain(from);
            let walked = pgdump::walk(&mut all).map_err(dump_fault)?;
            let words = format!(
                "read to the end: {} of {} data blocks, {}, PostgreSQL {} dumped by {}",
                walked.blocks,
                walked.toc.with_data.len(),
                text::size(walked.bytes),
                text::clean(&walked.toc.server),
                text::clean(&walked.toc.dumped_by)
            );
            let words = match walked.toc.compression {
                pgdump::Compression::Lz4 => format!("{words}; lz4 is counted, not decoded"),
                _ => words,
            };
            Ok(Whole { words, toc: Some(walked.toc), ..Whole::default() })
        }
        Content::Tar => {
            let entries = tar_entries(head.as_slice().chain(&mut *from))?;
            drain(from, "after its last entry")?;
            if !from.tail.ends_with(&[0; 512]) {
                return Err(Not::Bad("it is cut off: the blocks that end an archive are missing".to_owned()));
            }
            let n = text::plural(usize::try_from(entries).unwrap_or(usize::MAX), "entry").replace("entrys", "entries");
            let words = format!("read to the end: {n}, {}", text::size(from.bytes));
            Ok(Whole { words, entries: Some(entries), ..Whole::default() })
        }
        Content::PgSql => {
            drain(from, "within its text")?;
            if !look::says_complete(&from.tail) {
                return Err(Not::Bad("it is cut off: the line that ends a PostgreSQL dump is missing".to_owned()));
            }
            let words = format!("read to the end: {} of SQL, ends as a dump ends", text::size(from.bytes));
            Ok(Whole { words, ..Whole::default() })
        }
        Content::Rdb if rdb::head(&head).is_some_and(|h| !h.is_preamble()) => redis(head.as_slice().chain(&mut *from)),
        Content::Unknown if json => values(head.as_slice().chain(&mut *from)),
        _ => {
            drain(from, "within its data")?;
            Ok(Whole::default())
        }
    }
}

/// JSON: one value, or several. A file that was cut off is seen by nothing else.
fn values(from: impl Read) -> Result<Whole, Not> {
    let mut from = Noting { from, fault: None };
    let mut fault = None;
    for value in serde_json::Deserializer::from_reader(&mut from).into_iter::<serde::de::IgnoredAny>() {
        if let Err(e) = value {
            fault = Some(e);
            break;
        }
    }
    match (fault, from.fault) {
        (None, _) => Ok(Whole::default()),
        (Some(_), Some(why)) => Err(Not::Unknown(why)),
        (Some(e), None) if e.is_eof() => Err(Not::Bad("it is cut off: its JSON ends early".to_owned())),
        (Some(e), None) => Err(Not::Bad(format!("it is damaged: no JSON at line {} column {}", e.line(), e.column()))),
    }
}

/// An RDB file: all of it is summed, and the sum stands at its end.
fn redis(from: impl Read) -> Result<Whole, Not> {
    let mut from = Noting { from, fault: None };
    let read = rdb::check(&mut from, &mut |_| ControlFlow::Continue(()));
    match (read, from.fault) {
        (Err(_), Some(why)) => Err(Not::Unknown(why)),
        (Err(why), None) => {
            let advice = [": choose another copy", "; choose another copy"];
            let why = advice.iter().find_map(|a| why.strip_suffix(a)).unwrap_or(&why);
            Err(Not::Bad(why.to_owned()))
        }
        (Ok(None), _) => Err(Not::Stopped),
        (Ok(Some(found)), _) => {
            let sum = if found.summed { "its checksum fits" } else { "written without a checksum" };
            let words = format!("read to the end: {}, {}, {sum}", text::size(found.bytes), found.head.word());
            Ok(Whole { words, ..Whole::default() })
        }
    }
}

/// Remembers that it was the reading that failed, and not what was read.
struct Noting<R> {
    from: R,
    fault: Option<String>,
}

impl<R: Read> Read for Noting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.from.read(buffer).inspect_err(|e| {
            if e.raw_os_error().is_some() {
                self.fault = Some(look::why_not(e));
            }
        })
    }
}

/// The number of entries of a tar archive. Each is passed to its end.
fn tar_entries(from: impl Read) -> Result<u64, Not> {
    let fault = |n: u64, e: &io::Error| match e.raw_os_error() {
        Some(_) => Not::io(e),
        // The archive's reader says so in words only.
        None if e.kind() == io::ErrorKind::UnexpectedEof || e.to_string().contains("EOF") => {
            Not::Bad(format!("it is cut off after {n} of its entries"))
        }
        None => Not::Bad(format!("it is damaged after {n} of its entries: {}", text::clean(&e.to_string()))),
    };
    let mut archive = tar::Archive::new(from);
    let mut n = 0;
    for entry in archive.entries().map_err(|e| fault(0, &e))? {
        let mut entry = entry.map_err(|e| fault(n, &e))?;
        io::copy(&mut entry, &mut io::sink()).map_err(|e| fault(n, &e))?;
        n += 1;
    }
    Ok(n)
}

fn drain(from: &mut impl Read, place: &str) -> Result<u64, Not> {
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(n) => bytes += n as u64,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(classify(&e, place)),
        }
    }
}

fn classify(e: &io::Error, place: &str) -> Not {
    match e.raw_os_error() {
        Some(_) => Not::io(e),
        None if e.kind() == io::ErrorKind::UnexpectedEof => {
            Not::Bad(format!("it is cut off {place}: the compressed data ends early"))
        }
        None => Not::Bad(format!("it is damaged {place}: {}", text::clean(&e.to_string()))),
    }
}

fn dump_fault(fault: DumpFault) -> Not {
    match fault {
        DumpFault::Io(e) => Not::io(&e),
        DumpFault::Newer(..) | DumpFault::Older(..) => Not::Unknown(fault.to_string()),
        DumpFault::Truncated(_) | DumpFault::Damaged(_) => Not::Bad(text::clean(&fault.to_string()).into_owned()),
    }
}

/// Reads every file of a folder; for a directory dump also whether each data file of its table of contents is there.
pub fn folder(path: &Path, beat: &Beat) -> Result<Whole, Not> {
    let toc = match fs::File::open(path.join("toc.dat")) {
        Ok(mut file) => {
            let toc = pgdump::read_toc(&mut io::BufReader::new(&mut file)).map_err(|e| match dump_fault(e) {
                Not::Bad(why) => Not::Bad(format!("toc.dat: {why}")),
                other => other,
            })?;
            Some(toc)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(Not::io(&e)),
    };
    for file in toc.iter().flat_map(|t| &t.files) {
        has_file(path, file)?;
        // Large objects have a list of their own: a number and a file name a line (pg_backup_directory.c).
        if file.ends_with(".toc") {
            let list = fs::read_to_string(path.join(file)).map_err(|e| Not::io(&e))?;
            for name in list.lines().filter_map(|line| line.split_whitespace().nth(1)) {
                has_file(path, name)?;
            }
        }
    }
    let (mut files, mut bytes) = (0u64, 0u64);
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| Not::io(&e))? {
            let entry = entry.map_err(|e| Not::io(&e))?;
            let meta = entry.metadata().map_err(|e| Not::io(&e))?;
            if meta.is_dir() {
                folders.push(entry.path());
            } else if meta.is_file() {
                files += 1;
                bytes += meta.len();
                let is_toc = entry.file_name() == "toc.dat";
                if meta.len() > 0 && !is_toc {
                    one_of(&entry.path(), beat, toc.is_some())?;
                }
            }
        }
    }
    let n = text::plural(usize::try_from(files).unwrap_or(usize::MAX), "file");
    let mut words = format!("read to the end: {n}, {}", text::size(bytes));
    if let Some(toc) = &toc {
        let by = (text::clean(&toc.server), text::clean(&toc.dumped_by));
        words.push_str(&format!(", PostgreSQL {} dumped by {}", by.0, by.1));
    }
    Ok(Whole { bytes, words, toc, entries: Some(files) })
}

/// Whether a directory dump has one of its data files, compressed or not.
fn has_file(folder: &Path, name: &str) -> Result<(), Not> {
    let there = ["", ".gz", ".lz4", ".zst"].iter().any(|ending| folder.join(format!("{name}{ending}")).is_file());
    // Names come from the file: one that leads elsewhere is none.
    if there && !name.contains('/') {
        return Ok(());
    }
    Err(Not::Bad(format!("its table of contents names {}, which is not there", text::clean(name))))
}

/// One file within a folder. Small files that pack nothing are good as they are.
fn one_of(path: &Path, beat: &Beat, of_dump: bool) -> Result<(), Not> {
    let name = || place::of_bytes(path.file_name().unwrap_or_default().as_encoded_bytes());
    match file(path, beat) {
        Ok(_) => Ok(()),
        // An empty table of a compressed directory dump is a compressed nothing.
        Err(Not::Bad(why)) if of_dump && why == "there is nothing in it" => Ok(()),
        Err(Not::Bad(why)) => Err(Not::Bad(format!("{}: {why}", name()))),
        Err(Not::Unknown(why)) => Err(Not::Unknown(format!("{}: {why}", name()))),
        Err(Not::Stopped) => Err(Not::Stopped),
    }
}
