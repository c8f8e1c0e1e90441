//! Which rows of the record somebody wants to see: by kind, actor, service and words, in one of its two layers.
//!
//! Pure. The same words mean the same in the cockpit's filter, on the command line and in the engine, which looks through
//! what a screen has not loaded.

use serde::{Deserialize, Serialize};

use super::timeline::Row;

/// The record as it was written, or the timeline for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Every entry, each correction as one of its own.
    #[default]
    Raw,
    /// What is told: as it was corrected last, without details and what was hidden, with what was pinned.
    Curated,
}

/// Rows that are wanted: of each list that is not empty one word has to fit, of `words` all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sift {
    /// Beginnings of kinds: `run`, `note.added`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Login names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actors: Vec<String>,
    /// Services that a row is about, or names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Anything in its text, actor, kind or title; lower case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

impl Sift {
    /// Reads what is typed: `actor:bob kind:run service:api pinned hidden`, everything else is a word of the text;
    /// `text:pinned` is the word itself.
    pub fn parse(typed: &str) -> Sift {
        let mut sift = Sift::default();
        for word in typed.split_whitespace() {
            let word = word.to_lowercase();
            match word.split_once(':') {
                // A key whose value is not typed yet narrows nothing.
                Some(("kind" | "actor" | "by" | "service" | "text", "")) => {}
                Some(("kind", value)) => sift.kinds.push(value.to_owned()),
                Some(("actor" | "by", value)) => sift.actors.push(value.to_owned()),
                Some(("service", value)) => sift.services.push(value.to_owned()),
                Some(("text", value)) => sift.words.push(value.to_owned()),
                None if word == "pinned" => sift.pinned = true,
                None if word == "hidden" => sift.hidden = true,
                _ => sift.words.push(word),
            }
        }
        sift
    }

    /// Everything is wanted.
    pub fn is_empty(&self) -> bool {
        *self == Sift::default()
    }

    /// The row is wanted in this layer.
    pub fn takes(&self, row: &Row, layer: Layer) -> bool {
        // Who asks for what is hidden wants to see it.
        let told = layer == Layer::Raw || row.is_told() || self.hidden && row.hidden;
        told && self.fits(row)
    }

    /// The row is wanted, in whatever layer.
    pub fn fits(&self, row: &Row) -> bool {
        let any = |list: &[String], fits: &dyn Fn(&str) -> bool| list.is_empty() || list.iter().any(|w| fits(w));
        (!self.pinned || row.pinned)
            && (!self.hidden || row.hidden)
            && any(&self.kinds, &|k| begins(&row.kind, k))
            && any(&self.actors, &|a| contains(&row.actor, a))
            && any(&self.services, &|s| is_about(row, s))
            && self.words.iter().all(|word| self.has(row, word))
    }

    fn has(&self, row: &Row, word: &str) -> bool {
        // As it was recorded as well: who remembers the first wording finds it.
        let original = row.original.as_deref().map_or("", |o| o.text.as_str());
        let title = row.title.as_deref().unwrap_or_default();
        [row.text.as_str(), original, &row.actor, &row.kind, title].iter().any(|text| contains(text, word))
    }
}

fn begins(text: &str, lower: &str) -> bool {
    text.get(..lower.len()).is_some_and(|head| head.eq_ignore_ascii_case(lower))
}

/// `text` contains `lower` (which is lower case) whatever its case, without allocating for plain ASCII.
pub fn contains(text: &str, lower: &str) -> bool {
    if !text.is_ascii() {
        return text.to_lowercase().contains(lower);
    }
    let (text, word) = (text.as_bytes(), lower.as_bytes());
    word.is_empty() || text.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word))
}

/// The row is about the service, or its text names it as a whole word: what is said of a run names its service there.
fn is_about(row: &Row, service: &str) -> bool {
    if row.service.as_ref().is_some_and(|s| s.eq_ignore_ascii_case(service)) {
        return true;
    }
    let text = row.text.to_lowercase();
    let joins = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    text.match_indices(&service.to_lowercase()).any(|(at, found)| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let after = text.get(at + found.len()..).and_then(|t| t.chars().next());
        !found.is_empty() && !before.is_some_and(joins) && !after.is_some_and(joins)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::timeline::Level;

    fn row(kind: &str, actor: &str, text: &str) -> Row {
        serde_json::from_value(serde_json::json!({
            "seq": 1, "at": "2026-11-20T02:14:07Z", "actor": actor, "kind": kind, "text": text, "level": "info",
        }))
        .unwrap()
    }

    #[test]
    fn words_are_read_as_they_are_typed() {
        let all = Sift::parse("actor:Bob by:ann kind:run service:api pinned Cache text:pinned kind: 12:30");
        assert_eq!(all.actors, ["bob", "ann"]);
        assert_eq!((all.kinds, all.services), (vec!["run".to_owned()], vec!["api".to_owned()]));
        assert!(all.pinned && !all.hidden);
        assert_eq!(all.words, ["cache", "pinned", "12:30"]);
        assert!(Sift::parse("  kind: ").is_empty());
    }

    #[test]
    fn rows_are_found_by_what_they_are_and_say() {
        let note = row("note.added", "bob", "The Cache of api-gateway is cold, ÜBER all");
        for (typed, wanted) in [
            ("cache COLD", true),
            ("über", true),
            ("warm", false),
            ("kind:note", true),
            ("kind:ote", false),
            ("kind:run kind:note", true),
            ("actor:bob kind:run", false),
            ("service:api-gateway", true),
            ("service:api", false),
            ("pinned", false),
        ] {
            assert_eq!(Sift::parse(typed).takes(&note, Layer::Curated), wanted, "{typed}");
        }
    }

    #[test]
    fn the_curated_layer_leaves_out_what_is_hidden_or_a_detail_unless_it_is_pinned() {
        let sift = Sift::default();
        let told = |row: &Row| (sift.takes(row, Layer::Raw), sift.takes(row, Layer::Curated));
        let detail = Row { level: Level::Detail, ..row("step.taken", "bob", "opened") };
        assert_eq!(told(&detail), (true, false));
        assert_eq!(told(&Row { pinned: true, ..detail }), (true, true));
        let hidden = Row { hidden: true, pinned: true, ..row("note.added", "bob", "x") };
        assert_eq!(told(&hidden), (true, false));
        assert!(Sift::parse("hidden").takes(&hidden, Layer::Curated));
        assert_eq!(told(&row("note.corrected", "bob", "corrected entry 1")), (true, false));
    }
}
