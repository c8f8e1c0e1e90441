//! Where the configuration and the state are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::types::Config;

/// What of the process' surroundings decides where things are. A value, so that it can be another in tests.
#[derive(Clone, Debug, Default)]
pub struct Env {
    pub mayday_config: Option<OsString>,
    pub mayday_state_dir: Option<OsString>,
    pub xdg_config_home: Option<OsString>,
    pub xdg_state_home: Option<OsString>,
    pub home: Option<PathBuf>,
    /// Working folder.
    pub cwd: PathBuf,
    /// `/etc`.
    pub etc: PathBuf,
}

impl Env {
    /// Of this process.
    pub fn of_process() -> Self {
        let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        Env {
            mayday_config: var("MAYDAY_CONFIG"),
            mayday_state_dir: var("MAYDAY_STATE_DIR"),
            xdg_config_home: var("XDG_CONFIG_HOME"),
            xdg_state_home: var("XDG_STATE_HOME"),
            home: directories::BaseDirs::new().map(|d| d.home_dir().to_owned()),
            cwd: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            etc: PathBuf::from("/etc"),
        }
    }

    /// A folder of the XDG base directory specification: the variable where it is absolute, else below the home folder.
    fn xdg(&self, var: &Option<OsString>, below_home: &str) -> Option<PathBuf> {
        let said = var.as_ref().map(PathBuf::from).filter(|p| p.is_absolute());
        said.or_else(|| self.home.as_ref().map(|h| h.join(below_home)))
    }
}

/// A configuration that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub path: PathBuf,
    /// `[system] name`; `None` when the file cannot be read that far.
    pub system: Option<String>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    One(PathBuf),
    /// Several systems in one folder: somebody has to choose. At least two, by file name.
    Several(Vec<Candidate>),
}

/// Nothing was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no configuration: {}", self.looked())]
pub struct NotFound {
    /// Where it was looked for, in this order.
    pub searched: Vec<PathBuf>,
    /// Folders among these that could not be looked into, with the reason.
    pub unreadable: Vec<(PathBuf, String)>,
}

impl NotFound {
    fn looked(&self) -> String {
        let places: Vec<_> = self.searched.iter().map(|p| p.display().to_string()).collect();
        let mut text = format!("looked at {}", places.join(", "));
        for (folder, why) in &self.unreadable {
            text.push_str(&format!("; {} cannot be looked into: {why}", folder.display()));
        }
        text + "; `mayday init` writes one, `mayday demo` needs none"
    }
}

/// Finds the configuration: `explicit` (`--config`), `MAYDAY_CONFIG`, `./mayday.toml`, `mayday/*.toml` in the XDG
/// configuration folder, `/etc/mayday/*.toml`; the first place that has one decides. What is named explicitly or by the
/// variable is taken or not found, and nothing else is looked at. A folder may be named too.
pub fn find(explicit: Option<&Path>) -> Result<Located, NotFound> {
    find_in(explicit, &Env::of_process())
}

/// As [`find`], in given surroundings.
pub fn find_in(explicit: Option<&Path>, env: &Env) -> Result<Located, NotFound> {
    let named = explicit.map(Path::to_owned).or_else(|| env.mayday_config.as_ref().map(PathBuf::from));
    if let Some(named) = named {
        let path = env.cwd.join(named);
        if path.is_dir() {
            let mut none = NotFound { searched: vec![path.clone()], unreadable: Vec::new() };
            return in_folder(&path, &mut none.unreadable).ok_or(none);
        }
        // A file that exists and cannot be read is still the one that is meant: loading says why.
        let none = || NotFound { searched: vec![path.clone()], unreadable: Vec::new() };
        return if path.exists() { Ok(Located::One(path)) } else { Err(none()) };
    }
    let here = env.cwd.join("mayday.toml");
    if here.is_file() {
        return Ok(Located::One(here));
    }
    let mut none = NotFound { searched: vec![here], unreadable: Vec::new() };
    let folders = [env.xdg(&env.xdg_config_home, ".config").map(|p| p.join("mayday")), Some(env.etc.join("mayday"))];
    for folder in folders.into_iter().flatten() {
        if let Some(found) = in_folder(&folder, &mut none.unreadable) {
            return Ok(found);
        }
        none.searched.push(folder.join("*.toml"));
    }
    Err(none)
}

