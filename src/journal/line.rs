//! One entry as it stands on disk: one line of JSON with a fixed order of fields.
//!
//! ```text
//! {"v":1,"seq":61,"at":"…Z","boot_ms":…,"boot":"…","host":"…","actor":{…},"incident":…,"kind":"…","prev":"…","digest":"…"
//!  └──────────────────────────────────── the header bytes end here, before ,"hash": ─────────────────────────────────────┘
//! ,"hash":"…","salt":"…","payload":{…}}
//! ```
//!
//! - `digest` is the SHA-256 of the salt's hex text as stored, followed by the payload's bytes as stored.
//! - `hash` is the SHA-256 of the 64 hex digits of `prev`, followed by the header bytes.
//! - both, and `prev`, are 64 lower-case hex digits; the first entry's `prev` is 64 zeros.
//! - the salt is 16 random bytes in hex, so that a payload cannot be guessed from its digest once it was redacted. A
//!   redacted entry has `"salt":null,"payload":{"redacted":<seq of the entry.redacted>}` and keeps its digest.
//!
//! All of it can be checked with `sha256sum` and a text editor. What is hashed are the bytes as stored, never a value
//! serialised again, so that fields of another version keep their digest.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::Draft;
use crate::domain::event::{Entry, Event};
use crate::domain::{Actor, Time};

/// The version of the line that is written and the newest that is read.
pub const VERSION: u32 = 1;

/// Bytes of one line at most. A longer stretch without a line end is damage, so that a broken file cannot fill the memory.
pub const MAX_LINE: usize = 16 << 20;

/// No record has more entries: numbers up to here are exact wherever JSON is read, and can be counted on from safely.
const MAX_SEQ: u64 = 1 << 53;

/// 64 lower-case hex digits of a SHA-256, kept as text because the chain hashes the text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash64([u8; 64]);

impl Hash64 {
    /// What the first entry of a journal follows.
    pub const GENESIS: Hash64 = Hash64([b'0'; 64]);

    /// The SHA-256 of the pieces in a row.
    pub fn of(pieces: &[&[u8]]) -> Self {
        let mut sha = Sha256::new();
        for piece in pieces {
            sha.update(piece);
        }
        let mut text = [b'0'; 64];
        // The length is that of a SHA-256 by its type, so this cannot fail.
        let _ = hex::encode_to_slice(sha.finalize(), &mut text);
        Hash64(text)
    }

    /// Reads 64 lower-case hex digits; anything else is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 64] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).then_some(Hash64(bytes))
    }

    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        // Only hex digits are ever stored.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The first 8 digits, as put into messages.
    pub fn short(&self) -> &str {
        self.as_str().get(..8).unwrap_or_default()
    }
}

impl fmt::Display for Hash64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Hash64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Deserialize)]
struct Fields<'a> {
    v: u32,
    seq: u64,
    #[serde(borrow)]
    at: Cow<'a, str>,
    boot_ms: u64,
    #[serde(borrow)]
    boot: Cow<'a, str>,
    #[serde(borrow)]
    host: Cow<'a, str>,
    #[serde(borrow)]
    actor: &'a RawValue,
    #[serde(borrow)]
    incident: &'a RawValue,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    prev: &'a str,
    digest: &'a str,
    hash: &'a str,
    salt: Option<&'a str>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Deserialize)]
struct VersionOnly {
    v: u32,
}

/// A line taken apart. Its layout is right; whether its hashes are right is told by [`Line::check`].
pub struct Line<'a> {
    fields: Fields<'a>,
    header: &'a [u8],
    /// What it says it follows.
    pub prev: Hash64,
    /// What it says its payload's digest is.
    pub digest: Hash64,
    /// What it says its own hash is.
    pub hash: Hash64,
}

