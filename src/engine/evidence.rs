//! Evidence: what is kept in an incident's folder and put on record with its digest.
//!
//! First the file is on disk and synced, then the entry says so: a digest on record is that of something that is there.
//! A file is kept byte for byte, except that a known secret in a text is masked, which the entry says too. Clients never
//! write the folder: they hand bytes over, in pieces, and only as many as fit.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use super::answered::whose;
use super::core::{Core, Message};
use crate::domain::Actor;
use crate::domain::command::{Command, Refusal};
use crate::domain::event::EvidenceAdded;
use crate::sys::disk;
use crate::text::{self, Mask};
use crate::wire::upload::too_large;
use crate::wire::{Answer, EVIDENCE_LIMIT, EvidenceAsk, EvidenceSource, Handed};

/// Space that evidence leaves free for the record, bytes.
const ROOM: u64 = 32 << 20;
/// Bytes that all connections together may have handed over and not had kept yet.
const UNDER_WAY: u64 = 2 * EVIDENCE_LIMIT;
/// Characters and lines of the excerpt that goes into the record.
const EXCERPT: usize = 2000;
const EXCERPT_LINES: usize = 20;
/// Characters of a file's name that are kept.
const NAME: usize = 80;

static HELD: AtomicU64 = AtomicU64::new(0);

/// What one connection has handed over and not had kept yet.
#[derive(Debug, Default)]
pub struct Uploads {
    under_way: Mutex<HashMap<String, Upload>>,
}

#[derive(Debug)]
struct Upload {
    size: u64,
    bytes: Vec<u8>,
}

impl Drop for Upload {
    fn drop(&mut self) {
        HELD.fetch_sub(self.size, Ordering::Relaxed);
    }
}

impl Uploads {
    /// Takes a piece in. The first one says how much will come, and is told no when that does not fit.
    pub fn take(&self, dir: &Path, upload: &str, offset: u64, size: u64, data: &str) -> Answer {
        let failed = |reason: &str| Answer::Failed { reason: reason.to_owned() };
        let Ok(piece) = hex::decode(data) else { return failed("a piece of what was handed over is no hex") };
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if offset == 0 {
            under_way.remove(upload);
            if let Some(why) = too_large(size) {
                return Answer::Refused(Refusal::usage(why, ""));
            }
            if let Some(why) = no_room(dir, size) {
                return Answer::Failed { reason: why };
            }
            if HELD.fetch_add(size, Ordering::Relaxed) + size > UNDER_WAY {
                HELD.fetch_sub(size, Ordering::Relaxed);
                return failed("other evidence is being handed over: try again in a moment");
            }
            under_way.insert(upload.to_owned(), Upload { size, bytes: Vec::new() });
        }
        let Some(held) = under_way.get_mut(upload) else {
            return failed("its first piece is missing: hand it over anew");
        };
        let fits = held.bytes.len() as u64 == offset && offset + piece.len() as u64 <= held.size;
        if !fits {
            under_way.remove(upload);
            return failed("its pieces do not fit together: hand it over anew");
        }
        held.bytes.extend_from_slice(&piece);
        Answer::Ok
    }

    /// All of it, once. `None` when it is not whole.
    pub fn finish(&self, upload: &str) -> Option<Handed> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held = under_way.remove(upload)?;
        let whole = held.bytes.len() as u64 == held.size;
        whole.then(|| Handed(Arc::new(std::mem::take(&mut held.bytes))))
    }
}

/// Why `size` bytes have no room beside the record.
fn no_room(dir: &Path, size: u64) -> Option<String> {
    let free = disk::free_bytes(dir).ok()?;
    (free < size.saturating_add(ROOM)).then(|| {
        let (free, size, room) = (text::size(free), text::size(size), text::size(ROOM));
        format!(
            "the disk of {} has {free} left: {size} of evidence would not leave the {room} that the record needs; make room first",
            dir.display()
        )
    })
}

