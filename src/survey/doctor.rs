//! Whether this is a good place for mayday, and what to do where it is not.
//!
//! One finding per question, in words that a person can act on; never a value of a secret. Every question stands on its
//! own: one that cannot be answered says so and the others go on.

mod backups;
mod place;
mod system;
mod terminal;
mod tools;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Host;
use crate::config::Config;
use crate::sys::peer;
use crate::text;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    #[default]
    Good,
    /// Worth knowing.
    Note,
    /// Will trouble somebody some day.
    Warning,
    /// Something that is configured will not work.
    Bad,
}

impl Level {
    /// The word beside the glyph.
    pub const fn word(self) -> &'static str {
        match self {
            Level::Good => "good",
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Bad => "bad",
        }
    }
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `tools`, `secrets`, `terminal`, `state`, `engine`, `clock`, `session`, `tls`, `proxy`, `backups`, `limits`.
    pub area: String,
    pub level: Level,
    /// What was found.
    pub what: String,
    /// What to do about it; empty when there is nothing to do.
    #[serde(rename = "do", skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

impl Finding {
    fn new(area: &str, level: Level, what: impl Into<String>, advice: impl Into<String>) -> Self {
        let (what, advice): (String, String) = (what.into(), advice.into());
        let clean = |t: &str| text::clean(t).into_owned();
        Finding { area: area.to_owned(), level, what: clean(&what), advice: clean(&advice) }
    }

    fn good(area: &str, what: impl Into<String>) -> Self {
        Finding::new(area, Level::Good, what, "")
    }

    fn note(area: &str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding::new(area, Level::Note, what, advice)
    }

    fn warning(area: &str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding::new(area, Level::Warning, what, advice)
    }

    fn bad(area: &str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding::new(area, Level::Bad, what, advice)
    }
}

/// What is examined. A value, so that a test can hand in a place of its own.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// The configuration in force, where there is a readable one.
    pub config: Option<&'a Config>,
    pub state_dir: PathBuf,
    pub host: Host,
    /// Who would run the engine.
    pub user: String,
    /// The environment.
    pub vars: BTreeMap<String, String>,
    /// Whether the output goes to a terminal.
    pub terminal: bool,
}

impl Place<'_> {
    fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }
}

/// Examines this host and process.
pub async fn doctor(config: Option<&Config>, state_dir: &Path) -> Vec<Finding> {
    use std::io::IsTerminal;
    let vars = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    examine(&Place {
        config,
        state_dir: state_dir.to_owned(),
        host: Host::this(),
        user: peer::user_name(peer::current_uid()),
        vars: vars.collect(),
        terminal: std::io::stdout().is_terminal(),
    })
    .await
}

/// Examines a place. The findings come in a fixed order of areas.
pub async fn examine(place: &Place<'_>) -> Vec<Finding> {
    let (state, engine, tools, secrets, backups) = tokio::join!(
        place::state(place),
        place::engine(place),
        tools::tools(place),
        tools::secrets(place),
        backups::backups(place)
    );
    let mut out = Vec::new();
    out.extend(config(place));
    out.extend(state);
    out.extend(engine);
    out.extend(tools);
    out.extend(secrets);
    out.extend(backups);
    out.extend(terminal::terminal(place));
    out.extend(system::clock());
    out.extend(system::session(place));
    out.extend(system::roots(place));
    out.extend(system::proxies(place));
    out.extend(system::limits(place));
    out.push(Finding::note(
        "icmp",
        "no check uses ICMP: many hosts refuse it to unprivileged users",
        "a tcp check says more about a service than a ping of its host",
    ));
    out
}

fn config(place: &Place<'_>) -> Vec<Finding> {
    let Some(config) = place.config else {
        return vec![Finding::warning(
            "config",
            "there is no readable configuration: only what does not depend on one was looked at",
            "mayday init writes a starter, mayday config check names the faults of an existing one",
        )];
    };
    let what = format!(
        "{}: {}, {}, {}",
        config.source.display(),
        text::plural(config.services.len(), "service"),
        text::plural(config.backups.len(), "backup set"),
        text::plural(config.channels.len(), "channel")
    );
    let mut out = vec![Finding::good("config", what)];
    out.extend(config.warnings.iter().map(|w| Finding::warning("config", w.clone(), "")));
    out
}

/// The worst level of a list; an exit code follows from it.
pub fn worst(findings: &[Finding]) -> Level {
    findings.iter().map(|f| f.level).max().unwrap_or_default()
}
