//! Names of what lies beside live data: which database or folder it belongs to, what it is, and which run made it can be
//! read off the name, on a screen and in `\l` or `ls` alike.

use sha2::{Digest, Sha256};

/// What a side thing is, as it stands in its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Restored, waiting for the cut-over.
    Restore,
    /// Was live before a cut-over.
    Before,
    /// Was live between a cut-over and its undo.
    Abandoned,
    /// A restored table beside the live one.
    Restored,
}

impl Beside {
    const fn word(self) -> &'static str {
        match self {
            Beside::Restore => "restore",
            Beside::Before => "before",
            Beside::Abandoned => "abandoned",
            Beside::Restored => "restored",
        }
    }
}

/// PostgreSQL's NAMEDATALEN less the terminator: a longer name is cut by the server without an error.
const DATABASE_MAX: usize = 63;
/// NAME_MAX of Linux file systems, less what [`PARTIAL`] adds.
const FOLDER_MAX: usize = 255 - PARTIAL.len();
/// Ends the name of a folder that is not complete.
pub const PARTIAL: &str = ".partial";

/// `app__restore_k3f9`.
pub fn database(live: &str, what: Beside, run: &str) -> String {
    cut(live, &format!("__{}_{run}", what.word()), DATABASE_MAX)
}

/// `docs.restore-k3f9`.
pub fn folder(live: &str, what: Beside, run: &str) -> String {
    cut(live, &format!(".{}-{run}", what.word()), FOLDER_MAX)
}

/// `live` and `ending`, at most `max` bytes. What does not fit is cut from `live`, and six hex digits of its hash keep two
/// long names apart that begin alike.
fn cut(live: &str, ending: &str, max: usize) -> String {
    if live.len() + ending.len() <= max {
        return format!("{live}{ending}");
    }
    let digest = hex::encode(Sha256::digest(live.as_bytes()));
    let hash: String = digest.chars().take(6).collect();
    let mut end = max.saturating_sub(ending.len() + hash.len() + 1).min(live.len());
    while !live.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}_{hash}{ending}", live.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_are_and_fit() {
        assert_eq!(database("app", Beside::Restore, "k3f9"), "app__restore_k3f9");
        assert_eq!(folder("docs", Beside::Before, "k3f9"), "docs.before-k3f9");
        let long = "d".repeat(63);
        let (a, b) = (database(&long, Beside::Before, "r1"), database(&long, Beside::Before, "r2"));
        assert_eq!(a.len(), 63);
        assert!(a != b && a.ends_with("__before_r1"), "{a} {b}");
        let other = format!("{}x", "d".repeat(62));
        assert_ne!(a, database(&other, Beside::Before, "r1"), "the hash keeps apart what was cut alike");
        assert!(folder(&"ä".repeat(127), Beside::Restore, "r1").len() + PARTIAL.len() <= 255);
    }

    proptest::proptest! {
        #[test]
        fn no_name_is_too_long(live in "\\PC{1,63}", run in "[a-z0-9]{1,10}") {
            for what in [Beside::Restore, Beside::Before, Beside::Abandoned] {
                let name = database(&live, what, &run);
                proptest::prop_assert!(name.len() <= 63 && name != live, "{name}");
            }
        }
    }
}
