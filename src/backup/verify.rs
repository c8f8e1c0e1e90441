//! Verifying one copy on request: everything that can be known without restoring it, each question with its answer.
//!
//! Nothing is claimed that was not looked at. An answer is yes, no, or not known with the reason; the copy is good when
//! nothing said no and its content was read to the end. Tools of PostgreSQL are asked when they are there, since they
//! are what a restore will use; their refusal to read a newer format is the tool's fault and said as such.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::pgdump::{Compression, Toc};
use super::whole::{self, Not};
use super::{Beat, look};
use crate::domain::backup::{Copy, place};
use crate::sys::manifest;
use crate::sys::pg::programs;
use crate::sys::proc::{self, Cmd, End, Outcome};
use crate::text;

/// What came of verifying a copy.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verified {
    pub id: String,
    pub place: String,
    /// `pg custom`, `sql gzip`, …
    pub format: String,
    /// Bytes as stored.
    pub size: u64,
    /// Bytes after decoding; `None` when it was not read to its end.
    pub decoded: Option<u64>,
    /// True: nothing said no, and it was read to its end. False: something is wrong with it. `None`: not known.
    pub good: Option<bool>,
    /// The answer in one sentence.
    pub verdict: String,
    pub checks: Vec<Answer>,
    /// Facts of a PostgreSQL dump.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dump: Option<DumpFacts>,
    pub took_ms: u64,
}

/// One question and its answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Answer {
    /// `present`, `format`, `read to the end`, `pg_restore --list`, …
    pub check: String,
    /// `None`: not known, and `words` say why.
    pub good: Option<bool>,
    pub words: String,
}

/// What a PostgreSQL dump says about itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DumpFacts {
    pub database: String,
    /// Version of the server that was dumped.
    pub server: String,
    /// Version of pg_dump.
    pub dumped_by: String,
    /// Version of the archive format: `1.14`.
    pub archive: String,
    pub compression: String,
    pub entries: usize,
    pub with_data: usize,
}

impl From<&Toc> for DumpFacts {
    fn from(toc: &Toc) -> Self {
        DumpFacts {
            database: text::clean(&toc.database).into_owned(),
            server: text::clean(&toc.server).into_owned(),
            dumped_by: text::clean(&toc.dumped_by).into_owned(),
            archive: format!("{}.{}", toc.version.0, toc.version.1),
            compression: match toc.compression {
                Compression::None => "none",
                Compression::Gzip => "gzip",
                Compression::Lz4 => "lz4",
                Compression::Zstd => "zstd",
            }
            .to_owned(),
            entries: toc.entries,
            with_data: toc.with_data.len(),
        }
    }
}

/// How to verify.
#[derive(Clone, Debug)]
pub struct Options {
    /// For reading to the end, and for each tool. The default is six hours.
    pub limit: Duration,
    /// Where tools are looked for; `None`: in the environment's `PATH`.
    pub path: Option<OsString>,
    /// Signs of life and bytes read, for whoever shows progress; stopping it ends the reading.
    pub beat: Arc<Beat>,
}

impl Default for Options {
    fn default() -> Self {
        Options { limit: Duration::from_secs(6 * 3600), path: None, beat: Arc::default() }
    }
}

/// Verifies a copy of the catalogue. Never fails: what could not be found out is an answer too.
pub async fn verify(copy: &Copy, options: &Options) -> Verified {
    let bytes = copy.path_bytes();
    let mut verified = verify_path(Path::new(OsStr::from_bytes(&bytes)), options).await;
    verified.id.clone_from(&copy.id);
    verified
}

/// Verifies any file or folder.
pub async fn verify_path(path: &Path, options: &Options) -> Verified {
    let began = Instant::now();
    let mut out = Verified { place: place::of_bytes(path.as_os_str().as_bytes()), ..Verified::default() };
    out.id = path.file_name().map(|n| place::of_bytes(n.as_bytes())).unwrap_or_default();
    let shape = in_thread(path, options, shape).await;
    match shape {
        None => out.say("present", None, silent(options)),
        Some(Err(e)) => out.say("present", Some(false), e),
        Some(Ok(shape)) => questions(path, &shape, options, &mut out).await,
    }
    out.conclude();
    out.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    out
}