/// The configurations of a folder; files that belong to the viewer are none.
fn in_folder(folder: &Path, unreadable: &mut Vec<(PathBuf, String)>) -> Option<Located> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), NotFound | NotADirectory) => return None,
        Err(e) => {
            unreadable.push((folder.to_owned(), e.to_string()));
            return None;
        }
    };
    let mut found: Vec<Candidate> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "toml") && path.is_file())
        .filter_map(candidate)
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    match found.len() {
        0 => None,
        1 => found.pop().map(|c| Located::One(c.path)),
        _ => Some(Located::Several(found)),
    }
}

/// A file that says of itself that it is something else (a keymap, a theme) is passed over; a broken one is not, so
/// that its faults are told instead of its absence.
fn candidate(path: PathBuf) -> Option<Candidate> {
    let Ok(text) = std::fs::read_to_string(&path) else { return Some(Candidate { path, system: None }) };
    let (table, errors) = toml::de::DeTable::parse_recoverable(&text);
    let table = table.get_ref();
    let ours = table.contains_key("system") || table.contains_key("service") || !errors.is_empty() || table.is_empty();
    if !ours {
        return None;
    }
    let name = table.get("system").and_then(|v| v.get_ref().get("name")).and_then(|v| v.get_ref().as_str());
    Some(Candidate { system: name.map(|n| crate::text::clean(n).into_owned()), path })
}

/// The folder of the record: `MAYDAY_STATE_DIR`, else `[engine] state_dir`, else the XDG state folder + `mayday/` + the
/// name of the system.
pub fn state_dir(config: &Config, env: &Env) -> PathBuf {
    state_dir_of(&config.system.name, config.engine.state_dir.as_deref(), env)
}

/// As [`state_dir`], for a system of which only the name is known (a configuration that is broken or missing).
pub fn state_dir_of(system: &str, configured: Option<&Path>, env: &Env) -> PathBuf {
    if let Some(dir) = &env.mayday_state_dir {
        return env.cwd.join(dir);
    }
    if let Some(dir) = configured {
        return dir.to_owned();
    }
    let below = env.xdg(&env.xdg_state_home, ".local/state").unwrap_or_else(|| PathBuf::from("/var/lib"));
    // The name was checked; an unchecked one must not lead elsewhere.
    let system = system.replace(['/', '\0'], "_");
    let system = if matches!(system.as_str(), "" | "." | "..") { "default".to_owned() } else { system };
    below.join("mayday").join(system)
}

/// The folder of the record for a configuration that does not read as a whole: what can still be read of it decides, so
/// that a typo keeps nobody from the cockpit. `None` when not even the system's name can be read.
pub fn state_dir_of_broken(path: &Path, env: &Env) -> Option<PathBuf> {
    let text = std::fs::read_to_string(path).ok()?;
    let (table, _) = toml::de::DeTable::parse_recoverable(&text);
    let table = table.get_ref();
    let text_at = |table_name: &str, key: &str| -> Option<String> {
        Some(table.get(table_name)?.get_ref().get(key)?.get_ref().as_str()?.to_owned())
    };
    // Relative to the file, as the whole reader has it.
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let base = whole.parent().unwrap_or(Path::new("/"));
    let configured = text_at("engine", "state_dir").filter(|d| !d.is_empty()).map(|d| base.join(d));
    let name = text_at("system", "name");
    if name.is_none() && configured.is_none() && env.mayday_state_dir.is_none() {
        return None;
    }
    Some(state_dir_of(&name.unwrap_or_default(), configured.as_deref(), env))
}