/// What is kept, and for which incident; or what is answered instead.
pub(super) type Made = Result<(String, EvidenceAdded), Answer>;

/// What keeping needs to know.
struct Keeping {
    state_dir: PathBuf,
    other_places: Vec<PathBuf>,
    mask: Mask,
    incidents: BTreeSet<String>,
    open: Option<String>,
    mode: u32,
}

impl Core {
    pub(super) fn keep_evidence(
        &mut self,
        actor: Actor,
        key: String,
        ask: EvidenceAsk,
        reply: oneshot::Sender<Answer>,
    ) {
        let keeping = Keeping {
            state_dir: self.state_dir.clone(),
            other_places: self.other_places.clone(),
            mask: self.mask.clone(),
            incidents: self.state.incidents.keys().cloned().collect(),
            open: self.state.open_incidents().first().map(|i| i.id.clone()),
            mode: if self.viewers.group { 0o640 } else { 0o600 },
        };
        let inbox = self.inbox.clone();
        tokio::task::spawn_blocking(move || {
            let title = ask.title.clone();
            let made = Box::new(keeping.keep(ask));
            let _ = inbox.blocking_send(Message::Kept { actor, key, title, made, reply });
        });
    }

    /// It is on disk, or cannot be.
    pub(super) fn take_kept(
        &mut self,
        actor: Actor,
        key: String,
        title: String,
        made: Made,
        reply: oneshot::Sender<Answer>,
    ) {
        // The same request, sent again over another connection meanwhile.
        if let Some(before) = self.answered.get(&key).filter(|_| !key.is_empty()) {
            let _ = reply.send(before.clone());
            return;
        }
        if let Some((_, _, answer)) = self.waiting.iter().find(|(_, k, _)| !key.is_empty() && *k == key) {
            let answer = answer.clone();
            self.waiting.push((reply, String::new(), answer));
            return;
        }
        debug_assert!(key.is_empty() || key == whose(&actor, &actor.key));
        match made {
            Ok((incident, kept)) => {
                let title = if title.trim().is_empty() { kept.title.clone() } else { title };
                let command = Command::Evidence { incident: Some(incident), title, kept: Some(Box::new(kept)) };
                self.command(actor, key, command, reply);
            }
            Err(answer) => {
                let _ = reply.send(answer);
            }
        }
    }
}

impl Keeping {
    /// Puts it into the incident's folder. Blocks on the disk.
    fn keep(&self, ask: EvidenceAsk) -> Made {
        let failed = |reason: String| Answer::Failed { reason };
        let incident = self.incident_of(&ask)?;
        let (what, name, default, bytes) = match &ask.source {
            EvidenceSource::Upload { name, .. } => {
                let name = text::clean(name).into_owned();
                ("file", name.clone(), name, Arc::clone(&ask.bytes.0))
            }
            EvidenceSource::Output { run, lines } => {
                let (bytes, told) = self.output(run, *lines)?;
                let name = format!("output-{run}.txt");
                ("output", name, format!("output of run {run}{told}"), Arc::new(bytes))
            }
        };
        let (bytes, masked) = self.masked(bytes)?;
        if let Some(why) = no_room(&self.state_dir, bytes.len() as u64) {
            return Err(failed(why));
        }
        let digest = hex::encode(Sha256::digest(bytes.as_slice()));
        let folder = self.state_dir.join("incidents").join(&incident).join("evidence");
        let broken = |e: std::io::Error| failed(format!("evidence cannot be written into {}: {e}", folder.display()));
        std::os::unix::fs::DirBuilderExt::mode(std::fs::DirBuilder::new().recursive(true), 0o750)
            .create(&folder)
            .map_err(broken)?;
        let mut file = format!("{}-{}", digest.get(..12).unwrap_or_default(), safe(&name));
        // What bears that name already is never replaced by something else.
        let is_other = |bytes: Vec<u8>| hex::encode(Sha256::digest(bytes)) != digest;
        if std::fs::read(folder.join(&file)).is_ok_and(is_other) {
            file = format!("{digest}-{}", safe(&name));
        }
        disk::write_atomic(&folder.join(&file), &bytes, self.mode).map_err(broken)?;
        let parent = folder.parent().map(disk::fsync_dir);
        parent.transpose().map_err(broken)?;
        let kept = EvidenceAdded {
            about: ask.about,
            what: what.to_owned(),
            title: text::clean::clean_to(&default, 200).into_owned(),
            digest,
            size: bytes.len() as u64,
            excerpt: self.excerpt(&bytes),
            file: format!("evidence/{file}"),
            masked,
        };
        Ok((incident, kept))
    }

