//! borg: arguments and answers.

use serde::Deserialize;

use super::{Filter, Snapshot, args};

/// Waiting for whoever changes the repository, seconds.
const LOCK_WAIT: &str = "10";

pub fn list(filter: &Filter) -> Vec<String> {
    let mut list = args(&["--log-json", "--bypass-lock", "list", "--json"]);
    if let Some(archives) = &filter.archives {
        list.push(format!("--glob-archives={archives}"));
    }
    list
}

/// The name within the repository that the environment names.
fn of(name: &str) -> String {
    format!("::{name}")
}

/// A path and all below it, whatever characters it has. The whole archive for `.`.
fn prefix(path: &str) -> Option<String> {
    (path != ".").then(|| format!("pp:{path}"))
}

const FIELDS: &str = "--format={type}{path}{linktarget}{size}";

pub fn items(name: &str, inside: &str) -> Vec<String> {
    let mut list = args(&["--log-json", "--bypass-lock", "list", "--json-lines", FIELDS, &of(name)]);
    list.extend(prefix(inside));
    list
}

/// The folder itself, without what is in it.
pub fn first(name: &str, inside: &str) -> Vec<String> {
    let mut list = args(&["--log-json", "--bypass-lock", "list", "--json-lines", FIELDS, &of(name)]);
    list.push(format!("pf:{inside}"));
    list
}

/// With a shared lock, so that nobody prunes meanwhile. Every chunk's checksum is compared when it is read.
pub fn extract(name: &str, inside: &str, wanted: &[String]) -> Vec<String> {
    let mut list = args(&["--log-json", "--lock-wait", LOCK_WAIT, "--progress", "extract"]);
    let above = inside.split('/').filter(|p| !p.is_empty() && *p != ".").count().saturating_sub(1);
    if above > 0 {
        list.push(format!("--strip-components={above}"));
    }
    list.push(of(name));
    list.extend(wanted.iter().filter_map(|w| prefix(w)));
    list
}

#[derive(Deserialize)]
struct Listing {
    archives: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
    name: String,
    #[serde(default)]
    start: String,
    #[serde(default)]
    time: String,
    #[serde(default)]
    hostname: String,
}

/// `borg list --json`. Times have no zone: they are those of the zone that the child was started in, UTC.
pub fn archives(text: &str) -> Result<Vec<Snapshot>, String> {
    let listing: Listing =
        serde_json::from_str(text.trim()).map_err(|e| format!("its answer cannot be understood: {e}"))?;
    let one = |l: Listed| {
        let said = if l.time.is_empty() { &l.start } else { &l.time };
        let at =
            moment(said).ok_or_else(|| format!("the time \"{said}\" of archive {} cannot be understood", l.name))?;
        Ok(Snapshot {
            short: l.name.clone(),
            id: l.name,
            digest: l.id,
            at_ms: at,
            host: l.hostname,
            paths: Vec::new(),
            size: None,
        })
    };
    listing.archives.into_iter().map(one).collect()
}

fn moment(text: &str) -> Option<i64> {
    if let Ok(at) = chrono::DateTime::parse_from_rfc3339(text) {
        return Some(at.timestamp_millis());
    }
    let naive = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    Some(naive.and_utc().timestamp_millis())
}

/// One name in an archive.
#[derive(Debug)]
pub struct Item {
    pub path: String,
    /// As in the first letter of `ls -l`; `h` for a further name of a file that came before.
    pub kind: char,
    /// Of a symbolic link, and of a further name.
    pub target: String,
    pub size: u64,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "type")]
    kind: String,
    mode: Option<String>,
    path: String,
    #[serde(default)]
    linktarget: String,
    #[serde(default)]
    size: u64,
}

/// A line of `borg list --json-lines`; `None` for what borg says beside (`--log-json`).
pub fn item(line: &str) -> Option<Result<Item, String>> {
    if !line.starts_with('{') || !line.contains("\"path\":") || line.contains("\"levelname\":") {
        return None;
    }
    let read = |text: &str| serde_json::from_str::<Raw>(text);
    // Bytes that are no UTF-8 come as halves of surrogate pairs, which is no JSON.
    let raw = read(line).or_else(|first| read(&without_halves(line)).map_err(|_| first));
    Some(match raw {
        Ok(raw) => {
            let further = raw.mode.as_deref().is_some_and(|m| m.starts_with('h'));
            let kind = if further { 'h' } else { raw.kind.chars().next().unwrap_or('?') };
            Ok(Item { path: raw.path, kind, target: raw.linktarget, size: raw.size })
        }
        Err(e) => Err(format!("its answer cannot be understood: {e}")),
    })
}

/// `\udc80` to `\udcff` standing alone become the replacement character.
fn without_halves(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("\\udc") {
        let end = at + 6;
        let alone = !rest.get(..at).is_some_and(|before| before.ends_with('\\'));
        match rest.get(at + 4..end) {
            Some(hex) if alone && hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
                out.push_str(rest.get(..at).unwrap_or_default());
                out.push_str("\\ufffd");
            }
            _ => out.push_str(rest.get(..end).unwrap_or(rest)),
        }
        rest = rest.get(end..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// What `borg --log-json --progress` says.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// Bytes of the archive so far, and in all.
    Bytes(u64, u64),
    /// Something to be told, and whether it is a warning or worse.
    Said { text: String, grave: bool },
}

pub fn progress(line: &str) -> Option<Progress> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default)]
        message: String,
        #[serde(default)]
        levelname: String,
        current: Option<u64>,
        total: Option<u64>,
    }
    let raw: Raw = serde_json::from_str(line).ok()?;
    match raw.kind.as_str() {
        "progress_percent" => Some(Progress::Bytes(raw.current?, raw.total.filter(|t| *t > 0)?)),
        "log_message" => {
            Some(Progress::Said { grave: !matches!(raw.levelname.as_str(), "INFO" | "DEBUG"), text: raw.message })
        }
        _ => None,
    }
}
