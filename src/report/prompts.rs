//! Facts that deserve a sentence by somebody, for each place that only people can fill.
//!
//! Each one cites its entries. They are put into the marked place as a start, and stay there only until somebody writes.

use std::collections::{BTreeMap, BTreeSet};

use super::cite::cite;
use super::markdown::{Page, ms, value, verdict};
use super::measure::{Value, Verdict};
use super::sections::{CAUSE, DETECTION, FACTORS, HYPOTHESES, IMPACT, ITEMS, LUCKY, QUESTIONS, WENT_BADLY, WENT_WELL};
use super::timeline::{Line, Lines};
use super::{aftermath, approvals, thinking};
use crate::domain::event::Event;
use crate::domain::hypothesis::Standing;
use crate::domain::incident::Status;
use crate::domain::run::{RunState, Verdict as RunVerdict, Work};
use crate::text::plural;

/// A wait for a second person that is worth a word, in milliseconds.
const LONG_WAIT: i64 = 60_000;

/// Facts for one place at the most.
const MOST: usize = 30;

/// Facts by the marker of their place.
#[derive(Debug, Default)]
pub struct Prompts {
    by_place: BTreeMap<&'static str, Vec<String>>,
}

impl Prompts {
    fn add(&mut self, place: &super::sections::Place, fact: String) {
        let facts = self.by_place.entry(place.marker).or_default();
        // A start, not a list of everything: that stands in the tables.
        if facts.len() < MOST && !facts.contains(&fact) {
            facts.push(fact);
        }
    }

    /// Those of one place, as Markdown.
    pub fn of(&self, marker: &str) -> &[String] {
        self.by_place.get(marker).map(Vec::as_slice).unwrap_or_default()
    }
}

/// All of them.
pub(super) fn gather(page: &Page<'_, '_>, lines: &Lines<'_, '_>) -> Prompts {
    let mut out = Prompts::default();
    objectives(page, &mut out);
    people(page, &mut out);
    runs(page, &mut out);
    thoughts(page, &mut out);
    // Of very many rows few are looked at.
    let start = page.review.start();
    let lines: Vec<Line> = lines
        .iter()
        .filter(|l| {
            l.level < start
                || l.row.pinned
                || matches!(l.row.kind.as_str(), "backup.changed" | "command.refused")
                || (l.row.is_note() && is_todo(&l.text))
        })
        .collect();
    surroundings(page, &lines, &mut out);
    after(page, &lines, &mut out);
    out
}

