//! Which names of a folder are meant: patterns against the path below it.
//!
//! A star stays within one part of a path, two cross any number of parts. A pattern that matches a folder means all that
//! is in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::text;

/// Chosen names; all when there was no pattern.
#[derive(Clone, Debug)]
pub struct Only {
    set: Option<GlobSet>,
    /// Of each pattern the part without any wildcard: what matches lies there or below.
    prefixes: Vec<PathBuf>,
    /// The patterns, and whether a name was seen that matches.
    patterns: Arc<[(String, AtomicBool)]>,
}

impl Only {
    /// Errors: which pattern cannot be used, and why.
    pub fn new(patterns: &[String]) -> Result<Only, String> {
        if patterns.is_empty() {
            return Ok(Only::all());
        }
        let mut set = GlobSetBuilder::new();
        let mut prefixes: Vec<PathBuf> = Vec::new();
        for pattern in patterns {
            let wrong = |why: &str| format!("the pattern \"{}\" {why}", text::clean(pattern));
            let bare = pattern.trim_end_matches('/');
            if bare.is_empty() || bare.starts_with('/') || bare.split('/').any(|p| matches!(p, "" | "." | "..")) {
                return Err(wrong("is no path below the folder: leave out leading slashes and dots"));
            }
            for one in [bare.to_owned(), format!("{bare}/**")] {
                let glob = GlobBuilder::new(&one).literal_separator(true).build();
                set.add(glob.map_err(|e| wrong(&format!("cannot be used: {}", text::clean(&e.kind().to_string()))))?);
            }
            let wild = |part: &&str| part.contains(['*', '?', '[', '{', '\\']);
            prefixes.push(bare.split('/').take_while(|part| !wild(part)).collect());
        }
        prefixes.sort();
        // What lies below another one is in that already.
        let mut kept: Vec<PathBuf> = Vec::new();
        for prefix in prefixes {
            if !kept.iter().any(|k| prefix.starts_with(k)) {
                kept.push(prefix);
            }
        }
        let set = set.build().map_err(|e| format!("the patterns cannot be used: {}", text::clean(&e.to_string())))?;
        let patterns = patterns.iter().map(|p| (p.clone(), AtomicBool::new(false))).collect();
        Ok(Only { set: Some(set), prefixes: kept, patterns })
    }

    /// Every name.
    pub fn all() -> Only {
        Only { set: None, prefixes: Vec::new(), patterns: Arc::new([]) }
    }

    /// Whether a path below the folder is meant.
    pub fn has(&self, path: &Path) -> bool {
        self.set.as_ref().is_none_or(|set| set.is_match(path))
    }

    /// As [`Only::has`], and remembers which patterns have something: see [`Only::objection`].
    pub fn sees(&self, path: &Path) -> bool {
        let Some(set) = &self.set else { return true };
        let matches = set.matches(path);
        for at in &matches {
            // Each pattern stands for two: itself, and all below.
            if let Some((_, seen)) = self.patterns.get(at / 2) {
                seen.store(true, Ordering::Relaxed);
            }
        }
        !matches.is_empty()
    }

    /// After all names were seen: why this choice is not to be trusted, if so.
    pub fn objection(&self) -> Option<String> {
        let without: Vec<&str> =
            self.patterns.iter().filter(|(_, seen)| !seen.load(Ordering::Relaxed)).map(|(p, _)| p.as_str()).collect();
        let first = without.first()?;
        let list: Vec<String> = without.iter().map(|p| format!("\"{}\"", text::clean(p))).collect();
        let deeper = if first.contains('/') {
            String::new()
        } else {
            format!(" ('**/{}' looks in every folder)", text::clean(first))
        };
        Some(format!(
            "nothing in it matches {}: look at the pattern{deeper}, leave it out with --only, or choose another copy",
            list.join(" nor ")
        ))
    }

    pub fn is_all(&self) -> bool {
        self.set.is_none()
    }

    /// Paths at or below which all that is meant lies; the folder itself (an empty path) when that cannot be said.
    pub fn prefixes(&self) -> &[PathBuf] {
        &self.prefixes
    }

    /// Whether something below this folder may be meant.
    pub fn may_have_below(&self, dir: &Path) -> bool {
        self.is_all() || self.prefixes.iter().any(|p| p.starts_with(dir) || dir.starts_with(p))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(patterns: &[&str]) -> Result<Only, String> {
        Only::new(&patterns.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn patterns_choose_names_and_all_below_a_folder() {
        for (patterns, path, wanted) in [
            (&["nginx"][..], "nginx", true),
            (&["nginx"], "nginx/conf.d/a", true),
            (&["nginx/"], "nginx/conf.d/a", true),
            (&["nginx"], "old/nginx", false),
            (&["*.pem"], "a.pem", true),
            (&["*.pem"], "sub/a.pem", false),
            (&["**/*.pem"], "sub/deep/a.pem", true),
            (&["**/*.pem"], "a.pem", true),
            (&["a*/x"], "ab/x/y", true),
            (&["a*/x"], "ab/c/x", false),
            (&["x", "{y,z}.txt"], "z.txt", true),
            (&[], "anything", true),
        ] {
            assert_eq!(only(patterns).unwrap().has(Path::new(path)), wanted, "{patterns:?} {path}");
        }
        for bad in ["", "/", "/etc", "../x", "a/../b", "./a", "a//b", "[", "{a"] {
            assert!(only(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_meant_lies_below_the_plain_beginning_of_its_pattern() {
        let of = |patterns: &[&str]| only(patterns).unwrap().prefixes().to_vec();
        assert_eq!(of(&["etc/nginx/**", "etc/nginx/a", "b/c"]), [Path::new("b/c"), Path::new("etc/nginx")]);
        assert_eq!(of(&["**/*.pem", "b"]), [Path::new("")]);
        let chosen = only(&["etc/nginx/*.conf"]).unwrap();
        for (dir, wanted) in [("", true), ("etc", true), ("etc/nginx/x", true), ("var", false), ("etc/ssl", false)] {
            assert_eq!(chosen.may_have_below(Path::new(dir)), wanted, "{dir}");
        }
    }
}
