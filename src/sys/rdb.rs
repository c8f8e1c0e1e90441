//! Reading a copy of Redis to its end: RDB files by their checksum, append-only files command by command.
//!
//! An RDB file is `REDIS`, four digits of a version, fields, keys, the byte FF and a CRC-64 of all before it, little endian
//! (rdb.c, crc64.c: polynomial of Jones). Keys are not taken apart: a checksum that fits says more than a walk through
//! them. An append-only file is the commands as clients send them (aof.c), since version 4 often behind an RDB file; that
//! ends where its checksum fits. Everything here blocks.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;

/// Asked now and then with bytes decoded; it can end the reading.
pub type Progress<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

/// What stands at the beginning of an RDB file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub version: u32,
    /// `redis-ver`, `used-mem`, `ctime`, `aof-base` …
    pub fields: BTreeMap<String, String>,
}

impl Head {
    /// Bytes that the server which wrote it used.
    pub fn memory(&self) -> Option<u64> {
        self.fields.get("used-mem")?.parse().ok()
    }

    /// It is the beginning of an append-only file.
    pub fn is_preamble(&self) -> bool {
        ["aof-base", "aof-preamble"].iter().any(|k| self.fields.get(*k).is_some_and(|v| v == "1"))
    }

    /// `version 10, by Redis 7.0.15`.
    pub fn word(&self) -> String {
        match self.fields.get("redis-ver") {
            Some(by) => format!("version {}, by Redis {}", self.version, crate::text::clean(by)),
            None => format!("version {}", self.version),
        }
    }
}

/// The head, as far as `front` shows it. `None`: it is no RDB file.
pub fn head(front: &[u8]) -> Option<Head> {
    let digits = front.strip_prefix(b"REDIS")?.get(..4)?;
    let version = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let mut head = Head { version, fields: BTreeMap::new() };
    let mut rest = front.get(9..).unwrap_or_default();
    // Fields come first, each the byte FA, a name and a value.
    while let Some((0xFA, after)) = rest.split_first() {
        let Some((name, after)) = string(after) else { break };
        let Some((value, after)) = string(after) else { break };
        head.fields.insert(name, value);
        rest = after;
    }
    Some(head)
}

/// A short string or a number, as fields have them.
fn string(from: &[u8]) -> Option<(String, &[u8])> {
    let (first, rest) = from.split_first()?;
    let number = |n: usize| rest.get(..n).map(|b| (b, rest.get(n..).unwrap_or_default()));
    let (text, rest) = match *first {
        0xC0 => number(1).map(|(b, r)| (i64::from(b[0].cast_signed()).to_string(), r))?,
        0xC1 => number(2).and_then(|(b, r)| Some((i16::from_le_bytes(b.try_into().ok()?).to_string(), r)))?,
        0xC2 => number(4).and_then(|(b, r)| Some((i32::from_le_bytes(b.try_into().ok()?).to_string(), r)))?,
        length if length < 0x40 => {
            let (bytes, rest) = number(usize::from(length))?;
            (String::from_utf8_lossy(bytes).into_owned(), rest)
        }
        _ => return None,
    };
    Some((text, rest))
}

/// What reading an RDB file to its end found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    pub head: Head,
    pub bytes: u64,
    /// It was written with a checksum.
    pub summed: bool,
}

/// Newest version without a checksum at the end.
const UNSUMMED: u32 = 4;
const END: u8 = 0xFF;
/// The end mark and the checksum.
const TRAILER: usize = 9;
/// Bytes in which the fields of the head stand.
pub const FRONT: usize = 4096;

/// What its last bytes already show: `None` when it ends as an RDB file of this version does. Cut off, it does so only by
/// chance. An append-only file that begins as one ([`Head::is_preamble`]) ends with commands and is none of them.
pub fn cut_off(head: &Head, tail: &[u8]) -> Option<&'static str> {
    let end = if head.version <= UNSUMMED { tail.last() } else { tail.iter().rev().nth(TRAILER - 1) };
    (end != Some(&END)).then_some("it is cut off: its end mark is missing")
}

/// Bytes that [`cut_off`] looks at.
pub const TAIL: u64 = TRAILER as u64;

