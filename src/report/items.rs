//! Reading the action items of a review that people have written into: a table, or a list, below a heading that says so.
//!
//! What is not understood is said with its line, and never guessed.

use crate::domain::Time;
use crate::domain::followup::{self, CLASSES};

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// From 1.
    pub line: usize,
    pub text: String,
    pub owner: String,
    pub due: Option<Time>,
    pub class: String,
    /// The follow-up that it is, where the document says so.
    pub id: Option<String>,
    /// The entry that it is cited from.
    pub from: Option<u64>,
    /// What of it was not understood.
    pub doubts: Vec<String>,
}

/// What a document says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Items {
    /// The first incident that it names.
    pub incident: Option<String>,
    pub items: Vec<Item>,
    /// There is a heading for them at all.
    pub found: bool,
}

/// What a column is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Text,
    Owner,
    Due,
    Class,
    Id,
    From,
    Other,
}

impl Column {
    fn of(name: &str) -> Column {
        match name.trim().to_lowercase().as_str() {
            "what" | "action" | "action item" | "item" | "task" | "text" | "follow-up" => Column::Text,
            "owner" | "who" | "assignee" => Column::Owner,
            "due" | "by" | "due date" | "until" | "when" => Column::Due,
            "type" | "class" | "kind" => Column::Class,
            "id" | "no" | "number" => Column::Id,
            "from" | "source" => Column::From,
            _ => Column::Other,
        }
    }
}

/// Reads Markdown.
pub fn read(document: &str) -> Items {
    let mut out = Items { incident: incident_in(document), ..Items::default() };
    // The depth of the heading that opened the section that is being read.
    let mut depth: Option<usize> = None;
    let mut columns: Vec<Column> = Vec::new();
    let mut comment = false;
    for (n, raw) in document.lines().enumerate() {
        let line = without_comments(raw, &mut comment);
        let line = line.trim();
        let hashes = line.bytes().take_while(|b| *b == b'#').count();
        if hashes > 0 {
            let title = line.trim_matches('#').to_lowercase();
            let opens = title.contains("action item") || title.contains("follow-up");
            if opens {
                (depth, out.found) = (Some(hashes), true);
            } else if depth.is_some_and(|d| hashes <= d) {
                depth = None;
            }
            columns.clear();
            continue;
        }
        if depth.is_none() {
            continue;
        }
        if let Some(cells) = cells(line) {
            if cells.iter().all(|c| !c.is_empty() && c.bytes().all(|b| matches!(b, b'-' | b':' | b' '))) {
                continue;
            }
            if columns.is_empty() {
                columns = cells.iter().map(|c| Column::of(c)).collect();
                if !columns.contains(&Column::Text) {
                    // A table of something else.
                    columns = vec![Column::Other];
                }
                continue;
            }
            out.items.extend(of_row(n + 1, &columns, &cells));
        } else {
            columns.clear();
            out.items.extend(of_bullet(n + 1, line));
        }
    }
    out
}

fn of_row(line: usize, columns: &[Column], cells: &[String]) -> Option<Item> {
    let mut item = Item { line, ..Item::default() };
    let mut due = "";
    for (column, cell) in columns.iter().zip(cells) {
        match column {
            Column::Text => take_text(&mut item, cell),
            Column::Owner if !is_blank(cell) => item.owner = cell.trim_start_matches('@').to_owned(),
            Column::Due if !is_blank(cell) => due = cell,
            Column::Class if !is_blank(cell) => take_class(&mut item, cell),
            Column::Id if !is_blank(cell) => item.id = Some(cell.clone()),
            Column::From => item.from = cited(cell),
            _ => {}
        }
    }
    if item.text.is_empty() {
        return None;
    }
    if !due.is_empty() {
        match followup::day(due) {
            Some(at) => item.due = Some(at),
            None => item.doubts.push(format!("\"{due}\" is no day: write 2026-12-01")),
        }
    }
    Some(item)
}

/// `- [ ] rotate the key (owner bob, due 2026-12-01, prevent)`, or with `@bob 2026-12-01:` in front.
fn of_bullet(line: usize, text: &str) -> Option<Item> {
    let rest = text.strip_prefix("- ").or_else(|| text.strip_prefix("* "))?.trim();
    let mut item = Item { line, ..Item::default() };
    let (ticked, rest) = match rest.split_at_checked(3) {
        Some(("[ ]", rest)) => (false, rest),
        Some(("[x]" | "[X]", rest)) => (true, rest),
        _ => (false, rest),
    };
    let (body, tail) = match rest.trim().strip_suffix(')').and_then(|r| r.rsplit_once(" (")) {
        Some((body, tail)) if tail.split(',').all(|part| is_fact(part.trim())) => (body, tail),
        _ => (rest.trim(), ""),
    };
    take_text(&mut item, &plain(body));
    for part in tail.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        if let Some(owner) = part.strip_prefix("owner ").or_else(|| part.strip_prefix('@')) {
            item.owner = owner.trim().trim_start_matches('@').to_owned();
        } else if let Some(day) = followup::day(part.strip_prefix("due ").unwrap_or(part).trim()) {
            item.due = Some(day);
        } else {
            take_class(&mut item, part);
        }
    }
    if item.text.is_empty() {
        return None;
    }
    if ticked {
        item.doubts.push("it is ticked as done: close it with mayday followups done".into());
    }
    Some(item)
}

