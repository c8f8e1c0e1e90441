//! Keeping to a far end's limits by cutting, never by dropping.
//!
//! A text that is too long keeps its head and its tail, and says in between how much is missing:
//! `…(312 lines cut)…`. Whole lines are cut where lines are short enough for that, characters otherwise.

/// What a character weighs against a limit.
pub type Weigh = fn(char) -> usize;

/// UTF-16 units, the way JavaScript counts; never less than the number of characters.
pub fn units(c: char) -> usize {
    c.len_utf16()
}

/// UTF-16 units after `& < >` were escaped for Slack.
pub fn slack_units(c: char) -> usize {
    match c {
        '&' => 5,
        '<' | '>' => 4,
        c => c.len_utf16(),
    }
}

/// What `text` weighs.
pub fn weight(text: &str, weigh: Weigh) -> usize {
    text.chars().map(weigh).sum()
}

/// `text` with at most `limit` units: unchanged when it fits, else its first two thirds and last third of the room
/// around a mark that counts what is missing. A limit too small for a mark keeps only the beginning.
pub fn cut(text: &str, limit: usize, weigh: Weigh) -> String {
    if weight(text, weigh) <= limit {
        return text.to_owned();
    }
    cut_lines(text, limit, weigh).unwrap_or_else(|| cut_characters(text, limit, weigh))
}

/// One line of at most `limit` units, cut at the end with `…`.
pub fn cut_end(text: &str, limit: usize, weigh: Weigh) -> String {
    if weight(text, weigh) <= limit {
        return text.to_owned();
    }
    let mut out = head(text, limit.saturating_sub(1), weigh).to_owned();
    if limit > 0 {
        out.push('…');
    }
    out
}

/// Whole lines from both ends. `None` when that would waste more than half of the room, as with one huge line.
fn cut_lines(text: &str, limit: usize, weigh: Weigh) -> Option<String> {
    let lines: Vec<&str> = text.split('\n').collect();
    let room = limit.checked_sub(weight(&format!("\n…({} lines cut)…\n", lines.len()), weigh))?;
    let cost = |line: &str| weight(line, weigh) + 1;
    let (mut first, mut used) = (0, 0);
    while let Some(line) = lines.get(first) {
        if used + cost(line) > room * 2 / 3 {
            break;
        }
        used += cost(line);
        first += 1;
    }
    let mut last = lines.len();
    while last > first {
        let Some(line) = lines.get(last - 1) else { break };
        if used + cost(line) > room {
            break;
        }
        used += cost(line);
        last -= 1;
    }
    if used < room / 2 {
        return None;
    }
    let mut out: Vec<String> = lines.iter().take(first).map(|&l| l.to_owned()).collect();
    out.push(mark(last - first, "line"));
    out.extend(lines.iter().skip(last).map(|&l| l.to_owned()));
    Some(out.join("\n"))
}

fn mark(n: usize, what: &str) -> String {
    format!("…({n} {what}{} cut)…", if n == 1 { "" } else { "s" })
}

fn cut_characters(text: &str, limit: usize, weigh: Weigh) -> String {
    let total = text.chars().count();
    let Some(room) = limit.checked_sub(weight(&mark(total, "character"), weigh)) else {
        return head(text, limit, weigh).to_owned();
    };
    let front = head(text, room * 2 / 3, weigh);
    let rest = text.get(front.len()..).unwrap_or_default();
    let back = tail(rest, room - weight(front, weigh), weigh);
    let kept = front.chars().count() + back.chars().count();
    format!("{front}{}{back}", mark(total - kept, "character"))
}

fn head(text: &str, limit: usize, weigh: Weigh) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += weigh(c);
        if used > limit {
            return text.get(..at).unwrap_or_default();
        }
    }
    text
}

fn tail(text: &str, limit: usize, weigh: Weigh) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices().rev() {
        used += weigh(c);
        if used > limit {
            return text.get(at + c.len_utf8()..).unwrap_or_default();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_tail_stay_and_the_missing_is_counted() {
        let text: String = (1..=400).map(|n| format!("line {n}\n")).collect();
        let out = cut(text.trim_end(), 800, units);
        assert!(out.starts_with("line 1\nline 2\n"), "{out}");
        assert!(out.ends_with("\nline 399\nline 400"), "{out}");
        let kept = out.lines().filter(|l| l.starts_with("line ")).count();
        assert!(out.contains(&format!("\n…({} lines cut)…\n", 400 - kept)), "{out}");
    }

    #[test]
    fn one_huge_line_is_cut_by_characters() {
        let out = cut(&"x".repeat(1000), 100, units);
        assert!(weight(&out, units) <= 100);
        let kept = out.chars().filter(|&c| c == 'x').count();
        assert!(out.contains(&format!("…({} characters cut)…", 1000 - kept)), "{out}");
    }

    #[test]
    fn what_fits_is_left_alone() {
        assert_eq!(cut("a\nb", 3, units), "a\nb");
        assert_eq!(cut_end("abc", 3, units), "abc");
        assert_eq!(cut_end("abcd", 3, units), "ab…");
        assert_eq!(cut_end("abcd", 0, units), "");
    }

    proptest::proptest! {
        #[test]
        fn never_over_the_limit(text in "(\\PC|[&<>\n😀]){0,300}", limit in 0_usize..200) {
            for weigh in [units as Weigh, slack_units] {
                proptest::prop_assert!(weight(&cut(&text, limit, weigh), weigh) <= limit);
                proptest::prop_assert!(weight(&cut_end(&text, limit, weigh), weigh) <= limit);
            }
        }
    }
}
