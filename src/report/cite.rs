//! How a number names the entries that it comes from: `[61]`, `[5, 8]`, `[12–19, 25]`.
//!
//! Written, and read again from documents that people edited. A long list is shortened in the middle, with a count.

/// Numbers and ranges shown at the most before the middle of a list is left out.
const SHOWN: usize = 16;

/// `[61]`, `[5, 8]`, `[12–14, 25]`; nothing for no entry. `entries` in ascending order, as measures have them.
pub fn cite(entries: &[u64]) -> String {
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for seq in entries {
        match spans.last_mut() {
            Some((_, to)) if *seq == *to + 1 => *to = *seq,
            Some((from, to)) if (*from..=*to).contains(seq) => {}
            _ => spans.push((*seq, *seq)),
        }
    }
    if spans.is_empty() {
        return String::new();
    }
    // Two neighbours are not yet a range.
    let mut items: Vec<(String, u64)> = Vec::new();
    for (from, to) in spans {
        match to - from {
            0 => items.push((from.to_string(), 1)),
            1 => items.extend([(from.to_string(), 1), (to.to_string(), 1)]),
            n => items.push((format!("{from}–{to}"), n + 1)),
        }
    }
    let left_out = items.len().saturating_sub(SHOWN);
    let mut said: Vec<String> = Vec::new();
    for (n, (item, _)) in items.iter().enumerate() {
        let middle = SHOWN - 1;
        if left_out > 0 && (middle..middle + left_out).contains(&n) {
            if n == middle {
                let count: u64 = items.iter().skip(middle).take(left_out).map(|(_, c)| c).sum();
                said.push(format!("… {count} more"));
            }
            continue;
        }
        said.push(item.clone());
    }
    format!("[{}]", said.join(", "))
}

/// A part of what stands between the brackets of a citation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    One(u64),
    Span(u64, u64),
    /// `… 12 more`
    More(String),
}

/// Reads what stands between the brackets: `61`, `5, 8`, `12–14, … 3 more, 30`. `None` when it is no citation.
pub fn parts(inside: &str) -> Option<Vec<Part>> {
    let mut out = Vec::new();
    for item in inside.split(',').map(str::trim) {
        let number = |text: &str| -> Option<u64> {
            (!text.is_empty() && text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit()))
                .then(|| text.parse().ok())
                .flatten()
        };
        if let Some(one) = number(item) {
            out.push(Part::One(one));
        } else if let Some((from, to)) = item.split_once(['–', '-']) {
            out.push(Part::Span(number(from.trim())?, number(to.trim())?));
        } else {
            let count = item.strip_prefix('…')?.trim().strip_suffix("more")?.trim();
            number(count)?;
            out.push(Part::More(item.to_owned()));
        }
    }
    (!out.is_empty()).then_some(out)
}

/// A citation found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<'t> {
    /// What stands before it, from the citation before.
    pub before: &'t str,
    pub parts: Vec<Part>,
    /// As written, with its brackets.
    pub written: &'t str,
}

impl Found<'_> {
    /// The entries it names: of a range both ends.
    pub fn named(&self) -> Vec<u64> {
        self.parts
            .iter()
            .flat_map(|p| match p {
                Part::One(n) => vec![*n],
                Part::Span(a, b) => vec![*a, *b],
                Part::More(_) => Vec::new(),
            })
            .collect()
    }
}

/// All citations in `text`, in order. Links (`[61](…)`) and escaped brackets are none.
pub fn find(text: &str) -> Vec<Found<'_>> {
    let mut out = Vec::new();
    let mut from = 0;
    let mut at = 0;
    while let Some(open) = text.get(at..).and_then(|rest| rest.find('[')).map(|n| at + n) {
        at = open + 1;
        if text.get(..open).is_some_and(|b| b.ends_with(['\\', '!'])) {
            continue;
        }
        let Some(len) = text.get(at..).and_then(|rest| rest.find([']', '['])) else { break };
        let (inside, rest) = (text.get(at..at + len).unwrap_or_default(), text.get(at + len..).unwrap_or_default());
        // At the beginning of a line it would define where a link leads to.
        let begins = text.get(..open).is_some_and(|b| b.is_empty() || b.ends_with('\n'));
        if !rest.starts_with(']') || rest.starts_with("](") || (begins && rest.starts_with("]:")) {
            continue;
        }
        let Some(parts) = parts(inside) else { continue };
        out.push(Found {
            before: text.get(from..open).unwrap_or_default(),
            parts,
            written: text.get(open..at + len + 1).unwrap_or_default(),
        });
        at += len + 1;
        from = at;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citations_are_short_and_read_back() {
        for (entries, said) in [
            (vec![], ""),
            (vec![61], "[61]"),
            (vec![5, 8], "[5, 8]"),
            (vec![5, 6], "[5, 6]"),
            (vec![5, 6, 7, 9], "[5–7, 9]"),
        ] {
            assert_eq!(cite(&entries), said);
        }
        let many: Vec<u64> = (1..=40).map(|n| n * 3).collect();
        let said = cite(&many);
        assert_eq!(said, "[3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36, 39, 42, 45, … 24 more, 120]");
        let read = find(&said);
        assert_eq!(read.first().map(|f| f.named().len()), Some(16));
    }

    #[test]
    fn only_citations_are_found() {
        let text = "waited 4m10s [40, 44]: but [x] and [1](y) and \\[2\\] stay; [70–72]\n[5]: here";
        let found: Vec<_> = find(text).into_iter().map(|f| (f.written, f.named())).collect();
        assert_eq!(found, [("[40, 44]", vec![40, 44]), ("[70–72]", vec![70, 72])]);
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_by_writing_it_short(set in proptest::collection::btree_set(1_u64..500, 0..16)) {
            let entries: Vec<u64> = set.iter().copied().collect();
            let said = cite(&entries);
            let mut read = Vec::new();
            for part in find(&said).into_iter().flat_map(|f| f.parts) {
                match part {
                    Part::One(n) => read.push(n),
                    Part::Span(a, b) => read.extend(a..=b),
                    Part::More(_) => proptest::prop_assert!(false, "nothing is left out of 16"),
                }
            }
            proptest::prop_assert_eq!(read, entries);
        }

        #[test]
        fn any_text_is_read_without_a_fault(text in "(\\PC|[\\[\\]0-9,–]){0,60}") {
            let _ = find(&text);
        }
    }
}
