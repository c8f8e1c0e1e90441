//! Loading a file: bytes, text, tables, types. Ends with a configuration that can be relied on, or with every fault.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::build;
use super::check;
use super::fault::{Fault, Lines};
use super::lint;
use super::read::{self, Sink};
use super::types::{ChannelKind, CheckKind, Config, Restore};
use crate::text::clean;

/// Longest file that is read; far beyond what a person writes.
const MAX_BYTES: u64 = 16 << 20;

/// SHA-256 of a file's bytes, hex: whether a save changed anything.
pub fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Reads and checks a file. Errors: every fault in it, in its order, or the one that kept it from being read.
pub fn load(path: &Path) -> Result<Config, Vec<Fault>> {
    load_with_source(path).map(|(config, _)| config).map_err(|(faults, _)| faults)
}

/// As [`load`]; with the text of the file in both cases, for [`super::render`].
pub fn load_with_source(path: &Path) -> Result<(Config, String), (Vec<Fault>, String)> {
    let whole = |message: String, hint: &str| (vec![Fault::of_file(path, message, hint)], String::new());
    let unopened = |e: std::io::Error| {
        let hint = match e.kind() {
            std::io::ErrorKind::NotFound => "mayday init writes one, mayday demo needs none",
            std::io::ErrorKind::PermissionDenied => "let this user read it",
            _ => "",
        };
        whole(format!("cannot be opened: {e}"), hint)
    };
    // Looked at before it is opened: opening a pipe would wait for its writer.
    let meta = std::fs::metadata(path).map_err(unopened)?;
    if !meta.is_file() {
        return Err(whole("is not a file".into(), "name the .toml file itself"));
    }
    let file = std::fs::File::open(path).map_err(unopened)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|e| whole(format!("cannot be read: {e}"), ""))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(whole(format!("is longer than {}", crate::text::size(MAX_BYTES)), "this is no configuration"));
    }
    let others_read = meta.permissions().mode() & 0o004 != 0;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let source = String::from_utf8_lossy(e.as_bytes()).into_owned();
        let (line, column) = Lines::new(&source).position(at);
        let fault = Fault {
            file: path.to_owned(),
            line,
            column,
            span: at..at,
            message: "this is not UTF-8".into(),
            hint: "save the file as UTF-8".into(),
        };
        (vec![fault], source)
    })?;
    match checked(&text, path, others_read) {
        Ok(mut config) => {
            config.warnings.extend(unreadable_roots(&config, path));
            Ok((config, text))
        }
        Err(faults) => Err((faults, text)),
    }
}

/// Certificate authorities that are configured and cannot be read: every check that needs them would end in an error.
fn unreadable_roots(config: &Config, path: &Path) -> Vec<String> {
    let of_check = |kind: &CheckKind| match kind {
        CheckKind::Http(c) => c.extra_ca.clone(),
        CheckKind::Tls(c) => c.extra_ca.clone(),
        CheckKind::Postgres(c) => c.extra_ca.clone(),
        _ => Vec::new(),
    };
    let checks = config.services.iter().flat_map(|s| &s.checks).map(|c| &c.kind);
    let checks = checks.chain(config.actions.iter().filter_map(|a| a.verify.as_ref())).flat_map(of_check);
    let restores = config.backups.iter().flat_map(|b| match &b.restore {
        Some(Restore::PostgresDump(p)) => p.extra_ca.clone(),
        Some(Restore::Redis(r)) => r.extra_ca.clone(),
        Some(Restore::RabbitMq(r)) => r.extra_ca.clone(),
        Some(Restore::PostgresPitr(p)) => p.live.as_ref().map(|l| l.extra_ca.clone()).unwrap_or_default(),
        _ => Vec::new(),
    });
    let mail = config.channels.iter().flat_map(|c| match &c.kind {
        ChannelKind::Email(m) => m.extra_ca.clone(),
        _ => Vec::new(),
    });
    let all: BTreeSet<PathBuf> =
        config.system.extra_ca.iter().cloned().chain(checks).chain(restores).chain(mail).collect();
    let file = clean(&path.to_string_lossy()).into_owned();
    all.into_iter()
        .filter_map(|ca| {
            // Opening a pipe would wait for its writer.
            let found = std::fs::metadata(&ca).and_then(|m| {
                if m.is_file() {
                    std::fs::File::open(&ca).map(drop)
                } else {
                    Err(std::io::ErrorKind::InvalidInput.into())
                }
            });
            let e = found.err()?;
            let shown = ca.to_string_lossy();
            Some(format!(
                "{file}: extra_ca {} cannot be read: {e}: checks that trust it will end in errors",
                clean(&shown)
            ))
        })
        .collect()
}

/// Checks a text as if it stood in the file `path`, which need not exist. Whether others can read it is not looked at.
pub fn parse(text: &str, path: &Path) -> Result<Config, Vec<Fault>> {
    checked(text, path, false)
}

fn checked(text: &str, path: &Path, others_read: bool) -> Result<Config, Vec<Fault>> {
    let mut sink = Sink::new(path);
    let root = read::read(text, &mut sink);
    let mut config = build::config(&root, &mut sink);
    check::check(&root, &config, text, &mut sink);
    if others_read {
        let hint = "chmod o-r the file, or write { env = \"NAME\" }, { file = \"/path\" } or { command = […] }";
        for at in std::mem::take(&mut sink.literals) {
            sink.fault(at, "a secret stands in a file that everybody on this host can read", hint);
        }
    }
    if !sink.is_empty() {
        return Err(sink.finish(text));
    }
    config.warnings = lint::lint(&root, &config, text, std::mem::take(&mut sink.warned));
    config.warnings.append(&mut sink.warned_elsewhere);
    let mut bytes = text.as_bytes().to_vec();
    bytes.append(&mut sink.also);
    config.digest = digest(&bytes);
    Ok(config)
}
