//! The review as Markdown: the document people read, correct and complete.
//!
//! What the journal knows is filled in, each number with the entries it cites (`e61`); what only people can say has a
//! marked place (`<!-- mayday:write NAME -->` … `<!-- mayday:end NAME -->`) with a prompt. Outside text passes [`escape`]
//! and nothing else puts text from outside into the document.

use std::fmt::Write as _;
use std::time::Duration;

use super::measure::{Measure, Value, Verdict};
use super::sections::{self, DEFINITIONS, Place};
use super::timeline::{self, Line, relative, utc};
use super::{Review, escape, markdown_parts as parts};
use crate::domain::Time;
use crate::text::{duration_long, money};

/// The document.
pub fn render(review: &Review<'_>) -> String {
    let mut page = Page { review, out: String::with_capacity(16 * 1024) };
    let lines = timeline::lines(&review.story, review.start());
    page.head();
    page.section("Summary");
    parts::facts(&mut page);
    page.place(&sections::SUMMARY);
    page.section("Impact");
    parts::impact(&mut page);
    page.section("Timing");
    page.timing();
    page.section("Detection");
    page.place(&sections::DETECTION);
    page.section("Lead-up");
    page.lead_up(&lines);
    page.section("Timeline");
    page.timeline(&lines);
    page.section("Actions taken");
    parts::runs(&mut page);
    super::recovery::markdown(&mut page);
    super::approvals::markdown(&mut page);
    super::playbook::markdown(&mut page);
    page.section("Hypotheses");
    super::thinking::markdown(&mut page);
    page.place(&sections::HYPOTHESES);
    page.section("Contributing factors");
    page.place(&sections::FACTORS);
    page.section("Trigger, fault, resolution");
    parts::left_behind(&mut page);
    page.place(&sections::CAUSE);
    page.section("Objectives");
    parts::objectives(&mut page);
    page.section("Communication");
    parts::communication(&mut page);
    super::lead::markdown(&mut page);
    page.section("Roles");
    parts::roles(&mut page);
    super::thinking::handoffs(&mut page);
    page.section("What went well, what went badly, where we were lucky");
    page.place(&sections::WENT);
    parts::prompts(&mut page, &lines);
    page.section("Open questions");
    page.place(&sections::QUESTIONS);
    page.section("Action items");
    parts::items(&mut page, &lines);
    page.section("Earlier incidents");
    parts::earlier(&mut page);
    page.section("Message to the outside");
    page.place(&sections::EXTERNAL);
    page.section("Appendix");
    parts::appendix(&mut page, &lines);
    page.definitions();
    page.out
}

/// A document being written.
pub(super) struct Page<'r, 'a> {
    pub review: &'r Review<'a>,
    pub out: String,
}

impl Page<'_, '_> {
    pub(super) fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    pub(super) fn section(&mut self, title: &str) {
        let n = self.out.matches("\n## ").count() + 1;
        let _ = write!(self.out, "\n## {n}. {title}\n\n");
    }

    /// Outside text, harmless.
    pub(super) fn say(&self, text: &str) -> String {
        escape::masked(text, &self.review.extra.mask)
    }

    /// A row of a table; the cells are Markdown already.
    pub(super) fn row(&mut self, cells: &[&str]) {
        let _ = writeln!(self.out, "| {} |", cells.join(" | "));
    }

    /// The head of a table.
    pub(super) fn table(&mut self, columns: &[&str]) {
        self.row(columns);
        self.row(&vec!["---"; columns.len()]);
    }

    pub(super) fn place(&mut self, place: &Place) {
        let _ = writeln!(
            self.out,
            "<!-- mayday:write {0} -->\n_To be written: {1}_\n<!-- mayday:end {0} -->",
            place.marker, place.prompt
        );
    }

    fn head(&mut self) {
        let story = &self.review.story;
        let catalog = story.catalog_at(story.declared.seq).map(|(_, c)| c);
        let title = format!("# {}: {}\n", self.say(&story.id), self.say(&story.title));
        self.line(&title);
        let severities: Vec<String> =
            story.severities.iter().map(|(m, s)| format!("{s} ({})", cite(&[m.seq]))).collect();
        let status = story.statuses.last().map_or("", |(_, s, _)| s.word());
        let system = match catalog {
            Some(c) if c.environment.is_empty() => self.say(&c.system),
            Some(c) => format!("{} ({})", self.say(&c.system), self.say(&c.environment)),
            None => "not recorded".into(),
        };
        let declared =
            format!("{} by {} ({})", utc(story.declared.at), self.say(&story.declared_by), cite(&[story.declared.seq]));
        let head = self.review.extra.head.map(|h| format!(", head {}", self.say(h))).unwrap_or_default();
        let within = story.severities.last().and_then(|(_, s)| catalog?.severities.get(s)?.review_within_ms);
        let within = Duration::from_millis(within.unwrap_or(86_400_000));
        let hours = format!("{} h", within.as_secs() / 3600);
        let due = match story.resolved() {
            Some(resolved) => format!("{} ({hours} after the end)", utc(resolved.at.plus(within))),
            None => format!("{hours} after it is resolved"),
        };
        let record = format!("up to entry {}{head}", story.last.seq);
        self.table(&["", ""]);
        for (name, value) in [
            ("System", system.as_str()),
            ("Severity", &severities.join(" → ")),
            ("Incident", status),
            ("Declared", &declared),
            ("Review", "Draft"),
            ("Owner of the review", "_to be named_"),
            ("Review due", &due),
            ("Journal", &record),
            ("Written by", concat!("mayday ", env!("CARGO_PKG_VERSION"))),
        ] {
            self.row(&[name, value]);
        }
    }