    fn incident_of(&self, ask: &EvidenceAsk) -> Result<String, Answer> {
        let no = |reason: String, instead: &str| Err(Answer::Refused(Refusal::usage(reason, instead)));
        let mut of_entry = None;
        if let Some(about) = ask.about {
            let rows = super::find::recorded(&self.state_dir, [about]).map_err(|reason| Answer::Failed { reason })?;
            let Some(row) = rows.into_iter().next() else {
                return no(format!("there is no entry {about} on record"), "mayday timeline shows their numbers");
            };
            of_entry = row.incident;
        }
        match (&ask.incident, of_entry) {
            (Some(id), _) if !self.incidents.contains(id) => {
                no(format!("there is no incident \"{}\"", text::clean(id)), "mayday incident list shows them")
            }
            (Some(id), Some(of)) if *id != of => {
                no(format!("entry {} belongs to {of}, not to {id}", ask.about.unwrap_or(0)), "name that one, or none")
            }
            (Some(id), _) => Ok(id.clone()),
            (None, Some(of)) => Ok(of),
            (None, None) => match &self.open {
                Some(id) => Ok(id.clone()),
                None => no("no incident is open".into(), "name the one that it belongs to"),
            },
        }
    }

    /// The output of a run as it is kept, or lines of it, and which.
    fn output(&self, run: &str, lines: Option<(u64, u64)>) -> Result<(Vec<u8>, String), Answer> {
        let no = |reason: String, instead: &str| Err(Answer::Refused(Refusal::usage(reason, instead)));
        let Some(folder) = crate::runner::find(&self.state_dir, &self.other_places, run) else {
            return no(format!("there is no output of run {}", text::clean(run)), "mayday runs lists them");
        };
        let (mut all, mut at) = (String::new(), 0);
        loop {
            let chunk = crate::runner::output(&folder, at, 1 << 20)
                .map_err(|e| Answer::Failed { reason: format!("read the output of run {run}: {e}") })?;
            if chunk.text.is_empty() {
                break;
            }
            // Lines are counted as every viewer counts them: by what is kept.
            if chunk.offset > at && lines.is_none() {
                all.push_str(&format!("… {} were not kept …\n", text::size(chunk.offset - at)));
            }
            all.push_str(&chunk.text);
            at = chunk.next;
            if let Some(why) = too_large(all.len() as u64) {
                return no(why, "name the lines that show it");
            }
        }
        let Some((first, last)) = lines else { return Ok((all.into_bytes(), String::new())) };
        if first == 0 || last < first {
            return no(format!("{first}-{last} are no lines: they count from 1"), "as in 120-160");
        }
        let index = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let picked: String = all.split_inclusive('\n').skip(index(first) - 1).take(index(last - first + 1)).collect();
        if picked.is_empty() {
            let n = all.lines().count();
            return no(format!("the output of run {run} has {}", text::plural(n, "line")), "name lines that are there");
        }
        Ok((picked.into_bytes(), format!(", lines {first}-{last}")))
    }

