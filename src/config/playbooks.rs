//! Playbooks and checklists that are shipped, and the files of a folder.
//!
//! A shipped playbook is generic: what it is about is named by parameters, which `use` and `with` fill in. It can be copied
//! (`mayday playbook shipped NAME`) into a folder of one's own and changed there; a file of the same name then counts.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::keys::playbook::CHECKLISTS;
use super::read::{Sink, read_as};
use crate::domain::checklist::Checklist;

/// Longest file that is read.
const MAX_BYTES: u64 = 1 << 20;

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        /// The shipped playbooks: name and text of the file.
        pub const SHIPPED: &[(&str, &str)] =
            &[$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/playbooks/", $name, ".toml")))),*];
    };
}

shipped!(
    "complete-outage",
    "database-corruption",
    "database-loss",
    "cache-failure",
    "application-failure",
    "file-storage-loss",
    "infrastructure-rebuild",
    "region-failover",
    "security-breach",
);

/// The shipped checklists, as text.
pub const SHIPPED_CHECKLISTS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/checklists.toml"));

/// The shipped checklists.
pub fn shipped_checklists() -> &'static [Checklist] {
    static LISTS: OnceLock<Vec<Checklist>> = OnceLock::new();
    LISTS.get_or_init(|| {
        let mut sink = Sink::new(Path::new("checklists.toml"));
        let (document, _) = toml::de::DeTable::parse_recoverable(SHIPPED_CHECKLISTS);
        let root = read_as(document.get_ref(), &CHECKLISTS, &mut sink);
        root.tabs("checklist").map(super::build::checklist).collect()
    })
}

impl super::types::Config {
    /// The checklist of a name: configured, else shipped.
    pub fn checklist(&self, name: &str) -> Option<&Checklist> {
        self.checklists.iter().chain(shipped_checklists()).find(|c| c.name == name)
    }

    /// All of them: the configured ones, then the shipped ones whose names are not taken.
    pub fn all_checklists(&self) -> Vec<&Checklist> {
        let taken = |c: &&Checklist| !self.checklists.iter().any(|own| own.name == c.name);
        self.checklists.iter().chain(shipped_checklists().iter().filter(taken)).collect()
    }
}

/// The files of a folder by name, with what could not be read of them.
pub(super) type Files = Vec<(PathBuf, Result<String, String>)>;

/// The `*.toml` files of a folder, by name. Errors: why the folder cannot be read.
pub(super) fn files(folder: &Path) -> Result<Files, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| e.to_string())?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .filter(|p| p.file_name().is_some_and(|n| !n.to_string_lossy().starts_with('.')))
        .collect();
    paths.sort();
    let read = |path: &Path| -> Result<String, String> {
        // Looked at before it is opened: opening a pipe would wait for its writer.
        let meta = std::fs::metadata(path).map_err(|e| e.to_string())?;
        if !meta.is_file() {
            return Err("is not a file".into());
        }
        if meta.len() > MAX_BYTES {
            return Err(format!("is longer than {}", crate::text::size(MAX_BYTES)));
        }
        std::fs::read_to_string(path).map_err(|e| e.to_string())
    };
    Ok(paths.into_iter().map(|p| (p.clone(), read(&p))).collect())
}
