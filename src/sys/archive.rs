//! Reading backups that may be compressed, to the very end, as a stream.
//!
//! A backup counts as readable only when every byte was decoded: both gzip and zstd carry checksums that are looked at
//! at the end. What a file *says* it is (its name) and what it *is* (its first bytes) must agree, since a `.gz` that
//! does not begin like one cannot be restored by the command that will be run on it. Everything here blocks; run it on
//! a blocking thread.

mod ahead;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Not compressed, or by its own format (a PostgreSQL custom dump, an RDB file).
    Plain,
    /// RFC 1952, one or several members.
    Gzip,
    /// RFC 8878, one or several frames.
    Zstd,
}

impl Codec {
    /// What the first bytes say (four are enough).
    pub fn by_magic(head: &[u8]) -> Codec {
        match head {
            [0x1F, 0x8B, ..] => Codec::Gzip,
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Codec::Zstd,
            // A skippable frame, which pzstd writes first (RFC 8878, 3.1.2).
            [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Codec::Zstd,
            _ => Codec::Plain,
        }
    }

    /// What the name says; [`Codec::Plain`] where it says nothing.
    pub fn by_name(path: &Path) -> Codec {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        match extension.as_str() {
            "gz" | "tgz" | "gzip" => Codec::Gzip,
            "zst" | "tzst" | "zstd" => Codec::Zstd,
            _ => Codec::Plain,
        }
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Plain => "plain",
            Codec::Gzip => "gzip",
            Codec::Zstd => "zstd",
        }
    }
}

/// What decoding to the end found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Decoded bytes.
    pub bytes: u64,
    /// How the file was compressed.
    pub codec: Codec,
    /// The last 4 KiB decoded (all, when there are fewer), for trailers such as `PostgreSQL database dump complete`.
    pub tail: Vec<u8>,
}

/// Why a file could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// No bytes at all, or a well-formed archive of nothing, which is what `pg_dump | gzip` leaves when pg_dump fails.
    #[error("there is nothing in it")]
    Empty,
    /// The file ends within compressed data.
    #[error("it is cut off: the compressed data ends early, after {at} decoded bytes")]
    Truncated {
        /// Bytes decoded until then.
        at: u64,
    },
    /// The content contradicts itself, its name, or is followed by something else.
    #[error("it is damaged after {at} decoded bytes: {why}")]
    Corrupt {
        /// Bytes decoded until then.
        at: u64,
        /// In words.
        why: String,
    },
    /// The file cannot be read, which says nothing about the archive.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The caller's progress function said stop.
    #[error("reading was cancelled after {at} decoded bytes")]
    Cancelled {
        /// Bytes decoded until then.
        at: u64,
    },
}

const TAIL: usize = 4096;
/// zstd's largest window exponent: `zstd --long=31` is legal, and memory is taken only for files that ask for it.
const ZSTD_WINDOW_LOG_MAX: u32 = 31;

/// Looks at the first bytes of an open file and goes back to its beginning.
pub fn codec_of(file: &mut File) -> io::Result<Codec> {
    let mut head = [0; 4];
    let n = fill(file, &mut head)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(Codec::by_magic(head.get(..n).unwrap_or_default()))
}

fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while let Some(rest) = buffer.get_mut(n..).filter(|r| !r.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(k) => n += k,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n)
}

/// A stream of the decoded content, by what the first bytes say. Errors while reading are those of [`io`]: a cut-off
/// archive is `UnexpectedEof`.
pub fn reader(mut file: File) -> io::Result<Box<dyn Read + Send>> {
    let codec = codec_of(&mut file)?;
    decode(file, codec)
}

/// As [`reader`]; what is compressed is decoded ahead, on a thread of its own.
pub fn reader_ahead(mut file: File) -> io::Result<Box<dyn Read + Send>> {
    let codec = codec_of(&mut file)?;
    let decoder = decode(file, codec)?;
    Ok(if codec == Codec::Plain { decoder } else { Box::new(ahead::ahead(decoder)?) })
}

/// As [`reader`], for what is no file and cannot go back to its beginning.
pub fn stream(mut from: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut head = [0; 4];
    let n = fill(&mut from, &mut head)?;
    let head = head.get(..n).unwrap_or_default().to_vec();
    let codec = Codec::by_magic(&head);
    decode(io::Cursor::new(head).chain(from), codec)
}

fn decode<R: Read + Send + 'static>(from: R, codec: Codec) -> io::Result<Box<dyn Read + Send>> {
    Ok(match codec {
        Codec::Plain => Box::new(from),
        Codec::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(1 << 16, from))),
        Codec::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(from)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
    })
}

/// Counts what is read from the file, and keeps apart a failing file from a failing archive.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
    failed: Arc<std::sync::Mutex<Option<io::Error>>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Ok(n) => {
                self.read.fetch_add(n as u64, Ordering::Relaxed);
                Ok(n)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Err(e),
            Err(e) => {
                let again = e.raw_os_error().map_or_else(|| e.kind().into(), io::Error::from_raw_os_error);
                *self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(e);
                Err(again)
            }
        }
    }
}

/// Decodes `path` to its end. `progress` is given the number of bytes read *from the file* (compare with its size)
/// about once per 256 KiB decoded.
pub fn read_to_end_check(path: &Path, progress: &mut dyn FnMut(u64)) -> Result<Decoded, ArchiveError> {
    read_to_end_check_until(path, &mut |bytes| {
        progress(bytes);
        ControlFlow::Continue(())
    })
}

/// Like [`read_to_end_check`]; `progress` can end it.
pub fn read_to_end_check_until(
    path: &Path,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Decoded, ArchiveError> {
    // Asked before opening, which would wait for ever on a named pipe.
    if !std::fs::metadata(path)?.is_file() {
        return Err(ArchiveError::Io(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")));
    }
    let mut file = File::open(path)?;
    let codec = codec_of(&mut file)?;
    let named = Codec::by_name(path);
    if file.metadata()?.len() == 0 {
        return Err(ArchiveError::Empty);
    }
    if named != Codec::Plain && named != codec {
        let why = format!("its name says {} and its first bytes do not", named.name());
        return Err(ArchiveError::Corrupt { at: 0, why });
    }
    let (read, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(std::sync::Mutex::new(None)));
    let counted = Counted { file, read: read.clone(), failed: failed.clone() };
    let mut from = decode(counted, codec)?;
    let mut buffer = vec![0; 1 << 18];
    let mut tail: Vec<u8> = Vec::with_capacity(2 * TAIL);
    let mut at = 0u64;
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => {
                let of_file = failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
                return Err(match of_file {
                    Some(e) => ArchiveError::Io(e),
                    None if e.kind() == io::ErrorKind::UnexpectedEof => ArchiveError::Truncated { at },
                    None => ArchiveError::Corrupt { at, why: super::one_line(&e.to_string()) },
                });
            }
        };
        at += n as u64;
        keep_tail(&mut tail, buffer.get(..n).unwrap_or_default());
        if progress(read.load(Ordering::Relaxed)).is_break() {
            return Err(ArchiveError::Cancelled { at });
        }
    }
    if at == 0 {
        return Err(ArchiveError::Empty);
    }
    Ok(Decoded { bytes: at, codec, tail })
}

fn keep_tail(tail: &mut Vec<u8>, new: &[u8]) {
    let new = new.get(new.len().saturating_sub(TAIL)..).unwrap_or_default();
    tail.drain(..(tail.len() + new.len()).saturating_sub(TAIL));
    tail.extend_from_slice(new);
}

#[cfg(test)]
mod tests;
