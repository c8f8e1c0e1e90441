//! The review as Markdown: the document people read, correct and complete.
//!
//! What the journal knows is filled in, each number with the entries it cites (`[61]`); what only people can say has a
//! marked place (`<!-- mayday:write NAME -->` … `<!-- mayday:end NAME -->`) with a prompt and facts for a start. Outside
//! text passes [`escape`] and nothing else puts text from outside into the document. How the marked places outlive the
//! next export: [`super::places`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use super::cite::{self, cite};
use super::measure::{Measure, Value, Verdict};
use super::prompts::{self, Prompts};
use super::sections::{self, DEFINITIONS, Place};
use super::timeline::{Line, Lines, Slot, relative, utc};
use super::{Review, aftermath, escape, markdown_parts as parts, places};
use crate::domain::Time;
use crate::text::{duration_long, money, plural};

/// The document as it is before anybody wrote into it.
pub fn render(review: &Review<'_>) -> String {
    let mut page = Page {
        review,
        out: String::with_capacity(16 * 1024),
        prompts: Prompts::default(),
        sections: 0,
        shown: BTreeSet::new(),
    };
    let lines = review.lines();
    page.prompts = prompts::gather(&page, &lines);
    page.line(&places::head(&review.story));
    page.head();
    page.section("Summary");
    parts::facts(&mut page);
    page.place(&sections::SUMMARY);
    page.section("Impact");
    parts::impact(&mut page);
    page.section("Timing");
    page.timing();
    page.section("Detection");
    parts::detection(&mut page);
    page.place(&sections::DETECTION);
    page.section("Lead-up");
    page.lead_up(&lines);
    page.section("Timeline");
    page.timeline(&lines);
    page.section("Actions taken");
    parts::runs(&mut page);
    aftermath::shells_markdown(&mut page);
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
    page.line("### Went well\n");
    page.place(&sections::WENT_WELL);
    page.line("\n### Went badly\n");
    page.place(&sections::WENT_BADLY);
    page.line("\n### Lucky\n");
    page.place(&sections::LUCKY);
    page.section("Open questions");
    page.place(&sections::QUESTIONS);
    page.section("Action items");
    aftermath::items_markdown(&mut page);
    page.place(&sections::ITEMS);
    page.section("Earlier incidents");
    parts::earlier(&mut page);
    page.section("Message to the outside");
    page.place(&sections::EXTERNAL);
    page.section("Appendix");
    parts::appendix(&mut page, &lines);
    aftermath::evidence_markdown(&mut page);
    page.cited_beside(&lines);
    page.definitions();
    places::sealed(page.out)
}

/// A document being written.
pub(super) struct Page<'r, 'a> {
    pub review: &'r Review<'a>,
    pub out: String,
    pub prompts: Prompts,
    sections: usize,
    /// Entries that have a row of their own.
    shown: BTreeSet<u64>,
}

impl Page<'_, '_> {
    pub(super) fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    pub(super) fn section(&mut self, title: &str) {
        self.sections += 1;
        let _ = write!(self.out, "\n## {}. {title}\n\n", self.sections);
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
        let _ = write!(self.out, "{}\n_To be written: {}_\n", places::begin(place.marker), place.prompt);
        let facts = self.prompts.of(place.marker);
        if !facts.is_empty() {
            self.out.push('\n');
        }
        for fact in facts {
            let _ = writeln!(self.out, "- {fact}");
        }
        let _ = writeln!(self.out, "{}", places::end(place.marker));
    }

    fn head(&mut self) {
        let story = &self.review.story;
        let catalog = story.catalog_at(story.declared.seq).map(|(_, c)| c);
        let title = format!("# {}: {}\n", self.say(&story.id), self.say(&story.title));
        self.line(&title);
        let severities: Vec<String> = story.severities.iter().map(|(m, s)| format!("{s} {}", cite(&[m.seq]))).collect();
        let status = story.statuses.last().map_or("", |(_, s, _)| s.word());
        let system = match catalog {
            Some(c) if c.environment.is_empty() => self.say(&c.system),
            Some(c) => format!("{} ({})", self.say(&c.system), self.say(&c.environment)),
            None => "not recorded".into(),
        };
        let declared =
            format!("{} by {} {}", utc(story.declared.at), self.say(&story.declared_by), cite(&[story.declared.seq]));
        let head = self.review.extra.head.map(|h| format!(", head {}", self.say(h))).unwrap_or_default();
        let within = story.severities.last().and_then(|(_, s)| catalog?.severities.get(s)?.review_within_ms);
        let within = Duration::from_millis(within.unwrap_or(86_400_000));
        let hours = format!("{} h", within.as_secs() / 3600);
        let due = match story.resolved() {
            Some(resolved) => format!("{} ({hours} after the end)", utc(resolved.at.plus(within))),
            None => format!("{hours} after it is resolved"),
        };
        let record = format!("up to entry {}{head}", story.last.seq);
        let state = aftermath::ReviewState::of(story);
        let with = |text: String, seq: u64| format!("{text} {}", cite(&[seq]));
        let said = self.say(&state.status_said());
        let review = state.status.as_ref().map_or(said.clone(), |(_, seq)| with(said, *seq));
        let owner = state.owner.as_ref().filter(|(o, _)| !o.is_empty());
        let owner = owner.map_or_else(|| "_to be named_".to_owned(), |(o, seq)| with(self.say(o), *seq));
        let meeting = state.meeting.map_or_else(|| "_to be set_".to_owned(), |(at, seq)| with(utc(at), seq));
        self.table(&["", ""]);
        for (name, value) in [
            ("System", system.as_str()),
            ("Severity", &severities.join(" → ")),
            ("Incident", status),
            ("Declared", &declared),
            ("Review", &review),
            ("Owner of the review", &owner),
            ("Review due", &due),
            ("Talked over", &meeting),
            ("Journal", &record),
            ("Written by", concat!("mayday ", env!("CARGO_PKG_VERSION"))),
        ] {
            self.row(&[name, value]);
        }
    }

