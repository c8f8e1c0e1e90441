//! Markdown into HTML: sections, tables whose rows can be linked to, citations as links, and nothing active.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use pulldown_cmark::{BrokenLink, CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd};

use super::charts::Charts;
use super::{escape, escape_to};
use crate::report::cite::{self, Part};

/// Rows of a table until the next part of it begins, so that a browser lays out only what is seen. The style sheet guesses
/// the height of a whole part from it; one with fewer rows is laid out at once, or a jump to an entry would miss it.
const CHUNK: usize = 100;
/// Marks a citation among the links.
const CITE: &str = "cite:";

/// A page being written.
pub struct Writer {
    out: String,
    charts: Charts,
    /// A section is open.
    section: bool,
    /// Entries that have their row.
    anchored: BTreeSet<u64>,
    table: Option<Table>,
    /// Written by people: its headings are none of the document's.
    by_people: bool,
    head_done: bool,
}

#[derive(Default)]
struct Table {
    columns: Vec<String>,
    cells: Vec<String>,
    cell_from: usize,
    /// Where the class of what is around it ends.
    class_at: usize,
    rows: usize,
    /// The only entry that the last cell cites.
    row_entry: Option<u64>,
    in_head: bool,
}

/// What is open while a stretch is read.
#[derive(Default)]
struct Open {
    /// The text of a citation.
    citation: Option<String>,
    /// Links that lead nowhere and are written as text.
    plain_links: Vec<bool>,
    /// The text of a heading, with its level.
    heading: Option<(u8, usize)>,
    code: bool,
}

impl Writer {
    /// Goes on behind `out`.
    pub fn new(out: String, charts: Charts) -> Self {
        Writer {
            out,
            charts,
            section: false,
            anchored: BTreeSet::new(),
            table: None,
            by_people: false,
            head_done: false,
        }
    }

    /// What mayday wrote.
    pub fn measured(&mut self, text: &str) {
        self.read(text);
    }

    /// A place that nobody has written into.
    pub fn prompt(&mut self, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        self.out.push_str("<div class=\"prompt\" role=\"note\">\n");
        self.people(text);
        self.out.push_str("</div>\n");
    }

    /// What people wrote into a place.
    pub fn written(&mut self, text: &str) {
        self.out.push_str("<div class=\"written\">\n");
        self.people(text);
        self.out.push_str("</div>\n");
    }

    fn people(&mut self, text: &str) {
        self.by_people = true;
        self.read(text);
        self.by_people = false;
    }

    /// What was written.
    pub fn done(mut self) -> String {
        if self.section {
            self.out.push_str("</section>\n");
        }
        self.out
    }

    fn read(&mut self, text: &str) {
        let broken =
            |link: BrokenLink<'_>| cite::parts(&link.reference).map(|_| (CowStr::Borrowed(CITE), CowStr::Borrowed("")));
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
        let mut open = Open::default();
        for event in Parser::new_with_broken_link_callback(text, options, Some(broken)) {
            self.event(event, &mut open);
        }
    }

    fn event(&mut self, event: Event<'_>, open: &mut Open) {
        match event {
            Event::Start(tag) => self.start(tag, open),
            Event::End(tag) => self.end(tag, open),
            Event::Text(text) => match &mut open.citation {
                Some(citation) => citation.push_str(&text),
                None => escape_to(&mut self.out, &text),
            },
            Event::Code(text) => {
                let _ = write!(self.out, "<code>{}</code>", escape(&text));
            }
            Event::InlineHtml(html) if html.trim().eq_ignore_ascii_case("<br>") => self.out.push_str("<br>"),
            // Comments are not meant to be read; any other markup is text.
            Event::InlineHtml(html) | Event::Html(html) => {
                if !(html.trim_start().starts_with("<!--") && html.trim_end().ends_with("-->")) {
                    escape_to(&mut self.out, &html);
                }
            }
            Event::SoftBreak => self.out.push('\n'),
            Event::HardBreak => self.out.push_str("<br>\n"),
            Event::Rule => self.out.push_str("<hr>\n"),
            Event::TaskListMarker(done) => {
                let (glyph, word) = if done { ("☑", "done: ") } else { ("☐", "not done: ") };
                let _ = write!(self.out, "<span aria-hidden=\"true\">{glyph}</span><span class=\"ear\">{word}</span> ");
            }
            Event::FootnoteReference(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                escape_to(&mut self.out, &text);
            }
        }
    }

