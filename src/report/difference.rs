//! What was added to a text, line by line, however tables are padded.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Edits up to which the exact way is looked for; beyond, lines are only counted.
const EXACT: usize = 1_000;

/// A line as it counts: cells without padding, rules of tables alike, runs of blanks as one.
pub fn normal(line: &str) -> Cow<'_, str> {
    let trimmed = line.trim();
    if trimmed.starts_with('|') {
        let cells = cells(trimmed);
        let rule = |cell: &str| !cell.is_empty() && cell.bytes().all(|b| matches!(b, b'-' | b':'));
        let cells: Vec<String> =
            cells.iter().map(|c| if rule(c) { "---".to_owned() } else { blanks(c).into_owned() }).collect();
        return Cow::Owned(format!("| {} |", cells.join(" | ")));
    }
    blanks(trimmed)
}

fn blanks(text: &str) -> Cow<'_, str> {
    if !text.contains("  ") && !text.contains('\t') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The cells of a table's row, without padding. A `|` behind a backslash belongs to its cell.
pub fn cells(row: &str) -> Vec<&str> {
    let row = row.trim();
    let row = row.strip_prefix('|').unwrap_or(row);
    let mut out = Vec::new();
    let (mut from, mut escaped) = (0, false);
    for (at, c) in row.char_indices() {
        if c == '|' && !escaped {
            out.push(row.get(from..at).unwrap_or_default().trim());
            from = at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    let rest = row.get(from..).unwrap_or_default().trim();
    if !rest.is_empty() {
        out.push(rest);
    }
    out
}

/// Pairs of equal lines of `old` and `new` in order, as few as possible left over on either side.
pub fn pairs(old: &[String], new: &[String]) -> Vec<(usize, usize)> {
    let same = |a: usize, b: usize| old.get(a).zip(new.get(b)).is_some_and(|(a, b)| a == b);
    let mut head = 0;
    while same(head, head) {
        head += 1;
    }
    let mut tail = 0;
    while tail < old.len().min(new.len()) - head && same(old.len() - 1 - tail, new.len() - 1 - tail) {
        tail += 1;
    }
    let mut out: Vec<(usize, usize)> = (0..head).map(|n| (n, n)).collect();
    let (a, b) =
        (old.get(head..old.len() - tail).unwrap_or_default(), new.get(head..new.len() - tail).unwrap_or_default());
    let middle = exact(a, b).unwrap_or_else(|| counted(a, b));
    out.extend(middle.into_iter().map(|(x, y)| (x + head, y + head)));
    out.extend((0..tail).rev().map(|n| (old.len() - 1 - n, new.len() - 1 - n)));
    out
}

/// The shortest way from one to the other (Myers); `None` when it is longer than [`EXACT`].
fn exact(a: &[String], b: &[String]) -> Option<Vec<(usize, usize)>> {
    let (n, m) = (a.len() as isize, b.len() as isize);
    let most = (a.len() + b.len()).min(EXACT) as isize;
    let width = usize::try_from(2 * most + 3).ok()?;
    let at = |k: isize| usize::try_from(k + most + 1).ok();
    let mut reach = vec![0_isize; width];
    let mut trace: Vec<Vec<isize>> = Vec::new();
    for d in 0..=most {
        trace.push(reach.clone());
        for k in (-d..=d).step_by(2) {
            let (below, above) = (*reach.get(at(k - 1)?)?, *reach.get(at(k + 1)?)?);
            let mut x = if k == -d || (k != d && below < above) { above } else { below + 1 };
            let mut y = x - k;
            while x < n && y < m && a.get(usize::try_from(x).ok()?) == b.get(usize::try_from(y).ok()?) {
                (x, y) = (x + 1, y + 1);
            }
            *reach.get_mut(at(k)?)? = x;
            if x >= n && y >= m {
                return walk_back(&trace, n, m, most);
            }
        }
    }
    None
}

fn walk_back(trace: &[Vec<isize>], n: isize, m: isize, most: isize) -> Option<Vec<(usize, usize)>> {
    let at = |k: isize| usize::try_from(k + most + 1).ok();
    let (mut x, mut y) = (n, m);
    let mut out = Vec::new();
    for (d, reach) in trace.iter().enumerate().rev() {
        let d = isize::try_from(d).ok()?;
        let k = x - y;
        let (below, above) = (*reach.get(at(k - 1)?)?, *reach.get(at(k + 1)?)?);
        let before = if k == -d || (k != d && below < above) { k + 1 } else { k - 1 };
        let from = if d == 0 { 0 } else { *reach.get(at(before)?)? };
        let from_y = if d == 0 { 0 } else { from - before };
        while x > from && y > from_y {
            (x, y) = (x - 1, y - 1);
            out.push((usize::try_from(x).ok()?, usize::try_from(y).ok()?));
        }
        (x, y) = (from, from_y);
    }
    out.reverse();
    Some(out)
}

/// Equal lines, each used once, wherever they stand.
fn counted(a: &[String], b: &[String]) -> Vec<(usize, usize)> {
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (n, line) in a.iter().enumerate().rev() {
        places.entry(line).or_default().push(n);
    }
    let of = |(n, line): (usize, &String)| Some((places.get_mut(line.as_str())?.pop()?, n));
    b.iter().enumerate().filter_map(of).collect()
}

/// Positions in `new` of lines that are not in `old`.
pub fn added(old: &[String], new: &[String]) -> Vec<usize> {
    let mut found = vec![false; new.len()];
    for (_, n) in pairs(old, new) {
        if let Some(found) = found.get_mut(n) {
            *found = true;
        }
    }
    found.iter().enumerate().filter(|(_, found)| !**found).map(|(n, _)| n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn padding_is_not_a_change() {
        assert_eq!(normal("|  a |b\\|c  | |"), "| a | b\\|c |  |");
        assert_eq!(normal("|:---|-----:|"), "| --- | --- |");
        assert_eq!(normal("two  words\t"), "two words");
    }

    #[test]
    fn what_was_added_is_found() {
        assert_eq!(added(&lines("a b c"), &lines("a x b c y")), [1, 4]);
        assert_eq!(added(&lines("a b a b"), &lines("b a b a")), [3]);
        assert_eq!(added(&[], &lines("a")), [0]);
        assert!(added(&lines("a b c"), &lines("b")).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn both_ways_pair_equal_lines_once(a in "[abc ]{0,40}", b in "[abc ]{0,40}") {
            let (a, b) = (lines(&a.replace("", " ")), lines(&b.replace("", " ")));
            for found in [pairs(&a, &b), counted(&a, &b)] {
                let old: std::collections::BTreeSet<usize> = found.iter().map(|p| p.0).collect();
                let new: std::collections::BTreeSet<usize> = found.iter().map(|p| p.1).collect();
                proptest::prop_assert!(old.len() == found.len() && new.len() == found.len());
                proptest::prop_assert!(found.iter().all(|(x, y)| a[*x] == b[*y]));
            }
            proptest::prop_assert!(pairs(&a, &b).windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 < w[1].1));
        }
    }
}