impl Verified {
    fn say(&mut self, check: &str, good: Option<bool>, words: impl Into<String>) {
        let words: String = words.into();
        self.checks.push(Answer { check: check.to_owned(), good, words: text::clean(&words).into_owned() });
    }

    fn conclude(&mut self) {
        let wrong = self.checks.iter().find(|c| c.good == Some(false));
        let read = self.decoded.is_some();
        (self.good, self.verdict) = match wrong {
            Some(c) => (Some(false), format!("not to be trusted: {}: {}", c.check, c.words)),
            None if read => (Some(true), "whole: it was read to its end without fault".to_owned()),
            None if self.checks.iter().any(|c| c.check == CHECKSUM && c.good == Some(true)) => {
                (Some(true), "whole: byte for byte what its manifest says".to_owned())
            }
            None => {
                let why = self.checks.iter().rfind(|c| c.good.is_none()).map_or("", |c| c.words.as_str());
                (None, format!("not known: {why}"))
            }
        };
    }
}

struct Shape {
    size: u64,
    folder: bool,
    look: look::Look,
}

fn shape(path: &Path, _: &Beat) -> Result<Shape, String> {
    let meta = fs::metadata(path).map_err(|e| format!("it cannot be found or entered: {e}"))?;
    let folder = meta.is_dir();
    if !folder && !meta.is_file() {
        return Err("it is neither a file nor a folder".to_owned());
    }
    let size = if folder {
        let mut budget = 1_000_000;
        look::folder(path, &mut budget, &Beat::default()).ok().flatten().map_or(0, |f| f.bytes)
    } else {
        meta.len()
    };
    Ok(Shape { size, folder, look: look::look(path, size, look::Wanted::Anything) })
}

async fn questions(path: &Path, shape: &Shape, options: &Options, out: &mut Verified) {
    out.size = shape.size;
    out.format.clone_from(&shape.look.format);
    let what = if shape.folder { "a folder of" } else { "a file of" };
    out.say("present", Some(true), format!("{what} {}", text::size(shape.size)));
    if shape.size == 0 {
        out.say("not empty", Some(false), "there is nothing in it");
        return;
    }
    match &shape.look.fault {
        Some(fault) => out.say("format", Some(false), fault.clone()),
        None => out.say("format", Some(true), shape.look.format.clone()),
    }
    if !shape.folder {
        against_manifest(path, options, out).await;
    }
    if let Some(why) = &shape.look.cannot {
        out.say("read to the end", None, why.clone());
        return;
    }
    let folder = shape.folder;
    let read = in_thread(
        path,
        options,
        move |path, beat| {
            if folder { whole::folder(path, beat) } else { whole::file(path, beat) }
        },
    );
    // Both read all of it: side by side they take as long as one of them, and the second finds in memory what the first
    // has read.
    let plain_dump = matches!(out.format.as_str(), "pg custom" | "pg directory");
    let asked = async { if plain_dump { ask_pg_restore(path, options).await } else { Vec::new() } };
    let (read, asked) = tokio::join!(read, asked);
    let mut has_toc = None;
    match read {
        None => out.say("read to the end", None, silent(options)),
        Some(Err(Not::Stopped)) => out.say("read to the end", None, "it was stopped, or took longer than allowed"),
        Some(Err(Not::Unknown(why))) => out.say("read to the end", None, why),
        Some(Err(Not::Bad(why))) => out.say("read to the end", Some(false), why),
        Some(Ok(whole)) => {
            out.decoded = Some(whole.bytes);
            out.say("read to the end", Some(true), whole.words);
            has_toc = whole.toc;
        }
    }
    out.dump = has_toc.as_ref().map(DumpFacts::from);
    for (check, good, words) in asked {
        out.say(&check, good, words);
    }
}

