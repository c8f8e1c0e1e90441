//! The configuration through its public face: faults with their lines, examples, schema, places, secrets.

#[path = "config/examples.rs"]
mod examples;
#[path = "config/faults.rs"]
mod faults;
#[path = "config/places.rs"]
mod places;
#[path = "config/playbooks.rs"]
mod playbooks;
#[path = "config/properties.rs"]
mod properties;
#[path = "config/schema.rs"]
mod schema;
#[path = "config/secrets.rs"]
mod secrets;
#[path = "config/starter.rs"]
mod starter;

use std::path::{Path, PathBuf};

use mayday::config::{self, Config};

/// A path in the repository.
fn repo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A path in whose place texts are checked; nothing is there.
fn nowhere() -> &'static Path {
    Path::new("/etc/mayday/shop.toml")
}

/// The shipped files, with their text.
fn shipped() -> Vec<(String, String)> {
    ["mayday", "examples/crazy-gary", "examples/agent-orchestrator", "examples/aigentable", "examples/sutazai"]
        .into_iter()
        .map(|name| {
            let text = std::fs::read_to_string(repo(&format!("config/{name}.toml"))).unwrap();
            (name.to_owned(), text)
        })
        .collect()
}

/// Parses, or fails with the picture of the faults.
#[track_caller]
fn good(text: &str) -> Config {
    config::parse(text, nowhere()).unwrap_or_else(|faults| panic!("{}", config::render(&faults, text, false)))
}

/// Without what differs between two files that say the same.
fn meaning(mut config: Config) -> Config {
    config.digest.clear();
    config.warnings.clear();
    config.source = PathBuf::new();
    config
}