fn is_fact(part: &str) -> bool {
    part.starts_with("owner ")
        || part.starts_with('@')
        || followup::day(part.strip_prefix("due ").unwrap_or(part).trim()).is_some()
        || class_of(part).is_some()
}

/// The words, and what stands in front of them as in a note.
fn take_text(item: &mut Item, cell: &str) {
    if is_blank(cell) {
        return;
    }
    let words = followup::todo(cell).unwrap_or_else(|| followup::read(cell));
    item.text = words.text;
    item.due = words.due;
    if item.owner.is_empty() {
        item.owner = words.owner;
    }
    if item.class.is_empty() {
        item.class = words.class;
    }
}

fn take_class(item: &mut Item, word: &str) {
    match class_of(word) {
        Some(class) => class.clone_into(&mut item.class),
        None => item.doubts.push(format!("\"{word}\" is no kind of follow-up: {}", CLASSES.join(", "))),
    }
}

fn class_of(word: &str) -> Option<&'static str> {
    let word = word.trim().trim_start_matches('#').to_lowercase();
    let same = |class: &&str| word == **class || word.starts_with(class.trim_end_matches('e')) && word.ends_with("ion");
    CLASSES.into_iter().find(|class| same(class))
}

/// Nothing is written there yet.
fn is_blank(cell: &str) -> bool {
    let cell = cell.trim();
    let marked = cell.starts_with('_') && cell.ends_with('_');
    cell.is_empty() || marked || matches!(cell, "-" | "–" | "—" | "…" | "..." | "TBD" | "tbd" | "?")
}

/// `[61]` → 61.
fn cited(cell: &str) -> Option<u64> {
    let digits: String = cell.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The cells of a row of a table, as plain text.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.strip_prefix('|')?;
    let (mut cells, mut cell, mut escaped) = (Vec::new(), String::new(), false);
    for c in inner.chars() {
        match c {
            '|' if !escaped => cells.push(plain(std::mem::take(&mut cell).trim())),
            c => cell.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    if !cell.trim().is_empty() {
        cells.push(plain(cell.trim()));
    }
    Some(cells)
}

/// Markdown's escapes taken back.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(next)) if next.is_ascii_punctuation() => {}
            _ => out.push(c),
        }
        if c == '\\'
            && let Some(next) = chars.next_if(char::is_ascii_punctuation)
        {
            out.push(next);
        }
    }
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&#124;", "|").replace("&amp;", "&")
}

fn without_comments(line: &str, inside: &mut bool) -> String {
    let (mut out, mut rest) = (String::new(), line);
    loop {
        if *inside {
            let Some((_, after)) = rest.split_once("-->") else { return out };
            (*inside, rest) = (false, after);
        }
        let Some((before, after)) = rest.split_once("<!--") else {
            out.push_str(rest);
            return out;
        };
        out.push_str(before);
        (*inside, rest) = (true, after);
    }
}

/// The first `INC-2026-004`.
fn incident_in(document: &str) -> Option<String> {
    document.match_indices("INC-").find_map(|(at, _)| {
        let id: String = document.get(at..)?.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let mut parts = id.trim_end_matches('-').split('-').skip(1);
        let plain = |part: Option<&str>| part.is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
        (plain(parts.next()) && plain(parts.next())).then(|| id.trim_end_matches('-').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_and_a_list_are_read_and_what_is_no_item_is_not() {
        let document = "# INC-2026-004: api down\n\n## 16. Open questions\n\n- who knows?\n\n## 17. Action items\n\n\
            <!-- mayday:write items -->\n_To be written: what, by whom_\n<!-- mayday:end items -->\n\n\
            | What | Type | Owner | Due | From |\n| --- | --- | --- | --- | --- |\n\
            | rotate the \\| key | prevention | @bob | 2026-12-01 | [61] |\n\
            | TODO @ann 2026-12-02: alert on the pool | | | | [62] |\n\
            | | | | within 48 hours | |\n\
            | train | dance | | soon | |\n\n\
            - [ ] write it down (owner carl, due 2026-12-03, process)\n\
            - [x] tell them (all of it)\n- …\n\n## 18. Earlier\n\n- nothing\n";
        let read = read(document);
        assert_eq!((read.incident.as_deref(), read.found), (Some("INC-2026-004"), true));
        let seen: Vec<_> = read
            .items
            .iter()
            .map(|i| {
                (i.text.as_str(), i.owner.as_str(), i.due.map(Time::date), i.class.as_str(), i.from, i.doubts.len())
            })
            .collect();
        let day = |d: &str| Some(d.to_owned());
        assert_eq!(
            seen,
            [
                ("rotate the | key", "bob", day("2026-12-01"), "prevent", Some(61), 0),
                ("alert on the pool", "ann", day("2026-12-02"), "", Some(62), 0),
                ("train", "", None, "", None, 2),
                ("write it down", "carl", day("2026-12-03"), "process", None, 0),
                ("tell them (all of it)", "", None, "", None, 1),
            ]
        );
        assert!(!super::read("# INC-2026-004\n\nnothing\n").found);
    }
}