fn objectives(page: &Page<'_, '_>, out: &mut Prompts) {
    let review = page.review;
    for m in &review.measures.all {
        let label = page.say(&m.label);
        let said = || format!("{label}: {}; {} {}", value(m), verdict(m.verdict), cite(&m.entries));
        match m.verdict {
            Verdict::Met { limit_ms, by_ms } => {
                out.add(&WENT_WELL, said());
                if by_ms.saturating_mul(10) <= limit_ms {
                    out.add(
                        &LUCKY,
                        format!("{label}: only {} to spare of {} {}", ms(by_ms), ms(limit_ms), cite(&m.entries)),
                    );
                }
            }
            Verdict::Missed { .. } => out.add(&WENT_BADLY, said()),
            Verdict::None | Verdict::Undecided { .. } | Verdict::NotLive => {}
        }
    }
    let get = |name: &str| review.measures.get(name);
    if let Some(ttd) = get("ttd") {
        match ttd.value {
            Value::Ms(taken) if taken < 0 => {
                out.add(
                    &DETECTION,
                    format!("people noticed it {} before the probes {}", ms(-taken), cite(&ttd.entries)),
                );
                out.add(&LUCKY, format!("somebody noticed it before the probes {}", cite(&ttd.entries)));
            }
            Value::Ms(taken) => {
                out.add(
                    &DETECTION,
                    format!("the first sign came {} after the onset {}", ms(taken), cite(&ttd.entries)),
                );
            }
            _ => out.add(&DETECTION, "how long it went unnoticed is not recorded: when did it begin?".into()),
        }
    }
    for name in ["page_delay", "response", "tta"] {
        if let Some(m) = get(name) {
            let label = page.say(&m.label).to_lowercase();
            out.add(&DETECTION, format!("{label}: {} {}", value(m), cite(&m.entries)).trim_end().to_owned());
        }
    }
    for s in review.measures.services.iter().filter(|s| s.total_ms.is_some_and(|t| t > 0)) {
        let total = s.total_ms.map(ms).unwrap_or_default();
        out.add(
            &IMPACT,
            format!("{} was down for {total} {}: what could nobody do?", page.say(&s.service), cite(&s.entries)),
        );
    }
    if let Some(dues) = &review.measures.dues {
        let late: Vec<_> = dues.iter().filter(|d| d.late_ms > 0).collect();
        let seqs: BTreeSet<u64> =
            late.iter().flat_map(|d| std::iter::once(d.counted_from.seq).chain(d.sent.map(|s| s.seq))).collect();
        let seqs = review.story.cited(&seqs.into_iter().collect::<Vec<_>>());
        match (late.len(), late.iter().map(|d| d.late_ms).max()) {
            (0, _) if !dues.is_empty() => {
                let all: BTreeSet<u64> = dues.iter().filter_map(|d| d.sent).map(|s| s.seq).collect();
                let all: Vec<u64> = all.into_iter().collect();
                let n = dues.len();
                let said = if n == 1 {
                    "the one update that was due was".into()
                } else {
                    format!("all {n} updates that were due were")
                };
                out.add(&WENT_WELL, format!("{said} in time {}", cite(&all)));
            }
            (1, Some(worst)) => out.add(&WENT_BADLY, format!("1 update was late, by {} {}", ms(worst), cite(&seqs))),
            (n, Some(worst)) => {
                out.add(&WENT_BADLY, format!("{n} updates were late, the worst by {} {}", ms(worst), cite(&seqs)));
            }
            _ => {}
        }
    }
}

fn people(page: &Page<'_, '_>, out: &mut Prompts) {
    let story = &page.review.story;
    for (title, waited, broken, entries) in approvals::waits(story) {
        let title = page.say(&title);
        if broken {
            out.add(&WENT_BADLY, format!("the glass was broken for {title}: no second person {}", cite(&entries)));
        }
        match waited {
            Some(waited) if waited >= LONG_WAIT => {
                let fact = format!("approval waited {} for {title} {}", ms(waited), cite(&entries));
                out.add(&WENT_BADLY, fact.clone());
                out.add(&FACTORS, fact);
            }
            None => out.add(&QUESTIONS, format!("{title} still waits for a second person {}", cite(&entries))),
            Some(_) => {}
        }
    }
    if story.acknowledged.is_none() && story.ending.is_none() {
        out.add(&WENT_BADLY, "nobody acknowledged it".into());
    }
    for (mark, ..) in story.statuses.iter().filter(|(_, s, forced)| *forced && *s == Status::Resolved) {
        out.add(&WENT_BADLY, format!("it was resolved against the rules {}", cite(&[mark.seq])));
    }
    for mark in &story.reopened {
        out.add(&WENT_BADLY, format!("it was reopened {}: what had been taken for the end?", cite(&[mark.seq])));
        out.add(&FACTORS, format!("it came back after it had been resolved {}", cite(&[mark.seq])));
    }
    let identified = story.statuses.iter().find(|(_, s, _)| *s == Status::Identified);
    if let Some((mark, ..)) = identified {
        let after = story.ms(story.declared, *mark);
        let cited = cite(&story.cited(&[story.declared.seq, mark.seq]));
        out.add(&CAUSE, format!("the cause was called identified {} after the declaration {cited}", ms(after)));
    }
}