/// Reads an RDB file to its end. `None` when `progress` ended it. Errors: why it is not to be used.
pub fn check(mut from: impl Read, progress: Progress<'_>) -> Result<Option<Whole>, String> {
    let mut buffer = vec![0u8; 1 << 18];
    let mut held: Vec<u8> = Vec::new();
    let mut front: Vec<u8> = Vec::new();
    let (mut crc, mut total) = (0u64, 0u64);
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(read_error(&e)),
        };
        let bytes = buffer.get(..n).unwrap_or_default();
        if front.len() < FRONT {
            front.extend(bytes.iter().take(FRONT - front.len()));
        }
        total += n as u64;
        held.extend_from_slice(bytes);
        // The last bytes are the sum, whatever comes before them is summed.
        let sure = held.len().saturating_sub(TRAILER);
        crc = crc64(crc, held.get(..sure).unwrap_or_default());
        held.drain(..sure);
        if progress(total).is_break() {
            return Ok(None);
        }
    }
    let head = head(&front).ok_or("it does not begin as an RDB file does: choose another copy")?;
    if head.version <= UNSUMMED {
        return match held.last() {
            Some(&END) => Ok(Some(Whole { head, bytes: total, summed: false })),
            _ => Err("it is cut off: its end mark is missing; choose another copy".into()),
        };
    }
    let (Some(end), Some(sum)) = (held.first(), held.get(1..).and_then(|b| <[u8; 8]>::try_from(b).ok())) else {
        return Err("it is cut off: choose another copy".into());
    };
    let sum = u64::from_le_bytes(sum);
    if *end != END {
        return Err("it is cut off: its end mark is missing; choose another copy".into());
    }
    if sum != 0 && sum != crc64(crc, &[END]) {
        return Err("it is damaged: its checksum does not fit; choose another copy".into());
    }
    Ok(Some(Whole { head, bytes: total, summed: sum != 0 }))
}

/// A failing read in words.
pub fn read_error(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut off: its compressed data ends early; choose another copy".into(),
        _ if e.raw_os_error().is_some() => format!("it cannot be read: {e}"),
        _ => format!("it is damaged ({}): choose another copy", crate::text::clean(&e.to_string())),
    }
}

/// One append-only file, read to where it is good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commands {
    pub bytes: u64,
    /// Up to here it holds whole commands, and whole transactions.
    pub good: u64,
    pub commands: u64,
    /// What is wrong behind that; `None` when nothing is.
    pub fault: Option<String>,
}

/// Reads an append-only file to its end, or to its first fault. `None` when `progress` ended it. Errors: it cannot be
/// read, or nothing of it is good.
pub fn check_aof(from: impl Read, progress: Progress<'_>) -> Result<Option<Commands>, String> {
    let mut from = BufReader::with_capacity(1 << 18, Tally { from, read: 0 });
    let mut found = Commands::default();
    let mut at = 0u64;
    if from.fill_buf().map_err(|e| read_error(&e))?.starts_with(b"REDIS") {
        match preamble(&mut from, progress)? {
            None => return Ok(None),
            Some(length) => at = length,
        }
        found.good = at;
    }
    let mut open = false;
    loop {
        if found.commands.is_multiple_of(4096) && progress(at).is_break() {
            return Ok(None);
        }
        match command(&mut from, &mut at) {
            Ok(None) => {
                found.bytes = at;
                if open && found.fault.is_none() {
                    found.fault = Some("it ends within a transaction".into());
                }
                return Ok(Some(found));
            }
            Ok(Some(name)) => {
                found.commands += 1;
                match name.as_slice() {
                    b"multi" => open = true,
                    b"exec" => open = false,
                    _ => {}
                }
                if !open {
                    found.good = at;
                }
            }
            Err(Bad::Io(e)) => return Err(read_error(&e)),
            Err(bad) => {
                let torn = matches!(bad, Bad::End);
                found.fault = Some(if torn { "it ends within a command".into() } else { "it is damaged".into() });
                io::copy(&mut from, &mut io::sink()).map_err(|e| read_error(&e))?;
                found.bytes = from.get_ref().read;
                return Ok(Some(found));
            }
        }
    }
}

/// Counts what was read.
struct Tally<R> {
    from: R,
    read: u64,
}

impl<R: Read> Read for Tally<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        self.read += n as u64;
        Ok(n)
    }
}

/// The RDB file before the commands ends where its checksum fits. Its length.
fn preamble(from: &mut impl BufRead, progress: Progress<'_>) -> Result<Option<u64>, String> {
    let (mut crc, mut at, mut last) = (0u64, 0u64, 0u64);
    // Sums behind the end marks among the last bytes: the eight bytes after the true one are its sum.
    let mut marks: [Option<u64>; 8] = [None; 8];
    loop {
        let bytes = from.fill_buf().map_err(|e| read_error(&e))?;
        if bytes.is_empty() {
            return Err("the RDB file that it begins with is cut off or damaged: choose another copy".into());
        }
        let (mut used, mut ended) = (0, false);
        for byte in bytes {
            used += 1;
            crc = TABLES[0][((crc ^ u64::from(*byte)) & 0xFF) as usize] ^ (crc >> 8);
            last = (last >> 8) | (u64::from(*byte) << 56);
            let before = &mut marks[(at % 8) as usize];
            at += 1;
            if *before == Some(last) {
                ended = true;
                break;
            }
            *before = (*byte == END).then_some(crc);
        }
        from.consume(used);
        if ended {
            return Ok(Some(at));
        }
        if progress(at).is_break() {
            return Ok(None);
        }
    }
}

