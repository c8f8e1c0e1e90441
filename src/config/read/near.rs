//! The key that was probably meant.

/// Words of other tools → the word here.
const ALIASES: &[(&str, &str)] = &[
    ("interval", "every"),
    ("period", "every"),
    ("schedule", "every"),
    ("id", "name"),
    ("title", "name"),
    ("label", "name"),
    ("command", "run"),
    ("cmd", "run"),
    ("argv", "run"),
    ("exec", "run"),
    ("script", "run"),
    ("uri", "url"),
    ("endpoint", "url"),
    ("address", "url"),
    ("address", "dsn"),
    ("url", "dsn"),
    ("url", "address"),
    ("url", "webhook"),
    ("host", "address"),
    ("retries", "down_after"),
    ("failures", "down_after"),
    ("threshold", "down_after"),
    ("dependencies", "depends_on"),
    ("depends", "depends_on"),
    ("requires", "depends_on"),
    ("needs", "depends_on"),
    ("description", "doc"),
    ("description", "impact"),
    ("doc", "impact"),
    ("regex", "body_matches"),
    ("match", "body_matches"),
    ("contains", "body_contains"),
    ("expect", "body_contains"),
    ("code", "status"),
    ("status_code", "status"),
    ("recipients", "to"),
    ("glob", "pattern"),
    ("directory", "path"),
    ("dir", "path"),
    ("folder", "path"),
    ("dir", "project_dir"),
    ("directory", "cwd"),
    ("workdir", "cwd"),
    ("working_dir", "cwd"),
    ("db", "database"),
    ("dbname", "database"),
    ("key", "secret"),
    ("pass", "password"),
    ("username", "user"),
    ("level", "risk"),
    ("max_age", "rpo"),
    ("slow", "latency_below"),
    ("latency", "latency_below"),
    ("warn_over", "latency_below"),
    ("unit", "systemd"),
    ("container", "docker"),
    ("postgresql", "postgres"),
    ("pg", "postgres"),
    ("https", "http"),
    ("command", "exec"),
    ("mail", "email"),
    ("smtp", "email"),
];

/// Which of `known` was probably meant by `word`.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    // Distances are only worth their time for words that a person could have meant.
    if word.is_empty() || word.chars().count() > 40 {
        return None;
    }
    let known: Vec<&str> = known.into_iter().collect();
    let allowed = match word.chars().count() {
        0..=1 => 0,
        2..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    let by_distance = known
        .iter()
        .map(|k| (distance(&word, &k.to_lowercase().replace('-', "_")), *k))
        .filter(|(d, _)| *d <= allowed)
        .min_by_key(|(d, _)| *d);
    if let Some((_, found)) = by_distance {
        return Some(found);
    }
    if let Some(found) = known.iter().find(|k| ALIASES.iter().any(|(theirs, ours)| *theirs == word && ours == *k)) {
        return Some(found);
    }
    // A part of exactly one longer key: `below` would fit many and says nothing.
    let mut parts =
        known.iter().filter(|k| word.len() >= 4 && (k.contains(word.as_str()) || word.contains(**k) && k.len() >= 4));
    match (parts.next(), parts.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// Edits between two words, a swap of neighbours counting as one (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *y && b[j - 1] == *x {
                best = best.min(before[j - 1] + 1);
            }
            row[j + 1] = best;
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyped_swapped_and_foreign_words_are_understood() {
        let known = ["name", "url", "every", "timeout", "latency_below", "down_after", "status"];
        for (word, meant) in [
            ("tiemout", Some("timeout")),
            ("Timeout", Some("timeout")),
            ("evry", Some("every")),
            ("interval", Some("every")),
            ("latency", Some("latency_below")),
            ("latency-below", Some("latency_below")),
            ("retries", Some("down_after")),
            ("colour", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }
}