/// Runs of the same thing, by how they ended.
#[derive(Default)]
struct Tried {
    requested: Vec<u64>,
    contradicted: Vec<u64>,
    verified: Vec<u64>,
    ended: Vec<(&'static str, u64)>,
    unlogged: Vec<u64>,
}

fn runs(page: &Page<'_, '_>, out: &mut Prompts) {
    let story = &page.review.story;
    // One line for all runs of the same thing.
    let mut tried: Vec<(&str, Tried)> = Vec::new();
    for r in &story.runs {
        let at = match tried.iter().position(|(title, _)| *title == r.plan.title) {
            Some(at) => at,
            None => {
                tried.push((&r.plan.title, Tried::default()));
                tried.len() - 1
            }
        };
        let Some((_, all)) = tried.get_mut(at) else { continue };
        all.requested.push(r.requested.seq);
        if r.unlogged {
            all.unlogged.push(r.requested.seq);
        }
        let Some(f) = &r.finished else { continue };
        let looked = matches!(r.plan.work, Work::Logs { .. });
        match (f.state, f.verdict) {
            (_, RunVerdict::Contradicted) => all.contradicted.push(f.mark.seq),
            (RunState::Succeeded, RunVerdict::Verified) if !looked => all.verified.push(f.mark.seq),
            (RunState::Succeeded, _) => {}
            (state, _) => all.ended.push((state.word(), f.mark.seq)),
        }
    }
    for (title, all) in &tried {
        let title = page.say(title);
        let times = |n: usize| if n == 1 { String::new() } else { format!(" {n} times") };
        if !all.contradicted.is_empty() {
            let (n, cited) = (times(all.contradicted.len()), cite(&all.contradicted));
            out.add(&WENT_BADLY, format!("{title} ended without an error and did not help{n} {cited}"));
            out.add(&QUESTIONS, format!("why did {title} not help{n}? {cited}"));
        }
        let mut words: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        all.ended.iter().for_each(|(word, seq)| words.entry(word).or_default().push(*seq));
        for (word, seqs) in words {
            out.add(&WENT_BADLY, format!("{title} {word}{} {}", times(seqs.len()), cite(&seqs)));
        }
        if !all.verified.is_empty() {
            let (n, cited) = (times(all.verified.len()), cite(&all.verified));
            out.add(&WENT_WELL, format!("{title} was seen to work{n} {cited}"));
            out.add(&CAUSE, format!("{title} was seen to work{n} {cited}: is it what resolved it?"));
        }
        if !all.unlogged.is_empty() {
            let cited = cite(&all.unlogged);
            out.add(&WENT_BADLY, format!("{title} ran while nothing could be recorded {cited}"));
        }
        let bad = all.contradicted.len() + all.ended.len();
        if all.requested.len() > 1 {
            let how = if bad == 0 { String::new() } else { format!(", {bad} of them without success") };
            let said = format!("{title} was tried {} times{how} {}", all.requested.len(), cite(&all.requested));
            out.add(if bad > 0 { &WENT_BADLY } else { &FACTORS }, said);
        }
    }
    for shell in aftermath::shells(story).iter().filter(|s| s.done.exit != Some(0)) {
        let command = page.say(&shell.done.command.join(" "));
        out.add(&WENT_BADLY, format!("in a shell, {command}: {} {}", shell.end(), cite(&shell.entries())));
    }
}

fn thoughts(page: &Page<'_, '_>, out: &mut Prompts) {
    let all = thinking::told(&page.review.story);
    let of = |standing: Standing| -> Vec<&crate::domain::hypothesis::Hypothesis> {
        all.iter().filter(|h| h.standing == standing).collect()
    };
    let seqs = |list: &[&crate::domain::hypothesis::Hypothesis]| cite(&list.iter().map(|h| h.seq).collect::<Vec<_>>());
    let eliminated = of(Standing::Eliminated);
    if !eliminated.is_empty() {
        let (n, verb) = (eliminated.len(), if eliminated.len() == 1 { "was" } else { "were" });
        let noun = if n == 1 { "hypothesis" } else { "hypotheses" };
        let said = format!("{n} {noun} {verb} eliminated {}", seqs(&eliminated));
        out.add(&HYPOTHESES, format!("{said}: what would have ruled it out sooner?"));
        out.add(&WENT_WELL, said);
    }
    for h in of(Standing::Confirmed) {
        let text = page.say(&h.text);
        out.add(&FACTORS, format!("confirmed: {text} {}", cite(&[h.seq])));
        out.add(&CAUSE, format!("confirmed: {text} {}", cite(&[h.seq])));
    }
    for h in of(Standing::Open) {
        out.add(&QUESTIONS, format!("never settled: {} {}", page.say(&h.text), cite(&[h.seq])));
    }
}

/// A note that begins so is something to be done.
fn is_todo(text: &str) -> bool {
    text.trim_start().get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("todo"))
}