enum Bad {
    /// It ends where more should be.
    End,
    /// Something else stands there.
    Form,
    Io(io::Error),
}

/// The next command's name in lower case; `None` at the end.
fn command(from: &mut impl BufRead, at: &mut u64) -> Result<Option<Vec<u8>>, Bad> {
    let mut here = *at;
    // A line of its own with the time (`#TS:…`) may stand before a command.
    let count = loop {
        match line(from, &mut here)? {
            None => {
                *at = here;
                return Ok(None);
            }
            Some(text) if text.starts_with(b"#") => *at = here,
            Some(text) => break number(&text, b'*')?,
        }
    };
    if !(1..=1 << 20).contains(&count) {
        return Err(Bad::Form);
    }
    let mut name = Vec::new();
    for index in 0..count {
        let text = line(from, &mut here)?.ok_or(Bad::End)?;
        let length = number(&text, b'$')?;
        if length > 1 << 30 {
            return Err(Bad::Form);
        }
        if index == 0 {
            let got = from.by_ref().take(length).read_to_end(&mut name).map_err(Bad::Io)? as u64;
            if got < length {
                return Err(Bad::End);
            }
        } else if io::copy(&mut from.by_ref().take(length), &mut io::sink()).map_err(Bad::Io)? < length {
            return Err(Bad::End);
        }
        let mut end = [0u8; 2];
        match from.read_exact(&mut end) {
            Ok(()) if end == *b"\r\n" => {}
            Ok(()) => return Err(Bad::Form),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(Bad::End),
            Err(e) => return Err(Bad::Io(e)),
        }
        here += length + 2;
    }
    *at = here;
    name.make_ascii_lowercase();
    Ok(Some(name))
}

/// A line up to its `\r\n`, of at most 64 bytes; `None` at the end of the file.
fn line(from: &mut impl BufRead, at: &mut u64) -> Result<Option<Vec<u8>>, Bad> {
    let mut text = Vec::new();
    let n = from.by_ref().take(64).read_until(b'\n', &mut text).map_err(Bad::Io)?;
    if n == 0 {
        return Ok(None);
    }
    if text.last() != Some(&b'\n') {
        return Err(if n < 64 { Bad::End } else { Bad::Form });
    }
    *at += n as u64;
    text.pop();
    if text.last() == Some(&b'\r') {
        text.pop();
    }
    Ok(Some(text))
}

fn number(text: &[u8], mark: u8) -> Result<u64, Bad> {
    let digits = text.strip_prefix(&[mark]).ok_or(Bad::Form)?;
    std::str::from_utf8(digits).ok().and_then(|d| d.parse().ok()).ok_or(Bad::Form)
}

/// x^64 + x^63 + x^61 + …, reflected (crc64.c).
const POLY: u64 = 0x95AC_9329_AC4B_C9B5;

/// Eight tables, so that eight bytes are taken at once.
static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0u64; 256]; 8];
    let mut n = 0;
    while n < 256 {
        let mut crc = n as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLY } else { crc >> 1 };
            bit += 1;
        }
        tables[0][n] = crc;
        n += 1;
    }
    let mut k = 1;
    while k < 8 {
        let mut n = 0;
        while n < 256 {
            let before = tables[k - 1][n];
            tables[k][n] = (before >> 8) ^ tables[0][(before & 0xFF) as usize];
            n += 1;
        }
        k += 1;
    }
    tables
}

/// The CRC-64 of what came before and `bytes`.
pub fn crc64(mut crc: u64, bytes: &[u8]) -> u64 {
    let byte = |value: u64, shift: u32| ((value >> shift) & 0xFF) as usize;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mixed = crc ^ u64::from_le_bytes(*word);
        crc = TABLES[7][byte(mixed, 0)]
            ^ TABLES[6][byte(mixed, 8)]
            ^ TABLES[5][byte(mixed, 16)]
            ^ TABLES[4][byte(mixed, 24)]
            ^ TABLES[3][byte(mixed, 32)]
            ^ TABLES[2][byte(mixed, 40)]
            ^ TABLES[1][byte(mixed, 48)]
            ^ TABLES[0][byte(mixed, 56)];
    }
    for next in rest {
        crc = TABLES[0][byte(crc ^ u64::from(*next), 0)] ^ (crc >> 8);
    }
    crc
}

#[cfg(test)]
mod tests;
