//! Which playbooks fit what is down. They are only named: none begins by itself.

use serde::{Deserialize, Serialize};

use super::{Playbook, Suggest};
use crate::domain::health::Health;
use crate::domain::state::State;

/// A playbook that fits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Suggested {
    pub name: String,
    pub title: String,
    /// `postgres is down`, `all of api, web are down`.
    pub why: String,
}

/// Those that fit what is down, the one that explains most of it first.
pub fn suggested(playbooks: &[Playbook], state: &State) -> Vec<Suggested> {
    let mut out: Vec<(usize, Suggested)> = Vec::new();
    for playbook in playbooks {
        let best = playbook.suggest.iter().filter_map(|rule| matches(rule, state)).max_by_key(|(n, _)| *n);
        if let Some((n, why)) = best {
            out.push((n, Suggested { name: playbook.name.clone(), title: playbook.title.clone(), why }));
        }
    }
    // Stable: where two explain as much, the order of the file decides.
    out.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    out.into_iter().map(|(_, s)| s).collect()
}

/// How many services a rule explains, and in words why it fits.
fn matches(rule: &Suggest, state: &State) -> Option<(usize, String)> {
    let down = |name: &str| state.services.get(name).filter(|r| r.state == Health::Down);
    if rule.all {
        // What is paused on purpose is no part of the question.
        let counted: Vec<&str> = rule
            .services
            .iter()
            .map(String::as_str)
            .filter(|n| state.services.get(*n).is_none_or(|r| r.state != Health::Paused))
            .collect();
        let every = !counted.is_empty() && counted.iter().all(|n| down(n).is_some());
        return every.then(|| {
            let why = match counted.as_slice() {
                [one] => format!("{one} is down"),
                _ => format!("all of {} are down", counted.join(", ")),
            };
            (counted.len() * 2, why)
        });
    }
    // What is down because of something else is not what has to be mended.
    let own: Vec<&str> =
        rule.services.iter().map(String::as_str).filter(|n| down(n).is_some_and(|r| r.because.is_none())).collect();
    (!own.is_empty())
        .then(|| (own.len(), format!("{} {} down", own.join(", "), if own.len() == 1 { "is" } else { "are" })))
}