impl<'a> Line<'a> {
    /// Takes a line apart (without its line end). Errors: in words, what is wrong with it.
    pub fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let fields: Fields = match serde_json::from_slice(bytes) {
            Ok(fields) => fields,
            Err(e) => return Err(unreadable(bytes, &e)),
        };
        if fields.v != VERSION {
            return Err(newer(fields.v));
        }
        if fields.seq == 0 || fields.seq > MAX_SEQ {
            return Err(format!("no entry has the seq {}", fields.seq));
        }
        let hex =
            |name: &str, text: &str| Hash64::parse(text).ok_or_else(|| format!("its {name} is not 64 hex digits"));
        let (prev, digest, hash) =
            (hex("prev", fields.prev)?, hex("digest", fields.digest)?, hex("hash", fields.hash)?);
        let header = header_of(bytes, &fields).ok_or("its fields are not in the order that mayday writes")?;
        Ok(Line { fields, header, prev, digest, hash })
    }

    /// Its place in the record, counted from 1.
    pub fn seq(&self) -> u64 {
        self.fields.seq
    }

    /// The name of what happened.
    pub fn kind(&self) -> &str {
        &self.fields.kind
    }

    /// The boot and its clock in milliseconds.
    pub fn boot(&self) -> (&str, u64) {
        (&self.fields.boot, self.fields.boot_ms)
    }

    /// The incident it belongs to.
    pub fn incident(&self) -> Option<Cow<'a, str>> {
        match self.fields.incident.get() {
            "null" => None,
            quoted => match quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"')) {
                Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
                _ => serde_json::from_str::<String>(quoted).ok().map(Cow::Owned),
            },
        }
    }

    /// The payload's bytes as stored.
    pub fn payload(&self) -> &'a str {
        self.fields.payload.get()
    }

    /// The header's bytes as stored.
    pub fn header(&self) -> &'a [u8] {
        self.header
    }

    /// The entry that carried out the redaction of this one, when it was redacted.
    pub fn redacted_by(&self) -> Option<u64> {
        if self.fields.salt.is_some() {
            return None;
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Redacted {
            redacted: u64,
        }
        serde_json::from_str::<Redacted>(self.payload()).ok().map(|r| r.redacted)
    }

    /// True when header and payload are what was written. Errors: in words, which of them is not.
    pub fn check(&self) -> Result<(), String> {
        let seq = self.fields.seq;
        if Hash64::of(&[self.prev.as_str().as_bytes(), self.header]) != self.hash {
            return Err(format!("entry {seq} was changed: its hash does not fit what stands in its header"));
        }
        match self.fields.salt {
            Some(salt) if Hash64::of(&[salt.as_bytes(), self.payload().as_bytes()]) != self.digest => {
                return Err(format!("entry {seq} was changed: its digest does not fit its payload"));
            }
            None if self.redacted_by().is_none() => {
                return Err(format!("entry {seq} was changed: it has no salt and is not redacted"));
            }
            _ => {}
        }
        Ok(())
    }

    /// The entry in it. Errors: in words, which field does not read.
    pub fn entry(&self) -> Result<Entry, String> {
        let f = &self.fields;
        let at = Time::parse(&f.at).map_err(|why| format!("entry {}: {why}", f.seq))?;
        let actor: Actor = serde_json::from_str(f.actor.get())
            .map_err(|e| format!("entry {}: its actor does not read: {e}", f.seq))?;
        let payload = serde_json::from_str(self.payload())
            .map_err(|e| format!("entry {}: its payload does not read: {e}", f.seq))?;
        Ok(Entry {
            seq: f.seq,
            at,
            boot_ms: f.boot_ms,
            boot: f.boot.clone().into_owned(),
            host: f.host.clone().into_owned(),
            actor,
            incident: self.incident().map(Cow::into_owned),
            event: Event::read(&f.kind, payload),
        })
    }

    /// This line with its payload blanked by the `entry.redacted` at `by`, with its line end.
    pub fn redacted(&self, by: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.header.len() + 160);
        out.extend_from_slice(self.header);
        out.extend_from_slice(b",\"hash\":\"");
        out.extend_from_slice(self.hash.as_str().as_bytes());
        out.extend_from_slice(format!("\",\"salt\":null,\"payload\":{{\"redacted\":{by}}}}}\n").as_bytes());
        out
    }
}

/// True when the line was written by a version of mayday that this one does not know.
pub fn is_newer(bytes: &[u8]) -> bool {
    serde_json::from_slice::<VersionOnly>(bytes).is_ok_and(|line| line.v > VERSION)
}