fn surroundings(page: &Page<'_, '_>, lines: &[Line], out: &mut Prompts) {
    let review = page.review;
    let start = review.start();
    for l in lines.iter().filter(|l| l.level < start) {
        if matches!(l.row.kind.as_str(), "config.loaded" | "config.rejected" | "run.requested" | "shell.finished") {
            let before = ms(start.ms_since(l.level));
            let text = page.say(&l.text);
            out.add(&FACTORS, format!("{before} before: {text} {}", cite(&[l.row.seq])));
        }
    }
    for l in
        lines.iter().filter(|l| l.row.kind == "backup.changed" && l.row.level >= crate::domain::timeline::Level::Warn)
    {
        out.add(&FACTORS, format!("{} {}", page.say(&l.text), cite(&[l.row.seq])));
    }
    let from = start.minus(super::story::LEAD_UP);
    for b in review.story.blind.iter().filter(|b| b.until.at >= from) {
        let length = ms(review.story.ms(b.from, b.until).max(0));
        out.add(&DETECTION, format!("nobody was watching for up to {length} {}", cite(&[b.from.seq, b.until.seq])));
    }
    let refused: Vec<u64> =
        lines.iter().filter(|l| l.own && l.row.kind == "command.refused").map(|l| l.row.seq).collect();
    if !refused.is_empty() {
        let verb = if refused.len() == 1 { "was" } else { "were" };
        out.add(
            &WENT_BADLY,
            format!("{} {verb} refused on the way {}", plural(refused.len(), "command"), cite(&refused)),
        );
    }
    for l in lines.iter().filter(|l| l.row.pinned) {
        out.add(&FACTORS, format!("pinned: {} {}", page.say(&l.text), cite(&[l.row.seq])));
    }
}

fn after(page: &Page<'_, '_>, lines: &[Line], out: &mut Prompts) {
    let story = &page.review.story;
    let items = aftermath::followups(story);
    let taken: BTreeSet<u64> = items.iter().filter_map(|f| f.from).collect();
    for l in lines.iter().filter(|l| l.own && l.row.is_note() && !l.row.hidden && !taken.contains(&l.row.seq)) {
        if is_todo(&l.text) {
            out.add(&ITEMS, format!("{} {}: who, until when?", page.say(&l.text), cite(&[l.row.seq])));
        }
    }
    for f in items.iter().filter(|f| f.state == "open" && (f.owner.is_empty() || f.due.is_none())) {
        let lacks = match (f.owner.is_empty(), f.due.is_none()) {
            (true, true) => "nobody has it, and it has no date",
            (true, false) => "nobody has it",
            _ => "it has no date",
        };
        out.add(&ITEMS, format!("{}: {lacks} {}", page.say(&f.id), cite(&f.entries)));
    }
    let left: Vec<u64> = story
        .entries
        .iter()
        .filter(|e| matches!(&e.event, Event::RunFinished(f) if f.verdict == RunVerdict::Unverified && f.state == RunState::Succeeded))
        .filter(|e| story.runs.iter().any(|r| r.finished.as_ref().is_some_and(|f| f.mark.seq == e.seq)))
        .map(|e| e.seq)
        .collect();
    if !left.is_empty() {
        let what = plural(left.len(), "action");
        out.add(&QUESTIONS, format!("{what} ended without anything that shows the effect {}", cite(&left)));
    }
}