/// What the manifest beside it says, where there is one.
async fn against_manifest(path: &Path, options: &Options, out: &mut Verified) {
    let (size, stated) = (out.size, in_thread(path, options, |path, _| manifest::read(path)).await);
    let stated = match stated {
        None | Some(Ok(None)) => return,
        Some(Err(why)) => return out.say("manifest", None, why),
        Some(Ok(Some(stated))) => stated,
    };
    if let Some(why) = stated.objection(size) {
        return out.say("size of the manifest", Some(false), why);
    }
    if stated.sha256.is_none() {
        return out.say(CHECKSUM, None, "it states none");
    }
    match in_thread(path, options, whole::checksum).await {
        Some(Ok(Some(true))) => out.say(CHECKSUM, Some(true), "it is the same"),
        Some(Ok(Some(false))) => out.say(CHECKSUM, Some(false), whole::DAMAGED),
        Some(Err(Not::Unknown(why) | Not::Bad(why))) => out.say(CHECKSUM, None, why),
        _ => out.say(CHECKSUM, None, silent(options)),
    }
}

/// The question whether a file is what its manifest says, byte by byte.
const CHECKSUM: &str = "checksum of the manifest";

fn silent(options: &Options) -> String {
    format!("no answer from its file system within {}", text::duration(options.limit))
}

/// Runs `work` on a thread of its own. `None`: it did not come back in time, and is left alone after it was asked to
/// stop.
async fn in_thread<T: Send + 'static>(
    path: &Path,
    options: &Options,
    work: impl FnOnce(&Path, &Beat) -> T + Send + 'static,
) -> Option<T> {
    let (tx, mut rx) = tokio::sync::oneshot::channel();
    let (path, beat) = (PathBuf::from(path), options.beat.clone());
    let thread = std::thread::Builder::new().name("backup-verify".to_owned());
    thread.spawn(move || tx.send(work(&path, &beat))).ok()?;
    if let Ok(done) = tokio::time::timeout(options.limit, &mut rx).await {
        return done.ok();
    }
    options.beat.stop();
    // One that is alive ends at its next block.
    tokio::time::timeout(Duration::from_secs(5), rx).await.ok()?.ok()
}

/// What `pg_restore` says to a copy: question, answer, words.
async fn ask_pg_restore(path: &Path, options: &Options) -> Vec<(String, Option<bool>, String)> {
    // The newest there is reads them all. Debian's in PATH chooses by a server, which a file does not have.
    let newest = match options.path {
        Some(_) => None,
        None => programs::find("pg_restore", None).await.pop(),
    };
    let program = newest.map_or_else(|| OsString::from("pg_restore"), |tool| tool.path.into_os_string());
    // A name that begins with a dash would be an option.
    let argument = if path.is_absolute() { path.to_owned() } else { Path::new(".").join(path) };
    let cmd = |args: &[&str]| {
        let cmd = Cmd::new(&program).args(args.iter().copied()).arg(argument.as_os_str()).timeout(options.limit);
        match &options.path {
            Some(path) => cmd.env("PATH", path),
            None => cmd,
        }
        .keep_output(16 * 1024)
    };
    // The list costs a moment, the whole of it long: they need not wait for each other.
    let asked = [&["--list"][..], &["-f", "/dev/null"][..]];
    let [list, whole] = asked.map(|args| proc::run(cmd(args)));
    let (list, whole) = tokio::join!(list, whole);
    let mut said = Vec::new();
    for (args, outcome) in asked.iter().zip([list, whole]) {
        let (good, words) = say_outcome(&outcome);
        said.push((format!("pg_restore {}", args.join(" ")), good, words));
        if good != Some(true) {
            break;
        }
    }
    said
}

fn say_outcome(outcome: &Outcome) -> (Option<bool>, String) {
    let said = outcome.stderr.text();
    let last = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or_default().trim().to_owned();
    match &outcome.end {
        End::Exited(0) => {
            let entries = outcome.stdout.text().lines().filter(|l| !l.starts_with(';') && !l.is_empty()).count();
            let words = if entries > 0 && outcome.stdout.cut == 0 {
                format!("accepted: {}", text::plural(entries, "entry").replace("entrys", "entries"))
            } else {
                "accepted".to_owned()
            };
            (Some(true), words)
        }
        End::NotFound => (None, "pg_restore is not installed here".to_owned()),
        // pg_backup_archiver.c: "unsupported version (%d.%d) in file header".
        _ if said.contains("unsupported version") => (
            None,
            format!("this pg_restore is too old for it: {last}; install the version that made the dump, or later"),
        ),
        End::Exited(_) => (Some(false), last),
        End::TimedOut { .. } => (None, "it took longer than allowed".to_owned()),
        other => (None, other.to_string()),
    }
}