fn newer(v: u32) -> String {
    format!("it has version {v} and this mayday reads version {VERSION}: use the mayday that wrote it")
}

fn unreadable(bytes: &[u8], why: &serde_json::Error) -> String {
    if is_newer(bytes) {
        return serde_json::from_slice::<VersionOnly>(bytes).map(|line| newer(line.v)).unwrap_or_default();
    }
    if bytes.iter().all(|b| *b == 0) {
        return "the line is nothing but zero bytes".into();
    }
    format!("the line is no entry: {why}")
}

/// The header bytes, when the rest of the line stands exactly where it is written. Counted from the payload backwards,
/// so that nothing inside of the header or the payload can pass for the boundary.
fn header_of<'a>(bytes: &'a [u8], fields: &Fields<'a>) -> Option<&'a [u8]> {
    let payload = fields.payload.get().as_bytes();
    let payload_at = (payload.as_ptr() as usize).checked_sub(bytes.as_ptr() as usize)?;
    if bytes.get(payload_at + payload.len()..)? != b"}" {
        return None;
    }
    let salt_len = fields.salt.map_or(4, |salt| salt.len() + 2);
    let middle_len = b",\"hash\":\"\",\"salt\":,\"payload\":".len() + 64 + salt_len;
    let at = payload_at.checked_sub(middle_len)?;
    let (header, middle) = bytes.get(..payload_at)?.split_at_checked(at)?;
    let middle =
        middle.strip_prefix(b",\"hash\":\"")?.strip_prefix(fields.hash.as_bytes())?.strip_prefix(b"\",\"salt\":")?;
    let middle = match fields.salt {
        Some(salt) => middle.strip_prefix(b"\"")?.strip_prefix(salt.as_bytes())?.strip_prefix(b"\"")?,
        None => middle.strip_prefix(b"null")?,
    };
    if middle != b",\"payload\":" || !header.starts_with(b"{\"v\":") {
        return None;
    }
    let ends = header.strip_suffix(b"\"")?.strip_suffix(fields.digest.as_bytes())?.strip_suffix(b"\",\"digest\":\"")?;
    ends.strip_suffix(fields.prev.as_bytes())?.ends_with(b",\"prev\":\"").then_some(header)
}

/// Adds the line of a draft to `out`, with its line end, and says its hash. Errors: a value that is no JSON (a map with
/// keys that are not text), in words.
pub fn write(
    out: &mut Vec<u8>,
    draft: &Draft,
    seq: u64,
    host: &str,
    prev: &Hash64,
    salt: &[u8; 16],
) -> Result<Hash64, String> {
    let salt = hex::encode(salt);
    let json = |e: serde_json::Error| format!("write entry {seq}: {e}");
    let payload = serde_json::to_string(&draft.event.payload()).map_err(json)?;
    let digest = Hash64::of(&[salt.as_bytes(), payload.as_bytes()]);
    let start = out.len();
    let text = |out: &mut Vec<u8>, text: &str| serde_json::to_writer(out, text).map_err(json);
    // Writing into memory cannot fail, so the results of `write!` say nothing.
    let _ =
        write!(out, "{{\"v\":{VERSION},\"seq\":{seq},\"at\":\"{}\",\"boot_ms\":{},\"boot\":", draft.at, draft.boot_ms);
    text(out, &draft.boot)?;
    out.extend_from_slice(b",\"host\":");
    text(out, host)?;
    out.extend_from_slice(b",\"actor\":");
    serde_json::to_writer(&mut *out, &draft.actor).map_err(json)?;
    out.extend_from_slice(b",\"incident\":");
    match &draft.incident {
        Some(id) => text(out, id)?,
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"kind\":");
    text(out, draft.event.kind())?;
    let _ = write!(out, ",\"prev\":\"{prev}\",\"digest\":\"{digest}\"");
    let hash = Hash64::of(&[prev.as_str().as_bytes(), out.get(start..).unwrap_or_default()]);
    let _ = write!(out, ",\"hash\":\"{hash}\",\"salt\":\"{salt}\",\"payload\":{payload}}}");
    out.push(b'\n');
    Ok(hash)
}