    fn start(&mut self, tag: Tag<'_>, open: &mut Open) {
        match tag {
            Tag::Paragraph => self.out.push_str("<p>"),
            Tag::Heading { level, .. } => open.heading = Some((level as u8, self.out.len())),
            Tag::BlockQuote(_) => self.out.push_str("<blockquote>\n"),
            Tag::CodeBlock(kind) => {
                open.code = true;
                let _ = kind == CodeBlockKind::Indented;
                self.out.push_str("<pre tabindex=\"0\"><code>");
            }
            Tag::List(None) => self.out.push_str("<ul>\n"),
            Tag::List(Some(n)) => drop(writeln!(self.out, "<ol start=\"{n}\">")),
            Tag::Item => self.out.push_str("<li>"),
            Tag::Table(_) => self.table = Some(Table::default()),
            Tag::TableHead => self.in_head(true),
            Tag::TableCell => {
                if let Some(table) = &mut self.table {
                    table.row_entry = None;
                    // A cell is written behind all else, and taken from there at its end.
                    table.cell_from = self.out.len();
                }
            }
            Tag::Emphasis => self.out.push_str("<em>"),
            Tag::Strong => self.out.push_str("<strong>"),
            Tag::Strikethrough => self.out.push_str("<del>"),
            Tag::Link { dest_url, .. } if &*dest_url == CITE => open.citation = Some(String::new()),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                let leads = leads_somewhere(&dest_url);
                open.plain_links.push(!leads);
                if leads {
                    let _ = write!(self.out, "<a href=\"{}\" rel=\"noopener noreferrer\">", escape(&dest_url));
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd, open: &mut Open) {
        match tag {
            TagEnd::Paragraph => self.out.push_str("</p>\n"),
            TagEnd::Heading(_) => {
                if let Some((level, from)) = open.heading.take() {
                    let text = self.out.split_off(from);
                    self.heading(level, &text);
                }
            }
            TagEnd::BlockQuote(_) => self.out.push_str("</blockquote>\n"),
            TagEnd::CodeBlock => {
                open.code = false;
                self.out.push_str("</code></pre>\n");
            }
            TagEnd::List(false) => self.out.push_str("</ul>\n"),
            TagEnd::List(true) => self.out.push_str("</ol>\n"),
            TagEnd::Item => self.out.push_str("</li>\n"),
            TagEnd::Table => self.end_table(),
            TagEnd::TableHead => {
                self.in_head(false);
                self.begin_table();
            }
            TagEnd::TableRow => self.row(),
            TagEnd::TableCell => self.cell(),
            TagEnd::Emphasis => self.out.push_str("</em>"),
            TagEnd::Strong => self.out.push_str("</strong>"),
            TagEnd::Strikethrough => self.out.push_str("</del>"),
            TagEnd::Link | TagEnd::Image => match open.citation.take() {
                Some(citation) => self.citation(&citation),
                None if open.plain_links.pop() == Some(false) => self.out.push_str("</a>"),
                None => {}
            },
            _ => {}
        }
    }

    fn citation(&mut self, text: &str) {
        let Some(parts) = cite::parts(text) else { return escape_to(&mut self.out, text) };
        if let (Some(table), [Part::One(seq)]) = (&mut self.table, parts.as_slice()) {
            table.row_entry = Some(*seq);
        }
        let short = if parts.len() <= 6 { " short" } else { "" };
        let _ = write!(self.out, "<span class=\"cite{short}\">[");
        let link = |seq: u64| format!("<a href=\"#e{seq}\">{seq}</a>");
        for (n, part) in parts.iter().enumerate() {
            if n > 0 {
                self.out.push_str(", ");
            }
            match part {
                Part::One(seq) => self.out.push_str(&link(*seq)),
                Part::Span(a, b) => drop(write!(self.out, "{}–{}", link(*a), link(*b))),
                Part::More(text) => escape_to(&mut self.out, text),
            }
        }
        self.out.push_str("]</span>");
    }

    fn heading(&mut self, level: u8, text: &str) {
        if self.by_people {
            // Below the document's own.
            let level = (level + 2).min(6);
            let _ = writeln!(self.out, "<h{level}>{text}</h{level}>");
            return;
        }
        match level {
            1 => {
                let _ = writeln!(self.out, "<h1>{text}</h1>");
            }
            2 => {
                if self.section {
                    self.out.push_str("</section>\n");
                }
                let id = anchor(text);
                let _ = writeln!(self.out, "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{text}</h2>");
                self.section = true;
                let chart = self.charts.under(bare(text));
                self.out.push_str(chart);
            }
            level => {
                let _ = writeln!(self.out, "<h{level}>{text}</h{level}>");
            }
        }
    }

    fn in_head(&mut self, is: bool) {
        if let Some(table) = &mut self.table {
            table.in_head = is;
        }
    }

    fn cell(&mut self) {
        let Some(table) = &mut self.table else { return };
        let text = self.out.split_off(table.cell_from);
        if table.in_head { &mut table.columns } else { &mut table.cells }.push(text);
    }

    /// The rows of it are what citations lead to.
    fn is_of_entries(&self) -> bool {
        let of_rows = ["Time (UTC)", "T", "Who", "What", "Entry"];
        self.table.as_ref().is_some_and(|t| t.columns.iter().map(String::as_str).eq(of_rows))
    }

    fn begin_table(&mut self) {
        let (around, class) = match (self.is_of_entries(), self.head_done) {
            (true, _) => (" rows", " class=\"entries\""),
            (false, false) => ("", " class=\"head\""),
            (false, true) => ("", ""),
        };
        self.head_done = true;
        let Some(table) = &mut self.table else { return };
        let _ = write!(self.out, "<div class=\"wide{around}");
        table.class_at = self.out.len();
        let _ = writeln!(self.out, "\"><table{class}>");
        if table.columns.iter().any(|c| !c.is_empty()) {
            self.out.push_str("<thead><tr>");
            for column in &table.columns {
                let named = if column.is_empty() { "<span class=\"ear\">Name</span>" } else { column };
                let _ = write!(self.out, "<th scope=\"col\">{named}</th>");
            }
            self.out.push_str("</tr></thead>\n");
        }
        self.out.push_str("<tbody>\n");
    }

    fn row(&mut self) {
        let of_entries = self.is_of_entries();
        let Some(table) = &mut self.table else { return };
        let cells = std::mem::take(&mut table.cells);
        let named_by_first = table.columns.first().is_some_and(String::is_empty);
        let entry = table.row_entry.take().filter(|_| of_entries);
        table.rows += 1;
        let next = table.rows > 1 && table.rows % CHUNK == 1;
        if next {
            if of_entries {
                self.out.insert_str(table.class_at, " whole");
            }
            self.out.push_str("</tbody></table></div>\n");
            self.begin_table();
        }
        self.out.push_str("<tr");
        if let Some(seq) = entry.filter(|seq| self.anchored.insert(*seq)) {
            let _ = write!(self.out, " id=\"e{seq}\"");
        }
        if of_entries {
            let text = cells.get(3).map(String::as_str).unwrap_or_default();
            let class = match (text.starts_with("★"), text.contains("<strong>▼</strong>")) {
                (true, true) => " class=\"pinned bad\"",
                (true, false) => " class=\"pinned\"",
                (false, true) => " class=\"bad\"",
                (false, false) => "",
            };
            self.out.push_str(class);
        }
        self.out.push('>');
        for (n, cell) in cells.iter().enumerate() {
            if n == 0 && named_by_first {
                let _ = write!(self.out, "<th scope=\"row\">{cell}</th>");
            } else {
                let _ = write!(self.out, "<td{}>{cell}</td>", verdict(cell));
            }
        }
        self.out.push_str("</tr>\n");
    }

    fn end_table(&mut self) {
        self.out.push_str("</tbody></table></div>\n");
        self.table = None;
    }
}

/// A cell that says how an objective was kept.
fn verdict(cell: &str) -> &'static str {
    if cell.contains("<strong>missed</strong>") || cell.contains("<strong>late</strong>") {
        " class=\"missed\""
    } else if cell.contains(" met, ") || cell == "in time" {
        " class=\"met\""
    } else {
        ""
    }
}

/// Only what a reader can follow; never a script, a file, or a picture from elsewhere.
fn leads_somewhere(url: &str) -> bool {
    let url = url.trim().to_ascii_lowercase();
    ["http://", "https://", "mailto:", "#"].iter().any(|p| url.starts_with(p))
}

/// A heading without its number.
fn bare(heading: &str) -> &str {
    heading.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').trim()
}

/// Where a link to a section leads.
pub fn anchor(heading: &str) -> String {
    format!("s-{}", slug(bare(heading)))
}

fn slug(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => out.push(c.to_ascii_lowercase()),
            _ if !out.ends_with('-') && !out.is_empty() => out.push('-'),
            _ => {}
        }
    }
    out.trim_end_matches('-').to_owned()
}