    fn timing(&mut self) {
        self.table(&["", "Time (UTC)", "T", "From"]);
        let declared = self.review.story.t_zero;
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
            "approvals",
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

    fn lead_up(&mut self, lines: &Lines<'_, '_>) {
        let start = self.review.start();
        let before: Vec<&Slot> = lines.slots().iter().filter(|s| s.level < start && s.told).collect();
        let span = duration_long(super::story::LEAD_UP);
        if before.is_empty() {
            self.line(&format!("Nothing is on record for the {span} before."));
            return;
        }
        self.line(&format!("What happened in the {span} before, as far as it is on record:\n"));
        self.told(lines, &before);
    }

    fn timeline(&mut self, lines: &Lines<'_, '_>) {
        let start = self.review.start();
        let (told, beside): (Vec<&Slot>, Vec<&Slot>) =
            lines.slots().iter().filter(|s| s.level >= start).partition(|s| s.told);
        self.told(lines, &told);
        let only_record = beside.iter().filter(|s| !s.hidden && !s.is_correction).count();
        if only_record > 0 {
            let n = plural(only_record, "entry").replace("entrys", "entries");
            let verb = if only_record == 1 { "is" } else { "are" };
            self.line(&format!("\n{n} only for the record {verb} left out; the journal has them."));
        }
        let hidden: Vec<Line> = lines.slots().iter().filter(|s| s.hidden).filter_map(|s| lines.line(s)).collect();
        if hidden.is_empty() {
            return;
        }
        let n = plural(hidden.len(), "entry").replace("entrys", "entries");
        let verb = if hidden.len() == 1 { "was" } else { "were" };
        self.line(&format!("\n{n} {verb} hidden by people; the journal has them:\n"));
        for line in hidden {
            let Some(by) = line.last("hidden") else { continue };
            let because = if by.reason.is_empty() { String::new() } else { format!(": {}", self.say(&by.reason)) };
            let (entry, by_entry, who) = (cite(&[line.row.seq]), cite(&[by.seq]), self.say(&by.by));
            self.line(&format!("- {entry} by {who} {by_entry}{because}"));
        }
    }

    /// Rows in their order; those that stand under one title together, at the place of the first.
    fn told(&mut self, lines: &Lines<'_, '_>, slots: &[&Slot]) {
        let curation = &self.review.story.curation.entries;
        let title_of = |slot: &Slot| curation.get(&slot.seq).and_then(|a| a.title.as_deref());
        let mut plain: Vec<&Slot> = Vec::new();
        let mut titled: BTreeSet<&str> = BTreeSet::new();
        let mut went_on = false;
        for slot in slots {
            let Some(title) = title_of(slot) else {
                plain.push(slot);
                continue;
            };
            if !titled.insert(title) {
                continue;
            }
            let had_plain = !plain.is_empty();
            self.plain(lines, &mut plain, went_on);
            went_on |= had_plain;
            let heading = format!("{}### {}\n", if went_on { "\n" } else { "" }, self.say(title));
            self.line(&heading);
            let together: Vec<&Slot> = slots.iter().copied().filter(|s| title_of(s) == Some(title)).collect();
            self.rows(lines, &together);
            went_on = true;
        }
        self.plain(lines, &mut plain, went_on);
    }

    fn plain(&mut self, lines: &Lines<'_, '_>, plain: &mut Vec<&Slot>, went_on: bool) {
        let Some(first) = plain.first() else { return };
        if went_on {
            let heading = format!("\n### From {} on\n", utc(first.at));
            self.line(&heading);
        }
        self.rows(lines, plain);
        plain.clear();
    }

    fn rows(&mut self, lines: &Lines<'_, '_>, slots: &[&Slot]) {
        self.table(&["Time (UTC)", "T", "Who", "What", "Entry"]);
        let declared = self.review.story.t_zero;
        for line in slots.iter().filter_map(|slot| lines.line(slot)) {
            let (who, text) = (self.who(&line), self.what(&line));
            self.row(&[&utc(line.at), &relative(declared, line.level), &who, &text, &cite(&[line.row.seq])]);
            self.shown.insert(line.row.seq);
        }
    }

    fn who(&self, line: &Line) -> String {
        self.say(line.author.as_deref().unwrap_or(&line.row.actor))
    }

    /// The row's text, with what was made of it and where it came from.
    fn what(&self, line: &Line) -> String {
        let mut text = String::new();
        if line.row.pinned {
            text.push_str("★ ");
        }
        if line.row.level == crate::domain::timeline::Level::Bad {
            text.push_str("**▼** ");
        }
        text.push_str(&self.say(&line.text));
        if let Some(source) = &line.source {
            let _ = write!(text, " (from {}, taken in by {})", self.say(source), self.say(&line.row.actor));
        }
        let because = |reason: &str| if reason.is_empty() { String::new() } else { format!(": {}", self.say(reason)) };
        if line.original.is_some()
            && let Some(by) = line.last("corrected")
        {
            let _ = write!(text, " (corrected by {} {}{})", self.say(&by.by), cite(&[by.seq]), because(&by.reason));
        }
        if line.at != line.row.at {
            let recorded =
                if line.row.at.date() == line.at.date() { format!("{}Z", line.row.at.hms()) } else { utc(line.row.at) };
            let by = line
                .retimed()
                .map(|by| format!("; time set by {} {}{}", self.say(&by.by), cite(&[by.seq]), because(&by.reason)));
            let _ = write!(text, " (recorded {recorded}{})", by.unwrap_or_default());
        }
        text
    }

    /// Entries that a number or a sentence cites and that have no row so far, so that every citation leads somewhere.
    fn cited_beside(&mut self, lines: &Lines<'_, '_>) {
        let review = self.review;
        let declared = review.story.t_zero;
        let mut open: BTreeSet<u64> = cited_in(&self.out).difference(&self.shown).copied().collect();
        let mut rows: BTreeMap<u64, [String; 5]> = BTreeMap::new();
        let by_seq: BTreeMap<u64, &Slot> = lines.slots().iter().map(|s| (s.seq, s)).collect();
        // A row may cite another one, which set its time.
        while let Some(seq) = open.pop_first() {
            let Some(entry) = review.story.entry(seq) else { continue };
            let (at, level, who, text) = match by_seq.get(&seq).and_then(|slot| lines.line(slot)) {
                // What people left out is not told here either, only that it is there.
                Some(line) if line.row.hidden => {
                    let by = line.last("hidden").map(|by| format!(" by {} {}", self.say(&by.by), cite(&[by.seq])));
                    (line.at, line.level, self.who(&line), format!("_hidden{}_", by.unwrap_or_default()))
                }
                Some(line) => (line.at, line.level, self.who(&line), self.what(&line)),
                None => {
                    let (at, row) = (review.story.when(entry), crate::domain::timeline::row(entry));
                    (at, review.story.steps.level(at, seq), self.say(&row.actor), self.say(&row.text))
                }
            };
            open.extend(
                cited_in(&text).into_iter().filter(|s| !self.shown.contains(s) && !rows.contains_key(s) && *s != seq),
            );
            rows.insert(seq, [utc(at), relative(declared, level), who, text, cite(&[seq])]);
        }
        if rows.is_empty() {
            return;
        }
        self.line("\n### Entries cited beside the timeline\n");
        self.table(&["Time (UTC)", "T", "Who", "What", "Entry"]);
        for cells in rows.values() {
            self.row(&cells.each_ref().map(String::as_str));
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

/// All entries that a text cites.
fn cited_in(text: &str) -> BTreeSet<u64> {
    let mut cited = BTreeSet::new();
    for part in cite::find(text).into_iter().flat_map(|f| f.parts) {
        match part {
            cite::Part::One(seq) => drop(cited.insert(seq)),
            cite::Part::Span(from, to) if to.saturating_sub(from) < 1_000_000 => cited.extend(from..=to),
            _ => {}
        }
    }
    cited
}

fn is_moment_name(name: &str) -> bool {
    ["onset", "detect", "page", "ack", "declare", "assess", "mitigate", "resolve", "close"].contains(&name)
}

fn is_duration(m: &Measure) -> bool {
    matches!(m.value, Value::Ms(_))
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
