//! What restores leave beside the live data, and what of it is kept.

use serde::{Deserialize, Serialize};

use crate::domain::time::Time;
use crate::text;

/// What a restore left beside or kept, so that none is forgotten.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// `database`, `folder` or `cluster`.
    pub kind: String,
    /// Name of the side copy or of what was kept.
    pub name: String,
    /// The live name it belongs to.
    pub live: String,
    pub created_at: Time,
    /// Bytes, where known.
    #[serde(default)]
    pub size: u64,
    /// Ready to take the live place (a side copy), or kept from before a cut-over.
    pub role: SideRole,
    /// What later steps (cut-over, undo, drop) need: the arguments of the restore.
    #[serde(default)]
    pub args: serde_json::Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SideRole {
    /// Restored and verified, waiting for the cut-over.
    Ready,
    /// Was live before the cut-over; undo puts it back.
    Before,
    /// Was live between a cut-over and its undo; or a restore did not finish and could not take it away
    /// ([`Side::is_incomplete`]).
    Abandoned,
    /// Restored tables put beside the live ones, under names of their own; or in a database of their own, to be moved by
    /// hand.
    Beside,
    /// A side cluster that was promoted and handed over: clients may use it.
    Serving,
}

/// Parts of a copy that are named; more are counted.
const NAMED: usize = 3;

impl Side {
    /// Its restore did not finish: it may be dropped and nothing else.
    pub fn is_incomplete(&self) -> bool {
        self.args.get("incomplete").and_then(serde_json::Value::as_bool).unwrap_or(false)
    }

    /// It is at the moment that was asked for, and its verification failed: it may be looked into, and dropped.
    pub fn is_unverified(&self) -> bool {
        self.args.get("unverified").and_then(serde_json::Value::as_bool).unwrap_or(false)
    }

    /// The tables, or the patterns of names, that it holds instead of the whole copy; none when it is whole.
    pub fn parts(&self) -> Vec<String> {
        let list = |key: &str| self.args.get(key).and_then(serde_json::Value::as_array).into_iter().flatten();
        let word = |v: &serde_json::Value, key: &str| v.get(key).and_then(|v| v.as_str()).map(str::to_owned);
        let tables = list("chosen").filter_map(|t| Some(format!("{}.{}", word(t, "schema")?, word(t, "name")?)));
        let names = list("only").filter_map(|n| n.as_str().map(str::to_owned));
        tables.chain(names).collect()
    }

    /// `only public.orders, public.items and 3 more`; `None` when it is whole.
    pub fn only(&self) -> Option<String> {
        let parts = self.parts();
        let named =
            text::clean(&parts.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ")).into_owned();
        match parts.len() {
            0 => None,
            n if n > NAMED => Some(format!("only {named} and {} more", n - NAMED)),
            _ => Some(format!("only {named}")),
        }
    }

    /// What it is, in words: `ready to cut over`, `only public.b: ready to be put beside the live tables`.
    pub fn said(&self) -> String {
        let whole = match self.role {
            _ if self.is_incomplete() => "incomplete: the next restore removes it",
            _ if self.is_unverified() => "paused, NOT verified: look into it, or drop it",
            SideRole::Ready => match (self.only(), self.kind.as_str()) {
                (None, _) => "ready to cut over",
                (Some(only), "database") => return format!("{only}: ready to be put beside the live tables"),
                (Some(only), _) => return format!("{only}: ready to be copied in"),
            },
            SideRole::Before => "kept from before the cut-over",
            SideRole::Abandoned => "kept, undone",
            SideRole::Beside if self.kind == "database" => {
                return format!("{}: to be moved by hand", self.only().unwrap_or_else(|| "chosen tables".into()));
            }
            SideRole::Beside => "put beside the live tables",
            SideRole::Serving => "promoted and handed over",
        };
        whole.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(kind: &str, role: SideRole, args: serde_json::Value) -> Side {
        let (name, live) = ("shop__restore_r1".into(), "shop".into());
        Side { kind: kind.into(), name, live, created_at: Time::default(), size: 0, role, args }
    }

    #[test]
    fn a_side_says_whether_it_is_the_whole() {
        let is = |kind, role, args, said: &str| assert_eq!(side(kind, role, args).said(), said);
        let none = serde_json::json!({});
        is("database", SideRole::Ready, none.clone(), "ready to cut over");
        let one = serde_json::json!({ "chosen": [{ "schema": "public", "name": "b" }] });
        is("database", SideRole::Ready, one, "only public.b: ready to be put beside the live tables");
        let names = serde_json::json!({ "only": ["a/**", "b", "c", "d"] });
        is("folder", SideRole::Ready, names, "only a/**, b, c and 1 more: ready to be copied in");
        let by_hand = serde_json::json!({ "only": ["public.notes"] });
        is("database", SideRole::Beside, by_hand, "only public.notes: to be moved by hand");
        is("database", SideRole::Abandoned, none, "kept, undone");
        let cut_short = serde_json::json!({ "incomplete": true });
        let unverified = serde_json::json!({ "unverified": true });
        is("cluster", SideRole::Abandoned, unverified, "paused, NOT verified: look into it, or drop it");
        is("database", SideRole::Abandoned, cut_short, "incomplete: the next restore removes it");
    }
}