    /// What is kept of it, and whether a secret was masked.
    fn masked(&self, bytes: Arc<Vec<u8>>) -> Result<(Arc<Vec<u8>>, bool), Answer> {
        match std::str::from_utf8(&bytes) {
            Ok(as_text) => match self.mask.apply(as_text) {
                std::borrow::Cow::Owned(masked) if masked != as_text => Ok((Arc::new(masked.into_bytes()), true)),
                _ => Ok((bytes, false)),
            },
            // Masking would break what is no text, and keeping it would keep the secret.
            Err(_) if self.mask.knows(&bytes) => Err(Answer::Refused(Refusal::usage(
                "a known secret stands in it, and it is no text in which that could be masked",
                "cut out the part that shows it, without the secret",
            ))),
            Err(_) => Ok((bytes, false)),
        }
    }

    /// The beginning of a text, cleaned and masked; nothing of what is none.
    fn excerpt(&self, bytes: &[u8]) -> String {
        // Cut within a character at the worst.
        let head = bytes.get(..EXCERPT * 8).unwrap_or(bytes);
        let head = match std::str::from_utf8(head) {
            Ok(text) => text,
            Err(e) if e.error_len().is_none() => {
                head.get(..e.valid_up_to()).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default()
            }
            Err(_) => return String::new(),
        };
        if head.contains('\0') {
            return String::new();
        }
        let lines: Vec<&str> = head.lines().take(EXCERPT_LINES).collect();
        let clean = text::clean_lines(&lines.join("\n"), 400);
        let masked = self.mask.apply(&clean);
        let short: String = masked.chars().take(EXCERPT).collect();
        short.trim_end().to_owned()
    }
}

/// A name without anything that a shell or a file system would take for something else.
fn safe(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
    let safe: String = name.chars().map(plain).collect();
    let safe = safe.trim_start_matches(['.', '-']);
    // The ending says what it is.
    let from = safe.len().saturating_sub(NAME);
    match safe.get(from..).unwrap_or_default() {
        "" => "evidence".to_owned(),
        safe => safe.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_safe() {
        for (name, wanted) in [
            ("dmesg.txt", "dmesg.txt"),
            ("/var/log/../../etc/pass wd", "pass_wd"),
            ("..", "evidence"),
            ("-rf", "rf"),
            ("über$(rm).log", "_ber__rm_.log"),
        ] {
            assert_eq!(safe(name), wanted);
        }
        assert!(safe(&("x".repeat(300) + ".log")).ends_with("x.log"));
        assert_eq!(safe(&"x".repeat(300)).len(), NAME);
    }

    #[test]
    fn pieces_come_in_their_order_and_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::default();
        let take = |id: &str, offset, size, data: &[u8]| uploads.take(dir.path(), id, offset, size, &hex::encode(data));
        assert_eq!(take("a", 0, 5, b"abc"), Answer::Ok);
        assert!(uploads.finish("b").is_none());
        assert_eq!(take("a", 3, 5, b"de"), Answer::Ok);
        assert_eq!(uploads.finish("a").unwrap().0.as_slice(), b"abcde");
        assert!(uploads.finish("a").is_none());
        assert_eq!(take("a", 0, 5, b"abc"), Answer::Ok);
        for (offset, data) in [(2, &b"x"[..]), (3, b"defg"), (9, b"x")] {
            assert_eq!(take("a", 0, 5, b"abc"), Answer::Ok);
            assert!(matches!(take("a", offset, 5, data), Answer::Failed { .. }));
            assert!(uploads.finish("a").is_none());
        }
        assert!(matches!(take("c", 0, EVIDENCE_LIMIT + 1, b"x"), Answer::Refused(r) if r.reason.contains("64 MiB")));
        assert_eq!(take("d", 0, 0, b""), Answer::Ok);
        assert_eq!(uploads.finish("d").unwrap().0.len(), 0);
        drop(uploads);
        assert_eq!(HELD.load(Ordering::Relaxed), 0);
    }
}