    fn timing(&mut self) {
        self.table(&["", "Time (UTC)", "T", "From"]);
        let declared = self.review.story.declared;
        for m in self.review.measures.all.iter().filter(|m| !is_duration(m) && is_moment_name(&m.name)) {
            let (at, t) = match m.value {
                Value::At(at) => (utc(at), relative(declared, at)),
                _ => (not_recorded(m), String::new()),
            };
            self.row(&[&m.label, &with_note(&at, m), &t, &cite(&m.entries)]);
        }
        self.line("");
        self.table(&["", "Duration", "Objective", "From"]);
        let spans = [
            "ttd",
            "page_delay",
            "tta",
            "response",
            "tta_page",
            "ttm",
            "ttr",
            "first_word",
            "resolution_word",
            "actions",
        ];
        for name in spans {
            if let Some(m) = self.review.measures.get(name) {
                self.row(&[&m.label, &value(m), &verdict(m.verdict), &cite(&m.entries)]);
            }
        }
        for m in self.review.measures.all.iter().filter(|m| m.name.starts_with("severity.")) {
            self.row(&[&m.label, &value(m), "", &cite(&m.entries)]);
        }
        super::lead::phases_markdown(self);
    }

    fn lead_up(&mut self, lines: &[Line]) {
        let start = self.review.start();
        let before: Vec<&Line> = lines.iter().filter(|l| l.at < start).collect();
        let span = duration_long(super::story::LEAD_UP);
        if before.is_empty() {
            self.line(&format!("Nothing is on record for the {span} before."));
            return;
        }
        self.line(&format!("What happened in the {span} before, as far as it is on record:\n"));
        self.rows(&before);
    }

    fn timeline(&mut self, lines: &[Line]) {
        let start = self.review.start();
        let (told, only_record): (Vec<&Line>, Vec<&Line>) =
            lines.iter().filter(|l| l.at >= start).partition(|l| l.is_told());
        self.rows(&told);
        if !only_record.is_empty() {
            let n = crate::text::plural(only_record.len(), "entry").replace("entrys", "entries");
            self.line(&format!("\n{n} only for the record are left out; the journal has them."));
        }
    }

    fn rows(&mut self, lines: &[&Line]) {
        self.table(&["Time (UTC)", "T", "Who", "What", "Entry"]);
        let declared = self.review.story.declared;
        for line in lines {
            let mut text = self.say(&line.text);
            if line.row.happened_at.is_some() {
                let _ = write!(text, " (recorded {}Z)", line.row.at.hms());
            }
            let who = self.say(&line.row.actor);
            let strong = matches!(line.row.level, crate::domain::timeline::Level::Bad);
            let text = if strong { format!("**▼** {text}") } else { text };
            self.row(&[&utc(line.at), &relative(declared, line.level), &who, &text, &cite(&[line.row.seq])]);
        }
    }

    fn definitions(&mut self) {
        self.line("\n### Definitions\n");
        self.table(&["Number", "Meaning"]);
        for (name, meaning) in DEFINITIONS {
            self.row(&[name, meaning]);
        }
    }
}

fn is_moment_name(name: &str) -> bool {
    ["onset", "detect", "page", "ack", "declare", "assess", "mitigate", "resolve", "close"].contains(&name)
}

fn is_duration(m: &Measure) -> bool {
    matches!(m.value, Value::Ms(_))
}

/// `e61`, `e61 e64`: the entries that a number comes from.
pub(super) fn cite(entries: &[u64]) -> String {
    entries.iter().map(|s| format!("e{s}")).collect::<Vec<_>>().join(" ")
}

fn not_recorded(m: &Measure) -> String {
    match &m.value {
        Value::NotRecorded(why) if !why.is_empty() => format!("not recorded: {}", escape::inline(why)),
        _ => "not recorded".into(),
    }
}

fn with_note(text: &str, m: &Measure) -> String {
    if m.note.is_empty() { text.to_owned() } else { format!("{text} ({})", escape::inline(&m.note)) }
}

/// Milliseconds as `1h04m09s`, with a sign where negative; below a second in milliseconds.
pub(super) fn ms(ms: i64) -> String {
    let d = Duration::from_millis(ms.unsigned_abs());
    let text = if ms != 0 && ms.abs() < 1000 { format!("{}ms", ms.abs()) } else { duration_long(d) };
    if ms < 0 { format!("−{text}") } else { text }
}

/// The value with its note.
pub(super) fn value(m: &Measure) -> String {
    let text = match &m.value {
        Value::At(at) => utc(*at),
        Value::Ms(n) => ms(*n),
        Value::Count(n) => n.to_string(),
        Value::Money(amount, currency) => money(*amount, &escape::inline(currency)),
        Value::NotRecorded(_) => return not_recorded(m),
    };
    with_note(&text, m)
}

/// `10m00s met with 2m17s to spare`, `10m00s **missed** by 2m43s`.
pub(super) fn verdict(v: Verdict) -> String {
    match v {
        Verdict::None => String::new(),
        Verdict::Met { limit_ms, by_ms } => format!("{} met, {} to spare", ms(limit_ms), ms(by_ms)),
        Verdict::Missed { limit_ms, by_ms } => format!("{} **missed** by {}", ms(limit_ms), ms(by_ms)),
        Verdict::Undecided { limit_ms } => format!("{} not decided: not over", ms(limit_ms)),
        Verdict::NotLive => "not put to the test: the copy did not go live or did not stay".into(),
    }
}

/// `02:14:07Z to 02:26:50Z`, with dates where they differ.
pub(super) fn span(from: Time, to: Option<Time>) -> String {
    match to {
        None => format!("{} to the end of the record", utc(from)),
        Some(to) if to.date() == from.date() => format!("{} to {}Z", utc(from), to.hms()),
        Some(to) => format!("{} to {}", utc(from), utc(to)),
    }
}
